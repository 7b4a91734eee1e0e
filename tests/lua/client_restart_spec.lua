-- A real server that is killed (SIGKILL) in the middle of a run and started again on its data: the connections come back on the same objects, what they
-- hold is what queries answer, every call ends once, and keyed calls are applied once. A server of its own, so that no other test loses its own.
-- sanitizers: skip (client_faults_spec does the same on the peer, faster)

local iu = require("inner_universe")
local command = require("command")
local spacetimedb = require("spacetimedb")
local support = require("support")

local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

local CALLS, WORKERS, KILL_AT = 600, 16, { 150, 350 }
local NO_METADATA = { tags = {}, properties = "{}" }

local wait_until = support.wait_until

local function connected(conn)
  wait_until(function() return conn:state().phase == "connected" end, "connected again")
end

local function texts(iterator, ...)
  local list = {}
  for row in iterator, ... do list[#list + 1] = iu.json.canonical(row) end
  table.sort(list)
  return table.concat(list, "\n")
end

local function queried(conn, name)
  local rows, at = assert(conn:query("SELECT * FROM " .. name)), 0
  return texts(function()
    at = at + 1
    return rows[at]
  end)
end

-- A signal is on its way for a moment, and a thread that has not stopped yet answers.
local function all_stopped(pid)
  local states = command.line(("cat /proc/%d/task/*/stat | sed 's/.*) \\(.\\).*/\\1/' | sort -u | tr -d '\\n'"):format(pid))
  return states == "T"
end

describe("a client of a server that is killed and started again", function()
  local server, opened

  before_each(function() opened = {} end)
  after_each(function()
    for _, conn in ipairs(opened) do conn:close() end
    if server then server:remove() end
    server = nil
    support.clean() -- fails the test when a handler raised
  end)

  local function published()
    local name = spacetimedb.name()
    server = spacetimedb.start()
    assert(spacetimedb.publish(name, nil, nil, server))
    return name
  end

  local function connect(target, options)
    options.reconnect = { min_delay = 0.02, max_delay = 0.2 }
    local conn = assert(iu.connect(target, options))
    opened[#opened + 1] = conn
    return conn
  end

  with_server("comes back, holds what is there, and has applied keyed calls once", function()
    local name = published()
    local target = server.address .. "/" .. name
    local watcher = connect(target, { subscribe = { "SELECT * FROM entity", "SELECT * FROM event_log" } })
    local writer = connect(target, {})
    local identity, id = writer:identity(), writer:connection_id()
    local states, view = {}, {}
    writer:on_state(function(state) states[#states + 1] = state.phase end)
    for row in watcher.tables.event_log:iter() do view[row.event_id] = row end
    watcher.tables.event_log:on_insert(function(row)
      assert(not view[row.event_id], "inserted twice")
      view[row.event_id] = row
    end)
    watcher.tables.event_log:on_delete(function(row)
      assert(view[row.event_id], "deleted unknown")
      view[row.event_id] = nil
    end)

    local function key_of(n)
      local operations = { { tag = "PublishEvent", value = { event_type = "CALL", source = "", data = tostring(n), id = nil } } }
      return operations, "key " .. n
    end
    local answers, unknown, refused, answered, kills = {}, 0, 0, 0, 0
    local function call(n) -- until it is known to be applied
      while true do
        local ok, err = writer:call("transact", key_of(n))
        answers[n] = (answers[n] or 0) + 1
        if ok then return end
        assert.equal("ConnectionError", err.kind, tostring(err))
        if err.code == "UNKNOWN_OUTCOME" then
          assert.is_false(err.retryable)
          unknown = unknown + 1
        else
          assert.is_true(err.retryable)
          refused = refused + 1
          iu.sleep(0.01)
        end
      end
    end
    iu.run(function()
      local next_call = 0
      for _ = 1, WORKERS do
        iu.spawn(function()
          while next_call < CALLS do
            next_call = next_call + 1
            call(next_call)
            answered = answered + 1
          end
        end)
      end
      iu.spawn(function()
        for _, at in ipairs(KILL_AT) do
          while answered < at do iu.sleep(0.001) end
          os.execute("kill -STOP " .. server.pid)
          iu.sleep(0.05) -- every worker has a call without an answer
          server:kill()
          kills = kills + 1
          local ok, err = watcher:call("create_entity", "T", NO_METADATA, "while away") -- in the first moments the loss may not be known yet
          assert(not ok and err.kind == "ConnectionError", tostring(err))
          server:restart()
        end
      end)
    end)
    assert.equal(#KILL_AT, kills)
    assert.is_true(unknown > 0, "no call was in flight")
    assert.is_true(refused > 0, "no call was made while away")

    -- 1.2.0 answers before it saves: what was answered just before the end may be gone. With its key it can be asked for again, and is done once.
    for n = 1, CALLS do call(n) end
    local seen = {}
    for _, row in ipairs(assert(writer:query("SELECT * FROM event_log WHERE event_type = 'CALL'"))) do
      assert(not seen[row.data], "applied twice: " .. row.data)
      seen[row.data] = true
    end
    for n = 1, CALLS do assert(seen[tostring(n)], "lost: " .. n) end

    connected(watcher)
    for _, table_name in ipairs({ "entity", "event_log" }) do
      wait_until(function() return queried(writer, table_name) == texts(watcher.tables[table_name]:iter()) end, "the watcher's rows of " .. table_name)
    end
    assert.is_true(watcher.tables.event_log:count() >= CALLS)
    local held = 0
    for _ in pairs(view) do held = held + 1 end
    assert.equal(watcher.tables.event_log:count(), held)
    assert.equal(identity, writer:identity())
    assert.not_equal(id, writer:connection_id())
    assert.equal(1 + #KILL_AT, writer:status().connects)
    local text = table.concat(states, " ")
    assert.truthy(text:find("^disconnected connecting .*connected disconnected connecting .*connected$"), text)
    print(("# %d keyed calls: %d outcomes unknown, %d refused while away"):format(CALLS, unknown, refused))
  end)

  with_server("sends what was queued while away, once, and tells calls in flight once", function()
    local name = published()
    local conn = connect(server.address .. "/" .. name, { away = "queue", subscribe = { "SELECT * FROM entity" } })
    local ended = {}
    local function send(id)
      ended[id] = {}
      assert(conn:call_async(function(ok, err) table.insert(ended[id], ok and "done" or err.code) end, "create_entity", "T", NO_METADATA, id))
    end
    for n = 1, 10 do send("sent " .. n) end
    wait_until(function() return #ended["sent 10"] > 0 end, "the answers")
    os.execute("kill -STOP " .. server.pid)
    wait_until(function() return all_stopped(server.pid) end, "the stop")
    for n = 11, 20 do send("sent " .. n) end
    iu.sleep(0.02) -- on their way
    server:kill()
    wait_until(function() return conn:state().phase ~= "connected" end, "the loss")
    for n = 1, 20 do send("queued " .. n) end
    server:restart()
    assert(conn:flush())
    for id, how in pairs(ended) do
      local lost = id:find("^sent 1[1-9]") or id == "sent 20"
      assert.equal(lost and "UNKNOWN_OUTCOME" or "done", table.concat(how, " "), id) -- once
    end
    local rows = assert(conn:query("SELECT * FROM entity WHERE id >= 'queued' AND id < 'queuee'"))
    assert.equal(20, #rows)
    assert.equal(queried(connect(conn:status().url .. "/" .. name, {}), "entity"), texts(conn.tables.entity:iter()))
  end)
end)
