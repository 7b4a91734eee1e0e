/* The schema answer of a server: RawModuleDefV9 as SATS-JSON to a schema, with all that a definition may hold; hostile ones. */
#include "protocol_schema_fixture.h"
#include "sats_schema_fixture.h"

#define NONE "{\"none\":[]}"
#define SOME(v) "{\"some\":" v "}"
#define FIELD(name, type) "{\"name\":" SOME("\"" name "\"") ",\"algebraic_type\":" type "}"
#define T(name) "{\"" name "\":[]}"
#define USER_TYPE "{\"Product\":{\"elements\":[" FIELD("id", T("U32")) "," FIELD("name", T("String")) "]}}"
#define TYPE_NAME(name, ref) "{\"name\":{\"scope\":[],\"name\":\"" name "\"},\"ty\":" ref ",\"custom_ordering\":true}"
#define INDEX(name, accessor, algorithm) "{\"name\":" name ",\"accessor_name\":" accessor ",\"algorithm\":" algorithm "}"
#define SEQUENCE(start) \
  "{\"name\":" NONE ",\"column\":0,\"start\":" start ",\"min_value\":" NONE ",\"max_value\":" NONE ",\"increment\":1}"

/* M-2 of the sheet as a server answers it. */
#define M2_JSON \
  "{\"typespace\":{\"types\":[" USER_TYPE "]},\"tables\":[{\"name\":\"user\",\"product_type_ref\":0,\"primary_key\":[0],\"indexes\":[" \
  INDEX(SOME("\"user_id_idx_btree\""), SOME("\"id\""), "{\"BTree\":[0]}") "],\"constraints\":[{\"name\":" NONE \
  ",\"data\":{\"Unique\":{\"columns\":[0]}}}],\"sequences\":[" SEQUENCE(NONE) "],\"schedule\":" NONE \
  ",\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]}}],\"reducers\":[{\"name\":\"init\",\"params\":{\"elements\":[]},\"lifecycle\":" \
  SOME("{\"Init\":[]}") "},{\"name\":\"set_name\",\"params\":{\"elements\":[" FIELD("name", T("String")) "]},\"lifecycle\":" NONE "}]," \
  "\"types\":[" TYPE_NAME("User", "0") "],\"misc_exports\":[],\"row_level_security\":[]}"

static iu_status read_schema(const char *json, iu_schema **out, iu_error *err) {
  char *exact = malloc(strlen(json) + 1);
  memcpy(exact, json, strlen(json));
  iu_status status = iu__schema_from_http(exact, strlen(json), out, err);
  free(exact);
  return status;
}

static iu_schema *must_read(const char *json) {
  iu_schema *s;
  iu_error err = {0};
  if (read_schema(json, &s, &err) != IU_OK) fail_msg("%s", err.message);
  return s;
}

static void an_answer_is_the_modules_own_definition(void **state) {
  (void)state;
  iu_schema *s = must_read(M2_JSON);
  assert_hex(s->definition, s->definition_len, M2);
  assert_int_equal(iu__schema_table(s, "user", 4), 0);
  assert_int_equal(iu__schema_reducer(s, "set_name", 8), 1);
  assert_int_equal(s->reducers[0].lifecycle, IU_LC_INIT);
  iu__schema_free(s);
}

static void an_empty_module(void **state) {
  (void)state;
  iu_schema *s = must_read("{\"typespace\":{\"types\":[]},\"tables\":[],\"reducers\":[],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}");
  assert_hex(s->definition, s->definition_len, M1);
  iu__schema_free(s);
}

/* Every scalar, special and compound, a schedule, a direct index, a sequence with a start, all exports, a rule. */
#define EVERY_COLUMN \
  FIELD("a_bool", T("Bool")) "," FIELD("a_i8", T("I8")) "," FIELD("a_u8", T("U8")) "," FIELD("a_i16", T("I16")) "," FIELD("a_u16", T("U16")) "," \
  FIELD("a_i32", T("I32")) "," FIELD("a_u32", T("U32")) "," FIELD("a_i64", T("I64")) "," FIELD("a_u64", T("U64")) "," FIELD("a_i128", T("I128")) "," \
  FIELD("a_u128", T("U128")) "," FIELD("a_i256", T("I256")) "," FIELD("a_u256", T("U256")) "," FIELD("a_f32", T("F32")) "," FIELD("a_f64", T("F64")) "," \
  FIELD("text", T("String")) "," FIELD("bytes", "{\"Array\":{\"U8\":[]}}") "," FIELD("colour", "{\"Ref\":1}") "," \
  FIELD("maybe", "{\"Sum\":{\"variants\":[" FIELD("some", "{\"Array\":{\"Ref\":1}}") "," FIELD("none", "{\"Product\":{\"elements\":[]}}") "]}}") "," \
  FIELD("who", "{\"Product\":{\"elements\":[" FIELD("__identity__", T("U256")) "]}}")
#define DURATION_TYPE "{\"Product\":{\"elements\":[" FIELD("__time_duration_micros__", T("I64")) "]}}"
#define TIMESTAMP_TYPE "{\"Product\":{\"elements\":[" FIELD("__timestamp_micros_since_unix_epoch__", T("I64")) "]}}"
#define SCHEDULE_AT "{\"Sum\":{\"variants\":[" FIELD("Interval", DURATION_TYPE) "," FIELD("Time", TIMESTAMP_TYPE) "]}}"
#define BIG_JSON \
  "{\"typespace\":{\"types\":[{\"Product\":{\"elements\":[" EVERY_COLUMN "]}},{\"Sum\":{\"variants\":[" FIELD("Red", "{\"Product\":{\"elements\":[]}}") "," \
  FIELD("Other", T("String")) "]}},{\"Product\":{\"elements\":[" FIELD("id", T("U64")) "," FIELD("at", SCHEDULE_AT) "]}}]}," \
  "\"tables\":[{\"name\":\"every\",\"product_type_ref\":0,\"primary_key\":[],\"indexes\":[" INDEX(NONE, SOME("\"a_u16\""), "{\"Direct\":4}") \
  "],\"constraints\":[],\"sequences\":[{\"name\":" SOME("\"counting\"") ",\"column\":8,\"start\":" SOME("5") ",\"min_value\":" SOME("1") \
  ",\"max_value\":" SOME("1000") ",\"increment\":2}],\"schedule\":" NONE ",\"table_type\":{\"User\":[]},\"table_access\":{\"Private\":[]}}," \
  "{\"name\":\"ticks\",\"product_type_ref\":2,\"primary_key\":[0],\"indexes\":[" INDEX(NONE, SOME("\"id\""), "{\"BTree\":[0]}") \
  "],\"constraints\":[{\"name\":" NONE ",\"data\":{\"Unique\":{\"columns\":[0]}}}],\"sequences\":[],\"schedule\":" \
  SOME("{\"name\":" NONE ",\"reducer_name\":\"tick\",\"scheduled_at_column\":1}") ",\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]}}]," \
  "\"reducers\":[{\"name\":\"tick\",\"params\":{\"elements\":[" FIELD("job", "{\"Ref\":2}") "]},\"lifecycle\":" NONE "}]," \
  "\"types\":[" TYPE_NAME("Every", "0") ",{\"name\":{\"scope\":[\"my\",\"own\"],\"name\":\"Colour\"},\"ty\":1,\"custom_ordering\":true}," \
  TYPE_NAME("Tick", "2") "],\"misc_exports\":[" \
  "{\"ColumnDefaultValue\":{\"table\":\"every\",\"col_id\":15,\"value\":\"00000000\"}}," \
  "{\"Procedure\":{\"name\":\"calc\",\"params\":{\"elements\":[]},\"return_type\":{\"U32\":[]}}}," \
  "{\"View\":{\"name\":\"seen\",\"index\":0,\"is_public\":true,\"is_anonymous\":false,\"params\":{\"elements\":[]},\"return_type\":{\"Array\":{\"Ref\":0}}}}]," \
  "\"row_level_security\":[{\"sql\":\"SELECT * FROM every\"},{\"sql\":\"SELECT * FROM ticks\"}]}"

static void all_that_a_definition_may_hold(void **state) {
  (void)state;
  iu_schema *s = must_read(BIG_JSON);
  const iu_table_def *every = &s->tables[iu__schema_table(s, "every", 5)], *ticks = &s->tables[iu__schema_table(s, "ticks", 5)];
  assert_int_equal(every->row->count, 20);
  for (int tag = 0; tag < 15; tag++) assert_true(every->row->u.fields[tag].type->tag >= IU_T_BOOL);
  assert_int_equal(every->row->u.fields[18].type->special, IU_S_OPTION);
  assert_int_equal(every->row->u.fields[19].type->special, IU_S_IDENTITY);
  assert_int_equal(every->sequence_count, 0); /* the server's own affair */
  assert_true(!every->is_public && ticks->is_public && ticks->schedule_reducer == 0 && ticks->schedule_column == 1);
  assert_string_equal(s->type_names[1], "my.own.Colour");
  assert_int_equal(s->table_count, 3);
  assert_true(s->tables[2].is_view && s->tables[2].row == every->row);
  iu__schema_free(s);
}

/* What a server lets through and an embedded universe does not: reserved names, names that differ in case only, a schedule that calls a
 * procedure, a default value and a sequence that it judged itself. */
#define LONG_NAME "twice_and_longer_than_the_name_of_a_table_twice_and_longer_than_the_name_of_a_table_twice_and_longer_than_the_name_of_a_table_at_all"
#define LAX_TABLE(name, sequences, schedule) \
  "{\"name\":\"" name "\",\"product_type_ref\":0,\"primary_key\":[0],\"indexes\":[" INDEX(SOME("\"" LONG_NAME "\""), SOME("\"by\""), "{\"Direct\":0}") "," \
  INDEX(SOME("\"other\""), SOME("\"by\""), "{\"BTree\":[1]}") "],\"constraints\":[{\"name\":" NONE ",\"data\":{\"Unique\":{\"columns\":[0]}}}],\"sequences\":[" sequences "],\"schedule\":" schedule \
  ",\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]}}"
#define LAX_JSON \
  "{\"typespace\":{\"types\":[{\"Product\":{\"elements\":[" FIELD("id", T("U64")) "," FIELD("ID", T("I256")) "," FIELD("_row", T("U8")) "," \
  FIELD("at", SCHEDULE_AT) "]}}]},\"tables\":[" LAX_TABLE("User", SEQUENCE(NONE), NONE) "," LAX_TABLE("user", SEQUENCE(SOME("18446744073709551616")), NONE) "," \
  LAX_TABLE("sqlite_x", "", SOME("{\"name\":" NONE ",\"reducer_name\":\"tick\",\"scheduled_at_column\":3}")) "," LAX_TABLE("_iu_x", "", NONE) \
  "],\"reducers\":[],\"types\":[{\"name\":{\"scope\":[],\"name\":\"Row\"},\"ty\":0,\"custom_ordering\":false}],\"misc_exports\":[" \
  "{\"Procedure\":{\"name\":\"tick\",\"params\":{\"elements\":[" FIELD("row", "{\"Ref\":0}") "]},\"return_type\":{\"U32\":[]}}}," \
  "{\"ColumnDefaultValue\":{\"table\":\"other\",\"col_id\":15,\"value\":\"00\"}}],\"row_level_security\":[]}"

static void rules_of_an_embedded_universe_do_not_hold_for_a_servers_module(void **state) {
  (void)state;
  iu_schema *s = must_read(LAX_JSON), *embedded;
  assert_int_equal(s->table_count, 4);
  assert_true(iu__schema_table(s, "User", 4) != iu__schema_table(s, "user", 4));
  const iu_table_def *timer = &s->tables[iu__schema_table(s, "sqlite_x", 8)];
  assert_int_equal(timer->schedule_reducer, -1);
  assert_int_equal(iu__table_def_column(timer, "_row", 4), 2);
  assert_true(iu__table_def_column(timer, "id", 2) == 0 && iu__table_def_column(timer, "ID", 2) == 1);
  assert_true(timer->primary_key == 0 && timer->indexes[0].unique && timer->plain_text);
  assert_true(sizeof LONG_NAME - 1 > IU_SCHEMA_NAME_MAX);
  assert_int_equal(iu__table_def_index(timer, LONG_NAME, sizeof LONG_NAME - 1), 0);
  assert_int_equal(iu__table_def_index(timer, "by", 2), 0);
  assert_int_equal(iu__table_def_index(timer, "other", 5), 1);
  assert_int_equal(iu__schema_decode(s->definition, s->definition_len, &embedded, NULL), IU_E_VALIDATION);
  iu__schema_free(s);
}

#define PLAIN_TABLE(name) \
  "{\"name\":\"" name "\",\"product_type_ref\":0,\"primary_key\":[],\"indexes\":[],\"constraints\":[],\"sequences\":[],\"schedule\":" NONE \
  ",\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]}}"

/* A module of one table `user` with these exports. */
#define VIEWS_JSON(more_types, exports) \
  "{\"typespace\":{\"types\":[" USER_TYPE more_types "]},\"tables\":[" PLAIN_TABLE("user") "],\"reducers\":[]," \
  "\"types\":[" TYPE_NAME("User", "0") "],\"misc_exports\":[" exports "],\"row_level_security\":[]}"
#define VIEW(name, is_public, params, returns) \
  "{\"View\":{\"name\":\"" name "\",\"index\":0,\"is_public\":" is_public ",\"is_anonymous\":false,\"params\":{\"elements\":[" params "]}," \
  "\"return_type\":" returns "}}"
#define OPTION(type) "{\"Sum\":{\"variants\":[" FIELD("some", type) "," FIELD("none", "{\"Product\":{\"elements\":[]}}") "]}}"

static void assert_view(const iu_schema *s, const char *name, bool is_public) {
  int i = iu__schema_table(s, name, strlen(name));
  assert_true(i >= 0);
  const iu_table_def *t = &s->tables[i];
  assert_true(t->is_view && t->is_public == is_public && t->primary_key == -1 && t->index_count == 0 && t->sequence_count == 0 && t->schedule_reducer == -1);
  assert_int_equal(iu__table_def_column(t, "name", 4), 1);
}

static void views_are_tables_without_keys(void **state) {
  (void)state;
  iu_schema *s = must_read(VIEWS_JSON("", VIEW("all_of", "true", "", "{\"Array\":{\"Ref\":0}}") "," VIEW("me", "false", "", OPTION("{\"Ref\":0}")) ","
                                          VIEW("asked", "true", "", "{\"Product\":{\"elements\":[" FIELD("__query__", "{\"Ref\":0}") "]}}")));
  assert_int_equal(s->table_count, 4);
  assert_int_equal(s->view_count, 3);
  assert_view(s, "all_of", true);
  assert_view(s, "me", false);
  assert_view(s, "asked", true);
  assert_false(s->tables[iu__schema_table(s, "user", 4)].is_view);
  iu__schema_free(s);
}

static void views_that_nobody_can_ask_for_are_read_over(void **state) {
  (void)state;
  iu_schema *s = must_read(VIEWS_JSON(",{\"U8\":[]}", VIEW("by_id", "true", FIELD("id", T("U32")), "{\"Array\":{\"Ref\":0}}") ","
                                          VIEW("count", "true", "", "{\"U64\":[]}") "," VIEW("numbers", "true", "", "{\"Array\":{\"Ref\":1}}") ","
                                          VIEW("in_place", "true", "", "{\"Array\":{\"U8\":[]}}") "," VIEW("user", "true", "", "{\"Array\":{\"Ref\":0}}")));
  assert_int_equal(s->table_count, 1);
  assert_int_equal(s->view_count, 0);
  iu__schema_free(s);
}

/* ---- hostile ---- */

static void assert_refused(const char *json, iu_status status, const char *what) {
  iu_schema *s = (iu_schema *)&s;
  iu_error err = {0};
  assert_int_equal(read_schema(json, &s, &err), status);
  assert_null(s);
  if (strstr(err.message, what) == NULL) fail_msg("`%s` does not say `%s`", err.message, what);
}

static void views_of_what_cannot_be_stored_are_refused(void **state) {
  (void)state;
  assert_refused(VIEWS_JSON(",{\"Product\":{\"elements\":[" FIELD("in", "{\"Array\":{\"Ref\":1}}") "]}}", VIEW("bad", "true", "", "{\"Array\":{\"Ref\":1}}")),
                 IU_E_VALIDATION, "view `bad`: type 1 (`unnamed`) contains itself");
  assert_refused(VIEWS_JSON("", VIEW("bad", "true", "", "{\"Array\":{\"Ref\":7}}")), IU_E_VALIDATION, "schema answer: ");
  assert_refused(VIEWS_JSON("", VIEW("bad", "true", "", OPTION("{\"Ref\":0}")) "," VIEW("bad", "true", "", OPTION("{\"Ref\":0}"))), IU_E_VALIDATION,
                 "two reducers, procedures or views are named `bad`");
}

static void tables_and_views_share_a_limit(void **state) {
  (void)state;
  iu_buf b = {0};
  static const char head[] = VIEWS_JSON("", "@");
  const char *at = strchr(head, '@');
  for (int more = 0; more < 2; more++) {
    iu__buf_reset(&b);
    iu__buf_put(&b, head, (size_t)(at - head));
    for (int i = 0; i < IU_SCHEMA_TABLES_MAX - 1 + more; i++) {
      iu__buf_printf(&b, "%s{\"View\":{\"name\":\"v%d\",\"index\":0,\"is_public\":true,\"is_anonymous\":false,\"params\":{\"elements\":[]},"
                     "\"return_type\":{\"Array\":{\"Ref\":0}}}}", i > 0 ? "," : "", i);
    }
    iu__buf_put(&b, at + 1, strlen(at)); /* with its end */
    if (more == 0) iu__schema_free(must_read((const char *)b.data));
    else assert_refused((const char *)b.data, IU_E_VALIDATION, "more tables and views than the limit");
  }
  iu__buf_free(&b);
}

static void wrong_answers_are_named(void **state) {
  (void)state;
  assert_refused("", IU_E_VALIDATION, "schema answer: ");
  assert_refused("{}", IU_E_VALIDATION, "missing field `typespace`");
  assert_refused(VIEWS_JSON("", "") "x", IU_E_VALIDATION, "schema answer: ");
  static const char twice[] = "{\"typespace\":{\"types\":[" USER_TYPE "]},\"tables\":[" PLAIN_TABLE("user") "," PLAIN_TABLE("user") "],\"reducers\":[],"
                              "\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}";
  assert_refused(twice, IU_E_VALIDATION, "two tables are named `user`");
  assert_refused("{\"typespace\":{\"types\":[{\"U64\":1}]},\"tables\":[],\"reducers\":[],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}",
                 IU_E_VALIDATION, "typespace.types[0]");
  assert_refused("{\"typespace\":{\"types\":[{\"Map\":[]}]},\"tables\":[],\"reducers\":[],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}",
                 IU_E_VALIDATION, "unknown variant `Map`");
  assert_refused("{\"typespace\":{\"types\":[{\"Ref\":9}]},\"tables\":[],\"reducers\":[],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}",
                 IU_E_VALIDATION, "schema answer: ");
}

/* `depth` times open before the middle and close behind it, as the only type. */
static char *nested(const char *open, const char *middle, const char *close, size_t depth) {
  static const char head[] = "{\"typespace\":{\"types\":[", tail[] = "]},\"tables\":[],\"reducers\":[],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}";
  iu_buf b = {0};
  iu__buf_put_str(&b, head);
  for (size_t i = 0; i < depth; i++) iu__buf_put_str(&b, open);
  iu__buf_put_str(&b, middle);
  for (size_t i = 0; i < depth; i++) iu__buf_put_str(&b, close);
  iu__buf_put(&b, tail, sizeof tail);
  char *text = strdup((const char *)b.data);
  iu__buf_free(&b);
  return text;
}

static void deep_types_are_refused(void **state) {
  (void)state;
  static const size_t depths[] = {70, 255, 10000};
  for (size_t i = 0; i < 3; i++) {
    char *arrays = nested("{\"Array\":", T("U8"), "}", depths[i]);
    char *options = nested("{\"Sum\":{\"variants\":[" FIELD("none", T("U8")) ",{\"name\":" NONE ",\"algebraic_type\":", T("U8"), "}]}}", depths[i]);
    assert_refused(arrays, IU_E_VALIDATION, depths[i] < 512 ? "nested over 64 deep" : "more than 512 containers");
    assert_refused(options, IU_E_VALIDATION, 4 * depths[i] < 512 ? "nested over 64 deep" : "more than 512 containers");
    free(arrays);
    free(options);
  }
}

#define OPTION_OPEN "{\"Sum\":{\"variants\":[{\"name\":" SOME("\"some\"") ",\"algebraic_type\":"
#define OPTION_CLOSE "}," FIELD("none", "{\"Product\":{\"elements\":[]}}") "]}}"

static void options_nest_fourteen_deep(void **state) {
  (void)state;
  char *fits = nested(OPTION_OPEN, T("U8"), OPTION_CLOSE, 14), *arrays = nested("{\"Array\":", T("U8"), "}", 50);
  iu__schema_free(must_read(fits));
  iu__schema_free(must_read(arrays));
  free(fits);
  free(arrays);
  char *too_deep = nested(OPTION_OPEN, T("U8"), OPTION_CLOSE, 16);
  assert_refused(too_deep, IU_E_VALIDATION, "nested over 64 deep");
  free(too_deep);
}

static void large_answers_are_refused(void **state) {
  (void)state;
  iu_schema *s;
  iu_error err = {0};
  char *text = malloc(IU_SCHEMA_JSON_MAX + 1);
  memset(text, ' ', IU_SCHEMA_JSON_MAX + 1);
  assert_int_equal(iu__schema_from_http(text, IU_SCHEMA_JSON_MAX + 1, &s, &err), IU_E_OVERLOADED);
  assert_int_equal(iu__schema_from_http(text, IU_SCHEMA_JSON_MAX, &s, &err), IU_E_VALIDATION);
  free(text);
}

static void cut_and_mutated_answers_never_crash(void **state) {
  (void)state;
  schema_survives_cuts_and_mutations(BIG_JSON, sizeof BIG_JSON - 1);
}

#ifdef IU_ERRINJ
static void no_memory_is_said(void **state) {
  (void)state;
  schema_says_no_memory(M2_JSON, sizeof M2_JSON - 1, 18);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_answer_is_the_modules_own_definition),
    cmocka_unit_test(an_empty_module),
    cmocka_unit_test(all_that_a_definition_may_hold),
    cmocka_unit_test(rules_of_an_embedded_universe_do_not_hold_for_a_servers_module),
    cmocka_unit_test(views_are_tables_without_keys),
    cmocka_unit_test(views_that_nobody_can_ask_for_are_read_over),
    cmocka_unit_test(views_of_what_cannot_be_stored_are_refused),
    cmocka_unit_test(tables_and_views_share_a_limit),
    cmocka_unit_test(wrong_answers_are_named),
    cmocka_unit_test(deep_types_are_refused),
    cmocka_unit_test(options_nest_fourteen_deep),
    cmocka_unit_test(large_answers_are_refused),
    cmocka_unit_test(cut_and_mutated_answers_never_crash),
#ifdef IU_ERRINJ
    cmocka_unit_test(no_memory_is_said),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
