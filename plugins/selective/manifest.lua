-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "selective",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Rules say what is persisted, what is kept in memory only, and what is sampled.",
  requires = { persistence_manager = ">=0.1 <1", event_bus = ">=0.1 <1" },
  config = {
    rules = { type = "table", description = "An array of rules; the first that fits decides. Without one that fits: persisted." },
    seed = { default = "", description = "Of sampling: with the same seed the same ids are sampled." },
    max_entities = { default = 100000, min = 0, description = "Entities in memory only." },
    max_bytes = { default = 67108864, min = 0, description = "Memory for them and their relations." },
    when_full = { default = "refuse", one_of = { "refuse", "drop_oldest" }, description = "refuse (OverloadedError) or drop_oldest." },
  },
}
