-- The same random calls on the embedded engine and on a real server: the same answers, words included, and the same rows.
--
-- Each call is made over a connection of its own on both sides (that is what the server's HTTP interface does), by one of three identities; the
-- owner stays connected besides. Compared are all public tables, row by row, after timestamps, identities, connections and generated ids were replaced
-- by the order in which they first appear: the event log and the row history first, by sequence, then the other tables, connections by
-- their time, the rest by their text without these values, and where that is equal by their keys (generated ids grow). SEED repeats a run.

local iu = require("inner_universe")
local spacetimedb = require("spacetimedb")
local http_wire = require("http_wire")

local CALLS = 5000
local LEARN_EVERY = 100 -- calls between two looks at which ids were generated
local FAR = 4000000000000000 -- a time no clock here reaches
local SEED = tonumber(os.getenv("SEED")) or os.time()
local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

local TABLES = {
  "event_log", "row_history", "entity", "relation", "state_version", "delta_record", "state_snapshot", "state_branch", "event_head",
  "event_cursor", "config", "client_connection", "schema_migration", "plugin_record",
}
local NULL = iu.null

-- types ----------------------------------------------------------------------------------------------------------------

local SPECIAL = { __identity__ = "identity", __connection_id__ = "connection", __timestamp_micros_since_unix_epoch__ = "timestamp" }

-- kind and what it is made of; refs followed.
local function open_type(schema, t)
  local kind, body = next(t)
  if kind == "Ref" then return open_type(schema, schema.typespace.types[body + 1]) end
  if kind == "Product" then
    local special = body.elements[1] and SPECIAL[body.elements[1].name.some]
    if special then return special end
    return "product", body.elements
  end
  if kind == "Sum" then
    if body.variants[1].name.some == "some" then return "option", body.variants[1].algebraic_type end
    return "sum", body.variants
  end
  if kind == "Array" then return body.U8 and "bytes" or "array", body end
  return "scalar"
end

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- A Lua value as the server's JSON arguments want it.
local function argument(schema, t, value)
  local kind, body = open_type(schema, t)
  if kind == "product" then
    local out = iu.array {}
    for i, element in ipairs(body) do out[i] = argument(schema, element.algebraic_type, value[element.name.some]) end
    return out
  elseif kind == "option" then
    if value == nil or value == NULL then return { none = iu.array {} } end
    return { some = argument(schema, body, value) }
  elseif kind == "sum" then
    for _, variant in ipairs(body) do
      if variant.name.some == value.tag then return { [value.tag] = argument(schema, variant.algebraic_type, value.value) } end
    end
  elseif kind == "array" then
    local out = iu.array {}
    for i, item in ipairs(value) do out[i] = argument(schema, body, item) end
    return out
  elseif kind == "bytes" then
    return hex(value)
  elseif kind == "timestamp" then
    return iu.array { value }
  end
  return value
end

-- A value of the server's untyped rows in the form that the library's rows have.
local function row_value(schema, t, value)
  local kind, body = open_type(schema, t)
  if kind == "product" then
    local out = {}
    for i, element in ipairs(body) do out[element.name.some] = row_value(schema, element.algebraic_type, value[i]) end
    return out
  elseif kind == "option" then
    if value[1] == 0 then return row_value(schema, body, value[2]) end
    return nil
  elseif kind == "sum" then
    local variant = body[value[1] + 1]
    return { tag = variant.name.some, value = row_value(schema, variant.algebraic_type, value[2]) }
  elseif kind == "array" then
    local out = iu.array {}
    for i, item in ipairs(value) do out[i] = row_value(schema, body, item) end
    return out
  elseif kind == "bytes" then
    return (value:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
  elseif kind == "timestamp" then
    return value[1]
  elseif kind == "identity" then
    local digits = value[1]:gsub("^0x", "")
    return ("0"):rep(64 - #digits) .. digits
  elseif kind == "connection" then
    return tostring(value[1])
  end
  return value
end

-- BSATN of a row (in row_history) as a value; gives the position behind it.
local SCALARS = { Bool = "B", U8 = "B", U32 = "<I4", U64 = "<i8", F64 = "<d", String = "<s4" }
local function decode(schema, t, bytes, at)
  local kind, body = open_type(schema, t)
  if kind == "product" then
    local out = {}
    for _, element in ipairs(body) do out[element.name.some], at = decode(schema, element.algebraic_type, bytes, at) end
    return out, at
  elseif kind == "option" then
    if bytes:byte(at) == 0 then return decode(schema, body, bytes, at + 1) end
    return nil, at + 1
  elseif kind == "array" then
    local out = iu.array {}
    local count, first = ("<I4"):unpack(bytes, at)
    at = first
    for i = 1, count do out[i], at = decode(schema, body, bytes, at) end
    return out, at
  elseif kind == "timestamp" then
    return ("<i8"):unpack(bytes, at)
  end
  local value
  value, at = SCALARS[next(t)]:unpack(bytes, at)
  if t.Bool then value = value ~= 0 end
  return value, at
end

-- sides ------------------------------------------------------------------------------------------------------------------

local function row_type(schema, name)
  for _, def in ipairs(schema.tables) do
    if def.name == name then return { Ref = def.product_type_ref } end
  end
end

local function reducer_params(schema, name)
  for _, def in ipairs(schema.reducers) do
    if def.name == name then return def.params.elements end
  end
end

-- call(who, reducer, arguments) -> true or the words of the refusal; rows(table); who: 1 the owner, 2 and 3 guests.
-- Servers after 1.2.0 connect for a statement of SQL too, and log it; the engine's side then does the same (`connects`).
local function engine_side(identities, connects)
  local conn = assert(iu.connect("memory:"))
  local side = { identities = { conn:identity(), identities[2], identities[3] } }
  function side.call(who, reducer, arguments)
    local session <close> = assert(conn:session { identity = side.identities[who] })
    local ok, err = session:call(reducer, table.unpack(arguments, 1, arguments.n))
    return ok or ("%s: %s"):format(err.code, err.message)
  end
  function side.rows(name)
    local reader <close> = connects and assert(conn:session { identity = side.identities[1] }) or nil
    return assert((reader or conn):query("SELECT * FROM " .. name))
  end
  function side.close() conn:close() end
  return side
end

local function server_side(schema, name, tokens, identities)
  local side = { identities = identities }
  local held = http_wire.open(tonumber(spacetimedb.address:match("%d+$")))
  local status = held:request("GET", ("/v1/database/%s/subscribe"):format(name), { -- the owner's standing connection
    Connection = "Upgrade", Upgrade = "websocket", ["Sec-WebSocket-Version"] = "13", ["Sec-WebSocket-Key"] = "aW5uZXIgdW5pdmVyc2UhIQ==",
    ["Sec-WebSocket-Protocol"] = "v1.bsatn.spacetimedb", Authorization = "Bearer " .. tokens[1],
  })
  assert.equal(101, status)
  held:read(2) -- the first message comes when client_connected has run
  function side.call(who, reducer, arguments)
    local list = iu.array {}
    for i, element in ipairs(reducer_params(schema, reducer)) do list[i] = argument(schema, element.algebraic_type, arguments[i]) end
    local ok, words = spacetimedb.call(name, tokens[who], reducer, assert(iu.json.encode(list)))
    return ok or words
  end
  function side.rows(table_name)
    local rows = spacetimedb.sql(name, tokens[1], "SELECT * FROM " .. table_name)
    local t = row_type(schema, table_name)
    for i, row in ipairs(rows) do rows[i] = row_value(schema, t, row) end
    return rows
  end
  function side.connects()
    return side.rows("event_head")[1].sequence ~= side.rows("event_head")[1].sequence
  end
  function side.close() held:close() end
  return side
end

-- rows as comparable text ------------------------------------------------------------------------------------------------

local function value_text(schema, t, value)
  local kind, body = open_type(schema, t)
  if kind == "product" then
    local parts = {}
    for i, element in ipairs(body) do
      parts[i] = element.name.some .. "=" .. value_text(schema, element.algebraic_type, value[element.name.some])
    end
    return "{" .. table.concat(parts, " ") .. "}"
  elseif kind == "option" then
    return value == nil and "none" or value_text(schema, body, value)
  elseif kind == "sum" then
    for _, variant in ipairs(body) do
      if variant.name.some == value.tag then return value.tag .. value_text(schema, variant.algebraic_type, value.value) end
    end
  elseif kind == "array" then
    local parts = {}
    for i, item in ipairs(value) do parts[i] = value_text(schema, body, item) end
    return "[" .. table.concat(parts, ",") .. "]"
  elseif kind == "bytes" then
    return "x" .. hex(value)
  elseif kind == "timestamp" then
    return (value <= 1 or value == FAR) and tostring(value) or ("<T%d>"):format(value)
  elseif kind == "connection" then
    return ("<C%s>"):format(value)
  end
  return t.F64 and ("%a"):format(value) or type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- What orders the rows of a table; the others are ordered by their text.
local ORDERED = { event_log = "sequence", row_history = "sequence", client_connection = "connected_at" }

local UUID = ("%x"):rep(8) .. "%-%x%x%x%x%-7%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12)
local PATTERNS = { UUID, "<T%d+>", "<C%w+>", ("%x"):rep(64), "%f[%x]" .. ("%x"):rep(32) .. "%f[^%x]" }

local function masked(text)
  for _, pattern in ipairs(PATTERNS) do text = text:gsub(pattern, "#") end
  return text
end

-- All tables of a side as lines, with what differs by nature replaced.
local function dump(schema, side)
  local lines = {}
  for _, name in ipairs(TABLES) do
    local t = row_type(schema, name)
    local rows = {}
    for i, row in ipairs(side.rows(name)) do
      if name == "row_history" and #row.row > 0 then
        local old = decode(schema, row_type(schema, row.table_name), row.row, 1)
        row.row = value_text(schema, row_type(schema, row.table_name), old)
      end
      local text
      if name == "row_history" then
        local before = row.row
        row.row = ""
        text = value_text(schema, t, row) .. " before: " .. before
      else
        text = value_text(schema, t, row)
      end
      rows[i] = { text = text, mask = masked(text), sequence = ORDERED[name] and row[ORDERED[name]] or 0 }
    end
    table.sort(rows, function(a, b)
      if a.sequence ~= b.sequence then return a.sequence < b.sequence end
      if a.mask ~= b.mask then return a.mask < b.mask end
      return a.text < b.text
    end)
    for _, row in ipairs(rows) do lines[#lines + 1] = name .. " " .. row.text end
  end
  local seen, count = {}, 0
  for i, line in ipairs(lines) do
    for _, pattern in ipairs(PATTERNS) do
      line = line:gsub(pattern, function(what)
        if not seen[what] then
          count = count + 1
          seen[what] = ("$%d"):format(count)
        end
        return seen[what]
      end)
    end
    lines[i] = line
  end
  return lines
end

-- calls ------------------------------------------------------------------------------------------------------------------

local random = math.random
local function pick(list) return list[random(#list)] end
local function chance(percent) return random(100) <= percent end

local NAMES = { "a", "b", "c", "d", "e", "f", "g", "h" }
local TEXTS = { "", "x", "Ada", "ä\u{20ac}", "with \"quotes\" and \\", "line\nbreak", ("long "):rep(40) }
local JSON = { "{}", '{"a":1}', '{"b":[1,2.5,null,"x"],"a":{"c":true}}', "", "[]", "{", '{"a":1e999}', "null", '{"a":"\\ud800"}', "{\"a\":1}x" }
local ACTIONS = { "create_entity", "delete_relation", "put_record", "publish_event", "role", "", "set_branch" }

-- An id: of those the caller names, of those generated (told apart by kind and place), or none that is good.
local function id(kind)
  if chance(25) then return { generated = kind, at = random(1 << 20) } end
  if chance(4) then return pick({ "", "bad\1id", ("y"):rep(257), "nowhere" }) end
  return kind .. pick(NAMES) .. random(6)
end

local function new_id(kind) return chance(30) and NULL or id(kind) end
local function tags()
  local out = iu.array {}
  for i = 1, random(0, 2) do out[i] = pick(NAMES) end
  if chance(2) then out[1] = "" end
  return out
end
local function entity_metadata()
  return { name = chance(70) and pick(TEXTS) or nil, description = chance(30) and pick(TEXTS) or nil, tags = tags(), properties = pick(JSON) }
end
local function relation_metadata()
  return { description = chance(30) and pick(TEXTS) or nil, strength = pick({ 0.5, 1.0, -3.25, 1e300 }), bidirectional = chance(50), tags = tags(),
    properties = pick(JSON) }
end
local function delta_operations()
  local out = iu.array {}
  for i = 1, random(0, 3) do
    local path = pick({ "", "a", "a.b", "a\\.b", "\\e", "a\\x", ".." })
    out[i] = pick({
      { tag = "Set", value = { path = path, value = pick(JSON) } }, { tag = "Delete", value = { path = path } },
      { tag = "Insert", value = { path = path, index = chance(50) and random(0, 3) or nil, value = pick(JSON) } },
      { tag = "Remove", value = { path = path, index = random(0, 3) } }, { tag = "Patch", value = { path = path, patch = pick(JSON) } },
    })
  end
  return out
end
local function delta_metadata()
  return { description = pick(TEXTS), author = chance(50) and pick(TEXTS) or nil, tags = tags(), parent_delta_id = chance(20) and id("d") or nil }
end
local function time_option() return pick({ NULL, 0, 1, FAR }) end
local function number_option(most) return chance(40) and NULL or random(0, most) end
local function version_parent() return chance(40) and "" or id("v") end
local function head_option() return pick({ NULL, NULL, NULL, "", id("v") }) end
local function principal() return pick({ { identity = 2 }, { identity = 3 }, "role:r1", "role:r2", "nobody" }) end
local function branch() return pick({ "", "main", "dev", "tag1" }) end
local function ids_of(kind)
  local out = iu.array {}
  for i = 1, random(0, 2) do out[i] = id(kind) end
  return out
end

-- The parameters of each operation, in order: name and value.
local MAKE = {
  create_entity = function() return { "entity_type", pick(NAMES) }, { "metadata", entity_metadata() }, { "id", new_id("e") } end,
  update_entity = function() return { "id", id("e") }, { "metadata", entity_metadata() } end,
  delete_entity = function() return { "id", id("e") }, { "cascade", chance(50) } end,
  create_relation = function()
    return { "from_entity", id("e") }, { "to_entity", id("e") }, { "relation_type", pick(NAMES) }, { "metadata", relation_metadata() },
      { "id", new_id("r") }
  end,
  update_relation = function() return { "id", id("r") }, { "metadata", relation_metadata() } end,
  delete_relation = function() return { "id", id("r") } end,
  commit_state_version = function()
    local snapshot = iu.array {}
    if chance(20) then snapshot[1] = { encoding = "raw", data = "\0\1" .. pick(TEXTS) } end
    return { "parent_version_id", version_parent() }, { "description", pick(TEXTS) }, { "data_hash", pick(TEXTS) }, { "branch", branch() },
      { "author", pick(TEXTS) }, { "tags", tags() }, { "metadata", pick(JSON) }, { "merge_parent_id", chance(90) and "" or id("v") },
      { "tree_hash", "" }, { "expected_head", head_option() },
      { "delta", chance(50) and NULL or { base_version_id = version_parent(), operations = delta_operations(), metadata = delta_metadata(),
        id = chance(50) and id("d") or nil } },
      { "snapshot", snapshot }, { "id", new_id("v") }
  end,
  record_delta = function()
    return { "version_id", id("v") }, { "operations", delta_operations() }, { "metadata", delta_metadata() }, { "id", new_id("d") }
  end,
  put_snapshot = function()
    return { "version_id", id("v") }, { "part", random(0, 3) }, { "parts", random(0, 3) }, { "encoding", pick(TEXTS) }, { "data", pick(TEXTS) }
  end,
  set_branch = function()
    return { "name", branch() }, { "kind", pick({ "branch", "tag", "branch", "twig" }) }, { "head_version_id", chance(20) and "" or id("v") },
      { "expected_head", head_option() }
  end,
  prune_versions = function() return { "version_ids", ids_of("v") }, { "delta_ids", ids_of("d") }, { "snapshot_version_ids", ids_of("v") } end,
  publish_event = function() return { "event_type", pick(NAMES) }, { "source", pick(TEXTS) }, { "data", pick(JSON) }, { "id", new_id("v") } end,
  prune_events = function()
    return { "before", time_option() }, { "max_count", number_option(4000) }, { "max_bytes", number_option(2000000) }, { "up_to", number_option(3000) },
      { "event_types", chance(70) and iu.array {} or iu.array { pick(NAMES) } }, { "limit", random(0, 20) }
  end,
  advance_cursor = function() return { "consumer", pick(NAMES) }, { "sequence", random(0, 4000) }, { "expected", number_option(3) } end,
  prune_history = function()
    return { "before", time_option() }, { "max_count", number_option(200) }, { "max_bytes", number_option(200000) }, { "limit", random(0, 20) }
  end,
  update_config = function()
    local key = pick({ "enable_audit_log", "enable_row_history", "owner", "other", "", "schema_version" })
    local value = pick({ "true", "true", "false", "entity", "entity,relation", "relation", "maybe", "" })
    return { "key", key }, { "value", value }, { "description", pick(TEXTS) }
  end,
  grant = function() return { "principal", principal() }, { "action", pick(ACTIONS) }, { "subject", pick({ "", "*", "a*", "r1", "r2" }) } end,
  revoke = function() return { "principal", principal() }, { "action", pick(ACTIONS) }, { "subject", pick({ "", "*", "a*", "r1", "r2" }) } end,
  record_migration = function()
    return { "version", pick(NAMES) }, { "name", pick(TEXTS) }, { "checksum", pick(TEXTS) }, { "status", pick({ "applied", "failed", "" }) },
      { "step", random(0, 9) }, { "checkpoint", pick(TEXTS) }, { "error", pick(TEXTS) }, { "duration_ms", random(0, 1 << 40) }
  end,
  put_record = function()
    return { "key", pick(NAMES) }, { "value", pick(TEXTS) }, { "expected_revision", number_option(3) }, { "expires_at", time_option() }
  end,
  delete_record = function() return { "key", pick(NAMES) }, { "expected_revision", number_option(3) } end,
  expect = function()
    return { "table", pick({ "entity", "relation", "permission", "nothing" }) }, { "key", id("e") }, { "row", pick({ NULL, NULL, "bytes" }) }
  end,
}
local REDUCERS = {}
for name in pairs(MAKE) do
  if name ~= "expect" then REDUCERS[#REDUCERS + 1] = name end
end
table.sort(REDUCERS)
local OPERATIONS = { "expect", table.unpack(REDUCERS) }
local RARE = { prune_versions = true, prune_events = true, prune_history = true, update_config = true, grant = true, revoke = true }

local function operation()
  local name = pick(OPERATIONS)
  local value = {}
  for _, pair in ipairs({ MAKE[name]() }) do
    if pair[2] ~= NULL then value[pair[1]] = pair[2] end
  end
  local tag = ("_" .. name):gsub("_(%l)", string.upper)
  return { tag = tag, value = value }
end

-- rows as bytes ----------------------------------------------------------------------------------------------------------

local function text_option(text) return text and "\0" .. ("<s4"):pack(text) or "\1" end
local function when() return pick({ 0, 1, FAR }) end
local function identity_bytes() return string.char(random(0, 255)):rep(32) end

-- Ids that the sides made are no part of bytes that both are given.
local function given_id(kind) return kind .. pick(NAMES) .. random(6) end

-- A row of each table, mostly a good one.
local ROWS = {
  entity = function()
    return ("<s4s4i8i8"):pack(given_id("e"), pick(NAMES), when(), when()) .. text_option(chance(50) and pick(TEXTS)) .. text_option() ..
      ("<I4s4s4"):pack(1, pick(NAMES), pick(JSON))
  end,
  relation = function()
    return ("<s4s4s4s4i8"):pack(given_id("r"), given_id("e"), given_id("e"), pick(NAMES), when()) .. text_option() ..
      ("<dBI4s4"):pack(pick({ 0.5, -1.0, 1e300, math.huge }), random(0, 1), 0, pick(JSON))
  end,
  state_branch = function() return ("<s4s4s4i8"):pack(branch(), pick({ "branch", "tag" }), given_id("v"), when()) end,
  event_log = function()
    return ("<s4i8s4s4i8c32s4"):pack(given_id("v"), random(0, 6000), pick(NAMES), "", when(), identity_bytes(), pick(JSON))
  end,
  event_head = function() return ("<I4i8i8i8"):pack(random(0, 3), random(0, 6000), random(0, 9), random(0, 9)) end,
  event_cursor = function() return ("<s4i8i8"):pack(pick(NAMES), random(0, 9), when()) end,
  row_history = function()
    local key, sequence = given_id("e"), random(0, 6000)
    return ("<s4s4s4i8i8s4s4c32"):pack(("entity:%s:%d"):format(key, sequence), "entity", key, sequence, when(), "insert", "", identity_bytes())
  end,
  config = function()
    return ("<s4s4s4i8c32"):pack(pick({ "enable_audit_log", "enable_row_history", "owner", "other", "schema_version" }), pick({ "true", "entity", "x" }),
      "", when(), identity_bytes())
  end,
  permission = function()
    local who, action, subject = pick({ "role:r1", "role:r2", "nobody", "" }), pick(ACTIONS), pick({ "*", "a*", "r1", "" })
    return ("<s4s4s4s4"):pack(who == "" and "action:" .. action or ("%s:%s:%s"):format(who, action, subject), who, action, subject)
  end,
  applied_request = function() return ("<s4i8"):pack(pick(NAMES), when()) end,
  plugin_record = function() return ("<s4s4i8i8i8"):pack(pick(NAMES), pick(TEXTS), random(0, 5), when(), when()) end,
  client_connection = function() return "" end,
  nothing = function() return "" end,
}
local ROW_TABLES = {}
for name in pairs(ROWS) do ROW_TABLES[#ROW_TABLES + 1] = name end
table.sort(ROW_TABLES)

local function imported()
  local name, rows = pick(ROW_TABLES), iu.array {}
  for i = 1, random(0, 3) do
    rows[i] = ROWS[name]()
    if chance(10) then rows[i] = rows[i]:sub(1, random(0, #rows[i])) end
    if chance(5) then rows[i] = rows[i]:gsub("()(.)", function(at, c) return at == random(#rows[i]) and string.char(random(0, 255)) or c end) end
  end
  return "import_rows", { n = 2, name, rows }
end

local function removed()
  local name, keys = pick(ROW_TABLES), iu.array {}
  for i = 1, random(0, 2) do
    keys[i] = pick({ given_id("e"), given_id("r"), given_id("v"), pick(NAMES), "other", "owner", "role:r1:role:r1", "role:r2:put_record:*", "" })
  end
  return "remove_rows", { n = 2, name, keys }
end

-- Either of them as a part of `transact`.
local function row_operation()
  if chance(70) then
    local _, arguments = imported()
    return { tag = "ImportRows", value = { table = arguments[1], rows = arguments[2] } }
  end
  local _, arguments = removed()
  return { tag = "RemoveRows", value = { table = arguments[1], keys = arguments[2] } }
end

local function new_call()
  if chance(4) then return imported() end
  if chance(2) then return removed() end
  if chance(12) then
    local operations = iu.array {}
    for i = 1, random(0, 4) do operations[i] = chance(6) and row_operation() or operation() end
    return "transact", { n = 2, operations, chance(30) and pick(NAMES) or NULL }
  end
  if chance(2) then return "set_client_info", { n = 1, pick(TEXTS) } end
  if chance(4) then
    local asked = pick({ NULL, NULL, { identity = 2 }, { identity = 3 }, "nobody" })
    return "check_permission", { n = 3, asked, pick(ACTIONS), pick({ "", "*", "a", "ab" }) }
  end
  local name = pick(REDUCERS)
  if RARE[name] and chance(60) then name = "create_entity" end
  local arguments = { n = 0 }
  for i, pair in ipairs({ MAKE[name]() }) do
    arguments[i], arguments.n = pair[2], i
  end
  return name, arguments
end

-- The same arguments with what a side calls its own put in.
local function resolved(value, side)
  if type(value) ~= "table" then return value end
  if value.identity then return side.identities[value.identity] end
  if value.generated then
    local known = side.generated[value.generated]
    return known and #known > 0 and known[value.at % #known + 1] or "none-yet"
  end
  local out = iu.array and getmetatable(value) and setmetatable({}, getmetatable(value)) or {}
  for key, item in pairs(value) do out[key] = resolved(item, side) end
  return out
end

local SOURCES = { e = { "entity", "id" }, r = { "relation", "id" }, v = { "state_version", "version_id" }, d = { "delta_record", "delta_id" } }

local function learn(side)
  for kind, source in pairs(SOURCES) do
    local found = {}
    for _, row in ipairs(side.rows(source[1])) do
      local value = row[source[2]]
      if value:match("^" .. UUID .. "$") then found[#found + 1] = value end
    end
    table.sort(found)
    side.generated[kind] = found
  end
end

-- Refusals may name what differs by nature.
local function words(answer)
  return answer == true and "done" or masked(tostring(answer))
end

describe("the same calls on the engine and on a server", function()
  local name, token, sides

  after_each(function()
    for _, side in ipairs(sides or {}) do side.close() end
    if name then spacetimedb.discard(name, token) end
    name, sides = nil, nil
  end)

  with_server("have the same answers and leave the same rows", function()
    math.randomseed(SEED)
    io.stderr:write(("# seed %d\n"):format(SEED))
    local fresh = spacetimedb.name()
    local owner
    token, owner = assert(spacetimedb.publish(fresh))
    name = fresh
    local second, third = spacetimedb.identity(), spacetimedb.identity()
    local identities = { owner, second.identity, third.identity }
    local schema = spacetimedb.schema(name)
    local server = server_side(schema, name, { token, second.token, third.token }, identities)
    sides = { server }
    local connects = server.connects()
    local engine = engine_side(identities, connects)
    sides[2] = engine
    if connects then -- as the question did
      engine.rows("event_head")
      engine.rows("event_head")
    end
    for _, side in ipairs(sides) do side.generated = {} end
    local done, refused = 0, 0
    for i = 1, CALLS do
      local reducer, arguments = new_call()
      local who = pick({ 1, 1, 1, 1, 2, 3 })
      local here = words(engine.call(who, reducer, resolved(arguments, engine)))
      local there = words(server.call(who, reducer, resolved(arguments, server)))
      if here ~= there then
        error(("seed %d, call %d, %s by %d\nengine: %s\nserver: %s"):format(SEED, i, reducer, who, here, there))
      end
      if here == "done" then done = done + 1 else refused = refused + 1 end
      if i % LEARN_EVERY == 0 then
        learn(engine)
        learn(server)
      end
    end
    local here, there = dump(schema, engine), dump(schema, server)
    for i = 1, math.max(#here, #there) do
      if here[i] ~= there[i] then
        error(("seed %d, row %d of %d and %d\nengine: %s\nserver: %s"):format(SEED, i, #here, #there, tostring(here[i]), tostring(there[i])))
      end
    end
    io.stderr:write(("# %d done, %d refused, %d rows equal\n"):format(done, refused, #here))
    assert.is_true(done > CALLS / 5 and refused > CALLS / 20 and #here > 100)
  end)
end)
