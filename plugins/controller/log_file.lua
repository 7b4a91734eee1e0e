-- log_file.lua: what a server wrote: how much there is, its last lines, without terminal colours; put aside when it has grown large.

local log_file = {}

local TAIL_BYTES = 256 * 1024

---Bytes; 0 when there is none.
function log_file.size(path)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local size = file:seek("end")
  file:close()
  return size or 0
end

---The last lines, oldest first, of what was written behind `from` (bytes).
---@param path string
---@param lines integer
---@param from? integer
---@return string[]
function log_file.tail(path, lines, from)
  local file = io.open(path, "rb")
  if not file then return {} end
  local size = file:seek("end") or 0
  local start = math.max(from or 0, size - math.max(TAIL_BYTES, lines * 512))
  file:seek("set", math.min(start, size))
  local text = (file:read("a") or ""):gsub("\27%[[%d;]*%a", "")
  file:close()
  local all = {}
  for line in text:gmatch("[^\r\n]+") do all[#all + 1] = line end
  if start > (from or 0) then table.remove(all, 1) end -- probably half a line
  return table.move(all, math.max(1, #all - lines + 1), #all, 1, {})
end

---What an error should carry of those lines: from the last one that says "Error" or "panicked", without the backtrace below it; else the last ones.
---@param path string
---@param lines integer
---@param from? integer
---@return string "" when nothing was written
function log_file.reason(path, lines, from)
  local all = log_file.tail(path, 400, from)
  local first
  for i, line in ipairs(all) do
    if line:find("^Error") or line:find("panicked at", 1, true) then first = i end
  end
  local out = {}
  for i = first or math.max(1, #all - lines + 1), #all do
    if first and (all[i]:find("^Stack backtrace") or #out >= lines) then break end
    out[#out + 1] = all[i]
  end
  return table.concat(out, "\n")
end

---Puts a log that is larger than `most` bytes aside, over the one put aside before.
function log_file.rotate(path, most)
  if log_file.size(path) > most then os.rename(path, path .. ".1") end
end

return log_file
