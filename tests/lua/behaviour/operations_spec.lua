-- The manager's writes as operations of `transact`: what the client gives plugins that gather writes or keep them.

local iu = require "inner_universe"
local support = require "support"

describe("a write as an operation", function()
  local m, client
  before_each(function()
    m = support.open()
    client = m.client
  end)
  after_each(support.clean)

  local function transact(...)
    local operations = {}
    for i, call in ipairs { ... } do operations[i] = assert(client:operation(table.unpack(call, 1, 6))) end
    local kept = assert(iu.json.decode(assert(iu.json.encode(operations)))) -- as who keeps them has them again
    return client:connection():call("transact", kept, nil)
  end

  it("does what the method does, also after it was kept as JSON", function()
    assert(transact({ "create_entity", "T", { name = "n", properties = { x = 1.0 } }, "a" }, { "create_entity", "T", nil, "b" },
      { "create_relation", "a", "b", "R", { strength = 2 }, "r" }, { "create_relation", "b", "a", "R", nil, "s" },
      { "update_entity", "b", { tags = { "x" } } }, { "update_relation", "s", { description = "d", strength = 0 } }, { "publish_event", "E", { 1 }, "test" }))
    support.exactly({ name = "n", tags = iu.array {}, properties = { x = 1.0 } }, m:get_entity("a").metadata)
    assert.same({ "x" }, m:get_entity("b").metadata.tags)
    support.exactly(2.0, m:get_relation("r").metadata.strength)
    assert.equal("d", m:get_relation("s").metadata.description)
    assert.equal(1, #m.client:query("SELECT * FROM event_log WHERE event_type = 'E'"))
    assert(transact({ "delete_relation", "r" }, { "delete_entity", "a", { cascade = true } }, { "delete_entity", "b" }))
    assert.equal(0, #m:query_entities({}))
  end)

  it("says what the method would answer", function()
    local operation, id = client:operation("create_entity", "T")
    assert.equal(operation.value.id, id)
    assert.equal("given", select(2, client:operation("create_entity", "T", nil, "given")))
    assert.is_true(select(2, client:operation("update_entity", "x", {})))
    operation, id = client:operation("publish_event", "E")
    assert.equal(operation.value.id, id)
  end)

  it("is refused like the method's own, wrong types too, and nothing else", function()
    local before = support.census(m)
    for _, call in ipairs {
      { "create_entity", 5 }, { "create_entity", "T", 5 }, { "create_entity", "T", nil, 5 }, { "create_entity", "T", { nme = "x" } },
      { "update_entity", "a" }, { "delete_entity", "a", { cascad = true } }, { "create_relation", "a", "b" }, { "update_relation", 5, {} },
      { "delete_relation" }, { "publish_event", "E", { [1.5] = 1 } }, { "publish_event", "E", nil, 5 }, { "nothing" },
    } do
      support.refused("ValidationError", client:operation(table.unpack(call, 1, 5)))
    end
    assert.equal(before, support.census(m))
  end)

  it("is told from the others when it is to blame", function()
    local batch = client:connection():batch("transact")
    assert.equal(1, client:add_operation(batch, "create_entity", "T", nil, "a"))
    assert.equal(2, client:add_operation(batch, "create_entity", "T", { properties = iu.json.document('{"x":1}') }, "b"))
    assert.equal(3, client:add_operation(batch, "update_entity", "nobody", {}))
    assert.same({}, { client:add_operation(batch, "create_entity", "T", { name = 5 }) })
    support.refused("ValidationError", client:add_operation(batch, "create_entity", "T", { properties = { 1 } }))
    local ok, err = client:connection():call("transact", { batch }, nil)
    assert.is_nil(ok)
    local number, refusal = client:blamed_operation(err)
    assert.equal(3, number)
    local _, own = m:update_entity("nobody", {})
    assert.same({ own.kind, own.message, own.code }, { refusal.kind, refusal.message, refusal.code })
    ok, err = client:connection():call("transact", { client:operation("delete_relation", "r"), { tag = "Nothing" } }, nil)
    assert.is_nil(ok)
    assert.equal(2, (client:blamed_operation(err)))
    assert.is_nil(client:blamed_operation(own))
    batch:close()
  end)
end)
