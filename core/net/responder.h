/* responder.h: a small HTTP/1.1 server on an iu_loop, for what others may look at: GET and HEAD, one request a connection, everything bounded.
 *
 * It listens on one numeric address. A request that is well formed is told to on_request and answered by iu__responder_answer, inside the callback or
 * later; all others are answered here. Nothing of it keeps the loop from ending: it serves while somebody turns the loop.
 *
 * Bounds: connections at once (one more is told 503 and closed), bytes of a request's head (431), bytes of an answer, and the time of the whole exchange,
 * which ends the connection wherever it stands: slow readers and writers included.
 *
 * The config's texts are only read during the call. on_request may release; after a release nothing is told any more and open connections are cut.
 */
#ifndef IU_NET_RESPONDER_H
#define IU_NET_RESPONDER_H

#include "loop.h"

#define IU_RESPONDER_CONNECTIONS_MAX 1024u
#define IU_RESPONDER_REQUEST_BYTES_MAX (64u * 1024)
#define IU_RESPONDER_ANSWER_BYTES_MAX (32u * 1024 * 1024)

typedef struct iu_responder iu_responder;

typedef struct iu_responder_config {
  const char *address;        /* IPv4 or IPv6, numeric */
  uint16_t port;              /* 0: a free one */
  uint32_t connections_max;   /* 1 to IU_RESPONDER_CONNECTIONS_MAX */
  uint32_t request_bytes_max; /* 64 to IU_RESPONDER_REQUEST_BYTES_MAX */
  uint32_t timeout_ms;        /* of an exchange, from the connect to its end; 1 or more */
  void *ud;
  /* path: with what follows a `?`; valid during the call */
  void (*on_request)(void *ud, iu_responder *r, uint64_t request, const char *path, size_t path_len);
} iu_responder_config;

/* IU_E_VALIDATION for a config that makes no sense, IU_E_CONNECTION with the system's words where it cannot listen. */
iu_status iu__responder_start(iu_loop *loop, const iu_responder_config *config, iu_responder **out, iu_error *err);
uint16_t iu__responder_port(const iu_responder *r);
uint32_t iu__responder_connections(const iu_responder *r); /* open now */
/* Whether the request still waited for one. content_type: without line ends, shorter than 128 bytes (else it is sent as text/plain). body is copied. */
bool iu__responder_answer(iu_responder *r, uint64_t request, int status, const char *content_type, const void *body, size_t len);
void iu__responder_release(iu_responder *r); /* NULL is fine */

#endif
