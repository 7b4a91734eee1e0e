-- store.lua: what is in memory only: a universe in memory of its own, without audit events, so that ids, tags, properties and relations are checked and found
-- there as anywhere. How much it holds is counted here, by rows: bytes of their texts and what a row takes besides.
--
-- It knows nothing of rules and hooks. `ids[kind][id]` is what a row takes; `types[id]` an entity's type.

local iu = require "inner_universe"

local ROW_BYTES = 400 -- a row in the store with its places in the indexes, and here

local store = {}

-- What has a wrong type takes nothing: the store refuses it afterwards, and says why.
local function bytes_of(fields)
  local bytes = ROW_BYTES
  for _, value in pairs(fields) do
    if type(value) == "string" then bytes = bytes + #value end
  end
  for _, value in pairs(fields.metadata) do
    if type(value) == "string" then bytes = bytes + #value end
  end
  local tags = fields.metadata.tags
  for _, tag in ipairs(type(tags) == "table" and tags or {}) do
    if type(tag) == "string" then bytes = bytes + #tag + 8 end
  end
  return bytes
end

---@param limits { entities: integer, bytes: integer, drop_oldest: boolean }
---@return table? self
---@return inner_universe.Error? err
function store.new(limits)
  local conn, err = iu.connect("memory:")
  if not conn then return nil, err end
  local ok
  ok, err = conn:call("update_config", "enable_audit_log", "false", "Nothing here is logged.")
  if not ok then return nil, err end
  local self = { conn = conn, ids = { entity = {}, relation = {} }, types = {}, entities = 0, relations = 0, bytes = 0, evicted = 0 }
  local ids = self.ids

  local function put(kind, id, bytes)
    self.bytes = self.bytes + bytes - (ids[kind][id] or 0)
    ids[kind][id] = bytes
  end

  local function forget_relation(id)
    local bytes = ids.relation[id]
    if not bytes then return end
    ids.relation[id] = nil
    self.bytes, self.relations = self.bytes - bytes, self.relations - 1
  end

  local function relations_of(id)
    local found = {}
    for _, column in ipairs { "from_entity", "to_entity" } do
      local rows = conn:select("relation", { filters = { { field = column, operator = "Equals", value = id } } })
      for _, row in ipairs(rows or {}) do found[#found + 1] = row.id end
    end
    return found
  end

  --- How many relations in memory an entity has.
  function self.count_relations(id) return self.relations > 0 and #relations_of(id) or 0 end

  --- Deletes an entity. true, or nil, err.
  function self.delete_entity(id, cascade)
    local gone = cascade and self.relations > 0 and relations_of(id) or {}
    local done, why = conn:call("delete_entity", id, cascade)
    if not done then return nil, why end
    for _, relation in ipairs(gone) do forget_relation(relation) end
    self.bytes, self.entities = self.bytes - ids.entity[id], self.entities - 1
    ids.entity[id], self.types[id] = nil, nil
    return true
  end

  -- Room for so many bytes more (and an entity more), of which `keep` is not taken. true, or nil, err.
  local function make_room(bytes, entities, keep)
    while self.entities + entities > limits.entities or self.bytes + bytes > limits.bytes do
      local oldest = limits.drop_oldest and conn:select("entity", { order_by = "created_at", limit = 2 }) or {}
      local row = oldest[1] and oldest[1].id == keep and oldest[2] or oldest[1]
      if not row or row.id == keep then
        return nil, iu.errors.new("OverloadedError", ("selective: %d entities and %d bytes are in memory only (max_entities, max_bytes)"):format(self.entities,
          self.bytes))
      end
      local done, why = self.delete_entity(row.id, true)
      if not done then return nil, why end
      self.evicted = self.evicted + 1
    end
    return true
  end

  --- fields: { entity_type, metadata, id } as a row has them.
  function self.create_entity(fields)
    local bytes = bytes_of(fields)
    local done, why = make_room(bytes, 1)
    if done then done, why = conn:call("create_entity", fields.entity_type, fields.metadata, fields.id) end
    if not done then return nil, why end
    put("entity", fields.id, bytes)
    self.types[fields.id] = fields.entity_type
    self.entities = self.entities + 1
    return fields.id
  end

  function self.create_relation(fields)
    local bytes = bytes_of(fields)
    local done, why = make_room(bytes, 0)
    if done then done, why = conn:call("create_relation", fields.from_entity, fields.to_entity, fields.relation_type, fields.metadata, fields.id) end
    if not done then return nil, why end
    put("relation", fields.id, bytes)
    self.relations = self.relations + 1
    return fields.id
  end

  local function update(kind)
    return function(fields)
      local id = fields.id
      local row = assert(conn:get(kind, id))
      row.metadata = fields.metadata
      local bytes = bytes_of(row)
      local done, why = make_room(bytes - ids[kind][id], 0, kind == "entity" and id or nil)
      if done then done, why = conn:call("update_" .. kind, id, fields.metadata) end -- a relation may have gone with the oldest entity
      if not done then return nil, why end
      put(kind, id, bytes)
      return true
    end
  end
  self.update_entity, self.update_relation = update("entity"), update("relation")

  function self.delete_relation(id)
    local done, why = conn:call("delete_relation", id)
    if not done then return nil, why end
    forget_relation(id)
    return true
  end

  return self
end

return store
