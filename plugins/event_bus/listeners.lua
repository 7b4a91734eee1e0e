-- listeners.lua: the handlers of live events: which of them an event is for, how many of it run at once, what waits behind them.
--
-- Handlers of one type come first, then those of patterns, each in order of registration; an event goes to those that were there when it came. A handler runs
-- in a task of its own, up to `concurrent` of them at once; what comes meanwhile is queued, up to `queue` messages, and started in order. Where the queue is
-- full its policy says what happens:
--   wait         the handler falls behind: what comes stays in the log, and is read from there once the queue is empty. Nothing is lost but by pruning.
--   drop_oldest  the oldest queued message goes.
--   error        the new one goes, and an OverloadedError is reported.
-- A queue is worked off by one task a handler, which ends with it. `drain` waits for what runs and what is queued.

local iu = require "inner_universe"

local DRAIN_LOOK = 0.005 -- seconds between two looks of who drains

---@class inner_universe.event_bus.Listener
local Listener = { __name = "inner_universe.event_bus.Listener" }
Listener.__index = Listener

--- Ends the handler; what is queued is dropped. Again: nothing.
---@return boolean ended false when it had ended before
function Listener:cancel()
  if not self.active then return false end
  self.active = false
  self.queue, self.first, self.last = {}, 1, 0
  self.lag_from = nil
  self.remove(self)
  if self.slot then self.slot:resolve() end
  return true
end

---@return boolean
function Listener:is_active() return self.active end

--- { handled, running, queued, dropped, behind }: behind: it reads from the log what its queue had no room for.
---@return table
function Listener:stats()
  return { handled = self.handled, running = self.running, queued = self.last - self.first + 1, dropped = self.dropped, behind = self.lag_from ~= nil }
end

Listener.__close = Listener.cancel

---@param ctx table
---@param topics table topics.lua
---@param log table log.lua
---@param message table message.lua
---@param head fun(): integer the last event that was told
return function(ctx, topics, log, message, head)
  local listeners = {}
  local exact, patterns = {}, {} -- arrays of listeners, copied when they change
  local running = {} -- what runs now: token -> true
  local stopped = false

  local Running = {
    __close = function(token)
      local listener = token.listener
      running[token] = nil
      listener.running = listener.running - 1
      if listener.slot then listener.slot:resolve() end
    end,
  }

  local function run(listener, what)
    local token <close> = setmetatable({ listener = listener, co = coroutine.running() }, Running)
    running[token] = true
    listener.running, listener.handled = listener.running + 1, listener.handled + 1
    listener.fn(what)
  end

  local function decode(row)
    local what, err = message.of_row(row)
    if not what then ctx.report(err, "event_bus: " .. row.event_type) end
    return what
  end

  local function take(listener)
    local row = listener.queue[listener.first]
    listener.queue[listener.first] = nil
    listener.first = listener.first + 1
    return row
  end

  -- The rows that the queue had no room for, into it again; true when it goes on.
  local function catch_up(listener)
    local rows, covered = listener.reader:read(listener.lag_from, head(), math.max(1, listener.queue_max))
    if not listener.active then return false end
    if not rows then
      ctx.log.warn("a handler of %s did not catch up: %s", listener.what, covered.message)
      iu.sleep(0.5)
      return listener.active
    end
    for _, row in ipairs(rows) do
      listener.last = listener.last + 1
      listener.queue[listener.last] = row
    end
    listener.lag_from = covered < head() and covered or nil
    return true
  end

  local function pump(listener)
    while listener.active do
      if listener.running >= listener.concurrent then
        listener.slot = ctx.waiter()
        listener.slot:wait()
        listener.slot = nil
      elseif listener.first <= listener.last then
        local what = decode(take(listener))
        if what then ctx.call_handler(run, listener, what) end
      elseif not listener.lag_from or not catch_up(listener) then
        break
      end
    end
    listener.pumping = false
  end

  local function overflow(listener, row)
    if listener.policy == "wait" then
      listener.lag_from = row.sequence - 1
      return false
    end
    listener.dropped = listener.dropped + 1
    if listener.policy == "drop_oldest" and listener.queue_max > 0 then
      take(listener)
      return true
    end
    if listener.policy == "error" then
      ctx.report(iu.errors.new("OverloadedError", ("event %s (%s): %d messages wait for its handler already"):format(row.event_id, row.event_type,
        listener.queue_max), { details = { event_id = row.event_id, sequence = row.sequence } }), "handler of " .. listener.what)
    end
    return false
  end

  local function put_behind(listener, row)
    if listener.lag_from then return end
    if listener.last - listener.first + 1 < listener.queue_max or overflow(listener, row) then
      listener.last = listener.last + 1
      listener.queue[listener.last] = row
    end
    if not listener.pumping then
      listener.pumping = true
      ctx.spawn(pump, listener)
    end
  end

  local function passes(listener, row)
    if not listener.filters then return true end
    local rows, err = topics.passing(ctx.conn, listener.filters, { row })
    if rows then return rows[1] ~= nil end
    ctx.report(err, "filters of a handler of " .. listener.what)
    return false
  end

  -- The message is made for the first one that takes it, and shared.
  local function offer(list, row, what)
    for _, listener in ipairs(list) do
      if listener.active and (listener.is_exact or listener.topics:match(row.event_type)) and passes(listener, row) then
        if listener.running < listener.concurrent and not listener.pumping then
          if what == nil then what = decode(row) or false end
          if what then ctx.call_handler(run, listener, what) end
        else
          put_behind(listener, row)
        end
      end
    end
    return what
  end

  --- A row of the log to all whom it concerns.
  function listeners.offer(row)
    if stopped then return end
    local named, others = exact[row.event_type], patterns
    local what
    if named then what = offer(named, row) end
    if others[1] then offer(others, row, what) end
  end

  local function without(list, listener)
    local out = {}
    for _, each in ipairs(list) do
      if each ~= listener then out[#out + 1] = each end
    end
    return out
  end

  local function remove(listener)
    if listener.is_exact then
      local list = without(exact[listener.topics.exact], listener)
      exact[listener.topics.exact] = #list > 0 and list or nil
    else
      patterns = without(patterns, listener)
    end
  end

  --- settings: { topics, filters, concurrent, queue, policy, what }, all checked.
  ---@return inner_universe.event_bus.Listener
  function listeners.add(settings, fn)
    local listener = setmetatable({
      topics = settings.topics, filters = settings.filters, concurrent = settings.concurrent, queue_max = settings.queue, policy = settings.policy,
      what = settings.what, fn = fn, is_exact = settings.topics.exact ~= nil, active = true, running = 0, handled = 0, dropped = 0, queue = {}, first = 1,
      last = 0, pumping = false, remove = remove, reader = log.reader(settings.topics, settings.filters),
    }, Listener)
    if listener.is_exact then
      local list = exact[listener.topics.exact] or {}
      list = table.move(list, 1, #list, 1, {})
      list[#list + 1] = listener
      exact[listener.topics.exact] = list
    else
      patterns = table.move(patterns, 1, #patterns, 1, {})
      patterns[#patterns + 1] = listener
    end
    return listener
  end

  local function each(fn)
    for _, list in pairs(exact) do
      for _, listener in ipairs(list) do fn(listener) end
    end
    for _, listener in ipairs(patterns) do fn(listener) end
  end

  --- The log ended there for a while: who is behind reads what came then, too.
  function listeners.rewind(sequence)
    each(function(listener)
      if listener.lag_from then listener.lag_from = math.min(listener.lag_from, sequence) end
    end)
  end

  local function busy(own)
    for token in pairs(running) do
      if token.co ~= own then return true end
    end
    local found = false
    each(function(listener) found = found or listener.pumping end)
    return found
  end

  --- Waits until no handler runs and nothing is queued, but what the caller itself runs in.
  ---@param deadline number of ctx.clock()
  ---@return boolean drained
  function listeners.drain(deadline)
    local own = coroutine.running()
    while busy(own) do
      local left = deadline - ctx.clock()
      if left <= 0 or not ctx.can_wait() then return false end
      iu.sleep(math.min(left, DRAIN_LOOK))
    end
    return true
  end

  --- From here on nothing new is offered.
  function listeners.stop() stopped = true end

  function listeners.clear()
    each(function(listener) listener:cancel() end)
  end

  --- { handlers, running, queued, dropped, behind } of all together.
  function listeners.stats()
    local out = { handlers = 0, running = 0, queued = 0, dropped = 0, behind = 0 }
    each(function(listener)
      out.handlers = out.handlers + 1
      out.running, out.queued = out.running + listener.running, out.queued + listener.last - listener.first + 1
      out.dropped, out.behind = out.dropped + listener.dropped, out.behind + (listener.lag_from and 1 or 0)
    end)
    return out
  end

  return listeners
end
