-- sealing.lua: values sealed and opened. A sealed value is the text `sealed:1:<key id>:<base 64>`: AES-256-GCM of the value's JSON under a nonce of its own.
--
-- It is bound to its table, row and path: a sealed text that is moved to another place does not open there.
--   AuthorizationError   the key that it names is not here
--   StorageError         the key is here and it does not open, or what is there is no sealed text: the stored row was changed

local iu = require "inner_universe"

local plugin = ...
local paths = plugin.load "paths"

local FORM = "^sealed:1:(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x):(.*)$"

local function associated(name, row_key, path)
  return string.pack("<s4s4s4s4", "inner_universe.sealed.1", name, row_key, path)
end

--- get_ring() answers the keys (keys.lua); accept_plain: what is not sealed is read as it is.
return function(get_ring, accept_plain)
  local sealing = {}

  local function refused(kind, name, row_key, path, format, ...)
    local message = ("%s %s: %s: %s"):format(name, row_key, path, format:format(...))
    return nil, iu.errors.new(kind, message, { details = { table = name, key = row_key, path = path } })
  end

  --- The id of the key that a value is sealed with; nil: it is not sealed.
  function sealing.key_of(value)
    return type(value) == "string" and value:match(FORM) or nil
  end

  function sealing.seal(name, row_key, path, value)
    local ring = get_ring()
    local key = ring.newest and ring.by_id[ring.newest]
    if not key then return refused("AuthorizationError", name, row_key, path, "no key to seal it with: %s", ring.err and ring.err.message or "none") end
    local text, err = iu.json.encode(value)
    if not text then return nil, err end
    local sealed
    sealed, err = iu.secret.seal(key, text, associated(name, row_key, path))
    if not sealed then return nil, err end
    return ("sealed:1:%s:%s"):format(ring.newest, sealed)
  end

  function sealing.open(name, row_key, path, value)
    local id, sealed
    if type(value) == "string" then id, sealed = value:match(FORM) end
    if not id then
      if accept_plain then return value end
      return refused("StorageError", name, row_key, path, "it is not sealed, as it should be (accept_plain reads what is there, rotate() seals it)")
    end
    local key = get_ring().by_id[id]
    if not key then return refused("AuthorizationError", name, row_key, path, "it is sealed with the key %s, which is not here", id) end
    local text, err = iu.secret.open(key, sealed, associated(name, row_key, path))
    if text then
      local opened
      opened, err = iu.json.decode(text)
      if opened ~= nil then return opened end
    end
    local _, wrapped = refused("StorageError", name, row_key, path, "it does not open with its key: it was changed, or moved here from another place")
    wrapped.cause = err
    return nil, wrapped
  end

  local function each(change)
    return function(value, patterns, root, name, row_key)
      return paths.each(value, patterns, root, function(container, key, path)
        local changed, err = change(name, row_key, path, container[key])
        if changed == nil then return nil, err end
        container[key] = changed
        return true
      end)
    end
  end

  --- (value, patterns, root, table, row key): every value at a pattern, in its place. true, or nil, err.
  sealing.seal_all = each(sealing.seal)
  sealing.open_all = each(sealing.open)

  --- What is sealed with another key than the newest, or (with accept_plain) not at all, is sealed with the newest. How many, or nil, err.
  function sealing.renew_all(value, patterns, root, name, row_key)
    local count = 0
    local ok, err = paths.each(value, patterns, root, function(container, key, path)
      local present = container[key]
      if sealing.key_of(present) == get_ring().newest and get_ring().newest then return true end
      local plain, why = sealing.open(name, row_key, path, present)
      if plain == nil then return nil, why end
      container[key], why = sealing.seal(name, row_key, path, plain)
      if container[key] == nil then return nil, why end
      count = count + 1
      return true
    end)
    if not ok then return nil, err end
    return count
  end

  return sealing
end
