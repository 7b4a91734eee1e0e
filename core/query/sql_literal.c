/* sql_literal.c: literals in the type of their column (sql_literal.h). */
#include "sql_literal.h"

#include <math.h>

#include "../base/hash.h"
#include "../base/text.h"
#include "rfc3339.h"
#include "scalar.h"

#define EXPONENT_MAX 1000000 /* beyond every text a query can hold */
#define WIDE_DIGITS_MAX 78   /* 2^256 has 78 decimal digits */

typedef struct target {
  const iu_sql_lexer *x;
  const iu_sql_literal *literal;
  const iu_type *type;
  const char *column;
} target;

/* ---- messages ---- */

static const char *show_type(const target *t, iu_sql_shown *out) {
  iu_buf described = {0};
  iu__type_describe(t->type, &described);
  iu__sql_show_text((const char *)described.data, described.failed ? 0 : described.len, out);
  iu__buf_free(&described);
  return out->text;
}

static iu_status mismatch(const target *t) {
  static const char *const names[] = {"a number", "a text", "a hex literal", "a Bool"};
  iu_sql_shown type;
  return iu__sql_fail(t->x, t->literal->token.at, "column `%s` is %s and cannot be compared with %s", t->column, show_type(t, &type),
                      names[t->literal->kind]);
}

static iu_status bad_value(const target *t, const char *wanted) {
  iu_sql_shown shown;
  return iu__sql_fail(t->x, t->literal->token.at, "column `%s` needs %s, got %s", t->column, wanted, iu__sql_show(t->x, &t->literal->token, &shown));
}

static iu_status out_of_range(const target *t) {
  iu_sql_shown shown, type;
  return iu__sql_fail(t->x, t->literal->token.at, "%s is out of the range of column `%s` (%s)", iu__sql_show(t->x, &t->literal->token, &shown),
                      t->column, show_type(t, &type));
}

static iu_status give(const target *t, const void *bytes, size_t len, iu_slice *out) {
  uint8_t *copy = iu__arena_alloc(t->x->arena, len == 0 ? 1 : len);
  if (copy == NULL) return iu__fail_nomem(t->x->err);
  memcpy(copy, bytes, len);
  out->p = copy;
  out->len = len;
  return IU_OK;
}

static iu_status give_counted(const target *t, const void *bytes, size_t len, iu_slice *out) {
  iu_buf b = {0};
  iu_status status;
  iu__buf_put_bytes(&b, bytes, len);
  status = iu__buf_status(&b, t->x->err, "a literal");
  if (status == IU_OK) status = give(t, b.data, b.len, out);
  iu__buf_free(&b);
  return status;
}

/* ---- numbers ---- */

/* value = digits * 10^exponent; digits have neither leading nor trailing zeros and are empty for zero. */
typedef struct decimal { const char *digits; size_t count; int64_t exponent; } decimal;

static int64_t read_exponent(const char *p, const char *end) {
  bool negative = p != end && *p == '-';
  int64_t value = 0;
  if (p != end && (*p == '-' || *p == '+')) p++;
  for (; p != end; p++) {
    if (value < EXPONENT_MAX) value = value * 10 + (*p - '0');
  }
  return negative ? -value : value;
}

static iu_status read_decimal(const target *t, decimal *d) {
  const char *p = t->literal->token.text, *end = p + t->literal->token.len;
  char *digits = iu__arena_alloc(t->x->arena, t->literal->token.len + 1);
  bool point = false;
  if (digits == NULL) return iu__fail_nomem(t->x->err);
  d->digits = digits;
  d->count = 0;
  d->exponent = 0;
  for (; p != end && *p != 'e' && *p != 'E'; p++) {
    if (*p == '.') {
      point = true;
      continue;
    }
    if (d->count != 0 || *p != '0') digits[d->count++] = *p;
    if (point) d->exponent--;
  }
  if (p != end) d->exponent += read_exponent(p + 1, end);
  while (d->count != 0 && digits[d->count - 1] == '0') {
    d->count--;
    d->exponent++;
  }
  if (d->count == 0) d->exponent = 0;
  return IU_OK;
}

static iu_status integer(const target *t, iu_scalar s, iu_slice *out) {
  char text[1 + WIDE_DIGITS_MAX];
  size_t len = 0;
  uint8_t wide[32];
  decimal d;
  iu_status status = read_decimal(t, &d);
  if (status != IU_OK) return status;
  if (d.exponent < 0) return bad_value(t, "an integer");
  if (d.count == 0) {
    text[len++] = '0';
  } else {
    if ((int64_t)d.count + d.exponent > WIDE_DIGITS_MAX) return out_of_range(t);
    if (t->literal->negative) text[len++] = '-';
    memcpy(text + len, d.digits, d.count);
    len += d.count;
    for (int64_t i = 0; i < d.exponent; i++) text[len++] = '0';
  }
  if (!iu__scalar_from_decimal(s, text, len, wide)) return out_of_range(t);
  return give(t, wide, s.size, out);
}

static iu_status floating(const target *t, iu_scalar s, iu_slice *out) {
  iu_buf text = {0};
  uint8_t bytes[8];
  double v = 0;
  decimal d;
  bool ok;
  iu_status status = read_decimal(t, &d);
  if (status != IU_OK) return status;
  if (t->literal->negative) iu__buf_put_u8(&text, '-');
  iu__buf_put(&text, d.count == 0 ? "0" : d.digits, d.count == 0 ? 1 : d.count);
  iu__buf_printf(&text, "e%lld", (long long)d.exponent);
  status = iu__buf_status(&text, t->x->err, "a number");
  if (status != IU_OK) {
    iu__buf_free(&text);
    return status;
  }
  ok = iu__f64_parse((const char *)text.data, text.len, &v);
  iu__buf_free(&text);
  if (!ok) return bad_value(t, "a number");
  if (s.cls == IU_SC_F32) {
    float f = (float)v;
    if (isinf(f)) return out_of_range(t);
    memcpy(bytes, &f, sizeof f);
  } else {
    if (isinf(v)) return out_of_range(t);
    memcpy(bytes, &v, sizeof v);
  }
  return give(t, bytes, s.size, out);
}

/* ---- hex ---- */

/* `size` bytes, written big endian, stored little endian. */
static iu_status hex_number(const target *t, size_t size, const char *wanted, iu_slice *out) {
  const char *text = t->literal->token.text;
  size_t len = t->literal->token.len;
  uint8_t bytes[32];
  if (t->literal->kind == IU_L_STRING && len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    text += 2;
    len -= 2;
  }
  if (len != 2 * size || !iu__unhex(bytes, text, len)) return bad_value(t, wanted);
  for (size_t i = 0; i < size / 2; i++) {
    uint8_t other = bytes[size - 1 - i];
    bytes[size - 1 - i] = bytes[i];
    bytes[i] = other;
  }
  return give(t, bytes, size, out);
}

static iu_status hex_bytes(const target *t, iu_slice *out) {
  const iu_sql_token *token = &t->literal->token;
  uint8_t *bytes;
  if (token->len % 2 != 0) return bad_value(t, "an even number of hex digits");
  bytes = iu__arena_alloc(t->x->arena, token->len / 2 + 1);
  if (bytes == NULL) return iu__fail_nomem(t->x->err);
  if (!iu__unhex(bytes, token->text, token->len)) return bad_value(t, "hex digits");
  return give_counted(t, bytes, token->len / 2, out);
}

/* ---- text ---- */

static iu_status timestamp(const target *t, iu_slice *out) {
  int64_t micros;
  uint8_t bytes[8];
  if (!iu__rfc3339_parse(t->literal->token.text, t->literal->token.len, &micros)) {
    return bad_value(t, "an RFC 3339 time such as '2024-05-01T12:00:00Z'");
  }
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)micros >> (8 * i));
  return give(t, bytes, sizeof bytes, out);
}

static iu_status uuid(const target *t, iu_slice *out) {
  const iu_sql_token *token = &t->literal->token;
  char digits[32];
  uint8_t bytes[16], stored[16];
  size_t count = 0;
  bool ok = token->len == 36;
  for (size_t i = 0; ok && i < 36; i++) {
    if (i == 8 || i == 13 || i == 18 || i == 23) ok = token->text[i] == '-';
    else digits[count++] = token->text[i];
  }
  if (!ok || !iu__unhex(bytes, digits, sizeof digits)) return bad_value(t, "a UUID");
  for (int i = 0; i < 16; i++) stored[i] = bytes[15 - i];
  return give(t, stored, sizeof stored, out);
}

static iu_status from_text(const target *t, iu_slice *out) {
  if (t->type->tag == IU_T_STRING) return give_counted(t, t->literal->token.text, t->literal->token.len, out);
  switch (t->type->special) {
    case IU_S_TIMESTAMP: return timestamp(t, out);
    case IU_S_UUID: return uuid(t, out);
    case IU_S_IDENTITY: return hex_number(t, 32, "64 hex digits", out);
    case IU_S_CONNECTION_ID: return hex_number(t, 16, "32 hex digits", out);
    default: return mismatch(t);
  }
}

static iu_status from_hex(const target *t, iu_slice *out) {
  switch (t->type->special) {
    case IU_S_IDENTITY: return hex_number(t, 32, "64 hex digits", out);
    case IU_S_CONNECTION_ID: return hex_number(t, 16, "32 hex digits", out);
    case IU_S_BYTES: return hex_bytes(t, out);
    default: return mismatch(t);
  }
}

static iu_status from_number(const target *t, iu_slice *out) {
  iu_scalar s = iu__scalar_of(t->type);
  if (t->type->special != IU_S_NONE || t->type->tag == IU_T_BOOL) return mismatch(t);
  switch (s.cls) {
    case IU_SC_F32:
    case IU_SC_F64: return floating(t, s, out);
    case IU_SC_BYTES:
    case IU_SC_NONE: return mismatch(t);
    default: return integer(t, s, out);
  }
}

iu_status iu__sql_literal_encode(const iu_sql_lexer *x, const iu_sql_literal *literal, const iu_type *type, const char *column, iu_slice *out) {
  target t = {x, literal, iu__type_deref(type), column};
  uint8_t truth = literal->truth;
  switch (literal->kind) {
    case IU_L_NUMBER: return from_number(&t, out);
    case IU_L_STRING: return from_text(&t, out);
    case IU_L_HEX: return from_hex(&t, out);
    default: return t.type->tag == IU_T_BOOL ? give(&t, &truth, 1, out) : mismatch(&t);
  }
}
