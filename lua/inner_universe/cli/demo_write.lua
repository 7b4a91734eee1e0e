-- demo_write.lua: the demo's first half: imports the catalogue into an open universe, listens meanwhile, versions it, asks, edits, versions
-- it again. Raises when a call fails. What it counted and how long each part took goes into `record`.

local iu = require("inner_universe")
local catalogues = require("inner_universe.cli.demo_catalogue")
local out = require("inner_universe.cli.out")

local demo_write = {}

local function timed(record, what, count, fn)
  local started = iu.now()
  fn()
  record.rate(what, count, (iu.now() - started) / 1e6)
end

---Counts every event and every entity change from now on.
local function listen(manager, seen)
  assert(manager.event_bus:register_handler("*", function(message)
    seen.events[message.type] = (seen.events[message.type] or 0) + 1
  end))
  assert(manager.client:subscribe_entity_changes(function(kind)
    seen.entities[kind] = (seen.entities[kind] or 0) + 1
  end))
end

local function import_entities(manager, catalogue)
  local progress = out.progress("entities", #catalogue.entity_order)
  for i, id in ipairs(catalogue.entity_order) do
    local entity = catalogue.entities[id]
    assert(manager:create_entity(entity.entity_type, entity.metadata, id))
    progress.step(i)
  end
  for _, source in ipairs(catalogue.sources) do
    assert(manager:publish_event("CATALOGUE_IMPORTED", { file = source.file, entries = source.entries, hash = source.hash }, "iso-codes"))
  end
  progress.done("  imported %s", out.count(#catalogue.entity_order, "entity", "entities"))
end

local function create_relation(manager, relation)
  return assert(manager:create_relation(relation.from, relation.to, relation.type, relation.metadata))
end

local function import_relations(manager, catalogue)
  local progress = out.progress("relations", #catalogue.relation_order)
  for i, key in ipairs(catalogue.relation_order) do
    create_relation(manager, catalogue.relations[key])
    progress.step(i)
  end
  progress.done("  linked them by %s", out.count(#catalogue.relation_order, "relation"))
end

-- What a person would ask --------------------------------------------------------------------------------------------

local function names_of(entities, shown)
  local names = {}
  for i = 1, math.min(#entities, shown or #entities) do
    names[i] = entities[i].metadata.name
  end
  return table.concat(names, "; ") .. (#entities > #names and "; ..." or "")
end

local function filter(field, operator, value)
  return { field = field, operator = operator, value = value }
end

local function answer(question, format, ...)
  out.line("  %s", question)
  out.line("    " .. format, ...)
end

local function ask_by_properties(manager)
  local united = assert(manager:query_entities({ entity_type = "Country", filters = { filter("name", "StartsWith", "United") },
    order_by = "name" }))
  answer("Which countries' names begin with United?", "%s", names_of(united))
  local extinct = assert(manager:query_entities({ entity_type = "Language", filters = { filter("properties.type", "Equals", "E") },
    order_by = "name" }))
  answer("How many languages are extinct?", "%s: %s", out.thousands(#extinct), names_of(extinct, 3))
  local gone = assert(manager:query_entities({ entity_type = "FormerCountry", order_by = "properties.withdrawal_date", descending = true,
    filters = { filter("properties.withdrawal_date", "GreaterOrEqual", "1990") }, limit = 3 }))
  answer("Which countries were withdrawn last?", "%s", names_of(gone))
end

-- The names from a subdivision up to its country.
local function path_up(manager, id)
  local names = {}
  while id do
    names[#names + 1] = assert(manager:get_entity(id)).metadata.name
    local up = assert(manager:query_relations({ from_entity = id, relation_type = "PART_OF" }))[1]
      or assert(manager:query_relations({ from_entity = id, relation_type = "SUBDIVISION_OF" }))[1]
    id = up and up.to_entity
  end
  return table.concat(names, ", in ")
end

local function ask_by_relations(manager)
  answer("Where is FR-29?", "%s", path_up(manager, "subdivision:FR-29"))
  local swiss = {}
  for i, relation in ipairs(assert(manager:query_relations({ to_entity = "country:CH", relation_type = "CURRENCY_OF" }))) do
    swiss[i] = assert(manager:get_entity(relation.from_entity))
  end
  table.sort(swiss, function(a, b) return a.id < b.id end)
  answer("What do the Swiss pay with?", "%s", names_of(swiss))
  local counts, most = {}, nil
  for _, relation in ipairs(assert(manager:query_relations({ relation_type = "SUBDIVISION_OF" }))) do
    counts[relation.to_entity] = (counts[relation.to_entity] or 0) + 1
  end
  for id, count in pairs(counts) do
    if not most or count > counts[most] or (count == counts[most] and id < most) then most = id end
  end
  answer("Which country has most subdivisions?", "%s: %s", assert(manager:get_entity(most)).metadata.name, out.thousands(counts[most]))
end

local QUESTIONS = 6

-- the edit -----------------------------------------------------------------------------------------------------------

local function edit(manager, before, catalogue, edited)
  local store = manager.temporal_store
  local delta = assert(store:record_delta(before, catalogue.operations, "Switzerland in more detail, a currency less"))
  assert(manager:update_entity(catalogues.EDITED, edited.entities[catalogues.EDITED].metadata))
  assert(manager:delete_entity(catalogue.deleted, { cascade = true }))
  for _, key in ipairs(edited.added) do
    create_relation(manager, edited.relations[key])
  end
  assert(manager:publish_event("CATALOGUE_EDITED", { delta = delta, base = before }, "demo"))
end

---Everything, over an empty open universe.
---@param manager table
---@param catalogue table
---@param edited table
---@param record { rate: fun(what: string, count: integer, seconds: number) }
---@return table seen { events = by type, entities = by kind }
function demo_write.run(manager, catalogue, edited, record)
  local seen = { events = {}, entities = {} }
  listen(manager, seen)
  timed(record, "entities created", #catalogue.entity_order, function() import_entities(manager, catalogue) end)
  timed(record, "relations created", #catalogue.relation_order, function() import_relations(manager, catalogue) end)
  local store, before = manager.temporal_store, nil
  timed(record, "versions committed", 1, function()
    before = assert(store:commit_version(catalogue.state, "The catalogue as imported"))
  end)
  out.line("\nQuestions")
  timed(record, "questions answered", QUESTIONS, function()
    ask_by_properties(manager)
    ask_by_relations(manager)
  end)
  edit(manager, before, catalogue, edited)
  assert(store:commit_version(edited.state, "The catalogue after the edit"))
  out.line("\nEdited: Switzerland got a capital, facts and languages, the currency %s went; both versions are kept",
    catalogue.entities[catalogue.deleted].metadata.name)
  return seen
end

return demo_write
