-- 500 tasks that create entities through the batch plugin, each answered when its batch is on disk; beside it the same tasks with one call each, and SQLite's
-- transactions of 100 by one caller.
package.path = "./scripts/bench/?.lua;" .. package.path
local batching = require "harness.batching"

require "harness.job"({ ... }, { name = "batch_create", what = "creates of 500 tasks through the batch plugin, each on disk before it ends", aim = 1,
  count = 50000,
  ours = function(folder, count) return batching.file(folder, count, true) end,
  variants = { single = function(folder, count) return batching.file(folder, count, false) end },
  peers = { sqlite = "create_batch" } })
