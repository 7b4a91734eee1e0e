-- The peer (tests/peer) against the official SDK as its client: what the SDK shows must follow from what was done. Without node, npm or the
-- registry the spec says what is missing and skips.

local sdk = require "sdk"

local function missing()
  local reason = sdk.missing()
  if reason then return reason end
  local ok, version = sdk.sh("node --version")
  local major = ok and tonumber(version:match("^v(%d+)")) or 0
  if major < 20 then return "node is older than 20: it has no WebSocket" end
  return nil, major < 22 and "--experimental-websocket" or ""
end

describe("the peer", function()
  for _, protocol in ipairs { "v2", "v3" } do
    it("is a server to the official SDK, on " .. protocol, function()
      local reason, flag = missing()
      if reason then
        io.stderr:write("# skipped: ", reason, "\n")
        pending(reason)
        return
      end
      local ok, output = sdk.sh(("timeout 120 node %s tests/node/peer_sdk.mjs %s %s/tests/peer/peer %s"):format(flag, sdk.folder, sdk.built, protocol))
      assert(ok, output)
      assert.is_truthy(output:find("steps: 10", 1, true), output)
    end)
  end
end)
