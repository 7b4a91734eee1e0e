-- conn:query beyond whole rows of one table: joins, column lists, COUNT(*) and LIMIT.
local support = require "support"

describe("conn:query", function()
  local manager, conn

  before_each(function()
    manager = support.open()
    conn = manager.client:connection()
    local ada = assert(manager:create_entity("Person", { name = "Ada" }, "ada"))
    local bob = assert(manager:create_entity("Person", { name = "Bob" }, "bob"))
    assert(manager:create_entity("Company", { name = "Acme" }, "acme"))
    assert(manager:create_relation(ada, "acme", "WORKS_FOR", {}, "r1"))
    assert(manager:create_relation(bob, "acme", "WORKS_FOR", {}, "r2"))
    assert(manager:create_relation(ada, bob, "KNOWS", {}, "r3"))
  end)
  after_each(support.clean)

  local function ids(rows)
    local list = {}
    for i, row in ipairs(rows) do list[i] = row.id end
    table.sort(list)
    return list
  end

  it("joins two tables", function()
    assert.are.same({ "ada", "bob" }, ids(assert(conn:query(
      "SELECT e.* FROM entity e JOIN relation r ON e.id = r.from_entity WHERE r.relation_type = 'WORKS_FOR'"))))
    assert.are.same({ "r3" }, ids(assert(conn:query(
      "SELECT r.* FROM relation r JOIN entity e ON r.to_entity = e.id WHERE e.entity_type = 'Person'"))))
  end)

  it("gives a row once for each partner", function()
    assert.are.same({ "ada", "ada", "bob" }, ids(assert(conn:query("SELECT e.* FROM entity e JOIN relation r ON e.id = r.from_entity"))))
  end)

  it("selects columns, counts, and stops at a limit", function()
    assert.are.same({ { kind = "Person", id = "ada" } }, assert(conn:query("SELECT entity_type AS kind, id FROM entity WHERE id = 'ada'")))
    assert.are.same({ { n = 3 } }, assert(conn:query("SELECT COUNT(*) AS n FROM entity")))
    assert.are.same({ { n = 2 } }, assert(conn:query("SELECT COUNT(*) AS n FROM relation r JOIN entity e ON r.to_entity = e.id WHERE e.id = 'acme'")))
    assert.are.equal(2, #assert(conn:query("SELECT * FROM entity LIMIT 2")))
    assert.are.same({}, assert(conn:query("SELECT id FROM entity LIMIT 0")))
  end)

  it("says where a text is wrong", function()
    local rows, err = conn:query("SELECT e.* FROM entity e JOIN relation r ON e.id = r.from_entiti")
    assert.is_nil(rows)
    if support.on_server then return end -- in the server's words
    assert.are.equal("ValidationError", err.kind)
    assert.are.equal("table `relation` has no column `from_entiti`, did you mean `from_entity`? at column 54", err.message)
  end)
end)
