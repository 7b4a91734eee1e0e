-- Configuration: defaults, sources in rising order, checks with suggestions, targets.

local config = require("inner_universe.config")
local errors = require("inner_universe.errors")
local target = require("inner_universe.target")

local function decode(text) -- enough of a decoder: the specs of JSON are elsewhere
  if text == "broken" then return nil, errors.new("ValidationError", "broken at 0") end
  return assert(load("return " .. text:gsub('"([%w_]+)"%s*:', "%1=")))()
end

local function new(source, options)
  options = options or {}
  if options.env == nil then options.env = false end
  options.decode = decode
  return config.new(source, options)
end

local function refused(pattern, source, options)
  local cfg, err = new(source, options)
  assert.is_nil(cfg)
  assert.equal("ValidationError", err.kind)
  assert.truthy(err.message:find(pattern, 1, true), err.message)
end

local files = {}
local function file(extension, text)
  local base = os.tmpname()
  local path = base .. "." .. extension
  files[#files + 1], files[#files + 2] = base, path
  local handle = assert(io.open(path, "w"))
  handle:write(text)
  handle:close()
  return path
end

after_each(function()
  for _, path in ipairs(files) do
    os.remove(path)
  end
  files = {}
end)

describe("a configuration", function()
  it("has the defaults of the design", function()
    local all = assert(new()):to_table()
    assert.same({
      address = "127.0.0.1", port = 3000, database = "inner-universe", db_path = "./inner_universe_db", backend = "embedded",
      build_module = false, cache_size_mb = 256, log_level = "info", durability = "normal", flush_interval_ms = 20,
      reducer_timeout_ms = 5000, reducer_memory_mb = 256, snapshot = false, history_keep_days = 30, history_max_rows = 200000, history_max_bytes = 64 << 20,
      features = { enable_state_versioning = true, enable_audit_log = true, enable_metrics = false, enable_caching = true },
      plugins = {}, tls = false, token_file = "auto", protocol = "auto", compression = "none", confirmed = "default", reconnect = true,
      reconnect_min_delay_ms = 500, reconnect_max_delay_ms = 30000, reconnect_attempts = 0, away = "refuse",
    }, all)
  end)

  it("takes a table; nested features keep the others' defaults", function()
    local cfg = assert(new({ port = 3001, features = { enable_metrics = true } }))
    assert.equal(3001, cfg.port)
    assert.is_true(cfg.features.enable_metrics)
    assert.is_true(cfg.features.enable_caching)
  end)

  it("is read-only, and to_table is a copy", function()
    local cfg = assert(new())
    assert.has_error(function() cfg.port = 1 end)
    cfg:to_table().features.enable_metrics = true
    assert.is_false(cfg.features.enable_metrics)
    assert.equal(cfg, new(cfg))
  end)

  it("lets a file win over the table and variables over both", function()
    local path = file("lua", "return { port = 2, database = 'file', durability = 'full' }")
    local cfg = assert(new({ port = 1, database = "table", log_level = "warn" },
      { file = path, env = { INNER_UNIVERSE_PORT = "3" } }))
    assert.equal(3, cfg.port)
    assert.equal("file", cfg.database)
    assert.equal("full", cfg.durability)
    assert.equal("warn", cfg.log_level)
  end)

  it("lets overrides win over everything", function()
    local cfg = assert(new({}, { overrides = { db_path = "memory:" }, env = { INNER_UNIVERSE_DB_PATH = "elsewhere" } }))
    assert.equal("memory:", cfg.db_path)
  end)

  it("reads a JSON file, and a path instead of a table", function()
    local path = file("json", '{"port": 3005.0, "features": {"enable_metrics": true}}')
    assert.equal(3005, assert(new(path)).port)
    assert.equal("integer", math.type(assert(new(nil, { file = path })).port))
  end)

  it("finds the file named by INNER_UNIVERSE_CONFIG", function()
    local path = file("lua", "return { port = 77 }")
    assert.equal(77, assert(new({}, { env = { INNER_UNIVERSE_CONFIG = path } })).port)
  end)

  it("reads every key from a variable", function()
    local cfg = assert(new({}, { env = {
      INNER_UNIVERSE_ADDRESS = "::1", INNER_UNIVERSE_BUILD_MODULE = "yes", INNER_UNIVERSE_FEATURES_ENABLE_AUDIT_LOG = "off",
      INNER_UNIVERSE_MODULE_PATH = "/x", INNER_UNIVERSE_CACHE_SIZE_MB = "0", INNER_UNIVERSE_PLUGINS = '{"greeter": {"a": 1}}',
    } }))
    assert.equal("::1", cfg.address)
    assert.is_true(cfg.build_module)
    assert.is_false(cfg.features.enable_audit_log)
    assert.equal("/x", cfg.module_path)
    assert.equal(0, cfg.cache_size_mb)
    assert.equal(1, cfg.plugins.greeter.a)
  end)

  it("takes variables from a function, and an empty one as absent", function()
    local asked = {}
    assert(new({}, { env = function(name)
      asked[name] = true
      return ""
    end }))
    assert.is_true(asked.INNER_UNIVERSE_DURABILITY)
    assert.is_true(asked.INNER_UNIVERSE_CONFIG)
  end)
end)

describe("a configuration is refused", function()
  it("for an unknown key, with the nearest known one", function()
    refused("unknown key 'durabilty' (did you mean 'durability'?)", { durabilty = "full" })
    refused("config.features: unknown key 'enable_metric' (did you mean 'enable_metrics'?)", { features = { enable_metric = true } })
    refused("unknown key 'zzz'", { zzz = 1 })
    refused("keys are names, found 1", { "memory:" })
  end)

  it("for a wrong type", function()
    refused("config.port: integer expected, got string '3000'", { port = "3000" })
    refused("config.port: integer expected, got number 1.5", { port = 1.5 })
    refused("config.build_module: boolean expected", { build_module = 1 })
    refused("config.features: table expected", { features = true })
    refused("config.features.enable_caching: boolean expected", { features = { enable_caching = "yes" } })
    refused("config.plugins: table expected", { plugins = "all" })
    refused("config.address: string expected, got table", { address = {} })
  end)

  it("for a value out of range", function()
    refused("config.port: 1 to 65535 expected, got 0", { port = 0 })
    refused("config.port: 1 to 65535 expected, got 65536", { port = 65536 })
    refused("config.flush_interval_ms: 1 to 60000 expected", { flush_interval_ms = 0 })
    refused("config.cache_size_mb: 0 to", { cache_size_mb = -1 })
    refused("config.durability: one of full, normal, off expected, got 'ful' (did you mean 'full'?)", { durability = "ful" })
    refused("config.backend: one of embedded, spacetimedb", { backend = "sqlite" })
    refused("config.db_path: must not be empty", { db_path = "" })
    refused("zero byte", { db_path = "a\0b" })
  end)

  it("for a bad variable, naming it", function()
    refused("INNER_UNIVERSE_PORT: integer expected, got 'high'", {}, { env = { INNER_UNIVERSE_PORT = "high" } })
    refused("INNER_UNIVERSE_PORT: 1 to 65535", {}, { env = { INNER_UNIVERSE_PORT = "0" } })
    refused("INNER_UNIVERSE_FEATURES_ENABLE_METRICS: true or false", {}, { env = { INNER_UNIVERSE_FEATURES_ENABLE_METRICS = "maybe" } })
    refused("INNER_UNIVERSE_PLUGINS: a JSON object expected: ValidationError: broken", {}, { env = { INNER_UNIVERSE_PLUGINS = "broken" } })
  end)

  it("for a bad file, naming it", function()
    refused("No such file", {}, { file = "/nowhere/x.lua" })
    refused("ends in .json or .lua", {}, { file = "/nowhere/x.toml" })
    refused("should return a table", {}, { file = file("lua", "return 1") })
    refused("<eof> expected", {}, { file = file("lua", "return {} }") })
    refused("found function at 'f'", {}, { file = file("lua", "return { f = function() end }") })
    refused("attempt to call a nil value (global 'require')", {}, { file = file("lua", "return { a = require 'os' }") })
    refused("runs too long", {}, { file = file("lua", "while true do end") })
    refused("contains itself", {}, { file = file("lua", "local t = {} t.t = t return t") })
    refused("unknown key 'prot' (did you mean 'port'?)", {}, { file = file("lua", "return { prot = 1 }") })
    refused("broken at 0", {}, { file = file("json", "broken") })
  end)

  it("for plugins of a wrong shape", function()
    refused("config.plugins.paths: an array of folders", { plugins = { paths = "x" } })
    refused("config.plugins.paths[1]: the path of a folder expected, got 1", { plugins = { paths = { 1 } } })
    refused("config.plugins.paths: an array without gaps", { plugins = { paths = { [2] = "x" } } })
    refused("config.plugins.greeter: a table, true or false expected", { plugins = { greeter = "yes" } })
    refused("a plugin's name is lower case", { plugins = { ["Greeter!"] = true } })
    local loop = {}
    loop.loop = loop
    refused("contains itself", { plugins = { greeter = loop } })
  end)

  it("by raising when the argument itself has a wrong type", function()
    assert.has_error(function() config.new(42) end)
  end)
end)

describe("plugins of several sources", function()
  it("are merged by name and key; paths are replaced", function()
    local path = file("lua", "return { plugins = { paths = { 'b' }, greeter = { y = 2 }, other = false } }")
    local cfg = assert(new({ plugins = { paths = { "a" }, greeter = { x = 1 }, other = true } }, { file = path }))
    assert.same({ paths = { "b" }, greeter = { x = 1, y = 2 }, other = false }, cfg.plugins)
  end)
end)

describe("a target", function()
  local function parse(text)
    return assert(target.parse(text))
  end

  it("is memory, a path or a file", function()
    assert.equal("memory", parse("memory:").kind)
    assert.equal("world.universe", parse("world.universe").path)
    assert.equal("a b/c", parse("file:a b/c").path)
    assert.equal("/tmp/x", parse("file:///tmp/x").path)
    assert.equal("/tmp/x", parse("file:/tmp/x").path)
  end)

  it("may name a server", function()
    local server = parse("ws://example.org:3001/world")
    assert.equal("server", server.kind)
    assert.equal("example.org", server.address)
    assert.equal(3001, server.port)
    assert.equal("world", server.database)
    assert.equal(3000, parse("ws://h/db").port)
    assert.equal("[::1]", parse("wss://[::1]:8443/db").address)
    assert.is_true(parse("wss://[::1]:8443/db").tls)
  end)

  it("is refused when malformed", function()
    for text, part in pairs({
      [""] = "empty", ["file:"] = "no path", ["http://x/y"] = "unknown scheme 'http'", ["ws://host:3000"] = "no database",
      ["ws://host:99999/db"] = "port out of range", ["ws:///db"] = "host", ["memory:x"] = "nothing may follow",
    }) do
      local parsed, err = target.parse(text)
      assert.is_nil(parsed)
      assert.equal("ValidationError", err.kind)
      assert.truthy(err.message:find(part, 1, true), err.message)
    end
  end)

  it("comes from a configuration", function()
    assert.equal("memory", assert(target.of_config(assert(new({ db_path = "memory:" })))).kind)
    assert.equal("ws://127.0.0.1:3000/inner-universe", assert(target.of_config(assert(new({ backend = "spacetimedb" })))).text)
    assert.equal("wss://127.0.0.1:3000/w", assert(target.of_config(assert(new({ backend = "spacetimedb", tls = true, database = "w" })))).text)
    assert.is_nil((target.of_config(assert(new({ db_path = "ws://h/db" })))))
  end)
end)
