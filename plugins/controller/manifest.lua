-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "controller",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "A SpacetimeDB server of this machine: started, watched, ended; the module built and published.",
  requires = {},
  config = {
    program = { default = "", description = "The server's program: a path, or a name on PATH. Empty: looked for (README.md)." },
    arguments = { default = {}, description = "More arguments for it, an array of texts." },
    start_timeout = { default = 30, description = "Seconds until a started server must answer." },
    stop_timeout = { default = 10, description = "Seconds between asking a server to end and ending it." },
    build_timeout = { default = 300, description = "Seconds for building the module." },
    restart = { default = false, description = "Whether a server that ended by itself is started again." },
    restart_max = { default = 5, description = "Restarts in a row; one that lived for a minute counts anew." },
    log_bytes_max = { default = 8388608, description = "A server's log larger than this is put aside (server.log.1) at the next start." },
  },
}
