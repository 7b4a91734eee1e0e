-- The module of tests/module, compiled: tables of every column type, strange names, refusals.
--
--   local module = require "types_module"
--   if module.possible() then ... end
--   module.build(folder, 9)               -- folder/types_9.wasm

local command = require("command")
local variant = require("module_variant")

local module = { possible = variant.possible }

--- The path of the compiled module, its definition in the given version: 9, or 10 for servers from 2.0 on.
function module.build(folder, version)
  local line = "set -e; mkdir -p '%s/%d'; lua5.4 tests/module/definition.lua %d > '%s/%d/definition.h'; cd '%s/%d'; "
    .. "clang %s -fno-builtin -I. -c '%s/tests/module/echo.c'; wasm-ld --no-entry --strip-all -o ../types_%d.wasm echo.o"
  variant.run(line:format(folder, version, version, folder, version, folder, version, variant.FLAGS, command.root, version))
  return ("%s/types_%d.wasm"):format(folder, version)
end

return module
