-- testing.lua: iu.testing(): the plugin `testing` for users' own test suites, without a universe that runs it. The plugin is found as any other is, and loaded
-- once per Lua state; what it may use beside the public module comes from here, so nothing below lua/ depends on it.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")
local fake_clock = require("inner_universe.fake_clock")
local freeze = require("inner_universe.freeze")
local manifest = require("inner_universe.manifest")
local plugin_host = require("inner_universe.plugin_host")
local suggest = require("inner_universe.suggest")

local testing = {}

local NAME = "testing"
local kit

local SEAMS = freeze.table({
  check = check,
  suggest = suggest.hint,             -- hint(word, names): " (did you mean 'x'?)", or ""
  fake_clock = fake_clock.new,        -- new(options): the time in the hands of a test
  seed = runtime.core.seed_uuid,      -- seed(n): ids that follow from it; nil: random again
}, "the seams of " .. NAME)

local function load_kit()
  local folder = manifest.folders(NAME, {})[1]
  if not folder then return nil, "not found (looked in " .. manifest.places({}) .. ")" end
  local found, why = manifest.read(folder, NAME)
  if not found then return nil, why end
  local code
  code, why = plugin_host.load(folder, found)
  if not code then return nil, why end
  if type(code.kit) ~= "function" then return nil, "init.lua has no function `kit`" end
  return code.kit(SEAMS)
end

---What users' test suites need: mocks, fixtures, failures, a clock, ids that come again. `nil, PluginError` where the plugin is not installed.
---@return table? testing
---@return inner_universe.Error? err
function testing.get()
  if not kit then
    local why
    kit, why = load_kit()
    if not kit then return nil, errors.new("PluginError", ("plugin %s: %s"):format(NAME, tostring(why))) end
  end
  return kit
end

return testing
