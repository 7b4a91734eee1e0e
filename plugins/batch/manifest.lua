-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "batch",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Writes of many tasks gathered into few transactions, each with its own result.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    max_batch_size = { default = 50, min = 1, max = 10000, description = "A batch with so many writes is sent." },
    max_wait_ms = { default = 100, min = 0, max = 3600000, description = "A batch is sent at the latest so long after its first write." },
    queue_max = { default = 10000, min = 1, max = 10000000, description = "Writes that may wait for their answer at once." },
    when_full = {
      default = "wait", one_of = { "refuse", "wait" },
      description = "What a write does when so many wait: wait (for room, in turn) or refuse (OverloadedError).",
    },
    in_flight_max = { default = 32, min = 1, max = 1000, description = "Batches that are sent and not answered; two that touch the same entity never are." },
    resend_ms = {
      default = 5000, min = 0, max = 3600000,
      description = "So long a batch whose outcome a lost connection left unknown is sent again, under the same request key.",
    },
  },
}
