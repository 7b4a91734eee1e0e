-- Relations: two ends, a type, a strength; created, read, replaced, deleted.

local iu = require "inner_universe"
local support = require "support"

describe("relations", function()
  local m, ada, acme
  before_each(function()
    m = support.open()
    ada = assert(m:create_entity("Person", { name = "Ada" }))
    acme = assert(m:create_entity("Company", { name = "Acme" }))
  end)
  after_each(support.clean)

  it("comes back as it was made", function()
    local id = assert(m:create_relation(ada, acme, "WORKS_FOR", {
      description = "since 1840", strength = 0.9, bidirectional = true, tags = { "job" }, properties = { role = "engineer", n = 3 },
    }))
    local r = assert(m:get_relation(id))
    assert.same({ ada, acme, "WORKS_FOR" }, { r.from_entity, r.to_entity, r.relation_type })
    assert.equal(0.9, r.metadata.strength)
    assert.is_true(r.metadata.bidirectional)
    assert.equal("since 1840", r.metadata.description)
    assert.equal("job", r.metadata.tags[1])
    support.exactly({ role = "engineer", n = 3 }, r.metadata.properties)
    assert.equal("integer", math.type(r.created_at))
  end)

  it("has strength 1.0 and one direction when nothing is said", function()
    local r = m:get_relation(assert(m:create_relation(ada, acme, "R")))
    assert.equal("float", math.type(r.metadata.strength))
    assert.equal(1.0, r.metadata.strength)
    assert.is_false(r.metadata.bidirectional)
    assert.equal("{}", iu.json.encode(r.metadata.properties))
  end)

  it("takes an integer as its strength", function()
    local r = m:get_relation(assert(m:create_relation(ada, acme, "R", { strength = 0 })))
    assert.equal("float", math.type(r.metadata.strength))
    assert.equal(0.0, r.metadata.strength)
  end)

  it("needs both ends", function()
    local before = support.census(m)
    support.refused("EntityNotFoundError", nil, select(2, m:create_relation("nope", acme, "R")), "from_entity", "nope")
    support.refused("EntityNotFoundError", nil, select(2, m:create_relation(ada, "nope", "R")), "to_entity", "nope")
    assert.equal(before, support.census(m))
  end)

  it("may lead from an entity to itself, and twice between the same two", function()
    assert(m:create_relation(ada, ada, "KNOWS"))
    assert(m:create_relation(ada, acme, "R"))
    assert(m:create_relation(ada, acme, "R"))
    assert.equal(2, #m:query_relations { from_entity = ada, to_entity = acme })
    assert.equal(3, #m:query_relations { from_entity = ada })
  end)

  it("takes the id it is given, once", function()
    assert.equal("r1", m:create_relation(ada, acme, "R", nil, "r1"))
    local before = support.census(m)
    support.refused("ConflictError", nil, select(2, m:create_relation(ada, acme, "R", nil, "r1")), "r1")
    assert.equal(before, support.census(m))
  end)

  it("is replaced by an update", function()
    local id = assert(m:create_relation(ada, acme, "R", { strength = 0.5, tags = { "x" }, properties = { a = 1 } }))
    local old = m:get_relation(id)
    assert.is_true(m:update_relation(id, { strength = 0.25 }))
    local new = m:get_relation(id)
    assert.equal(0.25, new.metadata.strength)
    assert.equal(0, #new.metadata.tags)
    assert.is_nil(next(new.metadata.properties))
    assert.equal(old.created_at, new.created_at)
    assert.same({ ada, acme, "R" }, { new.from_entity, new.to_entity, new.relation_type })
  end)

  it("that is not there is a RelationNotFoundError, for every call", function()
    local before = support.census(m)
    support.refused("RelationNotFoundError", nil, select(2, m:get_relation("nope")), "nope")
    support.refused("RelationNotFoundError", nil, select(2, m:update_relation("nope", {})), "nope")
    support.refused("RelationNotFoundError", nil, select(2, m:delete_relation("nope")), "nope")
    assert.equal(before, support.census(m))
  end)

  it("is found by either end, by type, by strength", function()
    local one = assert(m:create_relation(ada, acme, "WORKS_FOR", { strength = 0.9 }))
    local two = assert(m:create_relation(acme, ada, "EMPLOYS", { strength = 0.2 }))
    assert.same({ one }, support.pluck(m:query_relations { from_entity = ada }, "id"))
    assert.same({ two }, support.pluck(m:query_relations { to_entity = ada }, "id"))
    assert.same({ two }, support.pluck(m:query_relations { relation_type = "EMPLOYS" }, "id"))
    assert.same({ one }, support.pluck(m:query_relations { filters = { { field = "strength", operator = "GreaterThan", value = 0.5 } } }, "id"))
    assert.same({}, support.pluck(m:query_relations { from_entity = ada, relation_type = "EMPLOYS" }, "id"))
    assert.is_nil(getmetatable(m:query_relations({ from_entity = ada })[1]))
  end)

  it("logs what happens to it", function()
    local id = assert(m:create_relation(ada, acme, "R"))
    assert(m:update_relation(id, { strength = 0.5 }))
    assert(m:delete_relation(id))
    local types = {}
    for _, event in ipairs(m.event_bus:events()) do
      if event.type:find("^RELATION_") then
        types[#types + 1] = event.type
        assert.equal(id, event.data.relation_id)
      end
    end
    assert.same({ "RELATION_CREATED", "RELATION_UPDATED", "RELATION_DELETED" }, types)
  end)
end)
