-- What one Lua state has once: the core, the scheduler, the log, the error handler. Wires the core to them on first require; every other
-- module that needs one of these takes it from here.

local core = require("inner_universe.core")
local errors = require("inner_universe.errors")
local log = require("inner_universe.log")
local tasks = require("inner_universe.tasks")

local runtime = { core = core, log = log.new() }

local handler -- of errors nobody waits for
local core_level = "info"

local function to_nobody(err, context)
  local message = tostring(err)
  if context and context ~= message then message = ("%s\n%s"):format(message, context) end
  if runtime.log.has_sink() then
    runtime.log.write("error", message, "unhandled")
  else
    warn("inner_universe: unhandled: ", message) -- silent unless the program turned warnings on
  end
end

---An error that nobody waits for. Never raises.
---@param raised any
---@param context? string a traceback, or where it happened
function runtime.report(raised, context)
  local err = errors.from(raised)
  if not handler then return to_nobody(err, context) end
  local ok, why = pcall(handler, err, context)
  if not ok then to_nobody(errors.wrap("PersistenceError", "the error handler raised", why), tostring(err)) end
end

---Sets the handler of errors nobody waits for: `fn(err, context)`; nil: they are logged. Returns the one before.
---@param fn? fun(err: inner_universe.Error, context: string?)
---@return function? previous
function runtime.on_error(fn)
  if fn ~= nil and type(fn) ~= "function" then
    error(("bad argument #1 to 'on_error' (function or nil expected, got %s)"):format(type(fn)), 2)
  end
  local previous = handler
  handler = fn
  return previous
end

local function wire_core_log()
  if runtime.log.has_sink() and core_level ~= "off" then
    core.set_log(function(level, message)
      runtime.log.write(level, message, "core")
    end, core_level)
  else
    core.set_log(nil, "error")
  end
end

---See log.set_sink; the core's messages come too.
function runtime.set_sink(fn)
  if fn ~= nil and type(fn) ~= "function" then
    error(("bad argument #1 to 'set_sink' (function or nil expected, got %s)"):format(type(fn)), 2)
  end
  local previous = runtime.log.set_sink(fn)
  wire_core_log()
  return previous
end

---What the core still says: the level of the universe opened last.
---@param level inner_universe.Level
function runtime.set_core_level(level)
  core_level = level
  wire_core_log()
end

core.set_error_metatable(errors.metatable)
core.set_error_handler(function(message, value)
  runtime.report(value == nil and message or value, message)
end)

-- What the scheduler uses of the core, in a table of its own: fake_clock.lua puts another time there.
runtime.loop = {}
for _, name in ipairs({
  "loop_turn", "loop_turning", "loop_ready", "set_deadline", "timer", "alarm", "mono", "may_yield", "in_reducer",
}) do
  runtime.loop[name] = core[name]
end

function runtime.loop.set_alarm(fn)
  runtime.loop.on_alarm = fn
  core.set_alarm(fn)
end

---Seconds of a clock that only goes forward; a test's, where it has the time in its hands.
---@return number
function runtime.mono()
  return runtime.loop.mono()
end

runtime.tasks = tasks.new(runtime.loop, runtime.report)
function runtime.tasks.has_handler()
  return handler ~= nil
end

return runtime
