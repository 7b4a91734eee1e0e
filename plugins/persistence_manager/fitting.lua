-- fitting.lua: what a database must have to be a universe: told apart from any other module, and from another version of this one.

local iu = require "inner_universe"

local fitting = {}

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

--- That a server's module has what is needed, as far as its schema says. true, or nil, MigrationError.
function fitting.check_schema(ctx, conn)
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
  return true
end

--- true, or nil, err: a MigrationError, or the connection went.
function fitting.check(ctx, conn)
  if ctx.settings.backend == "spacetimedb" then
    local ok, err = fitting.check_schema(ctx, conn)
    if not ok then return nil, err end
  end
  return check_version(ctx, conn)
end

--- `manager.fits()`: whether the connection at hand is to a module that this library works with, and no plugin has still to look at it. Asked once per
--- connection; what does not fit may be mended, so that is asked anew.
function fitting.of_connection(ctx)
  local well -- the connection that it was found of
  return function()
    local conn = ctx.conn
    if ctx.is_closed() or conn:is_closed() then
      return nil, iu.errors.new("ConnectionError", ctx.universe.target .. ": the connection is closed", { code = "CLOSED", retryable = false })
    end
    if ctx.universe.is_partial() then
      return nil, iu.errors.new("ConnectionError", ctx.universe.target .. ": plugins are being started", { code = "CONNECTION", retryable = true })
    end
    local id = conn:connection_id()
    if well == id then return true end
    local ok, err = fitting.check(ctx, conn)
    if not ok then return nil, err end
    well = id
    return true
  end
end

return fitting
