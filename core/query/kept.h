/* kept.h: the rows a selection keeps, each with the value it is ordered by.
 *
 * Up to `bound` rows are kept: the first `bound` in order. Until the bound is reached rows are appended; from then on they form a heap with the last
 * one on top, which a row that comes before it replaces: memory is O(bound), time O(log bound) a row. Sorting merges runs that are in order
 * already, so rows that came in order cost one comparison each; most comparisons look at the first bits of the values only.
 *
 * Order: the value (descending turns it round), then the primary key ascending, or the whole row where there is none.
 * Rows are borrowed; texts of values that do not point into their row are copied.
 */
#ifndef IU_QUERY_KEPT_H
#define IU_QUERY_KEPT_H

#include "../store/store.h"
#include "filter_value.h"
#include "locate.h"
#include "scalar.h"

typedef struct iu_kept_row {
  const iu_row *row;
  uint64_t prefix; /* orders as the value does, as far as it reaches */
  iu_fv value;
} iu_kept_row;

typedef struct iu_kept {
  iu_kept_row *rows; /* owned */
  uint64_t count, capacity, bound;
  bool descending, heap;
  bool by_key;         /* while sorting: rows stand in the order of their keys, so that a stable sort need not compare them */
  const iu_type *row_type;
  bool has_key;
  iu_locator key;      /* of the primary key */
  iu_scalar key_scalar;
} iu_kept;

/* bound: UINT64_MAX for all. */
iu_status iu__kept_init(iu_kept *k, iu_arena *arena, const iu_table_def *table, uint64_t bound, bool descending, iu_error *err);
void iu__kept_free(iu_kept *k);
iu_status iu__kept_add(iu_kept *k, const iu_row *row, const iu_fv *value, iu_error *err);
/* Whether the bound is reached and a row with that value comes after all that are kept, whatever its key. */
bool iu__kept_past(iu_kept *k, const iu_fv *value);
/* As if nothing had been added. */
void iu__kept_clear(iu_kept *k);
iu_status iu__kept_sort(iu_kept *k, iu_error *err);

#endif
