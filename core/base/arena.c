/* arena.c: see arena.h. Memory comes in chunks that grow with the arena: each as large as all before it, above ARENA_CHUNK_MIDDLE a quarter of that, up
 * to ARENA_CHUNK_MAX; a request larger than a quarter of a chunk gets one of its own, so that little of a chunk is ever left unused. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "alloc.h"

#define ARENA_CHUNK_MIN 1024
#define ARENA_CHUNK_MIDDLE ((size_t)256 * 1024)
#define ARENA_CHUNK_MAX ((size_t)16 * 1024 * 1024) /* the first pages of a large tree cost more than what is written into them */
#define ARENA_ALIGN alignof(max_align_t)

typedef struct arena_chunk {
  struct arena_chunk *next;
  size_t cap; /* of data */
  alignas(ARENA_ALIGN) unsigned char data[];
} arena_chunk;

static arena_chunk *chunk_new(iu_arena *a, size_t cap) {
  arena_chunk *c;

  if (cap > SIZE_MAX - sizeof *c || cap > SIZE_MAX - a->total) return NULL;
  c = iu__alloc(sizeof *c + cap);
  if (c == NULL) return NULL;
  c->cap = cap;
  a->total += cap;
  return c;
}

static size_t next_cap(size_t total) {
  if (total <= ARENA_CHUNK_MIN) return ARENA_CHUNK_MIN;
  if (total <= ARENA_CHUNK_MIDDLE) return total;
  if (total <= 4 * ARENA_CHUNK_MIDDLE) return ARENA_CHUNK_MIDDLE;
  return total / 4 < ARENA_CHUNK_MAX ? total / 4 : ARENA_CHUNK_MAX;
}

static void *alloc_in_new_chunk(iu_arena *a, size_t size) {
  size_t cap = next_cap(a->total);
  arena_chunk *head = a->head, *c;

  if (size > cap / 4 && head != NULL) {
    c = chunk_new(a, size);
    if (c == NULL) return NULL;
    c->next = head->next; /* behind the head, whose rest stays in use */
    head->next = c;
    return c->data;
  }
  c = chunk_new(a, size > cap ? size : cap);
  if (c == NULL) return NULL;
  c->next = head;
  a->head = c;
  a->used = size;
  return c->data;
}

void *iu__arena_alloc(iu_arena *a, size_t size) {
  arena_chunk *head = a->head;

  if (size > SIZE_MAX - ARENA_ALIGN) return NULL;
  size = size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
  if (head != NULL && head->cap - a->used >= size) {
    void *p = head->data + a->used;
    a->used += size;
    return p;
  }
  return alloc_in_new_chunk(a, size);
}

void *iu__arena_zero(iu_arena *a, size_t count, size_t size) {
  void *p;

  if (size != 0 && count > SIZE_MAX / size) return NULL;
  p = iu__arena_alloc(a, count * size);
  if (p != NULL) memset(p, 0, count * size);
  return p;
}

char *iu__arena_strndup(iu_arena *a, const char *s, size_t len) {
  char *copy;

  if (len == SIZE_MAX) return NULL;
  copy = iu__arena_alloc(a, len + 1);
  if (copy == NULL) return NULL;
  if (len != 0) memcpy(copy, s, len);
  copy[len] = '\0';
  return copy;
}

void iu__arena_free(iu_arena *a) {
  arena_chunk *c = a->head;

  while (c != NULL) {
    arena_chunk *next = c->next;
    iu__free(c);
    c = next;
  }
  memset(a, 0, sizeof *a);
}
