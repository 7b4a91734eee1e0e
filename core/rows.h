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
/* Of what is visible at `epoch`. *out is given. Results of their own (COUNT, column lists) are copies, of a definition that lives as long. */
iu_status iu__rows_query(iu_store *s, uint64_t epoch, const iu_query *q, iu_rows **out, iu_error *err);
/* paths: the table's indexes over paths (query/path_index.h), which are those of the store's epoch; NULL: none. */
iu_status iu__rows_select(iu_store *s, uint64_t epoch, uint32_t table, const iu_selection_spec *spec, struct iu_path_index *paths, iu_rows **out,
                          iu_error *err);
/* By primary key, which is checked. */
iu_status iu__rows_get(iu_store *s, uint64_t epoch, uint32_t table, const void *key, size_t len, iu_rows **out, iu_error *err);
/* IU_OK, or what is wrong with this as a key of the table. */
iu_status iu__rows_check_key(const iu_table_def *def, const void *key, size_t len, iu_error *err);
/* How iu__rows_select would find its rows: "<where>: index entity_type of entity". */
iu_status iu__rows_explain(iu_store *s, uint32_t table, const iu_selection_spec *spec, struct iu_path_index *paths, const char *where, iu_buf *out,
                           iu_error *err);

/* ---- rows that are gathered ---- */

/* false: no memory. *cap is the room of the array. */
bool iu__rows_add(iu_rows *rows, uint64_t *cap, const iu_row *row);
/* The page of a finished selection. */
iu_status iu__rows_add_page(iu_rows *rows, uint64_t *cap, const iu_selection *selection, iu_error *err);

/* Copies of rows that are in no store: a server's, or a script's. They live as long as the set. */
typedef struct iu_copied_rows { iu_rows rows; iu_arena arena; uint64_t cap; iu_typespace types; iu_table_def def; /* of results that are no table's */ } iu_copied_rows;
iu_status iu__copied_rows_new(const iu_table_def *table, iu_copied_rows **out, iu_error *err);
void iu__copied_rows_free(iu_rows *rows);   /* what `release` does, for owners that put something around it */
/* A copy in the set's memory, which is not one of its rows yet. NULL: no memory. */
iu_row *iu__copied_rows_copy(iu_copied_rows *set, iu_slice bytes);

#endif
