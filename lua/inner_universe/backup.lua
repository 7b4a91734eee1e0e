-- `conn:backup`: a copy of an embedded universe's file while it is in use, made on another thread; and the same of a file that is not open, for the command.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local work = require("inner_universe.work")

local backup = {}

local OPTIONS = { overwrite = "boolean", progress = "callable", timeout = "number" }

local function late(timeout)
  return errors.new("TimeoutError", ("backup: not done within %g s (option timeout)"):format(timeout))
end

-- Slice by slice, until it is complete.
local function copy(inner, core_work, options, left)
  local job = work.new(inner, core_work)
  local guard <close> = setmetatable({}, { __close = function() work.close(job) end }) -- done, cancelled, or progress raised
  local ends = left and runtime.core.mono() + left
  repeat
    local rest = ends and ends - runtime.core.mono()
    if guard and rest and rest <= 0 then return nil, late(options.timeout) end
    local err, complete, done, total = work.step(job, rest, "backup")
    if err then return nil, errors.is(err, "TimeoutError") and late(options.timeout) or err end
    if options.progress then options.progress(done, total) end
    if complete then return true end
  until false
end

---@param inner table of the connection
---@param source string its file
---@param flush fun(timeout?: number): any, any
---@param target string
---@param options table
function backup.run(inner, source, flush, target, options)
  local ok, err = check.options("backup", options, OPTIONS)
  if not ok then return nil, err end
  local began = runtime.core.mono()
  ok, err = flush(options.timeout) -- what is acknowledged by now is in the copy
  if not ok then return nil, errors.is(err, "TimeoutError") and late(options.timeout) or err end
  local core_work
  core_work, err = runtime.core.backup(source, target, options.overwrite)
  if not core_work then return nil, err end
  return copy(inner, core_work, options, options.timeout and options.timeout - (runtime.core.mono() - began))
end

---Of a file that is open nowhere, and cannot be opened meanwhile.
---@param source string
---@param target string
---@param options { overwrite?: boolean, progress?: fun(done: integer, total: integer) }
---@return true?, inner_universe.Error?
function backup.of_file(source, target, options)
  local core_work, err = runtime.core.backup(source, target, options.overwrite, true)
  if not core_work then return nil, err end
  return copy({ jobs = {} }, core_work, options)
end

return backup
