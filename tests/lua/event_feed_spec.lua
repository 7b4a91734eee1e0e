-- The event bus's feed: rows that come in any order, twice, or not at all are told once and in order of sequence.

local iu = require "inner_universe"

describe("the feed of the event log", function()
  local told, news, insert, subscriptions, pages, log, feed, last, state, rewound, losses, same_to

  -- Only what the feed uses of its ctx; the rows of the log are those in `pages`.
  local function new_feed(rollover, head, backend)
    told, news, subscriptions, pages, last, rewound, losses, same_to = {}, 0, {}, {}, head or 0, {}, 0, nil
    local conn = {
      on_state = function(_, fn)
        state = function(phase) fn { phase = phase } end
        return { cancel = function() state = nil end }
      end,
      tables = { event_log = { on_insert = function(_, fn)
        insert = fn
        return { cancel = function() insert = nil end }
      end } },
      subscribe = function(_, query)
        local subscription = { query = query, active = true }
        function subscription.is_active() return subscription.active end
        function subscription.unsubscribe() subscription.active = false end
        subscriptions[#subscriptions + 1] = subscription
        return subscription
      end,
    }
    local ctx = {
      conn = conn, is_closed = function() return false end,
      config = { rollover = rollover or 1000 }, settings = { backend = backend or "memory" }, report = error, log = { warn = function() end },
      spawn = function(fn) return iu.spawn(fn) end,
      waiter = function() error("nobody else subscribes") end,
    }
    ctx.waiter = function() return { resolve = function() end, wait = function() return true end } end
    log = {
      head = function() return { sequence = last, count = last, bytes = 0 } end, remember = function() end, forget = function() end,
      common = function(at) return math.min(at, same_to or at) end,
      page = function(after, up_to)
        local rows = {}
        for sequence = after + 1, up_to do rows[#rows + 1] = pages[sequence] end
        return rows, up_to
      end,
    }
    local make = assert(loadfile("plugins/event_bus/feed.lua"))({ load = require })
    feed = make(ctx, log, function(row) told[#told + 1] = row.sequence end, function() news = news + 1 end,
      function() losses = losses + 1 end, function(sequence) rewound[#rewound + 1] = sequence end)
    assert.is_true(feed.start())
  end

  local function come(...)
    for _, sequence in ipairs { ... } do
      pages[sequence] = { sequence = sequence }
      insert(pages[sequence])
    end
  end

  local function turn()
    iu.run(function() iu.sleep(0.001) end)
  end

  it("tells rows in order as they come, and each once", function()
    new_feed()
    come(1, 2, 2, 1, 3)
    assert.same({ 1, 2, 3 }, told)
    assert.equal(3, feed.last())
    assert.is_true(news > 0)
  end)

  it("holds what comes too early until those before it are there", function()
    new_feed()
    come(3, 2)
    assert.same({}, told)
    come(1, 5, 4)
    assert.same({ 1, 2, 3, 4, 5 }, told)
    turn()
    assert.same({ 1, 2, 3, 4, 5 }, told)
  end)

  it("reads from the log what is not told, and goes on over what is not there any more", function()
    new_feed()
    come(1)
    pages[3] = { sequence = 3 } -- in the log, not told; 2 was pruned
    come(5, 4)
    assert.same({ 1 }, told)
    turn()
    assert.same({ 1, 3, 4, 5 }, told)
    come(3, 2)
    come(6)
    assert.same({ 1, 3, 4, 5, 6 }, told)
  end)

  it("begins behind the head, and anew behind the last row after so many", function()
    new_feed(2, 10)
    assert.equal("SELECT * FROM event_log WHERE sequence > 10", subscriptions[1].query)
    come(11, 12, 13)
    assert.equal("SELECT * FROM event_log WHERE sequence > 12", subscriptions[2].query)
    assert.is_false(subscriptions[1].active)
    come(9, 10)
    assert.same({ 11, 12, 13 }, told)
    feed.stop()
    assert.is_nil(insert)
    assert.is_false(subscriptions[#subscriptions].active)
  end)

  it("after a loss tells nothing until it knows where the log goes on, then what was not told", function()
    new_feed(nil, nil, "spacetimedb")
    come(1, 2, 3, 4, 5)
    last = 5
    state("disconnected")
    assert.is_true(feed.is_unsure())
    state("connecting")
    come(6, 8)
    last = 9
    pages[7], pages[9] = { sequence = 7 }, { sequence = 9 }
    assert.same({ 1, 2, 3, 4, 5 }, told)
    state("connected")
    turn()
    assert.is_false(feed.is_unsure())
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, told)
    assert.same({ 1, {}, 1 }, { losses, rewound, #subscriptions })
    come(10)
    assert.equal(10, told[#told])
  end)

  it("goes on behind the last event that is the same where the server has lost some", function()
    new_feed(nil, nil, "spacetimedb")
    come(1, 2, 3, 4, 5)
    state("disconnected")
    last, same_to = 4, 2 -- 3 and 4 are others now
    state("connected")
    turn()
    assert.same({ 1, 2, 3, 4, 5, 3, 4 }, told)
    assert.same({ 2 }, rewound)
    assert.equal("SELECT * FROM event_log WHERE sequence > 2", subscriptions[2].query)
    come(5)
    assert.equal(5, told[#told])
    assert.equal(5, feed.last())
    feed.stop()
    assert.is_nil(state)
  end)

  it("holds only so many rows: the others are read from the log", function()
    new_feed()
    local many = {}
    for sequence = 6000, 2, -1 do many[#many + 1] = sequence end
    for _, sequence in ipairs(many) do come(sequence) end
    assert.same({}, told)
    come(1)
    turn()
    assert.equal(6000, #told)
    for i = 1, 6000 do assert.equal(i, told[i]) end
  end)
end)
