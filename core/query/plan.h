/* plan.h: picks the index that narrows a scan the most, from conditions on columns that every wanted row satisfies.
 *
 * The best index has all its columns fixed by equality (unique ones first), then the most leading columns fixed, then a range on the column
 * after those. The rows of the range are a superset of the wanted ones: the caller still evaluates its predicate. Conditions on float
 * columns that an index would order otherwise (zeros, NaN) are left out.
 */
#ifndef IU_QUERY_PLAN_H
#define IU_QUERY_PLAN_H

#include "../store/store.h"
#include "scalar.h"

typedef struct iu_plan_term {
  uint32_t column;
  uint8_t op;      /* IU_CMP_EQ, _LT, _LE, _GT, _GE; others are passed over */
  iu_slice key;    /* BSATN of the column's type; must live as long as the plan */
} iu_plan_term;

typedef struct iu_plan { uint32_t index; iu_range range; } iu_plan;

/* The range of one index alone: its leading columns fixed by equality, bounds on the next. false in *narrows: no condition helps, the range is everything. */
iu_status iu__plan_range(iu_arena *arena, const iu_table_def *table, const iu_index_def *index, const iu_plan_term *terms, uint32_t count, iu_range *out,
                         bool *narrows, iu_error *err);
/* A prefix of several columns is put together in the arena. */
iu_status iu__plan_make(iu_arena *arena, const iu_table_def *table, const iu_plan_term *terms, uint32_t count, iu_plan *out, iu_error *err);

#endif
