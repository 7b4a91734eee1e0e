-- server.lua: `iu.server`: what a SpacetimeDB server offers over HTTP. Each method is one request that waits for its answer (a log can be followed); a
-- refusal is `nil, err` with the server's own words, of the kind that its status and words mean on 1.2.0 and on 2.8.3.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local suggest = require("inner_universe.suggest")

local server = {}
local tasks = runtime.tasks

local OPTIONS = { token = "string", timeout = "number", ca_file = "string", insecure = "boolean" }
local PUBLISH_OPTIONS = { clear = "boolean", policy = "string", migration_token = "string", timeout = "number" }
local LOG_OPTIONS = { lines = "integer", follow = "boolean" }
local POLICIES = { Compatible = true, BreakClients = true }
local TIMEOUT, PUBLISH_TIMEOUT = 30, 120 -- seconds
local NAME = "^[%w][%w-]*$" -- of a database, or its identity

---@class inner_universe.ServerOptions
---@field token? string whose requests these are; without it each is a new anonymous identity's
---@field timeout? number seconds for one request [30]
---@field ca_file? string https: trusted instead of the system's certificates
---@field insecure? boolean https: trusts anybody; for tests

---@class inner_universe.Server
---@field url string
---@field token? string
local Server = { __name = "inner_universe.Server" }
Server.__index = Server

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function check_options(what, options, known)
  for key, value in pairs(options or {}) do
    local expected = known[key]
    if not expected then return invalid("%s: unknown option '%s'%s", what, tostring(key), suggest.hint(tostring(key), known)) end
    local actual = expected == "integer" and math.type(value) or type(value)
    if actual ~= expected then return invalid("%s: %s: %s expected, got %s", what, key, expected, type(value)) end
  end
  return true
end

local function encode(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- requests -----------------------------------------------------------------------------------------------------------

-- What a status that is no success means. Servers use 500 and 400 for much that has a status of its own elsewhere.
local function refusal(what, answer)
  local status, words = answer.status, answer.body:gsub("%s+$", "")
  if #words > 1000 then words = words:sub(1, 997) .. "..." end
  local kind, fields = "ConnectionError", { details = { status = status }, retryable = status >= 500 and status ~= 530 }
  if status == 530 then return errors.from_reducer(words) end
  if status == 401 or status == 403 or words:find("Permission denied", 1, true) or words:find("not authorized", 1, true)
    or words:find("Only owners", 1, true) or words:find("does not own database", 1, true) then
    kind, fields.retryable = "AuthorizationError", false
  elseif words:find("Database update rejected", 1, true) or words:find("Failed to create or update the database", 1, true) then
    kind, fields.retryable = "MigrationError", false
  elseif words:find("^[Nn]o such reducer") or words:find("^[Nn]o such procedure") then
    kind = "ValidationError"
  elseif status == 404 then
    fields.code = "NO_DATABASE"
  elseif status == 402 or status == 429 or status == 503 then
    kind = "OverloadedError"
  elseif status < 500 then
    kind = "ValidationError"
  end
  return errors.new(kind, ("%s: %d%s"):format(what, status, words ~= "" and " " .. words or ""), fields)
end

-- The answer, or nil, err; raises (level of the method's caller) where nothing may wait.
local function request(self, what, method, path, fields)
  fields = fields or {}
  local headers = { { "Accept", "*/*" } }
  local token = fields.token or self.token
  if token then headers[#headers + 1] = { "Authorization", "Bearer " .. token } end
  if fields.content_type then headers[#headers + 1] = { "Content-Type", fields.content_type } end
  local waiter = tasks.waiter()
  local handle, err = runtime.core.http({
    url = self.url .. path, method = method, headers = headers, body = fields.body, timeout = fields.timeout or self.timeout,
    ca_file = self.ca_file, insecure = self.insecure,
  }, function(why, answer) waiter:resolve(why == nil and answer or nil, why) end)
  if not handle then return nil, err end
  local close <close> = handle
  local answer
  answer, err = tasks.wait(waiter, nil, 4, what)
  if not answer then return nil, err end
  if close and (answer.status < 200 or answer.status > 299) then return nil, refusal(what, answer) end
  return answer
end

local function request_json(self, what, method, path, fields)
  local answer, err = request(self, what, method, path, fields)
  if not answer then return nil, err end
  local value
  value, err = runtime.core.json_decode(answer.body)
  if value == nil then return nil, errors.wrap("ConnectionError", what .. ": the server's answer is no JSON", err) end
  return value, answer
end

local function database_path(name, more)
  if not name:match(NAME) then return invalid("database: a name of letters, digits and hyphens expected, got '%s'", name:sub(1, 60)) end
  return "/v1/database/" .. name .. (more or "")
end

-- the server ---------------------------------------------------------------------------------------------------------

---Whether it answers.
---@return true?, inner_universe.Error?
function Server:ping()
  local answer, err = request(self, "ping", "GET", "/v1/ping")
  if not answer then return nil, err end
  return true
end

---{ version, ... } where the server tells.
---@return table?, inner_universe.Error?
function Server:health()
  local value, err = request_json(self, "health", "GET", "/v1/health")
  if not value then return nil, err end
  return value
end

---A new identity: { identity, token }.
---@return { identity: string, token: string }?, inner_universe.Error?
function Server:identity()
  local value, err = request_json(self, "identity", "POST", "/v1/identity")
  if not value then return nil, err end
  return value
end

---Whether the token (default: this object's) is that identity's.
---@param identity string 64 hex digits
---@param token? string
---@return boolean?, inner_universe.Error?
function Server:verify(identity, token)
  check.type(identity, "string", 1, "verify", "identity")
  check.optional(token, "string", 2, "verify", "token")
  if not identity:match("^%x+$") or #identity ~= 64 then return invalid("identity: 64 hex digits expected, got '%s'", identity:sub(1, 70)) end
  local answer, err = request(self, "verify", "GET", ("/v1/identity/%s/verify"):format(identity), { token = token })
  if answer then return true end
  if err.details and err.details.status == 400 then return false end
  return nil, err
end

---The server's public key, PEM.
---@return string?, inner_universe.Error?
function Server:public_key()
  local answer, err = request(self, "public_key", "GET", "/v1/identity/public-key")
  if not answer then return nil, err end
  return answer.body
end

-- databases ----------------------------------------------------------------------------------------------------------

---Publishes a module under a name: a new database, owned by the token's identity, or the next version of its own. Without a token the server makes an
---owner, whose token is in the answer (keep it: nobody else may publish there again).
---@param name string
---@param wasm string the module's bytes
---@param options? { clear?: boolean, policy?: "Compatible"|"BreakClients", migration_token?: string, timeout?: number }
---@return { op: "created"|"updated", database_identity: string, domain: string, token: string }?, inner_universe.Error?
function Server:publish(name, wasm, options)
  check.type(name, "string", 1, "publish", "name")
  check.type(wasm, "string", 2, "publish", "wasm")
  check.optional(options, "table", 3, "publish", "options")
  options = options or {}
  local ok, err = check_options("publish", options, PUBLISH_OPTIONS)
  if not ok then return nil, err end
  if options.policy and not POLICIES[options.policy] then
    return invalid("publish: policy: Compatible or BreakClients expected, got '%s'", options.policy)
  end
  if wasm:sub(1, 4) ~= "\0asm" then return invalid("publish: wasm: the bytes of a WebAssembly module expected, got %d others", #wasm) end
  local path
  path, err = database_path(name)
  if not path then return nil, err end
  local query = {}
  if options.clear then query[#query + 1] = "clear=true" end
  if options.policy then query[#query + 1] = "policy=" .. options.policy end
  if options.migration_token then query[#query + 1] = "token=" .. encode(options.migration_token) end
  if #query > 0 then path = path .. "?" .. table.concat(query, "&") end
  local value, answer = request_json(self, "publish " .. name, "PUT", path,
    { body = wasm, content_type = "application/wasm", timeout = options.timeout or PUBLISH_TIMEOUT })
  if not value then return nil, answer end
  if type(value) ~= "table" or not value.Success then
    local kind = type(value) == "table" and value.PermissionDenied and "AuthorizationError" or "MigrationError"
    return nil, errors.new(kind, ("publish %s: %s"):format(name, answer.body))
  end
  value.Success.token = self.token or answer.token
  return value.Success
end

---Deletes a database and everything in it.
---@param name string
---@return true?, inner_universe.Error?
function Server:delete(name)
  check.type(name, "string", 1, "delete", "name")
  local path, err = database_path(name)
  if not path then return nil, err end
  local answer
  answer, err = request(self, "delete " .. name, "DELETE", path)
  if not answer then return nil, err end
  return true
end

---{ database_identity, owner_identity, host_type, initial_program }.
---@param name string
---@return table?, inner_universe.Error?
function Server:info(name)
  check.type(name, "string", 1, "info", "name")
  local path, err = database_path(name)
  if not path then return nil, err end
  local value
  value, err = request_json(self, "info " .. name, "GET", path)
  if not value then return nil, err end
  for _, key in ipairs({ "database_identity", "owner_identity" }) do
    local text = type(value[key]) == "table" and value[key].__identity__
    if text then
      local digits = text:gsub("^0x", "")
      value[key] = ("0"):rep(64 - #digits) .. digits -- leading zeros are left out
    end
  end
  if type(value.host_type) == "table" then value.host_type = next(value.host_type) end
  return value
end

---The names of a database.
---@param name string its name or identity
---@return string[]?, inner_universe.Error?
function Server:names(name)
  check.type(name, "string", 1, "names", "name")
  local path, err = database_path(name, "/names")
  if not path then return nil, err end
  local value
  value, err = request_json(self, "names " .. name, "GET", path)
  if not value then return nil, err end
  return value.names
end

---Gives a database one more name.
---@param name string
---@param new_name string
---@return true?, inner_universe.Error?
function Server:add_name(name, new_name)
  check.type(name, "string", 1, "add_name", "name")
  check.type(new_name, "string", 2, "add_name", "new_name")
  local path, err = database_path(name, "/names")
  if not path then return nil, err end
  local value, answer = request_json(self, "add_name " .. name, "POST", path, { body = new_name, content_type = "text/plain" })
  if not value then return nil, answer end
  if value.Success then return true end
  return nil, errors.new(value.PermissionDenied and "AuthorizationError" or "ValidationError", ("add_name %s: %s"):format(name, answer.body))
end

---The module's definition (RawModuleDef as SATS-JSON), decoded.
---@param name string
---@param version? integer 9 or 10 [9]
---@return table?, inner_universe.Error?
function Server:schema(name, version)
  check.type(name, "string", 1, "schema", "name")
  check.optional(version, "integer", 2, "schema", "version")
  local path, err = database_path(name, "/schema?version=" .. (version or 9))
  if not path then return nil, err end
  local value
  value, err = request_json(self, "schema " .. name, "GET", path)
  if not value then return nil, err end
  return value
end

local function row_of(columns, values)
  local row = {}
  for i, name in ipairs(columns) do
    local value = values[i]
    if value ~= runtime.core.null then row[name] = value end
  end
  return row
end

---One statement of the server's SQL: rows by column name (products are arrays, sums { tag, value }, as the server writes untyped values), and
---{ rows_inserted, rows_updated, rows_deleted }.
---@param name string
---@param text string
---@return table[]?, any stats or an err
function Server:sql(name, text)
  check.type(name, "string", 1, "sql", "name")
  check.type(text, "string", 2, "sql", "text")
  local path, err = database_path(name, "/sql")
  if not path then return nil, err end
  local value, answer = request_json(self, "sql", "POST", path, { body = text, content_type = "text/plain" })
  if not value then return nil, answer end
  local result = value[1] or {}
  local columns, rows = {}, {}
  for i, element in ipairs(result.schema and result.schema.elements or {}) do
    columns[i] = type(element.name) == "table" and element.name.some or ("column_%d"):format(i)
  end
  for i, values in ipairs(result.rows or {}) do
    rows[i] = row_of(columns, values)
  end
  return rows, result.stats or {}
end

---Calls a reducer (true), or a procedure (what it returned), with arguments as SATS-JSON: an array, or a table by parameter name.
---@param name string
---@param reducer string
---@param arguments? table
---@return any ok, inner_universe.Error? err
function Server:call(name, reducer, arguments)
  check.type(name, "string", 1, "call", "name")
  check.type(reducer, "string", 2, "call", "reducer")
  check.optional(arguments, "table", 3, "call", "arguments")
  local path, err = database_path(name, "/call/" .. encode(reducer))
  if not path then return nil, err end
  local body
  body, err = runtime.core.json_encode(arguments or runtime.core.array({}))
  if not body then return nil, err end
  local answer
  answer, err = request(self, reducer, "POST", path, { body = body, content_type = "application/json" })
  if not answer then return nil, err end
  if answer.body == "" then return true end
  return runtime.core.json_decode(answer.body)
end

-- Records come a line each; a piece may end in the middle of one.
local function line_reader(fn)
  local rest = ""
  return function(bytes)
    rest = rest .. bytes
    for line in rest:gmatch("([^\n]*)\n") do
      local record = line ~= "" and runtime.core.json_decode(line)
      if record then fn(record) end
    end
    rest = rest:match("[^\n]*$")
  end
end

---The newest records of a database's log, oldest first: { level, ts, message, ... }; for its owner.
---@param name string
---@param options? { lines?: integer } [100]
---@return table[]?, inner_universe.Error?
function Server:logs(name, options)
  check.type(name, "string", 1, "logs", "name")
  check.optional(options, "table", 2, "logs", "options")
  local ok, err = check_options("logs", options, { lines = LOG_OPTIONS.lines })
  if not ok then return nil, err end
  local path
  path, err = database_path(name, "/logs?num_lines=" .. (options and options.lines or 100))
  if not path then return nil, err end
  local answer
  answer, err = request(self, "logs " .. name, "GET", path)
  if not answer then return nil, err end
  local records = {}
  line_reader(function(record) records[#records + 1] = record end)(answer.body .. "\n")
  return records
end

---Follows a log: `fn(record)` for each of the newest `lines` and of those to come, until the handle is closed or the connection ends, which
---`on_end(err)` hears.
---@param name string
---@param fn fun(record: table)
---@param options? { lines?: integer, on_end?: fun(err: inner_universe.Error?) }
---@return { close: fun(self) }?, inner_universe.Error?
function Server:follow_logs(name, fn, options)
  check.type(name, "string", 1, "follow_logs", "name")
  check.type(fn, "callable", 2, "follow_logs", "fn")
  check.optional(options, "table", 3, "follow_logs", "options")
  options = options or {}
  local ok, err = check_options("follow_logs", options, { lines = "integer", on_end = "function" })
  if not ok then return nil, err end
  local path
  path, err = database_path(name, ("/logs?num_lines=%d&follow=true"):format(options.lines or 10))
  if not path then return nil, err end
  local headers = self.token and { { "Authorization", "Bearer " .. self.token } } or nil
  local read = line_reader(function(record) tasks.call(fn, record) end)
  local refused = {}
  return runtime.core.http({
    url = self.url .. path, headers = headers, ca_file = self.ca_file, insecure = self.insecure,
    on_data = function(bytes)
      refused[#refused + 1] = #refused < 8 and bytes or nil -- what a refusal says, should it be one
      read(bytes)
    end,
  }, function(why, answer)
    if not why and (answer.status < 200 or answer.status > 299) then
      answer.body = table.concat(refused)
      why = refusal("follow_logs " .. name, answer)
    end
    if options.on_end then
      tasks.call(options.on_end, why)
    elseif why then
      runtime.report(why, "follow_logs " .. name)
    end
  end)
end

---@param url string
---@param options? inner_universe.ServerOptions
---@return inner_universe.Server?, inner_universe.Error?
function server.new(url, options)
  local ok, err = check_options("server", options, OPTIONS)
  if not ok then return nil, err end
  local base = url:gsub("/+$", ""):gsub("^ws", "http")
  if not base:match("^https?://[^/?#]+$") then return invalid("url: http://host:port or https://host:port expected, got '%s'", url:sub(1, 200)) end
  options = options or {}
  return setmetatable({
    url = base, token = options.token, timeout = options.timeout or TIMEOUT, ca_file = options.ca_file, insecure = options.insecure,
  }, Server)
end

return server
