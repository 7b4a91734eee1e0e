-- Metadata reaches the core on two ways: as it came, and, where the core refuses that (a table with a metatable always), through the
-- checks of the manager. Both write the same rows, and refuse with the same words.

local iu = require "inner_universe"
local support = require "support"

local SEED = tonumber(os.getenv("SEED") or "") or os.time()

-- The same content, seen through a metatable.
local function veiled(t)
  if type(t) ~= "table" then return t end
  return setmetatable({}, { __index = t, __pairs = function() return pairs(t) end })
end

local ODD = {
  {}, { name = "x" }, { name = iu.null, description = iu.null, tags = iu.null, properties = iu.null }, { description = "\u{e4}\u{20ac}\u{1f600}" },
  { properties = iu.object {} }, { properties = iu.array {} }, { properties = { 1, 2 } }, { properties = { [3] = 1 } }, { properties = { a = 1, [1] = 2 } },
  { properties = "text" }, { properties = false }, { properties = { a = 0 / 0 } }, { properties = { a = print } }, { properties = { ["\xff"] = 1 } },
  { properties = { a = { b = { iu.null, true, -1.5, "\n" } }, e = {} } },
  { tags = false }, { tags = "t" }, { tags = { 1 } }, { tags = { a = "b" } }, { tags = { "a", nil, "c" } },
  { tags = iu.array { "a", "b" } }, { name = 5 }, { name = "\xff" }, { nome = "x" }, { [1] = "x" }, { name = "x", strength = 1 }, { name = { "x" } },
  { tags = { "" } }, { name = ("n"):rep(70000) }, { properties = { a = ("p"):rep(3000) } },
}
local ODD_OF_RELATIONS = {
  { strength = 2 }, { strength = 0.25, bidirectional = true }, { strength = iu.null, bidirectional = iu.null }, { strength = false }, { strength = "1" },
  { bidirectional = 1 }, { strength = 1 / 0 }, { name = "x" }, { tags = { "a" }, properties = { a = 1 }, description = "d" },
}

local function random_value(depth)
  local kind = math.random(depth > 2 and 5 or 7)
  if kind == 1 then return math.random(-10, 10) end
  if kind == 2 then return math.random() end
  if kind == 3 then return ({ "", "a", "\u{fc}", "\"\\\n" })[math.random(4)] end
  if kind == 4 then return math.random(2) == 1 end
  if kind == 5 then return iu.null end
  local t = {}
  for i = 1, math.random(0, 3) do t[kind == 6 and i or "k" .. i] = random_value(depth + 1) end
  return t
end

local function random_metadata()
  local metadata, fields = {}, { "name", "description", "tags", "properties", "strength", "other" }
  for _ = 1, math.random(0, 3) do metadata[fields[math.random(math.random(4, 6))]] = random_value(0) end
  return metadata
end

describe("metadata", function()
  local m
  before_each(function() m = support.open() end)
  after_each(support.clean)

  -- What both ways came to, as one text each.
  local function outcome(kind, written, err)
    if not written then return ("%s: %s"):format(err.kind, err.message) end
    local row = assert(m["get_" .. kind](m, written))
    return iu.json.canonical(row.metadata)
  end

  local function same(kind, create, metadata, note)
    local plain = outcome(kind, create(metadata))
    assert.equal(outcome(kind, create(veiled(metadata))), plain, note)
    return plain
  end

  local function entity(metadata) return m:create_entity("T", metadata) end
  local function in_transaction(metadata)
    return m:transaction(function(tx)
      local id = assert(tx:create_entity("T", metadata))
      local seen, err = tx:get_entity(id)
      if seen then return id, iu.json.canonical(seen.metadata) end
      return nil, err
    end)
  end

  it("is the same on both ways: entities", function()
    for i, metadata in ipairs(ODD) do same("entity", entity, metadata, "number " .. i) end
    assert.equal('{"properties": {}, "tags": []}', same("entity", entity, {}))
    assert.equal('{"properties": {}, "tags": []}', outcome("entity", m:create_entity("T")))
  end)

  it("is the same on both ways: relations", function()
    assert(m:create_entity("T", nil, "a"))
    local function relation(metadata) return m:create_relation("a", "a", "R", metadata) end
    for i, metadata in ipairs(ODD) do same("relation", relation, metadata, "number " .. i) end
    for i, metadata in ipairs(ODD_OF_RELATIONS) do same("relation", relation, metadata, "number " .. i) end
    assert.equal('{"bidirectional": false, "properties": {}, "strength": 1.0, "tags": []}', outcome("relation", m:create_relation("a", "a", "R")))
  end)

  it("is the same on both ways: updates", function()
    assert(m:create_entity("T", nil, "a"))
    assert(m:create_relation("a", "a", "R", nil, "r"))
    for i, metadata in ipairs(ODD) do
      for kind, id in pairs { entity = "a", relation = "r" } do
        same(kind, function(given)
          local ok, err = m["update_" .. kind](m, id, given)
          return ok and id, err
        end, metadata, "number " .. i)
      end
    end
  end)

  it("is the same on both ways, and before the end, in a transaction", function()
    for i, metadata in ipairs(ODD) do
      local plain = same("entity", in_transaction, metadata, "number " .. i)
      local id, seen = in_transaction(metadata)
      if id and metadata.tags ~= false then assert.equal(plain, seen, "number " .. i) end
    end
  end)

  it("is the same on both ways whatever it is", function()
    math.randomseed(SEED)
    for i = 1, 300 do
      local metadata = random_metadata()
      local note = ("number %d of the seed %d"):format(i, SEED)
      same("entity", entity, metadata, note)
      if i % 10 == 0 then same("entity", in_transaction, metadata, note) end
    end
  end)

  it("has documents as properties, like tables", function()
    local document = assert(iu.json.document('{"a":[1,{"b":null}],"big":12345678901234567890}'))
    local function has(properties)
      assert.equal(document, assert(iu.json.document(assert(iu.json.encode(properties)))))
    end
    local id = assert(m:create_entity("T", { name = "n", properties = document }))
    has(assert(m:get_entity(id)).metadata.properties)
    id = assert(m:create_entity("T", veiled { properties = document }))
    has(assert(m:get_entity(id)).metadata.properties)
    local relation = assert(m:create_relation(id, id, "R", { properties = document }))
    has(assert(m:get_relation(relation)).metadata.properties)
    assert(m:update_entity(id, { properties = {} }))
    assert(m:update_entity(id, { properties = document }))
    has(assert(m:get_entity(id)).metadata.properties)
    assert(m:transaction(function(tx)
      local inside = assert(tx:create_entity("T", { properties = document }))
      has(assert(tx:get_entity(inside)).metadata.properties)
      return true
    end))
    for _, text in ipairs { "[1]", "5", '"x"', "null" } do
      local none, err = m:create_entity("T", { properties = assert(iu.json.document(text)) })
      assert.is_nil(none)
      assert.equal("ValidationError", err.kind)
      assert.matches("metadata%.properties: expected ", err.message)
    end
  end)

  it("is what it was when the transaction was given it", function()
    local tags, properties = { "a" }, { n = 1 }
    local metadata = { name = "before", tags = tags, properties = properties }
    local id = assert(m:transaction(function(tx)
      local made = assert(tx:create_entity("T", metadata))
      metadata.name, tags[1], properties.n = "after", "b", 2
      return made
    end))
    assert.same({ name = "before", tags = { "a" }, properties = { n = 1 } }, m:get_entity(id).metadata)
  end)

  it("of one operation that is refused leaves those before it, and their order", function()
    assert(m:create_entity("T", nil, "old"))
    local events = m:status().events
    assert(m:transaction(function(tx)
      assert(tx:create_entity("T", { name = "first" }, "one"))
      assert(tx:update_entity("old", { name = "changed" }))
      assert(tx:create_entity("T", veiled { name = "second" }, "two"))
      assert(tx:create_relation("one", "two", "R", { strength = 2 }, "r"))
      assert(tx:update_relation("r", { strength = 3 }))
      assert(tx:delete_entity("old"))
      assert.equal("first", tx:get_entity("one").metadata.name)
      assert.equal("second", tx:get_entity("two").metadata.name)
      assert.equal(3, tx:get_relation("r").metadata.strength)
      assert(tx:create_entity("T", { name = "third" }, "three"))
      local one, three = tx:get_entity("one"), tx:get_entity("three")
      assert.is_true(one.created_at > 0 and one.created_at <= three.created_at)
      assert.equal(one.created_at, one.updated_at)
      assert.equal(3, #assert(tx:query_entities { entity_type = "T" }))
    end))
    local kinds = {}
    for _, event in ipairs(assert(m.event_bus:events { after = events })) do kinds[#kinds + 1] = event.type end
    assert.equal("ENTITY_CREATED ENTITY_UPDATED ENTITY_CREATED RELATION_CREATED RELATION_UPDATED ENTITY_DELETED ENTITY_CREATED", table.concat(kinds, " "))
    local err = support.refused("ValidationError", m:transaction(function(tx)
      assert(tx:create_entity("T", { name = "x" }))
      assert(tx:create_entity("T", { name = 5 }))
      assert(tx:create_entity("T", { name = "y" }))
    end))
    assert.matches("operations%[2%]", err.message)
    assert.equal(3, #assert(m:query_entities { entity_type = "T" }))
  end)

  it("may close the manager while it is read", function()
    local function closing(manager)
      return { properties = { v = setmetatable({}, { __iu_plain = function()
        manager:shutdown()
        collectgarbage()
        return { a = 1 }
      end }) } }
    end
    local writes = {
      function(manager) return manager:create_entity("T", closing(manager)) end,
      function(manager) return manager:update_entity(assert(manager:create_entity("T")), closing(manager)) end,
      function(manager) return manager:transaction(function(tx) return tx:create_entity("T", closing(manager)) end) end,
    }
    for i, write in ipairs(writes) do
      local ok, err = write(support.open())
      assert.is_nil(ok, i)
      assert.equal("ConnectionError", err.kind, i)
      assert.equal("CLOSED", err.code, i)
    end
  end)

  it("with an id or a type that is none raises as ever", function()
    for _, id in ipairs { 5, iu.null, {}, true } do
      support.raises_here(function() m:create_entity("T", nil, id) end, "#3", "create_entity", "id")
      support.raises_here(function() m:create_relation("a", "a", "R", nil, id) end, "#5", "create_relation", "id")
      m:transaction(function(tx)
        support.raises_here(function() tx:create_entity("T", nil, id) end, "#3", "create_entity", "id")
        support.raises_here(function() tx:create_relation("a", "a", "R", nil, id) end, "#5", "create_relation", "id")
      end)
    end
    support.raises_here(function() m:create_entity(5) end, "#1", "create_entity", "entity_type")
    support.raises_here(function() m:create_entity("T", iu.null) end, "#2", "create_entity", "metadata")
    support.raises_here(function() m:update_entity("a", iu.null) end, "#2", "update_entity", "metadata")
    support.raises_here(function() m:update_entity("a") end, "#2", "update_entity", "metadata")
  end)
end)
