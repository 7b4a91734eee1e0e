-- new_file.lua: iu.new_file: a file that appears under its name when it is whole and on disk, and the open file to write it by.

local errors = require("inner_universe.errors")
local runtime = require("inner_universe.runtime")

---The file `new:name()`, open as `file`: write it, close it, then `new:publish()`; `new:close()` removes what was not published.
---@param path string
---@return inner_universe.NewFile? new
---@return file*|inner_universe.Error file
return function(path)
  local new, err = runtime.core.new_file(path)
  if not new then return nil, err end
  local name = new:name()
  local file, why = io.open(name, name == path and "wb" or "r+b") -- a device or a pipe; or what was just made
  if file then return new, file end
  new:close()
  return nil, errors.new("StorageError", why)
end
