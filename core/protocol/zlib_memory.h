/* zlib_memory.h: zlib's own memory comes from alloc.h: between deflate.c and inflate.c. */
#ifndef IU_PROTOCOL_ZLIB_MEMORY_H
#define IU_PROTOCOL_ZLIB_MEMORY_H

#include <zlib.h>

#include "../base/alloc.h"

static inline voidpf iu__zlib_alloc(voidpf opaque, uInt items, uInt size) {
  (void)opaque;
  return iu__alloc_zero(items, size);
}
static inline void iu__zlib_free(voidpf opaque, voidpf p) {
  (void)opaque;
  iu__free(p);
}

#endif
