-- SpacetimeDB servers for specs: databases on the runner's server, and servers of their own for tests that stop, kill and restart them.
--
--   local spacetimedb = require "spacetimedb"
--   if not spacetimedb.address then ... end               -- the run has no server: such a test is pending
--   local name = spacetimedb.name()                       -- of a database that nobody else has
--   local token, identity = spacetimedb.publish(name)     -- the module (or a path), by a new owner
--   spacetimedb.discard(name, token)                      -- it is deleted when its clients have left (delete: at once)
--
--   local server = spacetimedb.start()                    -- another server, on a port and a folder of its own
--   server:kill()  server:stop()  server:restart()        -- at once; gently; again on the same port and data
--   server:settle()                                       -- what it has answered is on disk
--   server:remove()                                       -- with everything it wrote
--
-- Where a function takes a server last, nil is the runner's. Publishing that is refused answers nil, the server's words and the status; everything
-- else that fails raises. The HTTP here is http_wire's, not the library's.

local iu = require("inner_universe")
local command = require("command")
local http_wire = require("http_wire")

local spacetimedb = {
  address = os.getenv("INNER_UNIVERSE_TEST_SERVER"), -- ws://127.0.0.1:port
  program = os.getenv("INNER_UNIVERSE_TEST_SERVER_PROGRAM"),
  wasm = os.getenv("INNER_UNIVERSE_TEST_WASM"),
}

local START_TENTHS = 300
local QUIET, SETTLE_MAX = 0.7, 20 -- seconds; 1.2.0 writes its list of databases every half second
local wires = {} -- by port

local Server = {}
Server.__index = Server

local function port_of(server)
  if server then return server.port end
  return tonumber((spacetimedb.address or error("the run has no SpacetimeDB server", 3)):match(":(%d+)$"))
end

--- Status, body and headers; the connection is kept for the next request to that server.
function spacetimedb.request(method, path, token, body, server)
  local port = port_of(server)
  local headers = { ["Content-Type"] = "application/json" }
  if token then headers.Authorization = "Bearer " .. token end
  for attempt = 1, 2 do
    wires[port] = wires[port] or http_wire.open(port)
    local ok, status, answer, found = pcall(wires[port].request, wires[port], method, path, headers, body)
    if ok then return status, answer, found end
    wires[port]:close() -- it was closed since the last request, or the server is another one
    wires[port] = nil
    if attempt == 2 then error(status, 2) end
  end
end

local function expect(wanted, status, answer)
  if status ~= wanted then error(("the server answered %d: %s"):format(status, answer), 3) end
  return answer
end

--- { identity = hex, token = text }
function spacetimedb.identity(server)
  return iu.json.decode(expect(200, spacetimedb.request("POST", "/v1/identity", nil, nil, server)))
end

function spacetimedb.name()
  return "t-" .. iu.uuid()
end

--- The owner's token and identity. `token`: publish (again) as that owner. On a server of its own the database is on disk then.
function spacetimedb.publish(name, path, token, server)
  path = path or spacetimedb.wasm or error("the module is not built: make module", 2)
  local status, answer, headers = spacetimedb.request("PUT", "/v1/database/" .. name, token, command.read(path), server)
  if status ~= 200 then return nil, answer, status end
  if getmetatable(server) == Server then server:settle() end
  return token or headers["spacetime-identity-token"], headers["spacetime-identity"]
end

function spacetimedb.delete(name, token, server)
  expect(200, spacetimedb.request("DELETE", "/v1/database/" .. name, token, nil, server))
end

local discarded, DELAY = {}, 0.5 -- seconds

-- Those whose time has come, or all.
local function delete_due(all)
  local now = iu.now() / 1000000
  while discarded[1] and (all or discarded[1].due <= now) do
    local each = table.remove(discarded, 1)
    if each.due > now then os.execute(("sleep %.3f"):format(each.due - now)) end
    spacetimedb.delete(each.name, each.token)
    now = iu.now() / 1000000
  end
end

--- Deletes a database of the runner's server when its clients have left: with the next one after half a second, or at the end of the process. A 2.8.3 whose
--- database goes while a client is leaving may end itself (seen: the log of commits is gone when it wants to note that).
function spacetimedb.discard(name, token)
  discarded[#discarded + 1] = { name = name, token = token, due = iu.now() / 1000000 + DELAY }
  delete_due(false)
end

spacetimedb.at_exit = setmetatable({}, { __gc = function() delete_due(true) end })

--- True, or nil, the reducer's words and the status. `arguments` is JSON text.
function spacetimedb.call(name, token, reducer, arguments, server)
  local status, answer = spacetimedb.request("POST", ("/v1/database/%s/call/%s"):format(name, reducer), token, arguments, server)
  if status ~= 200 then return nil, answer, status end
  return true
end

--- The rows of one statement, as the server writes them (arrays of untyped values).
function spacetimedb.sql(name, token, text, server)
  local answer = expect(200, spacetimedb.request("POST", ("/v1/database/%s/sql"):format(name), token, text, server))
  return iu.json.decode(answer)[1].rows
end

--- The schema answer (RawModuleDefV9 as JSON), decoded.
function spacetimedb.schema(name, server)
  return iu.json.decode(expect(200, spacetimedb.request("GET", ("/v1/database/%s/schema?version=9"):format(name), nil, nil, server)))
end

-- servers of their own -------------------------------------------------------------------------------------------------

local function launch(self)
  os.execute(("rm -f '%s/ready' '%s/failed'"):format(self.folder, self.folder))
  self.pipe = assert(io.popen(("unset LD_PRELOAD; exec tests/spacetimedb '%s' '%s' %d 2>/dev/null"):format(self.program, self.folder, self.port or 0), "w"))
  local line = command.line(("for i in $(seq %d); do [ -e '%s/ready' ] && exec cat '%s/ready'; [ -e '%s/failed' ] && exec cat '%s/failed'; sleep 0.1; done")
    :format(START_TENTHS, self.folder, self.folder, self.folder, self.folder))
  local port, pid = (line or ""):match("^(%d+) (%d+)$")
  if not port then
    self:stop()
    error("the server does not start: " .. tostring(line), 0)
  end
  self.port, self.pid = tonumber(port), tonumber(pid)
  self.address = "ws://127.0.0.1:" .. port
end

--- options: program (the runner's). It ends with this process at the latest.
function spacetimedb.start(options)
  local program = options and options.program or spacetimedb.program or error("the run has no SpacetimeDB server", 2)
  local self = setmetatable({ program = program, folder = assert(command.line("mktemp -d")) }, Server)
  local ok, why = pcall(launch, self)
  if not ok then
    self:remove()
    error(why, 2)
  end
  return self
end

local function forget_wire(self)
  if self.port and wires[self.port] then
    wires[self.port]:close()
    wires[self.port] = nil
  end
end

--- Asked to end, and waited for.
function Server:stop()
  forget_wire(self)
  if self.pipe then self.pipe:close() end
  self.pipe, self.pid = nil, nil
end

--- Ended at once (SIGKILL): what is not on disk is lost.
function Server:kill()
  if self.pid then os.execute(("kill -KILL %d"):format(self.pid)) end
  self:stop()
end

--- On the same port with the same data, ended gently before where it still runs.
function Server:restart()
  self:stop()
  launch(self)
end

--- Waits until what it has answered is on disk: it has written nothing for longer than it puts writes off. 1.2.0 answers before that, and neither a kill
--- nor a gentle stop makes up for it.
function Server:settle()
  local finish = iu.now() / 1000000 + SETTLE_MAX
  local newest = ("find '%s/data' -type f -not -path '*/logs/*' -printf '%%T@\\n' | sort -n | tail -n 1"):format(self.folder)
  repeat
    local left = tonumber(command.line(newest)) + QUIET - iu.now() / 1000000
    if left > 0 then os.execute(("sleep %.3f"):format(left)) end
    if iu.now() / 1000000 > finish then error(("the server still writes after %d s"):format(SETTLE_MAX), 2) end
  until left <= 0
end

--- What it has said so far.
function Server:log()
  return command.read(self.folder .. "/log")
end

function Server:remove()
  self:stop()
  os.execute(("rm -rf '%s'"):format(self.folder))
end

Server.__close = Server.remove
Server.__gc = Server.remove

return spacetimedb
