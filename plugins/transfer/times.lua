-- times.lua: a time as users write it: microseconds, "2026-11-27", "2026-11-27T10:00:00Z", with a fraction, or an offset for Z.

local M = {}

-- Days since 1970-01-01 of a date of the Gregorian calendar.
local function days(y, m, d)
  if m <= 2 then y, m = y - 1, m + 12 end
  local era = y // 400
  local of_era = y - era * 400
  local of_year = (153 * (m - 3) + 2) // 5 + d - 1
  return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

local LENGTHS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_leap(y) return y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0) end

local function integer(text) return math.tointeger(tonumber(text)) end

---@param value any
---@return integer? microseconds
---@return string? wrong
function M.read(value)
  if math.type(value) == "integer" then return value end
  local wrong = ("expected microseconds or a time like 2026-11-27T10:00:00Z, got %s"):format(tostring(value))
  if type(value) ~= "string" then return nil, wrong end
  if value:match("^%d+$") and #value > 8 then return integer(value) or nil, wrong end
  local y, m, d, rest = value:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  if not y then return nil, wrong end
  y, m, d = integer(y), integer(m), integer(d)
  if m < 1 or m > 12 or d < 1 or d > LENGTHS[m] or m == 2 and d == 29 and not is_leap(y) then return nil, wrong end
  local seconds, micros = days(y, m, d) * 86400, 0
  if rest ~= "" then
    local hour, minute, second, fraction, zone = rest:match("^[T ](%d%d):(%d%d):(%d%d)(%.?%d*)(.*)$")
    if not hour then hour, minute, second, fraction, zone = rest:match("^[T ](%d%d):(%d%d)()()(.*)$") end
    if type(second) == "number" then second, fraction = "", "" end -- without seconds: places
    if not hour or integer(hour) > 23 or integer(minute) > 59 or (second ~= "" and integer(second) > 59) then return nil, wrong end
    seconds = seconds + integer(hour) * 3600 + integer(minute) * 60 + (integer(second) or 0)
    if fraction ~= "" then
      if not fraction:match("^%.%d+$") then return nil, wrong end
      micros = integer((fraction:sub(2) .. "000000"):sub(1, 6))
    end
    if zone ~= "" and zone ~= "Z" then
      local sign, h, mm = zone:match("^([+-])(%d%d):?(%d%d)$")
      if not sign or integer(h) > 23 or integer(mm) > 59 then return nil, wrong end
      local offset = integer(h) * 3600 + integer(mm) * 60
      seconds = seconds - (sign == "+" and offset or -offset)
    end
  end
  return seconds * 1000000 + micros
end

return M
