-- Queries: eleven operators over every type of value against a plain model, paths, missing paths, tags, order and ties, limit and
-- offset, and what is said about a query that makes no sense.

local iu = require "inner_universe"
local support = require "support"

local NULL = iu.null
local MISSING = {}

-- What stands at properties.v in the entities of the model, by id.
local VALUES = {
  a_missing = MISSING, b_null = NULL, c_true = true, d_false = false, e_zero = 0, f_float_zero = 0.0, g_minus_zero = -0.0, h_one = 1, i_float_one = 1.0,
  j_half = 0.5, k_minus = -7, l_max = math.maxinteger, m_min = math.mininteger, n_huge = 9223372036854775807.0, o_tiny = 5e-324, p_big = 1e300,
  q_empty = "", r_one_text = "1", s_abc = "abc", t_abcd = "abcd", u_upper = "ABC", v_unicode = "größe", w_null_text = "null",
  x_array = iu.array { 1, "abc", NULL },
  y_empty_array = iu.array {}, z_object = { k = 1 }, za_empty_object = iu.object {}, zb_nested = iu.array { iu.array { 1 }, { k = 1 } },
  zc_53 = 9007199254740993,
  zd_float53 = 9007199254740992.0,
}

local WANTED = {
  NULL, true, false, 0, 1, 1.0, 0.5, -7, math.maxinteger, math.mininteger, 9223372036854775807.0, 1e300, 9007199254740992, 9007199254740993,
  "", "1", "a", "abc",
  "bcd", "cd", "größe", "ö", "null", iu.array {}, iu.array { 1, "abc", NULL }, iu.array { 1, "abc" }, iu.object {}, iu.object { k = 1 }, iu.object { k = 1.0 },
  iu.array { 1 },
}

local LISTS = { iu.array {}, iu.array { NULL }, iu.array { 1, "abc" }, iu.array { true, 0.5, iu.array {} }, iu.array { iu.object { k = 1 }, "null" } }

-- the model ----------------------------------------------------------------------------------------------------------

local function kind(v)
  if v == MISSING or v == NULL then return "null" end
  if type(v) ~= "table" then return type(v) end
  return iu.json.encode(v):sub(1, 1) == "[" and "array" or "object"
end

local function equal(a, b)
  local k = kind(a)
  if k ~= kind(b) then return false end
  if k == "null" then return true end
  if k ~= "array" and k ~= "object" then return a == b end
  for key, value in pairs(a) do
    if b[key] == nil or not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function ordered(a, b, fn)
  local k = kind(a)
  if k ~= kind(b) then return false end
  if k == "number" or k == "string" then return fn(a, b) end
  if k == "boolean" then return fn(a and 1 or 0, b and 1 or 0) end
  return false
end

local function among(v, list)
  for _, each in ipairs(list) do
    if equal(v, each) then return true end
  end
  return false
end

local MODEL = {
  Equals = equal,
  NotEquals = function(v, w) return not equal(v, w) end,
  GreaterThan = function(v, w) return ordered(v, w, function(a, b) return a > b end) end,
  LessThan = function(v, w) return ordered(v, w, function(a, b) return a < b end) end,
  GreaterOrEqual = function(v, w) return ordered(v, w, function(a, b) return a >= b end) end,
  LessOrEqual = function(v, w) return ordered(v, w, function(a, b) return a <= b end) end,
  Contains = function(v, w)
    if kind(v) == "array" then return among(w, v) end
    return kind(v) == "string" and kind(w) == "string" and v:find(w, 1, true) ~= nil
  end,
  StartsWith = function(v, w) return kind(v) == "string" and kind(w) == "string" and v:sub(1, #w) == w end,
  EndsWith = function(v, w) return kind(v) == "string" and kind(w) == "string" and (w == "" or v:sub(-#w) == w) end,
  In = among,
  NotIn = function(v, list) return not among(v, list) end,
}

local NERV = {
  Equals = "EQUALS", NotEquals = "NOT_EQUALS", GreaterThan = "GREATER_THAN", LessThan = "LESS_THAN", GreaterOrEqual = "GREATER_OR_EQUAL",
  LessOrEqual = "LESS_OR_EQUAL", Contains = "CONTAINS", StartsWith = "STARTS_WITH", EndsWith = "ENDS_WITH", In = "IN", NotIn = "NOT_IN",
}

local function ids(rows, err)
  if not rows then error(tostring(err), 2) end
  return support.pluck(rows, "id")
end

describe("queries", function()
  local m

  describe("by value", function()
    setup(function()
      m = support.open()
      for id, value in pairs(VALUES) do
        local properties = {}
        if value ~= MISSING then properties.v = value end
        assert(m:create_entity("V", { properties = properties }, id))
      end
    end)
    teardown(support.clean)

    for operator, model in pairs(MODEL) do
      it(operator .. " answers as the model does", function()
        local lists = operator == "In" or operator == "NotIn"
        local some = 0
        for _, wanted in ipairs(lists and LISTS or WANTED) do
          local expected = {}
          for id, value in pairs(VALUES) do
            if model(value, wanted) then expected[#expected + 1] = id end
          end
          table.sort(expected)
          some = some + #expected
          for _, name in ipairs { operator, NERV[operator] } do
            local affix = (operator == "StartsWith" or operator == "EndsWith") and type(wanted) ~= "string"
            if affix then
              support.refused("ValidationError", nil, select(2, m:query_entities { filters = { { field = "properties.v", operator = name, value = wanted } } }),
                name, "string")
              break
            end
            local found, err = m:query_entities { filters = { { field = "properties.v", operator = name, value = wanted } } }
            assert(found, tostring(err))
            assert.equal(table.concat(expected, " "), table.concat(ids(found), " "), ("%s %s"):format(name, iu.json.encode(wanted)))
          end
        end
        assert.is_true(some > 3)
      end)
    end

    it("In and NotIn want an array", function()
      for _, operator in ipairs { "In", "NotIn", "IN", "NOT_IN" } do
        for _, value in ipairs { "abc", 1, true, NULL, iu.object { a = 1 } } do
          local filters = { { field = "properties.v", operator = operator, value = value } }
          support.refused("ValidationError", nil, select(2, m:query_entities { filters = filters }), "array")
        end
      end
    end)

    it("orders null, booleans, numbers, strings, the rest; ties by id, ascending both ways", function()
      local function rank(v)
        local ranks = { null = 1, boolean = 2, number = 3, string = 4, array = 5, object = 5 }
        return ranks[kind(v)]
      end
      local function less(a, b)
        if rank(a) ~= rank(b) then return rank(a) < rank(b) end
        return ordered(a, b, function(x, y) return x < y end)
      end
      local expected = {}
      for id in pairs(VALUES) do expected[#expected + 1] = id end
      table.sort(expected, function(a, b)
        local va, vb = VALUES[a], VALUES[b]
        if less(va, vb) then return true end
        if less(vb, va) then return false end
        return a < b
      end)
      assert.same(expected, ids(m:query_entities { order_by = "properties.v" }))
      table.sort(expected, function(a, b)
        local va, vb = VALUES[a], VALUES[b]
        if less(va, vb) then return false end
        if less(vb, va) then return true end
        return a < b
      end)
      assert.same(expected, ids(m:query_entities { order_by = "properties.v", descending = true }))
      for offset = 0, #expected + 1 do -- pages put together are the whole
        local page, matched = m:query_entities { order_by = "properties.v", descending = true, limit = 3, offset = offset }
        assert.same({ table.unpack(expected, offset + 1, math.min(offset + 3, #expected)) }, ids(page))
        assert.equal(#expected, matched)
      end
    end)
  end)

  describe("by column, path and tag", function()
    before_each(function() m = support.open() end)
    after_each(support.clean)

    local function people()
      local at = {}
      for i = 1, 10 do
        at[i] = assert(m:create_entity(i % 2 == 0 and "Person" or "Robot", {
          name = ("n%02d"):format(i), tags = i % 3 == 0 and { "third", "x" } or { "x" },
          properties = { i = i, address = { city = i < 6 and "Bonn" or "Köln", zip = iu.array { i, { deep = i } } }, ["dotted.key"] = i, ["back\\slash"] = i },
        }))
      end
      return at
    end

    it("type alone, all of them, none", function()
      local at = people()
      assert.same({ at[2], at[4], at[6], at[8], at[10] }, ids(m:query_entities { entity_type = "Person" }))
      assert.equal(10, #m:query_entities {})
      assert.equal(10, #m:query_entities())
      assert.equal(0, #m:query_entities { entity_type = "person" })
      assert.equal(0, #m:query_entities { entity_type = "" })
      assert.same({ at[3] }, ids(m:query_entities { id = at[3] }))
    end)

    it("tags must all be there", function()
      local at = people()
      assert.same({ at[3], at[6], at[9] }, ids(m:query_entities { tags = { "third" } }))
      assert.same({ at[6] }, ids(m:query_entities { tags = { "third", "x" }, entity_type = "Person" }))
      assert.equal(0, #m:query_entities { tags = { "third", "nope" } })
      assert.equal(10, #m:query_entities { tags = {} })
      assert.same({ at[3], at[6], at[9] }, ids(m:query_entities { filters = { { field = "tags", operator = "Contains", value = "third" } } }))
      assert.equal(0, #m:query_entities { filters = { { field = "tags", operator = "Contains", value = "thir" } } })
    end)

    it("dotted paths go through objects and arrays, escaped dots belong to the key", function()
      local at = people()
      local function one(field, value)
        return ids(m:query_entities { filters = { { field = field, operator = "Equals", value = value } } })
      end
      assert.equal(5, #one("properties.address.city", "Köln"))
      assert.same({ at[4] }, one("properties.address.zip.0", 4))
      assert.same({ at[4] }, one("properties.address.zip.1.deep", 4))
      assert.same({ at[7] }, one("properties.dotted\\.key", 7))
      assert.same({ at[7] }, one("properties.back\\\\slash", 7))
      assert.equal(0, #one("properties.dotted.key", 7))
      assert.equal(10, #one("properties.address.zip.2", NULL))
      assert.equal(10, #one("properties.i.below.a.number", NULL))
      assert.equal(10, #one("properties.nothing.there", NULL))
    end)

    it("a missing path equals only null", function()
      people()
      local function count(operator, value)
        return #assert(m:query_entities { filters = { { field = "properties.gone", operator = operator, value = value } } })
      end
      assert.equal(10, count("Equals", NULL))
      assert.equal(0, count("NotEquals", NULL))
      assert.equal(10, count("NotEquals", 1))
      assert.equal(0, count("Equals", 0))
      assert.equal(10, count("In", iu.array { NULL }))
      assert.equal(0, count("NotIn", iu.array { 1, NULL }))
      assert.equal(10, count("NotIn", iu.array { 1 }))
      for _, operator in ipairs { "GreaterThan", "LessThan", "GreaterOrEqual", "LessOrEqual", "Contains", "StartsWith", "EndsWith" } do
        assert.equal(0, count(operator, operator:find("With") and "" or 0), operator)
      end
    end)

    it("columns and metadata fields are fields too", function()
      local at = people()
      assert.same({ at[1] }, ids(m:query_entities { filters = { { field = "name", operator = "Equals", value = "n01" } } }))
      assert.same({ at[1] }, ids(m:query_entities { filters = { { field = "metadata.name", operator = "Equals", value = "n01" } } }))
      assert.same({ at[10] }, ids(m:query_entities { filters = { { field = "id", operator = "GreaterThan", value = at[9] } } }))
      assert.equal(10, #m:query_entities { filters = { { field = "description", operator = "Equals", value = NULL } } })
      assert.equal(5, #m:query_entities { filters = { { field = "entity_type", operator = "In", value = iu.array { "Robot", "Nothing", "Robot" } } } })
      local t = m:get_entity(at[5]).created_at
      assert.same(ids(m:query_entities { filters = { { field = "created_at", operator = "LessThan", value = t } } }), { table.unpack(at, 1, 4) })
      assert.equal(0, #m:query_entities { filters = { { field = "created_at", operator = "Equals", value = tostring(t) } } })
      assert.equal(10, #m:query_entities { filters = { { field = "created_at", operator = "GreaterThan", value = 0.5 } } })
    end)

    it("all filters must hold, in any number and order", function()
      local at = people()
      local low = { field = "properties.i", operator = "GreaterThan", value = 2 }
      local high = { field = "properties.i", operator = "LessOrEqual", value = 8.0 }
      local bonn = { field = "properties.address.city", operator = "Equals", value = "Bonn" }
      assert.same({ at[4] }, ids(m:query_entities { entity_type = "Person", filters = { low, high, bonn } }))
      assert.same({ at[4] }, ids(m:query_entities { entity_type = "Person", filters = { bonn, high, low } }))
      assert.equal(0, #m:query_entities { entity_type = "Person", filters = { { field = "entity_type", operator = "Equals", value = "Robot" } } })
    end)

    it("without an order comes by id; limit and offset cut, and the number matched is told", function()
      local at = people()
      local sorted = { table.unpack(at) }
      table.sort(sorted)
      assert.same(sorted, ids(m:query_entities {}))
      local page, matched = m:query_entities { limit = 3, offset = 2 }
      assert.same({ sorted[3], sorted[4], sorted[5] }, ids(page))
      assert.is_true(matched == nil or matched == 10) -- nil: the search ended when the page was full
      page, matched = m:query_entities { limit = 3, offset = 2, order_by = "name" }
      assert.same({ at[3], at[4], at[5] }, ids(page))
      assert.equal(10, matched)
      page, matched = m:query_entities { limit = 0 }
      assert.same({}, ids(page))
      assert.is_true(matched == nil or matched == 10)
      page, matched = m:query_entities { offset = 9 }
      assert.same({ sorted[10] }, ids(page))
      assert.equal(10, matched)
      page, matched = m:query_entities { offset = 1000, entity_type = "Robot" }
      assert.same({}, ids(page))
      assert.equal(5, matched)
      page, matched = m:query_entities { limit = math.maxinteger, offset = math.maxinteger }
      assert.same({}, ids(page))
      assert.equal(10, matched)
      page, matched = m:query_entities { entity_type = "Person", limit = 2, order_by = "created_at" }
      assert.same({ at[2], at[4] }, ids(page))
      assert.is_true(matched == nil or matched == 5)
    end)

    it("has no limit of its own", function()
      for _ = 1, 1200 do assert(m:create_entity("Many")) end
      assert.equal(1200, #m:query_entities { entity_type = "Many" })
    end)

    it("orders by a column both ways", function()
      local at = people()
      assert.same({ at[10], at[9] }, ids(m:query_entities { order_by = "created_at", descending = true, limit = 2 }))
      assert.same({ at[1], at[2] }, ids(m:query_entities { order_by = "created_at", descending = false, limit = 2 }))
      assert.same({ at[2], at[4], at[6], at[8], at[10], at[1], at[3], at[5], at[7], at[9] }, ids(m:query_entities { order_by = "entity_type" }))
      assert.same({ at[1], at[3], at[5], at[7], at[9], at[2], at[4], at[6], at[8], at[10] },
        ids(m:query_entities { order_by = "entity_type", descending = true }))
      assert.same({ at[10] }, ids(m:query_entities { order_by = "name", descending = true, limit = 1 }))
    end)

    it("sees what was written a moment ago, and not what was refused", function()
      local id = assert(m:create_entity("T", { properties = { n = 1 } }))
      local one = { filters = { { field = "properties.n", operator = "Equals", value = 1 } } }
      assert.same({ id }, ids(m:query_entities(one)))
      assert(m:update_entity(id, { properties = { n = 2 } }))
      assert.same({}, ids(m:query_entities(one)))
      assert.is_nil((m:create_entity("T", { properties = { n = 1 } }, id)))
      assert.same({}, ids(m:query_entities(one)))
    end)

    it("that make no sense are ValidationErrors which say what is wrong", function()
      people()
      local function bad(spec, ...)
        local rows, err = m:query_entities(spec)
        assert(not rows, "answered: " .. tostring(iu.json.encode(spec)))
        support.refused("ValidationError", rows, err, ...)
      end
      bad({ filters = { { field = "propertys.age", operator = "Equals", value = 1 } } }, "propertys", "properties")
      bad({ filters = { { field = "nme", operator = "Equals", value = 1 } } }, "nme", "name")
      bad({ filters = { { field = "", operator = "Equals", value = 1 } } })
      bad({ filters = { { field = "strength", operator = "Equals", value = 1 } } }, "strength")
      bad({ filters = { { field = "name", operator = "Greater", value = 1 } } }, "Greater", "operator")
      bad({ filters = { { field = "name", operator = "Equal", value = 1 } } }, "Equal", "Equals")
      bad({ filters = { { field = "name", operator = "equals", value = 1 } } }, "equals")
      bad({ filters = { { field = "name", operator = "", value = 1 } } }, "operator")
      bad({ filters = { { field = "name", operator = "Equals" } } }, "filters[1].value", "iu.null")
      bad({ filters = { { field = 1, operator = "Equals", value = 1 } } }, "filters[1].field", "string")
      bad({ filters = { { field = "name", value = 1 } } }, "filters[1].operator")
      bad({ filters = { { field = "name", operator = "Equals", value = 1 }, "x" } }, "filters[2]")
      bad({ filters = { { field = "name", operator = "Equals", value = 1, extra = 1 } } }, "filters[1]", "extra")
      bad({ filters = { { field = "name", operator = "Equals", value = print } } }, "filters[1].value")
      bad({ filters = { { field = "name", operator = "Equals", value = 0 / 0 } } }, "filters[1].value")
      bad({ filters = { { field = "name", operator = "Equals", value = "\xff" } } }, "filters[1].value", "UTF-8")
      bad({ filters = { field = "name", operator = "Equals", value = 1 } }, "filters", "array")
      bad({ filters = { { field = "name", operator = "Equals", value = 1 }, [3] = { field = "name", operator = "Equals", value = 1 } } }, "filters")
      bad({ filters = "name" }, "filters", "array")
      bad({ tags = "x" }, "tags", "array")
      bad({ tags = { 1 } }, "tags[1]", "string")
      bad({ tags = { a = "x" } }, "tags", "array")
      bad({ limit = -1 }, "limit", "-1")
      bad({ limit = 1.5 }, "limit", "1.5")
      bad({ limit = "3" }, "limit")
      bad({ offset = -1 }, "offset")
      bad({ order_by = "createdat" }, "createdat", "created_at")
      bad({ order_by = 1 }, "order_by")
      bad({ descending = 1 }, "descending")
      bad({ entity_type = 1 }, "entity_type", "string")
      bad({ type = "Person" }, "type", "entity_type")
      bad({ entitytype = "Person" }, "entitytype", "entity_type")
      support.refused("ValidationError", nil, select(2, m:query_relations { entity_type = "x" }), "entity_type")
      support.raises_here(function() m:query_entities("Person") end, "query_entities", "spec", "table")
    end)
  end)
end)
