-- What a long history takes: 10,000 commits of a state of 1 MB with small edits. Prints the file's bytes and their share of all states' (aim: under 5 %), the
-- time of a commit, and of reading versions in the middle that no cache has: a snapshot's, and one with the longest way to it.
--
--   make bench BENCH=version_size [ROWS=10000]
local iu = require "inner_universe"

local COMMITS = math.tointeger(tonumber(arg[1])) or 10000
local BYTES = 1000000
local SHARE_MAX = 0.05
local READS = 60 -- one after the other, in the middle: more than lie between two snapshots

math.randomseed(20260101)
local random = math.random

local function record(id)
  return { id = id, name = ("item %d %x"):format(id, random(1 << 40)), score = random(1000000) / 8,
    tags = iu.array { "a" .. random(1000), "b" .. random(1000) }, note = ("%x %x"):format(random(1 << 60), random(1 << 60)) }
end

local function new_state()
  local state, bytes, id = { list = iu.array(), turn = 0 }, 0, 0
  while bytes < BYTES do
    id = id + 1
    state.list[id] = record(id)
    bytes = bytes + #assert(iu.json.encode(state.list[id])) + 1
  end
  return state
end

-- A few members changed; now and then an element comes or goes.
local function edit(state, turn)
  local list = state.list
  state.turn = turn
  list[random(#list)].score = random(1000000) / 8
  list[random(#list)].note = ("edited in turn %d"):format(turn)
  if turn % 7 == 0 then table.insert(list, random(#list), record(1000000 + turn)) end
  if turn % 7 == 3 then table.remove(list, random(#list)) end
end

local function bytes_of(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:seek("end")
  file:close()
  return bytes
end

local function seconds_of(fn)
  local started = iu.now()
  fn()
  return (iu.now() - started) / 1e6
end

local function open(path, cache)
  return assert(iu.open(path, { log_level = "error", plugins = { temporal_store = { cache_bytes = cache } } }))
end

local folder = assert(os.getenv("BENCH_FOLDER") or os.getenv("TMPDIR") or "/tmp")
local path = ("%s/version_size_%s.universe"):format(folder, iu.uuid())

local m = open(path)
local store, state, ids, sum = m.temporal_store, new_state(), {}, 0
local per_state = #assert(iu.json.encode(state))
local cpu = os.clock()
local seconds = seconds_of(function()
  for turn = 1, COMMITS do
    edit(state, turn)
    ids[turn] = assert(store:commit_version(state))
    sum = sum + per_state
    if turn % 1000 == 0 then per_state = #assert(iu.json.encode(state)) end
  end
end)
cpu = os.clock() - cpu
assert(m:shutdown())

local bytes = bytes_of(path)
print(("  %d commits of %.2f MB: file %.1f MB, %.2f %% of the states' %.1f MB (aim: under %g %%)"):format(COMMITS, per_state / 1e6, bytes / 1e6,
  100 * bytes / sum, sum / 1e6, SHARE_MAX * 100))
print(("  %.2f ms a commit (%.2f ms of the processor)"):format(seconds * 1000 / COMMITS, cpu * 1000 / COMMITS))

m = open(path, 0)
local times = {}
for i = 1, math.min(READS, COMMITS) do
  local id = ids[math.max(1, COMMITS // 2 - READS // 2) + i - 1]
  local started = os.clock()
  assert(m.temporal_store:get_state(id, { document = true }))
  times[i] = (os.clock() - started) * 1000
end
table.sort(times)
local stats = assert(m.temporal_store:stats())
print(("  a version in the middle, hash checked: %.1f ms of the processor where a snapshot is, median %.1f ms, at most %.1f ms"):format(times[1],
  times[(#times + 1) // 2], times[#times]))
print(("  at most %d deltas to one; %d snapshots of %.1f MB, deltas of %.1f MB"):format(stats.longest_chain, stats.snapshots, stats.snapshot_bytes / 1e6,
  stats.delta_bytes / 1e6))
assert(m:shutdown())
os.execute(("rm -f '%s' '%s'-*"):format(path, path))
if bytes > sum * SHARE_MAX then os.exit(1) end
