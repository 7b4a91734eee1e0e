-- init.lua: metrics: what the program counts itself, what is counted of methods and handlers while it runs (watch.lua), and what is read when somebody looks
-- (collect.lua): Prometheus, over HTTP on loopback, or the log. Without features.enable_metrics only the program's own are there, and nobody is told.

local iu = require "inner_universe"

local plugin = ...
local registry_of = plugin.load "registry"
local exposition = plugin.load "exposition"
local make_watch = plugin.load "watch"
local make_collect = plugin.load "collect"
local make_agreement = plugin.load "agreement"
local start_log = plugin.load "log_sink"

local M = {}

local CLOSED = "metrics is closed"
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  counter = { { "name", "string" }, { "labels", "table", "?" }, { "help", "string", "?" } },
  gauge = { { "name", "string" }, { "labels", "table", "?" }, { "help", "string", "?" } },
  histogram = { { "name", "string" }, { "buckets", "table", "?" }, { "labels", "table", "?" }, { "help", "string", "?" } },
  value = { { "name", "string" }, { "labels", "table", "?" } },
  hook = { { "method", "string" }, { "hooks", "table", "?" } },
  report_state = { { "system", "string" }, { "branch", "string", "?" }, { "version", "string" } },
  forget_state = { { "system", "string" }, { "branch", "string", "?" } },
}
local HOOKS = { before = "callable", after = "callable", around = "callable", on_error = "callable" }

function M.validate(config)
  if not config.path:find("^/[%w/_.-]*$") then return nil, ("path: a path expected, got %s"):format(config.path) end
  return true
end

function M.start(ctx)
  local check = ctx.check
  local config = ctx.config
  local methods = {}
  local stopped = false
  local on = ctx.settings.features.enable_metrics
  local temporal = ctx.plugin("temporal_store")
  local registry = registry_of.new { metrics = config.max_metrics, series = config.max_series }
  local watch = make_watch(ctx, registry)
  local agreement = make_agreement(ctx, temporal)
  local collect = make_collect(ctx, {
    registry = registry, watch = watch, agreement = agreement, temporal = temporal, bus = ctx.plugin("event_bus"),
  })
  local listening, deaf

  local function closed() return stopped or ctx.is_closed() end

  local function text()
    if on then collect.run() end
    return exposition.text(registry.all())
  end

  local function serve(path)
    if path:match("^[^?]*") ~= config.path then return 404, ("404 Not Found: the metrics are at %s\n"):format(config.path) end
    if closed() then return 503, "503 closed\n" end
    return 200, text(), exposition.CONTENT_TYPE
  end

  if on then
    local ok, why = watch.start()
    if not ok then return nil, iu.errors.new("ValidationError", why) end
    collect.start()
    if config.endpoint then
      listening, deaf = ctx.listen({
        address = config.address, port = config.port, remote = config.allow_remote, connections_max = config.connections_max,
        timeout = config.timeout_ms / 1000,
      }, serve)
      if not listening then ctx.log.warn("nobody can ask for metrics: %s", deaf.message) end
    end
    if config.log_interval_ms > 0 then start_log(ctx, registry, collect.run, exposition.number) end
  end

  --- A counter of the program's own; the same one for the same name and labels. `:add(n)`.
  ---@param name string
  ---@param labels? table<string, string|number|boolean>
  ---@param help? string
  ---@return inner_universe.metrics.Counter?
  ---@return inner_universe.Error? err ValidationError, OverloadedError (max_metrics)
  function methods:counter(name, labels, help)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.counter, "counter", name, labels, help)
    return registry.get("counter", name, labels, help)
  end

  --- A gauge: `:set(value)`, `:add(n)`.
  ---@param name string
  ---@param labels? table<string, string|number|boolean>
  ---@param help? string
  ---@return inner_universe.metrics.Gauge?
  ---@return inner_universe.Error? err
  function methods:gauge(name, labels, help)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.gauge, "gauge", name, labels, help)
    return registry.get("gauge", name, labels, help)
  end

  --- A histogram: `:observe(value)`. buckets: upper bounds, ascending; default: seconds from 10 us to 10 s.
  ---@param name string
  ---@param buckets? number[]
  ---@param labels? table<string, string|number|boolean>
  ---@param help? string
  ---@return inner_universe.metrics.Histogram?
  ---@return inner_universe.Error? err
  function methods:histogram(name, buckets, labels, help)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.histogram, "histogram", name, buckets, labels, help)
    return registry.get("histogram", name, labels, help, buckets)
  end

  --- What a series says: a number, or { count, sum } of a histogram; nil: there is none. The plugin's own as of the last look (`text`).
  ---@param name string
  ---@param labels? table
  ---@return number|{ count: integer, sum: number }|nil
  function methods:value(name, labels)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.value, "value", name, labels)
    local series = registry.look(name, labels)
    if not series then return nil end
    if series.count then return { count = series.count, sum = series.sum } end
    return series.value
  end

  --- Everything as Prometheus reads it (text format 0.0.4), read anew.
  ---@return string
  function methods:text()
    if closed() then check.raise(CLOSED) end
    return text()
  end

  --- Counts a method of the manager or of a plugin (`event_bus.publish`), and puts hooks around it. The handle's remove takes the hooks away.
  ---@param method string
  ---@param hooks? { before?: function, after?: function, around?: function, on_error?: function } as manager.hooks
  ---@return { remove: fun(self) }? handle
  ---@return inner_universe.Error? err
  function methods:hook(method, hooks)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.hook, "hook", method, hooks)
    local ok, err = check.options("hook", hooks, HOOKS)
    if not ok then return nil, err end
    ok, err = pcall(watch.method, method)
    if not ok then return nil, iu.errors.new("ValidationError", "hook: " .. tostring(err):gsub("^.-:%d+: ", "")) end
    local handles = {}
    for kind, fn in pairs(hooks or {}) do
      handles[#handles + 1] = ctx.hooks.add(kind, method, type(fn) == "function" and fn or function(...) return fn(...) end)
    end
    local handle = {}
    function handle:remove()
      for _, each in ipairs(handles) do each:remove() end
      handles = {}
    end
    return handle
  end

  --- Another system says which version of a branch it has: its id, or the hash of its state (data_hash or tree_hash, 64 hex digits). How far that is from here:
  --- { agrees, lag (versions; nil: not among the last lag_max), head }.
  ---@param system string
  ---@param branch? string the current one
  ---@param version string
  ---@return { agrees: boolean, lag: integer?, head: string? }?
  ---@return inner_universe.Error? err
  function methods:report_state(system, branch, version)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.report_state, "report_state", system, branch, version)
    if system == "" or #system > 256 or not utf8.len(system) then
      return nil, iu.errors.new("ValidationError", "system: a text of 1 to 256 bytes expected")
    end
    return agreement.report(system, branch or temporal:current_branch(), version:lower():find("^%x+$") and #version == 64 and version:lower() or version)
  end

  --- The system is compared no longer; how many branches it had told of.
  ---@param system string
  ---@param branch? string all of them
  ---@return integer
  function methods:forget_state(system, branch)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.forget_state, "forget_state", system, branch)
    return agreement.forget(system, branch)
  end

  --- Where the endpoint listens; nil: nowhere.
  ---@return integer?
  function methods:port()
    return listening and listening:port()
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    watch.stop()
    collect.stop()
    if listening then listening:close() end
  end

  function methods:health()
    if closed() then return nil, CLOSED end
    if deaf then return nil, "nobody can ask for metrics: " .. deaf.message end
    return true, { on = on, port = listening and listening:port() or nil, looks_at_one_in = on and watch.every or nil }
  end

  return ctx.hooks.class("metrics", methods, { arguments = ARGUMENTS }).new {}
end

return M
