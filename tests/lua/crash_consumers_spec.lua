-- Consumers whose process is killed at any moment (SIGKILL), by others and by what they were handed: nothing acknowledged is delivered again or lost, what is
-- written with its acknowledgement is there once, and poison becomes a dead letter.
--
-- crash/consumer.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 40
local FOLD_BYTES = 65536 -- so small that folds are often under way
local WAIT = 60

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

-- What a killed process said, checked against what was heard before: acknowledged events are not handed out again. in_doubt: no answer came for.
local function hear(lines, acked, in_doubt)
  local asked
  for _, line in ipairs(lines) do
    local sign, name, sequence = line:match("^([<>]) (%a+) (%d+)")
    sequence = math.tointeger(tonumber(sequence))
    if sign == ">" and name == "each" then
      assert.is_falsy(acked[sequence], ("event %s was acknowledged, and is handed out again"):format(sequence))
      asked, in_doubt[sequence] = sequence, nil
    elseif sign == "<" then
      acked[sequence], asked = true, nil
    elseif line ~= "opened" and not sign then
      error("the process said: " .. table.concat(lines, "\n", math.max(1, #lines - 5)))
    end
  end
  if asked then in_doubt[asked] = true end
end

-- Everything that is left is worked off in peace; then nothing may be missing.
local function finish(path, acked, in_doubt)
  local m = assert(iu.open(path, { log_level = "off", plugins = { event_bus = { drain_ms = 0 } } }))
  local bus = m.event_bus
  local got = { each = {}, batch = {} }
  local dead = {}
  iu.run(function()
    local function note(name)
      return function(d)
        if d.type == "POISON" then error("still poison") end
        got[name][d.sequence] = true
      end
    end
    local each = assert(bus:consumer("each", { types = "WORK", max_attempts = 1000, handler = note "each" }))
    local once = assert(bus:consumer("once", { types = "WORK", max_attempts = 1000, handler = function(d)
      return d:transaction(function(tx) return tx:create_entity("Done", { properties = { sequence = d.sequence } }) end)
    end }))
    local batch = assert(bus:consumer("batch", { types = { "WORK", "POISON" }, max_attempts = 4, retry_delay = 0.001, handler = note "batch" }))
    for _, consumer in ipairs { each, once, batch } do
      assert(consumer:wait_idle(WAIT))
      assert.equal(0, consumer:lag())
    end
  end)
  local done = {}
  for _, entity in ipairs(assert(m:query_entities { entity_type = "Done" })) do
    local sequence = entity.metadata.properties.sequence
    assert.is_nil(done[sequence], ("event %d was done twice"):format(sequence))
    done[sequence] = true
  end
  local work, poison = 0, {}
  for _, message in ipairs(assert(bus:events { type = "WORK" })) do
    work = work + 1
    assert.is_true(done[message.sequence], ("event %d was not done"):format(message.sequence))
    assert.is_true(acked[message.sequence] or in_doubt[message.sequence] or got.each[message.sequence], ("event %d was lost"):format(message.sequence))
    assert.is_falsy(acked[message.sequence] and got.each[message.sequence])
  end
  for _, message in ipairs(assert(bus:events { type = "DEAD_LETTER" })) do
    assert.is_nil(dead[message.data.event.sequence], "one dead letter each")
    dead[message.data.event.sequence] = message.data
  end
  for _, message in ipairs(assert(bus:events { type = "POISON" })) do
    poison[#poison + 1] = message.sequence
    assert.is_table(dead[message.sequence], "poison without a dead letter")
    assert.equal(4, dead[message.sequence].attempts)
    dead[message.sequence] = nil
  end
  assert.is_nil((next(dead)), "work that only failed once is no dead letter")
  assert(m:shutdown())
  return work, #poison
end

describe("consumers of a process that is killed", function()
  it("are handed nothing again that they acknowledged, lose nothing, do once what is once", function()
    print("# crash_consumers_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path, acked, in_doubt, own = killing.new_path("consumers"), {}, {}, 0
    for _ = 1, KILLS do
      local wanted = math.random(1, 150)
      local lines, killed = killing.run(("consumer.lua '%s' %d full %d"):format(path, FOLD_BYTES, math.random(1 << 30)), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.005 end
      end)
      if not killed then own = own + 1 end
      hear(lines, acked, in_doubt)
    end
    local work, poison = finish(path, acked, in_doubt)
    print(("# %d kills, %d of them by poison; %d events, %d poisoned"):format(KILLS, own, work, poison))
    assert.is_true(work > KILLS, "too little happened")
    killing.integrity(path)
    killing.remove(path)
  end)

  for _, durability in ipairs { "full", "normal" } do
    it("by what they are handed end that as a dead letter, and the events around it are done (" .. durability .. ")", function()
      local path = killing.new_path("poison")
      local m = assert(iu.open(path, { log_level = "off" }))
      for n = 1, 60 do assert(m.event_bus:publish(n % 25 == 0 and "POISON" or "WORK", { n = n })) end
      assert(m:shutdown())
      local runs, most = 0, {}
      local ended
      repeat
        runs = runs + 1
        local lines = killing.run(("poison.lua '%s' %s"):format(path, durability), function() end)
        for _, line in ipairs(lines) do
          local sequence, attempt = line:match("^> (%d+) (%d+)$")
          if sequence then most[sequence] = math.max(most[sequence] or 0, tonumber(attempt)) end
        end
        assert.is_true(runs < 30, "it does not come to an end")
        ended = lines[#lines] == "idle"
      until ended
      m = assert(iu.open(path, { log_level = "off" }))
      local letters, poison = assert(m.event_bus:events { type = "DEAD_LETTER" }), assert(m.event_bus:events { type = "POISON" })
      assert.equal(#poison, #letters)
      for i, letter in ipairs(letters) do
        assert.same({ poison[i].id, 4, "CRASHED" }, { letter.data.event.id, letter.data.attempts, letter.data.error.code })
      end
      for _, message in ipairs(assert(m.event_bus:events { type = "WORK" })) do
        assert.is_true(most[tostring(message.sequence)] <= 3, "work is not charged with the poison beside it")
      end
      print(("# %s: %d runs until both were buried"):format(durability, runs))
      assert(m:shutdown())
      killing.remove(path)
    end)
  end
end)
