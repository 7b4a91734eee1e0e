-- cloudevents.lua: messages as CloudEvents 1.0 (JSON event format) and back. Pure.
--
--   specversion      "1.0"
--   id               id
--   source           source, as a URI-reference: bytes that may not stand in one are %XX; none: `urn:inner-universe`
--   iusource         (extension) source as it is, where `source` had to be changed, or says none
--   type             type
--   time             timestamp, RFC 3339 in UTC with microseconds
--   datacontenttype  "application/json"
--   data             data
--   sequence         (extension "Sequence") sequence, 20 digits, so that texts order as numbers
--   iuactor          (extension) actor
--
-- Read are all attributes but time, sequence and iuactor, which the log gives anew; other attributes are left out. `data_base64` has no place in the log.

local iu = require "inner_universe"

local cloudevents = {}

local NO_SOURCE = "urn:inner-universe"
local DAY = 86400000000

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

-- The date of a day since the epoch: Howard Hinnant's civil_from_days.
local function civil(days)
  local z = days + 719468
  local era = z // 146097
  local of_era = z - era * 146097
  local year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local shifted = (5 * of_year + 2) // 153
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, of_year - (153 * shifted + 2) // 5 + 1
end

--- Microseconds since the epoch as RFC 3339.
---@param time integer
---@return string
function cloudevents.time(time)
  local year, month, day = civil(time // DAY)
  local rest = time % DAY
  return ("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ"):format(year, month, day, rest // 3600000000, rest // 60000000 % 60, rest // 1000000 % 60, rest % 1000000)
end

local function uri(source)
  local whole = source:gsub("()%%", function(at) return not source:match("^%x%x", at + 1) and "%25" or nil end) -- one that begins no %XX
  return (whole:gsub("[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

--- A message as a CloudEvent.
---@param message inner_universe.Message
---@return table
function cloudevents.of_message(message)
  local source = message.source and uri(message.source) or NO_SOURCE
  return {
    specversion = "1.0", id = message.id, type = message.type, source = source,
    iusource = message.source and (source ~= message.source or source == NO_SOURCE) and message.source or nil,
    time = cloudevents.time(message.timestamp), datacontenttype = "application/json", data = message.data, sequence = ("%020d"):format(message.sequence),
    iuactor = message.actor,
  }
end

local function text(event, key)
  local value = event[key]
  if type(value) == "string" and value ~= "" then return true end
  return invalid("%s: a text expected, got %s", key, value == nil and "none" or value == iu.null and "null" or tostring(value))
end

--- What a CloudEvent is in the log: { id, type, source, data }.
---@param event any
---@return { id: string, type: string, source?: string, data: any }?
---@return inner_universe.Error? err
function cloudevents.to_event(event)
  if type(event) ~= "table" then return invalid("an object expected, got %s", type(event)) end
  if event.specversion ~= "1.0" then return invalid('specversion: expected "1.0", got %s', tostring(event.specversion)) end
  for _, key in ipairs { "id", "source", "type" } do
    local ok, err = text(event, key)
    if not ok then return nil, err end
  end
  if event.data_base64 ~= nil then return invalid("data_base64: bytes have no place in the log; expected `data`") end
  local source = event.source
  if source == NO_SOURCE then source = nil end
  if type(event.iusource) == "string" then source = event.iusource end
  local data = event.data
  if data == nil then data = iu.null end
  return { id = event.id, type = event.type, source = source, data = data }
end

return cloudevents
