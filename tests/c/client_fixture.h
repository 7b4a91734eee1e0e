/* The scripted server of the client tests: answers the schema over HTTP and plays a script on each WebSocket, a thread each; and the client's side: a
 * connection whose listener writes what it hears into one line of text, in order.
 *
 * Trace: "?" connecting, "S" another schema, "!" connected, "~" disconnected (with x: for good), "a1" subscription 1 applied, "e1" ended, "f1" failed,
 * "+7Bob" "-7Bob" "*7Bob>7Al" rows (own ones with "." behind, those of a subscription with ","), "=1" answer of pending 1 (with its CODE when it
 * failed, with (rows)), "X" closed by itself.
 */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include <stdatomic.h>

#include "net_fixture.h"

#include "../../core/client/client.h"

#define NONE "{\"none\":[]}"
#define SOME(v) "{\"some\":" v "}"
#define FIELD(name, type) "{\"name\":" SOME("\"" name "\"") ",\"algebraic_type\":{\"" type "\":[]}}"
#define PRODUCT_OF(fields) "{\"elements\":[" fields "]}"
#define USER_TYPE "{\"Product\":" PRODUCT_OF(FIELD("id", "U32") "," FIELD("name", "String")) "}"
#define TABLE(name, ref) \
  "{\"name\":\"" name "\",\"product_type_ref\":" ref ",\"primary_key\":[0],\"indexes\":[{\"name\":" SOME("\"" name "_id_idx_btree\"") \
  ",\"accessor_name\":" SOME("\"id\"") ",\"algorithm\":{\"BTree\":[0]}}],\"constraints\":[{\"name\":" NONE \
  ",\"data\":{\"Unique\":{\"columns\":[0]}}}],\"sequences\":[],\"schedule\":" NONE ",\"table_type\":{\"User\":[]},\"table_access\":{\"Public\":[]}}"
#define REDUCER(name, params) "{\"name\":\"" name "\",\"params\":" PRODUCT_OF(params) ",\"lifecycle\":" NONE "}"
#define MODULE(types, tables, reducers) \
  "{\"typespace\":{\"types\":[" types "]},\"tables\":[" tables "],\"reducers\":[" reducers "],\"types\":[],\"misc_exports\":[],\"row_level_security\":[]}"
#define REDUCERS REDUCER("add", FIELD("id", "U32") "," FIELD("name", "String")) "," REDUCER("drop", FIELD("id", "U32"))
#define SCHEMA MODULE(USER_TYPE, TABLE("user", "0"), REDUCERS)
#define SCHEMA_MORE MODULE(USER_TYPE, TABLE("guest", "0") "," TABLE("user", "0"), REDUCERS)
#define SCHEMA_OTHER MODULE("{\"Product\":" PRODUCT_OF(FIELD("id", "U64")) "}", TABLE("user", "0"), REDUCERS)

#define QUERY "SELECT * FROM user"
#define MY_IDENTITY 0x11
#define MY_CONNECTION 0x22

/* ---- the server ---- */

#define SERVER_THREADS 1024 /* connections in one test; an attempt is two or three */
typedef struct server server;
typedef struct socket_conn { peer_conn c; server *s; int number; uint8_t bytes[70000]; } socket_conn;
struct server {
  peer p;                      /* of its connections */
  int fd; uint16_t port;
  SSL_CTX *tls;                /* NULL: plain */
  pthread_t acceptor, threads[SERVER_THREADS];
  int thread_count;
  atomic_int sockets;          /* WebSockets so far */
  atomic_int schema_number;    /* which of the answers below */
  const char *schemas[2];
  atomic_int schema_status;    /* 0: 200 */
  const char *extra_header;
  const char *protocol;
  atomic_int upgrade_status;   /* 0: 101 */
  bool schema_stalls, upgrade_stalls;  /* never answered */
  bool old;                    /* has definitions of version 9 only */
  atomic_int schema_requests;
  atomic_int cue;              /* scripts wait for it: await_cue */
  char heard[2048];            /* of all WebSockets, in order: note_heard */
  pthread_mutex_t heard_lock;
  void (*script)(socket_conn *s, int number);  /* number: of the WebSocket, from 0 */
  char seen_token[2][200];     /* of the last schema request and the last upgrade */
};

static inline void http_answer(socket_conn *s, int status, const char *more, const char *body) {
  char head[1024];
  snprintf(head, sizeof head, "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body), more != NULL ? more : "");
  if (conn_text(&s->c, head)) conn_text(&s->c, body);
}

static inline void note_token(socket_conn *s, char out[200]) {
  const char *at = strcasestr(s->c.head, "authorization: bearer ");
  out[0] = '\0';
  if (at != NULL) sscanf(at + 22, "%199[^\r]", out);
}

static inline void *serve(void *arg) {
  socket_conn *s = arg;
  server *v = s->s;
  if (v->tls != NULL) {
    s->c.ssl = SSL_new(v->tls);
    SSL_set_fd(s->c.ssl, s->c.fd);
  }
  if ((v->tls == NULL || SSL_accept(s->c.ssl) == 1) && conn_head(&s->c)) {
    if (strstr(s->c.head, "/schema?version=") != NULL) {
      note_token(s, v->seen_token[0]);
      v->schema_requests++;
      if (v->schema_stalls) conn_drain(&s->c);
      else if (v->old && strstr(s->c.head, "/schema?version=9 ") == NULL) http_answer(s, 400, NULL, "unknown variant `10`, expected `9`");
      else http_answer(s, v->schema_status != 0 ? v->schema_status : 200, v->extra_header, v->schema_status != 0 ? "no" : v->schemas[v->schema_number]);
    } else if (strstr(s->c.head, "/subscribe?") == NULL) {
      http_answer(s, 404, NULL, "who owns it is not told");
    } else if (v->upgrade_stalls) {
      conn_drain(&s->c);
    } else if (v->upgrade_status != 0) {
      http_answer(s, v->upgrade_status, NULL, "refused");
    } else {
      char key[32], text[512];
      note_token(s, v->seen_token[1]);
      conn_accept_key(&s->c, key);
      snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n"
               "Sec-WebSocket-Protocol: %s\r\n\r\n", key, v->protocol);
      s->number = v->sockets++;
      if (conn_text(&s->c, text)) v->script(s, s->number);
    }
  }
  SSL_free(s->c.ssl);
  close(s->c.fd);
  free(s);
  return NULL;
}

static inline void *accept_all(void *arg) {
  server *v = arg;
  for (;;) {
    struct timeval limit = {.tv_sec = PATIENCE_MS / 1000};
    int one = 1, fd = accept(v->fd, NULL, NULL);
    if (fd < 0) break;
    if (v->thread_count == SERVER_THREADS) { /* left unanswered, every further attempt would last until it times out */
      fprintf(stderr, "the test's server had %d connections, which is its limit\n", SERVER_THREADS);
      abort();
    }
    socket_conn *s = calloc(1, sizeof *s);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->c.fd = fd;
    s->c.p = &v->p;
    s->s = v;
    if (pthread_create(&v->threads[v->thread_count], NULL, serve, s) != 0) abort();
    v->thread_count++;
  }
  return NULL;
}

static inline void server_start_on(server *v, const char *protocol, void (*script)(socket_conn *, int), bool ipv6, SSL_CTX *tls) {
  memset(v, 0, sizeof *v);
  v->tls = tls;
  v->protocol = protocol;
  v->script = script;
  v->schemas[0] = v->schemas[1] = SCHEMA;
  pthread_mutex_init(&v->heard_lock, NULL);
  v->fd = loopback_listen(ipv6, &v->port);
  assert_int_equal(pthread_create(&v->acceptor, NULL, accept_all, v), 0);
}
static inline void server_start(server *v, const char *protocol, void (*script)(socket_conn *, int)) {
  server_start_on(v, protocol, script, false, NULL);
}
static inline void server_stop(server *v) {
  if (v->script == NULL) return;
  v->script = NULL;
  shutdown(v->fd, SHUT_RDWR);
  pthread_join(v->acceptor, NULL);
  close(v->fd);
  for (int i = 0; i < v->thread_count; i++) pthread_join(v->threads[i], NULL);
  pthread_mutex_destroy(&v->heard_lock);
}

/* Until the test says `cue` for the n-th time, or gives up. */
static inline void await_cue(socket_conn *s, int n) {
  for (int waited = 0; s->s->cue < n && waited < PATIENCE_MS; waited++) usleep(1000);
}

/* ---- what the client asked ---- */

typedef struct asked { int tag; uint32_t request, set; char text[256]; uint8_t args[256]; size_t args_len; bool gone; } asked;

static inline void asked_text(iu_reader *r, char *out, size_t cap) {
  uint32_t len;
  const uint8_t *p = iu__read_bytes(r, &len);
  snprintf(out, cap, "%.*s", p != NULL ? (int)len : 0, p != NULL ? (const char *)p : "");
}
static inline void asked_args(iu_reader *r, asked *a) {
  uint32_t len;
  const uint8_t *p = iu__read_bytes(r, &len);
  a->args_len = p != NULL && len <= sizeof a->args ? len : 0;
  if (a->args_len != 0) memcpy(a->args, p, a->args_len);
}

enum { CALL, ONE_OFF, SUBSCRIBE, UNSUBSCRIBE };

/* The next message of the client, control frames passed over; `gone` at the end. Tags of both versions become the enum's. */
static inline asked ask_next(socket_conn *s) {
  bool v1 = strcmp(s->s->protocol, "v1.bsatn.spacetimedb") == 0;
  asked a = {.gone = true};
  int opcode = 0;
  size_t len = 0;
  while (opcode != 2) {
    if (!conn_read_frame(&s->c, &opcode, s->bytes, sizeof s->bytes, &len) || opcode == 8) return a;
  }
  iu_reader r = iu__reader(s->bytes, len);
  int tag = iu__read_u8(&r);
  a.gone = false;
  if (v1) {
    switch (tag) {
      case 0: a.tag = CALL; asked_text(&r, a.text, sizeof a.text); asked_args(&r, &a); a.request = iu__read_u32(&r); break;
      case 2: a.tag = ONE_OFF; iu__read_u32(&r); a.request = iu__read_u32(&r); asked_text(&r, a.text, sizeof a.text); break;
      case 4: a.tag = SUBSCRIBE; iu__read_u32(&r); asked_text(&r, a.text, sizeof a.text); a.request = iu__read_u32(&r); a.set = iu__read_u32(&r); break;
      case 6: a.tag = UNSUBSCRIBE; a.request = iu__read_u32(&r); a.set = iu__read_u32(&r); break;
      default: a.tag = -1;
    }
  } else {
    a.request = iu__read_u32(&r);
    switch (tag) {
      case 0: a.tag = SUBSCRIBE; a.set = iu__read_u32(&r); iu__read_u32(&r); asked_text(&r, a.text, sizeof a.text); break;
      case 1: a.tag = UNSUBSCRIBE; a.set = iu__read_u32(&r); break;
      case 2: a.tag = ONE_OFF; asked_text(&r, a.text, sizeof a.text); break;
      case 3: a.tag = CALL; iu__read_u8(&r); asked_text(&r, a.text, sizeof a.text); asked_args(&r, &a); break;
      default: a.tag = -1;
    }
  }
  return a;
}

/* A word per message: the WebSocket's number, then what was asked: "0:s1" subscribe as set 1, "0:u1", "0:c8" call with 8 as its first argument,
 * "0:q". */
static inline void note_heard(socket_conn *s, const asked *a) {
  char number[16] = "";
  if (a->tag != ONE_OFF) snprintf(number, sizeof number, "%u", a->tag == CALL ? iu__load_u32(a->args) : a->set);
  pthread_mutex_lock(&s->s->heard_lock);
  size_t used = strlen(s->s->heard);
  snprintf(s->s->heard + used, sizeof s->s->heard - used, "%s%d:%c%s", used > 0 ? " " : "", s->number, "cqsu"[a->tag], number);
  pthread_mutex_unlock(&s->s->heard_lock);
}

/* ---- what the server answers ---- */

typedef struct person { uint32_t id; const char *name; } person;
#define PEOPLE(...) ((const person[]){__VA_ARGS__, {0, NULL}})
#define NOBODY ((const person[]){{0, NULL}})

static inline void put_person(iu_buf *b, const person *p) {
  iu__buf_put_u32(b, p->id);
  iu__buf_put_u32(b, (uint32_t)strlen(p->name));
  iu__buf_put_str(b, p->name);
}
static inline void put_rows(iu_buf *b, const person *people) {
  uint32_t count = 0;
  iu_buf data = {0};
  iu__buf_put_u8(b, 1); /* RowOffsets */
  while (people[count].name != NULL) count++;
  iu__buf_put_u32(b, count);
  for (uint32_t i = 0; i < count; i++) {
    iu__buf_put_u64(b, data.len);
    put_person(&data, &people[i]);
  }
  iu__buf_put_bytes(b, data.data, data.len);
  iu__buf_free(&data);
}
static inline void put_name(iu_buf *b, const char *name) { iu__buf_put_bytes(b, name, strlen(name)); }
static inline void put_fill(iu_buf *b, uint8_t byte, size_t len) {
  for (size_t i = 0; i < len; i++) iu__buf_put_u8(b, byte);
}

static inline bool send_buf(socket_conn *s, iu_buf *b) {
  bool ok = conn_frame(&s->c, true, 2, b->data, b->len);
  iu__buf_free(b);
  return ok;
}

/* v1: one table with one update */
static inline void put_update_of(iu_buf *b, const char *table, const person *deletes, const person *inserts) {
  iu__buf_put_u32(b, 1);
  iu__buf_put_u32(b, 4096);
  put_name(b, table);
  iu__buf_put_u64(b, 1);
  iu__buf_put_u32(b, 1);
  iu__buf_put_u8(b, 0);
  put_rows(b, deletes);
  put_rows(b, inserts);
}
static inline void put_update(iu_buf *b, const person *deletes, const person *inserts) { put_update_of(b, "user", deletes, inserts); }

static inline bool say_hello(socket_conn *s, const char *token) {
  iu_buf b = {0};
  bool v1 = strcmp(s->s->protocol, "v1.bsatn.spacetimedb") == 0;
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u8(&b, v1 ? 3 : 0);
  put_fill(&b, MY_IDENTITY, 32);
  if (v1) put_name(&b, token);
  put_fill(&b, MY_CONNECTION, 16);
  if (!v1) put_name(&b, token);
  return send_buf(s, &b);
}

static inline bool say_subscribed(socket_conn *s, const asked *a, bool ending, const person *rows) {
  iu_buf b = {0};
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u8(&b, ending ? 9 : 8);
  iu__buf_put_u32(&b, a->request);
  iu__buf_put_u64(&b, 1);
  iu__buf_put_u32(&b, a->set);
  put_update(&b, ending ? rows : NOBODY, ending ? NOBODY : rows);
  return send_buf(s, &b);
}

static inline bool say_sub_error(socket_conn *s, const asked *a /* NULL: of all */, const char *text) {
  iu_buf b = {0};
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u8(&b, 7);
  iu__buf_put_u64(&b, 1);
  iu__buf_put_u8(&b, a == NULL);
  if (a != NULL) iu__buf_put_u32(&b, a->request);
  iu__buf_put_u8(&b, a == NULL);
  if (a != NULL) iu__buf_put_u32(&b, a->set);
  iu__buf_put_u8(&b, 1);
  put_name(&b, text);
  return send_buf(s, &b);
}

/* A full transaction. own: it was this connection's call; failure: NULL when committed */
static inline bool say_transaction(socket_conn *s, bool own, const asked *a, uint32_t request, const char *failure, const person *deletes, const person *inserts) {
  iu_buf b = {0};
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u8(&b, 1);
  iu__buf_put_u8(&b, failure != NULL);
  if (failure != NULL) put_name(&b, failure);
  else put_update(&b, deletes, inserts);
  iu__buf_put_u64(&b, 1700000000000000u);
  put_fill(&b, own ? MY_IDENTITY : 0x55, 32);
  put_fill(&b, own ? MY_CONNECTION : 0x66, 16);
  put_name(&b, a->text);
  iu__buf_put_u32(&b, 1);
  iu__buf_put_bytes(&b, a->args, a->args_len);
  iu__buf_put_u32(&b, request);
  put_fill(&b, 0, 16);
  iu__buf_put_u64(&b, 1);
  return send_buf(s, &b);
}

static inline bool say_rows(socket_conn *s, const asked *a, const char *error, const person *rows) {
  iu_buf b = {0};
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u8(&b, 4);
  iu__buf_put_u32(&b, 4);
  iu__buf_put_u32(&b, a->request);
  iu__buf_put_u8(&b, error == NULL);
  if (error != NULL) put_name(&b, error);
  iu__buf_put_u32(&b, error == NULL);
  if (error == NULL) {
    put_name(&b, "user");
    put_rows(&b, rows);
  }
  iu__buf_put_u64(&b, 1);
  return send_buf(s, &b);
}

/* ---- the client's side ---- */

typedef struct client client;
struct client {
  iu_loop *loop;
  iu_connection *c;
  char trace[4096];
  int events;                 /* parts of the trace */
  char why[IU_ERROR_MESSAGE_MAX];  /* of the last failure told */
  iu_event event;             /* of the last row */
  void (*hook)(client *, const char *part);  /* called after each part: inside the callback */
  int released;
};

static inline void say(client *k, const char *fmt, ...) {
  char part[300];
  va_list args;
  va_start(args, fmt);
  vsnprintf(part, sizeof part, fmt, args);
  va_end(args);
  size_t used = strlen(k->trace);
  snprintf(k->trace + used, sizeof k->trace - used, "%s%s", used > 0 ? " " : "", part);
  k->events++;
  if (k->hook != NULL) k->hook(k, part);
}

static inline void show_row(char out[100], const iu_row *row) {
  if (row == NULL) { out[0] = '\0'; return; }
  snprintf(out, 100, "%u%.*s", iu__load_u32(row->data), (int)iu__load_u32(row->data + 4), (const char *)row->data + 8);
}

static inline void on_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  client *k = ud;
  char old_text[100], new_text[100];
  const char *mark = e->subscribed ? "," : e->own ? "." : "";
  (void)table;
  show_row(old_text, old_row);
  show_row(new_text, new_row);
  k->event = *e;
  if (old_row == NULL) say(k, "+%s%s", new_text, mark);
  else if (new_row == NULL) say(k, "-%s%s", old_text, mark);
  else say(k, "*%s>%s%s", old_text, new_text, mark);
}
static inline void on_subscription(void *ud, uint64_t id, iu_sub_event what, const iu_error *err) {
  client *k = ud;
  if (err != NULL) snprintf(k->why, sizeof k->why, "%s", err->message);
  say(k, "%c%llu", what == IU_SUB_APPLIED ? 'a' : what == IU_SUB_ENDED ? 'e' : 'f', (unsigned long long)id);
}
static inline void on_answer(void *ud, uint64_t pending, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  client *k = ud;
  char count[32] = "";
  (void)value;
  if (err != NULL) snprintf(k->why, sizeof k->why, "%s", err->message);
  if (rows != NULL) snprintf(count, sizeof count, "(%llu)", (unsigned long long)rows->count);
  iu__rows_release(rows);
  say(k, "=%llu%s%s", (unsigned long long)pending, iu_status_code(status), count);
}
static inline void on_closed_for_good(void *ud, const iu_error *why) {
  client *k = ud;
  snprintf(k->why, sizeof k->why, "%s", why->message);
  say(k, "X");
}
static inline void on_state(void *ud, const iu_conn_state *state) {
  client *k = ud;
  if (state->why != NULL) snprintf(k->why, sizeof k->why, "%s", state->why->message);
  if (state->schema_changed) {
    for (uint32_t i = 0; i < k->c->schema->table_count; i++) iu__conn_watch(k->c, i, 7);
    say(k, "S");
    return;
  }
  if (state->phase == IU_PHASE_CONNECTING) say(k, "?");
  else if (state->phase == IU_PHASE_CONNECTED) say(k, "!");
  else say(k, state->delay_ms < 0 ? "~x" : "~");
}

static inline void client_open_with(client *k, const server *v, iu_client_config config) {
  static const iu_listener listener = {.row = on_row, .subscription = on_subscription, .answer = on_answer, .closed = on_closed_for_good, .state = on_state};
  char url[64];
  iu_error err;
  iu_listener l = listener;
  memset(k, 0, sizeof *k);
  assert_int_equal(iu__loop_new(NULL, &k->loop, &err), IU_OK);
  snprintf(url, sizeof url, "ws://127.0.0.1:%u", v->port);
  if (config.url == NULL) config.url = url;
  config.database = "world";
  config.loop = k->loop;
  if (config.delay_min_ms == 0) config.delay_min_ms = config.delay_max_ms = 10;
  if (iu__client_open(&config, &k->c, &err) != IU_OK) fail_msg("%s", err.message);
  l.ud = k;
  iu__conn_listen(k->c, &l);
}
static inline void client_open(client *k, const server *v) { client_open_with(k, v, (iu_client_config){0}); }

/* Turns the loop until the trace holds `text`. */
static inline void wait_for(client *k, const char *text) {
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  while (strstr(k->trace, text) == NULL && iu__clock_mono_ns() < limit) iu__loop_turn(k->loop, 50);
  if (strstr(k->trace, text) == NULL) fail_msg("\"%s\" did not come: \"%s\" (%s)", text, k->trace, k->why);
}
static inline void client_close(client *k) {
  if (k->loop == NULL) return;
  if (k->c != NULL) k->c->vtable->release(k->c);
  k->c = NULL;
  bool rests = comes_to_rest(k->loop);
  iu__loop_free(k->loop);
  k->loop = NULL;
  assert_true(rests);
}

static inline uint64_t subscribe(client *k, const char *sql) {
  iu_slice q = {(const uint8_t *)sql, strlen(sql)};
  uint64_t id = 0;
  iu_error err;
  if (k->c->vtable->subscribe(k->c, &q, 1, &id, &err) != IU_OK) fail_msg("%s", err.message);
  return id;
}
static inline iu_status call_status(client *k, uint32_t reducer, uint32_t id, const char *name, uint64_t *pending, iu_error *err) {
  iu_buf b = {0};
  iu__buf_put_u32(&b, id);
  if (reducer == 0) put_name(&b, name);
  iu_status status = k->c->vtable->call(k->c, reducer, b.data, b.len, pending, err);
  iu__buf_free(&b);
  return status;
}
static inline uint64_t add(client *k, uint32_t id, const char *name) {
  uint64_t pending;
  iu_error err;
  if (call_status(k, 0, id, name, &pending, &err) != IU_OK) fail_msg("%s", err.message);
  return pending;
}

#endif
