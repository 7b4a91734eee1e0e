/* restore.h: what a journal gives back, into an empty store: the rows of the tables at once, then what the frames say, in slices. */
#ifndef IU_JOURNAL_RESTORE_H
#define IU_JOURNAL_RESTORE_H

#include "journal.h"

/* The first three are the caller's. */
typedef struct iu_restore {
  iu_store *store;
  void (*sequence)(void *ud, uint32_t table, uint32_t sequence, int64_t next); /* may be NULL */
  void *ud;
  bool tables;         /* the rows of the tables are being read */
  uint32_t in_slice;
  bool replacing;      /* the last row took another's place: so may the next */
} iu_restore;

/* *sink is for the load (iu__journal_load, load.h), which has checked every row against its type. IU_E_CONFLICT of it: rows break a unique constraint. */
iu_status iu__restore_begin(iu_restore *r, iu_journal_sink *sink, iu_error *err);
/* `status`: how the load ended. Commits, or gives the store back empty; tells the outcome. */
iu_status iu__restore_end(iu_restore *r, iu_status status, iu_error *err);

#endif
