-- Entities and relations: a person works for a company, is found again, and is updated.
--
--   iu run entities.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:"))

-- An entity has a type, a name, tags and properties of any shape. What is returned is its id.
local john = assert(manager:create_entity("Person", {
  name = "John Doe",
  tags = { "employee" },
  properties = { age = 30, email = "john@example.com" },
}))
local acme = assert(manager:create_entity("Company", { name = "Acme", properties = { industry = "Technology", founded = 1999 } }))

-- A relation leads from one entity to another and has properties too.
assert(manager:create_relation(john, acme, "WORKS_FOR", { strength = 0.9, properties = { position = "Engineer", since = 2020 } }))

local function show(id)
  local person = assert(manager:get_entity(id))
  local properties = person.metadata.properties
  print(("%s, %d years old, %s"):format(person.metadata.name, properties.age, properties.email))
  for _, relation in ipairs(assert(manager:query_relations{ from_entity = id, relation_type = "WORKS_FOR" })) do
    local company = assert(manager:get_entity(relation.to_entity))
    print(("  works for %s as %s"):format(company.metadata.name, relation.metadata.properties.position))
  end
end
show(john)

-- An update replaces the metadata: change what you got, and give it back.
local metadata = assert(manager:get_entity(john)).metadata
metadata.properties.age = metadata.properties.age + 1
assert(manager:update_entity(john, metadata))
show(john)

-- A query filters by type, tags, columns and properties.
local adults = assert(manager:query_entities{
  entity_type = "Person",
  tags = { "employee" },
  filters = { { field = "properties.age", operator = "GreaterThan", value = 30 } },
})
print(("%d employee over 30"):format(#adults))

-- What can fail answers nil and an err that says why: John still has a relation.
local ok, err = manager:delete_entity(john)
print(ok, err.kind)
assert(manager:delete_entity(john, { cascade = true }))
print(select(2, manager:get_entity(john)).kind)
