-- Tasks: coroutines that wait for the loop. `tasks.new(core, report)` makes the scheduler of a Lua state; the core is passed in, so that
-- tests can bring a loop of their own (loop_turn, loop_turning, set_deadline, timer, set_alarm, alarm, mono).
--
-- Rules. A task's own coroutine yields when it must wait; plain code turns the loop; where the loop is already turning outside a task, in a
-- coroutine nested in a task, or where no yield is possible, waiting raises. A spawned task starts at the next turn, in the
-- order of spawning. What wakes a task puts it in the ready queue; only `turn` resumes from it, so no task is resumed from inside
-- another one's wake-up. Callbacks run at once, in pooled coroutines, up to their end or first wait.
--
-- A worker is a coroutine that runs one job after another: { co, task, entry, slot, cancel }. An entry is one suspension or one start in
-- the queue; it is used once and dropped when its worker is killed meanwhile, so a late wake-up cannot hit the worker's next job.
--
-- A slot is the entry of a worker that waits for an answer of the core; it has the answer, too. Most waits are such, and most of them end with their
-- answer: then nothing knows the slot any more (not those who answer, no timeout, not the queue), and the worker takes it for its next one. A slot whose
-- wait ended otherwise is never used again: its answer may still come. Outside of its wait a slot is dead.
--
-- Timeouts: most waits have one of a few (a connection's), and end before it. Those with the same timeout that begin while the queue is worked off once are
-- a wave: it knows when it is due (the clock is read once for all, at the end), and how many of it still wait. Waves of one timeout are a list in the
-- order in which they are due; the core's one alarm is set for the first of them all. Entries are in their wave's array, but slots are looked for when it is
-- due and somebody still waits: then once for all waves that there are.
-- Where LISTS_MAX other timeouts are in use, an entry has a timer of its own.
-- Cost: a callback that does not wait costs one resume and one yield (about 0.2 us).

local errors = require("inner_universe.errors")
local check = require("inner_universe.check")

local tasks = {}

local co_resume, co_yield, co_running, co_isyieldable = coroutine.resume, coroutine.yield, coroutine.running, coroutine.isyieldable

local IDLE, WAIT = {}, {} -- what a worker yields: job done, suspended
local ANSWERED = {} -- what woke a slot: its answer
local POOL_MAX = 256 -- idle coroutines kept for the next callbacks
local NO_LIMIT = 1e9 -- seconds; a longer timeout is none
local TURN_MAX = 0.25 -- seconds; the interpreter's own signal handling gets its chance in between
local LISTS_MAX = 8 -- different timeouts that share the alarm
local WAVES_MIN = 64 -- waves of a timeout, and twice those that somebody was in, before the others are let go
local HELD_TURN = 0.05 -- seconds between looks while an answer is owed by something the loop does not see

local NESTED = "cannot wait in a coroutine nested in a task (use iu.spawn for it)"
local NO_YIELD = "cannot wait here: the task cannot yield inside a metamethod, a sort or gsub callback, or while it is being closed"
local IN_REDUCER = "cannot wait inside a reducer"
local TURNING = "cannot wait while the loop is turning outside a task (use iu.spawn)"

local function too_late(what, timeout)
  return ("%s: nothing came within %g s"):format(what, timeout > 0 and timeout or 0)
end

local function pass(...) return ... end

local function finite(timeout)
  if timeout == nil or timeout >= NO_LIMIT then return nil end
  return timeout > 0 and timeout or 0.0
end

---@param core table loop_turn, loop_turning, set_deadline, timer, set_alarm, alarm, mono; may_yield, in_reducer and loop_ready where there are any; own_time:
---  its `mono` is not the one that callers of `answer` read
---@param report fun(err: any, traceback: string?) hears errors nobody waits for
function tasks.new(core, report)
  local scheduler = {}

  ---@class inner_universe.Task
  local Task = { __name = "inner_universe.Task" }
  Task.__index = Task

  ---@class inner_universe.Waiter
  local Waiter = { __name = "inner_universe.Waiter", loops = 0 }
  Waiter.__index = Waiter

  local may_yield = core.may_yield or function(co)
    return co_running() == co and co_isyieldable()
  end
  local current -- worker whose job is running, innermost
  local turning = false
  local queue, first, last = {}, 1, 0
  local draining = false
  local pool, pooled = {}, 0
  local alive, alive_count = {}, 0 -- what iu.run waits for: spawned tasks and callbacks that wait
  local held = 0 -- answers owed by the core
  local unclaimed -- during iu.run: failed tasks nobody waited for, in order
  local resume, kill

  local function push(entry)
    last = last + 1
    queue[last] = entry
  end

  local function count_in(key)
    if not alive[key] then
      alive[key] = true
      alive_count = alive_count + 1
    end
  end

  local function count_out(key)
    if alive[key] then
      alive[key] = nil
      alive_count = alive_count - 1
    end
  end

  -- ends -----------------------------------------------------------------------------------------------------------

  -- Those who wanted to hear that the worker's job is over, however it ended.
  local function tell_end(worker)
    local list = worker.at_end
    worker.at_end = nil
    for _, handle in ipairs(list) do
      local ok, raised = pcall(handle.fn)
      if not ok then report(raised, "at the end of a task") end
    end
  end

  local function settle(task, state)
    task.state = state
    task.worker = nil
    count_out(task)
    task.ended:resolve()
  end

  local function succeeded(task, ...)
    if task and task.state ~= "cancelled" then
      task.results = table.pack(...)
      settle(task, "done")
    end
  end

  local function failed(worker, raised)
    local trace = debug.traceback(worker.co)
    local _, close_error = coroutine.close(worker.co)
    if close_error ~= nil and close_error ~= raised then report(close_error, trace) end
    if worker.at_end then tell_end(worker) end
    count_out(worker)
    local task = worker.task
    if not task then
      report(raised, trace)
      return
    end
    local awaited = task.claimed or task.ended:is_awaited()
    task.raised, task.trace = raised, trace
    task.err = errors.from(raised)
    settle(task, "failed")
    if not awaited then
      if unclaimed then unclaimed[#unclaimed + 1] = task end
      report(raised, trace)
    end
  end

  -- workers --------------------------------------------------------------------------------------------------------

  local function run_job(task, fn, ...)
    succeeded(task, fn(...))
  end

  -- No local holds a job's values while the coroutine is idle: a pooled one would keep them alive.
  local function work()
    while true do
      run_job(coroutine.yield(IDLE))
    end
  end

  local function take_worker(task)
    local worker
    if pooled > 0 then
      worker = pool[pooled]
      pool[pooled] = nil
      pooled = pooled - 1
    else
      worker = { co = coroutine.create(work) }
      local ok, err = coroutine.resume(worker.co) -- up to its first wait for a job
      if not ok then error(err, 0) end -- no memory; a dead coroutine that is resumed without any would unwind past every caller
    end
    worker.task = task
    return worker
  end

  local function after_resume(worker, previous, ok, signal)
    current = previous
    if not ok then
      failed(worker, signal)
    elseif signal == IDLE then
      if worker.at_end then tell_end(worker) end
      count_out(worker)
      worker.task = nil
      worker.cancel = nil
      if pooled < POOL_MAX then
        pooled = pooled + 1
        pool[pooled] = worker
      end
    elseif worker.cancel then
      kill(worker)
    else
      if not worker.task then count_in(worker) end
      if signal ~= WAIT then -- a plain coroutine.yield(): the others' turn, then on
        worker.entry = { worker = worker, ready = true }
        push(worker.entry)
      end
    end
  end

  function resume(worker, ...)
    local previous = current
    current = worker
    after_resume(worker, previous, coroutine.resume(worker.co, ...))
  end

  -- timeouts -------------------------------------------------------------------------------------------------------

  local by_timeout, lists = {}, {} -- lists: { timeout, from, to, room, wave } and the waves at `from` to `to`; `wave`: the one that may still grow
  local slots = setmetatable({}, { __mode = "k" }) -- all there are
  local open, open_count = {}, 0 -- lists whose `wave` is not due yet: since the clock was not read
  local alarm_at -- when the alarm rings, never after the first wave is due; nil: not set

  -- The wave of the list that is due first and still has somebody, or nil; those before it are gone then.
  local function front(list)
    local from, to = list.from, list.to
    while from <= to do
      local wave = list[from]
      if wave.live > 0 or wave == list.wave then
        list.from = from
        return wave.live > 0 and wave or nil
      end
      list[from] = nil
      from = from + 1
    end
    list.from, list.to = 1, 0
  end

  local function list_for(timeout)
    local list = by_timeout[timeout]
    if list then return list end
    if #lists < LISTS_MAX then
      list = { from = 1, to = 0, room = WAVES_MIN, wave = nil }
      lists[#lists + 1] = list
    else
      for _, each in ipairs(lists) do
        if not each.wave and not front(each) then list = each end
      end
      if not list then return nil end
      by_timeout[list.timeout] = nil
    end
    list.timeout = timeout
    by_timeout[timeout] = list
    return list
  end

  local function ring_at(due, seconds)
    if alarm_at and alarm_at <= due then return end
    core.alarm(seconds)
    alarm_at = due
  end

  -- One that waits long keeps those behind it, most of which nobody is in any more.
  local function close_up(list)
    local count = 0
    for i = list.from, list.to do
      local wave = list[i]
      list[i] = nil
      if wave.live > 0 or wave == list.wave then
        count = count + 1
        list[count] = wave
      end
    end
    list.from, list.to, list.room = 1, count, 2 * count + WAVES_MIN
  end

  -- For those who begin to wait now.
  local function new_wave(list, now)
    local wave
    if list.to - list.from > list.room then close_up(list) end
    if draining then
      wave = { due = math.huge, live = 0, found = false }
      list.wave = wave
      open_count = open_count + 1
      open[open_count] = list
    else
      wave = { due = (not core.own_time and now or core.mono()) + list.timeout, live = 0, found = false }
      ring_at(wave.due, list.timeout)
      front(list)
    end
    list.to = list.to + 1
    list[list.to] = wave
    return wave
  end

  local function silence()
    core.alarm()
    alarm_at = nil
  end

  -- The clock is read for those who began to wait without.
  local function close_waves()
    local now = core.mono()
    for i = 1, open_count do
      local list = open[i]
      local wave = list.wave
      open[i] = nil
      list.wave = nil
      wave.due = now + list.timeout
      if front(list) and wave.live > 0 then ring_at(wave.due, list.timeout) end
    end
    open_count = 0
  end

  local function wake(entry)
    if not entry.dead and not entry.woken then
      entry.woken = true
      push(entry)
    end
  end

  local function first_due()
    local found, its_list
    for _, list in ipairs(lists) do
      local wave = front(list)
      if wave and (not found or wave.due < found.due) then found, its_list = wave, list end
    end
    return found, its_list
  end

  local function by_id(a, b) return a.id < b.id end

  -- Puts the slots that wait into the arrays of their waves.
  local function find_slots()
    local fresh = {}
    for _, list in ipairs(lists) do
      for i = list.from, list.to do
        local wave = list[i]
        if not wave.found and wave ~= list.wave then fresh[wave], wave.found = {}, true end
      end
    end
    for slot in pairs(slots) do
      local found = not slot.dead and fresh[slot.wave]
      if found then found[#found + 1] = slot end
    end
    for wave, found in pairs(fresh) do
      table.sort(found, by_id)
      table.move(found, 1, #found, #wave + 1, wave)
    end
  end

  core.set_alarm(function()
    local now = core.mono()
    alarm_at = nil
    local wave, list = first_due()
    while wave and wave.due <= now do
      if not wave.found then find_slots() end
      list[list.from] = nil
      list.from = list.from + 1
      for _, entry in ipairs(wave) do
        if entry.wave == wave then wake(entry) end
      end
      wave, list = first_due()
    end
    if wave and wave.due < math.huge then ring_at(wave.due, wave.due - now) end
  end)

  local function drop_entry(worker)
    local entry = worker.entry
    if entry then
      entry.dead = true
      if entry.wave then
        entry.wave.live = entry.wave.live - 1
        entry.wave = nil
        if alarm_at and not first_due() then silence() end
      end
      if entry.timer then entry.timer:close() end
      if entry.waiter then
        entry.waiter:forget(entry)
        entry.waiter = nil
      end
      worker.entry = nil
    end
  end

  -- Ends a suspended worker: its variables to be closed are closed, nothing else of it runs.
  function kill(worker)
    drop_entry(worker)
    local previous = current
    current = worker
    local trace = debug.traceback(worker.co)
    local ok, err = coroutine.close(worker.co)
    current = previous
    if worker.at_end then tell_end(worker) end
    count_out(worker)
    local task = worker.task
    if task then
      task.err = errors.new("PersistenceError", "the task was cancelled", { code = "CANCELLED" })
      settle(task, "cancelled")
    end
    if not ok then report(err, trace) end
  end

  -- the loop -------------------------------------------------------------------------------------------------------

  local function start(entry)
    local task = entry.task
    local worker = take_worker(task)
    task.worker, task.state = worker, "running"
    resume(worker, task, entry.fn, table.unpack(entry.args, 1, entry.args.n))
  end

  -- Runs what is ready now; what becomes ready meanwhile waits for the next turn. Never in a task.
  local function drain(deadline)
    local ready, at, stop = queue, first, last
    draining = true
    while at <= stop do
      local entry = ready[at]
      ready[at] = nil
      at = at + 1
      first = at
      local worker = not entry.dead and entry.worker
      if worker then
        worker.entry = nil
        current = worker
        local ok, signal = co_resume(worker.co)
        current = nil
        if not ok or signal ~= WAIT or worker.cancel or not worker.task then after_resume(worker, nil, ok, signal) end
      elseif entry.fn and not entry.dead then
        start(entry)
      end
      if deadline and core.mono() >= deadline then break end
    end
    draining = false
    if open_count > 0 then close_waves() end
    if alarm_at and not first_due() then silence() end
    if first > last then first, last = 1, 0 end -- the queue's array is used again
  end

  local function guarded(fn, ...)
    turning = true
    local ok, result = pcall(fn, ...)
    turning = false
    if not ok then error(result, 0) end
    return result
  end

  local function turn_once(wait, deadline)
    if first <= last then wait = 0 end
    draining = false -- where it raised
    local more = core.loop_turn(wait)
    local ready = first <= last -- what runs now may arm new timers: then nothing is known yet
    drain(deadline)
    return more or ready
  end

  -- Turns until done() or nothing is left that could change it; true when done.
  local function turn_until(done)
    while not done() do
      local more = guarded(turn_once, TURN_MAX)
      if not more and not done() then
        if held == 0 then return false end
        guarded(turn_once, HELD_TURN)
      end
    end
    return true
  end

  local function refused(why)
    return nil, core.in_reducer and core.in_reducer() and IN_REDUCER or why
  end

  -- How the running code may wait: "task", "loop", or nil and why not.
  local function mode()
    if current then
      if co_running() ~= current.co then return nil, NESTED end
      if not co_isyieldable() then return refused(NO_YIELD) end
      return "task"
    end
    if turning or core.loop_turning() then return refused(TURNING) end
    return "loop"
  end

  -- waiting --------------------------------------------------------------------------------------------------------

  local function arm(seconds, fn)
    local timer, err = core.timer(seconds, fn)
    if not timer then error(err, 0) end
    return timer
  end

  -- Suspends the running task until the entry is pushed or its time is over.
  local function suspend(entry, timeout)
    local worker = current
    entry.worker = worker
    worker.entry = entry
    if timeout then
      local list = list_for(timeout)
      if list then
        local wave = list.wave or new_wave(list)
        wave[#wave + 1] = entry
        wave.live = wave.live + 1
        entry.wave = wave
      else
        entry.timer = arm(timeout, function() wake(entry) end)
      end
    end
    co_yield(WAIT)
    worker.entry = entry
    drop_entry(worker)
  end

  local function wait_in_loop(waiter, timeout)
    local expired = false
    local timer = timeout and arm(timeout, function()
      expired = true
    end)
    waiter.loops = waiter.loops + 1
    local ok, done = pcall(turn_until, function()
      return waiter.count or expired
    end)
    waiter.loops = waiter.loops - 1
    if timer then timer:close() end
    if not ok then error(done, 0) end
    return done
  end

  local function wait_in_task(waiter, timeout)
    local entry = { waiter = waiter, worker = current, wave = nil, woken = nil, dead = nil }
    if not waiter.entry then
      waiter.entry = entry
    else
      local more = waiter.more or {}
      more[#more + 1] = entry
      waiter.more = more
    end
    suspend(entry, timeout)
  end

  -- Values of the waiter, or nil, err. `level` is for raising where nothing may wait.
  local function wait(waiter, timeout, level, what)
    if not waiter.count then
      local how, why = mode()
      if not how then error(why, level + 1) end
      timeout = finite(timeout)
      if how == "task" then
        wait_in_task(waiter, timeout)
      elseif not wait_in_loop(waiter, timeout) then
        return nil, errors.new("PersistenceError", (what or "wait") .. ": nothing is left that could end it", { code = "DEADLOCK" })
      end
      if not waiter.count then
        return nil, errors.new("TimeoutError", too_late(what or "wait", timeout))
      end
    end
    local count = waiter.count
    if count == 2 then return waiter.first, waiter.second end
    if count == 1 then return waiter.first end
    if count > 2 then return table.unpack(waiter.values, 1, count) end
  end

  ---Resolves once; later calls change nothing.
  ---@return boolean first
  function Waiter:resolve(...)
    if self.count then return false end
    local count = select("#", ...)
    self.count = count
    if count > 2 then
      self.values = table.pack(...)
    else
      self.first, self.second = ...
    end
    local entry, more = self.entry, self.more
    if entry then
      self.entry, self.more, entry.waiter = false, nil, nil -- nobody needs to be looked for when it goes on
      wake(entry)
      for i = 1, more and #more or 0 do
        more[i].waiter = nil
        wake(more[i])
      end
    end
    return true
  end

  function Waiter:is_resolved()
    return self.count ~= false
  end

  function Waiter:forget(entry)
    local more = self.more
    if self.entry == entry then
      self.entry = more and table.remove(more, 1) or false
    elseif more then
      for i = #more, 1, -1 do
        if more[i] == entry then table.remove(more, i) end
      end
    end
  end

  function Waiter:is_awaited()
    return self.loops > 0 or self.entry ~= false
  end

  ---The resolved values, or nil and a TimeoutError after `timeout` seconds.
  function Waiter:wait(timeout)
    check.optional(timeout, "number", 1, "wait", "timeout")
    return pass(wait(self, timeout, 2)) -- `wait` is no tail call: the level is that of this function's caller
  end

  ---@return inner_universe.Waiter
  function scheduler.waiter()
    return setmetatable({ count = false, first = nil, second = nil, entry = false }, Waiter)
  end

  scheduler.wait, scheduler.mode, scheduler.too_late = wait, mode, too_late

  local function answer_slot(slot, err, value, matched)
    held = held - 1
    if slot.dead then return end
    local woken = slot.woken
    slot.woken = ANSWERED
    if value ~= true or err ~= nil or matched ~= nil then -- else it says no more than that it went well: most do
      slot.plain, slot.err, slot.value, slot.matched = false, err, value, matched
    end
    if not woken then push(slot) end
  end

  ---What is filed as `first` to `last` has its answer, which says no more than that it went well. The first of them that no task waits for, or nil: it is
  ---not answered yet, nor are those behind it.
  ---@param pending table
  ---@param from integer
  ---@param to integer
  ---@return integer? id
  function scheduler.answer_run(pending, from, to)
    for id = from, to do
      local slot = pending[id]
      if not slot or slot.answer ~= answer_slot then return id end
      pending[id] = nil
      held = held - 1
      if not slot.dead then
        local woken = slot.woken
        slot.woken = ANSWERED
        if not woken then
          last = last + 1
          queue[last] = slot
        end
      end
    end
  end

  ---Waits in the running task for an answer that the core owes. It is filed as `pending[id]`; who has the answer takes it out there, and calls the
  ---filed record's `answer(record, err, value, matched)`, once. nil: no task that can wait is running, and nothing was filed.
  ---@param pending table
  ---@param id integer
  ---@param timeout? number seconds
  ---@param now? number core.mono(), where the caller has just read it
  ---@return boolean? answered false: not in time, or the wait is over otherwise; the answer is then dropped when it comes
  ---@return any err, any value, any matched
  function scheduler.answer(pending, id, timeout, now)
    local worker = current
    if not worker or not may_yield(worker.co) then return nil end
    local slot, wave = worker.slot, nil
    if slot then
      worker.slot = nil
    else
      slot = { worker = worker, answer = answer_slot, id = id, woken = false, dead = true, plain = true, err = nil, value = nil, matched = nil, wave = nil }
      slots[slot] = true
    end
    pending[id] = slot -- dead until nothing can raise any more
    held = held + 1
    if timeout and not (timeout > 0 and timeout < NO_LIMIT) then timeout = finite(timeout) end
    if timeout then
      local list = by_timeout[timeout] or list_for(timeout)
      if list then
        wave = list.wave or new_wave(list, now)
        wave.live = wave.live + 1
        slot.id, slot.wave = id, wave
      else
        slot.timer = arm(timeout, function() wake(slot) end)
      end
    end
    slot.dead = false
    worker.entry = slot
    co_yield(WAIT)
    slot.dead = true
    if wave then
      wave.live = wave.live - 1
      slot.wave = nil
    end
    local answered = slot.woken == ANSWERED
    if slot.timer then
      slot.timer:close()
    elseif answered then
      slot.woken = false
      worker.slot = slot
      if slot.plain then return true, nil, true end
      local err, value, matched = slot.err, slot.value, slot.matched
      slot.plain, slot.err, slot.value, slot.matched = true, nil, nil, nil
      return true, err, value, matched
    end
    if slot.plain then return answered, nil, answered or nil end
    return answered, slot.err, slot.value, slot.matched
  end

  ---Whether a call that must wait may do so here.
  ---@return boolean
  function scheduler.can_wait()
    return mode() ~= nil
  end

  ---Counts answers that the core owes, so that a wait for one is never taken for a deadlock.
  function scheduler.hold(by)
    held = held + by
  end

  ---Answers that the core owes.
  ---@return integer
  function scheduler.owed()
    return held
  end

  ---Whether something is to run at the next turn.
  ---@return boolean
  function scheduler.is_ready()
    return first <= last
  end

  ---Sets the core's alarm once more: its functions are others from now on.
  function scheduler.set_alarm_again()
    if alarm_at then core.alarm(math.max(alarm_at - core.mono(), 0)) end
  end

  -- tasks ----------------------------------------------------------------------------------------------------------

  local function spawn(background, fn, ...)
    local task = setmetatable({ state = "ready", ended = scheduler.waiter() }, Task)
    task.start = { task = task, fn = fn, args = table.pack(...) }
    if not background then count_in(task) end
    push(task.start)
    return task
  end

  ---Starts fn(...) as a task at the loop's next turn.
  ---@param fn function
  ---@return inner_universe.Task
  function scheduler.spawn(fn, ...)
    check.type(fn, "callable", 1, "spawn", "fn")
    local task = spawn(false, fn, ...)
    return task
  end

  ---The same for work that goes on beside the program: iu.run does not wait for it.
  function scheduler.spawn_background(fn, ...)
    check.type(fn, "callable", 1, "spawn", "fn")
    local task = spawn(true, fn, ...)
    return task
  end

  ---What the task returned; `nil, err` when it raised, was cancelled, or did not end in `timeout` seconds.
  ---@param timeout? number seconds
  function Task:wait(timeout)
    check.optional(timeout, "number", 1, "wait", "timeout")
    self.claimed = true
    local results = table.pack(wait(self.ended, timeout, 2, "task"))
    if self.results then return table.unpack(self.results, 1, self.results.n) end
    if self.err then return nil, self.err end
    self.claimed = nil
    return table.unpack(results, 1, results.n)
  end

  ---Ends the task at its present wait (at its next one when it is running): its to-be-closed variables are closed, nothing else of it runs.
  ---@return boolean ended false when it had ended before
  function Task:cancel()
    if self.results or self.err then return false end
    local worker = self.worker
    if not worker then
      self.start.dead = true
      self.err = errors.new("PersistenceError", "the task was cancelled", { code = "CANCELLED" })
      settle(self, "cancelled")
    elseif coroutine.status(worker.co) == "suspended" then
      kill(worker)
    else
      worker.cancel = true
    end
    return true
  end

  ---@return "ready"|"running"|"waiting"|"done"|"failed"|"cancelled"
  function Task:status()
    local entry = self.state == "running" and self.worker.entry
    return entry and not entry.ready and "waiting" or self.state
  end

  function Task:is_done()
    return self.results ~= nil or self.err ~= nil
  end

  Task.__close = Task.cancel

  ---@class inner_universe.EndHandle
  local EndHandle = { __name = "inner_universe.EndHandle" }
  EndHandle.__index = EndHandle

  ---It is not called any more.
  function EndHandle:cancel()
    local list = self.worker and self.worker.at_end
    self.worker = nil
    for i = list and #list or 0, 1, -1 do
      if list[i] == self then table.remove(list, i) end
    end
  end

  ---Calls fn() when the running task, or callback, is over: returned, raised or cancelled, after its variables are closed. fn may not wait. A handle with
  ---cancel(); nil where no task runs.
  ---@param fn fun()
  ---@return inner_universe.EndHandle?
  function scheduler.at_end(fn)
    check.type(fn, "callable", 1, "at_end", "fn")
    local worker = current
    if not worker then return nil end
    local handle = setmetatable({ worker = worker, fn = fn }, EndHandle)
    worker.at_end = worker.at_end or {}
    table.insert(worker.at_end, handle)
    return handle
  end

  ---Runs a callback now, in a pooled coroutine, up to its end or first wait. What it raises is reported.
  function scheduler.call(fn, ...)
    resume(take_worker(nil), nil, fn, ...)
  end

  ---Runs `job(run, turn)` in pooled coroutines, one after another, until it sets `run.over`: where one waits or raises (what it raises is reported),
  ---the next goes on. A job sets `run.began` first; it stops when it comes back from foreign code and `run.turn` is not its `turn` any more. `skip()`
  ---is called when one could not begin.
  function scheduler.relay(run, job, skip)
    run.turn = 0
    repeat
      run.turn, run.began = run.turn + 1, false
      resume(take_worker(nil), nil, job, run, run.turn)
      if not run.began then skip() end
    until run.over
  end

  ---@param seconds number
  function scheduler.sleep(seconds)
    check.type(seconds, "number", 1, "sleep", "seconds")
    local how, why = mode()
    if not how then error(why, 2) end
    wait(scheduler.waiter(), math.min(seconds, NO_LIMIT - 1), 2)
  end

  ---One turn of the loop for programs with a frame loop: delivers what has come, runs what is ready, does not wait.
  ---@param budget_ms? number stop between callbacks or tasks when so much time is over
  ---@return boolean more true when something is left that could go on at once: rows to be told, tasks
  function scheduler.step(budget_ms)
    check.optional(budget_ms, "number", 1, "step", "budget_ms")
    if current or turning or core.loop_turning() then error("iu.step cannot be called while the loop is turning or in a task", 2) end
    local deadline = budget_ms and core.mono() + budget_ms / 1000
    core.set_deadline(budget_ms and budget_ms / 1000 or math.huge)
    local ok, err = pcall(guarded, turn_once, 0, deadline)
    core.set_deadline(nil)
    if not ok then error(err, 0) end
    return first <= last or core.loop_ready ~= nil and core.loop_ready()
  end

  -- run ------------------------------------------------------------------------------------------------------------

  local function cancel_all()
    local keys = {}
    for key in pairs(alive) do
      keys[#keys + 1] = key
    end
    for _, key in ipairs(keys) do
      if getmetatable(key) == Task then
        key.claimed = true
        key:cancel()
      elseif alive[key] then
        kill(key)
      end
    end
  end

  local function raise(raised, trace)
    if type(raised) == "string" and trace then raised = raised .. "\n" .. trace end
    error(raised, 0)
  end

  local function first_lost(failures)
    for _, task in ipairs(failures) do
      if not task.claimed then return task end
    end
  end

  ---Runs fn(...) as a task and turns the loop until it and every spawned task have ended; returns what fn returned.
  ---When fn raises, the other tasks are cancelled and iu.run raises the same (a text with the task's traceback added). Without an
  ---error handler, the error of a task nobody waited for is raised at the end.
  ---@param fn function
  function scheduler.run(fn, ...)
    check.type(fn, "callable", 1, "run", "fn")
    if current then error("iu.run cannot be called in a task (call the function, or use iu.spawn)", 2) end
    if turning or core.loop_turning() then error("iu.run cannot be called while the loop is turning", 2) end
    unclaimed = {}
    local main = spawn(false, fn, ...)
    main.claimed = true
    local ok, ended = pcall(turn_until, function()
      return alive_count == 0 or main.state == "failed"
    end)
    local failures = unclaimed
    unclaimed = nil
    if not ok then error(ended, 0) end
    if main.state == "failed" then
      cancel_all()
      raise(main.raised, main.trace)
    end
    if not ended then
      local count = alive_count
      cancel_all()
      error(("deadlock: %d task%s for something that can no longer come"):format(count, count == 1 and " waits" or "s wait"), 2)
    end
    local lost = first_lost(failures)
    if lost and not scheduler.has_handler() then raise(lost.raised, lost.trace) end
    if main.err then raise(main.err) end
    return table.unpack(main.results, 1, main.results.n)
  end

  ---Replaced by the runtime: whether somebody listens to `report`.
  function scheduler.has_handler()
    return true
  end

  return scheduler
end

return tasks
