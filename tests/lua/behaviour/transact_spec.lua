-- `transact`: many operations in one transaction, all or none, once for a request key, only while what was read still stands.

local support = require "support"

local function create(id, name)
  return { tag = "CreateEntity", value = { entity_type = "T", metadata = { name = name, tags = {}, properties = "{}" }, id = id } }
end

local function expect(name, key, row)
  return { tag = "Expect", value = { table = name, key = key, row = row } }
end

describe("transact", function()
  local conn, told
  before_each(function()
    conn = support.connect { subscribe = { "SELECT * FROM entity", "SELECT * FROM event_log" } }
    told = 0
    conn.tables.entity:on_insert(function() told = told + 1 end)
  end)
  after_each(support.clean)

  it("applies operations of every kind together, in order", function()
    assert(conn:call("transact", {
      create("a"), create("b"),
      { tag = "CreateRelation", value = { from_entity = "a", to_entity = "b", relation_type = "R",
        metadata = { strength = 0.5, bidirectional = false, tags = {}, properties = "{}" }, id = "r" } },
      { tag = "UpdateEntity", value = { id = "a", metadata = { name = "new", tags = {}, properties = '{"x":1.0}' } } },
      { tag = "DeleteRelation", value = { id = "r" } },
      { tag = "DeleteEntity", value = { id = "b", cascade = false } },
      { tag = "PublishEvent", value = { event_type = "E", source = "", data = "{}", id = "e" } },
    }, nil))
    assert.equal("new", conn:get("entity", "a").metadata.name)
    assert.is_nil(conn:get("entity", "b"))
    assert.is_nil(conn:get("relation", "r"))
    assert.equal("E", conn:get("event_log", "e").event_type)
    assert.equal(1, told, "what came and went inside the transaction is not told")
  end)

  it("is nothing when one of them is refused, and says which", function()
    assert(conn:call("transact", { create("a") }, nil))
    local before = support.census(conn)
    local rows = conn.tables.event_log:count()
    local err = support.refused("ConflictError", nil, select(2, conn:call("transact", { create("b"), create("c"), create("a"), create("d") }, nil)), '"a"')
    assert.is_truthy(err.message:find("2", 1, true), "the number of the operation: " .. err.message)
    local impossible = { tag = "DeleteEntity", value = { id = "no", cascade = true } }
    support.refused("EntityNotFoundError", nil, select(2, conn:call("transact", { create("b"), impossible }, "key 1")))
    support.refused("ValidationError", nil, select(2, conn:call("transact", { create("b"), create("") }, nil)))
    assert.equal(before, support.census(conn))
    assert.equal(rows, conn.tables.event_log:count())
    assert.equal(1, told)
    assert(conn:call("transact", { create("b") }, "key 1")) -- the refused call did not use up its key
    assert.equal(2, told)
  end)

  it("obeys the switches as they are then, and counts events on, whatever was undone meanwhile", function()
    local function switch(value)
      return { tag = "UpdateConfig", value = { key = "enable_audit_log", value = value, description = "" } }
    end
    local impossible = { tag = "DeleteEntity", value = { id = "no", cascade = true } }
    local from = #assert(conn:query("SELECT * FROM event_log"))
    local function sequences()
      local list = {}
      for _, row in ipairs(assert(conn:query("SELECT * FROM event_log"))) do list[#list + 1] = row.sequence end
      table.sort(list)
      for i, sequence in ipairs(list) do assert.equal(list[1] + i - 1, sequence, "a gap, or one twice") end
      return #list - from
    end
    assert(conn:call("transact", { create("a") }, nil))
    assert.equal(1, sequences())
    support.refused("EntityNotFoundError", nil, select(2, conn:call("transact", { create("x"), switch("false"), create("y"), impossible }, nil)))
    assert(conn:call("transact", { create("b") }, nil))
    assert.equal(2, sequences())
    assert(conn:call("transact", { create("c"), switch("false"), create("d") }, nil))
    assert.equal(3, sequences())
    support.refused("EntityNotFoundError", nil, select(2, conn:call("transact", { switch("true"), create("y"), impossible }, nil)))
    assert(conn:call("transact", { create("e") }, nil))
    assert.equal(3, sequences())
    assert(conn:call("update_config", "enable_audit_log", "true", ""))
    assert(conn:call("transact", { create("f"), create("g") }, nil))
    assert.equal(5, sequences())
    assert(conn:call("create_entity", "T", create("h").value.metadata, nil))
    support.refused("ConflictError", nil, select(2, conn:call("create_entity", "T", create("a").value.metadata, "a")))
    assert(conn:call("create_entity", "T", create("i").value.metadata, nil))
    assert.equal(7, sequences())
    local ids = {}
    for _, row in ipairs(assert(conn:query("SELECT * FROM entity"))) do
      assert.is_nil(ids[row.id])
      ids[row.id] = true
    end
  end)

  it("with a request key is applied once, whatever is sent again", function()
    assert(conn:call("transact", { create("a") }, "key 1"))
    local before = support.census(conn)
    assert(conn:call("transact", { create("a") }, "key 1"))
    assert(conn:call("transact", { create("b") }, "key 1"))
    assert.equal(before, support.census(conn))
    assert.equal(1, told)
    assert(conn:call("transact", { create("b") }, "key 2"))
    support.refused("ConflictError", nil, select(2, conn:call("transact", { create("b") }, nil)))
    conn = support.reopen(conn)
    assert(conn:call("transact", { create("a") }, "key 1"))
    assert.equal(2, #conn:query("SELECT * FROM entity"))
  end)

  it("takes request keys of every length and script", function()
    for i, key in ipairs { "k", (" "):rep(1), ("x"):rep(255), ("y"):rep(256), "ключ 🔑", ("é"):rep(128), ("z"):rep(31), ("w"):rep(32), ("v"):rep(33) } do
      assert(conn:call("transact", { create("e" .. i) }, key))
      assert(conn:call("transact", { create("e" .. i) }, key), key)
    end
    local before = support.census(conn)
    for _, key in ipairs { "", ("x"):rep(257), "a\nb", "\xff" } do
      support.refused("ValidationError", nil, select(2, conn:call("transact", { create("no") }, key)))
    end
    assert.equal(before, support.census(conn))
    assert.equal(#conn:query("SELECT * FROM applied_request"), 9)
  end)

  it("does not take the end of an operation for a request key", function()
    for i, data in ipairs { '"abc"', '" "', '"' .. ("d"):rep(200) .. '"' } do
      local operation = { tag = "PublishEvent", value = { event_type = "E", source = "s", data = data, id = "e" .. i } }
      assert(conn:call("transact", { operation }, nil))
      support.refused("ConflictError", nil, select(2, conn:call("transact", { operation }, nil)))
    end
    assert.equal(0, #conn:query("SELECT * FROM applied_request"))
  end)

  it("proves what was read: a row that is there, as it is, or none", function()
    assert(conn:call("transact", { expect("entity", "a", nil), create("a") }, nil))
    local before = support.census(conn)
    support.refused("ConflictError", nil, select(2, conn:call("transact", { expect("entity", "a", nil), create("b") }, nil)), '"a"', "exists")
    support.refused("ConflictError", nil, select(2, conn:call("transact", { expect("entity", "c", "bytes"), create("b") }, nil)), '"c"', "gone")
    local err = support.refused("ConflictError", nil, select(2, conn:call("transact", { create("b"), expect("entity", "a", "bytes") }, nil)), "changed")
    assert.is_true(err.retryable)
    support.refused("ValidationError", nil, select(2, conn:call("transact", { expect("nothing", "a", nil) }, nil)), "nothing")
    support.refused("ValidationError", nil, select(2, conn:call("transact", { expect("permission", "a", nil) }, nil)), "permission")
    assert.equal(before, support.census(conn))
    assert.equal(1, told)
  end)

  it("refuses what is no operation", function()
    local before = support.census(conn)
    support.refused("ValidationError", nil, select(2, conn:call("transact", { { tag = "CreateEntitty", value = {} } }, nil)), "operations[1]", "CreateEntity")
    support.refused("ValidationError", nil, select(2, conn:call("transact", { { tag = "CreateEntity", value = {} } }, nil)), "entity_type")
    support.refused("ValidationError", nil, select(2, conn:call("transact", { 5 }, nil)))
    support.refused("ValidationError", nil, select(2, conn:call("transact", "x", nil)), "operations")
    support.refused("ValidationError", nil, select(2, conn:call("transact")), "transact")
    assert.equal(before, support.census(conn))
    assert(conn:call("transact", {}, nil))
    assert.equal(before, support.census(conn))
  end)

  it("of ten thousand operations is one transaction", function()
    local operations = {}
    for i = 1, 10000 do operations[i] = create("e" .. i) end
    local epoch, began = conn:status().epoch, os.clock()
    assert(conn:call("transact", operations, "big"))
    assert.is_true(os.clock() - began < 20, "the arguments are decoded for each row") -- a fraction of a second; a minute when they are
    if not support.on_server then assert.equal(epoch + 1, conn:status().epoch) end
    assert.equal(10000, told)
    operations[#operations + 1] = create("e1")
    support.refused("ConflictError", nil, select(2, conn:call("transact", operations, nil)))
    assert.equal(10000, conn.tables.entity:count())
  end)

  it("records with an expected revision are compared and set", function()
    assert(conn:call("put_record", "lock", "mine", 0, nil))
    support.refused("ConflictError", nil, select(2, conn:call("put_record", "lock", "yours", 0, nil)))
    local revision = conn:get("plugin_record", "lock").revision
    assert(conn:call("put_record", "lock", "again", revision, nil))
    support.refused("ConflictError", nil, select(2, conn:call("put_record", "lock", "late", revision, nil)))
    support.refused("ConflictError", nil, select(2, conn:call("delete_record", "lock", revision)))
    assert.equal("again", conn:get("plugin_record", "lock").value)
    assert(conn:call("delete_record", "lock", revision + 1))
    assert.is_nil(conn:get("plugin_record", "lock"))
  end)
end)
