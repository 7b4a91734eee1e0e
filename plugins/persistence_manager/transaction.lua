-- transaction.lua: manager:transaction(fn): all of a function's writes or none, the same way on every backend.
--
-- The transaction's writes are kept here as operations; what it read by id is remembered as bytes. When the function returns, one call of
-- the reducer `transact` proves with `Expect` operations that what was read is still as it was, and applies the writes; what changed meanwhile makes
-- it start again. Reads see the writes: by id from what is kept, queries by laying it over the rows that the universe answers (those rows
-- are not proven). A call whose outcome a lost connection leaves unknown is made again with the same request key, which the module applies once.
--
-- Operations are kept encoded (`conn:batch`), and what one creates is made a table again only when it is read: the overlay has its number
-- instead. With the first one that the batch refuses they become tables all, and the call says what is wrong with it.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local codec = plugin.load "codec"
local query = plugin.load "query"
local note_writes = plugin.load("writes").note
local rows = plugin.load "rows"

local uuid, write = iu.uuid, rows.write
local ENTITY_DEFAULTS, RELATION_DEFAULTS = codec.ENTITY_DEFAULTS, codec.RELATION_DEFAULTS
local ATTEMPTS = 10 -- of the function, while others change what it read
local RESENDS = 20 -- of one call whose outcome is unknown
local RESEND_PAUSE = 0.25 -- seconds, for the connection to come back
local NOT_FOUND = { entity = "EntityNotFoundError", relation = "RelationNotFoundError" }
local DELETED = {}
local JOIN = { { "operation", "string" }, { "fields", "table" } } -- arguments of tx:join; all others' are the manager's
local CLOSED = "manager is closed or not initialized"

-- Operations that have a method here, whose reads see them; all others may be joined.
local OWN = {
  CreateEntity = "create_entity", UpdateEntity = "update_entity", DeleteEntity = "delete_entity", CreateRelation = "create_relation",
  UpdateRelation = "update_relation", DeleteRelation = "delete_relation", PublishEvent = "publish_event",
}

return function(ctx)
  local check = ctx.check

  ---@class inner_universe.Transaction
  local Tx = {}
  local metatable = {
    __name = "inner_universe.Transaction",
    __index = Tx,
    __tostring = function() return "transaction" end,
  }

  local function not_found(kind, id)
    return nil, codec.not_found(NOT_FOUND[kind], kind, id)
  end

  local function open(tx, method)
    if tx.over then error(("the transaction is over ('%s' called after its function returned)"):format(method), 3) end
  end

  local function note(tx, tag, value)
    local operation, batch = { tag = tag, value = value }, tx.batch
    if batch then
      if batch:put(operation) then return end
      tx.batch = false
      for i = 1, #batch do tx.operations[i] = (batch:get(i)) end
    end
    tx.operations[#tx.operations + 1] = operation
  end

  -- What the transaction itself has made of the row, or DELETED; nil: nothing.
  local function own_row(tx, kind, id)
    local mine = tx.overlay[kind][id]
    if math.type(mine) ~= "integer" then return mine end
    local operation, at = tx.added:get(mine)
    local row = operation.value
    row.created_at = at
    if kind == "entity" then row.updated_at = at end
    tx.overlay[kind][id] = row
    return row
  end

  -- The row as it is for this transaction; nil where there is none. What comes from the universe will have to be proven.
  local function row_of(tx, kind, id)
    local mine = own_row(tx, kind, id)
    if mine == DELETED then return nil end
    if mine then return mine end
    local seen = tx.seen[kind][id]
    if seen then return seen.row end
    local row, err = ctx.conn:get(kind, id)
    if err then return nil, err end
    local bytes
    if row then
      bytes, err = ctx.conn:row_bytes(kind, row)
      if not bytes then return nil, err end
    end
    tx.seen[kind][id] = { row = row, bytes = bytes }
    tx.expects[#tx.expects + 1] = { tag = "Expect", value = { table = kind, key = id, row = bytes } }
    return row
  end

  -- What a row that is to be updated is, for hooks that want to know.
  local function type_of(tx)
    return function(kind, id)
      local row, err = row_of(tx, kind, id)
      if not row then return nil, err end
      return row[kind .. "_type"]
    end
  end

  local function get(tx, kind, id)
    local row, err = row_of(tx, kind, id)
    if err then return nil, err end
    if not row then return not_found(kind, id) end
    return codec[kind](row)
  end

  -- The rows that match, with this transaction's own among them.
  local function select(tx, kind, spec)
    local selection, err = query.selection(spec or {}, kind)
    if not selection then return nil, err end
    if next(tx.overlay[kind]) == nil then return ctx.conn:select(kind, selection) end
    local found
    found, err = ctx.conn:select(kind, { filters = selection.filters })
    if not found then return nil, err end
    local all = {}
    for _, row in ipairs(found) do
      if tx.overlay[kind][row.id] == nil then all[#all + 1] = row end
    end
    for id in pairs(tx.overlay[kind]) do
      local row = own_row(tx, kind, id)
      if row ~= DELETED then all[#all + 1] = row end
    end
    return ctx.conn:select_from(kind, all, selection)
  end

  local function query_rows(tx, kind, spec)
    local found, matched = select(tx, kind, spec)
    if not found then return nil, matched end
    local decoded, err = codec.all(found, codec[kind])
    if not decoded then return nil, err end
    return decoded, matched
  end

  ---@return string? id
  ---@return inner_universe.Error? err
  function Tx:create_entity(entity_type, metadata, id)
    open(self, "create_entity")
    local batch, written = self.batch, false
    if batch and (id == nil or type(id) == "string") then
      local err
      id = id or uuid()
      metadata, err = write("entity", metadata, id, entity_type)
      if err ~= nil then return nil, err end
      written = true
      local number = batch:add(ENTITY_DEFAULTS, "CreateEntity", entity_type, metadata, id)
      if number then
        self.overlay.entity[id] = number
        return id
      end
    end
    check.arguments(ARGUMENTS.create_entity, "create_entity", entity_type, metadata, id)
    local encoded, err
    id = id or uuid()
    if not written then metadata, err = write("entity", metadata, id, entity_type) end
    if err ~= nil then return nil, err end
    encoded, err = codec.entity_metadata(metadata)
    if not encoded then return nil, err end
    note(self, "CreateEntity", { entity_type = entity_type, metadata = encoded, id = id })
    local now = iu.now()
    self.overlay.entity[id] = { id = id, entity_type = entity_type, created_at = now, updated_at = now, metadata = encoded }
    return id
  end

  function Tx:get_entity(id)
    open(self, "get_entity")
    check.arguments(ARGUMENTS.get_entity, "get_entity", id)
    return get(self, "entity", id)
  end

  -- A changed copy takes the row's place.
  local function update(tx, kind, tag, id, encoded)
    local row, err = row_of(tx, kind, id)
    if err then return nil, err end
    if not row then return not_found(kind, id) end
    local changed = {}
    for key, value in pairs(row) do changed[key] = value end
    changed.metadata = encoded
    if changed.updated_at then changed.updated_at = iu.now() end
    note(tx, tag, { id = id, metadata = encoded })
    tx.overlay[kind][id] = changed
    return true
  end

  ---@return true? ok
  ---@return inner_universe.Error? err
  function Tx:update_entity(id, metadata)
    open(self, "update_entity")
    check.arguments(ARGUMENTS.update_entity, "update_entity", id, metadata)
    local encoded, err
    metadata, err = write("entity", metadata, id, nil, type_of(self))
    if err ~= nil then return nil, err end
    encoded, err = codec.entity_metadata(metadata)
    if not encoded then return nil, err end
    return update(self, "entity", "UpdateEntity", id, encoded)
  end

  ---@return true? ok
  ---@return inner_universe.Error? err
  function Tx:delete_entity(id, options)
    open(self, "delete_entity")
    check.arguments(ARGUMENTS.delete_entity, "delete_entity", id, options)
    local ok, err = check.options("delete_entity", options, codec.DELETE_OPTIONS)
    if not ok then return nil, err end
    local cascade = options ~= nil and options.cascade or false
    local row
    row, err = row_of(self, "entity", id)
    if err then return nil, err end
    if not row then return not_found("entity", id) end
    for _, column in ipairs { "from_entity", "to_entity" } do
      local relations
      relations, err = select(self, "relation", { [column] = id })
      if not relations then return nil, err end
      if #relations > 0 and not cascade then
        return nil, iu.errors.new("ConflictError", ("entity %s still has relations (cascade deletes them, too)"):format(codec.shown(id)))
      end
      for _, relation in ipairs(relations) do self.overlay.relation[relation.id] = DELETED end
    end
    note(self, "DeleteEntity", { id = id, cascade = cascade })
    self.overlay.entity[id] = DELETED
    return true
  end

  function Tx:query_entities(spec)
    open(self, "query_entities")
    check.arguments(ARGUMENTS.query_entities, "query_entities", spec)
    return query_rows(self, "entity", spec)
  end

  ---@return string? id
  ---@return inner_universe.Error? err
  function Tx:create_relation(from_entity, to_entity, relation_type, metadata, id)
    open(self, "create_relation")
    local batch, written = self.batch, false
    if batch and (id == nil or type(id) == "string") then
      local err
      id = id or uuid()
      metadata, err = write("relation", metadata, id, relation_type)
      if err ~= nil then return nil, err end
      written = true
      local number = batch:add(RELATION_DEFAULTS, "CreateRelation", from_entity, to_entity, relation_type, metadata, id)
      if number then
        self.overlay.relation[id] = number
        return id
      end
    end
    check.arguments(ARGUMENTS.create_relation, "create_relation", from_entity, to_entity, relation_type, metadata, id)
    local encoded, err
    id = id or uuid()
    if not written then metadata, err = write("relation", metadata, id, relation_type) end
    if err ~= nil then return nil, err end
    encoded, err = codec.relation_metadata(metadata)
    if not encoded then return nil, err end
    note(self, "CreateRelation",
      { from_entity = from_entity, to_entity = to_entity, relation_type = relation_type, metadata = encoded, id = id })
    self.overlay.relation[id] = {
      id = id, from_entity = from_entity, to_entity = to_entity, relation_type = relation_type, created_at = iu.now(), metadata = encoded,
    }
    return id
  end

  function Tx:get_relation(id)
    open(self, "get_relation")
    check.arguments(ARGUMENTS.get_relation, "get_relation", id)
    return get(self, "relation", id)
  end

  ---@return true? ok
  ---@return inner_universe.Error? err
  function Tx:update_relation(id, metadata)
    open(self, "update_relation")
    check.arguments(ARGUMENTS.update_relation, "update_relation", id, metadata)
    local encoded, err
    metadata, err = write("relation", metadata, id, nil, type_of(self))
    if err ~= nil then return nil, err end
    encoded, err = codec.relation_metadata(metadata)
    if not encoded then return nil, err end
    return update(self, "relation", "UpdateRelation", id, encoded)
  end

  ---@return true? ok
  ---@return inner_universe.Error? err
  function Tx:delete_relation(id)
    open(self, "delete_relation")
    check.arguments(ARGUMENTS.delete_relation, "delete_relation", id)
    local row, err = row_of(self, "relation", id)
    if err then return nil, err end
    if not row then return not_found("relation", id) end
    note(self, "DeleteRelation", { id = id })
    self.overlay.relation[id] = DELETED
    return true
  end

  function Tx:query_relations(spec)
    open(self, "query_relations")
    check.arguments(ARGUMENTS.query_relations, "query_relations", spec)
    return query_rows(self, "relation", spec)
  end

  ---@return string? id
  ---@return inner_universe.Error? err
  function Tx:publish_event(event_type, data, source)
    open(self, "publish_event")
    check.arguments(ARGUMENTS.publish_event, "publish_event", event_type, data, source)
    local id = uuid()
    local text, err
    data, err = write("event", data, id, event_type)
    if err ~= nil then return nil, err end
    text, err = codec.data(data)
    if not text then return nil, err end
    note(self, "PublishEvent", { event_type = event_type, source = source or "", data = text, id = id })
    return id
  end

  --- Joins any other operation of the reducer `transact` to the writes, as the core takes it: tx:join("PutRecord", { key = ..., value = text,
  --- expected_revision = 0 }). For plugins, whose rows then change with the user's, or not at all. The module judges it when the writes apply.
  ---@param operation string its name in core/module/README.md
  ---@param fields table
  ---@return true? ok
  ---@return inner_universe.Error? err
  function Tx:join(operation, fields)
    open(self, "join")
    check.arguments(JOIN, "join", operation, fields)
    if OWN[operation] then
      return nil, iu.errors.new("ValidationError", ("join: operation: %s has a method of its own, tx:%s"):format(operation, OWN[operation]))
    end
    note(self, operation, fields)
    return true
  end

  -- What a commit sends, and how many operations that is.
  local function pending(tx)
    local operations = table.move(tx.expects, 1, #tx.expects, 1, {})
    local count = #operations + #tx.operations
    if tx.batch and #tx.batch > 0 then
      count = count + #tx.batch
      operations[#operations + 1] = tx.batch
    end
    return table.move(tx.operations, 1, #tx.operations, #operations + 1, operations), count
  end

  --- Has the universe do everything so far and undo it: true where a commit now would be applied, or nil and why it would not. Events, row callbacks and
  --- whatever else a commit brings do not come.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function Tx:rehearse()
    open(self, "rehearse")
    if ctx.is_closed() then check.raise(CLOSED) end
    local operations, count = pending(self)
    operations[#operations + 1] = { tag = "Expect", value = { table = "config", key = "rehearsal " .. uuid(), row = "" } } -- which does not hold: all is undone
    local ok, err = ctx.conn:call("transact", operations)
    if ok then return nil, iu.errors.new("PersistenceError", "rehearse: the universe took an expectation that does not hold") end
    if err.kind == "ConflictError" and err.message:find(("operations[%d] "):format(count), 1, true) == 1 then return true end
    return nil, err
  end

  local arguments = { join = JOIN }
  for name in pairs(Tx) do arguments[name] = arguments[name] or ARGUMENTS[name] end
  ctx.hooks.describe("tx", Tx, arguments)

  -- ---- running one ----

  local function begin()
    local batch = ctx.conn:batch("transact") or false
    return setmetatable({
      batch = batch, added = batch, operations = {}, expects = {}, overlay = { entity = {}, relation = {} },
      seen = { entity = {}, relation = {} }, over = false,
    }, metatable)
  end

  -- One `transact`; again with the same key while nobody knows whether it was applied.
  local function commit(tx, conn)
    local operations, count = pending(tx)
    if count == 0 then return true end
    note_writes(count)
    if ctx.is_closed() then
      return nil, iu.errors.new("ConnectionError", "the manager was closed before the transaction was applied", { code = "CLOSED", retryable = false })
    end
    local key = iu.uuid()
    for resend = 0, RESENDS do
      local ok, err = conn:call("transact", operations, key)
      if ok then return true end
      local away = resend > 0 and err.kind == "ConnectionError" and err.code == "CONNECTION"
      if err.code ~= "UNKNOWN_OUTCOME" and not away or conn:is_closed() or resend == RESENDS then return nil, err end
      iu.sleep(RESEND_PAUSE)
    end
  end

  local function finish(tx, results)
    if not results[1] then return nil, iu.errors.from(results[2]) end
    if results[2] == nil and iu.errors.is(results[3]) then return nil, results[3] end
    local ok, err = commit(tx, ctx.conn)
    if not ok then return nil, err, true end
    return results
  end

  local function attempt(fn)
    local tx = begin()
    local results = table.pack(pcall(fn, tx))
    tx.over = true
    local done, err, retry = finish(tx, results)
    if tx.added then tx.added:close() end
    return done, err, retry
  end

  --- Runs fn(tx) and applies all its writes, or none: when it raises, when it returns nil and an error, or when a write is refused. What it read
  --- by id is as it was at the moment the writes apply; where others changed it meanwhile, fn runs again. Its results.
  ---@param fn fun(tx: inner_universe.Transaction): ...
  return function(fn)
    local results, err, retry
    for _ = 1, ATTEMPTS do
      results, err, retry = attempt(fn)
      if results then
        if results.n == 1 then return true end
        return table.unpack(results, 2, results.n)
      end
      if not (retry and err.kind == "ConflictError") then return nil, err end
    end
    return nil, err
  end
end
