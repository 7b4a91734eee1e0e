-- delivery.lua: what a consumer's handler gets: the message, and how to end it.
--
-- A delivery has the fields of a message, each delivery data of its own (decoded when it is looked at), `attempt` (1 the first time) and `consumer`, its name.
-- It ends with the first ack or nack; when the handler returns it is acknowledged where it has not ended, and where the handler raises or answers nil and an
-- err it is not.

local iu = require "inner_universe"

local plugin = ...
local message = plugin.load "message"

local DELAY_MAX = 86400 * 365 -- seconds

---@class inner_universe.event_bus.Delivery: inner_universe.Message
---@field attempt integer how often it was begun, this time included
---@field consumer string
---@field replayed? true of a replay: ack and nack are without effect
local Delivery = {}

--- Done with, and stored: true when it is. ConflictError: another member has it by now, or it has ended.
---@return true? ok
---@return inner_universe.Error? err
function Delivery:ack()
  return self.claim:ack(self.place)
end

--- Not done: to be delivered again after `delay` seconds, or a dead letter where that was the last attempt. true when that is stored.
---@param err? any why: an err or a text
---@param options? { delay?: number }
---@return true? ok
---@return inner_universe.Error? err
function Delivery:nack(err, options)
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #2 to 'nack' (options: table or nil expected, got %s)"):format(type(options)), 2)
  end
  for key, value in pairs(options or {}) do
    if key ~= "delay" then return nil, iu.errors.new("ValidationError", ("nack: unknown option '%s' (known: delay)"):format(tostring(key))) end
    if type(value) ~= "number" or not (value >= 0 and value <= DELAY_MAX) then
      return nil, iu.errors.new("ValidationError", ("nack: delay: expected seconds from 0 to %d, got %s"):format(DELAY_MAX, tostring(value)))
    end
  end
  return self.claim:nack(self.place, err, options and options.delay)
end

--- The acknowledgement and these operations of the reducer `transact` ({ tag = "CreateEntity", value = { ... } }) in one transaction: both or neither.
---@param operations table[]
---@return true? ok
---@return inner_universe.Error? err
function Delivery:ack_with(operations)
  if type(operations) ~= "table" then error(("bad argument #1 to 'ack_with' (operations: table expected, got %s)"):format(type(operations)), 2) end
  return self.claim:ack_with(self.place, operations)
end

--- manager:transaction(fn) with the acknowledgement in it: what fn writes through `tx` is applied once for this event, whatever dies.
---@param fn fun(tx: inner_universe.Transaction): ...
---@return any ...
function Delivery:transaction(fn)
  if type(fn) ~= "function" then error(("bad argument #1 to 'transaction' (fn: function expected, got %s)"):format(type(fn)), 2) end
  return self.claim:transaction(self.place, fn)
end

local metatable = {
  __name = "inner_universe.Delivery",
  __index = function(self, key)
    if key ~= "data" then return Delivery[key] end
    local data, err = message.data(rawget(self, "row"))
    if err then error(err, 0) end
    rawset(self, "data", data)
    return data
  end,
}

local delivery = {}

--- claim: who ends it (ack, nack, ack_with, transaction by place).
---@return inner_universe.event_bus.Delivery
function delivery.new(row, claim, place, attempt, consumer)
  return setmetatable({
    id = row.event_id, type = row.event_type, source = row.source ~= "" and row.source or nil, timestamp = row.timestamp, sequence = row.sequence,
    actor = row.actor, attempt = attempt, consumer = consumer, row = row, claim = claim, place = place,
  }, metatable)
end

local function without_effect() return true end

--- One of a replay.
function delivery.replayed(row, consumer)
  local self = delivery.new(row, {
    ack = without_effect, ack_with = function()
      return nil, iu.errors.new("ValidationError", "ack_with: a replayed event is not acknowledged")
    end,
    transaction = function() return nil, iu.errors.new("ValidationError", "transaction: a replayed event is not acknowledged") end,
  }, 1, 1, consumer)
  self.replayed = true
  function self.claim.nack(_, _, err)
    self.refused = err or "refused by its handler"
    return true
  end
  return self
end

return delivery
