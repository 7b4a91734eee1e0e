/* access.h: where a selection finds its rows: the whole table, ranges of one of its indexes, or spans of an index over a path.
 *
 * What can be used follows from the filters alone (candidates); which of them is used, from the table: of two that narrow, the one with fewer entries, counted
 * up to IU_ACCESS_COUNT_MAX; an index in the order of the result where few rows are wanted and the walk is likely to end before the other would. A walk that was
 * expected to be short and is not is given up after as many rows as the other way has, and that is taken: at most twice the work.
 *
 * The rows of an access are a superset of the wanted ones. Everything lives in the selection's arena.
 */
#ifndef IU_QUERY_ACCESS_H
#define IU_QUERY_ACCESS_H

#include "filter_op.h"
#include "path_index.h"

#define IU_ACCESS_COUNT_MAX 16384 /* entries of an index that are counted to judge it */
#define IU_ACCESS_RANGES_MAX 65536 /* candidates of an In that are looked up one by one; of more, all between the least and the greatest are */

typedef enum iu_access_order {
  IU_ORDERED_NOT,
  IU_ORDERED_BY_VALUE, /* by the value of order_by; rows of one value in any order */
  IU_ORDERED_AS_WANTED
} iu_access_order;

typedef struct iu_access {
  uint32_t index;            /* of the table's, or IU_INDEX_MAIN */
  iu_path_index *path;       /* then spans; NULL: ranges */
  uint32_t count;            /* of them; IU_INDEX_MAIN has none, and an index without any gives no row */
  const iu_range *ranges;    /* ascending, apart from each other */
  const iu_value_span *spans;
  bool narrows;              /* a filter made the ranges */
  bool unique;               /* one row at most */
  bool descending;
  uint8_t order;             /* iu_access_order */
  uint64_t rows;             /* how many entries, as far as they were counted */
} iu_access;

/* What the planner is told of a selection. */
typedef struct iu_wish {
  const iu_filter *filters; uint32_t filter_count;
  const iu_field_ref *order; /* NULL: by primary key */
  bool descending;
  uint64_t bound;            /* rows that are wanted, UINT64_MAX: all */
} iu_wish;

typedef struct iu_choice {
  iu_access access, other;   /* other: taken after `budget` rows */
  uint64_t budget;           /* UINT64_MAX: none */
} iu_choice;

/* paths: the table's indexes over paths, linked; broken ones are passed over. The choice borrows what it names until the table changes. */
iu_status iu__access_choose(iu_arena *arena, iu_table *t, iu_path_index *paths, const iu_wish *wish, iu_choice *out, iu_error *err);
/* "index entity_type of entity, 2 ranges"; "index created_at of entity, in order": walked as a whole until the page is full. */
void iu__access_explain(const iu_access *a, const iu_table_def *def, iu_buf *out);

#endif
