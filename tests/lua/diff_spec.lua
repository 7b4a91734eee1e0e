-- iu.diff: operations applied, turned around, joined, and exchanged with JSON Patch and merge patches.

local iu = require("inner_universe")

local null, array, object = iu.null, iu.array, iu.object

local function json(v) return assert(iu.json.canonical(v)) end
local function decode(text) return assert(iu.json.decode(text)) end

local function set(path, value) return { op = "set", path = path, value = value } end
local function delete(path) return { op = "delete", path = path } end
local function insert(path, index, value) return { op = "insert", path = path, index = index, value = value } end
local function remove(path, index) return { op = "remove", path = path, index = index } end
local function patch(path, what) return { op = "patch", path = path, patch = what } end

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind)
  assert.truthy(err.message:find(text, 1, true), err.message)
end

describe("iu.diff.apply", function()
  it("does each of the operations", function()
    local state = decode '{"a":{"b":1},"list":[1,2,3],"text":"hello","o":{"x":1,"y":2}}'
    local before = json(state)
    local after = assert(iu.diff.apply(state, {
      set("a.b", 2), set("a.c", null), delete("o.x"), insert("list", 0, "first"), insert("list", nil, array {}), remove("list", 2), set("list.0", 1.0),
      patch("text", { { 0, 1, "J" }, { 5, 0, "!" } }), patch("o", { y = null, z = { w = 1, gone = null } }),
    }))
    assert.equal('{"a": {"b": 2, "c": null}, "list": [1.0, 1, 3, []], "o": {"z": {"w": 1}}, "text": "Jello!"}', json(after))
    assert.equal(before, json(state))
  end)

  it("shares what did not change, and copies nothing twice", function()
    local state = { a = { deep = { 1 } }, b = { 2 } }
    local after = assert(iu.diff.apply(state, { set("b.0", 3), set("b.0", 4) }))
    assert.equal(state.a, after.a)
    assert.not_equal(state.b, after.b)
    assert.same({ 2 }, state.b)
    assert.same({ 4 }, after.b)
    local value = { n = 1 }
    after = assert(iu.diff.apply(state, { set("v", value), set("v.n", 2) }))
    assert.equal(1, value.n)
    assert.equal(2, after.v.n)
  end)

  it("replaces the root, and changes roots that are no containers", function()
    assert.equal(7, iu.diff.apply({ 1 }, { set("", 7) }))
    assert.equal(false, iu.diff.apply({ 1 }, { set("", false) }))
    assert.equal("ab", iu.diff.apply("a", { patch("", { { 1, 0, "b" } }) }))
    is_error("ValidationError", "the state is no container", iu.diff.apply(5, { set("a", 1) }))
  end)

  it("keeps arrays arrays and objects objects when they become empty", function()
    assert.equal("[]", json(iu.diff.apply({ 1 }, { remove("", 0) })))
    assert.equal("{}", json(iu.diff.apply({ a = 1 }, { delete("a") })))
    assert.equal("[]", json(iu.diff.apply_in_place({ 1 }, { remove("", 0) })))
  end)

  it("reads escaped paths", function()
    local state = decode '{"a.b":{"":{"c\\\\d":1}},"0":{"0":1}}'
    local after = assert(iu.diff.apply(state, { set("a\\.b.\\e.c\\\\d", 2), set("0.0", 3) }))
    assert.equal('{"0": {"0": 3}, "a.b": {"": {"c\\\\d": 2}}}', json(after))
  end)

  it("refuses what does not fit, names the operation, and leaves the state alone", function()
    local state = decode '{"a":{"b":1},"list":[1,2],"text":"h\195\169","n":1}'
    local before = json(state)
    for _, case in ipairs {
      { set("x.y", 1), 'there is no member "x"' },
      { set("list.2", 1), "index 2 is past the end of an array of 2" },
      { set("list.01", 1), 'expected an index of an array, got "01"' },
      { set("list.x", 1), 'expected an index of an array, got "x"' },
      { set("n.x", 1), '"n" is no container: 1' },
      { delete("a.c"), 'there is no member "c"' },
      { delete("list.0"), "expected a member of an object" },
      { delete(""), "the root cannot be deleted" },
      { insert("list", 3, 1), "index: 3, expected at most 2" },
      { insert("a", 0, 1), "expected an array there" },
      { remove("list", 2), "index: 2, expected at most 1" },
      { patch("n", { a = 1 }), "expected a string or an object there, got 1" },
      { patch("text", { a = 1 }), "expected a list of edits" },
      { patch("a", { { 0, 0, "" } }), "expected an object, for an object" },
      { patch("text", { { 2, 0, "x" } }), "patch[0]: at 2, inside a character" },
      { patch("text", { { 0, 9, "x" } }), "patch[0]: bytes 0 to 9 of a text of 3 bytes" },
      { patch("text", { { 1, 0, "x" }, { 0, 0, "y" } }), "patch[1]: at 0, expected at least 1" },
      { patch("text", { { 0, 0 } }), "expected an edit [at, count, text]" },
      { { op = "move", path = "" }, "op: expected set, delete, insert, remove or patch, got move" },
      { { op = "set", path = "n" }, "value: expected a value (iu.null for null), got nil" },
      { { op = "set", path = "n", value = 1, index = 2 }, "unknown field `index`" },
      { { op = "set", path = 1, value = 1 }, "path: expected a string, got number" },
      { { op = "set", path = "a..b", value = 1 }, "has an empty segment" },
      { { op = "set", path = "a\\b", value = 1 }, "backslash" },
      { { op = "set", path = "\255", value = 1 }, "expected UTF-8" },
      { { op = "set", path = "n", value = 0 / 0 }, "value: NaN" },
      { { op = "remove", path = "list", index = -1 }, "index: expected an integer from 0, got -1" },
      { { op = "remove", path = "list", index = 1.0 }, "index: expected an integer from 0, got 1.0" },
      { 5, "expected a table, got number" },
    } do
      for _, name in ipairs { "apply", "apply_in_place" } do
        local value, err = iu.diff[name](state, { set("a.b", 5), insert("list", 0, 0), remove("list", 0), patch("a", { q = { r = 1 } }), case[1] })
        is_error("ValidationError", case[2], value, err)
        assert.truthy(err.message:find("operations[5]", 1, true), err.message)
        assert.equal(5, err.details.operation)
        assert.equal(before, json(state))
      end
    end
    is_error("ValidationError", "expected an array of operations", iu.diff.apply({}, { [2] = set("a", 1) }))
    assert.has_error(function() iu.diff.apply({}, nil) end)
  end)

  it("changes a state in place: its tables stay what they are", function()
    local state = { a = { b = { 1 } }, c = { 1, 2, 3 } }
    local a, b, c = state.a, state.a.b, state.c
    local value = { n = 1 }
    assert.equal(state, iu.diff.apply_in_place(state, { set("a.b.0", 2), remove("c", 0), insert("c", 2, value), insert("c", 0, 9) }))
    assert.equal(a, state.a)
    assert.equal(b, state.a.b)
    assert.equal(c, state.c)
    assert.equal('{"a": {"b": [2]}, "c": [9, 2, 3, {"n": 1}]}', json(state))
    state.c[4].n = 2
    assert.equal(1, value.n)
  end)

  it("takes thousands of insertions and removals in a long array", function()
    local seed = os.time()
    print("diff_spec: seed " .. seed)
    math.randomseed(seed)
    for _ = 1, 50 do
      local list, ops, model = {}, {}, {}
      for i = 1, math.random(0, 30) do list[i], model[i] = i, i end
      for i = 1, 60 do
        if #model > 0 and math.random() < 0.5 then
          local at = math.random(#model)
          table.remove(model, at)
          ops[i] = remove("", at - 1)
        else
          local at = math.random(0, #model)
          table.insert(model, at + 1, i)
          ops[i] = insert("", at < #model - 1 and at or at == #model - 1 and math.random() < 0.5 and at or nil, i)
          if ops[i].index == nil then
            table.remove(model, at + 1)
            model[#model + 1] = i
          end
        end
      end
      local before = json(array(list))
      assert.same(model, setmetatable(assert(iu.diff.apply(list, ops)), nil))
      assert.equal(before, json(array(list)))
      assert.equal(before, json(iu.diff.apply(iu.diff.apply(list, ops), assert(iu.diff.invert(ops, list)))))
    end
  end)
end)

describe("iu.diff.get", function()
  it("gives what lies at a path, of tables and of documents", function()
    local state = { a = { { ["x.y"] = 1.0 }, "two" }, b = false, c = iu.null }
    for _, root in ipairs { state, iu.json.document(iu.json.encode(state)) } do
      assert.equal("two", iu.diff.get(root, "a.1"))
      assert.equal("float", math.type(iu.diff.get(root, "a.0.x\\.y")))
      assert.is_false(iu.diff.get(root, "b"))
      assert.equal(iu.null, iu.diff.get(root, "c"))
      assert.is_true(iu.diff.equal(state, iu.diff.get(root, "")))
    end
  end)

  it("says where there is nothing", function()
    is_error("ValidationError", 'path "a.x": there is no member "x"', iu.diff.get({ a = {} }, "a.x"))
    is_error("ValidationError", "past the end of an array of 1", iu.diff.get({ a = iu.array { 1 } }, "a.1"))
    is_error("ValidationError", "leads into a value that is no container", iu.diff.get({ a = 1 }, "a.b"))
    is_error("ValidationError", "empty segment", iu.diff.get({}, "a..b"))
  end)
end)

describe("iu.diff.invert and compose", function()
  local state = '{"a":{"b":1,"c":{"d":[1,2,3]}},"list":[{"id":1},{"id":2}],"text":"hello","o":{"x":1,"y":{"z":null}}}'

  it("lead back exactly", function()
    local old = decode(state)
    local ops = {
      set("a.b", 2), set("a.new", 1), delete("a.c"), insert("list", nil, 5), insert("list", 0, 4), remove("list", 1), set("list.0", "x"),
      patch("text", { { 0, 1, "" }, { 2, 2, "LL" }, { 5, 0, "!" } }),
      patch("o", { x = null, y = { z = 1, w = { v = 1, u = null } }, q = { r = null }, absent = null }), set("o.q.s", 1), set("text", array {}),
    }
    local new = assert(iu.diff.apply(old, ops))
    local back = assert(iu.diff.invert(ops, old))
    assert.equal(json(old), json(iu.diff.apply(new, back)))
    assert.equal(json(new), json(iu.diff.apply(old, assert(iu.diff.invert(back, new)))))
    assert.equal(json(old), json(iu.diff.apply(assert(iu.diff.apply(old, { set("", 1) })), iu.diff.invert({ set("", 1) }, old))))
    is_error("ValidationError", "operations[1] delete", iu.diff.invert({ delete("nope") }, old))
  end)

  it("join to shorter lists", function()
    local function composed(first, second)
      local old = decode(state)
      local middle = assert(iu.diff.apply(old, first))
      local both = assert(iu.diff.compose(first, second))
      assert.equal(json(iu.diff.apply(middle, second)), json(iu.diff.apply(old, both)))
      return #both
    end
    assert.equal(1, composed({ set("a.b", 2) }, { set("a.b", 3) }))
    assert.equal(2, composed({ set("a.b", 2), set("o.x", 1) }, { set("a.b", 3) }))
    assert.equal(1, composed({ set("a", object()) }, { set("a.q", object()), set("a.q.r", 1), delete("a.q.r") }))
    assert.equal(0, composed({ insert("list", 0, 1) }, { remove("list", 0) }))
    assert.equal(1, composed({ insert("list", 0, { 1 }) }, { insert("list.0", 0, 2), set("list.0.1", 3) }))
    assert.equal(3, composed({ insert("list", 0, 1) }, { insert("list", 0, 2), set("list.1", 3) }))
    assert.equal(1, composed({ patch("text", { { 0, 1, "J" } }) }, { set("text", "x") }))
    assert.equal(1, composed({ delete("a.b") }, { set("a.b", 1) }))
    assert.equal(2, composed({ set("a.b", 1) }, { delete("a.b") }))
    assert.equal(1, composed({ set("", { 1 }) }, { insert("", 0, 0) }))
    assert.equal(2, composed({ patch("o", { n = 1 }) }, { patch("o", { m = 1 }) }))
  end)
end)

describe("JSON Patch (RFC 6902)", function()
  local function patched(doc, what)
    local old = decode(doc)
    local ops, err = iu.diff.from_json_patch(decode(what), old)
    if not ops then return nil, err end
    local new = assert(iu.diff.apply(old, ops))
    assert.equal(json(decode(doc)), json(old))
    -- and there again
    local again = assert(iu.diff.to_json_patch(ops, old))
    assert.equal(json(new), json(iu.diff.apply(old, assert(iu.diff.from_json_patch(again, old)))))
    return json(new)
  end

  it("becomes operations", function()
    assert.equal('{"a": {"b": {"c": 1}}}', patched('{"a":{}}', '[{"op":"add","path":"/a/b","value":{}},{"op":"add","path":"/a/b/c","value":1}]'))
    assert.equal("[0, 1, 2, 3]", patched("[1,3]", '[{"op":"add","path":"/1","value":2},{"op":"add","path":"/0","value":0}]'))
    assert.equal("[1, 2]", patched("[1]", '[{"op":"add","path":"/-","value":2}]'))
    assert.equal('{"b": 1}', patched('{"a":1}', '[{"op":"move","from":"/a","path":"/b"}]'))
    assert.equal("[2, 3, 1]", patched("[1,2,3]", '[{"op":"move","from":"/0","path":"/2"}]'))
    assert.equal('{"a": {"x": 1}, "b": {"x": 2}}', patched('{"a":{"x":0}}',
      '[{"op":"replace","path":"/a/x","value":1},{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/b/x","value":2}]'))
    assert.equal('{"": {"~/": 2}}', patched('{"":{"~/":1}}', '[{"op":"replace","path":"//~0~1","value":2}]'))
    assert.equal("1", patched('{"a":1}', '[{"op":"replace","path":"","value":1}]'))
    assert.equal('{"a": 1}', patched('{"a":1}', '[{"op":"test","path":"/a","value":1.0},{"op":"move","from":"/a","path":"/a"}]'))
  end)

  it("is refused where it does not fit", function()
    is_error("ConflictError", "patch[1] test path \"/a\": expected 2, found 1", patched('{"a":1}', '[{"op":"test","path":"/a","value":2}]'))
    for _, case in ipairs {
      { '{"op":"add","path":"/a/b","value":1}', 'there is no member "a"' },
      { '{"op":"add","path":"/list/4","value":1}', "index: 4, expected at most 2" },
      { '{"op":"add","path":"/list/01","value":1}', "expected an index" },
      { '{"op":"remove","path":"/list/-"}', "expected an index" },
      { '{"op":"remove","path":"/nope"}', "no member" },
      { '{"op":"remove","path":""}', "the root cannot be removed" },
      { '{"op":"replace","path":"/nope","value":1}', "no member" },
      { '{"op":"move","from":"/list","path":"/list/0"}', "cannot move into itself" },
      { '{"op":"copy","from":"/nope","path":"/x"}', "from: there is no member" },
      { '{"op":"copy","path":"/x"}', "from: expected a JSON Pointer" },
      { '{"op":"add","path":"x","value":1}', "expected a JSON Pointer" },
      { '{"op":"add","path":"/~2","value":1}', "stands before 0 or 1" },
      { '{"op":"add","path":"/x"}', "value: expected a value" },
      { '{"op":"spam","path":"/x"}', "op: expected add" },
      { "5", "expected an object" },
    } do
      local value, err = patched('{"list":[1,2]}', "[" .. case[1] .. "]")
      is_error("ValidationError", case[2], value, err)
      assert.truthy(err.message:find("patch[1]", 1, true), err.message)
    end
  end)

  it("comes of operations: texts as wholes, merges member by member", function()
    local old = decode '{"t":"abc","o":{"x":1,"y":{}},"l":[1]}'
    local ops = {
      patch("t", { { 1, 1, "B" } }), patch("o", { x = null, n = { m = { k = 1 } }, nothing = null }), insert("l", nil, 2), set("l.0", 0), set("q", 1),
    }
    local out = assert(iu.diff.to_json_patch(ops, old))
    local new = assert(iu.diff.apply(old, ops))
    assert.equal(json(new), json(iu.diff.apply(old, assert(iu.diff.from_json_patch(out, old)))))
    local by_path = {}
    for _, op in ipairs(out) do by_path[op.path] = op.op .. " " .. (op.value ~= nil and json(op.value) or "") end
    assert.equal('replace "aBc"', by_path["/t"])
    assert.equal("remove ", by_path["/o/x"])
    assert.equal("add 2", by_path["/l/-"])
    assert.equal("replace 0", by_path["/l/0"])
    assert.equal("add 1", by_path["/q"])
    assert.is_nil(by_path["/o/nothing"])
    assert.equal("[]", json(iu.diff.to_json_patch({}, old)))
  end)
end)

describe("merge patches (RFC 7386)", function()
  it("do what the RFC's table says", function()
    for _, case in ipairs {
      { '{"a":"b"}', '{"a":"c"}', '{"a": "c"}' }, { '{"a":"b"}', '{"b":"c"}', '{"a": "b", "b": "c"}' }, { '{"a":"b"}', '{"a":null}', "{}" },
      { '{"a":"b","b":"c"}', '{"a":null}', '{"b": "c"}' }, { '{"a":["b"]}', '{"a":"c"}', '{"a": "c"}' }, { '{"a":"c"}', '{"a":["b"]}', '{"a": ["b"]}' },
      { '{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a": {"b": "d"}}' }, { '{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a": [1]}' },
      { '["a","b"]', '["c","d"]', '["c", "d"]' }, { '{"a":"b"}', '["c"]', '["c"]' }, { '{"a":"foo"}', "null", "null" }, { '{"a":"foo"}', '"bar"', '"bar"' },
      { '{"e":null}', '{"a":1}', '{"a": 1, "e": null}' }, { "[1,2]", '{"a":"b","c":null}', '{"a": "b"}' },
      { "{}", '{"a":{"bb":{"ccc":null}}}', '{"a": {"bb": {}}}' },
    } do
      local old = decode(case[1])
      local ops = assert(iu.diff.from_merge_patch(decode(case[2]), old))
      assert.equal(case[3], json(iu.diff.apply(old, ops)))
      assert.equal(case[3], json(iu.diff.apply_in_place(decode(case[1]), ops)))
    end
  end)

  it("come of operations, unless a member becomes null", function()
    local old = decode '{"a":{"b":1,"c":2},"l":[1,2],"same":{"x":[null]}}'
    local ops = { delete("a.b"), set("a.c", 3), insert("l", 0, 0), set("n", { q = array { null } }) }
    local merge = assert(iu.diff.to_merge_patch(ops, old))
    assert.equal('{"a": {"b": null, "c": 3}, "l": [0, 1, 2], "n": {"q": [null]}}', json(merge))
    assert.equal(json(iu.diff.apply(old, ops)), json(iu.diff.apply(old, iu.diff.from_merge_patch(merge, old))))
    is_error("ValidationError", 'path "a.c"', iu.diff.to_merge_patch({ set("a.c", null) }, old))
    is_error("ValidationError", 'path "n.m"', iu.diff.to_merge_patch({ set("n", { m = null }) }, old))
    assert.equal("{}", json(iu.diff.to_merge_patch({}, old)))
  end)
end)

describe("iu.diff.format", function()
  local old = decode '{"name":"Ada","tags":["a","b"],"text":"one two three four five","o":{"x":1,"y":2}}'
  local ops = {
    set("name", "Grace\27"), set("n", 1), delete("o.x"), insert("tags", 0, { 1 }), remove("tags", 1), patch("text", { { 8, 5, "3" } }),
    patch("o", { y = null, z = 1 }),
  }

  it("says what comes, goes and changes", function()
    assert.equal([[
~ name: "Ada" -> "Grace\u001b"
+ n: 1
- o.x: 1
+ tags[0]: [1]
- tags[1]: "a"
~ text: one two [-three-]{+3+} four five
- o.y: 2
+ o.z: 1
]], iu.diff.format(ops, { old = old }))
  end)

  it("says what differs inside of a long value that gave way to another one", function()
    local before = decode '{"players":{"ada":{"score":1,"items":[{"id":"a","n":1},{"id":"b","n":2}]},"bob":[1,2,3]}}'
    local after = decode '{"players":{"ada":{"score":2.5,"items":[{"id":"z"},{"id":"a","n":1},{"id":"b","n":3}]},"bob":{"x":1}}}'
    local lines = {}
    for _, op in ipairs { set("players", after.players), set("", after) } do
      for line in assert(iu.diff.format({ op }, { old = before, width = 20 })):gmatch("[^\n]+") do lines[#lines + 1] = line end
      table.sort(lines)
      assert.same({
        '+ players.ada.items[0]: {"id":"z"}', "~ players.ada.items.2.n: 2 -> 3", "~ players.ada.score: 1 -> 2.5",
        '~ players.bob: [1,2,3] -> {"x":1}',
      }, lines)
      lines = {}
    end
    assert.equal('~ o: {"x":1} -> {"x":2}\n', iu.diff.format({ set("o", { x = 2 }) }, { old = { o = { x = 1 } } }))
    assert.truthy(assert(iu.diff.format({ set("players", after.players) }, {})):find("~ players: {", 1, true))
  end)

  it("does so without the old state, in colours, and within a width", function()
    local text = assert(iu.diff.format(ops, { colours = true, width = 10 }))
    assert.truthy(text:find("\27[32m+ tags[0]: [1]\27[0m", 1, true), text)
    assert.truthy(text:find('~ name: "Grace\\...', 1, true), text)
    assert.equal("", iu.diff.format({}))
    is_error("ValidationError", "unknown option", iu.diff.format({}, { color = true }))
    is_error("ValidationError", "operations[1]", iu.diff.format({ delete("nope") }, { old = old }))
  end)
end)

describe("iu.diff.compare", function()
  local seed = os.time()
  math.randomseed(seed)
  local rnd = math.random

  local function scalar()
    local what = rnd(8)
    if what == 1 then return null end
    if what == 2 then return rnd() < 0.5 end
    if what == 3 then return rnd(5) + 0.0 end
    if what == 4 then return (("text "):rep(rnd(12)):gsub("t ", function() return "t" .. rnd(9) .. " " end)) end
    if what == 5 then return utf8.char(0x100 + rnd(300), 0x10000 + rnd(300)) end
    return rnd(5)
  end

  local function random_value(depth)
    local what = depth > 3 and 1 or rnd(5)
    if what <= 2 then return scalar() end
    local out = what == 3 and array {} or object {}
    for i = 1, rnd(0, 6) do out[what == 3 and i or ("k.%d"):format(rnd(8))] = random_value(depth + 1) end
    if what == 3 and rnd() < 0.5 then
      for i = 1, #out do out[i] = { id = i * 10 + rnd(9), v = random_value(depth + 1) } end
    end
    return out
  end

  -- A changed copy: what people do to documents.
  local function edited(v)
    if type(v) ~= "table" then return rnd() < 0.2 and scalar() or v end
    local is_array = getmetatable(v) == getmetatable(array())
    local out = is_array and array {} or object {}
    for key, inner in pairs(v) do out[key] = rnd() < 0.3 and edited(inner) or inner end
    if is_array then
      if #out > 0 and rnd() < 0.3 then table.remove(out, rnd(#out)) end
      if rnd() < 0.3 then table.insert(out, rnd(#out + 1), random_value(2)) end
      if #out > 1 and rnd() < 0.2 then table.insert(out, rnd(#out), table.remove(out, rnd(#out))) end
    else
      for key in pairs(out) do
        if rnd() < 0.1 then out[key] = nil end
      end
      if rnd() < 0.2 then out["new" .. rnd(3)] = random_value(2) end
    end
    return out
  end

  local function applied(state, ops) -- which may be `false`
    local new, err = iu.diff.apply(state, ops)
    assert.is_nil(err)
    return new
  end

  it("gives what leads from one value to another, in tables and in documents, and back", function()
    print("diff_spec: seed " .. seed)
    for i = 1, 1500 do
      local old = random_value(0)
      local new = i % 3 == 0 and random_value(0) or edited(old)
      local before, after = json(old), json(new)
      local ops = assert(iu.diff.compare(old, new, { arrays = i % 5 == 0 and "by_index" or nil }))
      local function check(what, found)
        assert.equal(after, json(found), ("%s: seed %d, pair %d: %s -> %s by %s"):format(what, seed, i, before, after, json(ops)))
      end
      check("apply", applied(old, ops))
      assert.equal(before, json(old))
      local back = assert(iu.diff.invert(ops, old))
      assert.equal(before, json(iu.diff.apply(new, back)))
      check("JSON Patch", applied(old, assert(iu.diff.from_json_patch(assert(iu.diff.to_json_patch(ops, old)), old))))
      local more = edited(new)
      local next_ops = assert(iu.diff.compare(new, more))
      local both = assert(iu.diff.compose(ops, next_ops))
      assert.is_true(#both <= #ops + #next_ops)
      assert.equal(json(more), json(iu.diff.apply(old, both)))
      assert(iu.diff.format(ops, { old = old }))
      local rows = assert(iu.diff.to_rows(ops))
      check("rows", applied(old, assert(iu.diff.from_rows(rows))))
      check("in place", (iu.diff.apply_in_place(iu.json.decode(before), ops)))
      local merge = iu.diff.to_merge_patch(ops, old)
      if merge ~= nil then check("merge patch", applied(old, iu.diff.from_merge_patch(merge, old))) end
    end
  end)

  it("checks its options", function()
    is_error("ValidationError", "unknown option 'array' (did you mean", iu.diff.compare(1, 2, { array = "auto" }))
    is_error("ValidationError", 'arrays: "auto", "by_index" or a table', iu.diff.compare(1, 2, { arrays = "keyed" }))
    is_error("ValidationError", "arrays", iu.diff.compare(1, 2, { arrays = { [1] = "id" } }))
    is_error("ValidationError", "old", iu.diff.compare({ x = print }, {}))
    is_error("ValidationError", "new", iu.diff.compare({}, { x = 0 / 0 }))
  end)
end)

describe("iu.diff and documents inside of tables", function()
  local function document(text) return assert(iu.json.document(text)) end
  local function state() return { a = document '{"list":[1,{"x":3}],"totable":{"y":1}}', z = 2 } end
  local text = '{"a": {"list": [1, {"x": 3}], "totable": {"y": 1}}, "z": 2}'

  it("reads and compares them as the tables they stand for", function()
    assert.equal(3, iu.diff.get(state(), "a.list.1.x"))
    assert.equal(1, iu.diff.get(state(), "a.totable.y"))
    assert.is_nil((iu.diff.get({ a = document '{"b":1}' }, "a.totable")))
    assert.is_true(iu.diff.equal(state(), decode(text)))
    assert.is_false(iu.diff.equal(state(), { a = document "{}", z = 2 }))
    assert.same({}, iu.diff.compare(state(), decode(text)))
  end)

  it("changes a copy of what is in them", function()
    local ops = {
      insert("a.list", 0, "first"), set("a.list.2.x", document "[4]"), insert("a.list.2.x", nil, 5), patch("", { a = document '{"totable":{"y":null}}' }),
    }
    local after = '{"a": {"list": ["first", 1, {"x": [4, 5]}], "totable": {}}, "z": 2}'
    local old = state()
    assert.equal(after, json(assert(iu.diff.apply(old, ops))))
    assert.equal(text, json(old))
    assert.equal(text, json(iu.diff.apply(iu.diff.apply(old, ops), assert(iu.diff.invert(ops, old)))))
    assert.equal(after, json(iu.diff.apply(old, assert(iu.diff.from_json_patch(assert(iu.diff.to_json_patch(ops, old)), old)))))
    assert.equal(after, json(iu.diff.apply(old, assert(iu.diff.from_merge_patch(assert(iu.diff.to_merge_patch(ops, old)), old)))))
    assert.equal(after, json(assert(iu.diff.apply_in_place(old, ops))))
  end)

  it("puts them back when something later does not fit", function()
    local old = state()
    is_error("ValidationError", "operations[2] delete", iu.diff.apply_in_place(old, { insert("a.list", 0, 1), delete("q") }))
    assert.equal(text, json(old))
  end)

  it("takes them as operations and as patches", function()
    for _, given in ipairs { document '[{"op":"set","path":"z","value":3}]', { document '{"op":"set","path":"z","value":3}' } } do
      assert.equal(3, iu.diff.apply({ z = 2 }, given).z)
      assert.equal(3, iu.diff.apply_in_place({ z = 2 }, given).z)
      assert.equal(3, iu.diff.apply(document '{"z":2}', given).z)
      assert.same({ set("z", 2) }, iu.diff.invert(given, { z = 2 }))
      assert.same({ set("z", 3) }, iu.diff.compose(given, {}))
    end
    assert.same({ set("a.b", 1) }, iu.diff.from_merge_patch(document '{"a":{"b":1}}', { a = { c = 1 }, z = 2 }))
    assert.same({ set("z", 1) }, iu.diff.from_json_patch(document '[{"op":"replace","path":"/z","value":1}]', { z = 2 }))
  end)
end)

describe("iu.diff and what is no JSON value", function()
  it("ends where tables refer to themselves", function()
    local a, b = {}, {}
    a.a, b.a = a, b
    assert.is_true(iu.diff.equal(a, a))
    assert.is_false(iu.diff.equal(a, b))
    is_error("ValidationError", "cycle", iu.diff.apply({}, { set("x", a) }))
    is_error("ValidationError", "cycle", iu.diff.compare(a, b))
  end)

  it("takes an empty list of edits for a text, marked or not", function()
    for _, none in ipairs { {}, array {}, object {} } do
      assert.equal("text", iu.diff.apply("text", { patch("", none) }))
      assert.equal('"text"', json(iu.diff.apply(iu.json.document '"text"', { patch("", none) })))
    end
  end)
end)
