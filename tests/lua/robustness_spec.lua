-- What scripts should not do, and do: close what they stand on, raise anything from anywhere, wait where nobody may, collect garbage all
-- the time. No crash, no leak (the sanitizers look at this file too), and the universe works on or is closed, with all its rows.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local support = require "support"

local META = { tags = {}, properties = "{}" }

local function make(conn, id)
  return conn:call("create_entity", "Thing", META, id)
end

local function turns(count)
  for _ = 1, count or 5 do iu.step() end
end

local function path()
  return support.path() .. ".universe"
end

-- How many entities the file has.
local function entities_in(file)
  local conn = assert(iu.connect(file))
  local rows = assert(conn:query("SELECT * FROM entity"))
  assert(conn:close())
  return #rows
end

local function closed_error(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.matches("closed", tostring(err))
end

before_each(function()
  collectgarbage()
  collectgarbage()
end)

after_each(function()
  collectgarbage("incremental", 200, 100, 13)
  support.clean()
end)

describe("a handler that closes its own connection", function()
  local kinds = {
    on_insert = function(conn) return make(conn, "a") end,
    on_update = function(conn) return conn:call("update_entity", "old", { tags = { "new" }, properties = "{}" }) end,
    on_delete = function(conn) return conn:call("delete_entity", "old", false) end,
  }
  for kind, change in pairs(kinds) do
    for _, where in ipairs({ "plain code", "a task" }) do
      it(("from %s, in %s"):format(kind, where), function()
        local file = path()
        local conn = assert(iu.connect(file, { subscribe = "all" }))
        assert(make(conn, "old"))
        local heard = 0
        conn.tables.entity[kind](conn.tables.entity, function()
          heard = heard + 1
          conn:close()
        end)
        conn.tables.event_log:on_insert(function() heard = heard + 100 end) -- of the same transaction: not told any more, or before
        local function go()
          assert(change(conn))
          assert(conn:close()) -- waits for the one of the handler
        end
        if where == "a task" then iu.run(go) else go() end
        assert.equal(1, heard % 100)
        assert.is_true(conn:is_closed())
        assert(conn:close()) -- the handler's own may still wait for the disk
        closed_error(conn.call, conn, "create_entity", "Thing", META)
        assert.equal(kind == "on_insert" and 2 or kind == "on_update" and 1 or 0, entities_in(file))
      end)
    end
  end

  it("from on_applied, and from a subscription's end", function()
    local conn = assert(iu.connect("memory:"))
    local applied = 0
    conn:subscribe("SELECT * FROM entity", { on_applied = function()
      applied = applied + 1
      conn:close()
    end })
    iu.sleep(0.01)
    assert.equal(1, applied)
    assert.is_true(conn:is_closed())
  end)

  it("of a session, or the primary connection from a session's handler", function()
    for _, which in ipairs({ "session", "primary" }) do
      local conn = assert(iu.connect("memory:", { subscribe = "all" }))
      local session = assert(conn:session())
      assert(session:subscribe("SELECT * FROM entity"):wait())
      local heard = 0
      session.tables.entity:on_insert(function()
        heard = heard + 1
        local victim = which == "session" and session or conn
        victim:close()
      end)
      assert(make(conn, "a"))
      iu.sleep(0.01)
      assert.equal(1, heard)
      assert.is_true(session:is_closed())
      if which == "session" then assert(make(conn, "b")) end
      conn:close()
      support.reported = {}
    end
  end)

  it("of the manager, from an event's handler and from a change", function()
    for _, how in ipairs({ "event", "change" }) do
      local file = path()
      local m = assert(iu.open(file))
      local heard = 0
      local function handler()
        heard = heard + 1
        m:shutdown()
      end
      if how == "event" then
        m.event_bus:register_handler("ENTITY_CREATED", handler)
      else
        m.client:subscribe_entity_changes(handler)
      end
      iu.run(function()
        for _ = 1, 3 do
          if m:is_initialized() then m:create_entity("Thing") end
          iu.sleep(0.001)
        end
      end)
      assert.equal(1, heard)
      assert.is_false(m:is_initialized())
      closed_error(m.create_entity, m, "Thing")
      assert.is_true(m:shutdown())
      assert.is_true(entities_in(file) >= 1)
      support.reported = {}
    end
  end)
end)

describe("closing in the middle of things", function()
  it("ends a loop over rows with an error", function()
    local conn = assert(iu.connect("memory:", { subscribe = "all" }))
    for i = 1, 10 do make(conn, "e" .. i) end
    local seen = 0
    closed_error(function()
      for _ in conn.tables.entity:iter() do
        seen = seen + 1
        if seen == 3 then conn:close() end
      end
    end)
    assert.equal(3, seen)
  end)

  it("ends a loop over rows of a session whose universe closes", function()
    local conn = assert(iu.connect("memory:"))
    local session = assert(conn:session())
    for i = 1, 10 do make(conn, "e" .. i) end
    assert(session:subscribe("SELECT * FROM entity"):wait())
    assert.is_false(pcall(function()
      for _ in session.tables.entity:iter() do conn:close() end
    end))
    session:close()
  end)

  it("happens in __close during an error, which goes on", function()
    local file = path()
    for _, where in ipairs({ "plain", "task" }) do
      local function go()
        local conn <close> = assert(iu.connect(file))
        make(conn)
        for _ in conn.tables.entity:iter() do error("not reached") end
        error({ mine = true })
      end
      local ok, err = pcall(where == "task" and function() iu.run(go) end or go)
      assert.is_false(ok)
      assert.is_true(err.mine)
    end
    assert.equal(2, entities_in(file))
  end)

  it("happens in __close of a cancelled task", function()
    local file = path()
    iu.run(function()
      local task = iu.spawn(function()
        local m <close> = assert(iu.open(file))
        m:create_entity("Thing")
        iu.sleep(100)
      end)
      iu.sleep(0.01)
      assert.is_true(task:cancel())
    end)
    assert.equal(1, entities_in(file))
  end)

  it("happens in __gc, of what nobody holds any more", function()
    local file = path()
    do
      local conn = assert(iu.connect(file, { subscribe = "all" }))
      make(conn)
      conn.tables.entity:iter()
      conn = nil -- luacheck: ignore
    end
    collectgarbage()
    collectgarbage()
    assert.equal(1, entities_in(file)) -- else it would be locked
  end)

  it("happens in a finaliser that runs at any allocation of the calls on it", function()
    collectgarbage("incremental", 100, 1000, 0)
    for _, what in ipairs({
      function(conn, i) conn:call("create_entity", "T", { tags = { "a" .. i }, name = "n" .. i, properties = "{}" }, "id" .. i) end,
      function(conn) conn:query("SELECT * FROM event_log") end,
      function(conn) conn:select("entity", { filters = { { "id", "StartsWith", "e" } } }) end,
      function(conn) for _ in conn.tables.entity:iter() do end end,
      function(conn) conn.tables.entity:find("entity_type", "Thing") end,
      function(conn) conn.tables.entity:get("e5") end,
      function(conn) conn:schema() end,
      function(conn) conn:status() end,
      function(conn) conn:subscribe({ "SELECT * FROM relation", "SELECT * FROM config" }) end,
      function(conn) conn:session() end,
    }) do
      for round = 1, 12 do
        local conn = assert(iu.connect("memory:", { subscribe = "all" }))
        for i = 1, 20 do make(conn, "e" .. i) end
        collectgarbage()
        local victim = conn
        setmetatable({}, { __gc = function() victim:close() end })
        pcall(function()
          for i = 1, 200 do what(conn, i * 1000 + round) end
        end)
        conn:close()
      end
    end
  end)

  it("by the log, while a call is being made", function()
    local conn = assert(iu.connect("memory:", { subscribe = "all" }))
    local previous = iu.log.set_sink(function() conn:close() end)
    core.set_log(function() conn:close() end, "trace")
    pcall(function()
      for i = 1, 3 do make(conn, "e" .. i) end
      conn:session()
    end)
    conn:close()
    iu.log.set_sink(previous)
  end)
end)

describe("a callback that raises", function()
  local things = {
    ["a table"] = {}, ["nil"] = function() error(nil) end, ["a number"] = 42, ["true"] = true, ["a function"] = print,
    ["a thing shown as no text"] = setmetatable({}, { __tostring = function() return 1 end }),
    ["a thing that cannot be shown"] = setmetatable({}, { __tostring = function() error("no text") end }),
    ["a deep recursion"] = function()
      local function f() return 1 + f() end
      f()
    end,
    ["an error in the error"] = function()
      local guard <close> = setmetatable({}, { __close = function() error("second") end }) -- luacheck: ignore
      error("first")
    end,
  }
  for name, thing in pairs(things) do
    it(name .. " is reported, and the others go on", function()
      local conn = assert(iu.connect("memory:", { subscribe = "all" }))
      local heard = 0
      conn.tables.entity:on_insert(function()
        if type(thing) == "function" and thing ~= print then thing() end
        error(thing)
      end)
      conn.tables.entity:on_insert(function() heard = heard + 1 end)
      assert(make(conn, "a"))
      assert(make(conn, "b"))
      local timer = core.timer(0, function() error(thing) end)
      turns()
      timer:close()
      assert.equal(2, heard)
      assert.is_true(#support.reported >= 3)
      support.reported = {}
      assert(conn:close())
    end)
  end

  it("into an error handler that raises, too", function()
    local previous = iu.on_error(function() error({}) end)
    local conn = assert(iu.connect("memory:", { subscribe = "all" }))
    conn.tables.entity:on_insert(function() error("x") end)
    assert(make(conn, "a"))
    core.timer(0, function() error("y") end)
    turns()
    assert(make(conn, "b"))
    assert.equal(2, conn.tables.entity:count())
    assert(conn:close())
    iu.on_error(previous)
  end)
end)

describe("a runner of callbacks", function()
  it("runs timers, and when it raises nothing but the callback is lost", function()
    local ran = {}
    core.set_runner(function(fn, ...)
      ran[#ran + 1] = "runner"
      fn(...)
      error({ "runner" })
    end)
    core.timer(0, function() ran[#ran + 1] = "timer" end)
    core.timer(0, function() core.set_runner(nil) end)
    turns()
    core.timer(0, function() ran[#ran + 1] = "plain" end)
    turns()
    core.set_runner(nil)
    assert.same({ "runner", "timer", "runner", "plain" }, ran)
    assert.equal(2, #support.reported)
    support.reported = {}
  end)
end)

describe("texts of others", function()
  it("are made canonical or refused, however long or deep", function()
    assert.equal('{"a": [1.0, null], "b": 0}', core.canonical_text(' {"b": -0, "a": [1.0, null]} '))
    for _, text in ipairs({ "", "{", ("["):rep(100000), ("[1,"):rep(50000), '{"a":', '"\\ud800"', "1e999", "\0", '"\255"' }) do
      local value, err = core.canonical_text(text)
      assert.is_nil(value)
      assert.equal("ValidationError", err.kind)
      assert.is_nil((core.json_decode(text)))
    end
  end)
end)

describe("coroutines", function()
  it("nested in a task cannot wait, but can call", function()
    local conn = assert(iu.connect(path(), { durability = "full" }))
    iu.run(function()
      local nested = coroutine.wrap(function()
        local ok, err = pcall(make, conn, "nested")
        assert.is_false(ok)
        assert.matches("nested", err)
        assert.is_false(pcall(iu.sleep, 0))
        assert.is_false(pcall(iu.run, print))
        assert.is_false(pcall(iu.step))
        coroutine.yield(1)
      end)
      assert.equal(1, nested())
      assert(make(conn, "task"))
    end)
    assert.equal(2, #conn:query("SELECT * FROM entity")) -- the nested call was made; only its answer could not be waited for
    assert(conn:close())
  end)

  it("of their own turn the loop, also from a comparison", function()
    local conn = assert(iu.connect(path(), { durability = "full" }))
    assert(coroutine.wrap(function() return make(conn, "a") end)())
    table.sort({ 3, 1, 2 }, function(a, b)
      assert(make(conn))
      return a < b
    end)
    assert(conn:close())
  end)

  it("are dropped with open iterators and half-way through", function()
    local conn = assert(iu.connect("memory:", { subscribe = "all" }))
    for i = 1, 10 do make(conn, "e" .. i) end
    for _ = 1, 20 do
      local walk = coroutine.wrap(function()
        for row in conn.tables.entity:iter() do coroutine.yield(row) end
      end)
      walk()
      conn:call("delete_entity", "e1", false)
      conn:call("create_entity", "Thing", META, "e1")
    end
    local co = coroutine.create(function()
      for row in conn.tables.entity:iter() do coroutine.yield(row) end
    end)
    coroutine.resume(co)
    assert(coroutine.close(co))
    collectgarbage()
    assert(conn:close())
  end)

  it("that a handler resumes, and a task that resumes itself", function()
    local conn = assert(iu.connect("memory:", { subscribe = "all" }))
    local order = {}
    local co = coroutine.create(function()
      order[#order + 1] = "in"
      make(conn, "b") -- its callbacks queue
      coroutine.yield()
      order[#order + 1] = "again"
    end)
    conn.tables.entity:on_insert(function(row)
      order[#order + 1] = row.id
      coroutine.resume(co)
    end)
    assert(make(conn, "a"))
    turns()
    assert.same({ "a", "in", "b", "again" }, order)
    iu.run(function()
      local me = coroutine.running()
      assert.is_false(coroutine.resume(me))
      assert.is_false(pcall(coroutine.close, me))
      iu.sleep(0)
    end)
    assert(conn:close())
  end)
end)

describe("the collector at its fiercest", function()
  local function workload(collect)
    local file = path()
    local m = assert(iu.open(file))
    local conn = assert(iu.connect("memory:", { subscribe = "all" }))
    local messages, rows = 0, 0
    m.event_bus:register_handler("*", function(message)
      collect()
      assert(message.data)
      iu.sleep(0)
      messages = messages + 1
    end)
    conn.tables.entity:on_insert(function(row, event)
      collect()
      assert(row.id and event.args)
      rows = rows + 1
    end)
    iu.run(function()
      for t = 1, 3 do
        iu.spawn(function()
          for i = 1, 15 do
            local id = assert(m:create_entity("Thing", { name = t .. "/" .. i, tags = { "t" }, properties = { i = i, list = { 1, 2.5, iu.null } } }))
            assert(make(conn))
            assert.equal(i, m:get_entity(id).metadata.properties.i)
            if i % 5 == 0 then
              assert(m:commit_version({ t = t, i = i, deep = { { { i } } } }, "v"))
              for row in conn.tables.entity:iter() do
                collect()
                assert(row.id)
                if i == 10 then break end
              end
              assert(conn:subscribe("SELECT * FROM relation")):unsubscribe()
              local session = assert(conn:session())
              assert(session:query("SELECT * FROM event_log"))
              if i ~= 10 then session:close() end
              iu.sleep(0.001)
            end
            if i % 7 == 0 then assert(m:delete_entity(id)) end
          end
        end)
      end
    end)
    assert.equal(45, rows)
    assert.equal(45 - 6, #m:query_entities {})
    assert(messages >= 45, messages)
    assert(conn:close())
    assert(m:shutdown())
    assert.equal(45 - 6, entities_in(file))
  end

  it("in generational mode", function()
    collectgarbage("generational", 1, 1)
    workload(function() end)
    workload(function() collectgarbage("step") end)
  end)

  it("without any pause", function()
    collectgarbage("incremental", 0, 1000, 0)
    workload(function() end)
  end)

  it("in every callback", function()
    workload(collectgarbage)
  end)

  it("leaves no reference behind", function()
    local function refs()
      collectgarbage()
      collectgarbage()
      return core.debug_refs()
    end
    workload(function() end)
    local before = refs()
    workload(function() end)
    workload(collectgarbage)
    assert.equal(before, refs())
  end)
end)
