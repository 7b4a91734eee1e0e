-- Time a key must not grow with their number: 1,000,000 keys in one object, and elements in one array, against as many by 1,000. Keys in no order,
-- keys with a long prefix in common, and elements; decoded, encoded and hashed.
package.path = "./scripts/bench/?.lua;" .. package.path
local core = require "inner_universe.core"
local iu = require "inner_universe"
local world = require "harness.world"

local PREFIX = ("p"):rep(60)
local SMALL = 1000

local shapes = {
  function(i) return ('"k%x":%d'):format(i * 2654435761 & 0xFFFFFFFF, i) end,
  function(i) return ('"%s%d":"%d"'):format(PREFIX, i * 2654435761 & 0xFFFFFFFF, i) end,
  function(i) return ('[%d,{"k":%d}]'):format(i, i) end,
}

local function texts_of(count)
  local texts = {}
  for s, shape in ipairs(shapes) do
    local parts = {}
    for i = 1, count do parts[i] = shape(i) end
    texts[s] = (s == #shapes and "[%s]" or "{%s}"):format(table.concat(parts, ","))
  end
  return texts
end

local function seconds_of(count, times)
  local texts = texts_of(count)
  return world.seconds(function()
    for _ = 1, times do
      for _, text in ipairs(texts) do
        assert(iu.json.encode(assert(iu.json.decode(text))))
        assert(core.hash_text(text))
      end
    end
  end)
end

require "harness.job"({ ... }, { name = "json_growth",
  what = "JSON: 1,000,000 keys in one object (ratio: speed against objects of 1,000; quadratic time would be 0.001)", aim = 0.1,
  count = 3000000, unit = "keys a second", ours = function(_, count) return seconds_of(count // #shapes, 1) end,
  variants = { by_1000 = function(_, count) return seconds_of(SMALL, count // #shapes // SMALL) end } })
