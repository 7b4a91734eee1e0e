-- where.lua: which server, which database and whose request it is, the same for every command that asks a server: options win over what a database's
-- address says, and that over the configuration (file, INNER_UNIVERSE_* variables).

local iu = require("inner_universe")

local where = {}

local OPTIONS = {
  server = { value = "URL", help = "http://host:port or ws://host:port (default: the configuration's)" },
  config = { value = "FILE", help = "a configuration, .json or .lua (default: the environment's)" },
  token = { value = "TOKEN", help = "who asks (INNER_UNIVERSE_TOKEN keeps it out of the list of processes)" },
  ["token-file"] = { value = "FILE", help = "where the token is kept (default: per server and database, in your state folder)" },
  ["ca-file"] = { value = "FILE", help = "https: what is trusted instead of the system's certificates" },
  timeout = { value = "SECONDS", number = true, help = "for one request" },
}

---The options of a command that asks a server, with those of its own.
---@param own table?
---@return table
function where.options(own)
  local all = {}
  for name, option in pairs(OPTIONS) do
    all[name] = option
  end
  for name, option in pairs(own or {}) do
    all[name] = option
  end
  return all
end

local function url_of(cfg)
  return ("%s://%s:%d"):format(cfg.tls and "https" or "http", cfg.address, cfg.port)
end

---The server's object, the configuration and the database, where a word names one.
---@param options table of the command line
---@param word? string a DATABASE
---@return inner_universe.Server? http
---@return any database the name; or the err
---@return inner_universe.Config? cfg
function where.find(options, word)
  local cfg, err = iu.config(options.config)
  if not cfg then return nil, err end
  local url, database = options.server or url_of(cfg), word
  if word == nil or word == "." then database = cfg.database end
  local base, name = (word or ""):match("^(%a+://[^/]+)/+([^/]+)/?$")
  if base then
    url, database = options.server or base, name
  end
  local http
  http, err = iu.server(url, {
    token = options.token or not options["token-file"] and cfg.token or nil, token_file = options["token-file"] or cfg.token_file,
    timeout = options.timeout, ca_file = options["ca-file"] or cfg.ca_file,
  })
  if not http then return nil, err end
  return http, database, cfg
end

---An argument that is JSON, or any other text as it is.
---@param text string
function where.value(text)
  local value = iu.json.decode(text)
  if value == nil then return text end
  return value
end

return where
