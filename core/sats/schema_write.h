/* schema_write.h: writes a module definition (RawModuleDef V9) from calls, for those who declare tables and reducers in words: the Lua border, the C API.
 *
 * Order: types, tables and reducers may be declared in any order, a name before it is defined; iu__schema_writer_end writes the whole, after it has been
 * judged by the rules of schema.h. The first error ends the writer: every later call answers with it, so a caller may ask once, at the end.
 * Errors name the table, column, type or reducer and what was expected. All texts are copied. Not for more than one thread.
 *
 * Types are made in iu__schema_writer_types with the constructors of type.h (scalars and specials are constants) or are those of
 * iu__schema_writer_type_ref. A product or sum that is not special must be one of the latter: define it under a name, use the ref. A NULL type (no memory,
 * too deep, too many) is an error here, so calls nest.
 *
 * Reducers' and tables' numbers count from 0 in order of their declaration: they are the positions in the definition.
 */
#ifndef IU_SATS_SCHEMA_WRITE_H
#define IU_SATS_SCHEMA_WRITE_H

#include "schema.h"

typedef struct iu_schema_writer iu_schema_writer;

/* NULL: no memory. */
iu_schema_writer *iu__schema_writer_new(void);
void iu__schema_writer_free(iu_schema_writer *w); /* NULL is fine */
/* What the first error was, IU_OK when there is none. */
iu_status iu__schema_writer_status(const iu_schema_writer *w, iu_error *err);

/* ---- types ---- */
iu_typespace *iu__schema_writer_types(iu_schema_writer *w);
/* The named type, defined or not yet. NULL after an error. */
const iu_type *iu__schema_writer_type_ref(iu_schema_writer *w, const char *name);
/* product_or_sum: made in this writer's typespace. Once per name; tables' rows are types of the same name and need not be defined. */
iu_status iu__schema_writer_type(iu_schema_writer *w, const char *name, const iu_type *product_or_sum, iu_error *err);

/* ---- tables ---- */
iu_status iu__schema_writer_table(iu_schema_writer *w, const char *name, bool is_public, uint32_t *table, iu_error *err);
iu_status iu__schema_writer_table_named(iu_schema_writer *w, const char *name, uint32_t *table, iu_error *err);
/* default_value: BSATN of the type, what rows that were stored before the column was added get; NULL: none. */
iu_status iu__schema_writer_column(iu_schema_writer *w, uint32_t table, const char *name, const iu_type *type, const void *default_value, size_t default_len,
                                   iu_error *err);
/* The rest names columns that are there already. */
iu_status iu__schema_writer_primary_key(iu_schema_writer *w, uint32_t table, const char *column, iu_error *err); /* with its unique index */
iu_status iu__schema_writer_unique(iu_schema_writer *w, uint32_t table, const char *const *columns, uint32_t count, iu_error *err); /* with its index */
/* accessor NULL: the columns' names joined by "_". An index that a primary key or a unique constraint has brought already gets the accessor. */
iu_status iu__schema_writer_index(iu_schema_writer *w, uint32_t table, const char *accessor, const char *const *columns, uint32_t count, iu_error *err);
iu_status iu__schema_writer_auto_inc(iu_schema_writer *w, uint32_t table, const char *column, iu_error *err);
/* The column is a ScheduleAt, the primary key a U64, and the reducer takes one row of the table: without parameters declared it is given that one,
 * named `row`. */
iu_status iu__schema_writer_schedule(iu_schema_writer *w, uint32_t table, const char *column, const char *reducer, iu_error *err);
/* A row of the table, as a type for parameters. */
const iu_type *iu__schema_writer_row_ref(iu_schema_writer *w, uint32_t table);

/* ---- reducers ---- */
iu_status iu__schema_writer_reducer(iu_schema_writer *w, const char *name, iu_lifecycle lifecycle, uint32_t *reducer, iu_error *err);
iu_status iu__schema_writer_param(iu_schema_writer *w, uint32_t reducer, const char *name, const iu_type *type, iu_error *err);

/* ---- the end ---- */
/* Once. The definition, appended to `out`. */
iu_status iu__schema_writer_end(iu_schema_writer *w, iu_buf *out, iu_error *err);

#endif
