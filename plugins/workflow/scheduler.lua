-- scheduler.lua: which run is worked at when: a queue of those that could go on, a clock for those that cannot yet, and places for those that do.
--
-- A run is looked at (`look`) when its live row or its signals change, when its time has come, and when this process has let go of it. It then goes into the
-- queue, onto the clock, or nowhere. What the queue gives is looked at again before it is taken. No look costs more than one run.

local iu = require "inner_universe"

local plugin = ...
local make_timers = plugin.load "timers"

local LOOK_AGAIN = 60 -- seconds; the clock may be set
local BACKOFF, BACKOFF_CONFLICT, BACKOFF_MAX = 0.5, 0.02, 60 -- seconds before a run that could not be taken or was lost is taken again, doubled each time

---@param env { ctx: table, board: table, holding: table, pausing: table, runner: table, book: table, catalog: table, config: table }
return function(env)
  local ctx, board = env.ctx, env.board
  local scheduler = { working = 0 }
  local timers = make_timers()
  local queue, first, last, queued = {}, 1, 0, {}
  local working = {}  -- uid -> true
  local failures = {} -- uid -> how often in a row it could not be taken
  local not_before = {} -- uid -> clock of ours
  local waker, stopped, renewing

  local function poke()
    if waker then waker:resolve() end
  end

  local function to_wall(clock) return iu.now() + math.ceil((clock - ctx.clock()) * 1e6) end

  -- "now" and what would run it; or when to look again; or nothing: then something has to happen.
  local function verdict(uid)
    local row = board.run(uid)
    if not row or working[uid] or row.state.status == "stuck" then return nil end
    local state = row.state
    local definition = env.book.find(state.name, state.version)
    if not definition then return nil end
    if env.holding.is_taken(row) then return row.expires_at - (board.skew or 0) end
    if not_before[uid] and not_before[uid] > ctx.clock() then return to_wall(not_before[uid]) end
    local called = state.status ~= "compensating" and (board.is_cancelled(uid) or state.waiting_for and board.signal(uid, state.waiting_for))
    if called then return "now", definition, row end
    if state.wake_at and state.wake_at > iu.now() then return state.wake_at end
    if state.waiting_for and not state.wake_at then return nil end
    return "now", definition, row
  end

  --- Something may have changed about a run.
  function scheduler.look(uid)
    local when = verdict(uid)
    if when == "now" then
      if queued[uid] then return end
      last = last + 1
      queue[last], queued[uid] = uid, true
      poke()
    elseif when and timers.set(uid, when) then
      poke()
    end
  end

  --- All runs, after a workflow was defined.
  function scheduler.look_at_all()
    local uids = {}
    for uid in board.each() do uids[#uids + 1] = uid end
    table.sort(uids) -- oldest first
    for _, uid in ipairs(uids) do scheduler.look(uid) end
  end

  --- Whether runs wait for a place.
  function scheduler.crowded() return first <= last and scheduler.working >= env.config.runs_max end

  function scheduler.is_working(uid) return working[uid] == true end

  --- A run that failed here may be tried at once.
  function scheduler.forgive(uid) failures[uid], not_before[uid] = nil, nil end

  local function work(uid, row, definition)
    local ran, ok, err = pcall(env.runner.work, row, definition)
    if not ran then
      ok, err = nil, iu.errors.from(ok)
      ctx.report(err, "workflow: the run " .. uid)
    end
    working[uid], scheduler.working = nil, scheduler.working - 1
    if ok then
      scheduler.forgive(uid)
    else
      local faster = err.kind == "ConflictError" -- somebody else; what is on the board is about to change
      if not faster then ctx.log.warn("run %s was not gone on with: %s", row.state.id, tostring(err)) end
      failures[uid] = (failures[uid] or 0) + 1
      not_before[uid] = ctx.clock() + math.min((faster and BACKOFF_CONFLICT or BACKOFF) * 2 ^ (failures[uid] - 1), BACKOFF_MAX)
    end
    env.catalog.wake(uid) -- who waits for it looks
    scheduler.look(uid)
    poke()
  end

  -- While this process holds runs that others could take.
  local function renew()
    renewing = true
    while scheduler.working > 0 and not stopped do
      iu.sleep(env.config.lease / 4)
      env.holding.renew()
    end
    renewing = false
  end

  local function launch()
    while first <= last and scheduler.working < env.config.runs_max do
      local uid = queue[first]
      queue[first], queued[uid] = nil, nil
      first = first + 1
      local when, definition, row = verdict(uid)
      if when == "now" then
        working[uid], scheduler.working = true, scheduler.working + 1
        ctx.spawn(work, uid, row, definition)
      elseif when then
        timers.set(uid, when)
      end
    end
    if first > last then first, last = 1, 0 end
    if env.shared and scheduler.working > 0 and not renewing then ctx.spawn(renew) end
    if not scheduler.crowded() then return end
    for _, run in env.holding.each() do env.pausing.nudge(run) end -- one that waits gives its place up
  end

  --- Runs that are worked at or will be as soon as there is a place.
  function scheduler.count() return scheduler.working + last - first + 1 end

  function scheduler.run()
    while not stopped do
      waker = ctx.waiter()
      local now = iu.now()
      local uid = timers.take(now)
      while uid do
        scheduler.look(uid)
        uid = timers.take(now)
      end
      launch()
      local next_at = timers.next()
      if next_at then
        waker:wait(math.min(math.max((next_at - iu.now()) / 1e6, 0), LOOK_AGAIN))
      else
        waker:wait()
      end
    end
  end

  function scheduler.stop()
    stopped = true
    poke()
  end

  return scheduler
end
