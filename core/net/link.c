/* link.c: see link.h.
 *
 * libwebsockets knows a link by the opaque pointer of its connection ("wsi"); a link that has let go has taken that pointer away, and the callback then
 * answers -1, which makes libwebsockets close. From outside of its own callbacks a wsi is killed at once.
 */
#include "link.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../base/alloc.h"
#include "../base/clock.h"

#define READS_PER_EVENT 8
#define ADDRESS_TEXT 64

struct iu__link {
  iu_loop *loop; /* held while a name is looked up: `net` may be gone by then */
  iu__net *net;
  struct lws_vhost *vhost;
  iu__link_owner owner;
  iu__url url;
  iu_tls tls; /* only `insecure` is read later */
  const char *method;
  char *headers;
  const uint8_t *body;
  size_t body_len, body_sent;
  uv_getaddrinfo_t resolve;
  char addresses[IU_LINK_ADDRESSES_MAX][ADDRESS_TEXT];
  uint32_t address_count, address_next;
  struct lws *wsi;
  iu_timer *timer;
  uint64_t timeout_ms, deadline_ns;
  char tls_error[128];
  char *const *read_at; /* where the read in progress stands in the buffer */
  uint32_t depth;       /* of calls that will touch the link when they come back */
  bool counted, in_lws, keep_connection, resolving, connected, request_sent, head_seen, sized, chunked, ended, closed;
  bool paused, unread, want_write, drained;
  size_t got;           /* bytes of the read in progress */
};

static void link_uncount(iu__link *l) {
  if (l->counted) iu__net_leave(l->net);
  l->counted = false;
}

static void link_try_free(iu__link *l) {
  if (!l->closed || l->resolving || l->depth != 0) return;
  iu__free(l->headers);
  iu__free(l);
}

/* Takes the connection away. Inside a callback of libwebsockets for it the answer -1 does the rest. */
static void link_cut(iu__link *l) {
  struct lws *wsi = l->wsi;
  int fd;
  if (wsi == NULL) return;
  l->wsi = NULL;
  lws_set_opaque_user_data(wsi, NULL);
  if (l->in_lws) return;
  /* libwebsockets would hold on to it while it has unsent bytes. */
  fd = lws_get_socket_fd(wsi);
  if (fd >= 0) shutdown(fd, SHUT_RDWR);
  lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void link_stop_timer(iu__link *l) {
  iu__timer_close(l->timer);
  l->timer = NULL;
}

static void link_end(iu__link *l, const iu_error *err) {
  if (l->ended || l->closed) return;
  l->ended = true;
  link_stop_timer(l);
  l->depth++; /* the owner may close it now */
  l->owner.on_end(l->owner.ud, err);
  l->depth--;
}

static void link_fail(iu__link *l, iu_status status, const char *text) {
  iu_error err;
  iu__error_clear(&err);
  iu__fail(&err, status, "%s: %s", l->url.authority, text);
  link_end(l, &err);
}

void iu__link_close(iu__link *l) {
  if (l == NULL || l->closed) return;
  l->closed = true;
  link_stop_timer(l);
  link_cut(l);
  if (l->resolving) uv_cancel((uv_req_t *)&l->resolve);
  link_uncount(l);
  link_try_free(l);
}

/* ---- connecting ---- */

static void link_attempt(iu__link *l);
static iu_status link_arm(iu__link *l, iu_error *err);

/* The share of an address is over, not yet the whole time. */
static void share_ended(iu__link *l) {
  iu_error err;
  if (!l->connected && l->address_next < l->address_count) {
    link_cut(l);
    link_attempt(l);
    return;
  }
  if (link_arm(l, &err) == IU_OK) return;
  l->depth++;
  link_end(l, &err);
  l->depth--;
  link_cut(l);
  link_try_free(l);
}

static void on_timer(void *ud) {
  iu__link *l = ud;
  char text[160];
  link_stop_timer(l);
  if (iu__clock_mono_ns() < l->deadline_ns) {
    share_ended(l);
    return;
  }
  snprintf(text, sizeof text, "timed out after %llu ms while %s", (unsigned long long)l->timeout_ms,
           l->resolving ? "looking up the name" : !l->connected ? "connecting" : !l->request_sent ? "setting up TLS" : "waiting for an answer");
  l->depth++;
  link_fail(l, IU_E_TIMEOUT, text);
  l->depth--;
  link_cut(l);
  link_try_free(l);
}

/* What is left of the deadline, shared by the addresses still to be tried. */
static iu_status link_arm(iu__link *l, iu_error *err) {
  uint64_t now = iu__clock_mono_ns(), left_ms;
  uint32_t shares = l->connected || l->address_next >= l->address_count ? 1 : l->address_count - l->address_next + 1;
  if (l->timeout_ms == 0) return IU_OK;
  left_ms = l->deadline_ns > now ? (l->deadline_ns - now + 999999) / 1000000 : 0;
  link_stop_timer(l);
  return iu__timer_start(l->loop, left_ms / shares, 0, on_timer, l, &l->timer, err);
}

static void tell_no_address(iu__link *l, const char *why) {
  char text[256];
  snprintf(text, sizeof text, "cannot connect to %s port %u: %s", l->addresses[l->address_next - 1], (unsigned)l->url.port, why);
  link_fail(l, IU_E_CONNECTION, text);
}

static struct lws *link_connect(iu__link *l, const char *address, struct lws **made) {
  struct lws_client_connect_info info;
  memset(&info, 0, sizeof info);
  info.context = iu__net_lws(l->net);
  info.vhost = l->vhost;
  info.address = address;
  info.port = l->url.port;
  info.path = l->url.path;
  info.host = l->url.authority;
  info.method = l->method;
  info.alpn = "http/1.1";
  info.local_protocol_name = "iu";
  info.opaque_user_data = l;
  info.pwsi = made;
  info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
  if (l->url.tls) info.ssl_connection |= LCCSCF_USE_SSL;
  /* An IPv6 address is compared with the certificate in verify(): libwebsockets cuts the host at its first colon. */
  if (l->url.tls && (l->tls.insecure || l->url.ipv6)) info.ssl_connection |= LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
  return lws_client_connect_via_info(&info);
}

static void link_attempt(iu__link *l) {
  iu_error err;
  l->depth++;
  while (!l->closed && l->address_next < l->address_count) {
    const char *address = l->addresses[l->address_next++];
    struct lws *made = NULL;
    iu__error_clear(&err);
    if (link_arm(l, &err) != IU_OK) {
      link_end(l, &err);
      break;
    }
    l->wsi = link_connect(l, address, &made);
    if (l->wsi != NULL) break;
    if (made != NULL) iu__net_sweep(l->net, made);
    if (l->address_next == l->address_count) tell_no_address(l, "refused or unreachable");
  }
  l->depth--;
  link_try_free(l);
}

static bool address_text(const struct sockaddr *sa, char out[ADDRESS_TEXT]) {
  if (sa->sa_family == AF_INET) return uv_ip4_name((const struct sockaddr_in *)sa, out, ADDRESS_TEXT) == 0;
  if (sa->sa_family != AF_INET6 || uv_ip6_name((const struct sockaddr_in6 *)sa, out, ADDRESS_TEXT) != 0) return false;
  if (((const struct sockaddr_in6 *)sa)->sin6_scope_id != 0) {
    size_t len = strlen(out);
    snprintf(out + len, ADDRESS_TEXT - len, "%%%u", ((const struct sockaddr_in6 *)sa)->sin6_scope_id);
  }
  return true;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
  iu__link *l = req->data;
  iu_loop *loop = l->loop;
  char text[160];
  l->resolving = false;
  for (const struct addrinfo *a = list; a != NULL && l->address_count < IU_LINK_ADDRESSES_MAX; a = a->ai_next) {
    if (address_text(a->ai_addr, l->addresses[l->address_count])) l->address_count++;
  }
  uv_freeaddrinfo(list);
  if (l->closed || l->ended) {
    link_try_free(l);
  } else if (l->address_count == 0) {
    snprintf(text, sizeof text, "name not found: %s", status != 0 ? uv_strerror(status) : "it has no address");
    l->depth++;
    link_fail(l, IU_E_CONNECTION, text);
    l->depth--;
    link_try_free(l);
  } else {
    link_attempt(l);
  }
  iu__loop_unhold(loop);
}

static bool line_safe(const char *text, bool name) {
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == 0x7f || (c < ' ' && c != '\t') || (name && (c <= ' ' || c == ':' || c > 0x7e))) return false;
  }
  return true;
}

iu_status iu__link_headers(iu_buf *out, const iu_header *headers, uint32_t count, iu_error *err) {
  for (uint32_t i = 0; i < count; i++) {
    if (*headers[i].name == '\0' || !line_safe(headers[i].name, true) || !line_safe(headers[i].value, false))
      return iu__fail(err, IU_E_VALIDATION, "header %u: its name or value has characters that no header may have", i + 1);
    iu__buf_put_str(out, headers[i].name);
    iu__buf_put_str(out, ": ");
    iu__buf_put_str(out, headers[i].value);
    iu__buf_put_str(out, "\r\n");
  }
  return iu__buf_status(out, err, "request headers");
}

static iu_status link_resolve(iu__link *l, iu_error *err) {
  struct addrinfo hints;
  int rc;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  if (l->url.ipv6) hints.ai_flags = AI_NUMERICHOST;
  l->resolve.data = l;
  rc = uv_getaddrinfo(iu__loop_uv(l->loop), &l->resolve, on_resolved, l->url.host, NULL, &hints);
  if (rc != 0) return iu__fail(err, IU_E_CONNECTION, "%s: name lookup: %s", l->url.authority, uv_strerror(rc));
  l->resolving = true;
  iu__loop_hold(l->loop);
  return IU_OK;
}

static iu_status link_count(iu__link *l, iu_error *err) {
  l->counted = iu__net_enter(l->net);
  return l->counted ? IU_OK : iu__fail(err, IU_E_OVERLOADED, "more than %u sockets on one loop", IU_NET_SOCKETS_MAX);
}

iu_status iu__link_open(iu_loop *loop, const iu__link_config *config, iu__link **out, iu_error *err) {
  static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};
  iu_error local;
  iu__link *l;
  *out = NULL;
  if (err == NULL) err = &local;
  l = iu__alloc_zero(1, sizeof *l);
  if (l == NULL) return iu__fail_nomem(err);
  l->closed = true; /* for the unwinding below */
  l->loop = loop;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    if (strcmp(config->method, methods[i]) == 0) l->method = methods[i];
  }
  l->url = *config->url;
  l->tls = *config->tls;
  l->owner = config->owner;
  l->body = config->body;
  l->body_len = config->body_len;
  l->keep_connection = config->keep_connection;
  l->timeout_ms = config->head_timeout_ms;
  l->deadline_ns = iu__clock_mono_ns() + l->timeout_ms * 1000000u;
  iu__error_clear(err);
  if (l->method == NULL) iu__fail(err, IU_E_VALIDATION, "unknown HTTP method");
  else if (strlen(config->headers) > IU_LINK_HEADERS_MAX) iu__fail(err, IU_E_VALIDATION, "request headers are longer than %u bytes", IU_LINK_HEADERS_MAX);
  else if ((l->headers = iu__strndup(config->headers, strlen(config->headers))) == NULL) iu__fail_nomem(err);
  else if (iu__net_get(loop, &l->net, err) == IU_OK && link_count(l, err) == IU_OK && iu__net_vhost(l->net, l->url.tls ? config->tls : NULL, &l->vhost, err) == IU_OK &&
           link_arm(l, err) == IU_OK) link_resolve(l, err);
  if (err->status != IU_OK) {
    link_stop_timer(l);
    link_uncount(l);
    link_try_free(l);
    return err->status;
  }
  l->closed = false;
  *out = l;
  return IU_OK;
}

/* ---- the request ---- */

/* libwebsockets has written the request line and "Host"; it closes the connection after the answer, and says so, unless it may put other
 * requests on it. Neither is wanted for an upgrade, so its line is taken back. */
static int append_headers(iu__link *l, struct lws *wsi, char **p, size_t room) {
  static const char close_line[] = "connection: close\r\n";
  const size_t close_len = sizeof close_line - 1;
  char length[48] = "";
  size_t len = strlen(l->headers);
  if (l->keep_connection && strncasecmp(*p - close_len, close_line, close_len) == 0) *p -= close_len;
  if (l->body_len != 0 || strcmp(l->method, "POST") == 0 || strcmp(l->method, "PUT") == 0)
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", l->body_len);
  if (len + strlen(length) + 1 > room) return -1;
  memcpy(*p, l->headers, len);
  *p += len;
  memcpy(*p, length, strlen(length));
  *p += strlen(length);
  l->request_sent = true;
  if (l->body_len != 0) lws_client_http_body_pending(wsi, 1);
  return 0;
}

static size_t write_some(iu__link *l, const uint8_t *bytes, size_t len) {
  uint8_t *buffer = iu__net_write_buffer(l->net) + LWS_PRE;
  if (len > IU_NET_WRITE_SIZE) len = IU_NET_WRITE_SIZE;
  memcpy(buffer, bytes, len);
  /* What the kernel does not take libwebsockets keeps, and has it "partially buffered" meanwhile. */
  return lws_write(l->wsi, buffer, len, LWS_WRITE_HTTP) < 0 ? 0 : len;
}

static int send_body(iu__link *l, struct lws *wsi) {
  while (l->body_sent < l->body_len && !lws_send_pipe_choked(wsi)) {
    size_t sent = write_some(l, l->body + l->body_sent, l->body_len - l->body_sent);
    if (sent == 0) return -1;
    l->body_sent += sent;
  }
  if (l->body_sent == l->body_len) lws_client_http_body_pending(wsi, 0);
  else lws_callback_on_writable(wsi);
  return 0;
}

bool iu__link_sent(const iu__link *l) { return l->request_sent; }

void iu__link_want_write(iu__link *l) {
  if (l->want_write) return; /* asked for already: each time costs a system call */
  l->want_write = true;
  if (l->wsi != NULL && l->head_seen) lws_callback_on_writable(l->wsi);
}

size_t iu__link_write(iu__link *l, const uint8_t *bytes, size_t len) {
  if (l->wsi == NULL || !l->head_seen || len == 0 || lws_partial_buffered(l->wsi)) return 0;
  return write_some(l, bytes, len);
}

static void writable(iu__link *l, struct lws *wsi) {
  if (!l->want_write) return;
  /* While bytes keep coming libwebsockets does not get to what it kept. */
  if (lws_partial_buffered(wsi)) lws_write(wsi, NULL, 0, LWS_WRITE_HTTP);
  if (lws_send_pipe_choked(wsi)) {
    lws_callback_on_writable(wsi);
    return;
  }
  l->want_write = false;
  l->owner.on_writable(l->owner.ud);
}

/* ---- the answer ---- */

typedef struct known_header { const char *name; enum lws_token_indexes token; } known_header;
static const known_header known_headers[] = {
  {"connection:", WSI_TOKEN_CONNECTION}, {"content-type:", WSI_TOKEN_HTTP_CONTENT_TYPE}, {"content-length:", WSI_TOKEN_HTTP_CONTENT_LENGTH},
  {"location:", WSI_TOKEN_HTTP_LOCATION}, {"sec-websocket-accept:", WSI_TOKEN_ACCEPT}, {"sec-websocket-extensions:", WSI_TOKEN_EXTENSIONS},
  {"sec-websocket-protocol:", WSI_TOKEN_PROTOCOL}, {"transfer-encoding:", WSI_TOKEN_HTTP_TRANSFER_ENCODING}, {"upgrade:", WSI_TOKEN_UPGRADE},
};

bool iu__link_header(iu__link *l, const char *name, char *out, size_t cap) {
  int len = (int)strlen(name);
  *out = '\0';
  if (l->wsi == NULL) return false;
  for (size_t i = 0; i < sizeof known_headers / sizeof *known_headers; i++) {
    if (strcmp(name, known_headers[i].name) != 0) continue;
    if (lws_hdr_copy(l->wsi, out, (int)cap, known_headers[i].token) > 0) return true;
    *out = '\0';
    return false;
  }
  if (lws_hdr_custom_length(l->wsi, name, len) > 0 && lws_hdr_custom_copy(l->wsi, out, (int)cap, name, len) > 0) return true;
  *out = '\0';
  return false;
}

static void head_came(iu__link *l, struct lws *wsi) {
  char text[32];
  int status = (int)lws_http_client_http_response(wsi);
  bool empty;
  l->head_seen = true;
  link_stop_timer(l);
  l->sized = iu__link_header(l, "content-length:", text, sizeof text);
  /* Ended here: when libwebsockets ends it, after this callback, it forgets to close. */
  empty = l->sized && strspn(text, "0 ") == strlen(text);
  l->chunked = iu__link_header(l, "transfer-encoding:", text, sizeof text);
  l->owner.on_head(l->owner.ud, status);
  if (!l->closed && (empty || status == 204 || status == 304 || strcmp(l->method, "HEAD") == 0)) link_end(l, NULL);
  if (l->wsi != NULL && l->want_write) lws_callback_on_writable(wsi);
}

/* -1: libwebsockets shall close. */
static int read_some(iu__link *l, struct lws *wsi) {
  for (int i = 0; i < READS_PER_EVENT; i++) {
    char *at = (char *)iu__net_read_buffer(l->net);
    int len = (int)IU_NET_READ_SIZE;
    int rc;
    l->got = 0;
    l->read_at = &at;
    rc = lws_http_client_read(wsi, &at, &len);
    l->read_at = NULL;
    if (rc < 0) return -1;
    if (l->closed || l->ended) return -1;
    if (l->got == 0) l->drained = true;
    if (l->got == 0 || l->paused || iu__loop_over_deadline(l->loop)) break; /* what was left unread is there in the next turn */
    /* All that there was: no need to be told so. Not where libwebsockets may hold bytes itself: behind the head, or deciphered. */
    if (l->drained && l->got < IU_NET_READ_SIZE && !l->url.tls) break;
  }
  return 0;
}

static int readable(iu__link *l, struct lws *wsi) {
  l->unread = l->paused;
  if (l->paused) return 0; /* libwebsockets has stopped polling */
  if (read_some(l, wsi) != 0) return -1;
  if (l->wsi != NULL) writable(l, wsi); /* it handles one kind of event at a time, reading first */
  return 0;
}

void iu__link_pause(iu__link *l, bool paused) {
  if (l->paused == paused) return;
  l->paused = paused;
  if (!paused && l->unread && l->wsi != NULL) lws_callback_on_writable(l->wsi);
}

static void bytes_came(iu__link *l, const uint8_t *bytes, size_t len) {
  if (len > IU_NET_READ_SIZE) { /* a chunk size past all bounds comes out negative */
    link_fail(l, IU_E_CONNECTION, "the answer's chunks make no sense");
    return;
  }
  l->got += len;
  l->owner.on_bytes(l->owner.ud, bytes, len);
}

/* libwebsockets says that an answer in chunks is complete also when the peer closed in the middle of one; then its read has not moved. */
static bool read_nothing(const iu__link *l) { return l->read_at != NULL && *l->read_at == (char *)iu__net_read_buffer(l->net); }

/* `finished`: the answer is complete, or the peer closed where that may be its end. */
static void answer_ended(iu__link *l, bool finished) {
  if (!l->head_seen) link_fail(l, IU_E_CONNECTION, "the connection ended before an answer came");
  else if (finished || (!l->sized && !l->chunked)) link_end(l, NULL);
  else link_fail(l, IU_E_CONNECTION, "the connection was cut in the middle of the answer");
}

static void connection_failed(iu__link *l, struct lws *wsi, const char *why, size_t len) {
  char reason[128], text[256];
  snprintf(reason, sizeof reason, "%.*s", (int)(len < sizeof reason ? len : sizeof reason - 1), why != NULL ? why : "");
  l->wsi = NULL;
  lws_set_opaque_user_data(wsi, NULL);
  if (lws_get_socket_fd(wsi) < 0) iu__net_sweep(l->net, wsi);
  if (!l->connected && l->address_next < l->address_count) {
    link_attempt(l);
  } else if (!l->connected) {
    tell_no_address(l, "refused or unreachable");
  } else if (!l->request_sent && l->url.tls) {
    snprintf(text, sizeof text, "TLS failed: %s", l->tls_error[0] != '\0' ? l->tls_error : reason);
    link_fail(l, IU_E_CONNECTION, text);
  } else {
    snprintf(text, sizeof text, "the connection ended before an answer came (%s)", reason);
    link_fail(l, IU_E_CONNECTION, text);
  }
}

/* 0: the certificate is accepted. */
static int verify(iu__link *l, X509_STORE_CTX *store, bool ok) {
  X509 *cert = X509_STORE_CTX_get_current_cert(store);
  if (l->tls.insecure) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 0;
  }
  if (!ok) {
    snprintf(l->tls_error, sizeof l->tls_error, "certificate: %s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    return 1;
  }
  if (l->url.ipv6 && X509_STORE_CTX_get_error_depth(store) == 0 && X509_check_ip_asc(cert, l->url.host, 0) != 1) {
    snprintf(l->tls_error, sizeof l->tls_error, "certificate: IP address mismatch");
    X509_STORE_CTX_set_error(store, X509_V_ERR_IP_ADDRESS_MISMATCH);
    return 1;
  }
  return 0;
}

static int dispatch(iu__link *l, struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  int rc = 0;
  switch (reason) {
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION: return verify(l, user, len != 0);
    case LWS_CALLBACK_WSI_CREATE: l->connected = true; break;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: rc = append_headers(l, wsi, in, len); break;
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP: head_came(l, wsi); break;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP: rc = readable(l, wsi); break;
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ: bytes_came(l, in, len); break;
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
      if (!l->head_seen) rc = send_body(l, wsi);
      else if (l->unread && !l->paused) rc = readable(l, wsi);
      else writable(l, wsi);
      break;
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
      answer_ended(l, !(l->chunked && read_nothing(l)));
      break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: connection_failed(l, wsi, in, len); break;
    default: /* CLOSED_CLIENT_HTTP, WSI_DESTROY */
      l->wsi = NULL;
      lws_set_opaque_user_data(wsi, NULL);
      answer_ended(l, false);
      break;
  }
  return rc;
}

int iu__link_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  iu__link *l;
  bool was_inside;
  int rc;
  switch (reason) { /* others come with a wsi that is not one */
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
    case LWS_CALLBACK_WSI_CREATE:
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_WSI_DESTROY: break;
    default: return 0;
  }
  l = lws_get_opaque_user_data(wsi);
  if (l == NULL) return -1;
  was_inside = l->in_lws;
  l->in_lws = true;
  l->depth++;
  if (l->wsi == NULL && reason != LWS_CALLBACK_WSI_DESTROY) l->wsi = wsi; /* still inside the connect */
  rc = dispatch(l, wsi, reason, user, in, len);
  l->depth--;
  if (l->closed || l->ended) {
    link_cut(l);
    rc = -1;
  }
  l->in_lws = was_inside;
  link_try_free(l);
  return rc;
}
