-- lock.lua: one run at a time: a lease in plugin_record, whose revision is a fencing number.
--
-- Whoever holds it proves so in each of its transactions: `operation()` is a PutRecord that expects the lease's revision, and renews it. A run whose lease
-- was taken over writes nothing more. A universe that is embedded is open in one process only: the lease of another process is that of a dead one.

local iu = require "inner_universe"

local KEY = "migrations.lock"
local POLL = 0.2 -- seconds between two looks at a lease that somebody holds
local PROCESS = iu.uuid() -- this process, or at least this universe of it

---@param env { conn: fun(): table, embedded: boolean, config: table, clock: fun(): number, owner: string }
return function(env)
  local lock = { revision = nil }
  local token = iu.uuid()

  local function value()
    return assert(iu.json.encode { owner = env.owner, process = PROCESS, token = token })
  end

  local function until_time()
    return iu.now() + math.floor(env.config.lease * 1e6)
  end

  -- The lease as it is: { owner, process, token, expires_at, revision }, nil when nobody has it.
  local function present()
    local row, err = env.conn():get("plugin_record", KEY)
    if err then return nil, err end
    if not row then return nil end
    local held = iu.json.decode(row.value)
    held = type(held) == "table" and held or {}
    local out = { owner = held.owner or "somebody", token = held.token, expires_at = row.expires_at, revision = row.revision }
    out.free = row.expires_at <= iu.now() or (env.embedded and held.process ~= PROCESS)
    return out
  end

  ---Who holds it: { owner, expires_at }; nil when nobody does.
  ---@return table?, inner_universe.Error?
  function lock.holder()
    local held, err = present()
    if not held or held.free then return nil, err end
    return { owner = held.owner, expires_at = held.expires_at }
  end

  local function locked(held)
    local left = math.max(0, (held.expires_at - iu.now()) / 1e6)
    return nil, iu.errors.new("MigrationError",
      ("migrations are being run by %s; its lock ends in %.0f s unless it is renewed"):format(held.owner, left),
      { code = "LOCKED", retryable = true, details = { owner = held.owner, expires_at = held.expires_at } })
  end

  ---Takes it, waiting up to `timeout` seconds for whoever has it.
  ---@param timeout number
  ---@param stop? fun(): boolean true: it is wanted no more
  ---@return true?, inner_universe.Error?
  function lock.take(timeout, stop)
    local ends = env.clock() + timeout
    while true do
      local held, err = present()
      if err then return nil, err end
      if not held or held.free then
        local expected = held and held.revision or 0
        local ok
        ok, err = env.conn():call("put_record", KEY, value(), expected, until_time())
        if ok then
          lock.revision = expected + 1
          return true
        end
        if err.kind ~= "ConflictError" then return nil, err end -- somebody was quicker
      elseif env.clock() >= ends or (stop and stop()) then
        return locked(held)
      end
      iu.sleep(POLL)
    end
  end

  ---The operation that proves and renews it, for a transaction. `took()` after that transaction was applied.
  function lock.operation()
    return "PutRecord", { key = KEY, value = value(), expected_revision = lock.revision, expires_at = until_time() }
  end

  function lock.took() lock.revision = lock.revision + 1 end

  ---What a transaction that was refused with a ConflictError means: nil, or that the lease is somebody else's.
  ---@return inner_universe.Error?
  function lock.lost()
    local held, err = present()
    if err or (held and held.token == token) then return nil end
    return iu.errors.new("MigrationError", ("the lock was lost to %s: this run was not heard of for %g seconds"):format(
      held and held.owner or "nobody", env.config.lease), { code = "LOCK_LOST" })
  end

  ---Gives it back: it expires, so that its number goes on counting.
  function lock.release()
    if not lock.revision then return end
    local revision = lock.revision
    lock.revision = nil
    env.conn():call("put_record", KEY, value(), revision, 1)
  end

  return lock
end
