/* Client messages: the sheet's vectors (12.3, 12.4, F-4) byte for byte, the shapes of v1.json (5.8), names of protocols. */
#include "protocol_fixture.h"

static const iu_slice QUERIES[] = {{(const uint8_t *)QUERY, sizeof QUERY - 1}, {(const uint8_t *)"SELECT * FROM \"a\"", 17}};

static void assert_put(iu_buf *b, const char *hex) {
  assert_int_equal(iu__buf_status(b, NULL, "message"), IU_OK);
  assert_hex(b->data, b->len, hex);
  iu__buf_reset(b);
}

static void assert_put_text(iu_buf *b, const char *text) {
  assert_int_equal(iu__buf_status(b, NULL, "message"), IU_OK);
  iu__buf_put_u8(b, 0);
  assert_string_equal((const char *)b->data, text);
  iu__buf_reset(b);
}

static void put_call(iu_buf *b, iu_protocol p, bool silent) {
  bytes_of args = unhex(ARGS_BOB);
  assert_int_equal(iu__put_call(b, p, 5, "set_name", NULL, (iu_slice){args.p, args.len}, silent, NULL), IU_OK);
  free(args.p);
}

static void v2_messages_are_the_vectors(void **state) {
  (void)state;
  iu_buf b = {0};
  for (iu_protocol p = IU_P_V2; p <= IU_P_V3; p++) {
    iu__put_subscribe(&b, p, 1, 2, QUERIES, 1);
    assert_put(&b, "00010000000200000001000000" QUERY_HEX);
    iu__put_unsubscribe(&b, p, 3, 2, false);
    assert_put(&b, "01030000000200000000");
    iu__put_unsubscribe(&b, p, 3, 2, true);
    assert_put(&b, "01030000000200000001");
    iu__put_one_off(&b, p, 4, QUERIES[0]);
    assert_put(&b, "0204000000" QUERY_HEX);
    put_call(&b, p, false);
    assert_put(&b, "030500000000080000007365745f6e616d650700000003000000426f62");
    assert_int_equal(iu__put_procedure(&b, p, 6, "calc", NULL, (iu_slice){NULL, 0}, NULL), IU_OK);
    assert_put(&b, "0406000000000400000063616c6300000000");
  }
  iu__put_subscribe(&b, IU_P_V2, 0xfffffffe, 0x01020304, QUERIES, 0);
  assert_put(&b, "00feffffff0403020100000000");
  iu__buf_free(&b);
}

static void v3_messages_follow_each_other(void **state) {
  (void)state;
  iu_buf b = {0};
  iu__put_subscribe(&b, IU_P_V3, 1, 2, QUERIES, 1);
  put_call(&b, IU_P_V3, false);
  assert_put(&b, "00010000000200000001000000" QUERY_HEX "030500000000080000007365745f6e616d650700000003000000426f62"); /* F-4 */
  iu__buf_free(&b);
}

static void v1_messages_are_the_vectors(void **state) {
  (void)state;
  iu_buf b = {0};
  put_call(&b, IU_P_V1, false);
  assert_put(&b, "00080000007365745f6e616d650700000003000000426f620500000000");
  put_call(&b, IU_P_V1, true);
  assert_put(&b, "00080000007365745f6e616d650700000003000000426f620500000001");
  iu__put_v1_subscribe(&b, false, 1, QUERIES, 1);
  assert_put(&b, "0101000000" QUERY_HEX "01000000");
  iu__put_one_off(&b, IU_P_V1, 0x0000bbaa, QUERIES[0]); /* C1-4 with an id of 4 bytes */
  assert_put(&b, "0204000000aabb0000" QUERY_HEX);
  iu__put_v1_subscribe_single(&b, false, 1, 2, QUERIES[0]);
  assert_put(&b, "03" QUERY_HEX "0100000002000000");
  iu__put_subscribe(&b, IU_P_V1, 1, 2, QUERIES, 1);
  assert_put(&b, "0401000000" QUERY_HEX "0100000002000000");
  iu__put_v1_unsubscribe_single(&b, false, 3, 2);
  assert_put(&b, "050300000002000000");
  iu__put_unsubscribe(&b, IU_P_V1, 3, 2, true);
  assert_put(&b, "060300000002000000");
  assert_int_equal(iu__put_procedure(&b, IU_P_V1, 6, "calc", NULL, (iu_slice){NULL, 0}, NULL), IU_OK);
  assert_put(&b, "070400000063616c63000000000600000000");
  iu__buf_free(&b);
}

static void v1_json_messages_have_the_servers_shapes(void **state) {
  (void)state;
  iu_buf b = {0};
  iu__put_subscribe(&b, IU_P_V1_JSON, 1, 2, QUERIES, 2);
  assert_put_text(&b, "{\"SubscribeMulti\":{\"query_strings\":[\"SELECT * FROM user\",\"SELECT * FROM \\\"a\\\"\"],\"request_id\":1,\"query_id\":{\"id\":2}}}");
  iu__put_unsubscribe(&b, IU_P_V1_JSON, 3, 2, false);
  assert_put_text(&b, "{\"UnsubscribeMulti\":{\"request_id\":3,\"query_id\":{\"id\":2}}}");
  iu__put_one_off(&b, IU_P_V1_JSON, 0xff00bbaa, QUERIES[0]);
  assert_put_text(&b, "{\"OneOffQuery\":{\"message_id\":\"aabb00ff\",\"query_string\":\"SELECT * FROM user\"}}");
  iu__put_v1_subscribe(&b, true, 4294967295u, QUERIES, 0);
  assert_put_text(&b, "{\"Subscribe\":{\"query_strings\":[],\"request_id\":4294967295}}");
  iu__put_v1_subscribe_single(&b, true, 1, 2, QUERIES[1]);
  assert_put_text(&b, "{\"SubscribeSingle\":{\"query\":\"SELECT * FROM \\\"a\\\"\",\"request_id\":1,\"query_id\":{\"id\":2}}}");
  iu__put_v1_unsubscribe_single(&b, true, 3, 2);
  assert_put_text(&b, "{\"Unsubscribe\":{\"request_id\":3,\"query_id\":{\"id\":2}}}");
  iu__buf_free(&b);
}

/* (name: String, tags: Array(U16), maybe: Option(U32), who: Identity, raw: Bytes) */
static const iu_type *params_of(iu_typespace *ts) {
  iu_field fields[] = {{"name", scalar(IU_T_STRING)}, {"tags", iu__type_array(ts, scalar(IU_T_U16))}, {"maybe", iu__type_option(ts, scalar(IU_T_U32))},
                       {"who", special(IU_S_IDENTITY)}, {"raw", special(IU_S_BYTES)}};
  return iu__type_product(ts, 5, fields);
}

static void v1_json_arguments_are_json_in_a_string(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_buf b = {0};
  const iu_type *params = params_of(&ts);
  bytes_of args = unhex("03000000426f62" "0200000001000200" "0005000000" ID_HEX "03000000010203");
  iu_slice all = {args.p, args.len};
  assert_int_equal(iu__put_call(&b, IU_P_V1_JSON, 5, "set_name", params, all, true, NULL), IU_OK);
  assert_put_text(&b, "{\"CallReducer\":{\"reducer\":\"set_name\",\"args\":\"[\\\"Bob\\\",[1,2],[0,5],[\\\"0x" IDENTITY_I
                      "\\\"],\\\"010203\\\"]\",\"request_id\":5,\"flags\":1}}");
  assert_int_equal(iu__put_procedure(&b, IU_P_V1_JSON, 6, "calc", special(IU_S_UNIT), (iu_slice){NULL, 0}, NULL), IU_OK);
  assert_put_text(&b, "{\"CallProcedure\":{\"procedure\":\"calc\",\"args\":\"[]\",\"request_id\":6,\"flags\":0}}");
  free(args.p);
  iu__buf_free(&b);
  iu__typespace_free(&ts);
}

/* Null, which JSON has for them, is no float for a server, which would refuse the call out of turn. */
static void v1_json_arguments_that_are_no_numbers_are_refused(void **state) {
  static const struct { iu_type_tag tag; const char *hex; iu_status status; } v[] = {
      {IU_T_F64, "000000000000f87f", IU_E_VALIDATION}, {IU_T_F64, "000000000000f07f", IU_E_VALIDATION}, {IU_T_F64, "000000000000f0ff", IU_E_VALIDATION},
      {IU_T_F64, "ffffffffffffef7f", IU_OK}, {IU_T_F64, "0000000000000080", IU_OK}, {IU_T_F32, "0000c07f", IU_E_VALIDATION},
      {IU_T_F32, "000080ff", IU_E_VALIDATION}, {IU_T_F32, "ffff7f7f", IU_OK}};
  (void)state;
  for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
    iu_typespace ts = {0};
    iu_buf b = {0};
    iu_error err = {0};
    iu_field inner[] = {{"strength", scalar(v[i].tag)}}, outer[] = {{"metadata", iu__type_product(&ts, 1, inner)}};
    const iu_type *params = iu__type_product(&ts, 1, outer);
    bytes_of args = unhex(v[i].hex);
    assert_int_equal(iu__put_call(&b, IU_P_V1_JSON, 5, "f", params, (iu_slice){args.p, args.len}, false, &err), v[i].status);
    if (v[i].status != IU_OK) {
      assert_int_equal(b.len, 0);
      assert_non_null(strstr(err.message, "f: strength: "));
      assert_non_null(strstr(err.message, "NaN"));
    }
    free(args.p);
    iu__buf_free(&b);
    iu__typespace_free(&ts);
  }
}

static void v1_json_arguments_of_another_type_append_nothing(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_buf b = {0};
  iu_error err = {0};
  const iu_type *params = user_row(&ts);
  bytes_of args = unhex(ROW_A "00");
  iu__buf_put_str(&b, "before");
  assert_int_equal(iu__put_call(&b, IU_P_V1_JSON, 5, "f", params, (iu_slice){args.p, args.len - 2}, false, &err), IU_E_VALIDATION);
  assert_int_equal(iu__put_call(&b, IU_P_V1_JSON, 5, "f", params, (iu_slice){args.p, args.len}, false, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, args.len - 1);
  assert_int_equal(iu__put_call(&b, IU_P_V1_JSON, 5, "f", NULL, (iu_slice){args.p, args.len}, false, &err), IU_E_VALIDATION);
  assert_int_equal(b.len, 6);
  assert_int_equal(iu__put_call(&b, IU_P_V1_JSON, 5, "f", params, (iu_slice){args.p, args.len - 1}, false, &err), IU_OK);
  free(args.p);
  iu__buf_free(&b);
  iu__typespace_free(&ts);
}

static void a_buffer_at_its_limit_says_so(void **state) {
  (void)state;
  iu_buf b;
  iu_error err = {0};
  iu__buf_init(&b, 20);
  assert_int_equal(iu__put_call(&b, IU_P_V2, 5, "set_name", NULL, (iu_slice){(const uint8_t *)"12345678", 8}, false, &err), IU_E_OVERLOADED);
  assert_non_null(strstr(err.message, "20 bytes"));
  iu__buf_free(&b);
}

static void protocols_have_their_names(void **state) {
  (void)state;
  iu_protocol p;
  for (iu_protocol i = IU_P_V1_JSON; i <= IU_P_V3; i++) {
    assert_true(iu__protocol_from_name(iu__protocol_name(i), &p));
    assert_int_equal(p, i);
  }
  assert_string_equal(iu__protocol_name(IU_P_V3), "v3.bsatn.spacetimedb");
  assert_string_equal(iu__protocol_name(IU_P_V1_JSON), "v1.json.spacetimedb");
  assert_false(iu__protocol_from_name("v4.bsatn.spacetimedb", &p));
  assert_false(iu__protocol_from_name("", &p));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(v2_messages_are_the_vectors),
    cmocka_unit_test(v3_messages_follow_each_other),
    cmocka_unit_test(v1_messages_are_the_vectors),
    cmocka_unit_test(v1_json_messages_have_the_servers_shapes),
    cmocka_unit_test(v1_json_arguments_are_json_in_a_string),
    cmocka_unit_test(v1_json_arguments_that_are_no_numbers_are_refused),
    cmocka_unit_test(v1_json_arguments_of_another_type_append_nothing),
    cmocka_unit_test(a_buffer_at_its_limit_says_so),
    cmocka_unit_test(protocols_have_their_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
