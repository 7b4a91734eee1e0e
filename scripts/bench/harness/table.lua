-- Prints build/bench.json as the Markdown table of the README: scripts/iu run scripts/bench/harness/table.lua
local iu = require "inner_universe"

local function thousands(n)
  local text = ("%.0f"):format(n)
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local file = assert(io.open("build/bench.json"), "no build/bench.json: make bench writes it")
local results = assert(iu.json.decode(file:read("a")))
file:close()

local load = 0
for _, row in ipairs(results.rows) do load = math.max(load, row.load or 0) end
print(("\nMeasured %s, medians; load average up to %.1f"):format(results.measured_at, load))
print("| Work | Inner Universe | Peers | Ratio | Aim |")
print("|---|---|---|---|---|")
for _, row in ipairs(results.rows) do
  local peers, ratios = {}, {}
  for name, speed in pairs(row.speeds) do
    if name ~= "ours" then
      peers[#peers + 1] = row.per_run and ("%s %.2f s"):format(name, row.seconds[name]) or ("%s %s"):format(name, thousands(speed))
      ratios[#ratios + 1] = ("%.2f"):format(row.ratios[name])
    end
  end
  for name in pairs(row.missing or {}) do peers[#peers + 1] = name .. " left out" end
  local mine = row.per_run and ("%.2f s"):format(row.seconds.ours) or thousands(row.ours)
  local aim = row.aim_rate and thousands(row.aim_rate) or ("%gx"):format(row.aim)
  mine = mine .. (row.extra and "; " .. row.extra or "")
  print(("| %s | %s | %s | %s | %s, %s |"):format(row.what, mine, table.concat(peers, ", "), table.concat(ratios, ", "), aim,
    row.reached and "reached" or "missed"))
end
