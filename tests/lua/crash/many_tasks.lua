-- Writes of many tasks in a process that dies, and what whoever reads it back may find: used by the processes (`run`) and by their specs (`hear`, `check`).
--
-- A process tells `> WORKER OPERATION ID N` before each write and `< WORKER` after it has returned. Each worker has entities of its own, so that what was done
-- last is known even when others go on; N is in the write (a name, an event's data), and grows with each.

local iu = require "inner_universe"
local content = require "crash.content"

local many_tasks = {}

function many_tasks.say(...)
  io.stdout:write(table.concat({ ... }, " ") .. "\n") -- one write
end
local say = many_tasks.say

local function metadata(n)
  return { name = tostring(n), properties = content.entity(n).properties }
end

--- Works without end. writer: what has the manager's writes; round: numbers begin with it.
function many_tasks.run(writer, workers, round)
  local counter = 0
  local function new_number()
    counter = counter + 1
    return round * 1000000 + counter
  end
  local function work(worker)
    local mine = {}
    while true do
      local dice, n = math.random(10), new_number()
      local id = ("e-%d"):format(n)
      if dice <= 5 and #mine > 0 then
        id = mine[math.random(#mine)]
        say(">", worker, "update", id, n)
        assert(writer:update_entity(id, metadata(n)))
      elseif dice == 6 then
        say(">", worker, "refused", "nobody", n)
        local ok, err = writer:update_entity("nobody", {})
        assert(ok or err.kind == "EntityNotFoundError") -- a kept one is refused later
      elseif dice == 7 then
        say(">", worker, "publish", "-", n)
        assert(writer:publish_event("CRASH", { n = n }))
      else
        say(">", worker, "create", id, n)
        assert(writer:create_entity("Thing", metadata(n), id))
        mine[#mine + 1] = id
      end
      say("<", worker)
    end
  end
  iu.run(function()
    for worker = 1, workers do iu.spawn(work, worker) end
  end)
end

--- { names = id -> n written last, done = n -> operation, flying = writes without an answer }
function many_tasks.new_model()
  return { names = {}, done = {}, flying = {} }
end

local function settle(model, what)
  model.done[what.n] = what.operation
  if what.operation ~= "publish" and what.operation ~= "refused" then model.names[what.id] = what.n end
end

--- Reads what a process said into the model; how many writes were acknowledged. Other lines must be among `known`, patterns.
function many_tasks.hear(model, lines, known)
  local flying, acknowledged = {}, 0
  for _, line in ipairs(lines) do
    local worker, operation, id, n = line:match("^> (%d+) (%S+) (%S+) (%d+)$")
    local answered = line:match("^< (%d+)$")
    if worker then
      flying[worker] = { operation = operation, id = id, n = n }
    elseif answered then
      settle(model, flying[answered])
      flying[answered] = nil
      acknowledged = acknowledged + 1
    else
      local expected = false
      for _, pattern in ipairs(known) do expected = expected or line:find(pattern) ~= nil end
      if not expected then error("the process said: " .. table.concat(lines, "\n", math.max(1, #lines - 5))) end
    end
  end
  for _, what in pairs(flying) do model.flying[#model.flying + 1] = what end
  return acknowledged
end

-- How often each number was written, by operation, as the event log has it; the updates of one entity must be in the order of their numbers.
local function written(m)
  local counts = { create = {}, update = {}, publish = {} }
  local function count(event_type, operation, number_of)
    local rows, last = assert(m.client:query(("SELECT * FROM event_log WHERE event_type = '%s'"):format(event_type))), {}
    table.sort(rows, function(a, b) return a.sequence < b.sequence end)
    for _, row in ipairs(rows) do
      local n = tostring(number_of(assert(iu.json.decode(row.data))))
      counts[operation][n] = (counts[operation][n] or 0) + 1
      if operation == "update" then
        assert((last[row.source] or 0) <= tonumber(n), "out of order: " .. row.source)
        last[row.source] = tonumber(n)
      end
    end
  end
  count("ENTITY_CREATED", "create", function(data) return data.name end)
  count("ENTITY_UPDATED", "update", function(data) return data.new_metadata.name end)
  count("CRASH", "publish", function(data) return data.n end)
  return counts
end

--- Everything acknowledged is there, once, and what had no answer is there once or not at all (it is taken for done then): how many of the latter are there.
function many_tasks.check(m, model)
  local counts = written(m)
  for n, operation in pairs(model.done) do
    if operation ~= "refused" then assert(counts[operation][n], ("lost: %s %s"):format(operation, n)) end
  end
  for operation, by_number in pairs(counts) do
    for n, count in pairs(by_number) do assert(count == 1, ("applied %d times: %s %s"):format(count, operation, n)) end
  end
  local half_done = 0
  for _, what in ipairs(model.flying) do
    if what.operation ~= "refused" and counts[what.operation][what.n] then
      half_done = half_done + 1
      if not model.names[what.id] or tonumber(model.names[what.id]) < tonumber(what.n) then settle(model, what) end
    end
  end
  model.flying = {}
  local rows, known = assert(m:query_entities({ entity_type = "Thing" })), 0
  for _, row in ipairs(rows) do assert(model.names[row.id] == row.metadata.name, ("%s is %s"):format(row.id, row.metadata.name)) end
  for _ in pairs(model.names) do known = known + 1 end
  assert(known == #rows, ("%d entities, expected %d"):format(#rows, known))
  return half_done
end

return many_tasks
