-- A journal that is behind: writes in tasks and in plain code wait for room, what must not wait is refused; nobody's turn is lost meanwhile.

local iu = require "inner_universe"
local support = require "support"

local PIECE, BURST, TRIES = 1 << 20, 4, 200

local function module()
  return assert(iu.module("m", {
    tables = { t = { columns = { { "id", "u64" }, { "v", "string" } }, primary_key = "id", auto_inc = "id" } },
    reducers = {
      put = { params = { { "v", "string" } }, run = function(ctx, v) ctx.db.t:insert { v = v } end },
      burst = function(ctx) -- much more than may wait, at once
        local v = ("x"):rep(PIECE)
        for _ = 1, BURST do ctx.db.t:insert { v = v } end
      end,
      clear = function(ctx) ctx.db.t:delete_where(function(row) return #row.v == PIECE end) end,
    },
  }))
end

describe("a journal that is behind", function()
  after_each(support.clean)
  if support.on_server then
    it("is for embedded universes", function()
      local conn, err = iu.connect(support.target(), { pending_bytes_max = 1 << 20 })
      assert.is_nil(conn)
      assert.equal("ValidationError", err.kind)
      assert.matches("pending_bytes_max: for embedded universes only", err.message)
    end)
    return
  end

  it("has a cap that is checked", function()
    local conn, err = iu.connect(support.target(), { module = module(), pending_bytes_max = (64 << 10) - 1 })
    assert.is_nil(conn)
    assert.equal("ValidationError", err.kind)
    assert.matches("pending_bytes_max: expected at least 65536, got 65535", err.message)
  end)

  if not support.on_file then
    it("is none in memory", function()
      local conn = support.connect({ module = module(), pending_bytes_max = 64 << 10 })
      for _ = 1, 5 do
        assert(conn:call("burst"))
        assert(conn:send("put", "small"))
      end
    end)
    return
  end

  local function open() return support.connect({ module = module(), pending_bytes_max = 64 << 10 }) end

  -- Writes without waiting until one is refused: the disk is slower than memory.
  local function fill(conn)
    for _ = 1, TRIES do
      local ok, err = conn:send("burst")
      if not ok then return err end
      if #assert(conn:select("t")) > 40 then
        local cleared
        cleared, err = conn:send("clear")
        if not cleared then return err end
      end
    end
    error("the journal was never full")
  end

  it("refuses what does not wait, saying why", function()
    local err = fill(open())
    assert.equal("OverloadedError", err.kind)
    assert.is_true(err.retryable)
    assert.matches("the journal is behind: %d+ bytes of commits are not written yet %(pending_bytes_max = 65536%)", err.message)
  end)

  it("is waited for by plain code", function()
    local conn = open()
    for i = 1, 5 do
      fill(conn)
      assert(conn:call("put", "small " .. i))
    end
    assert.equal(5, assert(select(2, conn:select("t", { filters = { { field = "v", operator = "StartsWith", value = "small" } } }))))
  end)

  it("is waited for by tasks, while others go on", function()
    local conn = open()
    local turns, ended = 0, 0
    iu.run(function()
      fill(conn)
      for i = 1, 100 do
        iu.spawn(function()
          assert(conn:call("put", ("y"):rep(10000) .. i))
          ended = ended + 1
        end)
      end
      while ended < 100 do
        turns = turns + 1
        iu.sleep(0)
      end
    end)
    assert.equal(100, ended)
    assert.is_true(turns > 1, "the tasks ended one after the other, without a turn in between")
    assert(conn:flush())
  end)

  it("refuses where nothing may wait", function()
    local conn = open()
    local ok, err
    iu.run(function()
      fill(conn)
      coroutine.wrap(function() ok, err = conn:call("put", "nested") end)()
    end)
    assert.is_nil(ok)
    assert.equal("OverloadedError", err.kind)
    local heard
    assert(conn:flush())
    assert(conn:call_async(function(...) heard = { ... } end, "put", "small"))
    fill(conn)
    ok, err = conn:call_async(function() end, "put", "small")
    assert.is_nil(ok)
    assert.equal("OverloadedError", err.kind)
    iu.run(function() while not heard do iu.sleep(0) end end)
  end)

  it("ends a wait at the connection's timeout, and with its close", function()
    local conn = support.connect({ module = module(), pending_bytes_max = 64 << 10, timeout = 1e-9 })
    fill(conn)
    local ok, err = conn:call("put", "small")
    assert.is_nil(ok)
    assert.equal("OverloadedError", err.kind)
    conn = open()
    local result
    iu.run(function()
      fill(conn)
      local task = iu.spawn(function() result = { conn:call("put", "small") } end)
      iu.sleep(0)
      conn:close()
      task:wait()
    end)
    assert.is_true(result[1] == true or result[2].kind == "ConnectionError", tostring(result[2]))
  end)

  it("lets sessions in when there is room", function()
    local conn = open()
    fill(conn)
    local session = assert(conn:session())
    assert(session:close())
  end)
end)
