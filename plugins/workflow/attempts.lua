-- attempts.lua: a function of the user's is run until it succeeds, as often as its policy allows. What became of it is recorded: a failed attempt too,
-- with the time of the next one, so that neither the count nor the pause is forgotten by a crash. An attempt that the process did not survive is
-- not counted.
--
-- What it is: { key, title, number, retry, timeout, state (the record so far, or nil), record = fields of the record that say what it is, told = event
-- types of its ends (done, failed), fn, argument, transaction }. A plain fn(argument) runs, then its record is written: at least once. With
-- `transaction` fn(tx, argument) runs, and its writes and its record are one transaction: exactly once.

local iu = require "inner_universe"

local plugin = ...
local definitions = plugin.load "definitions"
local records = plugin.load "records"

---@param env { ctx: table, holding: table, pausing: table, config: table }
return function(env)
  local ctx, holding, pausing = env.ctx, env.holding, env.pausing
  local attempts = {}

  -- What a function that may raise or answer nil, err has come to: true, value or nil, err.
  local function outcome(ok, value, err)
    if not ok then return nil, iu.errors.from(value) end
    if value == nil and err ~= nil then return nil, iu.errors.from(err) end
    return true, value
  end

  local function call(run, what, ...)
    local fn = what.fn
    run.busy = what.title
    local ok, value, err
    if what.timeout then
      local arguments = table.pack(...)
      local task <close> = ctx.spawn(function() return pcall(fn, table.unpack(arguments, 1, arguments.n)) end)
      ok, value, err = task:wait(what.timeout)
      if not task:is_done() then
        ok, value = false, iu.errors.new("TimeoutError", ("%s: not done within %g s"):format(what.title, what.timeout))
      elseif ok == nil then -- the task itself was cancelled
        ok = false
      end
    else
      ok, value, err = pcall(fn, ...)
    end
    run.busy = nil
    return outcome(ok, value, err)
  end

  local function text_of(what, fields)
    local record = { at = iu.now() }
    for key, value in pairs(what.record) do record[key] = value end
    for key, value in pairs(fields) do record[key] = value end
    return iu.json.encode(record)
  end

  -- The record of a success; nil, ValidationError for a result that cannot be one. Nobody asks for that of a compensation.
  local function success(what, count, value)
    if what.record.kind == "undo" then
      value = nil
    elseif value ~= nil then
      local ok, err = records.bounded(value, "the result of " .. what.title, env.config.bytes_max)
      if not ok then return nil, err end
    end
    return text_of(what, { state = "done", attempts = count, result = value })
  end

  local function event(run, what, state, count, err)
    return { { type = what.told[state], data = {
      id = run.id, workflow = run.state.name, step = what.record.name, number = what.number, attempts = count, error = err,
    } } }
  end

  -- Writes what happened. Never returns where the run is lost.
  local function must(run, writes)
    local ok = holding.commit(run, writes)
    if not ok then pausing.leave(run) end
  end

  attempts.must = must

  -- The third of what it gives is true where fn did what it does, but has no result that can be recorded.
  local function try_plain(run, what, count)
    local ok, value = call(run, what, what.argument)
    if not ok then return nil, value end
    local text, err = success(what, count, value)
    if not text then return nil, err, true end
    must(run, { records = { [what.key] = text }, events = event(run, what, "done", count) })
    return text
  end

  local function try_transaction(run, what, count)
    local text
    local writes = { events = event(run, what, "done", count) }
    function writes.write(tx)
      local ok, value = call(run, what, tx, what.argument)
      if not ok then return nil, value end
      local err
      text, err = success(what, count, value)
      if not text then return nil, err end
      writes.records = { [what.key] = text }
      return true
    end
    local ok, err, lost = holding.commit(run, writes)
    if lost then pausing.leave(run) end
    run.busy = nil
    if not ok then return nil, err end
    return text
  end

  --- The text of the record that says how it ended: state "done" or "failed". A failed one has `done` where fn ran to its end and only its result was refused.
  ---@return string text
  function attempts.run(run, what)
    local count = what.state and what.state.attempts or 0
    if what.state and what.state.next_at then pausing.pause(run, what.state.next_at) end
    while true do
      pausing.heed(run)
      count = count + 1
      local text, err, done = (what.transaction and try_transaction or try_plain)(run, what, count)
      if text then return text end
      local packed = records.pack_error(err)
      if done or count >= what.retry.max_attempts or not definitions.is_retryable(err) then
        text = assert(text_of(what, { state = "failed", attempts = count, error = packed, done = done }))
        must(run, { records = { [what.key] = text }, events = event(run, what, "failed", count, packed) })
        return text
      end
      local next_at = iu.now() + math.ceil(definitions.delay(what.retry, count) * 1e6)
      must(run, { records = { [what.key] = assert(text_of(what, { state = "retrying", attempts = count, error = packed, next_at = next_at })) } })
      pausing.pause(run, next_at)
    end
  end

  return attempts
end
