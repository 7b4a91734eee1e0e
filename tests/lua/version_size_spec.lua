-- What a history takes on disk, and how far any version is from a snapshot: `make bench BENCH=version_size` in small.

local iu = require "inner_universe"

local COMMITS, BYTES = 300, 200000
local SHARE_MAX = 0.05 -- of the states' sum
local EVERY = 50 -- deltas to a snapshot, the default
local SEED = 20260101 -- always the same history: sizes are compared, not luck

local function new_state()
  local state, bytes, id = { list = iu.array(), turn = 0 }, 0, 0
  while bytes < BYTES do
    id = id + 1
    state.list[id] = { id = id, name = ("item %d %x"):format(id, math.random(1 << 40)), score = math.random(1000000) / 8 }
    bytes = bytes + #assert(iu.json.encode(state.list[id])) + 1
  end
  return state
end

local function edit(state, turn)
  local list = state.list
  state.turn = turn
  list[math.random(#list)].score = math.random(1000000) / 8
  if turn % 7 == 0 then table.insert(list, math.random(#list), { id = 1000000 + turn, name = "new" }) end
  if turn % 7 == 3 then table.remove(list, math.random(#list)) end
end

local function bytes_of(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:seek("end")
  file:close()
  return bytes
end

describe("a long history of small edits", function()
  local path = ("%s/iu_size_%s.universe"):format(os.getenv("TMPDIR") or "/tmp", iu.uuid())
  after_each(function() os.execute(("rm -f '%s' '%s'-*"):format(path, path)) end)

  it("takes a small part of what its states take, and every version is near a snapshot", function()
    math.randomseed(SEED)
    local m = assert(iu.open(path, { log_level = "error" }))
    local state, ids, hashes, sum = new_state(), {}, {}, 0
    for turn = 1, COMMITS do
      edit(state, turn)
      ids[turn] = assert(m.temporal_store:commit_version(state))
      hashes[turn] = assert(iu.json.hash(state))
      if turn % 50 == 1 then sum = sum + 50 * #assert(iu.json.encode(state)) end
    end
    assert(m:shutdown())
    local bytes = bytes_of(path)
    print(("# version_size_spec: %d bytes, %.2f %% of %d"):format(bytes, 100 * bytes / sum, sum))
    assert.is_true(bytes < sum * SHARE_MAX, ("%d bytes of %d"):format(bytes, sum))

    m = assert(iu.open(path, { log_level = "error", plugins = { temporal_store = { cache_bytes = 0 } } }))
    local stats = assert(m.temporal_store:stats())
    assert.equal(COMMITS, stats.versions)
    assert.is_true(stats.longest_chain < EVERY, stats.longest_chain)
    assert.is_true(stats.snapshots <= COMMITS // EVERY + 1, stats.snapshots)
    for _, turn in ipairs { 1, EVERY, EVERY + 1, COMMITS // 2, COMMITS } do
      assert.equal(hashes[turn], assert(iu.json.hash(assert(m.temporal_store:get_state(ids[turn], { document = true })))))
    end
    assert(m:shutdown())
  end)
end)
