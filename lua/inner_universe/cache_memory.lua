-- What the caches of a universe may hold together (cache_size_mb). Each cache has an account and says what it takes and gives back; when all of them together
-- hold more than the limit, the one that holds most gives way first, whoever asked: so none keeps the others out, and one alone may have everything.
--
-- Counting is the caches' own: bytes they know or estimate. Cost: an addition, while there is room.

local check = require("inner_universe.check")

local cache_memory = {}

---@class inner_universe.CacheAccount
---@field name string
---@field used integer bytes
local Account = { __name = "inner_universe.CacheAccount" }
Account.__index = Account

-- The open account that holds most and was not found to have nothing left to give.
local function largest(pool, passed)
  local found
  for account in pairs(pool.accounts) do
    if not passed[account] and account.used > 0 and (not found or account.used > found.used or (account.used == found.used and account.name < found.name)) then
      found = account
    end
  end
  return found
end

local function make_room(pool)
  local passed = {}
  while pool.used > pool.limit do
    local account = largest(pool, passed)
    if not account then return end
    local before = account.used
    account.shrink(pool.used - pool.limit)
    if account.used >= before then passed[account] = true end
  end
end

---The cache holds so many bytes more, or less where it is negative. More may call the `shrink` of any account, this one's among them.
---@param bytes integer
function Account:add(bytes)
  local pool = self.pool
  if not pool then return end
  self.used = self.used + bytes
  pool.used = pool.used + bytes
  if bytes > 0 and pool.used > pool.limit then make_room(pool) end
end

---Gives everything back; again: nothing. What is added afterwards counts nowhere.
function Account:close()
  local pool = self.pool
  if not pool then return end
  pool.used = pool.used - self.used
  pool.accounts[self], self.pool, self.used = nil, nil, 0
end

---@param limit integer bytes
function cache_memory.new(limit)
  local pool = { limit = limit, used = 0, accounts = {} }
  local face = { limit = limit }

  ---`shrink(bytes)` gives back at least so many where it can, through `add`; it may not wait.
  ---@param name string
  ---@param shrink fun(bytes: integer)
  ---@return inner_universe.CacheAccount
  function face.open(name, shrink)
    check.type(shrink, "callable", 1, "open", "shrink")
    local account = setmetatable({ pool = pool, name = name, used = 0, shrink = shrink }, Account)
    pool.accounts[account] = true
    return account
  end

  ---@return integer bytes of all accounts
  function face.used()
    return pool.used
  end

  return face
end

return cache_memory
