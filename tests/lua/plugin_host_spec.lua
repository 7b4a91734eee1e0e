-- The plugin host: manifests, versions, order, cycles, failures that stop nobody else, stopping in reverse.

local plugin_host = require("inner_universe.plugin_host")
local version = require("inner_universe.version")

local root, log, events

local function sh(command)
  assert(os.execute(command))
end

local function write(path, text)
  sh(("mkdir -p '%s'"):format(path:match("^(.*)/")))
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local START = [[
  return { start = function(ctx)
    ctx.events[#ctx.events + 1] = "start " .. ctx.name
    return {
      ctx = ctx,
      stop = function() ctx.events[#ctx.events + 1] = "stop " .. ctx.name end,
      health = function() return true, { ctx = ctx.name } end,
    }
  end }
]]

-- A plugin in folder/name. fields: text of further manifest fields.
local function plugin(name, fields, init, folder)
  local path = ("%s/%s/%s/"):format(root, folder or "plugins", name)
  write(path .. "manifest.lua", ("return { name = '%s', version = '1.0.0', api = '>=1.0 <2', %s }"):format(name, fields or ""))
  write(path .. "init.lua", init or START)
end

local function host(plugins, default)
  plugins = plugins or {}
  plugins.paths = plugins.paths or { root .. "/plugins" }
  local clock = 0
  local self = plugin_host.new({
    api = "1.2",
    plugins = plugins,
    default = default or {},
    services = {
      clock = function()
        clock = clock + 0.0015
        return clock
      end,
      logger = function(source)
        local function at(level)
          return function(format, ...)
            log[#log + 1] = ("%s %s: %s"):format(level, source, format:format(...))
          end
        end
        return { error = at("error"), warn = at("warn"), info = at("info"), debug = at("debug") }
      end,
      context = function(record)
        return { name = record.name, config = record.config, events = events }
      end,
      after_stop = function(record)
        events[#events + 1] = "after " .. record.name
      end,
    },
  })
  self:read()
  self:validate()
  return self
end

local function started(plugins, default)
  local self = host(plugins, default)
  self:start()
  return self
end

local function reason(self, name)
  local object, err = self:get(name)
  assert.is_nil(object)
  assert.equal("PluginError", err.kind)
  return err.message
end

local function contains(text, part)
  assert.truthy(text:find(part, 1, true), text)
end

before_each(function()
  local pipe = assert(io.popen("mktemp -d"))
  root = pipe:read("l")
  pipe:close()
  log, events = {}, {}
end)

after_each(function()
  sh("rm -rf '" .. root .. "'")
end)

describe("plugins", function()
  it("start in dependency order and stop in reverse", function()
    plugin("a", "requires = { b = '>=1', c = '*' }")
    plugin("b", "requires = { 'c' }")
    plugin("c")
    local self = started({ a = true })
    assert.same({ "start c", "start b", "start a" }, events)
    assert.equal("info a: plugin a 1.0.0 started in 1.5 ms", log[#log])
    events = {}
    for _, name in ipairs({ "a", "b", "c" }) do
      assert(self:get(name)).ctx.events = events
    end
    self:stop()
    assert.same({ "stop a", "after a", "stop b", "after b", "stop c", "after c" }, events)
    contains(reason(self, "a"), "stopped")
    self:stop()
  end)

  it("that nobody names or needs do not run", function()
    plugin("a")
    assert.same({}, started({}):list())
  end)

  it("run by default unless they are left out", function()
    plugin("a")
    plugin("b", "requires = { a = '*' }")
    local self = started({ a = false }, { "a", "b" })
    contains(reason(self, "a"), "left out by the configuration")
    contains(reason(self, "b"), "it requires a, which is left out by the configuration")
    assert.same({}, events)
  end)

  it("get their configuration with defaults", function()
    plugin("a", "config = { n = { default = 3, description = 'N.' }, s = { type = 'string', description = 'S.' } }")
    assert.same({ n = 3 }, started({ a = true }):get("a").ctx.config)
    assert.same({ n = 4, s = "x" }, started({ a = { n = 4, s = "x" } }):get("a").ctx.config)
    contains(reason(started({ a = { m = 1 } }), "a"), "configuration: unknown key 'm'")
    contains(reason(started({ a = { n = "4" } }), "a"), "configuration: n: integer expected, got string")
  end)

  it("are refused values outside of the bounds of their manifest", function()
    plugin("a", [[config = {
      n = { default = 3, min = 1, max = 5, description = 'N.' }, least = { default = 0.5, min = 0.5, description = 'L.' },
      most = { type = 'integer', max = 2, description = 'M.' }, s = { default = 'wait', one_of = { 'wait', 'refuse' }, description = 'S.' },
    }]])
    assert.same({ n = 5, least = 7.5, most = -1, s = "refuse" }, started({ a = { n = 5, least = 7.5, most = -1, s = "refuse" } }):get("a").ctx.config)
    contains(reason(started({ a = { n = 0 } }), "a"), "configuration: n: 1 to 5 expected, got 0")
    contains(reason(started({ a = { n = 6 } }), "a"), "configuration: n: 1 to 5 expected, got 6")
    contains(reason(started({ a = { least = 0.0 / 0.0 } }), "a"), "configuration: least: 0.5 or more expected, got")
    contains(reason(started({ a = { most = 3 } }), "a"), "configuration: most: at most 2 expected, got 3")
    contains(reason(started({ a = { s = "wiat" } }), "a"), "configuration: s: one of wait, refuse expected, got 'wiat' (did you mean 'wait'?)")
    for text, part in pairs({
      ["default = 3, min = 4"] = "config.n: the default: 4 or more expected, got 3", ["default = 3, min = 'x'"] = "config.n: min is no integer",
      ["default = 'x', max = 1"] = "config.n: max is no string", ["default = 3, one_of = { 'x' }"] = "config.n: one_of is no list of texts",
      ["default = 'x', one_of = { 'y' }"] = "config.n: the default: one of y expected, got 'x'",
    }) do
      plugin("a", ("config = { n = { %s, description = 'N.' } }"):format(text))
      contains(reason(started({ a = true }), "a"), part)
    end
  end)

  it("may judge their configuration", function()
    plugin("a", "config = { n = { default = 3, description = 'N.' } }", [[
      return {
        validate = function(config) if config.n > 5 then return nil, "n: at most 5" end return true end,
        start = function() return {} end,
      }]])
    assert(started({ a = true }):get("a"))
    contains(reason(started({ a = { n = 6 } }), "a"), "configuration: n: at most 5")
  end)

  it("may be one folder of the paths, then they run without being named", function()
    plugin("lonely")
    assert(started({ paths = { root .. "/plugins/lonely" } }):get("lonely"))
    contains(reason(started({ paths = { root .. "/plugins/lonely" }, lonely = false }), "lonely"), "left out")
  end)

  it("of the same name: the first found is taken, the other is logged", function()
    plugin("a", nil, nil, "first")
    plugin("a", nil, nil, "second")
    local self = started({ paths = { root .. "/first", root .. "/second" }, a = true })
    assert.equal(root .. "/first/a", self:list()[1].folder)
    contains(log[1], "second/a is hidden by the one in " .. root .. "/first/a")
  end)

  it("are loaded anew for each host, with globals and files of their own", function()
    plugin("a", nil, [[
      local plugin = ...
      counter = (counter or 0) + 1
      local part = plugin.load "part"
      return { start = function() return { count = counter, part = part, again = plugin.load "part" } end }
    ]])
    write(root .. "/plugins/a/part.lua", "local plugin = ... loads = (loads or 0) + 1 return { of = plugin.name, loads = loads }")
    for _ = 1, 2 do
      local a = started({ a = true }):get("a")
      assert.equal(1, a.count)
      assert.same({ of = "a", loads = 1 }, a.part)
      assert.equal(a.part, a.again)
    end
    assert.is_nil(rawget(_G, "counter"))
  end)

  it("report their health", function()
    plugin("a")
    plugin("b", nil, "return { start = function() return { health = function() return nil, 'tired' end } end }")
    plugin("c", nil, "return { start = function() return { health = function() error('ill', 0) end } end }")
    plugin("d", nil, "return { start = function() return {} end }")
    assert.same({
      { name = "a", ok = true, details = { ctx = "a" } }, { name = "b", ok = false, message = "tired" },
      { name = "c", ok = false, message = "ill" }, { name = "d", ok = true },
    }, started({ a = true, b = true, c = true, d = true }):health())
  end)

  it("can be listed without being started", function()
    plugin("a", "description = 'An a.', requires = { b = '>=2' }")
    plugin("b")
    local rows = host({ a = true }):list()
    assert.equal("b", rows[1].name)
    assert.equal("validated", rows[1].state)
    assert.equal("refused", rows[2].state)
    assert.same({ "b >=2" }, rows[2].requires)
    assert.equal("An a.", rows[2].description)
    assert.same({}, events)
  end)
end)

describe("a plugin is refused, and others run,", function()
  local function refused(fields, init, part)
    plugin("bad", fields, init)
    plugin("needs", "requires = { bad = '*' }")
    plugin("good")
    events = {}
    local self = started({ bad = true, needs = true, good = true })
    contains(reason(self, "bad"), part)
    contains(reason(self, "needs"), "it requires bad, which was refused: ")
    assert(self:get("good"))
    contains(table.concat(log, "\n"), "error bad: plugin bad")
  end

  it("when the API is out of its range, with both versions", function()
    plugin("bad")
    write(root .. "/plugins/bad/manifest.lua", "return { name = 'bad', version = '1.0', api = '>=2.0 <3' }")
    contains(reason(started({ bad = true }), "bad"), "it wants plugin API >=2.0 <3, this is 1.2")
    contains(log[1], "plugin bad 1.0 refused")
  end)

  it("when a requirement is out of range, with both versions", function()
    plugin("bad", "requires = { good = '>=1.1' }")
    plugin("good")
    local self = started({ bad = true })
    contains(reason(self, "bad"), "it requires good >=1.1, here is 1.0.0")
    assert(self:get("good"))
  end)

  it("when a requirement is missing", function()
    plugin("bad", "requires = { nowhere = '*' }")
    contains(reason(started({ bad = true }), "bad"), "it requires nowhere, which was refused: not found (looked in ")
  end)

  it("when requirements form a cycle, which is named", function()
    plugin("a", "requires = { 'b' }")
    plugin("b", "requires = { 'c' }")
    plugin("c", "requires = { 'b' }")
    plugin("d", "requires = { 'd' }")
    plugin("good")
    local self = started({ a = true, d = true, good = true })
    contains(reason(self, "b"), "its requirements form a cycle: b -> c -> b")
    contains(reason(self, "c"), "its requirements form a cycle: b -> c -> b")
    contains(reason(self, "d"), "its requirements form a cycle: d -> d")
    contains(reason(self, "a"), "it requires b, which was refused: its requirements form a cycle")
    assert(self:get("good"))
  end)

  it("when its manifest is no data", function()
    plugin("bad")
    write(root .. "/plugins/bad/manifest.lua", "return { name = os.getenv('HOME') }")
    contains(reason(started({ bad = true }), "bad"), "global 'os'")
    write(root .. "/plugins/bad/manifest.lua", "return { name = 'bad', f = function() end }")
    contains(reason(started({ bad = true }), "bad"), "only plain data is allowed, found function at 'f'")
  end)

  it("when its manifest is incomplete or wrong", function()
    local function manifest(text, part)
      plugin("bad")
      write(root .. "/plugins/bad/manifest.lua", "return " .. text)
      contains(reason(started({ bad = true }), "bad"), part)
    end
    manifest("{}", "name should be")
    manifest("{ name = 'other', version = '1', api = '*' }", "names itself 'other'")
    manifest("{ name = 'bad', version = 'one', api = '*' }", "version should be dotted numbers")
    manifest("{ name = 'bad', version = '1' }", "api: a range is text")
    manifest("{ name = 'bad', version = '1', api = '~1' }", "'~1' is no comparison")
    manifest("{ name = 'bad', version = '1', api = '' }", "an empty range")
    manifest("{ name = 'bad', version = '1', api = '*', require = {} }", "unknown field 'require' (did you mean 'requires'?)")
    manifest("{ name = 'bad', version = '1', api = '*', requires = { x = 1 } }", "requires.x: a range is text")
    manifest("{ name = 'bad', version = '1', api = '*', config = { k = { default = 1 } } }", "config.k: no description")
    manifest("{ name = 'bad', version = '1', api = '*', config = { k = { description = 'x' } } }", "config.k: neither a type nor a default")
    manifest("{ name = 'bad', version = '1', api = '*', config = { k = { type = 'strng', description = 'x' } } }",
      "unknown type 'strng' (did you mean 'string'?)")
    manifest("{ name = 'bad', version = '1', api = '*', config = { k = { type = 'string', default = 1, description = 'x' } } }",
      "the default is no string")
  end)

  it("when its code does not load or has no start", function()
    refused(nil, "return {", "init.lua")
    refused(nil, "return {}", "init.lua should return { start = function }")
    refused(nil, "error('at load')", "at load")
    refused(nil, "local plugin = ... plugin.load('../other')", "the name of a file of this plugin expected")
  end)

  it("when start raises or answers nil, err", function()
    refused(nil, "return { start = function() error('boom', 0) end }", "start failed: boom")
    refused(nil, "return { start = function() return nil, 'no luck' end }", "start failed: no luck")
    refused(nil, "return { start = function() end }", "start failed: start returned nothing")
  end)

  it("when it is nowhere, saying where it was looked for and what is near", function()
    local self = started({ evnt_bus = true }, { "event_bus" })
    contains(reason(self, "evnt_bus"), root .. "/plugins")
    contains(reason(self, "evnt_bus"), "did you mean 'event_bus'?")
    contains(reason(self, "event_buss"), "no plugin 'event_buss' (did you mean 'event_bus'?)")
  end)
end)

describe("stopping", function()
  it("goes on when a plugin fails to stop, and says so", function()
    plugin("a", "requires = { 'b' }", "return { start = function() return { stop = function() error('stuck', 0) end } end }")
    plugin("b")
    local self = started({ a = true })
    events = {}
    self:get("b").ctx.events = events
    assert.same({ "stuck" }, self:stop())
    assert.same({ "after a", "stop b", "after b" }, events)
    contains(table.concat(log, "\n"), "error a: plugin a failed to stop: stuck")
  end)

  it("can keep the first ones, and the others start again", function()
    plugin("a")
    plugin("b")
    local self = host({ a = true, b = true })
    self:start("a")
    self:start()
    self:stop(1)
    assert(self:get("a"))
    assert.is_nil((self:get("b")))
    self:start()
    assert(self:get("b"))
    assert.same({ "start a", "start b", "stop b", "after b", "start b" }, events)
  end)
end)

describe("a version range", function()
  local function matches(range, text)
    return version.matches(assert(version.parse_range(range)), assert(version.parse(text)))
  end

  it("compares as tuples", function()
    assert.is_true(matches(">=1.0 <2", "1.10.3"))
    assert.is_true(matches(">=1.9", "1.10"))
    assert.is_false(matches(">=1.0 <2", "2.0"))
    assert.is_false(matches(">=1.0 <2", "0.9.9"))
    assert.is_true(matches("1.0", "1.0.0"))
    assert.is_true(matches("= 1.0", "1"))
    assert.is_true(matches("> 1 <= 1.5", "1.5"))
    assert.is_true(matches("*", "0"))
  end)

  it("refuses what it does not understand", function()
    for _, range in ipairs({ "", "~>1", ">=", ">=a", ">=1..0", "^1" }) do
      local parsed, why = version.parse_range(range)
      assert.is_nil(parsed)
      assert.equal("string", type(why))
    end
    for _, text in ipairs({ "", ".", "1.", "1.x", "-1", "99999999999" }) do
      assert.is_nil(version.parse(text), text)
    end
  end)
end)
