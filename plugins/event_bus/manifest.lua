-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "event_bus",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Events of the log as messages for handlers, and publishing.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    rollover = { default = 4096, description = "After so many events the subscription starts anew behind the last one, so that it does not hold them all." },
  },
}
