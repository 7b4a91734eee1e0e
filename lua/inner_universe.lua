-- inner_universe: the public module. A durable, reactive, versioned world for Lua programs; see lua/README.md for the rules that hold
-- everywhere (errors, waiting, units). Everything users need is a field of this table; it is read-only.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local config = require("inner_universe.config")
local connect = require("inner_universe.connect")
local diff = require("inner_universe.diff")
local errors = require("inner_universe.errors")
local freeze = require("inner_universe.freeze")
local log = require("inner_universe.log")
local migrations = require("inner_universe.migrations")
local module = require("inner_universe.module")
local new_file = require("inner_universe.new_file")
local server = require("inner_universe.server")
local target = require("inner_universe.target")
local testing = require("inner_universe.testing")
local universe = require("inner_universe.universe")
local working_copy = require("inner_universe.working_copy")
local file_tables = require("inner_universe.file_tables")

local core, tasks = runtime.core, runtime.tasks

---@class inner_universe
local iu = {
  _VERSION = core.version,
  API_VERSION = universe.API_VERSION, -- what the `api` of a plugin's manifest speaks of

  errors = freeze.table(errors, "iu.errors"),

  null = core.null, -- JSON null
  array = core.array, -- array(t?): an array even when empty
  object = core.object, -- object(t?): an object even when it looks like an array
  wide = core.wide, -- wide(text): an integer outside i64
  now = core.now, -- microseconds since the epoch
  uuid = core.uuid, -- UUIDv7 text
  gzip = core.gzip, -- gzip(bytes)
  gunzip = core.gunzip, -- gunzip(bytes, max?): ValidationError where damaged, OverloadedError past max
  gunzip_stream = core.gunzip_stream, -- s:feed(bytes, most?) piece by piece, of any length, one member or several
  sha256 = core.sha256, -- hex, of any string
  new_file = new_file, -- new_file(path): a file that appears under its name when it is whole and on disk

  run = tasks.run,
  spawn = tasks.spawn,
  sleep = tasks.sleep,
  step = tasks.step,
  on_error = runtime.on_error,

  testing = testing.get, -- mocks, fixtures, a clock and ids for test suites: plugins/testing/README.md
}

---Exact JSON: integers stay integers, floats floats, empty arrays arrays. `nil, err` names the path of what cannot be written.
iu.json = freeze.table({
  encode = core.json_encode,
  decode = core.json_decode,
  canonical = core.json_canonical, -- what Python's json.dumps(value, sort_keys=True) prints, UTF-8
  hash = core.json_hash, -- hex SHA-256 of it
  document = core.json_document, -- an immutable value outside of Lua's memory, which goes wherever a Lua table does
  totable = core.json_totable,
  is_document = core.is_document,
  document_kind = core.document_kind, -- "array" or "object"; nil for what is no document, or one of a scalar
  tree_hash = core.tree_hash, -- hex, of a value: core/document/README.md, "The tree hash"
  hash_tree = core.hash_tree, -- hash_tree(document): the same, following changes: tree:apply(operations) answers the hash of what they make
}, "iu.json")

iu.diff = freeze.table(diff, "iu.diff")

---AES-256-GCM (keys are 32 bytes), and files that others must not read.
iu.secret = freeze.table({
  seal = core.seal, -- seal(key, text, associated): text for storing, which opens only with the same associated text
  open = core.unseal, -- open(key, sealed, associated): AuthorizationError where any of them is another one
  read = core.read_secret, -- read(path): AuthorizationError where others than the owner can get at it
}, "iu.secret")

iu.log = freeze.table({
  set_sink = runtime.set_sink, -- fn(level, message, source), nil: nobody; returns the one before
  levels = freeze.table(log.levels, "iu.log.levels"),
}, "iu.log")

---A module of one's own, for `iu.connect(target, { module = ... })`: tables, types, reducers.
---@param name string
---@param declaration inner_universe.ModuleDeclaration
---@return inner_universe.Module?, inner_universe.Error?
function iu.module(name, declaration)
  check.type(name, "string", 1, "module", "name")
  check.type(declaration, "table", 2, "module", "declaration")
  return module.new(name, declaration)
end

---The effective configuration: defaults, the table, the file, INNER_UNIVERSE_* variables, each over the one before.
---@param source? table|string|inner_universe.Config a table, or the path of a .json or .lua file
---@param options? inner_universe.ConfigOptions
---@return inner_universe.Config?, inner_universe.Error?
function iu.config(source, options)
  if type(source) ~= "string" and not config.is(source) then check.optional(source, "table", 1, "config", "source") end
  check.optional(options, "table", 2, "config", "options")
  return config.new(source, options)
end

---A bare connection: no plugins, no manager.
---@param where string|table "memory:", a path, "file:path", "ws://host:port/database", or a configuration
---@param options? inner_universe.ConnectOptions
---@return inner_universe.Connection?, inner_universe.Error?
function iu.connect(where, options)
  if type(where) ~= "string" and not config.is(where) then check.type(where, "table", 1, "connect", "target") end
  check.optional(options, "table", 2, "connect", "options")
  return connect.connect(where, options)
end

-- An explicit target wins over every source of configuration.
local function configuration_for(where, options)
  if type(where) ~= "string" then return config.new(where) end
  local parsed, err = target.parse(where)
  if not parsed then return nil, err end
  if config.is(options) then options = options:to_table() end
  if parsed.kind == "server" then
    return config.new(options, {
      overrides = { backend = "spacetimedb", address = parsed.address, port = parsed.port, database = parsed.database, tls = parsed.tls },
    })
  end
  return config.new(options, { overrides = { backend = "embedded", db_path = parsed.path or where } })
end

---The HTTP side of a SpacetimeDB server: identities, publishing, SQL, logs. Nothing is asked before a method is called.
---@param url string "http://host:port" or https://
---@param options? inner_universe.ServerOptions
---@return inner_universe.Server?, inner_universe.Error?
function iu.server(url, options)
  check.type(url, "string", 1, "server", "url")
  check.optional(options, "table", 2, "server", "options")
  return server.new(url, options)
end

-- A configuration is plain data; modules beside it (but for the path of one) are handed on as they are.
local function without_modules(source)
  if type(source) ~= "table" or config.is(source) or source.module == nil or type(source.module) == "string" then return source end
  local rest = {}
  for key, value in pairs(source) do rest[key] = value end
  rest.module = nil
  return rest, source.module
end

---A manager that is not yet initialized; `manager:initialize{}` opens it.
---@param source? table|inner_universe.Config
---@return inner_universe.Manager?, inner_universe.Error?
function iu.manager(source)
  if not config.is(source) then check.optional(source, "table", 1, "manager", "config") end
  local rest, modules = without_modules(source)
  local cfg, err = config.new(rest)
  if not cfg then return nil, err end
  return universe.new(cfg, modules)
end

---Opens a universe: its manager, initialized.
---@param where string|table|inner_universe.Config "memory:", a path, "file:path", or a configuration
---@param options? table|inner_universe.Config configuration beside a target given as text
---@return inner_universe.Manager?, inner_universe.Error?
function iu.open(where, options)
  if type(where) ~= "string" and not config.is(where) then check.type(where, "table", 1, "open", "target") end
  if not config.is(options) then check.optional(options, "table", 2, "open", "config") end
  if options ~= nil and type(where) ~= "string" then error("iu.open: a configuration beside a target that is one already", 2) end
  local modules, of_target
  options, modules = without_modules(options)
  where, of_target = without_modules(where)
  local cfg, err = configuration_for(where, options)
  if not cfg then return nil, err end
  return universe.open(cfg, modules or of_target)
end

---Migrations of a universe before it is opened (plugins/migrations): new, status, plan, up, down, redo, baseline, verify. Nothing is opened before one is
---called.
---@param where string|table|inner_universe.Config as for iu.open
---@param options? table the plugin's configuration (folder, batch_size, ...), and `module`, as for iu.open
---@return inner_universe.Migrations?, inner_universe.Error?
function iu.migrations(where, options)
  if type(where) ~= "string" and not config.is(where) then check.type(where, "table", 1, "migrations", "target") end
  check.optional(options, "table", 2, "migrations", "options")
  local own = {}
  for key, value in pairs(options or {}) do own[key] = value end
  local modules = own.module
  own.module = nil
  local of_target
  where, of_target = without_modules(where)
  local cfg, err = configuration_for(where, nil)
  if not cfg then return nil, err end
  if modules == nil then modules = of_target or cfg.module end
  local function open(extra)
    local settings = cfg:to_table()
    for name, value in pairs(extra.features or {}) do settings.features[name] = value end
    for name, value in pairs(extra.plugins or {}) do settings.plugins[name] = value end
    settings.module = extra.module or modules
    return iu.open(settings)
  end
  return migrations.new(cfg, own, open, modules)
end

---A private copy of a universe's file, which is locked meanwhile: tables and rows are changed there, without the code of modules, then published over the
---original in one transaction, or thrown away.
---@param path string
---@param options? inner_universe.WorkingCopyOptions
---@return inner_universe.WorkingCopy?, inner_universe.Error?
function iu.working_copy(path, options)
  check.type(path, "string", 1, "working_copy", "path")
  check.optional(options, "table", 2, "working_copy", "options")
  return working_copy.new(path, options)
end

---Modules without reducers that declare what a universe's file has beside the toolkit's own tables, for `iu.open` and `iu.connect`: none or one. The file is
---only read.
---@param path string
---@return inner_universe.Module[]?, inner_universe.Error?
function iu.file_modules(path)
  check.type(path, "string", 1, "file_modules", "path")
  return file_tables.modules(path)
end

---The plugins a configuration would run, without starting any: rows { name, version, api, state, reason, folder, description, requires }.
---@param source? table|inner_universe.Config
---@return table[]?, inner_universe.Error?
function iu.plugins(source)
  if not config.is(source) then check.optional(source, "table", 1, "plugins", "config") end
  local cfg, err = config.new(source)
  if not cfg then return nil, err end
  return universe.plugins(cfg)
end

return freeze.table(iu, "inner_universe")
