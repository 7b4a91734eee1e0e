/* json_document.c: the in-memory document of json.h: look-up and compact writing. json_parse.c builds it. Writing recurses at most
 * IU_JSON_DEPTH_MAX deep: no document is deeper. */
#include "json_internal.h"

const iu_json *iu__json_get(const iu_json *object, const char *key, size_t len) {
  const uint32_t *index;
  size_t low = 0, high, i;

  if (object->token != IU_J_OBJECT) return NULL;
  if (object->len <= IU_JSON_LINEAR_MAX) {
    for (i = 0; i < object->len; i++)
      if (iu__json_key_compare(&object->u.members[i], key, len) == 0) return &object->u.members[i].value;
    return NULL;
  }
  index = iu__json_index(object);
  for (high = object->len; low < high;) {
    size_t middle = low + (high - low) / 2;
    const iu_json_member *m = &object->u.members[index[middle]];
    int order = iu__json_key_compare(m, key, len);
    if (order == 0) return &m->value;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return NULL;
}

static void write_array(const iu_json *v, iu_buf *out) {
  size_t i;

  iu__buf_put_u8(out, '[');
  for (i = 0; i < v->len && !out->failed; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    iu__json_write(&v->u.elements[i], out);
  }
  iu__buf_put_u8(out, ']');
}

static void write_object(const iu_json *v, iu_buf *out) {
  size_t i;

  iu__buf_put_u8(out, '{');
  for (i = 0; i < v->len && !out->failed; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    iu__json_put_string(out, v->u.members[i].key, v->u.members[i].key_len);
    iu__buf_put_u8(out, ':');
    iu__json_write(&v->u.members[i].value, out);
  }
  iu__buf_put_u8(out, '}');
}

void iu__json_write(const iu_json *v, iu_buf *out) {
  switch (v->token) {
  case IU_J_NULL: iu__buf_put(out, "null", 4); break;
  case IU_J_TRUE: iu__buf_put(out, "true", 4); break;
  case IU_J_FALSE: iu__buf_put(out, "false", 5); break;
  case IU_J_INT: iu__json_put_i64(out, v->u.i); break;
  case IU_J_BIGINT: iu__buf_put(out, v->u.s, v->len); break;
  case IU_J_DOUBLE: iu__json_put_f64(out, v->u.d); break;
  case IU_J_STRING: iu__json_put_string(out, v->u.s, v->len); break;
  case IU_J_ARRAY: write_array(v, out); break;
  default: write_object(v, out); break;
  }
}
