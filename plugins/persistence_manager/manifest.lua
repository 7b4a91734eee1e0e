-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "persistence_manager",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Entities, relations, versions and events: NERV's persistence manager and client.",
  requires = { controller = ">=0.1 <1" },
  config = {},
}
