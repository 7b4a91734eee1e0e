/* sql_text.c: see sql_text.h. */
#include "sql_text.h"

#include "../base/text.h"
#include "rfc3339.h"
#include "scalar.h"

void iu__sql_put_name(iu_buf *out, const char *name) { iu__buf_printf(out, "\"%s\"", name); }

static void put_string(iu_buf *out, iu_slice value) {
  const uint8_t *p = value.p + 4, *end = value.p + value.len;
  iu__buf_put_u8(out, '\'');
  while (p < end) {
    const uint8_t *quote = memchr(p, '\'', (size_t)(end - p));
    size_t len = quote != NULL ? (size_t)(quote + 1 - p) : (size_t)(end - p);
    iu__buf_put(out, p, len);
    if (quote != NULL) iu__buf_put_u8(out, '\'');
    p += len;
  }
  iu__buf_put_u8(out, '\'');
}

static void put_hex(iu_buf *out, const uint8_t *bytes, size_t len, bool little) {
  iu__buf_put_str(out, "0x");
  for (size_t i = 0; i < len; i++) iu__buf_printf(out, "%02x", bytes[little ? len - 1 - i : i]);
}

static void put_uuid(iu_buf *out, const uint8_t *little) {
  iu__buf_put_u8(out, '\'');
  for (int i = 15; i >= 0; i--) iu__buf_printf(out, i == 11 || i == 9 || i == 7 || i == 5 ? "%02x-" : "%02x", little[i]);
  iu__buf_put_u8(out, '\'');
}

static bool put_time(iu_buf *out, int64_t micros) {
  char text[IU_RFC3339_TEXT_MAX + 1];
  if (!iu__rfc3339_format(micros, text)) return false;
  iu__buf_printf(out, "'%s'", text);
  return true;
}

static bool put_integer(iu_buf *out, iu_scalar scalar, const uint8_t *bytes) {
  char text[80];
  switch (scalar.cls) {
    case IU_SC_UNSIGNED: iu__buf_printf(out, "%llu", (unsigned long long)iu__scalar_u64(bytes, scalar.size)); return true;
    case IU_SC_SIGNED: iu__buf_printf(out, "%lld", (long long)iu__scalar_i64(bytes, scalar.size)); return true;
    case IU_SC_WIDE_UNSIGNED:
    case IU_SC_WIDE_SIGNED:
      iu__buf_put(out, text, iu__wide_format(bytes, scalar.size, scalar.cls == IU_SC_WIDE_SIGNED, text));
      return true;
    default: return false;
  }
}

bool iu__sql_put_value(iu_buf *out, const iu_type *type, iu_slice value) {
  iu_scalar scalar = iu__scalar_of(type);
  switch (type->special) {
    case IU_S_IDENTITY:
    case IU_S_CONNECTION_ID: put_hex(out, value.p, value.len, true); return true;
    case IU_S_BYTES: put_hex(out, value.p + 4, value.len - 4, false); return true;
    case IU_S_UUID: put_uuid(out, value.p); return true;
    case IU_S_TIMESTAMP: return put_time(out, (int64_t)iu__load_u64(value.p));
    case IU_S_NONE: break;
    default: return false;
  }
  if (type->tag == IU_T_BOOL) {
    iu__buf_put_str(out, value.p[0] != 0 ? "true" : "false");
    return true;
  }
  if (type->tag == IU_T_STRING) {
    put_string(out, value);
    return true;
  }
  return put_integer(out, scalar, value.p);
}

bool iu__sql_put_condition(iu_buf *out, const char *column, const char *op, const iu_type *type, iu_slice value) {
  size_t before = out->len;
  iu__sql_put_name(out, column);
  iu__buf_put_str(out, op);
  if (iu__sql_put_value(out, type, value)) return true;
  if (!out->failed) out->len = before;
  return false;
}
