-- consumer.lua: a durable consumer: one member of those that work off the events of some topics under a name.
--
-- A member is a background task. It claims events (a range behind what anybody has claimed, or one that was begun before and did not end), stores the claim,
-- hands each event to the handler, and stores what has ended with the next claim. So a batch costs one transaction. Whoever dies leaves its claim; it is taken
-- over when its lease is over, or its connection is. Stored are only rows of the universe (consumer_record.lua); all that is here is lost with the process.
--
-- Order. Without `group` there is one claim at a time whoever has it, and an event that failed is delivered again before any later one. In a group each
-- member's claim is in order, and what failed waits beside the others.
--
-- Attempts. A batch counts one attempt for each of its events. When it did not end, its events are begun one by one, each attempt stored (and on disk) before
-- the handler runs, so an event that kills its process is found and becomes a dead letter. With max_attempts = 1 all batches are of one.

local iu = require "inner_universe"

local plugin = ...
local record = plugin.load "consumer_record"
local make_choice = plugin.load "consumer_choice"
local make_methods = plugin.load "consumer_methods"
local make_store = plugin.load "consumer_store"
local make_work = plugin.load "consumer_work"

local TRIES = 20            -- to write while others change the same rows
local RETRY = 0.5           -- seconds after something went wrong
local UNSURE = 0.05         -- seconds between two looks whether the log is known again
local ALIVE_FOR = 1.0       -- seconds that a look at another member's connection counts

---@class inner_universe.event_bus.Consumer
local Consumer = {}

---@param ctx table
---@param env table { log, feed, manager, message, topics }
return function(ctx, env)
  local log, feed, message = env.log, env.feed, env.message
  local choose = make_choice(ctx, env)

  local function lock(self)
    while self.locked do
      self.unlocked = self.unlocked or ctx.waiter()
      self.unlocked:wait()
    end
    self.locked, self.holder = true, coroutine.running()
    return setmetatable({}, { __close = function()
      local waiter = self.unlocked
      self.locked, self.holder, self.unlocked = false, nil, nil
      if waiter then waiter:resolve(true) end
    end })
  end

  -- Whether the lock is one's own: who waited for it would wait for ever.
  local function holds(self) return self.locked and self.holder == coroutine.running() end

  env.lock, env.holds = lock, holds
  local process = make_work(ctx, env)

  local function is_gone() return ctx.is_closed() or ctx.conn:is_closed() end

  local function load(self)
    if self.state then return self.state end
    local state, err = self.store.load()
    if not state then return nil, err or iu.errors.new("StorageError", ("consumer %s: its rows are gone"):format(self.name)) end
    if state.removed then return nil, iu.errors.new("ConflictError", ("consumer %s was removed"):format(self.name), { code = "REMOVED", retryable = false }) end
    self.state = state
    return state
  end

  -- ---- what claims ask of their consumer ----

  --- Seconds before the next attempt.
  function Consumer:delay_after(attempt)
    return math.min(self.retry_delay * 2.0 ^ math.min(attempt - 1, 30), self.retry_delay_max)
  end

  function Consumer:note_failure(row, failure, attempt)
    self.counts.failed = self.counts.failed + 1
    self.last_error = failure
    ctx.log.warn("consumer %s: event %s (%s), attempt %d of %d: %s", self.name, row.event_id, row.event_type, attempt, self.max_attempts, tostring(failure))
  end

  function Consumer:note_dead(row, failure)
    self.counts.dead = self.counts.dead + 1
    ctx.log.error("consumer %s: event %s (%s) became a dead letter: %s", self.name, row.event_id, row.event_type, tostring(failure))
  end

  function Consumer:dead_letter(row, failure, attempt)
    return self.store.dead_letter(self.dead_letter_type, row, message.of_failure(failure), attempt, self.small)
  end

  -- A refused dead letter may be too large with the event's data in it.
  local function without_data(self, err, operations)
    if err.kind ~= "ValidationError" or self.small or #operations == 0 then return false end
    self.small = true
    return true
  end

  local function closed_error()
    return iu.errors.new("ConnectionError", "event_bus is closed", { code = "CLOSED", retryable = false })
  end

  local function lost_error(self)
    return iu.errors.new("ConflictError", ("consumer %s: its claim was taken over"):format(self.name), { code = "LOST" })
  end

  local function inside_error(self)
    return iu.errors.new("ConflictError", ("consumer %s: a transaction of its is under way here: what ends with it is stored with it"):format(self.name), {
      retryable = false,
    })
  end

  -- A draft with what has ended of a claim in it; nil: the claim was taken over.
  local function settled(self, claim)
    local base, err = load(self)
    if not base then return nil, err end
    local draft, operations = record.copy(base), {}
    local dying = claim:settle(draft, false, operations)
    if not dying then
      claim.lost = true
      return nil, lost_error(self)
    end
    return base, draft, operations, dying
  end

  --- Stores what has ended of the claim, and renews its lease.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function Consumer:commit(claim)
    return self:commit_with(claim, nil, nil)
  end

  --- The same, with that place acknowledged together with further operations: both or neither.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function Consumer:commit_with(claim, place, extra)
    if holds(self) then return nil, inside_error(self) end
    local _ <close> = lock(self)
    if is_gone() then return nil, closed_error() end
    if claim.closed and not extra and claim.stored then return true end -- with all else of it
    if claim.lost or claim.closed then return nil, lost_error(self) end
    local _ <close> = claim:tentative(place)
    local err
    for _ = 1, TRIES do
      local base, draft, operations, dying = settled(self, claim)
      if not base then return nil, draft end
      local letters, written, ours = #operations
      written, err, ours = self.store.write(base, draft, extra and table.move(extra, 1, #extra, letters + 1, operations) or operations, letters)
      if written then
        self.state, self.small = written, nil
        claim:confirm()
        claim:buried(dying)
        return true
      end
      if ours then
        self.state = nil
      elseif letters == 0 or not without_data(self, err, operations) then
        return nil, err
      end
    end
    return nil, err
  end

  --- manager:transaction(fn) with that place acknowledged, and what has ended of the claim besides.
  function Consumer:transaction(claim, place, fn)
    if holds(self) then return nil, inside_error(self) end
    local _ <close> = lock(self)
    if is_gone() then return nil, closed_error() end
    if claim.lost or claim.closed then return nil, lost_error(self) end
    local _ <close> = claim:tentative(place)
    local base, draft, operations, dying
    local results = table.pack(env.manager:transaction(function(tx)
      if base then self.state = nil end -- a second try: what is stored may be another state by now
      local values = table.pack(fn(tx))
      if values[1] == nil and values[2] ~= nil then return table.unpack(values, 1, values.n) end
      base, draft, operations, dying = settled(self, claim)
      if not base then return nil, draft end
      for _, each in ipairs(self.store.operations(base, draft)) do assert(tx:join(each.tag, each.value)) end
      for _, each in ipairs(operations) do
        local id, err = tx:publish_event(each.value.event_type, iu.json.decode(each.value.data), each.value.source)
        if not id then return nil, err end
      end
      return table.unpack(values, 1, values.n)
    end))
    if results[1] == nil and results[2] ~= nil then
      self.state = nil
      return nil, results[2]
    end
    self.state = self.store.written(base, draft)
    claim:confirm()
    claim:buried(dying)
    return table.unpack(results, 1, results.n)
  end

  -- ---- other members ----

  -- Whether the connection of a member is there. On a server the answer is kept for a while.
  local function is_alive(self, member)
    if member == ctx.conn:connection_id() then return true end
    local seen = self.alive[member]
    if seen and seen.at + ALIVE_FOR > ctx.clock() then return seen.yes end
    local row, err = ctx.conn:get("client_connection", member)
    local yes = err ~= nil or row ~= nil and row.status == "connected"
    self.alive = { [member] = { yes = yes, at = ctx.clock() } }
    return yes
  end

  -- Claims whose member is gone, or took too long.
  local function drop_dead(self, draft)
    local now, kept = iu.now(), {}
    for _, claim in ipairs(draft.claims) do
      local own = self.claim and self.claim.id == claim.id
      if own or claim["until"] > now and is_alive(self, claim.member) then kept[#kept + 1] = claim end
    end
    if #kept == #draft.claims then return end
    draft.claims, draft.dirty = kept, true
  end

  -- ---- the task ----

  local function trouble(self, err)
    self.last_error = err
    if err.code == "REMOVED" then
      self.stopping = true
    else
      ctx.log.warn("consumer %s: %s", self.name, tostring(err))
    end
    return RETRY
  end

  -- Stores what has ended of the claim, and the next claim, where there is one: then it is self.claim. Seconds to wait, or nil: for news.
  local function step(self)
    local _ <close> = lock(self)
    if is_gone() then return nil end
    if feed.is_unsure() and not self.stopping then return UNSURE end
    local base, err = load(self)
    if not base then return trouble(self, err) end
    local draft, operations, buried, old = record.copy(base), {}, {}, self.claim
    local dying
    if old then
      dying = old:settle(draft, true, operations)
      if dying then
        draft.dirty = true
      else
        old.lost, self.claim, old = true, nil, nil
        ctx.log.warn("consumer %s: its claim was taken over", self.name)
      end
    end
    drop_dead(self, draft)
    local claim, wait
    if not self.stopping then
      claim, wait, err = choose(self, draft, operations, buried)
      if err then return trouble(self, err) end
    elseif #draft.claims == 0 and self.passed_from == draft.reach and self.scanned > draft.reach then
      record.finish(draft, draft.reach + 1, self.scanned)
      draft.reach, draft.dirty = math.max(draft.reach, self.scanned), true
    end
    self.resting = claim == nil and wait == nil
    if not claim and not draft.dirty then return wait end
    draft.dirty = nil
    local written, ours
    written, err, ours = self.store.write(base, draft, operations)
    if not written then
      if ours then
        self.state = nil
        return 0
      end
      return without_data(self, err, operations) and 0 or trouble(self, err)
    end
    self.state, self.small, self.claim = written, nil, claim
    if old then
      old.stored = true
      old:buried(dying)
    end
    for _, each in ipairs(buried) do self:note_dead(each[1], each[2]) end
    return wait
  end

  local function wait_for_news(self, seconds_left)
    if self.stopping or self.scanned < feed.last() and not seconds_left then return end
    if self.resting and self.rested then
      self.rested:resolve(true)
      self.rested = nil
    end
    self.wake = ctx.waiter()
    env.waiting[self] = true
    local _ <close> = setmetatable({}, { __close = function() env.waiting[self] = nil end })
    self.wake:wait(seconds_left)
    self.wake, self.resting = nil, false
    if not self.ordered or self.state and #self.state.claims > 0 then self.state = nil end
  end

  local function work(self)
    local _ <close> = setmetatable({}, { __close = function()
      self.ended:resolve(true)
      env.forget(self)
    end })
    while not self.stopping and not is_gone() do
      local wait = step(self)
      if self.claim and not self.claim.closed then
        process(self, self.claim)
      elseif wait ~= 0 then
        wait_for_news(self, wait)
      else
        coroutine.yield()
      end
    end
    for _ = 1, TRIES do
      if is_gone() or step(self) ~= 0 then break end
    end
  end

  --- The log has something new.
  function Consumer:news()
    if not self.resting and self.ordered then return end -- for a failed event's time, or for another member
    env.waiting[self] = nil
    self.wake:resolve(true)
  end

  for key, method in pairs(make_methods(ctx, env)) do Consumer[key] = method end
  local metatable = { __name = "inner_universe.event_bus.Consumer", __index = Consumer, __close = Consumer.stop }

  -- The rows of a consumer that is new, or was removed.
  local function create(self, old)
    local start, err = log.place(self.from, "consumer: from")
    if not start then return nil, err end
    local head
    head, err = log.head()
    if not head then return nil, err end
    if start > head.sequence + 1 then
      return nil, iu.errors.new("ValidationError", ("consumer: from: %d is past the log's head, expected at most %d"):format(start, head.sequence + 1))
    end
    local base = old or record.new(0)
    base.revision, base.stored_cursor = base.revision or 0, base.stored_cursor
    local ours
    self.state, err, ours = self.store.write(base, record.new(start - 1), {})
    if self.state then return true end
    return ours or nil, err -- ours: another one has just made it
  end

  --- settings: all checked and with their defaults (init.lua); fn: the handler.
  ---@return inner_universe.event_bus.Consumer?
  ---@return inner_universe.Error? err
  return function(settings, fn)
    local self = setmetatable({
      store = make_store(ctx, settings.name), reader = log.reader(settings.topics, settings.filters), fn = fn, scanned = 0, alive = {}, gate = {},
      clock = ctx.clock, ended = ctx.waiter(), ordered = not settings.group, counts = { handled = 0, failed = 0, dead = 0 },
    }, metatable)
    for key, value in pairs(settings) do self[key] = value end
    local ok, err = log.check_place(settings.from, "consumer: from") -- also where it goes on at its own place
    if ok then ok, err = feed.start() end
    if not ok then return nil, err end
    local state
    state, err = self.store.load()
    if err then return nil, err end
    if not state or state.removed then
      ok, err = create(self, state)
      if not ok then return nil, err end
    end
    self.task = ctx.spawn(work, self)
    return self
  end
end
