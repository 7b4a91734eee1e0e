-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "event_bus",
  version = "0.2.0",
  api = ">=1.0 <2",
  description = "Events of the log as messages for handlers and durable consumers, and publishing.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    rollover = {
      default = 4096, min = 1, max = 1 << 30,
      description = "After so many events the subscription starts anew behind the last one, so that it does not hold them all.",
    },
    tail_events = {
      default = 4096, min = 1, max = 1 << 24,
      description = "The last events that were read or told are kept for those who come to them: so many at most.",
    },
    tail_bytes = { default = 4194304, min = 1024, max = 1 << 32, description = "And so many bytes of them." },
    handlers_max = { default = 10000, min = 1, max = 1 << 24, description = "Handlers registered at once." },
    handler_concurrent = {
      default = 1024, min = 1, max = 1 << 20,
      description = "How many calls of one handler may be waiting at once, unless it says otherwise.",
    },
    handler_queue = { default = 1024, min = 0, max = 1 << 20, description = "Messages that wait for a handler, unless it says otherwise." },
    handler_policy = {
      default = "wait", one_of = { "wait", "drop_oldest", "error" },
      description = 'What happens when they are more: "wait" (it reads them from the log later), "drop_oldest", "error".',
    },
    drain_ms = { default = 5000, min = 0, max = 3600000, description = "How long stopping waits for handlers and consumers to finish; 0: not at all." },
    requests_max = { default = 1024, min = 1, max = 1 << 20, description = "Requests that wait for their replies at once." },
    request_timeout_ms = { default = 30000, min = 1, max = 86400000, description = "How long a request waits, unless it says otherwise." },
    consumers_max = { default = 256, min = 1, max = 1 << 20, description = "Durable consumers running here at once." },
    batch = { default = 100, min = 1, max = 1000, description = "Events that a consumer claims at once, unless it says otherwise; at most 1000." },
    ack_timeout_ms = {
      default = 30000, min = 1, max = 86400000,
      description = "How long a consumer's handler may take for one event, unless it says otherwise.",
    },
    max_attempts = {
      default = 5, min = 1, max = 1000000,
      description = "After so many attempts an event becomes a dead letter, unless its consumer says otherwise.",
    },
    waiting_max = { default = 1000, min = 1, max = 1 << 20, description = "When so many events of a consumer wait for another attempt, nothing new is begun." },
    retry_delay_ms = { default = 1000, min = 0, max = 86400000, description = "Before the second attempt, then twice as long each time." },
    retry_delay_max_ms = { default = 60000, min = 0, max = 86400000, description = "And at most so long." },
    retention_audit_events = {
      default = 200000, min = 0, max = 1 << 40,
      description = "Events of the audit types go when they are not among the last so many of the log; 0: never.",
    },
    retention_audit_types = {
      default = {
        "ENTITY_CREATED", "ENTITY_UPDATED", "ENTITY_DELETED", "RELATION_CREATED", "RELATION_UPDATED", "RELATION_DELETED", "STATE_VERSION_COMMITTED",
        "DELTA_RECORDED", "CLIENT_CONNECTED", "CLIENT_DISCONNECTED",
      },
      description = "The audit types.",
    },
    retention_days = { default = 0, min = 0, max = 36500, description = "Events of all types that are older go; 0: no limit, as of the next two." },
    retention_events = { default = 0, min = 0, max = 1 << 40, description = "The oldest events go while there are more." },
    retention_bytes = { default = 0, min = 0, max = 1 << 50, description = "And while their rows take more bytes." },
    dead_letter = { default = "DEAD_LETTER", description = "The type of dead letters, unless the consumer says otherwise." },
  },
}
