-- The life of a universe: made, initialized, used, flushed, shut down; what each does twice, and too late; dropped; two at once.

local iu = require "inner_universe"
local support = require "support"

describe("a manager", function()
  after_each(support.clean)

  local function config(more)
    return support.config(support.target(), more)
  end

  it("is not initialized before initialize, and is after", function()
    local m = support.owned(assert(iu.manager(config())))
    assert.is_false(m:is_initialized())
    assert.is_false(m:status().initialized)
    assert.is_false(m.client:is_connected())
    assert.equal("stopped", m.controller.status().status)
    support.raises_here(function() m:create_entity("T") end, "initialized")
    support.raises_here(function() m.client:get_entity("x") end, "connected")
    assert.is_true(m:initialize { deploy = true })
    assert.is_true(m:is_initialized())
    assert.is_true(m:initialize())
    assert.is_true(m.client:is_connected())
    assert.is_true(m.client:connect())
    assert.equal("running", m.controller.status().status)
    local id = assert(m:create_entity("T"))
    assert.is_true(m:initialize { deploy = true })
    assert.equal(id, m:get_entity(id).id)
  end)

  it("refuses options it does not know", function()
    local m = support.owned(assert(iu.manager(config())))
    support.refused("ValidationError", nil, select(2, m:initialize { deplooy = true }), "deplooy", "deploy")
    support.refused("ValidationError", nil, select(2, m:initialize { deploy = "yes" }), "deploy")
    support.raises_here(function() m:initialize(5) end, "initialize", "options")
    assert.is_false(m:is_initialized())
    assert.is_true(m:initialize())
  end)

  it("tells its status before, while and after, without raising; the answer can be written as JSON", function()
    local m = support.owned(assert(iu.manager(config())))
    for _ = 1, 2 do
      local status = m:status()
      assert.equal(support.on_server and "spacetimedb" or "embedded", status.backend)
      assert.is_true(status.features.enable_audit_log)
      local back = iu.json.decode(assert(iu.json.encode(status)))
      assert.is_true(back.features.enable_audit_log, "features are a plain table")
      assert.equal(4, #back.plugins)
      assert(m:initialize())
    end
    assert(m:create_entity("T"))
    local status = m:status()
    assert.is_true(status.initialized)
    if not support.on_server then assert.equal("normal", status.durability) end
    assert.is_true(status.events >= 1)
    if not support.on_server then assert.is_true(status.connection.rows >= 2) end -- a client holds what it subscribed to
    assert(m:shutdown())
    status = m:status()
    assert.is_false(status.initialized)
    assert.is_true(status.closed)
    assert.is_nil(status.connection)
  end)

  it("tells its status also where another task closes it meanwhile", function()
    for turns = 0, 4 do
      local m = support.open()
      iu.run(function()
        local asking = iu.spawn(m.status, m)
        for _ = 1, turns do iu.sleep(0) end
        assert(m:shutdown())
        local status = assert(asking:wait())
        assert.not_equal(status.initialized, status.closed)
      end)
    end
  end)

  it("flushes: true, and again true", function()
    local m = support.open()
    assert.is_true(m:flush())
    assert(m:create_entity("T"))
    assert.is_true(m:flush())
    assert.is_true(m:flush(5))
    local journal = m:status().journal
    if support.on_server then assert.is_nil(journal) else assert.equal(journal.last_sequence, journal.durable_sequence) end
    support.raises_here(function() m:flush("now") end, "flush", "timeout")
  end)

  it("flushes inside a task while others go on", function()
    local m = support.open { durability = "full" }
    local order = {}
    iu.run(function()
      local one = iu.spawn(function()
        assert(m:create_entity("T"))
        assert(m:flush())
        order[#order + 1] = "flushed"
      end)
      local two = iu.spawn(function()
        for _ = 1, 3 do iu.sleep(0.0001) end
        order[#order + 1] = "slept"
      end)
      one:wait()
      two:wait()
    end)
    assert.equal(2, #order)
  end)

  it("shuts down once, and says true again", function()
    local m = support.open()
    assert(m:create_entity("T"))
    assert.is_true(m:shutdown())
    assert.is_true(m:shutdown())
    assert.is_false(m:is_initialized())
    assert.is_true(m.client:disconnect())
  end)

  it("raises when it is used after that, at the line of the caller", function()
    local m = support.open()
    local bus, store, client = m.event_bus, m.temporal_store, m.client
    assert(m:shutdown())
    support.raises_here(function() m:create_entity("T") end, "closed")
    support.raises_here(function() m:get_entity("x") end, "closed")
    support.raises_here(function() m:update_entity("x", {}) end, "closed")
    support.raises_here(function() m:delete_entity("x") end, "closed")
    support.raises_here(function() m:query_entities {} end, "closed")
    support.raises_here(function() m:create_relation("a", "b", "R") end, "closed")
    support.raises_here(function() m:get_relation("x") end, "closed")
    support.raises_here(function() m:update_relation("x", {}) end, "closed")
    support.raises_here(function() m:delete_relation("x") end, "closed")
    support.raises_here(function() m:query_relations {} end, "closed")
    support.raises_here(function() m:commit_version({}) end, "closed")
    support.raises_here(function() m:record_delta("v", {}) end, "closed")
    support.raises_here(function() m:publish_event("E") end, "closed")
    support.raises_here(function() m:flush() end, "closed")
    support.raises_here(function() bus:publish("E") end, "closed")
    support.raises_here(function() bus:events() end, "closed")
    support.raises_here(function() bus:subscribe_to_events() end, "closed")
    support.raises_here(function() store:commit_version({}) end, "closed")
    support.raises_here(function() store:get_current_version() end, "closed")
    support.raises_here(function() store:get_state("v") end, "closed")
    support.raises_here(function() store:history() end, "closed")
    support.raises_here(function() store:get_deltas("v") end, "closed")
    support.raises_here(function() client:create_entity("T") end, "connected")
    support.raises_here(function() client:query("SELECT * FROM entity") end, "connected")
    support.raises_here(function() client:subscribe_entity_changes(print) end, "connected")
    support.raises_here(function() client:commit_state_version(nil, "d") end, "connected")
    assert.is_false(client:is_connected())
    assert.is_false(m:is_initialized())
  end)

  it("cannot be opened again: a second initialize says so", function()
    local m = support.open()
    assert(m:shutdown())
    support.raises_here(function() m:initialize() end, "closed")
  end)

  it("closes at the end of its block", function()
    local target = support.target()
    local kept
    do
      local m <close> = assert(iu.open(target))
      assert(m:create_entity("T", nil, "a"))
      kept = m
    end
    assert.is_false(kept:is_initialized())
    if support.on_file then
      local again <close> = assert(iu.open(target))
      assert.equal("a", again:get_entity("a").id)
    end
  end)

  it("closes at the end of a block that an error leaves, and of a task that ends so", function()
    local target = support.target()
    local ok = pcall(function()
      local m <close> = assert(iu.open(target))
      assert(m:create_entity("T", nil, "a"))
      error("on purpose")
    end)
    assert.is_false(ok)
    iu.run(function()
      local m <close> = assert(iu.open(target))
      assert(m:create_entity("T", nil, "b"))
    end)
    local m <close> = assert(iu.open(target))
    if support.on_file then assert.equal(2, #m:query_entities {}) end
  end)

  it("that is dropped without close is closed by the collector, and nothing is lost", function()
    local target = support.target()
    do
      local m = assert(iu.open(target))
      assert(m:create_entity("T", nil, "a"))
      assert(m.event_bus:register_handler("*", function() return m end))
    end
    collectgarbage()
    collectgarbage()
    collectgarbage()
    if not support.on_file then return end
    local m = support.owned(assert(iu.open(target), "still locked by what was dropped"))
    assert.equal("a", m:get_entity("a").id)
  end)

  it("that is dropped in the middle of its last call answers it all the same", function()
    local target = support.target()
    local m = assert(iu.open(target))
    for i = 1, 3000 do assert(m:create_entity("T", { properties = { i = i } })) end
    if support.on_file then
      assert(m:shutdown())
      for _ = 1, 3 do
        assert.equal(3000, #assert(assert(iu.open(target)):query_entities { entity_type = "T" }))
        collectgarbage()
        collectgarbage()
        assert.equal(3000, #assert(assert(iu.connect(target)):query("SELECT * FROM entity")))
        collectgarbage()
        collectgarbage()
      end
    else
      local function last()
        local dropped = m
        m = nil
        return dropped:query_entities { entity_type = "T" }
      end
      assert.equal(3000, #assert(last()))
    end
  end)

  -- Beside a task that collects garbage all the time.
  local function with_collector(fn)
    iu.run(function()
      local collecting <close> = iu.spawn(function()
        while true do
          collectgarbage()
          iu.sleep(0.001)
        end
      end)
      fn(collecting)
    end)
  end

  it("that nobody holds lives on while something that was got from it is held", function()
    local target = support.target()
    local settings = { token = support.token(target) }
    local function part_of(get) return get(assert(iu.open(target, settings))) end
    local conn = part_of(function(m)
      for i = 1, 50 do assert(m:create_entity("T", { properties = { i = i } })) end
      return m.client:connection()
    end)
    with_collector(function()
      for _ = 1, 20 do assert.equal(50, #assert(conn:query("SELECT * FROM entity"))) end
    end)
    conn = nil
    collectgarbage()
    collectgarbage()
    local bus, heard = part_of(function(m) return m.event_bus end), 0 -- a file: not locked by what was dropped
    with_collector(function()
      assert(bus:register_handler("N", function() heard = heard + 1 end))
      for _ = 1, 20 do assert(bus:publish("N", { n = 1 })) end
      support.wait_until(function() return heard == 20 end)
    end)
    assert(conn == nil)
  end)

  it("that nobody holds lives on while a call of it waits", function()
    local target, settings = support.target(), nil
    if support.on_server then settings = { token = support.token(target) } end
    local function at() return support.on_server and target or support.target() end -- what was dropped a moment ago may still have its file open
    local function open() return assert(iu.open(at(), settings)) end
    with_collector(function()
      for _ = 1, 20 do
        assert(open():query_entities { entity_type = "T" })
        assert(open():create_entity("T"))
        assert(open().client:create_entity("T"))
        assert(assert(iu.connect(at(), settings)):query("SELECT * FROM entity"))
        assert(assert(iu.connect(at(), settings)):session():query("SELECT * FROM entity"))
      end
    end)
  end)

  it("shut down by two tasks at once is saved when either is told so", function()
    local target = support.target()
    local m = assert(iu.open(target))
    local answers = {}
    iu.run(function()
      for i = 1, 500 do assert(m:create_entity("T", nil, "e" .. i)) end
      for i = 1, 2 do
        iu.spawn(function() answers[i] = m:shutdown() end)
      end
    end)
    assert.same({ true, true }, answers)
    if support.on_file then
      local again <close> = assert(iu.open(target))
      assert.equal(500, #again:query_entities {})
    end
  end)

  it("stands beside another one in the same state, each with its own things", function()
    local one, two = support.open(), support.open()
    local heard = {}
    assert(one.event_bus:register_handler("*", function() heard[#heard + 1] = "one" end))
    assert(two.event_bus:register_handler("*", function() heard[#heard + 1] = "two" end))
    one.hooks.before("create_entity", function() heard[#heard + 1] = "hook" end)
    assert(one:create_entity("T", nil, "a"))
    assert(two:create_entity("T", nil, "a"))
    assert(two:create_entity("T", nil, "b"))
    assert.same({ "hook", "one", "two", "two" }, heard)
    assert.equal(1, #one:query_entities {})
    assert.equal(2, #two:query_entities {})
    assert(one:shutdown())
    assert.equal("b", two:get_entity("b").id)
    assert(two:create_entity("T"))
  end)

  it("can be opened many times over", function()
    for i = 1, 30 do
      local m = support.open()
      assert(m:create_entity("T", nil, "a" .. i))
      assert(m:shutdown())
    end
  end)

  it("cannot be spoiled: its methods and fields are not set", function()
    local m = support.open()
    support.raises_here(function() m.create_entity = print end, "create_entity")
    support.raises_here(function() m.nonsense = 1 end, "nonsense")
    assert.is_nil(m.nonsense)
  end)

  it("that cannot be opened says why, and can be tried again", function()
    local path = support.path()
    local m = support.owned(assert(iu.manager { db_path = path .. "/folder/that/is/not/there.universe" }))
    support.refused("StorageError", nil, select(2, m:initialize()), "there.universe")
    assert.is_false(m:is_initialized())
    assert(os.execute(("mkdir -p '%s/folder/that/is/not'"):format(path)))
    assert.is_true(m:initialize())
    assert(m:create_entity("T"))
  end)
end)

describe("a connection", function()
  after_each(support.clean)

  it("closes once, says true again, and raises when it is used after that", function()
    local conn = support.connect()
    local t = conn.tables.entity
    local handle = t:on_insert(print)
    assert.is_true(conn:close())
    assert.is_true(conn:close())
    assert.is_true(conn:is_closed())
    assert.is_false(handle:is_active())
    handle:cancel()
    support.raises_here(function() conn:call("create_entity") end, "closed")
    support.raises_here(function() conn:send("create_entity") end, "closed")
    support.raises_here(function() conn:subscribe("SELECT * FROM entity") end, "closed")
    support.raises_here(function() conn:query("SELECT * FROM entity") end, "closed")
    support.raises_here(function() conn:select("entity", {}) end, "closed")
    support.raises_here(function() conn:get("entity", "x") end, "closed")
    support.raises_here(function() conn:flush() end, "closed")
    support.raises_here(function() conn:fold() end, "closed")
    support.raises_here(function() conn:session() end, "closed")
    support.raises_here(function() conn:identity() end, "closed")
    support.raises_here(function() conn:status() end, "closed")
    support.raises_here(function() t:get("x") end, "closed")
    support.raises_here(function() t:count() end, "closed")
    support.raises_here(function() t:iter() end, "closed")
    support.raises_here(function() t:on_insert(print) end, "closed")
  end)

  it("closed while it is iterated ends the loop with an error", function()
    local conn = support.connect { subscribe = "all" }
    for i = 1, 5 do assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }, "e" .. i)) end
    local seen = 0
    local ok, raised = pcall(function()
      for _ in conn.tables.entity:iter() do
        seen = seen + 1
        conn:close()
      end
    end)
    assert.is_false(ok)
    assert.is_truthy(tostring(raised):find("closed", 1, true))
    assert.equal(1, seen)
  end)

  it("dropped without close is closed by the collector", function()
    local target = support.target()
    do
      local conn = assert(iu.connect(target))
      assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }, "a"))
    end
    collectgarbage()
    collectgarbage()
    local again = support.connect(nil, target)
    if support.on_file then assert.equal("a", again:get("entity", "a").id) end
  end)
end)
