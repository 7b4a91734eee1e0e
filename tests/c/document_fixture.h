/* document_fixture.h: what the tests of core/document share: trees from text, random documents and edits of them, an apply that checks itself. */
#ifndef IU_TEST_DOCUMENT_FIXTURE_H
#define IU_TEST_DOCUMENT_FIXTURE_H

#include "sats_json_fixture.h"

#include "../../core/document/apply.h"
#include "../../core/document/compare.h"
#include "../../core/document/document.h"
#include "../../core/document/tree.h"

static inline const iu_json *tree(iu_arena *arena, const char *text) {
  iu_error err = {0};
  const iu_json *v = iu__json_parse(arena, text, strlen(text), &err);
  if (v == NULL) fail_msg("%s: %s", text, err.message);
  return v;
}

/* ---- random documents; all of it small enough for many a second, with few enough different values for repetitions ---- */

static inline void put_words(iu_buf *out, random_source *r, int most) {
  static const char *const words[] = {"stone", "river ", "a", "the ", "\xC3\xBC" "ber", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "line\n", "\"quoted\" ", "back\\slash", "x.y", "0", " "};
  iu_buf text = {0};
  int n = (int)random_below(r, (uint64_t)most + 1);
  while (n-- > 0) iu__buf_put_str(&text, words[random_below(r, sizeof words / sizeof *words)]);
  iu__json_put_string(out, text.len > 0 ? (const char *)text.data : "", text.len);
  iu__buf_free(&text);
}

static inline void put_key(iu_buf *out, random_source *r) {
  static const char *const keys[] = {"id", "name", "key", "a", "b", "c", "", "a.b", "1", "0", "back\\", "\xC3\xA9", "\"", "\n", "e", "\\e", "d", "f", "g", "h"};
  const char *key = keys[random_below(r, sizeof keys / sizeof *keys)];
  iu__json_put_string(out, key, strlen(key));
}

static inline void put_scalar(iu_buf *out, random_source *r) {
  static const char *const others[] = {"null", "true", "false", "1", "1.0", "0", "0.0", "-0.0", "-1", "2", "3", "1e300", "5e-324", "123456789012345678901234567890", "9223372036854775807"};
  uint64_t kind = random_below(r, 20);
  if (kind < 3) put_words(out, r, 3);
  else if (kind == 3) put_words(out, r, 40);
  else if (kind < 9) iu__json_put_i64(out, (int64_t)random_below(r, 30));
  else iu__buf_put_str(out, others[random_below(r, sizeof others / sizeof *others)]);
}

static inline void put_random(iu_buf *out, random_source *r, int depth) {
  uint64_t kind = random_below(r, 10), n, i, most = random_below(r, 12) == 0 ? 25 : 6;
  if (depth == 0 || kind < 4) {
    put_scalar(out, r);
    return;
  }
  n = random_below(r, most);
  iu__buf_put_u8(out, kind < 7 ? '[' : '{');
  for (i = 0; i < n; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    if (kind >= 7) {
      put_key(out, r);
      iu__buf_put_u8(out, ':');
    }
    put_random(out, r, depth - 1);
  }
  iu__buf_put_u8(out, kind < 7 ? ']' : '}');
}

/* A list of records, as states have them; ids ascend by more than one. */
static inline void put_record(iu_buf *out, random_source *r, int id) {
  iu__buf_printf(out, "{\"%s\":%d,\"title\":", random_below(r, 50) == 0 ? "ID" : "id", id);
  put_words(out, r, 12);
  iu__buf_printf(out, ",\"score\":%d.5,\"active\":%s,\"tags\":[", (int)random_below(r, 50), random_below(r, 2) ? "true" : "false");
  for (uint64_t i = 0, n = random_below(r, 4); i < n; i++) iu__buf_printf(out, "%s\"tag%d\"", i > 0 ? "," : "", (int)random_below(r, 5));
  iu__buf_printf(out, "],\"address\":{\"city\":\"City %d\",\"zip\":%s}}", (int)random_below(r, 9), random_below(r, 5) ? "12345" : "null");
}

static inline void put_records(iu_buf *out, random_source *r, int count) {
  iu__buf_put_str(out, "{\"version\":1,\"meta\":{\"by\":\"x\",\"at\":17},\"records\":[");
  for (int i = 0; i < count; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    put_record(out, r, i * 3);
  }
  iu__buf_put_str(out, "]}");
}

/* ---- edits: writes `v` with changes here and there; rate: of 1000 nodes, how many change ---- */

static inline void put_edited(iu_buf *out, random_source *r, const iu_json *v, int rate);

static inline void put_edited_string(iu_buf *out, random_source *r, const iu_json *v) {
  iu_buf text = {0};
  size_t at = v->len > 0 ? (size_t)random_below(r, v->len) : 0, cut = (size_t)random_below(r, 6);
  while (at > 0 && ((unsigned char)v->u.s[at] & 0xC0) == 0x80) at--;
  if (cut > v->len - at) cut = v->len - at;
  while (at + cut < v->len && ((unsigned char)v->u.s[at + cut] & 0xC0) == 0x80) cut++;
  iu__buf_put(&text, v->u.s, at);
  if (random_below(r, 2)) iu__buf_put_str(&text, random_below(r, 2) ? "new" : "\xE2\x82\xAC");
  iu__buf_put(&text, v->u.s + at + cut, v->len - at - cut);
  iu__json_put_string(out, text.len > 0 ? (const char *)text.data : "", text.len);
  iu__buf_free(&text);
}

static inline void put_edited_array(iu_buf *out, random_source *r, const iu_json *v, int rate) {
  uint32_t *order = malloc((v->len + 1) * sizeof *order), i, n = v->len;
  bool first = true;
  assert_non_null(order);
  for (i = 0; i < n; i++) order[i] = i;
  if (n > 1 && random_below(r, 1000) < (uint64_t)rate) { /* one moves */
    uint32_t from = (uint32_t)random_below(r, n), to = (uint32_t)random_below(r, n), x = order[from];
    memmove(order + from, order + from + 1, (n - from - 1) * sizeof *order);
    memmove(order + to + 1, order + to, (n - 1 - to) * sizeof *order);
    order[to] = x;
  }
  iu__buf_put_u8(out, '[');
  for (i = 0; i <= n; i++) {
    if (random_below(r, 3000) < (uint64_t)rate) {
      iu__buf_put_str(out, first ? "" : ",");
      put_random(out, r, 2);
      first = false;
    }
    if (i == n || random_below(r, 3000) < (uint64_t)rate) continue;
    iu__buf_put_str(out, first ? "" : ",");
    put_edited(out, r, &v->u.elements[order[i]], rate);
    first = false;
  }
  iu__buf_put_u8(out, ']');
  free(order);
}

static inline void put_edited_object(iu_buf *out, random_source *r, const iu_json *v, int rate) {
  uint32_t i, turn = v->len > 0 && random_below(r, 5) == 0 ? (uint32_t)random_below(r, v->len) : 0;
  bool first = true;
  iu__buf_put_u8(out, '{');
  for (i = 0; i < v->len; i++) {
    const iu_json_member *m = &v->u.members[(i + turn) % v->len]; /* order does not matter */
    if (random_below(r, 3000) < (uint64_t)rate) continue;
    iu__buf_put_str(out, first ? "" : ",");
    iu__json_put_string(out, m->key, m->key_len);
    iu__buf_put_u8(out, ':');
    put_edited(out, r, &m->value, rate);
    first = false;
  }
  if (random_below(r, 1000) < (uint64_t)rate) {
    iu__buf_put_str(out, first ? "" : ",");
    put_key(out, r);
    iu__buf_put_u8(out, ':');
    put_random(out, r, 2);
  }
  iu__buf_put_u8(out, '}');
}

static inline void put_edited(iu_buf *out, random_source *r, const iu_json *v, int rate) {
  bool change = random_below(r, 1000) < (uint64_t)rate;
  if (v->token == IU_J_ARRAY && !(change && random_below(r, 8) == 0)) put_edited_array(out, r, v, rate);
  else if (v->token == IU_J_OBJECT && !(change && random_below(r, 8) == 0)) put_edited_object(out, r, v, rate);
  else if (!change) iu__json_write(v, out);
  else if (v->token == IU_J_STRING && random_below(r, 4) > 0) put_edited_string(out, r, v);
  else put_random(out, r, 1);
}

#endif
