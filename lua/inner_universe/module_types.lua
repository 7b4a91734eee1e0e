-- Types as modules write them: "u8" ... "u256", "i8" ... "i256", "f32", "f64", "bool", "string", "bytes", "timestamp", "time_duration", "identity",
-- "connection_id", "uuid", "schedule_at", the name of a declared type or of a table (its row), "T?" (an option), "[T]" or { array = T }, { option = T }.
-- A type is read to a node { kind, inner?, name? }; a declared one to { fields } or { variants }.

local suggest = require("inner_universe.suggest")

local types = {}

local DEPTH_MAX = 32
local NAME = "^[%a_\128-\255][%w_\128-\255]*$"

local PLAIN = {}
for _, name in ipairs({ "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64", "i128", "i256", "f32", "f64", "bool", "string", "bytes",
  "timestamp", "time_duration", "identity", "connection_id", "uuid", "schedule_at" }) do
  PLAIN[name] = { kind = name }
end

---Ends the reading of a declaration: module.new answers with it.
---@param where string
---@param format string
function types.refuse(where, format, ...)
  error({ refused = where .. ": " .. format:format(...) }, 0)
end

local refuse = types.refuse

---The names of a table of named things, in order.
---@param t table
---@return string[]
function types.sorted(t)
  local names = {}
  for name in next, t do
    if type(name) ~= "string" then refuse("names", "texts expected as keys, found %s", tostring(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

---@param where string
---@param name any
---@param what string
function types.check_name(where, name, what)
  if type(name) ~= "string" then refuse(where, "%s expected, got %s", what, type(name)) end
  if not name:match(NAME) then refuse(where, "%s is letters, digits and _, not beginning with a digit; got '%s'", what, name) end
end

---An array without gaps and without other keys; other fields were checked before, if there may be some.
---@param where string
---@param list any
---@param what string
---@return table list
function types.check_list(where, list, what)
  if type(list) ~= "table" then refuse(where, "an array of %s expected, got %s", what, type(list)) end
  local count = 0
  for key in next, list do
    if math.type(key) ~= "integer" then refuse(where, "an array of %s expected, found the key '%s'", what, tostring(key)) end
    count = count + 1
  end
  if count ~= #list then refuse(where, "an array of %s without gaps expected", what) end
  return list
end

---What names may mean besides the plain types.
---@param declared table
---@param tables table
---@return table<string, true>
function types.scope(declared, tables)
  local names = {}
  for _, list in ipairs({ declared, tables }) do
    for _, name in ipairs(types.sorted(list)) do
      if PLAIN[name] then refuse(list == declared and "types." .. name or "tables." .. name, "'%s' is a type of every module", name) end
      names[name] = true
    end
  end
  return names
end

local function known(scope)
  local all = {}
  for name in pairs(PLAIN) do all[name] = true end
  for name in pairs(scope) do all[name] = true end
  return all
end

local function read(where, given, scope, depth)
  if depth > DEPTH_MAX then refuse(where, "a type nested deeper than %d", DEPTH_MAX) end
  if type(given) == "table" then
    local key, inner = next(given)
    if (key ~= "array" and key ~= "option") or next(given, key) ~= nil then
      refuse(where, "a type expected: a text, { array = T } or { option = T }")
    end
    return { kind = key, inner = read(where, inner, scope, depth + 1) }
  end
  if type(given) ~= "string" then refuse(where, "a type expected, got %s", given == nil and "none" or type(given)) end
  if PLAIN[given] then return PLAIN[given] end
  if scope[given] then return { kind = "ref", name = given } end
  local inner = given:match("^(.+)%?$")
  if inner then return { kind = "option", inner = read(where, inner, scope, depth + 1) } end
  inner = given:match("^%[(.+)%]$")
  if inner then return { kind = "array", inner = read(where, inner, scope, depth + 1) } end
  refuse(where, "unknown type '%s'%s", given, suggest.hint(given, known(scope)))
end

---@param where string
---@param given any
---@param scope table<string, true>
---@return table node
function types.read(where, given, scope)
  return read(where, given, scope, 0)
end

local function read_fields(where, list, scope, what)
  local fields, seen = {}, {}
  for i, given in ipairs(types.check_list(where, list, what .. "s { name, type }")) do
    local at = ("%s[%d]"):format(where, i)
    if what == "variant" and type(given) == "string" then given = { given, false } end
    if type(given) ~= "table" then refuse(at, "{ name, type } expected, got %s", type(given)) end
    types.check_list(at, given, "a name and a type")
    types.check_name(at, given[1], "a name")
    at = ("%s[%d] (%s)"):format(where, i, given[1])
    if #given > 2 then refuse(at, "{ name, type } expected, found %s behind them", tostring(given[3])) end
    if seen[given[1]] then refuse(at, "a second one of that name") end
    seen[given[1]] = true
    local unit = what == "variant" and not given[2]
    fields[i] = { name = given[1], type = unit and { kind = "unit" } or types.read(at, given[2], scope) }
  end
  if #fields == 0 then refuse(where, "at least one %s expected", what) end
  return fields
end

---A declared type: an array of fields (a product), or { sum = variants }.
---@param where string
---@param given any
---@param scope table<string, true>
---@return table
function types.read_named(where, given, scope)
  if type(given) == "table" and given.sum ~= nil then
    for key in next, given do
      if key ~= "sum" then refuse(where, "unknown field '%s' beside sum", tostring(key)) end
    end
    local variants = read_fields(where .. ".sum", given.sum, scope, "variant")
    if #variants > 256 then refuse(where .. ".sum", "at most 256 variants expected, got %d", #variants) end
    return { variants = variants }
  end
  return { fields = read_fields(where, given, scope, "field") }
end

---A node as it may be written.
---@param node table
---@return string
function types.text(node)
  if node.kind == "option" then return types.text(node.inner) .. "?" end
  if node.kind == "array" then return "[" .. types.text(node.inner) .. "]" end
  return node.name or node.kind
end

return types
