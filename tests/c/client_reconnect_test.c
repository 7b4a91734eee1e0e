/* Losing a server and coming back, on the same connection: what is told and what is not, how calls end, what is asked for again and in which order.
 * The server's first WebSocket ends as the test's plan says; the later ones answer everything. */
#include "client_fixture.h"

#define V1 "v1.bsatn.spacetimedb"
#define OTHERS "SELECT * FROM user WHERE id > 7"

/* The first WebSocket answers so many messages and swallows so many more, then plays `last`, waits for the cue and ends. */
static struct plan {
  const person *first, *then; /* what the table holds meanwhile, and later */
  int answers, swallows;
  void (*last)(socket_conn *s);
} plan;

static void answer(socket_conn *s, const asked *a, const person *people) {
  char name[50] = "";
  if (a->tag == SUBSCRIBE && strstr(a->text, "nothing") != NULL) say_sub_error(s, a, "`nothing` is not a valid table");
  else if (a->tag == SUBSCRIBE) say_subscribed(s, a, false, people);
  else if (a->tag == UNSUBSCRIBE) say_subscribed(s, a, true, people);
  else if (a->tag == ONE_OFF) say_rows(s, a, NULL, people);
  else if (a->tag == CALL) {
    snprintf(name, sizeof name, "%.*s", (int)(a->args_len - 8), (const char *)a->args + 8);
    say_transaction(s, true, a, a->request, NULL, NOBODY, PEOPLE({iu__load_u32(a->args), name}));
  }
}

static void play(socket_conn *s, int number) {
  int left = plan.answers;
  say_hello(s, "token-of-server");
  while (number > 0 || left > 0) {
    asked a = ask_next(s);
    if (a.gone) return;
    note_heard(s, &a);
    answer(s, &a, number == 0 ? plan.first : plan.then);
    left--;
  }
  for (int i = 0; i < plan.swallows; i++) {
    asked a = ask_next(s);
    if (a.gone) return;
    note_heard(s, &a);
  }
  if (plan.last != NULL) plan.last(s);
  await_cue(s, 1);
}

static server v;
static client k;

static void start(iu_client_config config, struct plan p) {
  plan = p;
  server_start(&v, V1, play);
  client_open_with(&k, &v, config);
  wait_for(&k, "!");
}
static void lose(void) {
  v.cue = 1;
  wait_for(&k, "~");
}
static void stop(void) {
  client_close(&k);
  server_stop(&v);
}
/* Of a test that failed in the middle. */
static int clean_up(void **state) {
  (void)state;
  v.cue = INT_MAX;
  stop();
  return 0;
}

static void expect_heard(const char *wanted) {
  char heard[sizeof v.heard];
  pthread_mutex_lock(&v.heard_lock);
  memcpy(heard, v.heard, sizeof heard);
  pthread_mutex_unlock(&v.heard_lock);
  assert_string_equal(heard, wanted);
}
static iu_client_status status_of(void) {
  iu_client_status status;
  iu__client_get_status(k.c, &status);
  return status;
}
static void unsubscribe(uint64_t id) {
  iu_error err;
  if (k.c->vtable->unsubscribe(k.c, id, &err) != IU_OK) fail_msg("%s", err.message);
}
static void expect_explained(const char *wanted) {
  iu_selection_spec all = {0};
  iu_buf words = {0};
  iu_error err;
  assert_int_equal(k.c->vtable->explain(k.c, 0, &all, &words, &err), IU_OK);
  iu__buf_put_u8(&words, 0);
  assert_string_equal((char *)words.data, wanted);
  iu__buf_free(&words);
}

/* ---- idle ---- */

static void only_rows_that_differ_are_told(void **state) {
  (void)state;
  start((iu_client_config){0}, (struct plan){PEOPLE({5, "Ada"}, {7, "Bob"}, {8, "Al"}), PEOPLE({9, "Eve"}, {8, "Alan"}, {7, "Bob"}), 1, 0, NULL});
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  expect_explained("replica: scan of user");
  lose();
  assert_int_equal(iu__view_count(k.c->view, 0), 3); /* what was known stays visible */
  expect_explained("one-off query: SELECT * FROM \"user\"");
  assert_int_equal(status_of().phase, IU_PHASE_DISCONNECTED);
  assert_string_equal(status_of().protocol, "");
  wait_for(&k, "+9Eve,");
  assert_string_equal(k.trace, "? S ! +5Ada, +7Bob, +8Al, a1 ~ ? ! -5Ada, *8Al>8Alan, +9Eve,");
  assert_int_equal(iu__view_count(k.c->view, 0), 3);
  expect_explained("replica: scan of user");
  add(&k, 10, "Zoe");
  wait_for(&k, "=1");
  assert_non_null(strstr(k.trace, "+9Eve, +10Zoe. =1"));
  assert_int_equal(status_of().connects, 2);
  assert_int_equal(status_of().resyncs, 1);
  expect_heard("0:s1 1:s2 1:c10");
  stop();
}

static void nothing_is_told_where_nothing_differs(void **state) {
  (void)state;
  start((iu_client_config){0}, (struct plan){PEOPLE({7, "Bob"}), PEOPLE({7, "Bob"}), 1, 0, NULL});
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  lose();
  wait_for(&k, "? !");
  unsubscribe(1);
  wait_for(&k, "e1");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ ? ! -7Bob, e1");
  stop();
}

/* A row that two subscriptions hold has a count, and has it again. */
static void overlapping_subscriptions_keep_their_counts(void **state) {
  (void)state;
  start((iu_client_config){0}, (struct plan){PEOPLE({8, "Al"}), PEOPLE({8, "Al"}), 2, 0, NULL});
  subscribe(&k, QUERY);
  subscribe(&k, OTHERS);
  wait_for(&k, "a2");
  lose();
  wait_for(&k, "? !");
  unsubscribe(1);
  wait_for(&k, "e1");
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
  unsubscribe(2);
  wait_for(&k, "e2");
  assert_string_equal(k.trace, "? S ! +8Al, a1 a2 ~ ? ! e1 -8Al, e2");
  expect_heard("0:s1 0:s2 1:s3 1:s4 1:u3 1:u4");
  stop();
}

/* ---- in the middle of a message ---- */

static int cut_at;
static const asked somebody = {.text = "add", .args = {9, 0, 0, 0, 3, 0, 0, 0, 'E', 'v', 'e'}, .args_len = 11};

/* The first cut_at bytes of a frame with a transaction of somebody else. */
static void send_part(socket_conn *s) {
  iu_buf b = {0};
  uint8_t head[10], frame[1024];
  size_t len;
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u8(&b, 1);
  iu__buf_put_u8(&b, 0);
  put_update(&b, NOBODY, PEOPLE({9, "Eve"}));
  put_fill(&b, 0, 8 + 32 + 16);
  put_name(&b, somebody.text);
  put_fill(&b, 0, 4 + 4 + 4 + 16 + 8);
  len = frame_head(head, true, 2, b.len);
  assert_true(len + b.len <= sizeof frame);
  memcpy(frame, head, len);
  memcpy(frame + len, b.data, b.len);
  len += b.len;
  iu__buf_free(&b);
  conn_send(&s->c, frame, cut_at < 0 ? len + (size_t)cut_at : (size_t)cut_at);
}

static void half_a_message_is_none(void **state) {
  static const int cuts[] = {1, 2, 3, 4, 5, 40, 100, -2, -1};
  (void)state;
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    cut_at = cuts[i];
    start((iu_client_config){0}, (struct plan){PEOPLE({7, "Bob"}), PEOPLE({7, "Bob"}, {9, "Eve"}), 1, 0, send_part});
    subscribe(&k, QUERY);
    wait_for(&k, "a1");
    lose();
    wait_for(&k, "+9");
    assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ ? ! +9Eve,");
    assert_string_equal(k.why, "the connection was cut without a close frame");
    stop();
  }
}

static void send_all_in_pieces(socket_conn *s) {
  say_transaction(s, false, &somebody, 0, NULL, NOBODY, PEOPLE({9, "Eve"}));
}

/* What came whole before the end is told before it. */
static void what_was_received_is_told_before_the_loss(void **state) {
  (void)state;
  start((iu_client_config){0}, (struct plan){PEOPLE({7, "Bob"}), PEOPLE({7, "Bob"}), 1, 0, send_all_in_pieces});
  v.cue = 1; /* the end comes with it */
  subscribe(&k, QUERY);
  wait_for(&k, "-9Eve");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 +9Eve ~ ? ! -9Eve,");
  stop();
}

/* ---- calls ---- */

static void calls_in_flight_end_once_and_are_not_sent_again(void **state) {
  iu_rows *rows;
  uint64_t pending;
  iu_error err;
  (void)state;
  start((iu_client_config){.away = IU_AWAY_QUEUE}, (struct plan){NOBODY, PEOPLE({1, "A"}), 2, 3, NULL});
  subscribe(&k, QUERY);
  for (uint32_t i = 1; i <= 3; i++) add(&k, i, "A");
  assert_int_equal(k.c->vtable->query(k.c, QUERY, strlen(QUERY), &rows, &pending, &err), IU_OK);
  wait_for(&k, "=1");
  lose();
  assert_non_null(strstr(k.why, "cut without a close frame"));
  add(&k, 9, "Eve");
  wait_for(&k, "=5");
  assert_string_equal(k.trace, "? S ! a1 +1A. =1 =2UNKNOWN_OUTCOME =3UNKNOWN_OUTCOME =4CONNECTION ~ ? ! +9Eve. =5");
  assert_int_equal(status_of().unknown, 2);
  assert_int_equal(status_of().in_flight + status_of().waiting, 0);
  expect_heard("0:s1 0:c1 0:c2 0:c3 0:q 1:s2 1:c9");
  stop();
}

/* Those that were not sent yet have a known outcome: they go later, or are refused. */
static void calls_that_wait_are_sent_later_or_refused(void **state) {
  (void)state;
  for (int queue = 0; queue < 2; queue++) {
    uint64_t pending;
    iu_error err;
    start((iu_client_config){.away = queue ? IU_AWAY_QUEUE : IU_AWAY_REFUSE, .away_calls_max = 4, .in_flight_max = 1},
          (struct plan){NOBODY, NOBODY, 1, 1, NULL});
    subscribe(&k, QUERY);
    for (uint32_t i = 1; i <= 3; i++) add(&k, i, "A");
    wait_for(&k, "a1");
    lose();
    if (queue) {
      add(&k, 4, "A");
      add(&k, 5, "A");
      assert_int_equal(call_status(&k, 0, 6, "A", &pending, &err), IU_E_OVERLOADED);
      assert_non_null(strstr(err.message, "4 requests"));
      wait_for(&k, "=5");
      assert_string_equal(k.trace, "? S ! a1 =1UNKNOWN_OUTCOME ~ ? ! +2A. =2 +3A. =3 +4A. =4 +5A. =5");
      expect_heard("0:s1 0:c1 1:s2 1:c2 1:c3 1:c4 1:c5");
    } else {
      assert_int_equal(call_status(&k, 0, 4, "A", &pending, &err), IU_E_CONNECTION);
      assert_int_equal(pending, 0);
      assert_non_null(strstr(err.message, "not connected to ws://127.0.0.1"));
      wait_for(&k, "? !");
      turn_for(k.loop, 20);
      assert_string_equal(k.trace, "? S ! a1 =1UNKNOWN_OUTCOME =2CONNECTION =3CONNECTION ~ ? !");
      expect_heard("0:s1 0:c1 1:s2");
    }
    stop();
  }
}

/* ---- subscriptions that change while away ---- */

static void subscriptions_made_and_dropped_while_away(void **state) {
  uint64_t dropped, brief;
  (void)state;
  start((iu_client_config){.delay_min_ms = 100, .delay_max_ms = 100}, (struct plan){PEOPLE({7, "Bob"}), PEOPLE({9, "Eve"}), 1, 0, NULL});
  dropped = subscribe(&k, QUERY);
  wait_for(&k, "a1");
  lose();
  unsubscribe(dropped);
  assert_int_equal(subscribe(&k, OTHERS), 2);
  brief = subscribe(&k, OTHERS);
  unsubscribe(brief);
  wait_for(&k, "a2");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ e3 ? ! -7Bob, +9Eve, a2 e1");
  expect_heard("0:s1 1:s2");
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
  stop();
}

static void unsubscribing_when_the_connection_goes_ends_once(void **state) {
  (void)state;
  for (int answered = 0; answered < 2; answered++) { /* the subscription itself was, or was not */
    start((iu_client_config){0}, (struct plan){PEOPLE({7, "Bob"}), PEOPLE({7, "Bob"}), answered, 2 - answered, NULL});
    subscribe(&k, QUERY);
    if (answered) wait_for(&k, "a1");
    unsubscribe(1);
    turn_for(k.loop, 20); /* it is on its way */
    lose();
    wait_for(&k, "e1");
    add(&k, 9, "Eve");
    wait_for(&k, "=1");
    assert_string_equal(k.trace, answered ? "? S ! +7Bob, a1 ~ ? ! -7Bob, e1 +9Eve. =1" : "? S ! ~ ? ! e1 +9Eve. =1");
    expect_heard("0:s1 0:u1 1:c9");
    stop();
  }
}

/* In the moment between the first message and the last answer of those that are made again. */
static void change_when_back(client *c, const char *part) {
  if (*part != '!') return;
  c->hook = NULL;
  unsubscribe(1);
  subscribe(c, OTHERS);
}
static void subscriptions_changed_in_the_middle_of_the_resync(void **state) {
  (void)state;
  start((iu_client_config){0}, (struct plan){PEOPLE({8, "Al"}), PEOPLE({8, "Al"}), 1, 0, NULL});
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  k.hook = change_when_back;
  lose();
  wait_for(&k, "a2");
  wait_for(&k, "e1");
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
  assert_null(strstr(k.trace, "-8Al"));
  assert_null(strstr(strstr(k.trace, "~"), "+8Al"));
  unsubscribe(2);
  wait_for(&k, "e2");
  assert_int_equal(iu__view_count(k.c->view, 0), 0);
  stop();
}

static void a_subscription_that_is_refused_now_fails_alone(void **state) {
  (void)state;
  start((iu_client_config){0}, (struct plan){PEOPLE({8, "Al"}), PEOPLE({8, "Al"}), 1, 0, NULL});
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  lose();
  subscribe(&k, "SELECT * FROM nothing");
  wait_for(&k, "f2");
  add(&k, 9, "Eve");
  wait_for(&k, "=1");
  assert_string_equal(k.trace, "? S ! +8Al, a1 ~ ? ! f2 +9Eve. =1");
  assert_non_null(strstr(k.why, "not a valid table"));
  stop();
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_rows_that_differ_are_told),
      TEST(nothing_is_told_where_nothing_differs),
      TEST(overlapping_subscriptions_keep_their_counts),
      TEST(half_a_message_is_none),
      TEST(what_was_received_is_told_before_the_loss),
      TEST(calls_in_flight_end_once_and_are_not_sent_again),
      TEST(calls_that_wait_are_sent_later_or_refused),
      TEST(subscriptions_made_and_dropped_while_away),
      TEST(unsubscribing_when_the_connection_goes_ends_once),
      TEST(subscriptions_changed_in_the_middle_of_the_resync),
      TEST(a_subscription_that_is_refused_now_fails_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
