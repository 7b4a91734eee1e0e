-- init.lua: the event bus: the log's new rows become messages { id, type, source, timestamp, data, sequence, actor }.
--
-- It subscribes behind the log's head at that moment, never to the whole log. Each event is delivered once, in the order of the log, one's own included: a
-- handler list per type and one for "*". Handlers run in tasks, so they may wait; one that raises is reported and does not stop the others.

local iu = require "inner_universe"

local M = {}

function M.validate(config)
  if math.type(config.rollover) == "integer" and config.rollover >= 1 then return true end
  return nil, ("rollover: expected an integer from 1, got %s"):format(tostring(config.rollover))
end

-- rows: the manager's (hooks between rows and users). Reducers refuse data that is no JSON, so one that does not parse was changed on the disk: nil,
-- StorageError.
local function message_of(rows, row)
  local data, err = iu.json.decode(row.data)
  if data == nil then return nil, iu.errors.wrap("StorageError", ("event %s: its stored data is damaged"):format(row.event_id), err) end
  local read
  read, err = rows:read("event", { event_id = row.event_id, event_type = row.event_type, data = data })
  if not read then return nil, err end
  return {
    id = row.event_id, type = row.event_type, source = row.source ~= "" and row.source or nil, timestamp = row.timestamp, data = read.data,
    sequence = row.sequence, actor = row.actor,
  }
end

local EVENTS_OPTIONS = { after = "integer", limit = "integer", type = "string" }

local function check_options(options)
  for key, value in pairs(options) do
    local expected = EVENTS_OPTIONS[key]
    if not expected then
      return nil, iu.errors.new("ValidationError", ("options: unknown key `%s` (known: after, limit, type)"):format(tostring(key)))
    end
    if (math.type(value) or type(value)) ~= expected then
      return nil, iu.errors.new("ValidationError", ("options.%s: expected %s, got %s"):format(key, expected, tostring(value)))
    end
  end
  return true
end

function M.start(ctx)
  local check = ctx.check
  local manager = ctx.plugin("persistence_manager")
  local methods = {}
  local lists = {}               -- by event type, "*" for all
  local subscription, watching   -- the live subscription, and the handler on the table
  local last = 0                 -- sequence of the last event delivered
  local since_rollover = 0
  local stopped = false

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

  local function deliver(row)
    if stopped or row.sequence <= last then return end  -- told before the subscription started anew
    last = row.sequence
    since_rollover = since_rollover + 1
    local named, all = lists[row.event_type], lists["*"]
    if (named and named:count() > 0) or (all and all:count() > 0) then
      local message = assert(message_of(manager.rows, row))
      if named then named:emit(message) end
      if all then all:emit(message) end
    end
    if since_rollover >= ctx.config.rollover and not stopped then roll_over() end
  end

  --- Starts the delivery of events published from now on. Idempotent; register_handler does it too. true, or nil, err.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:subscribe_to_events()
    if stopped or not ctx.conn then check.raise("event_bus is closed") end
    if subscription then return true end
    local head, err = ctx.conn:get("event_head", 0)
    if err then return nil, err end
    last = head and head.sequence or 0
    watching = ctx.conn.tables.event_log:on_insert(deliver)
    subscription, err = subscribe_behind(last)
    if subscription then return true end
    watching:cancel()
    return nil, err
  end

  --- fn(message) for each event of that type, or of any type for "*". A handle with :cancel(); nil, err when the subscription fails.
  ---@param event_type string
  ---@param fn fun(message: inner_universe.Message)
  ---@return inner_universe.Handle? handle
  ---@return inner_universe.Error? err
  function methods:register_handler(event_type, fn)
    if stopped or not ctx.conn then check.raise("event_bus is closed") end
    check.type(event_type, "string", 1, "register_handler", "event_type")
    check.type(fn, "callable", 2, "register_handler", "fn")
    if event_type == "" then
      return nil, iu.errors.new("ValidationError", 'event_type: expected a type or "*", got ""')
    end
    local ok, err = methods.subscribe_to_events(self)
    if not ok then return nil, err end
    lists[event_type] = lists[event_type] or ctx.handlers(("handler of %s"):format(event_type))
    return lists[event_type]:add(fn)
  end

  --- The event's id. data: any JSON value, nil is {}.
  ---@param event_type string
  ---@param data? any
  ---@param source? string
  ---@return string? event_id
  ---@return inner_universe.Error? err
  function methods:publish(event_type, data, source)
    if stopped or not ctx.conn then check.raise("event_bus is closed") end
    check.type(event_type, "string", 1, "publish", "event_type")
    check.optional(source, "string", 3, "publish", "source")
    return manager.client:publish_event(event_type, source, data)
  end

  --- Events of the log, oldest first: { after = sequence, type, limit }. An array of messages.
  ---@param options? { after?: integer, type?: string, limit?: integer }
  ---@return inner_universe.Message[]? messages
  ---@return inner_universe.Error? err
  function methods:events(options)
    if stopped or not ctx.conn then check.raise("event_bus is closed") end
    check.optional(options, "table", 1, "events", "options")
    options = options or {}
    local ok, err = check_options(options)
    if not ok then return nil, err end
    local filters = { { field = "sequence", operator = "GreaterThan", value = options.after or 0 } }
    if options.type then filters[2] = { field = "event_type", operator = "Equals", value = options.type } end
    local rows
    rows, err = ctx.conn:select("event_log", { filters = filters, order_by = "sequence", limit = options.limit })
    if not rows then return nil, err end
    for i = 1, #rows do
      rows[i], err = message_of(manager.rows, rows[i])
      if err then return nil, err end
    end
    return rows
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    if watching then watching:cancel() end
    if subscription and subscription:is_active() then subscription:unsubscribe() end
    subscription, watching, lists = nil, nil, {}
  end

  function methods:health()
    return true, { subscribed = subscription ~= nil, last_sequence = last }
  end

  return ctx.hooks.class("event_bus", methods, {}).new {}
end

return M
