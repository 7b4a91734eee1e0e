-- Many rows of one kind in a row, as a subscription brings them: what their one handler may do in the middle of them.

local iu = require "inner_universe"
local support = require "support"

local ROWS, AT = 9, 3

describe("a run of rows", function()
  local conn, heard
  before_each(function()
    conn = support.connect()
    heard = {}
    for i = 1, ROWS do
      assert(conn:call("create_entity", "T", { name = "n" .. i, tags = {}, properties = "{}" }, "e" .. i))
    end
  end)
  after_each(support.clean)

  local function subscribe()
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    assert.is_true(sub:wait())
    return sub
  end

  -- A handler that notes its rows and, at the third one, does something.
  local function on_insert(then_do)
    local count = 0
    return conn.tables.entity:on_insert(function(row, event)
      count = count + 1
      heard[#heard + 1] = row
      assert.is_true(event.subscribed)
      assert.equal("n" .. row.id:sub(2), row.metadata.name)
      if count == AT then then_do(row) end
    end)
  end

  local function all_but(missing)
    local ids = {}
    for _, row in ipairs(heard) do ids[#ids + 1] = row.id end
    table.sort(ids)
    local expected = {}
    for i = 1, ROWS do
      if "e" .. i ~= missing then expected[#expected + 1] = "e" .. i end
    end
    assert.same(expected, ids)
  end

  it("is told whole, each row a table of its own", function()
    on_insert(function() end)
    subscribe()
    all_but()
    heard[1].id = "changed"
    assert.equal(ROWS, conn.tables.entity:count())
    assert.is_nil(conn.tables.entity:get("changed"))
  end)

  it("goes on behind a handler that raises", function()
    on_insert(function() error("boom", 0) end)
    subscribe()
    all_but()
    local reported = support.take_reported()
    assert.equal(1, #reported)
    assert.truthy(tostring(reported[1].err):find("boom", 1, true))
  end)

  it("goes on while a handler waits, and what waits ends once", function()
    local ended = {}
    on_insert(function(row)
      local before = #heard
      iu.sleep(0.01)
      ended[#ended + 1] = row.id
      ended[#ended + 1] = #heard > before
    end)
    iu.run(function() subscribe() end)
    assert.same({ heard[AT].id, true }, ended)
    all_but()
  end)

  it("ends with its handler", function()
    local handle
    handle = on_insert(function() handle:cancel() end)
    subscribe()
    assert.equal(AT, #heard)
  end)

  it("goes on with the handler that took over", function()
    local other = {}
    local handle
    handle = on_insert(function()
      handle:cancel()
      conn.tables.entity:on_insert(function(row) other[#other + 1] = row.id end)
    end)
    subscribe()
    assert.equal(AT, #heard)
    assert.equal(ROWS - AT, #other)
  end)

  it("is heard by handlers that were added in it from the next row on", function()
    local second, third = {}, {}
    on_insert(function()
      conn.tables.entity:on_insert(function(row)
        second[#second + 1] = row.id
        if #second == 2 then
          conn.tables.entity:on_insert(function(each) third[#third + 1] = each.id end)
        end
      end)
    end)
    subscribe()
    all_but()
    assert.equal(ROWS - AT, #second)
    assert.equal(ROWS - AT - 2, #third)
  end)

  it("ends with its connection", function()
    on_insert(function() assert(conn:close()) end)
    conn:subscribe("SELECT * FROM entity")
    while not conn:is_closed() do iu.step() end
    assert.equal(AT, #heard)
  end)

  it("of updates has the old rows, of deletes the rows", function()
    local sub = subscribe()
    local updates, deletes = {}, {}
    conn.tables.entity:on_update(function(new, old, event)
      updates[#updates + 1] = old.metadata.name .. ">" .. new.metadata.name .. (event.own and "." or "")
    end)
    conn.tables.entity:on_delete(function(row, event)
      deletes[#deletes + 1] = row.id .. row.metadata.name .. (event.subscribed and "," or "")
    end)
    local operations = {}
    for i = 1, ROWS do
      operations[i] = { tag = "UpdateEntity", value = { id = "e" .. i, metadata = { name = "m" .. i, tags = {}, properties = "{}" } } }
    end
    assert(conn:call("transact", operations))
    table.sort(updates)
    assert.equal(ROWS, #updates)
    assert.equal("n1>m1.", updates[1])
    sub:unsubscribe()
    while #deletes < ROWS do iu.step() end
    table.sort(deletes)
    assert.equal("e1m1,", deletes[1])
    assert.equal(0, conn.tables.entity:count())
  end)

  it("lets rows of another universe be told in the middle of it", function()
    local other = {}
    on_insert(function()
      local world <close> = assert(iu.connect("memory:", { subscribe = "all" }))
      world.tables.entity:on_insert(function(row) other[#other + 1] = row.id end)
      assert(world:call("create_entity", "T", { tags = {}, properties = "{}" }, "inner"))
    end)
    subscribe()
    all_but()
    assert.same({ "inner" }, other)
  end)
end)
