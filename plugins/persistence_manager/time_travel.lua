-- time_travel.lua: manager:as_of and manager:history: rows as they were, from what row_history recorded.
--
-- A record holds the row before a change. So a row at a time T is that of its first change after T, or, where there is none, the row as it is now. What is now
-- is read first and the changes after it: whatever happens in between is among them and wins. On every backend a view is thereby of one time, though its parts
-- are read one after the other.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local codec = plugin.load "codec"
local query = plugin.load "query"
local row_history = plugin.load "row_history"

local CLOSED = "manager is closed or not initialized"
local CHANGES_MAX = 1000000 -- changes that one view lays over a table
local SETTLE = 10 -- times a row's changes are read until nobody changes them meanwhile, on a server
local NOT_FOUND = { entity = "EntityNotFoundError", relation = "RelationNotFoundError" }
local HISTORY_OPTIONS = { table = "string", limit = "integer" }

return function(ctx, methods, graph)
  local check = ctx.check

  local function invalid(format, ...)
    return nil, iu.errors.new("ValidationError", format:format(...))
  end

  local function off(what, name)
    return invalid('%s: row history is off for `%s`; it is recorded from the moment on that a universe is opened with history = { "%s" }', what, name, name)
  end

  local function changes(conn, filters)
    local rows, err = conn:select("row_history", { filters = filters, order_by = "sequence", limit = CHANGES_MAX + 1 })
    if rows and #rows > CHANGES_MAX then return nil, iu.errors.new("OverloadedError", ("more than %d changes to look at"):format(CHANGES_MAX)) end
    return rows, err
  end

  -- Is everything that happened to the table after `time` recorded, and still there?
  local function check_recorded(conn, what, name, time)
    local recorded, err = row_history.recorded(conn)
    if not recorded then return nil, err end
    local since = recorded[name]
    if not since then return off(what, name) end
    local early = "%s: the time %d lies before the recorded history of `%s`, which begins at %d"
    if time < since then return invalid(early, what, time, name, since) end
    local head
    head, err = row_history.head(conn)
    if not head then return nil, err end
    if head.count == head.sequence then return true end
    -- Some were pruned, the oldest first: one that is no younger than the time proves that all after it are there.
    local rows
    rows, err = conn:select("row_history", { filters = { { field = "timestamp", operator = "LessOrEqual", value = time } }, limit = 1 })
    if not rows then return nil, err end
    if rows[1] then return true end
    return invalid("%s: the time %d lies before the recorded history, of which what was older has been pruned", what, time)
  end

  -- The row before a change: false where there was none.
  local function before(conn, name, change)
    if change.change == "insert" then return false end
    local row, err = conn:row_of_bytes(name, change.row)
    if row then return row end
    return nil, iu.errors.wrap("StorageError", ("row_history %s: the recorded row is damaged"):format(codec.shown(change.key)), err)
  end

  -- ---- tables as they were ----

  -- Has `get` and `select` as a connection has them.
  local Past = {}
  Past.__index = Past

  function Past:get(name, key)
    local conn = ctx.conn
    local row, err = conn:get(name, key)
    if err then return nil, err end
    local rows
    rows, err = changes(conn, {
      { field = "row_key", operator = "Equals", value = key }, { field = "table_name", operator = "Equals", value = name },
      { field = "timestamp", operator = "GreaterThan", value = self.time },
    })
    if not rows then return nil, err end
    local ok
    ok, err = check_recorded(conn, "as_of", name, self.time)
    if not ok then return nil, err end
    if not rows[1] then return row end
    row, err = before(conn, name, rows[1])
    if row == nil then return nil, err end
    return row or nil
  end

  -- The rows of a table that changed after the time, by id, as they were at it: false where there was none. What is known stays so: a row's first change
  -- does not become another one.
  local function changed(self, conn, name)
    local known = self.changed[name]
    if not known then
      known = { rows = {}, seen = -1 }
      self.changed[name] = known
    end
    local head, err = row_history.head(conn)
    if not head then return nil, err end
    if head.sequence <= known.seen then return known.rows end
    local rows
    rows, err = changes(conn, {
      { field = "timestamp", operator = "GreaterThan", value = self.time }, { field = "table_name", operator = "Equals", value = name },
      { field = "sequence", operator = "GreaterThan", value = known.seen },
    })
    if not rows then return nil, err end
    for _, change in ipairs(rows) do
      if known.rows[change.row_key] == nil then
        local row
        row, err = before(conn, name, change)
        if row == nil then return nil, err end
        known.rows[change.row_key] = row
      end
    end
    known.seen = math.max(head.sequence, rows[1] and rows[#rows].sequence or 0)
    return known.rows
  end

  function Past:select(name, spec)
    local conn = ctx.conn
    local rows, err = conn:select(name, { filters = spec.filters })
    if not rows then return nil, err end
    local then_rows
    then_rows, err = changed(self, conn, name)
    if not then_rows then return nil, err end
    local ok
    ok, err = check_recorded(conn, "as_of", name, self.time)
    if not ok then return nil, err end
    local all = {}
    for _, row in ipairs(rows) do
      if then_rows[row.id] == nil then all[#all + 1] = row end
    end
    for _, row in pairs(then_rows) do
      if row then all[#all + 1] = row end
    end
    return conn:select_from(name, all, spec)
  end

  -- ---- views ----

  ---@class inner_universe.HistoryView
  ---@field time integer
  ---@field version_id? string
  local View = {}
  local past_of = setmetatable({}, { __mode = "k" })
  local view_metatable = {
    __name = "inner_universe.HistoryView",
    __index = function(self, key)
      if key == "time" or key == "version_id" then return past_of[self][key] end
      return View[key]
    end,
    __newindex = function(_, key) error(("a view of the past is read-only (field '%s')"):format(tostring(key)), 2) end,
    __tostring = function(self) return ("view of %d"):format(self.time) end,
  }

  local function get(view, name, id)
    local row, err = past_of[view]:get(name, id)
    if row then return codec[name](row) end
    return nil, err or codec.not_found(NOT_FOUND[name], name, id)
  end

  local function query_rows(view, name, spec)
    if spec.explain then return invalid("query: explain: a view of the past cannot say") end
    local selection, err = query.selection(spec, name)
    if not selection then return nil, err end
    local rows, matched = past_of[view]:select(name, selection)
    if not rows then return nil, matched end
    rows, err = codec.all(rows, codec[name])
    if not rows then return nil, err end
    return rows, matched
  end

  ---@param id string
  ---@return inner_universe.Entity? entity
  ---@return inner_universe.Error? err EntityNotFoundError
  function View:get_entity(id)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.get_entity, "get_entity", id)
    return get(self, "entity", id)
  end

  ---@param id string
  ---@return inner_universe.Relation? relation
  ---@return inner_universe.Error? err RelationNotFoundError
  function View:get_relation(id)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.get_relation, "get_relation", id)
    return get(self, "relation", id)
  end

  --- As manager:query_entities, without explain.
  ---@param spec? inner_universe.QuerySpec
  ---@return inner_universe.Entity[]? entities
  ---@return integer|inner_universe.Error|nil matched
  function View:query_entities(spec)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query_entities, "query_entities", spec)
    return query_rows(self, "entity", spec or {})
  end

  --- As manager:query_relations, without explain.
  ---@param spec? inner_universe.QuerySpec
  ---@return inner_universe.Relation[]? relations
  ---@return integer|inner_universe.Error|nil matched
  function View:query_relations(spec)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.query_relations, "query_relations", spec)
    return query_rows(self, "relation", spec or {})
  end

  --- As manager:neighbors.
  ---@param id string
  ---@param options? { direction?: "out"|"in"|"both", relation_type?: string, depth?: integer, limit?: integer }
  ---@return { id: string, depth: integer, relation: string, from: string }[]? neighbors
  ---@return inner_universe.Error? err
  function View:neighbors(id, options)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.neighbors, "neighbors", id, options)
    return graph.neighbors(past_of[self], id, options or {})
  end

  --- As manager:path.
  ---@param from string
  ---@param to string
  ---@param options? { max_depth?: integer, direction?: "out"|"in"|"both", relation_type?: string }
  ---@return { entities: string[], relations: string[], length: integer }? path
  ---@return inner_universe.Error? err
  function View:path(from, to, options)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.path, "path", from, to, options)
    return graph.path(past_of[self], from, to, options or {})
  end

  -- ---- methods ----

  --- Entities and relations as they were at a time, changes at that very microsecond included; of a version (an id, or the name of a branch or a tag): as
  --- they were when it was committed. A view with get_entity, get_relation, query_entities, query_relations, neighbors and path. status().history says which
  --- tables are recorded, and since when.
  ---@param when integer|string microseconds since the epoch, or a version
  ---@return inner_universe.HistoryView? view
  ---@return inner_universe.Error? err ValidationError (not recorded, or not that far back), VersionNotFoundError
  function methods:as_of(when)
    local conn = ctx.conn
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.as_of, "as_of", when)
    local time, version_id = when, nil
    if type(when) == "string" then
      local temporal, err = ctx.universe.plugin("temporal_store")
      if not temporal then return nil, err end
      local version
      version, err = temporal:get_version(when)
      if not version then return nil, err end
      time, version_id = version.timestamp, version.version_id
    end
    local recorded, err = row_history.recorded(conn)
    if not recorded then return nil, err end
    local name = recorded.entity and "entity" or recorded.relation and "relation"
    if not name then return off("as_of", "entity") end
    local ok
    ok, err = check_recorded(conn, "as_of", name, time)
    if not ok then return nil, err end
    local view = setmetatable({}, view_metatable)
    past_of[view] = setmetatable({ time = time, version_id = version_id, changed = {} }, Past)
    return view
  end

  -- A row's recorded changes since `since`, and the row as it is now.
  local function read_changes(conn, name, id, since)
    local filters = {
      { field = "row_key", operator = "Equals", value = id }, { field = "table_name", operator = "Equals", value = name },
      { field = "timestamp", operator = "GreaterOrEqual", value = since },
    }
    local rows, err = changes(conn, filters)
    for _ = 1, SETTLE do
      if not rows then return nil, err end
      local now
      now, err = conn:get(name, id)
      if err then return nil, err end
      if ctx.settings.backend ~= "spacetimedb" then return rows, now end
      local again
      again, err = changes(conn, filters)
      if again and (again[1] and again[#again].sequence) == (rows[1] and rows[#rows].sequence) then return again, now end
      rows = again
    end
    return nil, iu.errors.new("ConflictError", ("history: %s is changed again and again"):format(codec.shown(id)), { retryable = true })
  end

  -- Entries of one table, the youngest first, at most `limit`; the row as it is now.
  local function entries_of(conn, name, id, since, limit)
    local rows, now = read_changes(conn, name, id, since)
    if not rows then return nil, now end
    local out, after = {}, nil
    if now then
      local err
      after, err = codec[name](now)
      if not after then return nil, err end
    end
    for i = #rows, 1, -1 do
      if #out == limit then break end
      local change = rows[i]
      local old, err = before(conn, name, change)
      if old then old, err = codec[name](old) end
      if old == nil then return nil, err end
      old = old or nil
      out[#out + 1] = {
        table = name, id = id, change = change.change, sequence = change.sequence, timestamp = change.timestamp, actor = change.actor,
        before = old, after = after,
      }
      after = old
    end
    return out, nil, now ~= nil
  end

  --- The recorded changes of an entity or a relation, the youngest first: { table, id, change = "insert"|"update"|"delete", timestamp, actor, sequence, before,
  --- after }: the row before and after it, nil where there was none. options: table ["entity" or "relation": both], limit.
  ---@param id string
  ---@param options? { table?: "entity"|"relation", limit?: integer }
  ---@return table[]? changes
  ---@return inner_universe.Error? err ValidationError (not recorded), EntityNotFoundError or RelationNotFoundError (never seen)
  function methods:history(id, options)
    local conn = ctx.conn
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.history, "history", id, options)
    options = options or {}
    local ok, err = check.options("history", options, HISTORY_OPTIONS)
    if not ok then return nil, err end
    if options.table and not NOT_FOUND[options.table] then return invalid("history: table: expected entity or relation, got %s", options.table) end
    local recorded
    recorded, err = row_history.recorded(conn)
    if not recorded then return nil, err end
    if not (recorded.entity or recorded.relation) then return off("history", options.table or "entity") end
    local out, exists = {}, false
    for _, name in ipairs(options.table and { options.table } or row_history.TABLES) do
      local there
      if recorded[name] then
        local list
        list, err, there = entries_of(conn, name, id, recorded[name], options.limit)
        if not list then return nil, err end
        table.move(list, 1, #list, #out + 1, out)
      else
        there, err = conn:get(name, id)
        if err then return nil, err end
        if there or options.table then return off("history", name) end
      end
      exists = exists or there
    end
    if #out == 0 and not exists then return nil, codec.not_found(NOT_FOUND[options.table or "entity"], options.table or "entity or relation", id) end
    table.sort(out, function(a, b) return a.sequence > b.sequence end)
    for i = #out, (options.limit or #out) + 1, -1 do out[i] = nil end
    return out
  end
end
