/* view.h: what one connection sees: the rows its subscriptions hold, at the epoch up to which it has been told.
 *
 * A table in a view is either held whole (some whole-table subscription is active: the view is the table, no cost per row) or row by row
 * with a count a row (filtered subscriptions; overlapping ones add up), or not at all. Both may be active at once: a row is
 * in the view when the table is whole or its count is above zero.
 *
 * Counts are kept per row with the epoch of each change, so that the switch from one transaction to the next stays O(1) for readers:
 * the caller applies the counts of a change set and moves the view's epoch in one go (iu__view_apply), then calls callbacks.
 */
#ifndef IU_STORE_VIEW_H
#define IU_STORE_VIEW_H

#include "store.h"

typedef struct iu_view iu_view;

iu_status iu__view_new(iu_store *s, iu_view **out, iu_error *err);
void iu__view_free(iu_view *v);
uint64_t iu__view_epoch(const iu_view *v);
void iu__view_set_epoch(iu_view *v, uint64_t epoch);    /* forward only */

/* Whole-table holds are counted. Returns true in *edge when it went 0 to 1 (or 1 to 0). */
void iu__view_hold_table(iu_view *v, uint32_t table, bool *edge);
void iu__view_drop_table(iu_view *v, uint32_t table, bool *edge);
bool iu__view_holds_table(const iu_view *v, uint32_t table);
/* Row holds: counted per row; *edge as above, taking whole-table holds into account (a row of a whole table never edges). */
iu_status iu__view_hold_row(iu_view *v, uint32_t table, const iu_row *row, bool *edge, iu_error *err);
void iu__view_drop_row(iu_view *v, uint32_t table, const iu_row *row, bool *edge);
bool iu__view_has_row(const iu_view *v, uint32_t table, const iu_row *row);

/* Reading through the view at its epoch. */
uint64_t iu__view_count(iu_view *v, uint32_t table);
const iu_row *iu__view_get(iu_view *v, uint32_t table, const void *key, size_t len);
typedef struct iu_view_iter iu_view_iter;
iu_status iu__view_iter(iu_view *v, uint32_t table, uint32_t index, const iu_range *range, bool descending,
                        iu_view_iter **out, iu_error *err);
const iu_row *iu__view_iter_next(iu_view_iter *it);
void iu__view_iter_close(iu_view_iter *it);

#endif
