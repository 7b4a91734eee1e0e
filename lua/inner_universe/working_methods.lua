-- The methods of a working copy (working_copy.lua) that look at tables, read and write rows (working_rows.lua), and change tables (reshape.lua): what they
-- take is checked here.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")
local rows = require("inner_universe.working_rows")
local reshape = require("inner_universe.reshape")

local function invalid(format, ...)
  return nil, errors.new("ValidationError", format:format(...))
end

---@class inner_universe.WorkingTable
---@field name string
---@field nerv boolean one of the toolkit's own: its schema is frozen
---@field columns { name: string, type: string }[]
---@field primary_key? string
---@field unique string[][]
---@field auto_inc string[]

---@param Copy table
---@param within { enter: function, ready: function, table_of: function, transaction: function }
return function(Copy, within)
  local enter, ready, table_of, transaction = within.enter, within.ready, within.table_of, within.transaction

  -- looking --------------------------------------------------------------------------------------------------------------

  local function described(t)
    local columns, unique = {}, {}
    for i, column in ipairs(t.columns) do columns[i] = { name = column.name, type = column.text } end
    for i, names in ipairs(t.unique) do unique[i] = table.move(names, 1, #names, 1, {}) end
    return {
      name = t.name, nerv = t.nerv, columns = columns, primary_key = t.primary_key, unique = unique,
      auto_inc = table.move(t.auto_inc, 1, #t.auto_inc, 1, {}),
    }
  end

  ---The tables of the file, in its order.
  ---@return inner_universe.WorkingTable[]?, inner_universe.Error?
  function Copy:tables()
    local state = enter(self, "tables")
    local ok, err = ready(state, "tables")
    if not ok then return nil, err end
    local list = {}
    for i, each in ipairs(state.listed) do list[i] = described(state.tables[each.name]) end
    return list
  end

  ---@param name string
  ---@return inner_universe.WorkingTable?, inner_universe.Error?
  function Copy:table(name)
    local state = enter(self, "table")
    check.type(name, "string", 1, "table", "name")
    local ok, err = ready(state, "table")
    local t
    if ok then t, err = table_of(state, "table", name) end
    return t and described(t), err
  end

  ---How many rows a table has.
  ---@param name string
  ---@return integer?, inner_universe.Error?
  function Copy:count(name)
    local state = enter(self, "count")
    check.type(name, "string", 1, "count", "table")
    local ok, err = ready(state, "count")
    local t
    if ok then t, err = table_of(state, "count", name) end
    if not t then return nil, err end
    return state.session:rows(t.name)
  end

  ---SQLite's SQL over the copy, read-only: rows by column name, and the names.
  ---@param text string
  ---@param params? table
  ---@return table[]?, string[]|inner_universe.Error
  function Copy:sql(text, params)
    local state = enter(self, "sql")
    check.type(text, "string", 1, "sql", "text")
    check.optional(params, "table", 2, "sql", "params")
    local ok, err = ready(state, "sql")
    if not ok then return nil, err end
    local answer
    answer, err = runtime.core.sql(state.file, text, params)
    if not answer then return nil, err end
    local list = {}
    for i, values in ipairs(answer.rows) do
      local row = {}
      for k, name in ipairs(answer.columns) do row[name] = values[k] end
      list[i] = row
    end
    return list, answer.columns
  end

  -- rows -----------------------------------------------------------------------------------------------------------------

  ---The rows of a table, for `for`: raises what goes wrong on the way. A change of tables ends it.
  ---@param name string
  ---@return (fun(): table?)?, any, any, any
  function Copy:rows(name)
    local state = enter(self, "rows")
    check.type(name, "string", 1, "rows", "table")
    local ok, err = ready(state, "rows")
    local t, reader
    if ok then t, err = table_of(state, "rows", name) end
    if t then reader, err = state.session:reader(t.name) end
    if not reader then return nil, err end
    return function()
      local row, why = reader:next()
      if row == nil and why then error(why, 0) end
      return row
    end, nil, nil, reader
  end

  ---The row with that primary key, or nil.
  ---@param name string
  ---@param key any
  ---@return table?, inner_universe.Error?
  function Copy:get(name, key)
    local state = enter(self, "get")
    check.type(name, "string", 1, "get", "table")
    local ok, err = ready(state, "get")
    local t
    if ok then t, err = table_of(state, "get", name) end
    if not t then return nil, err end
    return state.session:get(t.name, key)
  end

  -- fn(state, t, ...) in a transaction. schema: readers end.
  local function on_table(state, what, name, schema, fn, ...)
    local ok, err = ready(state, what)
    local t
    if ok then t, err = table_of(state, what, name) end
    if not t then return nil, err end
    return transaction(state, what, schema, fn, t, ...)
  end

  ---Inserts a row, or replaces the one with its primary key: the row as it is stored.
  ---@param name string
  ---@param row table
  ---@return table?, inner_universe.Error?
  function Copy:put(name, row)
    local state = enter(self, "put")
    check.type(name, "string", 1, "put", "table")
    check.type(row, "table", 2, "put", "row")
    return on_table(state, "put", name, false, rows.put_one, row)
  end

  ---Inserts rows: all of them, or none. How many.
  ---@param name string
  ---@param given table|fun(): table? a row, an array of rows, or a function that gives the next row, and nil at the end
  ---@return integer?, inner_universe.Error?
  function Copy:insert(name, given)
    local state = enter(self, "insert")
    check.type(name, "string", 1, "insert", "table")
    if type(given) ~= "function" then check.type(given, "table", 2, "insert", "rows") end
    return on_table(state, "insert", name, false, rows.insert, given)
  end

  ---Deletes by primary key (by the row, in a table without one): whether it was there.
  ---@param name string
  ---@param key any
  ---@return boolean?, inner_universe.Error?
  function Copy:delete(name, key)
    local state = enter(self, "delete")
    check.type(name, "string", 1, "delete", "table")
    return on_table(state, "delete", name, false, rows.delete, key)
  end

  ---`fn(row)` for every row: a row replaces it, nil leaves it, false deletes it.
  ---@param name string
  ---@param fn fun(row: table): table|false|nil
  ---@return { rows: integer, changed: integer, deleted: integer }?, inner_universe.Error?
  function Copy:update(name, fn)
    local state = enter(self, "update")
    check.type(name, "string", 1, "update", "table")
    check.type(fn, "function", 2, "update", "fn")
    return on_table(state, "update", name, true, rows.update, fn)
  end

  ---Deletes the rows for which `fn(row)` is true: how many.
  ---@param name string
  ---@param fn fun(row: table): boolean
  ---@return integer?, inner_universe.Error?
  function Copy:delete_where(name, fn)
    local state = enter(self, "delete_where")
    check.type(name, "string", 1, "delete_where", "table")
    check.type(fn, "function", 2, "delete_where", "fn")
    local counts, err = on_table(state, "delete_where", name, true, rows.update, function(row)
      if fn(row) then return false end
    end)
    return counts and counts.deleted, err
  end

  -- tables ---------------------------------------------------------------------------------------------------------------

  local function frozen(what, name)
    return nil, errors.new("MigrationError", ("%s: table `%s` is one of the toolkit's own: its schema is frozen (its rows can be written)"):format(what, name))
  end

  -- fn(state, t, ...) on a table whose schema may change: true, and a summary.
  local function change(state, what, name, fn, ...)
    local ok, err = ready(state, what)
    local t
    if ok then t, err = table_of(state, what, name) end
    if not t then return nil, err end
    if t.nerv then return frozen(what, name) end
    if t.foreign and fn ~= reshape.drop_table and fn ~= reshape.rename_table then return nil, t.foreign end
    local summary
    summary, err = transaction(state, what, true, fn, t, ...)
    if not summary then return nil, err end
    return true, summary
  end

  local function free_name(state, what, name)
    if state.tables[name] then return invalid("%s: a table `%s` is there already", what, name) end
    for other in pairs(state.tables) do
      if other:lower() == name:lower() then return invalid("%s: the names `%s` and `%s` differ only in case", what, name, other) end
    end
    return true
  end

  ---A new table, as `iu.module` declares it.
  ---@param name string
  ---@param declaration inner_universe.ModuleTable
  ---@param options? { types?: table<string, table> }
  ---@return true?, inner_universe.Error|table
  function Copy:add_table(name, declaration, options)
    local state = enter(self, "add_table")
    check.type(name, "string", 1, "add_table", "name")
    check.type(declaration, "table", 2, "add_table", "declaration")
    check.optional(options, "table", 3, "add_table", "options")
    local ok, err = check.options("add_table", options, { types = "table" })
    if ok then ok, err = ready(state, "add_table") end
    if ok then ok, err = free_name(state, "add_table", name) end
    if not ok then return nil, err end
    local summary
    summary, err = transaction(state, "add_table", true, reshape.add_table, name, declaration, options and options.types)
    if not summary then return nil, err end
    return true, summary
  end

  ---@param name string
  ---@return true?, inner_universe.Error|table
  function Copy:drop_table(name)
    local state = enter(self, "drop_table")
    check.type(name, "string", 1, "drop_table", "name")
    return change(state, "drop_table", name, reshape.drop_table)
  end

  ---@param old string
  ---@param name string
  ---@return true?, inner_universe.Error|table
  function Copy:rename_table(old, name)
    local state = enter(self, "rename_table")
    check.type(old, "string", 1, "rename_table", "old")
    check.type(name, "string", 2, "rename_table", "name")
    local ok, err = ready(state, "rename_table")
    if ok and old:lower() ~= name:lower() then ok, err = free_name(state, "rename_table", name) end
    if not ok then return nil, err end
    return change(state, "rename_table", old, reshape.rename_table, name)
  end

  local COLUMN = { default = "any", value = "function", auto_inc = "boolean", after = "string", first = "boolean", types = "table" }

  ---A new column: a default, a function of the row, the next numbers, or none (an option).
  ---@param name string
  ---@param column string
  ---@param kind any a type, as in `iu.module`
  ---@param options? { default?: any, value?: fun(row: table): any, auto_inc?: boolean, after?: string, first?: boolean, types?: table<string, table> }
  ---@return true?, inner_universe.Error|table
  function Copy:add_column(name, column, kind, options)
    local state = enter(self, "add_column")
    check.type(name, "string", 1, "add_column", "table")
    check.type(column, "string", 2, "add_column", "column")
    if type(kind) ~= "table" then check.type(kind, "string", 3, "add_column", "type") end
    check.optional(options, "table", 4, "add_column", "options")
    local ok, err = check.options("add_column", options, COLUMN)
    if not ok then return nil, err end
    return change(state, "add_column", name, reshape.add_column, column, kind, options or {})
  end

  ---@param name string
  ---@param column string
  ---@return true?, inner_universe.Error|table
  function Copy:drop_column(name, column)
    local state = enter(self, "drop_column")
    check.type(name, "string", 1, "drop_column", "table")
    check.type(column, "string", 2, "drop_column", "column")
    return change(state, "drop_column", name, reshape.drop_column, column)
  end

  ---@param name string
  ---@param old string
  ---@param new string
  ---@return true?, inner_universe.Error|table
  function Copy:rename_column(name, old, new)
    local state = enter(self, "rename_column")
    check.type(name, "string", 1, "rename_column", "table")
    check.type(old, "string", 2, "rename_column", "old")
    check.type(new, "string", 3, "rename_column", "new")
    return change(state, "rename_column", name, reshape.rename_column, old, new)
  end

  ---Another type: by a function of the value, or by a conversion that loses nothing.
  ---@param name string
  ---@param column string
  ---@param kind any a type, as in `iu.module`
  ---@param fn? fun(value: any): any
  ---@param options? { types?: table<string, table> }
  ---@return true?, inner_universe.Error|table
  function Copy:retype_column(name, column, kind, fn, options)
    local state = enter(self, "retype_column")
    check.type(name, "string", 1, "retype_column", "table")
    check.type(column, "string", 2, "retype_column", "column")
    if type(kind) ~= "table" then check.type(kind, "string", 3, "retype_column", "type") end
    check.optional(fn, "function", 4, "retype_column", "fn")
    check.optional(options, "table", 5, "retype_column", "options")
    local ok, err = check.options("retype_column", options, { types = "table" })
    if not ok then return nil, err end
    return change(state, "retype_column", name, reshape.retype_column, column, kind, fn, options or {})
  end

  ---@param name string
  ---@param columns string[] all of them, in the new order
  ---@return true?, inner_universe.Error|table
  function Copy:reorder_columns(name, columns)
    local state = enter(self, "reorder_columns")
    check.type(name, "string", 1, "reorder_columns", "table")
    check.type(columns, "table", 2, "reorder_columns", "columns")
    return change(state, "reorder_columns", name, reshape.reorder_columns, columns)
  end

  local ALTER = { primary_key = "any", unique = "table", auto_inc = "any", indexes = "table", public = "boolean" }

  ---Keys and constraints: false takes one away. `indexes` and `public` are the module's; a file keeps neither, so they are only checked.
  ---@param name string
  ---@param changes { primary_key?: string|false, unique?: table, auto_inc?: string|string[]|false, indexes?: table, public?: boolean }
  ---@return true?, inner_universe.Error|table
  function Copy:alter_table(name, changes)
    local state = enter(self, "alter_table")
    check.type(name, "string", 1, "alter_table", "table")
    check.type(changes, "table", 2, "alter_table", "changes")
    local ok, err = check.options("alter_table", changes, ALTER)
    if not ok then return nil, err end
    return change(state, "alter_table", name, reshape.alter_table, changes)
  end

  ---Any new declaration: `fn(row)` gives the new row, an array of new rows, or false.
  ---@param name string
  ---@param declaration inner_universe.ModuleTable
  ---@param fn fun(row: table): table|false
  ---@param options? { types?: table<string, table> }
  ---@return true?, inner_universe.Error|table
  function Copy:rewrite_table(name, declaration, fn, options)
    local state = enter(self, "rewrite_table")
    check.type(name, "string", 1, "rewrite_table", "table")
    check.type(declaration, "table", 2, "rewrite_table", "declaration")
    check.type(fn, "function", 3, "rewrite_table", "fn")
    check.optional(options, "table", 4, "rewrite_table", "options")
    local ok, err = check.options("rewrite_table", options, { types = "table" })
    if not ok then return nil, err end
    return change(state, "rewrite_table", name, reshape.rewrite_table, declaration, fn, options and options.types)
  end

  local function check_targets(state, what, into, own)
    for target, declaration in pairs(into) do
      if type(target) ~= "string" then return invalid("%s: into: names of tables expected as keys, found %s", what, tostring(target)) end
      if declaration ~= true and type(declaration) ~= "table" then
        return invalid("%s: into.%s: a declaration or true expected, got %s", what, target, type(declaration))
      end
      if declaration ~= true and target ~= own then
        local ok, err = free_name(state, what, target)
        if not ok then return nil, err end
      end
    end
    return true
  end

  ---One table into several: `rows(row)` gives { table = row, or array of rows }. `into` may name the table itself (its new shape), and tables that are
  ---there (true).
  ---@param name string
  ---@param spec { into: table<string, inner_universe.ModuleTable|true>, rows: (fun(row: table): table), keep?: boolean, types?: table<string, table> }
  ---@return true?, inner_universe.Error|table
  function Copy:split_table(name, spec)
    local state = enter(self, "split_table")
    check.type(name, "string", 1, "split_table", "table")
    check.type(spec, "table", 2, "split_table", "spec")
    local ok, err = check.options("split_table", spec, { into = "table", rows = "function", keep = "boolean", types = "table" })
    if not ok then return nil, err end
    if not spec.into then return invalid("split_table: into: declarations by name expected") end
    if not spec.rows then return invalid("split_table: rows: a function of the row expected") end
    ok, err = ready(state, "split_table")
    if ok then ok, err = check_targets(state, "split_table", spec.into, name) end
    if not ok then return nil, err end
    return change(state, "split_table", name, reshape.split_table, spec)
  end

  ---Several tables into one, new or there (true): `from[table](row)` gives the row, an array of rows, or false. The sources go, but for `into`.
  ---@param into string
  ---@param declaration inner_universe.ModuleTable|true
  ---@param from table<string, fun(row: table): table|false>
  ---@param options? { keep?: boolean, types?: table<string, table> }
  ---@return true?, inner_universe.Error|table
  function Copy:merge_tables(into, declaration, from, options)
    local state = enter(self, "merge_tables")
    check.type(into, "string", 1, "merge_tables", "into")
    if declaration ~= true then check.type(declaration, "table", 2, "merge_tables", "declaration") end
    check.type(from, "table", 3, "merge_tables", "from")
    check.optional(options, "table", 4, "merge_tables", "options")
    local ok, err = check.options("merge_tables", options, { keep = "boolean", types = "table" })
    if ok then ok, err = ready(state, "merge_tables") end
    if ok then ok, err = check_targets(state, "merge_tables", { [into] = declaration }, from[into] and into or nil) end
    for source, fn in pairs(ok and from or {}) do
      local t
      t, err = table_of(state, "merge_tables", tostring(source))
      if not t then return nil, err end
      if t.nerv then return frozen("merge_tables", source) end
      if type(fn) ~= "function" then return invalid("merge_tables: from.%s: a function of the row expected, got %s", source, type(fn)) end
    end
    if not ok then return nil, err end
    local summary
    summary, err = transaction(state, "merge_tables", true, reshape.merge_tables, into, declaration, from, options or {})
    if not summary then return nil, err end
    return true, summary
  end
end
