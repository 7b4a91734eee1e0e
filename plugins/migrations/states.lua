-- states.lua: `m:states(fn, { branch })`: another state for versions that are there. The youngest go first: an old state is read from older rows, which still
-- are as they were. Where all of it is one transaction a version keeps its delta, computed anew over the new state of its base; in batches (online) each is
-- readable at every moment, so it stands on a snapshot of its own from then on.

local iu = require "inner_universe"

local plugin = ...
local work = plugin.load "work"

local must = work.must

-- In this step of the run; one that an earlier release began did not note its step.
local function done_by(version, run, step)
  local list = version.metadata and version.metadata.migrations
  for _, each in ipairs(type(list) == "table" and list or {}) do
    if type(each) == "table" and each.run == run and (each.step == nil or each.step == step) then return true end
  end
  return false
end

-- One that has neither a version nor a head is a slip of the pen.
local function check_branch(store, list, branch)
  for _, version in ipairs(list) do
    if version.branch == branch then return end
  end
  for _, each in ipairs(must(store:branches())) do
    if each.name == branch then return end
  end
  error(iu.errors.new("ValidationError", ("m:states: branch: there is no branch '%s'"):format(branch)), 0)
end

---@param exec table
---@param fn fun(state: any, version: table): any
---@param branch? string
return function(exec, fn, branch)
  local store = must(exec.manager():plugin("temporal_store"))
  local tools = store:rewriter()
  local list = must(tools.youngest_first())
  local made = {} -- documents of versions that others stand on, until it is their turn: { document, changed }
  local run, step = exec.run_id(), exec.work.counter
  if branch then check_branch(store, list, branch) end

  local known, handled = {}, setmetatable({}, { __mode = "k" }) -- ids; of a transaction that is not through: those that it has let stand
  for _, version in ipairs(list) do known[version.version_id] = true end

  -- What others commit meanwhile stands on a state that is about to be another one: it gets a snapshot of its own before.
  local function let_stand(id, tx)
    local newcomers, proofs = tools.newcomers(known, id)
    if not newcomers then error(proofs, 0) end
    for _, operation in ipairs(proofs) do tx:join(operation.tag, operation.value) end
    local mine = handled[tx] or {}
    handled[tx] = mine
    for _, version in ipairs(newcomers) do
      local new_id = version.version_id
      local base, err = tools.base_of(new_id)
      if err then error(err, 0) end
      if base and not mine[new_id] then
        local document = must(store:get_state(new_id, { document = true }))
        for _, operation in ipairs(must(tools.operations(new_id, document, {}))) do tx:join(operation.tag, operation.value) end
      end
      mine[new_id] = true
      exec.after(function() known[new_id] = true end)
    end
  end

  -- A version's new document, and whether it differs; nil where it has no state.
  local function migrated(version)
    local ready = made[version.version_id]
    if ready then return ready.document, ready.changed end
    local document, err = store:get_state(version.version_id, { document = true })
    if document == nil then
      if err.kind == "VersionNotFoundError" then return nil end -- committed without its state
      error(err, 0)
    end
    if branch and version.branch ~= branch then return document, false end
    local answer = fn(iu.json.is_document(document) and iu.json.totable(document) or document, version)
    if answer == nil then return document, false end
    local new = iu.json.is_document(answer) and answer or must(iu.json.document(must(iu.json.encode(answer))))
    return new, true
  end

  local function one(version, tx)
    local id = version.version_id
    if done_by(version, run, step) then return end
    local document, changed = migrated(version)
    made[id] = nil
    if document == nil then return end
    local options = {}
    if changed then options.note = { migration = exec.work.migration.name, direction = exec.work.direction, run = run, step = step } end
    local base = tools.base_of(id)
    if base and not exec.in_batches then
      local base_version = must(store:get_version(base))
      local base_document, base_changed = migrated(base_version)
      made[base] = { document = base_document, changed = base_changed }
      if not changed and not base_changed then return end
      options.base = base_document
    elseif not changed and not base then
      return
    end
    if exec.shared and changed then let_stand(id, tx) end
    for _, operation in ipairs(must(tools.operations(id, document, options))) do tx:join(operation.tag, operation.value) end
    exec.after(function() tools.forget(id) end)
  end

  local total = #list
  for i = 1, total do -- what a run that was cut short had done is marked, and passed over
    exec.work.check_stop()
    exec.batch(function(tx)
      one(list[i], tx)
      return { done = i, total = total }
    end)
    exec.work.rows = exec.work.rows + 1
    exec.work.tell(i, total)
  end
end
