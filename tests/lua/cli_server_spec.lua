-- `iu server`, as a shell user meets it, on a server of the run: what it prints where, and its exit status.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"
local spacetimedb = require "spacetimedb"

local quote = command.quote
local NOTHING = [['{"name":{"none":[]},"description":null,"tags":[],"properties":"{}"}']]

describe("iu server", function()
  local folder, port

  setup(function()
    folder = command.folder()
    port = spacetimedb.address and spacetimedb.address:match(":(%d+)$") or "1"
  end)
  teardown(function() os.execute("rm -rf " .. quote(folder)) end)

  -- The server and the state folder come from the environment, as a user would set them.
  local function server(words, environment)
    return command.sh(("XDG_STATE_HOME=%s INNER_UNIVERSE_PORT=%s %s %s/scripts/iu server %s"):format(quote(folder), port, environment or "",
      quote(command.root), words))
  end

  local function refused(status, words, ...)
    local run = server(words)
    assert.equal(status, run.status, run.out .. run.err)
    assert.equal("", run.out)
    assert.matches("^iu: ", run.err)
    for _, text in ipairs { ... } do assert.truthy(run.err:find(text, 1, true), run.err) end
  end

  local function printed(words, environment)
    local run = server(words, environment)
    assert.equal(0, run.status, run.err)
    assert.equal("", run.err)
    return run.out
  end

  it("says what is wrong with its use, without a server", function()
    refused(2, "publish", "arguments are missing", "usage: iu server publish DATABASE")
    refused(2, "publish a --clear --plan", "--clear goes with neither")
    refused(2, "sql a", "arguments are missing")
    refused(2, "logs a --lines 0", "'--lines' wants a whole number above 0, not '0'")
    refused(2, "logs a --lines 1.5", "'--lines' wants a whole number")
    refused(2, "names a --add b --set c", "do not go together")
    refused(2, "delete a", "deletes everything in a", "--yes")
    refused(1, "ping --server http://127.0.0.1:1", "cannot connect")
    refused(1, "ping --server nonsense", "http://host:port")
    refused(1, "describe 'a b'", "letters, digits and hyphens")
    refused(1, "ping --config /nonexistent.lua", "/nonexistent.lua")
    refused(1, "call a f x=1 x=2", "'x' is given twice")
    refused(1, "call a f -", "standard input: an array or object of arguments expected")
    refused(1, "publish a /nonexistent.wasm", "/nonexistent.wasm: No such file")
    refused(1, "publish a Makefile", "Makefile: a WebAssembly module expected")
    refused(1, "sql a ' '", "no SQL")
  end)

  if not (spacetimedb.address and spacetimedb.wasm) then
    it("works on a server", function() pending("no SpacetimeDB server, or the module is not built") end)
    return
  end

  local name = spacetimedb.name()

  it("finds the server by option, environment, configuration or the database's address", function()
    assert.matches("^http://127.0.0.1:" .. port .. " answers in [%d.]+ ms, version [%d.]+\n$", printed("ping"))
    assert.matches("^http://127.0.0.1:" .. port, printed("ping --server ws://127.0.0.1:" .. port, "INNER_UNIVERSE_PORT=1"))
    local config = command.write(folder .. "/config.lua", ("return { port = %s, database = %q }"):format(port, name))
    assert.is_string(assert(iu.json.decode(printed("ping --json --config " .. quote(config), "INNER_UNIVERSE_PORT="))).version)
  end)

  it("publishes, again as the same owner", function()
    local wasm = quote(spacetimedb.wasm)
    local out = printed(("publish %s %s"):format(name, wasm))
    assert.matches("^created " .. name:gsub("%-", "%%-") .. " on http://127.0.0.1:" .. port .. "\nidentity %x+\nthe owner's token is in ", out)
    local file = out:match("token is in ([^\n]+)\n")
    assert.equal(folder, file:sub(1, #folder))
    assert.matches("^updated ", printed(("publish %s"):format(name), "INNER_UNIVERSE_MODULE_PATH=" .. wasm))
    local done = assert(iu.json.decode(printed(("publish ws://127.0.0.1:%s/%s %s --json"):format(port, name, wasm), "INNER_UNIVERSE_PORT=1")))
    assert.equal("updated", done.op)
    assert.matches("^updated ", printed(("publish %s %s --token-file none --token %s"):format(name, wasm, command.read(file):match("%S+"))))
    local run = server(("publish %s %s --token-file none"):format(name, wasm))
    assert.equal(1, run.status)
    assert.matches("^iu: publish " .. name:gsub("%-", "%%-") .. ": %d+ ", run.err)
  end)

  it("describes tables and signatures", function()
    local out = printed("describe " .. name)
    assert.truthy(out:find("\n  entity (public, primary key id)\n    id           String\n", 1, true), out)
    assert.truthy(out:find("\n    index entity_type (entity_type)\n", 1, true), out)
    assert.truthy(out:find("\n  create_entity(entity_type: String, metadata: EntityMetadata, id: Option<String>)\n", 1, true), out)
    assert.truthy(out:find("\n  init()  (called by the server: init)\n", 1, true), out)
    local facts = assert(iu.json.decode(printed("describe --json .", "INNER_UNIVERSE_DATABASE=" .. name)))
    assert.equal("id", facts.tables.entity.primary_key)
    assert.equal("[]", iu.json.encode(facts.reducers.init.params))
    assert.equal("{}", iu.json.encode(facts.procedures))
    assert.equal(out, printed("describe", "INNER_UNIVERSE_DATABASE=" .. name))
  end)

  it("calls with arguments in JSON, bare words or names, or from standard input", function()
    assert.equal("", printed(("call %s create_entity Person %s '{\"some\":\"e1\"}'"):format(name, NOTHING)))
    assert.equal("", printed(("call %s create_entity entity_type='\"5\"' metadata=%s 'id={\"some\":\"e2\"}'"):format(name, NOTHING)))
    local run = command.sh(([[echo '["a=b", {"name":{"some":"Zoë"},"description":null,"tags":["t"],"properties":"{}"}, {"some":"e3"}]' |
      XDG_STATE_HOME=%s INNER_UNIVERSE_PORT=%s %s/scripts/iu server call %s create_entity -]]):format(quote(folder), port, quote(command.root), name))
    assert.equal(0, run.status, run.err)
    assert.equal("id\tentity_type\ne1\tPerson\ne2\t5\ne3\ta=b\n", command.sh(([[XDG_STATE_HOME=%s INNER_UNIVERSE_PORT=%s %s/scripts/iu server sql %s \
      "SELECT id, entity_type FROM entity" | sort]]):format(quote(folder), port, quote(command.root), name)).out:gsub("^(.-)(id\t[^\n]*\n)$", "%2%1"))
    refused(1, ("call %s create_entity Person %s '{\"some\":\"e1\"}'"):format(name, NOTHING), "exists already")
    refused(1, ("call %s create_entity 5"):format(name), "; it is create_entity(entity_type: String, ")
    refused(1, ("call %s create_entit"):format(name), "o such ", "`iu server describe` lists what there is") -- no such reducer; No such procedure (2.x)
  end)

  it("takes a negative number as an argument", function()
    refused(1, ("call %s advance_cursor c -5"):format(name), "advance_cursor")
  end)

  it("prints the rows of SQL, and what a change changed", function()
    local function sql(text, options) return printed(("sql %s %s %s"):format(name, quote(text), options or "")) end
    assert.equal("id\tmetadata\ne3\t" .. '{"name":"Zoë","tags":["t"],"properties":"{}"}',
      (sql("SELECT id, metadata FROM entity WHERE id = 'e3'"):gsub("({.*})\n", function(json)
        local metadata = assert(iu.json.decode(json))
        return ('{"name":"%s","tags":["%s"],"properties":"%s"}'):format(metadata.name, metadata.tags[1], metadata.properties)
      end)))
    local rows = assert(iu.json.decode(sql("SELECT * FROM entity WHERE id = 'e1'", "--json")))
    assert.equal("Person", rows[1].entity_type)
    assert.equal("[]", iu.json.encode(rows[1].metadata.tags))
    assert.equal("id  entity_type\n--  -----------\ne2  5\n(1 row)\n", sql("SELECT id, entity_type FROM entity WHERE id = 'e2'", "--table"))
    assert.equal("[\n]\n", sql("SELECT id FROM entity WHERE id = 'none'", "--json"))
    assert.equal("1 row deleted\n", sql("DELETE FROM entity WHERE id = 'e2'"))
    assert.equal("done\n", sql("DELETE FROM entity WHERE id = 'e2'"))
    refused(1, ("sql %s 'SELECT nonsense'"):format(name), ("sql %s: 400"):format(name))
    local run = command.sh(("echo 'SELECT id FROM entity WHERE id = '\"'e1'\" | XDG_STATE_HOME=%s INNER_UNIVERSE_PORT=%s %s/scripts/iu server sql %s -"):format(
      quote(folder), port, quote(command.root), name))
    assert.equal("id\ne1\n", run.out, run.err)
  end)

  it("prints the log, and follows it until it is interrupted", function()
    local out = printed("logs --lines 2 " .. name)
    assert.equal(2, select(2, out:gsub("\n", "")))
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ %u%l+ ", out)
    local record = assert(iu.json.decode(printed("logs --json --lines 1 " .. name)))
    assert.is_string(record.level)
    local run = command.sh(([[
      export XDG_STATE_HOME=%s INNER_UNIVERSE_PORT=%s; iu=%s/scripts/iu
      env --default-signal=INT $iu server logs --follow --lines 1 %s >%s/followed & pid=$!
      for i in $(seq 100); do
        $iu server call %s create_entity Person %s '{"some":"e1"}' 2>/dev/null
        [ "$(wc -l <%s/followed)" -ge 3 ] && break
      done
      kill -INT $pid; wait $pid; echo $?; wc -l <%s/followed]]):format(quote(folder), port, quote(command.root), name, folder, name, NOTHING, folder, folder))
    local status, lines = run.out:match("^(%d+)\n(%d+)\n$")
    assert.equal("130", status, run.out .. run.err)
    assert.is_true(tonumber(lines) >= 3, run.out)
    run = command.sh(("XDG_STATE_HOME=%s %s/scripts/iu server logs --follow --server http://127.0.0.1:1 %s"):format(quote(folder), quote(command.root), name))
    assert.equal(1, run.status)
    assert.matches("cannot connect", run.err)
  end)

  it("names and deletes", function()
    local second = spacetimedb.name()
    local both = printed(("names %s --add %s"):format(name, second))
    assert.truthy(both:find(name, 1, true) and both:find(second, 1, true), both)
    assert.equal(2, #assert(iu.json.decode(printed("names --json " .. name))))
    local third, fourth = spacetimedb.name(), spacetimedb.name()
    local list = assert(iu.json.decode(printed(("names %s --set %s,%s --json"):format(name, third, fourth))))
    table.sort(list)
    local wanted = { third, fourth }
    table.sort(wanted)
    assert.same(wanted, list)
    local stranger = server("delete --token-file none --yes " .. third)
    assert.equal(1, stranger.status)
    -- The owner is known under the new names too.
    assert.equal(("deleted %s on http://127.0.0.1:%s\n"):format(third, port), printed("delete --yes " .. third))
    refused(1, "describe " .. third, "404")
  end)
end)
