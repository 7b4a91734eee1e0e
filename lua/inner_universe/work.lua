-- Work on another thread, for a connection: what `core.report` and `core.backup` give, stepped by tasks. At most RUNNING_MAX steps are on their way at once,
-- for libuv's pool has four threads, and names are looked up there too; the next ones wait in order.
--
-- A job is { core, inner, waiter }. It ends with its connection (`end_all`): whoever waits for a step hears that, and the file is free again.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")

local work = {}
local tasks = runtime.tasks

local RUNNING_MAX = 2
local GRACE = 0.25 -- seconds past its time limit in which a step should have noticed itself

local running, queue = 0, {}

-- Slots. A task that is cancelled while it waits leaves its waiter behind, unawaited, and it is passed over. ---------------------------------

local function release()
  running = running - 1
  while queue[1] do
    local waiter = table.remove(queue, 1)
    if waiter:is_awaited() then
      running = running + 1
      waiter.owned = true
      waiter:resolve(true)
      return
    end
  end
end

local SLOT = { __close = function(slot) if slot.waiter == nil or slot.waiter.owned then release() end end }

local function take_slot(timeout, what)
  if running < RUNNING_MAX then
    running = running + 1
    return setmetatable({}, SLOT)
  end
  local waiter = tasks.waiter()
  queue[#queue + 1] = waiter
  local slot <close> = setmetatable({ waiter = waiter }, SLOT) -- cancelled meanwhile: given on
  local ok, err = tasks.wait(waiter, timeout, 2, what)
  if not ok then return nil, err end
  slot.waiter = { owned = false }
  return setmetatable({}, SLOT)
end

-- jobs ---------------------------------------------------------------------------------------------------------------

---@param inner table of the connection
---@param core_work table taken
function work.new(inner, core_work)
  local job = { core = core_work, inner = inner }
  inner.jobs[job] = true
  return job
end

---Cancels what runs; idempotent.
---@param job table
---@param wait? boolean until it is over
function work.close(job, wait)
  if not job.core then return end
  job.core:close(wait)
  job.core = nil
  job.inner.jobs[job] = nil
end

---The connection ends: every job with it, and who waits for one hears `err`.
function work.end_all(inner, err)
  for job in pairs(inner.jobs) do
    work.close(job, true)
    if job.waiter then job.waiter:resolve(err) end
  end
end

---One step: nil and its results, or an err. The job is closed after an err.
---@param job table
---@param seconds? number how long it may take
---@param what string for messages
function work.step(job, seconds, what)
  local slot <close>, late = take_slot(seconds, what)
  if not slot then
    work.close(job)
    return late
  end
  if not job.core then return errors.new("ConnectionError", what .. ": the connection is closed", { code = "CLOSED", retryable = false }) end
  local waiter = tasks.waiter()
  job.waiter = waiter
  local ok, err = job.core:step(function(...) waiter:resolve(...) end, seconds)
  if not ok then
    work.close(job)
    return err
  end
  local results = table.pack(tasks.wait(waiter, seconds and seconds + GRACE, 2, what))
  job.waiter = nil
  if not waiter:is_resolved() then results = table.pack(results[2]) end
  if results[1] ~= nil then work.close(job) end
  return table.unpack(results, 1, results.n)
end

return work
