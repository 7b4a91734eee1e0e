-- entities.lua: entities that get_entity reads, kept up to date. What is kept is a subscription to the entity's row: its answer is the first read, and from
-- then on the connection holds the row as everything subscribed is held, so a later read asks nobody and can never be older than what the server has told.
-- An entity that is not there is kept the same way, for a short time.
--
-- Nothing decoded is kept: every read makes its own tables. A lost connection ends all of it at once: while it is away reads go past the cache, and afterwards
-- each entity is asked for anew. Where a subscription holds the whole table, reads go past the cache too: the connection answers them itself.

local plugin = ...
local lru = plugin.load "lru"

local ENTRY_BYTES = 1500 -- a subscription here and in the connection, with its query: measured
local WAITS = 30 -- seconds for a subscription's answer; then the read goes past the cache
local ID_MAX = 256 -- bytes: the module has none that are longer
local SPEC = { filters = { { field = "id", operator = "Equals", value = "" } } }

local function bytes_of(row)
  if not row then return ENTRY_BYTES end
  local metadata = row.metadata
  local bytes = ENTRY_BYTES + 200 + #row.id + #row.entity_type + #(metadata.name or "") + #(metadata.description or "") + #metadata.properties
  for _, tag in ipairs(metadata.tags) do bytes = bytes + #tag + 8 end
  return bytes
end

---@param ctx table
---@param counts table<string, integer>
return function(ctx, counts)
  local config = ctx.config
  local client = ctx.plugin("persistence_manager").client
  local conn, rows = ctx.conn, ctx.conn.tables.entity
  local idle, negative = config.ttl_ms / 1000, config.negative_ttl_ms / 1000
  local list
  local watching = {} -- handlers of the table, while anything is kept
  local connected = conn:state().phase == "connected"
  local closed = false

  local function resize(row)
    local entry = list:find(row.id)
    if entry then list:resize(entry, bytes_of(row)) end
    return entry
  end

  -- What our own subscriptions bring is told as { subscribed = true }: no change.
  local function watch()
    watching = {
      rows:on_insert(function(row, event)
        if resize(row) and not event.subscribed then counts.changes = counts.changes + 1 end
      end),
      rows:on_update(function(row)
        if resize(row) then counts.changes = counts.changes + 1 end
      end),
      rows:on_delete(function(row, event)
        local entry = list:find(row.id)
        if not entry or event.subscribed then return end
        list:resize(entry, ENTRY_BYTES)
        counts.changes = counts.changes + 1
      end),
    }
  end

  list = lru.new(config.max_entity_bytes, config.max_entities, ctx.cache_memory.open, function(entry, why)
    counts[why] = (counts[why] or 0) + 1
    local sub = entry.sub
    entry.sub = nil
    if sub and not conn:is_closed() then sub:unsubscribe() end
    if list.count > 0 then return end
    for _, handle in ipairs(watching) do handle:cancel() end
    watching = {}
  end)

  local on_state = conn:on_state(function(state)
    connected = state.phase == "connected"
    if not connected then list:clear("cleared") end
  end)

  -- Does a subscription hold the whole table? Then the connection answers without asking.
  local function is_whole(id)
    SPEC.filters[1].value = id
    local words = conn:explain("entity", SPEC)
    return words ~= nil and words:find("^replica") ~= nil
  end

  local function expire(now)
    local entry = list.oldest
    while idle > 0 and entry and now - entry.used > idle do
      list:drop(entry, "expired")
      entry = list.oldest
    end
  end

  -- A new entry, its subscription under way; nil where there can be none.
  local function admit(id, now)
    expire(now)
    if #id > ID_MAX or id:find("%c") or not utf8.len(id) or is_whole(id) then return nil end
    local entry = { key = id, bytes = ENTRY_BYTES, used = now }
    if not list:put(entry) then return nil end
    if #watching == 0 then watch() end
    local sub, err = conn:subscribe(("SELECT * FROM entity WHERE id = '%s'"):format((id:gsub("'", "''"))), {
      on_applied = function() entry.live = true end,
      on_error = function(why)
        ctx.log.debug("entity %s is not kept: %s", id, why.message)
        list:drop(entry, "failed")
      end,
    })
    if not sub then
      ctx.log.debug("entity %s is not kept: %s", id, err.message)
      list:drop(entry, "failed")
      return nil
    end
    if list:find(id) == entry then
      entry.sub = sub
      return entry
    end
    sub:unsubscribe()
  end

  -- The entry once its row is here, or nil: read past the cache.
  local function live(entry)
    if not entry.live then
      if not ctx.can_wait() then return nil end
      entry.sub:wait(WAITS)
    end
    if entry.live and connected and not closed and list:find(entry.key) == entry then return entry end
  end

  local self = {}

  -- get_entity, where `inner` is the method itself.
  local function read(inner, target, id)
    if type(id) ~= "string" or not connected or closed or conn:is_closed() then return inner(target, id) end
    local now = ctx.clock()
    local entry = list:find(id)
    local kept = entry ~= nil
    if entry and entry.nothing and now - entry.nothing > negative then
      list:drop(entry, "expired")
      entry, kept = nil, false
    end
    entry = entry or admit(id, now)
    entry = entry and live(entry)
    if not entry then
      counts.passed = counts.passed + 1
      return inner(target, id)
    end
    entry.used = now
    list:touch(entry)
    local row = rows:get(id)
    entry.nothing = not row and (entry.nothing or now) or nil
    if not kept then
      counts.misses = counts.misses + 1
    elseif row then
      counts.hits = counts.hits + 1
    else
      counts.negative_hits = counts.negative_hits + 1
    end
    if row then return client.entity_of_row(row) end
    return nil, client.entity_not_found(id)
  end

  --- The around hook of get_entity. It takes the method's own place: other plugins' hooks come first, and may know an entity that the universe has not.
  function self.hook(call, next)
    local inner = call.inner
    call.inner = function(target, id) return read(inner, target, id) end
    return next()
  end

  function self.stats()
    return {
      kept = list.count, bytes = list:bytes(), hits = counts.hits, negative_hits = counts.negative_hits, misses = counts.misses, passed = counts.passed,
      changes = counts.changes, evicted = counts.evicted, expired = counts.expired, cleared = counts.cleared,
    }
  end

  function self.delete(id)
    local entry = list:find(id)
    if entry then list:drop(entry, "deleted") end
  end

  function self.clear() list:clear("cleared") end

  function self.stop()
    closed = true
    on_state:cancel()
    list:clear("cleared")
  end

  return self
end
