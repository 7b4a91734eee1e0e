-- Fallback: what a program does while its server is away, and when something is not found.
--
--   iu run fallback.lua [TARGET]        TARGET: memory: (default), a file, or ws://host:port/database

local iu = require "inner_universe"
local queue = (os.getenv("TMPDIR") or "/tmp") .. "/sensors.queue" -- where writes are kept; made only where the target is a server
local manager <close> = assert(iu.open(... or "memory:", { plugins = { fallback = { path = queue, reads = true } } }))
local fallback = manager.fallback

-- The state: "online"; "offline", where writes go to the file; "replaying", where they go to the server, in their order and once each.
fallback:on_state(function(change) print(("%s, %d writes are kept"):format(change.state, change.queued)) end)

-- A write that was kept has been acknowledged; when the server refuses it later, this is where one hears of it. `fallback:refused()` has them all.
fallback:on_refused(function(refusal) print(("refused: %s"):format(refusal.err)) end)

-- Writes look the same whether the server is there or not.
assert(manager:create_entity("Sensor", { name = "roof", properties = { value = 21.5 } }, "roof"))
assert(manager:update_entity("roof", { name = "roof", properties = { value = 22.0 } }))

-- What is not found can be recovered: from a file, from another system, from a default. `true`: it is there now, try again; a table: take this.
local defaults = { cellar = 15.0 }
fallback:on_not_found(function(id)
  if not defaults[id] then return nil end
  assert(manager:create_entity("Sensor", { name = id, properties = { value = defaults[id] } }, id))
  return true
end)
for _, id in ipairs({ "roof", "cellar", "attic" }) do
  local sensor, err = manager:get_entity(id)
  print(id, sensor and sensor.metadata.properties.value or err.kind)
end

-- At the end of the work one may want to know that everything has arrived.
assert(fallback:drain(10))
print(fallback:state(), fallback:status().queued, #assert(fallback:refused()))
