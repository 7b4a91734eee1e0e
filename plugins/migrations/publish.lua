-- publish.lua: the schema of a server: publishing a module over the one that runs, and what that would do, by the server's own plan (2.x), or by comparing
-- the schemas (1.x, which publishes the module under a name of its own to learn its schema, and removes it again).

local iu = require "inner_universe"

local plugin = ...
local work = plugin.load "work"
local schema_changes = plugin.load "schema_changes"

local must = work.must
local RECONNECT = 30 -- seconds that a connection may take to come back

local publish = {}

local function url_of(ctx)
  return (ctx.universe.target:gsub("^ws", "http"):match("^(.*:%d+)/"))
end

local function http_of(ctx)
  local settings = ctx.settings
  local who = settings.token and { token = settings.token } or settings.token_file ~= "none" and { token_file = settings.token_file } or {}
  who.ca_file = settings.ca_file
  return iu.server(url_of(ctx), who)
end

-- The connection as it is after a publish: a server may have closed it, and it comes back by itself.
local function settle(ctx)
  local ends = ctx.clock() + RECONNECT
  local ok, err
  repeat
    if ctx.conn:state().phase == "connected" then
      ok, err = ctx.conn:refresh_schema()
      if ok or not err.retryable then break end
    end
    iu.sleep(0.1)
  until ctx.clock() > ends
  return ok, err or iu.errors.new("TimeoutError", "the connection did not come back after the module was published")
end

---Publishes; raises what goes wrong. options: { break_clients = true: also where running clients would fail }.
---@param ctx table
---@param path string a file of wasm
---@param options { break_clients?: boolean }
function publish.run(ctx, path, options)
  if ctx.settings.backend ~= "spacetimedb" then
    error(iu.errors.new("MigrationError", "m:publish: for servers; the schema of a file changes by m:add_column and its kin, before it is opened"), 0)
  end
  must(ctx.check.options("publish", options, { break_clients = "boolean" }))
  local http = must(http_of(ctx))
  local how, database = {}, ctx.settings.database
  if options.break_clients then
    local plan, err = http:plan(database, { path = path })
    if not plan and err.kind ~= "ValidationError" then error(err, 0) end -- 1.x tells no plans, and has no policies
    if plan and plan.automatic and plan.break_clients then how = { policy = "BreakClients", migration_token = plan.migration_token } end
  end
  local done = must(http:publish(database, { path = path }, how))
  ctx.log.info("%s: %s %s", ctx.universe.target, done.op, path)
  must(settle(ctx))
  return true
end

-- The schema of a module, and what its types are made of, by publishing it where nobody looks.
local function schema_of(ctx, path)
  local http, err = iu.server(url_of(ctx), { ca_file = ctx.settings.ca_file })
  if not http then return nil, err end
  local name = "iu-plan-" .. iu.uuid()
  local done
  done, err = http:publish(name, { path = path })
  if not done then return nil, err end
  local schema, raw
  schema, err = http:describe(name)
  if schema then raw, err = http:schema(name) end
  http:delete(name)
  if not raw then return nil, err end
  return schema, schema_changes.types_of(raw)
end

---What publishing would do: { accepted, breaks_clients, text, changes = array of schema_changes.list, by = "server" | "comparison" }. What breaks clients is
---accepted by a server that is told to (options.break_clients).
---@param ctx table
---@param path string
---@param options { break_clients?: boolean }
---@return table? plan
---@return inner_universe.Error? err
function publish.plan(ctx, path, options)
  local http, err = http_of(ctx)
  if not http then return nil, err end
  local plan
  plan, err = http:plan(ctx.settings.database, { path = path })
  if not plan and err.kind ~= "ValidationError" then return nil, err end
  local fresh, types = schema_of(ctx, path)
  if not fresh and not plan then return nil, types end
  local changes = iu.array {}
  if fresh then
    local raw = http:schema(ctx.settings.database)
    changes = schema_changes.list(ctx.conn:schema(), fresh, raw and schema_changes.types_of(raw), types)
  end
  if plan then
    local breaks = plan.break_clients == true
    local text = plan.automatic and ((plan.plan or ""):gsub("%s+$", "")) or plan.reason or "the server gives no reason"
    local refused = breaks and not options.break_clients
    if refused then text = text .. "\nit breaks running clients, which { break_clients = true } allows" end
    return { by = "server", accepted = plan.automatic and not refused, breaks_clients = breaks, changes = changes, text = text }
  end
  local accepted, breaks = true, false
  for _, change in ipairs(changes) do
    accepted = accepted and change.accepted
    breaks = breaks or change.breaks ~= nil
  end
  return { by = "comparison", accepted = accepted, breaks_clients = breaks, changes = changes, text = schema_changes.text(changes) }
end

return publish
