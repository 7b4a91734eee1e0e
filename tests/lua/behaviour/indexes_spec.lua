-- manager:create_index: what may be indexed, that answers stay what they are without one, through aborts, sessions and reopening; what explain says.

local iu = require "inner_universe"
local support = require "support"

describe("an index over a path", function()
  after_each(support.clean)

  it("raises for wrong types at the caller's line", function()
    local m = support.open()
    support.raises_here(function() m:create_index(5, "name") end, "create_index", "table: string expected, got an integer")
    support.raises_here(function() m:drop_index("entity") end, "drop_index", "path: string expected, got nil")
  end)

  if support.on_server then
    it("is refused on a server, and says why", function()
      local m = support.open()
      assert.matches("module was published with", support.refused("ValidationError", m:create_index("entity", "properties.age")).message)
      support.refused("ValidationError", m:drop_index("entity", "properties.age"))
      assert.same({}, m:indexes())
    end)
    return
  end

  it("is used for equality, lists, comparisons, beginnings and orders, and explain says so", function()
    local m = support.open()
    for i = 1, 200 do
      local properties = { age = i, city = { code = ("c%03d"):format(i) } }
      assert(m:create_entity("T", { name = "n" .. i, properties = properties }, ("e%03d"):format(i)))
    end
    assert(m:create_index("entity", "properties.age"))
    assert(m:create_index("entity", "properties.city.code"))
    assert(m:create_index("entity", "name"))
    local function uses(index, count, spec)
      spec.explain = true
      local rows, _, words = m:query_entities(spec)
      assert.equal(count, #assert(rows))
      assert.matches(index, words, 1, true)
      assert.equal(words, m:explain_entities(spec))
      return rows
    end
    uses("index over properties.age", 1, { filters = { { field = "properties.age", operator = "Equals", value = 7.0 } } })
    uses("index over properties.age of entity, 3 ranges", 2, { filters = { { field = "properties.age", operator = "In", value = { 7, "7", 9 } } } })
    uses("index over properties.age", 5, { filters = { { field = "metadata.properties.age", operator = "GreaterThan", value = 195 } } })
    uses("index over properties.city.code", 10, { filters = { { field = "properties.city.code", operator = "StartsWith", value = "c01" } } })
    local named, young = { field = "name", operator = "Equals", value = "n5" }, { field = "properties.age", operator = "LessThan", value = 100 }
    uses("index over name", 1, { filters = { named, young } })
    uses("index over name", 1, { filters = { young, named } })
    local rows = uses("index over properties.age of entity, in order", 3, { order_by = "properties.age", descending = true, limit = 3 })
    assert.same({ "e200", "e199", "e198" }, { rows[1].id, rows[2].id, rows[3].id })
    uses("no row can match", 0, { filters = { { field = "entity_type", operator = "Equals", value = 5 } } })
    uses("index entity_type of entity, 2 ranges", 200, { filters = { { field = "entity_type", operator = "In", value = { "T", "U" } } } })
    uses("index created_at of entity, in order", 2, { order_by = "created_at", limit = 2 })
    uses("scan of entity", 1, { filters = { { field = "properties.other", operator = "Equals", value = iu.null } }, limit = 1 })
  end)

  it("refuses what has no order, has an index, or is not there", function()
    local m = support.open()
    for _, case in ipairs {
      { "tags", "arrays" }, { "properties", "name a path" }, { "entity_type", "already" }, { "id", "already" }, { "nam", "name" }, { "", "empty" },
    } do
      assert.matches(case[2], support.refused("ValidationError", m:create_index("entity", case[1])).message, 1, true)
    end
    assert.matches("event_log", support.refused("ValidationError", m:create_index("event_log", "data.x")).message)
    support.refused("ValidationError", m:create_index("entity", "properties." .. ("x"):rep(300)))
    support.refused("ValidationError", m:drop_index("entity", "properties.never"))
    assert.has_error(function() m:create_index("entity") end)
    assert.same({}, m:indexes())
    for i = 1, 64 do assert(m:create_index("relation", "properties.p" .. i)) end
    assert.matches("64", support.refused("OverloadedError", m:create_index("relation", "strength")).message)
  end)

  it("is one by any spelling, is listed, and goes when it is dropped", function()
    local m, conn = support.open_both()
    assert(m:create_entity("T", { properties = { age = 1 } }))
    assert(m:create_index("entity", "properties.age"))
    assert(m:create_index("entity", "metadata.properties.age"))
    assert(m:create_index("relation", "strength"))
    local list = m:indexes()
    assert.equal(2, #list)
    assert.equal("entity properties.age 1 ready", ("%s %s %d %s"):format(list[1].table, list[1].path, list[1].entries, list[1].state))
    assert.is_true(list[1].bytes > 0)
    assert(m:create_entity("T", { properties = { age = ("x"):rep(2000) } }))
    assert.equal("unordered", m:indexes()[1].state)
    assert(m:drop_index("entity", "metadata.properties.age"))
    assert.equal(1, #m:indexes())
    local records = assert(conn:select("plugin_record"))
    assert.equal(1, #records)
    assert.matches("relation:strength", records[1].key, 1, true)
    support.refused("AuthorizationError", support.session(conn):create_index("entity", "properties.age"))
  end)

  it("comes back when the universe is opened again", function()
    if not support.keeps then return end
    local m = support.open()
    for i = 1, 20 do assert(m:create_entity("T", { properties = { age = i } })) end
    assert(m:create_index("entity", "properties.age"))
    assert(m:create_index("relation", "description"))
    assert(m:drop_index("relation", "description"))
    m = support.reopen(m)
    local list = m:indexes()
    assert.equal(1, #list)
    assert.equal(20, list[1].entries)
    local three = { filters = { { field = "properties.age", operator = "Equals", value = 3 } } }
    assert.matches("index over properties.age", m:explain_entities(three), 1, true)
    assert(m:drop_index("entity", "properties.age"))
    m = support.reopen(m)
    assert.same({}, m:indexes())
  end)

  local VALUES = {
    1, 2, 2.0, 2.5, -1, 0, 3, 4, 5, 9007199254740993, 9007199254740992.0, math.mininteger, 1e300, "a", "ab", "b", "", "a\0b", ("q"):rep(1500),
    true, false, iu.null,
    iu.array {}, iu.array { 1 }, iu.object { x = 1 },
  }
  local OPERATORS = {
    "Equals", "NotEquals", "GreaterThan", "LessThan", "GreaterOrEqual", "LessOrEqual", "In", "NotIn", "StartsWith", "Contains",
  }

  it("changes no answer: the same questions to a universe with indexes and one without, through aborts and sessions", function()
    local seed = tonumber(os.getenv("IU_TEST_SEED")) or os.time()
    print(("indexes: IU_TEST_SEED=%d"):format(seed))
    math.randomseed(seed)
    local with, conn = support.open_both()
    local without = support.open()
    local other = support.session(conn)
    for _, path in ipairs { "properties.v", "properties.w.x", "name", "updated_at" } do assert(with:create_index("entity", path)) end
    local function pick(list) return list[math.random(#list)] end
    local function metadata()
      local properties = {}
      if math.random(6) > 1 then properties.v = math.random(2) == 1 and math.random(10) or pick(VALUES) end
      if math.random(3) == 1 then properties.w = { x = pick(VALUES) } end
      return { name = math.random(3) > 1 and pick { "a", "ab", "b" } or nil, properties = properties }
    end
    local function write()
      local id, data, kind = ("e%03d"):format(math.random(120)), metadata(), pick { "A", "B" }
      local choice = math.random(8)
      if choice == 1 then
        local function undone(tx)
          tx:create_entity("A", data)
          tx:update_entity(id, data)
          error("undone")
        end
        with:transaction(undone)
        without:transaction(undone)
        with:create_entity("", data) -- refused by the module, after it began
        without:create_entity("", data)
      elseif choice == 2 then
        with:delete_entity(id, { cascade = true })
        without:delete_entity(id, { cascade = true })
      elseif choice == 3 then
        local encoded = { name = data.name, tags = {}, properties = assert(iu.json.encode(iu.object(data.properties))) }
        other:call("create_entity", kind, encoded, id)
        without:create_entity(kind, data, id)
      elseif choice == 4 then
        local function several(tx)
          for i = 1, 5 do
            if not tx:get_entity("t" .. i) then tx:create_entity(kind, data, "t" .. i) else tx:delete_entity("t" .. i) end
          end
        end
        assert(with:transaction(several))
        assert(without:transaction(several))
      elseif choice <= 6 then
        with:update_entity(id, data)
        without:update_entity(id, data)
      else
        with:create_entity(kind, data, id)
        without:create_entity(kind, data, id)
      end
    end
    local function filter()
      local operator, value = pick(OPERATORS), math.random(2) == 1 and math.random(10) or pick(VALUES)
      if operator == "In" or operator == "NotIn" then
        value = iu.array {}
        for i = 1, math.random(4) do value[i] = pick(VALUES) end
      elseif operator == "StartsWith" then
        value = pick { "", "a", "q", "ab", ("q"):rep(1200) }
      end
      return { field = pick { "properties.v", "properties.v", "properties.w.x", "name", "entity_type" }, operator = operator, value = value }
    end
    local function ids(m, spec)
      local rows, matched = m:query_entities(spec)
      assert(rows, matched)
      local out = {}
      for i, row in ipairs(rows) do out[i] = row.id end
      return table.concat(out, " "), matched
    end
    for round = 1, 4000 do
      write()
      local spec = { filters = {} }
      for i = 1, math.random(0, 2) do spec.filters[i] = filter() end
      if math.random(2) == 1 then spec.order_by = pick { "properties.v", "properties.w.x", "name", "entity_type", "id" } end
      if spec.order_by then spec.descending = math.random(2) == 1 end
      if math.random(3) > 1 then spec.limit, spec.offset = math.random(0, 9), math.random(3) == 1 and math.random(5) or nil end
      local a, matched_a = ids(with, spec)
      local b, matched_b = ids(without, spec)
      if a ~= b then error(("round %d: %s\n  with: %s\n  without: %s\n  %s"):format(round, iu.json.encode(spec), a, b, with:explain_entities(spec))) end
      if matched_a and matched_b then assert.equal(matched_b, matched_a) end
    end
    for _, index in ipairs(with:indexes()) do assert.not_equal("broken", index.state) end
  end)
end)
