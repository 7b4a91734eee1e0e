-- retention.lua: how much of the log is kept: old events go by age, number and bytes, slice by slice, and never what a durable consumer has not read.
--
-- Automatic for the owner: every EVERY writes of the manager or events that are told here; on the embedded engine one slice or two within that
-- call, on a server in a task, PAUSE apart. Others leave it alone. Of events of the audit types go those that are not among the last `retention_audit_events`
-- of the log; `prune_events` steps over older events of other types to find them, so it waits until there is enough to find: a few rows looked at for each
-- event in the long run.

local iu = require "inner_universe"

local EVERY = 256          -- writes between two looks
local FIRST = 16           -- and before the first one: who only reads prunes nothing
local SLICE = 1000         -- rows that one call prunes
local SLICES = 2           -- of one look
local STEPPED = 8          -- a look is worth it when one in so many of the older rows may go
local PAUSE = 10           -- seconds between two looks, on a server
local DAY = 24 * 3600 * 1000000
local FAR = 366 * DAY      -- ahead: older than that is every event

local function limit(n) return n > 0 and n or nil end

---@param ctx table
---@param log table log.lua
---@param consumers table consumers.lua
---@param topics table topics.lua
return function(ctx, log, consumers, topics)
  local retention = {}
  local config = ctx.config
  local audit_types = iu.array {} -- the configuration's is a proxy
  for i, name in ipairs(config.retention_audit_types) do audit_types[i] = name end
  local owner                    -- nil: not asked yet
  local busy, stopped = false, false
  local removed, held_by, last_error = 0, nil, nil
  local audited = 0              -- sequence up to which no audit event is left
  local seen = 0                 -- events told since the last look
  local looked_at                -- ctx.clock() of the last look

  local function on_server() return ctx.settings.backend == "spacetimedb" end

  local function is_owner()
    if owner == nil then
      owner = ctx.conn:is_owner()
      if not owner and on_server() then
        local row, err = ctx.conn:get("config", "owner")
        if err then
          owner = nil -- asked again
          return false
        end
        owner = row ~= nil and row.value == ctx.conn:identity()
      end
      if not owner then ctx.log.debug("events are pruned by the owner, which this is not") end
    end
    return owner
  end

  --- The sequence up to which every consumer has read (nil: there is none), and the one that is farthest behind.
  local function read_up_to()
    local cursors, err = consumers.cursors()
    if not cursors then return nil, nil, err end
    if not cursors[1] then return nil end
    return cursors[1].sequence, cursors[1].consumer
  end

  local function breathe()
    if coroutine.isyieldable() and ctx.can_wait() then iu.sleep(0) end
  end

  -- Slices until nothing more goes, or so many did. How many rows, and whether it is through.
  local function slices(what, most)
    local gone = 0
    local head, err = log.head()
    while head and gone < most * SLICE do
      local ok
      ok, err = ctx.conn:call("prune_events", what.before, what.max_count, what.max_bytes, what.up_to, what.types or {}, SLICE)
      if not ok then return nil, err end
      local before = head
      head, err = log.head()
      if not head then break end
      local went = before.count - head.count + head.sequence - before.sequence -- what was published meanwhile aside
      gone = gone + went
      if went < SLICE then return gone, true end
      breathe()
      if stopped or ctx.is_closed() then return gone, false end
    end
    if err then return nil, err end
    return gone, false
  end

  local function apply(what, most)
    local gone, through = slices(what, most)
    if not gone then return nil, through end
    removed = removed + gone
    if gone > 0 then log.forget() end
    return gone, through
  end

  local function prune_all(head, up_to)
    local before = config.retention_days > 0 and iu.now() - config.retention_days * DAY or nil
    local count, bytes = limit(config.retention_events), limit(config.retention_bytes)
    if not (before or count and head.count > count or bytes and head.bytes > bytes) then return true end
    return apply({ before = before, max_count = count, max_bytes = bytes, up_to = up_to }, SLICES)
  end

  local function prune_audit(head, up_to)
    if config.retention_audit_events == 0 or #audit_types == 0 then return true end
    local target = head.sequence - config.retention_audit_events
    if up_to then target = math.min(target, up_to) end
    local older = math.max(0, head.count - config.retention_audit_events)
    if target - audited < math.max(EVERY // 2, older // STEPPED) then return true end
    local gone, through = apply({ before = iu.now() + FAR, up_to = target, types = audit_types }, SLICES)
    if not gone then return nil, through end
    if through then audited = target end
    return true
  end

  local function look()
    local head, err = log.head()
    if not head then return nil, err end
    local oldest = head.sequence - head.count
    if head.count == 0 or oldest < 0 then return true end
    local up_to, behind
    up_to, behind, err = read_up_to()
    if err then return nil, err end
    held_by = behind and head.sequence - up_to > math.max(config.retention_audit_events, config.retention_events) and behind or nil
    local ok
    ok, err = prune_all(head, up_to)
    if ok then ok, err = prune_audit(head, up_to) end
    return ok, err
  end

  local function guarded()
    if busy or stopped or ctx.is_closed() or ctx.conn:is_closed() then return end
    busy, looked_at = true, ctx.clock()
    local _ <close> = setmetatable({}, { __close = function() busy = false end })
    local raised, ok, err = pcall(function()
      if not is_owner() then return true end
      return look()
    end)
    last_error = not raised and ok or not ok and err or nil
    if last_error then ctx.log.warn("events were not pruned: %s", tostring(last_error)) end
  end

  --- Looks whether something is to go.
  function retention.look()
    if owner == false or busy or stopped or ctx.is_closed() then return end
    if not on_server() then
      if ctx.can_wait() then guarded() end
    elseif not looked_at or ctx.clock() - looked_at >= PAUSE then
      ctx.spawn(guarded)
    end
  end

  --- An event was told here.
  function retention.note()
    seen = seen + 1
    if seen < EVERY then return end
    seen = 0
    retention.look()
  end

  local OLDER_MAX = 1000 * 366 * 86400 -- seconds
  local OPTIONS = { older_than = "number", max_count = "any", max_bytes = "any", types = "any" }

  local function count_of(options, key)
    local value = options[key]
    if value == nil or math.type(value) == "integer" and value >= 0 then return true end
    return nil, iu.errors.new("ValidationError", ("prune_events: %s: expected an integer from 0, got %s"):format(key, tostring(value)))
  end

  local function types_of(types)
    if types == nil then return iu.array {} end
    local wanted, err = topics.compile(types, "prune_events: types")
    if not wanted then return nil, err end
    if #wanted.globs > 0 or wanted.all then
      return nil, iu.errors.new("ValidationError", "prune_events: types: expected types without `*`")
    end
    return iu.array(table.move(wanted.patterns, 1, #wanted.patterns, 1, {}))
  end

  --- Prunes now: events older than `older_than` seconds, or more than `max_count`, or whose rows take more than `max_bytes`, the oldest first, but never what
  --- a durable consumer has not read. With types only those, by age alone. { removed, held_by }.
  ---@return { removed: integer, held_by?: string }?
  ---@return inner_universe.Error? err AuthorizationError: it is the owner's
  function retention.prune(options)
    local ok, err = ctx.check.options("prune_events", options, OPTIONS)
    local age = options.older_than
    if ok and age and age > OLDER_MAX then
      local wrong = ("prune_events: older_than: expected at most %d seconds, got %s"):format(OLDER_MAX, tostring(age))
      ok, err = nil, iu.errors.new("ValidationError", wrong)
    end
    if ok then ok, err = count_of(options, "max_count") end
    if ok then ok, err = count_of(options, "max_bytes") end
    if not ok then return nil, err end
    if not (options.older_than or options.max_count or options.max_bytes) then
      return nil, iu.errors.new("ValidationError", "prune_events: expected older_than, max_count or max_bytes")
    end
    local types, up_to, behind
    types, err = types_of(options.types)
    if not types then return nil, err end
    up_to, behind, err = read_up_to()
    if err then return nil, err end
    local gone, why = apply({
      before = options.older_than and iu.now() - math.floor(options.older_than * 1000000) or nil, max_count = options.max_count, max_bytes = options.max_bytes,
      up_to = up_to, types = types,
    }, math.huge)
    if not gone then return nil, why end
    return { removed = gone, held_by = behind }
  end

  function retention.stop() stopped = true end

  --- What health says of it.
  function retention.facts()
    if owner == nil and not ctx.is_closed() and not on_server() then owner = ctx.conn:is_owner() end
    local head = not ctx.is_closed() and (not on_server() or ctx.can_wait()) and log.head() or nil
    return {
      owner = owner, events = head and head.count, bytes = head and head.bytes, removed = removed, held_by = held_by,
      last_error = last_error and tostring(last_error) or nil,
      limits = {
        audit_events = config.retention_audit_events, days = config.retention_days, events = config.retention_events, bytes = config.retention_bytes,
      },
    }
  end

  retention.EVERY, retention.FIRST = EVERY, FIRST
  return retention
end
