/* filter_number.c: exact comparison of numbers of different kinds (filter_number.h). */
#include "filter_number.h"

#include <math.h>

#define TWO_63 9223372036854775808.0
#define LIMB 1000000000u  /* nine decimal digits */
#define LIMBS_MAX 35      /* the greatest double has 309 */

static int sign_of(int64_t v) { return (v > 0) - (v < 0); }

static int compare_int_double(int64_t i, double d) {
  int64_t whole;
  double rest;
  if (d >= TWO_63) return -1;
  if (d < -TWO_63) return 1;
  whole = (int64_t)d;
  if (i != whole) return i < whole ? -1 : 1;
  rest = d - (double)whole; /* exact: a double with a fraction is below 2^53 */
  return (rest < 0) - (rest > 0);
}

static bool is_negative(const iu_fv *big) { return big->len != 0 && big->u.s[0] == '-'; }

static int compare_digits(const char *a, size_t alen, const char *b, size_t blen) {
  if (alen != blen) return alen < blen ? -1 : 1;
  return sign_of(memcmp(a, b, alen));
}

static int compare_bigs(const iu_fv *a, const iu_fv *b) {
  bool an = is_negative(a), bn = is_negative(b);
  int c;
  if (an != bn) return an ? -1 : 1;
  c = compare_digits(a->u.s + an, a->len - an, b->u.s + an, b->len - an);
  return an ? -c : c;
}

/* The decimal digits of a whole number in [2^63, infinity); returns their count. */
static size_t digits_of_double(double d, char out[9 * LIMBS_MAX]) {
  uint32_t limbs[LIMBS_MAX] = {0};
  int exponent;
  uint64_t mantissa = (uint64_t)ldexp(frexp(d, &exponent), 53);
  size_t count = 2, len = 0;
  limbs[0] = (uint32_t)(mantissa % LIMB);
  limbs[1] = (uint32_t)(mantissa / LIMB); /* below 2^53 / 10^9 */
  for (exponent -= 53; exponent > 0; exponent -= 29) {
    uint32_t factor = 1u << (exponent < 29 ? exponent : 29);
    uint64_t carry = 0;
    for (size_t i = 0; i < count; i++) {
      carry += (uint64_t)limbs[i] * factor;
      limbs[i] = (uint32_t)(carry % LIMB);
      carry /= LIMB;
    }
    if (carry != 0) limbs[count++] = (uint32_t)carry; /* below 2^29, one limb */
  }
  for (size_t i = count; i-- > 0;) {
    for (uint32_t unit = LIMB / 10; unit != 0; unit /= 10) {
      char digit = (char)('0' + limbs[i] / unit % 10);
      if (len != 0 || digit != '0') out[len++] = digit;
    }
  }
  return len;
}

static int compare_big_double(const iu_fv *big, double d) {
  bool negative = is_negative(big);
  char digits[9 * LIMBS_MAX];
  int c;
  if (d >= -TWO_63 && d < TWO_63) return negative ? -1 : 1;
  if (isinf(d) || negative != (d < 0)) return d > 0 ? -1 : 1;
  c = compare_digits(big->u.s + negative, big->len - negative, digits, digits_of_double(fabs(d), digits));
  return negative ? -c : c;
}

static int compare_same(const iu_fv *a, const iu_fv *b) {
  if (a->kind == IU_FV_INT) return (a->u.i > b->u.i) - (a->u.i < b->u.i);
  if (a->kind == IU_FV_DOUBLE) return (a->u.d > b->u.d) - (a->u.d < b->u.d);
  return compare_bigs(a, b);
}

int iu__number_compare(const iu_fv *a, const iu_fv *b) {
  if (a->kind == b->kind) return compare_same(a, b);
  if (a->kind > b->kind) return -iu__number_compare(b, a);
  if (b->kind == IU_FV_BIG) return is_negative(b) ? 1 : -1; /* outside i64 by definition */
  return a->kind == IU_FV_INT ? compare_int_double(a->u.i, b->u.d) : compare_big_double(a, b->u.d);
}
