/* kept.c: the bounded heap and the merge sort of kept.h. */
#include "kept.h"

#include <math.h>

#include "../base/alloc.h"
#include "../base/text.h"

#define FIRST_CAPACITY 64

iu_status iu__kept_init(iu_kept *k, iu_arena *arena, const iu_table_def *table, uint64_t bound, bool descending, iu_error *err) {
  uint32_t column;
  memset(k, 0, sizeof *k);
  k->bound = bound;
  k->descending = descending;
  k->row_type = table->row;
  if (table->primary_key < 0) return IU_OK;
  k->has_key = true;
  column = (uint32_t)table->primary_key;
  k->key_scalar = iu__scalar_of(table->row->u.fields[column].type);
  if (k->key_scalar.cls == IU_SC_F32 || k->key_scalar.cls == IU_SC_F64) k->key_scalar.cls = IU_SC_NONE; /* an index tells zeros apart */
  return iu__locator_init(&k->key, arena, table->row, &column, 1, err);
}

static void drop(iu_kept_row *r) {
  if (r->value.owned) iu__free((void *)(uintptr_t)r->value.u.s);
}

void iu__kept_clear(iu_kept *k) {
  for (uint64_t i = 0; i < k->count; i++) drop(&k->rows[i]);
  k->count = 0;
  k->heap = false;
}

void iu__kept_free(iu_kept *k) {
  iu__kept_clear(k);
  iu__free(k->rows);
  k->rows = NULL;
  k->capacity = 0;
}

/* ---- order ---- */

static int compare_rows(const iu_kept *k, const iu_row *a, const iu_row *b) {
  iu_slice x = {a->data, a->len}, y = {b->data, b->len};
  if (!k->has_key) return iu__bsatn_compare(k->row_type, x, y);
  if (!iu__locate(&k->key, a->data, a->len, &x) || !iu__locate(&k->key, b->data, b->len, &y)) return 0;
  return k->key_scalar.cls != IU_SC_NONE ? iu__scalar_compare(k->key_scalar, x, y) : iu__bsatn_compare(k->key.type, x, y);
}

static int compare_values(const iu_kept *k, const iu_kept_row *a, const iu_kept_row *b) {
  int c = a->prefix != b->prefix ? (a->prefix < b->prefix ? -1 : 1) : iu__fv_rank_compare(&a->value, &b->value);
  return k->descending ? -c : c;
}

static int compare(const iu_kept *k, const iu_kept_row *a, const iu_kept_row *b) {
  int c = compare_values(k, a, b);
  if (c != 0) return c;
  return k->by_key ? 0 : compare_rows(k, a->row, b->row);
}

/* ---- prefixes: three bits of kind, 61 of value; equal ones say nothing ---- */

static uint64_t number_bits(const iu_fv *v) {
  double d = 0;
  uint64_t bits;
  if (v->kind == IU_FV_INT) d = (double)v->u.i; /* rounding keeps the order */
  else if (v->kind == IU_FV_DOUBLE) d = v->u.d;
  else iu__f64_parse(v->u.s, v->len, &d);
  d += 0.0; /* -0.0 equals 0.0 */
  memcpy(&bits, &d, sizeof bits);
  return bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t string_bits(const iu_fv *v) {
  uint64_t bits = 0;
  for (size_t i = 0; i < 8; i++) bits = bits << 8 | (i < v->len ? (uint8_t)v->u.s[i] : 0);
  return bits;
}

static uint64_t prefix_of(const iu_fv *v) {
  uint64_t rank = (uint64_t)iu__fv_rank(v) << 61;
  if (v->kind == IU_FV_STRING) return rank | string_bits(v) >> 3;
  if (v->kind == IU_FV_BOOL) return rank | v->u.b;
  return iu__fv_is_number(v) && !(v->kind == IU_FV_DOUBLE && isnan(v->u.d)) ? rank | number_bits(v) >> 3 : rank; /* all NaNs are alike */
}

/* ---- heap: the last in order on top ---- */

static void sift_down(iu_kept *k, uint64_t at) {
  iu_kept_row moving = k->rows[at];
  for (;;) {
    uint64_t child = 2 * at + 1;
    if (child >= k->count) break;
    if (child + 1 < k->count && compare(k, &k->rows[child + 1], &k->rows[child]) > 0) child++;
    if (compare(k, &k->rows[child], &moving) <= 0) break;
    k->rows[at] = k->rows[child];
    at = child;
  }
  k->rows[at] = moving;
}

static void make_heap(iu_kept *k) {
  for (uint64_t i = k->count / 2; i-- > 0;) sift_down(k, i);
  k->heap = true;
}

/* ---- adding ---- */

/* A text outside the row is copied; of arrays and objects only the kind counts. */
static iu_status own(iu_kept_row *r, iu_error *err) {
  iu_fv *v = &r->value;
  const char *row = (const char *)r->row->data;
  char *copy;
  if (v->kind > IU_FV_STRING) v->len = 0;
  if (v->kind != IU_FV_STRING && v->kind != IU_FV_BIG) return IU_OK;
  if ((uintptr_t)v->u.s >= (uintptr_t)row && (uintptr_t)v->u.s + v->len <= (uintptr_t)row + r->row->len) return IU_OK;
  copy = iu__strndup(v->u.s, v->len);
  if (copy == NULL) return iu__fail_nomem(err);
  v->u.s = copy;
  v->owned = true;
  return IU_OK;
}

static iu_status grow(iu_kept *k, iu_error *err) {
  uint64_t capacity = k->capacity == 0 ? FIRST_CAPACITY : k->capacity * 2;
  iu_kept_row *rows = capacity > SIZE_MAX / sizeof *rows ? NULL : iu__realloc_array(k->rows, (size_t)capacity, sizeof *rows);
  if (rows == NULL) return iu__fail_nomem(err);
  k->rows = rows;
  k->capacity = capacity;
  return IU_OK;
}

iu_status iu__kept_add(iu_kept *k, const iu_row *row, const iu_fv *value, iu_error *err) {
  iu_kept_row r = {row, prefix_of(value), *value};
  iu_status status;
  r.value.owned = false;
  if (k->count == k->bound) {
    if (k->bound == 0) return IU_OK;
    if (!k->heap) make_heap(k);
    if (compare(k, &r, &k->rows[0]) >= 0) return IU_OK;
    if ((status = own(&r, err)) != IU_OK) return status;
    drop(&k->rows[0]);
    k->rows[0] = r;
    sift_down(k, 0);
    return IU_OK;
  }
  if (k->count == k->capacity && (status = grow(k, err)) != IU_OK) return status;
  if ((status = own(&r, err)) != IU_OK) return status;
  k->rows[k->count++] = r;
  return IU_OK;
}

bool iu__kept_past(iu_kept *k, const iu_fv *value) {
  iu_kept_row r = {NULL, prefix_of(value), *value};
  if (k->count < k->bound || k->count == 0) return false;
  if (!k->heap) make_heap(k);
  return compare_values(k, &r, &k->rows[0]) > 0;
}

/* ---- sorting: merging the runs that are there ---- */

static uint64_t run_end(const iu_kept *k, const iu_kept_row *rows, uint64_t start) {
  uint64_t end = start + 1;
  while (end < k->count && compare(k, &rows[end - 1], &rows[end]) <= 0) end++;
  return end;
}

/* Runs that fall are turned round first: rows that came in the opposite order are a common case. */
static void turn_falling_runs(iu_kept *k) {
  for (uint64_t start = 0; start + 1 < k->count;) {
    uint64_t end = start + 1;
    while (end < k->count && compare(k, &k->rows[end - 1], &k->rows[end]) > 0) end++;
    for (uint64_t a = start, b = end - 1; a < b; a++, b--) {
      iu_kept_row swap = k->rows[a];
      k->rows[a] = k->rows[b];
      k->rows[b] = swap;
    }
    start = end;
  }
}

/* One pass: pairs of runs of `from` become single ones in `to`. Returns how many runs there were. */
static uint64_t merge_pass(const iu_kept *k, const iu_kept_row *from, iu_kept_row *to) {
  uint64_t runs = 0, out = 0;
  while (out < k->count) {
    uint64_t a = out, a_end = run_end(k, from, a), b = a_end;
    uint64_t b_end = b < k->count ? run_end(k, from, b) : b;
    runs += b < b_end ? 2 : 1;
    while (a < a_end && b < b_end) to[out++] = compare(k, &from[a], &from[b]) <= 0 ? from[a++] : from[b++];
    while (a < a_end) to[out++] = from[a++];
    while (b < b_end) to[out++] = from[b++];
  }
  return runs;
}

static bool keys_in_order(const iu_kept *k) {
  for (uint64_t i = 1; i < k->count; i++) {
    if (compare_rows(k, k->rows[i - 1].row, k->rows[i].row) > 0) return false;
  }
  return true;
}

iu_status iu__kept_sort(iu_kept *k, iu_error *err) {
  iu_kept_row *other;
  k->heap = false;
  k->by_key = keys_in_order(k);
  if (k->count < 2 || run_end(k, k->rows, 0) == k->count) return IU_OK;
  other = iu__realloc_array(NULL, (size_t)k->count, sizeof *other);
  if (other == NULL) return iu__fail_nomem(err);
  turn_falling_runs(k);
  for (;;) {
    uint64_t runs = merge_pass(k, k->rows, other);
    iu_kept_row *swap = k->rows;
    k->rows = other;
    other = swap;
    k->capacity = k->count;
    if (runs <= 2) break;
  }
  iu__free(other);
  return IU_OK;
}
