-- Workflows that do not go well: retries, timeouts, errors that survive being recorded, compensation, cancelling, code that is not what made the records.

local iu = require "inner_universe"
local support = require "support"
local workflows = require "workflows"

local define, must, open, reopen, SOON = workflows.define, workflows.must, workflows.open, workflows.reopen, workflows.SOON

local FAST = { max_attempts = 3, initial_delay = 0.01, jitter = 0 }

describe("a workflow that fails", function()
  after_each(support.clean)

  -- ---- steps ----

  it("tries a step again as often as its policy says, and records the attempts", function()
    local w = open()
    local tries = 0
    define(w, "flaky", function(wf)
      return wf:step("third", function()
        tries = tries + 1
        if tries < 3 then error("not yet") end
        return tries
      end, { retry = FAST })
    end)
    assert(w:start("flaky", nil, { id = "f" }))
    assert.equal(3, w:wait("f", SOON))
    assert.equal(3, w:get("f").steps[1].attempts)
    tries = -10
    assert(w:start("flaky", nil, { id = "g" }))
    local err = support.refused("PersistenceError", w:wait("g", SOON))
    assert.truthy(err.message:find("not yet", 1, true))
    assert.equal(-7, tries)
    local step = w:get("g").steps[1]
    assert.equal("failed", step.state)
    assert.equal(3, step.attempts)
  end)

  it("does not try again what says that it makes no sense, nor without a policy", function()
    local w = open()
    local tries = 0
    define(w, "wrong", function(wf, policy)
      return wf:step("once", function()
        tries = tries + 1
        return nil, iu.errors.new(policy and "ValidationError" or "TimeoutError", "no")
      end, { retry = policy and FAST or nil })
    end)
    assert(w:start("wrong", true, { id = "1" }))
    support.refused("ValidationError", w:wait("1", SOON))
    assert(w:start("wrong", false, { id = "2" }))
    support.refused("TimeoutError", w:wait("2", SOON))
    assert.equal(2, tries)
  end)

  it("remembers attempts and the time of the next one over a restart", function()
    if not support.keeps then return end
    local w, m = open()
    local tries = 0
    local function run(wf)
      return wf:step("two", function()
        tries = tries + 1
        error("again")
      end, { retry = { max_attempts = 2, initial_delay = 0.5, jitter = 0 } })
    end
    define(w, "again", run)
    assert(w:start("again", nil, { id = "a" }))
    support.wait_until(function()
      local step = w:get("a").steps[1]
      return step and step.state == "retrying"
    end)
    local next_at = w:get("a").steps[1].next_at
    w = reopen(m)
    define(w, "again", run)
    support.refused("PersistenceError", w:wait("a", SOON))
    assert.equal(2, tries)
    local step = w:get("a").steps[1]
    assert.equal(2, step.attempts)
    assert.is_true(step.at >= next_at)
  end)

  it("ends a step that takes too long", function()
    local w = open()
    local closed, tries = 0, 0
    define(w, "slow", function(wf)
      return wf:step("long", function()
        tries = tries + 1
        local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        iu.sleep(60)
      end, { timeout = 0.02, retry = { max_attempts = 2, initial_delay = 0.01 } })
    end)
    assert(w:start("slow", nil, { id = "s" }))
    support.refused("TimeoutError", w:wait("s", SOON))
    assert.equal(2, tries)
    assert.equal(2, closed)
  end)

  it("gives errors with kind, code, message, details and causes, then and at each replay", function()
    local w = open { park_after = 0.0 }
    local errs = {}
    define(w, "deep", function(wf)
      local value, err = wf:step("broken", function()
        local deepest = iu.errors.new("TimeoutError", "the peer is silent", { code = "SILENT", cause = "a text\255 with a byte" })
        error(iu.errors.new("StorageError", "cannot write", { retryable = true, details = { disk = 3, part = 0.5 }, cause = deepest }))
      end)
      assert(value == nil)
      errs[#errs + 1] = err
      wf:sleep(0.02)
      return nil, err
    end)
    assert(w:start("deep", nil, { id = "d" }))
    local final = support.refused("StorageError", w:wait("d", SOON))
    assert.equal(2, #errs)
    for _, err in ipairs { errs[1], errs[2], final, w:get("d").error, w:get("d").steps[1].error } do
      assert.equal("StorageError", err.kind)
      assert.equal("cannot write", err.message)
      assert.is_true(err.retryable)
      support.exactly({ disk = 3, part = 0.5 }, err.details)
      assert.equal("TimeoutError", err.cause.kind)
      assert.equal("SILENT", err.cause.code)
      assert.equal("a text\\xFF with a byte", err.cause.cause)
    end
  end)

  it("fails a transaction as a whole, and counts its attempts", function()
    local w, m = open()
    local tries = 0
    define(w, "tx", function(wf)
      return wf:transaction("partly", function(tx)
        tries = tries + 1
        must(tx:create_entity("T", nil, "first"))
        if tries < 3 then error("half way") end
        must(tx:create_relation("first", "nowhere", "R"))
      end, { retry = FAST })
    end)
    assert(w:start("tx", nil, { id = "t" }))
    support.refused("EntityNotFoundError", w:wait("t", SOON))
    assert.equal(3, tries)
    support.refused("EntityNotFoundError", m:get_entity("first"))
  end)

  it("tries a transaction again whose reads others change", function()
    local w, m = open()
    assert(m:create_entity("T", { properties = { n = 0 } }, "counter"))
    local meddled = 0
    define(w, "tx", function(wf)
      return wf:transaction("count", function(tx)
        local row = must(tx:get_entity("counter"))
        if meddled < 2 then
          meddled = meddled + 1
          assert(m:update_entity("counter", { properties = { n = meddled * 100 } }))
        end
        row.metadata.properties.n = row.metadata.properties.n + 1
        must(tx:update_entity("counter", row.metadata))
        return row.metadata.properties.n
      end)
    end)
    assert(w:start("tx", nil, { id = "t" }))
    assert.equal(201, w:wait("t", SOON))
    assert.equal(201, m:get_entity("counter").metadata.properties.n)
  end)

  -- ---- compensation ----

  it("compensates what has finished, the last first", function()
    local w, m = open()
    local undone = {}
    define(w, "saga", function(wf)
      must(wf:step("hotel", function() return "room 7" end, { compensate = function(result) undone[#undone + 1] = result end }))
      must(wf:transaction("row", function(tx) return must(tx:create_entity("Trip", nil, "trip")) end,
        { compensate = function(tx, id)
          undone[#undone + 1] = id
          must(tx:delete_entity(id))
        end }))
      must(wf:step("none", function() end))
      must(wf:step("void", function() end, { compensate = function(result) undone[#undone + 1] = tostring(result) end }))
      must(wf:step("flight", function() return nil, iu.errors.new("ConflictError", "sold out", { retryable = false }) end,
        { compensate = function() undone[#undone + 1] = "never" end }))
    end)
    assert(w:start("saga", nil, { id = "s" }))
    local err = support.refused("ConflictError", w:wait("s", SOON))
    assert.equal("sold out", err.message)
    assert.same({ "true", "trip", "room 7" }, undone)
    support.refused("EntityNotFoundError", m:get_entity("trip"))
    local run = w:get("s")
    assert.equal("failed", run.status)
    assert.is_true(run.compensated)
    assert.equal("done", run.steps[1].compensation.state)
    assert.is_nil(run.steps[3].compensation)
  end)

  it("compensates a step that did what it does and has no result that can be recorded, and asks no result of a compensation", function()
    local w, m = open { bytes_max = 1024 }
    local log = {}
    local function note(text) log[#log + 1] = text end
    define(w, "sagas", function(wf, what)
      local charged, err = wf:step("charge", function()
        note("charge")
        if what == "large" then return ("x"):rep(2000) end
        if what == "raises" then error("on purpose") end
        return function() end
      end, { retry = { max_attempts = 3, initial_delay = 0.001 }, compensate = function(result)
        note("refund " .. tostring(result))
        return function() end
      end })
      assert(charged == nil and err)
      wf:transaction("order", function(tx)
        assert(tx:create_entity("Order", nil, wf.id))
        return function() end
      end, { compensate = function() note("never") end })
      error(err, 0)
    end)
    for _, what in ipairs { "large", "no JSON" } do
      log = {}
      assert(w:start("sagas", what, { id = what }))
      local err = support.refused("ValidationError", w:wait(what, SOON))
      assert.truthy(err.message:find('the result of step "charge"', 1, true))
      assert.same({ "charge", "refund nil" }, log)
      local run = w:get(what)
      assert.is_true(run.compensated)
      assert.equal("failed", run.steps[1].state)
      assert.equal("done", run.steps[1].compensation.state)
      assert.is_nil(m:get_entity(what))
    end
    log = {}
    assert(w:start("sagas", "raises", { id = "r" }))
    support.refused("PersistenceError", w:wait("r", SOON))
    assert.same({ "charge", "charge", "charge" }, log)
  end)

  it("records every error, whatever is in it", function()
    local w = open()
    local deep = {}
    for _ = 1, 508 do deep = { deep } end
    local function new(more) return iu.errors.new("StorageError", "odd", more) end
    local cycle = {}
    cycle[1] = cycle
    local circular = new()
    circular.cause = circular
    local ODD = {
      code = new { code = "\xff" }, deep = new { details = deep }, deeper = new { cause = new { cause = new { details = { deep } } } },
      cyclic = new { details = cycle }, circular = circular, cause = new { cause = setmetatable({}, { __tostring = error }) },
    }
    define(w, "odd", function(wf, input)
      local function fail() return nil, ODD[input.which] end
      if input.where == "run" then return fail() end
      if input.where ~= "compensation" then return wf[input.where](wf, "s", fail) end
      wf:step("s", function() end, { compensate = function() error(ODD[input.which], 0) end })
      return nil, ODD[input.which]
    end, { compensation = { max_attempts = 2, initial_delay = 0.001 } })
    for which in pairs(ODD) do
      for _, where in ipairs { "run", "step", "transaction", "compensation" } do
        local id = which .. " " .. where
        assert(w:start("odd", { which = which, where = where }, { id = id }))
        local err = support.refused("StorageError", w:wait(id, SOON))
        assert.equal("odd", err.message, id)
        assert.equal(where == "compensation" and 1 or 0, #(w:get(id).failures or {}), id)
      end
    end
    local err = select(2, w:wait("code run"))
    assert.equal("\\xFF", err.code)
  end)

  it("does not compensate where the workflow dealt with the failure itself", function()
    local w = open()
    local undone = 0
    define(w, "calm", function(wf)
      must(wf:step("a", function() end, { compensate = function() undone = undone + 1 end }))
      local value, err = wf:step("b", function() error("never mind") end)
      return value == nil and err.kind
    end)
    assert(w:start("calm", nil, { id = "c" }))
    assert.equal("PersistenceError", w:wait("c", SOON))
    assert.equal(0, undone)
    assert.is_nil(w:get("c").compensated)
  end)

  it("tries compensations again, and tells which could not be done", function()
    local w = open()
    local undone, tries = {}, 0
    define(w, "sticky", function(wf)
      must(wf:step("a", function() end, { compensate = function() undone[#undone + 1] = "a" end }))
      must(wf:step("b", function() end, { compensate = function() error("stays") end }))
      must(wf:step("c", function() end, { compensate = function()
        tries = tries + 1
        if tries < 2 then error("once more") end
        undone[#undone + 1] = "c"
      end }))
      error(iu.errors.new("AuthorizationError", "no"))
    end, { compensation = FAST })
    assert(w:start("sticky", nil, { id = "s" }))
    support.refused("AuthorizationError", w:wait("s", SOON))
    assert.same({ "c", "a" }, undone)
    local run = w:get("s")
    assert.is_false(run.compensated)
    assert.equal(1, #run.failures)
    assert.equal("b", run.failures[1].step)
    assert.truthy(run.failures[1].error.message:find("stays", 1, true))
    assert.equal(3, run.steps[2].compensation.attempts)
  end)

  it("goes on compensating after a restart, and does nothing twice", function()
    if not support.keeps then return end
    local w, m = open()
    local log, block = {}, true
    local function run(wf)
      must(wf:step("a", function() log[#log + 1] = "a" end, { compensate = function() log[#log + 1] = "undo a" end }))
      must(wf:step("b", function() log[#log + 1] = "b" end, { compensate = function()
        if block then iu.sleep(60) end
        log[#log + 1] = "undo b"
      end }))
      must(wf:step("c", function() log[#log + 1] = "c" end, { compensate = function() log[#log + 1] = "undo c" end }))
      log[#log + 1] = "raise"
      error("on purpose")
    end
    define(w, "back", run)
    assert(w:start("back", nil, { id = "b" }))
    support.wait_until(function() return #log == 5 end)
    assert.equal("compensating", w:get("b").status)
    w = reopen(m)
    block = false
    define(w, "back", function(...)
      log[#log + 1] = "replay"
      return run(...)
    end)
    local err = support.refused("PersistenceError", w:wait("b", SOON))
    assert.truthy(err.message:find("on purpose", 1, true))
    assert.same({ "a", "b", "c", "raise", "undo c", "replay", "raise", "undo b", "undo a" }, log)
  end)

  -- ---- cancelling ----

  it("is cancelled at once where it waits, and compensated", function()
    for _, park_after in ipairs { 0.0, 30.0 } do
      local w = open { park_after = park_after }
      local undone, after = 0, false
      define(w, "waits", function(wf)
        must(wf:step("a", function() end, { compensate = function() undone = undone + 1 end }))
        pcall(function() wf:sleep(1000) end) -- cannot be held up
        after = true
        must(wf:step("b", function() end))
      end)
      assert(w:start("waits", nil, { id = "w" }))
      support.wait_until(function() return #w:get("w").steps == 2 end)
      assert(w:cancel("w"))
      local err = support.refused("PersistenceError", w:wait("w", SOON))
      assert.equal("CANCELLED", err.code)
      assert.equal("cancelled", w:get("w").status)
      assert.equal(1, undone)
      assert.is_false(after)
      support.refused("ConflictError", w:cancel("w"))
      support.refused("EntityNotFoundError", w:cancel("nobody"))
      support.clean()
    end
  end)

  it("lets a step end before it is cancelled", function()
    local w = open()
    local log = {}
    define(w, "busy", function(wf)
      must(wf:step("a", function()
        log[#log + 1] = "begin"
        iu.sleep(0.1)
        log[#log + 1] = "end"
        return "x"
      end, { compensate = function(result) log[#log + 1] = "undo " .. result end }))
      must(wf:step("b", function() log[#log + 1] = "b" end))
    end)
    assert(w:start("busy", nil, { id = "b" }))
    support.wait_until(function() return log[1] end)
    assert(w:cancel("b"))
    support.refused("PersistenceError", w:wait("b", SOON))
    assert.same({ "begin", "end", "undo x" }, log)
  end)

  it("is cancelled before it has begun", function()
    local w = open { runs_max = 1 }
    local began = {}
    define(w, "queued", function(wf)
      began[wf.id] = true
      must(wf:step("hold", function() while not began.go do iu.sleep(0.005) end end))
    end)
    assert(w:start("queued", nil, { id = "1" }))
    support.wait_until(function() return began["1"] end)
    assert(w:start("queued", nil, { id = "2" }))
    assert.equal("pending", w:get("2").status)
    assert(w:cancel("2"))
    began.go = true
    assert.is_true(w:wait("1", SOON))
    support.refused("PersistenceError", w:wait("2", SOON))
    assert.is_nil(began["2"])
  end)

  -- ---- code that changed ----

  local function changed_code(before, after, ...)
    local w = open { park_after = 0.0 }
    local ran, mended = {}, false
    local function step(wf, name) must(wf:step(name, function() ran[#ran + 1] = name end)) end
    local code = before
    define(w, "code", function(wf)
      code(wf, step)
      return "fine"
    end)
    assert(w:start("code", nil, { id = "c" }))
    support.wait_until(function() return w:get("c").status == "waiting" end)
    local was = #ran
    code = function(wf)
      if mended then return before(wf, step) end
      return after(wf, step)
    end
    assert(w:signal("c", "go"))
    local err = support.refused("ConflictError", w:wait("c", SOON))
    assert.equal("NONDETERMINISTIC", err.code)
    for _, text in ipairs { ... } do assert.truthy(err.message:find(text, 1, true), err.message) end
    assert.equal(was, #ran, "nothing ran")
    assert.equal("stuck", w:get("c").status)
    assert.equal(1, select(2, w:health()).stuck)
    mended = true
    assert(w:resume("c"))
    assert.equal("fine", w:wait("c", SOON))
    support.clean()
  end

  it("is stuck where its code does not fit its records, runs nothing, and goes on when it is mended", function()
    local function before(wf, step)
      step(wf, "a")
      step(wf, "b")
      wf:wait_signal("go")
    end
    changed_code(before, function(wf, step) step(wf, "a") step(wf, "x") wf:wait_signal("go") end, "call 2", '"b"', '"x"')
    changed_code(before, function(wf, step) step(wf, "b") step(wf, "a") wf:wait_signal("go") end, "call 1")
    changed_code(before, function(wf, step) step(wf, "new") step(wf, "a") step(wf, "b") wf:wait_signal("go") end, "call 1")
    changed_code(before, function(wf, step) step(wf, "a") wf:now() step(wf, "b") end, "call 2", "wf:now")
    changed_code(before, function(wf, step) wf:uuid() step(wf, "a") step(wf, "b") end, "call 1")
    changed_code(before, function(wf) wf:transaction("a", function() error("ran") end) end, "call 1", "wf:transaction")
    changed_code(before, function(wf, step) step(wf, "a") end, "ended at call 1, 2 are recorded")
    changed_code(before, function() error("a mistake") end, "ended at call 0, 2 are recorded")
    changed_code(function(wf, step) wf:uuid() step(wf, "a") wf:wait_signal("go") end,
      function(wf, step) step(wf, "new") step(wf, "a") end, "call 1", "nothing is recorded there")
  end)

  it("is stuck, and compensates nothing, where its code has changed while it compensates", function()
    local changes = { -- what the code is then, and what the err says
      { function(wf, step) step(wf, "a") error("a mistake") end, "ended at call 1, 2 are recorded" },
      { function() return "early" end, "ended at call 0, 2 are recorded" },
      { function(wf, step)
        step(wf, "a")
        must(wf:step("b", function() end)) -- has no compensation any more
        error("on purpose")
      end, "the compensation of call 2" },
      { function(wf, step) step(wf, "a") step(wf, "x") end, '"x"' },
    }
    for _, change in ipairs(changes) do
      local w = open { park_after = 0.0 }
      local undone, block = {}, true
      local function step(wf, name)
        must(wf:step(name, function() end, { compensate = function()
          if block then error("later") end
          undone[#undone + 1] = name
        end }))
      end
      local function before(wf)
        step(wf, "a")
        step(wf, "b")
        error("on purpose")
      end
      local code = before
      define(w, "code", function(wf) return code(wf, step) end, { compensation = { max_attempts = 1000, initial_delay = 0.05, backoff = 1 } })
      assert(w:start("code", nil, { id = "c" }))
      support.wait_until(function()
        local second = w:get("c").steps[2]
        return second and second.compensation
      end)
      code, block = change[1], false
      local err = support.refused("ConflictError", nil, select(2, w:wait("c", SOON)), change[2])
      assert.equal("NONDETERMINISTIC", err.code)
      assert.same({ "stuck", {} }, { w:get("c").status, undone })
      code = before
      assert(w:resume("c"))
      support.refused("PersistenceError", nil, select(2, w:wait("c", SOON)), "on purpose")
      assert.same({ "failed", true, { "b", "a" } }, { w:get("c").status, w:get("c").compensated, undone })
      support.clean()
    end
  end)

  it("is stuck where a record is damaged", function()
    local w, m = open { park_after = 0.0 }
    local ran = 0
    define(w, "code", function(wf)
      must(wf:step("a", function() ran = ran + 1 end))
      must(wf:wait_signal("go"))
    end)
    assert(w:start("code", nil, { id = "c" }))
    support.wait_until(function() return w:get("c").status == "waiting" end)
    local key = ("workflow.step:%s:000001"):format(w:get("c").uid)
    local conn = assert(m.client:connection())
    local text = assert(conn:get("plugin_record", key)).value
    assert(conn:call("put_record", key, "[1", nil, nil))
    support.refused("StorageError", w:get("c"))
    assert(w:signal("c", "go"))
    support.refused("ConflictError", w:wait("c", SOON))
    assert(conn:call("put_record", key, text, nil, nil))
    assert(w:resume("c"))
    assert.is_true(w:wait("c", SOON))
    assert.equal(1, ran)
  end)

  it("numbers steps of one name, and takes each for itself", function()
    local w = open { park_after = 0.0 }
    local ran = 0
    define(w, "loop", function(wf)
      local sum = 0
      for i = 1, 5 do
        sum = sum + must(wf:step("again", function() ran = ran + 1 return i end))
        wf:sleep(0.01)
      end
      return sum
    end)
    assert(w:start("loop", nil, { id = "l" }))
    assert.equal(15, w:wait("l", SOON))
    assert.equal(5, ran)
    assert.equal(5, w:get("l").steps[9].nth)
  end)

  it("can be cancelled while it is stuck, without compensation", function()
    local w = open { park_after = 0.0 }
    local name, undone = "a", 0
    define(w, "code", function(wf)
      must(wf:step(name, function() end, { compensate = function() undone = undone + 1 end }))
      wf:wait_signal("go")
    end)
    assert(w:start("code", nil, { id = "c" }))
    support.wait_until(function() return w:get("c").status == "waiting" end)
    name = "b"
    assert(w:signal("c", "go"))
    support.refused("ConflictError", w:wait("c", SOON))
    assert(w:cancel("c"))
    local err = support.refused("PersistenceError", w:wait("c", SOON))
    assert.equal("CANCELLED", err.code)
    assert.is_false(w:get("c").compensated)
    assert.equal(0, undone)
  end)
end)
