/* link.h: one HTTP/1.1 exchange over one connection of its own: names, addresses, TCP, TLS, head, body. websocket.c and http.c stand on it.
 *
 * libwebsockets does TCP, TLS and HTTP. Its own WebSocket role is not used: in 4.1 it hides pings and the body of a refused upgrade, turns close
 * codes 1012 to 1014 into 1002, and takes a message apart byte by byte. An upgrade is an HTTP answer 101 whose body does not end, so on_bytes
 * gives what follows the head either way.
 *
 * Order: on_head once, on_bytes and on_writable any number of times, on_end once (err NULL: the answer is complete); nothing after on_end.
 * Every callback may close the link. Nothing is called inside iu__link_open.
 */
#ifndef IU_NET_LINK_H
#define IU_NET_LINK_H

#include "../base/buffer.h"
#include "lws_context.h"
#include "url.h"

/* Request headers together, and addresses of one name that are tried. */
#define IU_LINK_HEADERS_MAX (32u * 1024u)
#define IU_LINK_ADDRESSES_MAX 8u

typedef struct iu__link iu__link;

typedef struct iu__link_owner {
  void *ud;
  void (*on_head)(void *ud, int status);
  void (*on_bytes)(void *ud, const uint8_t *bytes, size_t len);
  void (*on_writable)(void *ud);
  void (*on_end)(void *ud, const iu_error *err);
} iu__link_owner;

typedef struct iu__link_config {
  const iu__url *url;
  const char *method;           /* GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS */
  const char *headers;          /* whole lines, each with its CRLF; copied */
  bool keep_connection;         /* the headers say what becomes of the connection */
  const uint8_t *body; size_t body_len; /* borrowed until closed */
  const iu_tls *tls;
  uint64_t head_timeout_ms;     /* until on_head; 0: none */
  iu__link_owner owner;
} iu__link_config;

/* A header list as text lines; refuses what could start another line. */
iu_status iu__link_headers(iu_buf *out, const iu_header *headers, uint32_t count, iu_error *err);

iu_status iu__link_open(iu_loop *loop, const iu__link_config *config, iu__link **out, iu_error *err);
/* Lets go: no callback any more, the connection is cut, the struct frees itself when it can. NULL is fine. */
void iu__link_close(iu__link *l);

/* During on_head: copies a header of the answer (lower case name with its colon); false when absent or too long for `out`. */
bool iu__link_header(iu__link *l, const char *name, char *out, size_t cap);
/* on_writable will be called when bytes can be taken. */
/* Whether the request has left: from then on the server may have acted on it. */
bool iu__link_sent(const iu__link *l);
void iu__link_want_write(iu__link *l);
/* During on_writable, after on_head: sends up to IU_NET_WRITE_SIZE bytes; how many were taken: 0 when not now. */
size_t iu__link_write(iu__link *l, const uint8_t *bytes, size_t len);
/* Leaves bytes unread, in the kernel. */
void iu__link_pause(iu__link *l, bool paused);

#endif
