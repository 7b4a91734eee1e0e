/* The JSON reader: what it accepts and refuses, what the tokens hold, depth, where errors point. */
#include "sats_json_fixture.h"

static const struct { const char *text; size_t len; } must_parse[] = {
#define T(s) {s, sizeof s - 1}
    T("null"), T("true"), T("false"), T("0"), T("-0"), T("1"), T("-1"), T("123456789"), T("0.5"), T("-0.0"), T("1e5"), T("1E+5"), T("1e-5"),
    T("1.5e300"), T("0e0"), T("-0e-0"), T("1e-999"), T("9223372036854775807"), T("9223372036854775808"), T("-9223372036854775808"),
    T("123456789012345678901234567890123456789012345678901234567890"), T("\"\""), T("\"abc\""), T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    T("\"\\u0000\""), T("\"\\u00e9\\u20AC\\uD83D\\uDE00\""), T("\"\\uDBFF\\uDFFF\""), T("\"\xC3\xA9\""), T("\"\xF0\x9F\x98\x80\""),
    T("\"\xF4\x8F\xBF\xBF\""), T("\"\xEF\xBF\xBE\""), T("\"\xE2\x80\xA8\""), T("\"\x7F\""), T("\"/\""), T("\"'\""), T("[]"), T("{}"), T("[[]]"),
    T("[{}]"), T("[1,2,3]"), T("[null,true,false,0,\"\",[],{}]"), T("{\"\":1}"), T("{\"a\":{\"b\":[1]}}"), T("{\"a\":1,\"a\":2}"),
    T(" \t\r\n null \t\r\n "), T("[ 1 , 2 ]"), T("{ \"a\" : 1 , \"b\" : 2 }"), T("\n[\n]\n"), T("{\"a\":[{\"b\":[{}]}]}"), T("[1\n,2]"),
    T("{\"\\u0061\":1}"), T("[-1]"), T("[1.0]"), T("[123e65]"), T("[20e1]"), T("[\"\\u0012\"]"), T("[\"a\\u0000b\"]"),
};

static const struct { const char *text; size_t len; } must_not_parse[] = {
    T(""), T(" "), T("nul"), T("nulll"), T("Null"), T("TRUE"), T("tru"), T("falsee"), T("undefined"), T("NaN"), T("Infinity"), T("-Infinity"),
    T("+1"), T("01"), T("-01"), T("00"), T("1."), T(".5"), T("-.5"), T("-"), T("--1"), T("1e"), T("1e+"), T("1.e1"), T("1.5e"), T("0x1"),
    T("1_0"), T("1 2"), T("1,"), T(","), T("1e400"), T("-1e400"), T("[1e999]"), T("1.7976931348623159e308"), T("1e5.5"), T("1.2.3"), T("1-2"),
    T("2."), T("0e"), T("0.e1"), T("-a"), T("\""), T("\"abc"), T("\"\\"), T("\"\\\""), T("\"\\x41\""), T("\"\\a\""), T("\"\\'\""),
    T("\"\\u\""), T("\"\\u12\""), T("\"\\u123\""), T("\"\\u123g\""), T("\"\\U0041\""), T("\"\\uD800\""), T("\"\\uDC00\""),
    T("\"\\uD800\\u0041\""), T("\"\\uD800\\uD800\""), T("\"\\uD800x\""), T("\"\\uD83D\\\""), T("\"\\uD83D\\uDE0\""), T("\"\\uD83D\\uDE0"),
    T("\"\n\""), T("\"\t\""), T("\"\0\""), T("\"\x1F\""), T("\"\x80\""), T("\"\xC0\x80\""), T("\"\xED\xA0\x80\""), T("\"\xF5\x80\x80\x80\""),
    T("\"\xC3\""), T("\"\xE2\x82\""), T("\"\xC3\\u00A9\""), T("'a'"), T("a"), T("["), T("]"), T("[1"), T("[1,"), T("[1,]"), T("[,1]"), T("[,]"),
    T("[1,,2]"), T("[1 2]"), T("[1}"), T("[}"), T("{"), T("}"), T("{\"a\""), T("{\"a\":"), T("{\"a\":1"), T("{\"a\":1,"), T("{\"a\":1,}"),
    T("{,}"), T("{\"a\"}"), T("{\"a\" 1}"), T("{\"a\"::1}"), T("{\"a\":1 \"b\":2}"), T("{\"a\":1]"), T("{]"), T("{a:1}"), T("{1:1}"),
    T("{null:1}"), T("{'a':1}"), T("{[]:1}"), T("[]]"), T("{}}"), T("[]["), T("[] []"), T("{}{}"), T("null,"), T("[1]x"), T("// c\n1"),
    T("/* c */1"), T("1//"), T("#1"), T("\xEF\xBB\xBF" "1"), T("\xFF\xFE" "1\0"), T("1\0"), T("\0" "1"), T("[\"\",]"), T("[\v1]"), T("\f1"),
    T("\xC2\xA0" "1"), T("[1:2]"), T("{\"a\":1:2}"), T("[\"a\":1]"), T("{\"a\":truee}"), T("{\"a\":nul}"), T("[-]"), T("[\"\\uD83D\\n\"]"),
#undef T
};

static void valid_documents_are_accepted(void **state) {
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof must_parse / sizeof *must_parse; i++)
    if (iu__json_check(must_parse[i].text, must_parse[i].len, &err) != IU_OK) fail_msg("%s: %s", must_parse[i].text, err.message);
}

static void invalid_documents_are_refused_with_an_offset(void **state) {
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof must_not_parse / sizeof *must_not_parse; i++) {
    /* In memory of its own size, so that reading on is noticed. */
    char *copy = malloc(must_not_parse[i].len + 1);
    assert_non_null(copy);
    copy = realloc(copy, must_not_parse[i].len ? must_not_parse[i].len : 1);
    memcpy(copy, must_not_parse[i].text, must_not_parse[i].len);
    iu__error_clear(&err);
    if (iu__json_check(copy, must_not_parse[i].len, &err) != IU_E_VALIDATION) fail_msg("%s is accepted", must_not_parse[i].text);
    assert_int_equal(err.status, IU_E_VALIDATION);
    assert_true(err.offset <= must_not_parse[i].len);
    assert_int_equal(strncmp(err.message, "invalid JSON at byte ", 21), 0);
    assert_int_equal(strtoull(err.message + 21, NULL, 10), err.offset);
    assert_int_equal(iu__json_check(copy, must_not_parse[i].len, NULL), IU_E_VALIDATION);
    free(copy);
  }
}

static void errors_say_where_and_what(void **state) {
  static const struct { const char *text; size_t offset; const char *message; } rows[] = {
      {"[1 2]", 3, "invalid JSON at byte 3: expected ',' or ']', found '2'"},
      {"{\"a\":1", 6, "invalid JSON at byte 6: expected ',' or '}', found the end of the text"},
      {"{\"a\" 1}", 5, "invalid JSON at byte 5: expected ':', found '1'"},
      {"{1:1}", 1, "invalid JSON at byte 1: expected a key in quotes, found '1'"},
      {"[\"ab\\q\"]", 5, "invalid JSON at byte 5: no such escape, found 'q'"},
      {"[\"ab\xFF\"]", 4, "invalid JSON at byte 4: expected UTF-8, found '\\xff'"},
      {"[\"\n\"]", 2, "invalid JSON at byte 2: a control character must be escaped, found '\\x0a'"},
      {"\xC3\xBC", 0, "invalid JSON at byte 0: expected a value, found '\xC3\xBC'"},
      {"1 \xC3\xBC", 2, "invalid JSON at byte 2: expected nothing more, found '\xC3\xBC'"},
      {"[1e400]", 1, "invalid JSON at byte 1: number too large for a double, found '1'"},
      {"[\"\\ud800\"]", 2, "invalid JSON at byte 2: a lone surrogate is no character, found '\\'"},
      {"", 0, "invalid JSON at byte 0: expected a value, found the end of the text"},
  };
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(iu__json_check(rows[i].text, strlen(rows[i].text), &err), IU_E_VALIDATION);
    assert_string_equal(err.message, rows[i].message);
    assert_int_equal(err.offset, rows[i].offset);
  }
}

static void tokens_come_in_order_with_their_values(void **state) {
  static const char text[] = " {\"a\\n\": [1, -2.5, 12345678901234567890, \"x\\u00e9y\", \"plain\", true, false, null], \"\": {}} ";
  iu_json_reader r;
  (void)state;
  iu__json_reader_init(&r, text, sizeof text - 1, NULL);
  assert_int_equal(iu__json_next(&r), IU_J_OBJECT);
  assert_int_equal(r.at - r.base, 1);
  assert_int_equal(r.depth, 1);
  assert_int_equal(iu__json_next(&r), IU_J_KEY);
  assert_int_equal(r.len, 2);
  assert_memory_equal(r.s, "a\n", 2);
  assert_int_equal(iu__json_next(&r), IU_J_ARRAY);
  assert_int_equal(iu__json_next(&r), IU_J_INT);
  assert_int_equal(r.i, 1);
  assert_int_equal(iu__json_next(&r), IU_J_DOUBLE);
  assert_true(r.d == -2.5);
  assert_memory_equal(r.at, "-2.5", r.p - r.at);
  assert_int_equal(iu__json_next(&r), IU_J_BIGINT);
  assert_int_equal(r.len, 20);
  assert_memory_equal(r.s, "12345678901234567890", 20);
  assert_int_equal(iu__json_next(&r), IU_J_STRING);
  assert_int_equal(r.len, 4);
  assert_memory_equal(r.s, "x\xC3\xA9y", 4);
  assert_memory_equal(r.at, "\"x\\u00e9y\"", r.p - r.at);
  assert_int_equal(iu__json_next(&r), IU_J_STRING);
  assert_memory_equal(r.s, "plain", 5);
  assert_true(r.s > text && r.s < text + sizeof text); /* not copied */
  assert_int_equal(iu__json_next(&r), IU_J_TRUE);
  assert_int_equal(iu__json_next(&r), IU_J_FALSE);
  assert_int_equal(iu__json_next(&r), IU_J_NULL);
  assert_int_equal(iu__json_next(&r), IU_J_ARRAY_END);
  assert_int_equal(iu__json_next(&r), IU_J_KEY);
  assert_int_equal(r.len, 0);
  assert_int_equal(iu__json_next(&r), IU_J_OBJECT);
  assert_int_equal(iu__json_next(&r), IU_J_OBJECT_END);
  assert_int_equal(iu__json_next(&r), IU_J_OBJECT_END);
  assert_int_equal(r.depth, 0);
  assert_int_equal(iu__json_next(&r), IU_J_END);
  assert_int_equal(iu__json_next(&r), IU_J_END);
  iu__json_reader_free(&r);
}

static void integers_stay_integers_to_the_last_digit(void **state) {
  static const struct { const char *text; iu_json_token token; int64_t i; } rows[] = {
      {"0", IU_J_INT, 0}, {"-0", IU_J_INT, 0}, {"-1", IU_J_INT, -1}, {"9223372036854775807", IU_J_INT, INT64_MAX},
      {"-9223372036854775808", IU_J_INT, INT64_MIN}, {"9223372036854775808", IU_J_BIGINT, 0}, {"-9223372036854775809", IU_J_BIGINT, 0},
      {"9999999999999999999", IU_J_BIGINT, 0}, {"18446744073709551616", IU_J_BIGINT, 0}, {"100000000000000000000000", IU_J_BIGINT, 0},
      {"999999999999999999", IU_J_INT, 999999999999999999}, {"-0.0", IU_J_DOUBLE, 0}, {"1.0", IU_J_DOUBLE, 0}, {"1e2", IU_J_DOUBLE, 0},
      {"-0e0", IU_J_DOUBLE, 0}};
  size_t i;
  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    iu_json_reader r;
    iu__json_reader_init(&r, rows[i].text, strlen(rows[i].text), NULL);
    if (iu__json_next(&r) != rows[i].token) fail_msg("%s", rows[i].text);
    if (rows[i].token == IU_J_INT) assert_true(r.i == rows[i].i);
    if (rows[i].token == IU_J_BIGINT) {
      assert_int_equal(r.len, strlen(rows[i].text));
      assert_memory_equal(r.s, rows[i].text, r.len);
    }
    assert_int_equal(iu__json_next(&r), IU_J_END);
    iu__json_reader_free(&r);
  }
}

static void depth_is_limited(void **state) {
  char text[4 * IU_JSON_DEPTH_MAX + 16];
  iu_error err;
  iu_arena arena = {0};
  size_t i, n = IU_JSON_DEPTH_MAX;
  (void)state;
  memset(text, '[', n + 1);
  memset(text + n, ']', n);
  assert_int_equal(iu__json_check(text, 2 * n, &err), IU_OK);
  assert_non_null(iu__json_parse(&arena, text, 2 * n, &err));
  memset(text, '[', n + 1);
  memset(text + n + 1, ']', n + 1);
  assert_int_equal(iu__json_check(text, 2 * n + 2, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, n);
  assert_string_equal(err.message, "invalid JSON at byte 512: more than 512 containers inside each other, found '['");
  assert_null(iu__json_parse(&arena, text, 2 * n + 2, &err));
  iu__arena_free(&arena);
  /* Closed containers do not count. */
  for (i = 0; i < n; i++) memcpy(text + 3 * i, i == 0 ? "[[]" : ",[]", 3);
  text[3 * n] = ']';
  assert_int_equal(iu__json_check(text, 3 * n + 1, &err), IU_OK);
}

static void a_value_is_skipped_whole(void **state) {
  static const char text[] = "[{\"a\":[1,{\"b\":\"]}\"}],\"c\":2},7]", bad[] = "[{\"a\":[1,}]";
  iu_json_reader r;
  (void)state;
  iu__json_reader_init(&r, text, sizeof text - 1, NULL);
  iu__json_next(&r);
  assert_int_equal(iu__json_skip(&r, iu__json_next(&r)), IU_OK);
  assert_string_equal(r.p, ",7]");
  assert_int_equal(iu__json_next(&r), IU_J_INT);
  assert_int_equal(r.i, 7);
  assert_int_equal(iu__json_skip(&r, IU_J_INT), IU_OK);
  assert_int_equal(iu__json_next(&r), IU_J_ARRAY_END);
  iu__json_reader_free(&r);
  iu__json_reader_init(&r, bad, sizeof bad - 1, NULL);
  assert_int_equal(iu__json_skip(&r, iu__json_next(&r)), IU_E_VALIDATION);
  assert_int_equal(iu__json_next(&r), IU_J_ERROR);
  assert_int_equal(iu__json_skip(&r, IU_J_ERROR), IU_E_VALIDATION);
  iu__json_reader_free(&r);
}

/* A quote, an escape, a control character or bad UTF-8 at every distance from the start of a run of eight. */
static void every_place_in_a_string_is_looked_at(void **state) {
  char text[64];
  size_t at, len;
  (void)state;
  for (len = 0; len < 40; len++)
    for (at = 0; at < len; at++) {
      iu_json_reader r;
      memset(text, 'a', sizeof text);
      text[0] = '"';
      text[len + 1] = '"';
      assert_int_equal(iu__json_check(text, len + 2, NULL), IU_OK);
      text[1 + at] = 0x1F;
      assert_int_equal(iu__json_check(text, len + 2, NULL), IU_E_VALIDATION);
      text[1 + at] = (char)0xE9;
      assert_int_equal(iu__json_check(text, len + 2, NULL), IU_E_VALIDATION);
      text[1 + at] = '"';
      assert_int_equal(iu__json_check(text, len + 2, NULL), IU_E_VALIDATION);
      text[1 + at] = 0x20;
      assert_int_equal(iu__json_check(text, len + 2, NULL), IU_OK);
      if (at + 1 == len) continue;
      text[1 + at] = '\\';
      text[2 + at] = 'n';
      iu__json_reader_init(&r, text, len + 2, NULL);
      assert_int_equal(iu__json_next(&r), IU_J_STRING);
      assert_int_equal(r.len, len - 1);
      assert_int_equal(r.s[at], '\n');
      iu__json_reader_free(&r);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(valid_documents_are_accepted),
      cmocka_unit_test(invalid_documents_are_refused_with_an_offset),
      cmocka_unit_test(errors_say_where_and_what),
      cmocka_unit_test(tokens_come_in_order_with_their_values),
      cmocka_unit_test(integers_stay_integers_to_the_last_digit),
      cmocka_unit_test(depth_is_limited),
      cmocka_unit_test(a_value_is_skipped_whole),
      cmocka_unit_test(every_place_in_a_string_is_looked_at),
  };
  return cmocka_run_group_tests_name("sats_json_reader", tests, NULL, NULL);
}
