-- manager:transaction: all or nothing, reads that see the writes, conflicts with others, events.

local iu = require "inner_universe"
local support = require "support"

describe("a transaction", function()
  local m, conn
  before_each(function() m, conn = support.open_both() end)
  after_each(support.clean)

  local function ids(list)
    local out = {}
    for i, each in ipairs(list) do out[i] = each.id end
    table.sort(out)
    return table.concat(out, " ")
  end

  it("applies what it wrote when its function returns, and gives its results", function()
    local a, b, n = m:transaction(function(tx)
      local ada = assert(tx:create_entity("Person", { name = "Ada", properties = { age = 36 } }))
      local acme = assert(tx:create_entity("Company", nil, "acme"))
      assert(tx:create_relation(ada, acme, "WORKS_FOR", { strength = 0.5 }, "r"))
      assert(tx:publish_event("HIRED", { who = ada }))
      assert.is_nil((m:get_entity("acme")), "nothing is there before the end")
      return ada, acme, 3
    end)
    assert.equal("acme", b)
    assert.equal(3, n)
    assert.equal(36, m:get_entity(a).metadata.properties.age)
    assert.equal(0.5, m:get_relation("r").metadata.strength)
    local hired = assert(m.event_bus:events { type = "HIRED" })
    assert.equal(1, #hired)
    assert.equal(a, hired[1].data.who)
    assert.is_true(m:transaction(function() end))
  end)

  it("takes along operations that have no method of its own, all or none", function()
    assert(m:transaction(function(tx)
      assert(tx:create_entity("T", nil, "first"))
      assert(tx:join("PutRecord", { key = "mine", value = "1", expected_revision = 0 }))
    end))
    assert.equal("1", conn:get("plugin_record", "mine").value)
    support.refused("ConflictError", m:transaction(function(tx)
      assert(tx:create_entity("T", nil, "second"))
      assert(tx:join("PutRecord", { key = "mine", value = "2", expected_revision = 0 }))
    end))
    support.refused("EntityNotFoundError", m:get_entity("second"))
    assert(m:transaction(function(tx)
      assert(tx:join("PutRecord", { key = "mine", value = "2", expected_revision = 1 }))
      assert(tx:join("PutRecord", { key = "other", value = "3" }))
    end))
    assert.equal("2", conn:get("plugin_record", "mine").value)
    support.refused("ValidationError", m:transaction(function(tx) return tx:join("CreateEntity", {}) end))
    support.refused("ValidationError", m:transaction(function(tx) assert(tx:join("NoSuchThing", {})) end))
    support.refused("PersistenceError", m:transaction(function(tx) tx:join(1, {}) end))
  end)

  it("does nothing when its function raises, returns an error, or writes what is refused", function()
    assert(m:create_entity("T", nil, "there"))
    local before = support.census(m)
    support.refused("PersistenceError", m:transaction(function(tx)
      assert(tx:create_entity("T"))
      error("on purpose")
    end))
    local err = support.refused("ValidationError", m:transaction(function(tx)
      assert(tx:create_entity("T"))
      return nil, iu.errors.new("ValidationError", "not like this")
    end))
    assert.equal("not like this", err.message)
    support.refused("EntityNotFoundError", m:transaction(function(tx)
      assert(tx:create_entity("T"))
      assert(tx:create_relation("there", "nowhere", "R"))
    end))
    support.refused("ConflictError", m:transaction(function(tx)
      assert(tx:create_entity("T"))
      assert(tx:create_entity("T", nil, "there"))
    end))
    support.refused("ValidationError", m:transaction(function(tx)
      assert(tx:create_entity("T"))
      assert(tx:create_entity(""))
    end))
    assert.equal(before, support.census(m))
  end)

  it("sees its own writes, by id and in queries, with order, limit and filters", function()
    for n = 1, 4 do assert(m:create_entity("T", { properties = { n = n } }, "e" .. n)) end
    assert(m:create_relation("e1", "e2", "R", nil, "r1"))
    assert(m:transaction(function(tx)
      assert(tx:create_entity("T", { properties = { n = 2.5 } }, "new"))
      assert(tx:update_entity("e4", { properties = { n = 0 } }))
      assert(tx:delete_entity("e3"))
      assert.equal(0, tx:get_entity("e4").metadata.properties.n)
      support.refused("EntityNotFoundError", tx:get_entity("e3"))
      support.refused("EntityNotFoundError", tx:update_entity("e3", {}))
      assert.equal("e1 e2 e4 new", ids(assert(tx:query_entities { entity_type = "T" })))
      local rows, matched = tx:query_entities {
        filters = { { field = "properties.n", operator = "GreaterOrEqual", value = 1 } }, order_by = "properties.n", descending = true, limit = 2,
      }
      assert.equal("new", rows[1].id)
      assert.equal("e2", rows[2].id)
      assert.equal(2, #rows)
      assert.equal(3, matched)
      support.refused("ConflictError", tx:delete_entity("e1"))
      for _, options in ipairs { { casade = true }, { cascade = "yes" }, { cascade = true, more = 1 } } do
        local _, err = tx:delete_entity("e1", options)
        local _, same = m:delete_entity("e1", options)
        assert.equal("ValidationError", err.kind)
        assert.equal(same.message, err.message)
      end
      assert(tx:delete_entity("e1", { cascade = true }))
      support.refused("RelationNotFoundError", tx:get_relation("r1"))
      assert.equal(0, #assert(tx:query_relations {}))
      assert.equal("e1 e2 e3 e4", ids(assert(m:query_entities { entity_type = "T" })), "outside nothing has changed")
    end))
    assert.equal("e2 e4 new", ids(assert(m:query_entities { entity_type = "T" })))
    assert.equal(0, #assert(m:query_relations {}))
  end)

  it("runs again when what it read by id was changed meanwhile", function()
    assert(m:create_entity("Counter", { properties = { n = 0 } }, "c"))
    local runs = 0
    assert(m:transaction(function(tx)
      runs = runs + 1
      local n = tx:get_entity("c").metadata.properties.n
      if runs == 1 then assert(m:update_entity("c", { properties = { n = 10 } })) end
      assert(tx:update_entity("c", { properties = { n = n + 1 } }))
    end))
    assert.equal(2, runs)
    assert.equal(11, m:get_entity("c").metadata.properties.n)
  end)

  it("is a ConflictError when it never comes through; rows that were not there count, too", function()
    local runs = 0
    local before = support.census(m)
    support.refused("ConflictError", m:transaction(function(tx)
      runs = runs + 1
      assert.is_nil((tx:get_entity("e" .. runs)))
      assert(m:create_entity("T", nil, "e" .. runs))
      assert(tx:create_entity("T", nil, "mine"))
    end))
    assert.equal(10, runs)
    assert.is_nil((m:get_entity("mine")))
    assert.not_equal(before, support.census(m))
  end)

  it("many at one time add up", function()
    assert(m:create_entity("Counter", { properties = { n = 0 } }, "c"))
    local failed = 0
    iu.run(function()
      for _ = 1, 5 do
        iu.spawn(function()
          for _ = 1, 4 do
            local ok = m:transaction(function(tx)
              local n = tx:get_entity("c").metadata.properties.n
              iu.sleep(0.0005)
              assert(tx:update_entity("c", { properties = { n = n + 1 } }))
              return true
            end)
            if not ok then failed = failed + 1 end
          end
        end)
      end
    end)
    assert.equal(20 - failed, m:get_entity("c").metadata.properties.n)
  end)

  it("is one transaction for who watches", function()
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local seen = {}
    conn.tables.entity:on_insert(function() seen[#seen + 1] = conn.tables.entity:count() end)
    assert(m:transaction(function(tx)
      for _ = 1, 3 do assert(tx:create_entity("T")) end
    end))
    support.wait_until(function() return #seen == 3 end)
    assert.same({ 3, 3, 3 }, seen)
  end)

  it("is over when its function has returned", function()
    local kept
    assert(m:transaction(function(tx) kept = tx end))
    support.raises_here(function() kept:create_entity("T") end, "over", "create_entity")
    support.raises_here(function() m:transaction(5) end, "transaction", "fn")
    local err = support.refused("PersistenceError", nil, select(2, m:transaction(function(tx) tx:get_entity(nil) end)), "get_entity", "id")
    assert.is_truthy(err.message:find("transaction_spec.lua:%d+:"), err.message)
  end)

  it("explains how a query would be answered", function()
    local words = assert(m:explain_entities { entity_type = "T" })
    assert.is_truthy(words:find(support.on_server and "SELECT * FROM" or "index entity_type", 1, true), words)
    support.refused("ValidationError", nil, select(2, m:explain_entities { entity_typ = "T" }), "entity_typ")
    assert.is_string(m:explain_relations())
  end)

  it("is rehearsed: judged as a whole, and nothing of it stays", function()
    local ada = assert(m:create_entity("Person", { name = "Ada" }))
    local before = support.census(m)
    local _, err = m:transaction(function(tx)
      assert(tx:get_entity(ada))
      assert(tx:create_entity("Person", { name = "Bob" }, "bob"))
      assert(tx:join("PutRecord", { key = "k", value = "v", expected_revision = 0 }))
      assert.is_true(tx:rehearse())
      assert(tx:create_relation("bob", ada, "KNOWS"))
      assert.is_true(tx:rehearse())
      assert(tx:join("PutRecord", { key = "k", value = "w", expected_revision = 0 }))
      local why = support.refused("ConflictError", select(1, tx:rehearse()), select(2, tx:rehearse()), 'record "k" is at revision 1')
      return nil, why
    end)
    assert.equal("ConflictError", err.kind)
    assert.equal(before, support.census(m))
    assert.is_true(m:transaction(function(tx) return tx:rehearse() end))
  end)
end)
