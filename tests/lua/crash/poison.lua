-- The process that crash_consumers_spec starts with poison in the log.  lua5.4 poison.lua PATH DURABILITY
--
-- A consumer works off everything there is, and dies (SIGKILL) of an event of the type POISON as soon as it gets it. Says `> SEQUENCE ATTEMPT` before each,
-- `idle` at the end.

local iu = require "inner_universe"

local PATH, DURABILITY = table.unpack(arg, 1, 2)

io.stdout:setvbuf("no")

local m = assert(iu.open(PATH, { durability = DURABILITY, log_level = "off" }))

iu.run(function()
  local consumer = assert(m.event_bus:consumer("c", { types = { "WORK", "POISON" }, from = "start", batch = 10, max_attempts = 4, handler = function(d)
    io.stdout:write(("> %d %d\n"):format(d.sequence, d.attempt))
    if d.type == "POISON" then
      os.execute("kill -9 $PPID")
    end
  end }))
  assert(consumer:wait_idle(60))
end)
assert(m:shutdown())
print("idle")
