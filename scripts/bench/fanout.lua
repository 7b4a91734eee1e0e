-- One row changed, one call each, with 1,000 subscriptions to rows by key and 100 to ranges, beside the same with one subscription, and with queries that no
-- index from constants to queries can file (an OR), so that each of them is compared with each change.
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local POINTS, RANGES, CHANGED = 1000, 100, 500

local function module()
  return assert(iu.module("fanout", {
    tables = { unit = { columns = { { "id", "u64" }, { "x", "f32" } }, primary_key = "id", public = true } },
    reducers = {
      fill = function(ctx)
        for id = 1, POINTS do ctx.db.unit:insert { id = id, x = id % RANGES } end
      end,
      move = { params = { { "id", "u64" }, { "x", "f32" } }, run = function(ctx, id, x) ctx.db.unit:update { id = id, x = x } end },
    },
  }))
end

local function run(count, queries)
  local conn = assert(iu.connect("memory:", { module = module(), nerv = false }))
  local told = 0
  assert(conn:call("fill"))
  for _, sql in ipairs(queries) do assert(assert(conn:subscribe(sql)):wait()) end
  conn.tables.unit:on_update(function() told = told + 1 end)
  local seconds = world.seconds(function()
    for i = 1, count do assert(conn:call("move", CHANGED, i % RANGES + 0.5)) end
  end)
  assert(told == count, told)
  conn:close()
  return seconds
end

local function all(point, range)
  local queries = {}
  for id = 1, POINTS do queries[id] = point:gsub("%$", tostring(id)) end
  for x = 0, RANGES - 1 do queries[#queries + 1] = range:gsub("%$", tostring(x)):gsub("#", tostring(x + 1)) end
  return queries
end

require "harness.job"({ ... }, { name = "fanout", what = "one row change to 1,000 point and 100 range subscriptions", aim = 0.8, count = 20000,
  ours = function(_, count)
    return run(count, all("SELECT * FROM unit WHERE id = $", "SELECT * FROM unit WHERE x >= $ AND x < #"))
  end,
  variants = {
    one = function(_, count) return run(count, { "SELECT * FROM unit WHERE id = " .. CHANGED }) end,
    naive = function(_, count)
      return run(count, all("SELECT * FROM unit WHERE id = $ OR id = $", "SELECT * FROM unit WHERE (x >= $ OR x >= $) AND (x < # OR x < #)"))
    end,
  } })
