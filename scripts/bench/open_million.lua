-- Opening a universe of 1,000,000 entities in a fresh process, and its memory, beside Tarantool's start from a snapshot of the same rows and indexes.
package.path = "./scripts/bench/?.lua;" .. package.path
local world = require "harness.world"

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

local function prepare(folder, count)
  local manager = world.open(folder, "normal", false)
  for i = 1, count do assert(manager:create_entity("Item", world.metadata(i))) end
  assert(manager:shutdown())
end

local function ours(folder)
  local before = resident()
  local manager
  local seconds = world.seconds(function() manager = world.open(folder, "normal", false) end)
  local grown = resident() - before
  local payload = assert(manager:sql("SELECT sum(length(_row)) AS bytes FROM entity"))[1].bytes
  assert(manager:shutdown())
  return ("%.6f %d %d"):format(seconds, grown, payload)
end

local function extra(details, row)
  local mine, peer = details.ours, details.tarantool
  row.memory = { bytes_per_row = mine[2] / row.count, payload_per_row = mine[3] / row.count, over_payload = mine[2] / mine[3],
    tarantool_per_row = peer and peer[2] / row.count }
  return ("memory %.0f bytes an entity, %.2f times its payload of %.0f (aim 1.5; Tarantool %.0f)"):format(row.memory.bytes_per_row, row.memory.over_payload,
    row.memory.payload_per_row, row.memory.tarantool_per_row or 0)
end

require "harness.job"({ ... }, { name = "open_million", what = "open 1,000,000 entities", aim = 2, per = "run", count = 1000000, prepare = prepare, ours = ours,
  extra = extra, peers = { tarantool = "open" } })
