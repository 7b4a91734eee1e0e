/* filter_plan.h: the access path of a selection, from its filters on columns. */
#ifndef IU_QUERY_FILTER_PLAN_H
#define IU_QUERY_FILTER_PLAN_H

#include "filter_op.h"
#include "plan.h"

iu_status iu__filter_plan(iu_arena *arena, const iu_table_def *table, const iu_filter *filters, uint32_t count, iu_plan *out, iu_error *err);

#endif
