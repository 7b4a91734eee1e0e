-- lost.lua: what an err says about a write whose call it ended.

local iu = require "inner_universe"

local lost = {}

--- Whether the connection is away, or went while the call was under way.
function lost.connection(err)
  return iu.errors.is(err) and (err.kind == "ConnectionError" and err.code ~= "CLOSED" or err.kind == "TimeoutError")
end

--- Whether it may have been applied: it was sent, and not answered.
function lost.outcome(err)
  return iu.errors.is(err) and (err.code == "UNKNOWN_OUTCOME" or err.code == "CLOSED" or err.kind == "TimeoutError")
end

return lost
