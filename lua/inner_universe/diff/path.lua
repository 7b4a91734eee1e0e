-- Dotted paths into a state: `data.items.0`. A dot or a backslash inside a key is escaped with a backslash, an empty key is `\e`, the empty path is
-- the root. A segment of digits is an index (from 0) only where the container is an array. core/sats/json_path.c reads the same language.

local path = {}

---The segments of a path, or nil and what is wrong with it.
---@param text string
---@return string[]?, string?
function path.parse(text)
  if text == "" then return {} end
  local segments = {}
  if not text:find("\\", 1, true) then
    for segment in (text .. "."):gmatch("([^.]*)%.") do
      if segment == "" then return nil, "has an empty segment (an empty key is written \\e)" end
      segments[#segments + 1] = segment
    end
    return segments
  end
  local at, length = 1, #text
  while at <= length + 1 do
    local parts, start = {}, at
    if text:match("^\\e%.", at) or text:match("^\\e$", at) then
      at = at + 2
    else
      while at <= length do
        local plain = text:match("^[^.\\]+", at)
        if plain then
          parts[#parts + 1] = plain
          at = at + #plain
        elseif text:byte(at) == 46 then
          break
        else
          local escaped = text:match("^\\([.\\])", at)
          if not escaped then return nil, "has a backslash that is not before a dot or a backslash, and not the whole segment \\e" end
          parts[#parts + 1] = escaped
          at = at + 2
        end
      end
      if at == start then return nil, "has an empty segment (an empty key is written \\e)" end
    end
    segments[#segments + 1] = table.concat(parts)
    at = at + 1
  end
  return segments
end

---One key as a segment.
---@param key string
---@return string
function path.escape(key)
  if key == "" then return "\\e" end
  return (key:gsub("[.\\]", "\\%0"))
end

---A path and one segment more: a key, or an index from 0.
---@param parent string
---@param key string|integer
---@return string
function path.join(parent, key)
  local segment = math.type(key) == "integer" and tostring(key) or path.escape(key)
  return parent == "" and segment or parent .. "." .. segment
end

---The path of segments `first` to `last`.
---@param segments string[]
---@param first integer
---@param last integer
---@return string
function path.format(segments, first, last)
  local out = {}
  for i = first, last do out[#out + 1] = path.escape(segments[i]) end
  return table.concat(out, ".")
end

---A segment as an index from 0, nil when it is none: digits without leading zeros.
---@param segment string
---@return integer?
function path.index(segment)
  if segment:match("^%d+$") and (segment == "0" or segment:byte(1) ~= 48) and #segment <= 15 then return math.tointeger(tonumber(segment)) end
  return nil
end

return path
