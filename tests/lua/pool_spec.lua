-- A pool's connections to a server: how many, how old, whether they are well, what was left on them, a server that goes.

local iu = require "inner_universe"
local command = require "command"
local peer = require "peer"
local spacetimedb = require "spacetimedb"
local support = require "support"

describe("a pool of connections", function()
  local server, manager, pool, target, token
  before_each(function()
    server = peer.start()
    local name
    name, token = server:database()
    target = ("ws://%s/%s"):format(server.address, name)
  end)
  after_each(function()
    if manager then manager:shutdown() end
    server:stop()
    manager = nil
    support.clean()
  end)

  local function open(config)
    manager = assert(iu.open(target,
      { token = token, log_level = "off", reconnect_min_delay_ms = 5, reconnect_max_delay_ms = 20, plugins = { pool = config } }))
    pool = assert(manager:plugin("pool"))
  end

  local function number(name) return pool:statistics()[name] end

  it("uses one again", function()
    open {}
    local first
    for _ = 1, 5 do
      pool:with(function(conn)
        first = first or conn:connection_id()
        assert.equal(first, conn:connection_id())
      end)
    end
    assert.same({ 1, 1 }, { number("opened"), number("idle") })
  end)

  it("opens no more than max, at the same moment either", function()
    open { max = 3, min = 2, upkeep_ms = 10 }
    local ids = {}
    iu.run(function()
      for _ = 1, 30 do
        iu.spawn(function()
          pool:with(function(conn)
            ids[conn:connection_id()] = true
            assert(conn:query("SELECT * FROM config"))
            assert.is_true(number("leased") + number("idle") + number("opening") <= 3)
          end)
        end)
      end
    end)
    local count = 0
    for _ in pairs(ids) do count = count + 1 end
    assert.is_true(count <= 3 and number("opened") <= 3)
  end)

  it("keeps min open, from the start", function()
    open { min = 2, max = 4, upkeep_ms = 10 }
    support.wait_until(function() return number("idle") == 2 end)
    local a = assert(pool:acquire())
    a.conn:close() -- whoever had it did what one should not
    a:release()
    assert.equal(1, number("broken"))
    support.wait_until(function() return number("idle") == 2 end)
  end)

  it("closes what nobody needs, down to min", function()
    open { min = 1, max = 4, idle_ms = 30, upkeep_ms = 10 }
    local leases = {}
    for i = 1, 4 do leases[i] = assert(pool:acquire()) end
    for i = 1, 4 do leases[i]:release() end
    assert.is_true(number("opened") >= 4)
    support.wait_until(function() return number("idle") == 1 end)
    assert.equal(3, number("unused"))
    iu.sleep(0.1)
    assert.equal(1, number("idle"))
  end)

  it("closes what has lived its life when it is given back", function()
    open { life_ms = 30 }
    local lease = assert(pool:acquire())
    local conn = lease.conn
    iu.sleep(0.05)
    assert.is_false(conn:is_closed())
    lease:release()
    support.wait_until(function() return conn:is_closed() end)
    assert.same({ 0, 1 }, { number("idle"), number("too_old") })
  end)

  it("asks one that was idle whether it is well, and takes another where it is not", function()
    open { check_ms = 0, check_timeout_ms = 50 }
    local id
    pool:with(function(conn) id = conn:connection_id() end)
    pool:with(function(conn) assert.equal(id, conn:connection_id()) end)
    assert.equal(1, number("checks"))
    server:fault('{"stall_ms":300}')
    pool:with(function(conn) assert.not_equal(id, conn:connection_id()) end)
    assert.same({ 2, 1 }, { number("checks"), number("broken") })
  end)

  it("lends none that is lost", function()
    open { check_ms = 60000 }
    local id
    pool:with(function(conn) id = conn:connection_id() end)
    server:fault('{"cut":true}')
    local own = manager.client:connection()
    support.wait_until(function() return own:state().phase == "connected" and own:status().connects == 2 end)
    pool:with(function(conn)
      assert.not_equal(id, conn:connection_id())
      assert(conn:query("SELECT * FROM config"))
    end)
    assert.equal(1, number("broken"))
  end)

  it("gives nobody what others have left on one: subscriptions, handlers, calls without an answer", function()
    open {}
    local leavings = {
      function(conn) assert(conn:subscribe("SELECT * FROM entity"):wait()) end,
      function(conn) conn.tables.entity:on_insert(function() end) end,
      function(conn) conn:on_state(function() end) end,
      function(conn) assert(conn:send("create_entity", "T", { tags = {}, properties = "{}" }, nil)) end,
    }
    for i, leave in ipairs(leavings) do
      pool:with(leave)
      assert.same({ i, 0 }, { number("left_over"), number("idle") })
    end
    pool:with(function(conn)
      local sub <close> = assert(conn:subscribe("SELECT * FROM entity"))
      assert(sub:wait())
      conn.tables.entity:on_insert(function() end):cancel()
    end)
    assert.same({ 4, 1 }, { number("left_over"), number("idle") })
  end)

  it("says that none can be opened, and is well when one can", function()
    open { max = 2 }
    assert(pool:acquire()):release()
    server:fault('{"restart_ms":400}')
    iu.sleep(0.02)
    local lease, err = pool:acquire()
    assert.is_nil(lease)
    assert.equal("ConnectionError", err.kind)
    local well, why = pool:health()
    assert.is_nil(well)
    assert.truthy(why:find("could not be opened", 1, true))
    assert.same({ 0, 0 }, { number("leased"), number("waiting") })
    support.wait_until(function() return pool:with(function() return true end) end)
    assert.is_true(pool:health())
  end)

  it("a task that dies while a connection is opened for it leaves no lease", function()
    open { max = 1 }
    server:fault('{"upgrade_delay_ms":100}')
    iu.run(function()
      local task = iu.spawn(function() assert(pool:acquire()) end)
      support.wait_until(function() return number("opening") == 1 end)
      task:cancel()
      assert.same({ 0, 0 }, { number("leased"), number("opening") })
    end)
    server:fault('{"upgrade_delay_ms":0}')
    assert(pool:acquire { timeout = 5 }):release()
  end)

  it("closes all of them with the universe, lent ones too", function()
    open { max = 3 }
    local a, b = assert(pool:acquire()), assert(pool:acquire())
    local first, second = a.conn, b.conn
    b:release()
    assert(manager:shutdown())
    assert.is_true(first:is_closed() and second:is_closed())
  end)

  it("another identity is the one that was asked for, whatever the environment says", function()
    local other = spacetimedb.identity(server)
    local program = support.path() .. ".lua"
    support.write(program, [[
      local iu = require "inner_universe"
      local m = assert(iu.open(arg[1], { log_level = "off", plugins = { pool = {} } }))
      local lease = assert(m.pool:acquire { token = arg[2] })
      local own = assert(m.pool:acquire {})
      print(lease.conn:identity(), own.conn:identity() == m.client:connection():identity())
      m:shutdown()]])
    local run = command.sh(("INNER_UNIVERSE_TOKEN=%s INNER_UNIVERSE_PORT=1 INNER_UNIVERSE_DATABASE=elsewhere scripts/iu run %s %s %s")
      :format(token, program, target, other.token))
    assert.same({ 0, other.identity .. "\ttrue\n", "" }, { run.status, run.out, run.err })
  end)

  it("a connection that is being opened is not collected", function()
    server:fault('{"schema_delay_ms":100}')
    open { min = 1, upkeep_ms = 10 }
    support.wait_until(function()
      collectgarbage()
      return number("idle") == 1 or number("failed") > 0
    end)
    assert.same({ 1, 0 }, { number("idle"), number("failed") })
  end)

  it("whatever becomes of tasks, connections and the server, nothing is leaked", function()
    local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
    print("# pool_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local other = spacetimedb.identity(server)
    open {
      max = 4, min = 1, idle_ms = 50, life_ms = 300, check_ms = 20, check_timeout_ms = 100, upkeep_ms = 10, connect_timeout_ms = 300,
    }
    local ways = {
      function(options) -- kept until it is collected
        local lease = pool:acquire(options)
        if lease then lease:detach() end
      end,
      function(options) pcall(pool.with, pool, function() error("raised") end, options) end,
      function(options) -- ends with its task
        local lease = pool:acquire(options)
        if lease then lease.conn:query("SELECT * FROM config") end
      end,
      function(options)
        local lease = pool:acquire(options)
        if lease then lease.conn:subscribe("SELECT * FROM entity") end
      end,
      function(options)
        local lease = pool:acquire(options)
        if lease then lease.conn:close() end
      end,
      function(options)
        pool:with(function(conn)
          iu.sleep(math.random() * 0.02)
          if not conn:is_closed() then conn:query("SELECT * FROM config") end
        end, options)
      end,
    }
    local faults = { '{"cut":true}', '{"schema_delay_ms":200}', '{"restart_ms":50}', '{"hold":true}', '{"refuse_connect":true}' }
    local over = false
    iu.run(function()
      for _ = 1, 12 do
        iu.spawn(function()
          while not over do
            local options = { timeout = math.random() * 0.3, token = math.random(4) == 1 and other.token or nil }
            local task = iu.spawn(ways[math.random(#ways)], options)
            if math.random(3) == 1 then
              iu.sleep(math.random() * 0.02)
              task:cancel()
            else
              task:wait(2)
            end
            assert.is_true(number("leased") <= 4 and number("idle") <= 4)
          end
        end)
      end
      for _ = 1, 12 do
        pcall(server.fault, server, faults[math.random(#faults)])
        iu.sleep(0.1)
        pcall(server.fault, server, '{"schema_delay_ms":0,"hold":false,"refuse_connect":false}')
        iu.sleep(0.1)
      end
      over = true
    end)
    support.wait_until(function()
      collectgarbage()
      return number("leased") == 0 and number("opening") == 0 and number("idle") == 1
    end)
    local closed = 0
    for _, why in ipairs { "broken", "too_old", "unused", "left_over", "own" } do closed = closed + number(why) end
    assert.same({ 0, number("opened") - 1 }, { number("waiting"), closed })
    assert.is_true(number("acquired") > 20, "too little happened")
    assert.equal(number("acquired"), number("released") + number("ended_with_task") + number("collected"))
    for _ = 1, 4 do assert(pool:acquire { timeout = 5 }) end
  end)
end)
