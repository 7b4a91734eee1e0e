/* path_index.h: an ordered index over a field of one table's rows (filter_field.h: a path into JSON text, a metadata field, a column), for selections.
 *
 * Values are kept as bytes that order as filters and orders of selections do (filter_value.h): null and missing, booleans, numbers by exact value whatever
 * their kind, NaN, texts by bytes, then arrays and objects, which are not ordered among themselves. Of a text only the first bytes are kept; such an index
 * still finds what it should (a selection evaluates its filters itself), but no longer gives its rows in order.
 *
 * It holds the rows of one moment: those visible when it was made, then changed by every change set of the table, in order. A change costs O(log n) and reading
 * the field; a version with the value of the one before it costs no memory. What fails (for want of memory) leaves the index unusable: `broken`.
 */
#ifndef IU_QUERY_PATH_INDEX_H
#define IU_QUERY_PATH_INDEX_H

#include "../base/buffer.h"
#include "../store/value_index.h"
#include "filter_field.h"

typedef struct iu_path_index {
  struct iu_path_index *next;   /* of the table's, for whoever keeps them */
  iu_table *table;
  char *path;                   /* owned: as it was given */
  iu_arena arena;
  iu_field_ref field;
  iu_field_scratch scratch;
  iu_buf value;                 /* scratch */
  iu_value_index *values;
  uint64_t cut;                 /* entries of which only the first bytes are kept */
  bool broken;
} iu_path_index;

/* Reads all rows visible at `epoch`. IU_E_VALIDATION: no such field, one that holds arrays or objects only, or one that has an index of the table already. */
iu_status iu__path_index_new(iu_table *t, uint64_t epoch, const char *path, size_t len, iu_path_index **out, iu_error *err);
void iu__path_index_free(iu_path_index *x);
/* Gives its memory back and makes it broken. */
void iu__path_index_empty(iu_path_index *x);
/* Not for a broken one. When it fails the index is broken. */
iu_status iu__path_index_apply(iu_path_index *x, const iu_change *change, iu_error *err);

/* ---- values as bytes ---- */

/* First bytes, one a kind of value. */
enum { IU_VB_NULL = 1, IU_VB_FALSE, IU_VB_TRUE, IU_VB_NUMBER, IU_VB_NAN, IU_VB_TEXT, IU_VB_OTHER, IU_VB_END };
/* Replaces what is in out; *cut: the text did not fit. */
iu_status iu__value_bytes(const iu_fv *v, iu_buf *out, bool *cut, iu_error *err);
/* Of texts that begin with this one. */
iu_status iu__value_text_bytes(const char *text, size_t len, iu_buf *out, iu_error *err);

#endif
