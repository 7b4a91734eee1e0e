-- A process killed at any moment (SIGKILL) while many tasks write through the batch plugin: everything acknowledged is in the file, once and in its order, and
-- what was under way is there once or not at all.
--
-- crash/batcher.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local killing = require "crash.killing"
local many_tasks = require "crash.many_tasks"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 36
local FOLD_BYTES = 65536 -- so small that folds are often under way

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local function check(path, model)
  local m = assert(iu.open(path, { log_level = "error", plugins = { batch = true } }))
  local half_done = many_tasks.check(m, model)
  assert(m.batch:create_entity("After")) -- and it can go on from there
  assert(m:shutdown())
  killing.integrity(path)
  return half_done
end

describe("a process killed while many tasks write in batches", function()
  it("loses nothing acknowledged and writes nothing twice", function()
    print("# crash_batch_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path, model, sum, half_done = killing.new_path("batch"), many_tasks.new_model(), 0, 0
    for round = 1, KILLS do
      local wanted = math.random(0, 400)
      local lines, killed = killing.run(("batcher.lua '%s' %d %d %d"):format(path, FOLD_BYTES, round, math.random(1 << 30)), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.008 end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      sum = sum + many_tasks.hear(model, lines, { "^opened$" })
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
