-- `conn:sql`: SQLite's SQL over the file of an embedded universe, read-only, on another thread. The journal is folded first, so that the tables are what was
-- committed before the call; what is committed later does not show.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local work = require("inner_universe.work")

local report = {}

local OPTIONS = { iterate = "boolean", arrays = "boolean", max_rows = "integer", max_bytes = "integer", timeout = "number" }
local MAX_ROWS = 100000 -- of an answer that is not iterated over
local MAX_BYTES = 256 * 1024 * 1024
local TIMEOUT = 30 -- seconds

local function invalid(format, ...)
  return errors.new("ValidationError", format:format(...))
end

---The file that can be asked, or nil, err.
---@param core table of an open connection
---@param what string the method
---@return string?, inner_universe.Error?
function report.file(core, what)
  local path, err = core:file()
  if path then
    if core:is_owner() then return path end
    return nil, errors.new("AuthorizationError", what .. ": the file holds private tables too: the owner's only")
  end
  local sql = what == "sql"
  if err then
    return nil, invalid("%s: for the file of an embedded universe%s", what, sql and "; a server is asked with iu.server(...):sql(database, text)"
      or "; a server keeps its own")
  end
  return nil, invalid("%s: a memory: universe has no file%s", what, sql and "; conn:query and manager:query_entities ask it" or "")
end

-- What is left of the time, counted down while the program waits: what it does between two rows is its own.
local function timed(state, fn, ...)
  local began = runtime.core.mono()
  local results = table.pack(fn(...))
  state.left = state.left - (runtime.core.mono() - began)
  return table.unpack(results, 1, results.n)
end

local function late(state)
  return errors.new("TimeoutError", ("sql: not done within %g s (option timeout)"):format(state.timeout))
end

local function duplicate(columns)
  local seen = {}
  for _, name in ipairs(columns) do
    if seen[name] then return name end
    seen[name] = true
  end
end

local function check_batch(state, batch, columns, bytes)
  if not state.columns then
    state.columns = columns
    local name = not state.arrays and duplicate(columns)
    if name then return invalid("sql: two columns are called `%s`: name one of them with AS, or ask for arrays = true", name) end
  end
  state.rows, state.bytes = state.rows + #batch, state.bytes + bytes
  if state.max_rows and state.rows > state.max_rows then
    return errors.new("OverloadedError", ("sql: more than %d rows (option max_rows; iterate = true has no limit)"):format(state.max_rows),
      { retryable = false })
  end
  if state.max_bytes and state.bytes > state.max_bytes then
    return errors.new("OverloadedError", ("sql: more than %d bytes (option max_bytes; iterate = true has no limit)"):format(state.max_bytes),
      { retryable = false })
  end
end

-- The next batch: rows, last; or nil, err. The job is closed after the last one.
local function next_batch(state)
  local job = state.job
  if state.left <= 0 then
    work.close(job)
    return nil, late(state)
  end
  local err, batch, last, columns, bytes = timed(state, work.step, job, state.left, "sql")
  if err then return nil, errors.is(err, "TimeoutError") and late(state) or err end
  err = check_batch(state, batch, columns, bytes)
  if err or last then work.close(job) end
  if err then return nil, err end
  return batch, last
end

local function all_rows(state)
  local guard <close> = setmetatable({}, { __close = function() work.close(state.job) end }) -- cancelled
  local rows = {}
  while guard do
    local batch, last = next_batch(state)
    if not batch then return nil, last end
    table.move(batch, 1, #batch, #rows + 1, rows)
    if last then return rows, state.columns end
  end
end

-- cursors ------------------------------------------------------------------------------------------------------------

---@class inner_universe.SqlCursor
---@field columns string[]
local Cursor = { __name = "inner_universe.SqlCursor" }
Cursor.__index = Cursor

---The next row; nil at the end; nil, err.
---@return table? row, inner_universe.Error? err
function Cursor:next()
  local at = self.at + 1
  while self.batch and at > #self.batch do
    local batch, last
    if self.last then
      self.batch = nil
      return nil
    elseif self.state.job.core then
      batch, last = next_batch(self.state)
    else
      last = errors.new("ConnectionError", "sql: the connection was closed", { code = "CLOSED", retryable = false })
    end
    if not batch then self.err = last end
    self.batch, self.last, at = batch, last, 1
  end
  if not self.batch then return nil, self.err end
  self.at = at
  return self.batch[at]
end

---Ends the query; idempotent.
function Cursor:close()
  work.close(self.state.job)
  self.batch = nil
end

-- In a `for` there is nobody to take an err: it is raised.
function Cursor:__call()
  local row, err = self:next()
  if err then error(err, 0) end
  return row
end

Cursor.__close = Cursor.close
Cursor.__gc = Cursor.close

local function cursor(state)
  local batch, last = next_batch(state)
  if not batch then return nil, last end
  local self = setmetatable({ state = state, batch = batch, last = last, at = 0, columns = state.columns }, Cursor)
  return self, nil, nil, self
end

-- ------------------------------------------------------------------------------------------------------------------

---@param inner table of the connection
---@param fold fun(timeout: number): any, any
---@param text string
---@param params? table
---@param options? table
function report.sql(inner, fold, text, params, options)
  options = options or {}
  local ok, err = check.options("sql", options, OPTIONS)
  if not ok then return nil, err end
  local path
  path, err = report.file(inner.core, "sql")
  if not path then return nil, err end
  local timeout = options.timeout or TIMEOUT
  local state = { timeout = timeout, left = timeout, arrays = options.arrays, rows = 0, bytes = 0, max_rows = options.max_rows, max_bytes = options.max_bytes }
  if not options.iterate then
    state.max_rows, state.max_bytes = state.max_rows or MAX_ROWS, state.max_bytes or MAX_BYTES
  end
  local core_work
  core_work, err = runtime.core.report(path, text, params, options.arrays)
  if not core_work then return nil, err end
  ok, err = timed(state, fold, timeout)
  if not ok then
    core_work:close()
    return nil, errors.is(err, "TimeoutError") and late(state) or err
  end
  state.job = work.new(inner, core_work)
  if options.iterate then return cursor(state) end
  return all_rows(state)
end

return report
