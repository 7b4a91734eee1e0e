/* queue.h: commits between the owner thread and the journal's thread, as a list of blocks; each becomes one row of `_iu_journal`.
 *
 * Not locked by itself: the journal's lock is held around every call. Adding is a copy into the last block. Blocks are reused, so that in the
 * steady state nothing is allocated; a commit larger than a block gets one of its own size, freed after use. No block is ever moved
 * or grown, so adding never copies what is already queued. Blocks that were taken belong to the taker until given back.
 */
#ifndef IU_JOURNAL_QUEUE_H
#define IU_JOURNAL_QUEUE_H

#include "frame.h"

#define IU_BLOCK_SIZE (256u << 10)   /* bytes of a group's row but for large commits: keeps folding in short slices */
#define IU_BLOCKS_KEPT 64            /* free ones that are kept: 16 MiB */

typedef struct iu_block {
  struct iu_block *next;
  uint64_t first, last;              /* sequences */
  size_t len, cap;                   /* of data; the group's header is included and written by iu__jblock_seal */
  uint8_t data[];
} iu_block;

typedef struct iu_queue {
  iu_block *head, *tail;
  iu_block *spare;                   /* set aside by iu__jqueue_ready */
  iu_block *unused;
  uint32_t unused_count;
} iu_queue;

/* Memory for a frame of `size` bytes that the next iu__jqueue_add will find; false: no memory. */
bool iu__jqueue_ready(iu_queue *q, size_t size);
/* Room for the frame of commit `sequence`, to be written by the caller at once; NULL: no memory. */
uint8_t *iu__jqueue_add(iu_queue *q, size_t size, uint64_t sequence);
/* Takes all blocks, oldest first; the queue is empty then. */
iu_block *iu__jqueue_take(iu_queue *q);
/* Gives blocks back. */
void iu__jqueue_recycle(iu_queue *q, iu_block *blocks);
void iu__jqueue_free(iu_queue *q);
/* Writes the group's header: the block is complete. */
void iu__jblock_seal(iu_block *b);

#endif
