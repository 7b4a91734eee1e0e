/* http.h: one HTTP/1.1 request on an iu_loop: http and https, a body each way, a deadline, a cap. Each has a connection of its own.
 *
 * The answer's body is gathered (on_done) or handed out as it comes (on_data, for logs that follow). Redirects are not followed. Any status is an
 * answer; on_done gets an error when none came, when it was cut in the middle, was larger than max_body (IU_E_OVERLOADED) or late (IU_E_TIMEOUT).
 * Callbacks may release the request; none is called inside the functions below.
 */
#ifndef IU_NET_HTTP_H
#define IU_NET_HTTP_H

#include "websocket.h"

typedef struct iu_http iu_http;
typedef struct iu_http_answer {     /* borrowed for the callback */
  int status;                       /* 0: no answer, see err */
  const uint8_t *body; size_t body_len;
  const char *content_type;         /* "" when absent */
  const char *identity, *token;     /* spacetime-identity, spacetime-identity-token; "" when absent */
  bool sent;                        /* the request has left: beside an error, the server may have acted on it */
} iu_http_answer;

typedef struct iu_http_config {
  const char *method;               /* "GET" */
  const char *url;
  const iu_header *headers; uint32_t header_count;
  const void *body; size_t body_len;  /* copied */
  iu_tls tls;
  uint64_t timeout_ms;              /* the whole request; 0: the default 30000, with on_data only until the head has come */
  size_t max_body;                  /* default 64 MiB; with on_data not looked at */
  void *ud;
  void (*on_data)(void *ud, iu_http *h, const uint8_t *bytes, size_t len);      /* NULL: gather */
  /* Once. err NULL: the answer is complete; else `answer` is what came of it (with on_data: without body). */
  void (*on_done)(void *ud, iu_http *h, const iu_error *err, const iu_http_answer *answer);
} iu_http_config;

#define IU_HTTP_TIMEOUT_MS 30000u
#define IU_HTTP_BODY_MAX (64u * 1024u * 1024u)
#define IU_HTTP_HEADER_MAX 4096u    /* of each header of the answer that is told; a longer one counts as absent */

iu_status iu__http_start(iu_loop *loop, const iu_http_config *config, iu_http **out, iu_error *err);
/* Ends it without calling on_done when it has not been called yet; frees. NULL is fine. */
void iu__http_release(iu_http *h);

#endif
