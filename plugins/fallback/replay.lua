-- replay.lua: what is kept goes to the server, in its order, while there is a connection.
--
-- Entries of one operation go WINDOW at a time, one behind the other over the connection, which keeps their order; one of several operations goes alone, again
-- without what of it was refused. Each goes under its request key, which the module applies once: so an entry is sent again whenever its outcome is not known,
-- after a loss and after this process was killed. It leaves the file when it is known to be applied, or refused.

local iu = require "inner_universe"

local WINDOW = 64
local PAUSE = 0.2 -- seconds before it is tried again while the connection is there and does not take it
local LATER = { ConnectionError = true, TimeoutError = true, OverloadedError = true } -- says nothing about the write

--- ctx, client (the manager's), queue, told: { applied(entry), heard(entry), refused(entry, operation, err, heard), changed() }.
return function(ctx, client, queue, told)
  local replay = { count = 0 }

  -- The answers of entries: true or an err, each; what was not sent any more has none.
  local function send(list)
    local answers, left, done = {}, #list, ctx.waiter()
    for i, entry in ipairs(list) do
      local ok, err = ctx.conn:call_async(function(well, why)
        answers[i] = well or why
        left = left - 1
        if left == 0 then done:resolve(true) end
      end, "transact", entry.operations, entry.key)
      if not ok then -- refused at once: those behind it are not sent
        answers[i] = err
        left = left - (#list - i + 1)
        if left == 0 then done:resolve(true) end
        break
      end
    end
    done:wait()
    return answers
  end

  local function next_window()
    local list = queue.head(WINDOW)
    for i, entry in ipairs(list) do
      if #entry.operations > 1 then return table.move(list, 1, math.max(1, i - 1), 1, {}) end
    end
    return list
  end

  -- true, or nil, err: where the rest has to wait.
  local function one_window()
    local list = next_window()
    if #list == 0 then return true end -- what there was could not be kept
    local applied, stopped = {}, nil
    local answers = send(list)
    for i, entry in ipairs(list) do
      local err = answers[i]
      if err == true then
        applied[#applied + 1] = entry
      elseif err == nil or LATER[err.kind] then
        stopped = stopped or err
      else
        local number, refusal = client:blamed_operation(err)
        number = entry.operations[number] and number or 1
        refusal = refusal or err
        local heard = told.heard(entry)
        local operation, why = queue.refuse(entry, number, not heard and refusal or nil)
        if not operation then return nil, why end
        told.refused(entry, operation, refusal, heard)
      end
    end
    if #applied > 0 then
      local ok, why = queue.finish(applied)
      if not ok then return nil, why end
      replay.count = replay.count + #applied
      for _, entry in ipairs(applied) do told.applied(entry) end
    end
    told.changed()
    if stopped then return nil, stopped end
    return true
  end

  --- Sends until nothing is kept or there is no connection; `connected()` says whether there is one.
  function replay.run(connected)
    while queue.count > 0 and connected() do
      local ok, err = one_window()
      replay.problem = err and tostring(err) or nil
      if not ok then iu.sleep(PAUSE) end
    end
  end

  return replay
end
