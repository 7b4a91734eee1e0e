-- The messages of v2 and v3 against the official SDK from npm, both ways (tests/node). Without node, npm or the registry the spec says
-- what is missing and skips.

local sdk = require "sdk"

describe("the official SDK", function()
  it("writes and reads the same v2 and v3 messages", function()
    local reason = sdk.missing()
    if reason then
      io.stderr:write("# skipped: ", reason, "\n")
      pending(reason)
      return
    end
    local ok, output = sdk.sh(("node tests/node/protocol_peer.mjs %s %s/tests/node/protocol_peer %s"):format(sdk.folder, sdk.built,
      os.getenv("SEED") or ""))
    assert(ok, output)
    local server, client = output:match("server messages compared: (%d+)"), output:match("client messages compared: (%d+)")
    assert.is_true(tonumber(server) > 1000 and tonumber(client) > 1000, output)
  end)
end)
