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
  iu_plan plan;
  bool plan_is_order;      /* the plan's rows come in the order of the result */
  bool follows_plan, finished;
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

/* Rows of the main order, or of one key of an index, come by primary key; those of a range by its column, then by primary key. */
static bool plan_is_order(const iu_selection *s, const iu_table_def *table) {
  const iu_index_def *index;
  uint8_t cls;
  if (s->plan.index == IU_INDEX_MAIN) return !s->has_order;
  index = &table->indexes[s->plan.index];
  if (s->plan.range.prefix_columns == index->column_count) return !s->has_order;
  if (!s->has_order || s->kept.descending || s->order.depth != 1 || s->order.json || s->order.convert) return false;
  if (s->plan.range.prefix_columns + 1 != index->column_count || index->columns[s->plan.range.prefix_columns] != s->order.column) return false;
  cls = iu__scalar_of(s->order.place.type).cls;
  return cls != IU_SC_NONE && cls != IU_SC_F32 && cls != IU_SC_F64; /* an index orders zeros and NaNs its own way */
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
  status = iu__kept_init(&s->kept, &s->arena, table, bound, spec->descending, err);
  if (status == IU_OK) status = iu__filter_plan(&s->arena, table, s->filters, s->filter_count, &s->plan, err);
  s->plan_is_order = plan_is_order(s, table);
  return status;
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

void iu__selection_plan(const iu_selection *s, const iu_table *t, uint32_t *index, iu_range *range) {
  (void)t; /* made from the table's definition */
  *index = s->plan.index;
  if (s->plan.index != IU_INDEX_MAIN) *range = s->plan.range;
}

void iu__selection_follow_plan(iu_selection *s) { s->follows_plan = true; }

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
  s->matched++;
  if (s->has_order && s->kept.bound != 0) status = iu__field_read(&s->order, &s->scratch, row->data, row->len, &value, err);
  if (status == IU_OK) status = iu__kept_add(&s->kept, row, &value, err);
  *done = s->follows_plan && s->plan_is_order && s->kept.count == s->kept.bound;
  return status;
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
