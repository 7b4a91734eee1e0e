-- recovery.lua: what is done about an entity or a relation that is not there: handlers are asked in turn, and what one of them says is the answer.
--
-- A handler fn(id, what, err) answers the row (for a read), true (it made it: the call is tried once more), or nil (the next one is asked). While one of
-- them is asked about an id, its own calls about that id are answered as they are.

local iu = require "inner_universe"

local METHODS = { get_entity = "entity", get_relation = "relation", update_entity = "entity", update_relation = "relation" }
local NOT_FOUND = { EntityNotFoundError = true, RelationNotFoundError = true }

--- ctx. { add(fn), count(), recovered }
return function(ctx)
  local recovery = { recovered = 0 }
  local handlers = {}
  local asked = {} -- ids that handlers are asked about now

  local function ask(id, what, err)
    for _, handler in ipairs(handlers) do
      local ok, answer = pcall(handler.fn, id, what, err)
      if not ok then
        ctx.report(answer, "fallback: a handler of what is not found")
      elseif answer ~= nil and answer ~= false then
        return answer
      end
    end
  end

  local function around(what, is_read)
    return function(call, next)
      local results = table.pack(next())
      local id, err = call.args[1], results[2]
      if results[1] ~= nil or #handlers == 0 or not (iu.errors.is(err) and NOT_FOUND[err.kind]) or asked[id] then
        return table.unpack(results, 1, results.n)
      end
      asked[id] = true
      local done <close> = setmetatable({}, { __close = function() asked[id] = nil end })
      local answer = done and ask(id, what, err)
      if answer == nil then return nil, err end
      recovery.recovered = recovery.recovered + 1
      if is_read and type(answer) == "table" then return answer end
      return next()
    end
  end

  for method, what in pairs(METHODS) do ctx.hooks.around(method, around(what, method:find("^get") ~= nil)) end

  --- A handle with cancel().
  function recovery.add(fn)
    local handler = { fn = fn }
    local list = table.move(handlers, 1, #handlers, 1, {})
    list[#list + 1] = handler
    handlers = list
    local handle = {}
    function handle.cancel()
      local left = {}
      for _, each in ipairs(handlers) do
        if each ~= handler then left[#left + 1] = each end
      end
      handlers = left
    end
    return handle
  end

  return recovery
end
