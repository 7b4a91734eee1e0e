-- log_sink.lua: what changed since the last time, to the log: one line, `name{labels}=value`, at level info.

local iu = require "inner_universe"

local MOST = 100 -- series in a line; the others are counted

---@param ctx table
---@param registry table
---@param collect fun()
---@param number fun(value: number): string
return function(ctx, registry, collect, number)
  local before = {}

  local function changed()
    local parts, more = {}, 0
    for _, entry in ipairs(registry.all()) do
      local family = entry.family
      for _, series in ipairs(entry.series) do
        local name = series.labels == "" and family.name or ("%s{%s}"):format(family.name, series.labels)
        local value = family.kind == "histogram" and series.count or series.value
        local last = before[name]
        if last ~= value and (last == last or value == value) then -- NaN is not itself, but has not changed
          before[name] = value
          if #parts < MOST then
            local mean = family.kind == "histogram" and series.count > 0 and (" (mean %.3g)"):format(series.sum / series.count) or ""
            parts[#parts + 1] = ("%s=%s%s"):format(name, number(value), mean)
          else
            more = more + 1
          end
        end
      end
    end
    if more > 0 then parts[#parts + 1] = ("and %d more"):format(more) end
    return parts
  end

  --- One line, when there is something to tell.
  local function tell()
    if not ctx.log.enabled("info") then return end
    collect()
    local parts = changed()
    if #parts > 0 then ctx.log.info("%s", table.concat(parts, " ")) end
  end

  return ctx.spawn(function()
    while true do
      iu.sleep(ctx.config.log_interval_ms / 1000)
      tell()
    end
  end)
end
