-- The plugin cache: values for a while, within bytes, computed once; entities kept up to date by subscriptions.

local iu = require "inner_universe"
local support = require "support"

local ROW = { tags = {}, properties = "{}" }

local function open(config, features)
  return support.open { plugins = { cache = config or true }, features = features }
end

describe("the cache", function()
  after_each(support.clean)

  describe("of values", function()
    it("gives what was set, exactly, until it is deleted", function()
      local cache = open().cache
      local document = assert(iu.json.document('{"a":[1,2.0,null]}'))
      local given = { n = 1, f = 1.0, list = iu.array {}, map = iu.object {}, nothing = iu.null, deep = { { x = "y" } } }
      for key, value in pairs { s = "text\0\xff", i = 42, f = 0.1, yes = true, no = false, t = given, d = document, null = iu.null } do
        assert.is_true(cache:set(key, value))
      end
      support.exactly("text\0\xff", cache:get("s"))
      support.exactly(42, cache:get("i"))
      support.exactly(0.1, cache:get("f"))
      assert.is_true(cache:get("yes"))
      assert.is_false(cache:get("no"))
      support.exactly(given, cache:get("t"))
      assert.is_true(rawequal(document, cache:get("d")))
      assert.equal(iu.null, cache:get("null"))
      assert.is_nil(cache:get("nobody"))
      assert.is_true(cache:delete("s"))
      assert.is_false(cache:delete("s"))
      assert.is_nil(cache:get("s"))
    end)

    it("cannot be changed by who set it or got it", function()
      local cache = open().cache
      local mine = { list = { 1, 2, 3 }, inner = { x = 1 } }
      assert(cache:set("k", mine))
      mine.inner.x = 2
      local first = cache:get("k")
      first.list[1], first.inner.x, first.more = 100, 100, true
      support.exactly({ list = { 1, 2, 3 }, inner = { x = 1 } }, cache:get("k"))
      local computed = cache:get_or_compute("c", function() return { x = 1 } end)
      computed.x = 2
      support.exactly({ x = 1 }, cache:get("c"))
    end)

    it("refuses what it cannot keep, and unknown options", function()
      local cache = open().cache
      support.refused("ValidationError", nil, select(2, cache:set("k", print)), "value", "function")
      support.refused("ValidationError", nil, select(2, cache:set("k", { f = print })), "value", "$.f")
      support.refused("ValidationError", nil, select(2, cache:set("k", { 0 / 0 })), "value")
      support.refused("ValidationError", nil, select(2, cache:set("k", 1, { tll = 1 })), "tll", "ttl")
      support.refused("ValidationError", nil, select(2, cache:set("k", 1, { ttl = "1" })), "ttl: number expected")
      support.refused("ValidationError", nil, select(2, cache:set("k", 1, { ttl = 0 })), "ttl: more than 0")
      support.refused("ValidationError", nil, select(2, cache:get_or_compute("k", print, { timeout = -1 })), "timeout")
      support.refused("ValidationError", nil, select(2, cache:get_or_compute("k", function() return print end)), "value", "function")
      support.raises_here(function() cache:get(nil) end, "key: string expected")
      support.raises_here(function() cache:set(1, 2) end, "key: string expected")
      support.raises_here(function() cache:get_or_compute("k") end, "fn: callable expected")
      support.raises_here(function() cache:delete({}) end, "key: string expected")
      assert.equal(0, cache:stats().entries)
    end)

    it("are forgotten after their time, and not before", function()
      local cache = open({ ttl_ms = 3600 * 1000, negative_ttl_ms = 20 }).cache
      assert(cache:set("short", 1, { ttl = 0.02 }))
      assert(cache:set("long", 2, { ttl = 3600 }))
      assert(cache:set("default", 3))
      assert(cache:set("nothing", nil))
      local computed = 0
      local function none()
        computed = computed + 1
        return nil
      end
      assert.is_nil(cache:get_or_compute("none", none, { negative_ttl = 3600 }))
      assert.is_nil(cache:get_or_compute("none", none))
      assert.is_nil(cache:get_or_compute("brief", none))
      iu.sleep(0.06)
      assert.same({ [2] = 2, [3] = 3 }, { cache:get("short"), cache:get("long"), cache:get("default") })
      assert.is_nil(cache:get_or_compute("none", none))
      assert.equal(2, computed)
      assert.is_nil(cache:get_or_compute("brief", none))
      assert.equal(3, computed)
      local stats = cache:stats()
      assert.equal(2, stats.expired)
      assert.equal(2, stats.negative_hits)
    end)

    it("keep within their bytes: those used last stay", function()
      local cache = open({ max_bytes = 40000 }).cache
      local text = ("x"):rep(1000)
      for i = 1, 20 do assert(cache:set("k" .. i, text .. i)) end
      assert.equal(20, cache:stats().entries)
      for i = 1, 5 do assert(cache:get("k" .. i)) end
      for i = 21, 200 do
        assert(cache:set("k" .. i, text .. i))
        assert.is_true(cache:stats().bytes <= 40000)
        for j = 1, 5 do assert(cache:get("k" .. j), j) end
      end
      assert.is_nil(cache:get("k6"))
      assert.equal(text .. 200, cache:get("k200"))
      local stats = cache:stats()
      assert.equal(200 - stats.entries, stats.evicted)
      support.refused("OverloadedError", nil, select(2, cache:set("huge", ("x"):rep(40000))), "huge", "40000")
      assert.equal(("x"):rep(40000), cache:get_or_compute("huge", function() return ("x"):rep(40000) end))
      assert.is_nil(cache:get("huge"))
      assert.equal(2, cache:stats().too_large)
    end)

    it("take about the bytes that are counted", function()
      local cache = open().cache
      for _, size in ipairs { 10, 1000 } do
        for _, make in ipairs { function(i) return ("x"):rep(size) .. i end, function(i) return { n = i, s = ("x"):rep(size) } end } do
          cache:clear()
          collectgarbage()
          collectgarbage()
          local before = collectgarbage("count") * 1024
          for i = 1, 4000 do assert(cache:set("key-" .. i, make(i))) end
          collectgarbage()
          collectgarbage()
          local took, counted = collectgarbage("count") * 1024 - before, cache:stats().bytes
          assert.is_true(counted > took * 0.8 and counted < took * 1.5, ("%d counted, %d taken"):format(counted, took))
        end
      end
    end)

    it("and all other caches together keep within cache_size_mb", function()
      local m = support.open { cache_size_mb = 1, plugins = { cache = true } }
      local cache = m.cache
      local text = ("x"):rep(10000)
      for i = 1, 500 do assert(cache:set("k" .. i, text .. i)) end
      local alone = cache:stats()
      assert.is_true(alone.bytes <= 1 << 20 and alone.bytes > 1 << 19)
      local version
      for i = 1, 20 do version = assert(m.temporal_store:commit_version({ text = ("y"):rep(2000) .. i })) end
      local states = m.temporal_store:stats()
      assert.is_true(states.cached_bytes > 0, "a full cache left the others nothing")
      local both = cache:stats()
      assert.is_true(both.bytes < alone.bytes)
      assert.is_true(both.all_caches.bytes <= both.all_caches.max_bytes)
      assert.equal(both.bytes + states.cached_bytes, both.all_caches.bytes)
      assert.equal(("y"):rep(2000) .. 20, m.temporal_store:get_state(version).text)
      for i = 1, 500 do assert(cache:set("k" .. i, text .. i)) end
      assert.is_true(cache:stats().all_caches.bytes <= 1 << 20)
    end)

    it("are none where cache_size_mb is 0", function()
      local cache = support.open({ cache_size_mb = 0, plugins = { cache = true } }).cache
      support.refused("OverloadedError", nil, select(2, cache:set("k", 1)))
      assert.equal(7, cache:get_or_compute("k", function() return 7 end))
      assert.is_nil(cache:get("k"))
    end)
  end)

  describe("computes", function()
    it("once for all tasks that want a key at the same time", function()
      local cache = open().cache
      local computed, got = 0, {}
      iu.run(function()
        for i = 1, 20 do
          iu.spawn(function()
            got[i] = assert(cache:get_or_compute("k", function()
              computed = computed + 1
              iu.sleep(0.01)
              return { n = computed }
            end))
          end)
        end
      end)
      assert.equal(1, computed)
      for i = 1, 20 do assert.same({ n = 1 }, got[i]) end
      for i = 2, 20 do assert.is_false(rawequal(got[1], got[i])) end
      local stats = cache:stats()
      assert.same({ 1, 19, 0 }, { stats.computed, stats.shared, stats.computing })
    end)

    it("tells an error to all who wait, and does not keep it", function()
      local cache = open().cache
      local cause = iu.errors.new("AuthorizationError", "not you")
      local errs, raised = {}, {}
      local fail = true
      local function compute()
        iu.sleep(0.01)
        if fail then return nil, cause end
        return "fine"
      end
      iu.run(function()
        for i = 1, 5 do
          iu.spawn(function() errs[i] = select(2, cache:get_or_compute("k", compute)) end)
        end
      end)
      for i = 1, 5 do assert.equal(cause, errs[i]) end
      fail = false
      assert.equal("fine", cache:get_or_compute("k", compute))
      iu.run(function()
        for i = 1, 3 do
          iu.spawn(function()
            local ok, value, err = pcall(cache.get_or_compute, cache, "r", function()
              iu.sleep(0.01)
              error("broken on purpose", 0)
            end)
            raised[i] = ok and tostring(err) or "raised " .. tostring(value)
          end)
        end
      end)
      table.sort(raised)
      for i = 1, 3 do assert.is_truthy(raised[i]:find("broken on purpose", 1, true)) end
      assert.is_truthy(raised[3]:find("^raised"))
      assert.is_truthy(raised[2]:find("^PersistenceError"))
      assert.equal(0, cache:stats().computing)
      assert.equal(2, cache:stats().failed) -- one of each: an err that was answered, and one that was raised
      assert.equal(1, cache:get_or_compute("r", function() return 1 end))
    end)

    it("goes on with the next one where the computing task is cancelled", function()
      local cache = open().cache
      local got, computed = {}, {}
      iu.run(function()
        local first = iu.spawn(function()
          cache:get_or_compute("k", function()
            computed[#computed + 1] = "first"
            iu.sleep(3600)
          end)
        end)
        for i = 1, 4 do
          iu.spawn(function()
            got[i] = cache:get_or_compute("k", function()
              computed[#computed + 1] = "another"
              iu.sleep(0.005)
              return "value"
            end)
          end)
        end
        iu.sleep(0.01)
        first:cancel()
      end)
      assert.same({ "value", "value", "value", "value" }, got)
      assert.same({ "first", "another" }, computed)
      assert.equal(0, cache:stats().computing)
    end)

    it("does not keep what changed while it was computed", function()
      local cache = open().cache
      local value = "old"
      local function compute()
        local seen = value
        iu.sleep(0.02)
        return seen
      end
      local got = {}
      iu.run(function()
        iu.spawn(function() got[1] = cache:get_or_compute("k", compute) end)
        iu.sleep(0.005)
        value = "new"
        cache:delete("k")
        iu.spawn(function() got[2] = cache:get_or_compute("k", compute) end)
      end)
      assert.same({ "old", "new" }, got)
      assert.equal("new", cache:get("k"))
      iu.run(function()
        iu.spawn(function() cache:get_or_compute("s", compute) end)
        iu.sleep(0.005)
        cache:set("s", "set meanwhile")
      end)
      assert.equal("set meanwhile", cache:get("s"))
    end)

    it("says so where it takes too long, or would wait for itself", function()
      local cache = open({ wait_timeout_ms = 10 }).cache
      local err, late
      iu.run(function()
        iu.spawn(function()
          late = cache:get_or_compute("k", function()
            while not err do iu.sleep(0.001) end
            return "late"
          end)
        end)
        iu.sleep(0.001)
        err = select(2, cache:get_or_compute("k", print))
      end)
      support.refused("TimeoutError", nil, err, "'k'", "0.01 s")
      assert.equal("late", late)
      local inner
      assert.equal(1, cache:get_or_compute("self", function()
        inner = select(2, cache:get_or_compute("self", print))
        return 1
      end))
      support.refused("ConflictError", nil, inner, "computed from itself")
    end)

    it("says at once where tasks would wait for each other", function()
      local cache = open().cache
      local KEYS, answers = { "a", "b", "c" }, {}
      iu.run(function()
        local begun = 0
        for i, key in ipairs(KEYS) do
          iu.spawn(function()
            answers[key] = table.pack(cache:get_or_compute(key, function()
              begun = begun + 1
              while begun < #KEYS do iu.sleep(0.001) end
              return cache:get_or_compute(KEYS[i % #KEYS + 1], function() return "never" end, { timeout = 60 })
            end))
          end)
        end
      end)
      for _, key in ipairs(KEYS) do support.refused("ConflictError", nil, answers[key][2], "computed from itself, by way of") end
      for _, key in ipairs(KEYS) do assert.equal("anew", cache:get_or_compute(key, function() return "anew" end)) end
      assert.equal(0, cache:stats().computing)
    end)
  end)

  describe("of entities", function()
    local function keeping(more)
      local config = { entities = "always" }
      for key, value in pairs(more or {}) do config[key] = value end
      local folder = support.folder()
      support.write(folder .. "/probe/manifest.lua",
        'return { name = "probe", version = "1.0.0", api = ">=1.0 <2", requires = { persistence_manager = "*" } }')
      support.write(folder .. "/probe/init.lua", "return { start = function(ctx) return { conn = function() return ctx.conn end } end }")
      local m = support.open { plugins = { cache = config, probe = true, paths = { folder } } }
      return m, m:plugin("probe").conn()
    end

    local function stats(m) return m.cache:stats().entities end

    it("stands aside on embedded universes, and without features.enable_caching", function()
      local m = open()
      local id = assert(m:create_entity("T"))
      assert(m:get_entity(id))
      assert.equal(support.on_server, stats(m) ~= nil)
      local off = open({ entities = "always" }, { enable_caching = false })
      assert.is_nil(stats(off))
      assert.is_nil(stats(open({ entities = "never" })))
    end)

    it("answers what get_entity answers, each time in tables of the caller's", function()
      local m = keeping()
      local id = assert(m:create_entity("T", { name = "n", tags = { "a" }, properties = { x = { 1, 2 }, f = 1.0 } }, "it's"))
      local asked = assert(m.client:get_entity(id))
      local first = assert(m:get_entity(id))
      support.exactly(asked, first)
      first.metadata.properties.x[1] = 100
      support.exactly(asked, assert(m:get_entity(id)))
      assert.same({ 1, 1, 1 }, { stats(m).misses, stats(m).hits, stats(m).kept })
      support.raises_here(function() m:get_entity(nil) end, "id: string expected")
      local long = ("x"):rep(300)
      support.exactly(select(2, m.client:get_entity(long)).message, select(2, m:get_entity(long)).message)
    end)

    it("follows this program's own writes at once", function()
      local m = keeping()
      local id = assert(m:create_entity("T", { name = "1" }))
      for i = 2, 20 do
        assert.equal(tostring(i - 1), assert(m:get_entity(id)).metadata.name)
        assert(m:update_entity(id, { name = tostring(i) }))
      end
      assert(m:transaction(function(tx) return tx:update_entity(id, { name = "tx" }) end))
      assert.equal("tx", assert(m:get_entity(id)).metadata.name)
      assert(m:delete_entity(id))
      support.refused("EntityNotFoundError", nil, select(2, m:get_entity(id)), id)
      assert(m:create_entity("T", { name = "again" }, id))
      assert.equal("again", assert(m:get_entity(id)).metadata.name)
    end)

    it("follows what others write, and is never older than what was told", function()
      local m, conn = keeping()
      local id = assert(m:create_entity("T", { name = "0" }))
      assert(m:get_entity(id))
      local other = support.owned(support.session(conn))
      local seen, told = 0, 0
      conn.tables.entity:on_update(function(row)
        told = tonumber(row.metadata.name)
        local now = tonumber(assert(m:get_entity(id)).metadata.name)
        assert(now >= told, "a handler reads what is older than what it is told")
      end)
      iu.run(function()
        local writing = true
        iu.spawn(function()
          for i = 1, 30 do
            assert(other:call("update_entity", id, { name = tostring(i), tags = {}, properties = "{}" }))
            iu.sleep(0)
          end
          writing = false
        end)
        while writing or told < 30 do
          local before = told
          local now = tonumber(assert(m:get_entity(id)).metadata.name)
          assert(now >= before and now >= seen, "time went backwards")
          seen = now
          iu.sleep(0.0005)
        end
      end)
      assert.equal("30", assert(m:get_entity(id)).metadata.name)
      assert.equal(1, stats(m).misses)
      assert.is_true(stats(m).changes > 0)
      assert(other:call("delete_entity", id, false))
      support.wait_until(function() return m:get_entity(id) == nil end)
    end)

    it("leaves to other hooks what they answer, whoever was there first", function()
      local m = keeping()
      local id = assert(m:create_entity("T"))
      m.hooks.around("get_entity", function(call, next)
        if call.args[1] == "elsewhere" then return { id = "elsewhere" } end
        if call.args[1] == "another name" then call.args[1] = id end
        return next()
      end)
      assert.equal("elsewhere", assert(m:get_entity("elsewhere")).id)
      assert.equal(0, stats(m).kept)
      assert.equal(id, assert(m:get_entity("another name")).id)
      assert.equal(id, assert(m:get_entity(id)).id)
      assert.same({ 1, 1, 1 }, { stats(m).kept, stats(m).misses, stats(m).hits })
    end)

    it("asks once for all tasks that want one entity, also when the asking one is cancelled", function()
      local m = keeping()
      local id = assert(m:create_entity("T", { name = "n" }))
      local names = {}
      iu.run(function()
        local first = iu.spawn(function() m:get_entity(id) end)
        for i = 1, 10 do
          iu.spawn(function() names[i] = assert(m:get_entity(id)).metadata.name end)
        end
        iu.spawn(function() first:cancel() end)
      end)
      assert.equal(10, #names)
      assert.equal(1, stats(m).kept)
    end)

    it("remembers for a short time that there is none, and sees it come", function()
      local m, conn = keeping({ negative_ttl_ms = 20 })
      support.refused("EntityNotFoundError", nil, select(2, m:get_entity("nobody")), "nobody")
      support.refused("EntityNotFoundError", nil, select(2, m:get_entity("nobody")), "nobody")
      assert.equal(1, stats(m).negative_hits)
      iu.sleep(0.05)
      support.refused("EntityNotFoundError", nil, select(2, m:get_entity("nobody")), "nobody")
      assert.same({ 1, 2 }, { stats(m).expired, stats(m).misses })
      local other = support.owned(support.session(conn))
      assert(other:call("create_entity", "T", ROW, "nobody"))
      support.wait_until(function() return m:get_entity("nobody") ~= nil end)
    end)

    it("keeps as many as it may, those read last; the others' subscriptions end", function()
      local m, conn = keeping({ max_entities = 10 })
      for i = 1, 30 do assert(m:create_entity("T", { name = tostring(i) }, "e" .. i)) end
      for round = 1, 2 do
        for i = 1, 30 do
          assert.equal(tostring(i), assert(m:get_entity("e" .. i)).metadata.name)
          assert(m:get_entity("e1"), round)
        end
      end
      assert.equal(10, stats(m).kept)
      support.settle(conn)
      support.wait_until(function() return conn.tables.entity:count() == 10 end)
      local misses = stats(m).misses
      assert(m:get_entity("e1"))
      assert.equal(misses, stats(m).misses)
      m.cache:clear()
      support.wait_until(function() return conn.tables.entity:count() == 0 end)
      assert.same({ 0, 0 }, { stats(m).kept, stats(m).bytes })
    end)

    it("counts the bytes of what is kept, as it grows and shrinks", function()
      local m, conn = keeping({ max_entity_bytes = 100000 })
      local id = assert(m:create_entity("T"))
      assert(m:get_entity(id))
      local empty = stats(m).bytes
      assert(m:update_entity(id, { properties = { text = ("x"):rep(50000) } }))
      support.settle(conn)
      assert.is_true(stats(m).bytes >= empty + 50000)
      assert(m:update_entity(id, {}))
      support.settle(conn)
      assert.is_true(stats(m).bytes < empty + 1000)
      assert(m:update_entity(id, { properties = { text = ("x"):rep(200000) } }))
      support.settle(conn)
      assert.equal(0, stats(m).kept)
      assert.equal(200000, #assert(m:get_entity(id)).metadata.properties.text)
    end)

    it("ends with a manager that nobody holds, without a word", function()
      if support.on_server then return end
      local lines = {}
      local previous = iu.log.set_sink(function(level, message) if level == "error" then lines[#lines + 1] = message end end)
      local function drop_one()
        local m = assert(iu.open("memory:", { plugins = { cache = { entities = "always" } } }))
        assert(m:get_entity(assert(m:create_entity("T"))))
      end
      for i = 1, 20 do -- the order of finalisers is the collector's
        drop_one()
        if i % 3 == 0 then collectgarbage() end
        iu.step(1)
      end
      iu.log.set_sink(previous)
      assert.same({}, lines)
    end)

    it("stops and leaves nothing: no hook, no subscription, no handler", function()
      local m, conn = keeping()
      local id = assert(m:create_entity("T"))
      assert(m:get_entity(id))
      local ok, facts = m.cache:health()
      assert.is_true(ok)
      assert.equal(1, facts.entities)
      local cache = m.cache
      cache:stop()
      support.wait_until(function() return conn.tables.entity:count() == 0 end)
      assert(m:get_entity(id))
      assert.is_nil((cache:health()))
      support.raises_here(function() cache:get("k") end, "cache is closed")
    end)
  end)

  it("is refused with a configuration that makes no sense", function()
    for key, value in pairs { entities = "sometimes", max_bytes = -1, max_entities = 10000, wait_timeout_ms = 0 } do
      local m = support.open { log_level = "off", plugins = { cache = { [key] = value } } }
      support.refused("PluginError", nil, select(2, m:plugin("cache")), key)
    end
  end)
end)
