-- Operations as a person reads them: a line each, `+` what comes, `-` what goes, `~` what changes. With the old state the lines say what was there, and an
-- array or object that gave way to another one, too long to be read beside it, has a line for each thing that differs inside.

local core = require("inner_universe.runtime").core
local apply = require("inner_universe.diff.apply")
local operations = require("inner_universe.diff.operations")
local path = require("inner_universe.diff.path")
local value = require("inner_universe.diff.value")

local format = {}

local COLOURS = { ["+"] = "\27[32m", ["-"] = "\27[31m", ["~"] = "\27[33m" }
local AROUND = 12 -- bytes of a text shown on each side of an edit

local function name_of(text) return text == "" and "(root)" or text end

local function printable(text)
  return (text:gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local lines = {}

-- The lines of operations on `old`, which lies at the path `base`.
local function tell(say, list, old, width, base)
  return apply.watched(old, list, function(op, what)
    local at = base == "" and op.path or op.path == "" and base or base .. "." .. op.path
    local shown = { path = at, index = op.index, value = op.value, patch = op.patch }
    if op.op == "set" then shown.had = what ~= nil end
    lines[op.op](say, shown, what, width)
  end)
end

local function fits(v, width)
  local text = core.json_encode(v)
  return text ~= nil and #text <= width
end

-- What differs inside of a container that was set in place of another one; false where one line says it.
local function inside(say, op, old, width)
  local kind = value.kind(old)
  if not kind or kind ~= value.kind(op.value) or fits(old, width) and fits(op.value, width) then return false end
  local list = operations.read(core.diff_compare(old, op.value, { in_parts = true }) or {})
  if not list or #list == 0 then return false end
  for _, each in ipairs(list) do
    if each.op == "set" and each.path == "" then return false end
  end
  return tell(say, list, old, width, op.path) ~= nil
end

function lines.set(say, op, old, width)
  if inside(say, op, old, width) then return end
  local new = value.text(op.value, width)
  if old == nil then return say(op.had == false and "+" or "~", ("%s: %s"):format(name_of(op.path), new)) end
  say("~", ("%s: %s -> %s"):format(name_of(op.path), value.text(old, width), new))
end

function lines.delete(say, op, old, width)
  say("-", old == nil and name_of(op.path) or ("%s: %s"):format(name_of(op.path), value.text(old, width)))
end

function lines.insert(say, op, index, width)
  local at = index or op.index
  say("+", ("%s[%s]: %s"):format(op.path, at and tostring(at) or "end", value.text(op.value, width)))
end

function lines.remove(say, op, old, width)
  local place = ("%s[%d]"):format(op.path, op.index)
  say("-", old == nil and place or ("%s: %s"):format(place, value.text(old, width)))
end

-- Where a text changes, with a little of what is around it.
local function edit_line(old, edit)
  local at, count, by = edit[1], edit[2], edit[3]
  local from = at - AROUND
  while from > 0 and (old:byte(from + 1) or 0) & 0xC0 == 0x80 do from = from - 1 end
  local upto = at + count + AROUND
  while upto < #old and (old:byte(upto + 1) or 0) & 0xC0 == 0x80 do upto = upto + 1 end
  from = math.max(from, 0)
  return ("%s%s[-%s-]{+%s+}%s%s"):format(from > 0 and "..." or "", old:sub(from + 1, at), old:sub(at + 1, at + count), by,
    old:sub(at + count + 1, upto), upto < #old and "..." or "")
end

local function merge_lines(say, at, old, patch, width)
  local keys = {}
  for key in pairs(patch) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local v, where, before = patch[key], path.join(at, key), nil
    if value.kind(old) == "object" then before = old[key] end
    if v == core.null then
      lines.delete(say, { path = where }, before, width)
    elseif value.kind(v) == "object" and value.kind(before) == "object" then
      merge_lines(say, where, before, v, width)
    else
      local op = { path = where, value = v }
      if old ~= nil then op.had = before ~= nil end
      lines.set(say, op, before, width)
    end
  end
end

function lines.patch(say, op, old, width)
  if value.kind(op.patch) == "object" then return merge_lines(say, op.path, old, op.patch, width) end
  for _, edit in ipairs(op.patch) do
    local text = type(old) == "string" and edit_line(old, edit) or ("byte %d: -%d +%s"):format(edit[1], edit[2], value.text(edit[3], width))
    say("~", ("%s: %s"):format(name_of(op.path), text))
  end
end

---@param list table[] as operations.read gives it
---@param options { old?: any, colours?: boolean, width?: integer }
---@return string?, inner_universe.Error?
function format.lines(list, options)
  local out, width = {}, options.width
  local function say(sign, text)
    local line = sign .. " " .. printable(text)
    out[#out + 1] = options.colours and COLOURS[sign] .. line .. "\27[0m" or line
  end
  if options.old == nil then
    for _, op in ipairs(list) do lines[op.op](say, op, nil, width) end
  else
    local root, err = tell(say, list, options.old, width, "")
    if root == nil then return nil, err end
  end
  out[#out + 1] = #out > 0 and "" or nil
  return table.concat(out, "\n")
end

return format
