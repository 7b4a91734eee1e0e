-- ends.lua: the two ends of a copy: connections, however they were named.
--
-- An end is a text (a file, ws://...), a configuration, a connection or a manager. A source that is a file is opened as a snapshot: the file is only read, also
-- while another process has it; tables of modules are read by what the file itself says of them, where no module is named. What is opened here is closed here;
-- what was given stays open. On a server the owner reads private tables, too.

local iu = require "inner_universe"

local plugin = ...
local leftover = plugin.load "leftover"

local M = {}

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

local function is_server(what)
  if type(what) == "table" then return what.backend == "spacetimedb" end
  return what:match("^wss?://") ~= nil
end

local function copied(options)
  local copy = {}
  for key, value in pairs(options or {}) do copy[key] = value end
  return copy
end

-- The connection that an object is or has; nil: it is neither.
local function connection_of(what)
  if type(what) ~= "table" and type(what) ~= "userdata" then return nil end
  local meta = getmetatable(what)
  if meta == nil then return nil end -- a configuration
  local ok, client = pcall(function() return what.client end)
  if ok and client ~= nil then return client:connection() end
  local has
  ok, has = pcall(function() return what.row_bytes ~= nil end)
  return ok and has and what or nil
end

-- The path that a target means, when it is a file.
local function path_of(what)
  local text = type(what) == "string" and what or what.db_path
  if text == nil or text == "memory:" then return nil end
  return text:match("^file://(/.*)$") or text:match("^file:(.*)$") or text
end

-- Modules that declare what a file has, without their code; nil: none, or there is no such file (whoever opens it says so).
local function modules_of(path)
  local modules = iu.file_modules(path)
  return modules and #modules > 0 and modules or nil
end

local MESSAGE_BYTES = 1 << 31 -- a server sends a table that is subscribed as one message

local function open_server(what, settings)
  if settings.message_bytes_max == nil then settings.message_bytes_max = MESSAGE_BYTES end
  if settings.owner == nil then settings.owner = true end
  if settings.token == nil and settings.token_file == nil then settings.token_file = "auto" end
  return iu.connect(what, settings)
end

local function open_source(what, settings)
  local path = path_of(what)
  if not path then return invalid("from: memory: holds nothing yet; give a connection or a file") end
  settings.snapshot = true
  if settings.module == nil and settings.nerv == nil then settings.module = modules_of(path) end
  return iu.connect(what, settings)
end

local function is_there(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The tables of modules that are to come are made where they are missing; a file that has others keeps those. dry: what is not there stays away, and is
-- looked at as it would be. What comes third is the path of a file that was made.
local function open_target(what, settings, coming, dry)
  local path = path_of(what)
  if not path then return invalid("to: memory: keeps nothing; give a connection or a file") end
  local made = not is_there(path) and not dry and path or nil
  if dry and not is_there(path) then
    what = type(what) == "table" and copied(what) or "memory:"
    if type(what) == "table" then what.db_path = "memory:" end
  end
  local as_it_is = settings.module == nil and settings.nerv == nil
  if as_it_is then settings.module = coming end
  local conn, err = iu.connect(what, settings)
  if not conn and as_it_is and err.kind == "MigrationError" then
    settings.module = modules_of(path)
    conn, err = iu.connect(what, settings)
  end
  if made and not conn then leftover.remove(made) end
  return conn, err, made
end

local function open(what, options, role, coming, dry)
  local settings = copied(options)
  if is_server(what) then return open_server(what, settings) end
  local conn, err, made
  if role == "source" then conn, err = open_source(what, settings) else conn, err, made = open_target(what, settings, coming, dry) end
  return conn, err, settings.module, made
end

---@class inner_universe.TransferEnd
---@field conn inner_universe.Connection
---@field schema table
---@field text string how people call it

---@param what any
---@param options? table of iu.connect
---@param role "source"|"target"
---@param coming? any modules whose tables come to a target
---@param dry? boolean a target's file that is not there is not made
---@return table? end_, inner_universe.Error?
function M.open(what, options, role, coming, dry)
  local argument = role == "source" and "from" or "to"
  local conn, owned, err, modules, made = connection_of(what), false
  if conn and options ~= nil then return invalid("%s_options: for ends that are opened here; %s is open already", argument, argument) end
  if not conn then
    if type(what) ~= "string" and type(what) ~= "table" then
      return invalid("%s: expected a file, an address, a connection or a manager, got %s", argument, type(what))
    end
    conn, err, modules, made = open(what, options, role, coming, dry)
    if not conn then return nil, err end
    owned = true
  end
  local self = {
    conn = conn, owned = owned, schema = conn:schema(), subscriptions = {}, modules = modules,
    text = type(what) == "string" and what or type(what) == "table" and what.db_path or "a connection",
  }

  -- The rows of these tables are here from now on. Whole tables cost nothing on an embedded universe; a server sends them. A universe without the toolkit's
  -- tables has no counters.
  function self.hold(names)
    local queries = {}
    for _, name in ipairs(names) do
      if name ~= "event_head" or self.schema.tables.event_head then queries[#queries + 1] = ('SELECT * FROM "%s"'):format(name) end
    end
    local sub, why = conn:subscribe(queries, { on_error = function() end })
    if not sub then return nil, why end
    self.subscriptions[#self.subscriptions + 1] = sub
    -- A connection that was cut comes again; one that was cut by the size of these rows would do so for ever.
    local too_large
    local states = conn:on_state(function(state)
      if not state.reason or state.reason.kind ~= "OverloadedError" then return end
      too_large = state.reason
      sub:unsubscribe()
    end)
    local _ <close> = setmetatable({}, { __close = function() states:cancel() end })
    local ok
    ok, why = sub:wait()
    if not too_large then return ok, why end
    local words = "%s: its rows of %s are larger than message_bytes_max"
    return nil, iu.errors.wrap("OverloadedError", words:format(self.text, table.concat(names, ", ")), too_large)
  end

  ---good: what it was opened for was done.
  function self.close(good)
    if self.closed then return true end
    self.closed = true
    if owned then
      local ok, why = conn:close()
      if made and not good then leftover.remove(made) end
      return ok, why
    end
    if conn:is_closed() then return true end
    for _, sub in ipairs(self.subscriptions) do sub:unsubscribe() end
    return true
  end

  return setmetatable(self, { __close = function() self.close(false) end }) -- for a task that is cancelled
end

---Refuses a target that cannot take rows as they are.
function M.check_target(target)
  if not target.schema.reducers.import_rows or not target.schema.reducers.remove_rows then
    return nil, iu.errors.new("MigrationError",
      ("%s: its module is older than this library (it has no `import_rows`); publish it again: `iu server publish`, or manager:initialize{ deploy = true }")
        :format(target.text))
  end
  return true
end

---Refuses tables whose rows are made of something else in one of the two.
function M.check_same(tables, names, a, b)
  for _, name in ipairs(names) do
    if not b.schema.tables[name] then return tables.missing(name, b.text, a.text) end
    local cannot = tables.cannot_hold(b, name)
    if cannot then return nil, cannot end
    local left, right = tables.definition(a.conn, name), tables.definition(b.conn, name)
    if left ~= right then return tables.differ(name, a.text, left, b.text, right) end
  end
  return true
end

return M
