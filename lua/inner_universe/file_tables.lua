-- Tables as a universe's file declares them: definitions (core/journal/catalog_text.c, one fact a line) read to tables that can be edited, written as a
-- declaration of `iu.module`, and made a definition again by way of the module rules, so that nothing gets into a file that no module could declare.
--
-- An edited table: { name, columns = { { name, type, text } }, primary_key?, unique = { { names } }, auto_inc = { names }, types = { name = declared } }.
-- `type` is as modules write it; products and sums, which a file knows by what they are made of, get names of their own in `types`. `text` is for people.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local module = require("inner_universe.module")
local definition = require("inner_universe.module_definition")

local file_tables = {}

local WORDS = {
  String = "string", Bool = "bool", Bytes = "bytes", Identity = "identity", ConnectionId = "connection_id", Timestamp = "timestamp",
  TimeDuration = "time_duration", Uuid = "uuid", ScheduleAt = "schedule_at", F32 = "f32", F64 = "f64",
}
for _, sign in ipairs({ "U", "I" }) do
  for _, bits in ipairs({ "8", "16", "32", "64", "128", "256" }) do WORDS[sign .. bits] = sign:lower() .. bits end
end

local MODULE = "working_copy" -- what the module of a declaration is called while it is judged; nobody sees it
local FILE_MODULE = "file_tables" -- and the one that declares what a file has

-- types --------------------------------------------------------------------------------------------------------------

local function strange(text)
  error({ strange = text }, 0)
end

-- `space`: { types } of the names given. Answers the type, a text, and where it ends.
local read_type

local function read_fields(text, at, close, space)
  local list, shown = {}, {}
  local sum = close == "}"
  local between = sum and " | " or ", "
  while text:sub(at, at) ~= close do
    if #list > 0 then
      if text:sub(at, at + #between - 1) ~= between then strange(text) end
      at = at + #between
    end
    local name, rest = text:match("^([^ :,|<>(){}]+): ()", at)
    if not name then strange(text) end
    if sum and text:sub(rest, rest + 1) == "()" then
      list[#list + 1], shown[#shown + 1], at = name, name, rest + 2
    else
      local field, field_text
      field, field_text, at = read_type(text, rest, space)
      list[#list + 1], shown[#shown + 1] = { name, field }, name .. ": " .. field_text
    end
  end
  if #list == 0 then strange(text) end
  local whole = (sum and "{%s}" or "(%s)"):format(table.concat(shown, between))
  local name = "part_" .. runtime.core.sha256(whole):sub(1, 16) -- the same parts have the same name, in every table
  space.types[name] = sum and { sum = list } or list
  return name, whole, at + 1
end

function read_type(text, at, space)
  local first = text:sub(at, at)
  if first == "(" or first == "{" then return read_fields(text, at + 1, first == "(" and ")" or "}", space) end
  local word, after = text:match("^(%w+)()", at)
  if not word then strange(text) end
  if word ~= "Option" and word ~= "Array" then
    local name = WORDS[word]
    if not name then strange(text) end
    return name, name, after
  end
  if text:sub(after, after) ~= "<" then strange(text) end
  local inner, inner_text
  inner, inner_text, after = read_type(text, after + 1, space)
  if text:sub(after, after) ~= ">" then strange(text) end
  if word == "Option" then return { option = inner }, inner_text .. "?", after + 1 end
  return { array = inner }, "[" .. inner_text .. "]", after + 1
end

-- definitions --------------------------------------------------------------------------------------------------------

local function words_of(text)
  local list = {}
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

---@param name string
---@param text string its definition
---@return table?, inner_universe.Error?
function file_tables.read(name, text)
  local space = { types = {} }
  local t = { name = name, columns = {}, unique = {}, auto_inc = {}, types = space.types, definition = text }
  local ok, why = pcall(function()
    for line in text:gmatch("[^\n]+") do
      local column, rest = line:match("^column (%S+) (.+)$")
      if column then
        local kind, shown, after = read_type(rest, 1, space)
        if after ~= #rest + 1 then strange(rest) end
        t.columns[#t.columns + 1] = { name = column, type = kind, text = shown }
      elseif line:find("^primary key ") then
        t.primary_key = line:sub(13)
      elseif line:find("^unique ") then
        t.unique[#t.unique + 1] = words_of(line:sub(8))
      elseif line:find("^auto increment ") then
        t.auto_inc[#t.auto_inc + 1] = line:sub(16)
      else
        strange(line)
      end
    end
  end)
  if ok then return t end
  if type(why) ~= "table" or not why.strange then error(why, 0) end
  return nil, errors.new("ValidationError", ("table `%s`: no module in Lua can declare '%s'"):format(name, why.strange))
end

---The table as a module declares it; its types are `t.types`.
---@param t table
---@return inner_universe.ModuleTable
function file_tables.declaration(t)
  local columns = {}
  for i, column in ipairs(t.columns) do columns[i] = { column.name, column.type, default = column.default } end
  return {
    columns = columns, primary_key = t.primary_key, unique = t.unique, auto_inc = #t.auto_inc > 0 and t.auto_inc or nil, indexes = t.indexes, public = t.public,
  }
end

local function plain_message(err)
  return (err.message:gsub("^module [%w_]+: ", ""))
end

-- Reducers are the module's: a table that calls one is declared without it here, for a file knows of no schedules.
local function without_schedule(declaration)
  local copy = {}
  for key, value in pairs(declaration) do
    if key ~= "scheduled" then copy[key] = value end
  end
  return copy
end

---What a file says of a table that is declared so: its definition, and the bytes of default values by position.
---@param name string
---@param declaration table
---@param types? table<string, table>
---@return { definition: string, defaults: table<integer, string>, columns: table[] }?, inner_universe.Error?
function file_tables.compile(name, declaration, types)
  local made, err = module.new(MODULE, { tables = { [name] = without_schedule(declaration) }, types = types })
  local described, listed
  if made then described, err = definition.of(module.parts(made)) end
  if described then listed, err = runtime.core.catalog(described.definition) end
  if not listed then return nil, errors.new(err.kind, plain_message(err), { cause = err.cause }) end
  local defaults = {}
  for _, default in ipairs(described.defaults) do defaults[default.position + 1] = default.bytes end
  return { definition = listed[1].definition, defaults = defaults }
end

-- files --------------------------------------------------------------------------------------------------------------

---The definitions of the toolkit's own tables, by name.
---@return table<string, string>
function file_tables.nerv()
  local listed = assert(runtime.core.catalog({}))
  local by_name = {}
  for _, t in ipairs(listed) do by_name[t.name] = t.definition end
  return by_name
end

---A module without reducers that declares those tables of a list { { name, definition } } that are not the toolkit's own; nil when there are none.
---@param listed table[]
---@return inner_universe.Module?, inner_universe.Error?
function file_tables.module_of(listed)
  local nerv = file_tables.nerv()
  local tables, types, any = {}, {}, false
  for _, each in ipairs(listed) do
    if nerv[each.name] ~= each.definition then
      local t, err = file_tables.read(each.name, each.definition)
      if not t then return nil, err end
      for name, declared in pairs(t.types) do types[name] = declared end
      tables[each.name], any = file_tables.declaration(t), true
    end
  end
  if not any then return nil end
  return module.new(FILE_MODULE, { tables = tables, types = types })
end

---Whether a list { { name, definition } } has the toolkit's own tables.
function file_tables.has_nerv(listed)
  local nerv = file_tables.nerv()
  for _, each in ipairs(listed) do
    if nerv[each.name] == each.definition then return true end
  end
  return false
end

---Modules that declare, without reducers, what the tables of a file are beside the toolkit's own: none or one. The file is only read.
---@param path string
---@return inner_universe.Module[]?, inner_universe.Error?
function file_tables.modules(path)
  local answer, err = runtime.core.sql(path, "SELECT name, definition FROM _iu_table ORDER BY id")
  if not answer then return nil, err end
  local listed = {}
  for i, row in ipairs(answer.rows) do listed[i] = { name = row[1], definition = row[2] } end
  local made
  made, err = file_tables.module_of(listed)
  if err then return nil, err end
  return { made }
end

return file_tables
