/* codec.c: see codec.h. */
#include "codec.h"

#include "../base/text.h"

bool iu__nerv_get_bool(nerv_reader *r) {
  uint8_t v = iu__nerv_get_u8(r);
  if (v > 1) r->bad = true;
  return v == 1;
}

double iu__nerv_get_f64(nerv_reader *r) {
  union { uint64_t u; double d; } pun = {iu__nerv_get_u64(r)};
  return pun.d;
}

nerv_slice iu__nerv_get_text(nerv_reader *r) {
  uint32_t n = iu__nerv_get_u32(r);
  const uint8_t *p = iu__nerv_get_bytes(r, n);
  return p != NULL ? (nerv_slice){p, n} : (nerv_slice){(const uint8_t *)"", 0};
}

bool iu__nerv_get_option(nerv_reader *r) {
  uint8_t tag = iu__nerv_get_u8(r);
  if (tag > 1) r->bad = true;
  return tag == 0 && !r->bad;
}

nerv_slice iu__nerv_get_text_option(nerv_reader *r, bool *there) {
  *there = iu__nerv_get_option(r);
  return *there ? iu__nerv_get_text(r) : (nerv_slice){(const uint8_t *)"", 0};
}

uint64_t iu__nerv_get_u64_option(nerv_reader *r, bool *there) {
  *there = iu__nerv_get_option(r);
  return *there ? iu__nerv_get_u64(r) : 0;
}

static void skip_texts(nerv_reader *r) {
  uint32_t count = iu__nerv_get_u32(r);
  for (; count > 0 && !r->bad; count--) iu__nerv_get_text(r);
}

nerv_slice iu__nerv_skip(nerv_reader *r, const char *shape) {
  const uint8_t *from = r->p;
  for (; *shape != '\0' && !r->bad; shape++) {
    bool there;
    switch (*shape) {
      case 's': iu__nerv_get_text(r); break;
      case 'o': iu__nerv_get_text_option(r, &there); break;
      case 'a': skip_texts(r); break;
      case '1': iu__nerv_get_bytes(r, 1); break;
      case '8': iu__nerv_get_bytes(r, 8); break;
      case 'c': iu__nerv_get_bytes(r, 16); break;
      case 'i': iu__nerv_get_bytes(r, 32); break;
      default: r->bad = true;
    }
  }
  return iu__nerv_since(r, from);
}

bool iu__nerv_reserve(nerv_out *o, size_t more) {
  size_t cap = o->cap == 0 ? 128 : o->cap * 2;
  uint8_t *p;
  if (o->failed) return false;
  if (o->cap - o->n >= more) return true;
  if (more > NERV_MEM_MAX - o->n) {
    o->failed = true;
    return false;
  }
  if (cap < o->n + more) cap = o->n + more;
  if (o->cap != 0) iu__nerv_trim(o->mem, o->p, o->cap, 0); /* as the last allocation it grows in place, and the copy below is none */
  p = iu__nerv_alloc(o->mem, cap);
  if (p == NULL) {
    o->failed = true;
    return false;
  }
  if (p != o->p && o->n != 0) memcpy(p, o->p, o->n);
  o->p = p;
  o->cap = cap;
  return true;
}

void iu__nerv_put_u16(nerv_out *o, uint16_t v) {
  uint8_t t[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
  iu__nerv_put(o, t, sizeof t);
}

void iu__nerv_put_u32(nerv_out *o, uint32_t v) {
  uint8_t t[4];
  iu__nerv_store_u32(t, v);
  iu__nerv_put(o, t, sizeof t);
}

void iu__nerv_put_u64(nerv_out *o, uint64_t v) {
  uint8_t t[8];
  iu__nerv_store_u64(t, v);
  iu__nerv_put(o, t, sizeof t);
}

void iu__nerv_put_text(nerv_out *o, nerv_slice s) {
  iu__nerv_put_u32(o, s.n);
  iu__nerv_put(o, s.p, s.n);
}

void iu__nerv_put_decimal(nerv_out *o, uint64_t v) {
  char digits[IU_I64_TEXT_MAX + 1];
  size_t n = iu__u64_format(v, digits);
  iu__nerv_put(o, digits, n);
}

void iu__nerv_hex(const uint8_t *bytes, size_t n, char *out) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digit[bytes[n - 1 - i] >> 4];
    out[2 * i + 1] = digit[bytes[n - 1 - i] & 15];
  }
}
