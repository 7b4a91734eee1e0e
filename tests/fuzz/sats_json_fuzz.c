/* sats_json_fuzz.c: libFuzzer target for JSON text: the input is the length of a path, a dotted path, and a text. Reader, check, document and canonical
 * form must agree on what is JSON; what the document writes is the same document; canonical text is its own canonical form; a value
 * found at a path without a tree is the one the tree has there.
 */
#include "input.h"

#include "../../core/base/text.h"
#include "../../core/sats/json.h"

/* Token by token to the end, and over the whole value at once. */
static bool read_all(const void *text, size_t len) {
  iu_json_reader r;
  iu_json_token t;
  iu_error err = {0};
  iu__json_reader_init(&r, text, len, &err);
  do {
    t = iu__json_next(&r);
    MUST(r.p <= r.end && r.at <= r.end && r.depth <= IU_JSON_DEPTH_MAX);
    if (t == IU_J_STRING || t == IU_J_KEY || t == IU_J_BIGINT) MUST(iu__utf8_check(r.s, r.len) == r.len);
  } while (t != IU_J_END && t != IU_J_ERROR);
  MUST((t == IU_J_ERROR) == (err.message[0] != '\0'));
  iu__json_reader_free(&r);
  iu__json_reader_init(&r, text, len, NULL);
  iu_status skipped = iu__json_skip(&r, iu__json_next(&r));
  MUST((skipped == IU_OK && iu__json_next(&r) == IU_J_END) == (t == IU_J_END));
  iu__json_reader_free(&r);
  return t == IU_J_END;
}

/* As iu__json_find says: the last of duplicate keys, plain decimal indexes. */
static const iu_json *node_at(const iu_json *v, const iu_path *path) {
  for (uint32_t i = 0; i < path->count && v != NULL; i++) {
    const char *s = path->segments[i];
    size_t len = path->lens[i], index = 0;
    if (v->token == IU_J_OBJECT) {
      v = iu__json_get(v, s, len);
      continue;
    }
    if (v->token != IU_J_ARRAY || len == 0 || len > 9 || (len > 1 && s[0] == '0')) return NULL;
    for (size_t k = 0; k < len; k++) {
      if (s[k] < '0' || s[k] > '9') return NULL;
      index = index * 10 + (size_t)(s[k] - '0');
    }
    v = index < v->len ? &v->u.elements[index] : NULL;
  }
  return v;
}

static void check_found(iu_arena *arena, const iu_json *root, const iu_path *path, const char *text, size_t len) {
  bool found = false;
  size_t at = 0, size = 0;
  iu_buf expected = {0}, got = {0};
  MUST(iu__json_find(text, len, path, 0, &found, &at, &size, NULL) == IU_OK);
  const iu_json *node = node_at(root, path);
  MUST(found == (node != NULL));
  if (found) {
    MUST(at <= len && size <= len - at);
    const iu_json *alone = iu__json_parse(arena, text + at, size, NULL);
    MUST(alone != NULL);
    iu__json_write(node, &expected);
    iu__json_write(alone, &got);
    MUST(got.len == expected.len && memcmp(got.data, expected.data, got.len) == 0);
  }
  iu__buf_free(&expected);
  iu__buf_free(&got);
}

static void check_written(iu_arena *arena, const iu_json *root, const char *text, size_t len) {
  iu_buf compact = {0}, again = {0}, canonical = {0};
  iu__json_write(root, &compact);
  const iu_json *copy = iu__json_parse(arena, compact.data, compact.len, NULL);
  MUST(copy != NULL);
  iu__json_write(copy, &again);
  MUST(again.len == compact.len && memcmp(again.data, compact.data, compact.len) == 0);
  MUST(iu__json_canonical(text, len, &canonical, NULL) == IU_OK);
  const iu_buf *sources[] = {&compact, &canonical};
  for (int i = 0; i < 2; i++) {
    iu__buf_reset(&again);
    MUST(iu__json_canonical(sources[i]->data, sources[i]->len, &again, NULL) == IU_OK);
    MUST(again.len == canonical.len && memcmp(again.data, canonical.data, canonical.len) == 0);
  }
  for (size_t i = 0; i < canonical.len; i++) MUST(canonical.data[i] >= 0x20 && canonical.data[i] < 0x7f);
  iu__buf_free(&compact);
  iu__buf_free(&again);
  iu__buf_free(&canonical);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, size};
  iu_slice words = take_bytes(&in, take(&in));
  size_t len;
  char *text = (char *)take_rest(&in, &len);
  iu_arena arena = {0};
  iu_path path;
  iu_error err = {0};
  bool is_json = read_all(text, len);
  const iu_json *root = iu__json_parse(&arena, text, len, &err);
  MUST((root != NULL) == is_json && is_json == (err.message[0] == '\0'));
  MUST((iu__json_check(text, len, NULL) == IU_OK) == is_json);
  if (is_json) {
    check_written(&arena, root, text, len);
  } else {
    iu_buf out = {0};
    MUST(iu__json_canonical(text, len, &out, NULL) != IU_OK);
    iu__buf_free(&out);
  }
  if (iu__path_parse(&path, (const char *)words.p, words.len, &err) == IU_OK) {
    if (is_json) check_found(&arena, root, &path, text, len);
    iu__path_free(&path);
  }
  iu__arena_free(&arena);
  free(text);
  return 0;
}
