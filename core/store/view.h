/* view.h: what one connection sees: the rows its subscriptions hold, at the epoch up to which it has been told.
 *
 * A table in a view is either held whole (some whole-table subscription is active: the view is the table, no cost per row) or row by row
 * with a count a row (filtered subscriptions; overlapping ones add up), or not at all. Both may be active at once: a row is
 * in the view when the table is whole or its count is above zero.
 *
 * A row here is one version of it: an update drops the old one and holds the new one. The caller applies a change set in one go, before any
 * callback runs: drops and holds, then iu__view_set_epoch; reads see rows that are visible at the view's epoch and in the view. A held row's
 * memory stays until it is dropped. Only rows of committed transactions may be held.
 *
 * Staging: rows that a long subscription holds (or drops) one by one come into sight (or out of it) at once, in O(1): between iu__view_stage and
 * iu__view_show of a table a row that would enter is counted and not seen, one that would leave is seen and counts nothing. What left is taken out of
 * the counts by iu__view_sweep_row afterwards, row by row; until that is done nothing else of this table may be held or dropped.
 *
 * A view pins its epoch, and is freed before its store. Costs: hold and drop O(1), whole-table reads as the table's; an iterator over a
 * table that is not whole collects its rows when it is opened.
 */
#ifndef IU_STORE_VIEW_H
#define IU_STORE_VIEW_H

#include "store.h"

typedef struct iu_view iu_view;

/* A new view is at the store's committed epoch and holds nothing. */
iu_status iu__view_new(iu_store *s, iu_view **out, iu_error *err);
void iu__view_free(iu_view *v);
uint64_t iu__view_epoch(const iu_view *v);
void iu__view_set_epoch(iu_view *v, uint64_t epoch);    /* forward only: an earlier one is ignored */

/* Whole-table holds are counted. Returns true in *edge (may be NULL) when it went 0 to 1 (or 1 to 0). A drop without a hold does nothing. */
void iu__view_hold_table(iu_view *v, uint32_t table, bool *edge);
void iu__view_drop_table(iu_view *v, uint32_t table, bool *edge);
bool iu__view_holds_table(const iu_view *v, uint32_t table);
uint64_t iu__view_table_holds(const iu_view *v, uint32_t table);
/* Row holds: counted per row; *edge as above, taking whole-table holds into account (a row of a whole table never edges). */
iu_status iu__view_hold_row(iu_view *v, uint32_t table, const iu_row *row, bool *edge, iu_error *err);
void iu__view_drop_row(iu_view *v, uint32_t table, const iu_row *row, bool *edge);
/* Table whole and row visible at the view's epoch, or count above zero (staging aside). */
bool iu__view_has_row(const iu_view *v, uint32_t table, const iu_row *row);
/* Count above zero, seen or not. */
bool iu__view_counts_row(const iu_view *v, uint32_t table, const iu_row *row);

typedef enum iu_view_stage { IU_VIEW_STEADY, IU_VIEW_ENTERING, IU_VIEW_LEAVING } iu_view_stage;
/* Edges are told as if the change were seen at once. Not while the table is staged. */
void iu__view_stage(iu_view *v, uint32_t table, iu_view_stage stage);
void iu__view_show(iu_view *v, uint32_t table);
/* So many held rows are gone at the epoch that the view comes to now: they count for nothing, and iu__view_forget_row takes each out, whatever its count,
 * before anything else of the table changes. A row that is not held is left alone. */
void iu__view_leave(iu_view *v, uint32_t table, uint32_t rows);
void iu__view_forget_row(iu_view *v, uint32_t table, const iu_row *row);
/* A row that a LEAVING stage dropped to zero; any other is left alone. */
void iu__view_sweep_row(iu_view *v, uint32_t table, const iu_row *row);

/* Reading through the view at its epoch. The count of a whole table that lags is counted once per epoch. */
uint64_t iu__view_count(iu_view *v, uint32_t table);
const iu_row *iu__view_get(iu_view *v, uint32_t table, const void *key, size_t len);
const iu_row *iu__view_find_unique(iu_view *v, uint32_t table, uint32_t index, const void *key, size_t len);   /* as iu__table_find_unique */
/* Stable: sees the view as it is now, whatever is held, dropped or committed later. Rows are borrowed until the iterator is closed. */
typedef struct iu_view_iter iu_view_iter;
iu_status iu__view_iter(iu_view *v, uint32_t table, uint32_t index, const iu_range *range, bool descending,
                        iu_view_iter **out, iu_error *err);
const iu_row *iu__view_iter_next(iu_view_iter *it);
void iu__view_iter_close(iu_view_iter *it);

#endif
