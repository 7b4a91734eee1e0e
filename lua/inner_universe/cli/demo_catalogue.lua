-- demo_catalogue.lua: the ISO catalogues of Debian's iso-codes as what the demo expects of its universe: entities, relations, the state
-- that is versioned, and one edit. Both the process that writes and the fresh one that checks build it from the source files anew.
--
--   catalogue = { sources, entities, relations, state, operations, deleted }   as read, and what the edit will do
--   edited    = the same after the edit, with `added`, keys of new relations
--
-- entities: by id, { id, entity_type, metadata }; relations: by "from|type|to"; state: kind -> code -> entry, the entries as in the files.

local iu = require("inner_universe")

local demo_catalogue = {}

local FOLDERS = { "/usr/share/iso-codes/json", "/usr/local/share/iso-codes/json" }

---kind: first part of the id; root: the one key of the file; code: what names an entry.
demo_catalogue.SOURCES = {
  { file = "iso_3166-1.json", root = "3166-1", kind = "country", entity_type = "Country", code = "alpha_2", what = "countries" },
  { file = "iso_3166-2.json", root = "3166-2", kind = "subdivision", entity_type = "Subdivision", code = "code", what = "subdivisions" },
  { file = "iso_639-3.json", root = "639-3", kind = "language", entity_type = "Language", code = "alpha_3", what = "languages" },
  { file = "iso_15924.json", root = "15924", kind = "script", entity_type = "Script", code = "alpha_4", what = "scripts" },
  { file = "iso_4217.json", root = "4217", kind = "currency", entity_type = "Currency", code = "alpha_3", what = "currencies" },
  { file = "iso_3166-3.json", root = "3166-3", kind = "former_country", entity_type = "FormerCountry", code = "alpha_4",
    what = "former countries" },
}

-- The edit ------------------------------------------------------------------------------------------------------------
demo_catalogue.EDITED = "country:CH"
local RETIRED = { "HRK", "XTS" } -- the first one that is there goes: the euro took the kuna's place, XTS is for tests
local LANGUAGES = { "deu", "fra", "ita", "roh" }

-- As operations of a delta over the state. Paths are dotted.
local function operations_of(retired)
  return {
    { op = "set", path = "country.CH.capital", value = "Bern" },
    { op = "set", path = "country.CH.facts",
      value = { population = 8703405, area_km2 = 41285.0, landlocked = true, coastline_km = iu.null, islands = iu.array({}) } },
    { op = "set", path = "country.CH.languages", value = { "deu", "fra", "ita" } },
    { op = "insert", path = "country.CH.languages", index = 3, value = "roh" },
    { op = "delete", path = "currency." .. retired },
  }
end

local function readable(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

---Where the JSON files of iso-codes are; nil when they are not.
---@param given? string the only place to look
---@return string?
function demo_catalogue.folder(given)
  for _, folder in ipairs(given and { given } or FOLDERS) do
    if readable(folder .. "/" .. demo_catalogue.SOURCES[1].file) then return folder end
  end
end

local function read_document(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  local document, err = iu.json.decode(text)
  if document == nil then error(("%s: %s"):format(path, tostring(err)), 0) end
  return document
end

local function entity_of(source, entry)
  local id = source.kind .. ":" .. entry[source.code]
  return { id = id, entity_type = source.entity_type, metadata = { name = entry.name, tags = { "iso", source.kind }, properties = entry } }
end

function demo_catalogue.key(from, relation_type, to)
  return from .. "|" .. relation_type .. "|" .. to
end

local function relate(self, from, relation_type, to, file)
  if not (self.entities[from] and self.entities[to]) then return end
  local key = demo_catalogue.key(from, relation_type, to)
  self.relations[key] = { from = from, to = to, type = relation_type, metadata = { strength = 1.0, properties = { source = file } } }
  self.relation_order[#self.relation_order + 1] = key
  return key
end

-- A subdivision's code begins with its country's; its parent is given with or without that beginning. A currency's code begins with its
-- country's too, where it belongs to one (EUR and XAU do not).
local function add_relations(self)
  for code, entry in pairs(self.state.subdivision) do
    local id, country = "subdivision:" .. code, code:match("^(%u%u)%-")
    relate(self, id, "SUBDIVISION_OF", "country:" .. country, "iso_3166-2.json")
    if entry.parent then
      local parent = entry.parent:find("-", 1, true) and entry.parent or country .. "-" .. entry.parent
      relate(self, id, "PART_OF", "subdivision:" .. parent, "iso_3166-2.json")
    end
  end
  for code in pairs(self.state.currency) do
    relate(self, "currency:" .. code, "CURRENCY_OF", "country:" .. code:sub(1, 2), "iso_4217.json")
  end
  table.sort(self.relation_order)
end

---Reads the files. Raises when one is missing or no JSON.
---@param folder string
---@return table catalogue
function demo_catalogue.read(folder)
  local self = { folder = folder, sources = {}, entities = {}, entity_order = {}, relations = {}, relation_order = {}, state = {} }
  for i, source in ipairs(demo_catalogue.SOURCES) do
    local document = read_document(folder .. "/" .. source.file)
    local entries = assert(document[source.root], source.file .. ": no list " .. source.root)
    local by_code = iu.object({})
    for _, entry in ipairs(entries) do
      local entity = entity_of(source, entry)
      self.entities[entity.id] = entity
      self.entity_order[#self.entity_order + 1] = entity.id
      by_code[entry[source.code]] = entry
    end
    self.state[source.kind] = by_code
    self.sources[i] = { file = source.file, what = source.what, kind = source.kind, entries = #entries, hash = assert(iu.json.hash(document)) }
  end
  add_relations(self)
  for _, code in ipairs(RETIRED) do
    if not self.retired and self.state.currency[code] then self.retired = code end
  end
  self.deleted, self.operations = "currency:" .. self.retired, operations_of(self.retired)
  return self
end

-- the edit -----------------------------------------------------------------------------------------------------------

local function copy(t)
  local out = setmetatable({}, getmetatable(t))
  for key, value in pairs(t) do
    out[key] = value
  end
  return out
end

local function deep_copy(value)
  if type(value) ~= "table" then return value end
  local out = copy(value)
  for key, inner in pairs(out) do
    out[key] = deep_copy(inner)
  end
  return out
end

local APPLY = {
  set = function(container, key, operation) container[key] = deep_copy(operation.value) end,
  delete = function(container, key) container[key] = nil end,
  insert = function(container, key, operation) table.insert(container[key], operation.index + 1, operation.value) end,
}

-- The operations over a state whose first two levels may be written.
local function apply(state, operations)
  for _, operation in ipairs(operations) do
    local container, last = state, nil
    for part in operation.path:gmatch("[^.]+") do
      if last then container = container[last] end
      last = part
    end
    APPLY[operation.op](container, last, operation)
  end
end

---The catalogue after the edit: Switzerland learns more of itself, its languages become relations, a currency goes with what it relates.
---@param catalogue table
---@return table edited shares what did not change
function demo_catalogue.edit(catalogue)
  local edited = copy(catalogue)
  edited.state = copy(catalogue.state)
  edited.state.country, edited.state.currency = copy(catalogue.state.country), copy(catalogue.state.currency)
  edited.state.country.CH = copy(catalogue.state.country.CH)
  apply(edited.state, catalogue.operations)
  edited.entities, edited.relations, edited.relation_order = copy(catalogue.entities), {}, {}
  edited.entities[catalogue.deleted] = nil
  local swiss = copy(catalogue.entities[demo_catalogue.EDITED])
  swiss.metadata = copy(swiss.metadata)
  swiss.metadata.properties = edited.state.country.CH
  edited.entities[demo_catalogue.EDITED] = swiss
  for _, key in ipairs(catalogue.relation_order) do
    local relation = catalogue.relations[key]
    relate(edited, relation.from, relation.type, relation.to, relation.metadata.properties.source)
  end
  edited.added = {}
  for _, code in ipairs(LANGUAGES) do
    edited.added[#edited.added + 1] = relate(edited, demo_catalogue.EDITED, "SPEAKS", "language:" .. code, "the edit")
  end
  return edited
end

---Equal as JSON values, integers and floats told apart, arrays and objects too.
function demo_catalogue.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b and math.type(a) == math.type(b) end
  for key, value in pairs(a) do
    if not demo_catalogue.same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return next(a) ~= nil or iu.json.encode(a) == iu.json.encode(b)
end

return demo_catalogue
