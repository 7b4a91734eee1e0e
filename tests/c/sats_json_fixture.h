/* sats_json_fixture.h: what the tests of the JSON codec share. */
#ifndef IU_TEST_SATS_JSON_FIXTURE_H
#define IU_TEST_SATS_JSON_FIXTURE_H

#include "base_fixture.h"

#include "../../core/sats/json.h"

static inline void assert_text(const iu_buf *b, const char *expected) {
  assert_int_equal(b->failed, 0);
  if (b->len != strlen(expected) || memcmp(b->data, expected, b->len) != 0)
    fail_msg("got %.*s\nnot %s", (int)b->len, (const char *)b->data, expected);
}

/* Random JSON text. All kinds of values, duplicate keys, odd spacing, escapes that need not be. */
typedef struct json_maker {
  random_source *rnd;
  iu_buf out;
  int values; /* how many more */
} json_maker;

static inline void make_space(json_maker *m) {
  static const char spaces[] = " \t\r";
  while (random_below(m->rnd, 8) == 0) iu__buf_put_u8(&m->out, (uint8_t)spaces[random_below(m->rnd, 3)]);
}

static inline void make_character(json_maker *m) {
  random_source *r = m->rnd;
  switch (random_below(r, 12)) {
  case 0: iu__buf_printf(&m->out, "\\u%04x", (unsigned)random_below(r, 0xD800)); break;
  case 1: iu__buf_printf(&m->out, "\\uD%X%02X\\uD%X%02X", 8 + (unsigned)random_below(r, 4), (unsigned)random_below(r, 256),
                         12 + (unsigned)random_below(r, 4), (unsigned)random_below(r, 256)); break;
  case 2: iu__buf_printf(&m->out, "\\%c", "\"\\/bfnrt"[random_below(r, 8)]); break;
  case 3: iu__buf_put_str(&m->out, "\xC3\xBC"); break;
  case 4: iu__buf_put_str(&m->out, "\xE2\x82\xAC"); break;
  case 5: iu__buf_put_str(&m->out, "\xF0\x9F\x98\x80"); break;
  case 6: iu__buf_put_str(&m->out, random_below(r, 2) ? "\xEF\xBF\xBF" : "\xED\x9F\xBF"); break;
  case 7: iu__buf_put_u8(&m->out, 0x7F); break;
  default: iu__buf_put_u8(&m->out, (uint8_t)('a' + random_below(r, 26))); break;
  }
}

static inline void make_string(json_maker *m, uint64_t longest) {
  uint64_t n = random_below(m->rnd, longest + 1);
  iu__buf_put_u8(&m->out, '"');
  while (n-- > 0) make_character(m);
  iu__buf_put_u8(&m->out, '"');
}

static inline void make_number(json_maker *m) {
  random_source *r = m->rnd;
  double d = double_of(random_next(r));
  unsigned long long a = random_next(r) >> random_below(r, 64), b = random_next(r) >> random_below(r, 64);
  if (random_below(r, 3) == 0) iu__buf_put_u8(&m->out, '-');
  switch (random_below(r, 8)) {
  case 0: iu__buf_printf(&m->out, "%llu", a); break;
  case 1: iu__buf_printf(&m->out, "%llu%019llu%llu", a + 1, b % 10000000000000000000ull, b); break;
  case 2: iu__buf_printf(&m->out, "%llu.%llu", a, b); break;
  case 3: iu__buf_printf(&m->out, "%lluE%+d", a, (int)random_below(r, 500) - 300); break;
  case 4: iu__buf_printf(&m->out, "%d.%d0", (int)random_below(r, 1000), (int)random_below(r, 1000)); break;
  case 5: iu__buf_put_str(&m->out, random_below(r, 2) ? "0" : "0.0"); break;
  case 6: iu__buf_printf(&m->out, "%llu", 9223372036854775806ull + random_below(r, 4)); break;
  default: iu__buf_printf(&m->out, "%.*e", (int)random_below(r, 20), d - d == 0 ? (d < 0 ? -d : d) : 1.5); break;
  }
}

static inline void make_value(json_maker *m, int depth) {
  random_source *r = m->rnd;
  uint64_t kind = random_below(r, depth > 0 ? 10 : 6), n, i;
  m->values--;
  make_space(m);
  switch (kind) {
  case 0: iu__buf_put_str(&m->out, "null"); break;
  case 1: iu__buf_put_str(&m->out, random_below(r, 2) ? "true" : "false"); break;
  case 2: case 3: make_number(m); break;
  case 4: case 5: make_string(m, random_below(r, 10) == 0 ? 100 : 10); break;
  default:
    n = random_below(r, random_below(r, 10) == 0 ? 30 : 5);
    iu__buf_put_u8(&m->out, kind < 8 ? '[' : '{');
    for (i = 0; i < n && m->values > 0; i++) {
      if (i > 0) iu__buf_put_u8(&m->out, ',');
      make_space(m);
      if (kind >= 8) {
        make_string(m, random_below(r, 3) == 0 ? 1 : 8);
        make_space(m);
        iu__buf_put_u8(&m->out, ':');
      }
      make_value(m, depth - 1);
    }
    make_space(m);
    iu__buf_put_u8(&m->out, kind < 8 ? ']' : '}');
  }
  make_space(m);
}

/* Replaces what m->out holds. */
static inline void make_document(json_maker *m, int values) {
  iu__buf_reset(&m->out);
  m->values = values;
  make_value(m, 6);
  assert_int_equal(m->out.failed, 0);
}

#endif
