-- A module's table against a Lua table that does the same: random inserts, updates, patches, deletes and reads, with aborted transactions, nested calls
-- that fail (savepoints), and reopened files. The seed is printed; INNER_UNIVERSE_TEST_SEED runs it again.

local iu = require "inner_universe"
local support = require "support"

local TRANSACTIONS, STEPS = 400, 30
local seed = math.tointeger(os.getenv("INNER_UNIVERSE_TEST_SEED") or "") or iu.now() & 0xffffffff

describe("a module's table", function()
  after_each(support.clean)
  if support.on_server then
    it("is a server's own there", function()
      local conn = support.connect()
      local ok, err = conn:reload()
      assert.is_nil(ok)
      assert.equal("ValidationError", err.kind)
      assert.matches("publish it anew", err.message)
    end)
    return
  end

  local function copy(model)
    local out = {}
    for id, row in pairs(model) do
      local r = {}
      for k, v in pairs(row) do r[k] = v end
      out[id] = r
    end
    return out
  end

  local function by(model, column, value)
    local ids = {}
    for id, row in pairs(model) do
      if row[column] == value then ids[#ids + 1] = id end
    end
    table.sort(ids)
    return ids
  end

  local function ids_of(rows)
    local ids = {}
    for i, row in ipairs(rows) do ids[i] = row.id end
    table.sort(ids)
    return ids
  end

  it(("is what a Lua table would be (seed %d)"):format(seed), function()
    math.randomseed(seed)
    print(("# INNER_UNIVERSE_TEST_SEED=%d"):format(seed))
    local random = math.random
    local model, plan = {}, nil
    local highest, saved = 0, 0 -- numbers drawn: those of undone transactions are used up, but when nothing was committed before a reopen

    local function row(id)
      return { id = id, name = "n" .. random(60), kind = random(3) > 1 and "k" .. random(4) or nil, x = random(100) / 4, n = random(-5, 5) }
    end

    local function taken(m, name, id)
      for other, r in pairs(m) do
        if r.name == name and other ~= id then return true end
      end
      return false
    end

    local function attempt(wanted, fn, ...)
      local ok, err = pcall(fn, ...)
      assert.equal(wanted, ok, tostring(err))
      return err
    end

    local steps = {
      function(t, m) -- insert
        local r = row(random(2) == 1 and random(40) or nil)
        local bad = taken(m, r.name, nil) or r.id ~= nil and m[r.id] ~= nil
        local same = r.id ~= nil and m[r.id] ~= nil
        if same then -- the same row again is no conflict
          same = true
          for _, k in ipairs({ "name", "kind", "x", "n" }) do same = same and m[r.id][k] == r[k] end
          if same then bad = false end
        end
        if r.id == nil then
          local ok, stored = pcall(t.insert, t, r)
          if ok then
            assert.is_false(bad)
            assert.is_true(stored.id > highest)
            highest = stored.id
            m[stored.id] = stored
          elseif not bad then -- a number that somebody has taken by hand
            assert.matches("id = ", stored.message)
          end
        else
          local stored = attempt(not bad, t.insert, t, r)
          if not bad then m[r.id] = stored end
        end
      end,
      function(t, m) -- update
        local r = row(random(40))
        local bad = m[r.id] == nil or taken(m, r.name, r.id)
        attempt(not bad, t.update, t, r)
        if not bad then m[r.id] = r end
      end,
      function(t, m) -- patch
        local id, change = random(40), {}
        if random(2) == 1 then change.x = random(100) / 8 end
        if random(2) == 1 then change.kind = random(2) == 1 and "k" .. random(4) or iu.null end
        if random(5) == 1 then change.name = "n" .. random(60) end
        local bad = m[id] == nil or change.name ~= nil and taken(m, change.name, id)
        attempt(not bad, t.patch, t, id, change)
        if bad then return end
        for k, v in pairs(change) do
          if v == iu.null then m[id][k] = nil else m[id][k] = v end
        end
      end,
      function(t, m) -- delete
        local id = random(40)
        assert.equal(m[id] ~= nil, t:delete(id))
        m[id] = nil
      end,
      function(t, m) -- delete_where
        local kind, n = "k" .. random(4), random(-5, 5)
        local want = 0
        for id, r in pairs(m) do
          if r.kind == kind and r.n == n then
            want = want + 1
            m[id] = nil
          end
        end
        if random(2) == 1 then assert.equal(want, t:delete_where({ kind = kind, n = n }))
        else assert.equal(want, t:delete_where(function(r) return r.kind == kind and r.n == n end)) end
      end,
      function(t, m) -- reads
        local id, kind = random(40), "k" .. random(4)
        local got = t:get(id)
        if m[id] then assert.same(m[id], got) else assert.is_nil(got) end
        assert.same(by(m, "kind", kind), ids_of(t:find("kind", kind)))
        local name = "n" .. random(60)
        local found = t:find("name", name)
        assert.equal(by(m, "name", name)[1], found and found.id)
        local low, high, want, seen = random(0, 20), random(10, 30), 0, {}
        for _, r in pairs(m) do
          if r.x >= low and r.x <= high then want = want + 1 end
        end
        for r in t:range("x", low, high) do seen[#seen + 1] = r.x end
        assert.equal(want, #seen)
        for i = 2, #seen do assert.is_true(seen[i - 1] <= seen[i]) end
      end,
    }

    local function work(t, m, count)
      for _ = 1, count do steps[random(#steps)](t, m) end
    end

    local module = assert(iu.module("model", {
      tables = { t = { columns = { { "id", "u64" }, { "name", "string" }, { "kind", "string?" }, { "x", "f64" }, { "n", "i16" } },
        primary_key = "id", auto_inc = "id", unique = { "name" }, indexes = { { "kind" }, { "x" }, { "kind", "n" } }, public = true } },
      reducers = { run = function(ctx) return plan(ctx) end, nested = function(ctx) return plan(ctx) end },
    }))
    local conn = support.connect({ module = module, subscribe = "all" })

    local function check()
      local rows, want = {}, {}
      for r in conn.tables.t:iter() do rows[r.id] = r end
      for id, r in pairs(model) do want[id] = r end
      assert.same(want, rows)
    end

    for transaction = 1, TRANSACTIONS do
      local m, abort = copy(model), random(4) == 1
      plan = function(ctx)
        local outer, t = plan, ctx.db.t
        work(t, m, random(STEPS))
        if random(2) == 1 then
          local inner, fail = copy(m), random(2) == 1
          plan = function(ctx2)
            work(ctx2.db.t, inner, random(STEPS))
            if fail then error("CONFLICT: inner") end
          end
          local ok, err = pcall(ctx.call, ctx, "nested")
          plan = outer
          if not fail then assert(ok, tostring(err)) elseif not ok then assert.equal("inner", err.message) end
          if ok then m = inner end
          work(t, m, random(STEPS))
        end
        local n = 0
        for r in t:iter() do
          n = n + 1
          assert.same(m[r.id], r)
        end
        local want = 0
        for _ in pairs(m) do want = want + 1 end
        assert.equal(want, n)
        assert.equal(want, t:count())
        if abort then error("VALIDATION: abort") end
      end
      local ok, err = conn:call("run")
      if abort then
        assert.is_nil(ok)
        assert.equal("abort", err.message)
      else
        assert(ok, tostring(err))
        model, saved = m, highest
      end
      if transaction % 20 == 0 then check() end
      if transaction % 100 == 0 then
        conn = support.reopen(conn, { module = module, subscribe = "all" })
        if support.keeps then highest = saved end
      end
    end
    check()
  end)
end)
