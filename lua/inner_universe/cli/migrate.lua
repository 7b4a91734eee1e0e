-- migrate.lua: `iu migrate COMMAND`: changes of schema, data and states as numbered files. Each command is a file of migrate/; this is their list.

return {
  summary = "changes of schema, data and states as numbered Lua files",
  usage = "COMMAND [ARGUMENTS]",
  details = [[
A TARGET is a universe's file or ws://host:port/database; without one, that of the configuration (--config, INNER_UNIVERSE_*). The files NNNN_name.lua are in
--folder (default: the configuration's, ./migrations). What they may do is told in plugins/migrations/README.md.

Exit status: 0, 1 when it failed, 2 when it was used wrongly, 130 when Ctrl-C stopped it at a checkpoint.
`iu help migrate COMMAND` says more.]],
  names = { "new", "status", "plan", "up", "down", "redo", "baseline", "verify" },
}
