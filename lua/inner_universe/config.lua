-- Configuration: defaults, then a table, then a JSON or Lua file, then INNER_UNIVERSE_* variables, each over the one before. Every value is
-- checked; an unknown key is refused with the nearest known one. The result is read-only (`cfg.port`, `cfg:to_table()`).
--
-- Variables: INNER_UNIVERSE_<KEY> and INNER_UNIVERSE_FEATURES_<KEY>, upper case; booleans as true/false/1/0/yes/no/on/off;
-- lists of names with commas ("none": empty); INNER_UNIVERSE_PLUGINS as a JSON object; INNER_UNIVERSE_CONFIG names the file when none is given.

local errors = require("inner_universe.errors")
local schema = require("inner_universe.config_schema")
local suggest = require("inner_universe.suggest")
local data_file = require("inner_universe.data_file")

local config = {}

local PREFIX = "INNER_UNIVERSE_"
local DEPTH_MAX = 100
local BOOLEANS = {
  ["true"] = true, ["1"] = true, yes = true, on = true,
  ["false"] = false, ["0"] = false, no = false, off = false,
}

---@class inner_universe.Config
---@field address string
---@field port integer
---@field database string
---@field db_path string
---@field backend "embedded"|"spacetimedb"
---@field module_path? string
---@field module_dir? string
---@field build_module boolean
---@field features { enable_state_versioning: boolean, enable_audit_log: boolean, enable_metrics: boolean, enable_caching: boolean }
---@field cache_size_mb integer
---@field log_level inner_universe.Level
---@field durability "full"|"normal"|"off"
---@field flush_interval_ms integer
---@field history? ("entity"|"relation")[] tables whose changes are recorded; without it that stays as it is
---@field history_keep_days integer 0: no limit, as of the next two
---@field history_max_rows integer
---@field history_max_bytes integer
---@field snapshot boolean
---@field module? string the file of a module in Lua
---@field reducer_timeout_ms integer
---@field reducer_memory_mb integer
---@field plugins table paths = { ... }, <name> = { ... } | true | false
local Config = {}

local values_of = setmetatable({}, { __mode = "k" })

local metatable = {
  __name = "inner_universe.Config",
  __index = function(self, key)
    local method = Config[key]
    if method then return method end
    return values_of[self][key]
  end,
  __newindex = function(_, key)
    error(("a configuration is read-only (key '%s')"):format(tostring(key)), 2)
  end,
}

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function too_deep(value, depth)
  if type(value) ~= "table" then return false end
  if depth >= DEPTH_MAX then return true end
  for _, inner in next, value do
    if too_deep(inner, depth + 1) then return true end
  end
  return false
end

-- Of something that is not too deep. Metatables (arrays, objects of JSON) are kept.
local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, inner in next, value do
    result[key] = copy(inner)
  end
  local meta = getmetatable(value)
  return type(meta) == "table" and setmetatable(result, meta) or result
end

local function by_name(entries)
  local names = {}
  for _, entry in ipairs(entries) do
    names[entry.name] = entry
  end
  return names
end

local KEYS, FEATURES = by_name(schema.keys), by_name(schema.features)

-- checks -------------------------------------------------------------------------------------------------------------

local function show(value)
  return type(value) == "string" and ("'%s'"):format(#value > 60 and value:sub(1, 57) .. "..." or value) or tostring(value)
end

local function type_fits(value, expected)
  if expected == "integer" then return math.type(value) == "integer" end
  return type(value) == expected
end

-- An integral float is the integer (JSON written by others says 3000.0).
local function normalized(value, expected)
  if expected == "integer" and math.type(value) == "float" then return math.tointeger(value) or value end
  return value
end

-- Some of the names of entry.list: each once, in that list's order.
local function check_list(entry, value, where)
  local given = {}
  for i, name in pairs(value) do
    if math.type(i) ~= "integer" or i < 1 or i > #value then return invalid("%s: an array of names expected, found the key %s", where, show(i)) end
    given[name] = true
    local known = false
    for _, allowed in ipairs(entry.list) do known = known or name == allowed end
    if not known then
      return invalid("%s[%d]: one of %s expected, got %s%s", where, i, table.concat(entry.list, ", "), show(name), suggest.hint(tostring(name), entry.list))
    end
  end
  local names = {}
  for _, name in ipairs(entry.list) do
    if given[name] then names[#names + 1] = name end
  end
  return names
end

local function check_value(entry, value, where)
  value = normalized(value, entry.type)
  if not type_fits(value, entry.type) then
    return invalid("%s: %s expected, got %s%s", where, entry.type, type(value), type(value) == "table" and "" or " " .. show(value))
  end
  if entry.list then return check_list(entry, value, where) end
  if entry.one_of then
    for _, allowed in ipairs(entry.one_of) do
      if value == allowed then return value end
    end
    return invalid("%s: one of %s expected, got %s%s", where, table.concat(entry.one_of, ", "), show(value),
      suggest.hint(value, entry.one_of))
  end
  if entry.min and value < entry.min or entry.max and value > entry.max then
    return invalid("%s: %d to %d expected, got %d", where, entry.min, entry.max, value)
  end
  local wrong = entry.check and entry.check(value)
  if wrong then return invalid("%s: %s", where, wrong) end
  return value
end

local function unknown_key(key, known, where)
  if type(key) ~= "string" then return invalid("%s: keys are names, found %s", where, tostring(key)) end
  return invalid("%s: unknown key '%s'%s", where, key, suggest.hint(key, known))
end

local function merge_features(target, source, where)
  if type(source) ~= "table" then return invalid("%s.features: table expected, got %s", where, type(source)) end
  for key, value in pairs(source) do
    local entry = FEATURES[key]
    if not entry then return unknown_key(key, FEATURES, where .. ".features") end
    local checked, err = check_value(entry, value, where .. ".features." .. key)
    if checked == nil then return nil, err end
    target[key] = checked
  end
  return true
end

local function check_paths(paths, where)
  if type(paths) ~= "table" then return invalid("%s.plugins.paths: an array of folders expected, got %s", where, type(paths)) end
  local count = 0
  for key, path in pairs(paths) do
    count = count + 1
    if math.type(key) ~= "integer" or type(path) ~= "string" or path == "" then
      return invalid("%s.plugins.paths[%s]: the path of a folder expected, got %s", where, tostring(key), show(path))
    end
  end
  if count ~= #paths then return invalid("%s.plugins.paths: an array without gaps expected", where) end
  return true
end

local function merge_plugins(target, source, where)
  if type(source) ~= "table" then return invalid("%s.plugins: table expected, got %s", where, type(source)) end
  if too_deep(source, 0) then return invalid("%s.plugins: nested deeper than %d, or contains itself", where, DEPTH_MAX) end
  for name, value in pairs(source) do
    if name == "paths" then
      local ok, err = check_paths(value, where)
      if not ok then return nil, err end
      target.paths = copy(value)
    elseif type(name) ~= "string" or not name:match("^[a-z][a-z0-9_]*$") then
      return invalid("%s.plugins: a plugin's name is lower case, digits and _, found %s", where, show(name))
    elseif type(value) ~= "table" and type(value) ~= "boolean" then
      return invalid("%s.plugins.%s: a table, true or false expected, got %s", where, name, show(value))
    elseif type(value) == "table" and type(target[name]) == "table" then
      for key, inner in pairs(value) do
        target[name][key] = copy(inner)
      end
    elseif not (value == true and type(target[name]) == "table") then
      target[name] = copy(value)
    end
  end
  return true
end

local function merge(target, source, where)
  for key, value in pairs(source) do
    local entry = KEYS[key]
    if not entry then return unknown_key(key, KEYS, where) end
    local ok, err
    if entry.keys then
      ok, err = merge_features(target.features, value, where)
    elseif entry.plugins then
      ok, err = merge_plugins(target.plugins, value, where)
    else
      ok, err = check_value(entry, value, where .. "." .. key)
      if ok ~= nil then target[key] = ok end
    end
    if ok == nil then return nil, err end
  end
  return true
end

-- sources ------------------------------------------------------------------------------------------------------------

local function defaults()
  local values = { features = {}, plugins = {} }
  for _, entry in ipairs(schema.keys) do
    if entry.default ~= nil then values[entry.name] = entry.default end
  end
  for _, entry in ipairs(schema.features) do
    values.features[entry.name] = entry.default
  end
  return values
end

local function decode_json(text)
  return require("inner_universe.core").json_decode(text)
end

local function read_file(path, decode)
  local extension = path:match("%.([%w]+)$")
  if extension == "json" then return data_file.json(path, decode) end
  if extension == "lua" then return data_file.lua(path) end
  return invalid("%s: a configuration file ends in .json or .lua", path)
end

local function from_text(entry, text, variable, decode)
  if entry.type == "boolean" then
    local value = BOOLEANS[text:lower()]
    if value == nil then return invalid("%s: true or false expected, got %s", variable, show(text)) end
    return value
  end
  if entry.type == "integer" then
    local value = math.tointeger(tonumber(text))
    if not value then return invalid("%s: integer expected, got %s", variable, show(text)) end
    return value
  end
  if entry.list then
    local names = {}
    if text ~= "none" then
      for name in text:gmatch("[^,%s]+") do names[#names + 1] = name end
    end
    return names
  end
  if entry.plugins then
    local value, err = decode(text)
    if type(value) ~= "table" then return invalid("%s: a JSON object expected%s", variable, err and ": " .. tostring(err) or "") end
    return value
  end
  return text
end

local function merge_variables(target, getenv, decode)
  local function take(entry, variable, into)
    local text = getenv(variable)
    if text == nil or text == "" then return true end
    local value, err = from_text(entry, text, variable, decode)
    if value == nil then return nil, err end
    if entry.plugins then return merge_plugins(into.plugins, value, variable) end
    value, err = check_value(entry, value, variable)
    if value == nil then return nil, err end
    into[entry.name] = value
    return true
  end
  for _, entry in ipairs(schema.keys) do
    if not entry.keys then
      local ok, err = take(entry, PREFIX .. entry.name:upper(), target)
      if not ok then return nil, err end
    end
  end
  for _, entry in ipairs(schema.features) do
    local ok, err = take(entry, PREFIX .. "FEATURES_" .. entry.name:upper(), target.features)
    if not ok then return nil, err end
  end
  return true
end

local function environment(env)
  if env == nil then return os.getenv end
  if env == false then
    return function() end
  end
  if type(env) == "function" then return env end
  return function(name)
    return env[name]
  end
end

---@param value any
---@return boolean
function config.is(value)
  return getmetatable(value) == metatable
end

---@class inner_universe.ConfigOptions
---@field file? string path of a .json or .lua file
---@field env? table|function|false where variables come from [os.getenv]; false: nowhere
---@field overrides? table wins over everything
---@field decode? fun(text: string): any, any decoder of JSON [the core's]

---The effective configuration.
---@param source? table|string|inner_universe.Config a table, or the path of a file; a Config stays as it is
---@param options? inner_universe.ConfigOptions
---@return inner_universe.Config?, inner_universe.Error?
function config.new(source, options)
  if config.is(source) then return source end
  options = options or {}
  if type(source) == "string" then
    options = setmetatable({ file = source }, { __index = options })
    source = nil
  end
  if source ~= nil and type(source) ~= "table" then
    error(("bad argument #1 to 'config' (a table or the path of a file expected, got %s)"):format(type(source)), 2)
  end
  local getenv, decode = environment(options.env), options.decode or decode_json
  local values = defaults()
  local ok, err = merge(values, source or {}, "config")
  if not ok then return nil, err end
  local path = options.file or getenv(PREFIX .. "CONFIG")
  if path and path ~= "" then
    local from_file
    from_file, err = read_file(path, decode)
    if not from_file then return nil, err end
    ok, err = merge(values, from_file, path)
    if not ok then return nil, err end
  end
  ok, err = merge_variables(values, getenv, decode)
  if not ok then return nil, err end
  ok, err = merge(values, options.overrides or {}, "config")
  if not ok then return nil, err end
  local cfg = setmetatable({}, metatable)
  values_of[cfg] = values
  return cfg
end

---A plain table with every effective key; changing it changes nothing else.
---@return table
function Config:to_table()
  return copy(values_of[self])
end

return config
