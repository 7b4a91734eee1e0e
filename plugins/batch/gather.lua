-- gather.lua: writes become members of groups, groups are sent in the order in which they were begun.
--
-- A group is open while it gathers, sealed when it is full, when its time is over, or by `flush`, and flies until it is answered. Several fly at once, so
-- that a server's round trips and a file's syncs overlap; a group that touches what a flying one touches waits for it, and so do those behind it: the order
-- of writes to one entity is that of the calls. What a delete touches is not known here (relations by cascade): its group flies alone. All events together
-- are one such thing.
--
-- Every member counts against queue_max until it is answered.

local iu = require "inner_universe"

local EVENTS = {} -- what all events touch

-- What a write touches; nil: everything.
local TOUCHES = {
  create_entity = function(answer) return answer end,
  update_entity = function(_, id) return id end,
  create_relation = function(answer, from, to) return answer, from, to end,
  update_relation = function(_, id) return id end,
  delete_relation = function(_, id) return id end,
  publish_event = function() return EVENTS end,
}

--- ctx, client, send (send.lua), statistics.
return function(ctx, client, send, statistics)
  local config = ctx.config
  local room = ctx.room(config.queue_max, { what = "batch" })
  local gather = { waiting = 0, flying = 0 } -- members without an answer; groups
  local open
  local sealed, first, last = {}, 1, 0
  local busy = {} -- what flying groups touch, with how many of them do
  local alone = false -- one that touches everything flies
  local unanswered = {} -- groups
  local starting, watching = false, false
  local start_ready

  local function is_free(group)
    if alone then return false end
    if group.alone then return gather.flying == 0 end
    for what in pairs(group.touches) do
      if busy[what] then return false end
    end
    return true
  end

  local function hold(group, by)
    if group.alone then alone = by > 0 end
    for what in pairs(group.touches) do
      local count = (busy[what] or 0) + by
      busy[what] = count > 0 and count or nil
    end
    gather.flying = gather.flying + by
  end

  local function finish(group)
    local refused = 0
    for _ in pairs(group.errors or {}) do refused = refused + 1 end
    statistics.batches = statistics.batches + 1
    statistics.applied = statistics.applied + group.count - refused
    statistics.refused = statistics.refused + refused
    statistics.largest = math.max(statistics.largest, group.count)
    unanswered[group] = nil
    gather.waiting = gather.waiting - group.count
    group.core:close()
    group.waiter:resolve(true)
  end

  local function fly(group)
    send(group)
    hold(group, -1)
    finish(group)
    room:give(group.count)
    start_ready()
  end

  -- Those whose turn it is; not from inside itself, since a group may be answered before `fly` is back.
  function start_ready()
    if starting then return end
    starting = true
    while first <= last and gather.flying < config.in_flight_max and is_free(sealed[first]) do
      local group = sealed[first]
      sealed[first] = nil
      first = first + 1
      hold(group, 1)
      ctx.call_handler(fly, group)
    end
    if first > last then first, last = 1, 0 end
    starting = false
  end

  local function seal(why)
    local group = open
    open = nil
    statistics[why] = statistics[why] + 1
    last = last + 1
    sealed[last] = group
    start_ready()
  end

  -- Seals groups whose time is over; one task for all of them, while there is an open one.
  local function watch()
    while open and open.count > 0 do
      local left = open.due - ctx.clock()
      if left > 0 then
        iu.sleep(left)
      else
        seal("by_time")
      end
    end
    watching = false
  end

  local function new_group()
    local core, err = ctx.conn:batch("transact")
    if not core then return nil, err end
    open = { core = core, count = 0, answers = {}, errors = nil, touches = {}, alone = false, waiter = ctx.waiter(), due = math.huge }
    return open
  end

  -- Its first member is there.
  local function begin(group)
    group.due = ctx.clock() + config.max_wait_ms / 1000
    unanswered[group] = true
    if watching then return end
    watching = true
    ctx.spawn(watch)
  end

  local function note_touched(group, one, ...)
    if one == nil then return end
    group.touches[one] = true
    return note_touched(group, ...)
  end

  -- Who waits for room, by the order in which they came: `flush` waits for them, too.
  local asking, asked = {}, 0

  local function wait_for_room()
    asked = asked + 1
    local number = asked
    asking[number] = true
    local _ <close> = setmetatable({}, { __close = function() asking[number] = nil end })
    local ok, err = room:take(1)
    return ok, err
  end

  local function anyone_asks(up_to)
    for number in pairs(asking) do
      if number <= up_to then return true end
    end
    return false
  end

  -- true when a member more may come, or nil, err.
  local function find_room()
    if room:try(1) then return true end
    if config.when_full == "refuse" then
      statistics.overloaded = statistics.overloaded + 1
      return nil, iu.errors.new("OverloadedError", ("batch: %d writes wait for their answer already (queue_max)"):format(gather.waiting))
    end
    statistics.waited_for_room = statistics.waited_for_room + 1
    return wait_for_room()
  end

  local function add_to(group, method, ...)
    local number, answer = client:add_operation(group.core, method, ...)
    if number or answer or group.count == 0 then return group, number, answer end
    gather.seal() -- its bytes are too many for this group, maybe
    local other, err = new_group()
    if not other then return nil, nil, err end
    return other, client:add_operation(other.core, method, ...)
  end

  --- Adds a write: its group and its place there; or nil, err; or nil alone where the batch does not take it and the method's own call says why.
  function gather.add(method, ...)
    local ok, err = find_room()
    if not ok then return nil, err end
    local group = open
    if not group then group, err = new_group() end
    local number, answer
    if group then group, number, answer = add_to(group, method, ...) end
    if not number then
      room:give(1)
      return nil, err or answer
    end
    local touches = TOUCHES[method]
    if touches then
      note_touched(group, touches(answer, ...))
    else
      group.alone = true
    end
    group.count, group.answers[number] = number, answer
    if number == 1 then begin(group) end
    gather.waiting = gather.waiting + 1
    statistics.members = statistics.members + 1
    if number >= config.max_batch_size or gather.waiting >= config.queue_max then seal("by_size") end -- nobody more may come
    return group, number
  end

  --- Seals what is open; nobody needs to wait for more.
  function gather.seal()
    if open and open.count > 0 then seal("by_flush") end
  end

  -- Seals what is open and waits for it and all before it; true, or nil, TimeoutError.
  local function settle(ends)
    gather.seal()
    local groups = {}
    for group in pairs(unanswered) do groups[#groups + 1] = group end
    for _, group in ipairs(groups) do
      local ok, err = group.waiter:wait(ends and math.max(0, ends - ctx.clock()))
      if not ok then return nil, err end
    end
    return true
  end

  --- Waits until every write so far has its answer, those that wait for room among them. true, or nil, TimeoutError.
  function gather.drain(timeout)
    local ends, up_to = timeout and ctx.clock() + timeout, asked
    local ok, err = settle(ends)
    while ok and anyone_asks(up_to) and not gather.stopped do
      if ends and ctx.clock() >= ends then return nil, iu.errors.new("TimeoutError", ("flush: writes still wait for room after %g s"):format(timeout)) end
      iu.sleep(0) -- those who were let in write now
      ok, err = settle(ends)
    end
    return ok, err
  end

  --- No more room for anybody.
  function gather.stop()
    gather.stopped = true
    room:close(iu.errors.new("ConnectionError", "batch: the universe was closed before the write was sent", { code = "CLOSED", retryable = false }))
  end

  --- Where nothing may wait any more: sends what is left without looking at the answers.
  function gather.send_blindly()
    gather.seal()
    for at = first, last do
      ctx.conn:send("transact", { sealed[at].core }, iu.uuid())
    end
    first, last = 1, 0
  end

  return gather
end
