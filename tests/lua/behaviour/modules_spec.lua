-- Modules in Lua: tables and reducers of one's own. A server has its own module: there is nothing to do there.

local iu = require "inner_universe"
local support = require "support"

local run -- what the reducer `test` does

local function arena()
  return assert(iu.module("arena", {
    tables = {
      player = { columns = { { "id", "u64" }, { "name", "string" }, { "x", "f32" }, { "y", "f32", default = 1.5 }, { "guild", "string?" } },
        primary_key = "id", auto_inc = "id", unique = { "name" }, indexes = { { "guild" }, { "x", "y" } }, public = true },
      secret = { columns = { { "key", "string" }, { "value", "bytes" } }, primary_key = "key" },
      thing = { columns = { { "id", "u32" }, { "at", "Vec2" }, { "form", "Form" }, { "tags", "[string]" }, { "seen", "timestamp?" }, { "big", "u256" },
        { "who", "identity" }, { "uid", "uuid" }, { "small", "i8" }, { "on", "bool" } }, primary_key = "id", public = true },
      list = { columns = { { "id", "u32" }, { "of", { array = "string?" } } }, primary_key = "id", public = true },
      plain = { columns = { { "a", "i32" }, { "b", "string" } }, public = true },
      online = { columns = { { "connection", "connection_id" }, { "who", "identity" } }, primary_key = "connection", public = true },
    },
    types = { Vec2 = { { "x", "f64" }, { "y", "f64" } }, Form = { sum = { { "circle", "f32" }, "none", { "line", "[Vec2]" } } } },
    init = function(ctx) ctx.db.secret:insert { key = "owner", value = ctx.sender .. " " .. tostring(ctx.connection_id) } end,
    client_connected = function(ctx) ctx.db.online:insert { connection = ctx.connection_id, who = ctx.sender } end,
    client_disconnected = function(ctx) ctx.db.online:delete(ctx.connection_id) end,
    reducers = {
      spawn = { params = { { "name", "string" } }, run = function(ctx, name) ctx.db.player:insert { name = name, x = 0, y = 0 } end },
      test = function(ctx) return run(ctx) end,
      many = { params = { { "a", "Vec2" }, { "b", "u8?" } }, run = function(ctx, a, b)
        ctx.db.plain:insert { a = b or -1, b = ("%g %g"):format(a.x, a.y) }
      end },
    },
  }))
end

describe("a module in Lua", function()
  if support.on_server then
    it("is for embedded universes", function()
      local conn, err = iu.connect(support.target(), { module = arena() })
      assert.is_nil(conn)
      assert.equal("ValidationError", err.kind)
    end)
    return
  end

  local conn
  before_each(function() conn = support.connect({ module = arena(), subscribe = "all" }) end)
  after_each(support.clean)

  local function does(fn)
    run = fn
    return conn:call("test")
  end
  local function must(fn)
    local ok, err = does(fn)
    assert(ok, tostring(err))
  end
  local function fails(kind, message, fn)
    local ok, err = does(fn)
    assert.is_nil(ok)
    assert.equal(kind, err.kind, tostring(err))
    assert.equal(message, err.message)
  end

  it("keeps options without a value in their place in an array", function()
    local function texts(row)
      local list = {}
      for i = 1, #row.of do list[i] = row.of[i] == iu.null and "null" or row.of[i] end
      return list
    end
    local lists = { { "a", iu.null, iu.null }, { iu.null, "b" }, { iu.null }, {} }
    must(function(ctx)
      for id, of in ipairs(lists) do
        ctx.db.list:insert { id = id, of = iu.array(of) }
        ctx.db.list:update(ctx.db.list:get(id)) -- what was read is what is there
      end
    end)
    assert.same({ "a", "null", "null" }, texts(conn.tables.list:get(1)))
    assert.same({ "null", "b" }, texts(conn.tables.list:get(2)))
    assert.same({ "null" }, texts(conn.tables.list:get(3)))
    assert.same({}, texts(conn.tables.list:get(4)))
  end)

  it("has its tables and reducers beside the toolkit's own", function()
    local schema = conn:schema()
    assert.same({ "id", "U64" }, schema.tables.player.columns[1])
    assert.equal("spawn(name: String)", schema.reducers.spawn.signature)
    assert.truthy(schema.tables.entity)
    assert(conn:call("spawn", "ada"))
    assert.same({ id = 1, name = "ada", x = 0.0, y = 0.0 }, conn.tables.player:get(1))
    assert(conn:call("many", { x = 1, y = 2.5 }, 7))
    assert(conn:call("many", { x = 3, y = 4 }))
    assert.same({ { a = -1, b = "3 4" }, { a = 7, b = "1 2.5" } }, assert(conn:select("plain", { order_by = "a" })))
    local ok, err = conn:call("many", { x = "3", y = 4 })
    assert.is_nil(ok)
    assert.truthy(err.message:find("a.x", 1, true), err.message)
    local bare = support.connect({ module = arena(), nerv = false })
    assert.is_nil(bare:schema().tables.entity)
    assert(bare:call("spawn", "ada"))
  end)

  it("gives ctx who calls, when, and random numbers of the transaction", function()
    must(function(ctx)
      assert.equal(conn:identity(), ctx.sender)
      assert.equal(conn:connection_id(), ctx.connection_id)
      assert.equal("integer", math.type(ctx.timestamp))
      assert.equal(ctx.timestamp, ctx.timestamp)
      assert.is_true(math.abs(ctx.timestamp - iu.now()) < 60 * 1000000)
      local seen = {}
      for _ = 1, 1000 do
        local f, d, r = ctx.random(), ctx.random(6), ctx.random(-3, 3)
        assert.is_true(f >= 0 and f < 1 and math.type(f) == "float")
        assert.is_true(d >= 1 and d <= 6 and r >= -3 and r <= 3 and math.type(d) == "integer")
        seen[d] = true
      end
      assert.equal(6, #seen)
      assert.has_error(function() ctx.random(0) end)
      assert.equal(math.mininteger, ctx.random(math.mininteger, math.mininteger))
      assert.is_true(ctx.random(math.mininteger, math.maxinteger) ~= ctx.random(math.mininteger, math.maxinteger))
      local a, b = ctx.uuid(), ctx.uuid()
      assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-7%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", a)
      assert.not_equal(a, b)
      assert.has_error(function() ctx.sender = 1 end)
      assert.is_nil(ctx.nothing)
    end)
  end)

  it("runs init once and the two of the connections each time", function()
    must(function(ctx) assert.equal(conn:identity() .. " nil", ctx.db.secret:get("owner").value) end)
    local session = support.session(conn)
    must(function(ctx)
      assert.equal(2, ctx.db.online:count())
      assert.equal(session:identity(), ctx.db.online:get(session:connection_id()).who)
    end)
    assert(session:close())
    must(function(ctx) assert.equal(1, ctx.db.online:count()) end)
  end)

  it("knows other sessions as other senders, and hides private tables from them", function()
    local session = support.session(conn)
    run = function(ctx) ctx.db.secret:insert { key = "last", value = ctx.sender } end
    assert(session:call("test"))
    assert.equal(session:identity(), assert(conn:get("secret", "last")).value)
    local row, err = session:get("secret", "last")
    assert.is_nil(row)
    assert.equal("ValidationError", err.kind)
    local sub = session:subscribe("SELECT * FROM secret")
    assert.is_nil(sub)
    assert(session:subscribe("SELECT * FROM player"))
    local told = {}
    session.tables.player:on_insert(function(r, event) told[#told + 1] = { r.name, event.reducer, event.own } end)
    assert(conn:call("spawn", "eve"))
    support.settle(session)
    assert.same({ { "eve", "spawn", false } }, told)
  end)

  it("inserts, and gives back the row as it is stored", function()
    must(function(ctx)
      local t = ctx.db.player
      local given = { name = "ada", x = 0.1 }
      local row = t:insert(given)
      assert.same({ name = "ada", x = 0.1 }, given) -- untouched
      assert.equal(row.id, t:get(row.id).id)
      assert.is_true(row.id >= 1)
      assert.equal(string.unpack("<f", string.pack("<f", 0.1)), row.x)
      assert.equal(1.5, row.y)
      assert.is_nil(row.guild)
      assert.equal(row.id + 1, t:insert({ id = 0, name = "bob", x = 1, guild = iu.null }).id)
      assert.equal(9000, t:insert({ id = 9000, name = "cyd", x = 1, y = 2, guild = "g" }).id)
      assert.equal(3, t:count())
      local thing = { id = 1, at = { x = 1, y = 2 }, form = { tag = "line", value = { { x = 1, y = 2 } } }, tags = { "a", "b" }, seen = ctx.timestamp,
        big = iu.wide("115792089237316195423570985008687907853269984665640564039457584007913129639935"), who = ctx.sender,
        uid = ctx.uuid(), small = -128, on = true }
      ctx.db.thing:insert(thing)
      local back = ctx.db.thing:get(1)
      assert.equal(thing.big, back.big)
      assert.same({ x = 1.0, y = 2.0 }, back.form.value[1])
      thing.big, back.big, thing.form, back.form = nil, nil, nil, nil
      assert.same(thing, setmetatable(back, nil))
    end)
  end)

  it("reads by key, index and range, its own writes too", function()
    must(function(ctx)
      local t = ctx.db.player
      for i = 1, 20 do t:insert { id = i, name = "n" .. i, x = i % 4, y = -i, guild = i % 2 == 0 and "even" or nil } end
      assert.equal("n7", t:get(7).name)
      assert.is_nil(t:get(99))
      assert.equal(5, t:find("name", "n5").id)
      assert.is_nil(t:find("name", "n99"))
      assert.equal(10, #t:find("guild", "even"))
      assert.equal(3, t:find("x_y", { 3, -3 })[1].id)
      assert.same({}, t:find("x_y", { 3, -4 }))
      local ids = {}
      for row in t:range("id", 5, 8) do ids[#ids + 1] = row.id end
      assert.same({ 5, 6, 7, 8 }, ids)
      ids = {}
      for row in t:range("id", 18, nil, true) do ids[#ids + 1] = row.id end
      assert.same({ 20, 19, 18 }, ids)
      ids = {}
      for row in t:iter() do -- sees the table as it was when it began
        ids[#ids + 1] = row.id
        t:delete(row.id)
        t:insert { id = row.id + 100, name = row.name, x = 0 }
      end
      assert.equal(20, #ids)
      assert.equal(20, t:count())
      assert.equal("n1", t:get(101).name)
    end)
  end)

  it("updates by primary key, wholly or a few columns", function()
    must(function(ctx)
      local t = ctx.db.player
      local ada = t:insert { name = "ada", x = 1, guild = "g" }
      ada.x, ada.guild = 2.5, nil
      assert.is_true(t:update(ada))
      assert.same({ id = ada.id, name = "ada", x = 2.5, y = 1.5 }, t:get(ada.id))
      assert.is_true(t:patch(ada.id, { guild = "h", name = "Ada" }))
      assert.same({ id = ada.id, name = "Ada", x = 2.5, y = 1.5, guild = "h" }, t:get(ada.id))
      t:patch(ada.id, { guild = iu.null })
      assert.is_nil(t:get(ada.id).guild)
      assert.equal(ada.id, t:find("name", "Ada").id)
      assert.is_nil(t:find("name", "ada"))
    end)
    local changes = {}
    conn.tables.player:on_update(function(new, old) changes[#changes + 1] = { old.x, new.x } end)
    must(function(ctx) ctx.db.player:patch(1, { x = 7 }) end)
    support.settle(conn)
    assert.same({ { 2.5, 7.0 } }, changes)
  end)

  it("deletes by key, by values and by a function", function()
    must(function(ctx)
      local t = ctx.db.player
      for i = 1, 20 do t:insert { id = i, name = "n" .. i, x = i % 4, y = i, guild = i % 2 == 0 and "even" or nil } end
      assert.is_true(t:delete(1))
      assert.is_false(t:delete(1))
      assert.equal(1, t:delete_where { x = 3, y = 19 })
      assert.equal(5, t:delete_where { guild = "even", x = 2 })
      assert.equal(0, t:delete_where { id = 4, name = "n5" })
      assert.equal(1, t:delete_where { id = 4 })
      assert.equal(8, t:delete_where { guild = iu.null })
      assert.equal(2, t:delete_where(function(row) return row.id > 8 and row.id < 20 end))
      assert.equal(2, t:count())
      assert.equal(2, t:delete_where {})
    end)
  end)

  it("keeps rows of a table without a key as a set", function()
    must(function(ctx)
      local t = ctx.db.plain
      t:insert { a = 1, b = "x" }
      t:insert { a = 1, b = "x" }
      t:insert { a = 1, b = "y" }
      assert.equal(2, t:count())
      assert.equal(1, t:delete_where { b = "x" })
    end)
    fails("ValidationError", "table `plain`: get: the table has no primary key", function(ctx) ctx.db.plain:get(1) end)
    fails("ValidationError", "table `plain`: update: the table has no primary key", function(ctx) ctx.db.plain:update { a = 1, b = "y" } end)
  end)

  it("names table, column and value of what cannot be", function()
    assert(conn:call("spawn", "ada"))
    fails("ConflictError", 'table `player`: a row with name = "ada" is already there', function(ctx) ctx.db.player:insert { name = "ada", x = 1 } end)
    fails("ConflictError", "table `player`: a row with id = 1 is already there", function(ctx) ctx.db.player:insert { id = 1, name = "bob", x = 1 } end)
    fails("ValidationError", "table `player`: update: no row with id = 77", function(ctx)
      ctx.db.player:update { id = 77, name = "c", x = 1, y = 1 }
    end)
    fails("ValidationError", "table `player`: patch: no row with id = 77", function(ctx) ctx.db.player:patch(77, { x = 1 }) end)
    fails("ValidationError", "table `player`: update: column `y` (F32) is missing; `patch` changes some columns only", function(ctx)
      ctx.db.player:update { id = 1, name = "c", x = 1 }
    end)
    fails("ValidationError", "table `player`: insert: column `x` (F32) is missing", function(ctx) ctx.db.player:insert { name = "x" } end)
    fails("ValidationError", "table `player`: no column `nmae`, did you mean `name`?", function(ctx) ctx.db.player:insert { nmae = "x" } end)
    fails("ValidationError", "table `player`: no column `1`", function(ctx) ctx.db.player:insert { "x" } end)
    fails("ValidationError", "table `player`: name: expected String, got 5", function(ctx) ctx.db.player:insert { name = 5, x = 1 } end)
    fails("ValidationError", "table `player`: id: expected U64, got -1", function(ctx) ctx.db.player:insert { id = -1, name = "b", x = 1 } end)
    fails("ValidationError", "table `player`: id: expected U64, got 1.5", function(ctx) ctx.db.player:get(1.5) end)
    fails("ValidationError", "table `player`: get: a key expected, got nil", function(ctx) ctx.db.player:get(nil) end)
    fails("ValidationError", "table `player`: find: a key expected, got nil", function(ctx) ctx.db.player:find("guild", nil) end)
    fails("ValidationError", "table `player`: a row expected (a table by column), got string", function(ctx) ctx.db.player:insert("x") end)
    fails("ValidationError", "player: no such index: `nam`, did you mean `name`?", function(ctx) ctx.db.player:find("nam", "x") end)
    local thing = function(change)
      return function(ctx)
        local row = { id = 1, at = { x = 1, y = 2 }, form = "none", tags = {}, big = 1, who = ctx.sender, uid = iu.uuid(), small = 1, on = true }
        for k, v in pairs(change) do row[k] = v end
        ctx.db.thing:insert(row)
      end
    end
    must(thing({}))
    fails("ValidationError", "table `thing`: small: expected I8, got 128", thing({ small = 128 }))
    fails("ValidationError", "table `thing`: at.y: expected F64, got \"2\"", thing({ at = { x = 1, y = "2" } }))
    fails("ValidationError", "table `thing`: tags[2]: expected String, got 5", thing({ tags = { "a", 5 } }))
    fails("ValidationError", "table `thing`: on: expected Bool, got 1", thing({ on = 1 }))
  end)

  it("undoes everything a reducer did that raises, whatever it raises", function()
    local cases = {
      { "ConflictError", "taken", function() error("CONFLICT: taken") end },
      { "AuthorizationError", "go away", function() error("AUTHORIZATION: go away", 0) end },
      { "EntityNotFoundError", "who", function() error(iu.errors.new("EntityNotFoundError", "who")) end },
      { "StorageError", "mine", function() error({ kind = "StorageError", message = "mine" }) end },
      { "PersistenceError", "NOT_A_CODE: x", function() error("NOT_A_CODE: x", 0) end },
      { "PersistenceError", "nil", function() error() end },
    }
    for _, case in ipairs(cases) do
      fails(case[1], case[2], function(ctx)
        ctx.db.player:insert { name = "x", x = 1 }
        ctx.db.plain:insert { a = 1, b = "x" }
        case[3]()
      end)
    end
    local ok, err = does(function(ctx)
      ctx.db.player:insert { name = "x", x = 1 }
      return ctx.nothing.field
    end)
    assert.is_nil(ok)
    assert.matches("modules_spec%.lua:%d+: attempt to index a nil value", err.message)
    ok, err = does(function() error(setmetatable({}, { __tostring = function() error("no") end })) end)
    assert.is_nil(ok)
    assert.equal("PersistenceError", err.kind)
    must(function(ctx) -- an error that is caught undoes nothing but what failed
      ctx.db.player:insert { name = "x", x = 1 }
      local caught, why = pcall(ctx.db.player.insert, ctx.db.player, { name = "x", x = 2 })
      assert.is_false(caught)
      assert.equal("ConflictError", why.kind)
      assert.equal(1, ctx.db.player:count())
      assert.equal(0, ctx.db.plain:count())
    end)
  end)

  it("calls other reducers in the same transaction; what a failed one wrote is undone", function()
    must(function(ctx)
      local outer, inner = run, nil
      assert.is_true(ctx:call("spawn", "ada"))
      local ok, err = pcall(ctx.call, ctx, "spawn", "ada")
      assert.is_false(ok)
      assert.equal("ConflictError", err.kind)
      run = function(ctx2)
        inner = { ctx2.timestamp, ctx2.sender }
        ctx2.db.plain:insert { a = 1, b = "gone" }
        error("VALIDATION: no")
      end
      ok, err = pcall(ctx.call, ctx, "test")
      run = outer
      assert.is_false(ok)
      assert.equal("no", err.message)
      assert.same({ ctx.timestamp, ctx.sender }, inner)
      assert.equal(0, ctx.db.plain:count())
      assert.equal(1, ctx.db.player:count())
      ctx:call("create_entity", "Person", { tags = {}, properties = "{}" }, "ada")
      assert.equal("Person", ctx.db.entity:get("ada").entity_type)
      ok, err = pcall(ctx.call, ctx, "spwan", "x")
      assert.is_false(ok)
      assert.matches("did you mean `spawn`", err.message)
      ok, err = pcall(ctx.call, ctx, "spawn")
      assert.is_false(ok)
      assert.matches("spawn takes 1", err.message)
      assert.is_false((pcall(ctx.call, ctx, "arena_init")))
    end)
    assert.equal("Person", assert(conn:get("entity", "ada")).entity_type)
    local depth = 0
    local ok, err = does(function(ctx)
      depth = depth + 1
      ctx:call("test")
    end)
    assert.is_nil(ok)
    assert.is_true(depth > 10 and depth < 1000)
    assert.equal("OverloadedError", err.kind)
  end)

  it("leaves the tables of others to their own reducers", function()
    local ok, err = does(function(ctx) ctx.db.config:insert { key = "x", value = "y" } end)
    assert.is_nil(ok)
    assert.matches("table `config`: insert: the table is another module's", err.message)
    must(function(ctx) assert.is_true(ctx.db.config:count() > 0) end)
    ok, err = does(function(ctx) return ctx.db.playr end)
    assert.is_nil(ok)
    assert.matches("ctx%.db: no table 'playr', did you mean `player`", err.message)
  end)

  it("lets nothing of ctx be used when the reducer has ended", function()
    local ctx, step, iter, ended
    must(function(c)
      c.db.plain:insert { a = 1, b = "x" }
      c.db.plain:insert { a = 2, b = "x" }
      ctx = c
      step, iter = c.db.plain:iter()
      local s, i = c.db.plain:iter()
      while s(i) do end
      ended = { s, i }
    end)
    for _, fn in ipairs({
      function() return ctx.sender end, function() return ctx.timestamp end, function() return ctx.random() end,
      function() return ctx:call("spawn", "x") end, function() return ctx.db.plain:count() end,
      function() return ctx.db.plain:insert { a = 3, b = "y" } end,
    }) do
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.matches("the reducer has ended", err)
    end
    local ok, err = pcall(step, iter)
    assert.is_false(ok)
    assert.matches("the reducer of this iterator has ended", err)
    assert.is_nil(ended[1](ended[2]))
    assert.has_error(function() step(ended) end)
    assert(conn:close())
    ok, err = pcall(function() return ctx.db.plain:count() end)
    assert.is_false(ok)
    assert.matches("the reducer has ended", err)
  end)

  it("does not wait, and calls nothing but through ctx", function()
    local function sleeps()
      local ok, err = does(function() iu.sleep(0.01) end)
      assert.is_nil(ok)
      assert.matches("cannot wait inside a reducer$", err.message)
    end
    sleeps()
    iu.run(sleeps)
    must(function()
      local ok, err = conn:call("spawn", "x")
      assert.is_nil(ok)
      assert.equal("ConflictError", err.kind)
      local other
      other, err = iu.connect("memory:")
      assert.is_nil(other)
      assert.equal("ConflictError", err.kind)
      ok, err = conn:reload()
      assert.is_nil(ok)
      assert.equal("ConflictError", err.kind)
    end)
    local other = support.connect({ module = arena() })
    must(function()
      local ok, err = other:call("spawn", "x")
      assert.is_nil(ok)
      assert.equal("ConflictError", err.kind)
    end)
    local ok, err = does(function() coroutine.yield() end)
    assert.is_nil(ok)
    assert.matches("yield", err.message)
    must(function(ctx) -- coroutines of one's own are fine
      local co = coroutine.wrap(function()
        for row in ctx.db.online:iter() do coroutine.yield(row) end
      end)
      assert.equal(ctx.sender, co().who)
    end)
  end)

  it("is undone where its reducer closes the universe, which is closed then", function()
    local ok, err = does(function(ctx)
      ctx.db.plain:insert { a = 1, b = "x" }
      assert(conn:close())
      collectgarbage()
      assert.equal(1, ctx.db.plain:count())
      local written, why = pcall(ctx.db.plain.insert, ctx.db.plain, { a = 2, b = "x" })
      assert.is_false(written)
      assert.equal("ConnectionError", why.kind)
    end)
    assert.is_nil(ok)
    assert.equal("ConnectionError", err.kind)
    assert.is_true(conn:is_closed())
    if support.keeps then
      conn = support.reopen(conn, { module = arena(), subscribe = "all" })
      assert.equal(0, conn.tables.plain:count())
    end
  end)

  it("logs what its reducers say", function()
    local lines = {}
    iu.log.set_sink(function(level, message, source) lines[#lines + 1] = ("%s %s %s"):format(level, source, message) end)
    must(function(ctx)
      ctx.log.info("%d players", ctx.db.player:count())
      ctx.log.warn("careful")
    end)
    iu.log.set_sink(nil)
    assert.same({ "info module arena 0 players", "warn module arena careful" }, lines)
  end)

  it("runs in several universes at once", function()
    local module = arena()
    local a, b = support.connect({ module = module }), support.connect({ module = module })
    assert(a:call("spawn", "ada"))
    assert.is_nil(b:get("player", 1))
    assert(b:call("spawn", "bob"))
    assert.equal("bob", b:get("player", 1).name)
    assert(a:close())
    assert(b:call("spawn", "cyd"))
  end)

  it("hosts several modules side by side", function()
    local other = assert(iu.module("other", {
      tables = { note = { columns = { { "text", "string" } }, primary_key = "text" } },
      init = function(ctx) ctx.db.note:insert { text = "init" } end,
      reducers = { note = { params = { { "text", "string" } }, run = function(ctx, text)
        ctx.db.note:insert { text = text }
        ctx:call("spawn", text)
      end } },
    }))
    local both = support.connect({ module = { arena(), other } })
    assert(both:call("note", "ada"))
    assert.equal("ada", both:get("player", 1).name)
    local ok = both:call("note", "ada")
    assert.is_nil(ok)
    assert.equal("init", both:get("note", "init").text)
    local clash = assert(iu.module("clash", { tables = { player = { columns = { { "x", "u8" } } } } }))
    local none, err = iu.connect("memory:", { module = { arena(), clash } })
    assert.is_nil(none)
    assert.equal("ValidationError", err.kind)
    assert.truthy(err.message:find("arena", 1, true) and err.message:find("clash", 1, true) and err.message:find("player", 1, true), err.message)
  end)

  it("stands beside a manager", function()
    local function spawn(m)
      local c = m.client:connection()
      assert(c:call("spawn", "ada"))
      assert.equal("ada", c:get("player", 1).name)
      assert(m:create_entity("Person", { name = "Ada" }))
      assert(m:shutdown())
      assert.is_nil(m.client:connection())
    end
    spawn(assert(iu.open("memory:", { module = arena() })))
    spawn(assert(iu.open({ db_path = "memory:", module = { arena() } })))
    local path = support.folder() .. "/m.lua"
    support.write(path, 'return require("inner_universe").module("m", { reducers = { go = function(ctx) error("CONFLICT: " .. ctx.db.entity:count()) end } })')
    local m = assert(iu.open("memory:", { module = path, reducer_timeout_ms = 100 }))
    local ok, err = m.client:connection():call("go")
    assert.is_nil(ok)
    assert.equal("0", err.message)
    assert(m:shutdown())
    for _, config in ipairs({ { module = 5 }, { module = "nowhere.lua" }, { backend = "spacetimedb", module = arena() } }) do
      m, err = iu.open(config.backend and config or "memory:", not config.backend and config or nil)
      assert.is_nil(m)
      assert.equal("ValidationError", err.kind)
      assert.truthy(err.message:find("module", 1, true), err.message)
    end
  end)

  it("keeps rows and sequences over a reopen", function()
    if not support.keeps then return end
    for _, name in ipairs({ "ada", "bob" }) do assert(conn:call("spawn", name)) end
    must(function(ctx) ctx.db.player:delete(2) end)
    conn = support.reopen(conn, { module = arena(), subscribe = "all" })
    assert.equal(1, conn.tables.player:count())
    must(function(ctx) assert.is_true(ctx.db.player:insert({ name = "cyd", x = 1 }).id > 2) end)
    must(function(ctx) assert.equal(1, ctx.db.online:count()) end)
  end)
end)

describe("conn:reload", function()
  if support.on_server then return end
  after_each(support.clean)

  local function write(path, body, extra)
    support.write(path, ([[
      local iu = require "inner_universe"
      return iu.module("m", {
        tables = { t = { columns = { { "id", "u64" }, { "v", "string" } %s }, primary_key = "id", auto_inc = "id" } },
        reducers = { go = function(ctx) %s end, other = function(ctx) ctx.db.t:insert{ v = "other" } end },
      })]]):format(extra or "", body))
  end

  it("replaces the reducers of a file, and leaves the old ones where it cannot", function()
    local path = support.folder() .. "/m.lua"
    write(path, 'ctx.db.t:insert{ v = "one" }')
    local conn = support.connect({ module = path })
    assert(conn:call("go"))
    write(path, 'ctx.db.t:insert{ v = "two" }')
    assert(conn:call("go"))
    assert.equal("one", conn:get("t", 2).v)
    assert(conn:reload())
    assert(conn:call("go"))
    assert.equal("two", conn:get("t", 3).v)
    write(path, "this is no Lua")
    local ok, err = conn:reload()
    assert.is_nil(ok)
    assert.matches("m%.lua:%d+:", err.message)
    write(path, "", ', { "extra", "u8" }')
    ok, err = conn:reload()
    assert.is_nil(ok)
    assert.equal("MigrationError", err.kind)
    assert.truthy(err.message:find("table t: columns: (id u64, v string) became (id u64, v string, extra u8)", 1, true), err.message)
    assert(conn:call("go"))
    assert.equal("two", conn:get("t", 4).v)
  end)

  it("takes modules that are given, all or none", function()
    local function module(name, value)
      return assert(iu.module(name, { tables = { ["t_" .. name] = { columns = { { "v", "string" } }, primary_key = "v" } },
        reducers = { ["go_" .. name] = function(ctx) ctx.db["t_" .. name]:insert { v = value } end } }))
    end
    local conn = support.connect({ module = { module("a", "1"), module("b", "1") } })
    local ok, err = conn:reload()
    assert.is_nil(ok)
    assert.matches("no module came from a file", err.message)
    ok, err = conn:reload({ module("a", "2"), module("c", "2") })
    assert.is_nil(ok)
    assert.matches("no module 'c' runs here", err.message)
    assert(conn:call("go_a"))
    assert.truthy(conn:get("t_a", "1"))
    assert(conn:reload({ module("b", "2"), module("a", "2") }))
    assert(conn:call("go_a"))
    assert(conn:call("go_b"))
    assert.truthy(conn:get("t_a", "2"))
    assert.truthy(conn:get("t_b", "2"))
    ok, err = support.session(conn):reload()
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)
  end)
end)
