-- iu.diff on long arrays: thousands of operations in any order mean what they mean on short ones, and time does not grow with operations times elements.
-- IU_TEST_SEED repeats a run.

local iu = require "inner_universe"

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local function json(v) return assert(iu.json.canonical(v)) end

-- A state of nested arrays, some longer than the few elements that are changed as they lie.
local function nested(rows, cells)
  local state = { list = iu.array(), other = "text" }
  for i = 1, rows do
    local inner = iu.array()
    for k = 1, math.random(0, cells) do inner[k] = k end
    state.list[i] = { n = i, inner = inner }
  end
  return state
end

-- An operation that fits the state.
local function next_operation(state, i)
  local list = state.list
  local at = math.random(0, math.max(#list - 1, 0))
  local row = list[at + 1]
  local dice = math.random(12)
  if dice <= 3 or not row then
    return { op = "insert", path = "list", index = math.random(8) > 1 and math.random(0, #list) or nil, value = { n = -i, inner = iu.array { i } } }
  end
  if dice <= 6 then return { op = "remove", path = "list", index = at } end
  local inner = ("list.%d.inner"):format(at)
  if dice <= 8 then return { op = "insert", path = inner, index = math.random(0, #row.inner), value = i } end
  if dice == 9 and #row.inner > 0 then return { op = "remove", path = inner, index = math.random(0, #row.inner - 1) } end
  if dice == 10 and #row.inner > 0 then return { op = "set", path = ("%s.%d"):format(inner, math.random(0, #row.inner - 1)), value = i / 2 } end
  if dice == 11 then return { op = "patch", path = ("list.%d"):format(at), patch = { n = i, more = i % 3 == 0 and iu.null or i } } end
  return { op = "set", path = ("list.%d"):format(at), value = { n = i, inner = row.inner } }
end

local function operations_for(state, count)
  local ops, model = {}, state
  for i = 1, count do
    ops[i] = next_operation(model, i)
    model = assert(iu.diff.apply(model, { ops[i] }))
  end
  return ops, model
end

describe("operations on long arrays", function()
  setup(function()
    print("# diff_long_spec: IU_TEST_SEED=" .. SEED)
  end)
  before_each(function() math.randomseed(SEED) end)

  it("do together what they do one by one", function()
    for round = 1, 12 do
      local state = nested(math.random(0, 200), round % 2 == 0 and 200 or 5)
      local before = json(state)
      local ops, model = operations_for(state, 300)
      local expected = json(model)
      local document = assert(iu.json.document(assert(iu.json.encode(state))))
      assert.equal(expected, json(assert(iu.diff.apply(document, ops))))
      assert.equal(expected, json(assert(iu.diff.apply(state, ops))))
      assert.equal(before, json(state))
      assert.equal(before, json(assert(iu.diff.apply(model, assert(iu.diff.invert(ops, state))))))
      local patch = assert(iu.diff.to_json_patch(ops, state))
      assert.equal(expected, json(assert(iu.diff.apply(state, assert(iu.diff.from_json_patch(patch, state))))))
      assert.equal(before, json(state))
      assert.truthy(iu.diff.format(ops, { old = state }))
      -- In place: a list that fails at its end leaves everything as it was.
      local failing = table.move(ops, 1, #ops, 1, {})
      failing[#failing + 1] = { op = "delete", path = "nothing" }
      assert.is_nil((iu.diff.apply_in_place(state, failing)))
      assert.equal(before, json(state))
      local list = state.list
      assert.equal(state, assert(iu.diff.apply_in_place(state, ops)))
      assert.equal(list, state.list)
      assert.equal(expected, json(state))
    end
  end)

  it("show what was there as it was then", function()
    local state = { keep = iu.array(), old = { inner = iu.array() } }
    for i = 1, 100 do state.old.inner[i] = i end
    local ops = {}
    for i = 1, 98 do ops[i] = { op = "remove", path = "old.inner", index = 0 } end
    ops[99] = { op = "set", path = "old", value = 1 }
    local text = assert(iu.diff.format(ops, { old = state }))
    assert.truthy(text:find('~ old: {"inner":[99,100]} -> 1', 1, true), text:sub(-200))
    local patch = iu.array()
    for i = 1, 98 do patch[i] = { op = "remove", path = "/old/inner/0" } end
    patch[99] = { op = "test", path = "/old", value = { inner = { 99, 100 } } }
    patch[100] = { op = "copy", from = "/old", path = "/keep/-" }
    patch[101] = { op = "move", from = "/old/inner", path = "/keep/0" }
    local after = assert(iu.diff.apply(state, assert(iu.diff.from_json_patch(patch, state))))
    assert.equal('{"keep": [[99, 100], {"inner": [99, 100]}], "old": {}}', json(after))
  end)
end)

-- Time ------------------------------------------------------------------------------------------------------------

local FACTOR = 4 -- of sizes: linear time grows four times, quadratic sixteen
local GROWTH_MAX = 11

-- The shortest of some runs, in seconds of the processor.
local function seconds_of(fn)
  local best = math.huge
  for _ = 1, 3 do
    collectgarbage()
    local started = os.clock()
    fn()
    best = math.min(best, os.clock() - started)
  end
  return best
end

local function row_ops(n, count)
  local ops, left = {}, n
  for i = 1, count do
    local dice = math.random(3)
    if dice == 1 then
      ops[i], left = { op = "insert", path = "", index = math.random(0, left), value = i }, left + 1
    elseif dice == 2 then
      ops[i], left = { op = "remove", path = "", index = math.random(0, left - 1) }, left - 1
    else
      ops[i] = { op = "set", path = tostring(math.random(0, left - 1)), value = i }
    end
  end
  return ops
end

local function numbers(n)
  local list = iu.array()
  for i = 1, n do list[i] = i end
  return list
end

-- Each makes what it needs for a size and answers what is measured.
local works = {
  ["apply"] = function(n)
    local list, ops = numbers(n), row_ops(n, n // 4)
    return function() return iu.diff.apply(list, ops) end
  end,
  ["apply_in_place"] = function(n)
    local list, ops = numbers(n), row_ops(n, n // 4)
    return function() return iu.diff.apply_in_place(assert(iu.diff.apply(list, { { op = "set", path = "0", value = 0 } })), ops) end
  end,
  ["invert"] = function(n)
    local list, ops = numbers(n), row_ops(n, n // 4)
    return function() return iu.diff.invert(ops, list) end
  end,
  ["to_json_patch and from_json_patch"] = function(n)
    local list, ops = numbers(n), row_ops(n, n // 4)
    return function() return iu.diff.from_json_patch(assert(iu.diff.to_json_patch(ops, list)), list) end
  end,
  ["from_json_patch of adds and moves"] = function(n)
    local list, patch = numbers(n), iu.array()
    for i = 1, n // 4, 2 do
      patch[i] = { op = "add", path = "/" .. math.random(0, n), value = i }
      patch[i + 1] = { op = "move", from = "/" .. math.random(0, n - 1), path = "/" .. math.random(0, n - 1) }
    end
    return function() return iu.diff.from_json_patch(patch, list) end
  end,
  ["merge of lists that both sides lengthened"] = function(n)
    n = n // 8
    local m = assert(iu.open("memory:", { log_level = "error" }))
    local store, rounds = m.temporal_store, 0
    local function side(step, first)
      local list = iu.array()
      for i = 1, n do
        if i % step > 0 then list[#list + 1] = i end
      end
      for i = 1, n do list[#list + 1] = first + i end
      return { list = list }
    end
    assert(store:commit_version { list = numbers(n) })
    assert(store:branch "theirs")
    local ours = assert(store:commit_version(side(5, 10 * n)))
    assert(store:commit_version(side(7, 20 * n), nil, { branch = "theirs" }))
    return function()
      rounds = rounds + 1
      assert(store:branch("into" .. rounds, ours))
      return assert(store:merge("theirs", { into = "into" .. rounds }))
    end
  end,
  ["compare of documents with equal prefixes"] = function(n)
    local old, new = {}, {}
    local prefix = ("p"):rep(60)
    for i = 1, n do
      old[prefix .. i] = i
      new[prefix .. i + i % 10] = i
    end
    local a, b = assert(iu.json.document(assert(iu.json.encode(old)))), assert(iu.json.document(assert(iu.json.encode(new))))
    return function() return iu.diff.compare(a, b) end
  end,
}

describe("time", function()
  for name, work in pairs(works) do
    it("of " .. name .. " does not grow with the square", function()
      math.randomseed(SEED)
      local n = 8000
      local small, large = work(n), work(n * FACTOR)
      assert(small())
      local ratio
      for _ = 1, 3 do -- the machine does other things, too
        ratio = seconds_of(large) / seconds_of(small)
        if ratio < GROWTH_MAX then break end
      end
      assert.is_true(ratio < GROWTH_MAX, ("%.1f times the time for %d times as much"):format(ratio, FACTOR))
    end)
  end
end)
