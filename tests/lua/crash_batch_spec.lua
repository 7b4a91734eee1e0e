-- A process killed at any moment (SIGKILL) while many tasks write through the batch plugin: everything acknowledged is in the file, once and in its order, and
-- what was under way is there once or not at all.
--
-- crash/batcher.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 36
local FOLD_BYTES = 65536 -- so small that folds are often under way

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

-- Reads what a writer said into the model { names = id -> n acknowledged, done = n -> operation, flying = worker -> { operation, id, n } }.
local function hear(model, lines)
  model.flying = {}
  local acknowledged = 0
  for _, line in ipairs(lines) do
    local worker, operation, id, n = line:match("^> (%d+) (%S+) (%S+) (%d+)$")
    local answered = line:match("^< (%d+)$")
    if worker then
      model.flying[worker] = { operation = operation, id = id, n = n }
    elseif answered then
      local what = model.flying[answered]
      model.flying[answered] = nil
      model.done[what.n] = what.operation
      if what.operation ~= "publish" then model.names[what.id] = what.n end
      acknowledged = acknowledged + 1
    elseif line ~= "opened" then
      error("the writer said: " .. table.concat(lines, "\n", math.max(1, #lines - 5)))
    end
  end
  return acknowledged
end

-- How often each number was written, by operation, as the event log has it.
local function written(m)
  local counts = { create = {}, update = {}, publish = {} }
  local function count(event_type, operation, number_of)
    for _, row in ipairs(assert(m.client:query(("SELECT * FROM event_log WHERE event_type = '%s'"):format(event_type)))) do
      local n = number_of(assert(iu.json.decode(row.data)))
      counts[operation][n] = (counts[operation][n] or 0) + 1
    end
  end
  count("ENTITY_CREATED", "create", function(data) return data.name end)
  count("ENTITY_UPDATED", "update", function(data) return data.new_metadata.name end)
  count("CRASH", "publish", function(data) return tostring(data.n) end)
  return counts
end

local function check(path, model)
  local m = assert(iu.open(path, { log_level = "error", plugins = { batch = true } }))
  local counts = written(m)
  for n, operation in pairs(model.done) do
    assert(counts[operation][n], ("lost: %s %s"):format(operation, n))
  end
  for operation, by_number in pairs(counts) do
    for n, count in pairs(by_number) do assert(count == 1, ("applied %d times: %s %s"):format(count, operation, n)) end
  end
  local half_done = 0
  for _, what in pairs(model.flying) do
    if counts[what.operation][what.n] then -- it was applied, and will be taken for done
      half_done = half_done + 1
      model.done[what.n] = what.operation
      if what.operation ~= "publish" then model.names[what.id] = what.n end
    end
  end
  local rows = assert(m:query_entities({ entity_type = "Thing" }))
  for _, row in ipairs(rows) do assert.equal(model.names[row.id], row.metadata.name, row.id) end
  local known = 0
  for _ in pairs(model.names) do known = known + 1 end
  assert.equal(known, #rows)
  assert(m.batch:create_entity("After")) -- and it can go on from there
  assert(m:shutdown())
  killing.integrity(path)
  return half_done
end

describe("a process killed while many tasks write in batches", function()
  it("loses nothing acknowledged and writes nothing twice", function()
    print("# crash_batch_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path, model, sum, half_done = killing.new_path("batch"), { names = {}, done = {} }, 0, 0
    for round = 1, KILLS do
      local wanted = math.random(0, 400)
      local lines, killed = killing.run(("batcher.lua '%s' %d %d %d"):format(path, FOLD_BYTES, round, math.random(1 << 30)), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.008 end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      sum = sum + hear(model, lines)
      -- A copy is looked at, so that the next writer, too, opens what a killed one has left.
      local copy = killing.copy_of(path)
      half_done = half_done + check(copy, model)
      killing.remove(copy)
    end
    assert.is_true(sum > KILLS * 20, "too little happened: " .. sum)
    assert.is_true(SANITIZED or half_done > 0, "no kill met a batch between its commit and its answer")
    print(("# %d kills, %d writes acknowledged, %d applied and not answered"):format(KILLS, sum, half_done))
    killing.remove(path)
  end)
end)
