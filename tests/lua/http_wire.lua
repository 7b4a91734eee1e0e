-- HTTP/1.1 over one kept-alive connection to a loopback port, without any code of the library: bash holds the socket, this side writes into its
-- standard input and reads its standard output. For tests that must not trust the client they test, and that make thousands of requests.
--
--   local wire = require "http_wire".open(port)
--   local status, body, headers = wire:request("POST", "/v1/identity", { ["Content-Type"] = "application/json" }, "[]")
--   wire:close()
--
-- Nothing it starts runs under a preloaded sanitizer. Blocks; a connection lives at most LIFE seconds. Raises when the connection breaks.

local command = require("command")

local LIFE = 240

local Wire = {}
Wire.__index = Wire

-- The answers' fifo is opened before the connection is tried, so that a refused one reads as the end of the file.
local SCRIPT = [[exec 4>"$1"; exec 3<>/dev/tcp/127.0.0.1/"$2" || exit 1; cat <&3 >&4 & reader=$!; exec 4>&-; cat >&3; kill $reader]]

local http_wire = {}

function http_wire.open(port)
  local fifo = assert(command.line("folder=$(mktemp -d) && mkfifo $folder/answers && echo $folder/answers"))
  local requests = assert(io.popen(("unset LD_PRELOAD; exec timeout %d bash -c '%s' - '%s' %d 2>/dev/null"):format(LIFE, SCRIPT, fifo, port), "w"))
  local answers = assert(io.open(fifo, "rb"))
  os.execute(("rm -rf '%s'"):format(fifo:match("^(.*)/")))
  requests:setvbuf("full")
  return setmetatable({ port = port, requests = requests, answers = answers }, Wire)
end

local function broken(self, what)
  error(("the connection to port %d ended %s"):format(self.port, what), 0)
end

local function read_line(self)
  local line = self.answers:read("L") or broken(self, "before an answer")
  return (line:gsub("\r?\n$", ""))
end

local function read_bytes(self, count)
  if count == 0 then return "" end
  local bytes = self.answers:read(count)
  if not bytes or #bytes < count then broken(self, "inside an answer") end
  return bytes
end

local function read_body(self, headers)
  if (headers["transfer-encoding"] or ""):lower() ~= "chunked" then return read_bytes(self, tonumber(headers["content-length"] or 0)) end
  local parts = {}
  repeat
    local size = tonumber(read_line(self), 16) or broken(self, "inside an answer")
    parts[#parts + 1] = read_bytes(self, size)
    read_line(self)
  until size == 0
  return table.concat(parts)
end

--- Status, body and headers (names in lower case) of the answer.
function Wire:request(method, path, headers, body)
  body = body or ""
  local lines = { ("%s %s HTTP/1.1"):format(method, path), "Host: 127.0.0.1", "Content-Length: " .. #body }
  for name, value in pairs(headers or {}) do
    lines[#lines + 1] = name .. ": " .. value
  end
  self.requests:write(table.concat(lines, "\r\n"), "\r\n\r\n", body)
  self.requests:flush()
  local first = read_line(self)
  local status = tonumber(first:match("^HTTP/1%.1 (%d+)")) or error("no HTTP answer: " .. first, 2)
  local found = {}
  for line in function() return read_line(self) end do
    if line == "" then break end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    found[name:lower()] = value
  end
  return status, read_body(self, found), found
end

--- The next bytes, of a connection that is no longer HTTP.
function Wire:read(count)
  return read_bytes(self, count)
end

function Wire:close()
  if not self.requests then return end
  self.requests:close()
  self.answers:close()
  self.requests, self.answers = nil, nil
end

Wire.__gc = Wire.close
Wire.__close = Wire.close

return http_wire
