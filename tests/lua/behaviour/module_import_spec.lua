-- import_rows and remove_rows for tables of modules in Lua: rows as they are, embedded universes only.

local iu = require "inner_universe"
local support = require "support"

local SHOP = assert(iu.module("shop", {
  tables = {
    item = { columns = { { "id", "u64" }, { "name", "string" }, { "price", "f64" } }, primary_key = "id", auto_inc = "id", unique = { "name" }, public = true },
    note = { columns = { { "text", "string" }, { "n", "i64" } } },
    named = { columns = { { "key", "string" }, { "value", "u32?" } }, primary_key = "key" },
  },
  reducers = {
    add = { params = { { "name", "string" }, { "price", "f64" } }, run = function(ctx, name, price) ctx.db.item:insert { name = name, price = price } end },
    note = { params = { { "text", "string" } }, run = function(ctx, text) ctx.db.note:insert { text = text, n = 1 } end },
  },
}))

local embedded = not support.on_server and it or pending

local function bytes_of(conn, name)
  local sub = assert(conn:subscribe { "SELECT * FROM " .. name })
  assert(sub:wait())
  local all = {}
  for page in assert(conn.tables[name]:pages()) do
    for _, bytes in ipairs(page) do all[#all + 1] = bytes end
  end
  sub:unsubscribe()
  return all
end

describe("rows of a module's tables", function()
  after_each(support.clean)

  embedded("are imported as they are, and numbers go on behind them", function()
    local from, to = support.connect { module = SHOP }, support.connect { module = SHOP }
    for i = 1, 20 do assert(from:call("add", "item" .. i, i == 3 and 0 / 0 or i / 3)) end
    assert(from:call("note", "one"))
    for _, name in ipairs { "item", "note" } do
      local rows = bytes_of(from, name)
      for _ = 1, 2 do assert(to:call("import_rows", name, rows)) end
      assert.same(rows, bytes_of(to, name))
    end
    assert(to:call("add", "the next", 1.0))
    assert.equal(21, assert(to:query("SELECT * FROM item WHERE name = 'the next'"))[1].id)
    to = support.reopen(to, { module = SHOP })
    assert(to:call("add", "after", 1.0))
    assert.is_true(assert(to:query("SELECT * FROM item WHERE name = 'after'"))[1].id >= 22)
  end)

  embedded("are replaced by key, and removed by key as JSON, or as a whole", function()
    local conn = support.connect { module = SHOP }
    assert(conn:call("import_rows", "named", { assert(conn:row_bytes("named", { key = "a\"b", value = 1 })) }))
    assert(conn:call("import_rows", "named", { assert(conn:row_bytes("named", { key = "a\"b" })) }))
    assert.same({ { key = "a\"b" } }, assert(conn:query("SELECT * FROM named")))
    assert(conn:call("remove_rows", "named", { '"other"', '"a\\"b"' }))
    assert.equal(0, #assert(conn:query("SELECT * FROM named")))
    assert(conn:call("add", "x", 1.0))
    assert(conn:call("remove_rows", "item", { "7", "1" }))
    assert.equal(0, #assert(conn:query("SELECT * FROM item")))
    assert(conn:call("note", "one"))
    assert(conn:call("note", "two"))
    assert(conn:call("remove_rows", "note", { assert(conn:row_json("note", bytes_of(conn, "note")[1])) }))
    assert.equal(1, #assert(conn:query("SELECT * FROM note")))
  end)

  embedded("are refused whole where one is none", function()
    local conn = support.connect { module = SHOP }
    local good = assert(conn:row_bytes("item", { id = 5, name = "good", price = 1.0 }))
    local function refused(kind, text, ...)
      local ok, err = conn:call(...)
      assert.is_nil(ok)
      assert.equal(kind, err.kind)
      assert.truthy(err.message:find(text, 1, true), err.message)
      assert.equal(0, #assert(conn:query("SELECT * FROM item")))
    end
    refused("ValidationError", "rows[1]", "import_rows", "item", { good, good:sub(1, -2) })
    refused("ValidationError", "rows[1]", "import_rows", "item", { good, good .. "x" })
    refused("ConflictError", "rows[1]", "import_rows", "item", { good, assert(conn:row_bytes("item", { id = 6, name = "good", price = 1.0 })) })
    refused("ValidationError", "keys[0]", "remove_rows", "item", { "not json" })
    refused("ValidationError", "keys[1]", "remove_rows", "item", { "5", "-5" })
    refused("ValidationError", "table: \"nothing\"", "import_rows", "nothing", {})
    local guest = support.owned(support.session(conn))
    local ok, err = guest:call("import_rows", "item", { good })
    assert.is_nil(ok)
    assert.equal("AuthorizationError", err.kind)
    assert.equal(0, #assert(conn:query("SELECT * FROM item")))
  end)

  embedded("are at most 100,000 a call", function()
    local conn = support.connect { module = SHOP }
    local rows = {}
    for i = 1, 100001 do rows[i] = "" end
    local ok, err = conn:call("import_rows", "item", rows)
    assert.is_nil(ok)
    assert.matches("rows: 100001, expected at most 100000", err.message)
    ok, err = conn:call("remove_rows", "item", rows)
    assert.is_nil(ok)
    assert.matches("keys: 100001, expected at most 100000", err.message)
  end)
end)
