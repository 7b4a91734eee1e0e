-- Events published and worked off by ten durable consumers, each of which gets every event and acknowledges a hundred at a time, beside a Redis stream with ten
-- groups. The number counted is events published; each is consumed ten times.
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local CONSUMERS, BATCH = 10, 100

local function ours(folder, count)
  local manager = world.open(folder, "normal")
  local bus, sum, handled = manager.event_bus, 0, 0
  local function handler(delivery)
    sum = sum + delivery.data.number
    handled = handled + 1
  end
  local seconds
  iu.run(function()
    local consumers = {}
    for i = 1, CONSUMERS do
      consumers[i] = assert(bus:consumer("consumer " .. i, { types = "TICK", from = "start", batch = BATCH, handler = handler }))
    end
    seconds = world.seconds(function()
      for i = 1, count do
        assert(manager:publish_event("TICK", { number = i }, "bench"))
        if i % BATCH == 0 then coroutine.yield() end -- the consumers' turn, as in any program with a loop
      end
      for i = 1, CONSUMERS do assert(consumers[i]:wait_idle(600)) end
    end)
  end)
  assert(handled == CONSUMERS * count and sum == CONSUMERS * count * (count + 1) // 2, "not every event was handled once by each")
  assert(manager:shutdown())
  return seconds
end

require "harness.job"({ ... }, { name = "event_consumers", aim = 1, count = 20000, ours = ours, peers = { redis = "consume" },
  what = "event published and worked off by ten durable consumers, 100 acknowledged at a time, `normal`; Redis: XADD, ten groups, XREADGROUP, XACK" })
