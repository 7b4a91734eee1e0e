-- state_file.lua: what a data folder says about the server that runs on it: server.json, written when it answers (a detached one's: when it begins),
-- removed when it was ended. So that another process (`iu server status`, `iu server stop`) finds it. A process id alone may be another program's by now:
-- the time it started at is kept, too.

local iu = require "inner_universe"

local state_file = {}

local BYTES_MAX = 65536

-- Clock ticks since boot at which a process started (proc(5), field 22); nil when there is no such process.
local function started_at(pid)
  local file = io.open(("/proc/%d/stat"):format(pid), "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  local rest = text and text:match("^.*%) (.*)$") -- the name before may hold anything
  local fields = {}
  for field in (rest or ""):gmatch("%S+") do fields[#fields + 1] = field end
  if fields[1] == "Z" then return nil end -- ended, and nobody asked yet
  return math.tointeger(tonumber(fields[20]))
end

---@param path string
---@param facts { pid: integer, address: string, port: integer, program: string, detached: boolean, holder?: integer }
function state_file.write(path, facts)
  local record = {}
  for key, value in pairs(facts) do record[key] = value end
  record.started_ticks = started_at(facts.pid)
  local file, why = io.open(path .. ".new", "wb")
  if not file then return nil, iu.errors.new("StorageError", why) end
  local ok = file:write(assert(iu.json.encode(record)), "\n")
  if not (file:close() and ok and os.rename(path .. ".new", path)) then return nil, iu.errors.new("StorageError", path .. ": cannot be written") end
  return true
end

---The server that runs there, or nil: what was written, while that very process lives.
---@return table?
function state_file.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local record = iu.json.decode(file:read(BYTES_MAX) or "")
  file:close()
  if type(record) ~= "table" or math.type(record.pid) ~= "integer" or record.pid < 2 or type(record.address) ~= "string"
    or math.type(record.port) ~= "integer" or type(record.program) ~= "string" or (record.holder ~= nil and math.type(record.holder) ~= "integer") then
    return nil -- nothing that we wrote
  end
  if record.started_ticks == nil or started_at(record.pid) ~= record.started_ticks then return nil end
  return record
end

---Unless another server than `pid` runs there by now.
---@param path string
---@param pid? integer
function state_file.remove(path, pid)
  local record = state_file.read(path)
  if not record or record.pid == pid then os.remove(path) end
end

return state_file
