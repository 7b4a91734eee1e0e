-- The cache: something that takes long is computed once, however many want it, and kept for a while.
--
--   iu run cache.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:", { plugins = { cache = { max_bytes = 1 << 20 } } }))
local cache = manager.cache

for i = 1, 10 do
  assert(manager:create_entity("Robot", { properties = { power = i * 10 } }))
end

-- A report over all robots. Five tasks want it at once: one makes it, the others wait for that.
local made = 0
local function report()
  made = made + 1
  iu.sleep(0.01) -- it takes long
  local sum = 0
  for _, robot in ipairs(assert(manager:query_entities { entity_type = "Robot" })) do sum = sum + robot.metadata.properties.power end
  return { robots = 10, power = sum }
end

iu.run(function()
  for _ = 1, 5 do
    iu.spawn(function() assert(cache:get_or_compute("report", report, { ttl = 60 })) end)
  end
end)
print(("made %d time, power %d"):format(made, cache:get("report").power))

-- What is handed out is the caller's own: changing it changes nothing in the cache.
local mine = cache:get("report")
mine.power = 0
print(("still %d"):format(cache:get("report").power))

-- Whoever changes what a value stands for says so; it is made anew when it is wanted.
assert(manager:create_entity("Robot", { properties = { power = 1000 } }))
cache:delete("report")
print(("after a change %d"):format(assert(cache:get_or_compute("report", report)).power))

local stats = cache:stats()
print(("%d computed, %d waited, %d hits"):format(stats.computed, stats.shared, stats.hits))
