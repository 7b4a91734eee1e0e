-- The plugin `security`: rules and roles, sealed fields, redaction, schemas: the same on every backend.

local iu = require "inner_universe"
local support = require "support"

local ALICE, BOB = ("a"):rep(64), ("B"):rep(64)
local OLD, NEW, WRONG = ("01"):rep(32), ("23"):rep(32), ("45"):rep(32)
local SEALED = { entity = { "properties.email", "properties.contacts.*.phone" }, relation = { "properties.note" }, events = { PAYMENT = { "card.number" } } }

local function key_file(...)
  local path = support.path()
  support.write(path, "# the newest first\n" .. table.concat({ ... }, "\n") .. "\n")
  assert(os.execute(("chmod 600 '%s'"):format(path)))
  return path
end

local function sealing(path, more)
  local config = { sealed = SEALED, keys = { { file = path } } }
  for key, value in pairs(more or {}) do config[key] = value end
  return { plugins = { security = config } }
end

local function stored(m, id)
  for _, row in ipairs(support.rows(m, "entity")) do
    if row.id == id then return assert(iu.json.decode(row.metadata.properties)) end
  end
end

-- Another properties text in the row, past the plugin.
local function overwrite(m, id, properties)
  local row = m.client:connection():get("entity", id)
  row.metadata.properties = assert(iu.json.encode(properties))
  assert(m.client:connection():call("update_entity", id, row.metadata))
end

describe("rules", function()
  after_each(support.clean)

  local function open()
    local m = support.open { plugins = { security = true } }
    return m, m.security
  end

  it("deny an action to all others once there is one, as the module does", function()
    local m, security = open()
    local guest = support.session(m.client:connection())
    local me = guest:identity()
    assert.is_true(security:can(me, "create_entity", "Person"))
    assert(guest:call("create_entity", "Person", { tags = {}, properties = "{}" }, "before"))
    assert(security:grant(ALICE, "create_entity", "Person"))
    assert.is_false(security:can(me, "create_entity", "Person"))
    assert.is_true(security:can(ALICE, "create_entity", "Person"))
    assert.is_false(security:can(ALICE, "create_entity", "Place"))
    assert.is_true(security:can(me, "update_entity", "Person"))
    support.refused("AuthorizationError", guest:call("create_entity", "Person", { tags = {}, properties = "{}" }, "after"))
    assert(security:grant(me, "create_entity", "Per*"))
    assert.is_true(security:can(me, "create_entity", "Person"))
    assert(guest:call("create_entity", "Person", { tags = {}, properties = "{}" }, "after"))
    support.refused("AuthorizationError", guest:call("create_entity", "Place", { tags = {}, properties = "{}" }, "elsewhere"))
    assert(security:revoke(me, "create_entity", "Per*"))
    support.refused("AuthorizationError", guest:call("create_entity", "Person", { tags = {}, properties = "{}" }, "again"))
    assert(security:revoke(ALICE, "create_entity", "Person"))
    assert(guest:call("create_entity", "Person", { tags = {}, properties = "{}" }, "again"))
    assert(m:create_entity("Place")) -- the owner, whatever the rules are
    guest:close()
  end)

  it("of roles are their members'", function()
    local m, security = open()
    local guest = support.session(m.client:connection())
    local me = guest:identity()
    assert(security:grant("role:clerk", "publish_event", "*"))
    support.refused("AuthorizationError", guest:call("publish_event", "SAID", "", "{}", nil))
    assert(security:add_to_role(me, "clerk"))
    assert(security:add_to_role(BOB, "clerk"))
    assert(guest:call("publish_event", "SAID", "", "{}", nil))
    assert.same({ "clerk" }, security:roles(me))
    assert.same({ "clerk" }, security:roles("0x" .. BOB))
    local members = { me, BOB:lower() }
    table.sort(members)
    assert.same(members, security:members("clerk"))
    assert.is_true(security:can(BOB, "publish_event", "SAID"))
    assert.is_false(security:can(ALICE, "publish_event", "SAID"))
    assert(security:remove_from_role(me, "clerk"))
    support.refused("AuthorizationError", guest:call("publish_event", "SAID", "", "{}", nil))
    assert.same({}, security:roles(me))
    guest:close()
  end)

  it("are listed, all or those that are asked for, without the module's own rows", function()
    local _, security = open()
    assert.same({}, security:rules())
    assert(security:grant(ALICE, "create_entity", "Person"))
    assert(security:grant("role:clerk", "create_entity"))
    assert(security:grant(BOB, "read_report", "month*"))
    assert.same({
      { principal = ALICE, action = "create_entity", subject = "Person" }, { principal = BOB:lower(), action = "read_report", subject = "month*" },
      { principal = "role:clerk", action = "create_entity", subject = "*" },
    }, security:rules())
    assert.same({ { principal = BOB:lower(), action = "read_report", subject = "month*" } }, security:rules { principal = BOB })
    assert.equal(2, #security:rules { action = "create_entity" })
    assert.equal(1, #security:rules { action = "create_entity", subject = "*" })
    support.refused("ValidationError", nil, select(2, security:rules { principle = "x" }), "principle", "principal")
  end)

  it("give the owner everything, and what is the owner's to nobody else", function()
    local m, security = open()
    local owner = m.client:connection():identity()
    assert(security:grant(ALICE, "grant"))
    assert.is_true(security:can(owner, "grant"))
    assert.is_false(security:can(ALICE, "grant"))
    assert(security:grant(ALICE, "create_entity"))
    assert.is_true(security:can(owner, "create_entity", "Anything"))
  end)

  it("hold for every method that writes, of whatever plugin, and for no method that reads", function()
    if not support.on_server then return end -- an embedded universe's manager is its owner's
    local config = { log_level = "off", plugins = { security = true, batch = true } }
    local m = support.open(config)
    assert(m:create_entity("T", nil, "e"))
    assert(m:create_entity("T", nil, "f"))
    local relation = assert(m:create_relation("e", "f", "R"))
    local version = assert(m:commit_version({ a = 1 }, "one"))
    assert(m.temporal_store:branch("side"))
    for _, action in ipairs {
      "create_entity", "update_entity", "delete_entity", "create_relation", "update_relation", "delete_relation", "publish_event", "commit_state_version",
      "record_delta", "put_snapshot", "set_branch", "put_record", "delete_record", "advance_cursor",
    } do
      assert(m.security:grant(ALICE, action))
    end
    local guest <close> = assert(iu.open(support.target_of(m), config))
    assert.not_equal(m.client:connection():identity(), guest.client:connection():identity())
    local temporal, before = guest.temporal_store, support.census(m, true)
    for name, write in pairs {
      create_entity = function() return guest:create_entity("T") end,
      update_entity = function() return guest:update_entity("e", {}) end,
      delete_entity = function() return guest:delete_entity("e", { cascade = true }) end,
      create_relation = function() return guest:create_relation("e", "f", "R") end,
      update_relation = function() return guest:update_relation(relation, {}) end,
      delete_relation = function() return guest:delete_relation(relation) end,
      publish_event = function() return guest:publish_event("X") end,
      client = function() return guest.client:publish_event("X") end,
      event_bus = function() return guest.event_bus:publish("X") end,
      prune_events = function() return guest.event_bus:prune_events { max_count = 0 } end,
      consumer = function() return guest.event_bus:consumer("mine", { handler = function() end }) end,
      batch = function() return guest.batch:create_entity("T") end,
      transaction = function() return guest:transaction(function(tx) assert(tx:delete_relation(relation)) end) end,
      rehearsal = function() return guest:transaction(function(tx) return tx:create_entity("T") and tx:rehearse() end) end,
      commit_version = function() return guest:commit_version({ a = 2 }) end,
      record_delta = function() return guest:record_delta(version, {}) end,
      revert = function() return temporal:revert(version) end,
      branch = function() return temporal:branch("mine") end,
      delete_branch = function() return temporal:delete_branch("side") end,
      tag = function() return temporal:tag("mine", version) end,
      grant = function() return guest.security:grant(guest.client:connection():identity(), "create_entity") end,
      revoke = function() return guest.security:revoke(ALICE, "create_entity") end,
    } do
      local done, err = write()
      assert.is_nil(done, name)
      support.refused("AuthorizationError", nil, err, "ermitted")
    end
    assert.equal(before, support.census(m, true))
    -- Who asks beforehand hears what the write would.
    local me, can = guest.client:connection():identity(), function(...) return guest.security:can(...) end
    assert.is_false(can(me, "create_entity", "Person"))
    assert.is_false(can(nil, "commit_state_version", "main"))
    assert.is_false(can(nil, "import_rows"))
    assert(m.security:grant(me, "create_entity", "Per*"))
    assert(m.security:revoke(ALICE, "publish_event"))
    before = support.census(m, true)
    assert.is_true(can(me, "create_entity", "Person"))
    assert.is_true(can("0x" .. me:upper(), "create_entity", "Person"))
    assert.is_true(can(nil, "publish_event", "X"))
    assert.is_false(can(nil, "create_entity", "T"))
    assert.is_false(can(nil, "create_entity"))
    assert.equal(before, support.census(m, true))
    assert.is_true(m.security:can(me, "create_entity", "Person"))
    assert.is_false(m.security:can(me, "create_entity", "T"))
    support.refused("AuthorizationError", nil, select(2, can(ALICE, "create_entity", "Person")), ALICE, "own")
    -- Or tries all of what it is about to do, without applying it.
    local function may(write)
      local yes, why
      support.refused("PersistenceError", nil, select(2, guest:transaction(function(tx)
        write(tx)
        yes, why = tx:rehearse()
        return nil, iu.errors.new("PersistenceError", "only asked")
      end)), "only asked")
      return yes, why
    end
    assert.is_true(may(function(tx) assert(tx:create_entity("Person")) end))
    assert.is_true(may(function(tx) assert(tx:publish_event("X")) end))
    support.refused("AuthorizationError", nil, select(2, may(function(tx) assert(tx:create_entity("T")) end)), 'create_entity on "T"')
    assert.equal(before, support.census(m, true))
    assert.equal(2, #guest:query_entities())
    assert.equal(relation, assert(guest:get_relation(relation)).id)
    assert.same({ a = 1 }, assert(temporal:get_state(version)))
    assert.is_true(#guest.event_bus:events() > 0)
  end)

  it("answer who asks in the words of the write, on every connection", function()
    local m, security = open()
    local guest = support.session(m.client:connection())
    local me, NONE = guest:identity(), nil
    for _, each in ipairs { "Person", "Place" } do assert(security:grant("role:clerk", "create_entity", each .. "*")) end
    local function same(subject)
      local written, why = guest:call("create_entity", subject, { tags = {}, properties = "{}" }, iu.uuid())
      local asked, wherefore = guest:call("check_permission", NONE, "create_entity", subject)
      assert.equal(written, asked)
      assert.equal(why and why.message, wherefore and wherefore.message)
      assert.equal(written == true, security:can(me, "create_entity", subject))
      return written
    end
    assert.is_nil(same("Person"))
    assert(security:add_to_role(me, "clerk"))
    assert.is_true(same("Person"))
    assert.is_true(same("Personal"))
    assert.is_nil(same("Per"))
    assert.is_true(guest:call("check_permission", me, "create_entity", "Place"))
    support.refused("AuthorizationError", nil, select(2, guest:call("check_permission", ALICE, "create_entity", "Place")), "owner's to ask")
    for _, action in ipairs { "grant", "revoke", "update_config", "prune_events", "prune_history", "prune_versions", "record_migration", "import_rows",
      "remove_rows" } do
      assert(security:grant(me, action))
      assert.is_false(security:can(me, action), action)
      assert.is_true(security:can(nil, action), action)
    end
    guest:close()
  end)

  it("refuse what is no rule", function()
    local _, security = open()
    support.refused("ValidationError", nil, select(2, security:grant("somebody", "create_entity")), "principal")
    support.refused("ValidationError", nil, select(2, security:grant(ALICE, "no spaces please")), "action")
    support.refused("ValidationError", nil, select(2, security:can("somebody", "create_entity")), "identity")
    support.raises_here(function() security:grant(5, "create_entity") end, "principal")
    support.refused("ValidationError", nil, select(2, security:can(ALICE, "no spaces please")), "action")
    support.refused("ValidationError", nil, select(2, security:can(nil, "create_entity", ("x"):rep(300))), "subject")
    support.raises_here(function() security:can(ALICE) end, "action")
  end)

  it("can neither be read nor changed by others than the owner", function()
    local target = support.target()
    local m = support.open({ plugins = { security = true } }, target)
    assert(m.security:grant(ALICE, "create_entity"))
    if not support.on_server then return end -- a manager of an embedded universe is its owner's
    local other = support.owned(assert(iu.open(target, { token_file = "none", plugins = { security = true } })))
    for _, refused in ipairs { { other.security:grant(BOB, "create_entity") }, { other.security:rules() }, { other.security:can(ALICE, "create_entity") },
      { other.security:roles(ALICE) } } do
      support.refused("AuthorizationError", refused[1], refused[2])
    end
    support.refused("AuthorizationError", other:create_entity("T"))
    assert.is_true(other.security:health())
  end)
end)

describe("sealed fields", function()
  after_each(support.clean)

  it("come back as they were, to the last bit, and are stored as sealed text", function()
    local m = support.open(sealing(key_file(NEW)))
    for _, value in ipairs { "ada@example.com", "", 5, 5.0, -0.0, math.maxinteger, true, false, iu.null, { "a", 1.5 }, { deep = { er = "x" } }, iu.array {} } do
      local id = assert(m:create_entity("Person", { name = "Ada", properties = { age = 36, email = value } }))
      support.exactly({ age = 36, email = value }, m:get_entity(id).metadata.properties)
      assert.truthy(stored(m, id).email:match("^sealed:1:%x+:[%w+/]+=*$"))
      assert.equal(36, stored(m, id).age)
    end
  end)

  it("are sealed anew by each write, within arrays too", function()
    local m = support.open(sealing(key_file(NEW)))
    local properties = { contacts = { { phone = "555-1", kind = "home" }, { phone = "555-2" }, { kind = "none" } } }
    local id = assert(m:create_entity("Person", { properties = properties }))
    local first = stored(m, id)
    assert.equal("home", first.contacts[1].kind)
    assert.is_nil(first.contacts[3].phone)
    support.exactly(properties, m:get_entity(id).metadata.properties)
    assert(m:update_entity(id, m:get_entity(id).metadata))
    support.exactly(properties, m:get_entity(id).metadata.properties)
    assert.not_equal(first.contacts[1].phone, stored(m, id).contacts[1].phone)
    assert.not_equal(stored(m, id).contacts[1].phone, stored(m, id).contacts[2].phone)
  end)

  it("leave what they were given as it was", function()
    local m = support.open(sealing(key_file(NEW)))
    local metadata = { properties = { email = "ada@example.com", contacts = { { phone = "555" } } } }
    assert(m:create_entity("Person", metadata))
    assert.same({ properties = { email = "ada@example.com", contacts = { { phone = "555" } } } }, metadata)
    local document = assert(iu.json.document('{"email":"doc@example.com"}'))
    assert.equal("doc@example.com", m:get_entity(assert(m:create_entity("Person", { properties = document }))).metadata.properties.email)
  end)

  it("work in transactions, by the client, in relations and in events", function()
    local m = support.open(sealing(key_file(NEW)))
    local a, r
    assert(m:transaction(function(tx)
      a = assert(tx:create_entity("Person", { properties = { email = "one@x.org" } }))
      assert.equal("one@x.org", tx:get_entity(a).metadata.properties.email)
      assert(tx:update_entity(a, { properties = { email = "two@x.org" } }))
      r = assert(tx:create_relation(a, a, "KNOWS", { properties = { note = "a secret tie" } }))
      assert(tx:publish_event("PAYMENT", { card = { number = "4711" }, amount = 5 }))
    end))
    assert.equal("two@x.org", m.client:get_entity(a).metadata.properties.email)
    assert.equal("a secret tie", m:get_relation(r).metadata.properties.note)
    assert.truthy(support.rows(m, "relation")[1].metadata.properties:find("sealed:1:", 1, true))
    local id = assert(m:publish_event("PAYMENT", { card = { number = "4712" } }))
    assert(m:publish_event("OTHER", { card = { number = "4713" } }))
    local numbers = {}
    for _, event in ipairs(m.event_bus:events()) do
      if event.data.card then numbers[#numbers + 1] = event.data.card.number end
    end
    assert.same({ "4711", "4712", "4713" }, numbers)
    assert.equal("4712", m.client:get_event(id).data.card.number)
    for _, row in ipairs(support.rows(m, "event_log")) do
      assert.equal(row.event_type == "OTHER", row.data:find('"471%d"') ~= nil)
    end
  end)

  it("are open to subscribers", function()
    local m = support.open(sealing(key_file(NEW)))
    local told = {}
    local handle = assert(m.client:subscribe_entity_changes(function(kind, row) told[#told + 1] = kind .. " " .. row.metadata.properties.email end))
    assert(m.event_bus:register_handler("PAYMENT", function(message) told[#told + 1] = message.data.card.number end))
    local id = assert(m:create_entity("Person", { properties = { email = "ada@x.org" } }))
    assert(m:delete_entity(id))
    assert(m:publish_event("PAYMENT", { card = { number = "4711" } }))
    support.wait_until(function() return #told == 3 end)
    handle:cancel()
    assert.same({ "INSERTED ada@x.org", "DELETED ada@x.org", "4711" }, told)
  end)

  it("are open in views of the past", function()
    local config = sealing(key_file(NEW))
    config.history = { "entity" }
    local m = support.open(config)
    if support.on_server then -- which has a switch of its own
      assert(m.client:connection():call("update_config", "enable_row_history", "entity", "by a test"))
    end
    local id = assert(m:create_entity("Person", { properties = { email = "one@x.org" } }))
    local time = m:get_entity(id).updated_at
    assert(m:update_entity(id, { properties = { email = "two@x.org" } }))
    assert.equal("one@x.org", m:as_of(time):get_entity(id).metadata.properties.email)
    assert.equal("one@x.org", m:history(id)[1].before.metadata.properties.email)
    for _, row in ipairs(support.rows(m, "row_history")) do assert.is_nil(row.row:find("@x.org", 1, true)) end
  end)

  it("can be neither filtered, ordered nor indexed by, nor can what they are in", function()
    local m = support.open(sealing(key_file(NEW)))
    for _, field in ipairs { "properties.email", "metadata.properties.email", "properties.email.host", "properties", "properties.contacts",
      "properties.contacts.0.phone" } do
      local filters = { { field = field, operator = "Equals", value = "x" } }
      support.refused("ValidationError", nil, select(2, m:query_entities { filters = filters }), field, "sealed")
      support.refused("ValidationError", nil, select(2, m:query_entities { order_by = field }), field, "sealed")
      support.refused("ValidationError", nil, select(2, m:explain_entities { filters = filters }), field)
      support.refused("ValidationError", nil, select(2, m:transaction(function(tx) return tx:query_entities { filters = filters } end)), field)
      support.refused("ValidationError", nil, select(2, m:create_index("entity", field)), field, "sealed")
    end
    assert.same({}, m:query_entities { filters = { { field = "properties.age", operator = "Equals", value = 1 } }, order_by = "properties.mail" })
    assert.same({}, m:query_relations { filters = { { field = "properties.email", operator = "Equals", value = 1 } } })
  end)

  it("of events cannot be filtered by either, by whoever asks the event bus; of other types they can", function()
    local m = support.open(sealing(key_file(NEW), { sealed = { events = { PAYMENT = { "card.number" }, ["*"] = { "pin" } } } }))
    local bus = m.event_bus
    assert(bus:publish("PAYMENT", { card = { number = "4111" }, shop = "x" }))
    assert(bus:publish("ORDER", { card = { number = "4111" } }))
    local consumer = assert(bus:consumer("all", { from = "start", handler = function() end }))
    for _, field in ipairs { "data.card.number", "data.card", "data", "data.card.number.last", "data.pin" } do
      local filters = { { field = "event_type", operator = "Equals", value = "PAYMENT" }, { field = field, operator = "Equals", value = "4111" } }
      for _, types in ipairs { "*", "PAY*", "PAYMENT", { "ORDER", "PAYMENT" } } do
        support.refused("ValidationError", nil, select(2, bus:events { type = types, filters = filters }), field, "sealed")
        if type(types) == "string" then
          support.refused("ValidationError", nil, select(2, bus:register_handler(types, print, { filters = filters })), field, "sealed")
        end
        support.refused("ValidationError", nil, select(2, bus:consumer("c", { types = types, filters = filters, handler = print })), field, "sealed")
      end
      support.refused("ValidationError", nil, select(2, consumer:replay(1, nil, filters)), field, "sealed")
      support.refused("ValidationError", nil, select(2, bus:export_events(support.path(), { filters = filters })), field, "sealed")
    end
    local found = assert(bus:events { type = "ORDER", filters = { { field = "data.card.number", operator = "Equals", value = "4111" } } })
    assert.same({ "ORDER" }, support.pluck(found, "type"))
    found = assert(bus:events { type = "PAY*", filters = { { field = "data.shop", operator = "Equals", value = "x" } } })
    assert.equal("4111", found[1].data.card.number)
  end)

  it("do not open with a wrong key, nor without one, and say which is missing", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    local id = assert(m:create_entity("Person", { properties = { email = "ada@x.org" } }))
    assert(m:publish_event("PAYMENT", { card = { number = "4711" } }))
    local key = m.security:keys()[1].id
    support.write(path, WRONG .. "\n")
    assert.is_true(m.security:reload_keys())
    for _, answer in ipairs {
      { m:get_entity(id) }, { m:query_entities {} }, { m.client:get_entity(id) }, { m.event_bus:events() },
      { m:transaction(function(tx) return tx:get_entity(id) end) },
    } do
      local err = support.refused("AuthorizationError", answer[1], answer[2], key)
      assert.is_nil(err.message:find("ada@x.org", 1, true))
    end
    -- Others are there as ever; and both keys open everything.
    local other = assert(m:create_entity("Person", { properties = { email = "bob@x.org" } }))
    assert.equal("bob@x.org", m:get_entity(other).metadata.properties.email)
    support.write(path, WRONG .. "\n" .. OLD .. "\n")
    assert.is_true(m.security:reload_keys())
    assert.equal("ada@x.org", m:get_entity(id).metadata.properties.email)
    assert.same({ true, false }, support.pluck(m.security:keys(), "newest"))
  end)

  it("without any key are neither written nor read, and all else goes on", function()
    local lines = {}
    iu.log.set_sink(function(level, message, source) lines[#lines + 1] = ("%s %s: %s"):format(level, source, message) end)
    local m = support.open(sealing("/nonexistent/keys"))
    iu.log.set_sink(nil)
    assert.truthy(table.concat(lines, "\n"):find("error security: keys: /nonexistent/keys", 1, true))
    support.refused("AuthorizationError", nil, select(2, m:create_entity("Person", { properties = { email = "ada@x.org" } })), "/nonexistent/keys")
    support.refused("AuthorizationError", nil, select(2, m:publish_event("PAYMENT", { card = { number = "4711" } })))
    assert.equal(0, #support.rows(m, "entity"))
    local id = assert(m:create_entity("Person", { properties = { age = 5 } }))
    assert.equal(5, m:get_entity(id).metadata.properties.age)
    local ok, message = m.security:health()
    assert.is_nil(ok)
    assert.truthy(message:find("/nonexistent/keys", 1, true))
    support.refused("StorageError", nil, select(2, m.security:reload_keys()))
    support.refused("StorageError", nil, select(2, m.security:rotate()))
  end)

  it("take keys from files that others cannot read, and only such that are keys", function()
    local path = key_file(NEW)
    local m = support.open(sealing(path))
    assert(os.execute(("chmod 640 '%s'"):format(path)))
    support.refused("AuthorizationError", nil, select(2, m.security:reload_keys()), "640")
    assert(os.execute(("chmod 600 '%s'"):format(path)))
    for _, text in ipairs { "", "# nothing\n", ("0"):rep(63), ("g"):rep(64), NEW .. "0", "passphrase", NEW .. " " .. OLD, NEW .. " mine" } do
      support.write(path, text)
      support.refused("AuthorizationError", nil, select(2, m.security:reload_keys()))
    end
    support.write(path, NEW .. "\n\n# the one before\n" .. OLD:sub(1, 40))
    support.refused("AuthorizationError", nil, select(2, m.security:reload_keys()), "line 4: a key is 64 hex digits")
    support.write(path, "  " .. NEW .. "\t# since March\r\n" .. OLD .. "#\r\n")
    assert.is_true(m.security:reload_keys())
    assert.equal(2, #m.security:keys())
    support.write(path, "")
    support.refused("AuthorizationError", nil, select(2, m.security:reload_keys()), "no key in it")
    local id = assert(m:create_entity("Person", { properties = { email = "still@x.org" } })) -- with the key that was there
    assert.equal("still@x.org", m:get_entity(id).metadata.properties.email)
  end)

  it("take at most 64 keys, and those of several sources in their order", function()
    local many = {}
    for i = 1, 64 do many[i] = ("%064x"):format(i) end
    local one, two = key_file(table.unpack(many)), key_file(NEW)
    local m = support.open(sealing(one))
    assert.equal(64, #m.security:keys())
    many[65] = many[1] -- which is there already
    support.write(one, table.concat(many, "\n"))
    assert.is_true(m.security:reload_keys())
    many[65] = ("%064x"):format(65)
    support.write(one, table.concat(many, "\n"))
    support.refused("AuthorizationError", nil, select(2, m.security:reload_keys()), "more than 64 keys")
    support.write(one, OLD)
    m = support.open(sealing(two, { keys = { { file = two }, { file = one } } }))
    assert.same({ two, one }, { m.security:keys()[1].source:match("file (.*)$"), m.security:keys()[2].source:match("file (.*)$") })
    assert.same({ true, false }, support.pluck(m.security:keys(), "newest"))
    -- Nothing is sealed with an older key where the newest cannot be read.
    m = support.open(sealing(two, { keys = { { file = "/nonexistent" }, { file = one } } }))
    support.refused("AuthorizationError", nil, select(2, m:create_entity("Person", { properties = { email = "x@x.org" } })), "/nonexistent")
  end)

  it("that were changed, or moved from another place, are a StorageError", function()
    local m = support.open(sealing(key_file(NEW)))
    local a = assert(m:create_entity("Person", { properties = { email = "a@x.org", contacts = { { phone = "1" }, { phone = "2" } } } }))
    local b = assert(m:create_entity("Person", { properties = { email = "b@x.org" } }))
    local of_a, of_b = stored(m, a), stored(m, b)
    local function changed(properties)
      overwrite(m, a, properties)
      return support.refused("StorageError", nil, select(2, m:get_entity(a)), a)
    end
    changed { email = of_b.email }                                                        -- of another row
    changed { email = of_a.contacts[1].phone }                                            -- of another path
    changed { contacts = { { phone = of_a.contacts[2].phone }, { phone = of_a.contacts[1].phone } } }
    changed { email = of_a.email:gsub(".$", function(c) return c == "A" and "B" or "A" end), }
    changed { email = of_a.email:sub(1, -5) }
    changed { email = of_a.email:gsub("^(sealed:1:%x+:).*$", "%1") }
    changed { email = "a@x.org" }                                                         -- not sealed at all
    changed { email = 5 }
    local err = changed { email = iu.null }
    assert.same({ table = "entity", key = a, path = "properties.email" }, err.details)
    overwrite(m, a, of_a)
    assert.equal("a@x.org", m:get_entity(a).metadata.properties.email)
    -- A key that nobody has is another matter.
    overwrite(m, a, { email = of_a.email:gsub("^sealed:1:%x+", "sealed:1:" .. ("0"):rep(16)) })
    support.refused("AuthorizationError", nil, select(2, m:get_entity(a)), ("0"):rep(16))
  end)

  it("that look sealed already when they are written are sealed all the same", function()
    local m = support.open(sealing(key_file(NEW)))
    local a = assert(m:create_entity("Person", { properties = { email = "a@x.org" } }))
    local text = stored(m, a).email
    local b = assert(m:create_entity("Person", { properties = { email = text } }))
    assert.equal(text, m:get_entity(b).metadata.properties.email)
  end)

  it("are not in the audit events, whose metadata shows [redacted]", function()
    local m = support.open(sealing(key_file(NEW), { redacted = { entity = { "properties.phone" } } }))
    local id = assert(m:create_entity("Person", { properties = { email = "ada@x.org", phone = "555-1234", age = 1 } }))
    assert(m:update_entity(id, { properties = { email = "eve@x.org", phone = "555-9876", age = 2 } }))
    assert(m:delete_entity(id))
    for _, row in ipairs(support.rows(m, "event_log")) do assert.is_nil(row.data:find("@x.org", 1, true)) end
    local seen = 0
    for _, event in ipairs(m.event_bus:events()) do
      for _, field in ipairs { "metadata", "old_metadata", "new_metadata" } do
        local metadata = event.data[field]
        if type(metadata) == "table" then
          seen = seen + 1
          assert.equal("[redacted]", metadata.properties.email)
          assert.equal("[redacted]", metadata.properties.phone)
          assert.truthy(metadata.properties.age)
        end
      end
    end
    assert.equal(3, seen)
  end)

  it("are not in the log, nor what is redacted, whole or cut", function()
    local lines = {}
    iu.log.set_sink(function(_, message) lines[#lines + 1] = message end)
    local m = support.open(sealing(key_file(NEW), { redacted = { entity = { "properties.phone" } } }))
    local long = "a long and secret text " .. ("x"):rep(200)
    assert(m:create_entity("Person", { properties = { email = long, phone = "555-1234", age = 4711 } }))
    assert(m:publish_event("PAYMENT", { card = { number = 47110815 } }))
    lines = {}
    iu.on_error(nil)
    m.hooks.after("get_entity", function()
      error("it says " .. long:sub(1, 40) .. "..., " .. long .. ', "555-1234", 47110815 and 4711; cut: "a long an...", {"phone":"555-...", a l..., 555...')
    end)
    assert(m:get_entity(assert(m:query_entities({}))[1].id))
    assert(m:query_entities { filters = { { field = "properties.phone", operator = "Equals", value = "555-asked" } } })
    m.hooks.after("query_relations", function() error("asked for 555-asked") end)
    assert(m:query_relations {})
    iu.on_error(function(err, context) support.reported[#support.reported + 1] = { err = err, context = context } end)
    iu.log.set_sink(nil)
    local all = table.concat(lines, "\n")
    assert.truthy(all:find("asked for [redacted]", 1, true), all)
    assert.truthy(all:find('it says [redacted]..., [redacted], "[redacted]", [redacted] and 4711; ' ..
      'cut: "[redacted]...", {"phone":"[redacted]...", a l..., 555...', 1, true), all)
  end)

  it("are looked for in the log as long as they are among the latest", function()
    local lines = {}
    iu.log.set_sink(function(_, message) lines[#lines + 1] = message end)
    for max, expected in pairs { [2] = "value1 [redacted] [redacted]", [0] = "value1 value2 value3" } do
      local m = support.open { plugins = { security = { redacted = { entity = { "properties.phone" } }, redact_values_max = max } } }
      for i = 1, 3 do assert(m:create_entity("Person", { properties = { phone = "value" .. i } })) end
      m.hooks.after("create_relation", function() error("value1 value2 value3") end)
      iu.on_error(nil)
      assert(m:create_entity("T", nil, "t"))
      assert(m:create_relation("t", "t", "R"))
      iu.on_error(function(err, context) support.reported[#support.reported + 1] = { err = err, context = context } end)
      support.close(m)
      assert.truthy(table.concat(lines, "\n"):find(expected, 1, true), table.concat(lines, "\n"))
      lines = {}
    end
    iu.log.set_sink(nil)
  end)

  it("that do not open are told to no subscriber, and who listens to errors hears why", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    local told = 0
    local handle = assert(m.client:subscribe_entity_changes(function() told = told + 1 end))
    assert(m.event_bus:register_handler("PAYMENT", function() told = told + 1 end))
    local id = assert(m:create_entity("Person", { properties = { email = "ada@x.org" } }))
    support.wait_until(function() return told == 1 end)
    support.write(path, WRONG .. "\n")
    assert.is_true(m.security:reload_keys())
    local row = m.client:connection():get("entity", id)
    row.metadata.name = "changed by who has no key"
    assert(m.client:connection():call("update_entity", id, row.metadata))
    assert(m:publish_event("PAYMENT", { card = { number = "4711" } })) -- with the wrong key, which is the one here
    support.wait_until(function() return told == 2 and #support.reported > 0 end)
    handle:cancel()
    local reported = support.take_reported()
    assert.equal("AuthorizationError", reported[1].err.kind)
    assert.equal(2, told)
  end)

  it("are sealed by plugins that gather writes, too", function()
    local config = sealing(key_file(NEW), { schemas = { Person = { required = { "email" } } } })
    config.plugins.batch, config.plugins.cache = true, true
    local m = support.open(config)
    iu.run(function()
      local tasks = {}
      for i = 1, 3 do tasks[i] = iu.spawn(function() return m.batch:create_entity("Person", { properties = { email = i .. "@x.org" } }, "id" .. i) end) end
      local event = iu.spawn(function() return m.batch:publish_event("PAYMENT", { card = { number = "4711" } }) end)
      local wrong = iu.spawn(function() return m.batch:create_entity("Person", {}) end)
      for i = 1, 3 do assert.equal("id" .. i, tasks[i]:wait()) end
      assert(event:wait())
      support.refused("ValidationError", nil, select(2, wrong:wait()), "properties.email")
    end)
    for i = 1, 3 do
      assert.truthy(stored(m, "id" .. i).email:match("^sealed:1:"))
      for _ = 1, 2 do assert.equal(i .. "@x.org", m:get_entity("id" .. i).metadata.properties.email) end -- from the cache, too
    end
    assert.equal("4711", m.event_bus:events({ type = "PAYMENT" })[1].data.card.number)
    assert.truthy(support.rows(m, "event_log")[1])
    for _, row in ipairs(support.rows(m, "event_log")) do assert.is_nil(row.data:find('"4711"', 1, true)) end
  end)

  it("stay sealed while plugins stop", function()
    local folder = support.folder()
    support.write(folder .. "/late/manifest.lua",
      'return { name = "late", version = "1.0.0", api = ">=1.0 <2", requires = { persistence_manager = "*" } }')
    support.write(folder .. "/late/init.lua", [[return { start = function(ctx)
      local manager = ctx.plugin("persistence_manager")
      return { stop = function() assert(manager:create_entity("Person", { properties = { email = "late@x.org" } }, "late")) end }
    end }]])
    local config = sealing(key_file(NEW))
    config.plugins.late, config.plugins.paths = true, { folder }
    local m = support.open(config)
    m = support.reopen(m, config)
    if support.keeps then
      assert.truthy(stored(m, "late").email:match("^sealed:1:"))
      assert.equal("late@x.org", m:get_entity("late").metadata.properties.email)
    end
  end)
end)

describe("rotating keys", function()
  after_each(support.clean)

  local function fill(m, count)
    local ids = {}
    for i = 1, count do ids[i] = assert(m:create_entity("Person", { properties = { email = i .. "@x.org" } }, ("id%03d"):format(i))) end
    return ids
  end

  local function key_ids(m)
    local out = {}
    for _, row in ipairs(support.rows(m, "entity")) do
      local id = row.metadata.properties:match("sealed:1:(%x+)") or "none"
      out[id] = (out[id] or 0) + 1
    end
    return out
  end

  it("seals everything with the newest, after which the old one is not needed", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    local ids = fill(m, 25)
    local r = assert(m:create_relation(ids[1], ids[2], "KNOWS", { properties = { note = "tie" } }))
    assert(m:create_entity("Person", { properties = { age = 5 } }, "id999"))
    support.write(path, NEW .. "\n" .. OLD .. "\n")
    assert.is_true(m.security:reload_keys())
    local told = {}
    local done = assert(m.security:rotate { batch = 10, progress = function(rows, values) told[#told + 1] = { rows, values } end })
    assert.same({ rows = 27, values = 26, key = m.security:keys()[1].id }, done)
    assert.same({ { 10, 10 }, { 20, 20 }, { 26, 25 }, { 27, 26 } }, told)
    support.write(path, NEW .. "\n")
    assert.is_true(m.security:reload_keys())
    for i, id in ipairs(ids) do assert.equal(i .. "@x.org", m:get_entity(id).metadata.properties.email) end
    assert.equal("tie", m:get_relation(r).metadata.properties.note)
    assert.equal(0, assert(m.security:rotate()).values)
    assert.equal(0, #m.client:query("SELECT * FROM plugin_record WHERE key = 'security.rotate'"))
  end)

  it("goes on where it was interrupted", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    fill(m, 30)
    local old = m.security:keys()[1].id
    support.write(path, NEW .. "\n" .. OLD .. "\n")
    assert.is_true(m.security:reload_keys())
    assert.is_false(pcall(m.security.rotate, m.security, { batch = 4, progress = function(rows) if rows == 12 then error("stopped") end end }))
    assert.equal(18, key_ids(m)[old])
    m = support.reopen(m, sealing(path))
    local first
    local done = assert(m.security:rotate { batch = 4, progress = function(rows) first = first or rows end })
    assert.equal(16, first)
    assert.same({ 30, 30 }, { done.rows, done.values })
    assert.is_nil(key_ids(m)[old])
  end)

  it("takes fewer of large rows at a time", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    local text = ("x"):rep(2 << 20)
    for i = 1, 9 do assert(m:create_entity("Person", { properties = { email = i .. "@x.org", text = text } }, "id" .. i)) end
    support.write(path, NEW .. "\n" .. OLD .. "\n")
    assert.is_true(m.security:reload_keys())
    local told = {}
    local done = assert(m.security:rotate { progress = function(rows) told[#told + 1] = rows end })
    assert.same({ 9, 9 }, { done.rows, done.values })
    assert.same({ 3, 6, 9 }, told)
    for i = 1, 9 do assert.equal(i .. "@x.org", m:get_entity("id" .. i).metadata.properties.email) end
  end)

  it("takes along what others change meanwhile", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    local ids = fill(m, 12)
    support.write(path, NEW .. "\n" .. OLD .. "\n")
    assert.is_true(m.security:reload_keys())
    local done = assert(m.security:rotate { batch = 5, progress = function(rows)
      if rows == 5 then
        assert(m:update_entity(ids[9], { properties = { email = "changed@x.org" } }))
        assert(m:delete_entity(ids[10]))
      end
    end })
    assert.equal(11, done.rows)
    assert.equal(10, done.values) -- the changed one was sealed with the newest by its writer
    assert.equal("changed@x.org", m:get_entity(ids[9]).metadata.properties.email)
  end)

  it("overwrites nothing that others write while a batch is under way", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    local ids = fill(m, 20)
    local last = {}
    for i, id in ipairs(ids) do last[id] = i .. "@x.org" end
    iu.run(function()
      local over = false
      local writer = iu.spawn(function()
        local n = 0
        while not over do
          n = n + 1
          local id = ids[n % #ids + 1]
          assert(m:update_entity(id, { properties = { email = n .. "@y.org" } }))
          last[id] = n .. "@y.org"
          iu.sleep(0.001)
        end
      end)
      for i = 1, 5 do
        support.write(path, (i % 2 == 0 and OLD .. "\n" .. NEW or NEW .. "\n" .. OLD) .. "\n")
        assert(m.security:reload_keys())
        assert(m.security:rotate { batch = 7 })
      end
      over = true
      writer:wait()
    end)
    for id, email in pairs(last) do assert.equal(email, m:get_entity(id).metadata.properties.email) end
  end)

  it("stops at what it cannot open, and keeps what it has done", function()
    local path = key_file(OLD)
    local m = support.open(sealing(path))
    fill(m, 6)
    support.write(path, NEW .. "\n")
    assert.is_true(m.security:reload_keys())
    support.refused("AuthorizationError", nil, select(2, m.security:rotate()), "id001", "properties.email")
    support.refused("ValidationError", nil, select(2, m.security:rotate { bach = 5 }), "bach", "batch")
    support.refused("ValidationError", nil, select(2, m.security:rotate { batch = 0 }), "batch")
  end)

  it("seals what was stored before it was to be sealed, where that may be read", function()
    local path = key_file(NEW)
    local target = support.target()
    local m = support.open(nil, target)
    local id = assert(m:create_entity("Person", { properties = { email = "plain@x.org" } }))
    if not support.keeps then return end
    support.close(m)
    m = support.open(sealing(path), target)
    support.refused("StorageError", nil, select(2, m:get_entity(id)), "not sealed")
    support.refused("StorageError", nil, select(2, m.security:rotate()), "not sealed") -- or whoever put it there would have it sealed
    support.close(m)
    m = support.open(sealing(path, { accept_plain = true }), target)
    assert.equal("plain@x.org", m:get_entity(id).metadata.properties.email)
    assert.equal(1, assert(m.security:rotate()).values)
    assert.truthy(stored(m, id).email:match("^sealed:1:"))
  end)
end)

describe("schemas", function()
  after_each(support.clean)

  local PERSON = {
    properties = {
      age = { type = "integer", minimum = 0, maximum = 150 }, email = { type = "string", minLength = 3 },
      tags = { type = "array", items = { type = "string" }, maxItems = 3 },
    },
    required = { "age" }, additional = false,
  }

  it("are checked before anything is written, naming path, value and what is expected", function()
    local m = support.open { plugins = { security = { schemas = { Person = PERSON }, relation_schemas = { KNOWS = { required = { "since" } } } } } }
    local before = support.census(m)
    local function refused(properties, ...)
      return support.refused("ValidationError", nil, select(2, m:create_entity("Person", { properties = properties })), "Person", ...)
    end
    local err = refused({ age = -1 }, "properties.age", "-1", "a number from 0")
    assert.same({ path = "properties.age", value = -1, expected = "a number from 0" }, err.details)
    refused({ age = "5" }, "properties.age", '"5"', "integer")
    refused({ age = 5.5 }, "5.5", "integer")
    refused({}, "properties.age", "missing", "required")
    refused(nil, "properties.age", "missing")
    refused({ age = 5, size = 1 }, "properties.size", "no such property")
    refused({ age = 5, tags = { "a", 5 } }, "properties.tags.1", "string")
    refused({ age = 5, tags = { "a", "b", "c", "d" } }, "properties.tags", "at most 3 items")
    support.refused("ValidationError", nil, select(2, m.client:create_entity("Person", { properties = { age = -1 } })))
    assert.equal(before, support.census(m))
    local id = assert(m:create_entity("Person", { properties = { age = 5, email = "a@b" } }))
    support.refused("ValidationError", nil, select(2, m:update_entity(id, { properties = { age = "old" } })), "Person", "properties.age")
    support.refused("ValidationError", nil, select(2, m:create_relation(id, id, "KNOWS")), "KNOWS", "properties.since")
    assert(m:create_relation(id, id, "LIKES"))
    assert(m:create_entity("Place", { properties = { age = "old" } })) -- no schema
    support.refused("EntityNotFoundError", m:update_entity("nobody", { properties = {} }))
    support.refused("ValidationError", nil, select(2, m:transaction(function(tx)
      assert(tx:create_entity("Place", nil, "undone"))
      local other = assert(tx:create_entity("Person", { properties = { age = 1 } }))
      return tx:update_entity(other, { properties = { age = 151 } })
    end)), "properties.age", "150")
    support.refused("EntityNotFoundError", m:get_entity("undone"))
    assert.is_true(m.security:validate("Person", { age = 5 }))
    support.refused("ValidationError", nil, select(2, m.security:validate("Person", { age = 151 })), "properties.age")
    assert.is_true(m.security:validate("Place", { anything = true }))
  end)

  it("look at what is sealed before it is, and do not show it", function()
    local m = support.open(sealing(key_file(NEW), { schemas = { Person = PERSON } }))
    local id = assert(m:create_entity("Person", { properties = { age = 5, email = "ada@x.org" } }))
    assert.equal("ada@x.org", m:get_entity(id).metadata.properties.email)
    local _, err = m:update_entity(id, { properties = { age = 5, email = "aa" } })
    support.refused("ValidationError", nil, err, "[redacted]", "3 characters")
    assert.is_nil(err.message:find('"aa"', 1, true))
    assert.is_nil(err.details.value)
  end)
end)

describe("a configuration that is wrong", function()
  after_each(support.clean)

  it("keeps the universe closed, and says what is wrong", function()
    for text, config in pairs {
      ["sealed: unknown key `entities`"] = { sealed = { entities = { "properties.a" } } },
      ["expected a path below `properties`"] = { sealed = { entity = { "name" } } },
      ["overlap"] = { sealed = { entity = { "properties.a", "properties.a.b" } } },
      ["sealed.events"] = { sealed = { events = { PAYMENT = "card" } } },
      ["sealed.events.ENTITY_CREATED"] = { sealed = { events = { ENTITY_CREATED = { "name" } } } }, -- nobody could read the log any more
      ["keys[1]"] = { keys = { { variable = "X" } } },
      ["redacted: unknown key"] = { redacted = { events = {} } },
      ["rotate_batch"] = { rotate_batch = 0 },
      ["schemas.Person.properties.age.type: unknown type int"] = { schemas = { Person = { properties = { age = { type = "int" } } } } },
      ["unknown keyword `patern`"] = { schemas = { Person = { patern = "x" } } },
      ["unknown key 'shemas'"] = { shemas = {} },
    } do
      support.refused("PluginError", nil, select(2, iu.open("memory:", { plugins = { security = config } })), "security", text)
    end
  end)
end)
