/* text_f64_format.c: shortest double printing of text.h. Freestanding; tens of nanoseconds, no allocation.
 *
 * Integers below 2^53 are printed as such. Everything else goes through Schubfach (Raffaello Giulietti, "The Schubfach way to
 * render doubles"): the interval of reals that round to v is scaled by a power of ten so that it holds at least one integer and at
 * most one multiple of ten; that multiple of ten is shortest if there is one, else the integer closest to v. Products keep a
 * sticky low bit ("round to odd"), which makes the comparisons with the interval's ends exact despite the 128-bit powers. */
#include "text_internal.h"

#define F64_FRACTION_BITS 52
#define F64_EXPONENT_BIAS 1075 /* of the integer significand */

typedef struct shortest { uint64_t digits; int exponent; } shortest;

/* floor(log10(2^q)) and floor(log10(3/4 * 2^q)), for |q| <= 1100. */
static int floor_log10_pow2(int q) { return (q * 1262611) >> 22; }
static int floor_log10_three_quarters_pow2(int q) { return (q * 1262611 - 524031) >> 22; }

static uint64_t mul_round_to_odd(const uint64_t g[2], uint64_t c) {
  uint64_t low, mid, high, carry;

  carry = iu__mul_128(g[1], c, &low);
  high = iu__mul_128(g[0], c, &mid);
  mid += carry;
  high += mid < carry;
  return high | (mid > 1);
}

static shortest shorten(uint64_t fraction, int biased) {
  uint64_t c = biased != 0 ? fraction | UINT64_C(1) << F64_FRACTION_BITS : fraction;
  int q = (biased != 0 ? biased : 1) - F64_EXPONENT_BIAS;
  bool even = (c & 1) == 0, narrow_below = fraction == 0 && biased > 1;
  int k = narrow_below ? floor_log10_three_quarters_pow2(q) : floor_log10_pow2(q);
  int h = q + iu__floor_log2_pow10(-k) + 1;
  const uint64_t *entry = iu__pow10_bits[-k - IU__POW10_MIN];
  uint64_t g[2], vb, low, high, s;
  shortest r;

  g[1] = entry[1] + 1; /* the method wants the power rounded up */
  g[0] = entry[0] + (g[1] == 0);
  low = mul_round_to_odd(g, (4 * c - (narrow_below ? 1 : 2)) << h) + !even;
  vb = mul_round_to_odd(g, (4 * c) << h);
  high = mul_round_to_odd(g, (4 * c + 2) << h) - !even;
  s = vb / 4;
  if (s >= 10) {
    uint64_t tens = s / 10;
    bool below = low <= 40 * tens, above = 40 * tens + 40 <= high;
    if (below != above) {
      r.digits = tens + above;
      r.exponent = k + 1;
      return r;
    }
  }
  r.exponent = k;
  {
    bool below = low <= 4 * s, above = 4 * s + 4 <= high;
    uint64_t middle = 4 * s + 2;
    if (below != above) r.digits = s + above;
    else r.digits = s + (vb > middle || (vb == middle && (s & 1) != 0));
  }
  return r;
}

static size_t put_exponent(int e, char *out) {
  size_t at = 0;

  out[at++] = 'e';
  out[at++] = e < 0 ? '-' : '+';
  if (e < 0) e = -e;
  if (e < 10) out[at++] = '0';
  return at + iu__digits_put((uint64_t)e, out + at);
}

/* Digits and decimal exponent in the form of Python's repr. */
static size_t put_repr(shortest v, char *out) {
  char digits[20];
  size_t n, at = 0, i;
  int point;

  while (v.digits % 10 == 0) v.digits /= 10, v.exponent++;
  n = iu__digits_put(v.digits, digits);
  point = (int)n + v.exponent; /* the value is 0.digits * 10^point */
  if (point > 16 || point < -3) {
    out[at++] = digits[0];
    if (n > 1) out[at++] = '.';
    for (i = 1; i < n; i++) out[at++] = digits[i];
    return at + put_exponent(point - 1, out + at);
  }
  if (point <= 0) {
    out[at++] = '0';
    out[at++] = '.';
    for (; point < 0; point++) out[at++] = '0';
    for (i = 0; i < n; i++) out[at++] = digits[i];
    return at;
  }
  for (i = 0; i < n || (int)i <= point; i++) {
    if ((int)i == point) out[at++] = '.';
    out[at++] = i < n ? digits[i] : '0';
  }
  return at;
}

size_t iu__f64_format(double v, char out[IU_F64_TEXT_MAX]) {
  uint64_t bits = iu__f64_bits(v), fraction = bits & ((UINT64_C(1) << F64_FRACTION_BITS) - 1);
  int biased = (int)(bits >> F64_FRACTION_BITS & 0x7FF);
  size_t at = 0;

  if (bits >> 63) {
    out[at++] = '-';
    v = -v;
  }
  if (v < 9007199254740992.0) { /* 2^53: every integer below is a double, so no shorter text means it */
    uint64_t whole = (uint64_t)v;
    if ((double)whole == v) {
      at += iu__digits_put(whole, out + at);
      out[at++] = '.';
      out[at++] = '0';
      return at;
    }
  }
  return at + put_repr(shorten(fraction, biased), out + at);
}
