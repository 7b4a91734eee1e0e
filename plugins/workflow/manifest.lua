-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "workflow",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Durable workflows: steps that are recorded, resumed after a crash at the first one that is not.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    runs_max = { default = 64, min = 1, max = 10000, description = "Runs that this process executes at once; others wait for a place." },
    live_max = { default = 10000, min = 1, max = 10000000, description = "Runs that have not ended; above it `start` is an OverloadedError." },
    steps_max = { default = 10000, min = 1, max = 999999, description = "Calls of wf in one run." },
    bytes_max = { default = 1048576, min = 1024, max = 16777216, description = "JSON bytes of an input, a step's result, an output, a signal's payload." },
    signals_max = { default = 1000, min = 1, max = 1000000, description = "Signals of one run that wait to be taken." },
    lease = { default = 30.0, min = 0.5, max = 86400, description = "Seconds after which a run whose process says nothing more is taken over (a server)." },
    park_after = { default = 30.0, min = 0, max = 86400, description = "Seconds that a run may wait in memory; one that waits longer gives its place up." },
    keep_runs = { default = 1000, min = 0, max = 1 << 40, description = "Ended runs that are kept; 0: no limit." },
    keep_days = { default = 30, min = 0, max = 36500, description = "Days that an ended run is kept; 0: no limit." },
    events = { default = false, description = "Progress as events of the log: WORKFLOW_STARTED and so on." },
  },
}
