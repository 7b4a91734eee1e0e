/* filter_plan.c: filters on columns as conditions of the planner (filter_plan.h).
 *
 * They become conditions where their value, exactly, is a value of the column's type; where it is not (1.5 for an integer column,
 * a text of another form for an identity) the filter is only evaluated. */
#include "filter_plan.h"

#include <math.h>

#include "../base/hash.h"
#include "../base/text.h"

typedef struct terms {
  iu_arena *arena;
  const iu_table_def *table;
  iu_plan_term *list; /* room for two a filter */
  uint32_t count;
  iu_error *err;
} terms;

static iu_status keep(const terms *t, const void *bytes, size_t len, iu_slice *key) {
  uint8_t *copy = iu__arena_alloc(t->arena, len == 0 ? 1 : len);
  if (copy == NULL) return iu__fail_nomem(t->err);
  memcpy(copy, bytes, len);
  key->p = copy;
  key->len = len;
  return IU_OK;
}

static iu_status string_key(const terms *t, const iu_fv *v, iu_slice *key) {
  iu_buf b = {0};
  iu_status status;
  iu__buf_put_bytes(&b, v->u.s, v->len);
  status = iu__buf_status(&b, t->err, "a key");
  if (status == IU_OK) status = keep(t, b.data, b.len, key);
  iu__buf_free(&b);
  return status;
}

static iu_status integer_key(const terms *t, iu_scalar scalar, const iu_fv *v, iu_slice *key, bool *exact) {
  char text[IU_I64_TEXT_MAX + 1];
  uint8_t bytes[32];
  int64_t i = v->u.i;
  if (v->kind == IU_FV_BIG) {
    *exact = iu__scalar_from_decimal(scalar, v->u.s, v->len, bytes);
  } else {
    if (v->kind == IU_FV_DOUBLE) {
      if (!(fabs(v->u.d) < 9.2e18) || v->u.d != trunc(v->u.d)) return IU_OK;
      i = (int64_t)v->u.d;
    }
    *exact = iu__scalar_from_decimal(scalar, text, iu__i64_format(i, text), bytes);
  }
  return *exact ? keep(t, bytes, scalar.size, key) : IU_OK;
}

/* Identities compare as hex text: only the one spelling there is can be looked up. */
static iu_status hex_key(const terms *t, size_t size, const iu_fv *v, iu_slice *key, bool *exact) {
  uint8_t bytes[32], stored[32];
  if (v->kind != IU_FV_STRING || v->len != 2 * size) return IU_OK;
  for (size_t i = 0; i < v->len; i++) {
    if (v->u.s[i] >= 'A' && v->u.s[i] <= 'F') return IU_OK;
  }
  if (!iu__unhex(bytes, v->u.s, v->len)) return IU_OK;
  for (size_t i = 0; i < size; i++) stored[i] = bytes[size - 1 - i];
  *exact = true;
  return keep(t, stored, size, key);
}

bool iu__filter_has_key(const iu_type *type) {
  uint8_t cls = iu__scalar_of(type).cls;
  if (type->special != IU_S_NONE) return type->special == IU_S_IDENTITY || type->special == IU_S_CONNECTION_ID || type->special == IU_S_TIMESTAMP;
  return type->tag == IU_T_STRING || type->tag == IU_T_BOOL || (cls >= IU_SC_UNSIGNED && cls <= IU_SC_WIDE_SIGNED);
}

static iu_status make_key(const terms *t, const iu_type *type, const iu_fv *v, iu_slice *key, bool *exact) {
  uint8_t truth = v->kind == IU_FV_BOOL && v->u.b;
  *exact = false;
  if (!iu__filter_has_key(type)) return IU_OK;
  if (type->special == IU_S_IDENTITY) return hex_key(t, 32, v, key, exact);
  if (type->special == IU_S_CONNECTION_ID) return hex_key(t, 16, v, key, exact);
  if (type->tag == IU_T_STRING || type->tag == IU_T_BOOL) {
    *exact = v->kind == (type->tag == IU_T_STRING ? IU_FV_STRING : IU_FV_BOOL);
    if (!*exact) return IU_OK;
    return type->tag == IU_T_STRING ? string_key(t, v, key) : keep(t, &truth, 1, key);
  }
  return iu__fv_is_number(v) ? integer_key(t, iu__scalar_of(type), v, key, exact) : IU_OK;
}

iu_status iu__filter_key(iu_arena *arena, const iu_type *type, const iu_fv *v, iu_slice *key, bool *exact, iu_error *err) {
  terms t = {arena, NULL, NULL, 0, err};
  return make_key(&t, type, v, key, exact);
}

static iu_status add(terms *t, const iu_filter *f, uint8_t op, const iu_fv *v, bool *exact) {
  iu_slice key;
  iu_status status = make_key(t, f->field.place.type, v, &key, exact);
  if (status == IU_OK && *exact) {
    iu_plan_term term = {f->field.column, op, key};
    t->list[t->count++] = term;
  }
  return status;
}

/* One candidate is an equality; several span a range from the least to the greatest. They are sorted by kind first, and those of other kinds
 * than the column's match no row (null only "", the least text), so each end holds alone too. */
static iu_status add_set(terms *t, const iu_filter *f) {
  uint32_t n = f->scalar_count;
  bool exact;
  iu_status status;
  if (n == 0) return IU_OK;
  if (n == 1) return add(t, f, IU_CMP_EQ, &f->scalars[0], &exact);
  status = add(t, f, IU_CMP_GE, &f->scalars[0], &exact);
  return status != IU_OK ? status : add(t, f, IU_CMP_LE, &f->scalars[n - 1], &exact);
}

static iu_status add_filter(terms *t, const iu_filter *f) {
  bool exact;
  if (f->field.depth != 1 || f->field.json || f->field.convert || f->field.place.type->special == IU_S_OPTION) return IU_OK;
  switch (f->op) {
    case IU_F_EQUALS: return add(t, f, IU_CMP_EQ, &f->value, &exact);
    case IU_F_GREATER_THAN: return add(t, f, IU_CMP_GT, &f->value, &exact);
    case IU_F_LESS_THAN: return add(t, f, IU_CMP_LT, &f->value, &exact);
    case IU_F_GREATER_OR_EQUAL: return add(t, f, IU_CMP_GE, &f->value, &exact);
    case IU_F_LESS_OR_EQUAL: return add(t, f, IU_CMP_LE, &f->value, &exact);
    case IU_F_IN: return add_set(t, f);
    default: return IU_OK;
  }
}

iu_status iu__filter_plan(iu_arena *arena, const iu_table_def *table, const iu_filter *filters, uint32_t count, iu_plan *out, iu_error *err) {
  terms t = {arena, table, NULL, 0, err};
  t.list = iu__arena_zero(arena, 2 * (size_t)count + 1, sizeof *t.list);
  if (t.list == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < count; i++) {
    iu_status status = add_filter(&t, &filters[i]);
    if (status != IU_OK) return status;
  }
  return iu__plan_make(arena, table, t.list, t.count, out, err);
}
