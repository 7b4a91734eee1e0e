-- A commit after 10 edits, of a draft (temporal:track), beside commit_version of the same plain table with the same edits: states of 20 KB, 200 KB, 2 MB
-- and 20 MB in a file, `normal`. Of each the median time and the longest of the draft's; the tasks between are where snapshots that are due are written.
-- By name only: make bench BENCH=draft_commit.
package.path = "./scripts/bench/?.lua;" .. package.path
local iu = require "inner_universe"
local world = require "harness.world"

local COMMITS = 60 -- of a draft; fewer of commit_version where the state is large
local EDITS = 10
local RECORD = 200 -- bytes of text of a record, about

local function state_of(bytes)
  local state = { title = "bench", list = iu.array {}, by_name = {} }
  for i = 1, bytes // (2 * RECORD) do
    local record = { id = i, title = ("record %d of a list that is long"):format(i), score = i / 4, active = i % 3 == 0, tags = { "one", "two" },
      address = { city = "City " .. i % 50, zip = "12345" }, text = ("word "):rep(8) }
    state.list[i], state.by_name["name " .. i] = record, { at = i, text = ("word "):rep(34) }
  end
  return state
end

-- Ten edits all over: members of elements, members of members, one element at the end, one member more.
local function edit(state, n, count)
  for k = 1, EDITS - 2 do
    local i = (n * 7919 + k * 104729) % count + 1
    if k % 2 == 0 then state.list[i].score = n + k / 8 else state.by_name["name " .. i].at = n * 100 + k end
  end
  state.list[#state.list + 1] = { id = count + n }
  state.by_name["new " .. n] = n
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function measure(folder, bytes)
  local m = assert(iu.open { db_path = ("%s/%d.universe"):format(folder, bytes), log_level = "error" })
  local store, state = m.temporal_store, state_of(bytes)
  local count, size = #state.list, #iu.json.encode(state)
  assert(store:commit_version(state, nil, { branch = "draft" }))
  local live
  local begun = world.seconds(function() live = assert(store:track(nil, { branch = "draft" })) end)
  local times, edits, longest = {}, {}, 0
  collectgarbage()
  iu.run(function()
    for n = 1, COMMITS do
      edits[n] = world.seconds(function() edit(live, n, count) end)
      times[n] = world.seconds(function() assert(live:commit()) end)
      longest = math.max(longest, times[n])
      iu.sleep(0)
    end
  end)
  local whole, rounds = {}, math.max(3, math.min(COMMITS, 2000000 // bytes))
  assert(store:commit_version(state, nil, { branch = "whole" }))
  for n = 1, rounds do
    edit(state, n, count)
    whole[n] = world.seconds(function() assert(store:commit_version(state, nil, { branch = "whole" })) end)
  end
  local first = times[1]
  assert(m:shutdown())
  return { size = size, begun = begun, first = first, draft = median(times), edit = median(edits), longest = longest, whole = median(whole) }
end

local folder = (os.getenv("BENCH_FOLDER") or os.getenv("TMPDIR") or "/tmp") .. "/iu_draft_commit_" .. iu.uuid()
assert(os.execute("mkdir -p '" .. folder .. "'"))
print("| state | draft: commit after 10 edits | first, longest | the edits | track | commit_version | ratio |")
print("|---|---|---|---|---|---|---|")
for _, bytes in ipairs { 20000, 200000, 2000000, 20000000 } do
  local r = measure(folder, bytes)
  print(("| %d KB | %.3f ms | %.3f, %.3f ms | %.3f ms | %.1f ms | %.1f ms | %.0f |"):format(r.size // 1000, r.draft * 1e3, r.first * 1e3,
    r.longest * 1e3, r.edit * 1e3, r.begun * 1e3, r.whole * 1e3, r.whole / r.draft))
end
os.execute("rm -rf '" .. folder .. "'")
