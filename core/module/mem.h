/* mem.h: the scratch memory of one module instance, and the few C library functions that both targets use.
 *
 * Allocation moves a pointer; everything is given back at once, down to a mark. Pointers never move. Natively it is a stack of chunks
 * (mem_native.c), on wasm32 the linear memory behind the program's own data (wasm.c). NULL means no memory.
 */
#ifndef IU_MODULE_MEM_H
#define IU_MODULE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
#else
#include <string.h>
#endif

struct nerv_chunk;
/* Zero-initialise. `used` and `size` describe the top chunk (on wasm32: the whole region). */
typedef struct nerv_mem {
  uint8_t *base;
  size_t used, size;
  struct nerv_chunk *top, *spare;
} nerv_mem;
typedef struct nerv_mark { struct nerv_chunk *top; size_t used; } nerv_mark;

#define NERV_MEM_ALIGN 8u
#define NERV_MEM_MAX ((size_t)1 << 30) /* of one allocation */

/* Gives the top chunk room for `size` more bytes (or puts a new chunk on top); false when it cannot. */
bool iu__nerv_mem_more(nerv_mem *m, size_t size);
void iu__nerv_mem_release(nerv_mem *m, nerv_mark mark);
void iu__nerv_mem_free(nerv_mem *m);

static inline nerv_mark iu__nerv_mem_mark(const nerv_mem *m) { return (nerv_mark){m->top, m->used}; }

static inline void *iu__nerv_alloc(nerv_mem *m, size_t size) {
  uint8_t *p;
  if (size > NERV_MEM_MAX) return NULL;
  size = (size + NERV_MEM_ALIGN - 1) & ~(size_t)(NERV_MEM_ALIGN - 1);
  if (m->size - m->used < size && !iu__nerv_mem_more(m, size)) return NULL;
  p = m->base + m->used;
  m->used += size;
  return p;
}

/* Gives back the tail of an allocation when it is the last one. */
static inline void iu__nerv_trim(nerv_mem *m, const uint8_t *p, size_t old_size, size_t new_size) {
  size_t old_up = (old_size + NERV_MEM_ALIGN - 1) & ~(size_t)(NERV_MEM_ALIGN - 1);
  if (m->used >= old_up && m->base + m->used - old_up == p) {
    m->used -= old_up - ((new_size + NERV_MEM_ALIGN - 1) & ~(size_t)(NERV_MEM_ALIGN - 1));
  }
}

#endif
