-- An event appended to the log, one call each, fsynced in the background (`normal`), beside an entry of a Redis stream.
package.path = "./scripts/bench/?.lua;" .. package.path
local world = require "harness.world"

local function ours(folder, count)
  local manager = world.open(folder, "normal")
  local seconds = world.seconds(function()
    for i = 1, count do assert(manager:publish_event("TICK", { number = i }, "bench")) end
  end)
  assert(manager:shutdown())
  return seconds
end

require "harness.job"({ ... }, { name = "event_append", what = "event append, `normal`; Redis: XADD, appendfsync everysec, no pipeline", aim = 3,
  count = 100000, ours = ours, peers = { redis = "xadd" } })
