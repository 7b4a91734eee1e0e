/* compress.c: what a server does to payloads: gzip "fast", brotli quality 1 (protocol sheet 5.2), and bombs. */
#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>

#include "server.h"

#define PIECE ((size_t)64 << 10)

typedef struct squeeze { char how; z_stream z; BrotliEncoderState *b; iu_buf *out; } squeeze;

static void begin(squeeze *q, char how, iu_buf *out) {
  *q = (squeeze){.how = how, .out = out};
  if (how == 'g') {
    if (deflateInit2(&q->z, Z_BEST_SPEED, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  } else {
    q->b = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (q->b == NULL || !BrotliEncoderSetParameter(q->b, BROTLI_PARAM_QUALITY, 1)) abort();
  }
}

static void give_gzip(squeeze *q, const void *bytes, size_t len, bool last) {
  uint8_t room[4096];
  q->z.next_in = (Bytef *)(uintptr_t)bytes;
  q->z.avail_in = (uInt)len;
  do {
    q->z.next_out = room;
    q->z.avail_out = sizeof room;
    deflate(&q->z, last ? Z_FINISH : Z_NO_FLUSH);
    iu__buf_put(q->out, room, sizeof room - q->z.avail_out);
  } while (q->z.avail_out == 0);
}

static void give_brotli(squeeze *q, const void *bytes, size_t len, bool last) {
  const uint8_t *in = bytes;
  do {
    uint8_t room[4096], *next = room;
    size_t left = sizeof room;
    if (!BrotliEncoderCompressStream(q->b, last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS, &len, &in, &left, &next, NULL)) abort();
    iu__buf_put(q->out, room, sizeof room - left);
  } while (len > 0 || BrotliEncoderHasMoreOutput(q->b));
}

static void give(squeeze *q, const void *bytes, size_t len, bool last) {
  if (q->how == 'g') give_gzip(q, bytes, len, last);
  else give_brotli(q, bytes, len, last);
}

static void end(squeeze *q) {
  give(q, "", 0, true);
  if (q->how == 'g') deflateEnd(&q->z);
  else BrotliEncoderDestroyInstance(q->b);
  if (q->out->failed) abort();
}

void peer__compress(char how, const void *bytes, size_t len, iu_buf *out) {
  squeeze q;
  begin(&q, how, out);
  give(&q, bytes, len, false);
  end(&q);
}

void peer__bomb(char how, const iu_buf *head, size_t len, iu_buf *out) {
  uint8_t *piece = calloc(1, PIECE);
  squeeze q;
  if (piece == NULL) abort();
  begin(&q, how, out);
  give(&q, head->data, head->len, false);
  for (size_t at = 0; at < len; at += PIECE) give(&q, piece, len - at < PIECE ? len - at : PIECE, false);
  end(&q);
  free(piece);
}
