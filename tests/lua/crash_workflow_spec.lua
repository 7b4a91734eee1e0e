-- Workflows whose process is killed at any moment (SIGKILL), in steps, transactions, timers, waits and compensations: nothing that is recorded runs again,
-- nothing is lost, transactions are applied exactly once, and every run comes to its right end.
--
-- crash/workflower.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local killing = require "crash.killing"
local orders = require "crash.orders"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 36
local FOLD_BYTES = 65536 -- so small that folds are often under way

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

-- Where the last process was, for the numbers that are printed.
local function note_state(store, tally)
  for _, run in pairs(store.runs) do
    if run.status == "compensating" or run.status == "waiting" or run.status == "running" then tally[run.status] = (tally[run.status] or 0) + 1 end
  end
end

-- What a file holds.
local function read(path)
  local conn <close> = assert(iu.connect(path))
  return orders.read(conn)
end

local function check_ends(path, model)
  local store = read(path)
  local m = assert(iu.open(path, { log_level = "error", plugins = { workflow = { keep_runs = 0 } } }))
  local seen = orders.check_ends(store, model, assert(m:plugin("workflow")))
  assert.equal(0, #orders.rows_of(assert(m.client:connection()), "signal"))
  assert(m:shutdown())
  killing.integrity(path)
  return seen
end

describe("a process killed while it works at workflows", function()
  it("leaves runs that go on where they were, and come to their right ends", function()
    print("# crash_workflow_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path = killing.new_path("workflow")
    local model, before, tally = orders.new_model(), { runs = {} }, {}
    local function process(round, finish, stop)
      local park_after = math.random(2) == 1 and 0 or 30
      local program = "workflower.lua '%s' %d %d %d %d %s"
      return killing.run(program:format(path, FOLD_BYTES, round, math.random(1 << 30), park_after, finish and "finish" or "go"), stop)
    end
    for round = 1, KILLS do
      local wanted = math.random(0, 70)
      local lines, killed = process(round, false, function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.008 end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      orders.hear(model, lines, before)
      -- A copy is looked at, so that the next process, too, opens what a killed one has left.
      local copy = killing.copy_of(path)
      before = read(copy)
      killing.remove(copy)
      orders.check_transactions(before)
      note_state(before, tally)
      orders.check_started(before, model)
      for id, status in pairs(model.ended) do assert.equal(status, before.runs[id].status) end
    end
    local lines = process(KILLS + 1, true, function() end)
    assert.equal("idle", lines[#lines])
    orders.hear(model, lines, before)
    local seen = check_ends(path, model)
    for kind = 0, 3 do assert.is_true(SANITIZED or (seen[kind] or 0) >= 5, "too few runs of kind " .. kind) end
    for _, status in ipairs { "running", "waiting", "compensating" } do
      assert.is_true(SANITIZED or (tally[status] or 0) > 0, "no kill met a run that was " .. status)
    end
    print(("# %d kills; %d runs, %d steps begun, %d compensations; found by the next: %d running, %d waiting, %d compensating"):format(KILLS,
      seen[0] + seen[1] + seen[2] + seen[3], model.counts.ran, model.counts.undid, tally.running or 0, tally.waiting or 0, tally.compensating or 0))
    killing.remove(path)
  end)
end)
