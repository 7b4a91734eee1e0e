-- The bus beyond one handler a type: patterns, filters, bounded queues with a policy, request and reply, draining at the end.

local iu = require "inner_universe"
local support = require "support"

describe("the event bus", function()
  local m, bus, heard
  local function fresh(config)
    m = support.open { plugins = { event_bus = config } }
    bus = m.event_bus
    heard = {}
  end
  before_each(function() fresh() end)
  after_each(support.clean)

  local function note(message) heard[#heard + 1] = message.type .. (message.data.n or "") end
  local function publish(event_type, from, to)
    for n = from, to or from do assert(bus:publish(event_type, { n = n })) end
  end
  local function await(count) support.wait_until(function() return #heard >= count end) end

  describe("has topic patterns, in which", function()
    -- by pattern: types that match, and types that do not
    local CASES = {
      { "USER_*", { "USER_", "USER_NEW", "USER_*" }, { "USER", "user_NEW", "A_USER_NEW" } },
      { "*_DONE", { "_DONE", "JOB_DONE", "X_DONE_DONE" }, { "DONE", "JOB_DONE_" } },
      { "a*b*c", { "abc", "aXbYc", "abbcc", "abcbc" }, { "acb", "ab", "aXbYcZ", "Xabc" } },
      { "*mid*", { "mid", "amidst", "amid" }, { "mi", "m_id" } },
      { "a*a", { "aa", "aba" }, { "a", "b" } },
      { "**", { "any", "*" }, {} },
      { "plain", { "plain" }, { "plai", "plainer" } },
      { "%d+.*", { "%d+.x" }, { "12.x", "%d+" } },
    }

    it("stars stand for anything, all else for itself", function()
      for _, case in ipairs(CASES) do
        local got = {}
        local handle = assert(bus:register_handler(case[1], function(message) got[#got + 1] = message.type end))
        for _, list in ipairs { case[2], case[3] } do
          for _, event_type in ipairs(list) do assert(bus:publish(event_type)) end
        end
        support.settle(m.client:connection())
        assert.same(case[2], got, case[1])
        handle:cancel()
      end
    end)

    it("an exact handler comes before the patterns', which come in order of registration", function()
      for _, pattern in ipairs { "*", "E*", "E", "EE" } do
        assert(bus:register_handler(pattern, function() heard[#heard + 1] = pattern end))
      end
      assert(bus:publish("E"))
      assert.same({ "E", "*", "E*" }, heard)
    end)

    it("the log is read back, too", function()
      publish("USER_NEW", 1, 2)
      publish("JOB_DONE", 3)
      publish("USER_GONE", 4)
      local function read(options)
        local out = {}
        for _, message in ipairs(assert(bus:events(options))) do out[#out + 1] = message.type .. message.data.n end
        return out
      end
      assert.same({ "USER_NEW1", "USER_NEW2", "USER_GONE4" }, read { type = "USER_*" })
      assert.same({ "JOB_DONE3", "USER_GONE4" }, read { type = { "*_DONE", "USER_GONE" } })
      assert.same({ "USER_NEW2" }, read { type = "USER_*", filters = { { "data.n", "GreaterThan", 1 } }, limit = 1 })
      local all = assert(bus:events())
      assert.same({ "JOB_DONE3" }, read { after = all[#all - 2].sequence, up_to = all[#all - 1].sequence })
      support.refused("ValidationError", nil, select(2, bus:events { filters = { { "nope", "Equals", 1 } } }), "nope")
      support.refused("ValidationError", nil, select(2, bus:events { up_to = 1.5 }), "up_to")
    end)
  end)

  it("passes to a handler what its filters let through", function()
    local handle = assert(bus:register_handler("*", note, { filters = {
      { field = "data.user.tags", operator = "Contains", value = "new" }, { "source", "Equals", "web" }, { "data.n", "In", { 1, 2, 5 } },
    } }))
    local function say(n, tags, source) assert(bus:publish("E", { n = n, user = { tags = tags } }, source)) end
    say(1, { "new" }, "web")
    say(2, { "old" }, "web")
    say(3, { "new" }, "web")
    say(5, { "old", "new" }, "web")
    say(5, { "new" }, "cli")
    assert(bus:publish("E", "no object"))
    assert.same({ "E1", "E5" }, heard)
    assert.equal(2, handle:stats().handled)
    support.refused("ValidationError", nil, select(2, bus:register_handler("E", note, { filters = { { "data.n", "Near", 1 } } })), "Near")
    support.refused("ValidationError", nil, select(2, bus:register_handler("E", note, { filter = {} })), "filter", "filters")
    support.refused("ValidationError", nil, select(2, bus:register_handler("E", note, { queue = -1 })), "queue")
    support.refused("ValidationError", nil, select(2, bus:register_handler("E", note, { concurrent = 0 })), "concurrent")
    support.refused("ValidationError", nil, select(2, bus:register_handler("E", note, { policy = "block" })), "policy", "wait")
    support.raises_here(function() bus:register_handler("E", note, 5) end, "options", "table")
  end)

  describe("queues behind a slow handler, and when the queue is full", function()
    local gate
    before_each(function() gate = false end)

    local function slow(options)
      return assert(bus:register_handler("N", function(message)
        if message.data.n == 1 then support.wait_until(function() return gate end) end
        note(message)
      end, options))
    end

    it("it falls behind and reads the log later, with `wait`", function()
      local handle = slow { queue = 3, policy = "wait" }
      publish("N", 1, 20)
      publish("OTHER", 1)
      local stats = handle:stats()
      assert.same({ 1, 3, true, 0 }, { stats.running, stats.queued, stats.behind, stats.dropped })
      assert.same({}, heard)
      gate = true
      await(20)
      publish("N", 21)
      await(21)
      for n = 1, 21 do assert.equal("N" .. n, heard[n]) end
      assert.is_false(handle:stats().behind)
    end)

    it("the oldest go, with `drop_oldest`", function()
      local handle = slow { queue = 3, policy = "drop_oldest" }
      publish("N", 1, 10)
      gate = true
      await(4)
      assert.same({ "N1", "N8", "N9", "N10" }, heard)
      assert.equal(6, handle:stats().dropped)
    end)

    it("the new ones go and are reported, with `error`", function()
      slow { queue = 2, policy = "error" }
      publish("N", 1, 5)
      gate = true
      await(3)
      publish("N", 6)
      await(4)
      assert.same({ "N1", "N2", "N3", "N6" }, heard)
      local reported = support.take_reported()
      assert.equal(2, #reported)
      support.refused("OverloadedError", nil, reported[1].err, "2 messages wait")
      assert.equal("integer", math.type(reported[1].err.details.sequence))
    end)

    it("so many calls run at once as were asked for", function()
      local running, most = 0, 0
      assert(bus:register_handler("N", function(message)
        running = running + 1
        most = math.max(most, running)
        iu.sleep(0.002)
        running = running - 1
        note(message)
      end, { concurrent = 3, queue = 100 }))
      publish("N", 1, 12)
      await(12)
      assert.equal(3, most)
    end)

    it("a handler without options has the configuration's caps", function()
      fresh { handler_concurrent = 2, handler_queue = 1, handler_policy = "drop_oldest", handlers_max = 2 }
      local handle = slow()
      assert(bus:register_handler("X", note))
      support.refused("OverloadedError", nil, select(2, bus:register_handler("X", note)), "2 handlers")
      publish("N", 1, 2)
      await(1)
      assert.same({ "N2" }, heard, "the second one runs beside the first")
      assert(bus:register_handler("X", note) == nil)
      gate = true
      await(2)
      assert.equal(0, handle:stats().dropped)
    end)

    it("a cancelled handler hears nothing of it any more", function()
      local handle = slow { queue = 10 }
      publish("N", 1, 5)
      assert.is_true(handle:cancel())
      assert.is_false(handle:cancel())
      assert.is_false(handle:is_active())
      gate = true
      await(1)
      assert.same({ "N1" }, heard)
    end)
  end)

  it("drains at the end: what runs and what is queued is finished, nothing new is begun", function()
    local gate = false
    assert(bus:register_handler("N", function(message)
      support.wait_until(function() return gate end)
      note(message)
    end, { queue = 10 }))
    publish("N", 1, 4)
    iu.run(function()
      local closing = iu.spawn(function() return m:shutdown() end)
      iu.sleep(0.02)
      assert.same({}, heard)
      gate = true
      assert.is_true(closing:wait())
    end)
    assert.same({ "N1", "N2", "N3", "N4" }, heard)
  end)

  it("does not wait longer for them than it may", function()
    fresh { drain_ms = 30 }
    local gate = false
    assert(bus:register_handler("N", function()
      support.wait_until(function() return gate end)
      note { type = "late", data = {} }
    end))
    publish("N", 1)
    assert(m:shutdown())
    assert.same({}, heard)
    gate = true
    await(1)
  end)

  describe("carries requests", function()
    it("and their replies, any JSON value", function()
      iu.run(function()
        assert(bus:respond("ADD", function(message)
          assert.equal("asker", message.source)
          iu.sleep(0.001)
          return message.data.a + message.data.b
        end))
        assert(bus:respond("ECHO*", function(message) return message.data end))
        assert.equal(3, bus:request("ADD", { a = 1, b = 2 }, { source = "asker" }))
        support.exactly({ list = iu.array {}, x = 1.0, none = iu.null }, bus:request("ECHO", { list = iu.array {}, x = 1.0, none = iu.null }))
        assert.equal(iu.null, bus:request("ECHO2", iu.null))
        local tasks = {}
        for n = 1, 20 do tasks[n] = iu.spawn(function() return bus:request("ECHO", { n = n }) end) end
        for n = 1, 20 do assert.equal(n, tasks[n]:wait().n) end
      end)
      assert.equal(0, select(2, bus:health()).requests)
    end)

    it("and failures, with kind, message, details and causes", function()
      local mode
      assert(bus:respond("R", function()
        if mode == "raise" then error("raised here") end
        if mode == "value" then return print end
        return nil, iu.errors.new("EntityNotFoundError", "no such robot", {
          details = { id = 7 }, cause = iu.errors.new("StorageError", "the disk", { code = "EIO" }),
        })
      end))
      local _, err = bus:request("R")
      assert.same({ "EntityNotFoundError", "no such robot", 7, false }, { err.kind, err.message, err.details.id, err.retryable })
      assert.same({ "StorageError", "the disk", "EIO" }, { err.cause.kind, err.cause.message, err.cause.code })
      mode = "raise"
      _, err = bus:request("R")
      assert.same({ "PersistenceError", "RAISED" }, { err.kind, err.code })
      assert.is_truthy(err.message:find("raised here", 1, true))
      mode = "value"
      _, err = bus:request("R")
      support.refused("ValidationError", nil, err, "function")
      assert.equal(1, #support.take_reported())
    end)

    it("of which the first reply counts", function()
      for n = 1, 3 do assert(bus:respond("R", function() return n end)) end
      assert.equal(1, bus:request("R"))
      support.settle(m.client:connection())
      assert.equal(1, #bus:events { type = "R:reply" })
    end)

    it("that nobody answers in time, or that are too many", function()
      fresh { requests_max = 1 }
      local _, err = bus:request("R", {}, { timeout = 0.02 })
      support.refused("TimeoutError", nil, err, "request R", "0.02")
      iu.run(function()
        local first = iu.spawn(function() return bus:request("R", {}, { timeout = 0.1 }) end)
        iu.sleep(0.01)
        support.refused("OverloadedError", nil, select(2, bus:request("R")), "1 requests")
        support.refused("TimeoutError", first:wait())
      end)
      support.refused("ValidationError", nil, select(2, bus:request("R", {}, { timeout = 0 })), "timeout")
      support.refused("ValidationError", nil, select(2, bus:request(("x"):rep(251))), "event_type", "250")
      support.refused("ValidationError", nil, select(2, bus:request("", {}, { timeout = 1 })), "event_type")
      support.raises_here(function() bus:request() end, "event_type")
      support.raises_here(function() bus:respond("R") end, "fn")
    end)

    it("until it is closed", function()
      iu.run(function()
        local asking = iu.spawn(function() return bus:request("R", {}, { timeout = 60 }) end)
        iu.sleep(0.01)
        assert(m:shutdown())
        local _, err = asking:wait()
        support.refused("ConnectionError", nil, err, "closed")
      end)
    end)
  end)

  it("says in its health what it does", function()
    assert(bus:register_handler("N", note))
    local ok, facts = bus:health()
    assert.is_true(ok)
    assert.same({ 1, 0, 0, 0, true, 0 }, { facts.handlers, facts.running, facts.queued, facts.dropped, facts.subscribed, #facts.consumers })
    assert.same({ "on", 0, 0 }, { facts.pruning, facts.members, facts.bridged })
    assert.is_true(facts.events > 0)
  end)

  it("refuses a configuration that makes no sense", function()
    for _, wrong in ipairs {
      { "tail_events", 0 }, { "handler_policy", "never" }, { "batch", 5000 }, { "dead_letter", "" }, { "dead_letter", ("x"):rep(257) }, { "drain_ms", -1 },
    } do
      local key, value = wrong[1], wrong[2]
      local other = assert(iu.open("memory:", { log_level = "off", plugins = { event_bus = { [key] = value } } }))
      support.refused("PluginError", nil, select(2, other:plugin("event_bus")), key)
      assert(other:shutdown())
    end
  end)
end)
