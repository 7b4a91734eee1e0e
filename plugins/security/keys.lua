-- keys.lua: the keys: where they come from, and which is which.
--
-- A key is 32 random bytes, written as 64 hex digits. Its id is made of the key, and nobody names it: a value says by its id which key opens it, and a
-- wrong key never has the right id. So a value that does not open with the key it names was changed, moved, or both.

local iu = require "inner_universe"

local keys = {}

local KEYS_MAX = 64 -- of all sources together

local function refused(format, ...)
  return nil, iu.errors.new("AuthorizationError", format:format(...))
end

--- Sixteen hex digits.
function keys.id_of(hex)
  return iu.json.hash("inner_universe key " .. hex:lower()):sub(1, 16)
end

-- The text of a source, or nil, err.
local function text_of(source)
  if source.file then return iu.secret.read(source.file) end
  local text = os.getenv(source.env)
  if text and text ~= "" then return text end
  return refused("the environment has no %s", source.env)
end

-- hex: what is in the line. All of it has to be the key: a second one behind it would be passed over, and missed only when it is needed.
local function add(ring, hex, where, number)
  if not (#hex == 64 and hex:match("^%x+$")) then
    return refused("%s: line %d: a key is 64 hex digits (openssl rand -hex 32), one a line", where, number)
  end
  local id = keys.id_of(hex)
  if ring.by_id[id] then return true end
  if #ring.list == KEYS_MAX then return refused("%s: more than %d keys", where, KEYS_MAX) end
  ring.by_id[id] = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  ring.list[#ring.list + 1] = { id = id, source = where }
  return true
end

--- { by_id, list = { { id, source } }, newest = id or nil, err = why a source gave none }: a source that fails leaves the others' keys.
function keys.read(sources)
  local ring = { by_id = {}, list = {} }
  for i, source in ipairs(sources) do
    local where = source.file and ("the file %s"):format(source.file) or ("the variable %s"):format(source.env)
    local text, err = text_of(source)
    local ok, number = text ~= nil, 0
    for line in (text or ""):gmatch("[^\n]*") do
      number = number + 1
      local hex = line:gsub("#.*", ""):match("^%s*(.-)%s*$")
      if ok and hex ~= "" then ok, err = add(ring, hex, where, number) end
    end
    -- What seals is the newest key of the first source, or nothing: an older one in its place would be used unseen.
    if i == 1 then
      ring.newest = ok and ring.list[1] and ring.list[1].id or nil
      if ok and not ring.newest then err = select(2, refused("%s: no key in it", where)) end
    end
    ring.err = ring.err or err
  end
  if #sources == 0 then ring.err = select(2, refused("no key is configured (keys)")) end
  return ring
end

return keys
