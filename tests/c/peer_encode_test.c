/* peer_encode_test.c: what the peer (tests/peer) writes and reads, byte for byte against the vectors of the protocol sheet (12.3 to 12.5), so that a
 * client which is right against the peer is not just as wrong as the peer. */
#include "protocol_fixture.h"

#include "../peer/decode.h"
#include "../peer/encode.h"

typedef struct world { bytes_of id, connection, a, b, args, one; } world;

static int set_up(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_non_null(w);
  *w = (world){unhex(ID_HEX), unhex(CONN_HEX), unhex(ROW_A), unhex(ROW_B), unhex(ARGS_BOB), unhex("01000000")};
  *state = w;
  return 0;
}

static int tear_down(void **state) {
  world *w = *state;
  bytes_of *all[] = {&w->id, &w->connection, &w->a, &w->b, &w->args, &w->one};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->p);
  free(w);
  return 0;
}

static iu_slice bytes_slice(bytes_of b) { return (iu_slice){b.p, b.len}; }

static void expect(const peer_message *m, iu_protocol p, const char *hex) {
  iu_buf b = {0};
  peer__put_message(&b, p, m);
  assert_int_equal(b.failed, 0);
  assert_hex(b.data, b.len, hex);
  iu__buf_free(&b);
}

/* One part: user, with these rows inserted. */
typedef struct one_part { iu_slice rows[2]; peer_part part; } one_part;
static void fill(one_part *o, const world *w, uint32_t inserts) {
  o->rows[0] = bytes_slice(w->a);
  o->rows[1] = bytes_slice(w->b);
  o->part = (peer_part){.set = 2, .table = "user", .table_id = 4096, .inserts = {o->rows, inserts, 2}};
}

static void test_v2(void **state) {
  const world *w = *state;
  one_part one, two;
  bytes_of nine = unhex("09000000");
  fill(&one, w, 1);
  fill(&two, w, 2);
  peer_part gone = {.set = 2, .table = "user", .deletes = {one.rows, 1, 2}};
  iu_slice event = bytes_slice(nine);
  peer_part events = {.set = 2, .table = "ping", .event_table = true, .inserts = {&event, 1, 1}};
  peer_message m = {.kind = IU_M_CONNECTED, .identity = w->id.p, .connection_id = w->connection.p, .token = slice("tok")};
  expect(&m, IU_P_V2, S2_1);
  m = (peer_message){.kind = IU_M_SUBSCRIBED, .request = 1, .set = 2, .parts = &two.part, .count = 1};
  expect(&m, IU_P_V2, S2_5);
  m = (peer_message){.kind = IU_M_UNSUBSCRIBED, .request = 3, .set = 2};
  expect(&m, IU_P_V2, S2_6);
  m = (peer_message){.kind = IU_M_UNSUBSCRIBED, .request = 3, .set = 2, .has_rows = true, .parts = &gone, .count = 1};
  expect(&m, IU_P_V3, S2_7);
  m = (peer_message){.kind = IU_M_SUBSCRIPTION_ERROR, .has_request = true, .request = 1, .set = 2, .text = slice("bad")};
  expect(&m, IU_P_V2, S2_8);
  m.has_request = false;
  expect(&m, IU_P_V2, S2_9);
  m = (peer_message){.kind = IU_M_TRANSACTION, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V2, S2_10);
  m.parts = &events;
  expect(&m, IU_P_V2, S2_11);
  m = (peer_message){.kind = IU_M_ONE_OFF, .request = 4, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V2, S2_12);
  m = (peer_message){.kind = IU_M_ONE_OFF, .request = 4, .outcome = IU_OUT_FAILED, .text = slice("no such table")};
  expect(&m, IU_P_V2, S2_13);
  m = (peer_message){.kind = IU_M_CALL_RESULT, .request = 5, .timestamp = TIME, .value = slice("")};
  expect(&m, IU_P_V2, S2_14);
  m.empty = true;
  expect(&m, IU_P_V2, S2_15);
  m = (peer_message){.kind = IU_M_CALL_RESULT, .request = 5, .timestamp = TIME, .outcome = IU_OUT_FAILED, .text = slice("no")};
  expect(&m, IU_P_V2, S2_16);
  m.outcome = IU_OUT_INTERNAL;
  m.text = slice("boom");
  expect(&m, IU_P_V2, S2_17);
  m = (peer_message){.kind = IU_M_PROCEDURE, .request = 6, .timestamp = TIME, .duration = 250, .value = bytes_slice(w->one)};
  expect(&m, IU_P_V2, S2_18);
  m = (peer_message){.kind = IU_M_PROCEDURE, .request = 6, .outcome = IU_OUT_INTERNAL, .text = slice("x")};
  expect(&m, IU_P_V2, S2_19);
  free(nine.p);
}

static void test_v1(void **state) {
  const world *w = *state;
  one_part one;
  bytes_of id = unhex("aabb");
  fill(&one, w, 1);
  peer_message m = {.kind = IU_M_CONNECTED, .identity = w->id.p, .connection_id = w->connection.p, .token = slice("tok")};
  expect(&m, IU_P_V1, S1_1);
  m = (peer_message){.kind = IU_M_INITIAL, .request = 1, .duration = 250, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V1, S1_2);
  m = (peer_message){.kind = IU_M_TRANSACTION, .timestamp = TIME, .identity = w->id.p, .connection_id = w->connection.p, .reducer = slice("set_name"),
                     .reducer_id = 1, .args = bytes_slice(w->args), .request = 5, .energy = 1000, .duration = 250, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V1, S1_3);
  m.outcome = IU_OUT_FAILED;
  m.text = slice("no");
  m.energy = 0;
  expect(&m, IU_P_V1, S1_4);
  m = (peer_message){.kind = IU_M_TRANSACTION, .light = true, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V1, S1_5);
  m = (peer_message){.kind = IU_M_ONE_OFF, .value = bytes_slice(id), .duration = 250, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V1, S1_6);
  m = (peer_message){.kind = IU_M_ONE_OFF, .value = bytes_slice(id), .duration = 250, .outcome = IU_OUT_FAILED, .text = slice("bad")};
  expect(&m, IU_P_V1, S1_7);
  m = (peer_message){.kind = IU_M_SUBSCRIBED, .single = true, .request = 1, .set = 2, .duration = 250, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V1, S1_8);
  m = (peer_message){.kind = IU_M_SUBSCRIPTION_ERROR, .has_request = true, .request = 1, .has_set = true, .set = 2, .duration = 250, .text = slice("bad")};
  expect(&m, IU_P_V1, S1_9);
  m = (peer_message){.kind = IU_M_SUBSCRIBED, .request = 1, .set = 2, .duration = 250, .parts = &one.part, .count = 1};
  expect(&m, IU_P_V1, S1_10);
  m = (peer_message){.kind = IU_M_UNSUBSCRIBED, .request = 3, .set = 2, .duration = 250};
  expect(&m, IU_P_V1, S1_11);
  m = (peer_message){.kind = IU_M_PROCEDURE, .request = 6, .timestamp = TIME, .duration = 250, .value = bytes_slice(w->one)};
  expect(&m, IU_P_V1, S1_12);
  free(id.p);
}

/* Two sets, two tables, two queries of one table: what belongs together stands together, read back by the client's reader. */
static void test_grouping(void **state) {
  const world *w = *state;
  one_part one;
  fill(&one, w, 2);
  peer_part parts[4];
  for (int i = 0; i < 4; i++) parts[i] = one.part;
  parts[2].table = "visit";
  parts[3].set = 7;
  peer_message m = {.kind = IU_M_TRANSACTION, .parts = parts, .count = 4};
  iu_buf b = {0};
  opened o;
  iu_message read;
  iu__buf_put_u8(&b, 0);
  peer__put_message(&b, IU_P_V2, &m);
  assert_int_equal(iu__load_u32(b.data + 2), 2); /* sets */
  assert_int_equal(iu__load_u32(b.data + 10), 2); /* tables of the first */
  bytes_of copy = {malloc(b.len), b.len};
  memcpy(copy.p, b.data, b.len);
  must_open(&o, IU_P_V2, copy, CAP);
  must_next(&o, &read);
  assert_int_equal(read.update_count, 4);
  assert_int_equal(read.updates[3].set, 7);
  assert_slice_text(read.updates[2].table, "visit");
  close_payload(&o);
  m.light = true;
  iu__buf_reset(&b);
  peer__put_message(&b, IU_P_V1, &m);
  assert_int_equal(iu__load_u32(b.data + 5), 3); /* v1: tables that follow each other are one */
  iu__buf_free(&b);
}

/* ---- what clients write ---- */

static void read_back(iu_protocol p, const iu_buf *b, peer_request *out) {
  iu_reader r = iu__reader(b->data, b->len);
  iu_error err;
  if (peer__read_request(p, &r, out, &err) != IU_OK) fail_msg("not read: %s", err.message);
  assert_int_equal(iu__reader_left(&r), 0);
}

static void test_requests(void **state) {
  const world *w = *state;
  static const iu_protocol protocols[] = {IU_P_V1, IU_P_V2, IU_P_V3};
  for (int i = 0; i < 3; i++) {
    iu_protocol p = protocols[i];
    iu_slice query = slice(QUERY);
    peer_request request;
    iu_buf b = {0};
    assert_int_equal(iu__put_call(&b, p, 5, "set_name", NULL, bytes_slice(w->args), p == IU_P_V1, NULL), IU_OK);
    read_back(p, &b, &request);
    assert_int_equal(request.kind, PEER_CALL);
    assert_int_equal(request.request, 5);
    assert_slice_text(request.name, "set_name");
    assert_slice_hex(request.args, ARGS_BOB);
    assert_int_equal(request.quiet, p == IU_P_V1);
    iu__buf_reset(&b);
    iu__put_subscribe(&b, p, 1, 2, &query, 1);
    read_back(p, &b, &request);
    assert_int_equal(request.kind, PEER_SUBSCRIBE);
    assert_int_equal(request.set, 2);
    assert_int_equal(request.count, 1);
    assert_slice_text(request.queries[0], QUERY);
    peer__request_free(&request);
    iu__buf_reset(&b);
    iu__put_unsubscribe(&b, p, 3, 2, true);
    read_back(p, &b, &request);
    assert_int_equal(request.kind, PEER_UNSUBSCRIBE);
    assert_int_equal(request.send_dropped_rows, p != IU_P_V1);
    iu__buf_reset(&b);
    iu__put_one_off(&b, p, 4, query);
    read_back(p, &b, &request);
    assert_int_equal(request.kind, PEER_ONE_OFF);
    assert_slice_text(request.text, QUERY);
    iu__buf_free(&b);
  }
}

/* Every prefix of a message, and every tag, is either read or refused. */
static void test_bad_requests(void **state) {
  (void)state;
  static const char *const vectors[] = {"030500000000080000007365745f6e616d650700000003000000426f62", "000100000002000000010000001200000053454c454354202a2046524f4d2075736572",
                                        "01030000000200000001"};
  for (size_t v = 0; v < 3; v++) {
    bytes_of whole = unhex(vectors[v]);
    for (size_t len = 0; len < whole.len; len++) {
      uint8_t *part = malloc(len + 1);
      memcpy(part, whole.p, len);
      iu_reader r = iu__reader(part, len);
      peer_request request;
      iu_error err;
      assert_int_equal(peer__read_request(IU_P_V2, &r, &request, &err), IU_E_VALIDATION);
      free(part);
    }
    free(whole.p);
  }
  for (unsigned tag = 5; tag < 256; tag++) {
    uint8_t bytes[16] = {(uint8_t)tag};
    iu_reader r = iu__reader(bytes, sizeof bytes);
    peer_request request;
    iu_error err;
    assert_int_equal(peer__read_request(IU_P_V2, &r, &request, &err), IU_E_VALIDATION);
    assert_non_null(strstr(err.message, "unknown tag"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_v2, set_up, tear_down), cmocka_unit_test_setup_teardown(test_v1, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_grouping, set_up, tear_down), cmocka_unit_test_setup_teardown(test_requests, set_up, tear_down),
    cmocka_unit_test(test_bad_requests),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
