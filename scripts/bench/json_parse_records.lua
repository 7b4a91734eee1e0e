-- A generated JSON document, an array of 100,000 records, read into Lua tables.
package.path = "./scripts/bench/?.lua;" .. package.path
require "harness.job"({ ... }, require "harness.json_work".job("parse", "records", "JSON text, an array of 100,000 records, to Lua values"))
