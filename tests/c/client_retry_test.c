/* Between losing a server and having it again: the attempts, their delays and their end; what is hopeless; a loss in the middle of coming back; another
 * schema; flushes; closing anywhere. The server is scripted (client_fixture.h) and answers everything; its later WebSockets are played by `later`. */
#include "client_fixture.h"

#define V1 "v1.bsatn.spacetimedb"

static server v;
static client k;
static void (*later)(socket_conn *s);

static void obey(socket_conn *s) {
  say_hello(s, "token-of-server");
  for (;;) {
    asked a = ask_next(s);
    if (a.gone) return;
    note_heard(s, &a);
    if (a.tag == SUBSCRIBE) say_subscribed(s, &a, false, PEOPLE({7, "Bob"}));
    else if (a.tag == UNSUBSCRIBE) say_subscribed(s, &a, true, PEOPLE({7, "Bob"}));
    else if (a.tag == CALL) say_transaction(s, true, &a, a.request, NULL, NOBODY, NOBODY);
  }
}

/* The first one answers a subscription, plays `last`, and leaves unanswered what comes after. */
static void (*last)(socket_conn *s);
static void play(socket_conn *s, int number) {
  if (number > 0) {
    later(s);
    return;
  }
  say_hello(s, "token-of-server");
  asked a = ask_next(s);
  if (a.gone) return;
  note_heard(s, &a);
  say_subscribed(s, &a, false, PEOPLE({7, "Bob"}));
  if (last != NULL) last(s);
  await_cue(s, 1);
}

/* What `state` told, apart from the trace. */
#define STATES_MAX 64
static struct told { iu_phase phase; uint32_t attempt; int64_t delay_ms; iu_status why; } told[STATES_MAX];
static int told_count;
static void note_state(void *ud, const iu_conn_state *state) {
  if (told_count < STATES_MAX) {
    told[told_count++] = (struct told){state->phase, state->attempt, state->delay_ms, state->why != NULL ? state->why->status : IU_OK};
  }
  on_state(ud, state);
}
static void wait_for_states(int count) {
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  while (told_count < count && iu__clock_mono_ns() < limit) iu__loop_turn(k.loop, 50);
  if (told_count < count) fail_msg("only %d states were told: %s", told_count, k.trace);
}

static void start(iu_client_config config, void (*then)(socket_conn *)) {
  later = then;
  server_start(&v, V1, play);
  v.schemas[1] = SCHEMA_MORE;
  client_open_with(&k, &v, config);
  k.c->listener.state = note_state;
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  told_count = 0;
}
static void lose(void) {
  v.cue = 1;
  wait_for(&k, "~");
}
static void stop(void) {
  client_close(&k);
  server_stop(&v);
}
/* Of a test that failed in the middle, too. */
static int clean_up(void **state) {
  (void)state;
  k.hook = NULL;
  last = NULL;
  v.cue = 2;
  stop();
  return 0;
}

static uint64_t flush(void) {
  uint64_t pending;
  iu_error err;
  if (k.c->vtable->flush(k.c, &pending, &err) != IU_OK) fail_msg("%s", err.message);
  return pending;
}

/* ---- delays ---- */

static void expect_delay(const struct told *t, int64_t min, int64_t max, uint32_t doublings) {
  int64_t full = doublings < 20 ? min << doublings : max;
  if (full > max) full = max;
  if (t->delay_ms < full / 2 || t->delay_ms > full) fail_msg("a delay of %lld ms, not %lld to %lld", (long long)t->delay_ms, (long long)full / 2, (long long)full);
}

static void delays_double_up_to_their_cap_and_are_random(void **state) {
  int64_t total = 0, first_at_cap = 0;
  bool differ = false;
  uint64_t began = iu__clock_mono_ns();
  (void)state;
  start((iu_client_config){.delay_min_ms = 4, .delay_max_ms = 50}, obey);
  v.schema_status = 503;
  lose();
  wait_for_states(29);
  assert_int_equal(told[0].attempt, 0); /* the loss itself; then, in turns, an attempt and its failure */
  expect_delay(&told[0], 4, 50, 0);
  for (int i = 1; i < 29; i++) {
    const struct told *t = &told[i];
    assert_int_equal(t->phase, i % 2 ? IU_PHASE_CONNECTING : IU_PHASE_DISCONNECTED);
    assert_int_equal(t->attempt, (i + 1) / 2);
    assert_int_equal(t->why, i % 2 ? IU_OK : IU_E_CONNECTION);
    if (i % 2) continue;
    total += told[i - 2].delay_ms;
    expect_delay(t, 4, 50, t->attempt - 1);
    if (t->attempt == 5) first_at_cap = t->delay_ms;
    differ = differ || (t->attempt > 5 && t->delay_ms != first_at_cap); /* 10 values, each one of 26 */
  }
  assert_true(differ);
  assert_true((int64_t)((iu__clock_mono_ns() - began) / MS) + 29 >= total); /* they were waited for; a timer's millisecond each */
  assert_non_null(strstr(k.why, "503"));
  v.schema_status = 0;
  wait_for(&k, "? !");
}

static void answer_two_then_go(socket_conn *s) {
  if (s->number > 1) {
    obey(s);
    return;
  }
  say_hello(s, "token-of-server");
  asked a = ask_next(s);
  if (!a.gone) say_subscribed(s, &a, false, PEOPLE({7, "Bob"}));
  if (!a.gone) a = ask_next(s);
  if (!a.gone) say_transaction(s, true, &a, a.request, NULL, NOBODY, NOBODY);
}
static void a_success_starts_the_count_anew(void **state) {
  (void)state;
  start((iu_client_config){.delay_min_ms = 4, .delay_max_ms = 1000, .away = IU_AWAY_QUEUE}, answer_two_then_go);
  v.schema_status = 503;
  lose();
  wait_for_states(8);
  v.schema_status = 0;
  add(&k, 1, "A"); /* answered when everything is held again */
  wait_for(&k, "=1 ~ ? !");
  const struct told *t = &told[told_count - 3];
  assert_int_equal(t->attempt, 0);
  expect_delay(t, 4, 1000, 0);
  assert_int_equal(t[1].attempt, 1);
  assert_int_equal(t[-1].phase, IU_PHASE_CONNECTED);
  assert_true(t[-1].attempt >= 4);
}

static void attempts_end_where_they_are_limited(void **state) {
  (void)state;
  start((iu_client_config){.attempts_max = 3}, obey);
  v.schema_status = 503;
  lose();
  wait_for(&k, "X");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ ? ~ ? ~ ? ~x X");
  assert_int_equal(told[told_count - 1].delay_ms, -1);
  turn_for(k.loop, 30);
  assert_true(k.trace[strlen(k.trace) - 1] == 'X');
}

/* ---- a loss while coming back ---- */

static void answer_one_of_two(socket_conn *s) {
  if (s->number > 2) {
    obey(s);
    return;
  }
  say_hello(s, "token-of-server");
  asked a = ask_next(s);
  if (!a.gone) say_subscribed(s, &a, false, PEOPLE({9, "Eve"})); /* half of a state is none */
}
static void a_loss_in_the_middle_of_the_resync_changes_nothing(void **state) {
  (void)state;
  start((iu_client_config){.away = IU_AWAY_QUEUE}, answer_one_of_two);
  lose();
  subscribe(&k, "SELECT * FROM user WHERE id < 8");
  add(&k, 1, "A");
  wait_for(&k, "=1");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ ? ! ~ ? ! ~ ? ! a2 =1");
  assert_int_equal(told[3].attempt, 1); /* it is no success until everything is held */
  assert_int_equal(told[6].attempt, 2);
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
}

/* ---- hopeless ---- */

static void what_is_hopeless_ends_the_attempts(void **state) {
  static const struct { int schema, upgrade; const char *module, *code, *why; } cases[] = {
    {401, 0, NULL, "AUTHORIZATION", "refused the token"}, {403, 0, NULL, "AUTHORIZATION", "refused the token"},
    {0, 401, NULL, "AUTHORIZATION", "refused"},           {404, 0, NULL, "NO_DATABASE", "no database `world`"},
    {0, 404, NULL, "NO_DATABASE", "no database `world`"}, {0, 0, SCHEMA_OTHER, "MIGRATION", "other columns in the table `user`"},
    {0, 0, MODULE(USER_TYPE, TABLE("guest", "0"), REDUCERS), "MIGRATION", "without the table `user`"}, {0, 0, "{}", "VALIDATION", "schema"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char wanted[200];
    start((iu_client_config){.away = IU_AWAY_QUEUE}, obey);
    if (cases[i].module != NULL) v.schemas[1] = cases[i].module;
    v.schema_number = cases[i].module != NULL;
    v.schema_status = cases[i].schema;
    v.upgrade_status = cases[i].upgrade;
    lose();
    add(&k, 1, "A");
    flush();
    wait_for(&k, "X");
    snprintf(wanted, sizeof wanted, "? S ! +7Bob, a1 ~ ? ~x =1%s =2%s X", cases[i].code, cases[i].code);
    assert_string_equal(k.trace, wanted);
    if (strstr(k.why, cases[i].why) == NULL) fail_msg("%zu: %s", i, k.why);
    assert_true(k.c->closed);
    stop();
  }
}

static int again;
static void call_again(client *c, const char *part) {
  uint64_t pending;
  iu_error err;
  if (*part != '=' || ++again > 100) return;
  iu_status status = call_status(c, 0, 2, "B", &pending, &err);
  if (again > 1) assert_int_equal(status, IU_E_CLOSED); /* the first one was told of a call in flight, before the end */
}
static void calling_again_when_a_call_failed_for_good_ends(void **state) {
  (void)state;
  start((iu_client_config){.away = IU_AWAY_QUEUE, .no_reconnect = true}, obey);
  again = 0;
  k.hook = call_again;
  add(&k, 1, "A");
  lose();
  wait_for(&k, "X");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 =1UNKNOWN_OUTCOME ~x =2CONNECTION X");
}

/* ---- another schema ---- */

/* The third row has the key of the first, which the message brings twice. */
static void talk_nonsense(socket_conn *s) {
  say_transaction(s, false, &(asked){.text = "add"}, 0, NULL, NOBODY, PEOPLE({9, "Eve"}, {9, "Eve"}, {9, "Eva"}));
}
static void a_module_with_more_tables_carries_what_is_held(void **state) {
  (void)state;
  for (int nonsense = 0; nonsense < 2; nonsense++) {
    last = nonsense ? talk_nonsense : NULL;
    start((iu_client_config){.delay_min_ms = nonsense ? 60 : 0, .delay_max_ms = nonsense ? 60 : 0}, obey);
    v.schema_number = 1;
    lose();
    wait_for(&k, "~ ? S !");
    assert_int_equal(k.c->schema->table_count, 2);
    assert_int_equal(iu__view_count(k.c->view, 1), 1);
    add(&k, 1, "A");
    wait_for(&k, "=1");
    assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ ? S ! =1");
    if (nonsense) assert_non_null(strstr(k.why, "two rows with one key"));
    stop();
  }
}

/* Kept by an earlier connection: known at once, and until the server says what it is now. */
static void a_schema_of_an_earlier_time_is_known_before_the_server_is_there(void **state) {
  static const char *const present[] = {SCHEMA, SCHEMA_MORE};
  uint64_t pending;
  size_t len;
  iu_error err;
  (void)state;
  for (int changed = 0; changed < 2; changed++) {
    later = obey;
    server_start(&v, V1, play);
    v.schemas[0] = present[changed];
    v.schema_status = 503;
    client_open_with(&k, &v, (iu_client_config){.schema = SCHEMA, .schema_len = strlen(SCHEMA), .retry_first = true});
    k.c->listener.state = note_state;
    told_count = 0;
    assert_int_equal(k.c->schema->table_count, 1);
    iu__conn_watch(k.c, 0, 7);
    assert_string_equal(iu__client_schema_json(k.c, &len), SCHEMA);
    assert_int_equal(call_status(&k, 0, 1, "A", &pending, &err), IU_E_CONNECTION);
    subscribe(&k, QUERY);
    wait_for_states(4); /* attempts that fail */
    assert_null(strchr(k.trace, '!'));
    v.schema_status = 0;
    wait_for(&k, changed ? "? S ! +7Bob, a1" : "? ! +7Bob, a1");
    assert_int_equal(k.c->schema->table_count, 1 + changed);
    assert_string_equal(iu__client_schema_json(k.c, &len), present[changed]);
    assert_int_equal(len, strlen(present[changed]));
    v.cue = 1;
    stop();
  }
}

static void a_schema_of_an_earlier_time_that_is_none_is_refused(void **state) {
  static const char *const damaged[] = {"", "{}", "nothing", "{\"tables\":[{}]}"};
  iu_connection *c;
  iu_error err;
  (void)state;
  assert_int_equal(iu__loop_new(NULL, &k.loop, &err), IU_OK);
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    iu_client_config config = {.url = "ws://127.0.0.1:1", .database = "world", .loop = k.loop, .schema = damaged[i], .schema_len = strlen(damaged[i])};
    assert_int_equal(iu__client_open(&config, &c, &err), IU_E_VALIDATION);
    assert_null(c);
    assert_non_null(strstr(err.message, "the schema of an earlier time"));
  }
}

/* ---- flushes ---- */

static void a_flush_while_away_is_refused_or_waits_for_what_is_queued(void **state) {
  uint64_t pending;
  iu_error err;
  (void)state;
  start((iu_client_config){.away = IU_AWAY_QUEUE}, obey);
  assert_int_equal(flush(), 0); /* nothing is open */
  v.schema_status = 503;
  lose();
  assert_int_equal(k.c->vtable->flush(k.c, &pending, &err), IU_E_CONNECTION);
  assert_int_equal(pending, 0);
  assert_non_null(strstr(err.message, "not connected to ws://127.0.0.1"));
  add(&k, 1, "A");
  assert_int_equal(flush(), 2);
  wait_for_states(6); /* attempts that fail */
  v.schema_status = 0;
  wait_for(&k, "=2");
  if (strstr(k.trace, "~ ? ! =1 =2") == NULL) fail_msg("%s", k.trace);
}

static void flushes_that_wait_have_a_cap(void **state) {
  uint64_t pending;
  iu_error err;
  (void)state;
  start((iu_client_config){.away = IU_AWAY_QUEUE}, obey);
  v.schema_status = 503;
  lose();
  add(&k, 1, "A");
  for (uint32_t i = 0; i < IU_CLIENT_FLUSHES_MAX; i++) flush();
  assert_int_equal(k.c->vtable->flush(k.c, &pending, &err), IU_E_OVERLOADED);
  assert_int_equal(pending, 0);
}

/* Requests that wait, in bytes: with a connection, and without one; a call's arguments; subscriptions. */
static void what_waits_is_capped_in_bytes(void **state) {
  char name[401];
  uint64_t pending;
  iu_error err;
  int taken = 0;
  (void)state;
  memset(name, 'x', 400);
  name[400] = '\0';
  start((iu_client_config){.away = IU_AWAY_QUEUE, .away_bytes_max = 3000, .outgoing_bytes_max = 5000, .in_flight_max = 1}, obey);
  iu_status status = IU_OK; /* nothing is sent before the loop turns */
  while (taken < 100 && (status = call_status(&k, 0, (uint32_t)taken + 1, name, &pending, &err)) == IU_OK) taken++;
  assert_int_equal(status, IU_E_OVERLOADED);
  assert_non_null(strstr(err.message, "bytes of requests wait to be sent; the limit is 5000"));
  assert_true(taken > 5 && taken < 15);
  v.schema_status = 503;
  lose();
  for (int i = 0; i < 200; i++) turn_for(k.loop, 1); /* those in the queue have their end, or wait on */
  for (taken = 0; taken < 100 && (status = call_status(&k, 0, (uint32_t)taken + 200, name, &pending, &err)) == IU_OK; taken++) {}
  assert_int_equal(status, IU_E_OVERLOADED);
  assert_non_null(strstr(err.message, "wait for it already"));
  assert_true(taken < 8);
}

static void arguments_have_a_cap(void **state) {
  char *name = malloc(IU_CLIENT_ARGS_BYTES_MAX);
  uint64_t pending;
  iu_error err;
  (void)state;
  assert_non_null(name);
  memset(name, 'x', IU_CLIENT_ARGS_BYTES_MAX);
  name[IU_CLIENT_ARGS_BYTES_MAX - 7] = '\0'; /* behind the id and its length: a byte too many */
  start((iu_client_config){0}, obey);
  assert_int_equal(call_status(&k, 0, 1, name, &pending, &err), IU_E_OVERLOADED);
  assert_non_null(strstr(err.message, "arguments of 33554433 bytes are over the limit of 33554432"));
  free(name);
}

static void subscriptions_have_a_cap(void **state) {
  iu_slice q = {(const uint8_t *)QUERY, strlen(QUERY)};
  uint64_t id;
  iu_error err;
  (void)state;
  start((iu_client_config){.away = IU_AWAY_QUEUE}, obey);
  v.schema_status = 503;
  lose();
  for (int i = 1; i < IU_CLIENT_SUBSCRIPTIONS_MAX; i++) subscribe(&k, QUERY); /* one is there */
  assert_int_equal(k.c->vtable->subscribe(k.c, &q, 1, &id, &err), IU_E_OVERLOADED);
  assert_non_null(strstr(err.message, "10000 subscriptions are the most"));
}

static void a_flush_ends_with_the_connection(void **state) {
  iu_rows *rows;
  uint64_t pending;
  iu_error err;
  (void)state;
  for (int call = 0; call < 2; call++) {
    start((iu_client_config){.away = call ? IU_AWAY_QUEUE : IU_AWAY_REFUSE}, obey);
    if (call) add(&k, 1, "A");
    else assert_int_equal(k.c->vtable->query(k.c, "SELECT * FROM other", 19, &rows, &pending, &err), IU_OK);
    flush();
    if (call) flush();
    lose();
    assert_non_null(strstr(k.why, "cut without a close frame"));
    wait_for(&k, "? !");
    turn_for(k.loop, 10);
    if (call) assert_string_equal(k.trace, "? S ! +7Bob, a1 =1UNKNOWN_OUTCOME =2UNKNOWN_OUTCOME =3UNKNOWN_OUTCOME ~ ? !");
    else assert_string_equal(k.trace, "? S ! +7Bob, a1 =1CONNECTION =2CONNECTION ~ ? !");
    stop();
  }
}

/* ---- closing ---- */

static void closing_while_it_waits_for_the_next_attempt(void **state) {
  (void)state;
  for (int release = 0; release < 2; release++) {
    start((iu_client_config){.delay_min_ms = 60000, .delay_max_ms = 60000, .away = IU_AWAY_QUEUE}, obey);
    lose();
    add(&k, 1, "A");
    flush();
    if (release) {
      k.c->vtable->release(k.c);
      k.c = NULL;
    } else {
      assert_int_equal(k.c->vtable->close(k.c, NULL), IU_OK);
    }
    turn_for(k.loop, 10);
    assert_string_equal(k.trace, release ? "? S ! +7Bob, a1 ~" : "? S ! +7Bob, a1 ~ =1CLOSED =2CLOSED");
    stop(); /* at once: the loop comes to rest */
  }
}

static int close_at;
static bool release_too;
static void close_hook(client *c, const char *part) {
  iu_connection *conn = c->c;
  (void)part;
  if (c->events != close_at || conn == NULL) return;
  if (release_too) c->c = NULL;
  if (release_too) conn->vtable->release(conn);
  else assert_int_equal(conn->vtable->close(conn, NULL), IU_OK);
}

/* "=1UNKNOWN =2UNKNOWN ~ ? S ! =3 e1": at each of them. */
static void closing_and_releasing_in_every_callback(void **state) {
  (void)state;
  for (int round = 0; round < 16; round++) {
    start((iu_client_config){.away = IU_AWAY_QUEUE}, obey);
    v.schema_number = 1;
    add(&k, 1, "A");
    flush();
    close_at = k.events + round / 2 + 1;
    release_too = round % 2 != 0;
    k.hook = close_hook;
    v.cue = 1;
    bool done = false;
    for (int i = 0; i < 2000 && k.c != NULL && !k.c->closed && k.events < close_at; i++) {
      iu__loop_turn(k.loop, 10);
      if (done || k.c == NULL || k.c->closed || strchr(k.trace, '~') == NULL) continue;
      done = true;
      add(&k, 2, "B");
      assert_int_equal(k.c->vtable->unsubscribe(k.c, 1, NULL), IU_OK);
    }
    int events = k.events;
    assert_true(events >= close_at);
    turn_for(k.loop, 5);
    assert_int_equal(k.events, events);
    stop();
  }
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(delays_double_up_to_their_cap_and_are_random),
      TEST(a_success_starts_the_count_anew),
      TEST(attempts_end_where_they_are_limited),
      TEST(a_loss_in_the_middle_of_the_resync_changes_nothing),
      TEST(what_is_hopeless_ends_the_attempts),
      TEST(calling_again_when_a_call_failed_for_good_ends),
      TEST(a_module_with_more_tables_carries_what_is_held),
      TEST(a_schema_of_an_earlier_time_is_known_before_the_server_is_there),
      TEST(a_schema_of_an_earlier_time_that_is_none_is_refused),
      TEST(a_flush_while_away_is_refused_or_waits_for_what_is_queued),
      TEST(flushes_that_wait_have_a_cap), TEST(what_waits_is_capped_in_bytes), TEST(arguments_have_a_cap), TEST(subscriptions_have_a_cap), TEST(a_flush_ends_with_the_connection),
      TEST(closing_while_it_waits_for_the_next_attempt),
      TEST(closing_and_releasing_in_every_callback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
