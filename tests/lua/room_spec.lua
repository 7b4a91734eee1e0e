-- Room that is waited for in turn: order, time, cancelling, more than there is, the end.

local iu = require "inner_universe"
local errors = require "inner_universe.errors"
local room = require "inner_universe.room"
local tasks = require("inner_universe.runtime").tasks

describe("room", function()
  it("is there up to its limit, and waited for in turn beyond", function()
    local r, log = room.new(tasks, 2), {}
    iu.run(function()
      for i = 1, 6 do
        iu.spawn(function()
          assert(r:take(1))
          log[#log + 1] = "in " .. i
          assert(r.used <= 2)
          iu.sleep(0.001)
          log[#log + 1] = "out"
          r:give(1)
        end)
      end
    end)
    assert.equal("in 1 in 2 out in 3 out in 4 out in 5 out in 6 out out", (table.concat(log, " "):gsub("out out in (%d) in", "out in %1 out in")))
    assert.same({ 0, 0 }, { r.used, r.waiting })
  end)

  it("is not jumped at by who comes later", function()
    local r, log = room.new(tasks, 1), {}
    iu.run(function()
      assert(r:take(1))
      iu.spawn(function()
        assert(r:take(1))
        log[#log + 1] = "first"
        r:give(1)
      end)
      iu.sleep(0)
      iu.sleep(0)
      r:give(1) -- the first has it, though it has not run yet
      assert.is_false(r:try(1))
      assert(r:take(1))
      log[#log + 1] = "second"
    end)
    assert.same({ "first", "second" }, log)
  end)

  it("is waited for no longer than the timeout", function()
    local r = room.new(tasks, 1, { what = "the pool" })
    assert(r:take(1))
    local ok, err = r:take(1, 0.01)
    assert.is_nil(ok)
    assert.is_true(errors.is(err, "TimeoutError"))
    assert.same({ 1, 0 }, { r.used, r.waiting })
    r:give(1)
    assert.is_true(r:try(1))
  end)

  it("is not taken by who is cancelled, before it was granted or after", function()
    local r, got = room.new(tasks, 1), 0
    iu.run(function()
      assert(r:take(1))
      local list = {}
      for i = 1, 5 do
        list[i] = iu.spawn(function()
          assert(r:take(1))
          got = got + 1
          r:give(1)
        end)
      end
      iu.sleep(0)
      iu.sleep(0)
      list[2]:cancel()
      assert.equal(4, r.waiting)
      r:give(1) -- to the first
      list[1]:cancel()
    end)
    assert.equal(3, got)
    assert.same({ 0, 0 }, { r.used, r.waiting })
  end)

  it("for several is waited for as a whole, and holds up those behind", function()
    local r, log = room.new(tasks, 10), {}
    iu.run(function()
      assert(r:take(6))
      for i, count in ipairs { 5, 1, 25 } do
        iu.spawn(function()
          assert(r:take(count))
          log[#log + 1] = i
          iu.sleep(0.001)
          r:give(count)
        end)
      end
      iu.sleep(0)
      iu.sleep(0)
      assert.equal(3, r.waiting)
      r:give(6)
      iu.sleep(0)
      assert.same({ 1, 2 }, log)
    end)
    assert.same({ 1, 2, 3 }, log, "more than the limit goes alone")
    assert.equal(0, r.used)
  end)

  it("one who gives up lets in those behind", function()
    local r, got = room.new(tasks, 10), false
    iu.run(function()
      assert(r:take(6))
      iu.spawn(function() assert.is_nil((r:take(9, 0.01))) end)
      iu.spawn(function() got = r:take(2) end)
      iu.sleep(0.05)
    end)
    assert.is_true(got)
    assert.equal(8, r.used)
  end)

  it("has a bound of those who wait, and an end", function()
    local r, refused = room.new(tasks, 1, { waiting_max = 2, what = "here" }), {}
    iu.run(function()
      assert(r:take(1))
      for i = 1, 3 do iu.spawn(function() refused[i] = select(2, r:take(1)) end) end
      iu.sleep(0)
      iu.sleep(0)
      assert.is_true(errors.is(refused[3], "OverloadedError"))
      assert.truthy(refused[3].message:find("here: 2 wait", 1, true))
      r:close(errors.new("ConnectionError", "over"))
    end)
    assert.same({ "over", "over" }, { refused[1].message, refused[2].message })
    assert.equal("over", select(2, r:take(1)).message)
    assert.is_false(r:try(1))
    r:give(1)
    assert.same({ 0, 0 }, { r.used, r.waiting })
  end)
end)
