-- exposition.lua: metrics as Prometheus reads them: the text format, version 0.0.4.

local exposition = { CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8" }

--- A number as the format writes it.
---@param value number
---@return string
function exposition.number(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value then return "NaN" end
  if value == math.huge then return "+Inf" end
  if value == -math.huge then return "-Inf" end
  local short = ("%.15g"):format(value)
  return tonumber(short) == value and short or ("%.17g"):format(value)
end

local number = exposition.number

local function line(out, name, labels, value)
  out[#out + 1] = labels == "" and ("%s %s\n"):format(name, number(value)) or ("%s{%s} %s\n"):format(name, labels, number(value))
end

local function histogram(out, name, series)
  local so_far = 0
  local prefix = series.labels == "" and "" or series.labels .. ","
  for i, bound in ipairs(series.bounds) do
    so_far = so_far + series.counts[i]
    line(out, name .. "_bucket", ('%sle="%s"'):format(prefix, number(bound)), so_far)
  end
  line(out, name .. "_bucket", prefix .. 'le="+Inf"', series.count)
  line(out, name .. "_sum", series.labels, series.sum)
  line(out, name .. "_count", series.labels, series.count)
end

--- What `registry.all()` gives, as text.
---@param all table[]
---@return string
function exposition.text(all)
  local out = {}
  for _, entry in ipairs(all) do
    local family = entry.family
    if #entry.series > 0 then
      if family.help then
        out[#out + 1] = ("# HELP %s %s\n"):format(family.name, family.help:gsub("\\", "\\\\"):gsub("\n", "\\n"))
      end
      out[#out + 1] = ("# TYPE %s %s\n"):format(family.name, family.kind)
      for _, series in ipairs(entry.series) do
        if family.kind == "histogram" then histogram(out, family.name, series) else line(out, family.name, series.labels, series.value) end
      end
    end
  end
  return table.concat(out)
end

return exposition
