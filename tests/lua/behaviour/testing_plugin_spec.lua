-- The plugin `testing` on the universes of every backend: failures of real managers, the clock and ids beside them. (tests/lua/testing_spec.lua has the rest.)

local iu = require "inner_universe"
local support = require "support"

describe("the plugin testing", function()
  local testing = assert(iu.testing())

  after_each(function()
    assert(testing.clean())
    support.clean()
  end)

  it("is the same kit in a universe that runs it", function()
    local m = support.open { plugins = { testing = { calls_max = 2 } } }
    assert.equal(testing.fixture, m.testing.fixture)
    assert.is_true(m.testing:health())
    local mock = assert(m.testing.mock())
    assert.is_true(mock:is_initialized())
    assert.is_true(mock:is_initialized())
    assert.is_false(pcall(mock.is_initialized, mock))
    support.refused("PluginError", nil, select(2, support.open { plugins = { testing = { calls_max = 0 } } }:plugin("testing")), "calls_max")
  end)

  it("lets methods of a manager fail, and nothing of them happens then", function()
    local m = support.open()
    local before = support.census(m)
    local failing = assert(testing.fail(m, "create_entity", "StorageError", { after = 1, times = 2, message = "the disk is full", retryable = true }))
    local id = assert(m:create_entity("T"))
    local middle = support.census(m)
    assert.not_equal(before, middle)
    for _ = 1, 2 do
      local err = support.refused("StorageError", nil, select(2, m:create_entity("T")), "the disk is full")
      assert.is_true(err.retryable)
    end
    assert.equal(middle, support.census(m))
    assert.equal(2, failing.count())
    assert(m:create_entity("T"))
    local heard
    m.hooks.on_error("get_entity", function(call) heard = call.err.kind end)
    local other = assert(testing.fail(m, "get_entity", "TimeoutError"))
    support.refused("TimeoutError", m:get_entity(id))
    assert.equal("TimeoutError", heard)
    other.cancel()
    assert.equal(id, m:get_entity(id).id)
    assert(testing.fail(m, "event_bus.publish", "OverloadedError"))
    support.refused("OverloadedError", m.event_bus:publish("E"))
    assert.is_true(testing.clean())
    assert(m.event_bus:publish("E"))
    support.refused("ValidationError", nil, select(2, testing.fail(m, "get_entity", "NoError")), "NoError")
    assert.is_false(pcall(testing.fail, m, "get_entiti", "TimeoutError"))
  end)

  it("moves the time beside a universe that has its own", function()
    local m = support.open()
    assert(testing.fake_clock())
    iu.run(function()
      for i = 1, 5 do
        assert(m:create_entity("T", { name = "n" .. i }))
        iu.sleep(3600)
      end
    end)
    assert.equal(5, #m:query_entities {})
    local told = 0
    assert(m.event_bus:register_handler("SAID", function() told = told + 1 end))
    assert(m:publish_event("SAID"))
    iu.sleep(1)
    support.settle(m.client:connection())
    assert(testing.clean())
    support.wait_until(function() return told == 1 end)
  end)

  it("makes ids come again", function()
    local m = support.open()
    testing.seed(11)
    local id = assert(m:create_entity("T"))
    testing.seed(11)
    support.refused("ConflictError", m:create_entity("T"))
    testing.seed(nil)
    assert.not_equal(id, assert(m:create_entity("T")))
  end)

  it("lets them fail with every kind of failure there is", function()
    local m = support.open()
    local mock = assert(testing.mock())
    for _, kind in ipairs(iu.errors.kinds()) do
      local failing = assert(testing.fail(m, "query_entities", kind, { message = "as it is", code = "A_CODE", details = { n = 1 } }))
      local mocked = assert(mock:fail("query_entities", kind, { message = "as it is", code = "A_CODE", details = { n = 1 } }))
      for _, each in ipairs { m, mock } do
        local answer, err = each:query_entities {}
        assert.is_nil(answer)
        assert.same({ kind, "as it is", "A_CODE", { n = 1 } }, { err.kind, err.message, err.code, err.details })
        assert.is_true(iu.errors.is(err, "PersistenceError"))
      end
      failing.cancel()
      mocked.cancel()
    end
    assert.same({}, m:query_entities {})
  end)
end)
