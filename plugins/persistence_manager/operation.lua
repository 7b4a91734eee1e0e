-- operation.lua: the manager's writes as operations of the reducer `transact`, for plugins that gather, keep or send them in another way (batch, fallback).
--
-- First `stored` runs the hooks between values and rows (rows.lua) over the arguments; it may wait. Then `of` answers { tag, value } with whole arguments, or
-- `add` puts one behind those of a `conn:batch("transact")`, from the tables as they came where that can be. Both give besides what the write answers: its
-- id where it makes something, else true. What the manager would refuse is nil, ValidationError in the manager's words, wrong Lua types too: who calls for a
-- user checks those.

local iu = require "inner_universe"

local plugin = ...
local codec = plugin.load "codec"
local rows = plugin.load "rows"

local uuid, write = iu.uuid, rows.write
local ENTITY_DEFAULTS, RELATION_DEFAULTS, NOTHING = codec.ENTITY_DEFAULTS, codec.RELATION_DEFAULTS, {}

local function wrong_type(name, expected, value)
  return iu.errors.new("ValidationError", ("%s: %s expected, got %s"):format(name, expected, type(value)))
end

local function text(name, value)
  if type(value) ~= "string" then return wrong_type(name, "string", value) end
end

-- No tags are an array, too, where the operation is written as JSON.
local function whole(metadata)
  if metadata and type(metadata.tags) == "table" and next(metadata.tags) == nil then metadata.tags = iu.array {} end
  return metadata
end

local function entity_metadata(metadata)
  if metadata ~= nil and type(metadata) ~= "table" then return nil, wrong_type("metadata", "table", metadata) end
  local encoded, err = codec.entity_metadata(metadata)
  return whole(encoded), err
end

local function relation_metadata(metadata)
  if metadata ~= nil and type(metadata) ~= "table" then return nil, wrong_type("metadata", "table", metadata) end
  local encoded, err = codec.relation_metadata(metadata)
  return whole(encoded), err
end

return function(ctx)
  local check = ctx.check
  local operation = {}

  -- ---- hooks ----

  local function type_of(kind, key)
    local row, err = ctx.conn:get(kind, key)
    if not row then return nil, err end
    return row[kind .. "_type"]
  end

  local function is_id(id)
    return id == nil or type(id) == "string"
  end

  -- By method: true and the arguments as they are to be stored, or nil, err. What has a wrong type is left as it is, to be refused.
  local STORED = {}

  function STORED.create_entity(entity_type, metadata, id)
    if not is_id(id) then return true, entity_type, metadata, id end
    local err
    id = id or uuid()
    metadata, err = write("entity", metadata, id, entity_type)
    if err ~= nil then return nil, err end
    return true, entity_type, metadata, id
  end

  function STORED.create_relation(from_entity, to_entity, relation_type, metadata, id)
    if not is_id(id) then return true, from_entity, to_entity, relation_type, metadata, id end
    local err
    id = id or uuid()
    metadata, err = write("relation", metadata, id, relation_type)
    if err ~= nil then return nil, err end
    return true, from_entity, to_entity, relation_type, metadata, id
  end

  local function stored_update(kind)
    return function(id, metadata)
      if type(metadata) ~= "table" then return true, id, metadata end
      local err
      metadata, err = write(kind, metadata, id, nil, type_of)
      if err ~= nil then return nil, err end
      return true, id, metadata
    end
  end
  STORED.update_entity, STORED.update_relation = stored_update("entity"), stored_update("relation")

  function STORED.publish_event(event_type, data, source, id)
    local err
    id = id or uuid()
    data, err = write("event", data, id, event_type)
    if err ~= nil then return nil, err end
    return true, event_type, data, source, id
  end

  --- The arguments as they are to be stored, for `of` and `add`: true, ..., or nil and the err of a hook.
  function operation.stored(method, ...)
    local pass = STORED[method]
    if pass then return pass(...) end
    return true, ...
  end

  -- ---- operations ----

  -- By method: its whole value and what it answers, or nil and an err.
  local MAKE = {}

  function MAKE.create_entity(entity_type, metadata, id)
    local err = text("entity_type", entity_type) or id ~= nil and text("id", id)
    if err then return nil, err end
    local encoded
    encoded, err = entity_metadata(metadata)
    if not encoded then return nil, err end
    id = id or uuid()
    return { tag = "CreateEntity", value = { entity_type = entity_type, metadata = encoded, id = id } }, id
  end

  function MAKE.update_entity(id, metadata)
    local err = text("id", id) or type(metadata) ~= "table" and wrong_type("metadata", "table", metadata)
    if err then return nil, err end
    local encoded
    encoded, err = entity_metadata(metadata)
    if not encoded then return nil, err end
    return { tag = "UpdateEntity", value = { id = id, metadata = encoded } }, true
  end

  function MAKE.delete_entity(id, options)
    local err = text("id", id) or options ~= nil and type(options) ~= "table" and wrong_type("options", "table", options)
    if err then return nil, err end
    local ok
    ok, err = check.options("delete_entity", options, codec.DELETE_OPTIONS)
    if not ok then return nil, err end
    return { tag = "DeleteEntity", value = { id = id, cascade = options ~= nil and options.cascade or false } }, true
  end

  function MAKE.create_relation(from_entity, to_entity, relation_type, metadata, id)
    local err = text("from_entity", from_entity) or text("to_entity", to_entity) or text("relation_type", relation_type) or id ~= nil and text("id", id)
    if err then return nil, err end
    local encoded
    encoded, err = relation_metadata(metadata)
    if not encoded then return nil, err end
    id = id or uuid()
    return { tag = "CreateRelation",
      value = { from_entity = from_entity, to_entity = to_entity, relation_type = relation_type, metadata = encoded, id = id } }, id
  end

  function MAKE.update_relation(id, metadata)
    local err = text("id", id) or type(metadata) ~= "table" and wrong_type("metadata", "table", metadata)
    if err then return nil, err end
    local encoded
    encoded, err = relation_metadata(metadata)
    if not encoded then return nil, err end
    return { tag = "UpdateRelation", value = { id = id, metadata = encoded } }, true
  end

  function MAKE.delete_relation(id)
    local err = text("id", id)
    if err then return nil, err end
    return { tag = "DeleteRelation", value = { id = id } }, true
  end

  function MAKE.publish_event(event_type, data, source, id)
    local err = text("event_type", event_type) or source ~= nil and text("source", source)
    if err then return nil, err end
    local encoded
    encoded, err = codec.data(data)
    if not encoded then return nil, err end
    id = id or uuid()
    return { tag = "PublishEvent", value = { event_type = event_type, source = source or "", data = encoded, id = id } }, id
  end

  -- By method: added to the batch as it came; its number and what it answers, or nothing where the batch does not take it so.
  local ADD = {}

  function ADD.create_entity(batch, entity_type, metadata, id)
    id = id or uuid()
    return batch:add(ENTITY_DEFAULTS, "CreateEntity", entity_type, metadata, id), id
  end

  function ADD.update_entity(batch, id, metadata)
    if metadata == nil then return nil end
    return batch:add(ENTITY_DEFAULTS, "UpdateEntity", id, metadata), true
  end

  function ADD.create_relation(batch, from_entity, to_entity, relation_type, metadata, id)
    id = id or uuid()
    return batch:add(RELATION_DEFAULTS, "CreateRelation", from_entity, to_entity, relation_type, metadata, id), id
  end

  function ADD.update_relation(batch, id, metadata)
    if metadata == nil then return nil end
    return batch:add(RELATION_DEFAULTS, "UpdateRelation", id, metadata), true
  end

  function ADD.delete_relation(batch, id)
    return batch:add(NOTHING, "DeleteRelation", id), true
  end

  --- The methods that can be written as operations.
  operation.METHODS = {}
  for name in pairs(MAKE) do operation.METHODS[#operation.METHODS + 1] = name end
  table.sort(operation.METHODS)

  local function unknown(method)
    return iu.errors.new("ValidationError",
      ("method: expected one of %s, got %s"):format(table.concat(operation.METHODS, ", "), codec.shown(tostring(method))))
  end

  ---@return table? operation
  ---@return string|true|inner_universe.Error answer
  function operation.of(method, ...)
    local make = MAKE[method]
    if not make then return nil, unknown(method) end
    return make(...)
  end

  --- Its number in the batch and what it answers, or nil and an err; nil alone where the batch does not take it, and the method called by itself would say why.
  ---@return integer? number
  ---@return string|true|inner_universe.Error|nil answer
  function operation.add(batch, method, ...)
    local add = ADD[method]
    if add then
      local number, answer = add(batch, ...)
      if number then return number, answer end
    end
    local made, answer = operation.of(method, ...)
    if not made then return nil, answer end
    local number = batch:put(made)
    if number then return number, answer end
  end

  --- Which operation of a refused `transact` was to blame (counted from 1), and the refusal in the words of that operation's own call; nil where none was.
  function operation.blame(err)
    local at, rest = err.message:match("^operations%[(%d+)%] [%a_]+: (.*)$")
    local first = 1 -- a reducer counts from 0
    if not at then
      at, rest = err.message:match("^operations%[(%d+)%](.*)$") -- the encoder's words
      first = 0
    end
    if not at then return nil end
    return math.tointeger(at) + first,
      iu.errors.new(err.kind, rest, { code = err.code, retryable = err.retryable, cause = err.cause, details = err.details })
  end

  return operation
end
