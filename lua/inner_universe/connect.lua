-- `iu.connect`: from a target and options to an open connection. A target is a text (see target.lua) or a configuration; options win over
-- what the configuration says.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")
local config = require("inner_universe.config")
local target = require("inner_universe.target")
local connection = require("inner_universe.connection")

local connect = {}

local OPTIONS = {
  durability = "string", flush_interval_ms = "integer", fold_bytes = "integer", pending_bytes_max = "integer", client_info = "string",
  subscribe = "any", timeout = "number",
}
local DURABILITY = { full = true, normal = true, off = true }

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function check_options(options)
  for key, value in pairs(options) do
    local expected = OPTIONS[key]
    if not expected then return invalid("connect: unknown option '%s'%s", tostring(key), suggest.hint(tostring(key), OPTIONS)) end
    local actual = expected == "integer" and math.type(value) or type(value)
    if expected ~= "any" and actual ~= expected then return invalid("connect: %s: %s expected, got %s", key, expected, type(value)) end
    if expected == "integer" and value < 1 then return invalid("connect: %s: 1 or more expected, got %d", key, value) end
  end
  local durability = options.durability
  if durability and not DURABILITY[durability] then
    return invalid("connect: durability: one of full, normal, off expected, got '%s'%s", durability, suggest.hint(durability, DURABILITY))
  end
  local timeout = options.timeout
  if timeout and (timeout ~= timeout or timeout <= 0) then return invalid("connect: timeout: more than 0 seconds expected") end
  return true
end

---The queries of every public table, sorted by name.
---@param schema table
---@return string[]
function connect.all_tables(schema)
  local queries = {}
  for name, def in pairs(schema.tables) do
    if def.public then queries[#queries + 1] = "SELECT * FROM " .. name end
  end
  table.sort(queries)
  return queries
end

local function subscribe(conn, what)
  if what == "all" then
    what = connect.all_tables(conn:schema())
  elseif type(what) ~= "table" then
    return invalid("connect: subscribe: \"all\" or an array of queries expected, got %s", tostring(what))
  end
  if #what == 0 then return true end
  local sub, err = conn:subscribe(what)
  if not sub then return nil, err end
  return sub:wait()
end

---Opens what a parsed target names.
---@param parsed table
---@param options table of OPTIONS, checked
---@return inner_universe.Connection?, inner_universe.Error?
function connect.open(parsed, options)
  if parsed.kind == "server" then return nil, target.no_client(parsed) end
  local core_conn, err = runtime.core.open({
    path = parsed.path,
    durability = options.durability or "normal",
    flush_interval_ms = options.flush_interval_ms,
    fold_bytes = options.fold_bytes,
    pending_bytes_max = options.pending_bytes_max,
    client_info = options.client_info,
  })
  if not core_conn then return nil, err end
  local conn = connection.new(core_conn, { target = parsed.text, timeout = options.timeout })
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
  return parsed, { durability = cfg.durability, flush_interval_ms = cfg.flush_interval_ms }, err
end

---@class inner_universe.ConnectOptions
---@field durability? "full"|"normal"|"off" [normal]
---@field flush_interval_ms? integer [20]
---@field fold_bytes? integer journal bytes that start a fold
---@field pending_bytes_max? integer unwritten bytes past which calls answer OverloadedError
---@field client_info? string
---@field subscribe? "all"|string[] subscribed and applied before connect returns
---@field timeout? number seconds a call waits for its answer [30]

---@param where string|table
---@param options? inner_universe.ConnectOptions
---@return inner_universe.Connection?, inner_universe.Error?
function connect.connect(where, options)
  local ok, err = check_options(options or {})
  if not ok then return nil, err end
  local parsed, effective
  if type(where) == "string" then
    parsed, err = target.parse(where)
    effective = {}
  else
    parsed, effective, err = from_config(where)
  end
  if not parsed then return nil, err end
  for key, value in pairs(options or {}) do
    effective[key] = value
  end
  return connect.open(parsed, effective)
end

return connect
