-- iu.server against real servers and against one that answers nonsense: every method, and what refusals become.

local iu = require "inner_universe"
local command = require "command"
local spacetimedb = require "spacetimedb"

local NOTHING = { name = { none = {} }, description = { none = {} }, tags = iu.array {}, properties = "{}" }

describe("iu.server", function()
  it("refuses what makes no sense before anything is asked", function()
    local function refused(part, value, err)
      assert.is_nil(value)
      assert.equal("ValidationError", err.kind)
      assert.is_truthy(err.message:find(part, 1, true), err.message)
    end
    refused("http://host:port", iu.server("ftp://x"))
    refused("http://host:port", iu.server("http://x/path"))
    refused("did you mean 'token'", iu.server("http://x", { tokn = "x" }))
    refused("timeout: number expected", iu.server("http://x", { timeout = "long" }))
    local http = assert(iu.server("http://127.0.0.1:1"))
    refused("letters, digits and hyphens", http:publish("a b", "\0asm"))
    refused("WebAssembly", http:publish("ab", "nonsense"))
    refused("policy", http:publish("ab", "\0asm", { policy = "Whatever" }))
    refused("64 hex digits", http:verify("abc"))
    assert.has_error(function() http:publish(5) end)
    local ok, err = http:ping()
    assert.is_nil(ok)
    assert.equal("ConnectionError", err.kind)
  end)

  if not (spacetimedb.address and spacetimedb.wasm) then
    it("works on a server", function() pending("no SpacetimeDB server, or the module is not built") end)
    return
  end
  local url = spacetimedb.address:gsub("^ws", "http")
  local wasm = command.read(spacetimedb.wasm)

  it("makes identities and knows whose a token is", function()
    local http = assert(iu.server(url .. "/"))
    assert.is_true(http:ping())
    assert.is_string(http:health().version)
    local who = assert(http:identity())
    assert.is_truthy(who.identity:match("^%x+$") and #who.identity == 64)
    assert.is_true(http:verify(who.identity, who.token))
    assert.is_false(http:verify(("0"):rep(64), who.token))
    local ok, err = http:verify(who.identity)
    assert.is_nil(ok)
    assert.equal("AuthorizationError", err.kind)
    assert.equal(401, err.details.status)
    assert.is_truthy(http:public_key():find("BEGIN PUBLIC KEY", 1, true))
    ok, err = assert(iu.server(url, { token = "nonsense" })):ping()
    assert.is_nil(ok)
    assert.equal("AuthorizationError", err.kind)
  end)

  it("publishes, describes, names, asks, calls, reads the log and deletes a database", function()
    local anybody = assert(iu.server(url))
    local who = assert(anybody:identity())
    local http = assert(iu.server(url, { token = who.token }))
    local name = spacetimedb.name()
    local done = assert(http:publish(name, wasm))
    assert.equal("created", done.op)
    assert.equal(who.token, done.token)
    assert.equal("updated", assert(http:publish(name, wasm)).op)
    local info = assert(http:info(name))
    assert.same({ who.identity, done.database_identity }, { info.owner_identity, info.database_identity })
    assert.same({ name }, assert(http:names(name)))
    local second = spacetimedb.name()
    assert(http:add_name(name, second))
    assert.equal(2, #assert(http:names(second)))
    assert.is_true(#assert(http:schema(name)).tables >= 16)

    assert.is_true(http:call(name, "create_entity", { "T", NOTHING, { some = "x" } }))
    assert.is_true(http:call(name, "create_entity", { entity_type = "T", metadata = NOTHING, id = { some = "y" } }))
    local ok, err = http:call(name, "create_entity", { "T", NOTHING, { some = "x" } })
    assert.is_nil(ok)
    assert.equal("ConflictError", err.kind)
    ok, err = http:call(name, "no_such_reducer")
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)
    ok, err = http:call(name, "create_entity", { 5 })
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)
    local rows = assert(http:sql(name, "SELECT id, entity_type FROM entity WHERE entity_type = 'T'"))
    assert.equal(2, #rows)
    assert.equal("T", rows[1].entity_type)
    local _, stats = http:sql(name, "DELETE FROM entity WHERE id = 'x'")
    assert.equal(1, stats.rows_deleted)
    ok, err = http:sql(name, "SELECT nonsense")
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)

    local records = assert(http:logs(name, { lines = 5 }))
    assert.is_true(#records > 0 and #records <= 5)
    assert.is_string(records[1].message)
    local heard = 0
    local following <close> = assert(http:follow_logs(name, function(record)
      if record.message:find("exists already", 1, true) then heard = heard + 1 end
    end, { lines = 1 }))
    local before = heard
    http:call(name, "create_entity", { "T", NOTHING, { some = "y" } })
    local finish = iu.now() + 10 * 1000000
    while heard == before and iu.now() < finish do iu.sleep(0.01) end
    assert.is_true(following ~= nil and heard > before, "the log was not followed")

    for _, method in ipairs { "publish", "delete", "logs" } do
      ok, err = anybody[method](anybody, name, method == "publish" and wasm or nil)
      assert.is_nil(ok, method)
      assert.equal("AuthorizationError", err.kind, method .. ": " .. err.message)
    end
    assert(http:delete(name))
    ok, err = http:info(name)
    assert.is_nil(ok)
    assert.equal("NO_DATABASE", err.code)
  end)
end)
