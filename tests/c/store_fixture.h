/* store_fixture.h: a schema of three tables, rows for them, and a check of a store's inner order, for the store tests.
 *
 * item: id String primary, kind String, at Timestamp, score U64 unique, note String; indexes: id, kind, at, score, (kind, at).
 * pair: no primary key: a I32, b String; index: a.
 * odd:  key U64 primary, tag Option<String>, owner Identity, weight F64, big I128; indexes: tag, owner, weight, (big, weight) unique.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/base/alloc.h"
#include "../../core/base/errinj.h"
#include "../../core/store/internal.h"
#include "../../core/store/view.h"

enum { ITEM, PAIR, ODD, TABLES };
enum { ITEM_ID, ITEM_KIND, ITEM_AT, ITEM_SCORE, ITEM_KIND_AT };
enum { PAIR_A };
enum { ODD_TAG, ODD_OWNER, ODD_WEIGHT, ODD_BIG_WEIGHT };

typedef struct fixture {
  iu_typespace types;
  iu_schema schema;
  iu_table_def tables[TABLES];
  iu_index_def item_indexes[5], pair_indexes[1], odd_indexes[4];
} fixture;

static const uint16_t fixture_c0[] = {0}, fixture_c1[] = {1}, fixture_c2[] = {2}, fixture_c3[] = {3}, fixture_c12[] = {1, 2}, fixture_c43[] = {4, 3};

static inline iu_index_def fixture_index(const char *name, uint32_t count, const uint16_t *columns, bool unique) {
  iu_index_def d = {name, name, count, columns, unique};
  return d;
}

static inline const iu_type *fixture_product(fixture *f, uint32_t count, const char *const *names, const iu_type *const *types) {
  iu_field fields[8];
  const iu_type *t;
  uint32_t i;

  for (i = 0; i < count; i++) {
    fields[i].name = names[i];
    fields[i].type = types[i];
  }
  t = iu__type_product(&f->types, count, fields);
  assert_non_null(t);
  return t;
}

static inline void fixture_table(fixture *f, int table, const char *name, const iu_type *row, int32_t primary, uint32_t count, const iu_index_def *indexes) {
  iu_table_def *t = &f->tables[table];

  memset(t, 0, sizeof *t);
  t->name = name;
  t->row = row;
  t->primary_key = primary;
  t->is_public = true;
  t->index_count = count;
  t->indexes = indexes;
  t->schedule_reducer = -1;
}

static inline void fixture_init(fixture *f) {
  static const char *const item_names[] = {"id", "kind", "at", "score", "note"};
  static const char *const pair_names[] = {"a", "b"};
  static const char *const odd_names[] = {"key", "tag", "owner", "weight", "big"};
  const iu_type *text = iu__type_scalar(IU_T_STRING), *item[5], *pair[2], *odd[5];

  memset(f, 0, sizeof *f);
  item[0] = item[1] = item[4] = text;
  item[2] = iu__type_special(IU_S_TIMESTAMP);
  item[3] = iu__type_scalar(IU_T_U64);
  pair[0] = iu__type_scalar(IU_T_I32);
  pair[1] = text;
  odd[0] = iu__type_scalar(IU_T_U64);
  odd[1] = iu__type_option(&f->types, text);
  odd[2] = iu__type_special(IU_S_IDENTITY);
  odd[3] = iu__type_scalar(IU_T_F64);
  odd[4] = iu__type_scalar(IU_T_I128);
  f->item_indexes[ITEM_ID] = fixture_index("id", 1, fixture_c0, true);
  f->item_indexes[ITEM_KIND] = fixture_index("kind", 1, fixture_c1, false);
  f->item_indexes[ITEM_AT] = fixture_index("at", 1, fixture_c2, false);
  f->item_indexes[ITEM_SCORE] = fixture_index("score", 1, fixture_c3, true);
  f->item_indexes[ITEM_KIND_AT] = fixture_index("kind_at", 2, fixture_c12, false);
  f->pair_indexes[PAIR_A] = fixture_index("a", 1, fixture_c0, false);
  f->odd_indexes[ODD_TAG] = fixture_index("tag", 1, fixture_c1, false);
  f->odd_indexes[ODD_OWNER] = fixture_index("owner", 1, fixture_c2, false);
  f->odd_indexes[ODD_WEIGHT] = fixture_index("weight", 1, fixture_c3, false);
  f->odd_indexes[ODD_BIG_WEIGHT] = fixture_index("big_weight", 2, fixture_c43, true);
  fixture_table(f, ITEM, "item", fixture_product(f, 5, item_names, item), 0, 5, f->item_indexes);
  fixture_table(f, PAIR, "pair", fixture_product(f, 2, pair_names, pair), -1, 1, f->pair_indexes);
  fixture_table(f, ODD, "odd", fixture_product(f, 5, odd_names, odd), 0, 4, f->odd_indexes);
  assert_int_equal(iu__typespace_link(&f->types, NULL), IU_OK);
  f->schema.table_count = TABLES;
  f->schema.tables = f->tables;
}

static inline void fixture_free(fixture *f) { iu__typespace_free(&f->types); }

static inline iu_store *fixture_store(fixture *f) {
  iu_store *s;
  iu_error err;

  assert_int_equal(iu__store_new(&f->schema, &s, &err), IU_OK);
  return s;
}

/* ---- rows: bytes in a buffer that is emptied first ---- */

static inline void put_text(iu_buf *b, const char *text) { iu__buf_put_bytes(b, text, strlen(text)); }

static inline iu_buf *item_row(iu_buf *b, const char *id, const char *kind, int64_t at, uint64_t score, const char *note) {
  iu__buf_reset(b);
  put_text(b, id);
  put_text(b, kind);
  iu__buf_put_u64(b, (uint64_t)at);
  iu__buf_put_u64(b, score);
  put_text(b, note);
  assert_int_equal(b->failed, 0);
  return b;
}

static inline iu_buf *pair_row(iu_buf *b, int32_t a, const char *text) {
  iu__buf_reset(b);
  iu__buf_put_u32(b, (uint32_t)a);
  put_text(b, text);
  assert_int_equal(b->failed, 0);
  return b;
}

static inline iu_slice slice_of(const iu_buf *b) {
  iu_slice s = {b->data, b->len};
  return s;
}

static inline iu_slice text_key(iu_buf *b, const char *text) {
  iu__buf_reset(b);
  put_text(b, text);
  return slice_of(b);
}

/* ---- random numbers ---- */

static inline uint64_t rng_next(uint64_t *state) {
  uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}
static inline uint32_t rng_below(uint64_t *state, uint32_t n) { return (uint32_t)(rng_next(state) >> 32) % n; }

/* ---- what must hold inside ---- */

static inline uint64_t check_window(const iu_node *n, const uint8_t norm[IU_NORM_SIZE]) {
  uint64_t w = 0;
  int i;

  assert_memory_equal(norm, n->common, n->skip);
  for (i = 0; i < 8; i++) w = w << 8 | norm[n->skip + i];
  return w;
}

static inline void check_node(const iu_tree *t, const iu_node *n, unsigned base) {
  uint8_t norm[IU_NORM_SIZE];
  unsigned i;

  assert_in_range(n->count, 1, IU_NODE_SLOTS);
  assert_in_range(n->skip, 0, IU_SKIP_MAX);
  for (i = base; i < n->count; i++) {
    iu__key_norm(t->key, n->row[i], norm);
    assert_true(n->window[i] == check_window(n, norm));
    if (base != 0) assert_memory_equal(((const iu_inner *)(const void *)n)->norm[i], norm, IU_NORM_SIZE);
    if (i > base) assert_true(iu__key_compare_rows(t->key, n->row[i - 1], n->row[i]) < 0);
  }
}

/* Returns the first row under the node. */
static inline const iu_row *check_subtree(const iu_tree *t, const void *node, uint32_t height, uint64_t *rows, const iu_leaf **expected) {
  const iu_inner *inner = node;
  const iu_row *first = NULL;
  unsigned i;

  if (height == 0) {
    const iu_leaf *leaf = node;
    check_node(t, &leaf->node, 0);
    assert_ptr_equal(leaf, *expected);
    if (leaf->next != NULL) {
      assert_ptr_equal(leaf->next->prev, leaf);
      assert_true(iu__key_compare_rows(t->key, leaf->node.row[leaf->node.count - 1], leaf->next->node.row[0]) < 0);
    } else {
      assert_ptr_equal(t->last, leaf);
    }
    *expected = leaf->next;
    *rows += leaf->node.count;
    return leaf->node.row[0];
  }
  check_node(t, &inner->node, 1);
  for (i = 0; i < inner->node.count; i++) {
    const iu_row *f = check_subtree(t, inner->child[i], height - 1, rows, expected);
    if (i > 0) assert_ptr_equal(f, inner->node.row[i]);
    else first = f;
  }
  return first;
}

static inline void check_tree(const iu_tree *t) {
  const iu_leaf *expected = t->first;
  uint64_t rows = 0;

  if (t->root == NULL) assert_true(t->first == NULL && t->last == NULL && t->height == 0 && t->leaves == 0 && t->inners == 0);
  else (void)check_subtree(t, t->root, t->height, &rows, &expected);
  assert_null(expected);
  assert_true(rows == t->count);
}

/* All trees are in order and hold the same rows; every visible row is its keys' entry in every map; the counts are right. */
static inline void check_store(const iu_store *s) {
  uint64_t stored = 0;
  uint32_t i, j;

  for (i = 0; i < s->table_count; i++) {
    const iu_table *t = &s->tables[i];
    const iu_leaf *leaf;
    uint64_t live = 0, entries = 0;
    for (j = 0; j < t->tree_count; j++) {
      check_tree(&t->trees[j]);
      assert_true(t->trees[j].count == t->trees[0].count);
    }
    for (leaf = t->trees[0].first; leaf != NULL; leaf = leaf->next) {
      unsigned k;
      for (k = 0; k < leaf->node.count; k++) {
        const iu_row *row = leaf->node.row[k];
        for (j = iu__table_first_map(t); j < t->map_count; j++) {
          bool is_entry = iu__keymap_at(&t->maps[j], iu__keymap_slot(&t->maps[j], row)) == row;
          if (row->gone == IU_GONE_NEVER) assert_true(is_entry);
          if (j == 0) entries += is_entry;
        }
        live += row->gone == IU_GONE_NEVER;
      }
    }
    assert_true(live == t->live);
    assert_true(entries == t->maps[0].used);
    if (!s->in_tx) assert_true(t->live == t->committed);
    stored += t->trees[0].count;
  }
  assert_true(stored + s->orphans <= s->rows);
  if (s->limbo == NULL) assert_true(stored + s->orphans == s->rows);
}

#endif
