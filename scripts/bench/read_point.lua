-- Rows read by primary key from Lua, two columns of each looked at.
package.path = "./scripts/bench/?.lua;" .. package.path
local arena = require "harness.arena"
local world = require "harness.world"

local function ours(_, count)
  local conn = arena.with_players()
  local player, sum = conn.tables.player, 0
  local seconds = world.seconds(function()
    for i = 1, count do
      local row = player:get(i % arena.PLAYERS + 1)
      sum = sum + row.x + row.y
    end
  end)
  conn:close()
  return seconds
end

require "harness.job"({ ... }, { name = "read_point", what = "point read by key, from Lua", aim = 1.5, count = 1000000, ours = ours,
  peers = { tarantool = "read_point" } })
