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
local handlers = require("inner_universe.handlers")
local backup = require("inner_universe.backup")
local report = require("inner_universe.report")
local text_search = require("inner_universe.text_search")
local work = require("inner_universe.work")
local modules = require("inner_universe.modules")

local connection = {}
local tasks = runtime.tasks
local answer_of = tasks.answer

local DEFAULT_TIMEOUT = 30 -- seconds a call waits for its answer
local CLOSE_TIMEOUT = 5 -- seconds a close waits for a server to answer what was sent
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

local function deliver_rows(state, next, event)
  handlers.tell(tasks.relay, state.lists, next, event)
end

-- What waits for an answer is filed in `state.pending` as a record with a function `answer(record, err, value, matched)`, which is called once.

local function answer_waiter(waiter, err, value, matched)
  tasks.hold(-1)
  if err then
    waiter:resolve(nil, err)
  elseif waiter.boxed then
    waiter:resolve({ value = value })
  else
    waiter:resolve(value == nil and true or value, matched)
  end
end

local function answer_send(record, err)
  tasks.hold(-1)
  if err then runtime.report(err, "answer to send " .. record.reducer) end
end

local function answer_callback(record, err)
  tasks.hold(-1)
  tasks.call(record.callback, err == nil or nil, err)
end

-- What came before anybody could wait for it.
local function take_early(state, id)
  local early = state.early[id]
  if early then state.early[id] = nil end
  return early
end

-- What a remote connection says of itself; the first good word ends the wait of `connect`.
local function deliver_state(state, what)
  state.now = what
  if what.phase == "connected" then state.opened:resolve(true) end
  if state.states then state.states:emit(what) end
end

local function fail_pending(state)
  for id, record in pairs(state.pending) do
    state.pending[id] = nil
    record:answer(closed_error())
  end
end

-- From here on the connection is closed for the program: handlers and subscriptions end, methods raise.
local function retire(inner, err)
  inner.core = nil
  inner.ending = tasks.waiter()
  work.end_all(inner, err or closed_error())
  subscription.end_all(inner.state, err)
  inner.state.opened:resolve(nil, err or closed_error())
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
    return function(a, b, c, d) -- as many as any of them takes
      local present = weak.state
      if present then return fn(present, a, b, c, d) end
    end
  end
  local function answer(id, err, value, matched) -- the one that is called most
    local present = weak.state
    if not present then return end
    local record = present.pending[id]
    if not record then
      present.early[id] = { err = err, value = value, matched = matched }
      return
    end
    present.pending[id] = nil
    record:answer(err, value, matched)
  end
  local function went_well(first, last)
    local present = weak.state
    if not present then return end
    local pending, id = present.pending, first
    repeat
      id = tasks.answer_run(pending, id, last)
      if id then
        answer(id, nil, true)
        id = id + 1
      end
    until not id or id > last
  end
  core_conn:listen({
    rows = weakly(deliver_rows),
    subscription = weakly(subscription.deliver),
    answer = answer,
    went_well = went_well,
    closed = weakly(deliver_closed),
    state = weakly(deliver_state),
  })
end

-- waiting for answers ------------------------------------------------------------------------------------------------

-- What becomes of a wait that no answer ended: `answered` false: its time is over; nil: no task is running that could wait.
local function unanswered(inner, answered, id, what, timeout, level, boxed)
  local value, err
  if answered == nil then
    local waiter = tasks.waiter()
    waiter.boxed, waiter.answer = boxed, answer_waiter
    inner.state.pending[id] = waiter
    tasks.hold(1)
    value, err = tasks.wait(waiter, timeout, level + 1, what)
    if value ~= nil or waiter:is_resolved() or not errors.is(err, "TimeoutError") then return value, err end
  else
    err = errors.new("TimeoutError", tasks.too_late(what, timeout))
  end
  if not inner.remote then return nil, err end
  return nil, errors.new("TimeoutError", err.message .. "; it was sent, and whether it was applied is unknown", { cause = err })
end

-- The answer of a pending request; raises (level as in error) where nothing may wait: the request itself has been made. `boxed`: the value in a
-- table, for answers that may be nil. An answer that comes after the timeout is dropped.
local function await(inner, id, what, timeout, level, boxed)
  local state = inner.state
  local early = state.early[id] and take_early(state, id)
  if early then
    if early.err then return nil, early.err end
    if boxed then return { value = early.value } end
    return early.value == nil and true or early.value, early.matched
  end
  local answered, err, value, matched = tasks.answer(state.pending, id, timeout)
  if answered then
    if err then return nil, err end
    if boxed then return { value = value } end
    if value == nil then value = true end
    return value, matched
  end
  return unanswered(inner, answered, id, what, timeout, level, boxed)
end

-- Always tail called.
local function fold_answer(inner, ok, id_or_err, what, timeout)
  if ok then return ok end
  if ok == nil then return nil, id_or_err end
  local value, err = await(inner, id_or_err, what, timeout, 2)
  return value, err
end

-- The core refused, with `refusal`. Where that is because the journal is full nothing was run, and `again()` is tried when there is room. Where nothing may
-- wait, and when the connection's timeout is over, the refusal stands.
local function when_there_is_room(inner, what, refusal, again)
  local ends = runtime.core.mono() + inner.timeout
  local ok, err = nil, refusal
  while ok == nil and not inner.remote and errors.is(err, "OverloadedError") and tasks.can_wait() and runtime.core.mono() < ends do
    local room, id = inner.core:room()
    if room == nil then return nil, err end
    if room == false then
      local came, why = await(inner, id, what, inner.timeout, 2)
      if not came then return nil, errors.is(why, "TimeoutError") and err or why end
      if not inner.core then return nil, closed_error() end
    end
    ok, err = again()
  end
  return ok, err
end

-- methods ------------------------------------------------------------------------------------------------------------

-- A server's module may have been published anew with more in it: a name that is not known here is looked for once more in its schema.
local function learns(inner, list, name, err)
  if not inner.remote or not errors.is(err, "ValidationError") or not tasks.can_wait() then return false end
  local core = inner.core
  if core:knows(list, name) then return false end
  local ok, id = core:refresh_schema()
  if ok == false then ok = await(inner, id, "refresh_schema", inner.timeout, 2) end
  return ok and inner.core ~= nil and core:knows(list, name)
end

---Calls a reducer and waits for its end when the backend must. While an embedded universe's journal is full (`pending_bytes_max`) it waits for room; where
---nothing may wait it is an OverloadedError.
---@param reducer string
---@return true?, inner_universe.Error?
function Connection:call(reducer, ...)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  if type(reducer) ~= "string" then check.type(reducer, "string", 1, "call", "reducer") end
  local ok, err, now = inner.core_call(core, reducer, ...)
  if ok then return true end
  if ok == nil then
    if learns(inner, "reducers", reducer, err) then
      ok, err, now = core:call(reducer, ...)
    elseif err.kind == "OverloadedError" then
      local args = table.pack(...)
      ok, err = when_there_is_room(inner, reducer, err, function()
        return inner.core:call(reducer, table.unpack(args, 1, args.n))
      end)
    end
    if ok ~= false then return ok, err end
  end
  local id, state = err, inner.state
  if state.early[id] then
    ok, err = await(inner, id, reducer, inner.timeout, 2)
  else -- as await does it, for the call that is made most
    ok, err = answer_of(state.pending, id, inner.timeout, now)
    if not ok then ok, err = unanswered(inner, ok, id, reducer, inner.timeout, 2) end
  end
  if not ok or err ~= nil then return nil, err end
  return true
end

---As `call`, where arguments of a product type need not be whole: what such a table does not have, or has as null, is taken from
---`defaults` (optional fields are none), and a text whose default is a table is written as the JSON of an object. `nil` alone: refused, and
---nothing happened; `call` with whole arguments says why.
---@param defaults table
---@param reducer string
---@return true?, inner_universe.Error?
function Connection:call_filled(defaults, reducer, ...)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  local ok, err = inner.core_call_filled(core, defaults, reducer, ...)
  if ok == false then
    ok, err = await(inner, err, reducer, inner.timeout, 2)
  elseif err and err.kind == "OverloadedError" then
    return nil -- nothing was run: `call` waits for room
  end
  if ok then return true end
  return nil, err
end

---Operations that one call of a reducer will do, encoded as they are added: elements of the array that is its first parameter.
---`batch:add(defaults, variant, field, ...)` takes the fields of a variant as `call_filled` does, `batch:put(value)` an element; both give
---its number, or nothing when it is refused. `batch:get(number)`: the element, and when it was added; `#batch`; `batch:close()` gives its
---memory back. In the array that is the argument it stands for its elements.
---@param reducer string
---@return inner_universe.Batch?, inner_universe.Error?
function Connection:batch(reducer)
  local core = self[INNER].core
  if not core then closed() end
  check.type(reducer, "string", 1, "batch", "reducer")
  return core:batch(reducer)
end

---Calls a reducer without waiting. A refusal known at once is returned (an OverloadedError while an embedded universe's journal is full), a later one goes
---to the error handler.
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
  local early = take_early(state, id)
  if early then
    if early.err then return nil, early.err end
    return true
  end
  tasks.hold(1)
  state.pending[id] = { answer = answer_send, reducer = reducer }
  return true
end

---Calls a reducer without waiting; `callback(ok, err)` hears its end exactly once: `true`, or `nil` and why. A refusal known at once is returned
---instead, and the callback is not called.
---@param callback fun(ok: true?, err: inner_universe.Error?)
---@param reducer string
---@return true?, inner_universe.Error?
function Connection:call_async(callback, reducer, ...)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(callback, "callable", 1, "call_async", "callback")
  check.type(reducer, "string", 2, "call_async", "reducer")
  local ok, id = core:call(reducer, ...)
  if ok == nil then return nil, id end
  local state = inner.state
  local early = not ok and take_early(state, id)
  if ok or early then
    tasks.spawn_background(callback, early and early.err == nil or ok or nil, early and early.err)
    return true
  end
  tasks.hold(1)
  state.pending[id] = { answer = answer_callback, callback = callback }
  return true
end

---Calls a procedure of a server's module and waits for its value.
---@param name string
---@return any value, inner_universe.Error? err
function Connection:procedure(name, ...)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(name, "string", 1, "procedure", "name")
  local ok, id = core:procedure(name, ...)
  if ok == nil and learns(inner, "procedures", name, id) then ok, id = core:procedure(name, ...) end
  if ok == nil then return nil, id end
  local box, err = await(inner, id, name, inner.timeout, 2, true)
  if not box then return nil, err end
  return box.value
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

-- Over HTTP, after what was sent over the WebSocket before it.
local function query_by_http(inner, sql)
  local core = inner.core
  local status = core:status()
  if status.in_flight + status.waiting > 0 then
    local ok, id = core:flush()
    if ok == false then ok, id = await(inner, id, "query", inner.timeout, 3) end
    if not ok then return nil, id end
    if not inner.core then return nil, closed_error() end
  end
  local rows, err = inner.by_http(core, 3, sql, inner.timeout)
  return rows, err
end

---Rows of a one-off query over the latest committed state.
---@param sql string
---@return table[]?, inner_universe.Error?
function Connection:query(sql)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(sql, "string", 1, "query", "sql")
  if inner.by_http and core:query_is_sql(sql) then
    local found, why = query_by_http(inner, sql)
    return found, why
  end
  local rows, err = core:query(sql)
  return fold_answer(inner, rows, err, "query", inner.timeout)
end

---Rows by filters, and how many matched before offset and limit.
---@param name string
---@param spec? table { filters = { { field, operator, value } }, order_by, descending, limit, offset }
---@return table[]?, any matched the number, or an err
function Connection:select(name, spec)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(name, "string", 1, "select", "table")
  check.optional(spec, "table", 2, "select", "spec")
  local prepared, err = selection.prepare(spec or {}, runtime.core.json_encode)
  if not prepared then return nil, err end
  local rows, matched = core:select(name, prepared)
  if rows == nil and learns(inner, "tables", name, matched) then rows, matched = core:select(name, prepared) end
  if rows ~= false then return rows, matched end
  rows, matched = await(inner, matched, "select", inner.timeout, 2)
  return rows, matched
end

---A row of a table as bytes (BSATN), as `Expect` of the reducer `transact` compares it.
---@param name string
---@param row table
---@return string?, inner_universe.Error?
function Connection:row_bytes(name, row)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "row_bytes", "table")
  check.type(row, "table", 2, "row_bytes", "row")
  return core:row_bytes(name, row)
end

---The row of a table that bytes (BSATN, as `row_bytes` gives them) are; nil and an err where they are none.
---@param name string
---@param bytes string
---@return table?, inner_universe.Error?
function Connection:row_of_bytes(name, bytes)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "row_of_bytes", "table")
  check.type(bytes, "string", 2, "row_of_bytes", "bytes")
  return core:row_of_bytes(name, bytes)
end

---A table as files keep it: a line a column, the primary key, unique constraints, what counts up; types are spelled out, whatever they are called.
---@param name string
---@return string? definition, inner_universe.Error? err
function Connection:definition(name)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "definition", "table")
  return core:definition(name)
end

---Bytes of a row of a table as JSON text, exact (SATS-JSON: fields by name, `{"some":x}`, `{"none":[]}`, `{"Variant":x}`, bytes in hex); a float that is no
---number is null, which `row_of_json` does not read back.
---@param name string
---@param bytes string
---@return string?, inner_universe.Error?
function Connection:row_json(name, bytes)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "row_json", "table")
  check.type(bytes, "string", 2, "row_json", "bytes")
  return core:row_json(name, bytes)
end

---The bytes of the row that such a text is.
---@param name string
---@param text string
---@return string?, inner_universe.Error?
function Connection:row_of_json(name, text)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "row_of_json", "table")
  check.type(text, "string", 2, "row_of_json", "text")
  return core:row_of_json(name, text)
end

---As `select`, of rows that the caller holds instead of those of the table.
---@param name string
---@param rows table[]
---@param spec? table
---@return table[]?, any matched the number, or an err
function Connection:select_from(name, rows, spec)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "select_from", "table")
  check.type(rows, "table", 2, "select_from", "rows")
  check.optional(spec, "table", 3, "select_from", "spec")
  local prepared, err = selection.prepare(spec or {}, runtime.core.json_encode)
  if not prepared then return nil, err end
  return core:select_from(name, rows, prepared)
end

---How `select` would find these rows, in words: from what index of the embedded universe, from the subscribed rows, or with what query to the server.
---@param name string
---@param spec? table
---@return string?, inner_universe.Error?
function Connection:explain(name, spec)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "explain", "table")
  check.optional(spec, "table", 2, "explain", "spec")
  local prepared, err = selection.prepare(spec or {}, runtime.core.json_encode)
  if not prepared then return nil, err end
  return core:explain(name, prepared)
end

---Makes an ordered index over a path (`properties.age`), a metadata field or a column without one, for `select`. It reads the whole table at once and is
---changed by every commit; it is not kept in the file (manager:create_index is). Embedded universes only. Making one that is there is no error.
---@param name string
---@param path string
---@return true?, inner_universe.Error?
function Connection:create_index(name, path)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "create_index", "table")
  check.type(path, "string", 2, "create_index", "path")
  return core:create_index(name, path)
end

---@param name string
---@param path string
---@return true?, inner_universe.Error?
function Connection:drop_index(name, path)
  local core = self[INNER].core
  if not core then closed() end
  check.type(name, "string", 1, "drop_index", "table")
  check.type(path, "string", 2, "drop_index", "path")
  return core:drop_index(name, path)
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

-- Always tail called.
local function fold(inner, timeout)
  local ok, err = inner.core:fold()
  return fold_answer(inner, ok, err, "fold", timeout)
end

---Waits until the journal is folded into the tables of the file, for those who read it with SQLite.
---@param timeout? number seconds; without it there is no limit
---@return true?, inner_universe.Error?
function Connection:fold(timeout)
  local inner = self[INNER]
  if not inner.core then closed() end
  check.optional(timeout, "number", 1, "fold", "timeout")
  return fold(inner, timeout)
end

---All of SQLite's SQL over the universe's file, read-only: the tables as they were committed before the call (it folds first). It runs on another thread.
---Rows by column name; NULL is `iu.null`; bytes are strings. `params`: an array for `?`, names for `:name`; a value is nil or iu.null, a boolean, a number,
---a string or `{ blob = bytes }`. With `iterate` a cursor instead of rows: `for row in assert(conn:sql(text, nil, { iterate = true })) do`.
---@param text string one SELECT, VALUES, EXPLAIN or telling PRAGMA
---@param params? table
---@param options? { iterate?: boolean, arrays?: boolean, max_rows?: integer, max_bytes?: integer, timeout?: number } arrays: rows as arrays of values;
---  max_rows [100,000] and max_bytes [256 MiB] where rows are not iterated over; timeout: seconds [30]
---@return table[]|inner_universe.SqlCursor|nil rows
---@return string[]|inner_universe.Error|nil columns
function Connection:sql(text, params, options)
  local inner = self[INNER]
  if not inner.core then closed() end
  check.type(text, "string", 1, "sql", "text")
  check.optional(params, "table", 2, "sql", "params")
  check.optional(options, "table", 3, "sql", "options")
  local how, why = tasks.mode()
  if not how then error(why, 2) end
  return report.sql(inner, function(timeout) return fold(inner, timeout) end, text, params, options)
end

---Full text search over texts of a table (text_search.lua says what an index is): keys with rank (the lower, the better) and snippet, best first.
---@param index table { table, key, json, texts = { { name, weight } } }
---@param text string words, all of which must be there; with syntax = "fts5" in FTS5's query language
---@param options? { limit?: integer, offset?: integer, syntax?: "plain"|"fts5", where?: table<string, any>, timeout?: number } limit [100]
---@return { key: string, rank: number, snippet: string }[]? found
---@return inner_universe.Error? err
function Connection:search_text(index, text, options)
  local inner = self[INNER]
  if not inner.core then closed() end
  check.type(index, "table", 1, "search_text", "index")
  check.type(text, "string", 2, "search_text", "text")
  check.optional(options, "table", 3, "search_text", "options")
  local how, why = tasks.mode()
  if not how then error(why, 2) end
  return text_search.search(self, inner.core, function(sql, timeout)
    local ok, id = inner.core:extend_file(sql)
    return fold_answer(inner, ok, id, "search", timeout)
  end, inner.text_indexes, index, text, options or {})
end

---A copy of the universe's file while it is in use: another universe, of the moment of the call, with everything in it that was acknowledged before. It is made
---on another thread, beside `path`, and renamed there when it is complete; cancelled (with its task) or failed, nothing is left of it.
---@param path string
---@param options? { overwrite?: boolean, progress?: fun(done: integer, total: integer), timeout?: number } overwrite: a universe that is there, and closed, is
---  replaced; progress: bytes; timeout: seconds [no limit]
---@return true?, inner_universe.Error?
function Connection:backup(path, options)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.type(path, "string", 1, "backup", "path")
  check.optional(options, "table", 2, "backup", "options")
  local how, why = tasks.mode()
  if not how then error(why, 2) end
  local source, err = report.file(core, "backup")
  if not source then return nil, err end
  return backup.run(inner, source, function(timeout)
    local ok, id = core:flush()
    return fold_answer(inner, ok, id, "flush", timeout)
  end, path, options or {})
end

---As `iu.gzip`, on another thread, so that the loop turns meanwhile; where nothing may wait, at once.
---@param bytes string
---@return string? gzip
---@return inner_universe.Error? err
function Connection:gzip(bytes)
  local inner = self[INNER]
  if not inner.core then closed() end
  check.type(bytes, "string", 1, "gzip", "bytes")
  if not tasks.can_wait() then return runtime.core.gzip(bytes) end
  local core_work, err = runtime.core.gzip_work(bytes)
  if not core_work then return nil, err end
  local job = work.new(inner, core_work)
  local guard <close> = setmetatable({}, { __close = function() work.close(job) end }) -- done, or cancelled
  local failure, packed = work.step(job, nil, "gzip")
  if guard and failure then return nil, failure end
  return packed
end

---Reads the schema of a server's module anew; on an embedded universe there is nothing to do.
---@return true?, inner_universe.Error?
function Connection:refresh_schema()
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  local ok, err = core:refresh_schema()
  return fold_answer(inner, ok, err, "refresh_schema", inner.timeout)
end

---Puts new functions behind the reducers of the universe's modules in Lua, all at once: those of their files, read again, or of the modules given, by
---name. A file that cannot be loaded, or declares something else than what runs, changes nothing.
---@param given? string|inner_universe.Module|(string|inner_universe.Module)[]
---@return true?, inner_universe.Error?
function Connection:reload(given)
  local inner = self[INNER]
  if not inner.core then closed() end
  if not inner.modules then
    return nil, errors.new("ValidationError", inner.remote and "reload: a server has its own module; publish it anew"
      or "reload: the universe has no module in Lua, or was not opened by this connection")
  end
  return modules.reload(inner.modules, given)
end

---Hears how a connection to a server stands: `fn(state)` with { phase = "connecting"|"connected"|"disconnected", attempt, delay = seconds until
---the next attempt (nil: none will be made), reason = err, close_code, protocol, schema_changed, identity_changed }. Embedded: never called.
---@param fn fun(state: table)
---@return inner_universe.Handle
function Connection:on_state(fn)
  local inner = self[INNER]
  if not inner.core then closed() end
  check.type(fn, "callable", 1, "on_state", "fn")
  local state = inner.state
  state.states = state.states or handlers.new(tasks.call)
  return state.states:add(fn)
end

---The state told last; an embedded universe is always connected.
---@return table
function Connection:state()
  local inner = self[INNER]
  if not inner.core then closed() end
  return inner.state.now or { phase = inner.remote and "connecting" or "connected", attempt = 1 }
end

---Runs callbacks that are queued; true when some are left. No-op inside a callback.
---@return boolean more
function Connection:deliver()
  local core = self[INNER].core
  if not core then closed() end
  return core:deliver()
end

---Another connection of the same universe, with its own identity, subscriptions and view. On a server: one more connection, anonymous (a new
---identity), or the identity of a token.
---@param options? { identity?: string, token?: string } identity: 64 hex digits, embedded only; token: servers only
---@return inner_universe.Connection?, inner_universe.Error?
function Connection:session(options)
  local inner = self[INNER]
  local core = inner.core
  if not core then closed() end
  check.optional(options, "table", 1, "session", "options")
  options = options or {}
  local known = inner.again and "token" or "identity"
  for key in pairs(options) do
    if key ~= known then
      local why = (key == "identity" or key == "token") and (": %s only"):format(inner.again and "an embedded universe" or "a server")
        or suggest.hint(tostring(key), { known })
      return nil, errors.new("ValidationError", ("session: unknown option '%s'%s"):format(tostring(key), why))
    end
  end
  check.optional(options[known], "string", 1, "session", "options." .. known)
  if inner.again then return inner.again(options.token) end
  local other, err = core:session(options.identity)
  if not other then
    other, err = when_there_is_room(inner, "session", err, function() return inner.core:session(options.identity) end)
    if not other then return nil, err end
  end
  return connection.new(other, { target = inner.target, timeout = inner.timeout, parent = self })
end

-- Simple questions, answered by the core.
for _, name in ipairs({ "identity", "connection_id", "is_owner", "schema", "schema_json", "status", "indexes" }) do
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

---What whoever used it has left: subscriptions, handlers of rows and of states, and calls that have no answer yet.
---@return integer subscriptions, integer handlers, integer calls
function Connection:in_use()
  local inner = self[INNER]
  if not inner.core then closed() end
  local state = inner.state
  local subscriptions, heard, calls = 0, state.states and state.states:count() or 0, 0
  for _ in pairs(state.subscriptions) do subscriptions = subscriptions + 1 end
  for _ in pairs(state.pending) do calls = calls + 1 end
  for _, by_kind in pairs(state.lists) do
    for _, list in pairs(by_kind) do heard = heard + list:count() end
  end
  return subscriptions, heard, calls
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
  local mode = not in_gc and tasks.mode()
  if finish and not core:is_closed() and (mode == "task" or mode == "loop" and inner.remote) then
    local done, id = core:flush()
    if done == false then await(inner, id, "close", inner.remote and CLOSE_TIMEOUT or nil, 1) end
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
---@param options { target: string, timeout?: number, parent?: inner_universe.Connection, modules?: table[], remote?: boolean, again?: fun(token: string?),
---  by_http?: fun(core: table, level: integer, sql: string, timeout: number): table[]?, inner_universe.Error? }
---@return inner_universe.Connection
function connection.new(core_conn, options)
  local state = { lists = {}, pending = {}, early = {}, subscriptions = {}, early_subscriptions = {}, opened = tasks.waiter() }
  local inner = {
    core = core_conn,
    core_call_filled = core_conn.call_filled,
    core_call = core_conn.call_here, -- a userdata's method is searched for in two tables
    state = state,
    target = options.target,
    timeout = options.timeout or DEFAULT_TIMEOUT,
    remote = options.remote, -- over a network
    again = options.again, -- makes one more connection to the same server
    by_http = options.by_http, -- runs SQL that the WebSocket's protocol has not
    text_indexes = {}, -- that are in the file
    jobs = {}, -- on other threads, work.lua
    modules = options.modules, -- in Lua, of the universe that this connection opened
    parent = options.parent, -- closing it closes its sessions: it lives while one of them does
    call_handler = tasks.call,
  }
  state.inner = inner
  listen(core_conn, state)
  inner.owner = setmetatable({ [INNER] = inner, tables = tables.new(inner) }, metatable)
  return inner.owner
end

-- Held until they are there: who waits in a plugin's task is held by nobody else, and would be collected with its connection.
local opening = setmetatable({}, { __name = "connections that are being opened" })

---Waits until a connection to a server is there for the first time.
---@param conn inner_universe.Connection
---@return true?, inner_universe.Error?
function connection.await_opened(conn)
  local inner = conn[INNER]
  tasks.hold(1)
  opening[inner] = conn
  local release <close> = setmetatable({}, { __close = function()
    opening[inner] = nil
    tasks.hold(-1)
  end })
  local ok, err = tasks.wait(inner.state.opened, nil, 3, "connect")
  return release and ok, err
end

---While the program holds the connection, or waits for an answer of it, `holder` is not collected either: what was made on top of the connection and closes
---it when it is collected itself. Nil: nothing.
---@param conn inner_universe.Connection
---@param holder table?
function connection.hold(conn, holder)
  conn[INNER].holder = holder
end

---Closes as __gc does: blocks on the journal, yields never.
---@param conn inner_universe.Connection
function connection.close_in_gc(conn)
  return close(conn[INNER], true)
end

return connection
