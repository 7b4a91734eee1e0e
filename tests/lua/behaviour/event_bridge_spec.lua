-- Bridges: an application's bus and the log tell each other everything, once, without echo, whatever the bus looks like.

local iu = require "inner_universe"
local support = require "support"

-- A bus of an application. deliver(fn, ...) runs a handler: at once, or later.
local function new_bus(shape, deliver)
  local bus = { subscribers = {}, count = 0 }
  deliver = deliver or function(fn, ...) fn(...) end
  function bus:subscribe(topic, fn)
    local each = { topic = topic, fn = fn }
    table.insert(self.subscribers, each)
    return { cancel = function()
      for i, other in ipairs(self.subscribers) do
        if other == each then table.remove(self.subscribers, i) end
      end
    end }
  end
  function bus:publish(first, ...)
    self.count = self.count + 1
    local event_type = shape == "event" and first.type or first
    for _, each in ipairs(table.move(self.subscribers, 1, #self.subscribers, 1, {})) do
      if each.topic == "*" or each.topic == event_type then deliver(each.fn, first, ...) end
    end
  end
  return bus
end

describe("a bridge between the log and a bus", function()
  local m, log
  before_each(function()
    m = support.open { log_level = "off" }
    log = m.event_bus
  end)
  after_each(support.clean)

  local SHAPES = {
    arguments = {
      say = function(bus, event_type, data) bus:publish(event_type, data, "app") end,
      hear = function(into) return function(event_type, data, source) into[#into + 1] = ("%s %s %s"):format(event_type, data.n, source or "-") end end,
    },
    event = {
      say = function(bus, event_type, data, id) bus:publish { type = event_type, data = data, source = "app", id = id } end,
      hear = function(into)
        return function(event) into[#into + 1] = ("%s %s %s"):format(event.type, event.data.n, event.source or "-") end
      end,
    },
  }
  -- How the bus delivers: at once, in a task of its own, or as a copy that went over a wire.
  local DELIVERIES = {
    ["at once"] = nil,
    later = function(fn, ...) iu.spawn(fn, ...) end,
    ["as copies, later"] = function(fn, ...)
      local copies = table.pack(...)
      for i = 1, copies.n do
        if type(copies[i]) == "table" then copies[i] = iu.json.decode(iu.json.encode(copies[i])) end
      end
      iu.spawn(fn, table.unpack(copies, 1, copies.n))
    end,
  }

  for shape, how in pairs(SHAPES) do
    for name, deliver in pairs { ["at once"] = false, later = DELIVERIES.later, ["as copies, later"] = DELIVERIES["as copies, later"] } do
      it(("tells each message once to each side (%s, delivered %s)"):format(shape, name), function()
        local bus, on_bus, in_log = new_bus(shape, deliver or nil), {}, {}
        bus:subscribe("*", how.hear(on_bus))
        assert(log:register_handler("*", function(message) in_log[#in_log + 1] = ("%s %s %s"):format(message.type, message.data.n, message.source or "-") end))
        local handle = assert(log:bridge(bus, { shape = shape }))
        iu.run(function()
          how.say(bus, "FROM_BUS", { n = 1 })
          assert(log:publish("FROM_LOG", { n = 2 }, "db"))
          -- The same content again: each of them is a message.
          for _ = 1, 3 do
            how.say(bus, "SAME", { n = 3 })
            assert(log:publish("SAME", { n = 3 }, "app"))
          end
          support.wait_until(function() return #on_bus >= 8 and #in_log >= 8 end)
          iu.sleep(0.02) -- for what would be too much
        end)
        local expected = { "FROM_BUS 1 app", "FROM_LOG 2 db", "SAME 3 app", "SAME 3 app", "SAME 3 app", "SAME 3 app", "SAME 3 app", "SAME 3 app" }
        table.sort(on_bus)
        table.sort(in_log)
        assert.same(expected, on_bus)
        assert.same(expected, in_log)
        assert.same({ 4, 4, 0, 0 }, { handle:stats().out, handle:stats()["in"], handle:stats().dropped, handle:stats().failed })
        assert.is_true(handle:cancel())
        assert.is_false(handle:cancel())
        assert.equal(1, #bus.subscribers)
        how.say(bus, "LATE", { n = 9 })
        assert(log:publish("LATE", { n = 10 }))
        iu.run(function() iu.sleep(0.005) end)
        assert.equal(1, #log:events { type = "LATE" })
      end)
    end
  end

  it("a handler of the bus that answers by publishing is no echo", function()
    local bus, on_bus = new_bus("arguments"), {}
    bus:subscribe("ASK", function(_, data) bus:publish("ANSWER", { n = data.n + 1 }) end)
    bus:subscribe("*", function(event_type, data) on_bus[#on_bus + 1] = event_type .. data.n end)
    assert(log:bridge(bus))
    assert(log:publish("ASK", { n = 1 }))
    support.wait_until(function() return #log:events { type = "ANSWER" } == 1 end)
    support.settle(m.client:connection())
    assert.same({ "ANSWER2", "ASK1" }, on_bus)
    assert.equal(1, #log:events { type = "ASK" })
  end)

  it("keeps the ids of a bus that has them: told twice, it is in the log once", function()
    local bus = new_bus("event")
    assert(log:bridge(bus, { shape = "event" }))
    for _ = 1, 2 do bus:publish { event_type = "E", payload = { n = 1 }, id = "mine" } end
    support.wait_until(function() return #log:events { type = "E" } == 1 end)
    assert.equal("mine", log:events({ type = "E" })[1].id)
    support.exactly({ n = 1 }, log:events({ type = "E" })[1].data)
  end)

  it("goes one way, for some types and topics", function()
    local bus, out = new_bus("arguments"), {}
    bus:subscribe("*", function(event_type) out[#out + 1] = event_type end)
    local handle = assert(log:bridge(bus, { direction = "out", types = { "A_*", "B" }, filters = { { "data.ok", "Equals", true } } }))
    assert(log:publish("A_1", { ok = true }))
    assert(log:publish("A_2", { ok = false }))
    assert(log:publish("B", { ok = true }))
    assert(log:publish("C", { ok = true }))
    bus:publish("A_3", { ok = true })
    support.wait_until(function() return #out >= 3 end)
    support.settle(m.client:connection())
    assert.same({ "A_1", "A_3", "B" }, (function() table.sort(out) return out end)())
    assert.same({}, log:events { type = "A_3" })
    handle:cancel()
    handle = assert(log:bridge(bus, { direction = "in", topics = { "X", "Y" }, source = "outside" }))
    bus:publish("X", { 1 })
    bus:publish("Z", { 1 })
    support.wait_until(function() return #log:events { type = "X" } == 1 end)
    assert.equal("outside", log:events({ type = "X" })[1].source)
    assert.same({}, log:events { type = "Z" })
    handle:cancel()
  end)

  it("calls a bus of any shape", function()
    local heard, handlers = {}, {}
    local foreign = {
      emit = function(name, payload) -- a function, not a method
        heard[#heard + 1] = name .. payload.text
        for _, fn in ipairs(handlers) do fn({ topic = name, body = payload }) end
      end,
      on = function(topic, fn)
        assert.equal("*", topic)
        handlers[#handlers + 1] = fn
        return #handlers
      end,
      off = function(_, fn, token)
        assert.equal(handlers[token], fn)
        table.remove(handlers, token)
      end,
    }
    local handle = assert(log:bridge(foreign, {
      call = "function", publish = "emit", subscribe = "on", unsubscribe = "off",
      encode = function(message) return message.type, { text = message.data.text } end,
      decode = function(event) return event.topic, event.body end,
    }))
    assert(log:publish("OUT", { text = "!" }))
    foreign.emit("IN", { text = "?" })
    support.wait_until(function() return #heard == 2 and #log:events { type = "IN" } == 1 end)
    assert.same({ "IN?", "OUT!" }, (function() table.sort(heard) return heard end)())
    assert.equal(1, #log:events { type = "OUT" })
    handle:cancel()
    assert.equal(0, #handlers)
  end)

  it("by a durable consumer misses nothing, and tells nothing back after a restart", function()
    local function bridged()
      local bus, heard = new_bus("arguments"), {}
      bus:subscribe("*", function(event_type, data) heard[#heard + 1] = event_type .. data.n end)
      return bus, heard, assert(log:bridge(bus, { types = "N", consumer = "outbox" }))
    end
    local bus, heard = bridged()
    bus:publish("N", { n = 1 })
    assert(log:publish("N", { n = 2 }))
    support.wait_until(function() return #heard == 2 end)
    m = support.reopen(m, { log_level = "off" })
    if log ~= m.event_bus then
      log = m.event_bus
      assert(log:publish("N", { n = 3 })) -- while there is no bridge
      bus, heard = bridged()
      support.wait_until(function() return #heard == 1 end)
      iu.sleep(0.02)
      assert.same({ "N3" }, heard)
    end
    bus:publish("N", { n = 4 })
    support.wait_until(function() return #log:events { type = "N", filters = { { "data.n", "Equals", 4 } } } == 1 end)
  end)

  it("between two buses carries messages from one to the other", function()
    local a, b, on_a, on_b = new_bus("arguments"), new_bus("arguments"), {}, {}
    a:subscribe("*", function(event_type, data) on_a[#on_a + 1] = event_type .. data.n end)
    b:subscribe("*", function(event_type, data) on_b[#on_b + 1] = event_type .. data.n end)
    assert(log:bridge(a))
    assert(log:bridge(b))
    a:publish("FROM_A", { n = 1 })
    b:publish("FROM_B", { n = 2 })
    support.wait_until(function() return #on_a == 2 and #on_b == 2 end)
    support.settle(m.client:connection())
    assert.same({ 2, 2, 2 }, { #on_a, #on_b, #log:events { type = "FROM_*" } })
  end)

  it("reports what cannot be put into the log, and goes on", function()
    local bus = new_bus("arguments")
    local handle = assert(log:bridge(bus))
    bus:publish("BAD", { n = print })
    bus:publish(5, {})
    bus:publish("GOOD", {})
    support.wait_until(function() return #log:events { type = "GOOD" } == 1 end)
    local reported = support.take_reported()
    assert.same({ "ValidationError", "ValidationError" }, { reported[1].err.kind, reported[2].err.kind })
    assert.equal(2, handle:stats().failed)
  end)

  it("refuses what makes no sense", function()
    local bus = new_bus("arguments")
    local function refused(options, ...) support.refused("ValidationError", nil, select(2, log:bridge(bus, options)), ...) end
    refused({ direction = "sideways" }, "direction", "both")
    refused({ shape = "round" }, "shape")
    refused({ publish = "emit" }, "publish", "emit")
    refused({ subscribe = 5 }, "subscribe")
    refused({ topics = "X" }, "topics")
    refused({ types = { "" } }, "type")
    refused({ queue = 0 }, "queue")
    refused({ echo_window = 0 }, "echo_window")
    refused({ topic = "X" }, "topic", "topics")
    assert.equal(0, #bus.subscribers)
    assert(log:bridge(bus))
    support.refused("ConflictError", nil, select(2, log:bridge(bus)), "already")
    support.raises_here(function() log:bridge() end, "bus", "table")
    local broken = { publish = function() end, subscribe = function() error("no more") end }
    local _, err = log:bridge(broken)
    support.refused("PluginError", nil, err, "subscription")
    assert.is_truthy(tostring(err):find("no more", 1, true))
  end)
end)
