/* plan.c: judging indexes by the conditions at hand (plan.h). */
#include "plan.h"

typedef struct candidate {
  uint32_t prefix;
  const iu_plan_term *low, *high; /* of the column behind the prefix */
  uint64_t score;
} candidate;

typedef struct planner {
  const iu_table_def *table;
  const iu_plan_term *terms;
  uint32_t count;
} planner;

static bool usable(const planner *p, const iu_plan_term *t) {
  iu_scalar s = iu__scalar_of(p->table->row->u.fields[t->column].type);
  if (s.cls == IU_SC_NONE) return false;
  if (s.cls != IU_SC_F32 && s.cls != IU_SC_F64) return true;
  return t->op == IU_CMP_EQ && iu__scalar_f64(s, t->key.p) != 0;
}

static const iu_plan_term *equality(const planner *p, uint32_t column) {
  for (uint32_t i = 0; i < p->count; i++) {
    const iu_plan_term *t = &p->terms[i];
    if (t->column == column && t->op == IU_CMP_EQ && usable(p, t)) return t;
  }
  return NULL;
}

/* The tightest bound of one side: `strict` and `loose` are the operators of that side. */
static const iu_plan_term *bound(const planner *p, uint32_t column, uint8_t strict, uint8_t loose) {
  const iu_plan_term *best = NULL;
  int side = strict == IU_CMP_GT ? 1 : -1;
  for (uint32_t i = 0; i < p->count; i++) {
    const iu_plan_term *t = &p->terms[i];
    int c;
    if (t->column != column || (t->op != strict && t->op != loose) || !usable(p, t)) continue;
    c = best == NULL ? side : iu__scalar_compare(iu__scalar_of(p->table->row->u.fields[column].type), t->key, best->key);
    if (c * side > 0 || (c == 0 && t->op == strict)) best = t;
  }
  return best;
}

static candidate judge(const planner *p, const iu_index_def *index) {
  candidate c = {0, NULL, NULL, 0};
  while (c.prefix < index->column_count && equality(p, index->columns[c.prefix]) != NULL) c.prefix++;
  if (c.prefix < index->column_count) {
    c.low = bound(p, index->columns[c.prefix], IU_CMP_GT, IU_CMP_GE);
    c.high = bound(p, index->columns[c.prefix], IU_CMP_LT, IU_CMP_LE);
  }
  c.score = (uint64_t)c.prefix * 8 + (c.low != NULL ? 2 : 0) + (c.high != NULL ? 2 : 0);
  if (c.prefix == index->column_count) c.score += 1u << 20;
  if (c.prefix == index->column_count && index->unique) c.score += 1u << 21;
  return c;
}

static iu_bound make_bound(const iu_plan_term *t) {
  iu_bound b = {IU_BOUND_UNBOUNDED, {NULL, 0}};
  if (t == NULL) return b;
  b.kind = t->op == IU_CMP_LT || t->op == IU_CMP_GT ? IU_BOUND_EXCLUDED : IU_BOUND_INCLUDED;
  b.key = t->key;
  return b;
}

static iu_status make_prefix(const planner *p, iu_arena *arena, const iu_index_def *index, uint32_t columns, iu_slice *out, iu_error *err) {
  uint8_t *bytes;
  size_t len = 0;
  for (uint32_t i = 0; i < columns; i++) len += equality(p, index->columns[i])->key.len;
  bytes = iu__arena_alloc(arena, len == 0 ? 1 : len);
  if (bytes == NULL) return iu__fail_nomem(err);
  out->p = bytes;
  out->len = len;
  for (uint32_t i = 0; i < columns; i++) {
    iu_slice key = equality(p, index->columns[i])->key;
    memcpy(bytes, key.p, key.len);
    bytes += key.len;
  }
  return IU_OK;
}

static iu_status fill_range(const planner *p, iu_arena *arena, const iu_index_def *index, const candidate *c, iu_range *out, iu_error *err) {
  memset(out, 0, sizeof *out);
  out->prefix_columns = c->prefix;
  out->low = make_bound(c->low);
  out->high = make_bound(c->high);
  return c->prefix == 0 ? IU_OK : make_prefix(p, arena, index, c->prefix, &out->prefix, err);
}

iu_status iu__plan_range(iu_arena *arena, const iu_table_def *table, const iu_index_def *index, const iu_plan_term *terms, uint32_t count, iu_range *out,
                         bool *narrows, iu_error *err) {
  planner p = {table, terms, count};
  candidate c = judge(&p, index);
  *narrows = c.score > 0;
  return fill_range(&p, arena, index, &c, out, err);
}

iu_status iu__plan_make(iu_arena *arena, const iu_table_def *table, const iu_plan_term *terms, uint32_t count, iu_plan *out, iu_error *err) {
  planner p = {table, terms, count};
  candidate best = {0, NULL, NULL, 0};
  memset(out, 0, sizeof *out);
  out->index = IU_INDEX_MAIN;
  out->range.low = out->range.high = make_bound(NULL);
  for (uint32_t i = 0; i < table->index_count; i++) {
    candidate c = judge(&p, &table->indexes[i]);
    if (c.score <= best.score) continue;
    best = c;
    out->index = i;
  }
  return out->index == IU_INDEX_MAIN ? IU_OK : fill_range(&p, arena, &table->indexes[out->index], &best, &out->range, err);
}
