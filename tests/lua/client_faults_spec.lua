-- A client and a network that fails: connections cut anywhere, restarts, silence, refusals; exactly once; and a model of three connections. The server is
-- the double of tests/peer, which fails when it is told to. IU_TEST_SEED repeats a run's choices.

local iu = require "inner_universe"
local peers = require "peer"
local support = require "support"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local FAST = { min_delay = 0.002, max_delay = 0.02 }
local NO_METADATA = { tags = {}, properties = "{}" }

local peer, opened

local function fault(text)
  peer:fault(text)
end

local function database()
  return ("ws://%s/%s"):format(peer.address, (peer:database()))
end

local function connect(target, options)
  options = options or {}
  options.reconnect = options.reconnect or FAST
  local conn = assert(iu.connect(target, options))
  opened[#opened + 1] = conn
  return conn
end

local wait_until = support.wait_until

local function connected(conn)
  wait_until(function() return conn:state().phase == "connected" end, "connected again")
end

local function ids(iterator, ...)
  local list = {}
  for row in iterator, ... do list[#list + 1] = row.id end
  table.sort(list)
  return table.concat(list, " ")
end

describe("a client", function()
  setup(function()
    print("# client_faults_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    peer = peers.start()
  end)
  teardown(function() peer:stop() end)
  before_each(function() opened = {} end)
  after_each(function()
    for _, conn in ipairs(opened) do assert(conn:close()) end
    fault('{"reset":true}')
    support.clean() -- fails the test when a handler raised
  end)

  it("comes back after a restart, told what differs and nothing else", function()
    local target = database()
    local conn, other = connect(target, { reconnect = { min_delay = 1, max_delay = 1 } }), connect(target) -- the other one is back first
    local heard, states = {}, {}
    conn:on_state(function(state) states[#states + 1] = state end)
    assert(other:call("create_entity", "T", NO_METADATA, "stays"))
    assert(other:call("create_entity", "T", NO_METADATA, "goes"))
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local identity, id = conn:identity(), conn:connection_id()
    conn.tables.entity:on_insert(function(row, event) heard[#heard + 1] = "+" .. row.id assert(event.subscribed) end)
    conn.tables.entity:on_update(function(row) heard[#heard + 1] = "~" .. row.id end)
    conn.tables.entity:on_delete(function(row) heard[#heard + 1] = "-" .. row.id end)
    fault('{"restart_ms":60}')
    wait_until(function() return conn:state().phase ~= "connected" end, "the loss")
    assert.equal("goes stays", ids(conn.tables.entity:iter())) -- what was known stays visible
    local ok, err = conn:call("create_entity", "T", NO_METADATA, "refused")
    assert.is_nil(ok)
    assert.equal("ConnectionError", err.kind)
    assert.is_true(err.retryable)
    connected(other)
    assert(other:call("delete_entity", "goes", false))
    assert(other:call("create_entity", "T", NO_METADATA, "comes"))
    connected(conn)
    wait_until(function() return conn.tables.entity:get("comes") ~= nil end, "the rows")
    assert(conn:flush())
    table.sort(heard)
    assert.equal("+comes -goes", table.concat(heard, " "))
    assert.equal(identity, conn:identity())
    assert.not_equal(id, conn:connection_id())
    assert.equal("disconnected", states[1].phase)
    assert.is_number(states[1].delay)
    assert.is_true(iu.errors.is(states[1].reason))
    assert.equal("connecting", states[2].phase)
    assert.equal("connected", states[#states].phase)
  end)

  it("is told once that the outcome is unknown when the connection went after the call was sent", function()
    local target = database()
    for _, where in ipairs { "before", "after" } do
      local conn = connect(target)
      fault(('{"drop_%s":0}'):format(where))
      local ok, err = conn:call("create_entity", "T", NO_METADATA, where)
      assert.is_nil(ok)
      assert.same({ "ConnectionError", "UNKNOWN_OUTCOME", false }, { err.kind, err.code, err.retryable })
      connected(conn)
      assert.equal(where == "after", conn:get("entity", where) ~= nil)
    end
  end)

  it("keeps calls for later when it is told to", function()
    local conn = connect(database(), { away = "queue", away_calls_max = 20 })
    fault('{"restart_ms":50}')
    wait_until(function() return conn:state().phase ~= "connected" end, "the loss")
    local answers, refused = 0, 0
    for n = 1, 30 do
      local ok, err = conn:call_async(function(done, why)
        assert(done, tostring(why))
        answers = answers + 1
      end, "create_entity", "T", NO_METADATA, "q" .. n)
      if not ok then
        refused = refused + 1
        assert.equal("OverloadedError", err.kind)
      end
    end
    assert.equal(10, refused)
    wait_until(function() return answers == 20 end, "the answers")
    assert.equal(20, #assert(conn:query("SELECT * FROM entity")))
  end)

  it("a flush ends with the connection, is refused while away, and waits for what is queued", function()
    for _, away in ipairs { "refuse", "queue" } do
      local manager = assert(iu.open(database(), { token_file = "none", away = away, reconnect_min_delay_ms = 2, reconnect_max_delay_ms = 20 }))
      opened[#opened + 1] = { close = function() return manager:shutdown() end }
      local function away_for(ms)
        local before = manager:status().connection.connects
        fault(('{"restart_ms":%d}'):format(ms))
        return function() wait_until(function() return manager:status().connection.connects > before end, "connected again") end
      end
      assert(manager:flush())
      -- lost with a call in flight: neither of the two can be known
      fault('{"hold":true}')
      local answers = {}
      iu.run(function()
        iu.spawn(function() answers[1] = select(2, manager:create_entity("T")) end)
        iu.spawn(function() answers[2] = select(2, manager:flush()) end)
        iu.sleep(0.02)
        fault('{"hold":false,"drop_before":0}')
        fault('{"cut":true}')
      end)
      for i = 1, 2 do assert.same({ "ConnectionError", "UNKNOWN_OUTCOME", false }, { answers[i].kind, answers[i].code, answers[i].retryable }) end
      fault('{"reset":true}')
      wait_until(function() return manager:flush() end, "a flush after the loss")
      local back = away_for(60)
      local started = iu.now()
      wait_until(function()
        local ok, err = manager:flush()
        return not ok and err.kind == "ConnectionError" and err.retryable and err.message:find("not connected", 1, true)
      end, "a flush that is refused")
      if away == "queue" then
        iu.run(function()
          local done
          iu.spawn(function()
            assert(manager:create_entity("T", nil, "queued"))
            done = true
          end)
          iu.sleep(0.001)
          assert(manager:flush())
          assert.is_true(done)
        end)
        assert(manager:get_entity("queued"))
      end
      back()
      assert(manager:flush())
      assert.is_true(iu.now() - started < 10 * 1000000)
    end
  end)

  it("stops for good when coming back is hopeless, with a kind of its own", function()
    for text, kind in pairs { ['{"refuse_token":true}'] = "AuthorizationError", ['{"hide_databases":true}'] = "ConnectionError" } do
      local conn = connect(database())
      local last
      conn:on_state(function(state) last = state end)
      fault(text)
      fault('{"cut":true}')
      wait_until(function() return conn:is_closed() end, "the end")
      assert.equal("disconnected", last.phase)
      assert.is_nil(last.delay)
      assert.equal(kind, last.reason.kind)
      assert.has_error(function() conn:call("create_entity", "T", NO_METADATA, nil) end)
      fault('{"reset":true}')
    end
    local conn, err = iu.connect(("ws://127.0.0.1:%d/nothing-here"):format(peer.port))
    assert.is_nil(conn)
    assert.equal("NO_DATABASE", err.code)
    assert.is_truthy(err.message:find("nothing%-here"))
  end)

  it("survives cuts behind every byte of a conversation", function()
    local target = database()
    local watcher = connect(target)
    assert(watcher:subscribe("SELECT * FROM entity"):wait())
    local made = 0
    for at = 0, SANITIZED and 400 or 1600, SANITIZED and 37 or 17 do
      local conn = connect(target)
      fault(('{"%s":%d}'):format(at % 2 == 0 and "cut_after" or "cut_in_after", at))
      local id = "c" .. at
      local ok, err = conn:call("create_entity", "T", { name = ("x"):rep(300), tags = {}, properties = "{}" }, id)
      if ok then made = made + 1 else assert.equal("ConnectionError", err.kind, tostring(err)) end
      local rows, why = conn:query("SELECT * FROM entity WHERE id = '" .. id .. "'")
      assert(rows or why.kind == "ConnectionError", tostring(why))
      fault('{"reset":true}')
      connected(conn)
      rows = assert(conn:query("SELECT * FROM entity WHERE id = '" .. id .. "'"))
      assert(not ok or #rows == 1, "an acknowledged row is missing")
      conn:close()
    end
    assert.is_true(made > 0)
    connected(watcher)
    assert(watcher:flush())
    wait_until(function() return watcher.tables.entity:count() == #watcher:query("SELECT * FROM entity") end, "the watcher's rows")
  end)

  it("reads what comes one byte at a time, in tiny frames, in one large frame, and compressed", function()
    local target = database()
    for _, text in ipairs { '{"write_size":1}', '{"fragment":1}', '{"fragment":0}', '{"fragment":4096}' } do
      for _, compression in ipairs { "none", "gzip", "brotli" } do
        for _, protocol in ipairs { "v1", "v2", "v3" } do
          fault(text)
          local conn = connect(target, { compression = compression, protocol = protocol })
          local id = iu.uuid()
          assert(conn:subscribe("SELECT * FROM entity WHERE id = '" .. id .. "'"):wait())
          assert(conn:call("create_entity", "T", { name = ("ab"):rep(2000), tags = {}, properties = "{}" }, id))
          assert.equal(4000, #conn.tables.entity:get(id).metadata.name)
          conn:close()
          fault('{"reset":true}')
        end
      end
    end
  end)

  it("takes silence for a loss", function()
    local conn = connect(database(), { ping_interval = 0.05, idle_timeout = 0.2 })
    local lost
    conn:on_state(function(state) if state.phase == "disconnected" then lost = state.reason end end)
    fault('{"stall_ms":-1}')
    wait_until(function() return lost ~= nil end, "the loss")
    assert.equal("TimeoutError", lost.kind)
    fault('{"reset":true}')
    connected(conn)
    assert(conn:call("create_entity", "T", NO_METADATA, nil))
  end)

  it("answers what makes no sense by starting anew, and lets no bomb in", function()
    local conn = connect(database(), { message_bytes_max = 1 << 20 })
    assert(conn:call("create_entity", "T", NO_METADATA, "a"))
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    for _, text in ipairs {
      '{"random_message":100}', '{"random_message":5000}', '{"random_bytes":64}', '{"bomb_gzip_mb":64}', '{"bomb_brotli_mb":64}', '{"message":"00"}',
      '{"message":"0004ffffffff"}', '{"message":"00010100000002000000ffffffff"}', '{"close":1013}', '{"close":1011}', '{"cut":true}',
    } do
      local connects = conn:status().connects
      fault(text)
      wait_until(function() return conn:status().connects > connects end, text)
      connected(conn)
      assert.equal("a", ids(conn.tables.entity:iter()))
      assert(conn:call("update_entity", "a", { name = text, tags = {}, properties = "{}" }))
    end
  end)

  it("reads on when what it was sent is applied, however little may wait", function()
    local conn = connect(database(), { incoming_bytes_max = 1 }) -- every message is over the cap: the socket rests until it is applied
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local told, ended = 0, 0
    conn.tables.entity:on_insert(function() told = told + 1 end)
    iu.run(function()
      for n = 1, 300 do
        iu.spawn(function()
          assert(conn:call("create_entity", "T", { tags = {}, properties = '{"text":"' .. ("x"):rep(n * 20) .. '"}' }, ("e%03d"):format(n)))
          ended = ended + 1
        end)
      end
    end)
    assert.same({ 300, 300, 300 }, { told, ended, conn.tables.entity:count() })
    assert.equal(1, conn:status().connects)
  end)

  it("that a running subscription fails is told, and its rows go; others stay", function()
    local conn = connect(database(), { protocol = "v3" })
    for n = 1, 4 do assert(conn:call("create_entity", n % 2 == 0 and "Even" or "Odd", NO_METADATA, "e" .. n)) end
    local failed
    assert(conn:subscribe("SELECT * FROM entity WHERE entity_type = 'Even'", { on_error = function(err) failed = err end }):wait())
    assert(conn:subscribe("SELECT * FROM entity WHERE id = 'e2'"):wait())
    assert.equal("e2 e4", ids(conn.tables.entity:iter()))
    for set = 0, 3 do
      if not failed then
        fault(('{"fail_set":%d}'):format(set))
        iu.sleep(0.02)
      end
    end
    wait_until(function() return failed ~= nil end, "the failure")
    wait_until(function() return ids(conn.tables.entity:iter()) == "e2" end, "the rows going")
  end)

  it("learns what a module that was published anew has more", function()
    local target = database()
    local conn = connect(target)
    assert.is_nil(conn:schema().tables.peer_extra)
    fault('{"extra_schema":true}')
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local entity = conn.tables.entity
    assert(conn:call("create_entity", "T", NO_METADATA, "before"))
    assert.equal("T", entity:get("before").entity_type)
    assert.equal(1, #entity:find("entity_type", "T"))
    assert(conn:refresh_schema())
    assert.equal("T", entity:get("before").entity_type)
    assert.is_table(conn:schema().tables.peer_extra)
    assert(conn:call("create_entity", "T", NO_METADATA, "after"))
    assert.equal("T", entity:get("after").entity_type) -- a table object goes on under the new schema
    assert.equal(2, #entity:find("entity_type", "T"))
    assert.equal("after before", ids(entity:range("id", "a", "z")))
    assert.equal("after before", ids(conn.tables.entity:iter()))
    assert.is_nil(conn.tables.peer_extra:get(1))
  end)

  it("applies keyed calls exactly once, however often the connection goes", function()
    local CALLS = SANITIZED and 300 or 10000
    local target = database()
    local workers, next_call, unknown = 16, 0, 0
    local conns = {}
    for i = 1, 4 do conns[i] = connect(target) end
    fault('{"drop_before_permille":6,"drop_after_permille":6}')
    iu.run(function()
      for worker = 1, workers do
        iu.spawn(function()
          local conn = conns[worker % 4 + 1]
          while next_call < CALLS do
            next_call = next_call + 1
            local n = next_call
            local operations = { { tag = "PublishEvent", value = { event_type = "CALL", source = "", data = tostring(n), id = nil } } }
            while true do
              local ok, err = conn:call("transact", operations, "key " .. n)
              if ok then break end
              assert(err.kind == "ConnectionError", tostring(err))
              if err.code == "UNKNOWN_OUTCOME" then unknown = unknown + 1 end
              iu.sleep(0.001)
            end
          end
        end)
      end
    end)
    fault('{"reset":true}')
    connected(conns[1])
    local seen, count = {}, 0
    for _, row in ipairs(assert(conns[1]:query("SELECT * FROM event_log WHERE event_type = 'CALL'"))) do
      assert(not seen[row.data], "applied twice: " .. row.data)
      seen[row.data] = true
      count = count + 1
    end
    assert.equal(CALLS, count)
    assert.is_true(unknown > 0, "no connection was lost")
    print(("# %d keyed calls, %d of them with an unknown outcome on the way"):format(CALLS, unknown))
  end)

  it("holds what one-off queries answer, whatever three of them do", function()
    local ROUNDS = SANITIZED and 150 or 2000
    local target = database()
    local QUERIES = {
      "SELECT * FROM entity", "SELECT * FROM entity WHERE entity_type = 'A'", "SELECT * FROM entity WHERE entity_type != 'A'",
      "SELECT * FROM entity WHERE id < 'm5'", "SELECT * FROM entity WHERE id >= 'm3' AND entity_type = 'B'",
    }
    local players = {}
    for i = 1, 3 do
      local conn = connect(target, { protocol = ({ "v1", "v2", "v3" })[i] })
      local player = { conn = conn, subs = {}, view = {} }
      players[i] = player
      conn.tables.entity:on_insert(function(row)
        assert(player.view[row.id] == nil, "inserted twice")
        player.view[row.id] = row
      end)
      conn.tables.entity:on_update(function(row, old)
        assert(player.view[row.id], "updated unknown")
        assert.same(old.metadata, player.view[row.id].metadata)
        player.view[row.id] = row
      end)
      conn.tables.entity:on_delete(function(row)
        assert(player.view[row.id], "deleted unknown")
        player.view[row.id] = nil
      end)
    end
    local function call(player, ...)
      player.conn:call_async(function() end, ...) -- refused or lost now and then
    end
    local function act(player)
      local what, id = math.random(10), "m" .. math.random(9)
      if what <= 4 then
        call(player, "create_entity", ({ "A", "B", "C" })[math.random(3)], NO_METADATA, id)
      elseif what <= 7 then
        call(player, "update_entity", id, { name = tostring(math.random(100)), tags = {}, properties = "{}" })
      elseif what <= 9 then
        call(player, "delete_entity", id, true)
      elseif math.random(5) == 1 then
        fault('{"cut":true}')
      end
    end
    local function expected(player)
      local wanted = {}
      for _, sub in ipairs(player.subs) do
        for _, row in ipairs(assert(players[1].conn:query(sub.query))) do wanted[row.id] = row end
      end
      return wanted
    end
    local function names(rows)
      local list = {}
      for id, row in pairs(rows) do list[#list + 1] = ("%s:%s:%s"):format(id, row.entity_type, row.metadata.name) end
      table.sort(list)
      return table.concat(list, " ")
    end
    local function subscribe(player)
      local text = QUERIES[math.random(#QUERIES)]
      local sub = player.conn:subscribe(text, { on_error = function() end })
      if sub then player.subs[#player.subs + 1] = { query = text, sub = sub } end
    end
    local settles = 0
    for round = 1, ROUNDS do
      for _ = 1, math.random(3) do
        local player = players[math.random(3)]
        local what = math.random(12)
        if what <= 2 and #player.subs < 5 then
          subscribe(player)
        elseif what == 3 and #player.subs > 0 then
          table.remove(player.subs, math.random(#player.subs)).sub:unsubscribe()
        else
          act(player)
        end
      end
      if round % 4 == 0 then
        settles = settles + 1
        for _, player in ipairs(players) do
          wait_until(function() return player.conn:state().phase == "connected" and player.conn:flush() end, "settling")
        end
        for i, player in ipairs(players) do
          local want
          wait_until(function()
            if not player.conn:flush() then return false end
            local ok, rows = pcall(expected, player)
            if not ok then return false end
            want = names(rows)
            return want == names(player.view)
          end, ("round %d, player %d: %s instead of %s (seed %d)"):format(round, i, names(player.view), tostring(want), SEED))
          local count = 0
          for _ in pairs(player.view) do count = count + 1 end
          assert.equal(count, player.conn.tables.entity:count())
        end
      end
    end
    print(("# %d rounds, compared %d times; connects: %d %d %d"):format(ROUNDS, settles, players[1].conn:status().connects,
      players[2].conn:status().connects, players[3].conn:status().connects))
  end)
end)
