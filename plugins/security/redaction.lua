-- redaction.lua: what must not be shown: values at configured paths, in audit events and in log messages.
--
-- An audit event has the metadata before and after: there the paths say what is hidden. A log message is a text in which a value may be quoted, whole or
-- cut: the latest values that went by at those paths are remembered, and every stretch of a message that is one, or begins like one, is hidden; of less than
-- STEM bytes where `...` says that it was cut. What is shorter than SHORTEST would be found everywhere, and is not looked for.

local iu = require "inner_universe"

local plugin = ...
local paths = plugin.load "paths"

local HIDDEN = "[redacted]"
local SHORTEST = 4  -- bytes
local STEM = 16     -- bytes by which a cut value is recognised
local WITH_METADATA = { ENTITY_UPDATED = "entity", ENTITY_DELETED = "entity", RELATION_UPDATED = "relation" }

--- patterns: { entity, relation }.
return function(patterns, values_max)
  local redaction = { hidden = HIDDEN }
  local ring, at, known = {}, 0, {} -- the latest values; `known`: those that are in the ring

  local function remember(text)
    if #text < SHORTEST or known[text] then return end
    at = at % values_max + 1
    if ring[at] then known[ring[at]] = nil end
    ring[at], known[text] = text, true
  end

  -- Texts as they are, and as JSON writes them where that differs.
  local function remember_value(value)
    if type(value) == "table" then
      for _, inner in pairs(value) do remember_value(inner) end
    elseif type(value) == "string" then
      if known[value] then return end
      local text = iu.json.encode(value)
      if text and #text ~= #value + 2 then remember(text:sub(2, -2)) end
      remember(value)
    elseif value ~= iu.null and type(value) ~= "boolean" then
      remember(tostring(value))
    end
  end

  --- Remembers what a redacted path is compared with.
  function redaction.note_value(value)
    if values_max > 0 then remember_value(value) end
  end

  --- Remembers the values at the paths of a kind.
  function redaction.note(kind, value, list)
    if values_max == 0 then return end
    paths.each(value, list or patterns[kind] or {}, "", function(container, key)
      remember_value(container[key])
      return true
    end)
  end

  local function common(text, from, value)
    local n = 0
    while n < #value and text:byte(from + n) == value:byte(n + 1) do n = n + 1 end
    return n
  end

  local function hide(message, value)
    local stem = value:sub(1, STEM)
    local first = message:find(stem, 1, true)
    if not first then return message end
    local parts, from = {}, 1
    while first do
      parts[#parts + 1] = message:sub(from, first - 1)
      parts[#parts + 1] = HIDDEN
      from = first + common(message, first, value)
      first = message:find(stem, from, true)
    end
    parts[#parts + 1] = message:sub(from)
    return table.concat(parts)
  end

  -- How many bytes before the `...` at `dots` are the beginning of a value, less than its stem: what a quotation had room for.
  local function cut_before(message, dots)
    local most, begins = math.min(STEM, dots) - 1, {}
    for n = SHORTEST, most do begins[message:sub(dots - n, dots - n + SHORTEST - 1)] = true end
    local longest = 0
    for _, value in pairs(ring) do
      if begins[value:sub(1, SHORTEST)] then -- seldom: all else is for those only
        for n = math.min(most, #value - 1), math.max(SHORTEST, longest + 1), -1 do
          if message:sub(dots - n, dots - 1) == value:sub(1, n) then
            longest = n
            break
          end
        end
      end
    end
    return longest
  end

  local function hide_cut(message)
    local dots = message:find("...", 1, true)
    while dots do
      local n = cut_before(message, dots)
      if n > 0 then
        message = message:sub(1, dots - n - 1) .. HIDDEN .. message:sub(dots)
        dots = dots - n + #HIDDEN
      end
      dots = message:find("...", dots + 3, true)
    end
    return message
  end

  --- A log message without those values.
  function redaction.message(message)
    local longest = {}
    for _, value in pairs(ring) do
      if message:find(value:sub(1, STEM), 1, true) then longest[#longest + 1] = value end
    end
    table.sort(longest, function(a, b) return #a > #b end) -- one that is a part of another would leave the rest of it
    for _, value in ipairs(longest) do message = hide(message, value) end
    return hide_cut(message)
  end

  --- An audit event's data, in its place.
  function redaction.audit(event_type, data)
    local kind = WITH_METADATA[event_type]
    local list = kind and patterns[kind]
    if not list or #list == 0 or type(data) ~= "table" then return end
    for _, field in ipairs { "metadata", "old_metadata", "new_metadata" } do
      local metadata = data[field]
      paths.each(type(metadata) == "table" and metadata.properties, list, "", function(container, key)
        container[key] = HIDDEN
        return true
      end)
    end
  end

  function redaction.forget()
    ring, at, known = {}, 0, {}
  end

  return redaction
end
