/* peer_fixture.h: tests that start the peer (tests/peer) as a server, and a plain client over core/net and core/protocol to talk to it.
 * The peer is the one built beside the test's own program. */
#ifndef PEER_FIXTURE_H
#define PEER_FIXTURE_H

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol_fixture.h"

#include "../../core/base/clock.h"
#include "../../core/net/http.h"
#include "../../core/net/websocket.h"

#define PATIENCE_MS 20000 /* a loaded machine under the sanitizers is slow */

typedef struct served { pid_t pid; int input; int port; iu_loop *loop; char token[2000]; } served;

static inline void peer_program(char *out, size_t cap) {
  ssize_t n = readlink("/proc/self/exe", out, cap - 40);
  assert_true(n > 0);
  out[n] = '\0';
  for (int up = 0; up < 2; up++) *strrchr(out, '/') = '\0';
  strcat(out, "/peer/peer");
}

static inline void served_start(served *s, const char *const *arguments) {
  char program[4096], line[64] = "";
  const char *argv[16] = {program};
  int in[2], out[2], n = 1;
  iu_error err;
  memset(s, 0, sizeof *s);
  peer_program(program, sizeof program);
  while (arguments != NULL && *arguments != NULL) argv[n++] = *arguments++;
  assert_int_equal(pipe2(in, O_CLOEXEC), 0);
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  s->pid = fork();
  assert_true(s->pid >= 0);
  if (s->pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  s->input = in[1];
  for (size_t at = 0; at + 1 < sizeof line && strchr(line, '\n') == NULL; at++) {
    if (read(out[0], line + at, 1) != 1) fail_msg("%s did not start; it said: %s", program, line);
  }
  close(out[0]);
  assert_int_equal(sscanf(line, "port %d", &s->port), 1);
  assert_int_equal(iu__loop_new(NULL, &s->loop, &err), IU_OK);
}

/* It must end by itself, and well (under the sanitizers: without leaks). */
static inline void served_stop(served *s) {
  int status = 0, waited = 0;
  if (s->pid == 0) return;
  iu__loop_free(s->loop);
  close(s->input);
  while (waitpid(s->pid, &status, WNOHANG) == 0 && waited++ < PATIENCE_MS) usleep(1000);
  if (waited >= PATIENCE_MS) kill(s->pid, SIGKILL);
  s->pid = 0;
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* Turns the loop until *done; fails when that takes too long. */
static inline void turn_until(iu_loop *loop, const bool *done, const char *what) {
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  while (!*done) {
    if (iu__clock_mono_ns() > end) fail_msg("%s: nothing happened in time", what);
    iu__loop_turn(loop, 50);
  }
}

/* ---- HTTP ---- */

typedef struct fetched { bool done; int status; char body[100000]; char token[2000]; } fetched;

static inline void fetched_done(void *ud, iu_http *h, const iu_error *err, const iu_http_answer *answer) {
  fetched *f = ud;
  (void)h;
  f->done = true;
  f->status = err != NULL ? 0 : answer->status;
  if (err != NULL) return;
  snprintf(f->body, sizeof f->body, "%.*s", (int)answer->body_len, (const char *)answer->body);
  snprintf(f->token, sizeof f->token, "%s", answer->token);
}

static inline int http(served *s, const char *method, const char *path, const char *body, fetched *f) {
  char url[400], bearer[2100];
  iu_header headers[] = {{"Content-Type", "application/json"}, {"Authorization", bearer}};
  iu_http *h;
  iu_error err;
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", s->port, path);
  snprintf(bearer, sizeof bearer, "Bearer %s", s->token);
  iu_http_config config = {.method = method, .url = url, .headers = headers, .header_count = s->token[0] != '\0' ? 2 : 1, .body = body,
                           .body_len = strlen(body), .ud = f, .on_done = fetched_done};
  memset(f, 0, sizeof *f);
  assert_int_equal(iu__http_start(s->loop, &config, &h, &err), IU_OK);
  turn_until(s->loop, &f->done, path);
  iu__http_release(h);
  return f->status;
}

static inline void fault(served *s, const char *json) {
  fetched f;
  if (http(s, "POST", "/peer/fault", json, &f) != 200) fail_msg("fault %s: %d %s", json, f.status, f.body);
}

/* A database with NERV's module, whose owner the requests that follow are. */
static inline void publish(served *s, const char *name) {
  fetched f;
  char path[100];
  snprintf(path, sizeof path, "/v1/database/%s", name);
  assert_int_equal(http(s, "PUT", path, "module", &f), 200);
  snprintf(s->token, sizeof s->token, "%s", f.token);
}

/* ---- a client ---- */

#define HEARD_MAX 70000
typedef struct client {
  served *server;
  iu_ws *ws;
  iu_protocol protocol;
  bool open, closed;
  int http_status; uint16_t close_code; char why[1024];
  uint8_t *heard[HEARD_MAX]; size_t heard_len[HEARD_MAX]; uint32_t heard_count, taken; /* payloads */
  opened now; bool has_now;         /* the payload that is being read */
  iu_message m;                     /* what `next` read last */
  uint8_t identity[32], connection_id[16];
} client;

static inline void client_open(void *ud, iu_ws *ws, const char *protocol) {
  client *c = ud;
  (void)ws;
  c->open = true;
  assert_true(iu__protocol_from_name(protocol, &c->protocol));
}
static inline void client_message(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len, bool text) {
  client *c = ud;
  (void)ws;
  assert_false(text);
  assert_true(c->heard_count < HEARD_MAX);
  c->heard[c->heard_count] = malloc(len + 1);
  assert_non_null(c->heard[c->heard_count]);
  memcpy(c->heard[c->heard_count], bytes, len);
  c->heard_len[c->heard_count++] = len;
}
static inline void client_closed(void *ud, iu_ws *ws, const iu_error *why, int http_status, uint16_t close_code) {
  client *c = ud;
  (void)ws;
  c->closed = true;
  c->http_status = http_status;
  c->close_code = close_code;
  snprintf(c->why, sizeof c->why, "%s", why->message);
}

/* Starts to connect; protocols: the only one offered. parameters: "" or "&light=true" and so on. */
static inline client *client_start(served *s, iu_protocol protocol, const char *parameters) {
  client *c = calloc(1, sizeof *c);
  char url[400], bearer[2100];
  const char *offered = iu__protocol_name(protocol);
  iu_header header = {"Authorization", bearer};
  iu_error err;
  assert_non_null(c);
  c->server = s;
  c->protocol = protocol;
  snprintf(bearer, sizeof bearer, "Bearer %s", s->token);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/v1/database/nerv/subscribe?compression=None%s", s->port, parameters);
  iu_ws_config config = {.url = url, .protocols = &offered, .protocol_count = 1, .headers = &header, .header_count = s->token[0] != '\0' ? 1 : 0,
                         .ud = c, .on_open = client_open, .on_message = client_message, .on_closed = client_closed};
  assert_int_equal(iu__ws_connect(s->loop, &config, &c->ws, &err), IU_OK);
  return c;
}

static inline void client_end(client *c) {
  iu__ws_release(c->ws);
  if (c->has_now) iu__payload_close(&c->now.payload);
  for (uint32_t i = 0; i < c->heard_count; i++) free(c->heard[i]);
  free(c);
}

/* The next message, in c->m; borrowed until the next call. false: the connection closed before one came. */
static inline bool next(client *c) {
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  iu_error err;
  bool more = false;
  for (;;) {
    if (c->has_now) {
      if (iu__payload_next(&c->now.payload, &c->m, &more, &err) != IU_OK) fail_msg("not read: %s", err.message);
      if (more) return true;
      iu__payload_close(&c->now.payload);
      c->has_now = false;
    }
    while (c->taken == c->heard_count && !c->closed) {
      if (iu__clock_mono_ns() > end) fail_msg("no message came in time");
      iu__loop_turn(c->server->loop, 50);
    }
    if (c->taken == c->heard_count) return false;
    uint32_t i = c->taken++;
    if (iu__payload_open(&c->now.payload, c->protocol, c->heard[i], c->heard_len[i], CAP, &err) != IU_OK) fail_msg("not opened: %s", err.message);
    c->has_now = true;
  }
}
static inline void expect_next(client *c, iu_message_kind kind) {
  if (!next(c)) fail_msg("closed: %s", c->why);
  if (c->m.kind != kind) {
    fail_msg("expected a message of kind %d, got %d: %.*s", (int)kind, (int)c->m.kind, (int)c->m.text.len, c->m.text.p != NULL ? (const char *)c->m.text.p : "");
  }
}

static inline client *connect_client(served *s, iu_protocol protocol, const char *parameters) {
  client *c = client_start(s, protocol, parameters);
  expect_next(c, IU_M_CONNECTED);
  memcpy(c->identity, c->m.identity, 32);
  memcpy(c->connection_id, c->m.connection_id, 16);
  return c;
}

static inline void say(client *c, iu_buf *b) {
  iu_error err;
  assert_int_equal(b->failed, 0);
  if (iu__ws_send(c->ws, b->data, b->len, false, &err) != IU_OK) fail_msg("not sent: %s", err.message);
  iu__buf_free(b);
}

static inline void call_bytes(client *c, uint32_t request, const char *reducer, iu_slice args, bool quiet) {
  iu_buf b = {0};
  assert_int_equal(iu__put_call(&b, c->protocol, request, reducer, NULL, args, quiet, NULL), IU_OK);
  say(c, &b);
}

static inline void put_words(iu_buf *b, const char *text) { iu__buf_put_bytes(b, text, strlen(text)); }

/* create_entity(entity_type, metadata, id) with metadata of no more than a description of that many letters. */
static inline void create_entity(client *c, uint32_t request, const char *type, const char *id, size_t description) {
  iu_buf args = {0};
  put_words(&args, type);
  iu__buf_put_u8(&args, 1);
  iu__buf_put_u8(&args, description == 0 ? 1 : 0);
  if (description != 0) {
    char *text = malloc(description);
    assert_non_null(text);
    for (size_t i = 0; i < description; i++) text[i] = (char)('a' + i * 7 % 26);
    iu__buf_put_bytes(&args, text, description);
    free(text);
  }
  iu__buf_put_u32(&args, 0);
  put_words(&args, "{}");
  iu__buf_put_u8(&args, 0);
  put_words(&args, id);
  call_bytes(c, request, "create_entity", (iu_slice){args.data, args.len}, false);
  iu__buf_free(&args);
}

static inline void delete_entity(client *c, uint32_t request, const char *id) {
  iu_buf args = {0};
  put_words(&args, id);
  iu__buf_put_u8(&args, 0);
  call_bytes(c, request, "delete_entity", (iu_slice){args.data, args.len}, false);
  iu__buf_free(&args);
}

static inline void subscribe(client *c, uint32_t request, uint32_t set, const char *first, const char *second) {
  iu_slice queries[] = {slice(first), slice(second != NULL ? second : "")};
  iu_buf b = {0};
  iu__put_subscribe(&b, c->protocol, request, set, queries, second != NULL ? 2 : 1);
  say(c, &b);
}

static inline void unsubscribe(client *c, uint32_t request, uint32_t set, bool rows) {
  iu_buf b = {0};
  iu__put_unsubscribe(&b, c->protocol, request, set, rows);
  say(c, &b);
}

static inline void one_off(client *c, uint32_t request, const char *sql) {
  iu_buf b = {0};
  iu__put_one_off(&b, c->protocol, request, slice(sql));
  say(c, &b);
}

static inline uint32_t count_rows(const client *c, bool inserts) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->m.update_count; i++) n += inserts ? c->m.updates[i].inserts.count : c->m.updates[i].deletes.count;
  return n;
}

#endif
