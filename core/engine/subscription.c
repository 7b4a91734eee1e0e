/* subscription.c: a subscription of a session comes or goes.
 *
 * Its item is applied in slices (to the loop's deadline): rows are counted one by one, out of sight (view.h, staging), then all of it is seen at once; items
 * behind it wait. What it leaves behind are the edges: rows that entered or left the view, for delivery.c to report. A whole table that enters or leaves is
 * walked during delivery instead of being listed, unless a query with a condition holds rows of it.
 *
 * A query that another subscription of the session has too costs nothing here: it is held already.
 */
#include "internal.h"

#include "../base/alloc.h"

iu_status iu__subscription_new(iu_session *s, const iu_slice *queries, uint32_t count, iu_subscription **out, iu_error *err) {
  iu_subscription *sub;
  *out = NULL;
  if (count == 0) return iu__fail(err, IU_E_VALIDATION, "queries: expected at least one query");
  if (s->sub_count >= IU_ENGINE_SUBSCRIPTIONS_MAX) {
    return iu__fail(err, IU_E_OVERLOADED, "more than %d subscriptions on one connection", IU_ENGINE_SUBSCRIPTIONS_MAX);
  }
  sub = iu__alloc_zero(1, sizeof *sub + count * sizeof sub->queries[0]);
  if (sub == NULL) return iu__fail_nomem(err);
  for (; sub->count < count; sub->count++) {
    iu_status status = iu__live_get(s, queries[sub->count], &sub->queries[sub->count].live, err);
    if (status != IU_OK) {
      iu__subscription_free(s, sub);
      return status;
    }
  }
  sub->id = ++s->next_id;
  *out = sub;
  return IU_OK;
}

void iu__subscription_free(iu_session *s, iu_subscription *sub) {
  for (uint32_t i = 0; i < sub->count; i++) iu__live_put(s, sub->queries[i].live);
  iu__free(sub);
}

static bool more_edges(iu_item *item) {
  if (item->edge_count < IU_EDGE_BLOCK) {
    uint32_t cap = item->edge_cap == 0 ? 16 : item->edge_cap * 2;
    iu_edge *edges = iu__realloc_array(item->edges, cap, sizeof *edges);
    if (edges == NULL) return false;
    item->edges = edges;
    item->edge_cap = cap;
    return true;
  }
  iu_edge **list = iu__realloc_array(item->more, item->more_count + 1u, sizeof *list);
  if (list == NULL) return false;
  item->more = list;
  list[item->more_count] = iu__alloc(IU_EDGE_BLOCK * sizeof **list);
  if (list[item->more_count] == NULL) return false;
  item->more_count++;
  item->edge_cap += IU_EDGE_BLOCK;
  return true;
}

iu_status iu__item_add_edge(iu_item *item, uint32_t table, const iu_row *old_row, const iu_row *new_row, iu_error *err) {
  if (item->edge_count == item->edge_cap && !more_edges(item)) return iu__fail_nomem(err);
  *(iu_edge *)(uintptr_t)iu__item_edge(item, item->edge_count++) = (iu_edge){table, old_row, new_row};
  return IU_OK;
}

static iu_status add_walk(iu_item *item, uint32_t table, iu_error *err) {
  uint32_t *more = iu__realloc_array(item->walk, item->walk_count + 1u, sizeof *more);
  if (more == NULL) return iu__fail_nomem(err);
  item->walk = more;
  item->walk[item->walk_count++] = table;
  return IU_OK;
}

/* ---- staging ---- */

static bool entering(const iu_item *item) { return item->kind == IU_ITEM_SUBSCRIBE; }
static bool is_whole(const iu_query *q) { return !iu__query_is_join(q) && iu__query_is_whole(q); }

static iu_status begin(iu_session *s, iu_item *item, iu_error *err) {
  iu_staging *g = &item->staging;
  g->tables = iu__alloc_zero(s->base.schema->table_count + 1u, sizeof *g->tables);
  if (g->tables == NULL) return iu__fail_nomem(err);
  if (entering(item)) iu__view_set_epoch(s->base.view, item->epoch);
  if (item->pinned) iu__unpin(&item->pin); /* the view has it now */
  item->pinned = false;
  for (uint32_t i = 0; i < item->sub->count; i++) {
    iu_held_query *h = &item->sub->queries[i];
    uint32_t table = iu__query_table(h->live->query);
    h->turns = entering(item) ? h->live->active++ == 0 : --h->live->active == 0;
    if (!h->turns) continue;
    if (is_whole(h->live->query)) {
      g->tables[table].whole++;
    } else if (!g->tables[table].staged) {
      g->tables[table].staged = true;
      iu__view_stage(s->base.view, table, entering(item) ? IU_VIEW_ENTERING : IU_VIEW_LEAVING);
    }
  }
  return IU_OK;
}

/* A row that a query with a condition starts, or stops, holding. */
static iu_status count_row(iu_session *s, iu_item *item, uint32_t table, const iu_row *row, iu_error *err) {
  bool edge;
  iu_status status = IU_OK;
  if (entering(item)) status = iu__view_hold_row(s->base.view, table, row, &edge, err);
  else iu__view_drop_row(s->base.view, table, row, &edge);
  if (status != IU_OK || !edge) return status;
  return iu__item_add_edge(item, table, entering(item) ? NULL : row, entering(item) ? row : NULL, err);
}

static iu_status step_query(iu_session *s, iu_item *item, iu_error *err) {
  iu_staging *g = &item->staging;
  iu_held_query *h = &item->sub->queries[g->query];
  const iu_query *q = h->live->query;
  const iu_row *row;
  bool end;
  iu_status status = IU_OK;
  if (!h->turns || is_whole(q)) {
    g->query++;
    return IU_OK;
  }
  if (g->cursor == NULL) {
    if (entering(item)) status = iu__live_file(s, h->live, err);
    if (status == IU_OK) status = iu__query_cursor_open(q, s->base.store, iu__view_epoch(s->base.view), &g->cursor, err);
    return status;
  }
  status = iu__query_cursor_step(g->cursor, &row, &end, err);
  if (status != IU_OK) return status;
  s->live.stats.staged++;
  if (row != NULL) return count_row(s, item, iu__query_table(q), row, err);
  if (!end) return IU_OK;
  iu__query_cursor_close(g->cursor);
  g->cursor = NULL;
  if (!entering(item)) iu__live_unfile(s, h->live);
  g->query++;
  return IU_OK;
}

/* Whether a table's rows come into sight, or out of it, because it is held as a whole from now on, or no longer. */
static bool whole_edge(const iu_session *s, const iu_item *item, uint32_t table) {
  uint32_t whole = item->staging.tables[table].whole;
  return whole != 0 && iu__view_table_holds(s->base.view, table) == (entering(item) ? 0 : whole);
}

/* Rows of a table that only the hold on the whole of it shows: those that no other query holds. */
static iu_status step_table(iu_session *s, iu_item *item, iu_error *err) {
  iu_staging *g = &item->staging;
  const iu_row *row;
  if (g->others == NULL) {
    if (!whole_edge(s, item, g->table)) {
      g->table++;
      return IU_OK;
    }
    if (!iu__live_filtered(s, g->table)) return add_walk(item, g->table++, err);
    return iu__table_iter(iu__store_table(s->base.store, g->table), iu__view_epoch(s->base.view), IU_INDEX_MAIN, NULL, false, &g->others, err);
  }
  row = iu__iter_next(g->others);
  if (row == NULL) {
    iu__iter_close(g->others);
    g->others = NULL;
    g->table++;
    return IU_OK;
  }
  s->live.stats.staged++;
  if (iu__view_counts_row(s->base.view, g->table, row)) return IU_OK;
  return iu__item_add_edge(item, g->table, entering(item) ? NULL : row, entering(item) ? row : NULL, err);
}

static void show(iu_session *s, iu_item *item) {
  for (uint32_t t = 0; t < s->base.schema->table_count; t++) {
    iu_staging_table *g = &item->staging.tables[t];
    if (g->staged) iu__view_show(s->base.view, t);
    for (; g->whole > 0; g->whole--) {
      if (entering(item)) iu__view_hold_table(s->base.view, t, NULL);
      else iu__view_drop_table(s->base.view, t, NULL);
    }
  }
  item->applied = true;
}

static iu_status apply_subscription(iu_session *s, iu_item *item, bool ignore_deadline, iu_error *err) {
  iu_staging *g = &item->staging;
  iu_status status = g->tables == NULL ? begin(s, item, err) : IU_OK;
  s->live.stats.slices++;
  for (uint32_t n = 1; status == IU_OK; n++) {
    if (g->query < item->sub->count) status = step_query(s, item, err);
    else if (g->table < s->base.schema->table_count) status = step_table(s, item, err);
    else {
      show(s, item);
      return IU_OK;
    }
    if (n % IU_LOOK_AT_CLOCK == 0 && iu__session_out_of_time(s, ignore_deadline)) return status;
  }
  return status;
}

bool iu__item_sweep(iu_session *s, iu_item *item, bool ignore_deadline) {
  iu_staging *g = &item->staging;
  if (item->kind == IU_ITEM_COMMIT) return iu__delta_sweep(s, item, ignore_deadline);
  if (item->kind != IU_ITEM_UNSUBSCRIBE) return true;
  while (g->sweep_at < item->edge_count) {
    const iu_edge *e = iu__item_edge(item, g->sweep_at++);
    iu__view_sweep_row(s->base.view, e->table, e->old_row);
    if (g->sweep_at % IU_LOOK_AT_CLOCK == 0 && iu__session_out_of_time(s, ignore_deadline)) return false;
  }
  return true;
}

void iu__item_end_staging(iu_item *item) {
  iu__query_cursor_close(item->staging.cursor);
  if (item->staging.others != NULL) iu__iter_close(item->staging.others);
  iu__free(item->staging.tables);
}

iu_status iu__item_apply(iu_session *s, iu_item *item, bool ignore_deadline, iu_error *err) {
  if (item->kind == IU_ITEM_COMMIT) return iu__delta_apply(s, item, ignore_deadline, err);
  return apply_subscription(s, item, ignore_deadline, err);
}
