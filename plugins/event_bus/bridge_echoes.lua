-- bridge_echoes.lua: what a bridge has published on its bus, and hears again by its subscriptions: each of them once.
--
-- Which topics a subscription hears is the bus's affair, and so is what it makes of a message. So every subscription expects every message, by its keys: its
-- id, or where the bus may carry none (or one of its own) its type and data, as they are in the log and as they come back out of what was published. What a
-- subscription does not hear is forgotten after `window` seconds: it does not hear an equal message of somebody else either.
-- Of several equal messages the youngest counts as the one that has come: an older one may never come.

local iu = require "inner_universe"

local EXPECTED_MAX = 10000 -- messages that a subscription expects; more: the oldest are forgotten

local echoes = {}

local Line = {} -- of one subscription
Line.__index = Line

--- clock: seconds, forward only. window: how long a message may take to come back.
function echoes.new(clock, window)
  return setmetatable({ clock = clock, window = window, ring = {}, first = 1, last = 0, by_key = {} }, Line)
end

local function id_key(id) return "id " .. tostring(id) end

-- nil: data that is no JSON, which never was in the log.
local function content_key(event_type, data)
  local hash = data == nil and "none" or iu.json.hash(data)
  return hash and ("%s %s"):format(hash, tostring(event_type))
end

--- By what a message is known that is published as `encoded` (what `encode` gave, packed), which a subscription that hears just that reads by `decode`.
--- decode: nil where both are known to do nothing to it. carries_id: the bus is known to carry the log's ids.
---@return string[]
function echoes.keys(message, encoded, decode, carries_id)
  local keys = { id_key(message.id) }
  if carries_id then return keys end
  local back = decode and table.pack(pcall(decode, table.unpack(encoded, 1, encoded.n)))
  local read = back and back[1] and type(back[2]) == "string"
  if read and back[5] == message.id then return keys end
  keys[2] = content_key(message.type, message.data)
  local other = read and content_key(back[2], back[3])
  if other and other ~= keys[2] then keys[#keys + 1] = other end
  return keys
end

-- What is over goes from both ends of a key's entries.
local function trim(line, key)
  local entries = line.by_key[key]
  if not entries then return nil end
  while entries.first <= entries.last and entries[entries.first].over do
    entries[entries.first] = nil
    entries.first = entries.first + 1
  end
  while entries.first <= entries.last and entries[entries.last].over do
    entries[entries.last] = nil
    entries.last = entries.last - 1
  end
  if entries.first <= entries.last then return entries end
  line.by_key[key] = nil
end

--- It does not come any more, or has come.
function Line:forget(entry)
  if entry.over then return end
  entry.over = true
  for _, key in ipairs(entry.keys) do trim(self, key) end
end

local function forget_oldest(line)
  local oldest = line.ring[line.first]
  line.ring[line.first] = nil
  line.first = line.first + 1
  line:forget(oldest)
end

--- Expects a message once. What `forget` takes.
function Line:expect(keys)
  local now, ring = self.clock(), self.ring
  while self.first <= self.last and (ring[self.first].over or ring[self.first].due <= now or self.last - self.first + 1 >= EXPECTED_MAX) do
    forget_oldest(self)
  end
  local entry = { keys = keys, due = now + self.window, over = false }
  self.last = self.last + 1
  ring[self.last] = entry
  for _, key in ipairs(keys) do
    local entries = self.by_key[key] or { first = 1, last = 0 }
    self.by_key[key] = entries
    entries.last = entries.last + 1
    entries[entries.last] = entry
  end
  return entry
end

local function came(line, key)
  local entries = key and trim(line, key)
  if not entries then return false end
  local youngest = entries[entries.last]
  line:forget(youngest)
  return youngest.due > line.clock()
end

--- Whether what has been heard is a message that was expected: then it has come.
---@return boolean
function Line:take(event_type, data, id)
  if next(self.by_key) == nil then return false end
  return id ~= nil and came(self, id_key(id)) or came(self, content_key(event_type, data))
end

return echoes
