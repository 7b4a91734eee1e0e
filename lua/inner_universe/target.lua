-- Targets: what `iu.open` and `iu.connect` are given. `memory:`, a path or `file:path`, `ws://host:port/database` or wss://.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")

local target = {}

local function invalid(text, why)
  return nil, errors.new("ValidationError", ("target '%s': %s"):format(text, why))
end

local HTTP_PORTS = { ws = 3000, wss = 443, http = 80, https = 443 }

---A server without a database, for HTTP: http://host:port or https://; ws:// and wss:// mean the same server.
---@param text string
---@return { url: string, address: string, port: integer, tls: boolean }?, inner_universe.Error?
function target.parse_http(text)
  local scheme, authority = text:match("^(%a+)://([^/?#@]+)/*$")
  scheme = scheme and scheme:lower()
  if not HTTP_PORTS[scheme] or text:find("[^\33-\126]") then
    return nil, errors.new("ValidationError", ("url: http://host:port or https://host:port expected, got '%s'"):format(
      text:sub(1, 200):gsub("[^\32-\126]", "?")))
  end
  local host, port = runtime.core.authority(authority, HTTP_PORTS[scheme])
  if not host then return invalid(text, port) end
  local tls = scheme == "https" or scheme == "wss"
  return { url = ("%s://%s:%d"):format(tls and "https" or "http", host, port), address = host, port = port, tls = tls }
end

---@param text string
---@return { kind: "memory"|"file"|"server", path?: string, text: string }?, inner_universe.Error?
function target.parse(text)
  local parsed, err = runtime.core.target(text)
  if not parsed then return nil, err end
  parsed.text = text
  return parsed
end

---What a configuration points at.
---@param cfg inner_universe.Config
function target.of_config(cfg)
  if cfg.backend == "spacetimedb" then
    local host = cfg.address
    if host:find("^[%x.]*:[%x:.]*$") then host = "[" .. host .. "]" end -- an IPv6 address as it is written elsewhere
    return target.parse(("%s://%s:%d/%s"):format(cfg.tls and "wss" or "ws", host, cfg.port, cfg.database))
  end
  local parsed, err = target.parse(cfg.db_path)
  if parsed and parsed.kind == "server" then
    return invalid(cfg.db_path, "db_path is a path or memory:; servers are named by backend, address, port and database")
  end
  return parsed, err
end

return target
