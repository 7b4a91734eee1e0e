-- Event tables beside `subscribe = "all"`: v1 servers refuse any set of queries that has one, and do not say which it is. A stand-in for the connection
-- answers as they do; which tables are subscribed in the end is what counts.

local connect = require "inner_universe.connect"
local errors = require "inner_universe.errors"

local REFUSAL = "Subscribing to event tables requires WebSocket v2. Please upgrade your client SDK and regenerate your module bindings."

-- A connection that refuses queries by `refusals[query]`, and counts what it was asked and what it took.
local function stand_in(tables, refusals)
  local conn = { asked = 0, taken = {}, watched = 0 }
  function conn.schema() return { tables = tables } end
  function conn.on_state()
    conn.watched = conn.watched + 1
    return { cancel = function() conn.watched = conn.watched - 1 end }
  end
  function conn:subscribe(queries, options)
    self.asked = self.asked + 1
    local refusal
    for _, query in ipairs(queries) do refusal = refusal or refusals[query] end
    if refusal then
      options.on_error(errors.new("ValidationError", refusal))
      return { wait = function() return nil, errors.new("ValidationError", refusal) end }
    end
    for _, query in ipairs(queries) do self.taken[#self.taken + 1] = query end
    return { wait = function() return true end }
  end
  return conn
end

local PUBLIC = { public = true }
local TABLES = { a = PUBLIC, b = PUBLIC, shout = PUBLIC, hidden = { public = false }, seen = { public = true, view = true } }

describe("subscribing all tables", function()
  it("asks once where nothing is refused", function()
    local conn = stand_in(TABLES, {})
    assert.is_true(connect.subscribe_all(conn))
    assert.equal(1, conn.asked)
    assert.same({ 'SELECT * FROM "a"', 'SELECT * FROM "b"', 'SELECT * FROM "shout"' }, conn.taken)
  end)

  it("leaves event tables out where the server refuses them", function()
    local conn = stand_in(TABLES, { ['SELECT * FROM "shout"'] = REFUSAL })
    assert.is_true(connect.subscribe_all(conn))
    assert.same({ 'SELECT * FROM "a"', 'SELECT * FROM "b"' }, conn.taken)
    assert.equal(0, conn.watched)
  end)

  it("asks once more where the schema tells which they are", function()
    local tables = { a = PUBLIC, b = PUBLIC, shout = { public = true, event = true } }
    local conn = stand_in(tables, { ['SELECT * FROM "shout"'] = REFUSAL })
    assert.is_true(connect.subscribe_all(conn))
    assert.equal(2, conn.asked)
    assert.same({ 'SELECT * FROM "a"', 'SELECT * FROM "b"' }, conn.taken)
    conn = stand_in({ shout = tables.shout }, { ['SELECT * FROM "shout"'] = REFUSAL })
    assert.is_true(connect.subscribe_all(conn))
    assert.equal(1, conn.asked)
  end)

  it("answers any other refusal", function()
    local conn = stand_in(TABLES, { ['SELECT * FROM "b"'] = "no such table: `b`" })
    local ok, err = connect.subscribe_all(conn)
    assert.is_nil(ok)
    assert.equal("no such table: `b`", err.message)
    assert.equal(1, conn.asked)
    conn = stand_in(TABLES, { ['SELECT * FROM "shout"'] = REFUSAL, ['SELECT * FROM "a"'] = "too many rows" })
    -- the whole set is refused for the first of the two reasons that a server finds; asked one by one, the other one is found
    conn.subscribe = (function(inner)
      return function(self, queries, options)
        if #queries > 1 then
          self.asked = self.asked + 1
          return { wait = function() return nil, errors.new("ValidationError", REFUSAL) end }
        end
        return inner(self, queries, options)
      end
    end)(conn.subscribe)
    ok, err = connect.subscribe_all(conn)
    assert.is_nil(ok)
    assert.equal("too many rows", err.message)
  end)

  it("is given up when what comes cannot be read, not when the connection is lost", function()
    local conn = stand_in(TABLES, {})
    local lost, unread = errors.new("ConnectionError", "gone", { retryable = true }), errors.new("ValidationError", "a row cannot be read")
    local hear, answer
    function conn.on_state(_, fn)
      hear = fn
      return { cancel = function() hear = nil end }
    end
    function conn.subscribe()
      return {
        answer = { resolve = function(_, ok, err) answer = { ok, err } end },
        wait = function()
          hear { phase = "disconnected", reason = lost }
          hear { phase = "connecting" }
          assert.is_nil(answer)
          hear { phase = "disconnected", reason = unread }
          return table.unpack(answer, 1, 2)
        end,
      }
    end
    local ok, err = connect.subscribe_all(conn)
    assert.is_nil(ok)
    assert.equal(unread, err)
    assert.is_nil(hear)
  end)

  it("asks for nothing where there is nothing", function()
    local conn = stand_in({}, {})
    assert.is_true(connect.subscribe_all(conn))
    assert.equal(0, conn.asked)
  end)
end)
