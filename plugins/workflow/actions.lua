-- actions.lua: what users do to runs: start, signal, cancel, resume. Each is one transaction that names what it expects.

local iu = require "inner_universe"

local plugin = ...
local definitions = plugin.load "definitions"
local records = plugin.load "records"

---@param env { ctx: table, manager: table, board: table, book: table, catalog: table, scheduler: table, runner: table, config: table }
return function(env)
  local ctx, board, catalog = env.ctx, env.board, env.catalog
  local actions = {}

  local function conflict(format, ...)
    return nil, iu.errors.new("ConflictError", format:format(...), { retryable = false })
  end

  -- One try: who asks decides what a conflict means.
  local function transact(operations, event)
    local tries = 0
    return env.manager:transaction(function(tx)
      tries = tries + 1
      if tries > 1 then return conflict("somebody else was faster") end
      for _, operation in ipairs(operations) do assert(tx:join(operation[1], operation[2])) end
      if event and env.config.events then assert(tx:publish_event(event.type, event.data, event.data.id)) end
      return true
    end)
  end

  local function same(a, b)
    if a == nil or b == nil then return a == b end
    return iu.json.hash(a) == iu.json.hash(b)
  end

  -- The run that has the id already, when it is what was asked for.
  local function started_before(id, name, input)
    local begun, err = catalog.begun(id)
    if not begun then return nil, err end
    if begun.name ~= name then return conflict("start: id: run %s is one of workflow %s", id, begun.name) end
    if not same(begun.input, input) then return conflict("start: id: run %s was started with another input", id) end
    return id
  end

  --- Begins a run, or finds that it was begun before. Its id.
  ---@return string?, inner_universe.Error?
  function actions.start(name, input, id)
    local definition, err = env.book.latest(name)
    if not definition then return nil, err end
    local ok
    ok, err = definitions.check_name("start: id", id)
    if ok and input ~= nil then ok, err = records.bounded(input, "start: input", env.config.bytes_max) end
    if not ok then return nil, err end
    if board.count >= env.config.live_max then
      if catalog.begun(id) then return started_before(id, name, input) end
      return nil, iu.errors.new("OverloadedError", ("start: %d runs have not ended yet (live_max)"):format(board.count))
    end
    local uid, now = iu.uuid(), iu.now()
    local begun = assert(iu.json.encode { uid = uid, name = name, version = definition.version, input = input, at = now })
    local state = assert(iu.json.encode { id = id, name = name, version = definition.version, status = "pending", at = now })
    ok, err = transact({
      { "PutRecord", { key = records.run_key(id), value = begun, expected_revision = 0 } },
      { "PutRecord", { key = records.live_key(uid), value = state, expected_revision = 0, expires_at = records.UNHELD } },
    }, { type = "WORKFLOW_STARTED", data = { id = id, workflow = name, version = definition.version } })
    if ok then return id end
    if err.kind ~= "ConflictError" then return nil, err end
    local found, why = started_before(id, name, input)
    if found or why.kind == "ConflictError" then return found, why end
    return nil, err
  end

  -- The uid and the live row of a run that has not ended; ConflictError where it has.
  local function live_row(method, id)
    local begun, err = catalog.begun(id)
    if not begun then return nil, err end
    local row
    row, err = ctx.conn:get("plugin_record", records.live_key(begun.uid))
    if err then return nil, err end
    if row then return row, begun.uid end
    local _, done = catalog.state(begun.uid)
    return conflict("%s: run %s has ended: %s", method, id, done and done.status or "it is gone")
  end

  --- Sends a signal to a run that has not ended; it is kept until the run takes it.
  ---@return true?, inner_universe.Error?
  function actions.signal(id, name, payload)
    local ok, err = definitions.check_name("signal: name", name)
    if ok and payload ~= nil then ok, err = records.bounded(payload, "signal: payload", env.config.bytes_max) end
    if not ok then return nil, err end
    local row, uid = live_row("signal", id)
    if not row then return nil, uid end
    if #board.signals(uid) >= env.config.signals_max then
      return nil, iu.errors.new("OverloadedError", ("signal: run %s has %d signals that it has not taken (signals_max)"):format(id, #board.signals(uid)))
    end
    local value = assert(iu.json.encode { name = name, payload = payload, at = iu.now() })
    return transact { { "PutRecord", { key = records.signal_key(uid, iu.uuid()), value = value, expected_revision = 0 } } }
  end

  -- A stuck run's code cannot be gone through, so nothing of it can be compensated.
  local function end_stuck(row, uid, state)
    local done = assert(env.runner.done_text(state, "cancelled", { error = state.stuck, compensated = false }))
    local operations = {
      { "DeleteRecord", { key = row.key, expected_revision = row.revision } },
      { "PutRecord", { key = records.done_key(uid), value = done, expected_revision = 0 } },
    }
    return transact(operations, { type = "WORKFLOW_CANCELLED", data = { id = state.id, workflow = state.name, version = state.version, compensated = false } })
  end

  --- Has a run end as soon as the step at hand has: what has finished is compensated.
  ---@return true?, inner_universe.Error?
  function actions.cancel(id)
    local row, uid = live_row("cancel", id)
    if not row then return nil, uid end
    local state, err = records.decode(row)
    if not state then return nil, err end
    if state.status == "stuck" then return end_stuck(row, uid, state) end
    local value = assert(iu.json.encode { name = records.CANCEL, at = iu.now() })
    return transact { { "PutRecord", { key = records.signal_key(uid, records.CANCEL), value = value } } }
  end

  --- Lets a stuck run try again, and any other one not wait for its next try.
  ---@return true?, inner_universe.Error?
  function actions.resume(id)
    local row, uid = live_row("resume", id)
    if not row then return nil, uid end
    local state, err = records.decode(row)
    if not state then return nil, err end
    env.scheduler.forgive(uid)
    if state.status ~= "stuck" then
      env.scheduler.look(uid)
      return true
    end
    state.status, state.stuck = state.want and "compensating" or "pending", nil
    local operation = { key = row.key, value = assert(iu.json.encode(state)), expected_revision = row.revision, expires_at = records.UNHELD }
    return transact { { "PutRecord", operation } }
  end

  return actions
end
