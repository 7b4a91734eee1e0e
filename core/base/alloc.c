/* alloc.c: see alloc.h. A size of 0 gives a unique pointer, so that NULL always means failure. */
#include "alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) /* a sanitizer is to see every block */
#include <sys/mman.h>
#include <unistd.h>
#define HUGE_PAGES (allocator.host.alloc == NULL)
#endif

#include "errinj.h"
#include "error.h"

/* The host's, set before anything else; and whether it is too late for that. The library's one writable variable: memory is asked for where no context is. */
static struct { iu_allocator host; bool in_use; atomic_bool in_slices; } allocator;

void iu__alloc_seal(void) { allocator.in_use = true; }

void iu__alloc_in_slices(bool on) { atomic_store_explicit(&allocator.in_slices, on, memory_order_relaxed); }

iu_status iu_set_allocator(const iu_allocator *given, iu_error *err) {
  if (allocator.in_use) return iu__fail(err, IU_E_CONFLICT, "allocator: memory was taken already: it is set before the first other function");
  if (given == NULL || given->alloc == NULL || given->realloc == NULL || given->free == NULL) {
    return iu__fail(err, IU_E_VALIDATION, "allocator: expected alloc, realloc and free, got NULL");
  }
  allocator.host = *given;
  allocator.in_use = true;
  return IU_OK;
}

/* ---- huge pages ---- */

#ifdef HUGE_PAGES
/* All pages of a block, those that it only touches included: what the C library has mapped for it stays one mapping. Of two, realloc could not move it and would
 * copy it. A system that has no huge pages, or gives none, leaves it as it is. */
static void *advised(void *p, size_t size) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)p / page * page, end = ((uintptr_t)p + size + page - 1) / page * page;
  if (p != NULL && !atomic_load_explicit(&allocator.in_slices, memory_order_relaxed)) (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
  return p;
}

/* Mapped with room to align it, which goes back at once; most systems give an aligned one. */
static void *map_block(void) {
  size_t room = 2 * IU_ALLOC_BLOCK, before;
  uint8_t *p = mmap(NULL, IU_ALLOC_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p != MAP_FAILED && (uintptr_t)p % IU_ALLOC_BLOCK == 0) return advised(p, IU_ALLOC_BLOCK);
  if (p != MAP_FAILED) (void)munmap(p, IU_ALLOC_BLOCK);
  p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  before = (IU_ALLOC_BLOCK - (uintptr_t)p % IU_ALLOC_BLOCK) % IU_ALLOC_BLOCK;
  if (before != 0) (void)munmap(p, before);
  (void)munmap(p + before + IU_ALLOC_BLOCK, room - before - IU_ALLOC_BLOCK);
  return advised(p + before, IU_ALLOC_BLOCK);
}
#else
static void *advised(void *p, size_t size) { return (void)size, p; }
#endif

static void *take(size_t size) {
  if (allocator.host.alloc != NULL) return allocator.host.alloc(allocator.host.ud, size);
  return size < IU_ALLOC_BLOCK ? malloc(size) : advised(malloc(size), size);
}

static void *take_zero(size_t count, size_t size) {
  void *p;
  if (allocator.host.alloc == NULL) return calloc(count, size);
  p = allocator.host.alloc(allocator.host.ud, count * size);
  if (p != NULL) memset(p, 0, count * size);
  return p;
}

/* No object may be larger; sanitizers end the program where malloc would answer NULL. */
static bool too_large(size_t size) { return size > PTRDIFF_MAX; }

void *iu__alloc(size_t size) {
  if (iu__errinj(IU_ERRINJ_ALLOC) || too_large(size)) return NULL;
  return take(size != 0 ? size : 1);
}

void *iu__alloc_zero(size_t count, size_t size) {
  if (iu__errinj(IU_ERRINJ_ALLOC)) return NULL;
  if (count == 0 || size == 0) return take_zero(1, 1);
  if (count > SIZE_MAX / size || too_large(count * size)) return NULL;
  return take_zero(count, size);
}

void *iu__realloc(void *p, size_t size) {
  if (iu__errinj(IU_ERRINJ_ALLOC) || too_large(size)) return NULL;
  if (allocator.host.alloc != NULL) return allocator.host.realloc(allocator.host.ud, p, size != 0 ? size : 1);
  return size < IU_ALLOC_BLOCK ? realloc(p, size != 0 ? size : 1) : advised(realloc(p, size), size);
}

void *iu__alloc_block(void) {
#ifdef HUGE_PAGES
  if (HUGE_PAGES) return iu__errinj(IU_ERRINJ_ALLOC) ? NULL : map_block();
#endif
  return iu__alloc(IU_ALLOC_BLOCK);
}

void iu__free_block(void *p) {
#ifdef HUGE_PAGES
  if (HUGE_PAGES) {
    if (p != NULL) (void)munmap(p, IU_ALLOC_BLOCK);
    return;
  }
#endif
  iu__free(p);
}

void *iu__realloc_array(void *p, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  return iu__realloc(p, count * size);
}

void iu__alloc_trim(void) {
#if defined(__GLIBC__)
  if (allocator.host.alloc == NULL) (void)malloc_trim(0);
#endif
}

char *iu__strndup(const char *s, size_t len) {
  char *copy;

  if (len == SIZE_MAX) return NULL;
  copy = iu__alloc(len + 1);
  if (copy == NULL) return NULL;
  if (len != 0) memcpy(copy, s, len);
  copy[len] = '\0';
  return copy;
}

void iu__free(void *p) {
  if (allocator.host.alloc == NULL) free(p);
  else if (p != NULL) allocator.host.free(allocator.host.ud, p);
}
