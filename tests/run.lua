-- The test runner: finds every test by its name, runs each in a fresh process with a time limit, adds up what they report.
--
--   lua5.4 tests/run.lua [--c] [--lua] [--asan] [--soak MINUTES] [--match TEXT]
--
-- C programs (tests/c/*_test.c, built by make) and busted specs both speak TAP. A program that crashes, runs out of time, exits with
-- failure although nothing failed, or reports fewer tests than it planned counts as one failed test; so does one without any test.
-- Specs in tests/lua/ run once, those in tests/lua/behaviour/ once per backend, told by INNER_UNIVERSE_TEST_BACKEND=memory|file.
-- A spec with a line `-- sanitizers: skip (reason)` among its first ten is left out under --asan.
-- The last line is `N passed, N failed` (and `, N skipped`); the exit status is 0 only when something passed and nothing failed.
-- Run from the top folder, after `make all build-tests` (or `make build-asan`).

local TIME_LIMIT = tonumber(os.getenv("INNER_UNIVERSE_TEST_TIMEOUT")) or 300 -- seconds, per program
local BACKENDS = { "memory", "file" }
local UNSET = { "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LUA_PATH_5_4", "LUA_CPATH_5_4", "LUA_INIT", "LUA_INIT_5_4" }

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
    elseif name == "--match" or name == "--soak" then
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
local function environment(job, scratch)
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
  if job.asan then
    set("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    set("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    set("INNER_UNIVERSE_TEST_SANITIZED", "1")
  end
  if job.kind == "lua" then
    local built = ROOT .. (job.asan and "/build/asan" or "/build")
    set("LUA_PATH", ("%s/lua/?.lua;%s/lua/?/init.lua;%s/tests/lua/?.lua;;"):format(ROOT, ROOT, ROOT))
    set("LUA_CPATH", built .. "/lua/?.so;;")
    if job.backend then set("INNER_UNIVERSE_TEST_BACKEND", job.backend) end
    if job.asan then set("LD_PRELOAD", lines_of("gcc -print-file-name=libasan.so")[1]) end
  end
  return table.concat(parts, " ")
end

local function command_of(job, scratch)
  local program
  if job.kind == "c" then
    program = quote(job.program)
  else
    program = "lua5.4 tests/busted.lua -o TAP " .. quote(job.path)
  end
  return ("timeout --kill-after=10 %d %s %s 2>&1 </dev/null"):format(TIME_LIMIT, environment(job, scratch), program)
end

local function run(job)
  local scratch = lines_of("mktemp -d " .. quote((os.getenv("TMPDIR") or "/tmp") .. "/inner_universe_test.XXXXXX"))[1]
  assert(scratch, "no temporary folder")
  local started = tonumber(lines_of("date +%s.%N")[1])
  local output, ok, how, code = capture(command_of(job, scratch))
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
      for _, backend in ipairs(BACKENDS) do
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

local function run_all(jobs, total, until_failure)
  for _, job in ipairs(jobs) do
    local result = run(job)
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

local function main()
  local options = parse_arguments(arg)
  local jobs = find_jobs(options)
  local total = { passed = 0, failed = 0, skipped = 0, bad = {} }
  if options.soak then
    local finish = os.time() + options.soak * 60
    repeat
      run_all(jobs, total, true)
    until #jobs == 0 or total.failed > 0 or os.time() >= finish
  else
    run_all(jobs, total, false)
  end
  if #jobs == 0 then io.stderr:write("run.lua: no test matches\n") end
  for _, label in ipairs(total.bad) do
    print("failed: " .. label)
  end
  print(("%d passed, %d failed%s"):format(total.passed, total.failed, total.skipped > 0 and (", %d skipped"):format(total.skipped) or ""))
  os.exit(total.failed == 0 and total.passed > 0 and 0 or 1)
end

main()
