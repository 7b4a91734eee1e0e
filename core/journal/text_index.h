/* text_index.h: full text search over texts of a table, by SQLite's FTS5, in the universe file. The fold keeps it in its own transaction.
 *
 * `_iu_text_index` says which tables have one: name, a JSON column, and the keys of its object whose texts are indexed, with commas between. For table T there are
 * `_iu_text_T` (FTS5, a column a key) and `_iu_text_T_key` (a number for each row, kept when the file is vacuumed). They are made on demand (extend.c), and not by
 * triggers: SQLite runs no full text search for a schema that it is told not to trust, and a file may come from anywhere.
 */
#ifndef IU_JOURNAL_TEXT_INDEX_H
#define IU_JOURNAL_TEXT_INDEX_H

#include "catalog.h"

#define IU_TEXT_KEYS_MAX 8

enum { IU_TEXT_NUMBER, IU_TEXT_READ, IU_TEXT_PUT, IU_TEXT_DROP, IU_TEXT_FORGET, IU_TEXT_STATEMENTS };
typedef struct iu_text_index { sqlite3_stmt *statements[IU_TEXT_STATEMENTS]; int texts; } iu_text_index;

/* Which tables of the file have one, to be asked for once before the first fold and whenever one was made. IU_E_STORAGE: the list is damaged. */
iu_status iu__jtext_read(iu_catalog *l, sqlite3 *db, iu_error *err);
/* After the row with this key (BSATN) was put or deleted; a table without an index costs nothing. */
iu_status iu__jtext_put(const iu_catalog_table *t, sqlite3 *db, iu_slice key, iu_buf *scratch, iu_error *err);
iu_status iu__jtext_delete(const iu_catalog_table *t, sqlite3 *db, iu_slice key, iu_buf *scratch, iu_error *err);
void iu__jtext_free(iu_text_index *index);

#endif
