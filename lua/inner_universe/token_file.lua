-- token_file.lua: where the token of an identity is kept: a file per server and database, so that two of them never share an identity by accident. Both
-- the connection to a database and the HTTP side of its server use it, so whoever publishes a database connects to it as its owner. The file is one
-- line, readable for the user alone (core/client/token.c).

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")

local token_file = {}

---The path that a `token_file` option means: "auto" is one per server and database, "none" and nil none.
---@param option? string
---@param address string
---@param port integer
---@param database string
---@return string?
function token_file.path(option, address, port, database)
  if option == "auto" then return runtime.core.token_path(address, port, database) end
  return option ~= "none" and option or nil
end

---The token that is kept there; nil when none is, nil and an err when the file cannot be read or holds something else.
---@param path string
---@return string? token, inner_universe.Error? err
function token_file.read(path)
  return runtime.core.token_read(path)
end

---@param path string
---@param token string
---@return true?, inner_universe.Error?
function token_file.write(path, token)
  return runtime.core.token_write(path, token)
end

---What no token holds.
---@param token string
---@return true?, inner_universe.Error?
function token_file.check(token)
  local at = token:find("[^\33-\126]")
  if token == "" or at then
    return nil, errors.new("ValidationError", at and ("token: a character at %d that cannot be part of one"):format(at) or "token: it is empty")
  end
  return true
end

return token_file
