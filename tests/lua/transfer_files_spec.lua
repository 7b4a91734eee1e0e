-- Exports and imports of the plugin `transfer`: what is in a file, what happens to one that was cut or changed, and `iu copy`, `iu export`, `iu import`.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"
local support = require "support"
local world = require "transfer_world"

local spacetimedb = require "spacetimedb"
local variant = require "module_variant"
local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local EXOTIC = assert(iu.module("exotic", {
  types = { Shape = { sum = { { "circle", "f32" }, { "box", "[f64]" }, "none" } } },
  tables = {
    thing = {
      columns = { { "id", "u64" }, { "wide", "u256" }, { "small", "i128" }, { "f", "f64" }, { "g", "f32" }, { "bytes", "bytes" }, { "who", "identity?" },
        { "shape", "Shape" }, { "list", "[i64]" }, { "ok", "bool" } },
      primary_key = "id", public = true,
    },
    keyless = { columns = { { "a", "string" }, { "b", "f64" } }, public = true },
  },
  reducers = {
    put = { params = { { "row", "thing" } }, run = function(ctx, row) ctx.db.thing:insert(row) end },
    put_keyless = { params = { { "row", "keyless" } }, run = function(ctx, row) ctx.db.keyless:insert(row) end },
  },
}))

local LARGE = assert(iu.module("large", {
  tables = { large = { columns = { { "text", "string" } }, public = true } },
  reducers = { put_large = { params = { { "text", "string" } }, run = function(ctx, text) ctx.db.large:insert { text = text } end } },
}))

local function fill_exotic(conn)
  local floats = { 0.0, -0.0, 1 / 0, -1 / 0, 0 / 0, 5e-324, 1.7976931348623157e308, 0.1 }
  for i, f in ipairs(floats) do
    assert(conn:call("put", {
      id = i == 1 and iu.wide("18446744073709551615") or i, wide = iu.wide("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
      small = iu.wide("-170141183460469231731687303715884105728"), f = f, g = (f == 0.1 or f > 1e300 and f < 1 / 0) and 0.5 or f, bytes = "\0\255" .. i,
      who = i % 2 == 0 and ("ab"):rep(32) or nil,
      shape = i % 3 == 0 and "none" or i % 3 == 1 and { tag = "circle", value = 1.5 } or { tag = "box", value = iu.array { f, 2 ^ 53 + 2 } },
      list = iu.array { math.mininteger, math.maxinteger, i }, ok = i % 2 == 1,
    }))
    assert(conn:call("put_keyless", { a = "k" .. i, b = f }))
  end
end

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

describe("an export", function()
  local plugin, manager, source, whole

  setup(function()
    print("# transfer_files_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
  end)

  before_each(function()
    manager = support.owned(assert(iu.open("memory:", { plugins = { transfer = true } })))
    plugin = assert(manager:plugin("transfer"))
    source = support.connect()
    world.fill(source, math.random, 12)
    whole = support.path() .. ".jsonl"
    assert(plugin:export(source, whole))
  end)
  after_each(support.clean)

  local function import_of(lines, options)
    local path = support.path() .. ".jsonl"
    support.write(path, type(lines) == "table" and table.concat(lines, "\n") .. "\n" or lines)
    local conn = support.connect()
    local report, err = plugin:import(path, conn, options)
    return report, err, conn
  end

  local function refused(lines, text)
    local report, err, conn = import_of(lines)
    assert.is_nil(report)
    assert.equal("ValidationError", err.kind, tostring(err))
    assert.truthy(err.message:find(text, 1, true), err.message)
    assert.equal(0, #assert(conn:query("SELECT * FROM entity")), "rows were written")
    support.close(conn)
  end

  it("has a header, every row and an end, and brings all of it back", function()
    local lines = lines_of(whole)
    local header, last = iu.json.decode(lines[1]), iu.json.decode(lines[#lines])
    assert.equal("inner_universe rows", header.format)
    assert.equal(1, header.version)
    assert.equal("1", header.schema_version)
    local total = 0
    for i, t in ipairs(header.tables) do
      assert.equal(last.tables[i].table, t.name)
      assert.equal(last.tables[i].rows, t.rows)
      total = total + t.rows
    end
    assert.equal(#lines - 2, total)
    local first = iu.json.decode(lines[2])
    assert.equal("entity", first.table)
    assert.equal(1, first.n)
    assert.equal(first.row.id, assert(source:get("entity", first.row.id)).id)
    for _, gz in ipairs { "", ".gz" } do
      local path = support.path() .. ".jsonl" .. gz
      local report = assert(plugin:export(source, path))
      assert.equal(total, report.rows)
      local conn = support.connect()
      local imported = assert(plugin:import(path, conn, { verify = true }))
      assert.is_true(imported.verified.equal)
      assert.equal(total, imported.written)
      local proof = assert(plugin:verify(source, conn))
      assert.is_true(proof.equal, proof.words)
      -- and once more: nothing changes
      local none, err = plugin:import(path, conn)
      assert.is_nil(none)
      assert.equal("ConflictError", err.kind)
      assert(plugin:import(path, conn, { mode = "merge", verify = true }))
      assert.is_true(assert(plugin:verify(source, conn)).equal)
    end
    assert.is_false(command.exists(whole .. ".part"))
  end)

  it("has exact values of modules' tables: wide integers, floats that are no numbers, bytes, options, sums", function()
    local path = support.path() .. ".universe"
    local from = support.connect({ module = EXOTIC }, path)
    fill_exotic(from)
    local file = support.path() .. ".jsonl.gz"
    local report = assert(plugin:export(from, file))
    assert.equal(8, report.tables.thing.rows)
    assert.equal(8, report.tables.keyless.rows)
    local to = support.connect({ module = EXOTIC }, support.path() .. ".universe")
    assert(plugin:import(file, to, { verify = true }))
    assert.is_true(assert(plugin:verify(from, to)).equal)
    local none, err = plugin:import(file, support.connect())
    assert.is_nil(none)
    assert.equal("MigrationError", err.kind)
    assert.matches("has no table `keyless`", err.message)
  end)

  it("of a file has its modules' tables, and a copy of it makes them, without the modules' code", function()
    local path, copy = support.path() .. ".universe", support.path() .. ".universe"
    local from = support.connect({ module = EXOTIC }, path)
    fill_exotic(from)
    support.close(from)
    local report = assert(plugin:copy(path, copy, { verify = true }))
    assert.equal(8, report.tables.thing.rows)
    local there = support.connect({ module = EXOTIC }, copy)
    assert(there:call("put_keyless", { a = "more", b = 1.0 }))
    support.close(there)
    local proof = assert(plugin:verify(path, copy))
    assert.is_true(proof.tables.thing.equal)
    assert.equal(1, proof.tables.keyless.differences.extra)
    report = assert(plugin:copy(path, copy, { mode = "overwrite", delete = true, verify = true, from_options = { module = EXOTIC },
      to_options = { module = EXOTIC } }))
    assert.equal(1, report.tables.keyless.removed)
    assert.is_true(assert(plugin:verify(path, copy)).equal)
    -- A target with tables of its own keeps them; what it does not have is said.
    local other = assert(iu.module("other", { tables = { mine = { columns = { { "id", "u64" } }, primary_key = "id" } } }))
    local third = support.path() .. ".universe"
    support.close(support.connect({ module = other }, third))
    local none, err = plugin:copy(path, third)
    assert.is_nil(none)
    assert.equal("MigrationError", err.kind)
    assert.matches("has no table `keyless`", err.message)
    assert(plugin:copy(path, third, { tables = { "entity" }, verify = true }))
    support.close(support.connect({ module = other }, third))
    local exported = assert(plugin:export(path, support.path() .. ".jsonl"))
    assert.equal(8, exported.tables.keyless.rows)
  end)

  it("fits tables by what they are made of, not by the names of their types", function()
    local function module(shape, key)
      return assert(iu.module("shapes", {
        types = { Shape = shape },
        tables = { thing = { columns = { { "id", "u64" }, { "other", "u64" }, { "shape", "Shape" } }, primary_key = key or "id", public = true } },
        reducers = { put = { params = { { "row", "thing" } }, run = function(ctx, row) ctx.db.thing:insert(row) end } },
      }))
    end
    local xy, path, file = module { { "x", "u32" }, { "y", "u32" } }, support.path() .. ".universe", support.path() .. ".jsonl"
    local from = support.connect({ module = xy }, path)
    assert(from:call("put", { id = 1, other = 2, shape = { x = 3, y = 4 } }))
    assert.equal("column id U64\ncolumn other U64\ncolumn shape (x: U32, y: U32)\nprimary key id\n", from:definition("thing"))
    local none, err = from:definition("nothing")
    assert.is_nil(none)
    assert.equal("no table `nothing`", err.message)
    support.close(from)
    -- What a file says of its tables has no names of types; it is the same nevertheless.
    assert(plugin:export(path, file))
    for _, call in ipairs {
      function(to) return plugin:copy(path, to, { verify = true }) end, function(to) return plugin:import(file, to, { verify = true }) end } do
      local to = support.connect { module = xy }
      assert(call(to))
      assert.same({ x = 3, y = 4 }, assert(to:query("SELECT * FROM thing"))[1].shape)
      for words, other in pairs {
        ["has column shape (x: U32, y: U32); a connection has column shape (y: U32, x: U32)"] = module { { "y", "u32" }, { "x", "u32" } },
        ["has primary key id; a connection has primary key other"] = module({ { "x", "u32" }, { "y", "u32" } }, "other"),
      } do
        to = support.connect { module = other }
        none, err = call(to)
        assert.is_nil(none)
        assert.equal("MigrationError", err.kind)
        assert.truthy(err.message:find("^table `thing` differs: ") and err.message:find(words, 1, true), err.message)
        assert.equal(0, #assert(to:query("SELECT * FROM thing")))
      end
    end
    -- Two modules whose types have the same names.
    local snapshot = support.connect({ module = xy, snapshot = true }, path)
    none, err = plugin:copy(snapshot, support.connect { module = module { { "y", "u32" }, { "x", "u32" } } })
    assert.is_nil(none)
    assert.equal("MigrationError", err.kind)
    -- The first exports knew only the names.
    local function older(path_of_file)
      local lines = lines_of(path_of_file)
      local header = assert(iu.json.decode(lines[1]))
      for _, t in ipairs(header.tables) do t.definition = nil end
      lines[1] = assert(iu.json.encode(header))
      local last = assert(iu.json.decode(lines[#lines]))
      last.header = iu.sha256(lines[1])
      lines[#lines] = assert(iu.json.encode(last))
      return lines
    end
    none, err = plugin:import(command.write(file, table.concat(older(file), "\n")), support.connect { module = xy })
    assert.is_nil(none)
    assert.matches("table `thing` differs", err.message)
    local report
    report, err = import_of(older(whole), { verify = true })
    assert.truthy(report, tostring(err))
  end)

  it("of a universe without the toolkit's tables is one, too; and rows that have swapped what must be unique are copied", function()
    local module = assert(iu.module("ranks", {
      tables = { rank = { columns = { { "id", "u64" }, { "name", "string" } }, primary_key = "id", unique = { "name" }, public = true } },
      reducers = { put = { params = { { "row", "rank" } }, run = function(ctx, row) ctx.db.rank:insert(row) end } },
    }))
    local function universe(options, names)
      options.module = module
      local conn = support.connect(options)
      for id, name in pairs(names) do assert(conn:call("put", { id = id, name = name })) end
      return conn
    end
    local bare, from = universe({ nerv = false }, { "a", "b", "c" }), universe({}, { "a", "b", "c" })
    local only = { tables = { "rank" } }
    assert.is_true(assert(plugin:verify(bare, from, only)).equal)
    local file = support.path() .. ".jsonl"
    assert.equal(3, assert(plugin:export(bare, file)).rows)
    assert.equal(3, assert(plugin:import(file, universe({}, {}), { verify = true })).rows)
    -- two swapped, one of another row
    local to = universe({}, { [1] = "b", [2] = "a", [9] = "c" })
    local none, err = plugin:copy(from, to, { tables = { "rank" }, mode = "overwrite" })
    assert.is_nil(none)
    assert.equal("ConflictError", err.kind)
    assert.truthy(err.message:find('rank: 1 in conflict (3 (name = "c" is 9\'s)); conflicts = "replace"', 1, true), err.message)
    local report = assert(plugin:copy(from, to, { tables = { "rank" }, mode = "overwrite", delete = true, verify = true }))
    assert.equal(1, report.tables.rank.removed)
    to = universe({}, { [1] = "b", [2] = "a", [9] = "theirs" })
    report = assert(plugin:copy(from, to, { tables = { "rank" }, mode = "overwrite", verify = true }))
    assert.equal(0, report.tables.rank.removed)
    assert.equal(4, #assert(to:query("SELECT * FROM rank")))
  end)

  it("is refused, with the line, wherever it is cut", function()
    local text = command.read(whole)
    local lines = lines_of(whole)
    refused("", "no export")
    for _ = 1, 25 do
      local at = math.random(1, #text - 1)
      local cut = text:sub(1, at)
      local _, ends = cut:gsub("\n", "")
      if at == #text - 1 then break end
      local in_header = ends == 0
      refused(cut, in_header and "line 1: no export" or ("line %d: the file ends"):format(cut:sub(-1) == "\n" and ends or ends + 1))
    end
    lines[#lines] = nil
    refused(lines, ("line %d: the file ends here without its last line: it was cut"):format(#lines))
  end)

  it("is refused, with the line, wherever a line is changed, gone, twice or moved", function()
    local lines = lines_of(whole)
    for _ = 1, 25 do
      local copy = table.move(lines, 1, #lines, 1, {})
      -- A digit of a row (most have some) becomes another one.
      local at, digit
      repeat
        at = math.random(2, #lines - 1)
        digit = copy[at]:find("%d", (copy[at]:find('"row":', 1, true)))
      until digit
      local was = tonumber(copy[at]:sub(digit, digit))
      copy[at] = copy[at]:sub(1, digit - 1) .. (was + 1) % 10 .. copy[at]:sub(digit + 1)
      refused(copy, ("line %d: "):format(at))
    end
    local copy = table.move(lines, 1, #lines, 1, {})
    table.remove(copy, 5)
    refused(copy, "line 5: row 5 of table `entity`, expected row 4: lines are missing, twice or moved")
    copy = table.move(lines, 1, #lines, 1, {})
    table.insert(copy, 5, copy[4])
    refused(copy, "line 5: row 3 of table `entity`, expected row 4")
    copy = table.move(lines, 1, #lines, 1, {})
    copy[4], copy[5] = copy[5], copy[4]
    refused(copy, "line 4: row 4 of table `entity`, expected row 3")
    copy = table.move(lines, 1, #lines, 1, {})
    table.insert(copy, #copy, copy[2])
    refused(copy, ("line %d: a row of table `entity` is out of place"):format(#lines))
    copy = table.move(lines, 1, #lines, 1, {})
    copy[3] = "{}"
    refused(copy, "line 3: neither a row")
    copy[3] = "not json"
    refused(copy, "line 3: not a JSON object")
    copy = table.move(lines, 1, #lines, 1, {})
    copy[1] = copy[1]:gsub('"events":%d+', '"events":999999')
    refused(copy, "line 1: the header has changed")
    copy[1] = copy[1]:gsub('"version":1,', '"version":2,'):gsub('"version":1}', '"version":2}')
    refused(copy, "line 1: an export of version 2")
    copy = table.move(lines, 1, #lines, 1, {})
    copy[#copy] = copy[#copy]:gsub('"rows":12', '"rows":13')
    refused(copy, ("line %d: table `entity` has 12 rows"):format(#copy))
    copy = table.move(lines, 1, #lines, 1, {})
    copy[#copy + 1] = copy[2]
    refused(copy, ("line %d: there is more behind the end"):format(#copy))
  end)

  it("goes nowhere and comes from nowhere", function()
    local none, err = plugin:export(source, "/nonexistent/x.jsonl")
    assert.is_nil(none)
    assert.equal("StorageError", err.kind)
    assert.equal("/nonexistent/x.jsonl: its folder does not exist", err.message)
    none, err = plugin:import("/nonexistent/x.jsonl", source)
    assert.is_nil(none)
    assert.equal("StorageError", err.kind)
    assert.equal("/nonexistent/x.jsonl: No such file or directory", err.message)
    assert.has_error(function() plugin:import(nil, source) end, "bad argument #1 to 'import' (path: string expected, got nil)")
    assert.has_error(function() plugin:export(source) end, "bad argument #2 to 'export' (path: string or file expected, got nil)")
  end)

  it("is refused when it is damaged or cut as gzip", function()
    local path = support.path() .. ".jsonl.gz"
    assert(plugin:export(source, path))
    local bytes = command.read(path)
    for _, changed in ipairs { bytes:sub(1, -20), bytes:sub(1, 100) .. string.char(bytes:byte(101) ~ 0x55) .. bytes:sub(102), bytes .. "more" } do
      local other = support.path() .. ".jsonl.gz"
      command.write(other, changed)
      local conn = support.connect()
      local report, err = plugin:import(other, conn)
      assert.is_nil(report)
      assert.equal("ValidationError", err.kind)
      assert.matches("gzip data", err.message)
      assert.equal(0, #assert(conn:query("SELECT * FROM entity")))
    end
  end)

  it("is imported where others' spelling of the same JSON comes from, and a line has a limit", function()
    local lines = lines_of(whole)
    for i = 2, #lines - 1 do
      local value = iu.json.decode(lines[i])
      lines[i] = assert(iu.json.encode({ n = value.n, table = value.table, row = value.row, hash = value.hash, bytes = value.bytes }))
    end
    local _, err, conn = import_of(lines, { verify = true })
    assert.is_nil(err)
    assert.is_true(assert(plugin:verify(source, conn)).equal)
    local narrow = support.owned(assert(iu.open("memory:", { plugins = { transfer = { line_bytes = 1024 } } })))
    local none
    none, err = assert(narrow:plugin("transfer")):import(whole, support.connect())
    assert.is_nil(none)
    assert.equal("OverloadedError", err.kind)
    assert.matches("line 1 has more than 1024 bytes", err.message)
  end)

  it("is imported with other ends of lines and a mark in front, whatever its name says of compression, but not from a pipe", function()
    local text = command.read(whole)
    local windows = "\xef\xbb\xbf" .. text:gsub("\n", "\r\n")
    for i, each in ipairs { { windows, "" }, { iu.gzip(windows), ".gz" }, { iu.gzip(text), "" }, { text, ".gz" }, { text:gsub("\n$", ""), "" } } do
      local path = support.path() .. ".jsonl" .. each[2]
      command.write(path, each[1])
      local conn = support.connect()
      assert(plugin:import(path, conn, { verify = true }))
      assert.is_true(assert(plugin:verify(source, conn)).equal, "case " .. i)
    end
    refused(windows:gsub("\r\n", "\r\r\n", 1), "line 1: the header has changed")
    local done = command.sh(("cat %s | %s/scripts/iu import /dev/stdin %s.universe"):format(whole, command.quote(command.root), support.path()))
    assert.equal(1, done.status)
    assert.equal("iu: /dev/stdin: a pipe; a file is read more than once: save it first\n", done.err)
  end)

  it("has rows as large as there are any", function()
    local CAP = 32 << 20
    local from = support.connect { module = LARGE, reducer_memory_mb = 1024, reducer_timeout_ms = 60000 }
    assert(from:call("update_config", "enable_audit_log", "false", ""))
    local row = { id = "large", entity_type = "T", created_at = 1, updated_at = 1, metadata = { tags = iu.array {}, properties = '{"a":""}' } }
    row.metadata.properties = ('{"a":"%s"}'):format(("x"):rep(CAP - #assert(from:row_bytes("entity", row))))
    assert(from:call("create_entity", "T", row.metadata, "large"))
    assert.equal(CAP, #assert(from:row_bytes("entity", assert(from:get("entity", "large")))))
    assert(from:call("put_large", ("\1"):rep(CAP - 4))) -- six times as much in JSON
    local copy, file = support.connect { module = LARGE }, support.path() .. ".jsonl.gz"
    assert(plugin:copy(from, copy, { verify = true }))
    assert(plugin:export(from, file))
    support.close(from)
    local to = support.connect { module = LARGE }
    assert(plugin:import(file, to, { verify = true }))
    local proof = assert(plugin:verify(copy, to))
    assert.is_true(proof.equal, proof.words)
    assert.equal(1, proof.tables.large.rows)
  end)

  it("that is imported goes on after it ended early", function()
    local quick = support.owned(assert(iu.open("memory:", { plugins = { transfer = { checkpoint_rows = 1 } } })))
    local importer = assert(quick:plugin("transfer"))
    local conn = support.connect()
    for stop_at = 1, 12, 3 do
      local calls = 0
      local report, err = importer:import(whole, conn, { progress = function()
        calls = calls + 1
        if calls == stop_at then error("stopped") end
      end })
      assert.is_nil(report)
      assert.matches("stopped", tostring(err))
    end
    local none, err = importer:copy(source, conn)
    assert.is_nil(none)
    assert.equal("ConflictError", err.kind)
    local report = assert(importer:import(whole, conn, { verify = true }))
    assert.is_true(report.resumed)
    assert.is_true(report.written < report.rows)
    assert.is_true(assert(plugin:verify(source, conn)).equal)
  end)

  it("says what stands against a merge before it writes", function()
    local conn = support.connect()
    local mine = assert(source:query("SELECT * FROM entity"))[1]
    assert(conn:call("create_entity", "Other", { tags = iu.array {}, properties = "{}" }, mine.id))
    assert(plugin:export(source, whole, { tables = { "entity" } }))
    local report, err = plugin:import(whole, conn, { mode = "merge" })
    assert.is_nil(report)
    assert.equal("ConflictError", err.kind)
    assert.truthy(err.message:find("entity: 1 different (" .. mine.id .. ")", 1, true), err.message)
    assert.equal(1, #assert(conn:query("SELECT * FROM entity")))
    assert.is_true(assert(plugin:import(whole, conn, { mode = "overwrite", dry_run = true })).dry_run)
    assert.equal(1, #assert(conn:query("SELECT * FROM entity")))
    assert(plugin:import(whole, conn, { mode = "overwrite", verify = true }))
    assert.is_true(assert(plugin:verify(source, conn, { tables = { "entity" } })).equal)
  end)
end)

describe("iu copy, iu export, iu import", function()
  local folder, file

  setup(function()
    folder = command.folder()
    file = folder .. "/world.universe"
    local conn = assert(iu.connect(file))
    world.fill(conn, math.random, 10)
    assert(conn:close())
  end)
  teardown(function() os.execute("rm -rf " .. command.quote(folder)) end)

  local function run(words)
    return command.iu((words:gsub("@", folder .. "/")))
  end

  it("copy, compare and refuse", function()
    local done = run("copy @world.universe @copy.universe --verify")
    assert.equal(0, done.status, done.err)
    assert.equal("", done.err)
    assert.matches("entity +10  %x+\n", done.out)
    assert.matches("copy.universe: [%d,]+ rows in [%d.]+ s [^\n]*, verified\n$", done.out)
    done = run("copy @world.universe @copy.universe")
    assert.equal(1, done.status)
    assert.matches("^iu: .*is not empty: .*; choose %-%-merge %(add what is missing%) or %-%-overwrite\n$", done.err)
    done = run("copy @world.universe @copy.universe --verify-only")
    assert.equal(0, done.status, done.err)
    assert.matches("\nequal\n$", done.out)
    local conn = assert(iu.connect(folder .. "/copy.universe"))
    assert(conn:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "extra-one"))
    assert(conn:close())
    done = run("copy @world.universe @copy.universe --verify-only --tables entity,relation")
    assert.equal(1, done.status)
    assert.matches("different: entity: 1 extra %(extra%-one%)\n$", done.out)
    done = run("copy @world.universe @copy.universe --overwrite --delete --tables entity --verify --json")
    assert.equal(0, done.status, done.err)
    assert.equal(1, iu.json.decode(done.out).tables.entity.removed)
    conn = assert(iu.connect(folder .. "/copy.universe"))
    local changed = assert(conn:query("SELECT * FROM entity"))[1].id
    assert(conn:call("update_entity", changed, { name = "changed", tags = iu.array {}, properties = "{}" }))
    assert(conn:close())
    done = run("copy @world.universe @copy.universe --merge --tables entity")
    assert.equal(1, done.status)
    local words = "entity: 1 different (%s); --conflicts keep leaves the target's rows as they are, --overwrite takes"
    assert.truthy(done.err:find(words:format(changed), 1, true), done.err)
    for _, given in ipairs { "copy @world.universe", "import @entities.jsonl" } do
      assert.equal(0, run("export @world.universe @entities.jsonl --tables entity").status)
      done = run(given .. " @copy.universe --merge --conflicts keep --verify" .. (given:find "^copy" and " --tables entity" or ""))
      assert.equal(3, done.status, done.err)
      assert.truthy(done.out:find(("\nskipped: entity: 1 row: %s\n"):format(changed), 1, true), done.out)
      assert.matches(", 1 skipped, verified\n$", done.out)
    end
    done = run("copy @world.universe @copy.universe --conflicts keep")
    assert.equal(1, done.status)
    assert.matches('conflicts: "keep" only with %-%-merge\n$', done.err)
    done = run("copy @world.universe @other.universe --dry-run")
    assert.equal(0, done.status, done.err)
    assert.matches("nothing was written\n$", done.out)
    assert.is_false(command.exists(folder .. "/other.universe"))
    assert.equal(2, run("copy @world.universe").status)
    assert.equal(2, run("copy @world.universe @x --merge --overwrite").status)
    assert.equal(1, run("copy @none.universe @x.universe").status)
    assert.is_false(command.exists(folder .. "/x.universe"))
  end)

  it("export and import", function()
    local done = run("export @world.universe @world.jsonl.gz")
    assert.equal(0, done.status, done.err)
    done = run("import @world.jsonl.gz @imported.universe --verify")
    assert.equal(0, done.status, done.err)
    assert.matches("verified\n$", done.out)
    assert.equal(0, run("copy @world.universe @imported.universe --verify-only").status)
    assert.equal(0, run("export @world.universe @world.jsonl").status)
    local text = command.read(folder .. "/world.jsonl")
    command.write(folder .. "/cut.jsonl", text:sub(1, #text // 2))
    done = run("import @cut.jsonl @cut.universe")
    assert.equal(1, done.status)
    assert.matches("^iu: line %d+: the file ends [^\n]*it was cut", done.err)
    done = run("import @world.jsonl @dry.universe --dry-run")
    assert.equal(0, done.status, done.err)
    assert.matches("the file is whole; nothing was written\n$", done.out)
    assert.is_false(command.exists(folder .. "/dry.universe"))
  end)

  with_server("go to a server, from there to another one, and back to a file", function()
    local names, tokens = {}, {}
    for i = 1, 2 do
      names[i] = spacetimedb.name()
      tokens[i] = assert(spacetimedb.publish(names[i]))
      local path = ("%s/token%d"):format(folder, i)
      command.write(path, tokens[i])
      os.execute("chmod 600 " .. path)
    end
    local function server(i) return ("%s/%s"):format(spacetimedb.address, names[i]) end
    local function good(words)
      local done = run(words)
      assert.equal(0, done.status, words .. ": " .. done.err)
      return done.out
    end
    assert.matches(", verified\n$", good(("copy @world.universe %s --to-token @token1 --verify"):format(server(1))))
    assert.matches(", verified\n$", good(("copy %s %s --from-token @token1 --to-token @token2 --verify"):format(server(1), server(2))))
    assert.matches("equal\n$", good(("copy %s %s --from-token @token1 --to-token @token2 --verify-only"):format(server(2), server(1))
      :gsub("token1", "tokenX"):gsub("token2", "token1"):gsub("tokenX", "token2")))
    good(("export %s @server.jsonl.gz --from-token @token2"):format(server(2)))
    assert.matches(", verified\n$", good("import @server.jsonl.gz @back.universe --verify"))
    assert.matches("equal\n$", good("copy @world.universe @back.universe --verify-only"))
    local done = run(("copy @world.universe %s --overwrite --to-token @token2"):format(server(1)))
    assert.equal(1, done.status)
    assert.truthy(done.err:find("owner", 1, true), done.err)
    for i = 1, 2 do spacetimedb.discard(names[i], tokens[i]) end
  end)

  with_server("read a server's tables whole, or say that they are too large", function()
    local name = spacetimedb.name()
    local token = assert(spacetimedb.publish(name))
    local to, path = ("%s/%s"):format(spacetimedb.address, name), folder .. "/large.universe"
    local conn = assert(iu.connect(path))
    for i = 1, 4 do
      assert(conn:call("create_entity", "T", { tags = iu.array {}, properties = ('{"a":"%s"}'):format(("x"):rep(500000)) }, "large" .. i))
    end
    assert(conn:close())
    local m <close> = assert(iu.open("memory:", { plugins = { transfer = true } }))
    local plugin = assert(m:plugin("transfer"))
    assert(plugin:copy(path, to, { to_options = { token = token } }))
    local none, err = plugin:export(to, folder .. "/large.jsonl", { from_options = { token = token, message_bytes_max = 1 << 20 } })
    assert.is_nil(none)
    assert.equal("OverloadedError", err.kind)
    assert.truthy(err.message:find("larger than message_bytes_max", 1, true), err.message)
    assert(plugin:export(to, folder .. "/large.jsonl", { from_options = { token = token } }))
    assert.is_true(assert(plugin:verify(path, to, { to_options = { token = token } })).equal)
    spacetimedb.discard(name, token)
  end)

  with_server("say what to do about a server whose module is older", function()
    if not variant.possible() then return end
    local wasm = variant.build(folder .. "/older", {
      { "schema.h", "X(import_rows, ImportRows)", "X(import_nothing, ImportRows)" },
      { "import.c", "bool iu__nerv_import_rows(", "bool iu__nerv_import_nothing(" },
    })
    local name = spacetimedb.name()
    local token = assert(spacetimedb.publish(name, wasm))
    command.write(folder .. "/token", token)
    os.execute("chmod 600 " .. folder .. "/token")
    local done = run(("copy @world.universe %s/%s --to-token @token"):format(spacetimedb.address, name))
    assert.equal(1, done.status)
    assert.truthy(done.err:find("its module is older than this library (it has no `import_rows`); publish it again", 1, true), done.err)
    done = run(("copy %s/%s @older.universe --from-token @token --verify"):format(spacetimedb.address, name)) -- reading it is fine
    assert.equal(0, done.status, done.err)
    spacetimedb.discard(name, token)
  end)

  it("show how far they are on a terminal", function()
    local line = ("%s/scripts/iu copy %s/world.universe %s/terminal.universe"):format(command.quote(command.root), folder, folder)
    local done = command.sh(("script -qec %s /dev/null"):format(command.quote(line)))
    assert.equal(0, done.status, done.err)
    assert.matches("copying +%d+ %%", done.out)
    assert.matches("rows", done.out)
  end)
end)
