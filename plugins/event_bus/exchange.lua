-- exchange.lua: events of the log to a file and back, a line each, page by page: neither the log nor the file is ever in memory.
--
--   jsonl        a message a line: { id, type, source, timestamp, sequence, actor, data }
--   cloudevents  a CloudEvent a line (cloudevents.lua)
--   cloudevents-batch  the same as one JSON array, an element a line: the batch format of CloudEvents
-- Import tells the formats of its lines apart by itself; an array may also stand on one line, or be spread in any way: then it is read as a whole, up to
-- LINE_MAX.
--
-- An event keeps its id; the log gives it sequence, time and actor anew. One whose id is there already is skipped, so an import may be repeated, and begun
-- again after it was killed. Events go in transactions of BATCH; what a page would have too many bytes for goes in smaller ones.

local iu = require "inner_universe"

local plugin = ...
local cloudevents = plugin.load "cloudevents"

local BATCH = 500            -- events of a transaction
local BATCH_BYTES = 4 << 20  -- and bytes of their lines
local LINE_MAX = 64 << 20    -- bytes of a line, or of an array that is not an element a line
local FORMATS = { jsonl = true, cloudevents = true, ["cloudevents-batch"] = true }

local EXPORT = { format = "string", from = "any", to = "any", type = "any", filters = "any", overwrite = "boolean" }

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

local function io_error(what, path, why)
  local text = tostring(why)
  if text:sub(1, #path + 2) == path .. ": " then text = text:sub(#path + 3) end -- io.open names it, too
  return nil, iu.errors.new("StorageError", ("%s %s: %s"):format(what, path, text))
end

local function exporting(err)
  return nil, iu.errors.new(err.kind, "export_events: " .. err.message, { code = err.code, retryable = err.retryable, cause = err.cause })
end

---@param ctx table
---@param env table { log, topics, message, client }
return function(ctx, env)
  local exchange = {}
  local log = env.log

  -- ---- out ----

  -- Where lines go: fn(line), or a file that appears when it is whole and on disk.
  local function sink_of(target, overwrite)
    if type(target) ~= "string" then
      return {
        write = function(_, line)
          target(line)
          return true
        end,
        finish = function() return true end, give_up = function() end,
      }
    end
    local there = io.open(target, "rb")
    if there then
      there:close()
      if not overwrite then return invalid("export_events: %s is there already (overwrite = true replaces it)", target) end
    end
    local new, file = iu.new_file(target)
    if not new then return exporting(file) end
    local name = new:name()
    local sink = {}
    function sink.write(_, line)
      local ok, err = file:write(line, "\n")
      if ok then return true end
      return io_error("export_events:", name, err)
    end
    function sink.finish()
      local ok, err = file:close()
      file = nil
      if not ok then return io_error("export_events:", name, err) end
      ok, err = new:publish()
      if ok then return true end
      return exporting(err)
    end
    function sink.give_up()
      if file then file:close() end
      new:close() -- nothing, once it is published
    end
    return sink
  end

  local function line_of(format, message)
    if format ~= "jsonl" then return iu.json.encode(cloudevents.of_message(message)) end
    return iu.json.encode {
      id = message.id, type = message.type, source = message.source, timestamp = message.timestamp, sequence = message.sequence, actor = message.actor,
      data = message.data,
    }
  end

  -- What is to go: a reader, the place before the first and that of the last.
  local function span(options)
    local wanted, err = env.topics.compile(options.type, "export_events: type")
    if not wanted then return nil, err end
    local filters, head, first, last
    filters, err = env.topics.filters(ctx.conn, options.filters, "export_events: filters", wanted)
    if err then return nil, err end
    head, err = log.head()
    if not head then return nil, err end
    first, err = log.place(options.from == nil and "start" or options.from, "export_events: from")
    if not first then return nil, err end
    last = head.sequence
    if options.to ~= nil and options.to ~= "now" then
      last, err = log.last_place(options.to, head.sequence, "export_events: to")
      if not last then return nil, err end
    end
    return log.reader(wanted, filters, true), first - 1, last
  end

  local function write_all(sink, format, reader, at, last)
    local batch, count = format == "cloudevents-batch", 0
    local held -- the line before, which gets a comma once there is another one
    local ok, err = true, nil
    if batch then ok, err = sink:write("[") end
    while ok and at < last do
      local rows, covered = reader:read(at, last, log.PAGE)
      if not rows then return nil, covered end
      for _, row in ipairs(rows) do
        local message, line
        message, err = env.message.of_row(row)
        if not message then return nil, err end
        line, err = line_of(format, message)
        if not line then return nil, err end
        if held then ok, err = sink:write(held .. ",") end
        if not batch then ok, err = sink:write(line) end
        if not ok then return nil, err end
        held, count = batch and line or nil, count + 1
      end
      at = covered
      if ctx.can_wait() and coroutine.isyieldable() then iu.sleep(0) end
      if ctx.is_closed() then return nil, iu.errors.new("ConnectionError", "event_bus is closed", { code = "CLOSED", retryable = false }) end
    end
    if ok and held then ok, err = sink:write(held) end
    if ok and batch then ok, err = sink:write("]") end
    if not ok then return nil, err end
    return count
  end

  --- target: a path, or a function that gets each line. How many events.
  ---@return integer?
  ---@return inner_universe.Error? err
  function exchange.export(target, options)
    local ok, err = ctx.check.options("export_events", options, EXPORT)
    if not ok then return nil, err end
    local format = options.format or "jsonl"
    if not FORMATS[format] then return invalid('export_events: format: expected "jsonl", "cloudevents" or "cloudevents-batch", got "%s"', format) end
    local reader, at, last = span(options)
    if not reader then return nil, at end
    local sink
    sink, err = sink_of(target, options.overwrite)
    if not sink then return nil, err end
    local _ <close> = setmetatable({}, { __close = function() sink:give_up() end })
    local count
    count, err = write_all(sink, format, reader, at, last)
    if not count then return nil, err end
    ok, err = sink:finish()
    if not ok then return nil, err end
    return count
  end

  -- ---- in ----

  local function with_place(err, number)
    return nil, iu.errors.new(err.kind, ("import_events: line %d: %s"):format(number, err.message), {
      code = err.code, retryable = err.retryable, cause = err.cause, details = { line = number },
    })
  end

  -- What one value of the file is: { id, type, source, data }.
  local function event_of(value)
    if type(value) == "table" and value.specversion ~= nil then return cloudevents.to_event(value) end
    if type(value) ~= "table" then return invalid("an event expected, got %s", type(value)) end
    for _, key in ipairs { "id", "type" } do
      if type(value[key]) ~= "string" then return invalid("%s: a text expected, got %s", key, tostring(value[key])) end
    end
    local source = value.source
    if source == iu.null then source = nil end
    if source ~= nil and type(source) ~= "string" then return invalid("source: a text expected, got %s", tostring(source)) end
    local data = value.data
    if data == nil then data = iu.object {} end
    return { id = value.id, type = value.type, source = source, data = data }
  end

  -- Those ids of the batch that the log has.
  local function known(batch)
    local ids = iu.array {}
    for i, item in ipairs(batch) do ids[i] = item.id end
    local rows, err = ctx.conn:select("event_log", { filters = { { field = "event_id", operator = "In", value = ids } } })
    if not rows then return nil, err end
    local out = {}
    for _, row in ipairs(rows) do out[row.event_id] = true end
    return out
  end

  local function operation_of(item)
    local stored = table.pack(env.client:stored("publish_event", item.type, item.data, item.source, item.id))
    if not stored[1] then return nil, stored[2] end
    return env.client:operation("publish_event", table.unpack(stored, 2, stored.n))
  end

  local store

  -- Those in front of the one that is refused are stored; then its err.
  local function before(batch, refused, counts, err)
    local part = {}
    for i, item in ipairs(batch) do
      if item == refused then break end
      part[i] = item
    end
    if #part > 0 then
      local ok, why = store(part, counts)
      if not ok then return nil, why end
    end
    return with_place(err, refused.line)
  end

  -- One transaction; again without those that somebody else has put there meanwhile, and those before one that is refused by themselves.
  function store(batch, counts)
    for _ = 1, 5 do
      local there, err = known(batch)
      if not there then return nil, err end
      local operations, first = {}, {}
      for _, item in ipairs(batch) do
        if not there[item.id] then
          there[item.id] = true
          local operation, why = operation_of(item)
          if not operation then return before(batch, item, counts, why) end
          operations[#operations + 1], first[#operations + 1] = operation, item
        end
      end
      if #operations == 0 then
        counts.skipped = counts.skipped + #batch
        return true
      end
      local ok
      ok, err = ctx.conn:call("transact", operations, nil)
      if ok then
        counts.imported, counts.skipped = counts.imported + #operations, counts.skipped + #batch - #operations
        return true
      end
      local blamed, refusal = env.client:blamed_operation(err)
      if err.kind ~= "ConflictError" and err.code ~= "UNKNOWN_OUTCOME" then
        if blamed and first[blamed] then return before(batch, first[blamed], counts, refusal) end
        return nil, err
      end
      if err.code == "UNKNOWN_OUTCOME" then iu.sleep(0.25) end
    end
    return invalid("import_events: others put the same events into the log all the time")
  end

  local ARRAY = getmetatable(iu.array {})

  local function give(value, number, fn)
    if getmetatable(value) ~= ARRAY then return fn(value, number) end
    for _, each in ipairs(value) do
      local ok, err = fn(each, number)
      if not ok then return nil, err end
    end
    return true
  end

  local function too_long(number, what)
    return with_place(select(2, invalid("%s of more than %d bytes", what, LINE_MAX)), number)
  end

  -- A file that is no value a line: the rest of it, and what stood before.
  local function whole(lines, parts, number, fn)
    local bytes, began = 0, number
    for _, part in ipairs(parts) do bytes = bytes + #part end
    for line in lines do
      parts[#parts + 1], bytes = line, bytes + #line
      if bytes > LINE_MAX then return too_long(began, "an array that is no element a line,") end
    end
    local value, err = iu.json.decode(table.concat(parts, "\n"))
    if value == nil then return with_place(err, began) end
    return give(value, began, fn)
  end

  local function brackets(text)
    return text == "" or text == "[" or text == "]" or text == "[]"
  end

  -- The values of a file, in order: fn(value, line). A line is a value, or an element of an array with its comma.
  local function each_value(lines, fn)
    local number, seen, skipped, opened = 0, false, {}, nil
    for line in lines do
      number = number + 1
      if #line > LINE_MAX then return too_long(number, "a line") end
      local bare = line:match("^%s*(.-)%s*$")
      if brackets(bare) then
        if not seen then skipped[#skipped + 1] = line end
        if bare == "[" then opened = number elseif bare ~= "" then opened = nil end
      else
        local value, err = iu.json.decode(bare:match("^(.*}),$") or bare)
        if value == nil and not seen then
          skipped[#skipped + 1] = line
          return whole(lines, skipped, number, fn)
        end
        if value == nil then return with_place(err, number) end
        seen = true
        local ok, why = give(value, number, fn)
        if not ok then return nil, why end
      end
    end
    if opened then return with_place(select(2, invalid("the array that begins here has no end")), opened) end
    return true
  end

  --- source: a path, or a function that answers the next line (nil at the end). { imported, skipped }: skipped are those whose ids the log has.
  ---@return { imported: integer, skipped: integer }?
  ---@return inner_universe.Error? err with details.line, imported and skipped
  function exchange.import(source)
    local lines, file
    if type(source) == "string" then
      local why
      file, why = io.open(source, "rb")
      if not file then return io_error("import_events:", source, why) end
    end
    local unread
    function lines()
      if not file then
        local line = source()
        if line == nil or type(line) == "string" then return line end
        unread = select(2, invalid("import_events: source: it answers lines, texts or nil at the end, got %s", type(line)))
        return nil
      end
      local line, why = file:read("l")
      if why then unread = select(2, io_error("import_events:", source, why)) end
      return line
    end
    local _ <close> = setmetatable({}, { __close = function() if file then file:close() end end })
    local counts, batch, bytes = { imported = 0, skipped = 0 }, {}, 0
    local function flush()
      if #batch == 0 then return true end
      if ctx.is_closed() then return nil, iu.errors.new("ConnectionError", "event_bus is closed", { code = "CLOSED", retryable = false }) end
      local ok, err = store(batch, counts)
      batch, bytes = {}, 0
      if ctx.can_wait() and coroutine.isyieldable() then iu.sleep(0) end
      return ok, err
    end
    local ok, err = each_value(lines, function(value, number)
      local item, why = event_of(value)
      if not item then return with_place(why, number) end
      item.line = number
      batch[#batch + 1], bytes = item, bytes + #(iu.json.encode(item.data) or "")
      if #batch < BATCH and bytes < BATCH_BYTES then return true end
      return flush()
    end)
    local stored, refused = flush() -- what came before an err, too
    if not stored then ok, err = nil, refused end -- of the two the one that comes first in the file
    if unread then ok, err = nil, unread end
    if ok then return counts end
    err.details = err.details or {}
    err.details.imported, err.details.skipped = counts.imported, counts.skipped
    return nil, err
  end

  return exchange
end
