-- client.lua: the guide's client, one level below the manager: the same rows, NERV's argument order, and subscriptions to changes.
--
-- It has no state of its own but whether it was asked to disconnect; the connection is the universe's.

local iu = require "inner_universe"

local plugin = ...
local MANAGER_ARGUMENTS = plugin.load "arguments"
local codec = plugin.load "codec"
local row_history = plugin.load "row_history"
local rows = plugin.load "rows"
local run_query = plugin.load "run_query"
local make_operation = plugin.load "operation"
local note_writes = plugin.load("writes").note

local SUBSCRIBER = { { "fn", "callable" }, { "options", "table", "?" } }
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  stored = { { "method", "string" } },
  operation = { { "method", "string" } },
  add_operation = { { "batch", "any" }, { "method", "string" } },
  blamed_operation = { { "err", "table" } },
  commit_state_version = { { "parent_version_id", "string", "?" }, { "description", "string" }, { "data_hash", "string", "?" } },
  record_delta = { { "version_id", "string" }, { "operations", "table" }, { "metadata", "table", "?" } },
  query_deltas = { { "version_id", "string" } },
  publish_event = { { "event_type", "string" }, { "source", "string", "?" }, { "data", "any", "?" }, { "id", "string", "?" } },
  get_state_version = { { "id", "string" } },
  get_event = { { "id", "string" } },
  get_delta = { { "id", "string" } },
  query_from = { { "source", "table" }, { "table_name", "string" }, { "spec", "table", "?" } },
  subscribe_entity_changes = SUBSCRIBER,
  subscribe_relation_changes = SUBSCRIBER,
  subscribe_version_changes = SUBSCRIBER,
  subscribe_event_log_changes = SUBSCRIBER,
  query = { { "sql", "string" } },
}

local SHARED = { -- methods of the manager
  "create_entity", "get_entity", "update_entity", "delete_entity", "query_entities",
  "create_relation", "get_relation", "update_relation", "delete_relation", "query_relations",
}
for _, name in ipairs(SHARED) do ARGUMENTS[name] = MANAGER_ARGUMENTS[name] end

--- ctx, methods (the manager's) and the manager whose connection this client shares.
return function(ctx, methods, get_manager)
  local check, is_closed = ctx.check, ctx.is_closed
  local client = {}

  local CLOSED = "client is not connected"

  local function versioning_on()
    if ctx.settings.features.enable_state_versioning then return true end
    return nil, iu.errors.new("ValidationError", "state versioning is off (features.enable_state_versioning)")
  end

  --- Opens the universe when it is not open yet. true, or nil, err.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function client:connect()
    return get_manager():initialize()
  end

  --- Closes the universe; the same as manager:shutdown().
  ---@return true? ok
  ---@return inner_universe.Error? err
  function client:disconnect()
    return get_manager():shutdown()
  end

  ---@return boolean
  function client:is_connected()
    return not ctx.is_closed() and not ctx.conn:is_closed()
  end

  --- The universe's connection, for what a manager has no words for: tables and reducers of modules in Lua. Nil while the universe is not open.
  ---@return inner_universe.Connection?
  function client:connection()
    return not ctx.is_closed() and ctx.conn or nil
  end

  for _, name in ipairs(SHARED) do
    client[name] = function(_, ...)
      if is_closed() then check.raise(CLOSED) end
      row_history.note(ctx)
      return methods[name](get_manager(), ...)
    end
  end

  local operation = make_operation(ctx)

  --- The arguments of a write of the manager as they are to be stored, after the hooks between values and rows: `true, ...`, or nil and a hook's err. It may
  --- wait.
  ---@param method string
  ---@param ... any the method's arguments
  ---@return true? ok
  ---@return any ...
  function client:stored(method, ...)
    check.arguments(ARGUMENTS.stored, "stored", method)
    return operation.stored(method, ...)
  end

  --- A write of the manager (create_, update_ and delete_ of entity and relation, publish_event) as an operation of the reducer `transact`, { tag, value },
  --- and what the write answers: its id, or true. Nothing is written. For plugins that keep writes, or send them in another way.
  ---@param method string
  ---@param ... any the method's arguments, as `stored` answers them; publish_event takes an id as its fourth
  ---@return table? operation
  ---@return string|true|inner_universe.Error answer
  function client:operation(method, ...)
    check.arguments(ARGUMENTS.operation, "operation", method)
    return operation.of(method, ...)
  end

  --- The same, put behind those of a `conn:batch("transact")`: its number there and what the write answers. nil alone: the batch does not take it, and the
  --- method called by itself would say why.
  ---@param batch inner_universe.Batch
  ---@param method string
  ---@param ... any the method's arguments, as `stored` answers them
  ---@return integer? number
  ---@return string|true|inner_universe.Error|nil answer
  function client:add_operation(batch, method, ...)
    check.arguments(ARGUMENTS.add_operation, "add_operation", batch, method)
    return operation.add(batch, method, ...)
  end

  --- Which operation a refused `transact` blames (from 1), and the refusal as that operation's own call would have worded it; nil where it blames none.
  ---@param err inner_universe.Error
  ---@return integer? number
  ---@return inner_universe.Error? refusal
  function client:blamed_operation(err)
    check.arguments(ARGUMENTS.blamed_operation, "blamed_operation", err)
    return operation.blame(err)
  end

  --- A version without its state: parent (nil or id), description, hash (hex or nil). Its id.
  ---@param parent? string
  ---@param description string
  ---@param data_hash? string
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function client:commit_state_version(parent, description, data_hash)
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    check.arguments(ARGUMENTS.commit_state_version, "commit_state_version", parent, description, data_hash)
    local ok, err = versioning_on()
    if not ok then return nil, err end
    local id = iu.uuid()
    ok, err = ctx.conn:call("commit_state_version", parent or "", description, data_hash or "", "", "", {}, "", "", "", nil, nil, {}, id)
    if not ok then return nil, err end
    return id
  end

  --- A delta beside a version: operations, metadata { description, author, tags, parent_delta_id }. Its id.
  ---@param version_id string
  ---@param operations inner_universe.Operation[]
  ---@param metadata? { description?: string, author?: string, tags?: string[], parent_delta_id?: string }
  ---@return string? delta_id
  ---@return inner_universe.Error? err
  function client:record_delta(version_id, operations, metadata)
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    check.arguments(ARGUMENTS.record_delta, "record_delta", version_id, operations, metadata)
    local ok, err = versioning_on()
    if not ok then return nil, err end
    local encoded
    encoded, err = codec.operations(operations)
    if not encoded then return nil, err end
    metadata = metadata or {}
    local id = iu.uuid()
    ok, err = ctx.conn:call("record_delta", version_id, encoded, {
      description = metadata.description or "", author = metadata.author, tags = metadata.tags or {}, parent_delta_id = metadata.parent_delta_id,
    }, id)
    if not ok then return nil, err end
    return id
  end

  --- The deltas recorded beside a version, oldest first.
  ---@param version_id string
  ---@return inner_universe.Delta[]? deltas
  ---@return inner_universe.Error? err
  function client:query_deltas(version_id)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query_deltas, "query_deltas", version_id)
    local found, err = ctx.conn:select("delta_record", {
      filters = { { field = "state_version_id", operator = "Equals", value = version_id }, { field = "kind", operator = "Equals", value = "recorded" } },
      order_by = "timestamp",
    })
    if not found then return nil, err end
    return codec.all(found, codec.delta)
  end

  --- type, source (nil or text), data (any JSON value; nil is {}). The event's id.
  ---@param event_type string
  ---@param source? string
  ---@param data? any
  ---@param id? string
  ---@return string? event_id
  ---@return inner_universe.Error? err
  function client:publish_event(event_type, source, data, id)
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    if type(event_type) ~= "string" or source ~= nil or id ~= nil then -- the events of most are checked at a glance
      check.arguments(ARGUMENTS.publish_event, "publish_event", event_type, source, data, id)
    end
    id = id or iu.uuid()
    local text, err
    data, err = rows.write("event", data, id, event_type)
    if err ~= nil then return nil, err end
    text, err = codec.data(data)
    if not text then return nil, err end
    local ok
    ok, err = ctx.conn:call("publish_event", event_type, source or "", text, id)
    if not ok then return nil, err end
    return id
  end

  local function reader(method, table_name, decode, kind, what)
    return function(_, id)
      if is_closed() then check.raise(CLOSED) end
      check.arguments(ARGUMENTS[method], method, id)
      local row, err = ctx.conn:get(table_name, id)
      if row then return decode(row) end
      return nil, err or codec.not_found(kind, what, id)
    end
  end

  --- Rows of state_version and entity as users see them.
  client.version_of_row = codec.version
  client.entity_of_row = codec.entity
  client.relation_of_row = codec.relation

  --- query_entities and query_relations over what answers `select` and `explain` as the connection does, for plugins that have rows elsewhere, too.
  ---@param source { select: function, explain: function }
  ---@param table_name "entity"|"relation"
  ---@param spec? inner_universe.QuerySpec
  ---@return table[]? rows
  ---@return integer|inner_universe.Error|nil matched
  ---@return string? words
  function client:query_from(source, table_name, spec)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query_from, "query_from", source, table_name, spec)
    return run_query(source, table_name, spec or {})
  end

  --- The err of `get_entity` for an id that nothing has.
  ---@param id string
  ---@return inner_universe.Error
  function client.entity_not_found(id)
    return codec.not_found("EntityNotFoundError", "entity", id)
  end

  client.get_state_version = reader("get_state_version", "state_version", codec.version, "VersionNotFoundError", "state version")
  client.get_event = reader("get_event", "event_log", codec.event, "PersistenceError", "event")
  client.get_delta = reader("get_delta", "delta_record", codec.delta, "VersionNotFoundError", "delta")

  -- fn(kind, row, old_row), kind "INSERTED", "UPDATED" or "DELETED"; for DELETED row is the row that is gone. Changes only: rows that are
  -- there already are not told, unless options.initial. The handle's cancel ends handlers and subscription.
  local function subscriber(table_name, decoder, method)
    local function decode(row)
      local decoded, err = decoder(row)
      if not decoded then error(err, 0) end -- reported as the handler's
      return decoded
    end
    return function(_, fn, options)
      if is_closed() then check.raise(CLOSED) end
      check.arguments(ARGUMENTS[method], method, fn, options)
      local initial = options and options.initial
      local held = ctx.conn.tables[table_name]
      local handles = {
        held:on_insert(function(row, event)
          if initial or not event.subscribed then fn("INSERTED", decode(row)) end
        end),
        held:on_update(function(row, old) fn("UPDATED", decode(row), decode(old)) end),
        held:on_delete(function(row, event)
          if not event.subscribed then fn("DELETED", decode(row)) end
        end),
      }
      local subscription, err = ctx.conn:subscribe("SELECT * FROM " .. table_name)
      local handle = {}
      function handle:cancel()
        for _, h in ipairs(handles) do h:cancel() end
        handles = {}
        if subscription and subscription:is_active() then subscription:unsubscribe() end
        subscription = nil
      end
      if subscription then return handle end
      handle:cancel()
      return nil, err
    end
  end

  client.subscribe_entity_changes = subscriber("entity", codec.entity, "subscribe_entity_changes")
  client.subscribe_relation_changes = subscriber("relation", codec.relation, "subscribe_relation_changes")
  client.subscribe_version_changes = subscriber("state_version", codec.version, "subscribe_version_changes")
  client.subscribe_event_log_changes = subscriber("event_log", codec.event, "subscribe_event_log_changes")

  --- A one-off query in the subscription SQL; plain rows.
  ---@param sql string
  ---@return table[]? rows
  ---@return inner_universe.Error? err
  function client:query(sql)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query, "query", sql)
    return ctx.conn:query(sql)
  end

  ctx.hooks.describe("client", client, ARGUMENTS)
  return client
end
