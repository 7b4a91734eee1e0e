-- universe_file.lua: looking at a universe file without changing it, and folding one before SQLite reads it.
--
-- A file that was closed properly is one plain SQLite database, and is read as such. Otherwise (its process is running, or was killed) it
-- has a lock file beside it; what its journal still holds reaches the tables when it is opened and closed once.

local core = require("inner_universe.core")
local iu = require("inner_universe")

local universe_file = {}

local MAGIC = "SQLite format 3\0"
local APPLICATION = "IUnv" -- at byte 68 of the header
local HEADER_BYTES = 100

local function readable(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

---Bytes of a file; 0 when there is none.
function universe_file.size(path)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local size = file:seek("end")
  file:close()
  return size or 0
end

---The path a target means, when a universe file is there. Creates nothing.
---@param target string
---@return string? path
---@return string? wrong
function universe_file.find(target)
  if target == "memory:" then return nil, "memory: keeps nothing; name a file" end
  if target:match("^%a[%w+.-]*://") and not target:match("^file:") then return nil, target .. ": only files can be read, not servers" end
  local path = target:match("^file://(/.*)$") or target:match("^file:(.*)$") or target
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local header
  header, why = file:read(HEADER_BYTES)
  file:close()
  if why then return nil, ("%s: %s"):format(path, why) end
  -- A universe that was killed in its first moments has everything in the write-ahead log.
  if readable(path .. "-wal") and (header or "") == "" then return path end
  if not header then return nil, path .. " is empty, no universe" end
  if header:sub(1, #MAGIC) ~= MAGIC then return nil, path .. " is no universe file (and no SQLite database)" end
  if header:sub(69, 72) ~= APPLICATION and not readable(path .. "-wal") then
    return nil, path .. " is an SQLite database, but no universe file"
  end
  return path
end

---The process that has the file open, as its lock file says; nil when there is none, or it is gone.
---@return integer?
function universe_file.holder(path)
  local file = io.open(path .. ".lock", "rb")
  if not file then return nil end
  local pid = math.tointeger(tonumber(file:read("l") or ""))
  file:close()
  return pid and readable(("/proc/%d/stat"):format(pid)) and pid or nil
end

---Was it closed properly, so that everything is in its tables?
function universe_file.is_settled(path)
  if universe_file.holder(path) or readable(path .. "-wal") then return false end
  local journal = core.sql(path, "SELECT count(*) FROM _iu_journal")
  return journal ~= nil and journal.rows[1][1] == 0
end

---Brings everything into the tables. Opens the universe when needed; says whose it is when another process has it, and what to do
---where it may only be read.
---@return true?, any err
function universe_file.settle(path)
  if universe_file.is_settled(path) then return true end
  local conn, err = iu.connect(path)
  if conn then return conn:close() end
  if err.kind ~= "StorageError" or not err.message:find("cannot be written", 1, true) then return nil, err end
  local words = "%s was not closed properly, and cannot be brought in order from here; `iu backup` makes a copy of it that can be asked"
  return nil, iu.errors.wrap("StorageError", words:format(path), err)
end

---SQL over the file as it is.
---@return table? result { columns, rows }
---@return any err
function universe_file.sql(path, text)
  return core.sql(path, text)
end

---The first column of the first row, or nil, err.
function universe_file.value(path, text)
  local result, err = core.sql(path, text)
  if not result then return nil, err end
  local value = result.rows[1] and result.rows[1][1]
  return value ~= core.null and value or nil
end

return universe_file
