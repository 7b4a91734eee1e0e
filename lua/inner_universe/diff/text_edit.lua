-- Edits of a text, the `patch` of a string: a list of { at, count, text }: at byte `at` (from 0) of the old text's UTF-8, `count` bytes give way to
-- `text`. Ascending, without overlap, at borders of characters.

local text_edit = {}

local function at_border(text, at)
  return at == #text or text:byte(at + 1) & 0xC0 ~= 0x80
end

local function refuse(i, format, ...)
  return nil, ("patch[%d]: "):format(i - 1) .. format:format(...)
end

local function check(text, edit, i, from)
  if type(edit) ~= "table" then return refuse(i, "expected an edit [at, count, text], got %s", type(edit)) end
  local at, count, by = edit[1], edit[2], edit[3]
  if math.type(at) ~= "integer" or math.type(count) ~= "integer" or type(by) ~= "string" or #edit ~= 3 then
    return refuse(i, "expected an edit [at, count, text]: two integers and a string")
  end
  if at < from then return refuse(i, "at %d, expected at least %d (edits ascend and do not overlap)", at, from) end
  if count < 0 or at > #text or count > #text - at then return refuse(i, "bytes %d to %d of a text of %d bytes", at, at + count, #text) end
  if not at_border(text, at) or not at_border(text, at + count) then return refuse(i, "at %d, inside a character", at) end
  return true
end

---The text after the edits, or nil and what is wrong with them.
---@param text string
---@param edits table
---@return string?, string?
function text_edit.apply(text, edits)
  local out, from = {}, 0
  for i = 1, #edits do
    local ok, why = check(text, edits[i], i, from)
    if not ok then return nil, why end
    local at, count = edits[i][1], edits[i][2]
    out[#out + 1] = text:sub(from + 1, at)
    out[#out + 1] = edits[i][3]
    from = at + count
  end
  out[#out + 1] = text:sub(from + 1)
  return table.concat(out)
end

---The edits that lead back. `edits` fit `text`.
---@param text string
---@param edits table
---@return table
function text_edit.invert(text, edits)
  local back, shift = {}, 0
  for i, edit in ipairs(edits) do
    local at, count, by = edit[1], edit[2], edit[3]
    back[i] = { at + shift, #by, text:sub(at + 1, at + count) }
    shift = shift + #by - count
  end
  return back
end

return text_edit
