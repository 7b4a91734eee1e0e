-- The command `iu`, as a shell user meets it: what it prints where, its exit status, and that looking at a file changes nothing.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"

local quote = command.quote

describe("iu", function()
  local folder, file

  setup(function()
    folder = command.folder()
    file = folder .. "/world.universe"
    local manager = assert(iu.open(file))
    assert(manager:create_entity("Person", { name = "Ada", properties = { age = 36 } }, "p1"))
    assert(manager:create_entity("Person", { name = "Tab\there", properties = { age = 1.5 } }, "p2"))
    assert(manager:create_entity("Company", { name = "Société" }, "c1"))
    assert(manager:commit_version({ a = 1 }, "the first"))
    assert(manager:shutdown())
  end)

  teardown(function()
    os.execute("rm -rf " .. quote(folder))
  end)

  local function script(text)
    return quote(command.write(folder .. "/script.lua", text))
  end

  local function query(sql, options)
    return command.iu(("query %s %s %s"):format(quote(file), quote(sql), options or ""))
  end

  -- Wrong use is 2, said on standard error, with nothing on standard output.
  local function refused(status, words, ...)
    local run = command.iu(words)
    assert.equal(status, run.status, run.err)
    assert.equal("", run.out)
    assert.matches("^iu: ", run.err)
    for _, text in ipairs({ ... }) do
      assert.truthy(run.err:find(text, 1, true), run.err)
    end
    return run
  end

  describe("used wrongly", function()
    it("says how it is used when no command is given", function()
      local run = command.iu("")
      assert.equal(2, run.status)
      assert.equal("", run.out)
      assert.matches("^usage: iu COMMAND", run.err)
    end)

    it("suggests the command that was meant", function()
      refused(2, "qurey x y", "unknown command 'qurey'", "did you mean 'query'?")
      refused(2, "help qurey", "did you mean 'query'?")
      refused(2, "--versoin", "did you mean '--version'?")
    end)

    it("suggests the option that was meant", function()
      refused(2, "info --jsno x", "unknown option '--jsno'", "did you mean '--json'?", "usage: iu info FILE")
    end)

    it("names missing and unexpected arguments", function()
      refused(2, "info", "arguments are missing")
      refused(2, "query x", "arguments are missing", 'usage: iu query FILE "SELECT ..."')
      refused(2, "info a b", "unexpected argument 'b'")
      refused(2, "plugins --config", "'--config' wants FILE")
      refused(2, "info --json=1 x", "'--json' takes no value")
    end)

    it("names the command of a group", function()
      refused(2, "server pign", "unknown command 'server pign'", "did you mean 'ping'?", "`iu help server` lists them")
      refused(2, "help server pign", "unknown command 'server pign'")
      refused(2, "help server ping more", "`iu server ping` has no commands of its own")
      refused(2, "server --hlep", "unknown option '--hlep'", "did you mean '--help'?")
      refused(2, "server ping --jsno", "did you mean '--json'?", "usage: iu server ping")
      refused(2, "server ping --timeout soon", "'--timeout' wants a number above 0, not 'soon'")
      local run = command.iu("server")
      assert.equal(2, run.status)
      assert.equal("", run.out)
      assert.matches("^usage: iu server COMMAND", run.err)
    end)
  end)

  describe("help", function()
    it("lists every command", function()
      for _, words in ipairs({ "help", "--help", "-h" }) do
        local run = command.iu(words)
        assert.equal(0, run.status)
        for _, name in ipairs({ "run", "demo", "info", "query", "server", "plugins", "doctor", "help" }) do
          assert.matches("\n  " .. name .. " ", run.out)
        end
      end
    end)

    it("tells about each command, either way it is asked", function()
      for _, name in ipairs({ "run", "demo", "info", "query", "server", "plugins", "doctor", "help" }) do
        local run = command.iu("help " .. name)
        assert.equal(0, run.status)
        assert.matches("^usage: iu " .. name, run.out)
        assert.equal(run.out, command.iu(name .. " --help").out)
      end
    end)

    it("tells about the commands of a group", function()
      assert.equal(command.iu("help server").out, command.iu("server --help").out)
      local names = {}
      for name in command.iu("help server").out:gmatch("\n  (%l[%w-]*) ") do names[#names + 1] = name end
      assert.is_true(#names > 0)
      for _, name in ipairs(names) do
        local run = command.iu("help server " .. name)
        assert.equal(0, run.status)
        assert.matches("^usage: iu server " .. name, run.out)
        assert.equal(run.out, command.iu("server " .. name .. " --help").out)
      end
    end)

    it("tells the version", function()
      assert.equal("iu " .. iu._VERSION .. "\n", command.iu("--version").out)
    end)
  end)

  describe("run", function()
    it("gives a program its arguments as plain Lua does, options included", function()
      local run = command.iu("run " .. script("print(arg[0]:match('[^/]+$'), #arg, arg[1], ...)") .. " --json -x 'a b'")
      assert.equal("script.lua\t3\t--json\t--json\t-x\ta b\n", run.out)
      assert.equal(0, run.status)
    end)

    it("takes the program from standard input", function()
      local run = command.sh(("echo 'print(require \"inner_universe\"._VERSION, ...)' | %s/scripts/iu run - x"):format(quote(command.root)))
      assert.equal(iu._VERSION .. "\tx\n", run.out)
    end)

    it("ends with the status the program chose", function()
      assert.equal(7, command.iu("run " .. script("os.exit(7)")).status)
      assert.equal(1, command.iu("run " .. script("os.exit(false)")).status)
    end)

    it("tells a raised error with the program's own traceback", function()
      local run = command.iu("run " .. script("local function deep() error('boom') end\nprint('before')\ndeep()"))
      assert.equal(1, run.status)
      assert.equal("before\n", run.out)
      assert.matches("^iu: [^\n]*script.lua:1: boom\nstack traceback:\n", run.err)
      assert.truthy(run.err:find("script.lua:3:", 1, true), run.err)
      assert.falsy(run.err:find("cli/", 1, true), run.err)
    end)

    it("tells a raised err by its text", function()
      local run = command.iu("run " .. script("assert(require('inner_universe').open('/nonexistent/x'))"))
      assert.equal(1, run.status)
      assert.matches("^iu: StorageError: ", run.err)
      assert.falsy(run.err:find("traceback", 1, true), run.err)
    end)

    it("names a program that is not there, or no program", function()
      refused(1, "run /nonexistent.lua", "/nonexistent.lua")
      refused(1, "run " .. script("this is no Lua"), "script.lua:1:")
    end)

    it("closes a universe that the program left open, also when it fails", function()
      for _, ending in ipairs({ "", "error('boom')" }) do
        local path = folder .. "/left" .. #ending .. ".universe"
        command.iu("run " .. script(("m = assert(require('inner_universe').open(%q)) assert(m:create_entity('X')) %s"):format(path, ending)))
        assert.is_true(command.exists(path))
        assert.is_false(command.exists(path .. ".lock"))
        assert.equal("n\n1\n", command.iu(("query %s 'SELECT count(*) AS n FROM entity'"):format(quote(path))).out)
      end
    end)

    it("becomes the program: the process the shell started is the one that runs", function()
      local run = command.sh(("%s/scripts/iu run %s & wait $!; echo $!"):format(quote(command.root),
        script("print(io.open('/proc/self/stat'):read('n'))")))
      local inside, outside = run.out:match("^(%d+)\n(%d+)\n$")
      assert.truthy(inside, run.out .. run.err)
      assert.equal(outside, inside)
    end)

    it("is ended by the signals that end programs", function()
      local busy = script("io.stdout:write('busy\\n') io.stdout:flush() while true do end")
      for signal, status in pairs({ TERM = 143, INT = 130 }) do
        -- Background jobs of a shell ignore SIGINT; env gives it back.
        local run = command.sh(([[
          mkfifo %s/%s; env --default-signal=INT %s/scripts/iu run %s >%s/%s & pid=$!
          read -r line <%s/%s; kill -%s $pid; wait $pid; echo $?]]):format(folder, signal, quote(command.root), busy, folder, signal, folder,
          signal, signal))
        assert.equal(status .. "\n", run.out, run.err)
      end
    end)

    it("is ended by Ctrl-C too when that meets the delivery of a callback", function()
      -- What the interpreter's signal handler does: a hook of the main thread that raises at its next step.
      local run = command.iu("run " .. script([[
        local iu = require "inner_universe"
        local conn = assert(iu.connect("memory:", { subscribe = "all" }))
        local main, heard = coroutine.running(), 0
        iu.on_error(function(err) print("reported", err) end)
        conn.tables.entity:on_insert(function()
          heard = heard + 1
          if heard == 3 then debug.sethook(main, function() debug.sethook(main) error("interrupted!") end, "", 1) end
        end)
        for i = 1, 10 do
          print(i)
          assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }))
        end]]))
      assert.equal(130, run.status, run.err)
      assert.equal("1\n2\n3\n", run.out)
    end)

    it("works through a symbolic link, from any folder", function()
      local other = folder .. "/with a blank"
      os.execute("mkdir -p " .. quote(other))
      os.execute(("ln -s %s %s"):format(quote(command.root .. "/scripts/iu"), quote(other .. "/iu")))
      local run = command.sh(("cd / && PATH=%s:$PATH iu --version"):format(quote(other)))
      assert.equal("iu " .. iu._VERSION .. "\n", run.out, run.err)
    end)

    it("says what to do when the core is not built", function()
      local run = command.sh(("IU_BUILD=/nonexistent %s/scripts/iu doctor"):format(quote(command.root)))
      assert.equal(1, run.status)
      assert.equal(("iu: the core is not built; run `make` in %s\n"):format(command.root), run.err)
    end)

    it("works installed, with no search path set", function()
      local to = folder .. "/dest"
      local made = command.sh(("make -s install DESTDIR=%s PREFIX=/opt/iu"):format(quote(to)))
      assert.equal(0, made.status, made.err)
      local run = command.sh(("cd / && %s/opt/iu/bin/iu run - <<'EOF'\nprint(package.searchpath('inner_universe', package.path))\n"
        .. "print(assert(require('inner_universe').open('memory:')):plugin('event_bus') ~= nil)\nEOF"):format(quote(to)))
      assert.equal(to .. "/opt/iu/share/lua/5.4/inner_universe.lua\ntrue\n", run.out, run.err)
    end)
  end)

  describe("info", function()
    it("tells format, size, state, journal, versions, tables and rows", function()
      local run = command.iu("info " .. quote(file))
      assert.equal(0, run.status, run.err)
      for _, text in ipairs({ "\n  format    1, schema 1\n", "\n  state     closed properly\n", "\n  journal   empty", "\n  versions  1\n",
        '"the first"', " kB on disk\n" }) do
        assert.truthy(run.out:find(text, 1, true), run.out)
      end
      assert.matches("\n  entity +3 +%d+\n", run.out)
      assert.matches("\n  empty: [^\n]*relation", run.out)
    end)

    it("tells the same as JSON", function()
      local facts = assert(iu.json.decode(command.iu("info --json " .. quote(file)).out))
      assert.equal(1, facts.format)
      assert.equal(#command.read(file), facts.bytes)
      assert.equal(64, #facts.owner)
      assert.equal(1, facts.versions.count)
      assert.equal("the first", facts.versions.branches[1].description)
      assert.equal(0, facts.journal.groups)
      local rows = {}
      for _, t in ipairs(facts.tables) do rows[t.name] = t.rows end
      assert.equal(3, rows.entity)
      assert.equal(facts.events, rows.event_log)
    end)

    it("shows the owner as the universe does", function()
      local manager <close> = assert(iu.open(file))
      local version = assert(manager.temporal_store:history())[1]
      assert.equal(version.owner, assert(iu.json.decode(command.iu("info --json " .. quote(file)).out)).owner)
    end)
  end)

  describe("query", function()
    it("prints lines of values with tabs between them in a pipe", function()
      local run = query("SELECT id, json_extract(metadata, '$.name') AS name, NULL AS gone, 1.5 AS half FROM entity ORDER BY id")
      assert.equal("id\tname\tgone\thalf\nc1\tSociété\t\t1.5\np1\tAda\t\t1.5\np2\tTab\\there\t\t1.5\n", run.out)
      assert.equal(0, run.status)
    end)

    it("prints objects with --json, columns in their order, exactly", function()
      local run = query("SELECT id, NULL AS n, 1 AS i, 1.0 AS f, X'00FF' AS b FROM entity WHERE id = 'p1'", "--json")
      assert.equal('[\n{"id":"p1","n":null,"i":1,"f":1.0,"b":"X\'00FF\'"}\n]\n', run.out)
      assert.equal("[\n]\n", query("SELECT 1 WHERE 0", "--json").out)
    end)

    it("prints aligned columns with --table, numbers to the right", function()
      local run = query("SELECT id, json_extract(metadata, '$.name') AS name, length(id) * 1000 AS n FROM entity WHERE id <> 'p2' ORDER BY 1",
        "--table")
      assert.equal("id  name        n\n--  -------  ----\nc1  Société  2000\np1  Ada      2000\n(2 rows)\n", run.out)
    end)

    it("prints a table cut to its width on a terminal", function()
      if command.sh("command -v script").status ~= 0 then return pending("no program `script` here") end
      local run = command.sh(("COLUMNS=30 script -qec %s /dev/null"):format(quote(("%s/scripts/iu query %s %s"):format(
        quote(command.root), quote(file), quote("SELECT id, metadata FROM entity WHERE id = 'p1'")))))
      local lines = {}
      for line in run.out:gmatch("[^\r\n]+") do lines[#lines + 1] = line end
      assert.equal("id  metadata", lines[1], run.out .. run.err)
      assert.equal("--  " .. ("-"):rep(26), lines[2])
      assert.matches('^p1  {"name":"Ada",.*…$', lines[3])
      assert.equal(30, utf8.len(lines[3]))
    end)

    it("reads the SQL from standard input", function()
      local run = command.sh(("echo 'SELECT count(*) AS n\nFROM entity' | %s/scripts/iu query %s -"):format(quote(command.root), quote(file)))
      assert.equal("n\n3\n", run.out, run.err)
    end)

    it("says what is wrong with the SQL", function()
      refused(1, ("query %s 'SELCT 1'"):format(quote(file)), "SELCT")
      refused(1, ("query %s 'SELECT nothing FROM entity'"):format(quote(file)), "nothing")
      refused(1, ("query %s ''"):format(quote(file)), "no SQL")
    end)

    it("only reads", function()
      local before = command.read(file)
      for _, sql in ipairs({ "DELETE FROM entity", "DROP TABLE entity", "INSERT INTO config VALUES (1)", "ATTACH 'x' AS y", "PRAGMA user_version = 9",
        "VACUUM INTO '/tmp/x'" }) do
        refused(1, ("query %s %s"):format(quote(file), quote(sql)))
      end
      assert.equal(0, query("SELECT * FROM event_log").status)
      assert.equal(0, command.iu("info " .. quote(file)).status)
      assert.is_true(before == command.read(file), "the file changed")
      assert.is_false(command.exists(file .. ".lock"))
    end)

    it("says nothing when its reader goes away", function()
      local run = command.sh(("%s/scripts/iu query %s 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000) SELECT x FROM c'"
        .. " | head -2"):format(quote(command.root), quote(file)))
      assert.equal("x\n1\n", run.out)
      assert.equal("", run.err)
    end)

    it("fails when its output cannot be written", function()
      local run = command.sh(("%s/scripts/iu query %s 'SELECT 1' >/dev/full"):format(quote(command.root), quote(file)))
      assert.equal(1, run.status)
      assert.matches("^iu: standard output: ", run.err)
    end)
  end)

  describe("a file that is no universe", function()
    local function both(path, ...)
      refused(1, "info " .. quote(path), ...)
      refused(1, ("query %s 'SELECT 1'"):format(quote(path)), ...)
    end

    it("is not made when it is not there", function()
      both(folder .. "/absent.universe", "absent.universe: No such file or directory")
      assert.is_false(command.exists(folder .. "/absent.universe"))
      assert.is_false(command.exists(folder .. "/absent.universe.lock"))
    end)

    it("is told apart and left alone", function()
      both(folder, "directory")
      both(command.write(folder .. "/empty", ""), "is empty")
      both(command.write(folder .. "/text", ("no universe "):rep(100)), "no universe file")
      both("memory:", "memory: keeps nothing")
      both("ws://localhost:3000/x", "only files")
      if command.sh("command -v sqlite3").status == 0 then
        command.sh(("sqlite3 %s/other.db 'CREATE TABLE t (x)'"):format(quote(folder)))
        both(folder .. "/other.db", "SQLite database, but no universe file")
      end
    end)
  end)

  describe("a universe in use", function()
    local HOLD = [[
      local m = assert(require("inner_universe").open(arg[1], { durability = "full" }))
      assert(m:create_entity("Held"))
      print(io.open("/proc/self/stat"):read("n"))
      io.stdout:flush()
      io.read("l")]]

    -- Runs `line` while another process holds $file; $pid is that process.
    local function while_held(path, line)
      return command.sh(([[
        file=%s; mkfifo "$file.in" "$file.out"
        %s/scripts/iu run %s "$file" <"$file.in" >"$file.out" & exec 8>"$file.in" 9<"$file.out"
        read -r pid <&9
        iu() { %s/scripts/iu "$@" 8>&- 9<&-; }
        %s
        exec 8>&-; wait]]):format(quote(path), quote(command.root), script(HOLD), quote(command.root), line))
    end

    it("is refused by query, with the holder's process id; info says it too", function()
      local run = while_held(folder .. "/held.universe", [[
        echo $pid; iu query "$file" 'SELECT 1'; echo $?; iu info --json "$file"]])
      local pid, status, facts = run.out:match("^(%d+)\n(%d+)\n(.*)$")
      assert.equal("1", status, run.out)
      assert.matches("^iu: .*is open in process " .. pid .. "\n$", run.err)
      assert.equal(math.tointeger(pid), assert(iu.json.decode(facts)).holder)
    end)

    it("is brought up to date by query once its process was killed", function()
      local run = while_held(folder .. "/killed.universe", [[
        kill -KILL $pid; wait $! 2>/dev/null
        iu info "$file" | grep '  state'
        iu query "$file" 'SELECT entity_type FROM entity'; iu info "$file" | grep '  state']])
      assert.equal("  state     not closed properly; the next open brings it in order\nentity_type\nHeld\n  state     closed properly\n", run.out, run.err)
    end)
  end)

  describe("plugins", function()
    it("lists what would run, and where it is", function()
      local run = command.iu("plugins")
      assert.equal(0, run.status, run.err)
      for _, name in ipairs({ "controller", "persistence_manager", "event_bus", "temporal_store" }) do
        assert.truthy(run.out:find(name .. ": " .. command.root .. "/plugins/" .. name, 1, true), run.out)
      end
      local rows = assert(iu.json.decode(command.iu("plugins --json").out))
      assert.equal("controller", rows[1].name)
      assert.equal("[]", iu.json.encode(rows[1].requires))
    end)

    it("says why one is refused, and fails", function()
      os.execute(("mkdir -p %s/more/odd"):format(quote(folder)))
      command.write(folder .. "/more/odd/manifest.lua", 'return { name = "odd", version = "1.0.0", api = ">=99 <100" }')
      command.write(folder .. "/more/odd/init.lua", "return { start = function() return {} end }")
      local config = command.write(folder .. "/config.lua", ("return { plugins = { paths = { %q }, odd = true } }"):format(folder .. "/more"))
      local run = command.iu("plugins --config " .. quote(config))
      assert.equal(1, run.status)
      assert.matches("\nodd +1%.0%.0 +refused .*99", run.out)
      refused(1, "plugins --config /nonexistent.lua", "/nonexistent.lua")
    end)
  end)

  describe("doctor", function()
    it("finds everything in order here", function()
      local run = command.iu("doctor " .. quote(file))
      assert.equal(0, run.status, run.out .. run.err)
      assert.falsy(run.out:find("BAD", 1, true), run.out)
      assert.truthy(run.out:find("a universe in memory works", 1, true), run.out)
      assert.truthy(run.out:find("is a whole SQLite database", 1, true), run.out)
    end)

    it("fails when something is not", function()
      local run = command.iu("doctor /nonexistent")
      assert.equal(1, run.status)
      assert.matches("\nBAD +/nonexistent: No such file", run.out)
      assert.equal("iu: 1 problem\n", run.err)
    end)
  end)
end)
