/* snapshot.h: everything a universe file holds, without a lock and without a change to it: also while it is open elsewhere, then as of one moment.
 * Only a write that a killed process left half done in the file itself is undone first, as any reader's SQLite that may write does. */
#ifndef IU_JOURNAL_SNAPSHOT_H
#define IU_JOURNAL_SNAPSHOT_H

#include "catalog.h"
#include "load.h"

/* Opens for reading alone; `path` as given. Messages name it. */
iu_status iu__jsnapshot_open(const char *path, sqlite3 **out, iu_error *err);
/* Named values and rows, each checked, as an open gives them. Of the configuration: the schema, known_only, and who hears of differences. */
iu_status iu__jsnapshot_load(const char *path, const iu_journal_config *c, iu_meta_set *meta, const iu_journal_sink *sink, iu_journal_recovery *out,
                             iu_error *err);

#endif
