-- watch.lua: what is counted while the program runs: calls of methods, by meters (the dispatcher's; no hooks, which would cost half a create_entity), and
-- events as handlers get them, by what is put around each handler. Everything else is read when somebody looks (collect.lua).

local iu = require "inner_universe"

local METHODS = {
  "create_entity", "get_entity", "update_entity", "delete_entity", "query_entities", "create_relation", "get_relation", "update_relation", "delete_relation",
  "query_relations", "transaction", "publish_event", "flush", "event_bus.publish", "temporal_store.commit_version", "temporal_store.get_state",
  "temporal_store.merge",
}
local ON_SERVER, EMBEDDED = 1, 64 -- one call in so many is looked at: there a look costs nothing beside the call

---@param ctx table
---@param registry table
return function(ctx, registry)
  local watch = { methods = {} }
  local handles = {}
  local every = ctx.config.sample_every
  if every == 0 then every = ctx.settings.backend == "spacetimedb" and ON_SERVER or EMBEDDED end
  watch.every = every

  local seconds = registry.builtin("histogram", "iu_method_seconds", ("Time of a method's calls, waiting included; of one in %d."):format(every),
    { "method" })
  local consumed = registry.builtin("counter", "iu_events_consumed_total", "Events given to handlers.", { "type" })
  local failed = registry.builtin("counter", "iu_events_handler_failures_total", "Handlers that raised.", { "type" })
  local handling = registry.builtin("histogram", "iu_event_handling_seconds", ("Time of a handler, waiting included; of one event in %d."):format(every),
    { "type" })
  local delivery = registry.builtin("histogram", "iu_event_delivery_seconds",
    ("From an event's timestamp to its handler, by this clock; of one event in %d."):format(every), { "type" })

  --- Counts a method, once. False where somebody else does.
  ---@param method string
  function watch.method(method)
    if watch.methods[method] then return true end
    local series = seconds.with { method = method }
    local meter = ctx.hooks.meter(method, every, ctx.clock, function(took) series:observe(took) end)
    if not meter then return false end
    watch.methods[method] = meter
    return true
  end

  -- What lies around a call of a handler sees it end, however it does, and leaves the traceback as it is.
  local Handler = {}
  function Handler.__close(of, raised)
    if raised ~= nil then of.failures.value = of.failures.value + 1 end
  end

  local function timed(of, message)
    if message.timestamp then of.since:observe(math.max(0, (iu.now() - message.timestamp) / 1e6)) end
    local began = ctx.clock()
    local _ <close> = setmetatable({}, {
      __close = function(_, raised)
        of.took:observe(ctx.clock() - began)
        Handler.__close(of, raised)
      end,
    })
    return of.fn(message)
  end

  -- The type that a handler is registered for is the label: as many as the program has.
  local function counting(event_type, fn)
    local labels = { type = event_type }
    local count = consumed.with(labels)
    local of = setmetatable({ fn = fn, failures = failed.with(labels), took = handling.with(labels), since = delivery.with(labels) }, Handler)
    return function(message)
      local n = count.value + 1
      count.value = n
      if n % every == 0 then return timed(of, message) end
      local _ <close> = of
      return fn(message)
    end
  end

  function watch.start()
    local known = {}
    for _, name in ipairs(ctx.hooks.names()) do known[name] = true end
    for _, method in ipairs(ctx.config.methods or METHODS) do
      if known[method] then
        watch.method(method)
      elseif ctx.config.methods then
        return nil, ("methods: there is no method '%s'"):format(tostring(method))
      end
    end
    handles[1] = ctx.hooks.before("event_bus.register_handler", function(call)
      local event_type, fn = call.args[1], call.args[2]
      if type(event_type) == "string" and ctx.check.is_callable(fn) then call.args[2] = counting(event_type, fn) end
    end)
    return true
  end

  function watch.stop()
    for _, meter in pairs(watch.methods) do meter:remove() end
    for _, handle in ipairs(handles) do handle:remove() end
    handles = {}
  end

  return watch
end
