-- Writes the first inputs of protocol_payload_fuzz into a folder: lua5.4 tests/fuzz/seeds.lua FOLDER
-- They are the message vectors of tests/c/protocol_fixture.h: the byte that chooses the protocol, a compression byte, the message; and JSON.

local folder = assert(arg[1], "a folder is wanted")
local VERSION = { S1 = 1, S2 = 2, F = 3 }

local JSON = {
  [0] = [[{"SubscribeMultiApplied":{"request_id":1,"total_host_execution_duration_micros":250,"query_id":{"id":2},"update":{"tables":[
    {"table_id":4096,"table_name":"user","num_rows":1,"updates":[{"deletes":["[7,\"Bob\"]"],"inserts":["{\"id\":7,\"name\":\"Bob\"}"]}]}]}}}]],
  [4] = [[{"typespace":{"types":[{"Product":{"elements":[{"name":{"some":"id"},"algebraic_type":{"U32":[]}}]}}]},"tables":[],"reducers":[
    {"name":"f","params":{"elements":[]},"lifecycle":{"none":[]}}],"types":[],"misc_exports":[],"row_level_security":[]}]],
}

local function write(name, ...)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(...)
  file:close()
end

for choice, text in pairs(JSON) do
  write("json_" .. choice, string.char(choice), text)
end

for line in io.lines("tests/c/protocol_fixture.h") do
  local kind, number, hex = line:match('^#define ([SF][12]?)_(%d+) "(%x+)"$')
  if kind then
    local bytes = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
    write(kind .. "_" .. number, string.char(VERSION[kind]), kind == "F" and "" or "\0", bytes)
  end
end
