-- How much of the event log is kept: pruning by hand, what goes by itself, and what never goes.

local iu = require "inner_universe"
local support = require "support"

describe("of the event log", function()
  local m, bus
  local function fresh(config)
    config = config or {}
    config.retention_audit_events = config.retention_audit_events or 0
    m = support.open { log_level = "off", plugins = { event_bus = config } }
    bus = m.event_bus
  end
  after_each(support.clean)

  local function publish(from, to)
    for n = from, to do assert(bus:publish("N", { n = n })) end
  end

  local function kept(event_type)
    local out = {}
    for i, message in ipairs(assert(bus:events { type = event_type or "N" })) do out[i] = message.data.n end
    return out
  end

  it("the oldest go by number, bytes and age", function()
    fresh()
    publish(1, 10)
    local count = #bus:events()
    assert.same({ removed = count - 4 }, bus:prune_events { max_count = 4 })
    assert.same({ 7, 8, 9, 10 }, kept())
    local head = m.client:connection():get("event_head", 0)
    assert.same({ removed = 2 }, bus:prune_events { max_bytes = head.bytes // 2 + 1 })
    assert.same({ 9, 10 }, kept())
    assert.same({ removed = 0 }, bus:prune_events { older_than = 3600 })
    iu.sleep(0.02)
    assert.same({ removed = 2 }, bus:prune_events { older_than = 0.001 })
    assert.same({}, kept())
    publish(11, 12)
    assert.same({ 11, 12 }, kept())
  end)

  it("some types go by age alone", function()
    fresh()
    publish(1, 3)
    assert(m:create_entity("T"))
    iu.sleep(0.02)
    assert.equal(3, bus:prune_events({ older_than = 0.001, types = "N" }).removed)
    assert.equal(1, #bus:events { type = "ENTITY_CREATED" })
    support.refused("ValidationError", nil, select(2, bus:prune_events { types = "N" }), "older_than")
    for _, age in ipairs { math.huge, 1e300 } do
      support.refused("ValidationError", nil, select(2, bus:prune_events { older_than = age }), "prune_events: older_than", tostring(age))
    end
    support.refused("ValidationError", nil, select(2, bus:prune_events { max_count = 1, types = "N" }), "event_types")
    support.refused("ValidationError", nil, select(2, bus:prune_events { older_than = 1, types = "N*" }), "types")
    support.refused("ValidationError", nil, select(2, bus:prune_events { max_count = -1 }), "max_count")
    support.refused("ValidationError", nil, select(2, bus:prune_events { max = 1 }), "max")
    support.raises_here(function() bus:prune_events() end, "options")
  end)

  it("what a durable consumer has not read stays, until it is removed", function()
    fresh()
    local seen = {}
    local consumer = assert(bus:consumer("reader", { types = "N", from = "start", batch = 3, handler = function(d) seen[#seen + 1] = d.data.n end }))
    publish(1, 5)
    assert(consumer:wait_idle(20))
    assert(consumer:stop())
    publish(6, 9)
    local report = assert(bus:prune_events { max_count = 0 })
    assert.equal("reader", report.held_by)
    assert.same({ 6, 7, 8, 9 }, kept())
    assert(bus:remove_consumer("reader"))
    assert.equal(4, bus:prune_events({ max_count = 0 }).removed)
  end)

  it("a consumer goes on over what was pruned before it began", function()
    fresh()
    publish(1, 30)
    assert(bus:prune_events { max_count = 5 })
    publish(31, 32)
    local seen = {}
    local consumer = assert(bus:consumer("late", { types = "N", from = "start", handler = function(d) seen[#seen + 1] = d.data.n end }))
    assert(consumer:wait_idle(20))
    assert.same({ 26, 27, 28, 29, 30, 31, 32 }, seen)
  end)

  it("nothing is pruned by others than the owner, quietly", function()
    fresh { retention_events = 10 }
    local _, facts = bus:health()
    assert.same({ audit_events = 0, days = 0, events = 10, bytes = 0 }, facts.retention.limits)
    if support.on_server then
      local config = { token_file = "none", log_level = "off", plugins = { event_bus = { retention_events = 1 } } }
      local other <close> = assert(iu.open(support.target_of(m), config))
      for _ = 1, 30 do assert(other:publish_event("N", { n = 0 })) end
      support.wait_until(function() return select(2, other.event_bus:health()).retention.owner == false end)
      assert.is_true(#bus:events() > 30)
      support.refused("AuthorizationError", nil, select(2, other.event_bus:prune_events { max_count = 1 }))
      return
    end
    assert.is_true(facts.retention.owner)
    local both, conn = support.open_both { plugins = { event_bus = { retention_events = 1 } } }
    assert(both:publish_event("N"))
    local other = support.session(conn, ("ab"):rep(32))
    support.refused("AuthorizationError", nil, select(2, other:call("prune_events", nil, 0, nil, nil, {}, 0)))
  end)

  it("events go by themselves once there are more than the configuration says", function()
    if support.on_server then return end -- ten seconds lie between two looks
    fresh { retention_events = 50 }
    publish(1, 1200)
    local left = #bus:events()
    assert.is_true(left >= 50 and left <= 50 + 300, "left: " .. left)
    assert.equal(1200, kept()[#kept()])
    local _, facts = bus:health()
    assert.is_true(facts.retention.removed > 800)
    assert.equal(left, facts.retention.events)
  end)

  it("events of the audit types go when they are not among the last ones, others stay", function()
    if support.on_server then return end
    fresh { retention_audit_events = 100 }
    publish(1, 20)
    for n = 1, 1000 do assert(m:create_entity("T", nil, "e" .. n)) end
    m:transaction(function(tx)
      for n = 1, 1000 do assert(tx:create_entity("T", nil, "t" .. n)) end
      return true
    end)
    for n = 1, 300 do assert(m:delete_entity("e" .. n)) end
    local events = #bus:events { type = "ENTITY_*" }
    assert.is_true(events >= 100 and events < 900, "left: " .. events)
    assert.equal(20, #kept())
    assert.equal(1, #bus:events { type = "SYSTEM_INITIALIZED" })
  end)

  it("by default the audit types' are kept in their last 200,000", function()
    m = support.open()
    local _, facts = m.event_bus:health()
    assert.same({ audit_events = 200000, days = 0, events = 0, bytes = 0 }, facts.retention.limits)
  end)
end)
