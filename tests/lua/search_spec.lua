-- manager:search_entities over a file: what is found, in which order, after changes, deletes and reopening; queries in plain words and in FTS5's language.

local iu = require("inner_universe")
local support = require("support")

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind)
  assert.truthy(err.message:find(text, 1, true), err.message)
end

describe("text search", function()
  local path, manager

  before_each(function()
    path = support.path() .. ".universe"
    manager = assert(iu.open(path))
    assert(manager:create_entity("Person", { name = "Ada Lovelace", description = "wrote the first program" }, "ada"))
    assert(manager:create_entity("Person", { name = "Grace Hopper", description = "wrote a compiler; liked Ada" }, "grace"))
    assert(manager:create_entity("Ship", { name = "Café Flottant", description = "a program at sea" }, "cafe"))
    assert(manager:create_entity("Ship", {}, "nameless"))
  end)

  after_each(function()
    assert(manager:shutdown())
    support.clean()
  end)

  local function ids(text, options)
    local found = {}
    for i, entity in ipairs(assert(manager:search_entities(text, options))) do found[i] = entity.id end
    return found
  end

  it("finds every word in names and descriptions, a name before a description", function()
    assert.same({ "ada", "grace" }, ids("ada"))
    assert.same({ "ada" }, ids("program first"))
    assert.same({ "cafe" }, ids("cafe"))
    assert.same({ "cafe" }, ids("CAFÉ"))
    assert.same({}, ids("nobody"))
    assert.same({}, ids(""))
    assert.same({}, ids("  \t"))
  end)

  it("gives entities with rank and snippet", function()
    local hit = assert(manager:search_entities("lovelace"))[1]
    assert.equal("Person", hit.entity_type)
    assert.equal("Ada Lovelace", hit.metadata.name)
    assert.is_true(hit.rank < 0)
    assert.equal("Ada [Lovelace]", hit.snippet)
  end)

  it("narrows, limits and goes on", function()
    assert.same({ "cafe" }, ids("program", { entity_type = "Ship" }))
    assert.same({}, ids("program", { entity_type = "Ship'; DROP TABLE entity; --" }))
    assert.same({ "ada" }, ids("ada", { limit = 1 }))
    assert.same({ "grace" }, ids("ada", { limit = 1, offset = 1 }))
    assert.same({}, ids("ada", { offset = 2 }))
  end)

  it("follows changes and deletes, also of transactions, and is there again after reopening", function()
    assert.same({ "ada", "grace" }, ids("ada"))
    assert(manager:update_entity("ada", { name = "Countess" }))
    assert.same({ "grace" }, ids("ada"))
    assert.same({ "ada" }, ids("countess"))
    assert(manager:transaction(function(tx)
      tx:delete_entity("grace")
      tx:create_entity("Person", { description = "ada again" }, "new")
    end))
    assert.same({ "new" }, ids("ada"))
    assert(manager:shutdown())
    manager = assert(iu.open(path))
    assert.same({ "new" }, ids("ada"))
    assert(manager:delete_entity("new"))
    assert.same({}, ids("ada"))
  end)

  it("takes whatever people type as words", function()
    assert(manager:create_entity("Note", { name = [[he said "AND NOT (x*" ^y: {z} - NEAR(a b, 2)]] }, "odd"))
    for _, text in ipairs({ '"AND', "NOT (x*", "^y:", "{z} -", "NEAR(a b, 2)", "'", '"', "said \0 he", "name : said", "*" }) do
      local found, err = manager:search_entities(text)
      assert.is_table(found, text .. ": " .. tostring(err))
    end
    assert.same({ "odd" }, ids('"AND NOT (x*'))
  end)

  it("has FTS5's own language, and says what is wrong with it", function()
    assert.same({ "ada" }, ids("ada NOT hopper", { syntax = "fts5" }))
    assert.same({ "ada" }, ids("name : ada", { syntax = "fts5" }))
    assert.same({ "ada" }, ids("lovel*", { syntax = "fts5" }))
    is_error("ValidationError", "syntax error", manager:search_entities("AND (", { syntax = "fts5" }))
    is_error("ValidationError", "no such column", manager:search_entities("nothing : ada", { syntax = "fts5" }))
    is_error("ValidationError", "one of plain, fts5", manager:search_entities("ada", { syntax = "regex" }))
    is_error("ValidationError", "unknown option `limt`", manager:search_entities("ada", { limt = 1 }))
    is_error("ValidationError", "offset", manager:search_entities("ada", { offset = -1 }))
    assert.has_error(function() manager:search_entities(1) end)
  end)

  it("is made once by tasks that search at the same time, while others write", function()
    iu.run(function()
      local tasks = {}
      for i = 1, 5 do tasks[i] = iu.spawn(function() return #ids("program") end) end
      local writer = iu.spawn(function()
        for i = 1, 100 do assert(manager:create_entity("Thing", { name = "thing " .. i }, "t" .. i)) end
        return true
      end)
      for i = 1, 5 do assert.equal(2, tasks[i]:wait(20)) end
      assert(writer:wait(20))
    end)
    assert.equal(100, #ids("thing", { limit = 1000 }))
  end)

  it("says where it cannot be had", function()
    local memory = assert(iu.open("memory:"))
    is_error("ValidationError", "memory: universe has no file", memory:search_entities("x"))
    assert(memory:shutdown())
  end)
end)
