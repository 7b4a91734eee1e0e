-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "migrations",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Changes of schema, data and states as numbered Lua files that are applied once, in order.",
  requires = { persistence_manager = ">=0.1 <1" }, -- and temporal_store, where states are migrated,
  config = {
    folder = { default = "./migrations", description = "Where the files NNNN_name.lua are." },
    on_pending = { default = "warn",
      description = "What opening a universe does while migrations are pending, or the folder does not fit: refuse, warn (in the log) or ignore." },
    batch_size = { default = 1000, description = "Rows of a batch, where a migration names no size (1 to 50,000)." },
    lock_timeout = { type = "number", default = 10, description = "Seconds that a run waits for another one to end." },
    lease = { type = "number", default = 60, description = "Seconds after which the lock of a run that is heard of no more is free; a batch renews it." },
    files_max = { default = 10000, description = "Files in the folder." },
    file_bytes_max = { default = 1048576, description = "Bytes of one file." },
    error_bytes_max = { default = 4000, description = "Bytes of an error that the record of a migration keeps." },
  },
}
