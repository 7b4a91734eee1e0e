-- The server double of tests/peer for specs: started on a port of its own, told what to do wrong, ended with this process at the latest.
--
--   local peer = require("peer").start()        -- start{ "--as", "1.2.0" }: with arguments
--   peer:fault('{"refuse_token":true}')         -- see tests/peer/README.md
--   local name = peer:database()                -- of a new one, with NERV's module
--   peer:stop()

local iu = require("inner_universe")
local command = require("command")
local spacetimedb = require("spacetimedb")

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local PROGRAM = (SANITIZED and "build/asan" or "build/test") .. "/tests/peer/peer"
local STARTS_WITHIN = 200 -- times 20 ms

local peer = {}
local Peer = {}
Peer.__index = Peer

--- { port, pipe, address = "127.0.0.1:port" }
function peer.start(arguments)
  local file = os.tmpname()
  local pipe = assert(io.popen(("unset LD_PRELOAD; exec %s %s >%s"):format(PROGRAM, table.concat(arguments or {}, " "), file), "w"))
  local port
  for _ = 1, STARTS_WITHIN do
    port = math.tointeger(tonumber((command.read(file):match("port (%d+)\n"))))
    if port then break end
    iu.sleep(0.02)
  end
  os.remove(file)
  if not port then error("the peer does not start", 2) end
  return setmetatable({ port = port, pipe = pipe, address = "127.0.0.1:" .. port, databases = 0 }, Peer)
end

function Peer:fault(text)
  local status, answer = spacetimedb.request("POST", "/peer/fault", nil, text, self)
  if status ~= 200 then error(answer, 2) end
end

--- Its name and its owner's token. The peer looks at no module.
function Peer:database()
  self.databases = self.databases + 1
  local name = ("d%d"):format(self.databases)
  return name, (assert(spacetimedb.publish(name, "Makefile", nil, self)))
end

function Peer:stop()
  self.pipe:close()
end

return peer
