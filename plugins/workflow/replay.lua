-- replay.lua: `wf`, what a workflow's function is given. Each call of it has the next number; what is recorded under that number is answered without
-- running anything, what is not is done and recorded.
--
-- The function is run from its beginning each time the run is taken up, so it must come to the same calls in the same order. A call that is not what is
-- recorded under its number, a number that is skipped, and a function that ends while there are records left make the run `stuck` (ConflictError, code
-- NONDETERMINISTIC): nothing is run. wf:uuid and wf:random are not recorded: they follow from the run's uid and the number.

local iu = require "inner_universe"

local plugin = ...
local definitions = plugin.load "definitions"
local records = plugin.load "records"

local STEP_OPTIONS = { retry = "table", timeout = "number", compensate = "callable" }
local SECONDS_MAX = 1e9 -- of a sleep or a wait

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

local function shown(kind, name, nth)
  if not name then return "wf:" .. kind end
  return ('wf:%s "%s"%s'):format(kind, name, nth and nth > 1 and (" (#%d)"):format(nth) or "")
end

---@param env { ctx: table, board: table, holding: table, pausing: table, attempts: table, config: table }
return function(env)
  local check, pausing, attempts = env.ctx.check, env.pausing, env.attempts

  local function nondeterministic(run, format, ...)
    local message = ("workflow %s, run %s: %s"):format(run.state.name, run.id, format:format(...))
    return iu.errors.new("ConflictError", message, { code = "NONDETERMINISTIC", retryable = false, details = { number = run.at, recorded = run.last } })
  end

  local function stuck(run, format, ...)
    pausing.leave(run, { what = "stuck", err = nondeterministic(run, format, ...) })
  end

  -- The next number; what is recorded under it, decoded, or nil: then nothing is, and it may be done now.
  local function arrive(run, kind, name, derived)
    if run.over then error(("wf:%s called after the workflow's function has ended"):format(kind), 3) end
    if run.busy then error(("wf:%s called inside of %s"):format(kind, run.busy), 3) end
    if coroutine.running() ~= run.co then error(("wf:%s called in another coroutine than the workflow's own"):format(kind), 3) end
    run.at = run.at + 1
    local n = run.at
    if n > env.config.steps_max then
      local message = ("run %s: more than %d calls of wf (steps_max)"):format(run.id, env.config.steps_max)
      error(iu.errors.new("OverloadedError", message, { retryable = false }), 0)
    end
    local nth
    if name then
      local key = kind .. " " .. name
      nth = (run.names[key] or 0) + 1
      run.names[key] = nth
    end
    local text = run.records[n]
    if not text then
      if n < run.last and not derived then
        stuck(run, "call %d is %s, but nothing is recorded there, and %d calls are recorded", n, shown(kind, name, nth), run.last)
      end
      return n, nil, nth
    end
    local record = iu.json.decode(text)
    if type(record) ~= "table" then stuck(run, "the record of call %d is damaged", n) end
    if record.kind ~= kind or record.name ~= name then
      stuck(run, "call %d is recorded as %s, the code has %s there", n, shown(record.kind, record.name, record.nth), shown(kind, name, nth))
    end
    return n, record, nth
  end

  -- What is not recorded is only done by a run that goes forward.
  local function begin(run)
    if run.state.status == "compensating" then pausing.leave(run, { what = "replayed" }) end
    pausing.heed(run)
  end

  local function write(run, n, record, more)
    record.at = iu.now()
    local text = assert(iu.json.encode(record))
    local writes = more or {}
    writes.records = { [records.step_key(run.uid, n)] = text }
    attempts.must(run, writes)
    return text
  end

  ---@class inner_universe.Workflow
  ---@field id string the run's id
  ---@field name string
  ---@field version integer
  local Wf = {}

  local runs = setmetatable({}, { __mode = "k" }) -- wf -> run

  -- Steps ----------------------------------------------------------------------------------------------------------

  local function finished(run, n, text, what)
    local record = assert(iu.json.decode(text))
    if what.compensate and (record.state == "done" or record.done) then
      run.undo[#run.undo + 1] = { n = n, name = record.name, text = text, fn = what.compensate, transaction = what.transaction }
    end
    if record.state == "failed" then return nil, records.unpack_error(record.error) end
    if record.result == nil then return true end
    return record.result
  end

  local function check_step(run, method, name, options)
    local ok, err = definitions.check_name(method .. ": name", name)
    if ok then ok, err = check.options(method, options, STEP_OPTIONS) end
    if not ok then return nil, err end
    return definitions.retry(check, method, options and options.retry, "retry", run.definition.retry)
  end

  local function step(run, kind, n, record, nth, name, fn, options, retry)
    options = options or {}
    local what = {
      key = records.step_key(run.uid, n), title = ('step "%s"'):format(name), retry = retry, timeout = options.timeout or run.definition.timeout,
      state = record, record = { kind = kind, name = name, nth = nth }, number = n,
      told = { done = "WORKFLOW_STEP_COMPLETED", failed = "WORKFLOW_STEP_FAILED" },
      fn = fn, transaction = kind == "transaction", compensate = options.compensate,
    }
    if record and record.state ~= "retrying" then return finished(run, n, run.records[n], what) end
    begin(run)
    local text = attempts.run(run, what)
    return finished(run, n, text, what)
  end

  -- wf:step and wf:transaction.
  local function stepper(kind)
    return function(self, name, fn, options)
      check.type(name, "string", 1, kind, "name")
      check.type(fn, "callable", 2, kind, "fn")
      check.optional(options, "table", 3, kind, "options")
      local run = runs[self]
      local retry, err = check_step(run, kind, name, options)
      if not retry then return nil, err end
      local n, record, nth = arrive(run, kind, name)
      return step(run, kind, n, record, nth, name, fn, options, retry)
    end
  end

  --- Runs fn() and records its result, or gives the recorded one. fn may run again when the process dies before the record is written: at least once.
  --- Its first result, as JSON gives it back (true where it returned nothing), or nil and its error when it raised or returned nil and an error, and
  --- is not tried again.
  ---@type fun(self: inner_universe.Workflow, name: string, fn: (fun(): any, any), options?: table): any, inner_universe.Error?
  Wf.step = stepper("step")

  --- Runs fn(tx) as manager:transaction does; its writes and the step's record apply together, exactly once. fn itself may run more than once, so
  --- it does nothing that is not in tx. compensate(tx, result) is such a transaction, too.
  ---@type fun(self: inner_universe.Workflow, name: string, fn: (fun(tx: inner_universe.Transaction): any, any), options?: table): any, inner_universe.Error?
  Wf.transaction = stepper("transaction")

  -- Timers and signals ---------------------------------------------------------------------------------------------

  local function sleep_until(run, n, record, time)
    if not record then
      begin(run)
      record = { kind = "sleep", wake_at = time }
      write(run, n, record)
    end
    -- Whatever the clock says: a timer behind which something is recorded has rung.
    if n >= run.last and run.state.status ~= "compensating" then pausing.pause(run, record.wake_at) end
    return true
  end

  --- Waits. The time is recorded: a run that is taken up again waits for what is left of it.
  ---@param seconds number
  ---@return true? ok
  ---@return inner_universe.Error? err
  function Wf:sleep(seconds)
    check.type(seconds, "number", 1, "sleep", "seconds")
    if not (seconds >= 0 and seconds <= SECONDS_MAX) then
      return invalid("sleep: seconds: expected a number from 0 to %g, got %s", SECONDS_MAX, tostring(seconds))
    end
    local n, record = arrive(runs[self], "sleep")
    return sleep_until(runs[self], n, record, iu.now() + math.ceil(seconds * 1e6))
  end

  --- Waits until a time, in microseconds since the epoch. It may be over.
  ---@param time integer
  ---@return true? ok
  function Wf:sleep_until(time)
    check.type(time, "integer", 1, "sleep_until", "time")
    local n, record = arrive(runs[self], "sleep")
    return sleep_until(runs[self], n, record, math.max(time, 0)) -- whatever was before 1970 is over; what is left of it can be counted
  end

  local function signal_result(text)
    local record = assert(iu.json.decode(text))
    if record.state == "late" then return nil, records.unpack_error(record.error) end
    if record.payload == nil then return true end
    return record.payload
  end

  local function take_signal(run, n, nth, name, record, timeout)
    begin(run)
    local deadline = record and record.deadline
    if timeout and not deadline then
      deadline = iu.now() + math.ceil(timeout * 1e6)
      write(run, n, { kind = "signal", name = name, nth = nth, state = "waiting", deadline = deadline })
    end
    local signal = pausing.pause(run, deadline, function() return env.board.signal(run.uid, name) end, name)
    if signal then
      return write(run, n, { kind = "signal", name = name, nth = nth, state = "done", payload = signal.payload }, { taken = { signal } })
    end
    local err = iu.errors.new("TimeoutError", ('signal "%s": none came within %g s'):format(name, timeout or 0))
    return write(run, n, { kind = "signal", name = name, nth = nth, state = "late", error = records.pack_error(err) })
  end

  --- The payload of the oldest signal of that name that was sent to this run and not taken yet (true where it has none); waits for one. With a
  --- timeout in seconds nil and a TimeoutError when none came.
  ---@param name string
  ---@param timeout? number
  ---@return any payload
  ---@return inner_universe.Error? err
  function Wf:wait_signal(name, timeout)
    check.type(name, "string", 1, "wait_signal", "name")
    check.optional(timeout, "number", 2, "wait_signal", "timeout")
    local ok, err = definitions.check_name("wait_signal: name", name)
    if not ok then return nil, err end
    if timeout and not (timeout >= 0 and timeout <= SECONDS_MAX) then
      return invalid("wait_signal: timeout: expected a number from 0 to %g, got %s", SECONDS_MAX, tostring(timeout))
    end
    local run = runs[self]
    local n, record, nth = arrive(run, "signal", name)
    if record and record.state ~= "waiting" then return signal_result(run.records[n]) end
    return signal_result(take_signal(run, n, nth, name, record, timeout))
  end

  -- What is the same each time -------------------------------------------------------------------------------------

  --- The time of the first time that this call was come to, in microseconds since the epoch: recorded.
  ---@return integer
  function Wf:now()
    local run = runs[self]
    local n, record = arrive(run, "now")
    if record then return record.value end
    begin(run)
    local value = iu.now()
    write(run, n, { kind = "now", value = value })
    return value
  end

  local function derived(run, kind)
    local n = arrive(run, kind, nil, true)
    return assert(iu.json.hash(iu.array { run.uid, n }))
  end

  --- A UUID (version 8) of the run's and this call's own: good as a key with which others recognise what is repeated.
  ---@return string
  function Wf:uuid()
    local hex = derived(runs[self], "uuid")
    local variant = ("%x"):format(8 + tonumber(hex:sub(17, 17), 16) % 4)
    return ("%s-%s-8%s-%s%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16), variant, hex:sub(18, 20), hex:sub(21, 32))
  end

  --- As math.random, the same each time that the run comes here.
  ---@param low? integer
  ---@param high? integer
  ---@return number
  function Wf:random(low, high)
    check.optional(low, "integer", 1, "random", "low")
    check.optional(high, "integer", 2, "random", "high")
    if low and not high then low, high = 1, low end
    if low and low > high then check.raise(("bad argument to 'random' (interval is empty: %d to %d)"):format(low, high)) end
    if low and high - low < 0 then check.raise(("bad argument to 'random' (interval is too wide: %d to %d)"):format(low, high)) end
    local bits = tonumber(derived(runs[self], "random"):sub(1, 16), 16)
    if not low then return (bits >> 11) * 2.0 ^ -53 end
    if high - low == math.maxinteger then return low + (bits >> 1) end
    return low + (bits >> 1) % (high - low + 1)
  end

  Wf.__index, Wf.__name = Wf, "inner_universe.Workflow"

  local replay = {}

  --- wf for a run: run.records are the texts of its steps by number, run.last the highest of them.
  function replay.new(run)
    local wf = setmetatable({ id = run.id, name = run.state.name, version = run.state.version }, Wf)
    runs[wf] = run
    run.at, run.names, run.undo, run.over, run.busy = 0, {}, {}, false, nil
    return wf
  end

  --- The err of a compensation that was begun, and that the code does not give any more; nil: there is none.
  function replay.gone(run)
    local given = {}
    for _, each in ipairs(run.undo) do given[each.n] = true end
    for n, text in pairs(run.undone) do
      local record = not given[n] and iu.json.decode(text)
      if record and record.state == "retrying" then
        return nondeterministic(run, 'the compensation of call %d, %s, is recorded as begun, the code has none', n, shown("step", record.name))
      end
    end
  end

  --- The err of a function that has ended before its records have; nil: it has not.
  function replay.left_over(run, raised)
    if run.at >= run.last then return nil end
    local err = nondeterministic(run, "the function ended at call %d, %d are recorded", run.at, run.last)
    if raised then err = iu.errors.new("ConflictError", err.message, { code = err.code, retryable = false, details = err.details, cause = raised }) end
    return err
  end

  return replay
end
