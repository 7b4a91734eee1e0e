-- Workflows: steps that are recorded and never run again, timers, signals, transactions, what is the same at each replay.
--
-- A run that waits longer than `park_after` is taken out of memory and replayed from its records; with 0 that happens at every wait, so replay is seen
-- on every backend, without a restart.

local iu = require "inner_universe"
local support = require "support"
local workflows = require "workflows"

local define, open, reopen, SOON = workflows.define, workflows.open, workflows.reopen, workflows.SOON

describe("a workflow", function()
  after_each(support.clean)

  it("runs its steps in order, and gives its output", function()
    local w = open()
    define(w, "order", function(wf, input)
      local paid = assert(wf:step("pay", function() return { sum = input.sum } end))
      local sent = assert(wf:step("send", function() return "parcel" end))
      return { paid = paid.sum, sent = sent, id = wf.id, name = wf.name, version = wf.version }
    end)
    assert.equal("42", w:start("order", { sum = 7 }, { id = "42" }))
    support.exactly({ paid = 7, sent = "parcel", id = "42", name = "order", version = 1 }, assert(w:wait("42", SOON)))
    local run = assert(w:get("42"))
    assert.equal("completed", run.status)
    support.exactly({ sum = 7 }, run.input)
    support.exactly({ paid = 7, sent = "parcel", id = "42", name = "order", version = 1 }, run.output)
    assert.same({ "pay", "send" }, support.pluck(run.steps, "name"))
    assert.same({ "done", "done" }, support.pluck(run.steps, "state"))
    assert.same({ 1, 1 }, support.pluck(run.steps, "attempts"))
    assert.is_true(run.finished_at >= run.started_at and run.started_at >= run.created_at)
  end)

  it("gives true for what returns nothing, and an id of its own where none is given", function()
    local w = open()
    local seen
    define(w, "nothing", function(wf) seen = wf:step("none", function() end) end)
    local id = assert(w:start("nothing"))
    assert.equal(36, #id)
    assert.is_true(w:wait(id, SOON))
    assert.is_true(seen)
    assert.is_nil(w:get(id).output)
  end)

  it("replays what is recorded without running it, to the last bit", function()
    local w = open { park_after = 0.0 }
    local began, ran, seen = 0, { a = 0, b = 0, t = 0 }, {}
    local value = { i = math.mininteger, f = 1.0, half = 0.5, none = iu.null, list = iu.array {}, object = iu.object {}, text = "ü\n", no = false }
    define(w, "exact", function(wf)
      began = began + 1
      local got = { assert(wf:step("a", function() ran.a = ran.a + 1 return value end)), wf:now(), wf:uuid(), wf:random(), wf:random(6), wf:random(10, 12) }
      assert(wf:sleep(0.02))
      got[#got + 1] = wf:step("b", function() ran.b = ran.b + 1 return false end)
      got[#got + 1] = assert(wf:transaction("t", function(tx) ran.t = ran.t + 1 return assert(tx:create_entity("T", nil, "made")) end))
      assert(wf:sleep(0.02))
      seen[#seen + 1] = got
      assert(wf:sleep_until(wf:now() + 20000))
      assert(wf:sleep_until(math.mininteger))
      return got
    end)
    assert(w:start("exact", nil, { id = "x" }))
    local output = assert(w:wait("x", SOON))
    support.exactly(value, output[1])
    assert.is_true(began >= 4, began)
    assert.same({ a = 1, b = 1, t = 1 }, ran)
    for _, got in ipairs(seen) do support.exactly(seen[1], got) end
    assert.is_false(output[7])
    assert.equal("made", output[8])
    assert.truthy(output[3]:match("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-8%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"))
    assert.is_true(output[4] >= 0 and output[4] < 1 and math.type(output[4]) == "float")
    assert.is_true(output[5] >= 1 and output[5] <= 6 and output[6] >= 10 and output[6] <= 12)
  end)

  it("gives what is random evenly, and differently for each call and run", function()
    local w = open()
    define(w, "dice", function(wf)
      local counts, seen, sum = iu.array { 0, 0, 0, 0, 0, 0 }, {}, 0
      for _ = 1, 600 do
        local n = wf:random(6)
        counts[n] = counts[n] + 1
        local id = wf:uuid()
        assert(not seen[id])
        seen[id] = true
        sum = sum + wf:random()
      end
      return { counts = counts, sum = sum, wide = wf:random(math.mininteger + 1, -1), one = wf:random(3, 3), first = wf:uuid() }
    end)
    assert(w:start("dice", nil, { id = "1" }))
    assert(w:start("dice", nil, { id = "2" }))
    local one, two = assert(w:wait("1", SOON)), assert(w:wait("2", SOON))
    for _, count in ipairs(one.counts) do assert.is_true(count > 50 and count < 160, count) end
    assert.is_true(one.sum > 240 and one.sum < 360)
    assert.is_true(one.wide < 0)
    assert.equal(3, one.one)
    assert.are_not.equal(one.first, two.first)
  end)

  it("is started once per id", function()
    local w = open()
    local runs = 0
    define(w, "once", function(wf, input) return wf:step("count", function() runs = runs + 1 return input.n end) end)
    define(w, "other", function() end)
    assert.equal("a", w:start("once", { n = 1 }, { id = "a" }))
    assert.equal("a", w:start("once", { n = 1 }, { id = "a" }))
    assert.equal(1, w:wait("a", SOON))
    assert.equal("a", w:start("once", { n = 1 }, { id = "a" }))
    assert.equal(1, w:wait("a", SOON))
    assert.equal(1, runs)
    local _, err = w:start("once", { n = 2 }, { id = "a" })
    support.refused("ConflictError", nil, err, "another input")
    support.refused("ConflictError", w:start("once", nil, { id = "a" }))
    support.refused("ConflictError", w:start("other", { n = 1 }, { id = "a" }))
    assert.equal(1, #assert(w:list()))
  end)

  it("goes on after a restart at the first step that is not recorded", function()
    if not support.keeps then return end
    local w, m = open()
    local ran = {}
    local function run(wf, input)
      local first = assert(wf:step("first", function() ran[#ran + 1] = "first" return input.n + 1 end))
      local word = assert(wf:wait_signal("go"))
      local second = assert(wf:step("second", function() ran[#ran + 1] = "second" return first + 1 end))
      return { second, word }
    end
    define(w, "two", run)
    assert(w:start("two", { n = 1 }, { id = "r" }))
    support.wait_until(function() return #ran == 1 end)
    assert(m:flush())
    w, m = reopen(m)
    assert.equal(1, #assert(w:list()))
    support.wait_until(function() return select(2, w:health()).undefined == 1 end)
    assert(w:signal("r", "go", "now"))
    define(w, "two", run)
    support.exactly({ 3, "now" }, assert(w:wait("r", SOON)))
    assert.same({ "first", "second" }, ran)
    assert.equal(2, w:get("r").taken)
    w = reopen(m)
    support.exactly({ 3, "now" }, assert(w:wait("r", SOON)), "the end is kept, whether the workflow is known or not")
  end)

  it("waits for what is left of a timer after a restart", function()
    if not support.keeps then return end
    local w, m = open()
    local function run(wf)
      local before = wf:now()
      assert(wf:sleep(1))
      return wf:now() - before
    end
    define(w, "sleeper", run)
    assert(w:start("sleeper", nil, { id = "s" }))
    support.wait_until(function() return #(w:get("s").steps) == 2 end)
    w = reopen(m)
    define(w, "sleeper", run)
    local slept = assert(w:wait("s", SOON))
    assert.is_true(slept >= 1000000, slept)
    local steps = w:get("s").steps
    assert.same({ "now", "sleep", "now" }, support.pluck(steps, "kind"))
  end)

  it("takes signals in their order, those sent before it asks, too", function()
    for _, park_after in ipairs { 0.0, 30.0 } do
      local w, m = open { park_after = park_after }
      define(w, "listener", function(wf)
        local got = iu.array {}
        for i = 1, 3 do got[i] = assert(wf:wait_signal("word")) end
        got[4] = assert(wf:wait_signal("other"))
        return got
      end)
      assert(w:start("listener", nil, { id = "l" }))
      assert(w:signal("l", "other"))
      assert(w:signal("l", "word", { n = 1.0 }))
      assert(w:signal("l", "word", iu.array {}))
      iu.sleep(0.05)
      assert.equal(park_after == 0 and "waiting" or "running", w:get("l").status)
      assert(w:signal("l", "word", "third"))
      support.exactly({ { n = 1.0 }, iu.array {}, "third", true }, assert(w:wait("l", SOON)))
      support.refused("ConflictError", w:signal("l", "word"))
      local left = assert(m.client:query("SELECT * FROM plugin_record WHERE key >= 'workflow.signal:' AND key < 'workflow.signal;'"))
      assert.equal(0, #left)
      support.refused("EntityNotFoundError", w:signal("nobody", "word"))
      support.clean()
    end
  end)

  it("knows that no signal came in time, at each replay", function()
    local w = open { park_after = 0.0 }
    local began = 0
    define(w, "patient", function(wf)
      began = began + 1
      local got, err = wf:wait_signal("never", 0.03)
      assert(got == nil)
      wf:sleep(0.02)
      return { kind = err.kind, message = err.message }
    end)
    assert(w:start("patient", nil, { id = "p" }))
    local output = assert(w:wait("p", SOON))
    assert.equal("TimeoutError", output.kind)
    assert.truthy(output.message:find('"never"', 1, true))
    assert.is_true(began >= 3)
  end)

  it("keeps a run's version, and gives new runs the highest one", function()
    local w = open { park_after = 0.0 }
    define(w, "v", function(wf) wf:wait_signal("go") return "old" end)
    assert(w:start("v", nil, { id = "1" }))
    define(w, "v", function() return "new" end, { version = 2 })
    assert(w:start("v", nil, { id = "2" }))
    assert.equal("new", w:wait("2", SOON))
    assert(w:signal("1", "go"))
    assert.equal("old", w:wait("1", SOON))
    assert.equal(1, w:get("1").version)
  end)

  it("writes a transaction's rows and its record at once", function()
    local w, m = open()
    define(w, "rows", function(wf)
      local a = assert(wf:transaction("make", function(tx)
        local id = assert(tx:create_entity("Account", { properties = { sum = 10 } }, "acc"))
        assert(tx:publish_event("MADE", { id = id }))
        return id
      end))
      return assert(wf:transaction("change", function(tx)
        local row = assert(tx:get_entity(a))
        row.metadata.properties.sum = row.metadata.properties.sum + 1
        assert(tx:update_entity(a, row.metadata))
        return row.metadata.properties.sum
      end))
    end)
    assert(w:start("rows", nil, { id = "t" }))
    assert.equal(11, w:wait("t", SOON))
    assert.equal(11, assert(m:get_entity("acc")).metadata.properties.sum)
    assert.equal(1, #assert(m.event_bus:events { type = "MADE" }))
  end)

  it("tells of its progress in the log when it is told to", function()
    local w, m = open { events = true }
    define(w, "told", function(wf)
      assert(wf:step("fine", function() end, { compensate = function() end }))
      return wf:step("broken", function() return nil, iu.errors.new("StorageError", "no disk") end)
    end)
    assert(w:start("told", nil, { id = "e" }))
    support.refused("StorageError", w:wait("e", SOON))
    local types, steps = {}, {}
    for _, message in ipairs(assert(m.event_bus:events())) do
      if message.type:find("^WORKFLOW_") then
        types[#types + 1] = message.type
        assert.equal("e", message.source)
        assert.equal("e", message.data.id)
        if message.data.step then steps[#steps + 1] = message.data.step end
      end
    end
    assert.same({
      "WORKFLOW_STARTED", "WORKFLOW_STEP_COMPLETED", "WORKFLOW_STEP_FAILED", "WORKFLOW_COMPENSATING", "WORKFLOW_STEP_COMPENSATED", "WORKFLOW_FAILED",
    }, types)
    assert.same({ "fine", "broken", "fine" }, steps)
  end)

  it("lists runs by status and name, the youngest first", function()
    local w = open()
    define(w, "quick", function() return 1 end)
    define(w, "slow", function(wf) wf:wait_signal("go") end)
    for i = 1, 3 do
      assert(w:start("quick", nil, { id = "q" .. i }))
      assert(w:wait("q" .. i, SOON))
    end
    assert(w:start("slow", nil, { id = "s" }))
    support.wait_until(function() return w:get("s").status == "running" end)
    assert.same({ "s", "q3", "q2", "q1" }, support.pluck(assert(w:list()), "id"))
    assert.same({ "q3", "q2" }, support.pluck(assert(w:list { status = "completed", limit = 2 }), "id"))
    assert.same({ "s" }, support.pluck(assert(w:list { name = "slow" }), "id"))
    assert.same({ "s" }, support.pluck(assert(w:list { status = "running" }), "id"))
    assert.same({}, assert(w:list { status = "failed" }))
    support.refused("ValidationError", w:list { status = "done" })
    support.refused("ValidationError", w:list { stauts = "failed" })
    support.refused("ValidationError", w:list { limit = 0 })
  end)

  it("hears signals and wishes to cancel of another process", function()
    if not support.on_server then return end
    local w1, m1 = open()
    local target = support.target_of(m1)
    local w2 = assert(support.open({ plugins = { workflow = true }, token = support.token(target) }, target):plugin("workflow"))
    local undone = 0
    define(w1, "held", function(wf)
      wf:step("a", function() end, { compensate = function() undone = undone + 1 end })
      return wf:wait_signal("go")
    end)
    for _, id in ipairs { "1", "2" } do
      assert(w1:start("held", nil, { id = id }))
      support.wait_until(function() return #w2:get(id).steps == 1 end)
      assert.equal("running", w2:get(id).status)
    end
    assert(w2:signal("1", "go", { from = "w2" }))
    assert(w2:cancel("2"))
    support.exactly({ from = "w2" }, w2:wait("1", SOON))
    support.refused("PersistenceError", w2:wait("2", SOON))
    assert.equal(1, undone)
    support.refused("ValidationError", w2:start("held"))
  end)

  it("is not run by two processes of a server at once, and is taken over from one that ends", function()
    if not support.on_server then return end
    local w1, m1 = open { lease = 1.0 }
    local w2 = assert(support.open({ plugins = { workflow = { lease = 1.0 } }, token = support.token(support.target_of(m1)) },
      support.target_of(m1)):plugin("workflow"))
    local at_once, most, ran, runs = {}, 0, {}, 12
    local function run(wf)
      for i = 1, 3 do
        assert(wf:step("s" .. i, function()
          at_once[wf.id] = (at_once[wf.id] or 0) + 1
          most = math.max(most, at_once[wf.id])
          iu.sleep(0.01)
          ran[wf.id .. i] = (ran[wf.id .. i] or 0) + 1
          at_once[wf.id] = at_once[wf.id] - 1
        end))
      end
      assert(wf:wait_signal("end"))
    end
    define(w1, "shared", run)
    define(w2, "shared", run)
    for i = 1, runs do assert((i % 2 == 0 and w1 or w2):start("shared", nil, { id = "r" .. i })) end
    support.wait_until(function()
      local count = 0
      for _ in pairs(ran) do count = count + 1 end
      return count == 3 * runs
    end)
    assert.equal(1, most)
    for key, count in pairs(ran) do assert.equal(1, count, key) end
    support.close(m1) -- gives its leases back
    for i = 1, runs do assert(w2:signal("r" .. i, "end")) end
    for i = 1, runs do assert.is_true(w2:wait("r" .. i, SOON)) end
    for key, count in pairs(ran) do assert.equal(1, count, key) end
  end)
end)
