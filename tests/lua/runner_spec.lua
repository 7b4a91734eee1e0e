-- The test runner tells a failure from a success: counts, crashes, empty and endless programs, exit status, last line.
-- sanitizers: skip (no code of the library runs)

local ROOT = assert(io.popen("pwd -P")):read("l")

describe("the test runner", function()
  local tree

  local function sh(command)
    local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1", "r"))
    local output = pipe:read("a")
    return pipe:close() == true, output
  end

  before_each(function()
    tree = select(2, sh("mktemp -d")):match("[^\n]+")
    assert(sh(("mkdir -p %s/tests/lua/behaviour %s/tests/c && ln -s %s/tests/run.lua %s/tests/busted.lua %s/tests/spacetimedb %s/tests/")
      :format(tree, tree, ROOT, ROOT, ROOT, tree)))
  end)

  after_each(function()
    sh("rm -rf '" .. tree .. "'")
  end)

  local function write(path, text)
    local file = assert(io.open(tree .. "/" .. path, "w"))
    file:write(text)
    file:close()
  end

  -- Whether the runner was content, its last line, all it said.
  local function run(settings, arguments)
    local ok, output = sh(("cd '%s' && %s lua5.4 tests/run.lua %s"):format(tree, settings or "", arguments or ""))
    return ok, output:match("([^\n]*)\n$"), output
  end

  it("adds up what passed and what was skipped", function()
    write("tests/lua/a_spec.lua", 'describe("a", function() it("b", function() end) it("c", function() end) pending("d") end)')
    local ok, last, output = run()
    assert.is_true(ok, output)
    assert.equal("2 passed, 0 failed, 1 skipped", last)
  end)

  it("runs a behaviour spec once per backend", function()
    write("tests/lua/behaviour/a_spec.lua", [[it("b", function() assert.is_string(os.getenv("INNER_UNIVERSE_TEST_BACKEND")) end)]])
    local ok, last, output = run()
    assert.is_true(ok, output)
    assert.equal("2 passed, 0 failed, 2 skipped", last) -- neither a server nor its double is there
    assert.truthy(output:find("[memory]", 1, true) and output:find("[file]", 1, true))
  end)

  it("counts a failure, shows its output and ends with failure", function()
    write("tests/lua/a_spec.lua", 'it("b", function() assert.equal(1, 2) end) it("c", function() end)')
    local ok, last, output = run()
    assert.is_false(ok)
    assert.equal("1 passed, 1 failed", last)
    assert.truthy(output:find("Expected objects to be equal", 1, true))
    assert.truthy(output:find("failed: tests/lua/a_spec.lua", 1, true))
  end)

  it("counts a program that ends early, is empty, does not parse or does not end as failed", function()
    for text, reason in pairs({
      ['it("b", function() os.exit(0) end)'] = "ended before it could report",
      [" "] = "contains no test",
      ["x"] = "",
      ['it("b", function() while true do end end)'] = "no end after 2 s",
    }) do
      write("tests/lua/a_spec.lua", text)
      local ok, last, output = run("INNER_UNIVERSE_TEST_TIMEOUT=2")
      assert.is_false(ok, output)
      assert.truthy(last:match("^0 passed, [12] failed$"), output)
      assert.truthy(output:find(reason, 1, true), output)
    end
  end)

  it("counts a C program that is not built, crashes, or ends with failure after its tests passed as failed", function()
    sh(("mkdir -p %s/build/test/tests/c"):format(tree))
    write("tests/c/base_a_test.c", "")
    assert.equal("0 passed, 1 failed", (select(2, run())))
    for script, expected in pairs({
      ["echo 1..1; echo ok 1 - a"] = "1 passed, 0 failed",
      ["echo 1..2; echo ok 1 - a; kill -SEGV $$"] = "1 passed, 1 failed",
      ["echo 1..1; echo ok 1 - a; exit 3"] = "1 passed, 1 failed",
      ["echo 1..2; echo ok 1 - a; echo 'not ok 2 # SKIP b'"] = "1 passed, 0 failed, 1 skipped",
      ["echo 1..2; echo ok 1 - a"] = "1 passed, 1 failed",
    }) do
      write("build/test/tests/c/base_a_test", "#!/bin/sh\n" .. script .. "\n")
      sh(("chmod +x %s/build/test/tests/c/base_a_test"):format(tree))
      assert.equal(expected, (select(2, run())))
    end
  end)

  it("fails when there is nothing to run", function()
    local ok, last = run()
    assert.is_false(ok)
    assert.equal("0 passed, 0 failed", last)
  end)

  it("hides the caller's settings from the tests", function()
    write("tests/lua/a_spec.lua", [[it("b", function()
      assert.is_nil(os.getenv("INNER_UNIVERSE_DB_PATH"))
      assert.is_nil(os.getenv("MAKEFLAGS"))
    end)]])
    local ok, _, output = run("INNER_UNIVERSE_DB_PATH=x MAKEFLAGS=-n")
    assert.is_true(ok, output)
  end)

  it("says when there is no SpacetimeDB server, and counts what needs it as skipped", function()
    write("tests/lua/a_spec.lua", [[it("b", function() assert.is_nil(os.getenv("INNER_UNIVERSE_TEST_SERVER")) end)]])
    write("tests/lua/behaviour/a_spec.lua", 'it("b", function() end)')
    local ok, last, output = run(nil, "--backend spacetimedb")
    assert.is_true(ok, output)
    assert.equal("1 passed, 0 failed, 1 skipped", last)
    assert.truthy(output:find("no SpacetimeDB server is installed", 1, true), output)
  end)

  it("does not start without the server it was given", function()
    write("tests/lua/a_spec.lua", 'it("b", function() end)')
    for program, reason in pairs({ ["/nowhere/server"] = "there is no file /nowhere/server", ["tests/no_server"] = "no server here" }) do
      write("tests/no_server", "#!/bin/sh\necho no server here\n")
      sh(("chmod +x '%s/tests/no_server'"):format(tree))
      local ok, _, output = run("SPACETIMEDB_SERVER=" .. program)
      assert.is_false(ok)
      assert.truthy(output:find(reason, 1, true), output)
    end
  end)

  local PROGRAM = os.getenv("INNER_UNIVERSE_TEST_SERVER_PROGRAM")
  local with_server = PROGRAM and it or pending

  with_server("starts one server for all, and ends it in whatever way the run ends", function()
    write("tests/lua/a_spec.lua", ([[it("b", function()
      local port = os.getenv("INNER_UNIVERSE_TEST_SERVER"):match("^ws://127%%.0%%.0%%.1:(%%d+)$")
      assert(os.execute("bash -c 'exec 4<>/dev/tcp/127.0.0.1/" .. port .. "'"))
      io.open("%s/seen", "w"):write(port):close()
      if os.getenv("HOLD") then os.execute("sleep 2") end
    end)]]):format(tree))
    local closed = [[for i in $(seq 100); do bash -c 'exec 4<>/dev/tcp/127.0.0.1/'$(cat %s/seen) 2>/dev/null || exit 0; sleep 0.1; done; exit 1]]
    local settings = ("SPACETIMEDB_SERVER='%s' TMPDIR='%s'"):format(PROGRAM, tree)
    local ok, last, output = run(settings)
    assert.is_true(ok, output)
    assert.equal("1 passed, 0 failed", last)
    assert.is_true((sh(closed:format(tree))), "the server is left")
    for _, signal in ipairs({ "INT", "TERM", "KILL" }) do
      sh(("rm -f '%s/seen'"):format(tree))
      sh(([[cd '%s'; HOLD=1 %s env --default-signal=INT lua5.4 tests/run.lua >out 2>&1 & pid=$!
        for i in $(seq 100); do [ -s seen ] && break; sleep 0.1; done; kill -%s $pid; wait $pid]]):format(tree, settings, signal))
      assert.is_true((sh(("test -s '%s/seen'"):format(tree))), select(2, sh(("cat '%s/out'"):format(tree))))
      assert.is_true((sh(closed:format(tree))), "the server is left after SIG" .. signal)
    end
  end)

  with_server("counts a server that ended in the middle as failed", function()
    write("tests/lua/a_spec.lua", ([[it("b", function()
      local folder = io.popen("ls -d '%s'/inner_universe_test.*/data"):read("l"):match("(.*)/data")
      os.execute("pid=$(cut -d ' ' -f 2 " .. folder .. "/ready); kill -KILL $pid; for i in $(seq 200); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done")
    end)]]):format(tree))
    local ok, last, output = run(("SPACETIMEDB_SERVER='%s' TMPDIR='%s'"):format(PROGRAM, tree))
    assert.is_false(ok)
    assert.equal("1 passed, 1 failed", last)
    assert.truthy(output:find("the SpacetimeDB server ended by itself", 1, true), output)
  end)
end)
