-- Rows of 100 bytes inserted by one call of a reducer in Lua.
package.path = "./scripts/bench/?.lua;" .. package.path
local arena = require "harness.arena"
local world = require "harness.world"

local function ours(folder, count)
  local conn = arena.connect(folder, { durability = "normal" })
  local seconds = world.seconds(function() assert(conn:call("bulk", count)) end)
  conn:close()
  return seconds
end

require "harness.job"({ ... }, { name = "insert_bulk", what = "bulk insert of 100-byte rows in one reducer, in Lua", aim_rate = 1000000, count = 200000,
  ours = ours, peers = { tarantool = "insert_bulk" } })
