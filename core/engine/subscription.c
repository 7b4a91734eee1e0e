/* subscription.c: what a session's subscriptions hold, and how one queued item changes that.
 *
 * Applying an item moves the session's view in one step (counts and epoch) and leaves behind the edges: rows that entered, left or changed in the
 * view, for delivery.c to report. Cost: a commit costs its changes times the filtered queries on their tables; tables held whole cost nothing
 * unless someone watches them. A whole table that enters or leaves is walked during delivery instead of being listed.
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
  for (uint32_t i = 0; i < count; i++) {
    iu_held_query *q = &sub->queries[i];
    iu_status status = iu__query_parse(s->base.schema, (const char *)queries[i].p, queries[i].len, s->base.identity, s->base.is_owner, &q->query, err);
    q->sub = sub;
    sub->count = i + 1;
    if (status != IU_OK) {
      sub->count = i;
      iu__subscription_free(s, sub);
      return status;
    }
  }
  sub->id = ++s->next_id;
  *out = sub;
  return IU_OK;
}

void iu__subscription_free(iu_session *s, iu_subscription *sub) {
  (void)s;
  for (uint32_t i = 0; i < sub->count; i++) iu__query_free(sub->queries[i].query);
  iu__free(sub);
}

static iu_status add_edge(iu_item *item, uint32_t table, const iu_row *old_row, const iu_row *new_row, iu_error *err) {
  if (item->edge_count == item->edge_cap) {
    uint32_t cap = item->edge_cap == 0 ? 16 : item->edge_cap * 2;
    iu_edge *more = iu__realloc_array(item->edges, cap, sizeof *more);
    if (more == NULL) return iu__fail_nomem(err);
    item->edges = more;
    item->edge_cap = cap;
  }
  item->edges[item->edge_count++] = (iu_edge){table, old_row, new_row};
  return IU_OK;
}

static iu_status add_walk(iu_item *item, uint32_t table, iu_error *err) {
  uint32_t *more = iu__realloc_array(item->walk, item->walk_count + 1u, sizeof *more);
  if (more == NULL) return iu__fail_nomem(err);
  item->walk = more;
  item->walk[item->walk_count++] = table;
  return IU_OK;
}

static bool in_view(const iu_session *s, uint32_t table, const iu_row *row) {
  return row != NULL && (iu__view_holds_table(s->base.view, table) || (s->by_table[table] != NULL && iu__view_has_row(s->base.view, table, row)));
}

static iu_status apply_change(iu_session *s, iu_item *item, const iu_change *c, iu_error *err) {
  uint32_t table = iu__table_index(c->table);
  bool edge, before = in_view(s, table, c->old_row), after;
  for (iu_held_query *q = s->by_table[table]; q != NULL; q = q->next_in_table) {
    if (c->old_row != NULL && iu__query_matches(q->query, c->old_row->data, c->old_row->len)) {
      iu__view_drop_row(s->base.view, table, c->old_row, &edge);
    }
    if (c->new_row != NULL && iu__query_matches(q->query, c->new_row->data, c->new_row->len)) {
      iu_status status = iu__view_hold_row(s->base.view, table, c->new_row, &edge, err);
      if (status != IU_OK) return status;
    }
  }
  after = in_view(s, table, c->new_row);
  if (!before && !after) return IU_OK;
  const iu_row *old_row = before ? c->old_row : NULL, *new_row = after ? c->new_row : NULL;
  if (!iu__conn_watches(&s->base, table, old_row, new_row)) return IU_OK;
  return add_edge(item, table, old_row, new_row, err);
}

static iu_status apply_commit(iu_session *s, iu_item *item, iu_error *err) {
  const iu_changeset *c = item->commit->changes;
  for (uint32_t i = 0; i < c->count; i++) {
    iu_status status = apply_change(s, item, &c->changes[i], err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

/* ---- a subscription comes or goes ---- */

typedef struct walk_state { iu_session *s; iu_item *item; uint32_t table; bool entering; iu_status status; iu_error *err; } walk_state;

/* A row that a filtered query starts (or stops) holding. */
static bool hold_or_drop(void *ud, const iu_row *row) {
  walk_state *w = ud;
  bool edge;
  if (w->entering) {
    bool before = in_view(w->s, w->table, row);
    w->status = iu__view_hold_row(w->s->base.view, w->table, row, &edge, w->err);
    if (w->status == IU_OK && !before) w->status = add_edge(w->item, w->table, NULL, row, w->err);
  } else {
    iu__view_drop_row(w->s->base.view, w->table, row, &edge);
    if (!iu__view_holds_table(w->s->base.view, w->table) && !iu__view_has_row(w->s->base.view, w->table, row)) {
      w->status = add_edge(w->item, w->table, row, NULL, w->err);
    }
  }
  return w->status == IU_OK;
}

static void unlink_query(iu_session *s, uint32_t table, const iu_held_query *q) {
  iu_held_query **link = &s->by_table[table];
  while (*link != NULL && *link != q) link = &(*link)->next_in_table;
  if (*link != NULL) *link = q->next_in_table;
}

static iu_status apply_filtered(iu_session *s, iu_item *item, iu_held_query *q, bool entering, iu_error *err) {
  uint32_t table = iu__query_table(q->query);
  walk_state w = {s, item, table, entering, IU_OK, err};
  iu_status status;
  if (entering) {
    q->next_in_table = s->by_table[table];
    s->by_table[table] = q;
  }
  status = iu__query_run(q->query, s->base.store, iu__view_epoch(s->base.view), hold_or_drop, &w, err);
  if (!entering) unlink_query(s, table, q);
  return status != IU_OK ? status : w.status;
}

/* Rows of a table that only the whole-table hold shows: those no filtered query holds. */
static iu_status list_others(iu_session *s, iu_item *item, uint32_t table, bool entering, iu_error *err) {
  iu_iter *it;
  const iu_row *row;
  iu_status status = iu__table_iter(iu__store_table(s->base.store, table), iu__view_epoch(s->base.view), IU_INDEX_MAIN, NULL, false, &it, err);
  if (status != IU_OK) return status;
  while (status == IU_OK && (row = iu__iter_next(it)) != NULL) {
    if (iu__view_has_row(s->base.view, table, row)) continue;
    status = add_edge(item, table, entering ? NULL : row, entering ? row : NULL, err);
  }
  iu__iter_close(it);
  return status;
}

static iu_status apply_whole(iu_session *s, iu_item *item, uint32_t table, bool entering, iu_error *err) {
  bool edge, filtered = s->by_table[table] != NULL;
  iu_status status = IU_OK;
  if (!entering) iu__view_drop_table(s->base.view, table, &edge);
  if (entering ? !iu__view_holds_table(s->base.view, table) : edge) {
    status = filtered ? list_others(s, item, table, entering, err) : add_walk(item, table, err);
  }
  if (entering) iu__view_hold_table(s->base.view, table, &edge);
  return status;
}

static iu_status apply_subscription(iu_session *s, iu_item *item, bool entering, iu_error *err) {
  iu_subscription *sub = item->sub;
  for (uint32_t i = 0; i < sub->count; i++) {
    iu_held_query *q = &sub->queries[i];
    iu_status status = iu__query_is_whole(q->query) ? apply_whole(s, item, iu__query_table(q->query), entering, err)
                                                    : apply_filtered(s, item, q, entering, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

iu_status iu__item_apply(iu_session *s, iu_item *item, iu_error *err) {
  iu_status status;
  item->applied = true;
  if (item->kind == IU_ITEM_COMMIT) {
    status = apply_commit(s, item, err);
    iu__view_set_epoch(s->base.view, item->epoch);
    return status;
  }
  if (item->kind == IU_ITEM_SUBSCRIBE && item->epoch > iu__view_epoch(s->base.view)) iu__view_set_epoch(s->base.view, item->epoch);
  if (item->pinned) iu__unpin(&item->pin);
  item->pinned = false;
  return apply_subscription(s, item, item->kind == IU_ITEM_SUBSCRIBE, err);
}
