-- init.lua: selective persistence: rules (rules.lua) decide before a write whether an entity is persisted, kept in memory only (store.lua), or dropped, and
-- which events are written. Hooks (layer.lua) make what is in memory readable, changeable and searchable with what is persisted.

local iu = require "inner_universe"

local plugin = ...
local make_layer = plugin.load "layer"
local rules = plugin.load "rules"
local store_of = plugin.load "store"

local M = {}

local CLOSED = "selective is closed"
local ARRAY = getmetatable(iu.array {})
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  decide = { { "entity_type", "string" }, { "metadata", "table", "?" }, { "id", "string", "?" } },
  set_rules = { { "rules", "table" } },
  is_in_memory = { { "id", "string" } },
  persist = { { "id", "string" } },
}

-- Frozen configuration as plain tables; arrays stay what they are, for a rule may compare with an empty one.
local function plain(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, each in pairs(value) do out[key] = plain(each) end
  return setmetatable(out, getmetatable(value) == ARRAY and ARRAY or nil)
end

function M.start(ctx)
  local check = ctx.check
  local config = ctx.config
  local client = ctx.plugin("persistence_manager").client
  local methods = {}
  local stopped = false
  local list, counts, unmatched

  local function matches(row, filters)
    local rows, err = ctx.conn:select_from("entity", { row }, { filters = filters })
    if not rows then return nil, err end
    return #rows > 0
  end

  local function set_rules(given)
    local compiled, err = rules.compile(given, { check = check, matches = matches })
    if not compiled then return nil, err end
    list, counts, unmatched = compiled, {}, 0
    for _, rule in ipairs(compiled) do counts[rule.name] = { persist = 0, memory = 0, drop = 0 } end
    return true
  end

  local ok, err = set_rules(plain(config.rules or {}))
  if not ok then return nil, err end
  local store
  store, err = store_of.new { entities = config.max_entities, bytes = config.max_bytes, drop_oldest = config.when_full == "drop_oldest" }
  if not store then return nil, err end
  local entities, relations = store.ids.entity, store.ids.relation

  local function closed() return stopped or ctx.is_closed() end

  local function count(action, rule)
    if not rule then
      unmatched = unmatched + 1
    else
      local of = counts[rule.name]
      if of then of[action] = of[action] + 1 end
    end
  end

  -- ---- deciding ----

  -- As it would be stored, from what the user gave.
  local function row_of(entity_type, metadata, id)
    local operation, why = client:operation("create_entity", entity_type, metadata, id)
    if not operation then return nil, why end
    local value = operation.value
    return { id = value.id, entity_type = value.entity_type, created_at = 0, updated_at = 0, metadata = value.metadata }
  end

  local function decide(entity_type, metadata, id)
    return rules.decide(list, {
      is_event = false, type = entity_type, id = id, tags = metadata and metadata.tags, row = function() return row_of(entity_type, metadata, id) end,
    }, config.seed, matches)
  end

  local function decide_event(event_type)
    return rules.decide(list, { is_event = true, type = event_type }, config.seed, matches)
  end

  -- ---- the hooks that decide, where there are rules for them ----

  local layer = make_layer(ctx, { client = client, store = store, closed = closed, count = count, decide = decide, decide_event = decide_event })
  local hooks = {}

  local function has(is_event)
    for _, rule in ipairs(list) do
      if rule.is_event == is_event then return true end
    end
    return false
  end

  local function hook_writes()
    for _, handle in ipairs(hooks) do handle:remove() end
    hooks = {}
    if has(false) or store.entities > 0 then hooks[1] = ctx.hooks.around("create_entity", layer.create_entity) end
    if has(true) then
      for _, method in ipairs { "publish_event", "event_bus.publish" } do hooks[#hooks + 1] = ctx.hooks.around(method, layer.publish) end
    end
  end
  hook_writes()

  -- ---- what users call ----

  --- What the rules say of an entity: { action = "persist" | "memory" | "drop", rule = its name, or nil where none fits }. Nothing is counted.
  ---@param entity_type string
  ---@param metadata? inner_universe.EntityMetadata
  ---@param id? string for rules that sample; without it a new one
  ---@return { action: string, rule: string? }?
  ---@return inner_universe.Error? err
  function methods:decide(entity_type, metadata, id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.decide, "decide", entity_type, metadata, id)
    local action, rule = decide(entity_type, metadata, id or iu.uuid())
    if not action then return nil, rule end
    return { action = action, rule = rule and rule.name }
  end

  --- Other rules from now on. What is in memory stays there. The counts begin anew.
  ---@param new_rules table[]
  ---@return true? ok
  ---@return inner_universe.Error? err ValidationError; the old ones stay
  function methods:set_rules(new_rules)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.set_rules, "set_rules", new_rules)
    local set, why = set_rules(new_rules)
    if not set then return nil, why end
    hook_writes()
    return true
  end

  ---@param id string
  ---@return boolean
  function methods:is_in_memory(id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.is_in_memory, "is_in_memory", id)
    return entities[id] ~= nil or relations[id] ~= nil
  end

  --- Persists an entity that is in memory, whatever the rules say.
  ---@param id string
  ---@return true? ok
  ---@return inner_universe.Error? err EntityNotFoundError (not in memory), ConflictError (it has relations there)
  function methods:persist(id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.persist, "persist", id)
    return layer.persist(id)
  end

  --- How often each rule decided what, and how much is in memory.
  ---@return table
  function methods:stats()
    if closed() then check.raise(CLOSED) end
    local by_rule = {}
    for name, of in pairs(counts) do by_rule[name] = { persist = of.persist, memory = of.memory, drop = of.drop } end
    return {
      rules = by_rule, unmatched = unmatched, entities = store.entities, relations = store.relations, bytes = store.bytes, evicted = store.evicted,
      promoted = layer.promoted,
    }
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    for _, handle in ipairs(hooks) do handle:remove() end
    hooks = {}
    layer.stop()
    return store.conn:close()
  end

  function methods:health()
    if closed() then return nil, CLOSED end
    return true, { rules = #list, entities = store.entities, relations = store.relations, bytes = store.bytes, evicted = store.evicted }
  end

  return ctx.hooks.class("selective", methods, { arguments = ARGUMENTS }).new {}
end

return M
