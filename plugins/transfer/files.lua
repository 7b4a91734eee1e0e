-- files.lua: files of lines, written and read piece by piece; gzip when the name ends in .gz (members behind each other, which every gunzip reads).
--
-- A file is written beside its name, and appears there when it is whole and on disk (iu.new_file). A device or a pipe is written as it is.

local iu = require "inner_universe"

local M = {}

local MEMBER_BYTES = 1 << 20 -- of text in one gzip member
local READ_BYTES = 1 << 16
local GZIP, BOM, CR = "\x1f\x8b", "\xef\xbb\xbf", 13

local function failure(path, why)
  why = tostring(why)
  return iu.errors.new("StorageError", why:sub(1, #path) == path and why or ("%s: %s"):format(path, why))
end

local function is_gzip(path) return path:match("%.gz$") ~= nil end

-- An open file (standard output), as what iu.new_file answers: it stays open, and what it got is nobody's to sync or to remove.
local function open_file(file)
  local name = file == io.stdout and "standard output" or tostring(file)
  return { name = function() return name end, publish = function() return true end, close = function() end }, file
end

---@param path string|file*
---@return table? writer, inner_universe.Error?
function M.writer(path)
  local given = io.type(path) and path
  local target, file
  if given then target, file = open_file(given) else target, file = iu.new_file(path) end
  if not target then return nil, file end
  local name = target:name()
  local self, parts, held = { bytes = 0 }, {}, 0

  local function spill()
    local text = table.concat(parts)
    parts, held = {}, 0
    if text == "" then return true end
    if not given and is_gzip(path) then text = assert(iu.gzip(text)) end
    local ok, wrong = file:write(text)
    if not ok then return nil, failure(name, wrong) end
    self.bytes = self.bytes + #text
    return true
  end

  function self.write(text)
    parts[#parts + 1] = text
    held = held + #text
    if held >= MEMBER_BYTES then return spill() end
    return true
  end

  ---All is on disk, under its name, also after a power loss; nil, err.
  function self.finish()
    local ok, err = spill()
    local closed, wrong
    if given then closed, wrong = file:flush() else closed, wrong = file:close() end
    file = nil
    if not ok then return nil, err end
    if not closed then return nil, failure(name, wrong) end
    return target:publish()
  end

  ---What was written so far goes.
  function self.abandon()
    if file and not given then file:close() end
    file = nil
    target:close()
  end

  return setmetatable(self, { __close = self.abandon })
end

-- What is compressed says so by its first bytes, whatever its name is; a name that says so and bytes that do not are damaged, unless they are text.
local function is_packed(path, first)
  return first:sub(1, #GZIP) == GZIP or is_gzip(path) and not first:find("^{") and not first:find("^" .. BOM)
end

-- A function that gives the plain bytes piece by piece; nil at the end; nil, err.
local function pieces(path, file)
  local function read()
    local bytes, why = file:read(READ_BYTES)
    if why then return nil, failure(path, why) end
    return bytes
  end
  local first, err = read()
  if err then return nil, err end
  local function next_bytes()
    if not first then return read() end
    local bytes = first
    first = nil
    return bytes
  end
  if not first or not is_packed(path, first) then return next_bytes end
  local stream, input, ended = iu.gunzip_stream(), "", false
  return function()
    while true do
      if input == "" and not ended then
        local bytes, why = next_bytes()
        if why then return nil, why end
        if bytes then input = bytes else ended = true end
      end
      local plain, used = stream:feed(input, READ_BYTES)
      if not plain then return nil, iu.errors.wrap("ValidationError", path .. ": damaged gzip data", used) end
      input = input:sub(used + 1)
      if plain ~= "" then return plain end
      if ended and input == "" then
        if not stream:is_whole() then return nil, iu.errors.new("ValidationError", path .. ": the gzip data end too early") end
        return nil
      end
    end
  end
end

---@param path string
---@param line_bytes integer a longer line is refused
---@return table? reader, inner_universe.Error?
function M.reader(path, line_bytes)
  local file, why = io.open(path, "rb")
  if not file then return nil, failure(path, why) end
  if not file:seek("cur") then
    file:close()
    return nil, iu.errors.new("ValidationError", path .. ": a pipe; a file is read more than once: save it first")
  end
  local next_piece, err = pieces(path, file)
  if not next_piece then
    file:close()
    return nil, err
  end
  local self = { at = 0 }
  local held, from, ended = "", 1, false -- a piece, where the next line begins in it, and whether there are no more

  local function too_long()
    return nil, iu.errors.new("OverloadedError", ("%s: line %d has more than %d bytes (line_bytes)"):format(path, self.at + 1, line_bytes))
  end

  -- Ends of lines as other systems write them, and the mark that some put in front, are no change of what is in the file.
  local function taken(line)
    if #line > line_bytes then return too_long() end
    self.at = self.at + 1
    if line:byte(-1) == CR then line = line:sub(1, -2) end
    if self.at == 1 and line:sub(1, #BOM) == BOM then line = line:sub(#BOM + 1) end
    return line
  end

  ---The next line without its end; nil at the end of the file; nil, err. A last line without an end is one, and `cut` is true then.
  function self.line()
    local parts, size = {}, 0
    while true do
      local cut = held:find("\n", from, true)
      if cut then
        parts[#parts + 1] = held:sub(from, cut - 1)
        from = cut + 1
        return taken(table.concat(parts))
      end
      parts[#parts + 1] = held:sub(from)
      size, held, from = size + #parts[#parts], "", 1
      if size > line_bytes then return too_long() end
      local piece, failed
      if not ended then piece, failed = next_piece() end
      if failed then return nil, failed end
      if not piece then
        ended = true
        if size == 0 then return nil end
        self.cut = true
        return taken(table.concat(parts))
      end
      held = piece
    end
  end

  function self.close()
    if file then file:close() end
    file = nil
  end

  return setmetatable(self, { __close = self.close })
end

return M
