/* arg.c: args (inner_universe.h) to BSATN, by type.
 *
 * What does not fit is IU_E_VALIDATION naming the path, the expected type and what came. Depth is bounded by IU_TYPE_DEPTH_MAX, since types are, and
 * lists nest only where they do.
 */
#include <stdio.h>

#include "../base/text.h"
#include "../sats/bsatn_put.h"
#include "../sats/sats_json.h"
#include "internal.h"

typedef struct place { const struct place *up; const char *name; size_t index; } place;
typedef struct encoder { iu_buf *out; iu_error *err; } encoder;

static iu_status encode(encoder *e, const iu_arg *a, const iu_type *t, const place *at, uint32_t depth);

/* ---- refusals ---- */

static size_t path_text(const place *at, char *out, size_t room) {
  size_t len = at->up != NULL ? path_text(at->up, out, room) : 0;
  if (len + 1 >= room) return len;
  int n = at->name != NULL ? snprintf(out + len, room - len, "%s%s", len > 0 ? "." : "", at->name) : snprintf(out + len, room - len, "[%zu]", at->index);
  return n < 0 || (size_t)n >= room - len ? room - 1 : len + (size_t)n;
}

static size_t text_length(const iu_arg *a) {
  if (a->v.p == NULL) return 0;
  return a->len == IU_TERMINATED ? strlen(a->v.p) : a->len;
}

static void shown(const iu_arg *a, char out[160]) {
  char text[40 * 4 + 4];
  switch (a->kind) {
    case IU_ARG_NONE: snprintf(out, 160, "none"); break;
    case IU_ARG_BOOL: snprintf(out, 160, "%s", a->v.b ? "true" : "false"); break;
    case IU_ARG_I64: snprintf(out, 160, "%lld", (long long)a->v.i); break;
    case IU_ARG_U64: snprintf(out, 160, "%llu", (unsigned long long)a->v.u); break;
    case IU_ARG_F64: snprintf(out, 160, "%.14g", a->v.d); break;
    case IU_ARG_TEXT: snprintf(out, 160, "\"%.150s\"", iu__printable(text, 30, a->v.p != NULL ? a->v.p : "", text_length(a))); break;
    case IU_ARG_BYTES: snprintf(out, 160, "%zu bytes", a->len); break;
    case IU_ARG_LIST: snprintf(out, 160, "a list of %zu", a->len); break;
    case IU_ARG_VARIANT: snprintf(out, 160, "the variant `%.100s`", a->name != NULL ? a->name : ""); break;
    case IU_ARG_JSON: snprintf(out, 160, "JSON"); break;
    case IU_ARG_BSATN: snprintf(out, 160, "%zu bytes of BSATN", a->len); break;
    default: snprintf(out, 160, "an arg of unknown kind %d", (int)a->kind); break;
  }
}

static iu_status refuse(const encoder *e, const place *at, const char *what) {
  char path[256];
  path_text(at, path, sizeof path);
  return iu__fail(e->err, IU_E_VALIDATION, "%s: %s", path, what);
}

static iu_status refuse_type(const encoder *e, const iu_arg *a, const iu_type *t, const place *at) {
  char what[160], words[IU_TYPE_TEXT_MAX + 256];
  iu_buf text = {0};
  shown(a, what);
  iu__type_describe(t, &text);
  iu__buf_put_u8(&text, 0);
  snprintf(words, sizeof words, "expected %s, got %s", text.failed ? "another type" : (const char *)text.data, what);
  iu__buf_free(&text);
  return refuse(e, at, words);
}

/* ---- forms of any type ---- */

static iu_status put_json(encoder *e, const iu_arg *a, const iu_type *t, const place *at) {
  char path[256];
  iu_status status;
  if (a->v.p == NULL) return refuse(e, at, "expected JSON text, got NULL");
  status = iu__sats_from_json(t, a->v.p, text_length(a), e->out, e->err);
  if (status != IU_E_VALIDATION) return status;
  path_text(at, path, sizeof path);
  iu__error_prefix(e->err, "%s", path);
  return status;
}

static iu_status put_bsatn(encoder *e, const iu_arg *a, const iu_type *t, const place *at) {
  char path[256];
  iu_status status;
  if (a->v.p == NULL && a->len > 0) return refuse(e, at, "expected BSATN, got NULL");
  status = iu__bsatn_check_all(t, a->v.p, a->len, e->err);
  if (status == IU_OK) {
    iu__buf_put(e->out, a->v.p, a->len);
    return IU_OK;
  }
  path_text(at, path, sizeof path);
  iu__error_prefix(e->err, "%s", path);
  return status;
}

/* ---- texts and bytes ---- */

static iu_status put_string(encoder *e, const iu_arg *a, const iu_type *t, const place *at) {
  const char *text = a->v.p;
  size_t len = text_length(a), bad;
  char words[64];
  if (text == NULL && (a->len == IU_TERMINATED || a->len > 0)) return refuse(e, at, "expected text, got NULL");
  if (t->tag == IU_T_STRING && len > 0 && (bad = iu__utf8_check(text, len)) != len) {
    snprintf(words, sizeof words, "expected UTF-8 text, byte %zu is not", bad);
    return refuse(e, at, words);
  }
  iu__buf_put_bytes(e->out, text, len);
  return IU_OK;
}

static iu_status put_fixed(encoder *e, const iu_arg *a, const iu_type *t, const place *at) {
  if (a->v.p == NULL || a->len != t->fixed_size) return refuse_type(e, a, t, at);
  iu__buf_put(e->out, a->v.p, a->len);
  return IU_OK;
}

/* ---- compounds ---- */

static iu_status put_product(encoder *e, const iu_arg *a, const iu_type *t, const place *at, uint32_t depth) {
  const iu_arg *parts = a->v.p;
  iu_status status = IU_OK;
  bool none = a->kind == IU_ARG_NONE && t->count == 0;
  if (none) return IU_OK;
  if (a->kind != IU_ARG_LIST || a->len != t->count || (parts == NULL && a->len > 0)) return refuse_type(e, a, t, at);
  for (uint32_t i = 0; status == IU_OK && i < t->count; i++) {
    place inside = {at, t->u.fields[i].name, i};
    status = encode(e, &parts[i], t->u.fields[i].type, &inside, depth + 1);
  }
  return status;
}

static iu_status put_array(encoder *e, const iu_arg *a, const iu_type *t, const place *at, uint32_t depth) {
  const iu_arg *parts = a->v.p;
  iu_status status = IU_OK;
  if (t->special == IU_S_BYTES && a->kind == IU_ARG_BYTES) return put_string(e, a, t, at);
  if (a->kind != IU_ARG_LIST || a->len > UINT32_MAX || (parts == NULL && a->len > 0)) return refuse_type(e, a, t, at);
  if (t->u.element->fixed_size == 0 && a->len > IU_ZERO_SIZED_MAX) return refuse(e, at, "more than 65536 elements that take no bytes");
  iu__buf_put_u32(e->out, (uint32_t)a->len);
  for (size_t i = 0; status == IU_OK && i < a->len && !e->out->failed; i++) {
    place inside = {at, NULL, i};
    status = encode(e, &parts[i], t->u.element, &inside, depth + 1);
  }
  return status;
}

static iu_status put_option(encoder *e, const iu_arg *a, const iu_type *t, const place *at, uint32_t depth) {
  iu__buf_put_u8(e->out, a->kind == IU_ARG_NONE);
  return a->kind == IU_ARG_NONE ? IU_OK : encode(e, a, t->u.fields[0].type, at, depth + 1);
}

static iu_status put_sum(encoder *e, const iu_arg *a, const iu_type *t, const place *at, uint32_t depth) {
  const iu_arg none = iu_arg_none(), *payload = &none;
  const char *name = a->name;
  size_t len;
  if (a->kind == IU_ARG_TEXT) { /* a unit variant by its name */
    name = a->v.p;
    len = text_length(a);
  } else if (a->kind == IU_ARG_VARIANT) {
    len = name != NULL ? strlen(name) : 0;
    if (a->v.p != NULL) payload = a->v.p;
  } else {
    return refuse_type(e, a, t, at);
  }
  int variant = name != NULL ? iu__product_find(t, name, len) : -1;
  if (variant < 0) return refuse_type(e, a, t, at);
  iu__buf_put_u8(e->out, (uint8_t)variant);
  place inside = {at, t->u.fields[variant].name, (size_t)variant};
  return encode(e, payload, t->u.fields[variant].type, &inside, depth + 1);
}

/* ---- by type ---- */

static bool is_text_id(const iu_type *t) {
  return t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID || t->special == IU_S_UUID;
}

static iu_status put_scalar(encoder *e, const iu_arg *a, const iu_type *t, const place *at) {
  bool is_signed, good = false;
  switch (a->kind) {
    case IU_ARG_BOOL:
      if (t->tag != IU_T_BOOL) break;
      iu__buf_put_u8(e->out, a->v.b);
      return IU_OK;
    case IU_ARG_I64: good = iu__put_i64(t, a->v.i, e->out); break;
    case IU_ARG_U64: good = iu__put_u64(t, a->v.u, e->out); break;
    case IU_ARG_F64: good = iu__put_f64(t, a->v.d, e->out); break;
    case IU_ARG_TEXT:
      if (t->tag == IU_T_STRING) return put_string(e, a, t, at);
      good = a->v.p != NULL && iu__put_hex(t, a->v.p, text_length(a), e->out);
      break;
    case IU_ARG_BYTES:
      if (is_text_id(t) || iu__integer_size(t, &is_signed) > 8) return put_fixed(e, a, t, at);
      break;
    default: break;
  }
  return good ? IU_OK : refuse_type(e, a, t, at);
}

static iu_status encode(encoder *e, const iu_arg *a, const iu_type *t, const place *at, uint32_t depth) {
  t = iu__type_deref(t);
  if (depth > IU_TYPE_DEPTH_MAX) return refuse(e, at, "nested over 64 deep");
  if (a->kind == IU_ARG_JSON) return put_json(e, a, t, at);
  if (a->kind == IU_ARG_BSATN) return put_bsatn(e, a, t, at);
  if (is_text_id(t) || t->special == IU_S_TIMESTAMP || t->special == IU_S_TIME_DURATION || t->tag >= IU_T_STRING) return put_scalar(e, a, t, at);
  if (t->special == IU_S_OPTION) return put_option(e, a, t, at, depth);
  if (t->tag == IU_T_ARRAY) return put_array(e, a, t, at, depth);
  return t->tag == IU_T_PRODUCT ? put_product(e, a, t, at, depth) : put_sum(e, a, t, at, depth);
}

/* What most columns are, as the value of just that kind. false: nothing was written. */
static bool put_plain(const iu_arg *a, const iu_type *t, iu_buf *out) {
  size_t len;
  if (t->special != IU_S_NONE) return false;
  if (t->tag == IU_T_U64 && a->kind == IU_ARG_U64) {
    iu__buf_put_u64(out, a->v.u);
  } else if (t->tag == IU_T_I64 && a->kind == IU_ARG_I64) {
    iu__buf_put_u64(out, (uint64_t)a->v.i);
  } else if (t->tag == IU_T_STRING && a->kind == IU_ARG_TEXT && a->v.p != NULL) {
    len = text_length(a);
    if (len > UINT32_MAX || iu__utf8_check(a->v.p, len) != len || !iu__buf_reserve(out, len + 4)) return false;
    iu__buf_put_u32(out, (uint32_t)len);
    iu__buf_put(out, a->v.p, len);
  } else {
    return (t->tag == IU_T_F32 || t->tag == IU_T_F64) && a->kind == IU_ARG_F64 && iu__put_f64(t, a->v.d, out);
  }
  return true;
}

iu_status iu__arg_encode(const iu_arg *a, const iu_type *t, const char *what, iu_buf *out, iu_error *err) {
  if (put_plain(a, t, out)) return IU_OK;
  iu_error own;
  encoder e = {out, err != NULL ? err : &own};
  place top = {NULL, what, 0};
  return encode(&e, a, t, &top, 0);
}

/* ---- a call's ---- */

static iu_status finish(const iu_schema *s, const iu_callee *f, iu_status status, const iu_buf *out, iu_error *err) {
  if (status == IU_E_VALIDATION) return iu__callee_wrong_argument(s, f, err);
  return status == IU_OK ? iu__buf_status(out, err, "arguments") : status;
}

iu_status iu__args_encode(const iu_schema *s, const iu_callee *f, const iu_arg *args, size_t count, iu_buf *out, iu_error *err) {
  const iu_arg none = iu_arg_none();
  iu_status status = IU_OK;
  if (args == NULL && count > 0) return iu__missing("args", err);
  if (count > f->params->count) return iu__callee_wrong_count(s, f, count, err);
  for (uint32_t i = 0; status == IU_OK && i < f->params->count; i++) {
    const iu_field *p = &f->params->u.fields[i];
    if (i >= count && iu__type_deref(p->type)->special != IU_S_OPTION) return iu__callee_wrong_count(s, f, count, err);
    status = iu__arg_encode(i < count ? &args[i] : &none, p->type, p->name, out, err);
  }
  return finish(s, f, status, out, err);
}

/* An array of at most as many values as there are parameters, or an object with keys that are parameters. */
static iu_status check_json(const iu_schema *s, const iu_callee *f, const iu_json *v, iu_error *err) {
  char word[64 * 4 + 4];
  if (v->token == IU_J_ARRAY) return v->len > f->params->count ? iu__callee_wrong_count(s, f, v->len, err) : IU_OK;
  if (v->token != IU_J_OBJECT) {
    iu__fail(err, IU_E_VALIDATION, "%s: expected an array or an object of arguments", f->name);
    return iu__callee_wrong_argument(s, f, err);
  }
  for (size_t i = 0; i < v->len; i++) {
    const iu_json_member *m = &v->u.members[i];
    if (iu__product_find(f->params, m->key, m->key_len) >= 0) continue;
    iu__fail(err, IU_E_VALIDATION, "%s has no parameter `%s`", f->name, iu__printable(word, 64, m->key, m->key_len));
    return iu__callee_wrong_argument(s, f, err);
  }
  return IU_OK;
}

static iu_status put_json_parameter(const iu_schema *s, const iu_callee *f, const iu_json *all, uint32_t position, iu_buf *text, iu_buf *out, iu_error *err) {
  const iu_field *p = &f->params->u.fields[position];
  bool by_name = all->token == IU_J_OBJECT;
  const iu_json *given = by_name ? iu__json_get(all, p->name, strlen(p->name)) : position < all->len ? &all->u.elements[position] : NULL;
  if (given == NULL) {
    if (iu__type_deref(p->type)->special == IU_S_OPTION) { /* left out: none */
      iu__buf_put_u8(out, 1);
      return IU_OK;
    }
    if (!by_name) return iu__callee_wrong_count(s, f, all->len, err);
    iu__fail(err, IU_E_VALIDATION, "%s: the argument `%s` is missing", f->name, p->name);
    return iu__callee_wrong_argument(s, f, err);
  }
  iu__buf_reset(text);
  iu__json_write(given, text);
  iu_status status = iu__buf_status(text, err, "arguments");
  if (status == IU_OK) status = iu__arg_encode(&(iu_arg){.kind = IU_ARG_JSON, .len = text->len, .v.p = text->data}, p->type, p->name, out, err);
  return finish(s, f, status, out, err);
}

iu_status iu__args_from_json(const iu_schema *s, const iu_callee *f, const char *json, iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  iu_buf text = {0};
  iu_error own;
  if (err == NULL) err = &own;
  const iu_json *v = iu__json_parse(&arena, json, strlen(json), err);
  iu_status status = v != NULL ? check_json(s, f, v, err) : finish(s, f, err->status, out, err);
  for (uint32_t i = 0; status == IU_OK && i < f->params->count; i++) status = put_json_parameter(s, f, v, i, &text, out, err);
  if (status == IU_OK) status = iu__buf_status(out, err, "arguments");
  iu__buf_free(&text);
  iu__arena_free(&arena);
  return status;
}
