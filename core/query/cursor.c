/* cursor.c: stepping through a query's rows (cursor.h). */
#include "cursor.h"

#include "../base/alloc.h"
#include "query_internal.h"

#define ESTIMATE_MAX 4096 /* rows in question are counted so far: a side with more is as good as another such */

struct iu_query_cursor {
  const iu_query *query;
  iu_store *store;
  uint64_t epoch;
  iu_iter *outer, *inner;
  const iu_row *outer_row;
  int driver;           /* of a join: the side of `outer` */
  bool join;
};

static bool pair_matches(const iu_query *q, int side, const iu_row *row, const iu_row *partner) {
  return side == 0 ? iu__query_pair_matches(q, row, partner) : iu__query_pair_matches(q, partner, row);
}

/* Rows of the other side that may be partners of a row of this one. */
static iu_status open_partners(const iu_query *q, int side, const iu_row *row, iu_store *s, uint64_t epoch, iu_iter **out, iu_error *err) {
  iu_table *t = iu__store_table(s, iu__query_sides(q)[1 - side].table);
  uint32_t index = iu__query_sides(q)[1 - side].index;
  iu_range range = {.prefix_columns = 1, .low = {.kind = IU_BOUND_UNBOUNDED}, .high = {.kind = IU_BOUND_UNBOUNDED}};
  if (index != IU_INDEX_MAIN) range.prefix = iu__query_join_value(q, side, row->data, row->len);
  return iu__table_iter(t, epoch, index, index != IU_INDEX_MAIN ? &range : NULL, false, out, err);
}

iu_status iu__query_partners(const iu_query *q, int side, const iu_row *row, iu_store *s, uint64_t epoch, iu_row_fn fn, void *ud, uint64_t *looked,
                             iu_error *err) {
  const iu_query_side *other = &q->sides[1 - side];
  const iu_index_def *ix = other->index != IU_INDEX_MAIN ? &q->parts[1 - side].def->indexes[other->index] : NULL;
  const iu_row *partner;
  iu_iter *it;
  iu_status status;
  if (ix != NULL && ix->unique && ix->column_count == 1) {
    iu_slice value = iu__query_join_value(q, side, row->data, row->len);
    partner = iu__table_find_unique(iu__store_table(s, other->table), other->index, epoch, value.p, value.len);
    *looked += partner != NULL;
    if (partner != NULL && pair_matches(q, side, row, partner)) fn(ud, partner);
    return IU_OK;
  }
  status = open_partners(q, side, row, s, epoch, &it, err);
  if (status != IU_OK) return status;
  while ((partner = iu__iter_next(it)) != NULL) {
    ++*looked;
    if (pair_matches(q, side, row, partner) && !fn(ud, partner)) break;
  }
  iu__iter_close(it);
  return IU_OK;
}

/* ---- opening ---- */

static iu_status estimate(iu_table *t, const iu_plan *plan, uint64_t *rows, iu_error *err) {
  *rows = iu__table_count(t, IU_EPOCH_LATEST);
  return plan->index == IU_INDEX_MAIN ? IU_OK : iu__table_range_count(t, plan->index, &plan->range, ESTIMATE_MAX, rows, err);
}

static iu_status open_join(iu_query_cursor *c, iu_error *err) {
  iu_table *tables[2];
  uint64_t cost[2];
  for (int side = 0; side < 2; side++) {
    tables[side] = iu__store_table(c->store, c->query->sides[side].table);
    iu_status status = estimate(tables[side], &c->query->parts[side].plan, &cost[side], err);
    if (status != IU_OK) return status;
  }
  for (int side = 0; side < 2; side++) {
    if (c->query->sides[1 - side].index == IU_INDEX_MAIN) cost[side] *= 1 + iu__table_count(tables[1 - side], IU_EPOCH_LATEST);
  }
  c->driver = cost[1] < cost[0];
  const iu_plan *plan = &c->query->parts[c->driver].plan;
  return iu__table_iter(tables[c->driver], c->epoch, plan->index, plan->index != IU_INDEX_MAIN ? &plan->range : NULL, false, &c->outer, err);
}

static iu_status open_plain(iu_query_cursor *c, iu_error *err) {
  iu_table *t = iu__store_table(c->store, iu__query_table(c->query));
  uint32_t index;
  iu_range range;
  iu__query_plan(c->query, t, &index, &range);
  return iu__table_iter(t, c->epoch, index, index != IU_INDEX_MAIN ? &range : NULL, false, &c->outer, err);
}

iu_status iu__query_cursor_open(const iu_query *q, iu_store *s, uint64_t epoch, iu_query_cursor **out, iu_error *err) {
  iu_query_cursor *c = iu__alloc_zero(1, sizeof *c);
  iu_status status;
  *out = NULL;
  if (c == NULL) return iu__fail_nomem(err);
  c->query = q;
  c->store = s;
  c->epoch = epoch;
  c->join = iu__query_is_join(q);
  status = c->join ? open_join(c, err) : open_plain(c, err);
  if (status != IU_OK) {
    iu__query_cursor_close(c);
    return status;
  }
  *out = c;
  return IU_OK;
}

void iu__query_cursor_close(iu_query_cursor *c) {
  if (c == NULL) return;
  iu__iter_close(c->inner);
  iu__iter_close(c->outer);
  iu__free(c);
}

/* ---- stepping ---- */

static void step_inner(iu_query_cursor *c, const iu_row **row) {
  const iu_row *partner = iu__iter_next(c->inner);
  if (partner == NULL) {
    iu__iter_close(c->inner);
    c->inner = NULL;
  } else if (pair_matches(c->query, c->driver, c->outer_row, partner)) {
    *row = c->driver == 0 ? c->outer_row : partner;
  }
}

iu_status iu__query_cursor_step(iu_query_cursor *c, const iu_row **row, bool *end, iu_error *err) {
  const iu_row *r;
  *row = NULL;
  *end = false;
  if (c->inner != NULL) {
    step_inner(c, row);
    return IU_OK;
  }
  r = c->outer_row = iu__iter_next(c->outer);
  if (r == NULL) {
    *end = true;
    return IU_OK;
  }
  if (!c->join) {
    *row = iu__query_matches(c->query, r->data, r->len) ? r : NULL;
    return IU_OK;
  }
  if (!iu__query_side_may(c->query, c->driver, r->data, r->len)) return IU_OK;
  return open_partners(c->query, c->driver, r, c->store, c->epoch, &c->inner, err);
}
