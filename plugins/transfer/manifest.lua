-- manifest.lua: plain data, read before anything of the plugin runs (lua/README.md, "A plugin").
return {
  name = "transfer",
  version = "0.1.0",
  api = ">=1.0 <2",
  description = "Copies of a universe between files, memory and servers, exports and imports as JSON lines, and proof that both sides are equal.",
  requires = { persistence_manager = ">=0.1 <1" },
  config = {
    checkpoint_rows = { default = 20000, min = 1, max = 1 << 40, description = "A copy or import notes how far it is every so many rows." },
    named_keys = { default = 10, min = 1, max = 100000, description = "So many keys of a table's differences are named; all are counted." },
    line_bytes = { default = 68157440, min = 1024, max = 1 << 30, description = "A longer line of an import is refused." },
  },
}
