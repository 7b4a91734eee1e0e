-- Writes the first inputs of a fuzz target into a folder: lua5.4 tests/fuzz/seeds.lua TARGET FOLDER
-- They come from the vectors and texts of tests/c, and from what is written below; each function here is one target's.

local target = assert(arg[1], "the name of a target is wanted")
local folder = assert(arg[2], "a folder is wanted")

local count = 0
local function write(...)
  count = count + 1
  local file = assert(io.open(("%s/seed_%04d"):format(folder, count), "wb"))
  file:write(...)
  assert(file:close())
end

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- The string literals of a C file that match a pattern; neighbours are joined, as the compiler does.
local ESCAPES = { n = "\n", t = "\t", r = "\r", ["0"] = "\0" }
local function literals(path, pattern)
  local found = {}
  local text = read(path):gsub("\\\\", "\1"):gsub('\\"', "\2"):gsub('"%s*\n%s*"', "")
  for literal in text:gmatch('"([^"\n]*)"') do
    literal = literal:gsub("\\x(%x%x)", bytes_of):gsub("\\(%w)", ESCAPES):gsub("\1", "\\"):gsub("\2", '"')
    if literal:find(pattern) then found[#found + 1] = literal end
  end
  assert(#found > 0, path .. " has no such text")
  return found
end

local targets = {}

-- ---- messages ----

local VERSION = { S1 = 1, S2 = 2, F = 3 }
local JSON = {
  [0] = [[{"SubscribeMultiApplied":{"request_id":1,"total_host_execution_duration_micros":250,"query_id":{"id":2},"update":{"tables":[
    {"table_id":4096,"table_name":"user","num_rows":1,"updates":[{"deletes":["[7,\"Bob\"]"],"inserts":["{\"id\":7,\"name\":\"Bob\"}"]}]}]}}}]],
  [4] = [[{"typespace":{"types":[{"Product":{"elements":[{"name":{"some":"id"},"algebraic_type":{"U32":[]}}]}}]},"tables":[],"reducers":[
    {"name":"f","params":{"elements":[]},"lifecycle":{"none":[]}}],"types":[],"misc_exports":[],"row_level_security":[]}]],
}

-- Each with the number of its protocol, and the compression byte where there is one.
local function messages(fn)
  for line in io.lines("tests/c/protocol_fixture.h") do
    local kind, hex = line:match('^#define ([SF][12]?)_%d+ "(%x+)"$')
    if kind then fn(VERSION[kind], (kind == "F" and "" or "\0") .. bytes_of(hex)) end
  end
end

-- The byte that chooses the protocol, the message.
function targets.protocol_payload()
  for choice, text in pairs(JSON) do write(string.char(choice), text) end
  messages(function(version, message) write(string.char(version), message) end)
end

-- Steps: built messages (4: an update of one table with deletes and inserts by choice bytes), a message as it came (0), others.
function targets.client_replica()
  messages(function(version, message) write(string.pack("<BBI2", 0, version, #message), message) end)
  write("\4\1\1\0\4\1\2\3\4", "\1\0", "\2\1\0\0\1\0\0\0", "\3")
  write("\4\2\0\0\3\1\2\3\1\0\2\1\1", "\1\2", "\x84\1\2\2\1\1\2\5\6", "\x82\1\1\1\1")
end

-- ---- values ----

-- Types as BSATN.
local TAGS = { string = 4, bool = 5, i8 = 6, u8 = 7, i16 = 8, u16 = 9, i32 = 10, u32 = 11, i64 = 12, u64 = 13, i128 = 14, u128 = 15, i256 = 16, u256 = 17,
  f32 = 18, f64 = 19 }
local function type_bytes(t)
  if type(t) == "string" then return string.char(TAGS[t]) end
  if t.ref then return string.pack("<BI4", 0, t.ref) end
  if t.array then return "\3" .. type_bytes(t.array) end
  local parts = { string.pack("<BI4", t.sum and 1 or 2, #t) }
  for _, field in ipairs(t) do
    parts[#parts + 1] = string.pack("<Bs4", 0, field[1]) .. type_bytes(field[2])
  end
  return table.concat(parts)
end
local function typespace(types)
  local parts = { string.pack("<I4", #types) }
  for _, t in ipairs(types) do parts[#parts + 1] = type_bytes(t) end
  return table.concat(parts)
end

local UNIT = {}
local function option(t) return { sum = true, { "some", t }, { "none", UNIT } } end
local function text(s) return string.pack("<s4", s) end

-- Types, a value as bytes, a value as JSON.
local VALUES = {
  { { { { "id", "u32" }, { "name", "string" } } }, "\7\0\0\0" .. text "Bob" .. "\8\0\0\0" .. text "", [=[{"id":7,"name":"Bob"}]=] },
  { { { array = "string" } }, "\2\0\0\0" .. text "a" .. text "bc" .. "\0\0\0\0", [=[["a","bc"]]=] },
  { { { array = "u8" } }, text "\0\1\2" .. text "\0\1", [=["000102"]=] },
  { { option(option("f64")) }, "\0\0" .. string.pack("<d", -2.5) .. "\0\1", [=[{"some":{"none":[]}}]=] },
  { { { sum = true, { "Red", UNIT }, { "Rgb", { { "r", "u8" }, { "g", "u8" } } }, { "Named", "string" } } }, "\1\9\8\2" .. text "x", [=[{"Rgb":[1,2]}]=] },
  { { { { "__identity__", "u256" } } }, ("\5"):rep(64), [=["0xc200483152d642c7d402de06cacc36dcb0c2a1f2bbeb8e7d5a673f2435cca975"]=] },
  { { { { "__timestamp_micros_since_unix_epoch__", "i64" } } }, ("\1"):rep(16), [=[[1700000000000000]]=] },
  { { { { "head", "i16" }, { "rest", option({ ref = 1 }) } }, { { "up", { array = { ref = 0 } } } } },
    "\1\0\0\1\0\0\0\2\0\1\3\0\1", [=[[1,{"some":[[]]}]]=] },
  { { { { "a", "bool" }, { "b", "i8" }, { "c", "u16" }, { "d", "i128" }, { "e", "u256" }, { "f", "f32" }, { "g", "f64" } } },
    "\1\xff\2\1" .. ("\x80"):rep(48) .. string.pack("<fd", 1.5, -1e300),
    [=[[true,-1,513,"-0x10",123456789012345678901234567890,1.5,1e-7]]=] },
}
local DIGITS = { "0", "-1", "255", "0xff", "-0x80", "18446744073709551615", "340282366920938463463374607431768211455",
  "-170141183460469231731687303715884105728",
  "c200483152d642c7d402de06cacc36dcb0c2a1f2bbeb8e7d5a673f2435cca975", "01890a5d-ac96-774b-bcce-b302099a8057", "0x000102030405060708090a0b0c0d0e0f" }

function targets.sats_value()
  for _, v in ipairs(VALUES) do
    write("\0", typespace(v[1]), v[2])
    write("\1", typespace(v[1]), v[3])
  end
  for _, digits in ipairs(DIGITS) do write("\3", digits) end
  for _, hex in ipairs(literals("tests/c/sats_schema_fixture.h", "^%x%x%x%x%x%x%x%x%x%x+$")) do write("\2", bytes_of(hex)) end
end

-- ---- texts ----

-- The length of a path, the path, a text.
function targets.sats_json()
  local paths = { "", "a", "b.x", "1", "0.a", "\\e", "a\\.b.c" }
  for _, kind in ipairs { "canonical", "document", "reader", "path" } do
    for i, json in ipairs(literals(("tests/c/sats_json_%s_test.c"):format(kind), '[%[{"%d]')) do
      write(string.pack("s1", paths[i % #paths + 1]), json)
    end
  end
end

-- Options, two values, operations.
function targets.document_diff()
  local values = { '{"a":{"b":[1,2,3]},"s":"a text of several words, long enough","n":1}',
    '{"a":{"b":[0,1,3,4.0],"c":null},"s":"a text of some more words, long enough","m":-0.0}', "[1,2,3,1,2,3,1,2,3]", "[3,1,2,1,2,3,3,2,1]",
    '[{"id":1,"v":[1]},{"id":2,"v":[2]},{"id":3}]',
    '[{"id":3,"v":{}},{"id":1,"v":[1,1]},{"id":4}]', '[{"a":"x","b":[]},{"a":"y"}]',
    '[{"a":"y","b":{}},{"a":"x"}]', "1" }
  local lists = {
    '[{"op":"set","path":"a.b.0","value":{"x":[]}},{"op":"insert","path":"a.b","index":1,"value":null},{"op":"remove","path":"a.b","index":0}]',
    '[{"op":"patch","path":"s","patch":[[0,1,"A"],[2,4,""]]},{"op":"patch","path":"a","patch":{"b":null,"c":{"d":1}}},{"op":"delete","path":"n"}]',
    '[{"op":"insert","path":"","value":[1]},{"op":"set","path":"","value":{}},{"op":"set","path":"x\\.y","value":1}]' }
  for i = 1, #values do
    for choice = 0, 2 do
      write(string.pack("<Bs2s2", choice, values[i], values[i % #values + 1]), lists[(i + choice) % #lists + 1])
    end
  end
end

function targets.query_sql()
  for _, file in ipairs { "tests/c/query_parse_test.c", "tests/c/query_join_test.c" } do
    for _, sql in ipairs(literals(file, "^%s*[Ss][Ee][Ll][Ee][Cc][Tt]")) do write(sql) end
  end
end

function targets.net_http_head()
  for _, method in ipairs { "GET", "HEAD", "POST" } do
    write(method, " /metrics?a=b HTTP/1.1\r\nHost: localhost:9464\r\nAccept: text/plain;q=0.5\r\n\r\n")
    write(method, " / HTTP/1.0\r\nContent-Length: 0\r\nX:\r\n\r\nmore")
    write(method, " / HTTP/2.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n")
  end
end

-- ---- universe files ----

local PERSON, COUNTER, TAG, READING, NOTE = 1, 2, 3, 4, 5 -- ids of the tables in a fresh file of tests/c/journal_fixture.h
local PUT, DELETE_KEY, DELETE_ROW = 0, 1, 2

local function frame(changes, positions)
  local parts = { string.pack("<I4", #changes) }
  for _, c in ipairs(changes) do parts[#parts + 1] = string.pack("<I4s4", c[1] << 2 | c[2], c[3]) end
  parts[#parts + 1] = string.pack("<I4", #(positions or {}))
  for _, p in ipairs(positions or {}) do parts[#parts + 1] = string.pack("<I4I4i8", p[1], p[2], p[3]) end
  return text(table.concat(parts))
end
local function person(id) return text(id) .. "\36\0\0\0\0" .. text "Ada" .. "\1\0\0\0" .. text "a tag" .. string.pack("<d", 1.5) end
local function patch(at, bytes) return string.pack("<I3s1", at, bytes) end
local function edit(which, a, b, c, shift, bytes) return string.pack("<BBbbBs1", which, a, b, c, shift, bytes) end

function targets.journal_file()
  write("\0", "SQLite format 3\0", ("\0"):rep(84))
  write("\0")
  for at = 0, 99, 6 do write("\1", patch(at, "\1\2\3")) end
  for at = 4096, 120000, 4096 do
    write("\1", patch(at, "\x05\0\1"), patch(at + 700, "\xff\xff\xff\xff"))
    write("\2", patch(at, "\x0a"), patch(at + 3000, "abc"))
    write("\1", patch(at, ""))
  end
  write("\3", "\0", frame { { PERSON, PUT, person "k1" }, { PERSON, DELETE_KEY, text "k2" }, { TAG, PUT, text "k3" .. "\1\0" } })
  write("\3", "\1", frame({ { COUNTER, PUT, string.pack("<I8i8", 3, -4) } }, { { COUNTER, 0, 77 } }), frame { { TAG, DELETE_ROW, text "k3" .. "\1\0" } })
  write("\3", "\0", frame { { READING, PUT, string.pack("<d", 0 / 0) .. text "n" }, { READING, DELETE_ROW, string.pack("<d", 1.5) .. text "k1" },
    { NOTE, PUT, string.pack("<i8", -3) .. text "\1\2\3" }, { NOTE, DELETE_KEY, string.pack("<i8", 4) } })
  for which = 0, 13 do
    write("\4", edit(which, 1, 1, 1, 0, ""), edit(which | 0x80, 2, -1, -1, 62, text "k1"))
    write("\4", edit(which, 3, 2, 5, 8, person "k9"), edit(5, which, 0, 0, 0, ("\7"):rep(32)))
  end
end

local fill = targets[target]
if fill then fill() end -- a target without seeds begins with nothing
