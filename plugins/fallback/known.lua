-- known.lua: what is known here of an entity or a relation while the server cannot be asked: the row that the connection's subscriptions hold, else what
-- get_entity or get_relation answered last (at most known_bytes of that, the least recently read goes first); and over either the writes that are kept.

local iu = require "inner_universe"

local CREATES = { entity = "CreateEntity", relation = "CreateRelation" }
local UPDATES = { entity = "UpdateEntity", relation = "UpdateRelation" }
local DELETES = { entity = "DeleteEntity", relation = "DeleteRelation" }

--- ctx, manager, queue
return function(ctx, manager, queue)
  local known = {}
  local half = ctx.config.known_bytes // 2
  local young, old, bytes = {}, {}, 0 -- JSON by kind and id; two generations

  local function name(kind, id)
    return kind .. " " .. id
  end

  local function put(key, text)
    young[key] = text
    bytes = bytes + #key + #text
    if bytes > half then
      old, young, bytes = young, {}, 0
    end
  end

  --- A row as the manager gave it.
  function known.note(kind, id, row)
    local text = iu.json.encode(row)
    if text and #text <= half then put(name(kind, id), text) end
  end

  --- There is none.
  function known.forget(kind, id)
    local key = name(kind, id)
    young[key], old[key] = nil, nil
  end

  local function remembered(kind, id)
    local key = name(kind, id)
    local text = young[key]
    if not text then
      text = old[key]
      if not text then return nil end
      put(key, text)
    end
    return iu.json.decode(text)
  end

  -- A stored row as the manager gives it.
  local function shown(kind, row)
    local out, metadata = {}, {}
    for key, value in pairs(row) do out[key] = value end
    for key, value in pairs(row.metadata) do metadata[key] = value end
    local properties, err = iu.json.decode(metadata.properties)
    if properties == nil then return nil, err end
    metadata.properties, out.metadata = properties, metadata
    if metadata.strength then metadata.strength = metadata.strength + 0.0 end -- the column's type
    return manager.rows:read(kind, out)
  end

  local function held(kind, id)
    local conn = ctx.conn
    local row = not ctx.is_closed() and not conn:is_closed() and conn.tables[kind]:get(id)
    return row and shown(kind, row)
  end

  local function made(kind, value, at)
    local row = { id = value.id, created_at = at, metadata = value.metadata }
    if kind == "entity" then
      row.entity_type, row.updated_at = value.entity_type, at
    else
      row.from_entity, row.to_entity, row.relation_type = value.from_entity, value.to_entity, value.relation_type
    end
    return shown(kind, row)
  end

  local function updated(kind, row, value, at)
    local changed = shown(kind, { id = row.id, metadata = value.metadata })
    row.metadata = changed and changed.metadata or row.metadata
    if kind == "entity" then row.updated_at = at end
    return row
  end

  --- A row with the kept writes laid over it; nil when there is none then. Second: whether any kept write is about it. Of many only the last ones count, so
  --- only those are read.
  function known.with_kept(kind, id, row)
    local touched, exists = false, row ~= nil
    local create, create_at, update, update_at
    for entry in queue.about(id) do
      for _, operation in ipairs(entry.operations) do
        local tag, value = operation.tag, operation.value
        if value.id == id then
          local about = true
          if tag == CREATES[kind] then
            if not exists then exists, create, create_at = true, value, entry.queued_at end
          elseif tag == UPDATES[kind] then
            if exists then update, update_at = value, entry.queued_at end
          elseif tag == DELETES[kind] then
            exists, row, create, update = false, nil, nil, nil
          else
            about = false
          end
          touched = touched or about
        end
      end
    end
    if not exists then return nil, touched end
    if create then row = made(kind, create, create_at) end
    if update then row = updated(kind, row, update, update_at) end
    return row, touched
  end

  --- What is known: the row; nil and whether it is known that there is none.
  function known.get(kind, id)
    local row, touched = known.with_kept(kind, id, held(kind, id) or remembered(kind, id))
    if row then return row end
    return nil, touched
  end

  return known
end
