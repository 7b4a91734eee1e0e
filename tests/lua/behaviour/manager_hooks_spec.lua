-- Hooks around the manager's and the plugins' methods: what they see, what they may change, what they refuse.

local iu = require "inner_universe"
local support = require "support"

describe("hooks", function()
  local m
  before_each(function() m = support.open() end)
  after_each(support.clean)

  it("before sees and changes the arguments", function()
    m.hooks.before("create_entity", function(call)
      assert.equal("create_entity", call.method)
      call.args[1] = "Prefixed" .. call.args[1]
      call.args[2] = call.args[2] or { name = "given by a hook" }
      call.args.n = math.max(call.args.n, 2)
    end)
    local e = m:get_entity(assert(m:create_entity("T")))
    assert.same({ "PrefixedT", "given by a hook" }, { e.entity_type, e.metadata.name })
  end)

  it("before refuses: nothing is written, on_error hears of it, after does not", function()
    local log = {}
    m.hooks.before("create_entity", function(call)
      if call.args[1] == "Forbidden" then return false, iu.errors.new("AuthorizationError", "not here") end
    end)
    m.hooks.after("create_entity", function() log[#log + 1] = "after" end)
    m.hooks.on_error("create_entity", function(call) log[#log + 1] = call.raised and "raised" or call.err.kind end)
    local before = support.census(m)
    support.refused("AuthorizationError", nil, select(2, m:create_entity("Forbidden")), "not here")
    assert.equal(before, support.census(m))
    assert(m:create_entity("Allowed"))
    support.refused("ValidationError", nil, select(2, m:create_entity("")))
    support.raises_here(function() m:create_entity(nil) end, "entity_type")
    assert.same({ "AuthorizationError", "after", "ValidationError", "raised" }, log)
  end)

  it("before that raises refuses with a PluginError", function()
    m.hooks.before("create_entity", function() error("broken on purpose") end)
    local before = support.census(m)
    local err = support.refused("PluginError", nil, select(2, m:create_entity("T")))
    assert.is_truthy(tostring(err):find("broken on purpose", 1, true))
    assert.equal(before, support.census(m))
  end)

  it("around wraps: the first added is the outermost, what it returns is the result", function()
    local log = {}
    for _, name in ipairs { "outer", "inner" } do
      m.hooks.around("create_entity", function(_, next)
        log[#log + 1] = name
        local id, err = next()
        log[#log + 1] = "/" .. name
        return id and name .. ":" .. id, err
      end)
    end
    assert.equal("outer:inner:a", m:create_entity("T", nil, "a"))
    assert.same({ "outer", "inner", "/inner", "/outer" }, log)
    support.refused("ConflictError", nil, select(2, m:create_entity("T", nil, "a")))
  end)

  it("around may answer without the method, twice, or from elsewhere", function()
    local handle = m.hooks.around("get_entity", function(call) return { id = call.args[1], cached = true } end)
    assert.is_true(m:get_entity("nope").cached)
    handle:remove()
    support.refused("EntityNotFoundError", nil, select(2, m:get_entity("nope")))
  end)

  it("after sees the results and changes nothing; one that raises is reported", function()
    local seen
    m.hooks.after("create_entity", function(call) seen = call.results[1] end)
    m.hooks.after("create_entity", function() error("broken on purpose") end)
    local id = assert(m:create_entity("T"))
    assert.equal(id, seen)
    assert.equal(1, #support.take_reported())
  end)

  it("may call the manager themselves", function()
    m.hooks.after("create_entity", function(call)
      if call.args[1] == "T" then assert(call.target:create_entity("Shadow", { properties = { of = call.results[1] } })) end
    end)
    local id = assert(m:create_entity("T"))
    assert.equal(id, m:query_entities({ entity_type = "Shadow" })[1].metadata.properties.of)
  end)

  it("reach the methods of other plugins by their names", function()
    local names = {}
    m.hooks.before("event_bus.publish", function(call) names[#names + 1] = call.args[1] end)
    m.hooks.before("temporal_store.commit_version", function() return false end)
    assert(m.event_bus:publish("E"))
    assert.same({ "E" }, names)
    assert.is_nil((m.temporal_store:commit_version({})))
    assert.is_nil((m.temporal_store:get_current_version()))
    assert.is_nil((m:commit_version({})), "the manager's method goes through the store's")
  end)

  it("for a method that does not exist raise with a suggestion", function()
    support.raises_here(function() m.hooks.before("create_entitty", print) end, "create_entitty", "create_entity")
  end)

  it("may wait, in a task", function()
    m.hooks.before("create_entity", function() iu.sleep(0.002) end)
    local id
    iu.run(function() id = assert(m:create_entity("T")) end)
    assert.equal("T", m:get_entity(id).entity_type)
    assert(m:create_entity("T"))
  end)

  it("with them, errors keep the caller's line", function()
    m.hooks.around("get_entity", function(_, next) return next() end)
    m.hooks.before("get_entity", function() end)
    support.raises_here(function() m:get_entity(nil) end, "get_entity", "id")
    support.raises_here(function() m:get_entity(5) end, "get_entity", "id")
  end)
end)
