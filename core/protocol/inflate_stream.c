/* inflate_stream.c: gzip piece by piece, of any length, one member or several behind each other. */
#include "compress.h"
#include "zlib_memory.h"

#define ROOM 65536u

struct iu_gunzip {
  z_stream z;
  uint64_t taken;   /* compressed bytes, for messages */
  bool begun;       /* inside a member */
  bool some;        /* there was one */
};

iu_gunzip *iu__gunzip_new(void) {
  iu_gunzip *g = iu__alloc_zero(1, sizeof *g);
  if (g == NULL) return NULL;
  g->z.zalloc = iu__zlib_alloc;
  g->z.zfree = iu__zlib_free;
  if (inflateInit2(&g->z, 16 + MAX_WBITS) == Z_OK) return g;
  iu__free(g);
  return NULL;
}

void iu__gunzip_free(iu_gunzip *g) {
  if (g == NULL) return;
  inflateEnd(&g->z);
  iu__free(g);
}

bool iu__gunzip_is_whole(const iu_gunzip *g) { return g->some && !g->begun; }

static iu_status step(iu_gunzip *g, size_t most, iu_buf *out, iu_error *err) {
  size_t room = most - out->len < ROOM ? most - out->len : ROOM;
  uInt had = g->z.avail_in;
  int result;
  if (!iu__buf_reserve(out, room)) return iu__fail_nomem(err);
  g->z.next_out = out->data + out->len;
  g->z.avail_out = (uInt)room;
  result = inflate(&g->z, Z_NO_FLUSH);
  out->len += room - g->z.avail_out;
  g->taken += had - g->z.avail_in;
  if (result == Z_MEM_ERROR) return iu__fail_nomem(err);
  if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) {
    return iu__fail_at(err, IU_E_VALIDATION, (size_t)g->taken, "damaged gzip data at byte %llu of the compressed bytes", (unsigned long long)g->taken);
  }
  if (result == Z_STREAM_END) {
    g->begun = false;
    inflateReset(&g->z);
  }
  return IU_OK;
}

iu_status iu__gunzip_some(iu_gunzip *g, const uint8_t *bytes, size_t len, size_t most, size_t *used, iu_buf *out, iu_error *err) {
  iu_status status = IU_OK;
  size_t before = SIZE_MAX;
  uInt given = len < UINT32_MAX ? (uInt)len : UINT32_MAX;
  g->z.next_in = (z_const Bytef *)bytes;
  g->z.avail_in = given;
  while (status == IU_OK && out->len < most && (g->z.avail_in > 0 || out->len != before)) {
    if (g->z.avail_in > 0) g->begun = g->some = true;
    else if (!g->begun) break;
    before = out->len;
    status = step(g, most, out, err);
  }
  *used = given - g->z.avail_in;
  g->z.next_in = NULL;
  g->z.avail_in = 0;
  return status;
}
