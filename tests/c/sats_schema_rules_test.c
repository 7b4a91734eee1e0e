/* What a module definition must not say, one case a line: a definition that is good but for one thing, and what the refusal says. */
#include "sats_schema_fixture.h"

static void assert_refused(def *d, const char *what) {
  iu_error err = {0};
  iu_schema *s = decode_def(d, &err);
  if (s != NULL) {
    iu__schema_free(s);
    fail_msg("accepted, but should say `%s`", what);
  }
  assert_int_equal(err.status, IU_E_VALIDATION);
  if (strstr(err.message, what) == NULL) fail_msg("`%s` does not say `%s`", err.message, what);
}

static void assert_good(def *d) {
  iu_error err = {0};
  iu_schema *s = decode_def(d, &err);
  if (s == NULL) fail_msg("%s", err.message);
  iu__schema_free(s);
}

/* A typespace with User (0) and a table or two on it. */
static def start(iu_typespace *ts) {
  def d = {0};
  add_type(&d, user_row(ts), "User");
  return d;
}

static void test_table_name(const char *name, const char *what) {
  iu_typespace ts = {0};
  def d = start(&ts);
  add_table(&d, name, 0, -1, NULL);
  if (what != NULL) assert_refused(&d, what);
  else assert_good(&d);
  iu__typespace_free(&ts);
}

static void table_names(void **state) {
  (void)state;
  test_table_name("st_user", "st_");
  test_table_name("_iu_user", "reserved");
  test_table_name("_IU_user", "reserved");
  test_table_name("sqlite_user", "reserved");
  test_table_name("SQLite_User", "reserved");
  test_table_name("", "identifier");
  test_table_name("a b", "identifier");
  test_table_name("1a", "identifier");
  test_table_name("a\"", "identifier");
  test_table_name("a\xff", "identifier");
  test_table_name("a\xc3", "identifier");
  test_table_name("_ok9", NULL);
  test_table_name("STuff", NULL);
  char longest[IU_SCHEMA_NAME_MAX + 2];
  memset(longest, 'x', sizeof longest);
  longest[IU_SCHEMA_NAME_MAX] = '\0';
  test_table_name(longest, NULL);
  longest[IU_SCHEMA_NAME_MAX] = 'x';
  longest[IU_SCHEMA_NAME_MAX + 1] = '\0';
  test_table_name(longest, "identifier");
}

static void names_of_any_script(void **state) {
  (void)state;
  static const char *const good[] = {"größe", "_größe", "Ω", "таблица", "テーブル", "表1", "जनता", "ไทย", "𐐷x", "a\u00b7b", "a\u203fb", "ａ１", "ⅷ", "℘"};
  static const char *const bad[] = {"a\u00a0b", "a\u2003", "a\u200b", "a\u202e", "a\u2066", "\ufeff" "a", "a\u2019s", "a–b", "a→b", "a。b", "a\u3000", "😀", "a\ue000",
                                    "a\uffff", "×", "a÷b", "a\u061c", "\xc2\x85", "a\U000e0041", "a\U0010fffd", "a\xed\xa0\x80"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) test_table_name(good[i], NULL);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) test_table_name(bad[i], "identifier");
}

static void names_twice(void **state) {
  (void)state;
  iu_typespace ts = {0};
  table_parts p = {0};
  def d = start(&ts);
  add_table(&d, "user", 0, -1, NULL);
  add_table(&d, "user", 0, -1, NULL);
  assert_refused(&d, "two tables are named `user`");
  d = start(&ts);
  add_table(&d, "user", 0, -1, NULL);
  add_table(&d, "User", 0, -1, NULL);
  assert_refused(&d, "case aside");
  d = start(&ts);
  add_index(&p, "other", NULL, 0, COLUMNS(0));
  add_table(&d, "user", 0, -1, &p);
  add_table(&d, "other", 0, -1, NULL);
  assert_refused(&d, "are named `other`");
  d = start(&ts);
  add_index(&p, NULL, "a", 0, COLUMNS(0));
  add_index(&p, NULL, "b", 0, COLUMNS(0));
  add_table(&d, "user", 0, -1, &p);
  assert_refused(&d, "user_id_idx_btree");
  d = start(&ts);
  add_index(&p, NULL, "a", 0, COLUMNS(0));
  add_index(&p, NULL, "a", 0, COLUMNS(1));
  add_table(&d, "user", 0, -1, &p);
  assert_refused(&d, "accessor `a`");
  d = start(&ts);
  add_reducer(&d, "go", special(IU_S_UNIT), -1);
  add_reducer(&d, "go", special(IU_S_UNIT), -1);
  assert_refused(&d, "named `go`");
  d = start(&ts);
  add_reducer(&d, "go", special(IU_S_UNIT), -1);
  add_reducer(&d, "Go", special(IU_S_UNIT), -1);
  assert_good(&d);
  d = start(&ts);
  add_reducer(&d, "go", special(IU_S_UNIT), -1);
  iu__buf_put_u8(&d.exports.bytes, 1);
  put_text(&d.exports.bytes, "go");
  iu__buf_put_u32(&d.exports.bytes, 0);
  iu__buf_put_u8(&d.exports.bytes, IU_T_U8);
  d.exports.count = 1;
  assert_refused(&d, "named `go`");
  d = start(&ts);
  add_type(&d, user_row(&ts), "User");
  assert_refused(&d, "two types are named `User`");
  d = start(&ts);
  d.names.count++;
  iu__buf_put_u32(&d.names.bytes, 0);
  put_text(&d.names.bytes, "Again");
  iu__buf_put_u32(&d.names.bytes, 0);
  iu__buf_put_u8(&d.names.bytes, 1);
  assert_refused(&d, "two names, `User` and `Again`");
  iu__typespace_free(&ts);
}

static void test_columns(const char *a, const char *b, const char *what) {
  iu_typespace ts = {0};
  def d = {0};
  iu_field fields[] = {{a, scalar(IU_T_U8)}, {b, scalar(IU_T_U8)}};
  add_type(&d, iu__type_product(&ts, 2, fields), NULL);
  add_table(&d, "t", 0, -1, NULL);
  if (what != NULL) assert_refused(&d, what);
  else assert_good(&d);
  iu__typespace_free(&ts);
}

static void column_names(void **state) {
  (void)state;
  test_columns("a", "b", NULL);
  test_columns("st_a", "sqlite_b", NULL);
  test_columns("a", "a", "two fields");
  test_columns("a", "A", "case aside");
  test_columns("a", NULL, "no name");
  test_columns("a", "_row", "reserved");
  test_columns("a", "_ROW", "reserved");
  test_columns("a", "_iu_x", "reserved");
  test_columns("a", "a b", "identifier");
  test_columns("größe", "表", NULL);
  test_columns("größe", "größe", "two fields of one product are named `größe`");
  test_columns("größe", "a\u2028b", "identifier");
}

static void row_types(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = start(&ts);
  add_table(&d, "t", 1, -1, NULL);
  assert_refused(&d, "no product");
  d = start(&ts);
  add_type(&d, colour(&ts), "Colour");
  add_table(&d, "t", 1, -1, NULL);
  assert_refused(&d, "no product");
  d = start(&ts);
  table_parts p = {.system = true};
  add_table(&d, "t", 0, -1, &p);
  assert_refused(&d, "system");
  iu__typespace_free(&ts);
}

static def with_index(iu_typespace *ts, uint8_t algorithm, uint32_t count, const uint16_t *columns) {
  table_parts p = {0};
  def d = start(ts);
  add_index(&p, NULL, NULL, algorithm, count, columns);
  add_table(&d, "t", 0, -1, &p);
  return d;
}

static void indexes(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = with_index(&ts, 0, COLUMNS(2));
  assert_refused(&d, "column 2 does not exist");
  d = with_index(&ts, 0, COLUMNS(65535));
  assert_refused(&d, "column 65535 does not exist");
  d = with_index(&ts, 0, COLUMNS(1, 0, 1));
  assert_refused(&d, "`name` twice");
  d = with_index(&ts, 0, 0, NULL);
  assert_refused(&d, "no columns");
  d = with_index(&ts, 2, COLUMNS(1));
  assert_refused(&d, "direct");
  d = with_index(&ts, 2, COLUMNS(0));
  assert_good(&d);
  d = with_index(&ts, 1, COLUMNS(1, 0));
  assert_good(&d);
  d = with_index(&ts, 3, COLUMNS(1));
  assert_refused(&d, "algorithm");
  iu__typespace_free(&ts);
}

static def with_unique(iu_typespace *ts, int primary, bool index, uint32_t count, const uint16_t *columns) {
  table_parts p = {0};
  def d = start(ts);
  if (index) add_index(&p, NULL, NULL, 0, COLUMNS(0));
  if (count != 0) add_unique(&p, NULL, count, columns);
  add_table(&d, "t", 0, primary, &p);
  return d;
}

static void keys(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = with_unique(&ts, 0, true, COLUMNS(0));
  assert_good(&d);
  d = with_unique(&ts, 0, true, 0, NULL);
  assert_refused(&d, "primary key needs a unique constraint");
  d = with_unique(&ts, 1, true, COLUMNS(0));
  assert_refused(&d, "primary key needs a unique constraint");
  d = with_unique(&ts, 0, false, COLUMNS(0));
  assert_refused(&d, "needs an index");
  d = with_unique(&ts, -1, true, COLUMNS(0, 1));
  assert_refused(&d, "needs an index");
  d = with_unique(&ts, -1, true, COLUMNS(7));
  assert_refused(&d, "does not exist");
  d = with_unique(&ts, 2, true, COLUMNS(0));
  assert_refused(&d, "does not exist");
  iu__typespace_free(&ts);
}

static void test_sequence(const iu_type *column, int64_t start_at, int64_t min, int64_t max, int64_t increment, const char *what) {
  iu_typespace ts = {0};
  def d = {0};
  table_parts p = {0};
  iu_field field = {"n", column};
  add_type(&d, iu__type_product(&ts, 1, &field), NULL);
  add_sequence(&p, NULL, 0, start_at, min, max, increment);
  add_table(&d, "t", 0, -1, &p);
  if (what != NULL) assert_refused(&d, what);
  else assert_good(&d);
  iu__typespace_free(&ts);
}

static void sequences(void **state) {
  (void)state;
  const iu_type *u8 = scalar(IU_T_U8), *i64 = scalar(IU_T_I64);
  test_sequence(u8, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1, NULL);
  test_sequence(scalar(IU_T_U256), NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1, NULL);
  test_sequence(scalar(IU_T_I128), -9, NOT_GIVEN, NOT_GIVEN, -1, NULL);
  test_sequence(u8, 10, 5, 20, 3, NULL);
  test_sequence(u8, NOT_GIVEN, 5, 20, 3, NULL); /* starts at min */
  test_sequence(i64, -20, -20, -5, 3, NULL);
  test_sequence(i64, NOT_GIVEN, -20, -5, 3, NULL); /* starts at max */
  test_sequence(scalar(IU_T_STRING), NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1, "no integer");
  test_sequence(scalar(IU_T_BOOL), NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1, "no integer");
  test_sequence(u8, 4, 5, 20, 3, "min <= start");
  test_sequence(u8, 21, 5, 20, 3, "min <= start");
  test_sequence(u8, 256, NOT_GIVEN, NOT_GIVEN, 1, "min <= start");
  test_sequence(u8, -1, NOT_GIVEN, NOT_GIVEN, 1, "min <= start");
  test_sequence(u8, NOT_GIVEN, 9, 8, 1, "min <= start");
  test_sequence(u8, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 0, "increment");
  test_sequence(u8, NOT_GIVEN, 5, 20, 15, "increment");
  test_sequence(u8, NOT_GIVEN, 5, 20, 14, NULL);
  test_sequence(u8, NOT_GIVEN, 5, 20, -15, "increment");
  test_sequence(i64, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, INT64_MIN, "increment");
  iu_typespace ts = {0};
  table_parts p = {0};
  def d = start(&ts);
  add_sequence(&p, "a", 0, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1);
  add_sequence(&p, "b", 0, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1);
  add_table(&d, "t", 0, -1, &p);
  assert_refused(&d, "another sequence");
  d = start(&ts);
  add_sequence(&p, "a", 9, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1);
  add_table(&d, "t", 0, -1, &p);
  assert_refused(&d, "column 9 does not exist");
  /* a start beyond 64 bits */
  d = start(&ts);
  add_sequence(&p, "a", 0, 1, NOT_GIVEN, NOT_GIVEN, 1);
  p.sequences.bytes.data[5 + 1 + 2 + 8 + 8] = 1;
  add_table(&d, "t", 0, -1, &p);
  assert_refused(&d, "min <= start");
  iu__typespace_free(&ts);
}

/* which: what is wrong, 0 for nothing */
static def scheduled(iu_typespace *ts, int which) {
  def d = {0};
  table_parts p = {0};
  iu_field row[] = {{"id", scalar(which == 1 ? IU_T_U32 : IU_T_U64)}, {"at", which == 2 ? scalar(IU_T_U64) : special(IU_S_SCHEDULE_AT)}};
  iu_field one[] = {{"row", which == 3 ? scalar(IU_T_U8) : iu__type_ref(ts, which == 4 ? 1 : 0)}, {"more", scalar(IU_T_U8)}};
  add_type(&d, iu__type_product(ts, 2, row), "Timer");
  add_type(&d, user_row(ts), "User");
  add_index(&p, NULL, NULL, 0, COLUMNS(0));
  add_unique(&p, NULL, COLUMNS(0));
  p.sched_reducer = which == 5 ? "tock" : "tick";
  p.sched_column = which == 6 ? 7 : 1;
  add_table(&d, "timer", 0, which == 7 ? -1 : 0, &p);
  add_reducer(&d, "tick", iu__type_product(ts, which == 8 ? 2 : 1, one), -1);
  return d;
}

static void schedules(void **state) {
  (void)state;
  static const char *const what[] = {NULL, "U64", "no ScheduleAt", "one row", "one row", "`tock` does not exist", "no ScheduleAt", "U64", "one row"};
  for (int i = 0; i < 9; i++) {
    iu_typespace ts = {0};
    def d = scheduled(&ts, i);
    if (what[i] != NULL) assert_refused(&d, what[i]);
    else assert_good(&d);
    iu__typespace_free(&ts);
  }
}

static void reducers(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field named[] = {{"a", scalar(IU_T_U8)}}, unnamed[] = {{NULL, scalar(IU_T_U8)}};
  def d = start(&ts);
  add_reducer(&d, "go", iu__type_product(&ts, 1, unnamed), -1);
  assert_refused(&d, "parameter has no name");
  d = start(&ts);
  add_reducer(&d, "init", iu__type_product(&ts, 1, named), 0);
  assert_refused(&d, "take no parameters");
  d = start(&ts);
  add_reducer(&d, "a", special(IU_S_UNIT), 1);
  add_reducer(&d, "b", special(IU_S_UNIT), 1);
  assert_refused(&d, "lifecycle");
  d = start(&ts);
  add_reducer(&d, "a", special(IU_S_UNIT), 3);
  assert_refused(&d, "lifecycle");
  iu__typespace_free(&ts);
}

/* One column or parameter of type t; further types behind User (0) and it (1). */
static void test_use(iu_typespace *ts, const iu_type *t, const iu_type *second, const char *name, const char *in_column, const char *in_param) {
  iu_field field = {"f", t};
  for (int param = 0; param < 2; param++) {
    const char *what = param ? in_param : in_column;
    def d = start(ts);
    add_type(&d, second != NULL ? second : scalar(IU_T_U8), second != NULL ? name : NULL);
    add_type(&d, iu__type_product(ts, 1, &field), NULL);
    if (param) add_reducer(&d, "go", iu__type_product(ts, 1, &field), -1);
    else add_table(&d, "t", 2, -1, NULL);
    if (what != NULL) assert_refused(&d, what);
    else assert_good(&d);
  }
}

static void uses_of_types(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *zero = iu__type_ref(&ts, 0), *one = iu__type_ref(&ts, 1);
  iu_field self[] = {{"again", iu__type_option(&ts, one)}};
  iu_field inner[] = {{"x", user_row(&ts)}};
  iu_field results[] = {{"ok", zero}, {"err", colour(&ts)}};
  const char *in_place = "used in place", *itself = "contains itself";
  test_use(&ts, zero, NULL, NULL, NULL, NULL);
  test_use(&ts, iu__type_option(&ts, iu__type_array(&ts, zero)), NULL, NULL, NULL, NULL);
  test_use(&ts, special(IU_S_SCHEDULE_AT), NULL, NULL, NULL, NULL);
  test_use(&ts, special(IU_S_UNIT), NULL, NULL, NULL, NULL);
  test_use(&ts, iu__type_sum(&ts, 0, NULL), NULL, NULL, NULL, NULL);
  test_use(&ts, user_row(&ts), NULL, NULL, in_place, in_place);
  test_use(&ts, iu__type_array(&ts, colour(&ts)), NULL, NULL, in_place, in_place);
  test_use(&ts, iu__type_sum(&ts, 2, results), NULL, NULL, in_place, in_place);
  test_use(&ts, one, NULL, NULL, NULL, NULL);                            /* a scalar in the typespace */
  test_use(&ts, one, colour(&ts), NULL, "needs a name", "needs a name");
  test_use(&ts, one, iu__type_product(&ts, 1, inner), "Outer", "type `Outer`: `x`", in_place);
  test_use(&ts, one, iu__type_product(&ts, 1, self), "Node", itself, NULL);
  test_use(&ts, one, iu__type_array(&ts, one), NULL, itself, "without a named type");
  test_use(&ts, one, iu__type_option(&ts, iu__type_array(&ts, one)), NULL, itself, "without a named type");
  test_use(&ts, one, one, NULL, "itself", "itself");                     /* a ref to itself */
  test_use(&ts, iu__type_ref(&ts, 2), NULL, NULL, itself, "needs a name");
  test_use(&ts, iu__type_ref(&ts, 99), NULL, NULL, "99 does not exist", "99 does not exist");
  iu__typespace_free(&ts);
}

/* n unnamed arrays, each of the next: deep, though each is written flat. */
static void unnamed_types_nest_so_deep_and_no_deeper(void **state) {
  (void)state;
  for (int param = 0; param < 2; param++) {
    for (uint32_t n = 55; n < 75; n++) {
      iu_typespace ts = {0};
      def d = {0};
      iu_field field = {"f", iu__type_ref(&ts, 0)};
      for (uint32_t i = 0; i < n; i++) add_type(&d, iu__type_array(&ts, i + 1 < n ? iu__type_ref(&ts, i + 1) : scalar(IU_T_U8)), NULL);
      add_type(&d, iu__type_product(&ts, 1, &field), NULL);
      if (param) add_reducer(&d, "go", iu__type_product(&ts, 1, &field), -1);
      else add_table(&d, "t", n, -1, NULL);
      iu_error err = {0};
      iu_schema *s = decode_def(&d, &err);
      assert_int_equal(s != NULL, n + (param ? 0 : 1) <= IU_TYPE_DEPTH_MAX); /* a row is a level itself */
      if (s == NULL) assert_non_null(strstr(err.message, "64 deep"));
      iu__schema_free(s);
      iu__typespace_free(&ts);
    }
  }
}

static void long_chains_of_refs_are_refused_not_followed(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = {0};
  iu_field field = {"f", iu__type_ref(&ts, 0)};
  for (uint32_t i = 0; i < 20000; i++) add_type(&d, iu__type_ref(&ts, i + 1), NULL);
  add_type(&d, scalar(IU_T_U8), NULL);
  add_reducer(&d, "go", iu__type_product(&ts, 1, &field), -1);
  assert_refused(&d, "64 deep");
  iu__typespace_free(&ts);
}

static void default_order_holds_without_custom_ordering(void **state) {
  (void)state;
  for (int swap = 0; swap < 2; swap++) {
    iu_typespace ts = {0};
    def d = {0};
    iu_field fields[] = {{swap ? "b" : "a", scalar(IU_T_U8)}, {swap ? "a" : "b", scalar(IU_T_U8)}};
    add_type(&d, iu__type_product(&ts, 2, fields), "T");
    d.names.bytes.data[d.names.bytes.len - 1] = 0;
    if (swap) assert_refused(&d, "custom ordering");
    else assert_good(&d);
    iu__typespace_free(&ts);
  }
}

static void test_default(const char *table, uint16_t column, const char *hex, const char *what) {
  iu_typespace ts = {0};
  def d = start(&ts);
  bytes_of b = unhex(hex);
  add_table(&d, "user", 0, -1, NULL);
  iu__buf_put_u8(&d.exports.bytes, 0);
  put_text(&d.exports.bytes, table);
  iu__buf_put_u16(&d.exports.bytes, column);
  iu__buf_put_bytes(&d.exports.bytes, b.p, b.len);
  d.exports.count = 1;
  if (what != NULL) assert_refused(&d, what);
  else assert_good(&d);
  free(b.p);
  iu__typespace_free(&ts);
}

static void defaults_of_columns(void **state) {
  (void)state;
  test_default("user", 1, "00000000", NULL);
  test_default("user", 0, "01000000", NULL);
  test_default("usr", 1, "00000000", "`usr`, which does not exist");
  test_default("user", 2, "00000000", "does not have");
  test_default("user", 0, "010000", "user.id");
  test_default("user", 1, "0000000000", "user.name");
}

static void the_rest_of_the_layout(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = start(&ts);
  d.rules.count = 1;
  put_text(&d.rules.bytes, "SELECT * FROM user");
  assert_refused(&d, "row level security");
  static const struct { const char *hex, *what; } bad[] = {
      {"", "RawModuleDef"}, {"00", "V8"}, {"020000000000", "V10"}, {"03", "RawModuleDef"}, {M1 "00", "after the end"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    bytes_of b = unhex(bad[i].hex);
    iu_schema *s;
    iu_error err;
    assert_int_equal(iu__schema_decode(b.p, b.len, &s, &err), IU_E_VALIDATION);
    assert_int_equal(iu__schema_decode(b.p, b.len, &s, NULL), IU_E_VALIDATION);
    assert_null(s);
    assert_non_null(strstr(err.message, bad[i].what));
    free(b.p);
  }
  iu__typespace_free(&ts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(table_names),
      cmocka_unit_test(names_of_any_script),
      cmocka_unit_test(names_twice),
      cmocka_unit_test(column_names),
      cmocka_unit_test(row_types),
      cmocka_unit_test(indexes),
      cmocka_unit_test(keys),
      cmocka_unit_test(sequences),
      cmocka_unit_test(schedules),
      cmocka_unit_test(reducers),
      cmocka_unit_test(uses_of_types),
      cmocka_unit_test(unnamed_types_nest_so_deep_and_no_deeper),
      cmocka_unit_test(long_chains_of_refs_are_refused_not_followed),
      cmocka_unit_test(default_order_holds_without_custom_ordering),
      cmocka_unit_test(defaults_of_columns),
      cmocka_unit_test(the_rest_of_the_layout),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
