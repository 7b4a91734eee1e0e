/* link.c: TCP connections of the peer (server.h). One write is under way at a time; the rest waits in `out`, which is looked at before the loop sleeps.
 * A link is freed when its three handles are closed; its session says goodbye first, outside whatever called peer__link_cut.
 */
#include <stdio.h>
#include <stdlib.h>

#include "server.h"

typedef struct write_job { uv_write_t req; peer_link *link; uint8_t *bytes; uint32_t messages; bool cut; } write_job;

static void flush(peer_link *l);

/* ---- the end of a link ---- */

void peer__link_leave(peer_link *l) {
  peer_database *db = l->db;
  iu_connection *session = l->session;
  if (session == NULL) return;
  peer__drop_sets(l);
  l->session = NULL;
  l->db = NULL;
  peer__database_leave(db, session);
}

static void on_closed(uv_handle_t *h) {
  peer_link *l = h->data, **at = &l->server->links;
  if (--l->handles > 0) return;
  peer__link_leave(l);
  while (*at != l) at = &(*at)->next;
  *at = l->next;
  iu__buf_free(&l->in);
  iu__buf_free(&l->out);
  iu__buf_free(&l->message);
  iu__buf_free(&l->queued);
  iu__buf_free(&l->pack);
  free(l);
}

void peer__link_cut(peer_link *l) {
  if (l->closing) return;
  l->closing = true;
  uv_close((uv_handle_t *)&l->tcp, on_closed);
  uv_close((uv_handle_t *)&l->timer, on_closed);
  uv_close((uv_handle_t *)&l->ping, on_closed);
}

void peer__link_finish(peer_link *l) {
  l->finish = true;
  if (l->out.len == 0 && !l->writing) peer__link_cut(l);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status) {
  write_job *job = (write_job *)req;
  peer_link *l = job->link;
  bool cut = job->cut || status < 0;
  l->writing = false;
  l->writing_messages -= job->messages;
  free(job->bytes);
  free(job);
  if (l->closing) return;
  if (cut || (l->finish && l->out.len == 0)) peer__link_cut(l);
  else flush(l);
}

size_t peer__fault_pass(int64_t *left, size_t len) {
  if (*left < 0) return len;
  size_t pass = (uint64_t)*left < len ? (size_t)*left : len;
  *left -= (int64_t)pass;
  return pass;
}

static int64_t *cut_of(peer_link *l) { return l->websocket ? &l->server->fault.cut_after : &l->server->fault.cut_http_after; }

static void flush(peer_link *l) {
  const peer_fault *f = &l->server->fault;
  size_t len = l->out.len, pass;
  if (len == 0 || l->writing || l->stalled || l->closing || l->dead) return;
  if (f->write_size != 0 && len > f->write_size && !l->admin) len = f->write_size;
  pass = l->admin ? len : peer__fault_pass(cut_of(l), len);
  write_job *job = calloc(1, sizeof *job);
  if (job == NULL || (job->bytes = malloc(pass + 1)) == NULL) abort();
  job->link = l;
  job->cut = pass < len;
  if (job->cut) *cut_of(l) = -1; /* one link is enough */
  memcpy(job->bytes, l->out.data, pass);
  l->out.len -= pass;
  memmove(l->out.data, l->out.data + pass, l->out.len);
  if (l->out.len == 0) {
    job->messages = l->out_messages;
    l->out_messages = 0;
  }
  l->writing = true;
  l->writing_messages += job->messages;
  if (l->websocket) l->server->bytes_out += pass;
  uv_buf_t buf = uv_buf_init((char *)job->bytes, (unsigned)pass);
  if (uv_write(&job->req, (uv_stream_t *)&l->tcp, &buf, 1, on_written) != 0) {
    l->writing = false;
    free(job->bytes);
    free(job);
    peer__link_cut(l);
  }
}

void peer__link_put(peer_link *l, const void *bytes, size_t len, uint32_t messages) {
  if (l->closing || l->dead) return;
  iu__buf_put(&l->out, bytes, len);
  if (l->out.failed) abort();
  l->out_messages += messages;
  if (l->out_messages + l->writing_messages > PEER_QUEUE_MAX && l->websocket) peer__link_cut(l); /* a subscriber that does not read */
}

static void on_prepare(uv_prepare_t *p) {
  peer_server *s = p->data;
  for (peer_link *l = s->links; l != NULL; l = l->next) {
    if (l->websocket && !l->closing) peer__websocket_flush(l);
    flush(l);
  }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  (void)h;
  buf->base = malloc(suggested);
  buf->len = buf->base != NULL ? suggested : 0;
}

static void take(peer_link *l, const char *bytes, size_t len) {
  size_t pass = l->websocket ? peer__fault_pass(&l->server->fault.cut_in_after, len) : len;
  if (l->websocket) l->server->bytes_in += pass;
  iu__buf_put(&l->in, bytes, pass);
  if (l->in.failed) abort();
  if (l->websocket) peer__websocket_read(l);
  else peer__http_read(l);
  if (pass == len) return;
  l->server->fault.cut_in_after = -1;
  peer__link_cut(l);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  peer_link *l = stream->data;
  if (n < 0 || l->dead) peer__link_cut(l);
  else if (n > 0 && !l->closing) {
    l->heard_at = uv_now(&l->server->uv);
    take(l, buf->base, (size_t)n);
  }
  free(buf->base);
}

static void on_stall_over(uv_timer_t *t) {
  peer_link *l = t->data;
  l->stalled = false;
  uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
}

void peer__link_stall(peer_link *l, int64_t ms) {
  if (l->closing) return;
  l->stalled = true;
  uv_read_stop((uv_stream_t *)&l->tcp);
  if (ms >= 0) uv_timer_start(&l->timer, on_stall_over, (uint64_t)ms, 0);
}

/* ---- the listener ---- */

static void on_connection(uv_stream_t *listener, int status) {
  peer_server *s = listener->data;
  peer_link *l;
  if (status < 0) return;
  l = calloc(1, sizeof *l);
  if (l == NULL) abort();
  l->server = s;
  l->handles = 3;
  uv_tcp_init(&s->uv, &l->tcp);
  uv_timer_init(&s->uv, &l->timer);
  uv_timer_init(&s->uv, &l->ping);
  l->tcp.data = l->timer.data = l->ping.data = l;
  l->next = s->links;
  s->links = l;
  if (uv_accept(listener, (uv_stream_t *)&l->tcp) != 0) {
    peer__link_cut(l);
    return;
  }
  uv_tcp_nodelay(&l->tcp, 1);
  uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
}

void peer__listen(peer_server *s) {
  struct sockaddr_in address;
  int len = sizeof address;
  uv_tcp_init(&s->uv, &s->listener);
  s->listener.data = s;
  uv_ip4_addr("127.0.0.1", s->port, &address);
  int rc = uv_tcp_bind(&s->listener, (const struct sockaddr *)&address, 0);
  if (rc == 0) rc = uv_listen((uv_stream_t *)&s->listener, 128, on_connection);
  if (rc == 0) rc = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &len);
  if (rc != 0) {
    fprintf(stderr, "peer: cannot listen on port %d: %s\n", s->port, uv_strerror(rc));
    exit(2);
  }
  s->port = ntohs(address.sin_port);
  s->listening = true;
  if (s->prepare.data != NULL) return;
  s->prepare.data = s;
  uv_prepare_init(&s->uv, &s->prepare);
  s->prepare.data = s;
  uv_prepare_start(&s->prepare, on_prepare);
}

static void on_again(uv_timer_t *t) { peer__listen(t->data); }

static void on_listener_closed(uv_handle_t *h) {
  peer_server *s = h->data;
  if (s->again.data != NULL) uv_timer_start(&s->again, on_again, s->again.repeat, 0);
}

void peer__restart(peer_server *s, uint32_t ms) {
  for (peer_link *l = s->links; l != NULL; l = l->next) {
    if (!l->admin) peer__link_cut(l);
  }
  if (!s->listening) return;
  s->listening = false;
  uv_timer_set_repeat(&s->again, ms);
  uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

void peer__close_all(peer_server *s) {
  s->again.data = NULL;
  for (peer_link *l = s->links; l != NULL; l = l->next) peer__link_cut(l);
  if (s->listening) uv_close((uv_handle_t *)&s->listener, NULL);
  s->listening = false;
  uv_close((uv_handle_t *)&s->again, NULL);
  uv_close((uv_handle_t *)&s->prepare, NULL);
}
