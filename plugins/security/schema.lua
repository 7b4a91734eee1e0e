-- schema.lua: a subset of JSON Schema (draft 2020-12) compiled to functions. README.md lists the keywords; one that is not known is refused when the
-- schema is compiled, never ignored.
--
-- A compiled schema is fn(value, path): nothing when the value fits, else path, value, expected: of the first thing that does not.

local iu = require "inner_universe"

local plugin = ...
local paths = plugin.load "paths"

local schema = {}

local DEPTH_MAX = 64
local is_array = paths.is_array

local function is_object(value)
  return type(value) == "table" and not is_array(value)
end

local function is_number(value)
  return type(value) == "number" or type(value) == "userdata" and value ~= iu.null -- an integer outside i64
end

local TYPES = {
  null = function(value) return value == iu.null end,
  boolean = function(value) return type(value) == "boolean" end,
  string = function(value) return type(value) == "string" end,
  number = is_number,
  integer = function(value) return is_number(value) and (type(value) == "userdata" or math.tointeger(value) ~= nil or value == math.floor(value)) end,
  array = is_array,
  object = is_object,
}

local function number_of(value)
  return type(value) == "number" and value or tonumber(tostring(value))
end

-- The sign and the digits of a whole number, written out: of an integer outside i64, or of a float, which is one from 2^53 on.
local function digits_of(value)
  local sign, digits = (type(value) == "number" and ("%.0f"):format(value) or tostring(value)):match("^(-?)(%d+)$")
  return sign == "-", digits
end

-- Of an integer outside i64 and a number: below 0, 0 or above, exactly. It is larger, or smaller, than all that are not written with at least as many digits.
local function compare_wide(wide, number)
  local negative, digits = digits_of(wide)
  local way = negative and -1 or 1
  if math.type(number) == "integer" or math.abs(number) < 0x1p63 then return way end
  local other_negative, others = digits_of(number)
  if negative ~= other_negative then return way end
  if #digits ~= #others then return #digits > #others and way or -way end
  if digits == others then return 0 end
  return digits > others and way or -way
end

-- Below 0, 0 or above.
local function compare(a, b)
  if type(a) == "userdata" then return compare_wide(a, b) end
  return a < b and -1 or a > b and 1 or 0
end

local function same(a, b)
  if type(a) == "number" and type(b) == "number" then return a == b end
  if type(a) == "number" and is_number(b) then a, b = b, a end
  if type(b) == "number" and is_number(a) then return compare_wide(a, b) == 0 end
  return type(a) == type(b) and iu.json.canonical(a) == iu.json.canonical(b)
end

local function shown(value)
  return iu.json.encode(value) or tostring(value)
end

local function invalid(where, format, ...)
  error(iu.errors.new("ValidationError", ("%s: %s"):format(where, format:format(...))), 0)
end

-- An array of a schema, and nothing beside it: what has other keys would be taken for less than it says.
local function is_list(given)
  if type(given) ~= "table" then return false end
  for key in pairs(given) do
    if math.type(key) ~= "integer" or key < 1 or key > #given then return false end
  end
  return true
end

local compile -- of a schema at a place; raises

-- Keywords: each takes its value, where it stands, and the schema around it; it answers a check.
local KEYWORDS = {}

function KEYWORDS.type(given, where)
  local names = type(given) == "table" and given or { given }
  if not is_list(names) then invalid(where, "expected the name of a type, or an array of them") end
  for i = 1, #names do
    if not TYPES[names[i]] then invalid(where, "unknown type %s (known: array, boolean, integer, null, number, object, string)", tostring(names[i])) end
  end
  if #names == 0 then invalid(where, "expected the name of a type, or an array of them") end
  local expected = table.concat(names, " or ")
  return function(value, path)
    for i = 1, #names do
      if TYPES[names[i]](value) then return end
    end
    return path, value, expected
  end
end

function KEYWORDS.enum(given, where)
  if not is_list(given) or #given == 0 then invalid(where, "expected an array of values") end
  local texts = {}
  for i = 1, #given do texts[i] = shown(given[i]) end
  local expected = "one of " .. table.concat(texts, ", ")
  return function(value, path)
    for i = 1, #given do
      if same(value, given[i]) then return end
    end
    return path, value, expected
  end
end

function KEYWORDS.const(given)
  local expected = shown(given)
  return function(value, path)
    if not same(value, given) then return path, value, expected end
  end
end

-- A keyword about values that `applies` says it is about; fits(value, limit).
local function limit(applies, kind, fits, expected)
  return function(given, where)
    local good = kind == "number" and type(given) == "number" or math.type(given) == "integer" and given >= 0
    if not good then invalid(where, kind == "number" and "expected a number" or "expected an integer from 0") end
    local text = expected:format(tostring(given))
    return function(value, path)
      if applies(value) and not fits(value, given) then return path, value, text end
    end
  end
end

local function count(object)
  local n = 0
  for _ in pairs(object) do n = n + 1 end
  return n
end

local function characters(text)
  return utf8.len(text, 1, -1, true) or #text
end

KEYWORDS.minimum = limit(is_number, "number", function(v, n) return compare(v, n) >= 0 end, "a number from %s")
KEYWORDS.maximum = limit(is_number, "number", function(v, n) return compare(v, n) <= 0 end, "a number up to %s")
KEYWORDS.exclusiveMinimum = limit(is_number, "number", function(v, n) return compare(v, n) > 0 end, "a number above %s")
KEYWORDS.exclusiveMaximum = limit(is_number, "number", function(v, n) return compare(v, n) < 0 end, "a number below %s")
KEYWORDS.minLength = limit(TYPES.string, "count", function(v, n) return characters(v) >= n end, "%s characters or more")
KEYWORDS.maxLength = limit(TYPES.string, "count", function(v, n) return characters(v) <= n end, "at most %s characters")
KEYWORDS.minItems = limit(is_array, "count", function(v, n) return #v >= n end, "%s items or more")
KEYWORDS.maxItems = limit(is_array, "count", function(v, n) return #v <= n end, "at most %s items")
KEYWORDS.minProperties = limit(is_object, "count", function(v, n) return count(v) >= n end, "%s properties or more")
KEYWORDS.maxProperties = limit(is_object, "count", function(v, n) return count(v) <= n end, "at most %s properties")

-- What is left of a number of many digits when it is divided by an integer from 1 on, digit by digit; sums that would leave i64 are never made.
local function remainder(digits, n)
  local function plus(a, b) return a < n - b and a + b or a - (n - b) end
  local rest = 0
  for i = 1, #digits do
    local twice = plus(rest, rest)
    local five = plus(plus(twice, twice), rest)
    rest = plus(plus(five, five), (digits:byte(i) - 48) % n)
  end
  return rest
end

-- Of whole numbers exactly; of a fraction, which a float seldom is, as both are written: 19.99 is one of 0.01.
local multiple_of = limit(is_number, "number", function(v, n)
  local whole = math.tointeger(n)
  if type(v) == "userdata" and whole then
    local _, digits = digits_of(v)
    return remainder(digits, whole) == 0
  end
  v = number_of(v)
  if math.fmod(v, n) == 0 then return true end
  if n == math.floor(n) then return false end
  return ("%.15g"):format(math.floor(v / n + 0.5) * n) == ("%.15g"):format(v)
end, "a multiple of %s")
function KEYWORDS.multipleOf(given, where)
  if type(given) == "number" and (given <= 0 or given ~= given) then invalid(where, "expected a number above 0") end
  return multiple_of(given, where)
end

function KEYWORDS.uniqueItems(given, where)
  if type(given) ~= "boolean" then invalid(where, "expected true or false") end
  return function(value, path)
    if not given or not is_array(value) then return end
    local seen = {}
    for i = 1, #value do
      local item = value[i]
      local key = item -- a number is its own key, and 1.0 that of 1, as Lua's tables have it; of anything else it is the text
      if type(item) ~= "number" then
        key = iu.json.canonical(item)
      elseif math.abs(item) >= 0x1p63 then
        key = ("%.0f"):format(item) -- may be an integer outside i64
      end
      if seen[key] then return iu.diff.join(path, i - 1), item, "items that differ" end
      seen[key] = true
    end
  end
end

function KEYWORDS.required(given, where)
  if not is_list(given) then invalid(where, "expected an array of names") end
  local names = {}
  for i = 1, #given do
    if type(given[i]) ~= "string" then invalid(where, "expected an array of names") end
    names[i] = given[i]
  end
  return function(value, path)
    if not is_object(value) then return end
    for i = 1, #names do
      if value[names[i]] == nil then return iu.diff.join(path, names[i]), nil, "a value, which is required" end
    end
  end
end

function KEYWORDS.properties(given, where, _, depth)
  if type(given) ~= "table" then invalid(where, "expected a table of schemas") end
  local checks, names = {}, {}
  for name, inner in pairs(given) do
    if type(name) ~= "string" then invalid(where, "expected names of properties, found the key %s", tostring(name)) end
    checks[name] = compile(inner, where .. "." .. name, depth + 1)
    names[#names + 1] = name
  end
  table.sort(names) -- the first that does not fit is always the same one
  return function(value, path)
    if not is_object(value) then return end
    for i = 1, #names do
      local inner = value[names[i]]
      if inner ~= nil then
        local at, what, expected = checks[names[i]](inner, iu.diff.join(path, names[i]))
        if at then return at, what, expected end
      end
    end
  end
end

function KEYWORDS.additionalProperties(given, where, around, depth)
  local known = around.properties or {}
  local check = compile(given, where, depth + 1)
  return function(value, path)
    if not is_object(value) then return end
    local names = {}
    for name in pairs(value) do
      if known[name] == nil then names[#names + 1] = name end
    end
    table.sort(names)
    for i = 1, #names do
      local at, what, expected = check(value[names[i]], iu.diff.join(path, names[i]))
      if at then return at, what, expected == "nothing" and "no such property" or expected end
    end
  end
end
KEYWORDS.additional = KEYWORDS.additionalProperties

local function each_item(given, where, first, depth)
  local check = compile(given, where, depth + 1)
  return function(value, path)
    if not is_array(value) then return end
    for i = first, #value do
      local at, what, expected = check(value[i], iu.diff.join(path, i - 1))
      if at then return at, what, expected end
    end
  end
end

function KEYWORDS.items(given, where, around, depth)
  return each_item(given, where, type(around.prefixItems) == "table" and #around.prefixItems + 1 or 1, depth)
end

-- The schemas of an array, compiled.
local function list(given, where, depth)
  if not is_list(given) or #given == 0 then invalid(where, "expected an array of schemas") end
  local checks = {}
  for i = 1, #given do checks[i] = compile(given[i], ("%s[%d]"):format(where, i), depth + 1) end
  return checks
end

function KEYWORDS.prefixItems(given, where, _, depth)
  local checks = list(given, where, depth)
  return function(value, path)
    if not is_array(value) then return end
    for i = 1, math.min(#checks, #value) do
      local at, what, expected = checks[i](value[i], iu.diff.join(path, i - 1))
      if at then return at, what, expected end
    end
  end
end

-- One check of several: what the first of them says that has something to say.
local function all_of(checks)
  return function(value, path)
    for i = 1, #checks do
      local at, what, expected = checks[i](value, path)
      if at then return at, what, expected end
    end
  end
end

function KEYWORDS.allOf(given, where, _, depth)
  return all_of(list(given, where, depth))
end

local function how_many_fit(checks, value, path)
  local fitting, wanted = 0, {}
  for i = 1, #checks do
    local at, _, expected = checks[i](value, path)
    if not at then fitting = fitting + 1 else wanted[#wanted + 1] = expected end
  end
  return fitting, table.concat(wanted, ", or ")
end

function KEYWORDS.anyOf(given, where, _, depth)
  local checks = list(given, where, depth)
  return function(value, path)
    local fitting, wanted = how_many_fit(checks, value, path)
    if fitting == 0 then return path, value, wanted end
  end
end

function KEYWORDS.oneOf(given, where, _, depth)
  local checks = list(given, where, depth)
  return function(value, path)
    local fitting, wanted = how_many_fit(checks, value, path)
    if fitting == 0 then return path, value, wanted end
    if fitting > 1 then return path, value, ("exactly one of %d schemas to fit, not %d"):format(#checks, fitting) end
  end
end

KEYWORDS["not"] = function(given, where, _, depth)
  local check = compile(given, where, depth + 1)
  return function(value, path)
    if not check(value, path) then return path, value, "something that the schema in `not` does not fit" end
  end
end

-- Said about a schema, checked by nobody.
local ANNOTATIONS = { title = true, description = true, ["$comment"] = true, examples = true, deprecated = true }
local ORDER = {
  "type", "const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
  "uniqueItems", "prefixItems", "items", "minProperties", "maxProperties", "required", "properties", "additionalProperties", "additional",
  "allOf", "anyOf", "oneOf", "not",
}

local function compile_always(given)
  if given then return function() end end
  return function(value, path) return path, value, "nothing" end
end

function compile(given, where, depth)
  if depth > DEPTH_MAX then invalid(where, "more than %d schemas inside of each other", DEPTH_MAX) end
  if type(given) == "boolean" then return compile_always(given) end
  if type(given) ~= "table" then invalid(where, "expected a schema, got %s", type(given)) end
  for key in pairs(given) do
    if not KEYWORDS[key] and not ANNOTATIONS[key] then
      invalid(where, "unknown keyword `%s` (known: %s)", tostring(key), table.concat(ORDER, ", "))
    end
  end
  if given.additional ~= nil and given.additionalProperties ~= nil then invalid(where, "`additional` is `additionalProperties`: one of them") end
  local checks = {}
  for _, key in ipairs(ORDER) do
    if given[key] ~= nil then checks[#checks + 1] = KEYWORDS[key](given[key], where .. "." .. key, given, depth) end
  end
  return all_of(checks)
end

--- fn(value, path), or nil and what is wrong with the schema.
---@param given table a schema of an object: properties
---@param where string
---@return (fun(value: any, path: string): string?, any, string?)? check
---@return string? wrong
function schema.compile(given, where)
  local ok, result = pcall(compile, given, where, 1)
  if ok then return result end
  if iu.errors.is(result) then return nil, result.message end
  error(result, 0)
end

return schema
