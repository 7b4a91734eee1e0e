-- Two versions of a real document parsed and compared.
package.path = "./scripts/bench/?.lua;" .. package.path
require "harness.job"({ ... }, require "harness.json_diff".job("real", "json_diff", "two versions of a JSON document of 19 MB parsed and compared"))
