/* fold.h: moving commits from the journal into the tables, a slice at a time.
 *
 * A slice takes whole groups from the start of the journal (at least one, more while they stay small), keeps the last state of each row,
 * writes these to the tables and deletes the groups, all in one SQLite transaction: a crash finds all of it or none. The transaction is not
 * synced (synchronous=NORMAL): should a power loss undo it, the groups are in the journal again. The next synced commit carries it along.
 *
 * Used by the journal's thread only. Buffers are kept between slices, large ones given back.
 */
#ifndef IU_JOURNAL_FOLD_H
#define IU_JOURNAL_FOLD_H

#include "frame.h"
#include "writer.h"

#define IU_FOLD_SLICE_BYTES (256u << 10)   /* no further group is taken once a slice has this much */

typedef struct iu_fold_entry iu_fold_entry;
typedef struct iu_fold_position { const iu_catalog_table *table; uint32_t sequence; int64_t next; } iu_fold_position;
typedef struct iu_fold {
  iu_catalog *catalog;              /* borrowed; its statements are used */
  sqlite3_stmt *read, *trim, *position;
  iu_buf frames, scratch;
  iu_fold_entry *entries;         /* last change of each row met, in the order met */
  uint32_t count, cap;
  uint32_t *slots, slot_count;    /* hash table of entries, by position + 1 */
  iu_fold_position *positions;
  uint32_t position_count, position_cap;
} iu_fold;

typedef struct iu_fold_result { uint64_t folded, frames, bytes; } iu_fold_result;
/* `folded`: last sequence already in the tables. A slice of an empty journal is a result without frames. IU_E_NOMEM: nothing was done, may be
 * tried again later; other failures are final. */
iu_status iu__jfold_slice(iu_fold *f, iu_writer *w, uint64_t folded, iu_fold_result *out, iu_error *err);
void iu__jfold_free(iu_fold *f);
/* Puts a valid row into its SQL table, within the caller's transaction; t->put is prepared. Bindings point into the row until the next. */
iu_status iu__jfold_put(sqlite3 *db, const iu_catalog_table *t, iu_slice row, iu_buf *scratch, iu_error *err);
/* The same of a delete: its key, or the whole row where the key is that; t->del is prepared. */
iu_status iu__jfold_delete(sqlite3 *db, const iu_catalog_table *t, iu_slice key, iu_buf *scratch, iu_error *err);

/* fold_map.c: the rows of a slice. */
struct iu_fold_entry {
  const iu_catalog_table *table;
  uint64_t hash;
  iu_slice key, bytes;            /* bytes: the row of a PUT */
  iu_frame_op op;
};
void iu__jfold_map_reset(iu_fold *f);
/* Remembers the change, in place of an earlier one of the same row. */
iu_status iu__jfold_map_put(iu_fold *f, const iu_catalog_table *t, iu_frame_op op, iu_slice bytes, iu_error *err);
iu_status iu__jfold_map_position(iu_fold *f, const iu_catalog_table *t, uint32_t sequence, int64_t next, iu_error *err);

#endif
