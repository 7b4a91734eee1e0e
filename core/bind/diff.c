/* diff.c: comparing two values: diff_compare(old, new, options); applying operations to a document: diff_apply_document(document, operations). A value is a
 * document, whose tree is taken as it is, or any other Lua value, which is written as JSON and read: what cannot be written is refused by the
 * one rule of json_encode.c.
 */
#include "bind.h"

#include <stdlib.h>

#include "../document/compare.h"
#include "../document/document.h"

const iu_json *iu__tree_of(lua_State *L, int index, const char *name, iu_arena *arena, iu_error *err) {
  const iu_json *tree = iu__document_node(L, index, NULL);
  iu_buf text = {0};
  if (tree != NULL) return tree;
  if (iu__lua_to_json(L, index, &text, err) == IU_OK) tree = iu__json_parse(arena, text.data, text.len, err);
  iu__buf_free(&text);
  if (tree == NULL && err->status == IU_E_VALIDATION) iu__error_prefix(err, "%s", name);
  return tree;
}

/* { [path] = key, ... }; what is borrowed stays in the table. Which key counts where several fit is not left to the order of the table: the longer
 * path, then the smaller one. */
static int compare_keys(const void *pa, const void *pb) {
  const iu_compare_key *a = pa, *b = pb;
  if (a->path_len != b->path_len) return a->path_len > b->path_len ? -1 : 1;
  return memcmp(a->path, b->path, a->path_len);
}

static iu_status read_keys(lua_State *L, int table, iu_compare_options *options, iu_compare_key *keys, iu_error *err) {
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    iu_compare_key *k = &keys[options->key_count];
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      return iu__fail(err, IU_E_VALIDATION, "arrays: expected \"auto\", \"by_index\" or a table of paths and the names of keys");
    if (options->key_count == IU_COMPARE_KEYS_MAX) return iu__fail(err, IU_E_VALIDATION, "arrays: more than %d keys", IU_COMPARE_KEYS_MAX);
    k->path = lua_tolstring(L, -2, &k->path_len);
    k->key = lua_tolstring(L, -1, &k->key_len);
    options->key_count++;
    lua_pop(L, 1);
  }
  qsort(keys, options->key_count, sizeof *keys, compare_keys);
  options->keys = keys;
  return IU_OK;
}

/* Leaves the value of `arrays` on the stack, which keys are borrowed from. */
static iu_status read_options(lua_State *L, int index, iu_compare_options *options, iu_compare_key *keys, iu_error *err) {
  memset(options, 0, sizeof *options);
  if (lua_isnoneornil(L, index)) return IU_OK;
  lua_pushliteral(L, "in_parts");
  lua_rawget(L, index);
  options->in_parts = lua_toboolean(L, -1);
  lua_pop(L, 1);
  lua_pushliteral(L, "arrays");
  lua_rawget(L, index);
  if (lua_isnil(L, -1)) return IU_OK;
  if (lua_istable(L, -1)) return read_keys(L, lua_gettop(L), options, keys, err);
  if (lua_type(L, -1) == LUA_TSTRING) {
    options->by_index = strcmp(lua_tostring(L, -1), "by_index") == 0;
    if (options->by_index || strcmp(lua_tostring(L, -1), "auto") == 0) return IU_OK;
  }
  return iu__fail(err, IU_E_VALIDATION, "arrays: expected \"auto\", \"by_index\" or a table of paths and the names of keys");
}

static void push_operation(lua_State *L, const iu_operation *op) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, iu__operation_name(op->kind));
  lua_setfield(L, -2, "op");
  lua_pushlstring(L, op->path, op->path_len);
  lua_setfield(L, -2, "path");
  if (op->has_index) {
    lua_pushinteger(L, op->index);
    lua_setfield(L, -2, "index");
  }
  if (op->value != NULL) {
    iu__push_json_tree(L, op->value);
    lua_setfield(L, -2, op->kind == IU_OP_PATCH ? "patch" : "value");
  }
}

static int operations_body(lua_State *L) {
  const iu_operations *ops = lua_touserdata(L, 1);
  lua_createtable(L, ops->count < INT_MAX ? (int)ops->count : INT_MAX, 0);
  for (uint32_t i = 0; i < ops->count; i++) {
    push_operation(L, &ops->list[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  iu__push_array_mt(L);
  lua_setmetatable(L, -2);
  return 1;
}

static iu_status compare(lua_State *L, const iu_compare_options *options, iu_arena *arena, iu_operations *ops, iu_error *err) {
  const iu_json *old = iu__tree_of(L, 1, "old", arena, err), *new_ = old != NULL ? iu__tree_of(L, 2, "new", arena, err) : NULL;
  return new_ != NULL ? iu__compare(old, new_, options, arena, ops, err) : err->status;
}

static int f_compare(lua_State *L) {
  iu_compare_key keys[IU_COMPARE_KEYS_MAX];
  iu_compare_options options;
  iu_arena arena = {0};
  iu_operations ops;
  iu_error err;
  iu_status status;
  int rc = LUA_OK;
  luaL_checkany(L, 2);
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  iu__error_clear(&err);
  status = read_options(L, 3, &options, keys, &err);
  if (status == IU_OK) status = compare(L, &options, &arena, &ops, &err);
  if (status == IU_OK) {
    lua_pushcfunction(L, operations_body);
    lua_pushlightuserdata(L, &ops);
    rc = lua_pcall(L, 1, 1, 0);
  }
  iu__arena_free(&arena);
  if (status != IU_OK) return iu__push_failure(L, iu__lua(L), &err);
  return rc == LUA_OK ? 1 : lua_error(L);
}

typedef struct application { lua_State *L; iu_document *base; const iu_json *node; } application;

static iu_document *apply(void *ud, iu_error *err) {
  const application *a = ud;
  iu_document *from = NULL;
  iu_arena arena = {0};
  iu_operations ops;
  const iu_json *list = iu__document_node(a->L, 2, &from);
  if (from != NULL) {
    iu_buf text = {0}; /* what is put in shall not keep the whole list alive */
    iu__json_write(list, &text);
    list = iu__buf_status(&text, err, "JSON text") == IU_OK ? iu__json_parse(&arena, text.data, text.len, err) : NULL;
    iu__buf_free(&text);
  } else {
    list = iu__tree_of(a->L, 2, "operations", &arena, err);
  }
  if (list == NULL || iu__operations_read(list, &arena, &ops, err) != IU_OK) {
    iu__arena_free(&arena);
    return NULL;
  }
  return iu__document_apply(a->base, a->node, &ops, &arena, err);
}

static int f_apply_document(lua_State *L) {
  application a = {L, NULL, NULL};
  a.node = iu__document_node(L, 1, &a.base);
  if (a.node == NULL) return luaL_typeerror(L, 1, "document");
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  return iu__push_document(L, iu__lua(L), apply, &a);
}

void iu__diff_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"diff_compare", f_compare}, {"diff_apply_document", f_apply_document}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
