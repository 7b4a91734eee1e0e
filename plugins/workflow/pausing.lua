-- pausing.lua: how a run's own task waits, and how it is left from inside.
--
-- Leaving kills the task at its wait: what the user's function has to be closed is closed, and no pcall of his can hold it up. `run.ending` says why:
--   { what = "park", wake_at, waiting_for }    waits for long: gives its place up, and is taken up again
--   { what = "cancel" }                        somebody wishes so; what has finished is compensated
--   { what = "replayed" }                      all that is recorded was gone through, and nothing new may run (compensation)
--   { what = "stuck", err }                    the code is not the one that made the records
--   { what = "lost", err }, { what = "stop" }  not this process's any more

local iu = require "inner_universe"

local FOREVER = 1e8 -- seconds; the task is killed in it
local SLICE = 60 -- seconds between two looks at the clock, which may be set meanwhile
local BRIEF = 0.05 -- seconds that are waited in any case while others want the place

---@param env { ctx: table, board: table, config: table, crowded: fun(): boolean }
return function(env)
  local ctx, board = env.ctx, env.board
  local pausing = {}

  --- Does not return. Only in the run's own coroutine.
  function pausing.leave(run, ending)
    run.ending = run.ending or ending
    run.task:cancel()
    iu.sleep(FOREVER)
  end

  --- Leaves a run that somebody wishes to cancel. Not while it compensates.
  function pausing.heed(run)
    if run.ending then pausing.leave(run) end
    if run.state.status ~= "compensating" and board.is_cancelled(run.uid) then pausing.leave(run, { what = "cancel" }) end
  end

  --- Waits until that time (microseconds; nil: for ever) or until `found()` gives something, which is the result. Parks the run where that is long.
  ---@param found? fun(): any
  ---@param waiting_for? string the signal's name, for those who look
  function pausing.pause(run, wake_at, found, waiting_for)
    local patience = ctx.clock() + env.config.park_after
    local brief = ctx.clock() + BRIEF
    while true do
      pausing.heed(run)
      local result = found and found()
      if result then return result end
      local left = wake_at and (wake_at - iu.now()) / 1e6 or FOREVER
      if left <= 0 then return nil end
      local clock = ctx.clock()
      if wake_at and clock + left > patience or clock >= patience or env.crowded() and clock >= brief then
        pausing.leave(run, { what = "park", wake_at = wake_at, waiting_for = waiting_for })
      end
      run.nudge = ctx.waiter()
      run.nudge:wait(math.min(left, math.max(patience - clock, 0), SLICE, env.crowded() and BRIEF or SLICE))
      run.nudge = nil
    end
  end

  --- Has a run that waits look again.
  function pausing.nudge(run)
    if run.nudge then run.nudge:resolve() end
  end

  return pausing
end
