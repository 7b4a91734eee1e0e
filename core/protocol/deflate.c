/* deflate.c: into gzip. Level 1: JSON becomes a fifth to a tenth of itself at a hundred megabytes a second or so; higher levels cost several times the
 * time for a few per cent. The encoder's own memory comes from alloc.h.
 */
#include "compress.h"
#include "zlib_memory.h"

#define LEVEL 1
#define MEMORY 8 /* zlib's default */

iu_status iu__gzip(const uint8_t *bytes, size_t len, iu_buf *out, iu_error *err) {
  z_stream z = {.zalloc = iu__zlib_alloc, .zfree = iu__zlib_free};
  uLong bound;
  int result;

  if (len > UINT32_MAX / 2) return iu__fail(err, IU_E_OVERLOADED, "%zu bytes are too many to compress, at most %u", len, UINT32_MAX / 2);
  if (deflateInit2(&z, LEVEL, Z_DEFLATED, 16 + MAX_WBITS, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) return iu__fail_nomem(err); /* 16: gzip */
  bound = deflateBound(&z, (uLong)len);
  if (!iu__buf_reserve(out, bound)) {
    deflateEnd(&z);
    return iu__fail_nomem(err);
  }
  z.next_in = (z_const Bytef *)bytes;
  z.avail_in = (uInt)len;
  z.next_out = out->data + out->len;
  z.avail_out = (uInt)bound;
  result = deflate(&z, Z_FINISH);
  out->len += bound - z.avail_out;
  deflateEnd(&z);
  return result == Z_STREAM_END ? IU_OK : iu__fail(err, IU_E_PERSISTENCE, "gzip did not end (zlib says %d)", result);
}
