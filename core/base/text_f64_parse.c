/* text_f64_parse.c: correctly rounded parsing of JSON numbers for text.h. Freestanding.
 *
 * Three ways, first that decides: exact double arithmetic for short numbers (Clinger); a 64 x 128 bit product whose error is below
 * one unit of its upper 128 bits, accepted unless that unit could change the rounding; big integers (text_f64_exact.c). */
#include "text_internal.h"

#define F64_INFINITY_BITS (UINT64_C(0x7FF) << 52)
#define DIGITS_IN_WORD 19         /* 10^19 < 2^64 */
#define EXPONENT_LIMIT 100000000000000000 /* far beyond what any text's digits could bring back; ten times it fits */

typedef struct scanned {
  uint64_t word;     /* the first DIGITS_IN_WORD significant digits */
  int64_t exponent;  /* value = word * 10^exponent, a little more when truncated */
  bool negative, truncated;
  iu__decimal all;
} scanned;

static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

static const char *scan_digits(const char *p, const char *end) {
  while (p < end && is_digit(*p)) p++;
  return p;
}

static bool scan_exponent(const char *p, const char *end, int64_t *exponent) {
  bool negative = false;
  int64_t e = 0;

  if (p < end && (*p == '+' || *p == '-')) negative = *p++ == '-';
  if (p == end) return false;
  for (; p < end; p++) {
    if (!is_digit(*p)) return false;
    if (e < EXPONENT_LIMIT) e = e * 10 + (*p - '0');
  }
  *exponent = negative ? -e : e;
  return true;
}

/* The significant digits of [p, end), which holds at most one '.'. */
static void scan_significant(scanned *s, const char *p, const char *end, int64_t exponent) {
  size_t seen = 0;

  while (p < end && (*p == '0' || *p == '.')) p++;
  s->all.digits = p;
  s->all.len = (size_t)(end - p);
  s->all.exponent = exponent;
  s->word = 0;
  for (; p < end && seen < DIGITS_IN_WORD; p++) {
    if (*p == '.') continue;
    s->word = s->word * 10 + (uint64_t)(*p - '0');
    seen++;
  }
  s->truncated = p < end;
  s->exponent = exponent;
  for (; p < end; p++) s->exponent += *p != '.';
}

/* Checks RFC 8259's grammar on the way. */
static bool scan(const char *p, size_t len, scanned *s) {
  const char *end = p + len, *first, *last, *dot = NULL;
  int64_t exponent = 0;

  s->negative = p < end && *p == '-';
  if (s->negative) p++;
  first = p;
  p = scan_digits(p, end);
  if (p == first || (*first == '0' && p - first > 1)) return false;
  if (p < end && *p == '.') {
    dot = p;
    p = scan_digits(p + 1, end);
    if (p == dot + 1) return false;
  }
  last = p;
  if (p < end && ((*p != 'e' && *p != 'E') || !scan_exponent(p + 1, end, &exponent))) return false;
  if (dot != NULL) exponent -= last - dot - 1;
  scan_significant(s, first, last, exponent);
  return true;
}

/* Both operands exact, so one rounding. The double is the magnitude. */
static bool parse_short(const scanned *s, double *out) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

  if (s->truncated || s->word > UINT64_C(1) << 53 || s->exponent < -22 || s->exponent > 22) return false;
  *out = s->exponent < 0 ? (double)s->word / powers[-s->exponent] : (double)s->word * powers[s->exponent];
  return true;
}

static int leading_zeros(uint64_t v) { return __builtin_clzll(v); }

/* How `rest` (the bits cut off, of a unit of 2^drop, followed by mid and low) rounds: 0 down, 1 up, -1 not known. */
static int round_product(uint64_t high, uint64_t mid, uint64_t low, int drop, bool exact) {
  uint64_t rest = high & ((UINT64_C(1) << drop) - 1), half = UINT64_C(1) << (drop - 1);
  uint64_t odd = high >> drop & 1;

  if (rest >= half) {
    if (!exact || rest > half || mid != 0 || low != 0) return 1; /* an inexact power is a little more than its bits */
    return (int)odd;
  }
  if (!exact && rest == half - 1 && mid >= UINT64_MAX - 1) return -1;
  return 0;
}

/* word * 10^exponent, with the bits of the double in *bits; false when not decided. */
static bool parse_product(uint64_t word, int exponent, uint64_t *bits) {
  const uint64_t *g = iu__pow10_bits[exponent - IU__POW10_MIN];
  int zeros = leading_zeros(word), drop, rounding, binary;
  uint64_t high, mid, low, carry, mantissa;

  word <<= zeros;
  carry = iu__mul_128(g[1], word, &low);
  high = iu__mul_128(g[0], word, &mid);
  mid += carry;
  high += mid < carry;
  drop = high >> 63 ? 11 : 10;
  rounding = round_product(high, mid, low, drop, exponent >= 0 && exponent <= IU__POW10_EXACT);
  if (rounding < 0) return false;
  mantissa = (high >> drop) + (uint64_t)rounding;
  binary = iu__floor_log2_pow10(exponent) + (drop == 11) + 63 - zeros;
  if (mantissa >> 53) mantissa >>= 1, binary++;
  if (binary > 1023) {
    *bits = F64_INFINITY_BITS;
    return true;
  }
  /* The table starts at 10^-292, so the result is never subnormal. */
  *bits = (uint64_t)(binary + 1023) << 52 | (mantissa & ((UINT64_C(1) << 52) - 1));
  return true;
}

static uint64_t parse_long(const scanned *s) {
  uint64_t bits, above;

  if (s->exponent > 308) return F64_INFINITY_BITS;
  if (s->exponent < -324 - DIGITS_IN_WORD) return 0;
  if (s->exponent < IU__POW10_MIN || !parse_product(s->word, (int)s->exponent, &bits)) return iu__f64_parse_exact(&s->all);
  if (!s->truncated) return bits;
  /* Rounding is monotone: where both neighbours of the cut number agree, so does the number. */
  if (parse_product(s->word + 1, (int)s->exponent, &above) && above == bits) return bits;
  return iu__f64_parse_exact(&s->all);
}

bool iu__f64_from_decimal(uint64_t digits, int exponent, double *out) {
  scanned s = {.word = digits, .exponent = exponent};
  uint64_t bits;

  *out = 0.0;
  if (digits == 0 || parse_short(&s, out)) return true;
  if (exponent < IU__POW10_MIN || exponent > 308 || !parse_product(digits, exponent, &bits)) return false;
  *out = iu__f64_from_bits(bits);
  return true;
}

bool iu__f64_parse(const char *text, size_t len, double *out) {
  scanned s;
  double v = 0.0;

  if (!scan(text, len, &s)) return false;
  if (s.word != 0 && !parse_short(&s, &v)) v = iu__f64_from_bits(parse_long(&s));
  *out = s.negative ? -v : v;
  return true;
}
