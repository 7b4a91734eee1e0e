-- One entity with its audit event, on disk before the next call: what a single caller waits for.
package.path = "./scripts/bench/?.lua;" .. package.path
local world = require "harness.world"

local function ours(folder, count)
  local manager = world.open(folder, "full")
  local seconds = world.seconds(function()
    for i = 1, count do assert(manager:create_entity("Item", world.metadata(i))) end
  end)
  assert(manager:shutdown())
  return seconds
end

require "harness.job"({ ... }, { name = "create_single", what = "the same one at a time, `full`", aim = 1, count = 3000, ours = ours,
  peers = { tarantool = "create_single", sqlite = "create_single" } })
