-- values.lua: copies and comparison of plain values, and matchers that stand for some of them.

local iu = require "inner_universe"

local values = {}

local Matcher = { __name = "inner_universe.Matcher", __tostring = function(self) return self.name end }

--- A matcher: fits(value) says whether a value is one that it stands for.
function values.matcher(name, fits)
  return setmetatable({ name = name, fits = fits }, Matcher)
end

function values.is_matcher(value)
  return getmetatable(value) == Matcher
end

--- A value with nothing in common with the first: tables copied at every depth, arrays staying arrays. Documents and userdata are what they are.
function values.copy(value, seen)
  if type(value) ~= "table" or values.is_matcher(value) then return value end
  seen = seen or {}
  if seen[value] then return seen[value] end
  local out = {}
  seen[value] = out
  for key, inner in pairs(value) do out[key] = values.copy(inner, seen) end
  return setmetatable(out, getmetatable(value))
end

--- Whether a value is what was expected: equal at every depth, or what a matcher in its place stands for. With `part`: what was expected is there, and
--- there may be more beside it.
function values.same(expected, actual, part)
  if values.is_matcher(expected) then return expected.fits(actual) end
  if type(expected) ~= "table" or type(actual) ~= "table" then
    return expected == actual and math.type(expected) == math.type(actual)
  end
  if rawequal(expected, actual) then return true end
  for key, inner in pairs(expected) do
    if not values.same(inner, actual[key], part) then return false end
  end
  if part then return true end
  for key in pairs(actual) do
    if expected[key] == nil then return false end
  end
  return true
end

local SHOWN_MAX = 80 -- bytes

--- A value for a message.
function values.shown(value)
  local text
  if type(value) == "table" and not values.is_matcher(value) then
    text = iu.json.encode(value) or tostring(value)
  elseif type(value) == "string" then
    text = ("%q"):format(value)
  elseif value == iu.null then
    text = "iu.null"
  else
    text = tostring(value)
  end
  if #text <= SHOWN_MAX then return text end
  local cut = SHOWN_MAX
  while cut > 1 and text:byte(cut + 1) & 0xC0 == 0x80 do cut = cut - 1 end
  return text:sub(1, cut) .. "..."
end

--- Arguments (with n) for a message.
function values.list(arguments)
  local out = {}
  for i = 1, arguments.n do out[i] = values.shown(arguments[i]) end
  return table.concat(out, ", ")
end

return values
