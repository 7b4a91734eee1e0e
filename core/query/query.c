/* query.c: a query's life, its plan, running it over one table (query.h). */
#include "query_internal.h"

#include "../base/alloc.h"

/* ---- conditions that every row satisfies: those joined by AND at the top ---- */

static uint32_t count_terms(const iu_pred_node *n) {
  uint32_t count = 0;
  if (n->kind == IU_P_LITERAL) return 1;
  if (n->kind != IU_P_AND) return 0;
  for (const iu_pred_node *c = n->first; c != NULL; c = c->next) count += count_terms(c);
  return count;
}

static void collect_terms(const iu_pred_node *n, int side, iu_query_part *part) {
  if (n->kind == IU_P_LITERAL && n->a_side == side) {
    iu_query_term t = {n->a, n->op, n->literal};
    part->terms[part->term_count++] = t;
  } else if (n->kind == IU_P_AND) {
    for (const iu_pred_node *c = n->first; c != NULL; c = c->next) collect_terms(c, side, part);
  }
}

static iu_status make_plan(iu_query *q, int side, const iu_pred_node *where, iu_error *err) {
  iu_query_part *part = &q->parts[side];
  uint32_t count = where == NULL ? 0 : count_terms(where);
  iu_plan_term *terms = NULL;
  if (count != 0) {
    part->terms = iu__arena_zero(&q->arena, count, sizeof *part->terms);
    terms = iu__arena_zero(&q->arena, count, sizeof *terms);
    if (part->terms == NULL || terms == NULL) return iu__fail_nomem(err);
    collect_terms(where, side, part);
    for (uint32_t i = 0; i < part->term_count; i++) terms[i] = (iu_plan_term){part->terms[i].column, part->terms[i].op, part->terms[i].literal};
  }
  return iu__plan_make(&q->arena, part->def, terms, part->term_count, &part->plan, err);
}

/* Bit 0: the node looks at side 0, bit 1: at side 1. */
static unsigned sides_of(const iu_pred_node *n) {
  unsigned sides = 0;
  if (n->kind == IU_P_LITERAL) return 1u << n->a_side;
  if (n->kind == IU_P_COLUMNS) return 1u << n->a_side | 1u << n->b_side;
  for (const iu_pred_node *c = n->first; c != NULL; c = c->next) sides |= sides_of(c);
  return sides;
}

static iu_status add_sieve(iu_query *q, iu_pred_node *list, const iu_pred_node *n, unsigned side, iu_error *err) {
  iu_status status = IU_OK;
  if (n->kind == IU_P_AND) {
    for (const iu_pred_node *c = n->first; c != NULL && status == IU_OK; c = c->next) status = add_sieve(q, list, c, side, err);
    return status;
  }
  if (sides_of(n) != side) return IU_OK;
  iu_pred_node *copy = iu__arena_alloc(&q->arena, sizeof *copy);
  if (copy == NULL) return iu__fail_nomem(err);
  *copy = *n; /* it stands in two lists */
  copy->next = NULL;
  if (list->last == NULL) list->first = copy;
  else list->last->next = copy;
  list->last = copy;
  list->count += copy->count;
  return IU_OK;
}

static iu_status make_sieve(iu_query *q, int side, const iu_type *const rows[2], const iu_pred_node *where, iu_error *err) {
  iu_pred_node list = {.kind = IU_P_AND};
  iu_status status = where == NULL ? IU_OK : add_sieve(q, &list, where, 1u << side, err);
  q->parts[side].sieves = list.first != NULL;
  return status != IU_OK || list.first == NULL ? status : iu__pred_compile(&q->arena, rows, &list, &q->parts[side].may, err);
}

/* ---- life ---- */

/* From tables as written to sides: the selected one is 0. */
static void turn(iu_pred_node *n, uint8_t selected) {
  n->a_side ^= selected;
  n->b_side ^= selected;
  for (iu_pred_node *c = n->first; c != NULL; c = c->next) turn(c, selected);
}

static uint32_t index_on(const iu_table_def *t, uint32_t column) {
  uint32_t found = IU_INDEX_MAIN;
  for (uint32_t i = 0; i < t->index_count; i++) {
    const iu_index_def *ix = &t->indexes[i];
    if (ix->columns[0] != column) continue;
    if (found == IU_INDEX_MAIN || ix->column_count < t->indexes[found].column_count || (ix->unique && ix->column_count == 1)) found = i;
  }
  return found;
}

static iu_status make_join(iu_query *q, const iu_type *const rows[2], iu_sql_query *parsed, iu_pred_node **all, iu_error *err) {
  iu_pred_node *where = parsed->where, *both = iu__arena_zero(&q->arena, 1, sizeof *both);
  iu_status status = both == NULL ? iu__fail_nomem(err) : IU_OK;
  if (status != IU_OK) return status;
  turn(parsed->on, parsed->selected);
  if (where != NULL) turn(where, parsed->selected);
  for (int side = 0; side < 2 && status == IU_OK; side++) {
    iu_query_part *part = &q->parts[side];
    uint32_t column = parsed->on_columns[(unsigned)side ^ parsed->selected];
    q->sides[side].column = column;
    status = iu__locator_init(&part->on, &q->arena, part->def->row, &column, 1, err);
    q->on = iu__scalar_of(part->def->row->u.fields[column].type);
    q->sides[side].index = q->on.cls == IU_SC_F32 || q->on.cls == IU_SC_F64 ? IU_INDEX_MAIN : index_on(part->def, column);
    if (status == IU_OK) status = make_sieve(q, side, rows, where, err);
    if (status == IU_OK) status = make_plan(q, side, where, err);
  }
  *both = (iu_pred_node){.kind = IU_P_AND, .first = parsed->on, .last = parsed->on, .count = parsed->on->count};
  if (where != NULL) {
    both->last = parsed->on->next = where;
    both->count += where->count;
  }
  *all = both;
  return status;
}

static iu_status make_columns(iu_query *q, const iu_sql_query *parsed, iu_error *err) {
  uint32_t i = 0;
  q->columns = parsed->columns;
  q->column_count = parsed->column_count;
  if (q->columns == NULL) return IU_OK;
  q->locators = iu__arena_zero(&q->arena, q->column_count, sizeof *q->locators);
  if (q->locators == NULL) return iu__fail_nomem(err);
  for (const iu_sql_column *c = q->columns; c != NULL; c = c->next, i++) {
    iu_status status = iu__locator_init(&q->locators[i], &q->arena, q->parts[c->side].def->row, &c->column, 1, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_status build(iu_query *q, const iu_sql_scope *scope, const char *text, size_t len, iu_error *err) {
  iu_sql_lexer lexer;
  iu_sql_query parsed;
  iu_pred_node *all;
  const iu_type *rows[2] = {NULL, NULL};
  iu_status status = iu__sql_lexer_init(&lexer, text, len, &q->arena, err);
  if (status == IU_OK) status = iu__sql_parse(&lexer, scope, &parsed);
  if (status != IU_OK) return status;
  q->join = parsed.table_count == 2;
  for (uint32_t side = 0; side < parsed.table_count; side++) {
    q->sides[side].table = parsed.tables[side ^ parsed.selected];
    q->parts[side].def = &scope->schema->tables[q->sides[side].table];
    rows[side] = q->parts[side].def->row;
  }
  all = parsed.where;
  status = q->join ? make_join(q, rows, &parsed, &all, err) : make_plan(q, 0, all, err);
  q->filtered = all != NULL;
  if (status == IU_OK && all != NULL) status = iu__pred_compile(&q->arena, rows, all, &q->predicate, err);
  if (status == IU_OK) status = make_columns(q, &parsed, err);
  q->count_name = parsed.count_name;
  q->limit = parsed.has_limit ? parsed.limit : UINT64_MAX;
  return status;
}

iu_status iu__query_parse_for(iu_query_use use, const iu_schema *schema, const char *text, size_t len, const uint8_t sender[32], bool see_private,
                              iu_query **out, iu_error *err) {
  iu_sql_scope scope = {schema, sender, see_private, use != IU_QUERY_TABLE, use == IU_QUERY_LIVE, use == IU_QUERY_ONCE};
  iu_query *q = iu__alloc_zero(1, sizeof *q);
  iu_status status;
  *out = NULL;
  if (q == NULL) return iu__fail_nomem(err);
  status = build(q, &scope, text, len, err);
  if (status != IU_OK) {
    iu__query_free(q);
    return status;
  }
  *out = q;
  return IU_OK;
}

iu_status iu__query_parse(const iu_schema *schema, const char *text, size_t len, const uint8_t sender[32], bool see_private,
                          iu_query **out, iu_error *err) {
  return iu__query_parse_for(IU_QUERY_TABLE, schema, text, len, sender, see_private, out, err);
}

void iu__query_free(iu_query *q) {
  if (q == NULL) return;
  iu__arena_free(&q->arena);
  iu__free(q);
}

uint32_t iu__query_table(const iu_query *q) { return q->sides[0].table; }
bool iu__query_is_whole(const iu_query *q) { return !q->filtered && q->columns == NULL && q->count_name == NULL && q->limit == UINT64_MAX; }

bool iu__query_matches(const iu_query *q, const uint8_t *row, size_t len) {
  const iu_slice rows[2] = {{row, len}, {NULL, 0}};
  return !q->filtered || iu__pred_matches(&q->predicate, rows);
}

void iu__query_plan(const iu_query *q, const iu_table *t, uint32_t *index, iu_range *range) {
  const iu_plan *plan = &q->parts[0].plan;
  (void)t; /* made from the schema's definition, which the table shares */
  *index = plan->index;
  if (plan->index != IU_INDEX_MAIN) *range = plan->range;
}

const iu_query_term *iu__query_terms(const iu_query *q, int side, uint32_t *count) {
  *count = q->parts[side].term_count;
  return q->parts[side].terms;
}

/* ---- running ---- */

bool iu__query_plan_is_point(const iu_query_part *part) {
  const iu_index_def *index;
  if (part->plan.index == IU_INDEX_MAIN) return false;
  index = &part->def->indexes[part->plan.index];
  return index->unique && part->plan.range.prefix_columns == index->column_count;
}

static iu_status run_one(const iu_query *q, iu_store *s, uint64_t epoch, iu_pair_fn pair, void *ud, iu_error *err) {
  const iu_query_part *part = &q->parts[0];
  iu_table *t = iu__store_table(s, q->sides[0].table);
  const iu_range *range = part->plan.index == IU_INDEX_MAIN ? NULL : &part->plan.range;
  const iu_row *rows[2] = {NULL, NULL};
  iu_iter *it;
  iu_status status;
  if (iu__query_plan_is_point(part)) {
    rows[0] = iu__table_find_unique(t, part->plan.index, epoch, range->prefix.p, range->prefix.len);
    if (rows[0] != NULL && iu__query_matches(q, rows[0]->data, rows[0]->len)) pair(ud, rows);
    return IU_OK;
  }
  status = iu__table_iter(t, epoch, part->plan.index, range, false, &it, err);
  if (status != IU_OK) return status;
  while ((rows[0] = iu__iter_next(it)) != NULL) {
    if (iu__query_matches(q, rows[0]->data, rows[0]->len) && !pair(ud, rows)) break;
  }
  iu__iter_close(it);
  return IU_OK;
}

iu_status iu__query_run_pairs(const iu_query *q, iu_store *s, uint64_t epoch, iu_pair_fn pair, void *ud, iu_error *err) {
  return q->join ? iu__query_run_join(q, s, epoch, pair, ud, err) : run_one(q, s, epoch, pair, ud, err);
}

typedef struct selected { iu_row_fn row; void *ud; } selected;

static bool give_selected(void *ud, const iu_row *const rows[2]) {
  const selected *to = ud;
  return to->row(to->ud, rows[0]);
}

iu_status iu__query_run(const iu_query *q, iu_store *s, uint64_t epoch, iu_row_fn row, void *ud, iu_error *err) {
  selected to = {row, ud};
  return iu__query_run_pairs(q, s, epoch, give_selected, &to, err);
}
