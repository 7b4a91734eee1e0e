-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "pool",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Connections to the server, lent in turn and given back whatever becomes of who has one.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    min = { default = 0, min = 0, max = 10000, description = "Connections that are kept open." },
    max = { default = 8, min = 1, max = 10000, description = "Leases at once; on a server each has a connection of its own." },
    waiting_max = { default = 1000, min = 0, max = 1000000, description = "Those who may wait for a lease at once." },
    timeout_ms = { default = 30000, min = 1, max = 86400000, description = "So long `acquire` waits in turn, where it is not told otherwise." },
    idle_ms = { default = 60000, min = 1, max = 86400000, description = "A connection that nobody had for so long is closed, down to min." },
    life_ms = { default = 1800000, min = 1, max = 2592000000, description = "A connection of that age is closed when it is given back." },
    check_ms = {
      default = 15000, min = 0, max = 86400000,
      description = "A connection that nobody had for so long is asked whether it is well before it is lent.",
    },
    check_timeout_ms = { default = 5000, min = 1, max = 3600000, description = "And must answer within so long." },
    connect_timeout_ms = { default = 10000, min = 1, max = 3600000, description = "So long the opening of a connection may take." },
    upkeep_ms = { default = 1000, min = 10, max = 3600000, description = "How often ages are looked at, and connections opened up to min." },
  },
}
