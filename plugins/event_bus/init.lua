-- init.lua: the event bus: what users call, and how its parts hang together.
--
-- The log's new rows come once and in order (feed.lua), to the handlers (listeners.lua), to who waits for a reply (requests.lua), and wake the durable
-- consumers (consumer.lua), which read the log themselves. Nothing runs before the first handler, request or consumer. README.md says what is promised.

local iu = require "inner_universe"

local plugin = ...
local message = plugin.load "message"
local settings = plugin.load "settings"
local topics = plugin.load "topics"
local make_log = plugin.load "log"
local make_feed = plugin.load "feed"
local make_listeners = plugin.load "listeners"
local make_requests = plugin.load "requests"
local make_consumers = plugin.load "consumers"
local make_retention = plugin.load "retention"
local make_bridges = plugin.load "bridge"
local bridge_settings = plugin.load "bridge_settings"
local make_exchange = plugin.load "exchange"

local M = {}

local CLOSED = "event_bus is closed"
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  register_handler = { { "event_type", "string" }, { "fn", "callable" }, { "options", "table", "?" } },
  publish = { { "event_type", "string" }, { "data", "any", "?" }, { "source", "string", "?" } },
  events = { { "options", "table", "?" } },
  export_events = { { "target", "string|callable" }, { "options", "table", "?" } },
  import_events = { { "source", "string|callable" } },
  bridge = { { "bus", "table|userdata" }, { "options", "table", "?" } },
  request = { { "event_type", "string" }, { "data", "any", "?" }, { "options", "table", "?" } },
  respond = { { "event_type", "string" }, { "fn", "callable" }, { "options", "table", "?" } },
  consumer = { { "name", "string" }, { "options", "table" } },
  remove_consumer = { { "name", "string" } },
  prune_events = { { "options", "table" } },
}
local POLICIES = { wait = true, drop_oldest = true, error = true }

function M.validate(config)
  return settings.validate(config)
end

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

function M.start(ctx)
  local check, is_closed = ctx.check, ctx.is_closed
  local manager = ctx.plugin("persistence_manager")
  local methods = {}
  local stopped = false

  message.read_through(manager.rows)
  topics.select_through(manager.rows)

  local function closed() return stopped or is_closed() end

  local log = make_log(ctx, topics)
  local listeners, requests, consumers, retention, bridges
  local feed = make_feed(ctx, log, function(row)
    requests.offer(row)
    listeners.offer(row)
    retention.note()
  end, function() consumers.news() end, function() consumers.doubt() end, function(sequence)
    consumers.rewind()
    listeners.rewind(sequence)
  end)
  listeners = make_listeners(ctx, topics, log, message, feed.last)
  local function publish(event_type, source, data, id)
    if ctx.is_closed() then return nil, iu.errors.new("ConnectionError", CLOSED, { code = "CLOSED", retryable = false }) end
    return manager.client:publish_event(event_type, source, data, id)
  end
  requests = make_requests(ctx, message, publish)
  consumers = make_consumers(ctx, { log = log, feed = feed, manager = manager, message = message, topics = topics })
  retention = make_retention(ctx, log, consumers, topics)
  local stop_counting = ctx.settings.snapshot and function() end or manager.every_writes(retention.EVERY, retention.look, retention.FIRST)

  -- ---- live events ----

  --- Starts the delivery of events published from now on. Idempotent; register_handler does it too. true, or nil, err.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:subscribe_to_events()
    if closed() then check.raise(CLOSED) end
    return feed.start()
  end

  local function listen(event_type, fn, options, method)
    local wanted, err = settings.handler(ctx, topics, event_type, options, method, POLICIES)
    if not wanted then return nil, err end
    if listeners.stats().handlers >= ctx.config.handlers_max then
      return nil, iu.errors.new("OverloadedError", ("%s: %d handlers are registered already"):format(method, ctx.config.handlers_max))
    end
    local ok
    ok, err = feed.start()
    if not ok then return nil, err end
    return listeners.add(wanted, fn)
  end

  --- fn(message) for each event of that type, or of any type that a pattern matches (`USER_*`, "*"). A handle with :cancel(), :stats(); nil, err when the
  --- subscription fails. options: filters on the message (as of the manager's queries, `data.user.age`), concurrent calls, queue and policy behind them.
  ---@param event_type string
  ---@param fn fun(message: inner_universe.Message)
  ---@param options? { filters?: inner_universe.Filter[], concurrent?: integer, queue?: integer, policy?: "wait"|"drop_oldest"|"error" }
  ---@return inner_universe.event_bus.Listener? handle
  ---@return inner_universe.Error? err
  function methods:register_handler(event_type, fn, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.register_handler, "register_handler", event_type, fn, options)
    return listen(event_type, fn, options, "register_handler")
  end

  --- The event's id. data: any JSON value, nil is {}.
  ---@param event_type string
  ---@param data? any
  ---@param source? string
  ---@return string? event_id
  ---@return inner_universe.Error? err
  function methods:publish(event_type, data, source)
    if closed() then check.raise(CLOSED) end
    if type(event_type) ~= "string" or source ~= nil then check.arguments(ARGUMENTS.publish, "publish", event_type, data, source) end
    return manager.client:publish_event(event_type, source, data)
  end

  -- ---- reading back ----

  local EVENTS_OPTIONS = { after = "any", up_to = "any", limit = "any", type = "any", filters = "any" }

  local function sequence_option(options, key)
    local value = options[key]
    if value == nil or math.type(value) == "integer" and value >= 0 then return true end
    return invalid("events: %s: expected an integer from 0, got %s", key, tostring(value))
  end

  --- Events of the log, oldest first. An array of messages. type: a type, a pattern, or an array of them; after, up_to: sequences.
  ---@param options? { after?: integer, up_to?: integer, type?: string|string[], filters?: inner_universe.Filter[], limit?: integer }
  ---@return inner_universe.Message[]? messages
  ---@return inner_universe.Error? err
  function methods:events(options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.events, "events", options)
    options = options or {}
    local ok, err = check.options("events", options, EVENTS_OPTIONS)
    for _, key in ipairs { "after", "up_to", "limit" } do
      if ok then ok, err = sequence_option(options, key) end
    end
    if not ok then return nil, err end
    local wanted, filters, head
    wanted, err = topics.compile(options.type, "events: type")
    if not wanted then return nil, err end
    filters, err = topics.filters(ctx.conn, options.filters, "events: filters", wanted)
    if err then return nil, err end
    head, err = log.head()
    if not head then return nil, err end
    local reader, out = log.reader(wanted, filters, true), {}
    local at, up_to, limit = options.after or 0, math.min(options.up_to or head.sequence, head.sequence), options.limit or math.maxinteger
    while at < up_to and #out < limit do
      local rows
      rows, at = reader:read(at, up_to, math.min(limit - #out, log.PAGE))
      if not rows then return nil, at end
      for i = 1, math.min(#rows, limit - #out) do
        out[#out + 1], err = message.of_row(rows[i])
        if err then return nil, err end
      end
    end
    return out
  end

  -- ---- to files and back ----

  local exchange = make_exchange(ctx, { log = log, topics = topics, message = message, client = manager.client })

  --- Writes events to a file (or hands each line to a function), oldest first. format: "jsonl" (a message a line), "cloudevents" (a CloudEvent a line),
  --- "cloudevents-batch" (one array of them). from, to: places as a consumer's `from`, both included. How many.
  ---@param target string|fun(line: string)
  ---@param options? { format?: string, from?: any, to?: any, type?: string|string[], filters?: inner_universe.Filter[], overwrite?: boolean }
  ---@return integer? count
  ---@return inner_universe.Error? err StorageError
  function methods:export_events(target, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.export_events, "export_events", target, options)
    return exchange.export(target, options or {})
  end

  --- Publishes the events of such a file, or of a function that answers line after line (nil at the end), with their ids: those that the log has are skipped.
  ---@param source string|fun(): string?
  ---@return { imported: integer, skipped: integer }? report
  ---@return inner_universe.Error? err details.line says where; details.imported what was stored
  function methods:import_events(source)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.import_events, "import_events", source)
    return exchange.import(source)
  end

  -- ---- bridges ----

  bridges = make_bridges(ctx, {
    topics = topics, publish = publish, listen = function(types, fn, options) return listen(types, fn, options, "bridge") end,
    consumer = function(name, options)
      local wanted, err = settings.consumer(ctx, topics, name, options)
      if not wanted then return nil, err end
      return consumers.add(wanted, options.handler)
    end,
  })

  --- Ties another bus to the log, both ways and without echo: any object with methods such as `publish` and `subscribe`. A handle with :cancel(), :stats().
  --- README.md, "Bridges".
  ---@param bus table|userdata
  ---@param options? inner_universe.event_bus.BridgeOptions
  ---@return inner_universe.event_bus.Bridge? handle
  ---@return inner_universe.Error? err
  function methods:bridge(bus, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.bridge, "bridge", bus, options)
    local wanted, err = bridge_settings(ctx, bus, options or {})
    if not wanted then return nil, err end
    return bridges.add(bus, wanted)
  end

  -- ---- request and reply ----

  --- Publishes an event and waits for the reply of who responds to its type: the value, or nil and an err: the responder's, or a TimeoutError.
  ---@param event_type string
  ---@param data? any
  ---@param options? { timeout?: number, source?: string } timeout: seconds
  ---@return any value
  ---@return inner_universe.Error? err
  function methods:request(event_type, data, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.request, "request", event_type, data, options)
    local ok, err = check.options("request", options, { timeout = "number", source = "string" })
    if ok then ok, err = requests.check(event_type) end
    if ok then ok, err = feed.start() end
    if not ok then return nil, err end
    options = options or {}
    return requests.ask(event_type, data, options.source, options.timeout or ctx.config.request_timeout_ms / 1000)
  end

  --- Answers requests of a type (or a pattern): what fn(message) returns is the reply; nil and an err, or what it raises, is the asker's failure.
  ---@param event_type string
  ---@param fn fun(message: inner_universe.Message): any, any
  ---@param options? { filters?: inner_universe.Filter[], concurrent?: integer, queue?: integer, policy?: "wait"|"drop_oldest"|"error" }
  ---@return inner_universe.event_bus.Listener? handle
  ---@return inner_universe.Error? err
  function methods:respond(event_type, fn, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.respond, "respond", event_type, fn, options)
    return listen(event_type, requests.responder(fn), options, "respond")
  end

  -- ---- durable consumers ----

  --- A member of the durable consumer of that name: handler(delivery) for each event of its topics, in order, from where it was left; where it is new, from
  --- `from`: "now" (the default), "start", a sequence, or { time = microseconds }. README.md, "Durable consumers".
  ---@param name string
  ---@param options inner_universe.event_bus.ConsumerOptions
  ---@return inner_universe.event_bus.Consumer? consumer
  ---@return inner_universe.Error? err
  function methods:consumer(name, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.consumer, "consumer", name, options)
    local wanted, err = settings.consumer(ctx, topics, name, options)
    if not wanted then return nil, err end
    return consumers.add(wanted, options.handler)
  end

  --- The durable consumers that are stored: rows { name, cursor, updated_at, lag, here }, by name. here: members of this bus.
  ---@return table[]? rows
  ---@return inner_universe.Error? err
  function methods:consumers()
    if closed() then check.raise(CLOSED) end
    return consumers.list()
  end

  --- Gives up a consumer: its members here are stopped, its place is forgotten, and it holds back no retention.
  ---@param name string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:remove_consumer(name)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.remove_consumer, "remove_consumer", name)
    local ok, err = settings.check_name("remove_consumer", "name", name)
    if not ok then return nil, err end
    return consumers.remove(name)
  end

  -- ---- retention ----

  --- Prunes the log, the oldest events first, slice by slice: those older than `older_than` seconds, or more than `max_count`, or whose rows take more than
  --- `max_bytes`; never what a durable consumer has not read. With types only those, by age alone. The owner's.
  ---@param options { older_than?: number, max_count?: integer, max_bytes?: integer, types?: string|string[] }
  ---@return { removed: integer, held_by?: string }? report held_by: the consumer that is farthest behind
  ---@return inner_universe.Error? err AuthorizationError
  function methods:prune_events(options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.prune_events, "prune_events", options)
    return retention.prune(options)
  end

  -- ---- life ----

  function methods:stop()
    if stopped then return end
    stopped = true
    stop_counting()
    retention.stop()
    local deadline = ctx.clock() + ctx.config.drain_ms / 1000
    listeners.stop()
    consumers.stop(deadline)
    listeners.drain(deadline)
    requests.stop()
    bridges.stop()
    listeners.clear()
    feed.stop()
    log.forget()
  end

  function methods:health()
    local facts = listeners.stats()
    facts.subscribed, facts.last_sequence, facts.requests = feed.is_live(), feed.last(), requests.open()
    facts.consumers, facts.retention, facts.bridges = consumers.stats(), retention.facts(), bridges.stats()
    -- What `iu doctor` shows of it.
    facts.events, facts.pruned, facts.held_by = facts.retention.events, facts.retention.removed, facts.retention.held_by
    facts.pruning = facts.retention.owner == false and "left to the owner" or facts.retention.last_error or "on"
    facts.members, facts.bridged = #facts.consumers, facts.bridges.bridges
    return true, facts
  end

  return ctx.hooks.class("event_bus", methods, { arguments = ARGUMENTS }).new {}
end

return M
