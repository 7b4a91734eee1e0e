/* lws_context.c: see lws_context.h.
 *
 * The end. With a foreign uv loop lws_context_destroy only starts to close handles, in two waves, tells nobody when they are closed, and
 * must be called again then. Its static handles carry the context in `data`; so every turn the loop is searched for such handles until there
 * are none. The handle that paces this search ("marker") is closed and made anew each turn, which also keeps the poll from sleeping.
 */
#include "lws_context.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../base/alloc.h"

typedef struct trust {
  char *ca_file;               /* "": the system's */
  char name[16];               /* libwebsockets keeps the pointer */
  SSL_CTX *ssl;                /* NULL: without TLS */
  struct lws_vhost *vhost;
} trust;

struct iu__net {
  iu__guest guest; /* first: the loop hands it back */
  iu_loop *loop;
  uv_loop_t *uv;
  struct lws_context *lws;
  uv_prepare_t marker;
  trust trusts[IU_NET_CA_FILES_MAX + 2]; /* without TLS, the system's, files */
  uint32_t trust_count, ca_files, sockets;
  uint8_t *buffers;
};

static const struct lws_protocols protocols[] = {
  {.name = "iu", .callback = iu__link_callback, .rx_buffer_size = IU_NET_READ_SIZE},
  {.name = NULL},
};

/* ---- making it ---- */

typedef struct scan { const void *wanted; bool found; } scan;

/* Handles are walked in the order they were made: what comes after the marker is libwebsockets'. */
static void unref_after(uv_handle_t *h, void *arg) {
  scan *s = arg;
  if (s->found) uv_unref(h);
  if (h == s->wanted) s->found = true;
}

static void keep_host_sigpipe(const struct sigaction *before) {
  if (before->sa_handler != SIG_DFL || (before->sa_flags & SA_SIGINFO) != 0) sigaction(SIGPIPE, before, NULL);
}

static struct lws_context *make_context(uv_loop_t *uv) {
  void *loops[1] = {uv};
  struct sigaction sigpipe;
  struct lws_context *context;
  struct lws_context_creation_info info;
  memset(&info, 0, sizeof info);
  info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  info.foreign_loops = loops;
  info.port = CONTEXT_PORT_NO_LISTEN;
  info.pt_serv_buf_size = IU_NET_READ_SIZE + LWS_PRE;
  info.max_http_header_data2 = IU_NET_HEADERS_MAX;
  info.fd_limit_per_thread = 2 * IU_NET_SOCKETS_MAX; /* closed ones take a turn to go */
  info.timeout_secs = 24 * 3600; /* deadlines are ours */
  sigaction(SIGPIPE, NULL, &sigpipe);
  lws_set_log_level(0, NULL);
  context = lws_create_context(&info);
  keep_host_sigpipe(&sigpipe);
  return context;
}

static void on_marker_closed(uv_handle_t *marker);

static void net_free(iu__net *net) {
  for (uint32_t i = 0; i < net->trust_count; i++) {
    SSL_CTX_free(net->trusts[i].ssl);
    iu__free(net->trusts[i].ca_file);
  }
  iu__free(net->buffers);
  iu__free(net);
}

static void net_closing(iu__guest *guest) {
  iu__net *net = (iu__net *)guest;
  lws_context_destroy(net->lws);
  uv_close((uv_handle_t *)&net->marker, on_marker_closed);
}

static void find_static(uv_handle_t *h, void *arg) {
  scan *s = arg;
  if (h->data == s->wanted) s->found = true;
}

static void on_marker_closed(uv_handle_t *marker) {
  iu__net *net = marker->data;
  iu_loop *loop = net->loop;
  scan s = {net->lws, false};
  if (net->lws != NULL) uv_walk(net->uv, find_static, &s);
  if (s.found) {
    uv_prepare_init(net->uv, &net->marker);
    uv_close((uv_handle_t *)&net->marker, on_marker_closed);
    return;
  }
  if (net->lws != NULL) lws_context_destroy(net->lws);
  net_free(net);
  iu__loop_unhold(loop);
}

iu_status iu__net_get(iu_loop *loop, iu__net **out, iu_error *err) {
  iu__net *net = (iu__net *)iu__loop_guest(loop);
  scan s;
  *out = net;
  if (net != NULL) return IU_OK;
  net = iu__alloc_zero(1, sizeof *net);
  if (net == NULL) return iu__fail_nomem(err);
  net->buffers = iu__alloc(IU_NET_READ_SIZE + LWS_PRE + IU_NET_WRITE_SIZE);
  if (net->buffers == NULL) {
    iu__free(net);
    return iu__fail_nomem(err);
  }
  net->guest.closing = net_closing;
  net->loop = loop;
  net->uv = iu__loop_uv(loop);
  uv_prepare_init(net->uv, &net->marker);
  net->marker.data = net;
  iu__loop_hold(loop);
  net->lws = make_context(net->uv);
  if (net->lws == NULL) {
    uv_close((uv_handle_t *)&net->marker, on_marker_closed);
    return iu__fail(err, IU_E_CONNECTION, "libwebsockets did not start; is its libuv plug-in installed (libwebsockets-evlib-uv)?");
  }
  s = (scan){&net->marker, false};
  uv_walk(net->uv, unref_after, &s);
  iu__loop_set_guest(loop, &net->guest);
  *out = net;
  return IU_OK;
}

/* ---- trust ---- */

static iu_status make_ssl(const char *ca_file, SSL_CTX **out, iu_error *err) {
  SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
  char detail[160];
  int ok;
  *out = NULL;
  if (ssl == NULL) return iu__fail_nomem(err);
  ok = SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  if (ok == 1 && *ca_file == '\0') ok = SSL_CTX_set_default_verify_paths(ssl);
  else if (ok == 1) ok = SSL_CTX_load_verify_file(ssl, ca_file);
  if (ok != 1) {
    ERR_error_string_n(ERR_peek_last_error(), detail, sizeof detail);
    ERR_clear_error();
    SSL_CTX_free(ssl);
    return iu__fail(err, IU_E_VALIDATION, "CA file %s: %s", ca_file, detail);
  }
  SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  *out = ssl;
  return IU_OK;
}

iu_status iu__net_vhost(iu__net *net, const iu_tls *tls, struct lws_vhost **out, iu_error *err) {
  const char *ca_file = tls != NULL && tls->ca_file != NULL ? tls->ca_file : "";
  struct lws_context_creation_info info;
  trust *t;
  for (uint32_t i = 0; i < net->trust_count; i++) {
    t = &net->trusts[i];
    if ((t->ssl != NULL) == (tls != NULL) && strcmp(t->ca_file, ca_file) == 0) {
      *out = t->vhost;
      return IU_OK;
    }
  }
  if (*ca_file != '\0' && net->ca_files == IU_NET_CA_FILES_MAX)
    return iu__fail(err, IU_E_OVERLOADED, "more than %u different CA files on one loop", IU_NET_CA_FILES_MAX);
  t = &net->trusts[net->trust_count];
  t->ssl = NULL;
  t->ca_file = iu__strndup(ca_file, strlen(ca_file));
  if (t->ca_file == NULL) return iu__fail_nomem(err);
  if (tls != NULL && make_ssl(ca_file, &t->ssl, err) != IU_OK) {
    iu__free(t->ca_file);
    return err != NULL ? err->status : IU_E_VALIDATION;
  }
  snprintf(t->name, sizeof t->name, "iu%u", net->trust_count);
  memset(&info, 0, sizeof info);
  info.vhost_name = t->name;
  info.port = CONTEXT_PORT_NO_LISTEN;
  info.protocols = protocols;
  info.http_proxy_address = ""; /* else libwebsockets takes the environment's */
  info.timeout_secs = 24 * 3600;
  info.connect_timeout_secs = 24 * 3600;
  if (tls != NULL) info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  info.provided_client_ssl_ctx = t->ssl;
  t->vhost = lws_create_vhost(net->lws, &info);
  if (t->vhost == NULL) {
    SSL_CTX_free(t->ssl);
    iu__free(t->ca_file);
    return iu__fail_nomem(err);
  }
  net->trust_count++;
  if (*ca_file != '\0') net->ca_files++;
  *out = t->vhost;
  return IU_OK;
}

/* ---- small things ---- */

struct lws_context *iu__net_lws(iu__net *net) { return net->lws; }

bool iu__net_enter(iu__net *net) {
  if (net->sockets == IU_NET_SOCKETS_MAX) return false;
  net->sockets++;
  return true;
}

void iu__net_leave(iu__net *net) { net->sockets--; }

uint8_t *iu__net_read_buffer(iu__net *net) { return net->buffers; }

uint8_t *iu__net_write_buffer(iu__net *net) { return net->buffers + IU_NET_READ_SIZE; }

static void free_poll(uv_handle_t *h) { free(h); } /* libwebsockets' allocator is the C library's */

static void sweep_handle(uv_handle_t *h, void *arg) {
  scan *s = arg;
  if (h->type == UV_POLL && h->data == s->wanted && !uv_is_closing(h) && !uv_is_active(h)) uv_close(h, free_poll);
}

void iu__net_sweep(iu__net *net, const void *wsi) {
  scan s = {wsi, false};
  uv_walk(net->uv, sweep_handle, &s);
}
