/* filter_value.c: equality and order of filter values (filter_value.h). */
#include "filter_value.h"

#include <math.h>

#include "../base/text.h"
#include "filter_number.h"

iu_fv iu__fv_of_json(const iu_json *v) {
  iu_fv out = iu__fv(IU_FV_NULL);
  switch (v->token) {
    case IU_J_TRUE:
    case IU_J_FALSE:
      out.kind = IU_FV_BOOL;
      out.u.b = v->token == IU_J_TRUE;
      return out;
    case IU_J_INT: return iu__fv_int(v->u.i);
    case IU_J_BIGINT: return iu__fv_text(IU_FV_BIG, v->u.s, v->len);
    case IU_J_DOUBLE:
      out.kind = IU_FV_DOUBLE;
      out.u.d = v->u.d;
      return out;
    case IU_J_STRING: return iu__fv_text(IU_FV_STRING, v->u.s, v->len);
    case IU_J_ARRAY:
    case IU_J_OBJECT:
      out.kind = IU_FV_DOC;
      out.u.doc = v;
      return out;
    default: return out;
  }
}

/* Digits only: within i64, or *fits false. */
static int64_t read_integer(const char *digits, size_t len, bool negative, bool *fits) {
  uint64_t v = 0, limit = (uint64_t)INT64_MAX + negative;
  *fits = len <= 19; /* 19 digits stay below 2^64 */
  for (size_t i = 0; i < len && *fits; i++) v = v * 10 + (uint64_t)(digits[i] - '0');
  if (v > limit) *fits = false;
  return !*fits ? 0 : negative ? (int64_t)(0 - v) : (int64_t)v;
}

iu_fv iu__fv_of_number(const char *text, size_t len) {
  bool negative = len != 0 && text[0] == '-', fits;
  iu_fv out = iu__fv(IU_FV_NULL);
  size_t digits = negative;
  double d;
  int64_t i;
  while (digits < len && text[digits] >= '0' && text[digits] <= '9') digits++;
  if (digits == negative) return out;
  if (digits < len) {
    if (!iu__f64_parse(text, len, &d) || isinf(d)) return out;
    out.kind = IU_FV_DOUBLE;
    out.u.d = d;
    return out;
  }
  i = read_integer(text + negative, len - negative, negative, &fits);
  return fits ? iu__fv_int(i) : iu__fv_text(IU_FV_BIG, text, len);
}

static bool is_nan(const iu_fv *v) { return v->kind == IU_FV_DOUBLE && isnan(v->u.d); }

static int compare_strings(const iu_fv *a, const iu_fv *b) {
  int c = memcmp(a->u.s, b->u.s, a->len < b->len ? a->len : b->len);
  return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

bool iu__fv_equal(const iu_fv *a, const iu_fv *b) {
  if (iu__fv_is_number(a)) return iu__fv_is_number(b) && !is_nan(a) && !is_nan(b) && iu__number_compare(a, b) == 0;
  if (a->kind != b->kind) return false;
  switch (a->kind) {
    case IU_FV_NULL: return true;
    case IU_FV_BOOL: return a->u.b == b->u.b;
    case IU_FV_STRING: return a->len == b->len && memcmp(a->u.s, b->u.s, a->len) == 0;
    default: return false;
  }
}

bool iu__fv_ordered(const iu_fv *a, const iu_fv *b, int *c) {
  if (iu__fv_is_number(a)) {
    if (!iu__fv_is_number(b) || is_nan(a) || is_nan(b)) return false;
    *c = iu__number_compare(a, b);
    return true;
  }
  if (a->kind != b->kind) return false;
  if (a->kind == IU_FV_BOOL) *c = (int)a->u.b - (int)b->u.b;
  else if (a->kind == IU_FV_STRING) *c = compare_strings(a, b);
  else return false;
  return true;
}

int iu__fv_rank(const iu_fv *v) {
  switch (v->kind) {
    case IU_FV_NULL: return 0;
    case IU_FV_BOOL: return 1;
    case IU_FV_INT:
    case IU_FV_BIG:
    case IU_FV_DOUBLE: return is_nan(v) ? 3 : 2;
    case IU_FV_STRING: return 4;
    default: return 5;
  }
}

int iu__fv_rank_compare(const iu_fv *a, const iu_fv *b) {
  int ra = iu__fv_rank(a), rb = iu__fv_rank(b), c = 0;
  if (ra != rb) return ra - rb;
  return iu__fv_ordered(a, b, &c) ? c : 0;
}

static bool members_equal(const iu_json *a, const iu_json *b) {
  for (size_t i = 0; i < a->len; i++) {
    const iu_json_member *m = &a->u.members[i];
    const iu_json *other = iu__json_get(b, m->key, m->key_len);
    if (other == NULL || !iu__json_equal(&m->value, other)) return false;
  }
  return true;
}

/* Recursion is bounded by IU_JSON_DEPTH_MAX, the depth of any document. */
bool iu__json_equal(const iu_json *a, const iu_json *b) {
  iu_fv x, y;
  if (a->token == IU_J_OBJECT) return b->token == IU_J_OBJECT && a->len == b->len && members_equal(a, b);
  if (a->token == IU_J_ARRAY) {
    if (b->token != IU_J_ARRAY || a->len != b->len) return false;
    for (size_t i = 0; i < a->len; i++) {
      if (!iu__json_equal(&a->u.elements[i], &b->u.elements[i])) return false;
    }
    return true;
  }
  x = iu__fv_of_json(a);
  y = iu__fv_of_json(b);
  return iu__fv_equal(&x, &y);
}
