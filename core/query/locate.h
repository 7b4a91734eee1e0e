/* locate.h: finds a column, or a field of a nested product, in a BSATN row by a list of skips made once.
 *
 * A locator borrows the types; its steps live in the arena given. Finding costs one hop per column of varying size before the one
 * wanted and nothing for those of fixed size; it never allocates. Only bounds are checked: the row is a valid one of that type.
 */
#ifndef IU_QUERY_LOCATE_H
#define IU_QUERY_LOCATE_H

#include "../sats/bsatn.h"

typedef struct iu_locate_step {
  const iu_type *type; /* NULL: `size` bytes; else one value of this type, an array of `size`-byte elements when size is not 0 */
  uint32_t size;
} iu_locate_step;

typedef struct iu_locator {
  const iu_type *type;         /* of what is found; dereferenced */
  uint32_t count;
  const iu_locate_step *steps; /* in the arena */
} iu_locator;

/* path: field indexes from the row down; every level but the last must be a product. */
iu_status iu__locator_init(iu_locator *l, iu_arena *arena, const iu_type *row, const uint32_t *path, uint32_t depth, iu_error *err);
/* false: the row is too short to hold it. */
bool iu__locate(const iu_locator *l, const uint8_t *row, size_t len, iu_slice *out);

#endif
