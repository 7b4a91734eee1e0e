-- iu.diff: structural differences between JSON values as lists of five operations: set, delete, insert, remove, patch. Finding them, and applying them to
-- documents, is the core's (core/document); this is the rest. plugins/temporal_store/README.md has the form of an operation for other languages.

local core = require("inner_universe.runtime").core
local algebra = require("inner_universe.diff.algebra")
local apply = require("inner_universe.diff.apply")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")
local format = require("inner_universe.diff.format")
local json_patch = require("inner_universe.diff.json_patch")
local operations = require("inner_universe.diff.operations")
local path = require("inner_universe.diff.path")
local rows = require("inner_universe.diff.rows")
local value = require("inner_universe.diff.value")

local diff = {}

local WIDTH = 60 -- bytes of a value in `format`
local WIDTH_MIN = 8

-- Lua values are what this module works on; a document is read out first, and so is a table that stands for something else (a draft).
local plain = value.plain

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function check_arrays(arrays)
  if arrays == nil or arrays == "auto" or arrays == "by_index" then return true end
  if type(arrays) ~= "table" then
    return invalid('compare: arrays: "auto", "by_index" or a table of path = key expected, got %s', tostring(arrays))
  end
  for at, key in pairs(arrays) do
    if type(at) ~= "string" or type(key) ~= "string" then
      return invalid("compare: arrays: a table of path = key expected, got [%s] = %s", tostring(at), tostring(key))
    end
  end
  return true
end

---The operations that make `new` of `old`: apply(old, compare(old, new)) is exactly `new`. `arrays`: "auto" matches elements that are objects by their `id`,
---`key` or `name` and others by longest common subsequence; "by_index" compares what stands at the same place; a table names the key for arrays at
---a path (`*` is any segment), others are "auto". `in_parts`: an array or object at the root is changed, never replaced by another one as a whole.
---@param old any a value or a document
---@param new any
---@param options? { arrays?: "auto"|"by_index"|table<string, string>, in_parts?: boolean }
---@return inner_universe.Operation[]?, inner_universe.Error?
function diff.compare(old, new, options)
  check.optional(options, "table", 3, "compare", "options")
  local ok, err = check.options("compare", options, { arrays = "any", in_parts = "boolean" })
  if ok then ok, err = check_arrays(options and options.arrays) end
  if not ok then return nil, err end
  return core.diff_compare(old, new, options)
end

---What lies at a path of the state; nil and a ValidationError where there is nothing.
---@param state any
---@param at string
---@return any, inner_universe.Error?
function diff.get(state, at)
  check.type(at, "string", 2, "get", "path")
  local segments, err = diff.segments(at)
  if not segments then return nil, err end
  local found, why = apply.get(plain(state), segments, #segments, apply.copying())
  if found == nil then return invalid('get: path "%s": %s', at, why or "there is nothing") end
  return found
end

---A copy of the state with the operations done, which shares with it what did not change. Of a document, a document.
---@param state any
---@param ops inner_universe.Operation[]
---@return any, inner_universe.Error?
function diff.apply(state, ops)
  ops = plain(ops)
  check.type(ops, "table", 2, "apply", "ops")
  if core.is_document(state) then return core.diff_apply_document(state, ops) end
  local list, err = operations.read(ops)
  if not list then return nil, err end
  return apply.range(plain(state), list, 1, #list, apply.copying())
end

---Does the operations in the state itself: its tables stay the ones they are. All of them or, after a failure, none. Answers the state, which is
---another value only where an operation replaces the root.
---@param state any
---@param ops inner_universe.Operation[]
---@return any, inner_universe.Error?
function diff.apply_in_place(state, ops)
  ops = plain(ops)
  check.type(ops, "table", 2, "apply_in_place", "ops")
  if core.is_document(state) then
    return invalid("apply_in_place: a document does not change; apply answers a new one")
  end
  if not rawequal(plain(state), state) then
    return invalid("apply_in_place: the state stands for another value (a draft is changed by assigning to it); apply answers a new one")
  end
  local list, err = operations.read(ops)
  if not list then return nil, err end
  local writer = apply.in_place()
  local root
  root, err = apply.range(state, list, 1, #list, writer)
  if root == nil then
    writer.undo()
    return nil, err
  end
  return root
end

---The operations that lead back from `apply(old, ops)` to `old`.
---@param ops inner_universe.Operation[]
---@param old any
---@return inner_universe.Operation[]?, inner_universe.Error?
function diff.invert(ops, old)
  ops = plain(ops)
  check.type(ops, "table", 1, "invert", "ops")
  local list, err = operations.read(ops)
  if not list then return nil, err end
  return algebra.invert(list, plain(old))
end

---One list for two that are done one after the other.
---@param first inner_universe.Operation[]
---@param second inner_universe.Operation[]
---@return inner_universe.Operation[]?, inner_universe.Error?
function diff.compose(first, second)
  first = plain(first)
  check.type(first, "table", 1, "compose", "first")
  second = plain(second)
  check.type(second, "table", 2, "compose", "second")
  local a, err = operations.read(first)
  if not a then return nil, err end
  local b
  b, err = operations.read(second)
  if not b then return nil, err end
  return algebra.compose(a, b)
end

---The operations on `old` as a JSON Patch (RFC 6902).
---@param ops inner_universe.Operation[]
---@param old any
---@return table[]?, inner_universe.Error?
function diff.to_json_patch(ops, old)
  ops = plain(ops)
  check.type(ops, "table", 1, "to_json_patch", "ops")
  local list, err = operations.read(ops)
  if not list then return nil, err end
  return json_patch.to(list, value.unpacked(old))
end

---A JSON Patch (RFC 6902) on `old` as operations. What it `test`s is tested: a ConflictError where it does not hold.
---@param patch table[]
---@param old any
---@return inner_universe.Operation[]?, inner_universe.Error?
function diff.from_json_patch(patch, old)
  patch = plain(patch)
  check.type(patch, "table", 1, "from_json_patch", "patch")
  local ok, err = core.json_encode(patch)
  if not ok then return nil, err end
  return json_patch.from(value.unpacked(patch), value.unpacked(old))
end

---The operations on `old` as a merge patch (RFC 7386). It has no words for a member that becomes null: a ValidationError.
---@param ops inner_universe.Operation[]
---@param old any
---@return any, inner_universe.Error?
function diff.to_merge_patch(ops, old)
  ops = plain(ops)
  check.type(ops, "table", 1, "to_merge_patch", "ops")
  old = value.unpacked(old)
  local new, err = diff.apply(old, ops)
  if new == nil then return nil, err end
  return json_patch.to_merge(old, value.unpacked(new))
end

---A merge patch (RFC 7386) on `old` as operations.
---@param patch any
---@param old any
---@return inner_universe.Operation[]?, inner_universe.Error?
function diff.from_merge_patch(patch, old)
  patch = plain(patch)
  local ok, err = core.json_encode(patch)
  if not ok then return nil, err end
  return json_patch.from_merge(value.unpacked(patch), value.unpacked(old))
end

---The operations as text for people, a line each. `old`: the state they are for, so that the lines say what was there; `colours`: for a terminal; `width`:
---bytes of a value (60).
---@param ops inner_universe.Operation[]
---@param options? { old?: any, colours?: boolean, width?: integer }
---@return string?, inner_universe.Error?
function diff.format(ops, options)
  ops = plain(ops)
  check.type(ops, "table", 1, "format", "ops")
  check.optional(options, "table", 2, "format", "options")
  local ok, err = check.options("format", options, { old = "any", colours = "boolean", width = "integer" })
  if not ok then return nil, err end
  local list
  list, err = operations.read(ops)
  if not list then return nil, err end
  options = options or {}
  local width = math.max(options.width or WIDTH, WIDTH_MIN)
  local old = nil
  if options.old ~= nil then old = plain(options.old) end
  return format.lines(list, { old = old, colours = options.colours, width = width })
end

---Exactly the same: 1 and 1.0 differ, `[]` and `{}` differ, the order of members does not count.
---@param a any a value or a document
---@param b any
---@return boolean
function diff.equal(a, b)
  if core.is_document(a) and core.is_document(b) then return a == b end
  return value.equal(plain(a), plain(b))
end

---A path and one segment more: a key, or an index from 0.
---@param at string
---@param key string|integer
---@return string
function diff.join(at, key)
  check.type(at, "string", 1, "join", "path")
  if math.type(key) ~= "integer" then check.type(key, "string", 2, "join", "key") end
  return path.join(at, key)
end

---The segments of a path; what is no path is a ValidationError.
---@param text string
---@return string[]?, inner_universe.Error?
function diff.segments(text)
  check.type(text, "string", 1, "segments", "path")
  local segments, why = path.parse(text)
  if segments then return segments end
  return invalid('path "%s" %s', text, why)
end

---A segment of a path as an index from 0 (digits without leading zeros); nil when it is none.
---@param segment string
---@return integer?
function diff.index(segment)
  check.type(segment, "string", 1, "index", "segment")
  return path.index(segment)
end

---Operations as a row of `delta_record` holds them: variants of DeltaOperation, values as JSON text.
---@param ops inner_universe.Operation[]
---@return table[]?, inner_universe.Error?
function diff.to_rows(ops)
  ops = plain(ops)
  check.type(ops, "table", 1, "to_rows", "ops")
  local list, err = operations.read(ops)
  if not list then return nil, err end
  return rows.encode(list)
end

---And back. A JSON text that is damaged is a StorageError.
---@param variants table[]
---@return inner_universe.Operation[]?, inner_universe.Error?
function diff.from_rows(variants)
  check.type(variants, "table", 1, "from_rows", "variants")
  return rows.decode(variants)
end

return diff
