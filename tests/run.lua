-- The test runner: finds every test by its name, runs each in a fresh process with a time limit, adds up what they report.
--
--   lua5.4 tests/run.lua [--c] [--lua] [--asan] [--soak MINUTES] [--match TEXT] [--backend NAME]
--
-- C programs (tests/c/*_test.c, built by make) and busted specs both speak TAP. A program that crashes, runs out of time, exits with
-- failure although nothing failed, or reports fewer tests than it planned counts as one failed test; so does one without any test.
-- Specs in tests/lua/ run once, those in tests/lua/behaviour/ once per backend (--backend: on that one only), told by
-- INNER_UNIVERSE_TEST_BACKEND=memory|file|spacetimedb; on `peer` (tests/peer, which speaks the newer protocols) it says spacetimedb, too, and
-- INNER_UNIVERSE_TEST_PEER is 1.
-- One SpacetimeDB server runs beside them where there is one: the program that SPACETIMEDB_SERVER names, or the one of `make spacetimedb`. Tests find
-- INNER_UNIVERSE_TEST_SERVER (ws://127.0.0.1:port), ..._TEST_SERVER_PROGRAM, and ..._TEST_WASM (the module, where it was built).
-- A spec with a line `-- sanitizers: skip (reason)` among its first ten is left out under --asan.
-- The last line is `N passed, N failed` (and `, N skipped`); the exit status is 0 only when something passed and nothing failed.
-- Run from the top folder, after `make all build-tests` (or `make build-asan`).

local TIME_LIMIT = tonumber(os.getenv("INNER_UNIVERSE_TEST_TIMEOUT")) or 300 -- seconds, per program
local BACKENDS = { "memory", "file", "spacetimedb", "peer" } -- --backend takes one of them
local WASM = "build/inner_universe.wasm"
local SERVER_WAIT = 30 -- seconds until it must answer
local UNSET = {
  "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LUA_PATH_5_4", "LUA_CPATH_5_4", "LUA_INIT", "LUA_INIT_5_4", "SPACETIMEDB_SERVER",
}

local function fail_usage(message)
  io.stderr:write("run.lua: ", message, "\n")
  os.exit(2)
end

local function parse_arguments(args)
  local options = { c = false, lua = false }
  local i = 1
  while i <= #args do
    local name = args[i]
    if name == "--c" or name == "--lua" or name == "--asan" then
      options[name:sub(3)] = true
    elseif name == "--match" or name == "--soak" or name == "--backend" then
      i = i + 1
      options[name:sub(3)] = args[i] or fail_usage(name .. " wants a value")
    else
      fail_usage("unknown argument " .. name)
    end
    i = i + 1
  end
  if options.soak then
    options.soak = tonumber(options.soak) or fail_usage("--soak wants a number of minutes")
  end
  if options.backend and not table.concat(BACKENDS, " "):find("%f[%w]" .. options.backend .. "%f[%W]") then
    fail_usage("unknown backend " .. options.backend)
  end
  if not (options.c or options.lua) then
    options.c, options.lua = true, true
  end
  return options
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Standard output of a command, and whether it succeeded.
local function capture(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read("a")
  local ok, how, code = pipe:close()
  return output, ok == true, how, code
end

local function lines_of(command)
  local lines = {}
  for line in capture(command):gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

local ROOT = lines_of("pwd -P")[1]

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function is_file(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function skips_sanitizers(path)
  local count = 0
  for line in (read_file(path) or ""):gmatch("[^\n]*\n") do
    count = count + 1
    if count > 10 then return false end
    if line:match("^%-%- sanitizers: skip") then return true end
  end
  return false
end

-- What a program said in TAP. cmocka prints a skipped test as `not ok N # SKIP`, busted as `ok N - # SKIP`.
local function read_tap(output)
  local result = { passed = 0, failed = 0, skipped = 0, planned = nil }
  for line in output:gmatch("[^\n]+") do
    local plan = line:match("^1%.%.(%d+)%s*$")
    if plan then
      result.planned = (result.planned or 0) + tonumber(plan)
    elseif line:match("^ok %d+") or line:match("^not ok %d+") then
      if line:match("^n?o?t? ?ok %d+ [%- ]*# SKIP") then
        result.skipped = result.skipped + 1
      elseif line:match("^ok") then
        result.passed = result.passed + 1
      else
        result.failed = result.failed + 1
      end
    end
  end
  return result
end

-- Why a program counts as failed although none of its tests said so, or nil.
local function broken(tap, ok, how, code)
  if code == 124 or code == 137 and how == "exit" then
    return ("no end after %d s (or killed)"):format(TIME_LIMIT)
  end
  local ran = tap.passed + tap.failed + tap.skipped
  if not ok and tap.failed == 0 then
    return ("ended with %s %s"):format(how == "signal" and "signal" or "status", tostring(code))
  end
  if tap.planned == nil then return "ended before it could report (crashed?)" end
  if ran ~= tap.planned then return ("planned %d tests, reported %d"):format(tap.planned, ran) end
  if ran == 0 then return "contains no test" end
  return nil
end

-- A spec sees the tree's own modules and none of the caller's settings, make's included.
local function environment(job, scratch, server)
  local parts = { "env" }
  for _, name in ipairs(UNSET) do
    parts[#parts + 1] = "-u " .. name
  end
  for name in capture("env"):gmatch("(INNER_UNIVERSE_[%w_]*)=") do
    parts[#parts + 1] = "-u " .. name
  end
  local function set(name, value)
    parts[#parts + 1] = name .. "=" .. quote(value)
  end
  set("TMPDIR", scratch)
  set("CMOCKA_MESSAGE_OUTPUT", "TAP")
  if server then
    set("INNER_UNIVERSE_TEST_SERVER", server.address)
    set("INNER_UNIVERSE_TEST_SERVER_PROGRAM", server.program)
  end
  if is_file(WASM) then set("INNER_UNIVERSE_TEST_WASM", ROOT .. "/" .. WASM) end
  if job.asan then
    set("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    set("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    set("INNER_UNIVERSE_TEST_SANITIZED", "1")
  end
  if job.kind == "lua" then
    local built = ROOT .. (job.asan and "/build/asan" or "/build")
    set("LUA_PATH", ("%s/lua/?.lua;%s/lua/?/init.lua;%s/tests/lua/?.lua;;"):format(ROOT, ROOT, ROOT))
    set("LUA_CPATH", built .. "/lua/?.so;;")
    if job.backend then set("INNER_UNIVERSE_TEST_BACKEND", job.backend == "peer" and "spacetimedb" or job.backend) end
    if job.backend == "peer" then set("INNER_UNIVERSE_TEST_PEER", "1") end
    if job.asan then set("LD_PRELOAD", lines_of("gcc -print-file-name=libasan.so")[1]) end
  end
  return table.concat(parts, " ")
end

local function command_of(job, scratch, server)
  local program
  if job.kind == "c" then
    program = quote(job.program)
  else
    program = "lua5.4 tests/busted.lua -o TAP " .. quote(job.path)
  end
  return ("timeout --kill-after=10 %d %s %s 2>&1 </dev/null"):format(TIME_LIMIT, environment(job, scratch, server), program)
end

local function temporary_folder()
  return assert(lines_of("mktemp -d " .. quote((os.getenv("TMPDIR") or "/tmp") .. "/inner_universe_test.XXXXXX"))[1], "no temporary folder")
end

-- Nothing that would need the server runs without one.
local function skipped()
  return { passed = 0, failed = 0, skipped = 1, seconds = 0, output = "" }
end

local function run(job, servers)
  local server = servers.real
  if job.backend == "peer" then server = servers.peer end
  if (job.backend == "spacetimedb" or job.backend == "peer") and not server then return skipped() end
  local scratch = temporary_folder()
  local started = tonumber(lines_of("date +%s.%N")[1])
  local output, ok, how, code = capture(command_of(job, scratch, server))
  local seconds = tonumber(lines_of("date +%s.%N")[1]) - started
  os.execute("rm -rf " .. quote(scratch))
  local result = read_tap(output)
  result.seconds, result.output = seconds, output
  result.broken = broken(result, ok, how, code)
  if result.broken then result.failed = result.failed + 1 end
  return result
end

local function find_jobs(options)
  local jobs = {}
  local function add(job)
    job.asan = options.asan
    job.label = job.path .. (job.backend and " [" .. job.backend .. "]" or "")
    if options.match and not job.label:find(options.match, 1, true) then return end
    if options.asan and skips_sanitizers(job.path) then return end
    jobs[#jobs + 1] = job
  end
  if options.c then
    local built = options.asan and "build/asan/tests/c/" or "build/test/tests/c/"
    for _, path in ipairs(lines_of("find tests/c -name '*_test.c' | sort")) do
      add({ kind = "c", path = path, program = built .. path:match("([^/]+)%.c$") })
    end
  end
  if options.lua then
    for _, path in ipairs(lines_of("find tests/lua -maxdepth 1 -name '*_spec.lua' | sort")) do
      add({ kind = "lua", path = path })
    end
    for _, path in ipairs(lines_of("find tests/lua/behaviour -name '*_spec.lua' 2>/dev/null | sort")) do
      for _, backend in ipairs(options.backend and { options.backend } or BACKENDS) do
        add({ kind = "lua", path = path, backend = backend })
      end
    end
  end
  return jobs
end

local function report(job, result)
  local counts = ("%d passed"):format(result.passed)
  if result.failed > 0 then counts = counts .. (", %d failed"):format(result.failed) end
  if result.skipped > 0 then counts = counts .. (", %d skipped"):format(result.skipped) end
  print(("%-4s %-58s %s  (%.1f s)"):format(result.failed > 0 and "FAIL" or "ok", job.label, counts, result.seconds))
  if result.failed > 0 then
    print("---- output of " .. job.label)
    io.write(result.output, result.output:match("\n$") and "" or "\n")
    if result.broken then print("---- " .. job.label .. ": " .. result.broken) end
    print("----")
  end
  io.stdout:flush()
end

local function run_all(jobs, total, servers, until_failure)
  for _, job in ipairs(jobs) do
    local result = run(job, servers)
    report(job, result)
    for _, key in ipairs({ "passed", "failed", "skipped" }) do
      total[key] = total[key] + result[key]
    end
    if result.failed > 0 then
      total.bad[#total.bad + 1] = job.label
      if until_failure then return end
    end
  end
end

-- The server of the run ----------------------------------------------------------------------------------------------

local Server = {}
Server.__index = Server

-- The program to start, or nil and why there is none.
local function server_program()
  local given = os.getenv("SPACETIMEDB_SERVER")
  if given and given ~= "" then
    given = given:match("^/") and given or ROOT .. "/" .. given
    if not is_file(given) then fail_usage("SPACETIMEDB_SERVER: there is no file " .. given) end
    return given
  end
  local found, ok = capture("scripts/install-spacetimedb path 2>/dev/null")
  if ok then return found:match("[^\n]+") end
  return nil, "no SpacetimeDB server is installed (make spacetimedb does it)"
end

-- tests/spacetimedb holds the server until the pipe that this process holds ends, however that happens.
local function start_server(program)
  local folder = temporary_folder()
  local pipe = assert(io.popen(("exec tests/spacetimedb --remove %s %s"):format(quote(program), quote(folder)), "w"))
  local ready = capture(([[for i in $(seq %d); do [ -e %s/ready ] && exec cat %s/ready; [ -e %s/failed ] && break; sleep 0.05; done]])
    :format(SERVER_WAIT * 20, quote(folder), quote(folder), quote(folder)))
  local port = ready:match("^(%d+)")
  if not port then
    local why = read_file(folder .. "/failed") or "it does not answer"
    pipe:close()
    os.execute("rm -rf " .. quote(folder))
    io.stderr:write(("run.lua: %s does not start: %s\n"):format(program, why))
    os.exit(1)
  end
  return setmetatable({ program = program, address = "ws://127.0.0.1:" .. port, pipe = pipe }, Server)
end

-- The double of tests/peer, where it is built: like the newest server it knows. It ends with its standard input.
local function start_peer(program)
  if not is_file(program) then return nil end
  local folder = temporary_folder()
  local pipe = assert(io.popen(("exec %s >%s/port"):format(quote(program), quote(folder)), "w"))
  local port = capture(("for i in $(seq 100); do grep -m 1 -o '[0-9]*' %s/port && break; sleep 0.05; done"):format(quote(folder))):match("%d+")
  os.execute("rm -rf " .. quote(folder))
  if not port then
    pipe:close()
    io.stderr:write(("run.lua: %s does not start\n"):format(program))
    os.exit(1)
  end
  return setmetatable({ program = program, address = "ws://127.0.0.1:" .. port, pipe = pipe }, Server)
end

--- Ends it; false when it had ended by itself.
function Server:stop()
  local pipe = self.pipe
  self.pipe = nil
  return not pipe or pipe:close() == true
end

Server.__close = Server.stop

local function main()
  local options = parse_arguments(arg)
  local jobs = find_jobs(options)
  local total = { passed = 0, failed = 0, skipped = 0, bad = {} }
  local program, why = server_program()
  local server <close> = program and #jobs > 0 and start_server(program) or nil
  local peer_program = ROOT .. (options.asan and "/build/asan" or "/build/test") .. "/tests/peer/peer"
  local peer <close> = #jobs > 0 and start_peer(peer_program) or nil
  local servers = { real = server, peer = peer }
  print(program and "SpacetimeDB server: " .. program or why .. ": tests that need it are skipped")
  if options.soak then
    local finish = os.time() + options.soak * 60
    repeat
      run_all(jobs, total, servers, true)
    until #jobs == 0 or total.failed > 0 or os.time() >= finish
  else
    run_all(jobs, total, servers, false)
  end
  if server and not server:stop() then
    total.failed = total.failed + 1
    total.bad[#total.bad + 1] = "the SpacetimeDB server ended by itself"
  end
  if #jobs == 0 then io.stderr:write("run.lua: no test matches\n") end
  for _, label in ipairs(total.bad) do
    print("failed: " .. label)
  end
  print(("%d passed, %d failed%s"):format(total.passed, total.failed, total.skipped > 0 and (", %d skipped"):format(total.skipped) or ""))
  return total.failed == 0 and total.passed > 0 and 0 or 1
end

os.exit(main())
