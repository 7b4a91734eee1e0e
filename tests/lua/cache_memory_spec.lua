-- What the caches of a universe hold together: accounts, who gives way, what is given back.

local cache_memory = require("inner_universe.cache_memory")

describe("the memory of all caches", function()
  -- A cache that holds nothing but bytes, and gives back exactly what it is asked for.
  local function cache(pool, name, gives)
    local account, asked = nil, {}
    account = pool.open(name, function(bytes)
      asked[#asked + 1] = bytes
      if gives then account:add(-math.min(bytes, account.used)) end
    end)
    return account, asked
  end

  it("is counted over all of them, and one alone may have all of it", function()
    local pool = cache_memory.new(100)
    local a, asked = cache(pool, "a", true)
    a:add(100)
    assert.equal(100, pool.used())
    assert.equal(0, #asked)
    a:add(-40)
    assert.equal(60, pool.used())
  end)

  it("is taken from the one that holds most", function()
    local pool = cache_memory.new(100)
    local a = cache(pool, "a", true)
    local b = cache(pool, "b", true)
    a:add(90)
    b:add(30)
    assert.same({ 70, 30 }, { a.used, b.used })
    for _ = 1, 10 do b:add(10) end
    assert.is_true(math.abs(a.used - 50) <= 10 and math.abs(b.used - 50) <= 10)
    assert.equal(100, pool.used())
  end)

  it("goes on with the next one where one gives nothing back, and ends where none does", function()
    local pool = cache_memory.new(100)
    local stubborn, asked = cache(pool, "stubborn", false)
    local b = cache(pool, "b", true)
    stubborn:add(80)
    b:add(50)
    assert.same({ 80, 20 }, { stubborn.used, b.used })
    assert.equal(1, #asked)
    b:add(-20)
    stubborn:add(50)
    assert.equal(130, pool.used())
  end)

  it("is given back by who closes, once", function()
    local pool = cache_memory.new(100)
    local a = cache(pool, "a", true)
    a:add(50)
    a:close()
    a:close()
    a:add(10)
    assert.equal(0, pool.used())
    local b, asked = cache(pool, "b", true)
    b:add(100)
    assert.equal(0, #asked)
  end)
end)
