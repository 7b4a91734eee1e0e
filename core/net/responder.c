/* responder.c: see responder.h.
 *
 * A connection reads until its head is whole, is told, writes one answer, says that it is done (shutdown) and reads what is still sent into nowhere until the
 * other side closes: a close with unread bytes would be a reset, which may overtake the answer. Its timer ends it at any of these.
 *
 * Blocks: the responder's is freed when it was released, its listener is closed and its last connection gone; a connection's when its two handles are closed.
 */
#include "responder.h"

#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "http_head.h"
#include "loop_internal.h"

#define BACKLOG 128 /* connections that the system keeps between two turns of the loop */

typedef enum phase { READING, TOLD, WRITING, LINGERING } phase;

typedef struct peer {
  iu_responder *r;
  struct peer *prev, *next;
  uv_tcp_t tcp;
  uv_timer_t timer;
  uv_write_t write;
  uv_shutdown_t shutdown;
  uint32_t handles;     /* not closed yet */
  uint64_t id;
  phase phase;
  bool is_head, said_all; /* the other side has closed its half */
  size_t len;
  char *out;            /* the answer that is being written */
  char in[];            /* request_bytes_max */
} peer;

struct iu_responder {
  iu_loop *loop;
  uv_tcp_t listener, drop;        /* drop: one that is accepted only to be closed */
  bool owned, listening, dropping, deaf; /* deaf: one more came while `drop` was in use */
  uint16_t port;
  uint32_t count, connections_max, request_bytes_max, timeout_ms;
  uint64_t next_id;
  peer *peers;
  void *ud;
  void (*on_request)(void *ud, iu_responder *r, uint64_t request, const char *path, size_t path_len);
};

static void free_if_over(iu_responder *r) {
  if (!r->owned && !r->listening && !r->dropping && r->count == 0) iu__free(r);
}

/* ---- a connection's end ---- */

static void on_peer_closed(uv_handle_t *h) {
  peer *p = h->data;
  iu_responder *r = p->r;
  iu_loop *loop = r->loop;
  if (--p->handles == 0) {
    if (p->prev != NULL) p->prev->next = p->next;
    else r->peers = p->next;
    if (p->next != NULL) p->next->prev = p->prev;
    r->count--;
    iu__free(p->out);
    iu__free(p);
    free_if_over(r);
  }
  iu__loop_unhold(loop);
}

static void peer_close(peer *p) {
  if (!uv_is_closing((uv_handle_t *)&p->timer)) uv_close((uv_handle_t *)&p->timer, on_peer_closed);
  if (!uv_is_closing((uv_handle_t *)&p->tcp)) uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
}

static void on_timeout(uv_timer_t *t) { peer_close(t->data); }

/* ---- the answer ---- */

static void on_shutdown(uv_shutdown_t *s, int rc) {
  peer *p = s->data;
  if (rc < 0 || p->said_all) peer_close(p);
}

static void on_written(uv_write_t *w, int rc) {
  peer *p = w->data;
  iu__free(p->out);
  p->out = NULL;
  if (rc < 0 || uv_is_closing((uv_handle_t *)&p->tcp)) {
    peer_close(p);
    return;
  }
  p->phase = LINGERING;
  p->shutdown.data = p;
  if (uv_shutdown(&p->shutdown, (uv_stream_t *)&p->tcp, on_shutdown) != 0) peer_close(p);
}

static void answer(peer *p, int status, const char *content_type, const void *body, size_t len) {
  char head[400];
  if (content_type == NULL || strlen(content_type) >= 128 || strpbrk(content_type, "\r\n") != NULL) content_type = "text/plain; charset=utf-8";
  int head_len = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n"
                          "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n", status, iu__http_reason(status), content_type, len,
                          status == 405 ? "Allow: GET, HEAD\r\n" : "");
  size_t body_len = p->is_head ? 0 : len;
  p->out = iu__alloc((size_t)head_len + body_len);
  if (p->out == NULL) {
    peer_close(p);
    return;
  }
  memcpy(p->out, head, (size_t)head_len);
  if (body_len > 0) memcpy(p->out + head_len, body, body_len);
  uv_buf_t buf = uv_buf_init(p->out, (unsigned)((size_t)head_len + body_len));
  p->phase = WRITING;
  p->write.data = p;
  if (uv_write(&p->write, (uv_stream_t *)&p->tcp, &buf, 1, on_written) != 0) peer_close(p);
}

static void refuse(peer *p, int status) {
  char body[64];
  int len = snprintf(body, sizeof body, "%d %s\n", status, iu__http_reason(status));
  answer(p, status, NULL, body, (size_t)len);
}

/* ---- the request ---- */

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  peer *p = h->data;
  (void)suggested;
  if (p->phase != READING) p->len = 0; /* thrown away */
  *buf = uv_buf_init(p->in + p->len, p->r->request_bytes_max - (unsigned)p->len);
}

static void tell(peer *p, size_t head_len) {
  iu_responder *r = p->r;
  iu_http_head head = {0};
  int status = iu__http_head_parse(p->in, head_len, &head);
  p->is_head = head.is_head;
  if (status != 0) {
    refuse(p, status);
    return;
  }
  p->phase = TOLD;
  r->on_request(r->ud, r, p->id, head.path, head.path_len); /* may release r; p stays until its handles have closed */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  peer *p = stream->data;
  (void)buf;
  if (n < 0) {
    p->said_all = true;
    uv_read_stop(stream);
    if (n != UV_EOF || (p->phase != TOLD && p->phase != WRITING)) peer_close(p); /* else the answer may still reach it */
    return;
  }
  if (p->phase != READING || n == 0) return;
  size_t from = p->len > 3 ? p->len - 3 : 0; /* what was looked through before has no end, but perhaps the beginning of one */
  p->len += (size_t)n;
  size_t head_len = iu__http_head_length(p->in + from, p->len - from);
  if (head_len > 0) tell(p, from + head_len);
  else if (p->len == p->r->request_bytes_max) refuse(p, 431);
}

static void on_connection(uv_stream_t *listener, int rc);

static void on_dropped(uv_handle_t *h) {
  iu_responder *r = h->data;
  iu_loop *loop = r->loop;
  bool again = r->deaf && r->owned;
  r->dropping = r->deaf = false;
  if (again) on_connection((uv_stream_t *)&r->listener, 0);
  free_if_over(r);
  iu__loop_unhold(loop);
}

/* libuv hears nothing more before what came is accepted. */
static void drop_one(iu_responder *r) {
  static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)busy, sizeof busy - 1);
  if (r->dropping) {
    r->deaf = true;
    return;
  }
  r->dropping = true;
  uv_tcp_init(iu__loop_uv(r->loop), &r->drop);
  r->drop.data = r;
  iu__loop_hold(r->loop);
  if (uv_accept((uv_stream_t *)&r->listener, (uv_stream_t *)&r->drop) == 0) uv_try_write((uv_stream_t *)&r->drop, &buf, 1);
  uv_close((uv_handle_t *)&r->drop, on_dropped);
}

static void link_peer(iu_responder *r, peer *p) {
  p->r = r;
  p->id = ++r->next_id;
  p->next = r->peers;
  if (r->peers != NULL) r->peers->prev = p;
  r->peers = p;
  r->count++;
}

static void on_connection(uv_stream_t *listener, int rc) {
  iu_responder *r = listener->data;
  uv_loop_t *uv = iu__loop_uv(r->loop);
  if (rc < 0) return;
  peer *p = r->count < r->connections_max ? iu__alloc_zero(1, sizeof *p + r->request_bytes_max) : NULL;
  if (p == NULL) {
    drop_one(r);
    return;
  }
  link_peer(r, p);
  uv_tcp_init(uv, &p->tcp);
  uv_timer_init(uv, &p->timer);
  p->tcp.data = p->timer.data = p;
  p->handles = 2;
  iu__loop_hold(r->loop);
  iu__loop_hold(r->loop);
  uv_unref((uv_handle_t *)&p->tcp);
  uv_unref((uv_handle_t *)&p->timer);
  rc = uv_accept(listener, (uv_stream_t *)&p->tcp);
  if (rc == 0) rc = uv_timer_start(&p->timer, on_timeout, r->timeout_ms, 0);
  if (rc == 0) rc = uv_read_start((uv_stream_t *)&p->tcp, on_room, on_read);
  if (rc != 0) peer_close(p);
}

/* ---- the seam ---- */

static void on_listener_closed(uv_handle_t *h) {
  iu_responder *r = h->data;
  iu_loop *loop = r->loop;
  r->listening = false;
  free_if_over(r);
  iu__loop_unhold(loop);
}

static int read_address(const iu_responder_config *config, struct sockaddr_storage *where) {
  int rc = uv_ip4_addr(config->address, config->port, (struct sockaddr_in *)where);
  return rc == 0 ? 0 : uv_ip6_addr(config->address, config->port, (struct sockaddr_in6 *)where);
}

static uint16_t bound_port(const uv_tcp_t *tcp) {
  struct sockaddr_storage at;
  int len = sizeof at;
  if (uv_tcp_getsockname(tcp, (struct sockaddr *)&at, &len) != 0) return 0;
  return ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port : ((struct sockaddr_in6 *)&at)->sin6_port);
}

static iu_status check_config(const iu_responder_config *config, struct sockaddr_storage *where, iu_error *err) {
  if (read_address(config, where) != 0) {
    return iu__fail(err, IU_E_VALIDATION, "address: an IPv4 or IPv6 address in numbers expected, got '%.64s'", config->address);
  }
  if (config->connections_max < 1 || config->connections_max > IU_RESPONDER_CONNECTIONS_MAX) {
    return iu__fail(err, IU_E_VALIDATION, "connections_max: 1 to %u expected, got %u", IU_RESPONDER_CONNECTIONS_MAX, config->connections_max);
  }
  if (config->request_bytes_max < 64 || config->request_bytes_max > IU_RESPONDER_REQUEST_BYTES_MAX) {
    return iu__fail(err, IU_E_VALIDATION, "request_bytes_max: 64 to %u expected, got %u", IU_RESPONDER_REQUEST_BYTES_MAX, config->request_bytes_max);
  }
  return config->timeout_ms > 0 ? IU_OK : iu__fail(err, IU_E_VALIDATION, "timeout_ms: 1 or more expected");
}

iu_status iu__responder_start(iu_loop *loop, const iu_responder_config *config, iu_responder **out, iu_error *err) {
  struct sockaddr_storage where = {0};
  *out = NULL;
  iu_status status = check_config(config, &where, err);
  if (status != IU_OK) return status;
  iu_responder *r = iu__alloc_zero(1, sizeof *r);
  if (r == NULL) return iu__fail_nomem(err);
  r->loop = loop;
  r->connections_max = config->connections_max;
  r->request_bytes_max = config->request_bytes_max;
  r->timeout_ms = config->timeout_ms;
  r->ud = config->ud;
  r->on_request = config->on_request;
  r->owned = r->listening = true;
  uv_tcp_init(iu__loop_uv(loop), &r->listener);
  r->listener.data = r;
  iu__loop_hold(loop);
  int rc = uv_tcp_bind(&r->listener, (struct sockaddr *)&where, 0);
  if (rc == 0) rc = uv_listen((uv_stream_t *)&r->listener, BACKLOG, on_connection);
  if (rc != 0) {
    iu__responder_release(r);
    return iu__fail(err, IU_E_CONNECTION, "cannot listen on %s port %u: %s", config->address, (unsigned)config->port, uv_strerror(rc));
  }
  uv_unref((uv_handle_t *)&r->listener);
  r->port = bound_port(&r->listener);
  *out = r;
  return IU_OK;
}

uint16_t iu__responder_port(const iu_responder *r) { return r->port; }
uint32_t iu__responder_connections(const iu_responder *r) { return r->count; }

bool iu__responder_answer(iu_responder *r, uint64_t request, int status, const char *content_type, const void *body, size_t len) {
  peer *p = r->peers;
  while (p != NULL && p->id != request) p = p->next;
  if (p == NULL || p->phase != TOLD || uv_is_closing((uv_handle_t *)&p->tcp)) return false;
  if (len > IU_RESPONDER_ANSWER_BYTES_MAX) refuse(p, 500);
  else answer(p, status, content_type, body, len);
  return true;
}

void iu__responder_release(iu_responder *r) {
  if (r == NULL) return;
  r->owned = false;
  for (peer *p = r->peers; p != NULL; p = p->next) peer_close(p);
  if (!uv_is_closing((uv_handle_t *)&r->listener)) uv_close((uv_handle_t *)&r->listener, on_listener_closed);
}
