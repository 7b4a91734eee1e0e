-- Rows of 100 bytes inserted by one call of a reducer in C (harness/bulk.c), beside Tarantool's Lua.
package.path = "./scripts/bench/?.lua;" .. package.path

require "harness.job"({ ... }, { name = "insert_bulk_c", what = "bulk insert of 100-byte rows in one reducer, in C", aim_rate = 2500000, count = 200000,
  program = "bulk", peers = { tarantool = "insert_bulk" } })
