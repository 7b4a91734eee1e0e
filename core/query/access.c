/* access.c: judging the ways to a selection's rows by the table's contents (access.h). */
#include "access.h"

#include "filter_plan.h"

typedef struct judged { iu_access *list; uint32_t count; } judged;

/* ---- counting ---- */

static iu_status count_ranges(iu_table *t, iu_access *a, uint64_t most, iu_error *err) {
  a->rows = 0;
  for (uint32_t i = 0; i < a->count && a->rows < most; i++) {
    uint64_t n;
    iu_status status = iu__table_range_count(t, a->index, &a->ranges[i], most - a->rows, &n, err);
    if (status != IU_OK) return status;
    a->rows += n;
  }
  return IU_OK;
}

static void count_spans(iu_access *a, uint64_t most) {
  a->rows = 0;
  for (uint32_t i = 0; i < a->count && a->rows < most; i++) a->rows += iu__value_index_span_count(a->path->values, &a->spans[i], most - a->rows);
}

static iu_status count(iu_table *t, iu_access *a, uint64_t most, iu_error *err) {
  if (a->path == NULL && a->index != IU_INDEX_MAIN) return count_ranges(t, a, most, err);
  if (a->path != NULL) count_spans(a, most);
  else a->rows = iu__table_count(t, IU_EPOCH_LATEST);
  return IU_OK;
}

/* ---- choosing ---- */

static bool fewer_conditions(const iu_access *a, const iu_access *b) { return a->path == NULL && b->path == NULL && a->ranges[0].prefix_columns < b->ranges[0].prefix_columns; }

/* The one that narrows most; NULL: none does. alone: nothing competes with it, so that a single one need not be counted. */
static iu_status narrowest(iu_table *t, judged *j, bool alone, iu_access **out, iu_error *err) {
  uint64_t most = IU_ACCESS_COUNT_MAX;
  uint32_t narrowing = 0;
  *out = NULL;
  for (uint32_t i = 0; i < j->count; i++) {
    if (!j->list[i].narrows) continue;
    narrowing++;
    *out = &j->list[i];
    if (j->list[i].unique || j->list[i].count == 0) {
      j->list[i].rows = j->list[i].count;
      return IU_OK;
    }
  }
  if (narrowing == 0 || (narrowing == 1 && alone)) return IU_OK;
  *out = NULL;
  for (uint32_t i = 0; i < j->count; i++) {
    iu_access *a = &j->list[i];
    iu_status status;
    if (!a->narrows) continue;
    status = count(t, a, most, err);
    if (status != IU_OK) return status;
    if (*out == NULL || a->rows < (*out)->rows || (a->rows == (*out)->rows && fewer_conditions(*out, a))) *out = a;
    if (a->rows < most) most = a->rows;
  }
  return IU_OK;
}

/* How many rows a walk in order looks at, when those that match (at most `matching`) lie evenly in it. */
static uint64_t walked(const iu_access *a, uint64_t bound, uint64_t matching) {
  double rows = (double)bound * (double)a->rows / (double)(matching == 0 ? 1 : matching);
  return rows < (double)a->rows ? (uint64_t)rows : a->rows;
}

/* The walk in order that ends first; NULL: none. */
static iu_status shortest_walk(iu_table *t, judged *j, iu_access **out, iu_error *err) {
  *out = NULL;
  for (uint32_t i = 0; i < j->count; i++) {
    iu_access *a = &j->list[i];
    iu_status status;
    if (a->order == IU_ORDERED_NOT) continue;
    if (a->narrows) status = count(t, a, IU_ACCESS_COUNT_MAX, err);
    else {
      a->rows = iu__table_count(t, IU_EPOCH_LATEST);
      status = IU_OK;
    }
    if (status != IU_OK) return status;
    if (*out == NULL || a->rows < (*out)->rows || (a->rows == (*out)->rows && a->order > (*out)->order)) *out = a;
  }
  return IU_OK;
}

static iu_status choose(iu_table *t, judged *j, const iu_wish *wish, iu_choice *out, iu_error *err) {
  iu_access *narrow, *walk = NULL;
  uint64_t all = iu__table_count(t, IU_EPOCH_LATEST);
  bool few = wish->bound < all;
  iu_status status = narrowest(t, j, !few, &narrow, err);
  if (status != IU_OK) return status;
  out->access = narrow != NULL ? *narrow : j->list[0];
  if (!few || (narrow != NULL && (narrow->unique || narrow->count == 0))) return IU_OK;
  status = shortest_walk(t, j, &walk, err);
  if (status != IU_OK || walk == NULL || walk == narrow) return status;
  if (narrow == NULL) {
    out->access = *walk;
    return IU_OK;
  }
  if (walked(walk, wish->bound, narrow->rows) >= narrow->rows) return IU_OK;
  out->other = *narrow;
  out->access = *walk;
  out->budget = narrow->rows < IU_ACCESS_COUNT_MAX ? narrow->rows : 4 * IU_ACCESS_COUNT_MAX;
  return IU_OK;
}

iu_status iu__access_choose(iu_arena *arena, iu_table *t, iu_path_index *paths, const iu_wish *wish, iu_choice *out, iu_error *err) {
  judged j = {NULL, 0};
  iu_status status = iu__filter_accesses(arena, iu__table_def(t), paths, wish, &j.list, &j.count, err);
  memset(out, 0, sizeof *out);
  out->budget = UINT64_MAX;
  return status != IU_OK ? status : choose(t, &j, wish, out, err);
}

void iu__access_explain(const iu_access *a, const iu_table_def *def, iu_buf *out) {
  if (a->narrows && a->count == 0) {
    iu__buf_put_str(out, "no row can match");
    return;
  }
  if (a->path != NULL) iu__buf_printf(out, "index over %s of %s", a->path->path, def->name);
  else if (a->index != IU_INDEX_MAIN) iu__buf_printf(out, "index %s of %s", def->indexes[a->index].accessor, def->name);
  else iu__buf_printf(out, "scan of %s", def->name);
  if (a->count > 1) iu__buf_printf(out, ", %u ranges", a->count);
  if (!a->narrows && (a->path != NULL || a->index != IU_INDEX_MAIN)) iu__buf_put_str(out, ", in order");
}
