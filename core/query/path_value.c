/* path_value.c: values of filters as bytes whose memcmp order is that of iu__fv_rank_compare, none the beginning of another (path_index.h).
 *
 * A number is its nearest double as eight ordered bytes and a byte that says whether it is below, equal to or above that; one that is not equal is an
 * integer, and its count of digits and its digits follow (inverted where it is negative). A text has 0 as 1 1, 1 as 1 2 and a 0 at its end.
 */
#include <math.h>

#include "../base/text.h"
#include "filter_number.h"
#include "path_index.h"

static double nearest(const iu_fv *v) {
  double d = 0;
  if (v->kind == IU_FV_INT) return (double)v->u.i;
  if (v->kind == IU_FV_DOUBLE) return v->u.d;
  if (!iu__f64_parse(v->u.s, v->len, &d)) d = v->u.s[0] == '-' ? -(double)INFINITY : (double)INFINITY; /* more digits than doubles have */
  return d;
}

static void put_ordered(iu_buf *out, double d) {
  uint64_t bits;
  d += 0.0; /* -0.0 equals 0.0 */
  memcpy(&bits, &d, sizeof bits);
  bits = bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
  for (int shift = 56; shift >= 0; shift -= 8) iu__buf_put_u8(out, (uint8_t)(bits >> shift));
}

/* Integers that share their nearest double share their sign. */
static void put_digits(iu_buf *out, const char *digits, size_t len) {
  uint8_t flip = digits[0] == '-' ? 0xff : 0;
  if (flip != 0) {
    digits++;
    len--;
  }
  for (int shift = 24; shift >= 0; shift -= 8) iu__buf_put_u8(out, (uint8_t)(len >> shift) ^ flip);
  for (size_t i = 0; i < len; i++) iu__buf_put_u8(out, (uint8_t)digits[i] ^ flip);
}

static void put_number(iu_buf *out, const iu_fv *v) {
  char text[IU_I64_TEXT_MAX + 1];
  iu_fv d = iu__fv(IU_FV_DOUBLE);
  int c;
  d.u.d = nearest(v);
  c = v->kind == IU_FV_DOUBLE ? 0 : iu__number_compare(v, &d);
  iu__buf_put_u8(out, IU_VB_NUMBER);
  put_ordered(out, d.u.d);
  iu__buf_put_u8(out, (uint8_t)(2 + (c > 0) - (c < 0)));
  if (c == 0) return;
  if (v->kind == IU_FV_INT) put_digits(out, text, iu__i64_format(v->u.i, text));
  else put_digits(out, v->u.s, v->len);
}

static void put_text(iu_buf *out, const char *s, size_t len) {
  iu__buf_put_u8(out, IU_VB_TEXT);
  for (size_t i = 0; i < len && out->len < IU_VALUE_BYTES_MAX; i++) {
    uint8_t byte = (uint8_t)s[i];
    if (byte < 2) {
      iu__buf_put_u8(out, 1);
      byte++;
    }
    iu__buf_put_u8(out, byte);
  }
}

/* Two texts that are cut have the same bytes in front and no 0 in them: neither is the beginning of the other. */
static bool cut_off(iu_buf *out) {
  if (out->len <= IU_VALUE_BYTES_MAX) return false;
  out->len = IU_VALUE_BYTES_MAX;
  return true;
}

iu_status iu__value_text_bytes(const char *text, size_t len, iu_buf *out, iu_error *err) {
  iu__buf_reset(out);
  put_text(out, text, len);
  cut_off(out);
  return iu__buf_status(out, err, "a value");
}

iu_status iu__value_bytes(const iu_fv *v, iu_buf *out, bool *cut, iu_error *err) {
  iu__buf_reset(out);
  *cut = false;
  switch (v->kind) {
    case IU_FV_NULL: iu__buf_put_u8(out, IU_VB_NULL); break;
    case IU_FV_BOOL: iu__buf_put_u8(out, v->u.b ? IU_VB_TRUE : IU_VB_FALSE); break;
    case IU_FV_INT:
    case IU_FV_BIG:
    case IU_FV_DOUBLE:
      if (v->kind == IU_FV_DOUBLE && isnan(v->u.d)) iu__buf_put_u8(out, IU_VB_NAN);
      else put_number(out, v);
      *cut = cut_off(out);
      break;
    case IU_FV_STRING:
      put_text(out, v->u.s, v->len);
      iu__buf_put_u8(out, 0);
      *cut = cut_off(out);
      break;
    default: iu__buf_put_u8(out, IU_VB_OTHER); break;
  }
  return iu__buf_status(out, err, "a value");
}
