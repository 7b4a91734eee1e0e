-- run.lua: `iu run FILE [ARGUMENTS]`: a Lua program with the modules found. `arg` and `...` are as under plain lua5.4; so are the values
-- the program ends with: falling off its end is 0, `os.exit` what it says, a raised error 1 (told by main.lua, with a traceback).

local out = require("inner_universe.cli.out")

local run = {
  summary = "run a Lua program with the module found",
  usage = "FILE [ARGUMENTS]",
  details = [[
FILE is a Lua 5.4 program, - is standard input. Its arguments are in `arg` and `...`, as under plain lua5.4.

  iu run hello.lua
  iu run scripts/examples/entities.lua world.universe]],
  stops = true,
  min = 1,
}

function run.run(_, arguments)
  local file = arguments[1]
  local program, why
  if file == "-" then
    program, why = load(io.stdin:read("a"), "=stdin")
  else
    program, why = loadfile(file)
  end
  if not program then return out.fail("%s", why) end
  local given = { [0] = file }
  for i = -1, -8, -1 do
    given[i] = arg[i]
  end
  table.move(arguments, 2, #arguments, 1, given)
  arg = given -- luacheck: ignore 121
  program(table.unpack(given))
  return 0
end

return run
