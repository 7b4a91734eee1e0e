-- Argument checks for functions that users call. `type`, `optional` and `raise` raise at the line of that function's caller, so they must be called
-- directly in the body of the function they check for (not through a helper, not as a tail call). What a table of options holds is a value: `options`
-- raises nothing, it answers `nil, ValidationError`.

local core = require("inner_universe.core")
local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")

---@class inner_universe.check
local check = {}

---Whether a value can be called: a function, or a table whose metatable says so.
---@param value any
---@return boolean
function check.is_callable(value)
  local meta = type(value) == "table" and getmetatable(value)
  return type(value) == "function" or (type(meta) == "table" and meta.__call ~= nil)
end

local function fits(value, expected)
  if type(value) == expected then return true end
  if expected == "integer" then return math.type(value) == "integer" end
  if expected == "callable" then return check.is_callable(value) end
  if expected == "document" then return core.is_document(value) end
  if expected == "file" then return io.type(value) == "file" end
  return false
end

local function fits_any(value, expected)
  for one in expected:gmatch("[^|]+") do
    if fits(value, one) then return true end
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

---@alias inner_universe.check.Type "string"|"number"|"integer"|"boolean"|"table"|"function"|"callable"|"userdata"|"document"|"file"

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

local function refuse(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function in_range(value, expected)
  if expected == "integer" then return value >= 1, "1 or more" end
  return expected ~= "number" or value > 0, "more than 0" -- NaN is not
end

---All arguments of a method at once. `list` says of each { name, type }, or { name, type, "?" } where nil is fine; the type "any" is anything, "string|table"
---one of these.
---@param list { [1]: string, [2]: inner_universe.check.Type|"any"|string, [3]: "?"|nil }[]
---@param method string name of the function
---@param ... any the arguments, self not among them
function check.arguments(list, method, a, b, c, ...)
  for i = 1, #list do
    local each = list[i]
    local value
    if i == 1 then value = a elseif i == 2 then value = b elseif i == 3 then value = c else value = (select(i - 3, ...)) end -- most have no more
    local expected = each[2]
    if type(value) ~= expected and expected ~= "any" and not (value == nil and each[3]) and not fits_any(value, expected) then
      expected = expected:gsub("|", " or ")
      error(complaint(value, each[3] and expected .. " or nil" or expected, i, method, each[1]), 3)
    end
  end
end

---What is in a table of options: known names with values of their types. An "integer" is 1 or more, a "number" above 0.
---@param what string the function's name, as in "connect: timeout: number expected, got string"
---@param options? table
---@param known table<string, inner_universe.check.Type|"any">
---@param inside? string the option that this table is the value of
---@return true?, inner_universe.Error?
function check.options(what, options, known, inside)
  for key, value in pairs(options or {}) do
    local expected = known[key]
    if not expected then
      return refuse("%s%s: unknown %s '%s'%s", what, inside and ": " .. inside or "", inside and "key" or "option", tostring(key),
        suggest.hint(tostring(key), known))
    end
    local name = ("%s: %s%s"):format(what, inside and inside .. "." or "", key)
    if expected ~= "any" then
      if not fits(value, expected) then return refuse("%s: %s expected, got %s", name, expected, name_of(value)) end
      local good, range = in_range(value, expected)
      if not good then return refuse("%s: %s expected, got %s", name, range, tostring(value)) end
    end
  end
  return true
end

---Seconds that somebody waits: any number, below 0 like 0, or nil. NaN is none: no time comes that is not before it.
---@param method string name of the function
---@param name string name of the argument
---@param seconds? number its type was checked
---@return true?, inner_universe.Error?
function check.seconds(method, name, seconds)
  if seconds ~= seconds then return refuse("%s: %s: expected seconds, got NaN", method, name) end
  return true
end

---Raises any text at the same line.
---@param message string
function check.raise(message)
  error(message, 3)
end

return check
