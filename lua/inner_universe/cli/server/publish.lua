-- publish.lua: `iu server publish DATABASE [FILE]`: a module becomes a database, or the next version of one's own.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local publish = {
  summary = "publish a module: a new database, or the next version of one's own",
  usage = "DATABASE [FILE] [--clear | --break-clients] [--plan]",
  details = [[
FILE is a WebAssembly module; without it, that of the configuration (INNER_UNIVERSE_MODULE_PATH), else NERV's: build/inner_universe.wasm of the source tree, or
what was installed. The first publish of a name makes its owner, whose token is kept; nobody else may publish there again.

  iu server publish my-world
  iu server publish ws://10.0.0.7:3000/my-world game.wasm --plan]],
  options = where.options({
    clear = { help = "start afresh: everything in the database is lost" },
    ["break-clients"] = { help = "also what makes running clients fail (2.x)" },
    plan = { help = "only tell what would become of the data (2.x)" },
    json = { help = "one object" },
  }),
  min = 1,
  max = 2,
}

local function readable(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function module_of(argument, cfg, context)
  local path = argument or cfg.module_path
  if path then return path end
  path = context.tree and context.tree .. "/build/inner_universe.wasm" or context.main:gsub("cli/main%.lua$", "module/inner_universe.wasm")
  return readable(path) and path or nil
end

local function print_plan(plan, options)
  if options.json then
    out.line("%s", assert(iu.json.encode(plan)))
  elseif plan.automatic then
    out.line("%s", (plan.plan or ""):gsub("%s+$", ""))
    out.line("clients: %s", plan.break_clients and "running ones fail (--break-clients allows it)" or "running ones go on")
  else
    out.line("this cannot be migrated: %s", plan.reason or "the server gives no reason")
  end
  return plan.automatic and 0 or 1
end

-- What --break-clients needs: the token that goes with the plan.
local function policy(http, database, wasm)
  local plan, err = http:plan(database, wasm)
  if not plan then
    if err.code == "NO_DATABASE" then return {} end -- the first publish breaks nobody
    return nil, err
  end
  if not plan.automatic or not plan.break_clients then return {} end -- the server says what is wrong, or nothing is
  return { policy = "BreakClients", migration_token = plan.migration_token }
end

local function print_done(http, database, done, options)
  if options.json then
    out.line("%s", assert(iu.json.encode({ op = done.op, database_identity = done.database_identity, url = http.url, database = database })))
    return
  end
  out.line("%s %s on %s", done.op, database, http.url)
  out.line("identity %s", done.database_identity)
  local path = http:token_path(database)
  if path then out.line("the owner's token is in %s", path) end
end

function publish.run(options, arguments, context)
  if options.clear and (options["break-clients"] or options.plan) then
    out.error("--clear goes with neither --break-clients nor --plan")
    return 2
  end
  local http, database, cfg = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  local path = module_of(arguments[2], cfg, context)
  if not path then return out.fail("no module: name a FILE, or run `make module` first") end
  local wasm = { path = path }
  if options.plan then
    local plan, err = http:plan(database, wasm)
    if not plan then return out.fail("%s", out.message(err)) end
    return print_plan(plan, options)
  end
  local how, err = { clear = options.clear }, nil
  if options["break-clients"] then how, err = policy(http, database, wasm) end
  if not how then return out.fail("%s", out.message(err)) end
  how.timeout = options.timeout
  local done
  done, err = http:publish(database, wasm, how)
  if not done then return out.fail("%s", out.message(err)) end
  print_done(http, database, done, options)
  return 0
end

return publish
