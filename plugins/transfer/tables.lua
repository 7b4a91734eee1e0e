-- tables.lua: what is copied of a universe, and in what order: what a row refers to comes before it.
--
-- A rule says of a table: `own(bytes)`, which rows belong to one universe and stay there (nil: none); `time`, the column that `since` looks at (nil: the
-- row has no time of its last change, so `since` takes the whole table: a relation has the time when it was made, and can be updated; a snapshot can be put
-- long after its version; a permission has no time). Tables of modules have no rule: which of their columns says it, if any, only their authors know.
-- client_connection is never copied, and event_head is not a table of its own here: its sequences go with the tables that they count.

local iu = require "inner_universe"

local M = {}

local unpack = string.unpack

M.RECORD_PREFIX = "transfer:" -- of this plugin's own rows in plugin_record

-- What a universe that was just made has of its own: events (and those of who looks at it), rows of config.
M.OWN_EVENTS = { SYSTEM_INITIALIZED = true, CLIENT_CONNECTED = true, CLIENT_DISCONNECTED = true }
M.OWN_CONFIG = { owner = true, schema_version = true, enable_audit_log = true, enable_row_history = true }

local function starts(bytes, prefix)
  return unpack("<s4", bytes):sub(1, #prefix) == prefix
end

local CONFIG_OWN = { owner = true, schema_version = true }

local RULES = {
  entity = { time = "updated_at" },
  relation = {},
  state_version = { time = "timestamp" },
  delta_record = { time = "timestamp" },
  state_snapshot = {},
  state_branch = { time = "updated_at" },
  event_log = { time = "timestamp" },
  event_cursor = { time = "updated_at" },
  row_history = { time = "timestamp" },
  permission = { own = function(bytes) return starts(bytes, "action:") end }, -- the number of an action's rules: it follows the rules
  applied_request = { time = "applied_at" },
  schema_migration = { time = "applied_at" },
  plugin_record = { time = "updated_at", own = function(bytes) return starts(bytes, M.RECORD_PREFIX) end },
  config = { time = "updated_at", own = function(bytes) return CONFIG_OWN[unpack("<s4", bytes)] == true end },
}

local ORDER = {
  "entity", "relation", "state_version", "delta_record", "state_snapshot", "state_branch", "event_log", "event_cursor", "row_history", "permission",
  "applied_request", "schema_migration", "plugin_record", "config",
}
M.ORDER = ORDER

local NEVER = { client_connection = true, event_head = true }
M.NEVER = NEVER

-- Which row of event_head goes with a table.
M.HEADS = { event_log = 0, entity = 1, relation = 1, state_version = 1, delta_record = 1, row_history = 2 }

---@param name string
---@return table rule
function M.rule(name)
  return RULES[name] or {}
end

function M.is_nerv(name)
  return RULES[name] ~= nil
end

-- The names that a schema has, in the order of a copy: the toolkit's, then those of modules by name.
local function known(schema)
  local names, modules = {}, {}
  for _, name in ipairs(ORDER) do
    if schema.tables[name] then names[#names + 1] = name end
  end
  for name, def in pairs(schema.tables) do
    if not RULES[name] and not NEVER[name] and not def.view and not def.event then modules[#modules + 1] = name end
  end
  table.sort(modules)
  for _, name in ipairs(modules) do names[#names + 1] = name end
  return names
end

local function has(list, name)
  for _, each in ipairs(list) do
    if each == name then return true end
  end
end

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

-- Why a table has no rows of its own to copy; nil: it has.
local function empty_by_nature(def)
  if not def then return nil end
  return def.event and "is an event table: its rows exist only in the transaction that inserts them"
    or def.view and "is a view: its rows are those of other tables" or nil
end

local function check_names(schema, option, list, names)
  for i, name in ipairs(list) do
    local why = empty_by_nature(schema.tables[name])
    if why and option == "tables" then return invalid("%s[%d]: `%s` %s", option, i, name, why) end
    if NEVER[name] then return invalid("%s[%d]: `%s` belongs to each universe itself", option, i, name) end
    if not why and not has(names, name) then
      return invalid("%s[%d]: no table `%s` (there are: %s)", option, i, tostring(name), table.concat(names, ", "))
    end
  end
  if #list == 0 then return invalid("%s: expected at least one name", option) end
  return true
end

---The tables to copy, in order: those named, or all, but for those left out by name. A name that the schema does not have, or that is never copied, is refused.
---@param schema table
---@param options { tables?: string[], except?: string[] }
---@return string[]?, inner_universe.Error?
function M.choose(schema, options)
  local names, chosen = known(schema), {}
  for _, option in ipairs { "tables", "except" } do
    if options[option] then
      local ok, err = check_names(schema, option, options[option], names)
      if not ok then return nil, err end
    end
  end
  for _, name in ipairs(names) do
    if (not options.tables or has(options.tables, name)) and not (options.except and has(options.except, name)) then chosen[#chosen + 1] = name end
  end
  if #chosen == 0 then return invalid("except: no table is left") end
  return chosen
end

---The event tables of an end, which hold no rows: none of them is copied, and whoever asked for everything is told.
---@param schema table
---@param options { tables?: string[], except?: string[] }
---@return string[]
function M.events(schema, options)
  local names = iu.array {}
  for name, def in pairs(schema.tables) do
    if def.event and not options.tables and not (options.except and has(options.except, name)) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---That a target's table can hold no rows: a MigrationError; nil: it can.
function M.cannot_hold(side, name)
  local why = empty_by_nature(side.schema.tables[name])
  return why and iu.errors.new("MigrationError", ("table `%s` of %s %s; leave it out (except)"):format(name, side.text, why))
end

---Of these the ones that an end may read, and those left out: private tables are the owner's. What was asked for by name is kept, and refused where it is read.
---@param asked any
function M.readable(from, names, asked)
  if asked or from.conn:is_owner() then return names, iu.array {} end
  local kept, left = {}, iu.array {}
  for _, name in ipairs(names) do
    if from.schema.tables[name].public then kept[#kept + 1] = name else left[#left + 1] = name end
  end
  return kept, left
end

---Of these the tables that come whole although `since` is given: their rows do not say when they changed. nil where it is not given.
---@param since integer?
---@return string[]?
function M.whole(names, since)
  if not since then return nil end
  local whole = iu.array {}
  for _, name in ipairs(names) do
    if not M.rule(name).time then whole[#whole + 1] = name end
  end
  return whole
end

---What a table's rows are made of, for comparing two schemas: its columns, their types spelled out (names of types say nothing: a file does not know them),
---and its primary key.
function M.definition(conn, name)
  local lines = {}
  for line in assert(conn:definition(name)):gmatch("[^\n]+") do
    if line:find("^column ") or line:find("^primary key ") then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

local MOST = 300 -- bytes of a side in a message

local function lines_but(text, other)
  local both, rest = {}, {}
  for line in other:gmatch("[^\n]+") do both[line] = true end
  for line in text:gmatch("[^\n]+") do
    if not both[line] then rest[#rest + 1] = line end
  end
  local words = #rest > 0 and table.concat(rest, ", ") or #text == #other and "its columns in another order" or "nothing else"
  return #words <= MOST and words or words:sub(1, MOST) .. "..."
end

---In what two definitions differ: a MigrationError.
function M.differ(name, a, left, b, right)
  return nil, iu.errors.new("MigrationError", ("table `%s` differs: %s has %s; %s has %s"):format(name, a, lines_but(left, right), b, lines_but(right, left)))
end

---That a table is missing: a MigrationError.
function M.missing(name, to, from)
  return nil, iu.errors.new("MigrationError", ("%s has no table `%s`, which %s has (give its module: module; or leave it out: except)"):format(to, name, from))
end

---The columns of a table as one text, types by their names: for people.
function M.columns(schema, name)
  local parts = {}
  for i, column in ipairs(schema.tables[name].columns) do parts[i] = column[1] .. " " .. column[2] end
  return table.concat(parts, ", ")
end

---The indexes of a table of a module whose columns must be unique, but for the primary key's.
---@return table[] each { accessor, columns, ... }
function M.unique_indexes(schema, name)
  local t, unique = schema.tables[name], {}
  if RULES[name] then return unique end
  for _, index in ipairs(t.indexes) do
    if index.unique and not (#index.columns == 1 and index.columns[1] == t.primary_key) then unique[#unique + 1] = index end
  end
  return unique
end

---Must columns beside the primary key be unique in a table of a module?
function M.has_unique(schema, name)
  return #M.unique_indexes(schema, name) > 0
end

---The primary key of a row, from its bytes: a value of the key's type; a table without one has the row itself as its key.
---@return fun(bytes: string): any
function M.key_reader(conn, schema, name)
  if RULES[name] then return function(bytes) return (unpack("<s4", bytes)) end end
  local column = schema.tables[name].primary_key
  if not column then return function(bytes) return bytes end end
  return function(bytes) return assert(conn:row_of_bytes(name, bytes))[column] end
end

---What remove_rows knows a row by.
function M.removal_key(conn, schema, name, bytes)
  if RULES[name] then return (unpack("<s4", bytes)) end
  local text = assert(conn:row_json(name, bytes))
  local column = schema.tables[name].primary_key
  return column and assert(iu.json.encode(assert(iu.json.decode(text))[column])) or text
end

---A key as people read it.
function M.key_text(key)
  if key ~= key then return "NaN" end -- whatever its sign
  if type(key) ~= "string" then return tostring(key) end
  if #key <= 200 and utf8.len(key) and not key:find("%c") then return key end
  return "x" .. key:sub(1, 64):gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. (#key > 64 and "..." or "")
end

return M
