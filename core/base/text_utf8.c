/* text_utf8.c: UTF-8 of text.h. Freestanding. ASCII runs are skipped eight bytes at a time. */
#include "text.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

static bool is_tail(unsigned char c) { return (c & 0xC0) == 0x80; }

/* Length of the well-formed multi-byte character at p, 0 when there is none. */
static size_t multi_len(const unsigned char *p, size_t left) {
  unsigned char c = p[0];

  if (c < 0xC2) return 0; /* a tail byte, or an overlong form */
  if (c < 0xE0) return left >= 2 && is_tail(p[1]) ? 2 : 0;
  if (c < 0xF0) {
    if (left < 3 || !is_tail(p[1]) || !is_tail(p[2])) return 0;
    if (c == 0xE0 && p[1] < 0xA0) return 0;  /* overlong */
    if (c == 0xED && p[1] >= 0xA0) return 0; /* surrogate */
    return 3;
  }
  if (c > 0xF4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3])) return 0;
  if (c == 0xF0 && p[1] < 0x90) return 0;  /* overlong */
  if (c == 0xF4 && p[1] >= 0x90) return 0; /* beyond U+10FFFF */
  return 4;
}

size_t iu__utf8_check(const char *text, size_t len) {
  const unsigned char *p = (const unsigned char *)text;
  size_t i = 0;

  while (i < len) {
    size_t n;
    while (len - i >= 8) {
      uint64_t word;
      __builtin_memcpy(&word, p + i, 8);
      if ((word & HIGH_BITS) != 0) break;
      i += 8;
    }
    while (i < len && p[i] < 0x80) i++;
    if (i == len) break;
    n = multi_len(p + i, len - i);
    if (n == 0) return i;
    i += n;
  }
  return len;
}

size_t iu__utf8_decode(const char *text, uint32_t *code_point) {
  const unsigned char *p = (const unsigned char *)text;
  uint32_t c = p[0];

  if (c < 0x80) {
    *code_point = c;
    return 1;
  }
  if (c < 0xE0) {
    *code_point = (c & 0x1F) << 6 | (p[1] & 0x3F);
    return 2;
  }
  if (c < 0xF0) {
    *code_point = (c & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    return 3;
  }
  *code_point = (c & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
  return 4;
}

size_t iu__utf8_encode(uint32_t c, char out[4]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3F));
  out[2] = (char)(0x80 | (c >> 6 & 0x3F));
  out[3] = (char)(0x80 | (c & 0x3F));
  return 4;
}
