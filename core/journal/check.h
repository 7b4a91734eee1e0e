/* check.h: is a universe file what it should be? Reads everything, of one moment, and changes nothing; also while the file is open elsewhere.
 *
 * Looked at: SQLite's own integrity check; format, named values, the list of tables; of every table in the file, whoever declared it (file_schema.h), each row against its
 * type and its readable columns against the row; the journal's checksums, sequence and frames; auto-increment positions against the rows (a position behind its
 * rows is a warning: rows may be given values); text indexes, by FTS5's integrity check and against the rows; where nothing of that is wrong, primary keys
 * and unique constraints of what an open would load. Where a table of `schema` is another one in the file, that is a warning.
 * Damage does not end it. Cost: two passes over the file and the memory of a universe that holds its rows; the text indexes, copied to a temporary file.
 */
#ifndef IU_JOURNAL_CHECK_H
#define IU_JOURNAL_CHECK_H

#include "journal.h"

#define IU_CHECK_FINDINGS_MAX 1000u   /* told; the rest is only counted */

/* Borrowed for the call. `table` NULL: the file as a whole. A failure returned ends the check. */
typedef iu_status (*iu_check_fn)(void *ud, bool warning, const char *table, const char *message);

typedef struct iu_check_counts { uint64_t tables, rows, journal_groups, journal_commits, errors, warnings, last_sequence; bool closed; } iu_check_counts;

/* IU_OK when all could be read, whatever was found: `out` tells. IU_E_STORAGE: it is no universe, or cannot be read at all. */
iu_status iu__check_file(const char *path, const iu_schema *schema, iu_check_fn found, void *ud, iu_check_counts *out, iu_error *err);

#endif
