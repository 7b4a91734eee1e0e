/* bsatn.h: walking BSATN values by their type: check, skip, find a column, compare. Nothing here allocates.
 *
 * Cost: linear in the bytes; O(1) where the type's size is fixed and any bytes are valid (iu_type.plain). Depth of a value is the
 * number of products, sums and arrays around its innermost part, at most IU_TYPE_DEPTH_MAX.
 */
#ifndef IU_SATS_BSATN_H
#define IU_SATS_BSATN_H

#include "type.h"

/* Advances r past one value of type t, checking everything: bounds, bool bytes, sum tags, UTF-8, depth, and that the count of
 * an array of zero-sized elements is at most IU_ZERO_SIZED_MAX. The error names the byte offset and what was expected. */
#define IU_ZERO_SIZED_MAX 65536
iu_status iu__bsatn_check(const iu_type *t, iu_reader *r, iu_error *err);
/* The same for a whole buffer: trailing bytes are an error too. */
iu_status iu__bsatn_check_all(const iu_type *t, const void *bytes, size_t len, iu_error *err);
/* Skips a value already known to be valid (a stored row); fast, trusts only bounds. Returns NULL when out of bounds. */
const uint8_t *iu__bsatn_skip(const iu_type *t, const uint8_t *p, const uint8_t *end);
/* Column `index` of a valid row; {NULL, 0} when there is none or the bytes end before it. */
typedef struct iu_slice { const uint8_t *p; size_t len; } iu_slice;
iu_slice iu__bsatn_column(const iu_type *product, uint32_t index, const uint8_t *row, size_t len);
/* Total order of two valid values of one type: integers and floats by value (-NaN < ... < -0.0 < 0.0 < ... < NaN),
 * strings and bytes by memcmp then length, arrays and products element by element, sums by tag then payload. */
int iu__bsatn_compare(const iu_type *t, iu_slice a, iu_slice b);

#endif
