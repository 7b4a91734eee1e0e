/* A server that stalls or lies, as a whole client meets it: silence at every stage, answers about the schema that are none, messages with bytes changed.
 * It is left with a reason, nothing is shown that an honest server did not say, and the next connection makes everything good.
 * Environment: IU_TEST_SEED. */
#include "client_fixture.h"

#define V1 "v1.bsatn.spacetimedb"
#define DEEP 10000
#define ROUNDS 120

static server v;
static client k;
static uint64_t seed;

static int clean_up(void **state) {
  (void)state;
  v.cue = INT_MAX;
  client_close(&k);
  server_stop(&v);
  return 0;
}

/* ---- silence ---- */

/* Answers pings, and says nothing else. */
static void only_pongs(socket_conn *s, int number) {
  int opcode;
  size_t len;
  (void)number;
  while (conn_read_frame(&s->c, &opcode, s->bytes, sizeof s->bytes, &len) && opcode != 8) {
    if (opcode == 9) conn_frame(&s->c, true, 10, s->bytes, len);
  }
}
static void hello_and_silence(socket_conn *s, int number) {
  (void)number;
  say_hello(s, "t");
  conn_drain(&s->c);
}

static void silence_ends_every_stage(void **state) {
  static const struct { bool schema, upgrade; void (*script)(socket_conn *, int); const char *trace, *why; } cases[] = {
    {true, false, only_pongs, "? ~x X", "not done after"},
    {false, true, only_pongs, "? S ~x X", ""},
    {false, false, only_pongs, "? S ~x X", "did not send its first message within 300 ms"},
    {false, false, hello_and_silence, "? S ! ~x X", "nothing was heard from the server"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t began = iu__clock_mono_ns();
    server_start(&v, V1, cases[i].script);
    v.schema_stalls = cases[i].schema;
    v.upgrade_stalls = cases[i].upgrade;
    client_open_with(&k, &v, (iu_client_config){.connect_timeout_ms = 300, .ping_interval_ms = 50, .idle_timeout_ms = 400, .no_reconnect = true});
    wait_for(&k, "X");
    assert_string_equal(k.trace, cases[i].trace);
    if (strstr(k.why, cases[i].why) == NULL) fail_msg("%zu: %s", i, k.why);
    assert_true(iu__clock_mono_ns() - began < 8000u * (uint64_t)MS);
    clean_up(NULL);
  }
}

/* ---- the schema ---- */

static char *repeated(const char *open, const char *middle, const char *close, size_t times) {
  size_t o = strlen(open), c = strlen(close);
  char *text = malloc(times * (o + c) + strlen(middle) + 1), *at = text;
  assert_non_null(text);
  for (size_t i = 0; i < times; i++, at += o) memcpy(at, open, o);
  at = stpcpy(at, middle);
  for (size_t i = 0; i < times; i++, at += c) memcpy(at, close, c);
  *at = '\0';
  return text;
}

static void a_schema_that_is_none_is_said(void **state) {
  char *arrays = repeated("{\"Array\":", "{\"U8\":[]}", "}", DEEP), *json = repeated("[", "", "]", DEEP), *module = malloc(strlen(arrays) + 2000);
  (void)state;
  assert_non_null(module);
  sprintf(module, "{\"typespace\":{\"types\":[%s]},\"tables\":[],\"reducers\":[],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}", arrays);
  const char *const answers[] = {module, json, "", "\"", "null", "{\"typespace\":{\"types\":[{\"Ref\":4000000000}]}}", "\xff\xfe\0",
                                 MODULE("{\"Ref\":0}", TABLE("user", "0"), REDUCERS), MODULE(USER_TYPE, TABLE("user", "7"), REDUCERS)};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    server_start(&v, V1, hello_and_silence);
    v.schemas[0] = answers[i];
    client_open(&k, &v);
    wait_for(&k, "X");
    assert_string_equal(k.trace, "? ~x X");
    assert_true(strlen(k.why) > 10 && strlen(k.why) < 1000);
    assert_int_equal(v.sockets, 0);
    clean_up(NULL);
  }
  free(module);
  free(arrays);
  free(json);
}

/* ---- messages with bytes changed ---- */

static uint32_t below(uint32_t n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % n;
}

/* What the server would say: a transaction that brings Eve and takes Bob away, as a payload. */
static void honest(iu_buf *b) {
  iu__buf_put_u8(b, 0);
  iu__buf_put_u8(b, 1);
  iu__buf_put_u8(b, 0);
  put_update(b, PEOPLE({7, "Bob"}), PEOPLE({9, "Eve"}));
  put_fill(b, 0, 8 + 32 + 16);
  put_name(b, "add");
  put_fill(b, 0, 4 + 4 + 4 + 16 + 8);
}
static void change(iu_buf *b) {
  for (uint32_t n = 1 + below(4); n > 0; n--) {
    uint32_t at = below((uint32_t)b->len);
    switch (below(4)) {
      case 0: b->data[at] ^= (uint8_t)(1u << below(8)); break;
      case 1: b->data[at] = (uint8_t)below(256); break;
      case 2: memset(b->data + at, 0xff, b->len - at < 4 ? b->len - at : 4); break; /* a length past the end */
      default: b->len = at + 1; break;
    }
  }
}
static void lie(socket_conn *s, int number) {
  say_hello(s, "t");
  asked a = ask_next(s);
  if (a.gone) return;
  say_subscribed(s, &a, false, PEOPLE({7, "Bob"}));
  if (number % 2 == 0) {
    iu_buf b = {0};
    honest(&b);
    change(&b);
    send_buf(s, &b);
    await_cue(s, number / 2 + 1);
  } else {
    conn_drain(&s->c);
  }
}

/* Every second connection lies once and is cut; each time the next one, which does not, makes good what was told. */
static void changed_bytes_do_not_outlive_the_connection(void **state) {
  const char *given = getenv("IU_TEST_SEED");
  int left_early = 0;
  (void)state;
  seed = given != NULL ? strtoull(given, NULL, 0) : iu__clock_mono_ns();
  print_message("IU_TEST_SEED=%llu\n", (unsigned long long)seed);
  for (int round = 0; round < ROUNDS; round++) {
    iu_client_status status;
    server_start(&v, V1, lie);
    client_open_with(&k, &v, (iu_client_config){.delay_min_ms = 1, .delay_max_ms = 1});
    subscribe(&k, QUERY);
    wait_for(&k, "a1");
    turn_for(k.loop, 2);
    iu__client_get_status(k.c, &status);
    left_early += status.phase != IU_PHASE_CONNECTED || status.connects > 1; /* by the client, because of what it read */
    v.cue = 1;
    uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
    do {
      iu__loop_turn(k.loop, 20);
      iu__client_get_status(k.c, &status);
    } while ((status.resyncs < 1 || status.in_flight > 0) && iu__clock_mono_ns() < limit);
    turn_for(k.loop, 1);
    const iu_row *bob = iu__view_count(k.c->view, 0) == 1 ? iu__view_get(k.c->view, 0, "\7\0\0\0", 4) : NULL;
    if (bob == NULL || memcmp(bob->data, "\7\0\0\0\3\0\0\0Bob", 11) != 0) fail_msg("round %d: %s (%s)", round, k.trace, k.why);
    assert_false(k.c->closed);
    clean_up(NULL);
  }
  assert_true(left_early > ROUNDS / 10);
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(silence_ends_every_stage),
      TEST(a_schema_that_is_none_is_said),
      TEST(changed_bytes_do_not_outlive_the_connection),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
