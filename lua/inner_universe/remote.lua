-- remote.lua: connections to SpacetimeDB servers: options, the token file, the first connect. `connect.lua` decides who is called.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")
local connection = require("inner_universe.connection")
local server_sql = require("inner_universe.server_sql")
local token_file = require("inner_universe.token_file")

local remote = {}

-- By name: the type. What the core takes under the same name and unit is in PASSED.
remote.OPTIONS = {
  token = "string", token_file = "string", protocol = "string", compression = "string", light = "boolean", confirmed = "boolean",
  connect_timeout = "number", ping_interval = "number", idle_timeout = "number", reconnect = "any", away = "string",
  away_calls_max = "integer", away_bytes_max = "integer", in_flight_max = "integer", outgoing_bytes_max = "integer",
  incoming_bytes_max = "integer", message_bytes_max = "integer", answer_bytes_max = "integer", ca_file = "string", insecure = "boolean",
  owner = "boolean", on_state = "function", schema = "string",
}
local PASSED = {
  "token", "schema", "light", "connect_timeout", "ping_interval", "idle_timeout", "away", "away_calls_max", "away_bytes_max", "in_flight_max",
  "outgoing_bytes_max", "incoming_bytes_max", "message_bytes_max", "answer_bytes_max", "ca_file", "insecure",
}
local RECONNECT = { min_delay = "number", max_delay = "number", max_attempts = "integer", first = "boolean" }
local PROTOCOLS = {
  v1 = "v1.bsatn.spacetimedb", v2 = "v2.bsatn.spacetimedb", v3 = "v3.bsatn.spacetimedb", ["v1.json"] = "v1.json.spacetimedb",
}
local COMPRESSIONS = { none = true, gzip = true, brotli = true }
local AWAY = { refuse = true, queue = true }

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function one_of(key, value, list)
  if value == nil or list[value] then return true end
  local names = {}
  for name in pairs(list) do names[#names + 1] = name end
  table.sort(names)
  return invalid("connect: %s: one of %s expected, got '%s'%s", key, table.concat(names, ", "), value, suggest.hint(value, list))
end

local function check_reconnect(reconnect)
  if reconnect == nil or type(reconnect) == "boolean" then return true end
  if type(reconnect) ~= "table" then return invalid("connect: reconnect: a table or false expected, got %s", type(reconnect)) end
  return check.options("connect", reconnect, RECONNECT, "reconnect")
end

local function check_values(options)
  local ok, err = one_of("protocol", options.protocol, PROTOCOLS)
  if ok then ok, err = one_of("compression", options.compression, COMPRESSIONS) end
  if ok then ok, err = one_of("away", options.away, AWAY) end
  if ok then ok, err = check_reconnect(options.reconnect) end
  if not ok then return nil, err end
  return true
end

local function settings_of(parsed, options)
  local reconnect = options.reconnect
  local settings = {
    url = ("%s://%s:%d"):format(parsed.tls and "wss" or "ws", parsed.address, parsed.port),
    database = parsed.database,
    protocol = PROTOCOLS[options.protocol],
    compression = options.compression or "none",
    confirmed = options.confirmed == nil and "default" or options.confirmed and "yes" or "no",
    is_owner = options.owner,
    no_reconnect = reconnect == false,
  }
  for _, key in ipairs(PASSED) do
    settings[key] = options[key]
  end
  if type(reconnect) == "table" then
    settings.min_delay, settings.max_delay = reconnect.min_delay, reconnect.max_delay
    settings.max_attempts, settings.retry_first = reconnect.max_attempts, reconnect.first
  end
  if options.schema then settings.retry_first = true end
  settings.token_file = token_file.path(options.token_file, parsed.address, parsed.port, parsed.database)
  return settings
end

---Connects to a server and waits for it; where its schema is known from an earlier time (options.schema) it is not waited for.
---@param parsed table of target.parse
---@param options table of remote.OPTIONS
---@return inner_universe.Connection?, inner_universe.Error?
function remote.open(parsed, options)
  local ok, err = check_values(options)
  if not ok then return nil, err end
  local core_conn
  core_conn, err = runtime.core.connect(settings_of(parsed, options))
  if not core_conn then return nil, err end
  local conn = connection.new(core_conn, {
    target = parsed.text,
    timeout = options.timeout,
    remote = true,
    by_http = server_sql.of_connection(parsed, options),
    again = function(token)
      local own = {}
      for key, value in pairs(options) do own[key] = value end
      own.token, own.token_file, own.owner, own.on_state, own.schema = token, nil, nil, nil, nil
      return remote.open(parsed, own)
    end,
  })
  if options.on_state then conn:on_state(options.on_state) end
  if options.schema then return conn end
  ok, err = connection.await_opened(conn)
  if ok then return conn end
  conn:close()
  return nil, err
end

---What a configuration says about connections to servers.
---@param cfg inner_universe.Config
---@return table options
function remote.options_of(cfg)
  return {
    token = cfg.token,
    token_file = cfg.token_file,
    protocol = cfg.protocol ~= "auto" and cfg.protocol or nil,
    compression = cfg.compression,
    confirmed = ({ yes = true, no = false })[cfg.confirmed],
    ca_file = cfg.ca_file,
    away = cfg.away,
    reconnect = cfg.reconnect and {
      min_delay = cfg.reconnect_min_delay_ms / 1000, max_delay = cfg.reconnect_max_delay_ms / 1000,
      max_attempts = cfg.reconnect_attempts > 0 and cfg.reconnect_attempts or nil,
    },
  }
end

return remote
