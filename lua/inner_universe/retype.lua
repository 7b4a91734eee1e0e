-- What a column's values become when its type changes and nobody says how: conversions that lose nothing. Whatever would lose something is refused,
-- value by value.
--
--   integers to integers and floats, floats to integers, f64 to f32   where the number is the same afterwards
--   bool to integers (0, 1) and back, timestamp and time_duration to integers and back
--   numbers and bool to string, as Lua writes them; string back, where the text is just what would be written
--   string to bytes; bytes to string where they are UTF-8; uuid, identity and connection_id to string and back
--   T to T?, T? to T where there is a value; T to [T] (of one), and whatever T itself may become
--
-- A conversion is fn(value), which answers the new value, or nil and why not. Types are as file_tables.lua reads them: names, { option = T }, { array = T }.

local runtime = require("inner_universe.runtime")

local retype = {}

local INTEGER, FLOAT, HEX = {}, { f32 = true, f64 = true }, { uuid = true, identity = true, connection_id = true }
for _, name in ipairs({ "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64", "i128", "i256", "timestamp", "time_duration" }) do
  INTEGER[name] = true
end

local function same(value)
  return value
end

local function to_float(value)
  if math.type(value) ~= "integer" then -- a wide integer
    local float = tonumber(tostring(value))
    if float and ("%.0f"):format(float) == tostring(value) then return float + 0.0 end
    return nil, "no float is exactly that"
  end
  local float = value + 0.0
  if math.tointeger(float) == value then return float end
  return nil, "no float is exactly that"
end

local function to_single(value)
  local as_single = to_float(value)
  if not as_single or ("<f"):unpack(("<f"):pack(as_single)) ~= as_single then return nil, "no f32 is exactly that" end
  return as_single
end

local function narrower(value)
  if value ~= value or ("<f"):unpack(("<f"):pack(value)) == value then return value end
  return nil, "no f32 is exactly that"
end

local function float_to_integer(value)
  local integer = math.tointeger(value)
  if integer and (integer ~= 0 or 1 / value > 0) then return integer end
  return nil, "it is no integer"
end

local function number_to_text(value)
  if type(value) ~= "number" or math.type(value) == "integer" then return tostring(value) end
  for digits = 15, 17 do -- the shortest that reads back
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text:find("[%.eni]") and text or text .. ".0" end
  end
  return tostring(value)
end

local function text_to_integer(text)
  if not text:find("^-?%d+$") then return nil, "the text is no integer" end
  local value = math.tointeger(tonumber(text))
  if not value or tostring(value) ~= text then value = runtime.core.wide(text) end
  if value and tostring(value) == text then return value end
  return nil, "the text is not as the integer is written"
end

local function text_to_float(text)
  local value = tonumber(text)
  value = value and value + 0.0
  if value and number_to_text(value) == text then return value end
  return nil, "the text is not as the float is written"
end

local function text_to_bool(text)
  if text == "true" then return true end
  if text == "false" then return false end
  return nil, "the text is neither true nor false"
end

local function integer_to_bool(value)
  if value == 0 then return false end
  if value == 1 then return true end
  return nil, "it is neither 0 nor 1"
end

local function scalars(from, to)
  if INTEGER[from] then
    if INTEGER[to] then return same end
    if to == "f64" then return to_float end
    if to == "f32" then return to_single end
    if to == "bool" then return integer_to_bool end
    if to == "string" then return tostring end
  elseif FLOAT[from] then
    if INTEGER[to] then return float_to_integer end
    if to == "f64" then return same end
    if to == "f32" then return narrower end
    if to == "string" then return number_to_text end
  elseif from == "bool" then
    if INTEGER[to] then return function(value) return value and 1 or 0 end end
    if to == "string" then return tostring end
  elseif from == "string" then
    if INTEGER[to] then return text_to_integer end
    if FLOAT[to] then return text_to_float end
    if to == "bool" then return text_to_bool end
    if to == "bytes" or HEX[to] then return same end
  elseif (from == "bytes" or HEX[from]) and to == "string" then
    return same
  end
end

---@param from any a type
---@param to any
---@return (fun(value: any): any, string?)? nil: nothing is sure to lose nothing
function retype.conversion(from, to)
  if type(from) == "string" and from == to then return same end
  if type(from) == "table" and from.option then
    local inner = retype.conversion(from.option, type(to) == "table" and to.option or to)
    local keeps_none = type(to) == "table" and to.option ~= nil
    return inner and function(value)
      if value ~= nil then return inner(value) end
      if keeps_none then return nil end
      return nil, "there is no value"
    end
  end
  if type(to) == "table" and to.option then return retype.conversion(from, to.option) end
  if type(from) == "table" and from.array and type(to) == "table" and to.array then
    local inner = retype.conversion(from.array, to.array)
    return inner and function(list)
      local made = {}
      for i = 1, #list do
        local value, why = inner(list[i])
        if value == nil then return nil, ("[%d]: %s"):format(i, why or "there is no value") end
        made[i] = value
      end
      return runtime.core.array(made)
    end
  end
  if type(to) == "table" and to.array then
    local inner = retype.conversion(from, to.array)
    return inner and function(value)
      local element, why = inner(value)
      if element == nil then return nil, why end
      return runtime.core.array({ element })
    end
  end
  if type(from) == "string" and type(to) == "string" then return scalars(from, to) end
end

return retype
