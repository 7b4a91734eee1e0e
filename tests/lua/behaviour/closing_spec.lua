-- A universe that is closed while methods are under way: each ends with its answer, with an err that says so, or raises that it is closed; with nothing
-- else.

local iu = require "inner_universe"
local support = require "support"
local under_way = require "under_way"

local TURNS = { 1, 2, 4, 8 } -- of the loop, before another task closes it
local WORDS = { "closed", "ended", "stopped", "cancelled" }

describe("a universe closed while a method is under way", function()
  after_each(support.clean)

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
    local config = { token = support.token(target), log_level = "off", plugins = under_way.plugins(folder) }
    local made = false
    local function open()
      local m = assert(iu.open(target, config))
      if made and support.keeps then return m end
      made = true
      under_way.fill(m)
      return m
    end
    local faults, met = {}, 0
    for name, method in pairs(under_way.METHODS) do
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
          if not task:is_done() then met = met + 1 end
          assert(m:shutdown())
          local wrong = fault(task:wait(10))
          if wrong then faults[#faults + 1] = ("%s, after %d turns: %s"):format(name, turns, wrong) end
        end)
      end
    end
    assert.equal("", table.concat(faults, "\n"))
    if support.on_server then assert.is_true(met > 10, "nothing was under way") end
  end)
end)
