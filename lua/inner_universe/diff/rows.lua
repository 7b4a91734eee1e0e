-- Operations as the column `operations` of delta_record has them: variants of DeltaOperation, their values as JSON text.

local core = require("inner_universe.runtime").core
local errors = require("inner_universe.errors")

local rows = {}

local TAGS = { set = "Set", delete = "Delete", insert = "Insert", remove = "Remove", patch = "Patch" }

---@param list inner_universe.Operation[] as operations.read gives it
---@return table[]?, inner_universe.Error?
function rows.encode(list)
  local out = {}
  for i, op in ipairs(list) do
    local value = { path = op.path, index = op.index }
    for _, field in ipairs { "value", "patch" } do
      if op[field] ~= nil then
        local text, err = core.json_encode(op[field])
        if not text then return nil, err end
        value[field] = text
      end
    end
    out[i] = { tag = TAGS[op.op], value = value }
  end
  return out
end

---@param variants table[]
---@return inner_universe.Operation[]?, inner_universe.Error?
function rows.decode(variants)
  local out = core.array()
  for i, variant in ipairs(variants) do
    local op = { op = variant.tag:lower(), path = variant.value.path, index = variant.value.index }
    for _, field in ipairs { "value", "patch" } do
      local text = variant.value[field]
      if text then
        local value, err = core.json_decode(text)
        if value == nil then
          return nil, errors.new("StorageError", ("operations[%d].%s: the stored JSON text is damaged: %s"):format(i, field, err.message), { cause = err })
        end
        op[field] = value
      end
    end
    out[i] = op
  end
  return out
end

return rows
