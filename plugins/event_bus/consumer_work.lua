-- consumer_work.lua: a claim handed to the handler, event by event, in a task of its own, until all has ended or its time is over.
--
-- A handler that takes longer than `ack_timeout` is cancelled at its present wait, and the event has failed; one that never waits cannot be cancelled. Before
-- an event begins, at least ack_timeout is left of the claim's lease: it is renewed, with what has ended so far stored. With `manual` the claim ends when
-- every event has been acknowledged or refused.

local iu = require "inner_universe"

local plugin = ...
local delivery = plugin.load "delivery"

local TURN = 0.001 -- seconds; then the others have theirs, also where no handler waits

---@param ctx table
---@param env table { lock }
return function(ctx, env)
  local lock, clock, new_delivery = env.lock, ctx.clock, delivery.new

  -- On the embedded engine a claim is on disk before its handler runs where that decides whether a killed process makes progress: one that was begun before,
  -- and the first one behind such, or of this process. Others may be lost with the last milliseconds, and are claimed again.
  local function make_sure(self, claim)
    if ctx.settings.backend == "spacetimedb" or ctx.settings.durability ~= "normal" then return end
    if claim.solo or not self.sure then ctx.conn:flush() end
    self.sure = not claim.solo
  end

  local function handle(self, claim, place)
    local status = claim.status
    local fine, value, err = pcall(self.fn, new_delivery(claim.rows[place], claim, place, claim.attempt, self.name))
    claim.current = nil
    if status[place] or claim.lost then return end
    if not fine then
      claim:fail(place, iu.errors.from(value))
    elseif value == nil and err ~= nil then
      claim:fail(place, iu.errors.from(err))
    elseif not self.manual then
      status[place] = "acked"
    end
  end

  -- Hands over what is left of a claim, in a task of its own.
  local function run(self, claim)
    local co = coroutine.running()
    local _ <close> = setmetatable({}, { __close = function()
      if claim.co == co then claim.co = nil end -- another task may run in it now
      claim:signal()
    end })
    local counts, ordered = self.counts, self.ordered
    claim.co = co
    local turn = clock() -- when the others had theirs
    for place = claim.next_place, #claim.rows do
      local now = clock()
      if now - turn > TURN then
        coroutine.yield()
        turn = clock()
        now = turn
      end
      if self.stopping or claim.lost then return end
      if now >= claim.renew_at and not self:commit(claim) then return end
      claim.next_place, claim.current, claim.since = place + 1, place, now
      if claim.times then claim.times[place] = now end
      counts.handled = counts.handled + 1
      handle(self, claim, place)
      if ordered and claim.status[place] ~= "acked" and claim.status[place] then return end
    end
  end

  local function time_out(self, claim, place)
    claim:fail(place, iu.errors.new("TimeoutError", ("not acknowledged within %g s"):format(self.ack_timeout)))
  end

  -- Waits until all that was handed over has ended, or its time is over.
  local function await_acks(self, claim)
    while true do
      local now, first = ctx.clock(), nil
      for place = 1, #claim.rows do
        local began = claim.times[place]
        if began and not claim.status[place] then
          if now - began >= self.ack_timeout then
            time_out(self, claim, place)
          else
            first = math.min(first or began, began)
          end
        end
      end
      if not first or claim.lost then return end
      local left = first + self.ack_timeout - now
      if self.stop_at then left = math.min(left, self.stop_at - now) end
      if left <= 0 then return end
      claim.wake = ctx.waiter()
      claim.wake:wait(left)
      claim.wake = nil
    end
  end

  return function(self, claim)
    make_sure(self, claim)
    if self.manual then claim.times = {} end
    local _ <close> = lock(self.gate)
    local runner = ctx.spawn(run, self, claim)
    local _ <close> = setmetatable({}, { __close = function() runner:cancel() end })
    while not runner:is_done() do
      local now = ctx.clock()
      local place = claim.current
      local left = self.ack_timeout - (place and now - claim.since or 0)
      if self.stop_at then left = math.min(left, self.stop_at - now) end
      if left > 0 then
        claim.wake = ctx.waiter()
        claim.wake:wait(left)
        claim.wake = nil
      elseif self.stop_at and now >= self.stop_at then
        break
      else
        runner:cancel()
        claim.current = nil
        if not claim.status[place] then time_out(self, claim, place) end
        if self.ordered then break end
        runner = ctx.spawn(run, self, claim)
      end
    end
    if runner:status() == "failed" then ctx.report(select(2, runner:wait(0)), "consumer " .. self.name) end
    if self.manual then await_acks(self, claim) end
    claim.closed = true
  end
end
