-- The rock of Inner Universe. From the top folder of a checkout:
--   luarocks --lua-version 5.4 make rockspec/inner_universe-0.1.0-1.rockspec
-- The Makefile builds and installs, so no file is listed here.
rockspec_format = "3.0"
package = "inner_universe"
version = "0.1.0-1"
source = {
  url = ".", -- built from a checkout; there is no download
}
description = {
  summary = "A durable, reactive, time-travelling world for Lua programs",
  detailed = "Entities and relations, an event log and versioned state, in one file or in memory: a small C core and Lua plugins.",
  license = "MIT",
  labels = { "database", "persistence", "events", "games" },
}
supported_platforms = { "linux" }
dependencies = {
  "lua >= 5.4, < 5.5",
}
external_dependencies = {
  UV = { header = "uv.h" },
  SQLITE = { header = "sqlite3.h" },
  OPENSSL = { header = "openssl/evp.h" },
  XXHASH = { header = "xxhash.h" },
  LIBWEBSOCKETS = { header = "libwebsockets.h" },
  ZLIB = { header = "zlib.h" },
  BROTLI = { header = "brotli/decode.h" },
}
build = {
  type = "make",
  build_target = "all",
  install_target = "install-lua",
  -- A build folder of its own: the Lua headers may differ from those of the tree's own build.
  build_variables = {
    BUILD = "build/rock",
    CFLAGS = "$(CFLAGS)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    BUILD = "build/rock",
    CFLAGS = "$(CFLAGS)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    PREFIX = "$(PREFIX)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    BINDIR = "$(BINDIR)",
  },
}
