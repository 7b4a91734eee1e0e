-- What a reducer in Lua may take: time and memory, whatever it catches; and the fields that it may not leave behind.

local iu = require "inner_universe"
local support = require "support"

local run

local function module()
  return assert(iu.module("m", {
    tables = { t = { columns = { { "id", "u64" }, { "v", "string" } }, primary_key = "id", auto_inc = "id" } },
    reducers = { test = function(ctx) return run(ctx) end, outer = function(ctx) return pcall(ctx.call, ctx, "test") end },
  }))
end

describe("the caps of a reducer", function()
  after_each(support.clean)
  if support.on_server then
    it("are for embedded universes", function()
      for _, name in ipairs({ "reducer_timeout_ms", "reducer_memory_mb" }) do
        local conn, err = iu.connect(support.target(), { [name] = 100 })
        assert.is_nil(conn)
        assert.equal("ValidationError", err.kind)
        assert.truthy(err.message:find(name, 1, true), err.message)
      end
    end)
    return
  end

  local function stopped(conn, kind, option, fn, reducer)
    run = fn
    local started = os.clock()
    local ok, err = conn:call(reducer or "test")
    assert.is_nil(ok)
    assert.equal(kind, err.kind, tostring(err))
    assert.matches(option, err.message)
    assert.equal(0, #assert(conn:select("t")))
    assert.is_true(os.clock() - started < 20)
    assert.is_nil((debug.gethook()))
    run = function(ctx) ctx.db.t:insert { v = "after" } end -- and the next one runs
    assert(conn:call("test"))
    run = function(ctx) ctx.db.t:delete_where {} end
    assert(conn:call("test"))
  end

  it("end one that runs too long, in whatever it hides", function()
    local conn = support.connect({ module = module(), reducer_timeout_ms = 60 })
    local function forever(ctx)
      ctx.db.t:insert { v = "gone" }
      while true do end
    end
    stopped(conn, "TimeoutError", "reducer test: runs longer than reducer_timeout_ms = 60", forever)
    stopped(conn, "TimeoutError", "reducer_timeout_ms", function(ctx)
      while true do pcall(forever, ctx) end
    end)
    stopped(conn, "TimeoutError", "reducer_timeout_ms", function(ctx) -- caught, and returned as if nothing had been
      pcall(forever, ctx)
    end)
    stopped(conn, "TimeoutError", "reducer_timeout_ms", function(ctx)
      while true do coroutine.wrap(function() pcall(forever, ctx) end)() end
    end)
    stopped(conn, "TimeoutError", "reducer_timeout_ms", forever, "outer")
    stopped(conn, "TimeoutError", "reducer_timeout_ms", function(ctx) -- hardly any Lua in it
      for i = 1, 3000 do ctx.db.t:insert { v = "x" .. i } end
      while true do ctx.db.t:delete_where(math.type) end
    end)
  end)

  it("end one that needs too much memory, but not for garbage", function()
    local conn = support.connect({ module = module(), reducer_memory_mb = 8 })
    stopped(conn, "OverloadedError", "reducer test: needs more of Lua's memory than reducer_memory_mb = 8", function(ctx)
      ctx.db.t:insert { v = "gone" }
      local list = {}
      while #list >= 0 do list[#list + 1] = { #list } end
    end)
    stopped(conn, "OverloadedError", "reducer_memory_mb", function()
      local list = {}
      pcall(function() while #list >= 0 do list[#list + 1] = ("x"):rep(1000) .. #list end end)
    end)
    run = function()
      local kept
      for i = 1, 200000 do kept = { i, kept = ("y"):rep(100) .. i } end
      return kept
    end
    assert(conn:call("test"))
  end)

  it("leave a hook that was there before", function()
    local conn = support.connect({ module = module() })
    local calls = 0
    local function mine() calls = calls + 1 end
    debug.sethook(mine, "", 1000000)
    run = function() end
    assert(conn:call("test"))
    local hook, _, count = debug.gethook()
    debug.sethook()
    assert.equal(mine, hook)
    assert.equal(1000000, count)
  end)

  it("are options that are checked", function()
    for _, name in ipairs({ "reducer_timeout_ms", "reducer_memory_mb" }) do
      local conn, err = iu.connect("memory:", { module = module(), [name] = 0 })
      assert.is_nil(conn)
      assert.equal("ValidationError", err.kind)
      assert.matches(name .. ": 1 or more expected", err.message)
    end
  end)

  it("bound a transaction's bytes", function()
    local conn = support.connect({ module = module() })
    run = function(ctx)
      local v = ("x"):rep(1 << 20)
      for _ = 1, 40 do ctx.db.t:insert { v = v } end
    end
    local ok, err = conn:call("test")
    assert.is_nil(ok)
    assert.equal("OverloadedError", err.kind)
    assert.equal(0, #assert(conn:select("t")))
    run = function(ctx) ctx.db.t:insert { v = ("x"):rep((32 << 20) + 1) } end
    ok, err = conn:call("test")
    assert.is_nil(ok)
    assert.equal("OverloadedError", err.kind)
  end)

  it("are of the rows that a transaction writes", function()
    local conn = support.connect({ module = iu.module("rows", {
      tables = { n = { columns = { { "id", "u32" } }, primary_key = "id" } },
      reducers = { fill = { params = { { "count", "u32" } }, run = function(ctx, count)
        for i = 1, count do ctx.db.n:insert { id = i } end
      end } },
    }), reducer_timeout_ms = 60000 })
    local ok, err = conn:call("fill", 1000001)
    assert.is_nil(ok)
    assert.equal("OverloadedError", err.kind)
    assert.matches("transaction over 1000000 rows", err.message)
    assert.same({ { n = 0 } }, assert(conn:query("SELECT COUNT(*) AS n FROM n")))
    assert(conn:call("fill", 10))
    assert.same({ { n = 10 } }, assert(conn:query("SELECT COUNT(*) AS n FROM n")))
  end)

  it("leave no reference behind", function()
    local core = require "inner_universe.core"
    collectgarbage()
    local before = core.debug_refs()
    local conn = support.connect({ module = module() })
    run = function(ctx)
      ctx.db.t:insert { v = ctx.sender }
      local step, iter = ctx.db.t:iter()
      return step(iter), ctx.connection_id
    end
    assert(conn:call("test"))
    assert.is_true(core.debug_refs() > before)
    assert(conn:close())
    assert.equal(before, core.debug_refs())
    local failed = iu.connect("memory:", { module = module(), pending_bytes_max = 1 })
    assert.is_nil(failed)
    assert.equal(before, core.debug_refs())
  end)
end)
