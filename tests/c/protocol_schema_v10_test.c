/* The schema answer of a server of 2.x: RawModuleDefV10 as SATS-JSON to a schema: names in use, event tables, schedules, submodules; hostile ones. */
#include "protocol_schema_fixture.h"

#define NONE "{\"none\":[]}"
#define SOME(v) "{\"some\":" v "}"
#define FIELD(name, type) "{\"name\":" SOME("\"" name "\"") ",\"algebraic_type\":" type "}"
#define T(name) "{\"" name "\":[]}"
#define PRODUCT(fields) "{\"Product\":{\"elements\":[" fields "]}}"
#define DURATION PRODUCT(FIELD("__time_duration_micros__", T("I64")))
#define TIMESTAMP PRODUCT(FIELD("__timestamp_micros_since_unix_epoch__", T("I64")))
#define SCHEDULE_AT "{\"Sum\":{\"variants\":[" FIELD("Interval", DURATION) "," FIELD("Time", TIMESTAMP) "]}}"
#define SPACE(types) "{\"Typespace\":{\"types\":[" types "]}}"
#define TYPE(scope, name, ref) "{\"source_name\":{\"scope\":[" scope "],\"source_name\":\"" name "\"},\"ty\":" ref ",\"custom_ordering\":true}"
#define TABLE(name, ref, event) \
  "{\"source_name\":\"" name "\",\"product_type_ref\":" ref ",\"primary_key\":[0],\"indexes\":[{\"source_name\":" SOME("\"" name "_idx\"") \
  ",\"accessor_name\":" SOME("\"id\"") ",\"algorithm\":{\"BTree\":[0]}}],\"constraints\":[{\"source_name\":" NONE ",\"data\":{\"Unique\":{\"columns\":[0]}}}]," \
  "\"sequences\":[{\"source_name\":" NONE ",\"column\":0,\"start\":" NONE ",\"min_value\":" NONE ",\"max_value\":" NONE ",\"increment\":1}]," \
  "\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]},\"default_values\":[{\"col_id\":1,\"value\":\"00\"}],\"is_event\":" event "}"
#define REDUCER(name, params) \
  "{\"source_name\":\"" name "\",\"params\":{\"elements\":[" params "]},\"visibility\":{\"ClientCallable\":[]},\"ok_return_type\":" PRODUCT("") \
  ",\"err_return_type\":" T("String") "}"
#define PROCEDURE(name, params, returns) \
  "{\"source_name\":\"" name "\",\"params\":{\"elements\":[" params "]},\"return_type\":" returns ",\"visibility\":{\"Private\":[]}}"
#define VIEW(name, returns) \
  "{\"source_name\":\"" name "\",\"index\":0,\"is_public\":true,\"is_anonymous\":true,\"params\":{\"elements\":[]},\"return_type\":" returns "}"
#define VIEW_KEY(view, columns) "{\"view_source_name\":\"" view "\",\"columns\":[" columns "]}"
#define NAME(kind, source, canonical) "{\"" kind "\":{\"source_name\":\"" source "\",\"canonical_name\":\"" canonical "\"}}"
#define ROW PRODUCT(FIELD("id", T("U64")) "," FIELD("at", SCHEDULE_AT))

/* A library in a submodule: its types are the second module's 0 and 1. */
#define INNER \
  "{\"sections\":[" SPACE(PRODUCT(FIELD("id", T("U64")) "," FIELD("of", "{\"Ref\":1}")) "," PRODUCT(FIELD("x", T("F32")))) \
  ",{\"Types\":[" TYPE("", "Row", "0") "," TYPE("\"deep\"", "Spot", "1") "]},{\"Tables\":[" TABLE("Kept", "0", "true") "]},{\"Reducers\":[" \
  REDUCER("Keep", FIELD("spot", "{\"Ref\":1}")) "]},{\"Procedures\":[" PROCEDURE("where", FIELD("list", "{\"Array\":{\"Ref\":1}}"), "{\"Ref\":1}") \
  "]},{\"Views\":[" VIEW("all_kept", "{\"Array\":{\"Ref\":0}}") "]},{\"ViewPrimaryKeys\":[" VIEW_KEY("all_kept", "\"id\"") "]},{\"ExplicitNames\":{\"entries\":[" NAME("Table", "Kept", "kept") "," \
  NAME("Function", "Keep", "keep") "]}}]}"
#define NESTED "{\"sections\":[{\"Submodules\":[{\"namespace\":\"inner\",\"module\":" INNER "}]}]}"
#define WHOLE \
  "{\"sections\":[" SPACE(ROW) ",{\"Types\":[" TYPE("", "Row", "0") "]},{\"Tables\":[" TABLE("Timer", "0", "false") "," TABLE("shout", "0", "true") \
  "]},{\"Reducers\":[" REDUCER("Tick", FIELD("row", "{\"Ref\":0}")) "," REDUCER("start", "") "]},{\"Schedules\":[{\"source_name\":" SOME("\"timer_sched\"") \
  ",\"table_name\":\"timer\",\"schedule_at_col\":1,\"function_name\":\"tick\"}]},{\"LifeCycleReducers\":[{\"lifecycle_spec\":{\"Init\":[]}," \
  "\"function_name\":\"start\"}]},{\"RowLevelSecurity\":[{\"sql\":\"SELECT * FROM timer\"}]},{\"CaseConversionPolicy\":{\"SnakeCase\":[]}}," \
  "{\"ExplicitNames\":{\"entries\":[" NAME("Table", "Timer", "timer") "," NAME("Function", "Tick", "tick") "," NAME("Function", "Timer", "no_table") "," \
  NAME("Index", "a", "b") "]}},{\"HttpHandlers\":[]},{\"FromTheFuture\":{\"x\":1}},{\"Submodules\":[{\"namespace\":\"lib\",\"module\":" INNER "}," \
  "{\"namespace\":\"out\",\"module\":" NESTED "}]}]}"

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

static const iu_table_def *table(const iu_schema *s, const char *name) {
  int i = iu__schema_table(s, name, strlen(name));
  if (i < 0) fail_msg("no table `%s`", name);
  return &s->tables[i];
}

static void names_are_those_of_the_wire(void **state) {
  (void)state;
  iu_schema *s = must_read(WHOLE);
  assert_int_equal(iu__schema_table(s, "Timer", 5), -1);
  assert_int_equal(iu__schema_reducer(s, "Tick", 4), -1);
  const iu_table_def *timer = table(s, "timer"), *shout = table(s, "shout");
  assert_true(!timer->is_event && shout->is_event);
  assert_int_equal(timer->schedule_reducer, iu__schema_reducer(s, "tick", 4));
  assert_int_equal(timer->schedule_column, 1);
  assert_int_equal(shout->schedule_reducer, -1);
  assert_int_equal(timer->primary_key, 0);
  assert_string_equal(timer->indexes[0].name, "Timer_idx");
  assert_string_equal(timer->indexes[0].accessor, "id");
  assert_int_equal(s->reducers[iu__schema_reducer(s, "start", 5)].lifecycle, IU_LC_INIT);
  assert_int_equal(s->reducers[iu__schema_reducer(s, "tick", 4)].lifecycle, IU_LC_NONE);
  iu__schema_free(s);
}

static void submodules_are_behind_their_namespace(void **state) {
  (void)state;
  iu_schema *s = must_read(WHOLE);
  static const char *const prefixes[] = {"lib.", "out.inner."};
  assert_int_equal(s->table_count, 6);
  assert_int_equal(s->view_count, 2);
  for (int i = 0; i < 2; i++) {
    char name[40], words[200];
    iu_buf signature = {0};
    snprintf(name, sizeof name, "%skept", prefixes[i]);
    const iu_table_def *kept = table(s, name);
    assert_true(kept->is_event && !kept->is_view);
    const iu_type *spot = iu__type_deref(kept->row->u.fields[1].type);
    assert_string_equal(spot->u.fields[0].name, "x");
    snprintf(name, sizeof name, "%sall_kept", prefixes[i]);
    assert_true(table(s, name)->is_view && table(s, name)->row == kept->row && !table(s, name)->is_event);
    snprintf(name, sizeof name, "%skeep", prefixes[i]);
    int reducer = iu__schema_reducer(s, name, strlen(name));
    assert_true(reducer >= 0);
    iu__reducer_signature(s, &s->reducers[reducer], &signature);
    snprintf(words, sizeof words, "%skeep(spot: %sdeep.Spot)", prefixes[i], prefixes[i]);
    assert_int_equal(signature.len, strlen(words));
    assert_memory_equal(signature.data, words, signature.len);
    iu__buf_free(&signature);
    snprintf(name, sizeof name, "%swhere", prefixes[i]);
    int procedure = iu__schema_procedure(s, name, strlen(name));
    assert_true(procedure >= 0);
    assert_ptr_equal(iu__type_deref(s->procedures[procedure].returns), spot);
  }
  iu__schema_free(s);
}

static void views_have_the_keys_that_are_said_of_them(void **state) {
  (void)state;
  iu_schema *s = must_read(WHOLE);
  const iu_table_def *kept = table(s, "out.inner.all_kept");
  assert_true(kept->is_view);
  assert_int_equal(kept->primary_key, 0);
  assert_int_equal(kept->index_count, 1);
  assert_true(kept->indexes[0].unique && kept->indexes[0].column_count == 1 && kept->indexes[0].columns[0] == 0);
  assert_string_equal(kept->indexes[0].accessor, "id");
  assert_string_equal(kept->indexes[0].name, "out.inner.all_kept_id_idx_btree");
  iu__schema_free(s);
  static const struct { const char *keys; int key; } cases[] = {
      {VIEW_KEY("V", "\"at\""), 1}, {VIEW_KEY("v", "\"id\""), 0},                   /* by either name */
      {VIEW_KEY("other", "\"id\""), -1}, {VIEW_KEY("V", "\"nothing\""), -1},       /* of nothing that is there */
      {VIEW_KEY("Row", "\"id\""), -1}, {VIEW_KEY("V", "\"id\",\"at\""), -1}, {VIEW_KEY("V", ""), -1}, {"", -1},
      {VIEW_KEY("V", "\"id\"") "," VIEW_KEY("V", "\"at\""), 0}};                    /* the first one counts */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char json[4000];
    snprintf(json, sizeof json, "{\"sections\":[" SPACE(ROW) ",{\"Views\":[" VIEW("V", "{\"Array\":{\"Ref\":0}}") "]},{\"ViewPrimaryKeys\":[%s]},"
             "{\"ExplicitNames\":{\"entries\":[" NAME("Function", "V", "v") "]}}]}", cases[i].keys);
    s = must_read(json);
    assert_int_equal(table(s, "v")->primary_key, cases[i].key);
    assert_int_equal(table(s, "v")->index_count, cases[i].key >= 0);
    iu__schema_free(s);
  }
}

static void an_empty_definition_is_an_empty_module(void **state) {
  (void)state;
  iu_schema *s = must_read("{\"sections\":[]}");
  assert_int_equal(s->table_count + s->reducer_count, 0);
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

#define IN_NAMESPACE(name, module) "{\"sections\":[{\"Submodules\":[{\"namespace\":\"" name "\",\"module\":" module "}]}]}"

static void what_is_wrong_is_named(void **state) {
  (void)state;
  assert_refused("{\"sections\":[" SPACE("") "," SPACE("") "]}", IU_E_VALIDATION, "two sections `Typespace`");
  assert_refused("{\"sections\":[{\"Tables\":[{}]}]}", IU_E_VALIDATION, "expected source_name");
  assert_refused("{\"sections\":[{\"Tables\":[5]}]}", IU_E_VALIDATION, "expected source_name");
  assert_refused("{\"sections\":[{\"Reducers\":[{\"source_name\":5}]}]}", IU_E_VALIDATION, "expected source_name");
  assert_refused("{\"sections\":[{\"Reducers\":[{\"source_name\":\"a\"}]}]}", IU_E_VALIDATION, "expected params");
  assert_refused("{\"sections\":[{\"ExplicitNames\":{\"entries\":[{\"Table\":{}}]}}]}", IU_E_VALIDATION, "expected source_name");
  assert_refused("{\"sections\":[{\"Tables\":[" TABLE("a", "0", "false") "]}]}", IU_E_VALIDATION, "schema answer: ");
  assert_refused("{\"sections\":[{\"Views\":[" VIEW("v", "{}") "]},{\"ViewPrimaryKeys\":[{}]}]}", IU_E_VALIDATION, "expected view_source_name");
  assert_refused("{\"sections\":[{\"Views\":[" VIEW("v", "{}") "]},{\"ViewPrimaryKeys\":[{\"view_source_name\":\"v\",\"columns\":[5]}]}]}", IU_E_VALIDATION,
                 "expected names of columns");
  assert_refused("{\"sections\":[" SPACE("{\"Ref\":9223372036854775807}") "]}", IU_E_VALIDATION, "schema answer: ");
  assert_refused("{\"sections\":[]} x", IU_E_VALIDATION, "schema answer: ");
  assert_refused(IN_NAMESPACE("a b", INNER), IU_E_VALIDATION, "is no identifier");
  assert_refused(IN_NAMESPACE("", INNER), IU_E_VALIDATION, "is no identifier");
  assert_refused(IN_NAMESPACE("a.", INNER), IU_E_VALIDATION, "is no identifier");
  assert_refused("{\"sections\":[{\"Submodules\":[{\"module\":" INNER "}]}]}", IU_E_VALIDATION, "expected namespace");
  assert_refused("{\"sections\":[{\"Submodules\":[{\"namespace\":\"n\",\"module\":" INNER "},{\"namespace\":\"n\",\"module\":" INNER "}]}]}", IU_E_VALIDATION,
                 "n.");
}

/* `open` count times, the middle, and as many times `close`. */
static char *repeated(const char *head, const char *open, const char *middle, const char *close, const char *tail, uint32_t count) {
  iu_buf b = {0};
  iu__buf_put_str(&b, head);
  for (uint32_t i = 0; i < count; i++) iu__buf_put_str(&b, open);
  iu__buf_put_str(&b, middle);
  for (uint32_t i = 0; i < count; i++) iu__buf_put_str(&b, close);
  iu__buf_put(&b, tail, strlen(tail) + 1);
  char *whole = strdup((const char *)b.data);
  iu__buf_free(&b);
  return whole;
}

static void counts_have_caps(void **state) {
  (void)state;
  static const char one[] = "{\"namespace\":\"a\",\"module\":{\"sections\":[]}},";
  char *fits = repeated("{\"sections\":[{\"Submodules\":[", one, "", "", "{\"namespace\":\"z\",\"module\":{\"sections\":[]}}]}]}", IU_SUBMODULES_MAX - 1);
  char *many = repeated("{\"sections\":[{\"Submodules\":[", one, "", "", "{\"namespace\":\"z\",\"module\":{\"sections\":[]}}]}]}", IU_SUBMODULES_MAX);
  char *deep = repeated("", "{\"sections\":[{\"Submodules\":[{\"namespace\":\"a\",\"module\":", "{\"sections\":[]}", "}]}]}", "", 200);
  char *sections = repeated("{\"sections\":[", "{\"New\":[]},", "{}", "", "]}", 64);
  char *lifecycles = repeated("{\"sections\":[{\"LifeCycleReducers\":[", "{},", "{}", "", "]}]}", 8);
  char *schedules = repeated("{\"sections\":[{\"Schedules\":[", "{},", "{}", "", "]}]}", IU_SCHEMA_TABLES_MAX);
  char *keys = repeated("{\"sections\":[{\"ViewPrimaryKeys\":[", "{},", "{}", "", "]}]}", IU_SCHEMA_TABLES_MAX);
  iu__schema_free(must_read(fits));
  assert_refused(many, IU_E_OVERLOADED, "more than 256 submodules");
  assert_refused(deep, IU_E_VALIDATION, "more than 512 containers");
  assert_refused(sections, IU_E_OVERLOADED, "65 sections, at most 64 are read");
  assert_refused(lifecycles, IU_E_VALIDATION, "more than 8 lifecycle reducers");
  assert_refused(schedules, IU_E_VALIDATION, "more than 1024 tables or schedules");
  free(fits);
  free(many);
  free(deep);
  free(sections);
  free(lifecycles);
  assert_refused(keys, IU_E_VALIDATION, "more than 1024 views or keys of views");
  free(schedules);
  free(keys);
}

static void cut_and_mutated_answers_never_crash(void **state) {
  (void)state;
  schema_survives_cuts_and_mutations(WHOLE, sizeof WHOLE - 1);
}

#ifdef IU_ERRINJ
static void no_memory_is_said(void **state) {
  (void)state;
  schema_says_no_memory(WHOLE, sizeof WHOLE - 1, 20);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_are_those_of_the_wire),
    cmocka_unit_test(submodules_are_behind_their_namespace),
    cmocka_unit_test(views_have_the_keys_that_are_said_of_them),
    cmocka_unit_test(an_empty_definition_is_an_empty_module),
    cmocka_unit_test(what_is_wrong_is_named),
    cmocka_unit_test(counts_have_caps),
    cmocka_unit_test(cut_and_mutated_answers_never_crash),
#ifdef IU_ERRINJ
    cmocka_unit_test(no_memory_is_said),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
