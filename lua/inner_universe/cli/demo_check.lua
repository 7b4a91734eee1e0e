-- demo_check.lua: the demo's second half, run in a fresh process: opens the universe file and compares all of it with the source files, then
-- closes it and lets sqlite3 and python3 do the same. `report(kind, fields)` hears "check" { what, ok, detail }, "rate" { what, count,
-- seconds } and "events" { by_type }.

local iu = require("inner_universe")
local catalogues = require("inner_universe.cli.demo_catalogue")
local outside = require("inner_universe.cli.demo_outside")
local out = require("inner_universe.cli.out")

local demo_check = {}

local same = catalogues.same

-- Runs fn, which raises what is wrong or answers how many it compared and a detail.
local function check(report, what, rate, fn)
  local started = iu.now()
  local ok, count, detail = pcall(fn)
  report("check", { what = what, ok = ok, detail = ok and detail or not ok and tostring(count) or nil })
  if ok and rate then report("rate", { what = rate, count = count, seconds = (iu.now() - started) / 1e6 }) end
end

local function wrong(format, ...)
  error(format:format(...), 0)
end

local function check_entities(manager, catalogue, edited)
  local count = 0
  for id, wanted in pairs(edited.entities) do
    local found, err = manager:get_entity(id)
    if not found then wrong("%s", tostring(err)) end
    local metadata = found.metadata
    if found.entity_type ~= wanted.entity_type or metadata.name ~= wanted.metadata.name or metadata.description ~= nil
      or not same(metadata.tags, wanted.metadata.tags) or not same(metadata.properties, wanted.metadata.properties) then
      wrong("%s differs from its entry", id)
    end
    count = count + 1
  end
  local all = #assert(manager:query_entities({}))
  if all ~= count then wrong("%d entities, %d expected", all, count) end
  local deleted, err = manager:get_entity(catalogue.deleted)
  if deleted or not iu.errors.is(err, "EntityNotFoundError") then wrong("%s is still there", catalogue.deleted) end
  return count, out.count(count, "entity", "entities")
end

local function check_relations(manager, edited)
  local rows = assert(manager:query_relations({}))
  local seen = {}
  for _, row in ipairs(rows) do
    local key = catalogues.key(row.from_entity, row.relation_type, row.to_entity)
    local wanted = edited.relations[key]
    if not wanted or seen[key] then wrong("the relation %s is not expected", key) end
    seen[key] = true
    if not same(row.metadata.strength, 1.0) or row.metadata.bidirectional or not same(row.metadata.properties, wanted.metadata.properties) then
      wrong("the relation %s came back changed", key)
    end
  end
  if #rows ~= #edited.relation_order then wrong("%d relations, %d expected", #rows, #edited.relation_order) end
  return #rows, out.count(#rows, "relation")
end

-- Events of one type as an array of their data, in the order of the log.
local function by_type(rows)
  table.sort(rows, function(a, b) return a.sequence < b.sequence end)
  local types = {}
  for i, row in ipairs(rows) do
    if row.sequence ~= i then wrong("event %d of the log has the sequence %s", i, row.sequence) end
    local list = types[row.event_type] or {}
    types[row.event_type] = list
    list[#list + 1] = assert(iu.json.decode(row.data))
  end
  return types
end

local function check_created(list, field, wanted, key_of)
  local seen = {}
  for _, data in ipairs(list or {}) do
    local key = key_of(data)
    if not wanted[key] or seen[key] then wrong("an event of %s that is not expected: %s", field, key) end
    seen[key] = true
  end
  for key in pairs(wanted) do
    if not seen[key] then wrong("no event tells of the %s %s", field, key) end
  end
end

local function check_events(manager, catalogue, edited, report)
  local rows = assert(manager.client:query("SELECT * FROM event_log"))
  local types, counts = by_type(rows), {}
  for name, list in pairs(types) do
    counts[name] = #list
  end
  report("events", { by_type = counts })
  check_created(types.ENTITY_CREATED, "entity", catalogue.entities, function(data) return data.entity_id end)
  local relations = setmetatable({}, { __index = catalogue.relations })
  for key, relation in pairs(catalogue.relations) do
    relations[key] = relation
  end
  for _, key in ipairs(edited.added) do
    relations[key] = edited.relations[key]
  end
  check_created(types.RELATION_CREATED, "relation", relations, function(data)
    return catalogues.key(data.from_entity, data.relation_type, data.to_entity)
  end)
  for i, source in ipairs(catalogue.sources) do
    local data = types.CATALOGUE_IMPORTED and types.CATALOGUE_IMPORTED[i]
    if not same(data, { file = source.file, entries = source.entries, hash = source.hash }) then
      wrong("the event of %s differs", source.file)
    end
  end
  return #rows, ("%s without a gap"):format(out.count(#rows, "event"))
end

local function check_state(store, version, state)
  if version.data_hash ~= assert(iu.json.hash(state)) then wrong('version "%s": its hash is not that of the source', version.description) end
  if not same(assert(store:get_state(version.version_id)), state) then wrong('version "%s": its state differs', version.description) end
end

-- Both versions, oldest first.
local function check_versions(manager, catalogue, edited)
  local store = manager.temporal_store
  local current, err = store:get_current_version()
  if not current then wrong("no current version: %s", tostring(err)) end
  local first = current.parent_version_id and assert(store:get_version(current.parent_version_id))
  if not first or first.parent_version_id then wrong("the current version is not the second one") end
  check_state(store, first, catalogue.state)
  check_state(store, current, edited.state)
  local deltas = assert(manager.client:query_deltas(first.version_id))
  if #deltas ~= 1 or not same(deltas[1].operations, catalogue.operations) then wrong("the recorded delta differs") end
  return { first.data_hash, current.data_hash }
end

---@param path string
---@param catalogue table
---@param report fun(kind: string, fields: table)
function demo_check.run(path, catalogue, report)
  local edited = catalogues.edit(catalogue)
  local started = iu.now()
  local manager, err = iu.open(path, { log_level = "off" })
  if not manager then
    return report("check", { what = "the file opens in a fresh process", ok = false, detail = tostring(err) })
  end
  report("check", { what = "the file opens in a fresh process", ok = true })
  report("rate", { what = "rows loaded", count = manager:status().connection.rows, seconds = (iu.now() - started) / 1e6 })
  check(report, "every entity equals its entry in the source files", "entities compared", function()
    return check_entities(manager, catalogue, edited)
  end)
  check(report, "every relation is one the source files say", "relations compared", function() return check_relations(manager, edited) end)
  check(report, "the log tells of every entity, relation and source file", "events compared", function()
    return check_events(manager, catalogue, edited, report)
  end)
  local hashes
  check(report, "both versions have the state and the hash of the source files", nil, function()
    hashes = check_versions(manager, catalogue, edited)
    return nil, "a chain of 2, with its delta"
  end)
  check(report, "the file closes", nil, function() assert(manager:shutdown()) end)
  if not hashes then return end
  for _, opinion in ipairs({
    { "the sqlite3 command finds the same in the file", function() return outside.sqlite(path, edited, hashes) end },
    { "python3 makes the same hashes of the source files", function() return outside.python(catalogue, hashes) end },
  }) do
    local ok, detail = opinion[2]()
    report("check", { what = opinion[1], ok = ok, detail = detail, left_out = ok == nil or nil })
  end
end

return demo_check
