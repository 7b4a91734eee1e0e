-- create_entity from Lua, with its audit event and seven index entries, each call ending when it is on disk; 500 tasks beside 500 fibers.
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local TASKS = 500

local function ours(folder, count)
  local manager = world.open(folder, "full")
  local seconds = world.seconds(function()
    iu.run(function()
      for task = 1, TASKS do
        iu.spawn(function()
          for i = 1, count // TASKS do assert(manager:create_entity("Item", world.metadata(task * 1000 + i))) end
        end)
      end
    end)
  end)
  assert(manager:shutdown())
  return seconds
end

require "harness.job"({ ... }, { name = "create_tasks", what = "create_entity with audit event and 7 index entries, durable, 500 tasks", aim = 3,
  count = 50000, ours = ours, peers = { tarantool = "create_tasks" } })
