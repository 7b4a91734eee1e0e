-- The process that crash_versions_spec kills.  lua5.4 versioner.lua PATH FOLD_BYTES ROUND SEED
--
-- Commits (drafts, too), branches, merges, tags and prunes without end, each call on disk before it answers. Tells on standard output, unbuffered, what it is
-- about to do and what has been acknowledged: `> OPERATION...` before each call, `< VALUE` after it has returned.

local iu = require "inner_universe"
local content = require "crash.content"
local dying = require "crash.dying"

local PATH, FOLD_BYTES, ROUND, SEED = table.unpack(arg, 1, 4)

local say = dying.begin(SEED, FOLD_BYTES)

local m = assert(iu.open(PATH, { durability = "full", log_level = "error", plugins = { temporal_store = content.versions_config } }))
local store = m.temporal_store
say("opened")

local counter = 0
local function new_number()
  counter = counter + 1
  return math.tointeger(ROUND) * 100000 + counter
end

local function commit(branch)
  local n = new_number()
  say(">", "commit", branch, n)
  say("<", assert(store:commit_version(content.version_state(n), "state " .. n, { branch = branch })))
end

-- A draft on a branch of its own, committed as a change.
local live
local function commit_draft()
  local n = new_number()
  local state = content.version_state(n)
  if not live then
    local known = {}
    for _, row in ipairs(assert(store:branches())) do known[row.name] = true end
    live = assert(store:track(not known.live and state or nil, { branch = "live" }))
  end
  live.n, live.list, live.blob = n, state.list, state.blob
  say(">", "commit", "live", n)
  say("<", assert(live:commit("state " .. n)))
end

local side -- a branch beside the main one, while there is one

local works = {
  commit_draft,
  commit_draft,
  function()
    if side then return end
    side = "side" .. new_number()
    say(">", "branch", side)
    say("<", assert(store:branch(side, "main")))
  end,
  function()
    if side then commit(side) end
  end,
  function()
    if not side then return end
    local n = new_number()
    say(">", "merge", "main", n)
    say("<", assert(store:merge(side, { into = "main", resolve = "theirs", description = "state " .. n })))
  end,
  function()
    if not side then return end
    say(">", "delete_branch", side)
    say("<", tostring(assert(store:delete_branch(side))))
    side = nil
  end,
  function()
    local name = "tag" .. math.random(3)
    say(">", "tag", name)
    say("<", assert(store:tag(name, "main")))
  end,
  function()
    if math.random(3) > 1 then return end
    say(">", "prune")
    say("<", assert(store:prune { keep_last = content.VERSIONS_KEPT }).removed)
  end,
}

commit("main")
while true do
  local work = works[math.random(#works * 3)]
  if work then work() else commit("main") end
end
