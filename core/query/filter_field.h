/* filter_field.h: the fields that filters and orders name, and reading one from a row.
 *
 * Resolving (once) turns `entity_type`, `name` (a field of the column `metadata`), `metadata.name` or `properties.a.b` into a place in the row and, for
 * JSON text, a path to follow in it. Reading gives a view of the value; JSON text is searched in place, a document is never built.
 * A value inside JSON text that is not well-formed counts as missing.
 *
 * A String column is JSON text when it is called properties, data, value or metadata, at top level or as a field of the product column `metadata`;
 * in a table of somebody else's module (plain_text) only where the name goes on into it, `data.x`: there the column itself is text, and empty is empty.
 * Other top-level texts that are "" read as null (but the primary key's). Products are entered by their fields; options read as their
 * value or null; other sums, and paths into options and arrays, go through readable JSON (IU_SJ_READABLE), which is slower.
 */
#ifndef IU_QUERY_FILTER_FIELD_H
#define IU_QUERY_FILTER_FIELD_H

#include "../sats/schema.h"
#include "filter_value.h"
#include "locate.h"

typedef struct iu_field_ref {
  iu_locator place;
  uint32_t depth;        /* 1: a column itself */
  uint32_t column;
  bool json;             /* JSON text: follow path from `from` */
  bool convert;          /* anything else to be followed as readable JSON */
  bool empty_is_null;
  uint32_t from;
  iu_path path;          /* owned: iu__field_ref_free */
} iu_field_ref;

/* On failure IU_E_VALIDATION naming the field (with a suggestion); nothing to free then. */
iu_status iu__field_resolve(iu_arena *arena, const iu_table_def *table, const char *name, size_t len, iu_field_ref *out, iu_error *err);
void iu__field_ref_free(iu_field_ref *f);
/* Whether both name the same place of the rows of one table. */
bool iu__field_same(const iu_field_ref *a, const iu_field_ref *b);
/* How dear reading is, for ordering filters: 0 scalars ... 3 converted values. */
uint8_t iu__field_cost(const iu_field_ref *f);

/* Room for what cannot point into the row: decoded strings, digits, converted values. Zero-initialise. */
typedef struct iu_field_scratch { iu_buf text, json; } iu_field_scratch;
void iu__field_scratch_free(iu_field_scratch *s);

/* The view is good until the next read with the same scratch. Fails only for lack of memory. */
iu_status iu__field_read(const iu_field_ref *f, iu_field_scratch *s, const uint8_t *row, size_t len, iu_fv *out, iu_error *err);
iu_status iu__fv_from_bsatn(const iu_type *t, iu_slice value, iu_field_scratch *s, iu_fv *out, iu_error *err);
/* One well-formed JSON value without white space around it. */
iu_status iu__fv_from_json_text(const char *text, size_t len, iu_field_scratch *s, iu_fv *out, iu_error *err);

#endif
