-- The plugin `testing`, as a user's suite gets it: iu.testing(), with no universe open. (behaviour/testing_plugin_spec.lua: on the universes of every backend.)

local iu = require "inner_universe"
local core = require "inner_universe.core"
local support = require "support"

local testing = assert(iu.testing())

local ADA = { id = "ada", entity_type = "Person", created_at = 1, updated_at = 1, metadata = { name = "Ada", tags = { "x" }, properties = {} } }

describe("iu.testing", function()
  it("is one for the whole Lua state, and opens no universe", function()
    assert.equal(testing, iu.testing())
  end)
end)

describe("a mock", function()
  after_each(support.clean)

  it("has exactly the methods of a manager, and of its parts", function()
    local mock, manager = assert(testing.mock()), support.open(nil, "memory:")
    for _, name in ipairs(manager.hooks.names()) do
      local class, method = name:match("^(.-)%.?([^.]+)$")
      if class == "" then assert.equal("function", type(mock[method]), name) end
      if class == "event_bus" or class == "temporal_store" then assert.equal("function", type(mock[class][method]), name) end
    end
    for name, fn in pairs(manager.client) do
      if type(fn) == "function" then assert.equal("function", type(mock.client[name]), name) end
    end
    for _, name in ipairs { "get_entiti", "create", "hooks", "rows", "tx" } do
      support.raises_here(function() return (mock[name]) end, name)
    end
    support.raises_here(function() return (mock.get_entiti) end, "did you mean 'get_entity'?")
    support.raises_here(function() return (mock.client.get_event_log) end, "client has no")
    support.raises_here(function() return (mock.event_bus.publsh) end, "did you mean 'publish'?")
    support.raises_here(function() mock:when("get_entiti") end, "did you mean 'get_entity'?")
    support.raises_here(function() mock:when("client.get_entiti") end, "did you mean 'client.get_entity'?")
    support.raises_here(function() mock.get_entity = 5 end, "cannot be set")
  end)

  it("has the methods of the plugins that it shall have", function()
    local mock = assert(testing.mock { plugins = { security = true } })
    mock:when("security.can", "x", "create_entity"):returns(true)
    assert.is_true(mock.security:can("x", "create_entity"))
    assert.equal(mock.security, mock:plugin("security"))
    support.raises_here(function() return (assert(testing.mock()).security) end, "security")
    support.refused("PluginError", nil, select(2, testing.mock { plugins = { no_such = true } }), "no_such")
    support.refused("ValidationError", nil, select(2, testing.mock { plugin = {} }), "plugin", "plugins")
  end)

  it("answers what it was told to, a new table each time", function()
    local mock = assert(testing.mock())
    mock:when("get_entity", "ada"):returns(ADA)
    mock:when("query_entities"):returns({ ADA }, 1)
    local one, two = mock:get_entity("ada"), mock:get_entity("ada")
    assert.same(ADA, one)
    assert.not_equal(one, two)
    one.metadata.name = "changed"
    assert.same(ADA, mock:get_entity("ada"))
    local rows, matched = mock:query_entities { entity_type = "Person" }
    assert.same({ { ADA }, 1 }, { rows, matched })
  end)

  it("raises at the caller's line for what it was not told", function()
    local mock = assert(testing.mock())
    mock:when("get_entity", "ada"):returns(ADA)
    support.raises_here(function()
      local _ = mock:get_entity("bob")
    end, 'get_entity("bob")', "mock:when")
    support.raises_here(function()
      local _ = mock.temporal_store:get_state("main")
    end, "temporal_store.get_state")
  end)

  it("takes the newest rule that fits, and one that is used up no more", function()
    local mock = assert(testing.mock())
    mock:when("get_entity"):returns("any")
    mock:when("get_entity", "ada"):returns("ada")
    mock:when("get_entity", "ada"):returns("once"):times(1)
    mock:when("temporal_store.as_of", testing.is "integer"):returns("a number")
    assert.same({ "once", "ada", "any", "a number" },
      { mock:get_entity("ada"), mock:get_entity("ada"), mock:get_entity("bob"), (mock.temporal_store:as_of(5)) })
    mock:when("get_entity", "ada"):fails("EntityNotFoundError", "gone", { details = { id = "ada" } })
    local err = support.refused("EntityNotFoundError", nil, select(2, mock:get_entity("ada")), "gone")
    assert.same({ id = "ada" }, err.details)
    mock:when("get_entity", "eve"):raises("broken")
    assert.same({ false, "broken" }, { pcall(mock.get_entity, mock, "eve") })
    mock:when("get_entity", "fn"):calls(function(id) return id .. "!" end)
    assert.equal("fn!", mock:get_entity("fn"))
    support.raises_here(function() mock:when("get_entity"):return_value(5) end, "return_value")
  end)

  it("matches arguments at every depth, and by matchers", function()
    local mock = assert(testing.mock())
    mock:when("create_entity", "Person", { properties = { age = 5 } }):returns("exact")
    mock:when("create_entity", "Person", testing.like { properties = { city = "Bern" } }):returns("like")
    mock:when("create_entity", "Place", testing.any, testing.match(function(id) return id and id:match("^p") end)):returns("match")
    mock:when("create_entity", "Thing", { name = testing.any }):returns("inside")
    local function create(...)
      local ok, answer = pcall(mock.create_entity, mock, ...)
      return ok and answer
    end
    assert.equal("exact", create("Person", { properties = { age = 5 } }))
    assert.is_false(create("Person", { properties = { age = 5.0 } }))
    assert.is_false(create("Person", { properties = { age = 5, size = 1 } }))
    assert.is_false(create("Person", { properties = { age = 5 } }, "id"))
    assert.equal("like", create("Person", { name = "x", properties = { city = "Bern", age = 1 } }))
    assert.equal("match", create("Place", nil, "p1"))
    assert.is_false(create("Place", nil, "q1"))
    assert.is_false(create("Place"))
    assert.equal("inside", create("Thing", { name = "x" }))
  end)

  it("takes no argument that a manager refuses, and says so in its words", function()
    local plugins = { batch = true, migrations = true }
    for _, name in ipairs { "cache", "fallback", "metrics", "pool", "security", "selective", "transfer", "workflow" } do plugins[name] = true end
    local real, mock, compared = support.open { plugins = plugins }, assert(testing.mock { plugins = plugins }), {}
    local good, bad = { string = "x", table = {}, callable = print, number = 1, integer = 1, any = {} }, coroutine.create(print)
    local function said(object, method, arguments, n)
      local ok, text = pcall(object[method], object, table.unpack(arguments, 1, n))
      assert.is_false(ok, method)
      return (text:gsub("^.-:%d+: ", ""))
    end
    local function compare(part, a, b, method, list)
      local arguments = {}
      for i, argument in ipairs(list) do
        if argument[2] ~= "any" then
          arguments[i] = bad
          local text = said(a, method, arguments, i)
          assert.is_truthy(text:find(("#%d to '%s' (%s"):format(i, method, argument[1]), 1, true), text)
          assert.equal(text, said(b, method, arguments, i))
          if not argument[3] then
            assert.equal(said(a, method, arguments, i - 1), said(b, method, arguments, i - 1))
          else
            assert.is_truthy(text:find("or nil expected", 1, true), text)
          end
          compared[part] = (compared[part] or 0) + 1
        end
        arguments[i] = good[argument[2]:match("^[^|]+")]
      end
    end
    for _, name in ipairs(real.hooks.names()) do
      local list = real.hooks.arguments(name)
      local part, method = name:match("^([^.]+)%.([^.]+)$")
      if list then compare(part or "manager", part and real[part] or real, part and mock[part] or mock, method or name, list) end
    end
    for method, fn in pairs(real.client) do
      local list = type(fn) == "function" and real.hooks.arguments("client." .. method)
      if list then compare("client", real.client, mock.client, method, list) end
    end
    real:transaction(function(tx)
      mock:transaction(function(also)
        for _, method in ipairs { "create_entity", "update_relation", "query_entities", "publish_event", "join" } do
          compare("tx", tx, also, method, real.hooks.arguments("tx." .. method))
        end
      end)
    end)
    -- Of each at least so many: a class that forgets to say what it takes would not be missed else.
    for part, least in pairs {
      manager = 50, client = 35, tx = 10, batch = 16, event_bus = 20, temporal_store = 38, cache = 6, fallback = 5, metrics = 18, migrations = 9, pool = 3,
      security = 19, selective = 6, transfer = 6, workflow = 12,
    } do
      assert.is_true((compared[part] or 0) >= least, ("%s: %d"):format(part, compared[part] or 0))
    end
    assert.equal(1, #mock:calls()) -- the transaction
    support.raises_here(function() mock:get_entity(nil) end, "id: string expected, got nil")
    support.raises_here(function() mock.batch:create_entity("T", 5) end, "metadata: table or nil expected")
    support.raises_here(function() mock.event_bus:publish(5) end, "event_type: string expected, got an integer")
    support.raises_here(function() mock.temporal_store:commit_version("state") end, "state: table or document expected, got string")
    support.raises_here(function() mock.client:get_delta() end, "'get_delta' (id: string expected, got nil)")
    -- Where several types are fine, each is.
    mock:when("temporal_store.commit_version"):returns("v1")
    mock:when("transfer.export"):returns {}
    mock:when("event_bus.export_events"):returns(0)
    for _, state in ipairs { {}, iu.json.document("{}") } do assert.equal("v1", mock.temporal_store:commit_version(state)) end
    for _, path in ipairs { "x", io.stdout } do assert.same({}, mock.transfer:export(nil, path)) end
    for _, target in ipairs { "x", print, setmetatable({}, { __call = print }) } do assert.equal(0, mock.event_bus:export_events(target)) end
    support.raises_here(function() mock.event_bus:export_events(5) end, "target: string or callable expected, got an integer")
  end)

  it("takes no rule that makes no sense", function()
    local rule = assert(testing.mock()):when("get_entity")
    support.raises_here(function() rule:calls("x") end, "fn: callable expected")
    support.raises_here(function() rule:times("x") end, "count: integer expected")
    support.raises_here(function() rule:times(0) end, "1 or more expected")
    support.raises_here(function() rule:fails("TimeoutErorr") end, "did you mean 'TimeoutError'?")
    support.raises_here(function() rule:fails("TimeoutError", 5) end, "message: string or nil expected")
    support.raises_here(function() rule:fails("TimeoutError", "x", { detail = {} }) end, "did you mean 'details'?")
  end)

  it("remembers its calls with their results, and counts them", function()
    local mock = assert(testing.mock())
    mock:when("create_entity"):returns("id")
    local metadata = { name = "Ada" }
    mock:create_entity("Person", metadata)
    metadata.name = "changed later"
    mock.client:is_connected()
    local calls = mock:calls()
    assert.same({ "create_entity", "client.is_connected" }, support.pluck(calls, "name"))
    assert.same({ n = 2, "Person", { name = "Ada" } }, calls[1].args)
    assert.same({ n = 1, "id" }, calls[1].results)
    assert.equal(1, #mock:calls("create_entity"))
    assert.same({ 1, 1, 0, 1 }, {
      mock:called("create_entity"), mock:called("create_entity", "Person", testing.any), mock:called("create_entity", "Place", testing.any),
      mock:called("create_entity", "Person", testing.like { name = "Ada" }),
    })
    mock:when("get_entity", "x"):returns(1)
    assert.same({ 'get_entity("x")' }, mock:unused())
    mock:reset()
    assert.same({ {}, {} }, { mock:calls(), mock:unused() })
    support.raises_here(function() mock:called("no_method") end, "no_method")
  end)

  it("remembers no more than it shall", function()
    local mock = assert(testing.mock { calls_max = 3 })
    for _ = 1, 3 do mock:is_initialized() end
    assert.is_false(pcall(mock.is_initialized, mock))
    support.refused("ValidationError", nil, select(2, testing.mock { calls_max = 0 }), "calls_max")
  end)

  it("fails on demand, from a call on and so many times", function()
    local mock = assert(testing.mock())
    mock:when("get_entity"):returns("well")
    local failing = assert(mock:fail("get_entity", "ConnectionError", { after = 2, times = 2, message = "the wire is cut", code = "CONNECTION" }))
    local seen = {}
    for i = 1, 6 do
      local answer, err = mock:get_entity("x")
      seen[i] = answer or err.kind .. " " .. err.message .. " " .. err.code
    end
    local cut = "ConnectionError the wire is cut CONNECTION"
    assert.same({ "well", "well", cut, cut, "well", "well" }, seen)
    assert.equal(2, failing.count())
    failing = assert(mock:fail("client.is_connected", "TimeoutError"))
    support.refused("TimeoutError", nil, select(2, mock.client:is_connected()))
    failing.cancel()
    assert.is_true(mock.client:is_connected())
    support.refused("ValidationError", nil, select(2, mock:fail("get_entity", "ConectionError")), "did you mean 'ConnectionError'?")
    support.refused("ValidationError", nil, select(2, mock:fail("get_entity", "TimeoutError", { afer = 1 })), "afer", "after")
  end)

  it("tells its subscribers what a test says has happened", function()
    local mock = assert(testing.mock())
    local heard = {}
    local function hear(name)
      return function(message) heard[#heard + 1] = name .. " " .. (message.data.n or "-") end
    end
    local one = assert(mock.event_bus:register_handler("SAID", hear "one"))
    assert(mock.event_bus:register_handler("*", hear "all"))
    assert(mock.client:subscribe_event_log_changes(function(kind, row) heard[#heard + 1] = kind .. " " .. row.event_type end))
    assert.equal(3, mock:simulate_event("SAID", { n = 1 }, "somebody"))
    assert.equal(2, mock:simulate_event("OTHER"))
    assert.is_true(one:cancel())
    assert.is_false(one:cancel())
    assert.equal(2, mock:simulate_event("SAID", { n = 2 }))
    assert.same({ "one 1", "all 1", "INSERTED SAID", "all -", "INSERTED OTHER", "all 2", "INSERTED SAID" }, heard)
    heard = {}
    local handle = assert(mock.client:subscribe_entity_changes(function(kind, row, old) heard[#heard + 1] = { kind, row.id, old and old.id } end))
    assert.equal(1, mock:simulate_change("entity", "UPDATED", { id = "new" }, { id = "old" }))
    assert.equal(0, mock:simulate_change("relation", "DELETED", { id = "gone" }))
    handle:cancel()
    assert.equal(0, mock:simulate_change("entity", "INSERTED", { id = "later" }))
    assert.same({ { "UPDATED", "new", "old" } }, heard)
    assert.is_false(pcall(function()
      mock.event_bus:register_handler("BAD", function() error("in a handler") end)
      mock:simulate_event("BAD")
    end))
    support.raises_here(function() mock:simulate_change("entty", "INSERTED", {}) end, "did you mean 'entity'?")
    support.raises_here(function() mock:simulate_change("entity", "ADDED", {}) end, "ADDED")
    support.raises_here(function() mock:simulate_event(5) end, "event_type")
  end)

  it("gives handlers messages like the real ones", function()
    local real, mocked
    local manager, mock = support.open(nil, "memory:"), assert(testing.mock())
    assert(manager.event_bus:register_handler("SAID", function(message) real = message end))
    assert(mock.event_bus:register_handler("SAID", function(message) mocked = message end))
    assert(manager.event_bus:publish("SAID", { n = 1 }, "somebody"))
    mock:simulate_event("SAID", { n = 1 }, "somebody")
    support.wait_until(function() return real end)
    for key, value in pairs(real) do assert.equal(math.type(value) or type(value), math.type(mocked[key]) or type(mocked[key]), key) end
    for key in pairs(mocked) do assert.is_not_nil(real[key], key) end
  end)

  it("runs transactions on a tx that is told what to answer, too", function()
    local mock = assert(testing.mock())
    mock:when("tx.create_entity", "Person"):returns("id")
    assert.same({ "id", 5 }, { mock:transaction(function(tx) return tx:create_entity("Person"), 5 end) })
    assert.is_true(mock:transaction(function() end))
    support.refused("PersistenceError", nil, select(2, mock:transaction(function() error("no") end)), "no")
    support.refused("ConflictError", nil, select(2, mock:transaction(function() return nil, iu.errors.new("ConflictError", "not now") end)))
    assert.equal(1, mock:called("tx.create_entity"))
    assert.equal(4, mock:called("transaction"))
    mock:when("transaction"):fails("ConflictError")
    support.refused("ConflictError", nil, select(2, mock:transaction(function() end)))
  end)

  it("opens and closes by itself, as a manager does", function()
    local outer
    do
      local mock <close> = assert(testing.mock())
      outer = mock
      assert.same({ true, true, true, "mock" }, { mock:initialize(), mock:is_initialized(), mock:flush(), mock:status().backend })
    end
    assert.is_false(outer:is_initialized())
    local mock = assert(testing.mock())
    mock:when("get_entity"):returns(ADA)
    mock:when("event_bus.publish"):returns("id")
    assert.is_true(mock:shutdown())
    assert.is_true(mock:shutdown())
    support.raises_here(function() return (mock:get_entity("ada")) end, "closed")
    support.raises_here(function() return (mock.event_bus:publish("T")) end, "closed")
    support.raises_here(function() return (mock:flush()) end, "closed")
    support.raises_here(function() return (mock:initialize()) end, "closed")
    assert.is_true(mock:status().closed)
    assert.same({ false, false }, { mock:is_initialized(), mock.client:is_connected() })
  end)
end)

describe("a fixture", function()
  after_each(function()
    assert(testing.clean())
    support.clean()
  end)

  it("is a manager that has what a test wants to find", function()
    local m = assert(testing.fixture {
      entities = { { id = "ada", entity_type = "Person", metadata = { name = "Ada" } }, { id = "acme", entity_type = "Company" }, { entity_type = "Person" } },
      relations = { { id = "job", from_entity = "ada", to_entity = "acme", relation_type = "WORKS_FOR", metadata = { strength = 0.5 } } },
      events = { { type = "SAID", data = { n = 1 }, source = "me" }, { type = "SAID" } },
      states = { { value = 1 }, { value = 2 } },
    })
    assert.equal("Ada", m:get_entity("ada").metadata.name)
    assert.equal(3, #m:query_entities {})
    assert.equal(0.5, m:get_relation("job").metadata.strength)
    assert.equal(2, #m.event_bus:events { type = "SAID" })
    assert.same({ value = 2 }, m.temporal_store:get_state(m.temporal_store:get_current_version().version_id))
    -- What queries answer can be a fixture again.
    local again = assert(testing.fixture { entities = m:query_entities {}, relations = m:query_relations {} })
    assert.equal("Ada", again:get_entity("ada").metadata.name)
    assert.equal("job", again:query_relations({})[1].id)
  end)

  it("takes a configuration", function()
    local m = assert(testing.fixture { config = { features = { enable_audit_log = false } }, entities = { { entity_type = "T" } } })
    assert.equal(0, #m.event_bus:events { type = "ENTITY_CREATED" })
    support.refused("ValidationError", nil, select(2, testing.fixture { config = { durabilty = "off" } }), "durability")
  end)

  it("says what is wrong with it, and leaves nothing open", function()
    local entity = { id = "a", entity_type = "T" }
    for _, case in ipairs {
      { "ValidationError", { entitys = {} }, "did you mean 'entities'?" }, { "ValidationError", { entities = { { id = "a" } } }, "entities[1].entity_type" },
      { "ValidationError", { entities = { entity, 5 } }, "entities[2]" },
      { "ValidationError", { entities = { { entity_type = "T", metdata = {} } } }, "did you mean 'metadata'?" },
      { "ConflictError", { entities = { entity, entity } }, "a" },
      { "EntityNotFoundError", { relations = { { from_entity = "x", to_entity = "y", relation_type = "R" } } }, "x" },
      { "ValidationError", { events = { { data = 1 } } }, "events[1].type" },
      { "ValidationError", { entities = { { entity_type = "T", metadata = { nonsense = 1 } } } }, "entities[1]", "nonsense" },
    } do
      support.refused(case[1], nil, select(2, testing.fixture(case[2])), "fixture", table.unpack(case, 3))
    end
    support.raises_here(function() testing.fixture(5) end, "spec")
  end)

  it("is closed by clean", function()
    local m = assert(testing.fixture())
    assert.is_true(testing.clean())
    assert.is_false(m:is_initialized())
    assert.is_true(testing.clean())
  end)
end)

describe("seeded ids", function()
  after_each(function() assert(testing.clean()) end)

  it("come again with the seed, differ with another, and are random without", function()
    local function some()
      local out = {}
      for i = 1, 50 do out[i] = iu.uuid() end
      return out
    end
    testing.seed(42)
    local first = some()
    testing.seed(42)
    assert.same(first, some())
    for i = 2, 50 do assert.is_true(first[i - 1] < first[i]) end
    testing.seed(43)
    assert.not_same(first, some())
    testing.seed(nil)
    local one, two = some(), some()
    assert.not_same(one, two)
    testing.seed(42)
    assert.is_true(testing.clean())
    assert.not_equal(first[1], iu.uuid())
    support.raises_here(function() testing.seed("x") end, "seed")
  end)

  it("make the same universe twice, with the clock", function()
    local function made()
      local clock <close> = assert(testing.fake_clock())
      testing.seed(7)
      local m = assert(testing.fixture())
      local a = assert(m:create_entity("Person", { name = "Ada" }))
      clock:advance(60)
      local b = assert(m:create_entity("Person", { name = "Bob" }))
      assert(m:create_relation(a, b, "KNOWS"))
      local rows = assert(m:query_entities {})
      local relations = assert(m:query_relations {})
      assert(testing.clean())
      return { rows, relations }
    end
    local first = made()
    assert.same(first, made())
    assert.equal(60000000, first[1][2].created_at - first[1][1].created_at)
  end)
end)

describe("a fake clock", function()
  local clock
  before_each(function() clock = nil end)
  after_each(function()
    if clock then clock:restore() end
    support.clean()
  end)

  it("lets sleeping take no time", function()
    local began = core.mono()
    clock = assert(testing.fake_clock())
    local from = iu.now()
    iu.sleep(3600)
    assert.equal(3600000000, iu.now() - from)
    iu.run(function()
      local order = {}
      local slow = iu.spawn(function() iu.sleep(200000) order[#order + 1] = "slow" end)
      local quick = iu.spawn(function() iu.sleep(100000) order[#order + 1] = "quick" end)
      iu.sleep(150000)
      order[#order + 1] = "main"
      slow:wait()
      assert.is_true(quick:is_done())
      assert.same({ "quick", "main", "slow" }, order)
    end)
    assert.equal((3600 + 200000) * 1000000, iu.now() - from)
    assert.is_true(core.mono() - began < 60)
  end)

  it("ends timeouts when their time has come", function()
    clock = assert(testing.fake_clock())
    iu.run(function()
      local task = iu.spawn(function() iu.sleep(100) return "well" end)
      local from = iu.now()
      support.refused("TimeoutError", nil, select(2, task:wait(30)))
      assert.equal(30000000, iu.now() - from)
      assert.equal("well", task:wait(1000))
      assert.equal(100000000, iu.now() - from)
    end)
  end)

  it("begins when it is told to, and moves by itself only where it may", function()
    clock = assert(testing.fake_clock { auto = false, now = 1000000000 })
    assert.equal(1000000000, iu.now())
    assert.equal(1000000000, clock:now())
    local woken = {}
    local tasks = {}
    for i, seconds in ipairs { 5, 10, 20 } do
      tasks[i] = iu.spawn(function() iu.sleep(seconds) woken[#woken + 1] = seconds end)
    end
    iu.step()
    assert.same({}, woken)
    clock:advance(4.5)
    assert.same({}, woken)
    clock:advance(0.5)
    assert.same({ 5 }, woken)
    clock:advance(7)
    assert.same({ 5, 10 }, woken)
    assert.equal(1012000000, iu.now())
    local ok, err = tasks[3]:wait(1) -- nobody is left who could advance it
    assert.is_nil(ok)
    assert.equal("DEADLOCK", err.code)
    clock:advance(100)
    assert.same({ 5, 10, 20 }, woken)
    assert.equal(1112000000, iu.now())
  end)

  it("is advanced from a task, too, while others go on", function()
    clock = assert(testing.fake_clock { auto = false })
    local ticks = 0
    iu.run(function()
      local ticker = iu.spawn(function()
        for _ = 1, 10 do
          iu.sleep(1)
          ticks = ticks + 1
        end
      end)
      clock:advance(3)
      assert.equal(3, ticks)
      clock:advance(6.5)
      assert.equal(9, ticks)
      clock:advance(0.5)
      ticker:wait()
      assert.equal(10, ticks)
    end)
  end)

  it("serves programs with a frame loop", function()
    clock = assert(testing.fake_clock { auto = false })
    local woken = false
    iu.spawn(function() iu.sleep(0.05) woken = true end)
    for _ = 1, 3 do
      iu.step(5)
      clock:advance(0.016)
    end
    assert.is_false(woken)
    clock:advance(0.016)
    iu.step(5)
    assert.is_true(woken)
  end)

  it("is what transactions have for their time, and views of the past", function()
    clock = assert(testing.fake_clock())
    local m = assert(testing.fixture { config = { history = { "entity" } } })
    local id = assert(m:create_entity("T", { name = "one" }))
    local first = iu.now()
    assert.equal(first, m:get_entity(id).created_at)
    clock:advance(86400)
    assert(m:update_entity(id, { name = "two" }))
    assert.equal(first + 86400000000, m:get_entity(id).updated_at)
    assert.equal("one", m:as_of(first):get_entity(id).metadata.name)
    assert(m:transaction(function(tx)
      local other = assert(tx:create_entity("T"))
      assert.equal(iu.now(), tx:get_entity(other).created_at)
    end))
    assert(testing.clean())
    clock = nil
  end)

  it("waits for what takes real time", function()
    clock = assert(testing.fake_clock())
    local path = support.path() .. ".universe"
    local m = support.owned(assert(iu.open(path, { durability = "full" })))
    iu.run(function()
      for i = 1, 20 do
        assert(m:create_entity("T", nil, "id" .. i))
        iu.sleep(10)
      end
      assert(m:flush(5))
    end)
    assert(m:sql("SELECT count(*) FROM entity")) -- on another thread, with a timeout of 30 s
    support.close(m)
  end)

  it("is one at a time, and gives the real time back with what was left of timeouts", function()
    clock = assert(testing.fake_clock())
    support.refused("ConflictError", nil, select(2, testing.fake_clock()))
    support.refused("ValidationError", nil, select(2, testing.fake_clock { atuo = false }), "auto")
    iu.sleep(1000)
    local done = false
    local task = iu.spawn(function() iu.sleep(0.05) done = true end)
    iu.step()
    clock:restore()
    clock:restore()
    assert.is_true(math.abs(iu.now() // 1000000 - os.time()) <= 2)
    assert.is_false(done)
    local began = core.mono()
    task:wait(10)
    assert.is_true(done)
    assert.is_true(core.mono() - began > 0.02)
    support.raises_here(function() clock:advance(1) end, "not in use")
    clock = assert(testing.fake_clock())
    iu.sleep(1000)
    clock:restore()
    began = core.mono()
    iu.sleep(0.02)
    assert.is_true(core.mono() - began > 0.01)
    clock = nil
  end)

  it("refuses to go back, and other nonsense", function()
    clock = assert(testing.fake_clock())
    support.raises_here(function() clock:advance(-1) end, "0 or more")
    support.raises_here(function() clock:advance("1") end, "seconds")
    support.raises_here(function() clock:advance(0 / 0) end, "0 or more")
  end)
end)
