-- The bare connection of iu.connect: reads, subscriptions, handlers, closing. Each test runs in memory and on a file.

local iu = require("inner_universe")
local core = require("inner_universe.core")

local METADATA = { name = "x", tags = {}, properties = "{}" }
local folder, reported

local function shell(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read("l")
  pipe:close()
  return line
end

local function raised(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  return err
end

-- fn raises exactly this text, at the line where fn begins.
local function raises_here(fn, text)
  local info = debug.getinfo(fn, "S")
  assert.equal(("%s:%d: %s"):format(info.short_src, info.linedefined, text), raised(fn))
end

for _, place in ipairs({ "memory", "file" }) do
  describe("a connection (" .. place .. ")", function()
    local conn, target, refs

    local function create(id, entity_type)
      return conn:call("create_entity", entity_type or "Person", METADATA, id)
    end

    before_each(function()
      collectgarbage()
      collectgarbage()
      refs, reported = core.debug_refs(), {}
      iu.on_error(function(err, context) reported[#reported + 1] = { err = err, context = context } end)
      folder = shell("mktemp -d")
      target = place == "memory" and "memory:" or folder .. "/world.universe"
      conn = assert(iu.connect(target, { subscribe = "all" }))
    end)

    after_each(function()
      assert(conn:close())
      conn = nil
      collectgarbage()
      collectgarbage()
      assert.equal(refs, core.debug_refs(), "Lua values are still held by the core")
      os.execute("rm -rf '" .. folder .. "'")
      iu.on_error(nil)
    end)

    it("calls reducers and reads what it is subscribed to", function()
      assert.is_true(create("a"))
      assert.equal("Person", conn.tables.entity:get("a").entity_type)
      assert.is_nil(conn.tables.entity:get("b"))
      assert.equal(1, conn.tables.entity:count())
      assert.equal("a", conn.tables.entity:find("entity_type", "Person")[1].id)
      assert.equal("a", conn:get("entity", "a").id)
      assert.is_nil(conn:get("entity", "b"))
      assert.equal("a", conn:query("SELECT * FROM entity WHERE id = 'a'")[1].id)
    end)

    it("iterates in order of an index, while the table changes", function()
      for i = 1, 5 do
        assert(create("e" .. i, "T" .. i))
      end
      local seen = {}
      for row in conn.tables.entity:range("entity_type", "T2", "T4") do
        seen[#seen + 1] = row.id
        assert(conn:call("delete_entity", row.id, false))
      end
      assert.same({ "e2", "e3", "e4" }, seen)
      seen = {}
      for row in conn.tables.entity:range("entity_type", nil, nil, true) do
        seen[#seen + 1] = row.id
      end
      assert.same({ "e5", "e1" }, seen)
      local count = 0
      for _ in conn.tables.entity:iter() do
        count = count + 1
      end
      assert.equal(2, count)
    end)

    it("tells handlers of inserts, updates and deletes, with the event", function()
      local seen = {}
      conn.tables.entity:on_insert(function(row, event)
        seen[#seen + 1] = { "insert", row.id, event.reducer, event.own, event.caller == conn:identity(), event.args.entity_type }
      end)
      conn.tables.entity:on_update(function(new, old) seen[#seen + 1] = { "update", new.metadata.name, old.metadata.name } end)
      conn.tables.entity:on_delete(function(row) seen[#seen + 1] = { "delete", row.id } end)
      assert(create("a"))
      assert(conn:call("update_entity", "a", { name = "y", tags = {}, properties = "{}" }))
      assert(conn:call("delete_entity", "a", false))
      assert.same({ { "insert", "a", "create_entity", true, true, "Person" }, { "update", "y", "x" }, { "delete", "a" } }, seen)
    end)

    it("tells nobody after cancel", function()
      local count = 0
      local handle = conn.tables.entity:on_insert(function() count = count + 1 end)
      assert(create("a"))
      assert.is_true(handle:is_active())
      assert.is_true(handle:cancel())
      assert.is_false(handle:cancel())
      assert(create("b"))
      assert.equal(1, count)
    end)

    it("reports a handler that raises, and tells the others", function()
      local heard
      conn.tables.entity:on_insert(function() error("boom", 0) end)
      conn.tables.entity:on_insert(function(row) heard = row.id end)
      assert.is_true(create("a"))
      assert.equal("a", heard)
      assert.equal(1, #reported)
      assert.equal("boom", reported[1].err.cause)
    end)

    it("lets handlers wait and call", function()
      local order = {}
      conn.tables.entity:on_insert(function(row)
        if row.id ~= "a" then
          order[#order + 1] = row.id
          return
        end
        iu.sleep(0.01)
        assert(create("b"))
        order[#order + 1] = "called"
      end)
      iu.run(function() assert(create("a")) end)
      assert.same({ "called", "b" }, #order == 2 and order[1] == "called" and order or { order[2], order[1] })
      assert.equal(2, conn.tables.entity:count())
    end)

    it("hears a handler added by a handler from the next change on", function()
      local seen = {}
      local handle
      handle = conn.tables.entity:on_insert(function(row)
        handle:cancel()
        conn.tables.entity:on_insert(function(other) seen[#seen + 1] = other.id end)
        seen[#seen + 1] = "first " .. row.id
      end)
      assert(create("a"))
      assert(create("b"))
      assert.same({ "first a", "b" }, seen)
    end)

    it("may be closed by its own handler", function()
      local heard = 0
      conn.tables.entity:on_insert(function()
        heard = heard + 1
        assert(conn:close())
      end)
      conn.tables.entity:on_insert(function() heard = heard + 10 end)
      create("a")
      assert.is_true(conn:is_closed())
      assert.equal(1, heard)
    end)

    it("selects by filters and says how many matched", function()
      for i = 1, 5 do
        assert(conn:call("create_entity", "P", { tags = {}, properties = iu.json.encode({ age = i }) }, "e" .. i))
      end
      local rows, matched = conn:select("entity", { filters = { { field = "properties.age", operator = "GreaterThan", value = 2 } },
        order_by = "properties.age", descending = true, limit = 2 })
      assert.equal(3, matched)
      assert.same({ "e5", "e4" }, { rows[1].id, rows[2].id })
      rows = conn:select("entity", { filters = { { "properties.age", "In", { 1, 3 } } }, order_by = "id", offset = 1 })
      assert.same({ "e3" }, { rows[1].id, rows[2] })
    end)

    it("refuses a bad selection with a ValidationError that names it", function()
      local function refused(spec, part)
        local rows, err = conn:select("entity", spec)
        assert.is_nil(rows)
        assert.equal("ValidationError", err.kind)
        assert.truthy(err.message:find(part, 1, true), err.message)
      end
      refused({ filter = {} }, "unknown key 'filter' (did you mean 'filters'?)")
      refused({ limit = -1 }, "limit: 0 or more expected, got -1")
      refused({ limit = 1.5 }, "limit: an integer expected, got 1.5")
      refused({ offset = "1" }, "offset: an integer expected, got string")
      refused({ filters = { "id" } }, "filters[1]: a table expected, got string")
      refused({ filters = { field = "id" } }, "found the key 'field'")
      refused({ filters = { { field = "id", operator = "Equals" } } }, "filters[1].value: missing (iu.null means null)")
      refused({ filters = { { field = "id", operator = "Equals", value = print } } }, "filters[1].value:")
      refused({ filters = { { field = "id", operater = "Equals", value = 1 } } }, "did you mean 'operator'?")
      refused({ filters = { { field = "idd", operator = "Equals", value = "1" } } }, "idd")
      refused({ filters = { { field = "id", operator = "Equal", value = "1" } } }, "Equal")
      refused({ order_by = 1 }, "order_by")
      refused({ descending = 1 }, "descending")
    end)

    it("raises for wrong Lua types and unknown tables, at the caller's line", function()
      raises_here(function() conn:call(nil) end, "bad argument #1 to 'call' (reducer: string expected, got nil)")
      raises_here(function() conn:send(1) end, "bad argument #1 to 'send' (reducer: string expected, got an integer)")
      raises_here(function() conn:query({}) end, "bad argument #1 to 'query' (sql: string expected, got table)")
      raises_here(function() conn:flush("1") end, "bad argument #1 to 'flush' (timeout: number or nil expected, got string)")
      raises_here(function() conn:subscribe(1) end, "bad argument #1 to 'subscribe' (queries: table expected, got an integer)")
      raises_here(function() conn.tables.entity:get() end, "bad argument #1 to 'get' (key: a value expected, got nil)")
      raises_here(function() conn.tables.entity:on_insert(1) end, "bad argument #1 to 'on_insert' (fn: callable expected, got an integer)")
      raises_here(function() assert(conn.tables.entty) end, "no table 'entty' (did you mean 'entity'?)")
      raises_here(function() conn.tables.x = 1 end, "conn.tables is read-only")
      raises_here(function() conn.x = 1 end, "a connection is read-only (field 'x')")
    end)

    it("raises after close, at the caller's line, but close is idempotent", function()
      local entity = conn.tables.entity
      assert.is_true(conn:close())
      assert.is_true(conn:close())
      assert.is_true(conn:is_closed())
      raises_here(function() conn:call("x") end, "connection is closed")
      raises_here(function() conn:query("SELECT * FROM entity") end, "connection is closed")
      raises_here(function() entity:count() end, "connection is closed")
      raises_here(function() entity:on_insert(print) end, "connection is closed")
      raises_here(function() conn:status() end, "connection is closed")
      raises_here(function() conn:session() end, "connection is closed")
      assert.truthy(tostring(conn):find("(closed)", 1, true))
    end)

    it("subscribes and unsubscribes; rows come and go", function()
      local session = assert(conn:session())
      assert(create("a"))
      assert(create("b", "Company"))
      local seen, applied = {}, 0
      session.tables.entity:on_insert(function(row, event) seen[#seen + 1] = { "insert", row.id, event.subscribed } end)
      session.tables.entity:on_delete(function(row, event) seen[#seen + 1] = { "delete", row.id, event.subscribed } end)
      local sub = assert(session:subscribe("SELECT * FROM entity WHERE entity_type = 'Person'", {
        on_applied = function() applied = applied + 1 end,
      }))
      assert.is_true(sub:wait(5))
      assert.is_true(sub:is_active())
      assert.equal(1, applied)
      assert.equal(1, session.tables.entity:count())
      assert.is_true(sub:unsubscribe())
      assert.is_true(sub:unsubscribe())
      assert.is_false(sub:is_active())
      session:deliver()
      assert.same({ { "insert", "a", true }, { "delete", "a", true } }, seen)
      assert.equal(0, session.tables.entity:count())
      local ok, err = sub:wait()
      assert.is_nil(ok)
      assert.equal("CLOSED", err.code)
      assert(session:close())
    end)

    it("refuses bad queries and options", function()
      for _, case in ipairs({
        { "SELECT * FROM nope", nil, "nope" }, { "SELEC", nil, "" }, { {}, nil, "queries[1]: text expected, got nil" },
        { { 1 }, nil, "queries[1]: text expected, got number" },
        { "SELECT * FROM entity", { on_aplied = print }, "unknown option 'on_aplied' (did you mean 'on_applied'?)" },
      }) do
        local sub, err = conn:subscribe(case[1], case[2])
        assert.is_nil(sub)
        assert.equal("ValidationError", err.kind)
        assert.truthy(err.message:find(case[3], 1, true), err.message)
      end
    end)

    it("delivers within the frame's budget, then on_applied", function()
      for i = 1, 2000 do
        assert(create("e" .. i))
      end
      local session = assert(conn:session())
      local count, at_applied = 0, nil
      session.tables.entity:on_insert(function() count = count + 1 end)
      local sub = assert(session:subscribe("SELECT * FROM entity", { on_applied = function() at_applied = count end }))
      local steps = 0
      while not sub:is_active() and steps < 100000 do
        iu.step(0.2)
        steps = steps + 1
      end
      assert.equal(2000, at_applied)
      assert.is_true(steps > 1)
      assert(session:close())
    end)

    it("opens sessions with identities of their own", function()
      local session = assert(conn:session({ identity = ("ab"):rep(32) }))
      assert.equal(("ab"):rep(32), session:identity())
      assert.is_false(session:is_owner())
      assert.is_true(conn:is_owner())
      local caller
      conn.tables.entity:on_insert(function(_, event) caller = { event.caller, event.own } end)
      assert(session:call("create_entity", "P", METADATA, "s"))
      conn:deliver()
      assert.same({ session:identity(), false }, caller)
      assert(session:close())
      local other, err = conn:session({ identity = "short" })
      assert.is_nil(other)
      assert.equal("ValidationError", err.kind)
      other, err = conn:session({ identiy = "x" })
      assert.is_nil(other)
      assert.truthy(err.message:find("did you mean 'identity'?", 1, true))
    end)

    it("sends without waiting", function()
      assert.is_true(conn:send("create_entity", "Person", METADATA, "sent"))
      local ok, err = conn:send("create_entity", "", METADATA, "x")
      assert.is_nil(ok)
      assert.equal("ValidationError", err.kind)
      assert.equal("sent", conn:get("entity", "sent").id)
    end)

    it("flushes, folds and closes in tasks and outside", function()
      assert(create("a"))
      assert.is_true(conn:flush())
      assert.is_true(conn:fold(10))
      iu.run(function()
        assert(create("b"))
        assert.is_true(conn:flush(10))
        assert(create("c"))
        assert.is_true(conn:close())
      end)
      assert.is_true(conn:is_closed())
    end)

    it("closes at the end of a scope", function()
      local kept
      do
        local scoped <close> = assert(iu.connect("memory:"))
        kept = scoped
      end
      assert.is_true(kept:is_closed())
      iu.run(function()
        local scoped <close> = assert(iu.connect("memory:"))
        kept = scoped
      end)
      assert.is_true(kept:is_closed())
    end)

    it("that the program dropped is collected and closed, handlers or not", function()
      local before = core.debug_refs()
      local path = folder .. "/dropped.universe"
      local function drop()
        local dropped = assert(iu.connect(path, { subscribe = "all" }))
        dropped.tables.entity:on_insert(function() return dropped end)
        assert(dropped:call("create_entity", "P", METADATA, "kept"))
      end
      drop()
      collectgarbage()
      collectgarbage()
      assert.equal(before, core.debug_refs())
      local again = assert(iu.connect(path))
      assert.equal("kept", again:get("entity", "kept").id)
      assert(again:close())
    end)

    it("stays while a table, a handle or a subscription of it is held", function()
      local entity = assert(iu.connect("memory:", { subscribe = "all" })).tables.entity
      collectgarbage()
      collectgarbage()
      assert.equal(0, entity:count())
      entity.conn.owner:close()
    end)
  end)
end

describe("a file", function()
  before_each(function() folder = shell("mktemp -d") end)
  after_each(function() os.execute("rm -rf '" .. folder .. "'") end)

  it("with durability full makes calls wait, in tasks and outside, and several share a wait", function()
    local conn = assert(iu.connect(folder .. "/w", { durability = "full" }))
    assert(conn:call("create_entity", "P", METADATA, "plain"))
    iu.run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = iu.spawn(function() return conn:call("create_entity", "P", METADATA, "t" .. i) end)
      end
      for i = 1, 20 do
        assert.is_true(tasks[i]:wait())
      end
    end)
    assert.equal(21, #conn:query("SELECT * FROM entity"))
    local why
    iu.run(function()
      why = coroutine.wrap(function()
        return (select(2, pcall(function() conn:call("create_entity", "P", METADATA, "nested") end)))
      end)()
    end)
    assert.truthy(why:find("connection_spec.lua:%d+: cannot wait in a coroutine nested in a task"), why)
    assert(conn:close())
  end)

  it("closed while calls wait gives every one its answer", function()
    local conn = assert(iu.connect(folder .. "/w", { durability = "full" }))
    local answers = 0
    iu.run(function()
      for i = 1, 10 do
        iu.spawn(function()
          local ok, err = conn:call("create_entity", "P", METADATA, "c" .. i)
          assert(ok or err.kind == "ConnectionError")
          answers = answers + 1
        end)
      end
      coroutine.yield()
      assert(conn:close())
    end)
    assert.equal(10, answers)
    local again <close> = assert(iu.connect(folder .. "/w"))
    assert.equal(10, #again:query("SELECT * FROM entity"))
  end)

  it("open elsewhere answers UniverseLockedError", function()
    local conn = assert(iu.connect(folder .. "/w"))
    local other, err = iu.connect(folder .. "/w")
    assert.is_nil(other)
    assert.equal("UniverseLockedError", err.kind)
    assert.is_true(iu.errors.is(err, "PersistenceError"))
    assert(conn:close())
  end)

  it("that cannot be made answers StorageError", function()
    local conn, err = iu.connect(folder .. "/no/such/folder/w")
    assert.is_nil(conn)
    assert.equal("StorageError", err.kind)
  end)
end)

describe("what is left on a connection", function()
  it("is counted: subscriptions, handlers, calls without an answer", function()
    local conn <close> = assert(iu.connect("memory:"))
    assert.same({ 0, 0, 0 }, { conn:in_use() })
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    local inserted, deleted = conn.tables.entity:on_insert(print), conn.tables.relation:on_delete(print)
    local heard = conn:on_state(print)
    assert.same({ 1, 3, 0 }, { conn:in_use() })
    sub:unsubscribe()
    inserted:cancel()
    deleted:cancel()
    heard:cancel()
    assert.same({ 0, 0, 0 }, { conn:in_use() })
    conn:close()
    raises_here(function() conn:in_use() end, "connection is closed")
  end)
end)

describe("bytes of a row", function()
  it("are a row again, and are checked", function()
    local conn <close> = assert(iu.connect("memory:"))
    assert(conn:call("create_entity", "Person", METADATA, "a"))
    local row = assert(conn:get("entity", "a"))
    local bytes = assert(conn:row_bytes("entity", row))
    assert.same(row, conn:row_of_bytes("entity", bytes))
    for cut = 0, #bytes - 1 do
      local none, err = conn:row_of_bytes("entity", bytes:sub(1, cut))
      assert.is_nil(none)
      assert.equal("ValidationError", err.kind)
    end
    for _, wrong in ipairs({ bytes .. "x", ("\255"):rep(#bytes), (bytes:gsub("Person", "P\255rson")) }) do
      assert.is_nil((conn:row_of_bytes("entity", wrong)))
    end
    local _, err = conn:row_of_bytes("nothing", bytes)
    assert.matches("nothing", err.message)
    assert.matches("string expected", raised(function() conn:row_of_bytes("entity", {}) end))
  end)
end)

describe("iu.connect", function()
  it("refuses targets and options that make no sense", function()
    local function refused(kind, part, ...)
      local conn, err = iu.connect(...)
      assert.is_nil(conn)
      assert.equal(kind, err.kind)
      assert.truthy(err.message:find(part, 1, true), err.message)
    end
    refused("ConnectionError", "127.0.0.1 port 1:", "ws://127.0.0.1:1/x")
    refused("ConnectionError", "127.0.0.1 port 1:", { backend = "spacetimedb", port = 1, token_file = "none" })
    refused("ValidationError", "token: for servers only", "memory:", { token = "x" })
    refused("ValidationError", "durability: for embedded universes only", "ws://127.0.0.1:1/x", { durability = "full" })
    refused("ValidationError", "protocol: one of v1, v1.json, v2, v3 expected, got 'v4'", "ws://127.0.0.1:1/x", { protocol = "v4" })
    refused("ValidationError", "unknown option 'tokn' (did you mean 'token'?)", "ws://127.0.0.1:1/x", { tokn = "x" })
    refused("ValidationError", "reconnect: unknown key 'min_dely' (did you mean 'min_delay'?)", "ws://127.0.0.1:1/x",
      { reconnect = { min_dely = 1 } })
    refused("ValidationError", "reconnect.max_delay: more than 0", "ws://127.0.0.1:1/x", { reconnect = { max_delay = 0 } })
    refused("ValidationError", "connect_timeout: more than 0", "ws://127.0.0.1:1/x", { connect_timeout = -1 })
    refused("ValidationError", "unknown scheme", "http://localhost")
    refused("ValidationError", "unknown option 'durabilty' (did you mean 'durability'?)", "memory:", { durabilty = "full" })
    refused("ValidationError", "durability: one of full, normal, off", "memory:", { durability = "fast" })
    refused("ValidationError", "flush_interval_ms: integer expected", "memory:", { flush_interval_ms = 0.5 })
    refused("ValidationError", "timeout: more than 0", "memory:", { timeout = 0 })
    refused("ValidationError", "subscribe", "memory:", { subscribe = "some" })
    refused("ValidationError", "nope", "memory:", { subscribe = { "SELECT * FROM nope" } })
    refused("ValidationError", "unknown key 'prt' (did you mean 'port'?)", { prt = 1 })
    assert.equal("bad argument #1 to 'connect' (target: table expected, got an integer)",
      (raised(function() iu.connect(1) end):gsub("^.-:%d+: ", "")))
  end)

  it("takes a configuration", function()
    local conn = assert(iu.connect({ db_path = "memory:" }))
    assert.is_false(conn:is_closed())
    assert(conn:close())
  end)

  it("keeps universes apart", function()
    local a, b = assert(iu.connect("memory:")), assert(iu.connect("memory:"))
    assert(a:call("create_entity", "P", METADATA, "only in a"))
    assert.equal(0, #b:query("SELECT * FROM entity"))
    assert(a:close())
    assert(b:call("create_entity", "P", METADATA, "b"))
    assert(b:close())
  end)
end)

describe("the module", function()
  it("is read-only", function()
    raises_here(function() iu.open = nil end, "inner_universe is read-only (field 'open')")
    raises_here(function() iu.json.encode = nil end, "iu.json is read-only (field 'encode')")
  end)

  it("gives the values of the core", function()
    assert.equal("[]", iu.json.encode(iu.array({})))
    assert.equal("{}", iu.json.encode(iu.object({})))
    assert.equal("null", iu.json.encode(iu.null))
    assert.equal("12345678901234567890", tostring(iu.wide("12345678901234567890")))
    assert.equal(64, #iu.json.hash({ a = 1 }))
    assert.equal('{"a": 1, "b": [1.0]}', iu.json.canonical({ b = { 1.0 }, a = 1 }))
    assert.truthy(iu.uuid():match("^%x+%-%x+%-7%x+%-%x+%-%x+$"))
    assert.equal("integer", math.type(iu.now()))
    assert.equal("0.1.0", iu._VERSION)
  end)

  it("tells the error handler what nobody waits for, and the log without one", function()
    local heard
    local previous = iu.on_error(function(err, context) heard = { err.message, context } end)
    iu.spawn(error, "lost", 0)
    iu.step()
    assert.equal("lost", heard[1])
    assert.truthy(heard[2]:find("traceback", 1, true))
    iu.on_error(nil)
    local lines = {}
    local sink = iu.log.set_sink(function(level, message) lines[#lines + 1] = level .. " " .. message end)
    iu.spawn(error, "logged", 0)
    iu.step()
    iu.log.set_sink(sink)
    assert.truthy(lines[1]:find("^error PersistenceError: logged"))
    iu.on_error(previous)
  end)
end)
