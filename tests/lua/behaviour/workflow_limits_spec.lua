-- Workflows: what is refused, what is bounded, what is kept, and what is left behind.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local support = require "support"
local workflows = require "workflows"

local define, open, SOON = workflows.define, workflows.open, workflows.SOON

describe("the limits of workflows", function()
  after_each(support.clean)

  local function records(m)
    return #assert(m.client:query("SELECT * FROM plugin_record WHERE key >= 'workflow.' AND key < 'workflow/'"))
  end

  it("refuse inputs, results, outputs and payloads that are too large or no JSON, and say which", function()
    local w, m = open { bytes_max = 1024 }
    local large = ("x"):rep(2000)
    define(w, "large", function(wf, input)
      if input == "signal" then return (wf:wait_signal("s")) end
      if input == "output" then return large end
      return wf:step("charge", function() return input == "result" and { large } or function() end end)
    end)
    support.refused("ValidationError", w:start("large", { large }))
    support.refused("ValidationError", w:start("large", { 1, x = 2 }))
    assert.equal(0, records(m))
    assert(w:start("large", "result", { id = "r" }))
    local err = support.refused("ValidationError", w:wait("r", SOON))
    assert.truthy(err.message:find('the result of step "charge": 2004 bytes of JSON, expected at most 1024', 1, true))
    assert(w:start("large", "no JSON", { id = "j" }))
    err = support.refused("ValidationError", w:wait("j", SOON))
    assert.truthy(err.message:find('the result of step "charge"', 1, true))
    assert(w:start("large", "output", { id = "o" }))
    err = support.refused("ValidationError", w:wait("o", SOON))
    assert.truthy(err.message:find("the output of workflow large", 1, true))
    assert(w:start("large", "signal", { id = "s" }))
    support.refused("ValidationError", w:signal("s", "s", large))
    assert(w:signal("s", "s", "small"))
    assert.equal("small", w:wait("s", SOON))
  end)

  it("refuse what is nested too deep to be kept, and keep what is not", function()
    local w = open()
    local function nested(levels)
      local value = {}
      for _ = 2, levels do value = { value } end
      return value
    end
    define(w, "deep", function(wf, how)
      if how.signal then return wf:wait_signal("s") ~= nil end
      local result, err = wf:step("s", function() return nested(how.result or 1) end)
      if not result then return nil, err end
      return nested(how.output or 1)
    end)
    for _, levels in ipairs { 511, 512, 513 } do
      for _, where in ipairs { "result", "output" } do
        local id = where .. levels
        assert(w:start("deep", { [where] = levels }, { id = id }))
        local output, err = w:wait(id, SOON)
        if levels == 511 then
          assert.equal("table", type(output), tostring(err))
        else
          assert.truthy(support.refused("ValidationError", output, err).message:find("nesting deeper", 1, true))
        end
      end
      assert(w:start("deep", { signal = true }, { id = "s" .. levels }))
      local inside = nested(levels)
      if levels == 511 then
        assert(w:signal("s" .. levels, "s", inside))
        assert.is_true(w:wait("s" .. levels, SOON))
        assert.is_true(w:wait(assert(w:start("deep", nested(511))), SOON) ~= nil)
      else
        support.refused("ValidationError", w:signal("s" .. levels, "s", inside))
        support.refused("ValidationError", w:start("deep", inside))
        assert(w:cancel("s" .. levels))
      end
    end
  end)

  it("end a run that makes too many calls", function()
    local w = open { steps_max = 10 }
    define(w, "endless", function(wf)
      while true do wf:step("s", function() end) end
    end)
    assert(w:start("endless", nil, { id = "e" }))
    local err = support.refused("OverloadedError", w:wait("e", SOON))
    assert.truthy(err.message:find("steps_max", 1, true))
    assert.equal(10, #w:get("e").steps)
  end)

  it("bound the runs that are worked at, and let those that wait make room", function()
    local w = open { runs_max = 3 }
    local now, most = 0, 0
    define(w, "crowd", function(wf)
      wf:step("s", function()
        now = now + 1
        most = math.max(most, now)
        iu.sleep(0.01)
        now = now - 1
      end)
      wf:wait_signal("go")
      return wf.id
    end)
    for i = 1, 10 do assert(w:start("crowd", nil, { id = "c" .. i })) end
    support.wait_until(function()
      local done = 0
      for i = 1, 10 do done = done + #w:get("c" .. i).steps end
      return done == 10
    end)
    assert.equal(3, most)
    for i = 1, 10 do assert(w:signal("c" .. i, "go")) end
    for i = 1, 10 do assert.equal("c" .. i, w:wait("c" .. i, SOON)) end
  end)

  it("bound the runs that have not ended, and the signals of one", function()
    local w = open { live_max = 2, signals_max = 2 }
    define(w, "waits", function(wf) wf:wait_signal("go") end)
    assert(w:start("waits", nil, { id = "1" }))
    assert(w:start("waits", nil, { id = "2" }))
    support.wait_until(function() return select(2, w:health()).live == 2 end)
    support.refused("OverloadedError", w:start("waits", nil, { id = "3" }))
    assert.equal("2", w:start("waits", nil, { id = "2" }))
    assert(w:signal("1", "other"))
    assert(w:signal("1", "other"))
    iu.sleep(0.05)
    support.refused("OverloadedError", w:signal("1", "other"))
    assert(w:signal("2", "go"))
    assert.is_true(w:wait("2", SOON))
    assert(w:start("waits", nil, { id = "3" }))
  end)

  it("keep the youngest ended runs, and remove all of the others", function()
    local w, m = open { keep_runs = 2 }
    define(w, "short", function(wf, fails)
      wf:step("a", function() end, { compensate = function() end })
      wf:sleep(0)
      if fails then return nil, "no" end
    end)
    define(w, "lives", function(wf) wf:wait_signal("go") end)
    for i = 1, 5 do
      assert(w:start("short", i % 2 == 0, { id = "s" .. i }))
      w:wait("s" .. i, SOON)
    end
    assert(w:start("lives", nil, { id = "l" }))
    assert(w:signal("l", "later"))
    assert.equal(3, w:prune())
    assert.equal(0, w:prune())
    assert.same({ "l", "s5", "s4" }, support.pluck(assert(w:list()), "id"))
    support.refused("EntityNotFoundError", w:get("s1"))
    -- s5: run, done, 2 steps; s4 an undo besides; l: run, live, signal
    support.wait_until(function() return records(m) == 4 + 5 + 3 end)
    assert.equal(3, select(2, w:health()).pruned)
    assert(w:start("short", false, { id = "s1" }))
    assert.is_true(w:wait("s1", SOON))
  end)

  it("prune by themselves when many have ended", function()
    local w = open { keep_runs = 5 }
    define(w, "tiny", function() end)
    for i = 1, 70 do
      assert(w:start("tiny", nil, { id = "t" .. i }))
      assert.is_true(w:wait("t" .. i, SOON))
    end
    support.wait_until(function() return #assert(w:list()) <= 5 + 6 end)
  end)

  it("refuse what makes no sense, naming it", function()
    local w = open()
    support.refused("ValidationError", w:define("x", {}))
    support.refused("ValidationError", w:define("", { run = print }))
    support.refused("ValidationError", w:define("x\n", { run = print }))
    support.refused("ValidationError", w:define("x", { run = print, verison = 2 }))
    support.refused("ValidationError", w:define("x", { run = print, version = 0 }))
    support.refused("ValidationError", w:define("x", { run = print, retry = { max_attempts = 0 } }))
    support.refused("ValidationError", w:define("x", { run = print, retry = { jitter = 2 } }))
    support.refused("ValidationError", w:define("x", { run = print, retry = { backof = 2 } }))
    support.refused("ValidationError", w:define("x", { run = print, compensation = { max_delay = -1 } }))
    support.refused("ValidationError", w:start("unknown"))
    define(w, "x", function() end)
    support.refused("ValidationError", w:start("x", nil, { id = "" }))
    support.refused("ValidationError", w:start("x", nil, { id = ("i"):rep(201) }))
    support.refused("ValidationError", w:start("x", nil, { ID = "a" }))
    support.refused("EntityNotFoundError", w:wait("nobody"))
    support.refused("EntityNotFoundError", w:resume("nobody"))
    support.raises_here(function() w:start(1) end, "name: string expected")
    support.raises_here(function() w:define("x") end, "options: table expected")
    support.raises_here(function() w:wait() end, "id: string expected")
    support.refused("ValidationError", nil, select(2, w:wait("nobody", 0 / 0)), "wait: timeout")
    support.raises_here(function() w:signal("x") end, "name: string expected")
  end)

  it("refuse wrong arguments of wf at the caller's line, and calls where none may be", function()
    local w = open()
    local outer, heard = nil, {}
    local function raised(fn)
      local ok, text = pcall(fn)
      assert(not ok)
      heard[#heard + 1] = text
    end
    define(w, "misuse", function(wf)
      outer = wf
      raised(function() wf:step(1, print) end)
      raised(function() wf:step("x") end)
      raised(function() wf:sleep("x") end)
      raised(function() wf:random(3, 1) end)
      raised(function() coroutine.wrap(function() wf:step("x", print) end)() end)
      local refusals = {
        { wf:step("", print) }, { wf:step("x", print, { timout = 1 }) }, { wf:step("x", print, { retry = { max_attempts = 1.5 } }) }, { wf:sleep(-1) },
        { wf:wait_signal("") }, { wf:wait_signal("x", -1) }, { wf:step("x", print, { timeout = 0 }) },
      }
      for _, refusal in ipairs(refusals) do support.refused("ValidationError", refusal[1], refusal[2]) end
      local _, err = wf:step("outside", function() wf:step("inside", print) end)
      heard[#heard + 1] = err.message
      return "through"
    end)
    assert(w:start("misuse", nil, { id = "m" }))
    assert.equal("through", w:wait("m", SOON))
    for i = 1, 4 do assert.truthy(heard[i]:find("workflow_limits_spec.lua:%d+: bad argument"), heard[i]) end
    assert.truthy(heard[5]:find("another coroutine", 1, true), heard[5])
    assert.truthy(heard[6]:find('wf:step called inside of step "outside"', 1, true), heard[6])
    assert.equal(1, #w:get("m").steps)
    support.raises_here(function() outer:sleep(1) end, "after the workflow's function has ended")
  end)

  it("leave nothing in memory when runs have ended", function()
    local w = open { park_after = 0.0, keep_runs = 1 }
    define(w, "all", function(wf, kind)
      wf:step("a", function() iu.sleep(0) end, { timeout = 5, compensate = function() end })
      wf:transaction("t", function(tx) return tx:publish_event("SEEN") end)
      wf:sleep(0.001)
      if kind == 1 then wf:wait_signal("go", 0.001) end
      if kind == 2 then wf:wait_signal("go") end
      return kind == 3 and error("on purpose") or 1
    end)
    local function round()
      for kind = 1, 3 do
        local id = assert(w:start("all", kind))
        if kind == 2 then assert(w:cancel(id)) end
        w:wait(id, SOON)
      end
      assert(w:prune())
      for _ = 1, 4 do
        collectgarbage()
        iu.sleep(0.001)
      end
      return core.debug_refs()
    end
    round()
    local before = round()
    for _ = 1, 4 do round() end
    assert.equal(before, round())
    local _, facts = w:health()
    assert.equal(0, facts.live + facts.working)
  end)

  it("time waits out, and end with the universe", function()
    local w, m = open()
    define(w, "waits", function(wf) wf:wait_signal("go") end)
    assert(w:start("waits", nil, { id = "w" }))
    support.refused("TimeoutError", w:wait("w", 0.05))
    local ended
    local task = iu.spawn(function() ended = table.pack(w:wait("w")) end)
    iu.sleep(0.02)
    support.close(m)
    task:wait(SOON)
    assert.is_true(ended == nil or ended[1] == nil and ended[2].kind == "ConnectionError")
    for _, name in ipairs { "define", "start", "get", "list", "wait", "cancel", "signal", "resume", "prune" } do
      support.raises_here(function() w[name](w, "x", {}) end, "workflow is closed")
    end
  end)

  it("are checked in the configuration, and health tells facts", function()
    for _, config in ipairs { { runs_max = 0 }, { lease = 0.1 }, { keep_days = -1 }, { bytes_max = 10 }, { park_after = -1.0 }, { runs = 3 } } do
      local m = support.open { plugins = { workflow = config }, log_level = "off" }
      support.refused("PluginError", m:plugin("workflow"))
    end
    local w = open()
    define(w, "short", function() end)
    assert(w:start("short", nil, { id = "s" }))
    assert.is_true(w:wait("s", SOON))
    local ok, facts = w:health()
    assert.is_true(ok)
    for _, name in ipairs { "live", "working", "waiting", "stuck", "undefined", "lost", "pruned", "damaged" } do
      assert.equal("integer", math.type(facts[name]), name)
    end
  end)
end)
