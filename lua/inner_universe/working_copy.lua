-- `iu.working_copy`: a universe's file to be changed as a whole: a private copy beside it, on which tables and rows are worked on without the code of the
-- modules that declared them, and which is then published over the original in one transaction, or thrown away. What migrations stand on; lua/README.md
-- describes it for users.
--
-- The original is locked from the beginning to the end. One session of the core (core/journal/reshape.h) is open on the copy while its tables are worked
-- on; it is closed for everything that opens the copy otherwise: a universe on it, a rehearsal, the copying itself.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local finalizer = require("inner_universe.finalizer")
local suggest = require("inner_universe.suggest")
local target = require("inner_universe.target")
local work = require("inner_universe.work")
local configuration = require("inner_universe.config")
local connect = require("inner_universe.connect")
local universe = require("inner_universe.universe")
local modules = require("inner_universe.modules")
local file_tables = require("inner_universe.file_tables")
local rows = require("inner_universe.working_rows")

local working_copy = {}

local STATES = setmetatable({}, { __mode = "k" }) -- of a copy: its private part

---@class inner_universe.WorkingCopy
---@field path string the private file
---@field target string the original
local Copy = {}

local function invalid(format, ...)
  return nil, errors.new("ValidationError", format:format(...))
end

-- The state, for a method in whose body this is called: raises at its caller's line.
local function enter(self, method)
  local state = STATES[self]
  if not state then error(("bad argument #0 to '%s' (a working copy expected: call it with a colon)"):format(method), 3) end
  if not state.core then error("the working copy is closed", 3) end
  if state.busy then error(method .. ": the working copy is in the middle of another operation (a function of a row cannot use it)", 3) end
  return state
end

-- the session ------------------------------------------------------------------------------------------------------------

local function read_tables(state)
  local listed = state.session:tables()
  state.listed, state.tables = listed, {}
  for i, each in ipairs(listed) do
    local t, err = file_tables.read(each.name, each.definition)
    -- what no module in Lua can declare is left alone: its rows can be read and written all the same
    t = t or { name = each.name, columns = {}, unique = {}, auto_inc = {}, types = {}, definition = each.definition, foreign = err }
    t.nerv, t.number = state.nerv[each.name] == each.definition, i
    state.tables[each.name] = t
  end
end

-- Opens the session where it is not; true, or nil, err.
local function ready(state, what)
  if state.universe and state.universe() then
    return nil, errors.new("ConflictError", what .. ": a universe is open on the working copy: shut it down first", { retryable = false })
  end
  if state.session then return true end
  local session, err = runtime.core.reshape(state.file)
  if not session then return nil, err end
  state.session = session
  read_tables(state)
  return true
end

local function close_session(state)
  if state.session then state.session:close() end
  state.session = nil
end

local function table_of(state, what, name)
  local t = state.tables[name]
  if t then return t end
  return invalid("%s: no table `%s`%s", what, name, suggest.hint(name, state.tables))
end

-- What changes in `fn` is kept where it answers something, and undone where it does not, and where it raises.
local function transaction(state, what, schema, fn, ...)
  local ok, err = ready(state, what)
  if not ok then return nil, err end
  local session = state.session
  if schema then
    ok, err = rows.check_unique(state)
    if not ok then return nil, err end
  end
  ok, err = session:begin(schema)
  if not ok then return nil, err end
  state.busy = true
  local _ <close> = setmetatable({}, { __close = function()
    state.busy = nil
    if state.session == session then session:rollback() end
  end })
  local results = table.pack(fn(state, ...))
  if results[1] == nil then return table.unpack(results, 1, results.n) end
  ok, err = session:commit()
  if not ok then return nil, err end
  if schema then read_tables(state) end
  return table.unpack(results, 1, results.n)
end

-- making, ending ---------------------------------------------------------------------------------------------------------

-- One of the core's copyings, slice by slice.
local function copy_pages(state, method, what, progress, left)
  local core_work, err = state.core[method](state.core)
  if not core_work then return nil, err end
  local job = work.new(state, core_work)
  local _ <close> = setmetatable({}, { __close = function() work.close(job, true) end })
  local ends = left and runtime.core.mono() + left
  repeat
    local why, complete, done, total = work.step(job, ends and math.max(ends - runtime.core.mono(), 0.001), "working copy")
    if why then return nil, why end
    if progress and not (complete and method == "publish") then progress(what, done, total) end -- what it raises would come too late there
  until complete
  return true
end

local function dispose(state)
  local core = state.core
  state.core = nil
  if not core then return end
  if state.universe then state.universe(true) end
  close_session(state)
  work.end_all(state, errors.new("ConnectionError", "the working copy was closed", { code = "CLOSED", retryable = false }))
  core:close()
end

local metatable = {
  __name = "inner_universe.WorkingCopy",
  __index = Copy,
  __tostring = function(self) return ("working copy of %s"):format(rawget(self, "target")) end,
  __close = function(self) dispose(STATES[self]) end,
  __gc = function(self)
    local state = STATES[self]
    if state and state.core and finalizer.may_close(self) then dispose(state) end
  end,
}

local OPTIONS = { progress = "callable", timeout = "number" }

---@class inner_universe.WorkingCopyOptions
---@field progress? fun(what: "copy"|"publish"|"rows", done: integer, total: integer) bytes, or rows of the running operation
---@field timeout? number seconds for the copying [no limit]

---@param path string a universe's file
---@param options? inner_universe.WorkingCopyOptions
---@return inner_universe.WorkingCopy?, inner_universe.Error?
function working_copy.new(path, options)
  options = options or {}
  local ok, err = check.options("working_copy", options, OPTIONS)
  if not ok then return nil, err end
  local parsed
  parsed, err = target.parse(path)
  if not parsed then return nil, err end
  if parsed.kind ~= "file" then return invalid("working_copy: the file of an embedded universe expected, got '%s'", path) end
  local core
  core, err = runtime.core.working_copy(parsed.path)
  if not core then return nil, err end
  local state = { core = core, file = core:file(), jobs = {}, unchecked = {}, progress = options.progress, nerv = file_tables.nerv() }
  local self = setmetatable({ path = state.file, target = core:target() }, metatable)
  STATES[self] = state
  local guard <close> = setmetatable({ state = state }, { __close = function(g) if g.state then dispose(g.state) end end }) -- cancelled, failed
  ok, err = copy_pages(state, "fill", "copy", state.progress, options.timeout)
  if not ok then return nil, err end
  ok, err = ready(state, "working_copy")
  if not ok then return nil, err end
  guard.state = nil
  return self
end

---Whether it can be worked on: neither discarded nor published for good.
---@return boolean
function Copy:is_open()
  local state = STATES[self]
  return state ~= nil and state.core ~= nil
end

---Throws the copy away, and unlocks the original, which is as it was published last. Idempotent.
---@return true
function Copy:discard()
  local state = STATES[self]
  if state and state.busy then check.raise("discard: the working copy is in the middle of an operation") end
  if state then dispose(state) end
  return true
end

---The same.
Copy.close = Copy.discard

---Back to what the original holds: what was not published is gone.
---@return true?, inner_universe.Error?
function Copy:rollback()
  local state = enter(self, "rollback")
  if state.universe then state.universe(true) end
  close_session(state)
  state.unchecked = {}
  local ok, err = copy_pages(state, "fill", "copy", state.progress)
  if not ok then
    dispose(state)
    return nil, err
  end
  return ready(state, "rollback")
end

-- The file as an open with these modules finds it; what can be brought to them (new columns with defaults, unique constraints) is.
local function rehearse(state, what, given)
  local entries, err
  if given ~= nil then
    entries, err = modules.read(given)
    if not entries then return nil, err end
  end
  local no_nerv = not file_tables.has_nerv(state.listed) and entries ~= nil
  close_session(state)
  local ok
  ok, err = runtime.core.rehearse({ path = state.file, modules = entries, no_nerv = no_nerv })
  if ok then return true end
  if err.kind == "StorageError" and err.message:find("unique", 1, true) == nil then return nil, err end
  return nil, errors.new("MigrationError", ("%s: the modules do not open what the migration made: %s"):format(what, err.message),
    { cause = err, details = err.details })
end

---Whether the file would open with these modules, as `iu.connect(file, { module = ... })` would: nothing of them runs.
---@param module string|inner_universe.Module|(string|inner_universe.Module)[]
---@return true?, inner_universe.Error?
function Copy:verify(module)
  local state = enter(self, "verify")
  local ok, err = ready(state, "verify")
  if not ok then return nil, err end
  ok, err = rows.check_unique(state)
  if not ok then return nil, err end
  ok, err = rehearse(state, "verify", module)
  if not ok then return nil, err end
  return ready(state, "verify")
end

local PUBLISH = { module = "any", keep_open = "boolean", progress = "callable" }

---Makes the original what the copy is, in one transaction.
---@param options? { module?: any, keep_open?: boolean, progress?: function }
---@return true?, inner_universe.Error?
function Copy:publish(options)
  local state = enter(self, "publish")
  check.optional(options, "table", 1, "publish", "options")
  options = options or {}
  local ok, err = check.options("publish", options, PUBLISH)
  if not ok then return nil, err end
  ok, err = ready(state, "publish")
  if not ok then return nil, err end
  ok, err = rows.check_unique(state)
  if not ok then return nil, err end
  if options.module ~= nil then
    ok, err = rehearse(state, "publish", options.module)
    if not ok then return nil, err end
  end
  close_session(state)
  state.busy = true
  do
    local _ <close> = setmetatable({}, { __close = function() state.busy = nil end })
    ok, err = copy_pages(state, "publish", "publish", options.progress or state.progress)
  end
  if not ok then return nil, err end
  if options.keep_open then return true end
  dispose(state)
  return true
end

-- a universe on the copy -------------------------------------------------------------------------------------------------

-- `opened`: the manager or connection; `end_it` closes it. From here on the copy's own methods are refused until it is closed.
local function lend(state, opened, end_it, is_closed)
  local seen = state.seen_modules
  state.universe = function(close)
    if not state.universe then return false end
    if close and not is_closed(opened) then end_it(opened) end
    if not is_closed(opened) then return true end
    state.universe = nil
    if seen then -- the module that declared the tables is none of the file's
      local session = runtime.core.reshape(state.file)
      if session then
        session:set_modules(seen)
        session:close()
      end
    end
    return false
  end
  return opened
end

local function open_on(state, what, open)
  local ok, err = ready(state, what)
  if not ok then return nil, err end
  ok, err = rows.check_unique(state)
  if not ok then return nil, err end
  local made
  made, err = file_tables.module_of(state.listed)
  if err then return nil, err end
  state.seen_modules = state.session:modules()
  close_session(state)
  return open(made, file_tables.has_nerv(state.listed))
end

---An ordinary manager on the copy, without the modules' code: their tables are there, without reducers. Until it is shut down the copy's own methods answer
---ConflictError.
---@param config? table
---@return inner_universe.Manager?, inner_universe.Error?
function Copy:open_universe(config)
  local state = enter(self, "open_universe")
  check.optional(config, "table", 1, "open_universe", "config")
  return open_on(state, "open_universe", function(made, has_nerv)
    if not has_nerv then return invalid("open_universe: the file has none of the toolkit's own tables: open_connection opens it") end
    local settings = { durability = "off" }
    for key, value in pairs(config or {}) do settings[key] = value end
    settings.module = nil
    local cfg, err = configuration.new(settings, { overrides = { backend = "embedded", db_path = state.file } })
    if not cfg then return nil, err end
    local manager
    manager, err = universe.open(cfg, made)
    if not manager then return nil, err end
    return lend(state, manager, function(m) m:shutdown() end, function(m) return not m:is_initialized() end)
  end)
end

---The same with a bare connection.
---@param options? inner_universe.ConnectOptions
---@return inner_universe.Connection?, inner_universe.Error?
function Copy:open_connection(options)
  local state = enter(self, "open_connection")
  check.optional(options, "table", 1, "open_connection", "options")
  return open_on(state, "open_connection", function(made, has_nerv)
    local settings = { durability = "off" }
    for key, value in pairs(options or {}) do settings[key] = value end
    settings.module, settings.nerv = made, has_nerv
    local conn, err = connect.connect(state.file, settings)
    if not conn then return nil, err end
    return lend(state, conn, function(c) c:close() end, function(c) return c:is_closed() end)
  end)
end

local function within(self, open, fn, options)
  local opened, err = open(self, options)
  if not opened then return nil, err end
  local state = STATES[self]
  local _ <close> = setmetatable({}, { __close = function() if state.universe then state.universe(true) end end })
  local results = table.pack(fn(opened))
  return table.unpack(results, 1, results.n)
end

---Calls `fn(manager)` and shuts the manager down: what fn returns.
---@param fn fun(manager: inner_universe.Manager): ...
---@param config? table
function Copy:universe(fn, config)
  enter(self, "universe")
  check.type(fn, "function", 1, "universe", "fn")
  check.optional(config, "table", 2, "universe", "config")
  return within(self, Copy.open_universe, fn, config)
end

---Calls `fn(connection)` and closes it: what fn returns.
---@param fn fun(conn: inner_universe.Connection): ...
---@param options? inner_universe.ConnectOptions
function Copy:connection(fn, options)
  enter(self, "connection")
  check.type(fn, "function", 1, "connection", "fn")
  check.optional(options, "table", 2, "connection", "options")
  return within(self, Copy.open_connection, fn, options)
end

-- the rest of the methods ------------------------------------------------------------------------------------------------

require("inner_universe.working_methods")(Copy, { enter = enter, ready = ready, table_of = table_of, transaction = transaction })

return working_copy
