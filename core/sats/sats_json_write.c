/* sats_json_write.c: a BSATN value as JSON. The bytes are checked as a whole first, so writing need not look at bounds; what is
 * left to guard is types whose plain parts nest very deep or hold much that takes no bytes.
 */
#include <stdio.h>

#include "../base/text.h"
#include "sats_json.h"

#define EMPTY_PER_BYTE 16

typedef struct writer {
  iu_buf *out;
  iu_sats_json_style style;
  uint64_t empty_left; /* parts without bytes that may still come */
  const char *failed; /* what is wrong with the value, or NULL */
  const char *field; /* the innermost named field that holds it */
} writer;

static const uint8_t *put(writer *w, const iu_type *t, const uint8_t *p, uint32_t depth);

static bool stopped(const writer *w) { return w->failed != NULL || w->out->failed; }

/* ---- scalars ---- */

/* The shortest decimal that reads back as v, as a double, whose own shortest decimal is the same. Asks the C library for digits
 * and nothing else: its decimal point depends on the locale. */
static double f32_as_f64(float v) {
  char printed[64], text[64];
  double d = 0;
  for (int digits = 1; digits <= 9; digits++) {
    size_t n = 0;
    snprintf(printed, sizeof printed, "%.*e", digits - 1, (double)v);
    for (const char *c = printed; *c != '\0'; c++) {
      bool known = (*c >= '0' && *c <= '9') || *c == '-' || *c == '+' || *c == 'e';
      if (known) text[n++] = *c;
      else if (n != 0 && text[n - 1] != '.') text[n++] = '.';
    }
    if (iu__f64_parse(text, n, &d) && (float)d == v) return d;
  }
  return v;
}

static bool is_positional(const writer *w) { return w->style == IU_SJ_UNTYPED || w->style == IU_SJ_ARGUMENTS; }

static void put_no_number(writer *w) {
  if (w->style == IU_SJ_ARGUMENTS) w->failed = "holds a float that is no number (NaN or an infinity)";
  iu__buf_put_str(w->out, "null");
}

static void put_f32(writer *w, const uint8_t *p) {
  uint32_t bits = iu__load_u32(p);
  float v;
  memcpy(&v, &bits, sizeof v);
  if (v - v != 0.0f) put_no_number(w);
  else if (v == 0.0f) iu__json_put_f64(w->out, (double)v);
  else iu__json_put_f64(w->out, f32_as_f64(v));
}

static void put_f64(writer *w, const uint8_t *p) {
  uint64_t bits = iu__load_u64(p);
  double v;
  memcpy(&v, &bits, sizeof v);
  if (v - v != 0.0) put_no_number(w);
  else iu__json_put_f64(w->out, v);
}

static void put_wide(writer *w, const iu_type *t, const uint8_t *p) {
  char text[80];
  bool is_signed = t->tag == IU_T_I128 || t->tag == IU_T_I256;
  if (t->fixed_size == 16) {
    iu__buf_put(w->out, text, iu__wide_format(p, 16, is_signed, text));
    return;
  }
  iu__buf_put_u8(w->out, '"');
  iu__buf_put(w->out, text, iu__wide_format_hex(p, 32, is_signed, text));
  iu__buf_put_u8(w->out, '"');
}

static void put_u64(writer *w, uint64_t v) {
  char text[IU_I64_TEXT_MAX + 1];
  iu__buf_put(w->out, text, iu__u64_format(v, text));
}

static const uint8_t *put_scalar(writer *w, const iu_type *t, const uint8_t *p) {
  switch (t->tag) {
    case IU_T_BOOL: iu__buf_put_str(w->out, *p != 0 ? "true" : "false"); break;
    case IU_T_I8: iu__json_put_i64(w->out, (int8_t)*p); break;
    case IU_T_U8: iu__json_put_i64(w->out, *p); break;
    case IU_T_I16: iu__json_put_i64(w->out, (int16_t)iu__load_u16(p)); break;
    case IU_T_U16: iu__json_put_i64(w->out, iu__load_u16(p)); break;
    case IU_T_I32: iu__json_put_i64(w->out, (int32_t)iu__load_u32(p)); break;
    case IU_T_U32: iu__json_put_i64(w->out, iu__load_u32(p)); break;
    case IU_T_I64: iu__json_put_i64(w->out, (int64_t)iu__load_u64(p)); break;
    case IU_T_U64: put_u64(w, iu__load_u64(p)); break;
    case IU_T_F32: put_f32(w, p); break;
    case IU_T_F64: put_f64(w, p); break;
    default: put_wide(w, t, p); break;
  }
  return p + t->fixed_size;
}

static const uint8_t *put_text(writer *w, const uint8_t *p) {
  uint32_t len = iu__load_u32(p);
  iu__json_put_string(w->out, (const char *)p + 4, len);
  return p + 4 + len;
}

/* Hex digits of `len` bytes; most significant first when reversed. */
static void put_hex(writer *w, const uint8_t *p, size_t len, bool reversed) {
  static const char digits[] = "0123456789abcdef";
  if (!iu__buf_reserve(w->out, 2 * len)) return;
  for (size_t i = 0; i < len; i++) {
    uint8_t byte = p[reversed ? len - 1 - i : i];
    iu__buf_put_u8(w->out, (uint8_t)digits[byte >> 4]);
    iu__buf_put_u8(w->out, (uint8_t)digits[byte & 15]);
  }
}

static const uint8_t *put_bytes(writer *w, const uint8_t *p) {
  uint32_t len = iu__load_u32(p);
  iu__buf_put_u8(w->out, '"');
  put_hex(w, p + 4, len, false);
  iu__buf_put_u8(w->out, '"');
  return p + 4 + len;
}

/* ---- compounds ---- */

static const uint8_t *put_array(writer *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  if (t->special == IU_S_BYTES) return put_bytes(w, p);
  uint32_t count = iu__load_u32(p);
  p += 4;
  iu__buf_put_u8(w->out, '[');
  for (uint32_t i = 0; i < count && !stopped(w); i++) {
    if (i != 0) iu__buf_put_u8(w->out, ',');
    p = put(w, t->u.element, p, depth + 1);
  }
  iu__buf_put_u8(w->out, ']');
  return p;
}

static void put_key(writer *w, const char *name) {
  iu__json_put_string(w->out, name, strlen(name));
  iu__buf_put_u8(w->out, ':');
}

static bool is_named(const iu_type *product) {
  for (uint32_t i = 0; i < product->count; i++) {
    if (product->u.fields[i].name == NULL) return false;
  }
  return product->count != 0;
}

bool iu__is_json_text_field(const char *name) {
  static const char *const names[] = {"properties", "data", "value", "metadata", "patch"};
  for (size_t i = 0; name != NULL && i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(name, names[i]) == 0) return true;
  }
  return false;
}

/* A field that holds JSON text, for people: the JSON itself, so that SQL can look into it. NULL when it is none. */
static const uint8_t *put_embedded(writer *w, const iu_field *f, const uint8_t *p) {
  uint32_t len;
  if (w->style != IU_SJ_READABLE || iu__type_deref(f->type)->tag != IU_T_STRING || !iu__is_json_text_field(f->name)) return NULL;
  len = iu__load_u32(p);
  if (iu__json_check(p + 4, len, NULL) != IU_OK) return NULL;
  iu__buf_put(w->out, p + 4, len);
  return p + 4 + len;
}

static const uint8_t *put_product(writer *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  bool object = !is_positional(w) && is_named(t);
  iu__buf_put_u8(w->out, object ? '{' : '[');
  for (uint32_t i = 0; i < t->count && !stopped(w); i++) {
    if (i != 0) iu__buf_put_u8(w->out, ',');
    if (object) put_key(w, t->u.fields[i].name);
    const uint8_t *next = object ? put_embedded(w, &t->u.fields[i], p) : NULL;
    p = next != NULL ? next : put(w, t->u.fields[i].type, p, depth + 1);
    if (w->failed != NULL && w->field == NULL) w->field = t->u.fields[i].name;
  }
  iu__buf_put_u8(w->out, object ? '}' : ']');
  return p;
}

static const uint8_t *put_sum(writer *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  uint8_t tag = *p++;
  const iu_field *variant = &t->u.fields[tag];
  if (is_positional(w) || variant->name == NULL) {
    iu__buf_put_u8(w->out, '[');
    put_u64(w, tag);
    iu__buf_put_u8(w->out, ',');
    p = put(w, variant->type, p, depth + 1);
    iu__buf_put_u8(w->out, ']');
    return p;
  }
  if (w->style == IU_SJ_READABLE && t->special == IU_S_OPTION) {
    if (tag == 0) return put(w, variant->type, p, depth + 1);
    iu__buf_put_str(w->out, "null");
    return p;
  }
  if (w->style == IU_SJ_READABLE && iu__type_deref(variant->type)->special == IU_S_UNIT) {
    iu__json_put_string(w->out, variant->name, strlen(variant->name));
    return p;
  }
  iu__buf_put_u8(w->out, '{');
  put_key(w, variant->name);
  p = put(w, variant->type, p, depth + 1);
  iu__buf_put_u8(w->out, '}');
  return p;
}

/* 8-4-4-4-12 hex digits. */
static void put_uuid(writer *w, const uint8_t *p) {
  static const uint8_t groups[] = {4, 2, 2, 2, 6};
  size_t left = 16;
  for (size_t i = 0; i < sizeof groups; i++) {
    if (i != 0) iu__buf_put_u8(w->out, '-');
    left -= groups[i];
    put_hex(w, p + left, groups[i], true);
  }
}

/* The specials that people read without their wrapping; NULL when t is none of them. */
static const uint8_t *put_readable(writer *w, const iu_type *t, const uint8_t *p) {
  switch (t->special) {
    case IU_S_TIMESTAMP: case IU_S_TIME_DURATION: return put_scalar(w, t->u.fields[0].type, p);
    case IU_S_IDENTITY: case IU_S_CONNECTION_ID: case IU_S_UUID:
      iu__buf_put_u8(w->out, '"');
      if (t->special == IU_S_UUID) put_uuid(w, p);
      else put_hex(w, p, t->fixed_size, true);
      iu__buf_put_u8(w->out, '"');
      return p + t->fixed_size;
    default: return NULL;
  }
}

static const uint8_t *put(writer *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  t = iu__type_deref(t);
  if (t->tag == IU_T_STRING) return put_text(w, p);
  if (t->tag > IU_T_STRING) return put_scalar(w, t, p);
  if (depth >= IU_JSON_DEPTH_MAX) w->failed = "nests over 512 deep";
  if (t->fixed_size == 0 && w->empty_left-- == 0) w->failed = "holds too many parts that take no bytes";
  if (stopped(w)) return p;
  if (t->tag == IU_T_ARRAY) return put_array(w, t, p, depth);
  if (t->tag == IU_T_SUM) return put_sum(w, t, p, depth);
  const uint8_t *next = w->style == IU_SJ_READABLE ? put_readable(w, t, p) : NULL;
  return next != NULL ? next : put_product(w, t, p, depth);
}

iu_status iu__sats_to_json(const iu_type *t, iu_reader *r, iu_sats_json_style style, iu_buf *out, iu_error *err) {
  static const uint8_t nothing[1];
  iu_reader checked = *r;
  iu_status status = iu__bsatn_check(t, &checked, err);
  if (status != IU_OK) {
    r->failed = true;
    return status;
  }
  writer w = {out, style, IU_ZERO_SIZED_MAX + EMPTY_PER_BYTE * (uint64_t)(checked.p - r->p), NULL, NULL};
  put(&w, t, r->p != NULL ? r->p : nothing, 0);
  if (w.failed != NULL) {
    iu__fail(err, IU_E_VALIDATION, "a value of type %s %s, so it has no JSON", iu__type_label(t), w.failed);
    if (w.field != NULL) iu__error_prefix(err, "%s", w.field);
    return IU_E_VALIDATION;
  }
  *r = checked;
  return iu__buf_status(out, err, "JSON");
}
