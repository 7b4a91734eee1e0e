-- What reshaper.lua makes of a universe: generation N has its own schema, and rows that say N; a mixture of two shows.

local iu = require "inner_universe"

local content = {}

content.ROWS = 400

local function columns(n)
  local list = { { "id", "u64" }, { "generation", "u32" }, { "name", "string" } }
  if n % 2 == 0 then table.insert(list, 2, { "even", "string" }) end
  if n % 3 == 0 then list[#list + 1] = { "third", "[u32]" } end
  return list
end

local function declaration(n)
  return { columns = columns(n), primary_key = "id", auto_inc = "id", unique = n % 5 == 0 and { "name" } or nil }
end

--- The module that opens generation n.
function content.module(n)
  local tables = { thing = declaration(n) }
  if n % 4 ~= 0 then tables["extra" .. n % 7] = { columns = { { "generation", "u32" }, { "n", "u32" } } } end
  return assert(iu.module("things", { tables = tables, reducers = { fill = function(ctx)
    for i = 1, content.ROWS do ctx.db.thing:insert{ generation = 1, name = "thing " .. i } end
    for i = 1, content.ROWS do ctx.db.extra1:insert{ generation = 1, n = i } end
  end } }))
end

function content.build(path)
  local conn = assert(iu.connect(path, { module = content.module(1) }))
  assert(conn:call("fill"))
  assert(conn:call("update_config", "generation", "1", ""))
  assert(conn:close())
end

function content.generation(copy)
  return math.tointeger(tonumber(assert(copy:get("config", "generation")).value))
end

--- From generation n - 1 to n.
function content.change(copy, n)
  for _, t in ipairs(assert(copy:tables())) do
    if t.name:find("^extra") then assert(copy:drop_table(t.name)) end
  end
  assert(copy:rewrite_table("thing", declaration(n), function(row)
    return { id = row.id, generation = n, name = row.name, even = n % 2 == 0 and "even " .. row.id or nil, third = n % 3 == 0 and { n, row.id } or nil }
  end))
  if n % 4 ~= 0 then
    local name = "extra" .. n % 7
    assert(copy:add_table(name, { columns = { { "generation", "u32" }, { "n", "u32" } } }))
    local i = 0
    assert(copy:insert(name, function()
      i = i + 1
      return i <= content.ROWS and { generation = n, n = i } or nil
    end))
  end
  local config = assert(copy:get("config", "generation"))
  config.value = tostring(n)
  assert(copy:put("config", config))
end

--- Opens the file with the modules of its generation, and looks at every row: the generation.
function content.check(path)
  local snapshot = assert(iu.connect(path, { snapshot = true }))
  local n = math.tointeger(tonumber(assert(snapshot:get("config", "generation")).value))
  assert(snapshot:close())
  local conn = assert(iu.connect(path, { module = content.module(n) }))
  local rows = assert(conn:query("SELECT * FROM thing"))
  assert(#rows == content.ROWS, "rows of thing: " .. #rows)
  for _, row in ipairs(rows) do
    assert(row.generation == n, "a row of another generation")
    assert(row.name == "thing " .. row.id)
    if n % 3 == 0 then assert(row.third[1] == n and row.third[2] == row.id) end
  end
  if n % 4 ~= 0 then
    rows = assert(conn:query(("SELECT * FROM extra%d"):format(n % 7)))
    assert(#rows == content.ROWS)
    for _, row in ipairs(rows) do assert(row.generation == n) end
  end
  assert(conn:close())
  return n
end

return content
