-- A reducer in Lua that inserts one small row with an auto-increment, one call each, `normal`.
package.path = "./scripts/bench/?.lua;" .. package.path
local arena = require "harness.arena"
local world = require "harness.world"

local function ours(folder, count)
  local conn = arena.connect(folder, { durability = "normal" })
  local seconds = world.seconds(function()
    for i = 1, count do assert(conn:call("hit", i, i % 100)) end
  end)
  conn:close()
  return seconds
end

require "harness.job"({ ... }, { name = "insert_small", what = "a Lua reducer inserts one small row, one call each, `normal`", aim_rate = 540000,
  count = 300000, ours = ours, peers = { tarantool = "insert_small" } })
