-- module.lua: which module is published: the file that `module_path` names; else, with `build_module`, what is built from the source tree into `module_dir`;
-- else the one built before: in `module_dir`, in the source tree's build/, or installed beside the Lua files.

local iu = require "inner_universe"

local plugin = ...
local NAME = "inner_universe.wasm"
local WORDS = 4000 -- bytes of a failed build's output that the error carries

-- The folder is <tree>/plugins/controller, or <where modules are>/inner_universe/plugins/controller.
local ABOVE = plugin.folder .. "/../.."

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The new module's folder is made absolute first: make runs elsewhere. BUILD is where all results of the build go.
local BUILD = [=[
set -e
mkdir -p -- "$2"
out=$(cd -- "$2" && pwd)
cd -- "$1"
exec make BUILD="$out" "$out/inner_universe.wasm"
]=]

---@param ctx table
---@return string? path
---@return table? err
return function(ctx)
  local settings = ctx.settings
  if settings.module_path then
    if not exists(settings.module_path) then
      return nil, iu.errors.new("ValidationError", ("module_path: '%s' cannot be read"):format(settings.module_path))
    end
    return settings.module_path
  end
  if settings.build_module then
    if not exists(ABOVE .. "/core/module/README.md") then
      return nil, iu.errors.new("ValidationError",
        "build_module: the module's sources are only in a source tree; module_path names a file that is built already")
    end
    local folder = settings.module_dir or ABOVE .. "/build"
    local built, err = ctx.process.run({ "sh", "-c", BUILD, "sh", ABOVE, folder }, { timeout = ctx.config.build_timeout })
    if not built then return nil, err end
    if built.status ~= 0 then
      return nil, iu.errors.new("MigrationError", ("build_module: make %s:\n%s"):format(ctx.process.describe(built.status, built.signal),
        (built.output:sub(-WORDS):gsub("%s+$", ""))))
    end
    return folder .. "/" .. NAME
  end
  local places = { ABOVE .. "/build/" .. NAME, ABOVE .. "/module/" .. NAME }
  if settings.module_dir then table.insert(places, 1, settings.module_dir .. "/" .. NAME) end
  for _, path in ipairs(places) do
    if exists(path) then return path end
  end
  return nil, iu.errors.new("MigrationError",
    ("no module to publish (looked for %s): `make module` builds it, or build_module = true, or module_path names one"):format(table.concat(places, ", ")))
end
