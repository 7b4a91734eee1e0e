-- lru.lua: entries by key within a number of bytes, those used last. What no longer fits goes, oldest first; `dropped(entry, why)` hears of every entry that
-- goes: "evicted" (for room), "expired", "deleted", "replaced", "cleared".
--
-- An entry is a table of its maker with `key` and `bytes`; the list uses its fields `newer` and `older`. All operations but `clear` are O(1); making room
-- is O(1) for each entry that goes.

---@class cache.Lru
local Lru = {}
Lru.__index = Lru

local lru = {}

---@param cap integer bytes
---@param most integer entries
---@param open fun(shrink: fun(bytes: integer)): inner_universe.CacheAccount ctx.cache_memory.open
---@param dropped fun(entry: table, why: string)
function lru.new(cap, most, open, dropped)
  local self = setmetatable({ entries = {}, count = 0, cap = cap, most = most, dropped = dropped }, Lru)
  self.account = open(function(bytes)
    local goal = self.account.used - bytes
    while self.oldest and self.account.used > goal do self:drop(self.oldest, "evicted") end
  end)
  return self
end

---@return table? entry
function Lru:find(key)
  return self.entries[key]
end

---It is the one used last.
function Lru:touch(entry)
  local newer = entry.newer
  if not newer then return end
  local older = entry.older
  newer.older = older
  if older then older.newer = newer else self.oldest = newer end
  local newest = self.newest
  newest.newer, entry.older, entry.newer, self.newest = entry, newest, nil, entry
end

function Lru:drop(entry, why)
  if self.entries[entry.key] ~= entry then return end
  local newer, older = entry.newer, entry.older
  if newer then newer.older = older else self.newest = older end
  if older then older.newer = newer else self.oldest = newer end
  entry.newer, entry.older = nil, nil
  self.entries[entry.key] = nil
  self.count = self.count - 1
  self.account:add(-entry.bytes)
  self.dropped(entry, why)
end

local function make_room(self)
  while self.oldest and (self.count > self.most or self.account.used > self.cap) do self:drop(self.oldest, "evicted") end
end

---Puts an entry; one with its key goes. False when it would not fit, alone; nothing has changed then but that the other one is gone.
---@return boolean
function Lru:put(entry)
  local before = self.entries[entry.key]
  if before then self:drop(before, "replaced") end
  if entry.bytes > self.cap or self.most < 1 then return false end
  local newest = self.newest
  entry.older, entry.newer = newest, nil
  if newest then newest.newer = entry else self.oldest = entry end
  self.newest = entry
  self.entries[entry.key] = entry
  self.count = self.count + 1
  self.account:add(entry.bytes)
  make_room(self)
  return self.entries[entry.key] == entry
end

---The entry takes so many bytes now.
function Lru:resize(entry, bytes)
  if self.entries[entry.key] ~= entry then return end
  self.account:add(bytes - entry.bytes)
  entry.bytes = bytes
  make_room(self)
end

function Lru:clear(why)
  while self.oldest do self:drop(self.oldest, why) end
end

---@return integer
function Lru:bytes()
  return self.account.used
end

return lru
