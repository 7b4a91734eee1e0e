-- A server that is killed (SIGKILL) and started again while a process works at workflows on it: the runs are taken up again from their records when the
-- connection is back, and transactions are applied once (what the server itself has lost, record and rows, is done again). A server of its own, so that
-- no other test loses its own.
-- sanitizers: skip (crash_workflow_server_spec does the like on the runner's server)

local iu = require "inner_universe"
local spacetimedb = require "spacetimedb"
local support = require "support"

local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

local RUNS, STEPS = 6, 12

describe("workflows on a server that is killed and started again", function()
  local server
  after_each(function()
    support.clean()
    if server then server:remove() end
    server = nil
  end)

  with_server("go on when it is back, and apply each transaction once", function()
    server = spacetimedb.start()
    local name = spacetimedb.name()
    local token = spacetimedb.publish(name, nil, nil, server)
    local target = ("ws://127.0.0.1:%d/%s"):format(server.port, name)
    local m = assert(iu.open(target, { token = token, log_level = "off", reconnect_min_delay_ms = 50, plugins = { workflow = { lease = 1.0 } } }))
    support.owned(m)
    local w = assert(m:plugin("workflow"))
    assert(m:create_entity("Counter", { properties = { n = 0 } }, "counter"))
    local done = 0
    assert(w:define("order", { run = function(wf)
      for i = 1, STEPS do
        local result = wf:step("s" .. i, function()
          iu.sleep(0.002)
          return i
        end)
        if result ~= i then error("a wrong result") end
        local key = wf.id .. i
        local ok, err = wf:transaction("t" .. i, function(tx)
          local row, why = tx:get_entity("counter")
          if not row then return nil, why end
          row.metadata.properties.n = row.metadata.properties.n + 1
          if not tx:create_entity("Mark", nil, key) then return nil end
          return tx:update_entity("counter", row.metadata)
        end, { retry = { max_attempts = 50, initial_delay = 0.005 } })
        if not ok then return nil, err end
        done = done + 1
      end
      return "fine"
    end }))
    for i = 1, RUNS do assert(w:start("order", nil, { id = "run" .. i })) end
    for _, at in ipairs { RUNS * 2, RUNS * 5 } do
      support.wait_until(function() return done >= at end)
      server:kill()
      iu.sleep(0.2)
      server:restart()
    end
    for i = 1, RUNS do
      local output, err = w:wait("run" .. i, 60)
      assert.equal("fine", output, tostring(err))
    end
    assert.equal(RUNS * STEPS, m:get_entity("counter").metadata.properties.n)
    assert.equal(RUNS * STEPS, #assert(m:query_entities { entity_type = "Mark" }))
    assert.is_true(select(2, w:health()).lost > 0)
    support.take_reported()
  end)
end)
