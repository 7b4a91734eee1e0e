/* inflate.c: gzip and brotli, never more than the cap. Output is produced straight into the buffer, which may grow to one byte over
 * the cap: that byte tells a bomb from a message that fits exactly. The decoders' own memory comes from alloc.h.
 */
#include <brotli/decode.h>

#include "message_internal.h"
#include "zlib_memory.h"

#define FIRST_ROOM 4096

static iu_status too_much(iu_error *err, size_t max) {
  return iu__fail(err, IU_E_OVERLOADED, "compressed data that hold more than the cap of %zu bytes", max);
}

static iu_status damaged(iu_error *err, const char *what, size_t at) {
  return iu__fail_at(err, IU_E_VALIDATION, at, "%s at byte %zu of the compressed bytes", what, at);
}

/* Room for more output; *full when the buffer holds one byte over the cap already. */
static iu_status more_room(iu_buf *out, size_t limit, bool *full, iu_error *err) {
  *full = out->len == limit;
  if (*full || out->len < out->cap) return IU_OK;
  size_t more = out->len != 0 ? out->len : FIRST_ROOM;
  if (more > limit - out->len) more = limit - out->len;
  return iu__buf_reserve(out, more) ? IU_OK : iu__fail_nomem(err);
}

/* ---- gzip ---- */

static iu_status gunzip_all(z_stream *z, size_t len, size_t limit, iu_buf *out, iu_error *err) {
  for (;;) {
    bool full;
    iu_status status = more_room(out, limit, &full, err);
    if (status != IU_OK) return status;
    if (full) return too_much(err, limit - 1);
    size_t room = (out->cap < limit ? out->cap : limit) - out->len;
    uInt given = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
    z->next_out = out->data + out->len;
    z->avail_out = given;
    int result = inflate(z, Z_NO_FLUSH);
    out->len += given - z->avail_out;
    size_t at = len - z->avail_in;
    if (result == Z_STREAM_END) return z->avail_in == 0 ? IU_OK : damaged(err, "unexpected bytes after the gzip data", at);
    if (result == Z_MEM_ERROR) return iu__fail_nomem(err);
    if (result != Z_OK && result != Z_BUF_ERROR) return damaged(err, "damaged gzip data", at);
    if (z->avail_in == 0 && z->avail_out != 0) return damaged(err, "the gzip data end too early", at);
  }
}

static iu_status gunzip(const uint8_t *bytes, size_t len, size_t limit, iu_buf *out, iu_error *err) {
  z_stream z = {0};
  z.zalloc = iu__zlib_alloc;
  z.zfree = iu__zlib_free;
  z.next_in = (z_const Bytef *)bytes;
  z.avail_in = (uInt)len;
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) return iu__fail_nomem(err); /* 16: a gzip member, nothing else */
  iu_status status = gunzip_all(&z, len, limit, out, err);
  inflateEnd(&z);
  return status;
}

/* ---- brotli ---- */

static void *brotli_alloc(void *opaque, size_t size) {
  (void)opaque;
  return iu__alloc(size);
}
static void brotli_free(void *opaque, void *p) {
  (void)opaque;
  iu__free(p);
}

static iu_status brotli_failure(BrotliDecoderState *state, size_t at, iu_error *err) {
  BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state);
  bool memory = code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
  return memory ? iu__fail_nomem(err) : damaged(err, "damaged brotli data", at);
}

static iu_status unbrotli_all(BrotliDecoderState *state, const uint8_t *bytes, size_t len, size_t limit, iu_buf *out, iu_error *err) {
  size_t in_left = len;
  for (;;) {
    bool full;
    iu_status status = more_room(out, limit, &full, err);
    if (status != IU_OK) return status;
    if (full) return too_much(err, limit - 1);
    size_t room = (out->cap < limit ? out->cap : limit) - out->len, left = room;
    uint8_t *to = out->data + out->len;
    BrotliDecoderResult result = BrotliDecoderDecompressStream(state, &in_left, &bytes, &left, &to, NULL);
    out->len += room - left;
    size_t at = len - in_left;
    switch (result) {
      case BROTLI_DECODER_RESULT_SUCCESS: return in_left == 0 ? IU_OK : damaged(err, "unexpected bytes after the brotli data", at);
      case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT: break;
      case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT: return damaged(err, "the brotli data end too early", at);
      default: return brotli_failure(state, at, err);
    }
  }
}

static iu_status unbrotli(const uint8_t *bytes, size_t len, size_t limit, iu_buf *out, iu_error *err) {
  BrotliDecoderState *state = BrotliDecoderCreateInstance(brotli_alloc, brotli_free, NULL);
  if (state == NULL) return iu__fail_nomem(err);
  iu_status status = unbrotli_all(state, bytes, len, limit, out, err);
  BrotliDecoderDestroyInstance(state);
  return status;
}

iu_status iu__inflate(iu_compression how, const uint8_t *bytes, size_t len, size_t max, iu_buf *out, iu_error *err) {
  size_t limit = max < SIZE_MAX ? max + 1 : max;
  if (len > UINT32_MAX) return iu__fail(err, IU_E_OVERLOADED, "%zu compressed bytes are too many", len);
  iu_status status = how == IU_COMPRESSION_GZIP ? gunzip(bytes, len, limit, out, err) : unbrotli(bytes, len, limit, out, err);
  return status == IU_OK && out->len > max ? too_much(err, max) : status;
}

/* ---- only how it starts ---- */

static size_t gzip_start(const uint8_t *bytes, size_t len, uint8_t *out, size_t room) {
  z_stream z = {0};
  z.zalloc = iu__zlib_alloc;
  z.zfree = iu__zlib_free;
  z.next_in = (z_const Bytef *)bytes;
  z.avail_in = (uInt)len;
  z.next_out = out;
  z.avail_out = (uInt)room;
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) return 0;
  inflate(&z, Z_NO_FLUSH);
  inflateEnd(&z);
  return room - z.avail_out;
}

static size_t brotli_start(const uint8_t *bytes, size_t len, uint8_t *out, size_t room) {
  BrotliDecoderState *state = BrotliDecoderCreateInstance(brotli_alloc, brotli_free, NULL);
  size_t left = room;
  if (state == NULL) return 0;
  BrotliDecoderDecompressStream(state, &len, &bytes, &left, &out, NULL);
  BrotliDecoderDestroyInstance(state);
  return room - left;
}

size_t iu__inflate_start(iu_compression how, const uint8_t *bytes, size_t len, uint8_t *out, size_t room) {
  if (len > UINT32_MAX || room > UINT32_MAX) return 0;
  return how == IU_COMPRESSION_GZIP ? gzip_start(bytes, len, out, room) : brotli_start(bytes, len, out, room);
}
