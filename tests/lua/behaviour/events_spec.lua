-- Events: published once, heard once by each handler that was there, in order; handlers may raise, wait, publish, cancel.

local iu = require "inner_universe"
local support = require "support"

describe("events", function()
  local m, bus, heard
  before_each(function()
    m = support.open()
    bus = m.event_bus
    heard = {}
  end)
  after_each(support.clean)

  local function listen(event_type, mark)
    return assert(bus:register_handler(event_type, function(message)
      heard[#heard + 1] = (mark or "") .. message.type .. (type(message.data) == "table" and message.data.n or "")
    end))
  end

  it("become messages with id, type, source, timestamp and data", function()
    local got
    assert(bus:register_handler("USER_ACTION", function(message) got = message end))
    local before = iu.now()
    local id = assert(bus:publish("USER_ACTION", { action = "login" }, "auth_service"))
    assert.is_table(got, "delivered before publish returns")
    assert.same({ id, "USER_ACTION", "auth_service" }, { got.id, got.type, got.source })
    support.exactly({ action = "login" }, got.data)
    assert.is_true(math.type(got.timestamp) == "integer" and got.timestamp >= before and got.timestamp <= iu.now())
    local row = m.client:get_event(id)
    assert.same({ id, "USER_ACTION", "auth_service", got.timestamp }, { row.event_id, row.event_type, row.source, row.timestamp })
    assert(bus:publish("USER_ACTION"))
    assert.is_nil(got.source)
    assert.equal("{}", iu.json.encode(got.data))
  end)

  it("published by manager, client and bus are heard alike, each once", function()
    listen("E")
    listen("*", "*")
    assert(m:publish_event("E", { n = 1 }, "source"))
    assert(m.client:publish_event("E", "source", { n = 2 }))
    assert(bus:publish("E", { n = 3 }, "source"))
    assert(bus:publish("F", { n = 4 }))
    assert.same({ "E1", "*E1", "E2", "*E2", "E3", "*E3", "*F4" }, heard)
  end)

  it("of the log itself come too, in the order of the log", function()
    listen("*")
    local id = assert(m:create_entity("T"))
    assert(m:delete_entity(id))
    assert(bus:publish("X"))
    assert.same({ "ENTITY_CREATED", "ENTITY_DELETED", "X" }, heard)
  end)

  it("from before the handler are not told", function()
    assert(bus:publish("E", { n = 1 }))
    listen("E")
    assert(bus:publish("E", { n = 2 }))
    assert.same({ "E2" }, heard)
    assert.is_true(bus:subscribe_to_events())
    assert.is_true(bus:subscribe_to_events())
    assert(bus:publish("E", { n = 3 }))
    assert.same({ "E2", "E3" }, heard)
  end)

  it("from before a reopening are not told again", function()
    assert(bus:publish("E", { n = 1 }))
    m = support.reopen(m)
    bus = m.event_bus
    listen("E")
    assert(bus:publish("E", { n = 2 }))
    assert.same({ "E2" }, heard)
    assert.equal(2, #bus:events { type = "E" })
  end)

  it("come to handlers in the order of registration, until these are cancelled", function()
    local a, b = listen("E", "a"), listen("E", "b")
    assert(bus:publish("E"))
    assert.is_true(a:cancel())
    assert.is_false(a:cancel())
    assert(bus:publish("E"))
    b:cancel()
    assert(bus:publish("E"))
    assert.same({ "aE", "bE", "bE" }, heard)
  end)

  it("one function registered twice hears twice", function()
    local count = 0
    local function fn() count = count + 1 end
    local one, two = assert(bus:register_handler("E", fn)), assert(bus:register_handler("E", fn))
    assert(bus:publish("E"))
    assert.equal(2, count)
    one:cancel()
    assert(bus:publish("E"))
    assert.equal(3, count)
    two:cancel()
  end)

  it("a handler that cancels itself or another one stops just those", function()
    local second
    local first
    first = bus:register_handler("E", function()
      heard[#heard + 1] = "first"
      first:cancel()
      second:cancel()
    end)
    second = listen("E", "second")
    listen("E", "third")
    assert(bus:publish("E"))
    assert(bus:publish("E"))
    assert.same({ "first", "thirdE", "thirdE" }, heard)
  end)

  it("a handler registered by a handler hears the next event, not this one", function()
    local once = false
    assert(bus:register_handler("E", function()
      if not once then
        once = true
        listen("E", "late")
      end
    end))
    assert(bus:publish("E", { n = 1 }))
    assert(bus:publish("E", { n = 2 }))
    assert.same({ "lateE2" }, heard)
  end)

  it("a handler that raises is reported and stops nobody", function()
    listen("E", "a")
    assert(bus:register_handler("E", function() error("broken on purpose") end))
    assert(bus:register_handler("E", function() error(iu.errors.new("ValidationError", "as an err")) end))
    listen("E", "b")
    assert(bus:publish("E"))
    assert(bus:publish("E"))
    assert.same({ "aE", "bE", "aE", "bE" }, heard)
    local reported = support.take_reported()
    assert.equal(4, #reported)
    assert.is_truthy(tostring(reported[1].err):find("broken on purpose", 1, true))
    assert.is_truthy(reported[1].context:find("events_spec.lua", 1, true), "the traceback names the handler's file")
    assert.equal("ValidationError", reported[2].err.kind)
  end)

  it("handlers may wait, and hold up nobody meanwhile", function()
    local published = false
    assert(bus:register_handler("E", function(message)
      heard[#heard + 1] = "start" .. message.data.n
      support.wait_until(function() return published end) -- a server's answer may take longer than any nap
      heard[#heard + 1] = "end" .. message.data.n
    end))
    listen("E", "quick")
    assert(bus:publish("E", { n = 1 }))
    assert(bus:publish("E", { n = 2 }))
    assert.same({ "start1", "quickE1", "start2", "quickE2" }, heard)
    published = true
    support.wait_until(function() return #heard == 6 end)
    table.sort(heard)
    assert.same({ "end1", "end2", "quickE1", "quickE2", "start1", "start2" }, heard)
  end)

  it("handlers may wait inside iu.run, which ends after them", function()
    iu.run(function()
      assert(bus:register_handler("E", function()
        iu.sleep(0.01)
        heard[#heard + 1] = "waited"
      end))
      assert(bus:publish("E"))
      assert.same({}, heard)
    end)
    assert.same({ "waited" }, heard)
  end)

  it("published by a handler are delivered after the event at hand, in order", function()
    assert(bus:register_handler("A", function(message)
      heard[#heard + 1] = "A" .. message.data.n
      if message.data.n < 3 then assert(bus:publish("A", { n = message.data.n + 1 })) end
      assert(bus:publish("B", { n = message.data.n }))
      heard[#heard + 1] = "/A" .. message.data.n
    end))
    listen("A", "second")
    listen("B")
    assert(bus:publish("A", { n = 1 }))
    support.wait_until(function() return #heard >= 12 end)
    if support.on_server then -- where a handler's call waits, the other handlers of the event and what comes next do not wait for it
      local order = {}
      for _, each in ipairs(heard) do
        local kind, n = each:match("^(%a+)(%d)$")
        if kind then order[kind] = (order[kind] or "") .. n end
      end
      return assert.same({ "123", "123" }, { order.A, order.secondA })
    end
    assert.same({ "A1", "/A1", "secondA1", "A2", "/A2", "secondA2", "B1", "A3", "/A3", "secondA3", "B2", "B3" }, heard)
  end)

  it("an entity created by a handler of its creation ends when the handler says so", function()
    local made = 0
    assert(bus:register_handler("ENTITY_CREATED", function()
      made = made + 1
      if made < 20 then assert(m:create_entity("T")) end
    end))
    assert(m:create_entity("T"))
    support.wait_until(function() return made >= 20 end)
    assert.equal(20, #m:query_entities { entity_type = "T" })
  end)

  it("are each heard once when the subscription starts anew all the time", function()
    m = support.open { plugins = { event_bus = { rollover = 2 } } }
    bus = m.event_bus
    local numbers = {}
    assert(bus:register_handler("N", function(message)
      numbers[#numbers + 1] = message.data.n
      if message.data.n % 10 == 0 then assert(bus:publish("OTHER")) end
    end))
    for n = 1, 101 do assert(bus:publish("N", { n = n })) end
    support.wait_until(function() return #numbers >= 101 end)
    for n = 1, 101 do assert.equal(n, numbers[n]) end
    assert.equal(101, #numbers)
  end)

  it("of another connection are heard too", function()
    local both, conn = support.open_both()
    local got = {}
    assert(both.event_bus:register_handler("E", function(message) got[#got + 1] = message end))
    local other = support.session(conn, ("ab"):rep(32))
    assert(other:call("publish_event", "E", "elsewhere", '{"x":1.0}', nil))
    support.wait_until(function() return #got == 1 end)
    assert.same({ "elsewhere", other:identity() }, { got[1].source, got[1].actor })
    support.exactly({ x = 1.0 }, got[1].data)
    other:close()
  end)

  it("are read back from the log by type, from a sequence on, at most so many", function()
    for n = 1, 5 do assert(bus:publish(n % 2 == 0 and "EVEN" or "ODD", { n = n })) end
    local all = assert(bus:events())
    assert.same({ 2, 4 }, { bus:events({ type = "EVEN" })[1].data.n, bus:events({ type = "EVEN" })[2].data.n })
    for i = 2, #all do assert.equal(all[i - 1].sequence + 1, all[i].sequence) end
    local tail = assert(bus:events { after = all[#all - 2].sequence })
    assert.same({ 4, 5 }, { tail[1].data.n, tail[2].data.n })
    assert.equal(1, #bus:events { limit = 1 })
    support.refused("ValidationError", nil, select(2, bus:events { limit = -1 }), "limit")
    support.refused("ValidationError", nil, select(2, bus:events { after = "x" }), "after")
    support.refused("ValidationError", nil, select(2, bus:events { type = 1 }), "type")
    support.refused("ValidationError", nil, select(2, bus:events { kind = "x" }), "kind")
  end)

  it("an id given twice is refused: a repeated call is recognised", function()
    listen("E")
    assert.equal("e1", m.client:publish_event("E", nil, { n = 1 }, "e1"))
    local before = support.census(m)
    support.refused("ConflictError", nil, select(2, m.client:publish_event("E", nil, { n = 2 }, "e1")), "e1")
    assert.equal(before, support.census(m))
    assert.same({ "E1" }, heard)
  end)

  it("that make no sense are refused, and nothing is heard of them", function()
    listen("*")
    local before = support.census(m)
    local cycle = {}
    cycle.c = cycle
    support.refused("ValidationError", nil, select(2, bus:publish("")), "event_type", "empty")
    support.refused("ValidationError", nil, select(2, bus:publish("\xff")), "event_type", "UTF-8")
    support.refused("ValidationError", nil, select(2, bus:publish("E", cycle)), "data", "$.c")
    support.refused("ValidationError", nil, select(2, bus:publish("E", { 0 / 0 })), "data", "$[0]")
    support.refused("ValidationError", nil, select(2, bus:publish("E", print)), "data", "function")
    support.refused("ValidationError", nil, select(2, bus:publish("E", {}, "\xff")), "source", "UTF-8")
    support.refused("ValidationError", nil, select(2, bus:register_handler("", print)), "event_type")
    support.raises_here(function() bus:publish(nil) end, "publish", "event_type", "string")
    support.raises_here(function() bus:publish("E", {}, 5) end, "publish", "source", "string")
    support.raises_here(function() m:publish_event(nil) end, "publish_event", "event_type")
    support.raises_here(function() m.client:publish_event(nil) end, "publish_event", "event_type")
    support.raises_here(function() bus:register_handler("E") end, "register_handler", "fn", "callable")
    support.raises_here(function() bus:register_handler(nil, print) end, "register_handler", "event_type")
    support.raises_here(function() bus:events(5) end, "events", "options")
    assert.equal(before, support.census(m))
    assert.same({}, heard)
  end)

  it("a handler may shut the universe down; the events behind it are heard by nobody", function()
    assert(bus:register_handler("E", function()
      heard[#heard + 1] = "closing"
      assert(m:shutdown())
    end))
    listen("E", "second")
    local conn_events = 0
    assert(m.client:subscribe_event_log_changes(function() conn_events = conn_events + 1 end))
    assert(bus:publish("E"))
    support.wait_until(function() return not m:is_initialized() end)
    assert.equal("closing", heard[1])
    assert.is_false(m:is_initialized())
    support.raises_here(function() bus:publish("E") end, "closed")
    support.raises_here(function() bus:register_handler("E", print) end, "closed")
  end)
end)

describe("the client's subscriptions to changes", function()
  local m, heard
  before_each(function()
    m = support.open()
    heard = {}
  end)
  after_each(support.clean)

  local function note(kind, row, old)
    heard[#heard + 1] = { kind, row, old }
  end

  it("tell of entities INSERTED, UPDATED with the old row, DELETED with the row that is gone", function()
    assert(m:create_entity("T", nil, "before"))
    local handle = assert(m.client:subscribe_entity_changes(note))
    assert.equal(0, #heard, "rows that are there already are no changes")
    assert(m:create_entity("T", { name = "one", properties = { x = 1.0 } }, "a"))
    assert(m:update_entity("a", { name = "two", properties = { x = 2 } }))
    assert(m:delete_entity("a"))
    assert(m:delete_entity("before"))
    assert.same({ "INSERTED", "UPDATED", "DELETED", "DELETED" }, support.pluck(heard, 1))
    support.exactly({ x = 1.0 }, heard[1][2].metadata.properties)
    assert.same({ "two", "one" }, { heard[2][2].metadata.name, heard[2][3].metadata.name })
    support.exactly({ x = 1.0 }, heard[2][3].metadata.properties)
    assert.same({ "a", "two" }, { heard[3][2].id, heard[3][2].metadata.name })
    assert.is_nil(heard[1][3])
    assert.is_nil(heard[3][3])
    handle:cancel()
    handle:cancel()
    assert(m:create_entity("T"))
    assert.equal(4, #heard)
  end)

  it("tell of rows that are there already when asked to", function()
    assert(m:create_entity("T", nil, "before"))
    local handle = assert(m.client:subscribe_entity_changes(note, { initial = true }))
    support.wait_until(function() return #heard == 1 end)
    assert.same({ "INSERTED", "before" }, { heard[1][1], heard[1][2].id })
    handle:cancel()
    assert.equal(1, #heard, "ending a subscription is no deletion")
  end)

  it("tell of relations, versions and the event log", function()
    assert(m:create_entity("T", nil, "a"))
    local kinds = {}
    local function into(name)
      return function(kind, row)
        kinds[#kinds + 1] = name .. kind
        assert.is_table(row.metadata or row.data)
      end
    end
    local handles = {
      assert(m.client:subscribe_relation_changes(into "relation ")), assert(m.client:subscribe_version_changes(into "version ")),
    }
    assert(m:create_relation("a", "a", "R", nil, "r"))
    assert(m:update_relation("r", { strength = 0.5 }))
    assert(m:delete_relation("r"))
    assert(m:commit_version({ a = 1 }))
    assert.same({ "relation INSERTED", "relation UPDATED", "relation DELETED", "version INSERTED" }, kinds)
    for _, handle in ipairs(handles) do handle:cancel() end
    assert(m.client:subscribe_event_log_changes(note))
    assert(m:publish_event("E", { x = 1 }))
    assert.equal("INSERTED", heard[1][1])
    support.exactly({ x = 1 }, heard[1][2].data)
  end)

  it("two of them do not hear each other's beginnings and ends", function()
    assert(m:create_entity("T", nil, "a"))
    local one = assert(m.client:subscribe_entity_changes(note))
    local two = assert(m.client:subscribe_entity_changes(note))
    two:cancel()
    assert.equal(0, #heard)
    assert(m:update_entity("a", {}))
    assert.equal(1, #heard)
    one:cancel()
    assert.equal(1, #heard)
  end)

  it("want a function", function()
    support.raises_here(function() m.client:subscribe_entity_changes() end, "subscribe_entity_changes", "fn", "callable")
    support.raises_here(function() m.client:subscribe_relation_changes(5) end, "subscribe_relation_changes", "fn", "callable")
  end)
end)
