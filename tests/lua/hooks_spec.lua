-- The dispatcher around methods: hooks before, around, after and on errors; lines of misuse; methods that cannot be replaced.

local hooks = require("inner_universe.hooks")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")

local registry, manager, reported, calls

local methods = {}

function methods:create(name, metadata)
  check.type(name, "string", 1, "create", "name")
  check.optional(metadata, "table", 2, "create", "metadata")
  if name == "" then return nil, errors.new("ValidationError", "name: empty") end
  if name == "raise" then error({ "raised" }) end
  calls[#calls + 1] = name
  return "id-" .. name, self.label
end

function methods:many(...)
  return select("#", ...), ...
end

function methods:plain()
  return self.label
end

function methods:indirect(name)
  return self:create(name)
end

local function here()
  return debug.getinfo(2, "l").currentline
end

-- fn raises exactly this text, position of its own line included.
local function raises_here(fn, text)
  local ok, raised = pcall(fn)
  assert.is_false(ok)
  local info = debug.getinfo(fn, "S")
  assert.equal(("%s:%d: %s"):format(info.short_src, info.linedefined, text), raised)
end

before_each(function()
  reported, calls = {}, {}
  registry = hooks.new(function(err, what)
    reported[#reported + 1] = { err = err, what = what }
  end)
  local class = registry.class("manager", methods, { index = function(key)
    return key == "greeter" and "a plugin" or nil
  end })
  manager = class.new({ label = "m" })
end)

describe("an old name of a method", function()
  it("works like the new one, and says so once", function()
    local said = {}
    local with_log = hooks.new(function() end, function(text) said[#said + 1] = text end)
    local class = with_log.class("shelf", { put = function(_, what)
      if what == nil then error("nothing", 2) end
      return what, "kept"
    end }, { aliases = { store = "put" } })
    local shelf = class.new {}
    assert.same({ "book", "kept" }, { shelf:put("book") })
    assert.same({}, said)
    assert.same({ "book", "kept" }, { shelf:store("book") })
    assert.same({ "book", "kept" }, { shelf:store("book") })
    assert.same({ "shelf.store is called put now; the old name goes with the next version" }, said)
    raises_here(function() shelf:store() end, "nothing")
    with_log.before("shelf.put", function(call) call.args[1] = "another" end)
    assert.equal("another", (shelf:store("book")))
    assert.has_error(function() with_log.class("other", { a = function() end }, { aliases = { b = "c" } }) end)
    assert.has_error(function() with_log.class("third", { a = function() end, b = function() end }, { aliases = { b = "a" } }) end)
  end)
end)

describe("a method of a class", function()
  it("works as before, without and with hooks", function()
    assert.same({ "id-a", "m" }, { manager:create("a") })
    registry.before("create", function() end)
    assert.same({ "id-a", "m" }, { manager:create("a") })
  end)

  it("keeps nils among arguments and results", function()
    for round = 1, 2 do
      assert.same({ 3, 1, nil, nil, n = 4 }, table.pack(manager:many(1, nil, nil)), round)
      registry.before("many", function() end)
    end
  end)

  it("cannot be replaced, and unknown fields fall back", function()
    raises_here(function() manager.create = print end, "manager.create cannot be set: extend with hooks or a plugin")
    assert.has_error(function() manager.new_field = 1 end)
    assert.equal("a plugin", manager.greeter)
    assert.is_nil(manager.nothing)
    assert.equal("manager", getmetatable(manager))
  end)

  it("raises misuse at the line of its user, whatever hooks there are", function()
    local function line_of_misuse()
      local line
      local ok, message = pcall(function()
        line = here() + 1
        manager:create(nil)
      end)
      assert.is_false(ok)
      assert.equal(("tests/lua/hooks_spec.lua:%d: bad argument #1 to 'create' (name: string expected, got nil)"):format(line), message)
    end
    line_of_misuse()
    registry.before("create", function() end)
    line_of_misuse()
    registry.around("create", function(_, next)
      local id = next()
      return id
    end)
    line_of_misuse()
    registry.around("create", function(_, next) return next() end)
    registry.on_error("create", function() end)
    line_of_misuse()
  end)

  it("passes other raised values as they are", function()
    registry.after("create", function() end)
    local ok, raised = pcall(manager.create, manager, "raise")
    assert.is_false(ok)
    assert.same({ "raised" }, raised)
  end)
end)

describe("hooks", function()
  it("run before and after, and see arguments and results", function()
    local seen = {}
    registry.before("create", function(call)
      seen[#seen + 1] = ("before %s %s %d"):format(call.method, call.args[1], call.args.n)
      assert.equal(manager, call.target)
    end)
    registry.after("create", function(call) seen[#seen + 1] = "after " .. call.results[1] end)
    registry.on_error("create", function() seen[#seen + 1] = "error" end)
    manager:create("a")
    assert.same({ "before create a 2", "after id-a" }, seen)
  end)

  it("may change arguments before", function()
    registry.before("create", function(call) call.args[1] = call.args[1]:upper() end)
    assert.equal("id-ADA", (manager:create("ada")))
  end)

  it("may refuse the call", function()
    local err = errors.new("AuthorizationError", "not today")
    local handle = registry.before("create", function() return false, err end)
    local heard
    registry.on_error("create", function(call) heard = call.err end)
    assert.same({ nil, err }, { manager:create("a") })
    assert.equal(err, heard)
    assert.same({}, calls)
    handle:remove()
    registry.before("create", function() return false end)
    local _, why = manager:create("a")
    assert.equal("PluginError", why.kind)
    assert.equal("REFUSED", why.code)
  end)

  it("that raise before refuse the call with a PluginError", function()
    registry.before("create", function() error("boom") end)
    local id, err = manager:create("a")
    assert.is_nil(id)
    assert.equal("PluginError", err.kind)
    assert.truthy(tostring(err.cause):find("boom", 1, true))
    assert.same({}, calls)
  end)

  it("around wrap each other, the first added outermost, and decide the result", function()
    local order = {}
    registry.around("create", function(_, next)
      order[#order + 1] = "outer"
      local id = next()
      return id .. "!"
    end)
    registry.around("create", function(call, next)
      order[#order + 1] = "inner"
      call.args[1] = "b"
      return next()
    end)
    assert.equal("id-b!", manager:create("a"))
    assert.same({ "outer", "inner" }, order)
    registry.around("create", function() return "instead" end)
    assert.equal("instead!", manager:create("c"))
    assert.same({ "b" }, calls)
  end)

  it("on_error hear failures, returned and raised", function()
    local heard = {}
    registry.on_error("create", function(call) heard[#heard + 1] = { call.err, call.raised } end)
    registry.after("create", function() heard[#heard + 1] = "after" end)
    local _, err = manager:create("")
    assert.same({ { err } }, heard)
    assert.is_false((pcall(manager.create, manager, 1)))
    assert.is_true(heard[2][2])
    assert.equal("bad argument #1 to 'create' (name: string expected, got an integer)", heard[2][1])
  end)

  it("that raise after the method are reported and change nothing", function()
    registry.after("create", function() error("late") end)
    assert.equal("id-a", (manager:create("a")))
    assert.equal(1, #reported)
    assert.equal("a hook of create", reported[1].what)
    registry.on_error("create", function() error("later") end)
    assert.equal("ValidationError", select(2, manager:create("")).kind)
    assert.equal(2, #reported)
  end)

  it("end when removed; again is nothing", function()
    local count = 0
    local handle = registry.before("create", function() count = count + 1 end)
    manager:create("a")
    assert.is_true(handle:remove())
    assert.is_false(handle:remove())
    manager:create("a")
    assert.equal(1, count)
  end)

  it("added or removed meanwhile count from the next call", function()
    local seen = {}
    local second
    registry.before("create", function()
      seen[#seen + 1] = "first"
      if second then second:remove() end
    end)
    second = registry.before("create", function() seen[#seen + 1] = "second" end)
    manager:create("a")
    manager:create("a")
    assert.same({ "first", "second", "first" }, seen)
  end)

  it("run for calls of other methods through self", function()
    local count = 0
    registry.before("create", function() count = count + 1 end)
    assert.equal("id-a", (manager:indirect("a")))
    assert.equal(1, count)
  end)

  it("name methods of other classes by their class", function()
    local class = registry.class("event_bus", { publish = function() return "published" end })
    local bus = class.new({})
    local count = 0
    registry.add("before", "event_bus.publish", function() count = count + 1 end)
    assert.equal("published", bus:publish())
    assert.equal(1, count)
  end)

  it("are refused for unknown methods, kinds and what is no function, at the caller's line", function()
    raises_here(function() registry.add("before", "creat", print) end, "no method 'creat' to hook (did you mean 'create'?)")
    raises_here(function() registry.add("befor", "create", print) end, "unknown kind of hook 'befor' (did you mean 'before'?)")
    raises_here(function() registry.after("creat", print) end, "no method 'creat' to hook (did you mean 'create'?)")
    assert.has_error(function() registry.before("create", "print") end)
  end)

  it("may be added with a dot or a colon", function()
    local count = 0
    registry:before("create", function() count = count + 1 end)
    registry:add("after", "create", function() count = count + 1 end)
    manager:create("a")
    assert.equal(2, count)
    raises_here(function() registry:before("creat", print) end, "no method 'creat' to hook (did you mean 'create'?)")
  end)

  it("may yield", function()
    registry.around("create", function(_, next)
      coroutine.yield("paused")
      return next()
    end)
    local co = coroutine.create(function() return manager:create("a") end)
    assert.same({ true, "paused" }, { coroutine.resume(co) })
    assert.same({ true, "id-a", "m" }, { coroutine.resume(co) })
  end)
end)

describe("what runs as a method", function()
  local AS

  before_each(function() AS = { target = manager, via = "elsewhere" } end)

  local function elsewhere(self, name)
    check.type(name, "string", 1, "create", "name")
    return "elsewhere-" .. name, self.label
  end

  it("has the method's hooks around it, which see who it is", function()
    assert.same({ "elsewhere-a", "m" }, { registry.run("create", AS, elsewhere, "a") })
    local log = {}
    registry.before("create", function(call)
      log[#log + 1] = call.via
      if call.args[1] == "no" then return false, "refused" end
    end)
    registry.around("create", function(call, next)
      assert.equal(manager, call.target)
      call.args[1] = call.args[1] .. "b"
      return next()
    end)
    registry.after("create", function(call) log[#log + 1] = call.results[1] end)
    assert.same({ "elsewhere-ab", "m" }, { registry.run("create", AS, elsewhere, "a") })
    assert.same({ nil, "refused" }, { registry.run("create", AS, elsewhere, "no") })
    assert.same({ "id-ab", "m" }, { manager:create("a") })
    assert.same({ "elsewhere", "elsewhere-ab", "elsewhere", "id-ab" }, log)
    assert.same({ "ab" }, calls)
  end)

  it("keeps the caller's line, without and with hooks", function()
    local run = function(name) return registry.run("create", AS, elsewhere, name) end
    raises_here(function() local id = run(5) return id end, "bad argument #1 to 'create' (name: string expected, got an integer)")
    registry.before("create", function() end)
    raises_here(function() local id = run(5) return id end, "bad argument #1 to 'create' (name: string expected, got an integer)")
  end)

  it("is a method that there is", function()
    raises_here(function() registry.run("creat", AS, elsewhere) end, "no method 'creat' to run as (did you mean 'create'?)")
  end)
end)

describe("a hook around a method", function()
  it("may put a function in the method's place for one call, inside of all other hooks", function()
    local log, replace = {}, true
    registry.around("create", function(call, next)
      local inner = call.inner
      if replace then
        call.inner = function(target, name)
          log[#log + 1] = "inner"
          return inner(target, name .. "!")
        end
      end
      return next()
    end)
    registry.around("create", function(_, next)
      log[#log + 1] = "outer"
      return next()
    end)
    assert.equal("id-a!", (manager:create("a")))
    replace = false
    assert.equal("id-a", (manager:create("a")))
    assert.same({ "outer", "inner", "outer" }, log)
  end)
end)

describe("closing an object of a class", function()
  it("goes through one function for __close and __gc", function()
    local closed = {}
    local class = registry.class("thing", {}, { close = function(_, in_gc) closed[#closed + 1] = in_gc end })
    do
      local thing <close> = class.new({})
      assert(thing)
    end
    collectgarbage()
    collectgarbage()
    assert.same({ false, true }, closed)
  end)
end)

describe("the cost of the dispatcher", function()
  it("is small when no hook is set", function()
    local class = registry.class("bench", { work = function(_, a, b) return a, b end })
    local wrapped, bare = class.new({}), setmetatable({}, { __index = { work = function(_, a, b) return a, b end } })
    local function time(object)
      local best = math.huge
      for _ = 1, 5 do
        local began = os.clock()
        for i = 1, 200000 do
          object:work(i, i)
        end
        best = math.min(best, os.clock() - began)
      end
      return best / 200000 * 1e9
    end
    local more = time(wrapped) - time(bare)
    assert.is_true(more < 400, ("%.0f ns more per call"):format(more)) -- 40 ns here; the margin is for slow machines
  end)
end)

describe("a meter", function()
  local now, looked
  local function meter(every)
    now, looked = 0, {}
    return registry.meter("create", every, function()
      now = now + 1
      return now
    end, function(seconds) looked[#looked + 1] = seconds end)
  end

  it("counts every call and looks at one in so many", function()
    local counted = meter(4)
    for i = 1, 10 do
      assert.same({ "id-x", "m" }, { manager:create("x") })
      assert.equal(i, counted:calls())
    end
    assert.same({ 1, 1 }, looked)
    assert.equal(0, counted.failed)
  end)

  it("counts failures of the calls that it looks at, of both kinds", function()
    local counted = meter(1)
    assert.is_nil((manager:create("")))
    assert.is_false((pcall(manager.create, manager, "raise")))
    assert.is_false((pcall(manager.create, manager, 1)))
    manager:create("fine")
    assert.same({ 4, 3, 4 }, { counted:calls(), counted.failed, #looked })
  end)

  it("keeps the caller's line, and what is raised", function()
    for every = 1, 2 do
      local counted = meter(every)
      for _ = 1, 2 do
        raises_here(function() manager:create(1) end, "bad argument #1 to 'create' (name: string expected, got an integer)")
        local _, raised = pcall(manager.create, manager, "raise")
        assert.same({ "raised" }, raised)
      end
      local handle = registry.after("create", function() end)
      for _ = 1, 2 do
        raises_here(function() manager:create(1) end, "bad argument #1 to 'create' (name: string expected, got an integer)")
      end
      handle:remove()
      assert.equal(6, counted:calls())
      counted:remove()
    end
  end)

  it("goes on counting while hooks come and go", function()
    local counted = meter(3)
    manager:create("a")
    local seen = 0
    local handle = registry.before("create", function() seen = seen + 1 end)
    for _ = 1, 4 do manager:create("b") end
    assert.same({ 5, 4, 1 }, { counted:calls(), seen, #looked })
    handle:remove()
    for _ = 1, 4 do manager:create("c") end
    assert.same({ 9, 4, 3 }, { counted:calls(), seen, #looked })
  end)

  it("is one a method, and ends when it is removed", function()
    local counted = meter(2)
    assert.is_nil(meter(2))
    for _ = 1, 3 do manager:create("a") end
    assert.is_true(counted:remove())
    assert.is_false(counted:remove())
    manager:create("a")
    assert.equal(3, counted:calls())
    local again = meter(1)
    manager:create("a")
    assert.same({ 1, 3 }, { again:calls(), counted:calls() })
    assert.has_error(function() registry.meter("creat", 1, print, print) end)
  end)
end)
