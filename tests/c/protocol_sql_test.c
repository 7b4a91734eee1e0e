/* The answer of a server to SQL over HTTP: types and rows of each result; hostile ones. */
#include <math.h>

#include "../../core/base/errinj.h"
#include "protocol_fixture.h"

#define COLUMN(name, type) "{\"name\":{\"some\":\"" name "\"},\"algebraic_type\":" type "}"
#define T(name) "{\"" name "\":[]}"
#define SPECIAL(name, type) "{\"Product\":{\"elements\":[" COLUMN(name, T(type)) "]}}"
#define OPTION(type) "{\"Sum\":{\"variants\":[" COLUMN("some", type) "," COLUMN("none", "{\"Product\":{\"elements\":[]}}") "]}}"
#define RESULT(columns, rows) "{\"schema\":{\"elements\":[" columns "]},\"rows\":" rows ",\"total_duration_micros\":123," \
  "\"stats\":{\"rows_inserted\":1,\"rows_deleted\":2,\"rows_updated\":3}}"

static iu_status read_answer(const char *json, iu_sql_answer *out, iu_error *err) {
  size_t len = strlen(json);
  char *exact = malloc(len + 1);
  memcpy(exact, json, len);
  iu_status status = iu__sql_answer_read(exact, len, out, err);
  free(exact);
  return status;
}

static void must_read(const char *json, iu_sql_answer *out) {
  iu_error err = {0};
  if (read_answer(json, out, &err) != IU_OK) fail_msg("%s", err.message);
}

static void assert_refused(const char *json, iu_status expected, const char *words) {
  iu_sql_answer a;
  iu_error err = {0};
  assert_int_equal(read_answer(json, &a, &err), expected);
  if (strstr(err.message, words) == NULL) fail_msg("`%s` is not in: %s", words, err.message);
  assert_null(a.results);
}

static void rows_are_bsatn_of_the_answers_own_types(void **state) {
  (void)state;
  iu_sql_answer a;
  must_read("[" RESULT(COLUMN("id", T("U32")) "," COLUMN("name", OPTION(T("String"))) "," COLUMN("who", SPECIAL("__identity__", "U256")) ","
                       COLUMN("at", SPECIAL("__timestamp_micros_since_unix_epoch__", "I64")) "," COLUMN("raw", "{\"Array\":" T("U8") "}"),
                       "[[7,[0,\"Bob\"],[\"0x1\"],[5],\"ff00\"],[8,[1,[]],[\"0x0\"],[-1],\"\"]]") "]", &a);
  assert_int_equal(a.count, 1);
  const iu_sql_result *r = &a.results[0];
  assert_int_equal(r->row->count, 5);
  assert_string_equal(r->row->u.fields[2].name, "who");
  assert_int_equal(iu__type_deref(r->row->u.fields[2].type)->special, IU_S_IDENTITY);
  assert_int_equal(r->row_count, 2);
  assert_hex(r->rows.p, r->rows.len,
             "070000000003000000426f6201000000000000000000000000000000000000000000000000000000000000000500000000000000" "02000000ff00"
             "0800000001" "0000000000000000000000000000000000000000000000000000000000000000" "ffffffffffffffff" "00000000");
  assert_true(r->has_stats && r->has_duration);
  assert_int_equal(r->inserted, 1);
  assert_int_equal(r->deleted, 2);
  assert_int_equal(r->updated, 3);
  assert_int_equal(r->duration_micros, 123);
  iu__sql_answer_free(&a);
}

static void every_statement_has_a_result(void **state) {
  (void)state;
  iu_sql_answer a;
  must_read("[{\"rows\":[],\"more\":{\"x\":[1,{}]},\"schema\":{\"elements\":[]}}," RESULT(COLUMN("a", T("Bool")), "[[true]]") "]", &a);
  assert_int_equal(a.count, 2);
  assert_int_equal(a.results[0].row_count, 0);
  assert_false(a.results[0].has_stats || a.results[0].has_duration);
  assert_hex(a.results[1].rows.p, a.results[1].rows.len, "01");
  iu__sql_answer_free(&a);
  must_read("[]", &a);
  assert_int_equal(a.count, 0);
  iu__sql_answer_free(&a);
}

static void columns_have_names_of_their_own(void **state) {
  (void)state;
  static const char *const names[] = {"id", "id_2", "id_3", "column_4", "id_4"};
  iu_sql_answer a;
  must_read("[" RESULT(COLUMN("id", T("U8")) "," COLUMN("id_2", T("U8")) "," COLUMN("id", T("U8")) ",{\"name\":{\"none\":[]},\"algebraic_type\":" T("U8") "},"
                       COLUMN("id", T("U8")), "[[1,2,3,4,5]]") "]", &a);
  for (uint32_t i = 0; i < 5; i++) assert_string_equal(a.results[0].row->u.fields[i].name, names[i]);
  assert_hex(a.results[0].rows.p, a.results[0].rows.len, "0102030405");
  iu__sql_answer_free(&a);
}

static void floats_that_are_no_number_come_as_null(void **state) {
  (void)state;
  iu_sql_answer a;
  double wide;
  float narrow;
  must_read("[" RESULT(COLUMN("a", T("F64")) "," COLUMN("b", T("F32")), "[[null,null]]") "]", &a);
  memcpy(&wide, a.results[0].rows.p, 8);
  memcpy(&narrow, a.results[0].rows.p + 8, 4);
  assert_true(isnan(wide) && isnan(narrow));
  iu__sql_answer_free(&a);
  assert_refused("[" RESULT(COLUMN("a", T("U8")), "[[null]]") "]", IU_E_VALIDATION, "rows: [0][0]: expected U8, found null");
}

static void wrong_answers_are_named(void **state) {
  (void)state;
  static const struct { const char *json, *words; } cases[] = {
    {"", "answer to SQL"}, {"{}", "an array of results"}, {"[5]", "an object for each result"}, {"[{}]", "a result with `schema` and `rows`"},
    {"[{\"schema\":{\"elements\":[]}}]", "a result with `schema` and `rows`"}, {"[] 5", "answer to SQL"},
    {"[" RESULT("5", "[]") "]", "result 0: schema: elements[0]: expected"}, {"[" RESULT(COLUMN("a", "{\"Nope\":[]}"), "[]") "]", "unknown variant `Nope`"},
    {"[" RESULT(COLUMN("a", "{\"Ref\":0}"), "[]") "]", "result 0: rows"}, {"[" RESULT(COLUMN("a", T("U8")), "[[1,2]]") "]", "expected an array of 1"},
    {"[" RESULT(COLUMN("a", T("U8")), "[[256]]") "]", "expected U8, found the integer 256"}, {"[" RESULT(COLUMN("a", T("U8")), "5") "]", "expected an array"},
    {"[" RESULT(COLUMN("a", T("U8")), "[[1]]") "," RESULT(COLUMN("a", T("U8")), "[[\"x\"]]") "]", "result 1: rows: [0][0]"},
    {"[{\"schema\":{\"elements\":[]},\"rows\":[", "answer to SQL"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_refused(cases[i].json, IU_E_VALIDATION, cases[i].words);
}

/* `count` times `item`, with commas, between `head` and `tail`. */
static char *repeated(const char *head, const char *item, uint32_t count, const char *tail) {
  size_t room = strlen(head) + strlen(tail) + count * (strlen(item) + 1) + 1, len;
  char *text = malloc(room);
  len = (size_t)sprintf(text, "%s", head);
  for (uint32_t i = 0; i < count; i++) len += (size_t)sprintf(text + len, "%s%s", i > 0 ? "," : "", item);
  sprintf(text + len, "%s", tail);
  return text;
}

static void results_and_columns_have_caps(void **state) {
  (void)state;
  iu_sql_answer a;
  char *text = repeated("[", RESULT("", "[]"), IU_SQL_RESULTS_MAX, "]");
  must_read(text, &a);
  assert_int_equal(a.count, IU_SQL_RESULTS_MAX);
  iu__sql_answer_free(&a);
  free(text);
  text = repeated("[", RESULT("", "[]"), IU_SQL_RESULTS_MAX + 1, "]");
  assert_refused(text, IU_E_OVERLOADED, "more than 1024 results");
  free(text);
  text = repeated("[{\"rows\":[],\"schema\":{\"elements\":[", COLUMN("id", T("U8")), IU_SQL_COLUMNS_MAX, "]}}]");
  must_read(text, &a);
  assert_string_equal(a.results[0].row->u.fields[IU_SQL_COLUMNS_MAX - 1].name, "id_1024");
  iu__sql_answer_free(&a);
  free(text);
  text = repeated("[{\"rows\":[],\"schema\":{\"elements\":[", COLUMN("id", T("U8")), IU_SQL_COLUMNS_MAX + 1, "]}}]");
  assert_refused(text, IU_E_OVERLOADED, "1025 columns");
  free(text);
}

/* Eight bytes of text become 32 bytes of a row. */
static void bytes_of_rows_have_a_cap(void **state) {
  (void)state;
  uint32_t most = (IU_SQL_ROWS_BYTES_MAX - 4) / 32;
  char *text = repeated("[{\"schema\":{\"elements\":[" COLUMN("n", T("U256")) "]},\"rows\":[", "[\"0x1\"]", most + 1, "]}]");
  assert_refused(text, IU_E_OVERLOADED, "limit of 268435456 bytes");
  free(text);
}

#define BIG "[" RESULT(COLUMN("id", T("U32")) "," COLUMN("name", OPTION(T("String"))) "," COLUMN("sum", "{\"Sum\":{\"variants\":[" COLUMN("A", T("U8")) "]}}"), \
                       "[[7,[0,\"Bob\"],[0,9]],[8,[1,[]],[0,1]]]") "," RESULT(COLUMN("x", T("F64")), "[[1.5]]") "]"

static void cut_and_mutated_answers_never_crash(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  static const char whole[] = BIG, swaps[] = "{}[]\",:0123456789-etfn\\ \xff";
  size_t len = sizeof whole - 1;
  iu_sql_answer a;
  uint32_t good = 0;
  for (size_t cut = 0; cut < len; cut++) {
    char *text = malloc(cut + 1);
    memcpy(text, whole, cut);
    assert_int_equal(iu__sql_answer_read(text, cut, &a, NULL), IU_E_VALIDATION);
    free(text);
  }
  for (uint32_t i = 0; i < 5000; i++) {
    char *text = malloc(len);
    memcpy(text, whole, len);
    for (uint32_t k = 0; k < 1 + i % 3; k++) text[test_random(&seed) % len] = swaps[test_random(&seed) % (sizeof swaps - 1)];
    if (iu__sql_answer_read(text, len, &a, NULL) == IU_OK) {
      good++;
      iu__sql_answer_free(&a);
    }
    free(text);
  }
  assert_true(good < 4000);
}

#ifdef IU_ERRINJ
static void no_memory_is_said(void **state) {
  (void)state;
  long after = 0;
  for (;; after++) {
    iu_sql_answer a;
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    iu_status status = iu__sql_answer_read(BIG, sizeof BIG - 1, &a, NULL);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status == IU_OK) iu__sql_answer_free(&a);
    if (status == IU_OK) break;
    assert_int_equal(status, IU_E_NOMEM);
    assert_true(after < 10000);
  }
  assert_true(after > 10);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_are_bsatn_of_the_answers_own_types),
    cmocka_unit_test(every_statement_has_a_result),
    cmocka_unit_test(columns_have_names_of_their_own),
    cmocka_unit_test(floats_that_are_no_number_come_as_null),
    cmocka_unit_test(wrong_answers_are_named),
    cmocka_unit_test(results_and_columns_have_caps), cmocka_unit_test(bytes_of_rows_have_a_cap),
    cmocka_unit_test(cut_and_mutated_answers_never_crash),
#ifdef IU_ERRINJ
    cmocka_unit_test(no_memory_is_said),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
