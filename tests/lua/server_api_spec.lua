-- iu.server against real servers and against one that answers nonsense: every method, and what refusals become.

local iu = require "inner_universe"
local command = require "command"
local peers = require "peer"
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
    refused("http://host:port", iu.server("http://x\0y"))
    refused("a character at 2", iu.server("http://x", { token = "a\nb" }))
    refused("it is empty", iu.server("http://x", { token = "" }))
    refused("answer_bytes_max: 1 or more", iu.server("http://x", { answer_bytes_max = 0 }))
    refused("names[2]", http:set_names("ab", { "x", "a b" }))
    refused("an array", http:set_names("ab", { "x", y = 1 }))
    local ok, err = http:ping()
    assert.is_nil(ok)
    assert.equal("ConnectionError", err.kind)
  end)

  it("refuses a module file that is none, by its name", function()
    local http = assert(iu.server("http://127.0.0.1:1"))
    local folder = command.folder()
    local function refused(part, wasm)
      local value, err = http:publish("ab", wasm)
      assert.is_nil(value)
      assert.equal("ValidationError", err.kind)
      assert.is_truthy(err.message:find(part, 1, true), err.message)
    end
    refused("absent.wasm: No such file", { path = folder .. "/absent.wasm" })
    refused(folder .. ": Is a directory", { path = folder })
    refused("empty.wasm: it is empty", { path = command.write(folder .. "/empty.wasm", "") })
    refused("text.wasm: a WebAssembly module expected", { path = command.write(folder .. "/text.wasm", "no module") })
    refused("the module's bytes or { path = file } expected", {})
    refused("wasm.path: string expected", { path = 5 })
    refused("unknown key 'pth' (did you mean 'path'?)", { pth = "x" })
    os.execute("rm -rf " .. command.quote(folder))
  end)

  it("is never cut at a zero byte", function()
    local core = require "inner_universe.core"
    for key, request in pairs {
      url = { url = "http://127.0.0.1:1/\0x" }, method = { url = "http://127.0.0.1:1", method = "GET\0" },
      headers = { url = "http://127.0.0.1:1", headers = { { "A", "b\0c" } } }, ca_file = { url = "https://127.0.0.1:1", ca_file = "a\0" },
    } do
      local ok, raised = pcall(core.http, request, print)
      assert.is_false(ok)
      assert.is_truthy(raised:find(key .. ": a zero byte at", 1, true), raised)
    end
    assert.has_error(function() core.http({ url = 5 }, print) end, "url: expected a string, got number")
  end)

  it("raises for what must not wait here, at the caller's line", function()
    local http = assert(iu.server("http://127.0.0.1:1"))
    local here = debug.getinfo(1, "S").short_src
    iu.run(function()
      coroutine.wrap(function()
        for _, method in ipairs { "ping", "health", "info", "describe", "names", "sql", "delete", "publish", "plan", "logs" } do
          local second = method ~= "logs" and "\0asm" or nil
          local line = debug.getinfo(1, "l").currentline + 1
          local ok, raised = pcall(function() local value = http[method](http, "name", second) return value end)
          assert.is_false(ok)
          assert.is_truthy(raised:find(("%s:%d: cannot wait"):format(here, line), 1, true), method .. ": " .. raised)
        end
      end)()
    end)
  end)

  -- What a server says, and what becomes of it.
  describe("told by the double", function()
    local peer, http, name, token

    setup(function()
      peer = peers.start { "--as", "2.8.3" }
      name, token = peer:database()
      http = assert(iu.server("http://" .. peer.address, { token = token }))
    end)
    teardown(function() peer:stop() end)

    local function answer(status, body)
      peer:fault(assert(iu.json.encode { http_answer = { status = status, body = body } }))
    end

    local function refused(kind, retryable, part, value, err)
      assert.is_nil(value)
      assert.equal(kind, err.kind, err.message)
      assert.equal(retryable, err.retryable, err.message)
      assert.is_truthy(err.message:find(part, 1, true), err.message)
      return err
    end

    it("a missing database is claimed only where the words say so", function()
      for _, words in ipairs { "`d1` not found", "No such database.", "" } do
        answer(404, words)
        assert.equal("NO_DATABASE", refused("ConnectionError", false, "404", http:info(name)).code)
      end
      answer(404, "<html>nothing here</html>")
      assert.equal("CONNECTION", refused("ConnectionError", false, "nothing here", http:info(name)).code)
      answer(404, "")
      assert.equal("CONNECTION", refused("ConnectionError", false, "404", http:ping()).code)
      answer(404, "No such procedure.")
      refused("ValidationError", false, "No such procedure", http:call(name, "f"))
    end)

    it("a write that failed for unknown reasons is not to be tried again", function()
      answer(500, "the disk is gone")
      refused("ConnectionError", true, "the disk is gone", http:info(name))
      answer(500, "the disk is gone")
      refused("PersistenceError", false, "the disk is gone", http:call(name, "f"))
      answer(500, "unknown import: `env::x` has not been defined")
      refused("MigrationError", false, "unknown import", http:publish(name, "\0asm"))
      answer(504, "not durable yet")
      refused("TimeoutError", false, "not durable", http:publish(name, "\0asm"))
      answer(500, "broken")
      refused("ConnectionError", true, "broken", http:sql(name, "SELECT 1"))
      answer(500, "broken")
      refused("ConnectionError", false, "broken", http:sql(name, "DELETE FROM t"))
      answer(503, "busy")
      refused("OverloadedError", true, "busy", http:call(name, "f"))
      answer(413, "Failed to buffer the request body: length limit exceeded")
      refused("OverloadedError", false, "length limit", http:call(name, "f"))
    end)

    it("a refusal keeps its kind whatever its status", function()
      answer(500, "Permission denied: not the owner")
      refused("AuthorizationError", false, "Permission denied", http:publish(name, "\0asm"))
      answer(401, '{"PermissionDenied":{"name":"d1"}}')
      refused("AuthorizationError", false, 'PermissionDenied: {"name":"d1"}', http:publish(name, "\0asm"))
      answer(400, "Database update rejected: a column was removed")
      refused("MigrationError", false, "a column was removed", http:publish(name, "\0asm"))
      answer(530, "CONFLICT: it exists")
      refused("ConflictError", true, "it exists", http:call(name, "f"))
    end)

    it("an answer that is no success is named", function()
      answer(200, '{"TldNotRegistered":{"domain":"d1"}}')
      refused("MigrationError", false, 'did not say Success but TldNotRegistered: {"domain":"d1"}', http:publish(name, "\0asm"))
      answer(200, '{"PermissionDenied":{"domain":"d1"}}')
      refused("AuthorizationError", false, "PermissionDenied", http:publish(name, "\0asm"))
      answer(200, "[1]")
      refused("MigrationError", false, "did not say Success but [1]", http:publish(name, "\0asm"))
      answer(200, "hello")
      refused("ConnectionError", true, "no JSON", http:publish(name, "\0asm"))
      answer(400, '{"OtherError":"the name is in use"}')
      refused("ValidationError", false, "OtherError: the name is in use", http:set_names(name, { "x" }))
      answer(401, '{"NotYourDatabase":{"database":"00"}}')
      refused("AuthorizationError", false, "NotYourDatabase", http:set_names(name, { "x" }))
      answer(200, '"Success"')
      assert.is_true(http:set_names(name, { "x", "y" }))
    end)

    it("tells a migration plan", function()
      answer(200, '{"AutoMigrate":{"migrate_plan":"add table x","break_clients":true,"token":"0xab","major_version_upgrade":false}}')
      assert.same({ automatic = true, plan = "add table x", break_clients = true, migration_token = "0xab", major_version_upgrade = false },
        http:plan(name, "\0asm"))
      answer(200, '{"ManualMigrate":{"reason":"a column was removed","major_version_upgrade":false}}')
      assert.same({ automatic = false, reason = "a column was removed", major_version_upgrade = false }, http:plan(name, "\0asm"))
      answer(404, "`d1` not found")
      assert.equal("NO_DATABASE", refused("ConnectionError", false, "404", http:plan(name, "\0asm")).code)
      answer(404, "")
      refused("ValidationError", false, "tells no plans", http:plan(name, "\0asm"))
      answer(200, "{}")
      refused("ConnectionError", false, "no plan that is known here", http:plan(name, "\0asm"))
    end)

    it("is read like a real one's: the same rows over HTTP as over the wire", function()
      local conn <close> = assert(iu.connect(("ws://%s/%s"):format(peer.address, name), { token = token }))
      assert(conn:call("create_entity", "Person", { name = "Ada", tags = { "t" }, properties = "{}" }, "e1"))
      for _, text in ipairs { "SELECT * FROM entity", "SELECT * FROM config" } do
        local rows = assert(http:sql(name, text))
        assert.is_true(#rows > 0)
        assert.same(assert(conn:query(text)), rows)
      end
    end)

    it("does not know whether a write was applied whose answer is cut, and knows what never left", function()
      peer:fault('{"cut_http_after":20}')
      local nothing = iu.json.decode('{"name":null,"description":null,"tags":[],"properties":"{}"}')
      local ok, err = http:call(name, "create_entity", { "Cut", nothing, { some = "cut-1" } })
      assert.is_nil(ok)
      assert.equal("ConnectionError", err.kind)
      assert.equal("UNKNOWN_OUTCOME", err.code)
      assert.is_false(err.retryable)
      assert.is_truthy(err.message:find("create_entity: it was sent", 1, true), err.message)
      assert.equal(1, #assert(http:sql(name, "SELECT * FROM entity WHERE id = 'cut-1'")))
      peer:fault('{"cut_http_after":20}')
      ok, err = http:sql(name, "SELECT * FROM entity")
      assert.is_nil(ok)
      assert.not_equal("UNKNOWN_OUTCOME", err.code)
      assert.is_true(err.retryable)
      ok, err = assert(iu.server("http://127.0.0.1:1", { token = token })):call(name, "create_entity", {})
      assert.is_nil(ok)
      assert.not_equal("UNKNOWN_OUTCOME", err.code)
      assert.is_true(err.retryable)
    end)

    it("an answer over the cap is refused", function()
      local small = assert(iu.server("http://" .. peer.address, { answer_bytes_max = 100 }))
      assert.is_true(small:ping())
      refused("OverloadedError", true, "limit of 100 bytes", small:schema(name))
    end)

    it("decodes the values of SQL by the answer's own types, and each statement's", function()
      local columns = [=[{"schema":{"elements":[
        {"name":{"some":"id"},"algebraic_type":{"U64":[]}},
        {"name":{"some":"at"},"algebraic_type":{"Product":{"elements":[
          {"name":{"some":"__timestamp_micros_since_unix_epoch__"},"algebraic_type":{"I64":[]}}]}}},
        {"name":{"some":"who"},"algebraic_type":{"Product":{"elements":[{"name":{"some":"__identity__"},"algebraic_type":{"U256":[]}}]}}},
        {"name":{"some":"link"},"algebraic_type":{"Product":{"elements":[{"name":{"some":"__connection_id__"},"algebraic_type":{"U128":[]}}]}}},
        {"name":{"some":"took"},"algebraic_type":{"Product":{"elements":[{"name":{"some":"__time_duration_micros__"},"algebraic_type":{"I64":[]}}]}}},
        {"name":{"some":"note"},"algebraic_type":{"Sum":{"variants":[{"name":{"some":"some"},"algebraic_type":{"String":[]}},
          {"name":{"some":"none"},"algebraic_type":{"Product":{"elements":[]}}}]}}},
        {"name":{"some":"place"},"algebraic_type":{"Product":{"elements":[{"name":{"some":"x"},"algebraic_type":{"F32":[]}},
          {"name":{"some":"y"},"algebraic_type":{"F32":[]}}]}}},
        {"name":{"some":"kind"},"algebraic_type":{"Sum":{"variants":[{"name":{"some":"Plain"},"algebraic_type":{"Product":{"elements":[]}}},
          {"name":{"some":"Rgb"},"algebraic_type":{"Array":{"U8":[]}}}]}}}]},]=]
      answer(200, "[" .. columns .. [=["rows":[[18446744073709551615,[5],["0xc200"],[255],[-7],[0,"hi"],[1.5,2.0],[1,"ff00"]],
        [1,[0],["0x0"],[0],[0],[1,[]],[0.0,0.0],[0,[]]]],"stats":{"rows_inserted":0,"rows_deleted":0,"rows_updated":0}},
        {"schema":{"elements":[]},"rows":[],"stats":{"rows_inserted":2,"rows_deleted":0,"rows_updated":0}}]]=])
      local rows, facts = assert(http:sql(name, "SELECT *"))
      assert.equal("18446744073709551615", tostring(rows[1].id))
      rows[1].id = nil
      assert.same({ at = 5, who = ("0"):rep(60) .. "c200", link = ("0"):rep(30) .. "ff", took = -7, note = "hi", place = { x = 1.5, y = 2.0 },
        kind = { tag = "Rgb", value = "\255\0" } }, rows[1])
      assert.same({ id = 1, at = 0, who = ("0"):rep(64), link = ("0"):rep(32), took = 0, place = { x = 0.0, y = 0.0 }, kind = "Plain" }, rows[2])
      assert.same({ "note", "Option<String>" }, facts.columns[6])
      assert.equal(8, #facts.columns)
      assert.equal(0, facts.rows_inserted)
      assert.equal(2, #facts.results)
      assert.equal(2, facts.results[2].rows_inserted)
      assert.equal(rows, facts.results[1].rows)
    end)
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
    assert.equal("updated", assert(http:publish(name, { path = spacetimedb.wasm })).op)
    local plan, why = http:plan(name, wasm)
    assert.is_true(plan and plan.automatic or not plan and why.message:find("tells no plans", 1, true) ~= nil, why and why.message)
    local info = assert(http:info(name))
    assert.same({ who.identity, done.database_identity }, { info.owner_identity, info.database_identity })
    assert.same({ name }, assert(http:names(name)))
    local second = spacetimedb.name()
    assert(http:add_name(name, second))
    assert.equal(2, #assert(http:names(second)))
    local third = spacetimedb.name()
    assert.is_true(http:set_names(name, { third }))
    assert.same({ third }, http:names(third))
    assert.equal("NO_DATABASE", select(2, http:info(second)).code)
    assert.is_nil(http:set_names(third, { third })) -- in use
    name = third
    assert.is_true(#assert(http:schema(name)).tables >= 16)
    local described = assert(http:describe(name))
    assert.equal("id", described.tables.entity.primary_key)
    assert.is_truthy(described.reducers.create_entity.signature:find("create_entity(entity_type: String", 1, true))

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
    local whole, facts = assert(http:sql(name, "SELECT * FROM entity WHERE id = 'x'"))
    local conn <close> = assert(iu.connect(("%s/%s"):format(spacetimedb.address, name), { token = who.token }))
    assert.same(assert(conn:query("SELECT * FROM entity WHERE id = 'x'")), whole)
    assert.same({ "id", "String" }, facts.columns[1])
    assert.is_nil(whole[1].metadata.name)
    assert.same(assert(conn:query("SELECT * FROM config WHERE key = 'owner'")), assert(http:sql(name, "SELECT * FROM config WHERE key = 'owner'")))
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
    -- More than the one line there is; a line written while the server turns from reading to following is lost there, so again.
    local finish = iu.now() + 10 * 1000000
    while heard < 2 and iu.now() < finish do
      http:call(name, "create_entity", { "T", NOTHING, { some = "y" } })
      iu.sleep(0.05)
    end
    assert.is_true(following ~= nil and heard >= 2, "the log was not followed")

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

  it("keeps the token of the owner that a publish makes", function()
    local folder, name = command.folder(), spacetimedb.name()
    local file = folder .. "/deep/er/token"
    local http = assert(iu.server(url, { token_file = file }))
    local done = assert(http:publish(name, wasm))
    assert.equal("created", done.op)
    assert.equal(done.token, http.token)
    assert.equal(done.token .. "\n", command.read(file))
    assert.equal("600", command.line("stat -c %a " .. command.quote(file)))
    -- Another program, another time: the same owner.
    local again = assert(iu.server(url, { token_file = file }))
    assert.equal("updated", assert(again:publish(name, wasm)).op)
    assert.equal(done.token, command.read(file):match("%S+"))
    assert.is_table(again:logs(name))
    -- A token that is given is used, and not kept.
    local other = assert(http:identity())
    local ok, err = assert(iu.server(url, { token_file = file, token = other.token })):publish(name, wasm)
    assert.is_nil(ok)
    assert.equal("AuthorizationError", err.kind)
    assert.equal(done.token, command.read(file):match("%S+"))
    assert(again:delete(name))
    -- What is no token is said, not sent.
    command.write(file, "two words\n")
    ok, err = again:publish(name, wasm)
    assert.is_nil(ok)
    assert.is_truthy(err.message:find("cannot be part of a token", 1, true), err.message)
    -- A file that cannot be written: nothing is published that nobody owns.
    local blocked = spacetimedb.name()
    ok = assert(iu.server(url, { token_file = command.write(folder .. "/plain", "x") .. "/token" })):publish(blocked, wasm)
    assert.is_nil(ok)
    assert.equal("NO_DATABASE", select(2, assert(iu.server(url)):info(blocked)).code)
    os.execute("rm -rf " .. command.quote(folder))
  end)

  it("keeps it where connections look for theirs: per server and database", function()
    local folder = command.folder()
    local run = command.sh(("XDG_STATE_HOME=%s %s/scripts/iu run - %s %s %s <<'EOF'\n%s\nEOF"):format(folder, command.quote(command.root), url,
      spacetimedb.name(), spacetimedb.name(), [[
        local iu = require "inner_universe"
        local url, first, second = ...
        local wasm = { path = os.getenv("IU_TEST_WASM") }
        local http = assert(iu.server(url, { token_file = "auto" }))
        local a, b = assert(http:publish(first, wasm)), assert(http:publish(second, wasm))
        print(a.token == b.token)
        for _, name in ipairs { first, second } do
          local conn <close> = assert(iu.connect(url:gsub("^http", "ws") .. "/" .. name, { token_file = "auto" }))
          print(assert(http:info(name)).owner_identity == conn:identity())
          assert(http:delete(name))
        end]]):gsub("IU_TEST_WASM", "INNER_UNIVERSE_TEST_WASM"))
    assert.equal("true\ntrue\ntrue\n", run.out, run.err)
    assert.equal("2", command.line(("ls %s/inner_universe/tokens | wc -l"):format(folder)))
    os.execute("rm -rf " .. command.quote(folder))
  end)
end)
