-- manager.lua: the manager's methods. Each checks argument types (raising at the caller's line), encodes, calls one reducer or read, and
-- answers plain tables. Values are judged by the module, whose refusals come back as nil, err.
--
-- Writes with metadata go to the core as they came (`conn:call_filled`): it reads the tables once, and takes nothing that the checks here would not. What it
-- refuses takes the way through the checks, which say why.
--
-- Ids are made here when the caller gives none: reducers return nothing, and a call with an id is recognisable when repeated.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local codec = plugin.load "codec"
local query = plugin.load "query"
local run_query = plugin.load "run_query"
local row_history = plugin.load "row_history"
local rows = plugin.load "rows"
local search = plugin.load "search"
local make_transaction = plugin.load "transaction"
local note_writes = plugin.load("writes").note

local uuid, write = iu.uuid, rows.write
local ENTITY_DEFAULTS, RELATION_DEFAULTS = codec.ENTITY_DEFAULTS, codec.RELATION_DEFAULTS
local CLOSED = "manager is closed or not initialized"

return function(ctx)
  local check, is_closed = ctx.check, ctx.is_closed
  local methods = {}

  local function type_of(kind, key)
    local row, err = ctx.conn:get(kind, key)
    if not row then return nil, err end
    return row[kind .. "_type"]
  end

  -- ---- life ----

  --- Opens the universe. deploy: on a server, `controller.deploy()` before: the module is published, on a server that is started where none answers; the
  --- embedded engine has nothing to deploy. true, or nil, err.
  ---@param options? { deploy?: boolean }
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:initialize(options)
    if ctx.universe.is_closed() then check.raise("manager is closed") end
    check.arguments(ARGUMENTS.initialize, "initialize", options)
    return ctx.universe.initialize(options or {}, self.on_opened, self.prepare)
  end

  ---@return boolean
  function methods:is_initialized()
    return ctx.universe.is_open()
  end

  --- Waits until everything so far is on disk. true, or nil, err.
  ---@param timeout? number seconds
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:flush(timeout)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.flush, "flush", timeout)
    return ctx.conn:flush(timeout)
  end

  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:shutdown()
    return ctx.universe.close()
  end

  -- Settings are frozen proxies, which JSON would see as empty.
  local function plain(proxy)
    local out = {}
    for key, value in pairs(proxy) do out[key] = value end
    return out
  end

  --- Facts: initialized, backend, target, features, plugins; when open, the connection's numbers and rows by table too. `events` and `history` are nil
  --- while the server that would have to be asked is away.
  ---@return table
  function methods:status()
    local status = {
      initialized = ctx.universe.is_open(), closed = ctx.universe.is_closed(), backend = ctx.settings.backend, target = ctx.universe.target,
      features = plain(ctx.settings.features), plugins = ctx.universe.plugins(),
    }
    if status.initialized then
      local conn = ctx.conn
      status.connection = conn:status()
      status.durability = status.connection.durability
      status.journal = status.connection.journal
      status.recovery = status.connection.recovery
      local head, err = conn:get("event_head", 0)
      if not err then status.events = head and head.count or 0 end
      status.history = not conn:is_closed() and row_history.status(ctx, conn) or nil
      if not ctx.universe.is_open() then return methods.status(self) end -- closed while the server was asked
    end
    return status
  end

  --- The public object of a plugin that runs, or nil, PluginError.
  ---@param name string
  ---@return table? object
  ---@return inner_universe.Error? err
  function methods:plugin(name)
    check.arguments(ARGUMENTS.plugin, "plugin", name)
    return ctx.universe.plugin(name)
  end

  -- ---- entities ----

  --- metadata: { name, description, tags, properties }, all optional. The id.
  ---@param entity_type string
  ---@param metadata? inner_universe.EntityMetadata
  ---@param id? string 1 to 256 bytes; default a new UUIDv7
  ---@return string? id
  ---@return inner_universe.Error? err ValidationError, ConflictError (id taken), AuthorizationError
  function methods:create_entity(entity_type, metadata, id)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    local ok, err
    if id == nil or type(id) == "string" then
      id = id or uuid()
      metadata, err = write("entity", metadata, id, entity_type)
      if err ~= nil then return nil, err end
      ok, err = conn:call_filled(ENTITY_DEFAULTS, "create_entity", entity_type, metadata, id)
      if ok then return id end
      if err then return nil, err end
    end
    check.arguments(ARGUMENTS.create_entity, "create_entity", entity_type, metadata, id)
    local encoded
    encoded, err = codec.entity_metadata(metadata)
    if not encoded then return nil, err end
    ok, err = conn:call("create_entity", entity_type, encoded, id)
    if not ok then return nil, err end
    return id
  end

  ---@param id string
  ---@return inner_universe.Entity? entity
  ---@return inner_universe.Error? err EntityNotFoundError
  function methods:get_entity(id)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    if type(id) ~= "string" then check.arguments(ARGUMENTS.get_entity, "get_entity", id) end
    local row, err = conn:get("entity", id)
    if row then return codec.entity(row) end
    if err then return nil, err end
    return nil, codec.not_found("EntityNotFoundError", "entity", id)
  end

  --- Replaces the metadata. true, or nil, err.
  ---@param id string
  ---@param metadata inner_universe.EntityMetadata
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:update_entity(id, metadata)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    local ok, err
    if type(metadata) == "table" then
      metadata, err = write("entity", metadata, id, nil, type_of)
      if err ~= nil then return nil, err end
      ok, err = conn:call_filled(ENTITY_DEFAULTS, "update_entity", id, metadata)
      if ok or err then return ok, err end
    end
    check.arguments(ARGUMENTS.update_entity, "update_entity", id, metadata)
    local encoded
    encoded, err = codec.entity_metadata(metadata)
    if not encoded then return nil, err end
    return conn:call("update_entity", id, encoded)
  end

  --- options.cascade deletes its relations too; without, an entity that has relations is refused (ConflictError).
  ---@param id string
  ---@param options? { cascade?: boolean }
  ---@return true? ok
  ---@return inner_universe.Error? err ConflictError while it has relations
  function methods:delete_entity(id, options)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    check.arguments(ARGUMENTS.delete_entity, "delete_entity", id, options)
    local ok, err = check.options("delete_entity", options, codec.DELETE_OPTIONS)
    if not ok then return nil, err end
    return conn:call("delete_entity", id, options ~= nil and options.cascade or false)
  end

  --- spec: entity_type, id, tags, filters, order_by, descending, limit, offset, explain. An array of entities, and how many matched
  --- before offset and limit (nil when a full page ended the search early). explain = true: how its rows were found besides, in words.
  ---@param spec? inner_universe.QuerySpec entity_type and id besides
  ---@return inner_universe.Entity[]? entities
  ---@return integer|inner_universe.Error|nil matched
  ---@return string? words
  function methods:query_entities(spec)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query_entities, "query_entities", spec)
    return run_query(conn, "entity", spec or {})
  end

  -- ---- relations ----

  --- metadata: { description, strength, bidirectional, tags, properties }, all optional. The id.
  ---@param from_entity string
  ---@param to_entity string
  ---@param relation_type string
  ---@param metadata? inner_universe.RelationMetadata
  ---@param id? string
  ---@return string? id
  ---@return inner_universe.Error? err EntityNotFoundError for a missing end
  function methods:create_relation(from_entity, to_entity, relation_type, metadata, id)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    local ok, err
    if id == nil or type(id) == "string" then
      id = id or uuid()
      metadata, err = write("relation", metadata, id, relation_type)
      if err ~= nil then return nil, err end
      ok, err = conn:call_filled(RELATION_DEFAULTS, "create_relation", from_entity, to_entity, relation_type, metadata, id)
      if ok then return id end
      if err then return nil, err end
    end
    check.arguments(ARGUMENTS.create_relation, "create_relation", from_entity, to_entity, relation_type, metadata, id)
    local encoded
    encoded, err = codec.relation_metadata(metadata)
    if not encoded then return nil, err end
    ok, err = conn:call("create_relation", from_entity, to_entity, relation_type, encoded, id)
    if not ok then return nil, err end
    return id
  end

  ---@param id string
  ---@return inner_universe.Relation? relation
  ---@return inner_universe.Error? err RelationNotFoundError
  function methods:get_relation(id)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    if type(id) ~= "string" then check.arguments(ARGUMENTS.get_relation, "get_relation", id) end
    local row, err = conn:get("relation", id)
    if row then return codec.relation(row) end
    if err then return nil, err end
    return nil, codec.not_found("RelationNotFoundError", "relation", id)
  end

  ---@param id string
  ---@param metadata inner_universe.RelationMetadata
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:update_relation(id, metadata)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    local ok, err
    if type(metadata) == "table" then
      metadata, err = write("relation", metadata, id, nil, type_of)
      if err ~= nil then return nil, err end
      ok, err = conn:call_filled(RELATION_DEFAULTS, "update_relation", id, metadata)
      if ok or err then return ok, err end
    end
    check.arguments(ARGUMENTS.update_relation, "update_relation", id, metadata)
    local encoded
    encoded, err = codec.relation_metadata(metadata)
    if not encoded then return nil, err end
    return conn:call("update_relation", id, encoded)
  end

  ---@param id string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:delete_relation(id)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    check.arguments(ARGUMENTS.delete_relation, "delete_relation", id)
    return conn:call("delete_relation", id)
  end

  --- spec: from_entity, to_entity, relation_type, id, tags, filters, order_by, descending, limit, offset, explain.
  ---@param spec? inner_universe.QuerySpec from_entity, to_entity, relation_type and id besides
  ---@return inner_universe.Relation[]? relations
  ---@return integer|inner_universe.Error|nil matched
  ---@return string? words
  function methods:query_relations(spec)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query_relations, "query_relations", spec)
    return run_query(conn, "relation", spec or {})
  end

  local function explain(conn, table_name, spec)
    local selection, err = query.selection(spec, table_name)
    if not selection then return nil, err end
    return conn:explain(table_name, selection)
  end

  --- How query_entities would find its rows, in words: an index or a scan, the subscribed rows, or the query a server would be asked.
  ---@param spec? inner_universe.QuerySpec
  ---@return string? words
  ---@return inner_universe.Error? err
  function methods:explain_entities(spec)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.explain_entities, "explain_entities", spec)
    return explain(conn, "entity", spec or {})
  end

  ---@param spec? inner_universe.QuerySpec
  ---@return string? words
  ---@return inner_universe.Error? err
  function methods:explain_relations(spec)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.explain_relations, "explain_relations", spec)
    return explain(conn, "relation", spec or {})
  end

  --- All of SQLite's SQL over the file of an embedded universe, read-only and on another thread: `conn:sql`.
  ---@param text string
  ---@param params? table an array for `?`, names for `:name`
  ---@param options? { iterate?: boolean, arrays?: boolean, max_rows?: integer, max_bytes?: integer, timeout?: number }
  ---@return table[]|inner_universe.SqlCursor|nil rows
  ---@return string[]|inner_universe.Error|nil columns
  function methods:sql(text, params, options)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.sql, "sql", text, params, options)
    return conn:sql(text, params, options)
  end

  --- Entities whose name or description has every word of `text`, best first, each with `rank` (the lower, the better) and `snippet`. Not on servers; the first
  --- search makes the index.
  ---@param text string words; with syntax = "fts5" in the query language of SQLite's FTS5
  ---@param options? { entity_type?: string, limit?: integer, offset?: integer, syntax?: "plain"|"fts5", timeout?: number } limit [100]
  ---@return inner_universe.Entity[]? entities
  ---@return inner_universe.Error? err ValidationError (the query's syntax, a server), TimeoutError
  function methods:search_entities(text, options)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.search_entities, "search_entities", text, options)
    return search.entities(conn, text, options or {})
  end

  --- A copy of the universe's file while it is in use, with everything in it that was acknowledged before the call: `conn:backup`.
  ---@param path string
  ---@param options? { overwrite?: boolean, progress?: fun(done: integer, total: integer), timeout?: number }
  ---@return true? ok
  ---@return inner_universe.Error? err ValidationError (there is a file, no file here), UniverseLockedError, StorageError, TimeoutError
  function methods:backup(path, options)
    local conn = ctx.conn
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.backup, "backup", path, options)
    return conn:backup(path, options)
  end

  -- ---- transactions ----

  local run_transaction = make_transaction(ctx)

  --- Runs fn(tx); its writes through `tx` are applied together when it returns, or not at all: when it raises, when it returns nil and an error, or
  --- when one is refused. tx has create_, get_, update_, delete_ and query_ of entities and relations, and publish_event. What was read by id is proven
  --- to be unchanged; where it is not, fn runs again, and after ten times it is a ConflictError. The function's results.
  ---@param fn fun(tx: inner_universe.Transaction): ...
  ---@return any ...
  function methods:transaction(fn)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.transaction, "transaction", fn)
    return run_transaction(fn)
  end

  -- ---- versions and events, through their plugins ----

  local function needed(name)
    local object, err = ctx.universe.plugin(name)
    if object then return object end
    return nil, err
  end

  --- A state as the next version of a branch; see the temporal store. The version's id.
  ---@param state table|inner_universe.Document
  ---@param description? string
  ---@param options? { branch?: string, author?: string, tags?: string[], metadata?: table, expected_parent?: string }
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function methods:commit_version(state, description, options)
    if is_closed() then check.raise(CLOSED) end
    note_writes(1)
    check.arguments(ARGUMENTS.commit_version, "commit_version", state, description, options)
    local temporal, err = needed("temporal_store")
    if not temporal then return nil, err end
    return temporal:commit_version(state, description, options)
  end

  ---@param version_id string
  ---@param operations inner_universe.Operation[]
  ---@param description? string
  ---@return string? delta_id
  ---@return inner_universe.Error? err
  function methods:record_delta(version_id, operations, description)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.record_delta, "record_delta", version_id, operations, description)
    local temporal, err = needed("temporal_store")
    if not temporal then return nil, err end
    return temporal:record_delta(version_id, operations, description)
  end

  --- data: any JSON value, nil is {}. source: optional text. The event's id.
  ---@param event_type string
  ---@param data? any
  ---@param source? string
  ---@return string? event_id
  ---@return inner_universe.Error? err
  function methods:publish_event(event_type, data, source)
    if is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.publish_event, "publish_event", event_type, data, source)
    return self.client:publish_event(event_type, source, data)
  end

  return methods
end
