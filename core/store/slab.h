/* slab.h: memory for many small blocks that come together and go one by one: the rows of a store. Private to core/store.
 *
 * Blocks are carved out of regions, each as large as all before it, up to 1 MiB; further ones are of 2 MiB, a huge page each where there are such. A freed
 * block is taken again for one of the same size (rounded up to 8); a region whose last block is freed goes back. A region that one block keeps is not lost:
 * its freed blocks serve again. Blocks over IU_SLAB_BLOCK_MAX are allocated by themselves.
 *
 * Cost: O(1) to take a new block; O(log regions) to take one again and to free one; and once a region O(its blocks).
 */
#ifndef IU_STORE_SLAB_H
#define IU_STORE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IU_SLAB_BLOCK_MAX 1024u
#define IU_SLAB_CLASSES (IU_SLAB_BLOCK_MAX / 8 + 1)

struct iu_slab_region;
struct iu_slab_free;

typedef struct iu_slab {
  struct iu_slab_region **regions; /* owned, in order of their addresses */
  uint32_t region_count, region_cap;
  struct iu_slab_region *filling;  /* where new blocks are carved; NULL: nowhere */
  size_t bytes;                    /* of all regions */
  struct iu_slab_free *freed[IU_SLAB_CLASSES];
} iu_slab;

void *iu__slab_take(iu_slab *s, size_t size);          /* aligned to 8; NULL: no memory */
void iu__slab_give(iu_slab *s, void *block, size_t size); /* the size it was taken with */
/* Whatever is in use: gone, but for blocks over IU_SLAB_BLOCK_MAX. */
void iu__slab_free(iu_slab *s);

#endif
