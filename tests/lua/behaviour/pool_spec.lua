-- The pool plugin: leases in turn, how they end, what is left when tasks die, identities, bounds. What becomes of a server's connections:
-- tests/lua/pool_spec.lua.

local iu = require "inner_universe"
local support = require "support"

describe("pool", function()
  after_each(support.clean)

  local function open(config)
    local m = support.open { plugins = { pool = config or true } }
    return m, m.pool
  end

  local function now(pool, ...)
    local numbers, out = pool:statistics(), {}
    for i, name in ipairs { ... } do out[i] = numbers[name] end
    return out
  end

  it("lends connections to the universe", function()
    local m, pool = open()
    local lease = assert(pool:acquire())
    assert(lease.conn:call("create_entity", "T", { tags = {}, properties = "{}" }, "made"))
    assert.equal(m.client:connection():identity(), lease.conn:identity())
    assert.same({ 1, 1, 0 }, now(pool, "leased", "acquired", "released"))
    assert.is_false(lease:is_released())
    assert.is_true(lease:release())
    assert.is_true(lease:release())
    assert.is_true(lease:is_released())
    support.raises_here(function() return lease.conn end, "released")
    assert.same({ 0, 1, 1 }, now(pool, "leased", "acquired", "released"))
    assert(m:get_entity("made"))
    local well, facts = pool:health()
    assert.is_true(well)
    assert.equal(8, facts.max)
  end)

  it("`with` gives it back whatever the function does", function()
    local _, pool = open { max = 1 }
    assert.same({ 1, nil, 3 }, { pool:with(function(conn, lease)
      assert.equal(conn, lease.conn)
      return 1, nil, 3
    end) })
    local ok, raised = pcall(pool.with, pool, function() error("on purpose") end)
    assert.is_false(ok)
    assert.truthy(raised:find("on purpose", 1, true))
    assert.same({ nil, "err" }, { pool:with(function() return nil, "err" end) })
    assert.same({ 0, 3, 3 }, now(pool, "leased", "acquired", "released"))
  end)

  it("leases are limited, and waited for in turn", function()
    local _, pool = open { max = 2 }
    local most, order = 0, {}
    iu.run(function()
      for i = 1, 12 do
        iu.spawn(function()
          local lease <close> = assert(pool:acquire())
          order[#order + 1] = i
          most = math.max(most, pool:statistics().leased)
          iu.sleep(0.002)
          assert.is_false(lease:is_released())
        end)
      end
    end)
    assert.equal(2, most)
    assert.same({ 0, 12, 0 }, now(pool, "leased", "released", "waiting"))
    local first = {}
    for i = 1, 12 do first[i] = i end
    if support.on_server then table.sort(order) end -- the first two connections are opened side by side
    assert.same(first, order)
    assert.equal(10, pool:statistics().waited)
  end)

  it("nobody waits longer than it wants to, and hears why", function()
    local _, pool = open { max = 1, timeout_ms = 20 }
    local lease = assert(pool:acquire())
    local err = support.refused("TimeoutError", nil, select(2, pool:acquire { timeout = 0.01 }), "within 0.01 s", "max 1: 1 are lent")
    assert.is_true(err.retryable)
    support.refused("TimeoutError", nil, select(2, pool:acquire()), "within 0.02 s")
    assert.same({ 2, 0 }, now(pool, "timeouts", "waiting"))
    lease:release()
    assert(pool:acquire()):release()
  end)

  it("only so many may wait", function()
    local _, pool = open { max = 1, waiting_max = 2 }
    local refused = 0
    iu.run(function()
      for _ = 1, 6 do
        iu.spawn(function()
          local lease <close>, err = pool:acquire()
          if lease then return iu.sleep(0.005) end
          support.refused("OverloadedError", nil, err, "pool: 2 wait")
          refused = refused + 1
        end)
      end
    end)
    assert.equal(3, refused)
    assert.equal(3, pool:statistics().overloaded)
  end)

  it("a task that ends without giving back has given back", function()
    local _, pool = open { max = 1 }
    local kept = {}
    iu.run(function()
      iu.spawn(function() kept[1] = assert(pool:acquire()) end)
      iu.spawn(function()
        kept[2] = assert(pool:acquire())
        error("on purpose")
      end)
      local task = iu.spawn(function()
        kept[3] = assert(pool:acquire())
        iu.sleep(60)
      end)
      while not kept[3] do iu.sleep(0.001) end
      task:cancel()
      assert(pool:acquire()):release()
    end)
    assert.equal(1, #support.take_reported())
    for i = 1, 3 do assert.is_true(kept[i]:is_released()) end
    assert.same({ 0, 3, 1 }, now(pool, "leased", "ended_with_task", "released"))
  end)

  it("one that is cancelled while it waits, or has just been given a lease, takes none with it", function()
    local _, pool = open { max = 1 }
    iu.run(function()
      local lease = assert(pool:acquire())
      local tasks = {}
      for i = 1, 4 do tasks[i] = iu.spawn(function() assert(pool:acquire()) end) end
      iu.sleep(0)
      iu.sleep(0)
      tasks[2]:cancel()
      lease:release()
      tasks[1]:cancel()
      assert(pool:acquire { timeout = 10 }):release()
    end)
    assert.same({ 0, 0 }, now(pool, "leased", "waiting"))
  end)

  it("a lease that is detached outlives its task, and is given back when it is forgotten", function()
    local _, pool = open { max = 1 }
    local kept
    iu.run(function()
      iu.spawn(function()
        kept = assert(pool:acquire())
        kept:detach()
      end)
    end)
    assert.is_false(kept:is_released())
    support.refused("TimeoutError", nil, select(2, pool:acquire { timeout = 0.001 }))
    kept = nil
    collectgarbage()
    collectgarbage()
    assert(pool:acquire { timeout = 5 }):release()
    assert.equal(1, pool:statistics().collected)
  end)

  it("handlers have leases, too", function()
    local m, pool = open { max = 1 }
    local heard, held = 0, nil
    assert(m.event_bus:register_handler("E", function()
      held = assert(pool:acquire())
      heard = heard + 1
    end))
    iu.run(function()
      for _ = 1, 3 do assert(m:publish_event("E")) end
      local ends = os.time() + 10
      while heard < 3 and os.time() < ends do iu.sleep(0.002) end
    end)
    assert.equal(3, heard)
    assert.is_true(held:is_released())
    assert.equal(3, pool:statistics().ended_with_task)
  end)

  it("with an identity it is a connection of its own", function()
    local m, pool = open { max = 2 }
    if support.on_server then
      support.refused("ValidationError", nil, select(2, pool:acquire { identity = ("a"):rep(64) }), "embedded")
      local other = assert(iu.server((support.target_of(m):match("^ws(://[^/]+)"):gsub("^", "http"))):identity())
      pool:with(function(conn) assert.equal(other.identity, conn:identity()) end, { token = other.token })
    else
      support.refused("ValidationError", nil, select(2, pool:acquire { token = "x" }), "servers")
      support.refused("ValidationError", nil, select(2, pool:acquire { identity = "x" }))
      local lease = assert(pool:acquire { identity = ("a"):rep(64) })
      local conn = lease.conn
      assert.equal(("a"):rep(64), conn:identity())
      support.refused("AuthorizationError", nil, select(2, conn:call("update_config", "k", "v", "")))
      assert.equal(m.client:connection(), assert(pool:acquire()).conn)
      lease:release()
      support.wait_until(function() return conn:is_closed() end)
    end
    assert.equal(1, pool:statistics().own)
  end)

  it("wrong types raise, unknown options and a configuration that makes no sense are refused", function()
    local _, pool = open()
    support.raises_here(function() pool:acquire(5) end, "options")
    support.raises_here(function() pool:with() end, "fn")
    support.refused("ValidationError", nil, select(2, pool:acquire { time = 5 }), "timeout")
    support.refused("ValidationError", nil, select(2, pool:with(print, { timeout = "x" })), "timeout")
    assert.same({ 0, 0 }, now(pool, "leased", "acquired"))
    for _, config in ipairs { { max = 0 }, { min = 3, max = 2 }, { timeout_ms = 0 }, { idle_ms = -1 }, { upkeep_ms = 1 }, { maximum = 5 } } do
      support.refused("PluginError", support.open({ plugins = { pool = config }, log_level = "off" }):plugin("pool"))
    end
  end)

  it("ends with the universe: who waits hears it, leases are over", function()
    local m, pool = open { max = 1 }
    local lease, err
    iu.run(function()
      lease = assert(pool:acquire())
      iu.spawn(function() err = select(2, pool:acquire()) end)
      iu.sleep(0)
      iu.sleep(0)
      assert(m:shutdown())
    end)
    support.refused("ConnectionError", nil, err, "closed")
    assert.is_true(lease:is_released())
    assert.is_true(lease:release())
    support.raises_here(function() pool:acquire() end, "closed")
    support.raises_here(function() pool:with(print) end, "closed")
  end)

  it("leaves nothing behind after many leases and dead tasks", function()
    local _, pool = open { max = 3 }
    iu.run(function()
      for i = 1, 60 do
        local task = iu.spawn(function()
          local lease = assert(pool:acquire())
          if i % 3 == 0 then lease:release() end
          if i % 5 == 0 then iu.sleep(0.002) end
        end)
        if i % 7 == 0 then iu.spawn(function() task:cancel() end) end
      end
    end)
    assert.same({ 0, 0 }, now(pool, "leased", "waiting"))
    local numbers = pool:statistics()
    assert.equal(numbers.acquired, numbers.released + numbers.ended_with_task + numbers.collected)
    if support.on_server then assert.is_true(numbers.idle <= 3 and numbers.opened <= 60) end
  end)
end)
