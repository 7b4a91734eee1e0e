---@meta
-- luacheck: ignore 212 241
-- What reducers of a module in Lua get. For editors only, never loaded.

---@class inner_universe.ReducerContext
---@field sender string hex of who calls
---@field connection_id? string hex; nil in `init` and in scheduled reducers
---@field timestamp integer microseconds, one per transaction
---@field db table<string, inner_universe.ReducerTable>
---@field log table error, warn, info, debug, trace: (format, ...)
local ReducerContext = {}

---As math.random, seeded per transaction.
---@param m? integer
---@param n? integer
---@return number
function ReducerContext.random(m, n) end

---UUIDv7 of the transaction's time and random numbers.
---@return string
function ReducerContext.uuid() end

---Another reducer in the same transaction; raises what it was refused with.
---@param reducer string
---@return true
function ReducerContext:call(reducer, ...) end

---@class inner_universe.ReducerTable
local ReducerTable = {}

---The row as it is stored: a new table where a number was drawn, a default taken or a value rounded, else the one given.
---@param row table
---@return table stored
function ReducerTable:insert(row) end

---@param key any
---@return table? row
function ReducerTable:get(key) end

---A row or nil on a unique index, else an array.
---@param index string
---@param key any several columns: an array
---@return table? found
function ReducerTable:find(index, key) end

---@param index string
---@param low? any
---@param high? any
---@param descending? boolean
---@return fun(): table?
function ReducerTable:range(index, low, high, descending) end

---@return fun(): table?
function ReducerTable:iter() end

---@return integer
function ReducerTable:count() end

---The whole row, by primary key.
---@param row table
---@return true
function ReducerTable:update(row) end

---Some columns of the row with that primary key; iu.null makes an option none.
---@param key any
---@param changes table
---@return true
function ReducerTable:patch(key, changes) end

---@param key any
---@return boolean was_there
function ReducerTable:delete(key) end

---@param filter table|fun(row: table): boolean
---@return integer deleted
function ReducerTable:delete_where(filter) end
