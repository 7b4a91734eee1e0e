-- iu.migrations on a file that is closed: schema and data in a working copy that takes the file's place, online ones on the file itself, what a failure, a stop
-- and a dry run leave, who is kept out.

local iu = require "inner_universe"
local support = require "support"

local ARENA = [[
local iu = require "inner_universe"
return iu.module("arena", {
  tables = { player = { columns = { { "id", "u64" }, { "name", "string" }, { "xp", "u32" }%s }, primary_key = "id", public = true } },
  reducers = { fill = { params = { { "n", "u32" } }, run = function(ctx, n)
    for i = 1, n do ctx.db.player:insert { id = i, name = "p" .. i, xp = i * 10 } end
  end } },
})]]

local function file(folder, name, body)
  support.write(("%s/%s.lua"):format(folder, name), body)
end

-- A file with 100 players and 5 people, its module, a folder for migrations, and what runs them.
local function world(config)
  local path, folder = support.path() .. ".universe", support.folder()
  local module = folder .. "/modules/arena.lua"
  support.write(module, ARENA:format(""))
  local m = support.open({ module = module, features = config and config.features }, path)
  assert(m.client:connection():call("fill", 100))
  for i = 1, 5 do assert(m:create_entity("Person", { properties = { age = i } }, "e" .. i)) end
  support.close(m)
  local own = { folder = folder .. "/m" }
  for key, value in pairs(config and config.options or {}) do own[key] = value end
  return path, own.folder, assert(iu.migrations(path, own)), module
end

local LEVEL = [[return { description = "levels",
  up = function(m)
    assert(m.backend == "file" and not m.online and m.direction == "up")
    m:add_column("player", "level", "u32", { value = function(row) return row.xp // 100 end })
    m:rename_column("player", "xp", "points")
    m:update_entities("Person", function(e) e.metadata.properties.age = e.metadata.properties.age + 100 return e end)
    m:create_entity("Note", { name = "levels" }, "note")
    m:update_rows("player", function(row) if row.id == 100 then return false end row.name = row.name .. "!" return row end)
    m:batches("player", { size = 30 }, function(rows)
      for _, row in ipairs(rows) do row.points = row.points + 1 end
      return rows
    end)
    m:set_config("app.schema", "2")
  end,
  down = function(m)
    m:drop_column("player", "level")
    m:rename_column("player", "points", "xp")
    m:update_rows("player", function(row) row.name, row.xp = row.name:sub(1, -2), row.xp - 1 return row end)
    m:update_entities("Person", function(e) e.metadata.properties.age = e.metadata.properties.age - 100 return e end)
    m:delete_entity("note")
  end }]]

local function states(g)
  local out = {}
  for i, each in ipairs(assert(g:status()).migrations) do out[i] = each.state end
  return out
end

local function bytes_of(path)
  local handle = assert(io.open(path, "rb"))
  local text = handle:read("a")
  handle:close()
  return text
end

local function looks(path, module, fn)
  local m = support.open({ module = module, log_level = "off" }, path)
  local answer = fn(m, m.client:connection())
  support.close(m)
  return answer
end

describe("migrations of a file", function()
  after_each(support.clean)

  it("change schema, rows and entities at once, and take it all back", function()
    local path, folder, g, module = world()
    file(folder, "0001_level", LEVEL)
    assert.same({ "pending" }, states(g))
    local report = assert(g:up())
    assert.equal("0001_level", report.done[1].name)
    assert.equal(7, report.done[1].steps)
    assert.same({ "applied" }, states(g))
    -- Read of a file that is closed, and of one that is open, it is the same.
    local closed = assert(g:status())
    local open = support.open({ module = assert(iu.file_modules(path)) }, path)
    local while_open = assert(g:status())
    assert.equal(open.client:connection():identity(), closed.migrations[1].applied_by)
    support.close(open)
    assert.truthy(while_open.lock)
    while_open.lock = nil
    support.exactly(closed, while_open)
    support.refused("MigrationError", iu.open(path, { module = module, log_level = "off" })) -- the module's declaration is the old one
    local newer = module:gsub("arena.lua$", "newer.lua")
    support.write(newer, (ARENA:format(', { "level", "u32", default = 0 }'):gsub('"xp"', '"points"'):gsub("xp =", "points =")))
    looks(path, newer, function(m, conn)
      assert.same({ id = 7, name = "p7!", points = 71, level = 0 }, conn:get("player", 7))
      assert.same({ id = 99, name = "p99!", points = 991, level = 9 }, conn:get("player", 99))
      assert.is_nil(conn:get("player", 100))
      assert.equal(103, assert(m:get_entity("e3")).metadata.properties.age)
      assert(m:get_entity("note"))
      assert.equal("2", conn:get("config", "app.schema").value)
      local row = conn:get("schema_migration", "0001")
      assert.equal("applied", row.status)
      assert.equal(conn:identity(), row.applied_by)
      assert.is_true(conn:is_owner())
    end)
    assert(g:down())
    assert.same({ "pending" }, states(g))
    looks(path, module, function(m, conn)
      assert.same({ id = 7, name = "p7", xp = 70 }, conn:get("player", 7))
      assert.equal(3, assert(m:get_entity("e3")).metadata.properties.age)
      support.refused("EntityNotFoundError", m:get_entity("note"))
    end)
  end)

  it("that fail leave the file as it was, but for the record", function()
    local path, folder, g, module = world()
    file(folder, "0001_good", [[return { up = function(m) m:set_config("good", "1") end }]])
    file(folder, "0002_bad", [[return { up = function(m)
      m:add_column("player", "level", "u32", { default = 1 })
      m:create_entity("Note", nil, "note")
      m:retype_column("player", "name", "u32", function(name) return tonumber(name) end)
    end, down = function() end }]])
    local err = support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "0002_bad.lua", "step 3 (retype_column player)")
    assert.equal("MigrationError", err.cause.kind)
    assert.equal("name", err.cause.details.column)
    assert.same({ "applied", "failed" }, states(g))
    looks(path, module, function(m, conn)
      assert.same({ id = 1, name = "p1", xp = 10 }, conn:get("player", 1))
      support.refused("EntityNotFoundError", m:get_entity("note"))
      assert.equal("1", conn:get("config", "good").value)
      local row = conn:get("schema_migration", "0002")
      assert.equal("failed", row.status)
      assert.equal(3, row.step)
      assert.truthy(row.error:find("retype_column", 1, true))
    end)
    -- A way back that fails leaves it applied.
    file(folder, "0002_bad", [[return { up = function(m) m:set_config("x", "1") end, down = function(m) m:delete_entity("nowhere") end }]])
    assert(g:up())
    support.refused("MigrationError", select(1, g:down()), select(2, g:down()), "down: step 1")
    assert.same({ "applied", "applied" }, states(g))
    assert.truthy(assert(g:status()).migrations[2].error)
    support.refused("MigrationError", select(1, g:down { to = 0 }), select(2, g:down { to = 0 }), "no function `down`")
  end)

  it("are executed and undone by a dry run, one after the other", function()
    local path, folder, g = world()
    file(folder, "0001_level", LEVEL)
    file(folder, "0002_more", [[return { online = true, up = function(m)
      m:update_rows("player", function(row) row.level = row.level + 1 return row end)
      m:update_entities("Note", function(e) e.metadata.name = "seen" return e.metadata end)
    end }]])
    local before = bytes_of(path)
    local report = assert(g:up { dry_run = true })
    assert.same({ 1, 2 }, { report.done[1].direction == "up" and 1, report.done[2].steps })
    assert.equal(before, bytes_of(path))
    assert.same({ "pending", "pending" }, states(g))
    assert.is_nil(io.open(path .. ".iu-work", "rb"))
  end)

  it("are verified against the module that the program will open the file with", function()
    local path, folder, g, module = world()
    file(folder, "0001_level", LEVEL)
    local strict = assert(iu.migrations(path, { folder = folder, module = module }))
    local before = bytes_of(path)
    support.refused("MigrationError", strict:up { dry_run = true })
    assert.equal(before, bytes_of(path))
    assert(g:up { dry_run = true })
    support.refused("MigrationError", select(1, strict:up()), select(2, strict:up()), "0001_level")
    assert.same({ "failed" }, states(g))
    looks(path, module, function(_, conn) assert.same({ id = 1, name = "p1", xp = 10 }, conn:get("player", 1)) end)
    -- with one more behind it, it fits
    file(folder, "0002_back", [[return { up = function(m)
      m:drop_column("player", "level")
      m:rename_column("player", "points", "xp")
    end }]])
    assert(strict:up())
    looks(path, module, function(_, conn) assert.equal(11, conn:get("player", 1).xp) end)
  end)

  it("split a table that has rows, and give columns another order", function()
    local path, folder, g, module = world()
    file(folder, "0001_split", [[return { up = function(m)
      m:split_table("player", {
        into = {
          player = { columns = { { "id", "u64" }, { "name", "string" } }, primary_key = "id", public = true },
          score = { columns = { { "player", "u64" }, { "xp", "u32" } }, primary_key = "player", public = true },
        },
        rows = function(row)
          return { player = { id = row.id, name = row.name }, score = row.xp >= 500 and { player = row.id, xp = row.xp } or nil }
        end,
      })
      m:reorder_columns("player", { "name", "id" })
      m:rename_table("score", "scores")
      assert(m:count("scores") == 51)
      m:update_rows("relation", function() error("there is none") end)
      m:update_rows("entity", function(row) if row.id == "e1" then return false end row.entity_type = "Human" return row end)
    end }]])
    assert(g:up())
    support.write(module, [[return require "inner_universe".module("arena", { tables = {
      player = { columns = { { "name", "string" }, { "id", "u64" } }, primary_key = "id", public = true },
      scores = { columns = { { "player", "u64" }, { "xp", "u32" } }, primary_key = "player", public = true } } })]])
    looks(path, module, function(m, conn)
      assert.same({ id = 100, name = "p100" }, conn:get("player", 100))
      assert.same({ player = 50, xp = 500 }, conn:get("scores", 50))
      assert.is_nil(conn:get("scores", 49))
      support.refused("EntityNotFoundError", m:get_entity("e1"))
      assert.equal("Human", assert(m:get_entity("e2")).entity_type)
    end)
  end)

  it("online run on the file itself, with the tables of modules readable", function()
    local path, folder, g, module = world()
    file(folder, "0001_online", [[return { online = true, up = function(m)
      assert(m.backend == "file" and m.online)
      assert(m:count("player") == 100)
      local seen = 0
      for row in m:rows("player") do seen = seen + row.xp end
      m:set_config("sum", tostring(seen))
      m:update_entities("Person", function(e) e.metadata.properties.age = -e.metadata.properties.age return e.metadata end, { size = 2 })
    end }]])
    file(folder, "0002_level", LEVEL)
    assert(g:up())
    assert.same({ "applied", "applied" }, states(g))
    assert(g:down { to = 1 })
    looks(path, module, function(m, conn)
      assert.equal("50500", conn:get("config", "sum").value)
      assert.equal(-5, assert(m:get_entity("e5")).metadata.properties.age)
    end)
    file(folder, "0003_schema", [[return { online = true, up = function(m) m:drop_table("player") end }]])
    local err = support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "m:drop_table")
    assert.equal("SCHEMA", err.cause.code)
  end)

  it("keep a universe's switches as they are", function()
    local path, folder, g, module = world { features = { enable_audit_log = false } }
    file(folder, "0001_a", [[return { up = function(m) m:create_entity("T", nil, "a") end }]])
    file(folder, "0002_b", [[return { online = true, up = function(m) m:create_entity("T", nil, "b") end }]])
    local conn = support.connect({ module = module }, path)
    local before = #support.rows(conn, "event_log")
    support.close(conn)
    assert(g:up())
    conn = support.connect({ module = module }, path)
    assert.equal("false", conn:get("config", "enable_audit_log").value)
    assert.equal(before, #support.rows(conn, "event_log"))
    assert(conn:get("entity", "a") and conn:get("entity", "b"))
  end)

  it("keep everybody else out, and wait for who has the file", function()
    local path, folder, _, module = world()
    file(folder, "0001_level", LEVEL)
    local g = assert(iu.migrations(path, { folder = folder, lock_timeout = 0.3 }))
    local m = support.open({ module = module }, path)
    support.refused("UniverseLockedError", g:up())
    assert.equal("pending", states(g)[1]) -- reading needs no lock
    local plan = assert(g:plan()).migrations[1]
    assert.equal("add column player level", plan.steps[1].text)
    support.close(m)
    local inside
    assert(iu.migrations(path, { folder = folder }):up {
      progress = function()
        if inside == nil then inside = select(2, iu.open(path, { log_level = "off" })) or false end
      end,
    })
    assert.equal("UniverseLockedError", inside.kind)
  end)

  it("are stopped at a checkpoint: nothing of the one that runs stays, what was done before does", function()
    local path, folder, g, module = world()
    file(folder, "0001_first", [[return { up = function(m) m:set_config("first", "1") end }]])
    file(folder, "0002_level", LEVEL)
    local asked = 0
    local err = select(2, g:up { stop = function()
      asked = asked + 1
      return asked > 6
    end })
    assert.equal("STOPPED", err.code)
    assert.equal(1, #err.details.done)
    assert.same({ "applied", "pending" }, states(g))
    looks(path, module, function(_, conn)
      assert.same({ id = 1, name = "p1", xp = 10 }, conn:get("player", 1))
    end)
    assert(g:up())
    assert.same({ "applied", "applied" }, states(g))
  end)

  it("plan with the numbers of rows that the tables have", function()
    local path, folder, g = world()
    file(folder, "0001_level", LEVEL)
    local before = bytes_of(path)
    local steps = assert(g:plan()).migrations[1].steps
    assert.same({ 100, 100, 5, 1, 100, 100, 1 }, support.pluck(steps, "rows"))
    assert.equal(before, bytes_of(path))
  end)

  it("plan with them where no copy can be made, as while the file is open", function()
    local path, folder, g, module = world()
    file(folder, "0001_level", LEVEL)
    local m = support.open({ module = module }, path)
    assert.same({ 100, 100, 5, 1, 100, 100, 1 }, support.pluck(assert(g:plan()).migrations[1].steps, "rows"))
    support.close(m)
  end)

  it("have no steps inside of steps, and no m inside of a row", function()
    local path, folder, g, module = world()
    for _, case in ipairs {
      { "m:batches('player', function() m:drop_table('player') end)", "drop_table player inside of a batch" },
      { "m:batches('player', function() m:update_entities('Person', function() end) end)", "inside of a batch" },
      { "m:update_rows('player', function() m:create_entity('Note', {}) end)", "row with id = 1: m inside of a function over rows of `player`" },
      { "m:add_column('player', 'n', 'u32', { value = function() return m:count('player') end })", "m inside of a function over rows" },
      { "m:retype_column('player', 'xp', 'u64', function(v) m:drop_table('player') return v end)", "m inside of a function over rows" },
    } do
      file(folder, "0001_case", ("return { up = function(m) %s end }"):format(case[1]))
      support.refused("MigrationError", select(1, g:up()), select(2, g:up()), case[2])
    end
    file(folder, "0001_case", [[return { up = function(m)
      pcall(m.update_rows, m, "player", function() m:create_entity("Note", {}) end)
      pcall(m.batches, m, "player", { size = 40 }, function(rows)
        if rows[1].id > 1 then error("in the second batch") end
        return rows
      end)
      m:rename_column("player", "xp", "points")
      m:batches("player", { size = 40 }, function(rows) for _, r in ipairs(rows) do r.points = 7 end return rows end)
      m:rename_column("player", "points", "xp")
    end }]])
    assert.equal(5, assert(g:up()).done[1].steps)
    looks(path, module, function(_, conn)
      for _, row in ipairs(support.rows(conn, "player")) do assert.equal(7, row.xp) end
    end)
  end)

  it("take a baseline, and say what is not there", function()
    local path, folder, g, module = world()
    file(folder, "0001_level", LEVEL)
    assert.equal("baseline", assert(g:baseline()).recorded[1].status)
    assert.same({ "baseline" }, states(g))
    looks(path, module, function(_, conn) assert.same({ id = 1, name = "p1", xp = 10 }, conn:get("player", 1)) end)
    local none = assert(iu.migrations(path .. ".none", { folder = folder }))
    support.refused("StorageError", none:up())
    local answer, err = none:up { create = true, dry_run = true }
    support.refused("StorageError", answer, err, "a dry run makes none")
    file(folder, "0001_level", [[return { up = function(m)
      m:add_table("player", { columns = { { "id", "u64" }, { "name", "string" }, { "xp", "u32" } }, primary_key = "id", public = true })
      m:batches("player", function() error("there are none") end)
    end }]])
    assert(none:up { create = true })
    looks(path .. ".none", module, function(_, conn)
      assert(conn:call("fill", 3))
      assert.equal(3, #support.rows(conn, "player"))
    end)
    support.refused("ValidationError", none:down { create = true })
    support.refused("ValidationError", iu.migrations("memory:"):up())
    support.refused("PluginError", iu.migrations(path, { batch_size = 0 }))
    support.refused("PluginError", iu.migrations(path, { folders = "x" }))
    support.raises_here(function() g:up(1) end, "bad argument #1 to 'up'")
    assert.equal(folder .. "/0002_next.lua", g:new("next"))
  end)

  it("rewrite states in two steps", function()
    local path, folder, g, module = world()
    local m = support.open({ module = module }, path)
    for i = 1, 3 do assert(m:commit_version({ n = i }, "v" .. i)) end
    support.close(m)
    file(folder, "0001_states", [[return { up = function(m)
      m:states(function(state) state.first = 1 return state end)
      m:states(function(state) state.second = 2 return state end)
    end }]])
    assert(g:up())
    looks(path, module, function(manager)
      for _, version in ipairs(assert(manager.temporal_store:history())) do
        local state = assert(manager.temporal_store:get_state(version.version_id))
        assert.same({ 1, 2 }, { state.first, state.second })
        assert.equal(2, #version.metadata.migrations)
      end
      assert(manager.temporal_store:verify())
    end)
  end)

  it("rewrite the states of versions in the copy", function()
    local path, folder, g, module = world()
    local m = support.open({ module = module }, path)
    local ids = {}
    for i = 1, 5 do ids[i] = assert(m:commit_version({ n = i, list = { 1, 2, 3 } }, "v" .. i)) end
    support.close(m)
    file(folder, "0001_states", [[return { up = function(m) m:states(function(state) state.n = { value = state.n } return state end) end,
      down = function(m) m:states(function(state) state.n = state.n.value return state end) end }]])
    assert(g:up())
    looks(path, module, function(manager)
      local store = manager.temporal_store
      assert(store:verify())
      for i = 1, 5 do assert.equal(i, assert(store:get_state(ids[i])).n.value) end
      -- deltas stay deltas
      assert.is_true(assert(store:stats()).deltas >= 3)
    end)
    assert(g:down())
    looks(path, module, function(manager)
      for i = 1, 5 do assert.equal(i, assert(manager.temporal_store:get_state(ids[i])).n) end
      assert(manager.temporal_store:verify())
    end)
  end)
end)
