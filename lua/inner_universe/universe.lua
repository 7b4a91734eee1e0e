-- A universe: configuration, hooks, plugin host and connection, and the order in which they come and go. The manager (the public object of
-- the plugin persistence_manager) is its face; plugins reach it through their ctx.
--
-- States: "new" (manager started, no connection) -> "open" -> "closed" (for good). `initialize` that fails goes back to "new".

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local cache_memory = require("inner_universe.cache_memory")
local connect = require("inner_universe.connect")
local connection = require("inner_universe.connection")
local freeze = require("inner_universe.freeze")
local handlers = require("inner_universe.handlers")
local hooks = require("inner_universe.hooks")
local listener = require("inner_universe.listener")
local plugin_host = require("inner_universe.plugin_host")
local process = require("inner_universe.process")
local room = require("inner_universe.room")
local suggest = require("inner_universe.suggest")
local target = require("inner_universe.target")

local universe = {}

local tasks = runtime.tasks
local API_VERSION = "1.0"
local MANAGER = "persistence_manager"
local INITIALIZE_OPTIONS = { deploy = true }

universe.API_VERSION = API_VERSION

local BY_FEATURE = { enable_metrics = "metrics" } -- plugins that run where the feature is on, named or not

local function default_plugins(cfg)
  local names = table.move(plugin_host.default, 1, #plugin_host.default, 1, {})
  for feature, name in pairs(BY_FEATURE) do
    if cfg.features[feature] then names[#names + 1] = name end
  end
  return names
end

local Universe = {}
Universe.__index = Universe

-- ctx ----------------------------------------------------------------------------------------------------------------

local function plugin_of(self, record)
  return function(name)
    if not record.manifest.require_ranges[name] then
      error(("plugin %s does not require '%s' (add it to requires in its manifest)"):format(record.name, tostring(name)), 2)
    end
    return (self.host:get(name))
  end
end

local function spawn_of(record)
  return function(fn, ...)
    check.type(fn, "callable", 1, "spawn", "fn")
    record.tasks = record.tasks or setmetatable({}, { __mode = "k" })
    local task = tasks.spawn_background(fn, ...)
    record.tasks[task] = true
    return task
  end
end

-- Closed after the plugin's stop, whether it did so or not.
local function listen_of(record)
  return function(options, on_request)
    local listening, err = listener.listen(options, on_request)
    if not listening then return nil, err end
    record.listeners = record.listeners or {}
    table.insert(record.listeners, listening)
    return listening
  end
end

-- A plugin's account is closed after its stop, whether it did so or not.
local function cache_memory_of(self, record)
  local memory = self.cache_memory
  return freeze.table({
    limit = memory.limit,
    used = memory.used,
    open = function(shrink)
      check.type(shrink, "callable", 1, "open", "shrink")
      local account = memory.open(record.name, shrink)
      record.accounts = record.accounts or {}
      table.insert(record.accounts, account)
      return account
    end,
  }, "ctx.cache_memory")
end

local function context(self, record)
  local ctx = {
    name = record.name,
    version = record.manifest.version,
    folder = record.folder,
    conn = self.conn,
    is_closed = function() -- no connection yet, or not any more; from the moment on that it is being closed
      return self.conn == nil or self.leaving
    end,
    config = freeze.deep(record.config, "the configuration of " .. record.name),
    settings = self.settings,
    log = self.logger(record.name),
    hooks = self.hooks,
    plugin = plugin_of(self, record),
    universe = self.face,
    report = runtime.report,
    handlers = function()
      return handlers.new(tasks.call)
    end,
    call_handler = tasks.call,
    spawn = spawn_of(record),
    waiter = tasks.waiter,
    room = room.maker(tasks),
    at_task_end = tasks.at_end,
    can_wait = function()
      return not self.in_gc and tasks.can_wait()
    end,
    clock = runtime.mono,
    process = freeze.table(process, "ctx.process"),
    folders = freeze.table({ names = runtime.core.folder_names, make = runtime.core.make_folder }, "ctx.folders"),
    cache_memory = cache_memory_of(self, record),
    listen = listen_of(record),
    check = check,
    freeze = freeze.table,
    log_filter = function(fn)
      check.type(fn, "callable", 1, "log_filter", "fn")
      local filter = runtime.log.add_filter(fn)
      self.filters[#self.filters + 1] = filter
      return filter
    end,
  }
  record.ctx = ctx
  return freeze.table(ctx, "ctx")
end

local function services(self)
  return {
    clock = runtime.core.mono,
    logger = self.logger,
    context = function(record)
      return context(self, record)
    end,
    after_stop = function(record)
      for task in pairs(record.tasks or {}) do
        task:cancel()
      end
      for _, account in ipairs(record.accounts or {}) do
        account:close()
      end
      for _, listening in ipairs(record.listeners or {}) do
        listening:close()
      end
      record.accounts, record.listeners = nil, nil
    end,
  }
end

-- opening ------------------------------------------------------------------------------------------------------------

-- The connection holds the universe, and this the manager: who has anything that was got from a manager has it whole.
local function set_conn(self, conn)
  if self.conn then connection.hold(self.conn, nil) end
  if conn then connection.hold(conn, self) end
  self.conn = conn
  for _, record in pairs(self.host.records) do
    if record.ctx then record.ctx.conn = conn end
  end
end

local function closed_error(self)
  return errors.new("ConnectionError", self.target.text .. ": the universe is closed", { code = "CLOSED", retryable = false })
end

local function end_filters(self)
  for _, filter in ipairs(self.filters) do
    filter.cancel()
  end
  self.filters = {}
end

-- The server is away: a plugin that knows what to do then may have kept its schema.
local function open_away(self, how, err)
  if self.config.backend ~= "spacetimedb" or not err.retryable then return nil, err end
  local schema = self.host:kept_schema(self.settings, self.target.text)
  if not schema then return nil, err end
  local known = { schema = schema }
  for key, value in pairs(how) do known[key] = value end
  local conn, why = connect.open(self.target, known)
  self.logger("universe").warn("%s is away: %s; %s", self.target.text, err.message,
    conn and "it is opened with the schema that it had" or ("the schema that it had is of no use: %s"):format(why.message))
  if not conn then return nil, err end
  return conn
end

-- Opened while the server is away: plugins that could not start without it start when it is there. One without which the universe may not be open closes
-- it then.
local function start_the_rest(self, conn)
  local starting, listening = false, nil
  listening = conn:on_state(function(now)
    if now.phase ~= "connected" or starting or self.state ~= "open" then return end
    starting = true
    self.host:start_again()
    self.host:start()
    starting = false
    if self.state ~= "open" then return self.host:stop() end -- closed meanwhile
    if conn:state().phase ~= "connected" then return end -- away again
    listening:cancel()
    local missing = self.host:missing()
    if not missing then
      self.partial = false
      return
    end
    runtime.report(missing, self.target.text .. " was opened while its server was away, and is closed now that it is there")
    local ok, err = self:close()
    if not ok then runtime.report(err, "closing " .. self.target.text) end
  end)
end

local function undo(self)
  self.host:stop(self.kept)
  self.host:start_again()
  end_filters(self)
  local conn = self.conn
  set_conn(self, nil)
  self.state = "new"
  if conn then conn:close() end
end

local function check_initialize(options)
  for key, value in pairs(options) do
    if not INITIALIZE_OPTIONS[key] then
      return nil, errors.new("ValidationError", ("initialize: unknown option '%s'%s"):format(tostring(key),
        suggest.hint(tostring(key), INITIALIZE_OPTIONS)))
    end
    if type(value) ~= "boolean" then
      return nil, errors.new("ValidationError", ("initialize: %s: true or false expected, got %s"):format(key, type(value)))
    end
  end
  return true
end

---Opens the connection, then the other plugins. `on_opened(conn)` runs in between; `prepare()`, asked for by options.deploy, before.
---@param options? { deploy?: boolean }
---@param on_opened? fun(conn: inner_universe.Connection): any, any
---@param prepare? fun(): any, any
---@return true?, inner_universe.Error?
function Universe:initialize(options, on_opened, prepare)
  if self.state == "open" then return true end
  if self.state == "opening" then return nil, errors.new("ConnectionError", self.target.text .. ": is being opened already") end
  if self.state ~= "new" then return nil, closed_error(self) end
  local ok, err = check_initialize(options or {})
  if not ok then return nil, err end
  self.state = "opening"
  runtime.set_core_level(self.config.log_level)
  if options and options.deploy and prepare then
    ok, err = prepare()
    if self.state ~= "opening" then return nil, closed_error(self) end
    if not ok then
      self.state = "new"
      return nil, err
    end
  end
  local conn
  local how = connect.options_of(self.config)
  if self.modules ~= nil then how.module = self.modules end
  conn, err = connect.open(self.target, how)
  self.partial = false
  if not conn and self.state == "opening" then
    conn, err = open_away(self, how, err)
    self.partial = conn ~= nil
  end
  if not conn then
    self.state = "new"
    return nil, err
  end
  set_conn(self, conn)
  self.kept = #self.host.started
  local protected, done, why = pcall(on_opened or function() return true end, conn)
  if not protected or not done then
    if self.state == "opening" then undo(self) end
    if not protected then return nil, errors.wrap("PluginError", MANAGER .. " failed to initialize", done) end
    return nil, why or errors.new("PluginError", MANAGER .. " failed to initialize")
  end
  if self.state ~= "opening" then return nil, closed_error(self) end
  self.host:start()
  if self.partial and self.state == "opening" and conn:state().phase == "connected" then -- it came back meanwhile
    self.host:start_again()
    self.host:start()
    self.partial = conn:state().phase ~= "connected"
  end
  if self.state ~= "opening" then return nil, closed_error(self) end -- a plugin closed it
  local missing = self.host:missing()
  if missing then
    undo(self)
    return nil, missing
  end
  self.state = "open"
  if self.partial then start_the_rest(self, conn) end
  self.logger("universe").info("%s is open", self.target.text)
  return true
end

-- closing ------------------------------------------------------------------------------------------------------------

-- Close callbacks of handles run by the loop; only plain code may turn it.
local function drain_loop()
  if tasks.mode() == "loop" then runtime.core.loop_turn(0) end
end

local function close_connection(conn, in_gc)
  if in_gc then return connection.close_in_gc(conn) end
  return conn:close()
end

---Stops plugins in reverse, ends the connection, stops the plugins that were there before it, drains the loop. Idempotent. When a task is closing already
---and waits for the journal, the connection is closed here and now: after this call nothing is left to be saved.
---@param options? { gc?: boolean }
---@return true?, inner_universe.Error?
function Universe:close(options)
  if self.state == "closed" then return true end
  local in_gc = options ~= nil and options.gc == true
  if self.state == "closing" then
    if not self.leaving then return true end
    return close_connection(self.conn, in_gc)
  end
  self.state, self.in_gc = "closing", in_gc
  self.host:stop(self.kept or 0, true)
  local ok, err = true, nil
  if self.conn then
    self.leaving = true -- closed for callers from here on, also while the journal is awaited; what is under way has its connection until then (ctx.conn)
    ok, err = close_connection(self.conn, in_gc)
    set_conn(self, nil)
    self.leaving = false
  end
  self.host:stop()
  self.state = "closed"
  if not in_gc then drain_loop() end
  self.logger("universe").info("%s is closed", self.target.text)
  end_filters(self)
  if not ok then return nil, err end
  return true
end

-- What plugins see: functions without self.
local function make_face(self)
  return freeze.table({
    target = self.target.text,
    initialize = function(options, on_opened, prepare)
      return self:initialize(options, on_opened, prepare)
    end,
    close = function(options)
      return self:close(options)
    end,
    is_open = function()
      return self.state == "open"
    end,
    is_closed = function()
      return self.state == "closed" or self.state == "closing"
    end,
    is_partial = function() -- opened while its server was away: plugins that need it have not been started
      return self.partial
    end,
    plugin = function(name)
      return self.host:get(name)
    end,
    plugins = function()
      return self.host:list()
    end,
    health = function()
      return self.host:health()
    end,
  }, "ctx.universe")
end

---A universe whose manager is started but not initialized.
---@param cfg inner_universe.Config
---@param modules? any what the option `module` of connect takes, in place of the configuration's
---@return table? manager
---@return inner_universe.Error?
function universe.new(cfg, modules)
  local parsed, err = target.of_config(cfg)
  if not parsed then return nil, err end
  local self = setmetatable({ config = cfg, target = parsed, modules = modules, state = "new", partial = false, leaving = false, filters = {} }, Universe)
  self.settings = freeze.deep(cfg:to_table(), "the configuration")
  self.logger = function(source)
    return runtime.log.logger(source, cfg.log_level)
  end
  self.hooks = freeze.table(hooks.new(runtime.report, function(text) self.logger("universe").warn("%s", text) end), "hooks")
  self.face = make_face(self)
  self.cache_memory = cache_memory.new(cfg.cache_size_mb << 20)
  self.host = plugin_host.new({
    api = API_VERSION, plugins = cfg:to_table().plugins, services = services(self), default = default_plugins(cfg),
  })
  self.host:read()
  self.host:validate()
  self.host:start(MANAGER)
  local manager
  manager, err = self.host:get(MANAGER)
  if manager == nil then
    self.host:stop()
    return nil, err
  end
  return manager
end

---The same, initialized; nothing is left of one that cannot be.
---@param cfg inner_universe.Config
---@param modules? any
---@return table? manager
---@return inner_universe.Error?
function universe.open(cfg, modules)
  local manager, err = universe.new(cfg, modules)
  if not manager then return nil, err end
  local ok
  ok, err = manager:initialize()
  if ok then return manager end
  manager:shutdown()
  return nil, err
end

---The plugins of a configuration, read and validated but not started: rows as `host:list()`.
---@param cfg inner_universe.Config
---@return table[]
function universe.plugins(cfg)
  local quiet = runtime.log.logger("plugins", "off")
  local host = plugin_host.new({
    api = API_VERSION,
    plugins = cfg:to_table().plugins,
    default = default_plugins(cfg),
    services = { logger = function() return quiet end, clock = runtime.core.mono, context = function() end },
  })
  host:read()
  host:validate()
  return host:list()
end

return universe
