-- server_request.lua: one request to a SpacetimeDB server over HTTP: whose it is, its answer, and what a refusal means. Servers use 500, 400 and 404 for much
-- that has a status of its own elsewhere, and 1.2.0 and 2.8.3 differ: a refusal's kind comes from its status and its words, and where neither says
-- enough, nothing is claimed: not that a database is missing, and not that a write may be tried again.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local token_file = require("inner_universe.token_file")

local server_request = {}

local tasks = runtime.tasks
local WORDS_MAX = 1000 -- characters of a refusal that are passed on

-- What a refusal says: its text, or a variant and what is in it, where the answer is {"PermissionDenied":{"name":"..."}} and the like.
---@param answer { body: string }
---@return string
function server_request.words(answer)
  local words = answer.body:gsub("%s+$", "")
  local value = words:match("^{") and runtime.core.json_decode(words)
  if type(value) == "table" then
    local variant, inner = next(value)
    if type(variant) == "string" and next(value, variant) == nil then
      words = ("%s: %s"):format(variant, type(inner) == "string" and inner or runtime.core.json_encode(inner) or "")
    end
  end
  if #words > WORDS_MAX then words = words:sub(1, WORDS_MAX - 3) .. "..." end
  return words
end

local function says(words, list)
  for _, pattern in ipairs(list) do
    if words:find(pattern) then return true end
  end
  return false
end

local NOT_ALLOWED = { "Permission ?[Dd]enied", "not authorized", "Only owners", "does not own database", "NotYourDatabase" }
local NOT_MIGRATED = { "Database update rejected", "Failed to create or update the database" }
local NO_FUNCTION = { "^[Nn]o such reducer", "^[Nn]o such procedure" }
local NO_DATABASE = { "^[Nn]o such database", "^`[^`]+` not found$" }
local OVERLOADED = { [402] = true, [413] = true, [429] = true, [503] = true }

-- fields.on: "server" or "database"; a database's routes that every server has answer 404 without words for a database that is not there (1.2.0).
-- fields.writes: what the server did before it refused cannot be told.
local function kind_of(status, words, fields)
  if status == 401 or status == 403 or says(words, NOT_ALLOWED) then return "AuthorizationError" end
  if says(words, NOT_MIGRATED) then return "MigrationError" end
  if says(words, NO_FUNCTION) then return "ValidationError" end
  if status == 404 then
    local missing = says(words, NO_DATABASE) or words == "" and fields.on == "database"
    return "ConnectionError", missing and "NO_DATABASE" or nil
  end
  if OVERLOADED[status] then return "OverloadedError" end
  if status == 504 then return "TimeoutError" end
  if status >= 500 then return fields.failure or "ConnectionError" end
  return status >= 400 and "ValidationError" or "ConnectionError" -- a redirect is not followed
end

local function may_retry(status, kind, fields)
  if status == 413 or kind == "AuthorizationError" then return false end
  if status == 429 or status == 503 then return true end
  return status >= 500 and not fields.writes and (kind == "ConnectionError" or kind == "TimeoutError")
end

---What a status that is no success means.
---@param what string what was asked, in words
---@param answer { status: integer, body: string }
---@param fields? { on?: "server"|"database", writes?: boolean, failure?: inner_universe.Kind }
---@return inner_universe.Error
function server_request.refusal(what, answer, fields)
  local status, words = answer.status, server_request.words(answer)
  if status == 530 then return errors.from_reducer(words) end
  fields = fields or {}
  local kind, code = kind_of(status, words, fields)
  return errors.new(kind, ("%s: %d%s"):format(what, status, words ~= "" and " " .. words or ""),
    { code = code, retryable = may_retry(status, kind, fields), details = { status = status } })
end

-- paths ----------------------------------------------------------------------------------------------------------------

---Of a database, or its identity.
---@param name string
---@return boolean
function server_request.is_name(name)
  return name:find("^%w[%w-]*$") ~= nil
end

---The path of something of a database, and the fields of a request for it.
---@param name string
---@param more? string
---@param fields? table
---@return string? path
---@return any fields or an err
function server_request.database_path(name, more, fields)
  if not server_request.is_name(name) then
    return nil, errors.new("ValidationError", ("database: a name of letters, digits and hyphens expected, got '%s'"):format(name:sub(1, 60)))
  end
  fields = fields or {}
  fields.database = name
  if fields.on == nil then fields.on = "database" end
  return "/v1/database/" .. name .. (more or ""), fields
end

-- whose request it is --------------------------------------------------------------------------------------------------

---The file that keeps the token for requests about a database; nil: none.
---@param self inner_universe.Server
---@param database? string
---@return string?
function server_request.token_path(self, database)
  if self.token_given or self.token_file == "auto" and not database then return nil end
  return token_file.path(self.token_file, self.address, self.port, database)
end

---The token: the one given, else the file's, else that of the owner an earlier publish made; nil: none.
---@return string? token, inner_universe.Error? err
function server_request.token(self, database)
  local path = server_request.token_path(self, database)
  local kept, err
  if path then kept, err = token_file.read(path) end
  if err then return nil, err end
  return kept or self.token
end

---Keeps a token for requests about a database, where there is a file for that and nothing in it.
---@param database string
---@param token? string
---@return true?, inner_universe.Error?
function server_request.keep_token(self, database, token)
  local path = token and server_request.token_path(self, database)
  if not path or token_file.read(path) then return true end
  return token_file.write(path, token)
end

-- requests -------------------------------------------------------------------------------------------------------------

---What core.http is asked, without what is told of the answer.
---@param self inner_universe.Server
---@param method string
---@param path string
---@param fields table database, token, body, content_type, timeout
---@return table? request, inner_universe.Error? err
function server_request.prepare(self, method, path, fields)
  local token, err = fields.token, nil
  if not token then token, err = server_request.token(self, fields.database) end
  if err then return nil, err end
  local headers = { { "Accept", "*/*" } }
  if token then headers[#headers + 1] = { "Authorization", "Bearer " .. token } end
  if fields.content_type then headers[#headers + 1] = { "Content-Type", fields.content_type } end
  return {
    url = self.url .. path, method = method, headers = headers, body = fields.body, timeout = fields.timeout or self.timeout,
    max_body = self.answer_bytes_max, ca_file = self.ca_file, insecure = self.insecure,
  }
end

-- No answer to a write that has left: like a call over a connection that was lost.
local function unknown_outcome(what, why)
  return errors.new("ConnectionError", ("%s: it was sent, but whether it was applied is unknown: %s"):format(what, why.message),
    { code = "UNKNOWN_OUTCOME", retryable = false, cause = why })
end

---The answer, or nil, err. Raises where nothing may wait, `level` functions up.
---@param level integer 1: the line that calls this, 2: that of its caller
---@param what string
---@param fields? table of prepare and refusal
---@return { status: integer, body: string, token?: string, identity?: string }? answer, inner_universe.Error? err
function server_request.send(self, level, what, method, path, fields)
  fields = fields or {}
  local asked, err = server_request.prepare(self, method, path, fields)
  if not asked then return nil, err end
  local waiter = tasks.waiter()
  local handle
  handle, err = runtime.core.http(asked, function(why, answer)
    if why and fields.writes and answer.sent then why = unknown_outcome(what, why) end
    waiter:resolve(why == nil and answer or nil, why)
  end)
  if not handle then return nil, err end
  local close <close> = handle
  local answer
  answer, err = tasks.wait(waiter, nil, level + 1, what)
  if not answer then return nil, err end
  if close and (answer.status < 200 or answer.status > 299) then return nil, server_request.refusal(what, answer, fields) end
  return answer
end

---The same for an answer in JSON: its value and the answer; or nil, err.
function server_request.send_json(self, level, what, method, path, fields)
  local answer, err = server_request.send(self, level + 1, what, method, path, fields)
  if not answer then return nil, err end
  local value
  value, err = runtime.core.json_decode(answer.body)
  if value == nil then return nil, errors.wrap("ConnectionError", what .. ": the server's answer is no JSON", err) end
  return value, answer
end

return server_request
