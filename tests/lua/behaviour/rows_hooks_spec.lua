-- Hooks between users' values and rows (`rows.write`, `rows.read`, `rows.select`): nothing goes past them, whichever way it is written or read.

local iu = require "inner_universe"
local support = require "support"

describe("hooks of rows", function()
  after_each(support.clean)

  -- Stores `word` as ROT13, which nobody else does.
  local function rot13(text)
    return (text:gsub("%a", function(c)
      local base = c:match("%l") and 97 or 65
      return string.char((c:byte() - base + 13) % 26 + base)
    end))
  end

  local function rotated(m)
    m.hooks.around("rows.write", function(call, next)
      local kind, value = call.args[1], call.args[2]
      if kind == "event" then
        call.args[2] = { word = rot13(value.word) }
      elseif value and value.properties and value.properties.word then
        call.args[2] = { properties = { word = rot13(value.properties.word) } }
      end
      return next()
    end)
    m.hooks.around("rows.read", function(_, next)
      local row, err = next()
      if not row then return nil, err end
      local holder = row.metadata and row.metadata.properties or row.data
      if type(holder) == "table" and holder.word then holder.word = rot13(holder.word) end
      return row
    end)
  end

  local function stored(m, name)
    local out = {}
    for _, row in ipairs(support.rows(m, name)) do out[#out + 1] = iu.json.decode(row.metadata.properties).word end
    table.sort(out)
    return out
  end

  it("see every write and every read of entities and relations", function()
    local m = support.open()
    rotated(m)
    local a = assert(m:create_entity("T", { properties = { word = "hello" } }))
    local b = assert(m.client:create_entity("T", { properties = { word = "there" } }))
    local r = assert(m:create_relation(a, b, "R", { properties = { word = "tie" } }))
    assert.same({ "gurer", "uryyb" }, stored(m, "entity"))
    assert.same({ "gvr" }, stored(m, "relation"))
    assert.equal("hello", m:get_entity(a).metadata.properties.word)
    assert.equal("there", m.client:get_entity(b).metadata.properties.word)
    assert.equal("tie", m:get_relation(r).metadata.properties.word)
    assert.equal("tie", m:query_relations({})[1].metadata.properties.word)
    assert(m:update_entity(a, { properties = { word = "again" } }))
    assert(m.client:update_relation(r, { properties = { word = "knot" } }))
    assert.same({ "ntnva", "gurer" }, { stored(m, "entity")[2], stored(m, "entity")[1] })
    local words = {}
    for _, row in ipairs(m:query_entities { entity_type = "T" }) do words[#words + 1] = row.metadata.properties.word end
    table.sort(words)
    assert.same({ "again", "there" }, words)
    assert.equal("knot", m.client:query_relations({})[1].metadata.properties.word)
  end)

  it("see those of transactions", function()
    local m = support.open()
    rotated(m)
    local id
    assert(m:transaction(function(tx)
      id = assert(tx:create_entity("T", { properties = { word = "one" } }))
      assert.equal("one", tx:get_entity(id).metadata.properties.word)
      assert(tx:update_entity(id, { properties = { word = "two" } }))
      assert.equal("two", tx:query_entities({})[1].metadata.properties.word)
      local r = assert(tx:create_relation(id, id, "R", { properties = { word = "self" } }))
      assert(tx:update_relation(r, { properties = { word = "same" } }))
      assert(tx:publish_event("SAID", { word = "aloud" }))
    end))
    assert.same({ "gjb" }, stored(m, "entity"))
    assert.same({ "fnzr" }, stored(m, "relation"))
    assert.equal("two", m:get_entity(id).metadata.properties.word)
    assert.equal('{"word":"nybhq"}', m.client:query("SELECT * FROM event_log WHERE event_type = 'SAID'")[1].data)
  end)

  it("know the type of what is written", function()
    local m = support.open()
    local seen = {}
    m.hooks.around("rows.write", function(call, next)
      local kind, _, key, type_name, type_of = table.unpack(call.args, 1, call.args.n)
      local of
      if type_of then of = { type_of(kind, key) } end
      seen[#seen + 1] = ("%s %s %s"):format(kind, tostring(type_name), of and tostring(of[1]) or "-")
      return next()
    end)
    local id = assert(m:create_entity("T"))
    assert(m:update_entity(id, {}))
    local r = assert(m:create_relation(id, id, "R"))
    assert(m:update_relation(r, {}))
    support.refused("EntityNotFoundError", m:update_entity("nobody", {}))
    assert(m:transaction(function(tx)
      local other = assert(tx:create_entity("U"))
      assert(tx:update_entity(other, {}))
      assert(tx:update_relation(r, {}))
    end))
    assert(m:publish_event("E", {}))
    assert.same({
      "entity T -", "entity nil T", "relation R -", "relation nil R", "entity nil nil", "entity U -", "entity nil U", "relation nil R", "event E -",
    }, seen)
  end)

  it("see events on every way to their readers", function()
    local m = support.open()
    rotated(m)
    local told = {}
    assert(m.event_bus:register_handler("SAID", function(message) told[#told + 1] = message.data.word end))
    local handle = assert(m.client:subscribe_event_log_changes(function(_, row)
      if row.event_type == "SAID" then told[#told + 1] = row.data.word end
    end))
    local id = assert(m:publish_event("SAID", { word = "psst" }))
    support.wait_until(function() return #told == 2 end)
    handle:cancel()
    assert.same({ "psst", "psst" }, told)
    assert.equal("psst", m.client:get_event(id).data.word)
    assert.equal("psst", m.event_bus:events({ type = "SAID" })[1].data.word)
    assert.equal('{"word":"cffg"}', m.client:query("SELECT * FROM event_log WHERE event_type = 'SAID'")[1].data)
  end)

  it("see subscribed changes, with the row before", function()
    local m = support.open()
    rotated(m)
    local told = {}
    local handle = assert(m.client:subscribe_entity_changes(function(kind, row, old)
      told[#told + 1] = ("%s %s %s"):format(kind, row.metadata.properties.word, old and old.metadata.properties.word or "-")
    end))
    local id = assert(m:create_entity("T", { properties = { word = "one" } }))
    assert(m:update_entity(id, { properties = { word = "two" } }))
    assert(m:delete_entity(id))
    support.wait_until(function() return #told == 3 end)
    handle:cancel()
    assert.same({ "INSERTED one -", "UPDATED two one", "DELETED two -" }, told)
  end)

  it("see views of the past", function()
    local m = support.open { history = { "entity" } }
    if support.on_server then -- which has a switch of its own
      assert(m.client:connection():call("update_config", "enable_row_history", "entity", "by a test"))
    end
    rotated(m)
    local id = assert(m:create_entity("T", { properties = { word = "one" } }))
    local time = m:get_entity(id).created_at
    assert(m:update_entity(id, { properties = { word = "two" } }))
    local view = assert(m:as_of(time))
    assert.equal("one", view:get_entity(id).metadata.properties.word)
    assert.equal("one", view:query_entities({})[1].metadata.properties.word)
    assert.equal("two", m:history(id)[1].after.metadata.properties.word)
    assert.equal("one", m:history(id)[1].before.metadata.properties.word)
  end)

  it("refuse reads, writes and queries, and nothing happens then", function()
    local m = support.open()
    local id = assert(m:create_entity("T", { name = "kept" }))
    local function refuse() return nil, iu.errors.new("AuthorizationError", "not here") end
    local hook = m.hooks.around("rows.read", refuse)
    support.refused("AuthorizationError", m:get_entity(id))
    support.refused("AuthorizationError", m:query_entities({}))
    hook:remove()
    hook = m.hooks.around("rows.select", refuse)
    support.refused("AuthorizationError", m:query_entities({}))
    support.refused("AuthorizationError", m:explain_entities({}))
    support.refused("AuthorizationError", m:transaction(function(tx) return tx:query_entities({}) end))
    hook:remove()
    hook = m.hooks.around("rows.write", refuse)
    local before = support.census(m)
    support.refused("AuthorizationError", m:create_entity("T", {}))
    support.refused("AuthorizationError", m:update_entity(id, {}))
    support.refused("AuthorizationError", m:publish_event("E"))
    support.refused("AuthorizationError", m:transaction(function(tx) return tx:create_entity("T") end))
    assert.equal(before, support.census(m))
    hook:remove()
    assert.equal("kept", m:get_entity(id).metadata.name)
  end)

  it("refuse with any kind of failure, which arrives as it was, with its cause", function()
    local m = support.open()
    local id = assert(m:create_entity("T"))
    local err
    local function refuse() return nil, err end
    local hooks = { m.hooks.around("rows.write", refuse), m.hooks.around("rows.read", refuse) }
    for _, kind in ipairs(iu.errors.kinds()) do
      err = iu.errors.wrap(kind, "on purpose: " .. kind, iu.errors.new("StorageError", "the cause"))
      for what, answer in pairs {
        create = { m:create_entity("T") }, update = { m:update_entity(id, {}) }, by_client = { m.client:create_entity("T") }, event = { m:publish_event("E") },
        relation = { m:create_relation(id, id, "R") }, get = { m:get_entity(id) }, query = { m:query_entities {} }, events = { m.event_bus:events() },
        transaction = kind ~= "ConflictError" and { m:transaction(function(tx) return tx:create_entity("T") end) } or nil,
      } do
        assert.is_nil(answer[1], what)
        assert.equal(err, answer[2], what)
        assert.same({ kind, "on purpose: " .. kind, "the cause" }, { answer[2].kind, answer[2].message, answer[2].cause.message })
      end
    end
    for _, hook in ipairs(hooks) do hook:remove() end
  end)
end)
