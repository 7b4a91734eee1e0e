-- Drafts: a table that records what is changed in it, commits at the cost of the change, undo and redo; beside a plain table that is changed the same way.

local iu = require("inner_universe")
local support = require("support")

local null, array, object = iu.null, iu.array, iu.object

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind, err and err.message)
  assert.truthy(err.message:find(text, 1, true), err.message)
  return err
end

local function copy(v)
  if type(v) ~= "table" then return v end
  local out = setmetatable({}, getmetatable(v))
  for key, inner in pairs(v) do out[key] = copy(inner) end
  return out
end

local function canonical(v) return (assert(iu.json.canonical(v))) end

describe("drafts", function()
  local m, store

  local function begin(config)
    m = support.open { plugins = { temporal_store = config or { snapshot_every = 5 } } }
    store = m.temporal_store
  end
  before_each(function() begin() end)
  after_each(support.clean)

  local function kept(state, version)
    assert.equal(canonical(state), canonical(assert(store:get_state(version))))
  end

  it("looks like a table", function()
    local live = assert(store:track { name = "x", list = { 1, 2.0, { id = 1 } }, none = null, on = false, deep = { a = { b = {} } } })
    assert.equal("table", type(live))
    assert.equal("x", live.name)
    assert.equal(false, live.on)
    assert.equal(null, live.none)
    assert.is_nil(live.absent)
    assert.equal(3, #live.list)
    assert.equal("float", math.type(live.list[2]))
    assert.is_nil(live.list[4])
    assert.is_nil(live.list[0])
    assert.is_nil(live.list.id)
    assert.is_true(live.deep == live.deep and live.deep.a == live.deep.a)
    live.more, live.deep.a.b.c, live.name = { 1 }, 5, nil
    local keys = {}
    for key, v in pairs(live) do
      assert.is_true(v == live[key])
      keys[#keys + 1] = key
    end
    table.sort(keys)
    assert.same({ "deep", "list", "more", "none", "on" }, keys)
    local seen = {}
    for i, v in ipairs(live.list) do seen[i] = v end
    assert.equal(3, #seen)
    assert.equal(1, seen[3].id)
    assert.equal("a,b", table.concat(assert(store:track { "a", "b" }), ","))
    assert.same({ 1, 2.0 }, { table.unpack(live.list, 1, 2) })
    assert.equal('{"deep": {"a": {"b": {"c": 5}}}, "list": [1, 2.0, {"id": 1}], "more": [1], "none": null, "on": false}', canonical(live))
    support.exactly({ deep = { a = { b = { c = 5 } } }, list = { 1, 2.0, { id = 1 } }, more = { 1 }, none = null, on = false }, live:totable())
  end)

  it("goes wherever a state does", function()
    local state = { list = { 1, 2, { a = null } }, n = 1.0 }
    local live = assert(store:track(state))
    live.list[3].a = "x"
    state.list[3].a = "x"
    assert.equal(iu.json.hash(state), iu.json.hash(live))
    assert.equal(iu.json.tree_hash(state), iu.json.tree_hash(live))
    assert.equal(canonical { list = state }, canonical { list = live })
    assert.same({}, iu.diff.compare(state, live))
    assert.is_true(iu.diff.equal(live, state))
    support.exactly({ list = { 1, 3, { a = "x" } }, n = 1.0 }, assert(iu.diff.apply(live, { { op = "set", path = "list.1", value = 3 } })))
    assert.equal(2, live.list[2])
    kept(state, assert(store:commit_version(live)))
  end)

  it("goes through iu.diff in part and inside of tables, and is changed by assigning alone", function()
    local live = assert(store:track { list = { 1, { a = 2 } }, n = 1 })
    local insert = {
      { op = "set", path = "x", value = live.list }, { op = "insert", path = "x", index = 0, value = live }, { op = "set", path = "x.0.n", value = 2 },
    }
    local after = '{"x": [{"list": [1, {"a": 2}], "n": 2}, 1, {"a": 2}]}'
    assert.equal(after, canonical(assert(iu.diff.apply({}, insert))))
    assert.equal(after, canonical(assert(iu.diff.apply_in_place({}, insert))))
    assert.equal('{"x": {"in": [1, {"a": 2}]}}', canonical(assert(iu.diff.apply_in_place({}, { { op = "set", path = "x", value = { ["in"] = live.list } } }))))
    assert.equal(2, iu.diff.get({ inner = live }, "inner.list.1.a"))
    assert.is_true(iu.diff.equal({ inner = live.list }, { inner = { 1, { a = 2 } } }))
    assert.same({ n = 2 }, iu.diff.to_merge_patch({ { op = "set", path = "n", value = 2 } }, live))
    local state, err = iu.diff.apply_in_place(live, { { op = "set", path = "list.0", value = 7 }, { op = "delete", path = "nope" } })
    assert.is_nil(state)
    assert.equal("ValidationError", err.kind)
    for _, mark in ipairs { array, object } do assert.has_error(function() mark(live.list) end) end
    live.list[2].a = 3
    assert.equal('{"list": [1, {"a": 3}], "n": 1}', canonical(live))
    assert.is_nil((store:track({}, { branch = "" })))
  end)

  it("commits what was changed, hashes included, and everything can be read back and verified", function()
    local state = { list = array {}, n = 0 }
    for i = 1, 200 do state.list[i] = { id = i, name = "element " .. i } end
    local live = assert(store:track(state))
    local first = assert(live:commit("first"))
    assert.equal(iu.json.hash(state), assert(store:get_version(first)).data_hash)
    local versions, states = {}, {}
    for i = 1, 33 do
      for _, t in ipairs { live, state } do
        t.n = i
        t.list[i].name = "edited " .. i
        if i % 4 == 0 then table.insert(t.list, 1, { id = 1000 + i }) end
        if i % 7 == 0 then table.remove(t.list, 5) end
      end
      versions[i], states[i] = assert(live:commit("edit " .. i, { author = "ada", tags = { "t" }, metadata = { i = i } })), copy(state)
    end
    local row = assert(store:get_version(versions[33]))
    assert.is_nil(row.data_hash)
    assert.equal(iu.json.tree_hash(state), row.tree_hash)
    assert.equal("ada", row.author)
    assert.same({ i = 33 }, row.metadata)
    assert.equal(iu.json.hash(state), store:data_hash(versions[33]))
    assert.equal(iu.json.hash(states[20]), store:data_hash(versions[20]))
    assert.equal(iu.json.hash(assert(store:get_state(first))), store:data_hash(first))
    m = support.reopen(m)
    store = m.temporal_store
    for i = #versions, 1, -1 do kept(states[i], versions[i]) end
    assert.equal(34, assert(store:verify()).versions)
    local stats = assert(store:stats())
    assert.is_true(stats.delta_bytes < 33 * 300, stats.delta_bytes)
    assert.is_true(stats.longest_chain <= 20, stats.longest_chain)
    local again = assert(store:track())
    assert.equal(canonical(state), canonical(again))
  end)

  local function snapshots() return assert(store:stats()).snapshots end

  it("writes a due snapshot outside of the commit", function()
    local live = assert(store:track { n = 0, text = ("x"):rep(4000) })
    local id
    iu.run(function()
      for i = 1, 7 do
        live.n = i
        id = assert(live:commit())
      end
      local until_then = iu.now() + 10000000
      while snapshots() < 2 and iu.now() < until_then do iu.sleep(0.01) end
    end)
    assert.equal(2, snapshots())
    kept({ n = 7, text = ("x"):rep(4000) }, id)
  end)

  -- While fn runs, whoever compresses on another thread waits until it ends.
  local function holding_back(fn)
    local m2, conn = support.open_both { plugins = { temporal_store = { snapshot_every = 5 } } }
    local methods = getmetatable(conn).__index
    local gzip, held = methods.gzip, 0
    methods.gzip = function(self, text)
      held = held + 1
      while held > 0 do iu.sleep(0.005) end
      local ok, packed, err = pcall(gzip, self, text) -- raises where the connection was closed meanwhile
      return ok and packed or nil, ok and err or packed
    end
    m, store = m2, m2.temporal_store
    local ok, err = pcall(fn, function() return held end)
    held, methods.gzip = 0, gzip
    if not ok then error(err, 0) end
  end

  it("bounds the chain where commits come faster than snapshots", function()
    local id
    iu.run(function()
      holding_back(function(held)
        local live = assert(store:track { n = 0, text = ("x"):rep(4000) })
        for i = 1, 50 do
          live.n = i
          id = assert(live:commit())
          iu.sleep(0)
        end
        assert.equal(1, held())
        local stats = assert(store:stats())
        assert.is_true(stats.longest_chain <= 20, stats.longest_chain)
        assert.equal(3, stats.snapshots)
      end)
      local until_then = iu.now() + 10000000
      while snapshots() < 4 and iu.now() < until_then do iu.sleep(0.01) end
    end)
    assert.equal(4, snapshots())
    kept({ n = 50, text = ("x"):rep(4000) }, id)
    assert.equal(50, assert(store:verify()).versions)
  end)

  it("writes at the end what another thread had not done yet", function()
    if not support.keeps then return end
    iu.run(function()
      holding_back(function(held)
        local live = assert(store:track { n = 0, text = ("x"):rep(4000) })
        for i = 1, 8 do
          live.n = i
          assert(live:commit())
          iu.sleep(0)
        end
        assert.equal(1, held())
        m = support.reopen(m)
        store = m.temporal_store
      end)
      assert.equal(2, snapshots())
      assert.equal(8, assert(store:verify()).versions)
    end)
  end)

  it("writes a snapshot that is still due when the store closes", function()
    local live = assert(store:track { n = 0, text = ("x"):rep(4000) })
    for i = 1, 8 do
      live.n = i
      assert(live:commit())
    end
    if not support.keeps then return end
    m = support.reopen(m)
    store = m.temporal_store
    assert.is_true(snapshots() >= 2, snapshots()) -- one more where a server's answer to the one before is still to come
    assert.equal(8, assert(store:verify()).versions)
  end)

  it("remembers so many changes, and no more, for undo", function()
    local live = assert(store:track { n = 0 })
    for i = 1, 100003 do live.n = i end
    local count = 0
    while live:undo() do count = count + 1 end
    assert.equal(100000, count)
    assert.equal(3, live.n)
    assert.is_true(live:redo())
    assert.equal(4, live.n)
  end)

  it("refuses to commit what nests deeper than a state may, and goes on when it does not", function()
    local live = assert(store:track { deep = {} })
    assert(live:commit())
    local at = live.deep
    for _ = 1, 600 do
      at.deep = {}
      at = at.deep
    end
    is_error("ValidationError", "deep", live:commit())
    live.deep = { n = 1 }
    kept({ deep = { n = 1 } }, assert(live:commit()))
    at = live.deep
    for i = 1, 600 do
      at.deep = {}
      at = at.deep
      if i % 50 == 0 then
        local id, err = live:commit()
        if i < 510 then assert(id, err) else is_error("ValidationError", "deep", id, err) end
      end
    end
    assert(store:verify())
  end)

  it("tells one insertion or removal as one operation", function()
    local live = assert(store:track { list = { 1, 2, 3, { a = 1 }, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20 } })
    assert(live:commit())
    table.insert(live.list, 1, "new")
    support.exactly(array { { op = "insert", path = "list", index = 0, value = "new" } }, live:changes())
    live.list[5].a = 2
    local moved = live.list[5]
    support.exactly(array { { op = "insert", path = "list", index = 0, value = "new" }, { op = "set", path = "list.4.a", value = 2 } }, live:changes())
    assert(live:commit())
    support.exactly(array {}, live:changes())
    table.remove(live.list, 2)
    moved.a = 3 -- what was taken hold of goes on being the same element
    support.exactly(array { { op = "remove", path = "list", index = 1 }, { op = "set", path = "list.3.a", value = 3 } }, live:changes())
    live.list[#live.list + 1] = 21
    live.list[1] = "first"
    table.sort(live.list, function(a, b) return tostring(type(a) == "table" and "t" or a) < tostring(type(b) == "table" and "t" or b) end)
    local expected = live:totable()
    kept(expected, assert(live:commit()))
  end)

  it("knows the same container in two places, and one that was taken out", function()
    local live = assert(store:track { a = { x = 1 }, b = {} })
    assert(live:commit())
    live.b.copy = live.a
    local taken = live.a
    live.b.copy.x = 2
    assert.equal(2, live.a.x)
    kept({ a = { x = 2 }, b = { copy = { x = 2 } } }, assert(live:commit()))
    taken.x = 3
    kept({ a = { x = 3 }, b = { copy = { x = 3 } } }, assert(live:commit()))
    live.a, live.b.copy = nil, nil
    taken.x = 4
    kept({ b = object {} }, assert(live:commit()))
    live.c = taken
    taken.x = 5
    kept({ b = object {}, c = { x = 5 } }, assert(live:commit()))
    assert.has_error(function() live.c.inner = live end)
    assert.has_error(function() live.c.inner = { { live.c } } end)
    local other = assert(store:track { z = live.c })
    live.c.x = 6
    assert.equal(5, other.z.x)
    assert.equal(9, #assert(store:verify()) + 9)
  end)

  it("reaches its methods although members may have their names", function()
    local live = assert(store:track { commit = 1, undo = { 2 } })
    assert.equal(1, live.commit)
    local draft = assert(store:draft(live))
    assert(draft:commit())
    live.undo[1] = 3
    assert.is_true(draft:undo())
    assert.equal(2, live.undo[1])
    assert.is_nil(live.undo.commit)
    live.commit = nil
    kept({ undo = { 2 } }, assert(live:commit()))
    is_error("ValidationError", "track gave", store:draft {})
    assert.has_error(function() live.commit({}) end)
  end)

  it("says ConflictError when the branch has moved, and is as it was", function()
    local one = assert(store:track { n = 1 })
    assert(one:commit())
    local two = assert(store:track())
    one.n = 2
    assert(one:commit())
    two.m = 5
    local before = two:changes()
    is_error("ConflictError", "", two:commit())
    support.exactly(before, two:changes())
    is_error("ConflictError", "", two:commit())
    assert.equal(5, two.m)
    one.k = 1
    kept({ n = 2, k = 1 }, assert(one:commit()))
    assert.equal(canonical { n = 2, k = 1 }, canonical(assert(store:track())))
    local third = assert(store:track({ other = true }, { branch = "side" }))
    local id = assert(third:commit())
    assert.equal("side", assert(store:get_version(id)).branch)
  end)

  it("goes on from what the branch has when it begins with another state", function()
    assert(store:commit_version { a = 1, b = 2 })
    local live = assert(store:track { a = 1, b = 3 })
    kept({ a = 1, b = 3 }, assert(live:commit()))
    live.c = 4
    kept({ a = 1, b = 3, c = 4 }, assert(live:commit()))
    local document = assert(iu.json.document('{"x":[1,{"y":null}]}'))
    live = assert(store:track(document))
    live.x[2].y = document
    kept({ x = { 1, { y = { x = { 1, { y = null } } } } } }, assert(live:commit()))
    assert.equal(4, assert(store:verify()).versions)
    is_error("ValidationError", "scalar", store:track(assert(iu.json.document("5"))))
    is_error("ValidationError", "unknown", store:track({}, { brunch = "x" }))
  end)

  it("refuses what has no place in a state at the line that puts it there", function()
    local live = assert(store:track { list = { 1, 2 }, o = { a = 1 } })
    local circle = {}
    circle.self = circle
    for _, case in ipairs {
      { "list", 4, 1 }, { "list", "x", 1 }, { "list", 0, 1 }, { "list", 1, nil }, { "list", 1.5, 1 }, { "o", 1, 1 }, { "o", true, 1 },
      { "o", "f", print }, { "o", "n", 0 / 0 }, { "o", "n", math.huge }, { "o", "c", circle }, { "o", "s", { 1, nil, 3 } },
      { "o", "m", { 1, a = 2 } }, { "o", "deep", { { [true] = 1 } } },
    } do
      local ok, err = pcall(function() live[case[1]][case[2]] = case[3] end)
      assert.is_false(ok, case[1] .. "." .. tostring(case[2]))
      assert.truthy(err:find("drafts_spec.lua", 1, true), err)
    end
    live.o.text = "\xff"
    is_error("ValidationError", "UTF-8", live:commit())
    live.o.text = nil
    kept({ list = { 1, 2 }, o = { a = 1 } }, assert(live:commit()))
    live.o.b, live.list[3], live.list[4] = {}, "x", nil
    live.o.b[1] = "an array by its first element"
    live.o.b[2] = {}
    kept({ list = { 1, 2, "x" }, o = { a = 1, b = { "an array by its first element", object {} } } }, assert(live:commit()))
    live.list[3] = nil
    live.list[2] = nil
    live.list[1] = nil
    kept({ list = array {}, o = { a = 1, b = { "an array by its first element", object {} } } }, assert(live:commit()))
  end)

  -- ---- random edits, beside a plain table ----

  local seed = tonumber(os.getenv("IU_TEST_SEED") or "") or os.time() * 1000 + math.random(0, 999)
  local random = math.random
  local keys = { "a", "b", "c", "id", "name", "a.b", "", "back\\", "0", "totable", "\u{e9}" }

  local function value(depth)
    local kind = random(1, depth > 0 and 9 or 6)
    if kind == 1 then return random(0, 5) end
    if kind == 2 then return random(0, 3) + 0.0 end
    if kind == 3 then return ("text "):rep(random(0, 4)) .. random(0, 9) end
    if kind == 4 then return random(2) == 1 end
    if kind == 5 then return null end
    if kind == 6 then return -0.0 end
    local out = kind == 7 and object {} or array {}
    for i = 1, random(0, 5) do out[kind == 7 and keys[random(#keys)] or i] = value(depth - 1) end
    return out
  end

  local function is_array(t) return getmetatable(t) == getmetatable(array {}) end

  local function some_key(t)
    local list = {}
    for key in pairs(t) do list[#list + 1] = key end
    table.sort(list)
    return list[random(math.max(1, #list))]
  end

  -- The same container of both, at random.
  local function descend(live, plain)
    while random(4) > 1 do
      local key = some_key(plain)
      if key == nil or type(plain[key]) ~= "table" then break end
      live, plain = live[key], plain[key]
    end
    return live, plain
  end

  local function edit(live, plain)
    local l, p = descend(live, plain)
    local new, other = value(2), random(40) == 1
    if not is_array(p) then
      local key = random(3) == 1 and some_key(p) or keys[random(#keys)]
      if random(4) == 1 then l[key], p[key] = nil, nil
      elseif other and type(p[key]) == "table" then
        local to = "alias" .. random(3)
        l[to], p[to] = l[key], p[key]
      else l[key], p[key] = new, copy(new) end
      return
    end
    local n, what = #p, random(8)
    local at = random(1, math.max(n, 1))
    if n == 0 or what == 1 then l[n + 1], p[n + 1] = new, copy(new)
    elseif what == 2 then
      table.insert(l, at, new)
      table.insert(p, at, copy(new))
    elseif what == 3 or what == 4 then
      local a, b = table.remove(l, at), table.remove(p, at)
      assert.equal(type(b), type(a))
    elseif what == 5 then l[n], p[n] = nil, nil
    elseif what == 6 then
      local second = random(n)
      l[at], l[second] = l[second], l[at]
      p[at], p[second] = p[second], p[at]
    else l[at], p[at] = new, copy(new) end
  end

  local function agree(live, plain)
    if type(plain) ~= "table" then
      assert.is_true(plain == live and math.type(plain) == math.type(live))
      return
    end
    assert.equal("table", type(live))
    assert.equal(#plain, #live)
    local count = 0
    for key, v in pairs(live) do
      count = count + 1
      agree(v, plain[key])
      assert.is_true(rawequal(v, live[key]))
    end
    for key in pairs(plain) do
      count = count - 1
      assert.is_not_nil(live[key], key)
    end
    assert.equal(0, count)
    local last = 0
    for i, v in ipairs(live) do
      last = i
      agree(v, plain[i])
    end
    local expected = 0
    for i in ipairs(plain) do expected = i end
    assert.equal(expected, last)
  end

  -- Methods stand where the root has no member: these are no keys of random states but one.
  local function start()
    local out = object {}
    for _ = 1, 6 do out[keys[random(#keys - 2)]] = value(3) end
    out.list = array {}
    for i = 1, random(0, 60) do out.list[i] = random(3) == 1 and { id = i } or i end
    out.totable = 1
    return out
  end

  it("agrees with a plain table that is changed the same way", function()
    print("drafts, model: IU_TEST_SEED=" .. seed)
    math.randomseed(seed)
    for round = 1, 12 do
      local branch, plain = "round " .. round, start()
      local live = assert(store:track(copy(plain), { branch = branch }))
      local draft = assert(store:draft(live))
      local versions, states = {}, {}
      for step = 1, 60 do
        edit(live, plain)
        if random(6) == 1 then agree(live, plain) end
        assert.equal(canonical(plain), canonical(live))
        if random(5) == 1 or step == 60 then
          versions[#versions + 1] = assert(draft:commit())
          states[#states + 1] = canonical(plain)
          assert.equal(iu.json.tree_hash(plain), assert(store:get_version(versions[#versions])).tree_hash)
        end
      end
      for i, version in ipairs(versions) do
        assert.equal(states[i], canonical(assert(store:get_state(version))), ("round %d, version %d"):format(round, i))
      end
    end
    assert(store:verify())
  end)

  it("goes back and forth to what it was", function()
    print("drafts, undo: IU_TEST_SEED=" .. seed)
    math.randomseed(seed)
    for round = 1, 10 do
      local live = assert(store:track(start(), { branch = "undo " .. round }))
      local draft = assert(store:draft(live))
      local texts = { canonical(live) } -- what it was after each step, steps that change nothing left out
      for step = 1, 40 do
        local l = live
        while random(3) > 1 do
          local key = some_key(l)
          if key == nil or type(l[key]) ~= "table" then break end
          l = l[key]
        end
        local before = canonical(live)
        local n = #l
        if tostring(l):find("array", 1, true) then
          local what = n == 0 and 1 or random(4)
          if what == 1 then table.insert(l, random(1, n + 1), "step " .. step)
          elseif what == 2 then table.remove(l, random(1, n))
          elseif what == 3 then l[random(1, n)] = { value(2), "step " .. step } -- never what was there
          else l[n] = nil end
        else
          l[keys[random(#keys)]] = random(3) > 1 and { value(2), "step " .. step } or nil
        end
        if canonical(live) ~= before then texts[#texts + 1] = canonical(live) end
        if random(8) == 1 then assert(draft:commit()) end
      end
      local at = #texts
      for _ = 1, 100 do
        if random(5) < 4 and at > 1 then
          assert.is_true(draft:undo())
          at = at - 1
        else
          assert.equal(at < #texts, draft:redo())
          at = math.min(at + 1, #texts)
        end
        assert.equal(texts[at], canonical(live))
        if random(15) == 1 then
          local state = canonical(live)
          assert.equal(state, canonical(assert(store:get_state(assert(draft:commit())))))
        end
      end
      while draft:undo() do at = at - 1 end
      assert.equal(1, at)
      assert.equal(texts[1], canonical(live))
      live.fresh = "a new change"
      assert.is_false(draft:redo())
    end
    assert(store:verify())
  end)
end)
