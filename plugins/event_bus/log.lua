-- log.lua: the event log read back, a page at a time and by sequence: never the whole log, on a server neither.
--
-- Sequences have no gaps but where events were pruned. On the embedded engine a page is a walk along the index of sequences. A server's SQL has no ORDER BY, so
-- there it is a range of sequences, which grows while little is found in it and shrinks where much is; the head comes from `event_head`.
-- Rows that were read or told last are kept (`tail_events`, `tail_bytes`), so that several consumers at the same place read them once. Rows are shared: nobody
-- changes them.

local iu = require "inner_universe"

local PAGE = 256          -- rows of a page
local PAGE_MIN = 16       -- and of one that is kept already, where only some of the rows are meant
local SPAN_MAX = 65536    -- sequences of one range asked of a server
local SCAN_SPAN = 4096    -- sequences of one range where a condition decides: about a millisecond of the embedded engine's
local ROW_BYTES = 256     -- what a kept row takes beside its data
local HEAD = 0            -- the row of event_head that counts events

local BEYOND = 1 << 62

---@param ctx table
---@param topics table topics.lua
return function(ctx, topics)
  local log = { PAGE = PAGE }

  -- ---- what was read last ----

  local kept, order, first, last, bytes = {}, {}, 1, 0, 0

  --- Keeps a row for those who come to it.
  function log.remember(row)
    local sequence = row.sequence
    if kept[sequence] then return end
    last = last + 1
    kept[sequence], order[last] = row, sequence
    bytes = bytes + #row.data + ROW_BYTES
    while last - first + 1 > ctx.config.tail_events or bytes > ctx.config.tail_bytes do
      local oldest = kept[order[first]]
      bytes = bytes - #oldest.data - ROW_BYTES
      kept[order[first]], order[first] = nil, nil
      first = first + 1
    end
  end

  function log.forget()
    kept, order, first, last, bytes = {}, {}, 1, 0, 0
  end

  -- The kept rows that follow, without a gap, up to so many; the last sequence of them.
  local function kept_after(after, up_to, limit)
    local rows, count, at = {}, 0, after
    while count < limit and at < up_to do
      local row = kept[at + 1]
      if not row then break end
      count, at = count + 1, at + 1
      rows[count] = row
    end
    return rows, at
  end

  -- ---- reading ----

  --- The log's head: the last event's sequence, events that are there, bytes of their rows.
  ---@return { sequence: integer, count: integer, bytes: integer }?
  ---@return inner_universe.Error? err
  function log.head()
    local head, err = ctx.conn:get("event_head", HEAD)
    if err then return nil, err end
    return head or { sequence = 0, count = 0, bytes = 0 }
  end

  local function range(after, up_to, conditions)
    local filters = { { field = "sequence", operator = "GreaterThan", value = after }, { field = "sequence", operator = "LessOrEqual", value = up_to } }
    return table.move(conditions, 1, #conditions, 3, filters)
  end

  local span = PAGE -- of the next range asked of a server

  -- One range of a server's log: rows in order, how far it went.
  local function ranged(after, up_to, limit, conditions)
    local rows, err, to
    repeat
      to = math.min(up_to, after + span)
      rows, err = ctx.conn:select("event_log", { filters = range(after, to, conditions), order_by = "sequence" })
      if rows then break end
      if err.kind ~= "OverloadedError" or span == 1 then return nil, err end
      span = math.max(1, span // 4)
    until false
    if #rows > limit then
      span = math.max(1, span // 2)
      rows = table.move(rows, 1, limit, 1, {})
      return rows, rows[limit].sequence
    end
    if #rows < limit // 4 then span = math.min(span * 2, SPAN_MAX) end
    return rows, to
  end

  local function on_server() return ctx.settings.backend == "spacetimedb" end

  -- The first `limit` of what was read; the rest is kept.
  local function cut(rows, covered, limit)
    if #rows <= limit then return rows, covered end
    return table.move(rows, 1, limit, 1, {}), rows[limit].sequence
  end

  --- The last sequence up to `at` that has the event which is kept for it, or nothing is kept for. A server that was killed may have lost its last events,
  --- and gives their sequences to others.
  ---@param at integer no later than the head
  ---@return integer?
  ---@return inner_universe.Error? err
  function log.common(at)
    local size = 1
    while at > 0 do
      local low, found = math.max(0, at - size), {}
      local read = low
      while read < at do
        local rows
        rows, read = log.page(read, at, PAGE, true)
        if not rows then return nil, read end
        for _, row in ipairs(rows) do found[row.sequence] = row.event_id end
      end
      for sequence = at, low + 1, -1 do
        if not kept[sequence] or found[sequence] == kept[sequence].event_id then return sequence end
      end
      at, size = low, PAGE
    end
    return 0
  end

  --- Rows behind `after`, at most `limit` and up to the sequence `up_to`, oldest first; and the sequence up to which none is missing: `up_to`, or the last
  --- row's.
  ---@param after integer
  ---@param up_to integer
  ---@param limit? integer
  ---@param anew? boolean what is kept is not looked at
  ---@return table[]? rows
  ---@return integer|inner_universe.Error covered
  function log.page(after, up_to, limit, anew)
    limit = limit or PAGE
    local rows, covered = kept_after(after, anew and after or up_to, limit)
    if #rows > 0 or after >= up_to then return rows, covered end
    local most = anew and limit or math.max(limit, PAGE)
    if on_server() then
      repeat
        rows, covered = ranged(after, up_to, most, {})
        if not rows then return nil, covered end
        after = covered
      until #rows > 0 or covered >= up_to
    else
      rows, covered = ctx.conn:select("event_log", { filters = range(after, up_to, {}), order_by = "sequence", limit = most })
      if not rows then return nil, covered end
      covered = #rows == most and rows[most].sequence or up_to
    end
    if not anew then
      for _, row in ipairs(rows) do log.remember(row) end
    end
    return cut(rows, covered, limit)
  end

  -- ---- those that are meant ----

  local function right_type(wanted, rows)
    local out, exact = {}, wanted.exact
    if wanted.all then return rows end
    if exact then
      for _, row in ipairs(rows) do
        if row.event_type == exact then out[#out + 1] = row end
      end
      return out
    end
    for _, row in ipairs(rows) do
      if wanted:match(row.event_type) then out[#out + 1] = row end
    end
    return out
  end

  -- A page, and of it those that are meant.
  local function from_page(self, after, up_to, limit)
    if self.share < 1 then limit = math.min(PAGE, math.max(PAGE_MIN, math.ceil(limit / self.share))) end
    local rows, covered = log.page(after, up_to, limit, self.anew)
    if not rows then return nil, covered end
    local found = right_type(self.topics, rows)
    if self.filters and #found > 0 then
      local passed, err = topics.passing(ctx.conn, self.filters, found)
      if not passed then return nil, err end
      found = passed
    end
    self.sparse = #rows > 0 and #found * 4 < #rows
    if #rows > 0 then self.share = math.max(#found / #rows, 1 / 16) end
    return found, covered
  end

  -- A range, of which only those come that are meant (or nearly so: `condition`).
  local function from_range(self, after, up_to, limit)
    local rows, covered
    if on_server() then
      rows, covered = ranged(after, up_to, limit, self.conditions)
      if not rows then return nil, covered end
    else
      local to = math.min(up_to, after + SCAN_SPAN)
      rows, covered = ctx.conn:select("event_log", { filters = range(after, to, self.conditions), order_by = "sequence", limit = limit })
      if not rows then return nil, covered end
      covered = #rows == limit and rows[limit].sequence or to
    end
    self.sparse = (covered - after) > 4 * #rows
    return right_type(self.topics, rows), covered
  end

  local Reader = {}
  Reader.__index = Reader

  --- The next of the rows that are meant, behind `after`: possibly none although there are more, and possibly more than `limit`; and how far it looked.
  ---@return table[]? rows
  ---@return integer|inner_universe.Error covered
  function Reader:read(after, up_to, limit)
    if after >= up_to then return {}, up_to end
    local sparse = self.sparse and #self.conditions > 0 and (self.anew or not kept[after + 1])
    return (sparse and from_range or from_page)(self, after, up_to, limit)
  end

  --- A reader of the events of some topics that pass some filters. anew: as they are in the log now, for those who may ask for what was pruned meanwhile.
  function log.reader(wanted, filters, anew)
    local conditions = { wanted:condition() }
    for _, filter in ipairs(filters or {}) do conditions[#conditions + 1] = filter end
    return setmetatable({ topics = wanted, filters = filters, conditions = conditions, sparse = #conditions > 0, share = 1, anew = anew or false }, Reader)
  end

  -- ---- places ----

  -- The first row from that sequence on; nil: none.
  local function first_from(sequence, up_to)
    local at = sequence - 1
    while at < up_to do
      local rows, covered = log.page(at, up_to, 1, true)
      if not rows then return nil, covered end
      if rows[1] then return rows[1] end
      at = covered
    end
  end

  --- The sequence of the first event at that time or later, by bisection; the head's plus one where there is none. The clock is taken to go forward.
  ---@param time integer microseconds
  ---@param head integer
  ---@return integer?
  ---@return inner_universe.Error? err
  function log.at_time(time, head)
    local low, high = 1, head + 1
    while low < high do
      local middle = (low + high) // 2
      local row, err = first_from(middle, head)
      if err then return nil, err end
      if not row or row.timestamp >= time then
        high = middle
      else
        low = row.sequence + 1
      end
    end
    return low
  end

  local PLACE = 'expected "start", "now", a sequence or { time = microseconds }'

  --- Whether that can be a place in a log.
  ---@return true?
  ---@return inner_universe.Error? err
  function log.check_place(place, what)
    local function refuse(format, ...) return nil, iu.errors.new("ValidationError", what .. format:format(...)) end
    if place == "start" or place == "now" or math.type(place) == "integer" and place >= 1 and place < BEYOND then return true end
    if type(place) ~= "table" then return refuse(": %s, got %s", PLACE, tostring(place)) end
    for key in pairs(place) do
      if key ~= "time" then return refuse(": unknown key '%s' (known: time)", tostring(key)) end
    end
    if math.type(place.time) == "integer" then return true end
    return refuse(".time: integer microseconds expected, got %s", tostring(place.time))
  end

  --- What a place in the log is as the sequence of the first event meant: "start", "now" (the one after the head), a sequence, or { time = microseconds }.
  ---@param place any
  ---@param what string
  ---@return integer? sequence
  ---@return inner_universe.Error? err
  function log.place(place, what)
    local ok, err = log.check_place(place, what)
    if not ok then return nil, err end
    if place == "start" then return 1 end
    if math.type(place) == "integer" then return place end
    local head
    head, err = log.head()
    if not head then return nil, err end
    if place == "now" then return head.sequence + 1 end
    return log.at_time(place.time, head.sequence)
  end

  --- The same as the sequence of the last event meant, no later than the head: of a time the last event up to it, that microsecond included.
  ---@param place any
  ---@param head integer
  ---@param what string
  ---@return integer? sequence
  ---@return inner_universe.Error? err
  function log.last_place(place, head, what)
    local sequence, err = log.place(place, what)
    if not sequence then return nil, err end
    if type(place) == "table" then
      sequence, err = log.at_time(math.min(place.time, math.maxinteger - 1) + 1, head)
      if not sequence then return nil, err end
      sequence = sequence - 1
    end
    return math.min(sequence, head)
  end

  return log
end
