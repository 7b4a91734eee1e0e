-- All rows of one value in a secondary index (100 each), from Lua, two columns of each row looked at.
package.path = "./scripts/bench/?.lua;" .. package.path
local arena = require "harness.arena"
local world = require "harness.world"

local function ours(_, count)
  local conn = arena.with_players()
  local player, sum, rows = conn.tables.player, 0, 0
  local seconds = world.seconds(function()
    for i = 1, count // 100 do
      for _, row in ipairs(player:find("guild", "guild " .. i % 100)) do
        rows, sum = rows + 1, sum + row.x + row.y
      end
    end
  end)
  assert(rows == count)
  conn:close()
  return seconds
end

require "harness.job"({ ... }, { name = "read_index", what = "secondary index reads of 100, from Lua", aim = 1.5, unit = "rows a second", count = 1000000,
  ours = ours, peers = { tarantool = "read_index" } })
