-- The process that crash_working_copy_spec kills.  lua5.4 reshaper.lua PATH ROUND
--
-- Changes the schema of a universe on a working copy again and again, each change with all rows, and publishes it. Tells on standard output, unbuffered:
-- `copying`, `copied`, `changed N`, `publishing N` before each publish and `published N` after it.

local iu = require "inner_universe"
local content = require "crash.reshaped"

local PATH = arg[1]

io.stdout:setvbuf("no")

local function say(...)
  io.stdout:write(table.concat({ ... }, " ") .. "\n") -- one write
end

local copy = assert(iu.working_copy(PATH, { progress = function(what) if what == "copy" then say("copying") end end }))
say("copied")
local n = content.generation(copy)
while true do
  n = n + 1
  content.change(copy, n)
  say("changed", n)
  say("publishing", n)
  assert(copy:publish{ keep_open = true, module = content.module(n) })
  say("published", n)
  if n % 4 == 0 then
    assert(copy:rollback()) -- which copies again
    say("copied")
  end
end
