-- offline.lua: the plugin's methods for a target that is not open. A file's migrations run in place_file.lua; a server is opened for each call, and the plugin
-- of that universe does the work.

local iu = require "inner_universe"

local plugin = ...
local place_file = plugin.load "place_file"

local NAMES = { "status", "plan", "up", "down", "redo", "baseline", "verify" }

-- A server: the object of the plugin in a universe that is opened for the call.
local function on_server(tool)
  local runner = {}
  local function through(name, ...)
    local manager, err = tool.open {}
    if not manager then return nil, err end
    local held <close> = manager
    local object
    object, err = held:plugin("migrations")
    if not object then return nil, err end
    local answer, why = object[name](object, ...)
    return answer, why
  end
  for _, name in ipairs(NAMES) do
    runner[name] = function(_, options) return through(name, options) end
  end
  return runner
end

-- Only a new file can be written without a universe.
local function in_memory()
  local runner = {}
  for _, name in ipairs(NAMES) do
    runner[name] = function()
      return nil, iu.errors.new("ValidationError",
        "memory: keeps nothing from one opening to the next: manager:plugin(\"migrations\") works on one that is open")
    end
  end
  return runner
end

---@param tool table
---@param make_runner function
---@param make_methods function
---@return table
return function(tool, make_runner, make_methods)
  local with_place = make_runner {
    config = tool.config, folders = tool.folders, check = tool.check, clock = tool.clock, can_wait = tool.can_wait, log = tool.log, target = tool.target,
    backend = tool.kind, place = tool.kind == "file" and place_file(tool) or {},
  }
  local runner = with_place
  if tool.kind ~= "file" then
    runner = tool.kind == "server" and on_server(tool) or in_memory()
    runner.new = with_place.new
  end
  return (make_methods(tool.check, runner, function() return nil end))
end
