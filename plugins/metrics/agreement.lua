-- agreement.lua: how far the states of other systems agree with ours. Each says which version it has (an id, or a hash of its state); here it is looked for
-- among the versions of the branch, from the head back: how many versions the other one is behind is how many lie after it.
--
-- What was found is kept with the head it was found from: when the head moves, only the versions that came since are looked at.

local iu = require "inner_universe"

local CHUNK = 16 -- versions read at a time
local HASH = "^" .. ("%x"):rep(64) .. "$"

---@param ctx table
---@param temporal table
return function(ctx, temporal)
  local agreement = {}
  local reports, count = {}, 0 -- by system and branch

  local function is_it(version, value)
    return version.version_id == value or version.data_hash == value or version.tree_hash == value
  end

  -- A head that a draft committed has no data_hash in its row; it is worth computing for the head alone.
  local function head_is_it(head, value)
    if head.data_hash or not value:find(HASH) then return false end
    return temporal:data_hash(head.version_id) == value
  end

  -- Where the value lies behind the head, in versions; nil: nowhere within lag_max. `known`: a version whose place is known, and how far that is.
  local function search(branch, value, known, known_lag)
    local seen, before = 0, nil
    while seen < ctx.config.lag_max do
      local list, err = temporal:history { branch = branch, limit = math.min(CHUNK, ctx.config.lag_max - seen), before = before }
      if not list then return nil, err end
      for _, version in ipairs(list) do
        if is_it(version, value) or (seen == 0 and head_is_it(version, value)) then return seen end
        if known_lag and version.version_id == known then return seen + known_lag end
        seen = seen + 1
        before = version.version_id
      end
      if #list < CHUNK then return nil end
    end
    return nil
  end

  local function head_of(branch)
    local version, err = temporal:history { branch = branch, limit = 1 }
    if not version then return nil, err end
    return version[1] and version[1].version_id or ""
  end

  -- Brings a report up to our head. true, or nil, err.
  local function refresh(report)
    local head, err = head_of(report.branch)
    if not head then return nil, err end
    if head == report.head then return true end
    local lag
    lag, err = search(report.branch, report.value, report.head, report.lag)
    if err then return nil, err end
    report.head, report.lag = head, lag
    return true
  end

  local function answer(report)
    return { agrees = report.lag == 0, lag = report.lag, head = report.head ~= "" and report.head or nil }
  end

  --- A system says what it has.
  ---@return { agrees: boolean, lag: integer?, head: string? }?, inner_universe.Error?
  function agreement.report(system, branch, value)
    local key = ("%d:%s%s"):format(#system, system, branch)
    local report = reports[key]
    if not report then
      if count >= ctx.config.max_systems then
        return nil, iu.errors.new("OverloadedError", ("report_state: more than %d systems and branches (max_systems)"):format(ctx.config.max_systems))
      end
      report = { system = system, branch = branch }
    end
    if value ~= report.value then report = { system = system, branch = branch, value = value } end
    local ok, err = refresh(report)
    if not ok then return nil, err end
    report.at = ctx.clock()
    if not reports[key] then count = count + 1 end
    reports[key] = report
    return answer(report)
  end

  --- It is compared no longer; all branches without one.
  ---@return integer forgotten
  function agreement.forget(system, branch)
    local gone = 0
    for key, report in pairs(reports) do
      if report.system == system and (branch == nil or report.branch == branch) then
        reports[key] = nil
        count, gone = count - 1, gone + 1
      end
    end
    return gone
  end

  --- Each report, up to date: `fn(report, age in seconds)`. The first err, when there was one.
  function agreement.each(fn)
    local failed
    local now = ctx.clock()
    local list = {}
    for _, report in pairs(reports) do list[#list + 1] = report end
    for _, report in ipairs(list) do
      local ok, err = refresh(report)
      if ok then fn(report, now - report.at) else failed = failed or err end
    end
    return failed
  end

  return agreement
end
