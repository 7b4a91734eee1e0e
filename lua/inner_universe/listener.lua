-- listener.lua: a small HTTP server for what a plugin lets others look at (`ctx.listen`): GET and HEAD, bounded in connections, bytes and time. On loopback,
-- unless its maker says that others may come. The core's `responder` does the work; it serves while the program's loop turns, and keeps nothing waiting.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")

local listener = {}

local OPTIONS = { address = "string", port = "any", remote = "boolean", connections_max = "integer", request_bytes_max = "integer", timeout = "number" }
local CONNECTIONS_MAX = 16
local REQUEST_BYTES_MAX = 8192
local TIMEOUT = 10 -- seconds of one exchange, from the connect to its end

---@class inner_universe.Listener
local Listener = { __name = "inner_universe.Listener" }
Listener.__index = Listener

---@return integer? port nil once closed
function Listener:port()
  return self.core:port()
end

---@return integer open now
function Listener:connections()
  return self.core:connections()
end

---Cuts what is open. Idempotent.
function Listener:close()
  self.core:close()
end

Listener.__gc = Listener.close -- one that nobody holds any more is closed

local function is_loopback(address)
  return address == "::1" or address:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

local function invalid(message, ...)
  return nil, errors.new("ValidationError", ("listen: " .. message):format(...))
end

-- on_request's answer, whatever becomes of it.
local function serve(on_request)
  return function(core, request, path)
    local status, body, content_type = 500, "500 Internal Server Error\n", "text/plain; charset=utf-8"
    local answer <close> = setmetatable({}, {
      __close = function() core:answer(request, status, content_type, body) end,
    })
    local given, text, kind = on_request(path)
    if answer then status, body, content_type = given, text, kind or content_type end
  end
end

---Listens. `on_request(path)` answers a status, a body and a content type [text/plain, UTF-8]; it runs in a task of its own and may wait. What it raises is
---reported, and answered with 500. path: as it was sent, with what follows a `?`. It listens as long as the listener is held.
---@param options { address?: string, port?: integer, remote?: boolean, connections_max?: integer, request_bytes_max?: integer, timeout?: number } address:
---  numeric [127.0.0.1]; port: [0: a free one]; remote: one that is not loopback may be [false]; connections_max [16], request_bytes_max [8192], timeout [10]
---@param on_request fun(path: string): integer, string, string?
---@return inner_universe.Listener?, inner_universe.Error?
function listener.listen(options, on_request)
  check.type(options, "table", 1, "listen", "options")
  check.type(on_request, "callable", 2, "listen", "on_request")
  local ok, err = check.options("listen", options, OPTIONS)
  if not ok then return nil, err end
  local address, port = options.address or "127.0.0.1", options.port or 0
  if address == "localhost" then address = "127.0.0.1" end
  if math.type(port) ~= "integer" or port < 0 or port > 65535 then return invalid("port: an integer from 0 to 65535 expected, got %s", tostring(port)) end
  if not options.remote and not is_loopback(address) then
    return invalid("address: %s is not loopback (127.0.0.1, ::1); `remote` allows others", address)
  end
  local weak = setmetatable({}, { __mode = "v" }) -- the core holds the function below, which must not hold what on_request holds
  local core
  core, err = runtime.core.responder({
    address = address, port = port, connections_max = options.connections_max or CONNECTIONS_MAX,
    request_bytes_max = options.request_bytes_max or REQUEST_BYTES_MAX, timeout = options.timeout or TIMEOUT,
  }, function(request, path)
    local self = weak.self
    if self then runtime.tasks.call(self.answer, self.core, request, path) end
  end)
  if not core then return nil, err end
  local self = setmetatable({ core = core, answer = serve(on_request) }, Listener)
  weak.self = self
  return self
end

return listener
