/* compare.h: the operations that lead from one tree to another.
 *
 * Applied to `old` they give `new` exactly (tree.h says what equal is), for any two trees. They are small where that is cheap: members are compared by
 * key; elements of arrays are matched by a key of theirs or as a common subsequence (align.h) and those between two matched ones by position;
 * a value is replaced as a whole where that is smaller than what changes in it; several changed members go into one merge patch; a
 * long string is edited. Time is about linear in both trees, memory in what differs; recursion goes no deeper than the trees.
 */
#ifndef IU_DOCUMENT_COMPARE_H
#define IU_DOCUMENT_COMPARE_H

#include "operations.h"

/* An array's elements are known by the member `key`: of the array at `path`, where a segment * stands for any. */
typedef struct iu_compare_key { const char *path; size_t path_len; const char *key; size_t key_len; } iu_compare_key;
#define IU_COMPARE_KEYS_MAX 256

typedef struct iu_compare_options {
  bool by_index;             /* elements belong together that have the same index */
  bool in_parts;             /* an array or object is not replaced as a whole by another one at the root, even where that is smaller */
  const iu_compare_key *keys; /* the first that fits an array counts; without, or where a key is missing or not unique: as "auto" does */
  uint32_t key_count;
} iu_compare_options;

/* The list, its paths and what values it had to build are in `arena`; other values are borrowed from `new`. options may be NULL: "auto", which
 * matches elements that are objects with a unique scalar member `id`, `key` or `name` by it. IU_E_NOMEM; IU_E_VALIDATION for a bad pattern. */
iu_status iu__compare(const iu_json *old, const iu_json *new_, const iu_compare_options *options, iu_arena *arena, iu_operations *out, iu_error *err);

#endif
