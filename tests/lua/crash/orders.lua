-- What workflower.lua's processes said, against what the universe holds: for specs that kill them.

local iu = require "inner_universe"
local assert = require "luassert"
local content = require "crash.content"

local orders = {}

local ENDS = { [0] = "completed", "failed", "completed", "cancelled" } -- by n % 4

local function number_of(id) return math.tointeger(tonumber(id:match("%d+$"))) end

-- What the universe holds -------------------------------------------------------------------------------------------------

local function rows_of(conn, kind)
  return assert(conn:query(("SELECT * FROM plugin_record WHERE key >= 'workflow.%s:' AND key < 'workflow.%s;'"):format(kind, kind)))
end

-- { runs = { [id] = { uid, status, live, done, steps = { [name] = state }, undone = { [name] = state } } }, marks = { [name] = true }, counter, marked }
function orders.read(conn)
  local store, by_uid, rows = { runs = {}, marks = {}, marked = {} }, {}, {}
  for _, kind in ipairs { "step", "undo", "live", "done", "run" } do rows[kind] = rows_of(conn, kind) end -- runs last: they come first
  for _, row in ipairs(rows.run) do
    local run = { uid = assert(iu.json.decode(row.value)).uid, steps = {}, undone = {} }
    store.runs[row.key:match("^workflow%.run:(.*)$")], by_uid[run.uid] = run, run
  end
  for _, kind in ipairs { "live", "done" } do
    for _, row in ipairs(rows[kind]) do
      local run = by_uid[row.key:match("[^:]+$")]
      run.status, run[kind] = assert(iu.json.decode(row.value)).status, true
    end
  end
  for kind, field in pairs { step = "steps", undo = "undone" } do
    for _, row in ipairs(rows[kind]) do
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
  return store
end

-- A transaction's rows are there exactly when its record is, at every moment.
function orders.check_transactions(store)
  local sum, marks = 0, 0
  for id, run in pairs(store.runs) do
    assert.is_true((run.live or run.done) and not (run.live and run.done), id .. " is neither or both")
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

--- lines: of one process; before: what the universe held when it began. model: of new_model; `together`: others worked at the same time.
function orders.hear(model, lines, before)
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
      assert.is_true(model.together or model.ended[id] == nil, "ended, and run again: " .. line)
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

function orders.new_model()
  return { started = {}, ended = {}, undid = {}, counts = {} }
end

--- No run of those that were acknowledged is lost.
function orders.check_started(store, model)
  for id in pairs(model.started) do assert(store.runs[id], id .. " is lost") end
end

local COMPLETED = { first = "done", add = "done", flaky = "done", again = "done", last = "done" }

local function check_completed(run, n, value)
  assert.equal(n, value.n)
  assert.equal(content.same(content.event(n)), content.same(value.value))
  local wanted = { go = n % 4 == 2 and "done" or nil }
  for name, state in pairs(COMPLETED) do wanted[name] = state end
  assert.same(wanted, run.steps)
  assert.same({}, run.undone)
end

local function check_undone(id, run, n, err, model)
  if run.status == "failed" then
    assert.equal("StorageError: run " .. n .. "; caused by TimeoutError: on purpose", tostring(err))
  else
    assert.equal("CANCELLED", err.code)
  end
  assert.is_nil(run.steps.last)
  for name, state in pairs(run.steps) do
    if state == "done" then
      assert.equal("done", run.undone[name], id .. " " .. name)
      assert.is_true(model.undid[id .. " " .. name], id .. " " .. name)
    end
  end
end

--- Every run has come to its right end. workflow: the plugin. How many there are of each kind (n % 4).
function orders.check_ends(store, model, workflow)
  orders.check_transactions(store)
  orders.check_started(store, model)
  local seen = {}
  for id, run in pairs(store.runs) do
    local n = number_of(id)
    seen[n % 4] = (seen[n % 4] or 0) + 1
    local value, err = workflow:wait(id, 0)
    assert.equal(ENDS[n % 4], run.status, ("%s: %s"):format(id, tostring(err)))
    assert.equal(ENDS[n % 4], model.ended[id] or run.status, id)
    if run.status == "completed" then check_completed(run, n, value) else check_undone(id, run, n, err, model) end
  end
  return seen
end

orders.rows_of = rows_of

return orders
