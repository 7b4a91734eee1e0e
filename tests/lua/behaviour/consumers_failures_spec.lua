-- Durable consumers when something goes wrong around them: refused writes, failures of any value, dead letters of each other, calls at the wrong place.

local iu = require "inner_universe"
local support = require "support"

local WAIT = 20 -- seconds; far more than anything here takes

describe("a durable consumer goes on", function()
  local m, bus
  before_each(function()
    m = support.open { log_level = "off", plugins = { event_bus = { drain_ms = 300 } } }
    bus = m.event_bus
  end)
  after_each(support.clean)

  local function publish(from, to)
    for n = from, to do assert(bus:publish("N", { n = n })) end
  end

  local function consumer(name, handler, more)
    local options = { types = "N", from = "start", max_attempts = 1, handler = handler }
    for key, value in pairs(more or {}) do options[key] = value end
    return assert(bus:consumer(name, options))
  end

  local function letters() return assert(bus:events { type = "DEAD_LETTER" }) end

  it("where a dead letter has no room for its event's data", function()
    local DEEPEST = 512 -- containers of an event's data
    assert(bus:publish("N", assert(iu.json.decode(("["):rep(DEEPEST) .. ("]"):rep(DEEPEST)))))
    publish(1, 1)
    local seen = 0
    local c = consumer("c", function()
      seen = seen + 1
      error("no")
    end)
    assert(c:wait_idle(WAIT))
    assert.equal(2, seen)
    local dead = letters()
    assert.same({ 2, true, iu.null }, { #dead, dead[1].data.data_left_out, dead[1].data.event.data })
    assert.same({ nil, 1 }, { dead[2].data.data_left_out, dead[2].data.event.data.n })
  end)

  it("where operations beside an acknowledgement are refused, and names the caller's own", function()
    publish(1, 5)
    local function event(event_type) return { tag = "PublishEvent", value = { event_type = event_type, source = "", data = "{}" } } end
    local operations = {
      { 5 }, { event "X", { tag = "Nonsense", value = {} } }, { event "X", event "" },
      { { tag = "DeleteEntity", value = { id = "nobody", cascade = false } } },
    }
    local got = {}
    local c = consumer("c", function(d)
      if operations[d.data.n] then got[d.data.n] = select(2, d:ack_with(operations[d.data.n])) end
    end)
    assert(c:wait_idle(WAIT))
    support.refused("ValidationError", nil, got[1], "operations[1]", "5")
    support.refused("ValidationError", nil, got[2], "operations[2]", "Nonsense")
    support.refused("ValidationError", nil, got[3], "operations[1] publish_event", "event_type") -- the module counts from 0
    support.refused("EntityNotFoundError", nil, got[4], "operations[0] delete_entity")
    assert.same({}, bus:events { type = "X" })
    assert.equal(5, c:status().handled)
    assert.equal(0, c:lag())
  end)

  it("whatever it is refused with", function()
    local values = { false, 5, { a = 1 }, print, setmetatable({}, { __tostring = function() error("no") end }), "\xff", "text" }
    publish(1, 2 * #values)
    local c = consumer("c", function(d)
      local n = d.data.n
      if n > #values then error(values[n - #values], 0) end
      assert(d:nack(values[n]))
    end)
    assert(c:wait_idle(WAIT))
    local dead = letters()
    assert.equal(2 * #values, #dead)
    for i, letter in ipairs(dead) do
      local failure = letter.data.error
      local code = i <= #values and "NACK" or "RAISED"
      assert.same({ "PersistenceError", code, 1, i }, { failure.kind, failure.code, letter.data.attempts, letter.data.event.data.n })
      assert.equal("string", type(failure.message))
    end
    assert.same({ "false", "5", { raised = { a = 1 } }, "\\xFF", "text" },
      { dead[1].data.error.message, dead[2].data.error.message, dead[3].data.error.cause, dead[6].data.error.message, dead[7].data.error.message })
  end)

  it("where nack is told what makes no sense", function()
    publish(1, 5)
    local delays, got = { math.huge, 1e300, 0 / 0, -1, "soon" }, {}
    local c = consumer("c", function(d) got[d.data.n] = select(2, d:nack("why", { delay = delays[d.data.n] })) end)
    assert(c:wait_idle(WAIT))
    for n = 1, 5 do support.refused("ValidationError", nil, got[n], "nack: delay", tostring(delays[n]):match("%a+") or tostring(delays[n])) end
    assert.equal(0, c:status().failed)
    local unknown
    assert(consumer("d", function(d) unknown = select(2, d:nack("why", { dely = 1 })) end):wait_idle(WAIT))
    support.refused("ValidationError", nil, unknown, "dely", "delay")
  end)

  it("where a transaction of a delivery acknowledges inside of itself", function()
    publish(1, 3)
    local got, held = {}, {}
    local c = consumer("c", function(d)
      if d.attempt > 1 then return d:ack() end
      held[d.data.n] = d
      if d.data.n < 3 then return end
      return d:transaction(function(tx)
        got[1] = select(2, d:ack())
        got[2] = select(2, d:transaction(function() end))
        got[3] = select(2, held[1]:ack())
        got[4] = select(2, held[2]:nack("later"))
        return tx:create_entity("Done", nil, "done")
      end)
    end, { manual = true, max_attempts = 5, retry_delay = 0.001, ack_timeout = WAIT })
    support.wait_until(function() return m:get_entity("done") end)
    for i = 1, 4 do assert.equal("ConflictError", got[i] and got[i].kind) end
    assert(held[1]:ack())
    assert(c:wait_idle(WAIT))
    assert.same({ 0, 0 }, { c:lag(), c:status().dead })
  end)

  it("beside another one that fails at everything, too: neither is handed what comes of its own failures", function()
    local handled = 0
    local function fails()
      handled = handled + 1
      error("always")
    end
    local function ends(letters_expected)
      support.wait_until(function() return #bus:events { type = "DEAD_*" } == letters_expected end)
      local before = handled
      iu.sleep(0.1)
      assert.same({ before, letters_expected }, { handled, #bus:events { type = "DEAD_*" } })
    end
    local list = {}
    for i, name in ipairs { "a", "b", "c" } do list[i] = consumer(name, fails, { types = { "N", "DEAD_*" }, dead_letter = "DEAD_" .. name }) end
    publish(1, 1)
    ends(3 + 3 * 2 + 3 * 2 * 1) -- each of three, then each of the two others about each of those, then the one that is left
    for _, each in ipairs(list) do each:stop() end
    -- Two that hear nothing but each other's.
    consumer("one", fails, { types = "DEAD_two", dead_letter = "DEAD_one", from = "now" })
    consumer("two", fails, { types = { "N", "DEAD_one" }, dead_letter = "DEAD_two", from = "now" })
    publish(2, 2)
    ends(15 + 2)
  end)

  it("and leaves its place to others when it ends by itself", function()
    m = support.open { log_level = "off", plugins = { event_bus = { consumers_max = 1 } } }
    bus = m.event_bus
    local c = consumer("c", function() end)
    assert(m.client:connection():call("put_record", "event_bus.consumer:c", assert(iu.json.encode {
      reach = 0, done = iu.array {}, claims = iu.array {}, attempts = iu.array {}, removed = true,
    }), nil, nil))
    publish(1, 1)
    support.wait_until(function() return bus:consumer("d", { handler = print }) end)
    assert.is_true(c:stop())
  end)

  it("when a replay fails with nothing to say", function()
    publish(1, 2)
    local c = consumer("c", function(d) if d.replayed then error(d.data.n == 2 and nil or false, 0) end end)
    assert(c:wait_idle(WAIT))
    local err = support.refused("PersistenceError", c:replay(2))
    assert.equal("REPLAY", err.code)
    assert.equal(0, err.details.replayed)
    support.refused("PersistenceError", c:replay(bus:events({ type = "N" })[2].sequence))
  end)

  it("no longer when the universe is closed: who waits is told, who asks is wrong", function()
    local c = consumer("c", function(d) if not d.replayed then iu.sleep(60) end end)
    publish(1, 300)
    local waited, replayed = {}, {}
    iu.run(function()
      local task = iu.spawn(function() waited = table.pack(c:wait_idle()) end)
      iu.sleep(0.01)
      assert(m:shutdown())
      task:wait(WAIT)
    end)
    support.refused("ConnectionError", waited[1], waited[2], "stopped")
    for _, method in ipairs { "lag", "wait_idle", "replay" } do support.raises_here(function() c[method](c, 1) end, "closed") end
    assert.is_true(c:stop())
    assert.equal("c", c:status().name)
    m = support.open { log_level = "off", plugins = { event_bus = { drain_ms = 0 } } }
    bus = m.event_bus
    publish(1, 300)
    local d = consumer("d", function(delivery) if delivery.replayed and delivery.data.n == 2 then assert(m:shutdown()) end end)
    assert(d:wait_idle(WAIT))
    iu.run(function() replayed = table.pack(d:replay("start")) end)
    support.refused("ConnectionError", replayed[1], replayed[2], "closed")
  end)

  it("where it is asked for what makes no sense", function()
    local inside = {}
    local c
    c = consumer("c", function()
      inside[1], inside[2] = select(2, c:wait_idle()), select(2, c:replay("start"))
    end)
    publish(1, 1)
    assert(c:wait_idle(WAIT))
    support.refused("ValidationError", nil, inside[1], "own handler")
    support.refused("ValidationError", nil, inside[2], "own handler")
    support.raises_here(function() c:wait_idle("soon") end, "wait_idle", "timeout", "number")
    support.raises_here(function() c:stop({}) end, "stop", "timeout", "number")
    support.refused("ValidationError", nil, select(2, c:wait_idle(0 / 0)), "timeout")
    support.refused("ValidationError", nil, select(2, c:stop(0 / 0)), "timeout")
    support.refused("ValidationError", nil, select(2, c:replay("begin")), "replay: from", "begin")
    support.refused("ValidationError", nil, select(2, c:replay(1, -1)), "replay: to", "-1")
    assert.equal(1, c:replay({ time = 0 }, { time = math.maxinteger }))
    local slow = consumer("slow", function() iu.sleep(60) end, { from = "now" })
    publish(2, 2)
    support.refused("TimeoutError", nil, select(2, slow:wait_idle(0.01)), "slow", "0.01")
    slow:stop(0)
    -- Also where it is stored, and goes on at its own place.
    local function refused(options, ...)
      options.handler = print
      support.refused("ValidationError", nil, select(2, bus:consumer("c", options)), "consumer", ...)
    end
    refused({ from = "begin" }, "from", "begin")
    refused({ from = {} }, "from.time")
    refused({ dead_letter = ("x"):rep(257) }, "dead_letter", "257")
    refused({ dead_letter = "\xff" }, "dead_letter", "UTF-8")
    support.refused("ValidationError", nil, select(2, bus:consumer("a\nb", { handler = print })), "name", '"a\\nb"')
  end)
end)
