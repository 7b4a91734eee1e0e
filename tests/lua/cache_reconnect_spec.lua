-- The cache's entities and a connection that fails: nothing that was kept is answered while it is away or after it came back, and a read that is under way
-- while the entity changes is not kept. The server is the double of tests/peer. IU_TEST_SEED repeats a run's choices.

local iu = require "inner_universe"
local peers = require "peer"
local support = require "support"

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local CUTS = 30

local peer, other, m

local function open(config)
  config = config or {}
  config.plugins, config.log_level = { cache = true }, "error"
  local name = peer:database()
  local target = ("ws://%s/%s"):format(peer.address, name)
  m = support.owned(assert(iu.open(target, config)))
  other = support.owned(assert(iu.connect(target, { reconnect = { min_delay = 0.002, max_delay = 0.02 } })))
  return m
end

local wait_until = support.wait_until

local function phase() return m.client:connection():state().phase end
local function row(n) return { name = tostring(n), tags = {}, properties = "{}" } end
local function number_of(id) return tonumber(assert(m:get_entity(id)).metadata.name) end
local function stats() return m.cache:stats().entities end

describe("kept entities of a connection that fails", function()
  setup(function()
    print("# cache_reconnect_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    peer = peers.start()
  end)
  teardown(function() peer:stop() end)
  after_each(function()
    peer:fault('{"reset":true}')
    support.clean()
  end)

  it("are not answered while it is away, and asked for anew when it is back", function()
    open { reconnect_min_delay_ms = 300, reconnect_max_delay_ms = 300 }
    assert(other:call("create_entity", "T", row(1), "e"))
    assert.equal(1, number_of("e"))
    assert.equal(1, number_of("e"))
    assert.same({ 1, 1, 1 }, { stats().kept, stats().misses, stats().hits })
    peer:fault('{"restart_ms":20}')
    wait_until(function() return phase() ~= "connected" end, "the loss")
    assert.equal(0, stats().kept)
    local entity, err = m:get_entity("e")
    assert.is_nil(entity)
    assert.equal("ConnectionError", err.kind)
    wait_until(function() return other:state().phase == "connected" end, "the other one")
    assert(other:call("update_entity", "e", row(2)))
    wait_until(function() return phase() == "connected" end, "connected again")
    assert.equal(2, number_of("e"))
    assert(other:call("update_entity", "e", row(3)))
    assert(m.client:get_entity("e"))
    assert.equal(3, number_of("e"))
  end)

  it("are never older than what was acknowledged before the server was last heard, wherever the connection is cut", function()
    open { reconnect_min_delay_ms = 2, reconnect_max_delay_ms = 20 }
    local names, written = {}, {}
    for i = 1, 5 do
      names[i], written[i] = "e" .. i, 0
      assert(other:call("create_entity", "T", row(0), names[i]))
    end
    local cuts, checked = 0, 0
    while cuts < CUTS or checked < CUTS do
      local i = math.random(5)
      if math.random(4) == 1 then
        cuts = cuts + 1
        peer:fault(math.random(2) == 1 and '{"cut":true}' or ('{"cut_after":%d}'):format(math.random(2000)))
      end
      written[i] = written[i] + 1
      wait_until(function() return (other:call("update_entity", names[i], row(written[i]))) end, "a write")
      for j = 1, 5 do
        local least = written[j]
        local heard = m.client:get_entity(names[j]) -- asks the server, so all that it told before is here
        local entity = m:get_entity(names[j])
        if heard and entity then
          assert.is_true(tonumber(heard.metadata.name) >= least)
          checked = checked + 1
          assert.is_true(tonumber(entity.metadata.name) >= least, "a stale entity after " .. cuts .. " cuts")
        end
      end
    end
    peer:fault('{"cut_after":-1}')
    wait_until(function() return phase() == "connected" and m:get_entity("e1") ~= nil end, "connected again")
    for i = 1, 5 do assert.equal(written[i], number_of(names[i])) end
    assert.is_true(stats().hits > 0 and stats().cleared > 0)
  end)

  it("that are read while they change are those of after the change", function()
    open()
    assert(other:call("create_entity", "T", row(1), "e"))
    peer:fault('{"hold":true}')
    local first
    iu.spawn(function() first = number_of("e") end)
    iu.sleep(0.01)
    local done
    assert(other:call_async(function(ok, err) done = ok or err end, "update_entity", "e", row(2)))
    iu.sleep(0.01)
    peer:fault('{"hold":false}')
    wait_until(function() return done and first end, "both answers")
    assert.is_true(done)
    assert(m.client:get_entity("e"))
    assert.is_true(first == 1 or first == 2)
    assert.equal(2, number_of("e"))
    assert.equal(1, stats().misses)
  end)

  it("are none where a subscription holds the whole table", function()
    open()
    assert(other:call("create_entity", "T", row(1), "e"))
    local conn = m.client:connection()
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    assert(sub:wait())
    assert.equal(1, number_of("e"))
    assert.same({ 0, 1 }, { stats().kept, stats().passed })
    assert(sub:unsubscribe())
    support.wait_until(function() return conn.tables.entity:count() == 0 end)
    assert.equal(1, number_of("e"))
    assert.equal(1, stats().kept)
  end)
end)
