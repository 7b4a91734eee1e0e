/* filter.c: a selection's life: filters, order, page (filter.h). */
#include "filter.h"

#include "../base/alloc.h"
#include "filter_plan.h"
#include "kept.h"

struct iu_selection {
  iu_arena arena;          /* filters, values, plan */
  uint32_t filter_count;
  iu_filter *filters;      /* cheap ones first */
  bool has_order;
  iu_field_ref order;
  iu_field_scratch scratch;
  uint8_t walk;            /* iu_access_order: how the rows that are offered come */
  bool finished;
  uint64_t offset, limit;  /* limit UINT64_MAX: none */
  uint64_t matched;
  iu_kept kept;
};

/* ---- making ---- */

static void sort_by_cost(iu_filter *filters, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    iu_filter f = filters[i];
    uint32_t at = i;
    for (; at > 0 && filters[at - 1].cost > f.cost; at--) filters[at] = filters[at - 1];
    filters[at] = f;
  }
}

static iu_status compile_filters(iu_selection *s, const iu_table_def *table, const iu_selection_spec *spec, iu_error *err) {
  if (spec->filter_count > IU_FILTER_COUNT_MAX) {
    return iu__fail(err, IU_E_VALIDATION, "%u filters are more than the %d allowed", spec->filter_count, IU_FILTER_COUNT_MAX);
  }
  if (spec->filter_count == 0) return IU_OK;
  s->filters = iu__arena_zero(&s->arena, spec->filter_count, sizeof *s->filters);
  if (s->filters == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < spec->filter_count; i++) {
    iu_status status;
    s->filter_count = i + 1;
    status = iu__filter_compile(&s->arena, table, &spec->filters[i], &s->filters[i], err);
    if (status != IU_OK) {
      if (status == IU_E_VALIDATION) iu__error_prefix(err, "filter %u", i + 1);
      return status;
    }
  }
  sort_by_cost(s->filters, s->filter_count);
  return IU_OK;
}

static iu_status build(iu_selection *s, const iu_table_def *table, const iu_selection_spec *spec, iu_error *err) {
  uint64_t bound;
  iu_status status = compile_filters(s, table, spec, err);
  if (status != IU_OK) return status;
  if (spec->order_by != NULL) {
    status = iu__field_resolve(&s->arena, table, spec->order_by, spec->order_by_len, &s->order, err);
    if (status != IU_OK) {
      if (status == IU_E_VALIDATION) iu__error_prefix(err, "order_by");
      return status;
    }
    s->has_order = true;
  }
  s->offset = spec->offset;
  s->limit = spec->has_limit ? spec->limit : UINT64_MAX;
  bound = s->limit == 0 ? 0 : s->limit > UINT64_MAX - s->offset ? UINT64_MAX : s->limit + s->offset;
  return iu__kept_init(&s->kept, &s->arena, table, bound, spec->descending, err);
}

iu_status iu__selection_new(const iu_table_def *table, const iu_selection_spec *spec, iu_selection **out, iu_error *err) {
  iu_selection *s = iu__alloc_zero(1, sizeof *s);
  iu_status status;
  *out = NULL;
  if (s == NULL) return iu__fail_nomem(err);
  status = build(s, table, spec, err);
  if (status != IU_OK) {
    iu__selection_free(s);
    return status;
  }
  *out = s;
  return IU_OK;
}

void iu__selection_free(iu_selection *s) {
  if (s == NULL) return;
  for (uint32_t i = 0; i < s->filter_count; i++) iu__filter_free(&s->filters[i]);
  iu__field_ref_free(&s->order);
  iu__field_scratch_free(&s->scratch);
  iu__kept_free(&s->kept);
  iu__arena_free(&s->arena);
  iu__free(s);
}

/* ---- rows ---- */

iu_status iu__selection_offer(iu_selection *s, const iu_row *row, bool *done, iu_error *err) {
  iu_fv value = iu__fv(IU_FV_NULL);
  iu_status status = IU_OK;
  bool matches = true;
  *done = false;
  for (uint32_t i = 0; i < s->filter_count && matches; i++) {
    status = iu__filter_matches(&s->filters[i], &s->scratch, row->data, row->len, &matches, err);
    if (status != IU_OK) return status;
  }
  if (!matches) return IU_OK;
  if (s->has_order && s->kept.bound != 0) status = iu__field_read(&s->order, &s->scratch, row->data, row->len, &value, err);
  if (status == IU_OK && s->walk == IU_ORDERED_BY_VALUE && iu__kept_past(&s->kept, &value)) {
    *done = true;
    return IU_OK;
  }
  s->matched++;
  if (status == IU_OK) status = iu__kept_add(&s->kept, row, &value, err);
  *done = s->walk == IU_ORDERED_AS_WANTED && s->kept.count == s->kept.bound;
  return status;
}

/* ---- running over a table ---- */

typedef struct walk { iu_selection *s; iu_table *table; uint64_t epoch, budget, looked; bool done; iu_error *err; } walk;

/* false: enough, or it failed. */
static bool offer(walk *w, const iu_row *row, iu_status *status) {
  w->looked++;
  *status = iu__selection_offer(w->s, row, &w->done, w->err);
  return *status == IU_OK && !w->done && w->looked < w->budget;
}

static iu_status walk_range(walk *w, const iu_access *a, const iu_range *range, bool *more) {
  const iu_row *row;
  iu_iter *it;
  iu_status status = iu__table_iter(w->table, w->epoch, a->index, range, a->descending, &it, w->err);
  if (status != IU_OK) return status;
  while (*more && (row = iu__iter_next(it)) != NULL) *more = offer(w, row, &status);
  iu__iter_close(it);
  return status;
}

static iu_status walk_span(walk *w, const iu_access *a, const iu_value_span *span, bool *more) {
  iu_value_walk v;
  const iu_row *row;
  iu_status status = IU_OK;
  iu__value_walk_begin(&v, a->path->values, span, a->descending);
  while (*more && (row = iu__value_walk_next(&v)) != NULL) *more = offer(w, row, &status);
  return status;
}

static iu_status walk_access(walk *w, const iu_access *a) {
  iu_status status = IU_OK;
  bool more = true;
  w->s->walk = a->order;
  if (a->path == NULL && a->index == IU_INDEX_MAIN && !a->narrows) return walk_range(w, a, NULL, &more);
  for (uint32_t i = 0; i < a->count && more && status == IU_OK; i++) {
    uint32_t at = a->descending ? a->count - 1 - i : i;
    status = a->path != NULL ? walk_span(w, a, &a->spans[at], &more) : walk_range(w, a, &a->ranges[at], &more);
  }
  return status;
}

static iu_status choose(iu_selection *s, iu_table *t, iu_path_index *paths, iu_choice *out, iu_error *err) {
  iu_wish wish = {s->filters, s->filter_count, s->has_order ? &s->order : NULL, s->kept.descending, s->kept.bound};
  return iu__access_choose(&s->arena, t, paths, &wish, out, err);
}

iu_status iu__selection_run(iu_selection *s, iu_table *t, uint64_t epoch, iu_path_index *paths, bool *all, uint64_t *looked, iu_error *err) {
  iu_choice choice;
  walk w = {s, t, epoch, UINT64_MAX, 0, false, err};
  iu_status status = choose(s, t, paths, &choice, err);
  if (status != IU_OK) return status;
  w.budget = choice.budget;
  status = walk_access(&w, &choice.access);
  if (status == IU_OK && !w.done && w.looked >= choice.budget) { /* longer than it should be: the other way, from the start */
    iu__kept_clear(&s->kept);
    s->matched = 0;
    w.budget = UINT64_MAX;
    status = walk_access(&w, &choice.other);
  }
  *all = !w.done;
  if (looked != NULL) *looked = w.looked;
  return status == IU_OK ? iu__selection_finish(s, err) : status;
}

iu_status iu__selection_explain(iu_selection *s, iu_table *t, iu_path_index *paths, iu_buf *out, iu_error *err) {
  iu_choice choice;
  iu_status status = choose(s, t, paths, &choice, err);
  if (status != IU_OK) return status;
  iu__access_explain(&choice.access, iu__table_def(t), out);
  return iu__buf_status(out, err, "explanation");
}

iu_status iu__selection_finish(iu_selection *s, iu_error *err) {
  iu_status status = iu__kept_sort(&s->kept, err);
  s->finished = status == IU_OK;
  return status;
}

uint64_t iu__selection_count(const iu_selection *s) {
  uint64_t left;
  if (!s->finished || s->kept.count <= s->offset) return 0;
  left = s->kept.count - s->offset;
  return left < s->limit ? left : s->limit;
}

const iu_row *iu__selection_row(const iu_selection *s, uint64_t i) { return s->kept.rows[s->offset + i].row; }

uint64_t iu__selection_matched(const iu_selection *s) { return s->matched; }
