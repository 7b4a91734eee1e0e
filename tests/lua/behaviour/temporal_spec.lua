-- The temporal store: deltas and snapshots, branches and tags, merges, history by time and path, blame, verifying and pruning.

local iu = require("inner_universe")
local support = require("support")

local null, array, object = iu.null, iu.array, iu.object

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind, err and err.message)
  assert.truthy(err.message:find(text, 1, true), err.message)
  return err
end

local function ids(rows) return support.pluck(rows, "version_id") end

describe("temporal store", function()
  local m, store

  before_each(function()
    m = support.open { plugins = { temporal_store = { snapshot_every = 5 } } }
    store = m.temporal_store
  end)
  after_each(support.clean)

  local function commit(state, branch, options)
    options = options or {}
    options.branch = branch
    return assert(store:commit_version(state, nil, options))
  end

  local function long_state(n)
    local state = { list = array {}, n = 0, text = ("lorem ipsum "):rep(40) }
    for i = 1, n or 60 do state.list[i] = { id = i, name = "element " .. i, on = i % 2 == 0 } end
    return state
  end

  it("stores small changes as deltas, with a snapshot now and then, and gives every state back after reopening", function()
    local state, versions, hashes = long_state(), {}, {}
    for i = 1, 23 do
      state.n = i
      state.list[i].name = "edited " .. i
      if i % 4 == 0 then table.insert(state.list, 1, { id = 1000 + i }) end
      versions[i] = commit(state)
      hashes[i] = iu.json.hash(state)
    end
    local stats = assert(store:stats())
    assert.equal(23, stats.versions)
    assert.equal(22, stats.deltas)
    assert.is_true(stats.snapshots >= 4 and stats.snapshots <= 6, stats.snapshots)
    assert.is_true(stats.longest_chain <= 5)
    assert.is_true(stats.delta_bytes < 22 * 400, stats.delta_bytes)
    m = support.reopen(m)
    store = m.temporal_store
    for i = #versions, 1, -1 do assert.equal(hashes[i], iu.json.hash(assert(store:get_state(versions[i])))) end
    local report = assert(store:verify())
    assert.equal(23, report.versions)
  end)

  it("takes documents and gives them", function()
    local document = assert(iu.json.document('{"a":[1,2,{"b":1.0}],"c":null}'))
    local id = assert(store:commit_version(document))
    assert.equal(document, store:get_state(id, { document = true }))
    support.exactly({ a = array { 1, 2, { b = 1.0 } }, c = null }, store:get_state(id))
    local edited = assert(iu.diff.apply(document, { { op = "set", path = "a.2.b", value = 2 } }))
    local second = assert(store:commit_version(edited))
    assert.equal(edited, store:get_state(second, { document = true }))
    assert.equal(document, store:get_state(id, { document = true }))
    assert.has_error(function() store:commit_version(5) end)
  end)

  it("commits what did not change, and roots of all kinds", function()
    local one, two = commit({ a = 1 }), commit({ a = 1 })
    assert.not_equal(one, two)
    assert.same({}, setmetatable(store:diff(one, two), nil))
    local list = commit(array { 1 })
    support.exactly(array { 1 }, store:get_state(list))
    support.exactly({ a = 1 }, store:get_state(two))
    local empty = commit(object {})
    support.exactly(object {}, store:get_state(empty))
  end)

  it("refuses a commit on another head than was expected, and nothing is kept of it", function()
    local one = commit({ n = 1 }, nil, { expected_parent = "" })
    local before = support.census(m)
    local err = is_error("ConflictError", "expected_parent", store:commit_version({ n = 2 }, "", { expected_parent = "" }))
    assert.equal(one, err.details.head)
    is_error("ConflictError", "expected_parent", store:commit_version({ n = 2 }, "", { expected_parent = "other" }))
    assert.equal(before, support.census(m))
    assert(store:commit_version({ n = 2 }, "", { expected_parent = one }))
    is_error("ValidationError", "options.expected_parent: string expected", store:commit_version({}, "", { expected_parent = 5 }))
    is_error("ValidationError", "unknown key `brnch`", store:commit_version({}, "", { brnch = "x" }))
  end)

  it("has branches and tags", function()
    local one, two = commit({ n = 1 }), commit({ n = 2 })
    assert.equal(one, store:branch("side", one))
    is_error("ConflictError", "side", store:branch("side"))
    is_error("VersionNotFoundError", "nowhere", store:branch("other", "nowhere"))
    local three = commit({ n = 3 }, "side")
    assert.equal(one, store:get_version(three).parent_version_id)
    assert.equal("side", store:get_version(three).branch)
    assert.equal(two, store:get_current_version().version_id)
    assert.is_true(store:checkout("side"))
    assert.equal("side", store:current_branch())
    assert.equal(three, store:get_current_version().version_id)
    is_error("VersionNotFoundError", "nope", store:checkout("nope"))
    is_error("ValidationError", "current branch", store:delete_branch("side"))
    assert.equal(two, store:tag("release", "main"))
    assert.equal(two, store:get_version("release").version_id)
    support.exactly({ n = 2 }, store:get_state("release"))
    assert.equal(three, store:tag("release"))
    assert.equal("release", store:tags()[1].name)
    is_error("ConflictError", "release", store:branch("release"))
    assert.same({ "main", "side" }, support.pluck(store:branches(), "name"))
    assert.same({ false, true }, support.pluck(store:branches(), "current"))
    assert.is_true(store:checkout("main"))
    assert.is_true(store:delete_branch("side"))
    is_error("VersionNotFoundError", "side", store:delete_branch("side"))
    assert.is_true(store:delete_tag("release"))
    is_error("VersionNotFoundError", "release", store:get_state("release"))
    support.exactly({ n = 3 }, store:get_state(three)) -- versions stay
  end)

  it("finds versions by time, branch, path and limit, and reverts", function()
    local versions, times = {}, {}
    for i = 1, 6 do
      versions[i] = commit({ a = { b = i // 2 }, n = i, list = { 1, i > 3 and 2 or 1 } })
      times[i] = store:get_version(versions[i]).timestamp
    end
    for i = 1, 6 do
      local state, version = store:as_of(times[i])
      assert.equal(i, state.n)
      assert.equal(versions[i], version.version_id)
    end
    assert.equal(6, store:as_of(times[6] + 1000000).n)
    is_error("VersionNotFoundError", "had no version", store:as_of(times[1] - 1))
    is_error("VersionNotFoundError", "nope", store:as_of(times[1], { branch = "nope" }))
    assert.same({ versions[6], versions[5] }, ids(store:history { limit = 2 }))
    assert.same({ versions[2], versions[1] }, ids(store:history { before = versions[3] }))
    assert.same({ versions[2], versions[1] }, ids(store:history { before = times[3] }))
    assert.same({ versions[6], versions[4], versions[2], versions[1] }, ids(store:history { path = "a.b" }))
    assert.same({ versions[4], versions[1] }, ids(store:history { path = "list.1" }))
    assert.same({ versions[1] }, ids(store:history { path = "list.0" }))
    assert.same({}, ids(store:history { path = "nothing.here" }))
    is_error("ValidationError", "unknown option", store:history { pth = "a" })
    is_error("ValidationError", "before", store:history { before = true })
    is_error("ValidationError", "empty segment", store:history { path = "a..b" })
    local ops = assert(store:diff(versions[1], versions[6]))
    assert.equal(iu.json.hash(store:get_state(versions[6])), iu.json.hash(iu.diff.apply(store:get_state(versions[1]), ops)))
    local reverted = assert(store:revert(versions[2]))
    assert.equal(iu.json.hash(store:get_state(versions[2])), store:get_version(reverted).data_hash)
    assert.equal(versions[6], store:get_version(reverted).parent_version_id)
    assert.truthy(store:get_version(reverted).description:find(versions[2], 1, true))
  end)

  describe("merging", function()
    local base = { title = "t", o = { x = 1, y = 2 }, list = { { id = 1, v = 1 }, { id = 2, v = 2 }, { id = 3, v = 3 } }, plain = { "a", "b", "c" } }

    -- The merge of two edits of the base: what came of it, or nil and the conflicts.
    local function merged(ours, theirs, options)
      local function edited(edit)
        local state = iu.json.decode(iu.json.encode(base))
        edit(state)
        return state
      end
      commit(base)
      assert(store:branch("theirs"))
      local a = commit(edited(ours), "main")
      local b = commit(edited(theirs), "theirs")
      local before = support.census(m)
      local id, err = store:merge("theirs", options)
      if not id then
        assert.equal("ConflictError", err.kind)
        assert.equal(before, support.census(m))
        return nil, err.details.conflicts
      end
      local version = store:get_version(id)
      assert.equal(a, version.parent_version_id)
      assert.equal(b, version.merge_parent_id)
      assert.equal(id, store:get_current_version().version_id)
      assert(store:verify())
      return store:get_state(id)
    end

    it("takes what does not collide, in the same objects and lists too", function()
      local state = merged(function(s)
        s.o.x = 10
        s.list[1].v = 10
        table.insert(s.list, 1, { id = 10, v = 0 })
        table.insert(s.plain, "ours")
        s.new = { from = "ours" }
      end, function(s)
        s.o.y = nil
        s.o.z = 3
        table.remove(s.list, 2)
        s.list[2].v = 30
        table.insert(s.plain, "theirs")
        table.remove(s.plain, 2)
        s.title = "T"
      end)
      support.exactly({
        title = "T", o = { x = 10, z = 3 }, list = array { { id = 10, v = 0 }, { id = 1, v = 10 }, { id = 3, v = 30 } },
        plain = array { "a", "c", "ours", "theirs" }, new = { from = "ours" },
      }, state)
    end)

    it("tells what collides, and commits nothing then", function()
      local _, conflicts = merged(function(s)
        s.title = "ours"
        s.o = nil
        s.list[2] = { id = 2, v = "ours" }
        s.same = 1
      end, function(s)
        s.title = "theirs"
        s.o.x = 5
        s.list[2].v = "theirs"
        s.same = 1
      end)
      table.sort(conflicts, function(a, b) return a.path < b.path end)
      assert.same({ "list.1.v", "o", "title" }, support.pluck(conflicts, "path"))
      assert.same({ 2, "ours", "theirs" }, { conflicts[1].base, conflicts[1].ours, conflicts[1].theirs })
      assert.is_nil(conflicts[2].ours)
      support.exactly({ x = 5, y = 2 }, conflicts[2].theirs)
    end)

    for _, side in ipairs { "ours", "theirs" } do
      it("takes " .. side .. " where it is told to", function()
        local state = merged(function(s)
          s.title, s.o.x = "ours", nil
        end, function(s)
          s.title, s.o.x = "theirs", 7
        end, { resolve = side })
        assert.equal(side, state.title)
        assert.equal(side == "theirs" and 7 or nil, state.o.x)
      end)
    end

    it("asks a function, which may leave a conflict one", function()
      local asked = {}
      local state = merged(function(s) s.title, s.o.x, s.o.y = "ours", 5, 6 end, function(s) s.title, s.o.x, s.o.y = "theirs", 7, 8 end, {
        resolve = function(conflict)
          asked[#asked + 1] = conflict.path
          if conflict.path == "o.y" then return conflict.absent end
          return conflict.path == "title" and conflict.ours .. "+" .. conflict.theirs or conflict.ours + conflict.theirs
        end,
        description = "both", author = "ada", tags = { "merge" },
      })
      table.sort(asked)
      assert.same({ "o.x", "o.y", "title" }, asked)
      support.exactly({ x = 12 }, state.o)
      assert.equal("ours+theirs", state.title)
      local version = store:get_current_version()
      assert.same({ "both", "ada", "merge" }, { version.description, version.author, version.tags[1] })
      is_error("ValidationError", 'resolve: "ours", "theirs" or a function', store:merge("theirs", { resolve = "mine" }))
      is_error("VersionNotFoundError", "nope", store:merge("nope"))
      is_error("VersionNotFoundError", "nope", store:merge("theirs", { into = "nope" }))
    end)

    it("has nothing to do where theirs is in ours already", function()
      local one = commit(base)
      local two = commit({ n = 2 })
      assert.equal(two, store:merge(one))
      assert.equal(two, store:merge("main"))
      assert.equal(2, #store:history())
    end)

    it("merges lines that crossed", function()
      commit({ a = 0, b = 0, c = 0 })
      assert(store:branch("side"))
      local m1, s1 = commit({ a = 1, b = 0, c = 0 }), commit({ a = 0, b = 1, c = 0 }, "side")
      assert(store:merge(s1, { into = "main" })) -- a = 1, b = 1
      assert(store:merge(m1, { into = "side" })) -- the same, by other versions: two common ancestors
      commit({ a = 1, b = 1, c = 5 }, "main")
      commit({ a = 1, b = 2, c = 0 }, "side")
      local id = assert(store:merge("side"))
      support.exactly({ a = 1, b = 2, c = 5 }, store:get_state(id))
      is_error("ValidationError", "unknown option", store:merge("side", { intoo = "main" }))
    end)

    it("of lines without a common version starts from nothing", function()
      commit({ a = 1, same = true }, "main")
      commit({ b = 2, same = true }, "island")
      local id = assert(store:merge("island"))
      support.exactly({ a = 1, b = 2, same = true }, store:get_state(id))
    end)
  end)

  it("blames each leaf on the version that last changed it, through moved elements and merges", function()
    local v1 = commit({ title = "t", list = { { id = 1, v = 1 }, { id = 2, v = 2 } }, deep = { x = { y = 1 } } }, nil, { author = "ada" })
    local v2 = commit({ title = "t", list = { { id = 9, v = 9 }, { id = 1, v = 1 }, { id = 2, v = 2 } }, deep = { x = { y = 1 } } }, nil, { author = "bob" })
    local v3 = commit({ title = "t", list = { { id = 9, v = 9 }, { id = 1, v = 1 }, { id = 2, v = 22 } }, deep = { x = { y = 1 } } }, nil, { author = "cyd" })
    assert(store:branch("side", v2))
    local s1 = commit({ title = "T", list = { { id = 9, v = 9 }, { id = 1, v = 1 }, { id = 2, v = 2 } }, deep = { x = { y = 1 } } }, "side", { author = "dan" })
    local merge = assert(store:merge("side"))
    local by = {}
    for _, row in ipairs(assert(store:blame())) do by[row.path] = row end
    assert.equal(8, #store:blame(""))
    assert.equal(v1, by["deep.x.y"].version_id)
    assert.equal("ada", by["deep.x.y"].author)
    assert.equal(v2, by["list.0.v"].version_id)
    assert.equal(v1, by["list.1.v"].version_id)
    assert.equal(v3, by["list.2.v"].version_id)
    assert.equal(v1, by["list.2.id"].version_id)
    assert.equal(s1, by.title.version_id)
    assert.equal(22, by["list.2.v"].value)
    assert.is_true(by.title.timestamp <= store:get_version(merge).timestamp)
    assert.same({ v1 }, ids(store:blame("deep", { version = v1 })))
    is_error("ValidationError", "nothing at path", store:blame("nope"))
    is_error("VersionNotFoundError", "nope", store:blame("", { version = "nope" }))
  end)

  it("verifies, and names the first version that differs", function()
    local state = long_state()
    for i = 1, 12 do
      state.n = i
      commit(state)
    end
    assert.equal(12, store:verify().versions)
    if support.on_server then return end
    local other, conn = support.open_both()
    local text = iu.json.encode({ n = 1 })
    local id = iu.uuid()
    assert(conn:call("commit_state_version", "", "d", iu.json.hash({ n = 2 }), "", "", {}, "", "", "", nil, nil, { { encoding = "json", data = text } }, id))
    local err = is_error("StorageError", id, other.temporal_store:verify())
    assert.equal(id, err.details.version_id)
  end)

  it("passes over a snapshot that was not written to its end", function()
    local other, conn = support.open_both({ plugins = { temporal_store = { snapshot_every = 5, cache_bytes = 0 } } })
    local history, versions, state = other.temporal_store, {}, long_state()
    for i = 1, 4 do
      state.n = i
      versions[i] = assert(history:commit_version(state))
    end
    assert(conn:call("put_snapshot", versions[3], 0, 7, "json+gzip", "the first of seven parts")) -- and killed
    for i = 1, 4 do assert.equal(i, assert(history:get_state(versions[i])).n) end
    assert.equal(4, assert(history:verify()).versions)
    assert.equal(1, assert(history:prune { keep_last = 2 }).snapshots_written)
    assert.equal(3, assert(history:get_state(versions[3])).n)
    assert.equal(2, assert(history:verify()).versions)
    assert(conn:call("put_snapshot", "alone", 0, 2, "json", "{"))
    assert(conn:call("commit_state_version", "", "d", "", "side", "", {}, "", "", "", nil, nil, {}, "alone"))
    is_error("StorageError", "part 1 of its state is missing", history:get_state("alone"))
  end)

  it("prunes, and what stays can be read", function()
    local state, versions, hashes = long_state(), {}, {}
    for i = 1, 20 do
      state.n, state.list[i].name = i, "v" .. i
      versions[i] = commit(state)
      hashes[i] = store:get_version(versions[i]).data_hash
    end
    assert(store:tag("keep", versions[7]))
    assert(store:branch("side", versions[12]))
    local before = support.census(m)
    local dry = assert(store:prune { keep_last = 3, dry_run = true })
    assert.equal(before, support.census(m))
    local report = assert(store:prune { keep_last = 3 })
    assert.same({ dry.removed, dry.kept }, { report.removed, report.kept })
    m = support.reopen(m)
    store = m.temporal_store
    local kept = { [7] = true, [10] = true, [11] = true, [12] = true, [18] = true, [19] = true, [20] = true }
    for i = 1, 20 do
      if kept[i] then
        assert.equal(hashes[i], iu.json.hash(assert(store:get_state(versions[i]))))
      else
        is_error("VersionNotFoundError", versions[i], store:get_state(versions[i]))
      end
    end
    assert.equal(7, store:verify().versions)
    assert.same({ versions[20], versions[19], versions[18] }, ids(store:history()))
    state.n = 21
    local next_id = commit(state)
    assert.equal(versions[20], store:get_version(next_id).parent_version_id)
    assert.equal(8, store:verify().versions)
    report = assert(store:prune { keep_last = 1, keep_tags = false })
    assert.equal(0, #store:tags())
    assert.equal(2, report.kept)
    assert.equal(2, store:verify().versions)
    report = assert(store:prune { older_than = 3600 })
    assert.equal(0, report.removed)
    is_error("ValidationError", "expected keep_last, older_than or max_bytes", store:prune {})
    is_error("ValidationError", "unknown option", store:prune { keep = 1 })
  end)

  it("removes what a commit that was killed between its parts left, and no other's", function()
    local own, conn = support.open_both { plugins = { temporal_store = { part_bytes = 1024, commit_bytes = 0, staged_seconds = 0 } } }
    local kept = own.temporal_store
    local state = {}
    for i = 1, 400 do state[i] = iu.json.hash(i) end -- some 10 KB when it is compressed
    local id = assert(kept:commit_version(state))
    local function marks()
      return #assert(conn:select("plugin_record", { filters = { { field = "key", operator = "StartsWith", value = "temporal_store/" } } }))
    end
    local function parts_of(version)
      return #assert(conn:select("state_snapshot", { filters = { { field = "version_id", operator = "Equals", value = version } } }))
    end
    assert(own:flush())
    assert.equal(0, marks())
    assert.is_true(parts_of(id) > 3)
    assert(conn:call("put_record", "temporal_store/staged/killed", "{}", 0, nil)) -- as the one that was killed did
    assert(conn:call("put_snapshot", "killed", 0, 2, "json+gzip", "\x1f\x8b"))
    assert(conn:call("put_record", "temporal_store/staged/" .. id, "{}", 0, nil)) -- killed when all was done but this
    assert(kept:prune { keep_last = 5, dry_run = true })
    assert.same({ 2, 1 }, { marks(), parts_of("killed") })
    assert(kept:prune { keep_last = 5 })
    assert(own:flush())
    assert.same({ 0, 0 }, { marks(), parts_of("killed") })
    support.exactly(state, assert(kept:get_state(id)))
  end)

  it("leaves the parts of a commit that may be under way", function()
    local own, conn = support.open_both()
    assert(own.temporal_store:commit_version({ a = 1 }))
    assert(conn:call("put_record", "temporal_store/staged/young", "{}", 0, nil))
    assert(conn:call("put_snapshot", "young", 0, 2, "json+gzip", "\x1f\x8b"))
    assert(own.temporal_store:prune { keep_last = 5 })
    assert.is_table((conn:get("plugin_record", "temporal_store/staged/young")))
    assert.is_table((conn:get("state_snapshot", "young:0")))
  end)

  it("prunes by bytes, the oldest first", function()
    local state, versions = long_state(200), {}
    for i = 1, 15 do
      state.n = i
      versions[i] = commit(state)
    end
    local all = assert(store:stats())
    local report = assert(store:prune { max_bytes = (all.snapshot_bytes + all.delta_bytes) // 2 })
    assert.is_true(report.removed > 0 and report.kept >= 1)
    is_error("VersionNotFoundError", versions[1], store:get_state(versions[1]))
    assert.equal(15, store:get_state("main").n)
    assert(store:verify())
  end)

  it("stores a state that is larger than one part and than one call's share", function()
    local state = { list = array {} }
    local random = 12345
    for i = 1, 3000 do
      random = (random * 6364136223846793005 + 1442695040888963407) & math.maxinteger
      state.list[i] = ("%x"):format(random):rep(20)
    end
    local id = commit(state)
    m = support.reopen(m)
    assert.equal(iu.json.hash(state), iu.json.hash(assert(m.temporal_store:get_state(id))))
  end)

  it("keeps states whose members have the names of methods", function()
    local state = { totable = { 1, { totable = "x" } }, __index = 1, __gc = array {} }
    commit { totable = 0 }
    local id = commit(state)
    assert.same(state, store:get_state(id))
    assert.same(state, store:as_of(store:get_version(id).timestamp))
    assert.equal(2, #store:history { path = "totable" })
    assert.equal(1, #store:history { path = "totable.1.totable" })
    assert.equal(4, #store:blame())
    store:branch "other"
    state.more = true
    commit(state, "other")
    assert.same(state, store:get_state(assert(store:merge "other")))
  end)

  it("has no name that hides a version, and knows its own branch from one", function()
    local first = commit { n = 1 }
    for _, name in ipairs { "branch", "tag" } do is_error("ConflictError", "is the id of a version", store[name](store, first)) end
    commit({ n = 2 }, first) -- made by a commit, it is there
    assert(store:checkout(first))
    local second = commit({ n = 3 }, first)
    assert.equal(second, store:tag "here")
    assert.equal(second, store:branch "there")
    assert.equal(3, store:blame("n")[1].value)
    is_error("ValidationError", "options.branch", store:commit_version({}, nil, { branch = "" }))
  end)

  it("goes over versions without a state in a history by path", function()
    commit { n = 1 }
    assert(m.client:commit_state_version(store:get_current_version().version_id, "no state"))
    local last = commit { n = 1, m = 1 }
    assert.equal(3, #store:history {})
    assert.equal(last, ids(assert(store:history { path = "m" }))[1])
    assert.same({}, store:history { path = "m.0" })
    assert(m.client:commit_state_version(last, "no state"))
    assert.same({ last }, ids(assert(store:history { path = "m" })))
  end)

  it("reads segments as indexes only where they are", function()
    commit { list = { 1, 2 } }
    commit { list = { 1, 3 } }
    assert.equal(2, #store:history { path = "list.1" })
    assert.equal(0, #store:history { path = "list.01" })
    is_error("ValidationError", 'has nothing at path "list.01"', store:blame("list.01"))
  end)

  it("follows elements of arrays so small that they are written anew as a whole", function()
    local function blamed(expected)
      local rows = {}
      for i, row in ipairs(assert(store:blame())) do rows[i] = ("%s=%s %s"):format(row.path, row.value, row.description) end
      assert.same(expected, rows)
    end
    assert(store:commit_version({ l = { 1, 2, 3 }, o = { n = { { a = 1 }, { b = 2 } } } }, "A"))
    assert(store:commit_version({ l = { 0, 1, 2, 3 }, o = { n = { { x = 1 }, { a = 1 }, { b = 3 } } } }, "B"))
    blamed { "l.0=0 B", "l.1=1 A", "l.2=2 A", "l.3=3 A", "o.n.0.x=1 B", "o.n.1.a=1 A", "o.n.2.b=3 B" }
    assert(store:commit_version({ l = { 9, 0, 2, 3 }, o = { n = { { b = 3 } } } }, "C"))
    blamed { "l.0=9 C", "l.1=0 B", "l.2=2 A", "l.3=3 A", "o.n.0.b=3 B" }
    assert(store:commit_version(array { array { 0, 2, 3 }, 5 }, "D"))
    assert(store:commit_version(array { array { 2, 3, 4 }, 5 }, "E"))
    blamed { "0.0=2 D", "0.1=3 D", "0.2=4 E", "1=5 D" }
  end)

  it("merges long lists in a time that grows with them, not with their square", function()
    for _, make in ipairs { function(i) return { id = i } end, function(i) return i end } do
      local ours, theirs, all = array {}, array {}, {}
      for i = 1, 4000 do
        ours[i], theirs[i] = make(i), make(i % 2 == 0 and i or -i)
      end
      for i, v in ipairs(ours) do all[i] = v end
      for i = 1, 4000, 2 do all[#all + 1] = theirs[i] end
      local started = os.clock()
      local into = commit({ list = array {} }, iu.uuid())
      local name = store:get_version(into).branch
      store:branch(name .. "'", name)
      commit({ list = ours }, name)
      commit({ list = theirs }, name .. "'")
      assert.same({ list = all }, store:get_state(assert(store:merge(name .. "'", { into = name }))))
      assert.is_true(os.clock() - started < 8) -- squared it took half a minute
    end
  end)

  it("verifies what is left while others prune", function()
    for i = 1, 200 do commit { n = i, text = ("x"):rep(i) } end
    iu.run(function()
      local verifying, pruning = iu.spawn(function() return store:verify() end), iu.spawn(function() return store:prune { keep_last = 5 } end)
      local report = assert(verifying:wait())
      assert.equal(0, report.stateless)
      assert.is_true(report.versions >= 5)
      assert.equal(195, assert(pruning:wait()).removed)
    end)
    assert.same({ 5, 0 }, { store:verify().versions, store:verify().stateless })
  end)

  it("raises at the caller of a merge whose function closes the store", function()
    commit { n = 1 }
    store:branch "other"
    commit({ n = 2 }, "other")
    commit { n = 3 }
    local ok, err = pcall(store.merge, store, "other", { resolve = function() assert(m:shutdown()) return 4 end })
    assert.is_false(ok)
    assert.matches("temporal_store is closed$", err)
  end)
end)
