-- Durable consumers: what is stored of them, order, acknowledgement in any order, attempts, dead letters, groups, replay, lag.

local iu = require "inner_universe"
local support = require "support"

local WAIT = 20 -- seconds; far more than anything here takes

describe("a durable consumer", function()
  local m, bus
  before_each(function()
    m = support.open { log_level = "off" }
    bus = m.event_bus
  end)
  after_each(support.clean)

  local function publish(event_type, from, to)
    for n = from, to do assert(bus:publish(event_type, { n = n })) end
  end

  local function numbers(from, to)
    local out = {}
    for n = from, to do out[#out + 1] = n end
    return out
  end

  -- One whose handler notes numbers; more: options.
  local function noting(name, into, more)
    local options = { types = "N", from = "start", handler = function(d) into[#into + 1] = d.data.n end }
    for key, value in pairs(more or {}) do options[key] = value end
    return assert(bus:consumer(name, options))
  end

  it("gets the events of its topics in order, each once, from the place it begins at", function()
    publish("N", 1, 3)
    publish("OTHER", 1, 3)
    local from_start, from_now, from_sequence, from_time = {}, {}, {}, {}
    local at = assert(bus:events { type = "N" })
    iu.sleep(0.002)
    local time = iu.now()
    publish("N", 4, 5)
    local list = {
      noting("start", from_start), noting("now", from_now, { from = "now" }), noting("sequence", from_sequence, { from = at[2].sequence }),
      noting("time", from_time, { from = { time = support.on_server and at[3].timestamp + 1 or time } }),
    }
    publish("N", 6, 40)
    for _, consumer in ipairs(list) do assert(consumer:wait_idle(WAIT)) end
    assert.same(numbers(1, 40), from_start)
    assert.same(numbers(6, 40), from_now)
    assert.same(numbers(2, 40), from_sequence)
    assert.same(numbers(4, 40), from_time)
    for _, consumer in ipairs(list) do assert.equal(0, consumer:lag()) end
  end)

  it("is handed a message with its attempt, and data of its own each time", function()
    local got = {}
    assert(bus:publish("N", { list = { 1, 2.5 } }, "source"))
    local consumer = noting("c", {}, { max_attempts = 3, retry_delay = 0.001, handler = function(d)
      got[#got + 1] = { d.id, d.type, d.source, d.timestamp, d.sequence, d.actor, d.attempt, d.consumer, iu.json.encode(d.data) }
      d.data.list[1] = "changed"
      assert(d.attempt == 2)
    end })
    assert(consumer:wait_idle(WAIT))
    local message = bus:events({ type = "N" })[1]
    assert.same({ message.id, "N", "source", message.timestamp, message.sequence, message.actor, 1, "c", '{"list":[1,2.5]}' }, got[1])
    assert.same({ 2, '{"list":[1,2.5]}' }, { got[2][7], got[2][9] })
    assert.equal(2, #got)
  end)

  it("goes on where it was left, in another process too", function()
    local seen = {}
    local consumer = noting("c", seen, { batch = 7 })
    publish("N", 1, 20)
    assert(consumer:wait_idle(WAIT))
    assert(consumer:stop())
    assert.is_true(consumer:stop())
    publish("N", 21, 25)
    m = support.reopen(m, { log_level = "off" })
    bus = m.event_bus
    consumer = noting("c", seen, { from = "now" }) -- it has a place already
    assert(consumer:wait_idle(WAIT))
    publish("N", 26, 30)
    assert(consumer:wait_idle(WAIT))
    assert.same(numbers(1, 30), seen)
  end)

  it("takes patterns and filters on paths of the data", function()
    local seen = {}
    local consumer = noting("c", seen, { types = { "USER_*", "*_DONE", "N" }, filters = {
      { field = "data.user.age", operator = "GreaterOrEqual", value = 18 }, { "source", "Equals", "web" },
    }, handler = function(d) seen[#seen + 1] = d.type .. d.data.user.age end })
    local function say(event_type, age, source) assert(bus:publish(event_type, { user = { age = age } }, source or "web")) end
    say("USER_NEW", 17)
    say("USER_NEW", 18)
    say("USER", 30)
    say("JOB_DONE", 40)
    say("JOB_DONE_", 40)
    say("N", 50)
    say("N", 60, "cli")
    assert(bus:publish("N", {}))
    assert(consumer:wait_idle(WAIT))
    assert.same({ "USER_NEW18", "JOB_DONE40", "N50" }, seen)
  end)

  it("delivers a failed event again before any later one, with longer and longer delays", function()
    local seen, tries = {}, 0
    local consumer = noting("c", seen, { retry_delay = 0.01, handler = function(d)
      seen[#seen + 1] = d.data.n
      if d.data.n == 3 then
        tries = tries + 1
        if tries == 1 then error("raised") end
        if tries == 2 then return nil, iu.errors.new("TimeoutError", "returned") end
        if tries == 3 then return d:nack("said so", { delay = 0 }) end
      end
    end })
    publish("N", 1, 6)
    assert(consumer:wait_idle(WAIT))
    assert.same({ 1, 2, 3, 3, 3, 3, 4, 5, 6 }, seen)
    assert.same({ 9, 3, 0 }, { consumer:status().handled, consumer:status().failed, consumer:status().dead })
  end)

  it("makes a dead letter of what failed too often, with the event, the error and its causes", function()
    local letters, seen = {}, {}
    assert(bus:register_handler("BURIED", function(message) letters[#letters + 1] = message end))
    local cause = iu.errors.new("StorageError", "the disk", { details = { block = 7 } })
    local consumer = noting("c", seen, { max_attempts = 2, retry_delay = 0.001, dead_letter = "BURIED", handler = function(d)
      seen[#seen + 1] = d.data.n
      if d.data.n == 2 then return nil, iu.errors.new("ConflictError", "refused", { code = "MINE", cause = cause }) end
    end })
    publish("N", 1, 3)
    assert(consumer:wait_idle(WAIT))
    support.wait_until(function() return #letters == 1 end)
    assert.same({ 1, 2, 2, 3 }, seen)
    local event, letter = bus:events({ type = "N" })[2], letters[1]
    support.exactly({
      id = event.id, type = "N", source = iu.null, timestamp = event.timestamp, sequence = event.sequence, actor = event.actor, data = { n = 2 },
    },
    letter.data.event)
    assert.same({ "c", 2 }, { letter.data.consumer, letter.data.attempts })
    support.exactly({
      kind = "ConflictError", code = "MINE", message = "refused", retryable = true,
      cause = { kind = "StorageError", code = "STORAGE", message = "the disk", retryable = false, details = { block = 7 } },
    }, letter.data.error)
    assert.equal(0, consumer:lag())
  end)

  it("does not get its own dead letters", function()
    local seen = {}
    local consumer = noting("c", seen, { types = "*", max_attempts = 1, handler = function(d)
      seen[#seen + 1] = d.type
      error("always")
    end })
    local before = #bus:events()
    publish("N", 1, 2)
    assert(consumer:wait_idle(WAIT))
    assert.equal(before + 2, #seen)
    assert.equal(before + 2, #bus:events { type = "DEAD_LETTER" })
  end)

  it("of which acks come in any order keeps them, and delivers the others again", function()
    local out, again = {}, {}
    publish("N", 1, 6)
    local consumer = noting("c", {}, { manual = true, batch = 6, handler = function(d) out[d.data.n] = d end })
    support.wait_until(function() return out[6] end)
    for _, n in ipairs { 5, 2, 1, 4 } do assert.is_true(out[n]:ack()) end
    assert.is_true(out[2]:ack(), "once more is no failure")
    local first = bus:events({ type = "N" })[1].sequence
    assert.equal(first + 1, assert(bus:consumers())[1].cursor, "the cursor is behind what is acknowledged without a gap")
    consumer:stop(0.05)
    support.refused("ConflictError", nil, select(2, out[3]:ack()), "not held")
    m = support.reopen(m, { log_level = "off" })
    bus = m.event_bus
    consumer = noting("c", again, { handler = function(d) again[#again + 1] = d.data.n .. ":" .. d.attempt end })
    assert(consumer:wait_idle(WAIT))
    assert.same({ "3:2", "6:2" }, again)
  end)

  it("cancels a handler that takes longer than ack_timeout, and delivers again", function()
    local tries, ended = {}, 0
    local consumer = noting("c", {}, { ack_timeout = 0.05, retry_delay = 0.001, handler = function(d)
      tries[#tries + 1] = d.data.n
      if #tries == 1 then
        local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
        iu.sleep(60)
      end
    end })
    publish("N", 1, 2)
    assert(consumer:wait_idle(WAIT))
    assert.same({ 1, 1, 2 }, tries)
    assert.equal(1, ended)
    assert.equal("TimeoutError: not acknowledged within 0.05 s", consumer:status().last_error)
  end)

  it("delivers again what was not acknowledged in time, and then takes no late ack", function()
    local out = {}
    local consumer = noting("c", {}, { manual = true, ack_timeout = 0.05, retry_delay = 0.001, handler = function(d)
      out[#out + 1] = d
      if d.attempt == 2 then assert(d:ack()) end
    end })
    publish("N", 1, 1)
    assert(consumer:wait_idle(WAIT))
    assert.equal(2, #out)
    support.refused("ConflictError", nil, select(2, out[1]:ack()))
  end)

  it("acknowledges together with writes: both or neither", function()
    local tries = 0
    local consumer = noting("c", {}, { retry_delay = 0.001, handler = function(d)
      tries = tries + 1
      local create = { tag = "CreateEntity", value = {
        entity_type = "Copy", metadata = { tags = {}, properties = "{}" }, id = "copy" .. d.data.n,
      } }
      if d.data.n == 2 and d.attempt == 1 then
        local ok, err = d:ack_with { create, { tag = "DeleteEntity", value = { id = "nobody", cascade = false } } }
        return ok, err
      end
      assert(d:ack_with { create })
      error("too late to matter")
    end })
    publish("N", 1, 3)
    assert(consumer:wait_idle(WAIT))
    assert.equal(4, tries)
    assert.same({ "copy1", "copy2", "copy3" }, support.pluck(assert(m:query_entities { entity_type = "Copy" }), "id"))
    assert.equal(1, consumer:status().failed)
  end)

  it("acknowledges inside of a transaction that reads and writes", function()
    assert(m:create_entity("Sum", { properties = { total = 0 } }, "sum"))
    local consumer = noting("c", {}, { retry_delay = 0.001, handler = function(d)
      return d:transaction(function(tx)
        local sum = assert(tx:get_entity("sum"))
        if d.data.n == 4 and d.attempt == 1 then return nil, iu.errors.new("ValidationError", "not yet") end
        sum.metadata.properties.total = sum.metadata.properties.total + d.data.n
        assert(tx:update_entity("sum", sum.metadata))
        return true
      end)
    end })
    publish("N", 1, 10)
    assert(consumer:wait_idle(WAIT))
    assert.equal(55, m:get_entity("sum").metadata.properties.total)
    assert.equal(1, consumer:status().failed)
  end)

  it("of a name runs once at a time, whoever begins it", function()
    local seen, order = {}, {}
    local running, most = 0, 0
    local function handler(who)
      return function(d)
        running = running + 1
        most = math.max(most, running)
        seen[#seen + 1], order[#order + 1] = d.data.n, who
        iu.sleep(0.001)
        running = running - 1
      end
    end
    local one = noting("c", seen, { handler = handler "one", batch = 3 })
    local two = noting("c", seen, { handler = handler "two", batch = 3 })
    publish("N", 1, 30)
    support.wait_until(function() return #seen == 30 end)
    assert.same(numbers(1, 30), seen)
    assert.equal(1, most)
    assert(one:stop())
    publish("N", 31, 33)
    support.wait_until(function() return #seen == 33 end)
    assert.same({ "two", "two", "two" }, { order[31], order[32], order[33] })
    assert(two:stop())
  end)

  it("in a group shares the work, each event once, and a failure holds up nobody", function()
    local seen, by, failed = {}, {}, false
    local function member(who)
      return noting("c", {}, { group = true, batch = 4, retry_delay = 0.05, handler = function(d)
        if d.data.n == 2 and not failed then
          failed = true
          error("once")
        end
        seen[#seen + 1] = d.data.n
        by[who] = (by[who] or 0) + 1
        iu.sleep(0.002)
      end })
    end
    publish("N", 1, 60)
    local list = { member "a", member "b", member "c" }
    support.wait_until(function() return #seen == 60 end)
    assert.is_true(seen[2] ~= 2, "it did not wait for its second attempt")
    table.sort(seen)
    assert.same(numbers(1, 60), seen)
    assert.is_true(by.a ~= nil and by.b ~= nil and by.c ~= nil)
    for _, each in ipairs(list) do assert(each:wait_idle(WAIT)) end
    assert.equal(0, list[1]:lag())
  end)

  it("takes over what a member that is gone had claimed", function()
    local seen = {}
    publish("N", 1, 3)
    local consumer = noting("c", {}, { manual = true, batch = 3, handler = function(d) seen[#seen + 1] = d.data.n end })
    support.wait_until(function() return #seen == 3 end)
    -- As a killed process leaves it: the claim stands, its connection is not there.
    local row = support.rows(m, "plugin_record")[1]
    local value = iu.json.decode(row.value)
    assert.equal(1, #value.claims)
    value.claims[1].member = ("0"):rep(32)
    assert(m.client:connection():call("put_record", row.key, iu.json.encode(value), row.revision, nil))
    local again = {}
    noting("c", again, { handler = function(d) again[#again + 1] = d.data.n .. ":" .. d.attempt end })
    support.wait_until(function() return #again == 3 end)
    assert.same({ "1:2", "2:2", "3:2" }, again)
    consumer:stop(0)
  end)

  if support.on_server then -- of an embedded universe there is one manager
    it("works in several programs: one holds what it claimed while it is connected, then the other takes it over", function()
      publish("N", 1, 3)
      local held, seen = {}, {}
      noting("c", {}, { manual = true, handler = function(d) held[#held + 1] = d.data.n end })
      support.wait_until(function() return #held == 3 end)
      local target = support.target_of(m)
      local other = support.open({ log_level = "off", plugins = { event_bus = { drain_ms = 0 } } }, target)
      assert(other.event_bus:consumer("c", { types = "N", handler = function(d) seen[#seen + 1] = d.data.n .. ":" .. d.attempt end }))
      iu.sleep(1.3) -- it has looked once more
      assert.same({}, seen)
      m.client:connection():close() -- as a program ends that is killed
      support.wait_until(function() return #seen == 3 end)
      assert.same({ "1:2", "2:2", "3:2" }, seen)
    end)

    it("shares the work of a group between several programs", function()
      local target, by = support.target_of(m), {}
      local managers = { m, support.open({ log_level = "off" }, target), support.open({ log_level = "off" }, target) }
      local seen = {}
      for i, each in ipairs(managers) do
        assert(each.event_bus:consumer("c", { types = "N", from = "start", group = true, batch = 3, handler = function(d)
          seen[#seen + 1], by[i] = d.data.n, (by[i] or 0) + 1
          iu.sleep(0.002)
        end }))
      end
      publish("N", 1, 60)
      support.wait_until(function() return #seen >= 60 end)
      table.sort(seen)
      assert.same(numbers(1, 60), seen)
      assert.is_true(by[1] ~= nil and by[2] ~= nil and by[3] ~= nil)
    end)
  end

  it("replays events to its handler beside what is stored", function()
    local seen = {}
    local consumer = noting("c", seen, { filters = { { "data.n", "LessThan", 90 } }, handler = function(d)
      seen[#seen + 1] = d.data.n
      if d.replayed then assert(d:ack()) end
      if d.replayed and d.data.n == 13 then error("unlucky") end
    end })
    publish("N", 1, 12)
    publish("N", 99, 99)
    assert(consumer:wait_idle(WAIT))
    local events = bus:events { type = "N" }
    local before = support.census(m)
    assert.equal(3, consumer:replay(events[3].sequence, events[5].sequence))
    assert.equal(12, consumer:replay("start"))
    assert.equal(4, consumer:replay({ time = events[1].timestamp }, { time = events[12].timestamp }, { { "data.n", "GreaterThan", 8 } }))
    assert.equal(2, consumer:replay("start", "now", function(message) return message.data.n % 6 == 0 end))
    assert.equal(before, support.census(m))
    assert.equal(12 + 3 + 12 + 4 + 2, #seen)
    publish("N", 13, 13)
    assert(consumer:wait_idle(WAIT))
    local _, err = consumer:replay("start")
    assert.same({ "PersistenceError", 12 }, { err.kind, err.details.replayed })
  end)

  it("finishes the event at hand when it is stopped, and gives back the others", function()
    local seen, at_hand, release = {}, false, false
    local consumer = noting("c", seen, { batch = 10, handler = function(d)
      at_hand = true
      support.wait_until(function() return release end)
      seen[#seen + 1] = d.data.n .. ":" .. d.attempt
    end })
    publish("N", 1, 4)
    support.wait_until(function() return at_hand end)
    iu.run(function()
      local stopping = iu.spawn(function() return consumer:stop(10) end)
      iu.sleep(0.02)
      release = true
      assert.is_true(stopping:wait())
    end)
    assert.same({ "1:1" }, seen)
    consumer = noting("c", seen, { handler = function(d) seen[#seen + 1] = d.data.n .. ":" .. d.attempt end })
    assert(consumer:wait_idle(WAIT))
    assert.same({ "1:1", "2:1", "3:1", "4:1" }, seen)
  end)

  it("cancels a handler that does not end in time when it is stopped", function()
    local seen = {}
    publish("N", 1, 2)
    local consumer = noting("c", seen, { handler = function(d)
      seen[#seen + 1] = d.data.n .. ":" .. d.attempt
      if d.attempt == 1 and d.data.n == 2 then iu.sleep(600) end
    end })
    support.wait_until(function() return #seen == 2 end)
    assert.is_true(consumer:stop(0.01))
    consumer = noting("c", seen, { handler = function(d) seen[#seen + 1] = d.data.n .. ":" .. d.attempt end })
    assert(consumer:wait_idle(WAIT))
    assert.same({ "1:1", "2:1", "2:2" }, seen)
  end)

  it("ends, and says why, where its record is none of a consumer", function()
    local consumer = noting("c", {})
    assert(consumer:stop())
    local row = support.rows(m, "plugin_record")[1]
    assert(m.client:connection():call("put_record", row.key, '{"reach":1}', row.revision, nil))
    support.refused("StorageError", nil, select(2, bus:consumer("c", { handler = print })), row.key)
  end)

  it("gives the others their turn between two events", function()
    local seen, turns = {}, 0
    publish("N", 1, 50)
    local consumer = noting("c", seen, { handler = function(d)
      seen[#seen + 1] = d.data.n
      local finish = iu.now() + 1500
      while iu.now() < finish do end
    end })
    iu.run(function()
      local other = iu.spawn(function()
        while #seen < 50 do
          turns = turns + 1
          coroutine.yield()
        end
      end)
      assert(consumer:wait_idle(WAIT))
      other:wait()
    end)
    assert.is_true(turns > 20, "turns: " .. turns)
  end)

  it("may be stopped, and its universe closed, by its own handler", function()
    local seen = {}
    noting("c", seen, { handler = function(d)
      seen[#seen + 1] = d.data.n
      assert(d:ack())
      assert(m:shutdown())
    end })
    publish("N", 1, 3)
    support.wait_until(function() return not m:is_initialized() end)
    assert.same({ 1 }, seen)
  end)

  it("is listed, and removed: a new one of the name begins anew", function()
    publish("N", 1, 3)
    local seen = {}
    assert(noting("b", seen):wait_idle(WAIT))
    assert(noting("a", {}, { from = "now" }))
    local list = assert(bus:consumers())
    assert.same({ "a", "b" }, support.pluck(list, "name"))
    assert.same({ 1, 1 }, support.pluck(list, "here"))
    assert.is_true(bus:remove_consumer("b"))
    assert.is_true(bus:remove_consumer("b"))
    assert.is_true(bus:remove_consumer("never was"))
    assert.same({ "a" }, support.pluck(bus:consumers(), "name"))
    assert(noting("b", seen):wait_idle(WAIT))
    assert.same({ 1, 2, 3, 1, 2, 3 }, seen)
  end)

  it("does not raise the cursor for each event of other topics", function()
    local consumer = noting("c", {})
    publish("OTHER", 1, 30)
    assert(consumer:wait_idle(WAIT))
    assert.equal(0, consumer:lag())
    local row = support.rows(m, "event_cursor")[1]
    assert.equal(0, row.sequence)
    assert(consumer:stop())
    assert.is_true(support.rows(m, "event_cursor")[1].sequence >= 30)
  end)

  it("refuses what makes no sense, and says what", function()
    local function refused(options, ...)
      options.handler = options.handler or function() end
      support.refused("ValidationError", bus:consumer("c", options))
      support.refused("ValidationError", nil, select(2, bus:consumer("c", options)), ...)
    end
    refused({ form = "start" }, "form", "from")
    refused({ from = "begin" }, "from")
    refused({ from = 0 }, "from")
    refused({ from = 1.5 }, "from")
    refused({ from = { tiem = 1 } }, "tiem")
    refused({ from = { time = "x" } }, "time")
    refused({ from = 1 << 40 }, "from", "head")
    refused({ types = {} }, "types")
    refused({ types = { "" } }, "types")
    refused({ types = { 5 } }, "types")
    refused({ types = 5 }, "types")
    refused({ filters = 5 }, "filters")
    refused({ filters = { { "nonsense", "Equals", 1 } } }, "filters", "nonsense")
    refused({ filters = { { "data.n", "Like", 1 } } }, "filters", "Like")
    refused({ batch = 0 }, "batch")
    refused({ batch = 1001 }, "batch", "1000")
    refused({ ack_timeout = 0 }, "ack_timeout")
    refused({ ack_timeout = 0 / 0 }, "ack_timeout")
    refused({ max_attempts = 0 }, "max_attempts")
    refused({ retry_delay = -1 }, "retry_delay")
    refused({ group = 1 }, "group")
    refused({ dead_letter = "" }, "dead_letter")
    refused({ handler = 5 }, "handler")
    support.refused("ValidationError", nil, select(2, bus:consumer("c", {})), "handler")
    support.refused("ValidationError", nil, select(2, bus:consumer("", { handler = print })), "name")
    support.refused("ValidationError", nil, select(2, bus:consumer(("x"):rep(201), { handler = print })), "name", "200")
    support.raises_here(function() bus:consumer() end, "consumer", "name", "string")
    support.raises_here(function() bus:consumer("c") end, "consumer", "options", "table")
    assert.same({}, bus:consumers())
  end)

  it("begins nothing new while too many events wait for another attempt", function()
    m = support.open { log_level = "off", plugins = { event_bus = { waiting_max = 4 } } }
    bus = m.event_bus
    publish("N", 1, 20)
    local seen, fine = {}, false
    local consumer = noting("c", {}, { group = true, batch = 1, retry_delay = 0.2, handler = function(d)
      seen[#seen + 1] = d.data.n
      assert(fine)
    end })
    support.wait_until(function() return consumer:status().waiting == 4 end)
    iu.sleep(0.05)
    assert.same({ 1, 2, 3, 4 }, seen)
    fine = true
    assert(consumer:wait_idle(WAIT))
    assert.equal(24, #seen)
  end)

  it("caps how many run at once", function()
    m = support.open { plugins = { event_bus = { consumers_max = 2 } } }
    bus = m.event_bus
    local one = noting("a", {})
    noting("b", {})
    support.refused("OverloadedError", nil, select(2, bus:consumer("c", { handler = print })), "2 consumers")
    assert(one:stop())
    noting("c", {})
  end)
end)
