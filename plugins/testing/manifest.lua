-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "testing",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "For test suites: mock managers, fixtures, failures on demand, a clock and ids that come again.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    calls_max = { default = 100000, min = 1, description = "Calls that one mock remembers; one more raises." },
  },
}
