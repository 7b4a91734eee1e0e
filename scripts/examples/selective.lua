-- Selective persistence: rules say what is worth a place in the file. The rest is in memory, and found with everything else.
--
--   iu run selective.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:", { plugins = { selective = { rules = {
  { name = "sparks", type = "Spark", action = "memory" },
  { name = "trails", type = "Trail", action = "sample", rate = 0.2, otherwise = "drop" },
  { name = "debug", path = "properties.level", value = "debug", action = "memory" },
  { name = "ticks", event = "TICK", action = "sample", rate = 0.1 },
} } } }))

assert(manager:create_entity("Player", { name = "Ada" }, "ada"))
assert(manager:create_entity("Note", { name = "look here", properties = { level = "debug" } }, "note"))
for i = 1, 3 do assert(manager:create_entity("Spark", { name = "spark " .. i }, "spark-" .. i)) end
for i = 1, 50 do assert(manager:create_entity("Trail", nil, "trail-" .. i)) end -- one in five, the same ones every time
for i = 1, 100 do assert(manager:publish_event("TICK", { i = i })) end

-- The manager's methods know both.
local found = assert(manager:query_entities { filters = { { field = "name", operator = "Contains", value = "k" } }, order_by = "name" })
for _, entity in ipairs(found) do
  print(("%s is %s"):format(entity.metadata.name, manager.selective:is_in_memory(entity.id) and "in memory only" or "persisted"))
end

-- An update that changes what the rules say persists it.
assert(manager:update_entity("note", { name = "look here", properties = { level = "important" } }))
print(("the note is %s"):format(manager.selective:is_in_memory("note") and "in memory only" or "persisted"))

local stats = manager.selective:stats()
print(("trails: %d persisted, %d dropped"):format(stats.rules.trails.persist, stats.rules.trails.drop))
print(("ticks: %d of 100 in the log"):format(stats.rules.ticks.persist))
print(("%d entities in memory"):format(stats.entities))
