-- Answers of the core that tasks wait for: a slot is used again by its coroutine, and an answer reaches the wait that asked for it or nobody.

local fake_loop = require("fake_loop")
local tasks = require("inner_universe.tasks")

local loop, iu, pending, reported

before_each(function()
  loop, pending, reported = fake_loop.new(), {}, {}
  iu = tasks.new(loop, function(err) reported[#reported + 1] = err end)
end)

after_each(function()
  assert.same({}, reported)
  assert.equal(0, loop.armed(), "a timer was left armed")
end)

-- What a connection does with an answer.
local function answer(id, ...)
  local record = assert(pending[id], "nothing is filed under this id")
  pending[id] = nil
  record:answer(...)
end

local function in_turn(fn)
  loop.post(fn)
end

describe("an answer", function()
  it("is what the wait returns: error, value and one more", function()
    iu.run(function()
      in_turn(function() answer(1, nil, "value", 7) end)
      assert.same({ true, nil, "value", 7, n = 4 }, table.pack(iu.answer(pending, 1, 5)))
      in_turn(function() answer(2, "err") end)
      assert.same({ true, "err", nil, nil, n = 4 }, table.pack(iu.answer(pending, 2, 5)))
      in_turn(function() answer(3, nil, true) end)
      local answered, err, value, more = iu.answer(pending, 3)
      assert.same({ true, nil, true, nil }, { answered, err, value, more })
      in_turn(function() answer(4, "err", false) end)
      assert.same({ true, "err", false, nil, n = 4 }, table.pack(iu.answer(pending, 4, 5)))
      in_turn(function() answer(5, nil, {}, 0) end)
      assert.same({ true, nil, {}, 0, n = 4 }, table.pack(iu.answer(pending, 5, 5)))
    end)
    assert.is_nil(next(pending))
  end)

  it("is waited for in tasks only: elsewhere nothing is filed", function()
    assert.is_nil(iu.answer(pending, 1, 5))
    iu.run(function()
      local nested = coroutine.wrap(function() return iu.answer(pending, 2, 5) end)
      assert.is_nil(nested())
      local values = { 2, 1 }
      table.sort(values, function(a, b)
        assert.is_nil(iu.answer(pending, 3, 5))
        return a < b
      end)
    end)
    assert.is_nil(next(pending))
  end)

  it("is waited for without a table for each wait", function()
    iu.run(function()
      local slot
      for id = 1, 3 do
        in_turn(function()
          slot = slot or pending[id]
          assert.equal(slot, pending[id])
          answer(id, nil, true)
        end)
        assert.is_true((iu.answer(pending, id, 5)))
      end
    end)
  end)

  it("is not kept by the slot that had it", function()
    local weak = setmetatable({}, { __mode = "v" })
    iu.run(function()
      in_turn(function()
        weak.value, weak.matched = {}, {}
        answer(1, nil, weak.value, weak.matched)
      end)
      iu.answer(pending, 1, 5)
      collectgarbage()
      collectgarbage()
      assert.is_nil(weak.value)
      assert.is_nil(weak.matched)
    end)
  end)

  it("that comes too late is dropped, whatever the task waits for by then", function()
    iu.run(function()
      assert.is_false((iu.answer(pending, 1, 2)))
      assert.equal(2, loop.now)
      in_turn(function() answer(1, nil, "late") end)
      in_turn(function()
        assert.is_nil(pending[1])
        in_turn(function() answer(2, nil, "its own") end)
      end)
      assert.same({ true, nil, "its own" }, { iu.answer(pending, 2, 2) })
      assert.is_false((iu.answer(pending, 3, 1)))
      in_turn(function() answer(3, "late") end)
      iu.sleep(1)
      assert.equal(4, loop.now)
    end)
  end)

  it("to a cancelled task reaches neither it nor the coroutine's next job", function()
    local beyond
    iu.run(function()
      local task = iu.spawn(function()
        iu.answer(pending, 1, 50)
        beyond = true
      end)
      coroutine.yield()
      assert.equal("waiting", task:status())
      assert.is_true(task:cancel())
      local other = iu.spawn(function() return iu.answer(pending, 2, 50) end)
      coroutine.yield()
      answer(1, nil, "for the cancelled one")
      coroutine.yield()
      assert.equal("waiting", other:status())
      answer(2, nil, "for the other")
      assert.same({ true, nil, "for the other" }, { other:wait() })
    end)
    assert.is_nil(beyond)
    assert.equal(0, loop.now)
  end)

  it("and a cancel after it, in the same turn: the task ends there", function()
    local beyond
    iu.run(function()
      local task = iu.spawn(function()
        iu.answer(pending, 1, 50)
        beyond = true
      end)
      coroutine.yield()
      answer(1, nil, true)
      assert.equal("waiting", task:status())
      assert.is_true(task:cancel())
      assert.equal("CANCELLED", select(2, task:wait()).code)
    end)
    assert.is_nil(beyond)
  end)

  it("in the turn in which its time is over is given, once, whichever came first", function()
    for _, answer_first in ipairs { true, false } do
      pending = {}
      local got, resumed = nil, 0
      iu.run(function()
        if not answer_first then iu.spawn(function() iu.sleep(2) end) end -- its alarm rings for both
        local turn = loop.loop_turn
        loop.loop_turn = function(wait)
          if answer_first and pending[1] then
            loop.now = loop.now + 2
            answer(1, nil, "answer")
          end
          local more = turn(wait)
          if not answer_first and pending[1] and loop.now >= 2 then answer(1, nil, "answer") end
          return more
        end
        got = { iu.answer(pending, 1, 2) }
        resumed = resumed + 1
        loop.loop_turn = turn
        assert.is_false((iu.answer(pending, 2, 1)), "the alarm of the first wait ended the second, or an old answer did")
      end)
      assert.same({ true, nil, "answer" }, got)
      assert.equal(1, resumed)
      loop.now = 0
    end
  end)

  it("that never comes and has no limit is owed: no deadlock is seen", function()
    local turns = 0
    local turn = loop.loop_turn
    loop.loop_turn = function(wait)
      turns = turns + 1
      if turns == 20 then answer(1, nil, true) end
      return turn(wait)
    end
    iu.run(function() assert.is_true((iu.answer(pending, 1))) end)
    assert.equal(20, turns)
    local message = select(2, pcall(iu.run, function() iu.waiter():wait() end))
    assert.truthy(tostring(message):find("deadlock", 1, true), "the answer is still counted as owed")
  end)

  it("is not waited for where the timeout is nothing, less, or no number", function()
    iu.run(function()
      for id, timeout in ipairs { 0, -1, 0 / 0 } do
        assert.is_false((iu.answer(pending, id, timeout)))
        answer(id, nil, true)
      end
    end)
    assert.equal(0, loop.now)
  end)

  it("after a timeout of each of many lengths", function()
    iu.run(function()
      for i = 1, 20 do
        iu.spawn(function()
          assert.is_false((iu.answer(pending, i, i)))
          assert.equal(i, loop.now)
          in_turn(function() answer(100 + i, nil, i) end)
          assert.same({ true, nil, i }, { iu.answer(pending, 100 + i, 100 + i) })
          in_turn(function() answer(200 + i, nil, true) end)
          assert.same({ true, nil, true }, { iu.answer(pending, 200 + i, 100 + i) })
        end)
      end
    end)
    for i = 1, 20 do answer(i, nil, true) end
  end)
end)

describe("a run of answers", function()
  it("ends the waits of tasks in order, and stops at what none of them waits for", function()
    local ended = {}
    iu.run(function()
      for id = 1, 6 do
        iu.spawn(function()
          local answered, err, value = iu.answer(pending, id, 5)
          ended[#ended + 1] = { id, answered, err, value }
        end)
      end
      iu.sleep(1)
      local other = {}
      pending[4], other[1] = { answer = function() end }, pending[4]
      in_turn(function()
        assert.is_nil(iu.answer_run(pending, 2, 3))
        assert.equal(4, iu.answer_run(pending, 4, 6))
        assert.equal(1, #ended + 1, "nothing is resumed inside")
        assert.is_nil(iu.answer_run(pending, 5, 6))
        assert.is_nil(iu.answer_run(pending, 1, 1))
        assert.equal(7, iu.answer_run(pending, 7, 9), "nobody waits yet")
      end)
      iu.sleep(1)
      pending[4] = other[1]
      answer(4, "err")
    end)
    local order = {}
    for i, each in ipairs(ended) do order[i] = each[1] end
    assert.same({ 2, 3, 5, 6, 1, 4 }, order)
    for i = 1, 5 do assert.same({ true, nil, true }, { table.unpack(ended[i], 2, 4) }) end
    assert.same({ 4, true, "err" }, ended[6])
  end)

  it("comes too late for who is cancelled or has timed out, and is owed no more", function()
    iu.run(function()
      local cancelled = iu.spawn(function() iu.answer(pending, 1, 50) end)
      iu.spawn(function() assert.is_false((iu.answer(pending, 2, 1))) end)
      iu.sleep(2)
      cancelled:cancel()
      assert.is_nil(iu.answer_run(pending, 1, 2))
    end)
    assert.is_nil(next(pending))
    assert.truthy(tostring(select(2, pcall(iu.run, function() iu.waiter():wait() end))):find("deadlock", 1, true))
  end)
end)

describe("timeouts", function()
  it("end those of one time in their order, between others that were answered or began later", function()
    local ended = {}
    local function waits(id, timeout)
      iu.spawn(function()
        local answered = iu.answer(pending, id, timeout)
        ended[#ended + 1] = ("%d %s %g"):format(id, answered, loop.now)
      end)
    end
    iu.run(function()
      for id = 1, 5 do waits(id, 10) end
      waits(6, 4)
      iu.sleep(1)
      for id = 7, 9 do waits(id, 10) end
      iu.sleep(1)
      answer(1, nil, true)
      answer(3, nil, true)
      answer(8, nil, true)
      iu.sleep(4)
      waits(10, 10)
    end)
    assert.same({ "1 true 2", "3 true 2", "8 true 2", "6 false 4", "2 false 10", "4 false 10", "5 false 10", "7 false 11", "9 false 11", "10 false 16" }, ended)
    for _, id in ipairs { 2, 4, 5, 6, 7, 9, 10 } do answer(id, nil, true) end
  end)

  it("of what callbacks wait for are seen before the loop sleeps", function()
    local at
    iu.run(function()
      in_turn(function()
        iu.call(function()
          assert.is_false((iu.answer(pending, 1, 3)))
          at = loop.now
        end)
      end)
      iu.sleep(10)
    end)
    assert.equal(3, at)
    answer(1, nil, true)
  end)

  it("cost no memory that grows: one long wait beside many that end", function()
    local function kilobytes()
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    local before, after
    iu.run(function()
      iu.spawn(function() assert.is_false((iu.answer(pending, 0, 100))) end)
      iu.spawn(function() assert.is_false((iu.answer(pending, -1, 30))) end)
      for id = 1, 4000 do
        in_turn(function() answer(id, nil, true) end)
        assert.is_true((iu.answer(pending, id, 30)))
        if id == 1000 then before = kilobytes() end
      end
      after = kilobytes()
    end)
    assert.is_true(after - before < 100, ("%g KiB more"):format(after - before))
    answer(0, nil, true)
    answer(-1, nil, true)
  end)
end)

describe("many tasks", function()
  it("asking, timing out and cancelled at random: each gets its own answers, and all end", function()
    local seed = os.time()
    print("# random answers, seed " .. seed)
    math.randomseed(seed)
    local next_id, open, all, counts = 0, {}, {}, { answered = 0, late = 0 }
    local function job()
      for _ = 1, math.random(1, 30) do
        next_id = next_id + 1
        local id = next_id
        open[#open + 1] = id
        local answered, err, value, matched = iu.answer(pending, id, math.random(4) == 1 and 0.5 or 3)
        if answered then
          counts.answered = counts.answered + 1
          assert.is_nil(err)
          assert.equal(id, value)
          assert.equal(-id, matched)
        else
          counts.late = counts.late + 1
          assert.is_nil(value)
        end
        if math.random(5) == 1 then coroutine.yield() end
        if math.random(40) == 1 then iu.sleep(0.1) end
      end
    end
    local function answer_some(share)
      for i = #open, 1, -1 do
        if math.random() < share then
          local id = open[i]
          open[i] = open[#open]
          open[#open] = nil
          answer(id, nil, id, -id)
        end
      end
    end
    iu.run(function()
      for n = 1, 300 do all[n] = iu.spawn(job) end
      for _ = 1, 400 do
        iu.sleep(0.1)
        answer_some(0.15)
        if math.random(4) == 1 then all[math.random(#all)]:cancel() end
      end
      while #open > 0 do
        answer_some(1)
        iu.sleep(0.1)
      end
    end)
    for _, task in ipairs(all) do assert.is_true(task:is_done()) end
    assert.is_true(counts.answered > 500 and counts.late > 50, "the test did not test much")
    assert.is_nil(next(pending))
  end)
end)

describe("core.may_yield", function()
  local core = require("inner_universe.core")

  it("is true in the coroutine itself, where it may yield", function()
    local co, nested
    co = coroutine.create(function()
      assert.is_true(core.may_yield(co))
      nested = coroutine.wrap(function() return core.may_yield(co) end)
      assert.is_false(nested())
      local seen
      table.sort({ 2, 1 }, function(a, b)
        seen = core.may_yield(co)
        return a < b
      end)
      assert.is_false(seen)
      return true
    end)
    assert.same({ true, true }, { coroutine.resume(co) })
    assert.is_false(core.may_yield(co))
    assert.is_false(core.may_yield(coroutine.running()) and not coroutine.isyieldable())
    assert.is_false(core.may_yield(nil))
  end)
end)
