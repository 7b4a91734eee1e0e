-- init.lua: the controller: with the backend "spacetimedb" a server of this machine and the module on it; with "embedded" the same calls, which have nothing
-- to start. It is there before the universe is open, and outlives its connection: a server is ended after the last row was sent.
--
-- Its functions take a colon or a dot.

local iu = require "inner_universe"

local plugin = ...
local make_server = plugin.load "local_server"
local find_module = plugin.load "module"

local M = {}

local POSITIVE = { "start_timeout", "stop_timeout", "build_timeout", "log_bytes_max" }

function M.validate(config)
  for _, key in ipairs(POSITIVE) do
    if config[key] ~= config[key] or config[key] <= 0 then return nil, ("%s: more than 0 expected, got %s"):format(key, tostring(config[key])) end
  end
  if math.type(config.restart_max) ~= "integer" or config.restart_max < 0 then
    return nil, ("restart_max: an integer from 0 expected, got %s"):format(tostring(config.restart_max))
  end
  for key, value in pairs(config.arguments) do
    if math.type(key) ~= "integer" or type(value) ~= "string" then return nil, "arguments: an array of texts expected" end
  end
  return true
end

-- What there is to do for an embedded universe: nothing, said in the same words.
local function embedded(ctx)
  local methods = {}
  local function state() return ctx.universe.is_open() and "running" or "stopped" end
  local function facts(status) return { status = status, backend = "embedded", target = ctx.universe.target, own = false } end
  function methods.start() return facts(state()) end
  function methods.deploy() return facts("deployed") end
  function methods.stop() return true end
  function methods.status() return facts(state()) end
  function methods.answers() return ctx.universe.is_open() end
  function methods.logs() return iu.array {} end
  function methods.on_change() return { cancel = function() end } end
  function methods.let_go() end
  return methods
end

local function of_server(ctx)
  local settings, methods = ctx.settings, {}
  local url = ctx.universe.target:gsub("^ws", "http"):match("^(.*:%d+)/")
  local host = url:match("^https?://(.*):%d+$") -- an IPv6 address in brackets
  local folder = (settings.db_path:find("^%-") and "./" or "") .. settings.db_path .. ".spacetimedb" -- the program must not take it for an option
  local server = make_server(ctx, { folder = folder, address = host, port = settings.port, url = url })

  local function facts(status)
    local out = server.facts()
    out.backend, out.target, out.database = "spacetimedb", ctx.universe.target, settings.database
    out.address, out.port = out.address or settings.address, out.port or settings.port
    out.status = status or (out.status == "stopped" and ctx.universe.is_open() and "running") or out.status
    return out
  end

  -- A server that answers is taken as it is. Whether one was started; nil, err.
  local function ensure(detached)
    local stops = server.stops
    if server.answers() then return false end
    if settings.tls then
      return nil, iu.errors.new("ValidationError", ("tls: nothing answers on %s, and a server that is started here speaks no TLS"):format(url))
    end
    if settings.db_path == "memory:" then
      return nil, iu.errors.new("ValidationError", "db_path: a path expected (the server keeps its keys and data in <db_path>.spacetimedb/), got 'memory:'")
    end
    return server.start(detached, stops)
  end

  function methods.start(options)
    local started, err = ensure(options.detach)
    if started == nil then return nil, err end
    local out = facts("running")
    out.started = started
    if options.detach then server.detach() end
    return out
  end

  local function owner()
    if settings.token then return { token = settings.token } end
    if settings.token_file ~= "none" then return { token_file = settings.token_file } end
    return nil, iu.errors.new("ValidationError",
      "token_file: whoever publishes owns the database, so a token, or a file to keep one in, is expected; got 'none'")
  end

  function methods.deploy()
    local identity, err = owner()
    if not identity then return nil, err end
    local path
    path, err = find_module(ctx)
    if not path then return nil, err end
    local started
    started, err = ensure(false)
    if started == nil then return nil, err end
    identity.ca_file = settings.ca_file
    local http, done
    http, err = iu.server(url, identity)
    if http then done, err = http:publish(settings.database, { path = path }) end
    if not done then
      if started then server.stop() end
      return nil, err
    end
    ctx.log.info("%s: %s %s", ctx.universe.target, done.op, path)
    local out = facts("deployed")
    out.started, out.op, out.module_path, out.database_identity = started, done.op, path, done.database_identity
    return out
  end

  function methods.stop(options)
    if not ctx.is_closed() and server.facts().own then
      local ok, err = ctx.conn:flush(ctx.config.stop_timeout)
      if not ok then ctx.log.warn("before the server ends: %s", tostring(err)) end
    end
    return server.stop(options.detached)
  end

  function methods.status() return facts() end
  function methods.logs(options) return iu.array(server.logs(options.lines or 100)) end
  function methods.on_change(fn) return server.on_change(fn) end
  methods.answers, methods.let_go = server.is_well, server.let_go
  return methods
end

local OPTIONS = { start = { detach = "boolean" }, stop = { detached = "boolean" }, logs = { lines = "integer" } }

function M.start(ctx)
  local check = ctx.check
  local methods = ctx.settings.backend == "spacetimedb" and of_server(ctx) or embedded(ctx)
  local controller, public = {}, nil

  -- The argument behind a colon, or behind a dot.
  local function argument(a, b)
    if a == public then return b end
    return a
  end

  -- nil, err, or the options of a method, checked.
  local function options_of(name, options)
    local ok, err = check.options(name, options, OPTIONS[name])
    if not ok then return nil, err end
    return options or {}
  end

  -- Nothing is started that no close would end.
  local function check_open()
    if not ctx.universe.is_closed() then return true end
    return nil, iu.errors.new("ConnectionError", ctx.universe.target .. ": the universe is closed", { code = "CLOSED", retryable = false })
  end

  local function start(options)
    local ok, err = check_open()
    if not ok then return nil, err end
    return methods.start(options)
  end

  local function connect(answer)
    local ok, err = ctx.universe.plugin("persistence_manager"):initialize()
    if not ok then return nil, err end
    return answer
  end

  --- Starts a server where none answers. Facts as `status`, and `started`; nil, err. detach: it is not ended with this program.
  function controller.start(...)
    local options = argument(...)
    check.optional(options, "table", 1, "start", "options")
    local checked, err = options_of("start", options)
    if not checked then return nil, err end
    return start(checked)
  end

  --- Starts a server where none answers, and opens the universe on it.
  function controller.start_server_mode()
    local answer, err = start {}
    if not answer then return nil, err end
    return connect(answer)
  end

  --- Builds the module where asked for, starts a server where none answers, publishes, as the universe's identity. Does not open.
  function controller.deploy()
    local ok, err = check_open()
    if not ok then return nil, err end
    return methods.deploy()
  end

  --- `deploy`, and opens the universe.
  function controller.start_deployment_mode()
    local answer, err = controller.deploy()
    if not answer then return nil, err end
    return connect(answer)
  end

  --- Ends the server that was started here, gently, then firmly; detached: one that `start { detach = true }` left running on this folder, too. true;
  --- nil, err. The host calls it when the universe closes.
  function controller.stop(...)
    local options = argument(...)
    check.optional(options, "table", 1, "stop", "options")
    local checked, err = options_of("stop", options)
    if not checked then return nil, err end
    if not ctx.can_wait() then
      methods.let_go()
      return true
    end
    return methods.stop(checked)
  end

  function controller.status()
    return methods.status()
  end

  --- true and facts; nil and how it ended while a server that was started here has ended by itself.
  function controller.health()
    local now = methods.status()
    if now.status == "crashed" then return nil, ("the server ended by itself: %s"):format(now.last_exit and now.last_exit.text or "nobody knows how") end
    return true, { status = now.status, backend = now.backend, own = now.own, restarts = now.restarts }
  end

  --- Whether the server answers: the one on this folder, or whichever is at the configured address.
  function controller.answers()
    return methods.answers()
  end

  --- The last `lines` [100] lines that the server wrote.
  function controller.logs(...)
    local options = argument(...)
    check.optional(options, "table", 1, "logs", "options")
    local checked, err = options_of("logs", options)
    if not checked then return nil, err end
    return methods.logs(checked)
  end

  --- `fn(event)` when the server ended by itself { status = "crashed", exit_status, signal, text } or runs again { status = "running", restarts }.
  function controller.on_change(...)
    local fn = argument(...)
    check.type(fn, "callable", 1, "on_change", "fn")
    return methods.on_change(fn)
  end

  public = ctx.freeze(controller, "controller")
  return public
end

return M
