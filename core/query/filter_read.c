/* filter_read.c: reading a field's value from a row (filter_field.h). */
#include "../base/hash.h"
#include "../base/text.h"
#include "../sats/sats_json.h"
#include "filter_field.h"
#include "scalar.h"

#define WIDE_TEXT_MAX 80

void iu__field_scratch_free(iu_field_scratch *s) {
  iu__buf_free(&s->text);
  iu__buf_free(&s->json);
}

/* ---- BSATN ---- */

static iu_status from_scratch(iu_field_scratch *s, iu_fv_kind kind, iu_fv *out, iu_error *err) {
  iu_status status = iu__buf_status(&s->text, err, "a value");
  *out = iu__fv_text(kind, s->text.data, s->text.len);
  return status;
}

static iu_status hex_text(const uint8_t *bytes, size_t len, bool reversed, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  static const char digits[] = "0123456789abcdef";
  iu__buf_reset(&s->text);
  if (!iu__buf_reserve(&s->text, 2 * len)) return iu__buf_status(&s->text, err, "a value");
  for (size_t i = 0; i < len; i++) {
    uint8_t byte = bytes[reversed ? len - 1 - i : i];
    iu__buf_put_u8(&s->text, (uint8_t)digits[byte >> 4]);
    iu__buf_put_u8(&s->text, (uint8_t)digits[byte & 15]);
  }
  return from_scratch(s, IU_FV_STRING, out, err);
}

static iu_status uuid_text(const uint8_t *bytes, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  char text[36];
  const char *hex;
  size_t n = 0;
  iu_status status = hex_text(bytes, 16, true, s, out, err);
  if (status != IU_OK) return status;
  hex = out->u.s;
  for (size_t i = 0; i < 32; i++) {
    if (i == 8 || i == 12 || i == 16 || i == 20) text[n++] = '-';
    text[n++] = hex[i];
  }
  iu__buf_reset(&s->text);
  iu__buf_put(&s->text, text, sizeof text);
  return from_scratch(s, IU_FV_STRING, out, err);
}

static iu_status wide_number(iu_scalar scalar, const uint8_t *bytes, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  char text[WIDE_TEXT_MAX];
  size_t len = iu__wide_format(bytes, scalar.size, scalar.cls == IU_SC_WIDE_SIGNED, text);
  *out = iu__fv_of_number(text, len);
  if (out->kind != IU_FV_BIG) return IU_OK;
  iu__buf_reset(&s->text);
  iu__buf_put(&s->text, text, len);
  return from_scratch(s, IU_FV_BIG, out, err);
}

static iu_status unsigned_number(uint64_t v, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  char text[IU_I64_TEXT_MAX + 1];
  *out = iu__fv_int((int64_t)v);
  if (v <= INT64_MAX) return IU_OK;
  iu__buf_reset(&s->text);
  iu__buf_put(&s->text, text, iu__u64_format(v, text));
  return from_scratch(s, IU_FV_BIG, out, err);
}

static iu_status number(const iu_type *t, iu_slice v, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  iu_scalar scalar = iu__scalar_of(t);
  switch (scalar.cls) {
    case IU_SC_UNSIGNED: return unsigned_number(iu__scalar_u64(v.p, scalar.size), s, out, err);
    case IU_SC_SIGNED: *out = iu__fv_int(iu__scalar_i64(v.p, scalar.size)); return IU_OK;
    case IU_SC_F32:
    case IU_SC_F64:
      *out = iu__fv(IU_FV_DOUBLE);
      out->u.d = iu__scalar_f64(scalar, v.p);
      return IU_OK;
    default: return wide_number(scalar, v.p, s, out, err);
  }
}

/* Into s->json, which stays empty (and reads as missing) for a value that JSON cannot say. */
static iu_status converted(const iu_type *t, iu_slice v, iu_field_scratch *s, iu_error *err) {
  iu_reader r = iu__reader(v.p, v.len);
  iu_status status;
  iu__buf_reset(&s->json);
  status = iu__sats_to_json(t, &r, IU_SJ_READABLE, &s->json, NULL);
  if (s->json.failed == 1 || status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK) iu__buf_reset(&s->json);
  return IU_OK;
}

static iu_status by_tag(const iu_type *t, iu_slice v, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  iu_status status;
  switch (t->tag) {
    case IU_T_STRING: *out = iu__fv_text(IU_FV_STRING, v.p + 4, v.len - 4); return IU_OK;
    case IU_T_BOOL:
      *out = iu__fv(IU_FV_BOOL);
      out->u.b = v.p[0] != 0;
      return IU_OK;
    case IU_T_ARRAY:
      *out = iu__fv_text(IU_FV_ARRAY, v.p, v.len);
      out->type = iu__type_deref(t->u.element);
      return IU_OK;
    case IU_T_SUM:
    case IU_T_PRODUCT:
      status = converted(t, v, s, err);
      return status != IU_OK ? status : iu__fv_from_json_text((const char *)s->json.data, s->json.len, s, out, err);
    default: return number(t, v, s, out, err);
  }
}

iu_status iu__fv_from_bsatn(const iu_type *t, iu_slice v, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  t = iu__type_deref(t);
  while (t->special == IU_S_OPTION) {
    if (v.p[0] != 0) {
      *out = iu__fv(IU_FV_NULL);
      return IU_OK;
    }
    v.p++;
    v.len--;
    t = iu__type_deref(t->u.fields[0].type);
  }
  switch (t->special) {
    case IU_S_IDENTITY:
    case IU_S_CONNECTION_ID: return hex_text(v.p, v.len, true, s, out, err);
    case IU_S_UUID: return uuid_text(v.p, s, out, err);
    case IU_S_BYTES: return hex_text(v.p + 4, v.len - 4, false, s, out, err);
    case IU_S_TIMESTAMP:
    case IU_S_TIME_DURATION: *out = iu__fv_int((int64_t)iu__load_u64(v.p)); return IU_OK;
    default: return by_tag(t, v, s, out, err);
  }
}

/* ---- JSON text ---- */

static iu_status decoded_string(const char *text, size_t len, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  iu_json_reader r;
  iu_error local;
  iu_status status = IU_OK;
  iu__error_clear(&local);
  iu__json_reader_init(&r, text, len, &local);
  if (iu__json_next(&r) == IU_J_STRING) {
    iu__buf_reset(&s->text);
    iu__buf_put(&s->text, r.s, r.len);
    status = from_scratch(s, IU_FV_STRING, out, err);
  } else if (local.status == IU_E_NOMEM) {
    status = iu__fail_nomem(err);
  }
  iu__json_reader_free(&r);
  return status;
}

iu_status iu__fv_from_json_text(const char *text, size_t len, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  *out = iu__fv(IU_FV_NULL);
  switch (len == 0 ? 0 : text[0]) {
    case 0:
    case 'n': return IU_OK;
    case 't':
    case 'f':
      out->kind = IU_FV_BOOL;
      out->u.b = text[0] == 't';
      return IU_OK;
    case '[':
    case '{': *out = iu__fv_text(IU_FV_TEXT, text, len); return IU_OK;
    case '"':
      if (len < 2 || memchr(text, '\\', len) != NULL) return decoded_string(text, len, s, out, err);
      *out = iu__fv_text(IU_FV_STRING, text + 1, len - 2);
      return IU_OK;
    default: *out = iu__fv_of_number(text, len); return IU_OK;
  }
}

static iu_status find(const iu_field_ref *f, const char *text, size_t len, iu_field_scratch *s, iu_fv *out, iu_error *err) {
  size_t at = 0, found_len = 0;
  bool found = false;
  iu_status status = iu__json_find(text, len, &f->path, f->from, &found, &at, &found_len, NULL);
  *out = iu__fv(IU_FV_NULL);
  if (status == IU_E_NOMEM) return iu__fail_nomem(err);
  if (status != IU_OK || !found) return IU_OK;
  return iu__fv_from_json_text(text + at, found_len, s, out, err);
}

iu_status iu__field_read(const iu_field_ref *f, iu_field_scratch *s, const uint8_t *row, size_t len, iu_fv *out, iu_error *err) {
  iu_slice v;
  iu_status status;
  if (!iu__locate(&f->place, row, len, &v)) {
    *out = iu__fv(IU_FV_NULL);
    return IU_OK;
  }
  if (f->json) return find(f, (const char *)v.p + 4, v.len - 4, s, out, err);
  if (f->convert) {
    status = converted(f->place.type, v, s, err);
    return status != IU_OK ? status : find(f, (const char *)s->json.data, s->json.len, s, out, err);
  }
  status = iu__fv_from_bsatn(f->place.type, v, s, out, err);
  if (f->empty_is_null && out->kind == IU_FV_STRING && out->len == 0) *out = iu__fv(IU_FV_NULL);
  return status;
}
