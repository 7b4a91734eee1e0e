/* buffer.h: a growable byte buffer and a bounded reader, the two ends of every codec.
 *
 * A buffer's failure (no memory, over its limit) is sticky: writers need not check each step, they ask
 * iu__buf_status once at the end. After a failure further writes do nothing. Zero-initialise ({0}) or
 * iu__buf_init; iu__buf_free returns it to that state. limit 0 means no limit.
 *
 * A reader borrows its bytes. A failed read sets `failed`, leaves `p` where the bad item starts and returns
 * zeros, so decoders too may check once per record.
 *
 * All multi-byte integers are little endian, as BSATN wants them.
 */
#ifndef IU_BASE_BUFFER_H
#define IU_BASE_BUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

typedef struct iu_buf {
  uint8_t *data; /* owned */
  size_t len, cap, limit;
  uint8_t failed; /* 0, 1 = no memory, 2 = limit */
} iu_buf;

typedef struct iu_reader {
  const uint8_t *base, *p, *end; /* borrowed */
  bool failed;
} iu_reader;

void iu__buf_init(iu_buf *b, size_t limit);
void iu__buf_free(iu_buf *b);
/* Empties, keeps the memory, clears a failure. */
void iu__buf_reset(iu_buf *b);
/* Grows so that `more` bytes fit behind len; false (and sticky) when it cannot. */
bool iu__buf_reserve(iu_buf *b, size_t more);
/* Gives back the last `by` bytes of its memory, with what is in them; false, and nothing done, when it has no more than that (or for want of memory). */
bool iu__buf_shrink(iu_buf *b, size_t by);
/* IU_OK, IU_E_NOMEM or IU_E_OVERLOADED with `what` named in the message. */
iu_status iu__buf_status(const iu_buf *b, iu_error *err, const char *what);
/* Hands the memory over (NULL when empty or failed); the buffer is empty afterwards. Free with iu__free. */
uint8_t *iu__buf_take(iu_buf *b, size_t *len);
void iu__buf_printf(iu_buf *b, const char *fmt, ...) IU_PRINTF(2, 3);

static inline void iu__buf_put(iu_buf *b, const void *bytes, size_t len) {
  if (b->cap - b->len < len || b->failed) {
    if (!iu__buf_reserve(b, len)) return;
  }
  if (len != 0) memcpy(b->data + b->len, bytes, len);
  b->len += len;
}
static inline void iu__buf_put_u8(iu_buf *b, uint8_t v) { iu__buf_put(b, &v, 1); }
static inline void iu__buf_put_u16(iu_buf *b, uint16_t v) {
  uint8_t t[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
  iu__buf_put(b, t, 2);
}
static inline void iu__buf_put_u32(iu_buf *b, uint32_t v) {
  uint8_t t[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
  iu__buf_put(b, t, 4);
}
static inline void iu__store_u64(uint8_t *p, uint64_t v) {
  uint8_t t[8] = {(uint8_t)v,         (uint8_t)(v >> 8),  (uint8_t)(v >> 16), (uint8_t)(v >> 24),
                  (uint8_t)(v >> 32), (uint8_t)(v >> 40), (uint8_t)(v >> 48), (uint8_t)(v >> 56)};
  memcpy(p, t, 8);
}
static inline void iu__buf_put_u64(iu_buf *b, uint64_t v) {
  uint8_t t[8];
  iu__store_u64(t, v);
  iu__buf_put(b, t, 8);
}
static inline void iu__buf_put_str(iu_buf *b, const char *zero_terminated) {
  iu__buf_put(b, zero_terminated, strlen(zero_terminated));
}
/* BSATN string/bytes: u32 length, then the bytes. Over UINT32_MAX is the sticky limit failure. */
void iu__buf_put_bytes(iu_buf *b, const void *bytes, size_t len);
/* Overwrites 4 bytes written earlier (a length that was not known yet). */
void iu__buf_patch_u32(iu_buf *b, size_t at, uint32_t v);

static inline iu_reader iu__reader(const void *bytes, size_t len) {
  const uint8_t *p = len != 0 ? (const uint8_t *)bytes : (const uint8_t *)""; /* NULL may stand for no bytes */
  iu_reader r = {p, p, p + len, false};
  return r;
}
static inline size_t iu__reader_left(const iu_reader *r) { return (size_t)(r->end - r->p); }
static inline size_t iu__reader_offset(const iu_reader *r) { return (size_t)(r->p - r->base); }
/* Borrowed pointer to the next len bytes, or NULL and failed. */
static inline const uint8_t *iu__read(iu_reader *r, size_t len) {
  const uint8_t *p = r->p;
  if (r->failed || (size_t)(r->end - p) < len) {
    r->failed = true;
    return NULL;
  }
  r->p = p + len;
  return p;
}
static inline uint16_t iu__load_u16(const uint8_t *p) { return (uint16_t)(p[0] | (uint16_t)p[1] << 8); }
static inline uint32_t iu__load_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t iu__load_u64(const uint8_t *p) { return (uint64_t)iu__load_u32(p) | (uint64_t)iu__load_u32(p + 4) << 32; }
static inline uint8_t iu__read_u8(iu_reader *r) { const uint8_t *p = iu__read(r, 1); return p ? *p : 0; }
static inline uint16_t iu__read_u16(iu_reader *r) { const uint8_t *p = iu__read(r, 2); return p ? iu__load_u16(p) : 0; }
static inline uint32_t iu__read_u32(iu_reader *r) { const uint8_t *p = iu__read(r, 4); return p ? iu__load_u32(p) : 0; }
static inline uint64_t iu__read_u64(iu_reader *r) { const uint8_t *p = iu__read(r, 8); return p ? iu__load_u64(p) : 0; }
/* BSATN string/bytes: borrowed pointer, *len its length; NULL and failed when it does not fit. */
static inline const uint8_t *iu__read_bytes(iu_reader *r, uint32_t *len) {
  const uint8_t *start = r->p, *p;
  *len = iu__read_u32(r);
  p = r->failed ? NULL : iu__read(r, *len);
  if (p == NULL) { r->p = start; *len = 0; }
  return p;
}

#endif
