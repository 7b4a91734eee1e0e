-- Subscriptions of a bare connection: what the view holds, what callbacks hear and when, sessions beside each other, permissions.

local iu = require "inner_universe"
local support = require "support"

local BOB, EVE = ("b0"):rep(32), ("ee"):rep(32)
local NO_METADATA = { name = nil, description = nil, tags = {}, properties = "{}" }

local function metadata(name, properties)
  return { name = name, description = nil, tags = {}, properties = properties or "{}" }
end

describe("subscriptions", function()
  local conn, heard
  before_each(function()
    conn = support.connect()
    heard = {}
  end)
  after_each(support.clean)

  local function make(id, entity_type, name)
    assert(conn:call("create_entity", entity_type or "T", metadata(name), id))
  end

  local function watch(c, name)
    name = name or "entity"
    local t = c.tables[name]
    return {
      t:on_insert(function(row, event) heard[#heard + 1] = { "+" .. row.id, row, event } end),
      t:on_update(function(new, old, event) heard[#heard + 1] = { "~" .. new.id, new, event, old } end),
      t:on_delete(function(row, event) heard[#heard + 1] = { "-" .. row.id, row, event } end),
    }
  end

  local function said()
    local list = {}
    for i, each in ipairs(heard) do list[i] = type(each) == "table" and each[1] or each end
    heard = {}
    return table.concat(list, " ")
  end

  local function ids(iterator, ...)
    local list = {}
    for row in iterator, ... do list[#list + 1] = row.id end
    return table.concat(list, " ")
  end

  it("hold nothing before one is made", function()
    make "a"
    assert.equal(0, conn.tables.entity:count())
    assert.is_nil(conn.tables.entity:get("a"))
    assert.equal("", ids(conn.tables.entity:iter()))
    assert.equal(1, #conn:query("SELECT * FROM entity"))
  end)

  it("of a whole table hold all rows, now and from now on", function()
    make "a"
    watch(conn)
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    assert.is_true(sub:wait())
    assert.is_true(sub:is_active())
    assert.equal("+a", said())
    make "b"
    assert(conn:call("update_entity", "a", metadata "x"))
    assert(conn:call("delete_entity", "b", false))
    assert.equal("+b ~a -b", said())
    assert.equal("a", ids(conn.tables.entity:iter()))
    assert.equal("x", conn.tables.entity:get("a").metadata.name)
    assert.is_nil(conn.tables.entity:get("b"))
    assert.equal(1, conn.tables.entity:count())
  end)

  it("tell what changed and who did it", function()
    watch(conn)
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local before = iu.now()
    make("a", "T", "one")
    local event = heard[1][3]
    assert.equal("create_entity", event.reducer)
    assert.is_true(event.own)
    assert.equal(conn:identity(), event.caller)
    assert.equal(conn:connection_id(), event.connection_id)
    assert.is_true(event.timestamp >= before and event.timestamp <= iu.now())
    assert.equal("T", event.args[1] or event.args.entity_type)
    assert.equal(event.timestamp, heard[1][2].created_at)
    said()
    local first = event
    assert(conn:call("update_entity", "a", metadata "two"))
    assert.same({ "update_entity", "create_entity" }, { heard[1][3].reducer, first.reducer })
    assert.same({ "two", "one" }, { heard[1][2].metadata.name, heard[1][4].metadata.name })
    said()
    local late = support.session(conn, BOB)
    watch(late)
    assert(late:subscribe("SELECT * FROM entity"):wait())
    support.wait_until(function() return #heard == 1 end)
    assert.is_true(heard[1][3].subscribed)
    assert.is_nil(heard[1][3].reducer)
    said()
    assert(conn:call("update_entity", "a", metadata "three"))
    support.wait_until(function() return #heard == 2 end)
    table.sort(heard, function(x, y) return tostring(x[3].own) > tostring(y[3].own) end)
    assert.is_true(heard[1][3].own)
    assert.is_false(heard[2][3].own)
    local caller = heard[2][3].caller -- the newer protocols of a server do not say who else
    if not (support.on_server and caller == nil) then assert.equal(conn:identity(), caller) end
    late:close()
  end)

  it("with WHERE hold what matches; crossing the edge is an insert or a delete, staying inside an update", function()
    make("a", "In")
    make("b", "Out")
    watch(conn)
    assert(conn:subscribe("SELECT * FROM entity WHERE entity_type = 'In'"):wait())
    assert.equal("+a", said())
    make("c", "In")
    make("d", "Out")
    assert(conn:call("update_entity", "a", metadata "x"))
    assert(conn:call("update_entity", "b", metadata "x"))
    assert(conn:call("delete_entity", "b", false))
    assert(conn:call("delete_entity", "c", false))
    assert.equal("+c ~a -c", said())
    assert.equal("a", ids(conn.tables.entity:iter()))

    local kept = conn.tables.plugin_record
    kept:on_insert(function(row) heard[#heard + 1] = "+" .. row.value end)
    kept:on_update(function(new, old) heard[#heard + 1] = "~" .. old.value .. new.value end)
    kept:on_delete(function(row) heard[#heard + 1] = "-" .. row.value end)
    assert(conn:subscribe("SELECT * FROM plugin_record WHERE value >= '5'"):wait())
    for _, value in ipairs { "1", "2", "5", "7", "3", "9" } do assert(conn:call("put_record", "k", value, nil, nil)) end
    assert(conn:call("delete_record", "k", nil))
    assert.equal("+5 ~57 -7 +9 -9", said())
    assert.equal(0, kept:count())
  end)

  it("that overlap are counted: a row goes when the last one that holds it goes", function()
    make("a", "X")
    make("b", "Y")
    watch(conn)
    local all = assert(conn:subscribe("SELECT * FROM entity"))
    local some = assert(conn:subscribe({ "SELECT * FROM entity WHERE entity_type = 'X'", "SELECT * FROM entity WHERE id = 'a'" }))
    assert(all:wait() and some:wait())
    assert.equal("+a +b", said())
    assert.is_true(all:unsubscribe())
    support.wait_until(function() return #heard > 0 end)
    assert.is_true(heard[1][3].subscribed)
    assert.equal("-b", said())
    assert.equal("a", ids(conn.tables.entity:iter()))
    make("c", "X")
    make("d", "Y")
    assert.equal("+c", said())
    assert.is_true(all:unsubscribe())
    assert.is_false(all:is_active())
    assert(some:unsubscribe())
    support.wait_until(function() return #heard >= 2 end)
    assert.is_true(({ ["-a -c"] = true, ["-c -a"] = true })[said()]) -- in no order
    assert.equal(0, conn.tables.entity:count())
    make("e", "X")
    assert.equal("", said())
  end)

  it("a model of counted sets agrees after many random steps", function()
    local seed = os.time()
    local state = seed
    local function random(n)
      state = (state * 6364136223846793005 + 1442695040888963407) & math.maxinteger
      return (state >> 33) % n
    end
    local rows, subs, view = {}, {}, {}
    local queries = {
      { "SELECT * FROM entity", function() return true end }, { "SELECT * FROM entity WHERE entity_type = 'A'", function(t) return t == "A" end },
      { "SELECT * FROM entity WHERE entity_type != 'A'", function(t) return t ~= "A" end },
      { "SELECT * FROM entity WHERE entity_type = 'B' OR id < 'e5'", function(t, id) return t == "B" or id < "e5" end },
      { "SELECT * FROM entity WHERE id > 'e3' AND id <= 'e7'", function(_, id) return id > "e3" and id <= "e7" end },
    }
    conn.tables.entity:on_insert(function(row) assert(not view[row.id], "inserted twice") view[row.id] = row.entity_type end)
    conn.tables.entity:on_delete(function(row) assert(view[row.id], "deleted twice") view[row.id] = nil end)
    for step = 1, 600 do
      local id = "e" .. random(10)
      local what = random(10)
      if what < 4 then
        if rows[id] then
          assert(conn:call("delete_entity", id, false))
          rows[id] = nil
        else
          rows[id] = ({ "A", "B", "C" })[random(3) + 1]
          make(id, rows[id])
        end
      elseif what < 6 and rows[id] then
        assert(conn:call("update_entity", id, metadata(tostring(step))))
      elseif what < 8 and #subs < 6 then
        local query = queries[random(#queries) + 1]
        local sub = assert(conn:subscribe(query[1]))
        assert(sub:wait())
        subs[#subs + 1] = { sub, query[2] }
      elseif #subs > 0 then
        assert(table.remove(subs, random(#subs) + 1)[1]:unsubscribe())
        support.settle(conn)
      end
      local expected, count = {}, 0
      for each, entity_type in pairs(rows) do
        for _, sub in ipairs(subs) do
          if sub[2](entity_type, each) then expected[each] = entity_type end
        end
      end
      for _ in pairs(expected) do count = count + 1 end
      assert.same(expected, view, ("seed %d step %d"):format(seed, step))
      assert.equal(count, conn.tables.entity:count(), ("seed %d step %d"):format(seed, step))
    end
  end)

  it("are applied as a whole: rows first, then on_applied, then later changes", function()
    make "a"
    make "b"
    watch(conn)
    local seen
    local sub = assert(conn:subscribe({ "SELECT * FROM entity", "SELECT * FROM config" }, {
      on_applied = function(s)
        heard[#heard + 1] = "applied"
        seen = { s:is_active(), conn.tables.entity:count(), conn.tables.config:count() > 0 }
      end,
    }))
    assert(sub:wait())
    make "c"
    assert.equal("+a +b applied +c", said())
    assert.same({ true, 2, true }, seen)
  end)

  it("a callback sees its own transaction whole and never the next; query sees the latest", function()
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local counts = {}
    conn.tables.entity:on_insert(function(row)
      counts[#counts + 1] = ("%s view %d latest %d"):format(row.id, conn.tables.entity:count(), #conn:query("SELECT * FROM entity"))
      if row.id == "a1" then
        make "b1"
        if not support.on_server then assert.is_nil(conn.tables.entity:get("b1")) end -- waiting for a server lets the next message come
        assert.equal("b1", conn:get("entity", "b1").id)
      end
    end)
    local create = {}
    for i = 1, 3 do create[i] = { tag = "CreateEntity", value = { entity_type = "T", metadata = NO_METADATA, id = "a" .. i } } end
    assert(conn:call("transact", create, nil))
    support.wait_until(function() return #counts == 4 end)
    local latest = support.on_server and 3 or 4 -- on a server b1 is still on its way
    local expected = { "a1 view 3 latest 3", "a2 view 3 latest %d", "a3 view 3 latest %d", "b1 view 4 latest 4" }
    for i, text in ipairs(expected) do expected[i] = text:format(latest) end
    assert.same(expected, counts)
  end)

  it("a table may change while it is iterated: the loop sees what there was", function()
    for i = 1, 20 do make(("e%02d"):format(i)) end
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local seen = {}
    for row in conn.tables.entity:iter() do
      seen[#seen + 1] = row.id
      assert(conn:call("delete_entity", row.id, false))
      make("new" .. #seen)
      if #seen > 100 then break end
    end
    assert.equal(20, #seen)
    assert.equal("e01", seen[1])
    assert.equal("e20", seen[20])
    assert.equal(20, conn.tables.entity:count())
    assert.is_nil(conn.tables.entity:get("e01"))
    for row in conn.tables.entity:range("entity_type", "T", "T") do
      assert(conn:call("delete_entity", row.id, false))
    end
    assert.equal(0, conn.tables.entity:count())
  end)

  it("indexes find and range, in both directions", function()
    for i = 1, 5 do make("e" .. i, i % 2 == 0 and "Even" or "Odd") end
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local t = conn.tables.entity
    assert.equal("e3", t:find("id", "e3").id)
    assert.is_nil(t:find("id", "nope"))
    assert.same({ "e2", "e4" }, support.pluck(t:find("entity_type", "Even"), "id"))
    assert.same({}, t:find("entity_type", "Nothing"))
    assert.equal("e2 e3 e4", ids(t:range("id", "e2", "e4")))
    assert.equal("e4 e3 e2", ids(t:range("id", "e2", "e4", true)))
    assert.equal("e3 e4 e5", ids(t:range("id", "e3")))
    assert.equal("e1 e2", ids(t:range("id", nil, "e2")))
    assert.equal("", ids(t:range("id", "e4", "e2")))
    assert.equal("e5 e4 e3 e2 e1", ids(t:range("created_at", nil, nil, true)))
    support.refused("ValidationError", nil, select(2, t:find("nope", 1)), "nope")
    support.refused("ValidationError", nil, select(2, t:get(5)), "id")
    support.raises_here(function() t:get(nil) end, "get", "key")
    support.raises_here(function() t:find("id", nil) end, "find", "key")
    support.raises_here(function() return conn.tables.entitty end, "entitty", "entity")
  end)

  it("that cannot be made are refused with the reason", function()
    local function bad(sql, ...)
      support.refused("ValidationError", nil, select(2, support.try_subscribe(conn, sql)), ...)
    end
    bad("SELECT * FROM entitty", "entitty")
    bad("SELECT * FROM entity WHERE typ = 'x'", "typ")
    bad("SELECT id FROM entity")
    bad("SELECT * FROM entity WHERE created_at = 'x'")
    if not support.on_server then bad("SELECT * FROM entity e JOIN relation r ON e.id = r.from_entity", "join") end
    bad("DELETE FROM entity")
    bad("")
    bad({})
    bad({ "SELECT * FROM entity", 5 }, "queries[2]")
    bad({ "SELECT * FROM entity", "nonsense" })
    assert.equal(0, conn.tables.entity:count())
    make "a"
    assert.equal(0, conn.tables.entity:count())
    support.refused("ValidationError", nil, select(2, conn:subscribe("SELECT * FROM entity", { on_aplied = print })), "on_aplied", "on_applied")
    support.raises_here(function() conn:subscribe(5) end, "subscribe", "queries")
    support.raises_here(function() conn:subscribe("SELECT * FROM entity", { on_applied = 5 }) end, "on_applied")
    support.raises_here(function() conn.tables.entity:on_insert(5) end, "on_insert", "fn")
  end)

  it("of a join hold a row for as long as it has a partner", function()
    make("ada", "Person")
    make("acme", "Company")
    watch(conn)
    local sub = assert(conn:subscribe("SELECT e.* FROM relation r JOIN entity e ON r.from_entity = e.id WHERE r.relation_type = 'WORKS_FOR'"))
    assert.is_true(sub:wait())
    assert.equal("", said())
    local link = { tags = {}, strength = 0.5, bidirectional = false, properties = "{}" }
    assert(conn:call("create_relation", "ada", "acme", "WORKS_FOR", link, "r1"))
    assert(conn:call("create_relation", "ada", "acme", "WORKS_FOR", link, "r2"))
    assert.equal("+ada", said())
    assert(conn:call("delete_relation", "r1"))
    assert.equal("ada", ids(conn.tables.entity:iter()))
    assert(conn:call("delete_relation", "r2"))
    assert.equal("-ada", said())
    assert.equal(0, conn.tables.entity:count())
    assert(sub:unsubscribe())
  end)

  it("a callback that raises is reported; the others hear all", function()
    watch(conn)
    conn.tables.entity:on_insert(function() error("broken on purpose") end)
    watch(conn)
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    make "a"
    assert.equal("+a +a", said())
    local reported = support.take_reported()
    assert.equal(1, #reported)
    assert.is_truthy(tostring(reported[1].err):find("broken on purpose", 1, true))
  end)

  it("a callback that waits, yields or raises holds up neither the row's others nor later rows; each hears each row once", function()
    for i = 1, 3 do make("r" .. i) end
    local t = conn.tables.entity
    local function note(text) heard[#heard + 1] = text end
    t:on_insert(function(row)
      note("a" .. row.id)
      iu.sleep(0.02)
      note("A" .. row.id)
    end)
    t:on_insert(function(row)
      note("b" .. row.id)
      if row.id == "r2" then error("of r2") end
      coroutine.yield()
      note("B" .. row.id)
    end)
    local handle
    handle = t:on_insert(function(row)
      note("c" .. row.id)
      if row.id == "r2" then handle:cancel() end
    end)
    iu.run(function()
      assert(conn:subscribe("SELECT * FROM entity"):wait())
    end)
    assert.equal(1, #support.take_reported())
    local calls, ends = {}, {}
    for _, text in ipairs(heard) do
      local list = text:match("^%l") and calls or ends
      list[#list + 1] = text
    end
    heard = {}
    table.sort(ends)
    -- Servers tell the rows of a set in an order of their own.
    local order = {}
    for _, text in ipairs(calls) do
      if text:match("^a") then order[#order + 1] = text:sub(2) end
    end
    local expected, over = {}, false
    for _, id in ipairs(order) do
      for _, name in ipairs(over and { "a", "b" } or { "a", "b", "c" }) do expected[#expected + 1] = name .. id end
      over = over or id == "r2"
    end
    assert.equal(3, #order)
    assert.same(expected, calls)
    assert.same({ "Ar1", "Ar2", "Ar3", "Br1", "Br3" }, ends)
  end)

  it("a callback that closes its own connection ends it cleanly, in the middle of a transaction", function()
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local calls = 0
    conn.tables.entity:on_insert(function(row)
      calls = calls + 1
      assert.is_string(row.id)
      assert(conn:close())
      assert.is_true(conn:is_closed())
    end)
    watch(conn)
    local create = {}
    for i = 1, 50 do create[i] = { tag = "CreateEntity", value = { entity_type = "T", metadata = NO_METADATA, id = "a" .. i } } end
    conn:call("transact", create, nil)
    support.wait_until(function() return conn:is_closed() end)
    assert.equal(1, calls)
    support.raises_here(function() conn:call("create_entity", "T", NO_METADATA, "x") end, "closed")
    if support.on_file then
      conn = support.reopen(conn)
      assert.equal(50, #conn:query("SELECT * FROM entity"), "what was committed is there")
    end
  end)

  it("a callback that closes the session next to it, or unsubscribes itself", function()
    local other = support.session(conn, BOB)
    assert(other:subscribe("SELECT * FROM entity"):wait())
    other.tables.entity:on_insert(function() heard[#heard + 1] = "other" end)
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    assert(sub:wait())
    conn.tables.entity:on_insert(function(row)
      heard[#heard + 1] = row.id
      assert(sub:unsubscribe())
      assert(other:close())
    end)
    make "a"
    make "b"
    support.wait_until(function() return other:is_closed() end)
    iu.sleep(0.005)
    assert.equal("a", (said():gsub(" ?other ?", "")))
    assert.equal(0, conn.tables.entity:count())
  end)

  it("handlers that are cancelled hear nothing; a table without any costs nothing", function()
    local handles = watch(conn)
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    for _, handle in ipairs(handles) do assert.is_true(handle:cancel()) end
    make "a"
    assert.equal("", said())
    watch(conn)
    make "b"
    assert.equal("+b", said())
  end)

  it("unsubscribing before it is applied, twice, and after close", function()
    make "a"
    watch(conn)
    local sub = assert(conn:subscribe("SELECT * FROM entity"))
    assert(sub:unsubscribe())
    assert(sub:unsubscribe())
    iu.sleep(0.005)
    assert.equal(0, conn.tables.entity:count())
    local net = 0
    for _, each in ipairs(heard) do net = net + (each[1]:sub(1, 1) == "+" and 1 or -1) end
    assert.equal(0, net)
    support.refused("ConnectionError", sub:wait())
    local last = assert(conn:subscribe("SELECT * FROM entity"))
    assert(conn:close())
    assert(last:unsubscribe())
    assert.is_false(last:is_active())
  end)

  it("subscribe = \"all\" holds every public table at once", function()
    local c = support.connect { subscribe = "all" }
    assert(c:call("create_entity", "T", NO_METADATA, "a"))
    assert.equal(1, c.tables.entity:count())
    assert.is_true(c.tables.config:count() > 0)
    assert.is_true(c.tables.event_log:count() > 0)
    for name, def in pairs(c:schema().tables) do
      if def.public then assert.equal(#c:query("SELECT * FROM " .. name), c.tables[name]:count(), name) end
    end
    support.refused("ValidationError", nil, select(2, iu.connect("memory:", { subscribe = "everything" })), "everything")
    support.refused("ValidationError", nil, select(2, iu.connect("memory:", { subscribe = { "SELECT * FROM nope" } })), "nope")
  end)

  it("iu.step delivers within its budget, in order, until all is told", function()
    assert(conn:subscribe("SELECT * FROM entity"):wait())
    local order = {}
    conn.tables.entity:on_insert(function(row)
      order[#order + 1] = row.id
      local until_then = os.clock() + 0.0005
      while os.clock() < until_then do end -- luacheck: ignore 542
    end)
    local other = support.session(conn, BOB)
    local create = {}
    for i = 1, 60 do create[i] = { tag = "CreateEntity", value = { entity_type = "T", metadata = NO_METADATA, id = ("a%03d"):format(i) } } end
    local steps = 0
    if support.on_server then -- waiting for an answer would deliver without a budget
      assert(other:send("transact", create, nil))
      while #order == 0 and steps < 100000 do
        iu.step(2)
        steps = steps + 1
      end
      steps = 0
    else
      assert(other:call("transact", create, nil))
    end
    while #order < 60 do
      local before = #order
      iu.step(2)
      steps = steps + 1
      assert.is_true(#order - before < 30, "one step took " .. (#order - before))
      assert.is_true(steps < 200)
    end
    assert.is_true(steps >= 3, "all was told in " .. steps .. " steps")
    for i = 1, 60 do assert.equal(("a%03d"):format(i), order[i]) end
    other:close()
  end)
end)

describe("sessions", function()
  local conn
  before_each(function() conn = support.connect() end)
  after_each(support.clean)

  it("have an identity, a view and subscriptions of their own", function()
    local bob, someone = support.session(conn, BOB), assert(conn:session())
    if not support.on_server then assert.equal(BOB, bob:identity()) end
    assert.equal(64, #someone:identity())
    assert.not_equal(conn:identity(), someone:identity())
    assert.is_true(conn:is_owner())
    assert.is_false(bob:is_owner())
    assert.not_equal(conn:connection_id(), bob:connection_id())
    assert(bob:subscribe("SELECT * FROM entity"):wait())
    assert(conn:call("create_entity", "T", NO_METADATA, "a"))
    support.wait_until(function() return bob.tables.entity:count() == 1 end)
    assert.equal(0, conn.tables.entity:count())
    assert.equal(3 + support.host_sessions, #conn:query("SELECT * FROM client_connection WHERE status = 'connected'"))
    assert(bob:close())
    assert.is_false(conn:is_closed())
    assert(conn:call("create_entity", "T", NO_METADATA, "b"))
    assert(conn:close())
    if support.on_server then -- nobody else's connection ends with one's own
      assert.equal(2, #assert(someone:query("SELECT * FROM entity")))
      assert(someone:close())
    end
    assert.is_true(someone:is_closed())
    support.raises_here(function() someone:query("SELECT * FROM entity") end, "closed")
  end)

  it("want 64 hex digits", function()
    if support.on_server then
      support.refused("ValidationError", nil, select(2, conn:session { identity = BOB }), "identity", "embedded")
      support.refused("ValidationError", nil, select(2, conn:session { tokn = "x" }), "tokn", "token")
      support.refused("AuthorizationError", nil, select(2, conn:session { token = "nonsense" }))
      support.raises_here(function() conn:session { token = 5 } end, "token")
      return
    end
    support.refused("ValidationError", nil, select(2, conn:session { identity = "xyz" }), "identity", "64")
    support.refused("ValidationError", nil, select(2, conn:session { identity = ("g"):rep(64) }), "identity")
    support.refused("ValidationError", nil, select(2, conn:session { idntity = BOB }), "idntity", "identity")
    support.raises_here(function() conn:session { identity = 5 } end, "identity")
  end)

  it("outlive the program's hold on the connection they came from", function()
    local target = support.target()
    local bob = support.session(assert(iu.connect(target)), BOB)
    collectgarbage()
    collectgarbage()
    assert.is_false(bob:is_closed())
    assert(bob:call("create_entity", "T", NO_METADATA, "a"))
    assert.equal(1, #bob:query("SELECT * FROM entity"))
    bob:close()
  end)

  it("see no private table, the owner does", function()
    local bob = support.session(conn, BOB)
    assert(conn:call("grant", bob:identity(), "create_entity", "*"))
    assert.equal(2, #conn:query("SELECT * FROM permission")) -- the rule and its counter
    local missing = support.refused("ValidationError", nil, select(2, bob:query("SELECT * FROM nothing_like_it")))
    for _, name in ipairs { "permission", "applied_request" } do
      support.refused("ValidationError", nil, select(2, bob:query("SELECT * FROM " .. name)), name)
      support.refused("ValidationError", nil, select(2, support.try_subscribe(bob, "SELECT * FROM " .. name)), name)
      support.refused("ValidationError", nil, select(2, bob:get(name, "x")), name)
      support.refused("ValidationError", nil, select(2, bob:select(name, {})), name)
    end
    assert.is_string(missing.message)
  end)

  it("are permitted everything until a rule for the action exists, then only its holders and the owner", function()
    local bob, eve = support.session(conn, BOB), support.session(conn, EVE)
    assert(eve:call("create_entity", "T", NO_METADATA, "before"))
    assert(conn:call("grant", bob:identity(), "create_entity", "T"))
    local census = support.census(conn)
    local err = support.refused("AuthorizationError", nil, select(2, eve:call("create_entity", "T", NO_METADATA, "no")), "create_entity", '"T"', eve:identity())
    assert.is_false(err.retryable)
    support.refused("AuthorizationError", nil, select(2, bob:call("create_entity", "Other", NO_METADATA, "no")), "Other")
    local wrapped = { { tag = "CreateEntity", value = { entity_type = "T", metadata = NO_METADATA, id = "no" } } }
    support.refused("AuthorizationError", nil, select(2, eve:call("transact", wrapped, nil)))
    assert.equal(census, support.census(conn))
    assert(bob:call("create_entity", "T", NO_METADATA, "bobs"))
    assert(conn:call("create_entity", "Other", NO_METADATA, "owners"))
    assert(eve:call("delete_entity", "before", false)) -- no rule for that
    assert(conn:call("revoke", bob:identity(), "create_entity", "T"))
    assert(eve:call("create_entity", "T", NO_METADATA, "free again"))
  end)

  it("hold roles, and prefixes of subjects", function()
    local bob, eve = support.session(conn, BOB), support.session(conn, EVE)
    assert(conn:call("grant", "role:editor", "create_entity", "doc:*"))
    assert(conn:call("grant", bob:identity(), "role", "editor"))
    assert(bob:call("create_entity", "doc:letter", NO_METADATA, "1"))
    support.refused("AuthorizationError", nil, select(2, bob:call("create_entity", "picture", NO_METADATA, "2")))
    support.refused("AuthorizationError", nil, select(2, eve:call("create_entity", "doc:letter", NO_METADATA, "3")))
    assert(conn:call("revoke", bob:identity(), "role", "editor"))
    support.refused("AuthorizationError", nil, select(2, bob:call("create_entity", "doc:letter", NO_METADATA, "4")))
  end)

  it("may not grant, revoke, configure, prune or migrate unless they are the owner's", function()
    local bob = support.session(conn, BOB)
    local census = support.census(conn)
    support.refused("AuthorizationError", nil, select(2, bob:call("grant", bob:identity(), "create_entity", "*")))
    support.refused("AuthorizationError", nil, select(2, bob:call("revoke", bob:identity(), "create_entity", "*")))
    support.refused("AuthorizationError", nil, select(2, bob:call("update_config", "k", "v", "")))
    support.refused("AuthorizationError", nil, select(2, bob:call("prune_versions", {}, {}, {})))
    support.refused("AuthorizationError", nil, select(2, bob:call("prune_events", nil, nil, nil, nil, {}, 10)))
    support.refused("AuthorizationError", nil, select(2, bob:call("record_migration", "1", "n", "c", "applied", 0, "", "", 0)))
    assert.equal(census, support.census(conn))
    for _, lifecycle in ipairs { "init", "client_connected", "client_disconnected" } do
      local ok, err = bob:call(lifecycle)
      assert.is_nil(ok)
      assert.is_true(iu.errors.is(err))
      assert.is_nil((conn:call(lifecycle)))
    end
    assert.equal(census, support.census(conn))
  end)
end)
