-- Writes while a server is away: kept in a file in their order, replayed once when it is back, refusals told, reads from what is known, bounds, states.

local iu = require "inner_universe"
local peer = require "peer"
local support = require "support"

local AWAY_MS = 1000

describe("while the server is away", function()
  local server, manager, path, target, token
  before_each(function()
    server = peer.start()
    local name
    name, token = server:database()
    target = ("ws://%s/%s"):format(server.address, name)
    path = support.path() .. ".queue"
  end)
  after_each(function()
    if manager then manager:shutdown() end
    server:stop()
    manager = nil
    support.clean()
  end)

  local function open(config, more)
    config = config or {}
    config.path = path
    local settings = { token = token, log_level = "off", reconnect_min_delay_ms = 5, reconnect_max_delay_ms = 20, plugins = { fallback = config } }
    for key, value in pairs(more or {}) do settings[key] = value end
    settings.plugins.batch = { max_wait_ms = 5, resend_ms = 100 }
    support.wait_until(function()
      manager = iu.open(target, settings)
      return manager
    end)
    return manager, assert(manager:plugin("fallback"))
  end

  local function go_away(ms)
    server:fault(('{"restart_ms":%d}'):format(ms or AWAY_MS))
    support.wait_until(function() return manager.fallback:state() == "offline" end)
  end

  local function events_of(event_type)
    local rows = assert(manager.client:query(("SELECT * FROM event_log WHERE event_type = '%s'"):format(event_type)))
    table.sort(rows, function(a, b) return a.sequence < b.sequence end)
    return rows
  end

  it("writes are kept, answered, and replayed in their order when it is back", function()
    local m, fallback = open()
    local states = {}
    fallback:on_state(function(change) states[#states + 1] = change.state end)
    assert(m:create_entity("T", nil, "before"))
    go_away()
    assert.equal("a", m:create_entity("T", { name = "n", properties = { x = 1.0 } }, "a"))
    for i = 1, 20 do assert.is_true(m:update_entity("a", { name = "n" .. i })) end
    assert.is_true(m:update_entity("before", { name = "changed" }))
    local r = assert(m:create_relation("before", "a", "R", { strength = 2 }))
    assert.is_true(m:update_relation(r, { strength = 3 }))
    local event = assert(m:publish_event("E", { 1 }))
    assert(m.event_bus:publish("E", { 2 }))
    assert.equal("gone", m:create_entity("T", nil, "gone"))
    assert.is_true(m:delete_entity("gone"))
    assert.same({ "offline", 28 }, { fallback:state(), fallback:status().queued })
    local well, why = fallback:health()
    assert.is_nil(well)
    assert.truthy(why:find("28 writes are kept", 1, true))
    assert.is_true(fallback:drain(20))
    assert.same({ "offline", "replaying", "online" }, states)
    assert.equal("n20", m:get_entity("a").metadata.name)
    assert.equal("changed", m:get_entity("before").metadata.name)
    support.exactly(3.0, m:get_relation(r).metadata.strength)
    assert.same({ 1 }, m.client:get_event(event).data)
    support.refused("EntityNotFoundError", m:get_entity("gone"))
    local names = {}
    for _, row in ipairs(events_of("ENTITY_UPDATED")) do
      if row.source == "a" then names[#names + 1] = iu.json.decode(row.data).new_metadata.name end
    end
    for i = 1, 20 do assert.equal("n" .. i, names[i]) end
    assert.equal(20, #names)
    assert.same({ 0, 28, 0 }, { fallback:status().queued, fallback:status().replayed, #fallback:refused() })
  end)

  it("what was kept outlives the process, and is replayed by the next one", function()
    local m = open()
    go_away()
    for i = 1, 50 do assert(m:create_entity("T", { name = "n" .. i }, "e" .. i)) end
    assert(m:shutdown())
    local fallback
    m, fallback = open()
    assert.is_true(fallback:drain(20))
    for i = 1, 50 do assert.equal("n" .. i, m:get_entity("e" .. i).metadata.name) end
    assert.equal(50, fallback:status().replayed)
  end)

  it("what the server refuses is told, kept in the file until it is seen to, and stops nobody", function()
    local m, fallback = open { refused_max = 3 }
    local heard = {}
    fallback:on_refused(function(refusal) heard[#heard + 1] = refusal.operation.value.id end)
    assert(m:create_entity("T", nil, "taken"))
    go_away()
    assert(m:create_entity("T", nil, "taken"))
    assert(m:create_entity("T", nil, "good"))
    assert(m:update_entity("nobody", {}))
    assert(m:create_entity("", nil, "no type"))
    assert(m:delete_relation("nothing"))
    assert.is_true(fallback:drain(20))
    assert(m:get_entity("good"))
    assert.same({ "taken", "nobody", "no type", "nothing" }, heard)
    local list = assert(fallback:refused())
    assert.equal(3, #list, "the oldest went")
    assert.same({ "nobody", "UpdateEntity", "EntityNotFoundError", "ENTITY_NOT_FOUND" },
      { list[1].operation.value.id, list[1].operation.tag, list[1].err.kind, list[1].err.code })
    local _, own = m:update_entity("nobody", {})
    assert.equal(own.message, list[1].err.message)
    assert.is_true(list[1].refused_at >= list[1].queued_at)
    assert.is_true(fallback:forget_refused(list[1].id))
    assert.equal(2, #fallback:refused())
    assert(m:shutdown())
    m, fallback = open()
    assert.equal(2, #fallback:refused())
    assert.is_true(fallback:forget_refused())
    assert.equal(0, #fallback:refused())
    assert(m:get_entity("taken"))
  end)

  it("large writes, and refusals of large ones, are in nobody's way", function()
    local m, fallback = open { queue_bytes = 1 << 30 }
    server:fault('{"refuse_connect":true,"cut":true}')
    support.wait_until(function() return fallback:state() == "offline" end)
    assert(m:create_entity("T", nil, "before"))
    for i = 1, 3 do assert(m:create_entity("T", { properties = { text = ("x"):rep(12 << 20) } }, "large" .. i)) end
    assert(m:create_entity("T", { description = ("x"):rep(9 << 20) }, "refused1"))
    assert(m:create_entity("T", { description = ("x"):rep(25 << 20) }, "refused2"))
    assert(m:create_entity("T", { description = ("x"):rep((32 << 20) - 250) }, "refused3")) -- has no room beside its refusal
    assert(m:create_entity("T", nil, "behind"))
    server:fault('{"refuse_connect":false}')
    assert.is_true(fallback:drain(20))
    local ids = {}
    for i, each in ipairs(assert(fallback:refused())) do ids[i] = each.operation.value.id end
    assert.same({ "refused1", "refused2", "refused3" }, ids)
    for i = 1, 3 do assert(m:get_entity("large" .. i)) end
    assert(m:get_entity("before") and m:get_entity("behind"))
  end)

  it("a value that no server would take is refused at once", function()
    local m, fallback = open()
    go_away()
    support.refused("ValidationError", nil, select(2, m:create_entity("T", { nme = "x" })))
    support.raises_here(function() m:create_entity(5) end, "entity_type")
    local _, err = m:create_entity("T", { name = 5 })
    support.refused("ValidationError", nil, err, "metadata.name")
    assert.equal(0, fallback:status().queued)
  end)

  it("a write that comes while others are replayed goes behind them and has the server's own answer", function()
    local m, fallback = open()
    assert(m:create_entity("T", { name = "0" }, "e"))
    go_away(300)
    for i = 1, 200 do assert(m:update_entity("e", { name = tostring(i) })) end
    support.wait_until(function() return fallback:state() ~= "offline" end)
    local seen_replaying = fallback:state() == "replaying"
    assert.is_true(m:update_entity("e", { name = "last" }))
    assert.equal("last", m:get_entity("e").metadata.name)
    support.refused("ConflictError", nil, select(2, m:create_entity("T", nil, "e")))
    assert.is_true(seen_replaying)
    assert.equal(0, #fallback:refused(), "its caller has heard it")
    assert.is_true(fallback:drain(20))
    local last = 0
    for _, row in ipairs(events_of("ENTITY_UPDATED")) do
      local n = tonumber(iu.json.decode(row.data).new_metadata.name) or 201
      assert.equal(last + 1, n)
      last = n
    end
    assert.equal(201, last)
  end)

  it("calls whose outcome is not known are kept under their key, and applied once", function()
    local m, fallback = open()
    local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
    print("# fallback_spec: IU_TEST_SEED=" .. SEED)
    server:fault(('{"seed":%d,"drop_before_permille":50,"drop_after_permille":50}'):format(SEED & 0x7fffffff))
    local function work(writer, name)
      for worker = 1, 10 do
        iu.spawn(function()
          local id = name .. worker
          assert(writer:create_entity("T", { name = "0" }, id))
          for n = 1, 15 do assert(writer:update_entity(id, { name = tostring(n) })) end
        end)
      end
    end
    iu.run(function()
      work(m, "direct ")
      work(m.batch, "batch ")
    end)
    server:fault('{"drop_before_permille":0,"drop_after_permille":0}')
    assert.is_true(fallback:drain(20))
    assert.is_true(fallback:status().replayed > 0)
    assert.equal(0, #fallback:refused())
    local counts = {}
    for _, row in ipairs(events_of("ENTITY_UPDATED")) do
      local key = row.source .. "=" .. iu.json.decode(row.data).new_metadata.name
      counts[key] = (counts[key] or 0) + 1
    end
    for _, name in ipairs { "direct ", "batch " } do
      for worker = 1, 10 do
        for n = 1, 15 do assert.equal(1, counts[("%s%d=%d"):format(name, worker, n)]) end
        assert.equal("15", m:get_entity(name .. worker).metadata.name)
      end
    end
  end)

  it("a batch of unknown outcome is replayed as one, each member with its own end", function()
    local m, fallback = open()
    assert(m:create_entity("T", nil, "taken"))
    server:fault('{"hold":true}')
    local answers = {}
    iu.run(function()
      for i = 1, 10 do iu.spawn(function() answers[i] = m.batch:create_entity("T", nil, i == 5 and "taken" or "e" .. i) end) end
      iu.sleep(0.05)
      server:fault('{"restart_ms":800,"hold":false}')
    end)
    for i = 1, 10 do assert.equal(i == 5 and "taken" or "e" .. i, answers[i]) end
    assert.is_true(fallback:drain(20))
    for i = 1, 10 do assert(i == 5 or m:get_entity("e" .. i)) end
    local refused = assert(fallback:refused())
    assert.same({ 1, "taken" }, { #refused, refused[1].operation.value.id })
  end)

  describe("for longer than the server remembers request keys", function()
    local DAY_AND_MORE = 25 * 3600 -- seconds

    -- Applied, and not answered; what comes then is kept, and was never sent.
    local function lose_the_answer(write)
      server:fault('{"refuse_connect":true,"drop_after":0}')
      local answer = assert(write())
      support.wait_until(function() return manager.fallback:state() == "offline" end)
      return answer
    end

    -- The server is back so much later; another program's writes have made it forget its old keys.
    local function come_back_later(seconds)
      server:fault(('{"clock_ahead_s":%d,"refuse_connect":false}'):format(seconds))
      local other = assert(iu.connect(target, { token = token }))
      assert(other:call("transact", {}, "another's"))
      assert(other:close())
    end

    local function shut_then_open()
      assert(manager:shutdown())
      come_back_later(DAY_AND_MORE)
      return open()
    end

    it("what may be applied is told, not sent a second time; what was never sent is sent", function()
      local m, fallback = open()
      assert(m:publish_event("E", { 0 }))
      local lost = lose_the_answer(function() return m:publish_event("E", { 1 }) end)
      local kept = assert(m:publish_event("E", { 2 }))
      assert(m:create_entity("T", nil, "never sent"))
      assert.equal(3, fallback:status().queued)
      assert(m:shutdown())
      come_back_later(DAY_AND_MORE)
      m, fallback = open()
      assert.is_true(fallback:drain(20))
      local numbers = {}
      for i, row in ipairs(events_of("E")) do numbers[i] = iu.json.decode(row.data)[1] end
      assert.same({ 0, 1, 2 }, numbers, "each once")
      assert(m.client:get_event(kept))
      assert(m:get_entity("never sent"))
      local list = assert(fallback:refused())
      assert.same({ 1, true, "PublishEvent", lost, "UNKNOWN_OUTCOME", false },
        { #list, list[1].unknown, list[1].operation.tag, list[1].operation.value.id, list[1].err.code, list[1].err.retryable })
      assert.same({ 1 }, iu.json.decode(list[1].operation.value.data))
      assert.same({ 1, 0, 2 }, { fallback:status().unknown, fallback:status().refused, fallback:status().replayed })
      assert.is_true(fallback:forget_refused(list[1].id))
    end)

    it("the same in the process that wrote it, which hears of it", function()
      local m, fallback = open()
      local heard = {}
      fallback:on_refused(function(refusal) heard[#heard + 1] = refusal end)
      local lost = lose_the_answer(function() return m:publish_event("E", { 1 }) end)
      server:fault(('{"clock_ahead_s":%d,"refuse_connect":false}'):format(DAY_AND_MORE))
      assert.is_true(fallback:drain(20))
      assert.same({ 1, true, lost }, { #heard, heard[1].unknown, heard[1].operation.value.id })
      assert.equal(1, #events_of("E"))
    end)

    it("of a batch every member is told", function()
      local m = open()
      lose_the_answer(function()
        iu.run(function()
          for i = 1, 3 do iu.spawn(function() assert(m.batch:publish_event("E", { i })) end) end
        end)
        return true
      end)
      local _, fallback = shut_then_open()
      assert.is_true(fallback:drain(20))
      assert.equal(3, #events_of("E"))
      local list = assert(fallback:refused())
      assert.equal(3, #list)
      for i, each in ipairs(list) do assert.same({ true, { i } }, { each.unknown, iu.json.decode(each.operation.value.data) }) end
    end)

    it("what a replay sent, and was killed before it was answered, counts from that time on", function()
      local m = open()
      server:fault('{"refuse_connect":true,"cut":true}')
      support.wait_until(function() return m.fallback:state() == "offline" end)
      for i = 1, 3 do assert(m:publish_event("E", { i })) end
      server:fault('{"refuse_connect":false,"hold":true}') -- as if they were sent, and nothing came back
      support.wait_until(function() return m.fallback:state() == "replaying" end)
      server:fault('{"hold":false,"drop_after":0,"refuse_connect":true}')
      support.wait_until(function() return m.fallback:state() == "offline" end)
      local _, fallback = shut_then_open()
      assert.is_true(fallback:drain(20))
      local counts = { 0, 0, 0 }
      for _, row in ipairs(events_of("E")) do
        local i = iu.json.decode(row.data)[1]
        counts[i] = counts[i] + 1
      end
      for i = 1, 3 do assert.is_true(counts[i] <= 1, ("%d: %d times"):format(i, counts[i])) end
      assert.equal(1, counts[1])
      for _, each in ipairs(assert(fallback:refused())) do
        local i = iu.json.decode(each.operation.value.data)[1]
        assert.is_true(each.unknown)
        counts[i] = counts[i] + 1
      end
      for i = 1, 3 do assert.is_true(counts[i] >= 1, "lost: " .. i) end
    end)

    it("sooner than that it is sent again, and applied once", function()
      local m, fallback = open()
      lose_the_answer(function() return m:publish_event("E", { 1 }) end)
      come_back_later(22 * 3600)
      assert.is_true(fallback:drain(20))
      assert.same({ 1, 0, 1 }, { #events_of("E"), #fallback:refused(), fallback:status().replayed })
    end)

    it("or never, where the configuration says so", function()
      local m, fallback = open { resend_ms = 0 }
      lose_the_answer(function() return m:publish_event("E", { 1 }) end)
      assert(m:create_entity("T", nil, "never sent"))
      server:fault('{"refuse_connect":false}')
      assert.is_true(fallback:drain(20))
      assert.same({ 1, 1 }, { #events_of("E"), #fallback:refused() })
      assert(m:get_entity("never sent"))
    end)
  end)

  describe("when the program starts", function()
    local settings
    before_each(function()
      settings = { token = token, log_level = "off", reconnect_min_delay_ms = 5, reconnect_max_delay_ms = 20,
        plugins = { fallback = { path = path }, batch = { max_wait_ms = 5 } } }
    end)

    -- The server is not there when this returns.
    local function start_away(ms)
      server:fault(('{"restart_ms":%d}'):format(ms or AWAY_MS))
      local why
      manager, why = iu.open(target, settings)
      return manager, why
    end

    it("the universe opens with the schema that is kept, keeps writes, and replays them when the server is back", function()
      assert(open():shutdown())
      local m = assert(start_away())
      local fallback = assert(m:plugin("fallback"))
      local states = {}
      fallback:on_state(function(change) states[#states + 1] = change.state end)
      assert.equal("offline", fallback:state())
      assert.equal("a", m:create_entity("T", { name = "n" }, "a"))
      assert(m:create_entity("T", nil, "b"))
      local r = assert(m:create_relation("a", "b", "R", { strength = 0.5 }))
      local event = assert(m:publish_event("E", { 1 }))
      support.refused("ValidationError", nil, select(2, m:create_entity("T", { nme = "x" })))
      support.refused("ConnectionError", m:get_entity("a"))
      support.refused("ConnectionError", nil, select(2, m:query_entities {}))
      assert.is_true(m:is_initialized())
      assert.equal(4, fallback:status().queued)
      for _, each in ipairs(m:status().plugins) do assert.is_true(each.state == "started", each.name .. ": " .. tostring(each.reason)) end
      assert.is_true(fallback:drain(20))
      assert.same({ "replaying", "online" }, states)
      assert.equal("n", m:get_entity("a").metadata.name)
      support.exactly(0.5, m:get_relation(r).metadata.strength)
      assert.same({ 1 }, m.client:get_event(event).data)
      assert(m:create_entity("T", nil, "online"))
      assert.same({ 0, 0 }, { fallback:status().queued, #fallback:refused() })
    end)

    it("what earlier processes kept goes first", function()
      local m = open()
      go_away(4 * AWAY_MS)
      assert(m:create_entity("T", { name = "1" }, "e"))
      assert(m:shutdown())
      for i = 2, 4 do
        m = assert(iu.open(target, settings))
        assert.same({ "offline", i - 1 }, { m.fallback:state(), m.fallback:status().queued })
        assert(m:update_entity("e", { name = tostring(i) }))
        assert(m:shutdown())
      end
      manager = assert(iu.open(target, settings))
      assert.is_true(manager.fallback:drain(20))
      local names = {}
      for i, row in ipairs(events_of("ENTITY_UPDATED")) do names[i] = iu.json.decode(row.data).new_metadata.name end
      assert.same({ "2", "3", "4" }, names)
    end)

    it("a module that has more in it meanwhile takes what was kept", function()
      assert(open():shutdown())
      local m = assert(start_away())
      assert(m:create_entity("T", nil, "a"))
      server:fault('{"reset":true}') -- it answers here, too, when it is back
      server:fault('{"extra_schema":true}')
      assert.is_true(m.fallback:drain(20))
      assert(m:get_entity("a"))
      assert.truthy(m.client:connection():schema().tables.peer_extra)
      assert(m:shutdown())
      m = assert(start_away())
      assert.truthy(m.client:connection():schema().tables.peer_extra, "the newer one is kept")
      assert(m:create_entity("T", nil, "b"))
      assert.is_true(m.fallback:drain(20))
      assert(m:get_entity("b"))
    end)

    it("a plugin that cannot start without the server starts when it is there", function()
      assert(open():shutdown())
      local folder = support.folder()
      support.write(folder .. "/eager/manifest.lua", 'return { name = "eager", version = "1.0.0", api = ">=1.0 <2" }')
      support.write(folder .. "/eager/init.lua", [[
        return { start = function(ctx)
          local row, err = ctx.conn:get("config", "schema_version")
          return row and { read = row.value }, err
        end }]])
      settings.plugins.paths, settings.plugins.eager = { folder }, {}
      local m = assert(start_away())
      support.refused("PluginError", nil, select(2, m:plugin("eager")), "not connected")
      support.wait_until(function() return m:plugin("eager") end)
      assert.equal("1", m.eager.read)
    end)

    it("migrations that are pending are seen when the server is there: told, or the universe is closed and what it kept stays in the file", function()
      local folder = support.folder()
      assert(open():shutdown())
      settings.plugins.migrations = { folder = folder, on_pending = "refuse" }
      local m = assert(start_away())
      assert(m:create_entity("T", nil, "first"))
      support.wait_until(function() return m:plugin("migrations") end) -- nothing is pending
      assert.is_true(m.fallback:drain(20))
      assert(m:get_entity("first"))
      assert(m:shutdown())

      support.write(folder .. "/0001_more.lua", "return { online = true, up = function(m) m:create_entity('T', nil, 'migrated') end }")
      m = assert(start_away())
      support.refused("PluginError", nil, select(2, m:plugin("migrations")), "not connected")
      assert(m:create_entity("T", nil, "kept"))
      support.wait_until(function() return m:status().closed end)
      support.wait_until(function() return #support.reported > 0 end)
      local reported = support.take_reported()
      assert.equal(1, #reported)
      assert.same({ "MigrationError", "PENDING" }, { reported[1].err.kind, reported[1].err.code })
      assert.truthy(reported[1].context:find("is closed now", 1, true), reported[1].context)

      settings.plugins.migrations.on_pending = "warn"
      m = assert(start_away())
      manager = m
      assert.equal(1, m.fallback:status().queued)
      support.wait_until(function() return m:plugin("migrations") end)
      assert.is_true(m.fallback:drain(20))
      assert(m:get_entity("kept"))
      assert.equal(1, assert(m.migrations:status()).pending)
    end)

    it("nothing is sent to a module of another version: it stays in the file until the right one is there", function()
      assert(open():shutdown())
      local function set_version(version)
        local conn = assert(iu.connect(target, { token = token }))
        assert(conn:call("update_config", "schema_version", version, ""))
        assert(conn:close())
      end
      set_version("2")
      server:fault('{"refuse_connect":true}')
      local m = assert(iu.open(target, settings))
      manager = m
      for i = 1, 3 do assert(m:create_entity("T", nil, "e" .. i)) end
      server:fault('{"refuse_connect":false}')
      local fallback = m.fallback
      support.wait_until(function() return fallback:state() == "replaying" and fallback:status().problem end)
      assert.truthy(fallback:status().problem:find("schema version is 2", 1, true), fallback:status().problem)
      assert.same({ 3, 0 }, { fallback:status().queued, #fallback:refused() })
      support.wait_until(function() return #support.reported > 0 end)
      assert.equal("SCHEMA_VERSION", support.take_reported()[1].err.code)
      set_version("1")
      assert.is_true(fallback:drain(20))
      assert.same({ 0, 3 }, { #fallback:refused(), #m:query_entities {} })
    end)

    it("a module that has not the tables ends the connection for good; writes are kept for the next process", function()
      assert(open():shutdown())
      server:fault('{"refuse_connect":true}')
      local m = assert(iu.open(target, settings))
      manager = m
      local fallback = m.fallback
      assert(m:create_entity("T", nil, "e1"))
      server:fault('{"refuse_connect":false,"http_answer":{"status":200,"body":"{\\"sections\\":[]}"}}')
      support.wait_until(function() return m.client:connection():is_closed() end)
      support.wait_until(function() return fallback:status().problem end)
      assert.equal("offline", fallback:state())
      assert.truthy(fallback:status().problem:find("without the table", 1, true), fallback:status().problem)
      assert.equal("e2", m:create_entity("T", { name = "n" }, "e2"))
      assert.is_true(m:update_entity("e1", { name = "n" }))
      assert.equal("e3", m.batch:create_entity("T", nil, "e3"))
      assert.equal(4, fallback:status().queued)
      assert(m:shutdown())
      m, fallback = open()
      assert.is_true(fallback:drain(20))
      assert.same({ 0, 3, "n" }, { #fallback:refused(), #m:query_entities {}, m:get_entity("e1").metadata.name })
    end)

    it("without a schema that is kept, or with another database's, it is refused as ever", function()
      local m, err = start_away()
      assert.is_nil(m)
      support.refused("ConnectionError", nil, err)
      assert(open():shutdown())
      local first = target
      target = first .. "x"
      m, err = start_away()
      assert.is_nil(m)
      support.refused("ConnectionError", nil, err)
      target = first
      settings.plugins = {}
      m, err = start_away()
      assert.is_nil(m)
      support.refused("ConnectionError", nil, err)
    end)

    it("what waiting cannot mend is told, too: a refused token, a database that is not there", function()
      assert(open():shutdown())
      server:fault('{"refuse_token":true}')
      support.refused("AuthorizationError", nil, select(2, iu.open(target, settings)))
      server:fault('{"refuse_token":false,"hide_databases":true}')
      local _, err = iu.open(target, settings)
      assert.equal("NO_DATABASE", err.code)
    end)

    it("a bare connection takes a schema of an earlier time, too", function()
      local conn
      support.wait_until(function()
        conn = iu.connect(target, { token = token })
        return conn
      end)
      local schema = assert(conn:schema_json())
      assert(conn:close())
      server:fault(('{"restart_ms":%d}'):format(500))
      conn = assert(iu.connect(target, { token = token, schema = schema, reconnect = { min_delay = 0.01, max_delay = 0.02 } }))
      assert.equal("connecting", conn:state().phase)
      support.refused("ConnectionError", nil, select(2, conn:call("create_entity", "T", { tags = {}, properties = "{}" }, "a")))
      support.wait_until(function() return conn:state().phase == "connected" end)
      assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }, "a"))
      assert.equal(schema, conn:schema_json())
      assert(conn:close())
      support.refused("ValidationError", nil, select(2, iu.connect(target, { token = token, schema = "{}" })), "the schema of an earlier time")
      local memory = assert(iu.connect("memory:"))
      assert.is_nil(memory:schema_json())
      assert(memory:close())
    end)
  end)

  it("what is kept is bounded: more is refused", function()
    local m, fallback = open { queue_max = 5 }
    go_away()
    for i = 1, 5 do assert(m:create_entity("T", nil, "e" .. i)) end
    support.refused("OverloadedError", nil, select(2, m:create_entity("T", nil, "e6")), "queue_max")
    assert.is_true(fallback:drain(20))
    assert.equal(5, #m:query_entities({}))
  end)

  it("by bytes, too", function()
    local m, fallback = open { queue_bytes = 2000 }
    go_away()
    local text = ("x"):rep(900)
    assert(m:create_entity("T", { description = text }, "a"))
    support.refused("OverloadedError", nil, select(2, m:create_entity("T", { description = text }, "b")), "queue_bytes")
    assert(m:create_entity("T", nil, "small"))
    assert.is_true(fallback:drain(20))
  end)

  it("or waits for room, in turn, where the configuration says so", function()
    local m, fallback = open { queue_max = 5, when_full = "wait" }
    go_away(300)
    local order = {}
    iu.run(function()
      for i = 1, 30 do
        iu.spawn(function()
          assert(m:create_entity("T", nil, "e" .. i))
          order[#order + 1] = i
        end)
      end
    end)
    assert.equal(30, #order)
    assert.is_true(fallback:drain(20))
    assert.equal(30, #m:query_entities({}))
  end)

  it("reads answer from what is known: rows that are subscribed, rows that were read, and what was written meanwhile", function()
    local m, fallback = open { reads = true }
    assert(m:create_entity("T", { name = "read", properties = { x = 1.0, list = iu.array {} } }, "read"))
    assert(m:create_entity("T", { name = "never read" }, "unread"))
    assert(m:create_entity("S", { name = "subscribed" }, "subscribed"))
    local r = assert(m:create_relation("read", "unread", "R", { strength = 0.5 }))
    local before = assert(m:get_entity("read"))
    assert(m:get_relation(r))
    support.refused("EntityNotFoundError", m:get_entity("new"))
    assert(m.client:connection():subscribe("SELECT * FROM entity WHERE entity_type = 'S'"):wait())
    go_away()
    support.exactly(before, m:get_entity("read"))
    before.metadata.name = "mine"
    assert.equal("read", m:get_entity("read").metadata.name, "a copy each time")
    support.exactly(0.5, m:get_relation(r).metadata.strength)
    assert.equal("subscribed", m:get_entity("subscribed").metadata.name)
    support.refused("ConnectionError", m:get_entity("unread"))
    assert(m:create_entity("N", { name = "made", properties = { y = 2 } }, "new"))
    assert(m:update_entity("read", { name = "changed" }))
    assert(m:update_relation(r, { strength = 4 }))
    assert.same({ "N", "made", 2 }, { m:get_entity("new").entity_type, m:get_entity("new").metadata.name, m:get_entity("new").metadata.properties.y })
    assert.equal("changed", m:get_entity("read").metadata.name)
    support.exactly(4.0, m:get_relation(r).metadata.strength)
    assert(m:delete_entity("new"))
    support.refused("EntityNotFoundError", m:get_entity("new"))
    assert.is_true(fallback:drain(20))
    assert.equal("changed", m:get_entity("read").metadata.name)
    assert.equal("never read", m:get_entity("unread").metadata.name)
  end)

  it("fields that are sealed are sealed in the file, too, and read as they were written", function()
    local key = support.path()
    support.write(key, ("01"):rep(32) .. "\n")
    assert(os.execute(("chmod 600 '%s'"):format(key)))
    local m, fallback = open({ reads = true },
      { plugins = { fallback = { path = path, reads = true }, security = { sealed = { entity = { "properties.secret" } }, keys = { { file = key } } } } })
    go_away()
    assert(m:create_entity("T", { properties = { secret = "not to be seen" } }, "a"))
    assert.equal("not to be seen", m:get_entity("a").metadata.properties.secret)
    assert(m:update_entity("a", { properties = { secret = "never to be seen" } }))
    assert.equal("never to be seen", m:get_entity("a").metadata.properties.secret)
    assert.equal(2, fallback:status().queued)
    assert.is_false((os.execute(("cat '%s'* | grep -q 'to be seen'"):format(path))) == true, "the file shows it")
    assert.is_true((os.execute(("cat '%s'* | grep -q 'CreateEntity'"):format(path))) == true, "the file was not looked at")
    assert.is_true(fallback:drain(20))
    assert.equal("never to be seen", m:get_entity("a").metadata.properties.secret)
  end)

  it("without `reads` they are refused as ever", function()
    local m = open()
    assert(m:create_entity("T", nil, "e"))
    assert(m:get_entity("e"))
    go_away()
    support.refused("ConnectionError", m:get_entity("e"))
  end)

  it("what is remembered of reads is bounded", function()
    local m = open { reads = true, known_bytes = 20000 }
    for i = 1, 100 do
      assert(m:create_entity("T", { description = ("x"):rep(900) }, "e" .. i))
      assert(m:get_entity("e" .. i))
    end
    go_away()
    local known = 0
    for i = 1, 100 do
      if m:get_entity("e" .. i) then known = known + 1 end
    end
    assert.is_true(known > 3 and known < 30, tostring(known))
  end)

  it("what is kept in memory only is not kept: a path that is no file is refused", function()
    for _, wrong in ipairs { "memory:", "ws://127.0.0.1:1/x" } do
      local m = assert(iu.open(target, { token = token, log_level = "off", plugins = { fallback = { path = wrong } } }))
      support.refused("PluginError", nil, select(2, m:plugin("fallback")), "path: expected a file, got '" .. wrong)
      assert(m:shutdown())
    end
    local m = assert(iu.open(target, { token = token, log_level = "off", db_path = "memory:", plugins = { fallback = {} } }))
    support.refused("PluginError", nil, select(2, m:plugin("fallback")), "path: expected a file")
    assert(m:shutdown())
    path = "file:" .. path
    open()
    go_away()
    assert(manager:create_entity("T", nil, "a"))
    assert(manager:shutdown())
    local fallback
    m, fallback = open()
    assert.is_true(fallback:drain(20))
    assert(m:get_entity("a"))
  end)

  it("who waits for the end of the replay hears of the close", function()
    local m, fallback = open()
    go_away()
    assert(m:create_entity("T", nil, "a"))
    support.refused("TimeoutError", nil, select(2, fallback:drain(0.01)), "1 writes are kept", "offline")
    local err
    iu.run(function()
      iu.spawn(function() err = select(2, fallback:drain()) end)
      iu.sleep(0.01)
      assert(m:shutdown())
    end)
    support.refused("ConnectionError", nil, err, "closed")
  end)

  it("where the connection does not come back writes are kept for the next process", function()
    for _, more in ipairs { { reconnect = false }, { reconnect_attempts = 2 } } do
      local m, fallback = open({}, more)
      server:fault('{"refuse_connect":true,"cut":true}')
      support.wait_until(function() return m.client:connection():is_closed() and fallback:state() == "offline" end)
      assert(m:create_entity("T", nil, "a"))
      assert(m.batch:update_entity("a", { name = "n" }))
      assert(m.event_bus:publish("E", { 1 }))
      assert.is_true(m:delete_entity("a"))
      assert.equal(4, fallback:status().queued)
      assert(fallback:status().problem)
      assert(m:shutdown())
      server:fault('{"refuse_connect":false}')
      m, fallback = open()
      assert.is_true(fallback:drain(20))
      assert.same({ 0, 4 }, { #fallback:refused(), fallback:status().replayed })
      assert(m:shutdown())
    end
  end)

  it("what is kept for one database is not sent to another", function()
    local m = open()
    go_away()
    assert(m:create_entity("T", nil, "kept"))
    assert(m:shutdown())
    local first, first_token = target, token
    local name
    support.wait_until(function()
      local ok
      ok, name, token = pcall(server.database, server)
      return ok
    end)
    target = ("ws://%s/%s"):format(server.address, name)
    local other
    support.wait_until(function()
      other = iu.open(target, { token = token, log_level = "off", plugins = { fallback = { path = path } } })
      return other
    end)
    support.refused("PluginError", nil, select(2, other:plugin("fallback")), "1 writes of " .. first, target)
    assert(other:shutdown())
    target, token = first, first_token
    local fallback
    m, fallback = open()
    assert.is_true(fallback:drain(20))
    assert(m:get_entity("kept"))
    assert(m:shutdown())
    target = ("ws://%s/%s"):format(server.address, name)
    open() -- nothing is kept there now
  end)

  it("a file that another process has, or that is none, refuses the plugin and says why", function()
    local m = open()
    local settings = { token = token, log_level = "off", plugins = { fallback = { path = path } } }
    local other = assert(iu.open(target, settings))
    local err = support.refused("PluginError", nil, select(2, other:plugin("fallback")), path)
    assert.equal("UniverseLockedError", err.cause.kind)
    assert(other:shutdown())
    assert(m:shutdown())
    support.write(path, "this is no universe at all, and longer than a header")
    other = assert(iu.open(target, settings))
    support.refused("PluginError", nil, select(2, other:plugin("fallback")), path)
    assert(other:shutdown())
  end)
end)
