-- Migrations on a universe that is open: order, both ways, one transaction or batches with a checkpoint, dry runs, what does not fit, the lock, states.

local iu = require "inner_universe"
local support = require "support"

local function file(folder, name, body)
  support.write(("%s/%s.lua"):format(folder, name), body)
end

local PEOPLE = [[
return {
  description = "people",
  up = function(m)
    for i = 1, 25 do m:create_entity("Person", { name = "p" .. i, properties = { age = i } }, ("p%02d"):format(i)) end
    m:create_relation("p01", "p02", "KNOWS", nil, "r1")
    m:set_config("app.level", "1", "of the application")
  end,
  down = function(m)
    m:delete_relation("r1")
    for i = 1, 25 do m:delete_entity(("p%02d"):format(i)) end
    m:set_config("app.level", "0")
  end,
}]]

local AGES = [[
return {
  up = function(m)
    m:update_entities("Person", function(person)
      person.metadata.properties.age = person.metadata.properties.age * 2
      return person.metadata
    end)
  end,
  down = function(m)
    m:update_entities("Person", function(person)
      person.metadata.properties.age = person.metadata.properties.age // 2
      return person
    end)
  end,
}]]

-- fails(n): raises at the n-th person it sees, while the global says so.
local ONLINE = [[
return {
  online = true,
  up = function(m)
    migrations_test.ids[#migrations_test.ids + 1] = m:create_entity("Note", { name = "first" })
    m:update_entities("Person", function(person)
      migrations_test.seen = migrations_test.seen + 1
      if migrations_test.fail == migrations_test.seen then error("on purpose") end
      person.metadata.properties.age = person.metadata.properties.age + 100
      return person.metadata
    end, { size = 4 })
    m:create_entity("Note", { name = "last" })
  end,
  down = function(m)
    m:update_entities("Person", function(person)
      person.metadata.properties.age = person.metadata.properties.age - 100
      return person.metadata
    end, { size = 7 })
    for _, note in ipairs(m:query_entities { entity_type = "Note" }) do m:delete_entity(note.id) end
  end,
}]]

local function open(folder, config)
  local own = { folder = folder, on_pending = "ignore" }
  for key, value in pairs(config or {}) do own[key] = value end
  local m = support.open { plugins = { migrations = own }, log_level = "off" }
  return m, assert(m:plugin("migrations"))
end

local function names(report)
  local out = {}
  for i, each in ipairs(report.done) do out[i] = each.name .. " " .. each.direction end
  return out
end

local function ages(m)
  local list = assert(m:query_entities { entity_type = "Person", order_by = "id" })
  local sum = 0
  for _, person in ipairs(list) do sum = sum + person.metadata.properties.age end
  return #list, sum
end

local function states(g)
  local out = {}
  for i, each in ipairs(assert(g:status()).migrations) do out[i] = each.state end
  return out
end

describe("migrations of an open universe", function()
  after_each(function()
    _G.migrations_test = nil
    support.clean()
  end)

  it("are applied in the order of their numbers, once, and taken back", function()
    local folder = support.folder()
    file(folder, "0002_ages", AGES)
    file(folder, "0001_people", PEOPLE)
    support.write(folder .. "/README.md", "no migration")
    local m, g = open(folder)
    assert.same({ "pending", "pending" }, states(g))
    assert.same({ "0001_people up", "0002_ages up" }, names(assert(g:up())))
    assert.same({ 25, 650 }, { ages(m) })
    assert.same({ "applied", "applied" }, states(g))
    assert.same({}, names(assert(g:up())))
    assert.same({ 25, 650 }, { ages(m) })
    assert.equal("1", m.client:connection():get("config", "app.level").value)
    assert.same({ files = 2, applied = 2, pending = 0 }, assert(g:verify()))
    assert.same({ "0002_ages down" }, names(assert(g:down())))
    assert.same({ 25, 325 }, { ages(m) })
    assert.same({ "applied", "pending" }, states(g))
    assert.same({ "0002_ages up" }, names(assert(g:up())))
    assert.same({ "0002_ages down", "0001_people down" }, names(assert(g:down { to = 0 })))
    assert.same({ 0, 0 }, { ages(m) })
    assert.same({ "0001_people up" }, names(assert(g:up { to = "0001" })))
    assert.same({ "0001_people down", "0001_people up" }, names(assert(g:redo())))
    local status = assert(g:status())
    assert.equal("0001", status.current)
    assert.equal(1, status.pending)
    assert.is_false(status.up_to_date)
  end)

  it("leave a record of who, when and how long", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    local m, g = open(folder)
    local before = iu.now()
    assert(g:up())
    local conn = m.client:connection()
    local row = conn:get("schema_migration", "0001")
    assert.equal("0001_people", row.name)
    assert.equal("applied", row.status)
    assert.equal(conn:identity(), row.applied_by)
    assert.equal(64, #row.checksum)
    assert.is_true(support.on_server or row.applied_at >= before)
    local shown = assert(g:status()).migrations[1]
    assert.equal(row.applied_at, shown.applied_at)
    assert.equal(27, shown.step)
  end)

  it("that fail leave nothing, and say which step of which file", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_bad", [[return { up = function(m)
      m:set_config("half", "done")
      m:update_entities("Person", function(person) person.metadata.properties = 7 return person.metadata end)
    end }]])
    file(folder, "0003_never", [[return { up = function(m) m:set_config("never", "") end }]])
    local m, g = open(folder)
    local err = support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "0002_bad.lua", "step 2 (entities Person)", "properties")
    assert.equal("ValidationError", err.cause.kind)
    assert.equal(2, err.details.step)
    assert.is_nil(m.client:connection():get("config", "half"))
    assert.is_nil(m.client:connection():get("config", "never"))
    assert.same({ "applied", "failed", "pending" }, states(g))
    local shown = assert(g:status()).migrations[2]
    assert.equal(2, shown.step)
    assert.truthy(shown.error:find("step 2", 1, true))
    assert.truthy(shown.failed_at)
    -- Mended, it goes on.
    file(folder, "0002_bad", [[return { up = function(m) m:set_config("half", "done") end }]])
    assert.same({ "0002_bad up", "0003_never up" }, names(assert(g:up())))
  end)

  it("raise what goes wrong, so that nobody has to look", function()
    local folder = support.folder()
    file(folder, "0001_ignores", [[return { up = function(m)
      m:create_entity("T", nil, "there")
      m:delete_entity("nowhere")
      m:create_entity("T", nil, "never")
    end }]])
    file(folder, "0002_looks", [[return { up = function(m)
      local entity, err = m:get_entity("nowhere")
      assert(entity == nil and err.kind == "EntityNotFoundError")
      m:create_entity("T", nil, "late")
      assert(m:get_entity("late"))
      assert(#m:query_entities { entity_type = "T" } == 1)
    end }]])
    local m, g = open(folder)
    local _, err = g:up()
    assert.equal("EntityNotFoundError", err.cause.kind)
    support.refused("EntityNotFoundError", m:get_entity("there"))
    file(folder, "0001_ignores", [[return { up = function() end }]])
    assert(g:up())
    assert(m:get_entity("late"))
  end)

  it("online go on where they ended, and do nothing twice", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_online", ONLINE)
    local m, g = open(folder)
    _G.migrations_test = { seen = 0, fail = 11, ids = {} }
    local _, err = g:up()
    assert.equal("MigrationError", err.kind)
    assert.truthy(err.message:find("step 2 (entities Person)", 1, true), err.message)
    assert.same({ "0001_people up" }, names(err.details))
    assert.same({ 25, 325 + 8 * 100 }, { ages(m) }) -- two batches of four
    local shown = assert(g:status()).migrations[2]
    assert.equal("failed", shown.state)
    assert.equal(8, shown.done)
    assert.equal(25, shown.total)
    support.refused("MigrationError", g:down())
    _G.migrations_test.fail = nil
    local report = assert(g:up())
    assert.is_true(report.done[1].resumed)
    assert.same({ 25, 325 + 2500 }, { ages(m) })
    assert.equal(2, #assert(m:query_entities { entity_type = "Note" }))
    assert.equal(_G.migrations_test.ids[1], _G.migrations_test.ids[2]) -- made once, named twice
    assert.same({ "0002_online down" }, names(assert(g:down())))
    assert.same({ 25, 325 }, { ages(m) })
    assert.equal(0, #assert(m:query_entities { entity_type = "Note" }))
  end)

  it("online are stopped at a checkpoint, and one in the middle keeps its way", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_online", ONLINE)
    local m, g = open(folder)
    _G.migrations_test = { seen = 0, ids = {} }
    local stop = false
    local err = select(2, g:up {
      progress = function(event)
        if event.name == "0002_online" and event.done == 12 then stop = true end
      end,
      stop = function() return stop end,
    })
    assert.equal("STOPPED", err.code)
    assert.same({ 25, 325 + 1200 }, { ages(m) })
    assert.same({ "applied", "stopped" }, states(g))
    assert.equal("HALFWAY", select(2, g:down()).code)
    assert.equal("HALFWAY", select(2, g:redo()).code)
    assert.equal("HALFWAY", select(2, g:up { dry_run = true }).code)
    -- What it is made of stays, until it is through.
    file(folder, "0002_online", (ONLINE:gsub("online = true", "online = false")))
    assert.equal("HALFWAY", select(2, g:up()).code)
    os.remove(folder .. "/0002_online.lua")
    local gone = select(2, g:up())
    assert.equal("HALFWAY", gone.code)
    assert.truthy(gone.message:find("baseline", 1, true))
    file(folder, "0002_online", (ONLINE:gsub('m:create_entity%("Note", { name = "first" }%)', 'm:set_config("a", "b")')))
    local moved = select(2, g:up())
    assert.is_nil(moved) -- steps that were done are not looked at again
    assert(g:down())
    file(folder, "0002_online", ONLINE)
    stop = false
    assert.equal("STOPPED", select(2, g:up {
      progress = function(event) if event.name == "0002_online" and event.done == 12 then stop = true end end,
      stop = function() return stop end,
    }).code)
    file(folder, "0002_online", (ONLINE:gsub('m:update_entities%("Person"', 'm:update_entities("People"')))
    assert.truthy(select(2, g:up()).message:find("stopped in step 2 (entities Person), which is entities People now", 1, true))
    file(folder, "0002_online", ONLINE)
    assert(g:up())
    assert.same({ 25, 325 + 2500 }, { ages(m) })
    -- The way back, too.
    stop = false
    assert.equal("STOPPED", select(2, g:down {
      progress = function(event) if event.done == 14 then stop = true end end,
      stop = function() return stop end,
    }).code)
    assert.same({ 25, 325 + 1100 }, { ages(m) })
    assert.equal("HALFWAY", select(2, g:up()).code)
    assert(g:down())
    assert.same({ 25, 325 }, { ages(m) })
  end)

  it("are planned without being executed", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    local m, g = open(folder)
    assert(g:up())
    file(folder, "0002_online", ONLINE)
    file(folder, "0003_more", [[return { description = "more", up = function(m)
      for row in m:rows("entity") do error("no row is given") end
      m:batches("relation", function() error("not called") end)
      m:update_rows("config", function() error("not called") end)
      m:states(function() error("not called") end)
      m:publish_event("E")
      m:add_table("level", { columns = { { "id", "u64" } } })
      m:batches("level", function() end)
      m:drop_table("level")
      error("beyond")
    end }]])
    _G.migrations_test = { seen = 0, ids = {} }
    local before = support.census(m, true)
    local plan = assert(g:plan())
    assert.equal(before, support.census(m, true))
    assert.equal(0, _G.migrations_test.seen)
    assert.equal(2, #plan.migrations)
    local first, second = plan.migrations[1], plan.migrations[2]
    assert.is_true(first.online)
    assert.same({ 1, 25, 1 }, support.pluck(first.steps, "rows"))
    assert.equal("update entities of type Person", first.steps[2].text)
    assert.equal("more", second.description)
    assert.same({ "read", "batches", "update_rows", "states", "write", "add_table", "batches", "drop_table" }, support.pluck(second.steps, "kind"))
    assert.equal(1, second.steps[2].rows)
    assert.equal(0, second.steps[7].rows)
    assert.truthy(second.incomplete:find("beyond", 1, true))
    assert.same({ "down" }, support.pluck(assert(g:plan { direction = "down" }).migrations, "direction"))
  end)

  it("are executed and undone by a dry run", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_ages", AGES)
    local m, g = open(folder)
    local before = support.census(m)
    local report = assert(g:up { dry_run = true })
    assert.is_true(report.dry_run)
    assert.same({ "0001_people up", "0002_ages up" }, names(report))
    assert.equal(25, report.done[2].rows)
    assert.same({ "pending", "pending" }, states(g))
    -- but for the lock, which was there
    assert.equal(before:gsub("plugin_record=%S+", ""), (support.census(m):gsub("plugin_record=%S+", "")))
    file(folder, "0003_bad", [[return { up = function(m) m:delete_entity("p01") end }]])
    local _, err = g:up { dry_run = true }
    assert.equal("ConflictError", err.cause.kind) -- it has a relation
    assert.same({ "pending", "pending", "pending" }, states(g))
  end)

  it("refuse what does not fit, and name the file and the way out", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0003_ages", AGES)
    local m, g = open(folder)
    assert(g:up())
    -- Comments and white space do not count, everything else does.
    file(folder, "0003_ages", "-- a comment\n" .. AGES:gsub("\n", "\r\n  "):gsub("up =", "--[[ a long\none ]] up="))
    assert(g:verify())
    file(folder, "0003_ages", (AGES:gsub("%* 2", "* 3")))
    local err = support.refused("MigrationError", select(1, g:verify()), select(2, g:verify()), "0003_ages.lua", "redo", "baseline")
    assert.equal("CHANGED", err.code)
    support.refused("MigrationError", g:up(), select(2, g:up()))
    support.refused("MigrationError", select(1, g:down()), select(2, g:down()), "redo")
    assert.same({ "applied", "changed" }, states(g))
    assert(g:redo()) -- halved, and three times as much
    assert.same({ 25, 975 }, { ages(m) })
    assert(g:verify())
    file(folder, "0002_late", [[return { up = function(m) m:set_config("late", "1") end, down = function() end }]])
    err = support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "0002_late.lua", "allow-out-of-order")
    assert.equal("OUT_OF_ORDER", err.code)
    assert.same({ "0002_late up" }, names(assert(g:up { allow_out_of_order = true })))
    assert(os.remove(folder .. "/0002_late.lua"))
    err = support.refused("MigrationError", select(1, g:verify()), select(2, g:verify()), "0002_late.lua", "baseline")
    assert.equal("MISSING", err.code)
    assert.same({ "applied", "missing", "applied" }, states(g))
    assert.same({ { version = "0002", name = "0002_late", status = "removed" } }, assert(g:baseline()).recorded)
    assert(g:verify())
    file(folder, "0004_syntax", "return {")
    support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "0004_syntax.lua")
    file(folder, "0004_syntax", "return { up = 7 }")
    support.refused("MigrationError", select(1, g:verify()), select(2, g:verify()), "up: function expected")
    os.remove(folder .. "/0004_syntax.lua")
    file(folder, "03_twice", "return { up = function() end }")
    support.refused("MigrationError", select(1, g:status()), select(2, g:status()), "03_twice.lua", "0003_ages.lua", "same number")
  end)

  it("take a folder as it is for a baseline", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_ages", AGES)
    local m, g = open(folder)
    assert.same({ "0001_people" }, support.pluck(assert(g:baseline { to = 1, dry_run = true }).recorded, "name"))
    assert.same({ "pending", "pending" }, states(g))
    assert(g:baseline { to = 1 })
    assert.same({ "baseline", "pending" }, states(g))
    assert.same({ 0, 0 }, { ages(m) })
    file(folder, "0001_people", (PEOPLE:gsub("25", "26")))
    assert.equal("CHANGED", select(2, g:verify()).code)
    assert.same({ "baseline" }, support.pluck(assert(g:baseline { to = "1" }).recorded, "status"))
    assert(g:verify())
    support.refused("ValidationError", select(1, g:baseline { to = 9 }), select(2, g:baseline { to = 9 }), "to:")
  end)

  it("wait for each other", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    local m, g = open(folder, { lock_timeout = 0 })
    local conn = m.client:connection()
    -- Somebody else of this process: a lease that is alive. Where the universe is embedded one of another process is dead.
    local lease = iu.json.encode { owner = "ada", process = "another", token = "t" }
    assert(conn:call("put_record", "migrations.lock", lease, nil, iu.now() + 3600 * 1000000))
    if support.on_server then
      local err = support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "run by ada")
      assert.equal("LOCKED", err.code)
      assert.is_true(err.retryable)
      assert.equal("ada", assert(g:status()).lock.owner)
      assert(conn:call("put_record", "migrations.lock", lease, nil, 1)) -- it ends
    end
    assert(g:up())
    assert.is_nil(assert(g:status()).lock)
    -- In one process the second waits, and finds nothing left to do.
    assert(g:down())
    local reports = {}
    iu.run(function()
      local tasks = {}
      for i = 1, 2 do
        tasks[i] = iu.spawn(function()
          local report, err = g:up { lock_timeout = 20 }
          reports[i] = report or error(tostring(err))
          return true
        end)
      end
      for _, task in ipairs(tasks) do assert(task:wait()) end
    end)
    assert.equal(1, #reports[1].done + #reports[2].done)
    assert.same({ 25, 325 }, { ages(m) })
  end)

  it("that lost their lock write nothing more", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_online", ONLINE)
    local m, g = open(folder)
    _G.migrations_test = { seen = 0, ids = {} }
    local conn = m.client:connection()
    local _, err = g:up {
      progress = function(event)
        if event.name == "0002_online" and event.done == 8 then
          assert(conn:call("put_record", "migrations.lock", iu.json.encode { owner = "eve", process = "x", token = "x" }, nil, iu.now() + 3600 * 1000000))
        end
      end,
    }
    assert.equal("LOCK_LOST", err.code)
    assert.truthy(err.message:find("eve", 1, true))
    assert.same({ 25, 325 + 800 }, { ages(m) })
    assert.same({ "applied", "running" }, states(g))
    assert(conn:call("put_record", "migrations.lock", "{}", nil, 1))
    assert(g:up())
    assert.same({ 25, 325 + 2500 }, { ages(m) })
  end)

  it("go through rows of a table in batches, and put them back exactly", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    for number, online in pairs { ["0002"] = "false", ["0003"] = "true" } do
      file(folder, number .. "_rows", ([[return { online = %s, up = function(m)
        local seen, batches = 0, 0
        m:batches("entity", { size = 10 }, function(rows)
          assert(#rows <= 10)
          seen, batches = seen + #rows, batches + 1
          for _, row in ipairs(rows) do row.entity_type = row.entity_type .. "+" end
          return rows
        end)
        assert(seen == 25 and batches == 3 and m:count("entity") > 0)
        m:update_rows("relation", function(row) row.metadata.strength = 2.5 return row end)
        m:update_rows("config", function(row) if row.key == "app.level" then return false end end)
      end }]]):format(online))
    end
    local m, g = open(folder)
    assert(g:up { to = 1 })
    local made = assert(m:get_entity("p01"))
    assert(g:up())
    local entity = assert(m:get_entity("p01"))
    assert.equal("Person++", entity.entity_type)
    assert.equal(made.created_at, entity.created_at)
    assert.equal(2.5, assert(m:get_relation("r1")).metadata.strength)
    assert.is_nil(m.client:connection():get("config", "app.level"))
  end)

  it("see what others change meanwhile, and are made again", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    for number, online in pairs { ["0002"] = "false", ["0003"] = "true" } do
      file(folder, number .. "_add", ([[return { online = %s, up = function(m)
        m:update_entities("Person", function(person)
          migrations_test.calls = migrations_test.calls + 1
          if person.id == "p05" and migrations_test.meanwhile then migrations_test.meanwhile() end
          person.metadata.properties.age = person.metadata.properties.age + 1
          return person.metadata
        end, { size = 10 })
      end }]]):format(online))
    end
    local m, g = open(folder)
    assert(g:up { to = 1 })
    for number = 2, 3 do
      local state = { calls = 0 }
      _G.migrations_test = state
      function state.meanwhile()
        state.meanwhile = nil
        assert(m:update_entity("p03", { name = "changed", properties = { age = 1000 * number } }))
      end
      assert(g:up { to = number })
      local changed = assert(m:get_entity("p03"))
      assert.equal(1000 * number + 1, changed.metadata.properties.age)
      assert.equal("changed", changed.metadata.name)
      assert.is_true(state.calls > 25)
    end
    assert.equal(4 + 2, assert(m:get_entity("p04")).metadata.properties.age)
  end)

  it("read rows page by page, update relations, delete, and tell", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    file(folder, "0002_more", [[return { up = function(m)
      local ids, last = {}, ""
      for row in m:rows("entity") do
        assert(row.id > last)
        last, ids[#ids + 1] = row.id, row.id
      end
      assert(#ids == 25 and m:count("relation") == 1)
      m:update_relations("KNOWS", function(relation) relation.metadata.strength = 0.25 return relation end)
      m:update_entities("Person", function(person) if person.id > "p20" then return false end end)
      m:update_entities("Nobody", function() error("there is nobody") end)
      m:publish_event("MIGRATED", { version = m.version, name = m.name, backend = m.backend })
      m.log.info("%s", "all is well")
      m:progress(3, 7)
    end }]])
    local m, g = open(folder, { batch_size = 10 })
    local told = {}
    assert(g:up { progress = function(event) if event.total == 7 then told[#told + 1] = event end end })
    assert.equal(1, #told)
    assert.same({ 3, "0002_more", "up" }, { told[1].done, told[1].name, told[1].direction })
    assert.equal(20, (ages(m)))
    assert.equal(0.25, assert(m:get_relation("r1")).metadata.strength)
    local events = assert(m.event_bus:events { type = "MIGRATED" })
    assert.equal(1, #events)
    assert.equal("0002", events[1].data.version)
  end)

  it("give states another shape, recompute their hashes and keep the old ones", function()
    for _, online in ipairs { "false", "true" } do
      local folder = support.folder()
      file(folder, "0001_states", ([[return { online = %s,
        up = function(m)
          m:states(function(state, version)
            if state.skip then return nil end
            state.score = { points = state.score, of = version.description }
            return state
          end)
        end,
        down = function(m)
          m:states(function(state)
            if state.skip then return nil end
            state.score = state.score.points
            return state
          end)
        end }]]):format(online))
      local m, g = open(folder)
      local store = m.temporal_store
      local ids, hashes = {}, {}
      for i = 1, 6 do
        ids[i] = assert(store:commit_version({ score = i, skip = i == 4 or nil, list = { 1, 2, i } }, "number " .. i))
        hashes[i] = assert(store:data_hash(ids[i]))
      end
      assert(store:branch("side", ids[3]))
      ids[7] = assert(store:commit_version({ score = 7 }, "side", { branch = "side" }))
      assert(g:up())
      for i = 1, 6 do
        local state, version = assert(store:get_state(ids[i])), assert(store:get_version(ids[i]))
        local expected = { score = { points = i, of = "number " .. i }, list = { 1, 2, i } }
        if i == 4 then expected = { score = 4, skip = true, list = { 1, 2, 4 } } end
        support.exactly(expected, state)
        assert.equal(iu.json.hash(expected), version.data_hash)
        local kept = version.metadata.migrations
        if i == 4 then
          assert.is_nil(kept)
        else
          assert.equal(1, #kept)
          assert.equal(hashes[i], kept[1].data_hash)
          assert.equal("0001_states", kept[1].migration)
        end
      end
      assert.equal(7, assert(store:get_state(ids[7])).score.points)
      assert(store:verify())
      assert(g:down())
      for i = 1, 6 do assert.equal(hashes[i], assert(store:get_version(ids[i])).data_hash) end
      assert.equal(2, #assert(store:get_version(ids[1])).metadata.migrations)
      assert(store:verify())
      assert(store:commit_version({ score = 8 }, "and on"))
      assert(store:verify())
      support.clean()
    end
  end)

  it("give states another shape in two steps, or say that one transaction cannot", function()
    for _, online in ipairs { "true", "false" } do
      local folder = support.folder()
      file(folder, "0001_states", ([[return { online = %s, up = function(m)
        m:states(function(state) state.first = 1 return state end)
        m:states(function(state) state.second = 2 return state end)
      end }]]):format(online))
      local m, g = open(folder)
      for i = 1, 3 do assert(m:commit_version({ n = i }, "v" .. i)) end
      local report, err = g:up()
      local expected = { first = 1, second = 2 }
      if online == "false" then
        err = support.refused("MigrationError", report, err, "step 2 (states all)", "was written by step 1 of 0001_states", "online = true")
        assert.equal("ONE_TRANSACTION", err.cause.code)
        expected = {}
      else
        assert(report, tostring(err))
      end
      for _, version in ipairs(assert(m.temporal_store:history())) do
        local state = assert(m.temporal_store:get_state(version.version_id))
        assert.same({ expected.first, expected.second }, { state.first, state.second })
      end
      assert(m.temporal_store:verify())
      support.clean()
    end
  end)

  -- A state whose change is a delta.
  local BIG = ("x"):rep(3000)
  local MARK = "m:states(function(state) migrations_test.meanwhile() state.mark = (state.mark or 0) + 1 return state end)"

  it("give states another shape while others commit", function()
    for _, online in ipairs { "true", "false" } do
      local folder = support.folder()
      file(folder, "0001_states", ("return { online = %s, up = function(m) %s end }"):format(online, MARK))
      local m, g = open(folder)
      local store, late = m.temporal_store, {}
      for i = 1, 4 do assert(m:commit_version({ n = i, big = BIG }, "v" .. i)) end
      -- One before each of the first three states is written: on the head that is about to change, and on those that came meanwhile.
      _G.migrations_test = { meanwhile = function()
        if #late == 3 then return end
        late[#late + 1] = assert(m:commit_version({ n = 100 + #late, big = BIG }, "late"))
      end }
      local report, err = g:up()
      assert(report, tostring(err))
      assert.equal(3, #late)
      assert(store:verify())
      for i, id in ipairs(late) do assert.equal(99 + i, assert(store:get_state(id)).n) end
      for _, version in ipairs(assert(store:history())) do
        assert.equal(version.description ~= "late" and 1 or nil, assert(store:get_state(version.version_id)).mark)
      end
      support.clean()
    end
  end)

  it("give states another shape that programs see which had read them before", function()
    local folder = support.folder()
    _G.migrations_test = { meanwhile = function() end }
    local m, g = open(folder)
    local store = m.temporal_store
    for i = 1, 4 do assert(m:commit_version({ n = i, big = BIG }, "v" .. i)) end
    local draft = assert(store:track())
    draft.n = 5
    local head = assert(store:draft(draft):commit("drafted"))
    file(folder, "0001_states", ("return { online = true, up = function(m) %s end, down = function() end }"):format(MARK))
    if support.on_server then -- another process migrates
      local other = support.open({ plugins = { migrations = { folder = folder, on_pending = "ignore" } }, log_level = "off" }, support.target_of(m))
      assert(other:plugin("migrations"):up())
      support.close(other)
    else
      assert(g:up())
    end
    draft.n = 6
    local id, err = store:draft(draft):commit("too late")
    support.refused("ConflictError", id, err, head, "migration", "track")
    for _, version in ipairs(assert(store:history())) do assert.equal(1, assert(store:get_state(version.version_id)).mark) end
    id = assert(m:commit_version({ n = 7, big = BIG }, "after"))
    support.exactly({ n = 7, big = BIG }, assert(store:get_state(id)))
    draft = assert(store:track())
    draft.n = 8
    id = assert(store:draft(draft):commit("drafted anew"))
    local fresh = support.on_server and support.open({ log_level = "off" }, support.target_of(m)) or m
    assert(fresh.temporal_store:verify())
    support.exactly({ n = 8, big = BIG }, assert(fresh.temporal_store:get_state(id)))
  end)

  it("never write over what an earlier step of one transaction wrote", function()
    local function steps(...)
      local texts = {}
      for i, each in ipairs { ... } do
        local rename = ("function(r) r.metadata.name = r.metadata.name .. '%d' return r end"):format(i)
        texts[i] = each == "rows" and ("m:update_rows('entity', %s)"):format(rename)
          or each == "entities" and ("m:update_entities('Person', %s)"):format(rename)
          or ("m:batches('entity', function(rows) for _, r in ipairs(rows) do (%s)(r) end return rows end)"):format(rename)
      end
      return texts
    end
    for _, list in ipairs { { "rows", "rows" }, { "batches", "batches" }, { "entities", "rows" }, { "rows", "entities" }, { "entities", "entities" } } do
      for _, online in ipairs { "true", "false" } do
        local folder = support.folder()
        file(folder, "0001_twice", ("return { online = %s, up = function(m) %s end }"):format(online, table.concat(steps(table.unpack(list)), " ")))
        local m, g = open(folder)
        assert(m:create_entity("Person", { name = "n" }, "p"))
        local fits = online == "true" or list[1] == "entities" and list[2] == "entities"
        local report, err = g:up()
        if fits then
          assert(report, tostring(err))
        else
          support.refused("MigrationError", report, err, "table `entity` was written by step 1 of 0001_twice before", "online = true")
        end
        assert.equal(fits and "n12" or "n", assert(m:get_entity("p")).metadata.name)
        support.clean()
      end
    end
    -- A dry run is one transaction of all that is pending.
    local folder = support.folder()
    for i = 1, 2 do file(folder, ("000%d_rows"):format(i), ("return { up = function(m) %s end }"):format(steps("rows")[1])) end
    local m, g = open(folder)
    assert(m:create_entity("Person", { name = "n" }, "p"))
    support.refused("MigrationError", select(1, g:up { dry_run = true }), select(2, g:up { dry_run = true }), "0002_rows.lua", "step 1 of 0001_rows", "`to`")
    assert(g:up { dry_run = true, to = 1 })
    assert.equal("n", assert(m:get_entity("p")).metadata.name)
    assert(g:up())
    assert.equal("n11", assert(m:get_entity("p")).metadata.name)
  end)

  it("refuse answers of their functions that would be lost", function()
    local cases = {
      { "m:batches('entity', function(rows) return rows[1] end)", "an array of rows expected" },
      { "m:update_rows('entity', function() return 'x' end)", "row with id = p", "expected a row", "got string" },
      { "m:update_rows('entity', function(r) r.id = 'q' return r end)", "row with id = p", "its key stays", "'q'" },
      { "m:update_entities('Person', function(e) e.entity_type = 'Robot' return e end)", "entity_type: it stays 'Person'", "'Robot'", "m:update_rows" },
      { "m:batches('entity', { sise = 3 }, function() end)", "m:batches: unknown option 'sise'", "did you mean 'size'" },
      { "m:update_entities('Person', function() end, { sise = 3 })", "m:update_entities: unknown option 'sise'" },
      { "m:states(function() end, { brnch = 'main' })", "m:states: unknown option 'brnch'", "did you mean 'branch'" },
      { "m:states(function() end, { branch = 'mian' })", "there is no branch 'mian'" },
    }
    for _, online in ipairs { "true", "false" } do
      local folder = support.folder()
      local m, g = open(folder)
      assert(m:create_entity("Person", { name = "n" }, "p"))
      assert(m:commit_version({ n = 1 }, "v"))
      for _, case in ipairs(cases) do
        file(folder, "0001_case", ("return { online = %s, up = function(m) %s end }"):format(online, case[1]))
        local report, err = g:up()
        support.refused("MigrationError", report, err, table.unpack(case, 2))
      end
      local all = assert(m:query_entities {})
      assert.same({ 1, "p", "Person" }, { #all, all[1].id, all[1].entity_type })
      support.clean()
    end
  end)

  it("go on behind a step that failed where they catch it, but not behind a stop", function()
    local caught = [[return { online = %s, up = function(m)
      pcall(m.update_rows, m, "entity", function() error("on purpose") end)
      m:set_config("between", "1")
      migrations_test.ok, migrations_test.err = pcall(m.update_entities, m, "Person", function(e)
        migrations_test.calls = migrations_test.calls + 1
        e.metadata.name = e.metadata.name .. "!"
        return e
      end, { size = 1 })
      m:create_entity("Note", {}, "note")
    end }]]
    for _, online in ipairs { "true", "false" } do
      local folder = support.folder()
      file(folder, "0001_caught", caught:format(online))
      local m, g = open(folder)
      for i = 1, 4 do assert(m:create_entity("Person", { name = "n" }, "p" .. i)) end
      _G.migrations_test = { calls = 0 }
      local report, err = g:up { stop = function() return _G.migrations_test.calls >= 2 end }
      err = support.refused("MigrationError", report, err)
      assert.equal("STOPPED", err.code)
      if online == "true" then assert.is_false(_G.migrations_test.ok) end
      assert.is_nil((m:get_entity("note")))
      assert.equal(0, assert(g:status()).applied)
      report = assert(g:up())
      assert.equal(4, report.done[1].steps)
      assert(m:get_entity("note"))
      for i = 1, 4 do assert.equal("n!", assert(m:get_entity("p" .. i)).metadata.name) end
      support.clean()
    end
  end)

  it("find every file that is meant for them, whatever it is called", function()
    local folder = support.folder()
    local m, g = open(folder)
    file(folder, "helpers", "error('no migration')") -- the program's own
    for _, name in ipairs { "0001-dash", "0001name", "0001_", "0001_a b", "99999999999999999999_number" } do
      file(folder, name, "return { up = function() end }")
      support.refused("MigrationError", select(1, g:up()), select(2, g:up()), name .. ".lua: no name of a migration", "NNNN_name.lua")
      assert(os.remove(("%s/%s.lua"):format(folder, name)))
    end
    file(folder, "0001_raises", "error('while loading')")
    support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "0001_raises.lua: it raised while it was loaded", "while loading")
    assert(os.remove(folder .. "/0001_raises.lua"))
    local fine = "return { up = function(m) m:set_config('n', '1') end, down = function(m) m:set_config('n', '0') end }"
    file(folder, "0000_zero", fine)
    file(folder, "0001_one", fine:gsub("'n'", "'one'"))
    assert.equal(2, #assert(g:up()).done)
    -- More digits: they are still those that were applied.
    assert(os.rename(folder .. "/0000_zero.lua", folder .. "/000000_zero.lua"))
    assert(os.rename(folder .. "/0001_one.lua", folder .. "/000001_one.lua"))
    assert.equal(0, #assert(g:up()).done)
    assert.same({ "000001_one down", "000000_zero down" }, names(assert(g:down { to = 0 })))
    assert.equal("0", m.client:connection():get("config", "one").value)
    assert.same({ "pending", "pending" }, states(g))
    assert.equal(2, #assert(g:up()).done)
    assert.equal(2, #support.rows(m.client:connection(), "schema_migration"))
  end)

  it("that are too much for one transaction say how they can be run", function()
    if support.on_server then return end -- 100,000 events take a server too long
    local folder = support.folder()
    file(folder, "0001_much", [[return { up = function(m) for i = 1, 100001 do m:publish_event("E") end end }]])
    local m, g = open(folder)
    support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "too much for one transaction", "online = true")
    assert.equal(0, #m.event_bus:events { type = "E" })
  end)

  it("have caps: files, bytes of a file, bytes of an error that is kept", function()
    local folder = support.folder()
    file(folder, "0001_a", "return { up = function(m) error(('ü'):rep(1000), 0) end }")
    local m, g = open(folder, { files_max = 2, file_bytes_max = 1024, error_bytes_max = 101 })
    assert.is_nil((g:up()))
    local kept = assert(g:status()).migrations[1].error
    assert.is_true(#kept <= 101 and #kept > 90 and utf8.len(kept) ~= nil, kept)
    assert.equal("...", kept:sub(-3))
    file(folder, "0002_b", "return { up = function() end } -- " .. ("x"):rep(1000))
    support.refused("MigrationError", select(1, g:verify()), select(2, g:verify()), "larger than 1024 bytes")
    file(folder, "0003_c", "return { up = function() end }")
    support.refused("MigrationError", select(1, g:status()), select(2, g:status()), "3 files, at most 2")
    assert(m)
  end)

  it("leave the schema of an open universe as it is", function()
    local folder = support.folder()
    file(folder, "0001_schema", [[return { up = function(m) m:add_table("level", { columns = { { "id", "u64" } } }) end }]])
    local _, g = open(folder)
    local err = support.refused("MigrationError", select(1, g:up()), select(2, g:up()), "m:add_table", support.on_server and "m:publish" or "iu migrate up")
    assert.equal("SCHEMA", err.cause.code)
  end)

  it("refuse options that nobody knows, and wrong types at the caller's line", function()
    local _, g = open(support.folder())
    support.refused("ValidationError", select(1, g:up { dryrun = true }), select(2, g:up { dryrun = true }), "unknown option 'dryrun'", "dry_run")
    support.refused("ValidationError", g:up { to = 3 })
    support.refused("ValidationError", g:plan { direction = "sideways" })
    support.refused("ValidationError", g:new("a/b"))
    support.raises_here(function() g:up("0001") end, "bad argument #1 to 'up'")
    support.raises_here(function() g:new() end, "bad argument #1 to 'new'")
  end)

  it("write the next file from a template that loads", function()
    local folder = support.folder() .. "/deeper/migrations"
    local _, g = open(folder)
    assert.equal(folder .. "/0001_first_one.lua", g:new("first one"))
    assert.equal(folder .. "/0002_second.lua", g:new("second", { description = 'say "hi"', online = true }))
    assert.same({ "pending", "pending" }, states(g))
    local shown = assert(g:status()).migrations[2]
    assert.equal('say "hi"', shown.description)
    assert.is_true(shown.online)
    assert(g:up())
  end)
end)

describe("opening with migrations pending", function()
  after_each(support.clean)

  it("warns, refuses, or says nothing", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    local target = support.target()
    local config = { plugins = { migrations = { folder = folder, on_pending = "refuse" } }, log_level = "warn", token = support.token(target) }
    local m, err = iu.open(target, config)
    support.refused("MigrationError", m, err, "1 migration is pending", "0001_people", "iu migrate up")
    assert.equal("PENDING", err.code)
    local said = {}
    local before = iu.log.set_sink(function(level, message, source) said[#said + 1] = ("%s %s %s"):format(level, source, message) end)
    config.plugins.migrations.on_pending = "warn"
    m = support.open(config, target)
    iu.log.set_sink(before)
    assert.truthy(table.concat(said, "\n"):find("warn migrations .*1 migration is pending"), table.concat(said, "\n"))
    local health
    for _, row in ipairs(assert(m:status()).plugins) do
      if row.name == "migrations" then health = row.state end
    end
    assert.equal("started", health)
    assert(m:plugin("migrations"):up())
    if support.keeps then
      config.plugins.migrations.on_pending = "refuse"
      m = support.reopen(m, config)
      assert.equal(25, (ages(m)))
    end
  end)

  it("is told by the plugin's health, where it matters", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    local m, g = open(folder)
    local ok, facts = g:health()
    assert.is_true(ok)
    assert.same({ 0, 1 }, { facts.applied, facts.pending })
    assert(g:up())
    assert.same({ folder = folder, applied = 1, pending = 0, current = "0001" }, select(2, g:health()))
    os.remove(folder .. "/0001_people.lua")
    ok, facts = g:health()
    assert.is_nil(ok)
    assert.truthy(facts:find("0001_people.lua", 1, true))
    assert(m:shutdown())
    support.raises_here(function() g:status() end, "migrations is closed")
    local strict = select(2, open(folder, { on_pending = "warn" }))
    file(folder, "0001_people", PEOPLE)
    ok, facts = strict:health()
    assert.is_nil(ok)
    assert.truthy(facts:find("1 migration is pending", 1, true))
  end)

  it("can be tried again after a refusal", function()
    local folder = support.folder()
    file(folder, "0001_people", PEOPLE)
    local target = support.target()
    local m = assert(iu.manager(support.config(target, { plugins = { migrations = { folder = folder, on_pending = "refuse" } }, log_level = "off" })))
    support.owned(m)
    support.refused("MigrationError", m:initialize())
    assert.is_false(m:is_initialized())
    assert(os.remove(folder .. "/0001_people.lua"))
    assert.is_true(m:initialize())
    assert(m:plugin("migrations"):verify())
  end)

  it("refuses a configuration that makes no sense", function()
    for name, value in pairs { on_pending = "maybe", batch_size = 0, lease = 0, folder = "" } do
      local m = support.open { plugins = { migrations = { [name] = value } }, log_level = "off" }
      local _, err = m:plugin("migrations")
      assert.equal("PluginError", err.kind)
      assert.truthy(err.message:find(name, 1, true), err.message)
    end
  end)
end)
