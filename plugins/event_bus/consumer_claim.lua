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

--- consumer: what commits (commit, transaction) and has the limits. attempts: by place. solo: one that was begun before.
function claims.new(consumer, id, from, to, rows, attempts, solo)
  return setmetatable({
    consumer = consumer, id = id, from = from, to = to, rows = rows, attempts = attempts, solo = solo, status = {}, failures = {}, due = {}, started = {},
    next_place = 1, lease = 0,
  }, Claim)
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

local function answered(self, place, ok, err)
  if self.wake then self.wake:resolve(true) end
  if ok then return true end
  if self.lost then return nil, gone(self, place) end
  return nil, err
end

function Claim:ack(place)
  if self.status[place] == "acked" and not self.lost then return self.consumer:commit(self) end
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
  local attempt = self.attempts[place]
  self.status[place], self.failures[place] = "failed", failure
  self.due[place] = iu.now() + math.floor((delay or consumer:delay_after(attempt)) * MICRO)
  consumer:note_failure(self.rows[place], failure, attempt)
end

function Claim:nack(place, failure, delay)
  local ok, err = self:may_end(place)
  if not ok then return nil, err end
  if failure == nil then failure = iu.errors.new("PersistenceError", "not acknowledged by its handler", { code = "NACK" }) end
  if type(failure) == "string" then failure = iu.errors.new("PersistenceError", failure, { code = "NACK" }) end
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
  local last = self.from - 1
  for place = 1, #self.rows do
    if self.status[place] or self.started[place] then last = end_of(self, place) end
  end
  draft.reach = math.max(last, draft.cursor)
  return true
end

local function settle_open(self, draft, place)
  local sequence = self.rows[place].sequence
  local before = draft.attempts[sequence]
  local begun = self.started[place] and self.attempts[place] or self.attempts[place] - 1
  draft.attempts[sequence] = { n = begun, due = 0, failure = before and before.failure }
end

local function settle_failed(self, draft, place, low, high, operations)
  local row, consumer, attempt = self.rows[place], self.consumer, self.attempts[place]
  if attempt < consumer.max_attempts then
    draft.attempts[row.sequence] = { n = attempt, due = self.due[place], failure = consumer.store.short_failure(self.failures[place]) }
    return false
  end
  operations[#operations + 1] = consumer:dead_letter(row, self.failures[place], attempt)
  record.finish(draft, low, high)
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
  if #self.rows == 0 then record.finish(draft, self.from, self.to) end
  for place = 1, #self.rows do
    local high, status = end_of(self, place), self.status[place]
    local ended = status == "acked" or status == "dead" or record.is_done(draft, self.rows[place].sequence) -- a write whose answer nobody heard
    if ended then
      record.finish(draft, low, high)
    elseif status == "failed" then
      ended = settle_failed(self, draft, place, low, high, operations)
      if ended then dying[#dying + 1] = place end
    elseif final and (self.started[place] or not fresh) then
      settle_open(self, draft, place)
    end
    if not ended then open = open or low end
    low = high + 1
  end
  if final then
    table.remove(draft.claims, at)
  else
    self.lease = iu.now() + math.floor(2 * self.consumer.ack_timeout * MICRO)
    draft.claims[at] = { id = self.id, member = draft.claims[at].member, from = open or self.to + 1, to = self.to, ["until"] = self.lease }
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
