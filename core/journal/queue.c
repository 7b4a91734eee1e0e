/* queue.c: see queue.h. */
#include "queue.h"

#include "../base/alloc.h"

/* Headers come on top, so a block of the usual size is a whole number of pages with its malloc bookkeeping. */
#define BLOCK_CAP (IU_BLOCK_SIZE - sizeof(iu_block) - 64)

static iu_block *block_new(iu_queue *q, size_t size) {
  size_t cap = size > BLOCK_CAP - IU_GROUP_HEADER ? size + IU_GROUP_HEADER : BLOCK_CAP;
  iu_block *b = NULL;

  if (cap == BLOCK_CAP && q->unused != NULL) {
    b = q->unused;
    q->unused = b->next;
    q->unused_count--;
  }
  if (b == NULL) b = iu__alloc(sizeof *b + cap);
  if (b == NULL) return NULL;
  b->next = NULL;
  b->first = b->last = 0;
  b->len = IU_GROUP_HEADER;
  b->cap = cap;
  return b;
}

static bool fits(const iu_block *b, size_t size) { return b != NULL && b->cap - b->len >= size; }

bool iu__jqueue_ready(iu_queue *q, size_t size) {
  iu_block *b;

  if (fits(q->spare, size)) return true;
  b = block_new(q, size);
  if (b == NULL) return false;
  if (q->spare != NULL) {
    q->spare->next = NULL;
    iu__jqueue_recycle(q, q->spare);
  }
  q->spare = b;
  return true;
}

uint8_t *iu__jqueue_add(iu_queue *q, size_t size, uint64_t sequence) {
  iu_block *b = q->tail;
  uint8_t *p;

  if (!fits(b, size)) {
    if (fits(q->spare, size)) b = q->spare, q->spare = NULL;
    else b = block_new(q, size);
    if (b == NULL) return NULL;
    /* A large block is for one large commit: filled up with others it would make a row too long to fold in one slice. */
    if (b->cap > BLOCK_CAP) b->cap = size > BLOCK_CAP - IU_GROUP_HEADER ? size + IU_GROUP_HEADER : BLOCK_CAP - 1;
    b->first = sequence;
    if (q->tail != NULL) q->tail->next = b;
    else q->head = b;
    q->tail = b;
  }
  p = b->data + b->len;
  b->len += size;
  b->last = sequence;
  return p;
}

iu_block *iu__jqueue_take(iu_queue *q) {
  iu_block *all = q->head;

  q->head = q->tail = NULL;
  return all;
}

void iu__jqueue_recycle(iu_queue *q, iu_block *blocks) {
  while (blocks != NULL) {
    iu_block *b = blocks;

    blocks = b->next;
    if (b->cap != BLOCK_CAP || q->unused_count == IU_BLOCKS_KEPT) {
      iu__free(b);
      continue;
    }
    b->next = q->unused;
    q->unused = b;
    q->unused_count++;
  }
}

static void free_list(iu_block *b) {
  while (b != NULL) {
    iu_block *next = b->next;

    iu__free(b);
    b = next;
  }
}

void iu__jqueue_free(iu_queue *q) {
  free_list(q->head);
  free_list(q->unused);
  iu__free(q->spare);
  memset(q, 0, sizeof *q);
}

void iu__jblock_seal(iu_block *b) {
  iu__store_u64(b->data, b->first);
  iu__store_u64(b->data + 8, b->last);
}
