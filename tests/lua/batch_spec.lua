-- Batches of the core: what they take, what they give back, and what becomes of them when the connection goes.

local core = require "inner_universe.core"

local DEFAULTS = { tags = {}, properties = {} }

describe("a batch", function()
  local conn
  before_each(function() conn = assert(core.open {}) end)
  after_each(function() conn:close() end)

  it("is of a reducer whose first parameter is an array of a sum", function()
    assert.equal(0, #assert(conn:batch("transact")))
    for _, name in ipairs { "create_entity", "prune_versions", "transakt" } do
      local batch, err = conn:batch(name)
      assert.is_nil(batch)
      assert.equal("ValidationError", err.kind)
      assert.matches(name, err.message)
    end
    assert.has_error(function() conn:batch() end)
  end)

  it("numbers its elements and gives them back as they came", function()
    local batch, before = assert(conn:batch("transact")), core.now()
    assert.equal(1, batch:add(DEFAULTS, "CreateEntity", "T", { name = "x", properties = { a = 1 } }, "i"))
    assert.equal(2, batch:add(DEFAULTS, "CreateEntity", "T"))
    assert.equal(3, batch:put { tag = "DeleteEntity", value = { id = "i", cascade = true } })
    assert.equal(3, #batch)
    local element, at = batch:get(1)
    local metadata = { name = "x", tags = core.array {}, properties = '{"a":1}' }
    assert.same({ tag = "CreateEntity", value = { entity_type = "T", id = "i", metadata = metadata } }, element)
    assert.is_true(at >= before and at <= core.now())
    assert.same({ id = "i", cascade = true }, batch:get(3).value)
    for _, number in ipairs { 0, 4, -1 } do assert.has_error(function() batch:get(number) end) end
  end)

  it("takes nothing of what it refuses", function()
    local batch = assert(conn:batch("transact"))
    assert.equal(1, batch:add(DEFAULTS, "CreateEntity", "T", nil, "i"))
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", "T", { name = 5 }))
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", "T", { name = "n", other = 1 }))
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", "T", setmetatable({}, {})))
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", "T", { properties = { 1 } }))
    assert.is_nil(batch:add({}, "CreateEntity", "T", {}))
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity"))
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", "T", {}, "i", "more"))
    assert.is_nil(batch:add(DEFAULTS, "NoSuchThing", "T"))
    assert.is_nil(batch:put { tag = "CreateEntity", value = {} })
    assert.is_nil(batch:put {})
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", ("T"):rep(33 << 20)))
    assert.equal(1, #batch)
    assert.equal(2, batch:add(DEFAULTS, "CreateEntity", "T", nil, "j"))
    assert.is_true(conn:call("transact", { batch }))
    assert.equal("T", conn:get("entity", "j").entity_type)
  end)

  it("stands for its elements, among others, as often as it is wanted", function()
    local batch = assert(conn:batch("transact"))
    for i = 1, 40 do assert.equal(i, batch:add(DEFAULTS, "CreateEntity", "T", nil, "e" .. i)) end
    local expect = { tag = "Expect", value = { table = "entity", key = "e1" } }
    local after = { tag = "DeleteEntity", value = { id = "e40", cascade = false } }
    assert.is_true(conn:call("transact", { expect, batch, after }, "key"))
    assert.equal(39, #assert(conn:query("SELECT * FROM entity")))
    assert.is_true(conn:call("transact", { expect, batch, after }, "key"), "once for a key")
    local ok, err = conn:call("transact", { expect, batch, after }, "another")
    assert.is_nil(ok)
    assert.equal("ConflictError", err.kind)
    ok, err = conn:call("prune_versions", { batch }, {}, {})
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)
  end)

  it("ends with its connection; closing it is idempotent", function()
    local batch, other = assert(conn:batch("transact")), assert(conn:batch("transact"))
    assert.equal(1, batch:add(DEFAULTS, "CreateEntity", "T"))
    assert.equal(1, other:add(DEFAULTS, "CreateEntity", "T"))
    other:close()
    other:close()
    assert.equal(0, #other)
    assert.equal(1, other:add(DEFAULTS, "CreateEntity", "T"))
    conn:close()
    assert.is_nil(batch:add(DEFAULTS, "CreateEntity", "T"))
    assert.is_nil(batch:put { tag = "DeleteEntity", value = { id = "i", cascade = true } })
    assert.has_error(function() batch:get(1) end)
    batch:close()
  end)

  it("neither moves nor goes while an element is encoded and a finaliser runs", function()
    local batch, tried = assert(conn:batch("transact")), 0
    local function finaliser()
      return setmetatable({}, { __gc = function()
        tried = tried + 1
        batch:add(DEFAULTS, "CreateEntity", "T", { name = ("f"):rep(5000) })
        batch:close()
      end })
    end
    collectgarbage("incremental", 0, 1000, 0)
    collectgarbage("collect") -- the pause before it was another one
    local count = 0
    for i = 1, 3000 do
      finaliser()
      local metadata = { name = "n" .. i, tags = { "a", "b" .. i }, properties = { a = { b = { c = i } } } }
      local number = batch:add(DEFAULTS, "CreateEntity", "T", metadata, "e" .. i)
      assert.is_not_nil(number)
      if #batch >= number then
        count = count + 1
        local element = batch:get(number)
        if #batch >= number then assert.equal("e" .. i, element.value.id) end
      end
    end
    collectgarbage("incremental", 200, 100, 13)
    assert.is_true(tried > 100)
    assert.is_true(count > 0)
  end)
end)
