-- What must be read as JSON, what must not, and what RFC 8259 leaves open, as we decided it: by the decoder of Lua values and the parser of documents,
-- which share no walk through the text. The rules are those that JSONTestSuite tests; the cases are ours.

local core = require "inner_universe.core"

local function nested(open, close, depth) return open:rep(depth) .. (close or ""):rep(depth) end
local function digits(count) return ("7"):rep(count) end

-- What is read: text, and its canonical form.
local MUST = {
  -- white space
  { "   7", "7" }, { "7 \t\r\n", "7" }, { "[\n\t1\r,\t2 ]", "[1, 2]" }, { ' { "a" : 1 } ', '{"a": 1}' }, { "[" .. (" "):rep(100) .. "]", "[]" },
  { "\n" .. ("        "):rep(3) .. "[1]", "[1]" },
  -- literals, also alone
  { "null", "null" }, { "true", "true" }, { "false", "false" }, { "[null,true,false]", "[null, true, false]" },
  -- numbers
  { "0", "0" }, { "-0", "0" }, { "-1", "-1" }, { "10", "10" }, { "[1.5]", "[1.5]" }, { "-0.0", "-0.0" }, { "0e0", "0.0" }, { "0E+1", "0.0" },
  { "1e1", "10.0" }, { "1E-2", "0.01" },
  { "1e+2", "100.0" }, { "12.34e1", "123.4" }, { "1.0", "1.0" }, { "0.000001", "1e-06" }, { "-1.25e-3", "-0.00125" }, { "1e-400", "0.0" },
  { "123123e-100000", "0.0" },
  { "0.1000000000000000055511151231257827", "0.1" }, { "[1e5,2]", "[100000.0, 2]" }, { "1234567890.12345678", "1234567890.1234567" },
  { "9223372036854775807", "9223372036854775807" }, { "-9223372036854775808", "-9223372036854775808" },
  { "9223372036854775808", "9223372036854775808" },
  { "[" .. digits(60) .. "]", "[" .. digits(60) .. "]" }, { "-" .. digits(19), "-" .. digits(19) },
  -- strings
  { '""', '""' }, { '"a"', '"a"' }, { '"\\u0041"', '"A"' }, { '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\"\\\\/\\b\\f\\n\\r\\t"' },
  { '"\\u0000"', '"\\u0000"' }, { '"a\\u0000b"', '"a\\u0000b"' },
  { '"\\ud834\\udd1e"', '"\\ud834\\udd1e"' }, { '"\\uD834\\uDd1e"', '"\\ud834\\udd1e"' }, { '"\\uffff"', '"\\uffff"' },
  { '"\\ufdd0"', '"\\ufdd0"' }, { '"\u{e9}"', '"\\u00e9"' }, { '"\u{20ac}"', '"\\u20ac"' },
  { '"\u{1f600}"', '"\\ud83d\\ude00"' }, { '"\u{10ffff}"', '"\\udbff\\udfff"' }, { '"\127"', '"\\u007f"' },
  { '"\u{2028}\u{2029}"', '"\\u2028\\u2029"' }, { '"\\u2028"', '"\\u2028"' }, { '"\\\\u0041"', '"\\\\u0041"' },
  { '"' .. ("x"):rep(15) .. "\u{e9}" .. ("y"):rep(15) .. '"', '"' .. ("x"):rep(15) .. "\\u00e9" .. ("y"):rep(15) .. '"' },
  { '"/* no comment */"', '"/* no comment */"' },
  { '"' .. ("\\n"):rep(40) .. '"', '"' .. ("\\n"):rep(40) .. '"' }, { '["\\u0022","\\u005c"]', '["\\"", "\\\\"]' },
  -- arrays and objects
  { "[]", "[]" }, { "{}", "{}" }, { "[[]]", "[[]]" }, { '[""]', '[""]' }, { "[1,null,[2]]", "[1, null, [2]]" }, { '{"":0}', '{"": 0}' },
  { '{"a":{"b":[]}}', '{"a": {"b": []}}' },
  { '{"a":1,"a":2}', '{"a": 2}' }, { '{"a":1,"\\u0061":2}', '{"a": 2}' }, { '{"\\u0000":1}', '{"\\u0000": 1}' },
  { '{"b":1,"a":2}', '{"a": 2, "b": 1}' }, { '[{"a":1},{"a":2}]', '[{"a": 1}, {"a": 2}]' },
  { nested("[", "]", 512), nested("[", "]", 512) },
  { nested('{"a":', "", 511) .. "{}" .. ("}"):rep(511), nested('{"a": ', "", 511) .. "{}" .. ("}"):rep(511) },
}

-- What is refused: text, and the byte at which it stops being JSON.
local MUST_NOT = {
  { "", 0 }, { " ", 1 }, { "\n\t", 2 },
  -- literals
  { "nul", 0 }, { "nulL", 0 }, { "True", 0 }, { "tru", 0 }, { "NaN", 0 }, { "[NaN]", 1 }, { "Infinity", 0 }, { "[-Infinity]", 2 },
  { "undefined", 0 }, { "nulls", 4 }, { "truefalse", 4 }, { "a", 0 }, { "[truth]", 1 },
  -- numbers
  { "+1", 0 }, { "01", 0 }, { "-01", 1 }, { "[00]", 1 }, { ".5", 0 }, { "[-.5]", 2 }, { "1.", 0 }, { "[2.e3]", 1 }, { "1.e1", 0 }, { "1e", 0 },
  { "1e+", 0 }, { "[1e-]", 1 }, { "1eE2", 0 }, { "0x1F", 1 }, { "1_000", 1 },
  { "-", 1 }, { "[-]", 2 }, { "--1", 1 }, { "1.2.3", 0 }, { "[1+2]", 2 }, { "- 1", 1 }, { "1 2", 2 }, { "\u{ff11}", 0 }, { "0.1a", 3 },
  { "[1e1.5]", 1 }, { "-a", 1 }, { "9.3e+ ", 0 }, { "-2.", 0 }, { "0e", 0 }, { "1e1000", 0 }, { "-1e999", 0 },
  -- strings
  { '"', 1 }, { '"a', 2 }, { "'a'", 0 }, { '["a]', 4 }, { '"\\"', 3 }, { '"\\', 2 }, { '"\\a"', 2 }, { '"\\x00"', 2 }, { '"\\u"', 1 },
  { '"\\u12"', 1 }, { '"\\u123g"', 1 }, { '"\\U0041"', 2 }, { '"\\ 1"', 2 }, { '"\\\u{e9}"', 2 },
  { '"\n"', 1 }, { '"a\tb"', 2 }, { '"\0"', 1 }, { '"\31"', 1 }, { '"' .. ("z"):rep(20) .. "\1" .. '"', 21 }, { '"a"b', 3 }, { '\\n', 0 },
  { '"\\u00A', 1 }, { "\"\\'\"", 2 },
  { '["\\u00e9" "x"]', 10 }, { 'abc"', 0 },
  -- not UTF-8
  { '"\xff"', 1 }, { '"\x80"', 1 }, { '"\xc3"', 1 }, { '"\xc0\x80"', 1 }, { '"\xed\xa0\x80"', 1 }, { '"\xf4\x90\x80\x80"', 1 },
  { '"\xf8\x88\x80\x80\x80"', 1 }, { '"\xe2\x82"', 1 }, { "\xff", 0 }, { '{"\xe9":1}', 2 },
  { '"' .. ("x"):rep(40) .. "\xe9" .. ("x"):rep(40) .. '"', 41 }, { "\xfe\xff\0[\0]", 0 }, { '"\xf0\x9f\x98"', 1 },
  -- arrays
  { "[", 1 }, { "]", 0 }, { "[1", 2 }, { "[1,", 3 }, { "[,1]", 1 }, { "[1,]", 3 }, { "[1,,2]", 3 }, { "[,]", 1 }, { "[1 2]", 3 }, { "[1:2]", 2 },
  { "[1]]", 3 }, { "[][]", 2 }, { "[1};", 2 }, { "[(1)]", 1 }, { '["a",\n4\n,1,', 11 }, { "[[]", 3 },
  { "[1\f]", 2 }, { "[\u{a0}]", 1 }, { "[\v1]", 1 }, { "<[]>", 0 }, { "[*]", 1 },
  -- objects
  { "{", 1 }, { "}", 0 }, { '{"a"', 4 }, { '{"a":', 5 }, { '{"a":1', 6 }, { '{"a":1,', 7 }, { '{"a":1,}', 7 }, { '{,"a":1}', 1 }, { '{"a" 1}', 5 },
  { '{"a"::1}', 5 }, { '{"a","b"}', 4 }, { "{1:1}", 1 }, { "{a:1}", 1 }, { "{'a':1}", 1 },
  { '{"a":1 "b":2}', 7 }, { '{"a":1}}', 7 }, { '{"a":1}#', 7 }, { '{"a":1,,"b":2}', 7 }, { '{"a":}', 5 }, { "{[1]:2}", 1 }, { "{null:1}", 1 },
  { '{"a":1]', 6 }, { '{"a":"b"}/**/', 9 }, { '{"a":/*c*/1}', 5 }, { '{"a":1}//', 7 }, { "{]", 1 },
  -- too deep
  { nested("[", "]", 513), 512 }, { nested("[", "", 100000), 512 }, { nested('{"a":', "", 513), 2560 }, { nested('[{"":', "", 50000), 1280 },
}

-- Left open by the RFC; refused here, because what came out would not be what went in.
local MAY_REFUSED = {
  { '"\\ud800"', 1 }, { '"\\udc00"', 1 }, { '"\\ud800\\ud800"', 1 }, { '"\\ud834x"', 1 }, { '"\\udd1e\\ud834"', 1 }, { '"a\\ud834"', 2 },
  { '{"\\udead":0}', 2 }, { "[123.456e789]", 1 }, { "[-1e+9999]", 1 }, { "\u{feff}{}", 0 },
}

local function shown(text) return #text > 60 and ("%q ... of %d bytes"):format(text:sub(1, 60), #text) or ("%q"):format(text) end

describe("JSON text", function()
  it("is read where it must be, by the decoder and by the parser of documents alike", function()
    for _, case in ipairs(MUST) do
      local text, canonical = case[1], case[2]
      local value, err = core.json_decode(text)
      assert.is_nil(err, shown(text))
      assert.equal(canonical, core.json_canonical(value), shown(text))
      assert.equal(canonical, core.canonical_text(text), shown(text))
      assert.equal(core.sha256(canonical), core.hash_text(text), shown(text))
      assert.equal(core.sha256(canonical), core.json_hash(value), shown(text))
    end
  end)

  local function assert_refused(cases)
    for _, case in ipairs(cases) do
      local text, at = case[1], case[2]
      for name, read in pairs{ decode = core.json_decode, canonical = core.canonical_text, hash = core.hash_text } do
        local value, err = read(text)
        assert.is_nil(value, name .. " reads " .. shown(text))
        assert.equal("ValidationError", err.kind, shown(text))
        assert.equal(at, tonumber(err.message:match("^invalid JSON at byte (%d+): ")), ("%s, %s: %s"):format(name, shown(text), err.message))
      end
    end
  end

  it("is refused where it must be, with the byte at which it stops being JSON", function() assert_refused(MUST_NOT) end)
  it("is refused where the RFC leaves it open and a value would change", function() assert_refused(MAY_REFUSED) end)

  it("is refused when any of its ends is missing", function()
    local text = '{"a":[1,-2.5e+3,"x\\u00e9\\ud83d\\ude00",true,false,null,{"b":{}}],"c":[]}'
    assert.is_not_nil(core.json_decode(text))
    for n = 0, #text - 1 do
      assert.is_nil((core.json_decode(text:sub(1, n))))
      assert.is_nil((core.canonical_text(text:sub(1, n))))
    end
  end)
end)
