-- init.lua: makes the manager: its class through the hook dispatcher, the client beside it, the answers for fields that are other plugins.

local iu = require "inner_universe"

local plugin = ...
local make_methods = plugin.load "manager"
local make_client = plugin.load "client"
local add_indexes = plugin.load "indexes"
local add_graph = plugin.load "graph"
local add_time_travel = plugin.load "time_travel"
local row_history = plugin.load "row_history"
local rows = plugin.load "rows"
local writes = plugin.load "writes"

local M = {}

-- The module's own switches follow the configuration of whoever opens the file as its owner; a server keeps its own, and they are told apart.
local function apply_features(ctx, conn)
  local on_server = ctx.settings.backend == "spacetimedb"
  if not conn:is_owner() and not on_server then return true end
  local wanted = ctx.settings.features.enable_audit_log and "true" or "false"
  local row, err = conn:get("config", "enable_audit_log")
  if err then return nil, err end
  local there = row and row.value or "true"
  if there == wanted then return true end
  if on_server then
    ctx.log.warn("features.enable_audit_log: the server's config says %s, which holds here too", there)
    return true
  end
  return conn:call("update_config", "enable_audit_log", wanted, "Whether writes are logged as events.")
end

-- What a database must have to be a universe: told apart from any other module, and from another version of this one.
local SCHEMA_VERSION = "1"

-- Who has to upgrade, where a universe's schema is another than this library's.
local function check_version(ctx, conn)
  local row, err = conn:get("config", "schema_version")
  if err then return nil, err end
  local on_server = ctx.settings.backend == "spacetimedb"
  if not row and not on_server then return true end -- new, and somebody else is its owner
  local version = row and row.value or "unknown"
  if version == SCHEMA_VERSION then return true end
  local theirs = math.tointeger(tonumber(version))
  local newer = theirs ~= nil and theirs > math.tointeger(SCHEMA_VERSION)
  local way = newer and "this library is the older one: upgrade it"
    or on_server and ("the module is the older one: manager:initialize{ deploy = true } publishes this library's, `iu server publish %s FILE` a file")
      :format(ctx.settings.database)
    or "the universe is the older one: upgrade it with `iu migrate up`"
  local text = ("%s: its schema version is %s, this library works with %s; %s"):format(ctx.universe.target, version, SCHEMA_VERSION, way)
  return nil, iu.errors.new("MigrationError", text, { code = "SCHEMA_VERSION",
    details = { schema_version = version, expected = SCHEMA_VERSION, upgrade = newer and "library" or "universe" } })
end

local function check_module(ctx, conn)
  if ctx.settings.backend ~= "spacetimedb" then return check_version(ctx, conn) end
  local function wrong(what)
    return nil, iu.errors.new("MigrationError",
      ("%s: %s; manager:initialize{ deploy = true } publishes it, `iu server publish %s FILE` a file")
        :format(ctx.universe.target, what, ctx.settings.database))
  end
  local schema = conn:schema()
  for _, name in ipairs { "entity", "relation", "event_log", "event_head", "config", "state_version" } do
    if not schema.tables[name] then return wrong(("its module is not NERV's: it has no table `%s`"):format(name)) end
  end
  for _, name in ipairs { "create_entity", "create_relation", "publish_event", "commit_state_version", "transact" } do
    if not schema.reducers[name] then return wrong(("its module is not NERV's: it has no reducer `%s`"):format(name)) end
  end
  return check_version(ctx, conn)
end

function M.start(ctx)
  local manager
  local controller = ctx.plugin("controller")
  local row_hooks = rows.start(ctx)
  local methods = make_methods(ctx)
  local restore_indexes = add_indexes(ctx, methods)
  add_time_travel(ctx, methods, add_graph(ctx, methods))
  local client = make_client(ctx, methods, function() return manager end)
  local class = ctx.hooks.class("manager", methods, {
    index = function(key)
      if ctx.conn == nil then return nil end
      return (ctx.universe.plugin(key))
    end,
    close = function(_, in_gc) return ctx.universe.close { gc = in_gc } end,
    tostring = function() return ("manager of %s"):format(ctx.universe.target) end,
  })
  if ctx.settings.history ~= nil then row_history.follow(ctx) end
  manager = class.new {
    client = client, controller = controller, hooks = ctx.hooks, rows = row_hooks, every_writes = writes.every,
    prepare = function() return controller.deploy() end,
    on_opened = function(conn)
      local ok, err = check_module(ctx, conn)
      if ok then ok, err = apply_features(ctx, conn) end
      if ok then ok, err = row_history.apply(ctx, conn) end
      if not ok then return nil, err end
      return restore_indexes(conn)
    end,
  }
  return manager
end

return M
