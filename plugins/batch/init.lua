-- init.lua: the batch plugin: the manager's writes, gathered from many tasks into few transactions. What a group is and when it is sent: gather.lua; what
-- becomes of it: send.lua. Here is what users call.
--
-- A write runs as the manager's method of that name: its hooks run, and see `call.via == "batch"`.

local plugin = ...
local make_send = plugin.load "send"
local make_gather = plugin.load "gather"

local M = {}

local CLOSED = "batch is closed"

function M.start(ctx)
  local check, hooks = ctx.check, ctx.hooks
  local manager = ctx.plugin("persistence_manager")
  local client = manager.client
  local statistics = {
    members = 0, applied = 0, refused = 0, batches = 0, transacts = 0, largest = 0, split = 0, resent = 0, by_size = 0, by_time = 0, by_flush = 0,
    overloaded = 0, waited_for_room = 0,
  }
  local gather = make_gather(ctx, client, make_send(ctx, client, statistics), statistics)
  local AS = { target = manager, via = "batch" }
  local methods, arguments = {}, { flush = hooks.arguments("flush") } -- the manager's

  -- Its place among the gathered, once the hooks between values and rows are done with it.
  local function gathered(method, ok, ...)
    if not ok then return nil, (...) end
    return gather.add(method, ...)
  end

  -- The method as its hooks see it: raises for wrong types like the manager's own.
  local function writer(method)
    local expected = hooks.arguments(method)
    arguments[method] = expected
    return function(_, ...)
      if gather.stopped or ctx.is_closed() then check.raise(CLOSED) end
      if not ctx.can_wait() then check.raise(("batch: '%s' cannot wait for its answer here (use a task)"):format(method)) end
      local group, number = gathered(method, client:stored(method, ...))
      if not group then
        check.arguments(expected, method, ...)
        if number then return nil, number end
        return client[method](client, ...)
      end
      if not coroutine.isyieldable() then gather.seal() end -- plain code: what could join it runs only while this waits
      group.waiter:wait()
      local errors = group.errors
      if errors and errors[number] then return nil, errors[number] end
      return group.answers[number]
    end
  end

  local create_entity, update_entity, delete_entity = writer("create_entity"), writer("update_entity"), writer("delete_entity")
  local create_relation, update_relation, delete_relation = writer("create_relation"), writer("update_relation"), writer("delete_relation")
  local publish_event = writer("publish_event")

  --- As the manager's create_entity: the id, when the batch it went with is written.
  ---@param entity_type string
  ---@param metadata? inner_universe.EntityMetadata
  ---@param id? string
  ---@return string? id
  ---@return inner_universe.Error? err the manager's, and OverloadedError (when_full = "refuse")
  function methods:create_entity(entity_type, metadata, id)
    return hooks.run("create_entity", AS, create_entity, entity_type, metadata, id)
  end

  ---@param id string
  ---@param metadata inner_universe.EntityMetadata
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:update_entity(id, metadata)
    return hooks.run("update_entity", AS, update_entity, id, metadata)
  end

  ---@param id string
  ---@param options? { cascade?: boolean }
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:delete_entity(id, options)
    return hooks.run("delete_entity", AS, delete_entity, id, options)
  end

  ---@param from_entity string
  ---@param to_entity string
  ---@param relation_type string
  ---@param metadata? inner_universe.RelationMetadata
  ---@param id? string
  ---@return string? id
  ---@return inner_universe.Error? err
  function methods:create_relation(from_entity, to_entity, relation_type, metadata, id)
    return hooks.run("create_relation", AS, create_relation, from_entity, to_entity, relation_type, metadata, id)
  end

  ---@param id string
  ---@param metadata inner_universe.RelationMetadata
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:update_relation(id, metadata)
    return hooks.run("update_relation", AS, update_relation, id, metadata)
  end

  ---@param id string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:delete_relation(id)
    return hooks.run("delete_relation", AS, delete_relation, id)
  end

  ---@param event_type string
  ---@param data? any
  ---@param source? string
  ---@return string? event_id
  ---@return inner_universe.Error? err
  function methods:publish_event(event_type, data, source)
    return hooks.run("publish_event", AS, publish_event, event_type, data, source)
  end

  --- Sends what has been gathered, and waits until every write so far has its answer. Errors of writes are for their callers.
  ---@param timeout? number seconds
  ---@return true? ok
  ---@return inner_universe.Error? err TimeoutError
  function methods:flush(timeout)
    if gather.stopped or ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(arguments.flush, "flush", timeout)
    local ok, err = check.seconds("flush", "timeout", timeout)
    if not ok then return nil, err end
    return gather.drain(timeout)
  end

  --- Numbers since the start: members (writes taken), applied, refused, batches, transacts (calls made for them), largest, split (batches sent again without a
  --- refused member, or in halves), resent, by_size, by_time, by_flush (why they were sent), overloaded, waited_for_room; and now: waiting, in_flight.
  ---@return table<string, integer>
  function methods:statistics()
    local out = { waiting = gather.waiting, in_flight = gather.flying }
    for name, value in pairs(statistics) do out[name] = value end
    return out
  end

  function methods:stop()
    if gather.stopped then return end
    gather.stop()
    if ctx.is_closed() or ctx.conn:is_closed() then return end
    if ctx.can_wait() then return gather.drain() end
    gather.send_blindly()
  end

  function methods:health()
    if gather.waiting >= ctx.config.queue_max then return nil, ("%d writes wait for their answer (queue_max)"):format(gather.waiting) end
    return true, methods:statistics()
  end

  return ctx.hooks.class("batch", methods, { arguments = arguments }).new {}
end

return M
