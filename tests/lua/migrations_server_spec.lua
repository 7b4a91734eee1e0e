-- Migrations of a server's schema: a module published in place of the one that runs; what a plan says of it; what is refused. And the comparison of schemas by
-- itself.
-- sanitizers: skip (it compiles modules; what runs of the library is in migrations_spec, too)

local iu = require "inner_universe"
local command = require "command"
local module_variant = require "module_variant"
local spacetimedb = require "spacetimedb"

local there = spacetimedb.address and spacetimedb.wasm and module_variant.possible()
local with_server = there and it or pending

describe("migrations of a server", function()
  local folder, name, token, m

  before_each(function()
    folder = command.folder()
    assert(os.execute("mkdir " .. command.quote(folder .. "/m")))
  end)

  after_each(function()
    if m then m:shutdown() end
    m = nil
    os.execute("rm -rf " .. command.quote(folder))
    if name then spacetimedb.discard(name, token) end
    name = nil
  end)

  local function open()
    local fresh = spacetimedb.name()
    token = assert(spacetimedb.publish(fresh))
    name = fresh
    m = assert(iu.open(("%s/%s"):format(spacetimedb.address, name), {
      token = token, log_level = "off", plugins = { migrations = { folder = folder .. "/m", on_pending = "ignore" } },
    }))
    return assert(m:plugin("migrations"))
  end

  local function migration(text, ...)
    return command.write(folder .. "/m/0001_module.lua", text:format(...))
  end

  local function step_of(g) return assert(g:plan()).migrations[1].steps[1] end

  with_server("publish a module that the server accepts, and go on with data", function()
    local wasm = module_variant.build(folder .. "/table", module_variant.CHANGES.table)
    migration([[return { online = true, up = function(m)
      assert(m.backend == "server")
      m:publish(%q)
      m:create_entity("Person", { name = "Ada" }, "ada")
      m:update_entities("Person", function(e) e.metadata.name = e.metadata.name .. "!" return e end)
    end }]], wasm)
    local g = open()
    local conn = m.client:connection()
    local step = step_of(g)
    assert.equal("publish", step.kind)
    assert.is_true(step.module.accepted)
    assert.same({ { table = "extra", what = "table added", accepted = true } }, step.module.changes)
    assert.is_nil(conn:schema().tables.extra)
    local report = assert(g:up())
    assert.equal(3, report.done[1].steps)
    assert(conn:schema().tables.extra)
    assert.equal("Ada!", assert(m:get_entity("ada")).metadata.name)
    assert.equal(0, #assert(g:up()).done)
  end)

  with_server("say beforehand what is refused and whom it breaks, and go on once that is mended", function()
    local left_out = module_variant.build(folder .. "/left_out", module_variant.CHANGES.left_out)
    local column = module_variant.build(folder .. "/column", module_variant.CHANGES.column)
    local text = "return { online = true, up = function(m) m:set_config('before', '1') m:publish(%q) m:set_config('after', '1') end }"
    migration(text, column)
    local g = open()
    local module = assert(g:plan()).migrations[1].steps[2].module
    assert.is_false(module.accepted)
    assert.equal("entity", module.changes[1].table)
    assert.equal("column updated_at has another type", module.changes[1].what)
    assert.truthy(module.changes[1].breaks)
    local ok, err = g:up()
    assert.is_nil(ok)
    assert.equal("MigrationError", err.kind)
    assert.truthy(err.message:find("step 2 (publish", 1, true), err.message)
    assert.truthy(err.cause)
    local shown = assert(g:status()).migrations[1]
    assert.equal("failed", shown.state)
    assert.equal(1, shown.step)
    migration(text, left_out)
    module = assert(g:plan()).migrations[1].steps[2].module
    assert.is_false(module.accepted)
    assert.truthy(iu.json.encode(module.changes):find("table removed", 1, true))
    assert.is_true(module.breaks_clients)
    migration(text:gsub("publish%(%%q%)", "publish(%%q, { break_clients = true })"), left_out)
    local allowed = assert(g:plan()).migrations[1].steps[2].module
    assert.equal(module.by == "server", allowed.accepted) -- 2.x takes it then, 1.x never does
    local reducer = module_variant.build(folder .. "/reducer", module_variant.CHANGES.reducer)
    migration(text, reducer)
    module = assert(g:plan()).migrations[1].steps[2].module
    assert.is_true(module.accepted)
    assert.is_false(module.breaks_clients)
    assert(g:up())
    local conn = m.client:connection()
    assert(conn:schema().reducers.extra)
    assert.equal("1", conn:get("config", "after").value)
  end)

  with_server("refuse to publish within a transaction, and what is no module", function()
    migration("return { up = function(m) m:publish(%q) end }", spacetimedb.wasm)
    local g = open()
    local _, err = g:up()
    assert.truthy(err.message:find("online = true", 1, true), err.message)
    migration("return { online = true, up = function(m) m:publish(%q) end }", folder .. "/none.wasm")
    _, err = g:up()
    assert.equal("ValidationError", err.cause.kind)
    local plan = assert(g:plan())
    assert.truthy(plan.migrations[1].steps[1].problem:find("none.wasm", 1, true))
  end)
end)

describe("the difference of two schemas", function()
  local env = setmetatable({}, { __index = _G })
  local changes = assert(loadfile("plugins/migrations/schema_changes.lua", "t", env))()

  local function schema(fn)
    local made = {
      tables = {
        player = { columns = { { "id", "U64" }, { "name", "String" } }, primary_key = "id", public = true,
          indexes = { { columns = { "id" }, unique = true }, { columns = { "name" }, unique = false } } },
      },
      reducers = { spawn = { params = { { "name", "String" } } } },
    }
    if fn then fn(made) end
    return made
  end

  local function only(fn)
    local list = changes.list(schema(), schema(fn))
    assert.equal(1, #list, iu.json.encode(list))
    return list[1]
  end

  it("looks into the types that columns are made of", function()
    local function raw(inner)
      return { typespace = { types = { { Product = { elements = { { name = { some = "at" }, algebraic_type = { Ref = 1 } } } } }, inner } },
        tables = { { name = "player", product_type_ref = 0 } } }
    end
    local function point(of) return { Product = { elements = { { name = { some = "x" }, algebraic_type = { [of] = iu.array {} } } } } } end
    local function with_at(s) s.tables.player.columns = { { "at", "Point" } } end
    local a, b = changes.types_of(raw(point("F32"))), changes.types_of(raw(point("F64")))
    assert.same(iu.array {}, changes.list(schema(with_at), schema(with_at), a, changes.types_of(raw(point("F32")))))
    assert.equal("column at has another type", changes.list(schema(with_at), schema(with_at), a, b)[1].what)
    assert.truthy(changes.types_of(raw({ Ref = 1 }))) -- a type that is itself has an end
  end)

  it("tells what 1.x accepts and which clients break", function()
    assert.same(iu.array {}, changes.list(schema(), schema()))
    assert.equal("nothing changes", changes.text(changes.list(schema(), schema())))
    local cases = {
      { "table added", true, nil, function(s) s.tables.other = s.tables.player end },
      { "table removed", false, "subscribe", function(s) s.tables.player = nil end },
      { "column hp was appended", false, "subscribe", function(s) table.insert(s.tables.player.columns, { "hp", "U32" }) end },
      { "column id moved, column name moved, column hp was inserted", false, "subscribe",
        function(s) table.insert(s.tables.player.columns, 1, { "hp", "U32" }) end },
      { "column name was removed", false, "subscribe", function(s) table.remove(s.tables.player.columns) end },
      { "column name has another type", false, "subscribe", function(s) s.tables.player.columns[2][2] = "U32" end },
      { "became private", true, "not the owner", function(s) s.tables.player.public = false end },
      { "unique (name) added", false, nil, function(s) s.tables.player.indexes[2].unique = true end },
      { "unique (id) removed", true, nil, function(s) s.tables.player.indexes[1].unique = false end },
      { "reducer added", true, nil, function(s) s.reducers.leave = { params = {} } end },
      { "reducer removed", true, "call", function(s) s.reducers.spawn = nil end },
      { "its parameters changed", true, "call", function(s) s.reducers.spawn.params[1][2] = "U32" end },
    }
    for _, case in ipairs(cases) do
      local change = only(case[4])
      assert.equal(case[1], change.what)
      assert.equal(case[2], change.accepted, case[1])
      if case[3] then assert.truthy(change.breaks:find(case[3], 1, true)) else assert.is_nil(change.breaks) end
    end
    assert.truthy(changes.text(changes.list(schema(), schema(cases[2][4]))):find("the server refuses it", 1, true))
  end)
end)
