-- A program with a frame loop: `iu.step(budget)` says whether something is left, and what takes long is staged and told over many steps.

local iu = require "inner_universe"
local support = require "support"

local ROWS = 300

describe("a frame loop", function()
  local held -- the manager: its connection is closed with it
  after_each(function()
    iu.step() -- no frames any more
    if held then held:shutdown() end
    held = nil
    support.clean()
  end)

  local function filled()
    local m, conn = support.open_both()
    held = m
    m:transaction(function(tx)
      for i = 1, ROWS do tx:create_entity("Item", { name = "item " .. i }) end
    end)
    return conn
  end

  -- Steps until done(), each looked at; the budget is over at once.
  local function steps(done, look)
    local count, stop = 0, iu.now() + 20000000
    while not done() do
      local more = iu.step(1e-6)
      count = count + 1
      look(more)
      assert.is_true(iu.now() < stop, "it never ends")
    end
    return count
  end

  it("stages a subscription out of sight, shows it at once and tells it row by row", function()
    local conn = filled()
    local told, applied = 0, false
    conn.tables.entity:on_insert(function() told = told + 1 end)
    iu.step(1e-6)
    local sub = assert(conn:subscribe("SELECT * FROM entity WHERE entity_type = 'Item'", { on_applied = function() applied = true end }))
    if not support.on_server then assert.equal(0, conn.tables.entity:count()) end -- it waits for a step
    local between = 0
    local count = steps(function() return applied end, function(more)
      local seen = conn.tables.entity:count()
      assert.is_true(seen == 0 or seen == ROWS, seen)
      if told > 0 and told < ROWS then
        between = between + 1
        assert.is_true(more) -- rows are left to be told
        assert.equal(ROWS, seen)
      end
    end)
    assert.equal(ROWS, told)
    assert.is_true(between > 10, between)
    assert.is_true(count > between)
    assert(sub:unsubscribe())
  end)

  it("rests when nothing is left", function()
    local conn = filled()
    local applied = false
    assert(conn:subscribe("SELECT * FROM entity", { on_applied = function() applied = true end }))
    steps(function() return applied end, function() end)
    if support.on_server then return end -- which may have something to say
    local more = true
    for _ = 1, 1000 do more = more and iu.step(1) end
    assert.is_false(more)
    iu.spawn(function() iu.sleep(0) iu.sleep(0) end)
    assert.is_true(iu.step(1))
  end)

  it("waits for a subscription as ever where it must", function()
    local conn = filled()
    iu.step(1)
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    assert(sub:wait())
    assert.equal(ROWS, conn.tables.entity:count())
  end)

  it("hears of others' large commits over many steps", function()
    local conn = filled()
    local other = support.session(conn)
    local told = 0
    other.tables.entity:on_insert(function() told = told + 1 end)
    assert(assert(other:subscribe("SELECT * FROM entity WHERE entity_type = 'Late'")):wait())
    iu.step(1)
    local operations = {}
    for i = 1, ROWS do
      operations[i] = { tag = "CreateEntity", value = { entity_type = "Late", metadata = { tags = {}, properties = "{}" }, id = "late " .. i } }
    end
    assert(conn:call("transact", operations))
    steps(function() return told == ROWS end, function()
      local seen = other.tables.entity:count()
      assert.is_true(seen == 0 or seen == ROWS, seen)
    end)
    other:close()
  end)
end)
