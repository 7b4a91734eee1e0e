/* Server messages of v1.json into the same structures: the shapes of the sheet (5.8), both forms of rows (3.4), what is missing or wrong. */
#include <math.h>

#include "../../core/base/errinj.h"
#include "protocol_fixture.h"
#include "sats_schema_fixture.h"

#define IDENTITY_JSON "{\"__identity__\":\"0x" IDENTITY_I "\"}"
#define CONN_JSON "{\"__connection_id__\":88962710306127702866241727433142015}"
#define TIME_JSON "{\"__timestamp_micros_since_unix_epoch__\":1700000000000000}"
#define DURATION_JSON "{\"__time_duration_micros__\":250}"
#define TABLE(deletes, inserts) "{\"table_id\":4096,\"table_name\":\"user\",\"num_rows\":1,\"updates\":[{\"deletes\":[" deletes "],\"inserts\":[" inserts "]}]}"
#define ROW_A_OBJECT "\"{\\\"id\\\":7,\\\"name\\\":\\\"Bob\\\"}\""
#define ROW_A_ARRAY "\"[7,\\\"Bob\\\"]\""
#define ROW_B_ARRAY "\"[8,\\\"Al\\\"]\""
#define UPDATE(status) \
  "{\"TransactionUpdate\":{\"status\":" status ",\"timestamp\":" TIME_JSON ",\"caller_identity\":" IDENTITY_JSON ",\"caller_connection_id\":" CONN_JSON \
  ",\"reducer_call\":{\"reducer_name\":\"set_name\",\"reducer_id\":1,\"args\":\"[\\\"Bob\\\"]\",\"request_id\":5}," \
  "\"energy_quanta_used\":{\"quanta\":1000},\"total_host_execution_duration\":" DURATION_JSON "}}"

static iu_schema *user_schema(void) {
  iu_schema *s;
  bytes_of b = unhex(M2);
  assert_int_equal(iu__schema_decode(b.p, b.len, &s, NULL), IU_OK);
  free(b.p);
  return s;
}

static void read_json(opened *o, const iu_schema *schema, const char *json, iu_message *m) {
  bytes_of b = {malloc(strlen(json)), strlen(json)};
  memcpy(b.p, json, b.len);
  must_open(o, IU_P_V1_JSON, b, CAP);
  o->payload.schema = schema;
  must_next(o, m);
}

static void assert_rows(const iu_row_list *l, const char *a, const char *b) {
  assert_int_equal(l->count, (a != NULL) + (b != NULL));
  if (a != NULL) assert_slice_hex(iu__row_list_at(l, 0), a);
  if (b != NULL) assert_slice_hex(iu__row_list_at(l, 1), b);
}

static void connected(void **state) {
  opened o;
  iu_message m;
  read_json(&o, *state, "{\"IdentityToken\":{\"identity\":" IDENTITY_JSON ",\"token\":\"tok\",\"connection_id\":" CONN_JSON "}}", &m);
  assert_int_equal(m.kind, IU_M_CONNECTED);
  assert_hex(m.identity, 32, ID_HEX);
  assert_hex(m.connection_id, 16, CONN_HEX);
  assert_slice_text(m.token, "tok");
  must_end(&o);
  close_payload(&o);
  read_json(&o, *state, "{\"IdentityToken\":{\"identity\":[\"0x1\"],\"token\":\"\",\"connection_id\":[7]}}", &m);
  assert_true(m.identity[0] == 1 && m.identity[31] == 0 && m.connection_id[0] == 7);
  close_payload(&o);
}

static void transactions(void **state) {
  static const struct { const char *json; iu_outcome outcome; const char *text; } updates[] = {
    {UPDATE("{\"Committed\":{\"tables\":[" TABLE(ROW_A_OBJECT, ROW_A_ARRAY "," ROW_B_ARRAY) "]}}"), IU_OUT_COMMITTED, ""},
    {UPDATE("{\"Failed\":\"no\"}"), IU_OUT_FAILED, "no"},
    {UPDATE("{\"OutOfEnergy\":[]}"), IU_OUT_NO_ENERGY, ""},
  };
  for (size_t i = 0; i < 3; i++) {
    opened o;
    iu_message m;
    read_json(&o, *state, updates[i].json, &m);
    assert_true(m.kind == IU_M_TRANSACTION && m.has_call && m.outcome == updates[i].outcome);
    assert_slice_text(m.text, updates[i].text);
    assert_slice_text(m.reducer, "set_name");
    assert_slice_hex(m.args, ARGS_BOB);
    assert_hex(m.connection_id, 16, CONN_HEX);
    assert_true(m.reducer_id == 1 && m.request == 5 && m.timestamp == TIME && m.duration == 250);
    assert_int_equal(m.update_count, i == 0);
    if (i == 0) {
      assert_slice_text(m.updates[0].table, "user");
      assert_rows(&m.updates[0].deletes, ROW_A, NULL);
      assert_rows(&m.updates[0].inserts, ROW_A, ROW_B);
    }
    close_payload(&o);
  }
}

static void light_initial_and_subscriptions(void **state) {
  static const struct { const char *json; iu_message_kind kind; bool set, deletes; } messages[] = {
    {"{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[" TABLE("", ROW_A_ARRAY) "]}}}", IU_M_TRANSACTION, false, false},
    {"{\"InitialSubscription\":{\"database_update\":{\"tables\":[" TABLE("", ROW_A_OBJECT) "]},\"request_id\":1,\"total_host_execution_duration\":" DURATION_JSON "}}",
     IU_M_INITIAL, false, false},
    {"{\"SubscribeMultiApplied\":{\"request_id\":1,\"total_host_execution_duration_micros\":250,\"query_id\":{\"id\":2},\"update\":{\"tables\":["
     TABLE("", ROW_A_OBJECT) "]}}}", IU_M_SUBSCRIBED, true, false},
    {"{\"UnsubscribeMultiApplied\":{\"request_id\":1,\"total_host_execution_duration_micros\":250,\"query_id\":{\"id\":2},\"update\":{\"tables\":["
     TABLE(ROW_A_OBJECT, "") "]}}}", IU_M_UNSUBSCRIBED, true, true},
    {"{\"SubscribeApplied\":{\"request_id\":1,\"total_host_execution_duration_micros\":250,\"query_id\":{\"id\":2},\"rows\":{\"table_id\":4096,"
     "\"table_name\":\"user\",\"table_rows\":" TABLE("", ROW_A_OBJECT) "}}}", IU_M_SUBSCRIBED, true, false},
    {"{\"UnsubscribeApplied\":{\"request_id\":1,\"total_host_execution_duration_micros\":250,\"query_id\":{\"id\":2},\"rows\":{\"table_id\":4096,"
     "\"table_name\":\"user\",\"table_rows\":" TABLE(ROW_A_OBJECT, "") "}}}", IU_M_UNSUBSCRIBED, true, true},
  };
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
    opened o;
    iu_message m;
    read_json(&o, *state, messages[i].json, &m);
    assert_int_equal(m.kind, messages[i].kind);
    assert_true(m.has_request && m.request == 1 && m.has_set == messages[i].set && (!m.has_set || m.set == 2));
    assert_int_equal(m.light, i == 0);
    assert_int_equal(m.update_count, 1);
    assert_rows(messages[i].deletes ? &m.updates[0].deletes : &m.updates[0].inserts, ROW_A, NULL);
    assert_rows(messages[i].deletes ? &m.updates[0].inserts : &m.updates[0].deletes, NULL, NULL);
    close_payload(&o);
  }
}

static void errors_and_answers(void **state) {
  opened o;
  iu_message m;
  read_json(&o, *state, "{\"SubscriptionError\":{\"total_host_execution_duration_micros\":250,\"request_id\":{\"some\":1},\"query_id\":{\"none\":[]},"
            "\"table_id\":{\"none\":[]},\"error\":\"bad\"}}", &m);
  assert_true(m.kind == IU_M_SUBSCRIPTION_ERROR && m.has_request && m.request == 1 && !m.has_set);
  assert_slice_text(m.text, "bad");
  close_payload(&o);
  read_json(&o, *state, "{\"OneOffQueryResponse\":{\"message_id\":\"aabb00ff\",\"error\":{\"none\":[]},\"tables\":[{\"table_name\":\"user\",\"rows\":["
            ROW_A_OBJECT "]}],\"total_host_execution_duration\":" DURATION_JSON "}}", &m);
  assert_true(m.kind == IU_M_ONE_OFF && m.ok && m.has_request && m.request == 0xff00bbaa && m.duration == 250);
  assert_rows(&m.updates[0].inserts, ROW_A, NULL);
  close_payload(&o);
  read_json(&o, *state, "{\"OneOffQueryResponse\":{\"message_id\":\"aabb\",\"error\":{\"some\":\"bad\"},\"tables\":[],\"total_host_execution_duration\":[250]}}", &m);
  assert_true(!m.ok && !m.has_request);
  assert_slice_text(m.text, "bad");
  close_payload(&o);
  read_json(&o, *state, "{\"ProcedureResult\":{\"status\":{\"Returned\":\"[1]\"},\"timestamp\":" TIME_JSON ",\"total_host_execution_duration\":" DURATION_JSON
            ",\"request_id\":6}}", &m);
  assert_true(m.kind == IU_M_PROCEDURE && m.ok && m.request == 6 && m.timestamp == TIME);
  assert_slice_text(m.value, "[1]");
  close_payload(&o);
  read_json(&o, *state, "{\"ProcedureResult\":{\"status\":{\"InternalError\":\"x\"},\"timestamp\":[0],\"total_host_execution_duration\":[0],\"request_id\":6}}", &m);
  assert_int_equal(m.outcome, IU_OUT_INTERNAL);
  assert_slice_text(m.text, "x");
  close_payload(&o);
}

static void rows_of_unknown_tables_are_left_out(void **state) {
  opened o;
  iu_message m;
  static const char json[] = "{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[{\"table_name\":\"pets\",\"updates\":["
                             "{\"deletes\":[\"[1]\"],\"inserts\":[\"[1]\"]}]}," TABLE("", ROW_A_ARRAY) "]}}}";
  read_json(&o, *state, json, &m);
  assert_int_equal(m.update_count, 2);
  assert_slice_text(m.updates[0].table, "pets");
  assert_rows(&m.updates[0].inserts, NULL, NULL);
  assert_rows(&m.updates[1].inserts, ROW_A, NULL);
  close_payload(&o);
  read_json(&o, NULL, json, &m);
  assert_int_equal(m.update_count, 2);
  close_payload(&o);
}

/* Servers write NaN and the infinities as null. */
static void floats_that_are_no_number_are_null(void **state) {
  (void)state;
  def d = {0};
  iu_typespace ts = {0};
  opened o;
  iu_message m;
  double wide;
  float narrow;
  add_type(&d, iu__type_product(&ts, 2, (iu_field[]){{"a", iu__type_scalar(IU_T_F64)}, {"b", iu__type_scalar(IU_T_F32)}}), "Pair");
  add_table(&d, "pair", 0, -1, NULL);
  iu_schema *s = decode_def(&d, NULL);
  iu__typespace_free(&ts);
  assert_non_null(s);
  read_json(&o, s, "{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[{\"table_name\":\"pair\",\"updates\":[{\"deletes\":["
            "\"{\\\"a\\\":null,\\\"b\\\":null}\"],\"inserts\":[\"[null,null]\"]}]}]}}}", &m);
  assert_int_equal(m.updates[0].inserts.count, 1);
  iu_slice row = iu__row_list_at(&m.updates[0].inserts, 0), gone = iu__row_list_at(&m.updates[0].deletes, 0);
  assert_int_equal(row.len, 12);
  memcpy(&wide, row.p, 8);
  memcpy(&narrow, row.p + 8, 4);
  assert_true(isnan(wide) && isnan(narrow));
  assert_true(gone.len == row.len && memcmp(gone.p, row.p, row.len) == 0);
  close_payload(&o);
  iu__schema_free(s);
}

/* A rejected call carries `[]`, an unknown reducer anything. */
static void arguments_that_do_not_fit_are_empty(void **state) {
  opened o;
  iu_message m;
  read_json(&o, *state, "{\"TransactionUpdate\":{\"status\":{\"Failed\":\"no\"},\"timestamp\":[1],\"caller_identity\":[\"0x0\"],\"caller_connection_id\":[0],"
            "\"reducer_call\":{\"reducer_name\":\"set_name\",\"reducer_id\":4294967295,\"args\":\"[]\",\"request_id\":0},\"total_host_execution_duration\":[1]}}", &m);
  assert_int_equal(m.args.len, 0);
  assert_int_equal(m.reducer_id, UINT32_MAX);
  close_payload(&o);
}

static void assert_bad(const iu_schema *s, const char *json, iu_status expected, size_t cap, const char *what) {
  uint32_t messages;
  iu_error err = {0};
  assert_int_equal(drain(IU_P_V1_JSON, s, json, strlen(json), cap, &messages, &err), expected);
  if (strstr(err.message, what) == NULL) fail_msg("`%s` does not say `%s`", err.message, what);
}

static void what_is_wrong_is_named(void **state) {
  static const struct { const char *json, *what; } bad[] = {
    {"", "v1.json.spacetimedb: "},
    {"[]", "one message"},
    {"{\"A\":{},\"B\":{}}", "one message"},
    {"{\"Nothing\":{}}", "unknown message `Nothing`"},
    {"{\"IdentityToken\":[]}", "IdentityToken: expected `identity`"},
    {"{\"IdentityToken\":{\"identity\":[\"0xg\"],\"token\":\"\",\"connection_id\":[1]}}", "`identity`"},
    {"{\"IdentityToken\":{\"identity\":[\"0x1\"],\"token\":1,\"connection_id\":[1]}}", "`token`"},
    {"{\"IdentityToken\":{\"identity\":[\"0x1\"],\"token\":\"\",\"connection_id\":[-1]}}", "`connection_id`"},
    {"{\"TransactionUpdateLight\":{\"request_id\":4294967296,\"update\":{\"tables\":[]}}}", "`request_id`"},
    {"{\"TransactionUpdateLight\":{\"request_id\":-1,\"update\":{\"tables\":[]}}}", "`request_id`"},
    {"{\"TransactionUpdateLight\":{\"request_id\":1}}", "`tables`"},
    {"{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[7]}}}", "`table_name`"},
    {"{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[{\"table_name\":\"user\",\"updates\":[[]]}]}}}", "`deletes`"},
    {"{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[" TABLE("", "[7,8]") "]}}}", "rows that are strings"},
    {"{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[" TABLE("", "\"[7]\"") "]}}}", "a row of `user`: expected an array of 2"},
    {"{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[" TABLE("\"[7,8]\"", "") "]}}}", "expected String, found the integer 8"},
    {"{\"SubscribeApplied\":{\"request_id\":1,\"query_id\":2}}", "`query_id`"},
    {"{\"SubscriptionError\":{\"total_host_execution_duration_micros\":1,\"request_id\":1,\"query_id\":{\"none\":[]},\"error\":\"\"}}", "`request_id` to be an Option"},
    {"{\"ProcedureResult\":{\"status\":[],\"timestamp\":[0],\"total_host_execution_duration\":[0],\"request_id\":6}}", "`InternalError`"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_bad(*state, bad[i].json, IU_E_VALIDATION, CAP, bad[i].what);
}

static void rows_are_paid_from_the_cap(void **state) {
  static const char json[] = "{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":{\"tables\":[" TABLE("", ROW_A_ARRAY "," ROW_A_ARRAY) "]}}}";
  uint32_t messages;
  assert_bad(*state, json, IU_E_OVERLOADED, 2 * (11 + 8) - 1, "");
  assert_bad(*state, json, IU_E_OVERLOADED, 0, "");
  assert_int_equal(drain(IU_P_V1_JSON, *state, json, strlen(json), 2 * (11 + 8), &messages, NULL), IU_OK);
}

static void deep_json_is_refused(void **state) {
  static const char head[] = "{\"TransactionUpdateLight\":{\"request_id\":1,\"update\":";
  char *deep = malloc(sizeof head + 10000);
  memcpy(deep, head, sizeof head - 1);
  memset(deep + sizeof head - 1, '[', 10000);
  deep[sizeof head - 1 + 10000] = '\0';
  assert_bad(*state, deep, IU_E_VALIDATION, CAP, "more than 512 containers");
  free(deep);
}

static const char *const MESSAGES[] = {
  UPDATE("{\"Committed\":{\"tables\":[" TABLE(ROW_A_OBJECT, ROW_A_ARRAY "," ROW_B_ARRAY) "]}}"),
  "{\"SubscriptionError\":{\"total_host_execution_duration_micros\":250,\"request_id\":{\"some\":1},\"query_id\":{\"none\":[]},\"error\":\"bad\"}}",
  "{\"OneOffQueryResponse\":{\"message_id\":\"aabb00ff\",\"error\":{\"none\":[]},\"tables\":[{\"table_name\":\"user\",\"rows\":[" ROW_A_OBJECT
  "]}],\"total_host_execution_duration\":" DURATION_JSON "}}",
  "{\"IdentityToken\":{\"identity\":" IDENTITY_JSON ",\"token\":\"tok\",\"connection_id\":" CONN_JSON "}}",
};

static void cut_and_mutated_texts_never_crash(void **state) {
  uint64_t seed = test_seed();
  uint32_t messages, good = 0;
  for (size_t i = 0; i < 4; i++) {
    size_t len = strlen(MESSAGES[i]);
    for (size_t cut = 0; cut < len; cut++) {
      char *text = malloc(cut + 1);
      memcpy(text, MESSAGES[i], cut);
      assert_int_equal(drain(IU_P_V1_JSON, *state, text, cut, CAP, &messages, NULL), IU_E_VALIDATION);
      free(text);
    }
  }
  for (uint32_t i = 0; i < 20000; i++) {
    const char *whole = MESSAGES[test_random(&seed) % 4];
    size_t len = strlen(whole);
    char *text = malloc(len);
    memcpy(text, whole, len);
    static const char swaps[] = "{}[]\",:0123456789-etfn\\ \xff";
    for (uint32_t k = 0; k < 1 + i % 3; k++) text[test_random(&seed) % len] = swaps[test_random(&seed) % (sizeof swaps - 1)];
    good += drain(IU_P_V1_JSON, *state, text, len, CAP, &messages, NULL) == IU_OK;
    free(text);
  }
  assert_true(good > 100 && good < 15000);
}

#ifdef IU_ERRINJ
static void no_memory_is_said(void **state) {
  for (size_t i = 0; i < 4; i++) {
    long after = 0;
    for (;; after++) {
      uint32_t messages;
      iu__errinj_arm(IU_ERRINJ_ALLOC, after);
      iu_status status = drain(IU_P_V1_JSON, *state, MESSAGES[i], strlen(MESSAGES[i]), CAP, &messages, NULL);
      iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
      if (status == IU_OK) break;
      assert_int_equal(status, IU_E_NOMEM);
      assert_true(after < 1000);
    }
    assert_true(after > 1);
  }
}
#endif

static int set_up(void **state) {
  *state = user_schema();
  return 0;
}
static int tear_down(void **state) {
  iu__schema_free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(connected),
    cmocka_unit_test(transactions),
    cmocka_unit_test(light_initial_and_subscriptions),
    cmocka_unit_test(errors_and_answers),
    cmocka_unit_test(rows_of_unknown_tables_are_left_out),
    cmocka_unit_test(floats_that_are_no_number_are_null),
    cmocka_unit_test(arguments_that_do_not_fit_are_empty),
    cmocka_unit_test(what_is_wrong_is_named),
    cmocka_unit_test(rows_are_paid_from_the_cap),
    cmocka_unit_test(deep_json_is_refused),
    cmocka_unit_test(cut_and_mutated_texts_never_crash),
#ifdef IU_ERRINJ
    cmocka_unit_test(no_memory_is_said),
#endif
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
