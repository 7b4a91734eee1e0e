-- collect.lua: what is read when somebody looks: the universe, its connection and journal, the log of events, versions, caches, the other plugins. Counting
-- these while the program runs would cost; they count themselves. On a server some of it is asked for, so a collection may wait.

local iu = require "inner_universe"

-- Of the connection's status, embedded or remote, and of its journal: field, name, kind, what it is.
local CONNECTION = {
  { "rows", "rows", "gauge", "Rows in memory." }, { "row_bytes", "row_bytes", "gauge", "Bytes of them." },
  { "overhead_bytes", "overhead_bytes", "gauge", "Bytes that tables and indexes take besides." },
  { "sessions", "sessions", "gauge", "Connections of the universe." }, { "transactions", "transactions_total", "counter", "Transactions that ran." },
  { "rejected", "transactions_rejected_total", "counter", "Transactions that were refused." },
  { "calls", "server_calls_total", "counter", "Calls sent to the server." },
  { "connects", "connects_total", "counter", "Times that the connection came to be." },
  { "messages", "messages_total", "counter", "Messages from the server." },
  { "bytes_sent", "bytes_sent_total", "counter", "Bytes sent to the server." },
  { "bytes_received", "bytes_received_total", "counter", "Bytes from the server." },
  { "in_flight", "requests_in_flight", "gauge", "Requests without an answer yet." },
  { "waiting", "requests_waiting", "gauge", "Requests to be sent." },
}
local JOURNAL = {
  { "last_sequence", "journal_commits_total", "counter", "Commits." }, { "durable_sequence", "journal_durable_commits_total", "counter", "Those on disk." },
  { "pending_bytes", "journal_pending_bytes", "gauge", "Bytes of commits that are not on disk yet." },
  { "journal_bytes", "journal_unfolded_bytes", "gauge", "Bytes of the journal that are not folded yet." },
  { "groups_written", "journal_groups_written_total", "counter", "Groups of commits written." },
  { "frames_folded", "journal_frames_folded_total", "counter", "Commits folded." },
}
local PUBLISHING = { "publish_event", "event_bus.publish" }
local CACHE = { "hits", "negative_hits", "misses", "computed", "shared", "evicted", "expired" }

---@param ctx table
---@param env { registry: table, watch: table, agreement: table, temporal: table, bus: table }
return function(ctx, env)
  local registry = env.registry
  local on_server = ctx.settings.backend == "spacetimedb"
  local metric = {}
  local losses, on_state = 0, nil

  local function define(kind, name, help, names) metric[name] = registry.builtin(kind, "iu_" .. name, help, names) end
  define("gauge", "info", "What runs.", { "version", "backend" })
  define("gauge", "connection_up", "Whether the universe can be reached.")
  define("counter", "connection_losses_total", "How often the connection was lost.")
  define("counter", "events_logged_total", "Events ever logged, by everybody.")
  define("gauge", "events_kept", "Events in the log.")
  define("gauge", "events_kept_bytes", "Bytes of them.")
  define("counter", "events_published_total", "Events that this program published, or tried to.")
  define("counter", "method_calls_total", "Calls of a method.", { "method" })
  define("counter", "method_failures_total", ("Of one call in %d: those that failed."):format(env.watch.every), { "method" })
  define("counter", "consumer_handled_total", "Runs of a durable consumer's handler here, one an attempt.", { "consumer" })
  define("counter", "consumer_failed_total", "Attempts that failed, here.", { "consumer" })
  define("counter", "consumer_dead_total", "Events it gave up, here.", { "consumer" })
  define("gauge", "consumer_lag", "Events it is behind the log, wherever it runs.", { "consumer" })
  define("gauge", "versions", "Versions of states.")
  define("gauge", "branches", "Branches of versions.")
  define("gauge", "state_agreement", "1: the system has our head's state.", { "system", "branch" })
  define("gauge", "state_lag_versions", "Versions that the system is behind.", { "system", "branch" })
  define("gauge", "state_report_age_seconds", "Since the system said what it has.", { "system", "branch" })
  define("gauge", "journal_failed", "1: nothing is saved any more.")
  define("gauge", "cache_memory_bytes", "Memory of all caches.")
  define("gauge", "cache_memory_limit_bytes", "What they may have (cache_size_mb).")
  for _, name in ipairs(CACHE) do define("counter", "cache_" .. name .. "_total", "Of the plugin cache: " .. name:gsub("_", " ") .. ".", { "of" }) end
  define("gauge", "cache_entries", "What the plugin cache keeps.", { "of" })
  define("gauge", "plugin_up", "1: it runs and is well.", { "plugin" })
  define("gauge", "plugin_fact", "Numbers that a plugin's health tells.", { "plugin", "fact" })
  define("gauge", "lua_memory_bytes", "Memory of the program's Lua.")
  define("counter", "metrics_series_overflowed_total", "Look-ups of a series too many (max_series).")
  define("counter", "collect_failures_total", "Collections that could not read something.")
  define("gauge", "collect_seconds", "Time of the last collection.")
  for _, list in ipairs { CONNECTION, JOURNAL } do
    for _, field in ipairs(list) do define(field[3], field[2], field[4]) end
  end

  local function fields(list, values)
    for _, field in ipairs(list) do metric[field[2]].put(values[field[1]]) end
  end

  -- Each part is told by itself: what cannot be read leaves the others be.

  local parts = {}

  function parts.connection()
    local conn = ctx.conn
    metric.info.put(1, { version = iu._VERSION, backend = ctx.settings.backend })
    metric.connection_up.put(conn:state().phase == "connected" and 1 or 0)
    metric.connection_losses_total.put(losses)
    local status = conn:status()
    fields(CONNECTION, status)
    if status.journal then
      fields(JOURNAL, status.journal)
      metric.journal_failed.put(status.journal.failed and 1 or 0)
    end
  end

  function parts.events()
    local head, err = ctx.conn:get("event_head", 0)
    if err then return nil, err end
    metric.events_logged_total.put(head and head.sequence or 0)
    metric.events_kept.put(head and head.count or 0)
    metric.events_kept_bytes.put(head and head.bytes or 0)
  end

  function parts.methods()
    for method, meter in pairs(env.watch.methods) do
      metric.method_calls_total.put(meter:calls(), { method = method })
      metric.method_failures_total.put(meter.failed, { method = method })
    end
    local published = 0
    for _, method in ipairs(PUBLISHING) do
      local meter = env.watch.methods[method]
      published = published + (meter and meter:calls() or 0)
    end
    metric.events_published_total.put(published)
  end

  function parts.consumers()
    local _, facts = env.bus:health()
    local sums = {} -- of the members that this program has of a consumer
    for _, member in ipairs(type(facts) == "table" and facts.consumers or {}) do
      local sum = sums[member.name] or { handled = 0, failed = 0, dead = 0 }
      sums[member.name] = sum
      for field, value in pairs(sum) do sum[field] = value + member[field] end
    end
    for _, name in ipairs { "handled", "failed", "dead" } do
      local family = metric[("consumer_%s_total"):format(name)]
      family.begin()
      for consumer, sum in pairs(sums) do family.put(sum[name], { consumer = consumer }) end
    end
    local all, err = env.bus:consumers()
    if not all then return nil, err end
    metric.consumer_lag.begin()
    for _, consumer in ipairs(all) do metric.consumer_lag.put(consumer.lag, { consumer = consumer.name }) end
  end

  function parts.versions()
    local branches, err = env.temporal:branches()
    if not branches then return nil, err end
    metric.branches.put(#branches)
    if on_server then return end -- counting them there would be a request over HTTP
    local rows
    rows, err = ctx.conn:query("SELECT COUNT(*) AS n FROM state_version")
    if not rows then return nil, err end
    metric.versions.put(rows[1].n)
  end

  function parts.agreement()
    for _, name in ipairs { "state_agreement", "state_lag_versions", "state_report_age_seconds" } do metric[name].begin() end
    return nil, env.agreement.each(function(report, age)
      local labels = { system = report.system, branch = report.branch }
      metric.state_agreement.put(report.lag == 0 and 1 or 0, labels)
      if report.lag then metric.state_lag_versions.put(report.lag, labels) end
      metric.state_report_age_seconds.put(age, labels)
    end)
  end

  function parts.caches()
    metric.cache_memory_bytes.put(ctx.cache_memory.used())
    metric.cache_memory_limit_bytes.put(ctx.cache_memory.limit)
    local cache = ctx.universe.plugin("cache")
    if not cache then return end
    local stats = cache:stats()
    for _, of in ipairs { "values", "entities" } do
      local from = of == "values" and stats or stats.entities
      for _, name in ipairs(CACHE) do
        if from then metric["cache_" .. name .. "_total"].put(from[name], { of = of }) end
      end
      if from then metric.cache_entries.put(from.entries or from.kept, { of = of }) end
    end
  end

  function parts.plugins()
    metric.plugin_up.begin()
    metric.plugin_fact.begin()
    for _, row in ipairs(ctx.universe.health()) do
      metric.plugin_up.put(row.ok and 1 or 0, { plugin = row.name })
      if row.name ~= ctx.name and type(row.details) == "table" then
        for fact, value in pairs(row.details) do
          if type(fact) == "string" then metric.plugin_fact.put(value, { plugin = row.name, fact = fact }) end
        end
      end
    end
  end

  function parts.program()
    metric.lua_memory_bytes.put(collectgarbage("count") * 1024)
    metric.metrics_series_overflowed_total.put(registry.overflowed)
  end

  local ORDER = { "connection", "events", "methods", "consumers", "versions", "agreement", "caches", "plugins", "program" }
  local self = {}
  local under_way -- a waiter: those who come while one collects get what it finds
  local failures = 0

  local function collect()
    local began = ctx.clock()
    for _, name in ipairs(ORDER) do
      local ok, raised, err = pcall(parts[name])
      if not ok then err = raised end
      if err then
        failures = failures + 1
        ctx.log.debug("metrics: %s: %s", name, tostring(err))
      end
      if ctx.is_closed() then return end
    end
    metric.collect_failures_total.put(failures)
    metric.collect_seconds.put(ctx.clock() - began)
  end

  --- Reads everything anew.
  function self.run()
    if under_way then
      if ctx.can_wait() then under_way:wait(30) end
      return
    end
    local mine = ctx.waiter()
    under_way = mine
    local _ <close> = setmetatable({}, {
      __close = function()
        under_way = nil
        mine:resolve(true)
      end,
    })
    collect()
  end

  function self.start()
    on_state = ctx.conn:on_state(function(state)
      if state.phase == "disconnected" then losses = losses + 1 end
    end)
  end

  function self.stop()
    if on_state then on_state:cancel() end
  end

  return self
end
