/* A connection to a scripted server of v1: the handshake, calls and their failures, subscriptions, one-off reads, closing everywhere. */
#include "client_fixture.h"

#define V1 "v1.bsatn.spacetimedb"

/* ---- an obedient server ---- */

/* Answers everything: each call of add inserts its row, of drop fails as on 1.2. */
static void obey(socket_conn *s, int number) {
  (void)number;
  say_hello(s, "token-of-server");
  for (;;) {
    asked a = ask_next(s);
    if (a.gone) return;
    if (a.tag == SUBSCRIBE && strstr(a.text, "nothing") != NULL) say_sub_error(s, &a, "`nothing` is not a valid table");
    else if (a.tag == SUBSCRIBE) say_subscribed(s, &a, false, PEOPLE({7, "Bob"}));
    else if (a.tag == UNSUBSCRIBE) say_subscribed(s, &a, true, PEOPLE({7, "Bob"}));
    else if (a.tag == ONE_OFF) say_rows(s, &a, strstr(a.text, "nothing") != NULL ? "no such table" : NULL, PEOPLE({1, "Ann"}, {7, "Bob"}));
    else if (a.tag == CALL && strcmp(a.text, "add") == 0) {
      char name[50] = "";
      snprintf(name, sizeof name, "%.*s", (int)(a.args_len - 8), (const char *)a.args + 8);
      say_transaction(s, true, &a, a.request, NULL, NOBODY, PEOPLE({iu__load_u32(a.args), name}));
    } else if (a.tag == CALL) {
      say_transaction(s, true, &a, 0, "VALIDATION: no", NOBODY, NOBODY);
    }
  }
}

static void a_session(void **state) {
  server v;
  client k;
  iu_error err;
  uint64_t pending;
  (void)state;
  server_start(&v, V1, obey);
  client_open(&k, &v);
  assert_int_equal(k.c->schema->table_count, 0);
  wait_for(&k, "!");
  assert_string_equal(k.trace, "? S !");
  assert_int_equal(k.c->identity[0], MY_IDENTITY);
  assert_int_equal(subscribe(&k, QUERY), 1);
  wait_for(&k, "a1");
  add(&k, 8, "Al");
  assert_int_equal(call_status(&k, 1, 9, "", &pending, &err), IU_OK);
  add(&k, 9, "Eve");
  wait_for(&k, "=3");
  assert_string_equal(k.trace, "? S ! +7Bob, a1 +8Al. =1 =2VALIDATION +9Eve. =3");
  assert_string_equal(k.why, "no");
  assert_string_equal(k.event.reducer->name, "add");
  assert_int_equal(k.event.args.len, 11);
  assert_int_equal(k.event.timestamp, 1700000000000000);
  assert_int_equal(iu__view_count(k.c->view, 0), 3);
  subscribe(&k, "SELECT * FROM nothing");
  wait_for(&k, "f2");
  assert_non_null(strstr(k.why, "not a valid table"));
  assert_int_equal(k.c->vtable->unsubscribe(k.c, 1, &err), IU_OK);
  assert_int_equal(k.c->vtable->unsubscribe(k.c, 1, &err), IU_E_VALIDATION);
  wait_for(&k, "e1");
  assert_non_null(strstr(k.trace, "f2 -7Bob, e1"));
  iu_client_status status;
  iu__client_get_status(k.c, &status);
  assert_string_equal(status.protocol, V1);
  assert_string_equal(status.token, "token-of-server");
  assert_int_equal(status.calls, 3);
  assert_int_equal(status.in_flight + status.waiting, 0);
  client_close(&k);
  server_stop(&v);
}

/* ---- reads ---- */

static iu_status read_sql(client *k, const char *sql, iu_rows **rows, uint64_t *pending) {
  iu_error err;
  return k->c->vtable->query(k->c, sql, strlen(sql), rows, pending, &err);
}

static void reads_from_the_server_and_from_the_replica(void **state) {
  server v;
  client k;
  iu_rows *rows;
  uint64_t pending;
  iu_error err;
  uint32_t key = 7;
  iu_filter_spec filter = {"name", 4, "StartsWith", 10, "\"A\"", 3};
  iu_selection_spec spec = {.filter_count = 1, .filters = &filter};
  iu_buf words = {0};
  (void)state;
  server_start(&v, V1, obey);
  client_open(&k, &v);
  wait_for(&k, "!");
  assert_int_equal(read_sql(&k, QUERY, &rows, &pending), IU_OK);
  assert_int_equal(pending, 1);
  assert_null(rows);
  assert_int_equal(read_sql(&k, "SELECT * FROM nothing", &rows, &pending), IU_OK);
  assert_int_equal(k.c->vtable->select(k.c, 0, &spec, &rows, &pending, &err), IU_OK);
  assert_int_equal(k.c->vtable->get(k.c, 0, &key, 4, &rows, &pending, &err), IU_OK);
  wait_for(&k, "=4");
  assert_string_equal(k.trace, "? S ! =1(2) =2VALIDATION =3(1) =4(1)");
  assert_int_equal(k.c->vtable->explain(k.c, 0, &spec, &words, &err), IU_OK);
  iu__buf_put_u8(&words, 0);
  assert_string_equal((char *)words.data, "one-off query: SELECT * FROM \"user\"; filtered here");
  iu__buf_reset(&words);
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  assert_int_equal(k.c->vtable->explain(k.c, 0, &spec, &words, &err), IU_OK);
  iu__buf_put_u8(&words, 0);
  assert_string_equal((char *)words.data, "replica: scan of user");
  iu__buf_free(&words);
  assert_int_equal(read_sql(&k, "SELECT * FROM user WHERE id = 7", &rows, &pending), IU_OK);
  assert_int_equal(pending, 0);
  assert_int_equal(rows->count, 1);
  client_close(&k); /* rows outlive their connection */
  assert_int_equal(iu__load_u32(rows->rows[0]->data), 7);
  assert_string_equal(rows->table->name, "user");
  iu__rows_release(rows);
  server_stop(&v);
}

/* ---- closing everywhere ---- */

static int close_at;
static bool release_too;

static void close_hook(client *k, const char *part) {
  (void)part;
  if (k->events != close_at || k->c == NULL) return;
  iu_connection *c = k->c;
  if (release_too) k->c = NULL;
  if (release_too) c->vtable->release(c);
  else assert_int_equal(c->vtable->close(c, NULL), IU_OK);
}

/* "? S ! +7Bob, a1 +8Al. =1 =2VALIDATION": closes at each of them; what is pending is answered once and nothing follows. */
static void closing_and_releasing_in_every_callback(void **state) {
  (void)state;
  for (int round = 0; round < 18; round++) {
    server v;
    client k;
    uint64_t pending;
    iu_error err;
    close_at = round / 2 + 1;
    release_too = round % 2 != 0;
    server_start(&v, V1, obey);
    client_open(&k, &v);
    k.hook = close_hook;
    subscribe(&k, QUERY);
    for (int i = 0; i < 2000 && k.c != NULL && !k.c->closed && strstr(k.trace, "a1") == NULL; i++) iu__loop_turn(k.loop, 10);
    if (k.c != NULL && !k.c->closed) {
      add(&k, 8, "Al");
      if (k.c != NULL) call_status(&k, 1, 9, "", &pending, &err);
      for (int i = 0; i < 2000 && k.c != NULL && !k.c->closed && strstr(k.trace, "=2") == NULL; i++) iu__loop_turn(k.loop, 10);
    }
    int events = k.events;
    turn_for(k.loop, 5);
    assert_int_equal(k.events, events);
    if (round < 16) assert_true(k.events >= close_at);
    client_close(&k);
    server_stop(&v);
  }
}

/* ---- refusals ---- */

static void never(socket_conn *s, int number) {
  (void)s;
  (void)number;
}

static void a_refused_token_and_a_missing_database_are_final(void **state) {
  static const struct { int schema, upgrade; const char *why; } cases[] = {{404, 0, "no database `world`"}, {401, 0, "refused the token"}, {0, 401, "refused"},
                                                                          {0, 404, "no database `world`"}, {500, 0, "answered 500"}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    server v;
    client k;
    server_start(&v, V1, never);
    v.schema_status = cases[i].schema;
    v.upgrade_status = cases[i].upgrade;
    client_open_with(&k, &v, (iu_client_config){.retry_first = cases[i].schema != 500, .token = "secret"});
    wait_for(&k, "X");
    assert_string_equal(k.trace, cases[i].upgrade != 0 ? "? S ~x X" : "? ~x X");
    if (strstr(k.why, cases[i].why) == NULL) fail_msg("%s", k.why);
    assert_string_equal(v.seen_token[0], "secret");
    assert_true(k.c->closed);
    client_close(&k);
    server_stop(&v);
  }
}

/* client_connected refused: 101, then the end without a word. */
static void a_silent_drop_says_what_it_may_be(void **state) {
  server v;
  client k;
  (void)state;
  server_start(&v, V1, never);
  client_open(&k, &v);
  wait_for(&k, "X");
  assert_non_null(strstr(k.why, "client_connected may have refused"));
  client_close(&k);
  server_stop(&v);
}

/* ---- hostile payloads ---- */

static int hostile_case;
static void talk_nonsense(socket_conn *s, int number) {
  iu_buf b = {0};
  asked a = {.text = "add"};
  (void)number;
  if (hostile_case != 0) say_hello(s, "t");
  if (hostile_case == 4) a = ask_next(s);
  switch (hostile_case) {
    case 0: say_transaction(s, false, &a, 0, NULL, NOBODY, PEOPLE({1, "A"})); break; /* before the first message */
    case 1: say_hello(s, "t"); break;                                                /* twice */
    case 2: iu__buf_put_str(&b, "\001nonsense"); send_buf(s, &b); break;
    case 3: a.request = 77; say_subscribed(s, &a, false, NOBODY); break;             /* answers nothing */
    case 4: say_subscribed(s, &a, false, PEOPLE({1, "A"}, {1, "B"})); break;         /* two rows with one key */
    case 5: say_transaction(s, false, &a, 0, NULL, PEOPLE({1, "A"}), NOBODY); break; /* deletes what is not there */
    case 6: iu__buf_put_u8(&b, 0); send_buf(s, &b); break;
    default: conn_frame(&s->c, true, 2, "", 0); break;
  }
  conn_drain(&s->c);
}

static void a_server_that_talks_nonsense_is_left(void **state) {
  (void)state;
  for (hostile_case = 0; hostile_case < 8; hostile_case++) {
    server v;
    client k;
    server_start(&v, V1, talk_nonsense);
    client_open_with(&k, &v, (iu_client_config){.no_reconnect = true});
    subscribe(&k, QUERY);
    wait_for(&k, "X");
    assert_null(strstr(k.trace, "+"));
    client_close(&k);
    server_stop(&v);
  }
}

/* ---- the two versions of a definition ---- */

#define V10 \
  "{\"sections\":[{\"Typespace\":{\"types\":[" USER_TYPE "]}},{\"Tables\":[{\"source_name\":\"User\",\"product_type_ref\":0,\"primary_key\":[]," \
  "\"indexes\":[],\"constraints\":[],\"sequences\":[],\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]},\"default_values\":[]," \
  "\"is_event\":true}]},{\"ExplicitNames\":{\"entries\":[{\"Table\":{\"source_name\":\"User\",\"canonical_name\":\"user\"}}]}}]}"

static void the_newest_version_that_the_server_has(void **state) {
  server v;
  client k;
  (void)state;
  for (int old = 0; old < 2; old++) {
    server_start(&v, V1, obey);
    v.old = old;
    if (!old) v.schemas[0] = V10;
    client_open(&k, &v);
    wait_for(&k, "!");
    assert_string_equal(k.trace, "? S !");
    assert_int_equal(v.schema_requests, 1 + old);
    assert_int_equal(iu__schema_table(k.c->schema, "user", 4), 0);
    assert_int_equal(k.c->schema->tables[0].is_event, !old);
    assert_int_equal(k.c->schema->reducer_count, old ? 2 : 0);
    client_close(&k);
    server_stop(&v);
  }
}

static void a_refusal_of_every_version_is_told(void **state) {
  server v;
  client k;
  (void)state;
  server_start(&v, V1, obey);
  v.schema_status = 400;
  client_open(&k, &v);
  wait_for(&k, "X");
  assert_non_null(strstr(k.why, "answered 400 for the schema"));
  assert_int_equal(v.schema_requests, 2);
  client_close(&k);
  server_stop(&v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session),
      cmocka_unit_test(reads_from_the_server_and_from_the_replica),
      cmocka_unit_test(closing_and_releasing_in_every_callback),
      cmocka_unit_test(a_refused_token_and_a_missing_database_are_final),
      cmocka_unit_test(a_silent_drop_says_what_it_may_be),
      cmocka_unit_test(a_server_that_talks_nonsense_is_left),
      cmocka_unit_test(the_newest_version_that_the_server_has),
      cmocka_unit_test(a_refusal_of_every_version_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
