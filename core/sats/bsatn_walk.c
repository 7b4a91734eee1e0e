/* bsatn_walk.c: valid BSATN values: skip, column, total order. Bounds and depth still hold, for a stored row that is damaged
 * must not take the process along; what is in them is not looked at again.
 */
#include "bsatn.h"

#include "../base/text.h"

/* ---- skip ---- */

static const uint8_t *skip(const iu_type *t, const uint8_t *p, const uint8_t *end, uint32_t depth);

static inline const uint8_t *forward(const uint8_t *p, const uint8_t *end, uint64_t len) {
  return (uint64_t)(end - p) >= len ? p + len : NULL;
}

static inline const uint8_t *skip_string(const uint8_t *p, const uint8_t *end) {
  return end - p >= 4 ? forward(p + 4, end, iu__load_u32(p)) : NULL;
}

/* The first `count` fields of a product. */
static const uint8_t *skip_fields(const iu_type *t, uint32_t count, const uint8_t *p, const uint8_t *end, uint32_t depth) {
  for (uint32_t i = 0; i < count && p != NULL; i++) {
    const iu_type *field = t->u.fields[i].type;
    if (field->fixed_size != IU_SIZE_VARIES) p = forward(p, end, field->fixed_size);
    else if (field->tag == IU_T_STRING) p = skip_string(p, end);
    else p = skip(field, p, end, depth + 1);
  }
  return p;
}

static const uint8_t *skip_array(const iu_type *t, const uint8_t *p, const uint8_t *end, uint32_t depth) {
  const iu_type *element = t->u.element;
  if (end - p < 4) return NULL;
  uint32_t count = iu__load_u32(p);
  p += 4;
  if (element->fixed_size != IU_SIZE_VARIES) return forward(p, end, (uint64_t)count * element->fixed_size);
  for (uint32_t i = 0; i < count && p != NULL; i++) {
    p = element->tag == IU_T_STRING ? skip_string(p, end) : skip(element, p, end, depth + 1);
  }
  return p;
}

static const uint8_t *skip(const iu_type *t, const uint8_t *p, const uint8_t *end, uint32_t depth) {
  if (t->fixed_size != IU_SIZE_VARIES) return forward(p, end, t->fixed_size);
  t = iu__type_deref(t);
  if (t->tag == IU_T_STRING) return skip_string(p, end);
  if (depth >= IU_TYPE_DEPTH_MAX) return NULL;
  if (t->tag == IU_T_PRODUCT) return skip_fields(t, t->count, p, end, depth);
  if (t->tag == IU_T_ARRAY) return skip_array(t, p, end, depth);
  if (p == end || *p >= t->count) return NULL;
  return skip(t->u.fields[*p].type, p + 1, end, depth + 1);
}

const uint8_t *iu__bsatn_skip(const iu_type *t, const uint8_t *p, const uint8_t *end) {
  return p != NULL ? skip(t, p, end, 0) : NULL;
}

iu_slice iu__bsatn_column(const iu_type *product, uint32_t index, const uint8_t *row, size_t len) {
  static const uint8_t nothing[1];
  iu_slice none = {NULL, 0};
  product = iu__type_deref(product);
  if (row == NULL) row = nothing;
  if (product->tag != IU_T_PRODUCT || index >= product->count) return none;
  if (index == 0 && product->u.fields[0].type->fixed_size <= len) return (iu_slice){row, product->u.fields[0].type->fixed_size}; /* IU_SIZE_VARIES is larger */
  const uint8_t *end = row + len, *from = skip_fields(product, index, row, end, 0);
  if (from == NULL) return none;
  const uint8_t *to = skip(product->u.fields[index].type, from, end, 1);
  return to != NULL ? (iu_slice){from, (size_t)(to - from)} : none;
}

/* ---- order ---- */

typedef struct cursor { const uint8_t *p, *end; } cursor;

static int compare(const iu_type *t, cursor *a, cursor *b, uint32_t depth);

static inline size_t left(const cursor *c) { return (size_t)(c->end - c->p); }

static inline int order_u64(uint64_t a, uint64_t b) { return (a > b) - (a < b); }

static inline int order_bytes(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen) {
  size_t least = alen < blen ? alen : blen;
  int c = least != 0 ? memcmp(a, b, least) : 0;
  return c != 0 ? (c > 0) - (c < 0) : order_u64(alen, blen);
}

/* What is not a value of its type (damage): some order, and nothing is left to compare. */
static int order_rest(cursor *a, cursor *b) {
  int c = order_bytes(a->p, left(a), b->p, left(b));
  a->p = a->end;
  b->p = b->end;
  return c;
}

/* Little-endian integer of 1, 2, 4 or 8 bytes. */
static inline uint64_t load(const uint8_t *p, uint32_t size) {
  switch (size) {
    case 1: return *p;
    case 2: return iu__load_u16(p);
    case 4: return iu__load_u32(p);
    default: return iu__load_u64(p);
  }
}

/* Bits of a float of `size` bytes to an unsigned integer in the same order: negative numbers are flipped whole. */
static inline uint64_t float_key(uint64_t bits, uint32_t size) {
  uint64_t sign = (uint64_t)1 << (8 * size - 1);
  return (bits & sign) != 0 ? ~bits & (sign | (sign - 1)) : bits | sign;
}

/* Bits of a signed integer of `size` bytes, likewise. */
static inline uint64_t signed_key(uint64_t bits, uint32_t size) { return bits ^ (uint64_t)1 << (8 * size - 1); }

static inline int order_scalar(uint8_t tag, const uint8_t *a, const uint8_t *b, uint32_t size) {
  switch (tag) {
    case IU_T_I8: case IU_T_I16: case IU_T_I32: case IU_T_I64:
      return order_u64(signed_key(load(a, size), size), signed_key(load(b, size), size));
    case IU_T_F32: case IU_T_F64: return order_u64(float_key(load(a, size), size), float_key(load(b, size), size));
    case IU_T_I128: case IU_T_I256: return iu__wide_compare(a, b, size, true);
    case IU_T_U128: case IU_T_U256: return iu__wide_compare(a, b, size, false);
    default: return order_u64(load(a, size), load(b, size));
  }
}

/* The counts or lengths in front; false when they or so many elements of `size` bytes are not there. */
static bool take_counts(cursor *a, cursor *b, uint32_t *na, uint32_t *nb, uint32_t size) {
  if (left(a) < 4 || left(b) < 4) return false;
  *na = iu__load_u32(a->p);
  *nb = iu__load_u32(b->p);
  if ((left(a) - 4) < (uint64_t)*na * size || (left(b) - 4) < (uint64_t)*nb * size) return false;
  a->p += 4;
  b->p += 4;
  return true;
}

static int compare_bytes(cursor *a, cursor *b) {
  uint32_t na, nb;
  if (!take_counts(a, b, &na, &nb, 1)) return order_rest(a, b);
  int c = order_bytes(a->p, na, b->p, nb);
  a->p += na;
  b->p += nb;
  return c;
}

static int compare_array(const iu_type *t, cursor *a, cursor *b, uint32_t depth) {
  uint32_t na, nb;
  if (!take_counts(a, b, &na, &nb, 0)) return order_rest(a, b);
  uint32_t least = t->u.element->fixed_size == 0 ? 0 : na < nb ? na : nb;
  for (uint32_t i = 0; i < least; i++) {
    int c = compare(t->u.element, a, b, depth + 1);
    if (c != 0) return c;
    if (left(a) + left(b) == 0) break; /* damaged counts must not make this loop long */
  }
  return order_u64(na, nb);
}

static int compare_sum(const iu_type *t, cursor *a, cursor *b, uint32_t depth) {
  if (left(a) == 0 || left(b) == 0 || *a->p >= t->count || *b->p >= t->count) return order_rest(a, b);
  if (*a->p != *b->p) return order_u64(*a->p, *b->p);
  const iu_type *payload = t->u.fields[*a->p].type;
  a->p++;
  b->p++;
  return compare(payload, a, b, depth + 1);
}

static int compare(const iu_type *t, cursor *a, cursor *b, uint32_t depth) {
  t = iu__type_deref(t);
  if (t->tag == IU_T_STRING || t->special == IU_S_BYTES) return compare_bytes(a, b);
  if (t->tag > IU_T_STRING) {
    uint32_t size = t->fixed_size;
    if (left(a) < size || left(b) < size) return order_rest(a, b);
    int c = order_scalar(t->tag, a->p, b->p, size);
    a->p += size;
    b->p += size;
    return c;
  }
  /* without this, damaged or valueless types could make the walk long while no byte is consumed */
  if (t->fixed_size == 0 || left(a) + left(b) == 0) return 0;
  if (depth >= IU_TYPE_DEPTH_MAX) return order_rest(a, b);
  if (t->tag == IU_T_ARRAY) return compare_array(t, a, b, depth);
  if (t->tag == IU_T_SUM) return compare_sum(t, a, b, depth);
  int c = 0;
  for (uint32_t i = 0; i < t->count && c == 0; i++) c = compare(t->u.fields[i].type, a, b, depth + 1);
  return c;
}

int iu__bsatn_compare(const iu_type *t, iu_slice a, iu_slice b) {
  static const uint8_t nothing[1];
  cursor ca = {a.len != 0 ? a.p : nothing, NULL}, cb = {b.len != 0 ? b.p : nothing, NULL};
  ca.end = ca.p + a.len;
  cb.end = cb.p + b.len;
  return compare(t, &ca, &cb, 0);
}
