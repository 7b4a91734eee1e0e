-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "temporal_store",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Versioned states: commit, read back, deltas beside versions.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    branch = { default = "main", description = "The branch that commits move." },
    part_bytes = { default = 4194304, description = "A state's text is stored in parts of this many bytes." },
  },
}
