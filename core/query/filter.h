/* filter.h: the manager's filters: the eleven operators on columns and dotted paths into JSON-text columns, order, limit, offset.
 *
 * A selection is compiled once against a table and then fed rows in any order (from the engine's table or a server's answer); it keeps at
 * most what order, offset and limit need (a bounded heap when there is a limit) and yields the result in order. Order of calls:
 * new, then run, or offer any number of times and finish, then the results; free.
 *
 * Values: JSON texts. Comparison: a missing path equals only null and NotEquals everything else; values of different types are unequal and
 * unordered, integers and floats compare by exact value, strings by bytes; booleans false < true; null, arrays and objects are only equal
 * (deeply, key order aside). Contains: substring on strings, element on arrays. StartsWith, EndsWith: strings. In, NotIn: the value is an
 * array of candidates. GreaterThan and kin on a missing path are false.
 * Order: null and missing first, then booleans, numbers, strings, then the rest as equal (descending: the other way round); ties by primary
 * key, ascending always. JSON text that is not well-formed counts as missing, NaN equals nothing and is ordered after the numbers.
 *
 * Fields: a column (`entity_type`), a field of the column `metadata` (`name`, `tags`, `strength`), or `properties.a.b` (also any JSON-text
 * column: `data.x`, `metadata.x` where metadata is JSON text). A column name wins over a metadata field of the same name. A Timestamp compares as
 * integer microseconds, an Identity, a ConnectionId and bytes as hex text, a Uuid as text; a text other than the primary key that is "" as null.
 * Unknown first segments are IU_E_VALIDATION with a suggestion, and so are a record without a field behind it, and a field of a plain value.
 * Operator names: Equals ... NotIn and EQUALS, NOT_EQUALS, GREATER_THAN, LESS_THAN, GREATER_OR_EQUAL, LESS_OR_EQUAL, CONTAINS, STARTS_WITH,
 * ENDS_WITH, IN, NOT_IN; unknown ones are IU_E_VALIDATION with a suggestion.
 */
#ifndef IU_QUERY_FILTER_H
#define IU_QUERY_FILTER_H

#include "../base/buffer.h"
#include "query.h"

/* The columns of a NERV-like table that hold JSON text and so can be entered by a path: named by convention
 * `properties`, `data`, `value`, `metadata` when their type is String (at top level or inside the product column `metadata`). */
#define IU_FILTER_COUNT_MAX 1024
typedef struct iu_filter_spec { const char *field; size_t field_len; const char *op; size_t op_len; const char *json; size_t json_len; } iu_filter_spec;
typedef struct iu_selection_spec {
  uint32_t filter_count; const iu_filter_spec *filters;
  const char *order_by; size_t order_by_len;   /* NULL: primary key order */
  bool descending;
  bool has_limit; uint64_t limit; uint64_t offset;
} iu_selection_spec;

typedef struct iu_selection iu_selection;
struct iu_path_index; /* path_index.h */
iu_status iu__selection_new(const iu_table_def *table, const iu_selection_spec *spec, iu_selection **out, iu_error *err);
/* Rows of a table visible at `epoch`, found where it costs least (access.h), offered and finished. paths: the indexes over paths of that epoch, or NULL.
 * *all false: the page was full before every row that could match was looked at (order and index go together), and matched counts up to there.
 * *looked (may be NULL): rows that were looked at. Instead of offers, once. */
iu_status iu__selection_run(iu_selection *s, iu_table *t, uint64_t epoch, struct iu_path_index *paths, bool *all, uint64_t *looked, iu_error *err);
/* In words where iu__selection_run would look: "index entity_type of entity". */
iu_status iu__selection_explain(iu_selection *s, iu_table *t, struct iu_path_index *paths, iu_buf *out, iu_error *err);
/* Offers a row; kept rows are copied by pointer: they must stay alive until the end. `done`: no further row can change the result (never, by offers alone). */
iu_status iu__selection_offer(iu_selection *s, const iu_row *row, bool *done, iu_error *err);
/* Sorts what was kept; then row i of iu__selection_count. */
iu_status iu__selection_finish(iu_selection *s, iu_error *err);
uint64_t iu__selection_count(const iu_selection *s);
const iu_row *iu__selection_row(const iu_selection *s, uint64_t i);
/* Rows offered that matched, before offset and limit. */
uint64_t iu__selection_matched(const iu_selection *s);
void iu__selection_free(iu_selection *s);

#endif
