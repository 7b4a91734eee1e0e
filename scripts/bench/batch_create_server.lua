-- The same on a SpacetimeDB server: 500 tasks that create entities through the batch plugin, beside the same tasks with one call each, all of them in flight
-- at once. By name only: without a server, or without the module (`make module`), it is left out.
package.path = "./scripts/bench/?.lua;" .. package.path
local batching = require "harness.batching"

if not batching.server_program() then
  print("  left out: no server is installed (make spacetimedb does it), or no module is built (make module)")
  os.exit(0)
end
require "harness.job"({ ... }, { name = "batch_create_server", what = "creates of 500 tasks through the batch plugin, on a SpacetimeDB server", aim = 1,
  count = 20000,
  ours = function(folder, count) return batching.server(folder, count, true) end,
  variants = { single = function(folder, count) return batching.server(folder, count, false) end } })
