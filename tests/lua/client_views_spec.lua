-- Views: tables that a server computes. Read and subscribed like tables without a key; on the double of tests/peer, whose view `peer_people` is the
-- entities of the type Person.

local iu = require "inner_universe"
local support = require "support"
local peers = require "peer"

local NO_METADATA = { tags = {}, properties = "{}" }
local PROTOCOLS = { "v1", "v2", "v3" }

for _, protocol in ipairs(PROTOCOLS) do
  describe("a view, with " .. protocol, function()
    local peer, conn, name

    setup(function()
      peer = peers.start { "--as", "2.8.3" }
      peer:fault('{"views":true}')
    end)
    teardown(function() peer:stop() end)

    before_each(function()
      name = peer:database()
      conn = assert(iu.connect(("ws://%s/%s"):format(peer.address, name), { protocol = protocol, reconnect = { min_delay = 0.002, max_delay = 0.02 } }))
      for i, kind in ipairs { "Person", "Company", "Person" } do assert(conn:call("create_entity", kind, NO_METADATA, "e" .. i)) end
    end)
    after_each(function() conn:close() end)

    local function ids(iterator, ...)
      local list = {}
      for row in iterator, ... do list[#list + 1] = row.id end
      table.sort(list)
      return table.concat(list, " ")
    end

    local wait_until = support.wait_until

    it("is in the schema, without a key; one with parameters is not", function()
      local def = conn:schema().tables.peer_people
      assert.is_true(def.view)
      assert.is_true(def.public)
      assert.is_nil(def.primary_key)
      assert.same({}, def.indexes)
      assert.same(conn:schema().tables.entity.columns, def.columns)
      assert.is_nil(conn:schema().tables.entity.view)
      assert.is_nil(conn:schema().tables.peer_person)
    end)

    it("answers queries, subscribed or not", function()
      local rows = assert(conn:query("SELECT * FROM peer_people"))
      assert.equal(2, #rows)
      assert.equal("Person", rows[1].entity_type)
      assert.equal(1, #assert(conn:query("SELECT * FROM peer_people WHERE id = 'e3'")))
      local selected = assert(conn:select("peer_people", { filters = { { field = "id", operator = "Equals", value = "e1" } } }))
      assert.equal("e1", selected[1].id)
      assert(conn:subscribe("SELECT * FROM peer_people"):wait())
      assert.equal(2, #assert(conn:query("SELECT * FROM peer_people")))
      assert.equal(2, #assert(conn:select("peer_people", { filters = {} })))
      assert.is_nil((conn.tables.peer_people:get("e1")))
    end)

    it("tells what comes, changes and goes, a change as a delete and an insert", function()
      local heard = {}
      local people = conn.tables.peer_people
      people:on_insert(function(row, event) heard[#heard + 1] = (event.subscribed and "=" or "+") .. row.id end)
      people:on_delete(function(row) heard[#heard + 1] = "-" .. row.id end)
      people:on_update(function(row) heard[#heard + 1] = "~" .. row.id end)
      local sub = conn:subscribe { "SELECT * FROM peer_people", "SELECT * FROM entity" }
      assert(sub:wait())
      table.sort(heard)
      assert.same({ "=e1", "=e3" }, heard)
      assert.equal("e1 e3", ids(people:iter()))
      heard = {}
      assert(conn:call("create_entity", "Person", NO_METADATA, "e4"))
      assert(conn:call("create_entity", "Company", NO_METADATA, "e5"))
      assert(conn:call("update_entity", "e4", { name = "Ada", tags = {}, properties = "{}" }))
      assert(conn:call("delete_entity", "e1", false))
      wait_until(function() return #heard >= 4 end)
      table.sort(heard)
      assert.same({ "+e4", "+e4", "-e1", "-e4" }, heard)
      assert.equal("e3 e4", ids(people:iter()))
      assert.equal("e2 e3 e4 e5", ids(conn.tables.entity:iter()))
      sub:unsubscribe()
      wait_until(function() return people:count() == 0 end)
    end)

    it("is there again after the connection was lost", function()
      assert(conn:subscribe("SELECT * FROM peer_people WHERE id = 'e3'"):wait())
      local heard = 0
      conn.tables.peer_people:on_insert(function() heard = heard + 1 end)
      peer:fault('{"cut":true}')
      wait_until(function() return conn:status().connects >= 2 and conn:state().phase == "connected" end)
      assert.equal("e3", ids(conn.tables.peer_people:iter()))
      assert.equal(0, heard)
    end)

    it("is not among what `all` subscribes", function()
      local all <close> = assert(iu.connect(("ws://%s/%s"):format(peer.address, name), { protocol = protocol, subscribe = "all" }))
      assert.equal(3, all.tables.entity:count())
      assert.equal(0, all.tables.peer_people:count())
      assert.equal(2, #assert(all:query("SELECT * FROM peer_people")))
    end)
  end)
end
