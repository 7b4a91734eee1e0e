-- permissions.lua: rules of the table `permission` as methods. Who decides is the module, in the reducer (core/module/permission.c); `can` asks that very
-- check, by a reducer that makes it and writes nothing. The table is private: reading it is the owner's, as grant and revoke are.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"

local RULES_OPTIONS = { principal = "string", action = "string", subject = "string" }

-- An identity in lower case, without 0x; anything else as it is.
local function normal(principal)
  local hex = principal:match("^0[xX](%x+)$") or principal
  return #hex == 64 and hex:match("^%x+$") and hex:lower() or principal
end

local function is_identity(text)
  return #text == 64 and text:match("^%x+$") ~= nil
end

local QUESTION = "check_permission" -- the reducer; a server's module may be of a version before it

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

  --- Adds a rule. principal: an identity (64 hex digits) or "role:name"; action: a reducer's name or a word of one's own; subject: exact, `prefix*` or `*`.
  --- The owner's. With its first rule an action is denied to all others but the owner.
  ---@param principal string
  ---@param action string
  ---@param subject? string [*]
  ---@return true? ok
  ---@return inner_universe.Error? err AuthorizationError, ValidationError
  function methods:grant(principal, action, subject)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.grant, "grant", principal, action, subject)
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
    check.arguments(ARGUMENTS.revoke, "revoke", principal, action, subject)
    return ctx.conn:call("revoke", principal, action, subject or "*")
  end

  ---@param identity string
  ---@param role string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:add_to_role(identity, role)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.add_to_role, "add_to_role", identity, role)
    return ctx.conn:call("grant", identity, "role", role)
  end

  ---@param identity string
  ---@param role string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:remove_from_role(identity, role)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.remove_from_role, "remove_from_role", identity, role)
    return ctx.conn:call("revoke", identity, "role", role)
  end

  --- The roles of an identity, sorted.
  ---@param identity string
  ---@return string[]? roles
  ---@return inner_universe.Error? err
  function methods:roles(identity)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.roles, "roles", identity)
    local found, err = rows(ctx.conn, { { field = "principal", operator = "Equals", value = normal(identity) } })
    if not found then return nil, err end
    local names = iu.array {}
    for _, row in ipairs(found) do
      if row.action == "role" then names[#names + 1] = row.subject end
    end
    return names
  end

  --- The identities that have a role, sorted.
  ---@param role string
  ---@return string[]? identities
  ---@return inner_universe.Error? err
  function methods:members(role)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.members, "members", role)
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
    check.arguments(ARGUMENTS.rules, "rules", options)
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

  local function unknowable(format, ...)
    return nil, iu.errors.new("AuthorizationError", "can: " .. format:format(...))
  end

  --- What the module would say to a write of this identity: everybody may ask about himself, the owner about all. true or false; nil, err when that cannot be
  --- known.
  ---@param identity? string nil: the one that this universe is open as
  ---@param action string
  ---@param subject? string [*: anything]
  ---@return boolean? may
  ---@return inner_universe.Error? err AuthorizationError: about another one, and not the owner's connection
  function methods:can(identity, action, subject)
    if ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.can, "can", identity, action, subject)
    local conn, who = ctx.conn, identity and normal(identity)
    if who and not is_identity(who) then return invalid("can: identity: expected 64 hex digits, got %q", identity) end
    if who and who ~= conn:identity() and not conn:is_owner() then
      return unknowable("what %s may is the owner's to ask, and that one's own: this is %s", who, conn:identity())
    end
    local may, err = conn:call(QUESTION, who, action, subject or "*")
    if may then return true end
    if err.kind == "AuthorizationError" then return false end
    if err.kind == "ValidationError" and not conn:schema().reducers[QUESTION] then
      return unknowable("the server's module has no reducer `%s`: publish the module of this version", QUESTION)
    end
    return nil, err
  end
end
