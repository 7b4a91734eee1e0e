/* reshape.h: the tables of a working copy (working_copy.h) taken in hand: read, written, given other columns, without the modules that declared them.
 *
 * A session is on the file alone, on one thread. Tables are what the file's definitions say (file_schema.h); a definition is the text of catalog_text.c, so a new one is
 * made by iu__jcatalog_define of a schema that passed its rules. Writes go between `begin` and `commit` or `rollback`, which undoes all since begin. A crash may leave
 * anything (nothing is synced): the copy is thrown away then.
 *
 *   open -> { begin -> create, drop, rename, redefine, writers... -> commit }... -> close
 *
 * Readers and writers belong to the session: begin with `schema` ends the readers, commit and rollback the writers, close both. What is left of one is freed by
 * its own _free, at any time before the session's close... which is why both keep a pointer to it that close clears.
 *
 * Ids of a file run from 1 without gaps: a drop gives the last table the free one. A table that gets other rows, another name or is dropped loses its text
 * index, which the next search makes again.
 */
#ifndef IU_JOURNAL_RESHAPE_H
#define IU_JOURNAL_RESHAPE_H

#include "../base/buffer.h"
#include "../sats/schema.h"

typedef struct iu_reshape iu_reshape;
typedef struct iu_reshape_reader iu_reshape_reader;
typedef struct iu_reshape_writer iu_reshape_writer;

iu_status iu__reshape_open(const char *file, iu_reshape **out, iu_error *err);
void iu__reshape_close(iu_reshape *s);   /* NULL is fine; what was not committed is undone */

/* Tables in the order of their ids; all borrowed until the next commit or rollback. */
uint32_t iu__reshape_count(const iu_reshape *s);
const iu_table_def *iu__reshape_table(const iu_reshape *s, uint32_t table);
const char *iu__reshape_definition(const iu_reshape *s, uint32_t table);
int iu__reshape_find(const iu_reshape *s, const char *name);   /* -1: none */
iu_status iu__reshape_rows(iu_reshape *s, uint32_t table, uint64_t *out, iu_error *err);

/* schema: tables will come, go or change; readers end. */
iu_status iu__reshape_begin(iu_reshape *s, bool schema, iu_error *err);
iu_status iu__reshape_commit(iu_reshape *s, iu_error *err);
void iu__reshape_rollback(iu_reshape *s);

/* Inside of a transaction with `schema`. What they do is seen in the list above after the commit. */
iu_status iu__reshape_drop(iu_reshape *s, const char *name, iu_error *err);
iu_status iu__reshape_rename(iu_reshape *s, const char *name, const char *to, iu_error *err);
/* Another definition with the same types of columns and the same primary key, in the same order: names, constraints. Unique constraints are checked. */
iu_status iu__reshape_redefine(iu_reshape *s, const char *name, const char *definition, iu_error *err);
/* The rows of a table against its unique constraints. IU_E_CONFLICT: names columns and values. */
iu_status iu__reshape_check_unique(iu_reshape *s, uint32_t table, iu_error *err);
/* Where auto-increment column number `which` of a table goes on; 0: where it begins. */
iu_status iu__reshape_position(iu_reshape *s, uint32_t table, uint32_t which, int64_t *next, iu_error *err);

/* The file's list of modules that had their `init`, as bytes, into `out`; outside of a transaction. */
iu_status iu__reshape_modules(iu_reshape *s, iu_buf *out, iu_error *err);
iu_status iu__reshape_set_modules(iu_reshape *s, iu_slice list, iu_error *err);

/* ---- rows ---- */

iu_status iu__reshape_reader_new(iu_reshape *s, uint32_t table, iu_reshape_reader **out, iu_error *err);
/* The next row, checked; *row false at the end. Bytes last until the next call. IU_E_CLOSED: the session ended it. */
iu_status iu__reshape_next(iu_reshape_reader *r, bool *row, iu_slice *bytes, iu_error *err);
const iu_table_def *iu__reshape_reader_table(const iu_reshape_reader *r);   /* NULL: ended */
void iu__reshape_reader_free(iu_reshape_reader *r);

typedef enum iu_reshape_mode {
  IU_RESHAPE_CREATE,   /* a new table of that name */
  IU_RESHAPE_REPLACE,  /* in place of the table of that name, with all its rows; readers of the old one may go on until _finish */
  IU_RESHAPE_APPEND    /* to the table of that name; `definition` is not looked at */
} iu_reshape_mode;
/* Inside of a transaction; the first two want one with `schema`. */
iu_status iu__reshape_writer_new(iu_reshape *s, iu_reshape_mode mode, const char *name, const char *definition, iu_reshape_writer **out, iu_error *err);
/* Valid BSATN of the row type in writable memory: auto-increment columns that hold 0 get their number in place. `over`: a row with that key is replaced; else
 * IU_E_CONFLICT. Positions follow rows that are ahead of them. */
iu_status iu__reshape_put(iu_reshape_writer *w, uint8_t *row, size_t len, bool over, iu_error *err);
/* IU_RESHAPE_APPEND. By primary key (BSATN), or the whole row where there is none. */
iu_status iu__reshape_delete(iu_reshape_writer *w, iu_slice key, bool *was_there, iu_error *err);
/* Where an auto-increment column goes on, before the first row. */
void iu__reshape_writer_position(iu_reshape_writer *w, uint32_t which, int64_t next);
/* Unique constraints checked (where `check`), positions noted, the table in its place. */
iu_status iu__reshape_finish(iu_reshape_writer *w, bool check, iu_error *err);
const iu_table_def *iu__reshape_writer_table(const iu_reshape_writer *w);   /* NULL: ended */
void iu__reshape_writer_free(iu_reshape_writer *w);
/* The row with this primary key (BSATN). *row false: there is none. Bytes are put into `out`. */
iu_status iu__reshape_get(iu_reshape *s, uint32_t table, iu_slice key, bool *row, iu_buf *out, iu_error *err);

#endif
