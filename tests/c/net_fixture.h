/* The scripted peer of the net tests: a thread that accepts connections on loopback, one after the other, and plays a script on each with blocking
 * sockets; and the client's side: a loop that is turned until something has happened, bounded in time. */
#ifndef NET_FIXTURE_H
#define NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "../../core/base/clock.h"
#include "../../core/base/errinj.h"
#include "../../core/net/http.h"
#include "../../core/net/websocket.h"

#define MS 1000000u
#define PATIENCE_MS 20000 /* a loaded machine under the sanitizers is slow */

typedef struct peer peer;
typedef struct peer_conn { peer *p; int fd; SSL *ssl; int index; char head[40000]; } peer_conn;
typedef void (*peer_script)(peer_conn *c);
struct peer { int fd; uint16_t port; int accepts; peer_script script; SSL_CTX *tls; pthread_t thread; bool running; void *arg; };

static inline bool conn_send(peer_conn *c, const void *bytes, size_t len) {
  const char *p = bytes;
  while (len > 0) {
    size_t part = len > 1u << 20 ? 1u << 20 : len;
    ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, p, (int)part) : send(c->fd, p, part, MSG_NOSIGNAL);
    if (n <= 0) return false;
    p += n;
    len -= (size_t)n;
  }
  return true;
}
static inline bool conn_text(peer_conn *c, const char *text) { return conn_send(c, text, strlen(text)); }

static inline ssize_t conn_some(peer_conn *c, void *bytes, size_t len) { return c->ssl != NULL ? SSL_read(c->ssl, bytes, (int)len) : recv(c->fd, bytes, len, 0); }
static inline bool conn_recv(peer_conn *c, void *bytes, size_t len) {
  char *p = bytes;
  while (len > 0) {
    ssize_t n = conn_some(c, p, len);
    if (n <= 0) return false;
    p += n;
    len -= (size_t)n;
  }
  return true;
}
/* Until the client closes. */
static inline void conn_drain(peer_conn *c) {
  char bytes[4096];
  while (conn_some(c, bytes, sizeof bytes) > 0) {}
}

static inline bool conn_head(peer_conn *c) {
  size_t n = 0;
  c->head[0] = '\0';
  while (n + 1 < sizeof c->head && conn_recv(c, c->head + n, 1)) {
    c->head[++n] = '\0';
    if (n >= 4 && memcmp(c->head + n - 4, "\r\n\r\n", 4) == 0) return true;
  }
  return false;
}

static inline void conn_accept_key(peer_conn *c, char out[32]) {
  const char *key = strcasestr(c->head, "Sec-WebSocket-Key: ");
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[128];
  snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key != NULL ? key + 19 : "");
  EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL);
  EVP_EncodeBlock((unsigned char *)out, digest, 20);
}

/* Reads the request and answers 101; `more` are further header lines. */
static inline bool conn_upgrade(peer_conn *c, const char *more) {
  char accept[32], text[1024];
  if (!conn_head(c)) return false;
  conn_accept_key(c, accept);
  snprintf(text, sizeof text, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept, more);
  return conn_text(c, text);
}

static inline size_t frame_head(uint8_t head[10], bool fin, int opcode, uint64_t len) {
  head[0] = (uint8_t)((fin ? 0x80 : 0) | opcode);
  if (len < 126) { head[1] = (uint8_t)len; return 2; }
  if (len <= 0xffff) { head[1] = 126; head[2] = (uint8_t)(len >> 8); head[3] = (uint8_t)len; return 4; }
  head[1] = 127;
  for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)(len >> (56 - 8 * i));
  return 10;
}
static inline bool conn_frame(peer_conn *c, bool fin, int opcode, const void *bytes, size_t len) {
  uint8_t head[10];
  return conn_send(c, head, frame_head(head, fin, opcode, len)) && conn_send(c, bytes, len);
}
/* One whole frame of the client, unmasked; false at the end, or when it is not masked. */
static inline bool conn_read_frame(peer_conn *c, int *opcode, uint8_t *bytes, size_t cap, size_t *len) {
  uint8_t head[8], mask[4];
  uint64_t n;
  if (!conn_recv(c, head, 2) || (head[1] & 0x80) == 0) return false;
  *opcode = head[0] & 15;
  n = head[1] & 0x7f;
  if (n >= 126) {
    int digits = n == 126 ? 2 : 8;
    if (!conn_recv(c, head, (size_t)digits)) return false;
    n = 0;
    for (int i = 0; i < digits; i++) n = n << 8 | head[i];
  }
  if (n > cap || !conn_recv(c, mask, 4) || !conn_recv(c, bytes, (size_t)n)) return false;
  for (uint64_t i = 0; i < n; i++) bytes[i] ^= mask[i & 3];
  *len = (size_t)n;
  return true;
}

static inline void *peer_main(void *arg) {
  peer *p = arg;
  for (int i = 0; i < p->accepts; i++) {
    struct timeval limit = {.tv_sec = PATIENCE_MS / 1000};
    peer_conn *c = calloc(1, sizeof *c);
    int one = 1;
    if (c == NULL) break;
    c->p = p;
    c->index = i;
    c->fd = accept(p->fd, NULL, NULL);
    if (c->fd < 0) { free(c); break; }
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (p->tls != NULL) {
      c->ssl = SSL_new(p->tls);
      SSL_set_fd(c->ssl, c->fd);
    }
    if (c->ssl == NULL || SSL_accept(c->ssl) == 1) p->script(c);
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
  }
  return NULL;
}

static inline int loopback_listen(bool ipv6, uint16_t *port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr *address = ipv6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
  socklen_t len = ipv6 ? sizeof six : sizeof four;
  int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, address, len), 0);
  assert_int_equal(listen(fd, 16), 0);
  assert_int_equal(getsockname(fd, address, &len), 0);
  *port = ntohs(ipv6 ? six.sin6_port : four.sin_port);
  return fd;
}

static inline void peer_start_on(peer *p, peer_script script, int accepts, bool ipv6, SSL_CTX *tls, void *arg) {
  memset(p, 0, sizeof *p);
  p->script = script;
  p->accepts = accepts;
  p->tls = tls;
  p->arg = arg;
  p->fd = loopback_listen(ipv6, &p->port);
  p->running = true;
  assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}
static inline void peer_start_with(peer *p, peer_script script, void *arg) { peer_start_on(p, script, 1, false, NULL, arg); }
static inline void peer_start(peer *p, peer_script script) { peer_start_with(p, script, NULL); }
static inline void peer_stop(peer *p) {
  if (!p->running) return;
  shutdown(p->fd, SHUT_RDWR); /* wakes an accept */
  pthread_join(p->thread, NULL);
  close(p->fd);
  p->running = false;
}

/* A self-signed certificate for `for_names`; its PEM goes to `path` (a template of mkstemp). */
static inline SSL_CTX *peer_tls(char *path, const char *for_names) {
  SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  X509_EXTENSION *names;
  FILE *file;
  int fd = mkstemp(path);
  assert_non_null(tls);
  assert_non_null(key);
  assert_non_null(cert);
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(cert));
  X509_set_pubkey(cert, key);
  names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, for_names);
  assert_non_null(names);
  X509_add_ext(cert, names, -1);
  X509_EXTENSION_free(names);
  assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
  assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
  assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
  assert_true(fd >= 0);
  file = fdopen(fd, "w");
  PEM_write_X509(file, cert);
  fclose(file);
  X509_free(cert);
  EVP_PKEY_free(key);
  return tls;
}

/* ---- the client's side ---- */

static inline bool turn_until(iu_loop *l, const int *count, int wanted) {
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  while (*count < wanted && iu__clock_mono_ns() < limit) iu__loop_turn(l, 50);
  return *count >= wanted;
}
static inline void turn_for(iu_loop *l, uint64_t ms) {
  uint64_t limit = iu__clock_mono_ns() + ms * MS;
  while (iu__clock_mono_ns() < limit) iu__loop_turn(l, 5);
}
/* Nothing of the sockets keeps the loop awake any more. */
static inline bool comes_to_rest(iu_loop *l) {
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  while (iu__loop_turn(l, 1)) if (iu__clock_mono_ns() > limit) return false;
  return true;
}

#endif
