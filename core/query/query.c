/* query.c: a query's life, its plan, running it over a store (query.h). */
#include "query.h"

#include "../base/alloc.h"
#include "plan.h"
#include "sql_parse.h"

struct iu_query {
  iu_arena arena; /* everything below */
  uint32_t table;
  bool whole;
  iu_pred predicate;
  iu_plan plan;
};

/* ---- conditions that every row satisfies: those joined by AND at the top ---- */

static uint32_t count_terms(const iu_pred_node *n) {
  uint32_t count = 0;
  if (n->kind == IU_P_LITERAL) return 1;
  if (n->kind != IU_P_AND) return 0;
  for (const iu_pred_node *c = n->first; c != NULL; c = c->next) count += count_terms(c);
  return count;
}

static void collect_terms(const iu_pred_node *n, iu_plan_term *terms, uint32_t *count) {
  if (n->kind == IU_P_LITERAL) {
    iu_plan_term t = {n->a, n->op, n->literal};
    terms[(*count)++] = t;
  } else if (n->kind == IU_P_AND) {
    for (const iu_pred_node *c = n->first; c != NULL; c = c->next) collect_terms(c, terms, count);
  }
}

static iu_status make_plan(iu_query *q, const iu_table_def *table, const iu_pred_node *where, iu_error *err) {
  uint32_t count = where == NULL ? 0 : count_terms(where), filled = 0;
  iu_plan_term *terms = NULL;
  if (count != 0) {
    terms = iu__arena_zero(&q->arena, count, sizeof *terms);
    if (terms == NULL) return iu__fail_nomem(err);
    collect_terms(where, terms, &filled);
  }
  return iu__plan_make(&q->arena, table, terms, filled, &q->plan, err);
}

/* ---- life ---- */

static iu_status build(iu_query *q, const iu_sql_scope *scope, const char *text, size_t len, iu_error *err) {
  iu_sql_lexer lexer;
  iu_sql_query parsed;
  const iu_table_def *table;
  iu_status status = iu__sql_lexer_init(&lexer, text, len, &q->arena, err);
  if (status == IU_OK) status = iu__sql_parse(&lexer, scope, &parsed);
  if (status != IU_OK) return status;
  table = &scope->schema->tables[parsed.table];
  q->table = parsed.table;
  q->whole = parsed.where == NULL;
  status = q->whole ? IU_OK : iu__pred_compile(&q->arena, table->row, parsed.where, &q->predicate, err);
  return status != IU_OK ? status : make_plan(q, table, parsed.where, err);
}

iu_status iu__query_parse(const iu_schema *schema, const char *text, size_t len, const uint8_t sender[32], bool see_private,
                          iu_query **out, iu_error *err) {
  iu_sql_scope scope = {schema, sender, see_private};
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

void iu__query_free(iu_query *q) {
  if (q == NULL) return;
  iu__arena_free(&q->arena);
  iu__free(q);
}

uint32_t iu__query_table(const iu_query *q) { return q->table; }
bool iu__query_is_whole(const iu_query *q) { return q->whole; }
bool iu__query_matches(const iu_query *q, const uint8_t *row, size_t len) { return q->whole || iu__pred_matches(&q->predicate, row, len); }

void iu__query_plan(const iu_query *q, const iu_table *t, uint32_t *index, iu_range *range) {
  (void)t; /* made from the schema's definition, which the table shares */
  *index = q->plan.index;
  if (q->plan.index != IU_INDEX_MAIN) *range = q->plan.range;
}

/* ---- running ---- */

/* All columns of a unique index are fixed: at most one row. */
static bool is_point(const iu_query *q, const iu_table_def *def) {
  const iu_index_def *index;
  if (q->plan.index == IU_INDEX_MAIN) return false;
  index = &def->indexes[q->plan.index];
  return index->unique && q->plan.range.prefix_columns == index->column_count;
}

iu_status iu__query_run(const iu_query *q, iu_store *s, uint64_t epoch, iu_row_fn row, void *ud, iu_error *err) {
  iu_table *t = iu__store_table(s, q->table);
  const iu_range *range = q->plan.index == IU_INDEX_MAIN ? NULL : &q->plan.range;
  const iu_row *r;
  iu_iter *it;
  iu_status status;
  if (is_point(q, iu__table_def(t))) {
    r = iu__table_find_unique(t, q->plan.index, epoch, range->prefix.p, range->prefix.len);
    if (r != NULL && iu__query_matches(q, r->data, r->len)) row(ud, r);
    return IU_OK;
  }
  status = iu__table_iter(t, epoch, q->plan.index, range, false, &it, err);
  if (status != IU_OK) return status;
  while ((r = iu__iter_next(it)) != NULL) {
    if (iu__query_matches(q, r->data, r->len) && !row(ud, r)) break;
  }
  iu__iter_close(it);
  return IU_OK;
}
