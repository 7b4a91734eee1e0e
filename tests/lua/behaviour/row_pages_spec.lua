-- Rows as bytes: `conn.tables.<name>:pages`, `row_json` and back, and `import_rows`, which takes what they give, on every backend.

local iu = require "inner_universe"
local support = require "support"

local ENTITIES = 2500

local function filled()
  local conn = support.connect()
  for i = 1, ENTITIES, 500 do
    local operations = iu.array {}
    for n = i, i + 499 do
      operations[#operations + 1] = { tag = "CreateEntity", value = {
        entity_type = "T", metadata = { name = "n" .. n, tags = { "a" }, properties = ('{"n":%d}'):format(n) }, id = ("e%05d"):format(n) } }
    end
    assert(conn:call("transact", operations, iu.null))
  end
  assert(support.try_subscribe(conn, { "SELECT * FROM entity" }))
  return conn
end

describe("rows as bytes", function()
  after_each(support.clean)

  it("come page by page in the order of the key, each row once", function()
    local conn = filled()
    for _, options in ipairs { { rows = 1 }, { rows = 999 }, { bytes = 1000 }, {} } do
      local seen, pages = 0, 0
      for page in assert(conn.tables.entity:pages(options)) do
        assert.is_true(#page >= 1 and #page <= (options.rows or 1000))
        pages = pages + 1
        for _, bytes in ipairs(page) do
          seen = seen + 1
          assert.equal(("e%05d"):format(seen), (("<s4"):unpack(bytes)))
        end
      end
      assert.equal(ENTITIES, seen)
      assert.is_true(pages >= ENTITIES / (options.rows or 1000))
    end
    local next_page = assert(conn.tables.entity:pages { rows = 3, index = "id", low = "e02499" })
    local page = next_page()
    assert.equal(2, #page)
    assert.equal("e02499", conn:row_of_bytes("entity", page[1]).id)
    assert.is_nil(next_page())
    assert.is_nil(next_page())
  end)

  it("are those of the moment when they begin", function()
    local conn = filled()
    local next_page = assert(conn.tables.entity:pages { rows = 1000 })
    next_page()
    assert(conn:call("update_entity", "e02000", { tags = {}, properties = '{"changed":1}' }))
    assert(conn:call("delete_entity", "e02001", false))
    assert(conn:call("create_entity", "T", { tags = {}, properties = "{}" }, "e01500b"))
    support.settle(conn)
    local names = {}
    for page in next_page do
      for _, bytes in ipairs(page) do
        local row = assert(conn:row_of_bytes("entity", bytes))
        names[row.id] = row.metadata.name
      end
    end
    assert.equal("n2000", names.e02000)
    assert.equal("n2001", names.e02001)
    assert.is_nil(names.e01500b)
  end)

  it("say what is wrong with how they are asked for", function()
    local conn = support.connect()
    local next_page, err = conn.tables.entity:pages { row = 1 }
    assert.is_nil(next_page)
    assert.equal("ValidationError", err.kind)
    assert.matches("unknown option .row.", err.message)
    next_page, err = conn.tables.entity:pages { rows = 0 }
    assert.is_nil(next_page)
    assert.equal("ValidationError", err.kind)
    next_page, err = conn.tables.entity:pages { index = "nothing" }
    assert.is_nil(next_page)
    assert.equal("ValidationError", err.kind)
    next_page = assert(conn.tables.entity:pages())
    support.close(conn)
    assert.has_error(function() next_page() end)
    assert.has_error(function() conn.tables.entity:pages() end)
  end)

  it("have a JSON that is read back to the last bit", function()
    local conn = support.connect()
    local row = { id = "a\u{2028}\"", entity_type = "größe", created_at = 9007199254740993, updated_at = -1,
      metadata = { description = "d\0x", tags = iu.array { "x", "" }, properties = '{"a":1e400}' } }
    local bytes = assert(conn:row_bytes("entity", row))
    local text = assert(conn:row_json("entity", bytes))
    assert.equal(9007199254740993, iu.json.decode(text).created_at.__timestamp_micros_since_unix_epoch__)
    assert.equal(bytes, assert(conn:row_of_json("entity", text)))
    local none, err = conn:row_json("entity", bytes .. "x")
    assert.is_nil(none)
    assert.equal("ValidationError", err.kind)
    none, err = conn:row_of_json("entity", text:sub(1, -2))
    assert.is_nil(none)
    assert.equal("ValidationError", err.kind)
    none, err = conn:row_of_json("nothing", text)
    assert.is_nil(none)
    assert.equal("ValidationError", err.kind)
  end)

  it("are imported as they are", function()
    local from, to = filled(), support.connect()
    for page in assert(from.tables.entity:pages()) do
      assert(to:call("import_rows", "entity", page))
      assert(to:call("import_rows", "entity", page))
    end
    assert(support.try_subscribe(to, { "SELECT * FROM entity" }))
    assert.equal(ENTITIES, to.tables.entity:count())
    local theirs = assert(to.tables.entity:pages())
    for page in assert(from.tables.entity:pages()) do assert.same(page, theirs()) end
    assert(to:call("remove_rows", "entity", { "e00001", "nobody" }))
    support.settle(to)
    assert.equal(ENTITIES - 1, to.tables.entity:count())
    local ok, err = to:call("import_rows", "entity", { "not a row" })
    assert.is_nil(ok)
    assert.equal("ValidationError", err.kind)
    assert.matches("rows%[0%]: the bytes are not a row of `entity`", err.message)
    local guest = support.owned(support.session(to))
    ok, err = guest:call("import_rows", "entity", iu.array {})
    assert.is_nil(ok)
    assert.equal("AuthorizationError", err.kind)
  end)
end)
