-- What iu.module says of declarations that are wrong: the place, what was expected, and the nearest word.

local iu = require "inner_universe"

local function declare(declaration)
  return iu.module("arena", declaration)
end

local function refused(declaration, ...)
  local made, err = declare(declaration)
  assert.is_nil(made)
  assert.is_true(iu.errors.is(err, "ValidationError"))
  assert.truthy(err.message:find("module arena: ", 1, true) == 1, err.message)
  for _, part in ipairs({ ... }) do assert.truthy(err.message:find(part, 1, true), err.message .. "\nlacks: " .. part) end
end

local function with_table(t)
  t.columns = t.columns or { { "id", "u64" }, { "name", "string" } }
  return { tables = { player = t } }
end

describe("the declaration of a module", function()
  it("is taken when all is well, and has a name", function()
    local m = assert(declare({
      tables = { player = { columns = { { "id", "u64" }, { "at", "Vec2" } }, primary_key = "id" } },
      types = { Vec2 = { { "x", "f32" }, { "y", "f32" } } },
      reducers = { go = function() end },
    }))
    assert.equal("arena", m.name)
    assert.equal("module arena", tostring(m))
    assert.has_error(function() m.name = "x" end, "a module is read-only (field 'name')")
  end)

  it("raises for arguments of the wrong Lua type", function()
    assert.has_error(function() iu.module(5, {}) end)
    assert.has_error(function() iu.module("arena") end)
  end)

  it("names unknown fields and the nearest known one", function()
    refused({ table = {} }, "unknown field 'table'", "did you mean 'tables'?")
    refused(with_table({ primarykey = "id" }), "tables.player", "unknown field 'primarykey'", "'primary_key'")
    refused(with_table({ columns = { { "id", "u64", defualt = 1 } } }), "tables.player.columns[1]", "'defualt'", "'default'")
    refused({ reducers = { go = { run = function() end, param = {} } } }, "reducers.go", "'param'", "'params'")
    refused({ reducers = { go = {} } }, "reducers.go", "run expected")
  end)

  it("names unknown types and the nearest known one, declared ones too", function()
    refused(with_table({ columns = { { "id", "u65" } } }), "tables.player.columns[1] (id)", "unknown type 'u65'", "'u64'")
    refused({ types = { Vector = { { "x", "f32" } } }, tables = { t = { columns = { { "at", "[Vectr]?" } } } } }, "'Vectr'", "'Vector'")
    refused(with_table({ columns = { { "id" } } }), "a type expected, got none")
    refused(with_table({ columns = { { "id", { list = "u8" } } } }), "{ array = T }")
    refused({ types = { u8 = { { "x", "f32" } } } }, "types.u8", "is a type of every module")
    refused({ types = { player = { { "x", "f32" } } }, tables = with_table({}).tables }, "types.player", "a table has that name")
    refused({ types = { S = { sum = { "a", { "a", "u8" } } } } }, "types.S.sum[2]", "a second one of that name")
  end)

  it("names unknown columns wherever columns are named", function()
    for field, value in pairs({ primary_key = "nam", auto_inc = "nam", unique = { "nam" }, indexes = { { "nam" } } }) do
      refused(with_table({ [field] = value }), "tables.player." .. field, "no column 'nam'", "did you mean 'name'?")
    end
    refused(with_table({ auto_inc = "name" }), "an integer column expected, 'name' is string")
    refused(with_table({ primary_key = "id", indexes = { { "id" } } }), "indexes[1]", "a second index on id")
    refused(with_table({ indexes = { { "id", "id" } } }), "column 'id' is there twice")
    refused(with_table({ columns = { { "id", "u64" }, { "id", "u8" } } }), "columns[2] (id)", "a second one of that name")
  end)

  it("takes scheduled tables only where everything fits", function()
    local function tick(change, reducers)
      local t = { columns = { { "id", "u64" }, { "at", "schedule_at" } }, primary_key = "id", auto_inc = "id", scheduled = "on_tick" }
      for key, value in pairs(change) do t[key] = value end
      return { tables = { tick = t }, reducers = reducers or { on_tick = function() end } }
    end
    assert(declare(tick({})))
    refused(tick({ scheduled = "on_tack" }), "tables.tick.scheduled", "no reducer 'on_tack'", "'on_tick'")
    refused(tick({ columns = { { "id", "u64" } } }), "a column of type schedule_at expected")
    refused(tick({ columns = { { "id", "u32" }, { "at", "schedule_at" } } }), "a primary key of type u64 expected, 'id' is u32")
    refused(tick({}, { on_tick = { params = { { "x", "u8" } }, run = function() end } }), "reducers.on_tick.params", "one parameter of type 'tick'")
    assert(declare(tick({}, { on_tick = { params = { { "row", "tick" } }, run = function() end } })))
  end)

  it("keeps the names of the lifecycle for it", function()
    refused({ reducers = { init = function() end } }, "reducers.init", "declare it beside `reducers`")
    refused({ init = "x" }, "init: function expected, got string")
  end)

  it("refuses names that are none", function()
    refused(with_table({ columns = { { "my id", "u64" } } }), "columns[1]", "'my id'")
    refused({ reducers = { ["1st"] = function() end } }, "reducers.1st", "letters, digits and _")
    local made, err = iu.module("my module", {})
    assert.is_nil(made)
    assert.matches("the module's name", err.message)
  end)

  it("is judged by the rules of every module's definition when it is used", function()
    local m = assert(iu.module("odd", { tables = { st_mine = { columns = { { "id", "u8" } } } } }))
    local conn, err = iu.connect("memory:", { module = m })
    assert.is_nil(conn)
    assert.equal("ValidationError", err.kind)
    assert.matches("^module odd: .*st_", err.message)
    m = assert(iu.module("odd", { tables = { t = { columns = { { "id", "u8", default = 300 } } } } }))
    conn, err = iu.connect("memory:", { module = m })
    assert.is_nil(conn)
    assert.matches("tables%.t%.id%.default: expected U8, got 300", err.message)
  end)
end)

describe("the option `module`", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
  end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  local function write(text)
    local path = folder .. "/arena.lua"
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
  end

  local function connect_fails(option, ...)
    local conn, err = iu.connect("memory:", { module = option })
    assert.is_nil(conn)
    assert.is_true(iu.errors.is(err, "ValidationError"), tostring(err))
    for _, part in ipairs({ ... }) do assert.truthy(err.message:find(part, 1, true), err.message .. "\nlacks: " .. part) end
  end

  it("loads files in an environment of their own and says where they are wrong", function()
    local path = write('made_global = 1\nassert(tostring)\nlocal iu = require "inner_universe"\nreturn iu.module("arena", {})\n')
    local conn = assert(iu.connect("memory:", { module = path }))
    assert(conn:close())
    assert.is_nil(rawget(_G, "made_global"))
    connect_fails(write("return {\n  x = = 1 }"), path .. ":2:")
    connect_fails(write("local x\nlocal y = x.z\nreturn y"), path .. ":2:", "index a nil value")
    connect_fails(write("return 5"), path, "should return iu.module(...), returned number")
    connect_fails(write('return require("inner_universe").module("arena", { tabels = {} })'), path, "'tabels'", "'tables'")
    connect_fails(folder .. "/nowhere.lua", "nowhere.lua", "No such file")
  end)

  it("takes a path, a module, or a list of both, and nothing else", function()
    connect_fails(5, "a path or a module (iu.module) expected, got number")
    connect_fails({ a = 1 }, "found the key 'a'")
    connect_fails({ {} }, "module[1]", "got table")
    local a = assert(iu.module("a", {}))
    connect_fails({ a, a }, "two modules are called 'a'")
  end)

  it("is for embedded universes", function()
    local conn, err = iu.connect("ws://127.0.0.1:1/nothing", { module = assert(iu.module("a", {})) })
    assert.is_nil(conn)
    assert.equal("ValidationError", err.kind)
    assert.matches("connect: module: for embedded universes only", err.message)
  end)
end)
