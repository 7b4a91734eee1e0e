-- consumer_record.lua: what is stored of a durable consumer, and how it changes. Pure: no connection, no clock.
--
-- Two rows hold it. The cursor (event_cursor) is a sequence: all up to it is done with. The record (plugin_record `event_bus.consumer:<name>`, JSON) is about
-- what lies behind it:
--   reach     the last sequence that anybody has claimed or passed over
--   done      ranges [from, to] between cursor and reach that are done with
--   claims    who works at what: { id, member, from, to, until }; `until`: microseconds, its lease
--   attempts  by sequence: { n = deliveries begun, due = not before, failure = the last one }; without an entry what lies up to reach was begun once
--   removed   true: the consumer is given up, and holds back nothing
-- What lies up to reach and is neither done nor claimed is a hole: to be delivered again. Each change is written with the revision of the record and the
-- cursor that it was made from, so a member whose claim was taken from it can change nothing.

local iu = require "inner_universe"

local record = { PREFIX = "event_bus.consumer:" }

--- Nothing claimed yet behind that cursor.
function record.new(cursor)
  return { cursor = cursor, reach = cursor, done = {}, claims = {}, attempts = {} }
end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- The record as text.
function record.encode(state)
  local attempts = iu.array {}
  for i, sequence in ipairs(sorted(state.attempts)) do
    local entry = state.attempts[sequence]
    attempts[i] = { sequence = sequence, n = entry.n, due = entry.due, failure = entry.failure }
  end
  return iu.json.encode { reach = state.reach, done = iu.array(state.done), claims = iu.array(state.claims), attempts = attempts, removed = state.removed }
end

--- The state of a cursor and a record's text.
---@return table?
---@return inner_universe.Error? err
function record.decode(text, cursor, key)
  local value, err = iu.json.decode(text)
  local whole = type(value) == "table" and math.type(value.reach) == "integer"
  for _, part in ipairs { "done", "claims", "attempts" } do whole = whole and type(value[part]) == "table" end
  if not whole then return nil, iu.errors.new("StorageError", ("record %s is none of a consumer"):format(key), { cause = err }) end
  local attempts = {}
  for _, entry in ipairs(value.attempts) do attempts[entry.sequence] = { n = entry.n, due = entry.due, failure = entry.failure } end
  return { cursor = cursor, reach = math.max(value.reach, cursor), done = value.done, claims = value.claims, attempts = attempts, removed = value.removed }
end

--- A copy to change; the entries of `attempts` and `claims` are replaced, never changed.
function record.copy(state)
  local out = { cursor = state.cursor, reach = state.reach, done = {}, claims = table.move(state.claims, 1, #state.claims, 1, {}), attempts = {} }
  for i, range in ipairs(state.done) do out.done[i] = { range[1], range[2] } end
  for sequence, entry in pairs(state.attempts) do out.attempts[sequence] = entry end
  return out
end

--- A range that is done with; the cursor goes on over what is done.
function record.finish(state, from, to)
  if from <= state.cursor + 1 and #state.done == 0 and next(state.attempts) == nil then -- as nearly always
    state.cursor = math.max(state.cursor, to)
    state.reach = math.max(state.reach, to)
    return
  end
  local merged, placed = {}, false
  for _, range in ipairs(state.done) do
    if range[2] + 1 < from then
      merged[#merged + 1] = range
    elseif to + 1 < range[1] then
      if not placed then
        merged[#merged + 1], placed = { from, to }, true
      end
      merged[#merged + 1] = range
    else
      from, to = math.min(from, range[1]), math.max(to, range[2])
    end
  end
  if not placed then merged[#merged + 1] = { from, to } end
  while merged[1] and merged[1][1] <= state.cursor + 1 do
    state.cursor = math.max(state.cursor, merged[1][2])
    table.remove(merged, 1)
  end
  state.done = merged
  state.reach = math.max(state.reach, state.cursor)
  for sequence in pairs(state.attempts) do
    if sequence <= state.cursor or sequence >= from and sequence <= to then state.attempts[sequence] = nil end
  end
end

--- Whether that sequence is done with.
function record.is_done(state, sequence)
  if sequence <= state.cursor then return true end
  for _, range in ipairs(state.done) do
    if sequence >= range[1] and sequence <= range[2] then return true end
  end
  return false
end

--- How many events wait for another attempt.
function record.count(state)
  local count = 0
  for _ in pairs(state.attempts) do count = count + 1 end
  return count
end

--- The place of a claim among the claims, or nil: it was taken over.
function record.find(state, id)
  for i, claim in ipairs(state.claims) do
    if claim.id == id then return i end
  end
end

--- The holes: { from, to } each, in order.
function record.holes(state)
  local taken = table.move(state.done, 1, #state.done, 1, {})
  for _, claim in ipairs(state.claims) do taken[#taken + 1] = { claim.from, claim.to } end
  table.sort(taken, function(a, b) return a[1] < b[1] end)
  local holes, at = {}, state.cursor + 1
  for _, range in ipairs(taken) do
    if range[1] > at then holes[#holes + 1] = { at, range[1] - 1 } end
    at = math.max(at, range[2] + 1)
  end
  if at <= state.reach then holes[#holes + 1] = { at, state.reach } end
  return holes
end

return record
