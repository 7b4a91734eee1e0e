-- A universe that is closed while methods are under way: each ends with its answer, with an err that says so, or raises that it is closed; with nothing
-- else.

local iu = require "inner_universe"
local support = require "support"

local TURNS = { 1, 2, 4, 8 } -- of the loop, before another task closes it
local WORDS = { "closed", "ended", "stopped", "cancelled" }

describe("a universe closed while a method is under way", function()
  after_each(support.clean)

  local METHODS = {
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
    ["query_entities"] = function(m) return m:query_entities { entity_type = "T" } end,
    ["neighbors"] = function(m) return m:neighbors("e") end,
    ["path"] = function(m) return m:path("e", "f") end,
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
    ["event_bus:events"] = function(m) return m.event_bus:events { type = "N" } end,
    ["event_bus:consumer"] = function(m)
      local consumer, err = m.event_bus:consumer("c", { types = "N", from = "start", handler = function() end })
      if not consumer then return nil, err end
      return consumer:wait_idle(5)
    end,
    ["event_bus:request"] = function(m) return m.event_bus:request("Q", {}, { timeout = 0.01 }) end,
    ["temporal_store:commit_version"] = function(m) return m.temporal_store:commit_version({ a = 2 }, "more") end,
    ["temporal_store:history"] = function(m) return m.temporal_store:history() end,
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
    ["security:grant"] = function(m) return m.security:grant(("ab"):rep(32), "read", "entity:*") end,
  }

  -- What is wrong with how a method ended, or nil.
  local function fault(ok, first, second)
    if ok == nil then return tostring(first) end
    if ok and not (first == nil and second ~= nil) then return nil end
    local how = ok and second or first
    if ok and not iu.errors.is(how) then return "no err: " .. tostring(how) end
    if ok and (how.kind == "TimeoutError" or how.code == "CLOSED") then return nil end
    for _, word in ipairs(WORDS) do
      if tostring(how):find(word, 1, true) then return nil end
    end
    return (ok and "nil, " or "raised ") .. tostring(how)
  end

  it("is answered, or told that it is closed", function()
    local target, folder = support.target(), support.folder()
    local config = { token = support.token(target), log_level = "off", plugins = {
      batch = {}, cache = {}, security = {}, workflow = {}, migrations = { folder = folder },
    } }
    local made = false
    local function open()
      local m = assert(iu.open(target, config))
      if made and support.keeps then return m end
      made = true
      for _, id in ipairs { "e", "f" } do assert(m:create_entity("T", nil, id)) end
      assert(m:create_relation("e", "f", "R"))
      assert(m.temporal_store:commit_version({ a = 1 }, "first"))
      return m
    end
    local faults, under_way = {}, 0
    for name, method in pairs(METHODS) do
      for _, turns in ipairs(TURNS) do
        local m = open()
        local parts = { batch = m.batch, cache = m.cache, event_bus = m.event_bus, security = m.security, temporal_store = m.temporal_store }
        local world = setmetatable({}, { __index = function(_, key)
          if parts[key] then return parts[key] end
          return function(_, ...) return m[key](m, ...) end
        end })
        local workflows, migrations = m:plugin("workflow"), m:plugin("migrations")
        function world.plugin(_, wanted) return wanted == "workflow" and workflows or migrations end
        iu.run(function()
          local task = iu.spawn(pcall, method, world)
          for _ = 1, turns do iu.sleep(0) end
          if not task:is_done() then under_way = under_way + 1 end
          assert(m:shutdown())
          local wrong = fault(task:wait(10))
          if wrong then faults[#faults + 1] = ("%s, after %d turns: %s"):format(name, turns, wrong) end
        end)
      end
    end
    assert.equal("", table.concat(faults, "\n"))
    if support.on_server then assert.is_true(under_way > 10, "nothing was under way") end
  end)
end)
