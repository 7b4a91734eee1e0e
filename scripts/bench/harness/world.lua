-- The work on NERV's tables that several jobs share: what an entity looks like, opening a universe, clocks.
local iu = require "inner_universe"

local world = {}

function world.open(folder, durability, audit)
  return assert(iu.open{ db_path = folder .. "/bench.universe", durability = durability, log_level = "error",
    features = { enable_audit_log = audit ~= false } })
end

-- peers/ has the same texts and numbers.
function world.metadata(i)
  return { name = "item " .. i, tags = { "bench" }, properties = { number = i, weight = i / 2 } }
end

function world.seconds(fn)
  local started = iu.now()
  fn()
  return (iu.now() - started) / 1e6
end

return world
