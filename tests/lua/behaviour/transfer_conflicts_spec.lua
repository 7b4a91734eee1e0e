-- The plugin `transfer`: rows that cannot be put beside those of the target (the same key and other content, a value that must be unique), and the three ways
-- to settle it.

local iu = require "inner_universe"
local support = require "support"
local world = require "transfer_world"

local E = { tags = iu.array {}, properties = "{}" }

-- Tables of modules in Lua are an embedded universe's.
local embedded = support.on_server and pending or it

local MODULE = assert(iu.module("ranks", {
  tables = {
    rank = {
      columns = { { "id", "u64" }, { "name", "string" }, { "seat", "u256" }, { "room", "string" }, { "note", "string" } }, primary_key = "id",
      unique = { "name", { "seat", "room" } }, public = true,
    },
    keyless = { columns = { { "name", "string" }, { "n", "u8" } }, unique = { "name" }, public = true },
  },
  reducers = {
    put = { params = { { "row", "rank" } }, run = function(ctx, row) ctx.db.rank:insert(row) end },
    put_keyless = { params = { { "row", "keyless" } }, run = function(ctx, row) ctx.db.keyless:insert(row) end },
  },
}))

local LAX = assert(iu.module("ranks", {
  tables = {
    rank = {
      columns = { { "id", "u64" }, { "name", "string" }, { "seat", "u256" }, { "room", "string" }, { "note", "string" } }, primary_key = "id", public = true,
    },
  },
  reducers = { put = { params = { { "row", "rank" } }, run = function(ctx, row) ctx.db.rank:insert(row) end } },
}))

local function plugin_of(config)
  local m = support.owned(assert(iu.open("memory:", { plugins = { transfer = config or true } })))
  return assert(m:plugin("transfer"))
end

local function fresh(options)
  options = options or {}
  options.owner = support.on_server and true or nil
  return support.connect(next(options) and options or nil)
end

-- A universe of ranks by id: their names, or { name, seat }.
local function ranks(names, module)
  local conn = fresh { module = module or MODULE }
  for id, name in pairs(names) do
    local seat = type(name) == "table" and name[2] or id
    assert(conn:call("put", { id = id, name = type(name) == "table" and name[1] or name, seat = iu.wide(tostring(seat)), room = "r", note = "n" .. id }))
  end
  return conn
end

local function names_of(conn)
  local names = {}
  for _, row in ipairs(assert(conn:query("SELECT * FROM rank"))) do names[row.id] = row.name end
  return names
end

local ONLY = { "rank" }

-- The same for a copy and for an import of the source's export: fn(run), where run(to, options) is one of them.
local function each_way(plugin, from, tables, fn)
  local file = support.path() .. ".jsonl"
  assert(plugin:export(from, file, { tables = tables }))
  fn(function(to, options)
    local copy = { tables = tables }
    for key, value in pairs(options) do copy[key] = value end
    return plugin:copy(from, to, copy)
  end)
  fn(function(to, options) return plugin:import(file, to, options) end)
end

describe("rows in conflict", function()
  after_each(support.clean)

  it("of the same key stay as they are in a merge that keeps them, and are told", function()
    local plugin = plugin_of { named_keys = 2 }
    local from = fresh()
    world.fill(from, math.random, 12)
    local ids = {}
    for _, row in ipairs(assert(from:query("SELECT * FROM entity"))) do ids[#ids + 1] = row.id end
    table.sort(ids)
    each_way(plugin, from, { "entity", "relation", "plugin_record" }, function(run)
      local to = fresh()
      for i = 1, 3 do assert(to:call("create_entity", "Theirs", E, ids[i])) end
      assert(to:call("create_entity", "Theirs", E, "theirs"))
      local none, err = run(to, { mode = "merge" })
      assert.is_nil(none)
      assert.equal("ConflictError", err.kind)
      local words = 'rows of the same key that differ: entity: 3 different (%s, %s, ...); conflicts = "keep"'
      assert.truthy(err.message:find(words:format(ids[1], ids[2]), 1, true), err.message)
      assert.equal(4, #assert(to:query("SELECT * FROM entity")))
      local dry = assert(run(to, { mode = "merge", conflicts = "keep", dry_run = true }))
      assert.equal(3, dry.skipped)
      assert.equal(4, #assert(to:query("SELECT * FROM entity")))
      local report = assert(run(to, { mode = "merge", conflicts = "keep", verify = true }))
      assert.same({ 3, 0 }, { report.skipped, report.replaced })
      local list = report.tables.entity.skipped
      assert.equal(3, list.count)
      assert.same({ { key = ids[1], other = ids[1] }, { key = ids[2], other = ids[2] } }, { list.first[1], list.first[2] })
      assert.is_nil(list.first[3])
      assert.equal(ids[1] .. ", " .. ids[2] .. ", ...", list.words)
      assert.is_nil(report.tables.relation.skipped)
      assert.is_true(report.verified.equal)
      assert.equal(3, report.verified.tables.entity.skipped)
      assert.equal(12, report.tables.entity.rows)
      assert.is_true(report.tables.entity.written == nil or report.tables.entity.written == 9) -- an import counts them together
      assert.equal(13, #assert(to:query("SELECT * FROM entity")))
      for i = 1, 3 do assert.equal("Theirs", assert(to:get("entity", ids[i])).entity_type) end
      assert.equal(3, assert(run(to, { mode = "merge", conflicts = "keep", verify = true })).skipped) -- again: the same
      local proof = assert(plugin:verify(from, to, { tables = { "entity", "relation" } }))
      assert.same({ 3, 1 }, { proof.tables.entity.differences.different, proof.tables.entity.differences.extra })
    end)
  end)

  embedded("over a unique value are told with column, value and both keys before anything is written", function()
    local plugin = plugin_of()
    local from = ranks { [1] = "a", [2] = "b\"ä", [3] = { "c", 77 } }
    each_way(plugin, from, ONLY, function(run)
      local to = ranks { [1] = "a", [8] = { "else", 77 }, [9] = "b\"ä" }
      local before = names_of(to)
      for mode, words in pairs { merge = 'conflicts = "keep" leaves the target\'s rows as', overwrite = 'conflicts = "replace" removes the rows in' } do
        local none, err = run(to, { mode = mode })
        assert.is_nil(none)
        assert.equal("ConflictError", err.kind)
        assert.truthy(err.message:find([[values that must be unique are other rows' in the target: rank: 2 in conflict (]], 1, true), err.message)
        assert.truthy(err.message:find([[2 (name = "b\"ä" is 9's)]], 1, true), err.message)
        assert.truthy(err.message:find([[3 (seat, room = 77, "r" is 8's)]], 1, true), err.message)
        assert.truthy(err.message:find(words, 1, true), err.message)
        assert.equal(2, err.details.rank.count)
        assert.same(before, names_of(to))
        assert.equal(0, #assert(to:query("SELECT * FROM plugin_record")))
      end
    end)
  end)

  embedded("over a unique value are left out of a merge that keeps what is there", function()
    local plugin = plugin_of()
    local from = ranks { [1] = "a", [2] = "b", [3] = "c", [4] = "d" }
    each_way(plugin, from, ONLY, function(run)
      local to = ranks { [1] = "a", [4] = { "other", 40 }, [9] = "c" }
      local report = assert(run(to, { mode = "merge", conflicts = "keep", verify = true }))
      assert.same({ "a", "b", nil, "other", [9] = "c" }, names_of(to))
      assert.equal(2, report.skipped)
      assert.equal([[3 (name = "c" is 9's), 4 (differs)]], report.tables.rank.skipped.words)
      assert.same({ "name" }, { report.tables.rank.skipped.first[1].columns[1] })
      assert.is_true(report.verified.equal)
      -- what the proof would not take for an answer: one that went although nothing is in its way
      assert(to:call("remove_rows", "rank", iu.array { "2" }))
      local proof = assert(plugin:verify(from, to, { tables = ONLY }))
      assert.truthy(proof.words:find([[rank: 2 missing (2, 3), 1 extra (9), 1 different (4), 1 in conflict (3 (name = "c" is 9's))]], 1, true), proof.words)
    end)
  end)

  embedded("over a unique value give way to an overwrite that replaces them", function()
    local plugin = plugin_of()
    local from = ranks { [1] = "a", [2] = "b", [3] = { "c", 88 } }
    each_way(plugin, from, ONLY, function(run)
      -- 1 and 2 have swapped; 8 and 9 are in the way of 3, each with another column; 10 is in nobody's
      local to = ranks { [1] = "b", [2] = "a", [8] = { "e", 88 }, [9] = { "c", 99 }, [10] = "theirs" }
      local dry = assert(run(to, { mode = "overwrite", conflicts = "replace", dry_run = true }))
      assert.equal(2, dry.replaced)
      local report = assert(run(to, { mode = "overwrite", conflicts = "replace", verify = true }))
      assert.same({ "a", "b", "c", [10] = "theirs" }, names_of(to))
      assert.same({ 0, 2 }, { report.skipped, report.replaced })
      assert.equal(2, report.tables.rank.replaced.count)
      assert.truthy(report.tables.rank.replaced.words:find([[3 (name = "c" is 9's)]], 1, true), report.tables.rank.replaced.words)
      assert.truthy(report.tables.rank.replaced.words:find([[3 (seat, room = 88, "r" is 8's)]], 1, true), report.tables.rank.replaced.words)
      -- that only swaps is none
      to = ranks { [1] = "b", [2] = "a", [10] = "theirs" }
      report = assert(run(to, { mode = "overwrite", verify = true }))
      assert.equal(0, report.replaced)
      assert.same({ "a", "b", "c", [10] = "theirs" }, names_of(to))
    end)
  end)

  embedded("of a table without a key are found, too", function()
    local plugin = plugin_of()
    local from, to
    local function universe(rows)
      local conn = fresh { module = MODULE }
      for name, n in pairs(rows) do assert(conn:call("put_keyless", { name = name, n = n })) end
      return conn
    end
    local function rows_of(conn)
      local rows = {}
      for _, row in ipairs(assert(conn:query("SELECT * FROM keyless"))) do rows[row.name] = row.n end
      return rows
    end
    from = universe { a = 1, b = 2, c = 3 }
    each_way(plugin, from, { "keyless" }, function(run)
      to = universe { a = 1, b = 9, d = 4 }
      assert.equal(1, assert(run(to, { mode = "merge", conflicts = "keep", verify = true })).skipped)
      assert.same({ a = 1, b = 9, c = 3, d = 4 }, rows_of(to))
      assert.equal(1, assert(run(to, { mode = "overwrite", conflicts = "replace", verify = true })).replaced)
      assert.same({ a = 1, b = 2, c = 3, d = 4 }, rows_of(to))
    end)
  end)

  embedded("over values of any type are found: options, bytes, floats, wide integers", function()
    local plugin = plugin_of()
    local odd = assert(iu.module("odd", {
      tables = {
        odd = {
          columns = { { "id", "u64" }, { "o", "string?" }, { "b", "bytes" }, { "f", "f64" }, { "w", "i256" } }, primary_key = "id",
          unique = { "o", "b", "f", "w" }, public = true,
        },
      },
      reducers = { put = { params = { { "row", "odd" } }, run = function(ctx, row) ctx.db.odd:insert(row) end } },
    }))
    local wide = iu.wide("-170141183460469231731687303715884105728")
    local function universe(...)
      local conn = fresh { module = odd }
      for i, row in ipairs { ... } do
        local id = row[1]
        assert(conn:call("put", { id = id, o = i ~= 1 and "o" .. id or nil, b = row.b or "b" .. id, f = row.f or id, w = row.w or id }))
      end
      return conn
    end
    local from = universe({ 1 }, { 2, b = "\0\255" }, { 3, f = -0.0 }, { 4, w = wide }, { 5, f = 0 / 0 })
    each_way(plugin, from, { "odd" }, function(run)
      local to = universe({ 11 }, { 12, b = "\0\255" }, { 13, f = -0.0 }, { 14, w = wide }, { 15, f = 0 / 0 })
      local report = assert(run(to, { mode = "merge", conflicts = "keep", verify = true }))
      assert.equal([[1 (o = {"none":[]} is 11's), 2 (b = "00ff" is 12's), 3 (f = -0.0 is 13's), ]]
        .. "4 (w = -170141183460469231731687303715884105728 is 14's), 5 (f = NaN is 15's)", report.tables.odd.skipped.words)
      assert.equal(5, assert(run(to, { mode = "overwrite", conflicts = "replace", verify = true })).replaced)
      assert.is_true(assert(plugin:verify(from, to, { tables = { "odd" } })).equal)
    end)
  end)

  embedded("of keys that are no numbers have a name", function()
    local plugin = plugin_of()
    local module = assert(iu.module("floats", {
      tables = { float = { columns = { { "f", "f64" }, { "note", "string" } }, primary_key = "f", public = true } },
      reducers = { put = { params = { { "row", "float" } }, run = function(ctx, row) ctx.db.float:insert(row) end } },
    }))
    local function universe(note)
      local conn = fresh { module = module }
      for _, f in ipairs { 0.0, -0.0, 0 / 0, -1 / 0 } do assert(conn:call("put", { f = f, note = note })) end
      return conn
    end
    local report = assert(plugin:copy(universe "a", universe "b", { tables = { "float" }, mode = "merge", conflicts = "keep", verify = true }))
    local keys = {}
    for key in report.tables.float.skipped.words:gmatch("[^, ]+") do keys[#keys + 1] = key end
    table.sort(keys)
    assert.same({ "-0.0", "-inf", "0.0", "NaN" }, keys)
  end)

  embedded("among the rows of a source that allows what the target does not are told, or left out", function()
    local plugin = plugin_of()
    local from = ranks({ [1] = "a", [2] = "a", [3] = "b" }, LAX)
    each_way(plugin, from, ONLY, function(run)
      for _, mode in ipairs { "new", "merge", "overwrite" } do
        local to = ranks {}
        local none, err = run(to, { mode = mode })
        assert.is_nil(none)
        assert.equal("ConflictError", err.kind)
        assert.truthy(err.message:find([[table `rank`: in conflict: 2 (name = "a" is 1's)]], 1, true), err.message)
      end
      local to = ranks {}
      local report = assert(run(to, { mode = "merge", conflicts = "keep", verify = true }))
      assert.same({ "a", nil, "b" }, names_of(to))
      assert.equal([[2 (name = "a" is 1's)]], report.tables.rank.skipped.words)
    end)
  end)

  embedded("are counted once by a copy that ended early and goes on", function()
    local plugin = plugin_of { checkpoint_rows = 1 }
    local names, theirs = {}, {}
    for id = 1, 2500 do names[id] = "n" .. id end
    for id = 1, 2500, 100 do theirs[5000 + id] = "n" .. id end
    local from = ranks(names)
    each_way(plugin, from, ONLY, function(run)
      local to, rounds = ranks(theirs), 0
      local report
      repeat
        local seen = 0
        report = run(to, { mode = "merge", conflicts = "keep", verify = true, progress = function(info)
          seen = seen + 1
          if seen == 1 + rounds and info.rows < 2500 then error("stopped") end
        end })
        rounds = rounds + 1
      until report
      assert.is_true(report.resumed and rounds > 1)
      assert.equal(25, report.skipped)
      assert.equal(25, report.verified.tables.rank.skipped)
      assert.equal(2500, #assert(to:query("SELECT * FROM rank")))
      -- one with another way goes on, too
      to = ranks(theirs)
      assert.is_nil((run(to, { mode = "overwrite", conflicts = "replace", progress = function() error("stopped") end })))
      report = assert(run(to, { mode = "overwrite", conflicts = "replace", verify = true }))
      assert.same({ true, 25 }, { report.resumed, report.replaced })
      assert.equal(2500, #assert(to:query("SELECT * FROM rank")))
    end)
  end)

  embedded("that come up while a copy is away are told when it goes on, and settled by giving it a way", function()
    local plugin = plugin_of { checkpoint_rows = 1 }
    local names = {}
    for id = 1, 2500 do names[id] = "n" .. id end
    local from = ranks(names)
    for mode, way in pairs { merge = "keep", overwrite = "replace" } do
      each_way(plugin, from, ONLY, function(run)
        local to = ranks {}
        assert.is_nil((run(to, { mode = mode, progress = function() error("stopped") end })))
        assert(to:call("put", { id = 9999, name = "n2400", seat = 9999, room = "r", note = "theirs" }))
        local none, err = run(to, { mode = mode })
        assert.is_nil(none)
        assert.equal("ConflictError", err.kind)
        assert.truthy(err.message:find([[2400 (name = "n2400" is 9999's)]], 1, true), err.message)
        assert.truthy(err.message:find(('; conflicts = "%s"'):format(way), 1, true), err.message)
        local report = assert(run(to, { mode = mode, conflicts = way, verify = true }))
        assert.same({ true, 1 }, { report.resumed, way == "keep" and report.skipped or report.replaced })
        local found = names_of(to)
        assert.equal(way == "keep" and "n2400" or nil, found[9999])
        assert.equal(way == "replace" and "n2400" or nil, found[2400])
      end)
    end
  end)

  it("are settled in one of three ways, each with its mode", function()
    local plugin, from = plugin_of(), fresh()
    local function refused(text, options)
      local none, err = plugin:copy(from, support.path() .. ".universe", options)
      assert.is_nil(none)
      assert.equal("ValidationError", err.kind)
      assert.truthy(err.message:find(text, 1, true), err.message)
    end
    refused([[conflicts: "refuse", "keep" or "replace" expected, got 'skip']], { conflicts = "skip", mode = "merge" })
    refused([[conflicts: "keep" only with mode = "merge"]], { conflicts = "keep" })
    refused([[conflicts: "keep" only with mode = "merge"]], { conflicts = "keep", mode = "overwrite" })
    refused([[conflicts: "replace" only with mode = "overwrite"]], { conflicts = "replace", mode = "merge" })
  end)
end)
