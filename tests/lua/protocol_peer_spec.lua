-- The messages of v2 and v3 against the official SDK from npm, both ways (tests/node). The package is installed into build/node, which git
-- ignores; without node, npm or the registry the spec says what is missing and skips.

local PACKAGE, VERSION = "spacetimedb", "2.10.1"
local FOLDER = "build/node"
local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED")
local PEER = (SANITIZED and "build/asan" or "build/test") .. "/tests/node/protocol_peer"

-- Node and npm do not run under a preloaded sanitizer; the peer that node starts is built with it.
local function sh(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; { " .. command .. "\n} 2>&1", "r"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

local function installed()
  local file = io.open(("%s/node_modules/%s/package.json"):format(FOLDER, PACKAGE), "r")
  if not file then return false end
  local text = file:read("a")
  file:close()
  return text:find(('"version": "%s"'):format(VERSION), 1, true) ~= nil
end

-- What is missing, or nil.
local function missing()
  for _, program in ipairs({ "node", "npm" }) do
    if not sh("command -v " .. program) then return program .. " is not installed" end
  end
  if installed() then return nil end
  local ok, output = sh(("mkdir -p %s && printf '{\"private\":true}' > %s/package.json && cd %s && timeout 120 npm install --no-audit --no-fund "
    .. "--ignore-scripts --fetch-retries=1 --fetch-timeout=20000 %s@%s"):format(FOLDER, FOLDER, FOLDER, PACKAGE, VERSION))
  if ok and installed() then return nil end
  local said = output:match("[^\n]*npm ERR[^\n]*") or output:match("[^\n]*error[^\n]*") or "it gives no reason"
  return ("npm cannot install %s %s: %s"):format(PACKAGE, VERSION, said)
end

describe("the official SDK", function()
  it("writes and reads the same v2 and v3 messages", function()
    local reason = missing()
    if reason then
      io.stderr:write("# skipped: ", reason, "\n")
      pending(reason)
      return
    end
    local ok, output = sh(("node tests/node/protocol_peer.mjs %s/node_modules/%s %s %s"):format(FOLDER, PACKAGE, PEER, os.getenv("SEED") or ""))
    assert(ok, output)
    local server, client = output:match("server messages compared: (%d+)"), output:match("client messages compared: (%d+)")
    assert.is_true(tonumber(server) > 1000 and tonumber(client) > 1000, output)
  end)
end)
