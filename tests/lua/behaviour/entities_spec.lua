-- Entities: created, read, replaced, deleted; ids given and made; times; the audit events of each.

local iu = require "inner_universe"
local support = require "support"

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-7%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

describe("entities", function()
  local m
  before_each(function() m = support.open() end)
  after_each(support.clean)

  local function events()
    local list = assert(m.event_bus:events())
    local types = {}
    for _, event in ipairs(list) do
      if event.type:find("^ENTITY_") or event.type:find("^RELATION_") then types[#types + 1] = event.type end
    end
    return types, list[#list]
  end

  it("comes back as it was made", function()
    local before = iu.now()
    local id = assert(m:create_entity("Person", {
      name = "Ada", description = "first", tags = { "b", "a" }, properties = { age = 36, city = { name = "London" } },
    }))
    local e = assert(m:get_entity(id))
    assert.equal(id, e.id)
    assert.equal("Person", e.entity_type)
    assert.equal("Ada", e.metadata.name)
    assert.equal("first", e.metadata.description)
    support.exactly(iu.array { "b", "a" }, e.metadata.tags)
    support.exactly({ age = 36, city = { name = "London" } }, e.metadata.properties)
    assert.equal("integer", math.type(e.created_at))
    assert.equal(e.created_at, e.updated_at)
    assert.is_true(e.created_at >= before and e.created_at <= iu.now())
  end)

  it("needs nothing but a type", function()
    local e = assert(m:get_entity(assert(m:create_entity("Thing"))))
    assert.is_nil(e.metadata.name)
    assert.is_nil(e.metadata.description)
    assert.equal("[]", iu.json.encode(e.metadata.tags))
    assert.equal("{}", iu.json.encode(e.metadata.properties))
  end)

  it("tells an empty name from none", function()
    local empty = assert(m:create_entity("Thing", { name = "", description = "" }))
    assert.equal("", m:get_entity(empty).metadata.name)
    assert.equal("", m:get_entity(empty).metadata.description)
    local none = assert(m:create_entity("Thing", { name = iu.null, description = iu.null, tags = iu.null, properties = iu.null }))
    assert.is_nil(m:get_entity(none).metadata.name)
    assert.is_nil(m:get_entity(none).metadata.description)
  end)

  it("has ids that sort in the order of creation", function()
    local ids = {}
    for i = 1, 200 do ids[i] = assert(m:create_entity("T")) end
    for i = 1, 200 do
      assert.is_truthy(ids[i]:match(UUID), ids[i])
      assert.is_true(i == 1 or ids[i - 1] < ids[i], "ids out of order")
    end
  end)

  it("takes the id it is given, once", function()
    assert.equal("ada", m:create_entity("Person", { name = "Ada" }, "ada"))
    local before = support.census(m)
    local err = support.refused("ConflictError", m:create_entity("Person", { name = "Other" }, "ada"))
    assert.is_truthy(err.message:find('"ada"', 1, true))
    assert.equal(before, support.census(m))
    assert.equal("Ada", m:get_entity("ada").metadata.name)
  end)

  it("takes ids of 256 bytes and of any script", function()
    local long, unicode = ("x"):rep(256), "ключ/鍵 🔑 \"quoted\" 'single'"
    assert.equal(long, assert(m:create_entity("T", nil, long)))
    assert.equal(unicode, assert(m:create_entity("Тип", nil, unicode)))
    assert.equal(long, m:get_entity(long).id)
    assert.equal("Тип", m:get_entity(unicode).entity_type)
    support.refused("ValidationError", nil, select(2, m:create_entity("T", nil, long .. "x")), "id", "257", "256")
  end)

  it("is replaced by an update: what is not given is gone", function()
    local id = assert(m:create_entity("Person", { name = "Ada", description = "d", tags = { "t" }, properties = { age = 36 } }))
    local old = m:get_entity(id)
    assert.is_true(m:update_entity(id, { name = "Ada L" }))
    local new = m:get_entity(id)
    assert.equal("Ada L", new.metadata.name)
    assert.is_nil(new.metadata.description)
    assert.equal(0, #new.metadata.tags)
    assert.is_nil(next(new.metadata.properties))
    assert.equal(old.created_at, new.created_at)
    assert.is_true(new.updated_at > old.updated_at)
    assert.equal("Person", new.entity_type)
  end)

  it("that is not there is an EntityNotFoundError, for every call", function()
    local before = support.census(m)
    support.refused("EntityNotFoundError", nil, select(2, m:get_entity("nope")), "nope")
    support.refused("EntityNotFoundError", nil, select(2, m:update_entity("nope", {})), "nope")
    support.refused("EntityNotFoundError", nil, select(2, m:delete_entity("nope")), "nope")
    support.refused("EntityNotFoundError", nil, select(2, m:delete_entity("nope", { cascade = true })), "nope")
    assert.equal(before, support.census(m))
  end)

  it("is gone after a delete, and its id is free again", function()
    local id = assert(m:create_entity("Person", { name = "Ada" }, "ada"))
    assert.is_true(m:delete_entity(id))
    support.refused("EntityNotFoundError", nil, select(2, m:get_entity(id)))
    assert.equal("ada", m:create_entity("Robot", nil, "ada"))
    assert.equal("Robot", m:get_entity("ada").entity_type)
  end)

  it("with relations is deleted only by cascade, which takes them along", function()
    local a, b, c = assert(m:create_entity("P")), assert(m:create_entity("P")), assert(m:create_entity("P"))
    local ab, ba, bc = assert(m:create_relation(a, b, "R")), assert(m:create_relation(b, a, "R")), assert(m:create_relation(b, c, "R"))
    local aa = assert(m:create_relation(a, a, "SELF"))
    local before = support.census(m)
    support.refused("ConflictError", nil, select(2, m:delete_entity(a)), a, "relations", "cascade")
    support.refused("ConflictError", nil, select(2, m:delete_entity(c)), c)
    support.refused("ConflictError", nil, select(2, m:delete_entity(a, { cascade = false })))
    assert.equal(before, support.census(m))
    assert.is_true(m:delete_entity(a, { cascade = true }))
    for _, id in ipairs { ab, ba, aa } do support.refused("RelationNotFoundError", nil, select(2, m:get_relation(id))) end
    assert.equal(bc, m:get_relation(bc).id)
    assert.equal(1, #m:query_relations {})
    assert.is_true(m:delete_relation(bc))
    assert.is_true(m:delete_entity(c))
  end)

  it("logs creation, update with the changed fields, and deletion", function()
    local id = assert(m:create_entity("Person", { name = "Ada", tags = { "t" }, properties = { age = 36, f = 1.0 } }))
    local types, last = events()
    assert.same({ "ENTITY_CREATED" }, types)
    assert.equal(id, last.data.entity_id)
    assert.equal("Person", last.data.entity_type)
    assert(m:update_entity(id, { name = "Ada L", tags = { "t" }, properties = { age = 37 } }))
    types, last = events()
    assert.same({ "ENTITY_CREATED", "ENTITY_UPDATED" }, types)
    support.exactly(iu.array { "name", "properties" }, last.data.changed_fields)
    assert.equal("Ada", last.data.old_metadata.name)
    assert.equal("Ada L", last.data.new_metadata.name)
    support.exactly({ age = 36, f = 1.0 }, last.data.old_metadata.properties)
    support.exactly({ age = 37 }, last.data.new_metadata.properties)
    assert(m:delete_entity(id))
    types, last = events()
    assert.same({ "ENTITY_CREATED", "ENTITY_UPDATED", "ENTITY_DELETED" }, types)
    assert.equal(id, last.data.entity_id)
    assert.equal(0, last.data.relations_deleted)
  end)

  it("gives tables that are the caller's own", function()
    local id = assert(m:create_entity("P", { properties = { list = { 1, 2 } } }))
    local one = m:get_entity(id)
    one.metadata.properties.list[1] = 99
    one.id = "spoiled"
    support.exactly({ list = iu.array { 1, 2 } }, m:get_entity(id).metadata.properties)
    assert.equal(id, m:get_entity(id).id)
  end)

  it("leaves the caller's tables alone", function()
    local metadata = { name = "Ada", properties = { a = { 1 } } }
    assert(m:create_entity("P", metadata))
    assert.same({ name = "Ada", properties = { a = { 1 } } }, metadata)
    assert.is_nil(getmetatable(metadata.properties))
  end)
end)
