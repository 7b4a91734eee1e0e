-- Versions: a state is kept, changed, and kept again; both versions stay, each with its hash.
--
--   iu run versions.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:"))
local store = manager.temporal_store

local state = { name = "Test state", data = { value = 42, items = { "a", "b", "c" } } }
local first = assert(store:commit_version(state, "Initial state"))

-- The change, as operations beside the version it starts from. Indexes count from 0.
assert(store:record_delta(first, {
  { op = "insert", path = "data.items", index = 3, value = "d" },
  { op = "set", path = "data.value", value = 43 },
}, "One more item"))

-- The change itself, and the version after it.
table.insert(state.data.items, "d")
state.data.value = 43
local second = assert(store:commit_version(state, "One more item"))

local current = assert(store:get_current_version())
print(("current: %s"):format(current.description))
print(("it is the second: %s, after the first: %s"):format(current.version_id == second, current.parent_version_id == first))

-- Any version can be had back, as it was.
for _, id in ipairs{ first, second } do
  local version = assert(store:get_version(id))
  local then_state = assert(store:get_state(id))
  print(("%s: value %d, items %s"):format(version.description, then_state.data.value, table.concat(then_state.data.items, " ")))
  -- The same hash as Python's hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
  print("  " .. version.data_hash)
end
