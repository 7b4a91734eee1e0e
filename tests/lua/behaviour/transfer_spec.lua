-- The plugin `transfer`: copies between the backend under test, files and memory, and the proof that they are equal.

local iu = require "inner_universe"
local support = require "support"
local world = require "transfer_world"

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local function transfer(config)
  local m = support.owned(assert(iu.open("memory:", { plugins = { transfer = config or true } })))
  return assert(m:plugin("transfer"))
end

-- A connection on a fresh universe of the backend, as the owner who may read everything.
local function fresh()
  return support.connect(support.on_server and { owner = true } or nil)
end

local function filled(count)
  local conn = fresh()
  world.fill(conn, math.random, count)
  return conn
end

local function file() return support.path() .. ".universe" end

local function same(a, b)
  local left, right = world.rows(a), world.rows(b)
  for _, name in ipairs(world.TABLES) do
    for key, bytes in pairs(left[name]) do
      if right[name][key] ~= bytes then error(("%s %s: %s"):format(name, key, right[name][key] and "another row" or "missing"), 2) end
      right[name][key] = nil
    end
    local extra = next(right[name])
    if extra then error(("%s: %s is extra"):format(name, extra), 2) end
  end
end

describe("a copy", function()
  setup(function()
    print("# transfer_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
  end)
  after_each(support.clean)

  it("brings every row of every table as it was, to a file and back", function()
    local a, plugin = filled(), transfer()
    local path = file()
    local report = assert(plugin:copy(a, path, { verify = true }))
    assert.is_true(report.verified.equal)
    assert.is_false(report.resumed)
    assert.equal(60, report.tables.entity.rows)
    local there = support.connect(nil, path)
    same(a, there)
    support.close(there)
    local b = fresh()
    assert(plugin:copy(path, b, { verify = true }))
    same(a, b)
    local proof = assert(plugin:verify(a, b))
    assert.is_true(proof.equal)
    assert.equal("", proof.words)
    for _, name in ipairs(world.TABLES) do assert.is_true(proof.tables[name].rows > 0, name) end
  end)

  it("is a universe that goes on where the other one was", function()
    local a, plugin = filled(10), transfer()
    local b = fresh()
    assert(plugin:copy(a, b))
    assert(b:call("publish_event", "NEXT", "", "1", "next"))
    local head_a, next_event = assert(a:get("event_head", 0)), assert(b:get("event_log", "next"))
    assert.is_true(next_event.sequence >= head_a.sequence - 5)
    local seen = {}
    for _, row in ipairs(assert(b:query("SELECT * FROM event_log"))) do
      assert.is_nil(seen[row.sequence])
      seen[row.sequence] = true
    end
    local head = assert(b:get("event_head", 0))
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.equal(head.count, count)
    assert.equal(head.sequence, next_event.sequence)
  end)

  it("goes to a target that is not empty only when told how", function()
    local a, plugin = filled(10), transfer()
    local b = fresh()
    assert(b:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "theirs"))
    local none, err = plugin:copy(a, b, { tables = { "entity" } })
    assert.is_nil(none)
    assert.equal("ConflictError", err.kind)
    assert.matches("table `entity` has 1 row; choose mode", err.message)
    assert(plugin:copy(a, b, { tables = { "entity" }, mode = "merge", verify = true }))
    assert.equal(11, #assert(b:query("SELECT * FROM entity")))
    -- A row that both have, differently.
    local mine = assert(a:query("SELECT * FROM entity"))[1]
    assert(b:call("update_entity", mine.id, { name = "changed there", tags = iu.array {}, properties = "{}" }))
    none, err = plugin:copy(a, b, { tables = { "entity" }, mode = "merge" })
    assert.is_nil(none)
    assert.equal("ConflictError", err.kind)
    assert.truthy(err.message:find("entity: 1 different (" .. mine.id .. ")", 1, true), err.message)
    assert.equal("changed there", assert(b:get("entity", mine.id)).metadata.name)
    assert(plugin:copy(a, b, { tables = { "entity" }, mode = "overwrite", verify = true }))
    assert.same(mine, assert(b:get("entity", mine.id)))
    assert.truthy(b:get("entity", "theirs"))
    local report = assert(plugin:copy(a, b, { tables = { "entity" }, mode = "overwrite", delete = true, verify = true }))
    assert.equal(1, report.tables.entity.removed)
    assert.is_nil((b:get("entity", "theirs")))
    assert.is_true(assert(plugin:verify(a, b, { tables = { "entity" } })).equal)
  end)

  it("does not make one log of two, and says so before it writes", function()
    local a, plugin = filled(10), transfer()
    local b = fresh()
    for i = 1, 20 do assert(b:call("publish_event", "THEIRS", "", "1", "theirs" .. i)) end
    local path = support.path() .. ".jsonl"
    assert(plugin:export(a, path))
    for _, mode in ipairs { "merge", "overwrite" } do
      for _, call in ipairs { function() return plugin:copy(a, b, { mode = mode }) end, function() return plugin:import(path, b, { mode = mode }) end } do
        local none, err = call()
        assert.is_nil(none)
        assert.equal("ConflictError", err.kind)
        assert.matches("^event_log: sequence %d+ is event .* two logs cannot be one; leave the table out %(except%)$", err.message)
        assert.equal(0, #assert(b:query("SELECT * FROM entity")))
        assert.equal(0, #assert(b:query("SELECT * FROM plugin_record")))
      end
    end
    local report = assert(plugin:copy(a, b, { mode = "overwrite", except = { "event_log" }, verify = true }))
    assert.is_nil(report.tables.event_log)
    assert.equal(10, report.tables.entity.rows)
    assert.is_true(assert(plugin:verify(a, b, { except = { "event_log" } })).equal)
  end)

  it("is brought up to date by another one", function()
    local a, plugin = filled(30), transfer()
    local b = fresh()
    assert(plugin:copy(a, b))
    local since = iu.now()
    assert(a:call("create_entity", "T1", { tags = iu.array {}, properties = "{}" }, "later"))
    assert(a:call("put_record", "some:record", "[]", iu.null, iu.null))
    local report = assert(plugin:copy(a, b, { mode = "overwrite", since = since, verify = true }))
    assert.is_true(report.tables.entity.rows >= 1 and report.tables.entity.rows < 30)
    same(a, b)
    report = assert(plugin:copy(a, b, { mode = "overwrite", verify = true }))
    assert.equal(31, report.tables.entity.rows)
    same(a, b)
  end)

  it("of what changed since is refused for nothing else, and its proof looks at all", function()
    local a, plugin = filled(10), transfer()
    local b = fresh()
    assert(plugin:copy(a, b))
    local ids = {}
    for _, row in ipairs(assert(a:query("SELECT * FROM entity"))) do ids[#ids + 1] = row.id end
    assert(b:call("update_entity", ids[1], { tags = iu.array {}, properties = '{"there":1}' }))
    local since = iu.now()
    assert(a:call("create_entity", "T1", { tags = iu.array {}, properties = "{}" }, "later"))
    local only = { tables = { "entity" }, mode = "merge", since = since }
    local report = assert(plugin:copy(a, b, only))
    assert.equal(1, report.tables.entity.rows)
    assert.truthy(b:get("entity", "later"))
    only.verify = true
    local none, err = plugin:copy(a, b, only)
    assert.is_nil(none)
    assert.equal("StorageError", err.kind)
    assert.truthy(err.message:find("entity: 1 different (" .. ids[1] .. ")", 1, true), err.message)
    assert(a:call("update_entity", ids[1], { tags = iu.array {}, properties = '{"here":1}' })) -- this one comes, and both have it
    none, err = plugin:copy(a, b, only)
    assert.is_nil(none)
    assert.equal("ConflictError", err.kind)
  end)

  it("of a universe that is half a copy itself says so", function()
    local a, plugin = filled(10), transfer()
    local half = fresh()
    assert.is_nil((plugin:copy(a, half, { progress = function() error("stopped") end })))
    local report = assert(plugin:copy(half, file()))
    assert.equal("a connection", report.unfinished.copy)
    report = assert(plugin:export(half, support.path() .. ".jsonl"))
    assert.equal("a connection", report.unfinished.copy)
    assert(plugin:copy(a, half, { verify = true }))
    assert.is_nil(assert(plugin:copy(half, file())).unfinished)
  end)

  it("names the keys of what differs, both ways", function()
    local a, plugin = filled(20), transfer({ named_keys = 2 })
    local b = fresh()
    assert(plugin:copy(a, b))
    local ids = {}
    for _, row in ipairs(assert(a:query("SELECT * FROM entity"))) do ids[#ids + 1] = row.id end
    table.sort(ids)
    assert(b:call("remove_rows", "entity", iu.array { ids[1], ids[2], ids[3] }))
    assert(b:call("update_entity", ids[4], { tags = iu.array {}, properties = "{}" }))
    assert(b:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "extra"))
    local proof = assert(plugin:verify(a, b, { tables = { "entity", "relation" } }))
    assert.is_false(proof.equal)
    assert.is_true(proof.tables.relation.equal)
    local found = proof.tables.entity.differences
    assert.same({ 3, 1, 1 }, { found.missing, found.different, found.extra })
    assert.same({ ids[1], ids[2] }, found.keys.missing)
    assert.same({ ids[4] }, found.keys.different)
    assert.same({ "extra" }, found.keys.extra)
    assert.equal(("entity: 3 missing (%s, %s, ...), 1 extra (extra), 1 different (%s)"):format(ids[1], ids[2], ids[4]), proof.words)
    assert.not_equal(proof.tables.entity.hash, proof.tables.entity.other_hash)
  end)

  it("tells what it would do, and does nothing", function()
    local a, plugin = filled(10), transfer()
    local b = fresh()
    local report = assert(plugin:copy(a, b, { dry_run = true }))
    assert.is_true(report.dry_run)
    assert.equal(10, report.tables.entity.rows)
    assert.equal(0, #assert(b:query("SELECT * FROM entity")))
    assert.equal(0, #assert(b:query("SELECT * FROM plugin_record")))
    for _, row in ipairs(assert(b:query("SELECT * FROM event_log"))) do assert.matches("^%u+_%u+$", row.event_type) end
  end)

  it("tells how far it is", function()
    local a, plugin = filled(20), transfer()
    local told = {}
    assert(plugin:copy(a, file(), { progress = function(info) told[#told + 1] = info end }))
    assert.is_true(#told >= 10)
    local last = 0
    for _, info in ipairs(told) do
      assert.is_true(info.rows > last and info.rows <= info.total and info.seconds >= 0 and info.rate >= 0)
      last = info.rows
    end
    assert.equal(last, told[#told].rows)
  end)

  it("sees the source as it was when it began", function()
    local a, plugin = filled(20), transfer()
    local b = support.connect(nil, file())
    local changed = false
    assert(plugin:copy(a, b, { progress = function()
      if changed then return end
      changed = true
      assert(a:call("publish_event", "MEANWHILE", "", "1", "meanwhile"))
      assert(a:call("put_record", "new:record", "{}", iu.null, iu.null))
    end, verify = true }))
    assert.is_true(changed)
    assert.is_nil((b:get("event_log", "meanwhile")))
    assert.is_nil((b:get("plugin_record", "new:record")))
    local proof = assert(plugin:verify(a, b))
    assert.is_false(proof.equal)
    assert.same({ "meanwhile" }, proof.tables.event_log.differences.keys.missing)
  end)

  it("into a universe with rows of its own is proven by what the source held when it began", function()
    local a, plugin = filled(20), transfer()
    local gone = assert(a:query("SELECT * FROM entity"))[1].id
    local b = fresh()
    assert(b:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "theirs"))
    local changed = false
    local report = assert(plugin:copy(a, b, { tables = { "entity", "relation", "plugin_record" }, mode = "merge", verify = true, progress = function()
      if changed then return end
      changed = true
      assert(a:call("put_record", "new:record", "{}", iu.null, iu.null))
      assert(a:call("update_entity", gone, { tags = iu.array {}, properties = '{"meanwhile":1}' }))
      assert(a:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "meanwhile"))
    end }))
    assert.is_true(changed and report.verified.equal)
    assert.same({ 0, 0 }, { report.verified.tables.entity.differences.missing, report.verified.tables.entity.differences.different })
    assert.is_nil((b:get("entity", "meanwhile")))
    -- what does not arrive is found all the same
    local proof = assert(plugin:verify(a, b, { tables = { "entity" } }))
    assert.same({ 1, 1, 1 }, { proof.tables.entity.differences.missing, proof.tables.entity.differences.extra, proof.tables.entity.differences.different })
  end)

  it("that ended early goes on, also when the source has changed", function()
    local a, plugin = filled(30), transfer({ checkpoint_rows = 1 })
    local b = fresh()
    for round = 1, 6 do
      local stop_at = math.random(1, 13)
      local calls = 0
      local function handle()
        calls = calls + 1
        if calls == stop_at then error("stopped") end
      end
      local report, err = plugin:copy(a, b, { progress = handle })
      if report then break end
      assert.matches("stopped", tostring(err))
      if round == 2 then assert(a:call("update_entity", assert(a:query("SELECT * FROM entity"))[1].id, { tags = iu.array {}, properties = '{"later":1}' })) end
      if round == 3 then assert(a:call("remove_rows", "entity", iu.array { assert(a:query("SELECT * FROM entity"))[2].id })) end
      -- Another call does not take its place.
      local none, refused = plugin:copy(a, b, { tables = { "entity" } })
      assert.is_nil(none)
      assert.equal("ConflictError", refused.kind)
      assert.matches("unfinished copy", refused.message)
    end
    local report, err = plugin:copy(a, b, { verify = true })
    if not report then -- the last round had ended it
      assert.matches("is not empty", err.message)
    end
    assert(plugin:copy(a, b, { mode = "overwrite", verify = true }))
    same(a, b)
    assert.equal(0, #assert(b:query("SELECT * FROM plugin_record WHERE key = 'transfer:target'")))
  end)

  it("that ended early and goes on leaves the rows of a target that had some, also when the source has changed", function()
    local plugin = transfer { checkpoint_rows = 1 }
    local a = filled(10)
    local first = assert(a:query("SELECT * FROM entity"))[1].id
    local b = fresh()
    assert(b:call("create_entity", "T", { tags = iu.array {}, properties = "{}" }, "theirs"))
    for _, mode in ipairs { "merge", "overwrite" } do
      local only = { tables = { "entity" }, mode = mode, progress = function() error("stopped") end }
      assert.is_nil((plugin:copy(a, b, only)))
      assert(a:call("update_entity", first, { name = mode, tags = iu.array {}, properties = "{}" }))
      only.progress, only.verify = nil, true
      assert.is_true(assert(plugin:copy(a, b, only)).resumed)
      assert.equal(mode, assert(b:get("entity", first)).metadata.name)
      assert.truthy(b:get("entity", "theirs"))
    end
  end)

  it("that ended early goes on in a target that was opened meanwhile, with more events to come", function()
    local a, plugin = filled(20), transfer()
    local path = file()
    for round = 1, 4 do
      local calls = 0
      local report, err = plugin:copy(a, path, { progress = function(info)
        if info.table == "event_log" then calls = calls + 1 end
        if calls == 1 and round < 4 then error("stopped") end
      end, verify = true })
      if round < 4 then
        assert.matches("stopped", tostring(err))
        for _ = 1, 10 do assert(a:call("publish_event", "MORE", "", "1", iu.null)) end
        local other = support.connect(nil, path) -- it writes that it came
        support.close(other)
      else
        assert(report, tostring(err))
      end
    end
    local there = support.connect(nil, path)
    same(a, there)
  end)

  it("leaves nothing open when its task is cancelled", function()
    local a, plugin = filled(30), transfer({ checkpoint_rows = 1 })
    local path, other = file(), support.path() .. ".jsonl"
    for _, what in ipairs { "copy", "export" } do
      iu.run(function()
        local met = false
        local task = iu.spawn(function()
          local function wait()
            met = true
            iu.sleep(60)
          end
          if what == "copy" then return plugin:copy(a, path, { progress = wait }) end
          return plugin:export(a, other, { progress = wait })
        end)
        while not met do iu.sleep(0.005) end
        task:cancel()
        iu.sleep(0)
      end)
    end
    local _, facts = plugin:health()
    assert.same({ 0, 2 }, { facts.running, facts.failed })
    assert.is_nil(io.open(other))
    assert.is_nil(io.open(other .. ".part"))
    local there = support.connect(nil, path) -- it is not locked any more
    support.close(there)
    assert(plugin:copy(a, path, { verify = true }))
  end)

  it("is refused by a universe that has no import_rows", function()
    local a, plugin = filled(10), transfer()
    local module = assert(iu.module("small", { tables = { thing = { columns = { { "id", "u64" } }, primary_key = "id", public = true } } }))
    local bare = support.owned(assert(iu.connect("memory:", { nerv = false, module = module })))
    local none, err = plugin:copy(a, bare)
    assert.is_nil(none)
    assert.equal("MigrationError", err.kind)
    assert.matches("has no `import_rows`%); publish it again", err.message)
  end)

  it("leaves out what a guest may not read", function()
    local a, plugin = filled(10), transfer()
    local guest = support.owned(support.session(a))
    local path = file()
    local report = assert(plugin:copy(guest, path, { verify = true }))
    assert.same({ "permission", "applied_request" }, report.left_out)
    local proof = assert(plugin:verify(guest, path))
    assert.is_true(proof.equal)
    local none, err = plugin:copy(guest, file(), { tables = { "permission" } })
    assert.is_nil(none)
    assert.truthy(err)
    none, err = plugin:copy(path, guest, { tables = { "entity" }, mode = "overwrite" })
    assert.is_nil(none)
    assert.equal("AuthorizationError", err.kind)
  end)

  it("says what is wrong with a call", function()
    local a, plugin = fresh(), transfer()
    local function refused(kind, text, ...)
      local none, err = plugin:copy(...)
      assert.is_nil(none)
      assert.equal(kind, err.kind, tostring(err))
      assert.truthy(err.message:find(text, 1, true), err.message)
    end
    refused("ValidationError", "unknown option 'tabels'", a, file(), { tabels = {} })
    refused("ValidationError", "no table `nothing`", a, file(), { tables = { "nothing" } })
    refused("ValidationError", "`client_connection` belongs to each universe", a, file(), { tables = { "client_connection" } })
    refused("ValidationError", "at least one name", a, file(), { tables = {} })
    refused("ValidationError", "except[1]: no table `nothing`", a, file(), { except = { "nothing" } })
    refused("ValidationError", "no table is left", a, file(), { tables = { "entity" }, except = { "entity" } })
    refused("ValidationError", "'replace'", a, file(), { mode = "replace" })
    refused("ValidationError", "delete: only with", a, file(), { delete = true })
    refused("ValidationError", "not with since", a, file(), { delete = true, mode = "overwrite", since = 1 })
    refused("ValidationError", "since: expected microseconds", a, file(), { since = "yesterday" })
    refused("ValidationError", "from: memory:", "memory:", file())
    refused("ValidationError", "to: memory:", a, "memory:")
    refused("ValidationError", "to_options: for ends that are opened here", a, support.connect(nil, file()), { to_options = {} })
    refused("ValidationError", "to: the universe that `from` is", a, a)
    local path = file()
    refused("ValidationError", "to: the universe that `from` is", path, path)
    refused("ValidationError", "from: expected a file", nil, a)
    assert.has_error(function() plugin:copy(a, a, "options") end, "bad argument #3 to 'copy' (options: table or nil expected, got string)")
    assert.is_true(plugin:health())
    local _, facts = plugin:health()
    assert.equal(0, facts.running)
  end)
end)
