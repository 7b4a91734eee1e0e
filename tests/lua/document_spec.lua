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
    for _, key in ipairs { 0, -1, 4, 1.5, "1", math.mininteger, math.maxinteger, 2 ^ 53, 0 / 0, false } do assert.is_nil(d.a[key]) end
    assert.equal(2.5, d.a[2.0]) -- as a table has it
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

  it("raises, and does no harm, in a finaliser that runs after its own", function()
    local seen = 0
    local function meet(guard)
      local gone = guard.document
      for _, use in ipairs {
        function() return gone.a end, function() return #gone end, function() return pairs(gone) end, function() return guard.step(gone, nil) end,
        function() return iu.json.totable(gone) end, function() return guard.totable(gone) end,
      } do
        assert.is_false((pcall(use)))
        seen = seen + 1
      end
      assert.equal("document: gone", tostring(gone))
      assert.is_false(iu.json.is_document(gone))
      assert.is_false(gone == guard.other)
      for _, write in ipairs { iu.json.encode, iu.json.canonical, iu.json.hash } do
        local text, err = write(gone)
        assert.is_nil(text)
        assert.equal("ValidationError", err.kind)
      end
      seen = seen + 1
    end
    do -- finalisers run in the reverse order of their objects' making: the documents' first
      local guard = setmetatable({}, { __gc = function(guard)
        local ok, why = pcall(meet, guard)
        if not ok then seen = why end
      end })
      guard.document, guard.other = document(TEXT), document(TEXT)
      guard.step, guard.totable = pairs(guard.document), guard.document.totable
    end
    collectgarbage()
    collectgarbage()
    assert.equal(7, seen)
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

describe("operations applied to a document", function()
  local function applied(text, ops)
    return assert(core.diff_apply_document(document(text), ops))
  end

  it("make another one, and leave it as it was", function()
    local d = document '{"a":{"b":[1,2,3]},"text":"hello world","c":{"x":1,"y":2}}'
    local e = assert(core.diff_apply_document(d, {
      { op = "set", path = "a.b.0", value = "one" }, { op = "insert", path = "a.b", index = 1, value = { new = true } },
      { op = "insert", path = "a.b", value = iu.null }, { op = "remove", path = "a.b", index = 2 }, { op = "set", path = "a.\\e", value = 7 },
      { op = "patch", path = "text", patch = { { 0, 5, "HELLO" }, { 11, 0, "!" } } }, { op = "patch", path = "c", patch = { x = iu.null, z = { w = 1 } } },
      { op = "set", path = "n\\.m", value = 1 }, { op = "delete", path = "n\\.m" },
    }))
    assert.equal('{"a": {"": 7, "b": ["one", {"new": true}, 3, null]}, "c": {"y": 2, "z": {"w": 1}}, "text": "HELLO world!"}', iu.json.canonical(e))
    assert.equal('{"a":{"b":[1,2,3]},"text":"hello world","c":{"x":1,"y":2}}', iu.json.encode(d))
    assert.is_true(d == assert(core.diff_apply_document(d, {})))
  end)

  it("go through documents, and work on a part of one", function()
    local d = document '{"a":{"b":[1,2,3]}}'
    assert.equal("[2,3]", iu.json.encode(assert(core.diff_apply_document(d.a.b, document '[{"op":"remove","path":"","index":0}]'))))
    assert.equal("5", iu.json.encode(applied("[1]", { { op = "set", path = "", value = 5 } })))
  end)

  it("are what comparing gives", function()
    local a, b = document '{"list":[{"id":1,"v":[1,2]},{"id":2}],"s":"x"}', document '{"list":[{"id":2},{"id":1,"v":[1,2,3.0]}],"t":"x"}'
    assert.is_true(b == assert(core.diff_apply_document(a, assert(core.diff_compare(a, b)))))
  end)

  it("are refused by number, kind and path where they do not fit", function()
    local text = '{"a":{"b":[1,2]},"s":"g\xC3\xBCn","n":1}'
    for _, case in ipairs {
      { { op = "set", path = "x.y", value = 1 }, 'set: path "x.y": there is no member "x"' },
      { { op = "set", path = "a.b.2", value = 1 }, 'set: path "a.b.2": index 2 is past the end of 2 elements' },
      { { op = "set", path = "a.b.01", value = 1 }, 'set: path "a.b.01": "01" is no index of an array' },
      { { op = "set", path = "n.x", value = 1 }, 'set: path "n.x": it leads into a number' },
      { { op = "set", path = "a..b", value = 1 }, 'set: path "a..b": an empty segment (an empty key is written \\e)' },
      { { op = "set", path = "a.", value = 1 }, 'set: path "a.": an empty segment (an empty key is written \\e)' },
      { { op = "delete", path = "q" }, 'delete: path "q": there is no member "q"' },
      { { op = "delete", path = "" }, 'delete: path "": the whole state cannot be deleted' },
      { { op = "delete", path = "a.b.0" }, 'delete: path "a.b.0": only a member of an object can be deleted, it leads into an array' },
      { { op = "insert", path = "a.b", index = 3, value = 1 }, 'insert: path "a.b": index 3 is past the end of 2 elements' },
      { { op = "insert", path = "a", index = 0, value = 1 }, 'insert: path "a": expected an array, it is an object' },
      { { op = "remove", path = "a.b", index = 2 }, 'remove: path "a.b": index 2 is past the end of 2 elements' },
      { { op = "patch", path = "n", patch = {} }, 'patch: path "n": only a string or an object can be patched, it is a number' },
      { { op = "patch", path = "a", patch = 1 }, 'patch: path "a": patch of an object: expected an object' },
      { { op = "patch", path = "s", patch = { { 2, 1, "" } } }, 'patch: path "s": patch of a string: an edit is inside a code point' },
      { { op = "patch", path = "s", patch = { { 1, 1, "" } } }, 'patch: path "s": patch of a string: an edit is inside a code point' },
      { { op = "patch", path = "s", patch = { { 3, 2, "" } } }, 'patch: path "s": patch of a string: an edit is past the end of the string' },
      { { op = "patch", path = "s", patch = { { 1, 2, "" }, { 0, 1, "" } } },
        'patch: path "s": patch of a string: edits must be ascending and not overlap' },
      { { op = "patch", path = "s", patch = { { 1, 2 } } }, 'patch: path "s": patch of a string: expected edits [at, count, text]' },
    } do
      local d, err = core.diff_apply_document(document(text), { { op = "set", path = "n", value = 2 }, case[1] })
      assert.is_nil(d)
      assert.equal("ValidationError", err.kind)
      assert.equal("operations[2] " .. case[2], err.message)
    end
  end)

  it("are refused where their form is wrong", function()
    for _, case in ipairs {
      { { op = "copy", path = "" }, ': op: expected set, delete, insert, remove or patch, got "copy"' },
      { {}, ": op: expected set, delete, insert, remove or patch" },
      { 1, ": expected an object" }, { { op = "set", path = "a" }, ": set: value is missing (null is written as null)" },
      { { op = "set", value = 1 }, ": set: path: expected a string" }, { { op = "remove", path = "" }, ": remove: index: expected an integer from 0 on" },
      { { op = "insert", path = "", index = 1.0, value = 1 }, ": insert: index: expected an integer from 0 on" },
      { { op = "insert", path = "", index = -1, value = 1 }, ": insert: index: expected an integer from 0 on" },
      { { op = "delete", path = "a", value = 1 }, ": delete: has a field that it does not know" },
    } do
      local d, err = core.diff_apply_document(document "[]", { case[1] })
      assert.is_nil(d)
      assert.equal("ValidationError", err.kind)
      assert.equal("operations[1]" .. case[2], err.message)
    end
    for _, list in ipairs { 1, "x", { a = 1 } } do
      local d, err = core.diff_apply_document(document "[]", list)
      assert.is_nil(d)
      assert.equal("operations: expected a list", err.message)
    end
    local _, err = core.diff_apply_document(document "[]", { { op = "set", path = "", value = print } })
    assert.equal("operations: function is not a JSON value at $[0].value", err.message)
    assert.has_error(function() core.diff_apply_document({}, {}) end)
  end)

  it("cannot nest deeper than JSON may be", function()
    local deep = document(("["):rep(512) .. ("]"):rep(512))
    local path = ("0."):rep(510) .. "0"
    assert(core.diff_apply_document(deep, { { op = "insert", path = path, value = 1 } }))
    for _, op in ipairs { { op = "insert", path = path, value = {} }, { op = "insert", path = path:sub(3), value = { {} } } } do
      local d, err = core.diff_apply_document(deep, { op })
      assert.is_nil(d)
      assert.truthy(err.message:find("nesting would be deeper than 512", 1, true))
    end
  end)

  it("is no document any more for what finds it after its finaliser ran", function()
    local found
    do
      local late = { }
      setmetatable(late, { __gc = function(self) found = self.d end })
      late.d = document('{"a":{"b":1}}')
    end
    collectgarbage()
    collectgarbage()
    assert.equal("userdata", type(found))
    assert.is_false(core.is_document(found))
    assert.is_nil(core.document_kind(found))
    assert.has_error(function() core.diff_apply_document(found, {}) end)
    assert.has_error(function() core.hash_tree(found) end)
    local text, err = core.json_encode { found }
    assert.is_nil(text)
    assert.equal("ValidationError", err.kind)
  end)

  it("may follow each other ten thousand times: neither memory nor time grows", function()
    local items = {}
    for i = 1, 1000 do items[i] = { id = i, name = "item " .. i } end
    local d = document(iu.json.encode { items = items, count = 0 })
    for i = 1, 10000 do
      d = assert(core.diff_apply_document(d, { { op = "set", path = "count", value = i },
        { op = "set", path = ("items.%d.name"):format(i % 1000), value = "changed " .. i } }))
    end
    assert.equal(10000, d.count)
    assert.equal("changed 10000", d.items[1].name)
    assert.equal("changed 9999", d.items[1000].name)
  end)
end)
