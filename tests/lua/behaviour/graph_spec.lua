-- manager:neighbors and manager:path: directions, relations both ways, cycles, order, limits, and a walk over rows that the test keeps itself.

local support = require "support"

describe("walking relations", function()
  local m
  before_each(function() m = support.open() end)
  after_each(support.clean)

  local function entities(...)
    for _, id in ipairs { ... } do assert(m:create_entity("T", nil, id)) end
  end

  local function relate(id, from, to, kind, both)
    assert(m:create_relation(from, to, kind or "R", { bidirectional = both }, id))
  end

  local function words(list)
    local out = {}
    for i, each in ipairs(list) do out[i] = ("%s:%d:%s<%s"):format(each.id, each.depth, each.relation, each.from) end
    return table.concat(out, " ")
  end

  it("finds what relations lead to, by direction and type", function()
    entities("a", "b", "c", "d")
    relate("r1", "a", "b")
    relate("r2", "c", "a")
    relate("r3", "a", "d", "OTHER")
    assert.equal("b:1:r1<a d:1:r3<a", words(assert(m:neighbors("a"))))
    assert.equal("c:1:r2<a", words(assert(m:neighbors("a", { direction = "in" }))))
    assert.equal("b:1:r1<a c:1:r2<a d:1:r3<a", words(assert(m:neighbors("a", { direction = "both" }))))
    assert.equal("d:1:r3<a", words(assert(m:neighbors("a", { relation_type = "OTHER", direction = "both" }))))
    assert.equal("", words(assert(m:neighbors("b"))))
  end)

  it("follows a bidirectional relation both ways, whatever the direction", function()
    entities("a", "b", "c")
    relate("r1", "a", "b", "R", true)
    relate("r2", "b", "c")
    assert.equal("a:1:r1<b c:1:r2<b", words(assert(m:neighbors("b"))))
    assert.equal("a:1:r1<b", words(assert(m:neighbors("b", { direction = "in" }))))
    assert.equal("b:1:r1<a", words(assert(m:neighbors("a", { direction = "in" }))))
    assert.same({ entities = { "b", "a" }, relations = { "r1" }, length = 1 }, assert(m:path("b", "a")))
  end)

  it("goes level by level, each entity once, through cycles, loops and parallel relations", function()
    entities("a", "b", "c", "d", "e")
    relate("r1", "a", "a")
    relate("r2", "a", "b")
    relate("r3", "a", "b")
    relate("r4", "b", "c")
    relate("r5", "c", "a")
    relate("r6", "c", "d")
    relate("r7", "d", "b")
    assert.equal("b:1:r2<a", words(assert(m:neighbors("a"))))
    assert.equal("b:1:r2<a c:2:r4<b", words(assert(m:neighbors("a", { depth = 2 }))))
    assert.equal("b:1:r2<a c:2:r4<b d:3:r6<c", words(assert(m:neighbors("a", { depth = 32 }))))
    assert.equal("b:1:r2<a c:2:r4<b", words(assert(m:neighbors("a", { depth = 9, limit = 2 }))))
    assert.equal("", words(assert(m:neighbors("a", { depth = 9, limit = 0 }))))
    assert.same({ entities = { "a", "b", "c", "d" }, relations = { "r2", "r4", "r6" }, length = 3 }, assert(m:path("a", "d")))
    assert.same({ entities = { "a" }, relations = {}, length = 0 }, assert(m:path("a", "a")))
    local none, err = m:path("a", "e")
    assert.is_nil(none)
    assert.is_nil(err)
    none, err = m:path("a", "d", { max_depth = 2 })
    assert.is_nil(none)
    assert.is_nil(err)
    assert.same({ "r6", "r4", "r2" }, assert(m:path("d", "a", { direction = "in", max_depth = 3 })).relations)
    assert.equal(1, assert(m:path("a", "c", { direction = "both" })).length)
  end)

  it("refuses unknown entities, options and values, and names its caps", function()
    entities("a", "b")
    support.refused("EntityNotFoundError", m:neighbors("x"))
    support.refused("EntityNotFoundError", m:path("a", "x"))
    support.refused("EntityNotFoundError", m:path("x", "a"))
    assert.matches("sideways", support.refused("ValidationError", m:neighbors("a", { direction = "sideways" })).message)
    assert.matches("dept", support.refused("ValidationError", m:neighbors("a", { dept = 2 })).message)
    support.refused("ValidationError", m:neighbors("a", { depth = 0 }))
    support.refused("ValidationError", m:neighbors("a", { depth = 1.5 }))
    support.refused("ValidationError", m:neighbors("a", { limit = -1 }))
    support.refused("ValidationError", m:path("a", "b", { depth = 2 }))
    support.refused("ValidationError", m:path("a", "b", { relation_type = 5 }))
    assert.matches("32", support.refused("OverloadedError", m:neighbors("a", { depth = 33 })).message)
    assert.matches("max_depth", support.refused("OverloadedError", m:path("a", "b", { max_depth = 33 })).message)
    assert.has_error(function() m:neighbors(5) end)
    assert.has_error(function() m:path("a") end)
  end)

  it("sees what changed: deleted relations and entities are no way", function()
    entities("a", "b", "c")
    relate("r1", "a", "b")
    relate("r2", "b", "c")
    assert.equal(2, assert(m:path("a", "c")).length)
    assert(m:delete_relation("r2"))
    assert.is_nil((m:path("a", "c")))
    relate("r3", "c", "b", "R", true)
    assert.equal(2, assert(m:path("a", "c")).length)
    assert(m:update_relation("r3", { bidirectional = false }))
    assert.is_nil((m:path("a", "c")))
    assert(m:delete_entity("b", { cascade = true }))
    assert.equal("", words(assert(m:neighbors("a", { direction = "both" }))))
  end)

  it("reads subscribed rows where all relations are subscribed, and answers the same", function()
    local conn
    m, conn = support.open_both()
    entities("a", "b", "c")
    relate("r1", "a", "b")
    relate("r2", "c", "b", "R", true)
    local asked = words(assert(m:neighbors("a", { depth = 2 })))
    assert.equal("b:1:r1<a c:2:r2<b", asked)
    local subscription = assert(conn:subscribe { "SELECT * FROM relation", "SELECT * FROM entity" })
    assert(subscription:wait())
    local words_of_explain = assert(m:explain_relations { filters = { { field = "from_entity", operator = "In", value = { "a", "b" } } } })
    assert.matches(support.on_server and "replica: index from_entity" or "embedded: index from_entity", words_of_explain, 1, true)
    assert.equal(asked, words(assert(m:neighbors("a", { depth = 2 }))))
    assert.same({ "r1", "r2" }, assert(m:path("a", "c")).relations)
    relate("r0", "a", "c")
    assert.same({ "r0" }, assert(m:path("a", "c")).relations)
  end)

  -- The same words by walking a list: a relation at a time, in the order of ids.
  local function naive(relations, start, options)
    local direction, out, seen, frontier = options.direction or "out", {}, { [start] = true }, { [start] = true }
    for depth = 1, options.depth or 1 do
      local nearer = {}
      for _, r in ipairs(relations) do
        local function try(from, to, allowed)
          if allowed and frontier[from] and not seen[to] then
            seen[to], nearer[to] = true, true
            out[#out + 1] = { id = to, depth = depth, relation = r.id, from = from }
          end
        end
        if not options.relation_type or options.relation_type == r.kind then
          try(r.from, r.to, direction ~= "in" or r.both)
          try(r.to, r.from, direction ~= "out" or r.both)
        end
      end
      frontier = nearer
    end
    return out
  end

  it("agrees with a plain walk over random relations", function()
    local seed = tonumber(os.getenv("IU_TEST_SEED")) or os.time()
    print(("graph: IU_TEST_SEED=%d"):format(seed))
    math.randomseed(seed)
    local relations, ids = {}, {}
    for i = 1, 25 do ids[i] = ("e%02d"):format(i) end
    entities(table.unpack(ids))
    for i = 1, 60 do
      local r = {
        id = ("r%03d"):format(i), from = ids[math.random(25)], to = ids[math.random(25)], kind = ("K%d"):format(math.random(3)), both = math.random(4) == 1,
      }
      relations[i] = r
      relate(r.id, r.from, r.to, r.kind, r.both)
    end
    for _ = 1, support.on_server and 30 or 300 do
      local options = { direction = ({ "out", "in", "both" })[math.random(3)], depth = math.random(5) }
      if math.random(3) == 1 then options.relation_type = ("K%d"):format(math.random(3)) end
      local start = ids[math.random(25)]
      local wanted = naive(relations, start, options)
      assert.equal(words(wanted), words(assert(m:neighbors(start, options))))
      local target = ids[math.random(25)]
      local length
      for _, each in ipairs(wanted) do
        if each.id == target then length = each.depth end
      end
      if target == start then length = 0 end
      local path = m:path(start, target, { direction = options.direction, relation_type = options.relation_type, max_depth = options.depth })
      assert.equal(length, path and path.length)
      for i = 1, path and path.length or 0 do
        local r = relations[tonumber(path.relations[i]:sub(2))]
        local a, b = path.entities[i], path.entities[i + 1]
        assert.is_true(r.from == a and r.to == b or r.to == a and r.from == b)
      end
    end
  end)
end)
