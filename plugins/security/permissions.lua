-- permissions.lua: rules of the table `permission` as methods. Who decides is the module, in the reducer (core/module/permission.c); `can` says beforehand
-- what it will say, from the same rows. The table is private: reading it is the owner's, as grant and revoke are.

local iu = require "inner_universe"

local OWNERS = { -- whatever the rules are
  grant = true, revoke = true, update_config = true, prune_events = true, prune_history = true, prune_versions = true, record_migration = true,
}
local RULES_OPTIONS = { principal = "string", action = "string", subject = "string" }

-- An identity in lower case, without 0x; anything else as it is.
local function normal(principal)
  local hex = principal:match("^0[xX](%x+)$") or principal
  return #hex == 64 and hex:match("^%x+$") and hex:lower() or principal
end

local function is_identity(text)
  return #text == 64 and text:match("^%x+$") ~= nil
end

local function covers(pattern, subject)
  if pattern:sub(-1) == "*" then return subject:sub(1, #pattern - 1) == pattern:sub(1, -2) end
  return pattern == subject
end

return function(ctx, methods)
  local check = ctx.check
  local CLOSED = "security is closed"

  local function invalid(format, ...)
    return nil, iu.errors.new("ValidationError", format:format(...))
  end

  local function rows(conn, filters)
    if not conn:is_owner() then
      return nil, iu.errors.new("AuthorizationError", "the rules are the owner's to read: the table permission is private")
    end
    return conn:select("permission", { filters = filters, order_by = "key" })
  end

  local function of_principal(conn, principal)
    return rows(conn, { { field = "principal", operator = "Equals", value = principal } })
  end

  --- Adds a rule. principal: an identity (64 hex digits) or "role:name"; action: a reducer's name or a word of one's own; subject: exact, `prefix*` or `*`.
  --- The owner's. With its first rule an action is denied to all others but the owner.
  ---@param principal string
  ---@param action string
  ---@param subject? string [*]
  ---@return true? ok
  ---@return inner_universe.Error? err AuthorizationError, ValidationError
  function methods:grant(principal, action, subject)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(principal, "string", 1, "grant", "principal")
    check.type(action, "string", 2, "grant", "action")
    check.optional(subject, "string", 3, "grant", "subject")
    return ctx.conn:call("grant", principal, action, subject or "*")
  end

  --- Takes away exactly that rule; one that is not there is fine. With its last rule an action is everybody's again.
  ---@param principal string
  ---@param action string
  ---@param subject? string [*]
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:revoke(principal, action, subject)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(principal, "string", 1, "revoke", "principal")
    check.type(action, "string", 2, "revoke", "action")
    check.optional(subject, "string", 3, "revoke", "subject")
    return ctx.conn:call("revoke", principal, action, subject or "*")
  end

  ---@param identity string
  ---@param role string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:add_to_role(identity, role)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(identity, "string", 1, "add_to_role", "identity")
    check.type(role, "string", 2, "add_to_role", "role")
    return ctx.conn:call("grant", identity, "role", role)
  end

  ---@param identity string
  ---@param role string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:remove_from_role(identity, role)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(identity, "string", 1, "remove_from_role", "identity")
    check.type(role, "string", 2, "remove_from_role", "role")
    return ctx.conn:call("revoke", identity, "role", role)
  end

  local function roles_of(conn, identity)
    local found, err = of_principal(conn, identity)
    if not found then return nil, err end
    local names = {}
    for _, row in ipairs(found) do
      if row.action == "role" then names[#names + 1] = row.subject end
    end
    return names, found
  end

  --- The roles of an identity, sorted.
  ---@param identity string
  ---@return string[]? roles
  ---@return inner_universe.Error? err
  function methods:roles(identity)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(identity, "string", 1, "roles", "identity")
    local names, err = roles_of(ctx.conn, normal(identity))
    if not names then return nil, err end
    return iu.array(names)
  end

  --- The identities that have a role, sorted.
  ---@param role string
  ---@return string[]? identities
  ---@return inner_universe.Error? err
  function methods:members(role)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(role, "string", 1, "members", "role")
    local found, err = rows(ctx.conn, { { field = "action", operator = "Equals", value = "role" }, { field = "subject", operator = "Equals", value = role } })
    if not found then return nil, err end
    local out = iu.array {}
    for _, row in ipairs(found) do
      if row.principal ~= "" then out[#out + 1] = row.principal end
    end
    return out
  end

  --- The rules, sorted: { principal, action, subject }. options: principal, action, subject: only those with exactly these.
  ---@param options? { principal?: string, action?: string, subject?: string }
  ---@return { principal: string, action: string, subject: string }[]? rules
  ---@return inner_universe.Error? err
  function methods:rules(options)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.optional(options, "table", 1, "rules", "options")
    local ok, err = check.options("rules", options, RULES_OPTIONS)
    if not ok then return nil, err end
    local filters = {}
    for name, value in pairs(options or {}) do
      filters[#filters + 1] = { field = name, operator = "Equals", value = name == "principal" and normal(value) or value }
    end
    local found
    found, err = rows(ctx.conn, filters)
    if not found then return nil, err end
    local out = iu.array {}
    for _, row in ipairs(found) do
      if row.principal ~= "" then out[#out + 1] = { principal = row.principal, action = row.action, subject = row.subject } end -- else: how many an action has
    end
    return out
  end

  local function any_covers(list, action, subject)
    for _, row in ipairs(list) do
      if row.action == action and covers(row.subject, subject) then return true end
    end
    return false
  end

  --- What the module would say to this identity. true or false; nil, err when the rules cannot be read.
  ---@param identity string
  ---@param action string
  ---@param subject? string [*: anything]
  ---@return boolean? may
  ---@return inner_universe.Error? err AuthorizationError: not the owner's connection
  function methods:can(identity, action, subject)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.type(identity, "string", 1, "can", "identity")
    check.type(action, "string", 2, "can", "action")
    check.optional(subject, "string", 3, "can", "subject")
    local conn, who = ctx.conn, normal(identity)
    if not is_identity(who) then return invalid("can: identity: expected 64 hex digits, got %q", identity) end
    subject = subject or "*"
    local owner, err = conn:get("config", "owner")
    if err then return nil, err end
    local marker
    marker, err = rows(conn, { { field = "key", operator = "Equals", value = "action:" .. action } })
    if not marker then return nil, err end
    if owner and normal(owner.value) == who then return true end
    if OWNERS[action] then return false end
    if #marker == 0 then return true end
    local roles, own = roles_of(conn, who)
    if not roles then return nil, own end
    if any_covers(own, action, subject) then return true end
    for _, role in ipairs(roles) do
      local theirs
      theirs, err = of_principal(conn, "role:" .. role)
      if not theirs then return nil, err end
      if any_covers(theirs, action, subject) then return true end
    end
    return false
  end
end
