-- lexer.lua: the text of a Lua program without what does not change its meaning: comments, white space, line ends. Two programs have the same canonical text
-- when they are the same tokens. It knows where strings, long brackets, numbers and comments end and nothing else of the language: a text that Lua would
-- refuse may pass here, which does no harm, since a file is compiled before its checksum counts.
--
-- Cost: one pass; a token is a match of a pattern. Strings stay as they are spelled: 'a' and "a" differ.

local lexer = {}

local SEPARATOR = "\n" -- between two tokens; inside of one only in strings, which begin with a quote or bracket

-- Where a long bracket that begins at `at` ends (the position behind it); nil when none begins there, false when it has no end.
local function long_bracket(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, last = text:find("]" .. level .. "]", at + #level + 2, true)
  return last and last + 1 or false
end

-- Behind the closing quote; false where the line ends before it. `\z` skips what is white, line ends included.
local function short_string(text, at)
  local quote, pos = text:sub(at, at), at + 1
  while true do
    pos = text:find("[\\\n\"']", pos)
    if not pos then return false end
    local found = text:sub(pos, pos)
    if found == quote then return pos + 1 end
    if found == "\n" then return false end
    if found == "\\" then
      if text:sub(pos + 1, pos + 1) == "z" then
        pos = text:find("%S", pos + 2) or #text + 1
      else
        pos = pos + 2
      end
    else
      pos = pos + 1
    end
  end
end

-- A number, a malformed one too: digits, letters, dots, and a sign behind an exponent's letter.
local function number(text, at)
  local exponent = text:match("^0[xX]", at) and "[pP]" or "[eE]"
  local pos = at
  while true do
    local signed = text:match("^" .. exponent .. "[+-]()", pos)
    local plain = text:match("^[%w_.]()", pos)
    if not (signed or plain) then return pos end
    pos = signed or plain
  end
end

local OPERATORS = { "...", "<<", ">>", "//", "==", "~=", "<=", ">=", "::", ".." }

local function operator(text, at)
  for _, each in ipairs(OPERATORS) do
    if text:sub(at, at + #each - 1) == each then return at + #each end
  end
  return at + 1
end

local function line_of(text, at)
  local _, count = text:sub(1, at - 1):gsub("\n", "")
  return count + 1
end

-- The end of what begins at `at`, and whether it is a token (or a comment); nil and a reason.
local function next_token(text, at)
  if text:find("^%-%-", at) then
    local last = long_bracket(text, at + 2)
    if last == false then return nil, "a comment without an end" end
    return last or (text:find("\n", at, true) or #text + 1), false
  end
  local c = text:sub(at, at)
  if c == "[" then
    local last = long_bracket(text, at)
    if last == false then return nil, "a long string without an end" end
    if last then return last, true end
  end
  if c == '"' or c == "'" then
    local last = short_string(text, at)
    if not last then return nil, "a string without an end" end
    return last, true
  end
  if c:find("[%a_\128-\255]") then return text:match("^[%w_\128-\255]+()", at), true end
  if c:find("%d") or text:find("^%.%d", at) then return number(text, at), true end
  return operator(text, at), true
end

---The tokens of a program, a line end between two; nil and a reason with its line.
---@param text string
---@return string?, string?
function lexer.canonical(text)
  text = text:gsub("\r\n?", "\n"):gsub("^#[^\n]*", "")
  local tokens, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at then break end
    local last, is_token = next_token(text, at)
    if not last then return nil, ("line %d: %s"):format(line_of(text, at), is_token) end
    if is_token then tokens[#tokens + 1] = text:sub(at, last - 1) end
    at = last
  end
  return table.concat(tokens, SEPARATOR)
end

return lexer
