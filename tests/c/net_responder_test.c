/* The small HTTP server: what it answers, what it refuses, its bounds in connections, bytes and time, late answers, releases, addresses, memory. The clients are
 * sockets of this thread, read between two turns of the loop. */
#include "net_fixture.h"

#include <errno.h>
#include "../../core/net/responder.h"

#define LONG_MS 20000

typedef struct served {
  iu_loop *loop;
  iu_responder *r;
  int asked, answered;
  uint64_t request;
  char path[256];
  const char *body, *type;
  size_t body_len;
  int status;
  bool later, release;
} served;

static void on_request(void *ud, iu_responder *r, uint64_t request, const char *path, size_t len) {
  served *s = ud;
  s->asked++;
  s->request = request;
  snprintf(s->path, sizeof s->path, "%.*s", (int)len, path);
  if (s->release) {
    iu__responder_release(r);
    s->r = NULL;
    return;
  }
  if (!s->later) s->answered += iu__responder_answer(r, request, s->status, s->type, s->body, s->body_len);
}

static iu_status serve(served *s, iu_responder_config config, iu_error *err) {
  memset(s, 0, sizeof *s);
  assert_int_equal(iu__loop_new(NULL, &s->loop, err), IU_OK);
  s->status = 200;
  s->type = "text/plain; version=0.0.4";
  s->body = "hello\n";
  s->body_len = 6;
  if (config.address == NULL) config.address = "127.0.0.1";
  if (config.connections_max == 0) config.connections_max = 4;
  if (config.request_bytes_max == 0) config.request_bytes_max = 1024;
  if (config.timeout_ms == 0) config.timeout_ms = LONG_MS;
  config.ud = s;
  config.on_request = on_request;
  return iu__responder_start(s->loop, &config, &s->r, err);
}

static void start(served *s, iu_responder_config config) {
  iu_error err;
  if (serve(s, config, &err) != IU_OK) fail_msg("%s", err.message);
}

static void stop(served *s) {
  iu__responder_release(s->r);
  iu__loop_free(s->loop);
}

static int client_to(uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}
static int client(const served *s) { return client_to(iu__responder_port(s->r)); }

static void say(int fd, const char *text) { assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text)); }

/* All that comes until the server closes, or is cut; "" of a connection that was reset without a word. Closes. */
static char *hear(served *s, int fd) {
  static char text[1 << 20];
  size_t len = 0;
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  for (;;) {
    ssize_t n = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT);
    if (n > 0) len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) break;
    else {
      assert_true(iu__clock_mono_ns() < limit);
      iu__loop_turn(s->loop, 5);
    }
  }
  close(fd);
  text[len] = '\0';
  return text;
}

static char *ask(served *s, const char *request) {
  int fd = client(s);
  say(fd, request);
  return hear(s, fd);
}

static void comes(served *s, uint32_t connections) {
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  while (iu__responder_connections(s->r) != connections) {
    assert_true(iu__clock_mono_ns() < limit);
    iu__loop_turn(s->loop, 5);
  }
}

static void a_request_is_told_and_answered(void **state) {
  served s;
  (void)state;
  start(&s, (iu_responder_config){0});
  assert_string_equal(ask(&s, "GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"),
                      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 6\r\nConnection: close\r\n"
                      "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\nhello\n");
  assert_string_equal(s.path, "/metrics?x=1");
  char *head = ask(&s, "HEAD / HTTP/1.0\r\n\r\n");
  assert_non_null(strstr(head, "Content-Length: 6\r\n"));
  assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
  s.status = 404;
  s.type = "bad\r\nSet-Cookie: x";
  assert_non_null(strstr(ask(&s, "GET / HTTP/1.1\r\n\r\n"), "404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"));
  assert_int_equal(s.asked, 3);
  stop(&s);
}

static void what_is_no_request_is_refused_and_not_told(void **state) {
  served s;
  (void)state;
  start(&s, (iu_responder_config){0});
  assert_non_null(strstr(ask(&s, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), "HTTP/1.1 405 Method Not Allowed\r\n"));
  assert_non_null(strstr(ask(&s, "PUT / HTTP/1.1\r\n\r\n"), "Allow: GET, HEAD\r\n"));
  assert_non_null(strstr(ask(&s, "\x16\x03\x01 tls\r\n\r\n"), "HTTP/1.1 400 "));
  assert_non_null(strstr(ask(&s, "GET / HTTP/3.0\r\n\r\n"), "HTTP/1.1 505 "));
  assert_non_null(strstr(ask(&s, "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), "HTTP/1.1 413 "));
  assert_int_equal(s.asked, 0);
  stop(&s);
}

static void a_request_that_comes_byte_by_byte_is_one(void **state) {
  static const char request[] = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n";
  served s;
  (void)state;
  start(&s, (iu_responder_config){0});
  int fd = client(&s);
  for (size_t i = 0; i + 1 < sizeof request; i++) {
    assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
    iu__loop_turn(s.loop, 1);
    assert_int_equal(s.asked, i + 2 == sizeof request ? s.asked : 0);
  }
  assert_non_null(strstr(hear(&s, fd), "hello\n"));
  assert_int_equal(s.asked, 1);
  fd = client(&s); /* and one that closes its half at once is answered all the same */
  say(fd, request);
  shutdown(fd, SHUT_WR);
  assert_non_null(strstr(hear(&s, fd), "hello\n"));
  comes(&s, 0);
  stop(&s);
}

static void a_head_over_the_cap_is_refused(void **state) {
  served s;
  char text[3000];
  (void)state;
  start(&s, (iu_responder_config){.request_bytes_max = 1024});
  memset(text, 'x', sizeof text);
  memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
  memcpy(text + 1020, "\r\n\r\n", 5);
  assert_non_null(strstr(ask(&s, text), "200 OK")); /* exactly the cap */
  memset(text, 'x', sizeof text);
  memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
  memcpy(text + sizeof text - 5, "\r\n\r\n", 5);
  assert_non_null(strstr(ask(&s, text), "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
  assert_int_equal(s.asked, 1);
  stop(&s);
}

static void connections_over_the_cap_are_turned_away(void **state) {
  served s;
  int held[4];
  (void)state;
  start(&s, (iu_responder_config){.connections_max = 4});
  for (int i = 0; i < 4; i++) held[i] = client(&s);
  comes(&s, 4);
  int more[8];
  for (int i = 0; i < 8; i++) more[i] = client(&s); /* several in one turn */
  for (int i = 0; i < 8; i++) assert_non_null(strstr(hear(&s, more[i]), "HTTP/1.1 503 "));
  close(held[0]);
  comes(&s, 3);
  assert_non_null(strstr(ask(&s, "GET / HTTP/1.1\r\n\r\n"), "hello\n"));
  for (int i = 1; i < 4; i++) close(held[i]);
  comes(&s, 0);
  stop(&s);
}

static void an_exchange_ends_after_its_time(void **state) {
  served s;
  (void)state;
  start(&s, (iu_responder_config){.timeout_ms = 30});
  assert_string_equal(ask(&s, "GET / HTT"), ""); /* never whole */
  s.later = true;
  assert_string_equal(ask(&s, "GET / HTTP/1.1\r\n\r\n"), ""); /* never answered */
  assert_false(iu__responder_answer(s.r, s.request, 200, NULL, "x", 1));
  s.later = false;
  char *large = calloc(1, 16 << 20);
  s.body = large;
  s.body_len = 16 << 20;
  int fd = client(&s); /* never read */
  say(fd, "GET / HTTP/1.1\r\n\r\n");
  comes(&s, 1);
  comes(&s, 0);
  close(fd);
  free(large);
  stop(&s);
}

static void an_answer_may_come_later_and_only_once(void **state) {
  served s;
  (void)state;
  start(&s, (iu_responder_config){0});
  s.later = true;
  int fd = client(&s);
  say(fd, "GET / HTTP/1.1\r\n\r\nand more that nobody reads");
  assert_true(turn_until(s.loop, &s.asked, 1));
  assert_false(iu__responder_answer(s.r, s.request + 1, 200, NULL, "x", 1));
  assert_true(iu__responder_answer(s.r, s.request, 200, NULL, "late", 4));
  assert_false(iu__responder_answer(s.r, s.request, 200, NULL, "again", 5));
  assert_non_null(strstr(hear(&s, fd), "\r\n\r\nlate"));
  stop(&s);
}

static void a_large_answer_arrives_whole_and_one_over_the_cap_does_not(void **state) {
  served s;
  size_t large = 900 * 1024;
  (void)state;
  start(&s, (iu_responder_config){0});
  char *body = malloc(IU_RESPONDER_ANSWER_BYTES_MAX + 1);
  memset(body, 'y', IU_RESPONDER_ANSWER_BYTES_MAX + 1);
  s.body = body;
  s.body_len = large;
  char *text = ask(&s, "GET / HTTP/1.1\r\n\r\n");
  assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), large);
  s.body_len = (size_t)IU_RESPONDER_ANSWER_BYTES_MAX + 1;
  assert_non_null(strstr(ask(&s, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 500 "));
  free(body);
  stop(&s);
}

static void a_release_cuts_what_is_open_also_in_the_callback(void **state) {
  served s;
  (void)state;
  start(&s, (iu_responder_config){0});
  int open = client(&s), asking = client(&s);
  comes(&s, 2);
  s.release = true;
  say(asking, "GET / HTTP/1.1\r\n\r\n");
  assert_true(turn_until(s.loop, &s.asked, 1));
  assert_string_equal(hear(&s, asking), "");
  assert_string_equal(hear(&s, open), "");
  stop(&s);
}

static void it_does_not_keep_the_loop_waiting(void **state) {
  served s;
  (void)state;
  start(&s, (iu_responder_config){0});
  assert_true(comes_to_rest(s.loop));
  int fd = client(&s);
  comes(&s, 1);
  assert_true(comes_to_rest(s.loop));
  close(fd);
  stop(&s);
}

static void addresses_are_numbers_and_ports_are_free(void **state) {
  served s, other;
  iu_error err;
  (void)state;
  assert_int_equal(serve(&s, (iu_responder_config){.address = "localhost"}, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "localhost"));
  iu__loop_free(s.loop);
  assert_int_equal(serve(&s, (iu_responder_config){.connections_max = IU_RESPONDER_CONNECTIONS_MAX + 1}, &err), IU_E_VALIDATION);
  iu__loop_free(s.loop);
  assert_int_equal(serve(&s, (iu_responder_config){.request_bytes_max = IU_RESPONDER_REQUEST_BYTES_MAX + 1}, &err), IU_E_VALIDATION);
  iu__loop_free(s.loop);
  start(&s, (iu_responder_config){0});
  assert_true(iu__responder_port(s.r) > 0);
  assert_int_equal(serve(&other, (iu_responder_config){.port = iu__responder_port(s.r)}, &err), IU_E_CONNECTION);
  assert_non_null(strstr(err.message, "in use"));
  iu__loop_free(other.loop);
  if (serve(&other, (iu_responder_config){.address = "::1"}, &err) == IU_OK) assert_true(iu__responder_port(other.r) > 0); /* where there is IPv6 */
  stop(&other);
  stop(&s);
}

static void refused_memory_is_an_error_or_a_refusal(void **state) {
  served s;
  iu_error err;
  (void)state;
  start(&s, (iu_responder_config){0});
  iu__responder_release(s.r);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_int_equal(iu__responder_start(s.loop, &(iu_responder_config){.address = "127.0.0.1", .connections_max = 1, .request_bytes_max = 64, .timeout_ms = 1},
                                       &s.r, &err), IU_E_NOMEM);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  iu__loop_free(s.loop);
  start(&s, (iu_responder_config){0});
  int fd = client(&s);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0); /* the connection */
  assert_non_null(strstr(hear(&s, fd), "HTTP/1.1 503 "));
  fd = client(&s);
  comes(&s, 1);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0); /* the answer */
  say(fd, "GET / HTTP/1.1\r\n\r\n");
  assert_string_equal(hear(&s, fd), "");
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_non_null(strstr(ask(&s, "GET / HTTP/1.1\r\n\r\n"), "hello\n"));
  stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_told_and_answered),
      cmocka_unit_test(what_is_no_request_is_refused_and_not_told),
      cmocka_unit_test(a_request_that_comes_byte_by_byte_is_one),
      cmocka_unit_test(a_head_over_the_cap_is_refused),
      cmocka_unit_test(connections_over_the_cap_are_turned_away),
      cmocka_unit_test(an_exchange_ends_after_its_time),
      cmocka_unit_test(an_answer_may_come_later_and_only_once),
      cmocka_unit_test(a_large_answer_arrives_whole_and_one_over_the_cap_does_not),
      cmocka_unit_test(a_release_cuts_what_is_open_also_in_the_callback),
      cmocka_unit_test(it_does_not_keep_the_loop_waiting),
      cmocka_unit_test(addresses_are_numbers_and_ports_are_free),
      cmocka_unit_test(refused_memory_is_an_error_or_a_refusal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
