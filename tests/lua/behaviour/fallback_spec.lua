-- The fallback plugin while the server (or the file) is there: nothing is in the way, and what is not found can be recovered. What it does while a server is
-- away: tests/lua/fallback_spec.lua.

local iu = require "inner_universe"
local support = require "support"

describe("fallback", function()
  after_each(support.clean)

  local function open(config)
    config = config or {}
    config.path = support.path() .. ".queue"
    local m = support.open { plugins = { fallback = config, batch = { max_wait_ms = 1 } } }
    return m, m.fallback
  end

  it("lets every write through while nothing is away, with the manager's own answers", function()
    local m, fallback = open { reads = true }
    assert.equal("a", m:create_entity("T", { name = "n" }, "a"))
    local b = assert(m:create_entity("T"))
    assert.is_true(m:update_entity("a", { name = "new" }))
    local r = assert(m:create_relation("a", b, "R"))
    assert.is_true(m:update_relation(r, { strength = 0.5 }))
    assert.equal("new", m:get_entity("a").metadata.name)
    support.exactly(0.5, m:get_relation(r).metadata.strength)
    local event = assert(m:publish_event("E", { 1 }, "me"))
    assert.equal("me", m.client:get_event(event).source)
    assert(m.event_bus:publish("E", { 2 }))
    assert.equal("c", m.batch:create_entity("T", nil, "c"))
    assert.is_true(m:delete_relation(r))
    assert.is_true(m:delete_entity("a"))
    assert.same({ "online", 0, 0 }, { fallback:state(), fallback:status().queued, #fallback:refused() })
    assert.is_true(fallback:drain())
    assert.is_true(fallback:health())
    support.refused("EntityNotFoundError", m:get_entity("a"))
  end)

  it("refusals are those of the manager without it", function()
    local m = open()
    assert(m:create_entity("T", nil, "taken"))
    local plain = support.open()
    assert(plain:create_entity("T", nil, "taken"))
    for _, call in ipairs {
      { "create_entity", "T", nil, "taken" }, { "create_entity", "" }, { "create_entity", "T", { nme = 1 } }, { "create_entity", "T", { name = 5 } },
      { "update_entity", "nobody", {} }, { "delete_entity", "nobody" }, { "create_relation", "taken", "nobody", "R" }, { "update_relation", "no", {} },
      { "delete_relation", "no" }, { "publish_event", "" }, { "publish_event", "E", { [1.5] = 2 } },
    } do
      local _, expected = plain[call[1]](plain, table.unpack(call, 2, 5))
      local err = support.refused(expected.kind, m[call[1]](m, table.unpack(call, 2, 5)))
      assert.same({ expected.message, expected.code, expected.retryable }, { err.message, err.code, err.retryable })
    end
    support.raises_here(function() m:create_entity(5) end, "create_entity", "entity_type")
    support.raises_here(function() m:update_entity("x") end, "metadata")
  end)

  it("hooks of others run, wherever they were added", function()
    local m, log = open(), {}
    m.hooks.around("create_entity", function(call, next)
      log[#log + 1] = "around " .. tostring(call.via)
      return next()
    end)
    m.hooks.around("rows.write", function(_, next)
      log[#log + 1] = "write"
      return next()
    end)
    assert(m:create_entity("T", {}))
    assert(m.batch:create_entity("T", {}))
    assert.same({ "around nil", "write", "around batch", "write" }, log)
  end)

  it("what is not found is recovered by a handler: made, or answered", function()
    local m, fallback = open()
    local asked = {}
    local first = fallback:on_not_found(function(id, what, err)
      asked[#asked + 1] = ("%s %s %s"):format(what, id, err.kind)
      assert.is_nil((m:get_entity(id)), "its own calls are answered as they are")
      return nil
    end)
    fallback:on_not_found(function(id)
      if id == "made" then
        assert(m:create_entity("T", { name = "recovered" }, id))
        return true
      elseif id == "told" then
        return { id = id, entity_type = "T", metadata = { name = "local" } }
      end
    end)
    assert.equal("recovered", m:get_entity("made").metadata.name)
    assert.equal("local", m:get_entity("told").metadata.name)
    support.refused("EntityNotFoundError", m:get_entity("nobody"))
    support.refused("RelationNotFoundError", m:get_relation("none"))
    assert(m:delete_entity("made"))
    assert.is_true(m:update_entity("made", { name = "updated" }))
    assert.equal("updated", m:get_entity("made").metadata.name)
    assert.same({
      "entity made EntityNotFoundError", "entity told EntityNotFoundError", "entity nobody EntityNotFoundError", "relation none RelationNotFoundError",
      "entity made EntityNotFoundError",
    }, asked)
    assert.equal(3, fallback:status().recovered)
    first:cancel()
    support.refused("EntityNotFoundError", m:get_entity("nobody"))
    assert.equal(5, #asked)
  end)

  it("a handler that raises is reported, and the next one asked", function()
    local m, fallback = open()
    fallback:on_not_found(function() error("broken on purpose") end)
    fallback:on_not_found(function(id) return { id = id } end)
    assert.equal("x", m:get_entity("x").id)
    assert.equal(1, #support.take_reported())
  end)

  it("is stopped with the universe, and can be opened again on its file", function()
    local m, fallback = open()
    assert(m:shutdown())
    support.raises_here(function() fallback:refused() end, "closed")
    support.raises_here(function() fallback:drain() end, "closed")
    assert.equal("online", fallback:state())
  end)

  it("wrong types raise, a configuration that makes no sense is refused", function()
    local _, fallback = open()
    support.raises_here(function() fallback:on_not_found(5) end, "fn")
    support.raises_here(function() fallback:on_state() end, "fn")
    support.raises_here(function() fallback:on_refused("x") end, "fn")
    support.raises_here(function() fallback:drain("x") end, "timeout")
    support.refused("ValidationError", nil, select(2, fallback:drain(0 / 0)), "drain: timeout")
    support.raises_here(function() fallback:forget_refused("x") end, "id")
    for _, config in ipairs { { queue_max = 0 }, { queue_bytes = 1 }, { when_full = "drop" }, { refused_max = 0 }, { known_bytes = -1 }, { reads = 1 } } do
      local m = support.open { plugins = { fallback = config }, log_level = "off" }
      support.refused("PluginError", m:plugin("fallback"))
    end
    assert.is_true(iu.errors.is(select(2, support.open():plugin("fallback")), "PluginError"))
  end)
end)
