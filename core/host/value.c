/* value.c: rows and their parts, read by type. Bytes come from a store or were checked; bounds are kept all the same. */
#include "../base/hash.h"
#include "../base/text.h"
#include "../sats/bsatn_put.h"
#include "../sats/sats_json.h"
#include "internal.h"

static const iu_type *type_of(const iu_value *v) { return v != NULL && v->type != NULL ? iu__type_deref(v->type) : NULL; }

iu_value iu__value(const iu_schema *s, const iu_type *t, const uint8_t *bytes, size_t len) {
  iu_value v;
  v.type = t;
  v.bytes = bytes;
  v.schema = s;
  v.len = len;
  return v;
}

static iu_kind kind_of(const iu_type *t) {
  static const uint8_t specials[] = {
      [IU_S_IDENTITY] = IU_KIND_IDENTITY, [IU_S_CONNECTION_ID] = IU_KIND_CONNECTION_ID, [IU_S_TIMESTAMP] = IU_KIND_TIMESTAMP,
      [IU_S_TIME_DURATION] = IU_KIND_TIME_DURATION, [IU_S_UUID] = IU_KIND_UUID, [IU_S_OPTION] = IU_KIND_OPTION, [IU_S_BYTES] = IU_KIND_BYTES,
      [IU_S_UNIT] = 0};
  static const uint8_t tags[IU_T_COUNT] = {
      [IU_T_SUM] = IU_KIND_SUM, [IU_T_PRODUCT] = IU_KIND_PRODUCT, [IU_T_ARRAY] = IU_KIND_ARRAY, [IU_T_STRING] = IU_KIND_STRING, [IU_T_BOOL] = IU_KIND_BOOL,
      [IU_T_I8] = IU_KIND_I8, [IU_T_U8] = IU_KIND_U8, [IU_T_I16] = IU_KIND_I16, [IU_T_U16] = IU_KIND_U16, [IU_T_I32] = IU_KIND_I32,
      [IU_T_U32] = IU_KIND_U32, [IU_T_I64] = IU_KIND_I64, [IU_T_U64] = IU_KIND_U64, [IU_T_I128] = IU_KIND_I128, [IU_T_U128] = IU_KIND_U128,
      [IU_T_I256] = IU_KIND_I256, [IU_T_U256] = IU_KIND_U256, [IU_T_F32] = IU_KIND_F32, [IU_T_F64] = IU_KIND_F64};
  t = iu__type_deref(t);
  if (t->special < sizeof specials && specials[t->special] != 0) return (iu_kind)specials[t->special];
  return (iu_kind)tags[t->tag];
}

iu_kind iu_value_kind(const iu_value *v) { return type_of(v) != NULL ? kind_of(v->type) : IU_KIND_INVALID; }

iu_kind iu__kind_of_type(const iu_type *t) { return kind_of(t); }

/* ---- typed reads ---- */

static iu_status refuse(const iu_value *v, const char *expected, iu_error *err) {
  iu_buf text = {0};
  const iu_schema *s = v != NULL ? v->schema : NULL;
  if (v == NULL || v->type == NULL) return iu__fail(err, IU_E_VALIDATION, "value: expected %s, got %s", expected, v == NULL ? "NULL" : "no value");
  iu__type_describe_named(v->type, s != NULL ? s->type_names : NULL, &text);
  iu__buf_put_u8(&text, 0);
  iu__fail(err, IU_E_VALIDATION, "value: expected %s, it is %s", expected, text.failed ? "of another type" : (const char *)text.data);
  iu__buf_free(&text);
  return IU_E_VALIDATION;
}

/* What is inside Options, when they have it. */
static iu_status unwrap(const iu_value *v, const char *expected, iu_value *out, const iu_type **type, iu_error *err) {
  const iu_type *t = type_of(v);
  if (t == NULL) return refuse(v, expected, err);
  *out = *v;
  while (t->special == IU_S_OPTION) {
    const uint8_t *p = out->bytes;
    if (out->len < 1 || *p != 0) return iu__fail(err, IU_E_VALIDATION, "value: expected %s, it is an Option without a value", expected);
    out->type = t->u.fields[0].type;
    out->bytes = p + 1;
    out->len--;
    t = iu__type_deref(out->type);
  }
  *type = t;
  if (t->fixed_size != IU_SIZE_VARIES && out->len < t->fixed_size) return iu__fail(err, IU_E_VALIDATION, "value: its bytes end too early");
  return IU_OK;
}

bool iu_value_is_none(const iu_value *v) {
  const iu_type *t = type_of(v);
  return t != NULL && t->special == IU_S_OPTION && (v->len < 1 || *(const uint8_t *)v->bytes != 0);
}

iu_status iu_value_bool(const iu_value *v, bool *out, iu_error *err) {
  iu_value in;
  const iu_type *t;
  if (out == NULL) return iu__missing("out", err);
  iu_status status = unwrap(v, "Bool", &in, &t, err);
  if (status != IU_OK) return status;
  if (t->tag != IU_T_BOOL) return refuse(&in, "Bool", err);
  *out = *(const uint8_t *)in.bytes != 0;
  return IU_OK;
}

/* Whether it is a number of just that type: most that are read are. */
static bool is_plain(const iu_value *v, iu_type_tag tag, size_t size) {
  const iu_type *t = v != NULL ? v->type : NULL;
  return t != NULL && t->tag == tag && t->special == IU_S_NONE && v->bytes != NULL && v->len >= size;
}

/* An integer as 32 bytes, sign extended. */
static iu_status read_integer(const iu_value *v, const char *expected, uint8_t wide[32], bool *negative, iu_value *in, iu_error *err) {
  const iu_type *t;
  bool is_signed;
  iu_status status = unwrap(v, expected, in, &t, err);
  if (status != IU_OK) return status;
  size_t size = iu__integer_size(t, &is_signed);
  if (size == 0) return refuse(in, expected, err);
  const uint8_t *p = in->bytes;
  *negative = is_signed && (p[size - 1] & 0x80) != 0;
  memset(wide, *negative ? 0xff : 0, 32);
  memcpy(wide, p, size);
  return IU_OK;
}

static iu_status too_large(const iu_value *v, const char *expected, iu_error *err) {
  char text[128];
  iu_value_text(v, text, sizeof text, NULL, NULL);
  return iu__fail(err, IU_E_VALIDATION, "value: expected %s, %s does not fit", expected, text);
}

static bool filled(const uint8_t wide[32], uint8_t fill) {
  for (int i = 8; i < 32; i++) {
    if (wide[i] != fill) return false;
  }
  return true;
}

iu_status iu_value_i64(const iu_value *v, int64_t *out, iu_error *err) {
  uint8_t wide[32];
  bool negative;
  iu_value in;
  if (out == NULL) return iu__missing("out", err);
  if (is_plain(v, IU_T_I64, 8)) {
    *out = (int64_t)iu__load_u64(v->bytes);
    return IU_OK;
  }
  iu_status status = read_integer(v, "an integer of 64 bits", wide, &negative, &in, err);
  if (status != IU_OK) return status;
  if (!filled(wide, negative ? 0xff : 0) || ((wide[7] & 0x80) != 0) != negative) return too_large(&in, "an integer of 64 bits", err);
  *out = (int64_t)iu__load_u64(wide);
  return IU_OK;
}

iu_status iu_value_u64(const iu_value *v, uint64_t *out, iu_error *err) {
  uint8_t wide[32];
  bool negative;
  iu_value in;
  if (out == NULL) return iu__missing("out", err);
  if (is_plain(v, IU_T_U64, 8)) {
    *out = iu__load_u64(v->bytes);
    return IU_OK;
  }
  iu_status status = read_integer(v, "an unsigned integer of 64 bits", wide, &negative, &in, err);
  if (status != IU_OK) return status;
  if (negative || !filled(wide, 0)) return too_large(&in, "an unsigned integer of 64 bits", err);
  *out = iu__load_u64(wide);
  return IU_OK;
}

static double load_f32(const uint8_t *p) {
  uint32_t bits = iu__load_u32(p);
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

static double load_f64(const uint8_t *p) {
  uint64_t bits = iu__load_u64(p);
  double d;
  memcpy(&d, &bits, 8);
  return d;
}

iu_status iu_value_f64(const iu_value *v, double *out, iu_error *err) {
  iu_value in;
  const iu_type *t;
  iu_status status = IU_OK;
  if (out == NULL) return iu__missing("out", err);
  if (is_plain(v, IU_T_F32, 4)) *out = load_f32(v->bytes);
  else if (is_plain(v, IU_T_F64, 8)) *out = load_f64(v->bytes);
  else if ((status = unwrap(v, "F32 or F64", &in, &t, err)) != IU_OK) return status;
  else if (t->tag == IU_T_F32) *out = load_f32(in.bytes);
  else if (t->tag == IU_T_F64) *out = load_f64(in.bytes);
  else return refuse(&in, "F32 or F64", err);
  return status;
}

static iu_status read_bytes(const iu_value *v, const char *expected, bool bytes, const uint8_t **out, size_t *len, iu_error *err) {
  iu_value in;
  const iu_type *t;
  uint32_t n;
  if (out == NULL || len == NULL) return iu__missing(out == NULL ? "out" : "len", err);
  iu_status status = unwrap(v, expected, &in, &t, err);
  if (status != IU_OK) return status;
  if (bytes ? t->special != IU_S_BYTES : t->tag != IU_T_STRING) return refuse(&in, expected, err);
  iu_reader r = iu__reader(in.bytes, in.len);
  *out = iu__read_bytes(&r, &n);
  if (r.failed) return iu__fail(err, IU_E_VALIDATION, "value: its bytes end too early");
  *len = n;
  return IU_OK;
}

iu_status iu_value_string(const iu_value *v, const char **text, size_t *len, iu_error *err) {
  const uint8_t *p;
  if (text == NULL) return iu__missing("text", err);
  iu_status status = read_bytes(v, "String", false, &p, len, err);
  if (status == IU_OK) *text = (const char *)p;
  return status;
}

iu_status iu_value_bytes(const iu_value *v, const uint8_t **bytes, size_t *len, iu_error *err) {
  return read_bytes(v, "Array<U8>", true, bytes, len, err);
}

iu_status iu_value_fixed(const iu_value *v, uint8_t *out, size_t size, iu_error *err) {
  static const char expected[] = "Identity, ConnectionId, Uuid or an integer of 128 or 256 bits";
  iu_value in;
  const iu_type *t;
  bool is_signed;
  if (out == NULL) return iu__missing("out", err);
  iu_status status = unwrap(v, expected, &in, &t, err);
  if (status != IU_OK) return status;
  bool id = t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID || t->special == IU_S_UUID;
  if (!id && iu__integer_size(t, &is_signed) <= 8) return refuse(&in, expected, err);
  if (size != t->fixed_size) return iu__fail(err, IU_E_VALIDATION, "size: expected %u, got %zu", t->fixed_size, size);
  memcpy(out, in.bytes, size);
  return IU_OK;
}

/* ---- parts ---- */

uint32_t iu_value_count(const iu_value *v) {
  const iu_type *t = type_of(v);
  if (t == NULL) return 0;
  if (t->special == IU_S_OPTION) return !iu_value_is_none(v);
  if (t->tag == IU_T_PRODUCT) return t->count;
  if (t->tag == IU_T_SUM) return 1;
  return t->tag == IU_T_ARRAY && v->len >= 4 ? iu__load_u32(v->bytes) : 0;
}

/* The type of a part, and where the first one begins. */
static const iu_type *first_part(const iu_value *v, const iu_type *t, uint32_t position, const uint8_t **at) {
  const uint8_t *p = v->bytes;
  if (t->tag == IU_T_PRODUCT) {
    *at = p;
    return t->u.fields[position].type;
  }
  if (t->tag == IU_T_ARRAY) {
    *at = p + 4;
    return t->u.element;
  }
  *at = p + 1;
  return *p < t->count ? t->u.fields[*p].type : NULL;
}

static bool part_at(const iu_value *v, const iu_type *part, const uint8_t *p, iu_value *out) {
  const uint8_t *end = (const uint8_t *)v->bytes + v->len, *behind = part != NULL ? iu__bsatn_skip(part, p, end) : NULL;
  if (behind == NULL) return false;
  *out = iu__value(v->schema, part, p, (size_t)(behind - p));
  return true;
}

iu_status iu_value_at(const iu_value *v, uint32_t position, iu_value *out, iu_error *err) {
  const iu_type *t = type_of(v), *part;
  const uint8_t *p, *end;
  uint32_t count = iu_value_count(v);
  if (out == NULL) return iu__missing("out", err);
  if (t == NULL) return refuse(v, "something with parts", err);
  if (position >= count) return iu__fail(err, IU_E_VALIDATION, "value: it has %u parts, number %u does not exist (they count from 0)", count, position);
  end = (const uint8_t *)v->bytes + v->len;
  first_part(v, t, 0, &p);
  if (t->tag == IU_T_ARRAY && t->u.element->fixed_size != IU_SIZE_VARIES) {
    uint64_t skip = (uint64_t)t->u.element->fixed_size * position;
    p = skip <= (uint64_t)(end - p) ? p + skip : NULL;
  } else {
    for (uint32_t i = 0; i < position && p != NULL; i++) p = iu__bsatn_skip(t->tag == IU_T_ARRAY ? t->u.element : t->u.fields[i].type, p, end);
  }
  const uint8_t *ignored;
  part = first_part(v, t, position, &ignored);
  if (p == NULL || !part_at(v, part, p, out)) return iu__fail(err, IU_E_VALIDATION, "value: its bytes end too early");
  return IU_OK;
}

iu_status iu_value_field(const iu_value *v, const char *name, iu_value *out, iu_error *err) {
  const iu_type *t = type_of(v);
  char shown[64 * 4 + 4];
  int position;
  if (name == NULL) return iu__missing("name", err);
  if (t == NULL || t->tag != IU_T_PRODUCT) return refuse(v, "a product", err);
  position = iu__product_find(t, name, strlen(name));
  if (position >= 0) return iu_value_at(v, (uint32_t)position, out, err);
  iu__printable(shown, 64, name, strlen(name));
  iu_buf text = {0};
  iu__type_describe_named(v->type, v->schema != NULL ? ((const iu_schema *)v->schema)->type_names : NULL, &text);
  iu__buf_put_u8(&text, 0);
  iu__fail(err, IU_E_VALIDATION, "value: no field `%s` in %s", shown, text.failed ? "it" : (const char *)text.data);
  iu__buf_free(&text);
  return IU_E_VALIDATION;
}

/* A field of fixed size of a product, which is what a row's columns mostly are. */
static bool next_fixed(const iu_value *v, uint32_t *position, iu_value *out) {
  const iu_type *t = v != NULL ? v->type : NULL;
  if (t == NULL || t->tag != IU_T_PRODUCT || v->bytes == NULL || out == NULL || position == NULL || *position >= t->count) return false;
  const uint8_t *begin = v->bytes, *p = begin, *end = begin + v->len;
  const iu_type *part = t->u.fields[*position].type;
  if (*position > 0) {
    p = (const uint8_t *)out->bytes;
    if (p == NULL || p < begin || p > end || out->len > (size_t)(end - p)) return false;
    p += out->len;
  }
  if (part->fixed_size > (size_t)(end - p)) return false;
  *out = iu__value(v->schema, part, p, part->fixed_size);
  ++*position;
  return true;
}

bool iu_value_next(const iu_value *v, uint32_t *position, iu_value *out) {
  const iu_type *t = type_of(v);
  const uint8_t *p, *begin, *end;
  if (next_fixed(v, position, out)) return true;
  if (t == NULL || out == NULL || position == NULL || *position >= iu_value_count(v)) return false;
  const iu_type *part = first_part(v, t, *position, &begin);
  end = (const uint8_t *)v->bytes + v->len;
  p = begin;
  if (*position > 0) { /* behind the last one */
    if (out->bytes == NULL || (const uint8_t *)out->bytes < begin || (const uint8_t *)out->bytes + out->len > end) return false;
    p = (const uint8_t *)out->bytes + out->len;
  }
  if (!part_at(v, part, p, out)) return false;
  ++*position;
  return true;
}

iu_status iu_value_variant(const iu_value *v, uint32_t *tag, const char **name, iu_value *payload, iu_error *err) {
  const iu_type *t = type_of(v), *part;
  const uint8_t *p;
  if (t == NULL || t->tag != IU_T_SUM) return refuse(v, "a sum", err);
  if (v->len < 1 || *(const uint8_t *)v->bytes >= t->count) return iu__fail(err, IU_E_VALIDATION, "value: its bytes are no value of its type");
  uint32_t which = *(const uint8_t *)v->bytes;
  iu_value inside;
  part = first_part(v, t, 0, &p);
  if (!part_at(v, part, p, &inside)) return iu__fail(err, IU_E_VALIDATION, "value: its bytes end too early");
  if (tag != NULL) *tag = which;
  if (name != NULL) *name = t->u.fields[which].name != NULL ? t->u.fields[which].name : "";
  if (payload != NULL) *payload = inside;
  return IU_OK;
}

/* ---- columns ---- */

#define COLUMN(suffix, ...)                                                                  \
  iu_value column;                                                                           \
  iu_status status = iu_value_field(row, name, &column, err);                                \
  if (status == IU_OK) status = iu_value_##suffix(&column, __VA_ARGS__, err);                \
  else return status;                                                                        \
  if (status != IU_OK) iu__error_prefix(err, "%s", name);                                    \
  return status

iu_status iu_column_bool(const iu_value *row, const char *name, bool *out, iu_error *err) { COLUMN(bool, out); }
iu_status iu_column_i64(const iu_value *row, const char *name, int64_t *out, iu_error *err) { COLUMN(i64, out); }
iu_status iu_column_u64(const iu_value *row, const char *name, uint64_t *out, iu_error *err) { COLUMN(u64, out); }
iu_status iu_column_f64(const iu_value *row, const char *name, double *out, iu_error *err) { COLUMN(f64, out); }
iu_status iu_column_string(const iu_value *row, const char *name, const char **text, size_t *len, iu_error *err) { COLUMN(string, text, len); }

/* ---- as text ---- */

void iu__text_out(const char *text, size_t len, char *out, size_t size, size_t *needed) {
  size_t n = len;
  if (needed != NULL) *needed = len;
  if (out == NULL || size == 0) return;
  if (n > size - 1) {
    n = size - 1;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) n--; /* not inside a character */
  }
  if (n > 0) memcpy(out, text, n);
  out[n] = '\0';
}

iu_status iu_value_text(const iu_value *v, char *out, size_t size, size_t *needed, iu_error *err) {
  const iu_type *t = type_of(v);
  iu_buf text = {0};
  iu_status status;
  if (out != NULL && size > 0) *out = '\0';
  if (t == NULL) return refuse(v, "any", err);
  if (t->tag == IU_T_STRING) {
    const char *s;
    size_t len;
    status = iu_value_string(v, &s, &len, err);
    if (status == IU_OK) iu__text_out(s, len, out, size, needed);
    return status;
  }
  iu_reader r = iu__reader(v->bytes, v->len);
  status = iu__sats_to_json(v->type, &r, IU_SJ_READABLE, &text, err);
  if (status == IU_OK) status = iu__buf_status(&text, err, "text");
  if (status == IU_OK) {
    const char *s = (const char *)text.data;
    size_t len = text.len;
    bool quoted = (t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID || t->special == IU_S_UUID) && len >= 2 && s[0] == '"';
    iu__text_out(quoted ? s + 1 : s, quoted ? len - 2 : len, out, size, needed);
  }
  iu__buf_free(&text);
  return status;
}

iu_status iu_value_json(const iu_value *v, char **out, size_t *len, iu_error *err) {
  iu_buf text = {0};
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  if (type_of(v) == NULL) return refuse(v, "any", err);
  iu_reader r = iu__reader(v->bytes, v->len);
  iu_status status = iu__sats_to_json(v->type, &r, IU_SJ_TYPED, &text, err);
  iu__buf_put_u8(&text, 0);
  if (status == IU_OK) status = iu__buf_status(&text, err, "text");
  if (status == IU_OK) {
    if (len != NULL) *len = text.len - 1;
    *out = (char *)iu__buf_take(&text, &(size_t){0});
  }
  iu__buf_free(&text);
  return status;
}

void iu_string_free(char *text) { iu__free(text); }

iu_status iu_value_bsatn(const iu_value *v, const uint8_t **bytes, size_t *len, iu_error *err) {
  if (bytes == NULL || len == NULL) return iu__missing(bytes == NULL ? "bytes" : "len", err);
  if (type_of(v) == NULL) return refuse(v, "any", err);
  *bytes = v->bytes;
  *len = v->len;
  return IU_OK;
}
