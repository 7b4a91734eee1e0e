-- init.lua: makes the manager: its class through the hook dispatcher, the client beside it, the answers for fields that are other plugins.

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local make_methods = plugin.load "manager"
local make_client = plugin.load "client"
local add_indexes = plugin.load "indexes"
local add_graph = plugin.load "graph"
local add_time_travel = plugin.load "time_travel"
local row_history = plugin.load "row_history"
local fitting = plugin.load "fitting"
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

-- What is done with a connection that is there for the first time.
local function begin(ctx, conn, restore_indexes)
  local ok, err = fitting.check(ctx, conn)
  if ok then ok, err = apply_features(ctx, conn) end
  if ok then ok, err = row_history.apply(ctx, conn) end
  if not ok then return nil, err end
  return restore_indexes(conn)
end

-- Opened while the server is away, with the schema that it had: the rest is done when it is there.
local function begin_later(ctx, conn, restore_indexes)
  local busy, listening = false, nil
  listening = conn:on_state(function(now)
    if now.phase ~= "connected" or busy then return end
    busy = true
    local ok, err = begin(ctx, conn, restore_indexes)
    busy = false
    if ok or not err.retryable then listening:cancel() end -- else it is away again
    if not ok and not err.retryable then ctx.report(err, "the server's module, which could not be looked at before") end
  end)
  return fitting.check_schema(ctx, conn)
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
    arguments = ARGUMENTS,
    index = function(key)
      if ctx.is_closed() then return nil end
      return (ctx.universe.plugin(key))
    end,
    close = function(_, in_gc) return ctx.universe.close { gc = in_gc } end,
    tostring = function() return ("manager of %s"):format(ctx.universe.target) end,
  })
  if ctx.settings.history ~= nil then row_history.follow(ctx) end
  manager = class.new {
    client = client, controller = controller, hooks = ctx.hooks, rows = row_hooks, every_writes = writes.every,
    prepare = function() return controller.deploy() end,
    fits = fitting.of_connection(ctx),
    on_opened = function(conn)
      if conn:state().phase == "connected" then return begin(ctx, conn, restore_indexes) end
      return begin_later(ctx, conn, restore_indexes)
    end,
  }
  return manager
end

return M
