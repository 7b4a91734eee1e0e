/* layout.c: see layout.h.
 *
 * Normal forms: integers big-endian with the sign bit flipped, floats by their bits with negatives inverted, byte strings with
 * 0 as 1 1, 1 as 1 2 and a 0 at the end, so that a shorter string comes before its extensions and the common text stays as it is.
 */
#include "layout.h"

#include "../base/alloc.h"

static uint8_t kind_of(const iu_type *t) {
  switch (t->tag) {
    case IU_T_BOOL: case IU_T_U8: case IU_T_U16: case IU_T_U32: case IU_T_U64: case IU_T_U128: case IU_T_U256:
      return IU_COLUMN_UNSIGNED;
    case IU_T_I8: case IU_T_I16: case IU_T_I32: case IU_T_I64: case IU_T_I128: case IU_T_I256:
      return IU_COLUMN_SIGNED;
    case IU_T_F32: case IU_T_F64:
      return IU_COLUMN_FLOAT;
    case IU_T_STRING:
      return IU_COLUMN_BYTES;
    case IU_T_ARRAY:
      return iu__type_deref(t->u.element)->tag == IU_T_U8 ? IU_COLUMN_BYTES : IU_COLUMN_OTHER;
    case IU_T_SUM:
      return t->fixed_size == 1 ? IU_COLUMN_UNSIGNED : IU_COLUMN_OTHER;
    default:
      return IU_COLUMN_OTHER;
  }
}

/* Identity, Timestamp and other products around one value order as the value. */
static const iu_type *unwrap(const iu_type *t) {
  int depth = 0;

  t = iu__type_deref(t);
  while (t->tag == IU_T_PRODUCT && t->count == 1 && depth++ < IU_TYPE_DEPTH_MAX) t = iu__type_deref(t->u.fields[0].type);
  return t;
}

static void set_runs(iu_layout *l) {
  uint32_t after = 0, before = 0, i;

  for (i = 0; i < l->count; i++) {
    iu_column *c = &l->columns[i];
    c->after = after;
    c->before = (uint16_t)before;
    after = c->size == IU_SIZE_VARIES ? 0 : after + c->size;
    if (c->size == IU_SIZE_VARIES) before = i;
  }
  for (i = l->count; i-- > 0;) l->columns[i].at = (uint16_t)(l->columns[i].size == IU_SIZE_VARIES || i + 1 == l->count ? i : l->columns[i + 1].at);
}

bool iu__layout_init(iu_layout *l, const iu_type *row) {
  uint32_t i, offset = 0;

  l->count = row->count;
  l->first_varying = row->count;
  l->columns = iu__alloc_zero(row->count, sizeof *l->columns);
  if (l->columns == NULL) return false;
  for (i = 0; i < row->count; i++) {
    iu_column *c = &l->columns[i];
    c->type = unwrap(row->u.fields[i].type);
    c->size = c->type->fixed_size;
    c->kind = kind_of(c->type);
    c->offset = offset;
    if (offset == IU_SIZE_VARIES) continue;
    if (c->size == IU_SIZE_VARIES) {
      l->first_varying = i;
      offset = IU_SIZE_VARIES;
    } else {
      offset += c->size;
    }
  }
  set_runs(l);
  return true;
}

void iu__layout_free(iu_layout *l) {
  iu__free(l->columns);
  l->columns = NULL;
  l->count = 0;
}

static uint64_t float_bits(const uint8_t *p, size_t size) {
  uint64_t bits = size == 4 ? (uint64_t)iu__load_u32(p) << 32 : iu__load_u64(p);
  return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static int compare_u64(uint64_t a, uint64_t b) { return (a > b) - (a < b); }

static int compare_wide(const uint8_t *a, const uint8_t *b, size_t size, uint8_t flip) {
  size_t i = size - 1;
  uint8_t x = a[i] ^ flip, y = b[i] ^ flip;

  while (x == y && i > 0) { i--; x = a[i]; y = b[i]; }
  return (x > y) - (x < y);
}

static int compare_bytes(iu_slice a, iu_slice b) {
  size_t la = a.len - 4, lb = b.len - 4, shorter = la < lb ? la : lb;
  int c = shorter != 0 ? memcmp(a.p + 4, b.p + 4, shorter) : 0;

  return c != 0 ? c : (la > lb) - (la < lb);
}

int iu__column_compare(const iu_column *c, iu_slice a, iu_slice b) {
  switch (c->kind) {
    case IU_COLUMN_UNSIGNED:
      return c->size == 8 ? compare_u64(iu__load_u64(a.p), iu__load_u64(b.p)) : compare_wide(a.p, b.p, c->size, 0);
    case IU_COLUMN_SIGNED: {
      uint64_t flip = UINT64_C(1) << 63;
      return c->size == 8 ? compare_u64(iu__load_u64(a.p) ^ flip, iu__load_u64(b.p) ^ flip) : compare_wide(a.p, b.p, c->size, 0x80);
    }
    case IU_COLUMN_FLOAT:
      return compare_u64(float_bits(a.p, c->size), float_bits(b.p, c->size));
    case IU_COLUMN_BYTES:
      return compare_bytes(a, b);
    default:
      return iu__bsatn_compare(c->type, a, b);
  }
}

static size_t put_u64(uint8_t *out, size_t n, size_t cap, uint64_t v, size_t size) {
  size_t i;

  if (size == 8 && n + 8 <= cap) {
    iu__store_big(out + n, v);
    return n + 8;
  }
  for (i = 0; i < size && n < cap; i++) out[n++] = (uint8_t)(v >> (56 - 8 * i));
  return n;
}

static size_t put_integer(uint8_t *out, size_t n, size_t cap, const uint8_t *p, size_t size, uint8_t flip) {
  size_t i = size;

  if (size == 8) return put_u64(out, n, cap, iu__load_u64(p) ^ (uint64_t)flip << 56, 8);
  while (i > 0 && n < cap) {
    i--;
    out[n++] = p[i] ^ (i == size - 1 ? flip : 0);
  }
  return n;
}

/* Whether any of the eight bytes is below 2. */
static bool has_escape(const uint8_t *p) {
  uint64_t x;

  memcpy(&x, p, 8);
  return ((x - UINT64_C(0x0202020202020202)) & ~x & UINT64_C(0x8080808080808080)) != 0;
}

static size_t put_bytes(uint8_t *out, size_t n, size_t cap, const uint8_t *p, size_t len) {
  size_t i = 0;

  while (i + 8 <= len && n + 8 <= cap && !has_escape(p + i)) {
    memcpy(out + n, p + i, 8);
    n += 8;
    i += 8;
  }
  for (; i < len && n < cap; i++) {
    if (p[i] < 2) {
      out[n++] = 1;
      if (n < cap) out[n++] = p[i] + 1;
    } else {
      out[n++] = p[i];
    }
  }
  if (n < cap) out[n++] = 0;
  return n;
}

size_t iu__column_norm(const iu_column *c, iu_slice v, uint8_t *out, size_t n, size_t cap, bool *stop) {
  switch (c->kind) {
    case IU_COLUMN_UNSIGNED: return put_integer(out, n, cap, v.p, c->size, 0);
    case IU_COLUMN_SIGNED: return put_integer(out, n, cap, v.p, c->size, 0x80);
    case IU_COLUMN_FLOAT: return put_u64(out, n, cap, float_bits(v.p, c->size), c->size);
    case IU_COLUMN_BYTES: return put_bytes(out, n, cap, v.p + 4, v.len - 4);
    default: *stop = true; return n;
  }
}
