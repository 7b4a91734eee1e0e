-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "temporal_store",
  version = "0.2.0",
  api = ">=1.0 <2",
  description = "Versioned states: deltas and snapshots, branches, merges, history, blame, pruning.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    branch = { default = "main", description = "The branch that commits move." },
    part_bytes = { default = 4194304, min = 1024, max = 16777216, description = "A snapshot is stored in parts of this many bytes." },
    commit_bytes = { default = 16777216, min = 0, max = 16777216, description = "A snapshot of more bytes is stored part by part before its commit." },
    staged_seconds = {
      default = 3600, min = 0, max = 1 << 31,
      description = "Parts of a commit that was not ended in this time are removed by the next pruning.",
    },
    snapshot_every = { default = 50, min = 1, max = 10000, description = "At most so many deltas lie between a version and its snapshot." },
    cache_bytes = { default = 67108864, min = 0, max = 1 << 40, description = "Memory for the states used last; cache_size_mb bounds it too." },
  },
}
