/* filter_plan.h: filters as conditions on keys, and the ways to a selection's rows that follow from them. */
#ifndef IU_QUERY_FILTER_PLAN_H
#define IU_QUERY_FILTER_PLAN_H

#include "access.h"
#include "plan.h"

/* The column value that equals `v`, exactly: *exact false where there is none (1.5 for an integer, a text of another form for an identity), and for types
 * that are not looked at: all but Bool, String, integers, Timestamp, Identity and ConnectionId. The key lives in the arena. */
bool iu__filter_has_key(const iu_type *type);
iu_status iu__filter_key(iu_arena *arena, const iu_type *type, const iu_fv *v, iu_slice *key, bool *exact, iu_error *err);
/* Whether a value that no key of such a type says equals none of its values. (Of doubles too large for the search, one may.) */
bool iu__filter_key_is_final(const iu_fv *v);
/* A column that keys are made for, not a field or path behind it. */
bool iu__filter_on_column(const iu_filter *f);

/* All ways that help, the whole table first. The list and all in it live in the arena. */
iu_status iu__filter_accesses(iu_arena *arena, const iu_table_def *table, iu_path_index *paths, const iu_wish *wish, iu_access **out, uint32_t *count,
                              iu_error *err);
/* path_plan.c: the way through one index over a path; false in *helps: it does not. */
iu_status iu__path_access(iu_arena *arena, iu_path_index *x, const iu_wish *wish, iu_access *out, bool *helps, iu_error *err);

#endif
