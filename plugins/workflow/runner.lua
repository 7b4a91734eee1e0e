-- runner.lua: one run, from taking it to letting go of it: its function, then the compensations where it failed or was cancelled, then its end.
--
-- Each phase is a task of its own (pausing.lua kills it to leave it); what supervises them is another one, which outlives them and writes the end. A failure is
-- written before the first compensation runs: from then on the run only goes back. Taken up in the middle of that, it replays its function through
-- the records alone, which gives the compensations again, and goes on with the first that has not been recorded.

local iu = require "inner_universe"

local plugin = ...
local records = plugin.load "records"

---@param env { ctx: table, board: table, holding: table, replay: table, attempts: table, book: table, config: table }
return function(env)
  local ctx, board, holding, replay = env.ctx, env.board, env.holding, env.replay
  local runner = {}

  local function event(run, what, more)
    local data = { id = run.id, workflow = run.state.name, version = run.state.version }
    for key, value in pairs(more or {}) do data[key] = value end
    return { { type = "WORKFLOW_" .. what, data = data } }
  end

  -- ---- what there is of it ----

  local function texts_of(kind, uid)
    local rows, err = records.select(ctx.conn, kind, uid)
    if not rows then return nil, err end
    local texts, last = {}, 0
    for _, row in ipairs(rows) do
      local n = math.tointeger(tonumber(row.key:match("%d+$")))
      texts[n], last = row.value, math.max(last, n)
    end
    return texts, last
  end

  local function load(run)
    local row, err = ctx.conn:get("plugin_record", records.run_key(run.id))
    if err then return nil, err end
    if not row then return nil, iu.errors.new("StorageError", ("run %s: its record is gone"):format(run.id)) end
    local begun
    begun, err = records.decode(row)
    if not begun then return nil, err end
    run.input = begun.input
    local last
    run.records, last = texts_of("step", run.uid)
    if not run.records then return nil, last end
    run.last = last
    run.undone, err = texts_of("undo", run.uid)
    return run.undone and true, err
  end

  -- ---- phases ----

  -- Runs fn as a task until it ends or is left. run.ending, or what fn returned.
  local function phase(run, fn)
    if run.ending then return run.ending end
    run.task = ctx.spawn(function()
      run.co = coroutine.running()
      return fn(run)
    end)
    local result, err = run.task:wait()
    run.task = nil
    if run.ending then return run.ending end
    if result then return result end
    ctx.report(err, ("workflow: run %s"):format(run.id)) -- a mistake in the plugin
    run.ending = { what = "lost", err = err } -- and it is not tried again at once
    return run.ending
  end

  local function forward(run)
    local wf = replay.new(run)
    local trace
    local ok, value, err = xpcall(run.definition.run, function(raised)
      trace = debug.traceback("", 2)
      return raised
    end, wf, run.input)
    run.over = true
    if not ok then
      err = iu.errors.from(value)
    else
      err = value == nil and err ~= nil and iu.errors.from(err) or nil
    end
    if trace then ctx.log.debug("run %s of %s raised %s%s", run.id, run.state.name, tostring(err), trace) end
    local left = replay.left_over(run, err)
    if left then return { what = "stuck", err = left } end
    if run.state.status == "compensating" then return { what = "replayed" } end
    if err then return { what = "failed", err = err } end
    if value == nil then return { what = "completed" } end
    local fits
    fits, err = records.bounded(value, "the output of workflow " .. run.state.name, env.config.bytes_max)
    if not fits then return { what = "failed", err = err } end
    return { what = "completed", output = value }
  end

  local TOLD = { done = "WORKFLOW_STEP_COMPENSATED", failed = "WORKFLOW_STEP_COMPENSATION_FAILED" }

  local function back(run)
    local gone = replay.gone(run)
    if gone then return { what = "stuck", err = gone } end
    local report = { what = "undone", count = 0, failures = {} }
    for i = #run.undo, 1, -1 do
      local step = run.undo[i]
      local text = run.undone[step.n]
      local record = text and iu.json.decode(text)
      if not record or record.state == "retrying" then
        local done = assert(iu.json.decode(step.text))
        local result = done.result
        if result == nil and done.state == "done" then result = true end
        text = env.attempts.run(run, {
          key = records.undo_key(run.uid, step.n), title = ('the compensation of step "%s"'):format(step.name), number = step.n, told = TOLD,
          retry = run.definition.compensation, timeout = run.definition.timeout, state = record, record = { kind = "undo", name = step.name },
          fn = step.fn, argument = result, transaction = step.transaction,
        })
        record = assert(iu.json.decode(text))
      end
      if record.state == "failed" then
        report.failures[#report.failures + 1] = { step = step.name, number = step.n, error = record.error }
      else
        report.count = report.count + 1
      end
    end
    return report
  end

  -- ---- ends ----

  local ENDS = { completed = "COMPLETED", failed = "FAILED", cancelled = "CANCELLED" }

  --- The text of a done row. state: of the live row.
  function runner.done_text(state, status, more)
    local done = {
      id = state.id, name = state.name, version = state.version, status = status, at = state.at, started_at = state.started_at, finished_at = iu.now(),
      taken = state.taken,
    }
    for key, value in pairs(more) do done[key] = value end
    return iu.json.encode(done)
  end

  local function finish(run, status, more)
    local text = assert(runner.done_text(run.state, status, more))
    local ok = holding.commit(run, {
      last = text, taken = board.signals(run.uid), events = event(run, ENDS[status], { error = more.error, compensated = more.compensated }),
    })
    if ok then ctx.log.debug("run %s of %s: %s", run.id, run.state.name, status) end
  end

  -- From a failure or a wish to cancel to the end. want: the status then.
  local function go_back(run, want, err)
    if run.state.status ~= "compensating" then
      if #run.undo == 0 then return finish(run, want, { error = err, calls = run.at }) end
      local state = { status = "compensating", want = want, error = err }
      if not holding.commit(run, { state = state, events = event(run, "COMPENSATING", { error = err }) }) then return end
    end
    local report = phase(run, back)
    if report.what ~= "undone" then return report end
    finish(run, run.state.want, {
      error = run.state.error, calls = run.at, undone = report.count, failures = #report.failures > 0 and report.failures or nil,
      compensated = #report.failures == 0,
    })
  end

  local function park(run, ending)
    local status = run.state.status == "compensating" and "compensating" or "waiting"
    holding.commit(run, { release = true, state = { status = status, wake_at = ending.wake_at, waiting_for = ending.waiting_for, without = { "holder" } } })
  end

  local function get_stuck(run, err)
    ctx.log.error("%s", tostring(err))
    local packed = records.pack_error(err)
    holding.commit(run, {
      release = true, state = { status = "stuck", stuck = packed, without = { "holder", "wake_at" } }, events = event(run, "STUCK", { error = packed }),
    })
  end

  local function go_forward(run)
    if board.is_cancelled(run.uid) and run.last == 0 and run.state.status ~= "compensating" then
      return finish(run, "cancelled", { calls = 0 })
    end
    local result = phase(run, forward)
    if result.what == "lost" or result.what == "stop" then return end
    run.ending = nil
    if result.what == "completed" then return finish(run, "completed", { output = result.output, calls = run.at }) end
    if result.what == "failed" then
      result = go_back(run, "failed", records.pack_error(result.err))
    elseif result.what == "cancel" or result.what == "replayed" then
      result = go_back(run, "cancelled")
    end
    if not result or result.what == "lost" or result.what == "stop" then return end
    run.ending = nil
    if result.what == "park" then return park(run, result) end
    if result.what == "stuck" then return get_stuck(run, result.err) end
  end

  --- Takes a run and works at it until it ends or waits for long. true, or nil, err where it could not be taken or read, or was lost.
  ---@return true?, inner_universe.Error?
  function runner.work(row, definition)
    local run, err = holding.claim(row)
    if not run then return nil, err end
    run.definition = definition
    local _ <close> = setmetatable({}, { __close = function() holding.drop(run) end })
    local ok
    ok, err = load(run)
    if not ok then return nil, err end
    go_forward(run)
    if run.ending and run.ending.what == "lost" then return nil, run.ending.err end
    return true
  end

  --- Ends all work here. On a server others may go on at once: the leases are given back, where there may be waited for it.
  function runner.stop()
    local runs = {}
    for _, run in holding.each() do runs[#runs + 1] = run end
    for _, run in ipairs(runs) do
      run.ending = run.ending or { what = "stop" }
      if run.task then run.task:cancel() end
    end
    if not env.shared or not ctx.can_wait() then return end
    for _, run in ipairs(runs) do
      local status = run.state.status == "compensating" and "compensating" or "pending"
      if run.ending.what == "stop" then holding.commit(run, { release = true, state = { status = status, without = { "holder" } } }) end
    end
  end

  return runner
end
