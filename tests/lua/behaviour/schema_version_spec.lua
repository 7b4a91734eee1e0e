-- A universe whose schema is another than this library's is not opened, and the message says who has to upgrade.

local iu = require "inner_universe"
local support = require "support"

describe("a program of another version", function()
  after_each(support.clean)

  it("may leave out trailing optional parameters", function()
    local conn = support.connect()
    assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }))
    assert(conn:call("put_record", "k", "v"))
    assert.equal("v", conn:get("plugin_record", "k").value)
    support.refused("ValidationError", conn:call("put_record", "k"))
  end)

  it("finds rows from before with the defaults of columns that came later, and may leave those out", function()
    if support.on_server then return end -- modules in Lua are for embedded universes
    local function arena(more)
      return iu.module("arena", {
        tables = { player = { columns = { { "id", "u64" }, { "name", "string" }, table.unpack(more) }, primary_key = "id", public = true } },
        reducers = { add = { params = { { "id", "u64" } }, run = function(ctx, id) ctx.db.player:insert { id = id, name = "p" .. id } end } },
      })
    end
    local conn = support.connect({ module = arena {} })
    assert(conn:call("add", 1))
    if not support.keeps then return end
    conn = support.reopen(conn, { module = arena { { "hp", "u32", default = 100 }, { "guild", "string?", default = iu.null } } })
    assert(conn:call("add", 2))
    assert.same({ id = 1, name = "p1", hp = 100 }, conn:get("player", 1))
    assert.same({ id = 2, name = "p2", hp = 100 }, conn:get("player", 2))
  end)
end)

describe("the schema's version", function()
  after_each(support.clean)

  if not support.keeps then return end -- nothing of memory: is opened again

  local function with_version(version)
    local target = support.target()
    local conn = support.connect(nil, target)
    assert(conn:call("update_config", "schema_version", version, ""))
    assert(conn:close())
    return target
  end

  local function refused(version, ...)
    local target = with_version(version)
    local m, err = iu.open(target, { token = support.token(target), log_level = "off" })
    support.refused("MigrationError", m, err, "its schema version is " .. version, "works with 1", ...)
    assert.equal("SCHEMA_VERSION", err.code)
    assert.equal(version, err.details.schema_version)
    return target, err
  end

  it("of the future wants a newer library", function()
    local target, err = refused("2", "this library is the older one: upgrade it")
    assert.equal("library", err.details.upgrade)
    -- Set right it opens.
    local conn = support.connect(nil, target)
    assert(conn:call("update_config", "schema_version", "1", ""))
    assert(conn:close())
    support.open(nil, target)
  end)

  it("of the past wants a newer universe", function()
    local _, err = refused("0", support.on_server and "the module is the older one" or "the universe is the older one")
    assert.equal("universe", err.details.upgrade)
    refused("strange")
  end)
end)
