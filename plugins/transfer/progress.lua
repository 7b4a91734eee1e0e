-- progress.lua: how far it is, told to whoever asked: rows, rate and time left.

local M = {}

---@param clock fun(): number
---@param fn? fun(info: table)
---@param total integer rows
function M.new(clock, fn, total)
  local began, done, fresh = clock(), 0, 0
  local self = {}

  ---So many more rows of a table; `skipped`: they were there already, and say nothing of the rate.
  function self.add(name, rows, skipped)
    done = done + rows
    if not skipped then fresh = fresh + rows end
    if not fn then return end
    local seconds = clock() - began
    local rate = seconds > 0 and fresh / seconds or 0
    fn { table = name, rows = done, total = math.max(total, done), seconds = seconds, rate = rate,
      left = rate > 0 and math.max(total - done, 0) / rate or nil }
  end

  function self.seconds() return clock() - began end

  return self
end

return M
