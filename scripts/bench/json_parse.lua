-- A real JSON document of 19 MB read into Lua tables.
package.path = "./scripts/bench/?.lua;" .. package.path
require "harness.job"({ ... }, require "harness.json_work".job("parse", "real", "JSON text of 19 MB (real data) to Lua values"))
