/* The HTTP client against a scripted peer: requests and bodies, every way an answer can end, caps, deadlines, streaming, TLS, releases, memory. */
#include "net_fixture.h"

#define MEBI (1024u * 1024u)

typedef struct client {
  iu_loop *loop;
  iu_http *http;
  int done, pieces, status;
  size_t bytes, body_len;
  char body[512], type[64], identity[64], token[64];
  bool failed, release_in_data, release_in_done;
  iu_error why;
} client;

static void release(client *k) {
  iu__http_release(k->http);
  k->http = NULL;
}

static void on_data(void *ud, iu_http *h, const uint8_t *bytes, size_t len) {
  client *k = ud;
  (void)h;
  (void)bytes;
  k->pieces++;
  k->bytes += len;
  if (k->release_in_data) release(k);
}

static void on_done(void *ud, iu_http *h, const iu_error *err, const iu_http_answer *a) {
  client *k = ud;
  (void)h;
  k->done++;
  k->status = a->status;
  k->body_len = a->body_len;
  snprintf(k->body, sizeof k->body, "%.*s", (int)(a->body_len < sizeof k->body ? a->body_len : sizeof k->body - 1), a->body_len != 0 ? (const char *)a->body : "");
  snprintf(k->type, sizeof k->type, "%s", a->content_type);
  snprintf(k->identity, sizeof k->identity, "%s", a->identity);
  snprintf(k->token, sizeof k->token, "%s", a->token);
  k->failed = err != NULL;
  if (err != NULL) k->why = *err;
  if (k->release_in_done) release(k);
}

static void client_start(client *k) {
  iu_error err;
  memset(k, 0, sizeof *k);
  assert_int_equal(iu__loop_new(NULL, &k->loop, &err), IU_OK);
}
static void client_request(client *k, const peer *p, iu_http_config config) {
  char url[64];
  iu_error err;
  snprintf(url, sizeof url, "%s://127.0.0.1:%u/v1/x?y=z", p->tls != NULL ? "https" : "http", p->port);
  config.url = url;
  config.ud = k;
  config.on_done = on_done;
  if (iu__http_start(k->loop, &config, &k->http, &err) != IU_OK) fail_msg("%s", err.message);
}
static void client_stop(client *k) {
  release(k);
  assert_true(comes_to_rest(k->loop));
  iu__loop_free(k->loop);
}

/* Repeats the request's line and body. */
static void mirror_script(peer_conn *c) {
  const char *length;
  char head[512], *body;
  size_t len;
  if (!conn_head(c)) return;
  length = strcasestr(c->head, "content-length: ");
  len = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
  body = malloc(len + 1);
  if (body != NULL && conn_recv(c, body, len)) {
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nspacetime-identity: id\r\nSpacetime-Identity-Token: tok\r\nContent-Length: %zu\r\n\r\n%.20s|",
             len + 21, c->head);
    conn_text(c, head);
    conn_send(c, body, len);
    conn_drain(c);
  }
  free(body);
}

static void requests_carry_method_headers_and_body(void **state) {
  static const size_t sizes[] = {0, 1, 70000, 9u * MEBI};
  uint8_t *bytes = malloc(9u * MEBI);
  (void)state;
  assert_non_null(bytes);
  memset(bytes, 'b', 9u * MEBI);
  for (size_t i = 0; i < 4; i++) {
    peer p;
    client k;
    peer_start(&p, mirror_script);
    client_start(&k);
    client_request(&k, &p, (iu_http_config){.method = "PUT", .body = bytes, .body_len = sizes[i]});
    assert_int_equal(k.done, 0);
    assert_true(turn_until(k.loop, &k.done, 1));
    if (k.failed) fail_msg("%s", k.why.message);
    assert_int_equal(k.status, 200);
    assert_int_equal(k.body_len, sizes[i] + 21);
    assert_memory_equal(k.body, "PUT /v1/x?y=z HTTP/1|", 21);
    assert_string_equal(k.type, "text/x");
    assert_string_equal(k.identity, "id");
    assert_string_equal(k.token, "tok");
    client_stop(&k);
    assert_int_equal(k.done, 1);
    peer_stop(&p);
  }
  free(bytes);
}

typedef struct answer { const char *text; int status; const char *body, *error; bool cut; } answer;
static void answer_script(peer_conn *c) {
  const answer *a = c->p->arg;
  if (!conn_head(c)) return;
  for (const char *p = a->text; *p != '\0'; p++) { /* byte for byte, the last one on its own */
    if (p[1] == '\0') usleep(20000);
    conn_send(c, p, 1);
  }
  if (a->cut) shutdown(c->fd, SHUT_WR);
  conn_drain(c);
}
static void every_end_of_an_answer_is_told_apart(void **state) {
  static const answer answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", NULL, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", NULL, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", NULL, false},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", 404, "nope", NULL, false},
    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 1\r\n\r\nx", 302, "x", NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, "hello!", NULL, false},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", NULL, true},
    {"HTTP/1.0 200 OK\r\n\r\nold", 200, "old", NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", 200, "half", "cut in the middle", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 200, "hel", "cut in the middle", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 200, "hello", "cut in the middle", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", 200, "", "cut in the middle", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff0\r\nhello", 200, "", "", false},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 101, "", "not asked for", false},
    {"HTTP/1.1 200 O", 0, "", "before an answer", true},
    {"", 0, "", "before an answer", true},
  };
  (void)state;
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    const answer *a = &answers[i];
    peer p;
    client k;
    peer_start_with(&p, answer_script, (void *)(uintptr_t)a);
    client_start(&k);
    client_request(&k, &p, (iu_http_config){.timeout_ms = 5000});
    assert_true(turn_until(k.loop, &k.done, 1));
    if (k.failed != (a->error != NULL) || (a->error != NULL && strstr(k.why.message, a->error) == NULL)) fail_msg("%zu: %s", i, k.failed ? k.why.message : "no error");
    assert_int_equal(k.status, a->status);
    if (*a->body != '\0') assert_string_equal(k.body, a->body);
    client_stop(&k);
    assert_int_equal(k.done, 1);
    peer_stop(&p);
  }
}

static void endless_script(peer_conn *c) {
  char bytes[1000];
  memset(bytes, '\n', sizeof bytes);
  if (!conn_head(c) || !conn_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")) return;
  while (conn_text(c, "3e8\r\n") && conn_send(c, bytes, sizeof bytes) && conn_text(c, "\r\n")) usleep(c->p->arg != NULL ? 0 : 2000);
}
static void a_body_over_the_cap_fails(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start_with(&p, endless_script, &p);
  client_start(&k);
  client_request(&k, &p, (iu_http_config){.max_body = 100000});
  assert_true(turn_until(k.loop, &k.done, 1));
  assert_int_equal(k.why.status, IU_E_OVERLOADED);
  assert_true(k.body_len <= 100000);
  client_stop(&k);
  peer_stop(&p);
}

static void a_log_that_follows_has_no_deadline_after_its_head(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start(&p, endless_script);
  client_start(&k);
  client_request(&k, &p, (iu_http_config){.on_data = on_data, .max_body = 10});
  assert_true(turn_until(k.loop, &k.pieces, 20));
  assert_int_equal(k.done, 0);
  assert_true(k.bytes > 1000);
  k.release_in_data = true; /* in the callback */
  while (k.http != NULL) iu__loop_turn(k.loop, 50);
  client_stop(&k);
  assert_int_equal(k.done, 0);
  peer_stop(&p);
}

static void silent_script(peer_conn *c) {
  conn_head(c);
  if (c->p->arg != NULL) conn_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
  conn_drain(c);
}
static void the_whole_request_has_a_deadline(void **state) {
  (void)state;
  for (int with_head = 0; with_head < 2; with_head++) {
    peer p;
    client k;
    uint64_t start = iu__clock_mono_ns();
    peer_start_with(&p, silent_script, with_head ? &p : NULL);
    client_start(&k);
    client_request(&k, &p, (iu_http_config){.timeout_ms = 120});
    assert_true(turn_until(k.loop, &k.done, 1));
    assert_int_equal(k.why.status, IU_E_TIMEOUT);
    assert_int_equal(k.status, with_head ? 200 : 0);
    assert_true(iu__clock_mono_ns() - start >= 119 * MS);
    client_stop(&k);
    peer_stop(&p);
  }
}

static void nobody_listening_is_told_and_nothing_stays(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start(&p, conn_drain);
  peer_stop(&p);
  client_start(&k);
  for (int i = 1; i <= 20; i++) {
    client_request(&k, &p, (iu_http_config){0});
    assert_true(turn_until(k.loop, &k.done, i));
    assert_int_equal(k.why.status, IU_E_CONNECTION);
    release(&k);
    assert_true(comes_to_rest(k.loop));
  }
  client_stop(&k);
}

static void wrong_requests_fail_at_once(void **state) {
  client k;
  iu_error err;
  iu_http_config config = {.url = "ws://x/", .on_done = on_done};
  (void)state;
  client_start(&k);
  assert_int_equal(iu__http_start(k.loop, &config, &k.http, &err), IU_E_VALIDATION);
  config.url = "http://x/";
  config.method = "BREW";
  assert_int_equal(iu__http_start(k.loop, &config, &k.http, &err), IU_E_VALIDATION);
  assert_null(k.http);
  client_stop(&k);
}

static void https_works_and_checks_the_certificate(void **state) {
  char path[] = "/tmp/iu_net_XXXXXX";
  SSL_CTX *tls = peer_tls(path, "DNS:localhost,IP:127.0.0.1");
  uint8_t *bytes = calloc(1, 2u * MEBI);
  (void)state;
  assert_non_null(bytes);
  for (int trusted = 0; trusted < 2; trusted++) {
    peer p;
    client k;
    peer_start_on(&p, mirror_script, 1, false, tls, NULL);
    client_start(&k);
    client_request(&k, &p, (iu_http_config){.method = "POST", .body = bytes, .body_len = 2u * MEBI, .tls = {.ca_file = trusted ? path : NULL}});
    assert_true(turn_until(k.loop, &k.done, 1));
    if (trusted) assert_int_equal(k.body_len, 2u * MEBI + 21);
    else assert_non_null(strstr(k.why.message, "certificate"));
    client_stop(&k);
    peer_stop(&p);
  }
  free(bytes);
  SSL_CTX_free(tls);
  unlink(path);
}

static void it_may_be_released_when_done_and_at_any_moment(void **state) {
  peer p;
  (void)state;
  peer_start_on(&p, mirror_script, 16, false, NULL, NULL);
  for (int turns = 0; turns < 16; turns++) {
    client k;
    client_start(&k);
    k.release_in_done = true;
    client_request(&k, &p, (iu_http_config){0});
    for (int i = 0; i < turns && k.http != NULL; i++) iu__loop_turn(k.loop, 5);
    client_stop(&k);
  }
  peer_stop(&p);
}

static void every_failing_allocation_is_told(void **state) {
#ifdef IU_ERRINJ
  int failed = 0, passed = 0;
  (void)state;
  for (long after = 0; after < 40; after++) {
    peer p;
    client k;
    iu_error err;
    char url[64];
    iu_http_config config = {.url = url, .on_done = on_done, .ud = &k, .body = "abc", .body_len = 3, .method = "POST"};
    peer_start(&p, mirror_script);
    client_start(&k);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/x?y=z", p.port);
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    if (iu__http_start(k.loop, &config, &k.http, &err) != IU_OK) {
      assert_int_equal(err.status, IU_E_NOMEM);
      failed++;
    } else {
      assert_true(turn_until(k.loop, &k.done, 1));
      if (k.failed) assert_true(k.why.status == IU_E_NOMEM);
      failed += k.failed;
      passed += !k.failed;
    }
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    client_stop(&k);
    peer_stop(&p);
  }
  print_message("%d failed, %d went through\n", failed, passed);
  assert_true(failed >= 6);
  assert_true(passed > 0);
#else
  (void)state;
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(requests_carry_method_headers_and_body),
    cmocka_unit_test(every_end_of_an_answer_is_told_apart),
    cmocka_unit_test(a_body_over_the_cap_fails),
    cmocka_unit_test(a_log_that_follows_has_no_deadline_after_its_head),
    cmocka_unit_test(the_whole_request_has_a_deadline),
    cmocka_unit_test(nobody_listening_is_told_and_nothing_stays),
    cmocka_unit_test(wrong_requests_fail_at_once),
    cmocka_unit_test(https_works_and_checks_the_certificate),
    cmocka_unit_test(it_may_be_released_when_done_and_at_any_moment),
    cmocka_unit_test(every_failing_allocation_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
