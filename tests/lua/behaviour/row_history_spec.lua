-- Rows as they were: manager:as_of and manager:history, what is recorded, what is kept.

local iu = require "inner_universe"
local support = require "support"

local BOTH = { "entity", "relation" }

describe("row history", function()
  after_each(support.clean)

  -- A server keeps its own switch; the tests are its owner.
  local function switch(m, value)
    assert(m.client:connection():call("update_config", "enable_row_history", value, "by a test"))
  end

  local function open(config)
    config = config or {}
    config.history = config.history or BOTH
    local m = support.open(config)
    if support.on_server then switch(m, table.concat(config.history, ",")) end
    return m
  end

  -- A time after everything so far and before everything that follows.
  local function moment()
    local start = iu.now()
    while iu.now() <= start do end
    local time = iu.now()
    while iu.now() <= time do end
    return time
  end

  local function names(rows)
    local out = {}
    for i, row in ipairs(rows) do out[i] = row.id end
    return table.concat(out, " ")
  end

  local function json(value) return assert(iu.json.canonical(value)) end

  it("gives entities and relations as they were", function()
    local m = open()
    local before = moment()
    assert(m:create_entity("Person", { name = "Ada", properties = { age = 36, f = 1.0 } }, "ada"))
    assert(m:create_entity("Person", { name = "Bob" }, "bob"))
    assert(m:create_relation("ada", "bob", "KNOWS", { strength = 0.5 }, "r"))
    local ada, r = m:get_entity("ada"), m:get_relation("r")
    local first = moment()
    assert(m:update_entity("ada", { name = "Ada L.", properties = { age = 37 } }))
    assert(m:update_relation("r", { strength = 0.9 }))
    local second = moment()
    assert(m:delete_entity("ada", { cascade = true }))
    assert(m:create_entity("Robot", nil, "ada"))
    moment()

    local view = assert(m:as_of(first))
    assert.equal(first, view.time)
    assert.same(ada, view:get_entity("ada"))
    assert.equal("float", math.type(view:get_entity("ada").metadata.properties.f))
    assert.same(r, view:get_relation("r"))
    assert.equal("ada bob", names(view:query_entities()))
    assert.same({ { id = "bob", depth = 1, relation = "r", from = "ada" } }, view:neighbors("ada"))
    assert.equal(1, view:path("ada", "bob").length)

    view = assert(m:as_of(second))
    assert.equal("Ada L.", view:get_entity("ada").metadata.name)
    assert.equal(0.9, view:get_relation("r").metadata.strength)
    assert.equal("r", names(view:query_relations { filters = { { field = "strength", operator = "GreaterThan", value = 0.8 } } }))
    assert.equal("", names(m:as_of(first):query_relations { filters = { { field = "strength", operator = "GreaterThan", value = 0.8 } } }))

    view = assert(m:as_of(before))
    support.refused("EntityNotFoundError", nil, select(2, view:get_entity("ada")))
    support.refused("RelationNotFoundError", nil, select(2, view:get_relation("r")))
    support.refused("EntityNotFoundError", nil, select(2, view:neighbors("ada")))
    assert.same({}, view:query_entities())

    view = assert(m:as_of(iu.now()))
    assert.equal("Robot", view:get_entity("ada").entity_type)
    assert.same({}, view:query_relations())
  end)

  it("filters, orders and pages as a query does", function()
    local m = open()
    for i = 1, 9 do assert(m:create_entity("N", { name = "n" .. i, properties = { n = i } }, "id" .. i)) end
    local time = moment()
    local spec = {
      entity_type = "N", filters = { { field = "properties.n", operator = "GreaterThan", value = 2 } }, order_by = "properties.n", descending = true, limit = 3,
      offset = 1,
    }
    local page, matched = m:query_entities(spec)
    for i = 1, 9 do assert(m:update_entity("id" .. i, { properties = { n = -i } })) end
    assert(m:delete_entity("id7"))
    assert(m:create_entity("N", { properties = { n = 100 } }, "new"))
    local view = assert(m:as_of(time))
    local rows, count = view:query_entities(spec)
    assert.equal("id8 id7 id6", names(rows))
    assert.same(page, rows)
    assert.equal(7, count)
    assert.is_true(matched == nil or matched == count)
    support.refused("ValidationError", nil, select(2, view:query_entities { typ = "N" }), "unknown key")
    support.refused("ValidationError", nil, select(2, view:query_entities { explain = true }), "explain")
  end)

  it("a view stays what it was, whatever is changed afterwards", function()
    local m = open()
    assert(m:create_entity("N", { name = "1" }, "a"))
    local view = assert(m:as_of(moment()))
    assert.equal("1", view:query_entities()[1].metadata.name)
    for i = 2, 5 do
      assert(m:update_entity("a", { name = tostring(i) }))
      assert(m:create_entity("N", nil, "b" .. i))
      assert.equal("1", view:query_entities()[1].metadata.name)
      assert.equal("1", view:get_entity("a").metadata.name)
      assert.equal("a", names(view:query_entities()))
    end
    support.raises_here(function() view.time = 1 end, "read-only")
  end)

  it("takes a version, a branch or a tag for a time", function()
    local m = open()
    assert(m:create_entity("N", { name = "old" }, "a"))
    local version = assert(m:commit_version({ n = 1 }))
    assert(m.temporal_store:tag("v1", version))
    moment()
    assert(m:update_entity("a", { name = "new" }))
    for _, ref in ipairs { version, "main", "v1" } do
      local view = assert(m:as_of(ref))
      assert.equal(version, view.version_id)
      assert.equal(m.temporal_store:get_version(version).timestamp, view.time)
      assert.equal("old", view:get_entity("a").metadata.name)
    end
    support.refused("VersionNotFoundError", nil, select(2, m:as_of("nothing")), "nothing")
    support.raises_here(function() m:as_of(1.5) end, "integer or string expected")
  end)

  it("lists a row's changes with who, when, and the row before and after", function()
    local m = open()
    local who = m.client:connection():identity()
    assert(m:create_entity("N", { name = "1" }, "a"))
    local created = m:get_entity("a")
    assert(m:update_entity("a", { name = "2" }))
    local changed = m:get_entity("a")
    local list = assert(m:history("a"))
    assert.equal(2, #list)
    assert.equal("update", list[1].change)
    assert.same(created, list[1].before)
    assert.same(changed, list[1].after)
    assert.equal(changed.updated_at, list[1].timestamp)
    assert.equal(who, list[1].actor)
    assert.equal("insert", list[2].change)
    assert.is_nil(list[2].before)
    assert.same(created, list[2].after)

    assert(m:create_entity("N", nil, "b"))
    assert(m:create_relation("a", "b", "R", nil, "a")) -- a relation may have an entity's id
    assert(m:delete_entity("a", { cascade = true }))
    list = assert(m:history("a"))
    local words = {}
    for i, entry in ipairs(list) do words[i] = entry.table .. " " .. entry.change end
    assert.equal("entity delete, relation delete, relation insert, entity update, entity insert", table.concat(words, ", "))
    assert.is_nil(list[1].after)
    assert.same(changed, list[1].before)
    assert.equal(2, #assert(m:history("a", { table = "relation" })))
    local last = assert(m:history("a", { limit = 2 }))
    assert.same({ list[1], list[2] }, last)
    support.refused("EntityNotFoundError", nil, select(2, m:history("nobody")))
    support.refused("RelationNotFoundError", nil, select(2, m:history("b", { table = "relation" })))
    support.refused("ValidationError", nil, select(2, m:history("a", { table = "event" })), "entity or relation", "event")
    support.refused("ValidationError", nil, select(2, m:history("a", { limit = 0 })), "limit")
  end)

  it("says who made a change", function()
    if support.on_server then return end -- a server's other identities are its own to make
    local m = open()
    assert(m:create_entity("N", nil, "a"))
    local other = support.session(m.client:connection(), ("ab"):rep(32))
    assert(other:call("update_entity", "a", { tags = {}, properties = "{}" }))
    assert.equal(("ab"):rep(32), assert(m:history("a"))[1].actor)
    assert(other:close())
  end)

  it("is off without the configuration, and says so", function()
    local m = support.open()
    assert(m:create_entity("N", nil, "a"))
    support.refused("ValidationError", nil, select(2, m:as_of(iu.now())), "row history is off for `entity`", 'history = { "entity" }')
    support.refused("ValidationError", nil, select(2, m:history("a")), "row history is off for `entity`")
    local status = m:status().history
    assert.is_false(status.enabled)
    assert.equal(0, status.count)
    assert.equal(0, #support.rows(m, "row_history"))
  end)

  it("records the tables that are named", function()
    local m = open { history = { "entity" } }
    assert(m:create_entity("N", nil, "a"))
    assert(m:create_relation("a", "a", "R", nil, "r"))
    local view = assert(m:as_of(moment()))
    assert.equal("N", view:get_entity("a").entity_type)
    support.refused("ValidationError", nil, select(2, view:get_relation("r")), "row history is off for `relation`")
    support.refused("ValidationError", nil, select(2, view:neighbors("a")), "row history is off for `relation`")
    support.refused("ValidationError", nil, select(2, m:history("r")), "row history is off for `relation`")
    assert.equal(1, #assert(m:history("a")))
    assert.same({ "entity" }, m:status().history.tables)
  end)

  it("refuses times before what is recorded, also where it was off in between", function()
    local m = support.open { history = support.on_server and BOTH or {} }
    assert(m:create_entity("N", { name = "1" }, "a"))
    local early = moment()
    switch(m, "entity")
    assert(m:update_entity("a", { name = "2" }))
    local good = moment()
    support.refused("ValidationError", nil, select(2, m:as_of(early)), tostring(early), "before the recorded history of `entity`, which begins at")
    assert.equal("2", assert(m:as_of(good)):get_entity("a").metadata.name)
    local view = m:as_of(good)
    switch(m, "false")
    assert(m:update_entity("a", { name = "3" }))
    moment()
    switch(m, "entity")
    assert(m:update_entity("a", { name = "4" }))
    support.refused("ValidationError", nil, select(2, m:as_of(good)), "before the recorded history")
    support.refused("ValidationError", nil, select(2, view:get_entity("a")), "before the recorded history")
    support.refused("ValidationError", nil, select(2, view:query_entities()), "before the recorded history")
    local list = assert(m:history("a"))
    assert.equal(1, #list)
    assert.equal("3", list[1].before.metadata.name)
    assert.equal("4", list[1].after.metadata.name)
  end)

  it("is kept within its limits", function()
    local m = open { history_max_rows = 100 }
    assert(m:create_entity("N", { name = "0" }, "a"))
    local early = moment()
    local late
    for i = 1, 600 do
      local by = i % 2 == 0 and m or m.client -- writes of both count
      assert(by:update_entity("a", { name = tostring(i) }))
      if i == 590 then late = moment() end
    end
    local status = m:status().history
    assert.is_true(status.count >= 100 and status.count <= 100 + 256, "kept " .. status.count)
    assert.same({ keep_days = 30, max_rows = 100, max_bytes = 64 << 20 }, status.limits)
    assert.is_true(status.oldest > early and status.oldest < late)
    assert.equal(status.count, #support.rows(m, "row_history"))
    support.refused("ValidationError", nil, select(2, m:as_of(early)), "pruned")
    assert.equal("590", assert(m:as_of(late)):get_entity("a").metadata.name)
    assert.equal(status.count, #assert(m:history("a")))
    if not support.keeps then return end
    m = support.reopen(m, { history = BOTH, history_max_rows = 10 })
    assert.equal(10, m:status().history.count)
    assert.equal("600", assert(m:as_of(iu.now())):get_entity("a").metadata.name)
  end)

  it("keeps at most so many bytes", function()
    local m = open { history_max_bytes = 20000 }
    assert(m:create_entity("N", { description = ("x"):rep(1000) }, "a"))
    for i = 1, 300 do assert(m:update_entity("a", { description = ("x"):rep(1000), name = tostring(i) })) end
    local status = m:status().history
    assert.is_true(status.bytes < 20000 + 256 * 1400, "kept " .. status.bytes)
    assert.is_true(status.count < 300)
  end)

  it("goes on over reopening, with the key or without it, until it is switched off", function()
    if not support.on_file then return end
    local m = open()
    assert(m:create_entity("N", { name = "1" }, "a"))
    local time = moment()
    m = support.reopen(m)
    assert(m:update_entity("a", { name = "2" }))
    m = support.reopen(m, { history = { "relation", "entity" } })
    assert(m:update_entity("a", { name = "3" }))
    assert.equal("1", assert(m:as_of(time)):get_entity("a").metadata.name)
    assert.equal(3, #assert(m:history("a")))
    m = support.reopen(m, { history = {} })
    assert.is_false(m:status().history.enabled)
    assert(m:update_entity("a", { name = "4" }))
    assert.equal(3, m:status().history.count)
  end)

  it("a server's own switch holds, and the log says so", function()
    if not support.on_server then return end
    local lines = {}
    local previous = iu.log.set_sink(function(_, message) lines[#lines + 1] = message end)
    local m = support.open { history = BOTH }
    iu.log.set_sink(previous)
    assert.is_truthy(table.concat(lines, "\n"):find("history: the server's config says false", 1, true))
    assert.is_false(m:status().history.enabled)
  end)

  it("what is no list of tables is refused", function()
    for _, wrong in ipairs { { "event_log" }, { "entity", 1 }, { entity = true }, "entity" } do
      local m, err = iu.open("memory:", { history = wrong })
      support.refused("ValidationError", m, err, "history")
    end
    local cfg = assert(iu.config({}, { env = { INNER_UNIVERSE_HISTORY = "relation, entity" } }))
    assert.same(BOTH, cfg.history)
    assert.same({}, assert(iu.config({ history = BOTH }, { env = { INNER_UNIVERSE_HISTORY = "none" } })).history)
    local _, err = iu.config({}, { env = { INNER_UNIVERSE_HISTORY = "entiti" } })
    support.refused("ValidationError", nil, err, "INNER_UNIVERSE_HISTORY", "entiti", "did you mean 'entity'")
  end)

  it("a view of a closed universe raises at its caller's line", function()
    local m = open()
    local view = assert(m:as_of(iu.now()))
    assert(m:shutdown())
    support.raises_here(function() view:get_entity("a") end, "closed")
    support.raises_here(function() m:history("a") end, "closed")
  end)

  -- ---- at random ----

  it("answers at any time what was answered then", function()
    local seed = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
    print(("row_history: IU_TEST_SEED=%d"):format(seed))
    math.randomseed(seed)
    local m = open()
    local steps = support.on_server and 60 or 400
    local entities, relations, numbers = {}, {}, 0
    local function pick(list) return list[math.random(math.max(#list, 1))] end
    local function metadata() return { name = "n" .. math.random(5), tags = { "t" .. math.random(3) }, properties = { n = math.random(20), f = 1.5 } } end
    local function new_id()
      numbers = numbers + 1
      return ("i%02d"):format(math.random(2) == 1 and math.random(20) or numbers) -- ids come back
    end

    local actions = {
      function(on) on:create_entity("T" .. math.random(2), metadata(), new_id()) end,
      function(on) on:create_entity("T" .. math.random(2), metadata(), new_id()) end,
      function(on) if pick(entities) then on:update_entity(pick(entities), metadata()) end end,
      function(on) if pick(entities) then on:update_entity(pick(entities), metadata()) end end,
      function(on) if pick(entities) then on:delete_entity(pick(entities), { cascade = true }) end end,
      function(on)
        if pick(entities) then on:create_relation(pick(entities), pick(entities), "R" .. math.random(2), { bidirectional = math.random(3) == 1 }, new_id()) end
      end,
      function(on)
        if pick(entities) then on:create_relation(pick(entities), pick(entities), "R" .. math.random(2), { strength = math.random() }, new_id()) end
      end,
      function(on) if pick(relations) then on:update_relation(pick(relations), { strength = math.random(), properties = { x = 1 } }) end end,
      function(on) if pick(relations) then on:delete_relation(pick(relations)) end end,
    }

    -- What a universe, or a view of it, answers.
    local function answers(of, record)
      return {
        entities = json(assert(of:query_entities())), relations = json(assert(of:query_relations())),
        page = json(assert(of:query_entities(record.spec))),
        neighbors = record.start and json(assert(of:neighbors(record.start, { direction = "both", depth = 3 }))) or "",
        one = json(of:get_entity(record.id) or "none"), relation = json(of:get_relation(record.id) or "none"),
      }
    end

    local records = {}
    local function compare(record, view)
      local now = answers(view or assert(m:as_of(record.time)), record)
      for key, was in pairs(record.answers) do
        assert.equal(was, now[key], ("seed %d, step %d, %s"):format(seed, record.step, key))
      end
    end

    for step = 1, steps do
      if math.random(6) == 1 then
        m:transaction(function(tx)
          for _ = 1, math.random(4) do actions[math.random(#actions)](tx) end
        end)
      else
        actions[math.random(#actions)](m)
      end
      entities, relations = {}, {}
      for i, row in ipairs(m:query_entities()) do entities[i] = row.id end
      for i, row in ipairs(m:query_relations()) do relations[i] = row.id end
      local record = {
        step = step, start = pick(entities), id = ("i%02d"):format(math.random(20)),
        spec = {
          filters = { { field = "properties.n", operator = "GreaterThan", value = math.random(20) } }, order_by = "metadata.properties.n",
          limit = math.random(5), descending = math.random(2) == 1,
        },
      }
      record.answers = answers(m, record)
      record.time = moment()
      if math.random(10) == 1 then record.view = assert(m:as_of(record.time)) end
      records[#records + 1] = record
      local old = records[math.random(#records)]
      compare(old, old.view)
    end
    for _ = 1, steps // 2 do compare(records[math.random(#records)]) end
    local changes = 0
    for _, row in ipairs(support.rows(m, "row_history")) do changes = changes + (row.table_name == "entity" and 1 or 0) end
    local listed = 0
    for i = 1, numbers + 20 do
      local list = m:history(("i%02d"):format(i), { table = "entity" }) or {}
      listed = listed + #list
      for j = 2, #list do assert.equal(json(list[j].after or "none"), json(list[j - 1].before or "none")) end
    end
    assert.equal(changes, listed)
  end)
end)
