-- Random changes of a table in any order, on a working copy and on a model in Lua: after each of them the copy has the model's columns and rows, also after
-- one that was refused; published, the file opens by what it declares, and numbers go on. IU_TEST_SEED repeats a run.
-- sanitizers: run

local iu = require("inner_universe")
local support = require("support")

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local ROUNDS, STEPS, ROWS = 12, 16, 40

local VALUES = {
  u8 = function() return math.random(0, 255) end,
  i64 = function() return math.random(math.mininteger, math.maxinteger) end,
  f64 = function() return math.random(-1000, 1000) / 8 end,
  string = function() return ("text %d"):format(math.random(1000)) end,
  bool = function() return math.random(2) == 1 end,
  ["u32?"] = function() if math.random(2) == 1 then return math.random(0, (1 << 32) - 1) end end,
  ["[i16]"] = function() return iu.array({ math.random(-9, 9), math.random(-9, 9) }) end,
}
local TYPES = {}
for name in pairs(VALUES) do TYPES[#TYPES + 1] = name end
table.sort(TYPES)

-- Types that lose nothing, and what the value is then.
local WIDER = {
  u8 = { "i64", function(value) return value end },
  bool = { "u8", function(value) return value and 1 or 0 end },
  f64 = { "string", function(value) return ("%.15g"):format(value):find("[%.e]") and ("%.15g"):format(value) or ("%.15g"):format(value) .. ".0" end },
  string = { "[string]", function(value) return { value } end },
}

local function position(model, name)
  for i, column in ipairs(model.columns) do
    if column[1] == name then return i end
  end
end

-- Not the key.
local function any_column(model)
  local column = model.columns[math.random(#model.columns)]
  return column[1] ~= "key" and column or nil
end

local function new_name(model)
  model.names = model.names + 1
  return "c" .. model.names
end

local function columns_of(model)
  local columns = {}
  for i, column in ipairs(model.columns) do columns[i] = { column[1], column[2] } end
  return columns
end

local steps = {}

function steps.add_default(copy, model)
  local kind, name = TYPES[math.random(#TYPES)], new_name(model)
  local value
  if kind ~= "u32?" then value = VALUES[kind]() end
  assert(copy:add_column("thing", name, kind, { default = value, after = "key" }))
  table.insert(model.columns, position(model, "key") + 1, { name, kind })
  for _, row in pairs(model.rows) do row[name] = value end
end

function steps.add_computed(copy, model)
  local name = new_name(model)
  assert(copy:add_column("thing", name, "string", { value = function(row) return "of " .. row.key end, first = true }))
  table.insert(model.columns, 1, { name, "string" })
  for key, row in pairs(model.rows) do row[name] = "of " .. key end
end

function steps.drop(copy, model)
  local column = any_column(model)
  if not column then
    support.refused("ValidationError", nil, select(2, copy:drop_column("thing", "key")), "primary key")
    return
  end
  assert(copy:drop_column("thing", column[1]))
  table.remove(model.columns, position(model, column[1]))
  for _, row in pairs(model.rows) do row[column[1]] = nil end
end

function steps.rename(copy, model)
  local column, name = any_column(model), new_name(model)
  if not column then return end
  assert(copy:rename_column("thing", column[1], name))
  for _, row in pairs(model.rows) do row[name], row[column[1]] = row[column[1]], nil end
  column[1] = name
end

function steps.reorder(copy, model)
  for i = #model.columns, 2, -1 do
    local k = math.random(i)
    model.columns[i], model.columns[k] = model.columns[k], model.columns[i]
  end
  local names = {}
  for i, column in ipairs(model.columns) do names[i] = column[1] end
  assert(copy:reorder_columns("thing", names))
end

function steps.retype(copy, model)
  local column = any_column(model)
  local wider = column and WIDER[column[2]]
  if not wider then return end
  assert(copy:retype_column("thing", column[1], wider[1]))
  column[2] = wider[1]
  for _, row in pairs(model.rows) do row[column[1]] = wider[2](row[column[1]]) end
end

function steps.refused(copy, model)
  local key = next(model.rows)
  if not key then return end
  local err = support.refused("MigrationError", nil, select(2, copy:add_column("thing", "never", "u8", {
    value = function(row) return row.key == key and -1 or 1 end })), "never", "key = " .. key)
  assert.equal(key, err.details.key)
  support.refused("MigrationError", nil, select(2, copy:insert("thing", { { key = key } })))
end

function steps.update(copy, model)
  assert(copy:update("thing", function(row)
    if row.key % 7 == 0 then return false end
    if row.key % 2 == 0 then return nil end
    return row
  end))
  for key in pairs(model.rows) do
    if key % 7 == 0 then model.rows[key] = nil end
  end
end

function steps.insert(copy, model)
  local row = {}
  for _, column in ipairs(model.columns) do
    if column[1] ~= "key" then
      if not VALUES[column[2]] then return end
      row[column[1]] = VALUES[column[2]]()
    end
  end
  local stored = assert(copy:put("thing", row))
  assert.equal(model.next, stored.key)
  model.next = model.next + 1
  row.key = stored.key
  model.rows[row.key] = row
end

function steps.rename_table(copy)
  assert(copy:rename_table("thing", "other"))
  assert(copy:rename_table("other", "thing"))
end

function steps.split(copy, model)
  local moved = 0
  assert(copy:split_table("thing", {
    into = { thing = { columns = columns_of(model), primary_key = "key", auto_inc = "key" }, aside = { columns = { { "key", "u64" } } } },
    rows = function(row)
      if row.key % 5 ~= 0 then return { thing = row } end
      moved = moved + 1
      return { aside = { { key = row.key }, { key = row.key + 1000 } } }
    end,
  }))
  for key in pairs(model.rows) do
    if key % 5 == 0 then model.rows[key] = nil end
  end
  assert.equal(2 * moved, copy:count("aside"))
  assert(copy:drop_table("aside"))
end

local NAMES = {}
for name in pairs(steps) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

local function check(copy, model, after)
  local columns, count = {}, 0
  for i, column in ipairs(copy:table("thing").columns) do columns[i] = { column.name, column.type } end
  assert.same(columns_of(model), columns, after)
  for row in copy:rows("thing") do
    count = count + 1
    assert.same(model.rows[row.key], row, after)
  end
  local expected = 0
  for _ in pairs(model.rows) do expected = expected + 1 end
  assert.equal(expected, count, after)
end

describe("changes of a table in any order", function()
  after_each(function() support.clean() end)

  it("do what they do to a model", function()
    print("# working_copy_model_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    for _ = 1, ROUNDS do
      local path = support.path()
      local model = { columns = { { "key", "u64" }, { "a", "string" }, { "b", "u8" } }, rows = {}, next = ROWS + 1, names = 0 }
      local thing = { columns = model.columns, primary_key = "key", auto_inc = "key" }
      assert(assert(iu.connect(path, { module = assert(iu.module("things", { tables = { thing = thing } })) })):close())
      local copy = support.owned(assert(iu.working_copy(path)))
      local i = 0
      assert.equal(ROWS, copy:insert("thing", function()
        i = i + 1
        if i > ROWS then return nil end
        model.rows[i] = { key = i, a = "a" .. i, b = i }
        return { a = "a" .. i, b = i }
      end))
      local done = {}
      for _ = 1, STEPS do
        local name = NAMES[math.random(#NAMES)]
        done[#done + 1] = name
        steps[name](copy, model)
        check(copy, model, table.concat(done, ", "))
        if math.random(8) == 1 then assert(copy:publish{ keep_open = true }) end
      end
      local module = assert(iu.module("things", { tables = { thing = { columns = columns_of(model), primary_key = "key", auto_inc = "key" } } }))
      assert(copy:publish{ module = module })
      local conn = support.owned(assert(iu.connect(path, { module = module })))
      local rows = assert(conn:query("SELECT * FROM thing"))
      for _, row in ipairs(rows) do assert.same(model.rows[row.key], row) end
      assert(conn:close())
      local again = support.owned(assert(iu.working_copy(path)))
      check(again, model, "published")
      steps.insert(again, model)
      assert(again:discard())
    end
  end)
end)
