/* delta.c: what one commit changes in the view of a session: only queries that its rows can match are asked, at the two states before and after it.
 *
 * Where no join is concerned it is done in slices: the new rows are held out of sight, then view and epoch move at once; what they replace is not looked at by
 * any query, since nothing holds a row that is gone. Joins are done in one go:
 *
 * A row is held once by each query that selects it, by a join once for each partner. So a changed row of the selected table gives back what it held
 * with its partners before the commit and takes what it has with those after it; then each changed partner gives and takes from the selected rows that the
 * commit left alone. Both states are epochs of the store: the view's, and the commit's. That holds too where both sides change, and where they are one table.
 *
 * Cost: the changed rows times the queries they can match (match_index.h), for joins times their partners. A join whose other side has no index on its
 * column walks that table for each changed row of this one.
 */
#include "internal.h"

#include "../base/alloc.h"

/* A row that the commit left alone and that a join held or dropped, and whether it was in the view before. */
typedef struct touched { const iu_row *row; uint32_t table; bool before; } touched;

typedef struct delta {
  iu_session *s;
  iu_item *item;
  const iu_query *query;           /* the candidate at work */
  const iu_row *row;               /* of the change at work: its old one, or its new one */
  uint32_t table;
  bool gone;                       /* it is the old one */
  touched *touched; uint32_t touched_count, touched_cap;
  uint32_t *places; uint32_t place_count;  /* a hash of them by row: 1 + their number */
  iu_status status;
  iu_error *err;
} delta;

static uint64_t epoch_of(const delta *d, bool before) { return before ? iu__view_epoch(d->s->base.view) : d->item->epoch; }

static bool in_view(const iu_session *s, uint32_t table, const iu_row *row) {
  return row != NULL && (iu__view_holds_table(s->base.view, table) || iu__view_has_row(s->base.view, table, row));
}

static bool count_row(delta *d, uint32_t table, const iu_row *row) {
  if (d->gone) iu__view_drop_row(d->s->base.view, table, row, NULL);
  else d->status = iu__view_hold_row(d->s->base.view, table, row, NULL, d->err);
  return d->status == IU_OK;
}

static bool partners(delta *d, int side, iu_row_fn fn) {
  iu_session *s = d->s;
  iu_status status = iu__query_partners(d->query, side, d->row, s->base.store, epoch_of(d, d->gone), fn, d, &s->live.stats.partners, d->err);
  if (status != IU_OK) d->status = status;
  return d->status == IU_OK;
}

/* ---- rows of the selected table ---- */

static bool with_partner(void *ud, const iu_row *partner) {
  delta *d = ud;
  (void)partner;
  return count_row(d, d->table, d->row);
}

static bool ask_selected(void *ud, iu_match_entry *e) {
  delta *d = ud;
  d->s->live.stats.candidates++;
  d->query = e->query;
  if (!iu__query_is_join(e->query)) return !iu__query_matches(e->query, d->row->data, d->row->len) || count_row(d, d->table, d->row);
  return !iu__query_side_may(e->query, 0, d->row->data, d->row->len) || partners(d, 0, with_partner);
}

static bool probe(delta *d, const iu_match_index *index, uint32_t table, const iu_row *row, bool gone, iu_match_fn ask) {
  if (row == NULL) return true;
  d->row = row;
  d->table = table;
  d->gone = gone;
  return iu__match_probe(index, row->data, row->len, ask, d);
}

static iu_status change_selected(delta *d, const iu_change *c) {
  uint32_t table = iu__table_index(c->table);
  bool before, after;
  if (!iu__live_filtered(d->s, table) && !iu__view_holds_table(d->s->base.view, table)) return IU_OK;
  before = in_view(d->s, table, c->old_row);
  if (iu__live_filtered(d->s, table)) {
    const iu_match_index *index = d->s->live.by_row[table];
    if (!probe(d, index, table, c->old_row, true, ask_selected) || !probe(d, index, table, c->new_row, false, ask_selected)) return d->status;
  }
  after = in_view(d->s, table, c->new_row);
  if (!before && !after) return IU_OK;
  const iu_row *old_row = before ? c->old_row : NULL, *new_row = after ? c->new_row : NULL;
  if (!iu__conn_watches(&d->s->base, table, old_row, new_row)) return IU_OK;
  return iu__item_add_edge(d->item, table, old_row, new_row, d->err);
}

/* ---- rows of the other side ---- */

static uint32_t place_of(const delta *d, const iu_row *row) {
  uint32_t mask = d->place_count - 1, at = (uint32_t)(((uint64_t)(uintptr_t)row >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
  while (d->places[at] != 0 && d->touched[d->places[at] - 1].row != row) at = (at + 1) & mask;
  return at;
}

static bool touched_room(delta *d) {
  uint32_t cap = d->touched_cap == 0 ? 16 : d->touched_cap * 2;
  touched *list;
  uint32_t *places;
  if (d->touched_count < d->touched_cap) return true;
  list = iu__realloc_array(d->touched, cap, sizeof *list);
  if (list == NULL) return false;
  d->touched = list;
  places = iu__alloc_zero(cap * 2u, sizeof *places);
  if (places == NULL) return false;
  iu__free(d->places);
  d->places = places;
  d->place_count = cap * 2;
  d->touched_cap = cap;
  for (uint32_t i = 0; i < d->touched_count; i++) d->places[place_of(d, d->touched[i].row)] = i + 1;
  return true;
}

static bool touch(delta *d, uint32_t table, const iu_row *row) {
  uint32_t at;
  if (!touched_room(d)) {
    d->status = iu__fail_nomem(d->err);
    return false;
  }
  at = place_of(d, row);
  if (d->places[at] != 0) return true;
  d->touched[d->touched_count++] = (touched){row, table, in_view(d->s, table, row)};
  d->places[at] = d->touched_count;
  return true;
}

/* One that the commit changed has had its turn with all its partners. */
static bool with_selected(void *ud, const iu_row *selected) {
  delta *d = ud;
  uint32_t table = iu__query_table(d->query);
  if (!iu__row_visible(selected, epoch_of(d, !d->gone))) return true;
  return touch(d, table, selected) && count_row(d, table, selected);
}

static bool ask_partner(void *ud, iu_match_entry *e) {
  delta *d = ud;
  d->s->live.stats.candidates++;
  d->query = e->query;
  return !iu__query_side_may(e->query, 1, d->row->data, d->row->len) || partners(d, 1, with_selected);
}

static iu_status change_partners(delta *d, const iu_change *c) {
  uint32_t table = iu__table_index(c->table);
  const iu_match_index *index = d->s->live.by_partner[table];
  if (index == NULL || index->count == 0) return IU_OK;
  (void)(probe(d, index, table, c->old_row, true, ask_partner) && probe(d, index, table, c->new_row, false, ask_partner));
  return d->status;
}

static iu_status tell_touched(delta *d) {
  iu_status status = IU_OK;
  for (uint32_t i = 0; i < d->touched_count && status == IU_OK; i++) {
    const touched *t = &d->touched[i];
    bool after = in_view(d->s, t->table, t->row);
    const iu_row *old_row = after ? NULL : t->row, *new_row = after ? t->row : NULL;
    if (t->before == after || !iu__conn_watches(&d->s->base, t->table, old_row, new_row)) continue;
    status = iu__item_add_edge(d->item, t->table, old_row, new_row, d->err);
  }
  return status;
}

static iu_status apply_with_joins(iu_session *s, iu_item *item, iu_error *err) {
  const iu_changeset *c = item->commit->changes;
  delta d = {.s = s, .item = item, .err = err};
  iu_status status = IU_OK;
  for (uint32_t i = 0; i < c->count && status == IU_OK; i++) status = change_selected(&d, &c->changes[i]);
  for (uint32_t i = 0; i < c->count && status == IU_OK; i++) status = change_partners(&d, &c->changes[i]);
  if (status == IU_OK) status = tell_touched(&d);
  iu__free(d.touched);
  iu__free(d.places);
  item->applied = true;
  iu__view_set_epoch(s->base.view, item->epoch);
  return status;
}

static bool concerns_joins(const iu_session *s, const iu_changeset *c) {
  const iu_table *last = NULL;
  for (uint32_t i = 0; s->live.joins != 0 && i < c->count; i++) {
    if (c->changes[i].table != last && s->live.joined[iu__table_index(c->changes[i].table)] != 0) return true;
    last = c->changes[i].table;
  }
  return false;
}

/* ---- without joins: in slices, out of sight until all is done ---- */

/* New rows enter staged. Those that they replace stay as they are: at the commit's epoch they are not there any more, and then they are swept. */
static iu_status stage(iu_session *s, iu_item *item, uint32_t table, iu_error *err) {
  iu_staging *g = &item->staging;
  if (g->tables == NULL && (g->tables = iu__alloc_zero(s->base.schema->table_count + 1u, sizeof *g->tables)) == NULL) return iu__fail_nomem(err);
  if (g->tables[table].staged) return IU_OK;
  g->tables[table].staged = true;
  iu__view_stage(s->base.view, table, IU_VIEW_ENTERING);
  return IU_OK;
}

static bool ask_entering(void *ud, iu_match_entry *e) {
  delta *d = ud;
  d->s->live.stats.candidates++;
  d->item->staging.work++;
  if (iu__query_matches(e->query, d->row->data, d->row->len)) d->status = iu__view_hold_row(d->s->base.view, d->table, d->row, NULL, d->err);
  return d->status == IU_OK;
}

static iu_status enter(iu_session *s, iu_item *item, const iu_change *c, iu_error *err) {
  uint32_t table = iu__table_index(c->table);
  bool filtered = iu__live_filtered(s, table), whole = iu__view_holds_table(s->base.view, table);
  bool before = whole && c->old_row != NULL, after = whole && c->new_row != NULL;
  if (!filtered && !whole) return IU_OK;
  if (filtered) {
    delta d = {.s = s, .item = item, .row = c->new_row, .table = table, .err = err};
    iu_status status = stage(s, item, table, err);
    if (status != IU_OK) return status;
    if (c->old_row != NULL && iu__view_counts_row(s->base.view, table, c->old_row)) {
      item->staging.tables[table].gone++;
      before = true;
    }
    if (c->new_row != NULL && !iu__match_probe(s->live.by_row[table], c->new_row->data, c->new_row->len, ask_entering, &d)) return d.status;
    after = after || (c->new_row != NULL && iu__view_counts_row(s->base.view, table, c->new_row));
  }
  if (!before && !after) return IU_OK;
  const iu_row *old_row = before ? c->old_row : NULL, *new_row = after ? c->new_row : NULL;
  if (!iu__conn_watches(&s->base, table, old_row, new_row)) return IU_OK;
  return iu__item_add_edge(item, table, old_row, new_row, err);
}

static void show(iu_session *s, iu_item *item) {
  const iu_staging *g = &item->staging;
  for (uint32_t t = 0; g->tables != NULL && t < s->base.schema->table_count; t++) {
    if (!g->tables[t].staged) continue;
    iu__view_show(s->base.view, t);
    iu__view_leave(s->base.view, t, g->tables[t].gone);
  }
  iu__view_set_epoch(s->base.view, item->epoch);
  item->applied = true;
}

/* So much was done in this slice that it is time to look at the clock. */
static bool is_over(const iu_session *s, iu_staging *g, bool ignore_deadline) {
  if (++g->work < IU_LOOK_AT_CLOCK) return false;
  g->work = 0;
  return iu__session_out_of_time(s, ignore_deadline);
}

iu_status iu__delta_apply(iu_session *s, iu_item *item, bool ignore_deadline, iu_error *err) {
  const iu_changeset *c = item->commit->changes;
  iu_staging *g = &item->staging;
  if (g->change == 0 && concerns_joins(s, c)) return apply_with_joins(s, item, err);
  while (g->change < c->count) {
    iu_status status = enter(s, item, &c->changes[g->change++], err);
    if (status != IU_OK) return status;
    if (is_over(s, g, ignore_deadline) && g->change < c->count) return IU_OK;
  }
  show(s, item);
  return IU_OK;
}

bool iu__delta_sweep(iu_session *s, iu_item *item, bool ignore_deadline) {
  iu_commit *commit = item->commit;
  iu_changeset *c = commit->changes;
  iu_staging *g = &item->staging;
  if (c == NULL) return true; /* done before */
  while (g->tables != NULL && g->sweep_at < c->count) {
    const iu_change *change = &c->changes[g->sweep_at++];
    uint32_t table = iu__table_index(change->table);
    if (change->old_row != NULL && g->tables[table].gone > 0) iu__view_forget_row(s->base.view, table, change->old_row);
    if (is_over(s, g, ignore_deadline)) return false;
  }
  if (commit->refs > 1 || c->refs > 1) return true; /* others will let it go */
  while (!iu__changeset_release_some(s->base.store, c, IU_LOOK_AT_CLOCK)) {
    g->sweep_at = c->count; /* it grows shorter */
    if (iu__session_out_of_time(s, ignore_deadline)) return false;
  }
  commit->changes = NULL;
  return true;
}
