-- process.lua: other programs for plugins (`ctx.process`): start one, run one to its end, ask for and signal any. The core's `process` does the work.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")

local process = {}

local tasks = runtime.tasks
local SIGNALS = { HUP = 1, INT = 2, KILL = 9, TERM = 15 } -- the same numbers on every Linux
local OUTPUT_MAX = 1024 * 1024
local RUN_TIMEOUT = 60 -- seconds

local function number_of(signal, method, index)
  local number = SIGNALS[signal]
  if not number then
    error(("bad argument #%d to '%s' (signal: one of HUP, INT, KILL, TERM expected, got '%s')"):format(index, method, tostring(signal)), 3)
  end
  return number
end

---@class inner_universe.ProcessOptions
---@field args string[] the program (a path, or a name that PATH finds) and its arguments
---@field cwd? string folder to start it in
---@field output_file? string what it writes is appended to this file
---@field on_output? fun(bytes: string) or told, as it comes; neither: thrown away
---@field input? boolean its standard input is a pipe that ends with this process, or by close_input [false: empty]
---@field own_session? boolean a terminal's signals are kept from it [false]

---@class inner_universe.Process
---@field pid fun(self): integer
---@field close_input fun(self)
---@field close fun(self) lets it go on; its end is not told any more

---Starts a program. `on_exit(status, signal)` is called once at its end; signal is the number of what ended it, or nil.
---@param options inner_universe.ProcessOptions
---@param on_exit fun(status: integer, signal: integer?)
---@return inner_universe.Process?, inner_universe.Error?
function process.start(options, on_exit)
  check.type(options, "table", 1, "start", "options")
  check.type(on_exit, "function", 2, "start", "on_exit")
  return runtime.core.process(options, on_exit)
end

---Runs a program to its end: { status, signal, output }. After `timeout` seconds [60] it is killed: nil, TimeoutError.
---@param args string[]
---@param options? { cwd?: string, timeout?: number, output_max?: integer } output_max: bytes kept, the last ones [1 MiB]
---@return { status: integer, signal: integer?, output: string }?, inner_universe.Error?
function process.run(args, options)
  check.type(args, "table", 1, "run", "args")
  check.optional(options, "table", 2, "run", "options")
  options = options or {}
  local pieces, bytes, most = {}, 0, options.output_max or OUTPUT_MAX
  local ended = tasks.waiter()
  local child, err = runtime.core.process({
    args = args, cwd = options.cwd,
    on_output = function(piece)
      pieces[#pieces + 1] = piece
      bytes = bytes + #piece
      if bytes > 2 * most then
        pieces = { table.concat(pieces):sub(-most) }
        bytes = #pieces[1]
      end
    end,
  }, function(status, signal) ended:resolve(status, signal) end)
  if not child then return nil, err end
  local guard <close> = child
  local what = tostring(args[1])
  local status, signal = tasks.wait(ended, options.timeout or RUN_TIMEOUT, 2, what)
  if math.type(status) ~= "integer" then
    guard:signal(SIGNALS.KILL)
    return nil, signal -- here the reason
  end
  return { status = status, signal = signal, output = table.concat(pieces):sub(-most) }
end

---Whether a process of that number exists.
---@param pid integer
---@return boolean
function process.exists(pid)
  check.type(pid, "integer", 1, "exists", "pid")
  local exists, err = runtime.core.kill(pid, 0)
  return exists == true or (err ~= nil and err.kind == "AuthorizationError")
end

---Sends "INT", "TERM", "KILL" or "HUP". False when there is no such process.
---@param pid integer
---@param signal string
---@return boolean?, inner_universe.Error?
function process.signal(pid, signal)
  check.type(pid, "integer", 1, "signal", "pid")
  return runtime.core.kill(pid, number_of(signal, "signal", 2))
end

---Counts a signal of this process ("INT", "TERM", "HUP") instead of obeying it, until the watch is closed: `watch:count()` says how often it came, as far as
---the loop has turned since; closing gives the signal back to whoever had it before.
---@param signal string
---@return { count: fun(self): integer, close: fun(self) }?, inner_universe.Error?
function process.watch(signal)
  return runtime.core.signal(number_of(signal, "watch", 1))
end

---This process's number; nil where /proc is not there.
---@return integer?
function process.own_pid()
  local file = io.open("/proc/self/stat", "rb")
  local text = file and file:read("l")
  if file then file:close() end
  return text and math.tointeger(tonumber(text:match("^%d+")))
end

---A text that tells how a program ended.
---@param status integer
---@param signal? integer
---@return string
function process.describe(status, signal)
  if signal then return ("ended by signal %d"):format(signal) end
  return ("ended with status %d"):format(status)
end

return process
