-- methods.lua: the runner's methods as users call them: what must be a table or a text raises at their line.

local NAMES = { "status", "plan", "up", "down", "redo", "baseline", "verify" }

---@param check table
---@param runner table
---@param closed fun(): string? why nothing can be done any more
---@return table<string, function>
return function(check, runner, closed)
  local methods = {}
  for _, name in ipairs(NAMES) do
    local method = runner[name]
    methods[name] = function(_, options)
      local why = closed()
      if why then check.raise(why) end
      check.optional(options, "table", 1, name, "options")
      return method(runner, options)
    end
  end
  function methods:new(name, options)
    local why = closed()
    if why then check.raise(why) end
    check.type(name, "string", 1, "new", "name")
    check.optional(options, "table", 2, "new", "options")
    return runner:new(name, options)
  end
  return methods
end
