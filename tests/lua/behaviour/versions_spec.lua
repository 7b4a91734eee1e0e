-- Versions: states with the hash Python would give, a chain of parents, deltas beside them, a current version that survives reopening.

local iu = require "inner_universe"
local support = require "support"

-- JSON text and the SHA-256 of Python 3's json.dumps(json.loads(text), sort_keys=True), computed there.
local VECTORS = {
  { "{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" },
  { "[]", "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945" },
  { [[{"a":[1,2,3],"b":1.0}]], "89bac0cf89f3669c9d52923467810be43abab40feca20618cf2486c2899013bd" },
  { [[{"b":1,"a":{"d":[],"c":{}},"ü":"größe 🔑"}]], "31448c21bc11e89603c543c6f6922dbb310a97cfecbb891d97d3ad871b1eeacb" },
  { [[{"f":[1e16,1e22,0.1,5e-324,-0.0,1e-7,123456789012345680.0,100.0]}]], "32ede358680c72f5c7bf5491a4e716d374cf587cd7e4faf649852251c72fac39" },
  { [[{"i":[9223372036854775807,-9223372036854775808,18446744073709551615]}]], "d0c4778ff5768670ea7b3e6f52982a19a673f772c39931d21dd6c28f1279aa1f" },
  { [[{"s":"\u0000\u001f\u007f\"\\/\n"}]], "eb321b7999093670c90632c281d99c3fa63abfb7b32694adc40bf5fed63bf756" },
}

-- What python3 says of JSON texts, one hash each; nil when there is no python3.
local function python_hashes(texts)
  local probe = io.popen("python3 -c 'print(6 * 7)' 2>/dev/null")
  local answer = probe:read("a")
  probe:close()
  if not answer:find("42", 1, true) then return nil end
  local input = support.path()
  support.write(input, table.concat(texts, "\n") .. "\n")
  local pipe = io.popen(([[python3 -c '
import hashlib, json, sys
for line in open(sys.argv[1], encoding="utf-8", newline="\n"):
    print(hashlib.sha256(json.dumps(json.loads(line), sort_keys=True).encode()).hexdigest())
' '%s']]):format(input))
  local hashes = {}
  for line in pipe:lines() do hashes[#hashes + 1] = line end
  pipe:close()
  return hashes
end

local seed = os.time()
local random_state = seed
local function random(n)
  random_state = (random_state * 6364136223846793005 + 1442695040888963407) & math.maxinteger
  return (random_state >> 33) % n
end

local function random_value(depth)
  local what = random(depth > 4 and 7 or 10)
  if what == 0 then return iu.null end
  if what == 1 then return random(2) == 0 end
  if what == 2 then return (random(1 << 30) << 33 | random(1 << 30)) - (1 << 62) end
  if what == 3 then return string.unpack("<d", string.pack("<I4I4", random(1 << 30), random(1 << 30))) end
  if what == 4 then return (random(2000001) - 1000000) / 10 ^ random(20) end
  if what == 5 then return random(100) end
  if what == 6 then
    local parts = {}
    for i = 1, random(8) do
      local code = ({ random(0x80), random(0x800), random(0xD800), 0xE000 + random(0x102000) })[random(4) + 1]
      parts[i] = utf8.char(code)
    end
    return table.concat(parts)
  end
  if what == 7 then
    local list = iu.array {}
    for i = 1, random(5) do list[i] = random_value(depth + 1) end
    return list
  end
  local object = iu.object {}
  for _ = 1, random(5) do object[utf8.char(97 + random(26), 0x100 + random(500), 0x10000 + random(500)) .. random(100)] = random_value(depth + 1) end
  return object
end

describe("versions", function()
  local m, store
  before_each(function()
    m = support.open()
    store = m.temporal_store
  end)
  after_each(support.clean)

  it("have the hash of Python's json.dumps with sorted keys", function()
    for _, vector in ipairs(VECTORS) do
      local state = assert(iu.json.decode(vector[1]))
      assert.equal(vector[2], iu.json.hash(state), vector[1])
      assert.equal(vector[2], store:get_version(assert(store:commit_version(state))).data_hash)
    end
  end)

  it("have the hash that the python3 of this machine computes, for random states", function()
    local texts, states = {}, {}
    for i, vector in ipairs(VECTORS) do texts[i] = vector[1] end
    for _ = 1, 300 do texts[#texts + 1] = assert(iu.json.encode({ s = random_value(0) })) end
    local hashes = python_hashes(texts)
    if not hashes then return pending("no python3 here") end
    assert.equal(#texts, #hashes)
    for i, text in ipairs(texts) do
      states[i] = assert(iu.json.decode(text))
      assert.equal(hashes[i], iu.json.hash(states[i]), ("seed %d: %s"):format(seed, text))
    end
    for i = 1, 40 do -- and through the store
      local id = assert(store:commit_version(states[i]))
      assert.equal(hashes[i], store:get_version(id).data_hash)
      assert.equal(hashes[i], iu.json.hash(assert(store:get_state(id))))
    end
  end)

  it("do not depend on the order of keys, but on types", function()
    local a, b = {}, {}
    for i = 1, 50 do a["k" .. i] = i end
    for i = 50, 1, -1 do b["k" .. i] = i end
    assert.equal(iu.json.hash(a), iu.json.hash(b))
    b.k1 = 1.0
    assert.not_equal(iu.json.hash(a), iu.json.hash(b))
    assert.not_equal(iu.json.hash(iu.array {}), iu.json.hash(iu.object {}))
  end)

  it("follow each other: parent, description, author, tags, time", function()
    assert.is_nil((store:get_current_version()))
    assert.is_nil(select(2, store:get_current_version()))
    local one = assert(store:commit_version({ n = 1 }, "first", { author = "ada", tags = { "t" }, metadata = { x = 1.0 } }))
    local two = assert(m:commit_version({ n = 2 }, "second"))
    local three = assert(store:commit_version({ n = 3 }))
    local v = store:get_version(one)
    assert.is_nil(v.parent_version_id)
    assert.same({ "first", "ada", "main" }, { v.description, v.author, v.branch })
    assert.equal("t", v.tags[1])
    support.exactly({ x = 1.0 }, v.metadata)
    assert.equal(one, store:get_version(two).parent_version_id)
    assert.equal(two, store:get_version(three).parent_version_id)
    assert.equal(three, store:get_current_version().version_id)
    assert.same({ three, two, one }, support.pluck(store:history(), "version_id"))
    assert.same({ two, one }, support.pluck(store:history(two), "version_id"))
    assert.same({ three, two }, support.pluck(store:history(nil, 2), "version_id"))
    assert.is_true(store:get_version(one).timestamp < store:get_version(two).timestamp)
    support.exactly({ n = 1 }, store:get_state(one))
    support.exactly({ n = 3 }, store:get_state(three))
  end)

  it("are there after reopening, the current one too", function()
    local one = assert(store:commit_version({ n = 1, list = { 1, 2 } }, "first"))
    local two = assert(store:commit_version({ n = 2 }, "second"))
    assert(store:record_delta(one, { { op = "set", path = "n", value = 2 } }, "change"))
    local before = { store:get_version(one), store:get_version(two), store:get_deltas(one) }
    m = support.reopen(m)
    store = m.temporal_store
    assert.equal(two, store:get_current_version().version_id)
    assert.same(before, { store:get_version(one), store:get_version(two), store:get_deltas(one) })
    support.exactly({ n = 1, list = iu.array { 1, 2 } }, store:get_state(one))
    local three = assert(store:commit_version({ n = 3 }))
    assert.equal(two, store:get_version(three).parent_version_id)
  end)

  it("that are not there are VersionNotFoundErrors", function()
    local before = support.census(m)
    support.refused("VersionNotFoundError", nil, select(2, store:get_version("nope")), "nope")
    support.refused("VersionNotFoundError", nil, select(2, store:get_state("nope")), "nope")
    support.refused("VersionNotFoundError", nil, select(2, store:history("nope")), "nope")
    support.refused("VersionNotFoundError", nil, select(2, store:record_delta("nope", {})), "nope")
    support.refused("VersionNotFoundError", nil, select(2, m.client:commit_state_version("nope", "d")), "nope")
    assert.equal(before, support.census(m))
  end)

  it("deltas take the five operations, in our spelling and the guide's", function()
    local v = assert(store:commit_version({ items = { 1, 2 } }))
    local ours = {
      { op = "set", path = "data.n", value = 1.0 }, { op = "delete", path = "data.old" }, { op = "insert", path = "items", index = 2, value = { a = 1 } },
      { op = "insert", path = "items", value = 4 }, { op = "remove", path = "items", index = 0 }, { op = "patch", path = "", patch = { x = iu.null } },
    }
    local guide = {}
    for i, op in ipairs(ours) do
      guide[i] = { type = op.op:upper(), path = op.path, index = op.index, value = op.value, patch = op.patch }
    end
    local first = assert(store:record_delta(v, ours, "ours"))
    local second = assert(store:record_state_delta(v, guide, "guide"))
    local third = assert(m:record_delta(v, { { op = "Set", path = "x", value = false } }, "third"))
    local deltas = assert(store:get_deltas(v))
    local tagged = assert(store:record_delta(v, { { Insert = { path = "items", index = 2, value = { a = 1 } } }, { set = { path = "x", value = 1 } } }))
    assert.same({ first, second, third }, support.pluck(deltas, "delta_id"))
    support.exactly(deltas[1].operations, deltas[2].operations)
    support.exactly(iu.array { deltas[1].operations[3], { op = "set", path = "x", value = 1 } }, m.client:get_delta(tagged).operations)
    local ops = deltas[1].operations
    assert.same({ "set", "delete", "insert", "insert", "remove", "patch" }, support.pluck(ops, "op"))
    assert.same({ "data.n", "data.old", "items", "items", "items", "" }, support.pluck(ops, "path"))
    support.exactly(1.0, ops[1].value)
    assert.equal(2, ops[3].index)
    support.exactly({ a = 1 }, ops[3].value)
    assert.is_nil(ops[4].index)
    assert.equal(0, ops[5].index)
    support.exactly({ x = iu.null }, ops[6].patch)
    assert.is_false(deltas[3].operations[1].value)
    assert.equal("ours", deltas[1].metadata.description)
    assert.equal("recorded", deltas[1].kind)
    support.exactly({ items = iu.array { 1, 2 } }, store:get_state(v)) -- a note, never part of the state
  end)

  it("deltas that make no sense are refused, and nothing is kept of them", function()
    local v = assert(store:commit_version({ a = 1 }))
    local before = support.census(m)
    local good = { op = "set", path = "a", value = 1 }
    for _, case in ipairs {
      { { { op = "sett", path = "a", value = 1 } }, "operations[1].op", "sett" },
      { { good, { path = "a" } }, "operations[2].op" },
      { { { op = "set", value = 1 } }, "operations[1].path", "nil" },
      { { { op = "set", path = 5, value = 1 } }, "operations[1].path", "number" },
      { { { op = "set", path = "a" } }, "operations[1].value", "iu.null" },
      { { { op = "insert", path = "a", index = -1, value = 1 } }, "operations[1].index", "-1" },
      { { { op = "insert", path = "a", index = 1.5, value = 1 } }, "operations[1].index" },
      { { { op = "insert", path = "a", index = 1 << 32, value = 1 } }, "index" },
      { { { op = "remove", path = "a", index = "0" } }, "operations[1].index" },
      { { { op = "remove", path = "a" } }, "operations[1].index" },
      { { { op = "patch", path = "a" } }, "operations[1].patch" },
      { { { op = "set", path = "a", value = 0 / 0 } }, "operations[1].value" },
      { { { op = "set", path = "\xff", value = 1 } }, "path", "UTF-8" },
      { { "set" }, "operations[1]", "string" },
      { { good, [3] = good }, "operations" },
      { { a = good }, "operations", "array" },
      { { { op = "set", path = "a", value = 1, valeu = 2 } }, "operations[1]", "valeu" },
    } do
      local id, err = store:record_delta(v, case[1])
      assert(not id, "accepted: " .. tostring(case[2]) .. " " .. tostring(case[3]))
      support.refused("ValidationError", id, err, table.unpack(case, 2))
    end
    assert.equal(before, support.census(m))
    assert(store:record_delta(v, {}))
  end)

  it("states that cannot be written are refused, and nothing is kept of them", function()
    local before = support.census(m)
    local cycle = { a = {} }
    cycle.a.b = cycle
    for _, case in ipairs {
      { cycle, "$.a" }, { { x = 0 / 0 }, "$.x" }, { { x = 1 / 0 }, "$.x" }, { { x = "\xff" }, "$.x" }, { { x = print }, "$.x" }, { { [1] = 1, [3] = 3 }, "$" },
      { { 1, a = 2 }, "$" }, { { [true] = 1 }, "$" }, { { [1.5] = 1 }, "$" }, { { x = { y = { [0] = 1 } } }, "$.x.y" },
    } do
      local id, err = store:commit_version(case[1])
      support.refused("ValidationError", id, err, table.unpack(case, 2))
    end
    support.refused("ValidationError", nil, select(2, store:commit_version({}, "\xff")), "description", "UTF-8")
    support.refused("ValidationError", nil, select(2, store:commit_version({}, "d", { auther = "x" })), "auther", "author")
    support.refused("ValidationError", nil, select(2, store:commit_version({}, "d", { author = 5 })), "author")
    support.refused("ValidationError", nil, select(2, store:commit_version({}, "d", { tags = "x" })), "tags")
    support.refused("ValidationError", nil, select(2, store:commit_version({}, "d", { metadata = { 1, 2 } })), "metadata")
    support.refused("ValidationError", nil, select(2, store:commit_version({}, "d", { metadata = "x" })), "metadata")
    assert.equal(before, support.census(m))
    support.raises_here(function() store:commit_version("text") end, "commit_version", "state", "table")
    support.raises_here(function() m:commit_version(nil) end, "commit_version", "state", "table")
    support.raises_here(function() store:get_state(nil) end, "get_state", "version_id", "string")
    support.raises_here(function() store:record_delta(nil, {}) end, "record_delta", "version_id")
    support.raises_here(function() store:record_state_delta("v", nil) end, "record_state_delta", "operations")
  end)

  it("a state that no longer matches its hash is a StorageError, never an answer", function()
    local other, conn = support.open_both()
    local id = iu.uuid()
    local spoiled = { { encoding = "json", data = '{"n":2}' } }
    assert(conn:call("commit_state_version", "", "d", iu.json.hash({ n = 1 }), "", "", {}, "", "", "", nil, nil, spoiled, id))
    support.refused("StorageError", nil, select(2, other.temporal_store:get_state(id)), "hash")
    assert(conn:call("commit_state_version", "", "d", "", "", "", {}, "", "", "", nil, nil, { { encoding = "json", data = '{"n":' } }, "broken"))
    support.refused("StorageError", nil, select(2, other.temporal_store:get_state("broken")), "broken")
    assert(conn:call("put_snapshot", "torn", 1, 2, "json", "1}"))
    assert(conn:call("commit_state_version", "", "d", "", "", "", {}, "", "", "", nil, nil, {}, "torn"))
    support.refused("StorageError", nil, select(2, other.temporal_store:get_state("torn")), "torn", "part 0")
  end)

  it("a commit on a head that has moved is a ConflictError", function()
    local conn = support.connect()
    local function commit(parent, expected, id)
      return conn:call("commit_state_version", parent, "", "", "", "", {}, "", "", "", expected, nil, {}, id)
    end
    assert(commit("", "", "v1"))
    local before = support.census(conn)
    support.refused("ConflictError", nil, select(2, commit("", "", "v2")))
    support.refused("ConflictError", nil, select(2, commit("v1", "v0", "v2")))
    support.refused("ConflictError", nil, select(2, commit("v1", "v1", "v1")), "v1")
    assert.equal(before, support.census(conn))
    assert(commit("v1", "v1", "v2"))
    assert(commit("v1", nil, "v3")) -- whoever expects nothing wins
    assert.equal("v3", conn:get("state_branch", "main").head_version_id)
  end)

  it("the client's commit keeps no state, and says so", function()
    local id = assert(m.client:commit_state_version(nil, "bare", ("0"):rep(64)))
    local v = store:get_version(id)
    assert.same({ "bare", ("0"):rep(64) }, { v.description, v.data_hash })
    support.refused("VersionNotFoundError", nil, select(2, store:get_state(id)), id, "without its state")
    local child = assert(m.client:commit_state_version(id, "child"))
    assert.equal(id, store:get_version(child).parent_version_id)
    assert.is_nil(store:get_version(child).data_hash)
    assert.equal(child, store:get_current_version().version_id)
  end)

  it("log themselves", function()
    local id = assert(store:commit_version({ a = 1 }, "d"))
    local delta = assert(store:record_delta(id, { { op = "delete", path = "a" } }))
    local committed = m.event_bus:events({ type = "STATE_VERSION_COMMITTED" })[1].data
    assert.equal(id, committed.version_id)
    assert.equal(iu.json.hash({ a = 1 }), committed.data_hash)
    local recorded = m.event_bus:events({ type = "DELTA_RECORDED" })[1].data
    assert.same({ delta, id, 1 }, { recorded.delta_id, recorded.state_version_id, recorded.operations_count })
  end)

  it("of half a million bytes survive", function()
    local state = { rows = {} }
    for i = 1, 5000 do state.rows[i] = { id = i, name = "row " .. i, value = i / 7, flags = { true, iu.null } } end
    local id = assert(store:commit_version(state))
    m = support.reopen(m)
    assert.equal(iu.json.hash(state), m.temporal_store:get_version(id).data_hash)
    support.exactly(state, m.temporal_store:get_state(id))
  end)
end)
