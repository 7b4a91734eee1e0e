-- A process killed at any moment (SIGKILL) while its server is away and it keeps writes (also one that was started then), while it replays what was kept,
-- and in between: everything acknowledged gets to the server, once and in its order; what had no answer gets there once or not at all.
--
-- On a SpacetimeDB server where the run has one, which is stopped and started again, and on the test double, which ends all connections and is deaf for a
-- while.
-- crash/keeper.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).
-- sanitizers: skip (the processes that die are other ones)

local iu = require "inner_universe"
local killing = require "crash.killing"
local many_tasks = require "crash.many_tasks"
local peer = require "peer"
local spacetimedb = require "spacetimedb"

local CYCLES, KILLS_OF_A_CYCLE, STARTED_AWAY = 6, 7, 2
local CYCLES_MAX = 18 -- so many, until each state was met
local AWAY_MS = 1500

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local with_server = spacetimedb.address and spacetimedb.wasm and it or pending

-- { target, token, down(), up(), remove(), saves_late }. saves_late: it answers before it saves, so that what it answered just before its end is lost.
local function real_world()
  local server = spacetimedb.start()
  local name = spacetimedb.name()
  local token = assert(spacetimedb.publish(name, nil, nil, server))
  return {
    target = server.address .. "/" .. name, token = token, saves_late = true,
    down = function() server:stop() end,
    up = function() server:restart() end,
    remove = function() server:remove() end,
  }
end

local function double_world()
  local server = peer.start()
  local name, token = server:database()
  local world = { target = ("ws://%s/%s"):format(server.address, name), token = token, remove = function() server:stop() end }
  function world.down() server:fault(('{"restart_ms":%d}'):format(AWAY_MS)) end
  function world.up()
    local conn
    repeat
      iu.sleep(0.05)
      conn = iu.connect(world.target, { token = world.token })
    until conn
    conn:close()
  end
  return world
end

local function kill_again_and_again(world)
  print("# crash_fallback_spec: IU_TEST_SEED=" .. SEED)
  math.randomseed(SEED)
  local queue, model = killing.new_path("fallback"), many_tasks.new_model()
  local sum, kills, seen, round, started_away = 0, 0, { offline = 0, replaying = 0, online = 0 }, 0, 0

  -- What the process is at when it is killed is counted by the state it told last.
  local function run(pause, stop)
    round = round + 1
    local state, first
    local lines, killed = killing.run(("keeper.lua '%s' '%s' '%s' %d %d %d"):format(world.target, world.token, queue, round, math.random(1 << 30), pause),
      function(line, lines)
        if not line then return nil end
        first = first or line:match("^state (%S+)$")
        state = line:match("^state (%S+)$") or state or line == "opened" and "online" or nil
        return stop(line, #lines, state)
      end)
    assert(killed, table.concat(lines, "\n"))
    if first == "offline" then started_away = started_away + 1 end
    kills, seen[state or "online"] = kills + 1, seen[state or "online"] + 1
    sum = sum + many_tasks.hear(model, lines, { "^opened$", "^paused$", "^state %S+$" })
  end

  local function all_met() return seen.offline > 0 and seen.replaying > 0 and started_away > 0 end
  local cycle = 0
  while cycle < CYCLES or cycle < CYCLES_MAX and not all_met() do
    cycle = cycle + 1
    local from, is_down, offline_at = math.random(0, 60), false, nil
    local length = math.random(0, 250)
    run(world.saves_late and from + 1 or 0, function(line, count, state)
      if not is_down and (line == "paused" or not world.saves_late and count > from) then
        world.down()
        is_down = true
      end
      if state == "offline" then offline_at = offline_at or count end
      if offline_at and count >= offline_at + length then return math.random() * 0.01 end
    end)
    for _ = 1, STARTED_AWAY do
      local wanted = math.random(0, 40)
      run(0, function(_, count)
        if count > wanted then return math.random() * 0.01 end
      end)
    end
    world.up()
    for _ = 2 + STARTED_AWAY, KILLS_OF_A_CYCLE do
      local wanted = math.random(0, 3) == 0 and 200 or math.random(1, 25)
      run(0, function(_, count)
        if count > wanted then return math.random() * 0.02 end
      end)
    end
  end

  local m = assert(iu.open(world.target, { token = world.token, log_level = "error", plugins = { fallback = { path = queue } } }))
  assert(m:plugin("fallback"):drain(60))
  local refused = assert(m.fallback:refused())
  for _, each in ipairs(refused) do assert.equal("nobody", each.operation.value.id, tostring(each.err)) end -- nothing was applied a second time
  local half_done = many_tasks.check(m, model)
  assert(m:shutdown())
  assert.is_true(kills >= 30)
  assert.is_true(sum > kills * 10, "too little happened: " .. sum)
  assert.is_true(all_met(), "no kill met the keeping, or the replay, or none was started while the server was away")
  print(("# %d kills (%d started while the server was away; %d while keeping, %d while replaying, %d between)")
    :format(kills, started_away, seen.offline, seen.replaying, seen.online))
  print(("# %d writes acknowledged, %d applied and not answered, %d refused later"):format(sum, half_done, #refused))
  killing.remove(queue)
end

describe("a process killed while it keeps and replays writes", function()
  local world
  after_each(function()
    if world then world.remove() end
    world = nil
  end)

  it("loses nothing and writes nothing twice, on the double", function()
    world = double_world()
    kill_again_and_again(world)
  end)

  with_server("loses nothing and writes nothing twice, on a server", function()
    world = real_world()
    kill_again_and_again(world)
  end)
end)
