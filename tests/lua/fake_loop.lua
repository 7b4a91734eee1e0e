-- A loop without a core, for specs of the scheduler: time passes only when the loop waits. `fake_loop.new()` has the functions that the
-- scheduler uses (loop_turn, loop_turning, set_deadline, timer, set_alarm, alarm, mono) and `post(fn)`, which runs fn at the next turn.

local fake_loop = {}

function fake_loop.new()
  local loop = { now = 0, timers = {}, posted = {}, turns = 0 }
  local turning = false

  function loop.mono()
    return loop.now
  end

  function loop.loop_turning()
    return turning
  end

  function loop.set_deadline(seconds)
    loop.deadline = seconds
  end

  function loop.timer(seconds, fn)
    local timer = { at = loop.now + seconds, fn = fn }
    loop.timers[timer] = true
    function timer.close()
      loop.timers[timer] = nil
    end
    return timer
  end

  function loop.set_alarm(fn)
    loop.on_alarm = fn
  end

  function loop.alarm(seconds)
    if loop.alarm_timer then loop.alarm_timer.close() end
    loop.alarm_timer = seconds and loop.timer(seconds, function() loop.on_alarm() end)
  end

  function loop.post(fn)
    loop.posted[#loop.posted + 1] = fn
  end

  function loop.armed()
    local count = 0
    for _ in pairs(loop.timers) do
      count = count + 1
    end
    return count
  end

  local function earliest()
    local first
    for timer in pairs(loop.timers) do
      if not first or timer.at < first.at then first = timer end
    end
    return first
  end

  function loop.loop_turn(wait)
    assert(not turning, "already turning")
    turning = true
    loop.turns = loop.turns + 1
    local posted = loop.posted
    loop.posted = {}
    for _, fn in ipairs(posted) do
      fn()
    end
    local first = earliest()
    if #posted == 0 and first and first.at > loop.now then
      loop.now = math.min(first.at, wait and loop.now + wait or math.huge)
    end
    while first and first.at <= loop.now do
      loop.timers[first] = nil
      first.fn()
      first = earliest()
    end
    turning = false
    return #loop.posted > 0 or next(loop.timers) ~= nil
  end

  return loop
end

return fake_loop
