/* bsatn.c: checking BSATN from outside against its type.
 *
 * The walk keeps one pointer; parts whose every byte pattern is valid (iu_type.plain) cost one comparison whatever they hold, strings
 * are checked in place, so a row of scalars and strings is one loop. Every element that is not zero-sized takes a byte at least, so counts are
 * refused before they are looped over.
 */
#include "bsatn.h"

#include "../base/text.h"

typedef struct walk { const uint8_t *base, *end; iu_error *err; } walk;

static const uint8_t *check(const walk *w, const iu_type *t, const uint8_t *p, uint32_t depth);

static const uint8_t *too_short(const walk *w, const iu_type *t, const uint8_t *p) {
  size_t at = (size_t)(p - w->base), left = (size_t)(w->end - p);
  iu__fail_at(w->err, IU_E_VALIDATION, at, "expected %s at byte %zu, but only %zu bytes are left", iu__type_label(t), at, left);
  return NULL;
}

static const uint8_t *invalid(const walk *w, const uint8_t *p, const char *what) {
  size_t at = (size_t)(p - w->base);
  iu__fail_at(w->err, IU_E_VALIDATION, at, "%s at byte %zu", what, at);
  return NULL;
}

static inline const uint8_t *check_string(const walk *w, const uint8_t *p) {
  size_t left = (size_t)(w->end - p), valid;
  if (left < 4) return too_short(w, iu__type_scalar(IU_T_STRING), p);
  size_t len = iu__load_u32(p);
  if (left - 4 < len) return too_short(w, iu__type_scalar(IU_T_STRING), p);
  valid = iu__utf8_check((const char *)p + 4, len);
  return valid == len ? p + 4 + len : invalid(w, p + 4 + valid, "invalid UTF-8");
}

static const uint8_t *check_product(const walk *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  const iu_field *f = t->u.fields, *stop = f + t->count;
  for (; f != stop; f++) {
    const uint8_t *next;
    if (f->type->plain) {
      next = (size_t)(w->end - p) >= f->type->fixed_size ? p + f->type->fixed_size : too_short(w, f->type, p);
    } else if (f->type->tag == IU_T_STRING) {
      next = check_string(w, p);
    } else {
      next = check(w, f->type, p, depth + 1);
    }
    if (next == NULL) {
      if (f->name != NULL) iu__error_prefix(w->err, "%s", f->name);
      return NULL;
    }
    p = next;
  }
  return p;
}

static const uint8_t *check_sum(const walk *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  if (p == w->end) return too_short(w, t, p);
  if (*p >= t->count) {
    size_t at = (size_t)(p - w->base);
    iu__fail_at(w->err, IU_E_VALIDATION, at, "variant %u at byte %zu, but %s has only %u", *p, at, iu__type_label(t), t->count);
    return NULL;
  }
  const iu_field *f = &t->u.fields[*p];
  p = check(w, f->type, p + 1, depth + 1);
  if (p == NULL && f->name != NULL) iu__error_prefix(w->err, "%s", f->name);
  return p;
}

static const uint8_t *check_array(const walk *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  const uint8_t *start = p;
  const iu_type *element = t->u.element;
  if (w->end - p < 4) return too_short(w, t, p);
  uint32_t count = iu__load_u32(p);
  p += 4;
  if (element->fixed_size == 0) {
    return count <= IU_ZERO_SIZED_MAX ? p : invalid(w, start, "more than 65536 elements that take no bytes");
  }
  size_t least = element->fixed_size != IU_SIZE_VARIES ? element->fixed_size : 1;
  if (count > (size_t)(w->end - p) / least) return invalid(w, start, "more elements than bytes");
  if (element->plain) return p + count * least;
  for (uint32_t i = 0; i < count; i++) {
    p = element->tag == IU_T_STRING ? check_string(w, p) : check(w, element, p, depth + 1);
    if (p == NULL) {
      iu__error_prefix(w->err, "[%u]", i);
      return NULL;
    }
  }
  return p;
}

static const uint8_t *check(const walk *w, const iu_type *t, const uint8_t *p, uint32_t depth) {
  if (t->plain) return (size_t)(w->end - p) >= t->fixed_size ? p + t->fixed_size : too_short(w, t, p);
  t = iu__type_deref(t);
  if (t->tag == IU_T_STRING) return check_string(w, p);
  if (t->tag == IU_T_BOOL) {
    if (p == w->end) return too_short(w, t, p);
    return *p <= 1 ? p + 1 : invalid(w, p, "expected 0 or 1 for Bool");
  }
  if (depth >= IU_TYPE_DEPTH_MAX) return invalid(w, p, "value nested over 64 deep");
  if (t->tag == IU_T_PRODUCT) return check_product(w, t, p, depth);
  if (t->tag == IU_T_SUM) return check_sum(w, t, p, depth);
  return check_array(w, t, p, depth);
}

iu_status iu__bsatn_check(const iu_type *t, iu_reader *r, iu_error *err) {
  static const uint8_t nothing[1];
  bool empty = r->p == NULL; /* no bytes at all: NULL must not look like a failure */
  walk w = {empty ? nothing : r->base, empty ? nothing : r->end, err};
  const uint8_t *p = r->failed ? NULL : check(&w, t, empty ? nothing : r->p, 0);
  if (p == NULL) {
    if (r->failed) iu__fail_at(err, IU_E_VALIDATION, iu__reader_offset(r), "the bytes end too early");
    r->failed = true;
    return IU_E_VALIDATION;
  }
  if (!empty) r->p = p;
  return IU_OK;
}

iu_status iu__bsatn_check_all(const iu_type *t, const void *bytes, size_t len, iu_error *err) {
  static const uint8_t nothing[1];
  iu_reader r = iu__reader(len != 0 ? bytes : nothing, len);
  iu_status status = iu__bsatn_check(t, &r, err);
  if (status != IU_OK || r.p == r.end) return status;
  size_t at = iu__reader_offset(&r);
  return iu__fail_at(err, IU_E_VALIDATION, at, "%zu bytes too many at byte %zu", len - at, at);
}
