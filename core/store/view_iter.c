/* view_iter.c: iteration through a view.
 *
 * Over a whole table: the table's own iterator. Else the rows are collected when it is opened, by walking the range in the index. A walk that
 * turns out much longer than there are held rows is given up: then those are looked at one by one and sorted. So the cost is at most about
 * twice that of the better way.
 */
#include "view_internal.h"

#include <stdlib.h>

#include "../base/alloc.h"

#define WALK_FACTOR 16 /* steps of a walk that cost about as much as looking at and sorting one held row */
#define WALK_MIN 64

struct iu_view_iter {
  iu_iter *walk;        /* whole table; else NULL and: */
  iu_pin pin;
  const iu_row **rows;  /* owned, in the order to give */
  size_t count, at;
};

static iu_status add_row(iu_view_iter *it, size_t *cap, const iu_row *row, iu_error *err) {
  if (it->count == *cap) {
    const iu_row **more = iu__realloc_array(it->rows, *cap = *cap != 0 ? *cap * 2 : 64, sizeof *more);
    if (more == NULL) return iu__fail_nomem(err);
    it->rows = more;
  }
  it->rows[it->count++] = row;
  return IU_OK;
}

/* *complete false: given up. */
static iu_status collect_walking(iu_view_iter *it, iu_view *v, uint32_t table, uint32_t index, const iu_range *range, bool descending,
                                 bool *complete, iu_error *err) {
  const iu_view_rows *held = &v->tables[table].rows;
  const iu_row *row = NULL;
  iu_iter *walk;
  size_t cap = 0, budget = held->used * WALK_FACTOR + WALK_MIN;
  iu_status status = iu__table_iter(&v->pin.store->tables[table], v->pin.epoch, index, range, descending, &walk, err);

  if (status != IU_OK) return status;
  while (status == IU_OK && budget-- > 0 && (row = iu__iter_next(walk)) != NULL)
    if (iu__view_rows_has(held, row)) status = add_row(it, &cap, row, err);
  *complete = row == NULL;
  iu__iter_close(walk);
  return status;
}

static int by_key(const void *a, const void *b, void *key) {
  return iu__key_compare_rows(key, *(const iu_row *const *)a, *(const iu_row *const *)b);
}

static void reverse(iu_view_iter *it) {
  size_t i;

  for (i = 0; i < it->count / 2; i++) {
    const iu_row *row = it->rows[i];
    it->rows[i] = it->rows[it->count - 1 - i];
    it->rows[it->count - 1 - i] = row;
  }
}

static iu_status collect_sorting(iu_view_iter *it, iu_view *v, uint32_t table, uint32_t index, const iu_range *range, bool descending, iu_error *err) {
  const iu_view_rows *held = &v->tables[table].rows;
  iu_span span;
  uint8_t *storage = iu__alloc(iu__span_bytes(range));
  iu_status status = storage != NULL ? iu__span_init(&span, &v->pin.store->tables[table], index, range, storage, err) : iu__fail_nomem(err);
  size_t i, cap = 0;
  int part;

  it->count = 0;
  iu__free(it->rows);
  it->rows = NULL;
  for (part = 0; part < 2; part++) {
    const iu_held_slots *t = part == 0 ? &held->now : &held->old;
    for (i = 0; status == IU_OK && t->slots != NULL && i <= t->mask; i++) {
      const iu_row *row = t->slots[i].row;
      if (iu__held_seen(held, &t->slots[i]) && iu__row_visible(row, v->pin.epoch) && iu__span_holds(&span, row)) status = add_row(it, &cap, row, err);
    }
  }
  iu__free(storage);
  if (status != IU_OK || it->count == 0) return status;
  qsort_r(it->rows, it->count, sizeof *it->rows, by_key, (void *)(uintptr_t)span.tree->key);
  if (descending) reverse(it);
  return IU_OK;
}

static iu_status open_iter(iu_view_iter *it, iu_view *v, uint32_t table, uint32_t index, const iu_range *range, bool descending, iu_error *err) {
  iu_status status;
  bool complete = false;

  if (v->tables[table].whole > 0) return iu__table_iter(&v->pin.store->tables[table], v->pin.epoch, index, range, descending, &it->walk, err);
  status = collect_walking(it, v, table, index, range, descending, &complete, err);
  if (status != IU_OK || complete) return status;
  return collect_sorting(it, v, table, index, range, descending, err);
}

iu_status iu__view_iter(iu_view *v, uint32_t table, uint32_t index, const iu_range *range, bool descending, iu_view_iter **out, iu_error *err) {
  iu_view_iter *it = iu__alloc_zero(1, sizeof *it);
  iu_status status;

  *out = NULL;
  if (it == NULL) return iu__fail_nomem(err);
  status = open_iter(it, v, table, index, range, descending, err);
  if (status != IU_OK) {
    iu__free(it->rows);
    iu__free(it);
    return status;
  }
  if (it->walk == NULL) iu__pin(v->pin.store, &it->pin, v->pin.epoch);
  *out = it;
  return IU_OK;
}

const iu_row *iu__view_iter_next(iu_view_iter *it) {
  if (it->walk != NULL) return iu__iter_next(it->walk);
  return it->at < it->count ? it->rows[it->at++] : NULL;
}

void iu__view_iter_close(iu_view_iter *it) {
  if (it == NULL) return;
  if (it->walk != NULL) iu__iter_close(it->walk);
  else iu__unpin(&it->pin);
  iu__free(it->rows);
  iu__free(it);
}
