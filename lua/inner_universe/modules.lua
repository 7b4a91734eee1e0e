-- The modules of a connection: from the option `module` (paths, modules, or a list of both) to what the core takes, and `conn:reload`, which puts other
-- functions behind the reducers of a running universe. A file is loaded anew for each connection, in an environment of its own that sees the program's
-- globals; what it makes global stays there.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local definition = require("inner_universe.module_definition")
local module = require("inner_universe.module")
local schema_difference = require("inner_universe.module_difference")

local modules = {}

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function load_file(path)
  local file, message = io.open(path, "rb")
  if not file then return invalid("module: %s", message) end
  local text = file:read("a")
  file:close()
  if not text then return invalid("module: %s: not a file", path) end
  local chunk, why = load(text, "@" .. path, "t", setmetatable({}, { __index = _G }))
  if not chunk then return invalid("module: %s", why) end
  local ok, made, err = xpcall(chunk, function(raised)
    return errors.is(raised) and raised or tostring(raised)
  end)
  if not ok then
    if errors.is(made) then return nil, made end
    return invalid("module: %s", made:find(path, 1, true) and made or path .. ": " .. made)
  end
  if module.is(made) then return made end
  if made == nil and errors.is(err) then return nil, errors.new(err.kind, ("%s: %s"):format(path, err.message), { cause = err.cause }) end
  return invalid("module: %s: should return iu.module(...), returned %s", path, type(made))
end

-- One entry: { module, path?, name, definition, defaults, table_count, run }.
local function read_one(given, where)
  local made, path = given, nil
  if type(given) == "string" then
    path = given
    local loaded, err = load_file(path)
    if not loaded then return nil, err end
    made = loaded
  elseif not module.is(given) then
    return invalid("module%s: a path or a module (iu.module) expected, got %s", where, type(given))
  end
  local described, err = definition.of(module.parts(made))
  if not described then return nil, errors.new(err.kind, ("module %s: %s"):format(made.name, err.message)) end
  return {
    module = made, path = path, name = made.name, definition = described.definition, defaults = described.defaults, table_count = described.table_count,
    run = described.run, log = runtime.log.logger("module " .. made.name),
  }
end

local function list_of(given)
  if type(given) == "string" or module.is(given) or type(given) ~= "table" then return { given }, false end
  return given, true
end

---The entries of the option `module`.
---@param given string|inner_universe.Module|(string|inner_universe.Module)[]
---@return table[]?, inner_universe.Error?
function modules.read(given)
  local list, many = list_of(given)
  local entries, names = {}, {}
  for key in pairs(list) do
    if many and (math.type(key) ~= "integer" or key < 1 or key > #list) then
      return invalid("module: an array of paths and modules expected, found the key '%s'", tostring(key))
    end
  end
  for i, each in ipairs(list) do
    local entry, err = read_one(each, many and ("[%d]"):format(i) or "")
    if not entry then return nil, err end
    if names[entry.name] then return invalid("module: two modules are called '%s'", entry.name) end
    names[entry.name], entries[i] = entry, entry
  end
  return entries
end

local function fresh_entries(entries, given)
  if given ~= nil then return modules.read(given) end
  local paths = {}
  for _, entry in ipairs(entries) do paths[#paths + 1] = entry.path end
  if #paths == 0 then return invalid("reload: no module came from a file; give the new modules: conn:reload(module)") end
  return modules.read(paths)
end

---Puts the functions of fresh modules behind the reducers of those that run: all of them, or none.
---@param entries table[] what modules.read gave
---@param given? string|inner_universe.Module|table the new ones, by name; nil: the files are read again
---@return true?, inner_universe.Error?
function modules.reload(entries, given)
  if runtime.core.in_reducer() then return nil, errors.new("ConflictError", "reload: not inside a reducer") end
  local fresh, err = fresh_entries(entries, given)
  if not fresh then return nil, err end
  local by_name = {}
  for _, entry in ipairs(entries) do by_name[entry.name] = entry end
  for _, new in ipairs(fresh) do
    local old = by_name[new.name]
    if not old then return invalid("reload: no module '%s' runs here", new.name) end
    if old.definition ~= new.definition then
      return nil, errors.new("MigrationError", ("reload: module %s: its declaration changed, and only functions can be replaced while it runs: %s"):format(
        new.name, table.concat(schema_difference.list(module.parts(old.module), module.parts(new.module)), "; ")))
    end
  end
  for _, new in ipairs(fresh) do -- nothing below can fail
    local old = by_name[new.name]
    for i, run in ipairs(new.run) do old.run[i] = run end
    old.module, old.path = new.module, new.path or old.path
  end
  return true
end

return modules
