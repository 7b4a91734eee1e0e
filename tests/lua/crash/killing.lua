-- Processes that are killed, and the files they leave.

local iu = require "inner_universe"
local core = require "inner_universe.core"

local killing = {}

local FOLDER = os.getenv("TMPDIR") or "/tmp"

function killing.new_path(name)
  return ("%s/iu_crash_%s_%s.universe"):format(FOLDER, name, iu.uuid())
end

function killing.remove(path)
  os.execute(("rm -f '%s' '%s'-*"):format(path, path)) -- and what SQLite and the lock keep beside it
end

--- The file as a killed process left it, under another name.
function killing.copy_of(path)
  local copy = killing.new_path("copy")
  assert(os.execute(("cp '%s' '%s'"):format(path, copy)))
  for _, kept in ipairs { "-wal", "-journal" } do -- the latter while a close leaves the write-ahead log
    os.execute(("if [ -e '%s%s' ]; then cp '%s%s' '%s%s'; fi"):format(path, kept, path, kept, copy, kept))
  end
  return copy
end

local function nap(seconds)
  local finish = core.mono() + seconds
  while core.mono() < finish do end
end

--- Runs a program of this folder (with its arguments); `stop(line, lines)` is asked at the start (with nil) and for each line it says; a number is
--- the seconds after which it is killed, nil lets it go on. What it said, and whether it was killed.
function killing.run(program, stop)
  local pipe = assert(io.popen("echo $$; exec lua5.4 tests/lua/crash/" .. program .. " 2>&1"))
  local pid = assert(math.tointeger(tonumber(pipe:read("l"))))
  local lines, killed = {}, false
  local delay = stop(nil, lines)
  while not delay do
    local line = pipe:read("l")
    if not line then break end
    lines[#lines + 1] = line
    delay = stop(line, lines)
  end
  if delay then
    nap(delay)
    killed = os.execute(("kill -9 %d 2>/dev/null"):format(pid)) == true
    for line in pipe:lines() do lines[#lines + 1] = line end
  end
  pipe:close()
  return lines, killed
end

--- Fails unless SQLite finds the file in order.
function killing.integrity(path)
  local pipe = assert(io.popen(("sqlite3 '%s' 'PRAGMA integrity_check'"):format(path)))
  local answer = pipe:read("a")
  pipe:close()
  assert(answer == "ok\n", answer)
end

return killing
