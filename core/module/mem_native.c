/* mem_native.c: mem.h as a stack of chunks from base/alloc.h. One chunk of the usual size stays for the next call. */
#ifndef __wasm__
#include "mem.h"

#include "../base/alloc.h"

#define CHUNK_BYTES ((size_t)256 << 10)

struct nerv_chunk {
  struct nerv_chunk *below;
  size_t below_used; /* of the chunk below, for when it is the top again */
  size_t size;
  uint64_t data[];
};

static void set_top(nerv_mem *m, struct nerv_chunk *c, size_t used) {
  m->top = c;
  m->base = c != NULL ? (uint8_t *)c->data : NULL;
  m->size = c != NULL ? c->size : 0;
  m->used = used;
}

bool iu__nerv_mem_more(nerv_mem *m, size_t size) {
  size_t want = size > CHUNK_BYTES ? size : CHUNK_BYTES;
  struct nerv_chunk *c = m->spare;
  if (c != NULL && c->size >= want) {
    m->spare = NULL;
  } else {
    c = iu__alloc(sizeof *c + want);
    if (c == NULL) return false;
    c->size = want;
  }
  c->below = m->top;
  c->below_used = m->used;
  set_top(m, c, 0);
  return true;
}

void iu__nerv_mem_release(nerv_mem *m, nerv_mark mark) {
  while (m->top != mark.top) {
    struct nerv_chunk *c = m->top;
    size_t used = c->below_used;
    set_top(m, c->below, used);
    if (m->spare == NULL && c->size == CHUNK_BYTES) m->spare = c;
    else iu__free(c);
  }
  m->used = mark.used;
}

void iu__nerv_mem_free(nerv_mem *m) {
  iu__nerv_mem_release(m, (nerv_mark){NULL, 0});
  iu__free(m->spare);
  m->spare = NULL;
}
#endif
