-- main.lua: the program `iu`, a script and no module. It makes the modules beside it findable (the source tree's, or the installed ones),
-- chooses the command and turns its answer into the exit status: 0, 1 failure, 2 wrong use, 130 interrupted.
--
-- The Lua state is closed on every way out, so that an open universe is written and closed properly.

local HERE = "/inner_universe/cli/main.lua"

local function is_readable(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The folder that holds inner_universe/, in front of Lua's own paths. Installed where Lua looks anyway, nothing changes but the order.
local function set_paths(script)
  local root = script:sub(-#HERE) == HERE and script:sub(1, -#HERE - 1)
  if not root then return nil end
  package.path = ("%s/?.lua;%s"):format(root, package.path)
  local prefix = root:match("^(.*)/share/lua/5%.4$")
  local tree = root:match("^(.*)/lua$")
  if prefix then
    package.cpath = ("%s/lib/lua/5.4/?.so;%s"):format(prefix, package.cpath)
  elseif tree and is_readable(tree .. "/scripts/iu") then
    package.cpath = ("%s/lua/?.so;%s"):format(os.getenv("IU_BUILD") or tree .. "/build", package.cpath)
    return tree
  end
  return nil
end

local tree = set_paths(arg[0])
local NO_CORE = "module 'inner_universe.core' not found"
local commands = require("inner_universe.cli.commands")
local out = require("inner_universe.cli.out")

-- What lies below the program that `iu run` started is nobody's business.
local function traceback()
  return (debug.traceback(nil, 3):gsub("\n[^\n]*in function 'inner_universe%.cli%.run%.run'.*$", ""))
end

local function handler(raised)
  local text = type(raised) == "string" and raised or nil
  if text and text:match("interrupted!$") then return { interrupted = true } end
  if text and text:find(NO_CORE, 1, true) then
    return { text = tree and ("the core is not built; run `make` in %s"):format(tree) or "the core (inner_universe/core.so) is not installed" }
  end
  if not text and getmetatable(raised) and getmetatable(raised).__tostring then return { text = tostring(raised) } end
  return { text = text or ("(error object is a %s value)"):format(type(raised)), trace = traceback() }
end

local function main()
  local ok, status = xpcall(commands.run, handler, arg, { tree = tree, main = arg[0], lua = arg[-1] })
  if not ok then
    local failure = status
    status = 1
    out.clear()
    if failure.interrupted then
      status = 130
    else
      out.error(failure.trace and failure.text .. "\n" .. failure.trace or failure.text)
    end
  end
  if not out.finish() and status == 0 then status = 1 end
  return status
end

os.exit(main(), true)
