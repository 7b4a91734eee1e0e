-- Rows of a working copy (working_copy.lua): every table, the toolkit's own and those of modules, without a module's code. What is here gets the copy's
-- `state`, with an open session of the core, and runs inside of a transaction where it writes.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")

local rows = {}

local SLICE = 1024 -- rows between two calls of `progress`
local SHOWN = 80

-- what does not fit -----------------------------------------------------------------------------------------------------

local function shown(value)
  if value == nil then return "nil" end
  local ok, text
  if type(value) == "table" then text = runtime.core.json_encode(value) end
  if not text then ok, text = pcall(tostring, value) end
  if ok == false then text = type(value) end
  if #text <= SHOWN then return text end
  return text:sub(1, (utf8.offset(text, 0, SHOWN) or SHOWN + 1) - 1) .. "..."
end

---A row that a table does not take: what `cause` says of it, and where.
---@param place { table: string, primary_key?: string, key?: any, row?: integer, column?: string, value?: any }
---@param cause any an err, or what a function raised
---@return inner_universe.Error
function rows.misfit(place, cause)
  local where = ""
  if place.key ~= nil and place.primary_key then where = (": row with %s = %s"):format(place.primary_key, shown(place.key))
  elseif place.row then where = (": row %d"):format(place.row) end
  local why = errors.from(cause)
  local message = why.message:gsub("^table `[^`]*`: ", "")
  return errors.new("MigrationError", ("table `%s`%s: %s"):format(place.table, where, message), {
    cause = cause,
    details = { table = place.table, key = place.key, column = place.column, value = place.value ~= nil and shown(place.value) or nil, row = place.row },
  })
end

---Whether an err of the core is about a row, and not about the disk.
local function is_of_row(err)
  return err.kind == "ValidationError" or err.kind == "ConflictError" or err.kind == "OverloadedError"
end

---@return nil, inner_universe.Error
function rows.refused(place, err)
  if not is_of_row(err) then return nil, err end
  return nil, rows.misfit(place, err)
end

-- walking ----------------------------------------------------------------------------------------------------------------

function rows.tell(state, what, done, total)
  if state.progress then state.progress(what, done, total) end
end

---Puts a row of Lua; true, or nil and a MigrationError.
---@param writer table of the core
---@param place table as `misfit` takes it
function rows.put(writer, row, place)
  local ok, err, column = writer:put(row)
  if ok then return true end
  place.column = column
  if column and type(row) == "table" then place.value = row[column] end
  if place.key == nil and place.primary_key and type(row) == "table" then place.key = row[place.primary_key] end
  return rows.refused(place, err)
end

---Calls `fn(row, place, reader)` with each row of a table; it answers true, or nil, err. place: table, primary key, key and number of the row; one table
---for all rows. How many.
---@return integer?, inner_universe.Error?
function rows.each(state, t, fn)
  local session = state.session
  local total, err = session:rows(t.name)
  if not total then return nil, err end
  local reader <close>, why = session:reader(t.name)
  if not reader then return nil, why end
  local number, key = 0, t.primary_key
  local place = { table = t.name, primary_key = key }
  while true do
    local row
    row, err = reader:next()
    if row == nil then break end
    number = number + 1
    place.row = number
    if key then place.key = row[key] end
    local ok, refused = fn(row, place, reader)
    if not ok then return nil, refused end
    if number % SLICE == 0 then rows.tell(state, "rows", number, total) end
  end
  if err then return nil, err end
  rows.tell(state, "rows", number, total)
  return number
end

---Calls a function of the user's: true and what it answers, or nil, err.
function rows.call(fn, row, place)
  local ok, result = pcall(fn, row)
  if ok then return true, result end
  return nil, rows.misfit(place, result)
end

---All rows of `t` through a plan (core: w:take) into a writer. How many.
---@return integer?, inner_universe.Error?
function rows.take(state, t, writer, plan)
  local session = state.session
  local total, err = session:rows(t.name)
  if not total then return nil, err end
  local reader <close>, why = session:reader(t.name)
  if not reader then return nil, why end
  local number = 0
  local function place_of(column, value)
    local row = reader:current() or {}
    if value == nil and column then value = row[column] end
    return { table = t.name, primary_key = t.primary_key, key = t.primary_key and row[t.primary_key], column = column, value = value }
  end
  repeat
    local ok, taken, ended, column, value = pcall(writer.take, writer, reader, plan, SLICE)
    if not ok then return nil, rows.misfit(place_of(writer:column()), taken) end
    if not taken then return rows.refused(place_of(column, value), ended) end
    number = number + taken
    rows.tell(state, "rows", number, total)
  until ended
  return number
end

-- the methods ------------------------------------------------------------------------------------------------------------

local function is_row_list(value)
  return type(value) == "table" and (getmetatable(value) == runtime.core.array_mt or (next(value) ~= nil and value[1] ~= nil))
end
rows.is_list = is_row_list

-- One row, an array of rows, or a function that gives the next one.
local function source_of(given)
  if type(given) == "function" then return given end
  if not is_row_list(given) then given = { given } end
  local i = 0
  return function()
    i = i + 1
    return given[i]
  end
end

function rows.insert(state, t, given)
  local writer <close>, err = state.session:writer("append", t.name)
  if not writer then return nil, err end
  local next_row, number = source_of(given), 0
  while true do
    local ok, row = pcall(next_row)
    if not ok then return nil, rows.misfit({ table = t.name, row = number + 1 }, row) end
    if row == nil then break end
    number = number + 1
    ok, err = rows.put(writer, row, { table = t.name, primary_key = t.primary_key, row = number })
    if not ok then return nil, err end
    if number % SLICE == 0 then rows.tell(state, "rows", number, number) end
  end
  local ok
  ok, err = writer:finish(true)
  if not ok then return rows.refused({ table = t.name }, err) end
  return number
end

function rows.put_one(state, t, row)
  local writer <close>, err = state.session:writer("append", t.name)
  if not writer then return nil, err end
  local stored, why, column = writer:put(row, true, true)
  if not stored then
    local place = { table = t.name, primary_key = t.primary_key, key = t.primary_key and row[t.primary_key], column = column, value = column and row[column] }
    return rows.refused(place, why)
  end
  local ok
  ok, err = writer:finish(false)
  if not ok then return nil, err end
  state.unchecked[t.name] = true -- each row would cost a look at all of them: before the copy is used for anything else
  return stored
end

function rows.delete(state, t, key)
  local writer <close>, err = state.session:writer("append", t.name)
  if not writer then return nil, err end
  local was_there, why, column = writer:delete(key)
  if was_there == nil then return rows.refused({ table = t.name, column = column or t.primary_key, value = key }, why) end
  local ok
  ok, err = writer:finish(false)
  if not ok then return nil, err end
  return was_there
end

---Positions of auto-increment columns that stay: { { from, to } } numbers of sequences.
function rows.keep_positions(session, from, writer, pairs_of)
  for _, pair in ipairs(pairs_of) do
    local next_number, err = session:position(from, pair[1])
    if not next_number then return nil, err end
    if next_number ~= 0 then writer:position(pair[2], next_number) end
  end
  return true
end

local function same_positions(t)
  local list = {}
  for i in ipairs(t.auto_inc) do list[i] = { i, i } end
  return list
end

---fn(row): a row replaces it, nil leaves it, false deletes it.
function rows.update(state, t, fn)
  local writer <close>, err = state.session:writer("replace", t.name, t.definition)
  if not writer then return nil, err end
  local ok
  ok, err = rows.keep_positions(state.session, t.name, writer, same_positions(t))
  if not ok then return nil, err end
  local counts = { rows = 0, changed = 0, deleted = 0 }
  counts.rows, err = rows.each(state, t, function(row, place, reader)
    local called, result = rows.call(fn, row, place)
    if not called then return nil, result end
    if result == false then
      counts.deleted = counts.deleted + 1
      return true
    elseif result == nil then
      local kept, why = writer:keep(reader)
      if not kept then return rows.refused(place, why) end
      return true
    end
    counts.changed = counts.changed + 1
    return rows.put(writer, result, place)
  end)
  if not counts.rows then return nil, err end
  ok, err = writer:finish(true)
  if not ok then return rows.refused({ table = t.name }, err) end
  return counts
end

---What was put row by row, against unique constraints.
function rows.check_unique(state)
  for name in pairs(state.unchecked) do
    local ok, err = state.session:check_unique(name)
    if not ok then return rows.refused({ table = name }, err) end
    state.unchecked[name] = nil
  end
  return true
end

return rows
