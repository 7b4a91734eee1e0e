/* bsatn_put.c: scalars from outside to BSATN (bsatn_put.h). */
#include "bsatn_put.h"

#include "../base/hash.h"
#include "../base/text.h"

size_t iu__integer_size(const iu_type *t, bool *is_signed) {
  static const struct { uint8_t size; bool is_signed; } kinds[IU_T_COUNT] = {
      [IU_T_I8] = {1, true}, [IU_T_U8] = {1, false}, [IU_T_I16] = {2, true}, [IU_T_U16] = {2, false}, [IU_T_I32] = {4, true}, [IU_T_U32] = {4, false},
      [IU_T_I64] = {8, true}, [IU_T_U64] = {8, false}, [IU_T_I128] = {16, true}, [IU_T_U128] = {16, false}, [IU_T_I256] = {32, true},
      [IU_T_U256] = {32, false}};
  bool micros = t->special == IU_S_TIMESTAMP || t->special == IU_S_TIME_DURATION;
  *is_signed = micros || kinds[t->tag].is_signed;
  return micros ? 8 : kinds[t->tag].size;
}

static bool put(const iu_type *t, uint64_t low, bool negative, iu_buf *out) {
  uint8_t bytes[32];
  bool is_signed;
  size_t size = iu__integer_size(t, &is_signed);
  uint64_t sign_bit = size == 0 ? 0 : size < 8 ? UINT64_C(1) << (8 * size - 1) : UINT64_C(1) << 63;
  if (size == 0 || (negative && !is_signed)) return false;
  if (size < 8 && (negative ? low < (uint64_t)0 - sign_bit : low >= (is_signed ? sign_bit : sign_bit * 2))) return false;
  if (size == 8 && is_signed && !negative && low >= sign_bit) return false;
  iu__store_u64(bytes, low);
  if (size > 8) memset(bytes + 8, negative ? 0xff : 0, size - 8);
  iu__buf_put(out, bytes, size);
  return true;
}

bool iu__put_i64(const iu_type *t, int64_t v, iu_buf *out) { return put(t, (uint64_t)v, v < 0, out); }
bool iu__put_u64(const iu_type *t, uint64_t v, iu_buf *out) { return put(t, v, false, out); }

bool iu__put_digits(const iu_type *t, const char *text, size_t len, iu_buf *out) {
  uint8_t bytes[32];
  bool is_signed;
  size_t size = iu__integer_size(t, &is_signed), wide = size < 16 ? 16 : size;
  if (size == 0 || !iu__wide_parse(text, len, is_signed, bytes, wide)) return false;
  uint8_t fill = is_signed && (bytes[size - 1] & 0x80) ? 0xff : 0; /* of the narrow ones: the rest must be the sign */
  for (size_t i = size; i < wide; i++) {
    if (bytes[i] != fill) return false;
  }
  iu__buf_put(out, bytes, size);
  return true;
}

bool iu__put_f64(const iu_type *t, double v, iu_buf *out) {
  if (t->tag == IU_T_F32) {
    float f = (float)v;
    uint32_t bits;
    if (f - f != 0 && v - v == 0) return false; /* infinite, and was not */
    memcpy(&bits, &f, 4);
    iu__buf_put_u32(out, bits);
    return true;
  }
  if (t->tag != IU_T_F64) return false;
  uint64_t bits;
  memcpy(&bits, &v, 8);
  iu__buf_put_u64(out, bits);
  return true;
}

bool iu__put_hex(const iu_type *t, const char *text, size_t len, iu_buf *out) {
  size_t size = t->special == IU_S_IDENTITY ? 32 : t->special == IU_S_CONNECTION_ID || t->special == IU_S_UUID ? 16 : 0, n = 0;
  uint8_t big[32], little[32];
  char digits[65];
  if (size == 0) return false;
  if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') && t->special != IU_S_UUID) { text += 2; len -= 2; }
  for (size_t i = 0; i < len && n < sizeof digits; i++) {
    if (t->special == IU_S_UUID && len == 36 && (i == 8 || i == 13 || i == 18 || i == 23) && text[i] == '-') continue;
    digits[n++] = text[i];
  }
  if (n != size * 2 || !iu__unhex(big, digits, n)) return false;
  for (size_t i = 0; i < size; i++) little[i] = big[size - 1 - i];
  iu__buf_put(out, little, size);
  return true;
}
