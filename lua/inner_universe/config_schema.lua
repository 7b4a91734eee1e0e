-- The configuration's keys: type, default, range, in the order of the design. Nothing else knows them. An entry: { name, type, default,
-- one_of | min, max | list | check }; `check(value)` returns what is wrong, or nil; `list`: an array of some of these names. `features` holds keys of its own.

local LEVELS = { "off", "error", "warn", "info", "debug", "trace" }

local function text(value)
  if value == "" then return "must not be empty" end
  if value:find("\0", 1, true) then return "must not contain a zero byte" end
end

local features = {
  { name = "enable_state_versioning", type = "boolean", default = true },
  { name = "enable_audit_log", type = "boolean", default = true },
  { name = "enable_metrics", type = "boolean", default = false },
  { name = "enable_caching", type = "boolean", default = true },
}

local keys = {
  { name = "address", type = "string", default = "127.0.0.1", check = text },
  { name = "port", type = "integer", default = 3000, min = 1, max = 65535 },
  { name = "database", type = "string", default = "inner-universe", check = text },
  { name = "db_path", type = "string", default = "./inner_universe_db", check = text },
  { name = "backend", type = "string", default = "embedded", one_of = { "embedded", "spacetimedb" } },
  { name = "tls", type = "boolean", default = false },
  { name = "ca_file", type = "string", check = text },
  { name = "token", type = "string", check = text },
  { name = "token_file", type = "string", default = "auto", check = text },
  { name = "protocol", type = "string", default = "auto", one_of = { "auto", "v3", "v2", "v1", "v1.json" } },
  { name = "compression", type = "string", default = "none", one_of = { "none", "gzip", "brotli" } },
  { name = "confirmed", type = "string", default = "default", one_of = { "default", "yes", "no" } },
  { name = "reconnect", type = "boolean", default = true },
  { name = "reconnect_min_delay_ms", type = "integer", default = 500, min = 1, max = 3600 * 1000 },
  { name = "reconnect_max_delay_ms", type = "integer", default = 30 * 1000, min = 1, max = 24 * 3600 * 1000 },
  { name = "reconnect_attempts", type = "integer", default = 0, min = 0, max = 1000000 },
  { name = "away", type = "string", default = "refuse", one_of = { "refuse", "queue" } },
  { name = "module_path", type = "string", check = text },
  { name = "module_dir", type = "string", check = text },
  { name = "build_module", type = "boolean", default = false },
  { name = "features", type = "table", keys = features },
  { name = "cache_size_mb", type = "integer", default = 256, min = 0, max = 1024 * 1024 },
  { name = "log_level", type = "string", default = "info", one_of = LEVELS },
  { name = "durability", type = "string", default = "normal", one_of = { "full", "normal", "off" } },
  { name = "flush_interval_ms", type = "integer", default = 20, min = 1, max = 60 * 1000 },
  { name = "module", type = "string", check = text },
  { name = "reducer_timeout_ms", type = "integer", default = 5000, min = 1, max = 24 * 3600 * 1000 },
  { name = "reducer_memory_mb", type = "integer", default = 256, min = 1, max = 1024 * 1024 },
  { name = "recover", type = "string", one_of = { "prefix" } },
  { name = "snapshot", type = "boolean", default = false },
  { name = "history", type = "table", list = { "entity", "relation" } },
  { name = "history_keep_days", type = "integer", default = 30, min = 0, max = 36500 },
  { name = "history_max_rows", type = "integer", default = 200000, min = 0, max = 1000000000 },
  { name = "history_max_bytes", type = "integer", default = 64 << 20, min = 0, max = 1 << 40 },
  { name = "plugins", type = "table", plugins = true },
}

return { keys = keys, features = features }
