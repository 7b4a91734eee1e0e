/* codec.h: BSATN by hand: a bounded reader over bytes from outside, a growing writer in scratch memory.
 *
 * A reader's failure (`bad`) and a writer's (`failed`: no memory) stick: check once, after all fields. A bad reader gives zeros and
 * empty texts. Texts are slices of the bytes read: borrowed, unterminated, not yet checked for UTF-8.
 */
#ifndef IU_MODULE_CODEC_H
#define IU_MODULE_CODEC_H

#include "mem.h"

typedef struct nerv_slice { const uint8_t *p; uint32_t n; } nerv_slice;
typedef struct nerv_reader { const uint8_t *p, *end; bool bad; } nerv_reader;
typedef struct nerv_out { nerv_mem *mem; uint8_t *p; size_t n, cap; bool failed; } nerv_out;

/* ---- eight bytes at a time ---- */
#define NERV_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
static inline uint64_t iu__nerv_word(const uint8_t *p) {
  uint64_t word;
  __builtin_memcpy(&word, p, 8);
  return word;
}
/* Not 0: one of the bytes is below `limit` (at most 128), or is `byte`. */
static inline uint64_t iu__nerv_any_below(uint64_t word, uint8_t limit) { return (word - NERV_EACH(limit)) & ~word & NERV_EACH(0x80); }
static inline uint64_t iu__nerv_any_is(uint64_t word, uint8_t byte) { return iu__nerv_any_below(word ^ NERV_EACH(byte), 1); }

/* ---- reading ---- */
static inline nerv_reader iu__nerv_reader(nerv_slice s) { return (nerv_reader){s.p, s.p + s.n, false}; }
static inline nerv_slice iu__nerv_text(const char *s) { return (nerv_slice){(const uint8_t *)s, (uint32_t)strlen(s)}; }
static inline bool iu__nerv_same(nerv_slice a, nerv_slice b) { return a.n == b.n && memcmp(a.p, b.p, a.n) == 0; }
static inline bool iu__nerv_is(nerv_slice a, const char *s) { return iu__nerv_same(a, iu__nerv_text(s)); }

static inline const uint8_t *iu__nerv_get_bytes(nerv_reader *r, size_t n) {
  const uint8_t *p = r->p;
  if (r->bad || (size_t)(r->end - p) < n) {
    r->bad = true;
    return NULL;
  }
  r->p = p + n;
  return p;
}
static inline uint32_t iu__nerv_load_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t iu__nerv_load_u64(const uint8_t *p) {
  return (uint64_t)iu__nerv_load_u32(p) | (uint64_t)iu__nerv_load_u32(p + 4) << 32;
}
static inline void iu__nerv_store_u32(uint8_t *p, uint32_t v) {
  const uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
  __builtin_memcpy(p, bytes, 4);
}
static inline void iu__nerv_store_u64(uint8_t *p, uint64_t v) {
  iu__nerv_store_u32(p, (uint32_t)v);
  iu__nerv_store_u32(p + 4, (uint32_t)(v >> 32));
}
static inline uint8_t iu__nerv_get_u8(nerv_reader *r) {
  const uint8_t *p = iu__nerv_get_bytes(r, 1);
  return p != NULL ? *p : 0;
}
static inline uint32_t iu__nerv_get_u32(nerv_reader *r) {
  const uint8_t *p = iu__nerv_get_bytes(r, 4);
  return p != NULL ? iu__nerv_load_u32(p) : 0;
}
static inline uint64_t iu__nerv_get_u64(nerv_reader *r) {
  const uint8_t *p = iu__nerv_get_bytes(r, 8);
  return p != NULL ? iu__nerv_load_u64(p) : 0;
}
bool iu__nerv_get_bool(nerv_reader *r);
double iu__nerv_get_f64(nerv_reader *r);
nerv_slice iu__nerv_get_text(nerv_reader *r);      /* String or Bytes */
/* Whether a value follows. */
bool iu__nerv_get_option(nerv_reader *r);
/* Option<String>: *there says whether it was given; empty when not. */
nerv_slice iu__nerv_get_text_option(nerv_reader *r, bool *there);
uint64_t iu__nerv_get_u64_option(nerv_reader *r, bool *there);
/* The bytes read since `from`. */
static inline nerv_slice iu__nerv_since(const nerv_reader *r, const uint8_t *from) {
  return (nerv_slice){from, r->bad ? 0 : (uint32_t)(r->p - from)};
}
/* Reads past one value by its shape, a letter a field: s String or Bytes, o Option<String>, a [String], 1 Bool, 8 U64, F64 or
 * Timestamp, c ConnectionId, i Identity. Gives its bytes. */
nerv_slice iu__nerv_skip(nerv_reader *r, const char *shape);

/* ---- writing ---- */
static inline nerv_out iu__nerv_out(nerv_mem *mem) { return (nerv_out){.mem = mem}; }
bool iu__nerv_reserve(nerv_out *o, size_t more);
static inline nerv_slice iu__nerv_written(const nerv_out *o) {
  return (nerv_slice){o->p != NULL ? o->p : (const uint8_t *)"", (uint32_t)o->n};
}

static inline void iu__nerv_put(nerv_out *o, const void *bytes, size_t n) {
  if (o->cap - o->n < n && !iu__nerv_reserve(o, n)) return;
  if (n != 0) memcpy(o->p + o->n, bytes, n);
  o->n += n;
}
static inline void iu__nerv_put_slice(nerv_out *o, nerv_slice s) { iu__nerv_put(o, s.p, s.n); }
static inline void iu__nerv_put_u8(nerv_out *o, uint8_t v) { iu__nerv_put(o, &v, 1); }
void iu__nerv_put_u16(nerv_out *o, uint16_t v);
void iu__nerv_put_u32(nerv_out *o, uint32_t v);
void iu__nerv_put_u64(nerv_out *o, uint64_t v);
void iu__nerv_put_text(nerv_out *o, nerv_slice s);      /* length and bytes */
static inline void iu__nerv_put_cstr(nerv_out *o, const char *s) { iu__nerv_put_text(o, iu__nerv_text(s)); }
static inline void iu__nerv_put_raw(nerv_out *o, const char *s) { iu__nerv_put(o, s, strlen(s)); }
void iu__nerv_put_decimal(nerv_out *o, uint64_t v);     /* digits, no length */
/* 2 * n hex digits of a little-endian number, most significant first: how identities are written. */
void iu__nerv_hex(const uint8_t *bytes, size_t n, char *out);

#endif
