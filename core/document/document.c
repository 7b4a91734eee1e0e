/* document.c: see document.h. */
#include "document.h"

#include "../base/alloc.h"
#include "apply.h"
#include "tree.h"

static iu_document *document_new(iu_error *err) {
  iu_document *d = iu__alloc_zero(1, sizeof *d);

  if (d == NULL) iu__fail_nomem(err);
  else d->refs = 1;
  return d;
}

iu_document *iu__document_parse(const void *text, size_t len, iu_error *err) {
  iu_document *d = document_new(err);

  if (d == NULL) return NULL;
  d->root = iu__json_parse(&d->arena, text, len, err);
  d->whole = d->arena.total;
  if (d->root != NULL) return d;
  iu__document_release(d);
  return NULL;
}

void iu__document_release(iu_document *d) {
  while (d != NULL && --d->refs == 0) { /* a loop: chains are long */
    iu_document *base = d->base;
    iu__arena_free(&d->arena);
    iu__free(d);
    d = base;
  }
}

/* ---- copies ---- */

/* All strings of a copy lie in one block. */
typedef struct copier { iu_arena *arena; char *text; } copier;

static size_t text_bytes(const iu_json *v) {
  size_t bytes = v->token == IU_J_STRING || v->token == IU_J_BIGINT ? v->len : 0;
  uint32_t i;

  for (i = 0; iu__tree_is_container(v) && i < v->len; i++) {
    if (v->token == IU_J_OBJECT) bytes += v->u.members[i].key_len;
    bytes += text_bytes(v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value);
  }
  return bytes;
}

static const char *copy_text(copier *c, const char *s, uint32_t len) {
  const char *copy = c->text;

  if (len > 0) memcpy(c->text, s, len);
  c->text += len;
  return copy;
}

static bool copy_into(copier *c, const iu_json *v, iu_json *out);

static bool copy_array(copier *c, const iu_json *v, iu_json *out) {
  uint32_t i;

  out->u.elements = iu__arena_alloc(c->arena, v->len * sizeof *out->u.elements);
  if (out->u.elements == NULL) return false;
  for (i = 0; i < v->len; i++)
    if (!copy_into(c, &v->u.elements[i], &out->u.elements[i])) return false;
  return true;
}

static bool copy_object(copier *c, const iu_json *v, iu_json *out) {
  iu_json_member *members = iu__json_members_new(c->arena, v->len);
  uint32_t i;

  if (members == NULL) return false;
  out->u.members = members;
  if (v->len > IU_JSON_LINEAR_MAX) memcpy((uint32_t *)(void *)members - v->len, iu__json_index(v), v->len * sizeof(uint32_t));
  for (i = 0; i < v->len; i++) {
    members[i].key = copy_text(c, v->u.members[i].key, v->u.members[i].key_len);
    members[i].key_len = v->u.members[i].key_len;
    if (!copy_into(c, &v->u.members[i].value, &members[i].value)) return false;
  }
  return true;
}

static bool copy_into(copier *c, const iu_json *v, iu_json *out) {
  *out = *v;
  if (v->token == IU_J_STRING || v->token == IU_J_BIGINT) out->u.s = copy_text(c, v->u.s, v->len);
  if (!iu__tree_is_container(v) || v->len == 0) return true;
  return v->token == IU_J_ARRAY ? copy_array(c, v, out) : copy_object(c, v, out);
}

/* Makes d's tree its own. */
static bool compact(iu_document *d) {
  iu_arena arena = {0};
  copier c = {&arena, iu__arena_alloc(&arena, text_bytes(d->root))};
  iu_json *root = iu__arena_alloc(&arena, sizeof *root);

  if (c.text == NULL || root == NULL || !copy_into(&c, d->root, root)) {
    iu__arena_free(&arena);
    return false;
  }
  iu__arena_free(&d->arena);
  iu__document_release(d->base);
  d->arena = arena;
  d->base = NULL;
  d->root = root;
  d->whole = arena.total;
  d->chain = 0;
  d->spare = 0;
  return true;
}

/* ---- apply ---- */

static bool is_spread(const iu_document *d) {
  size_t most = d->whole > IU_DOCUMENT_SPARE_MIN ? d->whole : IU_DOCUMENT_SPARE_MIN;
  return d->spare > most || d->chain > IU_DOCUMENT_CHAIN_MAX;
}

iu_document *iu__document_apply(iu_document *base, const iu_json *node, const iu_operations *ops, iu_arena *arena, iu_error *err) {
  iu_document *d = document_new(err);
  size_t limit = base->whole + IU_DOCUMENT_SPARE_MIN + 1, dropped;

  if (d == NULL) {
    iu__arena_free(arena);
    return NULL;
  }
  d->arena = *arena;
  memset(arena, 0, sizeof *arena);
  if (iu__apply(node, ops, &d->arena, limit, &dropped, &d->root, err) != IU_OK) {
    iu__document_release(d);
    return NULL;
  }
  d->base = iu__document_hold(base);
  d->chain = base->chain + 1;
  d->whole = base->whole;
  d->spare = base->spare + d->arena.total + dropped;
  if ((node != base->root || is_spread(d)) && !compact(d)) {
    iu__fail_nomem(err);
    iu__document_release(d);
    return NULL;
  }
  return d;
}
