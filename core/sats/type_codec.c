/* type_codec.c: types as BSATN values, both ways. Nothing from outside is trusted: counts are held against the bytes that
 * are left before anything is allocated, depth and the number of nodes are bounded, names are UTF-8 without NUL.
 */
#include "../base/text.h"
#include "type_node.h"

#define VARIANTS_MAX 256

/* ---- encoding ---- */

/* Depth is bounded by iu_type.depth: refs are written as their index, and `base`. */
static void encode(const iu_type *t, uint32_t base, iu_buf *out);

static void encode_fields(const iu_type *t, uint32_t base, iu_buf *out) {
  iu__buf_put_u32(out, t->count);
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_field *f = &t->u.fields[i];
    iu__buf_put_u8(out, f->name != NULL ? 0 : 1);
    if (f->name != NULL) iu__buf_put_bytes(out, f->name, strlen(f->name));
    encode(f->type, base, out);
  }
}

static void encode(const iu_type *t, uint32_t base, iu_buf *out) {
  iu__buf_put_u8(out, t->tag);
  switch (t->tag) {
    case IU_T_REF: iu__buf_put_u32(out, t->count + base); break;
    case IU_T_ARRAY: encode(t->u.element, base, out); break;
    case IU_T_PRODUCT: case IU_T_SUM: encode_fields(t, base, out); break;
    default: break;
  }
}

void iu__type_encode(const iu_type *t, iu_buf *out) { encode(t, 0, out); }
void iu__type_encode_moved(const iu_type *t, uint32_t base, iu_buf *out) { encode(t, base, out); }
void iu__product_encode_moved(const iu_type *product, uint32_t base, iu_buf *out) { encode_fields(product, base, out); }

void iu__typespace_encode(const iu_typespace *ts, iu_buf *out) {
  iu__buf_put_u32(out, ts->count);
  for (uint32_t i = 0; i < ts->count; i++) encode(ts->types[i], 0, out);
}

/* ---- decoding ---- */

typedef struct decoder { iu_typespace *ts; iu_reader *r; iu_error *err; } decoder;

static const iu_type *decode(decoder *d, uint32_t depth);

static const void *bad(decoder *d, size_t at, const char *what) {
  d->r->failed = true;
  iu__fail_at(d->err, IU_E_VALIDATION, at, "%s at byte %zu of a type", what, at);
  return NULL;
}

static const void *no_memory(decoder *d) {
  d->r->failed = true;
  iu__fail_nomem(d->err);
  return NULL;
}

/* False on error; *name stays NULL when there is none. */
static bool decode_name(decoder *d, const char **name) {
  size_t at = iu__reader_offset(d->r);
  uint8_t tag = iu__read_u8(d->r);
  if (!d->r->failed && tag == 1) return true;
  uint32_t len = 0;
  const char *text = tag == 0 ? (const char *)iu__read_bytes(d->r, &len) : NULL;
  if (text == NULL || iu__utf8_check(text, len) != len || memchr(text, 0, len) != NULL) {
    bad(d, at, "expected an optional name, in UTF-8 without NUL,");
    return false;
  }
  *name = iu__arena_strndup(&d->ts->arena, text, len);
  if (*name == NULL) no_memory(d);
  return *name != NULL;
}

static const iu_type *decode_compound(decoder *d, iu_type_tag tag, uint32_t depth) {
  size_t at = iu__reader_offset(d->r);
  uint32_t count = iu__read_u32(d->r);
  /* a field takes two bytes at least: its name's tag and its type's */
  if (d->r->failed || count > iu__reader_left(d->r) / 2) return bad(d, at, "more fields than bytes");
  if (count > (tag == IU_T_SUM ? VARIANTS_MAX : IU_TYPE_FIELDS_MAX)) {
    return bad(d, at, tag == IU_T_SUM ? "more than 256 variants" : "more than 4096 fields");
  }
  iu_field *fields = iu__arena_zero(&d->ts->arena, count != 0 ? count : 1, sizeof *fields);
  if (fields == NULL) return no_memory(d);
  for (uint32_t i = 0; i < count; i++) {
    if (!decode_name(d, &fields[i].name)) return NULL;
    fields[i].type = decode(d, depth);
    if (fields[i].type == NULL) return NULL;
  }
  const iu_type *t = iu__type_make_compound(d->ts, tag, count, fields);
  return t != NULL ? t : no_memory(d);
}

static const iu_type *decode_array(decoder *d, uint32_t depth) {
  const iu_type *element = decode(d, depth);
  if (element == NULL) return NULL;
  const iu_type *t = iu__type_make_array(d->ts, element);
  return t != NULL ? t : no_memory(d);
}

static const iu_type *decode_ref(decoder *d, size_t at) {
  uint32_t index = iu__read_u32(d->r);
  if (d->r->failed) return bad(d, at, "expected the index of a reference");
  const iu_type *t = iu__type_make_ref(d->ts, index);
  return t != NULL ? t : no_memory(d);
}

/* `depth` is the number of products, sums and arrays around this type. */
static const iu_type *decode(decoder *d, uint32_t depth) {
  size_t at = iu__reader_offset(d->r);
  uint8_t tag = iu__read_u8(d->r);
  if (d->r->failed || tag >= IU_T_COUNT) return bad(d, at, "expected the tag of a type");
  if (!iu__type_count(d->ts)) return bad(d, at, "more than 65536 type nodes");
  if (tag == IU_T_REF) return decode_ref(d, at);
  if (tag >= IU_T_STRING) return iu__type_scalar((iu_type_tag)tag);
  if (depth >= IU_TYPE_DEPTH_MAX) return bad(d, at, "types nested over 64 deep");
  if (tag == IU_T_ARRAY) return decode_array(d, depth + 1);
  return decode_compound(d, (iu_type_tag)tag, depth + 1);
}

const iu_type *iu__type_decode(iu_typespace *ts, iu_reader *r, iu_error *err) {
  decoder d = {ts, r, err};
  return decode(&d, 0);
}

const iu_type *iu__product_decode(iu_typespace *ts, iu_reader *r, iu_error *err) {
  decoder d = {ts, r, err};
  if (!iu__type_count(ts)) return bad(&d, iu__reader_offset(r), "more than 65536 type nodes");
  return decode_compound(&d, IU_T_PRODUCT, 1);
}

iu_status iu__typespace_decode(iu_typespace *ts, iu_reader *r, iu_error *err) {
  iu_error own;
  decoder d = {ts, r, err != NULL ? err : &own};
  size_t at = iu__reader_offset(r);
  uint32_t count = iu__read_u32(r);
  if (r->failed || count > iu__reader_left(r) || count > IU_TYPE_NODES_MAX) {
    bad(&d, at, "more types than bytes, or than 65536,");
    return IU_E_VALIDATION;
  }
  const iu_type **types = iu__arena_zero(&ts->arena, count != 0 ? count : 1, sizeof *types);
  if (types == NULL) return iu__fail_nomem(err);
  ts->types = types;
  for (uint32_t i = 0; i < count; i++) {
    types[i] = decode(&d, 0);
    if (types[i] == NULL) return d.err->status;
    ts->count = i + 1;
  }
  return IU_OK;
}
