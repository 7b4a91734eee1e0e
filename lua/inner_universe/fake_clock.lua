-- A clock in the hands of a test: the scheduler's timers, `iu.now` and the time of transactions follow it, and it stands still while something runs.
--
-- With `auto` it goes on by itself to whatever is due next when there is nothing else to do: sleeping takes no time. Without, only `advance` moves it.
-- What the operating system does (files, servers, other programs) takes its real time: while such a thing is under way, it is waited for in real
-- time, at least GRACE, before the clock goes on; while an answer is owed by a universe or a server, for as long as it takes.
--
-- One at a time per Lua state. `restore` gives the real time back; timeouts that run meanwhile go on with what was left of them.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")

local fake_clock = {}

local core, loop, tasks = runtime.core, runtime.loop, runtime.tasks

local START = 1704067200000000 -- 2024-01-01
local GRACE = 0.02             -- seconds of real time that things under way get before time goes on
local PAUSE = 0.002            -- seconds of real time between two looks at them
local REPLACED = { "loop_turn", "loop_ready", "timer", "alarm" } -- beside mono
local OPTIONS = { auto = "boolean", now = "integer" }

local present -- the clock that is in use

---@class inner_universe.FakeClock
local Clock = { __name = "inner_universe.FakeClock" }
Clock.__index = Clock

local function before(a, b)
  if a.at ~= b.at then return a.at < b.at end
  return a.order < b.order
end

-- The timer that is due first, or nil.
local function earliest(clock)
  local found
  for timer in pairs(clock.timers) do
    if not found or before(timer, found) then found = timer end
  end
  return found
end

local function arm(clock, seconds, fn)
  clock.order = clock.order + 1
  local timer = { at = clock.time + math.max(seconds, 0), order = clock.order, fn = fn }
  clock.timers[timer] = true
  function timer.close()
    clock.timers[timer] = nil
    if timer.real then timer.real:close() end
  end
  return timer
end

local function go_to(clock, time)
  clock.time = time
  core.pin_clock(clock.began + math.floor((time - clock.began_mono) * 1e6 + 0.5))
end

-- Runs what is due now. True when something was.
local function fire(clock)
  local timer, fired = earliest(clock), false
  while timer and timer.at <= clock.time do
    clock.timers[timer] = nil
    fired = true
    timer.fn()
    timer = earliest(clock)
  end
  return fired
end

-- How far it may go on now.
local function limit_of(clock)
  local limit = clock.auto and math.huge or -math.huge
  for _, goal in pairs(clock.goals) do limit = math.max(limit, goal) end
  return limit
end

-- One turn of the loop.
local function turn(clock, wait)
  local under_way = core.loop_turn(0)
  if fire(clock) or tasks.is_ready() or wait == 0 then return under_way or next(clock.timers) ~= nil end
  if tasks.owed() > 0 then
    core.loop_turn(wait or PAUSE)
    return true
  end
  if under_way and clock.waited < GRACE then
    local began = core.mono()
    core.loop_turn(PAUSE)
    clock.waited = clock.waited + core.mono() - began
    if tasks.is_ready() then clock.waited = 0 end
    return true
  end
  local timer = earliest(clock)
  if timer and timer.at <= limit_of(clock) then
    clock.waited = 0
    go_to(clock, timer.at)
    fire(clock)
    return true
  end
  if under_way then
    core.loop_turn(wait)
    return true
  end
  return false -- what waits for a later time waits for `advance`, and nobody is left to call it
end

local function take_over(clock)
  local alarm
  loop.own_time = true
  function loop.mono() return clock.time end
  function loop.timer(seconds, fn) return arm(clock, seconds, fn) end
  function loop.alarm(seconds)
    if alarm then alarm.close() end
    alarm = seconds and arm(clock, seconds, loop.on_alarm)
  end
  function loop.loop_turn(wait) return turn(clock, wait) end
  function loop.loop_ready()
    local timer = earliest(clock)
    return timer ~= nil and timer.at <= clock.time or core.loop_ready()
  end
  core.alarm()
  tasks.set_alarm_again()
end

---Moves the time on, and lets everything happen that is due until then, in its order. Like `iu.sleep`, it waits.
---@param seconds number
function Clock:advance(seconds)
  check.type(seconds, "number", 1, "advance", "seconds")
  if present ~= self then error("the clock is not in use any more", 2) end
  if not (seconds >= 0 and seconds < 1e9) then error(("seconds: expected 0 or more, got %s"):format(seconds), 2) end
  local goal <close> = setmetatable({}, { __close = function(goal) self.goals[goal] = nil end })
  self.goals[goal] = self.time + seconds
  tasks.sleep(seconds)
  return self:now()
end

---Microseconds since the epoch, what iu.now says.
---@return integer
function Clock:now()
  return core.now()
end

---Gives the real time back. Idempotent.
function Clock:restore()
  if present ~= self then return end
  present = nil
  local left = self.timers
  self.timers = {}
  local offset = self.time - core.mono()
  for _, name in ipairs(REPLACED) do loop[name] = core[name] end
  function loop.mono() return core.mono() + offset end -- what waits has its time by this clock
  core.pin_clock(nil)
  for timer in pairs(left) do
    if timer.fn ~= loop.on_alarm then timer.real = core.timer(math.max(timer.at - self.time, 0), timer.fn) end
  end
  tasks.set_alarm_again()
end

Clock.__close = Clock.restore

---Takes the time into a test's hands.
---@param options? { auto?: boolean, now?: integer } auto [true]: goes on by itself when there is nothing else to do; now: microseconds since the epoch [2024]
---@return inner_universe.FakeClock? clock
---@return inner_universe.Error? err ValidationError; ConflictError while there is one
function fake_clock.new(options)
  options = options or {}
  local ok, err = check.options("fake_clock", options, OPTIONS)
  if not ok then return nil, err end
  if present then return nil, errors.new("ConflictError", "fake_clock: there is one already; restore() gives the real time back") end
  local clock = setmetatable({
    time = loop.mono(), order = 0, timers = {}, waited = 0, began = options.now or START, auto = options.auto ~= false, goals = {},
  }, Clock)
  clock.began_mono = clock.time
  present = clock
  core.pin_clock(clock.began)
  take_over(clock)
  return clock
end

return fake_clock
