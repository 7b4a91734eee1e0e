-- fixture.lua: a real manager on a universe in memory, with what a test wants to find in it.

local iu = require "inner_universe"

local SPEC = { entities = "table", relations = "table", events = "table", states = "table", config = "table" }
local ENTRY = {
  entities = { id = "string", entity_type = "string", metadata = "table", created_at = "any", updated_at = "any" },
  relations = { id = "string", from_entity = "string", to_entity = "string", relation_type = "string", metadata = "table", created_at = "any" },
  events = { type = "string", data = "any", source = "string" },
}

-- Of the library's own calls in here, which say what is wrong with the values.
local function need(what, i, ok, err)
  if ok ~= nil then return ok end
  error(iu.errors.wrap(err.kind, ("fixture: %s[%d]: %s"):format(what, i, err.message), err), 0)
end

local function fill(manager, spec)
  local ok, err = manager:transaction(function(tx)
    for i, entity in ipairs(spec.entities or {}) do need("entities", i, tx:create_entity(entity.entity_type, entity.metadata, entity.id)) end
    for i, relation in ipairs(spec.relations or {}) do
      need("relations", i, tx:create_relation(relation.from_entity, relation.to_entity, relation.relation_type, relation.metadata, relation.id))
    end
    for i, event in ipairs(spec.events or {}) do need("events", i, tx:publish_event(event.type, event.data, event.source)) end
    return true
  end)
  if not ok then error(iu.errors.wrap(err.kind, "fixture: " .. err.message, err), 0) end
  for i, state in ipairs(spec.states or {}) do need("states", i, manager:commit_version(state, ("state %d"):format(i))) end
end

local function check_spec(check, spec)
  local ok, err = check.options("fixture", spec, SPEC)
  if not ok then return nil, err end
  for what, known in pairs(ENTRY) do
    for i, entry in ipairs(spec[what] or {}) do
      local where = ("%s[%d]"):format(what, i)
      if type(entry) ~= "table" then return nil, iu.errors.new("ValidationError", ("fixture: %s: table expected, got %s"):format(where, type(entry))) end
      ok, err = check.options("fixture", entry, known, where)
      if not ok then return nil, err end
      for name in pairs(known) do
        local needed = name:match("_type$") or name:match("_entity$") or name == "type"
        if needed and entry[name] == nil then return nil, iu.errors.new("ValidationError", ("fixture: %s.%s: string expected, got nil"):format(where, name)) end
      end
    end
  end
  return true
end

--- The manager, or nil, err.
return function(seams, spec)
  local ok, err = check_spec(seams.check, spec)
  if not ok then return nil, err end
  local manager
  manager, err = iu.open("memory:", spec.config)
  if not manager then return nil, err end
  local why
  ok, why = pcall(fill, manager, spec)
  if ok then return manager end
  manager:shutdown()
  return nil, iu.errors.from(why)
end
