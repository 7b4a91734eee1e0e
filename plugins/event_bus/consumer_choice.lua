-- consumer_choice.lua: what a member of a consumer works at next: an event that was begun before and did not end, or a batch that nobody has begun.
--
-- Holes come first, the lowest first: one event at a time, so that one that kills its process is found; what was begun max_attempts times becomes a dead letter
-- here. Without `group` nothing is chosen while another claim stands, or a failed event waits for its time.

local iu = require "inner_universe"

local plugin = ...
local record = plugin.load "consumer_record"
local claims = plugin.load "consumer_claim"

local POLL = 1.0            -- seconds between two looks at what other members do
local PASSED_MAX = 1000     -- events of other topics that are passed over before that is stored
local MICRO = 1000000
local LETTER_BYTES = #record.PREFIX + 1 -- of a dead letter's source, at least

---@param ctx table
---@param env table { feed, message }
return function(ctx, env)
  local feed, message = env.feed, env.message

  -- Its own dead letter, or one that another consumer wrote because it failed at that: two that fail at everything would write for ever.
  local function is_own_letter(self, row)
    local source, own = row.source, self.store.source
    if source == own then return true end
    if source:sub(1, #record.PREFIX) ~= record.PREFIX then return false end
    local letter = iu.json.decode(row.data)
    while type(letter) == "table" and type(letter.event) == "table" do
      if letter.event.source == own then return true end
      letter = letter.event.data
    end
    return false
  end

  -- Rows that are meant, behind `after`, and how far that goes.
  local function read(self, after, up_to, limit)
    local rows, at = {}, after
    while #rows < limit and at < up_to do
      local found, covered = self.reader:read(at, up_to, limit - #rows)
      if not found then return nil, covered end
      for _, row in ipairs(found) do
        if #rows == limit then
          covered = rows[limit].sequence
          break
        end
        if #row.source < LETTER_BYTES or not is_own_letter(self, row) then rows[#rows + 1] = row end
      end
      at = covered
      if #rows == 0 and at - after >= PASSED_MAX then break end -- the others' turn
    end
    return rows, at
  end

  local function begin(self, draft, from, to, rows, attempt, solo)
    local claim = claims.new(self, iu.uuid(), from, to, rows, attempt, solo)
    draft.claims[#draft.claims + 1] = { id = claim.id, member = ctx.conn:connection_id(), from = from, to = to, ["until"] = claim:renew() }
    return claim
  end

  local function crashed(entry)
    local failure = entry and entry.failure
    return iu.errors.new("PersistenceError", "its consumer ended while it handled the event, or took longer than ack_timeout", {
      code = "CRASHED", cause = failure and message.to_failure(failure) or nil,
    })
  end

  -- In one hole: a claim; or nil and when to look again (microseconds; nil: nothing is left of it).
  local function in_hole(self, draft, hole, operations, buried, now)
    local from, earliest = hole[1], nil
    while from <= hole[2] do
      local rows, covered = read(self, from - 1, hole[2], 1)
      if not rows then return nil, nil, covered end
      local row = rows[1]
      if not row then
        record.finish(draft, from, covered)
        draft.dirty = true
        from = covered + 1
      else
        local entry = draft.attempts[row.sequence]
        local n, due = entry and entry.n or 1, entry and entry.due or 0
        if n >= self.max_attempts then
          local failure = crashed(entry)
          operations[#operations + 1] = self:dead_letter(row, failure, n)
          buried[#buried + 1] = { row, failure }
          record.finish(draft, from, row.sequence)
          draft.dirty = true
        elseif due > now then
          earliest = math.min(earliest or due, due)
          if self.ordered then return nil, earliest end
        else
          local claim = begin(self, draft, from, row.sequence, rows, n + 1, true)
          draft.attempts[row.sequence] = { n = n + 1, due = 0, failure = entry and entry.failure }
          return claim
        end
        from = row.sequence + 1
      end
    end
    return nil, earliest
  end

  -- Behind all that was claimed: a claim, or nil.
  local function fresh(self, draft)
    local from = math.max(draft.reach, draft.cursor)
    local limit = self.max_attempts == 1 and 1 or self.batch
    local start = self.passed_from == from and math.max(from, self.scanned) or from
    local rows, covered = read(self, start, feed.last(), limit)
    if not rows then return nil, covered end
    self.scanned, self.passed_from = covered, #rows == 0 and from or nil
    if #rows == 0 then
      if covered - from >= PASSED_MAX and #draft.claims == 0 then
        record.finish(draft, from + 1, covered)
        draft.reach, draft.dirty = math.max(draft.reach, covered), true
      end
      return nil, nil, covered < feed.last()
    end
    local claim = begin(self, draft, from + 1, covered, rows, 1, false)
    draft.reach = covered
    return claim
  end

  local function seconds(from, to)
    return to and math.max(0.001, (to - from) / MICRO)
  end

  -- What to work at next: a claim; or nil and for how many seconds to wait (nil: for news); or nil, nil and an err.
  return function(self, draft, operations, buried)
    local now = iu.now()
    if self.ordered and #draft.claims > 0 then
      return nil, math.min(POLL, seconds(now, draft.claims[1]["until"]))
    end
    local earliest
    for _, hole in ipairs(record.holes(draft)) do
      local claim, due, err = in_hole(self, draft, hole, operations, buried, now)
      if claim or err then return claim, nil, err end
      if due then earliest = math.min(earliest or due, due) end
      if due and self.ordered then return nil, seconds(now, due) end
    end
    if record.count(draft) >= ctx.config.waiting_max then return nil, POLL end
    local claim, err, more = fresh(self, draft)
    if claim or err then return claim, nil, err end
    if more then return nil, 0 end
    local wait = seconds(now, earliest)
    if #draft.claims > 0 then wait = math.min(wait or POLL, POLL) end
    return nil, wait
  end
end
