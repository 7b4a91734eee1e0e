-- server_sql.lua: SQL over HTTP: its request and its results; and what a connection over WebSocket asks that way, because the queries of its protocol are
-- whole rows only: column lists, COUNT(*), LIMIT.

local runtime = require("inner_universe.runtime")
local server_request = require("inner_universe.server_request")

local server_sql = {}

---Runs statements: their results ({ rows, columns, ... } each), or nil, err. Raises where nothing may wait, `level` functions up.
---@param self inner_universe.Server
---@param level integer
---@param name string
---@param text string
---@return table[]? results, inner_universe.Error? err
function server_sql.run(self, level, name, text)
  local reads = text:match("^%s*(%a+)")
  local path, fields = server_request.database_path(name, "/sql", {
    body = text, content_type = "text/plain", writes = not reads or reads:upper() ~= "SELECT",
  })
  if not path then return nil, fields end
  local answer, err = server_request.send(self, level + 1, "sql " .. name, "POST", path, fields)
  if not answer then return nil, err end
  return runtime.core.sql_answer(answer.body)
end

---What runs a connection's queries so, as whoever it is: rows, or nil, err.
---@param parsed table of target.parse
---@param options table of remote.OPTIONS
---@return fun(core: table, level: integer, text: string, timeout: number): table[]?, inner_universe.Error?
function server_sql.of_connection(parsed, options)
  local address = parsed.address:find(":", 1, true) and "[" .. parsed.address .. "]" or parsed.address
  local url = ("%s://%s:%d"):format(parsed.tls and "https" or "http", address, parsed.port)
  return function(core, level, text, timeout)
    local as = {
      url = url, token_given = true, token = core:status().token, timeout = timeout, answer_bytes_max = options.answer_bytes_max,
      ca_file = options.ca_file, insecure = options.insecure,
    }
    local results, err = server_sql.run(as, level + 1, parsed.database, text)
    if not results then return nil, err end
    return results[1] and results[1].rows or {}
  end
end

return server_sql
