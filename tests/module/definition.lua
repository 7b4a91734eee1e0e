-- definition.lua: what the module of tests/module declares, written as RawModuleDef (protocol sheet 8.4).
--
--   lua5.4 tests/module/definition.lua 9|10 > definition.h
--
-- For each type: the tables t_TYPE (k U32, the primary key; v) and l_TYPE (the same without keys), the reducers put_TYPE and set_TYPE (of t), add_TYPE and
-- cut_TYPE (of l), and in V10 the procedure echo_TYPE.

local VERSION = tonumber(arg[1])
local V10 = VERSION == 10

-- ---- bytes ----

local function u8(n) return string.pack("<I1", n) end
local function u16(n) return string.pack("<I2", n) end
local function u32(n) return string.pack("<I4", n) end
local function text(s) return string.pack("<s4", s) end
local function some(bytes) return u8(0) .. bytes end
local NONE = u8(1)

local function list(items) return u32(#items) .. table.concat(items) end

local function each(items, fn)
  local out = {}
  for i, item in ipairs(items) do out[i] = fn(item) end
  return list(out)
end

local function columns(numbers) return each(numbers, u16) end

-- ---- types ----

local function fields(list_of) return each(list_of, function(field) return some(text(field[1])) .. field[2] end) end
local function sum(variants) return u8(1) .. fields(variants) end
local function product(elements) return u8(2) .. fields(elements) end
local function array(element) return u8(3) .. element end

local SCALARS = { "String", "Bool", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "I128", "U128", "I256", "U256", "F32", "F64" }
local S = {}
for i, name in ipairs(SCALARS) do S[name] = u8(3 + i) end

local UNIT = product {}
local function option(inner) return sum { { "some", inner }, { "none", UNIT } } end
local IDENTITY = product { { "__identity__", S.U256 } }
local TIMESTAMP = product { { "__timestamp_micros_since_unix_epoch__", S.I64 } }
local DURATION = product { { "__time_duration_micros__", S.I64 } }
local UUID = product { { "__uuid__", S.U128 } }
local SCHEDULE_AT = sum { { "Interval", DURATION }, { "Time", TIMESTAMP } }

local types, names = {}, {}

-- A Ref to a type of the typespace.
local function define(name, bytes)
  types[#types + 1] = bytes
  names[#names + 1] = list {} .. text(name) .. u32(#types - 1) .. u8(1)
  return u8(0) .. u32(#types - 1), #types - 1
end

local vec = define("Vec", product { { "x", S.F32 }, { "y", S.F64 } })
local color = define("Color", sum { { "Red", UNIT }, { "Green", UNIT }, { "Blue", UNIT } })
local shape = define("Shape", sum { { "Empty", UNIT }, { "Circle", S.F64 }, { "At", vec }, { "Many", array(vec) }, { "Maybe", option(S.String) } })
local deep = define("Deep", product {
  { "name", S.String }, { "at", option(vec) }, { "shapes", array(shape) }, { "who", IDENTITY }, { "grid", array(array(S.I32)) }, { "unit", UNIT },
})
local TREE = #types
local tree = define("Tree", product { { "value", S.I32 }, { "kids", array(u8(0) .. u32(TREE)) } })

local COLUMNS = {
  { "bool", S.Bool, true }, { "string", S.String, true }, { "bytes", array(S.U8), true }, { "identity", IDENTITY, true },
  { "connection_id", product { { "__connection_id__", S.U128 } }, true }, { "timestamp", TIMESTAMP, true }, { "duration", DURATION },
  { "color", color }, { "shape", shape }, { "vec", vec }, { "deep", deep }, { "schedule_at", SCHEDULE_AT }, { "unit", UNIT },
  { "list_i64", array(S.I64) }, { "list_string", array(S.String) }, { "list_bytes", array(array(S.U8)) }, { "list_unit", array(UNIT) },
  { "opt_u8", option(S.U8) }, { "opt_string", option(S.String) }, { "opt_vec", option(vec) }, { "opt_f64", option(S.F64) },
  { "opt_list", option(array(option(S.String))) }, { "opt_identity", option(IDENTITY) },
}
for i = 3, #SCALARS do COLUMNS[#COLUMNS + 1] = { SCALARS[i]:lower(), S[SCALARS[i]], true } end
if V10 then
  COLUMNS[#COLUMNS + 1] = { "uuid", UUID, true }
  COLUMNS[#COLUMNS + 1] = { "opt_uuid", option(UUID) }
  COLUMNS[#COLUMNS + 1] = { "result", sum { { "ok", S.I32 }, { "err", S.String } } }
end

-- ---- tables ----

local tables, rows = {}, {}

-- indexes: { { columns, accessor } }; the key is a unique column.
local function add_table(name, elements, options)
  options = options or {}
  local ref, number = define("Row" .. #tables, product(elements))
  rows[name] = ref
  local key = options.key and { options.key } or {}
  local indexes = each(options.indexes or {}, function(index)
    local own = V10 and some(text(name .. "_by_" .. table.concat(index[1], "_"))) or NONE
    return own .. (index[2] and some(text(index[2])) or NONE) .. u8(0) .. columns(index[1])
  end)
  local unique = options.key and { NONE .. u8(0) .. columns(key) } or {}
  local counted = options.counted and { NONE .. u16(options.counted) .. NONE .. NONE .. NONE .. string.pack("<i16", 1) } or {}
  local bytes = text(name) .. u32(number) .. columns(key) .. indexes .. list(unique) .. list(counted)
  if not V10 then bytes = bytes .. (options.calls and some(NONE .. text(options.calls) .. u16(1)) or NONE) end
  bytes = bytes .. u8(1) .. u8(options.private and 1 or 0)
  if V10 then bytes = bytes .. list {} .. u8(options.event and 1 or 0) end
  tables[#tables + 1] = bytes
end

-- ---- functions ----

local reducers, reducer_lines, procedures, procedure_lines, views, schedules, lifecycles = {}, {}, {}, {}, {}, {}, {}
local LIFECYCLE = { INIT = 0, CONNECT = 1, DISCONNECT = 2 }

local function add_reducer(name, params, what, table_name, index, lifecycle)
  local bytes = text(name) .. fields(params)
  if V10 then
    bytes = bytes .. u8((lifecycle or name == "tick") and 0 or 1) .. UNIT .. S.String
    if lifecycle then lifecycles[#lifecycles + 1] = u8(LIFECYCLE[lifecycle]) .. text(name) end
  else
    bytes = bytes .. (lifecycle and some(u8(LIFECYCLE[lifecycle])) or NONE)
  end
  reducers[#reducers + 1] = bytes
  reducer_lines[#reducer_lines + 1] = ('{%s, "%s", "%s"}'):format(what, table_name or "", index or "")
end

local function add_procedure(name, params, returns, what)
  procedures[#procedures + 1] = text(name) .. fields(params) .. returns .. u8(1)
  procedure_lines[#procedure_lines + 1] = what
end

for _, column in ipairs(COLUMNS) do
  local name, kind, comparable = table.unpack(column)
  local elements, keyed, plain = { { "k", S.U32 }, { "v", kind } }, "t_" .. name, "l_" .. name
  add_table(keyed, elements, { key = 0, indexes = { { { 0 }, "k" }, comparable and { { 1 }, "v" } or nil } })
  add_table(plain, elements)
  add_reducer("put_" .. name, elements, "INSERT", keyed)
  add_reducer("set_" .. name, elements, "UPDATE", keyed, keyed .. (V10 and "_by_0" or "_k_idx_btree"))
  add_reducer("add_" .. name, elements, "INSERT", plain)
  add_reducer("cut_" .. name, elements, "DELETE", plain)
  add_procedure("echo_" .. name, { { "v", kind } }, kind, "ECHO")
end

local STRANGE = { { "from", S.U32 }, { "größe", S.String }, { "ID", S.String }, { "id", S.I32 }, { "_row", S.U8 } }
for i, name in ipairs { "select", "Grüße", "UPPER", "Upper", "sqlite_x" } do
  add_table(name, STRANGE, { key = 0, indexes = { { { 0 } }, { { 2, 3 }, "pair" } } })
  add_reducer("strange_" .. i, STRANGE, "INSERT", name)
end

local TIMER = { { "scheduled_id", S.U64 }, { "scheduled_at", SCHEDULE_AT }, { "what", S.String } }
add_table("ticked", TIMER)
add_table("timer", TIMER, { key = 0, counted = 0, indexes = { { { 0 } } }, calls = "tick" })
add_reducer("put_timer", TIMER, "INSERT", "timer")
add_reducer("tick", { { "row", rows.timer } }, "INSERT", "ticked")
schedules[1] = NONE .. text("timer") .. u16(1) .. text("tick")

-- Names that mean something in NERV's module.
local TEXTS = {
  { "id", S.U32 }, { "value", S.String }, { "data", S.String }, { "metadata", S.String }, { "properties", S.String }, { "description", S.String },
  { "name", option(S.String) }, { "tags", array(S.String) },
}
add_table("texts", TEXTS, { key = 0, indexes = { { { 0 } }, { { 1 }, "value" } } })
add_reducer("put_texts", TEXTS, "INSERT", "texts")

local SECRET = { { "id", S.U32 }, { "text", S.String } }
add_table("secret", SECRET, { private = true })
add_reducer("put_secret", SECRET, "INSERT", "secret")
local RULED = { { "owner", IDENTITY }, { "text", S.String } }
add_table("ruled", RULED)
add_reducer("put_ruled", RULED, "INSERT", "ruled")
add_table("nothing", {})

add_reducer("take_tree", { { "tree", tree } }, "NOTHING")
add_reducer("refuse", { { "words", S.String } }, "REFUSE")
add_reducer("trap", {}, "TRAP")
add_reducer("start", {}, "NOTHING", nil, nil, "INIT")
add_reducer("come", {}, "NOTHING", nil, nil, "CONNECT")
add_reducer("go", {}, "NOTHING", nil, nil, "DISCONNECT")

if V10 then
  add_table("shout", SECRET, { event = true })
  add_reducer("shoutOut", SECRET, "INSERT", "shout")
  add_table("ptimer", TIMER, { key = 0, counted = 0, indexes = { { { 0 } } } })
  add_procedure("ptick", { { "row", rows.ptimer } }, UNIT, "NOTHING")
  add_procedure("proc_trap", {}, UNIT, "TRAP")
  schedules[2] = NONE .. text("ptimer") .. u16(1) .. text("ptick")
  views[1] = text("strings") .. u32(0) .. u8(1) .. u8(1) .. fields {} .. product { { "__query__", rows.t_string } }
  views[2] = text("of_key") .. u32(1) .. u8(1) .. u8(1) .. fields { { "k", S.U32 } } .. array(rows.t_string)
end

-- A library behind a namespace: its types count from 0, its functions come after all others.
local submodules
if V10 then
  local SPOT = u8(0) .. u32(1)
  local KEPT = { { "k", S.U32 }, { "at", SPOT } }
  submodules = list { text("lib") .. list {
    u8(0) .. list { product(KEPT), product { { "x", S.F32 } } },
    u8(1) .. list { list {} .. text("Kept") .. u32(0) .. u8(1), list {} .. text("Spot") .. u32(1) .. u8(1) },
    u8(2) .. list { text("kept") .. u32(0) .. columns { 0 } .. list { some(text("kept_by_0")) .. some(text("k")) .. u8(0) .. columns { 0 } }
      .. list { NONE .. u8(0) .. columns { 0 } } .. list {} .. u8(1) .. u8(0) .. list {} .. u8(0) },
    u8(3) .. list { text("keep") .. fields(KEPT) .. u8(1) .. UNIT .. S.String },
    u8(4) .. list { text("echo_x") .. fields { { "x", S.F32 } } .. S.F32 .. u8(1) }, -- no Ref: 2.8.3 looks those of what it returns up in the root's types
    u8(9) .. u8(0),
  } }
  reducer_lines[#reducer_lines + 1] = '{INSERT, "lib.kept", ""}'
  procedure_lines[#procedure_lines + 1] = "ECHO"
end

-- ---- the definition ----

local RULES = list { text("SELECT * FROM ruled WHERE owner = :sender") }
local definition
if V10 then
  definition = u8(2) .. list {
    u8(0) .. list(types), u8(1) .. list(names), u8(2) .. list(tables), u8(3) .. list(reducers), u8(4) .. list(procedures), u8(5) .. list(views),
    u8(6) .. list(schedules), u8(7) .. list(lifecycles), u8(8) .. RULES, u8(9) .. u8(0), u8(14) .. submodules,
  }
else
  definition = u8(1) .. list(types) .. list(tables) .. list(reducers) .. list(names) .. list {} .. RULES
end

print(("static const uint8_t definition[] = {%s};"):format((definition:gsub(".", function(c) return c:byte() .. "," end))))
print(("static const struct { int what; const char *table, *index; } reducers[] = {%s};"):format(table.concat(reducer_lines, ", ")))
print(("static const int procedures[] = {%s};"):format(table.concat(procedure_lines, ", ")))
