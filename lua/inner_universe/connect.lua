-- `iu.connect`: from a target and options to an open connection. A target is a text (see target.lua) or a configuration; options win over
-- what the configuration says.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")
local config = require("inner_universe.config")
local target = require("inner_universe.target")
local connection = require("inner_universe.connection")
local modules = require("inner_universe.modules")
local remote = require("inner_universe.remote")
local subscription = require("inner_universe.subscription")

local connect = {}

local EMBEDDED = {
  durability = "string", flush_interval_ms = "integer", fold_bytes = "integer", pending_bytes_max = "integer", client_info = "string",
  module = "any", nerv = "boolean", reducer_timeout_ms = "integer", reducer_memory_mb = "integer",
  recover = "string", snapshot = "boolean",
}
local REMOTE = remote.OPTIONS
local COMMON = { subscribe = "any", timeout = "number" }
local REDUCER_TIMEOUT_MS, REDUCER_MEMORY_MB = 5000, 256 -- of one reducer of a module in Lua, with all that it calls
local DURABILITY = { full = true, normal = true, off = true }

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function joined(...)
  local all = {}
  for _, list in ipairs({ ... }) do
    for name, expected in pairs(list) do all[name] = expected end
  end
  return all
end

-- What the other kind of target would take is said so.
local function check_options(options, is_server)
  local own, other = EMBEDDED, REMOTE
  if is_server then own, other = REMOTE, EMBEDDED end
  local known = joined(own, COMMON)
  for key in pairs(options) do
    if not known[key] and other[key] then return invalid("connect: %s: for %s only", key, is_server and "embedded universes" or "servers") end
  end
  local ok, err = check.options("connect", options, known)
  if not ok then return nil, err end
  local durability = options.durability
  if durability and not DURABILITY[durability] then
    return invalid("connect: durability: one of full, normal, off expected, got '%s'%s", durability, suggest.hint(durability, DURABILITY))
  end
  if options.recover and options.recover ~= "prefix" then return invalid("connect: recover: prefix expected, got '%s'", options.recover) end
  return true
end

---The queries of every public table, sorted by name. Views are asked for by name: a server computes them for each who subscribes.
---@param schema table
---@param without_events? boolean those that the schema says are event tables are left out
---@return string[]
function connect.all_tables(schema, without_events)
  local queries = {}
  for name, def in pairs(schema.tables) do
    if def.public and not def.view and not (def.event and without_events) then queries[#queries + 1] = ('SELECT * FROM "%s"'):format(name) end
  end
  table.sort(queries)
  return queries
end

-- A subscription of connect's own; waiting for it. Who connects hears its refusal, what fails later is reported.
local function subscribe_now(conn, queries)
  local sub, err, waited
  sub, err = conn:subscribe(queries, { on_error = function(why)
    if waited then runtime.report(why, "a subscription") end
  end })
  if not sub then return function() return nil, err end end
  return function()
    -- what cannot be read now cannot be read the next time: nobody would be told why nothing is applied
    local lost = conn:on_state(function(state)
      local reason = state.phase == "disconnected" and state.reason
      if reason and not reason.retryable then subscription.give_up(sub, reason) end
    end)
    local ok, why = sub:wait()
    waited = true
    lost:cancel()
    return ok, why
  end
end

local function is_of_events(err)
  return err.kind == "ValidationError" and err.message:find("event table", 1, true) ~= nil
end

---Subscribes every public table, and waits. A server refuses event tables on v1: then they are left out. Where the schema does not tell them from others
---each table is asked for by itself.
---@param conn inner_universe.Connection
---@return true?, inner_universe.Error?
function connect.subscribe_all(conn)
  local schema = conn:schema()
  local queries = connect.all_tables(schema)
  if #queries == 0 then return true end
  local ok, err = subscribe_now(conn, queries)()
  if ok or not is_of_events(err) then return ok, err end
  local others = connect.all_tables(schema, true)
  if #others == 0 then return true end
  if #others < #queries then return subscribe_now(conn, others)() end
  local waits = {}
  for i, query in ipairs(queries) do waits[i] = subscribe_now(conn, { query }) end
  for _, wait in ipairs(waits) do
    ok, err = wait()
    if not ok and not is_of_events(err) then return nil, err end
  end
  return true
end

local function subscribe(conn, what)
  if what == "all" then return connect.subscribe_all(conn) end
  if type(what) ~= "table" then
    return invalid("connect: subscribe: \"all\" or an array of queries expected, got %s", tostring(what))
  end
  if #what == 0 then return true end
  return subscribe_now(conn, what)()
end

local function open_embedded(parsed, options)
  local entries, err
  if options.module ~= nil then
    entries, err = modules.read(options.module)
    if not entries then return nil, err end
  end
  local core_conn
  core_conn, err = runtime.core.open({
    path = parsed.path,
    durability = options.durability or "normal",
    flush_interval_ms = options.flush_interval_ms,
    fold_bytes = options.fold_bytes,
    pending_bytes_max = options.pending_bytes_max,
    client_info = options.client_info,
    modules = entries,
    no_nerv = options.nerv == false,
    reducer_timeout_ms = options.reducer_timeout_ms or REDUCER_TIMEOUT_MS,
    reducer_memory_mb = options.reducer_memory_mb or REDUCER_MEMORY_MB,
    recover = options.recover,
    snapshot = options.snapshot,
    known_only = options.snapshot and options.module == nil, -- tables of modules that nobody named are left out
  })
  if not core_conn then return nil, err end
  return connection.new(core_conn, { target = parsed.text, timeout = options.timeout, modules = entries })
end

---Opens what a parsed target names.
---@param parsed table
---@param options table of OPTIONS, checked
---@return inner_universe.Connection?, inner_universe.Error?
function connect.open(parsed, options)
  local conn, err
  if parsed.kind == "server" and options.module ~= nil then
    return invalid("%s: module: for embedded universes only: a server has its own", parsed.text)
  elseif parsed.kind == "server" then
    conn, err = remote.open(parsed, options)
  else
    conn, err = open_embedded(parsed, options)
  end
  if not conn then return nil, err end
  if options.subscribe ~= nil then
    local ok, why = subscribe(conn, options.subscribe)
    if not ok then
      conn:close()
      return nil, why
    end
  end
  return conn
end

local function from_config(source)
  local cfg, err = config.new(source)
  if not cfg then return nil, nil, err end
  local parsed
  parsed, err = target.of_config(cfg)
  return parsed, connect.options_of(cfg), err
end

---What a configuration says about the connection.
---@param cfg inner_universe.Config
---@return table options
function connect.options_of(cfg)
  if cfg.backend == "spacetimedb" then
    local options = remote.options_of(cfg)
    options.module = cfg.module
    return options
  end
  return {
    durability = cfg.durability, flush_interval_ms = cfg.flush_interval_ms, module = cfg.module, reducer_timeout_ms = cfg.reducer_timeout_ms,
    reducer_memory_mb = cfg.reducer_memory_mb, recover = cfg.recover, snapshot = cfg.snapshot or nil,
  }
end

---@class inner_universe.ReconnectOptions
---@field min_delay? number seconds before the first new attempt; doubled with each, half of it random [0.5]
---@field max_delay? number [30]
---@field max_attempts? integer attempts in a row [without end]
---@field first? boolean whether the very first connect is tried again, too [false]

---@class inner_universe.ConnectOptions
---@field durability? "full"|"normal"|"off" [normal]
---@field flush_interval_ms? integer [20]
---@field fold_bytes? integer journal bytes that start a fold
---@field pending_bytes_max? integer unwritten bytes past which calls wait for room, or are an OverloadedError where they must not wait [256 MiB]
---@field client_info? string
---@field module? string|inner_universe.Module|(string|inner_universe.Module)[] embedded: modules of one's own, or the paths of files that return them
---@field nerv? boolean embedded: whether the toolkit's own tables and reducers are there [true]
---@field reducer_timeout_ms? integer embedded: what a reducer in Lua may take [5000]
---@field reducer_memory_mb? integer embedded: and how much of Lua's memory [256]
---@field recover? "prefix" a file whose journal is damaged: the commits before the damage are kept, the rest is set aside and told in status().recovery.lost
---@field snapshot? boolean a universe in memory that starts with what the file holds; the file is only read [false]
---@field token? string servers: the identity to be; without it, and without a token file, a new anonymous one
---@field token_file? string servers: where the token is kept; "auto": a file per server and database below the user's state folder
---@field protocol? "v1"|"v2"|"v3"|"v1.json" servers: the only one offered [the best both know]
---@field compression? "none"|"gzip"|"brotli" servers: of what comes from there ["none"]
---@field light? boolean servers, v1: others' changes without their reducer [false]
---@field confirmed? boolean servers: changes are told when they are durable there [the server's default]
---@field connect_timeout? number servers: seconds for one attempt [10]
---@field ping_interval? number servers: seconds of silence after which a ping is sent [10]
---@field idle_timeout? number servers: seconds of silence after which the connection counts as lost [35]
---@field reconnect? false|inner_universe.ReconnectOptions servers
---@field away? "refuse"|"queue" servers: what becomes of calls while there is no connection ["refuse"]
---@field away_calls_max? integer servers: calls that may wait [10000]
---@field away_bytes_max? integer servers: and their bytes [8 MiB]
---@field in_flight_max? integer servers: requests without an answer [8192]
---@field outgoing_bytes_max? integer servers: requests that wait to be sent; past it calls answer OverloadedError [64 MiB]
---@field incoming_bytes_max? integer servers: received and not applied yet; past it nothing more is read [64 MiB]
---@field message_bytes_max? integer servers: one message; past it the connection starts anew [64 MiB]
---@field answer_bytes_max? integer servers: one answer to a query; past it the query ends with OverloadedError [32 MiB]
---@field ca_file? string servers, wss: what is trusted instead of the system's certificates
---@field insecure? boolean servers, wss: trusts anybody; for tests
---@field owner? boolean servers: ask for private tables, too [false]
---@field schema? string servers: what `conn:schema_json()` was at an earlier time; connect then answers at once, connected or not, and goes on trying
---@field on_state? fun(state: table) servers: as conn:on_state, from the first attempt on
---@field subscribe? "all"|string[] subscribed and applied before connect returns
---@field timeout? number seconds a call waits for its answer [30]

---@param where string|table
---@param options? inner_universe.ConnectOptions
---@return inner_universe.Connection?, inner_universe.Error?
function connect.connect(where, options)
  local parsed, effective, err
  if type(where) == "string" then
    parsed, err = target.parse(where)
    effective = {}
  else
    parsed, effective, err = from_config(where)
  end
  if not parsed then return nil, err end
  local ok
  ok, err = check_options(options or {}, parsed.kind == "server")
  if not ok then return nil, err end
  for key, value in pairs(options or {}) do
    effective[key] = value
  end
  return connect.open(parsed, effective)
end

return connect
