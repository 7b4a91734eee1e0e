-- The plugin selective: what rules say is persisted, kept in memory only, sampled or dropped; and how what is in memory is read, changed and found.

local iu = require "inner_universe"
local support = require "support"

local RULES = {
  { name = "sparks", type = "Spark", action = "memory" },
  { name = "temporary", type = "Temp*", action = "memory" },
  { name = "volatile", tag = "volatile", action = "memory" },
  { name = "debug", path = "properties.level", value = "debug", action = "memory" },
  { name = "noise", type = "Noise", action = "drop" },
}

local function open(config, more)
  local all = { plugins = { selective = config or { rules = RULES } } }
  for key, value in pairs(more or {}) do all[key] = value end
  return support.open(all)
end

-- Ids of what is in the universe itself, sorted.
local function persisted(m, kind)
  local ids = support.pluck(support.rows(m, kind or "entity"), "id")
  table.sort(ids)
  return table.concat(ids, " ")
end

local function ids_of(rows) return table.concat(support.pluck(rows, "id"), " ") end

describe("selective", function()
  after_each(support.clean)

  it("decides by type, beginning of a type, tag and path, the first rule that fits", function()
    local m = open()
    local s = m.selective
    assert(m:create_entity("Person", { name = "Ada" }, "ada"))
    assert(m:create_entity("Spark", nil, "spark"))
    assert(m:create_entity("Temperature", nil, "temp"))
    assert(m:create_entity("Person", { tags = { "x", "volatile" } }, "tagged"))
    assert(m:create_entity("Log", { properties = { level = "debug" } }, "debug"))
    assert(m:create_entity("Log", { properties = { level = "error" } }, "error"))
    assert.equal("gone", m:create_entity("Noise", nil, "gone"))
    assert.equal("ada error", persisted(m))
    for _, id in ipairs { "spark", "temp", "tagged", "debug" } do
      assert.is_true(s:is_in_memory(id))
      assert.equal(id, assert(m:get_entity(id)).id)
    end
    assert.is_false(s:is_in_memory("ada"))
    support.refused("EntityNotFoundError", nil, select(2, m:get_entity("gone")), "gone")
    local stats = s:stats()
    assert.same({ 4, 2 }, { stats.entities, stats.unmatched })
    assert.same({ persist = 0, memory = 1, drop = 0 }, stats.rules.debug)
    assert.same({ persist = 0, memory = 0, drop = 1 }, stats.rules.noise)
    assert.same({ action = "memory", rule = "sparks" }, s:decide("Spark", { tags = { "volatile" } }))
    assert.same({ action = "persist" }, s:decide("Person"))
    assert.same(stats, s:stats())
  end)

  it("compares paths with arrays, empty ones too, and with what is in them", function()
    local rules = {
      { name = "empty", path = "properties.list", value = iu.array {}, action = "memory" },
      { name = "object", path = "properties.list", value = {}, action = "drop" },
      { name = "pair", path = "properties.list", value = { "a", "b" }, action = "memory" },
      { name = "has z", path = "properties.list", operator = "Contains", value = "z", action = "memory" },
      { name = "second", path = "properties.list.1.kind", value = "k", action = "memory" },
      { name = "either", path = "properties.level", operator = "In", value = { "x", "y" }, action = "memory" },
    }
    local s = support.open({ plugins = { selective = { rules = rules } } }).selective
    local function decides()
      local function by(properties) return assert(s:decide("T", { properties = properties })).rule end
      assert.equal("empty", by { list = iu.array {} })
      assert.equal("object", by { list = iu.object {} })
      assert.equal("pair", by { list = { "a", "b" } })
      assert.is_nil(by { list = { "b", "a" } })
      assert.equal("has z", by { list = { "y", "z" } })
      assert.equal("second", by { list = { 1, { kind = "k" } } })
      assert.is_nil(by { list = { { kind = "k" } } })
      assert.equal("either", by { level = "y" })
    end
    decides()
    assert(s:set_rules(rules))
    decides()
  end)

  it("writes nothing into the universe for what is in memory: no row, no event", function()
    local m = open()
    local before = support.census(m)
    assert(m:create_entity("Spark", { name = "s" }, "s"))
    assert(m:update_entity("s", { name = "t" }))
    assert(m:create_entity("Spark", nil, "u"))
    local r = assert(m:create_relation("s", "u", "NEAR"))
    assert(m:update_relation(r, { strength = 0.5 }))
    assert(m:delete_entity("s", { cascade = true }))
    assert.equal(before, support.census(m))
    if support.keeps then
      m = support.reopen(m, { plugins = { selective = { rules = RULES } } })
      support.refused("EntityNotFoundError", nil, select(2, m:get_entity("u")))
    end
  end)

  it("answers as the manager does: values, times, refusals", function()
    local m = open()
    local metadata = { name = "n", description = "d", tags = { "a" }, properties = { i = 1, f = 1.0, none = iu.null, list = iu.array {} } }
    assert(m:create_entity("Person", metadata, "p"))
    assert(m:create_entity("Spark", metadata, "s"))
    local p, s = assert(m:get_entity("p")), assert(m:get_entity("s"))
    support.exactly(p.metadata, s.metadata)
    assert.equal("integer", math.type(s.created_at))
    assert.is_true(math.abs(s.created_at - iu.now()) < 60 * 1000000)
    s.metadata.properties.i = 2
    assert.equal(1, m:get_entity("s").metadata.properties.i)
    for _, entity_type in ipairs { "Person", "Spark" } do
      support.refused("ConflictError", nil, select(2, m:create_entity(entity_type, nil, "s")), "s")
      support.refused("ConflictError", nil, select(2, m:create_entity(entity_type, nil, "p")), "p")
      support.refused("ValidationError", nil, select(2, m:create_entity(entity_type, { nam = "x" })), "nam")
      support.refused("ValidationError", nil, select(2, m:create_entity(entity_type, { name = ("x"):rep(70000) })), "name")
      support.refused("ValidationError", nil, select(2, m:create_entity(entity_type, nil, ("x"):rep(300))), "id")
    end
    support.refused("ValidationError", nil, select(2, m:create_entity("Noise", { nam = "x" })), "nam")
    support.refused("ValidationError", nil, select(2, m:update_entity("s", { nam = "x" })), "nam")
    support.refused("ValidationError", nil, select(2, m:delete_entity("s", { cascad = true })), "cascad")
    support.raises_here(function() m:create_entity(1) end, "entity_type: string expected")
    support.raises_here(function() m:update_entity("s", 1) end, "metadata: table expected")
    support.raises_here(function() m:get_entity(nil) end, "id: string expected")
    assert(m:delete_entity("s"))
    support.refused("EntityNotFoundError", nil, select(2, m:update_entity("s", {})), "s")
    support.refused("EntityNotFoundError", nil, select(2, m:delete_entity("s")), "s")
  end)

  it("refuses what no row can have, wherever it would go, and has counted it by then", function()
    local m = open { rules = { RULES[1] } }
    assert(m:create_entity("Spark", nil, "a"))
    assert(m:create_entity("Spark", nil, "b"))
    local relation = assert(m:create_relation("a", "b", "NEAR"))
    local bytes, rows = m.selective:stats().bytes, support.census(m)
    local wrong = { { tags = { 5 } }, { tags = 5 }, { tags = { x = "y" } }, { tags = { {} } }, { name = 5 }, { description = {} } }
    for _, metadata in ipairs(wrong) do
      local said = select(2, m:create_entity("Person", metadata))
      support.refused("ValidationError", nil, said, "metadata.")
      local kept = select(2, m:create_entity("Spark", metadata))
      support.refused("ValidationError", nil, kept, "metadata.")
      assert.equal(said.message, kept.message)
      support.refused("ValidationError", nil, select(2, m:update_entity("a", metadata)), "metadata.")
      if metadata.tags then
        support.refused("ValidationError", nil, select(2, m:create_relation("a", "b", "NEAR", metadata)), "metadata.tags")
        support.refused("ValidationError", nil, select(2, m:update_relation(relation, metadata)), "metadata.tags")
      end
    end
    local stats = m.selective:stats()
    assert.same({ persist = 0, memory = 2 + #wrong, drop = 0 }, stats.rules.sparks)
    assert.same({ 2, 1, bytes, #wrong }, { stats.entities, stats.relations, stats.bytes, stats.unmatched })
    assert.equal(rows, support.census(m))
  end)

  it("finds what is in memory with what is persisted: filters, order, pages, counts", function()
    local m = open { rules = { { tag = "m", action = "memory" } } }
    for i = 1, 40 do
      assert(m:create_entity("N", { tags = i % 3 == 0 and { "m" } or {}, properties = { n = i, even = i % 2 == 0 } }, ("e%02d"):format(i)))
    end
    local plain = open { rules = {} }
    for i = 1, 40 do
      assert(plain:create_entity("N", { tags = i % 3 == 0 and { "m" } or {}, properties = { n = i, even = i % 2 == 0 } }, ("e%02d"):format(i)))
    end
    assert.equal(13, m.selective:stats().entities)
    for _, spec in ipairs {
      {}, { entity_type = "N" }, { entity_type = "None" }, { id = "e03" }, { id = "e04" }, { tags = { "m" } },
      { filters = { { field = "properties.even", operator = "Equals", value = true } } },
      { filters = { { field = "properties.n", operator = "GreaterThan", value = 20 } }, order_by = "properties.n", descending = true },
      { order_by = "properties.n", limit = 7 }, { order_by = "properties.n", limit = 7, offset = 5 }, { limit = 5, offset = 38 }, { limit = 0 },
      { order_by = "properties.even", limit = 11, offset = 3 }, { offset = 30 }, { limit = 5, descending = true }, { limit = math.maxinteger, offset = 1 },
    } do
      local expected, matched = plain:query_entities(spec)
      local found, count = m:query_entities(spec)
      assert.equal(ids_of(expected), ids_of(assert(found)))
      if count and matched then assert.equal(matched, count) end
    end
    local _, _, words = m:query_entities { explain = true }
    assert.is_truthy(words:find("and 13 in memory only", 1, true))
    support.refused("ValidationError", nil, select(2, m:query_entities { lmit = 1 }), "lmit")
    support.raises_here(function() m:query_entities(1) end, "spec: table or nil expected")
  end)

  it("keeps relations between two in memory there, and refuses those from there to here", function()
    local m = open()
    for _, id in ipairs { "s1", "s2" } do assert(m:create_entity("Spark", nil, id)) end
    for _, id in ipairs { "p1", "p2" } do assert(m:create_entity("Person", nil, id)) end
    assert(m:create_relation("s1", "s2", "NEAR", { strength = 0.5 }, "rs"))
    assert(m:create_relation("p1", "p2", "KNOWS", nil, "rp"))
    assert.equal("rp", persisted(m, "relation"))
    support.refused("ValidationError", nil, select(2, m:create_relation("s1", "p1", "LIGHTS")), "s1", "in memory only")
    support.refused("ValidationError", nil, select(2, m:create_relation("p1", "s1", "SEES")), "s1", "in memory only")
    support.refused("EntityNotFoundError", nil, select(2, m:create_relation("p1", "nobody", "SEES")), "nobody")
    support.refused("ConflictError", nil, select(2, m:create_relation("s1", "s2", "NEAR", nil, "rp")))
    support.refused("ConflictError", nil, select(2, m:create_relation("p1", "p2", "NEAR", nil, "rs")))
    assert.equal(0.5, assert(m:get_relation("rs")).metadata.strength)
    assert(m:update_relation("rs", { strength = 0.25, properties = { x = 1 } }))
    assert.equal(1, assert(m:get_relation("rs")).metadata.properties.x)
    assert.equal("rp rs", ids_of(assert(m:query_relations {})))
    assert.equal("rs", ids_of(assert(m:query_relations { from_entity = "s1" })))
    support.refused("ConflictError", nil, select(2, m:delete_entity("s1")), "relations")
    assert(m:delete_relation("rs"))
    support.refused("RelationNotFoundError", nil, select(2, m:get_relation("rs")))
    assert(m:create_relation("s1", "s2", "NEAR"))
    assert(m:delete_entity("s1", { cascade = true }))
    assert.same({ 1, 0 }, { m.selective:stats().entities, m.selective:stats().relations })
    assert(m:delete_entity("s2"))
    assert.same({ 0, 0, 0 }, { m.selective:stats().entities, m.selective:stats().relations, m.selective:stats().bytes })
  end)

  it("persists an entity that an update makes one to be persisted, or that is told to", function()
    local m = open()
    assert(m:create_entity("Log", { properties = { level = "debug" } }, "log"))
    assert(m:update_entity("log", { properties = { level = "debug", more = 1 } }))
    assert.equal("", persisted(m))
    assert(m:update_entity("log", { properties = { level = "error" } }))
    assert.equal("log", persisted(m))
    assert.is_false(m.selective:is_in_memory("log"))
    assert.equal("error", assert(m:get_entity("log")).metadata.properties.level)
    assert(m:update_entity("log", { properties = { level = "debug" } })) -- what is persisted stays so
    assert.equal("log", persisted(m))
    assert(m:create_entity("Spark", { name = "bright" }, "s1"))
    assert(m:create_entity("Spark", nil, "s2"))
    assert(m:create_relation("s1", "s2", "NEAR", nil, "r"))
    support.refused("ConflictError", nil, select(2, m.selective:persist("s1")), "relations")
    assert(m:delete_relation("r"))
    assert.is_true(m.selective:persist("s1"))
    support.refused("EntityNotFoundError", nil, select(2, m.selective:persist("s1")), "s1")
    assert.equal("log s1", persisted(m))
    assert.equal("bright", assert(m:get_entity("s1")).metadata.name)
    assert.same({ 1, 2 }, { m.selective:stats().entities, m.selective:stats().promoted })
  end)

  it("loses no write that comes while an entity is being persisted", function()
    local m = open()
    assert(m:create_entity("Spark", { name = "0" }, "s"))
    local ok = {}
    iu.run(function()
      iu.spawn(function() ok[1] = assert(m.selective:persist("s")) end)
      iu.spawn(function() ok[2] = assert(m:update_entity("s", { name = "1" })) end)
    end)
    assert.same({ true, true }, ok)
    assert.equal("1", assert(m:get_entity("s")).metadata.name)
    assert.equal("s", persisted(m))
  end)

  it("samples by id: the same ones every time, about the rate's share", function()
    local rules = { { name = "some", type = "Point", action = "sample", rate = 0.3 } }
    local m, again, other = open { rules = rules }, open { rules = rules }, open { rules = rules, seed = "another" }
    local kept, differ = 0, 0
    for i = 1, 1000 do
      local id = "point-" .. i
      local action = m.selective:decide("Point", nil, id).action
      assert.equal(action, again.selective:decide("Point", nil, id).action)
      if action == "persist" then kept = kept + 1 end
      if action ~= other.selective:decide("Point", nil, id).action then differ = differ + 1 end
    end
    assert.is_true(kept > 230 and kept < 370, kept)
    assert.is_true(differ > 250, differ)
    for i = 1, 20 do assert(m:create_entity("Point", nil, "point-" .. i)) end
    local stats = m.selective:stats()
    assert.equal(20, stats.rules.some.persist + stats.rules.some.memory)
    assert.equal(stats.rules.some.persist, #support.rows(m, "entity"))
    assert.equal(20, #m:query_entities { entity_type = "Point" })
    for rate, action in pairs { [0] = "drop", [1] = "persist" } do
      assert(m.selective:set_rules { { type = "Point", action = "sample", rate = rate, otherwise = "drop" } })
      assert.equal(action, m.selective:decide("Point", nil, "x").action)
    end
  end)

  it("decides about events: dropped ones are in no log, sampled ones evenly", function()
    local m = open { rules = { { name = "trace", event = "TRACE*", action = "drop" }, { name = "tick", event = "TICK", action = "sample", rate = 0.25 } } }
    for i = 1, 40 do
      assert.is_string(m:publish_event("TRACE_" .. i, { i = i }))
      assert.is_string(m.event_bus:publish("TICK", { i = i }))
      if i <= 3 then assert(m:publish_event("REAL")) end
    end
    local count = {}
    for _, message in ipairs(assert(m.event_bus:events())) do
      local name = message.type:match("^%u+")
      count[name] = (count[name] or 0) + 1
    end
    assert.same({ nil, 10, 3 }, { count.TRACE, count.TICK, count.REAL })
    assert.same({ persist = 10, memory = 0, drop = 30 }, m.selective:stats().rules.tick)
    support.refused("ValidationError", nil, select(2, m:publish_event("TRACE_X", { 0 / 0 })), "data")
  end)

  it("keeps so many and so much, then refuses, or forgets the oldest", function()
    local m = open { rules = RULES, max_entities = 5 }
    for i = 1, 5 do assert(m:create_entity("Spark", nil, "s" .. i)) end
    support.refused("OverloadedError", nil, select(2, m:create_entity("Spark", nil, "s6")), "max_entities")
    assert(m:create_entity("Person", nil, "p"))
    assert(m:delete_entity("s1"))
    assert(m:create_entity("Spark", nil, "s6"))
    local small = open { rules = RULES, max_bytes = 20000, when_full = "drop_oldest" }
    for i = 1, 100 do
      assert(small:create_entity("Spark", { properties = { text = ("x"):rep(1000) } }, ("s%03d"):format(i)))
      if i % 10 == 0 then assert(small:create_relation(("s%03d"):format(i - 1), ("s%03d"):format(i), "NEAR")) end
      assert.is_true(small.selective:stats().bytes <= 20000 + 1000)
    end
    local stats = small.selective:stats()
    assert.equal(100, stats.entities + stats.evicted)
    assert.is_true(stats.entities >= 10)
    assert.equal(("s%03d"):format(101 - stats.entities), assert(small:query_entities { limit = 1 })[1].id)
    assert.equal(stats.relations, #small:query_relations {})
    support.refused("OverloadedError", nil, select(2, small:create_entity("Spark", { properties = { text = ("x"):rep(30000) } })))
    assert(small:create_entity("Spark", nil, "last"))
    support.refused("OverloadedError", nil, select(2, small:update_entity("last", { properties = { text = ("x"):rep(30000) } })))
    assert.is_nil(small:get_entity("last").metadata.properties.text)
    assert(small:update_entity("last", { properties = { text = ("x"):rep(15000) } }))
    assert.is_true(small.selective:stats().bytes <= 20000)
  end)

  it("works with what other plugins put around the same methods: batch, cache, security", function()
    local key = support.path()
    support.write(key, ("ab"):rep(32) .. "\n")
    assert(os.execute(("chmod 600 '%s'"):format(key)))
    local m = support.open { plugins = {
      selective = { rules = RULES }, batch = { max_wait_ms = 5 }, cache = { entities = "always" },
      security = {
        keys = { { file = key } }, sealed = { entity = { "properties.email" } }, schemas = { Spark = { properties = { age = { type = "integer" } } } },
      },
    } }
    iu.run(function()
      for i = 1, 10 do
        iu.spawn(function() assert(m.batch:create_entity(i % 2 == 0 and "Spark" or "Person", { properties = { email = "e" .. i } }, "e" .. i)) end)
      end
    end)
    assert.same({ 5, 10 }, { #support.rows(m, "entity"), #m:query_entities {} })
    for i = 1, 10 do
      for _ = 1, 2 do assert.equal("e" .. i, assert(m:get_entity("e" .. i)).metadata.properties.email) end
    end
    iu.run(function()
      assert(m.batch:update_entity("e2", { properties = { email = "new" } }))
      assert(m.batch:delete_entity("e4"))
    end)
    assert.equal("new", assert(m:get_entity("e2")).metadata.properties.email)
    support.refused("EntityNotFoundError", nil, select(2, m:get_entity("e4")), "e4")
    support.refused("ValidationError", nil, select(2, m:create_entity("Spark", { properties = { age = "x" } })), "properties.age")
    support.refused("ValidationError", nil, select(2, m:update_entity("e2", { properties = { age = "x" } })), "properties.age")
    assert(m.selective:persist("e2"))
    assert.equal("new", assert(m:get_entity("e2")).metadata.properties.email)
    for _, row in ipairs(support.rows(m, "entity")) do assert.is_nil(row.metadata.properties:find("new", 1, true)) end
  end)

  it("changes its rules while it runs; what is in memory stays", function()
    local m = open()
    assert(m:create_entity("Spark", nil, "s1"))
    assert(m.selective:set_rules {})
    assert(m:create_entity("Spark", nil, "s2"))
    assert.equal("s2", persisted(m))
    assert.equal("s1 s2", ids_of(m:query_entities {}))
    support.refused("ConflictError", nil, select(2, m:create_entity("Spark", nil, "s1")))
    support.refused("ValidationError", nil, select(2, m.selective:set_rules { { action = "keep" } }), "rules[1].action", "keep")
    assert.same({ action = "persist" }, m.selective:decide("Spark"))
  end)

  it("refuses rules that make no sense, and says which and why", function()
    local m = open { rules = {} }
    for text, rule in pairs {
      ["action: one of"] = {}, ["unknown key 'typ'"] = { typ = "x", action = "memory" }, ["rate: a number from 0 to 1"] = { action = "sample", rate = 2 },
      ["belong to the action sample"] = { action = "memory", rate = 0.5 }, ["otherwise: memory or drop"] = { action = "sample", rate = 0.5, otherwise = "x" },
      ["type: it is empty"] = { type = "", action = "memory" }, ["got both"] = { type = "A", event = "B", action = "drop" },
      ["it is in memory nowhere"] = { event = "E", action = "memory" }, ["events have no tag"] = { event = "E", tag = "x", action = "drop" },
      ["belong to a path"] = { value = 1, action = "memory" }, ["value: a value expected"] = { path = "properties.x", action = "memory" },
      ["type: string expected"] = { type = 1, action = "memory" }, ["Equalz"] = { path = "properties.x", operator = "Equalz", value = 1, action = "memory" },
      ["nonsense"] = { path = "nonsense", value = 1, action = "memory" },
    } do
      support.refused("ValidationError", nil, select(2, m.selective:set_rules { rule }), "rules[1]", text)
    end
    local twice = { { action = "drop", name = "a" }, { action = "drop", name = "a" } }
    support.refused("ValidationError", nil, select(2, m.selective:set_rules(twice)), "rules[2].name")
    support.refused("ValidationError", nil, select(2, m.selective:set_rules { x = 1 }), "array")
    support.raises_here(function() m.selective:set_rules(1) end, "rules: table expected")
    local broken = open({ rules = { { action = "keep" } } }, { log_level = "off" })
    support.refused("PluginError", nil, select(2, broken:plugin("selective")), "rules[1].action")
    broken = open({ when_full = "wait" }, { log_level = "off" })
    support.refused("PluginError", nil, select(2, broken:plugin("selective")), "when_full")
  end)

  it("leaves nothing when it stops", function()
    local m = open()
    assert(m:create_entity("Spark", nil, "s"))
    local ok, facts = m.selective:health()
    assert.is_true(ok)
    assert.same({ 5, 1 }, { facts.rules, facts.entities })
    local selective = m.selective
    selective:stop()
    support.refused("EntityNotFoundError", nil, select(2, m:get_entity("s")))
    assert(m:create_entity("Spark", nil, "s"))
    assert.equal("s", persisted(m))
    assert.is_nil((selective:health()))
    support.raises_here(function() selective:stats() end, "selective is closed")
  end)
end)
