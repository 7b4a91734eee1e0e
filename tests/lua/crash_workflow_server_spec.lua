-- Two processes work at the workflows of one server; one of them is killed (SIGKILL), or stopped for longer than its lease (SIGSTOP), again and again. Others
-- take its runs over; what it still writes afterwards is refused: transactions are applied exactly once, and every run comes to its right end.
--
-- IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local core = require "inner_universe.core"
local orders = require "crash.orders"
local spacetimedb = require "spacetimedb"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local ROUNDS = SANITIZED and 3 or 9
local STOPPED = 1.2 -- seconds; the lease is 0.5
local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local function nap(seconds)
  local finish = core.mono() + seconds
  while core.mono() < finish do os.execute("sleep 0.02") end
end

local function signal(process, name)
  return os.execute(("kill -%s %d 2>/dev/null"):format(name, process.pid)) == true
end

-- What a process said: whole lines, when it has ended.
local function lines_of(process)
  local lines = {}
  for line in io.lines(process.output) do lines[#lines + 1] = line end
  os.remove(process.output)
  return lines
end

describe("processes of a server that are killed and stopped while they work at workflows", function()
  it("take over from each other, and never record for another", function()
    if not spacetimedb.address then return pending("no SpacetimeDB server") end
    print("# crash_workflow_server_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local name = spacetimedb.name()
    local token = spacetimedb.publish(name)
    local target = ("%s/%s"):format(spacetimedb.address, name)
    local m = assert(iu.open(target, { token = token, log_level = "off", plugins = { workflow = { keep_runs = 0 } } }))
    local w, conn = assert(m:plugin("workflow")), assert(m.client:connection())
    local model, number, processes = orders.new_model(), 0, {}
    model.together = true

    local function start(mode)
      number = number + 1
      local process = { before = orders.read(conn), output = ("%s/iu_workflow_%s"):format(os.getenv("TMPDIR") or "/tmp", iu.uuid()) }
      local pipe = assert(io.popen(("lua5.4 tests/lua/crash/workflower.lua '%s' 0 %d %d %d %s '%s' >'%s' 2>&1 & echo $!"):format(target, number,
        math.random(1 << 30), math.random(2) == 1 and 0 or 30, mode, token, process.output)))
      process.pid = assert(math.tointeger(tonumber(pipe:read("l"))))
      pipe:close()
      processes[process] = true
      return process
    end

    local function finish(process)
      signal(process, "KILL")
      while signal(process, "0") do nap(0.02) end
      processes[process] = nil
      orders.hear(model, lines_of(process), process.before)
    end

    local _ <close> = setmetatable({}, { __close = function()
      for process in pairs(processes) do signal(process, "KILL") end
    end })

    local pair, stops = { start("go"), start("go") }, 0
    for _ = 1, ROUNDS do
      nap(0.2 + math.random() * 0.4)
      local which = math.random(2)
      if math.random(3) == 1 then
        stops = stops + 1
        signal(pair[which], "STOP")
        nap(STOPPED)
        signal(pair[which], "CONT")
      else
        finish(pair[which])
        pair[which] = start("go")
      end
    end
    finish(pair[1])
    finish(pair[2])
    local tries = 0
    repeat -- what a killed process had sent may have come after the last one looked
      tries = tries + 1
      local last = start("finish")
      while signal(last, "0") do nap(0.05) end
      finish(last)
    until tries == 3 or #orders.rows_of(conn, "live") == 0
    local seen = orders.check_ends(orders.read(conn), model, w)
    assert(m:shutdown())
    spacetimedb.discard(name, token)
    for kind = 0, 3 do assert.is_true(SANITIZED or (seen[kind] or 0) > 0, "no run of kind " .. kind) end
    print(("# %d kills, %d stops; %d runs, %d steps begun, %d compensations"):format(ROUNDS - stops + 2, stops, seen[0] + seen[1] + seen[2] + seen[3],
      model.counts.ran, model.counts.undid))
  end)
end)
