-- Hits of the cache from Lua: texts of 60 bytes by key, 10,000 of them. Beside it the same from Redis, one GET at a time over a socket, and what a cache
-- would save on an embedded universe: get_entity. The same hits of values that are tables, which are made anew for each, are told besides.
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local KEYS = 10000 -- peers/redis.c has the same keys and values
local VALUE = '{"name":"item %d","tags":["bench"],"properties":{"number":%d}}'

local function key(i) return "item:" .. i % KEYS + 1 end

local function hits(cache, count)
  return world.seconds(function()
    for i = 1, count do assert(cache:get(key(i))) end
  end)
end

local function ours(_, count)
  local manager <close> = assert(iu.open("memory:", { log_level = "error", plugins = { cache = { ttl_ms = 3600 * 1000 } } }))
  local cache = manager.cache
  for i = 1, KEYS do assert(cache:set(key(i - 1), VALUE:format(i, i))) end
  local seconds = hits(cache, count)
  for i = 1, KEYS do assert(cache:set(key(i - 1), assert(iu.json.decode(VALUE:format(i, i))))) end
  return seconds, hits(cache, count)
end

local function uncached(_, count)
  local manager <close> = assert(iu.open("memory:", { log_level = "error" }))
  for i = 1, KEYS do assert(manager:create_entity("Item", { name = "item " .. i, tags = { "bench" }, properties = { number = i } }, "item:" .. i)) end
  return world.seconds(function()
    for i = 1, count do assert(manager:get_entity(key(i))) end
  end)
end

require "harness.job"({ ... }, {
  name = "cache_hits", what = "hits of the cache, from Lua", aim = 2, count = 300000, ours = ours, variants = { get_entity = uncached },
  peers = { redis = "get" },
  extra = function(details, row) return ("of tables %.0f a second"):format(row.count / details.ours[2]) end,
})
