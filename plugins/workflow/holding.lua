-- holding.lua: runs that this process holds, and every write they make.
--
-- A held run is { uid, id, revision, state, task, ending, writing, touched, ... }; `revision` is that of its live row. Each write is one transaction
-- that puts the live row at exactly that revision: it renews the lease, and fails as a whole when somebody else has taken the run over (fencing). Writes of
-- one run follow each other.
--
-- A write whose outcome is unknown, or that failed for another reason than what it writes, ends the run in this process: it is taken up again from its
-- records, and taking it up moves the revision, so that nothing still under way can apply.

local iu = require "inner_universe"

local plugin = ...
local records = plugin.load "records"

-- What the universe refused, rather than failed to do: the user's own operations in a transaction of a step.
local REFUSALS = {
  ConflictError = true, ValidationError = true, AuthorizationError = true, EntityNotFoundError = true, RelationNotFoundError = true,
  VersionNotFoundError = true,
}

---@param env { ctx: table, manager: table, board: table, holder: string, shared: boolean, config: table }
return function(env)
  local ctx, board = env.ctx, env.board
  local holding = { lost = 0 }
  local held = {} -- uid -> run
  local LEASE = math.ceil(env.config.lease * 1e6)

  function holding.get(uid) return held[uid] end

  function holding.each() return pairs(held) end

  --- Whether somebody else works at it. Who else there is without a server is dead: a universe is open once.
  function holding.is_taken(row)
    local holder = row.state.holder
    return holder ~= nil and holder ~= env.holder and env.shared and row.expires_at > board.now()
  end

  --- Takes the run of a live row. The run, or nil, err (ConflictError: somebody was faster).
  function holding.claim(row)
    local state = {}
    for key, value in pairs(row.state) do state[key] = value end
    state.holder, state.wake_at, state.waiting_for = env.holder, nil, nil
    state.started_at = state.started_at or iu.now()
    state.taken = (state.taken or 0) + 1
    if state.status ~= "compensating" then state.status = "running" end
    local ok, err = ctx.conn:call("put_record", records.live_key(row.uid), assert(iu.json.encode(state)), row.revision, board.now() + LEASE)
    if not ok then return nil, err end
    local run = { uid = row.uid, id = state.id, revision = row.revision + 1, state = state, touched = ctx.clock() }
    held[row.uid] = run
    return run
  end

  --- Lets go of it here; in the universe nothing changes.
  function holding.drop(run) held[run.uid] = nil end

  --- Ends the run in this process: its task is killed at its wait.
  function holding.abandon(run, err)
    if run.ending then return end
    holding.lost = holding.lost + 1
    run.ending = { what = "lost", err = err }
    ctx.log.warn("run %s of %s is let go: %s", run.id, run.state.name, tostring(err))
    if run.task then run.task:cancel() end
  end

  -- Writing -------------------------------------------------------------------------------------------------------

  local function take_turn(run)
    while run.writing do run.writing:wait() end
    run.writing = ctx.waiter()
    return run.writing
  end

  local function end_turn(run, turn)
    if run.writing == turn then run.writing = nil end
    turn:resolve()
  end

  local function lost_error(run)
    return iu.errors.new("ConflictError", ("run %s was taken over by another process"):format(run.id), { code = "LOST", retryable = false })
  end

  local function join(tx, run, what, state)
    local live = records.live_key(run.uid)
    if what.last then
      assert(tx:join("DeleteRecord", { key = live, expected_revision = run.revision }))
      assert(tx:join("PutRecord", { key = records.done_key(run.uid), value = what.last, expected_revision = 0 }))
    else
      local expires_at = what.release and records.UNHELD or board.now() + LEASE
      assert(tx:join("PutRecord", { key = live, value = assert(iu.json.encode(state)), expected_revision = run.revision, expires_at = expires_at }))
    end
    for key, value in pairs(what.records or {}) do assert(tx:join("PutRecord", { key = key, value = value })) end
    for _, signal in ipairs(what.taken or {}) do assert(tx:join("DeleteRecord", { key = signal.key })) end
    if not env.config.events then return end
    for _, event in ipairs(what.events or {}) do assert(tx:publish_event(event.type, event.data, run.id)) end
  end

  local function changed(state, changes)
    local out = {}
    for key, value in pairs(state) do out[key] = value end
    for key, value in pairs(changes or {}) do out[key] = value end
    for _, key in ipairs(changes and changes.without or {}) do out[key] = nil end
    out.without = nil
    return out
  end

  -- Whether the live row is no more what this process made of it.
  local function is_lost(run)
    local row, err = ctx.conn:get("plugin_record", records.live_key(run.uid))
    if err then return true end
    return row == nil or row.revision ~= run.revision
  end

  --- One transaction. what: { state = changes (`without`: fields that go), records = { [key] = text }, taken = signals, events, release = nobody holds
  --- it then, last = text of the done row, write = fn(tx) of a user, which may add to `what` }. true, or nil, err: what the user's own writes were
  --- refused with. Where the run is lost it is abandoned, and the third value is true.
  ---@return true?, inner_universe.Error?, boolean? lost
  function holding.commit(run, what)
    local turn, tries, written, state = nil, 0, not what.write, nil
    local _ <close> = setmetatable({}, { __close = function() if turn then end_turn(run, turn) end end }) -- also when the task is killed
    local ok, err = env.manager:transaction(function(tx)
      tries = tries + 1
      if turn then end_turn(run, turn) end
      turn = nil
      if tries > 1 and (not what.write or is_lost(run)) then return nil, lost_error(run) end
      if what.write then
        written = false
        local done, why = what.write(tx)
        if not done then return nil, why end
        written = true
      end
      turn = take_turn(run)
      state = changed(run.state, what.state)
      join(tx, run, what, state)
      return true
    end)
    if ok then
      run.revision, run.state, run.touched = run.revision + 1, state, ctx.clock()
      return true
    end
    if what.write and not written and err.code ~= "LOST" then return nil, err end
    if what.write and REFUSALS[err.kind] and err.code ~= "LOST" and not is_lost(run) then return nil, err end
    holding.abandon(run, err)
    return nil, err, true
  end

  --- Renews the leases of runs that have written nothing for a while. Only where somebody else could take them.
  function holding.renew()
    local due = {}
    for _, run in pairs(held) do
      if ctx.clock() - run.touched > env.config.lease / 4 then due[#due + 1] = run end
    end
    for _, run in ipairs(due) do
      if held[run.uid] == run and not run.ending and not run.writing then holding.commit(run, {}) end
    end
  end

  return holding
end
