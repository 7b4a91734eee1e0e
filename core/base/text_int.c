/* text_int.c: integers of text.h as decimal text. Freestanding. */
#include "text_internal.h"

static const char digit_pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263"
    "646566676869707172737475767778798081828384858687888990919293949596979899";

size_t iu__digits_put(uint64_t v, char *out) {
  char text[20];
  size_t at = sizeof text, len, i;

  while (v >= 100) {
    const char *pair = digit_pairs + 2 * (v % 100);
    v /= 100;
    text[--at] = pair[1];
    text[--at] = pair[0];
  }
  if (v >= 10) {
    text[--at] = digit_pairs[2 * v + 1];
    text[--at] = digit_pairs[2 * v];
  } else {
    text[--at] = (char)('0' + v);
  }
  len = sizeof text - at;
  for (i = 0; i < len; i++) out[i] = text[at + i];
  return len;
}

size_t iu__u64_format(uint64_t v, char out[IU_I64_TEXT_MAX + 1]) { return iu__digits_put(v, out); }

size_t iu__i64_format(int64_t v, char out[IU_I64_TEXT_MAX + 1]) {
  if (v >= 0) return iu__digits_put((uint64_t)v, out);
  out[0] = '-';
  return 1 + iu__digits_put(0 - (uint64_t)v, out + 1);
}
