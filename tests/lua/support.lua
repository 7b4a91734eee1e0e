-- What the behaviour specs share: universes on the backend under test, closed and removed after each test, and a few assertions.
--
--   local support = require "support"
--   after_each(support.clean)
--   local m = support.open()          -- a manager on a fresh universe; support.open(config) for more keys
--   local m = support.reopen(m)       -- closed and opened again; on memory: the same one, since nothing is left of it
--                                        (support.keeps says whether something is)
--   local conn = support.connect()    -- a bare connection on a fresh universe
--
-- On a server each universe is a database of its own, published by an owner of its own, whose token support.open and support.connect pass on.
--
-- Errors that nobody waits for are collected in support.reported (a list of { err, context }); `clean` fails the test when some are
-- left there, so a test that expects one takes it with support.take_reported().

local iu = require "inner_universe"

local support = {}

support.backend = os.getenv("INNER_UNIVERSE_TEST_BACKEND") or "memory"
support.on_file = support.backend == "file"
support.on_server = support.backend == "spacetimedb"
support.keeps = support.on_file or support.on_server
support.host_sessions = os.getenv("INNER_UNIVERSE_TEST_PEER") == "1" and 1 or 0 -- rows of client_connection that the host itself has
assert(support.keeps or support.backend == "memory", "INNER_UNIVERSE_TEST_BACKEND is none of memory, file, spacetimedb")
local spacetimedb = support.on_server and require("spacetimedb")

support.reported = {}
iu.on_error(function(err, context)
  support.reported[#support.reported + 1] = { err = err, context = context }
end)

local opened = setmetatable({}, { __mode = "k" }) -- what to close, and the target it has
local made = {} -- files and folders to remove
local tokens = {} -- of the databases made on the server, by target

local function own(path)
  made[#made + 1] = path
  return path
end

--- A name in the temporary folder that nothing has yet. Removed (with all that begins so) by clean.
function support.path()
  return own(("%s/iu_%s"):format(os.getenv("TMPDIR") or "/tmp", iu.uuid()))
end

--- A new empty folder.
function support.folder()
  local path = support.path()
  assert(os.execute(("mkdir -p '%s'"):format(path)))
  return path
end

function support.write(path, text)
  assert(os.execute(("mkdir -p '%s'"):format(path:match("^(.*)/"))))
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function published()
  local name = spacetimedb.name()
  local target = ("%s/%s"):format(spacetimedb.address, name)
  tokens[target] = assert(spacetimedb.publish(name))
  return target
end

--- "memory:", the path of a file that does not exist yet, or the address of a database that nobody has used yet.
function support.target()
  if support.on_server then return published() end
  return support.on_file and support.path() .. ".universe" or "memory:"
end

--- The owner's token of a target of support.target() (nil where there is none).
function support.token(target)
  return tokens[target]
end

-- The caller's keys, and the owner's token where it names none.
local function with_token(settings, target)
  if not tokens[target] or settings and settings.token then return settings end
  local copy = { token = tokens[target] }
  for key, value in pairs(settings or {}) do copy[key] = value end
  return copy
end

function support.open(config, target)
  target = target or support.target()
  config = with_token(config, target)
  local m, err = iu.open(target, config)
  if not m then error(tostring(err), 2) end
  opened[m] = target
  return m
end

--- A manager and the connection it works on (a small plugin hands it out), for tests that need both at once.
function support.open_both(config)
  local folder = support.folder()
  support.write(folder .. "/probe/manifest.lua", 'return { name = "probe", version = "1.0.0", api = ">=1.0 <2", requires = { persistence_manager = "*" } }')
  support.write(folder .. "/probe/init.lua", "return { start = function(ctx) return { conn = function() return ctx.conn end } end }")
  config = config or {}
  config.plugins = config.plugins or {}
  config.plugins.paths = { folder }
  config.plugins.probe = true
  local m = support.open(config)
  return m, m:plugin("probe").conn()
end

function support.connect(options, target)
  target = target or support.target()
  options = with_token(options, target)
  local conn, err = iu.connect(target, options)
  if not conn then error(tostring(err), 2) end
  opened[conn] = target
  return conn
end

--- Another connection to the same universe, as somebody else: with that identity where the universe is embedded (none: a random one); a server
--- makes the identities itself.
function support.session(conn, identity)
  local session, err
  if support.on_server then
    session, err = conn:session()
  else
    session, err = conn:session({ identity = identity })
  end
  if not session then error(tostring(err), 2) end
  return session
end

--- The keys of a configuration that name a target.
function support.config(target, more)
  local config = { db_path = target }
  if support.on_server then
    local host, port, database = target:match("^ws://([^:]+):(%d+)/(.+)$")
    config = { backend = "spacetimedb", address = host, port = math.tointeger(port), database = database, token = tokens[target] }
  end
  for key, value in pairs(more or {}) do config[key] = value end
  return config
end

--- The subscription once its rows are here, or nil and why it could not be made: a server says so only then.
function support.try_subscribe(conn, queries)
  local sub, err = conn:subscribe(queries, { on_error = function() end })
  if not sub then return nil, err end
  local ok
  ok, err = sub:wait()
  if not ok then return nil, err end
  return sub
end

--- Everything that was asked for has happened and was told.
function support.settle(conn)
  assert(conn:flush())
  conn:deliver()
end

--- To be closed by clean, after what was made before it.
function support.owned(object)
  opened[object] = opened[object] or "owned"
  return object
end

function support.close(object)
  local ok, err
  if object.shutdown then
    ok, err = object:shutdown()
  else
    ok, err = object:close()
  end
  assert(ok, tostring(err))
end

function support.reopen(object, config)
  if not support.keeps then return object end
  local target = opened[object]
  support.close(object)
  opened[object] = nil
  if object.shutdown then return support.open(config, target) end
  return support.connect(config, target)
end

function support.target_of(object)
  return opened[object]
end

function support.take_reported()
  local list = support.reported
  support.reported = {}
  return list
end

function support.clean()
  for object in pairs(opened) do
    support.close(object)
  end
  opened = setmetatable({}, { __mode = "k" })
  for _, path in ipairs(made) do
    os.execute(("rm -rf '%s' '%s'.*"):format(path, path))
  end
  made = {}
  for target, token in pairs(tokens) do
    spacetimedb.discard(target:match("[^/]+$"), token)
  end
  tokens = {}
  local left = support.take_reported()
  if #left > 0 then error(("reported and not expected: %s\n%s"):format(tostring(left[1].err), tostring(left[1].context)), 2) end
end

--- Rows of a table as they are committed now.
function support.rows(conn, name)
  local rows, err
  if conn.client then
    rows, err = conn.client:query("SELECT * FROM " .. name)
  else
    rows, err = conn:query("SELECT * FROM " .. name)
  end
  if not rows then error(tostring(err), 2) end
  return rows
end

local COUNTED = {
  "entity", "relation", "state_version", "delta_record", "state_snapshot", "state_branch", "event_log", "event_head", "row_history",
  "config", "plugin_record",
}

local OF_SESSIONS = { CLIENT_CONNECTED = true, CLIENT_DISCONNECTED = true }

--- How much there is of everything, as one text: two are equal only when nothing was written in between (or all of it was undone).
--- but_sessions: what the comings and goings of clients write is not counted (a query over HTTP is one on servers of 2.x).
function support.census(conn, but_sessions)
  local parts = {}
  for _, name in ipairs(COUNTED) do
    local rows = but_sessions and name == "event_head" and {} or support.rows(conn, name)
    local sums = {}
    for _, row in ipairs(rows) do
      if not but_sessions or name ~= "event_log" or not OF_SESSIONS[row.event_type] then sums[#sums + 1] = iu.json.hash(row) end
    end
    table.sort(sums)
    parts[#parts + 1] = ("%s=%d:%s"):format(name, #sums, iu.json.hash(iu.array(sums)):sub(1, 16))
  end
  return table.concat(parts, " ")
end

--- Waits for what others do, 20 seconds at most.
function support.wait_until(done, what)
  local finish = iu.now() + 20 * 1000000
  while not done() do
    if iu.now() >= finish then error("did not happen in time" .. (what and ": " .. what or ""), 2) end
    iu.sleep(0.002)
  end
end

--- nil, err of that kind; every further argument is a plain text that the message must contain. Gives the err.
function support.refused(kind, result, err, ...)
  if result ~= nil then error(("expected a refusal, got %s"):format(tostring(result)), 2) end
  if not iu.errors.is(err) then error(("expected an err, got %s"):format(tostring(err)), 2) end
  if err.kind ~= kind then error(("expected %s, got %s"):format(kind, tostring(err)), 2) end
  for _, text in ipairs { ... } do
    if not err.message:find(text, 1, true) then error(("expected '%s' in: %s"):format(text, err.message), 2) end
  end
  return err
end

--- fn must raise a text that begins with a line of fn itself and contains the further arguments. Gives the text.
function support.raises_here(fn, ...)
  local where = debug.getinfo(fn, "S")
  local ok, raised = pcall(fn)
  if ok then error("expected an error, nothing was raised", 2) end
  if type(raised) ~= "string" then error(("expected a text, raised was %s"):format(tostring(raised)), 2) end
  local file, line = raised:match("^(.-):(%d+): ")
  line = tonumber(line)
  if file ~= where.short_src or not line or line < where.linedefined or line > where.lastlinedefined then
    error(("expected the position %s:%d-%d, got: %s"):format(where.short_src, where.linedefined, where.lastlinedefined, raised), 2)
  end
  for _, text in ipairs { ... } do
    if not raised:find(text, 1, true) then error(("expected '%s' in: %s"):format(text, raised), 2) end
  end
  return raised
end

local function same(a, b, path)
  if a == iu.null or b == iu.null then
    if a ~= b then return ("%s: %s and %s"):format(path, tostring(a), tostring(b)) end
    return
  end
  if type(a) ~= type(b) or math.type(a) ~= math.type(b) then
    return ("%s: %s %s and %s %s"):format(path, math.type(a) or type(a), tostring(a), math.type(b) or type(b), tostring(b))
  end
  if type(a) ~= "table" then
    local equal = a == b
    if equal and math.type(a) == "float" then equal = ("%a"):format(a) == ("%a"):format(b) end
    if not equal then return ("%s: %s and %s"):format(path, tostring(a), tostring(b)) end
    return
  end
  local an, bn = next(a) == nil, next(b) == nil
  if an or bn then
    local ta, tb = iu.json.encode(a), iu.json.encode(b)
    if ta ~= tb then return ("%s: %s and %s"):format(path, ta, tb) end
    return
  end
  for key, value in pairs(a) do
    local why = same(value, b[key], path .. "." .. tostring(key))
    if why then return why end
  end
  for key in pairs(b) do
    if a[key] == nil then return ("%s.%s: nil and something"):format(path, tostring(key)) end
  end
end

--- The same value to the last bit: integers and floats told apart, -0.0 from 0.0, empty arrays from empty objects, null from nothing.
function support.exactly(expected, actual)
  local why = same(expected, actual, "$")
  if why then error("not the same value (expected and actual) at " .. why, 2) end
end

--- Field `key` of each row, as an array.
function support.pluck(rows, key)
  local out = {}
  for i, row in ipairs(rows) do out[i] = row[key] end
  return out
end

return support
