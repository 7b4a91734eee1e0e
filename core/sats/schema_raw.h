/* schema_raw.h: a RawModuleDef V9 as read, before it is judged: what the schema*.c files hand to each other.
 *
 * schema_read.c fills an iu_raw_schema from bytes (layout, identifiers, nothing else); schema_types.c and schema_tables.c hold
 * the rules and fill in the iu_schema; schema_names.c knows about names; schema.c puts it together. Names live in the
 * schema's arena, the raw arrays in `arena`, freed when decoding ends. All false returns have filled in err.
 */
#ifndef IU_SATS_SCHEMA_RAW_H
#define IU_SATS_SCHEMA_RAW_H

#include "schema.h"

/* At most IU_INDEX_COLUMNS_MAX, in order and as a sorted set (it may hold a column twice; the rules refuse that). */
typedef struct iu_raw_columns { uint32_t count; const uint16_t *at, *sorted; } iu_raw_columns;

enum { IU_RAW_BTREE, IU_RAW_HASH, IU_RAW_DIRECT };
typedef struct iu_raw_index { const char *name, *accessor; uint8_t algorithm; iu_raw_columns on; } iu_raw_index;
typedef struct iu_raw_constraint { const char *name; iu_raw_columns on; } iu_raw_constraint;

/* An i128 cut to 64 bits: `over` when it did not fit and value is the nearest that does. */
typedef struct iu_raw_i128 { bool present, over; int64_t value; } iu_raw_i128;
typedef struct iu_raw_sequence { const char *name; uint16_t column; iu_raw_i128 start, min, max, increment; } iu_raw_sequence;

typedef struct iu_raw_table {
  const char *name;
  uint32_t row_type;
  iu_raw_columns primary_key;
  uint32_t index_count, constraint_count, sequence_count;
  iu_raw_index *indexes;
  iu_raw_constraint *constraints;
  iu_raw_sequence *sequences;
  bool scheduled, is_system, is_public;
  const char *schedule_name, *schedule_reducer;
  uint16_t schedule_column;
} iu_raw_table;

typedef struct iu_raw_type { const char *name; uint32_t type; bool custom_ordering; } iu_raw_type;
typedef struct iu_raw_default { const char *table; uint16_t column; const uint8_t *value; uint32_t len; } iu_raw_default;

typedef struct iu_raw_view { const char *name; bool is_public; const iu_type *params, *returns; } iu_raw_view;

typedef struct iu_raw_schema {
  iu_arena arena;
  bool merged; /* of several modules: each has its lifecycle reducers */
  bool served; /* a server has judged it by its own rules: those of an embedded universe do not hold */
  uint32_t table_count, type_count, default_count, function_count, view_count;
  iu_raw_table *tables;
  iu_raw_type *types;
  iu_raw_default *defaults;
  iu_raw_view *views;
  const char **functions; /* procedures and views */
} iu_raw_schema;

/* The Ref to the type of a view's rows; NULL for a view that cannot be read like a table: it has parameters, or returns something else than
 * rows of a product type. After linking. */
const iu_type *iu__raw_view_row(const iu_raw_view *view);
/* Reads s->definition: the typespace and the reducers go straight into s. */
iu_status iu__schema_read(iu_schema *s, iu_raw_schema *raw, iu_error *err);

/* The V9 bytes of what was read, or made, one part behind the other: entries of the typespace are numbered on. No views. Lifecycle reducers of a part with a
 * prefix are named "{prefix}_{name}". */
typedef struct iu_raw_part { iu_schema *s; iu_raw_schema *raw; const char *prefix; } iu_raw_part;
void iu__schema_encode(const iu_raw_part *parts, uint32_t count, iu_buf *out);

/* A schema around a copy of the definition, read by nobody yet; NULL: no memory. */
iu_schema *iu__schema_hold(const void *bytes, size_t len);
/* As iu__schema_decode, of a definition that iu__schema_encode made from several modules. */
iu_status iu__schema_decode_merged(const void *bytes, size_t len, iu_schema **out, iu_error *err);

/* Names of types, fields and variants; what columns and parameters may be made of. After linking. */
iu_status iu__schema_check_types(iu_schema *s, iu_raw_schema *raw, iu_error *err);
/* Tables with their indexes, constraints, sequences, schedules; after the types. */
iu_status iu__schema_build_tables(iu_schema *s, iu_raw_schema *raw, iu_error *err);

/* A letter or `_`, then also digits, at most IU_SCHEMA_NAME_MAX bytes of UTF-8. Beyond ASCII whatever a server may have let through. */
bool iu__is_identifier(const char *text, size_t len);
bool iu__is_identifier_within(const char *text, size_t len, size_t most); /* at most so many bytes instead */
bool iu__is_dotted_identifier(const char *text, size_t len, size_t most);  /* of a submodule: namespaces and a name, each at most so long */
/* ASCII case aside; like strcmp. */
int iu__compare_folded(const char *a, const char *b);
/* Sorts `names` and returns one that is there twice (case aside when folded), or NULL. */
const char *iu__find_duplicate(const char **names, size_t count, bool folded);
/* Orders names[i] of `count` items of `stride` bytes, the name first in each: indexes into *out, in the arena. NULL: no memory. */
uint32_t *iu__order_by_name(iu_arena *arena, const void *items, size_t stride, uint32_t count);

#endif
