-- A connection: the core's positional methods with waiting, checks, handlers and order of closing. `connection.new(core_conn, options)`
-- wraps an open core connection (taken).
--
-- Layout: the public object holds `inner` under a private key; inner = { core, state, owner, ... }. What the core calls reaches only
-- `state`, weakly: a connection of which the program holds nothing (no table, handle or subscription either) can be collected, and
-- closes then. `inner.core` is nil once closed.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local finalizer = require("inner_universe.finalizer")
local check = require("inner_universe.check")
local suggest = require("inner_universe.suggest")
local tables = require("inner_universe.tables")
local selection = require("inner_universe.selection")
local subscription = require("inner_universe.subscription")

local connection = {}
local tasks = runtime.tasks

local DEFAULT_TIMEOUT = 30 -- seconds a call waits for its answer
local INNER = {} -- key of the private part

---@class inner_universe.Connection
---@field tables table<string, inner_universe.Table>
local Connection = {}

local function closed()
  error("connection is closed", 3)
end

local function closed_error()
  return errors.new("ConnectionError", "the connection was closed before the answer came", { code = "CLOSED", retryable = false })
end

-- what the core calls ------------------------------------------------------------------------------------------------

local function deliver_row(state, name, kind, new, old, event)
  local by_kind = state.lists[name]
  local list = by_kind and by_kind[kind]
  if not list then return end
  if kind == "insert" then
    list:emit(new, event)
  elseif kind == "update" then
    list:emit(new, old, event)
  else
    list:emit(old, event)
  end
end

local function deliver_answer(state, id, err, value)
  local waiter = state.pending[id]
  state.pending[id] = nil
  if waiter then
    tasks.hold(-1)
    if waiter.answered then
      waiter.answered(err)
    elseif err then
      waiter:resolve(nil, err)
    else
      waiter:resolve(value == nil and true or value)
    end
  else
    state.early[id] = { err = err, value = value }
  end
end

local function fail_pending(state)
  for id, waiter in pairs(state.pending) do
    state.pending[id] = nil
    tasks.hold(-1)
    if waiter.answered then
      waiter.answered(closed_error())
    else
      waiter:resolve(nil, closed_error())
    end
  end
end

-- From here on the connection is closed for the program: handlers and subscriptions end, methods raise.
local function retire(inner, err)
  inner.core = nil
  inner.ending = tasks.waiter()
  subscription.end_all(inner.state, err)
  for _, by_kind in pairs(inner.state.lists) do
    for _, list in pairs(by_kind) do
      list:clear()
    end
  end
end

-- Closed from below: a session by the close of its universe. The core's object is released when it is collected.
local function deliver_closed(state, err)
  local inner = state.inner
  if not inner.core then return end
  retire(inner, err or closed_error())
  fail_pending(state)
  inner.ending:resolve(true)
end

local function listen(core_conn, state)
  local weak = setmetatable({ state = state }, { __mode = "v" })
  local function weakly(fn)
    return function(...)
      local present = weak.state
      if present then return fn(present, ...) end
    end
  end
  core_conn:listen({
    row = weakly(deliver_row),
    subscription = weakly(subscription.deliver),
    answer = weakly(deliver_answer),
    closed = weakly(deliver_closed),
  })
end

-- waiting for answers ------------------------------------------------------------------------------------------------

-- The answer of a pending request; raises (level as in error) where nothing may wait: the request itself has been made.
local function await(inner, id, what, timeout, level)
  local state = inner.state
  local early = state.early[id]
  if early then
    state.early[id] = nil
    if early.err then return nil, early.err end
    return early.value == nil and true or early.value
  end
  local waiter = tasks.waiter()
  state.pending[id] = waiter
  tasks.hold(1)
  local value, err = tasks.wait(waiter, timeout, level + 1, what)
  return value, err
end

-- Always tail called.
local function fold_answer(inner, ok, id_or_err, what, timeout)
  if ok then return ok end
  if ok == nil then return nil, id_or_err end
  local value, err = await(inner, id_or_err, what, timeout, 2)
  return value, err
end

-- methods ------------------------------------------------------------------------------------------------------------

---Calls a reducer and waits for its end when the backend must.
---@param reducer string
---@return true?, inner_universe.Error?
function Connection:call(reducer, ...)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  if type(reducer) ~= "string" then check.type(reducer, "string", 1, "call", "reducer") end
  local ok, err = core:call(reducer, ...)
  if ok then return true end
  if ok == nil then return nil, err end
  ok, err = await(inner, err, reducer, inner.timeout, 2)
  if ok == nil then return nil, err end
  return true
end

---Calls a reducer without waiting. A refusal known at once is returned, a later one goes to the error handler.
---@param reducer string
---@return true?, inner_universe.Error?
function Connection:send(reducer, ...)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  if type(reducer) ~= "string" then check.type(reducer, "string", 1, "send", "reducer") end
  local ok, id = core:call(reducer, ...)
  if ok then return true end
  if ok == nil then return nil, id end
  local state = inner.state
  local early = state.early[id]
  if early then
    state.early[id] = nil
    if early.err then return nil, early.err end
    return true
  end
  tasks.hold(1)
  state.pending[id] = {
    answered = function(err)
      if err then runtime.report(err, "answer to send " .. reducer) end
    end,
  }
  return true
end

local SUBSCRIBE_OPTIONS = { on_applied = true, on_error = true }

---Subscribes to queries, applied together. `on_applied(subscription)`, `on_error(err)`.
---@param queries string|string[]
---@param options? { on_applied?: function, on_error?: function }
---@return inner_universe.Subscription?, inner_universe.Error?
function Connection:subscribe(queries, options)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  if type(queries) == "string" then queries = { queries } end
  check.type(queries, "table", 1, "subscribe", "queries")
  check.optional(options, "table", 2, "subscribe", "options")
  options = options or {}
  for key in pairs(options) do
    if not SUBSCRIBE_OPTIONS[key] then
      return nil, errors.new("ValidationError", ("subscribe: unknown option '%s'%s"):format(tostring(key),
        suggest.hint(tostring(key), SUBSCRIBE_OPTIONS)))
    end
  end
  check.optional(options.on_applied, "callable", 2, "subscribe", "options.on_applied")
  check.optional(options.on_error, "callable", 2, "subscribe", "options.on_error")
  for i = 1, math.max(#queries, 1) do
    if type(queries[i]) ~= "string" then
      return nil, errors.new("ValidationError", ("subscribe: queries[%d]: text expected, got %s"):format(i, type(queries[i])))
    end
  end
  local id, err = core:subscribe(queries)
  if not id then return nil, err end
  return subscription.new(inner, id, options)
end

---Rows of a one-off query over the latest committed state.
---@param sql string
---@return table[]?, inner_universe.Error?
function Connection:query(sql)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(sql, "string", 1, "query", "sql")
  local rows, err = core:query(sql)
  return fold_answer(inner, rows, err, "query", inner.timeout)
end

---Rows by filters, and how many matched before offset and limit.
---@param name string
---@param spec? table { filters = { { field, operator, value } }, order_by, descending, limit, offset }
---@return table[]?, any matched the number, or an err
function Connection:select(name, spec)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "select", "table")
  check.optional(spec, "table", 2, "select", "spec")
  local prepared, err = selection.prepare(spec or {}, runtime.core.json_encode)
  if not prepared then return nil, err end
  return core:select(name, prepared)
end

---The row with that primary key in the latest committed state; nil (and no err) when there is none.
---@param name string
---@param key any
---@return table?, inner_universe.Error?
function Connection:get(name, key)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(name, "string", 1, "get", "table")
  if key == nil then error("bad argument #2 to 'get' (key: a value expected, got nil)", 2) end
  local row, err = core:get(name, key)
  if row then return row end
  if row == nil then return nil, errors.is(err) and err or nil end
  local rows
  rows, err = await(inner, err, "get", inner.timeout, 2)
  if not rows then return nil, err end
  return type(rows) == "table" and rows[1] or nil
end

---Waits until everything before it is on disk.
---@param timeout? number seconds; without it there is no limit
---@return true?, inner_universe.Error?
function Connection:flush(timeout)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.optional(timeout, "number", 1, "flush", "timeout")
  local ok, err = core:flush()
  return fold_answer(inner, ok, err, "flush", timeout)
end

---Folds the journal into the tables of the file. Blocks.
---@param timeout? number seconds
---@return true?, inner_universe.Error?
function Connection:fold(timeout)
  local core = self[INNER].core
  if not core then closed() end
  check.optional(timeout, "number", 1, "fold", "timeout")
  return core:fold(timeout)
end

---Runs callbacks that are queued; true when some are left. No-op inside a callback.
---@return boolean more
function Connection:deliver()
  local core = self[INNER].core
  if not core then closed() end
  return core:deliver()
end

---Another connection of the same universe, with its own identity, subscriptions and view.
---@param options? { identity?: string } identity: 64 hex digits
---@return inner_universe.Connection?, inner_universe.Error?
function Connection:session(options)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.optional(options, "table", 1, "session", "options")
  options = options or {}
  for key in pairs(options) do
    if key ~= "identity" then
      return nil, errors.new("ValidationError", ("session: unknown option '%s'%s"):format(tostring(key),
        suggest.hint(tostring(key), { "identity" })))
    end
  end
  check.optional(options.identity, "string", 1, "session", "options.identity")
  local other, err = core:session(options.identity)
  if not other then return nil, err end
  return connection.new(other, { target = inner.target, timeout = inner.timeout, parent = self })
end

-- Simple questions, answered by the core.
for _, name in ipairs({ "identity", "connection_id", "is_owner", "schema", "status" }) do
  Connection[name] = function(self)
    local core = self[INNER].core
    if not core then closed() end
    return (core[name](core))
  end
end

---@return boolean
function Connection:is_closed()
  local core = self[INNER].core
  return core == nil or core:is_closed()
end

-- closing ------------------------------------------------------------------------------------------------------------

-- In a task the journal is awaited first, so that the close itself has nothing to block on. Cancelled meanwhile: it blocks.
local function close_core(inner, core, in_gc)
  local ok, err
  local finish <close> = setmetatable({}, {
    __close = function()
      ok, err = core:close()
      fail_pending(inner.state)
      inner.ending:resolve(ok, err)
    end,
  })
  if finish and not in_gc and tasks.mode() == "task" then
    local done, id = core:flush()
    if done == false then await(inner, id, "close", nil, 1) end
  end
end

-- Idempotent; who comes while another one closes waits for it where that is possible.
local function close(inner, in_gc)
  local core = inner.core
  if core then
    retire(inner, nil)
    close_core(inner, core, in_gc)
  elseif in_gc or not inner.ending:is_resolved() and not tasks.can_wait() then
    return true
  end
  local ok, err = inner.ending:wait()
  if ok == nil and core then return nil, err end
  return true
end

---Ends handlers and subscriptions, writes what is not yet written, closes. Idempotent; err says what was not saved.
---@return true?, inner_universe.Error?
function Connection:close()
  return close(self[INNER], false)
end

local metatable = {
  __name = "inner_universe.Connection",
  __index = Connection,
  __newindex = function(_, key)
    error(("a connection is read-only (field '%s')"):format(tostring(key)), 2)
  end,
  __close = function(self)
    close(self[INNER], false)
  end,
  __gc = function(self)
    local inner = rawget(self, INNER)
    if inner and inner.core and finalizer.may_close(self) then close(inner, true) end
  end,
  __tostring = function(self)
    local inner = self[INNER]
    return ("connection to %s%s"):format(inner.target, inner.core and "" or " (closed)")
  end,
}

---@param core_conn table taken
---@param options { target: string, timeout?: number, parent?: inner_universe.Connection }
---@return inner_universe.Connection
function connection.new(core_conn, options)
  local state = { lists = {}, pending = {}, early = {}, subscriptions = {}, early_subscriptions = {} }
  local inner = {
    core = core_conn,
    state = state,
    target = options.target,
    timeout = options.timeout or DEFAULT_TIMEOUT,
    parent = options.parent, -- closing it closes its sessions: it lives while one of them does
    call_handler = tasks.call,
  }
  state.inner = inner
  listen(core_conn, state)
  inner.owner = setmetatable({ [INNER] = inner, tables = tables.new(inner) }, metatable)
  return inner.owner
end

---Closes as __gc does: blocks on the journal, yields never.
---@param conn inner_universe.Connection
function connection.close_in_gc(conn)
  return close(conn[INNER], true)
end

return connection
