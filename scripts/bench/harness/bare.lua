-- bare.c, compiled into build/bench and loaded: harness.bare() -> its functions.
local FOLDER = "build/bench"

return function()
  local file = FOLDER .. "/bare_lua.so"
  local command = "mkdir -p %s && cc -std=c11 -O2 -Wall -Wextra -shared -fPIC $(pkg-config --cflags lua5.4) -o %s scripts/bench/harness/bare.c"
  assert(os.execute(command:format(FOLDER, file)), "bare.c does not compile")
  return assert(package.loadlib(file, "luaopen_bare"))()
end
