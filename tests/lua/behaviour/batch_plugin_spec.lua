-- The batch plugin: writes of many tasks in few transactions, each with its own answer, the order of one entity's writes, bounds, hooks, the end.

local iu = require "inner_universe"
local support = require "support"

local function open(config, more)
  local settings = { plugins = { batch = config or true } }
  for key, value in pairs(more or {}) do settings[key] = value end
  local m = support.open(settings)
  return m, m.batch
end

-- What fn(i) answers for 1 to count, each called in a task of its own: { value, err }.
local function together(count, fn)
  local answers = {}
  iu.run(function()
    for i = 1, count do
      iu.spawn(function() answers[i] = table.pack(fn(i)) end)
    end
  end)
  return answers
end

local FULL = { durability = not support.on_server and "full" or nil } -- batches fly until the disk has them

describe("batch", function()
  after_each(support.clean)

  it("writes of many tasks go in few transactions, and each has its own answer", function()
    local m, batch = open()
    local answers = together(120, function(i) return batch:create_entity("T", { name = "n" .. i, properties = { i = i } }, i % 2 == 0 and "e" .. i or nil) end)
    local rows = assert(m:query_entities({}))
    assert.equal(120, #rows)
    for i = 1, 120 do
      local e = assert(m:get_entity(answers[i][1]))
      assert.same({ "n" .. i, i }, { e.metadata.name, e.metadata.properties.i })
      if i % 2 == 0 then assert.equal("e" .. i, answers[i][1]) end
    end
    local numbers = batch:statistics()
    assert.same({ 120, 120, 0, 3, 3, 50 },
      { numbers.members, numbers.applied, numbers.refused, numbers.batches, numbers.transacts, numbers.largest })
    assert.same({ 2, 1 }, { numbers.by_size, numbers.by_time })
    assert.same({ 0, 0 }, { numbers.waiting, numbers.in_flight })
    local ok, facts = batch:health()
    assert.is_true(ok)
    assert.equal(120, facts.applied)
    assert.equal(120, #m:query_entities({ entity_type = "T" }))
    assert.equal(3, #(support.on_server and { 1, 2, 3 } or m.client:query("SELECT * FROM applied_request")), "a key each")
  end)

  it("every write of the manager is there", function()
    local m, batch = open { max_wait_ms = 1 }
    local a, b = assert(batch:create_entity("T")), assert(batch:create_entity("T", { name = "b" }, "b"))
    assert.is_true(batch:update_entity(a, { name = "new", tags = { "x" } }))
    local r = assert(batch:create_relation(a, b, "R", { strength = 0.5 }))
    assert.is_true(batch:update_relation(r, { strength = 2 }))
    local event = assert(batch:publish_event("E", { x = 1.0 }, "test"))
    assert.equal("new", m:get_entity(a).metadata.name)
    support.exactly(2.0, m:get_relation(r).metadata.strength)
    support.exactly({ x = 1.0 }, m.client:get_event(event).data)
    support.refused("ConflictError", nil, select(2, batch:delete_entity(a)), "relations")
    assert.is_true(batch:delete_relation(r))
    assert.is_true(batch:delete_entity(a))
    assert.is_true(batch:delete_entity(b, { cascade = true }))
    assert.equal(0, #m:query_entities({}))
  end)

  it("in plain code a write is sent at once", function()
    local _, batch = open { max_wait_ms = 3600000 }
    for i = 1, 3 do assert(batch:create_entity("T", nil, "e" .. i)) end
    assert.same({ 3, 3 }, { batch:statistics().batches, batch:statistics().by_flush })
  end)

  it("one bad member does not fail the others, and gets what its own call would have said", function()
    local m, batch = open { max_wait_ms = 1 }
    assert(m:create_entity("T", nil, "taken"))
    local long, bad_bytes = ("x"):rep(300), "\xff"
    local document = iu.json.document('{"x":1}')
    local calls = {
      [3] = { "create_entity", "T", nil, "taken" }, [7] = { "update_entity", "nobody", {} }, [8] = { "create_entity", "" },
      [11] = { "create_relation", "taken", "nobody", "R" }, [12] = { "create_entity", "T", { nme = "x" } }, [13] = { "create_entity", "T", { name = 5 } },
      [20] = { "create_entity", "T", nil, long }, [21] = { "publish_event", "E", { bad_bytes } }, [22] = { "create_entity", "T", { properties = { 1 } } },
      [23] = { "delete_relation", "nothing" },
      [24] = { "create_entity", "T", { properties = { x = 0 / 0 } } }, [25] = { "delete_entity", "e1", { casc = true } },
    }
    local answers = together(30, function(i)
      local call = calls[i]
      if call then return batch[call[1]](batch, table.unpack(call, 2, 5)) end
      return batch:create_entity("T", { properties = i == 4 and document or {} }, "e" .. i)
    end)
    for i = 1, 30 do
      local call = calls[i]
      if call then
        local _, expected = m[call[1]](m, table.unpack(call, 2, 5))
        local err = support.refused(expected.kind, answers[i][1], answers[i][2])
        assert.same({ expected.message, expected.code, expected.retryable }, { err.message, err.code, err.retryable })
      else
        assert.equal("e" .. i, answers[i][1])
        assert(m:get_entity("e" .. i))
      end
    end
    assert.equal(30 - 12 + 1, #m:query_entities({}))
    assert.is_true(batch:statistics().split > 0)
  end)

  it("wrong types raise at the caller's line", function()
    local m, batch = open()
    support.raises_here(function() batch:create_entity(nil) end, "create_entity", "entity_type")
    support.raises_here(function() batch:create_entity("T", 5) end, "metadata")
    support.raises_here(function() batch:create_entity("T", nil, 5) end, "id")
    support.raises_here(function() batch:update_entity("x") end, "metadata")
    support.raises_here(function() batch:delete_entity("x", true) end, "options")
    support.raises_here(function() batch:create_relation("a", "b", nil) end, "relation_type")
    support.raises_here(function() batch:publish_event("E", {}, 5) end, "source")
    support.raises_here(function() batch:flush("x") end, "timeout")
    support.refused("ValidationError", nil, select(2, batch:flush(0 / 0)), "flush: timeout")
    m.hooks.before("create_entity", function() end)
    support.raises_here(function() batch:create_entity(nil) end, "create_entity", "entity_type")
    assert.equal(0, #m:query_entities({}))
    assert.equal(0, batch:statistics().members)
  end)

  it("the order of one entity's writes is that of the calls", function()
    local m, batch = open { max_batch_size = 7, max_wait_ms = 1, in_flight_max = 4 }
    math.randomseed(5)
    local wanted = {}
    local answers = together(200, function(i)
      local id = "e" .. i % 5
      if i <= 5 then return batch:create_entity("T", { name = "0" }, id) end
      if i % 13 == 0 then return batch:update_entity("nobody", {}) end -- batches are split
      wanted[id] = i
      return batch:update_entity(id, { name = tostring(i) })
    end)
    for i = 1, 200 do
      if i <= 5 or i % 13 ~= 0 then assert(answers[i][1], answers[i][2]) end
    end
    for id, i in pairs(wanted) do assert.equal(tostring(i), m:get_entity(id).metadata.name) end
    local last = {}
    local rows = assert(m.client:query("SELECT * FROM event_log WHERE event_type = 'ENTITY_UPDATED'"))
    table.sort(rows, function(x, y) return x.sequence < y.sequence end)
    for _, row in ipairs(rows) do
      local n = tonumber(assert(iu.json.decode(row.data)).new_metadata.name)
      assert.is_true(n > (last[row.source] or 0), "out of order")
      last[row.source] = n
    end
    assert.equal(200 - 5 - 15, #rows)
  end)

  it("a delete comes after what it deletes was made, and before what is made anew", function()
    local m, batch = open { max_batch_size = 2, max_wait_ms = 1 }
    local log = {}
    iu.run(function()
      local function go(method, ...)
        local args = table.pack(...)
        iu.spawn(function()
          local answer = assert(batch[method](batch, table.unpack(args, 1, args.n)))
          log[#log + 1] = answer
        end)
      end
      go("create_entity", "T", nil, "a")
      go("create_entity", "T", nil, "b")
      go("create_relation", "a", "b", "R", nil, "r")
      go("create_entity", "T", nil, "c")
      go("delete_entity", "a", { cascade = true })
      go("create_entity", "U", nil, "a")
      go("publish_event", "E")
      go("update_entity", "a", { name = "again" })
    end)
    assert.equal(8, #log)
    assert.same({ "U", "again" }, { m:get_entity("a").entity_type, m:get_entity("a").metadata.name })
    assert.equal(0, #m:query_relations({}))
  end)

  it("many at once are bounded: the others wait for room, in turn", function()
    local _, batch = open({ queue_max = 10, max_batch_size = 4, max_wait_ms = 1 }, FULL)
    local most, order = 0, {}
    local answers = together(100, function(i)
      local id, err = batch:create_entity("T", nil, "e" .. i)
      most = math.max(most, batch:statistics().waiting)
      order[#order + 1] = i
      return id, err
    end)
    for i = 1, 100 do assert.equal("e" .. i, answers[i][1]) end
    assert.is_true(most <= 10)
    assert.is_true(batch:statistics().waited_for_room >= (support.keeps and 90 or 0)) -- in memory a batch is there before the next write comes
    for i, n in ipairs(support.keeps and order or {}) do assert.is_true(math.abs(n - i) <= 10, "not in turn") end
  end)

  it("or are refused, where the configuration says so", function()
    if not support.keeps then return end -- in memory a batch is there before the next write comes
    local m, batch = open({ queue_max = 10, max_batch_size = 100, max_wait_ms = 20, when_full = "refuse" }, FULL)
    local answers = together(25, function(i) return batch:create_entity("T", nil, "e" .. i) end)
    local refused = 0
    for i = 1, 25 do
      if not answers[i][1] then
        assert.is_true(support.refused("OverloadedError", nil, answers[i][2], "queue_max").retryable)
        refused = refused + 1
      end
    end
    assert.equal(15, refused)
    assert.equal(10, #m:query_entities({}))
    assert.equal(15, batch:statistics().overloaded)
  end)

  it("those who wait for room do not wait for ever where batches are larger than the queue", function()
    local m, batch = open { queue_max = 3, max_batch_size = 100, max_wait_ms = 3600000 }
    together(21, function(i) return assert(batch:create_entity("T", nil, "e" .. i)) end)
    assert.equal(21, #m:query_entities({}))
    assert.equal(7, batch:statistics().by_size)
  end)

  it("those who are cancelled while they wait take no room", function()
    local _, batch = open { queue_max = 2, max_batch_size = 2, max_wait_ms = 1 }
    local done = 0
    iu.run(function()
      local tasks = {}
      for i = 1, 40 do
        tasks[i] = iu.spawn(function()
          if batch:create_entity("T", nil, "e" .. i) then done = done + 1 end
        end)
      end
      iu.sleep(0)
      for i = 2, 40, 3 do tasks[i]:cancel() end
    end)
    assert.is_true(done >= 26)
    assert.same({ 0, 0 }, { batch:statistics().waiting, batch:statistics().in_flight })
    assert.equal("last", batch:create_entity("T", nil, "last"))
  end)

  it("flush sends what is gathered and waits for it", function()
    local m, batch = open { max_wait_ms = 3600000 }
    iu.run(function()
      for i = 1, 5 do iu.spawn(function() assert(batch:create_entity("T", nil, "e" .. i)) end) end
      iu.sleep(0)
      iu.sleep(0)
      assert.equal(5, batch:statistics().waiting)
      assert.is_true(batch:flush(10))
      assert.equal(0, batch:statistics().waiting)
      assert.equal(5, #m:query_entities({}))
    end)
    assert.is_true(batch:flush())
  end)

  it("flush waits for those who wait for room, too, and for no time longer than it was told", function()
    local m, batch = open({ queue_max = 4, max_batch_size = 4, max_wait_ms = 3600000 }, FULL)
    iu.run(function()
      local done = 0
      for i = 1, 30 do
        iu.spawn(function()
          assert(batch:create_entity("T", nil, "e" .. i))
          done = done + 1
        end)
      end
      iu.sleep(0)
      iu.sleep(0)
      if support.keeps then support.refused("TimeoutError", nil, select(2, batch:flush(1e-9))) end
      assert.is_true(batch:flush(20))
      assert.equal(30, #m:query_entities({}))
      assert.is_true(batch:flush(20))
      assert.equal(30, batch:statistics().applied)
      iu.sleep(0)
      assert.equal(30, done)
    end)
  end)

  it("at shutdown what is gathered is written first", function()
    local m, batch = open { max_wait_ms = 3600000 }
    local target = support.target_of(m)
    local answers = {}
    iu.run(function()
      for i = 1, 5 do iu.spawn(function() answers[i] = table.pack(batch:create_entity("T", nil, "e" .. i)) end) end
      iu.sleep(0)
      iu.sleep(0)
      assert(m:shutdown())
    end)
    for i = 1, 5 do assert.equal("e" .. i, answers[i][1]) end
    support.raises_here(function() batch:create_entity("T") end, "closed")
    if not support.keeps then return end
    local again = support.open(nil, target) -- held: one that nobody holds is closed when it is collected, in the middle of its query, too
    assert.equal(5, #again:query_entities({}))
    assert(again:shutdown())
  end)

  it("hooks of the manager's methods run, and see who writes", function()
    local m, batch = open { max_wait_ms = 1 }
    local log = {}
    m.hooks.before("create_entity", function(call)
      log[#log + 1] = call.via
      if call.args[1] == "Forbidden" then return false, iu.errors.new("AuthorizationError", "not here") end
      call.args[2] = { name = "given by a hook" }
    end)
    m.hooks.after("create_entity", function(call) log[#log + 1] = "after " .. call.results[1] end)
    m.hooks.on_error("create_entity", function(call) log[#log + 1] = call.err.kind end)
    assert.equal("a", batch:create_entity("T", nil, "a"))
    assert.equal("given by a hook", m:get_entity("a").metadata.name)
    support.refused("AuthorizationError", nil, select(2, batch:create_entity("Forbidden")))
    support.refused("ConflictError", nil, select(2, batch:create_entity("T", nil, "a")))
    assert.same({ "batch", "after a", "batch", "AuthorizationError", "batch", "ConflictError" }, log)
  end)

  it("hooks between values and rows run once, and may wait", function()
    local m, batch = open { max_wait_ms = 1 }
    local log = {}
    m.hooks.around("rows.write", function(call, next)
      local kind, value, key, type_name, type_of = table.unpack(call.args, 1, 5)
      if kind == "event" then return { sealed = next() } end
      local what = type_name or type_of(kind, key)
      if type_name then iu.sleep(0.001) end
      log[#log + 1] = ("%s %s %s"):format(kind, what, key)
      if what == "Forbidden" then return nil, iu.errors.new("AuthorizationError", "not this") end
      value.description = "seen " .. (value.description or "")
      return next()
    end)
    local function go()
      assert.equal("a", batch:create_entity("T", { description = "x" }, "a"))
      assert(batch:update_entity("a", { name = "new" }))
      local r = assert(batch:create_relation("a", "a", "R", {}))
      support.refused("AuthorizationError", nil, select(2, batch:create_entity("Forbidden", {}, "f")))
      assert.equal("seen ", m:get_relation(r).metadata.description)
      assert.same({ "entity T a", "entity T a", "relation R " .. r, "entity Forbidden f" }, log)
      support.exactly({ sealed = { 1 } }, m.client:get_event(assert(batch:publish_event("E", { 1 }))).data)
    end
    iu.run(go)
    assert.equal("seen ", m:get_entity("a").metadata.description)
    local answers = together(30, function(i) return batch:create_entity("U", {}, "u" .. i) end)
    for i = 1, 30 do assert.equal("u" .. i, answers[i][1]) end
    for _, row in ipairs(m:query_entities({ entity_type = "U" })) do assert.equal("seen ", row.metadata.description) end
  end)

  it("a batch that is too large as a whole goes in parts", function()
    if support.on_server then return end -- minutes of copying
    local m, batch = open { max_batch_size = 6, max_wait_ms = 1 }
    local text = ("x"):rep(6 << 20)
    local answers = together(6, function(i) return batch:create_entity("T", { properties = { text = text } }, "e" .. i) end)
    for i = 1, 6 do assert.equal("e" .. i, answers[i][1], tostring(answers[i][2])) end
    assert.equal(6, #m:query_entities({ entity_type = "T" }))
    assert.is_true(batch:statistics().batches > 1)
  end)

  it("refuses a configuration that makes no sense", function()
    local wrong = { { max_batch_size = 0 }, { max_wait_ms = -1 }, { queue_max = 0 }, { when_full = "drop" }, { max_batch = 5 }, { in_flight_max = 0 } }
    for _, config in ipairs(wrong) do
      local m = support.open { plugins = { batch = config }, log_level = "off" }
      support.refused("PluginError", m:plugin("batch"))
    end
  end)

  it("leaves nothing behind when its callers are cancelled", function()
    local m, batch = open { max_wait_ms = 5 }
    iu.run(function()
      local task = iu.spawn(function() batch:create_entity("T", nil, "cancelled") end)
      iu.sleep(0)
      iu.sleep(0)
      task:cancel()
      assert.is_true(batch:flush())
    end)
    assert(m:get_entity("cancelled"), "it was taken, and is written")
    assert.equal(0, batch:statistics().waiting)
  end)
end)
