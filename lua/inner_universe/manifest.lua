-- Manifests: finding a plugin's folder, reading its manifest without running the plugin, checking a configuration against it.

local suggest = require("inner_universe.suggest")
local data_file = require("inner_universe.data_file")
local version = require("inner_universe.version")

local manifest = {}

local FIELDS = { name = true, version = true, api = true, description = true, requires = true, config = true, essential = true }
local CONFIG_FIELDS = { type = true, default = true, description = true, min = true, max = true, one_of = true }
local TYPES = { string = true, integer = true, number = true, boolean = true, table = true }

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- places -------------------------------------------------------------------------------------------------------------

-- The source tree's plugins/ beside lua/, or nil when this file is installed elsewhere.
local function beside_source()
  local here = debug.getinfo(1, "S").source:match("^@(.*)$")
  local lua_folder = here and here:match("^(.*)[/\\]inner_universe[/\\][^/\\]+$")
  if not lua_folder then return nil end
  local parent = lua_folder:match("^(.*)[/\\]lua$") or (lua_folder == "lua" and ".")
  return parent and parent .. "/plugins"
end

---Folders of a plugin of that name, in the order of search. The first is the one that counts.
---@param name string
---@param paths string[] the user's folders
---@return string[]
function manifest.folders(name, paths)
  local found, seen = {}, {}
  local function offer(folder)
    if not seen[folder] and exists(folder .. "/manifest.lua") then
      seen[folder] = true
      found[#found + 1] = folder
    end
  end
  local beside = beside_source()
  if beside then offer(beside .. "/" .. name) end
  local installed = package.searchpath("inner_universe.plugins." .. name .. ".manifest", package.path)
  if installed then offer((installed:gsub("[/\\]manifest%.lua$", ""))) end
  for _, path in ipairs(paths) do
    offer(path .. "/" .. name)
  end
  return found
end

---Whether a folder is itself a plugin.
---@param folder string
---@return boolean
function manifest.is_plugin(folder)
  return exists(folder .. "/manifest.lua")
end

---Where `folders` looks, for messages.
---@param paths string[]
---@return string
function manifest.places(paths)
  local places = { beside_source(), "inner_universe/plugins on package.path" }
  table.move(paths, 1, #paths, #places + 1, places)
  return table.concat(places, ", ")
end

-- reading ------------------------------------------------------------------------------------------------------------

local function check_fields(t, known, where)
  for key in pairs(t) do
    if not known[key] then return ("%sunknown field '%s'%s"):format(where, tostring(key), suggest.hint(tostring(key), known)) end
  end
end

local function value_fits(value, expected)
  if expected == "integer" then return math.type(value) == "integer" end
  return type(value) == expected
end

-- What is wrong with a value of the right type, or nil.
local function out_of_bounds(value, entry)
  if entry.one_of then
    for _, each in ipairs(entry.one_of) do
      if value == each then return nil end
    end
    return ("one of %s expected, got '%s'%s"):format(table.concat(entry.one_of, ", "), value, suggest.hint(value, entry.one_of))
  end
  local min, max = entry.min, entry.max
  if (not min or value >= min) and (not max or value <= max) then return nil end
  if not max then return ("%s or more expected, got %s"):format(min, value) end
  return ("%s%s expected, got %s"):format(min and ("%s to "):format(min) or "at most ", max, value)
end

local function check_bounds(entry, where)
  local number = entry.type == "integer" or entry.type == "number"
  for _, bound in ipairs({ "min", "max" }) do
    if entry[bound] ~= nil and not (number and value_fits(entry[bound], entry.type)) then return ("%s%s is no %s"):format(where, bound, entry.type) end
  end
  if entry.one_of ~= nil and (entry.type ~= "string" or type(entry.one_of) ~= "table" or #entry.one_of == 0) then
    return where .. "one_of is no list of texts, or the type is not string"
  end
  local wrong = entry.default ~= nil and out_of_bounds(entry.default, entry)
  if wrong then return ("%sthe default: %s"):format(where, wrong) end
end

local function check_config_entry(key, entry)
  local where = ("config.%s: "):format(tostring(key))
  if type(key) ~= "string" or type(entry) ~= "table" then return where .. "{ default = ..., description = \"...\" } expected" end
  local wrong = check_fields(entry, CONFIG_FIELDS, where)
  if wrong then return wrong end
  if type(entry.description) ~= "string" or entry.description == "" then return where .. "no description" end
  if entry.type == nil then
    if entry.default == nil then return where .. "neither a type nor a default" end
    entry.type = math.type(entry.default) == "integer" and "integer" or type(entry.default)
  end
  if not TYPES[entry.type] then
    return ("%sunknown type '%s'%s"):format(where, tostring(entry.type), suggest.hint(tostring(entry.type), TYPES))
  end
  if entry.default ~= nil and not value_fits(entry.default, entry.type) then return where .. "the default is no " .. entry.type end
  return check_bounds(entry, where)
end

local function check_config(config)
  if type(config) ~= "table" then return "config is no table" end
  for key, entry in pairs(config) do
    local wrong = check_config_entry(key, entry)
    if wrong then return wrong end
  end
end

-- requires = { a = ">=1" } or { "a" }: ranges by name.
local function read_requires(requires)
  if type(requires) ~= "table" then return nil, "requires is no table" end
  local ranges = {}
  for key, value in pairs(requires) do
    local name, text = key, value
    if math.type(key) == "integer" then name, text = value, "*" end
    if type(name) ~= "string" then return nil, "requires: names of plugins expected" end
    local range, why = version.parse_range(text)
    if not range then return nil, ("requires.%s: %s"):format(name, why) end
    ranges[name] = range
  end
  return ranges
end

---Reads and checks a manifest. Returns it with `version_parts`, `api_range`, `require_ranges` added, or nil and the reason.
---@param folder string
---@param name? string the name it must have
---@return table?, string?
function manifest.read(folder, name)
  local m, err = data_file.lua(folder .. "/manifest.lua")
  if not m then return nil, err.message end
  if type(m.name) ~= "string" or not m.name:match("^[a-z][a-z0-9_]*$") or m.name == "paths" then
    return nil, "manifest: name should be lower case, digits and _"
  end
  if name and m.name ~= name then return nil, ("manifest: names itself '%s'"):format(m.name) end
  local wrong = check_fields(m, FIELDS, "manifest: ")
  if wrong then return nil, wrong end
  m.version_parts = version.parse(m.version)
  if not m.version_parts then return nil, "manifest: version should be dotted numbers such as \"1.0.0\"" end
  if m.description ~= nil and type(m.description) ~= "string" then return nil, "manifest: description is no text" end
  if m.essential ~= nil and type(m.essential) ~= "boolean" then return nil, "manifest: essential is neither true nor false" end
  local why
  m.api_range, why = version.parse_range(m.api)
  if not m.api_range then return nil, "manifest: api: " .. why end
  m.require_ranges, why = read_requires(m.requires or {})
  if not m.require_ranges then return nil, "manifest: " .. why end
  m.config = m.config or {}
  wrong = check_config(m.config)
  if wrong then return nil, "manifest: " .. wrong end
  return m
end

-- configuration ------------------------------------------------------------------------------------------------------

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, inner in pairs(value) do
    result[key] = copy(inner)
  end
  return result
end

---The plugin's effective configuration: defaults filled in; nil and the reason when something is unknown or of a wrong type.
---@param m table manifest
---@param given table
---@return table?, string?
function manifest.configure(m, given)
  local effective = {}
  for key, entry in pairs(m.config) do
    effective[key] = copy(entry.default)
  end
  for key, value in pairs(given) do
    local entry = m.config[key]
    if not entry then return nil, ("configuration: unknown key '%s'%s"):format(tostring(key), suggest.hint(tostring(key), m.config)) end
    if not value_fits(value, entry.type) then
      return nil, ("configuration: %s: %s expected, got %s"):format(key, entry.type, type(value))
    end
    local wrong = out_of_bounds(value, entry)
    if wrong then return nil, ("configuration: %s: %s"):format(key, wrong) end
    effective[key] = value
  end
  return effective
end

return manifest
