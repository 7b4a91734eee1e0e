-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "security",
  version = "0.1.0",
  api = ">=1.0 <2",
  essential = true,
  description = "Who may do what, sealed and redacted fields, schemas of properties.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    sealed = { default = {}, description = "Paths whose values are stored encrypted: { entity = { \"properties.email\" }, relation = {...}, "
      .. "events = { PAYMENT = { \"card\" } } }." },
    keys = { default = {}, description = "Where keys are, the newest first: { { env = \"NAME\" }, { file = \"path\" } }; a source has 64 hex digits a line." },
    accept_plain = { default = false, description = "Values at sealed paths that were stored before they were sealed are read as they are; "
      .. "otherwise they are a StorageError." },
    redacted = { default = {}, description = "Paths that logs and audit events show as [redacted], beside the sealed ones: { entity = {...}, "
      .. "relation = {...} }." },
    redact_values_max = {
      default = 1024, min = 0,
      description = "Values at those paths, the latest that were written or read, that are looked for in log messages.",
    },
    schemas = { default = {}, description = "What properties of entities must be like, by entity type: a subset of JSON Schema." },
    relation_schemas = { default = {}, description = "The same by relation type." },
    rotate_batch = { default = 100, min = 1, description = "Rows that rotate() re-seals in one transaction." },
  },
}
