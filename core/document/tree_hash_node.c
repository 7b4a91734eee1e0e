/* tree_hash_node.c: the nodes of a hash tree: opened when something in them changes (or they are large), and kept open. */
#include <stdlib.h>

#include "../base/alloc.h"
#include "../base/hash.h"
#include "tree_hash_internal.h"

static bool no_memory(iu_hash_tree *t) {
  iu__fail_nomem(t->err);
  return false;
}

/* ---- freeing ---- */

static void free_node(hash_node *n);

void iu__hash_slot_clear(slot *s) {
  if (s->v.token == OPENED) free_node(s->x.node);
  else iu__free(s->x.digest);
  memset(s, 0, sizeof *s);
  s->v.token = IU_J_NULL;
}

static void clear_branch(branch *b) {
  uint32_t i;

  for (i = 0; b->children == NULL && i < b->count; i++) iu__hash_slot_clear(&b->entries[i].s);
  for (i = 0; b->children != NULL && i < FANOUT; i++) {
    if (b->children[i] != NULL) clear_branch(b->children[i]);
    iu__free(b->children[i]);
  }
  iu__free(b->entries);
  iu__free(b->children);
}

static void free_node(hash_node *n) {
  uint32_t i;

  for (i = 0; i < n->count; i++) iu__hash_slot_clear(&n->elements[i]);
  for (i = 0; i < LEVELS_MAX; i++) iu__free(n->levels[i]);
  iu__free(n->elements);
  iu__free(n->stale_groups);
  clear_branch(&n->top);
  iu__free(n);
}

/* ---- arrays ---- */

static bool element_room(iu_hash_tree *t, hash_node *n, uint32_t count) {
  uint32_t room = count < UINT32_MAX / 2 ? count + count / 4 : count, groups = room / GROUP + 1, had = n->room / GROUP + 1;
  slot *elements;
  uint8_t *stale;

  if (n->stale_groups != NULL && n->room >= count) return true;
  elements = iu__realloc_array(n->elements, room > 0 ? room : 1, sizeof *elements);
  if (elements == NULL) return no_memory(t);
  n->elements = elements;
  stale = iu__realloc(n->stale_groups, groups);
  if (stale == NULL) return no_memory(t);
  if (n->stale_groups == NULL) had = 0;
  if (groups > had) memset(stale + had, 1, groups - had);
  n->stale_groups = stale;
  n->room = room;
  return true;
}

/* From an index on everything is at another place than it was. */
static void moved(hash_node *n, uint32_t index) {
  uint32_t last = n->count > 0 ? (n->count - 1) / GROUP : 0, from = index / GROUP < last ? index / GROUP : last;

  n->stale = true;
  memset(n->stale_groups + from, 1, last - from + 1);
}

slot *iu__hash_element(hash_node *n, uint32_t index) {
  n->stale = true;
  n->stale_groups[index / GROUP] = 1;
  return &n->elements[index];
}

bool iu__hash_insert(iu_hash_tree *t, hash_node *n, uint32_t index, const iu_json *value) {
  slot s;

  if (n->count == UINT32_MAX) return no_memory(t);
  if (!element_room(t, n, n->count + 1) || !iu__hash_slot_fill(t, &s, value)) return false;
  memmove(n->elements + index + 1, n->elements + index, (n->count - index) * sizeof s);
  n->elements[index] = s;
  n->count++;
  moved(n, index);
  return true;
}

void iu__hash_remove(hash_node *n, uint32_t index) {
  iu__hash_slot_clear(&n->elements[index]);
  n->count--;
  memmove(n->elements + index, n->elements + index + 1, (n->count - index) * sizeof *n->elements);
  moved(n, index);
}

/* ---- objects ---- */

static int key_order(const char *a, uint32_t a_len, const char *b, uint32_t b_len) {
  uint32_t shorter = a_len < b_len ? a_len : b_len;
  int order = shorter != 0 ? memcmp(a, b, shorter) : 0;
  return order != 0 ? order : a_len < b_len ? -1 : a_len > b_len;
}

static int entry_order(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return key_order(x->key, x->key_len, y->key, y->key_len);
}

/* Where the key is in a bucket, or would be: *found. */
static uint32_t place_of(const branch *b, const char *key, uint32_t len, bool *found) {
  uint32_t low = 0, high = b->count;

  *found = false;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = key_order(b->entries[middle].key, b->entries[middle].key_len, key, len);
    if (order == 0) *found = true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static uint32_t nibble(uint64_t hash, uint32_t depth) { return (uint32_t)(hash >> (60 - 4 * depth)) & 15; }

static bool bucket_room(iu_hash_tree *t, branch *b, uint32_t count) {
  entry *larger;
  uint32_t room = count < 4 ? 4 : count + count / 4;

  if (b->room >= count) return true;
  larger = iu__realloc_array(b->entries, room, sizeof *larger);
  if (larger == NULL) return no_memory(t);
  b->entries = larger;
  b->room = room;
  return true;
}

/* Puts an entry, whose key is new, where it belongs. */
static bool branch_add(iu_hash_tree *t, branch *b, uint32_t depth, uint64_t hash, const entry *e);

static bool child_add(iu_hash_tree *t, branch *b, uint32_t depth, uint64_t hash, const entry *e) {
  branch **child = &b->children[nibble(hash, depth)];

  if (*child == NULL) {
    *child = iu__alloc_zero(1, sizeof **child);
    if (*child == NULL) return no_memory(t);
    (*child)->stale = true;
  }
  return branch_add(t, *child, depth + 1, hash, e);
}

static void drop_children(branch **children) {
  uint32_t i;

  for (i = 0; i < FANOUT; i++) {
    if (children[i] == NULL) continue;
    if (children[i]->children != NULL) drop_children(children[i]->children);
    iu__free(children[i]->entries);
    iu__free(children[i]);
  }
  iu__free(children);
}

static bool split(iu_hash_tree *t, branch *b, uint32_t depth) {
  uint32_t i;

  b->children = iu__alloc_zero(FANOUT, sizeof *b->children);
  if (b->children == NULL) return no_memory(t);
  for (i = 0; i < b->count; i++) {
    const entry *e = &b->entries[i];
    if (child_add(t, b, depth, iu__hash64(e->key, e->key_len), e)) continue;
    drop_children(b->children); /* the entries are still here */
    b->children = NULL;
    return false;
  }
  iu__free(b->entries);
  b->entries = NULL;
  b->room = 0;
  return true;
}

static bool branch_add(iu_hash_tree *t, branch *b, uint32_t depth, uint64_t hash, const entry *e) {
  bool found;
  uint32_t at;

  b->stale = true;
  if (b->children == NULL && b->count == BUCKET_MAX && depth < NIBBLES && !split(t, b, depth)) return false;
  if (b->children != NULL) {
    if (!child_add(t, b, depth, hash, e)) return false;
    b->count++;
    return true;
  }
  if (b->count == UINT32_MAX || !bucket_room(t, b, b->count + 1)) return false;
  at = place_of(b, e->key, e->key_len, &found);
  memmove(b->entries + at + 1, b->entries + at, (b->count - at) * sizeof *e);
  b->entries[at] = *e;
  b->count++;
  return true;
}

static void gather(const branch *b, entry *out, uint32_t *count) {
  uint32_t i;

  for (i = 0; b->children == NULL && i < b->count; i++) out[(*count)++] = b->entries[i];
  for (i = 0; b->children != NULL && i < FANOUT; i++)
    if (b->children[i] != NULL) gather(b->children[i], out, count);
}

/* Children that are few enough for a bucket become one. */
static bool join(iu_hash_tree *t, branch *b) {
  entry *entries = iu__realloc_array(NULL, BUCKET_MAX, sizeof *entries);
  uint32_t count = 0;

  if (entries == NULL) return no_memory(t);
  gather(b, entries, &count);
  qsort(entries, count, sizeof *entries, entry_order);
  drop_children(b->children);
  b->children = NULL;
  b->entries = entries;
  b->room = BUCKET_MAX;
  return true;
}

static entry *branch_find(branch *b, const char *key, uint32_t len) {
  uint64_t hash = iu__hash64(key, len);
  uint32_t depth, at;
  bool found;

  for (depth = 0; b != NULL && b->children != NULL; depth++) b = b->children[nibble(hash, depth)];
  if (b == NULL) return NULL;
  at = place_of(b, key, len, &found);
  return found ? &b->entries[at] : NULL;
}

static void mark(hash_node *n, const char *key, uint32_t len) {
  uint64_t hash = iu__hash64(key, len);
  branch *b = &n->top;
  uint32_t depth;

  n->stale = true;
  for (depth = 0; b->children != NULL; depth++) {
    b->stale = true;
    b = b->children[nibble(hash, depth)];
  }
  b->stale = true;
}

slot *iu__hash_member(hash_node *n, const char *key, size_t len) {
  entry *e = len <= UINT32_MAX ? branch_find(&n->top, key, (uint32_t)len) : NULL;

  if (e == NULL) return NULL;
  mark(n, key, (uint32_t)len);
  return &e->s;
}

bool iu__hash_add(iu_hash_tree *t, hash_node *n, const char *key, size_t len, const iu_json *value) {
  entry e = {key, (uint32_t)len, {{0}, {NULL}}};

  if (!iu__hash_slot_fill(t, &e.s, value)) return false;
  n->stale = true;
  if (branch_add(t, &n->top, 0, iu__hash64(key, len), &e)) return true;
  iu__hash_slot_clear(&e.s);
  return false;
}

static bool branch_delete(iu_hash_tree *t, branch *b, uint32_t depth, uint64_t hash, const char *key, uint32_t len) {
  bool found;
  uint32_t at;
  branch **child;

  b->stale = true;
  if (b->children == NULL) {
    at = place_of(b, key, len, &found);
    iu__hash_slot_clear(&b->entries[at].s);
    b->count--;
    memmove(b->entries + at, b->entries + at + 1, (b->count - at) * sizeof *b->entries);
    return true;
  }
  child = &b->children[nibble(hash, depth)];
  if (!branch_delete(t, *child, depth + 1, hash, key, len)) return false;
  b->count--;
  if ((*child)->count == 0) {
    iu__free((*child)->entries);
    iu__free(*child);
    *child = NULL;
  }
  return b->count > BUCKET_MAX || join(t, b);
}

bool iu__hash_delete(iu_hash_tree *t, hash_node *n, const char *key, size_t len, bool *found) {
  *found = len <= UINT32_MAX && branch_find(&n->top, key, (uint32_t)len) != NULL;
  if (!*found) return true;
  n->stale = true;
  return branch_delete(t, &n->top, 0, iu__hash64(key, len), key, (uint32_t)len);
}

/* ---- opening ---- */

static bool open_array(iu_hash_tree *t, hash_node *n, const iu_json *v) {
  if (!element_room(t, n, v->len)) return false;
  for (; n->count < v->len; n->count++)
    if (!iu__hash_slot_fill(t, &n->elements[n->count], &v->u.elements[n->count])) return false;
  return true;
}

static bool open_object(iu_hash_tree *t, hash_node *n, const iu_json *v) {
  branch *b = &n->top;
  uint32_t i;

  b->stale = true;
  if (v->len > BUCKET_MAX) {
    for (i = 0; i < v->len; i++)
      if (!iu__hash_add(t, n, v->u.members[i].key, v->u.members[i].key_len, &v->u.members[i].value)) return false;
    return true;
  }
  if (!bucket_room(t, b, v->len)) return false;
  for (; b->count < v->len; b->count++) {
    const iu_json_member *m = &v->u.members[b->count];
    entry *e = &b->entries[b->count];
    e->key = m->key;
    e->key_len = m->key_len;
    if (!iu__hash_slot_fill(t, &e->s, &m->value)) return false;
  }
  if (b->count > 1) qsort(b->entries, b->count, sizeof *b->entries, entry_order);
  return true;
}

static hash_node *open_node(iu_hash_tree *t, const iu_json *v) {
  hash_node *n = iu__alloc_zero(1, sizeof *n);

  if (n == NULL) {
    no_memory(t);
    return NULL;
  }
  n->token = v->token;
  n->stale = true;
  if (v->token == IU_J_ARRAY ? open_array(t, n, v) : open_object(t, n, v)) return n;
  free_node(n);
  return NULL;
}

hash_node *iu__hash_slot_open(iu_hash_tree *t, slot *s) {
  hash_node *n;

  if (s->v.token == OPENED) return s->x.node;
  n = open_node(t, &s->v);
  if (n == NULL) return NULL;
  iu__free(s->x.digest);
  memset(s, 0, sizeof *s);
  s->v.token = OPENED;
  s->x.node = n;
  return n;
}

/* Values in a tree, counted up to `limit`. */
static uint32_t values_in(const iu_json *v, uint32_t limit) {
  uint32_t count = 1, i;

  for (i = 0; iu__tree_is_container(v) && i < v->len && count < limit; i++)
    count += values_in(v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value, limit - count);
  return count;
}

bool iu__hash_slot_fill(iu_hash_tree *t, slot *s, const iu_json *v) {
  bool container = iu__tree_is_container(v), is_long = (v->token == IU_J_STRING || v->token == IU_J_BIGINT) && v->len > LONG_TEXT;
  bool done;

  s->v = *v;
  s->x.digest = NULL;
  if (!container && !is_long) return true;
  if (container && iu__hash_slot_open(t, s) == NULL) {
    s->v.token = IU_J_NULL;
    return false;
  }
  if (container && values_in(v, IU_HASH_TREE_LIGHT) >= IU_HASH_TREE_LIGHT) return true;
  {
    uint8_t *digest = iu__alloc(32);
    if (digest == NULL) {
      no_memory(t);
      done = false;
    } else if (container) {
      done = iu__hash_slot_digest(t, s, digest);
    } else {
      done = iu__hash_text(t, v->u.s, v->len, digest);
    }
    iu__hash_slot_clear(s);
    if (!done) {
      iu__free(digest);
      return false;
    }
    s->v = *v;
    s->x.digest = digest;
  }
  return true;
}
