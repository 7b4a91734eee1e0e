-- failures.lua: when a call fails: a kind of error, from the call after the first `after` on, so many times.

local iu = require "inner_universe"

local failures = {}

local OPTIONS = { after = "integer", times = "integer", message = "string", code = "string", retryable = "boolean", details = "table" }

--- { strike = function() -> err or nil, count = function() -> how many failed }, or nil, err. Kinds that are none, and unknown options, are ValidationErrors.
function failures.new(seams, kind, options)
  options = options or {}
  local known = {}
  for _, each in ipairs(iu.errors.kinds()) do known[each] = true end
  if not known[kind] then
    return nil, iu.errors.new("ValidationError", ("fail: kind: unknown kind '%s'%s"):format(tostring(kind), seams.suggest(tostring(kind), known)))
  end
  local given = {}
  for key, value in pairs(options) do
    if key ~= "after" or value ~= 0 then given[key] = value end -- 0 is fine here, and said about options of most others it is not
  end
  local ok, err = seams.check.options("fail", given, OPTIONS)
  if not ok then return nil, err end
  local seen, failed = 0, 0
  local after, times = options.after or 0, options.times or math.huge
  local failure = {}
  function failure.strike()
    seen = seen + 1
    if seen <= after or failed >= times then return nil end
    failed = failed + 1
    return iu.errors.new(kind, options.message or "on demand of a test", { code = options.code, retryable = options.retryable, details = options.details })
  end
  function failure.count() return failed end
  return failure
end

return failures
