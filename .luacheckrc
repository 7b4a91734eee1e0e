-- luacheck's rules: `make check` runs it over lua, plugins, scripts and tests.
std = "lua54"
max_line_length = 160
self = false
files["tests/lua"] = { std = "lua54+busted" }
