/* The WebSocket client against a scripted peer: the upgrade and its refusals, messages in every shape, control frames, caps, backpressure, timeouts,
 * TLS, releases inside callbacks, the host's loop, failing allocations. */
#include "net_fixture.h"

#include "../../core/net/lws_context.h"

#define MEBI (1024u * 1024u)

typedef struct client {
  iu_loop *loop;
  iu_ws *ws;
  int opened, messages, closed, oversized, parts;
  size_t bytes, last_len;
  uint8_t last[256];
  bool last_text, keep_oversized, release_in_open, release_in_message, release_in_closed, pause_in_message;
  char protocol[64], header[64];
  iu_error why;
  int http_status;
  uint16_t code;
} client;

static void release(client *k) {
  iu__ws_release(k->ws);
  k->ws = NULL;
}

static void on_open(void *ud, iu_ws *ws, const char *protocol) {
  client *k = ud;
  k->opened++;
  snprintf(k->protocol, sizeof k->protocol, "%s", protocol);
  iu__ws_response_header(ws, "spacetime-identity:", k->header, sizeof k->header);
  if (k->release_in_open) release(k);
}

static void on_message(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len, bool text) {
  client *k = ud;
  k->messages++;
  k->bytes += len;
  k->last_len = len;
  if (len != 0) memcpy(k->last, bytes, len < sizeof k->last ? len : sizeof k->last);
  k->last_text = text;
  if (k->pause_in_message) iu__ws_pause(ws, true);
  if (k->release_in_message) release(k);
}

static bool on_oversize(void *ud, iu_ws *ws, const uint8_t *head, size_t len, bool text) {
  client *k = ud;
  (void)ws;
  (void)text;
  k->oversized++;
  k->last_len = len;
  if (len != 0) memcpy(k->last, head, len < sizeof k->last ? len : sizeof k->last);
  return k->keep_oversized;
}

static void on_closed(void *ud, iu_ws *ws, const iu_error *why, int http_status, uint16_t code) {
  client *k = ud;
  (void)ws;
  k->closed++;
  k->why = *why;
  k->http_status = http_status;
  k->code = code;
  if (k->release_in_closed) release(k);
}

static const char *const offered[] = {"v2.test", "v1.test"};

static iu_ws_config base_config(client *k, const char *url) {
  return (iu_ws_config){.url = url, .protocols = offered, .protocol_count = 2, .ud = k, .on_open = on_open, .on_message = on_message, .on_closed = on_closed};
}

static void client_start(client *k) {
  iu_error err;
  memset(k, 0, sizeof *k);
  assert_int_equal(iu__loop_new(NULL, &k->loop, &err), IU_OK);
}
static void client_connect(client *k, const iu_ws_config *config) {
  iu_error err;
  if (iu__ws_connect(k->loop, config, &k->ws, &err) != IU_OK) fail_msg("%s", err.message);
}
static void client_open(client *k, const peer *p) {
  char url[64];
  iu_ws_config config;
  client_start(k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/path?q=1", p->port);
  config = base_config(k, url);
  client_connect(k, &config);
}
static void client_stop(client *k) {
  release(k);
  assert_true(comes_to_rest(k->loop));
  iu__loop_free(k->loop);
}

#define CHOSEN "Sec-WebSocket-Protocol: v1.test\r\n"

/* ---- opening ---- */

static void open_script(peer_conn *c) {
  char *at;
  if (!conn_upgrade(c, CHOSEN "spacetime-identity: abc\r\n")) return;
  at = c->head;
  if (strncmp(at, "GET /path?q=1 HTTP/1.1\r\n", 24) != 0 || strstr(at, "Host: 127.0.0.1:") == NULL || strstr(at, "Authorization: Bearer x") == NULL ||
      strstr(at, "Sec-WebSocket-Protocol: v2.test, v1.test\r\n") == NULL || strcasestr(at, "close") != NULL || strstr(at, "Connection: Upgrade\r\n") == NULL)
    return; /* the client sees a cut */
  conn_frame(c, true, 1, "ok", 2);
  conn_drain(c);
}

static void it_opens_with_its_headers_and_the_chosen_protocol(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  iu_header header = {"Authorization", "Bearer x"};
  (void)state;
  peer_start(&p, open_script);
  client_start(&k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/path?q=1#gone", p.port);
  config = base_config(&k, url);
  config.headers = &header;
  config.header_count = 1;
  client_connect(&k, &config);
  assert_int_equal(k.opened + k.closed, 0); /* nothing inside the call */
  assert_true(turn_until(k.loop, &k.messages, 1));
  assert_string_equal(k.protocol, "v1.test");
  assert_string_equal(k.header, "abc");
  assert_true(k.last_text);
  client_stop(&k);
  assert_int_equal(k.closed, 0); /* released, not closed */
  peer_stop(&p);
}

typedef struct refusal { const char *answer, *message; int http_status; iu_status status; } refusal;
static void answer_script(peer_conn *c) {
  if (conn_head(c)) conn_text(c, ((const refusal *)c->p->arg)->answer);
  conn_drain(c); /* leaves the closing to the client */
}

static void a_refused_upgrade_tells_status_and_body(void **state) {
  static const refusal refusals[] = {
    {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 13\r\n\r\nInvalid token", "HTTP 401: Invalid token", 401, IU_E_AUTHORIZATION},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404", 404, IU_E_CONNECTION},
    {"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nno v\r\n3\r\nali\r\n0\r\n\r\n", "HTTP 400: no vali", 400, IU_E_CONNECTION},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP 200: hi", 200, IU_E_CONNECTION},
    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "HTTP 302", 302, IU_E_CONNECTION},
    {"HTTP/1.1 500 X\r\nContent-Length: 99\r\n\r\nhalf", "HTTP 500: half", 500, IU_E_CONNECTION}, /* the rest never comes */
    {"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n", "Sec-WebSocket-Accept", 0, IU_E_CONNECTION},
    {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", "Connection", 0, IU_E_CONNECTION},
  };
  (void)state;
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    peer p;
    client k;
    peer_start_with(&p, answer_script, (void *)(uintptr_t)&refusals[i]);
    client_open(&k, &p);
    assert_true(turn_until(k.loop, &k.closed, 1));
    if (strstr(k.why.message, refusals[i].message) == NULL) fail_msg("%zu: %s", i, k.why.message);
    assert_int_equal(k.http_status, refusals[i].http_status);
    assert_int_equal(k.why.status, refusals[i].status);
    assert_int_equal(k.opened, 0);
    client_stop(&k);
    assert_int_equal(k.closed, 1);
    peer_stop(&p);
  }
}

static void protocol_script(peer_conn *c) {
  conn_upgrade(c, c->p->arg);
  conn_drain(c);
}
static void a_protocol_or_extension_that_was_not_offered_is_refused(void **state) {
  static const char *const lines[] = {"", "Sec-WebSocket-Protocol: v9.test\r\n", CHOSEN "Sec-WebSocket-Extensions: permessage-deflate\r\n"};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    peer p;
    client k;
    peer_start_with(&p, protocol_script, (void *)(uintptr_t)lines[i]);
    client_open(&k, &p);
    assert_true(turn_until(k.loop, &k.closed, 1));
    assert_non_null(strstr(k.why.message, "WebSocket upgrade has"));
    client_stop(&k);
    peer_stop(&p);
  }
}

static void it_says_why_it_could_not_connect(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start(&p, conn_drain);
  peer_stop(&p); /* a port that nobody listens on */
  for (int i = 0; i < 3; i++) { /* several times: nothing is left of a failed one */
    client_open(&k, &p);
    assert_true(turn_until(k.loop, &k.closed, 1));
    assert_int_equal(k.why.status, IU_E_CONNECTION);
    assert_non_null(strstr(k.why.message, "refused"));
    client_stop(&k);
  }
  for (int i = 0; i < 2; i++) {
    iu_ws_config config;
    client_start(&k);
    config = base_config(&k, "ws://no-such-host.invalid/");
    client_connect(&k, &config);
    assert_true(turn_until(k.loop, &k.closed, i == 0));
    if (i == 0) assert_non_null(strstr(k.why.message, "name not found"));
    client_stop(&k); /* the second time while it is being looked up */
  }
}

static void wrong_configurations_fail_at_once(void **state) {
  static const char *const urls[] = {"", "localhost:3000", "ftp://x/", "http://127.0.0.1/", "ws://", "ws://:80/", "ws://a:b@c/", "ws://x:0/", "ws://x:70000/",
                                     "ws://x:1x/", "ws://[::1/", "ws://[::1]x/", "ws://x/a b", "ws://x/\r\nHost: y", "ws://x/\xc3\xa4"};
  iu_header bad[] = {{"A", "b\r\nC: d"}, {"A:", "b"}, {"", "b"}, {"A b", "c"}};
  char longer[3000] = "ws://x/", large[32u * 1024u + 1] = "";
  const char *nine[IU_WS_PROTOCOLS_MAX + 1];
  client k;
  iu_error err;
  iu_ws_config config;
  (void)state;
  client_start(&k);
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    config = base_config(&k, urls[i]);
    iu__error_clear(&err);
    assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
    assert_null(k.ws);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    config = base_config(&k, "ws://127.0.0.1:1/");
    config.headers = &bad[i];
    config.header_count = 1;
    assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
  }
  memset(longer + 7, 'x', 1900);
  config = base_config(&k, longer);
  assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
  memset(longer + 5, 'h', 101);
  assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
  config = base_config(&k, "ws://127.0.0.1:1/");
  memset(large, 'v', 32u * 1024u);
  bad[0] = (iu_header){"A", large};
  config.headers = bad;
  config.header_count = 1;
  assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
  config = base_config(&k, "ws://127.0.0.1:1/");
  for (int i = 0; i <= (int)IU_WS_PROTOCOLS_MAX; i++) nine[i] = "p";
  config.protocols = nine;
  config.protocol_count = IU_WS_PROTOCOLS_MAX + 1;
  assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
  config = base_config(&k, "wss://localhost/");
  config.tls.ca_file = "/no/such/file";
  assert_int_equal(iu__ws_connect(k.loop, &config, &k.ws, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "/no/such/file"));
  client_stop(&k);
}

/* ---- messages ---- */

static void shapes_script(peer_conn *c) {
  static const uint8_t big[70000] = {1, 2, 3};
  uint8_t bytes[512], head[10];
  size_t n = 0;
  if (!conn_upgrade(c, CHOSEN)) return;
  conn_frame(c, true, 2, "", 0);
  conn_frame(c, true, 2, big, 125);
  conn_frame(c, true, 2, big, 126);
  conn_frame(c, true, 2, big, 65535);
  conn_frame(c, true, 2, big, sizeof big);
  conn_frame(c, false, 1, "He", 2); /* in fragments, empty ones among them, with a ping between */
  conn_frame(c, false, 0, "", 0);
  conn_frame(c, true, 9, "ping", 4);
  conn_frame(c, false, 0, "ll", 2);
  conn_frame(c, true, 0, "o", 1);
  n = frame_head(head, true, 2, 300); /* byte for byte */
  memset(bytes, 'b', 300);
  for (size_t i = 0; i < n; i++) conn_send(c, head + i, 1);
  for (size_t i = 0; i < 300; i++) conn_send(c, bytes + i, 1);
  for (int i = 0; i < 4096; i++) conn_frame(c, i == 4095, i == 0 ? 2 : 0, big, 16);
  conn_frame(c, true, 1, "end", 3);
  for (;;) { /* the pong */
    int opcode;
    if (!conn_read_frame(c, &opcode, bytes, sizeof bytes, &n)) return;
    if (opcode == 10 && n == 4 && memcmp(bytes, "ping", 4) == 0) break;
  }
  conn_frame(c, true, 2, "pong", 4);
  conn_drain(c);
}

static void messages_of_every_shape_arrive_whole(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start(&p, shapes_script);
  client_open(&k, &p);
  assert_true(turn_until(k.loop, &k.messages, 10));
  assert_int_equal(k.messages, 10);
  assert_int_equal(k.bytes, 0 + 125 + 126 + 65535 + 70000 + 5 + 300 + 65536 + 3 + 4);
  assert_memory_equal(k.last, "pong", 4);
  assert_false(k.last_text);
  client_stop(&k);
  peer_stop(&p);
}

static void huge_script(peer_conn *c) {
  size_t len = 21u * MEBI;
  uint8_t *bytes = calloc(1, len);
  if (bytes == NULL || !conn_upgrade(c, CHOSEN)) { free(bytes); return; }
  bytes[0] = 7;
  conn_frame(c, true, 2, bytes, len);
  free(bytes);
  conn_drain(c);
}
static void a_message_of_21_mebibytes_in_one_frame_arrives(void **state) {
  peer p;
  client k;
  uint64_t start = iu__clock_mono_ns();
  (void)state;
  peer_start(&p, huge_script);
  client_open(&k, &p);
  assert_true(turn_until(k.loop, &k.messages, 1));
  assert_int_equal(k.last_len, 21u * MEBI);
  assert_int_equal(k.last[0], 7);
  print_message("21 MiB in %.1f ms\n", (double)(iu__clock_mono_ns() - start) / 1e6);
  client_stop(&k);
  peer_stop(&p);
}

static void on_part(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len) {
  client *k = ud;
  (void)ws;
  assert_int_equal(k->messages, 0);
  assert_true(len >= k->last_len + IU_WS_PART);
  assert_int_equal(bytes[0], 7);
  assert_int_equal(bytes[len - 1], 0);
  k->parts++;
  k->last_len = len;
}
static void a_message_is_shown_while_it_comes(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  (void)state;
  peer_start(&p, huge_script);
  client_start(&k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  config = base_config(&k, url);
  config.on_part = on_part;
  client_connect(&k, &config);
  assert_true(turn_until(k.loop, &k.messages, 1));
  assert_int_equal(k.last_len, 21u * MEBI);
  assert_true(k.parts > 21 && (size_t)k.parts <= 21u * MEBI / IU_WS_PART);
  client_stop(&k);
  peer_stop(&p);
}

/* Reads what the client sends, late, and answers with how much it was. */
static void sink_script(peer_conn *c) {
  uint8_t *bytes = malloc(40u * MEBI), sum = 0;
  size_t n, total = 0;
  int opcode, count = 0;
  if (bytes != NULL && conn_upgrade(c, CHOSEN)) {
    usleep(100000);
    while (count < 203 && conn_read_frame(c, &opcode, bytes, 40u * MEBI, &n)) {
      count++;
      total += n;
      for (size_t i = 0; i < n; i += 4096) sum ^= bytes[i];
    }
    snprintf((char *)bytes, 64, "%d %zu %u", count, total, sum);
    conn_frame(c, true, 1, bytes, strlen((char *)bytes));
    conn_drain(c);
  }
  free(bytes);
}
static void what_is_sent_arrives_however_large(void **state) {
  peer p;
  client k;
  iu_error err;
  uint8_t *bytes = calloc(1, 30u * MEBI);
  (void)state;
  assert_non_null(bytes);
  bytes[4096] = 5;
  peer_start(&p, sink_script);
  client_open(&k, &p);
  assert_int_equal(iu__ws_send(k.ws, "x", 1, false, &err), IU_E_CONNECTION); /* too early */
  assert_true(turn_until(k.loop, &k.opened, 1));
  for (int i = 0; i < 200; i++) assert_int_equal(iu__ws_send(k.ws, bytes, (size_t)i, false, &err), IU_OK);
  assert_int_equal(iu__ws_send(k.ws, NULL, 0, true, &err), IU_OK);
  assert_int_equal(iu__ws_send(k.ws, bytes, 70000, false, &err), IU_OK);
  assert_int_equal(iu__ws_send(k.ws, bytes, 30u * MEBI, false, &err), IU_OK);
  assert_true(iu__ws_queued(k.ws) > 30u * MEBI);
  assert_int_equal(iu__ws_send(k.ws, bytes, 30u * MEBI, false, &err), IU_OK);
  iu__ws_release(NULL);
  assert_int_equal(iu__ws_send(k.ws, bytes, 30u * MEBI, false, &err), IU_E_OVERLOADED);
  assert_true(turn_until(k.loop, &k.messages, 1));
  k.last[k.last_len] = '\0';
  assert_string_equal((char *)k.last, "203 31547180 0");
  free(bytes);
  client_stop(&k);
  peer_stop(&p);
}

static void over_script(peer_conn *c) {
  uint8_t *bytes = calloc(1, MEBI);
  if (bytes == NULL || !conn_upgrade(c, CHOSEN)) { free(bytes); return; }
  memcpy(bytes, "request 77", 10);
  conn_frame(c, true, 2, bytes, 10000);   /* exactly the cap */
  conn_frame(c, true, 2, bytes, MEBI);
  conn_frame(c, false, 2, bytes, 9000);   /* over it with the second fragment */
  conn_frame(c, true, 0, bytes, 1001);
  conn_frame(c, true, 1, "after", 5);
  free(bytes);
  conn_drain(c);
}
static void a_message_over_the_cap_closes_or_is_skipped(void **state) {
  (void)state;
  for (int mode = 0; mode < 3; mode++) { /* nobody asked; asked and refused; asked and skipped */
    peer p;
    client k;
    char url[64];
    iu_ws_config config;
    peer_start(&p, over_script);
    client_start(&k);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
    config = base_config(&k, url);
    config.max_message = 10000;
    if (mode > 0) config.on_oversize = on_oversize;
    k.keep_oversized = mode == 2;
    client_connect(&k, &config);
    if (mode < 2) {
      assert_true(turn_until(k.loop, &k.closed, 1));
      assert_int_equal(k.why.status, IU_E_OVERLOADED);
      assert_int_equal(k.messages, 1);
      assert_int_equal(k.oversized, mode);
      if (mode == 1) assert_memory_equal(k.last, "request 77", 10);
      if (mode == 1) assert_int_equal(k.last_len, IU_WS_OVERSIZE_HEAD);
    } else {
      assert_true(turn_until(k.loop, &k.messages, 2));
      assert_memory_equal(k.last, "after", 5);
      assert_int_equal(k.oversized, 2);
    }
    client_stop(&k);
    peer_stop(&p);
  }
}

static void many_script(peer_conn *c) {
  uint8_t *bytes = calloc(1, MEBI);
  bool ok = bytes != NULL && conn_upgrade(c, CHOSEN);
  for (int i = 0; ok && i < 100; i++) ok = conn_frame(c, true, 2, &i, 1);
  for (int i = 0; ok && i < 30; i++) ok = conn_frame(c, true, 2, bytes, MEBI);
  if (ok) conn_drain(c);
  free(bytes);
}
static void a_paused_socket_delivers_nothing_and_loses_nothing(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start(&p, many_script);
  client_open(&k, &p);
  k.pause_in_message = true;
  for (int i = 1; i <= 130; i++) {
    assert_true(turn_until(k.loop, &k.messages, i));
    assert_int_equal(k.messages, i);
    if (i % 26 == 0) turn_for(k.loop, 20);
    assert_int_equal(k.messages, i);
    if (i == 50) assert_int_equal(k.last[0], 49);
    iu__ws_pause(k.ws, false);
  }
  assert_int_equal(k.bytes, 100 + 30u * MEBI);
  assert_int_equal(k.closed, 0);
  client_stop(&k);
  peer_stop(&p);
}

/* ---- closing ---- */

static void close_script(peer_conn *c) {
  uint8_t bytes[256];
  size_t n = 0;
  int opcode = 0;
  bool answered;
  if (!conn_upgrade(c, CHOSEN)) return;
  conn_frame(c, true, 8, "\x03\xf5" "too many requests", 19);
  answered = conn_read_frame(c, &opcode, bytes, sizeof bytes, &n);
  *(int *)c->p->arg = answered && opcode == 8 && n == 2 && bytes[0] == 3 && bytes[1] == 0xf5;
}
static void the_servers_close_code_and_reason_are_told(void **state) {
  peer p;
  client k;
  int answered = 0;
  (void)state;
  peer_start_with(&p, close_script, &answered);
  client_open(&k, &p);
  assert_true(turn_until(k.loop, &k.closed, 1));
  assert_int_equal(k.code, 1013);
  assert_int_equal(k.why.status, IU_E_CONNECTION);
  assert_non_null(strstr(k.why.message, "1013 too many requests"));
  client_stop(&k);
  peer_stop(&p);
  assert_true(answered);
}

static void polite_script(peer_conn *c) {
  uint8_t bytes[256];
  size_t n;
  int opcode;
  if (!conn_upgrade(c, CHOSEN)) return;
  while (conn_read_frame(c, &opcode, bytes, sizeof bytes, &n)) {
    if (opcode != 8) continue;
    if (c->p->arg == NULL) conn_drain(c); /* impolite: no answer */
    conn_frame(c, true, 2, "late", 4);    /* dropped */
    conn_frame(c, true, 8, bytes, n);
    return;
  }
}
static void its_own_close_is_a_handshake_with_a_limit(void **state) {
  (void)state;
  for (int polite = 0; polite < 2; polite++) {
    peer p;
    client k;
    iu_error err;
    uint64_t start;
    peer_start_with(&p, polite_script, polite ? &p : NULL);
    client_open(&k, &p);
    assert_true(turn_until(k.loop, &k.opened, 1));
    start = iu__clock_mono_ns();
    iu__ws_close(k.ws, 1000, "bye");
    iu__ws_close(k.ws, 1000, "bye");
    assert_int_equal(k.closed, 0);
    assert_int_equal(iu__ws_send(k.ws, "x", 1, false, &err), IU_E_CLOSED);
    assert_true(turn_until(k.loop, &k.closed, 1));
    assert_int_equal(k.why.status, IU_E_CLOSED);
    assert_int_equal(k.code, polite ? 1000 : 0);
    if (!polite) assert_true(iu__clock_mono_ns() - start >= (IU_WS_CLOSE_TIMEOUT_MS - 50) * MS);
    assert_int_equal(k.messages, 0);
    iu__ws_close(k.ws, 1000, NULL); /* too late: nothing */
    client_stop(&k);
    assert_int_equal(k.closed, 1);
    peer_stop(&p);
  }
}

static void a_close_before_it_is_open_ends_the_attempt(void **state) {
  peer p;
  client k;
  (void)state;
  peer_start_with(&p, protocol_script, CHOSEN);
  client_open(&k, &p);
  iu__ws_close(k.ws, 1000, NULL);
  assert_int_equal(k.closed, 0);
  assert_true(turn_until(k.loop, &k.closed, 1));
  assert_int_equal(k.why.status, IU_E_CLOSED);
  assert_int_equal(k.opened, 0);
  client_stop(&k);
  peer_stop(&p);
}

typedef struct cut { size_t len; const char *bytes, *message; } cut;
static void cut_script(peer_conn *c) {
  const cut *what = c->p->arg;
  if (conn_upgrade(c, CHOSEN)) conn_send(c, what->bytes, what->len);
  shutdown(c->fd, SHUT_WR);
  conn_drain(c);
}
static void cuts_and_broken_frames_close_with_the_reason(void **state) {
  static const cut cuts[] = {
    {0, "", "cut"}, {1, "\x82", "cut"}, {4, "\x82\x05" "ab", "cut"}, {4, "\x02\x02" "ab", "cut"}, {3, "\x82\x7f\x00", "cut"}, {3, "\x88\x02\x03", "cut"},
    {2, "\xc2\x00", "reserved"}, {6, "\x82\x80" "abcd", "masked"}, {2, "\x83\x00", "opcode"}, {2, "\x8b\x00", "opcode"}, {2, "\x80\x00", "continuation"},
    {4, "\x02\x00\x82\x00", "new message"}, {2, "\x09\x00", "control"}, {2, "\x89\x7e", "control"}, {3, "\x88\x01x", "one byte"},
    {10, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "negative"}, {2, "\x88\x00", "closed the connection"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    peer p;
    client k;
    peer_start_with(&p, cut_script, (void *)(uintptr_t)&cuts[i]);
    client_open(&k, &p);
    assert_true(turn_until(k.loop, &k.closed, 1));
    if (strstr(k.why.message, cuts[i].message) == NULL) fail_msg("%zu: %s", i, k.why.message);
    assert_int_equal(k.why.status, IU_E_CONNECTION);
    assert_int_equal(k.messages, 0);
    client_stop(&k);
    assert_int_equal(k.closed, 1);
    peer_stop(&p);
  }
}

static void noise_script(peer_conn *c) {
  uint8_t bytes[4096];
  uint64_t x = (uint64_t)(uintptr_t)c->p->arg + (uint64_t)c->index * 7919u;
  if (c->index % 4 != 0 ? !conn_upgrade(c, CHOSEN) : !conn_head(c)) return; /* noise also instead of an answer */
  for (size_t i = 0; i < sizeof bytes; i++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    bytes[i] = (uint8_t)(x >> 33);
    if (i < 8) bytes[i] &= 0x8f; /* gets past the first checks more often */
  }
  conn_send(c, bytes, sizeof bytes);
}
static void random_bytes_never_do_more_than_close(void **state) {
  uint64_t seed = iu__clock_mono_ns();
  peer p;
  (void)state;
  print_message("seed %llu\n", (unsigned long long)seed);
  peer_start_on(&p, noise_script, 60, false, NULL, (void *)(uintptr_t)seed);
  for (int i = 0; i < 60; i++) {
    client k;
    client_open(&k, &p);
    assert_true(turn_until(k.loop, &k.closed, 1));
    client_stop(&k);
  }
  peer_stop(&p);
}

/* ---- time ---- */

static void silent_script(peer_conn *c) { /* takes the connection, says nothing */
  if (c->p->arg != NULL) conn_upgrade(c, CHOSEN);
  conn_drain(c);
}
static void a_server_that_does_not_answer_times_out(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  uint64_t start = iu__clock_mono_ns();
  (void)state;
  peer_start(&p, silent_script);
  client_start(&k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  config = base_config(&k, url);
  config.connect_timeout_ms = 150;
  client_connect(&k, &config);
  assert_true(turn_until(k.loop, &k.closed, 1));
  assert_int_equal(k.why.status, IU_E_TIMEOUT);
  assert_true(iu__clock_mono_ns() - start >= 149 * MS);
  client_stop(&k);
  peer_stop(&p);
}

static void silence_is_noticed(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  uint64_t start;
  (void)state;
  peer_start_with(&p, silent_script, &p);
  client_start(&k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  config = base_config(&k, url);
  config.idle_timeout_ms = 200;
  config.ping_interval_ms = 50; /* this server does not answer them */
  client_connect(&k, &config);
  assert_true(turn_until(k.loop, &k.opened, 1));
  start = iu__clock_mono_ns();
  assert_true(turn_until(k.loop, &k.closed, 1));
  assert_int_equal(k.why.status, IU_E_TIMEOUT);
  assert_true(iu__clock_mono_ns() - start >= 150 * MS);
  client_stop(&k);
  peer_stop(&p);
}

static void pong_script(peer_conn *c) {
  uint8_t bytes[256];
  size_t n;
  int opcode, pings = 0;
  if (!conn_upgrade(c, CHOSEN)) return;
  while (conn_read_frame(c, &opcode, bytes, sizeof bytes, &n)) {
    if (opcode == 9) conn_frame(c, true, 10, bytes, n);
    if (opcode == 9 && ++pings == 5) conn_frame(c, true, 1, "five", 4);
  }
}
static void pings_keep_an_idle_connection(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  (void)state;
  peer_start(&p, pong_script);
  client_start(&k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  config = base_config(&k, url);
  config.idle_timeout_ms = 5000;
  config.ping_interval_ms = 40;
  client_connect(&k, &config);
  assert_true(turn_until(k.loop, &k.messages, 1));
  assert_int_equal(k.closed, 0);
  client_stop(&k);
  peer_stop(&p);
}

/* The program was busy for longer than the limit: the server, which answers pings and says nothing else, is as alive as before. */
static void a_loop_that_was_not_turned_is_no_silence(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  (void)state;
  peer_start(&p, pong_script);
  client_start(&k);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  config = base_config(&k, url);
  config.idle_timeout_ms = 400;
  config.ping_interval_ms = 100;
  client_connect(&k, &config);
  assert_true(turn_until(k.loop, &k.opened, 1));
  for (int i = 0; i < 2; i++) {
    usleep(900000);
    turn_for(k.loop, 120);
  }
  assert_true(turn_until(k.loop, &k.messages, 1)); /* to the fifth ping */
  assert_int_equal(k.closed, 0);
  client_stop(&k);
  peer_stop(&p);
}

/* ---- TLS, addresses ---- */

static void echo_script(peer_conn *c) {
  uint8_t *bytes = malloc(4u * MEBI);
  size_t n;
  int opcode;
  if (bytes != NULL && conn_upgrade(c, CHOSEN)) {
    while (conn_read_frame(c, &opcode, bytes, 4u * MEBI, &n)) {
      if (opcode == 8) break;
      conn_frame(c, true, opcode, bytes, n);
    }
  }
  free(bytes);
}

typedef struct tls_case { const char *host; bool ipv6, with_ca, insecure, other_name, good; } tls_case;
static void tls_trusts_what_it_is_told_to(void **state) {
  static const tls_case cases[] = {
    {"localhost", false, true, false, false, true},   {"127.0.0.1", false, true, false, false, true}, {"[::1]", true, true, false, false, true},
    {"localhost", false, false, false, false, false}, {"127.0.0.1", false, false, true, true, true},  {"localhost", false, true, false, true, false},
    {"127.0.0.1", false, true, false, true, false},   {"[::1]", true, true, false, true, false},
  };
  char paths[2][24] = {"/tmp/iu_net_XXXXXX", "/tmp/iu_net_XXXXXX"};
  SSL_CTX *tls[2] = {peer_tls(paths[0], "DNS:localhost,IP:127.0.0.1,IP:::1"), peer_tls(paths[1], "DNS:other.test,IP:127.9.9.9,IP:::9")};
  uint8_t *bytes = calloc(1, 3u * MEBI);
  (void)state;
  assert_non_null(bytes);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    peer p;
    client k;
    char url[64];
    iu_ws_config config;
    iu_error err;
    peer_start_on(&p, echo_script, 1, cases[i].ipv6, tls[cases[i].other_name], NULL);
    client_start(&k);
    snprintf(url, sizeof url, "wss://%s:%u/", cases[i].host, p.port);
    config = base_config(&k, url);
    config.tls.ca_file = cases[i].with_ca ? paths[cases[i].other_name] : NULL;
    config.tls.insecure = cases[i].insecure;
    client_connect(&k, &config);
    if (cases[i].good) {
      if (!turn_until(k.loop, &k.opened, 1)) fail_msg("%zu: %s", i, k.why.message);
      assert_int_equal(iu__ws_send(k.ws, bytes, 3u * MEBI, false, &err), IU_OK);
      assert_true(turn_until(k.loop, &k.messages, 1));
      assert_int_equal(k.last_len, 3u * MEBI);
    } else {
      assert_true(turn_until(k.loop, &k.closed, 1));
      if (strstr(k.why.message, "certificate") == NULL) fail_msg("%zu: %s", i, k.why.message);
      assert_int_equal(k.why.status, IU_E_CONNECTION);
    }
    client_stop(&k);
    peer_stop(&p);
  }
  free(bytes);
  for (int i = 0; i < 2; i++) {
    SSL_CTX_free(tls[i]);
    unlink(paths[i]);
  }
}

/* A turn whose time is over reads once: what it leaves comes in later ones, also where TLS has it already. */
static void a_spent_budget_loses_nothing(void **state) {
  char path[24] = "/tmp/iu_net_XXXXXX";
  SSL_CTX *tls = peer_tls(path, "IP:127.0.0.1");
  (void)state;
  for (int secure = 0; secure < 2; secure++) {
    peer p;
    client k;
    char url[64];
    iu_ws_config config;
    peer_start_on(&p, huge_script, 1, false, secure ? tls : NULL, NULL);
    client_start(&k);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/", secure ? "wss" : "ws", p.port);
    config = base_config(&k, url);
    config.tls.ca_file = path;
    client_connect(&k, &config);
    assert_true(turn_until(k.loop, &k.opened, 1));
    iu__loop_set_deadline(k.loop, 1);
    assert_true(turn_until(k.loop, &k.messages, 1));
    assert_int_equal(k.last_len, 21u * MEBI);
    client_stop(&k);
    peer_stop(&p);
  }
  SSL_CTX_free(tls);
  unlink(path);
}

static void plain_script(peer_conn *c) {
  conn_text(c, "this is not TLS at all\r\n\r\n");
  conn_drain(c);
}
static void tls_to_a_plain_port_fails(void **state) {
  peer p;
  client k;
  char url[64];
  iu_ws_config config;
  (void)state;
  peer_start(&p, plain_script);
  client_start(&k);
  snprintf(url, sizeof url, "wss://127.0.0.1:%u/", p.port);
  config = base_config(&k, url);
  client_connect(&k, &config);
  assert_true(turn_until(k.loop, &k.closed, 1));
  assert_non_null(strstr(k.why.message, "TLS failed"));
  client_stop(&k);
  peer_stop(&p);
}

/* localhost is ::1 and 127.0.0.1; only one of them listens. */
static void the_next_address_is_tried(void **state) {
  (void)state;
  for (int six = 0; six < 2; six++) {
    peer p;
    client k;
    char url[64];
    iu_ws_config config;
    peer_start_on(&p, echo_script, 1, six != 0, NULL, NULL);
    client_start(&k);
    snprintf(url, sizeof url, six ? "ws://[::1]:%u" : "ws://localhost:%u", p.port);
    config = base_config(&k, url);
    client_connect(&k, &config);
    if (!turn_until(k.loop, &k.opened, 1)) fail_msg("%s", k.why.message);
    client_stop(&k);
    peer_stop(&p);
  }
}

/* ---- releases, several, the host's loop, memory ---- */

static void one_message_script(peer_conn *c) {
  if (!conn_upgrade(c, CHOSEN)) return;
  for (int i = 0; i < 3; i++) conn_frame(c, true, 2, "x", 1);
  conn_frame(c, true, 8, "", 0);
  conn_drain(c);
}
static void it_may_be_released_in_every_callback(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    peer p;
    client k;
    peer_start(&p, one_message_script);
    client_open(&k, &p);
    k.release_in_open = i == 0;
    k.release_in_message = i == 1;
    k.release_in_closed = i == 2;
    assert_true(turn_until(k.loop, i == 0 ? &k.opened : i == 1 ? &k.messages : &k.closed, 1));
    assert_null(k.ws);
    turn_for(k.loop, 20);
    assert_int_equal(k.messages, i == 0 ? 0 : i == 1 ? 1 : 3);
    assert_int_equal(k.closed, i == 2);
    client_stop(&k);
    peer_stop(&p);
  }
}

static void a_release_at_any_moment_leaves_nothing(void **state) {
  peer p;
  (void)state;
  peer_start_on(&p, echo_script, 40, false, NULL, NULL);
  for (int turns = 0; turns < 20; turns++) {
    for (int with_rest = 0; with_rest < 2; with_rest++) {
      client k;
      client_open(&k, &p);
      for (int i = 0; i < turns; i++) iu__loop_turn(k.loop, i < 3 ? 5 : 0);
      release(&k);
      if (with_rest) assert_true(comes_to_rest(k.loop));
      iu__loop_free(k.loop); /* otherwise with handles that are being closed */
    }
  }
  peer_stop(&p);
}

static void *echo_one(void *arg) {
  peer_conn *c = arg;
  echo_script(c);
  close(c->fd);
  free(c);
  return NULL;
}
static void fork_script(peer_conn *c) { /* many at one time */
  pthread_t *threads = c->p->arg;
  peer_conn *copy = malloc(sizeof *copy);
  *copy = *c;
  copy->fd = dup(c->fd);
  pthread_create(&threads[c->index], NULL, echo_one, copy);
}
static void several_sockets_share_a_loop(void **state) {
  enum { COUNT = 12 };
  pthread_t threads[COUNT];
  client all[COUNT];
  iu_loop *loop;
  iu_error err;
  peer p;
  char url[64];
  (void)state;
  assert_int_equal(iu__loop_new(NULL, &loop, &err), IU_OK);
  peer_start_on(&p, fork_script, COUNT, false, NULL, threads);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  for (int i = 0; i < COUNT; i++) {
    iu_ws_config config = base_config(&all[i], url);
    memset(&all[i], 0, sizeof all[i]);
    all[i].loop = loop;
    client_connect(&all[i], &config);
  }
  for (int i = 0; i < COUNT; i++) assert_true(turn_until(loop, &all[i].opened, 1));
  for (int round = 1; round <= 20; round++) {
    for (int i = 0; i < COUNT; i++) assert_int_equal(iu__ws_send(all[i].ws, &i, sizeof i, false, &err), IU_OK);
    for (int i = 0; i < COUNT; i++) assert_true(turn_until(loop, &all[i].messages, round));
  }
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(all[i].messages, 20);
    assert_memory_equal(all[i].last, &i, sizeof i);
    release(&all[i]);
  }
  assert_true(comes_to_rest(loop));
  iu__loop_free(loop);
  peer_stop(&p);
  for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL);
}

static void sockets_and_ca_files_over_the_limit_are_refused(void **state) {
  client *all = calloc(IU_NET_SOCKETS_MAX, sizeof *all);
  iu_loop *loop;
  iu_error err;
  iu_ws_config config;
  iu_ws *one;
  peer p;
  char url[64], paths[IU_NET_CA_FILES_MAX + 1][32];
  bool refused = false;
  (void)state;
  assert_non_null(all);
  assert_int_equal(iu__loop_new(NULL, &loop, &err), IU_OK);
  peer_start_on(&p, silent_script, 0, false, NULL, NULL); /* listens, accepts nobody */
  snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
  for (uint32_t i = 0; i < IU_NET_SOCKETS_MAX; i++) {
    config = base_config(&all[i], url);
    all[i].loop = loop;
    client_connect(&all[i], &config);
  }
  assert_int_equal(iu__ws_connect(loop, &config, &one, &err), IU_E_OVERLOADED);
  turn_for(loop, 100);
  for (uint32_t i = 0; i < IU_NET_SOCKETS_MAX; i++) release(&all[i]);
  for (uint32_t i = 0; i <= IU_NET_CA_FILES_MAX; i++) {
    iu_status status;
    config = base_config(&all[0], "wss://127.0.0.1:1/");
    snprintf(paths[i], sizeof paths[i], "/tmp/iu_net_XXXXXX");
    SSL_CTX_free(peer_tls(paths[i], "DNS:x"));
    config.tls.ca_file = paths[i];
    status = iu__ws_connect(loop, &config, &one, &err);
    unlink(paths[i]);
    iu__ws_release(one);
    if (status == IU_OK) continue;
    assert_int_equal(status, IU_E_OVERLOADED);
    assert_int_equal(i, IU_NET_CA_FILES_MAX);
    refused = true;
  }
  assert_true(refused);
  assert_true(comes_to_rest(loop));
  iu__loop_free(loop);
  peer_stop(&p);
  free(all);
}

static void it_works_on_the_hosts_loop_and_leaves_it_empty(void **state) {
  uv_loop_t host;
  (void)state;
  assert_int_equal(uv_loop_init(&host), 0);
  for (int i = 0; i < 3; i++) {
    peer p;
    client k;
    char url[64];
    iu_error err;
    iu_ws_config config;
    uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
    memset(&k, 0, sizeof k);
    peer_start(&p, echo_script);
    assert_int_equal(iu__loop_new(&host, &k.loop, &err), IU_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
    config = base_config(&k, url);
    client_connect(&k, &config);
    while (k.opened == 0 && iu__clock_mono_ns() < limit) uv_run(&host, UV_RUN_ONCE);
    assert_int_equal(k.opened, 1);
    assert_int_equal(iu__ws_send(k.ws, "hello", 5, true, &err), IU_OK);
    while (k.messages == 0 && iu__clock_mono_ns() < limit) uv_run(&host, UV_RUN_ONCE);
    assert_memory_equal(k.last, "hello", 5);
    if (i > 0) release(&k);
    if (i > 1) uv_run(&host, UV_RUN_DEFAULT); /* ends by itself: an idle context keeps nothing awake */
    if (i == 0) release(&k);
    iu__loop_free(k.loop);
    uv_run(&host, UV_RUN_DEFAULT);
    peer_stop(&p);
  }
  assert_int_equal(uv_loop_close(&host), 0); /* no handle is left */
}

static void every_failing_allocation_is_told(void **state) {
#ifdef IU_ERRINJ
  int opened = 0, failed = 0;
  (void)state;
  for (long after = 0; after < 60; after++) {
    peer p;
    client k;
    char url[64];
    iu_error err;
    iu_ws_config config;
    iu_status status;
    peer_start(&p, shapes_script);
    client_start(&k);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", p.port);
    config = base_config(&k, url);
    config.ping_interval_ms = 1000;
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    status = iu__ws_connect(k.loop, &config, &k.ws, &err);
    if (status != IU_OK) {
      assert_int_equal(status, IU_E_NOMEM);
      assert_null(k.ws);
      failed++;
    } else {
      uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
      while (k.messages < 9 && k.closed == 0 && iu__clock_mono_ns() < limit) iu__loop_turn(k.loop, 50);
      if (k.closed != 0) {
        assert_int_equal(k.why.status, IU_E_NOMEM);
        failed++;
      } else {
        assert_true(k.messages >= 9);
        opened++;
      }
    }
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    client_stop(&k);
    peer_stop(&p);
  }
  print_message("%d failed, %d went through\n", failed, opened);
  assert_true(failed >= 8);
  assert_true(opened > 0);
#else
  (void)state;
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_opens_with_its_headers_and_the_chosen_protocol),
    cmocka_unit_test(a_refused_upgrade_tells_status_and_body),
    cmocka_unit_test(a_protocol_or_extension_that_was_not_offered_is_refused),
    cmocka_unit_test(it_says_why_it_could_not_connect),
    cmocka_unit_test(wrong_configurations_fail_at_once),
    cmocka_unit_test(messages_of_every_shape_arrive_whole),
    cmocka_unit_test(a_message_of_21_mebibytes_in_one_frame_arrives),
    cmocka_unit_test(a_message_is_shown_while_it_comes),
    cmocka_unit_test(what_is_sent_arrives_however_large),
    cmocka_unit_test(a_message_over_the_cap_closes_or_is_skipped),
    cmocka_unit_test(a_paused_socket_delivers_nothing_and_loses_nothing),
    cmocka_unit_test(the_servers_close_code_and_reason_are_told),
    cmocka_unit_test(its_own_close_is_a_handshake_with_a_limit),
    cmocka_unit_test(a_close_before_it_is_open_ends_the_attempt),
    cmocka_unit_test(cuts_and_broken_frames_close_with_the_reason),
    cmocka_unit_test(random_bytes_never_do_more_than_close),
    cmocka_unit_test(a_server_that_does_not_answer_times_out),
    cmocka_unit_test(silence_is_noticed),
    cmocka_unit_test(pings_keep_an_idle_connection),
    cmocka_unit_test(a_loop_that_was_not_turned_is_no_silence),
    cmocka_unit_test(tls_trusts_what_it_is_told_to),
    cmocka_unit_test(a_spent_budget_loses_nothing),
    cmocka_unit_test(tls_to_a_plain_port_fails),
    cmocka_unit_test(the_next_address_is_tried),
    cmocka_unit_test(it_may_be_released_in_every_callback),
    cmocka_unit_test(a_release_at_any_moment_leaves_nothing),
    cmocka_unit_test(several_sockets_share_a_loop),
    cmocka_unit_test(sockets_and_ca_files_over_the_limit_are_refused),
    cmocka_unit_test(it_works_on_the_hosts_loop_and_leaves_it_empty),
    cmocka_unit_test(every_failing_allocation_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
