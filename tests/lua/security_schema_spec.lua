-- The subset of JSON Schema that the plugin `security` knows: what each keyword lets pass, and what of the draft 2020-12 is told apart the same way.

local iu = require "inner_universe"

local m

-- What the schema says about a value of a property: true, or the path and what is expected.
local function says(text)
  local checked = m.security:validate("T", assert(iu.json.document(('{"v":%s}'):format(text))))
  return checked == true
end

local function with(schema)
  if m then m:shutdown() end
  m = assert(iu.open("memory:", { plugins = { security = { schemas = { T = { properties = { v = schema } } } } } }))
end

describe("a keyword of schemas", function()
  teardown(function()
    if m then m:shutdown() end
  end)

  -- Texts that fit, and that do not.
  local CASES = {
    type_integer = { { type = "integer" }, { "1", "-5", "1.0", "123456789012345678901234567890", "-0.0" }, { "1.5", '"1"', "null", "true", "[]" } },
    type_number = { { type = "number" }, { "1", "1.5", "123456789012345678901234567890" }, { '"1"', "null", "{}" } },
    type_string = { { type = "string" }, { '""', '"x"' }, { "1", "null", "[]" } },
    type_boolean = { { type = "boolean" }, { "true", "false" }, { "null", "0", '"true"' } },
    type_null = { { type = "null" }, { "null" }, { "false", "0", '""', "[]", "{}" } },
    type_array = { { type = "array" }, { "[]", "[1]" }, { "{}", "null", '"[]"' } },
    type_object = { { type = "object" }, { "{}", '{"a":1}' }, { "[]", "null", "1" } },
    several_types = { { type = { "string", "null" } }, { '"x"', "null" }, { "1", "[]" } },
    enum = { { enum = { 1, "a", iu.null, iu.array { 1, 2 } } }, { "1", "1.0", '"a"', "null", "[1,2]" }, { "2", '"b"', "[2,1]", "[]", "false" } },
    const = { { const = { a = 1 } }, { '{"a":1}' }, { "{}", '{"a":2}', '{"a":1,"b":1}', "1" } },
    minimum = { { minimum = 2 }, { "2", "2.0", "123456789012345678901234567890", '"x"', "null" }, { "1", "1.9", "-123456789012345678901234567890" } },
    maximum = { { maximum = 2.5 }, { "2.5", "2", "-7", '"x"' }, { "2.6", "3", "123456789012345678901234567890" } },
    exclusive_minimum = { { exclusiveMinimum = 2 }, { "2.1", "3" }, { "2", "2.0", "1" } },
    exclusive_maximum = { { exclusiveMaximum = 2 }, { "1.9" }, { "2", "2.0", "3" } },
    multiple_of = { { multipleOf = 3 }, { "0", "9", "-3", "3.0", '"4"', "9007199254740993" }, { "4", "3.5", "9007199254740994" } },
    multiple_of_fraction = { { multipleOf = 0.5 }, { "1", "1.5", "-0.5" }, { "1.25" } },
    multiple_of_cents = { { multipleOf = 0.01 }, { "19.99", "-4.02", "1", "0", "0.3", "123456.78" }, { "19.995", "0.001", "0.0100001" } },
    multiple_of_too_little = { { multipleOf = 0.123456789 }, { "0" }, { "1e308", "-1e308" } },
    -- Integers that no float and no Lua integer is: 2^63 is 9223372036854775808.
    wide_minimum = { { minimum = 0x1p63 }, { "9223372036854775808", "9223372036854775809", "9223372036854775808.0" },
      { "9223372036854775807", "-9223372036854775809" } },
    wide_maximum = { { maximum = 0x1p63 }, { "9223372036854775808", "-99999999999999999999" }, { "9223372036854775809", "10000000000000000000" } },
    wide_exclusive_minimum = { { exclusiveMinimum = -0x1p63 }, { "-9223372036854775807", "99999999999999999999" },
      { "-9223372036854775808", "-9223372036854775809", "-10000000000000000000" } },
    wide_exclusive_maximum = { { exclusiveMaximum = 0x1p64 }, { "18446744073709551615" }, { "18446744073709551616", "18446744073709551617" } },
    wide_const = { { const = 0x1p64 }, { "18446744073709551616", "18446744073709551616.0" }, { "18446744073709551617", "-18446744073709551616" } },
    wide_multiple_of = { { multipleOf = 2 }, { "18446744073709551616", "-18446744073709551618" }, { "18446744073709551617", "-9223372036854775809" } },
    wide_multiple_of_much = { { multipleOf = math.maxinteger },
      { "18446744073709551614", "85070591730234615847396907784232501249" }, { "18446744073709551615" } },
    wide_unique_items = { { uniqueItems = true }, { "[9223372036854775808.0,9223372036854775809]" }, { "[9223372036854775808.0,9223372036854775808]" } },
    min_length = { { minLength = 2 }, { '"äö"', '"abc"', "1" }, { '"ä"', '""' } },
    max_length = { { maxLength = 2 }, { '"äö"', '""' }, { '"abc"' } },
    items = { { items = { type = "integer" } }, { "[]", "[1,2]", '"x"', "{}" }, { '[1,"x"]', "[null]" } },
    prefix_items = { { prefixItems = { { type = "string" }, { type = "integer" } }, items = { type = "boolean" } },
      { "[]", '["a"]', '["a",1]', '["a",1,true]' }, { "[1]", '["a","b"]', '["a",1,1]' } },
    no_items = { { items = false }, { "[]" }, { "[1]" } },
    min_items = { { minItems = 1 }, { "[1]", '""' }, { "[]" } },
    max_items = { { maxItems = 1 }, { "[]", "[1]" }, { "[1,2]" } },
    unique_items = { { uniqueItems = true }, { "[]", "[1,2]", '[1,"1"]', '["a","A"]', "[[1],[2]]", "[123456789012341,123456789012342]",
      "[9007199254740992,9007199254740993]", "[0.1,0.10000000000000002]", "[12345678901234567890,12345678901234567891]" },
      { "[1,1]", "[1,1.0]", '[{"a":1,"b":2},{"b":2,"a":1}]' } },
    properties = { { properties = { a = { type = "string" } } }, { "{}", '{"a":"x"}', '{"b":1}', "[]" }, { '{"a":1}' } },
    required = { { required = { "a", "b" } }, { '{"a":null,"b":1}', "1", "[]" }, { "{}", '{"a":1}' } },
    additional = { { properties = { a = true }, additional = false }, { "{}", '{"a":1}' }, { '{"a":1,"b":1}', '{"b":1}' } },
    additional_schema = { { additionalProperties = { type = "integer" } }, { "{}", '{"a":1}' }, { '{"a":"x"}' } },
    min_properties = { { minProperties = 1 }, { '{"a":1}', "[]" }, { "{}" } },
    max_properties = { { maxProperties = 1 }, { "{}", '{"a":1}' }, { '{"a":1,"b":1}' } },
    all_of = { { allOf = { { minimum = 2 }, { maximum = 4 } } }, { "3" }, { "1", "5" } },
    any_of = { { anyOf = { { type = "string" }, { minimum = 5 } } }, { '"x"', "5", "null" }, { "4" } },
    one_of = { { oneOf = { { type = "integer" }, { minimum = 5 } } }, { "4", "5.5", '"x"' }, { "5", "1.5" } },
    ["not"] = { { ["not"] = { type = "string" } }, { "1", "null" }, { '"x"' } },
    always = { true, { "1", "null", "[]" }, {} },
    never = { false, {}, { "1", "null" } },
    nothing = { {}, { "1", "null", "[]" }, {} },
    annotations = { { title = "t", description = "d", ["$comment"] = "c", examples = { 1 }, deprecated = true }, { "1" }, {} },
  }

  for name, case in pairs(CASES) do
    it(name .. " tells apart what fits and what does not", function()
      with(case[1])
      for _, text in ipairs(case[2]) do assert.is_true(says(text), name .. " should take " .. text) end
      for _, text in ipairs(case[3]) do assert.is_false(says(text), name .. " should refuse " .. text) end
    end)
  end

  it("names the first place that does not fit, however deep, always the same one", function()
    with { properties = { list = { items = { properties = { ["a.b"] = { type = "integer" }, c = { type = "string" } } } } } }
    for _ = 1, 20 do
      local _, err = m.security:validate("T", { v = { list = { { ["a.b"] = 1 }, { ["a.b"] = "x", c = 1 } } } })
      assert.equal("properties.v.list.1.a\\.b", err.details.path)
      assert.equal("integer", err.details.expected)
    end
  end)

  it("that the subset has not, or that is no schema, is refused when the universe opens", function()
    local deep = { type = "integer" }
    for _ = 1, 70 do deep = { items = deep } end
    for text, schema in pairs {
      ["unknown keyword `pattern`"] = { pattern = "^a" }, ["unknown keyword `$ref`"] = { ["$ref"] = "#" }, ["unknown keyword `format`"] = { format = "email" },
      ["type: unknown type text"] = { type = "text" }, ["enum: expected an array"] = { enum = {} }, ["minimum: expected a number"] = { minimum = "1" },
      ["minLength: expected an integer from 0"] = { minLength = -1 }, ["maxItems: expected an integer from 0"] = { maxItems = 1.5 },
      ["multipleOf: expected a number above 0"] = { multipleOf = 0 }, ["required: expected an array of names"] = { required = { 5 } },
      ["T.properties.v.required: expected an array of names"] = { required = { a = true } },
      ["T.properties.v.type: expected the name of a type, or an array"] = { type = { "string", null = true } },
      ["T.properties.v.enum: expected an array of values"] = { enum = { 1, two = 2 } },
      ["T.properties.v.allOf: expected an array of schemas"] = { allOf = { { minimum = 1 }, maximum = 2 } },
      ["uniqueItems: expected true or false"] = { uniqueItems = 1 }, ["anyOf: expected an array of schemas"] = { anyOf = {} },
      ["expected a schema, got string"] = { items = "integer" }, ["one of them"] = { additional = true, additionalProperties = true },
      ["more than 64 schemas inside of each other"] = deep,
    } do
      local opened, err = iu.open("memory:", { plugins = { security = { schemas = { T = { properties = { v = schema } } } } } })
      assert.is_nil(opened)
      assert.truthy(err.message:find(text, 1, true), err.message)
    end
  end)
end)
