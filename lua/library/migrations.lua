---@meta
-- luacheck: ignore 212 241
-- Annotations for migrations (plugins/migrations/README.md); never loaded.

---@class inner_universe.MigrationEvent
---@field version string
---@field name string
---@field direction "up"|"down"
---@field step integer
---@field label? string
---@field done integer
---@field total? integer

---@class inner_universe.MigrationOptions
---@field to? string|integer the number of a migration; down: 0 is all
---@field dry_run? boolean executed and undone
---@field allow_out_of_order? boolean up
---@field create? boolean up: a file that is not there is made first
---@field progress? fun(event: inner_universe.MigrationEvent)
---@field stop? fun(): boolean asked at every checkpoint
---@field lock_timeout? number seconds

---@class inner_universe.MigrationReport
---@field done { version: string, name: string, direction: "up"|"down", steps: integer, rows: integer, duration_ms: number, resumed?: boolean }[]
---@field dry_run boolean

---@class inner_universe.Migrations
local migrations = {}

---@param name string
---@param options? { description?: string, online?: boolean }
---@return string? path
---@return inner_universe.Error? err
function migrations:new(name, options) end

---@return table? status
---@return inner_universe.Error? err
function migrations:status() end

---@param options? { to?: string|integer, direction?: "up"|"down", allow_out_of_order?: boolean }
---@return { migrations: table[] }? plan
---@return inner_universe.Error? err
function migrations:plan(options) end

---@param options? inner_universe.MigrationOptions
---@return inner_universe.MigrationReport? report
---@return inner_universe.Error? err
function migrations:up(options) end

---@param options? inner_universe.MigrationOptions
---@return inner_universe.MigrationReport? report
---@return inner_universe.Error? err
function migrations:down(options) end

---@param options? inner_universe.MigrationOptions
---@return inner_universe.MigrationReport? report
---@return inner_universe.Error? err
function migrations:redo(options) end

---@param options? { to?: string|integer, dry_run?: boolean, lock_timeout?: number }
---@return { recorded: table[], dry_run: boolean }? report
---@return inner_universe.Error? err
function migrations:baseline(options) end

---@return { files: integer, applied: integer, pending: integer }? report
---@return inner_universe.Error? err
function migrations:verify() end

-- What a migration's functions get. Everything that writes raises its err.

---@class inner_universe.Migration
---@field backend "file"|"memory"|"server"
---@field online boolean
---@field dry_run boolean
---@field direction "up"|"down"
---@field version string
---@field name string
---@field log inner_universe.Logger
local m = {}

-- The schema of a closed file: as the methods of a working copy (inner_universe.WorkingCopy).

---@param name string
---@param declaration table as in iu.module's tables
---@param options? { types?: table }
function m:add_table(name, declaration, options) end

---@param name string
function m:drop_table(name) end

---@param old string
---@param new string
function m:rename_table(old, new) end

---@param table_name string
---@param name string
---@param type string|table
---@param options? { default?: any, value?: fun(row: table): any, auto_inc?: boolean, after?: string, first?: boolean, types?: table }
function m:add_column(table_name, name, type, options) end

---@param table_name string
---@param column string
function m:drop_column(table_name, column) end

---@param table_name string
---@param old string
---@param new string
function m:rename_column(table_name, old, new) end

---@param table_name string
---@param column string
---@param type string|table
---@param fn? fun(value: any): any
---@param options? { types?: table }
function m:retype_column(table_name, column, type, fn, options) end

---@param table_name string
---@param columns string[] all of them
function m:reorder_columns(table_name, columns) end

---@param table_name string
---@param changes table
function m:alter_table(table_name, changes) end

---@param table_name string
---@param declaration table
---@param fn fun(row: table): table|false
---@param options? { types?: table }
function m:rewrite_table(table_name, declaration, fn, options) end

---@param table_name string
---@param options { into: table<string, table|true>, rows: fun(row: table): table, keep?: boolean, types?: table }
function m:split_table(table_name, options) end

---@param into string
---@param declaration table|true
---@param sources table<string, fun(row: table): table|false>
---@param options? { types?: table, keep?: boolean }
function m:merge_tables(into, declaration, sources, options) end

---@param entity_type string
---@param metadata? inner_universe.EntityMetadata
---@param id? string
---@return string id
function m:create_entity(entity_type, metadata, id) end

---@param entity_type string
---@param fn fun(entity: inner_universe.Entity): inner_universe.EntityMetadata|inner_universe.Entity|false|nil
---@param options? { size?: integer }
function m:update_entities(entity_type, fn, options) end

---@param relation_type string
---@param fn fun(relation: inner_universe.Relation): inner_universe.RelationMetadata|inner_universe.Relation|false|nil
---@param options? { size?: integer }
function m:update_relations(relation_type, fn, options) end

---@param name string
---@return fun(): table?
function m:rows(name) end

---@param name string
---@return integer
function m:count(name) end

---@param name string
---@param options? { size?: integer }
---@param fn fun(rows: table[]): table[]?
function m:batches(name, options, fn) end

---@param name string
---@param fn fun(row: table): table|false|nil
---@param options? { size?: integer }
function m:update_rows(name, fn, options) end

---@param fn fun(state: any, version: inner_universe.Version): any
---@param options? { branch?: string }
function m:states(fn, options) end

---@param key string
---@param value string
---@param description? string
function m:set_config(key, value, description) end

---@param path string a file of wasm
---@param options? { break_clients?: boolean }
function m:publish(path, options) end

---@param done integer
---@param total? integer
function m:progress(done, total) end
