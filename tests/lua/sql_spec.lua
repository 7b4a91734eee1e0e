-- conn:sql and manager:sql over a file: values, parameters, what is refused, limits, cancelling, closing, and that nothing is held up meanwhile.

local iu = require("inner_universe")
local core = require("inner_universe.core")
local support = require("support")

local ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) AS n FROM c"

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind)
  assert.truthy(err.message:find(text, 1, true), err.message)
end

describe("sql over a universe's file", function()
  local path, manager, refs

  before_each(function()
    collectgarbage()
    collectgarbage()
    refs = core.debug_refs()
    path = support.path() .. ".universe"
    manager = assert(iu.open(path))
    for i = 1, 3 do assert(manager:create_entity("Person", { name = "n" .. i, properties = { age = i } }, "p" .. i)) end
  end)

  after_each(function()
    assert(manager:shutdown())
    manager = nil
    support.clean()
    collectgarbage()
    collectgarbage()
    assert.equal(refs, core.debug_refs(), "Lua values are still held by the core")
  end)

  it("sees what was committed just before, as rows by name with the columns beside them", function()
    local rows, columns = assert(manager:sql("SELECT id, json_extract(metadata, '$.properties') AS p FROM entity ORDER BY id"))
    assert.same({ "id", "p" }, columns)
    assert.equal(3, #rows)
    assert.same({ id = "p2", p = '{"age":2}' }, rows[2])
    assert(manager:delete_entity("p2"))
    assert.equal(2, assert(manager:sql("SELECT count(*) AS n FROM entity"))[1].n)
    assert.same({}, (assert(manager:sql("SELECT * FROM entity WHERE id = 'nobody'"))))
  end)

  it("keeps every type", function()
    local row = assert(manager:sql("SELECT 9223372036854775807 AS i, 1.0 AS f, 'a' || char(0) AS t, x'00ff' AS b, NULL AS n, '' AS e, x'' AS o"))[1]
    assert.equal("integer", math.type(row.i))
    assert.equal(math.maxinteger, row.i)
    assert.equal("float", math.type(row.f))
    assert.equal("a\0", row.t)
    assert.equal("\0\255", row.b)
    assert.equal(iu.null, row.n)
    assert.equal("", row.e)
    assert.equal("", row.o)
  end)

  it("binds by position and by name, each type as itself", function()
    local sql = "SELECT typeof(?) AS a, typeof(?) AS b, typeof(?) AS c, typeof(?) AS d, typeof(?) AS e, typeof(?) AS f, ? AS g"
    local row = assert(manager:sql(sql, { 1, 1.0, "x", { blob = "x" }, iu.null, true, iu.json.decode("18446744073709551615") }))[1]
    assert.same({ a = "integer", b = "real", c = "text", d = "blob", e = "null", f = "integer", g = "18446744073709551615" }, row)
    row = assert(manager:sql("SELECT :a AS a, @b AS b, $c AS c", { a = 1, ["@b"] = "two", c = 3.5 }))[1]
    assert.same({ a = 1, b = "two", c = 3.5 }, row)
    assert.equal("p1", assert(manager:sql("SELECT id FROM entity WHERE id = ?", { "p1" }))[1].id)
  end)

  it("names a parameter that is missing, too many, unknown or no value", function()
    is_error("ValidationError", "parameter 2 of the statement is not given", manager:sql("SELECT ? AS a, ? AS b", { 1 }))
    is_error("ValidationError", "parameter 1 (:x)", manager:sql("SELECT :x", {}))
    is_error("ValidationError", "2 parameters given, the statement has 1", manager:sql("SELECT ?", { 1, 2 }))
    is_error("ValidationError", "no parameter `y`", manager:sql("SELECT :x", { x = 1, y = 2 }))
    is_error("ValidationError", "params[1]: ", manager:sql("SELECT ?", { print }))
    is_error("ValidationError", "params.x: ", manager:sql("SELECT :x", { x = {} }))
    is_error("ValidationError", "without holes", manager:sql("SELECT ?", { [7] = 1 }))
  end)

  it("only reads", function()
    for _, sql in ipairs({
      "DELETE FROM entity", "DROP TABLE entity", "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "ATTACH 'other.db' AS o", "VACUUM",
      "BEGIN", "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 3", "SELECT load_extension('x')", "REINDEX", "ANALYZE",
      "WITH x AS (SELECT 1) DELETE FROM entity", "UPDATE sqlite_master SET sql = ''", "UPDATE entity SET id = 1", "SAVEPOINT s", "DETACH main",
    }) do
      is_error("ValidationError", "sql: ", manager:sql(sql))
    end
    is_error("ValidationError", "one statement", manager:sql("SELECT 1; SELECT 2"))
    is_error("ValidationError", "expected a query", manager:sql("-- nothing"))
    assert.equal(3, assert(manager:sql("SELECT count(*) AS n FROM entity"))[1].n)
  end)

  it("points at what SQLite does not understand", function()
    local rows, err = manager:sql("SELECT nme FROM entity")
    assert.is_nil(rows)
    assert.equal("ValidationError", err.kind)
    assert.equal(7, err.offset)
  end)

  it("refuses two columns of one name, and has arrays for them", function()
    is_error("ValidationError", "two columns are called `id`", manager:sql("SELECT a.id, b.id FROM entity a, entity b"))
    local rows, columns = assert(manager:sql("SELECT 1 AS a, NULL AS a", nil, { arrays = true }))
    assert.same({ { 1, iu.null } }, rows)
    assert.same({ "a", "a" }, columns)
  end)

  it("checks its options", function()
    is_error("ValidationError", "did you mean 'max_rows'", manager:sql("SELECT 1", nil, { max_row = 1 }))
    is_error("ValidationError", "timeout: more than 0", manager:sql("SELECT 1", nil, { timeout = 0 }))
    assert.has_error(function() manager:sql(1) end)
    assert.has_error(function() manager:sql("SELECT 1", 2) end)
  end)

  it("has a row limit and a byte limit that say their names", function()
    local many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100001) SELECT x FROM c"
    is_error("OverloadedError", "max_rows", manager:sql(many))
    assert.equal(100001, #assert(manager:sql(many, nil, { max_rows = 100001 })))
    is_error("OverloadedError", "max_rows", manager:sql("SELECT id FROM entity", nil, { max_rows = 2 }))
    is_error("OverloadedError", "max_bytes", manager:sql("SELECT zeroblob(3000) AS b", nil, { max_bytes = 2000 }))
    is_error("ValidationError", "bytes", manager:sql("SELECT zeroblob(200000000) AS b"))
    local text = ("SELECT 1 --"):gsub("$", ("x"):rep(1024 * 1024))
    is_error("ValidationError", "1048576", manager:sql(text))
    assert.equal(1, #assert(manager:sql(text:sub(1, 1024 * 1024))))
    local mebibytes = ("x"):rep(33 * 1024 * 1024)
    assert.equal(1, #assert(manager:sql("SELECT length(?) AS n", { mebibytes })))
    is_error("OverloadedError", "67108864", manager:sql("SELECT length(?) + length(?) AS n", { mebibytes, mebibytes }))
  end)

  it("iterates over more than an answer may have, in one snapshot", function()
    local seen = 0
    local sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 120000) SELECT x, (SELECT count(*) FROM entity) AS n FROM c"
    for row in assert(manager:sql(sql, nil, { iterate = true })) do
      seen = seen + 1
      assert(row.x == seen and row.n == 3)
      if seen == 10 then assert(manager:create_entity("Person", {}, "later")) end
    end
    assert.equal(120000, seen)
  end)

  it("has a cursor that ends early and tells errors", function()
    local cursor = assert(manager:sql("SELECT id FROM entity ORDER BY id", nil, { iterate = true }))
    assert.same({ "id" }, cursor.columns)
    assert.equal("p1", cursor:next().id)
    cursor:close()
    assert.is_nil(cursor:next())
    for row in assert(manager:sql("SELECT id FROM entity ORDER BY id", nil, { iterate = true })) do
      if row.id == "p2" then break end
    end
    local failing = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 9000) "
      .. "SELECT abs(CASE x WHEN 8000 THEN -9223372036854775807 - 1 END) AS v FROM c"
    cursor = assert(manager:sql(failing, nil, { iterate = true }))
    local ok, raised = pcall(function() for _ in cursor do end end) -- luacheck: ignore
    assert.is_false(ok)
    assert.equal("ValidationError", raised.kind)
    is_error("ValidationError", "overflow", cursor:next())
  end)

  it("ends in its time", function()
    local before = core.mono()
    is_error("TimeoutError", "0.2 s", manager:sql(ENDLESS, nil, { timeout = 0.2 }))
    assert.is_true(core.mono() - before < 5)
    assert.equal(3, assert(manager:sql("SELECT count(*) AS n FROM entity"))[1].n)
  end)

  it("holds up neither writes nor other reports, and ends with its task", function()
    iu.run(function()
      local endless = iu.spawn(function() return manager:sql(ENDLESS) end)
      local reports = {}
      for i = 1, 6 do
        reports[i] = iu.spawn(function() return assert(manager:sql("SELECT count(*) AS n FROM entity"))[1].n end)
      end
      for i = 1, 20 do assert(manager:create_entity("Person", {}, "w" .. i)) end
      assert(manager:flush(10))
      for i = 1, 6 do assert.is_number(reports[i]:wait(10)) end
      assert.equal("waiting", endless:status())
      endless:cancel()
      assert.equal(23, assert(manager:sql("SELECT count(*) AS n FROM entity"))[1].n)
    end)
  end)

  it("gives its place on when who waits for one is cancelled", function()
    iu.run(function()
      local endless = {}
      for i = 1, 2 do endless[i] = iu.spawn(function() return manager:sql(ENDLESS) end) end
      iu.sleep(0.05)
      local third = iu.spawn(function() return manager:sql("SELECT 1 AS n") end)
      local fourth = iu.spawn(function() return assert(manager:sql("SELECT 4 AS n"))[1].n end)
      iu.sleep(0.05)
      third:cancel()
      endless[1]:cancel()
      assert.equal(4, fourth:wait(10))
      is_error("TimeoutError", "0.1 s", iu.spawn(function()
        endless[3] = iu.spawn(function() return manager:sql(ENDLESS) end)
        iu.sleep(0.05)
        return manager:sql("SELECT 1 AS n", nil, { timeout = 0.1 })
      end):wait(10))
      endless[2]:cancel()
      endless[3]:cancel()
      assert.equal(5, assert(manager:sql("SELECT 5 AS n"))[1].n)
    end)
  end)

  it("ends when the universe is closed, and leaves a plain file", function()
    iu.run(function()
      local endless = iu.spawn(function() return manager:sql(ENDLESS) end)
      local many = "SELECT id FROM entity, (SELECT 1 FROM entity, entity, entity, entity, entity, entity, entity)"
      local cursor = assert(manager:sql(many, nil, { iterate = true }))
      iu.sleep(0.05)
      assert(manager:shutdown())
      is_error("ConnectionError", "closed", endless:wait(10))
      local row, err
      repeat row, err = cursor:next() until not row
      is_error("ConnectionError", "closed", row, err)
    end)
    assert.is_nil(io.open(path .. "-wal"))
  end)

  it("is the owner's", function()
    local conn = assert(iu.connect(support.path() .. ".universe"))
    local other = assert(conn:session())
    is_error("AuthorizationError", "owner", other:sql("SELECT 1"))
    local own = assert(conn:session({ identity = conn:identity() }))
    assert.equal(1, assert(own:sql("SELECT 1 AS n"))[1].n)
    assert(conn:close())
  end)

  it("says where to ask when there is no file", function()
    local memory = assert(iu.open("memory:"))
    is_error("ValidationError", "memory: universe has no file", memory:sql("SELECT 1"))
    assert(memory:shutdown())
  end)

  it("raises where nothing may wait", function()
    iu.run(function()
      local ok, raised = pcall(coroutine.wrap(function() return manager:sql("SELECT 1") end))
      assert.is_false(ok)
      assert.truthy(tostring(raised):find("nested in a task", 1, true))
    end)
  end)
end)
