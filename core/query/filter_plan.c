/* filter_plan.c: filters on columns as ranges of the table's indexes (filter_plan.h).
 *
 * A filter becomes a condition where its value, exactly, is a value of the column's type; where it is not (a text of another form for an identity) no
 * row equals it. An In is several points of an index, or, in an index that another condition begins, all between its ends. */
#include "filter_plan.h"

#include <math.h>

#include "../base/hash.h"
#include "../base/text.h"

#define DOUBLE_KEY_MAX 9.2e18

typedef struct point_set { uint32_t column, count; iu_slice *keys; } point_set; /* ascending, each once */

typedef struct terms {
  iu_arena *arena;
  const iu_table_def *table;
  iu_plan_term *list; /* room for two a filter, and one more */
  uint32_t count;
  point_set *sets;    /* room for one a filter */
  uint32_t set_count;
  bool never;         /* no row can match */
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
      if (!(fabs(v->u.d) < DOUBLE_KEY_MAX) || v->u.d != trunc(v->u.d)) return IU_OK;
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
  terms t = {.arena = arena, .err = err};
  return make_key(&t, type, v, key, exact);
}

bool iu__filter_key_is_final(const iu_fv *v) { return v->kind != IU_FV_DOUBLE || fabs(v->u.d) < DOUBLE_KEY_MAX; }

bool iu__filter_on_column(const iu_filter *f) {
  return f->field.depth == 1 && !f->field.json && !f->field.convert && iu__filter_has_key(f->field.place.type);
}

/* ---- one filter ---- */

/* As make_key; null is the key of the empty text where that reads as null. */
static iu_status equal_key(const terms *t, const iu_filter *f, const iu_fv *v, iu_slice *key, bool *exact) {
  static const uint8_t no_text[4] = {0};
  *exact = v->kind == IU_FV_NULL && f->field.empty_is_null;
  return *exact ? keep(t, no_text, sizeof no_text, key) : make_key(t, f->field.place.type, v, key, exact);
}

static void put_term(terms *t, const iu_filter *f, uint8_t op, iu_slice key) {
  iu_plan_term term = {f->field.column, op, key};
  t->list[t->count++] = term;
}

static iu_status add_equals(terms *t, const iu_filter *f) {
  iu_slice key;
  bool exact;
  iu_status status = equal_key(t, f, &f->value, &key, &exact);
  if (status != IU_OK) return status;
  if (exact) put_term(t, f, IU_CMP_EQ, key);
  else if (iu__filter_key_is_final(&f->value)) t->never = true;
  return IU_OK;
}

static bool holds_text(const iu_type *t) { return t->tag == IU_T_STRING || t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID; }

/* Whether values of the column and v are of kinds that order. */
static bool same_kind(const iu_type *type, const iu_fv *v) {
  if (holds_text(type)) return v->kind == IU_FV_STRING;
  return type->tag == IU_T_BOOL ? v->kind == IU_FV_BOOL : iu__fv_is_number(v);
}

/* Between two integers the bound is the next one on the side that is wanted. */
static iu_status add_compare(terms *t, const iu_filter *f, uint8_t op) {
  iu_fv v = f->value;
  iu_slice key;
  bool exact;
  iu_status status;
  if (!same_kind(f->field.place.type, &v)) {
    t->never = true;
    return IU_OK;
  }
  if (v.kind == IU_FV_DOUBLE && fabs(v.u.d) < DOUBLE_KEY_MAX && v.u.d != trunc(v.u.d)) {
    v.u.d = (op & IU_CMP_GT) != 0 ? ceil(v.u.d) : floor(v.u.d);
    op |= IU_CMP_EQ;
  }
  status = make_key(t, f->field.place.type, &v, &key, &exact);
  if (status == IU_OK && exact) put_term(t, f, op, key);
  return status;
}

/* The least text behind all that begin with this one: its last character becomes the next there is. The new length; 0: there is none. */
static size_t next_text(char *text, size_t len) {
  while (len > 0) {
    size_t start = len - 1;
    uint32_t c = 0;
    while (start > 0 && ((uint8_t)text[start] & 0xc0) == 0x80) start--;
    iu__utf8_decode(text + start, &c);
    c = c == 0xd7ff ? 0xe000 : c + 1; /* what is between is no text */
    if (c <= 0x10ffff) return start + iu__utf8_encode(c, text + start);
    len = start;
  }
  return 0;
}

static iu_status add_starts(terms *t, const iu_filter *f) {
  const iu_type *type = f->field.place.type;
  iu_fv end = f->value;
  iu_slice key;
  iu_status status;
  char *text;
  if (!holds_text(type)) t->never = true;
  if (type->tag != IU_T_STRING || f->value.len == 0) return IU_OK;
  status = string_key(t, &f->value, &key);
  if (status != IU_OK) return status;
  put_term(t, f, IU_CMP_GE, key);
  text = iu__arena_alloc(t->arena, f->value.len + 4); /* the next character may be longer */
  if (text == NULL) return iu__fail_nomem(t->err);
  memcpy(text, f->value.u.s, f->value.len);
  end.u.s = text;
  end.len = next_text(text, f->value.len);
  if (end.len == 0) return IU_OK;
  status = string_key(t, &end, &key);
  if (status == IU_OK) put_term(t, f, IU_CMP_LT, key);
  return status;
}

static bool same_key(iu_slice a, iu_slice b) { return a.len == b.len && memcmp(a.p, b.p, a.len) == 0; }

/* The candidates are sorted, and so are their keys: a kind that the column has not is none of its values. */
static iu_status add_set(terms *t, const iu_filter *f) {
  point_set set = {f->field.column, 0, iu__arena_zero(t->arena, (size_t)f->scalar_count + 1, sizeof *set.keys)};
  if (set.keys == NULL) return iu__fail_nomem(t->err);
  for (uint32_t i = 0; i < f->scalar_count; i++) {
    bool exact;
    iu_status status = equal_key(t, f, &f->scalars[i], &set.keys[set.count], &exact);
    if (status != IU_OK) return status;
    if (!exact && !iu__filter_key_is_final(&f->scalars[i])) return IU_OK; /* one that may match cannot be looked up */
    if (exact && (set.count == 0 || !same_key(set.keys[set.count - 1], set.keys[set.count]))) set.count++;
  }
  if (set.count == 0) t->never = true;
  else if (set.count == 1) put_term(t, f, IU_CMP_EQ, set.keys[0]);
  if (set.count < 2) return IU_OK;
  put_term(t, f, IU_CMP_GE, set.keys[0]);
  put_term(t, f, IU_CMP_LE, set.keys[set.count - 1]);
  if (set.count <= IU_ACCESS_RANGES_MAX) t->sets[t->set_count++] = set;
  return IU_OK;
}

static iu_status add_filter(terms *t, const iu_filter *f) {
  bool compares = f->op >= IU_F_GREATER_THAN && f->op <= IU_F_LESS_OR_EQUAL;
  if (compares && (f->value.kind == IU_FV_NULL || f->value.kind > IU_FV_STRING)) t->never = true;
  if (f->op == IU_F_IN && f->scalar_count + f->doc_count == 0) t->never = true;
  if (t->never || !iu__filter_on_column(f)) return IU_OK;
  switch (f->op) {
    case IU_F_EQUALS: return add_equals(t, f);
    case IU_F_GREATER_THAN: return add_compare(t, f, IU_CMP_GT);
    case IU_F_LESS_THAN: return add_compare(t, f, IU_CMP_LT);
    case IU_F_GREATER_OR_EQUAL: return add_compare(t, f, IU_CMP_GE);
    case IU_F_LESS_OR_EQUAL: return add_compare(t, f, IU_CMP_LE);
    case IU_F_STARTS_WITH: return add_starts(t, f);
    case IU_F_IN: return add_set(t, f);
    default: return IU_OK;
  }
}

/* ---- the ways ---- */

/* The order's column, where an index orders it as results are: not floats, whose zeros and NaNs it orders its own way. */
static bool order_column(const iu_wish *w, uint32_t *column) {
  uint8_t cls;
  if (w->order == NULL || w->order->depth != 1 || w->order->json || w->order->convert) return false;
  cls = iu__scalar_of(w->order->place.type).cls;
  *column = w->order->column;
  return cls != IU_SC_NONE && cls != IU_SC_F32 && cls != IU_SC_F64;
}

/* Rows come by the columns of the index that are not fixed, then by primary key. */
static void set_order(const iu_wish *w, const iu_index_def *index, const point_set *points, iu_access *a) {
  uint32_t fixed = a->ranges[0].prefix_columns, column = 0;
  bool full = fixed == index->column_count, by_column = order_column(w, &column);
  a->order = IU_ORDERED_NOT;
  if (full && points == NULL) { /* one value: by primary key */
    if (w->order == NULL) a->order = IU_ORDERED_AS_WANTED;
    for (uint32_t i = 0; i < fixed && by_column; i++) {
      if (index->columns[i] == column) a->order = IU_ORDERED_AS_WANTED;
    }
    return;
  }
  if (!by_column || index->columns[index->column_count - 1] != column || fixed + (points == NULL) != index->column_count) return;
  if (points != NULL && points->column != column) return;
  a->order = w->descending ? IU_ORDERED_BY_VALUE : IU_ORDERED_AS_WANTED;
  a->descending = w->descending;
}

static const point_set *set_of(const terms *t, uint32_t column) {
  for (uint32_t i = 0; i < t->set_count; i++) {
    if (t->sets[i].column == column) return &t->sets[i];
  }
  return NULL;
}

static iu_status expand(terms *t, const iu_index_def *index, const point_set *set, iu_range *ranges) {
  for (uint32_t i = 0; i < set->count; i++) {
    iu_plan_term term = {set->column, IU_CMP_EQ, set->keys[i]};
    bool narrows;
    t->list[t->count] = term;
    iu_status status = iu__plan_range(t->arena, t->table, index, t->list, t->count + 1, &ranges[i], &narrows, t->err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_status index_access(terms *t, const iu_wish *w, uint32_t number, iu_access *a) {
  const iu_index_def *index = &t->table->indexes[number];
  const point_set *set;
  iu_range *ranges = iu__arena_alloc(t->arena, sizeof *ranges), *many;
  iu_status status;
  memset(a, 0, sizeof *a);
  if (ranges == NULL) return iu__fail_nomem(t->err);
  status = iu__plan_range(t->arena, t->table, index, t->list, t->count, ranges, &a->narrows, t->err);
  if (status != IU_OK) return status;
  set = ranges->prefix_columns < index->column_count ? set_of(t, index->columns[ranges->prefix_columns]) : NULL;
  a->index = number;
  a->ranges = ranges;
  a->count = 1;
  if (set != NULL) {
    many = iu__arena_alloc(t->arena, set->count * sizeof *many);
    if (many == NULL) return iu__fail_nomem(t->err);
    status = expand(t, index, set, many);
    if (status != IU_OK) return status;
    a->ranges = many;
    a->count = set->count;
    a->narrows = true;
  }
  a->unique = set == NULL && index->unique && ranges->prefix_columns == index->column_count;
  set_order(w, index, set, a);
  return IU_OK;
}

static void whole_table(const iu_table_def *table, const iu_wish *w, iu_access *a) {
  uint32_t column;
  memset(a, 0, sizeof *a);
  a->index = IU_INDEX_MAIN;
  if (w->order == NULL) a->order = IU_ORDERED_AS_WANTED;
  if (!order_column(w, &column) || table->primary_key != (int32_t)column) return;
  a->order = IU_ORDERED_AS_WANTED;
  a->descending = w->descending;
}

static iu_status collect(terms *t, const iu_wish *w) {
  size_t room = 2 * (size_t)w->filter_count + 2;
  t->list = iu__arena_zero(t->arena, room, sizeof *t->list);
  t->sets = iu__arena_zero(t->arena, (size_t)w->filter_count + 1, sizeof *t->sets);
  if (t->list == NULL || t->sets == NULL) return iu__fail_nomem(t->err);
  for (uint32_t i = 0; i < w->filter_count; i++) {
    iu_status status = add_filter(t, &w->filters[i]);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_status index_accesses(terms *t, const iu_wish *w, iu_access *list, uint32_t *count) {
  for (uint32_t i = 0; i < t->table->index_count; i++) {
    iu_access *a = &list[*count];
    iu_status status = index_access(t, w, i, a);
    if (status != IU_OK) return status;
    *count += a->narrows || a->order != IU_ORDERED_NOT;
  }
  return IU_OK;
}

iu_status iu__filter_accesses(iu_arena *arena, const iu_table_def *table, iu_path_index *paths, const iu_wish *w, iu_access **out, uint32_t *count,
                              iu_error *err) {
  terms t = {.arena = arena, .table = table, .err = err};
  size_t room = (size_t)table->index_count + 2;
  iu_status status = collect(&t, w);
  for (iu_path_index *x = paths; x != NULL; x = x->next) room++;
  *out = iu__arena_zero(arena, room, sizeof **out);
  if (status != IU_OK) return status;
  if (*out == NULL) return iu__fail_nomem(err);
  whole_table(table, w, &(*out)[0]);
  *count = 1;
  if (t.never) {
    (*out)[1] = (iu_access){.index = IU_INDEX_MAIN, .narrows = true};
    *count = 2;
    return IU_OK;
  }
  status = index_accesses(&t, w, *out, count);
  for (iu_path_index *x = paths; x != NULL && status == IU_OK; x = x->next) {
    bool helps = false;
    if (!x->broken) status = iu__path_access(arena, x, w, &(*out)[*count], &helps, err);
    *count += helps;
  }
  return status;
}
