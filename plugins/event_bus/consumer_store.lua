-- consumer_store.lua: the rows of one durable consumer: read together, written together with what they were read as.
--
-- A write is one call of `transact`: the record with its revision, the cursor with its place, then what else belongs to it (dead letters, a handler's own
-- operations): all or nothing. On a server a call whose outcome is unknown is made again with the same request key, which the module applies once.

local iu = require "inner_universe"

local plugin = ...
local record = plugin.load "consumer_record"
local message = plugin.load "message"

local RESENDS = 20        -- of one call whose outcome is unknown
local RESEND_PAUSE = 0.25 -- seconds, for the connection to come back

---@param ctx table
---@param name string the consumer's
return function(ctx, name)
  local store = {}
  local key = record.PREFIX .. name

  store.source = key -- of its dead letters

  --- What is stored: a state with `revision` (of the record, 0: none) and `stored_cursor`; nil without an err: nothing yet.
  ---@return table?
  ---@return inner_universe.Error? err
  function store.load()
    local row, err = ctx.conn:get("plugin_record", key)
    if err then return nil, err end
    local cursor
    cursor, err = ctx.conn:get("event_cursor", name)
    if err then return nil, err end
    if not row and not cursor then return nil end
    local at = cursor and cursor.sequence or 0
    local state = record.new(at)
    if row then
      state, err = record.decode(row.value, at, key)
      if not state then return nil, err end
    end
    state.revision, state.stored_cursor = row and row.revision or 0, cursor and at or nil
    return state
  end

  --- The operations that make `draft` of `base`, ours first.
  function store.operations(base, draft)
    local text = assert(record.encode(draft))
    local operations = { { tag = "PutRecord", value = { key = key, value = text, expected_revision = base.revision } } }
    if draft.cursor ~= base.stored_cursor then
      operations[2] = { tag = "AdvanceCursor", value = { consumer = name, sequence = draft.cursor, expected = base.stored_cursor or 0 } }
    end
    return operations
  end

  --- What is stored once these operations are applied.
  function store.written(base, draft)
    draft.revision, draft.stored_cursor = base.revision + 1, draft.cursor
    return draft
  end

  local function call(operations)
    if ctx.settings.backend ~= "spacetimedb" then return ctx.conn:call("transact", operations, nil) end
    local request = iu.uuid()
    for resend = 0, RESENDS do
      local ok, err = ctx.conn:call("transact", operations, request)
      if ok then return true end
      local away = resend > 0 and err.kind == "ConnectionError" and err.code == "CONNECTION"
      if err.code ~= "UNKNOWN_OUTCOME" and not away or resend == RESENDS then return nil, err end
      iu.sleep(RESEND_PAUSE)
      if ctx.is_closed() or ctx.conn:is_closed() then return nil, err end
    end
  end

  -- An operation that was refused by the place that the caller gave it, not that in the whole call.
  local function in_callers_words(err, before)
    local at, rest = err.message:match("^operations%[(%d+)%](.*)$")
    at = math.tointeger(tonumber(at))
    local place = at and at - before -- the module counts from 0, the encoder from 1
    if place and place >= (rest:sub(1, 1) == " " and 0 or 1) then err.message = ("operations[%d]%s"):format(place, rest) end
    return err
  end

  --- Writes. own_extra: how many of the further operations are this plugin's. ours: refused because somebody else has changed the consumer's rows meanwhile.
  ---@return table? state as it is stored now
  ---@return inner_universe.Error? err
  ---@return boolean? ours
  function store.write(base, draft, extra, own_extra)
    local operations = store.operations(base, draft)
    local own = #operations
    table.move(extra, 1, #extra, own + 1, operations)
    local ok, err = call(operations)
    if ok then return store.written(base, draft) end
    local at = err.kind == "ConflictError" and math.tointeger(tonumber(err.message:match("^operations%[(%d+)%]")))
    local ours = at and at < own or false -- any other kind is not about the consumer's rows
    return nil, ours and err or in_callers_words(err, own + (own_extra or 0)), ours
  end

  --- The operation that publishes a dead letter: { consumer, attempts, error, event = { id, type, source, timestamp, sequence, actor, data } }. small: without
  --- the event's data, which has become too large or too deep.
  function store.dead_letter(event_type, row, failure, attempts, small)
    local head = assert(iu.json.encode { consumer = name, attempts = attempts, error = failure, data_left_out = small or nil })
    local event = assert(iu.json.encode {
      id = row.event_id, type = row.event_type, source = row.source ~= "" and row.source or iu.null, timestamp = row.timestamp, sequence = row.sequence,
      actor = row.actor,
    })
    local text = ('%s,"event":%s,"data":%s}}'):format(head:sub(1, -2), event:sub(1, -2), small and "null" or row.data)
    return { tag = "PublishEvent", value = { event_type = event_type, source = key, data = text, id = iu.uuid() } }
  end

  --- A failure as the record keeps it until the next attempt.
  function store.short_failure(failure)
    local short = message.of_failure(failure)
    local text = short.message or tostring(short.raised)
    if #text > 500 then
      local cut = 500
      while cut > 1 and text:byte(cut + 1) & 0xC0 == 0x80 do cut = cut - 1 end
      text = text:sub(1, cut) .. "..."
    end
    return { kind = short.kind or "PersistenceError", code = short.code or "RAISED", message = text }
  end

  return store
end
