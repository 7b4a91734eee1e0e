-- Several who write one history at a time: tasks of one manager and, where a universe takes several, two managers. Commits follow each other whatever comes
-- first, `expected_parent` lets exactly one through, and pruning takes nothing from those who go on.

local iu = require "inner_universe"
local support = require "support"

local TASKS, EACH = 6, 5

local CONFIG = { plugins = { temporal_store = { snapshot_every = 4 } } }

local function state_of(who, n)
  local list = iu.array()
  for i = 1, 30 do list[i] = { id = i, text = "element " .. i, by = i == who and n or 0 } end
  return { who = who, n = n, list = list }
end

describe("writers of one history", function()
  local stores -- one of each manager
  before_each(function()
    local m = support.open(CONFIG)
    stores = { m.temporal_store }
    if support.on_server then stores[2] = support.open(CONFIG, support.target_of(m)).temporal_store end
  end)
  after_each(support.clean)

  local function store_of(i) return stores[i % #stores + 1] end

  -- Runs fn(store, i) for each of some numbers at the same time, and ends when all have.
  local function together(count, fn)
    iu.run(function()
      local left = count
      for i = 1, count do
        iu.spawn(function()
          local ok, err = pcall(fn, store_of(i), i)
          left = left - 1
          if not ok then error(err, 0) end
        end)
      end
      while left > 0 do iu.sleep(0.001) end
    end)
    assert.same({}, support.reported)
  end

  -- The main line back from its head, each version once.
  local function line_of(store)
    local seen, line = {}, assert(store:history())
    for _, version in ipairs(line) do
      assert.is_nil(seen[version.version_id])
      seen[version.version_id] = true
    end
    return line, seen
  end

  it("all come through, one behind the other, each with its own state", function()
    local mine = {}
    together(TASKS, function(store, who)
      for n = 1, EACH do
        local state = state_of(who, n)
        local id = assert(store:commit_version(state, ("%d of %d"):format(n, who)))
        mine[id] = iu.json.hash(state)
        iu.sleep(0)
      end
    end)
    for _, store in ipairs(stores) do
      local line, seen = line_of(store)
      assert.equal(TASKS * EACH, #line)
      for id, hash in pairs(mine) do
        assert.is_true(seen[id])
        assert.equal(hash, iu.json.hash(assert(store:get_state(id))))
      end
      assert.equal(TASKS * EACH, assert(store:verify()).versions)
    end
  end)

  it("who say where the branch must be: one of them comes through, the others learn where it is", function()
    local first = assert(stores[1]:commit_version(state_of(0, 0)))
    local won, lost = {}, 0
    together(TASKS, function(store, who)
      local id, err = store:commit_version(state_of(who, 1), nil, { expected_parent = first })
      if id then
        won[#won + 1] = id
        return
      end
      assert(err.kind == "ConflictError", tostring(err))
      lost = lost + 1
    end)
    assert.equal(1, #won)
    assert.equal(TASKS - 1, lost)
    assert.equal(2, #line_of(stores[1]))
    local _, err = store_of(1):commit_version(state_of(1, 2), nil, { expected_parent = first })
    assert.equal("ConflictError", err.kind)
    assert.equal(won[1], err.details.head)
    _, err = store_of(2):commit_version(state_of(1, 2), nil, { branch = "new", expected_parent = first })
    assert.equal("ConflictError", err.kind)
    assert(store_of(2):commit_version(state_of(1, 2), nil, { branch = "new", expected_parent = "" }))
    _, err = store_of(1):commit_version(state_of(1, 2), nil, { branch = "new", expected_parent = "" })
    assert.equal("ConflictError", err.kind)
  end)

  it("beside one who prunes: what is kept can be read, and so can all that is committed meanwhile", function()
    for n = 1, 25 do assert(stores[1]:commit_version(state_of(0, n))) end
    local old = assert(stores[1]:history())[20].version_id
    local hashes, writing, pruned = {}, 4, 0
    together(5, function(store, who)
      if who == 5 then
        repeat
          local report = assert(store:prune { keep_last = 3 })
          pruned = pruned + report.removed
          iu.sleep(0)
        until writing == 0
        return
      end
      local ok, why = pcall(function()
        -- One begins a branch where the pruning may be at work; it may be told that the version is gone, no more.
        local branch = who == 4 and "late" or "main"
        if who == 4 and not store:branch(branch, old) then return end
        for n = 1, 6 do
          local state = state_of(who, n)
          local id = assert(store:commit_version(state, nil, { branch = branch }))
          hashes[id] = iu.json.hash(state)
          assert.equal(hashes[id], iu.json.hash(assert(store:get_state(id))))
          iu.sleep(0)
        end
      end)
      writing = writing - 1
      if not ok then error(why, 0) end
    end)
    assert.is_true(pruned > 0)
    for _, store in ipairs(stores) do
      assert(store:verify())
      local read = 0
      for id, hash in pairs(hashes) do
        if store:get_version(id) then -- not pruned by now
          read = read + 1
          assert.equal(hash, iu.json.hash(assert(store:get_state(id))))
        end
      end
      assert.is_true(read >= 3, read)
    end
  end)

  it("who go on from a version that a pruning is about to take: it stays, or is readable from what they made of it", function()
    local m = support.open { plugins = { temporal_store = { snapshot_every = 50 } } }
    local store = m.temporal_store
    local old
    for n = 1, 8 do
      local id = assert(store:commit_version(state_of(1, n)))
      if n == 3 then old = id end
    end
    local removed, hash, head
    iu.run(function()
      local task = iu.spawn(function() removed = assert(store:prune { keep_last = 2 }).removed end)
      iu.sleep(0)
      local began, err = store:branch("late", old)
      if began then
        local state = state_of(2, 1)
        hash, head = iu.json.hash(state), assert(store:commit_version(state, nil, { branch = "late" }))
      else
        assert(support.on_server and err.kind == "VersionNotFoundError", tostring(err)) -- there the pruning can be first
      end
      while not task:is_done() do iu.sleep(0) end
    end)
    assert.is_true(removed >= 4, removed)
    m = support.reopen(m)
    store = m.temporal_store
    assert(store:verify())
    if head then assert.equal(hash, iu.json.hash(assert(store:get_state(head)))) end
  end)

  it("a version whose base somebody took away is damaged, not one without a state", function()
    local m, conn = support.open_both()
    local store = m.temporal_store
    local base = assert(store:commit_version(state_of(1, 1)))
    local head = assert(store:commit_version(state_of(1, 2)))
    assert(conn:call("prune_versions", { base }, {}, {}))
    local report, err = store:verify()
    assert.is_nil(report)
    assert.equal("StorageError", err.kind)
    assert.equal(head, err.details.version_id)
    assert.truthy(err.message:find("stands on", 1, true), err.message)
  end)

  it("who merge: a branch that moved meanwhile is merged as it is then, and nothing is lost", function()
    assert(stores[1]:commit_version(state_of(0, 0)))
    assert(stores[1]:branch("side"))
    local state = state_of(0, 0)
    state.side = true
    assert(stores[1]:commit_version(state, nil, { branch = "side" }))
    local committed, merged = {}, nil
    together(4, function(store, who)
      if who == 1 then
        merged = assert(store:merge("side", { into = "main", resolve = "ours" }))
        return
      end
      for n = 1, 4 do
        local id = assert(store:commit_version(state_of(who, n)))
        committed[#committed + 1] = id
        iu.sleep(0)
      end
    end)
    local line, seen = line_of(stores[1])
    assert.is_true(seen[merged] and assert(stores[1]:get_state(merged)).side)
    for _, id in ipairs(committed) do assert.is_true(seen[id]) end
    assert.equal(1 + #committed + 1, #line)
    assert(stores[1]:verify())
  end)

  it("who merge while one commits under their hands merge again, and are asked again what to do", function()
    local store = stores[1]
    assert(store:commit_version({ a = 1, b = 1 }))
    assert(store:branch("side"))
    assert(store:commit_version({ a = 2, b = 1 }, nil, { branch = "side" }))
    assert(store:commit_version({ a = 3, b = 1 }))
    local asked = {}
    local id = assert(store:merge("side", { resolve = function(conflict)
      asked[#asked + 1] = conflict.ours
      if #asked == 1 then assert(store:commit_version({ a = 4, b = 9 })) end
      return 10 * conflict.ours + conflict.theirs
    end }))
    assert.same({ 3, 4 }, asked)
    support.exactly({ a = 42, b = 9 }, assert(store:get_state(id)))
    local _, err = store:merge("side", { into = "nowhere" })
    assert.equal("VersionNotFoundError", err.kind)
    assert(store:verify())
  end)
end)
