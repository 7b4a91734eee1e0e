/* peer_fault_test.c: the faults of the peer do what its README says, so that a test of a client that survives them proves something. */
#include "peer_fixture.h"

static served server;

static int start(void **state) {
  (void)state;
  served_start(&server, NULL);
  publish(&server, "nerv");
  return 0;
}
static int stop(void **state) {
  (void)state;
  served_stop(&server);
  return 0;
}

#define ALL "SELECT * FROM entity"

static void expect_closed(client *c) {
  while (next(c)) {}
  assert_true(c->closed);
}

static uint32_t entities(void) {
  client *c = connect_client(&server, IU_P_V2, "");
  one_off(c, 1, ALL);
  expect_next(c, IU_M_ONE_OFF);
  uint32_t n = count_rows(c, true);
  client_end(c);
  return n;
}

/* Cut behind every byte of a short conversation, both ways: what arrives is a beginning of it. */
static void test_cuts(void **state) {
  (void)state;
  char json[60];
  for (int at = 0; at < 700; at += at < 400 ? 13 : 3) {
    snprintf(json, sizeof json, "{\"cut_after\":%d}", at);
    fault(&server, json);
    client *c = client_start(&server, IU_P_V2, "");
    uint32_t told = 0;
    while (!c->open && !c->closed) iu__loop_turn(server.loop, 50);
    if (!c->closed) one_off(c, 1, ALL);
    while (next(c) && told < 2) {
      told++;
      if (told == 2) fault(&server, "{\"cut\":true}");
    }
    assert_true(c->closed);
    client_end(c);
  }
  fault(&server, "{\"reset\":true}");
  for (int at = 0; at < 60; at++) {
    client *c = connect_client(&server, IU_P_V2, "");
    snprintf(json, sizeof json, "{\"cut_in_after\":%d}", at);
    fault(&server, json);
    for (int i = 0; i < 3; i++) one_off(c, (uint32_t)i, ALL); /* 33 bytes each and the pong */
    expect_closed(c);
    client_end(c);
  }
}

static void test_small_writes_and_big_frames(void **state) {
  (void)state;
  client *c = connect_client(&server, IU_P_V2, "");
  fault(&server, "{\"write_size\":1}");
  create_entity(c, 1, "Person", "ada", 6000);
  subscribe(c, 2, 1, ALL, NULL);
  expect_next(c, IU_M_CALL_RESULT);
  expect_next(c, IU_M_SUBSCRIBED);
  assert_int_equal(count_rows(c, true), 1);
  fault(&server, "{\"write_size\":0,\"fragment\":0,\"answer_bytes\":22020096}");
  one_off(c, 3, ALL);
  expect_next(c, IU_M_ONE_OFF);
  assert_int_equal(c->m.text.len, 22020096);
  fault(&server, "{\"fragment\":7}");
  one_off(c, 4, ALL);
  expect_next(c, IU_M_ONE_OFF);
  client_end(c);
}

static void test_compression(void **state) {
  (void)state;
  client *plain = connect_client(&server, IU_P_V2, "");
  create_entity(plain, 1, "Person", "ada", 6000);
  expect_next(plain, IU_M_CALL_RESULT);
  for (int how = 1; how <= 2; how++) {
    char url[200];
    client *c = client_start(&server, IU_P_V2, "");
    iu__ws_release(c->ws);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/v1/database/nerv/subscribe?compression=%s", server.port, how == 1 ? "Brotli" : "Gzip");
    const char *offered = iu__protocol_name(IU_P_V2);
    iu_error err;
    iu_ws_config config = {.url = url, .protocols = &offered, .protocol_count = 1, .ud = c, .on_open = client_open, .on_message = client_message,
                           .on_closed = client_closed};
    assert_int_equal(iu__ws_connect(server.loop, &config, &c->ws, &err), IU_OK);
    expect_next(c, IU_M_CONNECTED);
    assert_int_equal(c->heard[0][0], 0); /* small: as it is */
    one_off(c, 1, ALL);
    expect_next(c, IU_M_ONE_OFF);
    assert_int_equal(c->heard[c->heard_count - 1][0], how);
    assert_int_equal(count_rows(c, true), 1);
    client_end(c);
  }
  client_end(plain);
}

static void test_drops(void **state) {
  (void)state;
  fault(&server, "{\"drop_before\":1}");
  client *c = connect_client(&server, IU_P_V2, "");
  create_entity(c, 1, "Person", "a", 0);
  expect_next(c, IU_M_CALL_RESULT);
  create_entity(c, 2, "Person", "b", 0);
  create_entity(c, 3, "Person", "c", 0);
  expect_closed(c);
  client_end(c);
  assert_int_equal(entities(), 1);
  fault(&server, "{\"drop_after\":0}");
  c = connect_client(&server, IU_P_V2, "");
  create_entity(c, 1, "Person", "b", 0);
  expect_closed(c);
  client_end(c);
  assert_int_equal(entities(), 2); /* applied, never answered */
  fault(&server, "{\"seed\":5,\"drop_before_permille\":200,\"drop_after_permille\":200}");
  int applied = 0, lost = 0;
  for (int i = 0; i < 40; i++) {
    char id[20];
    snprintf(id, sizeof id, "r%d", i);
    c = connect_client(&server, IU_P_V2, "");
    create_entity(c, 1, "Person", id, 0);
    if (next(c)) applied++;
    else lost++;
    client_end(c);
  }
  assert_true(applied > 10 && lost > 5);
  fault(&server, "{\"reset\":true}");
  assert_in_range(entities(), 2 + (unsigned)applied, 42 - 1);
}

static void test_stalls_and_silence(void **state) {
  (void)state;
  client *c = connect_client(&server, IU_P_V2, "");
  fault(&server, "{\"stall_ms\":300}");
  uint64_t begun = iu__clock_mono_ns();
  one_off(c, 1, ALL);
  expect_next(c, IU_M_ONE_OFF);
  assert_true(iu__clock_mono_ns() - begun > 250000000);
  fault(&server, "{\"upgrade_delay_ms\":300}");
  begun = iu__clock_mono_ns();
  client *late = connect_client(&server, IU_P_V2, "");
  assert_true(iu__clock_mono_ns() - begun > 250000000);
  client_end(late);
  fault(&server, "{\"upgrade_delay_ms\":0,\"stall_ms\":-1}");
  one_off(c, 2, ALL);
  for (int i = 0; i < 10; i++) iu__loop_turn(server.loop, 20);
  assert_false(c->closed);
  assert_int_equal(c->taken, c->heard_count);
  client_end(c);
}

/* 2.8.3 leaves the connection of an idle client open and silent, until it writes. */
static void test_idle(void **state) {
  (void)state;
  fetched f;
  fault(&server, "{\"ping_ms\":50,\"idle_ms\":1}");
  client *c = connect_client(&server, IU_P_V2, "");
  fault(&server, "{\"hold\":true}"); /* its pongs still count as heard: it is the interval that makes it idle */
  uint64_t end = iu__clock_mono_ns() + 5000000000u;
  bool gone = false;
  while (!gone && iu__clock_mono_ns() < end) {
    usleep(20000); /* without a turn of the loop nothing is answered, pings neither */
    http(&server, "GET", "/peer/status", "", &f);
    gone = strstr(f.body, "\"sessions\":0") != NULL;
  }
  assert_true(gone);
  assert_false(c->closed);
  one_off(c, 1, ALL);
  expect_closed(c);
  assert_int_equal(c->close_code, 0);
  client_end(c);
}

static void test_overload(void **state) {
  (void)state;
  client *c = connect_client(&server, IU_P_V2, "");
  fault(&server, "{\"hold\":true}");
  for (uint32_t i = 0; i < 16384; i++) one_off(c, i, ALL);
  fault(&server, "{\"hold\":false}");
  for (uint32_t i = 0; i < 16384; i++) expect_next(c, IU_M_ONE_OFF);
  fault(&server, "{\"hold\":true}");
  for (uint32_t i = 0; i < 16385; i++) one_off(c, i, ALL);
  expect_closed(c);
  assert_int_equal(c->close_code, 1013);
  client_end(c);
}

static void test_hostile(void **state) {
  (void)state;
  static const char *const bombs[] = {"{\"bomb_gzip_mb\":200}", "{\"bomb_brotli_mb\":200}"};
  for (int i = 0; i < 2; i++) {
    for (int p = IU_P_V1; p <= IU_P_V2; p++) {
      client *c = connect_client(&server, (iu_protocol)p, "");
      iu_payload payload;
      iu_error err;
      fault(&server, bombs[i]);
      while (c->taken == c->heard_count) iu__loop_turn(server.loop, 50);
      assert_true(c->heard_len[1] < 1u << 20);
      assert_int_equal(iu__payload_open(&payload, (iu_protocol)p, c->heard[1], c->heard_len[1], CAP, &err), IU_E_OVERLOADED);
      iu__payload_close(&payload);
      iu_message m;
      bool more;
      assert_int_equal(iu__payload_open(&payload, (iu_protocol)p, c->heard[1], c->heard_len[1], (size_t)220 << 20, &err), IU_OK);
      if (iu__payload_next(&payload, &m, &more, &err) != IU_OK) fail_msg("the bomb is no message: %s", err.message);
      assert_int_equal(m.text.len, (size_t)200 << 20);
      iu__payload_close(&payload);
      client_end(c);
    }
  }
  client *c = connect_client(&server, IU_P_V2, "");
  fault(&server, "{\"message\":\"00ff\",\"random_message\":1000}");
  while (c->heard_count < 3) iu__loop_turn(server.loop, 50);
  assert_int_equal(c->heard_len[1], 2);
  assert_int_equal(c->heard[1][1], 0xff);
  assert_int_equal(c->heard_len[2], 1000);
  fault(&server, "{\"random_bytes\":1000}");
  fault(&server, "{\"close\":4000}");
  turn_until(server.loop, &c->closed, "an end");
  client_end(c);
  c = connect_client(&server, IU_P_V2, "");
  fault(&server, "{\"close\":4000}");
  expect_closed(c);
  assert_int_equal(c->close_code, 4000);
  client_end(c);
}

static void test_refusals(void **state) {
  (void)state;
  fetched f;
  iu_schema *schema;
  iu_error err;
  fault(&server, "{\"refuse_connect\":true}");
  client *c = client_start(&server, IU_P_V2, "");
  turn_until(server.loop, &c->closed, "a drop");
  assert_true(c->open);
  assert_int_equal(c->close_code, 0);
  assert_int_equal(c->heard_count, 0);
  client_end(c);
  fault(&server, "{\"reset\":true,\"hide_databases\":true}");
  assert_int_equal(http(&server, "GET", "/v1/database/nerv/schema?version=9", "", &f), 404);
  assert_string_equal(f.body, "`nerv` not found");
  fault(&server, "{\"reset\":true,\"extra_schema\":true,\"schema_delay_ms\":200}");
  uint64_t begun = iu__clock_mono_ns();
  assert_int_equal(http(&server, "GET", "/v1/database/nerv/schema?version=9", "", &f), 200);
  assert_true(iu__clock_mono_ns() - begun > 150000000);
  if (iu__schema_from_http(f.body, strlen(f.body), &schema, &err) != IU_OK) fail_msg("no schema: %s", err.message);
  assert_int_equal(iu__schema_table(schema, "peer_extra", 10), 0);
  assert_int_equal(schema->tables[0].primary_key, 0);
  assert_int_equal(iu__schema_reducer(schema, "peer_extra_call", 15), 0);
  assert_true(iu__schema_table(schema, "entity", 6) > 0);
  iu__schema_free(schema);
  fault(&server, "{\"reset\":true,\"cut_http_after\":300}");
  assert_int_equal(http(&server, "GET", "/v1/database/nerv/schema?version=9", "", &f), 0);
  assert_int_equal(http(&server, "POST", "/peer/fault", "{\"nonsense\":1}", &f), 400);
  fault(&server, "{\"refuse_token\":true}");
  c = client_start(&server, IU_P_V2, "");
  turn_until(server.loop, &c->closed, "a refusal");
  assert_int_equal(c->http_status, 401);
  client_end(c);
}

static void test_restart(void **state) {
  (void)state;
  client *c = connect_client(&server, IU_P_V2, ""), *again;
  create_entity(c, 1, "Person", "ada", 0);
  expect_next(c, IU_M_CALL_RESULT);
  fault(&server, "{\"restart_ms\":200}");
  expect_closed(c);
  again = client_start(&server, IU_P_V2, "");
  turn_until(server.loop, &again->closed, "a refused connection");
  client_end(again);
  for (int i = 0; i < 40 && again != NULL; i++) {
    again = client_start(&server, IU_P_V2, "");
    while (!again->open && !again->closed) iu__loop_turn(server.loop, 50);
    bool open = again->open;
    client_end(again);
    if (open) break;
    usleep(50000);
  }
  assert_int_equal(entities(), 1);
  again = connect_client(&server, IU_P_V2, "");
  assert_memory_equal(again->identity, c->identity, 32);
  client_end(again);
  client_end(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(test_cuts), TEST(test_small_writes_and_big_frames), TEST(test_compression), TEST(test_drops), TEST(test_stalls_and_silence), TEST(test_idle),
    TEST(test_overload), TEST(test_hostile), TEST(test_refusals), TEST(test_restart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
