-- find.lua: where the server's program is: as configured; else the one that `make spacetimedb` builds into the user's cache (the newest), PATH, and
-- what the official `spacetime` tool has installed (the version in use, else the newest).

local iu = require "inner_universe"

local SEARCH = [=[
first() { while IFS= read -r path; do if [ -x "$path" ]; then printf '%s\n' "$path"; exit 0; fi; done; }
newest() { ls -d "$@" 2>/dev/null | sort -rV; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/inner_universe data=${XDG_DATA_HOME:-$HOME/.local/share}/spacetime/bin
{
  newest "$cache"/spacetimedb-*/bin/spacetimedb-standalone
  command -v spacetimedb-standalone
  printf '%s\n' "$data/current/spacetimedb-standalone"
  newest "$data"/*/spacetimedb-standalone
} | first
]=]

---@param process table ctx.process
---@param configured string "" when not configured
---@return string? program
---@return table? err
return function(process, configured)
  local args = { "sh", "-c", SEARCH }
  if configured ~= "" then args = { "sh", "-c", 'path=$(command -v -- "$1") && [ -x "$path" ] && printf "%s\\n" "$path"', "sh", configured } end
  local found, err = process.run(args, { timeout = 10 })
  if not found then return nil, err end
  local path = found.output:match("^([^\n]+)")
  if path then return path end
  if configured ~= "" then
    return nil, iu.errors.new("ValidationError", ("plugins.controller.program: '%s' is no program that can be run"):format(configured))
  end
  return nil, iu.errors.new("ConnectionError", "no SpacetimeDB server is installed: `make spacetimedb` builds one, or plugins.controller.program names one; "
    .. "looked in the user's cache, on PATH and where the `spacetime` tool keeps its own", { retryable = false })
end
