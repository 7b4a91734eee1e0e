/* The module's own JSON check and writer: they agree with core/sats, on cases and on random mutations. */
#include <time.h>

#include "module_fixture.h"

#include "../../core/module/internal.h"

static bool check(const void *text, size_t len) {
  size_t at;
  const char *why;
  bool ok = iu__nerv_json_check((nerv_slice){text, (uint32_t)len}, &at, &why);
  assert_true(at <= len);
  assert_true(ok || why[0] != '\0');
  return ok;
}

static void cases(void **state) {
  static const char *const good[] = {"0", "-0", "1.5e-7", "123456789012345678901234567890", "\"\"", "\"\\u00e9\\ud83d\\ude00\"", "null", " true ",
                                     "[]", "{}", "[1,[2,{\"a\":[]}]]", "{\"a\":1,\"a\":2}", "\t{ \"k\" : [ 1 , 2 ] }\r\n", "1e308", "1e-400"};
  static const char *const bad[] = {"", " ", "01", "1.", ".5", "+1", "1e", "-", "1e999", "-1e999", "nul", "truex", "\"", "\"\\x\"", "\"\\ud800\"",
                                    "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "[1,]", "[,1]", "{,}", "{\"a\"}", "{\"a\":}", "{a:1}", "[1 2]", "[", "{",
                                    "{\"a\":1,}", "]", "1 2", "[1}", "{\"a\":1]", "\"\xff\"", ("\xef\xbb\xbf" "1"), "\"\\u12g4\"", "NaN", "Infinity", "'a'"};
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    if (!check(good[i], strlen(good[i]))) fail_msg("refused: %s", good[i]);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (check(bad[i], strlen(bad[i]))) fail_msg("accepted: %s", bad[i]);
  }
}

static void depth_is_bounded(void **state) {
  char text[2 * (NERV_JSON_DEPTH_MAX + 1)];
  (void)state;
  for (uint32_t depth = NERV_JSON_DEPTH_MAX; depth <= NERV_JSON_DEPTH_MAX + 1; depth++) {
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    assert_int_equal(check(text, 2 * depth), depth == NERV_JSON_DEPTH_MAX);
    assert_int_equal(iu__json_check(text, 2 * depth, NULL) == IU_OK, depth == NERV_JSON_DEPTH_MAX);
  }
}

static uint64_t next_random(uint64_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 7;
  *s ^= *s << 17;
  return *s;
}

static void agrees_with_the_codec_on_mutations(void **state) {
  static const char *const seeds[] = {"{\"a\":[1,2.5e3,-0,true,false,null,\"x\\n\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":{}}}",
                                      "[[],[[]],{\"\":\"\"},1e10,123456789012345678901,\"h\xc3\xa9\xe2\x82\xac\"]", "\"\\ud83d\\ude00\"", "-1.0E+2"};
  static const char bytes[] = "{}[]:,\"\\ue0123456789.-+tfn \n\x80\xc3\xff\xed\xa0";
  uint64_t seed = (uint64_t)time(NULL) * 2654435761u + 1, s = seed;
  (void)state;
  for (int round = 0; round < 200000; round++) {
    const char *from = seeds[next_random(&s) % 4];
    char text[128];
    size_t len = strlen(from);
    memcpy(text, from, len);
    for (uint64_t edits = 1 + next_random(&s) % 3; edits > 0 && len > 0; edits--) {
      size_t at = next_random(&s) % len;
      if (next_random(&s) % 3 == 0) memmove(text + at, text + at + 1, --len - at);
      else text[at] = bytes[next_random(&s) % (sizeof bytes - 1)];
    }
    if (check(text, len) != (iu__json_check(text, len, NULL) == IU_OK)) {
      fail_msg("seed %llu: they differ on %.*s", (unsigned long long)seed, (int)len, text);
    }
  }
}

static void written_strings_read_back(void **state) {
  nerv_mem mem = {0};
  nerv_out out = iu__nerv_out(&mem);
  char text[300];
  iu_json_reader r;
  (void)state;
  for (int i = 0; i < 128; i++) text[i] = (char)i;
  memcpy(text + 128, "\xc3\xa9\xf0\x9f\x98\x80", 6);
  iu__nerv_json_text(&out, (nerv_slice){(const uint8_t *)text, 134});
  iu__json_reader_init(&r, out.p, out.n, NULL);
  assert_int_equal(iu__json_next(&r), IU_J_STRING);
  assert_int_equal(r.len, 134);
  assert_memory_equal(r.s, text, 134);
  iu__json_reader_free(&r);
  iu__nerv_mem_free(&mem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(cases), cmocka_unit_test(depth_is_bounded), cmocka_unit_test(agrees_with_the_codec_on_mutations),
    cmocka_unit_test(written_strings_read_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
