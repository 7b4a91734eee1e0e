-- 100,000 records, and the same of which some were edited, some added and some moved, parsed and compared.
package.path = "./scripts/bench/?.lua;" .. package.path
require "harness.job"({ ... }, require "harness.json_diff".job("records", "json_diff_records",
  "100,000 records, 1 % edited, 1 % new, 1 % moved, parsed and compared"))
