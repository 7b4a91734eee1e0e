-- catalog.lua: runs as users see them: found by id, listed, waited for.

local iu = require "inner_universe"

local plugin = ...
local records = plugin.load "records"

local STATUSES = { pending = true, running = true, waiting = true, compensating = true, stuck = true, completed = true, failed = true, cancelled = true }
local ENDED = { completed = true, failed = true, cancelled = true }
local LIST_OPTIONS = { status = "string", name = "string", limit = "integer" }
local LIMIT = 100
local AWAY = 0.25 -- seconds between two looks while the server is away

---@param env { ctx: table, holding: table, is_stopped: fun(): boolean }
return function(env)
  local ctx = env.ctx
  local catalog = {}
  local waiters = {} -- uid -> { [waiter] = true }

  local function invalid(format, ...)
    return nil, iu.errors.new("ValidationError", format:format(...))
  end

  local function decoded(table_key)
    local row, err = ctx.conn:get("plugin_record", table_key)
    if not row then return nil, err end
    return records.decode(row)
  end

  --- { uid, name, version, input, at } of a run; EntityNotFoundError.
  function catalog.begun(id)
    local begun, err = decoded(records.run_key(id))
    if begun or err then return begun, err end
    return nil, iu.errors.new("EntityNotFoundError", ("workflow run not found: %s"):format(#id <= 80 and id or id:sub(1, 80) .. "..."))
  end

  --- The state of a run that has not ended, or the done row's value: one of both; nil, nil between the two.
  ---@return table? live, table? done, inner_universe.Error? err
  function catalog.state(uid)
    local live, err = decoded(records.live_key(uid))
    if live or err then return live, nil, err end
    local done
    done, err = decoded(records.done_key(uid))
    return nil, done, err
  end

  local function error_of(packed) return packed and records.unpack_error(packed) or nil end

  local function failures_of(list)
    if not list then return nil end
    local out = {}
    for i, each in ipairs(list) do out[i] = { step = each.step, number = each.number, error = records.unpack_error(each.error) } end
    return out
  end

  -- What list and get tell of it.
  local function summary(uid, state, ended)
    local out = {
      id = state.id, uid = uid, name = state.name, version = state.version, status = state.status, created_at = state.at, started_at = state.started_at,
      finished_at = state.finished_at, taken = state.taken or 0, holder = state.holder, wake_at = state.wake_at, waiting_for = state.waiting_for,
      error = error_of(state.status == "stuck" and state.stuck or state.error), compensated = state.compensated, failures = failures_of(state.failures),
    }
    if ended then out.output = state.output end
    return out
  end

  local function steps_of(uid)
    local steps = {}
    local function add(kind, put)
      local rows, err = records.select(ctx.conn, kind, uid)
      if not rows then return nil, err end
      for _, row in ipairs(rows) do
        local record, why = records.decode(row)
        if not record then return nil, why end
        put(math.tointeger(tonumber(row.key:match("%d+$"))), record)
      end
      return true
    end
    local by_number = {}
    local ok, err = add("step", function(n, record)
      local step = {
        number = n, kind = record.kind, name = record.name, nth = record.nth, state = record.state or "done", attempts = record.attempts, at = record.at,
        result = record.result, payload = record.payload, wake_at = record.wake_at, next_at = record.next_at, error = error_of(record.error),
      }
      steps[#steps + 1], by_number[n] = step, step
    end)
    if not ok then return nil, err end
    ok, err = add("undo", function(n, record)
      if by_number[n] then
        by_number[n].compensation = { state = record.state, attempts = record.attempts, at = record.at, error = error_of(record.error) }
      end
    end)
    if not ok then return nil, err end
    return steps
  end

  --- Everything about a run.
  ---@return table?, inner_universe.Error?
  function catalog.get(id)
    local begun, err = catalog.begun(id)
    if not begun then return nil, err end
    local live, done, why = catalog.state(begun.uid)
    if not live and not done then return nil, why or select(2, catalog.begun(id)) end
    local out = summary(begun.uid, live or done, done ~= nil)
    out.input = begun.input
    out.steps, err = steps_of(begun.uid)
    if not out.steps then return nil, err end
    return out
  end

  --- Summaries, the youngest first.
  ---@return table[]?, inner_universe.Error?
  function catalog.list(options)
    local ok, err = ctx.check.options("list", options, LIST_OPTIONS)
    if not ok then return nil, err end
    local status, name, limit = options.status, options.name, options.limit or LIMIT
    if status and not STATUSES[status] then
      return invalid("list: status: expected pending, running, waiting, compensating, stuck, completed, failed or cancelled, got %s", status)
    end
    local out = {}
    local function add(kind, at_most)
      local rows, why = records.select(ctx.conn, kind, nil, true, at_most)
      if not rows then return nil, why end
      for _, row in ipairs(rows) do
        local state
        state, why = records.decode(row)
        if not state then return nil, why end
        if (not status or state.status == status) and (not name or state.name == name) then
          out[#out + 1] = summary(row.key:match("[^:]+$"), state, kind == "done")
        end
      end
      return true
    end
    local at_most = not status and not name and limit or nil
    if not ENDED[status] then ok, err = add("live", at_most) end
    if ok and (not status or ENDED[status]) then ok, err = add("done", at_most) end
    if not ok then return nil, err end
    table.sort(out, function(a, b) return a.uid > b.uid end)
    for i = #out, limit + 1, -1 do out[i] = nil end
    return out
  end

  -- ---- waiting ----

  --- Wakes those who wait for that run: it has ended, or got stuck.
  function catalog.wake(uid)
    local list = waiters[uid]
    waiters[uid] = nil
    for waiter in pairs(list or {}) do waiter:resolve(true) end
  end

  function catalog.stop()
    for uid in pairs(waiters) do catalog.wake(uid) end
  end

  -- What a run came to: true, its output; true, nil, its error. false: nothing yet.
  local function outcome(id, live, done)
    if live then
      if live.status ~= "stuck" then return false end
      return true, nil, error_of(live.stuck)
    end
    if done.status == "completed" then return true, done.output == nil and true or done.output end
    if done.status == "failed" then return true, nil, error_of(done.error) end
    return true, nil, iu.errors.new("PersistenceError", ("workflow run %s was cancelled"):format(id), { code = "CANCELLED" })
  end

  local function is_away(err) return err ~= nil and err.kind == "ConnectionError" and err.retryable end

  -- One look: over, output, failure; or false, nil, and why it could not be looked.
  local function look(id, uid)
    local live, done, why = catalog.state(uid)
    if why or env.holding.get(uid) then return false, nil, why end -- an end that was told may not be on disk yet: who writes it knows
    if not live and not done then return false end
    return outcome(id, live, done)
  end

  --- The output of a run when it has ended (true where it has none), or nil and its error. A server that is away is waited for.
  function catalog.wait(id, timeout)
    local ends = timeout and ctx.clock() + timeout
    local begun, err = catalog.begun(id)
    while not begun and is_away(err) and (not ends or ctx.clock() < ends) do
      iu.sleep(AWAY)
      begun, err = catalog.begun(id)
    end
    if not begun then return nil, err end
    local uid = begun.uid
    while true do
      local waiter = ctx.waiter()
      waiters[uid] = waiters[uid] or {}
      waiters[uid][waiter] = true
      local _ <close> = setmetatable({}, { __close = function()
        if waiters[uid] then waiters[uid][waiter] = nil end
      end })
      local over, output, failure = look(id, uid)
      if over then return output, failure end
      if failure and not is_away(failure) then return nil, failure end
      local left = ends and math.max(ends - ctx.clock(), 0)
      local woken, why = waiter:wait(failure and math.min(left or AWAY, AWAY) or left)
      if env.is_stopped() then return nil, iu.errors.new("ConnectionError", "workflow is closed", { code = "CLOSED", retryable = false }) end
      if not woken and not iu.errors.is(why, "TimeoutError") then return nil, why end
      if not woken and ends and ctx.clock() >= ends then
        return nil, failure or iu.errors.new("TimeoutError", ("wait: run %s: not ended within %g s"):format(id, timeout))
      end
    end
  end

  return catalog
end
