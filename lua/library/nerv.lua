---@meta
-- luacheck: ignore 212 241
-- Annotations for what the manager takes and gives; never loaded.

---@class inner_universe.EntityMetadata
---@field name? string
---@field description? string
---@field tags? string[]
---@field properties? table<string, any> any JSON value

---@class inner_universe.RelationMetadata
---@field description? string
---@field strength? number default 1.0
---@field bidirectional? boolean default false
---@field tags? string[]
---@field properties? table<string, any>

---@class inner_universe.Entity
---@field id string
---@field entity_type string
---@field created_at integer microseconds since 1970-01-01 UTC
---@field updated_at integer
---@field metadata inner_universe.EntityMetadata

---@class inner_universe.Relation
---@field id string
---@field from_entity string
---@field to_entity string
---@field relation_type string
---@field created_at integer
---@field metadata inner_universe.RelationMetadata

---@alias inner_universe.Operator "Equals"|"NotEquals"|"GreaterThan"|"LessThan"|"GreaterOrEqual"|"LessOrEqual"|"Contains"|"StartsWith"|"EndsWith"|"In"|"NotIn"

---@class inner_universe.Filter
---@field field string a column, a metadata field, or a path such as properties.address.city
---@field operator inner_universe.Operator
---@field value any iu.null for null

---@class inner_universe.QuerySpec
---@field filters? inner_universe.Filter[] all must hold
---@field tags? string[] all must be there
---@field order_by? string
---@field descending? boolean
---@field limit? integer
---@field offset? integer
---@field explain? boolean

---@class inner_universe.Operation
---@field op "set"|"delete"|"insert"|"remove"|"patch" `type` is accepted too, as NERV spells it
---@field path string dotted; a dot or backslash in a key is escaped with a backslash
---@field value? any
---@field index? integer from 0
---@field patch? any

---@class inner_universe.Delta
---@field delta_id string
---@field state_version_id string
---@field operations inner_universe.Operation[]
---@field timestamp integer

---@class inner_universe.Version
---@field version_id string
---@field parent_version_id? string
---@field branch string
---@field description string
---@field data_hash? string hex SHA-256 of the canonical JSON
---@field timestamp integer
---@field author? string
---@field tags string[]
---@field metadata table
---@field owner string identity in hex

---@class inner_universe.Message
---@field id string
---@field type string
---@field source? string
---@field timestamp integer
---@field data any
---@field sequence integer
---@field actor string

---@class inner_universe.Client
local client = {}

---@param fn fun(kind: "INSERTED"|"UPDATED"|"DELETED", row: inner_universe.Entity, old_row?: inner_universe.Entity)
---@param options? { initial?: boolean }
---@return inner_universe.Handle? handle
---@return inner_universe.Error? err
function client:subscribe_entity_changes(fn, options) end

---@param fn fun(kind: string, row: inner_universe.Relation, old_row?: inner_universe.Relation)
---@param options? { initial?: boolean }
---@return inner_universe.Handle? handle
---@return inner_universe.Error? err
function client:subscribe_relation_changes(fn, options) end

---@param fn fun(kind: string, row: inner_universe.Version, old_row?: inner_universe.Version)
---@param options? { initial?: boolean }
---@return inner_universe.Handle? handle
---@return inner_universe.Error? err
function client:subscribe_version_changes(fn, options) end

---@param fn fun(kind: string, row: table, old_row?: table)
---@param options? { initial?: boolean }
---@return inner_universe.Handle? handle
---@return inner_universe.Error? err
function client:subscribe_event_log_changes(fn, options) end

---@param version_id string
---@return inner_universe.Version? version
---@return inner_universe.Error? err
function client:get_state_version(version_id) end
