-- A process that is killed (SIGKILL) while it seals a universe with another key: every value opens, what was told is sealed with the newest key, and the next
-- one goes on where it was.
--
-- crash/rotator.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 30
local ROWS, BATCH = 120, 4
local KEYS = { ("01"):rep(32), ("23"):rep(32) }

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local function write_keys(path, newest)
  local file = assert(io.open(path, "w"))
  file:write(KEYS[newest], "\n", KEYS[3 - newest], "\n")
  file:close()
  assert(os.execute(("chmod 600 '%s'"):format(path)))
end

local function open(path, keys)
  return assert(iu.open(path, {
    log_level = "error", plugins = { security = { sealed = { entity = { "properties.email" } }, keys = { { file = keys } } } },
  }))
end

local function name(i) return ("id%04d"):format(i) end

local function fill(path, keys)
  local m <close> = open(path, keys)
  assert(m:transaction(function(tx)
    for i = 1, ROWS do assert(tx:create_entity("Person", { properties = { email = i .. "@x.org", n = i } }, name(i))) end
  end))
end

-- All values are there; how many of the first rows have the newest key, without a gap, and how many rows have it.
local function check(path, keys)
  local m <close> = open(path, keys)
  local newest = m.security:keys()[1].id
  local rows = assert(m.client:query("SELECT * FROM entity"))
  assert.equal(ROWS, #rows)
  table.sort(rows, function(a, b) return a.id < b.id end)
  local first, count = 0, 0
  for i, row in ipairs(rows) do
    assert.equal(i .. "@x.org", m:get_entity(name(i)).metadata.properties.email)
    if row.metadata.properties:find("sealed:1:" .. newest, 1, true) then
      count = count + 1
      if first == i - 1 then first = i end
    end
  end
  return first, count
end

describe("a process killed while it seals with another key", function()
  it("leaves every value whole, and the next one goes on", function()
    print("# crash_security_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path, keys = killing.new_path("security"), killing.new_path("keys")
    local newest, kills, finished, resumed, told_before = 1, 0, 0, 0, 0
    write_keys(keys, newest)
    fill(path, keys)
    newest = 2
    write_keys(keys, newest)
    while kills < KILLS do
      local wanted = math.random(0, ROWS // BATCH)
      local lines, killed = killing.run(("rotator.lua '%s' '%s' %d"):format(path, keys, BATCH), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.004 end
      end)
      assert.equal("opened", lines[1] or "opened", table.concat(lines, "\n"))
      local told, first_told, over = 0, nil, false
      for _, line in ipairs(lines) do
        local rows = math.tointeger(tonumber(line:match("^rows (%d+)$")))
        if rows then told, first_told = rows, first_told or rows end
        over = over or line == "done " .. ROWS
      end
      if killed and not over then kills = kills + 1 end
      if first_told and told_before > 0 then
        resumed = resumed + 1
        assert.is_true(first_told > told_before, ("told %d rows, and again %d"):format(told_before, first_told))
      end
      local copy = killing.copy_of(path)
      local first, count = check(copy, keys)
      killing.remove(copy)
      assert.is_true(first >= told, ("%d rows were told, %d are sealed anew"):format(told, first))
      if over then
        finished = finished + 1
        assert.equal(ROWS, count)
      end
      -- With the last row sealed it may have taken its checkpoint away without a word.
      told_before = count == ROWS and 0 or math.max(told, told_before)
      if over or math.random(3) == 1 then -- the other key is the newest from now on
        newest, told_before = 3 - newest, 0
        write_keys(keys, newest)
      end
    end
    assert.is_true(SANITIZED or resumed > 0, "nobody went on where another one was")
    local m = open(path, keys)
    assert(m.security:rotate())
    assert(m:shutdown())
    local _, count = check(path, keys)
    assert.equal(ROWS, count)
    killing.integrity(path)
    print(("# %d kills, %d went on, %d finished"):format(kills, resumed, finished))
    killing.remove(path)
    killing.remove(keys)
  end)
end)
