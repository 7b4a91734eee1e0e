-- A declared module as the core takes it: its definition (RawModuleDef V9, as SpacetimeDB's modules describe themselves), the functions of its reducers, and
-- the bytes of default values. Tables, reducers and types come in the order of their names, so that the same declaration always gives the same definition.

local runtime = require("inner_universe.runtime")

local definition = {}

local LIFECYCLE = { "init", "client_connected", "client_disconnected" } -- in the order of the core's numbers, from 1

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function names_of(columns, into)
  local names = into or {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return names
end

local function entries_of(columns)
  local entries = {}
  for i, column in ipairs(columns) do entries[i] = { column.name, column.type, default = column.default } end
  return entries
end

local function table_plan(def)
  local plan = {
    def.name, public = def.public, columns = entries_of(def.columns), primary_key = def.primary_key and def.primary_key.name,
    auto_inc = names_of(def.sequences), unique = {}, indexes = {},
    schedule = def.scheduled and { def.scheduled.column.name, def.scheduled.reducer },
  }
  for _, columns in ipairs(def.unique) do
    if #columns > 1 or columns[1] ~= def.primary_key then plan.unique[#plan.unique + 1] = names_of(columns) end
  end
  for _, index in ipairs(def.indexes) do
    if not index.implied then plan.indexes[#plan.indexes + 1] = names_of(index.columns, { accessor = index.accessor }) end
  end
  return plan
end

local function plan_of(parts)
  local plan = { types = {}, tables = {}, reducers = {} }
  local run = {}
  for i, name in ipairs(sorted(parts.types)) do
    local declared = parts.types[name]
    plan.types[i] = { name, declared.variants ~= nil, entries_of(declared.variants or declared.fields) }
  end
  for i, name in ipairs(sorted(parts.tables)) do
    plan.tables[i] = table_plan(parts.tables[name])
    for _, column in ipairs(parts.tables[name].columns) do plan.has_defaults = plan.has_defaults or column.default ~= nil end
  end
  for i, name in ipairs(sorted(parts.reducers)) do
    plan.reducers[i] = { name, 0, params = entries_of(parts.reducers[name].params) }
    run[i] = parts.reducers[name].run
  end
  for number, name in ipairs(LIFECYCLE) do
    -- names are the universe's: each module has its own three, and nobody calls them by name
    if parts.lifecycle[name] then
      plan.reducers[#plan.reducers + 1] = { ("%s_%s"):format(parts.name, name), number }
      run[#run + 1] = parts.lifecycle[name]
    end
  end
  return plan, run
end

---`defaults`: { { table, position, bytes }, ... }; `run`: the functions, in the order of the definition's reducers.
---@param parts table module.parts
---@return { definition: string, defaults: table[], run: function[], table_count: integer }?, inner_universe.Error?
function definition.of(parts)
  local plan, run = plan_of(parts)
  local bytes, err = runtime.core.module_definition(plan)
  if not bytes then return nil, err end
  local defaults = {}
  for _, t in ipairs(plan.tables) do
    for i, column in ipairs(t.columns) do
      if column.bytes then defaults[#defaults + 1] = { table = t[1], position = i - 1, bytes = column.bytes } end
    end
  end
  return { definition = bytes, defaults = defaults, run = run, table_count = #plan.tables }
end

return definition
