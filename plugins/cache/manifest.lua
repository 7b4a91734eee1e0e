-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "cache",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Values kept for a while, computed once; entities of a server kept up to date by subscriptions.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    max_bytes = { default = 67108864, min = 0, max = 1 << 40, description = "Memory for values; cache_size_mb bounds it together with the other caches." },
    ttl_ms = {
      default = 300000, min = 0, max = 1 << 40,
      description = "How long a value is kept where `ttl` does not say; 0: no limit. An entity, since it was last read.",
    },
    negative_ttl_ms = {
      default = 1000, min = 0, max = 1 << 40,
      description = "How long it is remembered that there is nothing: computed as nil, or an entity that is not there.",
    },
    wait_timeout_ms = {
      default = 30000, min = 1, max = 86400000,
      description = "How long get_or_compute waits for a value that another task computes, where `timeout` does not say.",
    },
    entities = {
      default = "auto", one_of = { "auto", "always", "never" },
      description = "Keep what get_entity reads: auto (on servers), always, never. Only with features.enable_caching.",
    },
    max_entities = { default = 2000, min = 0, max = 9000, description = "Entities kept; each is a subscription of the connection, which has at most 10,000." },
    max_entity_bytes = { default = 67108864, min = 0, max = 1 << 40, description = "Memory for kept entities; cache_size_mb bounds it, too." },
  },
}
