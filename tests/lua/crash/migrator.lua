-- The process that crash_migrations_spec kills.  lua5.4 migrator.lua PATH FOLDER
--
-- Applies all migrations and takes them back, again and again, and says on standard output, unbuffered, what it is at: `> up`, `. NAME WAY DONE` for progress,
-- `< up`.

local iu = require "inner_universe"

local PATH, FOLDER = arg[1], arg[2]

io.stdout:setvbuf("no")

local function say(...)
  io.stdout:write(table.concat({ ... }, " ") .. "\n") -- one write
end

-- Each batch is on disk before the next, so that many kills find one half way.
local g = assert(iu.migrations({ db_path = PATH, durability = "full", log_level = "error" }, { folder = FOLDER, lock_timeout = 60 }))

local function progress(event)
  say(".", event.name, event.direction, tostring(event.done))
end

-- What a killed one left half way down is taken back first.
local function run(way, options)
  say(">", way)
  options.progress = progress
  local report, err = g[way](g, options)
  if not report and err.code == "HALFWAY" then
    say("halfway")
    return false
  end
  if not report then error(tostring(err)) end
  say("<", way)
  return true
end

say("opened")
while true do
  run("up", {})
  run("down", { to = 0 })
end
