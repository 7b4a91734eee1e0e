-- Misuse: the right kind of err or an error at the caller's line, a message that names the argument and what was expected, nothing half
-- written, and nobody told.

local iu = require "inner_universe"
local support = require "support"

describe("misuse", function()
  local m, conn, before, told, a, b, r
  before_each(function()
    m, conn = support.open_both()
    a, b = assert(m:create_entity("T", { name = "a" }, "a")), assert(m:create_entity("T", { name = "b" }, "b"))
    r = assert(m:create_relation(a, b, "R", nil, "r"))
    told = 0
    assert(m.event_bus:register_handler("*", function() told = told + 1 end))
    assert(m.client:subscribe_entity_changes(function() told = told + 1 end))
    assert(m.client:subscribe_relation_changes(function() told = told + 1 end))
    before = support.census(m)
  end)
  after_each(function()
    if m:is_initialized() then
      assert.equal(before, support.census(m), "something was written")
      assert.equal(0, told, "somebody was told")
      assert(m:publish_event("still alive"))
      assert.equal(1, told, "nobody is told any more")
    end
    support.clean()
  end)

  local function invalid(...)
    return support.refused("ValidationError", nil, ...)
  end
  local second = function(...) return (select(2, ...)) end

  it("a nil id, or one of another type, raises at the caller's line", function()
    for _, id in ipairs { false, 5, {}, print } do
      local value = id or nil
      support.raises_here(function() m:get_entity(value) end, "#1", "get_entity", "id", "string expected")
      support.raises_here(function() m:update_entity(value, {}) end, "#1", "update_entity", "id")
      support.raises_here(function() m:delete_entity(value) end, "#1", "delete_entity", "id")
      support.raises_here(function() m:get_relation(value) end, "#1", "get_relation", "id")
      support.raises_here(function() m:update_relation(value, {}) end, "#1", "update_relation", "id")
      support.raises_here(function() m:delete_relation(value) end, "#1", "delete_relation", "id")
      support.raises_here(function() m:create_relation(value, b, "R") end, "#1", "create_relation", "from_entity")
      support.raises_here(function() m:create_relation(a, value, "R") end, "#2", "create_relation", "to_entity")
      support.raises_here(function() m:create_relation(a, b, value) end, "#3", "create_relation", "relation_type")
      support.raises_here(function() m:create_entity(value) end, "#1", "create_entity", "entity_type")
      support.raises_here(function() m.client:get_entity(value) end, "#1", "get_entity", "id")
      support.raises_here(function() m.client:create_entity(value) end, "#1", "create_entity", "entity_type")
      support.raises_here(function() m.client:get_event(value) end, "#1", "id")
      support.raises_here(function() m:plugin(value) end, "#1", "plugin", "name")
    end
  end)

  it("other arguments of the wrong type raise at the caller's line", function()
    support.raises_here(function() m:create_entity("T", "name") end, "#2", "create_entity", "metadata", "table", "string")
    support.raises_here(function() m:create_entity("T", nil, 5) end, "#3", "create_entity", "id")
    support.raises_here(function() m:create_entity("T", {}, {}) end, "#3", "id")
    support.raises_here(function() m:update_entity(a) end, "#2", "update_entity", "metadata", "nil")
    support.raises_here(function() m:update_entity(a, 5) end, "#2", "metadata")
    support.raises_here(function() m:delete_entity(a, true) end, "#2", "delete_entity", "options")
    support.raises_here(function() m:create_relation(a, b, "R", 5) end, "#4", "metadata")
    support.raises_here(function() m:create_relation(a, b, "R", nil, 5) end, "#5", "id")
    support.raises_here(function() m:query_entities(5) end, "#1", "spec")
    support.raises_here(function() m:publish_event("E", {}, 5) end, "#3", "source")
    support.raises_here(function() m:commit_version(5) end, "#1", "state")
    support.raises_here(function() conn:call(nil) end, "call", "reducer")
    support.raises_here(function() conn:query(nil) end, "query", "sql")
    support.raises_here(function() conn:get(nil, "x") end, "get", "table")
    support.raises_here(function() conn:get("entity", nil) end, "get", "key")
    support.raises_here(function() conn:select(nil) end, "select", "table")
    support.raises_here(function() iu.open(nil) end, "open", "target")
    support.raises_here(function() iu.open(5) end, "open", "target")
    support.raises_here(function() iu.connect(nil) end, "connect", "target")
  end)

  it("calls without the colon raise: the first argument is not there", function()
    support.raises_here(function() m.create_entity("T") end, "entity_type")
    support.raises_here(function() m.get_entity(a) end, "id")
    support.raises_here(function() m.event_bus.publish("E") end, "event_type")
    support.raises_here(function() m.temporal_store.get_state("v") end, "version_id")
    support.raises_here(function() m.client.get_entity(a) end, "id")
  end)

  it("an empty type name, and names that are none", function()
    for value, words in pairs {
      [""] = { "empty", "1 to 256" }, [("x"):rep(257)] = { "257", "256" }, ["a\nb"] = { "control character" }, ["\0"] = { "control character" },
      ["a\127"] = { "control character" }, ["\xff"] = { "UTF-8" }, ["a\xc3"] = { "UTF-8" }, ["\xed\xa0\x80"] = { "UTF-8" }, ["\xc0\x80"] = { "UTF-8" },
    } do
      invalid(second(m:create_entity(value)), "entity_type", table.unpack(words))
      invalid(second(m:create_entity("T", nil, value)), "id", table.unpack(words))
      invalid(second(m:create_relation(a, b, value)), "relation_type", table.unpack(words))
      invalid(second(m:publish_event(value)), "event_type", table.unpack(words))
      invalid(second(m:create_entity("T", { tags = { "fine", value } })), "tags", table.unpack(words))
    end
    support.refused("ValidationError", nil, second(m:update_entity("", {})), "id", "empty")
    support.refused("ValidationError", nil, second(m:delete_entity("")), "id", "empty")
  end)

  it("strength that is no number, or none between 0 and 1", function()
    invalid(second(m:create_relation(a, b, "R", { strength = "high" })), "strength", "high")
    invalid(second(m:update_relation(r, { strength = "high" })), "strength", "high")
    invalid(second(m:create_relation(a, b, "R", { strength = {} })), "strength")
    invalid(second(m:create_relation(a, b, "R", { strength = true })), "strength")
    invalid(second(m:create_relation(a, b, "R", { strength = 0 / 0 })), "strength")
    invalid(second(m:create_relation(a, b, "R", { strength = 1 / 0 })), "strength")
    invalid(second(m:create_relation(a, b, "R", { bidirectional = "yes" })), "bidirectional", "yes")
    invalid(second(m:create_relation(a, b, "R", { bidirectional = 1 })), "bidirectional")
  end)

  it("metadata fields that are unknown or of another type", function()
    invalid(second(m:create_entity("T", { nam = "x" })), "nam", "name")
    invalid(second(m:create_entity("T", { strength = 1.0 })), "strength")
    invalid(second(m:create_entity("T", { [1] = "x" })), "metadata")
    invalid(second(m:update_entity(a, { Name = "x" })), "Name", "name")
    invalid(second(m:create_relation(a, b, "R", { name = "x" })), "name")
    invalid(second(m:create_entity("T", { name = 5 })), "name", "5")
    invalid(second(m:create_entity("T", { name = {} })), "name")
    invalid(second(m:create_entity("T", { description = true })), "description")
    invalid(second(m:create_entity("T", { name = "\xff" })), "name", "UTF-8")
    invalid(second(m:create_entity("T", { description = "\xff" })), "description", "UTF-8")
    invalid(second(m:create_entity("T", { name = ("x"):rep(65537) })), "name", "65537", "65536")
    invalid(second(m:create_entity("T", { tags = "x" })), "tags")
    invalid(second(m:create_entity("T", { tags = { 5 } })), "tags", "5")
    invalid(second(m:create_entity("T", { tags = { a = "x" } })), "tags")
    invalid(second(m:create_entity("T", { tags = { "x", [3] = "y" } })), "tags")
    local many = {}
    for i = 1, 1025 do many[i] = "t" .. i end
    invalid(second(m:create_entity("T", { tags = many })), "tags", "1025", "1024")
    invalid(second(m:delete_entity(a, { cascade = "yes" })), "cascade")
    invalid(second(m:delete_entity(a, { casade = true })), "casade", "cascade")
  end)

  it("properties that JSON cannot hold, with the path of what is wrong", function()
    local cycle, longer = {}, { x = { y = {} } }
    cycle.self = cycle
    longer.x.y.z = longer.x
    for _, case in ipairs {
      { cycle, "$.self" }, { longer, "$.x.y.z" }, { { x = 0 / 0 }, "$.x" }, { { x = { 1, 1 / 0 } }, "$.x[1]" }, { { x = -1 / 0 }, "$.x" },
      { { x = "\xff" }, "$.x", "UTF-8" },
      { { ["\xff"] = 1 }, "UTF-8" }, { { x = { [1] = 1, [3] = 3 } }, "$.x" }, { { x = { 1, 2, a = 3 } }, "$.x" }, { { [true] = 1 }, "$" },
      { { [1.5] = 1 }, "$" },
      { { x = print }, "$.x", "function" }, { { x = coroutine.create(print) }, "$.x" }, { { x = io.stdout }, "$.x" }, { { 1, 2, 3 }, "properties" },
      { iu.array {}, "properties" },
      { "text", "properties", "string" }, { 5, "properties" }, { true, "properties" },
    } do
      invalid(second(m:create_entity("T", { properties = case[1] })), "properties", table.unpack(case, 2))
      invalid(second(m:update_entity(a, { properties = case[1] })), "properties", table.unpack(case, 2))
      invalid(second(m:create_relation(a, b, "R", { properties = case[1] })), "properties", table.unpack(case, 2))
      invalid(second(m:update_relation(r, { properties = case[1] })), "properties", table.unpack(case, 2))
    end
  end)

  it("properties that raise while they are read", function()
    local trap = setmetatable({}, { __pairs = function() error("trap") end, __index = function() error("trap") end, __len = function() error("trap") end })
    local ok, result, err = pcall(m.create_entity, m, "T", { properties = { x = trap } })
    if ok and result == nil then assert.is_true(iu.errors.is(err)) end
    if ok and result then assert(m:delete_entity(result)) before, told = support.census(m), 0 end
  end)

  it("a text of 100 MB", function()
    local huge = ("x"):rep(100 * 1024 * 1024)
    local function too_large(err, name)
      assert.is_true(iu.errors.is(err))
      assert.is_true(err.kind == "ValidationError" or err.kind == "OverloadedError", tostring(err):sub(1, 200))
      assert.is_true(#err.message < 2000, "the message does not repeat it")
      assert.is_truthy(err.message:find(name, 1, true), err.message)
    end
    too_large(second(m:create_entity("T", { properties = { text = huge } })), "properties")
    too_large(second(m:create_entity("T", { name = huge })), "name")
    too_large(second(m:create_entity("T", { tags = { huge } })), "tags")
    too_large(second(m:create_entity(huge)), "entity_type")
    too_large(second(m:create_entity("T", nil, huge)), "id")
    too_large(second(m:update_entity(a, { properties = { text = huge } })), "properties")
    too_large(second(m:publish_event("E", { text = huge })), "data")
    too_large(second(m:publish_event(huge)), "event_type")
    too_large(second(m:commit_version({}, huge)), "description") -- a state may be larger: it is stored in parts
    assert.is_true(iu.errors.is((second(m:get_entity(huge)))))
    assert.is_true(#second(m:get_entity(huge)).message < 2000, "the message does not repeat it")
    assert.is_true(iu.errors.is((second(conn:query("SELECT * FROM entity WHERE id = '" .. huge .. "'")))))
  end)

  it("relations to what is not there, entities that are still held, ids that are taken", function()
    support.refused("EntityNotFoundError", nil, second(m:create_relation("nope", b, "R")), "from_entity", "nope")
    support.refused("EntityNotFoundError", nil, second(m:create_relation(a, "nope", "R")), "to_entity", "nope")
    support.refused("ConflictError", nil, second(m:delete_entity(a)), "relations")
    support.refused("ConflictError", nil, second(m:create_entity("T", nil, a)), '"a"')
    support.refused("ConflictError", nil, second(m:create_relation(a, b, "R", nil, r)), '"r"')
    support.refused("EntityNotFoundError", nil, second(m:get_entity(r)))
    support.refused("RelationNotFoundError", nil, second(m:get_relation(a)))
  end)

  it("calls of reducers with wrong names, counts and types say the signature", function()
    invalid(second(conn:call("create_entitty", "T")), "create_entitty", "create_entity")
    invalid(second(conn:call("create_entity")), "create_entity(entity_type: String")
    invalid(second(conn:call("create_entity", "T", {}, nil, "extra")), "create_entity")
    invalid(second(conn:call("create_entity", 5, {}, nil)), "entity_type", "String")
    invalid(second(conn:call("create_entity", "T", { tags = {}, properties = 5 }, nil)), "properties")
    invalid(second(conn:call("create_entity", "T", { tags = {}, properties = "{}", nam = 1 }, nil)), "nam")
    invalid(second(conn:call("create_entity", "T", { tags = {}, properties = "{" }, nil)), "properties", "JSON")
    invalid(second(conn:call("create_entity", "T", { tags = {}, properties = "[]" }, nil)), "properties", "object")
    invalid(second(conn:call("delete_entity", a, "yes")), "cascade")
    invalid(second(conn:call("publish_event", "E", "", "{nope}", nil)), "data", "JSON")
    invalid(second(conn:call("put_snapshot", "v", -1, 1, "json", "x")), "part")
    invalid(second(conn:call("put_snapshot", "v", 1 << 32, 1, "json", "x")), "part")
    invalid(second(conn:call("advance_cursor", "c", 1.5, nil)), "sequence")
    invalid(second(conn:send("create_entity", "")), "create_entity")
    invalid(second(conn:get("entitty", "x")), "entitty")
    invalid(second(conn:get("entity", 5)), "id")
    invalid(second(conn:select("entitty", {})), "entitty")
    invalid(second(conn:select("entity", { limt = 5 })), "limt", "limit")
    invalid(second(conn:query("SELEC * FROM entity")))
    invalid(second(conn:query("SELECT * FROM entity WHERE nope = 1")), "nope")
  end)

  it("targets and configurations that make no sense", function()
    invalid(second(iu.open("")), "")
    invalid(second(iu.open { prot = 3000 }), "prot", "port")
    invalid(second(iu.open { db_path = 5 }), "db_path")
    invalid(second(iu.open("memory:", { durability = "ful" })), "durability", "full")
    invalid(second(iu.open("memory:", { features = { enable_audit = true } })), "enable_audit", "enable_audit_log")
    invalid(second(iu.connect("memory:", { durabilty = "full" })), "durabilty", "durability")
    assert.is_true(iu.errors.is((second(iu.open("ws://localhost:3000/x")))))
    invalid(second(iu.open("htp://x")), "htp")
  end)

  it("errors can be read, told apart and printed", function()
    local err = second(m:get_entity("nope"))
    assert.is_true(iu.errors.is(err, "PersistenceError"))
    assert.is_true(iu.errors.is(err, "EntityNotFoundError"))
    assert.is_false(iu.errors.is(err, "ValidationError"))
    assert.is_truthy(tostring(err):find("^EntityNotFoundError: "))
    local ok, raised = pcall(function() return assert(m:get_entity("nope")) end)
    assert.is_false(ok)
    assert.is_truthy(tostring(raised):find("nope", 1, true))
  end)
end)
