-- A universe: opening, initializing, plugins of the user, hooks on the manager, closing in every way.

local iu = require("inner_universe")
local core = require("inner_universe.core")

local folder, refs

local function shell(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read("l")
  pipe:close()
  return line
end

local function write(path, text)
  assert(os.execute(("mkdir -p '%s'"):format(path:match("^(.*)/"))))
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function plugin(name, fields, init)
  write(("%s/plugins/%s/manifest.lua"):format(folder, name),
    ("return { name = '%s', version = '1.0.0', api = '>=1.0 <2', %s }"):format(name, fields or ""))
  write(("%s/plugins/%s/init.lua"):format(folder, name), init)
end

local function collect()
  collectgarbage()
  collectgarbage()
end

before_each(function()
  collect()
  refs = core.debug_refs()
  folder = shell("mktemp -d")
end)

after_each(function()
  iu.log.set_sink(nil)
  collect()
  assert.equal(refs, core.debug_refs(), "Lua values are still held by the core")
  os.execute("rm -rf '" .. folder .. "'")
end)

describe("iu.open", function()
  it("gives an initialized manager with its plugins", function()
    local manager <close> = assert(iu.open("memory:"))
    assert.is_true(manager:is_initialized())
    assert.equal(manager:plugin("event_bus"), manager.event_bus)
    assert.equal(manager:plugin("temporal_store"), manager.temporal_store)
    assert.equal(manager, manager:plugin("persistence_manager"))
    assert.truthy(manager.client)
    assert.is_nil(manager.nothing)
  end)

  it("keeps what was written, closed or not", function()
    local path = folder .. "/world.universe"
    local function first()
      local manager = assert(iu.open(path))
      assert(manager:create_entity("Person", { name = "Ada" }, "ada"))
    end
    first()
    collect()
    do
      local manager <close> = assert(iu.open("file:" .. path, { durability = "full" }))
      assert.equal("Ada", manager:get_entity("ada").metadata.name)
      assert(manager:create_entity("Person", { name = "Bob" }, "bob"))
    end
    local manager <close> = assert(iu.open({ db_path = path }))
    assert.equal("Bob", manager:get_entity("bob").metadata.name)
  end)

  it("lets an explicit target win over the configuration", function()
    local manager <close> = assert(iu.open("memory:", { db_path = folder .. "/elsewhere" }))
    assert.is_true(manager:is_initialized())
    assert.is_nil(io.open(folder .. "/elsewhere"))
  end)

  it("answers nil, err for bad targets and configurations", function()
    local function refused(kind, part, ...)
      local manager, err = iu.open(...)
      assert.is_nil(manager)
      assert.equal(kind, err.kind)
      assert.truthy(err.message:find(part, 1, true), err.message)
    end
    refused("ValidationError", "empty", "")
    refused("ConnectionError", "127.0.0.1 port 1:", "wss://127.0.0.1:1/world", { token_file = "none" })
    refused("ConnectionError", "127.0.0.1 port 1:", { backend = "spacetimedb", port = 1, token_file = "none" })
    refused("ValidationError", "did you mean 'durability'?", "memory:", { durabilty = "full" })
    refused("ValidationError", "did you mean 'durability'?", { durabilty = "full" })
    refused("StorageError", "", folder .. "/no/folder/world")
    assert.has_error(function() iu.open() end)
    assert.has_error(function() iu.open({}, {}) end)
    assert.has_error(function() iu.manager("memory:") end)
  end)

  it("answers UniverseLockedError and leaves nothing behind", function()
    local path = folder .. "/world.universe"
    local manager <close> = assert(iu.open(path))
    local other, err = iu.open(path)
    assert.is_nil(other)
    assert.equal("UniverseLockedError", err.kind)
    assert.is_true(manager:is_initialized())
  end)
end)

describe("iu.manager", function()
  it("is not initialized until it is told to be, and again is fine", function()
    local manager <close> = assert(iu.manager({ db_path = "memory:" }))
    assert.is_false(manager:is_initialized())
    assert.is_nil((manager:plugin("event_bus")))
    assert.is_true(manager:initialize({ deploy = true }))
    assert.is_true(manager:initialize())
    assert.is_true(manager:is_initialized())
    assert(manager:plugin("event_bus"))
  end)

  it("refuses options it does not know", function()
    local manager <close> = assert(iu.manager({ db_path = "memory:" }))
    local ok, err = manager:initialize({ deply = true })
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)
    assert.truthy(err.message:find("did you mean 'deploy'?", 1, true))
    assert.is_true(manager:initialize())
  end)

  it("can try again after a failed initialize", function()
    local path = folder .. "/world.universe"
    local holder = assert(iu.connect(path))
    local manager <close> = assert(iu.manager({ db_path = path }))
    local ok, err = manager:initialize()
    assert.is_nil(ok)
    assert.equal("UniverseLockedError", err.kind)
    assert.is_false(manager:is_initialized())
    assert(holder:close())
    assert.is_true(manager:initialize())
    assert(manager:create_entity("P", {}, "a"))
  end)

  it("can be dropped or shut down without ever being initialized", function()
    local manager = assert(iu.manager({ db_path = "memory:" }))
    assert.is_true(manager:shutdown())
    assert.is_true(manager:shutdown())
    assert(iu.manager({ db_path = "memory:" }))
  end)
end)

describe("plugins of the user", function()
  local GREETER = [[
    local M = {}
    function M.validate(config)
      if config.greeting == "" then return nil, "greeting: must not be empty" end
      return true
    end
    function M.start(ctx)
      local methods = {}
      function methods:greet(name)
        ctx.check.type(name, "string", 1, "greet", "name")
        return ctx.config.greeting .. " " .. name
      end
      function methods:ctx() return ctx end
      function methods:stop() ctx.settings_seen = nil end
      return ctx.hooks.class("greeter", methods).new({})
    end
    return M
  ]]
  local FIELDS = "requires = { persistence_manager = '*' }, config = { greeting = { default = 'hello', description = 'x' } }"

  local function open(plugins)
    plugins.paths = { folder .. "/plugins" }
    return assert(iu.open("memory:", { plugins = plugins }))
  end

  it("are reached through the manager, with their configuration", function()
    plugin("greeter", FIELDS, (GREETER:gsub("ctx.settings_seen = nil", "")))
    local manager <close> = open({ greeter = { greeting = "hi" } })
    assert.equal("hi Ada", manager.greeter:greet("Ada"))
    assert.equal(manager.greeter, manager:plugin("greeter"))
    local ctx = manager.greeter:ctx()
    assert.equal("greeter", ctx.name)
    assert.equal(manager, ctx.plugin("persistence_manager"))
    assert.equal("normal", ctx.settings.durability)
    assert.is_false(ctx.conn:is_closed())
    assert.has_error(function() ctx.plugin("event_bus") end)
    assert.has_error(function() ctx.conn = nil end)
    assert.has_error(function() ctx.config.greeting = "x" end)
    assert.has_error(function() ctx.settings.port = 1 end)
  end)

  it("raise misuse at the caller's line, with hooks and without", function()
    plugin("greeter", FIELDS, (GREETER:gsub("ctx.settings_seen = nil", "")))
    local manager <close> = open({ greeter = true })
    for _ = 1, 2 do
      local fn = function() manager.greeter:greet(1) end
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.equal(("%s:%d: bad argument #1 to 'greet' (name: string expected, got an integer)"):format(
        debug.getinfo(fn, "S").short_src, debug.getinfo(fn, "S").linedefined), err)
      manager.hooks.before("greeter.greet", function() end)
    end
  end)

  it("that cannot start do not stop the universe; the reason is told and logged", function()
    plugin("broken", nil, "return { start = function() error('out of luck', 0) end }")
    plugin("wrong", "config = { n = { default = 1, description = 'x' } }", "return { start = function() return {} end }")
    local lines = {}
    iu.log.set_sink(function(level, message) lines[#lines + 1] = level .. " " .. message end)
    local manager <close> = open({ broken = true, wrong = { m = 1 }, nowhere = true })
    for name, part in pairs({ broken = "out of luck", wrong = "unknown key 'm'", nowhere = "not found" }) do
      local object, err = manager:plugin(name)
      assert.is_nil(object)
      assert.equal("PluginError", err.kind)
      assert.truthy(err.message:find(part, 1, true), err.message)
      assert.truthy(table.concat(lines, "\n"):find("error plugin " .. name, 1, true))
    end
    assert(manager:create_entity("P", {}, "a"))
  end)

  it("may leave out a default one", function()
    local manager <close> = open({ event_bus = false })
    assert.is_nil((manager:plugin("event_bus")))
    assert.is_true(manager:is_initialized())
  end)

  it("run background tasks that end with them and hold up nobody", function()
    plugin("worker", nil, [[
      local iu = require "inner_universe"
      return { start = function(ctx)
        local object = { turns = 0 }
        ctx.spawn(function()
          local guard <close> = setmetatable({}, { __close = function() object.closed = true end })
          while guard do
            object.turns = object.turns + 1
            iu.sleep(0.001)
          end
        end)
        return object
      end }
    ]])
    local manager = open({ worker = true })
    local worker = manager.worker
    iu.run(function() iu.sleep(0.02) end)
    assert.is_true(worker.turns > 1)
    assert.is_nil(worker.closed)
    assert.is_true(manager:shutdown())
    assert.is_true(worker.closed)
  end)

  it("can be listed without opening anything", function()
    plugin("greeter", FIELDS, GREETER)
    local rows = assert(iu.plugins({ plugins = { paths = { folder .. "/plugins" }, greeter = { greeting = "" } } }))
    local states = {}
    for _, row in ipairs(rows) do
      states[row.name] = row.state
    end
    assert.same({ controller = "validated", persistence_manager = "validated", event_bus = "validated", temporal_store = "validated",
      greeter = "refused" }, states)
    assert.has_error(function() iu.plugins(1) end)
  end)
end)

describe("closing a universe", function()
  it("stops plugins in reverse, once, whoever closes", function()
    plugin("loud", "requires = { persistence_manager = '*' }", [[
      return { start = function(ctx)
        return { stop = function()
          ctx.log.info("stopping while the connection is %s", ctx.conn:is_closed() and "closed" or "open")
        end }
      end }
    ]])
    local lines = {}
    iu.log.set_sink(function(_, message, source)
      if source == "loud" then lines[#lines + 1] = message end
    end)
    local manager = assert(iu.open("memory:", { plugins = { paths = { folder .. "/plugins/loud" } } }))
    assert.is_true(manager:shutdown())
    assert.is_true(manager:shutdown())
    assert.equal("stopping while the connection is open", lines[#lines])
    assert.is_false(manager:is_initialized())
    assert.is_nil((manager:plugin("loud")))
    assert.has_error(function() manager:get_entity("a") end)
  end)

  it("works in a handler, in a task, at the end of a scope and in the collector", function()
    local in_handler = assert(iu.open("memory:"))
    in_handler.event_bus:register_handler("*", function() in_handler:shutdown() end)
    in_handler:publish_event("X", {}, "spec")
    for _ = 1, 20 do
      iu.step()
    end
    assert.is_false(in_handler:is_initialized())
    iu.run(function()
      local manager <close> = assert(iu.open(folder .. "/a"))
      assert(manager:create_entity("P", {}, "a"))
    end)
    local function drop()
      local manager = assert(iu.open(folder .. "/b"))
      assert(manager:create_entity("P", {}, "b"))
    end
    drop()
    collect()
    local again <close> = assert(iu.open(folder .. "/b"))
    assert(again:get_entity("b"))
  end)

  it("leaves other universes alone", function()
    local one, two = assert(iu.open("memory:")), assert(iu.open("memory:"))
    assert(one:create_entity("P", {}, "only"))
    assert.is_true(one:shutdown())
    assert.is_nil((two:get_entity("only")))
    assert(two:create_entity("P", {}, "other"))
    assert.is_true(two:shutdown())
  end)
end)

describe("hooks of the manager", function()
  it("see calls of the manager and can refuse them", function()
    local manager <close> = assert(iu.open("memory:"))
    local seen = {}
    local handle = manager.hooks.before("create_entity", function(call)
      seen[#seen + 1] = call.args[1]
      if call.args[1] == "Forbidden" then return false, iu.errors.new("AuthorizationError", "no") end
    end)
    assert(manager:create_entity("Person", {}, "a"))
    local id, err = manager:create_entity("Forbidden", {}, "b")
    assert.is_nil(id)
    assert.equal("AuthorizationError", err.kind)
    assert.is_nil((manager:get_entity("b")))
    assert.is_true(handle:remove())
    assert(manager:create_entity("Forbidden", {}, "c"))
    assert.same({ "Person", "Forbidden" }, seen)
  end)
end)
