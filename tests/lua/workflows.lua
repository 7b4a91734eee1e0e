-- What the specs of workflows share.

local support = require "support"

local workflows = { SOON = 20 } -- seconds, for what should take far less

local function configured(config) return { plugins = { workflow = config or true } } end

--- The plugin on a fresh universe, and its manager.
function workflows.open(config)
  local m = support.open(configured(config))
  return assert(m:plugin("workflow")), m
end

--- The same universe, closed and opened again.
function workflows.reopen(m, config)
  m = support.reopen(m, configured(config))
  return assert(m:plugin("workflow")), m
end

function workflows.define(w, name, run, more)
  local options = { run = run }
  for key, value in pairs(more or {}) do options[key] = value end
  assert(w:define(name, options))
end

--- What Lua's own assert does; busted's makes texts of errs.
function workflows.must(value, err)
  if value == nil then error(err, 0) end
  return value
end

return workflows
