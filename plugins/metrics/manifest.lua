-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "metrics",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Counters, gauges and histograms of a universe and of its program, for Prometheus and the log.",
  requires = { persistence_manager = ">=0.1 <1", event_bus = ">=0.2 <1", temporal_store = ">=0.1 <1" },
  config = {
    endpoint = { default = true, description = "Answer GET <path> over HTTP." },
    address = { default = "127.0.0.1", description = "Where, in numbers." },
    allow_remote = { default = false, description = "The address may be another one than loopback." },
    port = { default = 9464, min = 0, max = 65535, description = "0: a free one, which `port()` tells." },
    path = { default = "/metrics", description = "What is asked for." },
    connections_max = { default = 16, min = 1, max = 1024, description = "Connections to it at once; more are told 503." },
    timeout_ms = { default = 10000, min = 1, max = 3600000, description = "Of one exchange, from the connect to its end." },
    log_interval_ms = { default = 0, min = 0, max = 86400000, description = "How often what changed goes to the log (level info); 0: never." },
    sample_every = {
      default = 0, min = 0, max = 1000000,
      description = "One call of a method in so many is looked at; 0: 64 on embedded universes, 1 on servers.",
    },
    methods = { type = "table", description = "Names of methods that are counted; absent: those that read and write." },
    max_metrics = { default = 500, min = 1, max = 100000, description = "Names of one's own." },
    max_series = { default = 100, min = 1, max = 100000, description = "Combinations of label values of one name; what is more is counted under `(other)`." },
    max_systems = { default = 100, min = 1, max = 10000, description = "Systems and branches whose states are compared." },
    lag_max = { default = 1000, min = 1, max = 1000000, description = "Versions that are looked at to find what another system has." },
  },
}
