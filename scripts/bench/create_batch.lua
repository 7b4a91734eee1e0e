-- 100 entities with their audit events in one transaction, each transaction on disk before the next begins.
package.path = "./scripts/bench/?.lua;" .. package.path
local world = require "harness.world"

local BATCH = 100

local function ours(folder, count)
  local manager = world.open(folder, "full")
  local seconds = world.seconds(function()
    for first = 1, count, BATCH do
      assert(manager:transaction(function(tx)
        for i = first, first + BATCH - 1 do assert(tx:create_entity("Item", world.metadata(i))) end
        return true
      end))
    end
  end)
  assert(manager:shutdown())
  return seconds
end

require "harness.job"({ ... }, { name = "create_batch", what = "the same in transactions of 100, each on disk before the next", aim = 2, count = 40000,
  ours = ours, peers = { sqlite = "create_batch" } })
