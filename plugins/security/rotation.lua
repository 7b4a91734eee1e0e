-- rotation.lua: rotate(): what is sealed with older keys (or, with accept_plain, not at all) is sealed with the newest.
--
-- Table by table, in the order of ids, a batch of rows in one transaction that proves each row unchanged and moves the checkpoint (a plugin_record). So a
-- process that is killed leaves whole rows and a checkpoint that tells where to go on; rows that are sealed with the newest key already are passed over.

local iu = require "inner_universe"

local RECORD = "security.rotate"
local TABLES = { "entity", "relation" }
local UPDATE = { entity = "UpdateEntity", relation = "UpdateRelation" }
local ATTEMPTS = 10 -- of a batch, while others change its rows
local BATCH_BYTES = 8 << 20 -- of the rows of a batch that are written, which go twice: as they were and as they shall be; one row always goes
local ROTATE_OPTIONS = { batch = "integer", progress = "callable" }

return function(ctx, sealing, sealed, get_ring)
  local function checkpoint(newest)
    local row, err = ctx.conn:get("plugin_record", RECORD)
    if err then return nil, err end
    local found = row and iu.json.decode(row.value)
    if type(found) == "table" and found.key == newest and type(found.after) == "string" then return found end
    return { key = newest, table = TABLES[1], after = "", rows = 0, values = 0 }
  end

  -- The row's metadata with its values sealed anew, and how many those were; 0: it stays as it is.
  local function renewed(name, row)
    local properties, err = iu.json.decode(row.metadata.properties)
    if properties == nil then return nil, iu.errors.wrap("StorageError", ("%s %s: its stored properties are damaged"):format(name, row.id), err) end
    local count
    count, err = sealing.renew_all(properties, sealed[name], "properties", name, row.id)
    if not count then return nil, err end
    local metadata = {}
    for key, value in pairs(row.metadata) do metadata[key] = value end
    metadata.properties, err = iu.json.encode(properties)
    if not metadata.properties then return nil, err end
    return metadata, count
  end

  -- The operations for the rows of one batch; how many values they seal; for how many of the rows that is: the others are for the next one.
  local function operations_for(name, rows)
    local operations, values, size = {}, 0, 0
    for i, row in ipairs(rows) do
      local metadata, count = renewed(name, row)
      if not metadata then return nil, count end
      if count > 0 then
        local bytes, err = ctx.conn:row_bytes(name, row)
        if not bytes then return nil, err end
        size = size + #bytes
        if size > BATCH_BYTES and #operations > 0 then return operations, values, i - 1 end
        operations[#operations + 1] = { tag = "Expect", value = { table = name, key = row.id, row = bytes } }
        operations[#operations + 1] = { tag = UPDATE[name], value = { id = row.id, metadata = metadata } }
        values = values + count
      end
    end
    return operations, values, #rows
  end

  local function next_rows(state, limit)
    return ctx.conn:select(state.table, {
      filters = { { field = "id", operator = "GreaterThan", value = state.after } }, order_by = "id", limit = limit,
    })
  end

  -- One batch, written with the checkpoint behind it. The number of rows looked at, or nil, err.
  local function step(state, limit)
    local rows, operations, values, count, err
    for attempt = 1, ATTEMPTS do
      rows, err = next_rows(state, limit)
      if not rows then return nil, err end
      if #rows == 0 then return 0 end
      operations, values, count = operations_for(state.table, rows)
      if not operations then return nil, values end
      local after = { key = state.key, table = state.table, after = rows[count].id, rows = state.rows + count, values = state.values + values }
      operations[#operations + 1] = { tag = "PutRecord", value = { key = RECORD, value = assert(iu.json.encode(after)) } }
      local ok
      ok, err = ctx.conn:call("transact", operations, nil)
      if ok then
        for key, value in pairs(after) do state[key] = value end
        return count
      end
      if err.kind == "OverloadedError" and count == 1 then
        local what = "rotate: %s %s: the row, as it was and as it shall be, is more than one call takes"
        return nil, iu.errors.wrap(err.kind, what:format(state.table, rows[1].id), err)
      end
      if err.kind ~= "ConflictError" or attempt == ATTEMPTS then return nil, err end
    end
  end

  local function next_table(name)
    return name == TABLES[1] and TABLES[2] or nil
  end

  --- options: batch, progress(rows, values). { rows, values, key }, or nil, err: what was done so far stays, and the next call goes on from there.
  return function(options)
    local ok, err = ctx.check.options("rotate", options, ROTATE_OPTIONS)
    if not ok then return nil, err end
    local ring = get_ring()
    if not ring.newest then return nil, ring.err end
    local state
    state, err = checkpoint(ring.newest)
    if not state then return nil, err end
    local name = state.table
    while name do
      local done = 0
      if #sealed[name] > 0 then
        done, err = step(state, options.batch or ctx.config.rotate_batch)
        if not done then return nil, err end
      end
      if done == 0 then
        name = next_table(name)
        state.table, state.after = name, ""
      elseif options.progress then
        options.progress(state.rows, state.values)
      end
    end
    ok, err = ctx.conn:call("delete_record", RECORD, nil)
    if not ok then return nil, err end
    return { rows = state.rows, values = state.values, key = state.key }
  end
end
