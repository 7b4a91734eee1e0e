-- layer.lua: the hooks around the manager's methods: what the rules say before a write, and what is in memory together with what is persisted. Those around
-- reads are there only while anything is in memory: without, they cost nothing.

local iu = require "inner_universe"

---@param ctx table
---@param env { client: table, store: table, closed: fun(): boolean, count: function, decide: function, decide_event: function }
return function(ctx, env)
  local client, store, closed, count, decide, decide_event = env.client, env.store, env.closed, env.count, env.decide, env.decide_event
  local entities, relations = store.ids.entity, store.ids.relation
  local layer = { promoted = 0 }
  local reads = {} -- by method, the hooks that are there while anything is in memory
  local watching = {} -- their handles
  local moving = {} -- waiters, by the ids of entities that are being persisted

  -- After each change of how much is in memory.
  local function watch()
    local wanted = store.entities > 0 and not closed()
    if wanted and #watching == 0 then
      for method, fn in pairs(reads) do watching[#watching + 1] = ctx.hooks.around(method, fn) end
    elseif not wanted then
      for _, handle in ipairs(watching) do handle:remove() end
      watching = {}
    end
  end

  -- A write's arguments as they are to be stored, as the fields of an operation; nil, err.
  local function fields_of(method, ...)
    local stored = table.pack(client:stored(method, ...))
    if not stored[1] then return nil, stored[2] end
    local operation, why = client:operation(method, table.unpack(stored, 2, stored.n))
    if not operation then return nil, why end
    return operation.value
  end

  local function done(...)
    watch()
    return ...
  end

  local function is_text(value) return type(value) == "string" end
  local function is_metadata(value) return value == nil or type(value) == "table" end

  function layer.create_entity(call, next)
    local args = call.args
    local entity_type, metadata, id = args[1], args[2], args[3]
    if closed() or not is_text(entity_type) or not is_metadata(metadata) or not (id == nil or is_text(id)) then return next() end
    local given = id ~= nil
    id = id or iu.uuid()
    args[3], args.n = id, math.max(args.n, 3)
    local action, rule = decide(entity_type, metadata, id)
    if not action then return nil, rule end
    count(action, rule)
    if action == "persist" and not entities[id] then return next() end
    if action ~= "persist" and given and not entities[id] then
      local row, why = ctx.conn:get("entity", id)
      if why then return nil, why end
      if row then return next() end -- the universe has one, and says so
    end
    local fields, why = fields_of("create_entity", entity_type, metadata, id)
    if not fields then return nil, why end
    if action ~= "drop" or entities[id] then
      local answer
      answer, why = store.create_entity(fields)
      if not answer then return done(nil, why) end
    end
    return done(id)
  end

  -- Whoever wants to change an entity that is being persisted waits for it.
  local function settled(id)
    while moving[id] and ctx.can_wait() do moving[id]:wait() end
    return entities[id] ~= nil and not moving[id] and not closed()
  end

  -- From memory into the universe, with that metadata. true, or nil, err.
  local function move(id, metadata)
    local waiter = ctx.waiter()
    moving[id] = waiter
    local _ <close> = setmetatable({}, {
      __close = function()
        moving[id] = nil
        waiter:resolve(true)
      end,
    })
    local made, why = ctx.conn:call("create_entity", store.types[id], metadata, id)
    if not made then return nil, why end
    made, why = store.delete_entity(id, false)
    if not made then return nil, why end
    layer.promoted = layer.promoted + 1
    return true
  end

  function reads.get_entity(call, next)
    local id = call.args[1]
    if not is_text(id) or not entities[id] or closed() then return next() end
    local row, why = store.conn:get("entity", id)
    if not row then return nil, why or client.entity_not_found(id) end
    return client.entity_of_row(row)
  end

  function reads.update_entity(call, next)
    local id, metadata = call.args[1], call.args[2]
    if not is_text(id) or type(metadata) ~= "table" or not settled(id) then return next() end
    local entity_type = store.types[id]
    local action, rule = decide(entity_type, metadata, id)
    if not action then return nil, rule end
    local fields, why = fields_of("create_entity", entity_type, metadata, id)
    if not fields then return nil, why end
    if not settled(id) then return next() end
    local answer
    if action == "persist" and store.count_relations(id) == 0 then
      answer, why = move(id, fields.metadata)
    else
      answer, why = store.update_entity(fields)
    end
    if not answer then return done(nil, why) end
    return done(true)
  end

  function reads.delete_entity(call, next)
    local id, options = call.args[1], call.args[2]
    if not is_text(id) or not is_metadata(options) or not settled(id) then return next() end
    local operation, why = client:operation("delete_entity", id, options)
    if not operation then return nil, why end
    return done(store.delete_entity(id, operation.value.cascade))
  end

  function reads.create_relation(call, next)
    local from, to, relation_type, metadata, id = table.unpack(call.args, 1, 5)
    local sound = is_text(from) and is_text(to) and is_text(relation_type) and is_metadata(metadata) and (id == nil or is_text(id))
    if closed() or not sound then return next() end
    local ends = (entities[from] and 1 or 0) + (entities[to] and 1 or 0)
    if ends == 0 and not (id and relations[id]) then return next() end
    if ends == 1 then
      return nil, iu.errors.new("ValidationError",
        ("relation: %s is in memory only, the other end is not (selective:persist)"):format(entities[from] and from or to))
    end
    local taken = id and relations[id]
    if id and not taken then
      local row, why = ctx.conn:get("relation", id)
      if why then return nil, why end
      taken = row
    end
    if taken then return nil, iu.errors.new("ConflictError", ('relation "%s" exists already'):format(id)) end
    local fields, why = fields_of("create_relation", from, to, relation_type, metadata, id)
    if not fields then return nil, why end
    return done(store.create_relation(fields))
  end

  function reads.get_relation(call, next)
    local id = call.args[1]
    if not is_text(id) or not relations[id] or closed() then return next() end
    local row, why = store.conn:get("relation", id)
    if not row then return nil, why end
    return client.relation_of_row(row)
  end

  function reads.update_relation(call, next)
    local id, metadata = call.args[1], call.args[2]
    if not is_text(id) or type(metadata) ~= "table" or not relations[id] or closed() then return next() end
    local row = store.conn:get("relation", id)
    local fields, why = fields_of("create_relation", row.from_entity, row.to_entity, row.relation_type, metadata, id)
    if not fields then return nil, why end
    return done(store.update_relation(fields))
  end

  function reads.delete_relation(call, next)
    local id = call.args[1]
    if not is_text(id) or not relations[id] or closed() then return next() end
    return store.delete_relation(id)
  end

  -- What answers a selection from both: the first rows of each up to the page's end are all that can be on the page.
  local both = {}

  function both:select(kind, selection)
    local offset, last = selection.offset or 0, selection.limit
    if last then last = last <= math.maxinteger - offset and last + offset or nil end
    local part = { filters = selection.filters, order_by = selection.order_by, descending = selection.descending, limit = last }
    local rows, matched = ctx.conn:select(kind, part)
    if not rows then return nil, matched end
    local more, also = store.conn:select(kind, part)
    if not more then return nil, also end
    table.move(more, 1, #more, #rows + 1, rows)
    local page, why = ctx.conn:select_from(kind, rows, {
      order_by = selection.order_by, descending = selection.descending, limit = selection.limit, offset = selection.offset,
    })
    if not page then return nil, why end
    return page, math.type(matched) == "integer" and math.type(also) == "integer" and matched + also or nil
  end

  function both:explain(kind, selection)
    local words, why = ctx.conn:explain(kind, selection)
    if not words then return nil, why end
    return ("%s; and %d in memory only"):format(words, kind == "entity" and store.entities or store.relations)
  end

  local function query(kind)
    return function(call, next)
      local spec = call.args[1]
      if not is_metadata(spec) or closed() then return next() end
      return client:query_from(both, kind, spec)
    end
  end
  reads.query_entities, reads.query_relations = query("entity"), query("relation")

  function layer.publish(call, next)
    local event_type = call.args[1]
    if closed() or not is_text(event_type) then return next() end
    local action, rule = decide_event(event_type)
    count(action, rule)
    if action == "persist" then return next() end
    local operation, why = client:operation("publish_event", event_type, call.args[2], call.args[3])
    if not operation then return nil, why end
    return iu.uuid()
  end

  --- Persists an entity that is in memory.
  function layer.persist(id)
    if not settled(id) then return nil, client.entity_not_found(id) end
    if store.count_relations(id) > 0 then
      return nil, iu.errors.new("ConflictError", ("persist: entity %s has relations in memory"):format(id))
    end
    local row, why = store.conn:get("entity", id)
    if not row then return nil, why end
    return done(move(id, row.metadata))
  end

  --- The hooks around reads go, whatever is in memory.
  layer.stop = watch

  return layer
end
