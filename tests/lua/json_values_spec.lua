-- JSON to Lua values and back: containers of every size, keys that are equal or nearly so, tables in any order, the collector's pace.

local core = require "inner_universe.core"

local seed = tonumber(os.getenv("INNER_UNIVERSE_TEST_SEED")) or os.time()
local state = seed
local function random(n)
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n
end

local function random_string()
  local parts = {}
  for i = 1, random(4) == 0 and random(60) or random(9) do
    local code = ({ 0x20 + random(0x5f), 0x61 + random(3), random(0x20), 0x80 + random(0xD000), 0xE000 + random(0x102000) })[random(5) + 1]
    parts[i] = utf8.char(code)
  end
  return table.concat(parts)
end

local function random_value(depth)
  local what = random(depth > 5 and 6 or 9)
  if what == 0 then return core.null end
  if what == 1 then return random(2) == 0 end
  if what == 2 then return random(1 << 31) << random(32) end
  if what == 3 then return (random(1 << 20) - (1 << 19)) / (1 + random(1000)) end
  if what <= 5 then return random_string() end
  local count = random(20) == 0 and random(300) or random(10)
  if what == 6 then
    local list = core.array()
    for i = 1, count do list[i] = random_value(depth + 1 + count // 50) end
    return list
  end
  local object = core.object()
  for _ = 1, count do object[random_string()] = random_value(depth + 1 + count // 50) end
  return object
end

describe("JSON values (seed " .. seed .. ")", function()
  it("come back as they went, whatever they are", function()
    for _ = 1, 500 do
      local value = random_value(0)
      local text = assert(core.json_encode(value))
      local again, err = core.json_decode(text)
      assert.is_nil(err)
      local canonical = core.json_canonical(value)
      assert.equal(canonical, core.json_canonical(again))
      assert.equal(canonical, core.canonical_text(text))
      assert.equal(core.sha256(canonical), core.json_hash(again))
    end
  end)

  it("have containers of every size, whichever way they are filled", function()
    for _, count in ipairs{ 0, 1, 2, 3, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 5000 } do
      local elements, members = {}, {}
      for i = 1, count do
        elements[i] = i % 7 == 0 and "[" .. i .. "]" or tostring(i)
        members[i] = ('"key %d":{"n":%d}'):format(i, i)
      end
      local list = assert(core.json_decode("[" .. table.concat(elements, ",") .. "]"))
      assert.equal(count, #list)
      for i = 1, count do assert.equal(i, i % 7 == 0 and list[i][1] or list[i]) end
      local object, seen = assert(core.json_decode("{" .. table.concat(members, ",") .. "}")), 0
      for key, value in pairs(object) do
        seen = seen + 1
        assert.equal("key " .. value.n, key)
      end
      assert.equal(count, seen)
    end
  end)

  it("of equal keys keep the last, in objects of every size and with keys of every length", function()
    for _, length in ipairs{ 0, 1, 3, 4, 7, 8, 9, 16, 17, 24, 25, 40, 41, 100 } do
      for _, others in ipairs{ 0, 1, 7, 8, 15, 16, 62, 63, 64, 130 } do
        local key = ("k"):rep(length)
        local parts = { ('"%s":"first"'):format(key) }
        for i = 1, others do parts[#parts + 1] = ('"other %d":%d'):format(i, i) end
        parts[#parts + 1] = ('"%s":"last"'):format(key)
        local text = "{" .. table.concat(parts, ",") .. (" "):rep(1100) .. "}" -- long enough for the cache of strings
        assert.equal("last", assert(core.json_decode(text))[key])
        assert.equal("last", core.json_decode(assert(core.canonical_text(text)))[key])
      end
    end
  end)

  it("keep strings apart that differ in one byte only", function()
    for _, length in ipairs{ 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 23, 24, 25, 31, 32, 33, 48 } do
      local texts, strings = {}, {}
      for at = 1, length do
        for _, c in ipairs{ "x", "y", "\u{e9}" } do
          local s = ("a"):rep(at - 1) .. c .. ("a"):rep(length - at)
          strings[#strings + 1] = s
          texts[#texts + 1] = '"' .. s .. '"'
        end
      end
      local text = "[" .. (table.concat(texts, ",") .. ","):rep(math.ceil(1100 / #texts / length)) .. "0]"
      local list = assert(core.json_decode(text))
      for i = 1, #list - 1 do assert.equal(strings[(i - 1) % #strings + 1], list[i]) end
    end
  end)

  it("escape what must be, wherever in a string it stands", function()
    for length = 1, 40 do
      for at = 1, length do
        for char, escaped in pairs{ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\1"] = "\\u0001", ["\31"] = "\\u001f" } do
          local before, after = ("b"):rep(at - 1), ("c"):rep(length - at)
          assert.equal('"' .. before .. escaped .. after .. '"', core.json_encode(before .. char .. after))
        end
        local wrong, err = core.json_encode{ ("b"):rep(at - 1) .. "\xff" .. ("c"):rep(length - at) }
        assert.is_nil(wrong)
        assert.matches(("invalid UTF%%-8 %%(byte %d of the string%%) at %%$%%[0%%]"):format(at - 1), err.message)
      end
    end
  end)

  it("are arrays in whatever order their keys were set, and refused with a hole or another key", function()
    local backwards = {}
    for i = 100, 1, -1 do backwards[i] = i end
    local forwards = {}
    for i = 1, 100 do forwards[i] = i end
    assert.equal(core.json_encode(forwards), core.json_encode(backwards))
    assert.equal("[[1,2,3],4]", core.json_encode{ (function() local t = {} t[3] = 3 t[2] = 2 t[1] = 1 return t end)(), 4 })
    forwards[50] = nil
    local cases = {
      { forwards, "sparse array" }, { { 1, 2, x = 3 }, "both string and number keys" }, { { [1] = 1, [3] = 3 }, "sparse array" },
      { { [1.5] = 1 }, "sparse array" }, { { [0] = 1 }, "sparse array" }, { { [true] = 1 }, "not a string" },
      { core.array{ a = 1 }, "both string and number keys" }, { core.object{ 1 }, "both string and number keys" },
    }
    for _, case in ipairs(cases) do
      local text, err = core.json_encode{ deep = { case[1] } }
      assert.is_nil(text)
      assert.equal("ValidationError", err.kind)
      assert.matches(case[2], err.message, 1, true)
      assert.matches("at $.deep[0]", err.message, 1, true)
    end
    assert.equal("[]", core.json_encode(core.array()))
    assert.equal("{}", core.json_encode(core.object()))
    assert.equal("{}", core.json_encode{})
  end)

  it("of many members inside of each other are written, and what is wrong is named wherever it is among them", function()
    local count = 0
    local function nested(depth, width)
      local object = core.object()
      for i = 1, width do
        count = count + 1
        object["k" .. i] = i
      end
      if depth > 0 then object.inner = nested(depth - 1, width) end
      return object
    end
    for _, width in ipairs { 0, 1, 14, 15, 16, 17, 31, 32, 33, 100 } do
      count = 0
      local deep = nested(500, width)
      local text = assert(core.json_encode(deep))
      local _, written = text:gsub('"k%d+":%d+', "")
      assert.equal(count, written)
      assert.equal(core.json_canonical(deep), core.json_canonical(assert(core.json_decode(text))))
    end
    for width = 1, 70 do
      for _, wrong in ipairs { 0 / 0, print, "\xff", core.array { [3] = 1 } } do
        local object = nested(0, width)
        local place = "k" .. 1 + random(width)
        object[place] = wrong
        local text, err = core.json_encode({ a = object })
        assert.is_nil(text)
        assert.truthy(err.message:find("$.a." .. place, 1, true), err.message)
      end
      local object = nested(0, width)
      object[7] = true
      local text, err = core.json_encode({ a = object })
      assert.is_nil(text)
      assert.truthy(err.message:find("at $.a", 1, true), err.message)
    end
  end)

  it("leave the collector as it was, and pay it", function()
    local parts = {}
    for i = 1, 4000 do parts[i] = ('{"id":%d,"name":"number %d"}'):format(i, i) end
    local text = "[" .. table.concat(parts, ",") .. "]"
    assert.is_true(collectgarbage("isrunning"))
    collectgarbage()
    assert(core.json_decode(text))
    assert.is_true(collectgarbage("isrunning"))
    local one = collectgarbage("count")
    for _ = 1, 60 do assert(core.json_decode(text)) end
    assert.is_true(collectgarbage("count") < 12 * one)
    assert.is_nil((core.json_decode(text .. "x")))
    assert.is_true(collectgarbage("isrunning"))
    collectgarbage("stop")
    assert(core.json_decode(text))
    assert.is_false(collectgarbage("isrunning"))
    collectgarbage("restart")
  end)
end)
