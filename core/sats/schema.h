/* schema.h: what a module declares: types, tables, indexes, reducers; read from and written as RawModuleDef V9 (protocol sheet 8.4).
 *
 * A schema is immutable after iu__schema_decode. Everything lives in its arena. Names are checked to be identifiers; generated index, constraint
 * and sequence names are filled in. Refused: what the sheet's validation rules list, table names that differ only in case,
 * names that start with `st_` or `_iu_`.
 */
#ifndef IU_SATS_SCHEMA_H
#define IU_SATS_SCHEMA_H

#include "type.h"

typedef struct iu_index_def {
  const char *name;               /* "entity_entity_type_idx_btree" */
  const char *accessor;           /* "entity_type"; what Lua's :find(index, ...) takes; never NULL (columns joined by _) */
  uint32_t column_count; const uint16_t *columns;
  bool unique;                    /* a Unique constraint on the same set of columns exists */
} iu_index_def;

typedef struct iu_sequence_def { const char *name; uint16_t column; int64_t start, min, max, increment; } iu_sequence_def;

typedef struct iu_table_def {
  const char *name;
  const iu_type *row;             /* a product, dereferenced */
  int32_t primary_key;            /* column, or -1 */
  bool is_public;
  uint32_t index_count; const iu_index_def *indexes;
  uint32_t sequence_count; const iu_sequence_def *sequences;
  int32_t schedule_reducer;       /* reducer index, or -1 */
  uint16_t schedule_column;
} iu_table_def;

typedef enum iu_lifecycle { IU_LC_NONE, IU_LC_INIT, IU_LC_CONNECT, IU_LC_DISCONNECT } iu_lifecycle;
typedef struct iu_reducer_def { const char *name; const iu_type *params; /* product */ iu_lifecycle lifecycle; } iu_reducer_def;

typedef struct iu_schema {
  iu_typespace types;
  iu_arena arena;
  const char **type_names;        /* per typespace entry, NULL where unnamed */
  uint32_t table_count; iu_table_def *tables;
  uint32_t reducer_count; iu_reducer_def *reducers;
  uint8_t *definition; size_t definition_len; /* the RawModuleDef bytes it came from */
} iu_schema;

/* *out is given to the caller: iu__schema_free. */
iu_status iu__schema_decode(const void *bytes, size_t len, iu_schema **out, iu_error *err);
void iu__schema_free(iu_schema *s);
int iu__schema_table(const iu_schema *s, const char *name, size_t len);    /* index, or -1 */
int iu__schema_reducer(const iu_schema *s, const char *name, size_t len);
int iu__table_def_column(const iu_table_def *t, const char *name, size_t len);
int iu__table_def_index(const iu_table_def *t, const char *accessor_or_name, size_t len);
/* ", did you mean `x`?" or "" for an unknown name, in out. */
void iu__schema_suggest_table(const iu_schema *s, const char *name, size_t len, char out[96]);
void iu__schema_suggest_column(const iu_table_def *t, const char *name, size_t len, char out[96]);
void iu__schema_suggest_reducer(const iu_schema *s, const char *name, size_t len, char out[96]);
/* "create_entity(entity_type: String, metadata: EntityMetadata, id: Option<String>)" */
void iu__reducer_signature(const iu_schema *s, const iu_reducer_def *r, iu_buf *out);

#endif
