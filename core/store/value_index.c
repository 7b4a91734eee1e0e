/* value_index.c: see value_index.h.
 *
 * The tree's pointers are entries: memory with a row and its value, or, where the value is one small byte, the row's address with that byte in its
 * lowest bits. The tree follows neither.
 */
#include "value_index.h"

#include <assert.h>

#include "../base/alloc.h"
#include "internal.h"

#define TAG_MASK ((uintptr_t)IU_VALUE_TAG_MAX)

typedef struct entry { const iu_row *row; uint32_t len; uint8_t value[]; } entry;
#define ENTRY_HEAD offsetof(entry, value)
typedef union room { entry e; uint8_t bytes[ENTRY_HEAD + IU_VALUE_BYTES_MAX]; } room; /* an entry to look with */

struct iu_value_index {
  iu_key key;
  const iu_key *main;   /* the table's primary order */
  iu_tree tree;
  uint64_t entry_bytes;
};

/* ---- entries ---- */

static uintptr_t tag_of(const iu_row *pointer) { return (uintptr_t)pointer & TAG_MASK; }

static const iu_row *row_of(const iu_row *pointer) {
  if (tag_of(pointer) != 0) return (const iu_row *)((uintptr_t)pointer & ~TAG_MASK);
  return ((const entry *)(const void *)pointer)->row;
}

/* *tag: where the byte of a value without memory is put. */
static iu_slice value_of(const iu_row *pointer, uint8_t *tag) {
  const entry *e = (const entry *)(const void *)pointer;
  iu_slice v = {tag, 1};

  *tag = (uint8_t)tag_of(pointer);
  if (*tag != 0) return v;
  v.p = e->value;
  v.len = e->len;
  return v;
}

static bool is_tag(iu_slice value) { return value.len == 1 && value.p[0] >= 1 && value.p[0] <= IU_VALUE_TAG_MAX; }
static iu_row *tagged(const iu_row *row, uint8_t tag) { return (iu_row *)((uintptr_t)row | tag); }

static void fill(entry *e, const iu_row *row, iu_slice value) {
  e->row = row;
  e->len = (uint32_t)value.len;
  memcpy(e->value, value.p, value.len);
}

/* ---- order ---- */

static int compare_bytes(iu_slice a, iu_slice b) {
  int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
  return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static const iu_key *main_of(const iu_key *k) { return ((const iu_value_index *)(const void *)k)->main; /* key is the first member */ }

static void norm(const iu_key *k, const iu_row *pointer, uint8_t out[IU_NORM_SIZE]) {
  uint8_t tag;
  iu_slice v = value_of(pointer, &tag);
  size_t n = v.len < IU_NORM_SIZE ? v.len : IU_NORM_SIZE;

  memcpy(out, v.p, n);
  iu__key_norm_from(main_of(k), row_of(pointer), out, n);
}

static int compare(const iu_key *k, const iu_row *a, const iu_row *b) {
  uint8_t ta, tb;
  int c = compare_bytes(value_of(a, &ta), value_of(b, &tb));
  return c != 0 ? c : iu__key_compare_rows(main_of(k), row_of(a), row_of(b));
}

static int compare_value(const iu_probe *p, const iu_row *pointer) {
  iu_slice wanted = {p->bytes, p->len};
  uint8_t tag;
  return compare_bytes(wanted, value_of(pointer, &tag)) > 0 ? 1 : -1;
}

static const iu_key_ops ops = {norm, compare, compare_value};

/* The place before all values that are not before these bytes. */
static void probe_bytes(iu_probe *p, const iu_value_index *x, iu_slice bytes) {
  size_t n = bytes.len < IU_NORM_SIZE ? bytes.len : IU_NORM_SIZE;

  memset(p, 0, sizeof *p);
  p->key = &x->key;
  p->bytes = bytes.p;
  p->len = bytes.len;
  if (n != 0) memcpy(p->norm, bytes.p, n);
}

/* ---- life ---- */

iu_status iu__value_index_new(iu_table *t, iu_value_index **out, iu_error *err) {
  iu_value_index *x = iu__alloc_zero(1, sizeof *x);

  *out = x;
  if (x == NULL) return iu__fail_nomem(err);
  x->key.ops = &ops;
  x->main = &t->keys[0];
  iu__tree_init(&x->tree, &x->key);
  return IU_OK;
}

void iu__value_index_clear(iu_value_index *x) {
  iu_leaf *leaf;
  unsigned i;

  for (leaf = x->tree.first; leaf != NULL; leaf = leaf->next)
    for (i = 0; i < leaf->node.count; i++)
      if (tag_of(leaf->node.row[i]) == 0) iu__free(leaf->node.row[i]);
  iu__tree_free(&x->tree);
  x->entry_bytes = 0;
}

void iu__value_index_free(iu_value_index *x) {
  if (x == NULL) return;
  iu__value_index_clear(x);
  iu__free(x);
}

uint64_t iu__value_index_count(const iu_value_index *x) { return x->tree.count; }
uint64_t iu__value_index_bytes(const iu_value_index *x) { return sizeof *x + iu__tree_bytes(&x->tree) + x->entry_bytes; }

/* ---- changes ---- */

bool iu__value_index_add(iu_value_index *x, const iu_row *row, iu_slice value) {
  entry *e;

  assert(value.len >= 1 && value.len <= IU_VALUE_BYTES_MAX);
  if (is_tag(value)) return iu__tree_insert(&x->tree, tagged(row, value.p[0]));
  e = iu__alloc(ENTRY_HEAD + value.len);
  if (e == NULL) return false;
  fill(e, row, value);
  if (!iu__tree_insert(&x->tree, (iu_row *)(void *)e)) {
    iu__free(e);
    return false;
  }
  x->entry_bytes += ENTRY_HEAD + value.len;
  return true;
}

/* The tree's pointer of that row with that value, or NULL. */
static iu_row *find(const iu_value_index *x, const iu_row *row, iu_slice value) {
  room looking;
  iu_probe p;
  iu_leaf *leaf;
  unsigned pos;

  fill(&looking.e, row, value);
  iu__probe_row(&p, &x->key, (const iu_row *)(const void *)&looking.e);
  iu__tree_seek(&x->tree, &p, &leaf, &pos);
  if (leaf == NULL || row_of(leaf->node.row[pos]) != row) return NULL;
  return leaf->node.row[pos];
}

bool iu__value_index_remove(iu_value_index *x, const iu_row *row, iu_slice value) {
  iu_row *there = find(x, row, value);

  if (there == NULL) return false;
  iu__tree_remove(&x->tree, there);
  if (tag_of(there) != 0) return true;
  x->entry_bytes -= ENTRY_HEAD + value.len;
  iu__free(there);
  return true;
}

bool iu__value_index_replace(iu_value_index *x, const iu_row *old_row, const iu_row *new_row, iu_slice value) {
  iu_row *there = find(x, old_row, value);

  if (there == NULL) return false;
  if (tag_of(there) == 0 && iu__key_compare_columns(x->main, old_row, new_row) == 0) {
    ((entry *)(void *)there)->row = new_row; /* the same place */
    return true;
  }
  return iu__value_index_remove(x, old_row, value) && iu__value_index_add(x, new_row, value);
}

/* ---- spans ---- */

typedef struct ends { bool has_low, has_high; iu_probe low, high; } ends;

static void ends_of(ends *e, const iu_value_index *x, const iu_value_span *span) {
  e->has_low = span->low.len != 0;
  e->has_high = span->high.len != 0;
  if (e->has_low) probe_bytes(&e->low, x, span->low);
  if (e->has_high) probe_bytes(&e->high, x, span->high);
}

uint64_t iu__value_index_span_count(const iu_value_index *x, const iu_value_span *span, uint64_t most) {
  ends e;

  ends_of(&e, x, span);
  return iu__tree_count_between(&x->tree, e.has_low ? &e.low : NULL, e.has_high ? &e.high : NULL, most);
}

/* What of the leaf is in the span, on the side the walk goes to. */
static void enter(iu_value_walk *w) {
  const iu_node *n = &((const iu_leaf *)w->leaf)->node;
  iu_slice bound = w->descending ? w->span.low : w->span.high;
  iu_probe p;

  w->stop = w->descending ? 0 : n->count;
  if (bound.len == 0) return;
  probe_bytes(&p, w->index, bound);
  w->stop = iu__node_lower(n, 0, &p);
}

void iu__value_walk_begin(iu_value_walk *w, const iu_value_index *x, const iu_value_span *span, bool descending) {
  iu_slice from = descending ? span->high : span->low;
  iu_leaf *leaf = descending ? NULL : x->tree.first;
  iu_probe p;

  memset(w, 0, sizeof *w);
  w->index = x;
  w->span = *span;
  w->descending = descending;
  if (from.len != 0) {
    probe_bytes(&p, x, from);
    iu__tree_seek(&x->tree, &p, &leaf, &w->pos);
  }
  if (descending && leaf == NULL) {
    leaf = x->tree.last;
    w->pos = leaf != NULL ? leaf->node.count : 0;
  }
  w->leaf = leaf;
  if (leaf != NULL) enter(w);
}

const iu_row *iu__value_walk_next(iu_value_walk *w) {
  const iu_leaf *leaf = w->leaf;

  while (leaf != NULL && (w->descending ? w->pos <= w->stop : w->pos >= w->stop)) {
    bool ended = w->descending ? w->stop > 0 : w->stop < leaf->node.count;
    w->leaf = leaf = ended ? NULL : w->descending ? leaf->prev : leaf->next;
    if (leaf == NULL) return NULL;
    w->pos = w->descending ? leaf->node.count : 0;
    enter(w);
  }
  if (leaf == NULL) return NULL;
  return row_of(leaf->node.row[w->descending ? --w->pos : w->pos++]);
}
