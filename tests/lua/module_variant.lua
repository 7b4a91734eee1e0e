-- The module's own sources with some lines changed, compiled: what specs publish beside the module itself.
--
--   local variant = require "module_variant"
--   if variant.possible() then ... end
--   variant.build(folder, { { "schema.c", "text that is there once", "text instead" }, ... })   -- folder/module.wasm

local command = require("command")

local variant = {}

variant.FLAGS = "--target=wasm32-unknown-unknown -std=c11 -O1 -ffreestanding -nostdlib -fvisibility=hidden"

-- Variants of the schema. Each: { file below core/module, the text before which (or instead of which) the other goes, that text }
variant.CHANGES = {
  table = {
    { "schema.h", "NERV_TABLE_COUNT\n}", "NERV_EXTRA, NERV_TABLE_COUNT\n}" },
    { "schema.h", "NERV_INDEX_COUNT\n}", "NERV_EXTRA_KEY, NERV_INDEX_COUNT\n}" },
    { "schema.c", '{"plugin_record", "PluginRecord", false, NERV_RECORD_KEY, NULL},',
      '{"plugin_record", "PluginRecord", false, NERV_RECORD_KEY, NULL}, {"extra", "Permission", false, NERV_EXTRA_KEY, NULL},' },
    { "schema.c", '{NERV_PLUGIN_RECORD, true, "key"},', '{NERV_PLUGIN_RECORD, true, "key"}, {NERV_EXTRA, true, "key"},' },
  },
  reducer = {
    { "schema.c", '{"set_client_info", "SetClientInfo", NERV_CALLED},',
      '{"set_client_info", "SetClientInfo", NERV_CALLED}, {"extra", "SetClientInfo", NERV_CALLED},' },
    { "dispatch.c", "iu__nerv_set_client_info};", "iu__nerv_set_client_info, iu__nerv_set_client_info};" },
  },
  index = {
    { "schema.h", "NERV_INDEX_COUNT\n}", "NERV_EXTRA_INDEX, NERV_INDEX_COUNT\n}" },
    { "schema.c", '{NERV_PLUGIN_RECORD, true, "key"},', '{NERV_PLUGIN_RECORD, true, "key"}, {NERV_ENTITY, false, "updated_at"},' },
  },
  column = { { "schema.c", '{"updated_at", "Timestamp"}, {"metadata", "EntityMetadata"}', '{"updated_at", "U64"}, {"metadata", "EntityMetadata"}' } },
  left_out = {
    { "schema.h", "NERV_PLUGIN_RECORD, NERV_TABLE_COUNT", "NERV_TABLE_COUNT, NERV_PLUGIN_RECORD = NERV_TABLE_COUNT" },
    { "schema.h", "NERV_RECORD_KEY,\n  NERV_INDEX_COUNT", "NERV_INDEX_COUNT, NERV_RECORD_KEY = NERV_INDEX_COUNT" },
    { "schema.c", '{"plugin_record", "PluginRecord", false, NERV_RECORD_KEY, NULL},', "" },
    { "schema.c", '{NERV_PLUGIN_RECORD, true, "key"},', "" },
  },
}

local function sh(line)
  local pipe = assert(io.popen("{ " .. line .. "\n} 2>&1"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

--- A command line of the shell, which must succeed.
function variant.run(line)
  local ok, output = sh(line)
  assert(ok, output)
end

--- Are clang and wasm-ld here?
function variant.possible()
  return (sh("command -v clang && command -v wasm-ld"))
end

-- Text with `from` replaced, which must be there once.
local function replaced(text, from, to)
  local first, last = text:find(from, 1, true)
  assert(first and not text:find(from, last + 1, true), "the sources changed: not there once: " .. from)
  return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

--- The path of the compiled module. Each change: { file below core/module, text, the text instead }.
function variant.build(folder, changes)
  assert(sh(("mkdir -p '%s/core' && cp -r core/module core/base '%s/core/'"):format(folder, folder)))
  for _, change in ipairs(changes) do
    local path = folder .. "/core/module/" .. change[1]
    command.write(path, replaced(command.read(path), change[2], change[3]))
  end
  variant.run(("root=$PWD; mkdir -p '%s/o' && cd '%s/o' && clang %s -I \"$root/build/generated\" -c ../core/module/*.c ../core/base/text*.c"
    .. " && wasm-ld --no-entry --strip-all -o ../module.wasm *.o"):format(folder, folder, variant.FLAGS))
  return folder .. "/module.wasm"
end

return variant
