-- The process that crash_fallback_spec kills.  lua5.4 keeper.lua TARGET TOKEN QUEUE ROUND SEED PAUSE
--
-- Several tasks write to a server without end, through the manager and in batches, with the fallback plugin; what an earlier process kept is replayed first.
-- It tells the states, too: `state NAME`. After PAUSE writes (0: never) all stop, `paused` is said when a server must have saved what it answered, and they go
-- on when the server is away.

local iu = require "inner_universe"
local many_tasks = require "crash.many_tasks"

local TARGET, TOKEN, QUEUE, ROUND, SEED, PAUSE = table.unpack(arg, 1, 6)
local SAVED_AFTER = 0.7 -- seconds
local WORKERS = 8

io.stdout:setvbuf("no")
math.randomseed(math.tointeger(SEED))

local m = assert(iu.open(TARGET, {
  token = TOKEN, log_level = "off", reconnect_min_delay_ms = 10, reconnect_max_delay_ms = 50,
  plugins = { fallback = { path = QUEUE }, batch = { max_batch_size = 3, max_wait_ms = 2, resend_ms = 200 } },
}))
local fallback = assert(m:plugin("fallback"))
fallback:on_state(function(change) many_tasks.say("state", change.state) end)
many_tasks.say("opened")
many_tasks.say("state", fallback:state())

local turn, writer = 0, {}
local pause_at, parked = math.tointeger(PAUSE), 0

local function park()
  parked = parked + 1
  if parked == WORKERS then
    iu.sleep(SAVED_AFTER)
    many_tasks.say("paused")
  end
  while fallback:state() ~= "offline" do iu.sleep(0.005) end
end

-- Every other write of each method goes in a batch.
for _, method in ipairs { "create_entity", "update_entity", "publish_event" } do
  writer[method] = function(_, ...)
    turn = turn + 1
    if pause_at > 0 and turn > pause_at and parked < WORKERS then park() end
    local through = turn % 2 == 0 and m.batch or m
    return through[method](through, ...)
  end
end
many_tasks.run(writer, WORKERS, math.tointeger(ROUND))
