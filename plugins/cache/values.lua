-- values.lua: what is kept of a value, and what is handed out of it. A table is kept as its JSON text, and whoever asks gets tables of his own; strings,
-- numbers, booleans and documents (iu.json.document) cannot be changed, and are handed out as they are. So nobody changes a value that is kept, and its
-- bytes are those of a text.

local iu = require "inner_universe"

local values = {}

local ENTRY_BYTES = 320 -- an entry's table, its places in the map and the list, its key's string without the bytes: measured
local STRING_BYTES = 32 -- of a string in Lua, besides its bytes
local DOCUMENT_WEIGHT, DOCUMENT_BYTES = 4, 512 -- a document's memory for each byte of its text, about; and whatever its text

--- The part of an entry that is the value: { text } of a table, { value }, or {} of nothing; and the bytes of the whole entry. nil, ValidationError for
--- what cannot be kept.
---@param key string
---@param value any
---@return { value: any, text: string?, bytes: integer }?, inner_universe.Error?
function values.entry(key, value)
  local kind = type(value)
  local bytes = ENTRY_BYTES + #key
  if kind == "table" then
    local text, err = iu.json.encode(value)
    if not text then
      err.message = "value: " .. err.message
      return nil, err
    end
    return { key = key, text = text, bytes = bytes + STRING_BYTES + #text }
  end
  if iu.json.is_document(value) then
    local text, err = iu.json.encode(value)
    if not text then return nil, err end
    return { key = key, value = value, bytes = bytes + DOCUMENT_BYTES + DOCUMENT_WEIGHT * #text }
  end
  if kind == "string" then return { key = key, value = value, bytes = bytes + STRING_BYTES + #value } end
  if kind == "number" or kind == "boolean" or kind == "nil" or value == iu.null then return { key = key, value = value, bytes = bytes } end
  return nil, iu.errors.new("ValidationError", ("value: a table of JSON, a document, a string, a number or a boolean expected, got a %s"):format(kind))
end

--- What is handed out.
---@param entry { value: any, text: string? }
---@return any
function values.of(entry)
  local text = entry.text
  if text then return (iu.json.decode(text)) end
  return entry.value
end

return values
