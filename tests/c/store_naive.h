/* store_naive.h: tables as plain arrays of row bytes, and what an ordered, bounded read of one must give. Slow and obvious: the measure for the
 * store's tests. Compares with iu__bsatn_compare only. Also random rows and ranges for the tables of store_fixture.h.
 */
#ifndef STORE_NAIVE_H
#define STORE_NAIVE_H

#include "store_fixture.h"

typedef struct bytes { uint8_t *p; size_t len; } bytes;
typedef struct rowset { bytes *rows; size_t count, cap; } rowset; /* owns its rows */

static inline bytes bytes_copy(const void *p, size_t len) {
  bytes b = {malloc(len + 1), len};

  assert_non_null(b.p);
  if (len != 0) memcpy(b.p, p, len);
  return b;
}

static inline bool bytes_equal(bytes a, const void *p, size_t len) { return a.len == len && (len == 0 || memcmp(a.p, p, len) == 0); }

static inline void rowset_add(rowset *s, const void *p, size_t len) {
  if (s->count == s->cap) {
    s->cap = s->cap != 0 ? s->cap * 2 : 16;
    s->rows = realloc(s->rows, s->cap * sizeof *s->rows);
    assert_non_null(s->rows);
  }
  s->rows[s->count++] = bytes_copy(p, len);
}

static inline void rowset_remove(rowset *s, size_t i) {
  free(s->rows[i].p);
  s->rows[i] = s->rows[--s->count];
}

static inline void rowset_free(rowset *s) {
  size_t i;

  for (i = 0; i < s->count; i++) free(s->rows[i].p);
  free(s->rows);
  memset(s, 0, sizeof *s);
}

static inline rowset rowset_copy(const rowset *s) {
  rowset c = {NULL, 0, 0};
  size_t i;

  for (i = 0; i < s->count; i++) rowset_add(&c, s->rows[i].p, s->rows[i].len);
  return c;
}

static inline int rowset_find(const rowset *s, const void *p, size_t len) {
  size_t i;

  for (i = 0; i < s->count; i++)
    if (bytes_equal(s->rows[i], p, len)) return (int)i;
  return -1;
}

/* ---- keys ---- */

static inline iu_slice column_of(const iu_table_def *def, uint32_t column, bytes row) { return iu__bsatn_column(def->row, column, row.p, row.len); }

static inline int compare_column(const iu_table_def *def, uint32_t column, bytes a, bytes b) {
  return iu__bsatn_compare(def->row->u.fields[column].type, column_of(def, column, a), column_of(def, column, b));
}

/* The columns of an index or of the primary order. */
static inline uint32_t index_columns(const iu_table_def *def, uint32_t index, uint32_t out[8]) {
  uint32_t i, n;

  if (index != IU_INDEX_MAIN) {
    n = def->indexes[index].column_count;
    for (i = 0; i < n; i++) out[i] = def->indexes[index].columns[i];
    return n;
  }
  if (def->primary_key >= 0) {
    out[0] = (uint32_t)def->primary_key;
    return 1;
  }
  for (i = 0; i < def->row->count; i++) out[i] = i;
  return def->row->count;
}

static inline int compare_rows(const iu_table_def *def, uint32_t index, bytes a, bytes b) {
  uint32_t columns[8], n = index_columns(def, index, columns), i;
  int c = 0;

  for (i = 0; i < n && c == 0; i++) c = compare_column(def, columns[i], a, b);
  if (c == 0) {
    n = index_columns(def, IU_INDEX_MAIN, columns);
    for (i = 0; i < n && c == 0; i++) c = compare_column(def, columns[i], a, b);
  }
  return c;
}

static inline bool same_key(const iu_table_def *def, uint32_t index, bytes a, bytes b) {
  uint32_t columns[8], n = index_columns(def, index, columns), i;

  for (i = 0; i < n; i++) {
    iu_slice x = column_of(def, columns[i], a), y = column_of(def, columns[i], b);
    if (x.len != y.len || (x.len != 0 && memcmp(x.p, y.p, x.len) != 0)) return false;
  }
  return true;
}

/* Where a row with the same key is; unique indexes and IU_INDEX_MAIN only. */
static inline int find_same_key(const iu_table_def *def, uint32_t index, const rowset *s, bytes row) {
  size_t i;

  for (i = 0; i < s->count; i++)
    if (same_key(def, index, s->rows[i], row)) return (int)i;
  return -1;
}

/* The bytes of the first `count` index columns of a row. */
static inline void key_of(const iu_table_def *def, uint32_t index, uint32_t first, uint32_t count, bytes row, iu_buf *out) {
  uint32_t columns[8], i;

  (void)index_columns(def, index, columns);
  for (i = first; i < first + count; i++) {
    iu_slice v = column_of(def, columns[i], row);
    iu__buf_put(out, v.p, v.len);
  }
}

/* ---- ranges ---- */

typedef struct test_range { iu_range range; iu_buf prefix, low, high; bool none; } test_range;

static inline void test_range_free(test_range *r) {
  iu__buf_free(&r->prefix);
  iu__buf_free(&r->low);
  iu__buf_free(&r->high);
}

static inline bool in_range(const iu_table_def *def, uint32_t index, const iu_range *r, bytes row) {
  uint32_t columns[8], n = index_columns(def, index, columns), i;
  iu_reader reader = iu__reader(r->prefix.p, r->prefix.len);

  for (i = 0; i < r->prefix_columns; i++) {
    const iu_type *t = def->row->u.fields[columns[i]].type;
    iu_slice v = {reader.p, 0};
    assert_int_equal(iu__bsatn_check(t, &reader, NULL), IU_OK);
    v.len = (size_t)(reader.p - v.p);
    if (iu__bsatn_compare(t, column_of(def, columns[i], row), v) != 0) return false;
  }
  if (i == n) return true;
  if (r->low.kind != IU_BOUND_UNBOUNDED) {
    int c = iu__bsatn_compare(def->row->u.fields[columns[i]].type, column_of(def, columns[i], row), r->low.key);
    if (c < 0 || (c == 0 && r->low.kind == IU_BOUND_EXCLUDED)) return false;
  }
  if (r->high.kind != IU_BOUND_UNBOUNDED) {
    int c = iu__bsatn_compare(def->row->u.fields[columns[i]].type, column_of(def, columns[i], row), r->high.key);
    if (c > 0 || (c == 0 && r->high.kind == IU_BOUND_EXCLUDED)) return false;
  }
  return true;
}

typedef struct naive_order { const iu_table_def *def; uint32_t index; bool descending; } naive_order;

static inline int by_naive_order(const void *a, const void *b, void *order) {
  const naive_order *o = order;
  int c = compare_rows(o->def, o->index, *(const bytes *)a, *(const bytes *)b);

  return o->descending ? -c : c;
}

/* The rows an iterator must give, in order. */
static inline rowset naive_select(const iu_table_def *def, uint32_t index, const iu_range *r, bool descending, const rowset *from) {
  naive_order order = {def, index, descending};
  rowset out = {NULL, 0, 0};
  size_t i;

  for (i = 0; i < from->count; i++)
    if (r == NULL || in_range(def, index, r, from->rows[i])) rowset_add(&out, from->rows[i].p, from->rows[i].len);
  if (out.count > 1) qsort_r(out.rows, out.count, sizeof *out.rows, by_naive_order, &order);
  return out;
}

/* ---- random rows from a small domain, so that keys meet often ---- */

static inline void put_random_text(iu_buf *b, uint64_t *rng, uint32_t kinds) {
  static const char *const texts[] = {"", "a", "ab", "b", "Person", "Place", "Pers", "Person2",
                                      "the same beginning for more than sixty-four bytes, so that probes end inside it: 1",
                                      "the same beginning for more than sixty-four bytes, so that probes end inside it: 2"};
  static const uint8_t odd[][3] = {{0, 0, 0}, {1, 0, 0}, {'a', 0, 0}, {'a', 1, 0}, {'a', 2, 0}, {'a', 0, 1}};
  uint32_t pick = rng_below(rng, kinds);

  if (pick < 10) {
    put_text(b, texts[pick]);
  } else if (pick < 16) {
    iu__buf_put_bytes(b, odd[pick - 10], 1 + rng_below(rng, 3));
  } else {
    char id[40];
    snprintf(id, sizeof id, "0197f3a2-1b4c-7000-8000-%012u", pick);
    put_text(b, id);
  }
}

static inline void put_random_f64(iu_buf *b, uint64_t *rng) {
  static const uint64_t bits[] = {0, UINT64_C(1) << 63, UINT64_C(0x3ff0000000000000), UINT64_C(0xbff0000000000000), UINT64_C(0x7ff0000000000000),
                                  UINT64_C(0xfff0000000000000), UINT64_C(0x7ff8000000000000), UINT64_C(0xfff8000000000000), 1};
  iu__buf_put_u64(b, bits[rng_below(rng, 9)]);
}

static uint32_t naive_ids = 60; /* how many primary keys random rows of ITEM and ODD take */

static inline void random_row(int table, iu_buf *b, uint64_t *rng) {
  uint64_t x;

  iu__buf_reset(b);
  if (table == ITEM) {
    put_random_text(b, rng, naive_ids);
    put_random_text(b, rng, 14);
    iu__buf_put_u64(b, (uint64_t)((int64_t)rng_below(rng, 7) - 3));
    iu__buf_put_u64(b, rng_below(rng, 8) == 0 ? rng_next(rng) : rng_below(rng, naive_ids + naive_ids / 2));
    put_random_text(b, rng, 3);
  } else if (table == PAIR) {
    iu__buf_put_u32(b, (uint32_t)((int32_t)rng_below(rng, 9) - 4));
    put_random_text(b, rng, 16);
  } else {
    iu__buf_put_u64(b, rng_below(rng, naive_ids));
    if (rng_below(rng, 3) == 0) {
      iu__buf_put_u8(b, 1);
    } else {
      iu__buf_put_u8(b, 0);
      put_random_text(b, rng, 14);
    }
    x = rng_below(rng, 3);
    iu__buf_put_u64(b, x);
    iu__buf_put_u64(b, rng_below(rng, 2));
    iu__buf_put_u64(b, 0);
    iu__buf_put_u64(b, (uint64_t)rng_below(rng, 3) << 62);
    put_random_f64(b, rng);
    iu__buf_put_u64(b, rng_below(rng, 5 + naive_ids / 4));
    iu__buf_put_u64(b, (uint64_t)((int64_t)rng_below(rng, 3) - 1));
  }
  assert_int_equal(b->failed, 0);
}

static inline uint32_t random_index(const iu_table_def *def, uint64_t *rng) {
  uint32_t pick = rng_below(rng, def->index_count + 1);
  return pick == def->index_count ? IU_INDEX_MAIN : pick;
}

static inline void random_bound(const iu_table_def *def, int table, uint32_t index, uint32_t column, iu_bound_kind kind, iu_bound *bound, iu_buf *key,
                                uint64_t *rng) {
  iu_buf row = {0};

  bound->kind = kind;
  if (kind == IU_BOUND_UNBOUNDED) return;
  random_row(table, &row, rng);
  key_of(def, index, column, 1, (bytes){row.data, row.len}, key);
  bound->key = slice_of(key);
  iu__buf_free(&row);
}

/* Prefix of the given number of columns taken from a random row; low and high of the given kinds. */
static inline void make_range(test_range *r, int table, const iu_table_def *def, uint32_t index, uint32_t prefix, iu_bound_kind low, iu_bound_kind high,
                              uint64_t *rng) {
  uint32_t columns[8], n = index_columns(def, index, columns);
  iu_buf row = {0};

  memset(r, 0, sizeof *r);
  random_row(table, &row, rng);
  key_of(def, index, 0, prefix, (bytes){row.data, row.len}, &r->prefix);
  r->range.prefix = slice_of(&r->prefix);
  r->range.prefix_columns = prefix;
  r->range.low.kind = r->range.high.kind = IU_BOUND_UNBOUNDED;
  if (prefix < n) {
    random_bound(def, table, index, prefix, low, &r->range.low, &r->low, rng);
    random_bound(def, table, index, prefix, high, &r->range.high, &r->high, rng);
  }
  iu__buf_free(&row);
}

static inline void random_range(test_range *r, int table, const iu_table_def *def, uint32_t index, uint64_t *rng) {
  uint32_t columns[8], n = index_columns(def, index, columns);

  make_range(r, table, def, index, rng_below(rng, n + 1), (iu_bound_kind)rng_below(rng, 3), (iu_bound_kind)rng_below(rng, 3), rng);
  r->none = rng_below(rng, 4) == 0;
}

static inline const iu_range *range_of(const test_range *r) { return r->none ? NULL : &r->range; }

#endif
