-- Time of a diff must not grow with the square of what it is about: what `make bench BENCH=diff_growth` times for a size, for twice and for four times as much,
-- printed with the ratio of each doubling (2 is linear, 4 would be quadratic). Documents of up to 1,000,000 keys in one object, equal prefixes,
-- arrays of numbers, of a few values only, turned around, of records, of objects that are all edited, long strings, deep nesting; and lists of
-- operations in mixed order on Lua values. Fails where the last doubling takes more than 3.2 times as long, and 20 ms or more.
local iu = require "inner_universe"

local KEYS, ELEMENTS, OPERATIONS = 250000, 100000, 5000 -- of the smallest size
local RATIO_MAX, FROM_SECONDS = 3.2, 0.02
local SEED = 20260101
local PREFIX = ("p"):rep(60)

local array = iu.array

local function document(v) return assert(iu.json.document(assert(iu.json.encode(v)))) end

local function list_of(n, fn)
  local list = array()
  for i = 1, n do list[i] = fn(i) end
  return list
end

local function object_of(n, name, fn)
  local object = {}
  for i = 1, n do object[name(i)] = fn(i) end
  return object
end

local function scattered(i) return ("k%x"):format(i * 2654435761 & 0xFFFFFFFF) end
local function prefixed(i) return PREFIX .. i end

-- Two documents, and all that is done with what differs.
local function pair(old, new)
  local a, b = document(old), document(new)
  return function()
    local ops = assert(iu.diff.compare(a, b))
    assert(assert(iu.diff.apply(a, ops)) == b)
  end
end

local function nested(depth, width, leaf)
  local v = leaf
  for i = 1, depth do v = { list_of(width, function(k) return i * k end), v } end
  return v
end

local function mixed(n, count)
  local ops, left = {}, n
  for i = 1, count do
    local dice = math.random(3)
    if dice == 1 then
      ops[i], left = { op = "insert", path = "", index = math.random(0, left), value = i }, left + 1
    elseif dice == 2 then
      ops[i], left = { op = "remove", path = "", index = math.random(0, left - 1) }, left - 1
    else
      ops[i] = { op = "set", path = tostring(math.random(0, left - 1)), value = -i }
    end
  end
  return ops
end

-- What is timed, by a factor of the smallest size.
local works = {
  { "object, keys in no order, a tenth edited", function(f)
    return pair(object_of(KEYS * f, scattered, function(i) return i end), object_of(KEYS * f, scattered, function(i) return i % 10 == 0 and -i or i end))
  end },
  { "object, keys with a prefix of 60 bytes", function(f)
    return pair(object_of(KEYS * f, prefixed, function(i) return i end), object_of(KEYS * f, prefixed, function(i) return i % 10 == 0 and -i or i end))
  end },
  { "object, all keys others", function(f)
    return pair(object_of(KEYS * f, scattered, function(i) return i end), object_of(KEYS * f, prefixed, function(i) return i end))
  end },
  { "array, numbers in and out", function(f)
    return pair(list_of(ELEMENTS * f, function(i) return i end), list_of(ELEMENTS * f, function(i) return i % 7 == 0 and -i or i + i // 9 end))
  end },
  { "array, turned around", function(f)
    local n = ELEMENTS * f
    return pair(list_of(n, function(i) return i end), list_of(n, function(i) return n + 1 - i end))
  end },
  { "array, a few values only", function(f)
    return pair(list_of(ELEMENTS * f, function(i) return i % 2 end), list_of(ELEMENTS * f, function(i) return i // 3 % 2 end))
  end },
  { "array, records edited, gone and new", function(f)
    local function record(i) return { id = i, v = PREFIX .. i, w = i % 7 } end
    return pair(list_of(ELEMENTS * f // 4, record), list_of(ELEMENTS * f // 4, function(i)
      local r = record(i % 10 == 0 and i + 10000000 or i)
      if i % 11 == 0 then r.w = -1 end
      return r
    end))
  end },
  { "array, objects without a key, all edited", function(f)
    return pair(list_of(ELEMENTS * f // 4, function(i) return { x = i, y = i * 3 } end),
      list_of(ELEMENTS * f // 4, function(i) return { x = i, y = i * 3 + 1 } end))
  end },
  { "array, texts that begin alike", function(f)
    return pair(list_of(ELEMENTS * f // 4, function(i) return PREFIX .. i end), list_of(ELEMENTS * f // 4, function(i) return PREFIX .. i + i % 3 end))
  end },
  { "string, an edit every hundred bytes", function(f)
    local parts = list_of(ELEMENTS * f // 10, function(i) return ("%-99d"):format(i) end)
    return pair({ s = table.concat(parts, "a") }, { s = table.concat(parts, "b") })
  end },
  { "nesting, 400 levels with arrays", function(f)
    return pair(nested(200, 500 * f, 1), nested(200, 500 * f, 2))
  end },
  { "Lua: apply, mixed operations", function(f)
    local list, ops = list_of(ELEMENTS * f, function(i) return i end), mixed(ELEMENTS * f, OPERATIONS * f)
    return function() assert(iu.diff.apply(list, ops)) end
  end },
  { "Lua: invert, mixed operations", function(f)
    local list, ops = list_of(ELEMENTS * f, function(i) return i end), mixed(ELEMENTS * f, OPERATIONS * f)
    return function() assert(iu.diff.invert(ops, list)) end
  end },
  { "Lua: to_json_patch and from_json_patch", function(f)
    local list, ops = list_of(ELEMENTS * f, function(i) return i end), mixed(ELEMENTS * f, OPERATIONS * f)
    return function() assert(iu.diff.from_json_patch(assert(iu.diff.to_json_patch(ops, list)), list)) end
  end },
  { "Lua: from_json_patch, adds in one array", function(f)
    local n = ELEMENTS * f
    local list, patch = list_of(n, function(i) return i end), list_of(OPERATIONS * f, function(i)
      return { op = "add", path = "/" .. math.random(0, n), value = i }
    end)
    return function() assert(iu.diff.from_json_patch(patch, list)) end
  end },
  { "Lua: compose", function(f)
    local ops = mixed(ELEMENTS * f, OPERATIONS * f)
    return function() assert(iu.diff.compose(ops, ops)) end
  end },
  { "Lua: text edits of one string inverted", function(f)
    local parts = list_of(ELEMENTS * f // 10, function(i) return ("%-99d"):format(i) end)
    local old, new = { s = table.concat(parts, "a") }, { s = table.concat(parts, "b") }
    local ops = assert(iu.diff.compare(old, new))
    return function() assert(iu.diff.apply(new, assert(iu.diff.invert(ops, old)))) end
  end },
}

local function seconds_of(fn)
  local best = math.huge
  for _ = 1, 2 do
    collectgarbage()
    local started = os.clock()
    fn()
    best = math.min(best, os.clock() - started)
  end
  return best
end

local failed = false
print(("  %-44s %10s %10s %10s   ratios"):format("milliseconds for", "1", "2", "4"))
for _, work in ipairs(works) do
  local times = {}
  for k = 0, 2 do
    math.randomseed(SEED)
    times[k] = seconds_of(work[2](1 << k))
  end
  local last = times[2] / times[1]
  local bad = last > RATIO_MAX and times[2] >= FROM_SECONDS
  failed = failed or bad
  print(("  %-44s %10.1f %10.1f %10.1f   %.1f %.1f%s"):format(work[1], times[0] * 1000, times[1] * 1000, times[2] * 1000, times[1] / times[0], last,
    bad and "  TOO MUCH" or ""))
  io.stdout:flush()
end
if failed then os.exit(1) end
