-- consumer_methods.lua: what users call of a durable consumer: lag, wait_idle, status, stop, replay.

local iu = require "inner_universe"

local plugin = ...
local record = plugin.load "consumer_record"
local delivery = plugin.load "delivery"

local GRACE = 0.5 -- seconds, beyond its time, that a consumer has to store what has ended

local CLOSED = "event_bus is closed"

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

local function closed(format, ...)
  return nil, iu.errors.new("ConnectionError", format:format(...), { code = "CLOSED", retryable = false })
end

---@param ctx table
---@param env table { log, feed, topics, lock, holds, forget }
return function(ctx, env)
  local log, feed, lock = env.log, env.feed, env.lock

  ---@class inner_universe.event_bus.Consumer
  local public = {}

  --- How many events behind the log's head it is: those that are not done with, and those of other topics among them.
  ---@return integer? lag
  ---@return inner_universe.Error? err
  function public:lag()
    if ctx.is_closed() then ctx.check.raise(CLOSED) end
    local head, err = log.head()
    if not head then return nil, err end
    local state
    state, err = self.store.load()
    if not state then return nil, err end
    local at = state.cursor
    if #state.claims == 0 and next(state.attempts) == nil and state.reach == at and self.resting then at = math.max(at, self.scanned) end
    return math.max(0, head.sequence - at)
  end

  local function in_own_handler(self) return self.claim and self.claim.co == coroutine.running() or env.holds(self.gate) end

  --- Waits until nothing is left to do. true, or nil and a TimeoutError.
  ---@param timeout? number seconds
  ---@return true? ok
  ---@return inner_universe.Error? err
  function public:wait_idle(timeout)
    if ctx.is_closed() then ctx.check.raise(CLOSED) end
    ctx.check.optional(timeout, "number", 1, "wait_idle", "timeout")
    local ok, err = ctx.check.seconds("wait_idle", "timeout", timeout)
    if not ok then return nil, err end
    if in_own_handler(self) then return invalid("wait_idle: not in the consumer's own handler") end
    local deadline = timeout and ctx.clock() + timeout
    while true do
      if self.stopping or ctx.is_closed() then return closed("consumer %s is stopped", self.name) end
      local head
      head, err = log.head()
      if not head then return nil, err end
      if self.resting and self.wake and self.scanned >= head.sequence and not feed.is_unsure() then return true end
      self.rested = self.rested or ctx.waiter()
      ok, err = self.rested:wait(deadline and math.max(0, deadline - ctx.clock()))
      if not ok and iu.errors.is(err, "TimeoutError") then
        return nil, iu.errors.new("TimeoutError", ("consumer %s: not idle within %g s"):format(self.name, timeout))
      end
      if not ok and err then return nil, err end
    end
  end

  --- { name, cursor, lag, waiting, claims, handled, failed, dead, working, last_error }.
  ---@return table
  function public:status()
    local state = self.state
    return {
      name = self.name, cursor = state and state.cursor, lag = state and math.max(0, feed.last() - math.max(state.cursor, self.resting and self.scanned or 0)),
      waiting = state and record.count(state), claims = state and #state.claims, handled = self.counts.handled, failed = self.counts.failed,
      dead = self.counts.dead, working = self.claim ~= nil, last_error = self.last_error and tostring(self.last_error),
    }
  end

  -- In its own handler: what has ended is stored, the rest given back when the handler returns, if there is still a connection then.
  local function stop_inside(self)
    if self.claim then self:commit(self.claim) end
    return true
  end

  --- Takes up nothing new from here on.
  function public:leave(deadline)
    self.stopping, self.stop_at = true, deadline
    if self.wake then self.wake:resolve(true) end
    if self.rested then self.rested:resolve(true) end
    if self.claim then self.claim:signal() end
  end

  --- Ends it: the event at hand is finished, what has ended is stored, the rest given back. After `timeout` seconds (drain_ms) the handler is cancelled.
  ---@param timeout? number seconds
  ---@return true? ok
  ---@return inner_universe.Error? err TimeoutError: what has ended could not be stored in time
  function public:stop(timeout)
    ctx.check.optional(timeout, "number", 1, "stop", "timeout")
    local ok, err = ctx.check.seconds("stop", "timeout", timeout)
    if not ok then return nil, err end
    if self.ended:is_resolved() then return true end
    self:leave(ctx.clock() + (timeout or ctx.config.drain_ms / 1000))
    if not ctx.can_wait() then return true end
    if self.claim and self.claim.co == coroutine.running() then return stop_inside(self) end
    ok, err = self.ended:wait(math.max(0, self.stop_at - ctx.clock()) + GRACE)
    if ok then
      env.forget(self)
      return true
    end
    self.task:cancel()
    env.forget(self)
    return nil, err
  end

  public.cancel = public.stop

  --- Hands the events from one place to another (both included; a sequence, { time = microseconds }, "start", "now"; to: by default the head) to the handler
  --- again, in order and one after the other, beside all that is stored. filter: an array of filters, or a function of the message. How many; the first that
  --- fails ends it.
  ---@param from any
  ---@param to? any
  ---@param filter? table|fun(message: inner_universe.Message): any
  ---@return integer? count
  ---@return inner_universe.Error? err with details.sequence
  function public:replay(from, to, filter)
    if ctx.is_closed() then ctx.check.raise(CLOSED) end
    local kind = type(filter)
    if filter ~= nil and kind ~= "table" and kind ~= "function" then
      error(("bad argument #3 to 'replay' (filter: table or function expected, got %s)"):format(kind), 2)
    end
    if in_own_handler(self) then return invalid("replay: not in the consumer's own handler") end
    local at, err = log.place(from, "replay: from")
    if not at then return nil, err end
    local head
    head, err = log.head()
    if not head then return nil, err end
    local last = head.sequence
    if to ~= nil and to ~= "now" then
      last, err = log.last_place(to, head.sequence, "replay: to")
      if not last then return nil, err end
    end
    local filters = table.move(self.filters or {}, 1, #(self.filters or {}), 1, {})
    if kind == "table" then
      local more
      more, err = env.topics.filters(ctx.conn, filter, "replay: filter", self.topics)
      if err then return nil, err end
      table.move(more or {}, 1, #(more or {}), #filters + 1, filters)
    end
    return self:replay_rows(log.reader(self.topics, #filters > 0 and filters or nil, true), at - 1, last, kind == "function" and filter or nil)
  end

  function public:replay_rows(reader, at, last, wanted)
    local _ <close> = lock(self.gate)
    local handed = 0
    while at < last do
      if ctx.is_closed() then return closed(CLOSED) end
      local rows, covered = reader:read(at, last, log.PAGE)
      if not rows then return nil, covered end
      for _, row in ipairs(rows) do
        local each = delivery.replayed(row, self.name)
        if not wanted or wanted(each) then
          local fine, value, why = pcall(self.fn, each)
          local failure = each.refused
          if not fine then failure = iu.errors.from(value) elseif value == nil and why ~= nil then failure = why end
          if failure ~= nil then
            return nil, iu.errors.new("PersistenceError", ("replay: event %s: %s"):format(row.event_id, iu.errors.from(failure).message), {
              code = "REPLAY", cause = failure, details = { sequence = row.sequence, replayed = handed },
            })
          end
          handed = handed + 1
        end
      end
      at = covered
    end
    return handed
  end

  return public
end
