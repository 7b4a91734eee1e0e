/* cursor.h: the rows a query selects, a step at a time, so that a long one can be left and taken up again; and the partners of one row in a join.
 *
 * A join gives a selected row once for each of its partners. It starts from the side of which fewer rows are in question and looks the other one up by
 * index; where that has none for it (iu_query_side.index), it is walked for each row.
 *
 * A cursor sees one epoch, pinned while it is open; rows are borrowed until it is closed. It is closed before its store is freed.
 */
#ifndef IU_QUERY_CURSOR_H
#define IU_QUERY_CURSOR_H

#include "query.h"

typedef struct iu_query_cursor iu_query_cursor;
iu_status iu__query_cursor_open(const iu_query *q, iu_store *s, uint64_t epoch, iu_query_cursor **out, iu_error *err);
/* Looks at one row, or one pair: *row NULL when it is not one of those wanted. *end: there are no more. */
iu_status iu__query_cursor_step(iu_query_cursor *c, const iu_row **row, bool *end, iu_error *err);
void iu__query_cursor_close(iu_query_cursor *c); /* NULL is fine */

/* Of a join: gives each row of the other side that, with `row` of this side, is a pair; fn may stop it. *looked: rows looked at are added. */
iu_status iu__query_partners(const iu_query *q, int side, const iu_row *row, iu_store *s, uint64_t epoch, iu_row_fn fn, void *ud, uint64_t *looked,
                             iu_error *err);

#endif
