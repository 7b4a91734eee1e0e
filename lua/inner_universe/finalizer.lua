-- When a finaliser may close things. The collector may run inside a C function of the core that is building rows for Lua: closing the
-- connection there would take away what it is reading. So a finaliser that interrupts a C function is put off to the next cycle.

local finalizer = {}

local getinfo, collect, exit = debug.getinfo, collectgarbage, os.exit

---For a `__gc` only, called directly in it: true when it may close now; else the object is to be finalised again by a later cycle.
---@param object table with a metatable that has __gc
---@return boolean
function finalizer.may_close(object)
  local interrupted = getinfo(3, "Sf") -- 1 is this function, 2 the __gc
  if not interrupted or interrupted.what ~= "C" or interrupted.func == collect or interrupted.func == exit then return true end
  debug.setmetatable(object, debug.getmetatable(object)) -- to be finalised once more; the metatable may be protected
  return false
end

return finalizer
