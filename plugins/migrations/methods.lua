-- methods.lua: the runner's methods as users call them: what must be a table or a text raises at their line.

local NAMES = { "status", "plan", "up", "down", "redo", "baseline", "verify" }
local ARGUMENTS = { new = { { "name", "string" }, { "options", "table", "?" } } } -- of each argument its name, its type, "?" where nil is fine
for _, name in ipairs(NAMES) do ARGUMENTS[name] = { { "options", "table", "?" } } end

---@param check table
---@param runner table
---@param closed fun(): string? why nothing can be done any more
---@return table<string, function> methods
---@return table<string, table> arguments what they take
return function(check, runner, closed)
  local methods = {}
  for _, name in ipairs(NAMES) do
    local method = runner[name]
    methods[name] = function(_, options)
      local why = closed()
      if why then check.raise(why) end
      check.arguments(ARGUMENTS[name], name, options)
      return method(runner, options)
    end
  end
  function methods:new(name, options)
    local why = closed()
    if why then check.raise(why) end
    check.arguments(ARGUMENTS.new, "new", name, options)
    return runner:new(name, options)
  end
  return methods, ARGUMENTS
end
