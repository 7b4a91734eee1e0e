-- flights.lua: values that are being computed: one task computes, the others that want the key wait for it. What comes of it (a value, nothing, an error) goes
-- to all who wait; where the one that computes is cancelled, the next one computes.

local iu = require "inner_universe"

local flights = {}

---@param ctx table
---@param waits number seconds
function flights.new(ctx, waits)
  local self = { under_way = 0, raised = 0 } -- raised: computations that ended so
  local by_key = {}
  local waits_for = setmetatable({}, { __mode = "k" }) -- which flight a coroutine waits for

  --- What is being computed for the key, or nil.
  function self.find(key) return by_key[key] end

  --- The key changes: what is being computed for it goes to those who wait by now, and is not kept; who comes later computes anew.
  function self.detach(key)
    local flight = by_key[key]
    if flight then
      flight.detached = true
      by_key[key] = nil
    end
  end

  function self.detach_all()
    for key in pairs(by_key) do self.detach(key) end
  end

  local function land(flight, outcome)
    if by_key[flight.key] == flight then by_key[flight.key] = nil end
    self.under_way = self.under_way - 1
    flight.waiter:resolve(outcome)
  end

  --- Computes: `fn()`'s results, and `keep(value)` (an entry, or nil and an err) in between, which is given what is to be kept unless the key changed
  --- meanwhile. A raise is heard by those who wait as an err, and raised on.
  ---@param key string
  ---@param fn fun(): any, any
  ---@param keep fun(value: any, detached: boolean): table?, inner_universe.Error?
  ---@return any value, inner_universe.Error? err
  function self.compute(key, fn, keep)
    local flight = { key = key, waiter = ctx.waiter(), thread = coroutine.running() }
    by_key[key] = flight
    self.under_way = self.under_way + 1
    local outcome
    local landing <close> = setmetatable({}, {
      __close = function(_, raised)
        if raised ~= nil then self.raised = self.raised + 1 end
        if not outcome then outcome = raised ~= nil and { err = iu.errors.from(raised) } or { again = true } end
        land(flight, outcome)
      end,
    })
    local value, err = fn()
    if value == nil and err ~= nil then
      outcome = { err = iu.errors.from(err) }
      return nil, landing and outcome.err
    end
    local entry
    entry, err = keep(value, flight.detached or false)
    outcome = entry and { entry = entry } or { err = err }
    if not entry then return nil, err end
    return value
  end

  -- What keeps this coroutine from waiting for a flight: that who computes it waits, himself or by way of others, for what this one computes. Else nil.
  local function circle(flight)
    local me, link, by_way_of = coroutine.running(), flight, ""
    while link do
      if link.thread == me then
        return iu.errors.new("ConflictError", ("get_or_compute: '%s' is computed from itself%s"):format(link.key, by_way_of))
      end
      by_way_of = ("%s%s'%s'"):format(by_way_of, by_way_of == "" and ", by way of " or ", ", link.key)
      link = waits_for[link.thread]
    end
  end

  --- Waits for a flight: { entry }, { err } or { again = true }.
  ---@return table
  function self.await(flight, timeout)
    local err = circle(flight)
    if err then return { err = err } end
    timeout = timeout or waits
    local me = coroutine.running()
    waits_for[me] = flight
    local waiting <close> = setmetatable({}, { __close = function() waits_for[me] = nil end }) -- cancelled, too
    local outcome
    outcome, err = flight.waiter:wait(timeout)
    if outcome then return outcome end
    if iu.errors.is(err, "TimeoutError") then
      err = iu.errors.wrap("TimeoutError", ("get_or_compute: '%s' is still being computed after %g s"):format(flight.key, timeout), err)
    end
    return waiting and { err = err }
  end

  return self
end

return flights
