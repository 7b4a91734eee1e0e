-- layer.lua: the hooks `rows.write`, `rows.read` and `rows.select`: what they do to one value.

local iu = require "inner_universe"

local plugin = ...
local paths = plugin.load "paths"

local SHOWN_MAX = 64 -- bytes of a value in a message
local OWN_EVENTS = plugin.load("settings").OWN_EVENTS

return function(set, sealing, redaction)
  local layer = {}

  local function invalid(format, ...)
    return nil, iu.errors.new("ValidationError", format:format(...))
  end

  local function shown(value)
    local text = iu.json.encode(value) or tostring(value)
    if #text <= SHOWN_MAX then return text end
    local cut = SHOWN_MAX
    while cut > 1 and text:byte(cut + 1) & 0xC0 == 0x80 do cut = cut - 1 end
    return text:sub(1, cut) .. "..."
  end

  -- A copy that is ours, as plain tables: nil, err where it cannot be stored; nil alone where it is no object, which others say.
  local function copied(properties)
    if properties == nil or properties == iu.null then return {} end
    if type(properties) ~= "table" and not iu.json.is_document(properties) then return nil end
    local text, err = iu.json.encode(properties)
    if not text then
      err.message = "metadata.properties: " .. err.message
      return nil, err
    end
    local copy = iu.json.decode(text)
    if type(copy) ~= "table" or paths.is_array(copy) then return nil end
    return copy
  end

  local function fits(kind, type_name, properties)
    local schema = type_name ~= nil and set.schemas[kind][type_name]
    if not schema then return true end
    local path, value, expected = schema(properties, "properties")
    if not path then return true end
    local secret = paths.touching(path, set.redacted[kind], "properties") ~= nil
    local what = value == nil and "missing" or secret and redaction.hidden or shown(value)
    local _, err = invalid("%s: %s: %s, expected %s", type_name, path, what, expected)
    err.details = { path = path, expected = expected }
    if not secret then err.details.value = value end
    return nil, err
  end

  function layer.validate(kind, type_name, properties)
    local copy, err = copied(properties)
    if not copy then return nil, err or select(2, invalid("metadata.properties: expected string keys, got an array")) end
    return fits(kind, type_name, copy)
  end

  -- ---- writing ----

  local function write_metadata(kind, metadata, key, type_name, type_of)
    local schemas, patterns = set.schemas[kind], set.sealed[kind]
    if metadata ~= nil and type(metadata) ~= "table" or type(key) ~= "string" then return metadata end -- the method says what is wrong
    local err
    if next(schemas) and type_name == nil and type_of then
      type_name, err = type_of(kind, key)
      if err ~= nil then return nil, err end
    end
    if #set.redacted[kind] == 0 and not (type_name ~= nil and schemas[type_name]) then return metadata end
    local properties
    properties, err = copied(metadata and metadata.properties)
    if not properties then return err == nil and metadata or nil, err end
    redaction.note(kind, properties)
    local ok
    ok, err = fits(kind, type_name, properties)
    if not ok then return nil, err end
    if #patterns == 0 or next(properties) == nil then return metadata end
    ok, err = sealing.seal_all(properties, patterns, "properties", kind, key)
    if not ok then return nil, err end
    local out = {}
    for name, value in pairs(metadata) do out[name] = value end
    out.properties = properties
    return out
  end

  local function event_patterns(event_type)
    if type(event_type) ~= "string" then return nil end
    if OWN_EVENTS[event_type] then return nil end
    return set.sealed.events[event_type] or set.sealed.events["*"]
  end

  local function write_event(data, key, event_type)
    local patterns = event_patterns(event_type)
    if not patterns or type(data) ~= "table" and not iu.json.is_document(data) then return data end
    local text, err = iu.json.encode(data)
    if not text then
      err.message = "data: " .. err.message
      return nil, err
    end
    local copy = iu.json.decode(text)
    redaction.note("event", copy, patterns)
    local ok
    ok, err = sealing.seal_all(copy, patterns, "data", "event_log", key)
    if not ok then return nil, err end
    return copy
  end

  function layer.on_write(call, next)
    local args = call.args
    local kind, err = args[1]
    if kind == "event" then
      args[2], err = write_event(args[2], args[3], args[4])
    else
      args[2], err = write_metadata(kind, args[2], args[3], args[4], args[5])
    end
    if err ~= nil then return nil, err end
    return next()
  end

  -- ---- reading ----

  local function read_event(row)
    if OWN_EVENTS[row.event_type] then
      redaction.audit(row.event_type, row.data)
      return row
    end
    local patterns = event_patterns(row.event_type)
    if not patterns then return row end
    local ok, err = sealing.open_all(row.data, patterns, "data", "event_log", row.event_id)
    if not ok then return nil, err end
    redaction.note("event", row.data, patterns)
    return row
  end

  local function read_metadata(kind, row)
    local ok, err = sealing.open_all(row.metadata.properties, set.sealed[kind], "properties", kind, row.id)
    if not ok then return nil, err end
    redaction.note(kind, row.metadata.properties)
    return row
  end

  function layer.on_read(call, next)
    local kind = call.args[1]
    local row, err = next()
    if row == nil then return nil, err end
    if kind == "event" then return read_event(row) end
    return read_metadata(kind, row)
  end

  -- ---- asking ----

  local function refuse_sealed(patterns, root, field, what)
    local pattern = type(field) == "string" and paths.touching(field, patterns, root)
    if not pattern then return true end
    return invalid("%s: `%s`: `%s` is sealed, so the universe cannot look into it; ask by other fields, and look at what comes", what, field, pattern.text)
  end

  -- Of a type that is asked for at all: filters of events are for some types only.
  local function refuse_sealed_data(selection)
    for event_type, patterns in pairs(set.sealed.events) do
      for _, filter in ipairs((event_type == "*" or selection.types:match(event_type)) and selection.filters or {}) do
        local ok, err = refuse_sealed(patterns, "data", filter.field, ("filter of %s"):format(event_type))
        if not ok then return nil, err end
      end
    end
    return true
  end

  function layer.on_select(call, next)
    local kind, selection = call.args[1], call.args[2]
    if kind == "event" then
      local ok, err = refuse_sealed_data(selection)
      if not ok then return nil, err end
      return next()
    end
    local sealed, redacted = set.sealed[kind] or {}, set.redacted[kind] or {}
    for _, filter in ipairs(selection.filters or {}) do
      if paths.touching(filter.field, redacted, "properties") then redaction.note_value(filter.value) end
      local ok, err = refuse_sealed(sealed, "properties", filter.field, "filter")
      if not ok then return nil, err end
    end
    local ok, err = refuse_sealed(sealed, "properties", selection.order_by, "order_by")
    if not ok then return nil, err end
    return next()
  end

  -- create_index(table, path)
  function layer.on_index(call)
    local kind, path = call.args[1], call.args[2]
    local ok, err = refuse_sealed(set.sealed[kind] or {}, "properties", path, "create_index")
    if not ok then return false, err end
  end

  return layer
end
