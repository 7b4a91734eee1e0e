-- server_logs.lua: the methods of `iu.server` about a database's log: records as lines of JSON, read or followed.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local server_request = require("inner_universe.server_request")

local tasks = runtime.tasks

local LOG_OPTIONS = { lines = "integer" }
local FOLLOW_OPTIONS = { lines = "integer", on_end = "callable" }

local LINE_BYTES_MAX = 4 * 1024 * 1024 -- of a record; a longer one is left out

-- Records come a line each; a piece may end in the middle of one.
local function line_reader(fn)
  local rest, too_long = "", false
  return function(bytes)
    rest = rest .. bytes
    for line in rest:gmatch("([^\n]*)\n") do
      local record = not too_long and line ~= "" and runtime.core.json_decode(line)
      too_long = false
      if record then fn(record) end
    end
    rest = rest:match("[^\n]*$")
    if #rest > LINE_BYTES_MAX then rest, too_long = "", true end
  end
end

---@param Server inner_universe.Server
return function(Server)
  ---The newest records of a database's log, oldest first: { level, ts, message, ... }; for its owner.
  ---@param name string
  ---@param options? { lines?: integer } [100]
  ---@return table[]?, inner_universe.Error?
  function Server:logs(name, options)
    check.type(name, "string", 1, "logs", "name")
    check.optional(options, "table", 2, "logs", "options")
    local ok, err = check.options("logs", options, LOG_OPTIONS)
    if not ok then return nil, err end
    local path, fields = server_request.database_path(name, ("/logs?num_lines=%d"):format(options and options.lines or 100))
    if not path then return nil, fields end
    local answer
    answer, err = server_request.send(self, 2, "logs " .. name, "GET", path, fields)
    if not answer then return nil, err end
    local records = {}
    line_reader(function(record) records[#records + 1] = record end)(answer.body .. "\n")
    return records
  end

  ---Follows a log: `fn(record)` for each of the newest `lines` and of those to come, until the handle is closed or the connection ends, which
  ---`on_end(err)` hears.
  ---@param name string
  ---@param fn fun(record: table)
  ---@param options? { lines?: integer, on_end?: fun(err: inner_universe.Error?) }
  ---@return { close: fun(self) }?, inner_universe.Error?
  function Server:follow_logs(name, fn, options)
    check.type(name, "string", 1, "follow_logs", "name")
    check.type(fn, "callable", 2, "follow_logs", "fn")
    check.optional(options, "table", 3, "follow_logs", "options")
    options = options or {}
    local ok, err = check.options("follow_logs", options, FOLLOW_OPTIONS)
    if not ok then return nil, err end
    local path, fields = server_request.database_path(name, ("/logs?num_lines=%d&follow=true"):format(options.lines or 10))
    if not path then return nil, fields end
    local asked
    asked, err = server_request.prepare(self, "GET", path, fields)
    if not asked then return nil, err end
    asked.timeout = nil
    local read = line_reader(function(record) tasks.call(fn, record) end)
    local refused = {}
    function asked.on_data(bytes)
      refused[#refused + 1] = #refused < 8 and bytes or nil -- what a refusal says, should it be one
      read(bytes)
    end
    return runtime.core.http(asked, function(why, answer)
      if not why and (answer.status < 200 or answer.status > 299) then
        answer.body = table.concat(refused)
        why = server_request.refusal("follow_logs " .. name, answer, fields)
      end
      if options.on_end then
        tasks.call(options.on_end, why)
      elseif why then
        runtime.report(why, "follow_logs " .. name)
      end
    end)
  end
end
