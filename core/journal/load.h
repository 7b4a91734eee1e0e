/* load.h: reading a universe file: its named values at open, its rows and its journal at load. Every byte is checked before it is handed on:
 * checksums of the journal, gaps in its sequence, rows against their types. Nothing is written. */
#ifndef IU_JOURNAL_LOAD_H
#define IU_JOURNAL_LOAD_H

#include "catalog.h"
#include "meta.h"

typedef struct iu_file_state {
  uint64_t folded;         /* last sequence whose commit is in the tables */
  uint64_t last;           /* last sequence in the file */
  uint64_t journal_bytes;
  bool closed;             /* properly */
} iu_file_state;

/* Format, metadata, state; `path` for messages. */
iu_status iu__jload_state(sqlite3 *db, const char *path, iu_meta_set *meta, iu_file_state *out, iu_error *err);
/* Everything, in order, to the sink, as of one moment (of the caller's transaction, where there is one; it is ended). `prefix`: a group that is missing or
 * does not match its checksum ends the journal, and *out tells what is lost. */
iu_status iu__jload_all(sqlite3 *db, const iu_catalog *l, const iu_file_state *state, bool prefix, const iu_journal_sink *sink, iu_journal_recovery *out,
                       iu_error *err);
/* The same within a transaction of the caller. */
iu_status iu__jload_within(sqlite3 *db, const iu_catalog *l, const iu_file_state *state, bool prefix, const iu_journal_sink *sink, iu_journal_recovery *out,
                          iu_error *err);
/* The group a statement of IU_LOAD_GROUPS_SQL stands on, checked; `frames` is what follows the group's header and lasts until the next step. Its
 * first sequence must be `expected`. */
typedef struct iu_group { uint64_t first, last; size_t bytes; iu_slice frames; } iu_group;
iu_status iu__jload_group(sqlite3_stmt *st, uint64_t expected, iu_group *out, iu_error *err);
#define IU_LOAD_GROUPS_SQL "SELECT first, last, checksum, frames FROM _iu_journal ORDER BY first"

#endif
