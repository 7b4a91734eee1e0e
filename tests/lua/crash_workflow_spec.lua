-- Workflows whose process is killed at any moment (SIGKILL), in steps, transactions, timers, waits and compensations: nothing that is recorded runs again,
-- nothing is lost, transactions are applied exactly once, and every run comes to its right end.
--
-- crash/workflower.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local content = require "crash.content"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 36
local FOLD_BYTES = 65536 -- so small that folds are often under way

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local ENDS = { [0] = "completed", "failed", "completed", "cancelled" } -- by n % 4

local function number_of(id) return math.tointeger(tonumber(id:match("%d+$"))) end

-- What the file holds -------------------------------------------------------------------------------------------------

local function rows_of(conn, kind)
  return assert(conn:query(("SELECT * FROM plugin_record WHERE key >= 'workflow.%s:' AND key < 'workflow.%s;'"):format(kind, kind)))
end

-- { runs = { [id] = { uid, status, steps = { [name] = state }, undone = { [name] = state } } }, marks = { [name] = true }, counter, marked }
local function read(path)
  local conn = assert(iu.connect(path))
  local store, by_uid = { runs = {}, marks = {}, marked = {} }, {}
  for _, row in ipairs(rows_of(conn, "run")) do
    local run = { uid = assert(iu.json.decode(row.value)).uid, steps = {}, undone = {} }
    store.runs[row.key:match("^workflow%.run:(.*)$")], by_uid[run.uid] = run, run
  end
  for _, kind in ipairs { "live", "done" } do
    for _, row in ipairs(rows_of(conn, kind)) do
      local run = by_uid[row.key:match("[^:]+$")]
      assert.is_nil(run.status, "a run is either live or done")
      run.status = assert(iu.json.decode(row.value)).status
    end
  end
  for kind, field in pairs { step = "steps", undo = "undone" } do
    for _, row in ipairs(rows_of(conn, kind)) do
      local record = assert(iu.json.decode(row.value))
      if record.name then by_uid[row.key:match(":(.-):")][field][record.name] = record.state end
    end
  end
  for _, row in ipairs(assert(conn:query("SELECT * FROM entity"))) do
    if row.id == "counter" then store.counter = assert(iu.json.decode(row.metadata.properties)).n else store.marks[row.id] = true end
  end
  for _, row in ipairs(assert(conn:query("SELECT * FROM event_log WHERE event_type = 'MARK'"))) do
    local data = assert(iu.json.decode(row.data))
    local mark = data.run .. ":" .. data.name
    store.marked[mark] = (store.marked[mark] or 0) + 1
  end
  assert(conn:close())
  return store
end

-- A transaction's rows are there exactly when its record is, at every moment.
local function check_transactions(store)
  local sum, marks = 0, 0
  for id, run in pairs(store.runs) do
    for name, by in pairs { add = number_of(id), again = 1 } do
      local done, undone = run.steps[name] == "done", run.undone[name] == "done"
      assert.equal(done, store.marks[id .. ":" .. name] == true, id .. " " .. name)
      assert.equal(undone, store.marks[id .. ":undo " .. name] == true, id .. " undo " .. name)
      assert.equal(done and 1 or nil, store.marked[id .. ":" .. name])
      assert.equal(undone and 1 or nil, store.marked[id .. ":undo " .. name])
      sum = sum + (done and by or 0) - (undone and by or 0)
      marks = marks + (done and 1 or 0) + (undone and 1 or 0)
    end
  end
  for _ in pairs(store.marks) do marks = marks - 1 end
  assert.equal(0, marks)
  assert.equal(sum, store.counter or 0)
end

-- What the processes said ---------------------------------------------------------------------------------------------

-- lines: of one process; before: what the file held when it began. model: { started, ended, undid, counts }.
local function hear(model, lines, before)
  for _, line in ipairs(lines) do
    local what, id, more = line:match("^(%a+) (%S+) ?(.*)$")
    if what == "started" then
      model.started[id] = true
    elseif what == "ended" then
      assert.is_true(model.ended[id] == nil or model.ended[id] == more, line)
      model.ended[id] = more
    elseif what == "ran" then
      local state = before.runs[id] and before.runs[id].steps[more]
      assert.is_true(state ~= "done" and state ~= "failed", "recorded, and run again: " .. line)
      assert.is_true(model.ended[id] == nil, "ended, and run again: " .. line)
    elseif what == "undid" then
      local state = before.runs[id] and before.runs[id].undone[more]
      assert.is_true(state ~= "done" and state ~= "failed", "compensated, and done again: " .. line)
      model.undid[id .. " " .. more] = true
    elseif line ~= "opened" and line ~= "idle" then
      error("the process said: " .. table.concat(lines, "\n", math.max(1, #lines - 5)))
    end
    if what then model.counts[what] = (model.counts[what] or 0) + 1 end
  end
end

-- Where the last process was, for the numbers that are printed.
local function note_state(store, tally)
  for _, run in pairs(store.runs) do
    if run.status == "compensating" or run.status == "waiting" or run.status == "running" then tally[run.status] = (tally[run.status] or 0) + 1 end
  end
end

local function check_ends(path, model)
  local store = read(path)
  check_transactions(store)
  for id in pairs(model.started) do assert.truthy(store.runs[id], id .. " is lost") end
  local m = assert(iu.open(path, { log_level = "error", plugins = { workflow = true } }))
  local w = assert(m:plugin("workflow"))
  local seen = {}
  for id, run in pairs(store.runs) do
    local n = number_of(id)
    seen[n % 4] = (seen[n % 4] or 0) + 1
    local status = ENDS[n % 4]
    assert.equal(status, run.status, id)
    assert.equal(status, model.ended[id] or status, id)
    local value, err = w:wait(id, 0)
    if status == "completed" then
      assert.equal(n, value.n)
      assert.equal(content.same(content.event(n)), content.same(value.value))
      assert.same({ first = "done", add = "done", flaky = "done", again = "done", last = "done", go = n % 4 == 2 and "done" or nil }, run.steps)
      assert.same({}, run.undone)
    else
      if status == "failed" then
        assert.equal("StorageError: run " .. n .. "; caused by TimeoutError: on purpose", tostring(err))
      else
        assert.equal("CANCELLED", err.code)
      end
      for name, state in pairs(run.steps) do
        if state == "done" then
          assert.equal("done", run.undone[name], id .. " " .. name)
          assert.is_true(model.undid[id .. " " .. name], id .. " " .. name)
        end
      end
      assert.is_nil(run.steps.last)
    end
  end
  assert.equal(0, #rows_of(assert(m.client:connection()), "signal"))
  assert(m:shutdown())
  killing.integrity(path)
  return seen
end

describe("a process killed while it works at workflows", function()
  it("leaves runs that go on where they were, and come to their right ends", function()
    print("# crash_workflow_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path = killing.new_path("workflow")
    local model, before, tally = { started = {}, ended = {}, undid = {}, counts = {} }, { runs = {} }, {}
    local function process(round, finish, stop)
      local park_after = math.random(2) == 1 and 0 or 30
      local program = "workflower.lua '%s' %d %d %d %d %s"
      return killing.run(program:format(path, FOLD_BYTES, round, math.random(1 << 30), park_after, finish and "finish" or ""), stop)
    end
    for round = 1, KILLS do
      local wanted = math.random(0, 70)
      local lines, killed = process(round, false, function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.008 end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      hear(model, lines, before)
      -- A copy is looked at, so that the next process, too, opens what a killed one has left.
      local copy = killing.copy_of(path)
      before = read(copy)
      killing.remove(copy)
      check_transactions(before)
      note_state(before, tally)
      for id in pairs(model.started) do assert.truthy(before.runs[id], id .. " is lost") end
      for id, status in pairs(model.ended) do assert.equal(status, before.runs[id].status) end
    end
    local lines = process(KILLS + 1, true, function() end)
    assert.equal("idle", lines[#lines])
    hear(model, lines, before)
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
