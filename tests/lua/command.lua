-- Running the command `iu` as a shell would: what the specs about it share.
--
--   local command = require "command"
--   local run = command.iu("query FILE 'SELECT 1'")     -- { status, out, err }; words are the shell's
--   command.sh("...")                                    -- the same for any command line
--
-- No search path of the runner reaches the command: it has to find its modules by itself.

local command = {}

command.root = assert(io.popen("pwd -P")):read("l")

function command.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

function command.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

function command.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

function command.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- A new folder in the runner's temporary one.
function command.folder()
  return assert(io.popen("mktemp -d")):read("l")
end

--- Runs a command line with an empty standard input; what it printed and its exit status (128 + n for signal n).
function command.sh(line)
  local folder = command.folder()
  local ok, how, code = os.execute(("env -u LUA_PATH -u LUA_CPATH -u COLUMNS sh -c %s >%s/out 2>%s/err </dev/null"):format(
    command.quote(line), folder, folder))
  local result = {
    status = ok and 0 or how == "signal" and 128 + code or code, out = command.read(folder .. "/out"), err = command.read(folder .. "/err"),
  }
  os.execute("rm -rf " .. folder)
  return result
end

--- The first line that a command prints. Nothing it starts runs under a preloaded sanitizer.
function command.line(text)
  local pipe = assert(io.popen("unset LD_PRELOAD; " .. text))
  local line = pipe:read("l")
  pipe:close()
  return line
end

function command.iu(words)
  return command.sh(command.quote(command.root .. "/scripts/iu") .. " " .. words)
end

return command
