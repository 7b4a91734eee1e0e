-- iu.working_copy: a universe's file changed as a whole: its tables reshaped, rows of every table read and written without the modules' code, published
-- or thrown away.
-- sanitizers: run

local iu = require("inner_universe")
local support = require("support")

local POINT = { Point = { { "x", "f32" }, { "y", "f32" } }, Shape = { sum = { { "circle", "f32" }, { "box", "Point" }, "none" } } }

local function arena(tables, types, more)
  local declaration = { tables = tables, types = types or POINT, reducers = {} }
  for key, value in pairs(more or {}) do declaration[key] = value end
  return assert(iu.module("arena", declaration))
end

local PLAYER = {
  columns = { { "id", "u64" }, { "name", "string" }, { "at", "Point" }, { "hp", "u32", default = 100 }, { "guild", "string?" }, { "shape", "Shape" } },
  primary_key = "id", auto_inc = "id", unique = { "name" }, indexes = { { "guild" } }, public = true,
}
local NOTE = { columns = { { "text", "string" }, { "weight", "f64" } } } -- without a key
local LOG = { columns = { { "at", "f64" }, { "what", "string" } }, primary_key = "at" } -- a key that SQL cannot keep

local FILL = {
  fill = { params = { { "n", "u32" } }, run = function(ctx, n)
    for i = 1, n do
      ctx.db.player:insert{ name = "p" .. i, at = { x = i, y = -i }, guild = i % 2 == 0 and "even" or nil,
        shape = i % 3 == 0 and "none" or { tag = "circle", value = i } }
      ctx.db.note:insert{ text = "n" .. i, weight = i / 2 }
      ctx.db.log:insert{ at = i / 4, what = "w" .. i }
    end
  end },
}

describe("a working copy", function()
  local path

  local function build(n)
    path = support.path()
    local conn = assert(iu.connect(path, { module = arena({ player = PLAYER, note = NOTE, log = LOG }, POINT, { reducers = FILL }) }))
    assert(conn:call("create_entity", "Person", { name = "Ada", tags = {}, properties = "{}" }, "ada"))
    assert(conn:call("fill", n or 6))
    assert(conn:close())
  end

  before_each(function() build() end)
  after_each(function() support.clean() end)

  local function open(options)
    return support.owned(assert(iu.working_copy(path, options)))
  end

  local function exists(name)
    local file = io.open(name, "rb")
    if file then file:close() end
    return file ~= nil
  end

  -- Publishes, checked against the tables, and opens with them.
  local function publish(copy, tables, types)
    local module = arena(tables, types)
    assert(copy:publish{ module = module })
    return support.owned(assert(iu.connect(path, { module = module })))
  end

  local function by(rows, key)
    local out = {}
    for _, row in ipairs(rows) do out[row[key]] = row end
    return out
  end

  local function listed(copy, name)
    local list = {}
    for row in copy:rows(name) do list[#list + 1] = row end
    return list
  end

  it("shows every table as the file declares it", function()
    local copy = open()
    local tables = by(assert(copy:tables()), "name")
    assert.is_true(tables.entity.nerv)
    assert.is_false(tables.player.nerv)
    assert.same({ { name = "id", type = "u64" }, { name = "name", type = "string" }, { name = "at", type = "(x: f32, y: f32)" }, { name = "hp", type = "u32" },
      { name = "guild", type = "string?" }, { name = "shape", type = "{circle: f32 | box: (x: f32, y: f32) | none}" } }, tables.player.columns)
    assert.equal("id", tables.player.primary_key)
    assert.same({ { "name" } }, tables.player.unique)
    assert.same({ "id" }, tables.player.auto_inc)
    assert.equal(6, copy:count("player"))
    support.refused("ValidationError", nil, select(2, copy:table("plaier")), "did you mean 'player'")
    local rows = assert(copy:sql("SELECT count(*) AS n FROM player WHERE guild = ?", { "even" }))
    assert.equal(3, rows[1].n)
  end)

  it("locks the universe until it ends, and leaves nothing behind", function()
    local copy = open()
    support.refused("UniverseLockedError", nil, select(2, iu.connect(path)))
    support.refused("UniverseLockedError", nil, select(2, iu.working_copy(path)))
    assert.is_true(exists(copy.path))
    assert.is_true(copy:discard())
    assert.is_true(copy:discard())
    assert.is_false(copy:is_open())
    for _, suffix in ipairs({ ".iu-work", ".iu-work-journal", ".iu-work-wal", ".iu-work.lock", ".lock", "-wal" }) do
      assert.is_false(exists(path .. suffix), suffix)
    end
    support.raises_here(function() copy:tables() end, "the working copy is closed")
    local conn = assert(iu.connect(path, { snapshot = true }))
    assert(conn:close())
    local again = assert(iu.connect(path, { module = arena({ player = PLAYER, note = NOTE, log = LOG }) }))
    support.refused("UniverseLockedError", nil, select(2, iu.working_copy(path)))
    assert(again:close())
  end)

  it("is refused for what is no file, and says what is wrong", function()
    support.refused("ValidationError", nil, select(2, iu.working_copy("memory:")), "embedded universe")
    support.refused("ValidationError", nil, select(2, iu.working_copy("ws://127.0.0.1:1/x")), "embedded universe")
    support.refused("StorageError", nil, select(2, iu.working_copy(support.path())), "no universe")
    support.refused("ValidationError", nil, select(2, iu.working_copy(path, { progres = print })), "did you mean 'progress'")
    support.raises_here(function() iu.working_copy(5) end, "path")
  end)

  it("reads and writes rows of every table", function()
    local copy = open()
    assert.equal("p3", copy:get("player", 3).name)
    assert.is_nil(copy:get("player", 99))
    assert.equal(6, #listed(copy, "note"))
    assert.equal("w2", copy:get("log", 0.5).what)
    local stored = assert(copy:put("player", { name = "new", at = { x = 0, y = 0 }, hp = 1, shape = "none" }))
    assert.equal(7, stored.id)
    stored.hp = 2
    assert(copy:put("player", stored))
    assert.equal(2, copy:get("player", 7).hp)
    assert.equal(7, copy:count("player"))
    assert.equal(2, copy:insert("note", { { text = "a", weight = 1 }, { text = "b", weight = 2 } }))
    assert.is_true(copy:delete("note", { text = "a", weight = 1 }))
    assert.is_false(copy:delete("note", { text = "a", weight = 1 }))
    assert.is_true(copy:delete("log", 0.5))
    assert.is_false(copy:delete("log", 0.5))
    assert(copy:put("log", { at = 0.25, what = "other" }))
    assert.equal("other", copy:get("log", 0.25).what)
    assert.equal(5, copy:count("log"))
    local ada = assert(copy:get("entity", "ada"))
    ada.metadata.name = "Lovelace"
    assert(copy:put("entity", ada))
    local conn = publish(copy, { player = PLAYER, note = NOTE, log = LOG })
    assert.equal("Lovelace", conn:get("entity", "ada").metadata.name)
    assert.equal(7, #assert(conn:query("SELECT * FROM player")))
    assert.equal(7, #assert(conn:query("SELECT * FROM note")))
  end)

  it("updates and deletes by a function of the row", function()
    local copy = open()
    assert.same({ rows = 6, changed = 2, deleted = 3 }, assert(copy:update("player", function(row)
      if row.id <= 3 then return false end
      if row.id == 4 then return nil end
      row.hp = row.hp + row.id
      return row
    end)))
    assert.equal(100, copy:get("player", 4).hp)
    assert.equal(106, copy:get("player", 6).hp)
    assert.equal(5, copy:delete_where("note", function(row) return row.weight > 0.5 end))
    assert.equal(1, copy:count("note"))
    assert.equal(7, assert(copy:put("player", { name = "q", at = { x = 0, y = 0 }, hp = 1, shape = "none" })).id) -- numbers go on
  end)

  it("adds, drops and renames columns and tables", function()
    local copy = open()
    assert(copy:add_column("player", "level", "u16", { default = 3 }))
    assert(copy:add_column("player", "title", "string", { value = function(row) return row.name:upper() end, after = "name" }))
    assert(copy:add_column("player", "nick", "string?", { first = true }))
    assert(copy:drop_column("player", "guild"))
    assert(copy:rename_column("player", "hp", "health"))
    assert(copy:rename_table("note", "remark"))
    assert(copy:drop_table("log"))
    assert(copy:add_table("extra", { columns = { { "k", "string" }, { "v", "Pair" } }, primary_key = "k" },
      { types = { Pair = { { "a", "i32" }, { "b", "i32" } } } }))
    assert(copy:insert("extra", { k = "x", v = { a = 1, b = 2 } }))
    local player = { columns = { { "nick", "string?" }, { "id", "u64" }, { "name", "string" }, { "title", "string" }, { "at", "Point" },
      { "health", "u32" }, { "shape", "Shape" }, { "level", "u16" } }, primary_key = "id", auto_inc = "id", unique = { "name" } }
    local conn = publish(copy, { player = player, remark = NOTE, extra = { columns = { { "k", "string" }, { "v", "Point2" } }, primary_key = "k" } },
      { Point = POINT.Point, Shape = POINT.Shape, Point2 = { { "a", "i32" }, { "b", "i32" } } })
    assert.same({ id = 3, name = "p3", title = "P3", at = { x = 3, y = -3 }, health = 100, shape = "none", level = 3 }, conn:get("player", 3))
    assert.equal(6, #assert(conn:query("SELECT * FROM remark")))
    assert.same({ k = "x", v = { a = 1, b = 2 } }, conn:get("extra", "x"))
  end)

  it("keeps where numbers go on", function()
    local copy = open()
    assert(copy:delete("player", 6))
    assert(copy:rename_column("player", "id", "number"))
    assert(copy:reorder_columns("player", { "shape", "number", "hp", "name", "guild", "at" }))
    local player = { columns = { { "shape", "Shape" }, { "number", "u64" }, { "hp", "u32" }, { "name", "string" }, { "guild", "string?" }, { "at", "Point" } },
      primary_key = "number", auto_inc = "number", unique = { "name" } }
    local module = arena({ player = player, note = NOTE, log = LOG }, POINT, { reducers = { add = function(ctx)
      ctx.db.player:insert{ shape = "none", hp = 1, name = "later", at = { x = 0, y = 0 } }
    end } })
    assert(copy:publish{ module = module })
    local conn = support.owned(assert(iu.connect(path, { module = module })))
    assert(conn:call("add"))
    local rows = by(assert(conn:query("SELECT * FROM player")), "name")
    assert.equal(7, rows.later.number)
  end)

  it("retypes columns by a function or without losing anything", function()
    local copy = open()
    assert(copy:retype_column("player", "hp", "i64"))
    assert(copy:retype_column("player", "guild", "string", function(value) return value or "none" end))
    assert(copy:retype_column("player", "name", "[string]"))
    assert(copy:retype_column("note", "weight", "f64?"))
    assert(copy:retype_column("note", "text", "bytes"))
    local row = copy:get("player", 3)
    assert.equal(100, row.hp)
    assert.equal("none", row.guild)
    assert.same({ "p3" }, row.name)
    support.refused("MigrationError", nil, select(2, copy:retype_column("player", "hp", "u8", function(value) return value * 3 end)), "player", "id = 1",
      "hp", "300")
    local err = support.refused("MigrationError", nil, select(2, copy:retype_column("note", "weight", "u8")), "note", "weight")
    assert.equal("note", err.details.table)
    assert.equal("weight", err.details.column)
    assert.equal("0.5", err.details.value)
    assert.equal("ValidationError", err.cause.kind)
    support.refused("ValidationError", nil, select(2, copy:retype_column("player", "at", "u8")), "give a function")
    err = support.refused("MigrationError", nil, select(2, copy:retype_column("player", "hp", "u8", function(value) error({ mine = value }) end)), "id = 1")
    assert.same({ mine = 100 }, err.cause)
    assert.equal(100, copy:get("player", 6).hp) -- as before
    assert.equal("i64", by(copy:table("player").columns, "name").hp.type)
  end)

  local PURSE = { columns = { { "id", "u64" }, { "gold", "u32" } }, primary_key = "id" }
  local SMALL = { columns = { { "id", "u64" }, { "name", "string" } }, primary_key = "id", auto_inc = "id", unique = { "name" } }

  it("splits a table, and merges tables", function()
    local copy = open()
    local ok, summary = copy:split_table("player", {
      into = { player = SMALL, purse = PURSE, note = true },
      rows = function(row)
        return { player = { id = row.id, name = row.name }, purse = row.id % 2 == 0 and { id = row.id, gold = row.hp } or nil,
          note = { { text = row.name, weight = 0 }, { text = row.name, weight = 1 } } }
      end,
    })
    assert(ok, summary)
    assert.same({ rows = 6 }, summary)
    assert.equal(3, copy:count("purse"))
    assert.equal(18, copy:count("note"))
    assert.equal(7, assert(copy:put("player", { name = "seventh" })).id)
    assert(copy:merge_tables("all", { columns = { { "what", "string" } } }, {
      player = function(row) return { what = row.name } end,
      log = function(row) return row.at > 1 and { what = row.what } or false end,
    }))
    assert.equal(7 + 2, copy:count("all"))
    local conn = publish(copy, { all = { columns = { { "what", "string" } } }, purse = PURSE, note = NOTE })
    assert.equal(9, #assert(conn:query("SELECT * FROM \"all\"")))
    assert.same({ id = 4, gold = 100 }, conn:get("purse", 4))
  end)

  it("changes keys and constraints", function()
    local copy = open()
    assert(copy:alter_table("note", { primary_key = "text" }))
    support.refused("MigrationError", nil, select(2, copy:insert("note", { text = "n1", weight = 5 })), "n1")
    assert(copy:alter_table("note", { primary_key = false, unique = { { "text", "weight" } } }))
    assert(copy:alter_table("player", { unique = {}, indexes = { "hp" }, public = true }))
    support.refused("ValidationError", nil, select(2, copy:alter_table("player", { indexes = { "hq" } })), "hq")
    support.refused("MigrationError", nil, select(2, copy:alter_table("player", { unique = { "hp" } })), "hp = 100")
    assert(copy:add_column("log", "number", "u32", { auto_inc = true, first = true }))
    assert(copy:alter_table("log", { primary_key = "number" }))
    assert.equal("w6", copy:get("log", 6).what)
    assert.equal(7, assert(copy:put("log", { at = 9, what = "next" })).number)
    assert.same({ { "text", "weight" } }, copy:table("note").unique)
    local player = { columns = PLAYER.columns, primary_key = "id", auto_inc = "id" }
    local conn = publish(copy, { player = player, note = { columns = NOTE.columns, unique = { { "text", "weight" } } },
      log = { columns = { { "number", "u32" }, { "at", "f64" }, { "what", "string" } }, primary_key = "number", auto_inc = "number" } })
    assert.equal(7, conn:get("log", 7).number)
  end)

  it("lends a universe on itself, without the modules' code", function()
    local copy = open()
    local found = copy:universe(function(manager)
      assert(manager:create_entity("Person", { name = "Bob" }, "bob"))
      assert(manager:commit_version({ a = 1 }, "one"))
      support.refused("ConflictError", nil, select(2, copy:count("player")), "shut it down")
      return #assert(manager.client:connection():query("SELECT * FROM player"))
    end)
    assert.equal(6, found)
    assert(copy:add_column("player", "level", "u16", { default = 1 }))
    assert.equal("Bob", copy:get("entity", "bob").metadata.name)
    copy:connection(function(conn) assert.equal(1, conn:get("player", 1).level) end)
    local columns = table.move(PLAYER.columns, 1, 6, 1, {})
    columns[7] = { "level", "u16" }
    local inits = 0
    local module = arena({ player = { columns = columns, primary_key = "id", auto_inc = "id", unique = { "name" } }, note = NOTE, log = LOG }, POINT,
      { init = function() inits = inits + 1 end })
    assert(copy:publish{ module = module })
    local manager = support.owned(assert(iu.open(path, { module = module })))
    assert.equal("Bob", manager:get_entity("bob").metadata.name)
    assert.equal(0, inits) -- the file remembers its modules
  end)

  it("is published only when the modules open it", function()
    local copy = open()
    assert(copy:drop_column("player", "guild"))
    local before = arena({ player = PLAYER, note = NOTE, log = LOG })
    local err = support.refused("MigrationError", nil, select(2, copy:publish{ module = before }), "player", "guild")
    assert.equal("player", err.details[1].table)
    assert.is_true(copy:is_open())
    assert(copy:add_column("player", "guild", "string?", { after = "hp" }))
    assert(copy:verify(before))
    assert(copy:publish())
    local conn = support.owned(assert(iu.connect(path, { module = before })))
    assert.is_nil(conn:get("player", 2).guild)
  end)

  it("goes on after a publish, and back to it", function()
    local copy = open()
    assert(copy:drop_table("log"))
    assert(copy:publish{ keep_open = true })
    assert(copy:drop_table("note"))
    assert(copy:rollback())
    assert.equal(6, copy:count("note"))
    support.refused("ValidationError", nil, select(2, copy:count("log")), "no table")
    assert(copy:rename_table("note", "remark"))
    assert(copy:discard())
    local conn = support.owned(assert(iu.connect(path, { module = arena({ player = PLAYER, note = NOTE }) })))
    assert.equal(6, #assert(conn:query("SELECT * FROM note")))
  end)

  it("refuses to change the schema of the toolkit's tables", function()
    local copy = open()
    support.refused("MigrationError", nil, select(2, copy:add_column("entity", "x", "u8", { default = 1 })), "frozen")
    support.refused("MigrationError", nil, select(2, copy:drop_table("config")), "frozen")
    support.refused("MigrationError", nil, select(2, copy:rename_table("config", "x")), "frozen")
    support.refused("MigrationError", nil, select(2, copy:merge_tables("x", { columns = { { "a", "u8" } } }, { config = function() end })), "frozen")
  end)

  it("takes a file that was not closed properly", function()
    local conn = assert(iu.connect(path, { module = arena({ player = PLAYER, note = NOTE, log = LOG }, POINT, { reducers = FILL }), durability = "full" }))
    assert(conn:call("create_entity", "Person", { name = "late", tags = {}, properties = "{}" }, "late"))
    local other = support.path() -- as a crash would leave it: with its write-ahead log, and a journal that is not folded
    for _, suffix in ipairs({ "", "-wal" }) do os.execute(("cp '%s%s' '%s%s'"):format(path, suffix, other, suffix)) end
    assert(conn:close())
    path = other
    local copy = open()
    assert.equal("late", copy:get("entity", "late").metadata.name)
    assert(copy:drop_table("log"))
    assert(copy:publish())
    local again = support.owned(assert(iu.connect(path, { module = arena({ player = PLAYER, note = NOTE }) })))
    assert.equal("late", again:get("entity", "late").metadata.name)
  end)

  it("keeps owner and identity, and text indexes right", function()
    local manager = assert(iu.open(path, { module = arena({ player = PLAYER, note = NOTE, log = LOG }) }))
    assert.equal(1, #assert(manager:search_entities("Ada")))
    local before = manager:status().connection
    assert(manager:shutdown())
    local copy = open()
    local ada = copy:get("entity", "ada")
    ada.metadata.name = "Lovelace"
    assert(copy:put("entity", ada))
    assert(copy:publish{ keep_open = true })
    assert(copy:update("entity", function(row)
      row.metadata.description = "countess"
      return row
    end))
    assert(copy:publish())
    manager = support.owned(assert(iu.open(path, { module = arena({ player = PLAYER, note = NOTE, log = LOG }) })))
    assert.equal(before.owner, manager:status().connection.owner)
    assert.equal(before.database_identity, manager:status().connection.database_identity)
    assert.equal(0, #assert(manager:search_entities("Ada")))
    assert.equal("ada", assert(manager:search_entities("lovelace countess"))[1].id)
  end)

  it("keeps the text index of a module's table through every change", function()
    local file = support.path()
    local function doc(name, columns) return { [name] = { columns = columns, primary_key = "id", public = true } } end
    local index = { table = "doc", key = "id", json = "data", texts = { { "title", 1 } } }
    local conn = assert(iu.connect(file, { module = arena(doc("doc", { { "id", "string" }, { "data", "string" }, { "n", "u32" } }), nil, {
      reducers = { fill = function(ctx)
        for i = 1, 6 do ctx.db.doc:insert { id = "k" .. i, data = ('{"title":"alpha beta%d"}'):format(i), n = i } end
      end },
    }) }))
    assert(conn:call("fill"))
    assert.equal(6, #assert(conn:search_text(index, "alpha")))
    assert(conn:close())
    local copy = support.owned(assert(iu.working_copy(file)))
    assert(copy:add_column("doc", "more", "u32", { default = 1, first = true }))
    assert(copy:rename_column("doc", "data", "content"))
    assert(copy:retype_column("doc", "n", "u64"))
    assert(copy:rename_table("doc", "paper"))
    assert(copy:delete_where("paper", function(row) return row.n == 6 end))
    assert(copy:update("paper", function(row)
      if row.n ~= 5 then return nil end
      row.content = '{"title":"gamma"}'
      return row
    end))
    assert(copy:delete("paper", "k4"))
    assert(copy:put("paper", { id = "k3", content = '{"title":"gamma"}', n = 3, more = 1 }))
    assert(copy:insert("paper", { id = "k7", content = '{"title":"alpha"}', n = 7, more = 1 }))
    index.table, index.json = "paper", "content"
    assert(copy:publish())
    conn = support.owned(assert(iu.connect(file, { module = assert(iu.file_modules(file)) })))
    local function found(word)
      local keys = support.pluck(assert(conn:search_text(index, word)), "key")
      table.sort(keys)
      return table.concat(keys, " ")
    end
    assert.same({ "k1 k2 k7", "k3 k5", "k2", "" }, { found("alpha"), found("gamma"), found("beta2"), found("beta4") })
  end)

  it("ends an operation whose progress raises, undone", function()
    support.clean()
    build(3000)
    local stop
    local copy = open({ progress = function(what) if what == stop then error("interrupted") end end })
    stop = "rows"
    local ok, why = pcall(copy.drop_column, copy, "player", "hp")
    assert.is_false(ok)
    assert.truthy(tostring(why):find("interrupted", 1, true))
    stop = nil
    assert.equal(100, copy:get("player", 1).hp)
    assert(copy:drop_table("log"))
    assert(copy:publish())
    support.owned(assert(iu.connect(path, { module = arena({ player = PLAYER, note = NOTE }) })))
  end)

  it("may not be used by the function of a row", function()
    local copy = open()
    local err = support.refused("MigrationError", nil, select(2, copy:update("player", function() copy:count("player") end)), "another operation")
    assert.equal(6, copy:count("player"))
    assert.truthy(tostring(err.cause):find("working_copy_spec", 1, true))
    support.refused("MigrationError", nil, select(2, copy:add_column("player", "n", "u8", { value = function() return copy:count("player") end })),
      "another operation")
  end)

  it("opens a file without its modules by those that the file declares", function()
    local conn = support.owned(assert(iu.connect(path, { module = assert(iu.file_modules(path)) })))
    assert.equal(6, #assert(conn:query("SELECT * FROM player")))
    assert.same({ tag = "circle", value = 1 }, conn:get("player", 1).shape)
  end)
end)
