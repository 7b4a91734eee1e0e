/* text_f64_exact.c: correct rounding of any decimal number with big integers, for the inputs that text_f64_parse.c cannot decide:
 * many digits close to the middle between two doubles, and subnormals. Freestanding; a few microseconds, no allocation.
 *
 * The number is digits * 5^e * 2^e. Its numerator and denominator are scaled by powers of two so that their quotient has 64 or 65
 * bits; those and a sticky bit for the remainder decide the rounding. */
#include "text_internal.h"

#define F64_INFINITY_BITS (UINT64_C(0x7FF) << 52)
#define F64_EXPONENT_MIN (-1074)
/* No double and no middle between two has more than 768 significant digits: what follows the 768th only breaks ties. */
#define DIGITS_MAX 768
#define LIMBS 96 /* 3072 bits: 5^1093, 10^769 and a quotient of 65 bits over them need 2635 */

typedef struct big {
  uint32_t len; /* limbs in use; the top one is not zero */
  uint32_t limb[LIMBS];
} big;

static void big_mul_add(big *b, uint32_t factor, uint32_t add) {
  uint64_t carry = add;
  uint32_t i;

  for (i = 0; i < b->len; i++) {
    carry += (uint64_t)b->limb[i] * factor;
    b->limb[i] = (uint32_t)carry;
    carry >>= 32;
  }
  if (carry != 0) b->limb[b->len++] = (uint32_t)carry;
}

static void big_mul_pow5(big *b, uint32_t power) {
  static const uint32_t small[] = {1,     5,      25,      125,     625,      3125,      15625,
                                   78125, 390625, 1953125, 9765625, 48828125, 244140625, 1220703125};

  for (; power >= 13; power -= 13) big_mul_add(b, small[13], 0);
  if (power > 0) big_mul_add(b, small[power], 0);
}

static uint32_t big_bits(const big *b) { return 32 * b->len - (uint32_t)__builtin_clz(b->limb[b->len - 1]); }

static void big_shift_left(big *b, uint32_t shift) {
  uint32_t limbs = shift / 32, bits = shift % 32, i;

  if (b->len == 0) return;
  if (bits != 0) {
    uint32_t carry = 0;
    for (i = 0; i < b->len; i++) {
      uint32_t v = b->limb[i];
      b->limb[i] = v << bits | carry;
      carry = v >> (32 - bits);
    }
    if (carry != 0) b->limb[b->len++] = carry;
  }
  if (limbs == 0) return;
  for (i = b->len; i-- > 0;) b->limb[i + limbs] = b->limb[i];
  for (i = 0; i < limbs; i++) b->limb[i] = 0;
  b->len += limbs;
}

/* a -= b * factor * 2^(32 * at); a has `a_limbs` limbs kept, zeros on top included. Returns the borrow out of limb at + b->len. */
static bool sub_product(uint32_t *a, const big *b, uint32_t factor, uint32_t at) {
  uint64_t carry = 0;
  uint32_t i, borrow = 0;

  for (i = 0; i <= b->len; i++) {
    uint64_t take;
    uint32_t have = a[at + i];
    carry += i < b->len ? (uint64_t)b->limb[i] * factor : 0;
    take = (carry & UINT32_MAX) + borrow;
    carry >>= 32;
    a[at + i] = (uint32_t)(have - take);
    borrow = take > have;
  }
  return borrow != 0;
}

static void add_back(uint32_t *a, const big *b, uint32_t at) {
  uint64_t carry = 0;
  uint32_t i;

  for (i = 0; i <= b->len; i++) {
    carry += (uint64_t)a[at + i] + (i < b->len ? b->limb[i] : 0);
    a[at + i] = (uint32_t)carry;
    carry >>= 32;
  }
}

/* n / d where the quotient has at most three limbs (schoolbook division); *rest tells whether a remainder is left. The top bit
 * of d's top limb is set. */
static void big_divide(big *n, const big *d, uint32_t quotient[3], bool *rest) {
  uint32_t top = d->limb[d->len - 1], at, i;

  for (i = n->len; i < d->len + 3; i++) n->limb[i] = 0;
  for (at = 3; at-- > 0;) {
    uint64_t lead = (uint64_t)n->limb[at + d->len] << 32 | n->limb[at + d->len - 1];
    uint64_t guess = lead / top;
    if (guess > UINT32_MAX) guess = UINT32_MAX;
    /* With the divisor's top bit set the guess is never too small and at most 2 too large. */
    if (sub_product(n->limb, d, (uint32_t)guess, at)) {
      do {
        guess--;
        add_back(n->limb, d, at);
      } while (n->limb[at + d->len] != 0);
    }
    quotient[at] = (uint32_t)guess;
  }
  *rest = false;
  for (i = 0; i < d->len; i++) *rest = *rest || n->limb[i] != 0;
}

/* Rounds high:low (65 bits at most) * 2^exponent, `sticky` standing for bits below, to a double's bits. */
static uint64_t round_to_f64(uint32_t high, uint64_t low, int exponent, bool sticky) {
  int top, drop;
  uint64_t mantissa, rest, half;

  if (high != 0) { /* to 64 bits, the lost one into the sticky */
    sticky = sticky || (low & 1) != 0;
    low = low >> 1 | UINT64_C(1) << 63;
    exponent++;
  }
  top = 63 - __builtin_clzll(low);
  drop = top - 52;
  if (exponent + drop < F64_EXPONENT_MIN) drop = F64_EXPONENT_MIN - exponent;
  if (drop > 64) return 0;
  mantissa = drop == 64 ? 0 : low >> drop;
  rest = drop == 64 ? low : low & ((UINT64_C(1) << drop) - 1);
  half = UINT64_C(1) << (drop - 1);
  if (rest > half || (rest == half && (sticky || (mantissa & 1) != 0))) mantissa++;
  exponent += drop;
  if (mantissa >> 53) mantissa >>= 1, exponent++;
  if (mantissa >> 52 == 0) return mantissa; /* subnormal, or zero */
  if (exponent + 52 > 1023) return F64_INFINITY_BITS;
  return (uint64_t)(exponent + 1075) << 52 | (mantissa & ((UINT64_C(1) << 52) - 1));
}

/* Reads the digits into n; returns the decimal exponent that goes with them. */
static int64_t read_digits(const iu__decimal *d, big *n) {
  const char *p = d->digits, *end = p + d->len;
  int64_t exponent = d->exponent;
  uint32_t seen = 0, chunk = 0, scale = 1;
  bool more = false;

  n->len = 0;
  for (; p < end && seen < DIGITS_MAX; p++) {
    if (*p == '.') continue;
    chunk = chunk * 10 + (uint32_t)(*p - '0');
    scale *= 10;
    seen++;
    if (scale == 1000000000) {
      big_mul_add(n, scale, chunk);
      scale = 1;
      chunk = 0;
    }
  }
  if (scale > 1) big_mul_add(n, scale, chunk);
  for (; p < end; p++) {
    if (*p == '.') continue;
    more = more || *p != '0';
    exponent++;
  }
  if (!more) return exponent;
  big_mul_add(n, 10, 1); /* one more digit that stands for all the others */
  return exponent - 1;
}

uint64_t iu__f64_parse_exact(const iu__decimal *decimal) {
  big n, d; /* limbs above `len` stay as they are: clearing them all costs more than most of the work */
  int64_t exponent = read_digits(decimal, &n);
  uint32_t quotient[3], align;
  int scale;
  bool rest;

  d.len = 1;
  d.limb[0] = 1;
  /* The caller has dealt with magnitudes far outside a double's: here 10^-345 < value < 10^328. */
  if (exponent < 0) big_mul_pow5(&d, (uint32_t)-exponent);
  else big_mul_pow5(&n, (uint32_t)exponent);
  scale = 64 - ((int)big_bits(&n) - (int)big_bits(&d)); /* quotient of n * 2^scale / d: 64 or 65 bits */
  if (scale > 0) big_shift_left(&n, (uint32_t)scale);
  else big_shift_left(&d, (uint32_t)-scale);
  align = (32 - big_bits(&d) % 32) % 32;
  big_shift_left(&n, align);
  big_shift_left(&d, align);
  big_divide(&n, &d, quotient, &rest);
  return round_to_f64(quotient[2], (uint64_t)quotient[1] << 32 | quotient[0], (int)exponent - scale, rest);
}
