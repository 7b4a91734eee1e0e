/* slab.c: see slab.h. A block in use has no head. A free one says its size and stands in the list of its size; so a region whose blocks are all free can
 * be walked, to take them out of the lists, before it goes. */
#include "slab.h"

#include <assert.h>
#include <string.h>

#include "../base/alloc.h"

#define REGION_MIN ((size_t)8 << 10)
#define REGION_MAX IU_ALLOC_BLOCK /* giving it back is a part of one frame */

typedef struct iu_slab_region {
  size_t size, used; /* of `blocks` */
  uint64_t live;     /* blocks in use */
  uint8_t blocks[];
} iu_slab_region;

typedef struct iu_slab_free { struct iu_slab_free *prev, *next; size_t size; } iu_slab_free;

static size_t rounded(size_t size) {
  if (size < sizeof(iu_slab_free)) size = sizeof(iu_slab_free);
  return (size + 7) & ~(size_t)7;
}

/* ---- regions ---- */

/* The first region behind this address. */
static uint32_t region_after(const iu_slab *s, const void *at) {
  uint32_t low = 0, high = s->region_count;
  while (low < high) {
    uint32_t mid = (low + high) / 2;
    if ((uintptr_t)s->regions[mid] <= (uintptr_t)at) low = mid + 1;
    else high = mid;
  }
  return low;
}

static bool reserve_place(iu_slab *s) {
  uint32_t cap = s->region_cap != 0 ? s->region_cap * 2 : 8;
  iu_slab_region **more;
  if (s->region_count < s->region_cap) return true;
  more = iu__realloc_array(s->regions, cap, sizeof *more);
  if (more == NULL) return false;
  s->regions = more;
  s->region_cap = cap;
  return true;
}

static bool new_region(iu_slab *s) {
  size_t bytes = s->bytes < REGION_MIN ? REGION_MIN : s->bytes > REGION_MAX / 2 ? REGION_MAX : s->bytes;
  iu_slab_region *region;
  uint32_t at;
  if (!reserve_place(s)) return false;
  region = bytes == REGION_MAX ? iu__alloc_block() : iu__alloc(bytes);
  if (region == NULL) return false;
  *region = (iu_slab_region){.size = bytes - sizeof *region};
  at = region_after(s, region);
  memmove(&s->regions[at + 1], &s->regions[at], (s->region_count - at) * sizeof *s->regions);
  s->regions[at] = region;
  s->region_count++;
  s->bytes += bytes;
  s->filling = region;
  return true;
}

static void give_region(iu_slab_region *region) {
  if (region->size + sizeof *region == REGION_MAX) iu__free_block(region);
  else iu__free(region);
}

/* ---- the lists of free blocks ---- */

static void list(iu_slab *s, iu_slab_free *block, size_t size) {
  iu_slab_free **first = &s->freed[size / 8];
  *block = (iu_slab_free){NULL, *first, size};
  if (*first != NULL) (*first)->prev = block;
  *first = block;
}

static void unlist(iu_slab *s, iu_slab_free *block) {
  if (block->prev != NULL) block->prev->next = block->next;
  else s->freed[block->size / 8] = block->next;
  if (block->next != NULL) block->next->prev = block->prev;
}

static void free_region(iu_slab *s, uint32_t at) {
  iu_slab_region *region = s->regions[at];
  for (size_t i = 0; i < region->used;) {
    iu_slab_free *block = (iu_slab_free *)(void *)(region->blocks + i);
    i += block->size;
    unlist(s, block);
  }
  s->bytes -= region->size + sizeof *region;
  if (s->filling == region) s->filling = NULL;
  s->region_count--;
  memmove(&s->regions[at], &s->regions[at + 1], (s->region_count - at) * sizeof *s->regions);
  give_region(region);
}

/* ---- blocks ---- */

static iu_slab_region *region_of(const iu_slab *s, const void *block, uint32_t *at) {
  *at = region_after(s, block);
  assert(*at > 0);
  return s->regions[--*at];
}

void *iu__slab_take(iu_slab *s, size_t size) {
  iu_slab_region *region;
  iu_slab_free *freed;
  uint32_t at;
  void *block;
  if (size > IU_SLAB_BLOCK_MAX) return iu__alloc(size);
  size = rounded(size);
  freed = s->freed[size / 8];
  if (freed != NULL) {
    unlist(s, freed);
    region_of(s, freed, &at)->live++;
    return freed;
  }
  if ((s->filling == NULL || s->filling->size - s->filling->used < size) && !new_region(s)) return NULL;
  region = s->filling;
  block = region->blocks + region->used;
  region->used += size;
  region->live++;
  return block;
}

void iu__slab_give(iu_slab *s, void *block, size_t size) {
  uint32_t at;
  if (size > IU_SLAB_BLOCK_MAX) {
    iu__free(block);
    return;
  }
  list(s, block, rounded(size));
  if (--region_of(s, block, &at)->live == 0) free_region(s, at);
}

void iu__slab_free(iu_slab *s) {
  for (uint32_t i = 0; i < s->region_count; i++) give_region(s->regions[i]);
  iu__free(s->regions);
  memset(s, 0, sizeof *s);
}
