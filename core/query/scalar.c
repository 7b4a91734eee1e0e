/* scalar.c: classes of comparable types, and comparing their bytes (scalar.h). */
#include "scalar.h"

#include "../base/text.h"

static iu_scalar scalar(iu_scalar_class cls, uint8_t size) {
  iu_scalar s = {(uint8_t)cls, size};
  return s;
}

iu_scalar iu__scalar_of(const iu_type *t) {
  t = iu__type_deref(t);
  switch (t->special) {
    case IU_S_IDENTITY: return scalar(IU_SC_WIDE_UNSIGNED, 32);
    case IU_S_CONNECTION_ID:
    case IU_S_UUID: return scalar(IU_SC_WIDE_UNSIGNED, 16);
    case IU_S_TIMESTAMP: return scalar(IU_SC_SIGNED, 8);
    case IU_S_BYTES: return scalar(IU_SC_BYTES, 0);
    default: break;
  }
  switch (t->tag) {
    case IU_T_BOOL:
    case IU_T_U8: return scalar(IU_SC_UNSIGNED, 1);
    case IU_T_U16: return scalar(IU_SC_UNSIGNED, 2);
    case IU_T_U32: return scalar(IU_SC_UNSIGNED, 4);
    case IU_T_U64: return scalar(IU_SC_UNSIGNED, 8);
    case IU_T_I8: return scalar(IU_SC_SIGNED, 1);
    case IU_T_I16: return scalar(IU_SC_SIGNED, 2);
    case IU_T_I32: return scalar(IU_SC_SIGNED, 4);
    case IU_T_I64: return scalar(IU_SC_SIGNED, 8);
    case IU_T_U128: return scalar(IU_SC_WIDE_UNSIGNED, 16);
    case IU_T_U256: return scalar(IU_SC_WIDE_UNSIGNED, 32);
    case IU_T_I128: return scalar(IU_SC_WIDE_SIGNED, 16);
    case IU_T_I256: return scalar(IU_SC_WIDE_SIGNED, 32);
    case IU_T_F32: return scalar(IU_SC_F32, 4);
    case IU_T_F64: return scalar(IU_SC_F64, 8);
    case IU_T_STRING: return scalar(IU_SC_BYTES, 0);
    default: return scalar(IU_SC_NONE, 0);
  }
}

uint64_t iu__scalar_u64(const uint8_t *p, size_t size) {
  switch (size) {
    case 1: return p[0];
    case 2: return iu__load_u16(p);
    case 4: return iu__load_u32(p);
    default: return iu__load_u64(p);
  }
}

int64_t iu__scalar_i64(const uint8_t *p, size_t size) {
  switch (size) {
    case 1: return (int8_t)p[0];
    case 2: return (int16_t)iu__load_u16(p);
    case 4: return (int32_t)iu__load_u32(p);
    default: return (int64_t)iu__load_u64(p);
  }
}

bool iu__scalar_from_decimal(iu_scalar s, const char *text, size_t len, uint8_t out[32]) {
  bool is_signed = s.cls == IU_SC_SIGNED || s.cls == IU_SC_WIDE_SIGNED;
  uint8_t fill;
  if (!iu__wide_parse(text, len, is_signed, out, 32)) return false;
  fill = is_signed && (out[s.size - 1] & 0x80) != 0 ? 0xff : 0; /* all bytes above must repeat the sign */
  for (size_t i = s.size; i < 32; i++) {
    if (out[i] != fill) return false;
  }
  return true;
}

double iu__scalar_f64(iu_scalar s, const uint8_t *p) {
  if (s.cls == IU_SC_F32) {
    uint32_t bits = iu__load_u32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
  } else {
    uint64_t bits = iu__load_u64(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
  }
}

int iu__scalar_compare_f64(double a, double b) {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a == b) return 0;
  return (a != a) - (b != b); /* at least one NaN */
}

static int compare_bytes(iu_slice a, iu_slice b) {
  size_t an = a.len - 4, bn = b.len - 4;
  int c = memcmp(a.p + 4, b.p + 4, an < bn ? an : bn);
  return c != 0 ? c : (an > bn) - (an < bn);
}

int iu__scalar_compare(iu_scalar s, iu_slice a, iu_slice b) {
  switch (s.cls) {
    case IU_SC_UNSIGNED: {
      uint64_t x = iu__scalar_u64(a.p, s.size), y = iu__scalar_u64(b.p, s.size);
      return (x > y) - (x < y);
    }
    case IU_SC_SIGNED: {
      int64_t x = iu__scalar_i64(a.p, s.size), y = iu__scalar_i64(b.p, s.size);
      return (x > y) - (x < y);
    }
    case IU_SC_WIDE_UNSIGNED: return iu__wide_compare(a.p, b.p, s.size, false);
    case IU_SC_WIDE_SIGNED: return iu__wide_compare(a.p, b.p, s.size, true);
    case IU_SC_F32:
    case IU_SC_F64: return iu__scalar_compare_f64(iu__scalar_f64(s, a.p), iu__scalar_f64(s, b.p));
    default: return compare_bytes(a, b);
  }
}
