-- `conn.tables.<name>`: what the connection's subscriptions hold of a table, and handlers of its changes. A table that nobody watches
-- reports nothing. Made on first use, once per connection and name.

local next_page = require("inner_universe.core").next_page
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")
local handlers = require("inner_universe.handlers")
local suggest = require("inner_universe.suggest")

local tables = {}

local BITS = { insert = 1, update = 2, delete = 4 }

---@class inner_universe.Table
---@field name string
local Table = { __name = "inner_universe.Table" }
Table.__index = Table

local function closed()
  error("connection is closed", 3)
end

-- The reads are functions of the core, made for each table (core/bind/table.c): fields of the object, so that a call is one of them.
---@class inner_universe.Table
---The row with that primary key, or nil.
---@field get fun(self: inner_universe.Table, key: any): table?
---By an index (its name, or its column's): the row (unique index) or an array of rows.
---@field find fun(self: inner_universe.Table, index: string, key: any): table?
---Rows with low <= key <= high in the order of the index, for `for row in ...`; nil is open.
---@field range fun(self: inner_universe.Table, index: string, low?: any, high?: any, descending?: boolean): fun(): table?
---All rows, for `for row in ...`; the table may change meanwhile.
---@field iter fun(self: inner_universe.Table): fun(): table?

local PAGE_ROWS, PAGE_BYTES = 1000, 1 << 20

---All rows as they are now, as bytes (BSATN), page by page in the order of the primary key: a function that gives an array of rows, nil at the end. What is
---committed later is not seen: rows of several tables that begin at one moment are of that moment.
---@param options? { rows?: integer, bytes?: integer, index?: string, low?: any } of a page at most [1000, 1 MiB]; from `low` of an index on
---@return (fun(): string[]?)? next, inner_universe.Error? err
function Table:pages(options)
  if not self.conn.core then closed() end
  check.optional(options, "table", 1, "pages", "options")
  options = options or {}
  local ok, err = check.options("pages", options, { rows = "integer", bytes = "integer", index = "string", low = "any" })
  if not ok then return nil, err end
  local rows, bytes = options.rows or PAGE_ROWS, options.bytes or PAGE_BYTES
  if rows < 1 then return nil, errors.new("ValidationError", ("pages: rows: 1 or more expected, got %d"):format(rows)) end
  local step, iterator
  if options.index then step, iterator = self:range(options.index, options.low) else step, iterator = self:iter() end
  if not step then return nil, iterator end
  return function() return next_page(iterator, rows, bytes) end
end

---@return integer
function Table:count()
  local core = self.conn.core
  if not core then closed() end
  return core:table_count(self.name)
end

local function list_of(self, kind)
  local lists = self.conn.state.lists
  local by_kind = lists[self.name]
  if not by_kind then
    by_kind = {}
    lists[self.name] = by_kind
  end
  local list = by_kind[kind]
  if not list then
    local conn, name = self.conn, self.name
    list = handlers.new(conn.call_handler, function()
      local mask = 0
      for each, present in pairs(by_kind) do
        if present:count() > 0 then mask = mask | BITS[each] end
      end
      local core = conn.core
      if core and not core:is_closed() then core:watch(name, mask) end -- closed already where its finaliser came before who cancels
    end)
    by_kind[kind] = list
  end
  return list
end

---`fn(row, event)` for each row that appears. event: { reducer, args, caller, timestamp, own } or { subscribed = true }.
---@param fn fun(row: table, event: table)
---@return inner_universe.Handle
function Table:on_insert(fn)
  if not self.conn.core then closed() end
  check.type(fn, "callable", 1, "on_insert", "fn")
  return list_of(self, "insert"):add(fn)
end

---`fn(new_row, old_row, event)` for each row that changes (same primary key).
---@param fn fun(new_row: table, old_row: table, event: table)
---@return inner_universe.Handle
function Table:on_update(fn)
  if not self.conn.core then closed() end
  check.type(fn, "callable", 1, "on_update", "fn")
  return list_of(self, "update"):add(fn)
end

---`fn(row, event)` for each row that goes.
---@param fn fun(row: table, event: table)
---@return inner_universe.Handle
function Table:on_delete(fn)
  if not self.conn.core then closed() end
  check.type(fn, "callable", 1, "on_delete", "fn")
  return list_of(self, "delete"):add(fn)
end

function Table:__tostring()
  return ("table %s of %s"):format(self.name, tostring(self.conn.target))
end

---The proxy behind `conn.tables`. `inner`: { core, state, call_handler, target } of the connection.
---@param inner table
---@return table
function tables.new(inner)
  local made = {}
  local function schema()
    if not inner.core then error("connection is closed", 3) end
    inner.table_names = inner.table_names or inner.core:schema().tables
    return inner.table_names
  end
  return setmetatable({}, {
    __index = function(_, name)
      local found = made[name]
      if not found then
        local known = schema()
        if not known[name] then -- or the schema is another one by now
          inner.table_names = nil
          known = schema()
        end
        if not known[name] then
          error(("no table '%s'%s"):format(tostring(name), suggest.hint(tostring(name), known)), 2)
        end
        local get, find, range, iter = inner.core:table_reads(name)
        if not get then error(find, 2) end
        found = setmetatable({ conn = inner, name = name, get = get, find = find, range = range, iter = iter }, Table)
        made[name] = found
      end
      return found
    end,
    __newindex = function()
      error("conn.tables is read-only", 2)
    end,
    __pairs = function(self)
      local names = {}
      for name in pairs(schema()) do
        names[#names + 1] = name
      end
      table.sort(names)
      local i = 0
      return function()
        i = i + 1
        if names[i] then return names[i], self[names[i]] end
      end
    end,
  })
end

return tables
