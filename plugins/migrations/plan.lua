-- plan.lua: what a migration would do, by running its function against an `m` that only notes: steps, tables, numbers of rows. Nothing is written, and
-- functions over rows are not called; what the function reads it reads from the universe as it is, so a plan is as good as the function is independent of its
-- own writes.

local iu = require "inner_universe"

local plugin = ...
local face = plugin.load "face"
local publish = plugin.load "publish"

local plan = {}

-- Tables as they will be: name now -> name in the universe, or false where it has no rows there.
local function tables_of(reader)
  local known = {}
  return {
    count = function(name)
      local origin = known[name]
      if origin == false then return 0 end
      return reader.count(origin or name)
    end,
    add = function(name) known[name] = false end,
    rename = function(old, new)
      local origin = known[old]
      if origin == nil then origin = old end
      known[new], known[old] = origin, nil
    end,
  }
end

local function name_of(value) return type(value) == "string" and value or "?" end

---@param reader { count: fun(table: string): integer?, count_of: fun(kind: string, type: string): integer, manager: fun(): table }
---@param migration table
---@param direction "up"|"down"
---@param env { backend: string, log: table, ctx: table? } ctx: of a server's universe
---@return table { version, name, direction, description, online, steps = { { kind, text, table, rows } }, incomplete = text or nil }
function plan.of(reader, migration, direction, env)
  local steps, tables = iu.array {}, tables_of(reader)
  local function note(kind, text, fields)
    local step, last = fields or {}, steps[#steps]
    if kind == "write" and last and last.text == text then -- the same again and again is one line
      last.rows = last.rows + step.rows
      return true
    end
    step.kind, step.text = kind, text
    steps[#steps + 1] = step
    return true
  end
  local m = {
    backend = env.backend, online = migration.online, dry_run = true, direction = direction, version = migration.version, name = migration.name, log = env.log,
  }

  for _, name in ipairs(face.SCHEMA) do
    m[name] = function(_, target, second)
      local rows = name ~= "add_table" and tables.count(name_of(target)) or nil
      local detail = type(second) == "string" and " " .. second or ""
      note(name, ("%s %s%s"):format(name:gsub("_", " "), name_of(target), detail), { table = name_of(target), rows = rows })
      if name == "add_table" then tables.add(target) end
      if name == "rename_table" then tables.rename(target, second) end
      return true
    end
  end
  function m.publish(_, path, options)
    local result, err
    if env.ctx then result, err = publish.plan(env.ctx, path, options or {}) end
    return note("publish", "publish " .. name_of(path), { module = result, problem = err and err.message or nil })
  end

  for _, kind in ipairs { "entity", "relation" } do
    m["create_" .. kind] = function(_, ...)
      local args = { ... }
      local type_name, id = args[1], args[3]
      if kind == "relation" then type_name, id = args[3], args[5] end
      note("write", ("create %s %s"):format(kind, name_of(type_name)), { table = kind, rows = 1 })
      return id or iu.uuid()
    end
    for _, what in ipairs { "update", "delete" } do
      m[("%s_%s"):format(what, kind)] = function() return note("write", ("%s %s"):format(what, kind), { table = kind, rows = 1 }) end
    end
    m["get_" .. kind] = function(_, id)
      local manager = reader.manager()
      return manager["get_" .. kind](manager, id)
    end
    local plural = kind == "entity" and "entities" or "relations"
    m["query_" .. plural] = function(_, spec)
      local manager = reader.manager()
      local found, err = manager["query_" .. plural](manager, spec)
      if not found then error(err, 0) end
      return found, err
    end
    m["update_" .. plural] = function(_, type_name)
      return note(plural, ("update %s of type %s"):format(plural, name_of(type_name)), { table = kind, rows = reader.count_of(kind, name_of(type_name)) })
    end
  end
  function m.publish_event(_, event_type)
    note("write", "publish event " .. name_of(event_type), { table = "event_log", rows = 1 })
    return iu.uuid()
  end
  function m.set_config(_, key) return note("write", "set config " .. name_of(key), { table = "config", rows = 1 }) end

  function m.count(_, name) return tables.count(name) or 0 end
  function m.rows(_, name)
    note("read", "read rows of " .. name_of(name), { table = name_of(name), rows = tables.count(name_of(name)) })
    return function() return nil end
  end
  for _, name in ipairs { "batches", "update_rows" } do
    m[name] = function(_, target)
      return note(name, ("%s %s"):format(name:gsub("_", " "), name_of(target)), { table = name_of(target), rows = tables.count(name_of(target)) })
    end
  end
  function m.states(_, _, options)
    return note("states", "rewrite states" .. (options and options.branch and " of branch " .. options.branch or ""),
      { table = "state_version", rows = tables.count("state_version") })
  end
  function m.progress() end

  local ok, raised = pcall(migration[direction], m)
  return {
    version = migration.version, name = migration.name, direction = direction, description = migration.description, online = migration.online, steps = steps,
    incomplete = not ok and tostring(iu.errors.from(raised).message) or nil,
  }
end

return plan
