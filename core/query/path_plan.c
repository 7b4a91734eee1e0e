/* path_plan.c: filters on a field with an index of its own as spans of that index (filter_plan.h).
 *
 * A condition is a span of bytes from `low` on and before `high`; all of them are cut with each other. Of a text that was too long for the index only the
 * first bytes are in it: a bound on such bytes takes them in, on either side. One In becomes several spans of one value each.
 */
#include "filter_plan.h"

typedef struct spanner {
  iu_arena *arena;
  iu_path_index *x;
  iu_value_span all;         /* what every condition leaves */
  bool narrows, one;         /* one: a single value */
  const iu_filter *set;      /* an In with the fewest candidates */
  iu_buf bytes;
  iu_error *err;
} spanner;

static int compare(iu_slice a, iu_slice b) {
  int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
  return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* A copy of what is in `bytes`; `after`: the least bytes behind all that begin so, which is one value at most, or texts. No value ends in 255. */
static iu_status keep(spanner *s, bool after, iu_slice *out) {
  uint8_t *copy = iu__arena_alloc(s->arena, s->bytes.len);
  if (copy == NULL) return iu__fail_nomem(s->err);
  memcpy(copy, s->bytes.data, s->bytes.len);
  copy[s->bytes.len - 1] = (uint8_t)(copy[s->bytes.len - 1] + after);
  *out = (iu_slice){copy, s->bytes.len};
  return IU_OK;
}

static iu_status keep_byte(spanner *s, uint8_t byte, iu_slice *out) {
  iu__buf_reset(&s->bytes);
  iu__buf_put_u8(&s->bytes, byte);
  iu_status status = iu__buf_status(&s->bytes, s->err, "a value");
  return status == IU_OK ? keep(s, false, out) : status;
}

static void narrow(spanner *s, iu_value_span by) {
  if (by.low.len != 0 && (s->all.low.len == 0 || compare(by.low, s->all.low) > 0)) s->all.low = by.low;
  if (by.high.len != 0 && (s->all.high.len == 0 || compare(by.high, s->all.high) < 0)) s->all.high = by.high;
  s->narrows = true;
}

static iu_status span_of_value(spanner *s, const iu_fv *v, iu_value_span *out) {
  bool cut;
  iu_status status = iu__value_bytes(v, &s->bytes, &cut, s->err);
  if (status == IU_OK) status = keep(s, false, &out->low);
  return status == IU_OK ? keep(s, true, &out->high) : status;
}

/* Values of other kinds than the filter's are not ordered with it, and NaN with nothing. */
static iu_status add_compare(spanner *s, const iu_filter *f) {
  bool up = f->op == IU_F_GREATER_THAN || f->op == IU_F_GREATER_OR_EQUAL, cut;
  bool with = f->op == IU_F_GREATER_OR_EQUAL || f->op == IU_F_LESS_OR_EQUAL;
  iu_value_span span;
  uint8_t kind;
  iu_status status = iu__value_bytes(&f->value, &s->bytes, &cut, s->err);
  if (status != IU_OK) return status;
  kind = s->bytes.data[0];
  with = with || cut;
  status = keep(s, up != with, up ? &span.low : &span.high);
  if (kind == IU_VB_TRUE) kind = IU_VB_FALSE;
  if (status == IU_OK) status = keep_byte(s, !up ? kind : kind == IU_VB_FALSE ? IU_VB_NUMBER : kind + 1, up ? &span.high : &span.low);
  if (status == IU_OK) narrow(s, span);
  return status;
}

static iu_status add_starts(spanner *s, const iu_filter *f) {
  iu_value_span span;
  iu_status status = iu__value_text_bytes(f->value.u.s, f->value.len, &s->bytes, s->err);
  if (status == IU_OK) status = keep(s, false, &span.low);
  if (status == IU_OK) status = keep(s, true, &span.high);
  if (status == IU_OK) narrow(s, span);
  return status;
}

static iu_status add_filter(spanner *s, const iu_filter *f) {
  iu_value_span span;
  iu_status status;
  switch (f->op) {
    case IU_F_EQUALS:
      status = span_of_value(s, &f->value, &span);
      if (status == IU_OK) narrow(s, span);
      s->one = true;
      return status;
    case IU_F_GREATER_THAN:
    case IU_F_LESS_THAN:
    case IU_F_GREATER_OR_EQUAL:
    case IU_F_LESS_OR_EQUAL: return add_compare(s, f);
    case IU_F_STARTS_WITH: return add_starts(s, f);
    case IU_F_IN:
      if (f->scalar_count < IU_ACCESS_RANGES_MAX && (s->set == NULL || f->scalar_count < s->set->scalar_count)) s->set = f;
      return IU_OK;
    default: return IU_OK;
  }
}

static bool within(const spanner *s, const iu_value_span *span) {
  return (s->all.low.len == 0 || compare(span->low, s->all.low) >= 0) && (s->all.high.len == 0 || compare(span->low, s->all.high) < 0);
}

/* The candidates are sorted as their bytes are; arrays and objects come last, and all are alike. */
static iu_status expand(spanner *s, iu_access *out) {
  const iu_filter *f = s->set;
  iu_value_span *spans = iu__arena_zero(s->arena, (size_t)f->scalar_count + 1, sizeof *spans);
  uint32_t n = 0;
  if (spans == NULL) return iu__fail_nomem(s->err);
  for (uint32_t i = 0; i < f->scalar_count + (f->doc_count > 0); i++) {
    iu_status status = span_of_value(s, i < f->scalar_count ? &f->scalars[i] : &f->docs[0], &spans[n]);
    if (status != IU_OK) return status;
    if (within(s, &spans[n]) && (n == 0 || compare(spans[n - 1].low, spans[n].low) != 0)) n++;
  }
  out->spans = spans;
  out->count = n;
  out->narrows = true;
  return IU_OK;
}

static iu_status one_span(spanner *s, iu_access *out) {
  iu_value_span *span = iu__arena_alloc(s->arena, sizeof *span);
  if (span == NULL) return iu__fail_nomem(s->err);
  *span = s->all;
  out->spans = span;
  out->count = 1;
  out->narrows = s->narrows;
  return IU_OK;
}

static void set_order(const spanner *s, const iu_wish *w, iu_access *out) {
  bool by_this = w->order != NULL && iu__field_same(w->order, &s->x->field);
  if (s->one && s->set == NULL && (w->order == NULL || by_this)) {
    out->order = IU_ORDERED_AS_WANTED; /* one value: by primary key */
  } else if (by_this && s->x->cut == 0) {
    out->order = w->descending ? IU_ORDERED_BY_VALUE : IU_ORDERED_AS_WANTED;
    out->descending = w->descending;
  }
}

static iu_status find(spanner *s, const iu_wish *w, iu_access *out) {
  for (uint32_t i = 0; i < w->filter_count; i++) {
    iu_status status = iu__field_same(&w->filters[i].field, &s->x->field) ? add_filter(s, &w->filters[i]) : IU_OK;
    if (status != IU_OK) return status;
  }
  iu_status status = s->set != NULL ? expand(s, out) : one_span(s, out);
  if (status == IU_OK) set_order(s, w, out);
  return status;
}

iu_status iu__path_access(iu_arena *arena, iu_path_index *x, const iu_wish *w, iu_access *out, bool *helps, iu_error *err) {
  spanner s = {.arena = arena, .x = x, .err = err};
  memset(out, 0, sizeof *out);
  out->index = IU_INDEX_MAIN;
  out->path = x;
  iu_status status = find(&s, w, out);
  iu__buf_free(&s.bytes);
  *helps = status == IU_OK && (out->narrows || out->order != IU_ORDERED_NOT);
  return status;
}
