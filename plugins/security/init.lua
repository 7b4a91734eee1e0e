-- init.lua: the plugin `security`: its methods, and its hooks between users' values and rows (`rows.*`, plugins/persistence_manager/rows.lua): schemas are
-- checked and values sealed before anything is written, opened when it is read; audit events and log messages are redacted.
--
-- The hooks stay until the universe is closed, longer than the plugin runs: what others still write while they stop is sealed, too.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local add_permissions = plugin.load "permissions"
local keys = plugin.load "keys"
local make_layer = plugin.load "layer"
local make_redaction = plugin.load "redaction"
local make_rotation = plugin.load "rotation"
local make_sealing = plugin.load "sealing"
local settings = plugin.load "settings"

local M = {}
local hooks = {} -- of the start before, where a universe that could not be opened is tried again

function M.validate(config)
  local ok, wrong = settings.read(config)
  if not ok then return nil, wrong end
  return true
end

local function any(patterns)
  return #patterns.entity > 0 or #patterns.relation > 0
end

function M.start(ctx)
  local check = ctx.check
  local set = assert(settings.read(ctx.config))
  local seals = any(set.sealed) or next(set.sealed.events) ~= nil
  local ring = keys.read(set.keys)
  local function get_ring() return ring end
  local sealing = make_sealing(get_ring, ctx.config.accept_plain)
  local redaction = make_redaction(set.redacted, ctx.config.redact_values_max)
  local layer = make_layer(set, sealing, redaction)
  local rotate = make_rotation(ctx, sealing, set.sealed, get_ring)
  local methods = {}

  add_permissions(ctx, methods)

  --- Whether properties are what the schema of that entity type wants, as a write would say. A type without a schema takes anything.
  ---@param entity_type string
  ---@param properties table|inner_universe.Document
  ---@return true? ok
  ---@return inner_universe.Error? err ValidationError, with details { path, value, expected }
  function methods:validate(entity_type, properties)
    check.arguments(ARGUMENTS.validate, "validate", entity_type, properties)
    return layer.validate("entity", entity_type, properties)
  end

  --- The keys that are here, the newest of the first source first; never their bytes.
  ---@return { id: string, source: string, newest: boolean }[]
  function methods:keys()
    local out = iu.array {}
    for i, key in ipairs(ring.list) do out[i] = { id = key.id, source = key.source, newest = key.id == ring.newest } end
    return out
  end

  --- Reads the keys again from where they are. When that fails, those that were there stay.
  ---@return true? ok
  ---@return inner_universe.Error? err AuthorizationError, StorageError: a source that cannot be read, or holds no key
  function methods:reload_keys()
    local fresh = keys.read(set.keys)
    if fresh.err then return nil, fresh.err end
    ring = fresh
    return true
  end

  --- Seals what is sealed with older keys with the newest, in batches; goes on where a call before it was interrupted.
  ---@param options? { batch?: integer, progress?: fun(rows: integer, values: integer) } batch [rotate_batch]
  ---@return { rows: integer, values: integer, key: string }? done rows looked at, values sealed anew, the newest key's id
  ---@return inner_universe.Error? err
  function methods:rotate(options)
    if ctx.is_closed() then check.raise("security is closed") end
    check.arguments(ARGUMENTS.rotate, "rotate", options)
    return rotate(options or {})
  end

  --- Nothing is to be ended: the hooks stay (see above).
  function methods:stop() end -- luacheck: ignore 212

  function methods:health()
    if seals and ring.err then return nil, ("keys: %s"):format(ring.err.message) end
    return true, { keys = #ring.list, newest = ring.newest, sealing = seals }
  end

  for _, hook in ipairs(hooks) do hook:remove() end
  hooks = {}
  local function around(name, fn) hooks[#hooks + 1] = ctx.hooks.around(name, fn) end
  if seals or any(set.redacted) or next(set.schemas.entity) or next(set.schemas.relation) then around("rows.write", layer.on_write) end
  if seals or any(set.redacted) then
    around("rows.read", layer.on_read)
    ctx.log_filter(redaction.message)
  end
  if seals or any(set.redacted) then around("rows.select", layer.on_select) end
  if any(set.redacted) then
    hooks[#hooks + 1] = ctx.hooks.before("create_index", layer.on_index)
  end
  if seals and ring.err then ctx.log.error("keys: %s: sealed fields can neither be written nor read", ring.err.message) end
  return ctx.hooks.class("security", methods, { arguments = ARGUMENTS }).new {}
end

return M
