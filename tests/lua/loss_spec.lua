-- A connection that is lost while methods are under way: each has its whole answer, or a ConnectionError, never a part or the word that something is not there;
-- and works again when the server is back.

local iu = require "inner_universe"
local peer = require "peer"
local support = require "support"
local under_way = require "under_way"

local TURNS = { 0, 1, 2, 4, 8 } -- of the loop, before the connection goes
local AWAY_MS = 5
local TASKS, CALLS = 6, 150 -- at random

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

describe("a connection lost while a method is under way", function()
  local server
  after_each(function()
    support.clean()
    if server then server:stop() end
    server = nil
  end)

  -- What is wrong with how a method ended, or nil.
  local function fault(ok, first, second)
    if not ok then return "raised " .. tostring(first) end
    if first ~= nil or second == nil then return nil end
    if not iu.errors.is(second) then return "no err: " .. tostring(second) end
    if second.kind == "ConnectionError" or second.kind == "TimeoutError" then return nil end
    return tostring(second)
  end

  local function open()
    server = peer.start()
    local name, token = server:database()
    local m = support.owned(assert(iu.open(("ws://%s/%s"):format(server.address, name), {
      token = token, log_level = "off", reconnect_min_delay_ms = 2, reconnect_max_delay_ms = 10, plugins = under_way.plugins(support.folder()),
    })))
    under_way.fill(m)
    return m
  end

  it("is answered in whole, or told, and works again", function()
    local m = open()
    local faults, told = {}, 0
    local function judge(what, turns, ...)
      local wrong = fault(...)
      if wrong then faults[#faults + 1] = ("%s, after %d turns: %s"):format(what, turns, wrong) end
    end
    for what, method in pairs(under_way.METHODS) do
      for _, turns in ipairs(TURNS) do
        iu.run(function()
          local task = iu.spawn(pcall, method, m)
          for _ = 1, turns do iu.sleep(0) end
          server:fault(('{"restart_ms":%d}'):format(AWAY_MS))
          local results = table.pack(task:wait(20))
          judge(what, turns, table.unpack(results, 1, results.n))
          if results[2] == nil and results[3] ~= nil then told = told + 1 end
          support.wait_until(function()
            local ok, first, second = pcall(method, m)
            judge(what .. ", again", turns, ok, first, second)
            return not ok or first ~= nil or second == nil or second.kind == "TimeoutError" -- a request that nobody answers
          end)
        end)
      end
    end
    assert.equal("", table.concat(faults, "\n"))
    assert.is_true(told > 10, "the connection was hardly lost under way")
    support.take_reported() -- of what goes on in the background
  end)

  it("is answered in whole, or told, whichever requests and answers are lost", function()
    print("# loss_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local m = open()
    local names, faults, told = {}, {}, 0
    for name in pairs(under_way.METHODS) do names[#names + 1] = name end
    table.sort(names)
    server:fault('{"drop_before_permille":40,"drop_after_permille":60}')
    iu.run(function()
      for _ = 1, TASKS do
        iu.spawn(function()
          for _ = 1, CALLS do
            local name = names[math.random(#names)]
            local results = table.pack(pcall(under_way.METHODS[name], m))
            local wrong = fault(table.unpack(results, 1, results.n))
            if wrong then faults[#faults + 1] = ("%s: %s"):format(name, wrong) end
            if results[2] == nil and results[3] ~= nil then
              told = told + 1
              iu.sleep(0.002)
            end
          end
        end)
      end
    end)
    server:fault('{"drop_before_permille":0,"drop_after_permille":0}')
    assert.equal("", table.concat(faults, "\n"))
    assert.is_true(told > 50, "hardly anything was lost")
    support.wait_until(function() return m.client:connection():state().phase == "connected" end)
    assert.equal(#assert(m:query_entities {}), #assert(m.event_bus:events { type = "ENTITY_CREATED" }))
    support.take_reported()
  end)

  it("is not taken for damage by what verifies", function()
    local m = open()
    for i = 1, 30 do assert(m.temporal_store:branch("branch" .. i)) end
    local told = 0
    iu.run(function()
      for turns = 0, 119 do
        local verifying = iu.spawn(m.temporal_store.verify, m.temporal_store)
        for _ = 0, turns do iu.sleep(0) end
        server:fault('{"restart_ms":1}')
        local report, err = verifying:wait(20)
        if report then
          assert.equal(8, report.versions)
        else
          assert.equal("ConnectionError", err.kind, tostring(err))
          told = told + 1
        end
        support.wait_until(function() return m.client:connection():state().phase == "connected" end)
      end
    end)
    assert.is_true(told > 10, "hardly anything was lost")
    support.take_reported()
  end)
end)
