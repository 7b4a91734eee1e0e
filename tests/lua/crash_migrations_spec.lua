-- Migrations whose process is killed at any moment (SIGKILL): in a working copy, while it is published, between two batches, inside of one. The file opens,
-- each migration is in it as a whole or as far as its checkpoint says, a further run ends what was begun, and nothing is applied twice.
--
-- crash/migrator.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local killing = require "crash.killing"

local KILLS = 36
local PLAYERS, PEOPLE, VERSIONS = 200, 40, 6
local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local FILES = {
  ["0001_level"] = [[return {
    up = function(m)
      m:add_column("player", "level", "u32", { value = function(row) return row.xp * 2 end })
      m:update_rows("player", function(row) row.xp = row.xp + 1 return row end)
      for i = 1, 5 do m:create_entity("Note", { name = "note " .. i }, "note" .. i) end
    end,
    down = function(m)
      for i = 1, 5 do m:delete_entity("note" .. i) end
      m:update_rows("player", function(row) row.xp = row.xp - 1 return row end)
      m:drop_column("player", "level")
    end }]],
  ["0002_people"] = [[
  local function add(by)
    return function(m)
      m:set_config("people", tostring(by))
      m:update_entities("Person", function(e) e.metadata.properties.n = e.metadata.properties.n + by return e.metadata end, { size = 3 })
    end
  end
  return { online = true, up = add(1), down = add(-1) }]],
  ["0003_states"] = [[
  local function add(by)
    return function(m) m:states(function(state) state.n = state.n + by return state end) end
  end
  return { online = true, up = add(1), down = add(-1) }]],
  ["0004_wider"] = [[return {
    up = function(m) m:retype_column("player", "xp", "u64") end,
    down = function(m) m:retype_column("player", "xp", "u32") end }]],
}

local ARENA = iu.module("arena", {
  tables = { player = { columns = { { "id", "u64" }, { "xp", "u32" } }, primary_key = "id", public = true } },
  reducers = { fill = { params = { { "n", "u32" } }, run = function(ctx, n)
    for i = 1, n do ctx.db.player:insert { id = i, xp = i } end
  end } },
})

local function new_world(path, folder)
  assert(os.execute(("mkdir -p '%s'"):format(folder)))
  for name, text in pairs(FILES) do
    local file = assert(io.open(("%s/%s.lua"):format(folder, name), "w"))
    file:write(text)
    file:close()
  end
  local m = assert(iu.open(path, { module = ARENA, log_level = "error" }))
  assert(m.client:connection():call("fill", PLAYERS))
  for i = 1, PEOPLE do assert(m:create_entity("Person", { properties = { n = 0 } }, ("p%02d"):format(i))) end
  for i = 1, VERSIONS do assert(m:commit_version({ n = 0, i = i, list = { i } }, "v" .. i)) end
  assert(m:shutdown())
end

local function runner(path, folder)
  return assert(iu.migrations({ db_path = path, log_level = "error" }, { folder = folder, lock_timeout = 60 }))
end

-- Fails unless the file holds each migration as a whole, or as far as its record says. How far the online ones were.
local function check(path, folder)
  local status = {}
  for _, each in ipairs(assert(runner(path, folder):status()).migrations) do status[each.name] = each end
  local modules = assert(iu.file_modules(path))
  local m = assert(iu.open(path, { module = modules, log_level = "error" }))
  local conn = m.client:connection()
  local applied = status["0001_level"].applied_at ~= nil
  local wide = status["0004_wider"].applied_at ~= nil
  local players = assert(conn:query("SELECT * FROM player"))
  assert.equal(PLAYERS, #players)
  for _, player in ipairs(players) do
    assert.equal(player.id + (applied and 1 or 0), player.xp)
    assert.equal(applied and player.id * 2 or nil, player.level)
  end
  local notes = 0
  for i = 1, 5 do
    if m:get_entity("note" .. i) then notes = notes + 1 end
  end
  assert.equal(applied and 5 or 0, notes)
  for _, column in ipairs(conn:schema().tables.player.columns) do
    if column.name == "xp" then assert.equal(wide and "U64" or "U32", iu.json.encode(column.type):match("U%d+")) end
  end
  local shown = status["0002_people"]
  local done = 0
  for _, person in ipairs(assert(m:query_entities { entity_type = "Person" })) do
    local n = person.metadata.properties.n
    assert.is_true(n == 0 or n == 1, "applied twice: " .. tostring(n))
    done = done + n
  end
  local expected
  if shown.applied_at then
    expected = PEOPLE
  elseif shown.direction == "up" then
    expected = shown.done or shown.step == 2 and PEOPLE or 0
  elseif shown.direction == "down" then
    expected = PEOPLE - (shown.done or shown.step == 2 and PEOPLE or 0)
  else
    expected = 0
  end
  assert.equal(expected, done, iu.json.encode(shown))
  assert(m.temporal_store:verify())
  for _, version in ipairs(assert(m.temporal_store:history())) do
    local n = assert(m.temporal_store:get_state(version.version_id)).n
    assert.is_true(n == 0 or n == 1, "state " .. n)
  end
  assert(m:shutdown())
  return shown.direction ~= nil and not shown.applied_at
end

-- A further run ends what was begun; all the way up it is all there once.
local function complete(path, folder)
  local g = runner(path, folder)
  local report, err = g:up()
  if not report and err.code == "HALFWAY" then
    assert(g:down { to = 0 })
    report, err = g:up()
  end
  assert(report, tostring(err))
  check(path, folder)
  local m = assert(iu.open(path, { module = assert(iu.file_modules(path)), log_level = "error" }))
  for _, version in ipairs(assert(m.temporal_store:history())) do
    assert.equal(1, assert(m.temporal_store:get_state(version.version_id)).n)
  end
  assert(m:shutdown())
  assert(g:down { to = 0 })
  check(path, folder)
end

describe("a process killed while it migrates", function()
  it("leaves each migration done, undone, or at its checkpoint", function()
    print("# crash_migrations_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path = killing.new_path("migrations")
    local folder = path .. "-folder"
    new_world(path, folder)
    local halfway, completed, at = 0, 0, {}
    for round = 1, KILLS do
      local wanted = math.random(1, 40)
      local lines, killed = killing.run(("migrator.lua '%s' '%s'"):format(path, folder), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.03 end
      end)
      assert.is_true(killed, table.concat(lines, "\n", math.max(1, #lines - 10)))
      for _, line in ipairs(lines) do
        if not line:match("^[<>.] ") and line ~= "opened" and line ~= "halfway" then error("the migrator said: " .. table.concat(lines, "\n")) end
      end
      local last = lines[#lines]
      local what = last:match("^%. (%S+)") or last:match("^. (%S+)") or last
      at[what] = (at[what] or 0) + 1
      local copy = killing.copy_of(path)
      if check(copy, folder) then halfway = halfway + 1 end
      if round % 6 == 0 then
        complete(copy, folder)
        completed = completed + 1
      end
      killing.integrity(copy)
      killing.remove(copy)
    end
    complete(path, folder)
    killing.integrity(path)
    local parts = {}
    for name, count in pairs(at) do parts[#parts + 1] = ("%s %d"):format(name, count) end
    table.sort(parts)
    print(("# %d kills, %d of them within an online migration, %d completed; last said: %s"):format(KILLS, halfway, completed, table.concat(parts, ", ")))
    assert.is_true(halfway > 0, "no kill met an online migration")
    killing.remove(path)
  end)
end)
