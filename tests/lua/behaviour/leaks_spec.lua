-- What is held on the C side for Lua is given back: references, sessions, rows of the view, memory over many rounds.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local support = require "support"

local ROW = { tags = {}, properties = "{}" }

describe("nothing is left over", function()
  after_each(support.clean)

  local function settle()
    for _ = 1, 4 do
      collectgarbage()
      iu.step(1)
    end
  end

  -- References held now, after fn has run once to make what is made once.
  local function balanced(fn)
    fn()
    settle()
    local before = core.debug_refs()
    for _ = 1, 5 do fn() end
    settle()
    assert.equal(before, core.debug_refs())
  end

  it("the counter counts: an open connection holds references", function()
    settle()
    local before = core.debug_refs()
    local conn = support.connect()
    assert.is_true(core.debug_refs() > before)
    assert(conn:close())
    assert.equal(before, core.debug_refs())
  end)

  it("by connections that are closed, dropped, or closed by a callback", function()
    balanced(function() assert(assert(iu.connect("memory:")):close()) end)
    balanced(function() assert(iu.connect("memory:")) end)
    balanced(function()
      local conn = assert(iu.connect("memory:", { subscribe = "all" }))
      conn.tables.entity:on_insert(function() conn:close() end)
      conn:call("create_entity", "T", ROW, nil)
      settle()
      assert.is_true(conn:is_closed())
    end)
  end)

  it("by handlers, subscriptions, iterators, events and tasks of a connection that stays", function()
    local conn = support.connect()
    local n = 0
    balanced(function()
      local heard = 0
      local handles = {
        conn.tables.entity:on_insert(function(_, event) heard = heard + (event and 1 or 0) end), conn.tables.entity:on_update(function() end),
        conn.tables.entity:on_delete(function() end),
      }
      local subs = { assert(conn:subscribe("SELECT * FROM entity")), assert(conn:subscribe("SELECT * FROM entity WHERE entity_type = 'T'")) }
      for _, sub in ipairs(subs) do assert(sub:wait()) end
      for _ = 1, 20 do
        n = n + 1
        assert(conn:call("create_entity", "T", ROW, "e" .. n))
      end
      for _, each in ipairs { table.pack(conn.tables.entity:iter()), table.pack(conn.tables.entity:range("id", "e1")) } do
        assert.is_table(each[1](each[2], each[3])) -- left before its end
      end
      iu.run(function()
        for _ = 1, 10 do iu.spawn(function() iu.sleep(0.0001) end) end
        iu.spawn(function() iu.sleep(10) end):cancel()
      end)
      assert.is_true(heard >= 20)
      for _, handle in ipairs(handles) do handle:cancel() end
      for _, sub in ipairs(subs) do assert(sub:unsubscribe()) end
      support.settle(conn)
      settle()
      assert.equal(0, conn.tables.entity:count())
    end)
  end)

  it("by sessions", function()
    local conn = support.connect()
    balanced(function()
      local other = support.session(conn, ("b0"):rep(32))
      assert(other:subscribe("SELECT * FROM entity"):wait())
      other.tables.entity:on_insert(function() end)
      assert(conn:call("create_entity", "T", ROW, nil))
      assert(other:close())
    end)
    balanced(function() assert(conn:session()) end)
    settle()
    if not support.on_server then assert.equal(1, conn:status().sessions) end
    support.wait_until(function() return #conn:query("SELECT * FROM client_connection WHERE status = 'connected'") == 1 + support.host_sessions end)
  end)

  it("by managers with handlers, versions and plugins", function()
    balanced(function()
      local m = assert(iu.open("memory:"))
      assert(m.event_bus:register_handler("*", function() return m end))
      assert(m.client:subscribe_entity_changes(function() end))
      assert(m:create_entity("T"))
      assert(m:commit_version({ a = 1 }))
      assert(m:shutdown())
    end)
    balanced(function()
      local m = assert(iu.open("memory:"))
      assert(m.event_bus:register_handler("*", function() return m end))
      assert(m:create_entity("T"))
    end)
  end)

  it("by calls that are refused", function()
    local conn = support.connect()
    balanced(function()
      assert.is_nil((conn:call("create_entity", "", ROW, nil)))
      assert.is_nil((conn:call("nonsense")))
      assert.is_nil((support.try_subscribe(conn, "nonsense")))
      assert.is_nil((conn:query("nonsense")))
      assert.is_nil((conn:session { identity = "nonsense" }))
      assert.is_nil((iu.connect("/nonexistent-folder/x.universe")))
      conn.tables.entity:on_insert(error):cancel()
    end)
  end)

  it("of rows that came and went, once nobody looks at them any more", function()
    local conn = support.connect { subscribe = "all" }
    for i = 1, 2000 do
      assert(conn:call("put_record", "k" .. i % 10, ("x"):rep(1000), nil, nil))
      if i % 3 == 0 then assert(conn:call("delete_record", "k" .. i % 10, nil)) end
    end
    settle()
    local status = conn:status()
    assert.is_true(status.rows < 100, "rows " .. status.rows)
    assert.is_true(status.row_bytes < 200000, "bytes " .. status.row_bytes)
  end)

  it("of Lua's memory over many rounds of events", function()
    local m = support.open { plugins = { event_bus = { rollover = 64 } }, features = { enable_audit_log = false } }
    local count = 0
    assert(m.event_bus:register_handler("E", function() count = count + 1 end))
    local function round()
      for i = 1, 2000 do assert(m:publish_event("E", { i = i })) end
      settle()
      return collectgarbage("count")
    end
    round()
    local first = round()
    round()
    local last = round()
    assert.equal(8000, count)
    assert.is_true(last < first + 300, ("%.0f KiB, then %.0f KiB"):format(first, last))
  end)
end)
