-- The process that crash_workflow_spec and crash_workflow_server_spec kill.
--   lua5.4 workflower.lua TARGET FOLD_BYTES ROUND SEED PARK_AFTER "go"|"finish" [TOKEN]
--
-- Takes up what the one before has left, and starts runs without end ("finish": none, and it ends when there are none left), every commit on
-- disk before it counts. Tells on standard output, unbuffered: `started ID`, `ran ID STEP` when a step's function begins, `undid ID STEP` when a
-- compensation's does, `ended ID STATUS`.

local iu = require "inner_universe"
local content = require "crash.content"
local dying = require "crash.dying"

local TARGET, FOLD_BYTES, ROUND, SEED, PARK_AFTER, MODE, TOKEN = table.unpack(arg, 1, 7)
local FINISH = MODE == "finish"
local AT_ONCE = 4 -- runs that are under way

local say = dying.begin(SEED, FOLD_BYTES)

local m = assert(iu.open(TARGET, {
  durability = "full", log_level = "error", token = TOKEN, plugins = {
    workflow = { park_after = tonumber(PARK_AFTER) + 0.0, events = true, lease = 0.5, keep_runs = 0 }, -- a quick machine makes more than are kept else
  },
}))
local w = assert(m:plugin("workflow"))

-- One that is applied twice would be refused: the entity is there already. The counter would show it, too.
local function count(tx, wf, name, by)
  assert(tx:create_entity("Mark", nil, ("%s:%s"):format(wf.id, name)))
  assert(tx:publish_event("MARK", { run = wf.id, name = name }))
  local row = assert(tx:get_entity("counter"))
  row.metadata.properties.n = row.metadata.properties.n + by
  assert(tx:update_entity("counter", row.metadata))
  return by
end

local function step(wf, name, fn, options)
  options = options or {}
  options.compensate = function(result)
    say("undid", wf.id, name)
    if content.same(result) ~= content.same(content.event(#name)) then say("a wrong result of " .. name) end
    iu.sleep(0.001)
  end
  local result = assert(wf:step(name, function()
    say("ran", wf.id, name)
    iu.sleep(0.001)
    if fn then fn() end
    return content.event(#name)
  end, options))
  assert(content.same(result) == content.same(content.event(#name)))
end

local function transaction(wf, name, by)
  assert(wf:transaction(name, function(tx)
    say("ran", wf.id, name)
    return count(tx, wf, name, by)
  end, { compensate = function(tx, result)
    say("undid", wf.id, name)
    count(tx, wf, "undo " .. name, -result)
  end }))
end

local FAST = { max_attempts = 1000, initial_delay = 0.002, backoff = 1 }

local tries = {} -- by run, of its flaky step in this process: a run that does not wait in memory begins anew after each

--- input.n says what happens: it completes, fails at its end, waits for a signal, or is to be cancelled.
local function run(wf, input)
  local n = input.n
  step(wf, "first")
  transaction(wf, "add", n)
  assert(wf:sleep(0.004))
  step(wf, "flaky", function()
    tries[wf.id] = (tries[wf.id] or 0) + 1
    if tries[wf.id] < 3 then error("not yet") end
  end, { retry = FAST })
  transaction(wf, "again", 1)
  if n % 4 == 1 then error(iu.errors.new("StorageError", "run " .. n, { cause = iu.errors.new("TimeoutError", "on purpose") })) end
  if n % 4 == 2 then assert(wf:wait_signal("go").n == n) end
  if n % 4 == 3 then assert(wf:wait_signal("never")) end
  local key = wf:uuid()
  step(wf, "last")
  return { n = n, key = key, value = content.event(n) }
end

assert(w:define("order", { run = run, retry = { max_attempts = 20, initial_delay = 0.001 }, compensation = FAST }))
local made, why = m:create_entity("Counter", { properties = { n = 0 } }, "counter")
if not made and why.kind ~= "ConflictError" then error(why) end
say("opened")

-- What it waits for, sent once or (by another process) again.
local function attend(id, n)
  if n % 4 == 2 then w:signal(id, "go", { n = n }) end
  if n % 4 == 3 then
    iu.sleep(math.random() * 0.02)
    w:cancel(id)
  end
  w:wait(id)
  say("ended", id, assert(w:get(id)).status)
end

iu.run(function()
  local living = {}
  for _, row in ipairs(assert(w:list { limit = 1000000 })) do
    if not row.finished_at then living[#living + 1] = iu.spawn(attend, row.id, math.tointeger(tonumber(row.id:match("%d+$")))) end
  end
  local counter = 0
  repeat
    for _ = 1, FINISH and 0 or AT_ONCE do
      counter = counter + 1
      local n = math.tointeger(ROUND) * 1000 + counter
      local id = "run-" .. n
      assert(w:start("order", { n = n }, { id = id }))
      say("started", id)
      living[#living + 1] = iu.spawn(attend, id, n)
    end
    for _, task in ipairs(living) do task:wait() end
    living = {}
  until FINISH
end)
assert(m:shutdown())
say("idle")
