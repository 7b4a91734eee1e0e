-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "fallback",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Writes are kept in a local file while the server is away, and replayed once, in order, when it is back.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    path = { default = "", description = "The file of the queue; by default beside db_path, named after the database. One process at a time." },
    queue_max = { default = 10000, min = 1, max = 10000000, description = "Writes that may be kept at once." },
    queue_bytes = { default = 67108864, min = 1024, max = 1099511627776, description = "And their bytes." },
    when_full = {
      default = "refuse", one_of = { "refuse", "wait" },
      description = "What a write does when so much is kept: refuse (OverloadedError) or wait (for room, in turn).",
    },
    resend_ms = {
      default = 82800000, min = 0, max = 82800000,
      description = "So long a kept write whose outcome is unknown is sent again under its request key, which the server remembers for 24 hours.",
    },
    refused_max = { default = 1000, min = 1, max = 1000000, description = "Refused writes that are remembered; the oldest go first." },
    reads = { default = false, description = "While the server is away get_entity and get_relation answer from what is known here." },
    known_bytes = { default = 16777216, min = 0, max = 1099511627776, description = "Memory for what was read last, where reads is on." },
  },
}
