/* tree_hash.c: tree_hash(value): the hash of core/document/tree_hash.h as hex; hash_tree(document): one that follows changes: tree:apply(operations) answers
 * the hash of what they make (nil, err: throw it away), tree:spare() the bytes of what was put in since it was made.
 */
#include "bind.h"

#include "../document/document.h"
#include "../document/tree_hash.h"

#define CLASS "inner_universe.hash_tree"

typedef struct handle { iu_hash_tree *tree; iu_document *d; } handle; /* d: what the tree is of */

static int f_tree_hash(lua_State *L) {
  iu_arena arena = {0};
  iu_error err;
  uint8_t digest[32];
  const iu_json *v;
  iu_status status;
  luaL_checkany(L, 1);
  iu__error_clear(&err);
  v = iu__tree_of(L, 1, "value", &arena, &err);
  status = v != NULL ? iu__tree_hash(v, digest, &err) : err.status;
  iu__arena_free(&arena);
  return status == IU_OK ? iu__push_hash(L, digest) : iu__push_failure(L, iu__lua(L), &err);
}

static int f_hash_tree(lua_State *L) {
  iu_document *d = NULL;
  const iu_json *v = iu__document_node(L, 1, &d);
  iu_error err;
  handle *h;
  if (v == NULL) return luaL_typeerror(L, 1, "document");
  h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  luaL_setmetatable(L, CLASS);
  h->tree = iu__hash_tree_new(v, &err);
  if (h->tree == NULL) return iu__push_failure(L, iu__lua(L), &err);
  h->d = iu__document_hold(d);
  return 1;
}

static handle *get(lua_State *L) {
  handle *h = iu__class_check(L, 1, CLASS);
  luaL_argcheck(L, h->tree != NULL, 1, "closed");
  return h;
}

static iu_status apply(lua_State *L, iu_hash_tree *t, uint8_t digest[32], iu_error *err) {
  iu_arena *arena = iu__hash_tree_arena(t);
  iu_operations ops;
  iu_buf text = {0};
  const iu_json *list = NULL;
  iu_status status = iu__lua_to_json(L, 2, &text, err);
  if (status == IU_OK) {
    list = iu__json_parse(arena, text.data, text.len, err);
    if (list == NULL) status = err->status;
  }
  iu__buf_free(&text);
  if (status == IU_OK) status = iu__operations_read(list, arena, &ops, err);
  if (status == IU_OK) status = iu__hash_tree_apply(t, &ops, err);
  return status == IU_OK ? iu__hash_tree_root(t, digest, err) : status;
}

static int m_apply(lua_State *L) {
  handle *h = get(L);
  iu_error err;
  uint8_t digest[32];
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (apply(L, h->tree, digest, &err) != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return iu__push_hash(L, digest);
}

static int m_spare(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)iu__hash_tree_arena(get(L)->tree)->total);
  return 1;
}

static int m_close(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, CLASS);
  iu__hash_tree_free(h->tree);
  if (h->d != NULL) iu__document_release(h->d);
  memset(h, 0, sizeof *h);
  return 0;
}

void iu__tree_hash_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"apply", m_apply}, {"spare", m_spare}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, NULL};
  static const luaL_Reg functions[] = {{"tree_hash", f_tree_hash}, {"hash_tree", f_hash_tree}, {NULL, NULL}};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
