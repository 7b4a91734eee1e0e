/* view.c: see view.h. Iteration is in view_iter.c. */
#include "view_internal.h"

#include <assert.h>

#include "../base/alloc.h"

iu_status iu__view_new(iu_store *s, iu_view **out, iu_error *err) {
  iu_view *v = iu__alloc_zero(1, sizeof *v + s->table_count * sizeof v->tables[0]);
  uint32_t i;

  *out = NULL;
  if (v == NULL) return iu__fail_nomem(err);
  v->table_count = s->table_count;
  for (i = 0; i < v->table_count; i++) v->tables[i].counted_at = UINT64_MAX;
  iu__pin(s, &v->pin, s->epoch);
  *out = v;
  return IU_OK;
}

void iu__view_free(iu_view *v) {
  uint32_t i;

  if (v == NULL) return;
  for (i = 0; i < v->table_count; i++) iu__view_rows_free(&v->tables[i].rows, v->pin.store);
  iu__unpin(&v->pin);
  iu__free(v);
}

uint64_t iu__view_epoch(const iu_view *v) { return v->pin.epoch; }

void iu__view_set_epoch(iu_view *v, uint64_t epoch) {
  if (epoch > v->pin.epoch) iu__pin_move(&v->pin, epoch);
}

static void tell(bool *edge, bool value) {
  if (edge != NULL) *edge = value;
}

void iu__view_hold_table(iu_view *v, uint32_t table, bool *edge) { tell(edge, v->tables[table].whole++ == 0); }

void iu__view_drop_table(iu_view *v, uint32_t table, bool *edge) {
  bool held = v->tables[table].whole > 0;

  if (held) v->tables[table].whole--;
  tell(edge, held && v->tables[table].whole == 0);
}

bool iu__view_holds_table(const iu_view *v, uint32_t table) { return v->tables[table].whole > 0; }

uint64_t iu__view_table_holds(const iu_view *v, uint32_t table) { return v->tables[table].whole; }

iu_status iu__view_hold_row(iu_view *v, uint32_t table, const iu_row *row, bool *edge, iu_error *err) {
  uint32_t count;

  assert(!iu__row_written_now(v->pin.store, row) && !v->pin.store->lean);
  tell(edge, false);
  count = iu__view_rows_add(&v->tables[table].rows, (iu_row *)(uintptr_t)row);
  if (count == 0) return iu__fail_nomem(err);
  tell(edge, count == 1 && v->tables[table].whole == 0);
  return IU_OK;
}

void iu__view_drop_row(iu_view *v, uint32_t table, const iu_row *row, bool *edge) {
  iu_view_table *vt = &v->tables[table];
  bool last = iu__view_rows_drop(&vt->rows, v->pin.store, row, vt->rows.stage == IU_VIEW_LEAVING && vt->whole == 0);

  tell(edge, last && vt->whole == 0);
}

bool iu__view_has_row(const iu_view *v, uint32_t table, const iu_row *row) {
  const iu_view_table *vt = &v->tables[table];

  return (vt->whole > 0 && iu__row_visible(row, v->pin.epoch)) || iu__view_rows_has(&vt->rows, row);
}

bool iu__view_counts_row(const iu_view *v, uint32_t table, const iu_row *row) {
  const iu_held *h = iu__view_rows_find(&v->tables[table].rows, row);

  return h != NULL && h->count > 0;
}

void iu__view_stage(iu_view *v, uint32_t table, iu_view_stage stage) {
  iu_view_rows *r = &v->tables[table].rows;

  assert(r->stage == IU_VIEW_STEADY && r->apart == 0);
  r->stage = (uint8_t)stage;
  if (stage == IU_VIEW_ENTERING && ++r->number == 0) r->number = 1; /* 0 is no stage's */
}

void iu__view_show(iu_view *v, uint32_t table) {
  iu_view_rows *r = &v->tables[table].rows;

  if (r->stage == IU_VIEW_ENTERING) r->apart = 0;
  r->stage = IU_VIEW_STEADY;
}

void iu__view_leave(iu_view *v, uint32_t table, uint32_t rows) { v->tables[table].rows.gone += rows; }

void iu__view_forget_row(iu_view *v, uint32_t table, const iu_row *row) { iu__view_rows_forget(&v->tables[table].rows, v->pin.store, row); }

void iu__view_sweep_row(iu_view *v, uint32_t table, const iu_row *row) { iu__view_rows_sweep(&v->tables[table].rows, v->pin.store, row); }

uint64_t iu__view_count(iu_view *v, uint32_t table) {
  iu_view_table *vt = &v->tables[table];

  if (vt->whole == 0) return iu__view_rows_seen(&vt->rows);
  if (v->pin.epoch == v->pin.store->epoch) return v->pin.store->tables[table].committed;
  if (vt->counted_at != v->pin.epoch) {
    vt->counted = iu__table_count(&v->pin.store->tables[table], v->pin.epoch);
    vt->counted_at = v->pin.epoch;
  }
  return vt->counted;
}

const iu_row *iu__view_get(iu_view *v, uint32_t table, const void *key, size_t len) {
  const iu_row *row = iu__table_get(&v->pin.store->tables[table], v->pin.epoch, key, len);

  return row != NULL && iu__view_has_row(v, table, row) ? row : NULL;
}

const iu_row *iu__view_find_unique(iu_view *v, uint32_t table, uint32_t index, const void *key, size_t len) {
  const iu_row *row = iu__table_find_unique(&v->pin.store->tables[table], index, v->pin.epoch, key, len);

  return row != NULL && iu__view_has_row(v, table, row) ? row : NULL;
}
