-- Modules in Lua over time: scheduled rows, files opened again, modules that changed meanwhile, connections that are dropped.

local iu = require "inner_universe"
local support = require "support"

local function wait_for(what, done)
  local deadline = iu.now() + 10 * 1000000
  while not done() do
    if iu.now() > deadline then error("waited too long for " .. what, 2) end
    iu.sleep(0.005)
  end
end

describe("scheduled tables of a module in Lua", function()
  after_each(support.clean)
  if support.on_server then
    it("are a server's own there", function()
      local conn, err = iu.connect(support.target(), { nerv = false })
      assert.is_nil(conn)
      assert.equal("ValidationError", err.kind)
      assert.matches("nerv: for embedded universes only", err.message)
    end)
    return
  end

  local heard
  local function module()
    return assert(iu.module("clock", {
      tables = {
        tick = { columns = { { "id", "u64" }, { "at", "schedule_at" }, { "note", "string" } }, primary_key = "id", auto_inc = "id", scheduled = "on_tick",
          public = true },
        seen = { columns = { { "id", "u64" }, { "note", "string" }, { "sender", "identity" } }, primary_key = "id", auto_inc = "id", public = true },
      },
      reducers = {
        on_tick = function(ctx, row)
          if heard then heard[#heard + 1] = { note = row.note, at = row.at, connection = ctx.connection_id, timestamp = ctx.timestamp } end
          if row.note == "bad" then
            ctx.db.seen:insert { note = "undone", sender = ctx.sender }
            error("CONFLICT: bad")
          end
          ctx.db.seen:insert { note = row.note, sender = ctx.sender }
        end,
        plan = { params = { { "note", "string" }, { "at", "schedule_at" } }, run = function(ctx, note, at)
          ctx.db.tick:insert { note = note, at = at }
          if note == "never" then error("CONFLICT: never") end
        end },
        after = { params = { { "note", "string" }, { "micros", "i64" } }, run = function(ctx, note, micros)
          ctx.db.tick:insert { note = note, at = { tag = "Time", value = ctx.timestamp + micros } }
        end },
        stop = function(ctx) ctx.db.tick:delete_where {} end,
      },
    }))
  end

  before_each(function() heard = {} end)

  local function seen(conn)
    local notes = {}
    for i, row in ipairs(assert(conn:select("seen", { order_by = "id" }))) do notes[i] = row.note end
    return notes
  end

  it("call their reducer once at a time, in order, as nobody's connection", function()
    local conn = support.connect({ module = module() })
    assert(conn:call("after", "second", 40000))
    assert(conn:call("after", "first", 15000))
    assert(conn:call("after", "past", -1000000))
    assert.is_nil((conn:call("plan", "never", { tag = "Time", value = 0 })))
    wait_for("three ticks", function() return #heard == 3 end)
    assert.same({ "past", "first", "second" }, seen(conn))
    assert.equal(0, #assert(conn:select("tick")))
    for _, tick in ipairs(heard) do
      assert.is_nil(tick.connection)
      assert.equal("Time", tick.at.tag)
      assert.is_true(tick.timestamp >= tick.at.value)
    end
    iu.sleep(0.03)
    assert.equal(3, #heard)
  end)

  it("call it again and again at an interval, until the row goes", function()
    local conn = support.connect({ module = module() })
    assert(conn:call("plan", "beat", { tag = "Interval", value = 5000 }))
    wait_for("beats", function() return #heard >= 4 end)
    assert(conn:call("stop"))
    local count = #heard
    iu.sleep(0.03)
    assert.equal(count, #heard)
    assert.equal(count, #seen(conn))
  end)

  it("undo what a reducer that raises did, and say so", function()
    local lines = {}
    iu.log.set_sink(function(level, message) lines[#lines + 1] = level .. " " .. message end)
    local conn = support.connect({ module = module() })
    assert(conn:call("after", "bad", 0))
    assert(conn:call("after", "good", 10000))
    wait_for("both", function() return #seen(conn) == 1 and #heard >= 2 end)
    iu.log.set_sink(nil)
    assert.same({ "good" }, seen(conn))
    assert.matches("on_tick.*bad", table.concat(lines, "\n"))
  end)

  it("survive a reopen, and run once for a row", function()
    if not support.keeps then return end
    local conn = support.connect({ module = module() })
    assert(conn:call("after", "soon", 60000))
    assert(conn:call("after", "now", 0))
    wait_for("the first", function() return #heard == 1 end)
    conn = support.reopen(conn, { module = module() })
    wait_for("the second", function() return #heard == 2 end)
    conn = support.reopen(conn, { module = module() })
    iu.sleep(0.03)
    assert.same({ "now", "soon" }, seen(conn))
    assert.equal(2, #heard)
  end)
end)

describe("a file whose module changed", function()
  if not support.on_file then return end
  after_each(support.clean)

  local function module(columns, more)
    local t = { columns = columns, primary_key = "id", auto_inc = "id", public = true }
    for key, value in pairs(more or {}) do t[key] = value end
    return assert(iu.module("m", { tables = { t = t, extra = more and more.extra }, reducers = {
      add = { params = { { "name", "string" } }, run = function(ctx, name) ctx.db.t:insert { name = name } end },
    } }))
  end
  local BASE = { { "id", "u64" }, { "name", "string" } }

  it("has added columns, tables and indexes where it is opened again", function()
    local conn = support.connect({ module = module(BASE) })
    assert(conn:call("add", "ada"))
    local changed = assert(iu.module("m", {
      tables = {
        t = { columns = { { "id", "u64" }, { "name", "string" }, { "hp", "u32", default = 7 } }, primary_key = "id", auto_inc = "id", public = true,
          indexes = { { "hp" } } },
        more = { columns = { { "x", "u8" } }, primary_key = "x" },
      },
      reducers = { add = { params = { { "name", "string" } }, run = function(ctx, name)
        ctx.db.more:insert { x = 1 }
        assert(#ctx.db.t:find("hp", 7) == 1)
        ctx.db.t:insert { name = name, hp = 9 }
      end } },
    }))
    conn = support.reopen(conn, { module = changed, subscribe = "all" })
    assert.same({ id = 1, name = "ada", hp = 7 }, conn.tables.t:get(1))
    assert(conn:call("add", "bob"))
    conn = support.reopen(conn, { module = changed, subscribe = "all" })
    assert.equal(9, conn.tables.t:find("hp", 9)[1].hp)
    assert.equal(1, #assert(conn:select("more")))
  end)

  it("is refused where something else differs, and stays as it was", function()
    local conn = support.connect({ module = module(BASE) })
    assert(conn:call("add", "ada"))
    local target = support.target_of(conn)
    assert(conn:close())
    for _, columns in ipairs({ { { "id", "u64" }, { "name", "bytes" } }, { { "id", "u64" }, { "nam", "string" } }, { { "id", "u64" } },
      { { "id", "u64" }, { "name", "string" }, { "hp", "u32" } } }) do
      local other, err = iu.connect(target, { module = module(columns) })
      assert.is_nil(other)
      assert.equal("MigrationError", err.kind, tostring(err))
      assert.truthy(err.message:find("`?t`?"), err.message)
      assert.equal("t", err.details[1].table)
      assert.truthy(err.message:find(err.details[1].message, 1, true), err.message)
    end
    conn = support.connect({ module = module(BASE) }, target)
    assert.equal("ada", conn:get("t", 1).name)
  end)

  it("names every difference in the details, however many there are", function()
    local function columns(type)
      local list = { { "id", "u64" }, { "name", "string" } }
      for i = 1, 200 do list[#list + 1] = { ("column_%d"):format(i), type, default = 0 } end
      return list
    end
    local conn = support.connect({ module = module(columns("u32")) })
    local target = support.target_of(conn)
    assert(conn:close())
    local other, err = iu.connect(target, { module = module(columns("u16")) })
    assert.is_nil(other)
    assert.equal("MigrationError", err.kind)
    assert.truthy(err.message:find("; and %d+ more"), err.message)
    assert.equal(200, #err.details)
    assert.same({ table = "t", message = "`column column_200 U32` in the file is `column column_200 U16` in the schema" }, err.details[200])
  end)
end)

describe("the connections of a module in Lua", function()
  if support.on_server then return end
  after_each(support.clean)

  local told
  local function module()
    return assert(iu.module("m", {
      tables = { t = { columns = { { "name", "string" } }, primary_key = "name", public = true } },
      client_connected = function(ctx)
        told[#told + 1] = "in"
        if told.refuse then error("AUTHORIZATION: not you") end
        ctx.db.t:insert { name = ctx.connection_id }
      end,
      client_disconnected = function(ctx)
        told[#told + 1] = "out"
        ctx.db.t:delete(ctx.connection_id)
        if told.bad then error("bad") end
      end,
    }))
  end
  before_each(function() told = {} end)

  it("may be refused", function()
    local conn = support.connect({ module = module() })
    told.refuse = true
    local session, err = conn:session()
    assert.is_nil(session)
    assert.equal("AuthorizationError", err.kind)
    assert.equal("not you", err.message)
    local other
    other, err = iu.connect("memory:", { module = module() })
    assert.is_nil(other)
    assert.equal("AuthorizationError", err.kind)
    told.refuse = nil
    assert(conn:session()):close()
  end)

  it("end whatever their reducer says", function()
    local conn = support.connect({ module = module() })
    local session = support.session(conn)
    told.bad = true
    assert(session:close())
    told.bad = nil
    assert.same({ "in", "in", "out" }, { table.unpack(told) })
  end)

  it("end when they are collected, too", function()
    local conn = iu.connect("memory:", { module = module() })
    assert.truthy(conn)
    conn = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.same({ "in", "out" }, { table.unpack(told) })
  end)
end)
