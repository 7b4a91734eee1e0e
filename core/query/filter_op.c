/* filter_op.c: compiling one filter and asking it of a row (filter_op.h). */
#include "filter_op.h"

#include <stdlib.h>

#include "../base/text.h"
#include "suggest.h"

#define NAME_SHOWN 48

static const char *const names[IU_F_COUNT][2] = {
  [IU_F_EQUALS] = {"Equals", "EQUALS"},
  [IU_F_NOT_EQUALS] = {"NotEquals", "NOT_EQUALS"},
  [IU_F_GREATER_THAN] = {"GreaterThan", "GREATER_THAN"},
  [IU_F_LESS_THAN] = {"LessThan", "LESS_THAN"},
  [IU_F_GREATER_OR_EQUAL] = {"GreaterOrEqual", "GREATER_OR_EQUAL"},
  [IU_F_LESS_OR_EQUAL] = {"LessOrEqual", "LESS_OR_EQUAL"},
  [IU_F_CONTAINS] = {"Contains", "CONTAINS"},
  [IU_F_STARTS_WITH] = {"StartsWith", "STARTS_WITH"},
  [IU_F_ENDS_WITH] = {"EndsWith", "ENDS_WITH"},
  [IU_F_IN] = {"In", "IN"},
  [IU_F_NOT_IN] = {"NotIn", "NOT_IN"},
};

/* ---- compiling ---- */

static iu_status find_op(const iu_filter_spec *spec, uint8_t *op, iu_error *err) {
  char shown[4 * NAME_SHOWN + 4], suggestion[IU_SUGGESTION_MAX];
  iu_suggest suggest;
  iu__suggest_init(&suggest, spec->op, spec->op_len);
  for (uint8_t i = 0; i < IU_F_COUNT; i++) {
    for (int spelling = 0; spelling < 2; spelling++) {
      const char *name = names[i][spelling];
      if (strlen(name) == spec->op_len && memcmp(name, spec->op, spec->op_len) == 0) {
        *op = i;
        return IU_OK;
      }
      iu__suggest_offer(&suggest, name);
    }
  }
  return iu__fail(err, IU_E_VALIDATION, "unknown operator `%s`%s", iu__printable(shown, NAME_SHOWN, spec->op, spec->op_len),
                  iu__suggest_text(&suggest, suggestion));
}

static int compare_candidates(const void *a, const void *b) { return iu__fv_rank_compare(a, b); }

static iu_status compile_set(iu_arena *arena, const iu_json *array, iu_filter *f, iu_error *err) {
  if (array->len == 0) return IU_OK;
  f->scalars = iu__arena_zero(arena, array->len, sizeof *f->scalars);
  f->docs = iu__arena_zero(arena, array->len, sizeof *f->docs);
  if (f->scalars == NULL || f->docs == NULL) return iu__fail_nomem(err);
  for (size_t i = 0; i < array->len; i++) {
    iu_fv v = iu__fv_of_json(&array->u.elements[i]);
    if (iu__fv_is_scalar(&v)) f->scalars[f->scalar_count++] = v;
    else f->docs[f->doc_count++] = v;
  }
  qsort(f->scalars, f->scalar_count, sizeof *f->scalars, compare_candidates);
  return IU_OK;
}

static iu_status compile_value(iu_arena *arena, const iu_filter_spec *spec, iu_filter *f, iu_error *err) {
  const iu_json *doc = iu__json_parse(arena, spec->json, spec->json_len, err);
  const char *name = names[f->op][0];
  if (doc == NULL) {
    if (err == NULL) return IU_E_VALIDATION;
    if (err->status != IU_E_NOMEM) iu__error_prefix(err, "the value of operator %s", name);
    return err->status;
  }
  if (f->op == IU_F_IN || f->op == IU_F_NOT_IN) {
    if (doc->token != IU_J_ARRAY) return iu__fail(err, IU_E_VALIDATION, "operator %s needs an array of candidates as its value", name);
    return compile_set(arena, doc, f, err);
  }
  if ((f->op == IU_F_STARTS_WITH || f->op == IU_F_ENDS_WITH) && doc->token != IU_J_STRING) {
    return iu__fail(err, IU_E_VALIDATION, "operator %s needs a string as its value", name);
  }
  f->value = iu__fv_of_json(doc);
  return IU_OK;
}

iu_status iu__filter_compile(iu_arena *arena, const iu_table_def *table, const iu_filter_spec *spec, iu_filter *f, iu_error *err) {
  iu_error local;
  iu_status status;
  memset(f, 0, sizeof *f);
  if (err == NULL) err = &local;
  status = find_op(spec, &f->op, err);
  if (status == IU_OK) status = iu__field_resolve(arena, table, spec->field, spec->field_len, &f->field, err);
  if (status != IU_OK) return status;
  f->cost = iu__field_cost(&f->field);
  return compile_value(arena, spec, f, err);
}

void iu__filter_free(iu_filter *f) { iu__field_ref_free(&f->field); }

/* ---- equality with documents ---- */

static iu_status equal(const iu_fv *v, const iu_fv *wanted, iu_field_scratch *s, bool *out, iu_error *err);

static iu_status text_equal(const iu_fv *text, const iu_json *doc, bool *out, iu_error *err) {
  iu_arena arena = {0};
  iu_error local;
  const iu_json *parsed;
  iu_status status = IU_OK;
  *out = false;
  if ((text->u.s[0] == '[') != (doc->token == IU_J_ARRAY)) return IU_OK;
  parsed = iu__json_parse(&arena, text->u.s, text->len, &local);
  if (parsed != NULL) *out = iu__json_equal(parsed, doc);
  else if (local.status == IU_E_NOMEM) status = iu__fail_nomem(err);
  iu__arena_free(&arena);
  return status;
}

typedef struct elements { const iu_type *type; const uint8_t *p, *end; uint32_t left; } elements;

static elements elements_of(const iu_fv *array) {
  elements e = {array->type, array->u.p + 4, array->u.p + array->len, iu__load_u32(array->u.p)};
  return e;
}

static bool next_element(elements *e, iu_slice *out) {
  const uint8_t *after;
  if (e->left == 0) return false;
  after = iu__bsatn_skip(e->type, e->p, e->end);
  if (after == NULL) return false;
  out->p = e->p;
  out->len = (size_t)(after - e->p);
  e->p = after;
  e->left--;
  return true;
}

/* Recurses once a level of arrays in the type. */
static iu_status array_equal(const iu_fv *array, const iu_json *doc, iu_field_scratch *s, bool *out, iu_error *err) {
  elements e = elements_of(array);
  iu_slice slice;
  *out = doc->token == IU_J_ARRAY && doc->len == e.left;
  for (size_t i = 0; *out && next_element(&e, &slice); i++) {
    iu_fv v, wanted = iu__fv_of_json(&doc->u.elements[i]);
    iu_status status = iu__fv_from_bsatn(e.type, slice, s, &v, err);
    if (status == IU_OK) status = equal(&v, &wanted, s, out, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

/* v: of a row; wanted: of a filter's value. */
static iu_status equal(const iu_fv *v, const iu_fv *wanted, iu_field_scratch *s, bool *out, iu_error *err) {
  if (wanted->kind != IU_FV_DOC) {
    *out = iu__fv_equal(v, wanted);
    return IU_OK;
  }
  if (v->kind == IU_FV_TEXT) return text_equal(v, wanted->u.doc, out, err);
  if (v->kind == IU_FV_ARRAY) return array_equal(v, wanted->u.doc, s, out, err);
  *out = false;
  return IU_OK;
}

/* ---- operators ---- */

static bool in_scalars(const iu_filter *f, const iu_fv *v) {
  uint32_t low = 0, high = f->scalar_count;
  if (!iu__fv_is_scalar(v)) return false;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int c = iu__fv_rank_compare(v, &f->scalars[middle]);
    if (c == 0) return true;
    if (c < 0) high = middle;
    else low = middle + 1;
  }
  return false;
}

static iu_status in_set(const iu_filter *f, const iu_fv *v, iu_field_scratch *s, bool *out, iu_error *err) {
  *out = in_scalars(f, v);
  for (uint32_t i = 0; i < f->doc_count && !*out; i++) {
    iu_status status = equal(v, &f->docs[i], s, out, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_fv of_token(const iu_json_reader *r, iu_json_token t) {
  iu_fv v = iu__fv(IU_FV_NULL);
  switch (t) {
    case IU_J_TRUE:
    case IU_J_FALSE:
      v.kind = IU_FV_BOOL;
      v.u.b = t == IU_J_TRUE;
      return v;
    case IU_J_INT: return iu__fv_int(r->i);
    case IU_J_BIGINT: return iu__fv_text(IU_FV_BIG, r->s, r->len);
    case IU_J_STRING: return iu__fv_text(IU_FV_STRING, r->s, r->len);
    case IU_J_DOUBLE:
      v.kind = IU_FV_DOUBLE;
      v.u.d = r->d;
      return v;
    default: return v;
  }
}

static iu_status text_contains(const iu_filter *f, const iu_fv *text, iu_field_scratch *s, bool *out, iu_error *err) {
  iu_json_reader r;
  iu_error local;
  iu_status status = IU_OK;
  iu_json_token t;
  iu__error_clear(&local);
  iu__json_reader_init(&r, text->u.s, text->len, &local);
  t = iu__json_next(&r) == IU_J_ARRAY ? iu__json_next(&r) : IU_J_ERROR;
  while (status == IU_OK && !*out && t != IU_J_ARRAY_END && t != IU_J_ERROR) {
    iu_fv v = of_token(&r, t);
    if (t == IU_J_ARRAY || t == IU_J_OBJECT) {
      const char *start = r.at;
      status = iu__json_skip(&r, t);
      v = iu__fv_text(IU_FV_TEXT, start, (size_t)(r.p - start));
    }
    if (status == IU_OK) status = equal(&v, &f->value, s, out, err);
    if (status == IU_OK) t = iu__json_next(&r);
  }
  iu__json_reader_free(&r);
  if (local.status == IU_E_NOMEM || status == IU_E_NOMEM) return iu__fail_nomem(err);
  return IU_OK; /* the text was checked when it was found: other failures do not happen */
}

static iu_status array_contains(const iu_filter *f, const iu_fv *array, iu_field_scratch *s, bool *out, iu_error *err) {
  elements e = elements_of(array);
  iu_slice slice;
  while (!*out && next_element(&e, &slice)) {
    iu_fv v;
    iu_status status = iu__fv_from_bsatn(e.type, slice, s, &v, err);
    if (status == IU_OK) status = equal(&v, &f->value, s, out, err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_status contains(const iu_filter *f, const iu_fv *v, iu_field_scratch *s, bool *out, iu_error *err) {
  *out = false;
  if (v->kind == IU_FV_ARRAY) return array_contains(f, v, s, out, err);
  if (v->kind == IU_FV_TEXT) return v->u.s[0] == '[' ? text_contains(f, v, s, out, err) : IU_OK;
  if (v->kind == IU_FV_STRING && f->value.kind == IU_FV_STRING) {
    *out = f->value.len == 0 || memmem(v->u.s, v->len, f->value.u.s, f->value.len) != NULL;
  }
  return IU_OK;
}

static bool at_end(const iu_fv *v, const iu_fv *part, bool last) {
  if (v->kind != IU_FV_STRING || v->len < part->len) return false;
  return memcmp(v->u.s + (last ? v->len - part->len : 0), part->u.s, part->len) == 0;
}

static bool ordered(const iu_filter *f, const iu_fv *v) {
  int c;
  if (!iu__fv_ordered(v, &f->value, &c)) return false;
  switch (f->op) {
    case IU_F_GREATER_THAN: return c > 0;
    case IU_F_LESS_THAN: return c < 0;
    case IU_F_GREATER_OR_EQUAL: return c >= 0;
    default: return c <= 0;
  }
}

iu_status iu__filter_matches(const iu_filter *f, iu_field_scratch *s, const uint8_t *row, size_t len, bool *out, iu_error *err) {
  iu_fv v;
  iu_status status = iu__field_read(&f->field, s, row, len, &v, err);
  *out = false;
  if (status != IU_OK) return status;
  switch (f->op) {
    case IU_F_EQUALS:
    case IU_F_NOT_EQUALS:
      status = equal(&v, &f->value, s, out, err);
      break;
    case IU_F_IN:
    case IU_F_NOT_IN:
      status = in_set(f, &v, s, out, err);
      break;
    case IU_F_CONTAINS: return contains(f, &v, s, out, err);
    case IU_F_STARTS_WITH: *out = at_end(&v, &f->value, false); break;
    case IU_F_ENDS_WITH: *out = at_end(&v, &f->value, true); break;
    default: *out = ordered(f, &v); break;
  }
  if (f->op == IU_F_NOT_EQUALS || f->op == IU_F_NOT_IN) *out = !*out;
  return status;
}
