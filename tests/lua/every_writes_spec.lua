-- manager.every_writes: upkeep that is called after so many writes, whatever made them.

local iu = require "inner_universe"

describe("every so many writes", function()
  local m
  before_each(function() m = assert(iu.open("memory:", { plugins = { event_bus = { retention_audit_events = 0 } } })) end)
  after_each(function() m:shutdown() end)

  it("a function is called, until it is ended", function()
    local called = 0
    local stop = m.every_writes(10, function() called = called + 1 end)
    for n = 1, 9 do assert(m:create_entity("T", nil, "e" .. n)) end
    assert.equal(0, called)
    assert(m:update_entity("e1", {}))
    assert.equal(1, called)
    for _ = 1, 10 do assert(m:publish_event("N")) end
    assert.equal(2, called)
    assert(m:transaction(function(tx)
      for n = 1, 25 do assert(tx:create_entity("T", nil, "t" .. n)) end
      return true
    end))
    assert.equal(3, called, "a transaction counts its operations, and calls once")
    stop()
    for n = 1, 30 do assert(m:create_entity("T", nil, "f" .. n)) end
    assert.equal(3, called)
  end)

  it("the first time sooner where that is asked for, and several side by side", function()
    local a, b = 0, 0
    m.every_writes(10, function() a = a + 1 end, 2)
    m.every_writes(4, function() b = b + 1 end)
    for n = 1, 12 do assert(m:create_relation(assert(m:create_entity("T")), assert(m:create_entity("T")), "R", nil, "r" .. n)) end
    assert.same({ 4, 9 }, { a, b }, "36 writes")
    assert(m:delete_relation("r1"))
    assert.equal(9, b)
  end)
end)
