/* Text: UTF-8, integers, wide integers, edit distance. */
#include "base_fixture.h"

#include <inttypes.h>

#include "../../core/base/text.h"

static void utf8_is_checked_exhaustively(void **state) {
  uint32_t c, back;
  char text[4];
  (void)state;
  for (c = 0; c <= 0x10FFFF; c++) {
    size_t n = iu__utf8_encode(c, text), i;
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (iu__utf8_check(text, n) != (surrogate ? 0 : n)) fail_msg("U+%X", c);
    if (surrogate) continue;
    if (iu__utf8_decode(text, &back) != n || back != c) fail_msg("U+%X comes back as U+%X", c, back);
    for (i = 1; i < n; i++)
      if (iu__utf8_check(text, i) != 0) fail_msg("U+%X cut to %zu bytes is accepted", c, i);
  }
}

static void malformed_utf8_is_refused_where_it_starts(void **state) {
  static const char *bad[] = {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xE2\x82", "\xE2(\xA1",
                              "\xE2\x82(", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80",
                              "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF"};
  char text[64];
  size_t i, at;
  (void)state;
  for (i = 0; i < sizeof bad / sizeof *bad; i++)
    for (at = 0; at < 20; at++) {
      size_t n = strlen(bad[i]);
      memset(text, 'a', sizeof text);
      memcpy(text + at, bad[i], n);
      if (iu__utf8_check(text, at + n + 9) != at) fail_msg("case %zu at %zu", i, at);
      if (iu__utf8_check(text, at + n) != at) fail_msg("case %zu at %zu, last", i, at);
    }
  assert_int_equal(iu__utf8_check("", 0), 0);
  assert_int_equal(iu__utf8_check("a\0b", 3), 3);
}

static void integers_print(void **state) {
  random_source rnd = random_begin("integers");
  static const int64_t edges[] = {0, 1, 9, 10, 99, 100, 101, -1, -10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
  char text[IU_I64_TEXT_MAX + 2], expected[32];
  int i;
  (void)state;
  for (i = 0; i < 20000; i++) {
    int64_t v = i < (int)(sizeof edges / sizeof *edges) ? edges[i] : (int64_t)(random_next(&rnd) >> random_below(&rnd, 64));
    if (i % 2 && v != INT64_MIN) v = -v;
    text[iu__i64_format(v, text)] = 0;
    snprintf(expected, sizeof expected, "%" PRId64, v);
    assert_string_equal(text, expected);
    text[iu__u64_format((uint64_t)v, text)] = 0;
    snprintf(expected, sizeof expected, "%" PRIu64, (uint64_t)v);
    assert_string_equal(text, expected);
  }
}

static void assert_wide(const char *text, bool is_signed, size_t size, const char *decimal, const char *hex) {
  uint8_t bytes[32];
  char out[80];
  size_t n;
  if (!iu__wide_parse(text, strlen(text), is_signed, bytes, size)) fail_msg("%s is refused", text);
  n = iu__wide_format(bytes, size, is_signed, out);
  assert_int_equal(n, strlen(decimal));
  assert_memory_equal(out, decimal, n);
  n = iu__wide_format_hex(bytes, size, is_signed, out);
  assert_int_equal(n, strlen(hex));
  assert_memory_equal(out, hex, n);
}

static void wide_integers_come_and_go(void **state) {
  uint8_t bytes[32];
  (void)state;
  assert_wide("0", false, 16, "0", "0x0");
  assert_wide("-0", false, 16, "0", "0x0");
  assert_wide("+7", true, 32, "7", "0x7");
  assert_wide("1000000000", false, 16, "1000000000", "0x3b9aca00");
  assert_wide("1000000000000000000", true, 16, "1000000000000000000", "0xde0b6b3a7640000");
  assert_wide("0xFf", false, 32, "255", "0xff");
  assert_wide("-1", true, 16, "-1", "-0x1");
  assert_wide("-0x10", true, 32, "-16", "-0x10");
  assert_wide("340282366920938463463374607431768211455", false, 16, "340282366920938463463374607431768211455",
              "0xffffffffffffffffffffffffffffffff");
  assert_wide("-170141183460469231731687303715884105728", true, 16, "-170141183460469231731687303715884105728",
              "-0x80000000000000000000000000000000");
  assert_wide("170141183460469231731687303715884105727", true, 16, "170141183460469231731687303715884105727",
              "0x7fffffffffffffffffffffffffffffff");
  assert_wide("115792089237316195423570985008687907853269984665640564039457584007913129639935", false, 32,
              "115792089237316195423570985008687907853269984665640564039457584007913129639935",
              "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
  assert_wide("-57896044618658097711785492504343953926634992332820282019728792003956564819968", true, 32,
              "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
              "-0x8000000000000000000000000000000000000000000000000000000000000000");
  assert_true(iu__wide_parse("258", 3, false, bytes, 16));
  assert_memory_equal(bytes, "\2\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
  assert_true(iu__wide_parse("-2", 2, true, bytes, 16));
  assert_memory_equal(bytes, "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16);
}

static void what_is_no_wide_integer_is_refused(void **state) {
  static const struct { const char *text; bool is_signed; size_t size; } rows[] = {
      {"", true, 16}, {"-", true, 16}, {"+", false, 16}, {"0x", true, 16}, {"-0x", true, 16}, {"1.0", true, 16}, {"12a", true, 16},
      {" 1", true, 16}, {"1 ", true, 16}, {"0x1g", true, 16}, {"0X1", true, 16}, {"--1", true, 16}, {"-1", false, 16},
      {"340282366920938463463374607431768211456", false, 16}, {"170141183460469231731687303715884105728", true, 16},
      {"-170141183460469231731687303715884105729", true, 16}, {"-340282366920938463463374607431768211455", true, 16},
      {"0x100000000000000000000000000000000", false, 16},
      {"115792089237316195423570985008687907853269984665640564039457584007913129639936", false, 32},
      {"57896044618658097711785492504343953926634992332820282019728792003956564819968", true, 32}};
  uint8_t bytes[32];
  size_t i;
  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++)
    if (iu__wide_parse(rows[i].text, strlen(rows[i].text), rows[i].is_signed, bytes, rows[i].size)) fail_msg("%s is accepted", rows[i].text);
}

static void wide_integers_round_trip_and_compare(void **state) {
  random_source rnd = random_begin("wide");
  int i, j;
  (void)state;
  for (i = 0; i < 20000; i++) {
    uint8_t a[32], b[32], back[32];
    char text[80];
    size_t size = i % 2 ? 16 : 32, n;
    bool is_signed = i % 4 < 2;
    for (j = 0; j < 32; j++) a[j] = random_below(&rnd, 3) ? (uint8_t)random_next(&rnd) : 0;
    n = iu__wide_format(a, size, is_signed, text);
    assert_true(iu__wide_parse(text, n, is_signed, back, size));
    assert_memory_equal(a, back, size);
    n = iu__wide_format_hex(a, size, is_signed, text);
    assert_true(iu__wide_parse(text, n, is_signed, back, size));
    assert_memory_equal(a, back, size);
    assert_int_equal(iu__wide_compare(a, back, size, is_signed), 0);
    /* One more is greater, unless it wraps. */
    memcpy(b, a, size);
    for (j = 0; j < (int)size && ++b[j] == 0; j++) {
    }
    if (j == (int)size || (is_signed && b[size - 1] == 0x80 && a[size - 1] == 0x7F)) continue;
    assert_int_equal(iu__wide_compare(a, b, size, is_signed), -1);
    assert_int_equal(iu__wide_compare(b, a, size, is_signed), 1);
  }
  {
    uint8_t minus[16], one[16] = {1};
    memset(minus, 0xFF, 16);
    assert_int_equal(iu__wide_compare(minus, one, 16, true), -1);
    assert_int_equal(iu__wide_compare(minus, one, 16, false), 1);
  }
}

static void distances_are_counted(void **state) {
  static const struct { const char *a, *b; size_t d; } rows[] = {
      {"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1},
      {"kitten", "sitting", 3}, {"durabilty", "durability", 1}, {"prot", "port", 1}, {"ca", "abc", 3}};
  char far[65], near[64];
  size_t i;
  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(iu__edit_distance(rows[i].a, strlen(rows[i].a), rows[i].b, strlen(rows[i].b)), rows[i].d);
  memset(far, 'a', sizeof far);
  memset(near, 'b', sizeof near);
  assert_int_equal(iu__edit_distance(far, 64, near, 64), 64);
  assert_true(iu__edit_distance(far, 65, far, 65) == SIZE_MAX);
  assert_true(iu__edit_distance("a", 1, far, 65) == SIZE_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(utf8_is_checked_exhaustively),
      cmocka_unit_test(malformed_utf8_is_refused_where_it_starts),
      cmocka_unit_test(integers_print),
      cmocka_unit_test(wide_integers_come_and_go),
      cmocka_unit_test(what_is_no_wide_integer_is_refused),
      cmocka_unit_test(wide_integers_round_trip_and_compare),
      cmocka_unit_test(distances_are_counted),
  };
  return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
