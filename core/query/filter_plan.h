/* filter_plan.h: filters on columns as conditions on keys, and the access path of a selection that follows from them. */
#ifndef IU_QUERY_FILTER_PLAN_H
#define IU_QUERY_FILTER_PLAN_H

#include "filter_op.h"
#include "plan.h"

/* The column value that equals `v`, exactly: *exact false where there is none (1.5 for an integer, a text of another form for an identity), and for types
 * that are not looked at: all but Bool, String, integers, Timestamp, Identity and ConnectionId. The key lives in the arena. */
bool iu__filter_has_key(const iu_type *type);
iu_status iu__filter_key(iu_arena *arena, const iu_type *type, const iu_fv *v, iu_slice *key, bool *exact, iu_error *err);

iu_status iu__filter_plan(iu_arena *arena, const iu_table_def *table, const iu_filter *filters, uint32_t count, iu_plan *out, iu_error *err);

#endif
