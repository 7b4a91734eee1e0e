-- Tasks: who may wait where, ends, errors nobody waits for, cancelling, the frame loop.

local fake_loop = require("fake_loop")
local tasks = require("inner_universe.tasks")
local errors = require("inner_universe.errors")

local loop, iu, reported, handler

before_each(function()
  loop, reported, handler = fake_loop.new(), {}, true
  iu = tasks.new(loop, function(err, trace)
    reported[#reported + 1] = { err = err, trace = trace }
  end)
  iu.has_handler = function() return handler end
end)

after_each(function()
  assert.equal(0, loop.armed(), "a timer was left armed")
end)

-- The text an error carries, without a position.
local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return (tostring(err):gsub("^[^:]+:%d+: ", ""))
end

describe("iu.run", function()
  it("returns what its function returns, nils too", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(iu.run(function(a) return a, nil, 3 end, 1)))
    assert.same({ n = 0 }, table.pack(iu.run(function() end)))
  end)

  it("returns when its function and all spawned tasks have ended", function()
    local order = {}
    iu.run(function()
      iu.spawn(function()
        iu.sleep(2)
        order[#order + 1] = "task"
        iu.spawn(function()
          iu.sleep(1)
          order[#order + 1] = "its task"
        end)
      end)
      order[#order + 1] = "main"
    end)
    assert.same({ "main", "task", "its task" }, order)
    assert.equal(3, loop.now)
  end)

  it("waits for callbacks that wait, not for background tasks", function()
    local done
    iu.run(function()
      iu.spawn_background(function() iu.sleep(1000) end)
      iu.call(function()
        iu.sleep(1)
        done = true
      end)
    end)
    assert.is_true(done)
    assert.equal(1, loop.now)
    for timer in pairs(loop.timers) do
      timer.close()
    end
  end)

  it("raises what its function raises, a text with the traceback, and cancels the other tasks", function()
    local closed, ended
    local err = raised(iu.run, function()
      iu.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() closed = true end })
        assert(guard)
        iu.sleep(100)
        ended = true
      end)
      iu.sleep(1)
      error("boom")
    end)
    assert.truthy(err:find("^boom\n"))
    assert.truthy(err:find("stack traceback", 1, true))
    assert.is_true(closed)
    assert.is_nil(ended)
    assert.equal(1, loop.now)
    local failure = errors.new("TimeoutError", "x")
    local ok, same = pcall(iu.run, function() error(failure) end)
    assert.is_false(ok)
    assert.equal(failure, same)
  end)

  it("raises in a task and where the loop is turning", function()
    assert.equal("iu.run cannot be called in a task (call the function, or use iu.spawn)",
      iu.run(function() return raised(iu.run, print) end))
    local why
    loop.post(function() why = raised(iu.run, print) end)
    iu.step()
    assert.equal("iu.run cannot be called while the loop is turning", why)
  end)

  it("raises when tasks wait for what can no longer come", function()
    assert.equal("deadlock: 1 task waits for something that can no longer come", raised(iu.run, function() iu.waiter():wait() end))
    assert.equal(7, iu.run(function() return 7 end))
  end)

  it("takes no owed answer for a deadlock", function()
    local waiter = iu.waiter()
    iu.hold(1)
    local turns = 0
    local turn = loop.loop_turn
    loop.loop_turn = function(wait)
      turns = turns + 1
      if turns == 5 then
        iu.hold(-1)
        waiter:resolve("answer")
      end
      return turn(wait)
    end
    assert.equal("answer", iu.run(function() return (waiter:wait()) end))
  end)

  it("raises the error of a task nobody waited for, when there is no handler", function()
    handler = false
    assert.truthy(raised(iu.run, function() iu.spawn(error, "lost", 0) end):find("^lost"))
    assert.equal(1, iu.run(function()
      local task = iu.spawn(error, "claimed later", 0)
      iu.sleep(1)
      assert.is_nil((task:wait()))
      return 1
    end))
  end)
end)

describe("a spawned task", function()
  it("starts at the next turn, in order of spawning", function()
    local order = {}
    for i = 1, 3 do
      iu.spawn(function() order[#order + 1] = i end)
    end
    assert.same({}, order)
    iu.step()
    assert.same({ 1, 2, 3 }, order)
  end)

  it("gives what it returned to all who wait", function()
    iu.run(function()
      local task = iu.spawn(function(x)
        iu.sleep(1)
        return x, nil, "end"
      end, 5)
      local other = iu.spawn(function() return task:wait() end)
      assert.same({ 5, nil, "end", n = 3 }, table.pack(task:wait()))
      assert.same({ 5, nil, "end", n = 3 }, table.pack(other:wait()))
      assert.equal("done", task:status())
      assert.is_true(task:is_done())
    end)
  end)

  it("that raises answers nil, err to who waits, and is not reported", function()
    iu.run(function()
      local task = iu.spawn(function()
        iu.sleep(1)
        error("boom")
      end)
      local value, err = task:wait()
      assert.is_nil(value)
      assert.truthy(errors.is(err, "PersistenceError"))
      assert.truthy(err.message:find("boom", 1, true))
      assert.equal("failed", task:status())
    end)
    assert.same({}, reported)
  end)

  it("that raises while nobody waits is reported once, with a traceback", function()
    local task = iu.spawn(function() error("boom", 0) end)
    iu.step()
    assert.equal(1, #reported)
    assert.equal("boom", reported[1].err)
    assert.truthy(reported[1].trace:find("traceback", 1, true))
    assert.equal("boom", select(2, task:wait()).message)
    assert.equal(1, #reported)
  end)

  it("closes its variables when it raises", function()
    local closed
    iu.spawn(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      error(tostring(guard))
    end)
    iu.step()
    assert.is_true(closed)
  end)

  it("may give others their turn with a plain yield", function()
    local order = {}
    iu.run(function()
      iu.spawn(function() order[#order + 1] = "other" end)
      coroutine.yield()
      order[#order + 1] = "main"
    end)
    assert.same({ "other", "main" }, order)
  end)

  it("can be spawned by the hundred thousand without nesting", function()
    local count = 0
    local function chain(n)
      count = count + 1
      if n > 0 then iu.spawn(chain, n - 1) end
    end
    iu.run(chain, 10000)
    assert.equal(10001, count)
  end)

  it("is refused for what cannot be called", function()
    assert.equal("bad argument #1 to 'spawn' (fn: callable expected, got an integer)", raised(iu.spawn, 1))
    assert.equal("bad argument #1 to 'run' (fn: callable expected, got nil)", raised(iu.run))
  end)
end)

describe("waiting", function()
  it("turns the loop in plain code", function()
    local waiter = iu.waiter()
    loop.timer(2, function() waiter:resolve("value", 2) end)
    assert.same({ "value", 2 }, { waiter:wait() })
    assert.equal(2, loop.now)
  end)

  it("turns the loop in a coroutine that belongs to no task", function()
    local co = coroutine.wrap(function()
      iu.sleep(1)
      return "slept"
    end)
    assert.equal("slept", co())
  end)

  it("yields in a task, and others run meanwhile", function()
    local order = {}
    iu.run(function()
      iu.spawn(function()
        iu.sleep(1)
        order[#order + 1] = "one"
      end)
      iu.sleep(2)
      order[#order + 1] = "two"
    end)
    assert.same({ "one", "two" }, order)
    assert.equal(2, loop.now)
  end)

  it("ends with TimeoutError when its time is over, in a task and outside", function()
    local function try()
      local value, err = iu.waiter():wait(1.5)
      assert.is_nil(value)
      assert.equal("TimeoutError", err.kind)
      assert.equal("wait: nothing came within 1.5 s", err.message)
    end
    try()
    iu.run(try)
    assert.equal(3, loop.now)
    local value, err = iu.waiter():wait(0)
    assert.is_nil(value)
    assert.equal("TimeoutError", err.kind)
  end)

  it("for a task ends likewise, and the task goes on", function()
    iu.run(function()
      local task = iu.spawn(function()
        iu.sleep(5)
        return "late"
      end)
      assert.equal("TimeoutError", select(2, task:wait(1)).kind)
      assert.equal("late", task:wait())
    end)
  end)

  it("raises in a coroutine nested in a task", function()
    local why = iu.run(function()
      return coroutine.wrap(function() return raised(iu.sleep, 1) end)()
    end)
    assert.equal("cannot wait in a coroutine nested in a task (use iu.spawn for it)", why)
  end)

  it("raises where the loop is turning outside a task", function()
    local why
    loop.post(function() why = raised(iu.sleep, 1) end)
    iu.step()
    assert.equal("cannot wait while the loop is turning outside a task (use iu.spawn)", why)
    assert.is_true(iu.can_wait())
  end)

  it("raises where a task cannot yield", function()
    local why, can
    iu.run(function()
      table.sort({ 2, 1 }, function(a, b)
        can = iu.can_wait()
        why = why or raised(iu.sleep, 1)
        return a < b
      end)
    end)
    assert.truthy(why:find("cannot yield", 1, true))
    assert.is_false(can)
  end)

  it("raises at the caller's line", function()
    iu.run(function()
      coroutine.wrap(function()
        local line = debug.getinfo(1, "l").currentline + 1
        local ok, err = pcall(function() iu.sleep(1) end)
        assert.is_false(ok)
        assert.truthy(err:find(("tasks_spec.lua:%d: cannot wait"):format(line), 1, true), err)
      end)()
    end)
  end)

  it("is not needed for a waiter that is resolved, and only the first resolution counts", function()
    local waiter = iu.waiter()
    assert.is_true(waiter:resolve(1))
    assert.is_false(waiter:resolve(2))
    local value
    loop.post(function() value = waiter:wait() end)
    iu.step()
    assert.equal(1, value)
  end)

  it("answers nil, err when nothing is left that could end it", function()
    local value, err = iu.waiter():wait()
    assert.is_nil(value)
    assert.equal("DEADLOCK", err.code)
  end)

  it("outside a task runs the tasks too", function()
    local task = iu.spawn(function()
      iu.sleep(1)
      return "done"
    end)
    assert.equal("done", task:wait())
  end)

  it("refuses a timeout that is no number", function()
    assert.equal("bad argument #1 to 'wait' (timeout: number or nil expected, got string)",
      raised(function() iu.waiter():wait("1") end))
  end)

  it("ends waits in the order in which they are due, however many different timeouts there are", function()
    local order, tasks_of = {}, {}
    iu.run(function()
      for i = 1, 60 do
        local seconds = (i * 37) % 24 + 1 -- 24 different ones, more than share a timer
        tasks_of[i] = iu.spawn(function()
          iu.sleep(seconds)
          order[#order + 1] = seconds
        end)
      end
      iu.sleep(0.5)
      for i = 3, 60, 3 do tasks_of[i]:cancel() end
      iu.sleep(30)
    end)
    assert.equal(40, #order)
    for i = 2, #order do
      assert.is_true(order[i - 1] <= order[i], ("%d after %d"):format(order[i], order[i - 1]))
    end
    assert.equal(30.5, loop.now)
  end)

  it("takes an infinite timeout for none, a negative one for 0", function()
    local waiter = iu.waiter()
    loop.timer(1, function() waiter:resolve("x") end)
    assert.equal("x", waiter:wait(math.huge))
    iu.sleep(-1)
    assert.equal(1, loop.now)
  end)
end)

describe("cancelling", function()
  it("ends a task at its wait: variables are closed, nothing else runs", function()
    local closed, went_on
    iu.run(function()
      local task = iu.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() closed = true end })
        assert(guard)
        pcall(iu.sleep, 100)
        went_on = true
      end)
      iu.sleep(1)
      assert.equal("waiting", task:status())
      assert.is_true(task:cancel())
      assert.is_true(closed)
      assert.is_false(task:cancel())
      local value, err = task:wait()
      assert.is_nil(value)
      assert.equal("CANCELLED", err.code)
      assert.equal("cancelled", task:status())
    end)
    assert.is_nil(went_on)
    assert.equal(1, loop.now)
    assert.same({}, reported)
  end)

  it("ends a task that has not started", function()
    local ran
    local task = iu.spawn(function() ran = true end)
    assert.is_true(task:cancel())
    iu.step()
    assert.is_nil(ran)
    assert.equal("CANCELLED", select(2, task:wait()).code)
  end)

  it("of the running task takes effect at its next wait", function()
    local reached, beyond
    iu.run(function()
      local task
      task = iu.spawn(function()
        task:cancel()
        reached = true
        iu.sleep(1)
        beyond = true
      end)
      assert.equal("CANCELLED", select(2, task:wait()).code)
    end)
    assert.is_true(reached)
    assert.is_nil(beyond)
  end)

  it("does not let a late wake-up hit the coroutine's next job", function()
    local waiter, order = iu.waiter(), {}
    iu.run(function()
      local task = iu.spawn(function() waiter:wait() end)
      coroutine.yield()
      waiter:resolve(1)
      task:cancel()
      for i = 1, 3 do
        iu.spawn(function()
          iu.sleep(i)
          order[#order + 1] = i
        end)
      end
    end)
    assert.same({ 1, 2, 3 }, order)
  end)

  it("reports what a closing variable raises", function()
    iu.run(function()
      local task = iu.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() error("in close", 0) end })
        assert(guard)
        iu.sleep(1)
      end)
      coroutine.yield()
      task:cancel()
    end)
    assert.equal(1, #reported)
    assert.equal("in close", reported[1].err)
  end)

  it("happens to a task held in a to-be-closed variable", function()
    local task
    iu.run(function()
      do
        local scoped <close> = iu.spawn(function() iu.sleep(100) end)
        task = scoped
      end
    end)
    assert.equal("cancelled", task:status())
  end)
end)

describe("the end of a task", function()
  it("is told, however it ended, after its variables are closed", function()
    local log = {}
    local function work(name, how)
      iu.at_end(function() log[#log + 1] = name end)
      local guard <close> = setmetatable({}, { __close = function() log[#log + 1] = "close " .. name end })
      return guard and how()
    end
    iu.run(function()
      iu.spawn(work, "returned", function() iu.sleep(1) end)
      iu.spawn(work, "raised", function() error("on purpose") end)
      local task = iu.spawn(work, "cancelled", function() iu.sleep(60) end)
      iu.sleep(2)
      task:cancel()
      iu.call(work, "callback", function() end)
      iu.call(work, "callback that waits", function() iu.sleep(1) end)
    end)
    assert.same({
      "close raised", "raised", "close returned", "returned", "close cancelled", "cancelled", "close callback", "callback", "close callback that waits",
      "callback that waits",
    }, log)
    assert.equal(1, #reported)
  end)

  it("is told once, of this task only, and not when it was called off", function()
    local log = {}
    iu.run(function()
      for i = 1, 3 do
        iu.spawn(function()
          local handle = iu.at_end(function() log[#log + 1] = "off " .. i end)
          iu.at_end(function() log[#log + 1] = "a" .. i end)
          iu.at_end(function() log[#log + 1] = "b" .. i end)
          handle:cancel()
          handle:cancel()
        end)
      end
      iu.sleep(1)
      iu.spawn(function() end) -- in the same coroutine
    end)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, log)
    assert.is_nil(iu.at_end(function() end))
  end)

  it("may be called off later, and what raises then is reported", function()
    local handle, told
    iu.run(function()
      iu.spawn(function()
        handle = iu.at_end(function() told = true end)
        iu.at_end(function() error("on purpose") end)
      end)
    end)
    assert.is_true(told)
    handle:cancel()
    assert.equal(1, #reported)
    assert.equal("at the end of a task", reported[1].trace)
  end)
end)

describe("a callback", function()
  it("runs at once, up to its end or first wait", function()
    local order = {}
    iu.call(function(a, b)
      order[#order + 1] = a
      iu.sleep(1)
      order[#order + 1] = b
    end, "first", "second")
    order[#order + 1] = "caller"
    iu.sleep(2)
    assert.same({ "first", "caller", "second" }, order)
  end)

  it("that raises is reported and stops nobody", function()
    local ran
    iu.call(error, "boom", 0)
    iu.call(function() ran = true end)
    assert.is_true(ran)
    assert.equal("boom", reported[1].err)
  end)

  it("may call back into callbacks, and wait in each", function()
    local order = {}
    iu.call(function()
      iu.call(function()
        iu.sleep(1)
        order[#order + 1] = "inner"
      end)
      iu.sleep(2)
      order[#order + 1] = "outer"
    end)
    iu.sleep(3)
    assert.same({ "inner", "outer" }, order)
  end)

  it("reuses coroutines", function()
    local seen, count = {}, 0
    for _ = 1, 100 do
      iu.call(function()
        local co = coroutine.running()
        if not seen[co] then count = count + 1 end
        seen[co] = true
      end)
    end
    assert.equal(1, count)
  end)
end)

describe("iu.step", function()
  it("does one turn without waiting and says whether more is ready", function()
    iu.spawn(function() iu.spawn(function() end) end)
    assert.is_true(iu.step())
    assert.is_false(iu.step())
    loop.timer(5, print).close()
    assert.equal(0, loop.now)
  end)

  it("stops between tasks when its budget is used", function()
    local ran = 0
    for _ = 1, 10 do
      iu.spawn(function()
        ran = ran + 1
        loop.now = loop.now + 0.004
      end)
    end
    assert.is_true(iu.step(10))
    assert.equal(3, ran)
    while iu.step(10) do end
    assert.equal(10, ran)
    assert.is_nil(loop.deadline)
  end)

  it("raises in a task", function()
    iu.run(function()
      assert.equal("iu.step cannot be called while the loop is turning or in a task", raised(iu.step))
    end)
  end)
end)

describe("many tasks", function()
  it("spawned, waiting and cancelled at random all end, once", function()
    local seed = os.time()
    print("# random tasks, seed " .. seed)
    math.randomseed(seed)
    local ends, all, waiters = {}, {}, {}
    local function job(n)
      local guard <close> = setmetatable({}, { __close = function() ends[n] = (ends[n] or 0) + 1 end })
      for _ = 1, math.random(0, 4) do
        local what = math.random(6)
        if what == 1 then
          iu.sleep(math.random() * 3)
        elseif what == 2 then
          local waiter = iu.waiter()
          waiters[#waiters + 1] = waiter
          waiter:wait(math.random() * 2)
        elseif what == 3 then
          all[math.random(#all)]:cancel()
        elseif what == 4 then
          coroutine.yield()
        elseif what == 5 and #waiters > 0 then
          waiters[math.random(#waiters)]:resolve(n)
        else
          all[math.random(#all)]:wait(math.random())
        end
      end
      if math.random(10) == 1 then error("at random", 0) end
      return guard and n
    end
    handler = true
    iu.run(function()
      for n = 1, 2000 do
        all[n] = iu.spawn(job, n)
        if n % 100 == 0 then iu.sleep(0.5) end
      end
    end)
    for n, task in ipairs(all) do
      assert.is_true(task:is_done(), n)
      assert.is_true((ends[n] or 0) <= 1, n)
      if task:status() == "done" then assert.equal(n, (task:wait())) end
    end
  end)
end)

describe("two schedulers", function()
  it("do not know each other", function()
    local other_loop = fake_loop.new()
    local other = tasks.new(other_loop, function() end)
    local task = other.spawn(function() return "other" end)
    assert.equal("mine", iu.spawn(function() return "mine" end):wait())
    assert.equal("ready", task:status())
    assert.equal("other", task:wait())
  end)
end)
