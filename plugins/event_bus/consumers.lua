-- consumers.lua: the durable consumers of this bus: its members, and what is stored of all consumers.

local iu = require "inner_universe"

local plugin = ...
local record = plugin.load "consumer_record"
local make_consumer = plugin.load "consumer"
local make_store = plugin.load "consumer_store"

---@class inner_universe.event_bus.ConsumerOptions
---@field handler fun(delivery: inner_universe.event_bus.Delivery): any, any
---@field types? string|string[] types and patterns; all
---@field filters? inner_universe.Filter[] on columns of the event and paths of its data
---@field from? "start"|"now"|integer|{ time: integer } where a new consumer begins: the first sequence, or the first event of that time or later
---@field batch? integer events claimed at once
---@field ack_timeout? number seconds for one event
---@field max_attempts? integer
---@field retry_delay? number seconds before the second attempt, then twice as long each time
---@field retry_delay_max? number
---@field group? boolean several members work at once
---@field manual? boolean the handler's return acknowledges nothing
---@field dead_letter? string type of dead letters

---@param ctx table
---@param env table { log, feed, manager, message, topics }
return function(ctx, env)
  local consumers = {}
  local members, count = {}, 0

  env.waiting = {} -- members that wait for news

  function env.forget(member)
    if members[member] then
      members[member] = nil
      count = count - 1
    end
  end

  local new = make_consumer(ctx, env)

  --- settings: as settings.lua makes them.
  ---@return inner_universe.event_bus.Consumer?
  ---@return inner_universe.Error? err
  function consumers.add(settings, fn)
    if count >= ctx.config.consumers_max then
      return nil, iu.errors.new("OverloadedError", ("consumer: %d consumers run here already"):format(count))
    end
    local member, err = new(settings, fn)
    if not member then return nil, err end
    members[member] = true
    count = count + 1
    return member
  end

  --- The log has something new.
  function consumers.news()
    for member in pairs(env.waiting) do member:news() end
  end

  --- The connection was lost: what the members know of their rows is read anew.
  function consumers.doubt()
    for member in pairs(members) do member.state = nil end
  end

  --- The log has lost events that were told here: what lies behind a member's place is looked through again.
  function consumers.rewind()
    for member in pairs(members) do member.state, member.scanned, member.passed_from = nil, 0, nil end
  end

  -- Of the stored consumers those that were removed, by name.
  local function removed(rows)
    local keys = iu.array {}
    for i, row in ipairs(rows) do keys[i] = record.PREFIX .. row.consumer end
    if #keys == 0 then return {} end
    local records, err = ctx.conn:select("plugin_record", { filters = { { field = "key", operator = "In", value = keys } } })
    if not records then return nil, err end
    local out = {}
    for _, row in ipairs(records) do
      local state = record.decode(row.value, 0, row.key)
      if state and state.removed then out[row.key:sub(#record.PREFIX + 1)] = true end
    end
    return out
  end

  --- The cursors of consumers that were not removed: rows of event_cursor, the one farthest behind first.
  ---@return table[]?
  ---@return inner_universe.Error? err
  function consumers.cursors()
    local rows, err = ctx.conn:select("event_cursor", { order_by = "sequence" })
    if not rows then return nil, err end
    local gone
    gone, err = removed(rows)
    if not gone then return nil, err end
    local out = {}
    for _, row in ipairs(rows) do
      if not gone[row.consumer] then out[#out + 1] = row end
    end
    return out
  end

  ---@return table[]?
  ---@return inner_universe.Error? err
  function consumers.list()
    local rows, err = consumers.cursors()
    if not rows then return nil, err end
    local head
    head, err = env.log.head()
    if not head then return nil, err end
    local here, out = {}, {}
    for member in pairs(members) do here[member.name] = (here[member.name] or 0) + 1 end
    for i, row in ipairs(rows) do
      out[i] = {
        name = row.consumer, cursor = row.sequence, updated_at = row.updated_at, lag = math.max(0, head.sequence - row.sequence),
        here = here[row.consumer] or 0,
      }
    end
    table.sort(out, function(a, b) return a.name < b.name end)
    return out
  end

  ---@return true?
  ---@return inner_universe.Error? err
  function consumers.remove(name)
    local here = {}
    for member in pairs(members) do
      if member.name == name then here[#here + 1] = member end
    end
    for _, member in ipairs(here) do member:stop() end
    local store = make_store(ctx, name)
    local err, ours
    for _ = 1, 20 do
      local base, written
      base, err = store.load()
      if err then return nil, err end
      if not base or base.removed then return true end
      local gone = record.new(base.cursor)
      gone.removed = true
      written, err, ours = store.write(base, gone, {})
      if written then return true end
      if not ours then return nil, err end
    end
    return nil, err
  end

  --- Ends all, together, until the deadline (of ctx.clock()).
  function consumers.stop(deadline)
    local list = {}
    for member in pairs(members) do list[#list + 1] = member end
    for _, member in ipairs(list) do member:leave(deadline) end
    for _, member in ipairs(list) do member:stop(math.max(0, deadline - ctx.clock())) end
  end

  --- By name what status() says.
  function consumers.stats()
    local out = iu.array {}
    for member in pairs(members) do out[#out + 1] = member:status() end
    table.sort(out, function(a, b) return a.name < b.name end)
    return out
  end

  return consumers
end
