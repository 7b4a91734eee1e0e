-- `iu.module`: a module of one's own, declared with SpacetimeDB's words: tables, types, reducers. What is declared is checked here, field by field, so
-- that a mistake names its place ("arena: tables.player.columns[2]: unknown type 'u65' (did you mean 'u64'?)"); module_definition.lua makes the
-- definition of it that the engine takes. The result says nothing of any universe: one module may run in several.

local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")
local types = require("inner_universe.module_types")

local module = {}

local PARTS = setmetatable({}, { __mode = "k" }) -- of a module: what was declared, in one form

local LIFECYCLE = { "init", "client_connected", "client_disconnected" }
local DECLARATION = { tables = "table", types = "table", reducers = "table", init = "function", client_connected = "function",
  client_disconnected = "function" }
local TABLE = { columns = "table", primary_key = "string", auto_inc = "any", unique = "table", indexes = "table", public = "boolean", scheduled = "string" }
local COLUMN = { default = "any" }
local REDUCER = { params = "table", run = "function" }
local INDEX = { name = "string" }

local IS_INTEGER = {}
for _, name in ipairs({ "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64", "i128", "i256" }) do IS_INTEGER[name] = true end

local refuse, sorted = types.refuse, types.sorted

-- Known fields with values of their types. `positions`: the array part is somebody else's to check.
local function check_fields(where, t, known, positions)
  if type(t) ~= "table" then refuse(where, "table expected, got %s", type(t)) end
  for key, value in next, t do
    local expected = known[key]
    if not (positions and math.type(key) == "integer") then
      if type(key) ~= "string" then refuse(where, "names expected as keys, found %s", tostring(key)) end
      if not expected then refuse(where, "unknown field '%s'%s", key, suggest.hint(key, known)) end
      if expected ~= "any" and type(value) ~= expected then refuse(where .. "." .. key, "%s expected, got %s", expected, type(value)) end
    end
  end
end

local check_name, check_list = types.check_name, types.check_list

-- columns and parameters ---------------------------------------------------------------------------------------------

-- { { name, type }, ... } to { { name, type = node, default }, ... }, and by name.
local function read_columns(where, list, scope, known, what)
  check_list(where, list, what)
  local columns, by_name = {}, {}
  for i, given in ipairs(list) do
    local at = ("%s[%d]"):format(where, i)
    if type(given) ~= "table" then refuse(at, "{ name, type } expected, got %s", type(given)) end
    check_fields(at, given, known, true)
    check_name(at, given[1], "a name")
    at = ("%s[%d] (%s)"):format(where, i, given[1])
    if #given > 2 then refuse(at, "{ name, type } expected, found %s behind them", tostring(given[3])) end
    if by_name[given[1]] then refuse(at, "a second one of that name") end
    local column = { name = given[1], type = types.read(at, given[2], scope), default = given.default, position = i }
    columns[i], by_name[column.name] = column, column
  end
  return columns, by_name
end

-- tables -------------------------------------------------------------------------------------------------------------

local function column_of(where, def, name)
  if type(name) ~= "string" then refuse(where, "a column's name expected, got %s", type(name)) end
  local column = def.by_name[name]
  if not column then refuse(where, "table '%s' has no column '%s'%s", def.name, name, suggest.hint(name, def.by_name)) end
  return column
end

-- "a", or { "a", "b" }.
local function columns_of(where, def, given)
  if type(given) == "string" then given = { given } end
  check_list(where, given, "column names")
  if #given == 0 then refuse(where, "at least one column expected") end
  local list, seen = {}, {}
  for i, name in ipairs(given) do
    local column = column_of(("%s[%d]"):format(where, i), def, name)
    if seen[name] then refuse(where, "column '%s' is there twice", name) end
    seen[name], list[i] = true, column
  end
  return list
end

local function names_of(columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return table.concat(names, ", ")
end

-- implied: a unique constraint brings it.
local function add_index(def, columns, accessor, implied)
  local key = names_of(columns)
  for _, index in ipairs(def.indexes) do
    if names_of(index.columns) == key then return index end
  end
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  local index = { columns = columns, accessor = accessor or table.concat(names, "_"), implied = implied }
  def.indexes[#def.indexes + 1] = index
  return index
end

local function read_indexes(where, def, declared)
  for i, given in ipairs(check_list(where, declared, "indexes")) do
    local at = ("%s[%d]"):format(where, i)
    local accessor
    if type(given) == "table" then
      check_fields(at, given, INDEX, true)
      accessor = given.name
      if accessor ~= nil then check_name(at .. ".name", accessor, "a name") end
      given = table.move(given, 1, #given, 1, {})
    end
    local columns = columns_of(at, def, given)
    local count = #def.indexes
    add_index(def, columns, accessor)
    if #def.indexes == count then refuse(at, "a second index on %s", names_of(columns)) end
  end
  local accessors = {}
  for _, index in ipairs(def.indexes) do
    if accessors[index.accessor] then refuse(where, "two indexes are called '%s'; give one a name", index.accessor) end
    accessors[index.accessor] = true
  end
end

local function read_unique(where, def, declared)
  for i, given in ipairs(check_list(where, declared, "unique columns")) do
    local columns = columns_of(("%s[%d]"):format(where, i), def, given)
    def.unique[#def.unique + 1] = columns
    add_index(def, columns, nil, true)
  end
end

local function read_auto_inc(where, def, declared)
  for i, column in ipairs(columns_of(where, def, declared)) do
    if not IS_INTEGER[column.type.kind] then
      refuse(type(declared) == "table" and ("%s[%d]"):format(where, i) or where, "an integer column expected, '%s' is %s", column.name,
        types.text(column.type))
    end
    if column.default ~= nil then refuse(where, "column '%s' has a default already", column.name) end
    column.auto_inc = true
    def.sequences[i] = column
  end
end

local function read_schedule(where, def, declared)
  local at
  for _, column in ipairs(def.columns) do
    if column.type.kind == "schedule_at" then
      if at then refuse(where, "one column of type schedule_at expected, found '%s' and '%s'", at.name, column.name) end
      at = column
    end
  end
  if not at then refuse(where, "a column of type schedule_at expected") end
  if not def.primary_key or def.primary_key.type.kind ~= "u64" then
    refuse(where, "a primary key of type u64 expected%s", def.primary_key and (", '%s' is %s"):format(def.primary_key.name,
      types.text(def.primary_key.type)) or "")
  end
  def.scheduled = { reducer = declared, column = at }
end

local function read_table(where, name, given, scope)
  check_fields(where, given, TABLE)
  local def = { name = name, indexes = {}, unique = {}, sequences = {}, public = given.public == true }
  if given.columns == nil then refuse(where, "columns expected") end
  def.columns, def.by_name = read_columns(where .. ".columns", given.columns, scope, COLUMN, "columns { name, type }")
  if #def.columns == 0 then refuse(where .. ".columns", "at least one column expected") end
  if given.primary_key ~= nil then
    def.primary_key = column_of(where .. ".primary_key", def, given.primary_key)
    def.unique[1] = { def.primary_key }
    add_index(def, { def.primary_key }, nil, true)
  end
  if given.auto_inc ~= nil then read_auto_inc(where .. ".auto_inc", def, given.auto_inc) end
  if given.unique ~= nil then read_unique(where .. ".unique", def, given.unique) end
  if given.indexes ~= nil then read_indexes(where .. ".indexes", def, given.indexes) end
  if given.scheduled ~= nil then read_schedule(where .. ".scheduled", def, given.scheduled) end
  return def
end

-- reducers -----------------------------------------------------------------------------------------------------------

local function read_reducer(where, name, given, scope)
  if type(given) == "function" then given = { run = given } end
  check_fields(where, given, REDUCER)
  if given.run == nil then refuse(where, "run expected: the reducer's function") end
  return { name = name, run = given.run, params = (read_columns(where .. ".params", given.params or {}, scope, {}, "parameters { name, type }")),
    said = given.params ~= nil }
end

-- A scheduled reducer takes the row; its only parameter may be left out.
local function check_scheduled(where, parts, def)
  local name = def.scheduled.reducer
  local reducer = parts.reducers[name]
  if not reducer then refuse(where, "no reducer '%s'%s", name, suggest.hint(name, parts.reducers)) end
  local params = reducer.params
  if not reducer.said then reducer.params = { { name = "row", position = 1, type = { kind = "ref", name = def.name } } }
  elseif #params ~= 1 or params[1].type.kind ~= "ref" or params[1].type.name ~= def.name then
    refuse(("reducers.%s.params"):format(name), "scheduled by table '%s', so one parameter of type '%s' expected", def.name, def.name)
  end
  reducer.said = true
end

-- all of it ----------------------------------------------------------------------------------------------------------

local function read(declaration)
  check_fields("the declaration", declaration, DECLARATION)
  local parts = { types = {}, tables = {}, reducers = {}, lifecycle = {} }
  local scope = types.scope(declaration.types or {}, declaration.tables or {})
  for _, name in ipairs(sorted(declaration.types or {})) do
    check_name("types." .. name, name, "a name")
    parts.types[name] = types.read_named("types." .. name, declaration.types[name], scope)
  end
  for _, name in ipairs(sorted(declaration.tables or {})) do
    check_name("tables." .. name, name, "a name")
    if parts.types[name] then refuse("types." .. name, "a table has that name: its row is a type, too") end
    parts.tables[name] = read_table("tables." .. name, name, declaration.tables[name], scope)
  end
  for _, name in ipairs(sorted(declaration.reducers or {})) do
    check_name("reducers." .. name, name, "a name")
    for _, taken in ipairs(LIFECYCLE) do
      if name == taken then refuse("reducers." .. name, "the engine calls it: declare it beside `reducers`") end
    end
    parts.reducers[name] = read_reducer("reducers." .. name, name, declaration.reducers[name], scope)
  end
  for _, name in ipairs(sorted(parts.tables)) do
    if parts.tables[name].scheduled then check_scheduled(("tables.%s.scheduled"):format(name), parts, parts.tables[name]) end
  end
  for _, name in ipairs(LIFECYCLE) do
    parts.lifecycle[name] = declaration[name]
  end
  return parts
end

local metatable = {
  __name = "inner_universe.Module",
  __index = function(self, key)
    if key == "name" then return PARTS[self].name end
  end,
  __newindex = function(_, key)
    error(("a module is read-only (field '%s')"):format(tostring(key)), 2)
  end,
  __tostring = function(self)
    return ("module %s"):format(PARTS[self].name)
  end,
}

---@class inner_universe.Module
---@field name string

---@class inner_universe.ModuleTable
---@field columns table[] { name, type, default = value }
---@field primary_key? string a column
---@field auto_inc? string|string[] integer columns that draw a number where they are 0 or absent
---@field unique? (string|string[])[]
---@field indexes? (string|table)[] columns of an ordered index: "a", { "a", "b" }, { "a", name = "by_a" }
---@field public? boolean everybody may subscribe it [false: the owner only]
---@field scheduled? string the reducer that rows of this table call at their time

---@class inner_universe.ModuleReducer
---@field params? table[] { name, type }
---@field run fun(ctx: inner_universe.ReducerContext, ...)

---@class inner_universe.ModuleDeclaration
---@field tables? table<string, inner_universe.ModuleTable>
---@field types? table<string, table> { { field, type }, ... } or { sum = { { variant, type }, "variant", ... } }
---@field reducers? table<string, inner_universe.ModuleReducer|fun(ctx: inner_universe.ReducerContext)>
---@field init? fun(ctx: inner_universe.ReducerContext)
---@field client_connected? fun(ctx: inner_universe.ReducerContext)
---@field client_disconnected? fun(ctx: inner_universe.ReducerContext)

---Declares a module; `nil, ValidationError` names the place of what is wrong.
---@param name string
---@param declaration inner_universe.ModuleDeclaration
---@return inner_universe.Module?, inner_universe.Error?
function module.new(name, declaration)
  local ok, parts = pcall(function()
    check_name("the module's name", name, "a name")
    return read(declaration)
  end)
  if not ok then
    if type(parts) ~= "table" or not parts.refused then error(parts, 0) end
    return nil, errors.new("ValidationError", ("module %s: %s"):format(tostring(name), parts.refused))
  end
  parts.name = name
  local made = setmetatable({}, metatable)
  PARTS[made] = parts
  return made
end

---@param value any
---@return boolean
function module.is(value)
  return getmetatable(value) == metatable
end

---What was declared: { name, types, tables, reducers, lifecycle }, for module_definition.lua and its kin. Read-only by agreement.
---@param made inner_universe.Module
---@return table
function module.parts(made)
  return PARTS[made]
end

return module
