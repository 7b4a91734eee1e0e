-- logs.lua: `iu server logs [DATABASE]`: what a module and its server wrote; with --follow, and what they write.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local logs = {
  summary = "what a database's module wrote; for its owner",
  usage = "[DATABASE] [--lines N] [--follow] [--json]",
  details = [[
A line each: time in UTC, level, where it comes from, message. --follow goes on until it is interrupted or the server ends, which is a failure.]],
  options = where.options({
    lines = { value = "N", integer = true, help = "so many of the newest (default: 100; 10 with --follow)" },
    follow = { short = "f", help = "and what comes" },
    json = { help = "an object a line, as the server tells it" },
  }),
  max = 1,
}

local NAP = 0.1 -- seconds; how soon the end of a followed log is noticed

local function time_of(micros)
  if math.type(micros) ~= "integer" then return "-" end
  return ("%s.%06dZ"):format(os.date("!%Y-%m-%dT%H:%M:%S", micros // 1000000), micros % 1000000)
end

-- Control characters would move the cursor; a record is a line.
local function plain(text)
  return (tostring(text):gsub("[\t\r\n]+", " "):gsub("%c", "?"))
end

local function line_of(record)
  local from = record["function"] or record.target or record.filename
  return ("%s %-5s %s%s"):format(time_of(record.ts), plain(record.level or "-"), from and plain(from) .. ": " or "", plain(record.message or ""))
end

local function printer(options)
  if options.json then return function(record) out.line("%s", assert(iu.json.encode(record))) end end
  return function(record) out.line("%s", line_of(record)) end
end

local function follow(http, database, options)
  local print_record = printer(options)
  local ended, why = false, nil
  local following <close>, err = http:follow_logs(database, function(record)
    print_record(record)
    ended = ended or not io.stdout:flush() -- its reader went away
  end, { lines = options.lines, on_end = function(reason) ended, why = true, reason or "the server ended it" end })
  if not following then return out.fail("%s", out.message(err)) end
  while not ended do
    iu.sleep(NAP)
  end
  return why and out.fail("%s", out.message(why)) or 0
end

function logs.run(options, arguments)
  local http, database = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  if options.follow then return follow(http, database, options) end
  local records, err = http:logs(database, { lines = options.lines })
  if not records then return out.fail("%s", out.message(err)) end
  local print_record = printer(options)
  for _, record in ipairs(records) do
    print_record(record)
  end
  return 0
end

return logs
