-- Documents: immutable JSON values outside of Lua's memory, which go wherever a Lua table does; and what comparing two values gives.

local core = require "inner_universe.core"
local iu = require "inner_universe"

local TEXT = '{"a":[1,2.5,{"x":null,"deep":[[true]]}],"b":"text","":"empty key","big":123456789012345678901234567890,"none":{},"list":[]}'

local function document(text) return assert(iu.json.document(text)) end

describe("a document", function()
  local d = document(TEXT)

  it("gives scalars as Lua has them, and documents of arrays and objects", function()
    assert.equal("text", d.b)
    assert.equal("empty key", d[""])
    assert.equal(iu.wide("123456789012345678901234567890"), d.big)
    assert.is_true(iu.json.is_document(d.a))
    assert.equal(1, d.a[1])
    assert.equal("integer", math.type(d.a[1]))
    assert.equal(2.5, d.a[2])
    assert.equal(iu.null, d.a[3].x)
    assert.is_true(d.a[3].deep[1][1])
  end)

  it("has nil for what is not there, whatever is asked for", function()
    for _, key in ipairs { "c", 1, 1.5, true, "1" } do assert.is_nil(d[key]) end
    for _, key in ipairs { 0, -1, 4, 1.5, "1", math.mininteger, math.maxinteger, false } do assert.is_nil(d.a[key]) end
  end)

  it("counts elements and members", function()
    assert.same({ 6, 3, 0, 0 }, { #d, #d.a, #d.none, #d.list })
  end)

  it("goes through its members and elements in order", function()
    local keys, values = {}, {}
    for key in pairs(d) do keys[#keys + 1] = key end
    assert.same({ "a", "b", "", "big", "none", "list" }, keys)
    for i, value in pairs(d.a) do values[i] = value end
    assert.same({ 1, 2.5, d.a[3] }, values)
    values = {}
    for i, value in ipairs(d.a) do values[i] = value end
    assert.equal(3, #values)
    for _ in pairs(d.none) do error("nothing is in it") end
  end)

  it("is equal to another of the same value, the order of members aside, and exactly so", function()
    assert.is_true(d == document(TEXT))
    assert.is_true(document '{"a":1,"b":2}' == document '{"b":2,"a":1}')
    for _, pair in ipairs { { "[1]", "[1.0]" }, { "[0.0]", "[-0.0]" }, { "[]", "{}" }, { '{"a":null}', "{}" }, { "[1,2]", "[2,1]" } } do
      assert.is_false(document(pair[1]) == document(pair[2]), pair[1])
    end
    assert.is_false(d == {})
  end)

  it("becomes plain tables, also where a member has the method's name", function()
    assert.equal("table", type(d:totable()))
    assert.equal(iu.json.canonical(iu.json.decode(TEXT)), iu.json.canonical(d:totable()))
    assert.same({ totable = 1 }, iu.json.totable(document '{"totable":1}'))
    assert.equal("[]", iu.json.encode(d.list:totable()))
    assert.equal("{}", iu.json.encode(d.none:totable()))
    assert.equal(7, iu.json.totable(document "7"))
  end)

  it("is encoded and hashed like a table, whole or in part, alone or inside of one", function()
    assert.equal(TEXT, iu.json.encode(d))
    assert.equal('{"part":[[true]]}', iu.json.encode { part = d.a[3].deep })
    assert.equal(iu.json.canonical(iu.json.decode(TEXT)), iu.json.canonical(d))
    assert.equal(iu.json.hash(iu.json.decode(TEXT)), iu.json.hash(d))
  end)

  it("is not nested deeper than JSON may be", function()
    local outer = document(("["):rep(500) .. ("]"):rep(500))
    for _ = 1, 12 do outer = { outer } end
    assert(iu.json.encode(outer))
    local text, err = iu.json.encode { outer }
    assert.is_nil(text)
    assert.equal("ValidationError", err.kind)
  end)

  it("says what it is", function()
    assert.equal("document: an object of 6 members", tostring(d))
    assert.equal("document: an array of 3 elements", tostring(d.a))
    assert.equal("document: an object of 1 member", tostring(document '{"a":1}'))
    assert.equal("document: a scalar", tostring(document "1"))
  end)

  it("cannot be written", function()
    assert.has_error(function() d.b = 1 end)
    assert.equal("text", d.b)
  end)

  it("keeps what is taken of it", function()
    local part = document('{"x":{"y":[1,2,3]}}').x
    collectgarbage()
    collectgarbage()
    assert.equal("[1,2,3]", iu.json.encode(part.y))
  end)

  it("is refused for bad text", function()
    local bad, err = iu.json.document '{"a":}'
    assert.is_nil(bad)
    assert.equal("ValidationError", err.kind)
    assert.is_number(err.offset)
    assert.has_error(function() iu.json.document(nil) end)
    assert.has_error(function() iu.json.totable({}) end)
  end)
end)

describe("comparing", function()
  local function compare(old, new, options) return assert(core.diff_compare(old, new, options)) end

  it("takes tables, documents and scalars", function()
    local set = { { op = "set", path = "a", value = 2 } }
    assert.same(set, compare({ a = 1, b = "x" }, { a = 2, b = "x" }))
    assert.same(set, compare(document '{"a":1,"b":"x"}', { a = 2, b = "x" }))
    assert.same(set, compare(document '{"q":{"a":1,"b":"x"}}'.q, document '{"b":"x","a":2}'))
    assert.same({ { op = "set", path = "", value = 2.0 } }, compare(2, 2.0))
    assert.same({}, compare({ a = { 1 } }, { a = { 1 } }))
    assert.equal("[]", iu.json.encode(compare(1, 1)))
  end)

  it("finds elements by their key, by a key that is given, or by index", function()
    local function list(from, to)
      local items = {}
      for i = from, to do items[#items + 1] = { id = i, sku = "s" .. i, text = "some text of item " .. i } end
      return { list = items }
    end
    assert.same({ { op = "remove", path = "list", index = 0 } }, compare(list(1, 20), list(2, 20)))
    assert.same({ { op = "insert", path = "list", index = 0, value = list(1, 1).list[1] } }, compare(list(2, 20), list(1, 20), { arrays = { list = "sku" } }))
    assert.is_true(#compare(list(1, 20), list(2, 20), { arrays = "by_index" }) > 0)
  end)

  it("refuses what is no JSON value, and options it does not know", function()
    for _, case in ipairs {
      { { a = 0 / 0 }, 1, nil, "old: NaN is not a JSON value at $.a" }, { 1, { print }, nil, "new: function is not a JSON value at $[0]" },
      { 1, 2, { arrays = "keyed" }, 'arrays: expected "auto", "by_index" or a table of paths and the names of keys' },
      { 1, 2, { arrays = { 1 } }, 'arrays: expected "auto", "by_index" or a table of paths and the names of keys' },
      { 1, 2, { arrays = { ["a..b"] = "id" } }, 'arrays: path "a..b": a path has an empty segment (an empty key is written \\e)' },
    } do
      local ops, err = core.diff_compare(case[1], case[2], case[3])
      assert.is_nil(ops)
      assert.equal("ValidationError", err.kind)
      assert.equal(case[4], err.message)
    end
    assert.has_error(function() core.diff_compare(1) end)
    assert.has_error(function() core.diff_compare(1, 2, "auto") end)
  end)
end)
