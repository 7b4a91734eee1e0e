-- server.lua: `iu.server`: what a SpacetimeDB server offers over HTTP. Each method is one request that waits for its answer (a log can be followed; a
-- publish without a token makes its owner first); a refusal is `nil, err` with the server's own words (server_request.lua says of which kind).

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local server_request = require("inner_universe.server_request")
local server_sql = require("inner_universe.server_sql")
local target = require("inner_universe.target")
local token_file = require("inner_universe.token_file")

local server = {}
local send, send_json, database_path = server_request.send, server_request.send_json, server_request.database_path

local OPTIONS = {
  token = "string", token_file = "string", timeout = "number", answer_bytes_max = "integer", ca_file = "string", insecure = "boolean",
}
local PUBLISH_OPTIONS = { clear = "boolean", policy = "string", migration_token = "string", timeout = "number" }
local PLAN_OPTIONS = { timeout = "number" }
local POLICIES = { Compatible = true, BreakClients = true }
local TIMEOUT, PUBLISH_TIMEOUT = 30, 120 -- seconds
local PUBLISH_ATTEMPTS, PUBLISH_PAUSE = 3, 0.2 -- pause in seconds
local WASM_BYTES_MAX = 256 * 1024 * 1024

---@class inner_universe.ServerOptions
---@field token? string whose requests these are; without it, and without a token file, each is a new anonymous identity's
---@field token_file? string where the token is kept when `token` is not given: a path, or "auto": a file per server and database, the same that
--- connections use [none]
---@field timeout? number seconds for one request [30; 120 to publish]
---@field answer_bytes_max? integer bytes of one answer; past it OverloadedError [64 MiB]
---@field ca_file? string https: trusted instead of the system's certificates
---@field insecure? boolean https: trusts anybody; for tests

---@class inner_universe.Server
---@field url string
---@field address string
---@field port integer
---@field token? string that was given, or that of the owner whom publish made
---@field token_file? string
local Server = { __name = "inner_universe.Server" }
Server.__index = Server
require("inner_universe.server_logs")(Server)

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function encode(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- the server ---------------------------------------------------------------------------------------------------------

---Whether it answers.
---@return true?, inner_universe.Error?
function Server:ping()
  local answer, err = send(self, 2, "ping", "GET", "/v1/ping")
  if not answer then return nil, err end
  return true
end

---{ version, ... } where the server tells.
---@return table?, inner_universe.Error?
function Server:health()
  local value, err = send_json(self, 2, "health", "GET", "/v1/health")
  if not value then return nil, err end
  return value
end

---A new identity: { identity, token }.
---@return { identity: string, token: string }?, inner_universe.Error?
function Server:identity()
  local value, err = send_json(self, 2, "identity", "POST", "/v1/identity")
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
  if token then
    local ok, why = token_file.check(token)
    if not ok then return nil, why end
  end
  local answer, err = send(self, 2, "verify", "GET", ("/v1/identity/%s/verify"):format(identity), { token = token })
  if answer then return true end
  if err.details and err.details.status == 400 then return false end
  return nil, err
end

---The server's public key, PEM.
---@return string?, inner_universe.Error?
function Server:public_key()
  local answer, err = send(self, 2, "public_key", "GET", "/v1/identity/public-key")
  if not answer then return nil, err end
  return answer.body
end

---The file that keeps the token for requests about a database; nil: none does (a token was given, or `token_file` was not).
---@param database string
---@return string?
function Server:token_path(database)
  check.type(database, "string", 1, "token_path", "database")
  return server_request.token_path(self, database)
end

-- publishing -----------------------------------------------------------------------------------------------------------

-- The bytes of a module: given as they are, or of the file { path = ... }.
local function read_wasm(what, wasm)
  local bytes, from = wasm, "wasm"
  if type(wasm) == "table" then
    local ok, err = check.options(what, wasm, { path = "string" }, "wasm")
    if not ok then return nil, err end
    if not wasm.path or wasm.path == "" then return invalid("%s: wasm: the module's bytes or { path = file } expected", what) end
    from = wasm.path
    local file, why = io.open(wasm.path, "rb")
    if not file then return invalid("%s: wasm: %s", what, why) end
    bytes, why = file:read(WASM_BYTES_MAX + 1)
    file:close()
    if not bytes then return invalid("%s: wasm: %s: %s", what, wasm.path, why or "it is empty") end
  end
  if #bytes > WASM_BYTES_MAX then return invalid("%s: %s: more than %d bytes are no module", what, from, WASM_BYTES_MAX) end
  if bytes:sub(1, 4) == "\0asm" then return bytes end
  return invalid("%s: %s: a WebAssembly module expected, which begins with the bytes 00 61 73 6d; these %d bytes do not", what, from, #bytes)
end

-- Nobody else may publish there again: the owner's token is kept before anything is published.
local function make_owner(self, level, database)
  local token, err = server_request.token(self, database)
  if err then return nil, err end
  if not token then
    local who
    who, err = send_json(self, level + 1, "publish " .. database .. ": its owner's identity", "POST", "/v1/identity")
    if not who then return nil, err end
    if type(who) ~= "table" or type(who.token) ~= "string" then
      return nil, errors.new("ConnectionError", ("publish %s: the server made no identity"):format(database), { retryable = false })
    end
    token = server_request.token(self, database) or who.token -- another publish may have been faster
  end
  local ok
  ok, err = server_request.keep_token(self, database, token)
  if not ok then return nil, err end
  if not self.token_given then self.token = token end
  return token
end

-- A success in HTTP whose JSON is none: it is said what stands there.
local function no_success(what, value, answer, kind)
  if type(value) == "table" and value.PermissionDenied then kind = "AuthorizationError" end
  return nil, errors.new(kind, ("%s: the server did not say Success but %s"):format(what, server_request.words(answer)), { retryable = false })
end

-- Two who publish a new database at once: the server looks for it, finds none, and cannot create it any more. Asked again it finds it.
local function made_meanwhile(err)
  return err.kind == "MigrationError" and err.message:find("already exists", 1, true) ~= nil
end

---Publishes a module under a name: a new database, or the next version of one's own. Without a token a new identity becomes the owner; its token is
---in the answer and in `self.token`, and in the token file where there is one (keep it: nobody else may publish there again).
---@param name string
---@param wasm string|{ path: string } the module's bytes, or its file
---@param options? { clear?: boolean, policy?: "Compatible"|"BreakClients", migration_token?: string, timeout?: number }
---@return { op: "created"|"updated", database_identity: string, domain: string, token: string }?, inner_universe.Error?
function Server:publish(name, wasm, options)
  check.type(name, "string", 1, "publish", "name")
  if type(wasm) ~= "table" then check.type(wasm, "string", 2, "publish", "wasm") end
  check.optional(options, "table", 3, "publish", "options")
  options = options or {}
  local ok, err = check.options("publish", options, PUBLISH_OPTIONS)
  if not ok then return nil, err end
  if options.policy and not POLICIES[options.policy] then
    return invalid("publish: policy: Compatible or BreakClients expected, got '%s'", options.policy)
  end
  local bytes, path, fields
  bytes, err = read_wasm("publish", wasm)
  if not bytes then return nil, err end
  local query = {}
  if options.clear then query[#query + 1] = "clear=true" end
  if options.policy then query[#query + 1] = "policy=" .. options.policy end
  if options.migration_token then query[#query + 1] = "token=" .. encode(options.migration_token) end
  path, fields = database_path(name, #query > 0 and "?" .. table.concat(query, "&") or "", {
    body = bytes, content_type = "application/wasm", timeout = options.timeout or math.max(self.timeout, PUBLISH_TIMEOUT),
    on = "publish", writes = true, failure = "MigrationError",
  })
  if not path then return nil, fields end
  fields.token, err = make_owner(self, 2, name)
  if not fields.token then return nil, err end
  local value, answer
  for attempt = 1, PUBLISH_ATTEMPTS do
    value, answer = send_json(self, 2, "publish " .. name, "PUT", path, fields)
    if value or not made_meanwhile(answer) or attempt == PUBLISH_ATTEMPTS then break end
    runtime.tasks.sleep(PUBLISH_PAUSE)
  end
  if not value then return nil, answer end
  local done = type(value) == "table" and value.Success
  if type(done) ~= "table" then return no_success("publish " .. name, value, answer, "MigrationError") end
  done.token = fields.token
  return done
end

-- Whether a server without the route said so. One may hang up instead while the module is still being sent: asked again without it, the route says 404
-- where it is not, and 405 where it is.
local function lacks_plans(self, name, err, fields)
  local details = err.details
  if not details and err.kind == "ConnectionError" then
    local _, why = send(self, 3, "plan " .. name, "GET", "/v1/database/" .. name .. "/pre_publish", { database = name, token = fields.token })
    details = why and why.details
  end
  return details ~= nil and details.status == 404
end

---What publishing this module over a database would do to its data and its clients, by a server that tells (2.x): { automatic = true, plan = text,
---break_clients, migration_token } or { automatic = false, reason }. The token goes with the policy BreakClients.
---@param name string
---@param wasm string|{ path: string }
---@param options? { timeout?: number }
---@return table?, inner_universe.Error?
function Server:plan(name, wasm, options)
  check.type(name, "string", 1, "plan", "name")
  if type(wasm) ~= "table" then check.type(wasm, "string", 2, "plan", "wasm") end
  check.optional(options, "table", 3, "plan", "options")
  local ok, err = check.options("plan", options, PLAN_OPTIONS)
  if not ok then return nil, err end
  local bytes
  bytes, err = read_wasm("plan", wasm)
  if not bytes then return nil, err end
  local path, fields = database_path(name, "/pre_publish?style=NoColor&host_type=Wasm", {
    body = bytes, content_type = "application/wasm", timeout = options and options.timeout or math.max(self.timeout, PUBLISH_TIMEOUT), on = "server",
  })
  if not path then return nil, fields end
  local value, answer = send_json(self, 2, "plan " .. name, "POST", path, fields)
  if not value then
    if answer.code ~= "NO_DATABASE" and lacks_plans(self, name, answer, fields) then
      return invalid("plan %s: this server tells no plans (2.x does)", name)
    end
    return nil, answer
  end
  if type(value) ~= "table" then value = {} end
  local automatic, manual = value.AutoMigrate, value.ManualMigrate
  if type(automatic) == "table" then
    return { automatic = true, plan = automatic.migrate_plan, break_clients = automatic.break_clients, migration_token = automatic.token,
      major_version_upgrade = automatic.major_version_upgrade }
  end
  if type(manual) == "table" then
    return { automatic = false, reason = manual.reason, major_version_upgrade = manual.major_version_upgrade }
  end
  return nil, errors.new("ConnectionError", ("plan %s: no plan that is known here: %s"):format(name, server_request.words(answer)), { retryable = false })
end

---Deletes a database and everything in it.
---@param name string
---@return true?, inner_universe.Error?
function Server:delete(name)
  check.type(name, "string", 1, "delete", "name")
  local path, fields = database_path(name, "", { writes = true })
  if not path then return nil, fields end
  local answer, err = send(self, 2, "delete " .. name, "DELETE", path, fields)
  if not answer then return nil, err end
  return true
end

-- Whoever owned a database owns it under its new names.
local function keep_owner(self, database, names)
  local token = server_request.token(self, database)
  for _, name in ipairs(names) do
    local ok, err = server_request.keep_token(self, name, token)
    if not ok then return nil, err end
  end
  return true
end

-- what a database is ---------------------------------------------------------------------------------------------------

---{ database_identity, owner_identity, host_type, initial_program }.
---@param name string
---@return table?, inner_universe.Error?
function Server:info(name)
  check.type(name, "string", 1, "info", "name")
  local path, fields = database_path(name)
  if not path then return nil, fields end
  local value, err = send_json(self, 2, "info " .. name, "GET", path, fields)
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
  local path, fields = database_path(name, "/names")
  if not path then return nil, fields end
  local value, err = send_json(self, 2, "names " .. name, "GET", path, fields)
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
  local path, fields = database_path(name, "/names", { body = new_name, content_type = "text/plain", writes = true })
  if not path then return nil, fields end
  local value, answer = send_json(self, 2, "add_name " .. name, "POST", path, fields)
  if not value then return nil, answer end
  if type(value) == "table" and value.Success then
    return keep_owner(self, name, { new_name })
  end
  return no_success("add_name " .. name, value, answer, "ValidationError")
end

---Gives a database these names and no others. A name that is in use, by this database too, is refused.
---@param name string its name or identity
---@param names string[]
---@return true?, inner_universe.Error?
function Server:set_names(name, names)
  check.type(name, "string", 1, "set_names", "name")
  check.type(names, "table", 2, "set_names", "names")
  local list = {}
  for i, text in ipairs(names) do
    if type(text) ~= "string" or not server_request.is_name(text) then
      return invalid("set_names: names[%d]: a name of letters, digits and hyphens expected, got %s", i,
        type(text) == "string" and "'" .. text:sub(1, 60) .. "'" or type(text))
    end
    list[i] = text
  end
  if next(names, #list > 0 and #list or nil) ~= nil then return invalid("set_names: names: an array expected") end
  local path, fields = database_path(name, "/names", {
    body = runtime.core.json_encode(runtime.core.array(list)), content_type = "application/json", writes = true,
  })
  if not path then return nil, fields end
  local value, answer = send_json(self, 2, "set_names " .. name, "PUT", path, fields)
  if not value then return nil, answer end
  if value == "Success" or type(value) == "table" and value.Success ~= nil then
    return keep_owner(self, name, list)
  end
  return no_success("set_names " .. name, value, answer, "ValidationError")
end

---The module's definition (RawModuleDef as SATS-JSON), decoded.
---@param name string
---@param version? integer 9 or 10 [9]
---@return table?, inner_universe.Error?
function Server:schema(name, version)
  check.type(name, "string", 1, "schema", "name")
  check.optional(version, "integer", 2, "schema", "version")
  local path, fields = database_path(name, ("/schema?version=%d"):format(version or 9))
  if not path then return nil, fields end
  local value, err = send_json(self, 2, "schema " .. name, "GET", path, fields)
  if not value then return nil, err end
  return value
end

---Its tables, reducers and procedures, as `conn:schema()` tells them: columns with types, keys, indexes, signatures.
---@param name string
---@return { tables: table, reducers: table, procedures: table }?, inner_universe.Error?
function Server:describe(name)
  check.type(name, "string", 1, "describe", "name")
  local answer, err
  for _, version in ipairs { 10, 9 } do -- of 1.x, which have 9 only
    local path, fields = database_path(name, "/schema?version=" .. version)
    if not path then return nil, fields end
    answer, err = send(self, 2, "describe " .. name, "GET", path, fields)
    if answer or err.details == nil or err.details.status ~= 400 then break end
  end
  if not answer then return nil, err end
  return runtime.core.module_def(answer.body)
end

-- using a database -----------------------------------------------------------------------------------------------------

---Runs the server's SQL. Rows by column name, values as in `conn:query`; beside them of the statement `columns` ({ name, type } each: a column that is not
---in a row is NULL there), `rows_inserted`, `rows_updated`, `rows_deleted`, `duration_micros`, and `results`: all this, with `rows`, of each statement.
---@param name string
---@param text string
---@return table[]? rows of the first statement, any facts or an err
function Server:sql(name, text)
  check.type(name, "string", 1, "sql", "name")
  check.type(text, "string", 2, "sql", "text")
  local results, err = server_sql.run(self, 2, name, text)
  if not results then return nil, err end
  local facts = { results = results, columns = {} }
  for key, value in pairs(results[1] or {}) do
    if key ~= "rows" then facts[key] = value end
  end
  return results[1] and results[1].rows or {}, facts
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
  local body, err = runtime.core.json_encode(arguments or runtime.core.array({}))
  if not body then return nil, err end
  local path, fields = database_path(name, "/call/" .. encode(reducer), {
    body = body, content_type = "application/json", writes = true, failure = "PersistenceError",
  })
  if not path then return nil, fields end
  local answer
  answer, err = send(self, 2, reducer, "POST", path, fields)
  if not answer then return nil, err end
  if answer.body == "" then return true end
  return runtime.core.json_decode(answer.body)
end

---@param url string
---@param options? inner_universe.ServerOptions
---@return inner_universe.Server?, inner_universe.Error?
function server.new(url, options)
  local ok, err = check.options("server", options, OPTIONS)
  if not ok then return nil, err end
  local place
  place, err = target.parse_http(url)
  if not place then return nil, err end
  options = options or {}
  if options.token then
    ok, err = token_file.check(options.token)
    if not ok then return nil, err end
  end
  if options.token_file and (options.token_file == "" or options.token_file:find("\0", 1, true)) then
    return invalid("server: token_file: a path, \"auto\" or \"none\" expected")
  end
  return setmetatable({
    url = place.url, address = place.address, port = place.port, token = options.token, token_given = options.token ~= nil,
    token_file = options.token_file, timeout = options.timeout or TIMEOUT, answer_bytes_max = options.answer_bytes_max,
    ca_file = options.ca_file, insecure = options.insecure,
  }, Server)
end

return server
