-- Canonical form and SHA-256 of a real JSON document of 19 MB that has been read: ours as a document, Python's as its values.
package.path = "./scripts/bench/?.lua;" .. package.path
local documents = require "harness.documents"
local iu = require "inner_universe"
local json_work = require "harness.json_work"
local world = require "harness.world"

local path = json_work.path("real", "json_hash")
local text = documents.read(path)

local function ours()
  local document = assert(iu.json.document(text))
  local hash
  local seconds = world.seconds(function() hash = iu.json.hash(document) end)
  return seconds, tonumber(hash:sub(1, 12), 16)
end

require "harness.job"({ ... }, { name = "json_hash", what = "canonical text and SHA-256 of a JSON document of 19 MB",
  aim = 5, count = #text // 1000000,
  unit = "MB a second", ours = ours, peers = { python = "hash " .. path },
  extra = function(details) return details.python and (details.python[2] == details.ours[2] and "the hashes are equal" or "THE HASHES DIFFER") end })
