-- Exports, copies and imports as an operator meets them: an export that is done survives a power loss, what failed leaves nothing behind, ^C, full disks.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"
local support = require "support"
local peers = require "peer"
local world = require "transfer_world"

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local quote = command.quote
local IU = quote(command.root .. "/scripts/iu")
local traced = command.sh("strace -o /dev/null true").status == 0 and it or pending -- not in every container

describe("transfer for operators", function()
  local folder, file

  setup(function()
    print("# transfer_operator_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    folder = command.folder()
    file = folder .. "/world.universe"
    local conn = assert(iu.connect(file))
    world.fill(conn, math.random, 10)
    assert(conn:close())
  end)
  teardown(function() os.execute("rm -rf " .. quote(folder)) end)
  after_each(support.clean)

  local function run(words)
    return command.iu((words:gsub("@", folder .. "/")))
  end

  local function names()
    local list = {}
    for name in io.popen("ls -A " .. quote(folder)):lines() do list[#list + 1] = name end
    return list
  end

  local function transfer()
    local m = support.owned(assert(iu.open("memory:", { plugins = { transfer = true } })))
    return assert(m:plugin("transfer"))
  end

  describe("an export", function()
    traced("is synced before it has its name, and its folder after", function()
      local done = command.sh(("strace -f -y -o %s/trace -e trace=fsync,fdatasync,rename,renameat,renameat2 %s export %s %s/done.jsonl"):format(
        folder, IU, file, folder))
      assert.equal(0, done.status, done.err)
      local seen = {}
      for line in io.lines(folder .. "/trace") do
        local call, rest = line:match("^%d+ +(%l+%d*)%((.*)$")
        if rest and rest:find(folder, 1, true) then seen[#seen + 1] = call .. " " .. (rest:match("/([^/>]+)>%) += 0$") or rest:match('/([^/"]+)"%) += 0$')) end
      end
      assert.same({ "fsync done.jsonl.part", "rename done.jsonl", "fsync " .. folder:match("[^/]+$") }, seen)
    end)

    traced("that cannot be synced is no export, and the one before it stays", function()
      command.write(folder .. "/kept.jsonl", "the one before\n")
      local before = names()
      local done = command.sh(("strace -f -o /dev/null -e trace=fsync -e inject=fsync:error=EIO %s export %s %s/kept.jsonl"):format(IU, file, folder))
      assert.equal(1, done.status)
      assert.matches("^iu: .*kept%.jsonl%.part cannot be synced: Input/output error\n$", done.err)
      assert.equal("the one before\n", command.read(folder .. "/kept.jsonl"))
      assert.same(before, names())
    end)

    it("does not replace a universe, and has one writer", function()
      local bytes = command.read(file)
      local done = run("export @world.universe @world.universe")
      assert.equal(1, done.status)
      assert.matches("is a universe or another SQLite database: it is not replaced\n$", done.err)
      assert.equal(bytes, command.read(file))
      local plugin, path = transfer(), folder .. "/two.jsonl"
      local once, none, err = false, nil, nil
      assert(plugin:export(file, path, { progress = function()
        if once then return end
        once = true
        none, err = plugin:export(file, path)
      end }))
      assert.is_nil(none)
      assert.equal("UniverseLockedError", err.kind)
      assert(plugin:import(path, support.connect(), { verify = true }))
    end)

    it("goes to standard output, a pipe or a device as it comes", function()
      local done = command.sh(("%s export %s - >%s/piped.jsonl"):format(IU, file, folder))
      assert.equal(0, done.status, done.err)
      assert.equal("", done.err)
      assert(transfer():import(folder .. "/piped.jsonl", support.connect(), { verify = true }))
      done = command.sh(("%s export %s /dev/stdout | tail -n 1"):format(IU, file))
      assert.matches('"end":true', done.out)
      done = command.sh(("mkfifo %s/fifo; cat %s/fifo >%s/through & %s export %s %s/fifo; wait; test -p %s/fifo"):format(
        folder, folder, folder, IU, file, folder, folder))
      assert.equal(0, done.status, done.err)
      assert(transfer():import(folder .. "/through", support.connect(), { verify = true }))
      if not command.exists("/dev/full") then return end
      for _, target in ipairs { "/dev/full", "- >/dev/full" } do
        done = command.sh(("%s export %s %s"):format(IU, file, target))
        assert.equal(1, done.status)
        assert.matches("No space left on device", done.err)
      end
      assert.equal(0, command.sh("test -c /dev/full").status)
    end)

    it("that is killed leaves the one before, and the next one cleans up", function()
      local path, big = folder .. "/often.jsonl", folder .. "/often.universe"
      local conn = assert(iu.connect(big))
      local rows = iu.array {}
      for i = 1, 20000 do
        rows[i] = assert(conn:row_bytes("entity", { id = "bulk" .. i, entity_type = "B", created_at = i, updated_at = i,
          metadata = { tags = iu.array {}, properties = "{}" } }))
      end
      assert(conn:call("import_rows", "entity", rows))
      assert(conn:close())
      command.write(path, "the one before\n")
      local met = 0
      for _ = 1, 12 do
        -- killed a moment after its part is there; the moment is another one each time
        local line = ("rm -f %s.part; %s export %s %s >/dev/null & pid=$!; n=0; while [ $n -lt 2000 ] && [ ! -e %s.part ]; do " ..
          "n=$((n+1)); sleep 0.005; done; sleep %.3f; kill -KILL $pid; wait $pid"):format(path, IU, big, path, path, math.random() * 0.2)
        local done = command.sh(line)
        if done.status == 137 then
          met = met + 1
          local text = command.read(path)
          assert.is_true(text == "the one before\n" or text:find('"end":true[^\n]*}\n$') ~= nil)
        end
        command.write(path, "the one before\n") -- it may have been quicker
      end
      assert.is_true(met > 0)
      assert.equal(0, run("export @often.universe @often.jsonl").status)
      assert.is_false(command.exists(path .. ".part"))
      assert.is_false(command.exists(path .. ".part.lock"))
      assert(transfer():import(path, support.connect(), { verify = true }))
      os.remove(big)
    end)

    it("that does not fit leaves nothing", function()
      command.write(folder .. "/full.jsonl", "the one before\n")
      local before = names()
      -- a limit on the size of files, whose signal is ignored, is a disk that is full
      local done = command.sh(("ulimit -f 8; trap '' XFSZ; %s export %s %s/full.jsonl"):format(IU, file, folder))
      assert.equal(1, done.status)
      assert.matches("^iu: .*full%.jsonl%.part: File too large\n$", done.err)
      assert.same(before, names())
      assert.equal("the one before\n", command.read(folder .. "/full.jsonl"))
    end)
  end)

  describe("a file that a copy or an import made", function()
    it("goes again when nothing has arrived in it", function()
      assert.equal(0, run("export @world.universe @whole.jsonl").status)
      command.write(folder .. "/cut.jsonl", command.read(folder .. "/whole.jsonl"):sub(1, 5000))
      local before = names()
      for _, words in ipairs { "copy @world.universe @new.universe --tables nothing", "copy @world.universe @new.universe --tables entity --except entity",
        "import @cut.jsonl @new.universe", "import @none.jsonl @new.universe" } do
        local done = run(words)
        assert.equal(1, done.status, words)
        assert.same(before, names(), words)
      end
      -- also when it ends in the first table
      local plugin, path = transfer(), folder .. "/new.universe"
      local entities = assert(iu.connect(file, { snapshot = true }))
      local guest = support.owned(support.session(entities))
      local none, err = plugin:copy(guest, path, { tables = { "permission" } })
      assert.is_nil(none)
      assert.truthy(err)
      assert(entities:close())
      assert.same(before, names())
      assert(plugin:copy(file, path, { verify = true }))
      os.remove(path)
    end)

    it("stays when something has arrived, was there before, or somebody else came meanwhile", function()
      local plugin, path = transfer(), folder .. "/kept.universe"
      local none = plugin:copy(file, path, { progress = function() error("stopped") end })
      assert.is_nil(none)
      assert.is_true(command.exists(path))
      assert(plugin:copy(file, path, { verify = true }))
      os.remove(path)
      -- An empty universe of somebody's.
      assert(assert(iu.connect(path)):close())
      none = plugin:copy(file, path, { tables = { "nothing" } })
      assert.is_nil(none)
      assert.is_true(command.exists(path))
      os.remove(path)
      -- One that others opened since it was made.
      local source = support.connect()
      local made = assert(iu.connect(path))
      assert(made:close())
      local remove = assert(loadfile(command.root .. "/plugins/transfer/leftover.lua"))({ load = function(name)
        if name == "checkpoint" then return { KEY = "transfer:target" } end
        return assert(loadfile(command.root .. "/plugins/transfer/tables.lua"))({})
      end }).remove
      made = assert(iu.connect(path))
      assert.is_false(remove(path)) -- it is open
      assert(made:close())
      assert.is_false(remove(path)) -- two were here
      assert.is_true(command.exists(path))
      os.remove(path)
      made = assert(iu.connect(path))
      assert(made:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "one"))
      assert(made:close())
      assert.is_false(remove(path))
      os.remove(path)
      assert(assert(iu.connect(path)):close())
      assert.is_true(remove(path))
      assert.is_false(command.exists(path))
      support.close(source)
    end)
  end)

  it("reads times as people write them, and refuses what is none", function()
    local read = assert(loadfile(command.root .. "/plugins/transfer/times.lua"))().read
    for text, seconds in pairs {
      ["1970-01-01"] = 0, ["1970-01-01T00:00Z"] = 0, ["1970-01-01 00:00:01"] = 1, ["1970-01-01T00:00:00.25Z"] = 0.25,
      ["1970-01-01T01:00:00+01:00"] = 0,
      ["1969-12-31T23:30-0030"] = 0, ["2024-02-29T12:00:00Z"] = 1709208000, ["2000-03-01"] = 951868800, ["1790000000000000"] = 1790000000,
    } do assert.equal(math.tointeger(seconds * 1000000), (read(text)), text) end
    for _, text in ipairs { "", "yesterday", "2026-02-29", "2100-02-29", "2026-13-01", "2026-00-01", "2026-04-31", "2026-01-01T24:00", "2026-01-01T10:60",
      "2026-01-01T10:005", "2026-01-01T10:00:", "2026-01-01T10:00:00.", "2026-01-01T10", "2026-01-01Z", "2026-01-01T10:00+24:00", "2026-01-01T10:00+1",
      "20260101", "99999999999999999999", "2026-01-01T10:00:00 Z" } do
      local micros, wrong = read(text)
      assert.is_nil(micros, text)
      assert.matches("^expected microseconds or a time", wrong)
    end
  end)

  it("says which tables come whole although only the changed rows were asked for", function()
    local plugin = transfer()
    local report = assert(plugin:copy(file, folder .. "/since.universe", { since = "2999-01-01" }))
    assert.same({ "relation", "state_snapshot", "permission" }, report.whole)
    assert.same({ 0, 0, 0 }, { report.tables.entity.rows, report.tables.state_version.rows, report.tables.delta_record.rows })
    assert.is_true(report.tables.relation.rows > 0 and report.tables.state_snapshot.rows > 0 and report.tables.permission.rows > 0)
    assert.is_nil(assert(plugin:copy(file, folder .. "/all.universe")).whole)
    local said = "whole, not since: relation, state_snapshot, permission (rows there do not say when they changed)\n"
    for _, words in ipairs { "copy @world.universe @none.universe --since 2999-01-01 --dry-run", "export @world.universe @since.jsonl --since 2999-01-01" } do
      local done = run(words)
      assert.equal(0, done.status, done.err)
      assert.truthy(done.out:find(said, 1, true), done.out)
    end
    local done = run("export @world.universe - --since 2999-01-01")
    assert.equal(said, done.err)
    done = run("copy @world.universe @none.universe --since 2999-01-01 --tables entity --dry-run")
    assert.is_nil(done.out:find("whole", 1, true))
  end)

  it("says of a source that it is half a copy", function()
    assert.is_nil((transfer():copy(file, folder .. "/half.universe", { progress = function() error("stopped") end })))
    local note = ("not whole: %s/half.universe is the target of an unfinished copy or import of %s\n"):format(folder, file)
    local done = run("export @half.universe -")
    assert.equal(0, done.status)
    assert.equal(note, done.err)
    done = run("copy @half.universe @of_half.universe")
    assert.equal(0, done.status)
    assert.truthy(done.out:find(note, 1, true), done.out)
  end)

  it("says of event tables that they hold no rows, and of views that theirs are others'", function()
    local server = peers.start { "--as", "2.8.3" }
    local _ <close> = setmetatable({}, { __close = function() server:stop() end })
    local plugin = transfer()
    local name, token = server:database()
    local address = ("ws://%s/%s"):format(server.address, name)
    local before = folder .. "/before.universe"
    server:fault('{"extra_schema":true,"event_table":true,"views":true}')
    local options = { from_options = { token = token } }
    for _, report in ipairs {
      assert(plugin:copy(address, before, options)), assert(plugin:export(address, folder .. "/events.jsonl", options)),
      assert(plugin:verify(address, before, options)),
      assert(plugin:copy(address, folder .. "/dry.universe", { from_options = { token = token }, dry_run = true })),
    } do
      assert.same({ "peer_extra" }, { table.unpack(report.events) })
      assert.is_nil(report.tables.peer_extra)
    end
    assert.same({}, { table.unpack(assert(plugin:export(before, folder .. "/file.jsonl")).events) })
    options.except = { "peer_extra", "peer_people" }
    options.mode = "overwrite"
    assert.same({}, { table.unpack(assert(plugin:copy(address, before, options)).events) })
    for table_name, words in pairs { peer_extra = "is an event table: its rows exist only in the transaction that inserts them", peer_people = "is a view" } do
      local none, err = plugin:copy(address, folder .. "/none.universe", { from_options = { token = token }, tables = { table_name } })
      assert.is_nil(none)
      assert.equal("ValidationError", err.kind)
      assert.truthy(err.message:find(("tables[1]: `%s` %s"):format(table_name, words), 1, true), err.message)
    end
    -- Another universe has such a table, with rows.
    local extra = assert(iu.module("extra", { tables = { peer_extra = { columns = { { "id", "u64" } }, primary_key = "id", public = true } } }))
    local conn = support.connect { module = extra }
    assert(plugin:export(conn, folder .. "/plain.jsonl"))
    for _, call in ipairs {
      function(to) return plugin:import(folder .. "/plain.jsonl", address, to) end, function(to) return plugin:copy(conn, address, to) end,
    } do
      local none, err = call { to_options = { token = token }, mode = "overwrite" }
      assert.is_nil(none)
      assert.equal("MigrationError", err.kind)
      assert.matches("^table `peer_extra` of ws://.* is an event table: .*; leave it out %(except%)$", err.message)
    end
    command.write(folder .. "/token", token)
    command.sh("chmod 600 " .. folder .. "/token")
    local done = run(("export %s @commanded.jsonl --from-token @token"):format(address))
    assert.equal(0, done.status, done.err)
    assert.matches("\nnothing to copy: peer_extra %(an event table: its rows exist only in their transaction%)\n", done.out)
  end)

  it("is ended by ^C in words, and goes on", function()
    local big = folder .. "/big.universe"
    local conn = assert(iu.connect(big))
    for part = 1, 10 do
      local rows = iu.array {}
      for i = 1, 4000 do
        rows[i] = assert(conn:row_bytes("entity", { id = ("bulk%d-%d"):format(part, i), entity_type = "B", created_at = i, updated_at = i,
          metadata = { tags = iu.array {}, properties = "{}" } }))
      end
      assert(conn:call("import_rows", "entity", rows))
    end
    assert(conn:close())
    -- Interrupted once the file is there. A shell's children in the background ignore SIGINT unless they are asked not to.
    local function interrupted(words, made)
      local line = ("%s %s >/dev/null & pid=$!; n=0; while [ $n -lt 2000 ] && [ ! -e %s ]; do n=$((n+1)); sleep 0.005; done; kill -INT $pid; wait $pid"):format(
        IU, words, made)
      return command.sh("exec lua5.4 -e " .. quote(([[os.exit(select(3, os.execute(%q)))]]):format("set -m; " .. line)))
    end
    local done = interrupted(("copy %s %s/stopped.universe"):format(big, folder), folder .. "/stopped.universe")
    assert.equal(130, done.status, done.err)
    assert.truthy(done.err:find("iu: interrupted: the same command goes on where it was, unless all had arrived\n", 1, true), done.err)
    local again = run("copy @big.universe @stopped.universe --verify")
    if again.status ~= 0 then assert.matches("stopped.universe is not empty", again.err) end -- all had arrived
    assert.equal(0, run("copy @big.universe @stopped.universe --verify-only").status)
    done = interrupted(("export %s %s/stopped.jsonl"):format(big, folder), folder .. "/stopped.jsonl.part")
    assert.equal(130, done.status, done.err)
    assert.truthy(done.err:find("iu: interrupted: nothing was written\n", 1, true), done.err)
    assert.is_false(command.exists(folder .. "/stopped.jsonl"))
    assert.is_false(command.exists(folder .. "/stopped.jsonl.part"))
  end)
end)
