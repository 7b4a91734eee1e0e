-- The Lua tables of a real JSON document of 19 MB written as JSON text.
package.path = "./scripts/bench/?.lua;" .. package.path
require "harness.job"({ ... }, require "harness.json_work".job("encode", "real", "Lua values to JSON text of 19 MB (real data)"))
