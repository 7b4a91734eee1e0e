/* json_canonical.c: the canonical form of json.h: the bytes of Python's json.dumps(value, sort_keys=True), and their hash.
 *
 * A tree's members are written in key order. For a hash the text is made in pieces of HASH_PIECE, or of the largest string. */
#include "json_internal.h"

#include "../base/hash.h"

#define HASH_PIECE ((size_t)32 * 1024)

typedef struct writer { iu_buf *out; iu_sha256 *hash; } writer;

static void write_value(writer *w, const iu_json *v);

static void piece_done(writer *w) {
  iu__sha256_add(w->hash, w->out->data, w->out->len);
  if (!w->out->failed) w->out->len = 0;
}

static inline void next_piece(writer *w) {
  if (w->hash != NULL && w->out->len >= HASH_PIECE) piece_done(w);
}

static void write_array(writer *w, const iu_json *v) {
  uint32_t i;

  iu__buf_put_u8(w->out, '[');
  for (i = 0; i < v->len && !w->out->failed; i++) {
    if (i > 0) iu__buf_put(w->out, ", ", 2);
    write_value(w, &v->u.elements[i]);
    next_piece(w);
  }
  iu__buf_put_u8(w->out, ']');
}

static void write_object(writer *w, const iu_json *v) {
  uint32_t few[IU_JSON_LINEAR_MAX], i;
  const uint32_t *order = few;

  if (v->len > IU_JSON_LINEAR_MAX) order = iu__json_index(v);
  else (void)iu__json_sort(v->u.members, v->len, few); /* so few take no memory */
  iu__buf_put_u8(w->out, '{');
  for (i = 0; i < v->len && !w->out->failed; i++) {
    const iu_json_member *m = &v->u.members[order[i]];
    if (i > 0) iu__buf_put(w->out, ", ", 2);
    iu__json_put_string_ascii(w->out, m->key, m->key_len);
    iu__buf_put(w->out, ": ", 2);
    write_value(w, &m->value);
    next_piece(w);
  }
  iu__buf_put_u8(w->out, '}');
}

/* Recurses at most IU_JSON_DEPTH_MAX deep: no document is deeper. */
static void write_value(writer *w, const iu_json *v) {
  switch (v->token) {
  case IU_J_STRING: iu__json_put_string_ascii(w->out, v->u.s, v->len); break;
  case IU_J_ARRAY: write_array(w, v); break;
  case IU_J_OBJECT: write_object(w, v); break;
  default: iu__json_write(v, w->out); break; /* scalars look the same in both forms */
  }
}

void iu__json_write_canonical(const iu_json *v, iu_buf *out) { write_value(&(writer){out, NULL}, v); }

iu_status iu__json_hash(const iu_json *v, uint8_t digest[32], iu_error *err) {
  iu_buf piece = {0};
  writer w = {&piece, iu__sha256_begin(err)};
  iu_status status, hashed;

  if (w.hash == NULL) return IU_E_NOMEM;
  write_value(&w, v);
  piece_done(&w);
  status = iu__buf_status(&piece, err, "canonical JSON");
  iu__buf_free(&piece);
  hashed = iu__sha256_end(w.hash, digest, status == IU_OK ? err : NULL);
  return status == IU_OK ? hashed : status;
}

iu_status iu__json_canonical(const void *text, size_t len, iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  iu_error detail;
  const iu_json *root;
  iu_status status;

  iu__error_clear(&detail);
  root = iu__json_parse_borrowed(&arena, text, len, &detail);
  if (root != NULL) {
    iu__json_write_canonical(root, out);
    status = iu__buf_status(out, err, "canonical JSON");
  } else {
    status = detail.status;
    if (err != NULL) *err = detail;
  }
  iu__arena_free(&arena);
  return status;
}
