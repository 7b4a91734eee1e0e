-- Read-only views. A frozen table is a proxy: reads, pairs, ipairs and # go through, writes raise at the writer's line. The table behind it
-- stays writable by who holds it. Tables inside are not frozen unless `deep` is used (which copies nothing).

local freeze = {}

local function refuse(what)
  return function(_, key)
    error(("%s is read-only (field '%s')"):format(what, tostring(key)), 2)
  end
end

---@generic T: table
---@param t T
---@param what? string its name in the message
---@return T
function freeze.table(t, what)
  return setmetatable({}, {
    __index = t,
    __newindex = refuse(what or "this table"),
    __pairs = function()
      return next, t, nil
    end,
    __len = function()
      return #t
    end,
    __metatable = "frozen",
  })
end

---Frozen all the way down. For plain data: a cycle is an error, depth is bounded.
---@generic T: table
---@param t T
---@param what? string
---@return T
function freeze.deep(t, what, depth)
  depth = depth or 0
  assert(depth < 100, "too deep to freeze")
  local copy = {}
  for key, value in pairs(t) do
    local plain = type(value) == "table" and getmetatable(value) == nil
    copy[key] = plain and freeze.deep(value, what, depth + 1) or value
  end
  return freeze.table(copy, what)
end

return freeze
