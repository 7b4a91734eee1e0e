-- A copy, and an import, killed at any moment (SIGKILL): the same call goes on where it was, and in the end the target holds what a copy that was never
-- killed would hold, each row once, also when the source has changed meanwhile.
--
-- crash/copier.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local killing = require "crash.killing"
local spacetimedb = require "spacetimedb"
local world = require "transfer_world"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and { copy = 4, import = 2, conflicts = 1 } or { copy = 34, import = 16, conflicts = 8 }
local ROWS = 8000

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

local function make_source(path)
  local conn = assert(iu.connect(path))
  world.fill(conn, math.random)
  local rows = iu.array {}
  for i = 1, ROWS do
    rows[#rows + 1] = assert(conn:row_bytes("entity", { id = ("bulk%07d"):format(i), entity_type = "Bulk", created_at = i, updated_at = i,
      metadata = { name = ("x"):rep(i % 50), tags = iu.array {}, properties = ('{"n":%d}'):format(i) } }))
    if #rows == 2000 then
      assert(conn:call("import_rows", "entity", rows))
      rows = iu.array {}
    end
  end
  assert(conn:close())
end

local function change_source(path, round)
  local conn = assert(iu.connect(path))
  local id = ("bulk%07d"):format(math.random(ROWS))
  assert(conn:call("remove_rows", "entity", iu.array { ("bulk%07d"):format(math.random(ROWS)) }))
  if assert(conn:query(("SELECT * FROM entity WHERE id = '%s'"):format(id)))[1] then
    assert(conn:call("update_entity", id, { tags = iu.array {}, properties = ('{"round":%d}'):format(round) }))
  end
  assert(conn:call("publish_event", "CHANGED", "", tostring(round), iu.null))
  assert(conn:close())
end

local function is_under_way(path)
  local conn = assert(iu.connect(path))
  local record = conn:get("plugin_record", "transfer:target")
  assert(conn:close())
  return record ~= nil
end

-- The same rows on both sides, and counters that agree with them.
local function check(plugin, from, to)
  local proof = assert(plugin:verify(from, to))
  assert.is_true(proof.equal, proof.words)
  local a, b = assert(iu.connect(from, { snapshot = true })), assert(iu.connect(to))
  local left, right = world.rows(a), world.rows(b)
  for name, rows in pairs(left) do
    for key, bytes in pairs(rows) do
      if right[name][key] ~= bytes then error(("%s %s differs"):format(name, key)) end
      right[name][key] = nil
    end
    assert.is_nil(next(right[name]), name)
  end
  local events = assert(b:query("SELECT * FROM event_log"))
  local head, bytes, last = assert(b:get("event_head", 0)), 0, 0
  for _, row in ipairs(events) do
    bytes, last = bytes + #assert(b:row_bytes("event_log", row)), math.max(last, row.sequence)
  end
  assert.same({ #events, bytes, last }, { head.count, head.bytes, head.sequence })
  assert.is_nil((b:get("plugin_record", "transfer:target")))
  assert(a:close())
  assert(b:close())
  killing.integrity(to)
end

local function run(what, from, reference, changes)
  local m <close> = assert(iu.open("memory:", { plugins = { transfer = true } }))
  local plugin = assert(m:plugin("transfer"))
  local to, runs, killed, inside, resumed = killing.new_path("copy"), 0, 0, 0, 0
  local lines_of_a_run = 28
  while killed < KILLS[what] do
    runs = runs + 1
    local wanted = runs % 5 == 0 and math.huge or math.random(0, lines_of_a_run) -- every fifth may end what the others began
    local lines, died = killing.run(("copier.lua %s '%s' '%s'"):format(what, from, to), function(line, lines)
      if line and #lines >= wanted then return math.random() * 0.01 end
    end)
    local last = lines[#lines] or ""
    -- One that was killed between its last write and its last word had ended.
    local had_ended = not died and table.concat(lines, " "):find("is not empty", 1, true)
    if last:match("^done") or had_ended then
      if last:match("true$") then resumed = resumed + 1 end
      check(plugin, reference, to)
      killing.remove(to)
      to = killing.new_path("copy")
    else
      assert.is_true(died, table.concat(lines, "\n"))
    end
    if died then
      killed = killed + 1
      if #lines > 1 and not last:match("^done") then inside = inside + 1 end
      if changes and killed % 4 == 0 and is_under_way(to) then change_source(from, killed) end
    end
  end
  local lines = killing.run(("copier.lua %s '%s' '%s'"):format(what, from, to), function() end) -- what is left is ended
  if (lines[#lines] or ""):match("true$") then resumed = resumed + 1 end
  if not table.concat(lines, " "):find("is not empty", 1, true) then assert.matches("^done", lines[#lines], table.concat(lines, "\n")) end
  check(plugin, reference, to)
  killing.remove(to)
  print(("# %s: %d kills, %d of them inside, %d went on to their end"):format(what, killed, inside, resumed))
  assert.is_true(SANITIZED or inside >= KILLS[what] // 2, "few kills met a copy: " .. inside)
  assert.is_true(SANITIZED or resumed >= 2, "few went on to their end: " .. resumed)
end

local RANKS = assert(iu.module("ranks", {
  tables = { rank = { columns = { { "id", "u64" }, { "name", "string" } }, primary_key = "id", unique = { "name" }, public = true } },
}))
local RANK_ROWS = 6000

-- A target where a third of the source's rows have swapped their names, another third's are those of other rows, and some have nothing to do with it.
local function make_ranks(from, to)
  local a, b = assert(iu.connect(from, { module = RANKS })), assert(iu.connect(to, { module = RANKS }))
  local left, right, third = iu.array {}, iu.array {}, RANK_ROWS // 3
  local function row(id, name) return assert(a:row_bytes("rank", { id = id, name = "n" .. name })) end
  for i = 1, RANK_ROWS do left[i] = row(i, i) end
  for i = 1, third do right[i] = row(i, third + 1 - i) end
  for i = third + 1, 2 * third do right[i] = row(RANK_ROWS + i, i) end
  for i = 1, 100 do right[#right + 1] = row(3 * RANK_ROWS + i, "theirs" .. i) end
  assert(a:call("import_rows", "rank", left))
  assert(b:call("import_rows", "rank", right))
  assert(a:close())
  assert(b:close())
end

-- Whether the target is as the way settles it.
local function check_ranks(to, way)
  local conn = assert(iu.connect(to, { module = RANKS, snapshot = true }))
  local third, seen = RANK_ROWS // 3, 0
  for _, row in ipairs(assert(conn:query("SELECT * FROM rank"))) do
    local id, name = row.id, row.name
    local wanted = id > 3 * RANK_ROWS and "theirs" .. id - 3 * RANK_ROWS or id
    if way == "keep" then
      if id <= third then wanted = third + 1 - id
      elseif id <= 2 * third then wanted = "out"
      elseif id > RANK_ROWS and id <= 3 * RANK_ROWS then wanted = id - RANK_ROWS end
    end
    if name ~= "n" .. wanted then error(("%s: row %d has the name %s, expected n%s"):format(way, id, name, wanted)) end
    seen = seen + 1
  end
  assert.equal(RANK_ROWS + 100, seen)
  assert.is_nil((conn:get("plugin_record", "transfer:target")))
  assert(conn:close())
  killing.integrity(to)
end

describe("a copy that is killed", function()
  local source

  setup(function()
    print("# crash_copy_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    source = killing.new_path("source")
    make_source(source)
  end)
  teardown(function() killing.remove(source) end)

  it("goes on and ends as one that was not, while its source changes", function()
    run("copy", source, source, true)
  end)

  with_server("goes on in a server", function()
    local m <close> = assert(iu.open("memory:", { plugins = { transfer = true } }))
    local plugin = assert(m:plugin("transfer"))
    local name, kills = spacetimedb.name(), 0
    local token = assert(spacetimedb.publish(name))
    local to = ("%s/%s"):format(spacetimedb.address, name)
    for _ = 1, 8 do
      local wanted = math.random(2, 12)
      local lines, died = killing.run(("copier.lua copy '%s' '%s' '%s'"):format(source, to, token), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.004 end
      end)
      if died then kills = kills + 1 end
      if not died then break end -- it was quicker
      assert.equal("begun", lines[1], table.concat(lines, "\n"))
    end
    local lines = killing.run(("copier.lua copy '%s' '%s' '%s'"):format(source, to, token), function() end)
    local resumed = (lines[#lines] or ""):match("^done %d+ true$") ~= nil
    if not resumed then assert.matches("is not empty", table.concat(lines, " ")) end
    local proof = assert(plugin:verify(source, to, { to_options = { token = token } }))
    assert.is_true(proof.equal, proof.words)
    print(("# server: %d kills, went on to its end: %s"):format(kills, tostring(resumed)))
    spacetimedb.discard(name, token)
  end)

  with_server("goes on when it was the server that was killed, and what it said is done is there", function()
    local m <close> = assert(iu.open("memory:", { plugins = { transfer = { checkpoint_rows = 2000 } } }))
    local plugin = assert(m:plugin("transfer"))
    local server <close> = spacetimedb.start()
    for _ = 1, SANITIZED and 1 or 3 do
      local name = spacetimedb.name()
      local token = assert(spacetimedb.publish(name, nil, nil, server))
      local to, slices, kill_at = ("%s/%s"):format(server.address, name), 0, math.random(2, 8)
      local report, err = plugin:copy(source, to, { to_options = { token = token, reconnect = false }, progress = function()
        slices = slices + 1
        if slices == kill_at then server:kill() end
      end })
      assert.is_nil(report)
      assert.equal("ConnectionError", err.kind, tostring(err))
      assert.matches("^table `entity`: ", err.message)
      server:restart()
      report = assert(plugin:copy(source, to, { to_options = { token = token }, verify = true }))
      assert.is_true(report.resumed)
      server:kill()
      server:restart()
      local proof = assert(plugin:verify(source, to, { to_options = { token = token } }))
      assert.is_true(proof.equal, proof.words)
    end
  end)

  it("settles rows in conflict as one that was not", function()
    local m <close> = assert(iu.open("memory:", { plugins = { transfer = true } }))
    local from, to, export = killing.new_path("ranks"), killing.new_path("ranked"), killing.new_path("ranks") .. ".jsonl"
    local all = 0
    for _, way in ipairs { "keep", "replace" } do
      for _, what in ipairs { "copy", "import" } do
        make_ranks(from, to)
        if what == "import" then assert(assert(m:plugin("transfer")):export(from, export, { tables = { "rank" } })) end
        local kills, lines, died = 0
        repeat
          local wanted = math.random(1, kills < KILLS.conflicts and 5 or 50)
          lines, died = killing.run(("copier.lua %s '%s' '%s' %s %s rank"):format(what, what == "copy" and from or export, to,
            way == "keep" and "merge" or "overwrite", way), function(line, so_far)
            if line and #so_far >= wanted then return math.random() * 0.03 end
          end)
          if died then kills = kills + 1 end
        until not died
        assert.matches("^done", lines[#lines], table.concat(lines, "\n"))
        check_ranks(to, way)
        all = all + kills
        killing.remove(from)
        killing.remove(to)
      end
    end
    os.remove(export)
    print(("# conflicts: %d kills"):format(all))
  end)

  it("goes on as an import", function()
    local m <close> = assert(iu.open("memory:", { plugins = { transfer = true } }))
    local export = killing.new_path("export") .. ".jsonl.gz"
    assert(assert(m:plugin("transfer")):export(source, export))
    run("import", export, source, false)
    os.remove(export)
  end)
end)
