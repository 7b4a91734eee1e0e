-- Argument checks for functions that users call. Each raises at the line of that function's caller, so it must be called directly in the
-- body of the function it checks for (not through a helper, not as a tail call). Values are not judged here: a wrong value is
-- `nil, ValidationError`, only a wrong Lua type raises.

---@class inner_universe.check
local check = {}

local function fits(value, expected)
  local actual = type(value)
  if actual == expected then return true end
  if expected == "integer" then return math.type(value) == "integer" end
  if expected == "callable" then
    local meta = actual == "table" and getmetatable(value)
    return actual == "function" or (type(meta) == "table" and meta.__call ~= nil)
  end
  return false
end

local function name_of(value)
  local kind = type(value)
  if kind == "number" then return math.type(value) == "float" and "a float" or "an integer" end
  if kind == "table" or kind == "userdata" then
    local meta = getmetatable(value)
    local name = type(meta) == "table" and rawget(meta, "__name")
    if type(name) == "string" then return name end
  end
  return kind
end

local function complaint(value, expected, index, method, name)
  return ("bad argument #%d to '%s' (%s: %s expected, got %s)"):format(index, method, name, expected, name_of(value))
end

---@alias inner_universe.check.Type "string"|"number"|"integer"|"boolean"|"table"|"function"|"callable"

---@param value any
---@param expected inner_universe.check.Type
---@param index integer position of the argument, self not counted
---@param method string name of the function
---@param name string name of the argument
function check.type(value, expected, index, method, name)
  if type(value) == expected or fits(value, expected) then return end
  error(complaint(value, expected, index, method, name), 3)
end

---The same, and nil is fine.
---@param value any
---@param expected inner_universe.check.Type
---@param index integer
---@param method string
---@param name string
function check.optional(value, expected, index, method, name)
  if value == nil or type(value) == expected or fits(value, expected) then return end
  error(complaint(value, expected .. " or nil", index, method, name), 3)
end

---Raises any text at the same line.
---@param message string
function check.raise(message)
  error(message, 3)
end

return check
