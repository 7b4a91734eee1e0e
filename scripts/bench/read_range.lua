-- Ranges of 100 rows in the order of their key, from Lua, two columns of each row looked at.
package.path = "./scripts/bench/?.lua;" .. package.path
local arena = require "harness.arena"
local world = require "harness.world"

local function ours(_, count)
  local conn = arena.with_players()
  local player, sum, rows = conn.tables.player, 0, 0
  local seconds = world.seconds(function()
    for i = 1, count // 100 do
      local first = i * 37 % 9900 + 1
      for row in player:range("id", first, first + 99) do
        rows, sum = rows + 1, sum + row.x + row.y
      end
    end
  end)
  assert(rows == count)
  conn:close()
  return seconds
end

require "harness.job"({ ... }, { name = "read_range", what = "ordered ranges of 100, from Lua", aim = 1.5, unit = "rows a second", count = 1000000, ours = ours,
  peers = { tarantool = "read_range" } })
