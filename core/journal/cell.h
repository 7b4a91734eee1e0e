/* cell.h: how one column of a row looks as a SQLite value, for people and for SQL; `_row` is what loading reads.
 *
 *   Bool 0/1; integers INTEGER (a U64 above the i64 range, and all 128- and 256-bit integers, TEXT in decimal); floats REAL (NaN is
 *   NULL: SQLite has none); String TEXT; bytes BLOB; Identity and ConnectionId TEXT in big-endian hex; Uuid TEXT of 36 characters;
 *   Timestamp and TimeDuration INTEGER microseconds; an Option is NULL or what it holds; everything else is JSON text (IU_SJ_READABLE).
 */
#ifndef IU_JOURNAL_CELL_H
#define IU_JOURNAL_CELL_H

#include <sqlite3.h>

#include "../sats/bsatn.h"

typedef enum iu_cell_kind {
  IU_CELL_BOOL, IU_CELL_INT, IU_CELL_U64, IU_CELL_WIDE, IU_CELL_REAL, IU_CELL_TEXT, IU_CELL_HEX, IU_CELL_UUID, IU_CELL_BLOB, IU_CELL_JSON
} iu_cell_kind;

typedef struct iu_cell {
  const iu_type *type; /* what the options around it hold */
  uint8_t kind;        /* iu_cell_kind */
  uint8_t options;     /* how many options are around it */
} iu_cell;

iu_cell iu__jcell_of(const iu_type *column_type);
/* "INTEGER", "TEXT", ...; "" where values of two kinds share a column, so that SQLite converts nothing. */
const char *iu__jcell_sql_type(const iu_cell *c);
/* Do equal cells mean equal values, and the other way round? Only then can it be a key. */
bool iu__jcell_is_faithful(const iu_cell *c);
/* May the column be SQLite's INTEGER PRIMARY KEY? */
bool iu__jcell_is_rowid(const iu_cell *c);
/* Binds a valid BSATN value of the column. The value's bytes must stay until the statement is reset; `scratch` is working memory. */
iu_status iu__jcell_bind(const iu_cell *c, sqlite3_stmt *st, int parameter, iu_slice value, iu_buf *scratch, iu_error *err);

#endif
