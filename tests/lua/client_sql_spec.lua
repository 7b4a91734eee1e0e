-- conn:query on a server, of what its WebSocket has no queries for: column lists, COUNT(*) and LIMIT, over HTTP or from the subscribed rows. On the double of
-- tests/peer, which refuses them over the WebSocket as servers do.

local iu = require "inner_universe"
local peers = require "peer"

local NO_METADATA = { tags = {}, properties = "{}" }
local COUNT = "SELECT COUNT(*) AS n FROM entity"

for _, protocol in ipairs { "v1", "v2", "v3" } do
  describe("SQL beyond rows of one table, with " .. protocol, function()
    local peer, conn, name

    setup(function() peer = peers.start { "--as", protocol == "v1" and "1.2.0" or "2.8.3" } end)
    teardown(function() peer:stop() end)
    before_each(function()
      name = peer:database()
      conn = assert(iu.connect(("ws://%s/%s"):format(peer.address, name), { protocol = protocol, reconnect = false, timeout = 10 }))
      for i, kind in ipairs { "Person", "Company", "Person" } do assert(conn:call("create_entity", kind, NO_METADATA, "e" .. i)) end
    end)
    after_each(function() conn:close() end)

    it("is answered without a subscription", function()
      assert.same({ { n = 3 } }, assert(conn:query(COUNT)))
      assert.same({ { kind = "Company", id = "e2" } }, assert(conn:query("SELECT entity_type AS kind, id FROM entity WHERE entity_type = 'Company'")))
      assert.same({}, assert(conn:query("SELECT id FROM entity WHERE id = 'none'")))
      local rows = assert(conn:query("select * from entity limit 2"))
      assert.equal(2, #rows)
      local whole = assert(conn:query(("SELECT * FROM entity WHERE id = '%s'"):format(rows[1].id)))
      assert.same(whole[1], rows[1])
    end)

    it("counts what was sent before it", function()
      for i = 1, 50 do assert(conn:send("create_entity", "Person", NO_METADATA, "s" .. i)) end
      assert.same({ { n = 53 } }, assert(conn:query(COUNT)))
    end)

    it("is the same from subscribed rows, and asks nobody then", function()
      local queries = { COUNT, "SELECT id, entity_type AS kind FROM entity WHERE id = 'e3'", "SELECT * FROM entity WHERE id = 'e1' LIMIT 5",
        "SELECT COUNT(*) AS pairs FROM entity a JOIN entity b ON a.entity_type = b.entity_type" }
      local asked = {}
      for i, query in ipairs(queries) do asked[i] = assert(conn:query(query)) end
      local sub = conn:subscribe("SELECT * FROM entity")
      assert(sub:wait())
      peer:fault('{"http_answer":{"status":500,"body":"asked"}}')
      for i, query in ipairs(queries) do assert.same(asked[i], assert(conn:query(query))) end
      sub:unsubscribe()
      local rows, err = conn:query(COUNT)
      assert.is_nil(rows)
      assert.equal("ConnectionError", err.kind)
      assert.matches("500 asked", err.message)
    end)

    it("is refused in the server's words", function()
      local rows, err = conn:query("SELECT nothing, id FROM entity LIMIT 1")
      assert.is_nil(rows)
      assert.equal("ValidationError", err.kind)
      rows, err = conn:query("SELECT id FROM permission") -- an embedded owner's alone
      assert.is_true(rows ~= nil or err.kind == "ValidationError")
    end)

    it("raises at the caller's line where nothing may wait, and after the close", function()
      local function ask()
        local rows, err = conn:query(COUNT)
        return rows, err
      end
      local ok, why = iu.run(function() return coroutine.wrap(function() return pcall(ask) end)() end)
      assert.is_false(ok)
      assert.matches("^tests/lua/client_sql_spec.lua:%d+: ", why)
      conn:close()
      ok, why = pcall(ask)
      assert.is_false(ok)
      assert.matches("^tests/lua/client_sql_spec.lua:%d+: connection is closed", why)
    end)
  end)
end
