-- Bridges: an application's bus and the log tell each other everything, once, without echo, whatever the bus looks like.

local iu = require "inner_universe"
local support = require "support"

-- A bus of an application. deliver(fn, ...) runs a handler: at once, or later.
-- hears(topic, type): whether a subscription does, beside those to all and to that type.
local function new_bus(shape, deliver, hears)
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
      if each.topic == "*" or each.topic == event_type or hears and hears(each.topic, event_type) then deliver(each.fn, first, ...) end
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

  local function prefixed(topic, event_type) return topic == "ext/#" and event_type:sub(1, 4) == "ext/" end
  local function encode_name(message) return "ext/" .. message.type, message.data end

  local CHANGES = { -- what is done to a message on its way; the options, what the bus is told, what is said on it
    ["its type, one way"] = { { encode = encode_name }, { "LOG", "BUS" } },
    ["its type, both ways, under topics of the bus's own kind"] = {
      { topics = { "ext/#" }, encode = encode_name, decode = function(name, data) return name:sub(5), data end }, { "LOG", "BUS" }, "ext/",
    },
    ["its data"] = { { encode = function(message) return message.type, { n = message.data.n, extra = true } end }, { "LOG", "BUS" } },
    ["nothing, under topics of the bus's own kind"] = { { topics = { "ext/#" } }, { "ext/LOG", "ext/BUS" }, "", "ext/LOG" },
    ["nothing, under topics of which some hear it not, or all the same"] = { { topics = { "NEVER", "*" } }, { "LOG", "BUS" } },
  }
  for what, each in pairs(CHANGES) do
    for how, deliver in pairs { ["at once"] = false, later = DELIVERIES.later } do
      it(("knows its messages again where the bus changes %s (delivered %s)"):format(what, how), function()
        local options, expected, prefix, log_type = each[1], each[2], each[3] or "", each[4] or "LOG"
        local bus, on_bus = new_bus("arguments", deliver or nil, prefixed), {}
        bus:subscribe("*", function(event_type, data) on_bus[#on_bus + 1] = event_type .. data.n end)
        assert(log:bridge(bus, options))
        iu.run(function()
          for n = 1, 3 do
            assert(log:publish(log_type, { n = n }))
            bus:publish(prefix .. expected[2], { n = n + 3 })
          end
          support.wait_until(function() return #on_bus >= 6 and #log:events { type = expected[2] } >= 3 end)
          iu.sleep(0.02) -- for what would be too much
        end)
        assert.same({ 6, 3, 3 }, { #on_bus, #log:events { type = expected[1] }, #log:events { type = expected[2] } })
        local rest = 0
        for _, message in ipairs(log:events {}) do
          if message.type:find("LOG", 1, true) or message.type:find("BUS", 1, true) then rest = rest + 1 end
        end
        assert.equal(6, rest)
      end)
    end
  end

  it("knows its messages again where the bus gives them ids of its own, or loses those they have", function()
    local function names_them(shape, options)
      local bus, on_bus = new_bus("event"), {}
      bus:subscribe("*", function(event) on_bus[#on_bus + 1] = event.type .. event.data.n end)
      local handle = assert(log:bridge(bus, options))
      assert(log:publish(shape, { n = 1 }))
      bus:publish { type = shape, data = { n = 1 }, id = iu.uuid() }
      support.wait_until(function() return #on_bus == 2 and #log:events { type = shape } == 2 end)
      support.settle(m.client:connection())
      assert.same({ 2, 2 }, { #on_bus, #log:events { type = shape } })
      handle:cancel()
    end
    local number = 0
    names_them("OWN", {
      publish = function(bus, event_type, data)
        number = number + 1
        bus:publish { type = event_type, data = data, id = "bus-" .. number }
      end,
      decode = function(event) return event.type, event.data, event.source, event.id end,
    })
    names_them("NONE", { shape = "event", encode = function(message) return { type = message.type, data = message.data } end })
  end)

  it("takes an equal message for another one after the bus has refused its own", function()
    local bus, refuse = new_bus("arguments"), true
    local publish = bus.publish
    function bus:publish(...)
      if refuse then error("the bus is down") end
      return publish(self, ...)
    end
    local live = assert(log:bridge(bus))
    assert(log:publish("N", { n = 1 }))
    support.wait_until(function() return live:stats().failed == 1 end)
    assert.truthy(tostring(support.take_reported()[1].err):find("the bus is down", 1, true))
    refuse = false
    bus:publish("N", { n = 1 })
    support.wait_until(function() return #log:events { type = "N" } == 2 end)
    assert.same({ 0, 1 }, { live:stats().out, live:stats()["in"] })
    live:cancel()
    -- By a durable consumer it is told again.
    refuse = true
    local durable = assert(log:bridge(bus, { consumer = "out", types = "M" }))
    assert(log:publish("M", { n = 2 }))
    support.wait_until(function() return durable:stats().failed == 1 end)
    refuse = false
    support.wait_until(function() return durable:stats().out == 1 end)
    bus:publish("M", { n = 2 })
    support.wait_until(function() return #log:events { type = "M" } == 2 end)
    assert.same({ 1, 1, 1 }, { durable:stats().out, durable:stats()["in"], durable:stats().failed })
  end)

  it("of several processes on one bus puts nothing into the log that came from there", function()
    local bus, on_bus = new_bus("event"), {}
    bus:subscribe("*", function(event) on_bus[#on_bus + 1] = event.type .. event.data.n end)
    -- What another process has: the same bus, in another table.
    local same_bus = setmetatable({}, { __index = function(_, key) return function(_, ...) return bus[key](bus, ...) end end })
    local options = { shape = "event", consumer = "out", types = { "LOG", "BUS" } }
    assert(log:bridge(bus, options))
    assert(log:bridge(same_bus, options))
    for n = 1, 4 do
      assert(log:publish("LOG", { n = n }))
      bus:publish { type = "BUS", data = { n = n }, id = "bus-" .. n }
    end
    support.wait_until(function() return #on_bus >= 8 and #log:events { type = "BUS" } >= 4 end)
    iu.sleep(0.02)
    support.settle(m.client:connection())
    assert.same({ 8, 4, 4 }, { #on_bus, #log:events { type = "LOG" }, #log:events { type = "BUS" } })
  end)

  it("puts into the log what a message was when it was said, also where its table is used again", function()
    local bus, count = new_bus("arguments"), 20
    assert(log:bridge(bus, { direction = "in" }))
    local data = {}
    iu.run(function()
      for n = 1, count do
        iu.spawn(function()
          data.n = n
          bus:publish("N", data)
          data.n = -1
        end)
      end
      support.wait_until(function() return #log:events { type = "N" } == count end)
    end)
    local seen = {}
    for i, message in ipairs(log:events { type = "N" }) do seen[i] = message.data.n end
    table.sort(seen)
    for n = 1, count do assert.equal(n, seen[n]) end
  end)

  it("does not let a decode that raises disturb who publishes", function()
    local bus = new_bus("arguments")
    local handle = assert(log:bridge(bus, { decode = function(event_type, data) return event_type, data.a.b end }))
    bus:publish("BAD", {})
    bus:publish("GOOD", { a = { b = { n = 1 } } })
    support.wait_until(function() return #log:events { type = "GOOD" } == 1 end)
    local reported = support.take_reported()
    assert.same({ 1, "PluginError" }, { #reported, reported[1].err.kind })
    assert.same({ 1, 1 }, { handle:stats().failed, handle:stats()["in"] })
  end)

  it("refuses what makes no sense", function()
    local bus = new_bus("arguments")
    local function refused(options, ...) support.refused("ValidationError", nil, select(2, log:bridge(bus, options)), ...) end
    refused({ direction = "sideways" }, "direction", "both")
    refused({ shape = "round" }, "shape")
    refused({ publish = "emit" }, "publish", "emit")
    refused({ subscribe = 5 }, "subscribe")
    refused({ topics = "X" }, "topics")
    refused({ topics = {} }, "topics", "none")
    refused({ name = "" }, "bridge: name: expected")
    refused({ types = { "" } }, "type")
    refused({ queue = 0 }, "queue")
    refused({ echo_window = 0 }, "echo_window")
    refused({ topic = "X" }, "topic", "topics")
    support.refused("ValidationError", nil, select(2, log:bridge { publish = 5, subscribe = print }), "publish", "number")
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
