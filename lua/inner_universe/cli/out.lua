-- out.lua: everything the commands print. Text for people goes to standard output, errors to standard error with "iu: " in front.
-- The first failed write is remembered: `finish` reports it (a reader that went away is no error worth a word).

local out = {}

local failed -- why standard output takes no more
local terminals = {} -- by descriptor
local bar_shown = false

-- Asked once per descriptor; Lua itself cannot tell.
local function is_terminal(descriptor)
  if terminals[descriptor] == nil then
    terminals[descriptor] = os.execute("test -t " .. descriptor .. " 2>/dev/null") == true
  end
  return terminals[descriptor]
end

---Is standard output a terminal?
---@return boolean
function out.is_terminal()
  return is_terminal(1)
end

---Columns of the terminal; 80 when nobody knows.
---@return integer
function out.width()
  local columns = math.tointeger(tonumber(os.getenv("COLUMNS") or ""))
  if not columns then
    local pipe = io.popen("stty size 2>/dev/null </dev/tty")
    if pipe then
      columns = math.tointeger(tonumber((pipe:read("a"):match("^%d+ (%d+)"))))
      pipe:close()
    end
  end
  return columns and columns >= 20 and columns or 80
end

---@param text string
function out.write(text)
  if failed then return end
  local ok, why = io.stdout:write(text)
  if not ok then failed = why end
end

function out.line(format, ...)
  out.write((select("#", ...) > 0 and format:format(...) or format) .. "\n")
end

---Says what went wrong; what was printed so far comes first.
function out.error(message)
  out.clear()
  io.stdout:flush()
  io.stderr:write("iu: ", message, "\n")
end

---What an err (or anything else that was raised) says to a person: its message, and those of its causes.
function out.message(err)
  if type(err) ~= "table" or err.message == nil then return tostring(err) end
  local text = err.message
  return err.cause ~= nil and ("%s (%s)"):format(text, out.message(err.cause)) or text
end

---The same for a failed command: its exit status.
function out.fail(format, ...)
  out.error(select("#", ...) > 0 and format:format(...) or format)
  return 1
end

---Did everything reach standard output?
---@return boolean
function out.finish()
  local ok, why = io.stdout:flush()
  if not ok then failed = failed or why end
  if failed and not failed:find("Broken pipe", 1, true) then io.stderr:write("iu: standard output: ", failed, "\n") end
  return not failed
end

-- numbers ------------------------------------------------------------------------------------------------------------

---12345 as "12,345".
function out.thousands(n)
  local text = ("%d"):format(math.floor(n + 0.5))
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^(%-?),", "%1"))
end

---Bytes as "1.2 MB".
function out.bytes(n)
  for _, unit in ipairs({ "bytes", "kB", "MB", "GB" }) do
    if n < 1000 or unit == "GB" then return (unit == "bytes" and "%d %s" or "%.1f %s"):format(n, unit) end
    n = n / 1000
  end
end

---"1 row", "2 rows".
function out.count(n, one, many)
  return ("%s %s"):format(out.thousands(n), n == 1 and one or many or one .. "s")
end

-- text on a terminal -------------------------------------------------------------------------------------------------

-- First and last of the ranges drawn two columns wide, and of those that take none.
local WIDE = { 0x1100, 0x115f, 0x2e80, 0xa4cf, 0xac00, 0xd7a3, 0xf900, 0xfaff, 0xfe30, 0xfe4f, 0xff00, 0xff60, 0xffe0, 0xffe6, 0x1f300,
  0x1faff, 0x20000, 0x3fffd }
local NONE = { 0x300, 0x36f, 0x200b, 0x200f, 0xfe00, 0xfe0f }

local function within(ranges, code)
  for i = 1, #ranges, 2 do
    if code >= ranges[i] and code <= ranges[i + 1] then return true end
  end
  return false
end

local function columns_of(code)
  if code < 0x300 then return 1 end
  return within(NONE, code) and 0 or within(WIDE, code) and 2 or 1
end

---Columns that a UTF-8 text takes on a terminal.
function out.columns(text)
  if not text:find("[\128-\255]") then return #text end
  local columns = 0
  for _, code in utf8.codes(text) do
    columns = columns + columns_of(code)
  end
  return columns
end

---Cut to so many columns, with an ellipsis where something is missing.
function out.cut(text, limit)
  if out.columns(text) <= limit then return text end
  local used = 1
  for at, code in utf8.codes(text) do
    used = used + columns_of(code)
    if used > limit then return text:sub(1, at - 1) .. "…" end
  end
  return text
end

-- Takes columns away from the widest until the line fits.
local function fit(widths, width)
  local total = 2 * (#widths - 1)
  for _, w in ipairs(widths) do
    total = total + w
  end
  while total > width do
    local widest = 1
    for i, w in ipairs(widths) do
      if w > widths[widest] then widest = i end
    end
    if widths[widest] <= 8 then return end
    widths[widest] = widths[widest] - 1
    total = total - 1
  end
end

---Aligned text.
---@param header string[]
---@param rows string[][] valid UTF-8
---@param options? { right: table<integer, boolean>, width: integer, indent: string } width: cut to it
---@return string
function out.table(header, rows, options)
  options = options or {}
  local right, indent, widths = options.right or {}, options.indent or "", {}
  for i, name in ipairs(header) do
    widths[i] = out.columns(name)
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], out.columns(row[i]))
    end
  end
  if options.width then fit(widths, options.width - #indent) end
  local function line(cells)
    local parts = {}
    for i, cell in ipairs(cells) do
      local text = out.cut(cell, widths[i])
      local blanks = (" "):rep(widths[i] - out.columns(text))
      parts[i] = right[i] and blanks .. text or text .. blanks
    end
    return indent .. table.concat(parts, "  "):gsub("%s+$", "") .. "\n"
  end
  local rules = {}
  for i, w in ipairs(widths) do
    rules[i] = ("-"):rep(w)
  end
  local lines = { line(header), line(rules) }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = line(row)
  end
  return table.concat(lines)
end

-- progress -----------------------------------------------------------------------------------------------------------

local BAR = 30 -- columns

---Removes a bar that is being shown.
function out.clear()
  if bar_shown then out.write("\r\27[K") end
  bar_shown = false
end

---A line that the next one replaces, on a terminal; nothing in a pipe.
---@param text string
function out.status(text)
  if not out.is_terminal() then return end
  out.write("\r\27[K" .. out.cut(text, out.width() - 1))
  io.stdout:flush()
  bar_shown = true
end

---Work of a known length: a bar on a terminal, nothing in a pipe. `step(n)`, n done so far, costs little; `done(text)` removes the bar and
---prints the line.
---@param label string
---@param total integer
---@return { step: fun(n: integer), done: fun(format: string, ...) }
function out.progress(label, total)
  local every = math.max(1, total // 100)
  local progress = {}
  function progress.step(n)
    if n % every ~= 0 or not out.is_terminal() then return end
    local full = total > 0 and n * BAR // total or BAR
    out.write(("\r%s [%s%s] %3d%%"):format(label, ("#"):rep(full), ("."):rep(BAR - full), total > 0 and n * 100 // total or 100))
    io.stdout:flush()
    bar_shown = true
  end
  function progress.done(format, ...)
    out.clear()
    out.line(format, ...)
    io.stdout:flush()
  end
  return progress
end

return out
