-- queue.lua: the writes that are kept, in an embedded file of their own, and the list of them in memory in their order.
--
-- An entry: { position, key, operations, bytes, queued_at, sent_at }. sent_at: when it was sent first, by the server's clock, unless it is known not to be
-- applied by that. It is in the file before `append` answers (durability "full") and stays there until it is known to be applied or refused. Who
-- removes one, or notes a refusal, does it in one transaction of the file.

local iu = require "inner_universe"

local plugin = ...
local new_line = plugin.load "line"

-- The file's tables. `operations` and `operation` are JSON, `err` is { kind, code, message, retryable } as JSON.
local function make_module(refused_max)
  return iu.module("fallback_queue", {
    types = {
      Rest = { { "position", "u64" }, { "operations", "string" } }, -- what is left of an entry
      Note = { { "position", "u64" }, { "operation", "string" }, { "err", "string" } }, -- of what entry what was refused
    },
    tables = {
      queued = {
        columns = { { "position", "u64" }, { "request_key", "string" }, { "operations", "string" }, { "queued_at", "timestamp" } },
        primary_key = "position",
      },
      sent = { columns = { { "position", "u64" }, { "sent_at", "u64" } }, primary_key = "position" }, -- apart: an entry may be large, and is written once
      -- target: whose writes are kept; schema: what that server's module was last
      about = { columns = { { "key", "string" }, { "value", "string" } }, primary_key = "key" },
      refused = {
        columns = {
          { "id", "u64" }, { "request_key", "string" }, { "operation", "string" }, { "err", "string" }, { "queued_at", "timestamp" },
          { "refused_at", "timestamp" },
        },
        primary_key = "id", auto_inc = "id",
      },
    },
    reducers = {
      belong = {
        params = { { "target", "string" } },
        run = function(ctx, target)
          ctx.db.about:delete("target")
          ctx.db.about:delete("schema")
          ctx.db.about:insert { key = "target", value = target }
        end,
      },
      keep_schema = {
        params = { { "schema", "string" } },
        run = function(ctx, schema)
          ctx.db.about:delete("schema")
          ctx.db.about:insert { key = "schema", value = schema }
        end,
      },
      append = {
        params = { { "position", "u64" }, { "request_key", "string" }, { "operations", "string" }, { "sent_at", "u64?" } },
        run = function(ctx, position, key, operations, sent_at)
          ctx.db.queued:insert { position = position, request_key = key, operations = operations, queued_at = ctx.timestamp }
          if sent_at then ctx.db.sent:insert { position = position, sent_at = sent_at } end
        end,
      },
      mark = {
        params = { { "positions", "[u64]" }, { "sent_at", "u64?" } },
        run = function(ctx, positions, sent_at)
          for _, position in ipairs(positions) do
            ctx.db.sent:delete(position)
            if sent_at then ctx.db.sent:insert { position = position, sent_at = sent_at } end
          end
        end,
      },
      settle = {
        params = { { "finished", "[u64]" }, { "rests", "[Rest]" }, { "notes", "[Note]" } },
        run = function(ctx, finished, rests, notes)
          local queued, refused = ctx.db.queued, ctx.db.refused
          for _, note in ipairs(notes) do
            local row = queued:get(note.position)
            refused:insert {
              id = 0, request_key = row.request_key, operation = note.operation, err = note.err, queued_at = row.queued_at, refused_at = ctx.timestamp,
            }
          end
          for _, rest in ipairs(rests) do queued:patch(rest.position, { operations = rest.operations }) end
          for _, position in ipairs(finished) do
            queued:delete(position)
            ctx.db.sent:delete(position)
          end
          local over, oldest = refused:count() - refused_max, {}
          if over <= 0 then return end
          for row in refused:range("id") do
            oldest[#oldest + 1] = row.id
            if #oldest == over then break end
          end
          for _, id in ipairs(oldest) do refused:delete(id) end
        end,
      },
      forget = {
        params = { { "id", "u64?" } },
        run = function(ctx, id)
          if id then return ctx.db.refused:delete(id) end
          ctx.db.refused:delete_where(function() return true end)
        end,
      },
    },
  })
end

local function open_file(path, config)
  local module, err = make_module(config.refused_max)
  if not module then return nil, err end
  return iu.connect(path, { module = module, nerv = false, durability = "full" })
end

local M = {}

--- What the file says of the schema of that target; nil: nothing, or there is no file; nil, err when it cannot be read or another process has it.
function M.kept_schema(path, config, target)
  local there = io.open(path, "rb")
  if not there then return nil end
  there:close()
  local file, err = open_file(path, config)
  if not file then return nil, err end
  local row, schema
  row, err = file:get("about", "target")
  if row and row.value == target then schema, err = file:get("about", "schema") end
  file:close()
  return schema and schema.value, err
end

--- Opens the file for the writes of that target. nil, err when it cannot be read, another process has it, or writes of another target are kept in it.
function M.open(ctx, path, target)
  local config = ctx.config
  local file, err = open_file(path, config)
  if not file then return nil, err end

  local queue = { count = 0, bytes = 0 }
  local closed -- the err that says so

  -- A method of the file's; who comes after the close hears of it.
  local function ask(method, ...)
    if closed then return nil, closed end
    return file[method](file, ...)
  end

  local about = {} -- lines of entries, by the id that they write
  local entries = new_line()
  local places, bytes_room = ctx.room(config.queue_max, { what = "fallback" }), ctx.room(config.queue_bytes, { what = "fallback" })
  local next_position = 1

  local function add(entry)
    entry.place, entry.places = entries:add(entry), {} -- in the line of all, in those by id
    queue.count, queue.bytes = queue.count + 1, queue.bytes + entry.bytes
    for _, operation in ipairs(entry.operations) do
      local id = operation.value.id
      about[id] = about[id] or new_line()
      entry.places[id] = entry.places[id] or about[id]:add(entry)
    end
  end

  -- What is kept for one database is never sent to another.
  local function belong()
    local row, why = ask("get", "about", "target")
    if why then return nil, why end
    if row and row.value == target then return true end
    if row and queue.count > 0 then
      return nil, iu.errors.new("ValidationError", ("%d writes of %s are kept in it, this is %s"):format(queue.count, row.value, target))
    end
    return ask("call", "belong", target)
  end

  local function load()
    local rows, sent, why
    rows, why = ask("select", "queued", { order_by = "position" })
    if rows then sent, why = ask("select", "sent", {}) end
    if not sent then return nil, why end
    local sent_at = {}
    for _, row in ipairs(sent) do sent_at[row.position] = row.sent_at end
    for _, row in ipairs(rows) do
      local operations
      operations, why = iu.json.decode(row.operations)
      if not operations then return nil, iu.errors.wrap("StorageError", ("%s: a queued write is damaged"):format(path), why) end
      local entry = {
        position = row.position, key = row.request_key, operations = operations, bytes = #row.operations, queued_at = row.queued_at,
        sent_at = sent_at[row.position],
      }
      places.used, bytes_room.used = places.used + 1, bytes_room.used + entry.bytes -- more than the limits, where they were higher before
      add(entry)
      next_position = row.position + 1
    end
    return true
  end

  local function remove(entry)
    entries:remove(entry.place)
    queue.count, queue.bytes = queue.count - 1, queue.bytes - entry.bytes
    for id, place in pairs(entry.places) do
      about[id]:remove(place)
      if about[id].count == 0 then about[id] = nil end
    end
    places:give(1)
    bytes_room:give(entry.bytes)
  end

  -- true, or nil, err: by the policy.
  local function find_room(bytes)
    if config.when_full == "wait" then
      local ok, why = places:take(1)
      if not ok then return nil, why end
      ok, why = bytes_room:take(bytes)
      if ok then return true end
      places:give(1)
      return nil, why
    end
    if places:try(1) then
      if bytes_room:try(bytes) then return true end
      places:give(1)
    end
    return nil, iu.errors.new("OverloadedError",
      ("fallback: %d writes of %d bytes are kept while the server is away (queue_max, queue_bytes)"):format(queue.count, queue.bytes))
  end

  --- Keeps operations under their request key. The entry, in the list (and given to `begun`) at once and in the file when this answers; or nil, err, and
  --- nothing is kept. sent_at: when it was sent, where it was.
  function queue.append(key, operations, sent_at, begun)
    local text, why = iu.json.encode(iu.array(operations))
    if not text then return nil, why end
    local ok
    ok, why = find_room(#text)
    if not ok then return nil, why end
    local entry = {
      position = next_position, key = key, operations = operations, bytes = #text, queued_at = iu.now(), sent_at = sent_at, kept = ctx.waiter(),
    }
    next_position = next_position + 1
    add(entry)
    begun(entry)
    ok, why = ask("call", "append", entry.position, key, text, sent_at)
    if not ok then
      remove(entry)
      entry.kept:resolve(nil, why)
      return nil, why
    end
    entry.kept:resolve(true)
    return entry
  end

  --- The first entries that are in the file, at most `most`; waits for the first.
  function queue.head(most)
    local list = {}
    local oldest = entries:first()
    if oldest and oldest.kept then oldest.kept:wait() end
    for entry in entries:each() do
      if entry.kept and not entry.kept:is_resolved() then break end
      list[#list + 1] = entry
      if #list == most then break end
    end
    return list
  end

  --- When the oldest was kept; nil: nothing is.
  function queue.since()
    local oldest = entries:first()
    return oldest and oldest.queued_at
  end

  local NONE = new_line()

  --- For `for`: entries with an operation on that id, oldest first.
  function queue.about(id)
    return (about[id] or NONE):each()
  end

  local function positions_of(list)
    local positions = {}
    for i, entry in ipairs(list) do positions[i] = entry.position end
    return iu.array(positions)
  end

  --- These are sent at that time, by the server's clock; nil: it is known that they were not applied. In the file when this answers.
  function queue.mark(list, sent_at)
    if #list == 0 then return true end
    local ok, why = ask("call", "mark", positions_of(list), sent_at)
    if not ok then return nil, why end
    for _, entry in ipairs(list) do entry.sent_at = sent_at end
    return true
  end

  local function text_of(refusal)
    return assert(iu.json.encode { kind = refusal.kind, code = refusal.code, message = refusal.message, retryable = refusal.retryable })
  end

  local function note_of(position, operation, refusal, shortened)
    if shortened then operation = { tag = operation.tag, value = { id = operation.value.id } } end
    return { position = position, operation = assert(iu.json.encode(operation)), err = text_of(refusal) }
  end

  --- What became of entries, in one transaction. applied: these are; refused: { entry, operations (refused ones of it), rest (the others, which stay), refusal,
  --- heard (it need not be noted) } each. What is too large to be noted beside its refusal is noted by its id.
  function queue.settle(applied, refused, shortened)
    local finished, rests, notes = positions_of(applied), iu.array {}, iu.array {}
    for _, each in ipairs(refused) do
      local position = each.entry.position
      for _, operation in ipairs(each.heard and {} or each.operations) do notes[#notes + 1] = note_of(position, operation, each.refusal, shortened) end
      if #each.rest > 0 then
        rests[#rests + 1] = { position = position, operations = assert(iu.json.encode(iu.array(each.rest))) }
      else
        finished[#finished + 1] = position
      end
    end
    local ok, why = ask("call", "settle", finished, rests, notes)
    if not ok and why.kind == "OverloadedError" and #notes > 0 and not shortened then return queue.settle(applied, refused, true) end
    if not ok then return nil, why end
    for _, entry in ipairs(applied) do remove(entry) end
    for _, each in ipairs(refused) do
      each.entry.operations = each.rest
      if #each.rest == 0 then remove(each.entry) end
    end
    return true
  end

  local function err_of(text)
    local stored = assert(iu.json.decode(text))
    return iu.errors.new(stored.kind, stored.message, { code = stored.code, retryable = stored.retryable })
  end

  --- What was refused, oldest first.
  function queue.refused()
    local rows, why = ask("select", "refused", { order_by = "id" })
    if not rows then return nil, why end
    for i, row in ipairs(rows) do
      local refusal = err_of(row.err)
      rows[i] = { id = row.id, operation = assert(iu.json.decode(row.operation)), err = refusal, unknown = refusal.code == "UNKNOWN_OUTCOME",
        request_key = row.request_key, queued_at = row.queued_at, refused_at = row.refused_at }
    end
    return rows
  end

  function queue.forget(id)
    return ask("call", "forget", id)
  end

  --- What the server's module is, for the next process.
  function queue.keep_schema(schema)
    local row, why = ask("get", "about", "schema")
    if why then return nil, why end
    if row and row.value == schema then return true end
    return ask("call", "keep_schema", schema)
  end

  --- Nothing more is kept. What is in the file stays there.
  function queue.close(err_of_close)
    closed = err_of_close
    places:close(closed)
    bytes_room:close(closed)
    return file:close()
  end

  local ok
  ok, err = load()
  if ok then ok, err = belong() end
  if ok then return queue end
  file:close()
  return nil, err
end

return M
