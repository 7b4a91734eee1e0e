/* writer.h: the durability point: groups of commits appended to `_iu_journal` in one SQLite transaction that is synced before it ends.
 *
 * Used by the journal's thread only. A failure is final for the caller: nothing here tries again. The transaction is rolled back, so the file
 * holds either all of a call's groups or none.
 */
#ifndef IU_JOURNAL_WRITER_H
#define IU_JOURNAL_WRITER_H

#include "db.h"
#include "meta.h"
#include "queue.h"

typedef struct iu_writer {
  sqlite3 *db;          /* borrowed */
  sqlite3_stmt *insert, *put_meta;
  bool marked_open;     /* the file says that it is in use */
} iu_writer;

/* Begins a transaction of its own. */
iu_status iu__jwriter_begin(iu_writer *w, iu_error *err);
/* Seals the blocks and writes them, and `meta` where not NULL. */
iu_status iu__jwriter_write(iu_writer *w, iu_block *blocks, const iu_meta_set *meta, iu_error *err);
/* Within the caller's transaction. */
iu_status iu__jwriter_put_int(iu_writer *w, const char *key, int64_t value, iu_error *err);
/* Commits, or rolls back when `status` is a failure already; gives the outcome. */
iu_status iu__jwriter_end(iu_writer *w, iu_status status, iu_error *err);
void iu__jwriter_finalize(iu_writer *w);

#endif
