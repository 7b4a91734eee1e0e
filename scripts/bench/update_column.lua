-- One f32 column of 10,000 rows changed in one reducer in Lua, again and again.
package.path = "./scripts/bench/?.lua;" .. package.path
local arena = require "harness.arena"
local world = require "harness.world"

local function ours(folder, count)
  local conn = arena.connect(folder, { durability = "normal" })
  assert(conn:call("fill"))
  local seconds = world.seconds(function()
    for _ = 1, count // arena.PLAYERS do assert(conn:call("move")) end
  end)
  conn:close()
  return seconds
end

require "harness.job"({ ... }, { name = "update_column", what = "update of one f32 column of 10,000 rows in one reducer", aim = 1.5, unit = "rows a second",
  count = 300000, ours = ours, peers = { tarantool = "update_column" } })
