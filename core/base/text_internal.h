/* text_internal.h: what the text*.c files share among themselves. Freestanding like text.h. */
#ifndef IU_BASE_TEXT_INTERNAL_H
#define IU_BASE_TEXT_INTERNAL_H

#include "text.h"

#define IU__POW10_MIN (-292)
#define IU__POW10_MAX 324
#define IU__POW10_EXACT 55 /* 5^55 < 2^128 */

extern const uint64_t iu__pow10_bits[IU__POW10_MAX - IU__POW10_MIN + 1][2];

/* floor(log2(10^k)), for |k| <= 1233. */
static inline int iu__floor_log2_pow10(int k) { return (k * 1741647) >> 19; }

/* The 128-bit product of two words; by hand where the compiler would call a library for it (wasm32). */
static inline uint64_t iu__mul_128(uint64_t a, uint64_t b, uint64_t *low) {
#if defined(__SIZEOF_INT128__) && !defined(__wasm__)
  __extension__ typedef unsigned __int128 u128;
  u128 p = (u128)a * b;
  *low = (uint64_t)p;
  return (uint64_t)(p >> 64);
#else
  uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
  uint64_t ll = al * bl, lh = al * bh, hl = ah * bl;
  uint64_t mid = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
  *low = mid << 32 | (uint32_t)ll;
  return ah * bh + (lh >> 32) + (hl >> 32) + (mid >> 32);
#endif
}

static inline uint64_t iu__f64_bits(double v) {
  union { double d; uint64_t u; } pun = {v};
  return pun.u;
}
static inline double iu__f64_from_bits(uint64_t u) {
  union { uint64_t u; double d; } pun = {u};
  return pun.d;
}

/* The decimal digits of v, no leading zeros (one '0' for 0); returns their count, at most 20. */
size_t iu__digits_put(uint64_t v, char *out);

/* A decimal number: 0.d1d2...dn * 10^(exponent + n) as integer digits d1...dn times 10^exponent. */
typedef struct iu__decimal {
  const char *digits; /* borrowed; may contain one '.', which does not count */
  size_t len;         /* bytes of `digits`, leading zeros removed */
  int64_t exponent;   /* of the last digit */
} iu__decimal;

/* Correct rounding for any input, with big integers; the magnitude's bits (infinity when too large). */
uint64_t iu__f64_parse_exact(const iu__decimal *d);

#endif
