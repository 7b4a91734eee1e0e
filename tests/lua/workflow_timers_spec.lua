-- The clock of workflows: what was put on it comes up in order, at its time or before, never later.

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

describe("the clock of workflows", function()
  local make = assert(loadfile("plugins/workflow/timers.lua"))()

  it("gives each run once, the earliest time that it was set to counts", function()
    print("# workflow_timers_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local timers, model, now = make(), {}, 0
    for _ = 1, 20000 do
      if math.random(3) > 1 then
        local uid, time = "run " .. math.random(40), now + math.random(100)
        assert.equal(model[uid] == nil or time < model[uid], timers.set(uid, time))
        model[uid] = math.min(model[uid] or time, time)
      else
        now = now + math.random(20)
        local last, uid = 0, timers.take(now)
        while uid do
          assert.is_true(model[uid] <= now and model[uid] >= last, uid)
          last, model[uid] = model[uid], nil
          uid = timers.take(now)
        end
        for each, time in pairs(model) do assert.is_true(time > now, each) end
      end
      local least
      for _, time in pairs(model) do least = math.min(least or time, time) end
      assert.is_true(least == nil or timers.next() <= least)
    end
  end)

  it("is empty when all has come up", function()
    local timers = make()
    assert.is_nil(timers.next())
    assert.is_nil(timers.take(1))
    assert.is_true(timers.set("a", 5))
    assert.is_false(timers.set("a", 6))
    assert.is_true(timers.set("a", 4))
    assert.is_nil(timers.take(3))
    assert.equal("a", timers.take(10))
    assert.is_nil(timers.take(10))
    assert.is_nil(timers.next())
  end)
end)
