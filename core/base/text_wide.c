/* text_wide.c: 128- and 256-bit integers of text.h. Freestanding. Values are worked on as 32-bit limbs, lowest first. */
#include "text_internal.h"

#define WIDE_LIMBS 8

typedef struct wide {
  uint32_t limb[WIDE_LIMBS];
  size_t count; /* limbs of the type: 4 or 8 */
} wide;

static void wide_negate(wide *w) {
  uint64_t carry = 1;
  size_t i;

  for (i = 0; i < w->count; i++) {
    carry += ~w->limb[i] & UINT32_MAX;
    w->limb[i] = (uint32_t)carry;
    carry >>= 32;
  }
}

/* Loads the magnitude; true when the value is negative. */
static bool wide_load(wide *w, const uint8_t *bytes, size_t size, bool is_signed) {
  size_t i;

  w->count = size / 4;
  for (i = 0; i < w->count; i++, bytes += 4)
    w->limb[i] = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
  if (!is_signed || w->limb[w->count - 1] >> 31 == 0) return false;
  wide_negate(w);
  return true;
}

static void wide_store(const wide *w, uint8_t *bytes) {
  size_t i;

  for (i = 0; i < w->count * 4; i++) bytes[i] = (uint8_t)(w->limb[i / 4] >> (8 * (i % 4)));
}

/* Divides in place; returns the remainder. */
static uint32_t wide_divide(wide *w, uint32_t divisor) {
  uint64_t rest = 0;
  size_t i;

  for (i = w->count; i-- > 0;) {
    rest = rest << 32 | w->limb[i];
    w->limb[i] = (uint32_t)(rest / divisor);
    rest %= divisor;
  }
  return (uint32_t)rest;
}

/* w * factor + add; false when it does not fit. */
static bool wide_mul_add(wide *w, uint32_t factor, uint32_t add) {
  uint64_t carry = add;
  size_t i;

  for (i = 0; i < w->count; i++) {
    carry += (uint64_t)w->limb[i] * factor;
    w->limb[i] = (uint32_t)carry;
    carry >>= 32;
  }
  return carry == 0;
}

static bool wide_is_zero(const wide *w) {
  size_t i;

  for (i = 0; i < w->count; i++)
    if (w->limb[i] != 0) return false;
  return true;
}

size_t iu__wide_format(const uint8_t *bytes, size_t size, bool is_signed, char out[80]) {
  char text[80];
  size_t at = sizeof text, len = 0, i;
  wide w;
  bool negative = wide_load(&w, bytes, size, is_signed);

  do {
    uint32_t nine = wide_divide(&w, 1000000000);
    bool last = wide_is_zero(&w);
    for (i = 0; i < 9 && (!last || nine != 0 || at == sizeof text); i++, nine /= 10) text[--at] = (char)('0' + nine % 10);
  } while (!wide_is_zero(&w));
  if (negative) out[len++] = '-';
  while (at < sizeof text) out[len++] = text[at++];
  return len;
}

size_t iu__wide_format_hex(const uint8_t *bytes, size_t size, bool is_signed, char out[68]) {
  static const char digits[] = "0123456789abcdef";
  size_t len = 0, i;
  wide w;

  if (wide_load(&w, bytes, size, is_signed)) out[len++] = '-';
  out[len++] = '0';
  out[len++] = 'x';
  for (i = size * 2 - 1; i > 0 && (w.limb[i / 8] >> (4 * (i % 8)) & 15) == 0; i--) {
  }
  for (i++; i-- > 0;) out[len++] = digits[w.limb[i / 8] >> (4 * (i % 8)) & 15];
  return len;
}

static int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 16;
}

static bool parse_magnitude(const char *p, const char *end, wide *w) {
  uint32_t base = 10;

  if (end - p > 2 && p[0] == '0' && p[1] == 'x') base = 16, p += 2;
  if (p == end) return false;
  for (; p < end; p++) {
    int digit = digit_value(*p);
    if (digit >= (int)base || !wide_mul_add(w, base, (uint32_t)digit)) return false;
  }
  return true;
}

bool iu__wide_parse(const char *text, size_t len, bool is_signed, uint8_t *bytes, size_t size) {
  const char *p = text, *end = text + len;
  wide w = {{0}, size / 4};
  bool negative = false, top;

  if (p < end && (*p == '-' || *p == '+')) negative = *p++ == '-';
  if (!parse_magnitude(p, end, &w)) return false;
  if (negative && !is_signed && !wide_is_zero(&w)) return false;
  if (negative) wide_negate(&w);
  /* A signed value fits exactly when its sign bit says what the text says; only zero may follow a minus without it. */
  top = w.limb[w.count - 1] >> 31 != 0;
  if (is_signed && top != negative && !(negative && wide_is_zero(&w))) return false;
  wide_store(&w, bytes);
  return true;
}

int iu__wide_compare(const uint8_t *a, const uint8_t *b, size_t size, bool is_signed) {
  uint8_t flip = is_signed ? 0x80 : 0; /* puts the negative half below the other */
  size_t i = size - 1;
  uint8_t x = a[i] ^ flip, y = b[i] ^ flip;

  while (x == y && i > 0) {
    i--;
    x = a[i];
    y = b[i];
  }
  return x < y ? -1 : x > y;
}
