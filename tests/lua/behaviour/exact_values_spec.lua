-- What goes in comes out, to the last bit, as a property, event data, a version's state and a delta's value; across close and reopen.

local iu = require "inner_universe"
local support = require "support"

local DEPTH_MAX = 512 -- open containers of one JSON text

local function nested(depth, array)
  local value = array and iu.array {} or iu.object {}
  for _ = 2, depth do
    value = array and iu.array { value } or { k = value }
  end
  return value
end

local long_text = ("größe 🔑 "):rep(5000)

local function everything()
  return {
    integers = { 0, 1, -1, 127, -128, 2147483648, 9007199254740993, math.maxinteger, math.mininteger },
    floats = { 1.0, 0.0, -0.0, 0.1, -1.5, 1e16, 1e15, 123456789012345680.0, 9007199254740993.0, 1e21, 1e22, 1e-5, 1e-7, 5e-324, 2.2250738585072014e-308,
      1.7976931348623157e308, 9223372036854775808.0, 1 / 3, 100.0, 1e100 },
    booleans = { true, false },
    null = iu.null,
    nulls = { iu.null, 1, iu.null },
    empty_array = iu.array {},
    empty_object = iu.object {},
    mixed = { 1, "1", 1.0, true, iu.null, iu.array {}, iu.object {}, { a = { b = { iu.array { iu.array {} } } } } },
    texts = { "", " ", "null", "true", "1", "1.0", "\"quoted\\", "line\nfeed\r\t\b\f", "\0zero\0", "\1\31\127", "größe", "日本語",
      "🔑👩‍👩‍👧", "\u{10FFFF}", "\u{FFFF}",
      "\u{2028}\u{2029}", "</script>", "é", "e\u{301}", long_text },
    ["a.b"] = 1,
    ["a\\b"] = 2,
    [""] = 3,
    [" "] = 4,
    ["1"] = "not an index",
    ["__index"] = 5,
    ["\0"] = 6,
    ["größe 🔑"] = 7,
    ["a\"b\n"] = 8,
    a = { b = "not a.b" },
    wide = { iu.wide("9223372036854775808"), iu.wide("-9223372036854775809"), iu.wide("18446744073709551615"),
      iu.wide("115792089237316195423570985008687907853269984665640564039457584007913129639935") },
  }
end

-- Wide integers are userdata, equal by value.
local function check(expected, actual)
  local wide, got = expected.wide, actual.wide
  assert.equal(#wide, #got)
  for i = 1, #wide do
    assert.is_true(wide[i] == got[i], tostring(wide[i]))
    assert.equal(tostring(wide[i]), tostring(got[i]))
  end
  expected.wide, actual.wide = nil, nil
  support.exactly(expected, actual)
  expected.wide, actual.wide = wide, got
end

describe("exact values", function()
  after_each(support.clean)

  it("the comparison itself tells apart what must be told apart", function()
    for _, pair in ipairs {
      { 1, 1.0 }, { 0.0, -0.0 }, { iu.array {}, iu.object {} }, { { iu.null }, {} }, { "1", 1 }, { { a = 1 }, { a = 1, b = 2 } }, { { 1, 2 }, { 1 } },
      { iu.null, false }, { 5e-324, 0.0 },
    } do
      assert.is_false((pcall(support.exactly, pair[1], pair[2])))
      assert.is_false((pcall(support.exactly, { x = pair[2] }, { x = pair[1] })))
    end
  end)

  it("in properties of entities and relations", function()
    local m = support.open()
    assert(m:create_entity("E", { properties = everything() }, "e"))
    assert(m:create_entity("E", { properties = { x = 1 } }, "updated"))
    assert(m:update_entity("updated", { properties = everything() }))
    assert(m:create_relation("e", "e", "R", { properties = everything() }, "r"))
    for _ = 1, 2 do
      check(everything(), m:get_entity("e").metadata.properties)
      check(everything(), m:get_entity("updated").metadata.properties)
      check(everything(), m:get_relation("r").metadata.properties)
      local found = m:query_entities { id = "e", filters = { { field = "properties.a\\.b", operator = "Equals", value = 1 } } }
      check(everything(), found[1].metadata.properties)
      m = support.reopen(m)
    end
  end)

  it("in event data, read back and delivered", function()
    local m = support.open()
    local heard = {}
    assert(m.event_bus:register_handler("E", function(message) heard[#heard + 1] = message.data end))
    local id = assert(m:publish_event("E", everything()))
    for _, plain in ipairs { iu.null, true, false, 0, 1.0, -0.0, "text", "", iu.array {}, iu.object {}, iu.array { iu.null } } do
      assert(m:publish_event("E", plain))
    end
    support.wait_until(function() return #heard >= 12 end)
    check(everything(), heard[1])
    m = support.reopen(m)
    check(everything(), m.client:get_event(id).data)
    local stored = m.event_bus:events { type = "E" }
    for i, plain in ipairs { iu.null, true, false, 0, 1.0, -0.0, "text", "", iu.array {}, iu.object {}, iu.array { iu.null } } do
      support.exactly(plain, heard[i + 1])
      support.exactly(plain, stored[i + 1].data)
    end
  end)

  it("in states of versions and values of deltas", function()
    local m = support.open()
    local v = assert(m:commit_version(everything(), "all"))
    local empty_object, empty_array = assert(m:commit_version({}, "object")), assert(m:commit_version(iu.array {}, "array"))
    local hash = iu.json.hash(everything())
    assert(m:record_delta(v, { { op = "set", path = "a", value = everything() }, { op = "set", path = "n", value = iu.null },
      { op = "insert", path = "l", value = false }, { op = "patch", path = "", patch = everything() } }))
    for _ = 1, 2 do
      check(everything(), m.temporal_store:get_state(v))
      assert.equal("{}", iu.json.encode(m.temporal_store:get_state(empty_object)))
      assert.equal("[]", iu.json.encode(m.temporal_store:get_state(empty_array)))
      assert.equal(hash, m.temporal_store:get_version(v).data_hash)
      local operations = m.temporal_store:get_deltas(v)[1].operations
      check(everything(), operations[1].value)
      assert.equal(iu.null, operations[2].value)
      assert.is_false(operations[3].value)
      check(everything(), operations[4].patch)
      m = support.reopen(m)
    end
  end)

  it("in names, descriptions, tags, sources", function()
    local m = support.open()
    local texts = everything().texts
    for i, text in ipairs(texts) do
      assert(m:create_entity("E", { name = text, description = text }, "e" .. i))
      assert(m:publish_event("T", { i = i }, #text <= 256 and not text:find("%c") and text or nil, "v" .. i))
    end
    assert(m:create_entity("E", { tags = { "größe", "🔑", "a.b", "'", "\"" } }, "tags"))
    m = support.reopen(m)
    for i, text in ipairs(texts) do
      local e = m:get_entity("e" .. i)
      assert.equal(text, e.metadata.name)
      assert.equal(text, e.metadata.description)
    end
    support.exactly(iu.array { "größe", "🔑", "a.b", "'", "\"" }, m:get_entity("tags").metadata.tags)
  end)

  it("down to the depth that is allowed, and not one deeper", function()
    local m = support.open()
    for _, array in ipairs { true, false } do
      local deepest = { k = nested(DEPTH_MAX - 1, array) }
      local id = assert(m:create_entity("E", { properties = deepest }))
      support.exactly(deepest, m:get_entity(id).metadata.properties)
      assert(m:update_entity(id, { properties = { k = nested(DEPTH_MAX - 1, not array) } }))
      assert(m:update_entity(id, { properties = deepest }))
      local version = assert(m:commit_version(deepest))
      local event = assert(m:publish_event("deep", nested(DEPTH_MAX, array)))
      local before = support.census(m)
      local deeper = { k = nested(DEPTH_MAX, array) }
      support.refused("ValidationError", nil, select(2, m:create_entity("E", { properties = deeper })), "properties", "512")
      support.refused("ValidationError", nil, select(2, m:update_entity(id, { properties = deeper })), "properties")
      support.refused("ValidationError", nil, select(2, m:commit_version(deeper)), "512")
      support.refused("ValidationError", nil, select(2, m:publish_event("deep", deeper)), "data")
      support.refused("ValidationError", nil, select(2, m:record_delta(version, { { op = "set", path = "x", value = deeper } })), "operations[1].value")
      assert.equal(before, support.census(m))
      m = support.reopen(m)
      support.exactly(deepest, m:get_entity(id).metadata.properties)
      support.exactly(deepest, m.temporal_store:get_state(version))
      support.exactly(nested(DEPTH_MAX, array), m.client:get_event(event).data)
      -- the audit events wrap what they tell of, and can be read all the same
      for _, message in ipairs(assert(m.event_bus:events())) do assert.is_not_nil(message.data) end
      if support.on_file then support.close(m) m = support.open() end
    end
  end)

  it("a megabyte in one value, many small ones in one object", function()
    local m = support.open()
    local big, wide = { text = ("0123456789abcdef"):rep(65536) }, {}
    for i = 1, 20000 do wide["key " .. i] = i * 1.0 end
    assert(m:create_entity("E", { properties = big }, "big"))
    assert(m:create_entity("E", { properties = wide }, "wide"))
    assert(m:update_entity("wide", { properties = wide }))
    local version = assert(m:commit_version({ big = big, wide = wide }))
    m = support.reopen(m)
    support.exactly(big, m:get_entity("big").metadata.properties)
    support.exactly(wide, m:get_entity("wide").metadata.properties)
    support.exactly({ big = big, wide = wide }, m.temporal_store:get_state(version))
  end)

  it("integers have at most 4,096 digits", function()
    local most, more = ("9"):rep(4096), ("9"):rep(4097)
    assert.equal(most, tostring(assert(iu.wide(most))))
    assert.equal("-" .. most, iu.json.encode(assert(iu.json.decode("-" .. most))))
    for _, refused in ipairs { { iu.wide(more) }, { iu.json.decode(more) }, { iu.json.decode('{"a":[-' .. more .. "]}") } } do
      assert.is_nil(refused[1])
      assert.equal("ValidationError", refused[2].kind)
      assert.truthy(refused[2].message:find("4096", 1, true), refused[2].message)
    end
    assert.has_error(function() return iu.wide(most) + iu.wide("1") end)
    assert.has_error(function() return iu.wide(most) * iu.wide(most) end)
  end)

  it("a state in many parts is put together again", function()
    local m = support.open { plugins = { temporal_store = { part_bytes = 1024 } } }
    local words = {}
    for i = 1, 3000 do words[i] = ("größe 🔑 %s"):format(iu.json.hash(i)) end -- a snapshot is compressed: this hardly
    local state = { text = table.concat(words) }
    local version = assert(m:commit_version(state))
    assert.is_true(#support.rows(m, "state_snapshot") > 30)
    m = support.reopen(m)
    support.exactly(state, m.temporal_store:get_state(version))
  end)

  it("shared tables are written twice, not refused as a cycle", function()
    local m = support.open()
    local shared = { x = 1.0 }
    local id = assert(m:create_entity("E", { properties = { a = shared, b = { shared, shared } } }))
    support.exactly({ a = { x = 1.0 }, b = iu.array { { x = 1.0 }, { x = 1.0 } } }, m:get_entity(id).metadata.properties)
  end)

  it("what was read can be written back as it is", function()
    local m = support.open()
    assert(m:create_entity("E", { properties = everything(), tags = {} }, "e"))
    local read = m:get_entity("e")
    assert(m:update_entity("e", read.metadata))
    check(everything(), m:get_entity("e").metadata.properties)
    assert.equal(iu.json.hash(everything()), iu.json.hash(m:get_entity("e").metadata.properties))
  end)

  it("documents are properties, data, values of filters and of operations as tables are", function()
    local m = support.open()
    local given = assert(iu.json.document '{"list":[1,2.0,[]],"none":{},"totable":1}')
    local plain = iu.json.totable(given)
    assert(m:create_entity("E", { properties = given }, "e"))
    assert(m:create_entity("E", { properties = { inner = given } }, "inner"))
    assert(m:create_relation("e", "inner", "R", { properties = given }, "r"))
    support.exactly(plain, m:get_entity("e").metadata.properties)
    support.exactly({ inner = plain }, m:get_entity("inner").metadata.properties)
    support.exactly(plain, m:get_relation("r").metadata.properties)
    assert(m:update_entity("inner", { properties = given }))
    assert(m:transaction(function(tx) return tx:create_entity("E", { properties = given }, "third") end))
    assert.equal(3, #m:query_entities { filters = { { field = "properties.list", operator = "Equals", value = given.list } } })
    assert.equal(2, #m:query_entities { filters = { { field = "id", operator = "In", value = iu.json.document '["e","third"]' } } })
    local version = assert(m:commit_version(given))
    assert(m:record_delta(version, { { op = "set", path = "x", value = given } }))
    support.exactly(plain, m.temporal_store:get_deltas(version)[1].operations[1].value)
    support.exactly(plain, m.client:get_event(assert(m.client:publish_event("X", "s", given))).data)
    for _, text in ipairs { "[]", "5", "null" } do
      local id, err = m:create_entity("E", { properties = iu.json.document(text) })
      assert.is_nil(id)
      assert.equal("ValidationError", err.kind)
    end
  end)
end)
