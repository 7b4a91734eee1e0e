-- consumer_claim.lua: the events that a member of a consumer works at: which of them have ended and how, and what that makes of the stored state.
--
-- A claim is a range of sequences with the rows in it that are meant. What is between them belongs to the row behind it, what is behind the last one to that.
-- Each place ends once: acked, failed, or dead (a dead letter that is stored). `settle` lays this over a state; it is called for each try to write, so it
-- changes nothing else.

local iu = require "inner_universe"

local plugin = ...
local record = plugin.load "consumer_record"

local MICRO = 1000000

---@class inner_universe.event_bus.Claim
local Claim = {}
Claim.__index = Claim

local claims = {}

--- consumer: what commits (commit, transaction) and has the limits. attempt: which one it is, of all its events. solo: one that was begun before.
function claims.new(consumer, id, from, to, rows, attempt, solo)
  return setmetatable({
    consumer = consumer, id = id, from = from, to = to, rows = rows, attempt = attempt, solo = solo, status = {}, failures = {}, due = {},
    next_place = 1, renew_at = 0,
  }, Claim)
end

--- Its lease begins anew: two ack_timeouts, renewed before an event that would have less than one of them. Until when, in microseconds.
function Claim:renew()
  local timeout = self.consumer.ack_timeout
  self.renew_at = self.consumer.clock() + timeout
  return iu.now() + math.floor(2 * timeout * MICRO)
end

local function gone(self, place)
  return iu.errors.new("ConflictError", ("event %s: it is not held any more by this member of %s: its time was over"):format(self.rows[place].event_id,
    self.consumer.name), { code = "LOST" })
end

function Claim:may_end(place)
  if self.status[place] then
    return nil, iu.errors.new("ConflictError", ("event %s: its delivery has ended already (%s)"):format(self.rows[place].event_id, self.status[place]))
  end
  if self.lost or self.closed then return nil, gone(self, place) end
  return true
end

--- Wakes who waits for the claim's end: something has changed.
function Claim:signal()
  if self.wake then self.wake:resolve(true) end
end

local function answered(self, place, ok, err)
  self:signal()
  if ok then return true end
  if self.lost then return nil, gone(self, place) end
  return nil, err
end

function Claim:ack(place)
  if self.status[place] == "acked" and self.unsure ~= place and not self.lost then return self.consumer:commit(self) end
  local ok, err = self:may_end(place)
  if not ok then return nil, err end
  self.status[place] = "acked"
  ok, err = self.consumer:commit(self)
  if not ok and not self.closed then self.status[place] = nil end
  return answered(self, place, ok, err)
end

function Claim:ack_with(place, operations)
  local ok, err = self:may_end(place)
  if not ok then return nil, err end
  return answered(self, place, self.consumer:commit_with(self, place, operations))
end

function Claim:transaction(place, fn)
  local ok, err = self:may_end(place)
  if not ok then return nil, err end
  local results = table.pack(self.consumer:transaction(self, place, fn))
  ok, err = answered(self, place, results[1] ~= nil or results[2] == nil, results[2])
  if not ok then return nil, err end
  return table.unpack(results, 1, results.n)
end

--- A place that counts as acknowledged while it is being stored: closed without `confirm`, it does not.
function Claim:tentative(place)
  if not place then return nil end
  self.status[place] = "acked"
  self.unsure = place
  return setmetatable({}, { __close = function()
    if self.unsure then
      self.status[place], self.unsure = nil, nil
    end
  end })
end

function Claim:confirm() self.unsure = nil end

--- Notes that a place has failed; stored with the next commit.
function Claim:fail(place, failure, delay)
  local consumer = self.consumer
  local attempt = self.attempt
  self.status[place], self.failures[place] = "failed", failure
  self.due[place] = iu.now() + math.floor((delay or consumer:delay_after(attempt)) * MICRO)
  consumer:note_failure(self.rows[place], failure, attempt)
end

function Claim:nack(place, failure, delay)
  local ok, err = self:may_end(place)
  if not ok then return nil, err end
  if failure == nil then failure = "not acknowledged by its handler" end
  if not iu.errors.is(failure) then
    local text = iu.errors.from(failure).message
    failure = iu.errors.new("PersistenceError", text, { code = "NACK", cause = type(failure) ~= "string" and failure or nil })
  end
  self:fail(place, failure, delay)
  return answered(self, place, self.consumer:commit(self))
end

--- Whether every place has ended.
function Claim:is_through()
  for place = 1, #self.rows do
    if not self.status[place] then return false end
  end
  return true
end

-- The sequence where the part of a place ends.
local function end_of(self, place)
  return place == #self.rows and self.to or self.rows[place].sequence
end

-- Where nothing behind them was claimed, events that were not begun are taken back as if nobody had come to them.
local function take_back(self, draft)
  if self.solo or draft.reach ~= self.to then return false end
  local begun = self.next_place - 1
  draft.reach = math.max(begun > 0 and end_of(self, begun) or self.from - 1, draft.cursor)
  return true
end

local function settle_open(self, draft, place)
  local sequence = self.rows[place].sequence
  local before = draft.attempts[sequence]
  local begun = place < self.next_place and self.attempt or self.attempt - 1
  draft.attempts[sequence] = { n = begun, due = 0, failure = before and before.failure }
end

local function settle_failed(self, draft, place, operations)
  local row, consumer, attempt = self.rows[place], self.consumer, self.attempt
  if attempt < consumer.max_attempts then
    draft.attempts[row.sequence] = { n = attempt, due = self.due[place], failure = consumer.store.short_failure(self.failures[place]) }
    return false
  end
  operations[#operations + 1] = consumer:dead_letter(row, self.failures[place], attempt)
  return true
end

--- Lays what has ended over a draft of the state. final: the claim is given back, and what has not ended with it; else its lease begins anew. operations: dead
--- letters are added. The places that become dead once it is stored, or nil: the claim was taken over.
---@return integer[]? dying
function Claim:settle(draft, final, operations)
  local at = record.find(draft, self.id)
  if not at then return nil end
  local low, open, dying = self.from, nil, {}
  local fresh = final and take_back(self, draft)
  local run -- where a run of ended places begins
  for place = 1, #self.rows do
    local status = self.status[place]
    local ended = status == "acked" or status == "dead" or record.is_done(draft, self.rows[place].sequence) -- a write whose answer nobody heard
    if not ended and status == "failed" then
      ended = settle_failed(self, draft, place, operations)
      if ended then dying[#dying + 1] = place end
    elseif not ended and final and (place < self.next_place or not fresh) then
      settle_open(self, draft, place)
    end
    if ended then
      run = run or low
    else
      if run then record.finish(draft, run, low - 1) end
      run, open = nil, open or low
    end
    low = end_of(self, place) + 1
  end
  if run then record.finish(draft, run, self.to) end
  if final then
    table.remove(draft.claims, at)
  else
    draft.claims[at] = { id = self.id, member = draft.claims[at].member, from = open or self.to + 1, to = self.to, ["until"] = self:renew() }
  end
  return dying
end

--- Stored: what was to become a dead letter is one.
function Claim:buried(dying)
  for _, place in ipairs(dying) do
    self.status[place] = "dead"
    self.consumer:note_dead(self.rows[place], self.failures[place])
  end
end

return claims
