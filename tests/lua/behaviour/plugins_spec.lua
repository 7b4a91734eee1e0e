-- Plugins on a real universe: one of the user's, one that fails, cycles, versions, plugins left out, configuration, order of stopping.

local iu = require "inner_universe"
local support = require "support"

describe("plugins", function()
  local folder, lines
  before_each(function()
    folder = support.folder()
    lines = {}
    iu.log.set_sink(function(level, message, source) lines[#lines + 1] = ("%s %s: %s"):format(level, source, message) end)
  end)
  after_each(function()
    iu.log.set_sink(nil)
    support.clean()
  end)

  local function plugin(name, manifest, init)
    support.write(("%s/%s/manifest.lua"):format(folder, name), ('return { name = "%s", version = "1.2.3", %s }'):format(name, manifest))
    support.write(("%s/%s/init.lua"):format(folder, name), init)
  end

  local function logged(...)
    local all = table.concat(lines, "\n")
    for _, text in ipairs { ... } do
      if not all:find(text, 1, true) then error(("not logged: %s\n%s"):format(text, all), 2) end
    end
  end

  local GREETER = [[
    local plugin = ...
    local iu = require "inner_universe"
    local words = plugin.load "words"
    local M = {}
    function M.validate(config)
      if config.greeting == "" then return nil, "greeting: expected a text" end
      return true
    end
    function M.start(ctx)
      local manager = ctx.plugin("persistence_manager")
      local methods = {}
      function methods:greet(name)
        ctx.check.type(name, "string", 1, "greet", "name")
        return manager:create_entity("Greeting", { name = ctx.config.greeting .. words.comma .. name })
      end
      function methods:stop() ctx.conn:call("put_record", "greeter", "stopped", nil, nil) end
      function methods:health() return true, { words = words.comma } end
      ctx.plugin("event_bus"):register_handler("ENTITY_CREATED", function() methods.heard = (methods.heard or 0) + 1 end)
      function methods:count() return methods.heard or 0 end
      return ctx.hooks.class("greeter", methods, {}).new {}
    end
    return M
  ]]
  local MANIFEST = [[api = ">=1.0 <2", requires = { persistence_manager = ">=0.1 <1", event_bus = "*" },
    config = { greeting = { default = "hello", description = "What it says." }, limit = { type = "integer", description = "How many." } }]]

  local function greeter()
    plugin("greeter", MANIFEST, GREETER)
    support.write(folder .. "/greeter/words.lua", 'return { comma = ", " }')
  end

  it("of a user's folder are found, configured, started and stopped", function()
    greeter()
    local m = support.open { plugins = { paths = { folder }, greeter = { greeting = "hi" } } }
    local id = assert(m.greeter:greet("Ada"))
    assert.equal("hi, Ada", m:get_entity(id).metadata.name)
    assert.equal(1, m.greeter:count())
    assert.equal(m.greeter, m:plugin("greeter"))
    support.raises_here(function() m.greeter:greet(5) end, "greet", "name")
    local row
    for _, each in ipairs(m:status().plugins) do
      if each.name == "greeter" then row = each end
    end
    assert.same({ "1.2.3", "started" }, { row.version, row.state })
    m = support.reopen(m, { plugins = { paths = { folder .. "/greeter" } } }) -- the folder of the plugin itself: runs without being named
    if support.on_file then
      assert.equal("stopped", m.client:query("SELECT * FROM plugin_record WHERE key = 'greeter'")[1].value)
      assert.equal("hello, Bob", m:get_entity(assert(m.greeter:greet("Bob"))).metadata.name)
    end
  end)

  it("that are not named do not run, though their folder is", function()
    greeter()
    local m = support.open { plugins = { paths = { folder } } }
    assert.is_nil(m.greeter)
    support.refused("PluginError", m:plugin("greeter"))
    support.refused("PluginError", m:plugin("nonsense"))
  end)

  it("have state of their own in each universe", function()
    greeter()
    local one = support.open { plugins = { paths = { folder }, greeter = true } }
    local two = support.open { plugins = { paths = { folder }, greeter = { greeting = "bye" } } }
    assert(one.greeter:greet("x"))
    assert(one.greeter:greet("y"))
    assert.same({ 2, 0 }, { one.greeter:count(), two.greeter:count() })
    assert.equal("bye, z", two:get_entity(assert(two.greeter:greet("z"))).metadata.name)
  end)

  -- A manager with these plugins, and what it says of one of them, which must not run.
  local function refused(name, plugins, ...)
    plugins.paths = { folder }
    local m = support.open { plugins = plugins }
    local object, err = m:plugin(name)
    support.refused("PluginError", object, err, name, ...)
    assert.is_nil(m[name])
    assert(m:create_entity("T"))
    logged(name, ...)
    return m
  end

  it("that fail to start say why, and the universe opens without them", function()
    for name, init in pairs {
      raises = 'return { start = function() error("broken on purpose") end }', refuses = 'return { start = function() return nil, "broken on purpose" end }',
      half = [[return { start = function(ctx)
        ctx.plugin("persistence_manager"):create_entity("Made", nil, "made by half")
        ctx.spawn(function() while true do require("inner_universe").sleep(0.001) end end)
        error("broken on purpose")
      end }]],
    } do
      plugin(name, 'api = ">=1.0 <2", requires = { persistence_manager = "*" }', init)
      local m = refused(name, { [name] = true }, "broken on purpose")
      if name == "half" then assert.equal("Made", m:get_entity("made by half").entity_type) end
      m = support.reopen(m)
      assert(m:create_entity("T"))
      iu.run(function() iu.sleep(0.005) end) -- ends: no task of the plugin is left
    end
    plugin("unreadable", 'api = ">=1.0 <2"', "this is not Lua")
    plugin("nothing", 'api = ">=1.0 <2"', "return 5")
    refused("unreadable", { unreadable = true })
    refused("nothing", { nothing = true })
    refused("missing", { missing = true })
  end)

  it("that are essential and fail keep the universe from opening", function()
    local ESSENTIAL = 'api = ">=1.0 <2", essential = true, requires = { persistence_manager = "*" }'
    plugin("guard", ESSENTIAL, [[
      local M = { tries = 0 }
      function M.validate(config) return true end
      function M.start(ctx)
        M.tries = M.tries + 1
        if M.tries == 1 then return nil, require("inner_universe").errors.new("AuthorizationError", "no key on purpose") end
        return {}
      end
      return M
    ]])
    local target = support.target()
    local m = support.owned(assert(iu.manager(support.config(target, { plugins = { paths = { folder }, guard = true } }))))
    local err = support.refused("PluginError", nil, select(2, m:initialize()), "guard", "no key on purpose")
    assert.equal("AuthorizationError", err.cause.kind)
    assert.is_false(m:is_initialized())
    assert.is_true(m:initialize()) -- and may be tried again
    support.close(m)
    plugin("needs_more", ESSENTIAL:gsub("requires = {", "requires = { missing = '*', "), "return { start = function() return {} end }")
    local config = support.config(support.target(), { plugins = { paths = { folder }, needs_more = true } })
    support.refused("PluginError", nil, select(2, iu.open(config)), "needs_more", "missing")
    config.plugins.needs_more = nil -- it is there, but nobody wants it
    support.owned(assert(iu.open(config)))
  end)

  it("filter the log until their universe is closed", function()
    plugin("quiet", 'api = ">=1.0 <2", requires = { persistence_manager = "*" }', [[
      return { start = function(ctx)
        ctx.log_filter(function(message) return (message:gsub("secret", "nothing")) end)
        return { say = function(_, text) ctx.log.warn("%s", text) end }
      end }
    ]])
    local one = support.open { plugins = { paths = { folder }, quiet = true } }
    local two = support.open()
    one.quiet:say("a secret")
    logged("warn quiet: a nothing")
    support.close(one)
    lines = {}
    two.hooks.after("get_entity", function() error("another secret") end)
    local id = assert(two:create_entity("T"))
    assert(two:get_entity(id))
    support.take_reported()
    iu.on_error(nil)
    assert(two:get_entity(id))
    iu.on_error(function(err, context) support.reported[#support.reported + 1] = { err = err, context = context } end)
    logged("another secret")
  end)

  it("that fail stop those that need them, and no others", function()
    greeter()
    plugin("broken", 'api = ">=1.0 <2", requires = { persistence_manager = "*" }', 'return { start = function() error("broken on purpose") end }')
    plugin("needy", 'api = ">=1.0 <2", requires = { broken = "*" }', "return { start = function() return {} end }")
    local m = refused("needy", { greeter = true, needy = true }, "broken")
    assert(m.greeter:greet("Ada"))
    local rows = assert(iu.plugins { plugins = { paths = { folder }, greeter = true, needy = true } })
    local states = {}
    for _, row in ipairs(rows) do states[row.name] = row.state end
    assert.is_string(states.greeter)
    assert.is_string(states.needy)
  end)

  it("that need each other in a circle are named, all of them", function()
    plugin("one", 'api = ">=1.0 <2", requires = { two = "*" }', "return { start = function() return {} end }")
    plugin("two", 'api = ">=1.0 <2", requires = { three = "*" }', "return { start = function() return {} end }")
    plugin("three", 'api = ">=1.0 <2", requires = { one = "*" }', "return { start = function() return {} end }")
    refused("one", { one = true }, "one", "two", "three")
  end)

  it("of another version of the interface, or that need another version, say which met", function()
    plugin("future", 'api = ">=2.0 <3"', "return { start = function() return {} end }")
    refused("future", { future = true }, ">=2.0 <3", "1.0")
    plugin("picky", 'api = ">=1.0 <2", requires = { event_bus = ">=7" }', "return { start = function() return {} end }")
    local present = dofile("plugins/event_bus/manifest.lua").version
    refused("picky", { picky = true }, "event_bus", ">=7", "here is " .. present)
    plugin("lost", 'api = ">=1.0 <2", requires = { nowhere = "*" }', "return { start = function() return {} end }")
    refused("lost", { lost = true }, "nowhere")
  end)

  it("with a wrong configuration are refused with the key", function()
    greeter()
    refused("greeter", { greeter = { greting = "x" } }, "greting", "greeting")
    refused("greeter", { greeter = { greeting = 5 } }, "greeting", "string")
    refused("greeter", { greeter = { greeting = "" } }, "greeting")
    refused("greeter", { greeter = { limit = "x" } }, "limit")
    refused("temporal_store", { temporal_store = { part_bytes = 1 } }, "part_bytes")
    refused("event_bus", { event_bus = { rollover = 0 } }, "rollover")
  end)

  it("that come with the library can be left out", function()
    local m = support.open { plugins = { event_bus = false, temporal_store = false } }
    assert.is_nil(m.event_bus)
    support.refused("PluginError", m:plugin("event_bus"))
    local id = assert(m:create_entity("T"))
    assert(m:publish_event("E", { a = 1 }))
    assert.equal(id, m:query_entities({ entity_type = "T" })[1].id)
    support.refused("PluginError", m:commit_version({}))
    support.refused("PluginError", m:record_delta("v", {}))
    assert(m.client:commit_state_version(nil, "bare"))
  end)

  it("stop in reverse, once, even when one raises", function()
    local order = support.folder() .. "/order"
    for _, name in ipairs { "first", "second", "third" } do
      local requires = ({ first = 'persistence_manager = "*"', second = 'first = "*"', third = 'second = "*"' })[name]
      plugin(name, ('api = ">=1.0 <2", requires = { %s }'):format(requires), ([[return { start = function(ctx)
        local function note(what) local f = assert(io.open(%q, "a")) f:write(what, " %s ") f:close() end
        note "start"
        return { stop = function() note "stop" if %q == "second" then error("broken on purpose") end end }
      end }]]):format(order, name, name))
    end
    local m = support.open { plugins = { paths = { folder }, third = true } }
    assert(m:shutdown())
    assert(m:shutdown())
    local file = assert(io.open(order))
    assert.equal("start first start second start third stop third stop second stop first ", file:read("a"))
    file:close()
    assert.is_true(#support.take_reported() <= 1)
  end)
end)
