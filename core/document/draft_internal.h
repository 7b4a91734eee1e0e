/* draft_internal.h: what draft.c and draft_freeze.c share. */
#ifndef IU_DOCUMENT_DRAFT_INTERNAL_H
#define IU_DOCUMENT_DRAFT_INTERNAL_H

#include "draft.h"

#define CHUNK_FILL 256 /* elements of a chunk at first */
#define CHUNK_MAX 512
#define ADDED_LINEAR_MAX 8

typedef struct chunk { iu_json *e; uint32_t count, room; } chunk; /* room 0: e belongs to the old array */

typedef struct thawed {
  uint8_t token;
  bool keys_changed;
  uint32_t count; /* elements; members that are there */
  iu_json from;   /* what it was */
  /* an array */
  chunk *chunks;
  uint32_t chunk_count, chunk_room, last, last_start;
  /* an object */
  iu_json_member *members; /* those of `from` in their order, then added ones */
  uint32_t slots, room;    /* with deleted ones */
  uint32_t *table, table_size; /* position + 1 of added members, by hash; size 0 or a power of two */
} thawed;

#endif
