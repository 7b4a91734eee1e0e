-- Tables of a working copy (working_copy.lua) made anew: columns, types, keys, one table into several. Each change is an edit of what the file declares
-- (file_tables.lua), judged by the rules of modules, and a pass over the rows into a table beside the old one, which then takes its place. Rows whose
-- bytes only move never come to Lua.
--
-- What is here gets the copy's `state` and the edited table, inside of a transaction; it answers a summary { rows }, or nil, err.

local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")
local file_tables = require("inner_universe.file_tables")
local retype = require("inner_universe.retype")
local rows = require("inner_universe.working_rows")

local reshape = {}

local function invalid(format, ...)
  return nil, errors.new("ValidationError", format:format(...))
end

-- edited tables ----------------------------------------------------------------------------------------------------------

-- A copy that may be changed; each column knows the number of the one it came from.
local function edit(t)
  local new = { name = t.name, columns = {}, primary_key = t.primary_key, unique = {}, auto_inc = table.move(t.auto_inc, 1, #t.auto_inc, 1, {}), types = {} }
  for i, column in ipairs(t.columns) do new.columns[i] = { name = column.name, type = column.type, from = i, was = column.name } end
  for i, names in ipairs(t.unique) do new.unique[i] = table.move(names, 1, #names, 1, {}) end
  for name, declared in pairs(t.types) do new.types[name] = declared end
  return new
end

local function add_types(what, new, types)
  for name, declared in pairs(types or {}) do
    if new.types[name] then return invalid("%s: types.%s: a name that is taken here", what, tostring(name)) end
    new.types[name] = declared
  end
  return true
end

local function position_of(columns, name)
  for i, column in ipairs(columns) do
    if column.name == name then return i end
  end
end

local function column_of(what, t, name)
  local at = position_of(t.columns, name)
  if at then return at end
  local names = {}
  for i, column in ipairs(t.columns) do names[i] = column.name end
  return invalid("%s: table `%s` has no column `%s`%s", what, t.name, name, suggest.hint(name, names))
end

local function compile(what, new)
  local made, err = file_tables.compile(new.name, file_tables.declaration(new), new.types)
  if not made then return nil, errors.new(err.kind, ("%s: %s"):format(what, err.message), { cause = err.cause }) end
  return made
end

-- Sequences of columns that were there before go on where they were.
local function position_pairs(t, new)
  local list = {}
  for i, name in ipairs(new.auto_inc) do
    local column = new.columns[position_of(new.columns, name)]
    for k, old in ipairs(t.auto_inc) do
      if column.was == old then list[#list + 1] = { k, i } end
    end
  end
  return list
end

-- Every row of `t` by the plan into what `new` declares, in its place.
local function rewrite(what, state, t, new)
  local made, err = compile(what, new)
  if not made then return nil, err end
  local plan = {}
  for i, column in ipairs(new.columns) do plan[i] = column.plan or column.from or made.defaults[i] end
  local writer <close>, why = state.session:writer("replace", t.name, made.definition)
  if not writer then return nil, why end
  local ok
  ok, err = rows.keep_positions(state.session, t.name, writer, position_pairs(t, new))
  if not ok then return nil, err end
  local number
  number, err = rows.take(state, t, writer, plan)
  if not number then return nil, err end
  ok, err = writer:finish(true)
  if not ok then return rows.refused({ table = t.name }, err) end
  return { rows = number }
end

-- The same rows under other names or constraints.
local function redefine(what, state, t, new)
  local made, err = compile(what, new)
  if not made then return nil, err end
  local ok
  ok, err = state.session:redefine(t.name, made.definition)
  if not ok then return rows.refused({ table = t.name }, err) end
  return { rows = 0 }
end

-- columns ----------------------------------------------------------------------------------------------------------------

-- Where the option `after` or `first` puts a column.
local function place_of(what, new, options)
  if options.first then return 1 end
  if options.after == nil then return #new.columns + 1 end
  local at, err = column_of(what, new, options.after)
  return at and at + 1, err
end

local function is_option(given)
  return type(given) == "table" and given.option ~= nil or type(given) == "string" and given:sub(-1) == "?"
end

function reshape.add_column(state, t, name, kind, options)
  local new = edit(t)
  local at, err = place_of("add_column", new, options)
  if not at then return nil, err end
  local column = { name = name, type = kind, default = options.default }
  if options.auto_inc then
    new.auto_inc[#new.auto_inc + 1] = name
    column.plan = ("\0"):rep((tonumber(tostring(kind):match("%d+")) or 8) // 8) -- which draws the next number
  elseif options.value then
    column.plan = { options.value }
  elseif options.default == nil then
    if not is_option(kind) then
      return invalid("add_column: column `%s`: a default, value or auto_inc expected: the rows that are there need one", name)
    end
    column.plan = "\1" -- none
  end
  local ok
  ok, err = add_types("add_column", new, options.types)
  if not ok then return nil, err end
  table.insert(new.columns, at, column)
  return rewrite("add_column", state, t, new)
end

local function without(list, name)
  local kept = {}
  for _, each in ipairs(list) do
    if each ~= name then kept[#kept + 1] = each end
  end
  return kept
end

function reshape.drop_column(state, t, name)
  local new = edit(t)
  local at, err = column_of("drop_column", new, name)
  if not at then return nil, err end
  if new.primary_key == name then
    return invalid("drop_column: `%s` is the primary key of table `%s`: give it another one first (alter_table)", name, t.name)
  end
  if #new.columns == 1 then return invalid("drop_column: `%s` is the only column of table `%s`", name, t.name) end
  for _, names in ipairs(new.unique) do
    if #names > 1 and #without(names, name) < #names then
      return invalid("drop_column: `%s` is unique together with others in table `%s`: change that first (alter_table)", name, t.name)
    end
  end
  table.remove(new.columns, at)
  new.auto_inc = without(new.auto_inc, name)
  local unique = {}
  for _, names in ipairs(new.unique) do
    if names[1] ~= name then unique[#unique + 1] = names end
  end
  new.unique = unique
  return rewrite("drop_column", state, t, new)
end

local function renamed(list, old, name)
  for i, each in ipairs(list) do
    if each == old then list[i] = name end
  end
end

function reshape.rename_column(state, t, old, name)
  local new = edit(t)
  local at, err = column_of("rename_column", new, old)
  if not at then return nil, err end
  new.columns[at].name = name
  if new.primary_key == old then new.primary_key = name end
  renamed(new.auto_inc, old, name)
  for _, names in ipairs(new.unique) do renamed(names, old, name) end
  return redefine("rename_column", state, t, new)
end

-- Of the type that the file would declare: names of types followed.
local function type_in_file(what, new, at)
  local made, err = compile(what, new)
  if not made then return nil, err end
  local t
  t, err = file_tables.read(new.name, made.definition)
  return t and t.columns[at], err
end

function reshape.retype_column(state, t, name, kind, fn, options)
  local new = edit(t)
  local at, err = column_of("retype_column", new, name)
  if not at then return nil, err end
  local ok
  ok, err = add_types("retype_column", new, options.types)
  if not ok then return nil, err end
  new.columns[at].type = kind
  local column
  column, err = type_in_file("retype_column", new, at)
  if not column then return nil, err end
  if not fn then
    if column.text == t.columns[at].text then return { rows = 0 } end
    local convert = retype.conversion(t.columns[at].type, column.type)
    if not convert then
      return invalid("retype_column: table `%s`: column `%s`: nothing turns every %s into %s: give a function of the value", t.name, name,
        t.columns[at].text, column.text)
    end
    fn = function(value)
      local result, why = convert(value)
      if result == nil and why then error(errors.new("ValidationError", ("%s: expected %s, got %s: %s"):format(name, column.text, tostring(value), why)), 0) end
      return result
    end
  end
  new.columns[at].plan = { fn, at }
  return rewrite("retype_column", state, t, new)
end

function reshape.reorder_columns(state, t, names)
  local new = edit(t)
  local columns, seen = {}, {}
  for i, name in ipairs(names) do
    local at, err = column_of("reorder_columns", new, name)
    if not at then return nil, err end
    if seen[name] then return invalid("reorder_columns: column `%s` is there twice", name) end
    seen[name], columns[i] = true, new.columns[at]
  end
  for _, column in ipairs(new.columns) do
    if not seen[column.name] then return invalid("reorder_columns: column `%s` of table `%s` is missing", column.name, t.name) end
  end
  new.columns = columns
  return rewrite("reorder_columns", state, t, new)
end

-- Keys and constraints; names are judged with the declaration.
function reshape.alter_table(state, t, changes)
  local new = edit(t)
  local keyed = changes.primary_key
  if keyed ~= nil then new.primary_key = keyed or nil end
  if changes.unique ~= nil then new.unique = changes.unique end
  if changes.auto_inc ~= nil then
    new.auto_inc = type(changes.auto_inc) == "table" and changes.auto_inc or changes.auto_inc and { changes.auto_inc } or {}
  end
  new.indexes, new.public = changes.indexes, changes.public
  if (keyed == nil or new.primary_key == t.primary_key) and changes.auto_inc == nil then return redefine("alter_table", state, t, new) end
  return rewrite("alter_table", state, t, new) -- positions follow the rows
end

-- tables -----------------------------------------------------------------------------------------------------------------

-- A declaration as given, judged.
local function declared(what, name, declaration, types)
  local made, err = file_tables.compile(name, declaration, types)
  if made then return made end
  return nil, errors.new(err.kind, ("%s: %s"):format(what, err.message), { cause = err.cause })
end

function reshape.add_table(state, name, declaration, types)
  local made, err = declared("add_table", name, declaration, types)
  if not made then return nil, err end
  local writer <close>, why = state.session:writer("create", name, made.definition)
  if not writer then return nil, why end
  local ok
  ok, err = writer:finish(false)
  return ok and { rows = 0 }, err
end

function reshape.drop_table(state, t)
  local ok, err = state.session:drop(t.name)
  return ok and { rows = 0 }, err
end

function reshape.rename_table(state, t, name)
  local new = edit(t)
  new.name = name
  if not t.foreign then -- the name by the rules of modules
    local made, err = compile("rename_table", new)
    if not made then return nil, err end
  elseif not name:find("^[%a_][%w_]*$") or name:lower():find("^_iu_") or name:lower():find("^sqlite_") then
    return invalid("rename_table: '%s' is no name for a table", name)
  end
  local ok, err = state.session:rename(t.name, name)
  return ok and { rows = 0 }, err
end

-- What a function of a row answered, row by row: a row, an array of rows, or nothing.
local function put_answer(writer, answer, place)
  if answer == nil or answer == false then return true end
  if not rows.is_list(answer) then
    if type(answer) == "table" and next(answer) == nil then return true end
    return rows.put(writer, answer, place)
  end
  for i = 1, #answer do
    local ok, err = rows.put(writer, answer[i], { table = place.table, primary_key = place.primary_key, row = place.row })
    if not ok then return nil, err end
  end
  return true
end

-- Numbers of a table that is written anew by a declaration go on in the columns that have the same name.
local function keep_by_name(state, t, writer, made)
  local new, err = file_tables.read(t.name, made.definition)
  if not new then return nil, err end
  for _, column in ipairs(new.columns) do column.was = column.name end
  return rows.keep_positions(state.session, t.name, writer, position_pairs(t, new))
end

function reshape.rewrite_table(state, t, declaration, fn, types)
  local made, err = declared("rewrite_table", t.name, declaration, types)
  if not made then return nil, err end
  local writer <close>, why = state.session:writer("replace", t.name, made.definition, made.defaults)
  if not writer then return nil, why end
  local ok
  ok, err = keep_by_name(state, t, writer, made)
  if not ok then return nil, err end
  local number
  number, err = rows.each(state, t, function(row, place)
    local called, answer = rows.call(fn, row, place)
    if not called then return nil, answer end
    if answer == nil then
      return rows.refused(place, errors.new("ValidationError", "the function answered nothing: a row, an array of rows or false expected"))
    end
    return put_answer(writer, answer, place)
  end)
  if not number then return nil, err end
  ok, err = writer:finish(true)
  if not ok then return rows.refused({ table = t.name }, err) end
  return { rows = number }
end

-- Closes what is open of a set of writers.
local function closer(writers)
  return setmetatable({}, { __close = function()
    for _, each in pairs(writers) do each.writer:close() end
  end })
end

-- writers[name] for a table of a split or a merge: `true`, or a declaration: of a new table, or of `old` in its new shape.
local function open_target(what, state, writers, name, declaration, types, old)
  local there = state.tables[name]
  local primary_key, writer, err
  if declaration == true then
    if not there then return invalid("%s: into.%s: no such table; a declaration makes it", what, name) end
    if there.name == old then return invalid("%s: into.%s: the table is rewritten: a declaration expected", what, name) end
    if there.nerv then return nil, errors.new("MigrationError", ("%s: table `%s` is frozen"):format(what, name)) end
    writer, err = state.session:writer("append", name)
    primary_key = there.primary_key
  else
    if there and name ~= old then return invalid("%s: into.%s: a table of that name is there (`true` appends to it)", what, name) end
    local made
    made, err = declared(what, name, declaration, types)
    if not made then return nil, err end
    writer, err = state.session:writer(there and "replace" or "create", name, made.definition, made.defaults)
    primary_key = declaration.primary_key
    if writer and there then
      local ok
      ok, err = keep_by_name(state, there, writer, made)
      if not ok then
        writer:close()
        return nil, err
      end
    end
  end
  if not writer then return nil, err end
  writers[name] = { writer = writer, primary_key = primary_key, replaces = declaration ~= true and there ~= nil }
  return true
end

local function finish_all(writers)
  for name, each in pairs(writers) do
    local ok, err = each.writer:finish(true)
    if not ok then return rows.refused({ table = name }, err) end
  end
  return true
end

function reshape.split_table(state, t, spec)
  local writers = {}
  local guard <close> = closer(writers)
  for name, declaration in pairs(spec.into) do
    local ok, err = open_target("split_table", state, writers, name, declaration, spec.types, t.name)
    if not ok then return nil, err end
  end
  local number, err = rows.each(state, t, function(row, place)
    local called, answer = rows.call(spec.rows, row, place)
    if not called then return nil, answer end
    if type(answer) ~= "table" then
      return rows.refused(place, errors.new("ValidationError", ("rows: a table { table = rows } expected, got %s"):format(type(answer))))
    end
    for name, made in pairs(answer) do
      local target = writers[name]
      if not target then
        return rows.refused(place, errors.new("ValidationError", ("rows: `%s` is not among the tables of `into`%s"):format(tostring(name),
          suggest.hint(tostring(name), writers))))
      end
      local ok, why = put_answer(target.writer, made, { table = name, primary_key = target.primary_key, row = place.row })
      if not ok then return nil, why end
    end
    return true
  end)
  if not number then return nil, err end
  local replaced = writers[t.name] ~= nil
  local ok
  ok, err = finish_all(writers)
  if ok and guard and not replaced and not spec.keep then ok, err = state.session:drop(t.name) end
  return ok and { rows = number }, err
end

function reshape.merge_tables(state, into, declaration, from, options)
  local writers = {}
  local guard <close> = closer(writers)
  local ok, err = open_target("merge_tables", state, writers, into, declaration, options.types, from[into] and into or nil)
  if not ok then return nil, err end
  local target, total = writers[into], 0
  for name, fn in pairs(from) do
    local number
    number, err = rows.each(state, state.tables[name], function(row, place)
      local called, answer = rows.call(fn, row, place)
      if not called then return nil, answer end
      return put_answer(target.writer, answer, { table = into, primary_key = target.primary_key, row = place.row })
    end)
    if not number then return nil, err end
    total = total + number
  end
  ok, err = finish_all(writers)
  for name in pairs(from) do
    if ok and guard and name ~= into and not options.keep then ok, err = state.session:drop(name) end
  end
  return ok and { rows = total }, err
end

return reshape
