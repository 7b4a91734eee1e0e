-- log.lua: `iu log FILE`: the versions of a branch, the youngest first.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local versions = require("inner_universe.cli.versions")

local LIMIT = 100

local log = {
  summary = "the versions of a universe",
  usage = "FILE [--branch NAME] [--path PATH] [--limit N] [--json]",
  details = [[
Along first parents, the youngest first. FILE is a universe file, which is only read, or ws://host:port/database. Versions, branches and tags are what
`iu show`, `iu diff` and `iu blame` take.

  iu log world.universe --limit 5
  iu log world.universe --path players.ada.score]],
  options = versions.options({
    branch = { value = "NAME", help = "of this branch (default: main)" },
    path = { value = "PATH", help = "only those that changed what lies at this path" },
    limit = { value = "N", integer = true, help = "at most so many (default: 100)" },
    ["no-color"] = versions.NO_COLOR,
  }),
  min = 1,
  max = 1,
}

-- By version id: the names of branches and tags that lead there.
local function names_of(store)
  local names = {}
  for _, kind in ipairs({ "branches", "tags" }) do
    local rows, err = store[kind](store)
    if not rows then return nil, err end
    for _, row in ipairs(rows) do
      local list = names[row.head_version_id] or {}
      names[row.head_version_id] = list
      list[#list + 1] = kind == "tags" and "tag " .. row.name or row.name
    end
  end
  return names
end

local function print_version(version, names, colours)
  local title = versions.coloured("id", "version " .. version.version_id, colours)
  if names then title = title .. versions.coloured("name", (" (%s)"):format(versions.shown(table.concat(names, ", "))), colours) end
  out.line("%s", title)
  if version.merge_parent_id then out.line("merge   %s %s", version.parent_version_id or "-", version.merge_parent_id) end
  if version.author then out.line("author  %s", versions.shown(version.author)) end
  if #version.tags > 0 then out.line("tags    %s", versions.shown(table.concat(version.tags, ", "))) end
  out.line("time    %s", versions.time(version.timestamp))
  if version.description ~= "" then
    out.line("")
    for line in (version.description .. "\n"):gmatch("([^\n]*)\n") do out.line("    %s", versions.shown(line)) end
  end
end

local function run(store, options)
  local branch, err = versions.branch(store, options.branch)
  if not branch then return nil, err end
  local limit = options.limit or LIMIT
  local list
  list, err = store:history({ branch = branch, path = options.path, limit = limit + 1 })
  if not list then return nil, err end
  local more = list[limit + 1] ~= nil
  list[limit + 1] = nil
  if options.json then return versions.print_compact(iu.array(list)) end
  local names
  names, err = names_of(store)
  if not names then return nil, err end
  local colours = versions.colours(options)
  for i, version in ipairs(list) do
    if i > 1 then out.line("") end
    print_version(version, names[version.version_id], colours)
  end
  if #list == 0 then out.line(options.path and "no version of branch %s changed %s" or "branch %s has no versions yet", branch, options.path) end
  if more then out.line("\n... and older ones (--limit)") end
  return 0
end

function log.run(options, arguments)
  return versions.with_store(arguments[1], function(store) return run(store, options) end)
end

return log
