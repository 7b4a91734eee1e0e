-- indexes.lua: manager:create_index, drop_index, indexes: indexes over paths of entities and relations that come back at every open.
--
-- The connection keeps an index, in memory; its definition is a row of plugin_record under KEY. Two spellings of one path are one index.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"

local KEY = "persistence_manager.index:"
local TABLES = { entity = true, relation = true }
local CLOSED = "manager is closed or not initialized"

--- Adds the methods. Answers restore(conn): what is defined is made again; false, err when that could not be read.
return function(ctx, methods)
  local check = ctx.check

  local function invalid(format, ...)
    return nil, iu.errors.new("ValidationError", format:format(...))
  end

  local function check_table(method, name)
    if TABLES[name] then return true end
    return invalid("%s: table: expected entity or relation, got %s", method, name)
  end

  local function key_of(name, path)
    return ("%s%s:%s"):format(KEY, name, path)
  end

  local function made(conn)
    local out = {}
    for _, index in ipairs(conn:indexes()) do out[key_of(index.table, index.path)] = index end
    return out
  end

  --- An ordered index over a path (`properties.age`), a metadata field (`name`, `description`, `strength`, `bidirectional`) or a column that has none
  --- (`updated_at`), for query_entities or query_relations. Kept through transactions and over reopening. true also when it is there already.
  ---@param name "entity"|"relation"
  ---@param path string
  ---@return true? ok
  ---@return inner_universe.Error? err ValidationError: an unknown field, one that has no order or has an index; a server
  function methods:create_index(name, path)
    local conn = ctx.conn
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.create_index, "create_index", name, path)
    local ok, err = check_table("create_index", name)
    if not ok then return nil, err end
    local before = made(conn)
    ok, err = conn:create_index(name, path)
    if not ok then return nil, err end
    local key = key_of(name, path)
    if before[key] or not made(conn)[key] then return true end -- there, by this name or another
    ok, err = conn:call("put_record", key, assert(iu.json.encode { table = name, path = path }), nil, nil)
    if ok then return true end
    conn:drop_index(name, path)
    return nil, err
  end

  ---@param name "entity"|"relation"
  ---@param path string
  ---@return true? ok
  ---@return inner_universe.Error? err ValidationError: no such index
  function methods:drop_index(name, path)
    local conn = ctx.conn
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.drop_index, "drop_index", name, path)
    local ok, err = check_table("drop_index", name)
    if not ok then return nil, err end
    local before = made(conn)
    ok, err = conn:drop_index(name, path)
    if not ok then return nil, err end
    local after = made(conn)
    for key, index in pairs(before) do
      if not after[key] then
        ok, err = conn:call("delete_record", key, nil)
        if not ok then
          conn:create_index(index.table, index.path) -- as it was
          return nil, err
        end
      end
    end
    return true
  end

  --- The indexes that create_index made: table, path, entries, bytes of memory, state: "ready"; "unordered" (a text in it is too long to be ordered by:
  --- it narrows, but gives no order); "broken" (it ran out of memory and is not used; create_index makes it again).
  ---@return { table: string, path: string, entries: integer, bytes: integer, state: string }[]
  function methods:indexes()
    local conn = ctx.conn
    if ctx.is_closed() then check.raise(CLOSED) end
    return conn:indexes()
  end

  return function(conn)
    if ctx.settings.backend == "spacetimedb" or not conn:is_owner() then return true end
    local rows, err = conn:select("plugin_record", { filters = { { field = "key", operator = "StartsWith", value = KEY } } })
    if not rows then return nil, err end
    for _, row in ipairs(rows) do
      local definition, why = iu.json.decode(row.value)
      local ok = false
      if type(definition) == "table" and type(definition.table) == "string" and type(definition.path) == "string" then
        ok, why = conn:create_index(definition.table, definition.path)
      end
      if not ok then ctx.log.warn("%s: the index was not made: %s", row.key, tostring(why or "its definition is damaged")) end
    end
    return true
  end
end
