/* Server messages of v1, v2 and v3: the sheet's vectors (12.3, 12.4, 12.5) field by field, row lists, compression of payloads and of parts. */
#include <zlib.h>

#include "protocol_fixture.h"

static void assert_row(const iu_row_list *l, uint32_t i, const char *hex) { assert_slice_hex(iu__row_list_at(l, i), hex); }

/* One update of `user` with these rows and none on the other side. */
static void assert_user(const iu_message *m, bool deletes, uint32_t rows) {
  assert_int_equal(m->update_count, 1);
  assert_slice_text(m->updates[0].table, "user");
  const iu_row_list *l = deletes ? &m->updates[0].deletes : &m->updates[0].inserts;
  assert_int_equal((deletes ? &m->updates[0].inserts : &m->updates[0].deletes)->count, 0);
  assert_int_equal(l->count, rows);
  assert_false(m->updates[0].event_table);
  assert_row(l, 0, ROW_A);
  if (rows > 1) assert_row(l, 1, ROW_B);
}

static void assert_ids(const iu_message *m) {
  assert_hex(m->identity, 32, ID_HEX);
  assert_hex(m->connection_id, 16, CONN_HEX);
}

static void every_vector_is_one_whole_message(void **state) {
  (void)state;
  for (size_t i = 0; i < SERVER_VECTOR_COUNT; i++) {
    opened o;
    iu_message m;
    read_one(&o, SERVER_VECTORS[i].protocol, SERVER_VECTORS[i].hex, &m);
    must_end(&o);
    must_end(&o);
    close_payload(&o);
  }
}

static void v2_connected(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V2, S2_1, &m);
  assert_int_equal(m.kind, IU_M_CONNECTED);
  assert_ids(&m);
  assert_slice_text(m.token, "tok");
  close_payload(&o);
}

static void v2_subscriptions(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V2, S2_5, &m);
  assert_int_equal(m.kind, IU_M_SUBSCRIBED);
  assert_true(m.has_request && m.has_set && m.has_rows);
  assert_int_equal(m.request, 1);
  assert_int_equal(m.set, 2);
  assert_user(&m, false, 2);
  assert_true(m.updates[0].has_set);
  assert_int_equal(m.updates[0].set, 2);
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_6, &m);
  assert_int_equal(m.kind, IU_M_UNSUBSCRIBED);
  assert_int_equal(m.request, 3);
  assert_int_equal(m.set, 2);
  assert_false(m.has_rows);
  assert_int_equal(m.update_count, 0);
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_7, &m);
  assert_int_equal(m.kind, IU_M_UNSUBSCRIBED);
  assert_true(m.has_rows);
  assert_user(&m, true, 1);
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_8, &m);
  assert_int_equal(m.kind, IU_M_SUBSCRIPTION_ERROR);
  assert_true(m.has_request && m.has_set);
  assert_int_equal(m.request, 1);
  assert_int_equal(m.set, 2);
  assert_slice_text(m.text, "bad");
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_9, &m);
  assert_false(m.has_request);
  assert_int_equal(m.set, 2);
  close_payload(&o);
}

static void v2_transactions(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V2, S2_10, &m);
  assert_int_equal(m.kind, IU_M_TRANSACTION);
  assert_true(m.ok && m.has_rows && !m.has_call && !m.light && !m.has_request);
  assert_user(&m, false, 1);
  assert_int_equal(m.updates[0].set, 2);
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_11, &m);
  assert_int_equal(m.update_count, 1);
  assert_slice_text(m.updates[0].table, "ping");
  assert_true(m.updates[0].event_table && m.updates[0].inserts.fixed);
  assert_int_equal(m.updates[0].inserts.count, 1);
  assert_row(&m.updates[0].inserts, 0, "09000000");
  close_payload(&o);
}

/* Two sets; a table with a persistent and an event entry; inserts before deletes. */
static void v2_updates_keep_their_order_and_sets(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V2, "04" "02000000"
           "07000000" "01000000" "0100000061" "02000000" "00" "00010001000000" "11" "00020004000000" "22232425" "01" "00010002000000" "3334"
           "09000000" "00000000", &m);
  assert_int_equal(m.update_count, 2);
  const iu_table_update *u = m.updates;
  assert_true(u[0].set == 7 && u[1].set == 7 && !u[0].event_table && u[1].event_table);
  assert_true(u[0].inserts.count == 1 && u[0].deletes.count == 2 && u[1].inserts.count == 2 && u[1].deletes.count == 0);
  assert_row(&u[0].inserts, 0, "11");
  assert_row(&u[0].deletes, 1, "2425");
  assert_row(&u[1].inserts, 1, "34");
  close_payload(&o);
}

static void v2_answers(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V2, S2_12, &m);
  assert_int_equal(m.kind, IU_M_ONE_OFF);
  assert_true(m.ok && m.has_request);
  assert_int_equal(m.request, 4);
  assert_user(&m, false, 1);
  assert_false(m.updates[0].has_set);
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_13, &m);
  assert_false(m.ok);
  assert_slice_text(m.text, "no such table");
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_18, &m);
  assert_int_equal(m.kind, IU_M_PROCEDURE);
  assert_int_equal(m.outcome, IU_OUT_COMMITTED);
  assert_slice_hex(m.value, "01000000");
  assert_true(m.timestamp == TIME && m.duration == 250 && m.request == 6);
  close_payload(&o);
  read_one(&o, IU_P_V2, S2_19, &m);
  assert_int_equal(m.outcome, IU_OUT_INTERNAL);
  assert_slice_text(m.text, "x");
  assert_true(m.timestamp == 0 && m.request == 6 && !m.ok);
  close_payload(&o);
}

static void v2_call_results(void **state) {
  (void)state;
  static const struct { const char *hex; iu_outcome outcome; const char *text, *value; } results[] = {
    {S2_14, IU_OUT_COMMITTED, "", ""}, {S2_15, IU_OUT_COMMITTED, "", ""}, {S2_16, IU_OUT_FAILED, "no", "020000006e6f"},
    {S2_17, IU_OUT_INTERNAL, "boom", ""},
    {"060500000000401e18240a060002" "03000000" "0200ff", IU_OUT_FAILED, "", "0200ff"}, /* an error that is no String */
    {"060500000000401e18240a060002" "05000000" "01000000ff", IU_OUT_FAILED, "", "01000000ff"}, /* nor UTF-8 */
  };
  for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
    opened o;
    iu_message m;
    read_one(&o, IU_P_V2, results[i].hex, &m);
    assert_int_equal(m.kind, IU_M_CALL_RESULT);
    assert_int_equal(m.outcome, results[i].outcome);
    assert_true(m.request == 5 && m.timestamp == TIME && m.ok == (m.outcome == IU_OUT_COMMITTED));
    assert_slice_text(m.text, results[i].text);
    assert_slice_hex(m.value, results[i].value);
    close_payload(&o);
  }
}

static void v1_connected_and_initial(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V1, S1_1, &m);
  assert_int_equal(m.kind, IU_M_CONNECTED);
  assert_ids(&m);
  assert_slice_text(m.token, "tok");
  close_payload(&o);
  read_one(&o, IU_P_V1, S1_2, &m);
  assert_int_equal(m.kind, IU_M_INITIAL);
  assert_true(m.request == 1 && m.duration == 250);
  assert_user(&m, false, 1);
  close_payload(&o);
}

static void assert_call(const iu_message *m) {
  assert_int_equal(m->kind, IU_M_TRANSACTION);
  assert_true(m->has_call && !m->light && m->has_request);
  assert_ids(m);
  assert_slice_text(m->reducer, "set_name");
  assert_slice_hex(m->args, ARGS_BOB);
  assert_true(m->reducer_id == 1 && m->request == 5 && m->timestamp == TIME && m->duration == 250);
}

static void v1_transactions(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V1, S1_3, &m);
  assert_call(&m);
  assert_int_equal(m.outcome, IU_OUT_COMMITTED);
  assert_user(&m, false, 1);
  assert_false(m.updates[0].has_set);
  close_payload(&o);
  read_one(&o, IU_P_V1, S1_4, &m);
  assert_call(&m);
  assert_int_equal(m.outcome, IU_OUT_FAILED);
  assert_slice_text(m.text, "no");
  assert_int_equal(m.update_count, 0);
  close_payload(&o);
  read_one(&o, IU_P_V1, S1_5, &m);
  assert_true(m.kind == IU_M_TRANSACTION && m.light && !m.has_call && m.has_request && m.request == 0);
  assert_user(&m, false, 1);
  close_payload(&o);
}

static void v1_out_of_energy(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V1, "0102" "00401e18240a0600" ID_HEX CONN_HEX "00000000" "ffffffff" "00000000" "05000000" CONN_HEX "fa00000000000000", &m);
  assert_true(m.kind == IU_M_TRANSACTION && m.outcome == IU_OUT_NO_ENERGY && !m.ok && m.reducer_id == UINT32_MAX);
  close_payload(&o);
  read_one(&o, IU_P_V1, "0a01" "00401e18240a0600fa0000000000000006000000", &m);
  assert_true(m.kind == IU_M_PROCEDURE && m.outcome == IU_OUT_NO_ENERGY && m.request == 6);
  close_payload(&o);
  read_one(&o, IU_P_V1, "0a02" "0100000078" "00401e18240a0600fa0000000000000006000000", &m);
  assert_true(m.outcome == IU_OUT_INTERNAL);
  assert_slice_text(m.text, "x");
  close_payload(&o);
}

static void v1_answers(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V1, S1_6, &m);
  assert_true(m.kind == IU_M_ONE_OFF && m.ok && !m.has_request);
  assert_slice_hex(m.value, "aabb");
  assert_user(&m, false, 1);
  close_payload(&o);
  read_one(&o, IU_P_V1, S1_7, &m);
  assert_false(m.ok);
  assert_slice_text(m.text, "bad");
  close_payload(&o);
  read_one(&o, IU_P_V1, "0404000000aabb00ff" "01" "00000000" "fa00000000000000", &m);
  assert_true(m.has_request && m.request == 0xff00bbaa && m.update_count == 0);
  close_payload(&o);
  read_one(&o, IU_P_V1, S1_12, &m);
  assert_true(m.kind == IU_M_PROCEDURE && m.ok && m.request == 6 && m.timestamp == TIME && m.duration == 250);
  assert_slice_hex(m.value, "01000000");
  close_payload(&o);
}

static void v1_subscriptions(void **state) {
  (void)state;
  static const struct { const char *hex; iu_message_kind kind; uint32_t request, updates; } answers[] = {
    {S1_8, IU_M_SUBSCRIBED, 1, 1}, {S1_10, IU_M_SUBSCRIBED, 1, 1}, {S1_11, IU_M_UNSUBSCRIBED, 3, 0},
  };
  opened o;
  iu_message m;
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    read_one(&o, IU_P_V1, answers[i].hex, &m);
    assert_int_equal(m.kind, answers[i].kind);
    assert_true(m.request == answers[i].request && m.set == 2 && m.has_set && m.has_rows && m.duration == 250);
    assert_int_equal(m.update_count, answers[i].updates);
    if (m.update_count != 0) assert_user(&m, false, 1);
    close_payload(&o);
  }
  read_one(&o, IU_P_V1, "06" "01000000fa0000000000000002000000" "0010000004000000757365720010000004000000" "75736572" "0100000000000000" "01000000"
           "00" "000b000b000000" ROW_A "010000000000000000", &m);
  assert_int_equal(m.kind, IU_M_UNSUBSCRIBED);
  assert_user(&m, true, 1);
  close_payload(&o);
  read_one(&o, IU_P_V1, S1_9, &m);
  assert_true(m.kind == IU_M_SUBSCRIPTION_ERROR && m.has_request && m.request == 1 && m.has_set && m.set == 2);
  assert_slice_text(m.text, "bad");
  close_payload(&o);
  read_one(&o, IU_P_V1, "07fa00000000000000" "01" "01" "0007000000" "03000000626164", &m);
  assert_true(!m.has_request && !m.has_set);
  close_payload(&o);
}

/* ---- framing ---- */

static void compressed_payloads(void **state) {
  (void)state;
  static const char *const payloads[] = {F_2, F_3};
  for (int i = 0; i < 2; i++) {
    for (iu_protocol p = IU_P_V2; p <= IU_P_V3; p++) {
      opened o;
      iu_message m;
      must_open(&o, p, unhex(payloads[i]), CAP);
      must_next(&o, &m);
      assert_int_equal(m.outcome, IU_OUT_INTERNAL);
      assert_slice_text(m.text, "boom");
      must_end(&o);
      close_payload(&o);
    }
  }
}

static void v3_payloads_hold_many_messages(void **state) {
  (void)state;
  opened o;
  iu_message m;
  must_open(&o, IU_P_V3, unhex(F_5), CAP);
  must_next(&o, &m);
  assert_int_equal(m.kind, IU_M_SUBSCRIPTION_ERROR);
  must_next(&o, &m);
  assert_int_equal(m.kind, IU_M_TRANSACTION);
  assert_user(&m, false, 1);
  must_end(&o);
  close_payload(&o);
}

static void v2_payloads_hold_one(void **state) {
  (void)state;
  opened o;
  iu_message m;
  iu_error err = {0};
  bool more = true;
  must_open(&o, IU_P_V2, unhex(F_5), CAP);
  must_next(&o, &m);
  assert_int_equal(iu__payload_next(&o.payload, &m, &more, &err), IU_E_VALIDATION);
  assert_false(more);
  assert_int_equal(err.offset, sizeof S2_9 / 2);
  must_end(&o);
  close_payload(&o);
}

static void an_empty_v3_payload_is_an_error(void **state) {
  (void)state;
  uint32_t messages;
  iu_error err = {0};
  assert_int_equal(drain(IU_P_V3, NULL, "", 0, CAP, &messages, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, 0);
  assert_int_equal(drain(IU_P_V3, NULL, "\0", 1, CAP, &messages, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, 0);
  assert_int_equal(drain(IU_P_V3, NULL, "\3\0", 2, CAP, &messages, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "found 3"));
}

/* ---- parts compressed on their own ---- */

static bytes_of gzip(const void *bytes, size_t len) {
  z_stream z = {0};
  assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  bytes_of out = {malloc(deflateBound(&z, len)), 0};
  z.next_in = (Bytef *)(uintptr_t)bytes;
  z.avail_in = (uInt)len;
  z.next_out = out.p;
  z.avail_out = (uInt)deflateBound(&z, len);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.len = z.total_out;
  deflateEnd(&z);
  return out;
}

/* A QueryUpdate that deletes row A and inserts row B, in brotli (made by node's zlib, quality 5). */
#define QUERY_UPDATE "000b000b000000" ROW_A "000a000a000000" ROW_B
#define BROTLI_QUERY_UPDATE "1b22000004ea6437027b3591a26c031b701c6200986e7404a22820f09b5f8428b1f501"

static void put_part(iu_buf *b, uint8_t how, bytes_of bytes) {
  iu__buf_put_u8(b, how);
  iu__buf_put_bytes(b, bytes.p, bytes.len);
}

/* TransactionUpdateLight, one table, parts: plain, gzip, brotli, gzip. */
static void parts_of_v1_may_be_compressed(void **state) {
  (void)state;
  bytes_of plain = unhex(QUERY_UPDATE), zipped = gzip(plain.p, plain.len), head = unhex("000200000000" "01000000" "00100000" "0400000075736572" "0800000000000000" "04000000");
  bytes_of brotli = unhex(BROTLI_QUERY_UPDATE);
  iu_buf b = {0};
  opened o;
  iu_message m;
  iu__buf_put(&b, head.p, head.len);
  iu__buf_put_u8(&b, 0);
  iu__buf_put(&b, plain.p, plain.len);
  put_part(&b, 2, zipped);
  put_part(&b, 1, brotli);
  put_part(&b, 2, zipped);
  bytes_of whole = {malloc(b.len), b.len};
  memcpy(whole.p, b.data, b.len);
  must_open(&o, IU_P_V1, whole, 3 * plain.len);
  must_next(&o, &m);
  assert_int_equal(m.update_count, 4);
  for (uint32_t i = 0; i < 4; i++) {
    assert_slice_text(m.updates[i].table, "user");
    assert_int_equal(m.updates[i].deletes.count, 1);
    assert_row(&m.updates[i].deletes, 0, ROW_A);
    assert_row(&m.updates[i].inserts, 0, ROW_B);
  }
  must_end(&o);
  close_payload(&o);
  uint32_t messages;
  assert_int_equal(drain(IU_P_V1, NULL, b.data, b.len, 3 * plain.len - 1, &messages, NULL), IU_E_OVERLOADED);
  iu__buf_free(&b);
  free(plain.p);
  free(zipped.p);
  free(brotli.p);
  free(head.p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_vector_is_one_whole_message),
    cmocka_unit_test(v2_connected),
    cmocka_unit_test(v2_subscriptions),
    cmocka_unit_test(v2_transactions),
    cmocka_unit_test(v2_updates_keep_their_order_and_sets),
    cmocka_unit_test(v2_answers),
    cmocka_unit_test(v2_call_results),
    cmocka_unit_test(v1_connected_and_initial),
    cmocka_unit_test(v1_transactions),
    cmocka_unit_test(v1_out_of_energy),
    cmocka_unit_test(v1_answers),
    cmocka_unit_test(v1_subscriptions),
    cmocka_unit_test(compressed_payloads),
    cmocka_unit_test(v3_payloads_hold_many_messages),
    cmocka_unit_test(v2_payloads_hold_one),
    cmocka_unit_test(an_empty_v3_payload_is_an_error),
    cmocka_unit_test(parts_of_v1_may_be_compressed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
