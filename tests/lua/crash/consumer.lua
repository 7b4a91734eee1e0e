-- The process that crash_consumers_spec kills.  lua5.4 consumer.lua PATH FOLD_BYTES DURABILITY SEED
--
-- Three consumers work off what it publishes at the same time: `each` acknowledges events one by one and says so (`< each SEQUENCE`); `once` writes what it
-- does and its acknowledgement in one transaction; `batch` acknowledges by returning, now and then fails, and dies of poison by itself (SIGKILL), as soon as
-- it gets it. Each says what it is handed (`> NAME SEQUENCE ATTEMPT`) before it does anything with it.

local iu = require "inner_universe"
local content = require "crash.content"
local dying = require "crash.dying"

local PATH, FOLD_BYTES, DURABILITY, SEED = table.unpack(arg, 1, 4)

local say = dying.begin(SEED, FOLD_BYTES)

local m = assert(iu.open(PATH, { durability = DURABILITY, log_level = "off" }))
local bus = m.event_bus
say("opened")

local function each(d)
  say(">", "each", d.sequence, d.attempt)
  assert(d:ack())
  say("<", "each", d.sequence)
end

local function once(d)
  say(">", "once", d.sequence, d.attempt)
  return d:transaction(function(tx)
    assert(tx:create_entity("Done", { properties = { sequence = d.sequence } })) -- an id of its own: done twice, there are two
    return true
  end)
end

local function batch(d)
  say(">", "batch", d.sequence, d.attempt)
  if d.type == "POISON" then
    os.execute("kill -9 $PPID")
  end
  if d.attempt == 1 and math.random() < 0.05 then error("fails on purpose") end
end

local KILLS_ITSELF = { types = { "WORK", "POISON" }, from = "start", batch = 8, max_attempts = 4, retry_delay = 0.001, handler = batch }

iu.run(function()
  -- Kills are attempts, too: one event may have many of them.
  assert(bus:consumer("each", { types = "WORK", from = "start", batch = 8, max_attempts = 1000, handler = each }))
  assert(bus:consumer("once", { types = "WORK", from = "start", batch = 8, max_attempts = 1000, handler = once }))
  assert(bus:consumer("batch", KILLS_ITSELF))
  for n = 1, math.maxinteger do
    assert(bus:publish("WORK", content.event(n)))
    if math.random() < 0.01 then assert(bus:publish("POISON", { n = n })) end
    if math.random() < 0.1 then iu.sleep(0.001) else coroutine.yield() end
  end
end)
