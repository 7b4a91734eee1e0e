-- The client on a real server against the engine, both with NERV's module: the schema that is read, and the tables after the same random
-- calls on both, valid and not, errors included. What no two runs share is replaced by the order of its first appearance: times, generated ids,
-- identities. What depends on who connected when is left out: client_connection, the CLIENT_ events, and so the numbers in the head of the log. IU_TEST_SEED
-- repeats a run.

local iu = require "inner_universe"
local spacetimedb = require "spacetimedb"

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local CALLS = 6000

-- random calls ---------------------------------------------------------------------------------------------------------

local NAMES = { "a", "b", "c", "d", "e", "f", "g", "h" }
local TEXTS = { "", "x", "Ada", "h\u{e9}\u{20ac}", ("long "):rep(60), "with 'quotes' and \"more\"", "\u{1f600}" }
local JSONS = { "{}", '{"a":1}', '{"a":{"b":[1,2.5,null,true]},"c":"x"}', '{"n":9223372036854775807}', "[1]", "", "{", '{"a":1e400}', '"text"', "nul" }
local TYPES = { "T", "Person", "", ("t"):rep(256), ("t"):rep(257) }

local function pick(list) return list[math.random(#list)] end
local function maybe(value, one_in)
  if math.random(one_in or 4) == 1 then return nil end
  return value
end
local function id() return pick(NAMES) .. math.random(12) end
local function tags()
  local list = {}
  for i = 1, math.random(0, 3) do list[i] = pick(TEXTS) end
  return list
end
local function entity_metadata()
  return { name = maybe(pick(TEXTS)), description = maybe(pick(TEXTS)), tags = tags(), properties = pick(JSONS) }
end
local function relation_metadata()
  return {
    description = maybe(pick(TEXTS)), strength = pick { 0.0, 0.5, 1.0, -0.25, 7.0 }, bidirectional = math.random(2) == 1, tags = tags(),
    properties = pick(JSONS),
  }
end
local function operation()
  local path, value = pick { "a", "a.b", "data.items", "", "a..b", "\\e" }, pick(JSONS)
  return pick {
    { tag = "Set", value = { path = path, value = value } }, { tag = "Delete", value = { path = path } },
    { tag = "Insert", value = { path = path, index = maybe(math.random(0, 3)), value = value } },
    { tag = "Remove", value = { path = path, index = math.random(0, 3) } }, { tag = "Patch", value = { path = path, patch = value } },
  }
end
local function operations()
  local list = {}
  for i = 1, math.random(0, 4) do list[i] = operation() end
  return list
end
local function version() return "v" .. math.random(10) end

local calls = {
  { 14, "create_entity", function() return pick(TYPES), entity_metadata(), maybe(id(), 5) end },
  { 8, "update_entity", function() return id(), entity_metadata() end },
  { 6, "delete_entity", function() return id(), math.random(2) == 1 end },
  { 10, "create_relation", function() return id(), id(), pick(TYPES), relation_metadata(), maybe("r" .. math.random(20)) end },
  { 4, "update_relation", function() return "r" .. math.random(20), relation_metadata() end },
  { 3, "delete_relation", function() return "r" .. math.random(20) end },
  { 6, "publish_event", function() return pick(TYPES), pick(TEXTS), pick(JSONS), maybe("ev" .. math.random(200)) end },
  { 6, "commit_state_version", function()
    return pick { "", version() }, pick(TEXTS), pick { "", ("ab"):rep(32), "zz" }, pick { "", "main", "side" }, pick(TEXTS), tags(), pick(JSONS),
      pick { "", "", version() }, "", maybe(pick { "", version() }, 2), nil, {}, maybe(version())
  end },
  { 4, "record_delta", function()
    return version(), operations(), { description = pick(TEXTS), author = maybe(pick(TEXTS)), tags = tags(), parent_delta_id = maybe("d1", 2) },
      maybe("d" .. math.random(20))
  end },
  { 3, "put_snapshot", function() return version(), math.random(0, 2), math.random(0, 3), pick { "json", "" }, pick(TEXTS) end },
  { 3, "set_branch", function() return pick { "main", "side", "" }, pick { "branch", "tag", "other" }, pick { version(), "" }, maybe(version(), 2) end },
  { 1, "prune_versions", function() return { version() }, {}, { version() } end },
  { 1, "prune_events", function() return nil, nil, nil, nil, { pick { "T", "Person" } }, math.random(0, 5) end },
  { 2, "advance_cursor", function() return pick(NAMES), math.random(0, 50), maybe(math.random(0, 5), 2) end },
  { 2, "update_config", function() return pick { "k1", "k2", "", "enable_row_history" }, pick { "entity", "entity,relation", "x", "" }, pick(TEXTS) end },
  { 2, "grant", function() return pick { "role:r1", ("ab"):rep(32), "x" }, pick { "no_such_action", "role" }, pick { "*", "a*", "" } end },
  { 1, "revoke", function() return pick { "role:r1", ("ab"):rep(32) }, pick { "no_such_action", "role" }, pick { "*", "a*" } end },
  { 2, "record_migration", function() return pick { "1", "2", "" }, pick(TEXTS), "c", pick { "applied", "failed" }, 1, "", pick(TEXTS), 5 end },
  { 5, "put_record", function() return pick(NAMES), pick(TEXTS), maybe(math.random(0, 4), 2), maybe(pick { 0, 1, 4102444800000000 }, 2) end },
  { 2, "delete_record", function() return pick(NAMES), maybe(math.random(0, 4), 2) end },
  { 5, "transact", function()
    local list = {}
    for i = 1, math.random(0, 4) do
      list[i] = pick {
        { tag = "CreateEntity", value = { entity_type = pick(TYPES), metadata = entity_metadata(), id = maybe(id()) } },
        { tag = "DeleteEntity", value = { id = id(), cascade = true } }, { tag = "UpdateEntity", value = { id = id(), metadata = entity_metadata() } },
        { tag = "Expect", value = { table = pick { "entity", "relation", "nothing" }, key = id(), row = maybe("bytes") } },
        { tag = "PublishEvent", value = { event_type = pick(TYPES), source = "", data = pick(JSONS), id = nil } },
      }
    end
    return list, maybe("key" .. math.random(40), 2)
  end },
  { 1, "set_client_info", function() return pick(TEXTS) end },
}

local total = 0
for _, each in ipairs(calls) do total = total + each[1] end

local function random_call()
  local at = math.random(total)
  for _, each in ipairs(calls) do
    at = at - each[1]
    if at <= 0 then return each[2], table.pack(each[3]()) end
  end
end

-- what is compared -----------------------------------------------------------------------------------------------------

local function normalizer()
  local known, counts = {}, {}
  local function number(kind, value)
    if not known[value] then
      counts[kind] = (counts[kind] or 0) + 1
      known[value] = ("<%s %d>"):format(kind, counts[kind])
    end
    return known[value]
  end
  local function text(value)
    value = value:gsub("%x%x%x%x%x%x%x%x%-%x%x%x%x%-7%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x", function(found) return number("id", found) end)
    return (value:gsub("%f[%x]%x+%f[%X]", function(found)
      if #found == 64 and found ~= ("ab"):rep(32) then return number("identity", found) end
    end))
  end
  local function any(value, key)
    if type(value) == "string" then return text(value) end
    -- Times of the calls; those that were arguments are what they were.
    if math.type(value) == "integer" and value > 1600000000000000 and value < 4000000000000000 and key ~= "data" then return "<time>" end
    if type(value) ~= "table" then return value end
    local out = {}
    for name, inner in pairs(value) do
      out[type(name) == "string" and text(name) or name] = any(inner, name)
    end
    return setmetatable(out, getmetatable(value))
  end
  return any
end

local function rows_of(conn, name, key)
  local rows = assert(conn:query("SELECT * FROM " .. name))
  table.sort(rows, function(a, b) return a[key] < b[key] end)
  return rows
end

-- Rows of bytes that hold ids and times are compared by their length.
local function plain(name, row)
  if name == "row_history" then row.row = #row.row end
  if name == "event_log" then row.sequence = nil end
  if name == "row_history" or name == "event_head" and row.id == 1 then row.sequence = nil end
  return row
end

local TABLES = {
  { "event_log", "sequence" }, { "entity", "id" }, { "relation", "id" }, { "state_version", "version_id" }, { "delta_record", "delta_id" },
  { "state_snapshot", "key" }, { "state_branch", "name" }, { "event_cursor", "consumer" }, { "config", "key" }, { "permission", "key" },
  { "applied_request", "request_key" }, { "schema_migration", "version" }, { "plugin_record", "key" }, { "row_history", "sequence" },
}

local function snapshot(conn, normal)
  local lines = {}
  for _, each in ipairs(TABLES) do
    for _, row in ipairs(rows_of(conn, each[1], each[2])) do
      if not (each[1] == "event_log" and row.event_type:find("^CLIENT_")) then
        lines[#lines + 1] = each[1] .. " " .. assert(iu.json.canonical(normal(plain(each[1], row))))
      end
    end
  end
  return lines
end

describe("a client of NERV's module", function()
  if not (spacetimedb.address and spacetimedb.wasm) then
    it("is the engine's", function() pending("no SpacetimeDB server, or the module is not built") end)
    return
  end

  local server, engine, name, token
  setup(function()
    name = spacetimedb.name()
    token = assert(spacetimedb.publish(name))
    server = assert(iu.connect(spacetimedb.address .. "/" .. name, { token = token }))
    engine = assert(iu.connect("memory:"))
  end)
  teardown(function()
    assert(server:close())
    assert(engine:close())
    iu.sleep(0.05)
    spacetimedb.discard(name, token)
  end)

  it("has the schema that the engine has", function()
    local a, b = engine:schema(), server:schema()
    for _, schema in ipairs { a, b } do -- a server lists indexes in an order of its own
      for _, def in pairs(schema.tables) do
        table.sort(def.indexes, function(x, y) return x.name < y.name end)
      end
    end
    for kind, list in pairs { tables = a.tables, reducers = a.reducers } do
      for each, def in pairs(list) do assert.same(def, b[kind][each], each) end
      for each in pairs(b[kind]) do assert.is_table(list[each], each) end
    end
  end)

  it("answers the same calls in the same words and leaves the same rows", function()
    print("# client_calls_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local normal_a, normal_b = normalizer(), normalizer()
    local good, refused = 0, 0
    for n = 1, CALLS do
      local reducer, arguments = random_call()
      local ok_a, err_a = engine:call(reducer, table.unpack(arguments, 1, arguments.n))
      local ok_b, err_b = server:call(reducer, table.unpack(arguments, 1, arguments.n))
      if ok_a then good = good + 1 else refused = refused + 1 end
      local said_a, said_b = ok_a or normal_a(tostring(err_a)), ok_b or normal_b(tostring(err_b))
      if said_a ~= said_b then
        error(("call %d: %s %s\nengine: %s\nserver: %s"):format(n, reducer, iu.json.encode(arguments) or "?", tostring(said_a), tostring(said_b)))
      end
    end
    assert.is_true(good > CALLS / 6 and refused > CALLS / 6, ("%d good, %d refused"):format(good, refused))
    local a, b = snapshot(engine, normal_a), snapshot(server, normal_b)
    for i = 1, math.max(#a, #b) do
      if a[i] ~= b[i] then error(("row %d\nengine: %s\nserver: %s"):format(i, tostring(a[i]), tostring(b[i]))) end
    end
    print(("# %d calls, %d refused; %d rows compared"):format(CALLS, refused, #a))
  end)
end)
