/* query_internal.h: what a parsed query is: query.c makes it, query_join.c runs those of two tables, query_result.c makes rows of their own. */
#ifndef IU_QUERY_QUERY_INTERNAL_H
#define IU_QUERY_QUERY_INTERNAL_H

#include "plan.h"
#include "query.h"
#include "sql_parse.h"

typedef struct iu_query_part {
  const iu_table_def *def;
  iu_plan plan;
  iu_query_term *terms; uint32_t term_count;
  bool sieves; iu_pred may;      /* conditions on this side alone */
  iu_locator on;
} iu_query_part;

struct iu_query {
  iu_arena arena; /* everything below */
  bool join, filtered;           /* filtered: the predicate says something */
  iu_pred predicate;             /* ON too */
  iu_query_side sides[2];
  iu_query_part parts[2];
  iu_scalar on;                  /* what ON compares */
  const iu_sql_column *columns; uint32_t column_count;
  iu_locator *locators;          /* of the columns */
  const char *count_name;
  uint64_t limit;
};

/* All columns of a unique index are fixed: at most one row. */
bool iu__query_plan_is_point(const iu_query_part *part);

/* query_join.c */
iu_status iu__query_run_join(const iu_query *q, iu_store *s, uint64_t epoch, iu_pair_fn pair, void *ud, iu_error *err);

#endif
