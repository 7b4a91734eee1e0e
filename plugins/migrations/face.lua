-- face.lua: `m`, what a migration's functions get. Its writes and steps raise what goes wrong, so that nothing goes on after a failure that nobody looked at;
-- `get_*` of what is not there answers nil, err.
--
-- The executor behind it (exec) says how a write reaches the universe: `write(label, fn)` runs fn(tx), tx having the methods of a manager's transaction;
-- `step(kind, label, fn)` is a part of the migration that is done once; `batches(source, size, state)`; `schema(name, ...)`; `manager()` and `conn()` to read.

local iu = require "inner_universe"

local plugin = ...
local work = plugin.load "work"
local rewrite_states = plugin.load "states"
local rows_of = plugin.load "rows"

local must = work.must

local NOT_FOUND = { EntityNotFoundError = true, RelationNotFoundError = true, VersionNotFoundError = true }
local SCHEMA = {
  "add_table", "drop_table", "rename_table", "add_column", "drop_column", "rename_column", "retype_column", "reorder_columns", "alter_table", "rewrite_table",
  "split_table", "merge_tables",
}
local WRITES = { "update_entity", "delete_entity", "update_relation", "delete_relation", "publish_event" }

local face = { SCHEMA = SCHEMA }

local function wanted(value, expected, method, name)
  if type(value) ~= expected then
    error(iu.errors.new("ValidationError", ("m:%s: %s: %s expected, got %s"):format(method, name, expected, type(value))), 0)
  end
end

local function checked(exec, options, method, known)
  if options == nil then return {} end
  wanted(options, "table", method, "options")
  must(exec.check.options("m:" .. method, options, known))
  return options
end

local function size_of(exec, options, method)
  local size = checked(exec, options, method, { size = "any" }).size
  if size ~= nil and (math.type(size) ~= "integer" or size < 1 or size > 50000) then
    error(iu.errors.new("ValidationError", ("m:%s: size: 1 to 50000 expected, got %s"):format(method, tostring(size))), 0)
  end
  return size
end

-- What a function over entities or relations answered: metadata, or the row it got, changed.
local function metadata_of(answer)
  return type(answer.metadata) == "table" and answer.metadata or answer
end

-- What else a row has; a change of it would be lost without a word.
local FIXED = { "id", "entity_type", "relation_type", "from_entity", "to_entity", "created_at", "updated_at" }
local function fixed_of(row)
  local kept = {}
  for _, name in ipairs(FIXED) do kept[name] = row[name] end
  return kept
end
local function check_fixed(answer, kept, method)
  if type(answer.metadata) ~= "table" then return end
  for _, name in ipairs(FIXED) do
    if answer[name] ~= kept[name] then
      error(iu.errors.new("ValidationError", ("m:%s: %s: it stays '%s', only metadata is replaced; got '%s' (m:update_rows changes the rest of a row)"):format(
        method, name, tostring(kept[name]), tostring(answer[name]))), 0)
    end
  end
end

-- A source of work.batches over entities or relations of a type.
local function graph_source(exec, kind, type_name, fn)
  local all = kind == "entity" and "entities" or "relations"
  local column, query, method = kind .. "_type", "query_" .. all, "update_" .. all
  local function ask(reader, filters, more)
    local spec = { [column] = type_name, filters = filters }
    for key, value in pairs(more) do spec[key] = value end
    return must(reader[query](reader, spec))
  end
  local source = { key = "id", table = kind }
  function source.last()
    local rows = ask(exec.reader(), nil, { order_by = "id", descending = true, limit = 1 })
    return rows[1] and rows[1].id
  end
  function source.count()
    if exec.reader() ~= exec.manager() then return #ask(exec.reader(), nil, {}) end -- with what this transaction made
    return rows_of.count(exec.conn(), kind, column, type_name)
  end
  function source.page(tx, after, upto, size)
    local filters = { { field = "id", operator = "LessOrEqual", value = upto } }
    if after then filters[2] = { field = "id", operator = "GreaterThan", value = after } end
    return ask(tx, filters, { order_by = "id", limit = size })
  end
  function source.body(rows, tx)
    for _, row in ipairs(rows) do
      -- read by id: proven to be unchanged when it is written
      if exec.shared then row = must(tx["get_" .. kind](tx, row.id)) end
      local kept = fixed_of(row)
      local answer = fn(row)
      if answer == false then
        must(tx["delete_" .. kind](tx, kept.id))
      elseif answer ~= nil then
        wanted(answer, "table", method, "what the function returned")
        check_fixed(answer, kept, method)
        must(tx["update_" .. kind](tx, kept.id, metadata_of(answer)))
      end
    end
  end
  return source
end

---@param exec table
---@return table m
function face.new(exec)
  local m = {
    backend = exec.backend, online = exec.online, dry_run = exec.dry_run, direction = exec.work.direction, version = exec.work.migration.version,
    name = exec.work.migration.name, log = exec.log,
  }

  -- ---- schema ----

  for _, name in ipairs(SCHEMA) do
    m[name] = function(_, ...) return exec.schema(name, ...) end
  end

  --- On a server: publishes a module, a file of wasm, in place of the one that runs there. options: { break_clients }.
  function m.publish(_, path, options)
    wanted(path, "string", "publish", "path")
    return exec.publish(path, options or {})
  end

  -- ---- entities, relations, events, configuration ----

  function m.create_entity(_, entity_type, metadata, id)
    id = id or exec.new_id()
    return exec.write("create_entity " .. tostring(entity_type), function(tx) return tx:create_entity(entity_type, metadata, id) end, id)
  end

  function m.create_relation(_, from, to, relation_type, metadata, id)
    id = id or exec.new_id()
    return exec.write("create_relation " .. tostring(relation_type), function(tx)
      return tx:create_relation(from, to, relation_type, metadata, id)
    end, id)
  end

  for _, name in ipairs(WRITES) do
    m[name] = function(_, ...)
      local args = table.pack(...)
      return exec.write(name, function(tx) return tx[name](tx, table.unpack(args, 1, args.n)) end, true)
    end
  end

  function m.set_config(_, key, value, description)
    wanted(key, "string", "set_config", "key")
    wanted(value, "string", "set_config", "value")
    return exec.write("set_config " .. key, function(tx)
      return tx:join("UpdateConfig", { key = key, value = value, description = description or "" })
    end, true)
  end

  for _, name in ipairs { "get_entity", "get_relation" } do
    m[name] = function(_, id)
      local reader = exec.reader()
      local row, err = reader[name](reader, id)
      if row == nil and not NOT_FOUND[err.kind] then error(err, 0) end
      return row, err
    end
  end
  for _, name in ipairs { "query_entities", "query_relations" } do
    m[name] = function(_, spec)
      local reader = exec.reader()
      return must(reader[name](reader, spec))
    end
  end

  --- fn(entity) for every entity of a type: metadata (or the entity, changed) replaces its metadata, nil leaves it, false deletes it. The same for relations.
  for kind, all in pairs { entity = "entities", relation = "relations" } do
    local method = "update_" .. all
    m[method] = function(_, type_name, fn, options)
      wanted(type_name, "string", method, kind .. "_type")
      wanted(fn, "function", method, "fn")
      local size = size_of(exec, options, method)
      exec.step(all, type_name, function(state)
        exec.batches(graph_source(exec, kind, type_name, fn), size, state)
      end)
      return true
    end
  end

  -- ---- rows ----

  function m.count(_, name)
    wanted(name, "string", "count", "table")
    return rows_of.count(exec.conn(), name)
  end

  --- An iterator over a table's rows, as they were committed before the migration wrote anything that is still to be applied.
  function m.rows(_, name)
    wanted(name, "string", "rows", "table")
    return rows_of.iterate(exec.conn(), name, exec.page_size)
  end

  --- fn(rows) for every batch of a table's rows, in the order of its key; what it writes through m is one with the batch. Rows that it returns (an array) are
  --- written in their place.
  function m.batches(_, name, options, fn)
    if type(options) == "function" then options, fn = nil, options end
    wanted(name, "string", "batches", "table")
    wanted(fn, "function", "batches", "fn")
    local size = size_of(exec, options, "batches") or exec.how.batch_size
    exec.step("batches", name, function(state)
      exec.batches(rows_of.source(exec, name, function(rows, put)
        local changed = fn(rows)
        if changed ~= nil then
          wanted(changed, "table", "batches", "what the function returned")
          if #changed == 0 and next(changed) ~= nil then
            error(iu.errors.new("ValidationError",
              "m:batches: what the function returned: an array of rows expected, got a table without one (a single row?)"), 0)
          end
          put(changed)
        end
      end), size, state)
    end)
    return true
  end

  --- fn(row) for every row of a table: a row replaces it, nil leaves it, false deletes it.
  function m.update_rows(_, name, fn, options)
    wanted(name, "string", "update_rows", "table")
    wanted(fn, "function", "update_rows", "fn")
    local size = size_of(exec, options, "update_rows") or exec.how.batch_size
    exec.step("rows", name, function(state) exec.update_rows(name, fn, size, state) end)
    return true
  end

  -- ---- states ----

  --- fn(state, version) for every version (of a branch): a state replaces the version's, nil leaves it. Hashes are computed anew, the old ones are kept in
  --- the version's metadata.
  function m.states(_, fn, options)
    wanted(fn, "function", "states", "fn")
    local branch = checked(exec, options, "states", { branch = "string" }).branch
    exec.step("states", branch or "all", function() rewrite_states(exec, fn, branch) end)
    return true
  end

  -- ---- telling ----

  function m.progress(_, done, total)
    exec.work.tell(done, total)
    exec.work.check_stop()
  end

  return m
end

return face
