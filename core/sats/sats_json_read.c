/* sats_json_read.c: JSON as a BSATN value of a given type. The text is parsed into a document first, since objects name their
 * fields in any order; depth is bounded by IU_TYPE_DEPTH_MAX for types and by IU_JSON_DEPTH_MAX for the document.
 */
#include <math.h>
#include <stdio.h>

#include "../base/hash.h"
#include "../base/text.h"
#include "sats_json.h"

/* Where we are in the JSON: a list on the stack from the inside out. */
typedef struct place {
  const struct place *up;
  const char *key; /* NULL: an array's element */
  size_t len, index;
} place;

typedef struct input { iu_buf *out; iu_error *err; bool null_is_nan; } input;

static bool get(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth);

/* ---- errors ---- */

#define PATH_TEXT 256

/* "metadata.tags[3]"; places that do not fit are left out, outermost first kept. */
static size_t put_path(const place *at, char out[PATH_TEXT]) {
  if (at == NULL) return 0;
  size_t n = put_path(at->up, out);
  char part[4 * 40 + 16], shown[4 * 40 + 4];
  int len = at->key == NULL ? snprintf(part, sizeof part, "[%zu]", at->index)
                            : snprintf(part, sizeof part, "%s%s", n != 0 ? "." : "", iu__printable(shown, 40, at->key, at->len));
  if (len < 0 || n + (size_t)len >= PATH_TEXT) return n;
  memcpy(out + n, part, (size_t)len + 1);
  return n + (size_t)len;
}

static bool refuse(input *in, const place *at, const char *what) {
  char path[PATH_TEXT] = "";
  size_t n = put_path(at, path);
  iu__fail(in->err, IU_E_VALIDATION, "%s%s%s", path, n != 0 ? ": " : "", what);
  return false;
}

/* What stands there, in words. */
static void describe(const iu_json *v, char out[256]) {
  char shown[4 * 32 + 4], number[IU_F64_TEXT_MAX + 1];
  switch (v->token) {
    case IU_J_NULL: snprintf(out, 256, "null"); break;
    case IU_J_TRUE: snprintf(out, 256, "true"); break;
    case IU_J_FALSE: snprintf(out, 256, "false"); break;
    case IU_J_INT: snprintf(out, 256, "the integer %lld", (long long)v->u.i); break;
    case IU_J_BIGINT: snprintf(out, 256, "the integer %s", iu__printable(shown, 32, v->u.s, v->len)); break;
    case IU_J_DOUBLE:
      number[iu__f64_format(v->u.d, number)] = '\0';
      snprintf(out, 256, "the number %s", number);
      break;
    case IU_J_STRING: snprintf(out, 256, "the string \"%s\"", iu__printable(shown, 32, v->u.s, v->len)); break;
    default: snprintf(out, 256, "an %s of %u", v->token == IU_J_ARRAY ? "array" : "object", v->len); break;
  }
}

static bool expected(input *in, const place *at, const char *what, const iu_json *v) {
  char found[256], text[512];
  describe(v, found);
  snprintf(text, sizeof text, "expected %s, found %s", what, found);
  return refuse(in, at, text);
}

/* ---- scalars ---- */

static bool is_signed(const iu_type *t) {
  return t->tag == IU_T_I8 || t->tag == IU_T_I16 || t->tag == IU_T_I32 || t->tag == IU_T_I64 || t->tag == IU_T_I128 || t->tag == IU_T_I256;
}

/* An integer of up to 128 bits into 16 bytes, sign extended. */
static bool integer_bytes(const iu_json *v, bool sign, uint8_t bytes[16]) {
  if (v->token == IU_J_BIGINT) return iu__wide_parse(v->u.s, v->len, sign, bytes, 16);
  if (v->token != IU_J_INT || (!sign && v->u.i < 0)) return false;
  uint64_t low = (uint64_t)v->u.i;
  for (int i = 0; i < 16; i++) bytes[i] = i < 8 ? (uint8_t)(low >> 8 * i) : v->u.i < 0 ? 0xff : 0;
  return true;
}

/* Do the bytes above `size` only repeat the sign? */
static bool fits(const uint8_t bytes[16], uint32_t size, bool sign) {
  uint8_t fill = sign && (bytes[size - 1] & 0x80) != 0 ? 0xff : 0;
  for (uint32_t i = size; i < 16; i++) {
    if (bytes[i] != fill) return false;
  }
  return true;
}

static bool get_integer(input *in, const iu_type *t, const iu_json *v, const place *at) {
  uint8_t bytes[32];
  bool sign = is_signed(t);
  if (t->fixed_size == 32) {
    bool minus = v->token == IU_J_STRING && v->len > 0 && v->u.s[0] == '-';
    bool hex = v->token == IU_J_STRING && v->len > 2u + minus && memcmp(v->u.s + minus, "0x", 2) == 0;
    if (!hex || !iu__wide_parse(v->u.s, v->len, sign, bytes, 32)) return expected(in, at, sign ? "I256 as \"0x...\" or \"-0x...\"" : "U256 as \"0x...\"", v);
  } else if (!integer_bytes(v, sign, bytes) || !fits(bytes, t->fixed_size, sign)) {
    return expected(in, at, iu__type_label(t), v);
  }
  iu__buf_put(in->out, bytes, t->fixed_size);
  return true;
}

static bool is_finite(double d) { return d - d == 0; }

static bool get_float(input *in, const iu_type *t, const iu_json *v, const place *at) {
  double d = v->u.d;
  float f;
  bool is_nan = v->token == IU_J_NULL && in->null_is_nan;
  if (is_nan) d = NAN;
  else if (v->token == IU_J_INT) d = (double)v->u.i;
  else if (v->token == IU_J_BIGINT ? !iu__f64_parse(v->u.s, v->len, &d) : v->token != IU_J_DOUBLE) return expected(in, at, iu__type_label(t), v);
  f = v->token == IU_J_INT ? (float)v->u.i : (float)d;
  if (!is_nan && !is_finite(t->tag == IU_T_F32 ? (double)f : d)) return expected(in, at, iu__type_label(t), v);
  if (t->tag == IU_T_F32) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    iu__buf_put_u32(in->out, bits);
  } else {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    iu__buf_put_u64(in->out, bits);
  }
  return true;
}

static bool get_scalar(input *in, const iu_type *t, const iu_json *v, const place *at) {
  switch (t->tag) {
    case IU_T_STRING:
      if (v->token != IU_J_STRING) return expected(in, at, "String", v);
      iu__buf_put_bytes(in->out, v->u.s, v->len);
      return true;
    case IU_T_BOOL:
      if (v->token != IU_J_TRUE && v->token != IU_J_FALSE) return expected(in, at, "Bool", v);
      iu__buf_put_u8(in->out, v->token == IU_J_TRUE);
      return true;
    case IU_T_F32: case IU_T_F64: return get_float(in, t, v, at);
    default: return get_integer(in, t, v, at);
  }
}

/* ---- compounds ---- */

static bool get_hex(input *in, const iu_json *v, const place *at) {
  size_t len = v->len / 2;
  if (v->len % 2 != 0 || len > UINT32_MAX) return expected(in, at, "bytes as hex, two digits each", v);
  iu__buf_put_u32(in->out, (uint32_t)len);
  if (!iu__buf_reserve(in->out, len)) return true; /* the buffer says so in the end */
  if (len != 0 && !iu__unhex(in->out->data + in->out->len, v->u.s, v->len)) return expected(in, at, "bytes as hex, two digits each", v);
  in->out->len += len;
  return true;
}

static bool get_array(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth) {
  if (t->special == IU_S_BYTES && v->token == IU_J_STRING) return get_hex(in, v, at);
  if (v->token != IU_J_ARRAY || v->len > UINT32_MAX) return expected(in, at, t->special == IU_S_BYTES ? "bytes" : "an array", v);
  if (t->u.element->fixed_size == 0 && v->len > IU_ZERO_SIZED_MAX) return refuse(in, at, "more than 65536 elements that take no bytes");
  iu__buf_put_u32(in->out, (uint32_t)v->len);
  for (size_t i = 0; i < v->len && !in->out->failed; i++) {
    place inside = {at, NULL, 0, i};
    if (!get(in, t->u.element, &v->u.elements[i], &inside, depth + 1)) return false;
  }
  return true;
}

static bool get_positional(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth) {
  if (v->len != t->count) {
    char what[64];
    snprintf(what, sizeof what, "an array of %u", t->count);
    return expected(in, at, what, v);
  }
  for (uint32_t i = 0; i < t->count && !in->out->failed; i++) {
    place inside = {at, NULL, 0, i};
    if (!get(in, t->u.fields[i].type, &v->u.elements[i], &inside, depth + 1)) return false;
  }
  return true;
}

static bool refuse_key(input *in, const place *at, const char *what, const char *key, size_t len) {
  char shown[4 * 40 + 4], text[256];
  snprintf(text, sizeof text, "%s `%s`", what, iu__printable(shown, 40, key, len));
  return refuse(in, at, text);
}

static bool get_by_name(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth) {
  for (uint32_t i = 0; i < t->count && !in->out->failed; i++) {
    const char *name = t->u.fields[i].name;
    if (name == NULL) return expected(in, at, "an array, since not all fields have names", v);
    const iu_json *field = iu__json_get(v, name, strlen(name));
    if (field == NULL) return refuse_key(in, at, "missing field", name, strlen(name));
    place inside = {at, name, strlen(name), 0};
    if (!get(in, t->u.fields[i].type, field, &inside, depth + 1)) return false;
  }
  for (size_t i = 0; i < v->len && v->len > t->count; i++) {
    const iu_json_member *m = &v->u.members[i];
    if (iu__product_find(t, m->key, m->key_len) < 0) return refuse_key(in, at, "unknown field", m->key, m->key_len);
  }
  return true;
}

static bool get_product(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth) {
  if (v->token == IU_J_ARRAY) return get_positional(in, t, v, at, depth);
  if (v->token == IU_J_OBJECT) return get_by_name(in, t, v, at, depth);
  return expected(in, at, t->special != IU_S_NONE ? iu__type_label(t) : "an object or array", v);
}

/* A variant by its name or by its tag in decimal; -1 for none. */
static int find_variant(const iu_type *t, const char *text, size_t len) {
  int found = iu__product_find(t, text, len);
  if (found >= 0) return found;
  uint32_t tag = 0;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9' || len > 3) return -1;
    tag = tag * 10 + (uint32_t)(text[i] - '0');
  }
  return len != 0 && tag < t->count ? (int)tag : -1;
}

static bool get_variant(input *in, const iu_type *t, int tag, const iu_json *payload, const place *at, uint32_t depth) {
  const iu_field *variant = &t->u.fields[tag];
  iu__buf_put_u8(in->out, (uint8_t)tag);
  place inside = {at, variant->name, variant->name != NULL ? strlen(variant->name) : 0, (size_t)tag};
  return get(in, variant->type, payload, &inside, depth + 1);
}

static bool get_sum(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth) {
  const char *form = t->special == IU_S_OPTION ? "{\"some\": value}, null" : "an object with one variant";
  if (t->special == IU_S_OPTION && v->token == IU_J_NULL) {
    iu__buf_put_u8(in->out, 1);
    return true;
  }
  if (v->token == IU_J_OBJECT && v->len == 1) {
    const iu_json_member *m = &v->u.members[0];
    int tag = find_variant(t, m->key, m->key_len);
    return tag >= 0 ? get_variant(in, t, tag, &m->value, at, depth) : refuse_key(in, at, "unknown variant", m->key, m->key_len);
  }
  if (v->token != IU_J_ARRAY || v->len != 2) {
    char what[128];
    snprintf(what, sizeof what, "%s or [variant, value] for %s", form, iu__type_label(t));
    return expected(in, at, what, v);
  }
  const iu_json *which = &v->u.elements[0];
  int tag = -1;
  if (which->token == IU_J_INT && which->u.i >= 0 && which->u.i < (int64_t)t->count) tag = (int)which->u.i;
  if (which->token == IU_J_STRING) tag = find_variant(t, which->u.s, which->len);
  return tag >= 0 ? get_variant(in, t, tag, &v->u.elements[1], at, depth) : expected(in, at, "a variant's tag or name", which);
}

static bool get(input *in, const iu_type *t, const iu_json *v, const place *at, uint32_t depth) {
  t = iu__type_deref(t);
  if (t->tag >= IU_T_STRING) return get_scalar(in, t, v, at);
  if (depth >= IU_TYPE_DEPTH_MAX && !t->plain) return refuse(in, at, "nested over 64 deep");
  if (t->tag == IU_T_ARRAY) return get_array(in, t, v, at, depth);
  return t->tag == IU_T_PRODUCT ? get_product(in, t, v, at, depth) : get_sum(in, t, v, at, depth);
}

static iu_status from_json(const iu_type *t, const void *json, size_t len, bool null_is_nan, iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  iu_error own;
  input in = {out, err != NULL ? err : &own, null_is_nan};
  iu__error_clear(in.err);
  const iu_json *v = iu__json_parse(&arena, json, len, in.err);
  bool good = v != NULL && get(&in, t, v, NULL, 0);
  iu__arena_free(&arena);
  return good ? iu__buf_status(out, in.err, "value") : in.err->status;
}

iu_status iu__sats_from_json(const iu_type *t, const void *json, size_t len, iu_buf *out, iu_error *err) {
  return from_json(t, json, len, false, out, err);
}

iu_status iu__sats_from_report(const iu_type *t, const void *json, size_t len, iu_buf *out, iu_error *err) {
  return from_json(t, json, len, true, out, err);
}
