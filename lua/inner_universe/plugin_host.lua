-- The plugin host of one universe: finds plugins, reads all manifests, validates all configurations, starts in dependency order, stops
-- in reverse. One plugin's failure is logged with its reason and refuses only those that need it.
--
-- Order of calls: new -> read -> validate -> start (one name with what it requires, then all) -> stop. `services` gives
-- what the host itself must not know: context(record) -> ctx, logger(name), clock() in seconds, after_stop(record) (optional).
--
-- A plugin whose `start` answers `nil, err, "fatal"` keeps the universe from opening, with that err.
--
-- A record: { name, state, reason, folder, manifest, config, object, took_ms }; state: "found", "validated", "started", "refused",
-- "left out", "stopped".

local errors = require("inner_universe.errors")
local manifest = require("inner_universe.manifest")
local suggest = require("inner_universe.suggest")
local version = require("inner_universe.version")

local plugin_host = {}

local DEFAULT = { "controller", "persistence_manager", "event_bus", "temporal_store" }
plugin_host.default = DEFAULT

---@class inner_universe.PluginHost
local Host = {}
Host.__index = Host

---@param options { api: string, plugins: table, services: table, default?: string[] } plugins: the configuration's value
function plugin_host.new(options)
  return setmetatable({
    api = options.api,
    api_parts = assert(version.parse(options.api)),
    settings = options.plugins,
    paths = options.plugins.paths or {},
    services = options.services,
    default = options.default or DEFAULT,
    records = {}, -- by name
    order = {}, -- names, in the order of discovery; after `validate` in the order of starting
    started = {}, -- records, in the order of starting
  }, Host)
end

local function text_of(err)
  return errors.is(err) and err.message or tostring(err)
end

-- A protected call that keeps the traceback apart from what was raised.
local function protected(fn, ...)
  local trace
  local function on_raise(raised)
    trace = debug.traceback("", 2)
    return raised
  end
  local results = table.pack(xpcall(fn, on_raise, ...))
  return trace, table.unpack(results, 1, results.n)
end

-- reading ------------------------------------------------------------------------------------------------------------

function Host:log(name, level, format, ...)
  self.services.logger(name)[level](format, ...)
end

function Host:refuse(record, format, ...)
  record.state = "refused"
  record.reason = format:format(...)
  self:log(record.name, "error", "plugin %s%s refused: %s", record.name, record.manifest and " " .. record.manifest.version or "",
    record.reason)
end

function Host:add(name, folders)
  local record = { name = name, state = "found", folder = folders[1] }
  self.records[name] = record
  self.order[#self.order + 1] = name
  if self.settings[name] == false then
    record.state, record.reason = "left out", "left out by the configuration"
    return record
  end
  if not record.folder then
    self:refuse(record, "not found (looked in %s)%s", manifest.places(self.paths), suggest.hint(name, self.default))
    return record
  end
  for i = 2, #folders do
    self:log(name, "warn", "plugin %s in %s is hidden by the one in %s", name, folders[i], folders[1])
  end
  local m, why = manifest.read(record.folder, name)
  if not m then
    self:refuse(record, "%s", why)
    return record
  end
  record.manifest = m
  return record
end

-- Reads the plugin and, first found first, all it requires.
function Host:gather(name)
  if self.records[name] then return end
  local record = self:add(name, manifest.folders(name, self.paths))
  if record.manifest then
    for _, required in ipairs(self.sorted(record.manifest.require_ranges)) do
      self:gather(required)
    end
  end
end

function Host.sorted(t)
  local names = {}
  for name in pairs(t) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- A path that is a plugin's own folder.
function Host:gather_folder(folder)
  local m, why = manifest.read(folder)
  local name = m and m.name or folder:match("([^/\\]+)[/\\]*$") or folder
  if self.records[name] then
    self:log(name, "warn", "plugin %s in %s is hidden by another of that name", name, folder)
    return
  end
  local elsewhere = manifest.folders(name, self.paths)
  if m and elsewhere[1] then
    self:gather(name)
    self:log(name, "warn", "plugin %s in %s is hidden by the one in %s", name, folder, elsewhere[1])
    return
  end
  local record = self:add(name, { folder })
  if not m and record.state ~= "left out" then record.reason = why end
  if record.manifest then
    for _, required in ipairs(self.sorted(record.manifest.require_ranges)) do
      self:gather(required)
    end
  end
end

---Reads the manifests of all plugins that shall run.
function Host:read()
  for _, name in ipairs(self.default) do
    self:gather(name)
  end
  for _, path in ipairs(self.paths) do
    if manifest.is_plugin(path) then self:gather_folder(path) end
  end
  for _, name in ipairs(self.sorted(self.settings)) do
    if name ~= "paths" then self:gather(name) end
  end
end

-- validation ---------------------------------------------------------------------------------------------------------

function Host:check_versions(record)
  local m = record.manifest
  if not version.matches(m.api_range, self.api_parts) then
    return self:refuse(record, "it wants plugin API %s, this is %s", m.api_range.text, self.api)
  end
  for _, required in ipairs(self.sorted(m.require_ranges)) do
    local range, other = m.require_ranges[required], self.records[required]
    if other.manifest and not version.matches(range, other.manifest.version_parts) then
      return self:refuse(record, "it requires %s %s, here is %s", required, range.text, other.manifest.version)
    end
  end
end

-- The chunk's own `plugin.load`: a file of the folder, once per universe, with the same argument.
local function loader(folder, environment, handle)
  local loaded = {}
  return function(file)
    if type(file) ~= "string" or file:find("..", 1, true) then error("plugin.load: the name of a file of this plugin expected", 2) end
    local known = loaded[file]
    if known == nil then
      local chunk, why = loadfile(("%s/%s.lua"):format(folder, file), "t", environment)
      if not chunk then error("plugin.load: " .. why, 2) end
      known = chunk(handle)
      if known == nil then known = true end
      loaded[file] = known
    end
    return known
  end
end

---The code of a plugin, loaded anew: what its init.lua returns, or nil and the reason. Nothing of it is started.
---@param folder string
---@param found table its manifest
---@return table? code
---@return string? reason
function plugin_host.load(folder, found)
  local environment = setmetatable({}, { __index = _G })
  local handle = { name = found.name, version = found.version, folder = folder }
  handle.load = loader(folder, environment, handle)
  local chunk, why = loadfile(folder .. "/init.lua", "t", environment)
  if not chunk then return nil, why end
  local _, ok, result = protected(chunk, handle)
  if not ok then return nil, "init.lua: " .. text_of(result) end
  if type(result) ~= "table" or type(result.start) ~= "function" then return nil, "init.lua should return { start = function }" end
  if result.validate ~= nil and type(result.validate) ~= "function" then return nil, "init.lua: validate is no function" end
  return result
end

function Host:check_config(record)
  local given = self.settings[record.name]
  local config, why = manifest.configure(record.manifest, type(given) == "table" and given or {})
  if not config then return self:refuse(record, "%s", why) end
  record.config = config
  local code
  code, why = plugin_host.load(record.folder, record.manifest)
  if not code then return self:refuse(record, "%s", why) end
  record.code = code
  if code.validate then
    local ok, valid, err = pcall(code.validate, config)
    if not ok then return self:refuse(record, "validate raised: %s", text_of(valid)) end
    if not valid then return self:refuse(record, "configuration: %s", err and text_of(err) or "not valid") end
  end
  record.state = "validated"
end

-- Depth first; a cycle refuses its members and is named.
function Host:sort()
  local order, mark, path = {}, {}, {}
  local function visit(name)
    local record = self.records[name]
    if mark[name] == "done" or not record then return end
    path[#path + 1] = name
    if mark[name] == "open" then
      local first = #path - 1
      while path[first] ~= name do
        first = first - 1
      end
      local cycle = table.concat(path, " -> ", first)
      for i = first, #path - 1 do
        local member = self.records[path[i]]
        if member.state ~= "refused" then self:refuse(member, "its requirements form a cycle: %s", cycle) end
      end
    else
      mark[name] = "open"
      if record.manifest then
        for _, required in ipairs(self.sorted(record.manifest.require_ranges)) do
          visit(required)
        end
      end
      mark[name] = "done"
      order[#order + 1] = name
    end
    path[#path] = nil
  end
  for _, name in ipairs(self.order) do
    visit(name)
  end
  self.order = order
end

-- Refuses what needs something that will not run.
function Host:check_requirements(record)
  for _, required in ipairs(self.sorted(record.manifest.require_ranges)) do
    local other = self.records[required]
    if other.state == "refused" or other.state == "left out" then
      return self:refuse(record, "it requires %s, which %s", required,
        other.state == "refused" and "was refused: " .. other.reason or "is left out by the configuration")
    end
  end
end

---What a plugin that could run has kept of the server's schema, for a universe that is opened while the server is away; nil: none has.
---@param settings table the configuration
---@param target string
---@return string? schema
function Host:kept_schema(settings, target)
  for _, name in ipairs(self.order) do
    local record = self.records[name]
    local find = record.state == "validated" and record.code.kept_schema
    if find then
      local ok, schema, err = pcall(find, record.config, settings, target)
      if not ok or err then self:log(name, "warn", "plugin %s: the schema that it has kept: %s", name, text_of(ok and err or schema)) end
      if ok and schema then return schema end
    end
  end
end

---Versions, order, requirements, configurations of all. What is refused here never starts.
function Host:validate()
  for _, name in ipairs(self.order) do
    local record = self.records[name]
    if record.state == "found" then self:check_versions(record) end
  end
  self:sort()
  for _, name in ipairs(self.order) do
    local record = self.records[name]
    if record.state == "found" then self:check_config(record) end
    if record.state == "validated" then self:check_requirements(record) end
  end
end

-- starting and stopping ----------------------------------------------------------------------------------------------

function Host:start_one(record)
  record.starting = true
  self:check_requirements(record)
  if record.state ~= "validated" then return end
  local clock, began = self.services.clock, self.services.clock()
  local trace, ok, object, err, how = protected(record.code.start, self.services.context(record))
  record.took_ms = (clock() - began) * 1000
  if not ok or object == nil or object == false then
    local reason = ok and (err and text_of(err) or "start returned nothing") or text_of(object)
    self:refuse(record, "start failed: %s", reason)
    if trace then self:log(record.name, "debug", "%s", trace) end
    record.err = errors.is(err) and err or nil
    record.fatal = ok and how == "fatal" and record.err ~= nil
    if self.services.after_stop then self.services.after_stop(record) end
    return
  end
  record.state, record.object = "started", object
  self.started[#self.started + 1] = record
  self:log(record.name, "info", "plugin %s %s started in %.1f ms", record.name, record.manifest.version, record.took_ms)
end

---Starts one plugin and what it requires; all without a name. What runs already stays.
---@param name? string
function Host:start(name)
  if name then
    local record = self.records[name]
    if not record or record.state ~= "validated" then return end
    for _, required in ipairs(self.sorted(record.manifest.require_ranges)) do
      self:start(required)
    end
    self:start_one(record)
    return
  end
  for _, each in ipairs(self.order) do
    if self.records[each].state == "validated" then self:start_one(self.records[each]) end
  end
end

---The init.lua of a plugin that could run, loaded and its configuration checked, without starting it: its code and configuration.
---@param name string
---@return table? code
---@return table|inner_universe.Error config
function Host:code_of(name)
  local record = self.records[name]
  if record and record.state == "validated" then return record.code, record.config end
  if not record then
    return nil, errors.new("PluginError", ("no plugin '%s'%s"):format(tostring(name), suggest.hint(tostring(name), self.records)))
  end
  return nil, errors.new("PluginError", ("plugin %s: %s"):format(name, record.reason or record.state))
end

---Stops what runs, last started first, down to (not including) the first `keep` plugins; those may start again unless it is for good. Failures are
---logged, reported and returned.
---@param keep? integer
---@param for_good? boolean [without keep]
---@return table[] failures
function Host:stop(keep, for_good)
  local failures = {}
  for i = #self.started, (keep or 0) + 1, -1 do
    local record = self.started[i]
    self.started[i] = nil
    local clock, began = self.services.clock, self.services.clock()
    local stop = type(record.object) == "table" and record.object.stop
    if stop then
      local ok, result, err = pcall(stop, record.object)
      if not ok or (result == nil and err ~= nil) then
        local why = ok and err or result
        failures[#failures + 1] = why
        self:log(record.name, "error", "plugin %s failed to stop: %s", record.name, text_of(why))
      end
    end
    if self.services.after_stop then self.services.after_stop(record) end
    self:log(record.name, "debug", "plugin %s stopped in %.1f ms", record.name, (clock() - began) * 1000)
    record.state, record.object = (keep == nil or for_good) and "stopped" or "validated", nil
  end
  return failures
end

-- answers ------------------------------------------------------------------------------------------------------------

---The public object of a plugin that runs, or nil and a PluginError saying why not.
function Host:get(name)
  local record = self.records[name]
  if record and record.object ~= nil then return record.object end
  if not record then
    return nil, errors.new("PluginError", ("no plugin '%s'%s"):format(tostring(name), suggest.hint(tostring(name), self.records)))
  end
  local reason = record.reason or (record.state == "stopped" and "it is stopped" or "it is not started yet")
  return nil, errors.new("PluginError", ("plugin %s: %s"):format(name, reason), { cause = record.err })
end

---Those that were refused when they were to start may try again with the next `start`.
function Host:start_again()
  for _, record in pairs(self.records) do
    if record.starting and record.state == "refused" then record.state, record.reason, record.err = "validated", nil, nil end
  end
end

---Why the universe cannot do without a plugin that does not run: the first `essential` one that was refused, or nil.
---@return inner_universe.Error?
function Host:missing()
  for _, name in ipairs(self.order) do
    local record = self.records[name]
    if record.state == "refused" and record.fatal then return record.err end
    if record.state == "refused" and record.manifest and record.manifest.essential then
      return errors.new("PluginError", ("plugin %s, without which nothing may be written, was refused: %s"):format(name, record.reason), { cause = record.err })
    end
  end
end

---One row per plugin: name, version, state, reason, folder, description, took_ms, requires (array of texts).
---@return table[]
function Host:list()
  local rows = {}
  for _, name in ipairs(self.order) do
    local record = self.records[name]
    local m = record.manifest or {}
    local requires = {}
    for _, required in ipairs(self.sorted(m.require_ranges or {})) do
      requires[#requires + 1] = ("%s %s"):format(required, m.require_ranges[required].text)
    end
    rows[#rows + 1] = {
      name = name, version = m.version, api = m.api, state = record.state, reason = record.reason, folder = record.folder,
      description = m.description, took_ms = record.took_ms, requires = requires, config = m.config,
    }
  end
  return rows
end

---`health()` of every plugin that runs: rows { name, ok, message, details }.
---@return table[]
function Host:health()
  local rows = {}
  for _, record in ipairs(self.started) do
    local row = { name = record.name, ok = true }
    local health = type(record.object) == "table" and record.object.health
    if health then
      local ok, well, facts = pcall(health, record.object)
      row.ok = ok and well == true
      if row.ok then
        row.details = facts
      else
        row.message = text_of(ok and (facts or "not well") or well)
      end
    end
    rows[#rows + 1] = row
  end
  return rows
end

return plugin_host
