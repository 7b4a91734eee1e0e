-- codec.lua: NERV's values to rows and back: metadata with its properties as JSON text, optional texts, event data.
--
-- Every function that can refuse answers nil, err (ValidationError naming the field) and changes nothing it was given.

local iu = require "inner_universe"

local plugin = ...
local rows = plugin.load "rows"

local codec = {}

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

--- What the manager and a transaction take beside the id of what is to be deleted (check.options).
codec.DELETE_OPTIONS = { cascade = "boolean" }

--- What metadata has where nothing is given, for `conn:call_filled` and batches: the same as entity_metadata and relation_metadata make, or refused.
codec.ENTITY_DEFAULTS = { tags = {}, properties = {} }
codec.RELATION_DEFAULTS = { strength = 1.0, bidirectional = false, tags = {}, properties = {} }

local SHOWN_MAX = 80 -- bytes of an id that a message repeats

--- An id as messages show it: whatever its length, they stay readable.
function codec.shown(id)
  if #id <= SHOWN_MAX then return id end
  local cut = SHOWN_MAX
  while cut > 1 and id:byte(cut + 1) & 0xC0 == 0x80 do cut = cut - 1 end
  return ("%s... (%d bytes)"):format(id:sub(1, cut), #id)
end

local FIELDS = {
  entity = { name = true, description = true, tags = true, properties = true },
  relation = { description = true, strength = true, bidirectional = true, tags = true, properties = true },
}

local function check_fields(kind, metadata)
  local known = FIELDS[kind]
  for key in pairs(metadata) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      return invalid("metadata: unknown field `%s` (known: %s)", tostring(key), table.concat(names, ", "))
    end
  end
  return true
end

-- A JSON object's text. nil is the empty one.
local function encode_properties(properties)
  if properties == nil or properties == iu.null then return "{}" end
  if type(properties) ~= "table" and not iu.json.is_document(properties) then
    return invalid("metadata.properties: expected a table with string keys, got %s", type(properties))
  end
  local text, err = iu.json.encode(properties)
  if not text then
    err.message = "metadata.properties: " .. err.message
    return nil, err
  end
  if text:byte(1) ~= 123 then -- {
    return invalid("metadata.properties: expected string keys, got an array")
  end
  return text
end

local function none(value)
  if value == iu.null then return nil end
  return value
end

--- Metadata of an entity as the row wants it.
function codec.entity_metadata(metadata)
  metadata = metadata or {}
  local ok, err = check_fields("entity", metadata)
  if not ok then return nil, err end
  local properties
  properties, err = encode_properties(metadata.properties)
  if not properties then return nil, err end
  return { name = none(metadata.name), description = none(metadata.description), tags = none(metadata.tags) or {}, properties = properties }
end

--- Metadata of a relation; strength 1.0 and bidirectional false when not given.
function codec.relation_metadata(metadata)
  metadata = metadata or {}
  local ok, err = check_fields("relation", metadata)
  if not ok then return nil, err end
  local properties
  properties, err = encode_properties(metadata.properties)
  if not properties then return nil, err end
  local strength, bidirectional = none(metadata.strength), none(metadata.bidirectional)
  if strength == nil then strength = 1.0 end
  if bidirectional == nil then bidirectional = false end
  return {
    description = none(metadata.description), strength = strength, bidirectional = bidirectional,
    tags = none(metadata.tags) or {}, properties = properties,
  }
end

-- Reducers refuse texts that are no JSON, so this one was changed on the disk.
local function decoded(text, what, id)
  if text == "" then return nil end
  local value, err = iu.json.decode(text)
  if value == nil then return nil, iu.errors.wrap("StorageError", ("%s of %s: the stored JSON text is damaged"):format(what, codec.shown(id)), err) end
  return value
end

local function copy(row)
  local out = {}
  for key, value in pairs(row) do out[key] = value end
  return out
end

--- The err for an id that nothing has. what: "entity", "state version", ...
function codec.not_found(kind, what, id)
  return iu.errors.new(kind, ("%s not found: %s"):format(what, codec.shown(id)))
end

--- Rows, each decoded in its place; nil, err at the first that cannot be.
function codec.all(list, decode)
  local err
  for i = 1, #list do
    list[i], err = decode(list[i])
    if err then return nil, err end
  end
  return list
end

-- Rows become what users see: JSON texts decoded, "" of optional texts gone. A new table each time: several handlers may share a row.
-- nil, StorageError for a row with a damaged text.

local function with_properties(kind)
  return function(row)
    local properties, err = decoded(row.metadata.properties, "properties", row.id)
    if err then return nil, err end
    local out = copy(row)
    out.metadata = copy(row.metadata)
    out.metadata.properties = properties
    return rows.read(kind, out)
  end
end
codec.entity = with_properties("entity")
codec.relation = with_properties("relation")

local function without_empty(row, ...)
  for i = 1, select("#", ...) do
    local key = select(i, ...)
    if row[key] == "" then row[key] = nil end
  end
  return row
end

function codec.version(row)
  local metadata, err = decoded(row.metadata, "metadata", row.version_id)
  if err then return nil, err end
  local out = copy(row)
  out.metadata = metadata
  return without_empty(out, "parent_version_id", "merge_parent_id", "author", "data_hash", "tree_hash")
end

function codec.event(row)
  local data, err = decoded(row.data, "data", row.event_id)
  if err then return nil, err end
  local out = copy(row)
  out.data = data
  return rows.read("event", without_empty(out, "source"))
end

local OPERATIONS = { set = "Set", delete = "Delete", insert = "Insert", remove = "Remove", patch = "Patch" }
local FIELDS_OF = {
  Set = { path = true, value = true }, Delete = { path = true }, Insert = { path = true, index = true, value = true },
  Remove = { path = true, index = true }, Patch = { path = true, patch = true },
}
local NAMED_BY = { "op", "type", "operation", "operation_type" }

-- The operation's name and the table of its fields: { op = "set", path = ... } or { Set = { path = ... } }.
local function name_and_fields(op)
  for _, key in ipairs(NAMED_BY) do
    local given = op[key]
    if given ~= nil then return type(given) == "string" and OPERATIONS[given:lower()] or nil, op, given end
  end
  local key, fields = next(op)
  if type(key) == "string" and type(fields) == "table" and next(op, key) == nil then return OPERATIONS[key:lower()], fields, key end
  return nil, op, nil
end

local function check_operation(name, fields, where)
  local known = FIELDS_OF[name]
  for key in pairs(fields) do
    local naming = false
    for _, each in ipairs(NAMED_BY) do naming = naming or key == each end
    if not known[key] and not naming then return invalid("%s: %s has no `%s`", where, name:lower(), tostring(key)) end
  end
  if type(fields.path) ~= "string" then return invalid("%s.path: expected a dotted path, got %s", where, type(fields.path)) end
  local index = fields.index
  if index == nil and name == "Remove" then return invalid("%s.index: expected an integer from 0, got nil", where) end
  if index ~= nil and (math.type(index) ~= "integer" or index < 0) then
    return invalid("%s.index: expected an integer from 0, got %s", where, tostring(index))
  end
  return true
end

local function encode_operation(op, where)
  if type(op) ~= "table" then return invalid("%s: expected a table, got %s", where, type(op)) end
  local name, fields, given = name_and_fields(op)
  if not name then
    return invalid("%s.op: expected set, delete, insert, remove or patch, got %s", where, tostring(given))
  end
  local ok, err = check_operation(name, fields, where)
  if not ok then return nil, err end
  local value = { path = fields.path, index = fields.index }
  for _, field in ipairs { "value", "patch" } do
    if FIELDS_OF[name][field] then
      if fields[field] == nil then return invalid("%s.%s: expected a value (iu.null for null), got nil", where, field) end
      value[field], err = iu.json.encode(fields[field])
      if not value[field] then
        err.message = ("%s.%s: %s"):format(where, field, err.message)
        return nil, err
      end
    end
  end
  return { tag = name, value = value }
end

--- Delta operations as users write them: { op = "set", path = "a.b", value = 1 }; `type` or `operation` instead of `op`, any case, and
--- { Set = { path = "a.b", value = 1 } } mean the same.
function codec.operations(operations)
  local out, count = {}, #operations
  for key in pairs(operations) do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      return invalid("operations: expected an array of operations, found the key %s", tostring(key))
    end
  end
  for i = 1, count do
    local encoded, err = encode_operation(operations[i], ("operations[%d]"):format(i))
    if not encoded then return nil, err end
    out[i] = encoded
  end
  return out
end

--- The row of a delta: its operations as plain tables again.
function codec.delta(row)
  local out = copy(row)
  local err
  out.operations, err = iu.diff.from_rows(row.operations)
  if not out.operations then return nil, iu.errors.wrap("StorageError", ("delta %s: %s"):format(codec.shown(row.delta_id), err.message), err) end
  return out
end

function codec.data(data)
  if data == nil then return "{}" end
  local text, err = iu.json.encode(data)
  if text then return text end
  err.message = "data: " .. err.message
  return nil, err
end

return codec
