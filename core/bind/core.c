/* core.c: the module table of `inner_universe.core`. */
#include "bind.h"

#include "../base/alloc.h"

int luaopen_inner_universe_core(lua_State *L) {
  luaL_checkversion(L);
  iu__alloc_seal();
  iu__lua(L);
  lua_newtable(L);
  iu__primitives_open(L);
  iu__json_open(L);
  iu__wide_open(L);
  iu__gzip_open(L);
  iu__secret_open(L);
  iu__document_open(L);
  iu__diff_open(L);
  iu__tree_hash_open(L);
  iu__loop_open(L);
  iu__http_open(L);
  iu__process_open(L);
  iu__signal_open(L);
  iu__responder_open(L);
  iu__work_open(L);
  iu__http_answer_open(L);
  iu__module_open(L);
  iu__connection_open(L);
  iu__report_open_functions(L);
  iu__backup_open(L);
  iu__file_open(L);
  iu__working_copy_open(L);
  return 1;
}
