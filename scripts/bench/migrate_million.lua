-- A migration of 1,000,000 rows of a module's table in a file: a column more, computed from each row by a function in Lua, published with its record. Beside it
-- SQLite (the program sqlite3): ALTER TABLE and UPDATE of the same rows in one transaction, the value computed in SQL.
--
--   make bench BENCH=migrate_million [ROWS=1000000]
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local MIGRATION = [[return {
  up = function(m) m:add_column("player", "level", "u32", { value = function(row) return row.xp // 100 end }) end,
}]]

local arena = iu.module("arena", {
  tables = { player = { columns = { { "id", "u64" }, { "name", "string" }, { "guild", "string" }, { "xp", "u32" } }, primary_key = "id", public = true } },
  reducers = { fill = { params = { { "from", "u32" }, { "to", "u32" } }, run = function(ctx, from, to)
    for i = from, to do ctx.db.player:insert { id = i, name = "player " .. i, guild = "guild " .. i % 100, xp = i % 100000 } end
  end } },
})

local function prepare(folder, count)
  local conn = assert(iu.connect(folder .. "/arena.universe", { module = arena }))
  for from = 1, count, 50000 do assert(conn:call("fill", from, math.min(count, from + 49999))) end
  assert(conn:close())
  assert(os.execute(("mkdir -p '%s/migrations'"):format(folder)))
  local file = assert(io.open(folder .. "/migrations/0001_level.lua", "w"))
  file:write(MIGRATION)
  file:close()
end

local function ours(folder, count)
  local path = folder .. "/run.universe"
  assert(os.execute(("cp '%s/arena.universe' '%s'"):format(folder, path)))
  local migrations = assert(iu.migrations({ db_path = path, log_level = "error" }, { folder = folder .. "/migrations" }))
  local report
  local seconds = world.seconds(function() report = assert(migrations:up()) end)
  assert(report.done[1].rows == count)
  assert(os.remove(path))
  return seconds
end

local function sqlite(work, folder, count)
  if not os.execute("command -v sqlite3 >/dev/null") then return nil, "sqlite3 is not installed" end
  return ("sh scripts/bench/peers/migrate.sh %s '%s' %d"):format(work, folder, count)
end

require "harness.job"({ ... }, { name = "migrate_million", what = "migration of rows: a column more, by a function of each", aim = 0.2, unit = "rows a second",
  count = math.tointeger(tonumber((...))) or 1000000, prepare = prepare, ours = ours, peers = { sqlite = "migrate" }, commands = { sqlite = sqlite } })
