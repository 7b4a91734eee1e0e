/* peer_sequence_test.c: what the peer says when, on v1, v2 and v3 and as both servers (protocol sheet 5.5, 5.7, 6.4): one client acts, others watch. */
#include "peer_fixture.h"

static served server;

static int start_new(void **state) {
  (void)state;
  served_start(&server, NULL);
  publish(&server, "nerv");
  return 0;
}
static int start_old(void **state) {
  static const char *const old[] = {"--as", "1.2.0", NULL};
  (void)state;
  served_start(&server, old);
  publish(&server, "nerv");
  return 0;
}
static int stop(void **state) {
  (void)state;
  served_stop(&server);
  return 0;
}

#define ALL "SELECT * FROM entity"
#define PEOPLE "SELECT * FROM entity WHERE entity_type = 'Person'"

static void check_call_v2(iu_protocol p) {
  client *a = connect_client(&server, p, ""), *b = connect_client(&server, p, ""), *idle = connect_client(&server, p, "");
  assert_int_equal(a->protocol, p);
  subscribe(a, 1, 10, ALL, PEOPLE);
  expect_next(a, IU_M_SUBSCRIBED);
  assert_int_equal(a->m.request, 1);
  assert_int_equal(a->m.set, 10);
  assert_int_equal(a->m.update_count, 2); /* one a query, rows or not */
  subscribe(b, 1, 3, PEOPLE, NULL);
  subscribe(b, 2, 2, ALL, NULL);
  expect_next(b, IU_M_SUBSCRIBED);
  expect_next(b, IU_M_SUBSCRIBED);
  create_entity(a, 7, "Person", "ada", 0);
  expect_next(a, IU_M_CALL_RESULT);
  assert_int_equal(a->m.request, 7);
  assert_int_equal(a->m.outcome, IU_OUT_COMMITTED);
  assert_int_equal(a->m.update_count, 2);
  assert_int_equal(count_rows(a, true), 2); /* once for each query that holds it */
  assert_true(a->m.timestamp > 1600000000000000);
  expect_next(b, IU_M_TRANSACTION);
  assert_int_equal(b->m.update_count, 2);
  assert_int_equal(b->m.updates[0].set, 2); /* ascending */
  assert_int_equal(b->m.updates[1].set, 3);
  create_entity(a, 8, "Robot", "marvin", 0);
  expect_next(a, IU_M_CALL_RESULT);
  expect_next(b, IU_M_TRANSACTION);
  assert_int_equal(b->m.update_count, 1);
  /* refusals: exactly one answer each, in order, nobody else hears */
  create_entity(a, 9, "Person", "ada", 0);
  call_bytes(a, 10, "no_such", slice(""), false);
  call_bytes(a, 11, "delete_entity", slice("x"), false);
  call_bytes(a, 12, "init", slice(""), false);
  expect_next(a, IU_M_CALL_RESULT);
  assert_int_equal(a->m.request, 9);
  assert_int_equal(a->m.outcome, IU_OUT_FAILED);
  assert_true(a->m.text.len > 9 && memcmp(a->m.text.p, "CONFLICT:", 9) == 0);
  for (uint32_t request = 10; request <= 12; request++) {
    expect_next(a, IU_M_CALL_RESULT);
    assert_int_equal(a->m.request, request);
    assert_int_equal(a->m.outcome, IU_OUT_INTERNAL);
  }
  delete_entity(a, 13, "marvin");
  expect_next(a, IU_M_CALL_RESULT);
  assert_int_equal(a->m.update_count, 1);
  assert_int_equal(a->m.updates[0].deletes.count, 1);
  expect_next(b, IU_M_TRANSACTION);
  assert_int_equal(count_rows(b, false), 1);
  one_off(idle, 5, ALL);
  expect_next(idle, IU_M_ONE_OFF); /* and no transaction before it: it has no queries */
  assert_int_equal(idle->m.request, 5);
  assert_int_equal(count_rows(idle, true), 1);
  client_end(a);
  client_end(b);
  client_end(idle);
}

static void test_calls(void **state) {
  (void)state;
  check_call_v2(IU_P_V2);
}
static void test_calls_v3(void **state) {
  (void)state;
  check_call_v2(IU_P_V3);
}

static void test_sets(void **state) {
  (void)state;
  client *a = connect_client(&server, IU_P_V2, "");
  create_entity(a, 1, "Person", "ada", 0);
  expect_next(a, IU_M_CALL_RESULT);
  subscribe(a, 2, 1, ALL, ALL);
  expect_next(a, IU_M_SUBSCRIBED);
  assert_int_equal(a->m.update_count, 1); /* the same query twice in one set is one */
  subscribe(a, 3, 1, PEOPLE, NULL); /* in use: refused, the set stays */
  expect_next(a, IU_M_SUBSCRIPTION_ERROR);
  assert_true(a->m.has_request);
  assert_int_equal(a->m.request, 3);
  subscribe(a, 4, 2, PEOPLE, "SELECT * FROM nothing"); /* all or none; the id is free again */
  expect_next(a, IU_M_SUBSCRIPTION_ERROR);
  subscribe(a, 5, 2, PEOPLE, NULL);
  expect_next(a, IU_M_SUBSCRIBED);
  assert_int_equal(count_rows(a, true), 1);
  unsubscribe(a, 6, 2, false);
  expect_next(a, IU_M_UNSUBSCRIBED);
  assert_false(a->m.has_rows);
  unsubscribe(a, 7, 1, true);
  expect_next(a, IU_M_UNSUBSCRIBED);
  assert_true(a->m.has_rows);
  assert_int_equal(count_rows(a, false), 1);
  unsubscribe(a, 8, 1, true);
  expect_next(a, IU_M_SUBSCRIPTION_ERROR);
  assert_int_equal(a->m.request, 8);
  subscribe(a, 9, 4, "SELECT * FROM *", NULL); /* the owner: the private tables too */
  expect_next(a, IU_M_SUBSCRIBED);
  bool secret = false;
  for (uint32_t i = 0; i < a->m.update_count; i++) secret = secret || (a->m.updates[i].table.len == 10 && memcmp(a->m.updates[i].table.p, "permission", 10) == 0);
  assert_true(secret);
  fault(&server, "{\"fail_set\":4}");
  expect_next(a, IU_M_SUBSCRIPTION_ERROR);
  assert_false(a->m.has_request);
  assert_int_equal(a->m.set, 4);
  create_entity(a, 10, "Person", "bob", 0);
  expect_next(a, IU_M_CALL_RESULT);
  assert_int_equal(a->m.update_count, 0); /* the set is gone */
  client_end(a);
}

/* Bad input ends the connection with 1011, and a close frame is echoed. */
static void check_close(iu_protocol p, const char *hex, const char *why) {
  client *a = connect_client(&server, p, "");
  bytes_of bytes = unhex(hex);
  iu_buf b = {0};
  iu__buf_put(&b, bytes.p, bytes.len);
  free(bytes.p);
  if (b.len == 0) {
    iu_error err;
    assert_int_equal(iu__ws_send(a->ws, "", 0, false, &err), IU_OK);
  } else {
    say(a, &b);
  }
  assert_false(next(a));
  assert_int_equal(a->close_code, 1011);
  if (strstr(a->why, why) == NULL) fail_msg("expected '%s' in: %s", why, a->why);
  client_end(a);
}
static void test_bad_input(void **state) {
  (void)state;
  check_close(IU_P_V2, "05010000000100000000000000", "unknown tag 0x5");
  check_close(IU_P_V1, "ff", "unknown tag 0xff");
  check_close(IU_P_V2, "030100000001000000000000000000", "flag");
  check_close(IU_P_V2, "0001000000", "too short");
  check_close(IU_P_V3, "", "at least one");
  check_close(IU_P_V3, "02040000001200000053454c454354202a2046524f4d207573657299", "unknown tag 0x99"); /* and no answer to the first */
}

/* v3: many messages in one payload, and answers packed. */
static void test_packing(void **state) {
  (void)state;
  client *a = connect_client(&server, IU_P_V3, "");
  iu_buf b = {0};
  for (uint32_t i = 0; i < 100; i++) iu__put_one_off(&b, IU_P_V3, i, slice(ALL));
  say(a, &b);
  for (uint32_t i = 0; i < 100; i++) {
    expect_next(a, IU_M_ONE_OFF);
    assert_int_equal(a->m.request, i);
  }
  assert_true(a->heard_count < 20);
  client_end(a);
}

static void expect_full(client *c, uint32_t request, iu_outcome outcome, const char *reducer) {
  expect_next(c, IU_M_TRANSACTION);
  assert_true(c->m.has_call);
  assert_int_equal(c->m.request, request);
  assert_int_equal(c->m.outcome, outcome);
  assert_slice_text(c->m.reducer, reducer);
}

/* v1: the caller always hears, in full; others the caller's request id, in full or light. */
static void check_v1(bool old) {
  client *a = connect_client(&server, IU_P_V1, ""), *b = connect_client(&server, IU_P_V1, ""), *light = connect_client(&server, IU_P_V1, "&light=true");
  subscribe(b, 1, 1, PEOPLE, NULL);
  expect_next(b, IU_M_SUBSCRIBED);
  assert_int_equal(b->m.update_count, 0); /* tables without rows are left out */
  subscribe(light, 1, 1, ALL, NULL);
  expect_next(light, IU_M_SUBSCRIBED);
  create_entity(a, 41, "Person", "ada", 0);
  expect_full(a, 41, IU_OUT_COMMITTED, "create_entity");
  assert_int_equal(a->m.update_count, 0);
  expect_full(b, 41, IU_OUT_COMMITTED, "create_entity");
  assert_memory_equal(b->m.identity, a->identity, 32);
  assert_memory_equal(b->m.connection_id, a->connection_id, 16);
  assert_int_equal(b->m.updates[0].inserts.count, 1);
  assert_int_equal(b->m.updates[0].inserts.fixed, !old);
  expect_next(light, IU_M_TRANSACTION);
  assert_true(light->m.light);
  create_entity(light, 42, "Robot", "marvin", 0); /* full for the caller even so */
  expect_full(light, 42, IU_OUT_COMMITTED, "create_entity");
  create_entity(a, 43, "Person", "ada", 0);
  expect_full(a, old ? 0 : 43, IU_OUT_FAILED, "create_entity");
  assert_true(a->m.args.len > 0);
  call_bytes(a, 44, "no_such", slice(""), false);
  expect_full(a, 0, IU_OUT_FAILED, "no_such");
  assert_int_equal(a->m.args.len, 0);
  assert_int_equal(a->m.reducer_id, UINT32_MAX);
  /* a second hold of a query sends nothing, its end neither */
  subscribe(b, 5, 2, PEOPLE, ALL);
  expect_next(b, IU_M_SUBSCRIBED);
  assert_int_equal(b->m.update_count, 1);
  assert_int_equal(count_rows(b, true), 2);
  unsubscribe(b, 6, 1, false);
  expect_next(b, IU_M_UNSUBSCRIBED);
  assert_int_equal(b->m.update_count, 0);
  subscribe(b, 7, 2, ALL, NULL); /* in use */
  if (old) {
    expect_full(b, 0, IU_OUT_FAILED, "<none>");
  } else {
    expect_next(b, IU_M_SUBSCRIPTION_ERROR);
    assert_int_equal(b->m.request, 7);
  }
  unsubscribe(b, 8, 2, false);
  expect_next(b, IU_M_UNSUBSCRIBED);
  assert_int_equal(count_rows(b, false), 3); /* ada twice */
  unsubscribe(b, 9, 77, false);
  expect_next(b, IU_M_SUBSCRIPTION_ERROR);
  assert_int_equal(b->m.set, 77);
  client_end(a);
  client_end(b);
  client_end(light);
}
static void test_v1_new(void **state) {
  (void)state;
  check_v1(false);
}
static void test_v1_old(void **state) {
  (void)state;
  client *refused = client_start(&server, IU_P_V2, "");
  turn_until(server.loop, &refused->closed, "an upgrade");
  assert_int_equal(refused->http_status, 400);
  client_end(refused);
  check_v1(true);
}

/* NoSuccessNotify: silence unless it was rejected before it ran. */
static void test_v1_quiet(void **state) {
  (void)state;
  client *a = connect_client(&server, IU_P_V1, "");
  call_bytes(a, 1, "publish_event", slice("nonsense"), true);
  expect_full(a, 0, IU_OUT_FAILED, "publish_event");
  iu_buf args = {0};
  put_words(&args, "ada");
  iu__buf_put_u8(&args, 0);
  call_bytes(a, 2, "delete_entity", (iu_slice){args.data, args.len}, true); /* fails, silently */
  iu__buf_free(&args);
  one_off(a, 3, ALL);
  expect_next(a, IU_M_ONE_OFF);
  client_end(a);
}

/* v1: what will not run is rejected before what came earlier is answered; v2 keeps the order (checked above). */
static void test_v1_overtaking(void **state) {
  (void)state;
  client *a = connect_client(&server, IU_P_V1, "");
  fault(&server, "{\"hold\":true}");
  create_entity(a, 1, "Person", "ada", 0);
  one_off(a, 2, ALL);
  call_bytes(a, 3, "no_such", slice(""), false);
  create_entity(a, 4, "Person", "bob", 0);
  expect_full(a, 0, IU_OUT_FAILED, "no_such");
  fault(&server, "{\"hold\":false}");
  expect_full(a, 1, IU_OUT_COMMITTED, "create_entity");
  expect_next(a, IU_M_ONE_OFF);
  expect_full(a, 4, IU_OUT_COMMITTED, "create_entity");
  client_end(a);
}

/* The words clients look at. */
static void check_words(iu_protocol p, const char *words) {
  client *a = connect_client(&server, p, "");
  one_off(a, 1, "SELECT * FROM nope");
  expect_next(a, IU_M_ONE_OFF);
  assert_slice_text(a->m.text, words);
  client_end(a);
}
static void test_words_new(void **state) {
  (void)state;
  check_words(IU_P_V2, "no such table: `nope`. If the table exists, it may be marked private.");
}
static void test_words_old(void **state) {
  (void)state;
  check_words(IU_P_V1, "`nope` is not a valid table");
}

/* Single and whole-set subscriptions of v1. */
static void test_v1_kinds(void **state) {
  (void)state;
  client *a = connect_client(&server, IU_P_V1, "");
  iu_buf b = {0};
  iu_slice query = slice(ALL);
  create_entity(a, 1, "Person", "ada", 0);
  expect_full(a, 1, IU_OUT_COMMITTED, "create_entity");
  iu__put_v1_subscribe_single(&b, false, 2, 5, query);
  say(a, &b);
  expect_next(a, IU_M_SUBSCRIBED);
  assert_int_equal(count_rows(a, true), 1);
  iu__put_v1_subscribe(&b, false, 3, &query, 1);
  say(a, &b);
  expect_next(a, IU_M_INITIAL);
  assert_int_equal(count_rows(a, true), 1); /* every row, even if it is held already */
  create_entity(a, 9, "Person", "eve", 0);
  expect_full(a, 9, IU_OUT_COMMITTED, "create_entity");
  assert_int_equal(a->m.update_count, 2); /* the whole set holds for itself */
  subscribe(a, 10, 6, ALL, NULL);
  expect_next(a, IU_M_SUBSCRIBED);
  assert_int_equal(a->m.update_count, 0);
  iu__put_v1_unsubscribe_single(&b, false, 4, 5); /* held by another one too: an error, but gone */
  say(a, &b);
  expect_next(a, IU_M_SUBSCRIPTION_ERROR);
  iu__put_v1_unsubscribe_single(&b, false, 4, 5);
  say(a, &b);
  expect_next(a, IU_M_SUBSCRIPTION_ERROR);
  unsubscribe(a, 11, 6, false);
  expect_next(a, IU_M_UNSUBSCRIBED);
  assert_int_equal(count_rows(a, false), 2);
  iu__put_v1_subscribe(&b, false, 5, NULL, 0);
  say(a, &b);
  expect_next(a, IU_M_INITIAL);
  assert_int_equal(a->m.update_count, 0);
  create_entity(a, 6, "Person", "bob", 0);
  expect_full(a, 6, IU_OUT_COMMITTED, "create_entity");
  assert_int_equal(a->m.update_count, 0);
  client_end(a);
}

#define TEST(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_calls, start_new), TEST(test_calls_v3, start_new), TEST(test_sets, start_new), TEST(test_bad_input, start_new), TEST(test_packing, start_new),
    TEST(test_v1_new, start_new), TEST(test_v1_old, start_old), TEST(test_v1_quiet, start_new), TEST(test_v1_kinds, start_new),
    TEST(test_v1_overtaking, start_new), TEST(test_words_new, start_new), TEST(test_words_old, start_old),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
