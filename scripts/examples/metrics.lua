-- Metrics: what a universe and its program count, as Prometheus reads it.
--
--   iu run metrics.lua [TARGET]        TARGET: memory: (default), or a file
--
-- While it runs, `curl http://127.0.0.1:PORT/metrics` gets the same text (the port is 9464 where none is given).

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:", { features = { enable_metrics = true }, plugins = { metrics = { port = 0 } } }))
local metrics = manager.metrics

-- A counter of one's own is made once, and kept. Labels tell its series apart.
local shipped = {
  air = assert(metrics:counter("parcels_shipped_total", { by = "air" }, "Parcels that left.")),
  sea = assert(metrics:counter("parcels_shipped_total", { by = "sea" })),
}
local weights = assert(metrics:histogram("parcel_kilograms", { 1, 5, 20 }))

-- Hooks around a method, without replacing it.
local watching = assert(metrics:hook("create_entity", {
  after = function(call)
    local properties = call.args[2].properties
    shipped[properties.by]:add()
    weights:observe(properties.kilograms)
  end,
}))

for i, by in ipairs { "air", "sea", "air", "air" } do
  assert(manager:create_entity("Parcel", { properties = { by = by, kilograms = i * i } }))
end
watching:remove()
assert(manager:create_entity("Parcel", { properties = { by = "sea", kilograms = 1 } })) -- counted as a call, not as shipped

-- Another system says which version of the state it has.
local first = assert(manager:commit_version({ parcels = 4 }))
assert(manager:commit_version({ parcels = 5 }))
local other = assert(metrics:report_state("warehouse", "main", first))
print(("the warehouse agrees: %s, it is %d version behind"):format(other.agrees, other.lag))

local WANTED = { "^parcel", "^iu_state_lag", '^iu_method_calls_total{method="create_entity"}' }
for line in metrics:text():gmatch("[^\n]+") do
  for _, pattern in ipairs(WANTED) do
    if line:find(pattern) then print(line) end
  end
end
