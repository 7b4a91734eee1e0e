/* aside.h: what a journal that is damaged loses, with recover_prefix: its rows from the first damaged one on go to a file of their own (an SQLite database with
 * the table `lost`), and out of the journal only when that is on disk. */
#ifndef IU_JOURNAL_ASIDE_H
#define IU_JOURNAL_ASIDE_H

#include "load.h"
#include "writer.h"

/* Copies them; the file's name goes to r->lost_file. `folded`: the last commit that is in the tables. */
iu_status iu__jaside(sqlite3 *db, const char *path, uint64_t folded, iu_journal_recovery *r, iu_error *err);
/* Removes them from the journal: the next commit takes the number of the first that is lost. */
iu_status iu__jaside_cut(iu_writer *w, uint64_t folded, const iu_journal_recovery *r, iu_error *err);

#endif
