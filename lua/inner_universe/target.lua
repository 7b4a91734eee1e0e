-- Targets: what `iu.open` and `iu.connect` are given. `memory:`, a path or `file:path`, `ws://host:port/database` or wss://.

local errors = require("inner_universe.errors")

local target = {}

local function invalid(text, why)
  return nil, errors.new("ValidationError", ("target '%s': %s"):format(text, why))
end

local DEFAULT_PORTS = { ws = 3000, wss = 443, http = 80, https = 443 }

-- host[:port]; IPv6 addresses in brackets.
local function parse_authority(text, scheme, authority)
  local host, port = authority:match("^(%[[%x:.]+%]):?(%d*)$")
  if not host then
    host, port = authority:match("^([^:]+):?(%d*)$")
  end
  if not host then return invalid(text, "expected a host name or address") end
  local number = port == "" and DEFAULT_PORTS[scheme] or math.tointeger(tonumber(port))
  if number < 1 or number > 65535 then return invalid(text, "port out of range (1 to 65535)") end
  return host, number
end

-- ws://host[:port]/database
local function parse_server(text, scheme, rest)
  local authority, database = rest:match("^([^/]*)/?([^/]*)/?$")
  if not authority then return invalid(text, "expected " .. scheme .. "://host:port/database") end
  local host, port = parse_authority(text, scheme, authority)
  if not host then return nil, port end
  if database == "" then return invalid(text, "no database (expected " .. scheme .. "://host:port/database)") end
  return { kind = "server", address = host, port = port, database = database, tls = scheme == "wss", text = text }
end

---A server without a database, for HTTP: http://host:port or https://; ws:// and wss:// mean the same server.
---@param text string
---@return { url: string, address: string, port: integer, tls: boolean }?, inner_universe.Error?
function target.parse_http(text)
  local scheme, authority = text:match("^(%a+)://([^/?#@]+)/*$")
  scheme = scheme and scheme:lower()
  if not DEFAULT_PORTS[scheme] or text:find("[^\33-\126]") then
    return nil, errors.new("ValidationError", ("url: http://host:port or https://host:port expected, got '%s'"):format(
      text:sub(1, 200):gsub("[^\32-\126]", "?")))
  end
  local host, port = parse_authority(text, scheme, authority)
  if not host then return nil, port end
  local tls = scheme == "https" or scheme == "wss"
  return { url = ("%s://%s:%d"):format(tls and "https" or "http", host, port), address = host, port = port, tls = tls }
end

---@param text string
---@return { kind: "memory"|"file"|"server", path?: string, text: string }?, inner_universe.Error?
function target.parse(text)
  if text == "" then return invalid(text, "empty (memory:, a path, or ws://host:port/database expected)") end
  if text:find("\0", 1, true) then return invalid("...", "contains a zero byte") end
  if text == "memory:" then return { kind = "memory", text = text } end
  if text:match("^memory:") then return invalid(text, "nothing may follow memory:") end
  local path = text:match("^file:(.*)$")
  if path then
    path = path:match("^//(/.*)$") or path
    if path == "" then return invalid(text, "no path after file:") end
    return { kind = "file", path = path, text = text }
  end
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme then return { kind = "file", path = text, text = text } end
  scheme = scheme:lower()
  if scheme == "ws" or scheme == "wss" then return parse_server(text, scheme, rest) end
  return invalid(text, ("unknown scheme '%s' (memory:, file:, ws:// or wss:// expected)"):format(scheme))
end

---What a configuration points at.
---@param cfg inner_universe.Config
function target.of_config(cfg)
  if cfg.backend == "spacetimedb" then
    return target.parse(("%s://%s:%d/%s"):format(cfg.tls and "wss" or "ws", cfg.address, cfg.port, cfg.database))
  end
  local parsed, err = target.parse(cfg.db_path)
  if parsed and parsed.kind == "server" then
    return invalid(cfg.db_path, "db_path is a path or memory:; servers are named by backend, address, port and database")
  end
  return parsed, err
end

return target
