-- files.lua: the folder of migrations: which files there are, what one returns, its checksum, and a new one.
--
-- A name is NNNN_name.lua; the number orders, its text is the migration's version. A file is loaded anew for each run, in an environment of its own that
-- sees the program's globals. The checksum is the SHA-256 of its tokens: comments and white space do not count.

local iu = require "inner_universe"

local plugin = ...
local lexer = plugin.load "lexer"

local FIELDS = { up = "function", down = "function", description = "string", online = "boolean" }
local DIGITS = 4 -- of a new file's number
local ENTRY = "^(%d+)_([%w_%-]+)%.lua$"
local MEANT = "^%d.*%.lua$" -- what was meant to be one

---@param env { folders: table, config: table }
return function(env)
  local files = {}

  local function failed(format, ...)
    return nil, iu.errors.new("MigrationError", format:format(...))
  end

  local function exists(path)
    local file = io.open(path, "rb")
    if file then file:close() end
    return file ~= nil
  end

  local function read(path)
    local file, why = io.open(path, "rb")
    if not file then return failed("%s", why) end
    local text = file:read(env.config.file_bytes_max + 1)
    file:close()
    if text == nil then return failed("%s: empty, or not a file", path) end
    if #text > env.config.file_bytes_max then return failed("%s: larger than %d bytes (file_bytes_max)", path, env.config.file_bytes_max) end
    return text
  end

  -- JSON wants UTF-8; a program may hold any bytes.
  local function hash(text)
    return iu.json.hash((text:gsub("[\\\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end)))
  end

  -- The names in the folder; a folder that is not there has none.
  local function names()
    local folder = env.config.folder
    if not exists(folder) then return {} end
    return env.folders.names(folder)
  end

  ---The migrations of the folder by number: { version, number, name, path }. Two with one number are a MigrationError, and so is a name that begins like
  ---one and is none: it would never run. Other names are the program's own.
  ---@return table[]?, inner_universe.Error?
  function files.list()
    local all, err = names()
    if not all then return nil, err end
    local list, seen = {}, {}
    for _, name in ipairs(all) do
      local version = name:match(ENTRY)
      local number = version and math.tointeger(tonumber(version))
      if number then
        local entry = { version = version, number = number, name = name:sub(1, -5), path = ("%s/%s"):format(env.config.folder, name) }
        local other = seen[number]
        if other then return failed("%s and %s have the same number; give one of them another", other.path, entry.path) end
        seen[number], list[#list + 1] = entry, entry
      elseif name:find(MEANT) then
        return failed("%s/%s: no name of a migration: NNNN_name.lua expected, with letters, digits, `_` and `-`", env.config.folder, name)
      end
    end
    if #list > env.config.files_max then return failed("%s: %d files, at most %d (files_max)", env.config.folder, #list, env.config.files_max) end
    table.sort(list, function(a, b) return a.number < b.number end)
    return list
  end

  local function check(path, made)
    if type(made) ~= "table" then return failed("%s: should return { up = function, down = function, ... }, returned a %s", path, type(made)) end
    for key, value in pairs(made) do
      local expected = FIELDS[key]
      if not expected then return failed("%s: unknown field '%s' (known: description, down, online, up)", path, tostring(key)) end
      if type(value) ~= expected then return failed("%s: %s: %s expected, got %s", path, key, expected, type(value)) end
    end
    if not made.up then return failed("%s: it has no function `up`", path) end
    return true
  end

  ---An entry of `list` with what its file returns: { up, down, description, online, checksum } besides.
  ---@param entry table
  ---@return table?, inner_universe.Error?
  function files.load(entry)
    local text, err = read(entry.path)
    if not text then return nil, err end
    local chunk, why = load(text, "@" .. entry.path, "t", setmetatable({}, { __index = _G }))
    if not chunk then return failed("%s", why) end
    local ok, made = pcall(chunk)
    if not ok then
      return nil, iu.errors.new("MigrationError", ("%s: it raised while it was loaded: %s"):format(entry.path, iu.errors.from(made).message), { cause = made })
    end
    ok, err = check(entry.path, made)
    if not ok then return nil, err end
    local canonical
    canonical, why = lexer.canonical(text)
    if not canonical then return failed("%s: %s", entry.path, why) end
    local checksum
    checksum, err = hash(canonical)
    if not checksum then return nil, err end
    return {
      version = entry.version, number = entry.number, name = entry.name, path = entry.path, up = made.up, down = made.down,
      description = made.description or "", online = made.online == true, checksum = checksum,
    }
  end

  local TEMPLATE = [=[
-- %s
-- up takes the universe one step further, down takes it back; `m` is told in plugins/migrations/README.md. What m's methods cannot do they raise.
return {
  description = %q,
%s
  up = function(m)
    -- m:add_column("player", "level", "u32", { value = function(row) return row.xp // 100 end })
    -- m:update_entities("Person", function(entity)
    --   entity.metadata.properties.age = entity.metadata.properties.age or iu.null
    --   return entity.metadata
    -- end)
  end,

  down = function(m)
  end,
}
]=]

  ---Writes the next file; its path.
  ---@param name string
  ---@param options { description?: string, online?: boolean }
  ---@return string?, inner_universe.Error?
  function files.new(name, options)
    local plain = name:gsub("%s+", "_"):lower()
    if not plain:match("^[%w_%-]+$") then
      return nil, iu.errors.new("ValidationError", ("new: name: letters, digits, `_` and `-` expected, got '%s'"):format(name))
    end
    local list, err = files.list()
    if not list then return nil, err end
    local made
    made, err = env.folders.make(env.config.folder)
    if not made then return nil, err end
    local number = #list > 0 and list[#list].number + 1 or 1
    local digits = math.max(DIGITS, #list > 0 and #list[#list].version or 0)
    local base = ("%0" .. digits .. "d_%s"):format(number, plain)
    local path = ("%s/%s.lua"):format(env.config.folder, base)
    local description = options.description or (name:gsub("[_%-]+", " "))
    local file, why = io.open(path, "wb")
    if not file then return failed("%s", why) end
    local ok
    ok, why = file:write(TEMPLATE:format(base, description, options.online and "  online = true,\n" or ""))
    file:close()
    if not ok then return failed("%s: %s", path, why) end
    return path
  end

  files.exists = exists

  return files
end
