-- Killed at any moment (SIGKILL): what was acknowledged is there, nothing is half there, and the next open just works.
--
-- crash/writer.lua is the process that dies; this one reads from its pipe what it was about to do and what came back, kills it, and looks
-- at what the file holds. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local core = require "inner_universe.core"
local content = require "crash.content"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 34 -- of one universe
local OPENING_KILLS = SANITIZED and 3 or 15
local CLOSING_KILLS = SANITIZED and 2 or 10
local FOLD_BYTES = 16384 -- so small that a fold is nearly always under way

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local new_path, remove, copy_of, integrity = killing.new_path, killing.remove, killing.copy_of, killing.integrity

-- Runs the writer (see killing.run). What it said, and whether it was killed.
local function run_writer(options, stop)
  return killing.run(("writer.lua %s '%s' %s %d %d %d"):format(options.mode, options.path, options.durability, options.fold_bytes or FOLD_BYTES,
    options.round or 1, options.seed or 1), stop)
end

-- the model -----------------------------------------------------------------------------------------------------------

local function new_model()
  return { entities = {}, relations = {}, events = {}, versions = {}, counts = { ENTITY_CREATED = 0, ENTITY_UPDATED = 0, ENTITY_DELETED = 0,
    RELATION_CREATED = 0 } }
end

local function count(model, kind)
  model.counts[kind] = model.counts[kind] + 1
end

local apply = {}

function apply.create(model, op)
  model.entities[op[1]] = tonumber(op[2])
  count(model, "ENTITY_CREATED")
end

function apply.batch(model, op)
  for i = 2, #op do apply.create(model, { op[i], op[1] }) end
end

function apply.update(model, op)
  model.entities[op[1]] = tonumber(op[2])
  count(model, "ENTITY_UPDATED")
end

function apply.delete(model, op)
  model.entities[op[1]] = nil
  for id, relation in pairs(model.relations) do
    if relation.from == op[1] or relation.to == op[1] then model.relations[id] = nil end
  end
  count(model, "ENTITY_DELETED")
end

function apply.relate(model, op)
  model.relations[op[1]] = { from = op[2], to = op[3], n = tonumber(op[4]) }
  count(model, "RELATION_CREATED")
end

function apply.publish(model, op, value)
  model.events[value] = tonumber(op[1])
end

function apply.commit(model, op, value)
  model.versions[value] = tonumber(op[1])
end

-- Reads what a writer said into the model; the operations that no answer came for, by worker.
local function hear(model, lines)
  local flying, acknowledged = {}, 0
  for _, line in ipairs(lines) do
    local sign, worker, rest = line:match("^([<>]) (%d+) (.*)$")
    if sign == ">" then
      local op = {}
      for word in rest:gmatch("%S+") do op[#op + 1] = word end
      op.name = table.remove(op, 1)
      flying[worker] = op
    elseif sign == "<" then
      local op = flying[worker]
      flying[worker] = nil
      apply[op.name](model, op, rest)
      acknowledged = acknowledged + 1
    elseif not (line == "opened" or line == "flushed" or line == "closed" or line == "idle") then
      error("the writer said: " .. table.concat(lines, "\n", math.max(1, #lines - 5)))
    end
  end
  return flying, acknowledged
end

-- what the file holds -------------------------------------------------------------------------------------------------

local function by_id(key, rows)
  local found = {}
  for _, row in ipairs(rows) do found[row[key]] = row end
  return found
end

-- Whether an operation whose answer never came is there: it may be, as a whole.
local is_there = {}
function is_there.create(seen, op) return seen.entities[op[1]] ~= nil end
function is_there.update(seen, op) return seen.entities[op[1]].metadata.name == "entity " .. op[2] end
function is_there.delete(seen, op) return seen.entities[op[1]] == nil end
function is_there.relate(seen, op) return seen.relations[op[1]] ~= nil end
function is_there.batch(seen, op)
  local there = 0
  for i = 2, #op do there = there + (seen.entities[op[i]] and 1 or 0) end
  assert.is_true(there == 0 or there == #op - 1, "half a transaction")
  return there > 0
end
function is_there.publish(seen, op)
  for id, event in pairs(seen.published) do
    if event.n == tonumber(op[1]) then return id end
  end
end
function is_there.commit(seen, op)
  for id, version in pairs(seen.versions) do
    if version.description == "state " .. op[1] then return id end
  end
end

local function resolve(model, flying, seen)
  for _, op in pairs(flying) do
    local there = is_there[op.name](seen, op)
    if there then apply[op.name](model, op, there) end
  end
end

local function same_keys(expected, got, what)
  for key in pairs(expected) do
    if got[key] == nil then error(what .. " is lost: " .. key) end
  end
  for key in pairs(got) do
    if expected[key] == nil then error(what .. " came from nowhere: " .. key) end
  end
end

local function check_events(conn, model)
  local rows = assert(conn:query("SELECT * FROM event_log"))
  table.sort(rows, function(a, b) return a.sequence < b.sequence end)
  local counts = {}
  for kind in pairs(model.counts) do counts[kind] = 0 end
  for i, row in ipairs(rows) do
    if row.sequence ~= i then error(("event %d has sequence %d"):format(i, row.sequence)) end
    if counts[row.event_type] then counts[row.event_type] = counts[row.event_type] + 1 end
  end
  assert.same(model.counts, counts)
  local head = assert(conn:get("event_head", 0))
  assert.equal(#rows, head.sequence)
  assert.equal(#rows, head.count)
end

local function check_content(model, seen, m)
  same_keys(model.entities, seen.entities, "entity")
  for id, n in pairs(model.entities) do
    assert.equal(content.same(content.entity(n)), content.same(seen.entities[id].metadata))
  end
  same_keys(model.relations, seen.relations, "relation")
  for id, relation in pairs(model.relations) do
    local got = seen.relations[id]
    assert.equal(relation.from, got.from_entity)
    assert.equal(relation.to, got.to_entity)
    assert.equal(content.same(content.relation(relation.n)), content.same(got.metadata))
  end
  same_keys(model.events, seen.published, "event")
  for id, n in pairs(model.events) do
    assert.equal(content.same(content.event(n)), content.same(seen.published[id]))
  end
  same_keys(model.versions, seen.versions, "version")
  for id, n in pairs(model.versions) do
    assert.equal(content.same(content.state(n)), content.same(assert(m.temporal_store:get_state(id))))
  end
end

-- Opens what is left and compares it with the model, exactly.
local function check(path, model, flying)
  local conn = assert(iu.connect(path))
  local versions = by_id("version_id", assert(conn:query("SELECT * FROM state_version")))
  local published = {}
  for _, row in ipairs(assert(conn:query("SELECT * FROM event_log WHERE event_type = 'CRASH'"))) do
    published[row.event_id] = assert(iu.json.decode(row.data))
  end
  assert(conn:close())
  local m = assert(iu.open(path))
  local seen = { entities = by_id("id", assert(m:query_entities {})), relations = by_id("id", assert(m:query_relations {})), versions = versions,
    published = published }
  resolve(model, flying, seen)
  check_content(model, seen, m)
  assert(m:shutdown())
  conn = assert(iu.connect(path))
  check_events(conn, model)
  assert(conn:close())
  integrity(path)
  return seen
end

-- The entities created by `line`, `idle` and `close` are a sequence; how many of its first ones are there, when no later one is.
local function prefix_length(path)
  local m = assert(iu.open(path))
  local rows = assert(m:query_entities {})
  assert(m:shutdown())
  integrity(path)
  local seen = by_id("id", rows)
  for n = 1000001, 1000000 + #rows do
    local row = seen["e-" .. n]
    if not row then error("an acknowledged call is lost although a later one is there: " .. n) end
    assert.equal(content.same(content.entity(n)), content.same(row.metadata))
  end
  return #rows
end

local function count_acknowledged(lines, last)
  local acknowledged, flushed = 0, 0
  for i = 1, last or #lines do
    if lines[i]:sub(1, 1) == "<" then acknowledged = acknowledged + 1 end
    if lines[i] == "flushed" then flushed = acknowledged end
  end
  return acknowledged, flushed
end

describe("a process killed at any moment", function()
  local path

  setup(function()
    print("# crash_spec: IU_TEST_SEED=" .. SEED)
  end)

  before_each(function()
    math.randomseed(SEED)
    path = new_path("world")
  end)

  after_each(function()
    remove(path)
  end)

  it("loses nothing that was acknowledged with full durability, and does nothing by halves", function()
    local model, acknowledged_in_all, in_fold = new_model(), 0, 0
    for round = 1, KILLS do
      local wanted = math.random(0, 250)
      local lines, killed = run_writer({ mode = round % 2 == 0 and "connection" or "manager", path = path, durability = "full", round = round,
        seed = math.random(1 << 30) }, function(line, lines)
        if line and (wanted == 0 or #lines >= wanted) then return math.random() * 0.004 end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      local flying, acknowledged = hear(model, lines)
      acknowledged_in_all = acknowledged_in_all + acknowledged
      -- A copy is opened, so that the next writer, too, opens what a killed one has left.
      local copy = copy_of(path)
      local db = assert(io.popen(("sqlite3 -readonly '%s' 'SELECT count(*) FROM _iu_journal' 2>/dev/null"):format(copy)))
      if (tonumber(db:read("a")) or 0) > 0 then in_fold = in_fold + 1 end
      db:close()
      check(copy, model, flying)
      remove(copy)
    end
    assert.is_true(acknowledged_in_all > KILLS * 10, "too little happened: " .. acknowledged_in_all)
    assert.is_true(in_fold > 0, "no kill left a journal")
    check(path, model, {})
    print(("# %d kills, %d calls acknowledged, %d entities at the end; %d times the journal held something"):format(KILLS,
      acknowledged_in_all, model.counts.ENTITY_CREATED - model.counts.ENTITY_DELETED, in_fold))
  end)

  it("while it makes a universe leaves one that opens", function()
    local started = core.mono()
    run_writer({ mode = "open", path = path, durability = "full" }, function() end)
    local whole = core.mono() - started
    assert.equal(0, prefix_length(path))
    for _ = 1, OPENING_KILLS do
      remove(path)
      run_writer({ mode = "open", path = path, durability = "full" }, function() return math.random() * whole end)
      assert.equal(0, prefix_length(path))
      local conn = assert(iu.connect(path))
      local started_events = assert(conn:query("SELECT * FROM event_log WHERE event_type = 'SYSTEM_INITIALIZED'"))
      assert.equal(1, #started_events)
      assert(conn:close())
    end
  end)

  it("while it closes loses nothing", function()
    -- How long a close takes is learnt from the closes that were not interrupted; a kill that came too late makes the next one come earlier,
    -- so that some of them meet a close on any machine.
    local closing, share, interrupted, round = nil, 1, 0, 0
    while round < CLOSING_KILLS or interrupted == 0 and round < CLOSING_KILLS * 10 do
      round = round + 1
      remove(path)
      local flushed_at
      local lines, killed = run_writer({ mode = "close", path = path, durability = "normal", fold_bytes = 1 << 30, seed = SEED + round },
        function(line)
          if line == "flushed" then
            flushed_at = core.mono()
            return closing and math.random() * closing * share
          end
          if line == "closed" then closing = math.min(closing or math.huge, core.mono() - flushed_at) end
        end)
      if lines[#lines] == "closed" then
        if killed then share = share * 0.7 end
      elseif killed then
        interrupted = interrupted + 1
      end
      assert.equal(count_acknowledged(lines), prefix_length(path))
    end
    assert.is_true(interrupted > 0, "no kill came during a close")
  end)

  it("with normal durability keeps a prefix of what was acknowledged, and all of it after a flush", function()
    for round = 1, SANITIZED and 2 or 6 do
      remove(path)
      local wanted = math.random(500, 3000)
      local lines, killed = run_writer({ mode = "line", path = path, durability = "normal", fold_bytes = 65536, seed = SEED + round },
        function(_, lines)
          if #lines >= wanted then return math.random() * 0.01 end
        end)
      assert.is_true(killed)
      local acknowledged, flushed = count_acknowledged(lines)
      local kept = prefix_length(path)
      assert.is_true(kept >= flushed and kept <= acknowledged + 1, ("%d kept, %d flushed, %d acknowledged"):format(kept, flushed, acknowledged))
    end
  end)

  it("with normal durability keeps everything that is older than the flush interval", function()
    local lines, killed = run_writer({ mode = "idle", path = path, durability = "normal" }, function(line)
      if line == "idle" then return 0.0 end
    end)
    assert.is_true(killed)
    local acknowledged = count_acknowledged(lines)
    assert.equal(200, acknowledged)
    assert.equal(200, prefix_length(path))
  end)

  it("with durability off keeps everything before the last flush", function()
    local lost = 0
    for round = 1, SANITIZED and 2 or 6 do
      remove(path)
      local wanted = math.random(500, 3000)
      local lines, killed = run_writer({ mode = "line", path = path, durability = "off", seed = SEED + round }, function(_, lines)
        if #lines >= wanted then return math.random() * 0.01 end
      end)
      assert.is_true(killed)
      local acknowledged, flushed = count_acknowledged(lines)
      local kept = prefix_length(path)
      assert.is_true(kept >= flushed and kept <= acknowledged + 1, ("%d kept, %d flushed, %d acknowledged"):format(kept, flushed, acknowledged))
      lost = lost + acknowledged - kept
    end
    assert.is_true(lost > 0, "nothing was lost: this was not `off`")
  end)
end)
