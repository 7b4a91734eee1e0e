-- The caps of manager:neighbors and manager:path, reached with a connection that answers what the test wants: rows enough would take a while to write.

local iu = require "inner_universe"

describe("a walk over relations", function()
  local answers, asked

  -- The methods over a connection whose relations are what `answers` says, each query a level.
  local function walker()
    asked = 0
    local conn = {
      get = function(_, _, id) return { id = id } end,
      select = function(_, _, spec)
        asked = asked + 1
        return answers(asked, spec)
      end,
    }
    local plugin = {}
    function plugin.load(name) return assert(loadfile(("plugins/persistence_manager/%s.lua"):format(name)))(plugin) end
    local methods = {}
    plugin.load "graph"({ conn = conn, is_closed = function() return false end, check = require "inner_universe.check" }, methods)
    return methods
  end

  local function relation(id, from, to)
    return { id = id, from_entity = from, to_entity = to, metadata = { bidirectional = false } }
  end

  local function refused(value, err, words)
    assert.is_nil(value)
    assert.is_true(iu.errors.is(err, "OverloadedError"))
    assert.matches(words, err.message, 1, true)
  end

  it("looks at 1,000,000 relations at most, and says so", function()
    local one = relation("r", "a", "b")
    local many = 500000
    local m = walker()
    answers = function(n)
      if n > 2 then return {} end
      local list = {}
      for i = 1, many do list[i] = one end
      return list
    end
    assert.equal(1, #assert(m:neighbors("a", { depth = 2 })))
    many, asked = 500001, 0
    local value, err = m:neighbors("a")
    refused(value, err, "neighbors: more than 1000000 relations")
    asked = 0
    value, err = m:path("a", "z")
    refused(value, err, "path: more than 1000000 relations")
  end)

  it("reaches 100,000 entities at most, over both ends of a path together", function()
    local m = walker()
    local count = 100000
    answers = function(n)
      local list = {}
      for i = 1, n == 1 and count or 0 do list[i] = relation(("r%06d"):format(i), "a", "e" .. i) end
      return list
    end
    assert.equal(100000, #assert(m:neighbors("a")))
    count, asked = 100001, 0
    local value, err = m:neighbors("a")
    refused(value, err, "neighbors: more than 100000 entities")
    asked = 0
    assert.equal(100001, #assert(m:neighbors("a", { limit = 100001 })))
    asked = 0
    value, err = m:path("a", "z")
    refused(value, err, "path: more than 100000 entities")
  end)

  it("gives on what a level could not be read for", function()
    answers = function(n)
      if n == 2 then return nil, iu.errors.new("ConnectionError", "away") end
      return {}
    end
    local m = walker()
    local value, err = m:neighbors("a")
    assert.is_nil(value)
    assert.equal("ConnectionError", err.kind)
    asked = 0
    value, err = m:path("a", "b")
    assert.is_nil(value)
    assert.equal("ConnectionError", err.kind)
  end)
end)
