-- The process that crash_copy_spec kills.  lua5.4 copier.lua copy|import FROM TO [TOKEN | MODE CONFLICTS TABLE]
-- (TOKEN: of the owner, where TO is a server; the other three: options of a copy into a universe that is not empty)
--
-- Copies a universe (imports an export) and tells on standard output, unbuffered, how far it is; at the end `done`, and how much it wrote.

local iu = require "inner_universe"

local WHAT, FROM, TO = table.unpack(arg, 1, 3)
local TOKEN = #arg == 4 and arg[4] or nil
local MODE, CONFLICTS, TABLE = table.unpack(arg, TOKEN and 5 or 4, 6)

io.stdout:setvbuf("no")

local m = assert(iu.open("memory:", { log_level = "error", plugins = { transfer = { checkpoint_rows = 2000 } } }))
local plugin = assert(m:plugin("transfer"))
local PAUSE = 0.005 -- seconds after each slice, so that it is met inside, and not behind its end
local options = {
  mode = MODE, conflicts = CONFLICTS, tables = WHAT == "copy" and TABLE and { TABLE } or nil,
  to_options = TOKEN and { token = TOKEN } or nil,
  progress = function(info)
    io.stdout:write(("%s %d\n"):format(info.table, info.rows))
    iu.sleep(PAUSE)
  end,
}
io.stdout:write("begun\n")
local report, err
if WHAT == "copy" then report, err = plugin:copy(FROM, TO, options) else report, err = plugin:import(FROM, TO, options) end
if not report then error(tostring(err)) end
io.stdout:write(("done %d %s\n"):format(report.written or report.rows, tostring(report.resumed)))
