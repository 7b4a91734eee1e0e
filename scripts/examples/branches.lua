-- Branches: two people change one state at the same time, each on a branch; what they did is merged, and who did what can be asked.
--
--   iu run branches.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:"))
local store = manager.temporal_store

local base = { title = "The level", size = { w = 10, h = 10 }, doors = { { id = 1, open = false }, { id = 2, open = false } } }
assert(store:commit_version(base, "The level as it was", { author = "ada" }))
assert(store:branch("night")) -- from where the current branch is

-- Ada goes on in the open: a wider level, a third door.
local wide = iu.json.decode(iu.json.encode(base))
wide.size.w = 12
table.insert(wide.doors, { id = 3, open = true })
local ada = assert(store:commit_version(wide, "Wider, and one more door", { author = "ada" }))

-- Bob, on his branch, opens a door and gives the level another title.
local dark = iu.json.decode(iu.json.encode(base))
dark.doors[1].open = true
dark.title = "The level at night"
local bob = assert(store:commit_version(dark, "Night", { author = "bob", branch = "night" }))

-- What lies between the two, for people.
print(assert(iu.diff.format(assert(store:diff(ada, bob)), { old = assert(store:get_state(ada)), width = 100 })))

-- Both changed the list of doors, but not the same door: nothing collides. What does collide comes back as data, or is decided by `resolve`.
local merged = assert(store:merge("night", { author = "ada" }))
local state = assert(store:get_state(merged))
print(("merged: %s, %d wide, %d doors, the first is %s"):format(state.title, state.size.w, #state.doors, state.doors[1].open and "open" or "shut"))

for _, row in ipairs(assert(store:blame())) do print(row.path, iu.json.encode(row.value), row.author) end
assert(store:verify()) -- every state, rebuilt from what is stored, has the hash of its version
