-- Plugins that stand in the way of the same writes and reads, all at once: what each of them promises still holds, whichever way a write takes.

local iu = require "inner_universe"
local support = require "support"

describe("plugins together", function()
  after_each(support.clean)

  local function open(plugins)
    local key = support.path()
    support.write(key, ("01"):rep(32) .. "\n")
    assert(os.execute(("chmod 600 '%s'"):format(key)))
    local all = {
      batch = { max_wait_ms = 2 }, fallback = { reads = true }, cache = true, pool = true, metrics = true,
      security = { sealed = { entity = { "properties.secret" } }, keys = { { file = key } } },
    }
    for name, config in pairs(plugins or {}) do all[name] = config end
    return support.open { db_path = support.path(), plugins = all, features = { enable_metrics = true } }
  end

  it("all run", function()
    local m = open()
    for _, row in ipairs(m:status().plugins) do assert.equal("started", row.state, ("%s: %s"):format(row.name, tostring(row.reason))) end
    for _, name in ipairs { "batch", "fallback", "pool" } do assert.is_true((m:plugin(name):health()), name) end
  end)

  it("writes are sealed, counted and answered the same, one by one and in batches, and one reads what one has written", function()
    local m = open()
    local COUNT = 60
    iu.run(function()
      for i = 1, COUNT do
        iu.spawn(function()
          local id, writer = "e" .. i, i % 2 == 0 and m.batch or m
          assert.equal(id, writer:create_entity("T", { name = "made", properties = { secret = "hidden " .. i } }, id))
          assert.equal("made", m:get_entity(id).metadata.name)
          assert.is_true(writer:update_entity(id, { name = "changed", properties = { secret = "still hidden " .. i } }))
          local metadata = assert(m:get_entity(id)).metadata
          assert.same({ "changed", "still hidden " .. i }, { metadata.name, metadata.properties.secret })
        end)
      end
    end)
    local rows = support.rows(m, "entity")
    assert.equal(COUNT, #rows)
    for _, row in ipairs(rows) do assert.is_nil(row.metadata.properties:find("hidden", 1, true), "stored for all to read") end
    for _, writer in ipairs { m, m.batch } do
      support.refused("ConflictError", nil, select(2, writer:create_entity("T", {}, "e1")), "e1")
      support.refused("EntityNotFoundError", nil, select(2, writer:update_entity("nobody", {})))
      support.raises_here(function() writer:create_entity(5) end, "entity_type")
    end
    assert.is_true(m.batch:statistics().batches < COUNT)
    assert.equal("online", m.fallback:state())
  end)

  it("a connection of the pool sees what others write", function()
    local m = open()
    assert(m.batch:create_entity("T", {}, "a"))
    assert.equal(1, #assert(m.pool:with(function(conn) return conn:query("SELECT * FROM entity") end)))
  end)
end)
