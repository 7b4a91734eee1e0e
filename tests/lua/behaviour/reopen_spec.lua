-- Closing and opening again: everything is equal, the owner too. On memory: a new universe is a new universe.

local iu = require "inner_universe"
local support = require "support"

describe("a universe that is opened again", function()
  after_each(support.clean)

  local function fill(m)
    local ids = {}
    for i = 1, 300 do
      local properties = { i = i, f = i / 3, s = ("x"):rep(i) }
      ids[i] = assert(m:create_entity(i % 3 == 0 and "A" or "B", { name = "n" .. i, tags = { "t" .. i % 7 }, properties = properties }))
      if i > 1 then assert(m:create_relation(ids[i - 1], ids[i], "NEXT", { strength = 1 / i })) end
    end
    for i = 1, 300, 5 do assert(m:update_entity(ids[i], { name = "updated", properties = { f = 1.0 } })) end
    for i = 10, 300, 10 do assert(m:delete_entity(ids[i], { cascade = true })) end
    for i = 1, 50 do assert(m:publish_event("E" .. i % 3, { i = i, f = i * 1.0 })) end
    local v = assert(m:commit_version({ list = { 1, 2, 3 } }, "one"))
    assert(m:record_delta(v, { { op = "set", path = "x", value = 1.0 } }))
    assert(m:commit_version({ list = iu.array {} }, "two"))
  end

  -- What of a universe does not change by being opened: everything but who is connected and what the log says of that.
  local function contents(m)
    local parts = {}
    for _, name in ipairs { "entity", "relation", "state_version", "delta_record", "state_snapshot", "state_branch", "config",
      "permission", "plugin_record" } do
      local rows = support.rows(m, name)
      local texts = {}
      for i, row in ipairs(rows) do texts[i] = iu.json.canonical(row) end
      table.sort(texts)
      parts[name] = texts
    end
    return parts
  end

  local function events(m)
    local list = {}
    for _, message in ipairs(assert(m.event_bus:events())) do
      if not message.type:find("^CLIENT_") then list[#list + 1] = message end
    end
    return list
  end

  it("holds every row and event as it was, three times over", function()
    local m = support.open()
    fill(m)
    local before, told = contents(m), events(m)
    assert.is_true(#before.entity == 270 and #before.relation > 200)
    for _ = 1, 3 do
      m = support.reopen(m)
      assert.same(before, contents(m))
      local now = events(m)
      assert.equal(#told, #now)
      for i = 1, #told do support.exactly(told[i], now[i]) end
    end
    if support.on_file then -- and through the journal alone, and through the fold alone
      assert(m:create_entity("A", nil, "later"))
      assert(m:flush())
      before = contents(m)
      m = support.reopen(m, { durability = "full" })
      assert.same(before, contents(m))
    end
  end)

  it("keeps its owner, and gives sequences and ids on from where they were", function()
    local conn = support.connect()
    local owner, database = conn:identity(), conn:status().database_identity
    assert(conn:call("publish_event", "E", "", "{}", "e1"))
    assert(conn:call("grant", ("b0"):rep(32), "create_entity", "*"))
    local last = conn:get("event_log", "e1").sequence
    conn = support.reopen(conn)
    assert.equal(owner, conn:identity())
    assert.is_true(conn:is_owner())
    assert.equal(database, conn:status().database_identity)
    assert(conn:call("publish_event", "E", "", "{}", "e2"))
    assert.is_true(conn:get("event_log", "e2").sequence > last)
    assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }, nil))
    local stranger = support.session(conn, ("ee"):rep(32))
    support.refused("AuthorizationError", nil, select(2, stranger:call("create_entity", "T", { tags = {}, properties = "{}" }, nil)))
    local head, log = conn:get("event_head", 0), support.rows(conn, "event_log")
    assert.equal(#log, head.count)
    stranger:close()
  end)

  it("has its indexes and unique keys", function()
    local m = support.open()
    fill(m)
    m = support.reopen(m)
    local first = m:query_entities({ entity_type = "A", limit = 1, order_by = "created_at" })[1]
    support.refused("ConflictError", nil, select(2, m:create_entity("A", nil, first.id)))
    for _, relation in ipairs(m:query_relations { from_entity = first.id }) do assert.equal(first.id, relation.from_entity) end
    assert.equal(#m:query_entities { entity_type = "A" } + #m:query_entities { entity_type = "B" }, #m:query_entities {})
  end)

  it("in memory is a new one each time, with another owner", function()
    local one, two = support.owned(assert(iu.connect "memory:")), support.owned(assert(iu.connect "memory:"))
    assert.not_equal(one:identity(), two:identity())
    assert(one:call("create_entity", "T", { tags = {}, properties = "{}" }, "a"))
    assert.is_nil(two:get("entity", "a"))
  end)

  it("is found by path, by file: and by configuration", function()
    if not support.on_file then
      local m = support.owned(assert(iu.open { db_path = "memory:" }))
      assert.equal("memory:", m:status().target)
      return
    end
    local path = support.path() .. ".universe"
    local m = assert(iu.open(path))
    assert(m:create_entity("T", nil, "a"))
    assert(m:shutdown())
    m = assert(iu.open("file:" .. path))
    assert.equal("a", m:get_entity("a").id)
    assert(m:shutdown())
    m = assert(iu.open { db_path = path })
    assert.equal("a", m:get_entity("a").id)
    assert(m:shutdown())
  end)

  it("is locked while it is open, and says by whom", function()
    if not support.on_file then return assert.is_table(support.open()) end
    local path = support.path() .. ".universe"
    local m = support.owned(assert(iu.open(path)))
    local err = support.refused("UniverseLockedError", iu.open(path))
    assert.is_truthy(err.message:find("%d+"), "the holder's process id: " .. err.message)
    assert.is_true(err.retryable)
    support.refused("UniverseLockedError", iu.connect(path))
    assert(m:shutdown())
    assert(assert(iu.open(path)):shutdown())
  end)

  it("that is damaged or something else is a StorageError, and the file is as it was", function()
    if not support.on_file then return assert.is_table(support.open()) end
    for _, content in ipairs { "this is no universe", ("\0"):rep(8192), "SQLite format 3\0" .. ("x"):rep(5000) } do
      local path = support.path() .. ".universe"
      support.write(path, content)
      support.refused("StorageError", nil, select(2, iu.open(path)), path)
      local file = assert(io.open(path, "rb"))
      assert.equal(content, file:read("a"))
      file:close()
    end
    support.refused("StorageError", nil, select(2, iu.open("/nonexistent-folder/x.universe")), "/nonexistent-folder")
  end)

  it("whose stored JSON was damaged answers StorageError for what it cannot read, and the rest is there", function()
    if not support.on_file then return assert.is_table(support.open()) end
    local path = support.path() .. ".universe"
    local m = assert(iu.open { db_path = path, features = { enable_audit_log = false } })
    assert(m:create_entity("A", { properties = { key = "MARKER-1" } }, "damaged"))
    assert(m:create_entity("B", { properties = { key = 1 } }, "whole"))
    assert(m:create_relation("damaged", "whole", "R", { properties = { key = "MARKER-2" } }, "r"))
    local event = assert(m:publish_event("E", { key = "MARKER-3" }))
    local version = assert(m:commit_version({}, "v"))
    local delta = assert(m:record_delta(version, { { op = "set", path = "x", value = { key = "MARKER-4" } } }))
    assert(m:shutdown())

    local file = assert(io.open(path, "rb"))
    local bytes = file:read("a")
    file:close()
    local count
    bytes, count = bytes:gsub('"(MARKER%-%d")', "?%1")
    assert.is_true(count >= 4)
    support.write(path, bytes)

    m = support.owned(assert(iu.open(path)))
    for _, answer in pairs {
      get_entity = { m:get_entity("damaged") }, query_entities = { m:query_entities() }, get_relation = { m:get_relation("r") },
      query_relations = { m:query_relations() }, get_event = { m.client:get_event(event) }, events = { m.event_bus:events() },
      get_deltas = { m.temporal_store:get_deltas(version) }, get_delta = { m.client:get_delta(delta) },
    } do
      support.refused("StorageError", answer[1], answer[2], "damaged")
    end
    assert.equal(1, assert(m:get_entity("whole")).metadata.properties.key)
    assert.equal(1, #assert(m:query_entities { entity_type = "B" }))
  end)
end)
