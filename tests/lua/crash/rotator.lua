-- The process that crash_security_spec kills.  lua5.4 rotator.lua PATH KEYS BATCH
--
-- Seals what is sealed with older keys with the newest, each batch on disk before it is told: `rows N` after each (on standard output, unbuffered), `done` at
-- the end.

local iu = require "inner_universe"

local PATH, KEYS, BATCH = table.unpack(arg, 1, 3)

io.stdout:setvbuf("no")

local m = assert(iu.open(PATH, {
  durability = "full", log_level = "error",
  plugins = { security = { sealed = { entity = { "properties.email" } }, keys = { { file = KEYS } } } },
}))
print("opened")
local done = assert(m.security:rotate { batch = math.tointeger(BATCH), progress = function(rows) print("rows " .. rows) end })
print("done " .. done.rows)
