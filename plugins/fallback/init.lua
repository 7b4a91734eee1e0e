-- init.lua: the fallback plugin: what is done while the server is away. Which writes are kept and when: writing.lua; where: queue.lua; how they go to the
-- server: replay.lua; what is read meanwhile: known.lua; what is done about what is not there: recovery.lua. Here is what users call, and the states:
-- "online"; "offline": no connection; "replaying": a connection, and writes that are kept.
--
-- An embedded universe is never away: nothing is hooked but what is not found, and there is no file.

local iu = require "inner_universe"

local plugin = ...
local lost = plugin.load "lost"
local queues = plugin.load "queue"
local make_server_time = plugin.load "server_time"
local make_replay = plugin.load "replay"
local make_known = plugin.load "known"
local make_recovery = plugin.load "recovery"
local make_writing = plugin.load "writing"

local M = {}

local CLOSED = "fallback is closed"
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  on_state = { { "fn", "callable" } },
  on_refused = { { "fn", "callable" } },
  forget_refused = { { "id", "integer", "?" } },
  on_not_found = { { "fn", "callable" } },
  drain = { { "timeout", "number", "?" } },
}
local WRITES = {
  create_entity = "create_entity", update_entity = "update_entity", delete_entity = "delete_entity", create_relation = "create_relation",
  update_relation = "update_relation", delete_relation = "delete_relation", publish_event = "publish_event",
}

-- What is kept is kept on disk.
function M.validate(config)
  local scheme = config.path:match("^memory:") or config.path:match("^wss?://")
  if scheme then return nil, ("path: expected a file, got '%s'"):format(config.path) end
  return true
end

-- A file for each database, where the configuration names none; or nil, err.
local function path_of(config, settings)
  if config.path ~= "" then return (config.path:gsub("^file:", "")) end
  local server = ("%s-%d-%s"):format(settings.address, settings.port, settings.database):gsub("[^%w.-]", "_")
  local base = settings.db_path:gsub("^file:", "")
  if not base:find("^memory:") then return ("%s.%s.fallback"):format(base, server) end
  return nil, iu.errors.new("ValidationError", ("path: expected a file for what is kept, since db_path is '%s'"):format(base))
end

--- What the server's module was when there was a connection last: with it a universe is opened while the server is away.
function M.kept_schema(config, settings, target)
  if settings.backend ~= "spacetimedb" then return nil end
  local path, err = path_of(config, settings)
  if not path then return nil, err end
  return queues.kept_schema(path, config, target)
end

-- Reads that answer from what is known here.
local function add_reads(ctx, known, state, queue)
  local function around(kind)
    return function(call, next)
      local id = call.args[1]
      if type(id) ~= "string" then return next() end
      local row, err
      if state.connected() then
        row, err = next()
        if row then
          known.note(kind, id, row)
        elseif not lost.connection(err) then
          known.forget(kind, id)
        end
        if not lost.connection(err) then
          if queue.count == 0 then return row, err end
          local touched
          row, touched = known.with_kept(kind, id, row)
          if row or not touched then return row, err end
        end
      end
      local there_is_none
      if err == nil or lost.connection(err) then row, there_is_none = known.get(kind, id) end
      if row then return row end
      if there_is_none or err and not lost.connection(err) then
        local what = kind == "entity" and "EntityNotFoundError" or "RelationNotFoundError"
        return nil, err and not lost.connection(err) and err or iu.errors.new(what, ("%s not found: %s"):format(kind, id))
      end
      if err then return nil, err end
      return next() -- says how the connection is away
    end
  end
  ctx.hooks.around("get_entity", around("entity"))
  ctx.hooks.around("get_relation", around("relation"))
end

-- What there is on a server: { state, queue, replay, writing, path }.
local function start_keeping(ctx, client, manager, state_handlers, refused_handlers)
  local path, queue, err
  path, err = path_of(ctx.config, ctx.settings)
  if not path then return nil, err end
  queue, err = queues.open(ctx, path, ctx.universe.target)
  if not queue then return nil, iu.errors.wrap(err.kind, ("the queue %s: %s"):format(path, err.message), err) end
  local keeping = { queue = queue, path = path, refused = 0, unknown = 0 }
  local state = { stopped = false, name = "online", since = iu.now() }
  local wake, server_time = ctx.waiter(), make_server_time(ctx)
  keeping.state = state

  function state.connected()
    local conn = ctx.conn
    return not ctx.is_closed() and not conn:is_closed() and conn:state().phase == "connected"
  end

  -- Looks at what is, and tells what has changed.
  function state.changed()
    local name = not state.connected() and "offline" or queue.count > 0 and "replaying" or "online"
    if name == "replaying" then wake:resolve(true) end
    if name == state.name or state.stopped then return end
    if name == "offline" then keeping.writing.let_go() end
    local before = state.name
    state.name, state.since = name, iu.now()
    ctx.log.info("%s, %d writes are kept", name, queue.count)
    state_handlers:emit { state = name, before = before, queued = queue.count }
  end

  keeping.writing = make_writing(ctx, client, queue, server_time, state)
  keeping.replay = make_replay(ctx, client, queue, server_time, manager.fits, {
    applied = keeping.writing.settle,
    changed = state.changed,
    refuse = keeping.writing.refuse,
    refused = function(what)
      local entry, refusal, unknown = what.entry, what.refusal, lost.outcome(what.refusal)
      local counted = unknown and "unknown" or "refused"
      keeping[counted] = keeping[counted] + #what.operations
      for _, operation in ipairs(what.heard and {} or what.operations) do
        ctx.log.warn("a kept write %s: %s %s: %s", unknown and "is not sent again" or "was refused", operation.tag, tostring(operation.value.id),
          refusal.message)
        refused_handlers:emit { operation = operation, err = refusal, unknown = unknown, request_key = entry.key, queued_at = entry.queued_at }
      end
      if #entry.operations == 0 then keeping.writing.settle(entry) end
    end,
  })

  for hooked, method in pairs(WRITES) do ctx.hooks.around(hooked, keeping.writing.around(method)) end
  if ctx.universe.plugin("event_bus") then ctx.hooks.around("event_bus.publish", keeping.writing.around("publish_event")) end
  if ctx.config.reads then add_reads(ctx, make_known(ctx, manager, queue), state, queue) end

  local function keep_schema()
    local ok, why = queue.keep_schema(ctx.conn:schema_json())
    if not ok and not state.stopped then ctx.log.warn("the server's schema was not kept: %s", tostring(why)) end
  end

  local function connected()
    server_time.connected()
    state.changed()
    if not state.stopped and state.connected() then keep_schema() end
  end

  keeping.listening = ctx.conn:on_state(function(now)
    state.reason = now.phase == "disconnected" and now.reason or nil
    if now.phase == "connected" then return connected() end
    state.changed()
  end)
  ctx.spawn(function()
    while not state.stopped do
      keeping.replay.run(function() return not state.stopped and state.connected() end)
      wake = ctx.waiter()
      state.changed()
      wake:wait()
    end
  end)

  function keeping.stop()
    if state.stopped then return end
    state.stopped = true
    keeping.listening:cancel()
    wake:resolve(true)
    keeping.writing.let_go()
    return queue.close(iu.errors.new("ConnectionError", "the universe was closed before the write was kept", { code = "CLOSED", retryable = false }))
  end

  if state.connected() then
    connected()
  else
    state.changed()
  end
  return keeping
end

function M.start(ctx)
  local check = ctx.check
  local manager = ctx.plugin("persistence_manager")
  local state_handlers, refused_handlers = ctx.handlers(), ctx.handlers()
  local recovery = make_recovery(ctx)
  local keeping, err
  if ctx.settings.backend == "spacetimedb" then
    keeping, err = start_keeping(ctx, manager.client, manager, state_handlers, refused_handlers)
    if not keeping then return nil, err end
  end
  local stopped = false
  local draining = setmetatable({}, { __mode = "k" }) -- waiters
  local methods = {}

  local function closed()
    return stopped or ctx.is_closed()
  end

  --- "online"; "offline": there is no connection; "replaying": there is one, and writes that are kept. An embedded universe is online.
  ---@return "online"|"offline"|"replaying"
  function methods:state()
    return keeping and keeping.state.name or "online"
  end

  --- fn{ state, before, queued } at each change of the state.
  ---@param fn fun(change: { state: string, before: string, queued: integer })
  ---@return inner_universe.Handle
  function methods:on_state(fn)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.on_state, "on_state", fn)
    return state_handlers:add(fn)
  end

  --- Writes that were kept and acknowledged, and then refused by the server, oldest first: { id, operation = { tag, value }, err, unknown, request_key,
  --- queued_at, refused_at }. unknown: it was sent, and may be applied, but had no answer within resend_ms. They are in the file until they are forgotten.
  ---@return table[]? refused
  ---@return inner_universe.Error? err
  function methods:refused()
    if closed() then check.raise(CLOSED) end
    if not keeping then return iu.array {} end
    return keeping.queue.refused()
  end

  --- fn{ operation, err, unknown, request_key, queued_at } for each such refusal, when it comes.
  ---@param fn fun(refusal: table)
  ---@return inner_universe.Handle
  function methods:on_refused(fn)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.on_refused, "on_refused", fn)
    return refused_handlers:add(fn)
  end

  --- One that `refused` has (by its id there), or all of them, are seen to.
  ---@param id? integer
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:forget_refused(id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.forget_refused, "forget_refused", id)
    if not keeping then return true end
    return keeping.queue.forget(id)
  end

  --- fn(id, what, err) is asked when get_entity, get_relation, update_entity or update_relation find nothing; what: "entity" or "relation". It answers the row
  --- (for a read), true when it made the row (the call is tried once more), or nil. On every backend.
  ---@param fn fun(id: string, what: string, err: inner_universe.Error): table|true|nil
  ---@return { cancel: fun() }
  function methods:on_not_found(fn)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.on_not_found, "on_not_found", fn)
    return recovery.add(fn)
  end

  --- Waits until there is a connection and nothing is kept any more.
  ---@param timeout? number seconds
  ---@return true? ok
  ---@return inner_universe.Error? err TimeoutError; ConnectionError: the universe is closed
  function methods:drain(timeout)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.drain, "drain", timeout)
    local ok, why = check.seconds("drain", "timeout", timeout)
    if not ok then return nil, why end
    if methods:state() == "online" then return true end
    local done = ctx.waiter()
    draining[done] = true
    local handle <close> = state_handlers:add(function(change)
      if change.state == "online" then done:resolve(true) end
    end)
    ok, why = done:wait(timeout)
    draining[done] = nil
    if ok and handle then return true end
    if why.kind ~= "TimeoutError" then return nil, why end
    return nil, iu.errors.new("TimeoutError",
      ("drain: %d writes are kept after %g s (%s)"):format(keeping.queue.count, timeout, methods:state()), { cause = why })
  end

  --- { state, since, queued, queued_bytes, oldest, replayed, refused, unknown, recovered, path, problem }: times in microseconds; replayed, refused (the
  --- server's refusals of kept writes), unknown (writes that were sent, and not again after resend_ms) and recovered (what was not found and then was)
  --- since the start; problem: why there is no connection, or the replay does not get on.
  ---@return table
  function methods:status()
    local status = { state = methods:state(), queued = 0, queued_bytes = 0, replayed = 0, refused = 0, unknown = 0, recovered = recovery.recovered }
    if keeping then
      status.since, status.path, status.oldest = keeping.state.since, keeping.path, keeping.queue.since()
      status.queued, status.queued_bytes = keeping.queue.count, keeping.queue.bytes
      status.replayed, status.refused, status.unknown = keeping.replay.count, keeping.refused, keeping.unknown
      status.problem = status.state == "replaying" and keeping.replay.problem or status.state == "offline" and keeping.state.reason or nil
      status.problem = status.problem and tostring(status.problem)
    end
    return status
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    for done in pairs(draining) do done:resolve(nil, iu.errors.new("ConnectionError", CLOSED, { code = "CLOSED", retryable = false })) end
    if keeping then return keeping.stop() end
  end

  function methods:health()
    local status = methods:status()
    if status.state == "offline" then return nil, ("the server is away; %d writes are kept in %s"):format(status.queued, status.path) end
    return true, status
  end

  return ctx.hooks.class("fallback", methods, { arguments = ARGUMENTS }).new {}
end

return M
