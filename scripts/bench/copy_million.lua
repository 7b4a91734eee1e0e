-- A copy of 1,000,000 entities from a universe file to a new one, read by a snapshot of the source, checked row by row on the way, on disk at the end, beside
-- SQLite (the program sqlite3): ATTACH and INSERT ... SELECT of the same rows into a table with the same indexes, in one transaction, `synchronous = FULL`.
-- `extra`: opening the source, which is part of it, and the proof by hashes afterwards, which is not.
--
--   make bench BENCH=copy_million [ROWS=1000000]
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local function prepare(folder, count)
  local manager = world.open(folder, "normal", false)
  for from = 1, count, 1000 do
    assert(manager:transaction(function(tx)
      for i = from, math.min(count, from + 999) do assert(tx:create_entity("Item", world.metadata(i))) end
    end))
  end
  assert(manager:shutdown())
end

local function ours(folder, count)
  local manager = assert(iu.open("memory:", { log_level = "error", plugins = { transfer = true } }))
  local transfer = assert(manager:plugin("transfer"))
  local from, to = folder .. "/bench.universe", folder .. "/copy.universe"
  local options, report = { tables = { "entity" } }, nil
  local seconds = world.seconds(function() report = assert(transfer:copy(from, to, options)) end)
  assert(report.tables.entity.written == count)
  local verify = world.seconds(function() assert(assert(transfer:verify(from, to, options)).equal) end)
  assert(manager:shutdown())
  os.execute(("rm -f '%s' '%s'-* '%s'.*"):format(to, to, to))
  return ("%.6f %.6f %.6f"):format(seconds, seconds - report.seconds, verify)
end

local function sqlite(work, folder, count)
  if not os.execute("command -v sqlite3 >/dev/null") then return nil, "sqlite3 is not installed" end
  return ("sh scripts/bench/peers/copy.sh %s '%s' %d"):format(work, folder, count)
end

local function extra(details, row)
  local _, opened, verified = table.unpack(details.ours)
  row.copy = { opening_and_closing = opened, verify = verified }
  return ("of that %.1f s opening and closing the files; verify %.1f s"):format(opened, verified)
end

require "harness.job"({ ... }, { name = "copy_million", what = "copy of entities from file to file", aim = 0.2, unit = "rows a second",
  count = math.tointeger(tonumber((...))) or 1000000, prepare = prepare, ours = ours, extra = extra, peers = { sqlite = "copy" },
  commands = { sqlite = sqlite } })
