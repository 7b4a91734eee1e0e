/* rows.h: the rows that a read answers with, and reads of a store that both kinds of connection make: the engine of its tables, the client of its
 * replica. Rows of a store stay readable until released, whatever the tables do, because the epoch they were read at is pinned.
 */
#ifndef IU_ROWS_H
#define IU_ROWS_H

#include "query/filter.h"

#define IU_MATCHED_UNKNOWN UINT64_MAX
typedef struct iu_rows {
  const iu_table_def *table;     /* NULL only where there are no rows */
  uint64_t count;
  const iu_row **rows;
  uint64_t matched;              /* select: before offset and limit; IU_MATCHED_UNKNOWN when the limit ended the search early */
  iu_pin pin;                    /* used by the implementation */
  void *owner;
  void (*release)(struct iu_rows *rows);
} iu_rows;
static inline void iu__rows_release(iu_rows *rows) { /* NULL is fine */
  if (rows != NULL) rows->release(rows);
}

/* What `release` does to rows of the functions below: for owners that put something around it. */
void iu__rows_free(iu_rows *rows);
/* Of what is visible at `epoch`. *out is given. */
iu_status iu__rows_query(iu_store *s, uint64_t epoch, const iu_query *q, iu_rows **out, iu_error *err);
iu_status iu__rows_select(iu_store *s, uint64_t epoch, uint32_t table, const iu_selection_spec *spec, iu_rows **out, iu_error *err);
/* By primary key, which is checked. */
iu_status iu__rows_get(iu_store *s, uint64_t epoch, uint32_t table, const void *key, size_t len, iu_rows **out, iu_error *err);
/* IU_OK, or what is wrong with this as a key of the table. */
iu_status iu__rows_check_key(const iu_table_def *def, const void *key, size_t len, iu_error *err);

#endif
