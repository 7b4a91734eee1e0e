/* draft_freeze.c: a draft becomes a tree. Goes through thawed containers only; the depth is that of the tree. */
#include "../base/alloc.h"
#include "draft_internal.h"

static bool freeze(iu_draft *d, iu_json *slot);

static bool freeze_array(iu_draft *d, thawed *t, iu_json *out) {
  iu_json *e = t->count > 0 ? iu__arena_alloc(d->arena, t->count * sizeof *e) : NULL;
  uint32_t i, k, at = 0;

  if (t->count > 0 && e == NULL) return false;
  for (i = 0; i < t->chunk_count; i++) {
    const chunk *c = &t->chunks[i];
    if (c->count > 0) memcpy(e + at, c->e, c->count * sizeof *e);
    for (k = 0; k < c->count && c->room > 0; k++)
      if (e[at + k].token == IU_DRAFT_THAWED && !freeze(d, &e[at + k])) return false;
    at += c->count;
  }
  *out = (iu_json){.token = IU_J_ARRAY, .len = t->count, .u.elements = e};
  return true;
}

/* Closes the holes of deleted members; moved_to[i]: where the i-th went. Returns where the added ones begin. */
static uint32_t close_holes(thawed *t, uint32_t *moved_to) {
  uint32_t i, at = 0, old = 0;

  for (i = 0; i < t->slots; i++) {
    if (i == t->from.len) old = at;
    moved_to[i] = t->members[i].key != NULL ? at : UINT32_MAX;
    if (t->members[i].key != NULL) t->members[at++] = t->members[i];
  }
  return t->slots > t->from.len ? old : at;
}

static int key_order(const iu_json_member *a, const iu_json_member *b) {
  size_t shorter = a->key_len < b->key_len ? a->key_len : b->key_len;
  int order = shorter != 0 ? memcmp(a->key, b->key, shorter) : 0;
  return order != 0 ? order : a->key_len < b->key_len ? -1 : a->key_len > b->key_len;
}

/* The index of a large object out of the old one's and the added members, which are sorted. `added` has two numbers for each. */
static bool merge_index(thawed *t, const uint32_t *moved_to, uint32_t first_added, uint32_t *added, uint32_t *index) {
  const uint32_t *old = iu__json_index(&t->from);
  uint32_t count = t->count - first_added, i, k = 0, at = 0;
  iu_json alone;
  iu_json_member *copy = iu__realloc_array(NULL, count + (count * sizeof *added + 15) / sizeof *copy + 2, sizeof *copy), *members;

  if (copy == NULL) return false;
  members = copy + (count * sizeof *added + 15) / sizeof *copy + 1; /* the index in front of them */
  if (count > 0) memcpy(members, t->members + first_added, count * sizeof *members);
  if (!iu__json_object_make(&alone, members, count)) {
    iu__free(copy);
    return false;
  }
  for (i = 0; i < count; i++) added[i] = first_added + (count > IU_JSON_LINEAR_MAX ? iu__json_index(&alone)[i] : i);
  for (i = 1; i < count && count <= IU_JSON_LINEAR_MAX; i++) { /* few: by insertion */
    uint32_t x = added[i], p = i;
    for (; p > 0 && key_order(&t->members[added[p - 1]], &t->members[x]) > 0; p--) added[p] = added[p - 1];
    added[p] = x;
  }
  iu__free(copy);
  for (i = 0; i < t->from.len; i++) {
    uint32_t here = moved_to[old[i]];
    if (here == UINT32_MAX) continue;
    while (k < count && key_order(&t->members[added[k]], &t->members[here]) < 0) index[at++] = added[k++];
    index[at++] = here;
  }
  while (k < count) index[at++] = added[k++];
  return true;
}

static bool index_changed(thawed *t, iu_json *out) {
  uint32_t *space = iu__realloc_array(NULL, (size_t)t->slots * 2 + t->count + 1, sizeof *space), *added, *index, first;
  bool ok;

  if (space == NULL) return false;
  added = space + t->slots;
  index = added + t->slots;
  first = close_holes(t, space);
  if (t->count <= IU_JSON_LINEAR_MAX || t->from.len <= IU_JSON_LINEAR_MAX) {
    ok = iu__json_object_make(out, t->members, t->count);
  } else {
    ok = merge_index(t, space, first, added, index);
    if (ok) memcpy((uint32_t *)(void *)t->members - t->count, index, t->count * sizeof *index);
    *out = (iu_json){.token = IU_J_OBJECT, .len = t->count, .u.members = t->members};
  }
  iu__free(space);
  return ok;
}

static bool freeze_object(iu_draft *d, thawed *t, iu_json *out) {
  uint32_t i;

  for (i = 0; i < t->slots; i++)
    if (t->members[i].key != NULL && t->members[i].value.token == IU_DRAFT_THAWED && !freeze(d, &t->members[i].value)) return false;
  if (t->keys_changed) return index_changed(t, out);
  *out = (iu_json){.token = IU_J_OBJECT, .len = t->count, .u.members = t->members};
  if (t->count > IU_JSON_LINEAR_MAX) memcpy((uint32_t *)(void *)t->members - t->count, iu__json_index(&t->from), t->count * sizeof(uint32_t));
  return true;
}

static bool freeze(iu_draft *d, iu_json *slot) {
  thawed *t = (thawed *)(uintptr_t)slot->u.s;
  return t->token == IU_J_ARRAY ? freeze_array(d, t, slot) : freeze_object(d, t, slot);
}

const iu_json *iu__draft_freeze(iu_draft *d) {
  iu_json *root = iu__arena_alloc(d->arena, sizeof *root);

  if (root == NULL || (d->root.token == IU_DRAFT_THAWED && !freeze(d, &d->root))) return NULL;
  *root = d->root;
  return root;
}
