/* alloc.c: see alloc.h. A size of 0 gives a unique pointer, so that NULL always means failure. */
#include "alloc.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "errinj.h"

/* No object may be larger; sanitizers end the program where malloc would answer NULL. */
static bool too_large(size_t size) { return size > PTRDIFF_MAX; }

void *iu__alloc(size_t size) {
  if (iu__errinj(IU_ERRINJ_ALLOC) || too_large(size)) return NULL;
  return malloc(size != 0 ? size : 1);
}

void *iu__alloc_zero(size_t count, size_t size) {
  if (iu__errinj(IU_ERRINJ_ALLOC)) return NULL;
  if (count == 0 || size == 0) return calloc(1, 1);
  if (count > SIZE_MAX / size || too_large(count * size)) return NULL;
  return calloc(count, size);
}

void *iu__realloc(void *p, size_t size) {
  if (iu__errinj(IU_ERRINJ_ALLOC) || too_large(size)) return NULL;
  return realloc(p, size != 0 ? size : 1);
}

void *iu__realloc_array(void *p, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  return iu__realloc(p, count * size);
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

void iu__free(void *p) { free(p); }
