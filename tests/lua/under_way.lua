-- Methods of a manager and of its plugins that have to ask the universe, most of them more than once: for specs that close it, or take its server away, while
-- one is under way. Each is called with a manager whose universe `under_way.fill` has filled.

local iu = require "inner_universe"

local under_way = {}

--- The plugins that the methods need; folder: where migrations would lie.
function under_way.plugins(folder)
  return { batch = {}, cache = {}, security = {}, workflow = {}, migrations = { folder = folder } }
end

function under_way.fill(m)
  for _, id in ipairs { "e", "f" } do assert(m:create_entity("T", nil, id)) end
  assert(m:create_relation("e", "f", "R"))
  for i = 1, 8 do assert(m.temporal_store:commit_version({ a = i }, "version " .. i)) end
end

under_way.METHODS = {
  ["create_entity"] = function(m) return m:create_entity("T", { properties = { a = 1 } }) end,
  ["many writes"] = function(m)
    for _ = 1, 20 do
      local id, err = m:create_entity("T")
      if not id then return nil, err end
    end
    return true
  end,
  ["get_entity"] = function(m) return m:get_entity("e") end,
  ["update_entity"] = function(m) return m:update_entity("e", { properties = { a = 2 } }) end,
  ["query_entities"] = function(m)
    local found, err = m:query_entities { entity_type = "T" }
    assert(not found or #found >= 2, "only a part of them")
    return found, err
  end,
  ["query_relations"] = function(m)
    local found, err = m:query_relations { relation_type = "R" }
    assert(not found or #found == 1, "only a part of them")
    return found, err
  end,
  ["neighbors"] = function(m)
    local found, err = m:neighbors("e", { depth = 2 })
    assert(not found or #found == 1, "only a part of them")
    return found, err
  end,
  ["path"] = function(m)
    local path, err = m:path("e", "f")
    assert(path or err, "there is one")
    return path, err
  end,
  ["transaction"] = function(m)
    return m:transaction(function(tx)
      for _ = 1, 3 do
        assert(tx:get_entity("e"))
        iu.sleep(0)
      end
      return tx:create_entity("T")
    end)
  end,
  ["status"] = function(m) return m:status() end,
  ["flush"] = function(m) return m:flush() end,
  ["batch:create_entity"] = function(m) return m.batch:create_entity("T") end,
  ["event_bus:publish"] = function(m) return m.event_bus:publish("N", {}) end,
  ["event_bus:events"] = function(m)
    local events, err = m.event_bus:events { type = "ENTITY_CREATED" }
    assert(not events or #events >= 2, "only a part of them")
    return events, err
  end,
  ["event_bus:consumer"] = function(m)
    local consumer, err = m.event_bus:consumer("c", { types = "N", from = "start", handler = function() end })
    if not consumer then return nil, err end
    return consumer:wait_idle(5)
  end,
  ["event_bus:request"] = function(m) return m.event_bus:request("Q", {}, { timeout = 0.01 }) end,
  ["temporal_store:commit_version"] = function(m) return m.temporal_store:commit_version({ a = 2 }, "more") end,
  ["temporal_store:history"] = function(m)
    local versions, err = m.temporal_store:history()
    assert(not versions or #versions >= 8, "only a part of it")
    return versions, err
  end,
  ["temporal_store:get_state"] = function(m)
    local state, err = m.temporal_store:get_state("main")
    assert(not state or state.a >= 2, "another state")
    return state, err
  end,
  ["temporal_store:blame"] = function(m)
    local lines, err = m.temporal_store:blame("a")
    assert(lines or err)
    return lines, err
  end,
  ["temporal_store:diff"] = function(m)
    local versions, err = m.temporal_store:history(nil, 2)
    if not versions then return nil, err end
    return m.temporal_store:diff(versions[2].version_id, versions[1].version_id)
  end,
  ["temporal_store:branches"] = function(m)
    local branches, err = m.temporal_store:branches()
    assert(not branches or #branches >= 1, "only a part of them")
    return branches, err
  end,
  ["temporal_store:as_of"] = function(m) return m.temporal_store:as_of(iu.now()) end,
  ["temporal_store:branch and merge"] = function(m)
    local ok, err = m.temporal_store:branch("b" .. iu.uuid())
    if not ok then return nil, err end
    return m.temporal_store:merge("main")
  end,
  ["temporal_store:verify"] = function(m) return m.temporal_store:verify() end,
  ["temporal_store:stats"] = function(m) return m.temporal_store:stats() end,
  ["workflow"] = function(m)
    local workflows = m:plugin("workflow")
    assert(workflows:define("w", { run = function(wf)
      for i = 1, 3 do wf:step("s" .. i, function() iu.sleep(0) end) end
    end }))
    local id, err = workflows:start("w")
    if not id then return nil, err end
    return workflows:wait(id, 5)
  end,
  ["workflow:list"] = function(m) return m:plugin("workflow"):list() end,
  ["migrations:status"] = function(m) return m:plugin("migrations"):status() end,
  ["cache:get_or_compute"] = function(m) return m.cache:get_or_compute("k", function() return m:get_entity("e") end) end,
  ["security:can"] = function(m)
    local may, err = m.security:can(("ab"):rep(32), "read", "entity:e")
    return may, err
  end,
  ["security:grant"] = function(m) return m.security:grant(("ab"):rep(32), "read", "entity:*") end,
}

return under_way
