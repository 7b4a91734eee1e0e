-- Publishing over a database that has data: a module with one more table, reducer or index keeps the data; one that changes a column or leaves a
-- table out is refused with the server's words, and the database stays as it was. The variants are the module's own sources with a line changed.
-- sanitizers: skip (no code of the library runs)

local command = require("command")
local module_variant = require("module_variant")
local spacetimedb = require("spacetimedb")

local there = spacetimedb.address and spacetimedb.wasm and module_variant.possible()
local with_server = there and it or pending

describe("publishing over a database that has data", function()
  local folder, name, token

  before_each(function()
    folder = command.folder()
  end)

  after_each(function()
    os.execute("rm -rf " .. command.quote(folder))
    if name then spacetimedb.discard(name, token) end
    name = nil
  end)

  local function variant(which)
    return module_variant.build(folder, module_variant.CHANGES[which])
  end

  local function prepared()
    local fresh = spacetimedb.name()
    token = assert(spacetimedb.publish(fresh))
    name = fresh
    assert(spacetimedb.call(name, token, "create_entity", [=[["Person", [{"none":[]},{"none":[]},["a"],"{\"age\":36}"], {"some":"ada"}]]=]))
    assert(spacetimedb.call(name, token, "put_record", [=[["k", "v", {"none":[]}, {"none":[]}]]=]))
  end

  local function data()
    -- The log's head goes on with each of these requests where a server connects for them (2.x): events of one type stand for it.
    return spacetimedb.sql(name, token, "SELECT * FROM entity"), spacetimedb.sql(name, token, "SELECT * FROM plugin_record"),
      spacetimedb.sql(name, token, "SELECT * FROM event_log WHERE event_type = 'ENTITY_CREATED'")
  end

  local function updated(what)
    prepared()
    local before = { data() }
    assert.equal(1, #before[1])
    assert.equal(token, assert(spacetimedb.publish(name, variant(what), token)))
    assert.same(before, { data() })
    assert(spacetimedb.call(name, token, "delete_entity", [=[["ada", false]]=])) -- the data is the new module's to change
    assert.equal(0, #(data()))
  end

  with_server("keeps it when a table was added", function()
    updated("table")
    assert.same({}, spacetimedb.sql(name, token, "SELECT * FROM extra"))
  end)

  with_server("keeps it when a reducer was added", function()
    updated("reducer")
    assert(spacetimedb.call(name, token, "extra", [=[["info"]]=]))
  end)

  with_server("keeps it when an index was added", function()
    updated("index")
    local found = false
    for _, def in ipairs(spacetimedb.schema(name).tables) do
      for _, index in ipairs(def.indexes) do found = found or index.name.some == "entity_updated_at_idx_btree" end
    end
    assert.is_true(found)
  end)

  for _, what in ipairs({ "column", "left_out" }) do
    with_server(what == "column" and "is refused when a column has another type" or "is refused when a table is left out", function()
      prepared()
      local before = { data() }
      local done, words, status = spacetimedb.publish(name, variant(what), token)
      assert.is_nil(done)
      assert.equal(400, status, words)
      assert.truthy(words:find("rejected", 1, true) or words:find("disallowed", 1, true), words)
      assert.truthy(words:find(what == "column" and "entity" or "plugin_record", 1, true) or words:find("client-breaking", 1, true), words)
      assert.same(before, { data() })
    end)
  end
end)
