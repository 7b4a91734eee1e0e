-- A connection that is lost while methods are under way: each has its whole answer, or a ConnectionError, never a part or the word that something is not there;
-- and works again when the server is back.

local iu = require "inner_universe"
local peer = require "peer"
local support = require "support"
local under_way = require "under_way"

local TURNS = 8 -- of the loop, before the connection goes
local AWAY_MS = 5

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

  it("is answered in whole, or told, and works again", function()
    server = peer.start()
    local name, token = server:database()
    local m = support.owned(assert(iu.open(("ws://%s/%s"):format(server.address, name), {
      token = token, log_level = "off", reconnect_min_delay_ms = 2, reconnect_max_delay_ms = 10, plugins = under_way.plugins(support.folder()),
    })))
    under_way.fill(m)
    local faults, told = {}, 0
    local function judge(what, turns, ...)
      local wrong = fault(...)
      if wrong then faults[#faults + 1] = ("%s, after %d turns: %s"):format(what, turns, wrong) end
    end
    for what, method in pairs(under_way.METHODS) do
      for turns = 0, TURNS do
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
    assert.is_true(told > 20, "the connection was hardly lost under way")
    support.take_reported() -- of what goes on in the background
  end)
end)
