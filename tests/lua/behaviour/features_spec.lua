-- Features of the configuration: off means refused (versioning) or nothing (audit, metrics, cache); durability levels.

local iu = require "inner_universe"
local support = require "support"

describe("features", function()
  after_each(support.clean)

  local function types(m)
    local list = {}
    for _, message in ipairs(assert(m.event_bus:events())) do list[#list + 1] = message.type end
    return table.concat(list, " ")
  end

  it("a server keeps its own audit log switch, and says so in the log", function()
    if not support.on_server then return end
    local lines = {}
    local previous = iu.log.set_sink(function(_, message) lines[#lines + 1] = message end)
    local m = support.open { features = { enable_audit_log = false } }
    iu.log.set_sink(previous)
    assert.is_truthy(table.concat(lines, "\n"):find("enable_audit_log", 1, true))
    assert(m:create_entity("T"))
    assert.is_truthy(types(m):find("ENTITY_CREATED"))
  end)

  it("without the audit log, writes log nothing and published events are there all the same", function()
    if support.on_server then return end
    local m = support.open { features = { enable_audit_log = false } }
    assert.is_false(m:status().features.enable_audit_log)
    local before = types(m)
    local heard = 0
    assert(m.event_bus:register_handler("*", function() heard = heard + 1 end))
    local a, b = assert(m:create_entity("T")), assert(m:create_entity("T"))
    assert(m:update_entity(a, { name = "x" }))
    local r = assert(m:create_relation(a, b, "R"))
    assert(m:update_relation(r, {}))
    assert(m:delete_entity(a, { cascade = true }))
    local v = assert(m:commit_version({ a = 1 }))
    assert(m:record_delta(v, {}))
    assert.equal(before, types(m))
    assert.equal(0, heard)
    assert(m:publish_event("E"))
    assert.equal(1, heard)
  end)

  it("the audit log follows the configuration of the owner at each opening", function()
    if support.on_server then return end
    local m = support.open { features = { enable_audit_log = false } }
    assert(m:create_entity("T", nil, "silent"))
    if not support.on_file then return assert.is_nil(types(m):find("ENTITY_CREATED")) end
    m = support.reopen(m, { features = { enable_audit_log = true } })
    assert(m:create_entity("T", nil, "told"))
    local created = m.event_bus:events { type = "ENTITY_CREATED" }
    assert.equal(1, #created)
    assert.equal("told", created[1].data.entity_id)
    m = support.reopen(m, { features = { enable_audit_log = false } })
    assert(m:create_entity("T"))
    assert.equal(1, #m.event_bus:events { type = "ENTITY_CREATED" })
    m = support.reopen(m)
    assert(m:create_entity("T"))
    assert.equal(2, #m.event_bus:events { type = "ENTITY_CREATED" })
  end)

  it("without versioning, commits and deltas are ValidationErrors that say so", function()
    local m = support.open { features = { enable_state_versioning = false } }
    local before = support.census(m)
    support.refused("ValidationError", nil, select(2, m:commit_version({})), "enable_state_versioning")
    support.refused("ValidationError", nil, select(2, m.temporal_store:commit_version({})), "enable_state_versioning")
    support.refused("ValidationError", nil, select(2, m:record_delta("v", {})), "enable_state_versioning")
    support.refused("ValidationError", nil, select(2, m.temporal_store:record_state_delta("v", {})), "enable_state_versioning")
    support.refused("ValidationError", nil, select(2, m.client:commit_state_version(nil, "d")), "enable_state_versioning")
    support.refused("ValidationError", nil, select(2, m.client:record_delta("v", {})), "enable_state_versioning")
    assert.equal(before, support.census(m))
    assert(m:create_entity("T"))
  end)

  it("metrics and cache on or off change no answer", function()
    for _, on in ipairs { true, false } do
      local m = support.open { features = { enable_metrics = on, enable_caching = on }, cache_size_mb = on and 1 or 0 }
      local id = assert(m:create_entity("T", { properties = { n = 1 } }))
      for n = 2, 5 do
        assert(m:update_entity(id, { properties = { n = n } }))
        assert.equal(n, m:get_entity(id).metadata.properties.n)
      end
    end
  end)

  it("durability is what was asked for, and each level keeps what was flushed", function()
    for _, level in ipairs { "full", "normal", "off" } do
      local m = support.open { durability = level }
      if support.on_server then
        assert.is_true(({ confirmed = true, unconfirmed = true })[m:status().durability]) -- what the server does, whatever is asked for
      else
        assert.equal(level, m:status().durability)
      end
      local id = assert(m:create_entity("T"))
      assert.is_true(m:flush())
      if support.on_file and level ~= "off" then
        m = support.reopen(m, { durability = level })
        assert.equal(id, m:get_entity(id).id)
      end
    end
  end)

  it("the effective configuration can be looked at and not changed", function()
    local config = assert(iu.config { port = 4000, features = { enable_metrics = true } })
    assert.same({ 4000, "127.0.0.1", true, true }, { config.port, config.address, config.features.enable_metrics, config.features.enable_audit_log })
    assert.equal(4000, config:to_table().port)
    support.raises_here(function() config.port = 5 end, "port")
    local m = support.owned(assert(iu.manager(assert(iu.config(support.config(support.target()))))))
    assert.is_true(m:initialize())
  end)
end)
