/* alter.h: a file whose tables are those of an earlier schema becomes one of this schema: columns added behind the others, unique constraints that came or
 * went, tables added. All of it is one SQLite transaction, in which the rows are loaded, too: where they do not fit (a new unique constraint that they
 * break), the file stays as it was. A crash leaves the old file or the new one.
 *
 * With recover_prefix a damaged journal is recovered first (aside.h) and by itself: a crash, or a schema that is refused afterwards, leaves a whole file of the earlier schema;
 * then the failure says what was lost.
 */
#ifndef IU_JOURNAL_ALTER_H
#define IU_JOURNAL_ALTER_H

#include "state.h"

bool iu__jalter_needed(const iu_catalog *l);
/* In place of iu__jload_all. Everything is read and checked before the first write; then the journal is folded, as it was. */
iu_status iu__jalter_and_load(iu_sqlite_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err);

#endif
