/* catalog.h: the tables of a universe file: which SQL table holds which table of the schema, and whether the two still agree.
 *
 * Each table of the schema is one SQL table of the same name: `_row` (BLOB, the row's BSATN), then a readable column for each field (cell.h).
 * Its key is the primary key's column where that is faithful, else `_row` (key_is_row). `_iu_table` keeps for each table an id, its name and
 * its definition: text of one line a column, primary key, unique constraint and auto-increment column. Plain indexes and visibility are not
 * part of it: they may change without touching the file.
 *
 * A catalog is made from a schema (held), then meets the file's tables once (iu__jcatalog_read); it is immutable afterwards but for the
 * prepared statements, which belong to the thread that folds, and what alter.c did.
 */
#ifndef IU_JOURNAL_CATALOG_H
#define IU_JOURNAL_CATALOG_H

#include "../sats/schema.h"
#include "cell.h"
#include "journal.h"

typedef struct iu_catalog_table {
  const iu_table_def *def;
  uint32_t id;               /* in the file, from 1; given by iu__jcatalog_read, also to tables that are not there yet */
  bool in_file;
  bool changed;              /* the file's definition is another one, which alter.c makes this one */
  uint32_t file_columns;     /* how many of its columns the file has: the first ones */
  bool key_is_row;
  iu_cell *cells;            /* one a column; owned */
  char *definition;          /* owned */
  sqlite3_stmt *put, *del;   /* the fold's, prepared when first needed; owned */
  struct iu_text_index *text; /* text_index.h; owned; NULL: none */
} iu_catalog_table;

typedef struct iu_catalog {
  uint32_t count;
  iu_catalog_table *tables;   /* by position in the schema */
  uint32_t *by_id;           /* position of id + 1 */
} iu_catalog;

/* IU_E_VALIDATION for what SQLite could not hold: a column named `_row`, names that differ only in case, names SQLite reserves. */
iu_status iu__jcatalog_init(iu_catalog *l, const iu_schema *schema, iu_error *err);
void iu__jcatalog_free(iu_catalog *l);
/* The table of this id in the file, or NULL. */
static inline const iu_catalog_table *iu__jcatalog_by_id(const iu_catalog *l, uint32_t id) {
  return id - 1u < l->count ? &l->tables[l->by_id[id - 1]] : NULL;
}
/* Compares with the file and gives ids. New tables, new columns at the end that have a default value, and unique constraints that came or went are taken
 * down for alter.c; every other difference: IU_E_MIGRATION with a list of them, which is cut to what a message holds; `tell` (may be NULL) hears each. */
iu_status iu__jcatalog_read(iu_catalog *l, sqlite3 *db, iu_difference_fn tell, void *ud, iu_error *err);
/* Makes the tables that are not in the file, within the caller's transaction. iu__jcatalog_created notes that it was committed. */
iu_status iu__jcatalog_create(iu_catalog *l, sqlite3 *db, iu_error *err);
void iu__jcatalog_created(iu_catalog *l);
/* The SQL that makes a table, under its definition's name. */
void iu__jcatalog_create_sql(const iu_catalog_table *t, iu_buf *sql);
/* Prepares `put` and `del`. */
iu_status iu__jcatalog_prepare(iu_catalog_table *t, sqlite3 *db, iu_error *err);
void iu__jcatalog_finalize(iu_catalog *l);

/* catalog_text.c: the definition of a table as stored, given to the caller (iu__free). */
iu_status iu__jcatalog_define(const iu_table_def *def, char **out, iu_error *err);
/* The word for a special or a scalar there; NULL: it has none. */
const char *iu__jtype_name(uint8_t tag, uint8_t special);

#endif
