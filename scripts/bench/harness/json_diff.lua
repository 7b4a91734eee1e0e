-- What the two jobs about diffs of JSON share: the libraries in JavaScript, which npm installs into build/bench/json_diff, and our side.

local core = require "inner_universe.core"
local documents = require "harness.documents"
local iu = require "inner_universe"

local json_diff = {}

local FOLDER = "build/bench/json_diff"
local PACKAGES = "fast-json-patch@3.1.1 jsondiffpatch@0.7.7 microdiff@1.6.0"
local LIBRARIES = { "fast-json-patch", "jsondiffpatch", "microdiff" }
local ROUNDS = 3 -- of which the best counts, here and in JavaScript; a library that needs a minute for them is left out

local function quiet(command) return (os.execute(command .. " >/dev/null 2>&1")) end

-- Whether the libraries are there; else false and why not.
local function install()
  if not quiet("command -v node npm") then return false, "node and npm are not installed" end
  if quiet(("test -d %s/node_modules/microdiff"):format(FOLDER)) then return true end
  local command = "mkdir -p %s && cd %s && echo '{\"private\":true}' > package.json && timeout 120 npm install --no-audit --no-fund --ignore-scripts %s"
  if not quiet(command:format(FOLDER, FOLDER, PACKAGES)) then return false, "npm cannot install it" end
  return true
end

-- The best of ROUNDS, and the operations.
local function best_of(read_value, old, new)
  local best, operations = math.huge, nil
  for _ = 1, ROUNDS do
    collectgarbage()
    local start = iu.now()
    operations = assert(core.diff_compare(assert(read_value(old)), assert(read_value(new))))
    best = math.min(best, (iu.now() - start) / 1e6)
  end
  return best, operations
end

---Seconds of parsing two documents and comparing them; bytes of what comes out; seconds of the same as plain tables.
local function ours(old_file, new_file)
  local old, new = documents.read(old_file), documents.read(new_file)
  local seconds, operations = best_of(iu.json.document, old, new)
  local applied = core.diff_apply_document(iu.json.document(old), operations)
  assert(applied == iu.json.document(new), "the operations do not lead to the new document")
  return seconds, #iu.json.encode(operations), (best_of(iu.json.decode, old, new))
end

local function size(bytes) return ("%.3f MB"):format(bytes / 1e6) end

-- The job on documents of that kind ("real", "records"), as harness.job takes it.
function json_diff.job(kind, name, what)
  local old, new = documents[kind]()
  if not old then
    print(("  %s\n      left out: %s"):format(name, new))
    os.exit(0)
  end
  local ready, why = install()
  local commands, peers = {}, {}
  for _, library in ipairs(LIBRARIES) do
    peers[library] = library
    commands[library] = function()
      if not ready then return nil, why end
      return ("timeout 60 node --max-old-space-size=4096 scripts/bench/peers/json_diff.cjs %s/node_modules %s %s %s"):format(FOLDER, library, old, new)
    end
  end
  return {
    name = name, what = what, aim = 3, count = 1, per = "run", peers = peers, commands = commands,
    ours = function() return ours(old, new) end,
    extra = function(details)
      local parts = { ("delta %s, as tables %.2f s"):format(size(details.ours[2]), details.ours[3]) }
      for _, library in ipairs(LIBRARIES) do
        if details[library] then parts[#parts + 1] = ("%s %s"):format(library, size(details[library][2])) end
      end
      return table.concat(parts, ", ")
    end,
  }
end

return json_diff
