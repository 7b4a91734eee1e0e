-- shape.lua: what methods a manager has, learnt from a real one: a universe in memory is opened, looked at and closed. So a mock has exactly the methods that
-- the library has, of this version and with these plugins.

local iu = require "inner_universe"

local shape = {}

local LIFE = { "controller", "persistence_manager", "rows" } -- not what a program talks to

-- Of an object that has no hooks: its methods, and what they take.
local function described(hooks, group, object)
  local methods = {}
  for key, value in pairs(object) do
    if type(key) == "string" and type(value) == "function" then methods[key] = hooks.arguments(group .. "." .. key) or true end
  end
  return methods
end

--- { [""] = the manager's methods, client = ..., tx = ..., [plugin] = ... }: each by name what its arguments are (as check.arguments takes them), or true where
--- that is not told; or nil, err.
---@param plugins? table as in a configuration
function shape.of(plugins)
  local manager, err = iu.open("memory:", { log_level = "off", plugins = plugins })
  if not manager then return nil, err end
  local groups = { [""] = {}, client = described(manager.hooks, "client", manager.client) }
  for _, name in ipairs(manager.hooks.names()) do
    local class, method = name:match("^([^.]+)%.([^.]+)$")
    if not class then class, method = "", name end
    groups[class] = groups[class] or {}
    groups[class][method] = manager.hooks.arguments(name) or true
  end
  for _, name in ipairs(LIFE) do groups[name] = nil end
  manager:transaction(function(tx) groups.tx = described(manager.hooks, "tx", getmetatable(tx).__index) end)
  local refused
  for _, row in ipairs(manager:status().plugins) do
    if row.state == "refused" then refused = iu.errors.new("PluginError", ("plugin %s: %s"):format(row.name, row.reason)) end
  end
  manager:shutdown()
  if refused then return nil, refused end
  return groups
end

return shape
