-- Errors: what `nil, err` carries. An err is a table with `kind`, `code`, `message`, `retryable`, and where they say more `cause` (another
-- err, or whatever was raised) and `details` (a table). `tostring(err)` reads well in `assert`. Errors that come from the core get
-- this metatable too. Immutable by agreement: nothing here changes an err once it is made.

local suggest = require("inner_universe.suggest")

---@alias inner_universe.Kind
---| "PersistenceError"
---| "ConnectionError"
---| "TimeoutError"
---| "EntityNotFoundError"
---| "RelationNotFoundError"
---| "VersionNotFoundError"
---| "AuthorizationError"
---| "ValidationError"
---| "ConflictError"
---| "StorageError"
---| "OverloadedError"
---| "UniverseLockedError"
---| "MigrationError"
---| "PluginError"

---@class inner_universe.Error
---@field kind inner_universe.Kind
---@field code string a stable short name: "VALIDATION", "CLOSED", "CANCELLED", ...
---@field message string
---@field retryable boolean true when the same call may succeed when tried again
---@field offset? integer byte the failure points at, where there is a text
---@field cause? any
---@field details? table

---@class inner_universe.errors
local errors = {}

local KINDS = {
  PersistenceError = { code = "PERSISTENCE", retryable = false },
  ConnectionError = { code = "CONNECTION", retryable = true },
  TimeoutError = { code = "TIMEOUT", retryable = true },
  EntityNotFoundError = { code = "ENTITY_NOT_FOUND", retryable = false },
  RelationNotFoundError = { code = "RELATION_NOT_FOUND", retryable = false },
  VersionNotFoundError = { code = "VERSION_NOT_FOUND", retryable = false },
  AuthorizationError = { code = "AUTHORIZATION", retryable = false },
  ValidationError = { code = "VALIDATION", retryable = false },
  ConflictError = { code = "CONFLICT", retryable = true },
  StorageError = { code = "STORAGE", retryable = false },
  OverloadedError = { code = "OVERLOADED", retryable = true },
  UniverseLockedError = { code = "UNIVERSE_LOCKED", retryable = true },
  MigrationError = { code = "MIGRATION", retryable = false },
  PluginError = { code = "PLUGIN", retryable = false },
}

local CAUSES_SHOWN = 8 -- a chain of causes longer than this (or circular) is cut in tostring

local metatable = { __name = "inner_universe.Error" }
errors.metatable = metatable

function metatable.__tostring(err)
  local parts, link = {}, err
  for _ = 1, CAUSES_SHOWN do
    if getmetatable(link) ~= metatable then
      local shown, text = pcall(tostring, link)
      parts[#parts + 1] = shown and text or "(cannot be shown)"
      break
    end
    parts[#parts + 1] = ("%s: %s"):format(link.kind, link.message)
    link = link.cause
    if link == nil then break end
  end
  return table.concat(parts, "; caused by ")
end

local function known(kind, level)
  local facts = KINDS[kind]
  if not facts then
    error(("unknown error kind %s%s"):format(tostring(kind), suggest.hint(tostring(kind), KINDS)), level + 1)
  end
  return facts
end

---Names of all kinds, sorted.
---@return string[]
function errors.kinds()
  local names = {}
  for kind in pairs(KINDS) do
    names[#names + 1] = kind
  end
  table.sort(names)
  return names
end

---Makes an err. `fields` may set code, retryable, cause, details.
---@param kind inner_universe.Kind
---@param message string
---@param fields? { code?: string, retryable?: boolean, cause?: any, details?: table }
---@return inner_universe.Error
function errors.new(kind, message, fields)
  local facts = known(kind, 2)
  fields = fields or {}
  local retryable = fields.retryable
  if retryable == nil then retryable = facts.retryable end
  return setmetatable({
    kind = kind,
    code = fields.code or facts.code,
    message = tostring(message),
    retryable = retryable,
    cause = fields.cause,
    details = fields.details,
  }, metatable)
end

---An err whose cause is something that was raised or returned.
---@param kind inner_universe.Kind
---@param message string
---@param cause any
---@return inner_universe.Error
function errors.wrap(kind, message, cause)
  known(kind, 2)
  return (errors.new(kind, message, { cause = cause }))
end

---An err, whatever was raised: an err stays itself, anything else becomes a PersistenceError with it as the cause.
---@param value any
---@return inner_universe.Error
function errors.from(value)
  if getmetatable(value) == metatable then return value end
  local shown, text = pcall(tostring, value) -- a __tostring of the user's may raise
  if not shown then text = ("an error object of type %s that cannot be shown"):format(type(value)) end
  return (errors.new("PersistenceError", text, { code = "RAISED", cause = value }))
end

---What a reducer said, "CODE: message", as an err; a text without a known CODE is a PersistenceError.
---@param text string
---@return inner_universe.Error
function errors.from_reducer(text)
  local code, message = text:match("^([A-Z_]+): (.*)$")
  for kind, facts in pairs(KINDS) do
    if facts.code == code then return (errors.new(kind, message)) end
  end
  return (errors.new("PersistenceError", text))
end

---True when value is an err of that kind; "PersistenceError" (or no kind) is true for every err.
---@param value any
---@param kind? inner_universe.Kind
---@return boolean
function errors.is(value, kind)
  if kind ~= nil then known(kind, 2) end
  if getmetatable(value) ~= metatable then return false end
  return kind == nil or kind == "PersistenceError" or value.kind == kind
end

return errors
