/* schema.h: what a module declares: types, tables, indexes, reducers, procedures; read from and written as RawModuleDef V9 (protocol sheet 8.4).
 *
 * A schema is immutable after iu__schema_decode. Everything lives in its arena. Names are checked to be identifiers (letters of any script,
 * digits and `_`); generated index, constraint and sequence names are filled in. Refused: what the sheet's validation rules list;
 * names of tables, and of one table's columns, that differ only in case; tables named `st_...`, `_iu_...`, `sqlite_...`,
 * columns named `_row` or `_iu_...` (the SQLite file has its own use for those); sequences whose increment the host would panic
 * on; system tables, and row level security, since ignoring it would show rows it hides. Definitions of other versions (V8, V10)
 * are refused by name. Views that can be asked like tables (without parameters, of rows of a product type)
 * are tables without keys and indexes, behind all others; other views are read over.
 *
 * Cost: decoding walks the bytes a few times and sorts names; the limits keep hostile definitions from costing more than a second
 * or so. Look-ups of tables and reducers are O(log n), of columns and indexes linear.
 */
#ifndef IU_SATS_SCHEMA_H
#define IU_SATS_SCHEMA_H

#include "bsatn.h"

#define IU_SCHEMA_BYTES_MAX (2u << 20)  /* of a definition */
#define IU_SCHEMA_NAME_MAX 128          /* bytes of a name as given; generated ones are as long as they come */
#define IU_SCHEMA_INDEX_NAME_MAX 4096   /* of the names of a served table's indexes and their kin: tables' and columns' names joined by the bindings */
#define IU_SCHEMA_TABLES_MAX 1024
#define IU_SUBMODULES_MAX 256           /* of a served module, at any depth */
#define IU_TABLE_INDEXES_MAX 64         /* and as many unique constraints, and sequences */
#define IU_INDEX_COLUMNS_MAX 32

typedef struct iu_index_def {
  const char *name;               /* "entity_entity_type_idx_btree" */
  const char *accessor;           /* "entity_type"; what Lua's :find(index, ...) takes; never NULL (columns joined by _) */
  uint32_t column_count; const uint16_t *columns;
  bool unique;                    /* a Unique constraint on the same set of columns exists */
} iu_index_def;

/* min <= start <= max, all within the column's type; increment is not 0 and smaller than max - min. Defaults: start 1, min 1, max the type's. */
typedef struct iu_sequence_def { const char *name; uint16_t column; int64_t start, min, max, increment; } iu_sequence_def;

typedef struct iu_table_def {
  const char *name;
  const iu_type *row;             /* a product, dereferenced */
  int32_t primary_key;            /* column, or -1 */
  bool is_public;
  bool is_view;                   /* what a server computes: read and subscribed like a table, and never written */
  bool is_event;                  /* of a server (since 2.0): rows exist in the transaction that inserts them only; told, never held */
  bool plain_text;                /* of a server's module that is not the toolkit's own: a String is what it is, JSON by its name or none by being empty only there */
  uint32_t index_count; const iu_index_def *indexes;
  uint32_t sequence_count; const iu_sequence_def *sequences;
  int32_t schedule_reducer;       /* reducer index, or -1 */
  uint16_t schedule_column;       /* a ScheduleAt */
  const iu_slice *defaults;       /* per column: BSATN of its default value, p NULL where it has none; NULL: no column has one. Of served modules none are kept. */
} iu_table_def;

typedef enum iu_lifecycle { IU_LC_NONE, IU_LC_INIT, IU_LC_CONNECT, IU_LC_DISCONNECT } iu_lifecycle;
typedef struct iu_reducer_def { const char *name; const iu_type *params; /* product */ iu_lifecycle lifecycle; } iu_reducer_def;

/* What a definition calls besides reducers. */
typedef struct iu_procedure_def { const char *name; const iu_type *params; /* product */ const iu_type *returns; } iu_procedure_def;

typedef struct iu_schema {
  iu_typespace types;
  iu_arena arena;
  const char **type_names;        /* per typespace entry, NULL where unnamed; scopes joined by "." */
  uint32_t table_count, view_count; iu_table_def *tables; /* the last view_count of them are views */
  uint32_t reducer_count; iu_reducer_def *reducers;
  uint32_t procedure_count; iu_procedure_def *procedures;
  uint32_t *table_order, *reducer_order; /* indexes sorted by name */
  uint8_t *definition; size_t definition_len; /* the RawModuleDef bytes it came from */
} iu_schema;

/* *out is given to the caller: iu__schema_free. */
iu_status iu__schema_decode(const void *bytes, size_t len, iu_schema **out, iu_error *err);
/* Of a module that runs on a server: what only an embedded universe cannot have is let through (names that are reserved here or differ only in
 * case, names used twice for indexes and their kin, `namespace.name` of what is in a submodule); sequences and default values, which concern the server alone, are not looked at; a table
 * whose schedule calls a procedure has schedule_reducer -1. What a client lives from is checked all the same. */
iu_status iu__schema_decode_served(const void *bytes, size_t len, iu_schema **out, iu_error *err);
/* One schema from the definitions of several modules that live beside each other: tables, reducers and types of the first in their order, then those of
 * the next. A table (case aside), reducer or type that two of them declare is an IU_E_VALIDATION that names both modules. Lifecycle reducers are every module's
 * own: from the second module on they are named `{module}_{reducer}`. Modules with views cannot be merged. The schema's definition is the merged one. */
typedef struct iu_schema_part { const char *module; const void *definition; size_t len; uint32_t tables, reducers; /* given back: how many it has */ } iu_schema_part;
iu_status iu__schema_merge(iu_schema_part *parts, uint32_t count, iu_schema **out, iu_error *err);
void iu__schema_free(iu_schema *s);
int iu__schema_table(const iu_schema *s, const char *name, size_t len);    /* index, or -1 */
int iu__schema_reducer(const iu_schema *s, const char *name, size_t len);
int iu__schema_procedure(const iu_schema *s, const char *name, size_t len);
int iu__table_def_column(const iu_table_def *t, const char *name, size_t len);
int iu__table_def_index(const iu_table_def *t, const char *accessor_or_name, size_t len);
/* ", did you mean `x`?" or "" for an unknown name, in out. */
void iu__schema_suggest_table(const iu_schema *s, const char *name, size_t len, char out[96]);
void iu__schema_suggest_column(const iu_table_def *t, const char *name, size_t len, char out[96]);
void iu__schema_suggest_reducer(const iu_schema *s, const char *name, size_t len, char out[96]);
void iu__schema_suggest_procedure(const iu_schema *s, const char *name, size_t len, char out[96]);
/* "create_entity(entity_type: String, metadata: EntityMetadata, id: Option<String>)" */
void iu__reducer_signature(const iu_schema *s, const iu_reducer_def *r, iu_buf *out);
/* "roll(sides: U8) -> U8" */
void iu__procedure_signature(const iu_schema *s, const iu_procedure_def *p, iu_buf *out);

#endif
