-- The controller: a real SpacetimeDB server started, found, watched, ended; the module built and published; what goes wrong told in the server's words.
-- Programs that behave badly are shell scripts here.
-- sanitizers: skip (it waits for other programs; the process primitive has its own test)

local iu = require "inner_universe"
local command = require "command"
local spacetimedb = require "spacetimedb"

local with_server = spacetimedb.program and it or pending
-- A root that may not signal others.
local without_kill = os.execute("[ $(id -u) = 0 ] && setpriv --bounding-set=-kill true 2>/dev/null") and it or pending
local with_module = spacetimedb.program and spacetimedb.wasm and it or pending

local folders, managers = {}, {}

local function folder()
  local path = command.folder()
  folders[#folders + 1] = path
  return path
end

local function is_free(port)
  return not os.execute(("bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d' 2>/dev/null"):format(port))
end

local function free_port()
  for _ = 1, 100 do
    local port = math.random(20000, 29999) -- below the ones the kernel gives out
    if is_free(port) then return port end
  end
  error("no free port")
end

-- A script that stands for the server's program; `body` runs for `start`, after --help is answered. $port is the one asked for.
local function fake(where, body)
  local path = where .. "/spacetimedb-standalone"
  command.write(path, ([[#!/bin/sh
if [ "$2" = --help ]; then echo "  --data-dir --listen-addr"; exit 0; fi
while [ $# -gt 0 ]; do case $1 in --listen-addr) port=${2##*:} ;; esac; shift; done
%s
]]):format(body))
  assert(os.execute("chmod +x " .. path))
  return path
end

local function settings(more)
  local home = folder()
  local all = {
    backend = "spacetimedb", port = free_port(), db_path = home .. "/world", token_file = home .. "/token", module_path = spacetimedb.wasm,
    plugins = { controller = { program = spacetimedb.program } },
  }
  for key, value in pairs(more or {}) do all[key] = value end
  return all
end

local function manager_of(config)
  local m = assert(iu.manager(config))
  managers[#managers + 1] = m
  return m
end

local function is_there(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == true
end

-- The beginning of a server.json about a process, and its number.
local function record_of(pid)
  local file = assert(io.open(("/proc/%s/stat"):format(pid)))
  local own, rest = file:read("a"):match("^(%d+) .*%) (.*)$")
  file:close()
  return ('{"pid":%s,"started_ticks":%s'):format(own, (select(20, rest:match(("(%S+)%s+"):rep(20))))), tonumber(own)
end

-- Whether a condition comes to hold within some seconds.
local function comes(condition, seconds)
  local limit = iu.now() + (seconds or 10) * 1000000
  while iu.now() < limit do
    if condition() then return true end
    iu.sleep(0.05)
  end
  return condition()
end

local function refused(kind, err, ...)
  assert.equal(kind, err.kind, tostring(err))
  for _, text in ipairs { ... } do assert.truthy(err.message:find(text, 1, true), ("%q is not in: %s"):format(text, err.message)) end
end

math.randomseed(os.time(), os.clock() * 1000000 // 1)

describe("the controller", function()
  after_each(function()
    for _, m in ipairs(managers) do m:shutdown() end
    for _, path in ipairs(folders) do os.execute(("rm -rf '%s'"):format(path)) end
    managers, folders = {}, {}
  end)

  it("has nothing to start for an embedded universe, and says it in the same words", function()
    local m = manager_of { db_path = "memory:" }
    local c = m.controller
    assert.equal("stopped", c:status().status)
    assert.equal("stopped", c.status().status)
    assert.equal("deployed", assert(c:deploy()).status)
    assert.is_false(m:is_initialized())
    local answer = assert(c:start_deployment_mode())
    assert.equal("deployed", answer.status)
    assert.equal("embedded", answer.backend)
    assert.is_true(m:is_initialized())
    assert.equal("stopped", assert(manager_of { db_path = "memory:" }.controller.start()).status)
    assert.equal("running", assert(c:start_server_mode()).status)
    assert.is_true(c:stop())
    assert.equal("running", c:status().status)
    assert.same({}, c:logs { lines = 5 })
    c:on_change(function() end):cancel()
    assert.truthy(m:create_entity("T"))
    assert.is_true(m:shutdown())
    for _, name in ipairs { "start", "deploy", "start_server_mode", "start_deployment_mode" } do
      local started, err = c[name](c)
      assert.is_nil(started)
      assert.equal("CLOSED", err.code, name)
    end
    assert.is_true(c:stop())
    assert.equal("stopped", c:status().status)
  end)

  it("checks what it is given", function()
    local c = manager_of { db_path = "memory:" }.controller
    refused("ValidationError", select(2, c:start { detached = true }), "detached")
    refused("ValidationError", select(2, c:start { detach = "yes" }), "detach", "boolean")
    refused("ValidationError", select(2, c:logs { lines = -1 }), "lines")
    refused("ValidationError", select(2, c:logs { lines = 1.5 }), "lines")
    assert.has_error(function() c:logs(5) end)
    assert.has_error(function() c:on_change(5) end)
    assert.has_error(function() c.start = nil end)
    for key, value in pairs { start_timeout = 0, stop_timeout = -1, restart_max = 1.5, log_bytes_max = 0 } do
      local m, err = iu.manager { db_path = "memory:", plugins = { controller = { [key] = value } } }
      assert.is_nil(m)
      assert.truthy(tostring(err):find(key, 1, true), tostring(err))
    end
  end)

  with_server("starts a server, tells where it is, and ends it", function()
    local config = settings()
    local m = manager_of(config)
    assert.equal("stopped", m.controller:status().status)
    local facts = assert(m.controller:start())
    assert.is_true(facts.started)
    assert.equal("running", facts.status)
    assert.is_true(facts.own)
    assert.equal(spacetimedb.program, facts.program)
    assert.equal(config.port, facts.port)
    assert.equal(config.db_path .. ".spacetimedb/data", facts.data_dir)
    assert.is_true(is_there(facts.pid))
    assert.is_true(assert(iu.server("http://127.0.0.1:" .. config.port)):ping())
    assert.equal("drwx------", command.line(("ls -ld '%s'"):format(facts.data_dir)):match("^%S+"))
    assert.equal("-rw-------", command.line(("ls -l '%s.spacetimedb/keys/id_ecdsa' '%s'"):format(config.db_path, facts.log_file)):match("^%S+"))
    assert.is_true(#m.controller:logs() > 3)
    assert.equal(2, #m.controller:logs { lines = 2 })

    assert.is_false(assert(m.controller:start()).started, "one that answers is taken")
    local second = manager_of(settings { port = config.port })
    assert.is_false(assert(second.controller:start()).started)
    assert.is_true(second.controller:stop())
    assert.is_true(is_there(facts.pid), "and left alone by who did not start it")

    assert.is_true(m.controller:stop())
    assert.is_false(is_there(facts.pid))
    assert.is_true(is_free(config.port))
    assert.is_true(m.controller:stop())
    assert.equal("stopped", m.controller:status().status)
    assert.is_false(command.exists(config.db_path .. ".spacetimedb/server.json"))
  end)

  with_module("deploys: starts, publishes, connects; and later only starts and connects, to the same rows", function()
    local config = settings()
    local m = manager_of(config)
    local answer = assert(m.controller:start_deployment_mode())
    assert.equal("deployed", answer.status)
    assert.equal("created", answer.op)
    assert.is_true(answer.started)
    assert.is_true(m:is_initialized())
    local id = assert(m:create_entity("T", { name = "first" }))
    assert.is_true(m.client:is_connected())
    assert.is_true(m:shutdown())
    assert.is_false(is_there(answer.pid))

    m = manager_of(config)
    assert.equal("running", assert(m.controller:start_server_mode()).status)
    assert.equal("first", assert(m:get_entity(id)).metadata.name, "acknowledged just before the end")
    assert.is_true(m:shutdown())

    m = manager_of(config)
    assert.is_true(m:initialize { deploy = true })
    assert.equal("first", assert(m:get_entity(id)).metadata.name)
    assert.is_true(m:transaction(function(tx) tx:delete_entity(id) end))
  end)

  with_module("deploys as the universe's identity, which stays the owner", function()
    local config = settings()
    local m = manager_of(config)
    assert(m:initialize { deploy = true })
    assert.equal("-rw-------", command.line(("ls -l '%s'"):format(config.token_file)):match("^%S+"))
    local conn = assert(iu.connect(("ws://127.0.0.1:%d/%s"):format(config.port, m.controller:status().database), { token_file = config.token_file }))
    assert.is_true(conn:is_owner() or conn:call("update_config", "x", "1", "Only the owner may."))
    conn:close()
    local other = settings { port = config.port }
    refused("AuthorizationError", select(2, manager_of(other):initialize { deploy = true }), "inner-universe")
    refused("ValidationError", select(2, manager_of(settings { token_file = "none" }):initialize { deploy = true }), "token_file", "none")
  end)

  with_server("starts nothing where it may not", function()
    refused("ValidationError", select(2, manager_of(settings { tls = true }).controller:start()), "TLS")
    refused("ValidationError", select(2, manager_of(settings { db_path = "memory:" }).controller:start()), "db_path", "memory:")
    refused("ConnectionError", select(2, manager_of(settings { address = "192.0.2.1", port = 3000 }).controller:start()), "192.0.2.1")
  end)

  with_server("tells of a server that ended by itself", function()
    local m = manager_of(settings())
    local pid = assert(m.controller:start()).pid
    local events = {}
    m.controller:on_change(function(event) events[#events + 1] = event end)
    os.execute("kill -KILL " .. pid)
    assert.is_true(comes(function() return #events > 0 end))
    assert.equal("crashed", events[1].status)
    assert.equal(9, events[1].signal)
    local status = m.controller:status()
    assert.equal("crashed", status.status)
    assert.equal(9, status.last_exit.signal)
    local well, why = m.controller:health()
    assert.is_nil(well)
    assert.truthy(why:find(status.last_exit.text, 1, true), why)
    assert.is_true(assert(m.controller:start()).started, "it can be started again, though its data was locked a moment ago")
    assert.equal("running", m.controller:status().status)
    assert.is_true(m.controller:health())
  end)

  with_module("starts it again when told to, and the universe comes back", function()
    local config = settings()
    config.plugins.controller.restart = true
    config.reconnect_min_delay_ms = 50
    local m = manager_of(config)
    assert(m:initialize { deploy = true })
    local id = assert(m:create_entity("T"))
    iu.sleep(0.3) -- 1.2.0 writes what it acknowledged a moment later
    local first = m.controller:status()
    local events = {}
    m.controller:on_change(function(event) events[#events + 1] = event.status end)
    os.execute("kill -KILL " .. first.pid)
    assert.is_true(comes(function() return events[2] == "running" end, 20))
    local now = m.controller:status()
    assert.equal(1, now.restarts)
    assert.not_equal(first.pid, now.pid)
    assert.is_true(comes(function() return (m:get_entity(id)) ~= nil end, 20))
  end)

  it("gives up restarting after some times in a row", function()
    local home = folder()
    local config = settings { port = free_port() }
    -- Answers one ping after the other for half a second, then ends.
    config.plugins = { controller = { restart = true, restart_max = 1, program = fake(home, [[
exec python3 -c '
import http.server, sys, threading, os
class H(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
  def log_message(self, *a): pass
http.server.ThreadingHTTPServer.allow_reuse_address = True
s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H)
threading.Timer(0.5, lambda: os._exit(7)).start()
s.serve_forever()' "$port"]]) } }
    local m = manager_of(config)
    assert(m.controller:start())
    local crashes = 0
    m.controller:on_change(function(event) crashes = crashes + (event.status == "crashed" and 1 or 0) end)
    assert.is_true(comes(function() return crashes == 2 end, 30))
    iu.sleep(1.5) -- more than the delay there would be
    local status = m.controller:status()
    assert.equal(2, crashes)
    assert.equal("crashed", status.status)
    assert.equal(7, status.last_exit.status)
    assert.equal(1, status.restarts)
  end)

  with_server("leaves no server behind when the program ends or dies, however it does", function()
    for _, how in ipairs { "os.exit(0)", "os.exit(0, true)", "error 'oops'", "iu.sleep(60)" } do
      local config = settings()
      local home = folder()
      command.write(home .. "/program.lua", ([[
        local iu = require "inner_universe"
        local m = assert(iu.manager { backend = "spacetimedb", port = %d, db_path = %q, plugins = { controller = { program = %q } } })
        print(assert(m.controller:start()).pid)
        io.stdout:flush()
        %s]]):format(config.port, config.db_path, spacetimedb.program, how))
      local pipe = assert(io.popen(("echo $$; exec lua5.4 '%s/program.lua' 2>/dev/null"):format(home)))
      local own = pipe:read("l")
      local pid = assert(tonumber(pipe:read("l")), how)
      if how:find("sleep", 1, true) then os.execute("kill -KILL " .. own) end
      pipe:close()
      assert.is_true(comes(function() return not is_there(pid) end), how)
    end
  end)

  it("is stopped in whichever moment of its start, and leaves nothing running", function()
    for _, how in ipairs { "stop", "shutdown" } do
      for _, delay in ipairs { 0, 0.01, 0.05, 0.3 } do
        local config, home = settings(), folder()
        config.plugins = { controller = { start_timeout = 20, program = fake(home, ("echo $$ >>'%s/pids'\nexec sleep 60"):format(home)) } }
        local m = manager_of(config)
        local started, why, stopped, status
        local began = iu.now()
        iu.run(function()
          local starting = iu.spawn(function() return m.controller:start() end)
          iu.sleep(delay)
          stopped = how == "stop" and m.controller:stop() or how == "shutdown" and m:shutdown()
          status = m.controller:status().status
          started, why = starting:wait(10)
        end)
        assert.is_true(stopped, how)
        assert.equal("stopped", status)
        assert.is_nil(started)
        refused("ConnectionError", why, "was stopped while it started")
        assert.is_true(iu.now() - began < 8 * 1000000)
        local pids = command.exists(home .. "/pids") and command.read(home .. "/pids") or "" -- none when it was stopped before
        for pid in pids:gmatch("%d+") do assert.is_false(is_there(tonumber(pid)), how) end
        assert.is_nil(io.open(config.db_path .. ".spacetimedb/server.json"))
      end
    end
  end)

  with_module("serves programs that begin at once on one folder with one server, which its holder ends", function()
    local config, home = settings(), folder()
    command.write(home .. "/program.lua", ([[
      local iu = require "inner_universe"
      local m = assert(iu.manager { backend = "spacetimedb", port = %d, db_path = %q, token_file = %q, module_path = %q, database = "together",
        plugins = { controller = { program = %q } } })
      local ok, err = m:initialize { deploy = true }
      local status = m.controller:status()
      print(("%%s|%%s|%%s|%%s|"):format(ok and "open" or tostring(err), status.own, status.status, status.pid))
      io.stdout:flush()
      io.read("a") -- until the test lets it go
    ]]):format(config.port, config.db_path, config.token_file, config.module_path, spacetimedb.program))
    local pipes, own, pids = {}, 0, {}
    for i = 1, 3 do pipes[i] = assert(io.popen(("exec lua5.4 '%s/program.lua' >'%s/%d' 2>&1"):format(home, home, i), "w")) end
    for i = 1, 3 do
      local path = ("%s/%d"):format(home, i)
      assert.is_true(comes(function() return command.exists(path) and command.read(path):find("\n", 1, true) ~= nil end, 30))
      local said = command.read(path)
      local owner, pid = said:match("^open|(%a+)|running|(%d+)|")
      assert.truthy(pid, said)
      own, pids[pid] = own + (owner == "true" and 1 or 0), true
    end
    assert.equal(1, own)
    local pid = next(pids)
    assert.is_nil(next(pids, pid))
    for i = 1, 3 do pipes[i]:close() end
    assert.is_true(comes(function() return not is_there(tonumber(pid)) end))
    assert.equal("stopped", manager_of(config).controller:status().status)
  end)

  it("records a detached server while it starts, for it lives on if its starter is killed meanwhile", function()
    local config, home = settings(), folder()
    config.plugins.controller.program = fake(home, "exec sleep 60")
    command.write(home .. "/program.lua", ([[
      local iu = require "inner_universe"
      local m = assert(iu.manager { backend = "spacetimedb", port = %d, db_path = %q, plugins = { controller = { program = %q } } })
      m.controller:start { detach = true }]]):format(config.port, config.db_path, config.plugins.controller.program))
    local pipe = assert(io.popen(("echo $$; exec lua5.4 '%s/program.lua' 2>/dev/null"):format(home)))
    local own = pipe:read("l")
    local later = manager_of(config)
    assert.is_true(comes(function() return later.controller:status().pid ~= nil end))
    os.execute("kill -KILL " .. own)
    pipe:close()
    local pid = later.controller:status().pid
    assert.is_true(is_there(pid))
    assert.is_false(later.controller:answers())
    assert.is_true(later.controller:stop { detached = true })
    assert.is_true(comes(function() return not is_there(pid) end))
  end)

  it("takes a record that it did not write for none", function()
    local config = settings { db_path = folder() .. "/world" }
    local m = manager_of(config)
    os.execute(("mkdir '%s.spacetimedb'"):format(config.db_path))
    local head, pid = record_of("self") -- this very process, but for what is missing or of another type
    for _, text in ipairs { "", "{", "[]", '{"pid":"x"}', '{"pid":1e300,"started_ticks":1}', head .. "}", head .. ',"address":5,"port":3000,"program":"x"}',
      head .. ',"address":"127.0.0.1","port":"x","program":"x"}', head .. ',"address":"127.0.0.1","port":3000,"program":"x","holder":{}}' } do
      command.write(config.db_path .. ".spacetimedb/server.json", text)
      assert.equal("stopped", m.controller:status().status, text)
      assert.is_false(m.controller:answers(), text)
    end
    command.write(config.db_path .. ".spacetimedb/server.json", head .. ',"address":"127.0.0.1","port":3000,"program":"x"}')
    assert.equal(pid, m.controller:status().pid)
  end)

  without_kill("says that it may not end another user's server, and leaves its record", function()
    local config, home = settings(), folder()
    local pipe = assert(io.popen("echo $$; exec setpriv --reuid=65534 --clear-groups sleep 60"))
    local pid = tonumber(pipe:read("l"))
    local json = config.db_path .. ".spacetimedb/server.json"
    os.execute(("mkdir '%s.spacetimedb'"):format(config.db_path))
    iu.sleep(0.2) -- it is another user's by then
    command.write(json, record_of(pid) .. ',"address":"127.0.0.1","port":3000,"program":"x","detached":true}')
    command.write(home .. "/program.lua", ([[
      local iu = require "inner_universe"
      print(assert(iu.manager { backend = "spacetimedb", db_path = %q }).controller:stop { detached = true })]]):format(config.db_path))
    local other = assert(io.popen(("setpriv --bounding-set=-kill lua5.4 '%s/program.lua' 2>&1"):format(home)))
    local said = other:read("a")
    other:close()
    assert.truthy(said:find("AuthorizationError", 1, true), said)
    assert.is_true(command.exists(json))
    assert.is_true(manager_of(config).controller:stop { detached = true })
    assert.is_false(command.exists(json))
    pipe:close()
  end)

  it("gives back what the program says of an address that is none", function()
    local config = settings { address = "no such" }
    config.plugins = { controller = { program = fake(folder(), "echo no such address; exit 3") } }
    local m = manager_of(config)
    assert.is_false(m.controller:answers())
    local ok, err = m.controller:start()
    assert.is_nil(ok)
    refused("ConnectionError", err, "no such address", "status 3")
  end)

  it("gives the program no folder that looks like an option", function()
    assert.equal("./-world.spacetimedb/data", manager_of(settings { db_path = "-world" }).controller:status().data_dir)
  end)

  with_server("is ended when the task that starts it is cancelled in the middle", function()
    local config = settings()
    local m = manager_of(config)
    iu.run(function()
      for _, delay in ipairs { 0, 0.02, 0.1 } do
        local task = iu.spawn(function() m.controller:start() end)
        iu.sleep(delay)
        task:cancel()
        assert.is_true(comes(function() return m.controller:status().status ~= "starting" end))
        m.controller:stop()
        assert.is_true(comes(function() return is_free(config.port) end))
      end
    end)
    assert.is_true(assert(m.controller:start()).started)
  end)

  with_server("gives back a busy port in the server's own words", function()
    local config = settings()
    local pipe = assert(io.popen(([[echo $$; exec python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", %d)); s.listen(); print("ready", flush=True); time.sleep(60)']]):format(config.port)))
    local holder = pipe:read("l")
    assert.equal("ready", pipe:read("l"))
    local _, err = manager_of(config).controller:start()
    os.execute("kill " .. holder)
    pipe:close()
    refused("ConnectionError", err, "use", tostring(config.port))
  end)

  it("says what is wrong with a folder that cannot be used", function()
    local config = settings()
    command.write(config.db_path .. ".spacetimedb", "a file")
    config.plugins = { controller = { program = fake(folder(), "exit 0") } }
    refused("StorageError", select(2, manager_of(config).controller:start()), config.db_path .. ".spacetimedb")
  end)

  it("says why a program is none, fails, or never answers", function()
    local function start(program, more)
      local config = settings()
      config.plugins = { controller = { program = program, start_timeout = 1, stop_timeout = 1 } }
      for key, value in pairs(more or {}) do config.plugins.controller[key] = value end
      local m = manager_of(config)
      local _, err = m.controller:start()
      assert.equal("stopped", m.controller:status().status)
      return err
    end
    refused("ValidationError", start("/nowhere/at-all"), "/nowhere/at-all")
    refused("ValidationError", start("surely-no-program-of-this-name"), "surely-no-program")
    refused("ConnectionError", start("/bin/false"), "--help", "status 1")
    refused("ConnectionError", start(fake(folder(), "echo one; echo 'Error: the moon is full' >&2; echo more >&2; exit 3")), "status 3",
      "Error: the moon is full\nmore")
    local home = folder()
    local err = start(fake(home, ([[trap '' INT; echo $$ >%s/pid; echo waiting; while :; do sleep 0.1; done]]):format(home)))
    refused("TimeoutError", err, "within 1 s", "waiting")
    assert.is_false(is_there(tonumber(command.read(home .. "/pid"))), "killed, since it did not end when asked")
    home = folder()
    local marks = home .. "/arguments"
    command.write(home .. "/spacetimedb-standalone", ([[#!/bin/sh
if [ "$2" = --help ]; then echo "--non-interactive"; exit 0; fi
echo "$@" >%s; exit 1]]):format(marks))
    assert(os.execute("chmod +x " .. home .. "/spacetimedb-standalone"))
    start(home .. "/spacetimedb-standalone", { arguments = { "--pg-port", "5433" } })
    local given = command.read(marks)
    assert.truthy(given:find("start --data-dir ", 1, true))
    assert.truthy(given:find("--non-interactive --pg-port 5433", 1, true), given)
  end)

  it("finds the program in the cache, on PATH, and where the official tool keeps it", function()
    local home = folder()
    command.write(home .. "/find.lua", [[
      local iu = require "inner_universe"
      local m = assert(iu.manager { backend = "spacetimedb", port = tonumber(arg[1]), db_path = arg[2] })
      print((select(2, m.controller:start())).message)]])
    local function found(environment)
      local run = command.sh(("env HOME='%s/home' %s %s run %s/find.lua %d %s/world"):format(home, environment,
        command.quote(command.root .. "/scripts/iu"), home, free_port(), home))
      assert.equal(0, run.status, run.err)
      return run.out
    end
    local function put(where)
      assert(os.execute(("mkdir -p '%s'"):format(where)))
      fake(where, "echo 'Error: I am " .. where:sub(#home + 2) .. "'; exit 1")
    end
    assert.truthy(found(""):find("no SpacetimeDB server is installed", 1, true))
    put(home .. "/home/.local/share/spacetime/bin/2.0.0")
    assert.truthy(found(""):find("I am home/.local/share/spacetime/bin/2.0.0", 1, true))
    put(home .. "/home/.local/share/spacetime/bin/2.10.0")
    assert.truthy(found(""):find("bin/2.10.0", 1, true), "the newest by number, not by text")
    put(home .. "/home/.local/share/spacetime/bin/current")
    assert.truthy(found(""):find("bin/current", 1, true))
    put(home .. "/path")
    assert.truthy(found(("PATH='%s/path':\"$PATH\""):format(home)):find("I am path", 1, true))
    put(home .. "/home/.cache/inner_universe/spacetimedb-1.2.0/bin")
    assert.truthy(found(("PATH='%s/path':\"$PATH\""):format(home)):find("I am home/.cache/inner_universe/spacetimedb-1.2.0", 1, true))
    put(home .. "/xdg/inner_universe/spacetimedb-1.2.0/bin")
    assert.truthy(found(("XDG_CACHE_HOME='%s/xdg'"):format(home)):find("I am xdg/", 1, true))
  end)

  with_server("puts a log aside that has grown large", function()
    local config = settings()
    config.plugins.controller.log_bytes_max = 100
    local m = manager_of(config)
    assert(m.controller:start())
    assert(m.controller:stop())
    local log = m.controller:status().log_file
    assert.is_false(command.exists(log .. ".1"))
    assert(m.controller:start())
    assert.is_true(command.exists(log .. ".1"))
  end)

  with_server("lets a detached server live on, and ends it from another manager", function()
    local config = settings()
    local first = manager_of(config)
    local pid = assert(first.controller:start { detach = true }).pid
    assert.is_true(first:shutdown())
    assert.is_true(is_there(pid))
    local second = manager_of(config)
    local status = second.controller:status()
    assert.equal("running", status.status)
    assert.is_false(status.own)
    assert.is_true(status.detached)
    assert.equal(pid, status.pid)
    assert.is_true(second.controller:stop())
    assert.is_true(is_there(pid), "not its own")
    assert.is_true(second.controller:stop { detached = true })
    assert.is_true(comes(function() return is_free(config.port) end))
    assert.equal("stopped", second.controller:status().status)
  end)

  with_server("does not end what another process holds", function()
    local config = settings()
    local holder = manager_of(config)
    local pid = assert(holder.controller:start()).pid
    refused("ConnectionError", select(2, manager_of(config).controller:stop { detached = true }), "process")
    assert.is_true(is_there(pid))
  end)

  with_server("is there from the shell: iu server start, status, stop", function()
    local home, port = folder(), free_port()
    local function server(words)
      local run = command.iu("server " .. words)
      return run.status, run.out, run.err
    end
    local status, text, wrong = server(("status --path %s/w --port %d"):format(home, port))
    assert.equal(1, status, wrong)
    assert.truthy(text:find("no server runs on", 1, true))
    status, text, wrong = server(("start --path %s/w --port %d --program '%s' --json"):format(home, port, spacetimedb.program))
    assert.equal(0, status, wrong)
    local facts = assert(iu.json.decode(text))
    assert.is_true(facts.started and facts.detached and is_there(facts.pid))
    status, text = server(("status --path %s/w"):format(home)) -- the port is known
    assert.equal(0, status)
    assert.truthy(text:find(("process %d answers on 127.0.0.1:%d"):format(facts.pid, port), 1, true), text)
    status, text = server(("start --path %s/other --port %d"):format(home, port))
    assert.equal(0, status)
    assert.truthy(text:find("already", 1, true))
    status, text = server(("stop --path %s/w"):format(home))
    assert.equal(0, status)
    assert.truthy(text:find("process " .. facts.pid, 1, true))
    assert.is_true(comes(function() return is_free(port) end))
    assert.equal(0, (server(("stop --path %s/w"):format(home))))
    status, text, wrong = server(("start --path %s/w --port %d --program /nowhere/x"):format(home, port))
    assert.equal("", text)
    assert.equal(1, status)
    assert.truthy(wrong:find("/nowhere/x", 1, true))
    assert.equal(2, (server("start --prot 3")))
  end)

  it("builds the module from the source tree when told to, and tells of a build that failed", function()
    if not os.execute("command -v clang >/dev/null && command -v wasm-ld >/dev/null") then return pending("no clang here") end
    local home = folder()
    local config = settings { build_module = true, module_dir = home .. "/out" }
    config.module_path = nil
    if spacetimedb.program then
      local answer = assert(manager_of(config).controller:deploy())
      assert.equal(home .. "/out/inner_universe.wasm", answer.module_path)
      assert.equal("\0asm", command.read(answer.module_path):sub(1, 4))
    end
    command.write(home .. "/broken.lua", [[
      local iu = require "inner_universe"
      local m = assert(iu.manager { backend = "spacetimedb", port = tonumber(arg[1]), db_path = arg[2], build_module = true, module_dir = arg[2] .. "-out" })
      local ok, err = m:initialize { deploy = true }
      print(err.kind, err.message)]])
    local run = command.sh(("CLANG=false %s run %s/broken.lua %d %s/world"):format(command.quote(command.root .. "/scripts/iu"), home, free_port(), home))
    assert.equal(0, run.status, run.err)
    assert.truthy(run.out:find("^MigrationError"), run.out)
    assert.truthy(run.out:find("build_module", 1, true) and run.out:find("Error", 1, true), run.out)
  end)

  with_server("says which module is missing", function()
    refused("ValidationError", select(2, manager_of(settings { module_path = "/nowhere/x.wasm" }).controller:deploy()), "module_path", "/nowhere/x.wasm")
    local path = command.write(folder() .. "/no.wasm", "no module")
    local config = settings { module_path = path }
    refused("ValidationError", select(2, manager_of(config).controller:deploy()), "WebAssembly")
    assert.is_true(comes(function() return is_free(config.port) end), "what was started for it is ended again")
  end)
end)
