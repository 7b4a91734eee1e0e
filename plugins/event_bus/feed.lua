-- feed.lua: the log's new rows, each once and in order of sequence, as one subscription of the connection tells them.
--
-- It subscribes behind the log's head at that moment, and anew behind the last event after `rollover` of them, so that the view does not hold them all. Rows
-- of one transaction may be told in any order by a server, and all that was missed comes at once after a lost connection: a row that comes too early is held
-- until those before it are there. Where they do not come (pruned meanwhile), the log is read: a task started with the first held row goes on from there.
--
-- A server that was killed may come back without its last events, whose sequences others get then. So from the loss of a connection on nothing is told, until
-- what was told has been compared with the log; it goes on behind the last event that is the same in both, by reading.

local iu = require "inner_universe"

local HELD_MAX = 4096 -- rows that are held; what comes too early beyond them is read from the log
local RETRY = 0.5     -- seconds between two tries to read the log

---@param ctx table
---@param log table log.lua
---@param on_row fun(row: table) each row
---@param on_news fun() after rows
---@param on_loss fun() the connection was lost: what is known of the log may not be so any more
---@param on_rewind fun(sequence: integer) the log was found to end there for a while, before what was told behind it
return function(ctx, log, on_row, on_news, on_loss, on_rewind)
  local feed = {}
  local subscription, watching -- the live subscription, and the handler on the table
  local starting               -- a waiter while somebody subscribes
  local last = 0               -- sequence of the last row told
  local since_rollover = 0
  local held, held_count, held_to = {}, 0, 0
  local mending, stopped = false, false
  local states                 -- the handler on the connection's state
  local unsure, checking = false, false
  local losses = 0
  local missed_to = 0          -- sequence of the last row that came while unsure

  local function subscribe_behind(sequence)
    return ctx.conn:subscribe(("SELECT * FROM event_log WHERE sequence > %d"):format(sequence))
  end

  local function roll_over()
    local fresh, err = subscribe_behind(last)
    if not fresh then return ctx.report(err, "event_bus: new subscription") end
    since_rollover = 0
    subscription:unsubscribe()
    subscription = fresh
  end

  local function release(sequence)
    local row = held[sequence]
    if row then held[sequence], held_count = nil, held_count - 1 end
    return row
  end

  local function accept(row)
    last = row.sequence
    since_rollover = since_rollover + 1
    log.remember(row)
    on_row(row)
    if since_rollover >= ctx.config.rollover and not stopped then roll_over() end
  end

  local function accept_held()
    local row = release(last + 1)
    while row and not stopped do
      accept(row)
      row = release(last + 1)
    end
  end

  local function mend()
    while not stopped and not ctx.is_closed() and last < held_to do
      local before = losses
      local rows, covered = log.page(last, held_to)
      if unsure or losses ~= before then
        iu.sleep(RETRY)
      elseif rows then
        for _, row in ipairs(rows) do
          if row.sequence > last and not stopped then accept(row) end
        end
        last = math.max(last, covered)
        for sequence in pairs(held) do
          if sequence <= last then release(sequence) end
        end
        accept_held()
        on_news()
      else
        ctx.log.warn("the log was not read: %s", covered.message)
        iu.sleep(RETRY)
      end
    end
    mending = false
  end

  local function deliver(row)
    local sequence = row.sequence
    if unsure then
      missed_to = math.max(missed_to, sequence)
      return
    end
    if stopped or sequence <= last then return end -- told before the subscription started anew
    if sequence == last + 1 then
      accept(row)
      if held_count > 0 then accept_held() end
      return on_news()
    end
    held_to = math.max(held_to, sequence)
    if held_count < HELD_MAX and not held[sequence] then
      held[sequence], held_count = row, held_count + 1
    end
    if not mending then
      mending = true
      ctx.spawn(mend)
    end
  end

  -- The head, and where what was told ends in the log as it is now.
  local function compare()
    local head, err = log.head()
    if not head then return nil, err end
    local same
    same, err = log.common(math.min(last, head.sequence))
    if not same then return nil, err end
    return head.sequence, same
  end

  local function go_on_behind(head, same)
    held, held_count = {}, 0
    if same < last then
      ctx.log.warn("the server has lost events that it had told: %d to %d", same + 1, last)
      last = same
      log.forget()
      on_rewind(same)
      roll_over() -- what was subscribed may begin behind the log's head
    end
    held_to = math.max(head, missed_to)
    unsure = false
    if last < held_to and not mending then
      mending = true
      ctx.spawn(mend)
    end
    on_news()
  end

  local function check()
    while unsure and not stopped and not ctx.is_closed() do
      local before = losses
      local head, same = compare()
      if head and losses == before and not ctx.is_closed() and not stopped then
        go_on_behind(head, same)
      else
        iu.sleep(RETRY)
      end
    end
    checking = false
  end

  local function heed(state)
    if state.phase ~= "connected" then
      losses = losses + 1
      if unsure then return end
      unsure, missed_to = true, 0
      on_loss()
    elseif unsure and not checking then
      checking = true
      ctx.spawn(check)
    end
  end

  local function start()
    local head, err = log.head()
    if not head then return nil, err end
    last = head.sequence
    if ctx.settings.backend == "spacetimedb" then
      if last > 0 then log.page(last - 1, last, 1) end -- kept, to be compared
      states = ctx.conn:on_state(heed)
    end
    watching = ctx.conn.tables.event_log:on_insert(deliver)
    subscription, err = subscribe_behind(last)
    if subscription then return true end
    watching:cancel()
    if states then states:cancel() end
    watching, states = nil, nil
    return nil, err
  end

  --- Idempotent; who comes while somebody subscribes waits for it.
  ---@return true?
  ---@return inner_universe.Error? err
  function feed.start()
    if subscription then return true end
    if starting then return starting:wait() end
    starting = ctx.waiter()
    local ok, err
    local finish <close> = setmetatable({}, { __close = function()
      local waiter = starting
      starting = nil
      waiter:resolve(ok, err or iu.errors.new("PersistenceError", "event_bus: the subscription was given up"))
    end })
    ok, err = start()
    return finish and ok, err
  end

  function feed.is_live() return subscription ~= nil end

  --- Whether the log may be another one than it was.
  function feed.is_unsure() return unsure end

  --- The last event that was told: the head, as far as is known here.
  ---@return integer
  function feed.last() return last end

  function feed.stop()
    stopped = true
    if watching then watching:cancel() end
    if states then states:cancel() end
    if subscription and subscription:is_active() then subscription:unsubscribe() end
    subscription, watching, states, held, held_count = nil, nil, nil, {}, 0
  end

  return feed
end
