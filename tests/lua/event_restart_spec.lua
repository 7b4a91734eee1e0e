-- Handlers, consumers, requests and workflows of a server that is away for longer than a call is asked for again, and comes back on its data: all of them go on
-- by themselves, nothing is missed, what is once is once. A server of its own, so that no other test loses its own.
-- sanitizers: skip (it waits for a real server most of the time)

local iu = require "inner_universe"
local spacetimedb = require "spacetimedb"
local support = require "support"

local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

local AWAY = 6.5      -- seconds; consumers ask for 5
local EVENTS = 60     -- each before and after
local WAIT = 60

describe("a server that is away for long", function()
  local server
  after_each(function()
    support.clean() -- fails the test when something was reported
    if server then server:remove() end
    server = nil
  end)

  with_server("finds consumers, handlers and workflows where they were", function()
    local name = spacetimedb.name()
    server = spacetimedb.start()
    local token = assert(spacetimedb.publish(name, nil, nil, server))
    local m = support.open({
      token = token, log_level = "off", reconnect_min_delay_ms = 20, reconnect_max_delay_ms = 200, plugins = { workflow = { lease = 1.0 } },
    }, server.address .. "/" .. name)
    local bus, workflows = m.event_bus, m.workflow
    local heard, handed, late, sent = {}, {}, {}, {}

    local function publish(from, to)
      for n = from, to do
        local id = "event " .. n
        repeat
          local ok, err = m.client:publish_event("N", nil, { n = n }, id)
          if not ok and err.kind == "ConflictError" then ok = true end -- it was there
          if not ok then
            assert(err.kind == "ConnectionError", tostring(err))
            iu.sleep(0.02)
          end
        until ok
        sent[n] = true
      end
      return true
    end

    iu.run(function()
      assert(bus:register_handler("N", function(message) heard[message.data.n] = (heard[message.data.n] or 0) + 1 end))
      local each = assert(bus:consumer("each", { types = "N", from = "start", batch = 10, max_attempts = 1000, retry_delay = 0.01, handler = function(d)
        handed[d.data.n] = (handed[d.data.n] or 0) + 1
        iu.sleep(0.002)
      end }))
      local slow = assert(bus:consumer("slow", { types = "N", from = "start", batch = 5, max_attempts = 1000, handler = function(d)
        late[d.data.n] = true
        iu.sleep(0.03) -- so that it has a claim when the server goes
      end }))
      local once = assert(bus:consumer("once", { types = "N", from = "start", batch = 10, max_attempts = 1000, retry_delay = 0.01, handler = function(d)
        return d:transaction(function(tx) return tx:create_entity("Done", { properties = { n = d.data.n } }) end)
      end }))
      assert(workflows:define("long", { retry = { max_attempts = 1000, initial_delay = 0.05 }, run = function(wf, input)
        for i = 1, 20 do
          assert(wf:step("sleep " .. i, function() iu.sleep(0.05) end))
          assert(wf:transaction("mark", function(tx) return tx:create_entity("Mark", nil, ("%s:%d"):format(input, i)) end))
        end
        return input
      end }))
      for _, id in ipairs { "one", "two" } do assert(workflows:start("long", id, { id = id })) end
      publish(1, EVENTS)
      iu.sleep(0.5) -- until it is on disk: killed at once, 1.2.0 has lost what it answered
      assert.is_true(slow:status().working)
      server:kill()
      local later = iu.spawn(publish, EVENTS + 1, 2 * EVENTS)
      iu.sleep(AWAY)
      server:restart()
      assert(later:wait(WAIT))
      for _, consumer in ipairs { each, slow, once } do
        assert(consumer:wait_idle(WAIT))
        assert.equal(0, consumer:lag())
      end
      for _, id in ipairs { "one", "two" } do assert.equal(id, workflows:wait(id, WAIT)) end
    end)
    local done = {}
    for _, entity in ipairs(assert(m:query_entities { entity_type = "Done" })) do
      local n = entity.metadata.properties.n
      assert.is_nil(done[n], ("event %d was done twice"):format(n))
      done[n] = true
    end
    for n = 1, 2 * EVENTS do
      assert.is_true(sent[n] and done[n] and late[n] and handed[n] ~= nil, ("event %d is missing"):format(n))
      assert.equal(1, heard[n])
    end
    assert.equal(40, #m:query_entities { entity_type = "Mark" })
  end)

  with_server("and has lost its last events, is heard from there: others with the same sequences are missed by nobody", function()
    local name = spacetimedb.name()
    server = spacetimedb.start()
    local token = assert(spacetimedb.publish(name, nil, nil, server))
    local target = server.address .. "/" .. name
    local m = support.open({ token = token, log_level = "off", reconnect_min_delay_ms = 20, reconnect_max_delay_ms = 200 }, target)
    local bus, conn = m.event_bus, m.client:connection()
    local heard, handed = {}, {}

    local function connected(times)
      support.wait_until(function() return conn:status().connects == times and conn:state().phase == "connected" end)
    end
    local function publish(from, to)
      for n = from, to do assert(m.client:publish_event("N", nil, { n = n }, "event " .. n)) end
    end
    local function note(into) return function(message) into[message.data.n] = (into[message.data.n] or 0) + 1 end end

    iu.run(function()
      assert(bus:register_handler("N", note(heard)))
      local each = assert(bus:consumer("each", { types = "N", from = "start", batch = 7, max_attempts = 1000, handler = note(handed) }))
      local rare = assert(bus:consumer("rare", { types = "RARE", from = "start", handler = function() end }))
      publish(1, 20)
      assert(each:wait_idle(WAIT))
      server:settle()
      server:stop()
      assert(os.execute(("cp -r '%s/data' '%s/before'"):format(server.folder, server.folder)))
      server:restart()
      connected(2)
      publish(21, 60)
      assert(each:wait_idle(WAIT))
      assert(rare:wait_idle(WAIT))
      server:kill()
      assert(os.execute(("rm -r '%s/data' && mv '%s/before' '%s/data'"):format(server.folder, server.folder, server.folder)))
      server:restart()
      connected(3)
      publish(61, 110)
      assert(each:wait_idle(WAIT))
      support.wait_until(function() return heard[110] end)
    end)
    for n = 1, 110 do assert.equal(1, heard[n], ("event %d was not heard once"):format(n)) end
    for n = 1, 110 do assert.is_true((handed[n] or 0) >= 1, ("event %d was not handed out"):format(n)) end
    for n = 61, 110 do assert.equal(1, handed[n]) end
    local left = {}
    for _, message in ipairs(bus:events { type = "N" }) do left[message.data.n] = true end
    assert.is_nil(left[21], "the server has lost nothing: the test tests nothing")
  end)
end)
