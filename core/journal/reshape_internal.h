/* reshape_internal.h: what reshape.c (sessions, tables), reshape_rows.c (readers, writers) and reshape_unique.c share. */
#ifndef IU_JOURNAL_RESHAPE_INTERNAL_H
#define IU_JOURNAL_RESHAPE_INTERNAL_H

#include "catalog.h"
#include "db.h"
#include "file_schema.h"
#include "reshape.h"

struct iu_reshape {
  sqlite3 *db;
  char *file;
  iu_file_schema schema;   /* as of the last commit */
  iu_catalog catalog;
  bool open, schema_changes;   /* a transaction */
  uint32_t sides;              /* names given to tables on their way */
  iu_reshape_reader *readers;
  iu_reshape_writer *writers;
};

struct iu_reshape_reader {
  iu_reshape *s;           /* NULL: ended */
  uint32_t table;
  sqlite3_stmt *st;
  iu_reshape_reader *prev, *next;
};

struct iu_reshape_writer {
  iu_reshape *s;           /* NULL: ended */
  iu_reshape_mode mode;
  char *name;              /* of the table; what is written meanwhile may have another */
  iu_file_schema schema;   /* of a table on its way */
  iu_catalog catalog;
  iu_catalog_table *table; /* of its own catalog, or the session's */
  sqlite3_stmt *insert;    /* refuses a key that is there */
  int64_t *positions;      /* 0: where it begins */
  bool touched;            /* positions differ from the file's */
  iu_buf scratch;
  iu_reshape_writer *prev, *next;
};

extern const char iu__reshaping[];

iu_status iu__reshape_sql(iu_reshape *s, iu_buf *sql, iu_error *err);   /* runs it, and empties it */
iu_status iu__reshape_need(const iu_reshape *s, bool schema, iu_error *err);
iu_status iu__reshape_drop_text(iu_reshape *s, const char *name, iu_error *err);
iu_status iu__reshape_id(iu_reshape *s, const char *name, int64_t *out, iu_error *err);
/* "id = 5, name = \"x\"" of a valid row. */
void iu__reshape_show(const iu_table_def *def, const uint16_t *columns, uint32_t count, iu_slice row, iu_buf *out);
/* A table by the name that it has in SQL; `shown` in messages. */
iu_status iu__reshape_unique(sqlite3 *db, const iu_catalog_table *t, const char *shown, iu_error *err);
void iu__reshape_end_readers(iu_reshape *s);
void iu__reshape_end_writers(iu_reshape *s);

#endif
