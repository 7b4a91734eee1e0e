-- Errors: kinds, codes, causes, printing.

local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")

describe("an error", function()
  it("has a kind, a code, a message and says whether trying again may help", function()
    local err = errors.new("ConflictError", "row changed")
    assert.equal("ConflictError", err.kind)
    assert.equal("CONFLICT", err.code)
    assert.equal("row changed", err.message)
    assert.is_true(err.retryable)
    assert.is_false(errors.new("ValidationError", "x").retryable)
  end)

  it("prints well in assert", function()
    local ok, raised = pcall(function()
      assert(nil, errors.new("ValidationError", "limit: 0 or more expected"))
    end)
    assert.is_false(ok)
    assert.equal("ValidationError: limit: 0 or more expected", tostring(raised))
  end)

  it("prints its causes, even circular ones", function()
    local inner = errors.new("StorageError", "disk full")
    local outer = errors.wrap("PluginError", "start failed", inner)
    assert.equal("PluginError: start failed; caused by StorageError: disk full", tostring(outer))
    assert.equal("PluginError: x; caused by plain text", tostring(errors.wrap("PluginError", "x", "plain text")))
    inner.cause = outer
    assert.is_true(#tostring(outer) < 1000)
  end)

  it("takes code, retryable, cause and details from fields", function()
    local err = errors.new("ConnectionError", "gone", { code = "CLOSED", retryable = false, details = { id = 1 } })
    assert.equal("CLOSED", err.code)
    assert.is_false(err.retryable)
    assert.equal(1, err.details.id)
  end)

  it("refuses unknown kinds with a suggestion", function()
    assert.has_error(function() errors.new("ValidatonError", "x") end,
      "unknown error kind ValidatonError (did you mean 'ValidationError'?)")
    assert.has_error(function() errors.is(nil, "Nonsense") end)
    assert.has_error(function() errors.wrap("Nonsense", "x") end)
  end)
end)

describe("errors.is", function()
  it("is true for the kind and for PersistenceError, which is the base of all", function()
    for _, kind in ipairs(errors.kinds()) do
      local err = errors.new(kind, "x")
      assert.is_true(errors.is(err, kind))
      assert.is_true(errors.is(err, "PersistenceError"))
      assert.is_true(errors.is(err))
    end
    assert.is_false(errors.is(errors.new("TimeoutError", "x"), "ConflictError"))
    assert.is_false(errors.is(errors.new("PersistenceError", "x"), "ConflictError"))
  end)

  it("is false for everything that is no error of ours", function()
    for _, value in ipairs({ "text", 1, true, {}, { kind = "TimeoutError" } }) do
      assert.is_false(errors.is(value, "PersistenceError"))
    end
    assert.is_false(errors.is(nil))
  end)

  it("knows the fourteen kinds of the design", function()
    assert.equal(14, #errors.kinds())
  end)
end)

describe("errors.from", function()
  it("keeps an error and wraps anything else", function()
    local err = errors.new("TimeoutError", "x")
    assert.equal(err, errors.from(err))
    local wrapped = errors.from("boom")
    assert.equal("boom", wrapped.message)
    assert.equal("boom", wrapped.cause)
    assert.equal("PersistenceError", errors.from(nil).kind)
  end)
end)

describe("a suggestion", function()
  it("finds the nearest name, case and swapped letters aside", function()
    local names = { "durability", "database", "db_path", "port" }
    assert.equal("durability", suggest.nearest("durabilty", names))
    assert.equal("port", suggest.nearest("prot", names))
    assert.equal("db_path", suggest.nearest("DB_PATH", names))
    assert.equal("port", suggest.nearest("Port", { port = 1, host = 2 }))
  end)

  it("says nothing when nothing is near", function()
    assert.is_nil(suggest.nearest("xyzzy", { "durability", "port" }))
    assert.is_nil(suggest.nearest(("x"):rep(100000), { "port" }))
    assert.equal("", suggest.hint("xyzzy", { "port" }))
  end)
end)
