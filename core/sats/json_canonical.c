/* json_canonical.c: JSON text to canonical JSON text (json.h): the bytes of Python's json.dumps(value, sort_keys=True).
 *
 * Parses into a tree of its own, which borrows the text, and writes it in key order. Memory while it runs: the tree. */
#include "json_internal.h"

static void write_value(const iu_json *v, iu_buf *out);

static void write_array(const iu_json *v, iu_buf *out) {
  size_t i;

  iu__buf_put_u8(out, '[');
  for (i = 0; i < v->len && !out->failed; i++) {
    if (i > 0) iu__buf_put(out, ", ", 2);
    write_value(&v->u.elements[i], out);
  }
  iu__buf_put_u8(out, ']');
}

static void write_object(const iu_json *v, iu_buf *out) {
  uint32_t few[IU_JSON_LINEAR_MAX], spare[IU_JSON_LINEAR_MAX];
  const uint32_t *order = few;
  size_t i;

  if (v->len > IU_JSON_LINEAR_MAX) order = iu__json_index(v);
  else iu__json_sort(v->u.members, (uint32_t)v->len, few, spare);
  iu__buf_put_u8(out, '{');
  for (i = 0; i < v->len && !out->failed; i++) {
    const iu_json_member *m = &v->u.members[order[i]];
    if (i > 0) iu__buf_put(out, ", ", 2);
    iu__json_put_string_ascii(out, m->key, m->key_len);
    iu__buf_put(out, ": ", 2);
    write_value(&m->value, out);
  }
  iu__buf_put_u8(out, '}');
}

/* Recurses at most IU_JSON_DEPTH_MAX deep: the reader allows no more. */
static void write_value(const iu_json *v, iu_buf *out) {
  switch (v->token) {
  case IU_J_STRING: iu__json_put_string_ascii(out, v->u.s, v->len); break;
  case IU_J_ARRAY: write_array(v, out); break;
  case IU_J_OBJECT: write_object(v, out); break;
  default: iu__json_write(v, out); break; /* scalars look the same in both forms */
  }
}

iu_status iu__json_canonical(const void *text, size_t len, iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  iu_error detail;
  const iu_json *root;
  iu_status status;

  iu__error_clear(&detail);
  root = iu__json_parse_borrowed(&arena, text, len, &detail);
  if (root != NULL) {
    write_value(root, out);
    status = iu__buf_status(out, err, "canonical JSON");
  } else {
    status = detail.status;
    if (err != NULL) *err = detail;
  }
  iu__arena_free(&arena);
  return status;
}
