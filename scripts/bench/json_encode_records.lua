-- The Lua tables of an array of 100,000 records written as JSON text.
package.path = "./scripts/bench/?.lua;" .. package.path
require "harness.job"({ ... }, require "harness.json_work".job("encode", "records", "Lua values to JSON text, an array of 100,000 records"))
