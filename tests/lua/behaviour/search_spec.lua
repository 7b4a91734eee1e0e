-- manager:search_entities: what is found, in which order, after changes, deletes and reopening; queries in plain words and in FTS5's language.

local iu = require("inner_universe")
local support = require("support")

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind)
  assert.truthy(err.message:find(text, 1, true), err.message)
end

describe("text search", function()
  local manager

  if support.on_server then
    it("is refused on a server, and says why", function()
      local remote = support.open()
      is_error("ValidationError", "a server has no text index", remote:search_entities("x"))
      is_error("ValidationError", "a server has no text index", remote:search_entities(""))
      support.clean()
    end)
    return
  end

  before_each(function()
    manager = support.open()
    assert(manager:create_entity("Person", { name = "Ada Lovelace", description = "wrote the first program" }, "ada"))
    assert(manager:create_entity("Person", { name = "Grace Hopper", description = "wrote a compiler; liked Ada" }, "grace"))
    assert(manager:create_entity("Ship", { name = "Café Flottant", description = "a program at sea" }, "cafe"))
    assert(manager:create_entity("Ship", {}, "nameless"))
  end)

  after_each(support.clean)

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
    manager = support.reopen(manager)
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

  it("searches modules' tables, whatever they and their columns are called", function()
    local module = assert(iu.module("words", {
      tables = { group = { columns = { { "select", "string" }, { "order", "string" }, { "n", "u32" }, { "key", "u32" }, { "rank", "u32" } },
        primary_key = "select", public = true } },
      reducers = { put = { params = { { "id", "string" }, { "text", "string" } }, run = function(ctx, id, text)
        ctx.db.group:insert { select = id, order = text, n = 1, key = 2, rank = 3 }
      end } },
    }))
    local own = support.open { module = module }
    local conn = own.client:connection()
    local index = { table = "group", key = "select", json = "order", texts = { { "from", 2 }, { "where", 1 } } }
    assert(conn:call("put", "a", '{"from":"red","where":"old"}'))
    assert(conn:call("put", "b", '{"from":"green"}'))
    assert.equal("a", assert(conn:search_text(index, "old"))[1].key)
    assert(conn:call("put", "c", '{"from":"blue","where":"red"}')) -- with the index there
    assert.same({ "a", "c" }, support.pluck(assert(conn:search_text(index, "red")), "key"))
    assert.equal(1, #assert(conn:search_text(index, "red", { where = { select = "c", n = 1 } })))
  end)

  it("says where it cannot be had", function()
    local _, conn = support.open_both()
    local other = assert(conn:session())
    local index = { table = "entity", key = "id", json = "metadata", texts = { { "name", 1 } } }
    is_error("AuthorizationError", "owner's only", other:search_text(index, "x"))
    index.table = "entiti"
    is_error("ValidationError", "entiti", conn:search_text(index, "x"))
  end)

  it("gives the answers of a naive search after random changes, aborted transactions and deletes", function()
    local seed = tonumber(os.getenv("INNER_UNIVERSE_TEST_SEED")) or os.time()
    math.randomseed(seed)
    local words = { "red", "green", "blue", "old", "new", "small" }
    local function text()
      local list = {}
      for i = 1, math.random(0, 3) do list[i] = words[math.random(#words)] end
      return table.concat(list, " ")
    end
    local held = {}
    local function change(on, model)
      local id = "r" .. math.random(30)
      if model[id] and math.random(3) == 1 then
        on:delete_entity(id)
        model[id] = nil
      else
        local metadata = { name = text(), description = text() }
        if model[id] then on:update_entity(id, metadata) else on:create_entity("Random", metadata, id) end
        model[id] = metadata
      end
    end
    for round = 1, 150 do
      if math.random(4) == 1 then
        local keep, model = math.random(2) == 1, {}
        for id, metadata in pairs(held) do model[id] = metadata end
        local ok = manager:transaction(function(tx)
          for _ = 1, 3 do change(tx, model) end
          if not keep then return nil, iu.errors.new("ConflictError", "not this time") end
          return true
        end)
        assert.equal(keep or nil, ok)
        if keep then held = model end
      else
        change(manager, held)
      end
      if round % 3 == 0 then
        local word, expected = words[math.random(#words)], {}
        for id, metadata in pairs(held) do
          if (" " .. metadata.name .. " " .. metadata.description .. " "):find(" " .. word .. " ", 1, true) then expected[#expected + 1] = id end
        end
        local found = ids(word, { limit = 1000, entity_type = "Random" })
        table.sort(expected)
        table.sort(found)
        assert.same(expected, found, ("seed %d, round %d, `%s`"):format(seed, round, word))
      end
    end
  end)

  if not support.on_file then
    it("lets others on while a large index is made, and keeps to its time", function()
      assert(manager:transaction(function(tx)
        for i = 1, 3000 do tx:create_entity("Thing", { name = "thing " .. i }) end
      end))
      is_error("TimeoutError", "within 1e-06 s", manager:search_entities("thing", { timeout = 1e-6 }))
      iu.run(function()
        local turns = 0
        local other = iu.spawn(function()
          while true do
            iu.sleep(0)
            turns = turns + 1
          end
        end)
        assert.equal(3000, #ids("thing", { limit = 5000 }))
        other:cancel()
        assert.is_true(turns >= 5, turns)
      end)
    end)
  end
end)
