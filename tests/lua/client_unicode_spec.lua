-- Names beyond ASCII: a module whose table, columns, index and reducer have them, on a real server. The module is ours with these names changed.
-- sanitizers: skip (what is tested here is the server's and ours together; the C tests read such definitions under them)

local iu = require "inner_universe"
local command = require "command"
local module_variant = require "module_variant"
local spacetimedb = require "spacetimedb"

local CHANGES = {
  { "schema.c", '{"plugin_record", "PluginRecord", false, NERV_RECORD_KEY, NULL},', '{"größe_表", "Größe", false, NERV_RECORD_KEY, NULL},' },
  { "schema.c", 'PRODUCT("PluginRecord", plugin_record)', 'PRODUCT("Größe", plugin_record)' },
  { "schema.c", '{"key", "String"}, {"value", "String"}, {"revision", "U64"}, {"expires_at", "Timestamp"}, {"updated_at", "Timestamp"}};',
    '{"schlüssel", "String"}, {"wért", "String"}, {"ревизия", "U64"}, {"expires_at", "Timestamp"}, {"updated_at", "Timestamp"}};' },
  { "schema.c", '{NERV_PLUGIN_RECORD, true, "key"},', '{NERV_PLUGIN_RECORD, true, "schlüssel"},' },
  { "schema.c", '{"set_client_info", "SetClientInfo", NERV_CALLED}', '{"größe_setzen", "SetClientInfo", NERV_CALLED}' },
}

local there = spacetimedb.address and spacetimedb.wasm and module_variant.possible()

describe("names beyond ASCII", function()
  if not there then
    it("work on a server", function() pending("no SpacetimeDB server, or no clang and wasm-ld") end)
    return
  end

  local folder, http, name, target

  setup(function()
    folder = command.folder()
    http = assert(iu.server((spacetimedb.address:gsub("^ws", "http"))))
    name = spacetimedb.name()
    assert(http:publish(name, { path = module_variant.build(folder, CHANGES) }))
    target = spacetimedb.address .. "/" .. name
  end)
  teardown(function()
    http:delete(name)
    os.execute("rm -rf " .. command.quote(folder))
  end)

  it("are read, called, asked for and subscribed", function()
    local conn <close> = assert(iu.connect(target))
    local def = conn:schema().tables["größe_表"]
    assert.equal("schlüssel", def.primary_key)
    assert.same({ "ревизия", "U64" }, def.columns[3])
    assert.equal("schlüssel", def.indexes[1].accessor)
    for i = 1, 3 do assert(conn:call("put_record", "k" .. i, "wört", nil, nil)) end
    assert(conn:call("größe_setzen", "hier"))
    -- Not subscribed: the server is asked, with what its SQL can compare.
    local filters = { { field = "ревизия", operator = "GreaterOrEqual", value = 1 }, { field = "schlüssel", operator = "In", value = { "k1", "k2" } } }
    assert.matches('"schlüssel" = \'k1\'', assert(conn:explain("größe_表", { filters = filters })))
    assert.equal(2, #assert(conn:select("größe_表", { filters = filters, order_by = "schlüssel" })))
    assert.equal("wört", assert(conn:query("SELECT * FROM größe_表 WHERE \"schlüssel\" = 'k3'"))[1]["wért"])
    -- Subscribed: the rows here are asked.
    local heard = {}
    conn.tables["größe_表"]:on_insert(function(row) heard[#heard + 1] = row["schlüssel"] end)
    assert(conn:subscribe("SELECT * FROM größe_表 WHERE schlüssel <> 'k2'"):wait())
    table.sort(heard)
    assert.same({ "k1", "k3" }, heard)
    assert.equal("k3", conn.tables["größe_表"]:get("k3")["schlüssel"])
    assert.equal("k1", conn.tables["größe_表"]:find("schlüssel", "k1")["schlüssel"])
    local _, err = conn:call("größe_setzn", "k", "v")
    assert.equal("ValidationError", err.kind)
    assert.is_truthy(err.message:find("did you mean `größe_setzen`?", 1, true), err.message)
    local all <close> = assert(iu.connect(target, { subscribe = "all" }))
    assert.equal(3, all.tables["größe_表"]:count())
  end)

  it("are told over HTTP and by the command", function()
    assert.equal("größe_setzen(", assert(http:describe(name)).reducers["größe_setzen"].signature:sub(1, #"größe_setzen("))
    assert.equal("größe_setzen: 400", select(2, http:call(name, "größe_setzen", { 5 })).message:sub(1, #"größe_setzen: 400"))
    assert.is_true(http:call(name, "größe_setzen", { "dort" }))
    assert.equal("k1", assert(http:sql(name, "SELECT \"schlüssel\" FROM größe_表 WHERE \"schlüssel\" = 'k1'"))[1]["schlüssel"])
    local run = command.sh(("%s/scripts/iu server describe %s --server %s"):format(command.quote(command.root), name, http.url))
    assert.equal(0, run.status, run.err)
    assert.is_truthy(run.out:find("  größe_表 (public, primary key schlüssel)\n    schlüssel   String\n", 1, true), run.out)
  end)
end)
